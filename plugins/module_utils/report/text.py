# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Private to this collection: may change in any release.
"""Words of strangers, made fit for where they are shown. Pure.

Names, event texts and bodies of answers may hold anything: the Kubernetes API takes HTML, ESC and NUL in the message of
an event. What cannot be printed is taken out once, when a document is read (:mod:`.model`); what a place would take for
an instruction is taken care of where it is written.
"""

from __future__ import annotations

import re
import typing as t
import unicodedata

from ..kube.errors import one_line

LONGEST_LINE = 600
MOST_LINES = 60

# What CI servers obey in the output of a job: GitHub's `::error::` and `##[group]`, Azure's `##vso[`, TeamCity's
# `##teamcity[`. (GitLab's `section_start` needs an ESC.) Colons count at the start of a line only, which a word becomes
# where text is wrapped; in an IPv6 address they follow a digit.
_COLONS = re.compile(r"(?<![\w:])::(?=[A-Za-z][\w-]*(?:\s[^\n]*?)?::)")
_HASHES = re.compile(r"##(?=[A-Za-z-]*\[)")


def line(text: t.Any, limit: int = LONGEST_LINE) -> str:
    """One printable line; without control characters, bidirectional overrides and whatever XML forbids."""
    return one_line(str(text), limit)


def block(text: t.Any) -> str:
    """Printable lines that keep their indentation, for commands and YAML."""
    kept = []
    for raw in str(text).replace("\r\n", "\n").split("\n")[:MOST_LINES]:
        shown = "".join(c if c.isprintable() else " " for c in raw.expandtabs(2)).rstrip()
        kept.append(shown if len(shown) <= LONGEST_LINE else shown[: LONGEST_LINE - 1] + "…")
    return "\n".join(kept).strip("\n")


def tame(text: str) -> str:
    """`text` with nothing in it that a CI server would obey."""
    return _HASHES.sub("# #", _COLONS.sub(": :", text))


def columns(text: str) -> int:
    """How many columns of a terminal `text` takes: East Asian signs and emoji take two, combining marks none."""
    if text.isascii():
        return len(text)
    return sum(2 if unicodedata.east_asian_width(c) in "WF" else unicodedata.category(c)[0] != "M" for c in text)


def padded(text: str, width: int) -> str:
    """`text` with blanks to the right, for a table."""
    return text + " " * (width - columns(text))


def wrapped(text: str, width: int, first: str = "", rest: str = "") -> list[str]:
    """Lines of at most `width` columns; only a word that is wider than a line is broken."""
    lines, current, begun = [], first, False
    for word in text.split():
        if begun and columns(current) + 1 + columns(word) <= width:
            current += f" {word}"
            continue
        left = word
        if begun and columns(rest) + columns(word) <= width:
            lines.append(current)
            current = rest
        elif begun:
            current += " "
        while left:
            fitting = _fitting(left, width - columns(current)) or int(current == rest)
            current, left = current + left[:fitting], left[fitting:]
            if left:
                lines.append(current.rstrip())
                current = rest
        begun = True
    return [*lines, current] if begun else []


def _fitting(text: str, room: int) -> int:
    """How many characters of `text` fit into that many columns."""
    taken = 0
    for count, character in enumerate(text):
        taken += columns(character)
        if taken > room:
            return count
    return len(text)


def value(found: t.Any, most: int = 8) -> str:
    """A JSON value as people write it: `a, b and 3 more`; `key: value` for mappings; nothing is `none`."""
    if found is None or found in ("", [], {}):
        return "none"
    if isinstance(found, bool):
        return "yes" if found else "no"
    if isinstance(found, t.Mapping):
        words = [f"{key}: {value(child, most)}" for key, child in found.items()]
        return _some(words, most, "; ")
    if isinstance(found, (list, tuple)):
        return _some([value(child, most) for child in found], most, ", ")
    return str(found)


def _some(words: t.Sequence[str], most: int, between: str) -> str:
    more = f" and {len(words) - most} more" if len(words) > most else ""
    return between.join(words[:most]) + more


def duration(ms: float) -> str:
    """`0.84 ms`, `12.3 ms`, `2.1 s`."""
    return f"{ms:.3g} ms" if ms < 999.5 else f"{ms / 1000:.3g} s"
