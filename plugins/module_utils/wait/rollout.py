# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Private to this collection: may change in any release.
"""The I/O around a Deployment's roll-out: wait for it by watch, and say why when it cannot succeed."""

from __future__ import annotations

import time
import typing as t

from ..app.endpoints import is_ready
from ..app.rollout import REVISION, Cause, Patience, Progress, assess, settled
from ..kube.client import Cluster
from ..kube.errors import Forbidden, KubeError, WaitFailed, WaitTimeout, one_line
from ..kube.kinds import CONFIG_MAP, DEPLOYMENT, EVENT, HPA, POD, REPLICA_SET, SECRET
from ..kube.selector import selector_text
from ..kube.watch import Interest, View

Body = dict[str, t.Any]

_MISSING_AFTER = 1.0
_SCALE_UP_EVENTS = ("TriggeredScaleUp", "Nominated")


class Rollout:
    """Waiting for one Deployment.

    Args:
        deployment: the object as the API just returned it.
        timeout: seconds for the whole wait.
    """

    def __init__(self, cluster: Cluster, deployment: Body, timeout: float) -> None:
        metadata = deployment["metadata"]
        self._cluster = cluster
        self._namespace, self._name = metadata["namespace"], metadata["name"]
        self._generation = metadata.get("generation", 0)
        self._timeout = timeout
        self._patience = Patience()
        self._creating: dict[tuple[str, str, str], float] = {}
        self._known_sources: set[tuple[str, str]] = set()
        selector = deployment["spec"]["selector"]
        labels = selector_text(selector)
        self._deployment = Interest(DEPLOYMENT, self._namespace, fields=f"metadata.name={self._name}")
        self._sets = Interest(REPLICA_SET, self._namespace, labels=labels)
        self._pods = Interest(POD, self._namespace, labels=labels)

    @property
    def what(self) -> str:
        """The Deployment as messages name it."""
        return DEPLOYMENT.describe(self._name, self._namespace)

    def wait(self) -> Body:
        """Block until the roll-out is done; the Deployment as it is then.

        Raises:
            WaitFailed: it cannot succeed: pod, container, reason and last event are in the message and details.
            WaitTimeout: the time is over, with what was still missing.
        """
        deadline = time.monotonic() + self._timeout
        with View(self._cluster, [self._deployment, self._sets, self._pods]) as view:
            while True:
                left = max(0.0, deadline - time.monotonic())
                try:
                    deployment, cause = view.wait(self._verdict, left, f"{self.what}: the end of the roll-out")
                except WaitTimeout as error:
                    raise self._timed_out(view) from error
                if cause is None:
                    return deployment
                self._fail_for(cause)

    def _verdict(self, view: View) -> tuple[Body, Cause | None] | None:
        deployment, progress = self._progress(view)
        if progress.done:
            return deployment, None
        cause = self._patience.final(progress.causes, time.monotonic()) or self._stuck_in_creation(progress)
        return (deployment, cause) if cause else None

    def _progress(self, view: View) -> tuple[Body, Progress]:
        found = view.objects(self._deployment)
        if not found:
            raise WaitFailed(f"{self._cluster.label}: {self.what} was deleted while we waited for its roll-out")
        deployment = found[0]
        if deployment["metadata"].get("generation", 0) < self._generation:
            return deployment, Progress(False, "the API server has not caught up with our change")
        return deployment, assess(deployment, view.objects(self._sets), view.objects(self._pods))

    def _stuck_in_creation(self, progress: Progress) -> Cause | None:
        """A pod that stays in ContainerCreating and needs a ConfigMap or Secret nobody has looked up yet."""
        now = time.monotonic()
        for pod, sources in progress.sources.items():
            for kind, name in sources:
                since = self._creating.setdefault((pod, kind, name), now)
                if now - since >= _MISSING_AFTER and (kind, name) not in self._known_sources:
                    return Cause("MissingVolumeSource", f"{kind} {name}", pod)
        return None

    def _fail_for(self, cause: Cause) -> None:
        """Raise for a cause that is final; return when a second look clears it."""
        if cause.reason == "MissingVolumeSource":
            kind, _space, name = cause.message.partition(" ")
            if is_there(self._cluster, kind, name, self._namespace) is not False:
                self._known_sources.add((kind, name))
                return
            cause = Cause("ContainerCreating", f"{kind} {self._namespace}/{name} does not exist", cause.pod)
        event = self._last_event(cause)
        if cause.node_may_come and event.startswith(_SCALE_UP_EVENTS):
            self._patience = Patience()
            time.sleep(1.0)
            return
        raise WaitFailed(
            f"{self._cluster.label}: {self.what}: the roll-out cannot succeed: {cause.text()}"
            + (f"; last event: {event}" if event and event not in cause.text() else ""),
            pod=cause.pod,
            container=cause.container,
            cause=cause.reason,
            event=event,
        )

    def _timed_out(self, view: View) -> WaitTimeout:
        _deployment, progress = self._progress(view)
        waiting = [pod for pod in view.objects(self._pods) if not is_ready(pod)]
        last = f"; pod {waiting[0]['metadata']['name']} is not ready" if waiting else ""
        event = self._last_event(Cause("", "", waiting[0]["metadata"]["name"])) if waiting else ""
        late = f"{self._cluster.label}: {self.what}: not rolled out within {self._timeout:g} s"
        return WaitTimeout(
            f"{late}: {progress.waiting_for}{last}" + (f"; last event: {event}" if event else ""),
            waiting_for=progress.waiting_for,
            event=event,
        )

    def _last_event(self, cause: Cause) -> str:
        """`Reason: message` of the pod's newest event; empty where there is none or we may not read events."""
        if not cause.pod:
            return ""
        fields = f"involvedObject.kind=Pod,involvedObject.name={cause.pod}"
        try:
            events = self._cluster.list(EVENT, self._namespace, fields=fields).items
        except KubeError:
            return ""
        newest = max(events, key=_when, default=None)
        return one_line(f"{newest.get('reason')}: {newest.get('message')}", 300) if newest else ""


def is_there(cluster: Cluster, kind: str, name: str, namespace: str) -> bool | None:
    """Whether a ConfigMap or Secret exists; None where the right to look is missing."""
    try:
        return cluster.get(CONFIG_MAP if kind == "ConfigMap" else SECRET, name, namespace) is not None
    except Forbidden:
        return None


def finished(cluster: Cluster, deployment: Body, *, changed: bool, wait: bool, timeout: float) -> Body:
    """Wait if asked to; no request where nothing was changed and the status already says that all is done."""
    if not wait or (not changed and settled(deployment)):
        return deployment
    return Rollout(cluster, deployment, timeout).wait()


def gone(cluster: Cluster, deployment: Body, timeout: float) -> None:
    """Block until a Deployment and the pods it selects are gone."""
    metadata = deployment["metadata"]
    itself = Interest(DEPLOYMENT, metadata["namespace"], fields=f"metadata.name={metadata['name']}")
    pods = Interest(POD, metadata["namespace"], labels=selector_text(deployment["spec"]["selector"]))
    with View(cluster, [itself, pods]) as view:
        view.wait(
            lambda now: None if now.objects(itself) or any(_of_a_replica_set(p) for p in now.objects(pods)) else True,
            timeout,
            f"the end of {DEPLOYMENT.describe(metadata['name'], metadata['namespace'])} and its pods",
        )


def _of_a_replica_set(pod: Body) -> bool:
    return any(owner.get("kind") == "ReplicaSet" for owner in pod["metadata"].get("ownerReferences") or [])


def autoscaler(cluster: Cluster, name: str, namespace: str) -> str | None:
    """Name of the HorizontalPodAutoscaler that targets a Deployment; None without one or without the right to look."""
    try:
        scalers = cluster.list(HPA, namespace).items
    except Forbidden:
        return None
    for scaler in scalers:
        target = scaler["spec"]["scaleTargetRef"]
        if target["kind"] == "Deployment" and target["name"] == name:
            return str(scaler["metadata"]["name"])
    return None


def summary(deployment: Body) -> dict[str, t.Any]:
    """The numbers of a roll-out for a module's result."""
    status = deployment.get("status") or {}
    return {
        "revision": int((deployment["metadata"].get("annotations") or {}).get(REVISION) or 0),
        "replicas": deployment["spec"].get("replicas", 1),
        "updated": status.get("updatedReplicas", 0),
        "ready": status.get("readyReplicas", 0),
        "available": status.get("availableReplicas", 0),
        "paused": bool(deployment["spec"].get("paused")),
    }


def _when(event: Body) -> str:
    series = event.get("series") or {}
    return str(
        series.get("lastObservedTime")
        or event.get("lastTimestamp")
        or event.get("eventTime")
        or (event.get("metadata") or {}).get("creationTimestamp")
        or ""
    )
