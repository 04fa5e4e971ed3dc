# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Private to this collection: may change in any release.
"""Which common clients accept a certificate that is trusted, timely and of the right name. Pure.

A green curl does not prove a certificate right: each of these clients asks for more than OpenSSL does by default.
"""

from __future__ import annotations

import typing as t

try:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import dsa, ec, rsa
    from cryptography.x509.oid import ExtendedKeyUsageOID
except ImportError:  # module.run() reports the missing library
    pass

from ..pki.certificates import Chain, dns_names, ip_addresses, is_ca, is_self_signed, issued_by

CLIENTS = ("curl", "Go", "urllib3", "Python strict")
# Bits of RSA and of a curve, bytes of a digest.
_LEAST_RSA, _LEAST_CURVE, _LEAST_DIGEST = 2048, 224, 28
_Kind = type["x509.ExtensionType"]


def refusals(chain: Chain, roots: Chain) -> dict[str, list[str]]:
    """Why a client refuses the chain, by client; those that accept it are left out.

    Args:
        chain: as served, leaf first.
        roots: what is trusted; the one that ends the chain is judged with it, as the clients do.
    """
    leaf = chain[0]
    whole = _with_root(chain, roots)
    common_name = [] if dns_names(leaf) or ip_addresses(leaf) else ["it has no subjectAltName"]
    # Nobody verifies the signature of what is trusted.
    signed = [c for c in whole if c not in roots and c.subject != c.issuer]
    weak = [f"{_name(c)} is signed with SHA-1" for c in signed if _is_sha1(c)]
    usage = _usage(leaf)
    # OpenSSL wants serverAuth by name, RFC 5280, 4.2.1.12 notwithstanding.
    purpose = [] if ExtendedKeyUsageOID.SERVER_AUTH in usage else ["its extendedKeyUsage does not name serverAuth"]
    found = {
        # Go has ignored the common name since 1.15 and refused SHA-1 since 1.18; OpenSSL 3 refuses SHA-1 by itself.
        "curl": weak + purpose,
        "Go": common_name + weak + ([] if ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE in usage else purpose),
        # urllib3 2 ignores the common name. That of Python before 3.13: with newer ones it is as strict as Python is.
        "urllib3": common_name + weak + purpose + _without_root(whole[-1], roots),
        # ssl.create_default_context() of Python 3.13 and newer sets VERIFY_X509_STRICT; it takes a common name.
        "Python strict": weak + purpose + _strict(whole),
    }
    return {client: reasons for client, reasons in found.items() if reasons}


def weaknesses(certificate: x509.Certificate) -> list[str]:
    """What of its key and of its signature is weaker than OpenSSL's security level 2 asks for (112 bits)."""
    key, digest = certificate.public_key(), certificate.signature_hash_algorithm
    found = []
    if isinstance(key, (rsa.RSAPublicKey, dsa.DSAPublicKey)) and key.key_size < _LEAST_RSA:
        found.append(f"a key of {key.key_size} bits")
    if isinstance(key, ec.EllipticCurvePublicKey) and key.key_size < _LEAST_CURVE:
        found.append(f"a key of {key.key_size} bits on {key.curve.name}")
    if digest is not None and digest.digest_size < _LEAST_DIGEST and not is_self_signed(certificate):
        found.append(f"signed with {digest.name.upper()}")
    return found


def is_server(certificate: x509.Certificate) -> bool:
    """Whether every client lets servers use it: extendedKeyUsage names serverAuth, or there is none."""
    return ExtendedKeyUsageOID.SERVER_AUTH in _usage(certificate)


def _usage(certificate: x509.Certificate) -> t.Collection[x509.ObjectIdentifier]:
    usage = _of(certificate, x509.ExtendedKeyUsage)
    return (ExtendedKeyUsageOID.SERVER_AUTH,) if usage is None else tuple(usage.value)


def _with_root(chain: Chain, roots: Chain) -> Chain:
    """The chain up to what is trusted; certificates beyond that are not looked at."""
    path = [chain[0]]
    while path[-1] not in roots and not is_self_signed(path[-1]):
        above = [c for c in (*roots, *chain) if c not in path and issued_by(path[-1], c)]
        if not above:
            break
        path.append(above[0])
    return tuple(path)


def _without_root(last: x509.Certificate, roots: Chain) -> list[str]:
    """Without X509_V_FLAG_PARTIAL_CHAIN OpenSSL trusts nothing but a root."""
    seen = [last]
    while last in roots and last.subject != last.issuer:
        above = [c for c in roots if c not in seen and issued_by(last, c)]
        if not above:
            return [f"the bundle has {_name(last)}, but not the root above it"]
        last = above[0]
        seen.append(last)
    return []


def _strict(whole: Chain) -> list[str]:
    """What OpenSSL's X509_V_FLAG_X509_STRICT refuses (x509_vfy.c, check_extensions; RFC 5280).

    One that is trusted itself is not looked at (RFC 6818, 2).
    """
    if len(whole) == 1:
        return []
    reasons = [reason for certificate in whole for reason in _strict_about(certificate)]
    return reasons + [f"{_name(lower)} has no authorityKeyIdentifier" for lower in whole[:-1] if not _aki(lower)]


def _strict_about(certificate: x509.Certificate) -> list[str]:
    reasons = []
    usage, constraints = _of(certificate, x509.KeyUsage), _of(certificate, x509.BasicConstraints)
    signs = usage is not None and usage.value.key_cert_sign
    if is_ca(certificate):
        if constraints is not None and not constraints.critical:
            reasons.append("its basicConstraints are not critical")
        if usage is None:
            reasons.append("it has no keyUsage")
        if _of(certificate, x509.SubjectKeyIdentifier) is None:
            reasons.append("it has no subjectKeyIdentifier")
    elif signs:
        reasons.append("it is no CA, but its keyUsage has keyCertSign")
    names = _of(certificate, x509.SubjectAlternativeName)
    if not certificate.subject.rdns and names is not None and not names.critical:
        reasons.append("its subject is empty, but its subjectAltName is not critical")
    if any(found is not None and found.critical for found in _key_identifiers(certificate)):
        reasons.append("a key identifier is critical")
    return [f"{_name(certificate)}: {reason}" for reason in reasons]


def _key_identifiers(certificate: x509.Certificate) -> tuple[t.Any, ...]:
    return _of(certificate, x509.SubjectKeyIdentifier), _of(certificate, x509.AuthorityKeyIdentifier)


def _aki(certificate: x509.Certificate) -> t.Any:
    return _of(certificate, x509.AuthorityKeyIdentifier)


def _of(certificate: x509.Certificate, kind: _Kind) -> t.Any:
    try:
        return certificate.extensions.get_extension_for_class(kind)
    except x509.ExtensionNotFound:
        return None


def _is_sha1(certificate: x509.Certificate) -> bool:
    return isinstance(certificate.signature_hash_algorithm, hashes.SHA1)


def _name(certificate: x509.Certificate) -> str:
    return certificate.subject.rfc4514_string() or f"serial {certificate.serial_number:x}"
