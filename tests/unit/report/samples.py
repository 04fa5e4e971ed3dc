# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Result documents as the engine writes them, of small clusters that are healthy or broken in one way."""

from __future__ import annotations

import json
import typing as t
from dataclasses import replace
from datetime import UTC, datetime

from cryptography.hazmat.primitives.serialization import Encoding

from ansible_collections.plumbline.kubernetes.plugins.module_utils.connectivity.checks import judge
from ansible_collections.plumbline.kubernetes.plugins.module_utils.connectivity.look import Look, Observation
from ansible_collections.plumbline.kubernetes.plugins.module_utils.connectivity.result import Report
from ansible_collections.plumbline.kubernetes.plugins.module_utils.connectivity.scope import Probe
from ansible_collections.plumbline.kubernetes.plugins.module_utils.connectivity.snapshot import ServicePort
from ansible_collections.plumbline.kubernetes.plugins.module_utils.connectivity.topology import topology
from ansible_collections.plumbline.kubernetes.tests.unit.connectivity.builders import (
    failing,
    look,
    pod,
    question,
    service,
    snapshot,
)
from ansible_collections.plumbline.kubernetes.tests.unit.pki_material import ROOT, ROOT_KEY, make, new_key

STARTED = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
Document = dict[str, t.Any]

_PORTS = (
    ServicePort("http", "TCP", 80, 80, node_port=30080),
    ServicePort("https", "TCP", 443, 443, node_port=30443),
)
_LEAF = make("web", new_key(), (ROOT, ROOT_KEY), names=("web", "web.demo", "web.demo.svc.cluster.local"))
_SERVED = {"chain": [_LEAF.public_bytes(Encoding.DER)], "protocol": "TLSv1.3", "below": "", "code": -1, "text": ""}
_PAGE = {
    "statuses": {"200": 3},
    "contains": {},
    "identities": {},
    "classes": {"ok": 3},
    "served": [_SERVED],
    "clock": int(STARTED.timestamp()),
}


def write(seen: Look, **more: t.Any) -> Document:
    """The document of one look."""
    nodes = tuple(vantage.node for vantage in seen.plan.vantages)
    report = Report(
        "Service demo/web",
        "kind-demo (https://127.0.0.1:6443)",
        tuple(judge(seen)),
        nodes,
        1,
        4.21,
        STARTED,
        topology(seen),
    )
    document: Document = json.loads(json.dumps({**report.as_document(), **more}))
    return document


def _timed(probe: Probe, good: Observation) -> Observation:
    if probe.task["type"] == "https":
        good = Observation("ok", value=_PAGE)
    slow = {"api_server": 1.1, "direct": 1.6, "cluster_ip": 2.4, "name": 5.9, "dns": 0.8, "resolve": 3.2}
    return replace(good, ms=slow.get(probe.purpose, 2.0))


def healthy() -> Document:
    """Two pods on two nodes, HTTP and HTTPS, three clients."""
    return write(look(snapshot(of=service(type="NodePort", ports=_PORTS)), broken=_timed), causes=[])


def _node_2_loses(probe: Probe, good: Observation) -> Observation:
    if probe.vantage.node == "node-2" and probe.purpose in ("cluster_ip", "name"):
        return replace(failing("timeout"), ms=2000.0)
    if probe.endpoint and probe.endpoint.pod == "web-2":
        return replace(failing("refused"), ms=0.4)
    if probe.purpose == "cluster_ip":
        return replace(good, kind="refused", ms=2.2, value={**good.value, "classes": {"ok": 12, "refused": 9}})
    return _timed(probe, good)


def broken() -> Document:
    """A pod that refuses, and a node whose proxy loses packets."""
    causes = [
        {
            "id": "EP-11",
            "title": "Pod web-2 is Ready but nothing listens on port 80",
            "component": "answer/web-2",
            "object": "Pod demo/web-2",
            "field": "10.244.2.5:80",
            "observed": {"node-1": "refused", "node-2": "refused", "node-3": "refused"},
            "expected": "an answer to every client",
            "confidence": "certain",
            "evidence": {"probe": "HTTP GET / at 10.244.2.5:80 from node-1", "detail": "connect: connection refused"},
            "consequences": [
                {"id": "EP-12", "object": "Service demo/web", "message": "9 of 21 connections are refused"},
                {"id": "DP-03", "object": "Service demo/web", "message": "does not answer every time by cluster IP"},
            ],
            "fix": {
                "text": "Let the container listen on port 80, or let targetPort name the port that it listens on.",
                "kubectl": "kubectl -n demo patch service web --type json -p \\\n"
                '  \'[{"op": "replace", "path": "/spec/ports/0/targetPort", "value": 8080}]\'',
                "task": "- name: Lead to the port that the pods listen on\n  plumbline.kubernetes.service:\n"
                "    name: web\n    namespace: demo\n    ports:\n      - port: 80\n        target_port: 8080\n",
            },
            "second": {
                "title": "A network policy rejects the connections to web-2",
                "apart": "web-1, with the same labels, answers the same clients.",
            },
            "runbook": "docs/causes/workload.md#answer-an-application-does-not-answer",
        },
        {
            "id": "DP-03",
            "title": "The service proxy of node-2 does not lead to the Service",
            "component": "proxy/node-2",
            "object": "Node node-2",
            "field": "",
            "observed": "timeout",
            "expected": "an answer to every client",
            "confidence": "likely",
            "evidence": {},
            "consequences": [],
            "fix": {"text": "Look at kube-proxy on node-2.", "kubectl": "", "task": ""},
            "second": None,
            "runbook": "docs/causes/network.md#proxy-the-service-proxy-of-a-node-fails",
        },
    ]
    return write(look(snapshot(of=service(type="NodePort", ports=_PORTS[:1])), broken=_node_2_loses), causes=causes)


def outside() -> Document:
    """A load balancer that lets nobody in, before nodes that answer."""

    def silent(probe: Probe, good: Observation) -> Observation:
        return failing("timeout") if probe.purpose == "outside_balancer" else _timed(probe, good)

    exposed = service(type="LoadBalancer", ports=_PORTS[:1], ingress=("192.0.2.1",))
    return write(look(snapshot(of=exposed), question(layers=("endpoints", "dns", "http", "outside")), silent))


def empty() -> Document:
    """A selector that selects nothing."""
    before = snapshot([], of=service(selector=(("app", "webb"),)), strangers=(pod(1), pod(2)))
    return write(look(before))


def unready(count: int = 30) -> Document:
    """Many pods, one of them not ready."""
    pods = [
        replace(pod(n % 3 + 1), name=f"web-7d9c6b5f4-{n:05}", uid=f"u{n}", ips=(f"10.244.9.{n}",)) for n in range(count)
    ]
    pods[3] = replace(pods[3], ready=False, unready_reason="CrashLoopBackOff")
    before = snapshot(pods)
    well = {one.name: one.ready for one in pods}
    before = replace(
        before, endpoints=tuple(replace(e, ready=well[e.pod], serving=well[e.pod]) for e in before.endpoints)
    )
    return write(look(before, asked=question(), broken=_timed))
