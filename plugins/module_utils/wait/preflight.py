# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Private to this collection: may change in any release.
"""Try a command in a pod of the revision that is about to be rolled out."""

from __future__ import annotations

import contextlib
import secrets
import time
import typing as t

from ..app.preflight import exit_code, labels, pod
from ..app.rollout import GRACE, Cause, Patience, pod_causes, volume_sources
from ..kube.client import Cluster
from ..kube.errors import Forbidden, KubeError, WaitFailed, missing_account, one_line
from ..kube.kinds import DEPLOYMENT, POD
from ..kube.watch import Interest, View
from .rollout import is_there

Body = dict[str, t.Any]

_TRY_AGAIN_AFTER = 0.3


def preflight(cluster: Cluster, deployment: Body, container: str, command: t.Sequence[str], timeout: float) -> None:
    """Run `command` as `container` of `deployment` (as a dry run returned it), in a pod that is deleted again.

    Raises:
        WaitFailed: the command failed, with the end of its output; or the pod cannot start, with the cause.
        WaitTimeout: it took longer than `timeout` seconds.
    """
    metadata = deployment["metadata"]
    namespace = metadata["namespace"]
    deadline = time.monotonic() + timeout
    what = f"{cluster.label}: {DEPLOYMENT.describe(metadata['name'], namespace)}"
    for kind, name in volume_sources(deployment["spec"]["template"]["spec"]):
        if is_there(cluster, kind, name, namespace) is False:
            raise WaitFailed(
                f"{what}: nothing was changed: its pods need {kind} {namespace}/{name}, which does not exist"
            )
    # What an earlier run left when it was killed.
    selector = ",".join(f"{key}={value}" for key, value in labels(metadata["name"]).items())
    cluster.delete_collection(POD, namespace, labels=selector, grace=0)
    made = _create(cluster, pod(deployment, container, command, secrets.token_hex(3)), timeout, what)
    name = made["metadata"]["name"]
    try:
        code, cause = _end(cluster, made, container, max(0.0, deadline - time.monotonic()))
        if code:
            output = one_line(cluster.log(namespace, name, container)[-600:])
            raise WaitFailed(
                f"{what}: nothing was changed: preflight {' '.join(command)} failed with exit code {code}: {output}",
                exit_code=code,
            )
        if cause:
            raise WaitFailed(
                f"{what}: nothing was changed: preflight could not run: {cause.text()}", cause=cause.reason
            )
    finally:
        # Its deadline ends it, and the next preflight deletes it, where this cannot.
        with contextlib.suppress(KubeError):
            cluster.delete(POD, name, namespace)


def _create(cluster: Cluster, body: Body, timeout: float, what: str) -> Body:
    """Create the pod, again and again as long as its service account is not there yet."""
    patience = min(GRACE["ServiceAccountMissing"], timeout)
    deadline = time.monotonic() + patience
    while True:
        try:
            return cluster.create(POD, body)
        except Forbidden as error:
            account = missing_account(str(error))
            if not account:
                raise
            if time.monotonic() + _TRY_AGAIN_AFTER > deadline:
                raise WaitFailed(
                    f"{what}: nothing was changed: its pods need ServiceAccount {account}, which does not exist after "
                    f"{patience:g} s",
                    cause="ServiceAccountMissing",
                ) from None
        time.sleep(_TRY_AGAIN_AFTER)


def _end(cluster: Cluster, made: Body, container: str, timeout: float) -> tuple[int | None, Cause | None]:
    metadata, patience = made["metadata"], Patience()
    itself = Interest(POD, metadata["namespace"], fields=f"metadata.name={metadata['name']}")

    def ended(view: View) -> tuple[int | None, Cause | None] | None:
        items = view.objects(itself)
        if not items:
            return None, Cause("Deleted", "somebody deleted it", metadata["name"])
        code = exit_code(items[0], container)
        if code is not None:
            return code, None
        cause = patience.final(pod_causes(items[0]), time.monotonic())
        return (None, cause) if cause else None

    with View(cluster, [itself]) as view:
        return view.wait(ended, timeout, f"the end of preflight pod {metadata['namespace']}/{metadata['name']}")
