# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Private to this collection: may change in any release.
"""The line of a log that tells why a process ended. Pure."""

from __future__ import annotations

import re

# Most telling first; within one kind the last line counts, since it is the nearest to the end.
_TELLING = (
    re.compile(r"\[(emerg|alert|crit)\]"),
    re.compile(r"^panic:|\bFATAL\b|\bfatal\b", re.MULTILINE),
    re.compile(r"^\w*(Error|Exception)\b.*:", re.MULTILINE),
    re.compile(r"\[error\]|\bERROR\b|\berror\b|\bError\b|\bException\b"),
)
_LONGEST = 240
_STAMP = re.compile(r"^\[?\d{4}[-/]\d\d[-/]\d\d[T ]\d\d:\d\d:\d\d\S*\]?\s+")
_PATH = re.compile(r"(?<![\w.])/[\w./-]+")


def telling_line(log: str) -> str:
    """That line without its time, or the last one where none stands out; empty for an empty log."""
    lines = [_STAMP.sub("", line.strip()) for line in log.splitlines() if line.strip()]
    for pattern in _TELLING:
        for line in reversed(lines):
            if pattern.search(line):
                return line[:_LONGEST]
    return lines[-1][:_LONGEST] if lines else ""


def paths(line: str) -> list[str]:
    """Absolute file names in a line."""
    return [found.rstrip(".") for found in _PATH.findall(line)]
