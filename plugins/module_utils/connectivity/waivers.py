# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Private to this collection: may change in any release.
"""Complaints that are accepted for a time, with a reason. Pure."""

from __future__ import annotations

import difflib
import typing as t
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date
from fnmatch import fnmatchcase

from ..kube.errors import OptionError
from .result import INCONCLUSIVE, SKIPPED, Finding


@dataclass(frozen=True, slots=True)
class Waiver:
    """One acceptance.

    Attributes:
        id: of the check.
        object: whom it is accepted of, with shell wildcards.
        until: the last day.
    """

    id: str
    object: str
    until: date
    reason: str

    def covers(self, finding: Finding, today: date) -> bool:
        """Whether it accepts a finding today."""
        return self.id == finding.id and today <= self.until and fnmatchcase(finding.object, self.object)


def waiver(given: t.Mapping[str, t.Any]) -> Waiver:
    """A waiver out of an option.

    Raises:
        OptionError: the date is none.
    """
    try:
        until = date.fromisoformat(given["until"])
    except ValueError as error:
        problem = f"until {given['until']!r} of {given['id']} given, a date like 2026-12-31 expected"
        raise OptionError(f"waivers: {problem}") from error
    if not given["reason"].strip():
        raise OptionError(f"waivers: no reason of {given['id']} given")
    return Waiver(given["id"], given["object"], until, given["reason"].strip())


def refuse_unknown(waivers: Iterable[Waiver], known: Iterable[str]) -> None:
    """Refuse waivers of checks that there are not: a mistyped one would accept nothing, silently.

    Raises:
        OptionError: there is one.
    """
    ids = sorted(known)
    for one in waivers:
        if one.id not in ids:
            near = difflib.get_close_matches(one.id, ids, 1)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise OptionError(f"waivers: there is no check {one.id}{hint}")


def waived(findings: Sequence[Finding], waivers: Sequence[Waiver], today: date) -> list[Finding]:
    """The findings, with those that are accepted as skipped."""
    return [_waived(finding, waivers, today) for finding in findings]


def _waived(finding: Finding, waivers: Sequence[Waiver], today: date) -> Finding:
    if not finding.complains and finding.status != INCONCLUSIVE:
        return finding
    for one in waivers:
        if one.covers(finding, today):
            message = f"waived until {one.until}, {one.reason}: {finding.message}"
            return replace(finding, status=SKIPPED, message=message, component="")
    return finding


def expired(waivers: Iterable[Waiver], today: date) -> list[str]:
    """What to warn of."""
    return [
        f"the waiver of {one.id} for {one.object} expired on {one.until} and no longer counts ({one.reason})"
        for one in waivers
        if today > one.until
    ]
