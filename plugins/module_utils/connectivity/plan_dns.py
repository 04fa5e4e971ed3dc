# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Private to this collection: may change in any release.
"""The DNS part of a plan: which names are asked for, of whom, and what the answers must equal. Pure."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from . import names
from .scope import EXCHANGE, Probe, Scope, Vantage
from .snapshot import Endpoint, Service, family_of, host_port

_RRTYPE = {"IPv4": "A", "IPv6": "AAAA"}


@dataclass(frozen=True, slots=True)
class Server:
    """Whom to ask."""

    address: str
    port: int = 53
    transport: str = "udp"


def name_probes(scope: Scope, vantage: Vantage) -> list[Probe]:
    """The forms of the Service's name, through the client's own resolver and search list."""
    service = scope.service
    expected = None if service.external else scope.addresses
    if expected == ():
        return []  # A headless Service without ready endpoints has no records.
    near = vantage.namespace == service.namespace
    labels = ("short name", "name.namespace", "name.namespace.svc", "full name")
    forms = dict(zip(labels, names.forms(service.name, service.namespace, scope.domain), strict=True))
    probes = []
    for label, name in forms.items():
        # A client elsewhere must not find the short name, unless its namespace has a Service of that name itself.
        wanted = expected if near or label != "short name" else ()
        # The resolver may need to try a second server.
        task = {"type": "resolve", "name": name, "timeout": 3 * EXCHANGE}
        probes.append(Probe("resolve", vantage, f"resolve/{name}", task, name, expected=wanted, label=label))
    return probes


def further_probes(scope: Scope, vantage: Vantage) -> list[Probe]:
    """Names that the user wants clients to find, beside the Service's, as an application asks for them."""
    task = {"type": "resolve", "timeout": 3 * EXCHANGE}
    wanted = scope.question.expect.resolves
    return [Probe("further", vantage, f"further/{name}", {**task, "name": name}, name) for name in wanted]


def record_probes(scope: Scope, vantage: Vantage) -> list[Probe]:
    """The cluster's DNS servers, asked at the address of their Service and one by one."""
    dns = scope.snapshot.dns
    if dns is None or scope.service.external:
        return []
    probes = []
    for address in dns.cluster_ips:
        probes += _addresses(scope, vantage, address) + _others(scope, vantage, address)
    for endpoint in scope.snapshot.dns_endpoints:
        if endpoint.ready and endpoint.serving:
            probes += _replica(scope, vantage, endpoint)
    return probes


def _query(
    vantage: Vantage, label: str, server: Server, name: str, rrtype: str, expected: t.Iterable[str], **about: t.Any
) -> Probe:
    task = {
        "type": "dns",
        "server": server.address,
        "port": server.port,
        "transport": server.transport,
        "name": name,
        "rrtype": rrtype,
        "timeout": EXCHANGE,
    }
    where = host_port(server.address, server.port)
    probe_id = f"dns/{label}/{server.transport}/{where}/{rrtype}/{name}"
    return Probe("dns", vantage, probe_id, task, name, expected=tuple(expected), label=label, **about)


def _addresses(scope: Scope, vantage: Vantage, server: str) -> list[Probe]:
    """The full name over both transports: each family's addresses, and none of a family that the Service has not."""
    if not scope.addresses:
        return []
    name = names.fqdn(scope.service.name, scope.service.namespace, scope.domain)
    return [
        _query(vantage, "address", Server(server, transport=transport), name, rrtype, _of(scope.addresses, family))
        for family, rrtype in _RRTYPE.items()
        for transport in ("udp", "tcp")
    ]


def _others(scope: Scope, vantage: Vantage, server: str) -> list[Probe]:
    """Records beside the addresses, names that must not exist, and one name that must: the API server's."""
    service, udp = scope.service, Server(server)
    name = names.fqdn(service.name, service.namespace, scope.domain)
    probes = [
        # Over TCP: the records of a large headless Service do not fit in a datagram.
        _query(vantage, "service", Server(server, transport="tcp"), record, "SRV", expected)
        for record, expected in service_records(scope).items()
    ]
    probes += [_query(vantage, "pointer", udp, names.reverse(ip), "PTR", [name]) for ip in service.cluster_ips]
    probes += [_query(vantage, "absent", udp, absent, "A", []) for absent in absent_names(scope, vantage.namespace)]
    return probes + _control(scope, vantage, udp)


def _control(scope: Scope, vantage: Vantage, server: Server, **about: t.Any) -> list[Probe]:
    api = scope.snapshot.api_server
    if api is None or not api.cluster_ips:
        return []
    family = family_of(api.cluster_ips[0])
    name = names.fqdn("kubernetes", "default", scope.domain)
    return [_query(vantage, "control", server, name, _RRTYPE[family], _of(api.cluster_ips, family), **about)]


def service_records(scope: Scope) -> dict[str, tuple[str, ...]]:
    """SRV records of the named ports: name -> `port target` of each record.

    A headless Service has one record per endpoint, whose target is the endpoint's own name below that of the Service;
    what that own name is depends on settings of the DNS server, so it is left open (`*`).
    """
    service, found = scope.service, {}
    name = names.fqdn(service.name, service.namespace, scope.domain)
    for port in service.ports:
        if not port.name:
            continue
        if service.headless:
            ready = [endpoint for endpoint in scope.snapshot.endpoints if endpoint.ready]
            numbers = {endpoint.port(port.name, port.protocol) for endpoint in ready} - {None}
            records = {f"{number} *.{name}" for number in numbers}
        else:
            records = {f"{port.port} {name}"}
        if records:
            record = names.service_record(port.name, port.protocol, service.name, service.namespace, scope.domain)
            found[record] = tuple(sorted(records))
    return found


def absent_names(scope: Scope, namespace: str) -> list[str]:
    """Names that must not exist: a made-up Service, and the short name as a client elsewhere would search for it.

    Without a client in another namespace (option `other_namespace`) the latter are the names that the resolver of such
    a client would ask for, apart from the search domains of its node.
    """
    service, token = scope.service, scope.service.uid[:8]
    found = [names.fqdn(f"no-such-service-{token}", service.namespace, scope.domain)]
    if not scope.question.other_namespace and namespace == service.namespace:
        found += names.searched(service.name, f"elsewhere-{token}", scope.domain)
    return found


def _replica(scope: Scope, vantage: Vantage, endpoint: Endpoint) -> list[Probe]:
    """One DNS server at its own address, over each transport that it offers."""
    family = _first_family(scope.service, scope.addresses)
    name = names.fqdn(scope.service.name, scope.service.namespace, scope.domain)
    probes = []
    for port_name, protocol, number in endpoint.ports:
        if port_name.startswith("dns"):
            server = Server(endpoint.address, number, protocol.lower())
            if family:
                expected = _of(scope.addresses, family)
                query = _query(vantage, "replica", server, name, _RRTYPE[family], expected, endpoint=endpoint)
                probes.append(query)
            else:  # A name without records cannot be asked for; the API server's always exists.
                probes += _control(scope, vantage, server, endpoint=endpoint)
    return probes


def _first_family(service: Service, addresses: t.Sequence[str]) -> str:
    present = {family_of(address) for address in addresses}
    return next((family for family in (*service.families, *sorted(present)) if family in present), "")


def _of(addresses: t.Iterable[str], family: str) -> tuple[str, ...]:
    return tuple(sorted(address for address in addresses if family_of(address) == family))
