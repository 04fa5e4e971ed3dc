# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Private to this collection: may change in any release.
"""Which probes answer a question, from which clients, and what each of them may expect. Pure: data in, data out."""

from __future__ import annotations

import math
import typing as t
from dataclasses import dataclass, replace

from .plan_api_proxy import api_proxy_probes
from .plan_dns import further_probes, name_probes, record_probes
from .plan_node import node_probes, node_vantage, places
from .plan_outside import outside_probes
from .ports import tcp_ports
from .question import API_PROXY, NODE, OUTSIDE, Question
from .reach import connections_per_client, reachable, ready_or_serving
from .requests import AFFINITY_CONNECTIONS, FEW_CONNECTIONS, ask, request
from .scope import EXCHANGE, Probe, Scope, Stranger, Task, Vantage, stranger_label
from .snapshot import (
    Endpoint,
    Node,
    ServicePort,
    Snapshot,
    belongs_in_endpoints,
    family_of,
    host_port,
    target_port,
)

# Seconds for everything that one client does.
BUDGET = 12.0
# Nodes whose NodePort every client tries at most.
MOST_NODE_PORT_TARGETS = 8
# Endpoints that every client tries directly at most; more are sampled evenly.
MOST_DIRECT = 200
# Pods that every client tries at further ports, at most.
MOST_TELLING = 20
# Purpose of the probes that send more than one packet holds.
LARGE = "large"
# Clients that must be refused for whom it is tried, at most.
MOST_STRANGERS = 8


@dataclass(frozen=True, slots=True)
class Plan:
    """All probes of one round, and the clients that carry them out.

    Attributes:
        strangers: further clients, which must get no answer.
        insiders: no clients, but pods that look at nodes from inside.
        outside: the host of the task, where it is a client too.
        api_server: the API server, where it is one.
    """

    probes: tuple[Probe, ...] = ()
    vantages: tuple[Vantage, ...] = ()
    strangers: tuple[Stranger, ...] = ()
    insiders: tuple[Vantage, ...] = ()
    outside: Vantage | None = None
    api_server: Vantage | None = None

    def tasks(self, vantage: Vantage) -> list[Task]:
        """What the agent of this client gets."""
        return [{"id": probe.id, **probe.task} for probe in self.probes if probe.vantage == vantage]


def plan(question: Question, snapshot: Snapshot, clients: t.Sequence[Node]) -> Plan:
    """All probes that `question` needs, given what the snapshot shows."""
    if snapshot.service is None:
        return Plan()
    scope = Scope(question, snapshot, snapshot.service, tuple(clients))
    beyond = outside_probes(scope) if OUTSIDE in question.layers else []
    proxied = api_proxy_probes(scope) if API_PROXY in question.layers else []
    found = _inside(scope) if question.probes else Plan()
    return replace(
        found,
        probes=(*found.probes, *beyond, *proxied),
        outside=beyond[0].vantage if beyond else None,
        api_server=proxied[0].vantage if proxied else None,
    )


def _inside(scope: Scope) -> Plan:
    """The part that pods carry out."""
    question, clients = scope.question, scope.clients
    data_path = not scope.service.external and {"endpoints", "http"} & set(question.layers)
    vantages, probes = [], []
    for node in clients:
        vantage = Vantage(question.client.namespace, node.name, node.name)
        vantages.append(vantage)
        probes += control_probes(scope, vantage)
        if data_path:
            probes += direct_probes(scope, vantage) + cluster_ip_probes(scope, vantage, node)
        if data_path and question.causes:
            probes += telling_probes(scope, vantage)
        if data_path and "http" in question.layers:
            probes += by_name_probes(scope, vantage, node) + node_port_probes(scope, vantage)
        if "dns" in question.layers:
            probes += name_probes(scope, vantage) + record_probes(scope, vantage) + further_probes(scope, vantage)
    if question.other_namespace and "dns" in question.layers and clients:
        other = question.other_namespace
        vantage = Vantage(other, clients[0].name, f"{clients[0].name} (namespace {other})")
        vantages.append(vantage)
        probes += control_probes(scope, vantage) + name_probes(scope, vantage)
    refused = strangers(question, clients) if data_path and "policy" in question.layers else ()
    for stranger in refused:
        probes += refused_probes(stranger, probes)
    inside = NODE in question.layers and not scope.service.external
    insiders = tuple(node_vantage(scope, node) for node in places(scope)) if inside else ()
    probes += [probe for vantage in insiders for probe in node_probes(scope, vantage)]
    return Plan(tuple(probes), tuple(vantages), refused, insiders)


def defaults(question: Question) -> dict[str, Task]:
    """What all tasks of one type have in common: a bundle may be large, and travels once."""
    version = question.tls.minimum_version.replace(".", "_")
    return {"https": {"bundle": question.tls.bundle, "minimum_version": version}}


# ----- which clients


def client_nodes(snapshot: Snapshot, wanted: t.Sequence[str], most: int) -> tuple[Node, ...]:
    """The nodes that clients run on: those asked for, else at most `most` ready ones, the same ones each time.

    When there are more, nodes with and without an endpoint alternate, since the two differ in what they can show:
    traffic that stays on a node, and traffic that crosses to another.
    """
    if wanted:
        return tuple(snapshot.node(name) or Node(name) for name in wanted)
    if not snapshot.nodes:
        # Nodes may not be listed: the pods tell the names of some.
        return tuple(Node(name) for name in sorted({pod.node for pod in snapshot.pods if pod.node}))[:most]
    ready = sorted((node for node in snapshot.nodes if node.ready), key=lambda node: node.name)
    hosts = {endpoint.node for endpoint in snapshot.endpoints}
    inside = [node for node in ready if node.name in hosts]
    outside = [node for node in ready if node.name not in hosts]
    turns: list[Node] = []
    while inside or outside:
        turns += inside[:1] + outside[:1]
        inside, outside = inside[1:], outside[1:]
    return tuple(sorted(turns[:most], key=lambda node: node.name))


def strangers(question: Question, clients: t.Sequence[Node]) -> tuple[Stranger, ...]:
    """Who must be refused, on the node of one ordinary client, whose answers show that there is one to be had."""
    chosen = {stranger_label(space, labels): (space, labels) for space, labels in question.expect.refused_from}
    return tuple(
        Stranger(Vantage(space, node.name, label), tuple(sorted(labels.items())))
        for node in clients[:1]
        for label, (space, labels) in list(chosen.items())[:MOST_STRANGERS]
    )


# ----- controls


def control_probes(scope: Scope, vantage: Vantage) -> list[Probe]:
    """What must work before anything else is blamed, and the client's own resolver settings."""
    probes = [
        Probe("control", vantage, "control", {"type": "control"}, "itself"),
        Probe("resolv_conf", vantage, "resolv-conf", {"type": "resolv_conf"}, "/etc/resolv.conf"),
    ]
    api = scope.snapshot.api_server
    if api and api.cluster_ips and api.ports:
        address, number = api.cluster_ips[0], api.ports[0].port
        task = {"type": "tcp", "address": address, "port": number, "timeout": EXCHANGE}
        probes.append(Probe("api_server", vantage, "api-server", task, host_port(address, number)))
    return probes


# ----- data path


def _able(scope: Scope) -> list[Endpoint]:
    """The endpoints that should answer."""
    return [endpoint for endpoint in scope.snapshot.endpoints if endpoint.ready and endpoint.serving]


def direct_probes(scope: Scope, vantage: Vantage) -> list[Probe]:
    """Every endpoint at its own address, whatever proxies make of the Service."""
    able = _able(scope)
    probes = []
    for endpoint in able[:: max(1, math.ceil(len(able) / MOST_DIRECT))]:
        for port in tcp_ports(scope.service):
            number = endpoint.port(port.name)
            if number is not None:
                target = host_port(endpoint.address, number)
                task = ask(scope, vantage, port, number, address=endpoint.address)
                if task["type"] == "https" and vantage.node == scope.clients[0].name:
                    task["try_below"] = True
                probes.append(Probe("direct", vantage, f"direct/{port.port}/{target}", task, target, port, endpoint))
    return probes


def telling_probes(scope: Scope, vantage: Vantage) -> list[Probe]:
    """What tells causes apart: pods that are not ready at their target ports, pods at other ports they declare, and
    requests that are large.

    An application that answers although its pod is not ready has a wrong readiness probe; one that answers at a
    declared port has a Service with a wrong targetPort.
    """
    service, probes = scope.service, []
    serving = {e.pod_uid for e in scope.snapshot.endpoints if e.ready and e.serving}
    for pod in [pod for pod in scope.snapshot.pods if belongs_in_endpoints(pod) and not pod.terminating][:MOST_TELLING]:
        targets = {n: port for port in tcp_ports(service) if (n := target_port(pod, port)) is not None}
        for address in pod.ips[:1]:
            wanted = [("declared", number) for number in sorted(pod.declared("TCP") - targets.keys())]
            wanted += [("unready", number) for number in sorted(targets) if pod.uid not in serving]
            for purpose, number in wanted:
                port = targets.get(number)
                # What it would serve over TLS is worth a look: nobody else shows it while no pod is ready.
                task = (
                    ask(scope, vantage, port, number, address=address)
                    if port in scope.https
                    else {"type": "tcp", "address": address, "port": number, "timeout": EXCHANGE}
                )
                target = host_port(address, number)
                probes.append(
                    Probe(purpose, vantage, f"{purpose}/{target}", task, target, port, node=pod.node, label=pod.name)
                )
    return probes + _large_probes(scope, vantage)


def _large_probes(scope: Scope, vantage: Vantage) -> list[Probe]:
    """A request that no single packet holds, to each endpoint: a road may be open for small packets only."""
    probes = []
    padding = {f"X-Padding-{number}": "x" * 3000 for number in range(4)}  # servers take this much, if not gladly
    able = _able(scope)
    for port in scope.http[:1]:
        for endpoint in able[:MOST_TELLING]:
            number = endpoint.port(port.name)
            if number is not None:
                target = host_port(endpoint.address, number)
                task = {**request(scope, number, address=endpoint.address), "headers": padding, "contains": []}
                probes.append(Probe(LARGE, vantage, f"{LARGE}/{target}", task, target, port, endpoint))
    return probes


def cluster_ip_probes(scope: Scope, vantage: Vantage, node: Node) -> list[Probe]:
    """The Service's own addresses, with as many connections as it takes to see every endpoint."""
    service, probes = scope.service, []
    for address in service.cluster_ips:
        for port in tcp_ports(service):
            behind = scope.behind(port, family_of(address))
            reach = reachable(service, behind, node)
            if not reach:
                continue  # Nothing can answer: that is for the checks of the endpoints to say.
            alike = sum(set(reachable(service, behind, other)) == set(reach) for other in scope.clients)
            repeat = AFFINITY_CONNECTIONS if service.session_affinity else connections_per_client(len(reach), alike)
            if scope.http and port in scope.https:  # plain HTTP tells who is behind the address
                repeat = FEW_CONNECTIONS
            target = host_port(address, port.port)
            task = ask(scope, vantage, port, port.port, repeat, address=address)
            probes.append(Probe("cluster_ip", vantage, f"cluster-ip/{target}", task, target, port, reach=reach))
    return probes


def refused_probes(stranger: Stranger, probes: t.Sequence[Probe]) -> list[Probe]:
    """What the ordinary client on the same node asks, once: the cluster IPs, and one pod for each port.

    Nothing but a connection is tried where TLS is spoken: its handshake may be slow, which must not look like a denial.
    """
    vantage = stranger.vantage
    found = [Probe("control", vantage, "control", {"type": "control"}, "itself")]
    near = [probe for probe in probes if probe.vantage == probes[0].vantage]
    first: dict[t.Any, Probe] = {}
    for probe in near:
        if probe.purpose == "direct":
            first.setdefault(probe.port, probe)
    for probe in (*(one for one in near if one.purpose == "cluster_ip"), *first.values()):
        task = {**probe.task, "repeat": 1, "contains": []}
        if task["type"] != "http":
            task = {"type": "tcp", "address": task["address"], "port": task["port"], "timeout": EXCHANGE}
        number, like = f"refused/{probe.id}", probe.id
        found.append(Probe("refused", vantage, number, task, probe.target, probe.port, probe.endpoint, label=like))
    return found


def by_name_probes(scope: Scope, vantage: Vantage, node: Node) -> list[Probe]:
    """HTTP to the name that an application of this client would use."""
    service, probes = scope.service, []
    name = scope.name_for(vantage)
    for port in (*scope.http, *scope.https):
        behind = [endpoint for family in service.families for endpoint in scope.behind(port, family)]
        reach = tuple(e for e in behind if e.ready) if service.headless else reachable(service, behind, node)
        if reach:
            # No proxy translates the port of a headless Service: its clients must use the pods' own.
            number = reach[0].port(port.name) or port.port if service.headless else port.port
            task = ask(scope, vantage, port, number, name=name)
            target = f"{name}:{number}"
            probes.append(Probe("name", vantage, f"name/{target}", task, target, port, reach=reach))
    return probes


def node_port_probes(scope: Scope, vantage: Vantage) -> list[Probe]:
    """The port that the Service opens on each node, at the nodes' own addresses."""
    clients = {node.name for node in scope.clients}
    targets = [node for node in scope.snapshot.nodes if node.ready]
    # The clients' own nodes first: a failure there and not elsewhere tells most.
    targets.sort(key=lambda node: (node.name not in clients, node.name))
    probes = []
    for node in targets[:MOST_NODE_PORT_TARGETS]:
        for address in node.addresses:
            for port in tcp_ports(scope.service):
                if port.node_port and _must_answer(scope, vantage, node, port, family_of(address)):
                    task = ask(scope, vantage, port, port.node_port, address=address)
                    target = host_port(address, port.node_port)
                    probe_id = f"node-port/{target}"
                    probes.append(Probe("node_port", vantage, probe_id, task, target, port, node=node.name))
    return probes


def _must_answer(scope: Scope, vantage: Vantage, node: Node, port: ServicePort, family: str) -> bool:
    """Whether a client must get an answer at `node`'s port.

    Under externalTrafficPolicy Local a node serves pods like everybody in the cluster, and outsiders from its own
    endpoints only. What a pod of another node is depends on the network: where its address is not translated, it counts
    as an insider, and the answer of an endpoint on a third node may then miss its way back. So such a client is asked
    only where both roads lead to the same endpoints.
    """
    behind = scope.behind(port, family)
    if not scope.service.external_local or vantage.node == node.name:
        return bool(ready_or_serving(behind))
    local = reachable(scope.service, behind, node, node_port=True)
    return bool(local) and set(local) == set(ready_or_serving(behind))
