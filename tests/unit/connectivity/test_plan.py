# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which probes a question leads to."""

from __future__ import annotations

import collections
import typing as t
from dataclasses import replace

import pytest

from ansible_collections.plumbline.kubernetes.plugins.module_utils.connectivity import ports
from ansible_collections.plumbline.kubernetes.plugins.module_utils.connectivity.plan import Plan, client_nodes, plan
from ansible_collections.plumbline.kubernetes.plugins.module_utils.connectivity.question import (
    Client,
    Expectations,
    Question,
    Tls,
)
from ansible_collections.plumbline.kubernetes.plugins.module_utils.connectivity.snapshot import (
    Node,
    ServicePort,
    Snapshot,
)
from ansible_collections.plumbline.kubernetes.tests.unit.connectivity.builders import (
    HTTP,
    NODES,
    endpoint,
    pod,
    question,
    service,
    snapshot,
)


def planned(of: Snapshot | None = None, asked: Question | None = None) -> Plan:
    found, wanted = of or snapshot(), asked or question()
    return plan(wanted, found, client_nodes(found, wanted.nodes, wanted.max_nodes))


def targets(found: Plan, purpose: str, node: str = "node-1") -> list[str]:
    return [probe.target for probe in found.probes if probe.purpose == purpose and probe.vantage.node == node]


def test_every_client_asks_every_endpoint_and_every_path() -> None:
    found = planned()
    assert [vantage.node for vantage in found.vantages] == ["node-1", "node-2", "node-3"]
    for node in ("node-1", "node-2", "node-3"):
        assert targets(found, "control", node)
        assert targets(found, "api_server", node) == ["10.96.0.1:443"]
        assert targets(found, "direct", node) == ["10.244.1.5:80", "10.244.2.5:80"]
        assert targets(found, "cluster_ip", node) == ["10.96.1.1:80"]
        assert targets(found, "name", node) == ["web:80"]


def test_ids_are_unique_among_the_probes_of_a_client() -> None:
    many = service(ports=(HTTP, ServicePort("alt", "TCP", 81, 80), ServicePort("https", "TCP", 443, 443)))
    found = planned(snapshot(of=many), question(other_namespace="other"))
    counts = collections.Counter((probe.vantage, probe.id) for probe in found.probes)
    assert [key for key, count in counts.items() if count > 1] == []


def test_tasks_carry_what_the_agent_needs() -> None:
    found = planned()
    (task,) = [task for task in found.tasks(found.vantages[0]) if task["id"] == "cluster-ip/10.96.1.1:80"]
    assert task["type"] == "http"
    assert task["repeat"] == 21
    assert task["host"] == "web"
    assert task["identity_header"] == "Served-By"


@pytest.mark.parametrize(
    ("layers", "purposes"),
    [
        (("environment",), set()),
        (("endpoints",), {"control", "resolv_conf", "api_server", "direct", "cluster_ip"}),
        (("http",), {"control", "resolv_conf", "api_server", "direct", "cluster_ip", "name"}),
        (("dns",), {"control", "resolv_conf", "api_server", "resolve", "dns"}),
    ],
)
def test_layers_ask_for_their_own_probes_only(layers: tuple[str, ...], purposes: set[str]) -> None:
    assert {probe.purpose for probe in planned(asked=question(layers=layers)).probes} == purposes


@pytest.mark.parametrize(
    ("changes", "direct", "cluster_ip"),
    [
        ({"headless": True, "cluster_ips": ()}, 2, 0),
        ({"type": "ExternalName", "cluster_ips": (), "external_name": "example.com"}, 0, 0),
        ({"ports": (ServicePort("dns", "UDP", 53, 53),)}, 0, 0),
    ],
)
def test_what_kinds_of_service_can_be_asked(changes: dict[str, t.Any], direct: int, cluster_ip: int) -> None:
    found = planned(snapshot(of=service(**changes)))
    assert (len(targets(found, "direct")), len(targets(found, "cluster_ip"))) == (direct, cluster_ip)


def test_a_headless_name_leads_to_the_ports_of_the_pods() -> None:
    headless = service(headless=True, cluster_ips=(), ports=(ServicePort("http", "TCP", 8080, 80),))
    assert targets(planned(snapshot(of=headless)), "name") == ["web:80"]


def test_a_client_elsewhere_uses_the_longer_name() -> None:
    found = planned(asked=question(client=Client("shop")))
    assert targets(found, "name") == ["web.demo:80"]
    (short,) = [probe for probe in found.probes if probe.target == "web" and probe.vantage.node == "node-1"]
    assert short.expected == ()


def test_another_namespace_gets_a_client_of_its_own() -> None:
    found = planned(asked=question(other_namespace="other"))
    assert found.vantages[-1].namespace == "other"
    purposes = {probe.purpose for probe in found.probes if probe.vantage == found.vantages[-1]}
    assert purposes == {"control", "resolv_conf", "api_server", "resolve"}


REFUSED = Expectations(refused_from=(("other", {"app": "x"}), ("demo", {"app": "y"}), ("other", {"app": "x"})))


def test_who_must_be_refused_tries_what_a_client_beside_it_asks() -> None:
    ports = (HTTP, ServicePort("https", "TCP", 443, 443))
    found = planned(
        snapshot(of=service(ports=ports)), question(layers=("policy", "http"), expect=REFUSED, client=Client("shop"))
    )
    assert [(one.vantage.namespace, one.vantage.node, one.labels) for one in found.strangers] == [
        ("other", "node-1", (("app", "x"),)),
        ("demo", "node-1", (("app", "y"),)),
    ]
    for one in found.strangers:
        mine = [probe for probe in found.probes if probe.vantage == one.vantage]
        assert [(probe.purpose, probe.task["type"], probe.target) for probe in mine] == [
            ("control", "control", "itself"),
            ("refused", "http", "10.96.1.1:80"),
            ("refused", "tcp", "10.96.1.1:443"),
            ("refused", "http", "10.244.1.5:80"),
            ("refused", "tcp", "10.244.1.5:443"),
        ]
        beside = {probe.id for probe in found.probes if probe.vantage == found.vantages[0]}
        assert {probe.label for probe in mine if probe.purpose == "refused"} <= beside
        assert {task.get("repeat", 1) for task in found.tasks(one.vantage)} == {1}


@pytest.mark.parametrize("changes", [{"ask": False}, {"layers": ("policy", "dns")}, {"layers": ("http",)}])
def test_who_must_be_refused_tries_nothing_where_nobody_asks_for_it(changes: dict[str, t.Any]) -> None:
    asked = replace(question(layers=("policy", "http"), expect=REFUSED), **changes)
    assert planned(asked=asked).strangers == ()


def test_nobody_is_asked_who_may_not_answer() -> None:
    unready = endpoint(pod(2), ready=False, serving=False)
    found = planned(snapshot(endpoints=(endpoint(pod(1)), unready)))
    assert targets(found, "direct") == ["10.244.1.5:80"]
    local = planned(snapshot(of=service(internal_local=True)))
    assert targets(local, "cluster_ip", "node-1") == ["10.96.1.1:80"]
    assert targets(local, "cluster_ip", "node-3") == []
    assert targets(local, "name", "node-3") == []


@pytest.mark.parametrize(
    ("policy", "pods", "client", "expected"),
    [
        (False, (1, 2), "node-1", ["172.18.0.1:30080", "172.18.0.2:30080", "172.18.0.3:30080"]),
        # Under the policy Local: the own node always, others only when no other endpoint could be chosen.
        (True, (1, 2), "node-1", ["172.18.0.1:30080"]),
        (True, (1, 2), "node-3", ["172.18.0.3:30080"]),
        (True, (1,), "node-3", ["172.18.0.1:30080", "172.18.0.3:30080"]),
    ],
)
def test_node_ports(policy: bool, pods: tuple[int, ...], client: str, expected: list[str]) -> None:
    port = ServicePort("http", "TCP", 80, 80, 30080)
    exposed = service(type="NodePort", external_local=policy, ports=(port,))
    assert sorted(targets(planned(snapshot([pod(n) for n in pods], exposed)), "node_port", client)) == expected


@pytest.mark.parametrize(
    ("wanted", "most", "expected"),
    [
        ((), 5, "node-1 node-2 node-3"),
        ((), 2, "node-1 node-3"),  # one with an endpoint, one without
        (("node-3",), 5, "node-3"),
    ],
)
def test_client_nodes(wanted: tuple[str, ...], most: int, expected: str) -> None:
    assert " ".join(node.name for node in client_nodes(snapshot(), wanted, most)) == expected


def test_client_nodes_are_ready_and_may_be_cordoned() -> None:
    nodes = (replace(NODES[0], ready=False), replace(NODES[1], cordoned=True))
    assert [node.name for node in client_nodes(snapshot(nodes=nodes), (), 5)] == ["node-2"]


def test_pods_name_nodes_that_may_not_be_listed() -> None:
    assert client_nodes(snapshot(nodes=()), (), 5) == (Node("node-1"), Node("node-2"))


@pytest.mark.parametrize(
    ("given", "wanted", "expected"),
    [
        ([("", 80)], None, [80]),
        ([("", 5432)], None, [5432]),
        ([("", 443)], None, []),
        ([("http", 8080), ("https", 443)], None, [8080]),
        ([("http-alt", 8081), ("db", 5432)], None, [8081]),
        ([("httpsish", 1), ("x", 2)], None, []),
        ([("web", 80), ("db", 5432)], None, [80]),
        ([("web", 80), ("db", 5432)], ("db",), [5432]),
        ([("web", 80), ("db", 5432)], ("5432",), [5432]),
        ([("web", 80)], (), []),
    ],
)
def test_http_ports(given: list[tuple[str, int]], wanted: tuple[str, ...] | None, expected: list[int]) -> None:
    found = service(ports=tuple(ServicePort(name, "TCP", number, number) for name, number in given))
    assert [port.port for port in ports.http_ports(found, wanted)] == expected


@pytest.mark.parametrize(
    ("given", "plain", "secure", "expected"),
    [
        ([("", 443)], None, None, ([], [443])),
        ([("", 6443)], None, None, ([], [])),
        ([("http", 80), ("https", 443)], None, None, ([80], [443])),
        ([("https-admin", 9443)], None, None, ([], [9443])),
        ([("httpsish", 1), ("tls", 443)], None, None, ([], [])),
        ([("web", 8443)], None, ("8443",), ([], [8443])),
        ([("web", 8443)], None, ("web",), ([], [8443])),
        ([("https", 443)], None, (), ([], [])),
        ([("https", 443)], ("443",), None, ([443], [])),
    ],
)
def test_web_ports(
    given: list[tuple[str, int]],
    plain: tuple[str, ...] | None,
    secure: tuple[str, ...] | None,
    expected: tuple[list[int], list[int]],
) -> None:
    of = service(ports=tuple(ServicePort(name, "TCP", number, number) for name, number in given))
    found = ports.web_ports(of, plain, secure)
    assert tuple([port.port for port in part] for part in found) == expected


HTTPS = service(type="NodePort", ports=(ServicePort("https", "TCP", 443, 8443, 30443),))


@pytest.mark.parametrize(
    ("namespace", "server_name", "expected"),
    [("demo", "", "web"), ("shop", "", "web.demo"), ("shop", "web.example.com", "web.example.com")],
)
def test_https_is_asked_on_every_path_by_the_name_of_the_client(
    namespace: str, server_name: str, expected: str
) -> None:
    asked = question(client=Client(namespace), layers=("http",), tls=Tls(bundle="PEM", server_name=server_name))
    found = [probe for probe in planned(snapshot(of=HTTPS), asked).probes if probe.task["type"] == "https"]
    assert {probe.purpose for probe in found} == {"direct", "cluster_ip", "name", "node_port"}
    assert {(probe.task["server_name"], probe.task["host"]) for probe in found} == {(expected, expected)}
    assert {probe.vantage.node for probe in found if probe.task.get("try_below")} == {"node-1"}
    assert {probe.purpose for probe in found if probe.task.get("try_below")} == {"direct"}
    assert not any("PEM" in str(probe.task) for probe in found)  # the bundle travels once


def test_tls_is_spoken_often_only_where_nothing_else_tells_the_endpoints_apart() -> None:
    both = service(ports=(ServicePort("http", "TCP", 80, 80), ServicePort("https", "TCP", 443, 443)))
    for of, expected in ((both, {"http": 21, "https": 3}), (HTTPS, {"https": 21})):
        found = [probe.task for probe in planned(snapshot(of=of)).probes if probe.purpose == "cluster_ip"]
        assert {task["type"]: task["repeat"] for task in found} == expected


def test_https_is_asked_only_where_answers_are_judged() -> None:
    found = planned(snapshot(of=HTTPS), question(layers=("endpoints", "dns"))).probes
    assert "https" not in {probe.task["type"] for probe in found}


def test_app_protocol_wins_over_the_name() -> None:
    assert ports.speaks_tls(ServicePort("web", "TCP", 80, 80, app_protocol="https"))
    assert not ports.speaks_tls(ServicePort("https", "TCP", 443, 443, app_protocol="http"))
    assert ports.http_ports(service(ports=(ServicePort("x", "TCP", 1, 1, app_protocol="http"),)), None)


def test_dns_is_asked_in_every_way() -> None:
    named = service(ports=(ServicePort("http", "TCP", 80, 80),))
    found = planned(snapshot(of=named))
    asked = {
        (probe.label, probe.task["transport"], probe.task["server"], probe.task["rrtype"], probe.task["name"])
        for probe in found.probes
        if probe.purpose == "dns" and probe.vantage.node == "node-1"
    }
    full = "web.demo.svc.cluster.local."
    for transport in ("udp", "tcp"):
        assert ("address", transport, "10.96.0.10", "A", full) in asked
        assert ("address", transport, "10.96.0.10", "AAAA", full) in asked
        assert ("replica", transport, "10.244.0.2", "A", full) in asked
        assert ("replica", transport, "10.244.0.3", "A", full) in asked
    assert ("service", "tcp", "10.96.0.10", "SRV", f"_http._tcp.{full}") in asked
    assert ("pointer", "udp", "10.96.0.10", "PTR", "1.1.96.10.in-addr.arpa.") in asked
    assert ("control", "udp", "10.96.0.10", "A", "kubernetes.default.svc.cluster.local.") in asked
    absent = {name for label, _transport, _server, _type, name in asked if label == "absent"}
    assert absent == {
        "no-such-service-web-uid.demo.svc.cluster.local.",
        "web.elsewhere-web-uid.svc.cluster.local.",
        "web.svc.cluster.local.",
        "web.cluster.local.",
    }


def test_families_are_expected_as_they_are() -> None:
    dual = service(cluster_ips=("10.96.1.1", "fd00:1::1"), families=("IPv4", "IPv6"))
    found = planned(snapshot(of=dual))
    wanted = {
        probe.task["rrtype"]: probe.expected
        for probe in found.probes
        if probe.purpose == "dns" and probe.label == "address"
    }
    assert wanted == {"A": ("10.96.1.1",), "AAAA": ("fd00:1::1",)}
    single = {probe.task["rrtype"]: probe.expected for probe in planned().probes if probe.label == "address"}
    assert single == {"A": ("10.96.1.1",), "AAAA": ()}
