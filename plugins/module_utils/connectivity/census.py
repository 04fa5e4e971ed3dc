# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Private to this collection: may change in any release.
"""The objects of many namespaces, read once, and the look at each Service that they make. Pure.

A look gets the pods and workloads that concern its Service, and a whole namespace only where none do. So the work grows
with the number of objects, and not with its square.
"""

from __future__ import annotations

import typing as t
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cached_property

from . import snapshot
from .checks import infrastructure, judge
from .facts import Body, Facts
from .gather import is_dns
from .intent import WORKLOADS, label, matches, template_labels
from .look import Look
from .question import Client, Question
from .result import SKIPPED, Finding
from .snapshot import Endpoint, Pod, Service, Snapshot, owner_of
from .waivers import Waiver, waived

LAYERS = ("endpoints", "workload", "service", "policy")
# What is read of each namespace, as :class:`.facts.Facts` calls it; EndpointSlices are kept in another form.
HOME = (*WORKLOADS.values(), "replicasets", "pods", "services", "events", "disruption_budgets", "policies")
# What is read of the namespace of the cluster's DNS.
DNS = ("deployments", "daemonsets", "pods", "services", "events", "policies")
SLICES = "endpointslices"

_UNREAD = "a survey does not read it"
# Idle policies are told by namespace, and the look at one Service does not have all pods of it.
_LEFT_OUT = frozenset({"PO-05"})


@dataclass(frozen=True, slots=True)
class Slice:
    """An EndpointSlice, as far as snapshots keep it."""

    namespace: str
    service: str
    name: str
    endpoints: tuple[Endpoint, ...]


def slice_of(body: Body) -> Slice:
    """Out of its API object."""
    metadata = body["metadata"]
    service = (metadata.get("labels") or {}).get(snapshot.SERVICE_NAME, "")
    return Slice(metadata["namespace"], service, metadata["name"], snapshot.endpoints(body))


@dataclass(frozen=True, slots=True)
class Holdings:
    """What was read.

    Attributes:
        parts: reduced objects of all namespaces, by part.
        slices: all EndpointSlices.
        missing: (part, namespace) -> why it was not read; an empty namespace stands for all.
        now: when.
    """

    parts: Mapping[str, Sequence[Body]]
    slices: Sequence[Slice]
    now: datetime
    missing: Mapping[tuple[str, str], str] = field(default_factory=dict)

    def why_missing(self, part: str, namespace: str) -> str:
        """Why a part of a namespace was not read, or an empty string."""
        return self.missing.get((part, namespace)) or self.missing.get((part, ""), "")


class Census:
    """All that was read, by namespace.

    Args:
        dns: namespace and name of the cluster's DNS Service.
        waivers: complaints that are accepted for a time.
    """

    def __init__(self, held: Holdings, dns: tuple[str, str], waivers: Sequence[Waiver] = ()) -> None:
        self.held, self.dns, self.waivers = held, dns, waivers
        spaces: dict[str, dict[str, list[Body]]] = defaultdict(lambda: {part: [] for part in HOME})
        for part in HOME:
            for body in held.parts.get(part, ()):
                spaces[body["metadata"]["namespace"]][part].append(body)
        self._spaces = {name: _Space(parts) for name, parts in spaces.items()}
        self._slices: dict[tuple[str, str], list[Slice]] = defaultdict(list)
        for item in held.slices:
            self._slices[item.namespace, item.service].append(item)
        self._names = {body["metadata"]["name"]: body for body in held.parts.get("namespaces", ())}

    # ----- looks

    def look(self, body: Body) -> Look:
        """At one Service, by its API object."""
        service = snapshot.service(body)
        selector = dict(service.selector)
        found = self._space(service.namespace).around(body, selector)
        pods = tuple(snapshot.pod(pod) for pod in found["pods"] if matches(selector, _labels(pod)))
        unread = {part: why for part in HOME if (why := self.held.why_missing(part, service.namespace))}
        strangers: tuple[Pod, ...] = ()
        if selector and not pods and "pods" not in unread:
            strangers = tuple(snapshot.pod(pod) for pod in found["pods"])
        seen = self._snapshot(service, pods, strangers)
        found["client_policies"], found["client_pods"] = found["policies"], ()
        return self._look(service, seen, {**found, **self._dns_of_services}, unread)

    def cluster(self) -> Look:
        """At what is the same for all Services; the Service of the look is that of the cluster's DNS."""
        namespace, name = self.dns
        bodies = [body for body in self._space(namespace).parts["services"] if body["metadata"]["name"] == name]
        # Without its selector: whether its own pods are well is judged with it as one of the Services.
        service = replace(snapshot.service(bodies[0]), selector=()) if bodies else _nowhere(namespace, name)
        parts: dict[str, Sequence[Body]] = {f"dns_{part}": self._space(namespace).parts[part] for part in DNS}
        for part in ("dns_role", "dns_role_binding", "corefiles"):
            parts[part] = self.held.parts.get(part, ())
        return self._look(service, self._snapshot(service, (), ()), parts, {})

    def _look(
        self, service: Service, seen: Snapshot, parts: Mapping[str, Sequence[Body]], unread: dict[str, str]
    ) -> Look:
        namespace, missing = self.dns[0], dict(unread)
        missing |= {f"dns_{part}": why for part in DNS if (why := self.held.why_missing(part, namespace))}
        missing |= {part: why for (part, where), why in self.held.missing.items() if not where and part not in HOME}
        missing |= {"secrets": _UNREAD, "configmaps": _UNREAD}
        if "policies" in missing:
            missing["client_policies"] = missing["policies"]
        known = {name: self._names[name] for name in (service.namespace, namespace) if name in self._names}
        parts = {**parts, "nodes": self.held.parts.get("nodes", ()), "namespaces": tuple(known.values())}
        facts = Facts({part: tuple(bodies) for part, bodies in parts.items() if part not in missing}, missing)
        asked = Question(
            service.namespace,
            service.name,
            Client(service.namespace),
            layers=LAYERS,
            dns=self.dns,
            ask=False,
            waivers=tuple(self.waivers),
            causes=True,
        )
        return Look(asked, seen, seen, self.held.now, facts=facts)

    def _snapshot(self, service: Service, pods: tuple[Pod, ...], strangers: tuple[Pod, ...]) -> Snapshot:
        slices = self._slices.get((service.namespace, service.name), ())
        missing = {part: self.held.why_missing(part, service.namespace) for part in ("pods", SLICES)}
        missing["nodes"] = self.held.why_missing("nodes", "")
        return Snapshot(
            service=service,
            endpoints=tuple(endpoint for item in slices for endpoint in item.endpoints),
            slices=tuple(item.name for item in slices),
            pods=pods,
            strangers=strangers,
            nodes=self._nodes,
            missing=tuple(sorted((part, why) for part, why in missing.items() if why)),
        )

    def _space(self, namespace: str) -> _Space:
        return self._spaces.get(namespace) or _Space({part: [] for part in HOME})

    @cached_property
    def _nodes(self) -> tuple[snapshot.Node, ...]:
        return tuple(snapshot.node(body) for body in self.held.parts.get("nodes", ()))

    @cached_property
    def _dns_of_services(self) -> dict[str, Sequence[Body]]:
        """What the look at a Service needs of the cluster's DNS: not the agents that each node has."""
        parts = self._space(self.dns[0]).parts
        return {
            "dns_pods": [
                pod for pod in parts["pods"] if is_dns(pod) or not owner_of(pod["metadata"]).startswith("DaemonSet ")
            ],
            "dns_services": [body for body in parts["services"] if body["metadata"]["name"] == self.dns[1]],
            "dns_policies": parts["policies"],
        }


class _Space:
    """One namespace: its objects by what they are looked up by."""

    def __init__(self, parts: Mapping[str, list[Body]]) -> None:
        self.parts = parts

    def around(self, service: Body, selector: Mapping[str, str]) -> dict[str, Sequence[Body]]:
        """What concerns one Service."""
        found: dict[str, Sequence[Body]] = {**self.parts, "services": [service]}
        pods = _fitting(selector, self._pods_by_label)
        names = {owner_of(pod["metadata"]) for pod in pods}
        templates = _fitting(selector, self._workloads_by_label, template_labels)
        workloads = {label(body): body for body in (*templates, *self._named(names))}
        if selector and not (pods and workloads):
            return found  # the nearest miss may be any
        own = {pod["metadata"]["name"] for pod in pods}
        others = [pod for name in workloads for pod in self._pods_by_owner.get(name, ())]
        found["pods"] = pods + [pod for pod in others if pod["metadata"]["name"] not in own]
        for kind, part in WORKLOADS.items():
            found[part] = [body for body in workloads.values() if body["kind"] == kind]
        uids = [body["metadata"]["uid"] for body in workloads.values()]
        found["replicasets"] = [body for uid in uids for body in self._sets_by_owner.get(uid, ())]
        concerned = (*workloads.values(), *found["replicasets"], *found["pods"], service)
        about = dict.fromkeys(body["metadata"]["name"] for body in concerned)
        found["events"] = [event for name in about for event in self._events_by_name.get(name, ())]
        return found

    def _named(self, labels: Iterable[str]) -> Iterator[Body]:
        return (self._workloads_by_name[name] for name in labels if name in self._workloads_by_name)

    @cached_property
    def _workloads(self) -> list[Body]:
        return [body for part in WORKLOADS.values() for body in self.parts[part]]

    @cached_property
    def _workloads_by_name(self) -> dict[str, Body]:
        return {label(body): body for body in self._workloads}

    @cached_property
    def _workloads_by_label(self) -> _ByLabel:
        return _by_label(self._workloads, template_labels)

    @cached_property
    def _pods_by_label(self) -> _ByLabel:
        return _by_label(self.parts["pods"], _labels)

    @cached_property
    def _pods_by_owner(self) -> dict[str, list[Body]]:
        return _grouped(self.parts["pods"], lambda pod: [owner_of(pod["metadata"])])

    @cached_property
    def _sets_by_owner(self) -> dict[str, list[Body]]:
        return _grouped(
            self.parts["replicasets"],
            lambda body: [owner["uid"] for owner in body["metadata"].get("ownerReferences") or []],
        )

    @cached_property
    def _events_by_name(self) -> dict[str, list[Body]]:
        return _grouped(self.parts["events"], lambda event: [(event.get("involvedObject") or {}).get("name", "")])


_ByLabel = dict[tuple[str, str], list[Body]]
_Key = t.TypeVar("_Key")


def _grouped(bodies: Iterable[Body], keys: t.Callable[[Body], Iterable[_Key]]) -> dict[_Key, list[Body]]:
    found: dict[_Key, list[Body]] = {}
    for body in bodies:
        for key in keys(body):
            found.setdefault(key, []).append(body)
    return found


def _by_label(bodies: Iterable[Body], labels: t.Callable[[Body], Mapping[str, str]]) -> _ByLabel:
    return _grouped(bodies, lambda body: labels(body).items())


def _labels(body: Body) -> Mapping[str, str]:
    return body["metadata"].get("labels") or {}


def _fitting(
    selector: Mapping[str, str],
    known: _ByLabel,
    labels: t.Callable[[Body], Mapping[str, str]] = _labels,
) -> list[Body]:
    """Those that a Service's selector selects: looked for among those that have its rarest label."""
    if not selector:
        return []
    rarest = min((known.get(pair, []) for pair in selector.items()), key=len)
    return [body for body in rarest if matches(selector, labels(body))]


def _nowhere(namespace: str, name: str) -> Service:
    """Stands for a Service that is not there or may not be read."""
    return Service(namespace, name, "", None, "ClusterIP", (), (), False, (), ())


# ----- verdicts


def judged(look: Look) -> list[Finding]:
    """The findings about one Service."""
    found = [*judge(look), *infrastructure.of_service(look)]
    found = [finding for finding in found if finding.id not in _LEFT_OUT and not _elsewhere(look, finding)]
    return waived([_of_anybody(look, finding) for finding in found], look.question.waivers, look.now.date())


def _elsewhere(look: Look, finding: Finding) -> bool:
    """Whether it complains of a node that the Service has nothing to do with, which is the cluster's matter."""
    return (
        finding.id == "IN-07" and finding.complains and finding.subjects.isdisjoint(pod.node for pod in look.after.pods)
    )


def judged_cluster(look: Look) -> list[Finding]:
    """The findings about what is the same for all Services."""
    return waived(
        [*infrastructure.of_service(look), *infrastructure.of_cluster(look)], look.question.waivers, look.now.date()
    )


def _of_anybody(look: Look, finding: Finding) -> Finding:
    """Who the clients are is not known: a policy harms where it lets nobody in."""
    if finding.id not in ("PO-02", "PO-03") or not finding.complains:
        return finding
    named = finding.evidence.get("policies") or {}
    rules = [
        policy["spec"].get("ingress")
        for policy in look.facts.all("policies")
        if f"{policy['metadata']['namespace']}/{policy['metadata']['name']}" in named
    ]
    if finding.id == "PO-03" and rules and not any(rules):
        return finding
    message = f"{finding.message}, unless they are among those that it lets through"
    return replace(finding, status=SKIPPED, message=message, component="")
