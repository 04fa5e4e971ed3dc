# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Private to this collection: may change in any release.
"""Part of the layer workload: the workload as a whole, its roll-out, and whether the namespace admits its pods."""

from __future__ import annotations

import re
from dataclasses import replace

from ..behind import Behind, at_most_down, condition, is_true, name_of, wanted
from ..commands import patch
from ..facts import Body
from ..intent import WORKLOADS
from ..nearest import word
from ..pod_security import ENFORCE, violations
from ..result import Finding, short
from ..snapshot import pod as typed
from .common import Bench
from .wording import hint

# A pod that is deleted has its grace, which its deletionTimestamp contains, and this many seconds.
_LEAVING = 60
# The longest back-off of the controllers that make pods.
_CREATE = 1000
# What the scheduler says where a pod's own likes are in its way: only an old pod's end can make room.
_IN_EACH_OTHERS_WAY = ("anti-affinity", "free ports")


def complaints(
    bench: Bench, behind: Behind, workload: Body, found: list[Finding], stuck: frozenset[str] | set[str]
) -> list[Finding]:
    """WL-01, WL-02, WL-03, WL-13, WL-15, WL-17 of one workload.

    Args:
        found: the complaints so far; returned with those of the workload, which may replace some of them.
        stuck: names of the pods that are accused already.
    """
    stale = _unseen(bench, behind, workload)
    if stale:
        return [*found, stale]
    if wanted(workload) == 0:
        return [*found, *_scaled_down(bench, behind, workload)]
    refused = _refused(bench, behind, workload) or _would_refuse(bench, behind, workload)
    paused = _paused(bench, behind, workload)
    deadlock = _deadlock(behind, workload, found)
    if deadlock:
        blocked = deadlock.evidence["pods"]
        found = [f for f in found if f.id != "WL-04" or f.object.rpartition("/")[2] not in blocked]
    accused = refused or deadlock or any(pod["metadata"]["name"] in stuck for pod in behind.pods_of(workload))
    down = _taken_down(bench, behind, workload)
    late = None if accused or down else _late(bench, behind, workload)
    return [*found, *filter(None, (refused, paused, deadlock, down, late))]


# ----- the workload itself


def absent(bench: Bench, behind: Behind) -> list[Finding]:
    """WL-01: the workload that the user names."""
    kind, _space, name = behind.look.question.expect.owner.partition(" ")
    part, namespace = WORKLOADS.get(kind, ""), behind.look.service.namespace
    if not part or behind.facts.why_missing(part) or behind.facts.named(part, name):
        return []
    near = word(name, [body["metadata"]["name"] for body in behind.facts.all(part)])
    return [
        bench.failed(
            "WL-01",
            f"there is no {kind} {namespace}/{name}",
            object=f"{kind} {namespace}/{name}",
            observed="not found",
            expected=f"{kind} {name}",
            cause=f"the nearest is {kind} {near}" if near else "",
            component="workload",
        )
    ]


def _unseen(bench: Bench, behind: Behind, workload: Body) -> Finding | None:
    """WL-01: everything else in its status is about an older spec."""
    generation = workload["metadata"].get("generation", 0)
    observed = (workload.get("status") or {}).get("observedGeneration", 0)
    if observed >= generation:
        return None
    return bench.accused(
        "WL-01",
        f"the controllers do not see the latest change of {name_of(workload)}",
        served=behind.served,
        object=name_of(workload),
        field="status.observedGeneration",
        observed=observed,
        expected=generation,
        cause="kube-controller-manager does not run, or may not write: see its pod in kube-system",
        component="workload",
    )


def _scaled_down(bench: Bench, behind: Behind, workload: Body) -> list[Finding]:
    """WL-02."""
    if behind.served or behind.look.question.expect.ready_endpoints == 0:
        return []
    name, metadata = name_of(workload), workload["metadata"]
    if workload["kind"] == "DaemonSet":
        spec = workload["spec"]["template"]["spec"]
        message = f"{name} fits on no node, so it has no pods"
        cause = f"its nodeSelector is {short(spec['nodeSelector'])}" if spec.get("nodeSelector") else ""
        evidence = {}
    else:
        message, cause = f"{name} is scaled to 0, so nothing answers", "scale it up"
        kind = workload["kind"].lower()
        evidence = {"fix": f"kubectl scale {kind}/{metadata['name']} -n {metadata['namespace']} --replicas=1"}
    return [
        bench.failed(
            "WL-02",
            message,
            object=name,
            field="spec.replicas",
            observed=0,
            expected="at least 1",
            cause=cause,
            evidence=evidence,
            component="workload",
        )
    ]


def none_ready(bench: Bench, behind: Behind) -> list[Finding]:
    """WL-02: nothing is ready, and nothing says why; pods may be on their way."""
    if behind.served or behind.look.question.expect.ready_endpoints == 0:
        return []
    return [
        bench.failed(
            "WL-02",
            f"no pod of {name_of(workload)} is ready",
            object=name_of(workload),
            field="status.readyReplicas",
            observed=0,
            expected=wanted(workload),
            cause=_why_none(behind, workload),
            component="workload",
        )
        for workload in behind.workloads
        if wanted(workload)
    ]


def _why_none(behind: Behind, workload: Body) -> str:
    ours = behind.pods_of(workload)
    if not ours:
        return "it has no pods, but perhaps some on nodes that are not ready"
    waits = sorted({typed(pod).unready_reason for pod in ours})
    newest = min(behind.since(pod["metadata"]["creationTimestamp"]) for pod in ours)
    return f"the youngest is {newest:.0f} s old and may be on its way: {short(waits)}"


# ----- may it make pods


def _refused(bench: Bench, behind: Behind, workload: Body) -> Finding | None:
    """WL-17: the API server refuses its pods."""
    if workload["kind"] == "Deployment":
        failure = condition(workload, "ReplicaFailure")
        text = str(failure.get("message") or "") if is_true(workload, "ReplicaFailure") else ""
    else:
        status = workload.get("status") or {}
        there = status.get("currentNumberScheduled" if workload["kind"] == "DaemonSet" else "replicas") or 0
        told = behind.warnings(workload, ("FailedCreate",), within=_CREATE) if there < wanted(workload) else []
        text = told[0] if told else ""
    if not text:
        return None
    reason = refusal(text)
    metadata = workload["metadata"]
    account = re.search(r'serviceaccount "([^"]+)" not found', text)
    fix = f"kubectl create serviceaccount {account[1]} -n {metadata['namespace']}" if account else ""
    return bench.accused(
        "WL-17",
        f"the API server refuses new pods of {name_of(workload)}: {reason}",
        served=behind.served,
        object=name_of(workload),
        field="spec.template",
        observed=reason,
        expected="pods that are admitted",
        cause=hint(_REFUSALS, text),
        evidence={"fix": fix} if fix else {},
        component="admission",
    )


def refusal(text: str) -> str:
    """The end of what a controller says of a pod that it could not make."""
    text = re.sub(r"^.*?\bpods? \"[^\"]*\" is forbidden: ", "", text)
    return re.sub(r"^(create Pod \S+ in \S+ \S+ failed )?[Ee]rror(?: creating)?: ", "", text)


_REFUSALS = (
    (r"ValidatingAdmissionPolicy", "a policy of the cluster refuses it: correct the template as its message says"),
    (r"exceeded quota", "a ResourceQuota of the namespace is used up: raise it, or free something"),
    (r"failed quota", "a ResourceQuota wants each container to say its requests and limits"),
    (r"violates PodSecurity", "the namespace enforces Pod Security: correct the securityContext, or lower the level"),
    (r"denied the request", "an admission webhook says no: meet its rule, or change it"),
    (r"failed calling webhook", "an admission webhook does not answer: mend it, or take its configuration away"),
    (r"serviceaccount .* not found", "its ServiceAccount does not exist"),
    (r"(maximum|minimum) .* usage per|maximum limit to request", "a LimitRange of the namespace forbids its resources"),
)


def _would_refuse(bench: Bench, behind: Behind, workload: Body) -> Finding | None:
    """WL-17: pods that run, and could not be created again."""
    namespace = behind.facts.named("namespaces", workload["metadata"]["namespace"])
    level = ((namespace or {}).get("metadata", {}).get("labels") or {}).get(ENFORCE, "")
    broken = violations(level, workload["spec"]["template"]["spec"])
    if not broken:
        return None
    return bench.warned(
        "WL-17",
        f"new pods of {name_of(workload)} would be refused: namespace {workload['metadata']['namespace']} "
        f"enforces Pod Security {level}",
        object=name_of(workload),
        field="spec.template.spec",
        observed=broken,
        expected=f"a template that meets the level {level}",
        cause="the pods that run stay, and cannot be replaced: correct the securityContext, or lower the level",
        component="admission",
    )


# ----- its roll-out


def _paused(bench: Bench, behind: Behind, workload: Body) -> Finding | None:
    """WL-15."""
    updated, total = (workload.get("status") or {}).get("updatedReplicas", 0), wanted(workload)
    if not workload["spec"].get("paused") or updated >= total:
        return None
    metadata = workload["metadata"]
    return bench.accused(
        "WL-15",
        f"the roll-out of {name_of(workload)} is paused, so its last change "
        + (f"has reached {updated} of {total} pods" if updated else "never reached the pods"),
        served=behind.served,
        object=name_of(workload),
        field="spec.paused",
        observed=f"paused, {updated} of {total} pods are of the present template",
        expected="all pods of the present template",
        cause="resume it, or undo the change",
        evidence={"fix": f"kubectl rollout resume deployment/{metadata['name']} -n {metadata['namespace']}"},
        component="workload",
    )


def _deadlock(behind: Behind, workload: Body, found: list[Finding]) -> Finding | None:
    """WL-03: new pods wait for the place of old ones, which may not go before new ones are ready."""
    if workload["kind"] != "Deployment" or not behind.rolling(workload) or at_most_down(workload):
        return None
    ours = {name_of(pod) for pod in behind.pods_of(workload)}
    blocked = [
        finding
        for finding in found
        if finding.id == "WL-04"
        and finding.object in ours
        and any(words in str(finding.observed) for words in _IN_EACH_OTHERS_WAY)
    ]
    if not blocked:
        return None
    metadata = workload["metadata"]
    change = {"spec": {"strategy": {"rollingUpdate": {"maxUnavailable": 1}}}}
    first = blocked[0]
    return replace(
        first,
        id="WL-03",
        message=f"the roll-out of {name_of(workload)} is stuck: no node is left for its new pod "
        f"({first.observed}), and no old pod may go before (maxUnavailable 0)",
        object=name_of(workload),
        field="spec.strategy.rollingUpdate.maxUnavailable",
        expected="a node for the new pod, or an old pod that may go first",
        cause="the old pods still serve; allow one of them to go first, or add a node",
        evidence={
            "pods": [finding.object.rpartition("/")[2] for finding in blocked],
            "fix": patch("deployment", metadata["name"], metadata["namespace"], change),
        },
        component="workload",
    )


def _taken_down(bench: Bench, behind: Behind, workload: Body) -> Finding | None:
    """WL-13: the roll-out was allowed to take all pods away at once, and did."""
    if workload["kind"] != "Deployment" or behind.served or not behind.rolling(workload):
        return None
    total, down = wanted(workload), at_most_down(workload)
    if down < total:
        return None
    strategy = workload["spec"].get("strategy") or {}
    recreate = strategy.get("type") == "Recreate"
    limits = strategy.get("rollingUpdate") or {}
    how = "strategy Recreate" if recreate else f"maxUnavailable {limits.get('maxUnavailable')}"
    limit = {"maxUnavailable": 0, "maxSurge": 1}
    change = {"spec": {"strategy": {"type": "RollingUpdate", "rollingUpdate": limit}}}
    metadata = workload["metadata"]
    return bench.failed(
        "WL-13",
        f"the roll-out of {name_of(workload)} took all {total} pods away at once ({how}), and no new one is ready",
        object=name_of(workload),
        field="spec.strategy",
        observed=how,
        expected=f"fewer than {total} pods away at a time",
        cause="nothing answers until the new pods are ready; let old pods stay until then",
        evidence={"fix": patch("deployment", metadata["name"], metadata["namespace"], change)},
        component="workload",
    )


def _late(bench: Bench, behind: Behind, workload: Body) -> Finding | None:
    """WL-03."""
    progress = condition(workload, "Progressing")
    if progress.get("reason") != "ProgressDeadlineExceeded":
        return None
    status = workload.get("status") or {}
    seconds = workload["spec"].get("progressDeadlineSeconds")
    return bench.accused(
        "WL-03",
        f"the roll-out of {name_of(workload)} made no progress for {seconds} s",
        served=behind.served,
        object=name_of(workload),
        field="status.conditions",
        observed=f"{status.get('updatedReplicas', 0)} of {wanted(workload)} pods are of the new revision, "
        f"{status.get('availableReplicas', 0)} available",
        expected="all pods of the new revision available",
        cause=str(progress.get("message") or ""),
        component="workload",
    )


def leaving(bench: Bench, behind: Behind) -> list[Finding]:
    """WL-15: pods that are being deleted and do not go."""
    found = []
    for pod in behind.leaving:
        if behind.since(pod["metadata"]["deletionTimestamp"]) < _LEAVING:
            continue
        kept = pod["metadata"].get("finalizers") or []
        workload = behind.workload_of(pod)
        # Its successor has its name, and cannot come before it has gone.
        replaced = workload is None or workload["kind"] != "StatefulSet"
        found.append(
            bench.accused(
                "WL-15",
                f"{name_of(pod)} is being deleted and does not go"
                + (f": nobody takes its finalizer {short(kept)} away" if kept else ""),
                served=behind.served or replaced,
                object=name_of(pod),
                field="metadata.finalizers" if kept else "metadata.deletionTimestamp",
                observed=f"should be gone since {pod['metadata']['deletionTimestamp']}",
                expected="gone",
                cause="the controller that set the finalizer does not run"
                if kept
                else f"the kubelet of node {pod['spec'].get('nodeName')} cannot end it: see its log",
                component=f"started/{pod['metadata']['name']}",
            )
        )
    return found
