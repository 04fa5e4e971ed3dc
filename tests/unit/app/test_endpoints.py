# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.plumbline.kubernetes.plugins.module_utils.app import endpoints

Object = dict[str, t.Any]


def pod(name: str, *addresses: str, ready: bool = True, waiting: str = "", **more: t.Any) -> Object:
    state = {"waiting": {"reason": waiting, "message": "why"}} if waiting else {"running": {}}
    return {
        "metadata": {"name": name, "uid": f"uid-{name}", **({"deletionTimestamp": "now"} if more.get("going") else {})},
        "spec": {"nodeName": "n1", "containers": [{"name": "c", "ports": more.get("ports", [])}]},
        "status": {
            "phase": more.get("phase", "Running"),
            "podIPs": [{"ip": address} for address in addresses],
            "conditions": [{"type": "Ready", "status": "True" if ready else "False"}, *more.get("conditions", [])],
            "containerStatuses": [{"name": "c", "state": state}],
        },
    }


def piece(*members: Object, family: str = "IPv4", ports: t.Any = ({"port": 80},)) -> Object:
    return {
        "metadata": {"name": "slice-1"},
        "addressType": family,
        "ports": None if ports is None else list(ports),
        "endpoints": list(members),
    }


def endpoint(name: str, address: str = "10.0.0.1", **more: t.Any) -> Object:
    ready = more.pop("ready", True)
    target = {"kind": "Pod", "name": name, "uid": f"uid-{name}"}
    return {"addresses": [address], "targetRef": target, "nodeName": "n1", "conditions": {"ready": ready, **more}}


def service(**spec: t.Any) -> Object:
    return {
        "spec": {"type": "ClusterIP", "selector": {"run": "web"}, "ports": [{"port": 80, "targetPort": 80}], **spec}
    }


A, B = pod("a", "10.0.0.1"), pod("b", "10.0.0.2")
UNSCHEDULABLE = [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "no node"}]
BALANCER = {"status": {"loadBalancer": {"ingress": [{"ip": "192.0.2.1"}]}}}


@pytest.mark.parametrize(
    ("item", "slices", "pods", "waiting_for", "reasons"),
    [
        pytest.param(service(), [piece(endpoint("a"))], [A], "", [], id="one pod"),
        pytest.param(service(), [piece(endpoint("a")), piece(endpoint("b"))], [A, B], "", [], id="two slices"),
        pytest.param(
            service(), [piece(endpoint("a"))], [A, B], "1 of 2 ready pods are endpoints", [], id="one missing"
        ),
        pytest.param(service(), [], [A], "0 of 1 ready pods are endpoints", [], id="no slice yet"),
        pytest.param(
            service(),
            [piece(endpoint("a", ready=False))],
            [A],
            "0 of 1 ready pods are endpoints",
            [],
            id="slice behind",
        ),
        pytest.param(service(), [], [], "selector run=web matches 0 pods", ["NothingSelected"], id="nothing selected"),
        pytest.param(
            service(),
            [],
            [pod("a", going=True), pod("b", phase="Failed")],
            "selector run=web matches 0 pods",
            ["NothingSelected"],
            id="only pods that do not count",
        ),
        pytest.param(service(), [], [pod("a", ready=False)], "0 of 1 selected pods are ready", [], id="starting"),
        pytest.param(
            service(),
            [piece(endpoint("a"))],
            [A, pod("b", ready=False, waiting="ImagePullBackOff")],
            "",
            [],
            id="one is enough",
        ),
        pytest.param(
            service(),
            [],
            [pod("a", ready=False, waiting="ImagePullBackOff")],
            "0 of 1 selected pods are ready",
            ["ImagePullBackOff"],
            id="none can start",
        ),
        pytest.param(
            service(),
            [],
            [pod("a", ready=False, waiting="CrashLoopBackOff"), pod("b", ready=False)],
            "0 of 2 selected pods are ready",
            [],
            id="one may still start",
        ),
        pytest.param(
            service(),
            [],
            [pod("a", ready=False, conditions=UNSCHEDULABLE)],
            "0 of 1 selected pods are ready",
            [],
            id="a node may come",
        ),
        pytest.param(
            service(ports=[{"port": 80, "targetPort": "web"}]),
            [piece(endpoint("a"), ports=None)],
            [A],
            "0 of 1 ready pods are endpoints",
            ["NoSuchPort"],
            id="named port nobody has",
        ),
        pytest.param(
            service(ports=[{"port": 80, "targetPort": "web"}]),
            [piece(endpoint("a"))],
            [pod("a", "10.0.0.1", ports=[{"name": "web"}])],
            "",
            [],
            id="named port",
        ),
        pytest.param(
            service(publishNotReadyAddresses=True),
            [piece(endpoint("a"))],
            [pod("a", "10.0.0.1", ready=False)],
            "",
            [],
            id="published anyhow",
        ),
        pytest.param(
            service(ipFamilies=["IPv4", "IPv6"]),
            [piece(endpoint("a"))],
            [pod("a", "10.0.0.1", "fd00::1")],
            "0 of 1 ready pods are endpoints",
            [],
            id="second family missing",
        ),
        pytest.param(
            service(ipFamilies=["IPv4", "IPv6"]),
            [piece(endpoint("a")), piece(endpoint("a", "fd00::1"), family="IPv6")],
            [pod("a", "10.0.0.1", "fd00::1")],
            "",
            [],
            id="two families",
        ),
        pytest.param(
            service(
                ports=[{"name": "a", "port": 80, "targetPort": "web"}, {"name": "b", "port": 81, "targetPort": 80}]
            ),
            [piece(endpoint("a"), ports=[{"name": "b", "port": 80}])],
            [A],
            "port 80 has no endpoint",
            ["NoSuchPort"],
            id="one of two ports leads nowhere",
        ),
        pytest.param(
            service(ports=[{"port": 80, "targetPort": 8080}]),
            [piece(endpoint("a"))],
            [A],
            "port 80 has no endpoint",
            [],
            id="slice of the former target port",
        ),
        pytest.param(service(ports=[]), [piece(endpoint("a"), ports=None)], [A], "", [], id="headless without ports"),
        pytest.param(service(selector={}), [], [], "", [], id="no selector, nothing to wait for"),
        pytest.param(service(type="ExternalName"), [], [], "", [], id="a mere name"),
        pytest.param(
            service(type="LoadBalancer"),
            [piece(endpoint("a"))],
            [A],
            "the load balancer has no address",
            [],
            id="no address",
        ),
        pytest.param(
            service(type="LoadBalancer"),
            [],
            [A],
            "0 of 1 ready pods are endpoints and the load balancer has no address",
            [],
            id="both",
        ),
        pytest.param(service(type="LoadBalancer") | BALANCER, [piece(endpoint("a"))], [A], "", [], id="address"),
    ],
)
def test_assess(item: Object, slices: t.Any, pods: t.Any, waiting_for: str, reasons: list[str]) -> None:
    progress = endpoints.assess(item, slices, pods)
    assert (progress.waiting_for, [cause.reason for cause in progress.causes]) == (waiting_for, reasons)
    assert progress.done is (not waiting_for)


def test_a_lost_port_names_what_there_is() -> None:
    item = service(ports=[{"port": 80, "targetPort": "web"}])
    [cause] = endpoints.assess(item, [], [pod("a", "10.0.0.1", ports=[{"name": "http"}, {"name": "admin"}])]).causes
    assert cause.message == (
        "port 80 has target port 'web', but no container of the 1 selected pods has a port of that name; they have "
        "admin, http"
    )


@pytest.mark.parametrize(
    ("wait_for", "waiting_for"),
    [
        (["load_balancer"], "the load balancer has no address"),
        (["endpoints"], "selector run=web matches 0 pods"),
        (["endpoints", "load_balancer"], "selector run=web matches 0 pods and the load balancer has no address"),
        ([], ""),
    ],
)
def test_assess_what_is_asked_for(wait_for: list[str], waiting_for: str) -> None:
    progress = endpoints.assess(service(type="LoadBalancer"), [], [], wait_for)
    assert progress.waiting_for == waiting_for


def test_join_says_for_each_address_whose_it_is() -> None:
    slices = [
        piece(
            endpoint("b", "10.0.0.2", ready=False, serving=True, terminating=True),
            endpoint("gone", "10.0.0.9") | {"zone": "z9"},
            ports=[{"name": "http", "port": 80, "protocol": "TCP"}],
        ),
        piece({"addresses": ["10.0.0.1"]}, ports=None),
    ]
    nodes = [{"metadata": {"name": "n1", "labels": {"topology.kubernetes.io/zone": "z1"}}}]
    by_hand, leaving, foreign = endpoints.join(slices, [B], nodes)
    assert by_hand == {
        "address": "10.0.0.1",
        "family": "IPv4",
        "ready": True,
        "serving": True,
        "terminating": False,
        "pod": None,
        "pod_exists": False,
        "node": None,
        "zone": None,
        "ports": [],
        "slice": "slice-1",
    }
    assert leaving.items() >= {"ready": False, "serving": True, "terminating": True, "pod": "b", "zone": "z1"}.items()
    assert leaving["pod_exists"] is True
    assert leaving["ports"] == [{"name": "http", "port": 80, "protocol": "TCP"}]
    assert (foreign["pod"], foreign["pod_exists"], foreign["zone"]) == ("gone", False, "z9")
    assert endpoints.ready_addresses(slices) == ["10.0.0.1", "10.0.0.9"]


def test_describe() -> None:
    item = service(clusterIPs=["None"], ports=[{"port": 80, "protocol": "TCP"}])
    found = endpoints.describe(item, [piece(endpoint("a"))], [A], [])
    assert (found["headless"], found["cluster_ips"], found["node_ports"]) == (True, [], [])
    assert found["pods"] == [
        {
            "name": "a",
            "phase": "Running",
            "ready": True,
            "terminating": False,
            "node": "n1",
            "addresses": ["10.0.0.1"],
        }
    ]
    ports = [{"port": 80, "protocol": "TCP", "nodePort": 30080}, {"port": 81, "protocol": "TCP"}]
    found = endpoints.describe(service(clusterIPs=["10.1.0.1"], ports=ports) | BALANCER, [], [], [])
    assert (found["headless"], found["cluster_ips"], found["load_balancer"]) == (False, ["10.1.0.1"], ["192.0.2.1"])
    assert found["node_ports"] == [{"name": "", "port": 80, "protocol": "TCP", "node_port": 30080}]


@pytest.mark.parametrize(
    ("spec", "events", "expected"),
    [
        ({}, [], "no controller has touched it; is a load balancer controller for Services without a class running"),
        ({"loadBalancerClass": "a/b"}, [], "no controller has touched it; is a load balancer controller of class a/b"),
        (
            {},
            [
                {"reason": "Old", "message": "m", "lastTimestamp": "2026-01-01T00:00:00Z"},
                {"reason": "AllocationFailed", "message": "no IPs", "lastTimestamp": "2026-01-01T00:00:01Z"},
            ],
            "last event AllocationFailed: no IPs",
        ),
    ],
)
def test_load_balancer_cause(spec: Object, events: t.Any, expected: str) -> None:
    assert endpoints.load_balancer_cause(service(type="LoadBalancer", **spec), events).startswith(expected)
