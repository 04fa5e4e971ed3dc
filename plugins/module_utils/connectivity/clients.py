# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Private to this collection: may change in any release.
"""Who asks, as others see it: the probe pod or the clients' own workload, and what policies make of its ways. Pure."""

from __future__ import annotations

import ipaddress
import typing as t
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from . import snapshot
from .facts import Body, Facts
from .policy import (
    EGRESS,
    INGRESS,
    NAMESPACE_NAME,
    Answer,
    End,
    Flow,
    Network,
    Verdict,
    every,
    has_block,
    judge,
    matches,
)
from .probe import JOB_NAME_LABEL, OURS, RUN_LABEL
from .question import Question
from .snapshot import Pod, Service

PODS, DNS = "pods", "dns"
NODE_CACHE = "node-local-dns"

_POLICIES = ("policies", "client_policies", "dns_policies")
# What selects pods of the clients' namespace beside them.
_SELECTING = ("client_services", "client_replicasets", "client_statefulsets", "client_daemonsets")


@dataclass(frozen=True, slots=True)
class Way:
    """One connection to a pod.

    Attributes:
        to: PODS, those of the Service, or DNS, the cluster's DNS servers.
        port: label of the Service's port.
        number: of the pod's port.
        leaves, arrives: what the policies at either end say.
    """

    to: str
    pod: Pod
    port: str
    number: int
    protocol: str
    leaves: Verdict
    arrives: Verdict

    @property
    def allowed(self) -> Answer:
        """By both ends."""
        return every((self.leaves.allowed, self.arrives.allowed))


# ----- the client


def workload(facts: Facts) -> Body | None:
    """The clients' own workload, where one is asked about and there."""
    return next(iter(facts.all("client_workload")), None)


def template(body: Body) -> tuple[dict[str, str], Body]:
    """Labels and spec of its pods."""
    pod = (body.get("spec") or {}).get("template") or {}
    return dict((pod.get("metadata") or {}).get("labels") or {}), pod.get("spec") or {}


def client(question: Question, facts: Facts) -> End | None:
    """The client as policies see it; None where they see its node instead, or where it is not known.

    The workload where there is one, else the probe pod.
    """
    if not question.workload:
        return prober(question, facts)
    body = workload(facts)
    if body is None:
        return None
    labels, spec = template(body)
    if spec.get("hostNetwork"):
        return None
    kind, _space, name = question.workload.partition(" ")
    return end(f"{kind} {question.client.namespace}/{name}", question.client.namespace, labels, facts)


def prober(question: Question, facts: Facts) -> End:
    """The probe pod as policies see it."""
    # The values of these differ from run to run.
    given = {**question.client.labels, **OURS, RUN_LABEL: "", JOB_NAME_LABEL: "", "job-name": ""}
    return end("the client", question.client.namespace, given, facts)


def end(label: str, namespace: str, labels: Mapping[str, str], facts: Facts) -> End:
    """A pod that is not there yet, as policies will see it."""
    known, complete = space(facts, namespace)
    # All pods' addresses are looked at for this, and only blocks of addresses ask for it.
    networks = pod_networks(facts) if any(has_block(policy) for part in _POLICIES for policy in facts.all(part)) else ()
    return End(label, namespace, labels, known, complete, networks)


def space(facts: Facts, namespace: str) -> tuple[Mapping[str, str], bool]:
    """Labels of a namespace, and whether those are all."""
    body = facts.named("namespaces", namespace)
    if body is None:
        return {NAMESPACE_NAME: namespace}, False
    return {NAMESPACE_NAME: namespace, **(body["metadata"].get("labels") or {})}, True


def pod_networks(facts: Facts) -> tuple[Network, ...]:
    """Where a new pod gets its address from: the nodes' podCIDRs, if the pods that are there have theirs from them."""
    found = [
        ipaddress.ip_network(cidr)
        for node in facts.all("nodes")
        for cidr in (node.get("spec") or {}).get("podCIDRs") or []
    ]
    addresses = [
        ipaddress.ip_address(item["ip"])
        for part in ("pods", "client_pods", "dns_pods")
        for pod in facts.all(part)
        if not (pod.get("spec") or {}).get("hostNetwork")
        for item in (pod.get("status") or {}).get("podIPs") or []
    ]
    fits = all(any(address in network for network in found) for address in addresses)
    return tuple(found) if fits else ()


# ----- its ways


def ways(question: Question, facts: Facts, service: Service, source: End) -> list[Way]:
    """Every connection that the client needs, with what the policies say."""
    pods = behind(service, facts.all("pods"))
    found = _ways(PODS, source, pods, service, (facts.all("client_policies"), facts.all("policies"), facts))
    dns = facts.named("dns_services", question.dns[1])
    if dns is None or any(_labels(body).get("k8s-app") == NODE_CACHE for body in facts.all("dns_pods")):
        return found  # a cache on the node is asked instead, which is no pod to policies
    names = snapshot.service(dns)
    servers = behind(names, facts.all("dns_pods"))
    return found + _ways(DNS, source, servers, names, (facts.all("client_policies"), facts.all("dns_policies"), facts))


def behind(service: Service, bodies: Iterable[Body]) -> list[Pod]:
    """The pods that a Service selects; one on its node's network is the node to policies."""
    wanted = dict(service.selector).items()
    pods = [snapshot.pod(body) for body in bodies if wanted and wanted <= _labels(body).items()]
    return [pod for pod in pods if not pod.finished and not pod.terminating and not pod.host_network]


def _labels(body: Body) -> dict[str, str]:
    return dict(body["metadata"].get("labels") or {})


def _ways(
    to: str,
    source: End,
    pods: Iterable[Pod],
    service: Service,
    known: tuple[Iterable[Body], Iterable[Body], Facts],
) -> list[Way]:
    outbound, inbound, facts = known
    labels, complete = space(facts, service.namespace)
    found = []
    for pod in pods:
        # The addresses of the first family; clients take to the other one only where this one fails.
        networks = tuple(ipaddress.ip_network(ip) for ip in pod.ips[:1])
        ports = {(n, p): number for c in (*pod.containers, *pod.sidecars) for n, p, number in c.ports if n}
        there = "the pods" if to == PODS else "the DNS servers"
        end = End(there, pod.namespace, dict(pod.labels), labels, complete, networks, ports)
        here = tuple(network for network in source.networks if network.version in {n.version for n in networks})
        near = End(source.label, source.namespace, source.labels, source.space, source.space_known, here)
        for port in service.ports:
            number = snapshot.target_port(pod, port)
            # Port 9153 of the DNS Service tells figures, not names.
            if number is None or (to == DNS and port.port != 53):
                continue
            flow = Flow(near, end, number, port.protocol)
            leaves, arrives = judge(outbound, EGRESS, flow), judge(inbound, INGRESS, flow)
            found.append(Way(to, pod, port.label, number, port.protocol, leaves, arrives))
    return found


# ----- what the probe may wear


def disguise(question: Question, facts: Facts, service: Service) -> tuple[dict[str, str], str]:
    """Labels for the probe pod, so that policies take it for the workload; and why nothing can be asked so, or nothing.

    What a selector of the namespace asks for is left out, since the probe would become an endpoint, or somebody's
    replica. Where policies would then judge the probe otherwise than the workload, what it sees says nothing.
    """
    body = workload(facts)
    if body is None:
        return {}, ""
    hidden = next((facts.why_missing(part) for part in _SELECTING if facts.why_missing(part)), "")
    labels, _spec = template(body)
    worn = {} if hidden else _unselected(labels, facts)
    asked = _as_probe(question, worn)
    real, fake = client(question, facts), prober(asked, facts)
    wanted = [way.allowed for way in ways(question, facts, service, real)] if real else []
    got = [way.allowed for way in ways(question, facts, service, fake)]
    if got == wanted or (real is None and all(got)):
        return worn, ""
    why = hidden or f"a selector there asks for {', '.join(sorted(set(labels) - set(worn)))}"
    if real is None:
        why = "it uses the network of its node"
    return {}, f"the probe pod cannot stand for {question.workload}, and policies tell the two apart: {why}"


def _as_probe(question: Question, labels: Mapping[str, str]) -> Question:
    return replace(question, client=replace(question.client, labels=labels))


def _unselected(labels: Mapping[str, str], facts: Facts) -> dict[str, str]:
    """The labels without those by which something selects."""
    left = dict(labels)
    for part in _SELECTING:
        for body in facts.all(part):
            given = (body.get("spec") or {}).get("selector") or {}
            selector: Body = {"matchLabels": given} if part == "client_services" else given
            keys = _keys(selector)
            if keys and matches(selector, left):
                left = {key: value for key, value in left.items() if key not in keys}
    return left


def _keys(selector: t.Mapping[str, t.Any]) -> set[str]:
    return {*(selector.get("matchLabels") or {}), *(e["key"] for e in selector.get("matchExpressions") or [])}
