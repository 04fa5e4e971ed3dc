# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Private to this collection: may change in any release.
"""The workloads and pods behind a Service as its surroundings show them, and words for their states. Pure."""

from __future__ import annotations

import typing as t
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from ..app.rollout import owned_by, status_gap
from .facts import Body, Facts
from .intent import intended, label, matches, template_labels
from .look import Look
from .snapshot import pod as typed
from .snapshot import when

# A pod may take this long to become ready, where its Deployment says nothing else (its progressDeadlineSeconds).
DEADLINE = 600
# While a state lasts, the kubelet repeats its warning at least this often: it retries mounts every 2 minutes or so,
# images and containers every 5. Of probes it soon tells no more, so their warnings count as long as the API keeps them.
CURRENT = 360
KEPT = 3600


@dataclass(frozen=True, slots=True)
class Behind:
    """What is meant to be behind the Service.

    Attributes:
        workloads: see :func:`.intent.intended`.
        pods: their pods and those that the Service selects: neither finished, nor being deleted, nor on a node that is
            not ready, where the node is to blame.
        leaving: those that are being deleted, on ready nodes.
        served: one of the pods that clients can reach is ready, or still is while it is being deleted.
    """

    look: Look
    workloads: tuple[Body, ...]
    pods: tuple[Body, ...]
    leaving: tuple[Body, ...]
    served: bool

    @classmethod
    def of(cls, look: Look) -> Behind:
        """Out of the surroundings."""
        workloads = intended(look)
        selector = dict(look.service.selector)
        # Usually the selector tells; else the owner does, which takes longer to find out in a large namespace.
        owners = {label(body) for body in workloads if not matches(selector, template_labels(body))}
        lost = {node["metadata"]["name"] for node in look.facts.all("nodes") if not is_true(node, "Ready")}
        ours, reachable = [], []
        for body in look.facts.all("pods"):
            selected = matches(selector, body["metadata"].get("labels") or {})
            if not selected and not owners:
                continue
            pod = typed(body)
            if not (selected or pod.owner in owners) or (pod.finished and not pod.terminating):
                continue
            ours.append(body)
            # One that is being deleted serves until it has ended, where nothing else does.
            if pod.ready and (selected or not look.after.pods):
                reachable.append(pod)
        here = [body for body in ours if body["spec"].get("nodeName") not in lost]
        return cls(
            look,
            workloads,
            tuple(body for body in here if not body["metadata"].get("deletionTimestamp")),
            tuple(body for body in here if body["metadata"].get("deletionTimestamp")),
            bool(reachable),
        )

    @property
    def facts(self) -> Facts:
        """The surroundings."""
        return self.look.facts

    def since(self, stamp: str | None) -> float:
        """Seconds since an API timestamp; none count as no time."""
        moment = when(stamp)
        return (self.look.now - moment).total_seconds() if moment else 0.0

    def pods_of(self, workload: Body) -> list[Body]:
        """Its pods."""
        return [body for body in self.pods if typed(body).owner == label(workload)]

    def workload_of(self, pod: Body) -> Body | None:
        """The workload that owns a pod, where it is one of those that are meant."""
        return next((body for body in self.workloads if label(body) == typed(pod).owner), None)

    def deadline(self, pod: Body) -> float:
        """How many seconds a pod may be on its way."""
        workload = self.workload_of(pod)
        return float(workload["spec"].get("progressDeadlineSeconds") or DEADLINE) if workload else DEADLINE

    def warnings(self, body: Body, reasons: t.Container[str], words: str = "", within: float = CURRENT) -> list[str]:
        """Messages of an object's present warnings of these reasons that contain `words`, newest first."""
        metadata = body["metadata"]
        found: list[tuple[datetime, str]] = []
        for event in self.facts.all("events"):
            about, moment = event.get("involvedObject") or {}, last_seen(event)
            same = about.get("uid") == metadata["uid"] if about.get("uid") else about.get("name") == metadata["name"]
            message = str(event.get("message") or "")
            if same and moment and event.get("reason") in reasons and words in message:
                found.append((moment, message))
        recent = [(moment, text) for moment, text in found if (self.look.now - moment).total_seconds() < within]
        return [text for _moment, text in sorted(recent, reverse=True)]

    # ----- roll-outs

    def replica_sets(self, workload: Body) -> list[Body]:
        """Those of a Deployment."""
        return list(owned_by([dict(body) for body in self.facts.all("replicasets")], workload["metadata"]["uid"]))

    def rolling(self, workload: Body) -> bool:
        """Whether a Deployment is on the way from one template to the next, or stuck there."""
        spec, status = workload["spec"], workload.get("status") or {}
        gap = status_gap(dict(spec), dict(status), workload["metadata"].get("generation", 0))
        complete = condition(workload, "Progressing").get("reason") == "NewReplicaSetAvailable"
        return bool(gap) and not complete and len(self.replica_sets(workload)) > 1


def condition(body: Body, kind: str) -> Body:
    """An object's condition of that type; empty where it has none."""
    conditions = (body.get("status") or {}).get("conditions") or []
    return next((item for item in conditions if item.get("type") == kind), {})


def is_true(body: Body, kind: str) -> bool:
    """Whether a condition is True."""
    return bool(condition(body, kind).get("status") == "True")


def last_seen(event: Body) -> datetime | None:
    """When an event was last repeated."""
    series = event.get("series") or {}
    return when(series.get("lastObservedTime") or event.get("lastTimestamp") or event.get("eventTime"))


def states(pod: Body) -> Iterator[tuple[Body, Body]]:
    """The containers of a pod with their states, init containers first, as far as the kubelet has told of them."""
    for specs, statuses in (("initContainers", "initContainerStatuses"), ("containers", "containerStatuses")):
        known = {item["name"]: item for item in (pod.get("status") or {}).get(statuses) or []}
        for spec in pod["spec"].get(specs) or []:
            if spec["name"] in known:
                yield spec, known[spec["name"]]


def name_of(body: Body) -> str:
    """`Pod demo/web-1`."""
    return f"{body['kind']} {body['metadata']['namespace']}/{body['metadata']['name']}"


def wanted(workload: Body) -> int:
    """How many pods a workload is to have."""
    if workload["kind"] == "DaemonSet":
        return int((workload.get("status") or {}).get("desiredNumberScheduled") or 0)
    replicas = workload["spec"].get("replicas")
    return 1 if replicas is None else int(replicas)


def share(value: t.Any, total: int, *, up: bool = False) -> int:
    """An absolute number or a percentage of `total`, rounded as the Deployment controller does."""
    if isinstance(value, str) and value.endswith("%"):
        product = int(value[:-1]) * total
        return -(-product // 100) if up else product // 100
    return int(value)


def at_most_down(workload: Body) -> int:
    """How many pods a roll-out of a Deployment may take away at once.

    As ResolveFenceposts of kubernetes/pkg/controller/deployment/util: where both limits come to 0, one pod is.
    """
    total, strategy = wanted(workload), workload["spec"].get("strategy") or {}
    if strategy.get("type") == "Recreate":
        return total
    limits = strategy.get("rollingUpdate") or {}
    down = share(limits.get("maxUnavailable", "25%"), total)
    surge = share(limits.get("maxSurge", "25%"), total, up=True)
    return min(total, max(down, 0 if surge else 1))
