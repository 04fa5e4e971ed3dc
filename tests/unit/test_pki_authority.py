# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A CA and its generations: each step of a rotation from each state, and its certificates before outside judges."""

from __future__ import annotations

import json
import subprocess
import typing as t
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509 import verification

from ansible_collections.plumbline.kubernetes.plugins.module_utils.pki import certificates, issue, keys
from ansible_collections.plumbline.kubernetes.plugins.module_utils.pki.authority import (
    Authority,
    Generation,
    Profile,
    dumps,
    loads,
    make,
    next_profile,
    plan,
    profile_of,
)
from ansible_collections.plumbline.kubernetes.plugins.module_utils.pki.errors import PkiError

# Judges from outside go by the clock on the wall.
NOW = datetime.now(UTC).replace(microsecond=0)
DAY = timedelta(days=1)
PROFILE = Profile("demo", "P-256", 3650 * DAY)
CHAINS = [make(PROFILE, number, NOW)[0] for number in (1, 2, 3)]
EXPIRED = make(replace(PROFILE, lifetime=DAY), 1, NOW - 2 * DAY)[0]


def state(text: str) -> Authority:
    """`1 outgoing, 2 issuing` as an authority."""
    pairs = [item.split() for item in text.split(", ")] if text else []
    return Authority(
        tuple(Generation(int(number), t.cast(t.Any, word), CHAINS[int(number) - 1]) for number, word in pairs)
    )


# -- steps

DONE = "the same"


@pytest.mark.parametrize(
    ("before", "step", "after"),
    [
        ("", None, "1 issuing"),
        ("1 issuing", None, DONE),
        # Nothing is rotated by itself, at any point of a rotation.
        ("1 issuing, 2 prepared", None, DONE),
        ("1 outgoing, 2 issuing", None, DONE),
        ("1 retired, 2 issuing", None, DONE),
        ("1 issuing", "prepare", "1 issuing, 2 prepared"),
        ("1 issuing, 2 prepared", "prepare", DONE),
        ("1 outgoing, 2 issuing", "prepare", DONE),
        ("1 issuing, 2 outgoing", "prepare", DONE),
        ("1 retired, 2 issuing", "prepare", "1 retired, 2 issuing, 3 prepared"),
        ("1 compromised, 2 issuing", "prepare", "1 compromised, 2 issuing, 3 prepared"),
        ("1 issuing, 2 prepared", "switch", "1 outgoing, 2 issuing"),
        ("1 outgoing, 2 issuing", "switch", DONE),
        ("1 issuing, 2 outgoing", "switch", "1 outgoing, 2 issuing"),
        ("1 outgoing, 2 issuing", "finish", "1 retired, 2 issuing"),
        ("1 issuing, 2 outgoing", "finish", "1 issuing, 2 retired"),
        ("1 retired, 2 issuing", "finish", DONE),
        ("1 issuing, 2 retired", "finish", DONE),
        ("1 issuing, 2 prepared", "rollback", "1 issuing, 2 retired"),
        ("1 outgoing, 2 issuing", "rollback", "1 issuing, 2 outgoing"),
        ("1 issuing, 2 outgoing", "rollback", DONE),
        ("1 issuing, 2 retired", "rollback", DONE),
        ("1 retired, 2 issuing, 3 prepared", "switch", "1 retired, 2 outgoing, 3 issuing"),
    ],
)
def test_a_step_leads_on_and_is_not_done_twice(before: str, step: str | None, after: str) -> None:
    found = plan(state(before), NOW, rotation=step)
    assert found.summary() == (before if after == DONE else after)
    assert plan(found, NOW, rotation=step).summary() == found.summary()
    # Each generation that is new has to be made; no other loses its certificates.
    assert [item.number for item in found.generations if not item.chain] == [
        item.number
        for item in found.generations
        if item.number not in [old.number for old in state(before).generations]
    ]


@pytest.mark.parametrize(
    ("before", "step", "says"),
    [
        ("", "prepare", "there is no CA yet"),
        ("", "rollback", "there is no CA yet"),
        ("1 issuing", "switch", "prepare first"),
        ("1 retired, 2 issuing", "switch", "prepare first"),
        ("1 issuing", "finish", "prepare first"),
        ("1 issuing, 2 prepared", "finish", "switch first"),
        ("1 issuing", "rollback", "no rotation is under way"),
        ("1 retired, 2 issuing", "rollback", "what finish dropped does not come back"),
    ],
)
def test_a_step_out_of_turn_is_refused_in_one_line(before: str, step: str, says: str) -> None:
    with pytest.raises(PkiError, match=says) as caught:
        plan(state(before), NOW, rotation=step)
    assert str(caught.value).startswith(f"rotation: {step} given, but ")
    assert not before or before in str(caught.value)


@pytest.mark.parametrize(
    ("before", "number", "after"),
    [
        ("1 issuing", 1, "1 compromised, 2 issuing"),
        ("1 compromised, 2 issuing", 1, DONE),
        ("1 issuing, 2 prepared", 1, "1 compromised, 2 issuing"),
        ("1 issuing, 2 prepared", 2, "1 issuing, 2 compromised"),
        ("1 outgoing, 2 issuing", 1, "1 compromised, 2 issuing"),
        ("1 outgoing, 2 issuing", 2, "1 issuing, 2 compromised"),
        ("1 retired, 2 issuing", 1, "1 compromised, 2 issuing"),
        ("1 retired, 2 issuing", 2, "1 retired, 2 compromised, 3 issuing"),
    ],
)
def test_a_compromised_generation_is_out_at_once_and_another_issues(before: str, number: int, after: str) -> None:
    found = plan(state(before), NOW, compromised=number)
    assert found.summary() == (before if after == DONE else after)
    assert CHAINS[number - 1][-1] not in found.roots
    assert found.issuing
    assert found.issuing.number != number
    # Whatever is done later, it never comes back.
    for step in ("prepare", "rollback", "switch", "finish"):
        try:
            found = plan(found, NOW, rotation=step)
        except PkiError:
            continue
        later = found.get(number)
        assert later
        assert later.state == "compromised"


def test_an_unknown_generation_cannot_be_marked() -> None:
    with pytest.raises(PkiError, match=r"^compromised: there is no generation 7, only 1 issuing$"):
        plan(state("1 issuing"), NOW, compromised=7)


def test_a_generation_out_of_its_time_is_not_switched_to() -> None:
    old = Generation(1, "outgoing", EXPIRED)
    with pytest.raises(PkiError, match=r"^authority: generation 1 \(CN=demo 1\) expired at "):
        plan(Authority((old, Generation(2, "issuing", CHAINS[1]))), NOW, rotation="rollback")
    late = Generation(2, "prepared", make(PROFILE, 2, NOW + DAY)[0])
    with pytest.raises(PkiError, match=r"generation 2 \(CN=demo 2\) is valid from "):
        plan(Authority((Generation(1, "issuing", CHAINS[0]), late)), NOW, rotation="switch")
    # Nor does it take the place of a compromised one.
    both = Authority((old, Generation(2, "issuing", CHAINS[1])))
    assert plan(both, NOW, compromised=2).summary() == "1 outgoing, 2 compromised, 3 issuing"


def test_the_time_of_a_generation_ends_after_its_last_second() -> None:
    generation = Generation(1, "issuing", CHAINS[0])
    certificate = CHAINS[0][0]
    for moment, good in [
        (certificate.not_valid_before_utc, True),
        (certificate.not_valid_before_utc - timedelta(seconds=1), False),
        (certificate.not_valid_after_utc, True),
        (certificate.not_valid_after_utc + timedelta(seconds=1), False),
    ]:
        assert generation.is_valid(moment) is good


# -- stored form


@pytest.mark.parametrize("text", ["1 issuing", "1 compromised, 2 outgoing, 3 issuing"])
def test_what_is_stored_is_read_again_and_holds_no_key(text: str) -> None:
    stored = dumps(state(text))
    assert loads(stored.encode(), what="here") == state(text)
    assert "PRIVATE" not in stored


def document(**changes: t.Any) -> str:
    entry = {"generation": 1, "state": "issuing", "certificates": certificates.pem_of(CHAINS[0])}
    return json.dumps(
        {"version": 1, "generations": [entry | changes], "bundle_namespaces": ["demo"], "trust_bundle": False}
    )


def test_a_document_that_is_whole_is_read() -> None:
    assert loads(document().encode(), what="here") == replace(state("1 issuing"), namespaces=("demo",))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "damaged"),
        ("[]", "damaged"),
        ("{}", "damaged"),
        ('{"version": 1, "generations": [7]}', "damaged"),
        (document().replace('"version": 1', '"version": 2'), "a newer collection wrote it"),
        (document(state="trusted"), "damaged"),
        (document(generation=0), "damaged"),
        (document(generation=True), "damaged"),
        (document(certificates=""), "generation 1: empty"),
        (document(certificates=certificates.pem_of([*CHAINS[0], *CHAINS[1]])), "no chain up to a root"),
        (dumps(state("1 issuing, 2 issuing")), "at most one issuing"),
        (dumps(Authority(tuple(reversed(state("1 issuing, 2 prepared").generations)))), "increasing numbers"),
    ],
)
def test_what_is_damaged_is_refused_in_one_line(text: str, says: str) -> None:
    with pytest.raises(PkiError, match=says) as caught:
        loads(text.encode(), what="here")
    assert str(caught.value).startswith("here")


# -- certificates

SHAPES = [
    replace(PROFILE, key_type=key_type, intermediate=intermediate)
    for key_type in ("P-256", "P-384", "Ed25519", "RSA-2048")
    for intermediate in (False, True)
]


def issued(
    profile: Profile, *, names: tuple[str, ...] = ("web.demo.svc",), addresses: tuple[str, ...] = ()
) -> tuple[certificates.Chain, x509.Certificate]:
    """A server's certificate with what is sent after it, and the root."""
    chain, key = make(profile, 1, NOW)
    request = issue.LeafRequest(names, addresses, 90 * DAY)
    leaf = issue.leaf(request, issue.Issuer(chain[0], key, chain[:-1]), keys.generate("P-256"), NOW)
    return (leaf, *chain[:-1]), chain[-1]


def openssl(folder: Path, chain: certificates.Chain, root: x509.Certificate, host: str) -> str:
    """Empty where OpenSSL accepts it, else what it says."""
    for name, content in (("root", (root,)), ("leaf", chain[:1]), ("above", chain[1:])):
        (folder / name).write_text(certificates.pem_of(content))
    above = ["-untrusted", str(folder / "above")] if chain[1:] else []
    ran = subprocess.run(
        [
            *("openssl", "verify", "-x509_strict", "-purpose", "sslserver", "-verify_hostname", host),
            *("-CAfile", str(folder / "root"), *above, str(folder / "leaf")),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    return "" if ran.returncode == 0 else ran.stderr + ran.stdout


@pytest.mark.parametrize("profile", SHAPES, ids=lambda item: f"{item.key_type}-{item.intermediate}")
def test_outside_judges_accept_what_it_issues(profile: Profile, tmp_path: Path) -> None:
    chain, root = issued(profile)
    assert len(chain) == (2 if profile.intermediate else 1)
    assert openssl(tmp_path, chain, root, "web.demo.svc") == ""
    assert "hostname mismatch" in openssl(tmp_path, chain, root, "other.demo.svc").lower()
    assert "issuer certificate" in openssl(tmp_path, chain, CHAINS[1][-1], "web.demo.svc")
    if profile.key_type == "Ed25519":
        return  # the profile of the CA/Browser Forum, which this verifier goes by, does not have it
    verifier = verification.PolicyBuilder().store(verification.Store([root])).time(NOW)
    found = verifier.build_server_verifier(x509.DNSName("web.demo.svc")).verify(chain[0], list(chain[1:]))
    assert found == [*chain, root]


@pytest.mark.parametrize("profile", SHAPES, ids=lambda item: f"{item.key_type}-{item.intermediate}")
def test_certificates_of_a_ca_say_what_they_may_do(profile: Profile) -> None:
    chain, key = make(profile, 4, NOW)
    assert keys.same_key(chain[0], key)
    assert [item.subject.rfc4514_string() for item in chain] == (
        ["CN=demo 4 intermediate", "CN=demo 4"] if profile.intermediate else ["CN=demo 4"]
    )
    for place, certificate in enumerate(chain):
        constraints = certificate.extensions.get_extension_for_class(x509.BasicConstraints)
        assert constraints.critical
        assert constraints.value == x509.BasicConstraints(ca=True, path_length=place)
        usage = certificate.extensions.get_extension_for_class(x509.KeyUsage)
        assert usage.critical
        assert usage.value.key_cert_sign
        assert usage.value.crl_sign
        assert not usage.value.digital_signature
        own = certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
        above = (
            chain[min(place + 1, len(chain) - 1)].extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
        )
        named = certificate.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value
        assert own == x509.SubjectKeyIdentifier.from_public_key(certificate.public_key())
        assert named.key_identifier == above.digest
        assert certificate.not_valid_before_utc == NOW - timedelta(minutes=5)
        assert certificate.not_valid_after_utc == NOW + 3650 * DAY
    assert len({item.serial_number for item in chain}) == len(chain)


NARROW = replace(PROFILE, permitted_names=("demo.svc", "example.com"))


@pytest.mark.parametrize("intermediate", [False, True])
@pytest.mark.parametrize(
    ("networks", "names", "addresses", "good"),
    [
        ((), ("web.demo.svc",), (), True),
        ((), ("demo.svc",), (), True),
        ((), ("example.com",), (), True),
        ((), ("web.demo.svc", "web.other.svc"), (), False),
        ((), ("web.demo.svc", "notexample.com"), (), False),
        ((), ("web.demo.svc",), ("10.0.0.1",), False),
        ((), ("web.demo.svc",), ("2001:db8::1",), False),
        (("10.0.0.0/24",), ("web.demo.svc",), ("10.0.0.1",), True),
        (("10.0.0.0/24",), ("web.demo.svc",), ("10.0.1.1",), False),
        (("10.0.0.0/24",), ("web.demo.svc",), ("2001:db8::1",), False),
        (("10.0.0.0/24", "2001:db8::/64"), ("web.demo.svc",), ("10.0.0.1", "2001:db8::1"), True),
    ],
)
def test_name_constraints_hold_back_foreign_names_and_every_address(
    *,
    networks: tuple[str, ...],
    names: tuple[str, ...],
    addresses: tuple[str, ...],
    good: bool,
    intermediate: bool,
    tmp_path: Path,
) -> None:
    profile = replace(NARROW, permitted_addresses=networks, intermediate=intermediate)
    chain, root = issued(profile, names=names, addresses=addresses)
    says = openssl(tmp_path, chain, root, names[0])
    if good:
        assert says == ""
    else:
        assert "permitted subtree violation" in says or "excluded subtree violation" in says
    for certificate in (*chain[1:], root):
        assert certificate.extensions.get_extension_for_class(x509.NameConstraints).critical


@pytest.mark.parametrize(
    ("profile", "says"),
    [
        (replace(PROFILE, intermediate=True, path_length=0), "path_length: 0 given, expected at least 1"),
        (replace(PROFILE, path_length=-1), "path_length: -1 given, expected at least 0"),
        (replace(PROFILE, subject="x" * 64), "subject: 66 characters"),
        (replace(PROFILE, key_type="RSA-1024"), "key_type"),
    ],
)
def test_a_profile_that_cannot_be_is_refused(profile: Profile, says: str) -> None:
    with pytest.raises(PkiError, match=says):
        make(profile, 1, NOW)


# -- the next one is as the one before

ADDRESSES = ("10.0.0.0/8", "2001:db8::/32")


@pytest.mark.parametrize(
    "profile",
    [
        PROFILE,
        *SHAPES,
        NARROW,
        replace(NARROW, permitted_addresses=ADDRESSES, intermediate=True, key_type="RSA-2048"),
        replace(PROFILE, path_length=3),
        replace(PROFILE, path_length=1, intermediate=False),
        replace(PROFILE, lifetime=DAY, subject="a CA 2"),
    ],
    ids=str,
)
@pytest.mark.parametrize("number", [1, 12])
def test_what_a_generation_is_can_be_read_from_its_certificates(profile: Profile, number: int) -> None:
    chain, _key = make(profile, number, NOW)
    assert profile_of(Generation(number, "issuing", chain)) == profile


def test_as_many_cas_as_there_are_is_no_choice_to_repeat() -> None:
    chain, _key = make(replace(PROFILE, path_length=0), 1, NOW)
    # With an intermediate it would be one too few.
    assert profile_of(Generation(1, "issuing", chain)).path_length is None


WIDE = replace(PROFILE, subject="wide", key_type="P-384")
BOTH = replace(NARROW, permitted_addresses=ADDRESSES, intermediate=True)


def generation(number: int, word: t.Any, profile: Profile) -> Generation:
    return Generation(number, word, make(profile, number, NOW)[0])


@pytest.mark.parametrize(
    ("generations", "given", "expected"),
    [
        ([], {}, WIDE),
        ([], {"intermediate": True}, replace(WIDE, intermediate=True)),
        ([("issuing", BOTH)], {}, BOTH),
        ([("issuing", BOTH)], {"key_type": "Ed25519"}, replace(BOTH, key_type="Ed25519")),
        ([("issuing", BOTH)], {"intermediate": False}, replace(BOTH, intermediate=False)),
        ([("issuing", BOTH)], {"permitted_names": ("svc",)}, replace(BOTH, permitted_names=("svc",))),
        ([("issuing", BOTH)], {"permitted_addresses": ()}, replace(BOTH, permitted_addresses=())),
        # Who may issue for any name may issue for any address.
        ([("issuing", BOTH)], {"permitted_names": ()}, replace(BOTH, permitted_names=(), permitted_addresses=())),
        # The one that issues counts, or the newest where none does.
        ([("issuing", BOTH), ("prepared", PROFILE)], {}, BOTH),
        ([("outgoing", PROFILE), ("issuing", BOTH)], {}, BOTH),
        ([("issuing", BOTH), ("retired", PROFILE)], {}, BOTH),
        ([("retired", PROFILE), ("compromised", BOTH)], {}, BOTH),
    ],
)
def test_the_next_generation_is_as_the_one_that_issues(
    generations: list[tuple[str, Profile]], given: dict[str, t.Any], expected: Profile
) -> None:
    made = tuple(generation(number, *item) for number, item in enumerate(generations, 1))
    assert next_profile(Authority(made), WIDE, given) == expected
