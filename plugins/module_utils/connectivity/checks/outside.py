# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Private to this collection: may change in any release.
"""Does an exposed Service answer the host of the task, at the nodes that shall answer and at its load balancer?

Asked for by `outside`. Content and certificates are judged with those that are seen from inside, by the layer http.
"""

from __future__ import annotations

from dataclasses import replace

from ..look import ENDPOINTS, Look, Observation
from ..plan_outside import EXPOSED, HEALTH, LOAD_BALANCER, NODE_PORT, SILENT
from ..result import FAIL, Finding, short
from ..scope import Probe
from ..snapshot import ServicePort
from .backends import Identities, reaches_all
from .common import Bench, nodes
from .paths import answers

NAME = "outside"
_bench = Bench(NAME)

CHECKS: tuple[tuple[str, str, str], ...] = (
    ("NP-04", "From outside, every node answers at the NodePort", "list nodes"),
    ("NP-05", "From outside, HTTPS is verified as from inside", "list nodes"),
    ("NP-06", "Under externalTrafficPolicy Local, only nodes with an endpoint answer", "list nodes"),
    ("NP-07", "Nodes tell load balancers whether they have an endpoint", "list nodes"),
    ("NP-08", "The NodePorts of a kind cluster can be reached", "list nodes"),
    ("LB-03", "From outside, the load balancer answers", "get services"),
    ("LB-04", "The load balancer reaches every endpoint", "get services"),
)

_LOST = {"timeout", "unreachable"}


def check(look: Look) -> list[Finding]:
    """All checks of this layer."""
    service, here = look.service, look.plan.outside
    if service.type not in EXPOSED:
        return [_bench.skipped("NP-04", f"{service.label} is of type {service.type}: nobody can ask it from outside")]
    if here is None:
        return [_bench.skipped("NP-04", f"there is nothing to ask from outside: {_why_nothing(look)}")]
    if not look.works(here):
        why = look.lost.get(here) or "it delivered nothing"
        return [_bench.undecided("NP-04", f"this host could not ask: {why}")]
    found = _node_ports(look) + _local(look) + _health(look)
    return found + _load_balancer(look) + _secure(look) + _spread(look)


def _why_nothing(look: Look) -> str:
    if look.after.why_missing("nodes"):
        return look.after.why_missing("nodes")
    if not any(endpoint.ready or endpoint.serving for endpoint in look.before.endpoints):
        return "the Service has no ready endpoint"
    return "no ready node has an address, and no load balancer gave one"


def _node_ports(look: Look) -> list[Finding]:
    """NP-04; NP-08 where no node can be reached at all, since the nodes are containers on another host's network."""
    found = answers(_bench, look, NODE_PORT, "NP-04", "NodePort from outside")
    asked = [observation for _probe, observation in look.seen(NODE_PORT)]
    lost = asked and all(set(observation.classes) <= _LOST for observation in asked)
    if not lost or {node.provider for node in nodes(look)} != {"kind"}:
        return found
    cause = "nodes of kind are containers: where their network is not this host's own, only ports get in that "
    cause += "extraPortMappings of the cluster's configuration name; or ask from where their network is"
    return [replace(finding, id="NP-08", cause=cause) if finding.status == FAIL else finding for finding in found]


def _local(look: Look) -> list[Finding]:
    """NP-06."""
    service = look.service
    if not service.external_local:
        return []
    pairs = look.seen(SILENT)
    complaints = [
        _bench.warned(
            "NP-06",
            f"node {probe.node} has no endpoint of {service.label}, but answers from outside at {probe.target}",
            object=service.label,
            field=probe.target,
            observed="a connection",
            expected="none, since externalTrafficPolicy is Local",
            cause="something else listens at that port of the node, or its service proxy passes connections on, and "
            "then the pods do not see the clients' addresses",
            subjects=frozenset({service.uid, ENDPOINTS}),
            component="nodeport/local",
        )
        for probe, found in pairs
        if found.answered
    ]
    good = len(pairs) - len(complaints) + len(look.seen(NODE_PORT))
    return _bench.verdict("NP-06", complaints, good, f"only nodes with an endpoint answer: {_answering(look)}")


def _answering(look: Look) -> str:
    return short(sorted({probe.node for probe, found in look.seen(NODE_PORT) if found.answered})) or "none"


def _health(look: Look) -> list[Finding]:
    """NP-07."""
    pairs = look.seen(HEALTH)
    wrong = [(probe, found) for probe, found in pairs if _told(found) != (probe.expected or ())]
    complaints = [_misleading(look, probe, found) for probe, found in wrong]
    message = f"{len(pairs)} node(s) tell load balancers rightly whether they have an endpoint"
    return _bench.verdict("NP-07", complaints, len(pairs) - len(wrong), message)


def _told(found: Observation) -> tuple[str, ...]:
    return tuple(str(status) for status in found.value.get("statuses") or ())


def _misleading(look: Look, probe: Probe, found: Observation) -> Finding:
    service, told = look.service, _told(found)
    has = "an" if probe.expected == ("200",) else "no"
    return _bench.failed(
        "NP-07",
        f"node {probe.node} has {has} endpoint of {service.label}, and does not say so at {probe.target}",
        object=service.label,
        field=probe.target,
        observed=f"status {short(told)}" if told else found.detail,
        expected=f"status {short(probe.expected or ())}",
        cause="load balancers choose nodes by this answer of the service proxy; a firewall may be before it",
        subjects=frozenset({service.uid, ENDPOINTS}),
        component="nodeport/health",
    )


def _load_balancer(look: Look) -> list[Finding]:
    """LB-03. One that lets in some clients only may well not mean this host."""
    found = answers(_bench, look, LOAD_BALANCER, "LB-03", "load balancer from outside")
    body = look.facts.named("services", look.service.name, look.service.namespace) or {}
    ranges = (body.get("spec") or {}).get("loadBalancerSourceRanges")
    if not ranges:
        return found
    cause = f"it lets in clients of {short(ranges)} only (loadBalancerSourceRanges): is this host one of them?"
    return [replace(one, cause=cause) if one.id == "LB-03" and one.complains else one for one in found]


def _secure(look: Look) -> list[Finding]:
    """NP-05: what clients refuse inside, too, is for the layer http to say."""
    inside: dict[ServicePort | None, set[int]] = {}
    for purpose in ("direct", "cluster_ip", "name", "node_port"):
        for probe, code, _text in _codes(look, purpose):
            inside.setdefault(probe.port, set()).add(code)
    seen = [*_codes(look, NODE_PORT), *_codes(look, LOAD_BALANCER)]
    if seen and all(code < 0 for _probe, code, _text in seen):
        return [_bench.skipped("NP-05", "whether clients can trust the certificate is not known: no bundle given")]
    complaints = {
        probe.target: _bench.failed(
            "NP-05",
            f"from outside, clients refuse the certificate of {look.service.label} at {probe.target}, and inside not",
            object=look.service.label,
            field=probe.target,
            observed=text,
            expected="a certificate that verifies",
            cause="something on the way ends TLS with a certificate of its own",
            subjects=frozenset({look.service.uid}),
            component="outside",
        )
        for probe, code, text in seen
        if code > 0 and probe.port in inside and code not in inside[probe.port]
    }
    good = sum(code == 0 for _probe, code, _text in seen)
    return _bench.verdict("NP-05", list(complaints.values()), good, "HTTPS is verified from outside, too")


def _codes(look: Look, purpose: str) -> list[tuple[Probe, int, str]]:
    """How verification ended for everything that was served; see the agent for the codes."""
    return [
        (probe, int(served["code"]), str(served["text"]))
        for probe, found in look.seen(purpose)
        for served in found.value.get("served") or ()
    ]


def _spread(look: Look) -> list[Finding]:
    """LB-04."""
    service = look.service
    pairs = [(probe, found) for probe, found in look.seen(LOAD_BALANCER) if found.answered]
    telling = [pair for pair in pairs if pair[0].task["type"] == "http"]
    if not pairs:
        return []
    if service.external_local:
        why = "externalTrafficPolicy is Local: one client may be led to one node"
        return [_bench.skipped("LB-04", f"whether the load balancer reaches every endpoint is not known: {why}")]
    names = Identities(look)
    why = names.unknown or ("" if names.of and telling else "nobody tells who answered")
    if why:
        return [_bench.skipped("LB-04", f"who is behind the load balancer is not known: {why}")]
    return reaches_all(_bench, look, telling, names, "LB-04", "the load balancer")
