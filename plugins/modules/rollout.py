#!/usr/bin/python
# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Module: restart, undo, scale, pause, resume or wait for a Deployment's roll-out."""

from __future__ import annotations

DOCUMENTATION = r"""
module: rollout
short_description: Restart, undo, scale, pause, resume or wait for a Deployment's roll-out
version_added: 0.1.0
author:
  - The plumbline.kubernetes authors (@plumbline)
description:
  - Does what C(kubectl rollout) and C(kubectl scale) do, and waits until it is done and the old pods are gone.
  - O(action=restart) is the tutorial's "kill the pods, so that they learn the Service's variables" without the outage
    that scaling to zero makes. New pods are ready before old ones go.
  - Its changes have a field manager of their own, C(plumbline-rollout), with which a later
    M(plumbline.kubernetes.deployment) never conflicts.
extends_documentation_fragment:
  - plumbline.kubernetes.auth
  - plumbline.kubernetes.attributes
attributes:
  check_mode:
    support: full
    details: A server-side dry run. A Deployment that does not exist yet is no failure.
  diff_mode:
    support: full
    details: Shows the fields that the action sets.
  idempotent:
    support: partial
    details:
      - A restart without O(service), and an undo without O(to_revision), do something each time.
      - All others change nothing when the Deployment is already in that state.
options:
  name:
    description: Name of the Deployment.
    type: str
    required: true
  namespace:
    description: Its namespace.
    type: str
    required: true
  action:
    description:
      - V(wait) only waits. V(restart) replaces all pods. V(undo) goes back to an earlier revision. V(scale) sets the
        number of pods. V(pause) and V(resume) hold back and release changes of the pod template.
    type: str
    choices: [wait, restart, undo, scale, pause, resume]
    default: wait
  service:
    description:
      - With O(action=restart), name of a Service. Restart only if a running container of the Deployment is older than
        it, and so lacks its environment variables or has those of a Service that was deleted and made again.
    type: str
  to_revision:
    description: With O(action=undo), the revision to go back to. By default the one before the present one.
    type: int
  keep_secrets:
    description:
      - With O(action=undo), mount the Secrets that are mounted now, volume by volume, instead of those of the earlier
        revision. So the configuration goes back, and a certificate that was replaced since does not.
      - Without O(to_revision) a revision that differs in Secrets or annotations only is passed over then.
    type: bool
  replicas:
    description: With O(action=scale), the number of pods.
    type: int
  wait:
    description: Wait for the end of the roll-out. With O(action=pause) there is nothing to wait for.
    type: bool
    default: true
  wait_timeout:
    description: Seconds to wait at most.
    type: int
    default: 180
seealso:
  - module: plumbline.kubernetes.deployment
  - module: plumbline.kubernetes.verify_environment
"""

EXAMPLES = r"""
- name: Restart the pods that are older than their Service, so that they get its variables
  plumbline.kubernetes.rollout:
    name: my-nginx
    namespace: demo
    action: restart
    service: my-nginx

- name: Go back to the revision before
  plumbline.kubernetes.rollout:
    name: my-nginx
    namespace: demo
    action: undo

- name: Go back to the configuration before, with the certificate of today
  plumbline.kubernetes.rollout:
    name: my-nginx
    namespace: demo
    action: undo
    keep_secrets: true

- name: Run five pods
  plumbline.kubernetes.rollout:
    name: my-nginx
    namespace: demo
    action: scale
    replicas: 5
"""

RETURN = r"""
rollout:
  description: Revision and numbers of pods. Empty in check mode, where the Deployment does not exist yet.
  returned: success
  type: dict
  sample:
    revision: 2
    replicas: 2
    updated: 2
    ready: 2
    available: 2
    paused: false
reason:
  description: Why something was done, or why not.
  returned: success
  type: str
  sample: pod my-nginx-7c9d8f6b5-x2k4q started 2026-11-20T10:00:00Z, before Service my-nginx of 2026-11-20T10:05:00Z
pod:
  description: The pod because of which the roll-out cannot succeed.
  returned: on such a failure
  type: str
  sample: my-nginx-7c9d8f6b5-x2k4q
cause:
  description: The reason in the API's own word.
  returned: on such a failure
  type: str
  sample: ImagePullBackOff
"""

import typing as t
from datetime import UTC, datetime

from ansible_collections.plumbline.kubernetes.plugins.module_utils.app import revision
from ansible_collections.plumbline.kubernetes.plugins.module_utils.kube.client import Cluster
from ansible_collections.plumbline.kubernetes.plugins.module_utils.kube.errors import NotFound, OptionError
from ansible_collections.plumbline.kubernetes.plugins.module_utils.kube.kinds import (
    DEPLOYMENT,
    POD,
    REPLICA_SET,
    SERVICE,
)
from ansible_collections.plumbline.kubernetes.plugins.module_utils.kube.module import Definition, Task
from ansible_collections.plumbline.kubernetes.plugins.module_utils.kube.selector import selector_text
from ansible_collections.plumbline.kubernetes.plugins.module_utils.wait.rollout import autoscaler, finished, summary

MANAGER = "plumbline-rollout"
Body = dict[str, t.Any]

OPTIONS: dict[str, t.Any] = {
    "name": {"type": "str", "required": True},
    "namespace": {"type": "str", "required": True},
    "action": {
        "type": "str",
        "choices": ["wait", "restart", "undo", "scale", "pause", "resume"],
        "default": "wait",
    },
    "service": {"type": "str"},
    "to_revision": {"type": "int"},
    # no_log=False: Ansible takes the word secret in a name for a sign of a value to hide.
    "keep_secrets": {"type": "bool", "no_log": False},
    "replicas": {"type": "int"},
    "wait": {"type": "bool", "default": True},
    "wait_timeout": {"type": "int", "default": 180},
}
# Options that belong to one action.
ONLY = {"service": "restart", "to_revision": "undo", "keep_secrets": "undo", "replicas": "scale"}


def action(task: Task, cluster: Cluster) -> dict[str, t.Any]:
    """Read the Deployment, decide on a patch, send it, wait."""
    params = task.params
    for option, owner in ONLY.items():
        if params[option] is not None and params["action"] != owner:
            raise OptionError(f"{option}: given with action={params['action']}, expected action={owner}", option=option)
    live = cluster.get(DEPLOYMENT, params["name"], params["namespace"])
    if live is None:
        what = DEPLOYMENT.describe(params["name"], params["namespace"])
        if task.check_mode:
            # An earlier task of the play would have made it.
            return {"changed": False, "reason": f"{what} does not exist yet", "rollout": {}}
        raise NotFound(f"{cluster.label}: {what} does not exist; create it first", status=404, reason="NotFound")
    patch, reason = _decide(task, cluster, live)
    item = live
    if patch:
        item = cluster.patch(
            DEPLOYMENT, params["name"], params["namespace"], patch, manager=MANAGER, dry_run=task.check_mode
        )
    before, after = revision.touched(live, patch), revision.touched(item, patch)
    changed = before != after
    wait = params["wait"] and not task.check_mode and params["action"] != "pause"
    done = finished(cluster, item, changed=changed, wait=wait, timeout=params["wait_timeout"])
    result = {"changed": changed, "reason": reason, "rollout": summary(done)}
    if task.diff:
        result["diff"] = {"before": before, "after": after}
    return result


def _decide(task: Task, cluster: Cluster, live: Body) -> tuple[Body, str]:
    """The strategic merge patch (empty: nothing to do) and the reason for it."""
    params = task.params
    namespace = params["namespace"]
    if params["action"] == "restart":
        if live["spec"].get("paused"):
            raise OptionError("action: restart asked for, but the roll-out is paused; resume it first", option="action")
        return _restart(task, cluster, live)
    if params["action"] == "undo":
        sets = cluster.list(REPLICA_SET, namespace, labels=selector_text(live["spec"]["selector"])).items
        return revision.undo(live, sets, params["to_revision"], keep_secrets=bool(params["keep_secrets"]))
    if params["action"] == "scale":
        _refuse_autoscaled(task, cluster)
        return {"spec": {"replicas": params["replicas"]}}, f"{params['replicas']} replicas asked for"
    if params["action"] == "wait":
        return {}, "only waited"
    return {"spec": {"paused": params["action"] == "pause"}}, f"{params['action']} asked for"


def _restart(task: Task, cluster: Cluster, live: Body) -> tuple[Body, str]:
    name, namespace = task.params["service"], task.params["namespace"]
    now = datetime.now(UTC)
    if not name:
        return revision.restart(now), "restart asked for"
    service = cluster.get(SERVICE, name, namespace)
    what = SERVICE.describe(name, namespace)
    if service is None and not task.check_mode:
        raise OptionError(f"service: {what} does not exist; create it first", option="service")
    if service is None:
        # An earlier task of the play would have made it: every running container would be older.
        return revision.restart(now), f"{what} does not exist yet"
    if not revision.gives_variables(service, live):
        return {}, f"{what} gives these pods no variables"
    pods = cluster.list(POD, namespace, labels=selector_text(live["spec"]["selector"])).items
    older = revision.older_than(service, pods)
    return (revision.restart(now), older) if older else ({}, f"every running container is younger than {what}")


def _refuse_autoscaled(task: Task, cluster: Cluster) -> None:
    scaler = autoscaler(cluster, task.params["name"], task.params["namespace"])
    if scaler:
        raise OptionError(
            f"replicas: HorizontalPodAutoscaler {scaler} decides the number of pods of this Deployment; change its "
            "minReplicas and maxReplicas instead",
            option="replicas",
        )


MODULE = Definition(OPTIONS, action, required_if=[("action", "scale", ["replicas"])])


def main() -> None:
    """Entry point."""
    MODULE.main()


if __name__ == "__main__":
    main()
