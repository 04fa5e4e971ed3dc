# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Private to this collection: may change in any release.
"""Do the Service's endpoints equal the pods that it selects, does each answer, and does the Service reach them all?

What the EndpointSlices must hold is computed from the pods by the rules of the endpoint controllers (see
:mod:`..snapshot`); who may answer behind the cluster IP by those of the proxies (see :mod:`..reach`).
"""

from __future__ import annotations

import typing as t
from datetime import datetime

from .. import nearest
from ..intent import intended, label, matches, template_labels
from ..look import ENDPOINTS, Look, Seen
from ..plan import LARGE
from ..result import Finding, short
from ..scope import Probe
from ..snapshot import (
    SLICE_CONTROLLER,
    Endpoint,
    Pod,
    Service,
    Snapshot,
    belongs_in_endpoints,
    is_ready_endpoint,
    target_port,
    target_ports,
)
from . import hairpin
from .backends import Identities, reaches_all
from .common import Bench, failure, is_stuck, why_unprobed
from .paths import HINTS, answers, by_target, called

NAME = "endpoints"
_bench = Bench(NAME)

CHECKS: tuple[tuple[str, str, str], ...] = (
    ("SV-01", "The Service exists", "get services"),
    ("SV-04", "The selector selects pods", "list pods"),
    ("SV-05", "Only pods of the intended workload are selected", "list pods"),
    ("SV-09", "A named targetPort is declared by every selected pod", "list pods"),
    ("EP-01", "There is an EndpointSlice", "list endpointslices"),
    ("EP-02", "The ready endpoints are the ready pods", "list pods, endpointslices"),
    ("EP-03", "There are ready endpoints, as many as expected", "list pods, endpointslices"),
    ("EP-04", "The endpoints' conditions are those of their pods", "list pods, endpointslices"),
    ("EP-05", "The ports of the endpoints are the target ports", "list pods, endpointslices"),
    ("EP-06", "The endpoints refer to living pods", "list pods, endpointslices"),
    ("EP-08", "No endpoint is there twice, or of a family that the Service has not", "list endpointslices"),
    ("WL-11", "The ready endpoints are spread over nodes", "list endpointslices"),
    ("EP-11", "Every endpoint answers at its own address", "create jobs (probe)"),
    ("DP-07", "A pod reaches itself by the address of its Service", "create pods/exec"),
    ("DP-11", "Large packets arrive where small ones do", "create jobs (probe)"),
    ("EP-12", "The cluster IP reaches every endpoint", "create jobs (probe)"),
    ("SV-15", "Session affinity leads each client to one endpoint", "create jobs (probe)"),
    ("EP-13", "Nobody but the endpoints answers behind the cluster IP", "create jobs (probe)"),
)

# A pod that is not ready for longer than a Deployment's default progressDeadlineSeconds is no longer on its way.
UNREADY_TOO_LONG = 600


def check(look: Look) -> list[Finding]:
    """All checks of this layer."""
    service, snapshot = look.service, look.after
    if service.external:
        return [_bench.skipped("EP-01", f"{service.label} is an ExternalName, an alias without endpoints")]
    why = snapshot.why_missing("endpointslices")
    if why:
        return [_bench.skipped("EP-02", why)]
    found = _slices(service, snapshot)
    if not service.selector:
        found.append(_bench.skipped("EP-02", f"{service.label} has no selector: its endpoints are managed by hand"))
    elif snapshot.why_missing("pods"):
        found.append(_bench.skipped("EP-02", snapshot.why_missing("pods")))
    else:
        found += _selected(look) + _owner(look) + _named_ports(service, snapshot) + _exact(service, snapshot)
        found += _conditions(service, snapshot) + _ports(service, snapshot) + _live_targets(snapshot)
        found += _single(service, snapshot) + _stuck_pods(look)
    return found + _some_ready(look) + _spread(look) + _probed(look)


def _subjects(service: Service, *pods: Pod) -> frozenset[str]:
    return frozenset({service.uid, *(pod.uid for pod in pods)})


# ----- what the API shows


def _slices(service: Service, snapshot: Snapshot) -> list[Finding]:
    """EP-01: the endpoint controller keeps at least one slice, even an empty one, for a Service with a selector."""
    if snapshot.slices:
        return [_bench.passed("EP-01", f"{len(snapshot.slices)} EndpointSlice(s)")]
    if not service.selector:
        return [
            _bench.failed(
                "EP-01",
                f"{service.label} has neither a selector nor EndpointSlices",
                observed=[],
                expected="an EndpointSlice",
                object=service.label,
                subjects=_subjects(service),
            )
        ]
    return [
        _bench.failed(
            "EP-01",
            f"{service.label} has no EndpointSlice",
            object=service.label,
            observed=0,
            expected="at least 1",
            cause="the endpoint controller does not run, or may not write",
            subjects=_subjects(service) | {ENDPOINTS},
        )
    ]


def _selected(look: Look) -> list[Finding]:
    """SV-04: the selector selects pods."""
    service, snapshot = look.service, look.after
    if snapshot.pods or look.question.expect.ready_endpoints == 0:
        return [_bench.passed("SV-04", f"the selector selects {len(snapshot.pods)} pod(s)")]
    fits = [label(body) for body in intended(look) if matches(dict(service.selector), template_labels(body))]
    strangers = () if fits else snapshot.strangers
    near = nearest.miss(service.selector, ((pod.name, dict(pod.labels)) for pod in strangers))
    return [
        _bench.failed(
            "SV-04",
            f"the selector of {service.label} selects no pod",
            object=service.label,
            field="spec.selector",
            observed=[],
            expected=f"pods with the labels {short(dict(service.selector))}",
            cause=near.text if near else f"it fits {short(fits)}, which has no pods" if fits else "",
            evidence={"selector": dict(near.selector)} if near else {},
            subjects=_subjects(service),
        )
    ]


def _owner(look: Look) -> list[Finding]:
    """SV-05: only pods of the intended workload are selected. Two workloads may share a Service on purpose."""
    wanted = look.question.expect.owner
    if not wanted:
        return []
    service, pods = look.service, [pod for pod in look.after.pods if not pod.finished]
    complaints = [
        _bench.failed(
            "SV-05",
            f"the selector of {service.label} also selects {pod.label}",
            object=pod.label,
            field="metadata.labels",
            observed=pod.owner or "no owner",
            expected=wanted,
            subjects=_subjects(service, pod),
        )
        for pod in pods
        if pod.owner != wanted
    ]
    return _bench.verdict("SV-05", complaints, len(pods) - len(complaints), f"only pods of {wanted} are selected")


def _named_ports(service: Service, snapshot: Snapshot) -> list[Finding]:
    """SV-09: a named targetPort is declared, with its protocol, by every selected pod."""
    named = [port for port in service.ports if isinstance(port.target_port, str)]
    pods = [pod for pod in snapshot.pods if belongs_in_endpoints(pod)]
    complaints = [
        _bench.failed(
            "SV-09",
            f"{pod.label} declares no port {port.target_port}, the target of port {port.label} of {service.label}",
            object=pod.label,
            field="spec.containers[*].ports[*].name",
            observed=_declared(pod),
            expected=f"{port.target_port} ({port.protocol})",
            cause=f"nearest: {near}" if near else "",
            evidence={"target_port": near} if near else {},
            subjects=_subjects(service, pod),
            component=f"port/{port.port}",
        )
        for port in named
        for pod in pods
        if target_port(pod, port) is None
        for near in (nearest.word(str(port.target_port), _port_names(pod, port.protocol)),)
    ]
    good = len(named) * len(pods) - len(complaints)
    return _bench.verdict("SV-09", complaints, good, "every selected pod declares the named target ports")


def _port_names(pod: Pod, protocol: str) -> list[str]:
    containers = (*pod.containers, *pod.sidecars)
    return [name for container in containers for name, p, _number in container.ports if name and p == protocol]


def _declared(pod: Pod) -> list[str]:
    return [
        f"{name or number} ({protocol})" for container in pod.containers for name, protocol, number in container.ports
    ]


def _exact(service: Service, snapshot: Snapshot) -> list[Finding]:
    """EP-02: the ready endpoints are exactly the ready pods' addresses, per address family."""
    wanted = {
        (family, address): pod
        for pod in snapshot.pods
        if is_ready_endpoint(pod, service)
        for family in service.families
        if (address := pod.address(family))
    }
    found = {(e.family, e.address): e for e in snapshot.endpoints if e.ready}
    complaints = [
        _bench.failed(
            "EP-02",
            f"{pod.label} is ready, but its address {address} is not among the ready endpoints of {service.label}",
            object=pod.label,
            field=address,
            observed=sorted(e.address for e in found.values()),
            expected=sorted(a for _family, a in wanted),
            subjects=_subjects(service, pod),
        )
        for (family, address), pod in sorted(wanted.items())
        if (family, address) not in found
    ]
    complaints += [
        _bench.failed(
            "EP-02",
            f"{service.label} has a ready endpoint {endpoint.label} that is no ready pod of its selector",
            object=f"EndpointSlice {service.namespace}/{endpoint.slice}",
            field=endpoint.address,
            observed=sorted(e.address for e in found.values()),
            expected=sorted(a for _family, a in wanted),
            cause=_why_foreign(endpoint, snapshot),
            subjects=frozenset({service.uid, endpoint.pod_uid} - {""}),
        )
        for key, endpoint in sorted(found.items())
        if key not in wanted
    ]
    good = len(set(wanted) & set(found)) or int(not complaints)
    return _bench.verdict(
        "EP-02", complaints, good, f"the ready endpoints equal the {len(wanted)} ready pods' addresses"
    )


def _why_foreign(endpoint: Endpoint, snapshot: Snapshot) -> str:
    if endpoint.managed_by != SLICE_CONTROLLER:
        return f"its EndpointSlice is managed by {endpoint.managed_by or 'nobody'}, not by the endpoint controller"
    pod = snapshot.pod(endpoint.pod_uid)
    if pod is None:
        return "the selector does not select its pod, or the pod is gone"
    if pod.finished:
        return f"its pod is {pod.phase}"
    if pod.terminating:
        return "its pod is being deleted"
    return f"its pod is not ready ({pod.unready_reason})" if not pod.ready else "its pod has another address"


def _conditions(service: Service, snapshot: Snapshot) -> list[Finding]:
    """EP-04: `serving` and `terminating`, by which proxies choose where nothing else is left; `ready` is EP-02's."""
    complaints, good = [], 0
    for endpoint in snapshot.endpoints:
        pod = snapshot.pod(endpoint.pod_uid)
        if pod is None or endpoint.managed_by != SLICE_CONTROLLER or endpoint.ready != is_ready_endpoint(pod, service):
            continue
        # As `podToEndpoint` of k8s.io/endpointslice/utils.go.
        observed = {"serving": endpoint.serving, "terminating": endpoint.terminating}
        expected = {"serving": pod.ready, "terminating": pod.terminating}
        if observed == expected:
            good += 1
            continue
        complaints.append(
            _bench.warned(
                "EP-04",
                f"endpoint {endpoint.label} of {service.label} has other conditions than its pod",
                object=pod.label,
                field="conditions",
                observed=observed,
                expected=expected,
                cause=f"EndpointSlice {endpoint.slice} is out of date",
                subjects=_subjects(service, pod) | {ENDPOINTS},
            )
        )
    return _bench.verdict("EP-04", complaints, good, "the endpoints' conditions are those of their pods")


def _single(service: Service, snapshot: Snapshot) -> list[Finding]:
    """EP-08: the controller moves endpoints between slices, and may show one in both, but not for long."""
    ours = [endpoint for endpoint in snapshot.endpoints if endpoint.managed_by == SLICE_CONTROLLER]
    places: dict[tuple[str, tuple[tuple[str, str, int], ...]], list[Endpoint]] = {}
    for endpoint in ours:
        places.setdefault((endpoint.address, endpoint.ports), []).append(endpoint)
    twice = [found for found in places.values() if len({endpoint.slice for endpoint in found}) > 1]
    foreign = [endpoint for endpoint in ours if endpoint.family not in service.families]
    complaints = [
        _bench.warned(
            "EP-08",
            f"endpoint {found[0].label} of {service.label} is in {len(found)} EndpointSlices",
            object=service.label,
            field=found[0].address,
            observed=sorted(endpoint.slice for endpoint in found),
            expected="one EndpointSlice",
            cause="clients that do not sort it out send it more than its share",
            subjects=_subjects(service) | {ENDPOINTS},
        )
        for found in twice
    ]
    complaints += [
        _bench.warned(
            "EP-08",
            f"endpoint {endpoint.label} of {service.label} is of {endpoint.family}, which the Service has not",
            object=service.label,
            field=endpoint.address,
            observed=endpoint.family,
            expected=list(service.families),
            cause=f"EndpointSlice {endpoint.slice} is left over from other ipFamilies",
            subjects=_subjects(service) | {ENDPOINTS},
        )
        for endpoint in foreign
    ]
    return _bench.verdict("EP-08", complaints, len(ours), "each endpoint is in one EndpointSlice, of the right family")


def _ports(service: Service, snapshot: Snapshot) -> list[Finding]:
    """EP-05: the ports of an endpoint are the target ports as resolved on its pod."""
    complaints, good = [], 0
    for endpoint in snapshot.endpoints:
        pod = snapshot.pod(endpoint.pod_uid)
        if pod is None or endpoint.managed_by != SLICE_CONTROLLER:
            continue
        wanted = target_ports(pod, service)
        if endpoint.ports == wanted:
            good += 1
            continue
        complaints.append(
            _bench.failed(
                "EP-05",
                f"endpoint {endpoint.label} of {service.label} has other ports than the Service has on its pod",
                object=pod.label,
                field="ports",
                observed=_spell(endpoint.ports),
                expected=_spell(wanted),
                cause=f"EndpointSlice {endpoint.slice} is out of date",
                subjects=_subjects(service, pod) | {ENDPOINTS},
            )
        )
    return _bench.verdict("EP-05", complaints, good, "the endpoints' ports equal the resolved target ports")


def _spell(ports: t.Sequence[tuple[str, str, int]]) -> list[str]:
    return [f"{name}:{number}/{protocol}" if name else f"{number}/{protocol}" for name, protocol, number in ports]


def _live_targets(snapshot: Snapshot) -> list[Finding]:
    """EP-06: an endpoint at a selected pod's address refers to that pod, not to an earlier one of its name."""
    pods = {address: pod for pod in snapshot.pods if belongs_in_endpoints(pod) for address in pod.ips}
    at_pods = [e for e in snapshot.endpoints if e.pod_uid and e.address in pods and not pods[e.address].host_network]
    complaints = [
        _bench.failed(
            "EP-06",
            f"endpoint {endpoint.label} refers to another pod than the one that has its address",
            object=pods[endpoint.address].label,
            field="targetRef.uid",
            observed=endpoint.pod_uid,
            expected=pods[endpoint.address].uid,
            subjects=frozenset({endpoint.pod_uid, pods[endpoint.address].uid}),
        )
        for endpoint in at_pods
        if endpoint.pod_uid != pods[endpoint.address].uid
    ]
    return _bench.verdict("EP-06", complaints, len(at_pods) - len(complaints), "the endpoints refer to living pods")


def _some_ready(look: Look) -> list[Finding]:
    """EP-03: there are ready endpoints, as many as asked for."""
    service, wanted = look.service, look.question.expect.ready_endpoints
    ready = {endpoint.pod_uid or endpoint.address for endpoint in look.after.endpoints if endpoint.ready}
    serving = any(endpoint.serving for endpoint in look.after.endpoints)
    if len(ready) == wanted or (wanted is None and (ready or serving)):
        return [_bench.passed("EP-03", f"{len(ready)} ready endpoint(s)")]
    return [
        _bench.failed(
            "EP-03",
            f"{service.label} has {'no' if not ready else len(ready)} ready endpoint(s)",
            object=service.label,
            field="endpoints",
            observed=len(ready),
            expected="at least 1" if wanted is None else wanted,
            cause=_why_unready(look.after.pods),
            subjects=frozenset({service.uid, ENDPOINTS}),
        )
    ]


def _why_unready(pods: t.Sequence[Pod]) -> str:
    reasons = [f"{pod.name}: {pod.unready_reason}" for pod in pods if not pod.ready and not pod.finished]
    return f"not ready: {short(reasons, 3)}" if reasons else ""


def _stuck_pods(look: Look) -> list[Finding]:
    """EP-03: pods that will not become ready by themselves. A pod that is merely on its way is no finding."""
    return [
        _bench.warned(
            "EP-03",
            f"{pod.label} is selected, but does not become ready",
            object=pod.label,
            field="status.conditions",
            observed=pod.unready_reason,
            expected="Ready",
            subjects=frozenset({pod.uid}),
            partial=True,
        )
        for pod in look.after.pods
        if not pod.ready and not pod.terminating and not pod.finished and _is_stuck(pod, look.now)
    ]


def _is_stuck(pod: Pod, now: datetime) -> bool:
    if is_stuck(pod):
        return True
    return pod.turned is not None and (now - pod.turned).total_seconds() > UNREADY_TOO_LONG


def _spread(look: Look) -> list[Finding]:
    """WL-11: over how many nodes the ready endpoints are spread; judged only when the user asks for a number."""
    wanted = look.question.expect.min_nodes
    nodes = {endpoint.node for endpoint in look.after.endpoints if endpoint.ready and endpoint.node}
    if wanted is None and not nodes:
        return []
    if wanted is None or len(nodes) >= wanted:
        return [_bench.passed("WL-11", f"the ready endpoints are on {len(nodes)} node(s): {short(nodes)}")]
    service = look.service
    return [
        _bench.failed(
            "WL-11",
            f"the ready endpoints of {service.label} are on too few nodes",
            object=service.label,
            field="nodes",
            observed=sorted(nodes),
            expected=f"at least {wanted} nodes",
            subjects=frozenset({service.uid, ENDPOINTS}),
        )
    ]


# ----- what the probes saw


def _probed(look: Look) -> list[Finding]:
    why = why_unprobed(look)
    if why:
        return [_bench.skipped("EP-11", f"the endpoints were not asked: {why}")]
    found = _answers_directly(look) + _large(look)
    if "http" not in look.question.layers:
        found += answers(_bench, look, "cluster_ip", "DP-03", "cluster IP")
    return found + hairpin.check(_bench, look) + _behind_address(look)


def _answers_directly(look: Look) -> list[Finding]:
    """EP-11: each endpoint answers at its own address, from every client; which ones do not, and from where."""
    asked = look.seen("direct")
    targets = by_target((probe, found) for probe, found in asked if probe.endpoint and look.stable(probe.endpoint))
    if asked and not targets:
        return [_bench.undecided("EP-11", "every endpoint changed while it was asked")]
    bad = {target: pairs for target, pairs in targets.items() if any(found.failures for _probe, found in pairs)}
    complaints = [_silent(look, target, pairs, len(bad) == len(targets)) for target, pairs in sorted(bad.items())]
    good = len(targets) - len(bad)
    clients = len({probe.vantage for pairs in targets.values() for probe, _found in pairs})
    return _bench.verdict("EP-11", complaints, good, f"{good} endpoint(s) answer directly, from {clients} client(s)")


def _large(look: Look) -> list[Finding]:
    """DP-11: of one client and endpoint, small requests are answered and large ones are lost.

    What a server thinks of a large request does not matter: that it answers is enough.
    """
    small = {(p.vantage, p.target) for p, found in look.seen("direct") if found.ok}
    pairs = [
        (probe, found)
        for probe, found in look.seen(LARGE)
        if (probe.vantage, probe.target) in small and probe.endpoint and look.stable(probe.endpoint)
    ]
    lost = [probe for probe, found in pairs if set(found.failures) == {"timeout"}]
    good = sum(found.answered > 0 for _probe, found in pairs)
    complaints = [_too_large(look, lost)] if lost else []
    message = f"large requests are answered, too ({len(pairs)} way(s))"
    return _bench.verdict("DP-11", complaints, good, message)


def _too_large(look: Look, lost: t.Sequence[Probe]) -> Finding:
    ways = sorted({f"{probe.vantage.label} -> {probe.endpoint.node}" for probe in lost if probe.endpoint})
    return _bench.failed(
        "DP-11",
        f"large packets to pods of {look.service.label} are lost on the way, small ones are not: {short(ways)}",
        object=look.service.label,
        field="MTU",
        observed="a request of 12 kB is never answered",
        expected="an answer, as to a small one",
        cause="an MTU on the way is smaller than that of the pods, and nobody tells them: TLS handshakes hang as well",
        evidence={"ways": ways, "targets": sorted({probe.target for probe in lost})},
        subjects=frozenset({look.service.uid, ENDPOINTS}),
        component="mtu",
    )


def _silent(look: Look, target: str, pairs: t.Sequence[Seen], everywhere: bool) -> Finding:
    endpoint, port = pairs[0][0].endpoint, pairs[0][0].port
    if endpoint is None or port is None:
        raise AssertionError("a direct probe knows its endpoint and port")
    failed = {probe.vantage.label: failure(found) for probe, found in pairs if found.failures}
    answered = [probe.vantage.label for probe, found in pairs if found.answered]
    pod = look.after.pod(endpoint.pod_uid)
    cause = ""
    if answered:
        cause = f"it answers {short(answered)}: the network between, or a policy, not the pod"
    elif everywhere and pod and isinstance(port.target_port, int) and _contradicted(pod, port.target_port):
        cause = f"targetPort {port.target_port} of port {port.label} is none of the ports that the pods declare"
        cause += f" ({short(_declared(pod))}); nearest: {_nearest_port(pod, port.target_port)}"
    who = f"endpoint {endpoint.label}"
    check_id, message = called("EP-11", f"{who} does not answer at {target}", who, pairs)
    if check_id != "EP-11":
        cause = HINTS["scheme" if check_id == "DP-09" else "handshake"]
    return _bench.failed(
        check_id,
        message,
        object=pod.label if pod else f"endpoint {endpoint.address}",
        field=target,
        observed=failed,
        expected="an answer to every client",
        cause=cause,
        evidence={"details": {p.vantage.label: found.detail for p, found in pairs if found.failures}},
        subjects=frozenset({look.service.uid, endpoint.pod_uid or endpoint.address}),
    )


def _contradicted(pod: Pod, number: int) -> bool:
    """Whether a pod declares TCP ports and `number` is none of them; declaring none says nothing."""
    declared = pod.declared("TCP")
    return bool(declared) and number not in declared


def _nearest_port(pod: Pod, number: int) -> int | None:
    return nearest.port(number, pod.declared("TCP"))


def _behind_address(look: Look) -> list[Finding]:
    """EP-12 the cluster IP reaches every endpoint that a client may reach; EP-13 and nobody else."""
    service = look.service
    if service.headless:
        return [_bench.skipped("EP-12", f"{service.label} is headless: there is no cluster IP to ask")]
    pairs = [(p, found) for p, found in look.seen("cluster_ip") if not look.isolated(p.vantage)]
    plain = [(p, found) for p, found in pairs if p.task["type"] == "http"]
    telling = plain or [(p, found) for p, found in pairs if p.task["type"] == "https"]
    if not telling:
        why = "a mere connection does not tell" if pairs else "there is nobody whom the clients may reach there"
        return [_bench.skipped("EP-12", f"who is behind the cluster IP is not known: {why}")]
    names = Identities(look)
    if names.unknown:
        return [_bench.skipped("EP-12", f"who is behind the cluster IP is not known: {names.unknown}")]
    spread = reaches_all(_bench, look, telling, names, "EP-12")
    return spread + _sticky(look, telling) + _nobody_else(look, telling, names)


def _sticky(look: Look, pairs: t.Sequence[Seen]) -> list[Finding]:
    """SV-15. While endpoints come and go, a client may well be led to another one."""
    service = look.service
    if not service.session_affinity:
        return []
    still = [(p, found) for p, found in pairs if len(p.reach) > 1 and all(look.stable(e) for e in p.reach)]
    complaints = [
        _bench.failed(
            "SV-15",
            f"{service.label} leads one client, on {probe.vantage.label}, to several endpoints at {probe.target}",
            object=service.label,
            field=f"{probe.target} from {probe.vantage.label}",
            observed=dict(sorted(found.identities.items())),
            expected="one endpoint, since sessionAffinity is ClientIP",
            cause="the service proxy of this node does not keep sessions, or the client's address changes on the way",
            subjects=frozenset({service.uid, ENDPOINTS}),
            component=f"proxy/{probe.vantage.node}",
        )
        for probe, found in still
        if len(found.identities) > 1
    ]
    good = sum(len(found.identities) == 1 for _probe, found in still)
    return _bench.verdict("SV-15", complaints, good, "session affinity leads each client to one endpoint")


def _nobody_else(look: Look, pairs: t.Sequence[Seen], names: Identities) -> list[Finding]:
    service, complaints, good = look.service, [], 0
    for probe, found in pairs:
        allowed = set(names.named(probe, probe.reach))
        # Endpoints that came or went meanwhile, or did not answer directly, may answer under their pods' names.
        allowed |= _names_of_pods(look, probe)
        foreign = sorted(set(found.identities) - allowed - {"(others)"})
        if not foreign:
            good += bool(found.answered)
            continue
        complaints.append(
            _bench.failed(
                "EP-13",
                f"behind {service.label} at {probe.target}, seen from {probe.vantage.label}, answers {short(foreign)}",
                object=service.label,
                field=f"{probe.target} from {probe.vantage.label}",
                observed=sorted(found.identities),
                expected=sorted(names.named(probe, probe.reach)),
                cause="none of the endpoints that this node may reach gives itself that name",
                subjects=frozenset({service.uid, ENDPOINTS}),
            )
        )
    return _bench.verdict("EP-13", complaints, good, "nobody but the endpoints answers behind the cluster IP")


def _names_of_pods(look: Look, probe: Probe) -> set[str]:
    """Names by which pods might call themselves whose endpoints are not firmly known.

    Those of pods that are being deleted count too: a busy proxy may need seconds to forget them, and they serve on.
    """
    firm = {e.pod_uid for e in (*look.before.endpoints, *look.after.endpoints) if look.stable(e)}
    firm -= {e.pod_uid for e in probe.reach}
    pods = [pod for pod in (*look.before.pods, *look.after.pods) if pod.terminating or pod.uid not in firm]
    return {name for pod in pods for name in (pod.name, pod.hostname, *pod.ips) if name}
