# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Private to this collection: may change in any release.
"""Do NetworkPolicies let the client through to the pods and to DNS, and does the network do as they say?

Policies are evaluated, not only listed: each complaint names the policy and the rule that comes nearest. Whether the
network enforces them at all is up to its plugin, so what the probes saw has the last word.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from ..clients import DNS, PODS, Way, behind, client, end, prober, ways
from ..facts import Body
from ..intent import meant
from ..look import Look, Observation
from ..policy import EGRESS, INGRESS, NAMESPACE_NAME, Denial, End, Verdict, matches, selects, spell
from ..result import Finding, short
from ..scope import Probe, stranger_label
from ..snapshot import Pod, Service
from . import refused
from .common import Bench

NAME = "policy"
_bench = Bench(NAME)

_READ = "list networkpolicies, pods, namespaces"
CHECKS: tuple[tuple[str, str, str], ...] = (
    ("PO-01", "Which policies select the pods", _READ),
    ("PO-02", "Policies let the client out, to the pods and to DNS", _READ),
    ("PO-03", "Policies let the client in to every port", _READ),
    ("PO-04", "The network enforces the policies", f"{_READ}; create jobs (probe)"),
    ("PO-05", "Policies select pods", _READ),
    ("PO-06", "Policies keep out who must not get in", _READ),
    ("PO-07", "Policies of other kinds", "get /apis"),
)

# API groups of policies that are not evaluated here.
_OTHERS = {
    "cilium.io": "CiliumNetworkPolicy",
    "crd.projectcalico.org": "Calico's NetworkPolicy and GlobalNetworkPolicy",
    "crd.antrea.io": "Antrea's NetworkPolicy and ClusterNetworkPolicy",
    "policy.networking.k8s.io": "AdminNetworkPolicy",
}
_PROBE = (
    "if that is not whom the Service is for, name the clients by client.namespace, client.labels or client.workload"
)


def check(look: Look) -> list[Finding]:
    """All checks of this layer."""
    service, facts = look.service, look.facts
    if service.external:
        return [_bench.skipped("PO-03", f"{service.label} is an ExternalName: it has no pods for policies to select")]
    missing = [why for part in ("policies", "pods") if (why := facts.why_missing(part))]
    if missing:
        return [_bench.skipped("PO-03", f"policies were not judged: {short(missing)}"), *_others(look)]
    wanted = meant(look)
    seen = _Enforced(look)
    others = _others(look)
    kept = refused.check(_bench, look, wanted, ignored=seen.ignored, others=bool(others))
    found = [*seen.findings(), *_selecting(look, wanted), *_idle(look), *kept, *others]
    source = client(look.question, facts)
    if source is None:
        why = f"{look.question.workload} is not there, or uses the network of its node, to which they do not apply"
        return [_bench.skipped("PO-03", f"policies were not judged: {why}"), *found]
    return [*_ways(look, wanted, source, seen), *found]


# ----- what is there


def _selecting(look: Look, wanted: Service) -> list[Finding]:
    """PO-01: for information."""
    pods = behind(wanted, look.facts.all("pods"))
    if not pods:
        return [_bench.skipped("PO-01", f"no pod of {wanted.label} is there for policies to select")]
    names = [_name(policy) for policy in _isolating(look, pods)]
    if not names:
        return [_bench.passed("PO-01", f"no NetworkPolicy selects the pods of {look.service.label}")]
    return [_bench.passed("PO-01", f"the pods of {look.service.label} are selected by {short(names)} (ingress)")]


def _isolating(look: Look, pods: t.Sequence[Pod]) -> list[Body]:
    """The policies that select one of the pods, for what comes in."""
    return [
        policy
        for policy in look.facts.all("policies")
        if any(selects(policy, INGRESS, one.namespace, dict(one.labels)) for one in pods)
    ]


def _name(policy: Body) -> str:
    return f"{policy['metadata'].get('namespace', '')}/{policy['metadata']['name']}"


def _idle(look: Look) -> list[Finding]:
    """PO-05: a policy that selects no pod at all may be meant for later, so that is no complaint."""
    found = []
    for policy in look.facts.all("policies"):
        selector = policy["spec"].get("podSelector") or {}
        if not any(matches(selector, pod["metadata"].get("labels") or {}) for pod in look.facts.all("pods")):
            message = f"NetworkPolicy {_name(policy)} selects no pod: none has {spell(selector)}"
            found.append(_bench.skipped("PO-05", message, object=f"NetworkPolicy {_name(policy)}"))
    return found or [_bench.passed("PO-05", "every NetworkPolicy of the namespace selects pods")]


def _others(look: Look) -> list[Finding]:
    """PO-07: what else may forbid or allow."""
    groups = [body["metadata"]["name"] for body in look.facts.all("groups")]
    return [
        _bench.skipped("PO-07", f"the cluster has the API group {group}: {_OTHERS[group]} is not modelled")
        for group in sorted(set(groups) & set(_OTHERS))
    ]


# ----- the client's ways


def _ways(look: Look, wanted: Service, source: End, seen: _Enforced) -> list[Finding]:
    """PO-02 and PO-03."""
    found = ways(look.question, look.facts, wanted, source)
    complaints: dict[tuple[str, str, str], Finding] = {}
    for to in (PODS, DNS):
        for direction in (EGRESS, INGRESS):
            for denied in _denied([way for way in found if way.to == to], direction):
                finding = _Denied(look, wanted, source, direction, denied, bool(seen.seen)).finding(seen.ignored)
                complaints.setdefault(finding.key, finding)
    good = [
        _bench.passed(check, f"policies let {source.label} {word}")
        for check, word, direction in (("PO-02", "out", EGRESS), ("PO-03", "in", INGRESS))
        if all(_side(way, direction).allowed for way in found)
    ]
    why = look.facts.why_missing("client_policies")
    if why:
        good = [_bench.skipped("PO-02", f"what leaves the client was not judged: {why}"), *good[1:]]
    if not any(way.to == PODS for way in found):
        good = [_bench.skipped("PO-03", f"there is no pod of {wanted.label} that policies could keep clients from")]
    return [*good, *complaints.values(), *_unknown(look, found)]


def _side(way: Way, direction: str) -> Verdict:
    return way.leaves if direction == EGRESS else way.arrives


def _denied(found: t.Sequence[Way], direction: str) -> list[list[Way]]:
    """The ways that are denied, together where the same policy is the nearest and the same port meant.

    A resolver's query over TCP follows one over UDP; where only that is denied, names still resolve.
    """
    groups: dict[tuple[str, str], list[Way]] = {}
    for way in found:
        if _side(way, direction).allowed is False:
            port = way.port if way.to == PODS else ""
            groups.setdefault((_side(way, direction).denials[0].label, port), []).append(way)
    return list(groups.values())


def _unknown(look: Look, found: t.Sequence[Way]) -> list[Finding]:
    unknown = sorted(
        {name for way in found for side in (way.leaves, way.arrives) if side.allowed is None for name in side.selecting}
    )
    if not unknown:
        return []
    why = look.facts.why_missing("namespaces") or "they name blocks of addresses, and that of the client is not known"
    return [_bench.skipped("PO-03", f"what {short(unknown)} make of the client is not known: {why}")]


class _Denied:
    """Ways that one policy is the nearest to allow, and does not."""

    def __init__(
        self, look: Look, wanted: Service, source: End, direction: str, denied: t.Sequence[Way], tried: bool
    ) -> None:
        self.look, self.source, self.direction, self.denied = look, source, direction, denied
        self.wanted, self.tried = wanted, tried
        self.verdict = _side(denied[0], direction)
        self.nearest: Denial = self.verdict.denials[0]
        self.protocols = sorted({f"{way.number}/{way.protocol}" for way in denied})
        self.dns = denied[0].to == DNS

    def finding(self, ignored: bool) -> Finding:
        """A complaint, or what it would be if the network enforced policies."""
        check = "PO-02" if self.dns or self.direction == EGRESS else "PO-03"
        message = self._message()
        where: dict[str, t.Any] = {
            "object": f"NetworkPolicy {self.nearest.label}",
            "field": f"spec.{self.direction.lower()} {self._what()}",
        }
        if ignored:
            return _bench.skipped(check, f"{message}; but this network does not enforce it", **where)
        if self.dns and not any(way.protocol == "UDP" for way in self.denied):
            return _bench.skipped(check, f"{message} over TCP, which answers that fit no datagram need", **where)
        return _bench.failed(
            check,
            message,
            **where,
            observed=f"it {self.nearest.why}",
            expected=f"a rule for {self._flow()}",
            cause=self._cause(),
            evidence={
                "policies": {denial.label: denial.why for denial in self.verdict.denials},
                "pods": sorted({way.pod.name for way in self.denied}),
                "manifest": self._manifest(),
            },
            subjects=frozenset({self.look.service.uid}),
            component=f"policy/{self.nearest.label}",
        )

    def _what(self) -> str:
        return "DNS" if self.dns else f"port {self.denied[0].port}"

    def _message(self) -> str:
        who = f"NetworkPolicy {self.nearest.label}"
        if self.dns:
            return f"{who} keeps {self.source.label} from the DNS servers"
        target = f"port {self.denied[0].port} of {self.look.service.label}"
        if self.direction == EGRESS:
            return f"{who} does not let {self.source.label} out to {target}"
        return f"{who} does not let {self.source.label} in to {target}"

    def _flow(self) -> str:
        there = "the DNS servers" if self.dns else f"pods of {self.look.service.label}"
        return f"{stranger_label(self.source.namespace, self._client_labels())} to {short(self.protocols)} of {there}"

    def _client_labels(self) -> dict[str, str]:
        """Those that tell the client; none of ours."""
        asked = self.look.question
        return dict(self.source.labels if asked.workload else asked.client.labels)

    def _cause(self) -> str:
        others = [denial.label for denial in self.verdict.denials[1:]]
        more = f"; {short(others)} select(s) the same pods, and one rule of any of them is enough" if others else ""
        target = {port.port for port in self.look.service.ports} - {way.number for way in self.denied}
        mixed = any(f"port {number}/" in self.nearest.why for number in target) and not self.dns
        hint = "; policies see the port of the pods, not that of the Service" if mixed else ""
        asked = self.look.question
        probe = "" if asked.workload or asked.client.labels else f"; {_PROBE}"
        tried = "" if self.tried else "; it was not tried whether the network enforces it"
        return f"policies add up, so a further one may allow it{hint}{more}{probe}{tried}"

    def _manifest(self) -> Body:
        """A policy of its own that allows just this: rules of policies add up."""
        service, space = self.look.service, self.denied[0].pod.namespace
        servers = {"k8s-app": dict(self.denied[0].pod.labels).get("k8s-app", "kube-dns")}
        pods = servers if self.dns else dict(self.wanted.selector)
        outward = self.direction == EGRESS
        peer = _peer(space, pods) if outward else _peer(self.source.namespace, self._client_labels())
        ports = [{"protocol": p, "port": n} for n, p in sorted({(way.number, way.protocol) for way in self.denied})]
        what = "dns" if self.dns else service.name
        return {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "NetworkPolicy",
            "metadata": {
                "name": f"{self.source.namespace}-to-{what}"[:253],
                "namespace": self.source.namespace if outward else space,
            },
            "spec": {
                "podSelector": _labels(self._client_labels() if outward else pods),
                "policyTypes": [self.direction],
                self.direction.lower(): [{"to" if outward else "from": [peer], "ports": ports}],
            },
        }


def _labels(labels: t.Mapping[str, str]) -> Body:
    return {"matchLabels": dict(labels)} if labels else {}


def _peer(namespace: str, labels: t.Mapping[str, str]) -> Body:
    return {"namespaceSelector": {"matchLabels": {NAMESPACE_NAME: namespace}}, "podSelector": _labels(labels)}


# ----- what the probes saw


@dataclass(frozen=True, slots=True)
class _Seen:
    """A way that policies deny the probe, and how it went on a node."""

    policy: str
    node: str
    answered: bool


class _Enforced:
    """PO-04: whether what policies deny the probe pods did not get through.

    Attributes:
        ignored: it did, on every node; so nothing that policies say here counts.
    """

    def __init__(self, look: Look) -> None:
        self.look = look
        self.seen = list(self._denied())
        self.through = [seen for seen in self.seen if seen.answered]
        self.ignored = bool(self.seen) and len(self.through) == len(self.seen)

    def _denied(self) -> t.Iterator[_Seen]:
        """What was asked directly of pods that policies keep from the probe, the DNS servers among them."""
        look = self.look
        own = [(probe, found) for way in ("direct", "dns") for probe, found in look.seen(way)]
        home = look.question.client.namespace
        yield from self._of(
            prober(look.question, look.facts), [pair for pair in own if pair[0].vantage.namespace == home]
        )
        for stranger in look.plan.strangers:
            vantage = stranger.vantage
            source = end(vantage.label, vantage.namespace, dict(stranger.labels), look.facts)
            yield from self._of(source, [pair for pair in look.seen("refused") if pair[0].vantage == vantage])

    def _of(self, source: End, asked: t.Iterable[tuple[Probe, Observation]]) -> t.Iterator[_Seen]:
        """What became of what one client was denied."""
        look = self.look
        denied = {
            (way.pod.uid, way.number, way.protocol): _nearest(way)
            for way in ways(look.question, look.facts, look.service, source)
            if way.allowed is False
        }
        for probe, found in asked if denied else ():
            if probe.endpoint is None or not look.stable(probe.endpoint):
                continue
            protocol = str(probe.task.get("transport") or "tcp").upper()
            policy = denied.get((probe.endpoint.pod_uid, probe.task["port"], protocol))
            if policy and (found.answered or found.failures):
                yield _Seen(policy, probe.vantage.node, bool(found.answered))

    def findings(self) -> list[Finding]:
        """One at most."""
        if not self.seen:
            return []
        if not self.through:
            return [_bench.passed("PO-04", f"{short(sorted({seen.policy for seen in self.seen}))} is enforced")]
        names = sorted({seen.policy for seen in self.through})
        nodes = sorted({seen.node for seen in self.through})
        where = "this cluster's network does" if self.ignored else f"the network of {short(nodes)} does"
        return [
            _bench.accused(
                "PO-04",
                f"{where} not enforce NetworkPolicies: what {short(names)} denies the probe pods gets through",
                served=not self.look.question.expect.refused_from,
                object=f"NetworkPolicy {names[0]}",
                field="enforcement",
                observed=f"{len(self.through)} of {len(self.seen)} denied connections were answered",
                expected="none",
                cause="the network plugin must enforce them; not every one does, and the API takes them anyway",
                evidence={"nodes": nodes, "policies": names},
                subjects=frozenset({self.look.service.uid}),
                component="enforcement",
            )
        ]


def _nearest(way: Way) -> str:
    side = way.arrives if way.arrives.allowed is False else way.leaves
    return side.denials[0].label
