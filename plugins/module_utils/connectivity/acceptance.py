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
from itertools import pairwise

try:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.x509.oid import ExtendedKeyUsageOID
except ImportError:  # module.run() reports the missing library
    pass

from ..pki.certificates import Chain, dns_names, ip_addresses, is_ca, is_self_signed, issued_by

CLIENTS = ("curl", "Go", "urllib3", "Python strict")
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
    weak = [f"{_name(c)} is signed with SHA-1" for c in whole if not is_self_signed(c) and _is_sha1(c)]
    strict = [reason for certificate in whole for reason in _strict(certificate)]
    strict += [f"{_name(lower)} has no authorityKeyIdentifier" for lower, _upper in pairwise(whole) if not _aki(lower)]
    found = {
        # Go has ignored the common name since 1.15 and refused SHA-1 since 1.18; OpenSSL 3 refuses SHA-1 by itself.
        "curl": weak,
        "Go": common_name + weak,
        # urllib3 2 ignores the common name.
        "urllib3": common_name + weak,
        # ssl.create_default_context() of Python 3.13 and newer sets VERIFY_X509_STRICT; it takes a common name.
        "Python strict": weak + strict,
    }
    return {client: reasons for client, reasons in found.items() if reasons}


def is_server(certificate: x509.Certificate) -> bool:
    """Whether servers may use it: extendedKeyUsage says so, or there is none."""
    usage = _of(certificate, x509.ExtendedKeyUsage)
    allowed = {ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE}
    return usage is None or bool(allowed & set(usage.value))


def _with_root(chain: Chain, roots: Chain) -> Chain:
    """The chain up to what is trusted; certificates beyond that are not looked at."""
    path = [chain[0]]
    while path[-1] not in roots and not is_self_signed(path[-1]):
        above = [c for c in (*roots, *chain) if c not in path and issued_by(path[-1], c)]
        if not above:
            break
        path.append(above[0])
    return tuple(path)


def _strict(certificate: x509.Certificate) -> list[str]:
    """What OpenSSL's X509_V_FLAG_X509_STRICT refuses in a certificate (x509_vfy.c, check_extensions; RFC 5280)."""
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
