# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Private to this collection: may change in any release.
"""Is the Service itself, as it is written, one that can pass connections on to its pods?

By the API alone. What the EndpointSlices make of it is for :mod:`.endpoints`, what stands before it for
:mod:`.exposure`.
"""

from __future__ import annotations

import itertools
import typing as t
from datetime import timedelta

from .. import nearest
from ..commands import patch
from ..facts import Body
from ..intent import WORKLOADS, intended, label, matches, miss, template_labels
from ..look import Look
from ..ports import tcp_ports
from ..question import NODE
from ..reach import reachable, ready_or_serving
from ..result import Finding, short
from ..snapshot import SLICE_CONTROLLER, Node, Pod, Service, ServicePort, family_of
from ..snapshot import service as parse_service
from . import exposure
from .common import PROXY_NAME, Bench, client_pods, nodes

NAME = "service"
_bench = Bench(NAME)

CHECKS: tuple[tuple[str, str, str], ...] = (
    ("SV-02", "The type is the expected one", "get services"),
    ("SV-03", "There is a selector, or somebody else fills the EndpointSlices", "list endpointslices"),
    ("SV-06", "The selector selects pods; else which label is the nearest miss", "list pods"),
    ("SV-07", "Every expected port is there", "get services"),
    ("SV-08", "The pods listen on the target ports", "list pods, create jobs (node level)"),
    ("SV-10", "The protocol of a port is that of the pods", "list pods"),
    ("SV-11", "appProtocol and name of a port say the same", "get services"),
    ("SV-12", "Services of the same pods say the same of a port", "list services"),
    ("SV-13", "There is a cluster IP, and a headless Service translates no port", "get services"),
    ("SV-14", "The pods have addresses of the Service's families", "list pods"),
    ("SV-16", "internalTrafficPolicy Local leaves no client without an endpoint", "list pods"),
    ("SV-18", "No unready pod is published for long", "list pods"),
    ("SV-19", "No label hides the Service from kube-proxy", "list services"),
    ("SV-20", "An ExternalName is a name, and expects nothing of ports", "get services"),
    ("SV-21", "No current warning events", "list events"),
    ("EP-09", "Nobody adds endpoints beside the controller's", "list endpointslices"),
    *exposure.CHECKS,
)

# Labels by which kube-proxy leaves a Service to others (pkg/proxy/config: the informers' label selector).
_HIDING = (PROXY_NAME, "service.kubernetes.io/headless")
# A pod that was just started is published for a moment in every roll-out.
_UNREADY = timedelta(seconds=30)
_EVENT_AGE = timedelta(minutes=5)
# The endpoint controllers report lost races with these, and try again. So does the API server of the address of a new
# Service, when it hears of the Service before it hears of its IPAddress (repairip.go, "is not allocated; repairing").
_TRANSIENT = (
    "FailedToUpdateEndpoint",
    "FailedToUpdateEndpointSlices",
    "FailedToCreateEndpoint",
    "ClusterIPNotAllocated",
)
_CONTROL_PLANE = ("node-role.kubernetes.io/control-plane", "node-role.kubernetes.io/master")


def check(look: Look) -> list[Finding]:
    """All checks of this layer."""
    service = look.service
    found = _expected(look)
    if service.external:
        return found + _alias(look)
    found += (
        _address(service)
        + _said_twice(service)
        + _said_by_others(look)
        + _hidden(look)
        + _events(look)
        + exposure.check(_bench, look)
    )
    if not service.selector:
        return found + _by_hand(look)
    found += _beside(look)
    why = look.after.why_missing("pods")
    if why:
        return [*found, _bench.skipped("SV-06", why)]
    if not _live(look):
        return found + _selects_nothing(look)
    found += [_bench.passed("SV-06", f"the selector selects {len(_live(look))} pod(s)"), *_lost_when_replaced(look)]
    return found + _protocols(look) + _undeclared(look) + _families(look) + _local(look) + _unready(look)


def _live(look: Look) -> list[Pod]:
    """The selected pods that count."""
    return [one for one in look.after.pods if not one.finished and not one.terminating]


def _body(look: Look) -> Body | None:
    """The API object, where Services may be listed."""
    body = look.facts.named("services", look.service.name, look.service.namespace)
    return body if body and body["metadata"].get("uid") == look.service.uid else None


def _accuse(look: Look, check: str, message: str, field: str, **more: t.Any) -> Finding:
    """A complaint about the Service as a whole."""
    details: dict[str, t.Any] = {"object": look.service.label, "component": "service", **more}
    return _bench.failed(check, message, field=field, subjects=frozenset({look.service.uid}), **details)


# ----- as expected


def _expected(look: Look) -> list[Finding]:
    """SV-02 the type, SV-07 the ports that the user expects."""
    service, expect, found = look.service, look.question.expect, []
    kind = "Headless" if service.headless and service.type == "ClusterIP" else service.type
    if expect.type and expect.type != kind:
        message = f"{service.label} is of type {kind}, not {expect.type}"
        found.append(_accuse(look, "SV-02", message, "spec.type", observed=kind, expected=expect.type))
    elif expect.type:
        found.append(_bench.passed("SV-02", f"{service.label} is of type {kind}"))
    wanted = expect.ports or ()
    lacking = [name for name in wanted if not any(name in _names(port) for port in service.ports)]
    complaints = [_lacks_port(look, name) for name in lacking]
    return found + _bench.verdict(
        "SV-07", complaints, len(wanted) - len(lacking), f"{service.label} has the {len(wanted)} expected port(s)"
    )


def _lacks_port(look: Look, wanted: str) -> Finding:
    """The complaint about a port that clients use, and that is not there: who is wrong is not known."""
    service = look.service
    has = [port.label for port in service.ports]
    near, why = _nearest_port(wanted, service.ports)
    hint = f"; {why}" if why else f"; nearest: {near.label}" if near else ""
    details: dict[str, t.Any] = {
        "observed": has,
        "expected": wanted,
        "cause": f"let the clients use {near.label}, or add port {wanted} to spec.ports" if near else "add it",
        "component": f"client/{wanted}",
        "evidence": _added(service, wanted, near),
    }
    message = f"clients use port {wanted}, and {service.label} has {short(has)}{hint}"
    return _accuse(look, "SV-07", message, f"spec.ports[{wanted}]", **details)


def _added(service: Service, wanted: str, near: ServicePort | None) -> dict[str, t.Any]:
    """The line that adds a port beside the nearest one, which leads to the same pods."""
    if near is None or not wanted.isdigit():
        return {}
    port = {
        "name": f"port-{wanted}",
        "port": int(wanted),
        "protocol": near.protocol,
        "targetPort": near.target_port,
    }
    # Several ports must have names; the API server refuses a nameless one beside another.
    named = [{"name": f"port-{p.port}", "port": p.port, "protocol": p.protocol} for p in service.ports if not p.name]
    return {"fix": patch("service", service.name, service.namespace, {"spec": {"ports": [*named, port]}})}


def _nearest_port(wanted: str, ports: t.Sequence[ServicePort]) -> tuple[ServicePort | None, str]:
    """The port that was meant, and how it was mistaken where that shows."""
    named = nearest.word(wanted.partition(":")[0], [port.name for port in ports if port.name])
    digits = "".join(filter(str.isdigit, wanted.rpartition(":")[2].partition("/")[0]))
    for port in ports:
        if digits and digits == str(port.target_port):
            return port, f"{digits} is the targetPort of {port.label}, which only the pods have"
        if digits and digits == str(port.node_port):
            return port, f"{digits} is the NodePort of {port.label}, which only the nodes have"
    number = nearest.port(int(digits), [port.port for port in ports]) if digits and not named else None
    return next((port for port in ports if port.name == named or port.port == number), None), ""


def _names(port: ServicePort) -> tuple[str, ...]:
    """How a user may call a port."""
    return (port.name, str(port.port), f"{port.port}/{port.protocol}", f"{port.name}:{port.port}")


# ----- the address


def _alias(look: Look) -> list[Finding]:
    """SV-20. CoreDNS answers with a CNAME, which cannot lead to an address; ports and certificates are the target's."""
    service = look.service
    if family_of(service.external_name):
        return [
            _accuse(
                look,
                "SV-20",
                f"{service.label} is an ExternalName for an address, which no DNS server resolves",
                "spec.externalName",
                observed=service.external_name,
                expected="a DNS name",
                cause="a CNAME record leads to a name only; for an address, make a Service without a selector and an "
                "EndpointSlice for it",
            )
        ]
    if service.ports:
        message = f"{service.label} is an alias: its ports are never used, and clients need those of "
        return [_bench.skipped("SV-20", message + service.external_name)]
    message = f"{service.label} is an alias of {service.external_name}; a certificate must be valid for the name that "
    return [_bench.skipped("SV-20", message + "clients ask for")]


def _address(service: Service) -> list[Finding]:
    """SV-13."""
    if service.headless:
        moved = [
            port.label for port in service.ports if isinstance(port.target_port, int) and port.target_port != port.port
        ]
        if not moved:
            return [_bench.passed("SV-13", f"{service.label} is headless, its ports are those of the pods")]
        message = f"{service.label} is headless, so nothing translates port {short(moved)}: clients need the targetPort"
        return [_bench.skipped("SV-13", message)]
    if service.cluster_ips:
        return [_bench.passed("SV-13", f"{service.label} has the cluster IP {short(service.cluster_ips)}")]
    return [
        _bench.failed(
            "SV-13",
            f"{service.label} has no cluster IP",
            object=service.label,
            field="spec.clusterIPs",
            observed=[],
            expected="an address",
            cause="the API server allocates one when a Service is created; the range may be used up",
            subjects=frozenset({service.uid}),
            component="service",
        )
    ]


def _said_twice(service: Service) -> list[Finding]:
    """SV-11, an advice: gateways and meshes read appProtocol, others the name."""
    odd = [
        port.label
        for port in service.ports
        if {port.app_protocol.lower(), port.name.lower().split("-")[0]} == {"http", "https"}
    ]
    if not odd:
        return []
    return [_bench.skipped("SV-11", f"name and appProtocol of port {short(odd)} contradict each other")]


def _said_by_others(look: Look) -> list[Finding]:
    """SV-12, an advice: of two Services that lead to one port of the same pods, one says https and the other http."""
    service = look.service
    known = [parse_service(body) for body in look.facts.all("services")]
    others = [one for one in known if one.selector and one.selector == service.selector and one.uid != service.uid]
    shared = [
        (ours, other, theirs)
        for other in others
        for ours, theirs in itertools.product(tcp_ports(service), tcp_ports(other))
        if ours.target_port == theirs.target_port
    ]
    odd = [
        f"{other.label} says {_web(theirs)} at port {theirs.label}, and port {ours.label} says {_web(ours)}"
        for ours, other, theirs in shared
        if {_web(ours), _web(theirs)} == {"http", "https"}
    ]
    if odd:
        return [_bench.skipped("SV-12", f"one of two Services that lead to one port is wrong: {short(odd)}")]
    return _bench.verdict("SV-12", [], len(shared), "the other Services of these pods say the same of their ports")


def _web(port: ServicePort) -> str:
    """`http` or `https` where appProtocol or name say so."""
    words = (port.app_protocol.lower(), port.name.lower().split("-")[0])
    return next((word for word in words if word in ("http", "https")), "")


def _hidden(look: Look) -> list[Finding]:
    """SV-19."""
    service, body = look.service, _body(look)
    if body is None:
        return [_bench.skipped("SV-19", look.facts.why_missing("services") or f"{service.label} is new")]
    labels = body["metadata"].get("labels") or {}
    hiding = [name for name in _HIDING if name in labels]
    answered = any(found.answered for _probe, found in look.seen("cluster_ip"))
    if not hiding or service.headless or answered:
        return [_bench.passed("SV-19", "no label hides the Service from the service proxies")]
    finding = _accuse(
        look,
        "SV-19",
        f"the label {hiding[0]} hides {service.label} from kube-proxy",
        f"metadata.labels[{hiding[0]}]",
        observed=labels[hiding[0]],
        expected="no such label",
        cause="kube-proxy leaves such Services to another service proxy; if there is none, take the label away",
        evidence={"fix": f"kubectl label service {service.name} -n {service.namespace} {hiding[0]}-"},
    )
    return [finding]


def _events(look: Look) -> list[Finding]:
    """SV-21, by kind and uid: events of an earlier Service of this name are none of ours."""
    why = look.facts.why_missing("events")
    if why:
        return [_bench.skipped("SV-21", why)]
    service = look.service
    complaints = [
        _bench.warned(
            "SV-21",
            f"{service.label} has a warning event {reason}: {event.get('message')}",
            object=service.label,
            field=f"event {reason}",
            observed=event.get("message"),
            expected="no warning",
            subjects=frozenset({service.uid}),
            component="loadbalancer" if "LoadBalancer" in str(reason) else "service",
        )
        for reason, event in exposure.current_events(look, _EVENT_AGE).items()
        if reason not in _TRANSIENT and not exposure.is_pending(look)
    ]
    return _bench.verdict("SV-21", complaints, 1, f"no current warning event of {service.label}")[
        : len(complaints) or 1
    ]


# ----- selector


def _by_hand(look: Look) -> list[Finding]:
    """SV-03: without a selector, somebody else has to write the EndpointSlices."""
    service = look.service
    why = look.after.why_missing("endpointslices")
    if why or look.after.slices:
        return [_bench.skipped("SV-03", why or f"{service.label} has no selector: others manage its endpoints")]
    workloads = [body for body in _workloads(look) if body["metadata"]["name"] == service.name]
    labels = template_labels(workloads[0]) if workloads else {}
    return [
        _bench.failed(
            "SV-03",
            f"{service.label} has no selector, and nobody writes EndpointSlices for it",
            object=service.label,
            field="spec.selector",
            observed={},
            expected="a selector",
            cause=f"{label(workloads[0])} gives its pods {short(labels)}" if workloads else "give it a selector",
            evidence={"selector": labels} if labels else {},
            subjects=frozenset({service.uid}),
            component="selector",
        )
    ]


def _workloads(look: Look) -> list[Body]:
    return [body for part in WORKLOADS.values() for body in look.facts.all(part)]


def _selects_nothing(look: Look) -> list[Finding]:
    """SV-06: which label differs, and whose pods have the nearest ones."""
    service, selector = look.service, dict(look.service.selector)
    if look.question.expect.ready_endpoints == 0:
        return [_bench.passed("SV-06", "the selector selects no pod, as expected")]
    right = [label(body) for body in _workloads(look) if matches(selector, template_labels(body))]
    if right or look.after.pods:
        who = short(right or [one.name for one in look.after.pods])
        return [_bench.passed("SV-06", f"the selector fits {who}, which has no running pod now")]
    near = miss(look)
    text = ",".join(f"{key}={value}" for key, value in service.selector)
    return [
        _bench.failed(
            "SV-06",
            f"the selector {text} of {service.label} matches 0 pods{_would(service, near)}",
            object=service.label,
            field="spec.selector",
            observed=selector,
            expected=dict(near.selector) if near and near.selector else f"labels of pods in {service.namespace}",
            cause=_why_nothing(look, near),
            evidence={"selector": dict(near.selector), "pods": list(near.names[:10])} if near else {},
            subjects=frozenset({service.uid}),
            component="selector",
        )
    ]


def _would(service: Service, near: nearest.Miss | None) -> str:
    if near is None:
        return ""
    first, count = f"{service.namespace}/{near.names[0]}", len(near.names)
    if near.instead is None:
        return f"; {count} pod(s) lack only the label {near.wrong[0]}, e.g. {first}"
    return f"; {near.label} would match {count}, e.g. {first}"


def _why_nothing(look: Look, near: nearest.Miss | None) -> str:
    if near and near.instead is None:
        return f"add the label {near.wrong[0]} to the pods' template, or take it out of the selector"
    if near:
        return f"{near.wrong[0]}={near.wrong[1]} is not among their labels, {near.label} is"
    meant = intended(look)
    if meant:
        return f"{label(meant[0])} gives its pods {short(template_labels(meant[0]))}"
    if not look.after.strangers:
        return f"there is no pod in namespace {look.service.namespace}"
    return "no pod of the namespace has labels that come near"


def _lost_when_replaced(look: Look) -> list[Finding]:
    """SV-06, an advice: pods that have a label of the selector, but not from their template.

    Operators that choose a leader, and StatefulSets that number their pods, set such labels on purpose.
    """
    selector, owners = dict(look.service.selector), {one.owner for one in _live(look)}
    workloads = _workloads(look)
    mine = [body for body in workloads if label(body) in owners]
    if len(mine) < len(owners) or any(matches(selector, template_labels(body)) for body in workloads):
        return []
    lacking = sorted({pair for body in mine for pair in _lacks(selector, body)})
    who = short([label(body) for body in mine])
    return [_bench.skipped("SV-06", f"the pods of {who} do not get {short(lacking)} from their template")]


def _lacks(selector: t.Mapping[str, str], body: Body) -> list[str]:
    labels = template_labels(body)
    return [f"{key}={value}" for key, value in selector.items() if labels.get(key) != value]


def _beside(look: Look) -> list[Finding]:
    """EP-09: endpoints that were written by hand get their share of the connections for ever."""
    service = look.service
    foreign: dict[str, list[str]] = {}
    for endpoint in look.after.endpoints:
        # Other controllers (of meshes and of other clusters) call themselves by a domain.
        if endpoint.managed_by != SLICE_CONTROLLER and "." not in endpoint.managed_by:
            foreign.setdefault(endpoint.slice, []).append(endpoint.address)
    return [
        _bench.failed(
            "EP-09",
            f"EndpointSlice {name} was not written by the controller, and adds {short(addresses)} to {service.label}",
            object=f"EndpointSlice {service.namespace}/{name}",
            field="metadata.labels",
            observed=addresses,
            expected="the selected pods only",
            cause="a Service with a selector needs no EndpointSlice made by hand",
            evidence={"fix": f"kubectl delete endpointslice {name} -n {service.namespace}"},
            subjects=frozenset({service.uid}),
            component="controller",
        )
        for name, addresses in sorted(foreign.items())
    ]


# ----- ports


def _answers(look: Look, port: ServicePort) -> bool:
    """Whether an endpoint answered there: then nothing that pods declare counts."""
    return any(found.answered for probe, found in look.seen("direct") if probe.port == port)


def _protocols(look: Look) -> list[Finding]:
    """SV-10: the pods declare the target under another protocol, and no port of the Service leads there with it."""
    service, pods, complaints = look.service, _live(look), []
    for index, port in enumerate(service.ports):
        spoken = {
            protocol for protocol in ("TCP", "UDP", "SCTP") if all(_declares(one, port, protocol) for one in pods)
        }
        twins = {other.protocol for other in service.ports if other.target_port == port.target_port}
        if not spoken or port.protocol in spoken or spoken & twins or _answers(look, port):
            continue
        other = min(spoken)
        # A name that is not found makes no endpoint; a number may work, unless a readiness probe shows what it speaks.
        sure = isinstance(port.target_port, str) or (other == "TCP" and _probed(look, port.target_port))
        change = [{"op": "replace", "path": f"/spec/ports/{index}/protocol", "value": other}]
        complaints.append(
            (_bench.failed if sure else _bench.warned)(
                "SV-10",
                f"port {port.label} of {service.label} is {port.protocol}, but the pods speak {other} there",
                object=service.label,
                field=f"spec.ports[{index}].protocol",
                observed=port.protocol,
                expected=other,
                cause=f"every selected pod declares {port.target_port} as {other}",
                evidence={"fix": patch("service", service.name, service.namespace, change)},
                subjects=frozenset({service.uid, *(one.uid for one in pods)}),
                component=f"port/{port.port}",
            )
        )
    good = len(service.ports) - len(complaints)
    return _bench.verdict("SV-10", complaints, good, "no pod declares a target port under another protocol only")


def _declares(one: Pod, port: ServicePort, protocol: str) -> bool:
    """Whether a pod has the target of a port under `protocol`."""
    containers = (*one.containers, *one.sidecars)
    ports = {(p, found) for c in containers for name, p, number in c.ports for found in (name, number)}
    return (protocol, port.target_port) in ports


def _probed(look: Look, number: int | str) -> bool:
    """Whether the kubelet is answered over HTTP at a port: its readiness probe asks there, and the pods are ready."""
    ready = {one.name for one in _live(look) if one.ready}
    for body in look.facts.all("pods"):
        if body["metadata"]["name"] not in ready:
            continue
        for container in (body.get("spec") or {}).get("containers") or []:
            probe = container.get("readinessProbe") or {}
            asked = (probe.get("httpGet") or {}).get("port")
            named = {port.get("name"): port.get("containerPort") for port in container.get("ports") or []}
            if asked is not None and named.get(asked, asked) == number:
                return True
    return False


def _undeclared(look: Look) -> list[Finding]:
    """SV-08, an advice: containerPort is optional, so only a probe tells, or a look at the sockets (see node.py)."""
    odd = []
    for port in () if NODE in look.question.layers else look.service.ports:
        declared = [one.declared(port.protocol) for one in _live(look)]
        if isinstance(port.target_port, int) and all(declared) and not _answers(look, port):
            known = {number for numbers in declared for number in numbers}
            if port.target_port not in known:
                odd.append(
                    f"{port.target_port} of port {port.label} (nearest: {nearest.port(port.target_port, known)})"
                )
    if not odd:
        return []
    return [
        _bench.skipped("SV-08", f"no pod declares targetPort {short(odd)}; only a client can tell whether it works")
    ]


# ----- who gets what


def _families(look: Look) -> list[Finding]:
    """SV-14."""
    service = look.service
    pods = [one for one in _live(look) if one.ips]
    lost = [family for family in service.families if pods and not any(one.address(family) for one in pods)]
    # With one family left most clients find their way; with none there is no endpoint at all.
    make = _bench.failed if len(lost) == len(service.families) else _bench.warned
    complaints = [
        make(
            "SV-14",
            f"{service.label} has an {family} address, but none of its {len(pods)} pod(s) has one",
            object=service.label,
            field=f"spec.ipFamilies[{family}]",
            observed=sorted({ip for one in pods[:5] for ip in one.ips}),
            expected=f"{family} addresses",
            cause="the cluster's pod network has no such addresses, or the pods are older than they are",
            subjects=frozenset({service.uid, *(one.uid for one in pods)}),
            component="service",
        )
        for family in lost
    ]
    good = len(service.families) - len(lost) if pods else 0
    return _bench.verdict("SV-14", complaints, good, f"the pods have addresses of {short(service.families)}")


def _local(look: Look) -> list[Finding]:
    """SV-16: under internalTrafficPolicy Local a client gets an endpoint of its own node, or none."""
    service = look.service
    endpoints = look.after.endpoints
    if not service.internal_local or service.headless or not ready_or_serving(endpoints):
        return []
    places, known = _client_nodes(look)
    starting = {one.node for one in _live(look) if not one.ready}
    lost = sorted(name for name in places if name not in starting and not reachable(service, endpoints, Node(name)))
    if not lost:
        return [_bench.passed("SV-16", f"each client's node has an endpoint: {short(sorted(places))}")]
    if not known:
        message = f"internalTrafficPolicy is Local: clients on {short(lost)} get no answer from {service.label}"
        return [_bench.skipped("SV-16", message)]
    change = {"spec": {"internalTrafficPolicy": "Cluster"}}
    return [
        _accuse(
            look,
            "SV-16",
            f"clients on {short(lost)} get no answer: {service.label} has internalTrafficPolicy Local and no endpoint "
            "there",
            "spec.internalTrafficPolicy",
            observed="Local",
            expected="Cluster, or an endpoint on every client's node",
            cause=f"endpoints are on {short(sorted({e.node for e in ready_or_serving(endpoints)}))} only",
            evidence={
                "nodes": lost,
                "fix": patch("service", service.name, service.namespace, change),
            },
        )
    ]


def _client_nodes(look: Look) -> tuple[set[str], bool]:
    """Where the clients are, and whether that is known.

    Those that the question names; else those that ask, save for nodes that take no ordinary pods. A Service of pods
    that a DaemonSet puts on chosen nodes is meant for clients there.
    """
    asked = look.question
    if asked.nodes:
        return set(asked.nodes), True
    mine = {one.node for one in client_pods(look)} - {""}
    if mine:
        return mine, True
    tainted = {
        body["metadata"]["name"]
        for body in look.facts.all("nodes")
        if any(taint.get("key") in _CONTROL_PLANE for taint in (body.get("spec") or {}).get("taints") or [])
    }
    names = {vantage.node for vantage in look.plan.vantages} or {node.name for node in nodes(look)}
    chosen = any(one.owner.startswith("DaemonSet ") for one in _live(look))
    return names - tainted, bool(look.plan.vantages) and not chosen


def _unready(look: Look) -> list[Finding]:
    """SV-18. Members of a cluster that must find each other before they are ready do so by headless Services."""
    service = look.service
    if not service.publish_not_ready:
        return []
    if service.headless:
        return [_bench.skipped("SV-18", f"{service.label} is headless and publishes unready pods, as members may need")]
    late = [
        one
        for one in _live(look)
        if not one.ready and one.ips and one.turned is not None and look.now - one.turned > _UNREADY
    ]
    if not late:
        return [_bench.passed("SV-18", "no unready pod is published for long")]
    change = {"spec": {"publishNotReadyAddresses": False}}
    return [
        _accuse(
            look,
            "SV-18",
            f"{service.label} sends connections to {len(late)} unready pod(s), e.g. {late[0].name}",
            "spec.publishNotReadyAddresses",
            observed=True,
            expected=False,
            cause=f"publishNotReadyAddresses is set; {late[0].name} is not ready: {late[0].unready_reason}",
            evidence={
                "pods": [one.name for one in late],
                "fix": patch("service", service.name, service.namespace, change),
            },
        )
    ]
