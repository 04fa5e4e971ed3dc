# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""When and why a certificate is replaced, to the second of each edge."""

from __future__ import annotations

import typing as t
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from ansible_collections.plumbline.kubernetes.plugins.module_utils.pki.certificates import Chain
from ansible_collections.plumbline.kubernetes.plugins.module_utils.pki.decide import (
    JITTER,
    Decision,
    Renewal,
    Stored,
    Wanted,
    decide,
    decide_given,
)
from ansible_collections.plumbline.kubernetes.plugins.module_utils.pki.issue import Issuer
from ansible_collections.plumbline.kubernetes.tests.unit.pki_material import (
    BY_MIDDLE,
    BY_ROOT,
    DAY,
    MIDDLE,
    NAMES,
    NOW,
    ROOT,
    ROOT_KEY,
    issued,
    make,
    new_key,
)

SECOND = timedelta(seconds=1)
LEAF = issued(BY_ROOT)
BY_ITSELF = issued(None)
THROUGH = issued(BY_MIDDLE)
RENEWAL = Renewal()
WANTED = Wanted(NAMES, (), "P-256", BY_ROOT, 90 * DAY, RENEWAL)
DUE = RENEWAL.at(LEAF)


def stored(*chain: t.Any, pair: bool = True) -> Stored:
    return Stored(tuple(chain), pair)


@pytest.mark.parametrize(
    ("found", "wanted", "now", "reason"),
    [
        pytest.param(None, WANTED, NOW, "missing", id="nothing"),
        pytest.param(None, replace(WANTED, forced=True), NOW, "missing", id="nothing-and-forced"),
        pytest.param(stored(pair=False), WANTED, NOW, "key_mismatch", id="unreadable"),
        pytest.param(stored(LEAF, pair=False), WANTED, NOW, "key_mismatch", id="other-key"),
        pytest.param(stored(LEAF), WANTED, NOW, "none", id="good"),
        pytest.param(stored(LEAF), replace(WANTED, forced=True), NOW, "forced", id="forced"),
        # time
        pytest.param(stored(LEAF), WANTED, LEAF.not_valid_before_utc - SECOND, "expired", id="not-yet-valid"),
        pytest.param(stored(LEAF), WANTED, LEAF.not_valid_before_utc, "none", id="first-second"),
        pytest.param(stored(LEAF), WANTED, DUE - SECOND, "none", id="one-second-before-due"),
        pytest.param(stored(LEAF), WANTED, DUE - timedelta(microseconds=1), "none", id="just-before-due"),
        pytest.param(stored(LEAF), WANTED, DUE, "renewal_due", id="due"),
        pytest.param(stored(LEAF), WANTED, LEAF.not_valid_after_utc, "renewal_due", id="last-second"),
        pytest.param(stored(LEAF), WANTED, LEAF.not_valid_after_utc + SECOND, "expired", id="one-second-late"),
        pytest.param(stored(LEAF), replace(WANTED, forced=True), DUE, "forced", id="due-and-forced"),
        # names
        pytest.param(stored(LEAF), replace(WANTED, names=NAMES[::-1]), NOW, "none", id="order"),
        pytest.param(stored(LEAF), replace(WANTED, names=tuple(n.upper() for n in NAMES)), NOW, "none", id="case"),
        pytest.param(stored(LEAF), replace(WANTED, names=NAMES[:3]), NOW, "names_changed", id="one-less"),
        pytest.param(stored(LEAF), replace(WANTED, names=(*NAMES, "x")), NOW, "names_changed", id="one-more"),
        pytest.param(stored(LEAF), replace(WANTED, addresses=("10.0.0.1",)), NOW, "names_changed", id="address"),
        pytest.param(
            stored(issued(addresses=("10.0.0.1", "fd00::7"))),
            replace(WANTED, addresses=("fd00::7", "10.0.0.1")),
            NOW,
            "none",
            id="order-of-addresses",
        ),
        # key type
        pytest.param(stored(LEAF), replace(WANTED, key_type="RSA-2048"), NOW, "key_type_changed", id="key-type"),
        # issuer
        pytest.param(stored(BY_ITSELF), WANTED, NOW, "issuer_changed", id="from-self-signed"),
        pytest.param(stored(LEAF), replace(WANTED, authority=None), NOW, "issuer_changed", id="to-self-signed"),
        pytest.param(stored(BY_ITSELF), replace(WANTED, authority=None), NOW, "none", id="self-signed"),
        pytest.param(stored(THROUGH, MIDDLE), WANTED, NOW, "issuer_changed", id="from-intermediate"),
        pytest.param(stored(THROUGH, MIDDLE), replace(WANTED, authority=BY_MIDDLE), NOW, "none", id="intermediate"),
        pytest.param(stored(THROUGH), replace(WANTED, authority=BY_MIDDLE), NOW, "issuer_changed", id="chain-cut"),
        pytest.param(stored(LEAF, ROOT), WANTED, NOW, "issuer_changed", id="root-sent"),
    ],
)
def test_reason(found: Stored | None, wanted: Wanted, now: datetime, reason: str) -> None:
    decision = decide(found, wanted, now)
    assert decision.reason == reason
    assert decision.replace is (reason != "none")
    assert decision.detail


def test_a_ca_with_the_same_name_and_another_key_is_another() -> None:
    key = new_key()
    twin = make("root", key, ca=True, end=NOW + 3650 * DAY)
    assert decide(stored(LEAF), replace(WANTED, authority=Issuer(twin, key)), NOW).reason == "issuer_changed"


def test_a_ca_that_got_a_longer_life_is_the_same() -> None:
    longer = make("root", ROOT_KEY, ca=True, end=NOW + 7300 * DAY)
    assert decide(stored(LEAF), replace(WANTED, authority=Issuer(longer, ROOT_KEY)), NOW).reason == "none"


def test_a_renewal_that_gains_no_time_is_none() -> None:
    brief = Issuer(make("brief", ROOT_KEY, ca=True, end=NOW + 20 * DAY), ROOT_KEY)
    leaf = issued(brief)
    wanted = replace(WANTED, authority=brief, renewal=Renewal(before=30 * DAY))
    assert leaf.not_valid_after_utc == NOW + 20 * DAY
    decision = decide(stored(leaf), wanted, NOW + DAY)
    assert decision.reason == "none"
    assert "renew the CA" in decision.detail
    longer = Issuer(make("brief", ROOT_KEY, ca=True, end=NOW + 21 * DAY), ROOT_KEY)
    assert decide(stored(leaf), replace(wanted, authority=longer), NOW + DAY).reason == "renewal_due"


@pytest.mark.parametrize(
    ("renewal", "margin"),
    [
        (Renewal(), (90 * DAY + timedelta(minutes=5)) / 3),
        (Renewal(fraction=0.5), (90 * DAY + timedelta(minutes=5)) / 2),
        (Renewal(before=10 * DAY), 10 * DAY),
    ],
)
def test_jitter_is_bounded_fixed_and_spreads(renewal: Renewal, margin: timedelta) -> None:
    leaves = [issued(None, key=new_key()) for _number in range(30)]
    moments = [renewal.at(leaf) for leaf in leaves]
    latest = leaves[0].not_valid_after_utc - margin
    assert moments == [renewal.at(leaf) for leaf in leaves]
    assert all(latest - margin * JITTER - SECOND <= moment <= latest for moment in moments)
    assert all(moment.microsecond == 0 for moment in moments)
    assert len(set(moments)) > 20


def test_a_new_certificate_is_not_due() -> None:
    for fraction in (0.01, 1 / 3, 0.9):
        assert decide(stored(LEAF), replace(WANTED, renewal=Renewal(fraction)), NOW).reason == "none"


# -- given by somebody else


@pytest.mark.parametrize(
    ("found", "given", "now", "reason"),
    [
        pytest.param(None, (LEAF,), NOW, "missing", id="nothing"),
        pytest.param(stored(LEAF), (LEAF,), NOW, "none", id="same"),
        pytest.param(stored(LEAF), (LEAF,), DUE + SECOND, "none", id="same-and-due"),
        pytest.param(stored(LEAF, pair=False), (LEAF,), NOW, "key_mismatch", id="other-key"),
        pytest.param(stored(LEAF), (issued(BY_ROOT),), NOW, "renewal_due", id="newer"),
        pytest.param(stored(LEAF), (issued(BY_ROOT, names=("web",)),), NOW, "names_changed", id="names"),
        pytest.param(stored(LEAF), (THROUGH, MIDDLE), NOW, "issuer_changed", id="issuer"),
        pytest.param(stored(THROUGH), (THROUGH, MIDDLE), NOW, "issuer_changed", id="chain-completed"),
        pytest.param(stored(LEAF), (BY_ITSELF,), NOW, "issuer_changed", id="self-signed"),
        pytest.param(
            stored(LEAF), (issued(BY_ROOT),), LEAF.not_valid_after_utc + SECOND, "expired", id="replaces-expired"
        ),
    ],
)
def test_reason_for_a_given_one(found: Stored | None, given: Chain, now: datetime, reason: str) -> None:
    assert decide_given(found, given, RENEWAL, now).reason == reason


def test_what_stays_says_when_it_is_due() -> None:
    assert decide(stored(LEAF), WANTED, NOW) == Decision("none", f"it is good until {DUE:%Y-%m-%dT%H:%M:%SZ}", DUE)
    assert decide(None, WANTED, NOW).renew_at is None
