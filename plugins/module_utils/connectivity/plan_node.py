# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Private to this collection: may change in any release.
"""The part of a plan that looks at nodes from inside: which nodes, and what to read there. Pure."""

from __future__ import annotations

import typing as t

from . import agent_node
from .scope import Probe, Scope, Vantage
from .snapshot import Node, ServicePort

# Seconds for one reading: a node with the rules of thousands of Services needs one or two.
READING = 8.0
# Pods of one node whose sockets are looked for, at most.
MOST_PODS = 200


def places(scope: Scope) -> tuple[Node, ...]:
    """The clients' nodes, then those of endpoints, as far as `max_nodes` goes; a node that is not ready runs no pod."""
    asked = scope.question
    names = dict.fromkeys(node.name for node in scope.clients)
    names |= dict.fromkeys(endpoint.node for endpoint in scope.snapshot.endpoints if endpoint.node)
    known = {node.name: node for node in scope.snapshot.nodes}
    chosen = [known.get(name, Node(name)) for name in names]
    return tuple(node for node in chosen if node.ready)[: max(asked.max_nodes, len(asked.nodes))]


def node_vantage(scope: Scope, node: Node) -> Vantage:
    """The pod that sees what the node sees."""
    return Vantage(scope.question.node_namespace, node.name, f"inside node {node.name}")


def node_probes(scope: Scope, vantage: Vantage) -> list[Probe]:
    """Its service proxy, the rules for the Service, the connection table, and who listens in the Service's pods."""
    wanted = [service_key(address, port) for address, port in entries(scope)]
    tasks: dict[str, dict[str, t.Any]] = {
        # It runs, and no more: a node may drop even what it sends to itself, which is for the checks to say.
        "control": {"type": "resolv_conf"},
        "node_proxy": {"type": "node_proxy", "timeout": READING / 2},
        "node_conntrack": {"type": "node_conntrack", "wanted": [key for key in wanted if key.endswith("/UDP")]},
    }
    if wanted:
        tasks["node_rules"] = {"type": "node_rules", "wanted": wanted, "timeout": READING}
    pods = _pods(scope, vantage.node)
    if pods:
        tasks["node_listeners"] = {"type": "node_listeners", "pods": pods}
    return [
        Probe(
            purpose, vantage, purpose.replace("_", "-"), {"timeout": READING, **task}, vantage.node, node=vantage.node
        )
        for purpose, task in tasks.items()
    ]


def entries(scope: Scope) -> list[tuple[str, ServicePort]]:
    """The addresses and ports that service proxies have rules for."""
    return [(address, port) for address in scope.service.cluster_ips for port in scope.service.ports]


def service_key(address: str, port: ServicePort) -> str:
    """`10.96.1.1:80/TCP`: as the agent spells it."""
    return agent_node.service_key(address, port.port, port.protocol)


def _pods(scope: Scope, node: str) -> dict[str, dict[str, t.Any]]:
    """Pods behind ready endpoints on a node, by uid: their ports, and whether the node's own network is theirs."""
    found: dict[str, dict[str, t.Any]] = {}
    for endpoint in scope.snapshot.endpoints:
        pod = scope.snapshot.pod(endpoint.pod_uid)
        if endpoint.node == node and endpoint.ready and pod and len(found) < MOST_PODS:
            ports = {number for _name, _protocol, number in endpoint.ports}
            ports |= set(found.get(pod.uid, {}).get("ports", ()))
            found[pod.uid] = {"ports": sorted(ports), "host": pod.host_network}
    return found
