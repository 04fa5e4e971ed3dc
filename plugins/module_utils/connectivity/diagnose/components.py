# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Private to this collection: may change in any release.
"""The parts that a connection rests on, and which part rests on which.

A component is named `kind` or `kind/instance`, e.g. `proxy/node-2`, `started/web-1`, `port/80`. The order of
:data:`ORDER` is causal: what comes first can be the cause of what comes later, never the other way round.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass
from fnmatch import fnmatchcase

from ..facts import sources
from ..look import Look

ORDER = (
    "service",
    "node",
    "conntrack",
    "source",
    "admission",
    "scheduled",
    "started",
    "ready",
    "workload",
    "selector",
    "selected",
    "port",
    "controller",
    "endpoints",
    "answer",
    "policy",
    "enforcement",
    "access",
    "network",
    "mtu",
    "between",
    "proxy",
    "proxies",
    "hairpin",
    "flows",
    "nodeport",
    "loadbalancer",
    "outside",
    "dns/service",
    "dns/corefile",
    "dns/rights",
    "dns/servers",
    "dns/server",
    "dns/upstream",
    "dns",
    "resolver",
    "environment",
    "clock",
    "certificate",
    "trust",
    "served",
    "content",
    "client",
)

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
