# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Private to this collection: may change in any release.
"""What only the nodes themselves know: their service proxies and rules, their connection tables, and who listens."""

from __future__ import annotations

import ipaddress
import typing as t

from ...kube.errors import lacks_right
from ..look import ENDPOINTS, Look, Observation
from ..plan_node import service_key
from ..reach import reachable
from ..result import Finding, short
from ..scope import Probe
from ..snapshot import Endpoint, Node, ServicePort, Snapshot, family_of, host_port
from .common import PROXY_NAME, Bench, failure

NAME = "node"
_bench = Bench(NAME)

CHECKS: tuple[tuple[str, str, str], ...] = (
    ("IN-02", "The service proxy of each node is healthy", "create jobs (node level)"),
    ("IN-04", "The rules of each node lead to the endpoints", "create jobs (node level)"),
    ("IN-05", "No UDP flow is held to an endpoint that is gone", "create jobs (node level)"),
    ("IN-06", "The connection table of each node has room", "create jobs (node level)"),
)
# What it decides of other layers is told there.
_IDS = (*(check for check, _title, _needs in CHECKS), "SV-08")

# Shares of a connection table that count as full, since it never stays exactly so, and as nearly full.
_FULL, _NEARLY = 0.99, 0.9
# Ways of kube-proxy to write rules that can be read; where it does not tell which is its own, the newer one first.
_MODES = ("nftables", "iptables")


def check(look: Look) -> list[Finding]:
    """All checks of this layer."""
    why = _why_unseen(look)
    if why:
        return [_bench.skipped(check, why) for check in _IDS]
    return [*_proxies(look), *_rules(look), *_flows(look), *_tables(look), *_listening(look)]


def _why_unseen(look: Look) -> str:
    """Why no node was seen from inside, or an empty string."""
    if look.service.external:
        return f"{look.service.label} is a mere alias, which no node has rules for"
    if not look.plan.insiders:
        return look.question.unasked or look.after.why_missing("nodes") or "there is no ready node to look at"
    if any(look.works(vantage) for vantage in look.plan.insiders):
        return ""
    why = look.lost.get(look.plan.insiders[0], "")
    return why if lacks_right(why) else "no node could be seen from inside: PR-01 says why"


def _read(look: Look, purpose: str, check: str) -> tuple[list[tuple[Probe, Observation]], list[Finding]]:
    """What was read of each node, and what was tried in vain."""
    found = look.seen(purpose)
    vain = [
        _bench.undecided(
            check,
            f"node {probe.node} does not tell: {failure(seen)}: {seen.detail}",
            object=f"Node {probe.node}",
        )
        for probe, seen in found
        if not seen.ok
    ]
    return [(probe, seen) for probe, seen in found if seen.ok], vain


def _about(check: str, node: str, message: str, component: str, *, served: bool = False, **more: t.Any) -> Finding:
    """A complaint about a node."""
    subjects = frozenset({node}) | more.pop("subjects", frozenset())
    make = _bench.warned if served else _bench.failed
    return make(check, message, object=f"Node {node}", subjects=subjects, component=f"{component}/{node}", **more)


# ----- the service proxy


def _proxies(look: Look) -> list[Finding]:
    """IN-02. A node without kube-proxy has another proxy, unless other nodes have kube-proxy."""
    seen, found = _read(look, "node_proxy", "IN-02")
    there = [found.value["running"] or found.value["answer"] == "ok" for _probe, found in seen]
    if seen and not any(there):
        return [*found, _bench.skipped("IN-02", "there is no kube-proxy on these nodes: something else does its work")]
    complaints: list[Finding] = []
    silent = []
    for probe, one in seen:
        what = _unhealthy(one.value)
        if what:
            observed, why = what
            complaints.append(
                _about(
                    "IN-02",
                    probe.node,
                    f"the service proxy of node {probe.node} {observed}",
                    "proxy",
                    observed=observed,
                    expected="status 200 of /healthz",
                    cause=f"{why}: the node goes on with the rules that it has",
                    evidence={key: one.value[key] for key in ("running", "stopped", "answer", "status", "age", "mode")},
                )
            )
        elif one.value["answer"] != "ok":
            silent.append(probe.node)
    if silent:
        found.append(_bench.skipped("IN-02", f"kube-proxy of node {short(silent)} serves no /healthz on port 10256"))
    modes = sorted({one.value["mode"] for _probe, one in seen} - {""})
    good = len(seen) - len(complaints) - len(silent)
    message = f"the service proxy of {good} node(s) is healthy" + (f", mode {short(modes)}" if modes else "")
    return found + _bench.verdict("IN-02", complaints, good, message)


def _unhealthy(value: t.Mapping[str, t.Any]) -> tuple[str, str] | None:
    """What is wrong, and why; None where nothing is known to be. A node that is about to go says so by status 503."""
    if value["answer"] == "ok":
        bad = value["status"] != 200 and value["eligible"]
        return (f"is not healthy: status {value['status']}", f"last update {value['age']} s ago") if bad else None
    if value["stopped"]:
        return "is stopped", "its process is suspended"
    if value["running"]:
        return ("does not answer", "its process hangs") if value["answer"] == "timeout" else None
    return "is missing", "no process kube-proxy runs there, as on other nodes"


# ----- its rules


def _rules(look: Look) -> list[Finding]:
    """IN-04, against the EndpointSlices as they were all along: proxies need a moment for what changes."""
    service = look.service
    why = _not_for_proxies(look) or _untold_zones(look)
    if why:
        return [_bench.skipped("IN-04", why)]
    seen, found = _read(look, "node_rules", "IN-04")
    modes = {probe.node: one.value["mode"] for probe, one in look.seen("node_proxy") if one.ok}
    complaints: list[Finding] = []
    good, unread = 0, {}
    for probe, one in seen:
        mode = modes.get(probe.node) or next((name for name in _MODES if name not in one.value["missing"]), "")
        why = _unreadable(mode, one.value["missing"])
        if why:
            unread[probe.node] = why
            continue
        bad = [
            finding
            for address in service.cluster_ips
            for port in service.ports
            if (finding := _entry(look, probe.node, address, port, mode, one.value[mode])) is not None
        ]
        complaints += bad
        good += not bad
    found += [_bench.skipped("IN-04", f"rules of node {node} are not read: {why}") for node, why in unread.items()]
    message = f"the rules of {good} node(s) for {service.label} are those of its EndpointSlices"
    return found + _bench.verdict("IN-04", complaints, good, message)


def _not_for_proxies(look: Look) -> str:
    """Why the nodes' service proxies have nothing to do with the Service, or an empty string."""
    service = look.service
    if service.headless:
        return f"{service.label} is headless: no proxy has rules for it"
    body = look.facts.named("services", service.name, service.namespace) or {"metadata": {}}
    other = (body["metadata"].get("labels") or {}).get(PROXY_NAME)
    return f"{service.label} is left to the service proxy {other}" if other else ""


def _untold_zones(look: Look) -> str:
    """Which endpoints are meant for a node follows from its zone."""
    hints = any(endpoint.zone_hints for endpoint in look.after.endpoints)
    return look.after.why_missing("nodes") if hints else ""


def _unreadable(mode: str, missing: t.Mapping[str, str]) -> str:
    """Why the rules of that kind of proxy are not known. No chain at all means another tool, not a broken proxy."""
    if mode in _MODES:
        return missing.get(mode, "")
    return f"proxy mode {mode}" if mode else "there are none of kube-proxy"


def _entry(
    look: Look, node: str, address: str, port: ServicePort, mode: str, rules: t.Mapping[str, t.Sequence[str]]
) -> Finding | None:
    """One address and port on one node."""
    service, key = look.service, service_key(address, port)
    before, after = (_wanted(seen, node, address, port) for seen in (look.before, look.after))
    actual = set(rules.get(key, ()))
    missing, stale = (before & after) - actual, actual - (before | after)
    if not missing and not stale:
        return None
    what = f"port {port.label} of {service.label}"
    if key not in rules:
        message = f"node {node} has no rules for {what} at {address}"
    elif stale:
        message = f"the rules of node {node} for {what} lead to {short(sorted(stale))}, which is no endpoint"
    else:
        message = f"the rules of node {node} for {what} do not lead to {short(sorted(missing))}"
    return _about(
        "IN-04",
        node,
        message,
        "proxy",
        served=bool(actual & after) and not stale,
        field=key,
        observed=sorted(actual),
        expected=sorted(after),
        cause="its service proxy has not written what the EndpointSlices say, or somebody else changed it",
        evidence={"mode": mode, "missing": sorted(missing), "stale": sorted(stale)},
        subjects=frozenset({service.uid, ENDPOINTS}),
    )


def _wanted(seen: Snapshot, node: str, address: str, port: ServicePort) -> set[str]:
    """Where the proxy of a node must send connections."""
    if seen.service is None:
        return set()
    behind = [e for e in seen.endpoints if e.family == family_of(address) and _number(e, port) is not None]
    to = reachable(seen.service, behind, seen.node(node) or Node(node))
    return {host_port(endpoint.address, number) for endpoint in to if (number := _number(endpoint, port)) is not None}


def _number(endpoint: Endpoint, port: ServicePort) -> int | None:
    return endpoint.port(port.name, port.protocol)


# ----- the connection table


def _flows(look: Look) -> list[Finding]:
    """IN-05. The kernel asks the rules for the first datagram of a flow only; a flow ends by being idle."""
    service = look.service
    ports = [port for port in service.ports if port.protocol == "UDP"]
    why = _not_for_proxies(look) if ports else f"{service.label} has no UDP port"
    if why:
        return [_bench.skipped("IN-05", why)]
    seen, found = _read(look, "node_conntrack", "IN-05")
    complaints: list[Finding] = []
    good = 0
    for probe, one in seen:
        if one.value["unread"]:
            found.append(_bench.skipped("IN-05", f"flows of node {probe.node} are not read: {one.value['unread']}"))
            continue
        bad = [
            finding
            for address in service.cluster_ips
            for port in ports
            if (finding := _held(look, probe.node, address, port, one.value["flows"])) is not None
        ]
        complaints += bad
        good += not bad
    return found + _bench.verdict(
        "IN-05", complaints, good, f"on {good} node(s) no UDP flow is held to a lost endpoint"
    )


def _held(look: Look, node: str, address: str, port: ServicePort, flows: t.Mapping[str, int]) -> Finding | None:
    """The flows of one address and port that lead nowhere. Endpoints that are not ready may still have theirs."""
    service, key = look.service, service_key(address, port)
    known = {
        host_port(endpoint.address, number)
        for seen in (look.before, look.after)
        for endpoint in seen.endpoints
        if (number := _number(endpoint, port)) is not None
    }
    ends = {name.partition(" ")[2]: count for name, count in flows.items() if name.startswith(f"{key} ")}
    lost = {end: count for end, count in ends.items() if end not in known}
    if not lost:
        return None
    delete = f"conntrack -D -p udp --orig-dst {address} --orig-port-dst {port.port}"
    return _about(
        "IN-05",
        node,
        f"node {node} holds {sum(lost.values())} UDP flow(s) to port {port.label} of {service.label} at"
        f" {short(sorted(lost))}, which is no endpoint",
        "flows",
        field=key,
        observed=sorted(lost),
        expected=sorted(known),
        cause="who goes on sending from the same port is never led elsewhere; its service proxy should have ended it",
        evidence={
            "flows": ends,
            "fix": f"kubectl debug node/{node} -it --profile=sysadmin --image=busybox -- chroot /host {delete}",
        },
        subjects=frozenset({service.uid, ENDPOINTS}),
    )


def _tables(look: Look) -> list[Finding]:
    """IN-06."""
    seen, found = _read(look, "node_conntrack", "IN-06")
    complaints: list[Finding] = []
    known = [(probe.node, one.value["count"], one.value["max"]) for probe, one in seen if one.value["known"]]
    for node, count, most in known:
        if not most or count < _NEARLY * most:
            continue
        full = count >= _FULL * most
        complaints.append(
            _about(
                "IN-06",
                node,
                f"the connection table of node {node} is {'full' if full else 'nearly full'}",
                "conntrack",
                served=not full,
                field="net.netfilter.nf_conntrack_max",
                observed=f"{count} of {most} entries",
                expected=f"fewer than {int(_NEARLY * most)}",
                cause="new connections from, to and through a node with a full table are dropped without a word;"
                " raise the limit, also in kube-proxy's conntrack.maxPerCore, or find out who opens so many",
                evidence={
                    "fix": f"kubectl debug node/{node} -it --profile=sysadmin --image=busybox --"
                    f" sysctl -w net.netfilter.nf_conntrack_max={2 * most}"
                },
            )
        )
    if seen and not known:
        return [*found, _bench.skipped("IN-06", "these nodes track no connections")]
    good = len(known) - len(complaints)
    share = max((count / most for _node, count, most in known if most), default=0.0)
    return found + _bench.verdict(
        "IN-06", complaints, good, f"the connection table of {good} node(s) has room: at most {share:.0%} is used"
    )


# ----- who listens

_Socket = tuple[str, str, int]  # protocol, address, port


def _listening(look: Look) -> list[Finding]:
    """SV-08. Where a probe got an answer somebody listens, whatever the kernel of the node knows of it."""
    seen, found = _read(look, "node_listeners", "SV-08")
    sockets = {
        uid: [_socket(line) for line in lines] for _probe, one in seen for uid, lines in one.value["pods"].items()
    }
    judged = [
        (endpoint, port, number)
        for endpoint in look.after.endpoints
        for port in look.service.ports
        if endpoint.ready and endpoint.serving and endpoint.pod_uid in sockets and look.stable(endpoint)
        if port.protocol in ("TCP", "UDP") and (number := _number(endpoint, port)) is not None
    ]
    answered = {
        (probe.endpoint.address, probe.task.get("port"))
        for probe, one in look.seen("direct")
        if probe.endpoint and one.answered
    }
    deaf = [
        (endpoint, port, number)
        for endpoint, port, number in judged
        if (endpoint.address, number) not in answered
        and not any(_takes(one, endpoint.address, port.protocol, number) for one in sockets[endpoint.pod_uid])
    ]
    complaints = [
        finding
        for port in look.service.ports
        for finding in _deaf(look, port, [one for one in judged if one[1] == port], deaf, sockets)
    ]
    if seen and not judged:
        return [*found, _bench.skipped("SV-08", "no process of a ready endpoint's pod was found on these nodes")]
    good = len(judged) - len(deaf)
    pods = len({endpoint.pod_uid for endpoint, _port, _number in judged})
    return found + _bench.verdict("SV-08", complaints, good, f"{pods} pod(s) listen on the Service's target ports")


def _socket(line: str) -> _Socket:
    protocol, address, port = line.split(" ")
    return protocol.upper(), address, int(port)


def _takes(socket: _Socket, address: str, protocol: str, number: int) -> bool:
    """Whether connections to an address of the pod get to a socket. `::` takes IPv4, too, unless it is told not to."""
    kind, local, port = socket
    if (kind, port) != (protocol, number):
        return False
    bound, wanted = ipaddress.ip_address(local), ipaddress.ip_address(address)
    plain = getattr(bound, "ipv4_mapped", None) or bound
    return plain == wanted or (plain.is_unspecified and (plain.version == 6 or wanted.version == 4))


def _deaf(
    look: Look,
    port: ServicePort,
    judged: t.Sequence[tuple[Endpoint, ServicePort, int]],
    deaf: t.Sequence[tuple[Endpoint, ServicePort, int]],
    sockets: t.Mapping[str, t.Sequence[_Socket]],
) -> t.Iterator[Finding]:
    """A number that no pod listens on and none declares is the Service's mistake; else it is that of each pod."""
    mine = [one for one in deaf if one[1] == port]
    pods = {endpoint.pod_uid: look.after.pod(endpoint.pod_uid) for endpoint, _port, _number in mine}
    declared = any(pod and number in pod.declared(port.protocol) for (_e, _p, number) in mine for pod in pods.values())
    service = look.service
    if mine and len(mine) == len(judged) and isinstance(port.target_port, int) and not declared:
        others = set.intersection(*(_reached(endpoint, sockets) for endpoint, _port, _number in mine))
        yield _bench.failed(
            "SV-08",
            f"no pod listens on targetPort {port.target_port} of port {port.label} of {service.label};"
            f" they listen on {short(sorted(others))}",
            object=service.label,
            field=f"spec.ports[{port.port}].targetPort",
            observed=sorted(others),
            expected=port.target_port,
            cause="connections to that port are refused",
            evidence={"listening": sorted(others)},
            subjects=frozenset({service.uid, ENDPOINTS, *pods}),
            component=f"port/{port.port}",
        )
        return
    for endpoint, _port, number in mine:
        near = sorted(
            {local for kind, local, one in sockets[endpoint.pod_uid] if (kind, one) == (port.protocol, number)}
        )
        others = _reached(endpoint, sockets)
        what = f"on port {number}, where port {port.label} of {service.label} leads"
        yield _bench.failed(
            "SV-08",
            f"pod {endpoint.pod} listens {what}, at {short(near)} only"
            if near
            else f"pod {endpoint.pod} does not listen {what}; it listens on {short(sorted(others))}",
            object=f"Pod {service.namespace}/{endpoint.pod}",
            field=f"{number}/{port.protocol}",
            observed=near or sorted(others),
            expected=f"{number} at {endpoint.address}, or at all addresses",
            cause="nobody but the pod itself reaches that address" if near else "connections to that port are refused",
            evidence={"listening": [f"{kind} {local} {one}" for kind, local, one in sockets[endpoint.pod_uid]]},
            subjects=frozenset({service.uid, endpoint.pod_uid}),
            component=f"answer/{endpoint.pod}/{number}",
        )


def _reached(endpoint: Endpoint, sockets: t.Mapping[str, t.Sequence[_Socket]]) -> set[int]:
    """The ports of a pod that others reach."""
    mine = sockets[endpoint.pod_uid]
    return {port for kind, _local, port in mine if any(_takes(one, endpoint.address, kind, port) for one in mine)}
