# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Private to this collection: may change in any release.
"""Which endpoints a client of a Service may reach, and how many connections it takes to see them all. Pure."""

from __future__ import annotations

import math
import typing as t

from .snapshot import Endpoint, Node, Service

# A healthy Service is falsely said to miss an endpoint less often than this.
FALSE_ALARM = 1e-6
# New connections to one address that one client opens at most.
MOST_CONNECTIONS = 300


def reachable(
    service: Service, endpoints: t.Sequence[Endpoint], node: Node, *, node_port: bool = False
) -> tuple[Endpoint, ...]:
    """The endpoints that `node`'s proxy sends connections to.

    The rules of kube-proxy (pkg/proxy/topology.go, CategorizeEndpoints): ready endpoints, narrowed by topology hints;
    where none is ready, those that are terminating but still serve. Under the traffic policy Local only those on the
    node itself, with the same fall-back.

    Args:
        endpoints: all endpoints of one port and one address family (each family has a proxy of its own).
        node_port: judge the traffic that arrives at the node's port instead of the cluster IP.
    """
    if service.external_local if node_port else service.internal_local:
        return ready_or_serving([endpoint for endpoint in endpoints if endpoint.node == node.name])
    mode = topology_mode(endpoints, node)
    if mode == "node":
        return tuple(e for e in endpoints if e.ready and node.name in e.node_hints)
    if mode == "zone":
        return tuple(e for e in endpoints if e.ready and node.zone in e.zone_hints)
    return ready_or_serving(endpoints)


def ready_or_serving(endpoints: t.Sequence[Endpoint]) -> tuple[Endpoint, ...]:
    """The ready endpoints; where there are none, those that are terminating but still serve."""
    ready = tuple(endpoint for endpoint in endpoints if endpoint.ready)
    return ready or tuple(endpoint for endpoint in endpoints if endpoint.serving and endpoint.terminating)


def topology_mode(endpoints: t.Sequence[Endpoint], node: Node) -> str:
    """`node`, `zone` or an empty string: which hints `node`'s proxy follows (topology.go, topologyModeFromHints).

    Hints count only when every ready endpoint has them and one of them is meant for this node or zone.
    """
    ready = [endpoint for endpoint in endpoints if endpoint.ready]
    if not ready:
        return ""
    if all(e.node_hints for e in ready) and any(node.name in e.node_hints for e in ready):
        return "node"
    if all(e.zone_hints for e in ready) and any(node.zone in e.zone_hints for e in ready):
        return "zone"
    return ""


def connections(endpoints: int) -> int:
    """How many new connections see each of `endpoints` equally likely backends at least once, save for FALSE_ALARM.

    After k connections one given backend of n is unseen with probability (1 - 1/n)^k, so any of them at most with
    n (1 - 1/n)^k. The smallest k that brings this down to FALSE_ALARM is ln(n / FALSE_ALARM) / -ln(1 - 1/n):
    1 for one backend, 21 for two, 37 for three, 878 for fifty.
    """
    if endpoints <= 1:
        return endpoints
    return math.ceil(math.log(endpoints / FALSE_ALARM) / -math.log1p(-1 / endpoints))


def connections_per_client(endpoints: int, clients: int) -> int:
    """Connections that each of `clients` with the same expected set opens.

    All of :func:`connections` from each client as long as that is affordable, so that a single node with a stale proxy
    is found; else an equal share, and only the union over the clients is judged.
    """
    wanted = connections(endpoints)
    return wanted if wanted <= MOST_CONNECTIONS else min(MOST_CONNECTIONS, math.ceil(wanted / max(1, clients)))
