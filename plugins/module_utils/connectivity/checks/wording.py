# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Private to this collection: may change in any release.
"""Part of the layer workload: how what is wrong with a pod is put into words."""

from __future__ import annotations

import re
import typing as t

from ..behind import Behind, name_of
from ..facts import Body
from ..result import Finding
from .common import Bench

# Seconds that a state must last before it counts.
START = 30


def accuse(bench: Bench, behind: Behind, pod: Body, check: str, part: str, message: str, **more: t.Any) -> Finding:
    """A complaint of a pod; `part` is which of its parts it accuses: scheduled, started or ready."""
    return bench.accused(
        check,
        message,
        served=behind.served,
        object=name_of(pod),
        component=f"{part}/{pod['metadata']['name']}",
        **more,
    )


def field_of(spec: Body) -> str:
    return f"spec.containers[{spec['name']}]"


def tail(message: str, image: str = "") -> str:
    """The end of a chain of causes, which is what tells: `<image>: not found`."""
    for words in (f'"{image}": ', "unable to start container process: ", "failed to create containerd task: "):
        message = message.rpartition(words)[2] or message
    return re.sub(r" \(pod: .*\)$|read udp \S+: ", "", message).removeprefix("Error: ")


def hint(table: t.Sequence[tuple[str, str]], text: str) -> str:
    return next((hint for pattern, hint in table if re.search(pattern, text, re.IGNORECASE)), "")


def probe_text(message: str) -> str:
    """What a probe saw, of a kubelet's `Readiness probe failed: Get "http://10.0.0.1:80/": dial tcp ...`."""
    text = re.sub(r"^\w+ probe \w+: ", "", message)
    text = re.sub(r'^Get "([a-z]+)://[^/"]*?:(\d+)(/[^"]*)": ', r"GET \1 port \2 \3: ", text)
    text = text.replace("HTTP probe failed with statuscode: ", "status ")
    return re.sub(r"dial tcp \S+: (connect: )?", "", text)


def asked(probe: Body, spec: Body) -> str:
    """What a probe asks for, in words."""
    port = probe_port(probe, spec)
    if "httpGet" in probe:
        scheme = str(probe["httpGet"].get("scheme") or "HTTP")
        return f"a status of 200 to 399 from {scheme} port {port} {probe['httpGet'].get('path') or '/'}"
    if "tcpSocket" in probe:
        return f"a connection to port {port}"
    if "grpc" in probe:
        return f"SERVING from gRPC port {port}"
    return "a command that ends with exit code 0"


def probe_port(probe: Body, spec: Body) -> int | None:
    """The number of the port that a probe asks; None for a command, or for a name that the container does not have."""
    given = next((probe[kind].get("port") for kind in ("httpGet", "tcpSocket", "grpc") if probe.get(kind)), None)
    if isinstance(given, str) and not given.isdigit():
        return next((p["containerPort"] for p in spec.get("ports") or [] if p.get("name") == given), None)
    return int(given) if given is not None else None
