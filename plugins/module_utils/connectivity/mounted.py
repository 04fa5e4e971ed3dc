# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Private to this collection: may change in any release.
"""The certificate that a pod has mounted, read in its container. The key beside it is not touched."""

from __future__ import annotations

from ..kube.errors import one_line
from ..pki.certificates import fingerprint, parse_chain
from ..pki.errors import PkiError
from .inside import Heard, Inside
from .look import Mounted
from .snapshot import Container, Pod, Snapshot

FILE = "tls.crt"


def to_read(snapshot: Snapshot, path: str, most: int) -> list[tuple[Pod, Container]]:
    """The running containers that mount something at `path`: the first one of each pod behind a ready endpoint."""
    ready = {endpoint.pod_uid for endpoint in snapshot.endpoints if endpoint.ready}
    pods = sorted((pod for pod in snapshot.pods if pod.uid in ready), key=lambda pod: pod.name)
    found = [(pod, next((c for c in pod.containers if path in c.mounts and c.started), None)) for pod in pods]
    return [(pod, container) for pod, container in found if container is not None][:most]


def read(inside: Inside, pod: Pod, container: Container, path: str) -> Mounted | None:
    """What is mounted there; None when the pod is gone."""
    file = f"{path}/{FILE}"
    said = inside.run(pod, container, ["cat", file], "to read it with")
    return None if said is None else judge(pod, container.name, file, said)


def judge(pod: Pod, container: str, file: str, said: Heard) -> Mounted:
    """What a container said."""
    result = said.result
    if result is None:
        return Mounted(pod, container, verdict=said.verdict, detail=said.detail)
    try:
        return Mounted(pod, container, fingerprint(parse_chain(result.stdout.encode(), what=file)[0]))
    except PkiError as error:
        lines = result.stderr.strip().splitlines()
        return Mounted(pod, container, verdict="unreadable", detail=one_line(lines[0], 200) if lines else str(error))
