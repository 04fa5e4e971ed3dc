# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Private to this collection: may change in any release.
"""What NetworkPolicies make of one flow between two pods, and which rule comes nearest to letting it pass. Pure.

The rules of networking.k8s.io/v1 (`kubectl explain networkpolicy.spec`): a pod that no policy selects for a direction
is open in it; one that policies select takes what any rule of any of them allows. Ports are those of the destination
pod, since proxies translate a Service's address before policies are asked. Where something needed is not known (labels
of a namespace that may not be read, the address that a client will get), the answer is None, neither allowed nor
denied.
"""

from __future__ import annotations

import ipaddress
import typing as t
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from .facts import Body

INGRESS, EGRESS = "Ingress", "Egress"
# Set by the API server on every namespace, so it is known without reading any.
NAMESPACE_NAME = "kubernetes.io/metadata.name"

Network: t.TypeAlias = "ipaddress.IPv4Network | ipaddress.IPv6Network"
Answer: t.TypeAlias = "bool | None"


@dataclass(frozen=True, slots=True)
class End:
    """One end of a flow: a pod, as far as policies see it.

    Attributes:
        label: as messages name it, e.g. `the client`, `the pods`.
        space: labels of its namespace.
        space_known: whether those are all of them.
        networks: where its address is or will be; empty where that is not known.
        ports: (name, protocol) -> number, as its containers declare them.
    """

    label: str
    namespace: str
    labels: Mapping[str, str]
    space: Mapping[str, str] = field(default_factory=dict)
    space_known: bool = True
    networks: tuple[Network, ...] = ()
    ports: Mapping[tuple[str, str], int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Flow:
    """A connection from one pod to a port of another."""

    source: End
    destination: End
    port: int
    protocol: str = "TCP"


@dataclass(frozen=True, slots=True)
class Denial:
    """One policy that selects the pod and has no rule for the flow.

    Attributes:
        why: which rule comes nearest and what is missing, after `policy demo/x `.
        distance: in how many points that rule differs.
    """

    namespace: str
    name: str
    why: str
    distance: int

    @property
    def label(self) -> str:
        """`demo/deny-all`."""
        return f"{self.namespace}/{self.name}"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the policies of one direction say.

    Attributes:
        allowed: None where that is not known.
        selecting: policies that select the pod for this direction, `namespace/name`.
        denials: why each of them does not allow it, nearest first; empty unless it is denied.
    """

    allowed: Answer
    selecting: tuple[str, ...] = ()
    denials: tuple[Denial, ...] = ()


def judge(policies: Iterable[Body], direction: str, flow: Flow) -> Verdict:
    """The verdict on a flow where it leaves (EGRESS) or where it arrives (INGRESS).

    Args:
        policies: those of the namespace of that end; others are left out of account.
    """
    subject = flow.destination if direction == INGRESS else flow.source
    mine = sorted(
        (policy for policy in policies if selects(policy, direction, subject.namespace, subject.labels)), key=_label
    )
    if not mine:
        return Verdict(True)
    selecting = tuple(_label(policy) for policy in mine)
    looked = [(policy, [_Rule(policy, direction, rule, flow) for rule in _rules(policy, direction)]) for policy in mine]
    allowed = some(rule.allows for _policy, rules in looked for rule in rules)
    if allowed is not False:
        return Verdict(allowed, selecting)
    denials = [_denial(policy, direction, rules) for policy, rules in looked]
    return Verdict(False, selecting, tuple(sorted(denials, key=lambda denial: (denial.distance, denial.label))))


def selects(policy: Body, direction: str, namespace: str, labels: Mapping[str, str]) -> bool:
    """Whether a policy isolates a pod in one direction."""
    return (
        policy["metadata"].get("namespace") == namespace
        and direction in directions(policy)
        and matches(policy["spec"].get("podSelector") or {}, labels) is True
    )


def directions(policy: Body) -> tuple[str, ...]:
    """The policyTypes; the API server sets them where they are left out (SetDefaults_NetworkPolicy)."""
    spec = policy["spec"]
    given = spec.get("policyTypes")
    return tuple(given) if given else ((INGRESS, EGRESS) if spec.get("egress") else (INGRESS,))


def _rules(policy: Body, direction: str) -> list[Body]:
    return policy["spec"].get(direction.lower()) or []


def has_block(policy: Body) -> bool:
    """Whether a rule names a block of addresses."""
    rules = [(rule, side) for way, side in ((INGRESS, "from"), (EGRESS, "to")) for rule in _rules(policy, way)]
    return any("ipBlock" in peer for rule, side in rules for peer in rule.get(side) or [])


def _label(policy: Body) -> str:
    return f"{policy['metadata'].get('namespace', '')}/{policy['metadata']['name']}"


def _denial(policy: Body, direction: str, rules: list[_Rule]) -> Denial:
    metadata = policy["metadata"]
    if not rules:
        # Further away than any rule: it was written to deny.
        return Denial(metadata["namespace"], metadata["name"], f"has no {direction.lower()} rule", 99)
    best = min(rules, key=lambda rule: rule.distance)
    return Denial(metadata["namespace"], metadata["name"], best.why, best.distance)


# ----- logic with an unknown


def some(answers: Iterable[Answer]) -> Answer:
    """Whether any of them is true, as far as that is known."""
    found = list(answers)
    return True if True in found else None if None in found else False


def every(answers: Iterable[Answer]) -> Answer:
    """Whether all of them are true, as far as that is known."""
    found = list(answers)
    return False if False in found else None if None in found else True


# ----- selectors


Requirement = tuple[str, str, tuple[str, ...]]


def requirements(selector: Body) -> list[Requirement]:
    """(key, operator, values) of a label selector; all of them must be met."""
    found: list[Requirement] = [(key, "In", (value,)) for key, value in (selector.get("matchLabels") or {}).items()]
    return found + [
        (expression["key"], expression["operator"], tuple(expression.get("values") or ()))
        for expression in selector.get("matchExpressions") or []
    ]


def matches(selector: Body, labels: Mapping[str, str], *, known: bool = True) -> Answer:
    """Whether a label selector selects; an empty one selects everything.

    Args:
        known: whether `labels` are all labels.
    """
    return every(_met(requirement, labels, known) for requirement in requirements(selector))


def _met(requirement: Requirement, labels: Mapping[str, str], known: bool) -> Answer:
    key, operator, values = requirement
    if key not in labels:
        return operator in ("NotIn", "DoesNotExist") if known else None
    if operator in ("In", "NotIn"):
        return (labels[key] in values) == (operator == "In")
    return operator == "Exists"


def spell(selector: Body) -> str:
    """A selector as people write it."""
    words = {"Exists": "{key}", "DoesNotExist": "no {key}", "NotIn": "{key} not in ({values})"}
    texts = []
    for key, operator, values in requirements(selector):
        form = "{key}={values}" if operator == "In" and len(values) == 1 else words.get(operator, "{key} in ({values})")
        texts.append(form.format(key=key, values=", ".join(values)))
    return ", ".join(texts)


def _unmet(selector: Body, labels: Mapping[str, str]) -> list[str]:
    """What there is instead of what a selector asks for."""
    return [
        f"{key}={labels[key]}" if key in labels else f"no {key}"
        for key, operator, values in requirements(selector)
        if not _met((key, operator, values), labels, known=True)
    ]


# ----- rules


class _Rule:
    """One rule, and what it makes of a flow.

    Attributes:
        allows: whether it lets the flow pass.
        distance: in how many points it does not fit.
        why: what it allows, and what the flow has instead.
    """

    def __init__(self, policy: Body, direction: str, rule: Body, flow: Flow) -> None:
        other = flow.source if direction == INGRESS else flow.destination
        given = rule.get("from" if direction == INGRESS else "to") or []
        peers = [_Peer(policy["metadata"].get("namespace", ""), peer, other) for peer in given]
        ports = rule.get("ports") or []
        from_peer = some(peer.fits for peer in peers) if peers else True
        to_port = any(_port_fits(port, flow) for port in ports) if ports else True
        self.allows = every((from_peer, to_port))
        self.distance, self.why = 0, ""
        texts = []
        if from_peer is False:
            best = min(peers, key=lambda peer: len(peer.unmet))
            self.distance += len(best.unmet)
            side = "from" if direction == INGRESS else "to"
            allowed = " or ".join(dict.fromkeys(peer.text for peer in peers))
            texts.append(f"allows traffic {side} {allowed} ({other.label}: {', '.join(best.unmet)})")
        if not to_port:
            self.distance += 1
            wanted = ", ".join(dict.fromkeys(_spell_port(port) for port in ports))
            texts.append(f"allows {wanted} ({flow.destination.label}: {flow.port}/{flow.protocol})")
        self.why = ", and it ".join(texts)


def _port_fits(port: Body, flow: Flow) -> bool:
    protocol, wanted = port.get("protocol") or "TCP", port.get("port")
    if protocol != flow.protocol:
        return False
    if wanted is None:
        return True
    if isinstance(wanted, str):
        return flow.destination.ports.get((wanted, protocol)) == flow.port
    return bool(wanted <= flow.port <= (port.get("endPort") or wanted))


def _spell_port(port: Body) -> str:
    protocol, wanted = port.get("protocol") or "TCP", port.get("port")
    if wanted is None:
        return f"all ports of {protocol}"
    return f"ports {wanted}-{port['endPort']}/{protocol}" if port.get("endPort") else f"port {wanted}/{protocol}"


class _Peer:
    """One entry of `from` or `to`.

    Attributes:
        fits: whether it means the pod.
        text: whom it means.
        unmet: what the pod has instead.
    """

    def __init__(self, home: str, peer: Body, pod: End) -> None:
        self.unmet: list[str] = []
        if "ipBlock" in peer:
            self._block(peer["ipBlock"], pod)
            return
        spaces, pods = peer.get("namespaceSelector"), peer.get("podSelector") or {}
        self.text = f"pods with {spell(pods)}" if requirements(pods) else "all pods"
        of_space: Answer
        if spaces is None:
            of_space = pod.namespace == home
            self.text += f" of namespace {home}"
        else:
            of_space = matches(spaces, pod.space, known=pod.space_known)
            self.text += _spell_spaces(spaces)
        if of_space is False:
            others = [had for had in _unmet(spaces or {}, pod.space) if not had.startswith(NAMESPACE_NAME)]
            self.unmet.append(f"namespace {pod.namespace}{' with ' if others else ''}{', '.join(others)}")
        self.fits = every((of_space, matches(pods, pod.labels)))
        self.unmet += _unmet(pods, pod.labels)

    def _block(self, block: Body, pod: End) -> None:
        outside = block.get("except") or []
        self.text = block["cidr"] + (f" except {', '.join(outside)}" if outside else "")
        self.fits = _in_block(block["cidr"], outside, pod.networks)
        if self.fits is False:
            self.unmet = [f"address {', '.join(_spell_network(network) for network in pod.networks)}"]


def _spell_spaces(selector: Body) -> str:
    wanted = requirements(selector)
    if not wanted:
        return " of all namespaces"
    if len(wanted) == 1 and wanted[0][:2] == (NAMESPACE_NAME, "In"):
        return f" of namespace {' or '.join(wanted[0][2])}"
    return f" of namespaces with {spell(selector)}"


def _in_block(cidr: str, outside: Iterable[str], networks: tuple[Network, ...]) -> Answer:
    block, holes = (
        ipaddress.ip_network(cidr, strict=False),
        [ipaddress.ip_network(hole, strict=False) for hole in outside],
    )
    if not networks:
        return True if block.prefixlen == 0 and not holes else None
    found = {
        every((_within(network, block), *(_not(_within(network, hole)) for hole in holes))) for network in networks
    }
    return found.pop() if len(found) == 1 else None


def _within(network: Network, block: Network) -> Answer:
    """Whether all addresses, none or some of them are in the block."""
    if isinstance(network, ipaddress.IPv4Network):
        inside = isinstance(block, ipaddress.IPv4Network) and network.subnet_of(block)
    else:
        inside = isinstance(block, ipaddress.IPv6Network) and network.subnet_of(block)
    return True if inside else None if network.overlaps(block) else False


def _not(answer: Answer) -> Answer:
    return None if answer is None else not answer


def _spell_network(network: Network) -> str:
    return str(network.network_address) if network.num_addresses == 1 else str(network)
