# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Name constraints: what we refuse before it is written is what OpenSSL refuses."""

from __future__ import annotations

import ipaddress
import subprocess
import typing as t
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes

from ansible_collections.plumbline.kubernetes.plugins.module_utils.pki import certificates, issue, keys
from ansible_collections.plumbline.kubernetes.plugins.module_utils.pki.authority import Profile, make
from ansible_collections.plumbline.kubernetes.plugins.module_utils.pki.errors import PkiError
from ansible_collections.plumbline.kubernetes.tests.unit.pki_material import LEAF_KEY, issued, usage

# OpenSSL goes by the clock on the wall.
NOW = datetime.now(UTC).replace(microsecond=0)
DAYS = timedelta(days=30)
ERROR = "subtree violation"


def constrained(
    intermediate: bool, names: tuple[str, ...] = ("demo", "svc"), addresses: tuple[str, ...] = ()
) -> issue.Issuer:
    """A CA of ours that is limited."""
    profile = Profile(
        "demo",
        "P-256",
        DAYS,
        intermediate=intermediate,
        permitted_names=names,
        permitted_addresses=addresses,
    )
    chain, key = make(profile, 1, NOW)
    return issue.Issuer(chain[0], key, chain[:-1], chain[-1:])


def theirs(permitted: t.Sequence[x509.GeneralName], excluded: t.Sequence[x509.GeneralName]) -> issue.Issuer:
    """A CA of somebody else, with any constraints."""
    key = keys.generate("P-256")
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "theirs")])
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), NOW - DAYS, NOW + DAYS)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(usage(key_cert_sign=True, crl_sign=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.NameConstraints(list(permitted) or None, list(excluded) or None), critical=True)
        .sign(t.cast(t.Any, key), hashes.SHA256())
    )
    return issue.Issuer(certificate, key, (), (certificate,))


def judged(issuer: issue.Issuer, tmp_path: Path, names: tuple[str, ...], addresses: tuple[str, ...]) -> tuple[str, str]:
    """What we and what OpenSSL say of a leaf: an empty text each where it is good."""
    leaf = issued(issuer, names=names, addresses=addresses, days=1, now=NOW)
    ours = ""
    try:
        certificates.validate((leaf, *issuer.chain), LEAF_KEY, NOW, roots=issuer.bundle)
    except PkiError as error:
        ours = str(error)
    files = {"leaf": (leaf,), "chain": issuer.chain or (leaf,), "root": issuer.bundle}
    for name, chain in files.items():
        (tmp_path / name).write_text(certificates.pem_of(chain))
    ran = subprocess.run(
        ["openssl", "verify", "-x509_strict", "-CAfile", "root", "-untrusted", "chain", "leaf"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    return ours, "" if ran.returncode == 0 else ran.stderr


@pytest.mark.parametrize("intermediate", [False, True], ids=["root", "intermediate"])
@pytest.mark.parametrize(
    ("names", "addresses", "outside"),
    [
        (("web.demo", "web.demo.svc"), (), ""),
        (("demo",), (), ""),
        (("*.demo",), (), ""),
        (("web.demo", "web"), (), "web"),
        (("web.demo", "shop.example.com"), (), "shop.example.com"),
        # A suffix of characters is none of labels.
        (("webdemo",), (), "webdemo"),
        # A CA that is limited by names only would let any address through.
        (("web.demo",), ("10.96.0.7",), "10.96.0.7"),
        (("web.demo",), ("fd00::7",), "fd00::7"),
        (("web",), ("10.96.0.7",), "web, 10.96.0.7"),
    ],
)
def test_a_name_that_the_ca_may_not_sign_is_refused_as_openssl_does(
    tmp_path: Path, intermediate: bool, names: tuple[str, ...], addresses: tuple[str, ...], outside: str
) -> None:
    ours, openssl = judged(constrained(intermediate), tmp_path, names, addresses)
    assert (ours == "") == (openssl == "") == (outside == "")
    if outside:
        assert f"may not issue for {outside} (name constraints)" in ours
        assert len(ours.splitlines()) == 1
        assert ERROR in openssl


@pytest.mark.parametrize(
    ("addresses", "good"),
    [(("10.96.0.7",), True), (("10.97.0.7",), False), (("fd00::7",), False), (("10.96.0.7", "192.0.2.1"), False)],
)
def test_permitted_networks_are_all_that_there_are(tmp_path: Path, addresses: tuple[str, ...], good: bool) -> None:
    issuer = constrained(intermediate=False, addresses=("10.96.0.0/16",))
    ours, openssl = judged(issuer, tmp_path, ("web.demo",), addresses)
    assert (ours == "", openssl == "") == (good, good)


NETWORK = x509.IPAddress(ipaddress.ip_network("10.0.0.0/8"))


@pytest.mark.parametrize(
    ("permitted", "excluded", "names", "addresses", "good"),
    [
        ([], [x509.DNSName("example.com")], ("web.demo",), (), True),
        ([], [x509.DNSName("example.com")], ("a.example.com",), (), False),
        ([x509.DNSName("example.com")], [x509.DNSName("b.example.com")], ("b.example.com",), (), False),
        ([x509.DNSName("Example.com")], [], ("a.eXample.com",), (), True),
        ([x509.DNSName(".example.com")], [], ("a.example.com",), (), True),
        ([x509.DNSName("example.com")], [], ("a.example.com",), ("192.0.2.1",), True),
        ([NETWORK], [], ("any.where",), ("10.1.2.3",), True),
        ([NETWORK], [], ("any.where",), ("192.0.2.1",), False),
        ([], [NETWORK], ("any.where",), ("10.1.2.3",), False),
        ([], [NETWORK], ("any.where",), ("192.0.2.1", "fd00::1"), True),
        ([x509.RFC822Name("example.com")], [], ("any.where",), ("192.0.2.1",), True),
    ],
)
def test_a_ca_of_somebody_else_is_read_as_openssl_does(
    tmp_path: Path,
    permitted: t.Sequence[x509.GeneralName],
    excluded: t.Sequence[x509.GeneralName],
    names: tuple[str, ...],
    addresses: tuple[str, ...],
    good: bool,
) -> None:
    ours, openssl = judged(theirs(permitted, excluded), tmp_path, names, addresses)
    assert (ours == "", openssl == "") == (good, good), (ours, openssl)
