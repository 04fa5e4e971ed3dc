#!/usr/bin/python
# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Module: declare a Deployment and wait for its roll-out."""

from __future__ import annotations

DOCUMENTATION = r"""
module: deployment
short_description: Declare a Deployment and wait until it is rolled out
version_added: 0.1.0
author:
  - The plumbline.kubernetes authors (@plumbline)
description:
  - Creates or changes a Deployment by server-side apply, with the field manager C(plumbline).
  - An option that is omitted is left alone, also when an earlier run set it. What an autoscaler, C(kubectl scale),
    C(kubectl edit) or another tool changed stays as it is, unless an option says otherwise; then the task fails and
    names field and manager, or takes the field over with O(force_conflicts=true).
  - A new Deployment gets roll-out defaults that lose no request, see O(strategy), O(drain_seconds) and O(spread).
  - Waits as C(kubectl rollout status) does and until the old pods are gone. Fails as soon as the roll-out cannot
    succeed, with pod, container, reason and last event.
  - Speaks of one container, see O(container). Other containers of the pods are left alone.
extends_documentation_fragment:
  - plumbline.kubernetes.auth
  - plumbline.kubernetes.attributes
attributes:
  check_mode:
    support: full
    details: A server-side dry run. In a namespace that does not exist yet the creation is reported without asking.
  diff_mode:
    support: full
    details: Shows the fields that this collection owns.
  idempotent:
    support: full
options:
  name:
    description: Name of the Deployment.
    type: str
    required: true
  namespace:
    description: Its namespace, which must exist.
    type: str
    required: true
  state:
    description: Whether the Deployment shall be there. V(absent) deletes it with its pods.
    type: str
    choices: [present, absent]
    default: present
  image:
    description: Image of the container. Required when the Deployment does not exist yet.
    type: str
  image_pull_policy:
    description: When the kubelet pulls the image.
    type: str
    choices: [Always, IfNotPresent, Never]
  image_pull_secrets:
    description: Names of the Secrets with credentials for the registry.
    type: list
    elements: str
  container:
    description:
      - Name of the container that the options speak of.
      - Defaults to the only container of an existing Deployment, else to O(name).
    type: str
  replicas:
    description:
      - Number of pods. A new Deployment gets V(1).
      - Ignored with a warning while a HorizontalPodAutoscaler targets the Deployment.
    type: int
  selector:
    description:
      - Labels that select the pods. A new Deployment gets C(app.kubernetes.io/name) with O(name) as value.
      - Cannot be changed later.
    type: dict
  labels:
    description: Labels of the Deployment. A new Deployment gets those of O(selector).
    type: dict
  annotations:
    description: Annotations of the Deployment.
    type: dict
  pod_labels:
    description: Labels of the pods besides those of O(selector).
    type: dict
  pod_annotations:
    description: Annotations of the pods.
    type: dict
  command:
    description: Replaces the image's entrypoint.
    type: list
    elements: str
  args:
    description: Replaces the image's arguments.
    type: list
    elements: str
  env:
    description: Environment variables. Not for secrets, which belong into O(secrets).
    type: dict
  ports:
    description: Ports on which the container listens. A Service derives its own from them.
    type: list
    elements: dict
    suboptions:
      container_port:
        description: Port number.
        type: int
        required: true
      name:
        description: Name, by which a Service's C(targetPort) can refer to it.
        type: str
      protocol:
        description: Protocol.
        type: str
        choices: [TCP, UDP, SCTP]
        default: TCP
  config_maps:
    description: ConfigMaps mounted as files. Give all mounts together, see the notes.
    type: list
    elements: dict
    suboptions:
      name:
        description: Name of the object.
        type: str
        required: true
      mount_path:
        description: Folder in the container.
        type: str
        required: true
      items:
        description: Files to make, as key and path below O(config_maps[].mount_path). All keys when omitted.
        type: dict
      optional:
        description: Whether pods start without the object.
        type: bool
  secrets:
    description: Secrets mounted as files.
    type: list
    elements: dict
    suboptions:
      name:
        description: Name of the object.
        type: str
        required: true
      mount_path:
        description: Folder in the container.
        type: str
        required: true
      items:
        description: Files to make, as key and path below O(secrets[].mount_path). All keys when omitted.
        type: dict
      optional:
        description: Whether pods start without the object.
        type: bool
  empty_dirs:
    description: Writable folders that live as long as the pod, for containers with a read-only root file system.
    type: list
    elements: dict
    suboptions:
      mount_path:
        description: Folder in the container.
        type: str
        required: true
      size_limit:
        description: Most that may be written, such as V(64Mi).
        type: str
      medium:
        description: V(Memory) for a file system in memory.
        type: str
        choices: [Memory]
  readiness_probe:
    description: When the container may get traffic. An HTTP request, a TCP connection or a command.
    type: dict
    suboptions: &probe
      path:
        description: Path of an HTTP request. Without it and O(readiness_probe.command) a TCP connection is tried.
        type: str
      port:
        description: Number or name of the port.
        type: raw
      scheme:
        description: Scheme of the HTTP request.
        type: str
        choices: [HTTP, HTTPS]
      command:
        description: Command whose exit code decides.
        type: list
        elements: str
      initial_delay_seconds:
        description: Seconds from the container's start to the first try.
        type: int
      period_seconds:
        description: Seconds between tries.
        type: int
      timeout_seconds:
        description: Seconds for one try.
        type: int
      failure_threshold:
        description: Failures in a row that count.
        type: int
      success_threshold:
        description: Successes in a row that count.
        type: int
  liveness_probe:
    description: When the container is to be restarted.
    type: dict
    suboptions: *probe
  startup_probe:
    description: Until when the other probes are held back.
    type: dict
    suboptions: *probe
  resources:
    description: C(requests) and C(limits) as the API knows them.
    type: dict
  security_context:
    description: The container's C(securityContext) as the API knows it.
    type: dict
  pod_security_context:
    description: The pods' C(securityContext) as the API knows it.
    type: dict
  service_account:
    description: Service account of the pods.
    type: str
  automount_service_account_token:
    description: Whether the pods get a token for the API. A new Deployment gets V(false).
    type: bool
  enable_service_links:
    description: Whether the containers get environment variables for the Services of the namespace.
    type: bool
  node_selector:
    description: Labels that a node must have.
    type: dict
  tolerations:
    description: Tolerations as the API knows them.
    type: list
    elements: dict
  affinity:
    description: Affinity as the API knows it.
    type: dict
  priority_class_name:
    description: Priority class of the pods.
    type: str
  spread:
    description:
      - Whether the pods of a revision shall or must be on different nodes. A new Deployment gets V(preferred).
      - With V(required) a pod that finds no node of its own stays pending.
    type: str
    choices: [preferred, required, none]
  strategy:
    description: How pods are replaced. A new Deployment adds new pods before it removes old ones.
    type: dict
    suboptions:
      type:
        description: V(Recreate) removes all pods before it makes new ones.
        type: str
        choices: [RollingUpdate, Recreate]
      max_surge:
        description: Pods above O(replicas) during a roll-out, as number or percentage. A new Deployment gets V(25%).
        type: raw
      max_unavailable:
        description: Pods that may be missing during a roll-out, as number or percentage. A new Deployment gets V(0).
        type: raw
  drain_seconds:
    description:
      - Seconds that a pod keeps serving after it was told to end, by a C(preStop) sleep, so that every node stops
        sending it requests before it stops. A new Deployment gets V(12).
      - It must be longer than the cluster needs to spread the news. V(0) takes the sleep away.
    type: int
  termination_grace_period_seconds:
    description: Seconds from being told to end to being killed. By default 30 more than O(drain_seconds).
    type: int
  min_ready_seconds:
    description:
      - Seconds that a new pod must stay ready before it counts.
      - A new Deployment without O(readiness_probe) gets V(2), since its containers count as ready the moment they run,
        also when they crash a moment later.
    type: int
  revision_history_limit:
    description: Old revisions that are kept for an undo.
    type: int
  progress_deadline_seconds:
    description: Seconds without progress after which the roll-out counts as failed.
    type: int
  preflight:
    description:
      - Command that must succeed before the roll-out touches a pod, such as V([nginx, -t]).
      - It runs once in a pod of its own, as O(container) of the new revision would, with its image, user and files,
        and only when the pods are about to change. When it fails, nothing is changed.
      - Needs the rights to create, watch and delete pods and to read their logs.
    type: list
    elements: str
  force_conflicts:
    description: Take over fields that another manager owns, instead of failing.
    type: bool
    default: false
  wait:
    description: Wait for the end of the roll-out; with O(state=absent) until the Deployment and its pods are gone.
    type: bool
    default: true
  wait_timeout:
    description: Seconds to wait at most.
    type: int
    default: 180
notes:
  - O(config_maps), O(secrets) and O(empty_dirs) are one option in this respect. When one of them is given, the mounts
    of this collection are exactly those that are given.
seealso:
  - module: plumbline.kubernetes.rollout
  - module: plumbline.kubernetes.service
  - module: kubernetes.core.k8s
"""

EXAMPLES = r"""
- name: Run nginx on two nodes
  plumbline.kubernetes.deployment:
    name: my-nginx
    namespace: demo
    image: nginx:1.30
    replicas: 2
    selector:
      run: my-nginx
    ports:
      - container_port: 80

- name: Roll out another image; everything else stays as it is
  plumbline.kubernetes.deployment:
    name: my-nginx
    namespace: demo
    image: nginx:1.31

- name: Mount a configuration and ask for readiness
  plumbline.kubernetes.deployment:
    name: my-nginx
    namespace: demo
    config_maps:
      - name: nginxconfigmap
        mount_path: /etc/nginx/conf.d
    readiness_probe:
      path: /healthz
      port: 80
      period_seconds: 2

- name: Let nginx read the configuration before it meets a request
  plumbline.kubernetes.deployment:
    name: my-nginx
    namespace: demo
    config_maps:
      - name: nginxconfigmap
        mount_path: /etc/nginx/conf.d
    preflight: [nginx, -t]
"""

RETURN = r"""
deployment:
  description: The Deployment as it is now, or in check mode would be, without the bookkeeping of field managers.
  returned: when O(state=present)
  type: dict
  sample:
    apiVersion: apps/v1
    kind: Deployment
    metadata:
      name: my-nginx
      namespace: demo
    spec:
      replicas: 2
rollout:
  description: Revision and numbers of pods.
  returned: when O(state=present)
  type: dict
  sample:
    revision: 1
    replicas: 2
    updated: 2
    ready: 2
    available: 2
    paused: false
previous_revision:
  description:
    - The revision before this run, for O(plumbline.kubernetes.rollout#module:to_revision); 0 where there was none.
    - Also returned when the roll-out fails after the change was made. V(changed) is true then.
  returned: when O(state=present)
  type: int
  sample: 1
pod:
  description: The pod because of which the roll-out cannot succeed.
  returned: on such a failure
  type: str
  sample: my-nginx-7c9d8f6b5-x2k4q
container:
  description: Its container.
  returned: on such a failure
  type: str
  sample: my-nginx
cause:
  description: The reason in the API's own word.
  returned: on such a failure
  type: str
  sample: ImagePullBackOff
event:
  description: The pod's last event.
  returned: on such a failure
  type: str
  sample: "Failed: Error: ImagePullBackOff"
"""

import typing as t

from ansible_collections.plumbline.kubernetes.plugins.module_utils.app import deployment
from ansible_collections.plumbline.kubernetes.plugins.module_utils.kube.apply import (
    Applied,
    diff,
    ensure,
    reduced,
    remove,
)
from ansible_collections.plumbline.kubernetes.plugins.module_utils.kube.client import Body, Cluster
from ansible_collections.plumbline.kubernetes.plugins.module_utils.kube.errors import KubeError
from ansible_collections.plumbline.kubernetes.plugins.module_utils.kube.kinds import DEPLOYMENT
from ansible_collections.plumbline.kubernetes.plugins.module_utils.kube.module import Definition, Task
from ansible_collections.plumbline.kubernetes.plugins.module_utils.wait.preflight import preflight
from ansible_collections.plumbline.kubernetes.plugins.module_utils.wait.rollout import (
    autoscaler,
    finished,
    gone,
    summary,
)

SOURCE: dict[str, t.Any] = {
    "name": {"type": "str", "required": True},
    "mount_path": {"type": "str", "required": True},
    "items": {"type": "dict"},
    "optional": {"type": "bool"},
}
EMPTY_DIR: dict[str, t.Any] = {
    "mount_path": {"type": "str", "required": True},
    "size_limit": {"type": "str"},
    "medium": {"type": "str", "choices": ["Memory"]},
}
PORT: dict[str, t.Any] = {
    "container_port": {"type": "int", "required": True},
    "name": {"type": "str"},
    "protocol": {"type": "str", "choices": ["TCP", "UDP", "SCTP"], "default": "TCP"},
}
PROBE: dict[str, t.Any] = {
    "path": {"type": "str"},
    "port": {"type": "raw"},
    "scheme": {"type": "str", "choices": ["HTTP", "HTTPS"]},
    "command": {"type": "list", "elements": "str"},
    "initial_delay_seconds": {"type": "int"},
    "period_seconds": {"type": "int"},
    "timeout_seconds": {"type": "int"},
    "failure_threshold": {"type": "int"},
    "success_threshold": {"type": "int"},
}
STRATEGY: dict[str, t.Any] = {
    "type": {"type": "str", "choices": ["RollingUpdate", "Recreate"]},
    "max_surge": {"type": "raw"},
    "max_unavailable": {"type": "raw"},
}
OPTIONS: dict[str, t.Any] = {
    "name": {"type": "str", "required": True},
    "namespace": {"type": "str", "required": True},
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "image": {"type": "str"},
    "image_pull_policy": {"type": "str", "choices": ["Always", "IfNotPresent", "Never"]},
    "image_pull_secrets": {"type": "list", "elements": "str", "no_log": False},
    "container": {"type": "str"},
    "replicas": {"type": "int"},
    "selector": {"type": "dict"},
    "labels": {"type": "dict"},
    "annotations": {"type": "dict"},
    "pod_labels": {"type": "dict"},
    "pod_annotations": {"type": "dict"},
    "command": {"type": "list", "elements": "str"},
    "args": {"type": "list", "elements": "str"},
    "env": {"type": "dict"},
    "ports": {"type": "list", "elements": "dict", "options": PORT},
    "config_maps": {"type": "list", "elements": "dict", "options": SOURCE},
    # Names of Secrets, never their content.
    "secrets": {"type": "list", "elements": "dict", "options": SOURCE, "no_log": False},
    "empty_dirs": {"type": "list", "elements": "dict", "options": EMPTY_DIR},
    "readiness_probe": {"type": "dict", "options": PROBE},
    "liveness_probe": {"type": "dict", "options": PROBE},
    "startup_probe": {"type": "dict", "options": PROBE},
    "resources": {"type": "dict"},
    "security_context": {"type": "dict"},
    "pod_security_context": {"type": "dict"},
    "service_account": {"type": "str"},
    "automount_service_account_token": {"type": "bool", "no_log": False},
    "enable_service_links": {"type": "bool"},
    "node_selector": {"type": "dict"},
    "tolerations": {"type": "list", "elements": "dict"},
    "affinity": {"type": "dict"},
    "priority_class_name": {"type": "str"},
    "spread": {"type": "str", "choices": ["preferred", "required", "none"]},
    "strategy": {"type": "dict", "options": STRATEGY},
    "drain_seconds": {"type": "int"},
    "termination_grace_period_seconds": {"type": "int"},
    "min_ready_seconds": {"type": "int"},
    "revision_history_limit": {"type": "int"},
    "progress_deadline_seconds": {"type": "int"},
    "preflight": {"type": "list", "elements": "str"},
    "force_conflicts": {"type": "bool", "default": False},
    "wait": {"type": "bool", "default": True},
    "wait_timeout": {"type": "int", "default": 180},
}


def action(task: Task, cluster: Cluster) -> dict[str, t.Any]:
    """Bring the Deployment to the wanted state."""
    deployment.check(task.params)
    return _absent(task, cluster) if task.params["state"] == "absent" else _present(task, cluster)


def _present(task: Task, cluster: Cluster) -> dict[str, t.Any]:
    params = dict(task.params)
    live = cluster.get(DEPLOYMENT, params["name"], params["namespace"])
    if live and params["replicas"] not in (None, live["spec"].get("replicas")):
        scaler = autoscaler(cluster, params["name"], params["namespace"])
        if scaler:
            task.warn(f"replicas: {params['replicas']} is ignored, HorizontalPodAutoscaler {scaler} decides the number")
            params["replicas"] = None
    applied = _apply(task, cluster, params, live)
    before = summary(live)["revision"] if live else 0
    result: dict[str, t.Any] = {"changed": applied.changed, "previous_revision": before}
    if task.diff:
        result["diff"] = diff(applied, DEPLOYMENT)
    wait = params["wait"] and not task.check_mode
    try:
        item = finished(cluster, applied.object, changed=applied.changed, wait=wait, timeout=params["wait_timeout"])
    except KubeError as error:
        # The change was made: whoever undoes it needs to know.
        error.details |= result
        raise
    return {**result, "deployment": reduced(item), "rollout": summary(item)}


def _apply(task: Task, cluster: Cluster, params: dict[str, t.Any], live: Body | None) -> Applied:
    """Apply; with `preflight` ask first what would change, and try it where that is the pods."""
    body = deployment.build(params, live)
    force, command = params["force_conflicts"], params["preflight"]
    first = ensure(cluster, DEPLOYMENT, body, live=live, check_mode=task.check_mode or bool(command), force=force)
    if task.check_mode or not command or not first.changed:
        return first
    wanted = first.object
    if live is None or live["spec"]["template"] != wanted["spec"]["template"]:
        preflight(cluster, wanted, deployment.container_name(params, live), command, params["wait_timeout"])
    return ensure(cluster, DEPLOYMENT, body, live=live, force=force)


def _absent(task: Task, cluster: Cluster) -> dict[str, t.Any]:
    params = task.params
    removed = remove(cluster, DEPLOYMENT, params["name"], params["namespace"], check_mode=task.check_mode)
    if params["wait"] and removed.live and not task.check_mode:
        gone(cluster, removed.live, params["wait_timeout"])
    return {"changed": removed.changed, **({"diff": diff(removed, DEPLOYMENT)} if task.diff else {})}


MODULE = Definition(OPTIONS, action)


def main() -> None:
    """Entry point."""
    MODULE.main()


if __name__ == "__main__":
    main()
