# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Private to this collection: may change in any release.
"""Restart and undo of a Deployment as patches: pure."""

from __future__ import annotations

import typing as t
from datetime import datetime

from ..kube.errors import OptionError
from .rollout import REVISION, TEMPLATE_HASH, owned_by

Body = dict[str, t.Any]

# The annotation of `kubectl rollout restart`, so that both tools see each other's restarts.
RESTARTED_AT = "kubectl.kubernetes.io/restartedAt"


def restart(now: datetime) -> Body:
    """The patch of a restart, in the words of `kubectl rollout restart`."""
    stamp = now.strftime("%Y-%m-%dT%H:%M:%SZ")
    return {"spec": {"template": {"metadata": {"annotations": {RESTARTED_AT: stamp}}}}}


def gives_variables(service: Body, deployment: Body) -> bool:
    """Whether the kubelet makes variables of this Service for the Deployment's pods (pkg/kubelet/envvars).

    A headless Service and an ExternalName have no address to tell, and pods can do without Service links.
    """
    address = service["spec"].get("clusterIP")
    links = deployment["spec"]["template"]["spec"].get("enableServiceLinks", True)
    return address not in (None, "", "None") and links is not False


def older_than(service: Body, pods: t.Sequence[Body]) -> str:
    """One line about the first running container that started before the Service was made; empty without one.

    Variables date from the container's start, not the pod's: a restarted container has the present ones.
    API times have whole seconds, so a container of the same second may be either; it counts as older, since a
    needless restart costs nothing and missing variables cost a failure.
    """
    created = service["metadata"]["creationTimestamp"]
    for pod in pods:
        if pod["metadata"].get("deletionTimestamp"):
            continue
        for container in (pod.get("status") or {}).get("containerStatuses") or []:
            started = ((container.get("state") or {}).get("running") or {}).get("startedAt")
            if started and started <= created:
                return (
                    f"pod {pod['metadata']['name']}, container {container['name']} started {started}, "
                    f"before Service {service['metadata']['name']} of {created}"
                )
    return ""


def undo(
    deployment: Body, replica_sets: t.Sequence[Body], to_revision: int | None, *, keep_secrets: bool = False
) -> tuple[Body, str]:
    """The patch that brings back the pod template of an earlier revision, and its reason.

    Args:
        keep_secrets: mount the Secrets of the present template; then a revision that differs in nothing else, or in
            annotations only, as after a restart, is none to go back to.

    Raises:
        OptionError: there is no such revision.
    """
    if deployment["spec"].get("paused"):
        raise OptionError("action: undo asked for, but the roll-out is paused; resume it first", option="action")
    present = _revision(deployment)
    known = {_revision(rs): rs for rs in owned_by(replica_sets, deployment["metadata"]["uid"])}
    if keep_secrets:
        known = {number: _with_secrets_of(deployment, rs) for number, rs in known.items()}
    others = [r for r in known if r < present and not (keep_secrets and _same_pods(known[r], deployment))]
    target = to_revision if to_revision is not None else max(others, default=0)
    if target == present:
        return {}, f"revision {present} is the present one"
    if target not in known:
        listed = ", ".join(str(r) for r in sorted(known)) or "none"
        wanted = "a revision before the present one" + (" with another configuration" if keep_secrets else "")
        wanted = wanted if to_revision is None else f"revision {to_revision}"
        raise OptionError(f"to_revision: {wanted} is not kept; kept are {listed}, present is {present}")
    template = known[target]["spec"]["template"]
    labels = {key: value for key, value in (template["metadata"].get("labels") or {}).items() if key != TEMPLATE_HASH}
    metadata = {"labels": labels, "annotations": template["metadata"].get("annotations")}
    wanted_template = {"metadata": metadata, "spec": template["spec"]}
    # `$patch: replace` makes the strategic merge take the template as a whole.
    return {"spec": {"template": {"$patch": "replace", **wanted_template}}}, f"back from revision {present} to {target}"


def touched(deployment: Body, patch: Body) -> Body:
    """The part of a Deployment that `patch` speaks of, for `changed` and diff."""
    return _part(deployment, patch) if patch else {}


def _part(value: t.Any, patch: t.Any) -> t.Any:
    if not isinstance(patch, dict) or "$patch" in patch or not isinstance(value, dict):
        return value
    return {key: _part(value.get(key), child) for key, child in patch.items()}


def _with_secrets_of(deployment: Body, replica_set: Body) -> Body:
    """A revision with the present Secrets in the volumes of the same names: a certificate goes forward only."""
    volumes = _pod(deployment).get("volumes") or []
    present = {volume["name"]: volume["secret"]["secretName"] for volume in volumes if "secret" in volume}
    kept = [
        {**volume, "secret": {**volume["secret"], "secretName": present[volume["name"]]}}
        if "secret" in volume and volume["name"] in present
        else volume
        for volume in _pod(replica_set).get("volumes") or []
    ]
    template = replica_set["spec"]["template"]
    pod = {**template["spec"], "volumes": kept} if kept else template["spec"]
    return {**replica_set, "spec": {**replica_set["spec"], "template": {**template, "spec": pod}}}


def _same_pods(one: Body, other: Body) -> bool:
    return _pod(one) == _pod(other)


def _pod(owner: Body) -> Body:
    found: Body = owner["spec"]["template"]["spec"]
    return found


def _revision(item: Body) -> int:
    return int((item["metadata"].get("annotations") or {}).get(REVISION) or 0)
