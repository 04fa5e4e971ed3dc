# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The picture of a look, as data."""

from __future__ import annotations

import json
import typing as t
from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from ansible_collections.plumbline.kubernetes.plugins.module_utils.connectivity.look import Look, Observation
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


def edges(seen: Look, **wanted: str) -> list[dict[str, t.Any]]:
    return [edge for edge in topology(seen)["edges"] if all(edge[key] == value for key, value in wanted.items())]


def test_a_healthy_service_is_whole_and_all_ways_are_good() -> None:
    seen = topology(look())
    assert (seen["service"]["namespace"], seen["service"]["name"], seen["service"]["cluster_ips"]) == (
        "demo",
        "web",
        ["10.96.1.1"],
    )
    assert [client["label"] for client in seen["clients"]] == ["node-1", "node-2", "node-3"]
    assert all(client["works"] for client in seen["clients"])
    assert [(one["pod"], one["ports"], one["slice"]) for one in seen["endpoints"]] == [
        ("web-1", [80], "web-abc"),
        ("web-2", [80], "web-abc"),
    ]
    assert {edge["status"] for edge in seen["edges"]} == {"ok"}
    assert {(edge["by"], edge["to"]) for edge in seen["edges"]} == {
        ("direct", "web-1"),
        ("direct", "web-2"),
        ("cluster_ip", "service"),
        ("name", "service"),
        ("api_server", "api-server"),
        ("resolve", "dns"),
        ("dns", "dns"),
        ("dns", "coredns-2"),
        ("dns", "coredns-3"),
    }
    assert seen["omitted"] == {}
    assert json.loads(json.dumps(seen)) == seen


def partly(probe: Probe, good: Observation) -> Observation:
    if probe.purpose == "cluster_ip" and probe.vantage.node == "node-2":
        return replace(good, kind="timeout", ms=2000.0, value={**good.value, "classes": {"ok": 3, "timeout": 1}})
    return replace(good, ms=4.0)


def not_for_this(probe: Probe, good: Observation) -> Observation:
    if probe.endpoint and probe.endpoint.pod == "web-2":
        return failing("refused")
    if probe.purpose == "node_port":
        return failing("deadline")
    return good


def lying(probe: Probe, good: Observation) -> Observation:
    if probe.purpose == "name":
        return replace(good, value={**good.value, "statuses": {"200": 1, "404": 2}, "classes": {"ok": 3}})
    if probe.purpose == "direct":
        return replace(good, value={**good.value, "contains": {"Welcome": False}})
    if probe.purpose == "resolve" and probe.expected:
        return replace(good, value={"addresses": ["192.0.2.7"]})
    if probe.purpose == "dns" and probe.label == "address":
        return replace(good, value={**good.value, "answers": ["192.0.2.7"]})
    return good


@pytest.mark.parametrize(
    ("broken", "where", "status", "classes"),
    [
        (partly, {"by": "cluster_ip", "client": "node-2"}, "partial", {"ok": 3, "timeout": 1}),
        (partly, {"by": "direct", "to": "web-1"}, "ok", {"ok": 1}),
        (not_for_this, {"by": "direct", "to": "web-2"}, "failed", {"refused": 1}),
        (not_for_this, {"by": "node_port", "to": "node-1"}, "undecided", {"deadline": 1}),
        (lying, {"by": "name"}, "partial", {"ok": 1, "status 404": 2}),
        (lying, {"by": "direct"}, "failed", {"wrong content": 1}),
        (lying, {"by": "resolve", "target": "web"}, "failed", {"wrong address": 1}),
    ],
)
def test_what_a_way_is_called(
    broken: t.Callable[[Probe, Observation], Observation], where: dict[str, str], status: str, classes: dict[str, int]
) -> None:
    ported = service(type="NodePort", ports=(replace(service().ports[0], node_port=30080),))
    found = edges(look(snapshot(of=ported), broken=broken), **where)
    assert found
    assert {(edge["status"], json.dumps(edge["classes"])) for edge in found} == {(status, json.dumps(classes))}


def test_many_questions_to_one_dns_server_are_one_way() -> None:
    udp, tcp = edges(look(broken=lying), client="node-1", by="dns", to="dns")
    assert (udp["target"], tcp["target"]) == ("10.96.0.10 (UDP)", "10.96.0.10 (TCP)")
    assert (udp["status"], tcp["status"]) == ("partial", "failed")
    assert udp["classes"]["wrong answer"] == tcp["classes"]["wrong answer"] == 2


def test_a_name_that_must_not_resolve_is_good_when_it_does_not() -> None:
    seen = look(asked=question(other_namespace="other"))
    assert edges(seen, client="node-1 (namespace other)", by="resolve", target="web")[0]["status"] == "ok"


def test_time_is_the_median_of_the_questions() -> None:
    assert {edge["ms"] for edge in edges(look(broken=partly), by="direct")} == {4.0}


def test_a_client_that_delivered_nothing_says_why() -> None:
    gone = look(broken=lambda probe, good: None if probe.vantage.node == "node-3" else good)
    lost = {vantage: "image cannot be pulled" for vantage in gone.plan.vantages if vantage.node == "node-3"}
    clients = topology(replace(gone, lost=lost))["clients"]
    assert clients[2] == {
        "label": "node-3",
        "node": "node-3",
        "namespace": "demo",
        "works": False,
        "detail": "image cannot be pulled",
    }
    assert not edges(gone, client="node-3")


def test_pods_and_endpoints_that_are_not_ready_come_first() -> None:
    bad = pod(2, ready=False, unready_reason="CrashLoopBackOff")
    before = snapshot([pod(1), bad])
    before = replace(before, endpoints=(before.endpoints[0], replace(before.endpoints[1], ready=False)))
    seen = topology(look(before))
    assert [(one["name"], one["reason"]) for one in seen["pods"]] == [("web-2", "CrashLoopBackOff"), ("web-1", "")]
    assert [one["ready"] for one in seen["endpoints"]] == [False, True]


def test_many_pods_are_left_out_but_counted() -> None:
    many = [replace(pod(1), name=f"web-{n}", uid=f"u{n}") for n in range(600)]
    seen = topology(look(snapshot(many), asked=question(layers=("dns",))))
    assert len(seen["pods"]) == 500
    assert seen["omitted"] == {"endpoints": 100, "pods": 100}


def test_certificates_are_told_by_what_everybody_is_served() -> None:
    leaf = make("web", new_key(), (ROOT, ROOT_KEY))
    port = replace(service().ports[0], name="https", port=443, target_port=8443)

    def serve(probe: Probe, good: Observation) -> Observation:
        if probe.task["type"] != "https":
            return good
        code = 62 if probe.vantage.node == "node-1" else 0
        served = {"chain": [leaf.public_bytes(Encoding.DER)], "protocol": "TLSv1.3", "below": "", "code": code}
        return replace(good, value={"served": [served], "statuses": {"200": 1}, "classes": {"ok": 1}, "clock": 0})

    secure = service(ports=(port,))
    seen = topology(look(snapshot(of=secure), broken=serve))
    (certificate,) = seen["certificates"]
    assert certificate["where"] == "port https (443/TCP)"
    assert certificate["served_by"] == ["web-1", "web-2"]
    assert certificate["serial"] == f"{leaf.serial_number:x}"
    assert set(certificate) == {
        "where", "served_by", "names", "subject", "issuer", "not_before", "not_after", "serial", "fingerprint",
    }  # fmt: skip
    refused = [edge for edge in seen["edges"] if edge["status"] == "failed"]
    assert {edge["client"] for edge in refused} == {"node-1"}
    assert all(edge["classes"] == {"bad certificate": 1} for edge in refused)


def test_the_client_outside_and_the_ways_it_took() -> None:
    exposed = service(type="LoadBalancer", ingress=("192.0.2.1",), ports=(ServicePort("", "TCP", 80, 80, 30080),))
    asked = question(layers=("http", "outside"))

    def silent(probe: Probe, good: Observation) -> Observation:
        return failing("timeout") if probe.purpose == "outside_balancer" else good

    seen = topology(look(snapshot(of=exposed), asked, silent))
    assert seen["service"]["addresses"] == ["192.0.2.1"]
    assert {"label": "outside", "node": "", "namespace": "", "works": True, "detail": ""} in seen["clients"]
    edges = [(edge["by"], edge["to"], edge["status"]) for edge in seen["edges"] if edge["client"] == "outside"]
    assert edges == [
        ("load_balancer", "service", "failed"),
        *(("node_port", f"node-{n}", "ok") for n in (1, 2, 3)),
    ]


def test_strangers_words_are_made_safe() -> None:
    hostile = pod(1, ready=False, unready_reason="\x1b[2J\x00\u202eevil\nline")
    text = json.dumps(topology(look(snapshot([hostile]))), ensure_ascii=False)
    assert "evil line" in text
    assert not {"\x1b", "\x00", "\u202e"} & set(text)
