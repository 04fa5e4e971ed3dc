# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Private to this collection: may change in any release.
"""The part of a plan that the host of the task carries out itself, as a client outside of the cluster. Pure."""

from __future__ import annotations

import ipaddress

from .ports import tcp_ports
from .reach import connections_per_client, reachable, ready_or_serving
from .requests import FEW_CONNECTIONS, ask, request
from .scope import EXCHANGE, Probe, Scope, Vantage
from .snapshot import Node, family_of, host_port

NODE_PORT, SILENT, HEALTH, LOAD_BALANCER = "outside_node_port", "outside_silent", "outside_health", "outside_balancer"
LABEL = "outside"
# Types of Services that let clients in from outside.
EXPOSED = ("NodePort", "LoadBalancer")
# Nodes that are asked at most.
MOST_NODES = 8


def vantage(scope: Scope) -> Vantage:
    """The host of the task: no node; it calls the Service as its own namespace does."""
    return Vantage(scope.service.namespace, "", LABEL)


def outside_probes(scope: Scope) -> list[Probe]:
    """The NodePort on each node, what nodes tell load balancers, and the load balancer; nothing of other Services."""
    if scope.service.type not in EXPOSED:
        return []
    probes = [probe for node in _nodes(scope) for probe in _at_node(scope, node)]
    probes += _at_load_balancer(scope)
    control = Probe("control", vantage(scope), "control", {"type": "control"}, "itself")
    return [control, *probes] if probes else []


def _nodes(scope: Scope) -> list[Node]:
    """Ready nodes, those with an endpoint first, since under the policy Local the others answer nobody."""
    hosts = {endpoint.node for endpoint in scope.snapshot.endpoints}
    ready = [node for node in scope.snapshot.nodes if node.ready]
    return sorted(ready, key=lambda node: (node.name not in hosts, node.name))[:MOST_NODES]


def _at_node(scope: Scope, node: Node) -> list[Probe]:
    service, here, probes = scope.service, vantage(scope), []
    for address in node.addresses:
        for port in tcp_ports(service):
            behind = scope.behind(port, family_of(address))
            if not port.node_port or not ready_or_serving(behind):
                continue
            reach = reachable(service, behind, node, node_port=True)
            target = host_port(address, port.node_port)
            task = ask(scope, here, port, port.node_port, address=address)
            if not reach:  # where the policy is Local: a mere connection is enough to see that nobody is there
                task = {"type": "tcp", "address": address, "port": port.node_port, "timeout": EXCHANGE}
            purpose = NODE_PORT if reach else SILENT
            probes.append(Probe(purpose, here, f"{purpose}/{target}", task, target, port, node=node.name, reach=reach))
        # The service proxies of IPv4 and of IPv6 answer for their own endpoints, where the Service has some.
        if service.health_check_port and family_of(address) in service.families:
            probes.append(_health(scope, node, address))
    return probes


def _health(scope: Scope, node: Node, address: str) -> Probe:
    """What a load balancer asks (KEP-1669): 200 where an endpoint of the Service is ready on the node, else 503."""
    number = scope.service.health_check_port
    here = [endpoint for endpoint in scope.snapshot.endpoints if endpoint.node == node.name and endpoint.ready]
    ready = any(endpoint.family == family_of(address) for endpoint in here)
    task = {**request(scope, number, address=address), "path": "/healthz", "contains": [], "identity_header": None}
    target = host_port(address, number)
    status = "200" if ready else "503"
    return Probe(HEALTH, vantage(scope), f"{HEALTH}/{target}", task, target, node=node.name, expected=(status,))


def _at_load_balancer(scope: Scope) -> list[Probe]:
    service, here, probes = scope.service, vantage(scope), []
    for address in service.ingress if service.type == "LoadBalancer" else ():
        bare = _is_address(address)
        families = [family_of(address)] if bare else list(service.families)
        for port in tcp_ports(service):
            behind = [endpoint for family in families for endpoint in scope.behind(port, family)]
            reach = ready_or_serving(behind)
            if not reach:
                continue
            # Session affinity and the policy Local leave one client few endpoints; TLS need not be spoken so often.
            few = service.session_affinity or service.external_local or (scope.http and port in scope.https)
            repeat = FEW_CONNECTIONS if few else connections_per_client(len(reach), 1)
            where = {"address": address} if bare else {"name": address}
            task = ask(scope, here, port, port.port, repeat, **where)
            target = host_port(address, port.port) if bare else f"{address}:{port.port}"
            probes.append(Probe(LOAD_BALANCER, here, f"{LOAD_BALANCER}/{target}", task, target, port, reach=reach))
    return probes


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
