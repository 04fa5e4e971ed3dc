# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Certificates for tests: a CA, an intermediate, leaves with any fault, all real."""

from __future__ import annotations

import ipaddress
import typing as t
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from ansible_collections.plumbline.kubernetes.plugins.module_utils.pki import issue, keys

NOW = datetime(2026, 11, 23, 12, 0, 0, tzinfo=UTC)
DAY = timedelta(days=1)
NAMES = ("web", "web.demo", "web.demo.svc", "web.demo.svc.cluster.local")


def usage(**given: bool) -> x509.KeyUsage:
    flags = dict.fromkeys(
        (
            "digital_signature",
            "content_commitment",
            "key_encipherment",
            "data_encipherment",
            "key_agreement",
            "key_cert_sign",
            "crl_sign",
            "encipher_only",
            "decipher_only",
        ),
        False,
    )
    return x509.KeyUsage(**(flags | given))


def make(
    subject: str,
    key: t.Any,
    signer: tuple[x509.Certificate, t.Any] | None = None,
    *,
    start: datetime = NOW - DAY,
    end: datetime = NOW + 90 * DAY,
    names: t.Iterable[str] = (),
    addresses: t.Iterable[str] = (),
    ca: bool = False,
    purpose: x509.ObjectIdentifier | None = ExtendedKeyUsageOID.SERVER_AUTH,
    key_usage: x509.KeyUsage | None = None,
    path_length: int | None = None,
) -> x509.Certificate:
    """A certificate as good or bad as asked for."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)])
    above_key = signer[1] if signer else key
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(signer[0].subject if signer else name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(end)
        .add_extension(x509.BasicConstraints(ca=ca, path_length=path_length), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(above_key.public_key()), critical=False)
        .add_extension(
            key_usage or (usage(key_cert_sign=True, crl_sign=True) if ca else usage(digital_signature=True)),
            critical=True,
        )
    )
    general = [x509.DNSName(text) for text in names] + [x509.IPAddress(ipaddress.ip_address(a)) for a in addresses]
    if general:
        builder = builder.add_extension(x509.SubjectAlternativeName(general), critical=False)
    if purpose and not ca:
        builder = builder.add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
    return builder.sign(above_key, hashes.SHA256())


def new_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


ROOT_KEY, MIDDLE_KEY, LEAF_KEY = new_key(), new_key(), new_key()
ROOT = make("root", ROOT_KEY, ca=True, end=NOW + 3650 * DAY)
MIDDLE = make("middle", MIDDLE_KEY, (ROOT, ROOT_KEY), ca=True, end=NOW + 1000 * DAY)
BY_ROOT = issue.Issuer(ROOT, ROOT_KEY, (), (ROOT,))
BY_MIDDLE = issue.Issuer(MIDDLE, MIDDLE_KEY, (MIDDLE,), (ROOT,))


def issued(
    issuer: issue.Issuer | None = BY_ROOT,
    *,
    key: t.Any = LEAF_KEY,
    names: tuple[str, ...] = NAMES,
    addresses: tuple[str, ...] = (),
    days: float = 90,
    now: datetime = NOW,
) -> x509.Certificate:
    """A leaf as the module issues it."""
    return issue.leaf(issue.LeafRequest(names, addresses, timedelta(days=days)), issuer, key, now)


def pem(key: t.Any) -> bytes:
    return keys.pem(key)
