# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Private to this collection: may change in any release.
"""What the callback prints: results of judging tasks as lines of a terminal. Pure.

A good result takes two lines, so that many hosts stay readable; of a bad one every layer has a line, its worst findings
follow, and the cause stands last, in a box. At the end hosts of which the same is to be said share a line.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, replace

from .text import block, columns, line, padded, tame, value, wrapped

# Worst first; what a layer or a host is called by.
ORDER = ("fail", "inconclusive", "warn", "pass", "skipped")
BAD = ORDER[:3]
MOST_FINDINGS = 6
MOST_CAUSES = 6
MOST_HOSTS = 200
NARROWEST, WIDEST = 40, 100

_MARKS = {"fail": "✗", "inconclusive": "?", "warn": "!", "pass": "✓", "skipped": "–"}  # noqa: RUF001
_PLAIN_MARKS = {"fail": "x", "inconclusive": "?", "warn": "!", "pass": "+", "skipped": "-"}
_PLAIN = str.maketrans({"…": "...", "→": "->", "–": "-", "\u2019": "'"})  # noqa: RUF001


class Line(t.NamedTuple):
    """One line and what it says, by which it is coloured."""

    text: str
    status: str = ""


@dataclass(frozen=True, slots=True)
class Style:
    """What the terminal can show.

    Attributes:
        fancy: it takes more than ASCII.
        width: in columns.
    """

    fancy: bool = False
    width: int = 80

    def mark(self, status: str) -> str:
        """The sign of a status."""
        return (_MARKS if self.fancy else _PLAIN_MARKS).get(status, " ")

    def shown(self, text: t.Any, limit: int = 1000) -> str:
        """Text of a stranger, fit for this terminal and for a CI server behind it."""
        safe = tame(line(text, limit))
        return safe if self.fancy else safe.translate(_PLAIN).encode("ascii", "backslashreplace").decode()

    def copied(self, text: str) -> str:
        """A line of a command, which keeps its blanks."""
        safe = tame(text)
        return safe if self.fancy else safe.encode("ascii", "backslashreplace").decode()

    def listed(self, names: t.Sequence[str]) -> list[str]:
        """Names, as many lines as it takes."""
        return self.wrapped(value(names, MOST_HOSTS), "    ", "    ", limit=MOST_HOSTS * 100)

    def wrapped(self, text: t.Any, first: str = "", rest: str = "", limit: int = 1000) -> list[str]:
        """As many lines as it takes."""
        width = max(NARROWEST, min(self.width, WIDEST))
        return [tame(text) for text in wrapped(self.shown(text, limit), width - 1, first, rest)] or [first.rstrip()]


def worst(summary: t.Mapping[str, t.Any]) -> str:
    """The status that counts of `{status: count}`."""
    return next((status for status in ORDER if summary.get(status)), "skipped")


def judged(host: str, result: t.Mapping[str, t.Any], style: Style, *, failed: bool = False) -> list[Line]:
    """What to say of one result of one host; nothing where nothing was judged, as in check mode.

    Args:
        failed: the task did, which Ansible takes out of the results that callbacks get.
    """
    summary = result.get("summary")
    if not isinstance(summary, dict):
        if failed:
            why = f"{host}: not judged: {result.get('msg') or 'no reason given'}"
            told = style.wrapped(why, f"{style.mark('fail')} ", "  ")
            return [Line(text, "fail") for text in told]
        return _mended(f"{host}: would mend", result.get("applied"), style)
    status = verdict(result)
    title = f"{host}: {str(result.get('msg') or '').partition(': ')[0]}, {_counts(summary)}{_where(result)}"
    lines = [Line(text, status) for text in style.wrapped(title, f"{style.mark(status)} ", "  ")]
    lines += _mended("mended", result.get("applied"), style)
    lines += _layers(result.get("layers"), status in BAD, style)
    if status in BAD:
        lines += _violated(_dicts(result.get("findings")), _dicts(result.get("causes")), style)
    return lines


def verdict(result: t.Mapping[str, t.Any]) -> str:
    """The status that counts of a result: a survey counts Services, and its causes may be of the cluster itself."""
    found = {str(cause.get("status") or "") for cause in _dicts(result.get("causes"))}
    return next((status for status in ORDER if result["summary"].get(status) or status in found), "skipped")


def _dicts(found: t.Any) -> list[t.Mapping[str, t.Any]]:
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []


def _mended(head: str, applied: t.Any, style: Style) -> list[Line]:
    """What `remediate` did, or would do."""
    found = applied if isinstance(applied, list) else []
    return [Line(text) for one in found for text in style.wrapped(f"{head}: {one}", "  ", "    ")]


def _counts(summary: t.Mapping[str, t.Any]) -> str:
    return ", ".join(f"{summary[status]} {status}" for status in ORDER if summary.get(status)) or "nothing judged"


def _where(result: t.Mapping[str, t.Any]) -> str:
    nodes, elapsed = result.get("nodes") or [], result.get("elapsed")
    asked = f" from {len(nodes)} node(s)" if nodes else ""
    return asked + (f" in {elapsed:.1f} s" if isinstance(elapsed, (int, float)) else "")


def _layers(layers: t.Any, each: bool, style: Style) -> list[Line]:
    """A line for each layer, or all of them on one where all is well."""
    if not isinstance(layers, dict) or not layers:
        return []
    if each:
        return [
            Line(f"  {style.mark(worst(counts))} {padded(style.shown(layer), 16)} {_counts(counts)}", worst(counts))
            for layer, counts in layers.items()
        ]
    rows = [" "]
    for layer, counts in layers.items():
        word = f"{style.mark(worst(counts))} {style.shown(layer)} {sum(counts.values())}"
        if columns(rows[-1]) + columns(word) + 4 > min(style.width, WIDEST):
            rows.append(" ")
        rows[-1] += f" {word} "
    return [Line(row.rstrip(), "pass") for row in rows]


def _findings(findings: t.Sequence[t.Any], style: Style, *, sides: bool) -> list[Line]:
    """The first finding of each check, with how many more of it there are."""
    first: dict[str, t.Any] = {}
    for finding in findings:
        first.setdefault(str(finding.get("id")), finding)
    lines = []
    for check, finding in list(first.items())[:MOST_FINDINGS]:
        status = str(finding.get("status"))
        alike = sum(str(other.get("id")) == check for other in findings) - 1
        told = f"{check} {finding.get('message')}" + (f" (and {alike} more {check})" if alike else "")
        lines += [Line(text, status) for text in style.wrapped(told, f"    {style.mark(status)} ", "      ")]
        if sides and (finding.get("observed") is not None or finding.get("expected") is not None):
            both = f"observed {value(finding.get('observed'))}; expected {value(finding.get('expected'))}"
            lines += [Line(text) for text in style.wrapped(both, "      ", "      ")]
    left = list(first)[MOST_FINDINGS:]
    return (
        [*lines, *[Line(text) for text in style.wrapped(f"and {value(left)}", "      ", "      ")]] if left else lines
    )


def _violated(
    findings: t.Sequence[t.Mapping[str, t.Any]], causes: t.Sequence[t.Mapping[str, t.Any]], style: Style
) -> list[Line]:
    """The findings and the further causes, then the root cause in a box with its fix: it stands last.

    A judge that does not look for causes has its worst finding there.
    """
    if not causes:
        if not findings:
            return []
        first = findings[0]
        told = {**first, "title": f"{first.get('id')} {first.get('message')}", "fix": {"text": first.get("cause")}}
        return _findings(findings[1:], style, sides=True) + _box("WORST FINDING", told, style)
    lines = _findings(findings, style, sides=False)  # these are its consequences
    further = [f"Further cause: {_title(cause)}" for cause in causes[1 : MOST_CAUSES + 1]]
    left = len(causes) - 1 - len(further)
    for title in [*further, *([f"and {left} more causes"] if left else [])]:
        lines += [Line(text, "warn") for text in style.wrapped(title, "  ", "    ")]
    sure = f", {style.shown(causes[0]['confidence']).upper()}" if causes[0].get("confidence") else ""
    return lines + _box(f"ROOT CAUSE{sure}", causes[0], style) + _command(causes[0], style) + _runbook(causes[0], style)


def _title(cause: t.Mapping[str, t.Any]) -> str:
    """With how many Services of a survey share it."""
    many = cause.get("count")
    return str(cause.get("title")) + (f" ({many:,} Services)" if isinstance(many, int) and many > 1 else "")


def _box(head: str, cause: t.Mapping[str, t.Any], style: Style) -> list[Line]:
    where = ", ".join(filter(None, (str(cause.get("object") or ""), str(cause.get("field") or ""))))
    fix = (cause.get("fix") or {}).get("text") if isinstance(cause.get("fix"), dict) else ""
    inner = replace(style, width=min(style.width, WIDEST) - 6)
    title = inner.wrapped(_title(cause))
    facts = [
        ("", where),
        ("observed: ", value(cause["observed"]) if cause.get("observed") is not None else ""),
        ("expected: ", value(cause["expected"]) if cause.get("expected") is not None else ""),
        ("fix: ", fix),
    ]
    body = [text for head, fact in facts if fact for text in inner.wrapped(f"{head}{fact}", "", "  ")]
    texts = [head, "", *title, "", *body]
    width = max(columns(text) for text in texts)
    across, down, corners = ("━", "┃", "┏┓┗┛") if style.fancy else ("=", "|", "++++")
    rows = [
        f"  {corners[0]}{across * (width + 2)}{corners[1]}",
        *[f"  {down} {padded(text, width)} {down}" for text in texts],
        f"  {corners[2]}{across * (width + 2)}{corners[3]}",
    ]
    return [Line(""), *[Line(row, "fail") for row in rows]]


def _command(cause: t.Mapping[str, t.Any], style: Style) -> list[Line]:
    """As it is, so that it can be copied."""
    fix = cause.get("fix")
    text = block(fix.get("kubectl") or "") if isinstance(fix, dict) else ""
    return [Line(f"  {style.copied(row)}") for row in text.split("\n") if row]


def _runbook(cause: t.Mapping[str, t.Any], style: Style) -> list[Line]:
    """On a line of its own, since a path that is broken leads nowhere."""
    path = style.shown(cause.get("runbook") or "")
    return [Line(f"  runbook: {path}")] if path else []


# ----- the end


def ended(hosts: t.Mapping[str, t.Sequence[t.Mapping[str, t.Any]]], style: Style) -> list[Line]:
    """What came of each host, the good ones first; of a bad one why."""
    same: dict[tuple[str, str], list[str]] = {}
    for host, results in hosts.items():
        for result in results:
            status = verdict(result) if isinstance(result.get("summary"), dict) else "fail"
            same.setdefault((status, _short(result, status)), []).append(host)
    lines = [Line(""), Line("CHECKS " + "*" * max(0, min(style.width, WIDEST) - 8))] if same else []
    for (status, text), names in sorted(same.items(), key=lambda row: -ORDER.index(row[0][0])):
        alone = len(names) == 1
        told = f"{names[0] if alone else f'{len(names)} hosts'}: {text}"
        lines += [Line(one, status) for one in style.wrapped(told, f"{style.mark(status)} ", "    ")]
        lines += [] if alone else [Line(one, status) for one in style.listed(names)]
    return lines


def _short(result: t.Mapping[str, t.Any], status: str) -> str:
    """The subject with the root cause, else the worst finding, else that it is good."""
    message, causes = str(result.get("msg") or ""), _dicts(result.get("causes"))
    if not isinstance(result.get("summary"), dict):
        return f"not judged: {message or 'no reason given'}"
    subject = message.partition(": ")[0]
    if status not in BAD:
        return f"{subject}: {_counts(result['summary'])}"
    if causes:
        return f"{subject}: {_title(causes[0])}"
    findings = _dicts(result.get("findings")) or [{}]
    return f"{subject}: {findings[0].get('id')} {findings[0].get('message')}"
