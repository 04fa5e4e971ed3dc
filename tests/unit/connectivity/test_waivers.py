# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Complaints that are accepted for a time."""

from __future__ import annotations

import typing as t
from datetime import date

import pytest

from ansible_collections.plumbline.kubernetes.plugins.module_utils.connectivity.checks import IDS
from ansible_collections.plumbline.kubernetes.plugins.module_utils.connectivity.result import (
    FAIL,
    INCONCLUSIVE,
    PASS,
    SKIPPED,
    WARN,
    Finding,
)
from ansible_collections.plumbline.kubernetes.plugins.module_utils.connectivity.waivers import (
    Waiver,
    expired,
    refuse_unknown,
    waived,
    waiver,
)
from ansible_collections.plumbline.kubernetes.plugins.module_utils.kube.errors import OptionError

TODAY = date(2026, 11, 23)
GIVEN = {"id": "TL-06", "object": "*", "until": "2026-11-23", "reason": "renewed by hand on Monday"}


def finding(status: str = WARN, check: str = "TL-06", about: str = "Pod demo/web-1") -> Finding:
    return Finding(check, "http", status, "it expires soon", object=about, component="certificate")


@pytest.mark.parametrize(
    ("found", "given", "status"),
    [
        pytest.param(finding(), {}, SKIPPED, id="on its last day"),
        pytest.param(finding(), {"until": "2026-11-22"}, WARN, id="the day after"),
        pytest.param(finding(FAIL), {}, SKIPPED, id="a failure"),
        pytest.param(finding(INCONCLUSIVE), {}, SKIPPED, id="undecided"),
        pytest.param(finding(PASS), {}, PASS, id="good anyway"),
        pytest.param(finding(check="TL-05"), {}, WARN, id="another check"),
        pytest.param(finding(), {"object": "Pod demo/web-*"}, SKIPPED, id="of this object"),
        pytest.param(finding(), {"object": "Pod demo/db-*"}, WARN, id="of another object"),
    ],
)
def test_what_is_waived(found: Finding, given: dict[str, str], status: str) -> None:
    (after,) = waived([found], [waiver({**GIVEN, **given})], TODAY)
    assert after.status == status
    if status == SKIPPED:
        assert after.message == "waived until 2026-11-23, renewed by hand on Monday: it expires soon"
        assert not after.component  # it explains nothing any more
    else:
        assert after == found


def test_one_that_expired_is_told() -> None:
    old = waiver({**GIVEN, "until": "2026-11-22"})
    assert expired([waiver(GIVEN), old], TODAY) == [
        "the waiver of TL-06 for * expired on 2026-11-22 and no longer counts (renewed by hand on Monday)"
    ]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"until": "soon"}, "until 'soon' of TL-06 given, a date like 2026-12-31 expected"),
        ({"reason": " "}, "no reason of TL-06 given"),
    ],
)
def test_one_without_an_end_or_a_reason_is_refused(given: dict[str, t.Any], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        waiver({**GIVEN, **given})


def test_one_of_an_unknown_check_is_refused() -> None:
    refuse_unknown([waiver(GIVEN)], IDS)
    with pytest.raises(OptionError, match="there is no check TL-66; did you mean TL-06"):
        refuse_unknown([Waiver("TL-66", "*", TODAY, "x")], IDS)
