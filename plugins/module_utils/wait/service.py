# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Private to this collection: may change in any release.
"""The I/O around a Service: read the Deployment it is derived from, wait until clients can use it."""

from __future__ import annotations

import time
import typing as t
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from ..app import endpoints, service
from ..app.rollout import Patience, Progress
from ..kube.client import Body, Cluster
from ..kube.errors import KubeError, OptionError, WaitFailed, WaitTimeout
from ..kube.kinds import DEPLOYMENT, ENDPOINT_SLICE, EVENT, POD, SERVICE
from ..kube.selector import labels_text
from ..kube.watch import Interest, View


@dataclass(frozen=True, slots=True)
class Usable:
    """A Service that clients can use: the object, and the addresses of its ready endpoints."""

    service: Body
    endpoints: list[str]


def wanted(
    cluster: Cluster, params: t.Mapping[str, t.Any], live: Body | None, *, check_mode: bool
) -> tuple[Body, bool]:
    """What the options ask for, with the Deployment read only where they leave something to it.

    Returns:
        The body, and whether it is complete: in check mode the Deployment may not exist yet, and the API server
        cannot judge half a Service.

    Raises:
        OptionError: it cannot work on the Service as it is, or the Deployment is missing or cannot be exposed.
    """
    service.check_change(params, live)
    if not service.wants_deployment(params, live):
        return service.build(params, live), True
    source = params["deployment"] or params["name"]
    deployment = cluster.get(DEPLOYMENT, source, params["namespace"])
    if deployment is not None:
        return service.build(params, live, service.derive(deployment, params)), True
    if check_mode:
        return service.build(params, live), False
    raise OptionError(
        f"deployment: {DEPLOYMENT.describe(source, params['namespace'])} does not exist, so selector and ports cannot "
        "be derived from it; create it first, name another one, or give selector and ports",
        option="deployment",
    )


def settle(cluster: Cluster, item: Body, *, changed: bool, wait_for: t.Collection[str], timeout: float) -> Usable:
    """Wait until clients can use the Service `item`, as the API server just returned it.

    Args:
        wait_for: `endpoints`, `load_balancer` or both.

    Raises:
        WaitFailed: it cannot come to that: nothing is selected, no pod can start, no container has the named port.
        WaitTimeout: the time is over, with what was still missing.
    """
    waiting = _Waiting(cluster, item, wait_for)
    return (None if changed else waiting.look()) or waiting.wait(timeout)


def gone(cluster: Cluster, item: Body, timeout: float) -> None:
    """Wait until the Service is gone: a load balancer's finalizer may take its time."""
    name, namespace = item["metadata"]["name"], item["metadata"]["namespace"]
    itself = Interest(SERVICE, namespace, fields=f"metadata.name={name}")
    with View(cluster, [itself]) as view:
        what = f"the end of {SERVICE.describe(name, namespace)}"
        view.wait(lambda now: None if now.objects(itself) else True, timeout, what)


class _Waiting:
    def __init__(self, cluster: Cluster, item: Body, wait_for: t.Collection[str]) -> None:
        metadata = item["metadata"]
        self._wait_for = wait_for
        self._cluster, self._item, self._namespace = cluster, item, metadata["namespace"]
        self._what = f"{cluster.label}: {SERVICE.describe(metadata['name'], self._namespace)}"
        self._patience, self._progress = Patience(), Progress(False)
        self._itself = Interest(SERVICE, self._namespace, fields=f"metadata.name={metadata['name']}")
        label = f"{endpoints.SERVICE_LABEL}={metadata['name']}"
        self._slices = Interest(ENDPOINT_SLICE, self._namespace, labels=label)
        # An empty selector would mean all pods of the namespace.
        selector = labels_text(item["spec"].get("selector") or {})
        self._pods = Interest(POD, self._namespace, labels=selector) if selector else None

    def look(self) -> Usable | None:
        """One look without a watch: enough where nothing was changed and all is well."""
        behind = [self._slices] + ([self._pods] if self._pods else [])
        with ThreadPoolExecutor(len(behind)) as pool:
            lists = pool.map(lambda it: self._cluster.list(it.kind, it.namespace, labels=it.labels).items, behind)
        slices, *pods = lists
        if not endpoints.assess(self._item, slices, pods[0] if pods else [], self._wait_for).done:
            return None
        return Usable(self._item, endpoints.ready_addresses(slices))

    def wait(self, timeout: float) -> Usable:
        with View(self._cluster, [self._itself, self._slices] + ([self._pods] if self._pods else [])) as view:
            try:
                return view.wait(self._usable, timeout, "")
            except WaitTimeout:
                raise self._timed_out(timeout) from None

    def _usable(self, view: View) -> Usable | None:
        found, slices = view.objects(self._itself), view.objects(self._slices)
        if not found:
            raise WaitFailed(f"{self._what} was deleted while we waited for it")
        self._item = found[0]
        pods = view.objects(self._pods) if self._pods else []
        self._progress = endpoints.assess(self._item, slices, pods, self._wait_for)
        cause = self._patience.final(self._progress.causes, time.monotonic())
        if cause:
            raise WaitFailed(
                f"{self._what}: {cause.text()}", pod=cause.pod, container=cause.container, cause=cause.reason
            )
        return Usable(self._item, endpoints.ready_addresses(slices)) if self._progress.done else None

    def _timed_out(self, timeout: float) -> WaitTimeout:
        parts = [f"{self._what}: after {timeout:g} s {self._progress.waiting_for}"]
        parts += [cause.text() for cause in self._progress.causes[:3]]
        if "load_balancer" in self._wait_for and endpoints.waits_for_load_balancer(self._item):
            parts.append(endpoints.load_balancer_cause(self._item, self._events()))
        return WaitTimeout("; ".join(parts), waiting_for=self._progress.waiting_for)

    def _events(self) -> list[Body]:
        fields = f"involvedObject.uid={self._item['metadata']['uid']}"
        try:
            return self._cluster.list(EVENT, self._namespace, fields=fields).items
        except KubeError:
            return []  # without the right to read events the timeout is still worth telling
