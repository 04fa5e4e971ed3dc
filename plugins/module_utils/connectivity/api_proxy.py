# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Private to this collection: may change in any release.
"""Let the API server ask pods (`pods/proxy`), and say what it saw as other clients do. No pod is started for that."""

from __future__ import annotations

import json
import typing as t
from concurrent.futures import ThreadPoolExecutor

from ..kube.client import Cluster, Reply
from ..kube.errors import ConnectionFailed, TimeOver, one_line
from .probe import ProbeOutcome
from .scope import Probe

_AT_ONCE = 6
# What the API server says where it got no answer itself (apimachinery/pkg/util/proxy, responder of the registry).
_UNREACHED = "error trying to reach service: "
# Words of Go's errors -> class of the agent.
_CLASSES = (
    ("connection refused", "refused"),
    ("i/o timeout", "timeout"),
    ("deadline exceeded", "timeout"),
    ("no route to host", "unreachable"),
    ("network is unreachable", "unreachable"),
    ("connection reset", "reset"),
    ("EOF", "reset"),
    ("first record does not look like a TLS handshake", "scheme"),
    ("server gave HTTP response to HTTPS client", "scheme"),
    ("tls:", "handshake"),
    ("malformed HTTP", "protocol"),
)
# nginx's words, and those of Go's server, for plain HTTP at a port for TLS.
_WANTS_TLS = (b"plain HTTP request was sent to HTTPS port", b"HTTP request to an HTTPS server")


def run(cluster: Cluster, probes: t.Sequence[Probe]) -> ProbeOutcome:
    """Carry out the probes, once each, side by side."""
    with ThreadPoolExecutor(max_workers=_AT_ONCE) as pool:
        found = list(pool.map(lambda probe: _one(cluster, probe), probes))
    return ProbeOutcome({probe.id: item for probe, item in zip(probes, found, strict=True)})


def _one(cluster: Cluster, probe: Probe) -> dict[str, t.Any]:
    task, endpoint = probe.task, probe.endpoint
    if endpoint is None:
        return {"class": "ok"}  # the control: the API server answers
    try:
        reply = cluster.ask_pod(
            probe.vantage.namespace, endpoint.pod, task["port"], task["path"], secure=task["type"] == "https"
        )
    except TimeOver as error:
        return {"class": "deadline", "detail": one_line(str(error), 200)}
    except ConnectionFailed as error:
        return {"class": "timeout", "detail": one_line(str(error), 200)}
    return judge(reply, task)


def judge(reply: Reply, task: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
    """What an answer says, in the form of the agent's observations."""
    failure = _failure(reply)
    if failure:
        said = failure.removeprefix(_UNREACHED)
        kind = next((kind for words, kind in _CLASSES if words in said), "error")
        return {"class": kind, "detail": one_line(said, 200)}
    if task["type"] == "http" and reply.status == 400 and any(words in reply.body for words in _WANTS_TLS):
        return {"class": "scheme", "detail": "it wants TLS"}
    name = reply.headers.get((task["identity_header"] or "").lower(), "")
    value = {
        "statuses": {str(reply.status): 1},
        "contains": {marker: marker.encode() in reply.body for marker in task["contains"]},
        "identities": {one_line(name, 200): 1} if name else {},
        "classes": {"ok": 1},
        "count": 1,
    }
    return {"class": "ok", "detail": f"status {reply.status}", "value": value}


def _failure(reply: Reply) -> str:
    """Why the API server answered in the place of the pod; empty where the pod did."""
    if reply.status < 400 or "json" not in reply.headers.get("content-type", ""):
        return ""
    try:
        document = json.loads(reply.body)
    except ValueError:
        return ""
    if not isinstance(document, dict) or (document.get("kind"), document.get("apiVersion")) != ("Status", "v1"):
        return ""
    return str(document.get("message") or "the API server refused")
