# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Private to this collection: may change in any release.
"""Are the nodes, the service proxies, the network's agents and the controllers of the cluster alive?

By the API alone. What the cluster runs for its DNS is looked at in :mod:`.cluster_dns`.
"""

from __future__ import annotations

import typing as t
from datetime import datetime, timedelta

from ...kube.errors import lacks_right
from ..facts import Body, runs_proxy
from ..look import Look
from ..result import Finding, short
from ..snapshot import Pod, is_ready_endpoint, pod, when
from . import cluster_dns, proxy_logs
from .common import Bench, client_pods, is_stuck

NAME = "infrastructure"
_bench = Bench(NAME)

CHECKS: tuple[tuple[str, str, str], ...] = (
    ("IN-01", "A service proxy runs on every node", "list pods and daemonsets in kube-system"),
    ("IN-07", "The nodes are Ready and have a network", "list nodes"),
    ("IN-09", "The network's agent runs on every node", "list pods and daemonsets in kube-system"),
    ("IN-10", "The endpoint slice controller follows the pods", "list pods and endpointslices"),
    ("IN-11", "What the credentials may not read", "create selfsubjectaccessreviews"),
    *proxy_logs.CHECKS,
    *cluster_dns.CHECKS,
)

# A node that joins or restarts is not Ready for a while.
_JOINING = timedelta(seconds=120)
# The endpoint slice controller needs a second; its queue may be long on a large cluster.
_LAG = timedelta(seconds=30)
_STARTING = timedelta(seconds=30)
_PRESSURES = ("MemoryPressure", "DiskPressure", "PIDPressure")
# Agents that do the work of kube-proxy where that is switched off.
_REPLACEMENTS = ("anetd", "antrea-agent", "calico-node", "cilium", "kube-router", "ovnkube-node")
_REPELLING = ("NoSchedule", "NoExecute")
# Directories that agents of a pod network share with the kubelet's runtime.
_CNI = ("/etc/cni", "/opt/cni", "/var/lib/cni", "/run/cni", "/var/run/cni")
# Nodes without agents of their own: of labels with these values.
_SPECIAL = {
    "type": ("virtual-kubelet",),
    "eks.amazonaws.com/compute-type": ("fargate", "auto", "hybrid"),
    "kubernetes.io/os": ("windows",),
}


def check(look: Look) -> list[Finding]:
    """All checks of this layer."""
    return [*_rights(look), *of_service(look), *of_cluster(look)]


def of_service(look: Look) -> list[Finding]:
    """What differs from Service to Service."""
    return [*_nodes(look), *_controller(look)]


def of_cluster(look: Look) -> list[Finding]:
    """What is the same for all Services."""
    found: list[Finding] = []
    why = look.facts.why_missing("dns_pods") or look.facts.why_missing("dns_daemonsets")
    if why:
        found.append(_bench.skipped("IN-01", why))
    else:
        found += _proxies(look) + _agents(look)
    return found + cluster_dns.check(_bench, look)


def _rights(look: Look) -> list[Finding]:
    """IN-11: everything else goes on without what may not be read."""
    lacking = list(dict.fromkeys(why for why in look.facts.missing.values() if lacks_right(why)))
    if lacking:
        return [_bench.skipped("IN-11", f"not everything may be read: {'; '.join(lacking)}")]
    return [_bench.passed("IN-11", f"all {len(look.facts.parts)} parts of the surroundings could be read")]


# ----- nodes


def _nodes(look: Look) -> list[Finding]:
    """IN-07. A node without our pods, clients and DNS servers is worth a word only."""
    why = look.facts.why_missing("nodes")
    if why:
        return [_bench.skipped("IN-07", why)]
    concerned = _concerned(look)
    bodies = look.facts.all("nodes")
    complaints = [finding for body in bodies for finding in _node(look, body, concerned)]
    good = len(bodies) - len({finding.object for finding in complaints})
    return _bench.verdict("IN-07", complaints, good, f"{good} node(s) are Ready")


def _concerned(look: Look) -> set[str]:
    """The nodes that the Service's connections pass."""
    pods = [one for one in look.after.pods if not one.terminating and not one.finished]
    nodes = {one.node for one in (*pods, *client_pods(look), *cluster_dns.servers(look))}
    return (nodes | set(look.question.nodes)) - {""}


def _node(look: Look, body: Body, concerned: set[str]) -> t.Iterator[Finding]:
    name = body["metadata"]["name"]
    conditions = {item["type"]: item for item in (body.get("status") or {}).get("conditions") or []}
    ready, network = conditions.get("Ready", {}), conditions.get("NetworkUnavailable", {})
    if ready.get("status") != "True":
        if name in concerned or _older(look.now, ready.get("lastTransitionTime"), _JOINING):
            yield _bad_node(name, ready, "is not Ready", name in concerned, "Ready", "True")
    elif network.get("status") == "True":
        yield _bad_node(name, network, "has no network", name in concerned, "NetworkUnavailable", "False")
    elif name in concerned:
        for kind in _PRESSURES:
            if conditions.get(kind, {}).get("status") == "True":
                yield _bad_node(name, conditions[kind], f"has {kind}", False, kind, "False")


def _bad_node(name: str, condition: Body, problem: str, harms: bool, kind: str, expected: str) -> Finding:
    reason = ": ".join(str(condition[key]) for key in ("reason", "message") if condition.get(key))
    return (_bench.failed if harms else _bench.warned)(
        "IN-07",
        f"node {name} {problem}",
        object=f"Node {name}",
        field=f"status.conditions[{kind}]",
        observed=condition.get("status") or "Unknown",
        expected=expected,
        cause=reason or "its kubelet says nothing",
        evidence={"since": condition.get("lastTransitionTime") or ""},
        subjects=frozenset({name}),
        component=f"node/{name}",
    )


def _older(now: datetime, stamp: str | None, age: timedelta) -> bool:
    moment = when(stamp)
    return moment is None or now - moment > age


def _served(look: Look) -> list[Body]:
    """The nodes that must have agents: Ready, not new, and of a kind that has some."""
    return [
        body
        for body in look.facts.all("nodes")
        if _is_ready(body)
        and _older(look.now, body["metadata"].get("creationTimestamp"), _JOINING)
        and not any(_labels(body).get(key) in values for key, values in _SPECIAL.items())
    ]


def _is_ready(body: Body) -> bool:
    conditions = (body.get("status") or {}).get("conditions") or []
    return any(item["type"] == "Ready" and item["status"] == "True" for item in conditions)


def _labels(body: Body) -> t.Mapping[str, str]:
    labels: t.Mapping[str, str] = body["metadata"].get("labels") or {}
    return labels


# ----- agents


def _proxies(look: Look) -> list[Finding]:
    """IN-01, IN-03. Some clusters start kube-proxy without a DaemonSet, some have an agent of the network instead."""
    sets = [body for body in look.facts.all("dns_daemonsets") if runs_proxy(body["spec"]["template"]["spec"])]
    pods = [pod(body) for body in look.facts.all("dns_pods") if runs_proxy(body.get("spec") or {})]
    namespace = look.question.dns[0]
    others = [body["metadata"]["name"] for body in look.facts.all("dns_daemonsets")]
    instead = [name for name in others if name in _REPLACEMENTS]
    if not pods and (instead or not sets):
        who = short(instead) if instead else "the nodes themselves, or an agent elsewhere"
        return [_bench.skipped("IN-01", f"there is no kube-proxy in namespace {namespace}: {who} may do its work")]
    said = proxy_logs.check(_bench, look, [one for one in pods if not one.finished and not one.terminating])
    why = look.facts.why_missing("nodes")
    if why:
        return [_bench.skipped("IN-01", why), *said]
    nodes, there = _served(look), _by_node(pods)
    complaints = [finding for body in nodes for finding in _without(look, body, there, "IN-01")]
    good = len(nodes) - len(complaints)
    return [*_bench.verdict("IN-01", complaints, good, f"kube-proxy is ready on {good} node(s)"), *said]


def _agents(look: Look) -> list[Finding]:
    """IN-09: DaemonSets that write the configuration of the pod network are its agents, whatever their name."""
    sets = [body for body in look.facts.all("dns_daemonsets") if _is_agent(body["spec"]["template"]["spec"])]
    if not sets:
        why = f"no DaemonSet in namespace {look.question.dns[0]} is an agent of the pod network"
        return [_bench.skipped("IN-09", why)]
    if look.facts.why_missing("nodes"):
        return [_bench.skipped("IN-09", look.facts.why_missing("nodes"))]
    complaints, good = [], 0
    for body in sets:
        there = _by_node(pod(item) for item in look.facts.all("dns_pods") if _is_of(item, body))
        nodes = [node for node in _served(look) if _is_meant_for(body, node)]
        bad = [finding for node in nodes for finding in _without(look, node, there, "IN-09", body["metadata"]["name"])]
        complaints += bad
        good += len(nodes) - len(bad)
    names = short([body["metadata"]["name"] for body in sets])
    return _bench.verdict("IN-09", complaints, good, f"the pod network's agent {names} is ready on every node")


def _is_agent(spec: Body) -> bool:
    paths = [(volume.get("hostPath") or {}).get("path", "") for volume in spec.get("volumes") or []]
    return bool(spec.get("hostNetwork")) and any(path.startswith(_CNI) for path in paths)


def _is_of(item: Body, body: Body) -> bool:
    """Whether a pod belongs to a DaemonSet."""
    owners = item["metadata"].get("ownerReferences") or []
    return any((owner["kind"], owner["name"]) == (body["kind"], body["metadata"]["name"]) for owner in owners)


def _is_meant_for(body: Body, node: Body) -> bool:
    """Whether a DaemonSet wants a pod on a node, as far as labels and taints say; an affinity is not worked out."""
    spec = body["spec"]["template"]["spec"]
    taints = [item for item in (node.get("spec") or {}).get("taints") or [] if item.get("effect") in _REPELLING]
    tolerated = [item.get("key") for item in spec.get("tolerations") or []]
    return (
        not spec.get("affinity")
        and (spec.get("nodeSelector") or {}).items() <= _labels(node).items()
        and all(None in tolerated or taint["key"] in tolerated for taint in taints)
    )


def _by_node(pods: t.Iterable[Pod]) -> dict[str, list[Pod]]:
    found: dict[str, list[Pod]] = {}
    for one in pods:
        if not one.finished:
            found.setdefault(one.node, []).append(one)
    return found


def _without(look: Look, body: Body, pods: t.Mapping[str, list[Pod]], check: str, agent: str = "") -> list[Finding]:
    """The complaint about a node where an agent is missing or does not become ready."""
    name = body["metadata"]["name"]
    here = pods.get(name, [])
    if any(one.ready or _is_starting(one, look.now) for one in here):
        return []
    state = short([f"{one.name}: {one.unready_reason or 'not ready'}" for one in here]) if here else "no pod"
    make, who, component = (
        (_bench.warned, f"agent {agent} of the pod network", f"network/{name}")
        if agent
        else (_bench.failed, "service proxy", f"proxy/{name}")
    )
    return [
        make(
            check,
            f"node {name} has no ready {who}",
            object=f"Node {name}",
            field=agent or "kube-proxy",
            observed=state,
            expected="a ready pod",
            cause="new pods may get no network there"
            if agent
            else "the node does not learn of changes: it goes on with the endpoints that it last knew",
            evidence={"pods": [one.name for one in here]},
            subjects=frozenset({name}),
            component=component,
        )
    ]


def _is_starting(one: Pod, now: datetime) -> bool:
    return not is_stuck(one) and one.turned is not None and now - one.turned < _STARTING


# ----- controllers


def _controller(look: Look) -> list[Finding]:
    """IN-10: what the pods were for a while must be in the slices."""
    service, after = look.service, look.after
    if not service.selector or service.external or after.why_missing("pods") or after.why_missing("endpointslices"):
        return []
    if service.created is not None and look.now - service.created < _LAG:
        return []
    ready = {endpoint.pod_uid for endpoint in after.endpoints if endpoint.ready}
    late = [
        one.name
        for one in after.pods
        if one.turned is not None
        and look.now - one.turned > _LAG
        and not one.terminating
        and any(one.address(family) for family in service.families)
        and is_ready_endpoint(one, service) != (one.uid in ready)
    ]
    managers = [pod(body) for body in look.facts.all("dns_pods") if _manages(body)]
    dead = [one for one in managers if not one.ready]
    gone = bool(managers) and len(dead) == len(managers)
    if not late and not gone:
        return [_bench.passed("IN-10", f"the EndpointSlices of {service.label} follow its pods")]
    why = f"{dead[0].name} is not ready: {dead[0].unready_reason}" if dead else "see the log of kube-controller-manager"
    return [
        (_bench.failed if late else _bench.warned)(
            "IN-10",
            f"the EndpointSlices of {service.label} do not follow its pods"
            if late
            else "no kube-controller-manager is ready: EndpointSlices stay as they are",
            object=service.label,
            field="EndpointSlices",
            observed=late or [one.name for one in dead],
            expected="the pods as they are",
            cause=why,
            subjects=frozenset({service.uid, *(one.uid for one in after.pods if one.name in late)}),
            component="controller",
        )
    ]


def _manages(body: Body) -> bool:
    return any(c["name"] == "kube-controller-manager" for c in (body.get("spec") or {}).get("containers") or [])
