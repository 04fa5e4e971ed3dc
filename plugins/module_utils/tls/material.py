# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Private to this collection: may change in any release.
"""What a TLS Secret shall hold, out of options and cluster: names and addresses, and a pair that somebody gave us."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from ..app.values import refusal
from ..kube.client import Cluster
from ..kube.errors import OptionError
from ..kube.kinds import NODE, SECRET, SERVICE
from ..pki import names
from ..pki.certificates import Chain, is_self_signed, parse_chain
from ..pki.decide import JITTER, Renewal
from ..pki.errors import PkiError
from ..pki.keys import load
from .secrets import Pair, data_of, read_pair

Params = t.Mapping[str, t.Any]
# A certificate file is some kilobytes; what is larger is another file by mistake.
LARGEST_FILE = 1_000_000
LONGEST_DAYS = 3650


@dataclass(frozen=True, slots=True)
class Given:
    """A pair that somebody else issued, and the roots that clients must trust, none where nobody says."""

    pair: Pair
    roots: Chain
    what: str


def wanted_names(cluster: Cluster, params: Params, *, check_mode: bool) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """DNS names and addresses that the certificate is for."""
    found = [*names.of_service(params["service"], params["namespace"], params["cluster_domain"]), *params["names"]]
    addresses = list(params["addresses"])
    include = params["include"]
    service = (
        _service(cluster, params, check_mode=check_mode) if {"cluster_ips", "load_balancer"} & set(include) else None
    )
    if service and "cluster_ips" in include:
        addresses += names.cluster_ips(service)
    if service and "load_balancer" in include:
        hosts, ips = names.load_balancer(service)
        if not hosts and not ips and not check_mode:
            what = SERVICE.describe(params["service"], params["namespace"])
            raise OptionError(f"include: {what} has no load balancer address yet; wait for it first", option="include")
        found, addresses = found + hosts, addresses + ips
    if "nodes" in include:
        addresses += names.node_addresses(cluster.list(NODE).items)
    return names.of_names(found), names.of_addresses(addresses)


def _service(cluster: Cluster, params: Params, *, check_mode: bool) -> dict[str, t.Any] | None:
    if not params["service"]:
        raise OptionError("service: nothing given, expected the Service whose addresses to include", option="service")
    service = cluster.get(SERVICE, params["service"], params["namespace"])
    if service is None and not check_mode:
        what = SERVICE.describe(params["service"], params["namespace"])
        raise OptionError(f"service: {what} does not exist; create it first", option="service")
    return service


def renewal(params: Params) -> Renewal:
    """When certificates are due, out of the options."""
    fraction, days = params["renew_fraction"], params["renew_before_days"]
    if days is not None:
        if not 1 <= days <= LONGEST_DAYS:
            raise refusal("renew_before_days", days, f"1 to {LONGEST_DAYS}")
        return Renewal(before=timedelta(days=days))
    if fraction is None:
        return Renewal()
    if not 0 < fraction <= 0.9:
        raise OptionError(
            f"renew_fraction: {fraction:g} given, expected above 0 and up to 0.9", option="renew_fraction"
        )
    return Renewal(fraction=fraction)


def lifetime(params: Params) -> timedelta:
    """How long a new certificate is valid: longer than the time before its end at which it is replaced."""
    days, before = params["lifetime_days"], params["renew_before_days"]
    if not 1 <= days <= LONGEST_DAYS:
        raise refusal("lifetime_days", days, f"1 to {LONGEST_DAYS}")
    if before is not None and before * (1 + JITTER) >= days:
        raise OptionError(
            f"renew_before_days: {before} given with lifetime_days {days}, expected less than "
            f"{days / (1 + JITTER):.0f}; a new certificate would be due at once",
            option="renew_before_days",
        )
    return timedelta(days=days)


def given(cluster: Cluster, params: Params, passphrase: bytes | None) -> Given:
    """The pair in `private_key_path` and `certificate_path`, or in `source_secret`."""
    if params["source_secret"]:
        return _from_secret(cluster, params)
    path = params["private_key_path"]
    chain, roots, what = certificate_files(params)
    key = load(_content("private_key_path", path), passphrase, what=f"private_key_path: {path}")
    return Given(Pair(chain, key), roots, what)


def certificate_files(params: Params) -> tuple[Chain, Chain, str]:
    """The chain in `certificate_path`, the roots that are known, and how errors name it."""
    path, authority = params["certificate_path"], params["ca_path"]
    what = f"certificate_path: {path}"
    chain = parse_chain(_content("certificate_path", path), what=what)
    roots = parse_chain(_content("ca_path", authority), what=f"ca_path: {authority}") if authority else ()
    return *_arranged(chain, roots), what


def _from_secret(cluster: Cluster, params: Params) -> Given:
    source = params["source_secret"]
    namespace = source["namespace"] or params["namespace"]
    what = SECRET.describe(source["name"], namespace)
    item = cluster.get(SECRET, source["name"], namespace)
    if item is None:
        raise PkiError(f"source_secret: {what} does not exist")
    pair = read_pair(item)
    # cert-manager keeps the CA there.
    authority = data_of(item, "ca.crt")
    roots = parse_chain(authority, what=f"ca.crt of {what}") if authority.strip() else ()
    chain, roots = _arranged(pair.chain, roots)
    return Given(Pair(chain, pair.key), roots, what)


def _content(option: str, path: str) -> bytes:
    try:
        with Path(path).open("rb") as file:
            return file.read(LARGEST_FILE)
    except OSError as error:
        raise OptionError(f"{option}: {path} cannot be read: {error.strerror}", option=option) from None


def _arranged(chain: Chain, roots: Chain) -> tuple[Chain, Chain]:
    """A root at the end of the chain is not sent (RFC 8446, 4.4.2): clients have it or do not trust it."""
    last = chain[-1]
    if not is_self_signed(last):
        return chain, roots
    return chain[:-1] or chain, roots or (last,)
