# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Private to this collection: may change in any release.
"""The certificate that a pod has mounted, read in its container. The key beside it is not touched."""

from __future__ import annotations

from ..kube.client import Cluster
from ..kube.errors import ConnectionFailed, Forbidden, NotFound, Unauthorized, cannot, one_line
from ..kube.exec import ExecResult, execute
from ..pki.certificates import fingerprint, parse_chain
from ..pki.errors import PkiError
from .look import Mounted
from .snapshot import Container, Pod, Snapshot

FILE = "tls.crt"
_SECONDS = 8.0


def to_read(snapshot: Snapshot, path: str, most: int) -> list[tuple[Pod, Container]]:
    """The running containers that mount something at `path`: the first one of each pod behind a ready endpoint."""
    ready = {endpoint.pod_uid for endpoint in snapshot.endpoints if endpoint.ready}
    pods = sorted((pod for pod in snapshot.pods if pod.uid in ready), key=lambda pod: pod.name)
    found = [(pod, next((c for c in pod.containers if path in c.mounts and c.started), None)) for pod in pods]
    return [(pod, container) for pod, container in found if container is not None][:most]


def read(cluster: Cluster, pod: Pod, container: Container, path: str) -> Mounted | None:
    """What is mounted there; None when the pod is gone."""
    words = ["cat", f"{path}/{FILE}"]
    try:
        result = execute(cluster, pod.namespace, pod.name, container.name, words, timeout=_SECONDS)
    except NotFound:
        return None
    except (Forbidden, Unauthorized):
        why = cannot("create", "pods", pod.namespace, "exec")
        return Mounted(pod, container.name, verdict="skipped", detail=why)
    except ConnectionFailed as error:
        return Mounted(pod, container.name, verdict="undecided", detail=str(error))
    return judge(pod, container.name, f"{path}/{FILE}", result)


def judge(pod: Pod, container: str, file: str, result: ExecResult) -> Mounted:
    """What a container said."""
    if result.exit_code in (126, 127) or "executable file not found" in result.detail:
        return Mounted(pod, container, verdict="skipped", detail="the image has no cat to read it with")
    if result.verdict == "unknown":
        return Mounted(pod, container, verdict="undecided", detail=result.detail)
    try:
        return Mounted(pod, container, fingerprint(parse_chain(result.stdout.encode(), what=file)[0]))
    except PkiError as error:
        said = result.stderr.strip().splitlines()
        return Mounted(pod, container, verdict="unreadable", detail=one_line(said[0], 200) if said else str(error))
