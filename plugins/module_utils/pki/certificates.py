# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Private to this collection: may change in any release.
"""Read, describe and judge certificates: pure, with `now` passed in.

:func:`validate` holds back everything that a server would serve to the harm of its clients: it is asked before any
write, so that bad material never replaces good.
"""

from __future__ import annotations

import ipaddress
import re
import typing as t
from datetime import datetime
from itertools import pairwise

try:
    from cryptography import x509
    from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import rsa
    from cryptography.x509.oid import ExtendedKeyUsageOID
except ImportError:  # module.run() reports the missing library
    pass

from .errors import PkiError
from .keys import PrivateKey, same_key, type_of

Chain = tuple["x509.Certificate", ...]
Address: t.TypeAlias = "ipaddress.IPv4Address | ipaddress.IPv6Address"

_BLOCK = re.compile(rb"-----BEGIN CERTIFICATE-----(.*?)-----END CERTIFICATE-----", re.DOTALL)
_GLUED = re.compile(rb"-----END [A-Z0-9 ]+-----[ \t]*-----BEGIN ")


# ----- reading and writing


def parse_chain(pem: bytes, *, what: str = "the certificate") -> Chain:
    """All certificates of a PEM text in their order; `what` names it in errors.

    Line lengths, line ends and text between the blocks mean nothing. Two blocks on one line do: programs that read
    PEM by lines, nginx among them, find a damaged certificate there.
    """
    if not pem.strip():
        raise PkiError(f"{what}: empty, expected a certificate in PEM form")
    if _GLUED.search(pem):
        raise PkiError(f"{what}: two PEM blocks on one line (a newline is missing between files that were joined)")
    blocks = _BLOCK.findall(pem)
    if not blocks:
        raise PkiError(f"{what}: no PEM block of a certificate in it, expected '-----BEGIN CERTIFICATE-----'")
    return tuple(_certificate(block, f"{what}, block {number}") for number, block in enumerate(blocks, 1))


def _certificate(block: bytes, what: str) -> x509.Certificate:
    body = b"".join(block.split())
    lines = [body[start : start + 64] for start in range(0, len(body), 64)]
    text = b"\n".join([b"-----BEGIN CERTIFICATE-----", *lines, b"-----END CERTIFICATE-----", b""])
    try:
        certificate = x509.load_pem_x509_certificate(text)
        # Both are read late by the library, and are where odd certificates break.
        certificate.public_key()
        tuple(certificate.extensions)
    except (ValueError, UnsupportedAlgorithm, x509.DuplicateExtension, x509.UnsupportedGeneralNameType):
        raise PkiError(f"{what}: damaged, or of a form that cannot be read") from None
    return certificate


def pem_of(certificates: t.Iterable[x509.Certificate]) -> str:
    """PEM text of certificates, each block with a newline at its end."""
    return "".join(item.public_bytes(serialization.Encoding.PEM).decode("ascii") for item in certificates)


# ----- describing


def facts(certificate: x509.Certificate) -> dict[str, t.Any]:
    """What everybody may know of a certificate, as JSON."""
    return {
        "serial": f"{certificate.serial_number:x}",
        "fingerprint": fingerprint(certificate),
        "subject": certificate.subject.rfc4514_string(),
        "issuer": certificate.issuer.rfc4514_string(),
        "names": list(dns_names(certificate)),
        "addresses": list(ip_addresses(certificate)),
        "not_before": stamp(certificate.not_valid_before_utc),
        "not_after": stamp(certificate.not_valid_after_utc),
        "key_type": type_of(certificate.public_key()),
        "is_ca": is_ca(certificate),
    }


def stamp(moment: datetime) -> str:
    """A moment as ISO 8601 in UTC, to the second."""
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}"


def der(certificate: x509.Certificate) -> bytes:
    """The certificate as it is signed and sent."""
    return certificate.public_bytes(serialization.Encoding.DER)


def fingerprint(certificate: x509.Certificate) -> str:
    """SHA-256 of the whole certificate."""
    return certificate.fingerprint(hashes.SHA256()).hex()


def dns_names(certificate: x509.Certificate) -> tuple[str, ...]:
    """DNS names of the subjectAltName. The common name is none: RFC 9525 lets clients ignore it, and they do."""
    return tuple(_alternatives(certificate, x509.DNSName))


def ip_addresses(certificate: x509.Certificate) -> tuple[str, ...]:
    """IP addresses of the subjectAltName."""
    return tuple(str(address) for address in _alternatives(certificate, x509.IPAddress))


def _alternatives(certificate: x509.Certificate, kind: t.Any) -> list[t.Any]:
    names = extension(certificate, x509.SubjectAlternativeName)
    return list(names.get_values_for_type(kind)) if names else []


def extension(certificate: x509.Certificate, kind: t.Any) -> t.Any:
    """The value of an extension, None where there is none of that kind."""
    try:
        return certificate.extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None


def is_ca(certificate: x509.Certificate) -> bool:
    """Whether it may sign others (basicConstraints)."""
    constraints = extension(certificate, x509.BasicConstraints)
    return bool(constraints and constraints.ca)


def is_self_signed(certificate: x509.Certificate) -> bool:
    """Whether it is its own issuer, by name and by signature."""
    return issued_by(certificate, certificate)


def issued_by(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    """Whether `issuer` signed `certificate`, by name and by signature."""
    try:
        certificate.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
        return False
    return True


# ----- judging


def validate(
    chain: Chain,
    key: PrivateKey,
    now: datetime,
    *,
    names: t.Iterable[str] = (),
    addresses: t.Iterable[str] = (),
    roots: Chain = (),
    what: str = "the certificate",
) -> None:
    """Refuse a pair that must not be served.

    Args:
        chain: as it would be sent: leaf first, then each one's issuer, without the root.
        key: the private key for it.
        names: DNS names that the leaf must be valid for; `addresses` likewise.
        roots: what clients will trust, where that is known: the chain must lead there.
        what: how errors name the material.
    """
    leaf = chain[0]
    _check_pair(chain, key, what)
    _check_leaf(leaf, what)
    _check_strength(chain, what)
    _check_names(leaf, names, addresses, what)
    _check_time(chain, now, what)
    _check_constraints(leaf, _check_order(chain, roots, what), what)


def _name(certificate: x509.Certificate) -> str:
    return repr(certificate.subject.rfc4514_string() or f"serial {certificate.serial_number:x}")


def _check_pair(chain: Chain, key: PrivateKey, what: str) -> None:
    if same_key(chain[0], key):
        return
    for number, certificate in enumerate(chain[1:], 2):
        if same_key(certificate, key):
            raise PkiError(
                f"{what}: the private key belongs to certificate {number} ({_name(certificate)}), expected to "
                f"the first ({_name(chain[0])}); put the server's certificate first, then its CA"
            )
    raise PkiError(f"{what}: {_name(chain[0])} does not belong to the private key, expected a pair")


def _check_leaf(leaf: x509.Certificate, what: str) -> None:
    if is_ca(leaf) and not is_self_signed(leaf):
        raise PkiError(f"{what}: {_name(leaf)} is the certificate of a CA, expected one of a server")
    purposes = extension(leaf, x509.ExtendedKeyUsage)
    if purposes and not {ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE} & set(purposes):
        raise PkiError(f"{what}: {_name(leaf)} is not for servers, expected the extended key usage serverAuth")
    usage = extension(leaf, x509.KeyUsage)
    if usage and not usage.digital_signature:
        raise PkiError(f"{what}: {_name(leaf)} may not sign in a handshake, expected the key usage digitalSignature")
    if not dns_names(leaf) and not ip_addresses(leaf):
        raise PkiError(
            f"{what}: {_name(leaf)} has no subjectAltName with a DNS name or an address, expected one; clients ignore "
            "the common name"
        )


def _check_strength(chain: Chain, what: str) -> None:
    for certificate in chain:
        public = certificate.public_key()
        if isinstance(public, rsa.RSAPublicKey) and public.key_size < 2048:
            raise PkiError(f"{what}: {_name(certificate)} has an RSA key of {public.key_size} bits, expected >= 2048")
        algorithm = certificate.signature_hash_algorithm
        if isinstance(algorithm, (hashes.MD5, hashes.SHA1)):
            raise PkiError(f"{what}: {_name(certificate)} is signed with {algorithm.name}, expected SHA-256 or better")


def _check_names(leaf: x509.Certificate, names: t.Iterable[str], addresses: t.Iterable[str], what: str) -> None:
    present = dns_names(leaf)
    lacking = [name for name in names if not any(covers(pattern, name) for pattern in present)]
    lacking += sorted(set(addresses) - set(ip_addresses(leaf)))
    if lacking:
        raise PkiError(
            f"{what}: {_name(leaf)} is not valid for {', '.join(lacking)}, only for "
            f"{', '.join((*present, *ip_addresses(leaf)))}"
        )


def covers(pattern: str, name: str) -> bool:
    """Whether a DNS name of a certificate covers `name`; a star stands for one whole label (RFC 9525, 6.3)."""
    pattern, name = pattern.lower().rstrip("."), name.lower().rstrip(".")
    if pattern.startswith("*."):
        return name.partition(".")[2] == pattern[2:] and not name.startswith(".")
    return pattern == name


def _check_time(chain: Chain, now: datetime, what: str) -> None:
    for certificate in chain:
        if now < certificate.not_valid_before_utc:
            raise PkiError(
                f"{what}: {_name(certificate)} is not yet valid, from {stamp(certificate.not_valid_before_utc)} only"
            )
        if now > certificate.not_valid_after_utc:
            raise PkiError(f"{what}: {_name(certificate)} expired at {stamp(certificate.not_valid_after_utc)}")


def _check_order(chain: Chain, roots: Chain, what: str) -> Chain:
    """All CA certificates above the leaf, as far as they are known."""
    for lower, upper in pairwise(chain):
        if not issued_by(lower, upper):
            raise PkiError(
                f"{what}: {_name(lower)} is followed by {_name(upper)}, which did not sign it; expected the server's "
                "certificate first, then each one's issuer"
            )
    path = _with_root(chain, roots, what)
    for between, (lower, upper) in enumerate(pairwise(path)):
        _check_issuer(lower, upper, between, what)
    return path[1:]


def _with_root(chain: Chain, roots: Chain, what: str) -> Chain:
    """The chain up to what clients trust, where that is known."""
    last = chain[-1]
    if not roots or last in roots:
        return chain
    above = next((root for root in roots if issued_by(last, root)), None)
    if above is None:
        raise PkiError(f"{what}: {_name(last)} was issued by none of the CA certificates that clients trust")
    return (*chain, above)


def _check_issuer(lower: x509.Certificate, upper: x509.Certificate, between: int, what: str) -> None:
    """Whether `upper` may have signed `lower`, with so many other CAs between it and the leaf."""
    usage = extension(upper, x509.KeyUsage)
    if not is_ca(upper) or (usage and not usage.key_cert_sign):
        raise PkiError(f"{what}: {_name(upper)} is no CA (basicConstraints, keyCertSign), but signed {_name(lower)}")
    longest = extension(upper, x509.BasicConstraints).path_length
    if longest is not None and between > longest:
        raise PkiError(f"{what}: {_name(upper)} has {between} CAs below it, expected at most {longest} (path length)")
    if lower.not_valid_after_utc > upper.not_valid_after_utc:
        raise PkiError(
            f"{what}: {_name(lower)} is valid until {stamp(lower.not_valid_after_utc)} and outlives its CA "
            f"{_name(upper)}, valid until {stamp(upper.not_valid_after_utc)}"
        )


def _check_constraints(leaf: x509.Certificate, above: Chain, what: str) -> None:
    """RFC 5280, 4.2.1.10: each CA above may limit the names, and clients refuse one that is outside."""
    names: list[str | Address] = [*dns_names(leaf), *(ipaddress.ip_address(text) for text in ip_addresses(leaf))]
    for authority in above:
        constraints = extension(authority, x509.NameConstraints)
        outside = [str(name) for name in names if constraints and not _allowed(name, constraints)]
        if outside:
            raise PkiError(
                f"{what}: {_name(authority)} may not issue for {', '.join(outside)} (name constraints); leave it out, "
                "or use a CA that may"
            )


def _allowed(name: str | Address, constraints: x509.NameConstraints) -> bool:
    """Without a permitted subtree of its kind a name is not limited, but by those that are excluded."""
    permitted, excluded = (
        _subtrees(name, constraints.permitted_subtrees),
        _subtrees(name, constraints.excluded_subtrees),
    )
    return not any(_within(name, tree) for tree in excluded) and (
        not permitted or any(_within(name, tree) for tree in permitted)
    )


def _subtrees(name: str | Address, trees: t.Iterable[x509.GeneralName] | None) -> list[t.Any]:
    kind = x509.DNSName if isinstance(name, str) else x509.IPAddress
    return [tree.value for tree in trees or () if isinstance(tree, kind)]


def _within(name: str | Address, tree: t.Any) -> bool:
    if not isinstance(name, str):
        return name.version == tree.version and name in tree
    name, tree = name.lower(), tree.lower()
    # A dot at the beginning is no form of the RFC; where it is met it means the names below only.
    return not tree or name == tree or name.endswith(f".{tree.removeprefix('.')}")
