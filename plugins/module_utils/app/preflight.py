# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Private to this collection: may change in any release.
"""The pod that tries a command in the surroundings of a new revision, before the roll-out touches any pod."""

from __future__ import annotations

import typing as t

Body = dict[str, t.Any]

# Seconds after which the kubelet ends the pod, also when nobody waits for it any more.
DEADLINE = 120
_COMPONENT = "preflight"
_OF_A_SERVER = ("args", "ports", "livenessProbe", "readinessProbe", "startupProbe", "lifecycle")


def labels(name: str) -> dict[str, str]:
    """Labels of the pods that try for Deployment `name`; no Service selects them, and no ReplicaSet adopts them."""
    return {
        "app.kubernetes.io/managed-by": "plumbline",
        "app.kubernetes.io/component": _COMPONENT,
        "app.kubernetes.io/instance": name[:63].rstrip("-."),
    }


def pod(deployment: Body, container: str, command: t.Sequence[str], suffix: str) -> Body:
    """The pod in which `command` runs as `container` of `deployment` would: image, user, files, nodes.

    Other containers are left out, since they may never end; init containers stay, since they may write files.
    """
    metadata, template = deployment["metadata"], deployment["spec"]["template"]
    tried = next(one for one in template["spec"]["containers"] if one["name"] == container)
    spec = {key: value for key, value in template["spec"].items() if key != "topologySpreadConstraints"}
    spec |= {
        "containers": [{**{k: v for k, v in tried.items() if k not in _OF_A_SERVER}, "command": list(command)}],
        "restartPolicy": "Never",
        "activeDeadlineSeconds": DEADLINE,
        "terminationGracePeriodSeconds": 0,
    }
    name = f"{metadata['name'][:40].rstrip('-.')}-{_COMPONENT}-{suffix}"
    about = {"name": name, "namespace": metadata["namespace"], "labels": labels(metadata["name"])}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": about, "spec": spec}


def exit_code(item: Body, container: str) -> int | None:
    """How the command ended; None while it has not. A pod that the kubelet ended otherwise counts as -1."""
    status = item.get("status") or {}
    for state in status.get("containerStatuses") or []:
        ended = (state.get("state") or {}).get("terminated")
        if state.get("name") == container and ended:
            return int(ended.get("exitCode", -1))
    return -1 if status.get("phase") == "Failed" else None
