# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Private to this collection: may change in any release.
"""Part of the layer workload: what keeps single pods from being scheduled, from starting, and from becoming ready.

Current states count, and events only beside a state that lasts: a warning stays on a pod that runs by now. A pod that
may still be on its way is no finding, as long as other pods serve.
"""

from __future__ import annotations

import re
import typing as t
from collections.abc import Callable
from dataclasses import replace

from ..behind import Behind, condition, is_true, name_of, states
from ..facts import Body
from ..result import Finding, short
from ..snapshot import pod as typed
from . import containers, readiness
from .common import Bench
from .wording import START, accuse, hint, tail

# Seconds that a state must last: a roll-out may need a moment until an old pod has made room.
_SCHEDULE = 20
# Pods with the same fault that are complained of one by one.
_MOST_ALIKE = 3
_CREATING = frozenset({"ContainerCreating", "PodInitializing"})
_VOLUME = ("FailedMount", "FailedAttachVolume", "FailedMapVolume")
_SANDBOX = ("FailedCreatePodSandBox",)

Judge = Callable[[Bench, Behind, Body], "Finding | None"]


def complaints(bench: Bench, behind: Behind, explained: frozenset[str]) -> list[Finding]:
    """WL-04, WL-05, WL-07 to WL-10: at most one complaint of each pod, and of many that are alike a few.

    Args:
        explained: pods that wait for a Secret or ConfigMap.
    """
    judged = [(pod, _judge(bench, behind, pod)) for pod in behind.pods if not _excused(pod, explained)]
    return _few([(pod, finding) for pod, finding in judged if finding])


def _few(judged: t.Sequence[tuple[Body, Finding]]) -> list[Finding]:
    """Of pods of one workload with one fault, the first by name; the first of them names all."""
    groups: dict[tuple[str, str, str], list[tuple[str, Finding]]] = {}
    for pod, finding in sorted(judged, key=lambda item: item[0]["metadata"]["name"]):
        name = pod["metadata"]["name"]
        groups.setdefault((finding.id, finding.field, typed(pod).owner or name), []).append((name, finding))
    found = []
    for group in groups.values():
        names = [name for name, _finding in group]
        first, *others = (finding for _name, finding in group)
        found += [replace(first, evidence={**first.evidence, "pods": names}), *others[: _MOST_ALIKE - 1]]
    return found


def _excused(pod: Body, explained: frozenset[str]) -> bool:
    return pod["metadata"]["name"] in explained and not is_true(pod, "Ready")


def _judge(bench: Bench, behind: Behind, pod: Body) -> Finding | None:
    judges: tuple[Judge, ...] = (
        _scheduled,
        containers.started,
        _created,
        _initialized,
        readiness.gates,
        readiness.ready,
    )
    return next(filter(None, (judge(bench, behind, pod) for judge in judges)), None)


# ----- a node


def _scheduled(bench: Bench, behind: Behind, pod: Body) -> Finding | None:
    """WL-04."""
    if pod["spec"].get("nodeName"):
        return None
    found = condition(pod, "PodScheduled")
    waited = behind.since(found.get("lastTransitionTime") or pod["metadata"]["creationTimestamp"])
    if waited < _SCHEDULE and (behind.served or not found):
        return None
    if behind.served and behind.leaving:
        return None
    more: dict[str, t.Any] = {"field": "spec.nodeName", "expected": "a node"}
    if not found:
        name = pod["spec"].get("schedulerName") or "default-scheduler"
        more |= {"observed": "no decision of the scheduler", "cause": f"the scheduler {name} does not run"}
        return accuse(
            bench, behind, pod, "WL-04", "scheduled", f"{name_of(pod)} is left alone by the scheduler {name}", **more
        )
    if found.get("reason") == "SchedulingGated":
        gates = [gate["name"] for gate in pod["spec"].get("schedulingGates") or []]
        more |= {"observed": "SchedulingGated", "cause": f"nothing has taken away the scheduling gate {short(gates)}"}
        return accuse(
            bench,
            behind,
            pod,
            "WL-04",
            "scheduled",
            f"{name_of(pod)} waits for its scheduling gate {short(gates)}",
            **more,
        )
    message = shorter(str(found.get("message") or ""))
    why = why_unschedulable(behind, pod, message)
    more |= {"observed": message, "cause": "; ".join([*why[1:], hint(_REMEDIES, message)])}
    return accuse(
        bench, behind, pod, "WL-04", "scheduled", f"{name_of(pod)} fits on no node: {[*why, message][0]}", **more
    )


def shorter(message: str) -> str:
    """What a scheduler said, without counts of nodes and what preemption would not help."""
    message = re.sub(r"^\d+/\d+ nodes are available: ", "", message)
    return message.partition(" preemption:")[0].rstrip(". ")


def why_unschedulable(behind: Behind, pod: Body, message: str) -> list[str]:
    """Which fields of the pod, and which nodes, the scheduler's words are about, most telling first."""
    spec, found = pod["spec"], []
    if "node affinity/selector" in message:
        found.append(_why_no_label(behind, spec))
    for resource in re.findall(r"Insufficient ([\w./-]+)", message):
        requests = [(c.get("resources") or {}).get("requests", {}).get(resource) for c in spec.get("containers") or []]
        found.append(f"its containers request {resource} {short([amount for amount in requests if amount])}")
    found += [text for words, text in _WHY_UNSCHEDULABLE if words in message]
    if "persistentvolumeclaim" in message.lower():
        found.append(_why_unbound(behind, spec, message))
    taints = _taints(behind, found) if "taint" in message else []
    return [*found, f"nodes have the taints {short(taints)}, which it does not tolerate"] if taints else found


_WHY_UNSCHEDULABLE = (
    ("anti-affinity", "its required podAntiAffinity wants a node without such a pod: fewer replicas, or more nodes"),
    ("pod affinity", "its required podAffinity wants a node with pods that are not there"),
    ("topology spread", "its topologySpreadConstraints with DoNotSchedule leave no node"),
    ("unschedulable", "nodes are cordoned: kubectl uncordon"),
    ("free ports", "its hostPort is taken on every node"),
    ("Too many pods", "nodes have as many pods as they may"),
    ("volume node affinity", "its volume lives on a node or in a zone where the pod may not run"),
)


_REMEDIES = (
    (r"affinity/selector", "correct it in the template, or label a node"),
    (r"Insufficient", "lower the requests, or add a node"),
    (r"persistentvolumeclaim", "create the claim, or what it needs"),
    (r"taint", "tolerate one of them, or take it off a node"),
    (r"", "correct the template, or add a node"),
)


def _why_no_label(behind: Behind, spec: Body) -> str:
    wanted = spec.get("nodeSelector") or {}
    nodes = [node["metadata"].get("labels") or {} for node in behind.facts.all("nodes")]
    absent = {k: v for k, v in wanted.items() if nodes and not any(labels.get(k) == v for labels in nodes)}
    if not absent:
        return f"its nodeSelector is {short(wanted)}" if wanted else "its required nodeAffinity fits no node"
    others = sorted({f"{key}={labels[key]}" for key in absent for labels in nodes if key in labels})
    return f"no node has the label {short(absent)}, which its nodeSelector wants" + (
        f"; there are nodes with {short(others)}" if others else ""
    )


def _taints(behind: Behind, found: t.Sequence[str]) -> list[str]:
    """Taints of the nodes; that of a control plane is worth a word only where there is no other reason."""
    taints = {
        f"{taint['key']}:{taint['effect']}"
        for node in behind.facts.all("nodes")
        for taint in node["spec"].get("taints") or []
        if taint.get("effect") != "PreferNoSchedule"
    }
    return sorted(taint for taint in taints if not (found and "control-plane" in taint))


def _why_unbound(behind: Behind, spec: Body, message: str) -> str:
    volumes = spec.get("volumes") or []
    claims = [item["persistentVolumeClaim"]["claimName"] for item in volumes if "persistentVolumeClaim" in item]
    if "not found" in message:
        return f"its PersistentVolumeClaim {short([name for name in claims if name in message])} does not exist"
    told = [
        str(event.get("message"))
        for event in behind.facts.all("events")
        if (event.get("involvedObject") or {}).get("kind") == "PersistentVolumeClaim"
        and event["involvedObject"].get("name") in claims
    ]
    text = f"its PersistentVolumeClaim {short(claims)} is not bound"
    return f"{text}: {told[-1]}" if told else text


# ----- before the containers


def _created(bench: Bench, behind: Behind, pod: Body) -> Finding | None:
    """WL-05: volumes that cannot be mounted, a sandbox that cannot be made."""
    creating = any(
        ((state.get("state") or {}).get("waiting") or {}).get("reason") in _CREATING for _spec, state in states(pod)
    )
    # A pod with a running init container has its volumes and its sandbox.
    if not creating or any((state.get("state") or {}).get("running") for _spec, state in states(pod)):
        return None
    if behind.since(pod["metadata"]["creationTimestamp"]) < START:
        return None
    for reasons, what in ((_VOLUME, "cannot mount a volume"), (_SANDBOX, "gets no network or sandbox from its node")):
        told = behind.warnings(pod, reasons)
        if told:
            text = tail(told[0])
            return accuse(
                bench,
                behind,
                pod,
                "WL-05",
                "started",
                f"{name_of(pod)} {what}: {text}",
                field="status.containerStatuses",
                observed=text,
                expected="a running container",
                cause=f"see kubectl describe pod -n {pod['metadata']['namespace']} {pod['metadata']['name']}",
            )
    return None


def _initialized(bench: Bench, behind: Behind, pod: Body) -> Finding | None:
    """WL-05: an init container that does not come to an end."""
    names = {spec["name"] for spec in pod["spec"].get("initContainers") or [] if spec.get("restartPolicy") != "Always"}
    for spec, state in states(pod):
        started = ((state.get("state") or {}).get("running") or {}).get("startedAt")
        if spec["name"] in names and started and behind.since(started) > patience(behind, pod):
            return accuse(
                bench,
                behind,
                pod,
                "WL-05",
                "started",
                f"{name_of(pod)} waits for its init container {spec['name']}, which does not come to an end",
                field=f"spec.initContainers[{spec['name']}]",
                observed=f"running since {started}",
                expected="an init container that ends",
                cause=f"its log says for what: kubectl logs -n {pod['metadata']['namespace']} "
                f"{pod['metadata']['name']} -c {spec['name']}",
            )
    return None


def patience(behind: Behind, pod: Body) -> float:
    """Seconds that a pod may be on its way: less where nothing serves, unless a roll-out took the old pods away."""
    workload = behind.workload_of(pod)
    if behind.served or (workload and behind.rolling(workload)):
        return behind.deadline(pod)
    return START
