# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Private to this collection: may change in any release.
"""Findings: what a check concludes, and how conclusions become a result, a message and a file."""

from __future__ import annotations

import json
import os
import tempfile
import typing as t
from dataclasses import asdict, dataclass, replace
from dataclasses import field as attribute
from datetime import datetime

from ..kube.errors import OptionError, one_line

if t.TYPE_CHECKING:
    from .diagnose.causes import Cause

PASS, FAIL, WARN, SKIPPED, INCONCLUSIVE = "pass", "fail", "warn", "skipped", "inconclusive"
STATUSES = (PASS, FAIL, WARN, SKIPPED, INCONCLUSIVE)

# What ends a module with an error, by its option `fail_on`. Something that could not be decided is not proven.
FAIL_ON: dict[str, frozenset[str]] = {
    "never": frozenset(),
    "fail": frozenset({FAIL}),
    "inconclusive": frozenset({FAIL, INCONCLUSIVE}),
    "warn": frozenset({FAIL, INCONCLUSIVE, WARN}),
}

_LONGEST_TEXT = 300
_MOST_ITEMS = 100
_CHECKS_IN_MESSAGE = 3
_ORDER = {FAIL: 0, INCONCLUSIVE: 1, WARN: 2}


@dataclass(frozen=True, slots=True)
class Finding:
    """One conclusion of one check about one object.

    Attributes:
        id: stable name of the check, e.g. `EP-02`.
        layer: which layer of checks it belongs to, e.g. `endpoints`.
        status: `pass`, `fail`, `warn`, `skipped` (not looked at, and why) or `inconclusive` (looked at, undecided).
        message: one line that stands alone.
        observed, expected: the two sides of the comparison.
        object: what it is about, e.g. `Pod demo/web-1`.
        field: the field of `object` that is wrong, where one is.
        cause: why, where it is known, with the remedy.
        evidence: further facts, JSON-serialisable.
        subjects: uids and names of what the conclusion rests on; if one of them changed meanwhile, it does not hold.
        partial: other objects of the same check were found good.
        component: which part of the whole it accuses (see :mod:`.diagnose.components`); empty where the check tells.
    """

    id: str
    layer: str
    status: str
    message: str
    observed: t.Any = None
    expected: t.Any = None
    object: str = ""
    field: str = ""
    cause: str = ""
    evidence: t.Mapping[str, t.Any] = attribute(default_factory=dict)
    subjects: frozenset[str] = frozenset()
    partial: bool = False
    component: str = ""

    @property
    def complains(self) -> bool:
        """Whether it accuses something, as opposed to praising it or saying nothing."""
        return self.status in (FAIL, WARN)

    @property
    def key(self) -> tuple[str, str, str]:
        """What makes two findings of different rounds the same finding."""
        return self.id, self.object, self.field

    def as_dict(self) -> dict[str, t.Any]:
        """JSON form, with every string made safe to print: names and bodies come from strangers."""
        plain = asdict(replace(self, subjects=frozenset(), partial=False))
        del plain["subjects"], plain["partial"], plain["component"]
        return {key: printable(value) for key, value in plain.items()}

    @property
    def line(self) -> str:
        """Message with both sides and the cause, for a reader who sees nothing else."""
        sides = ""
        if self.observed is not None or self.expected is not None:
            sides = f" (observed {short(self.observed)}; expected {short(self.expected)})"
        cause = f"; {self.cause}" if self.cause else ""
        return one_line(f"{self.id} {self.message}{sides}{cause}", 600)


def printable(value: t.Any) -> t.Any:
    """`value` with control characters and endless strings or lists taken out, at any depth."""
    if isinstance(value, str):
        return one_line(value, _LONGEST_TEXT)
    if isinstance(value, t.Mapping):
        return {one_line(str(key), 100): printable(child) for key, child in list(value.items())[:_MOST_ITEMS]}
    if isinstance(value, (list, tuple, set, frozenset)):
        items = sorted(value, key=str) if isinstance(value, (set, frozenset)) else list(value)
        more = [f"and {len(items) - _MOST_ITEMS} more"] if len(items) > _MOST_ITEMS else []
        return [printable(child) for child in items[:_MOST_ITEMS]] + more
    return value


def short(value: t.Any, most: int = 6) -> str:
    """A value as people write it in a sentence: `a, b and 3 more`; nothing is `none`."""
    if value is None or value == "":
        return "none"
    if isinstance(value, t.Mapping):
        value = [f"{key}={short(child)}" for key, child in value.items()]
    if isinstance(value, (set, frozenset)):
        value = sorted(value, key=str)
    if isinstance(value, (list, tuple)):
        if not value:
            return "none"
        words = [short(item) for item in value[:most]]
        more = f" and {len(value) - most} more" if len(value) > most else ""
        return ", ".join(words) + more
    return one_line(str(value), 120)


@dataclass(frozen=True, slots=True)
class Report:
    """Everything one verification concluded.

    Attributes:
        subject: the Service, e.g. `Service demo/web`.
        cluster: which cluster answered, for messages.
        nodes: the nodes that probes ran on.
        rounds: how often it was looked; more than once only when there was something to complain about.
        elapsed: seconds.
        started: when it began.
        topology: who was asked, by whom, which way, and what came of it (see :mod:`.topology`).
        causes: what is wrong first, and what follows from it; None where nobody asked for causes.
        state: what a later run compares itself with (see :mod:`.diagnose.drift`).
    """

    subject: str
    cluster: str
    findings: tuple[Finding, ...]
    nodes: tuple[str, ...] = ()
    rounds: int = 0
    elapsed: float = 0.0
    started: datetime | None = None
    topology: t.Mapping[str, t.Any] | None = None
    causes: tuple[Cause, ...] | None = None
    state: t.Mapping[str, t.Any] | None = None

    @property
    def summary(self) -> dict[str, int]:
        """How many findings there are of each status."""
        counts = dict.fromkeys(STATUSES, 0)
        for finding in self.findings:
            counts[finding.status] += 1
        return counts

    @property
    def layers(self) -> dict[str, dict[str, int]]:
        """How many findings of each status each layer has, in the order in which they were judged."""
        counts: dict[str, dict[str, int]] = {}
        for finding in self.findings:
            of_layer = counts.setdefault(finding.layer, {})
            of_layer[finding.status] = of_layer.get(finding.status, 0) + 1
        return counts

    @property
    def violated(self) -> tuple[Finding, ...]:
        """The findings a reader must see, worst first."""
        found = [finding for finding in self.findings if finding.status in _ORDER]
        return tuple(sorted(found, key=lambda finding: _ORDER[finding.status]))

    def fails(self, fail_on: str) -> bool:
        """Whether a finding is as bad as `fail_on` or worse."""
        return any(finding.status in FAIL_ON[fail_on] for finding in self.findings)

    @property
    def message(self) -> str:
        """One line that stands alone."""
        counts = ", ".join(f"{count} {status}" for status, count in self.summary.items() if count)
        where = f" from {len(self.nodes)} node(s)" if self.nodes else ""
        head = f"{self.subject}: {counts or 'nothing was checked'}{where}"
        worst = self.violated
        if not worst:
            return head
        first: dict[str, Finding] = {}
        for finding in worst:
            first.setdefault(finding.id, finding)
        lines = []
        for check, finding in list(first.items())[:_CHECKS_IN_MESSAGE]:
            alike = sum(other.id == check for other in worst) - 1
            lines.append(finding.line + (f" (and {alike} more {check})" if alike else ""))
        if len(first) > _CHECKS_IN_MESSAGE:
            lines.append(f"and {short(list(first)[_CHECKS_IN_MESSAGE:])}")
        return f"{head}: " + " | ".join(lines)

    @property
    def verdict(self) -> str:
        """The first cause as one line, with how many follow from it and how many more there are."""
        if not self.causes:
            return self.message
        first, *others = self.causes
        counts = ", ".join(f"{count} {status}" for status, count in self.summary.items() if count)
        sides = f" (observed {short(first.observed)}; expected {short(first.expected)})"
        parts = [f"{self.subject}: {first.title}{sides if first.observed is not None else ''}"]
        parts += (
            [one_line(f"fix: {first.fix.kubectl or first.fix.text}", 300)]
            if first.fix.kubectl or first.fix.text
            else []
        )
        parts.append(f"{first.confidence}; {len(first.consequences)} consequence(s); {counts}")
        parts += [f"also: {one_line(other.title, 200)}" for other in others[:_CHECKS_IN_MESSAGE]]
        return " | ".join(parts)

    def as_result(self) -> dict[str, t.Any]:
        """What a module returns: counts and violated findings only, since bulk data is slow to register."""
        found: dict[str, t.Any] = {
            "changed": False,
            "msg": self.verdict,
            "summary": self.summary,
            "layers": self.layers,
            "findings": [finding.as_dict() for finding in self.violated[:_MOST_ITEMS]],
            "nodes": list(self.nodes),
            "elapsed": round(self.elapsed, 2),
        }
        if self.causes is not None:
            found["causes"] = [cause.as_dict() for cause in self.causes]
        return found

    def as_document(self) -> dict[str, t.Any]:
        """Everything, for a file."""
        document: dict[str, t.Any] = {
            "version": 1,
            "subject": self.subject,
            "cluster": self.cluster,
            "msg": self.verdict,
            "summary": self.summary,
            "nodes": list(self.nodes),
            "rounds": self.rounds,
            "elapsed": round(self.elapsed, 2),
            "time": f"{self.started:%Y-%m-%dT%H:%M:%SZ}" if self.started else "",
            "findings": [finding.as_dict() for finding in self.findings],
            "topology": self.topology,
        }
        if self.causes is not None:
            document["causes"] = [cause.as_dict() for cause in self.causes]
            document["state"] = self.state
        return document


def check_dest(dest: str | None) -> None:
    """Refuse a file that cannot be written.

    Raises:
        OptionError: its folder does not exist.
    """
    if dest and not os.path.isdir(os.path.dirname(os.path.abspath(dest))):
        raise OptionError(f"dest: the folder of {dest} does not exist")


def write(document: t.Mapping[str, t.Any], dest: str) -> None:
    """Write `document` as JSON for the owner only, all of it or nothing.

    Raises:
        OptionError: the file cannot be written.
    """
    folder = os.path.dirname(os.path.abspath(dest))
    try:
        handle, name = tempfile.mkstemp(dir=folder, prefix=f".{os.path.basename(dest)}.")
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                json.dump(document, file, indent=1, sort_keys=False)
                file.write("\n")
            os.replace(name, dest)
        except BaseException:
            os.unlink(name)
            raise
    except OSError as error:
        raise OptionError(f"dest: {dest} cannot be written: {error.strerror or error}") from error
