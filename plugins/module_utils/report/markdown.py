# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Private to this collection: may change in any release.
"""A ticket in Markdown: what is wrong, why, and what to do, without what is good. Pure.

Words of strangers cannot begin a link, a mention, an image or HTML: what could is escaped, and what a ticket system
would link by itself (addresses, `@name`) is shown as code.
"""

from __future__ import annotations

import re
import typing as t

from .model import Entry, Json, Report
from .page import WORDS, counts, overall
from .text import tame, value

_ESCAPED = re.compile(r"([\\`*_\[\]<>|~&#!$])")
# Tokens that ticket systems turn into links or mentions.
_LINKED = re.compile(r"(\S*(?:@|://|www\.)\S*)")
_BAD = ("fail", "inconclusive", "warn")


def markdown(report: Report) -> str:
    """The ticket."""
    parts = [f"# {words(report.title)}", _overview(report)]
    parts += [_cluster(entry) for entry in report.entries]
    return "\n\n".join(parts) + "\n"


def words(text: t.Any) -> str:
    """Text of a stranger as text."""
    parts = _LINKED.split(tame(str(text)))
    return "".join(code(part) if number % 2 else _ESCAPED.sub(r"\\\1", part) for number, part in enumerate(parts))


def code(text: t.Any) -> str:
    """Text of a stranger as code: the fence is longer than any row of backticks in it (CommonMark 6.1)."""
    inner = tame(str(text)).replace("|", "¦")
    ticks = "`" * (_longest_row(inner) + 1)
    space = " " if inner.startswith("`") or inner.endswith("`") else ""
    return f"{ticks}{space}{inner}{space}{ticks}"


def fenced(text: str, language: str) -> str:
    """Lines of a stranger as a block of code."""
    ticks = "`" * max(3, _longest_row(text) + 1)
    return f"{ticks}{language}\n{tame(text)}\n{ticks}"


def _longest_row(text: str) -> int:
    return max((len(row) for row in re.findall(r"`+", text)), default=0)


def _overview(report: Report) -> str:
    if len(report.entries) == 1:
        entry = report.entries[0]
        return f"**{WORDS[entry.verdict]}**: {words(entry.title)}"
    rows = [f"**{overall(report)}**", "", "| Cluster | Service | Verdict | In short |", "|---|---|---|---|"]
    for entry in report.entries:
        cells = (words(entry.cluster), words(entry.subject), WORDS[entry.verdict], words(entry.title))
        rows.append(f"| {' | '.join(cells)} |")
    return "\n".join(rows)


def _cluster(entry: Entry) -> str:
    head = "## " + words(": ".join(filter(None, (entry.cluster, entry.subject))))
    if entry.error:
        return f"{head}\n\n{words(entry.error)}"
    document = entry.document
    nodes = f", asked from {words(value(document['nodes']))}" if document["nodes"] else ""
    at = f", {words(document['time'])}" if document["time"] else ""
    parts = [head, f"{counts(entry)}{nodes}{at}"]
    parts += [
        _cause(cause, "Root cause" if not number else "Further cause") for number, cause in enumerate(entry.causes)
    ]
    bad = [finding for finding in entry.findings if finding["status"] in _BAD]
    if bad:
        parts.append("### Findings\n\n" + "\n".join(_finding(finding) for finding in bad))
    return "\n\n".join(parts)


def _cause(cause: Json, title: str) -> str:
    sure = f", {words(cause['confidence'])}" if cause["confidence"] else ""
    field = f", {code(cause['field'])}" if cause["field"] else ""
    parts = [
        f"### {title}{sure}: {words(cause['title'])}",
        "\n".join(
            [
                f"- Object: {words(cause['object'] or 'none')}{field}",
                f"- Observed: {words(value(cause['observed']))}",
                f"- Expected: {words(value(cause['expected']))}",
            ]
        ),
    ]
    fix = cause["fix"]
    if cause["why"] and cause["why"] != fix["text"]:
        parts.append(words(cause["why"]))
    if fix["text"]:
        parts.append(f"Fix: {words(fix['text'])}")
    if fix["kubectl"]:
        parts.append(fenced(fix["kubectl"], "sh"))
    if fix["task"]:
        parts.append(fenced(fix["task"], "yaml"))
    if cause["runbook"]:
        parts.append(f"Runbook: {code(cause['runbook'])}")
    if cause["second"]:
        apart = f" To tell them apart: {words(cause['second']['apart'])}" if cause["second"]["apart"] else ""
        parts.append(f"Second best: {words(cause['second']['title'])}.{apart}")
    if cause["consequences"]:
        told = [f"- {words(one['id'])} {words(one['message'])}" for one in cause["consequences"]]
        parts.append("Consequences of it:\n\n" + "\n".join(told))
    return "\n\n".join(parts)


def _finding(finding: Json) -> str:
    sides = f"observed {words(value(finding['observed']))}; expected {words(value(finding['expected']))}"
    told = [f"- **{finding['status']}** {words(finding['id'])} {words(finding['message'])}", f"  {sides}"]
    if finding["cause"]:
        told.append(f"  {words(finding['cause'])}")
    return "\n".join(told)
