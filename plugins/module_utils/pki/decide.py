# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Private to this collection: may change in any release.
"""Decide whether a certificate has to be replaced, and say why in one word: pure, with `now` passed in.

What is compared is what certificates mean: order and case of names, forms of addresses and of PEM are no difference.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass
from datetime import datetime, timedelta

if t.TYPE_CHECKING:
    from cryptography import x509

from .certificates import Chain, dns_names, fingerprint, ip_addresses, is_self_signed, issued_by, stamp
from .issue import Issuer
from .keys import type_of

Reason = t.Literal[
    "missing",
    "key_mismatch",
    "expired",
    "key_type_changed",
    "names_changed",
    "issuer_changed",
    "renewal_due",
    "forced",
    "none",
]
# Certificates that were issued together shall not all be renewed together: by up to this part of the margin earlier.
JITTER = 0.1


@dataclass(frozen=True, slots=True)
class Renewal:
    """How long before its end a certificate is replaced: a part of its lifetime, or a fixed time."""

    fraction: float = 1 / 3
    before: timedelta | None = None

    def at(self, certificate: x509.Certificate) -> datetime:
        """The moment from which `certificate` is due; the same for the same certificate."""
        end = certificate.not_valid_after_utc
        margin = self.before or (end - certificate.not_valid_before_utc) * self.fraction
        share = int(fingerprint(certificate)[:8], 16) / 0xFFFFFFFF
        return (end - margin * (1 + JITTER * share)).replace(microsecond=0)


@dataclass(frozen=True, slots=True)
class Stored:
    """What there is: the certificates as they are sent, none where they cannot be read, and whether the key fits."""

    chain: Chain
    pair: bool


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a certificate that we issue shall be.

    Attributes:
        authority: who signs; None: it signs itself.
        external: somebody else signs, whoever it is.
    """

    names: tuple[str, ...]
    addresses: tuple[str, ...]
    key_type: str
    authority: Issuer | None
    lifetime: timedelta
    renewal: Renewal
    forced: bool = False
    external: bool = False


@dataclass(frozen=True, slots=True)
class Decision:
    """Whether and why there must be a new certificate.

    Attributes:
        reason: `none` where the stored one is good.
        detail: what was seen, in one line.
        renew_at: when the stored one is due, None where there is none that stays.
    """

    reason: Reason
    detail: str
    renew_at: datetime | None = None

    @property
    def replace(self) -> bool:
        """Whether a new certificate is needed."""
        return self.reason != "none"


def decide(stored: Stored | None, wanted: Wanted, now: datetime) -> Decision:
    """Compare what is stored with what is wanted; the gravest reason comes first."""
    broken = _broken(stored, now)
    if broken or stored is None:
        return broken or Decision("missing", "there is none yet")
    leaf = stored.chain[0]
    key_type = type_of(leaf.public_key())
    if key_type != wanted.key_type:
        return Decision("key_type_changed", f"the key is {key_type}, {wanted.key_type} is wanted")
    names = _names_changed(leaf, wanted.names, wanted.addresses)
    if names:
        return Decision("names_changed", names)
    issuer = "" if wanted.external else _issuer_changed(stored.chain, wanted.authority)
    if issuer:
        return Decision("issuer_changed", issuer)
    return _in_time(leaf, wanted, now)


def decide_given(stored: Stored | None, given: Chain, renewal: Renewal, now: datetime) -> Decision:
    """As :func:`decide`, where the wanted certificate is one that somebody else issued."""
    broken = _broken(stored, now)
    if broken or stored is None:
        return broken or Decision("missing", "there is none yet")
    leaf, new = stored.chain[0], given[0]
    if stored.chain == given:
        return Decision("none", "the given certificate is stored", renewal.at(leaf))
    key_types = type_of(leaf.public_key()), type_of(new.public_key())
    if key_types[0] != key_types[1]:
        return Decision("key_type_changed", f"the key is {key_types[0]}, the given one is {key_types[1]}")
    names = _names_changed(leaf, dns_names(new), ip_addresses(new))
    if names:
        return Decision("names_changed", names)
    if stored.chain[1:] != given[1:] or leaf.issuer != new.issuer:
        return Decision("issuer_changed", "the certificates above the given one are others")
    return Decision("renewal_due", f"the given one is another, valid until {stamp(new.not_valid_after_utc)}")


def _broken(stored: Stored | None, now: datetime) -> Decision | None:
    if stored is None:
        return None
    if not stored.chain:
        return Decision("key_mismatch", "the stored certificate cannot be read")
    if not stored.pair:
        return Decision("key_mismatch", "the stored key does not belong to the stored certificate")
    for certificate in stored.chain:
        # RFC 5280, 4.1.2.5: the last second is part of the time.
        if now > certificate.not_valid_after_utc:
            return Decision("expired", f"it expired at {stamp(certificate.not_valid_after_utc)}")
        if now < certificate.not_valid_before_utc:
            return Decision("expired", f"it is valid from {stamp(certificate.not_valid_before_utc)} only")
    return None


def _names_changed(leaf: x509.Certificate, names: t.Iterable[str], addresses: t.Iterable[str]) -> str:
    present = {name.lower() for name in dns_names(leaf)} | set(ip_addresses(leaf))
    wanted = {name.lower() for name in names} | set(addresses)
    lacking, extra = sorted(wanted - present), sorted(present - wanted)
    parts = [f"lacks {', '.join(lacking)}"] if lacking else []
    parts += [f"has {', '.join(extra)} in excess"] if extra else []
    return f"it {' and '.join(parts)}" if parts else ""


def _issuer_changed(chain: Chain, authority: Issuer | None) -> str:
    leaf = chain[0]
    issuer = leaf.issuer.rfc4514_string()
    if authority is None:
        return "" if is_self_signed(leaf) else f"it was issued by {issuer}, a self-signed one is wanted"
    if not issued_by(leaf, authority.certificate):
        return f"it was issued by another key than that of {authority.certificate.subject.rfc4514_string()}: {issuer}"
    return "" if chain[1:] == authority.chain else "the certificates above it are others"


def _in_time(leaf: x509.Certificate, wanted: Wanted, now: datetime) -> Decision:
    due = wanted.renewal.at(leaf)
    above = (wanted.authority.certificate, *wanted.authority.chain) if wanted.authority else ()
    longest = min([now + wanted.lifetime, *(item.not_valid_after_utc for item in above)])
    if wanted.forced:
        return Decision("forced", "asked for")
    if now < due:
        return Decision("none", f"it is good until {stamp(due)}", due)
    if longest <= leaf.not_valid_after_utc:
        # Or each run would make another that ends at the same second.
        return Decision("none", "it is due, but its CA ends with it; renew the CA", due)
    return Decision("renewal_due", f"it is due since {stamp(due)}, and ends at {stamp(leaf.not_valid_after_utc)}")
