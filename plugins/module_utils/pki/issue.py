# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Private to this collection: may change in any release.
"""Issue a server certificate, by a CA or by itself: pure, with `now` passed in.

The profile is that of RFC 5280 as strict verifiers read it (OpenSSL with `-x509_strict`, Python 3.13, Go, webpki):
version 3, a random serial, subjectAltName always, basicConstraints CA:FALSE and keyUsage critical, EKU serverAuth, both
key identifiers. RFC 5280 4.2.1.6: with an empty subject the subjectAltName is critical.

A self-signed certificate has the same profile, CA:FALSE too: with CA:TRUE the key in the pods could sign for any name,
and every client that trusts it would believe that. Tried: as its own trust anchor OpenSSL (`-x509_strict -purpose
sslserver`), Python's ssl with VERIFY_X509_STRICT, Go and `cryptography`'s verifier accept it.
"""

from __future__ import annotations

import ipaddress
import typing as t
from dataclasses import dataclass, field
from datetime import datetime, timedelta

try:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
except ImportError:  # module.run() reports the missing library
    pass

from .errors import PkiError
from .keys import PrivateKey, spki

BACKDATED = timedelta(minutes=5)
# RFC 5280, appendix A.1: ub-common-name.
LONGEST_COMMON_NAME = 64


@dataclass(frozen=True, slots=True)
class Issuer:
    """Who signs: a CA certificate with its key, and what is sent after the leaf.

    Attributes:
        certificate: the certificate of the CA that signs.
        key: its private key.
        chain: certificates to be sent after the leaf, nearest first, without the root: `certificate` itself is in it
            when it is an intermediate.
        bundle: the roots that clients must trust.
    """

    certificate: x509.Certificate
    key: PrivateKey = field(repr=False)
    chain: tuple[x509.Certificate, ...] = ()
    bundle: tuple[x509.Certificate, ...] = ()


@dataclass(frozen=True, slots=True)
class LeafRequest:
    """What a server certificate shall say."""

    names: tuple[str, ...]
    addresses: tuple[str, ...]
    lifetime: timedelta


def leaf(request: LeafRequest, issuer: Issuer | None, key: PrivateKey, now: datetime) -> x509.Certificate:
    """A certificate for `key`, signed by `issuer`, or by itself where that is None.

    Valid from five minutes ago, for clients whose clocks are behind, and never outside of the issuer's own time.
    """
    start, end = validity(request.lifetime, issuer, now)
    subject = _subject(request, self_signed=issuer is None)
    signer = issuer.key if issuer else key
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.certificate.subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(end)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_digital_signature(), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName(_alternatives(request)), critical=not list(subject))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(_authority_key_identifier(issuer, key), critical=False)
    )
    return builder.sign(signer, signing_hash(signer))


def signing_request(request: LeafRequest, key: PrivateKey) -> str:
    """A request (PKCS#10) in PEM form to a CA that is not ours; how long the certificate is valid is for it to say."""
    subject = _subject(request, self_signed=False)
    made = (
        x509.CertificateSigningRequestBuilder()
        .subject_name(subject)
        .add_extension(x509.SubjectAlternativeName(_alternatives(request)), critical=not list(subject))
        .add_extension(_digital_signature(), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .sign(key, signing_hash(key))
    )
    return made.public_bytes(serialization.Encoding.PEM).decode("ascii")


def asked_by(text: bytes, *, what: str) -> tuple[frozenset[str], bytes]:
    """Names and addresses that a signing request is for, and its public key."""
    try:
        request = x509.load_pem_x509_csr(text)
        names = request.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (ValueError, x509.ExtensionNotFound):
        raise PkiError(f"{what}: cannot be read, expected a signing request in PEM form") from None
    return frozenset(str(name.value).lower() for name in names), spki(request.public_key())


def validity(lifetime: timedelta, issuer: Issuer | None, now: datetime) -> tuple[datetime, datetime]:
    """From when to when a certificate issued now is valid: inside the time of every certificate above it.

    Raises:
        PkiError: a certificate above it is not valid now.
    """
    # Certificates count in whole seconds.
    now = now.replace(microsecond=0)
    start, end = now - BACKDATED, now + lifetime
    for above in (issuer.certificate, *issuer.chain) if issuer else ():
        name = above.subject.rfc4514_string()
        if now < above.not_valid_before_utc:
            raise PkiError(f"authority: {name} is valid from {above.not_valid_before_utc:%Y-%m-%dT%H:%M:%SZ} only")
        if now >= above.not_valid_after_utc:
            raise PkiError(f"authority: {name} expired at {above.not_valid_after_utc:%Y-%m-%dT%H:%M:%SZ}")
        start, end = max(start, above.not_valid_before_utc), min(end, above.not_valid_after_utc)
    return start, end


def signing_hash(key: PrivateKey) -> t.Any:
    """The hash that goes with a signing key; Ed25519 has its own."""
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return None
    if isinstance(key, ec.EllipticCurvePrivateKey) and key.curve.key_size > 256:
        return hashes.SHA384()
    return hashes.SHA256()


def _subject(request: LeafRequest, *, self_signed: bool) -> x509.Name:
    texts = (*request.names, *request.addresses)
    common = next((text for text in texts if len(text) <= LONGEST_COMMON_NAME), None)
    if common:
        return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])
    # RFC 5280, 4.1.2.4: an issuer has a name.
    return x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, "self-signed")] if self_signed else [])


def _alternatives(request: LeafRequest) -> list[x509.GeneralName]:
    if not request.names and not request.addresses:
        raise PkiError("names: nothing given, expected a DNS name or an address that the certificate is for")
    return [
        *(x509.DNSName(name) for name in request.names),
        *(x509.IPAddress(ipaddress.ip_address(address)) for address in request.addresses),
    ]


def _digital_signature() -> x509.KeyUsage:
    # Key exchange in TLS 1.3, and in the ECDHE suites of 1.2, needs signatures only.
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=False,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )


def _authority_key_identifier(issuer: Issuer | None, key: PrivateKey) -> x509.AuthorityKeyIdentifier:
    if issuer is None:
        return x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key())
    try:
        own = issuer.certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    except x509.ExtensionNotFound:
        return x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer.key.public_key())
    return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(own)
