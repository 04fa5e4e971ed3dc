# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Private to this collection: may change in any release.
"""When is a roll-out done, and when can it no longer succeed: pure predicates over what the API says.

The rules of `kubectl rollout status` (kubectl/pkg/polymorphichelpers/rollout_status.go) plus two that it lacks: the
old pods must be gone, since the status counts a roll-out complete while they still terminate, and a pod of the new
revision that cannot start ends the wait at once. Only *current* states count; events stay on pods that run by now.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field

from ..kube.errors import missing_account

Body = dict[str, t.Any]

REVISION = "deployment.kubernetes.io/revision"
TEMPLATE_HASH = "pod-template-hash"

# Seconds a state must last before it counts as final: an image pull is tried again at once by the kubelet, a
# ConfigMap may be created a moment later, and an autoscaler may be about to add a node.
GRACE = {
    "CrashLoopBackOff": 0.0,
    "InvalidImageName": 0.0,
    "ErrImageNeverPull": 0.0,
    "RunContainerError": 1.0,
    "CreateContainerError": 1.0,
    "CreateContainerConfigError": 1.0,
    "ImagePullBackOff": 0.0,
    "ErrImagePull": 3.0,
    "Unschedulable": 3.0,
    "FailedCreate": 1.0,
    "ServiceAccountMissing": 10.0,
    "MissingVolumeSource": 1.0,
    # Of a Service: a controller that was told a moment ago needs a moment to make pods.
    "NothingSelected": 5.0,
    "NoSuchPort": 5.0,
}


@dataclass(frozen=True, slots=True)
class Cause:
    """Why a roll-out cannot go on.

    Attributes:
        reason: the API's own word, e.g. `ImagePullBackOff`.
        message: one line.
        pod: empty where the cause is not in a pod.
        container: empty where it is not in a container.
        uid: of the pod or ReplicaSet, to find its events.
        node_may_come: an autoscaler could still help.
    """

    reason: str
    message: str
    pod: str = ""
    container: str = ""
    uid: str = ""
    node_may_come: bool = False

    def text(self) -> str:
        """`pod x, container y: Reason: message`."""
        where = ", ".join(
            part for part in (self.pod and f"pod {self.pod}", self.container and f"container {self.container}") if part
        )
        return ": ".join(part for part in (where, self.reason, self.message) if part)


@dataclass(frozen=True, slots=True)
class Progress:
    """The state of a roll-out.

    Attributes:
        done: everything is as wanted.
        waiting_for: one line, empty when done.
        causes: what may make it fail, most telling first; each counts once it has lasted its grace.
        sources: `(kind, name)` of ConfigMaps and Secrets that containers in creation wait for, by pod name.
    """

    done: bool
    waiting_for: str = ""
    causes: tuple[Cause, ...] = ()
    sources: dict[str, tuple[tuple[str, str], ...]] = field(default_factory=dict)


def settled(deployment: Body) -> bool:
    """Whether the status alone says that nothing is in progress; enough when nothing was changed."""
    spec, status = deployment.get("spec") or {}, deployment.get("status") or {}
    return not status_gap(spec, status, deployment["metadata"].get("generation", 0)) and not status.get(
        "terminatingReplicas"
    )


def status_gap(spec: Body, status: Body, generation: int) -> str:
    """What `kubectl rollout status` would wait for, as one line; empty when complete."""
    wanted = spec.get("replicas", 1)
    updated, total, available = (status.get(key, 0) for key in ("updatedReplicas", "replicas", "availableReplicas"))
    if status.get("observedGeneration", 0) < generation:
        return "the controller has not seen the change yet"
    if updated < wanted:
        return f"{updated} of {wanted} pods are of the new revision"
    if total > updated:
        return f"{total - updated} pods of an older revision are left"
    if available < updated:
        return f"{available} of {updated} pods are available"
    return ""


def assess(deployment: Body, replica_sets: t.Sequence[Body], pods: t.Sequence[Body]) -> Progress:
    """Judge a roll-out from one consistent view.

    Args:
        deployment: the Deployment as the API has it.
        replica_sets: all that its selector selects; foreign ones are ignored by owner.
        pods: likewise.
    """
    spec, status = deployment["spec"], deployment.get("status") or {}
    gap = status_gap(spec, status, deployment["metadata"].get("generation", 0))
    sets = owned_by(replica_sets, deployment["metadata"]["uid"])
    ours = [pod for rs in sets for pod in owned_by(pods, rs["metadata"]["uid"])]
    if status.get("observedGeneration", 0) < deployment["metadata"].get("generation", 0):
        return Progress(False, gap)
    if spec.get("paused") and status.get("updatedReplicas", 0) < spec.get("replicas", 1):
        text = "the roll-out is paused, so the change does not reach the pods; resume it"
        return Progress(False, gap, (Cause("DeploymentPaused", text),))
    leaving = [pod for pod in ours if pod["metadata"].get("deletionTimestamp")]
    if not gap and leaving:
        gap = f"{len(leaving)} old pods are still ending"
    if not gap:
        return Progress(True)
    fresh = [pod for pod in ours if _is_current(pod, deployment, sets) and not pod["metadata"].get("deletionTimestamp")]
    causes = [cause for pod in fresh for cause in pod_causes(pod)] + _controller_causes(deployment)
    return Progress(False, gap, tuple(causes), _sources(fresh))


def owned_by(objects: t.Sequence[Body], uid: str) -> list[Body]:
    """Those of `objects` whose controller is the object with `uid`."""
    return [
        item
        for item in objects
        if any(o.get("uid") == uid and o.get("controller") for o in item["metadata"].get("ownerReferences") or [])
    ]


def current_replica_set(deployment: Body, replica_sets: t.Sequence[Body]) -> Body | None:
    """The ReplicaSet of the Deployment's present template, by the revision annotation that the controller keeps."""
    revision = (deployment["metadata"].get("annotations") or {}).get(REVISION)
    for item in owned_by(replica_sets, deployment["metadata"]["uid"]):
        if revision and (item["metadata"].get("annotations") or {}).get(REVISION) == revision:
            return item
    return None


def _is_current(pod: Body, deployment: Body, replica_sets: t.Sequence[Body]) -> bool:
    current = current_replica_set(deployment, replica_sets)
    return current is not None and bool(owned_by([pod], current["metadata"]["uid"]))


def pod_causes(pod: Body) -> list[Cause]:
    """What keeps a pod from starting at this moment."""
    name, uid, status = pod["metadata"]["name"], pod["metadata"].get("uid", ""), pod.get("status") or {}
    causes = []
    for condition in status.get("conditions") or []:
        if condition.get("type") == "PodScheduled" and condition.get("status") == "False":
            reason = condition.get("reason") or "Unschedulable"
            causes.append(Cause(reason, condition.get("message", ""), name, "", uid, reason == "Unschedulable"))
    for container in (status.get("initContainerStatuses") or []) + (status.get("containerStatuses") or []):
        waiting = (container.get("state") or {}).get("waiting") or {}
        if waiting.get("reason") in GRACE:
            text = _waiting_text(waiting, container)
            causes.append(Cause(waiting["reason"], text, name, container.get("name", ""), uid))
    return causes


def _waiting_text(waiting: Body, container: Body) -> str:
    ended = (container.get("lastState") or {}).get("terminated")
    if waiting["reason"] != "CrashLoopBackOff" or not ended:
        return str(waiting.get("message", ""))
    how = f"it ended with exit code {ended.get('exitCode')}"
    reason = ended.get("reason")
    return f"{how} ({reason}), {container.get('restartCount', 0)} restarts" if reason else how


def _controller_causes(deployment: Body) -> list[Cause]:
    causes = []
    for condition in (deployment.get("status") or {}).get("conditions") or []:
        kind, state, reason = condition.get("type"), condition.get("status"), condition.get("reason", "")
        if kind == "ReplicaFailure" and state == "True":
            message = condition.get("message", "")
            reason = "ServiceAccountMissing" if missing_account(message) else reason or "FailedCreate"
            causes.append(Cause(reason, message))
        if kind == "Progressing" and state == "False" and reason == "ProgressDeadlineExceeded":
            causes.append(Cause(reason, condition.get("message", "")))
    return causes


def _sources(pods: t.Sequence[Body]) -> dict[str, tuple[tuple[str, str], ...]]:
    """ConfigMaps and Secrets that pods in creation cannot start without."""
    found = {}
    for pod in pods:
        states = (pod.get("status") or {}).get("containerStatuses") or []
        if any(((c.get("state") or {}).get("waiting") or {}).get("reason") == "ContainerCreating" for c in states):
            found[pod["metadata"]["name"]] = tuple(volume_sources(pod["spec"]))
    return found


def volume_sources(pod_spec: Body) -> list[tuple[str, str]]:
    """`(kind, name)` of each ConfigMap and Secret that a volume needs (optional ones are not needed)."""
    found = []
    for volume in pod_spec.get("volumes") or []:
        parts = [volume, *((volume.get("projected") or {}).get("sources") or [])]
        for part in parts:
            config_map, secret = part.get("configMap"), part.get("secret")
            if config_map and not config_map.get("optional") and config_map.get("name"):
                found.append(("ConfigMap", config_map["name"]))
            if secret and not secret.get("optional") and (secret.get("secretName") or secret.get("name")):
                found.append(("Secret", secret.get("secretName") or secret["name"]))
    return found


class Patience:
    """Which causes have lasted their grace.

    A cause is known by pod, container and reason; back-off alternates between ErrImagePull and ImagePullBackOff, so
    each reason's own clock starts when it is first seen.
    """

    def __init__(self) -> None:
        self._since: dict[tuple[str, str, str], float] = {}

    def final(self, causes: t.Sequence[Cause], now: float) -> Cause | None:
        """The first of `causes` that has lasted its grace at `now` (monotonic seconds)."""
        for cause in causes:
            since = self._since.setdefault((cause.pod, cause.container, cause.reason), now)
            if now - since >= GRACE.get(cause.reason, 0.0):
                return cause
        return None
