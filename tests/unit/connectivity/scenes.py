# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A namespace as the API shows it, healthy at first: one Deployment behind Service demo/web; tests then break things.

Shapes and texts are those of Kubernetes 1.37 with containerd.
"""

from __future__ import annotations

import copy
import typing as t
from dataclasses import dataclass, field
from datetime import timedelta

from ansible_collections.plumbline.kubernetes.plugins.module_utils.connectivity.facts import Facts, reduced
from ansible_collections.plumbline.kubernetes.plugins.module_utils.connectivity.look import Look
from ansible_collections.plumbline.kubernetes.plugins.module_utils.connectivity.snapshot import Snapshot
from ansible_collections.plumbline.kubernetes.plugins.module_utils.connectivity.snapshot import pod as typed
from ansible_collections.plumbline.kubernetes.tests.unit.connectivity.builders import NODES, NOON, question, service

Body = dict[str, t.Any]

PARTS = (
    *("deployments", "replicasets", "statefulsets", "daemonsets", "pods", "events", "disruption_budgets"),
    *("namespaces", "nodes", "secrets", "configmaps"),
)


def ago(seconds: float) -> str:
    """An API timestamp, `seconds` before the look."""
    return (NOON - timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")


@dataclass
class Scene:
    """API objects by part, and what may not be read."""

    parts: dict[str, list[Body]] = field(default_factory=lambda: {part: [] for part in PARTS})
    missing: dict[str, str] = field(default_factory=dict)
    logs: dict[str, str] = field(default_factory=dict)

    @property
    def deployment(self) -> Body:
        """The first Deployment."""
        return self.parts["deployments"][0]

    @property
    def template(self) -> Body:
        """The pod's spec in its template."""
        spec: Body = self.deployment["spec"]["template"]["spec"]
        return spec

    @property
    def pods(self) -> list[Body]:
        """All pods."""
        return self.parts["pods"]

    def each(self, change: t.Callable[[Body], None]) -> None:
        """Change the template and all pods alike."""
        for spec in (self.template, *(pod["spec"] for pod in self.pods)):
            change(spec)

    def container(self, **changes: t.Any) -> None:
        """Change the container in the template and in all pods."""
        self.each(lambda spec: spec["containers"][0].update(copy.deepcopy(changes)))

    def status(self, **changes: t.Any) -> None:
        """Change the Deployment's status."""
        self.deployment["status"].update(changes)

    def condition(self, kind: str, **changes: t.Any) -> None:
        """Set one of the Deployment's conditions."""
        set_condition(self.deployment, kind, **changes)

    def warn(self, about: Body, reason: str, message: str, seconds: float = 20) -> None:
        """A warning about an object."""
        metadata = about["metadata"]
        self.parts["events"].append(
            {
                "kind": "Event",
                "metadata": {"name": f"{metadata['name']}.{len(self.parts['events'])}", "namespace": "demo"},
                "type": "Warning",
                "reason": reason,
                "message": message,
                "count": 7,
                "lastTimestamp": ago(seconds),
                "involvedObject": {
                    "kind": about["kind"],
                    "name": metadata["name"],
                    "namespace": "demo",
                    "uid": metadata["uid"],
                },
            }
        )

    def source(self, kind: str, name: str, *keys: str) -> None:
        """A Secret or ConfigMap with these keys."""
        part = {"Secret": "secrets", "ConfigMap": "configmaps"}[kind]
        self.parts[part].append(
            {"kind": kind, "metadata": {"name": name, "namespace": "demo"}, "data": dict.fromkeys(keys, "c2VjcmV0")}
        )

    def deny(self, part: str) -> None:
        """Take a part away for want of a right."""
        self.missing[part] = f"cannot list {part} in namespace demo"

    def look(self, **changes: t.Any) -> Look:
        """One look at all this, by the API alone."""
        parts = {
            name: tuple(reduced(body) for body in bodies)
            for name, bodies in self.parts.items()
            if name not in self.missing
        }
        of = changes.pop("of", service())
        selector = dict(of.selector)
        chosen = [pod for pod in self.pods if selector.items() <= pod["metadata"].get("labels", {}).items()]
        seen = Snapshot(service=of, pods=tuple(typed(pod) for pod in chosen), nodes=NODES)
        asked = changes.pop("asked", question(layers=("workload",), ask=False))
        return Look(asked, seen, seen, NOON, facts=Facts(parts, self.missing, self.logs), **changes)


def set_condition(body: Body, kind: str, **changes: t.Any) -> None:
    """Set a condition of an object."""
    conditions = body["status"].setdefault("conditions", [])
    conditions[:] = [item for item in conditions if item["type"] != kind]
    conditions.append({"type": kind, "status": "True", "lastTransitionTime": ago(3500), **changes})


def scene(replicas: int = 2, kind: str = "Deployment") -> Scene:
    """A healthy workload `web` of some kind, rolled out an hour ago."""
    made = Scene()
    made.parts["nodes"] = [node(n) for n in (1, 2, 3)]
    made.parts["nodes"][0]["spec"]["taints"] = [
        {"key": "node-role.kubernetes.io/control-plane", "effect": "NoSchedule"}
    ]
    made.parts["namespaces"] = [{"kind": "Namespace", "metadata": {"name": "demo", "labels": {}}}]
    made.source("ConfigMap", "kube-root-ca.crt", "ca.crt")
    body = workload(kind, replicas)
    made.parts[f"{kind.lower()}s"] = [body]
    owner, stem = body, "web"
    if kind == "Deployment":
        made.parts["replicasets"] = [replica_set(body, "6f5c", 0), replica_set(body, "7d4b", replicas)]
        owner, stem = made.parts["replicasets"][1], "web-7d4b"
    made.parts["pods"] = [pod(f"{stem}-{number}", owner) for number in range(replicas)]
    return made


def workload(kind: str, replicas: int) -> Body:
    """A workload with its status as after a roll-out."""
    counts = {"replicas": replicas, "readyReplicas": replicas, "updatedReplicas": replicas}
    body: Body = {
        "kind": kind,
        "metadata": {
            "name": "web",
            "namespace": "demo",
            "uid": "web-uid",
            "generation": 2,
        },
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": "web"}},
            "template": {"metadata": {"labels": {"app": "web"}}, "spec": pod_spec()},
        },
        "status": {"observedGeneration": 2, **counts, "availableReplicas": replicas},
    }
    if kind == "DaemonSet":
        del body["spec"]["replicas"]
        body["status"] = {
            "observedGeneration": 2,
            "desiredNumberScheduled": replicas,
            "currentNumberScheduled": replicas,
            "numberReady": replicas,
        }
    if kind == "Deployment":
        limits = {"maxSurge": "25%", "maxUnavailable": "25%"}
        body["spec"] |= {"progressDeadlineSeconds": 600, "strategy": {"type": "RollingUpdate", "rollingUpdate": limits}}
        set_condition(body, "Progressing", reason="NewReplicaSetAvailable")
        set_condition(body, "Available", reason="MinimumReplicasAvailable")
    return body


def replica_set(deployment: Body, template_hash: str, replicas: int) -> Body:
    """A ReplicaSet of a Deployment."""
    return {
        "kind": "ReplicaSet",
        "metadata": {
            "name": f"web-{template_hash}",
            "namespace": "demo",
            "uid": f"rs-{template_hash}",
            "labels": {"app": "web", "pod-template-hash": template_hash},
            "ownerReferences": [reference(deployment)],
        },
        "spec": {"replicas": replicas},
        "status": {"replicas": replicas},
    }


def reference(owner: Body) -> Body:
    """An owner reference."""
    return {
        "kind": owner["kind"],
        "name": owner["metadata"]["name"],
        "uid": owner["metadata"]["uid"],
        "controller": True,
    }


def pod_spec() -> Body:
    """One nginx with a readiness probe on the port that it declares."""
    return {
        "containers": [
            {
                "name": "nginx",
                "image": "nginx:1.30.6",
                "ports": [{"containerPort": 80, "protocol": "TCP"}],
                "readinessProbe": {"httpGet": {"path": "/", "port": 80, "scheme": "HTTP"}, "periodSeconds": 2},
            }
        ],
        "volumes": [{"name": "token", "projected": {"sources": [{"configMap": {"name": "kube-root-ca.crt"}}]}}],
    }


def pod(name: str, owner: Body | None = None, node_name: str = "node-2") -> Body:
    """A ready pod."""
    labels = {"app": "web"}
    if owner and owner["kind"] == "ReplicaSet":
        labels["pod-template-hash"] = owner["metadata"]["labels"]["pod-template-hash"]
    body: Body = {
        "kind": "Pod",
        "metadata": {
            "name": name,
            "namespace": "demo",
            "uid": f"uid-{name}",
            "labels": labels,
            "creationTimestamp": ago(3600),
            "ownerReferences": [reference(owner)] if owner else [],
        },
        "spec": {**pod_spec(), "nodeName": node_name},
        "status": {"phase": "Running", "podIPs": [{"ip": f"10.244.1.{sum(name.encode()) % 250}"}]},
    }
    for kind in ("PodScheduled", "Initialized", "ContainersReady", "Ready"):
        set_condition(body, kind)
    body["status"]["containerStatuses"] = [
        {"name": "nginx", "ready": True, "started": True, "restartCount": 0, "state": running(3590), "lastState": {}}
    ]
    return body


def running(seconds: float) -> Body:
    """A container's state."""
    return {"running": {"startedAt": ago(seconds)}}


def ended(code: int, reason: str, seconds: float = 10, lived: float = 1, **more: t.Any) -> Body:
    """A container's state after its end `seconds` ago."""
    times = {"startedAt": ago(seconds + lived), "finishedAt": ago(seconds)}
    return {"terminated": {"exitCode": code, "reason": reason, **times, **more}}


def waiting(reason: str, message: str = "") -> Body:
    """A container's state before it runs."""
    return {"waiting": {"reason": reason, **({"message": message} if message else {})}}


def unready(body: Body, state: Body | None = None, seconds: float = 60, **more: t.Any) -> None:
    """Make a pod one that became not ready `seconds` ago."""
    for kind in ("ContainersReady", "Ready"):
        set_condition(body, kind, status="False", reason="ContainersNotReady", lastTransitionTime=ago(seconds))
    status = body["status"]["containerStatuses"][0]
    status.update({"ready": False, "state": state or status["state"], **more})
    if state and "waiting" in state:
        status["started"] = False


def young(body: Body, seconds: float) -> None:
    """Make a pod one that was created `seconds` ago and does not yet run."""
    body["metadata"]["creationTimestamp"] = ago(seconds)
    body["status"] |= {"phase": "Pending"}
    unready(body, waiting("ContainerCreating"), seconds)


def pending(body: Body, message: str, seconds: float = 60) -> None:
    """Make a pod one that fits on no node."""
    del body["spec"]["nodeName"]
    body["metadata"]["creationTimestamp"] = ago(seconds)
    body["status"] = {"phase": "Pending"}
    set_condition(
        body, "PodScheduled", status="False", reason="Unschedulable", message=message, lastTransitionTime=ago(seconds)
    )


def node(number: int) -> Body:
    """A ready node."""
    body: Body = {
        "kind": "Node",
        "metadata": {"name": f"node-{number}", "uid": f"node-{number}", "labels": {"disk": "ssd"}},
        "spec": {},
        "status": {},
    }
    set_condition(body, "Ready")
    return body
