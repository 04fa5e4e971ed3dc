# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How long after a state was reached our waits return, and how long a roll-out takes that nobody does anything besides.

The modules run in this process; the moment at which a state is reached is told by a watch of the `kubernetes` library,
which shares no code with ours.
"""

from __future__ import annotations

import contextlib
import io
import json
import threading
import time
import types
import typing as t
from pathlib import Path

import versions
from ansible.module_utils.testing import patch_module_args
from kubernetes import client, watch

from ansible_collections.plumbline.kubernetes.plugins.modules import deployment, rollout, service

NAMESPACE = "bench-waits"
NAME = "web"
IMAGE = versions.NGINX_TAG

Action = t.Callable[[], None]


def measure(kubeconfig: Path, context: str, rounds: int, say: t.Callable[[str], None]) -> dict[str, list[float]]:
    """Seconds between state and return, for each kind of wait."""
    connection = {"kubeconfig": str(kubeconfig), "context": context, "namespace": NAMESPACE, "name": NAME}
    with contextlib.suppress(client.ApiException):
        client.CoreV1Api().create_namespace({"metadata": {"name": NAMESPACE}})

    def call(module: types.ModuleType, **options: t.Any) -> None:
        output = io.StringIO()
        quiet = contextlib.redirect_stdout(output)
        with patch_module_args({**connection, **options}), quiet, contextlib.suppress(SystemExit):
            module.main()
        result = json.loads(output.getvalue())
        if result.get("failed"):
            raise SystemExit(result["msg"])

    kinds: dict[str, tuple[t.Callable[[threading.Event], float], Action, Action]] = {
        "deployment: first roll-out": (
            _deployment_done,
            lambda: call(deployment, image=IMAGE, replicas=2, drain_seconds=0, ports=[{"container_port": 80}]),
            lambda: None,
        ),
        "service: endpoints": (_endpoints_there, lambda: call(service), lambda: call(service, state="absent")),
        "rollout: restart": (_deployment_done, lambda: call(rollout, action="restart"), lambda: None),
    }
    found: dict[str, list[float]] = {}
    for number in range(rounds):
        call(deployment, state="absent")
        for name, (reached, act, undo) in kinds.items():
            found.setdefault(name, []).append(_overshoot(reached, act))
            say(f"  round {number + 1}/{rounds} {name:28} {found[name][-1]:6.3f} s")
            if name.startswith("service"):
                undo()
    return found


def _overshoot(reached: t.Callable[[threading.Event], float], act: Action) -> float:
    moment: list[float] = []
    acting = threading.Event()
    watcher = threading.Thread(target=lambda: moment.append(reached(acting)), daemon=True)
    watcher.start()
    acting.wait(10)
    act()
    returned = time.monotonic()
    watcher.join(30)
    return returned - moment[0]


def restart(namespace: str, name: str) -> float:
    """Seconds from the request to restart a Deployment, the only one of its namespace, to the end of its roll-out."""
    roll_out = _RollOut(namespace)
    roll_out.follow()
    stamp = {"kubectl.kubernetes.io/restartedAt": str(time.time())}
    patch = {"spec": {"template": {"metadata": {"annotations": stamp}}}}
    began = time.monotonic()
    client.AppsV1Api().patch_namespaced_deployment(name, namespace, patch)
    return roll_out.wait() - began


class _RollOut:
    """The state of the Deployment and of all pods of a namespace, as two watches tell it."""

    def __init__(self, namespace: str = NAMESPACE) -> None:
        self._namespace = namespace
        self._apps, self._core = client.AppsV1Api(), client.CoreV1Api()
        found = self._apps.list_namespaced_deployment(namespace).items
        self._generation = found[0].metadata.generation if found else 0
        self._pods = {item.metadata.name for item in self._core.list_namespaced_pod(namespace).items}
        self._deployment: t.Any = None
        self._lock, self._done = threading.Lock(), threading.Event()
        self._moment = 0.0

    def wait(self) -> float:
        if not self._done.wait(120):
            raise SystemExit(f"the roll-out in namespace {self._namespace} does not end")
        return self._moment

    def follow(self) -> None:
        calls = (self._apps.list_namespaced_deployment, self._core.list_namespaced_pod)
        for call in calls:
            threading.Thread(target=self._follow, args=(call,), daemon=True).start()

    def _follow(self, call: t.Callable[..., t.Any]) -> None:
        for event in watch.Watch().stream(call, self._namespace, timeout_seconds=120):
            with self._lock:
                self._take(event["type"], event["object"])
                if not self._done.is_set() and self._complete():
                    self._moment = time.monotonic()
                    self._done.set()
            if self._done.is_set():
                return

    def _take(self, event: str, item: t.Any) -> None:
        if item.kind == "Deployment":
            self._deployment = item
        elif event == "DELETED":
            self._pods.discard(item.metadata.name)
        else:
            self._pods.add(item.metadata.name)

    def _complete(self) -> bool:
        item = self._deployment
        if item is None or item.metadata.generation <= self._generation:
            return False
        status, wanted = item.status, item.spec.replicas
        counts = {status.updated_replicas, status.ready_replicas, status.available_replicas, len(self._pods)}
        return bool(status.observed_generation == item.metadata.generation and counts == {wanted})


def _deployment_done(acting: threading.Event) -> float:
    """When status and pods say that a roll-out which begins after `acting` is complete."""
    roll_out = _RollOut()
    roll_out.follow()
    time.sleep(0.5)
    acting.set()
    return roll_out.wait()


def _endpoints_there(acting: threading.Event) -> float:
    """When the Service's slice has both pods as ready endpoints."""
    api = client.DiscoveryV1Api()
    stream = watch.Watch().stream(
        api.list_namespaced_endpoint_slice,
        NAMESPACE,
        label_selector=f"kubernetes.io/service-name={NAME}",
        timeout_seconds=60,
    )
    threading.Timer(0.5, acting.set).start()
    for event in stream:
        ready = [item for item in event["object"].endpoints or [] if item.conditions.ready]
        if event["type"] != "DELETED" and len(ready) == 2:
            return time.monotonic()
    raise SystemExit("the endpoints never came")
