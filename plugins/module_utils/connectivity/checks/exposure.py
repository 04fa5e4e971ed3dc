# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Private to this collection: may change in any release.
"""What stands before a Service for clients outside of the cluster: its NodePorts and its load balancer."""

from __future__ import annotations

import typing as t
from datetime import datetime, timedelta

from ...app.endpoints import load_balancer_cause
from ..commands import patch
from ..facts import Body
from ..look import ENDPOINTS, Look
from ..plan_outside import EXPOSED
from ..reach import reachable
from ..result import Finding, short
from ..snapshot import Service, family_of, when
from .common import Bench, nodes

CHECKS: tuple[tuple[str, str, str], ...] = (
    ("SV-17", "Which nodes answer under externalTrafficPolicy Local", "list nodes"),
    ("NP-01", "Every port has its NodePort", "get services"),
    ("LB-01", "The load balancer has an address", "list services"),
    (
        "LB-02",
        "What clients get of the load balancer: addresses or a name, and whether it is passed by",
        "list services",
    ),
    ("LB-05", "Whom the load balancer lets in", "list services"),
    ("LB-06", "Somebody serves the load balancer class", "list services"),
)

# How long a load balancer may take for its address: clouds need a minute or two.
_PATIENCE = timedelta(seconds=120)
# The finalizer of the controllers that serve load balancers (k8s.io/cloud-provider, service/helpers).
_CLEANUP = "service.kubernetes.io/load-balancer-cleanup"


def check(bench: Bench, look: Look) -> list[Finding]:
    """All checks of exposed Services; nothing for others."""
    if look.service.type not in EXPOSED:
        return []
    found = _node_ports(bench, look) + _local(bench, look)
    return found + (_load_balancer(bench, look) if look.service.type == "LoadBalancer" else [])


def current_events(look: Look, age: timedelta) -> dict[str, Body]:
    """The Service's own warnings of late: reason -> the last one."""
    mine = ("Service", look.service.uid)
    events = [e for e in look.facts.all("events") if _about(e) == mine]
    found: dict[str, Body] = {}
    for event in sorted(events, key=lambda item: str(_last(item))):
        last = _last(event)
        if last and look.now - last < age:
            found[str(event.get("reason"))] = event
    return found


def _about(event: Body) -> tuple[t.Any, t.Any]:
    about = event.get("involvedObject") or {}
    return about.get("kind"), about.get("uid")


def _last(event: Body) -> datetime | None:
    series = event.get("series") or {}
    stamp = series.get("lastObservedTime") or event.get("lastTimestamp") or event.get("eventTime")
    return when(stamp or event["metadata"].get("creationTimestamp"))


def _body(look: Look) -> Body | None:
    body = look.facts.named("services", look.service.name, look.service.namespace)
    return body if body and body["metadata"].get("uid") == look.service.uid else None


def is_pending(look: Look) -> bool:
    """Whether it waits for a load balancer's address: then LB-01 has its events."""
    return look.service.type == "LoadBalancer" and not look.service.ingress


def _node_ports(bench: Bench, look: Look) -> list[Finding]:
    """NP-01."""
    service, body = look.service, _body(look)
    wanted = service.type == "NodePort" or (
        body is not None and body["spec"].get("allocateLoadBalancerNodePorts") is not False
    )
    lacking = [port.label for port in service.ports if not port.node_port]
    if not wanted:
        return []
    if not lacking:
        ports = [f"{port.label} at {port.node_port}" for port in service.ports]
        return [bench.passed("NP-01", f"the nodes open {short(ports)}")]
    return [
        bench.failed(
            "NP-01",
            f"port {short(lacking)} of {service.label} has no NodePort",
            object=service.label,
            field="spec.ports[*].nodePort",
            observed=[port.node_port for port in service.ports],
            expected="a NodePort for every port",
            cause="the API server allocates them; the range may be used up",
            subjects=frozenset({service.uid}),
            component="nodeport",
        )
    ]


def _local(bench: Bench, look: Look) -> list[Finding]:
    """SV-17. Load balancers ask healthCheckNodePort and leave the other nodes out; who asks a NodePort must know."""
    service, endpoints = look.service, look.after.endpoints
    if not service.external_local:
        return []
    ready = [node for node in nodes(look) if node.ready]
    answer = sorted(node.name for node in ready if reachable(service, endpoints, node, node_port=True))
    if not ready:
        answer = sorted({endpoint.node for endpoint in endpoints if endpoint.ready and endpoint.node})
    silent = sorted(node.name for node in ready if node.name not in answer)
    if not answer:
        return []  # There is no ready endpoint: that is for others to say.
    message = f"externalTrafficPolicy is Local: {short(answer)} answer clients from outside"
    lost = sorted({*silent} & _asked(look)) if service.type == "NodePort" else []
    if lost:
        return [_dropped(bench, look, lost, answer)]
    if not silent:
        return [bench.passed("SV-17", message)]
    return [bench.skipped("SV-17", f"{message}; those that do not: {short(silent)}")]


def _asked(look: Look) -> set[str]:
    """The nodes that clients from outside may ask: those that take ordinary pods, without one that is just coming up.

    A load balancer chooses nodes by their health check, which a mere NodePort has not. A DaemonSet puts its pods on
    nodes that are chosen as well.
    """
    if any(pod.owner.startswith("DaemonSet ") for pod in look.after.pods):
        return set()
    starting = {pod.node for pod in look.after.pods if not pod.ready and not pod.finished and not pod.terminating}
    bodies = look.facts.all("nodes")
    taken = {body["metadata"]["name"] for body in bodies if not (body.get("spec") or {}).get("taints")}
    return taken - starting


def _dropped(bench: Bench, look: Look, lost: t.Sequence[str], answer: t.Sequence[str]) -> Finding:
    service = look.service
    change = {"spec": {"externalTrafficPolicy": "Cluster"}}
    return bench.warned(
        "SV-17",
        f"no endpoint of {service.label} is on {short(lost)}: with externalTrafficPolicy Local the NodePort there "
        "drops clients from outside",
        object=service.label,
        field="spec.externalTrafficPolicy",
        observed="Local",
        expected="Cluster, or an endpoint on every node that is asked",
        cause=f"endpoints are on {short(answer)}; ask nodes that have one, put a pod on every node, or set Cluster, "
        "which hides the clients' addresses from the pods",
        evidence={
            "nodes": list(lost),
            "fix": patch("service", service.name, service.namespace, change),
        },
        subjects=frozenset({service.uid, ENDPOINTS}),
        component="nodeport/local",
    )


def _load_balancer(bench: Bench, look: Look) -> list[Finding]:
    """LB-01 and LB-06 it has an address; LB-05 whom it lets in."""
    service, body = look.service, _body(look)
    if body is None:
        return [bench.skipped("LB-01", look.facts.why_missing("services") or f"{service.label} is new")]
    found = _source_ranges(bench, body)
    if service.ingress:
        passed = bench.passed("LB-01", f"the load balancer has the address {short(service.ingress)}")
        return [*found, passed, *_kinds(bench, service, body)]
    if service.created is not None and look.now - service.created < _PATIENCE:
        return [*found, bench.skipped("LB-01", f"{service.label} is new, and its load balancer has no address yet")]
    events = current_events(look, timedelta(days=1))
    wanted = body["spec"].get("loadBalancerClass") or ""
    found.append(
        bench.failed(
            "LB-06" if wanted and not events else "LB-01",
            f"{service.label} has no address from a load balancer",
            object=service.label,
            field="status.loadBalancer.ingress",
            observed=[],
            expected="an address",
            cause=_cause(look, body, events),
            evidence={"events": [f"{reason}: {event.get('message')}" for reason, event in events.items()]},
            subjects=frozenset({service.uid}),
            component="loadbalancer",
        )
    )
    return found


def _kinds(bench: Bench, service: Service, body: Body) -> list[Finding]:
    """LB-02: an address of a family that the Service has; what names and the mode Proxy mean is advice."""
    entries = (((body.get("status") or {}).get("loadBalancer") or {}).get("ingress")) or []
    strange = [str(e["ip"]) for e in entries if e.get("ip") and family_of(str(e["ip"])) not in service.families]
    if strange:
        return [
            bench.warned(
                "LB-02",
                f"the load balancer of {service.label} has the address {short(strange)}, of a family that the Service "
                "has not",
                object=service.label,
                field="status.loadBalancer.ingress",
                observed=strange,
                expected=list(service.families),
                cause="the service proxies lead nobody from there to the pods, unless the load balancer translates it",
                subjects=frozenset({service.uid}),
                component="loadbalancer",
            )
        ]
    names = [str(e["hostname"]) for e in entries if e.get("hostname")]
    if names:
        message = f"the load balancer has the name {short(names)}: clients need a DNS that knows it, and a certificate"
        return [bench.skipped("LB-02", f"{message} must be for what they call it")]
    if any(e.get("ipMode") == "Proxy" for e in entries):
        message = "ipMode is Proxy: clients in the cluster, too, go through the load balancer, and it through the nodes"
        return [bench.skipped("LB-02", message)]
    return [bench.passed("LB-02", f"the load balancer's addresses are of {short(service.families)}, ipMode VIP")]


def _cause(look: Look, body: Body, events: t.Mapping[str, Body]) -> str:
    why = look.facts.why_missing("events")
    if why:
        return f"its events are not known: {why}"
    if not events and _CLEANUP in (body["metadata"].get("finalizers") or []):
        return "a controller has taken it on, but gave it no address and no warning; see its own log"
    return load_balancer_cause(dict(body), [dict(event) for event in events.values()])


def _source_ranges(bench: Bench, body: Body) -> list[Finding]:
    ranges = body["spec"].get("loadBalancerSourceRanges") or []
    return [bench.skipped("LB-05", f"the load balancer lets in clients of {short(ranges)} only")] if ranges else []
