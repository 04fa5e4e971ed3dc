# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Private to this collection: may change in any release.
"""The parts that a connection rests on, and which part rests on which.

A component is named `kind` or `kind/instance`, e.g. `proxy/node-2`, `started/web-1`, `port/80`. The order of
:data:`KINDS` is causal: what comes first can be the cause of what comes later, never the other way round.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass
from fnmatch import fnmatchcase

from ..facts import sources
from ..look import Look

# kind -> page of docs/causes and title of its section there, in causal order.
KINDS: dict[str, tuple[str, str]] = {
    "service": ("service", "The Service is missing or wrong"),
    "node": ("nodes", "A node is not well"),
    "conntrack": ("nodes", "A connection table is full"),
    "source": ("workload", "A Secret, ConfigMap or key is missing"),
    "admission": ("workload", "The API server refuses pods"),
    "scheduled": ("workload", "A pod gets no node"),
    "started": ("workload", "A container does not run"),
    "ready": ("workload", "A pod is not ready, or wrongly so"),
    "workload": ("workload", "The workload lacks the right pods"),
    "selector": ("service", "The selector does not fit the pods"),
    "selected": ("service", "No pod is selected"),
    "port": ("service", "A port of the Service is wrong"),
    "controller": ("service", "EndpointSlices are not right"),
    "endpoints": ("service", "Ready endpoints are missing"),
    "answer": ("workload", "An application does not answer"),
    "policy": ("policy", "A NetworkPolicy keeps clients out"),
    "enforcement": ("policy", "NetworkPolicies are not enforced"),
    "access": ("policy", "Strangers get in"),
    "network": ("network", "The pod network of a node is broken"),
    "mtu": ("network", "Large packets are lost"),
    "between": ("network", "Packets between two nodes are lost"),
    "proxy": ("network", "The service proxy of a node fails"),
    "proxies": ("network", "No service proxy leads to the Service"),
    "hairpin": ("network", "A pod does not reach itself"),
    "flows": ("network", "UDP flows are held to a lost endpoint"),
    "nodeport": ("exposure", "NodePorts are missing or mislead"),
    "loadbalancer": ("exposure", "The load balancer fails"),
    "outside": ("exposure", "The way into the cluster is broken"),
    "dns/service": ("dns", "The DNS Service leads nowhere"),
    "dns/corefile": ("dns", "The Corefile is wrong"),
    "dns/rights": ("dns", "The DNS servers lack rights"),
    "dns/servers": ("dns", "No DNS server answers"),
    "dns/server": ("dns", "One DNS server is not well"),
    "dns/upstream": ("dns", "Names outside are not found"),
    "dns": ("dns", "The cluster's DNS answers wrongly"),
    "resolver": ("dns", "Lookups of a node's clients fail"),
    "environment": ("workload", "Variables are missing or stale"),
    "clock": ("tls", "A clock is wrong"),
    "certificate": ("tls", "The certificate is not acceptable"),
    "trust": ("tls", "Clients do not trust the CA"),
    "served": ("tls", "What is served is out of date"),
    "content": ("workload", "A pod gives the wrong content"),
    "client": ("clients", "The clients' own set-up is wrong"),
}
ORDER = tuple(KINDS)

# What each kind rests on directly. `{}` stands for the instance, `@node` for the node of a pod, `@sources` for what its
# volumes and variables come from, `*` for all instances.
_RESTS_ON: dict[str, tuple[str, ...]] = {
    "scheduled": ("admission",),
    "started": ("scheduled/{}", "node/@node", "@sources"),
    "ready": ("started/{}", "node/@node", "network/@node"),
    "workload": ("admission", "source/*", "scheduled/*", "started/*", "ready/*"),
    "selected": ("service", "selector", "workload"),
    "endpoints": ("service", "selected", "port/*", "controller", "workload", "ready/*"),
    "answer": ("ready/{}", "port/*", "policy/*", "network/@node"),
    "access": ("enforcement",),
    "conntrack": ("node/{}",),
    "network": ("node/{}", "conntrack/{}"),
    "proxy": ("node/{}", "conntrack/{}", "service"),
    "proxies": ("service", "endpoints"),
    "hairpin": ("proxy/{}", "network/{}", "policy/*", "service"),
    "flows": ("proxy/{}",),
    "nodeport": ("service", "endpoints", "proxies"),
    "loadbalancer": ("service", "endpoints"),
    "dns/servers": ("dns/corefile", "dns/rights"),
    "dns/server": ("dns/servers", "node/@node", "network/@node"),
    "dns/upstream": ("dns/service", "dns/servers", "policy/*", "proxies"),
    "dns": ("service", "dns/service", "dns/servers", "policy/*", "proxies"),
    "resolver": ("dns", "proxy/{}"),
    "certificate": ("source/*",),
    "served": ("certificate", "source/*", "answer/*"),
    "content": ("source/*",),
}


def kind_of(component: str) -> str:
    """The kind of a component: its longest known beginning."""
    if component in ORDER:
        return component
    head = component
    while head:
        head = head.rpartition("/")[0]
        if head in ORDER:
            return head
    return component.partition("/")[0]


def instance_of(component: str) -> str:
    """The instance of a component, empty where it has none."""
    return component[len(kind_of(component)) + 1 :]


def rank(component: str) -> int:
    """Its place in the causal order."""
    kind = kind_of(component)
    return ORDER.index(kind) if kind in ORDER else len(ORDER)


@dataclass(frozen=True, slots=True)
class World:
    """What the instances have to do with each other.

    Attributes:
        node_of: pod -> node.
        sources_of: pod -> components of the Secrets and ConfigMaps that it takes something from.
    """

    node_of: t.Mapping[str, str]
    sources_of: t.Mapping[str, frozenset[str]]

    @classmethod
    def of(cls, look: Look) -> World:
        """Out of the snapshot and the surroundings."""
        nodes = {pod.name: pod.node for pod in (*look.after.pods, *look.after.strangers)}
        nodes |= {e.pod: e.node for e in look.after.dns_endpoints if e.pod}
        held = {}
        for body in look.facts.all("pods"):
            name, spec = body["metadata"]["name"], body.get("spec") or {}
            nodes.setdefault(name, spec.get("nodeName") or "")
            held[name] = frozenset(f"source/{kind}/{source}" for kind, source, _keys, _optional in sources(spec))
        return cls(nodes, held)

    def rests_on(self, component: str) -> frozenset[str]:
        """Patterns of what a component rests on, directly."""
        instance = instance_of(component)
        pod = instance.partition("/")[0]
        found: set[str] = set()
        for pattern in _RESTS_ON.get(kind_of(component), ()):
            if pattern == "@sources":
                found |= self.sources_of.get(pod, frozenset())
            elif "@node" in pattern:
                if self.node_of.get(pod):
                    found.add(pattern.replace("@node", self.node_of[pod]))
            else:
                found.add(pattern.replace("{}", pod) if "{}" in pattern else pattern)
        return frozenset(found)

    def above(self, component: str, accused: t.Iterable[str], good: frozenset[str]) -> frozenset[str]:
        """Which of the `accused` components a component rests on, directly or through others that are not `good`."""
        wanted, found, seen, open_ = set(accused), set(), {component}, [component]
        while open_:
            for pattern in self.rests_on(open_.pop()):
                hits = {other for other in wanted if _matches(other, pattern)} - {component}
                found |= hits
                for step in hits | {pattern}:
                    if step not in seen and step not in good:
                        seen.add(step)
                        open_.append(step)
        return frozenset(found)


def _matches(component: str, pattern: str) -> bool:
    return component == pattern or fnmatchcase(component, pattern) or component.startswith(f"{pattern}/")
