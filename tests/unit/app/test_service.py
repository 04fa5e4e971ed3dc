# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.plumbline.kubernetes.plugins.module_utils.app import service
from ansible_collections.plumbline.kubernetes.plugins.module_utils.kube.errors import OptionError
from ansible_collections.plumbline.kubernetes.plugins.module_utils.kube.owned import lay
from ansible_collections.plumbline.kubernetes.plugins.modules.service import OPTIONS, PORT_OPTIONS


def options(**given: t.Any) -> dict[str, t.Any]:
    """Parameters as AnsibleModule would pass them: every option, None where omitted."""
    base = {name: spec.get("default") for name, spec in OPTIONS.items()} | {"name": "web", "namespace": "demo"}
    if given.get("ports"):
        given["ports"] = [port(**item) for item in given["ports"]]
    assert given.keys() <= base.keys()
    return base | given


def port(**given: t.Any) -> dict[str, t.Any]:
    return {name: spec.get("default") for name, spec in PORT_OPTIONS.items()} | given


def live(service_type: str = "ClusterIP", **spec: t.Any) -> dict[str, t.Any]:
    return {"metadata": {"name": "web", "namespace": "demo"}, "spec": {"type": service_type, **spec}}


def deployment(*ports: list[dict[str, t.Any]], selector: t.Any = None) -> dict[str, t.Any]:
    """A Deployment with one container per list of ports."""
    return {
        "metadata": {"name": "web", "namespace": "demo", "labels": {"tier": "front"}},
        "spec": {
            "selector": selector or {"matchLabels": {"run": "web"}},
            "template": {"spec": {"containers": [{"name": f"c{n}", "ports": item} for n, item in enumerate(ports)]}},
        },
    }


# --- what kubectl expose does


@pytest.mark.parametrize(
    ("containers", "expected"),
    [
        ([[{"containerPort": 80}]], [(None, 80, "TCP", 80)]),
        ([[{"containerPort": 53, "protocol": "UDP", "name": "dns"}]], [(None, 53, "UDP", 53)]),
        (
            [[{"containerPort": 80, "name": "http"}, {"containerPort": 443, "name": "https"}]],
            [("port-1", 80, "TCP", 80), ("port-2", 443, "TCP", 443)],
        ),
        (
            [[{"containerPort": 80}], [{"containerPort": 9100}]],
            [("port-1", 80, "TCP", 80), ("port-2", 9100, "TCP", 9100)],
        ),
        # The same number in several protocols is one position with one name per protocol.
        (
            [[{"containerPort": 53, "protocol": "UDP"}, {"containerPort": 53}, {"containerPort": 8080}]],
            [("port-1-udp", 53, "UDP", 53), ("port-1-tcp", 53, "TCP", 53), ("port-2", 8080, "TCP", 8080)],
        ),
        (
            [[{"containerPort": 53, "protocol": "UDP"}, {"containerPort": 53}]],
            [("port-1-udp", 53, "UDP", 53), ("port-1-tcp", 53, "TCP", 53)],
        ),
        # The same port in two containers is one port.
        ([[{"containerPort": 80}], [{"containerPort": 80, "protocol": "TCP"}]], [(None, 80, "TCP", 80)]),
        ([[], []], []),
    ],
)
def test_ports_are_derived_as_kubectl_expose_does(containers: t.Any, expected: t.Any) -> None:
    found = service.derive_ports(deployment(*containers))
    assert [(p.get("name"), p["port"], p["protocol"], p["targetPort"]) for p in found] == expected


def test_selector_ports_and_labels_come_from_the_deployment() -> None:
    derived = service.derive(deployment([{"containerPort": 80}]), options())
    assert service.build(options(), None, derived) == {
        "metadata": {"name": "web", "namespace": "demo", "labels": {"tier": "front"}},
        "spec": {"selector": {"run": "web"}, "ports": [{"port": 80, "protocol": "TCP", "targetPort": 80}]},
    }


def test_what_is_given_is_not_derived() -> None:
    params = options(selector={"a": 1}, labels={}, ports=[{"port": 8080, "target_port": "80"}])
    expressions = {"matchExpressions": [{"key": "a", "operator": "Exists"}]}
    body = service.build(params, None, service.derive(deployment([], selector=expressions), params))
    assert body["metadata"]["labels"] == {}
    assert body["spec"] == {"selector": {"a": "1"}, "ports": [{"port": 8080, "protocol": "TCP", "targetPort": 80}]}


@pytest.mark.parametrize(
    ("given", "source", "message"),
    [
        (
            {},
            deployment([{"containerPort": 80}], selector={"matchExpressions": [{"key": "run", "operator": "Exists"}]}),
            (
                "selector: none given, and that of Deployment demo/web has matchExpressions (run Exists), which a "
                "Service cannot express; give a selector of labels"
            ),
        ),
        (
            {},
            deployment([{"containerPort": 80}], selector={"matchLabels": {}}),
            "selector: none given, and Deployment demo/web has no matchLabels; give a selector",
        ),
        (
            {},
            deployment([]),
            (
                "ports: none given, and the containers of Deployment demo/web declare none; give ports, or "
                "cluster_ip 'None' for a headless Service"
            ),
        ),
    ],
)
def test_what_cannot_be_derived_is_said(given: t.Any, source: t.Any, message: str) -> None:
    with pytest.raises(OptionError) as caught:
        service.derive(source, options(**given))
    assert str(caught.value) == message


def test_a_headless_service_needs_no_ports() -> None:
    params = options(cluster_ip="None")
    assert service.build(params, None, service.derive(deployment([]), params))["spec"] == {
        "clusterIP": "None",
        "selector": {"run": "web"},
    }


@pytest.mark.parametrize(
    ("given", "before", "expected"),
    [
        ({}, None, True),
        ({"selector": {"a": "b"}}, None, True),
        ({"ports": [{"port": 80}]}, None, True),
        ({"selector": {"a": "b"}, "ports": [{"port": 80}]}, None, False),
        ({"selector": {}, "ports": []}, None, False),
        ({"type": "ExternalName", "external_name": "example.com"}, None, False),
        ({}, live(), False),  # omitted = left alone
        ({"type": "NodePort"}, live(), False),
        ({"type": "ClusterIP"}, live("ExternalName"), True),
        ({}, live("ExternalName"), False),
        ({"type": "ExternalName"}, live(), False),
    ],
)
def test_the_deployment_is_read_only_when_it_is_needed(given: t.Any, before: t.Any, expected: bool) -> None:
    assert service.wants_deployment(options(**given), before) is expected


# --- the object


def test_omitted_options_are_not_in_the_object() -> None:
    assert service.build(options()) == {"metadata": {"name": "web", "namespace": "demo"}}


@pytest.mark.parametrize(
    ("given", "spec"),
    [
        ({"type": "NodePort"}, {"type": "NodePort"}),
        ({"selector": {"app": "web", "version": 1.5}}, {"selector": {"app": "web", "version": "1.5"}}),
        ({"selector": {}}, {"selector": {}}),
        ({"external_name": "db.example.com."}, {"externalName": "db.example.com."}),
        ({"cluster_ip": "None"}, {"clusterIP": "None"}),
        ({"cluster_ips": ["10.0.0.1", "fd00::1"]}, {"clusterIP": "10.0.0.1", "clusterIPs": ["10.0.0.1", "fd00::1"]}),
        ({"ip_families": ["IPv6"]}, {"ipFamilies": ["IPv6"]}),
        ({"ip_family_policy": "PreferDualStack"}, {"ipFamilyPolicy": "PreferDualStack"}),
        (
            {"session_affinity": "ClientIP", "session_affinity_timeout": 60},
            {"sessionAffinity": "ClientIP", "sessionAffinityConfig": {"clientIP": {"timeoutSeconds": 60}}},
        ),
        ({"internal_traffic_policy": "Local"}, {"internalTrafficPolicy": "Local"}),
        ({"external_traffic_policy": "Local"}, {"externalTrafficPolicy": "Local"}),
        ({"traffic_distribution": "PreferSameNode"}, {"trafficDistribution": "PreferSameNode"}),
        ({"publish_not_ready_addresses": False}, {"publishNotReadyAddresses": False}),
        ({"external_ips": []}, {"externalIPs": []}),
        ({"allocate_load_balancer_node_ports": False}, {"allocateLoadBalancerNodePorts": False}),
        ({"load_balancer_class": "example.com/x"}, {"loadBalancerClass": "example.com/x"}),
        ({"load_balancer_source_ranges": ["192.0.2.0/24"]}, {"loadBalancerSourceRanges": ["192.0.2.0/24"]}),
        ({"load_balancer_ip": "192.0.2.1"}, {"loadBalancerIP": "192.0.2.1"}),
        ({"health_check_node_port": 31000}, {"healthCheckNodePort": 31000}),
        (
            {"ports": [{"port": 80, "name": "http", "target_port": "web", "app_protocol": "http", "node_port": 30080}]},
            {
                "ports": [
                    {
                        "port": 80,
                        "protocol": "TCP",
                        "name": "http",
                        "targetPort": "web",
                        "appProtocol": "http",
                        "nodePort": 30080,
                    }
                ]
            },
        ),
    ],
)
def test_every_option_has_its_field(given: t.Any, spec: t.Any) -> None:
    params = options(**given)
    service.check(params)
    assert service.build(params)["spec"] == spec


def test_every_option_that_is_a_field_is_in_the_table_above() -> None:
    [table] = [mark for mark in test_every_option_has_its_field.pytestmark if mark.name == "parametrize"]  # type: ignore[attr-defined]
    tried = {option for given, _spec in table.args[1] for option in given}
    about_the_run = {"name", "namespace", "state", "deployment", "labels", "annotations"}
    about_the_run |= {"force_conflicts", "wait", "wait_for", "wait_timeout"}
    assert tried == OPTIONS.keys() - about_the_run


@pytest.mark.parametrize(
    ("given", "before", "spec"),
    [
        (
            {"type": "NodePort"},
            live("LoadBalancer", loadBalancerSourceRanges=["192.0.2.0/24"]),
            {"loadBalancerSourceRanges": []},
        ),
        ({"type": "LoadBalancer"}, live("LoadBalancer", loadBalancerSourceRanges=["192.0.2.0/24"]), {}),
        ({"type": "ClusterIP"}, live("ExternalName", externalName="a.b"), {"externalName": ""}),
        ({"type": "ExternalName"}, live("ExternalName", externalName="a.b"), {}),
        ({"type": "NodePort"}, live("ClusterIP"), {}),
        ({}, live("LoadBalancer", loadBalancerSourceRanges=["192.0.2.0/24"]), {}),
    ],
)
def test_a_change_of_type_clears_what_the_server_would_trip_over(given: t.Any, before: t.Any, spec: t.Any) -> None:
    body = service.build(options(**given), before)
    assert {key: value for key, value in body.get("spec", {}).items() if key != "type"} == spec


def test_given_ports_are_the_whole_list_and_keep_what_an_item_leaves_out() -> None:
    ours = {
        "ports": [
            {"port": 80, "protocol": "TCP", "name": "http", "nodePort": 30080},
            {"port": 443, "protocol": "TCP", "name": "https"},
        ]
    }
    wanted = service.build(
        options(ports=[{"port": 80, "target_port": 8080}, {"port": 80, "protocol": "UDP", "name": "u"}])
    )
    assert lay(ours, wanted["spec"])["ports"] == [
        {"port": 80, "protocol": "TCP", "name": "http", "nodePort": 30080, "targetPort": 8080},
        {"port": 80, "protocol": "UDP", "name": "u"},
    ]


# --- refused before any request


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"name": "Web"}, "name: 'Web' given, expected at most 63 of a-z, 0-9 and '-', not '-' at an end"),
        ({"name": "w" * 64}, f"name: '{'w' * 64}' given, expected at most 63 of"),
        ({"namespace": ""}, "namespace: '' given"),
        ({"labels": {"a b": "x"}}, "labels key: 'a b' given"),
        ({"labels": {"a": True}}, "labels.a: True given, expected text; quote it"),
        ({"labels": {"a": "b c"}}, "labels.a: 'b c' given"),
        ({"labels": {"Example.com/a": "b"}}, "labels key: 'Example.com' given, expected a DNS name"),
        ({"selector": {"a": None}}, "selector.a: nothing given, expected text"),
        ({"annotations": {"a": ["x"]}}, "annotations.a: ['x'] given, expected text"),
        ({"ports": [{"port": 0}]}, "ports[0].port: 0 given, expected a port from 1 to 65535"),
        ({"ports": [{"port": 80, "name": "HTTP"}]}, "ports[0].name: 'HTTP' given"),
        (
            {"ports": [{"port": 80, "name": "a"}, {"port": 81}]},
            "ports[1].name: nothing given, expected a name for each",
        ),
        (
            {"ports": [{"port": 80, "name": "a"}, {"port": 81, "name": "a"}]},
            "ports.name: 'a' given, expected each at most once",
        ),
        (
            {"ports": [{"port": 80, "name": "a"}, {"port": 80, "name": "b"}]},
            "ports: '80/TCP' given, expected each at most once",
        ),
        ({"ports": [{"port": 80, "target_port": "-x"}]}, "ports[0].target_port: '-x' given"),
        ({"ports": [{"port": 80, "target_port": "443-444"}]}, "ports[0].target_port: '443-444' given"),
        (
            {"ports": [{"port": 80, "target_port": "a-very-long-name"}]},
            "ports[0].target_port: 'a-very-long-name' given",
        ),
        ({"ports": [{"port": 80, "target_port": 70000}]}, "ports[0].target_port: 70000 given"),
        ({"ports": [{"port": 80, "target_port": True}]}, "ports[0].target_port: True given"),
        ({"ports": [{"port": 80, "app_protocol": "a/b/c"}]}, "ports[0].app_protocol: 'a/b' given, expected a DNS name"),
        (
            {"ports": [{"port": 80, "node_port": 70000}]},
            "ports[0].node_port: 70000 given, expected a port from 1 to 65535; most clusters allow 30000 to 32767",
        ),
        (
            {"ports": [{"port": 80, "name": "a", "node_port": 30000}, {"port": 81, "name": "b", "node_port": 30000}]},
            "ports.node_port: '30000/TCP' given, expected each at most once",
        ),
        ({"cluster_ip": "none"}, "cluster_ip: 'none' given, expected an IPv4 or IPv6 address"),
        ({"cluster_ips": ["10.0.0.1", "x"]}, "cluster_ips[1]: 'x' given"),
        ({"external_ips": ["None"]}, "external_ips[0]: 'None' given"),
        ({"load_balancer_ip": "x"}, "load_balancer_ip: 'x' given"),
        (
            {"load_balancer_source_ranges": ["192.0.2.1"]},
            "load_balancer_source_ranges[0]: '192.0.2.1' given, expected a network",
        ),
        ({"load_balancer_source_ranges": ["192.0.2.0/33"]}, "load_balancer_source_ranges[0]: '192.0.2.0/33' given"),
        ({"load_balancer_class": "a b"}, "load_balancer_class: 'a b' given"),
        ({"ip_families": ["IPv4", "IPv4"]}, "ip_families: 'IPv4' given, expected each at most once"),
        (
            {"ip_families": ["IPv4", "IPv6"], "ip_family_policy": "SingleStack"},
            "ip_families: ['IPv4', 'IPv6'] given, expected one",
        ),
        ({"external_name": "192.0.2.1:80"}, "external_name: '192.0.2.1:80' given, expected a DNS name"),
        ({"health_check_node_port": 0}, "health_check_node_port: 0 given"),
        ({"session_affinity_timeout": 0}, "session_affinity_timeout: 0 given, expected 1 to 86400 seconds"),
        (
            {"session_affinity_timeout": 9, "session_affinity": "None"},
            "session_affinity_timeout: 9 given, expected nothing with",
        ),
        (
            {"type": "ClusterIP", "ports": [{"port": 80, "node_port": 30080}]},
            "ports[0].node_port: 30080 given, expected nothing with type ClusterIP; it belongs to type NodePort or Lo",
        ),
        (
            {"type": "NodePort", "cluster_ip": "None"},
            "cluster_ip: 'None' given, expected an address or nothing with type NodePort",
        ),
        (
            {"type": "ExternalName", "cluster_ip": "None"},
            "cluster_ip: 'None' given, expected nothing with type ExternalName",
        ),
        (
            {"type": "ClusterIP", "external_name": "a.b"},
            "external_name: 'a.b' given, expected nothing with type ClusterIP",
        ),
        (
            {"type": "NodePort", "load_balancer_class": "x"},
            "load_balancer_class: 'x' given, expected nothing with type NodePort",
        ),
        (
            {"type": "NodePort", "allocate_load_balancer_node_ports": False},
            "allocate_load_balancer_node_ports: False given, expected nothing with type NodePort",
        ),
        (
            {"type": "LoadBalancer", "health_check_node_port": 31000, "external_traffic_policy": "Cluster"},
            "health_check_node_port: 31000 given, expected external_traffic_policy Local",
        ),
    ],
)
def test_a_value_that_cannot_work_is_refused_in_one_line(given: t.Any, message: str) -> None:
    with pytest.raises(OptionError) as caught:
        service.check(options(**given))
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)


# --- against the live Service


@pytest.mark.parametrize(
    ("given", "before", "message"),
    [
        (
            {"cluster_ip": "None"},
            live(clusterIP="10.96.0.9"),
            (
                "cluster_ip: Service demo/web has spec.clusterIP 10.96.0.9, wanted None; this cannot change while "
                "the Service lives: leave the option out, or remove the Service with state absent first (its "
                "clients then need the new address)"
            ),
        ),
        (
            {"type": "NodePort"},
            live(clusterIP="None"),
            "type: Service demo/web has spec.clusterIP None, wanted an address, as type NodePort needs one;",
        ),
        (
            {"cluster_ips": ["10.0.0.2"]},
            live(clusterIPs=["10.0.0.1"]),
            "cluster_ips: Service demo/web has spec.clusterIPs 10.0.0.1,",
        ),
        (
            {"ip_families": ["IPv6"]},
            live(ipFamilies=["IPv4"]),
            "ip_families: Service demo/web has spec.ipFamilies IPv4, wanted IPv6",
        ),
        (
            {"load_balancer_class": "b"},
            live("LoadBalancer", loadBalancerClass="a"),
            "load_balancer_class: Service demo/web has spec.loadBalancerClass a, wanted b",
        ),
        (
            {"load_balancer_class": "b"},
            live("LoadBalancer"),
            "load_balancer_class: Service demo/web has spec.loadBalancerClass unset,",
        ),
        (
            {"health_check_node_port": 31001},
            live("LoadBalancer", healthCheckNodePort=31000, externalTrafficPolicy="Local"),
            "health_check_node_port: Service demo/web has spec.healthCheckNodePort 31000, wanted 31001",
        ),
        (
            {"ports": [{"port": 80, "node_port": 30080}]},
            None,
            "ports[0].node_port: 30080 given, expected nothing with type ClusterIP",
        ),
        (
            {"load_balancer_class": "a"},
            live("NodePort"),
            "load_balancer_class: 'a' given, expected nothing with type NodePort",
        ),
        (
            {"ports": []},
            live(clusterIP="10.0.0.1"),
            "ports: [] given, expected at least one port, unless the Service is headless",
        ),
        ({"type": "ExternalName"}, None, "external_name: nothing given, expected a DNS name with type ExternalName"),
        (
            {"external_traffic_policy": "Local"},
            live(),
            "external_traffic_policy: 'Local' given, expected nothing with type ClusterIP",
        ),
        (
            {"session_affinity_timeout": 60},
            live(sessionAffinity="None"),
            "session_affinity_timeout: 60 given, expected session_affinity",
        ),
    ],
)
def test_a_change_that_cannot_be_is_refused(given: t.Any, before: t.Any, message: str) -> None:
    params = options(**given)
    service.check(params)
    with pytest.raises(OptionError) as caught:
        service.check_change(params, before)
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize(
    ("given", "before"),
    [
        ({}, live()),
        ({"cluster_ip": "10.0.0.1"}, live(clusterIP="10.0.0.1")),
        ({"type": "ClusterIP", "cluster_ip": "None"}, live("ExternalName")),
        ({"type": "ExternalName", "external_name": "a.b"}, live(clusterIP="None")),
        ({"type": "ExternalName"}, live("ExternalName", externalName="a.b")),
        ({"type": "NodePort"}, live(clusterIP="10.0.0.1")),
        ({"type": "ClusterIP"}, live("LoadBalancer", clusterIP="10.0.0.1")),
        ({"ip_families": ["IPv4", "IPv6"]}, live(ipFamilies=["IPv4"])),
        ({"cluster_ips": ["10.0.0.1"]}, live(clusterIPs=["10.0.0.1", "fd00::1"])),
        ({"type": "LoadBalancer", "load_balancer_class": "a"}, live("NodePort")),
        ({"load_balancer_source_ranges": []}, live()),
        ({"ports": []}, live(clusterIP="None")),
        ({"ports": [], "cluster_ip": "None"}, None),
        ({"external_traffic_policy": "Local"}, live("NodePort")),
        ({"external_traffic_policy": "Local"}, live(externalIPs=["192.0.2.1"])),
        ({"health_check_node_port": 31000, "external_traffic_policy": "Local"}, live("LoadBalancer")),
        ({"ports": [{"port": 80, "node_port": 30080}]}, live("NodePort")),
        ({"session_affinity_timeout": 60}, live(sessionAffinity="ClientIP")),
    ],
)
def test_a_change_that_can_be_is_not(given: t.Any, before: t.Any) -> None:
    params = options(**given)
    service.check(params)
    service.check_change(params, before)


@pytest.mark.parametrize(
    ("given", "spec", "families"),
    [
        ({"ip_families": ["IPv4"], "ip_family_policy": "PreferDualStack"}, {}, ["IPv4", "IPv6"]),
        ({"ip_families": ["IPv4"]}, {"ipFamilyPolicy": "RequireDualStack"}, ["IPv4", "IPv6"]),
        ({"ip_families": ["IPv4"], "ip_family_policy": "SingleStack"}, {"ipFamilyPolicy": "PreferDualStack"}, ["IPv4"]),
        ({"ip_families": ["IPv4"]}, {"ipFamilyPolicy": "SingleStack"}, ["IPv4"]),
        ({"ip_family_policy": "PreferDualStack"}, {}, None),
    ],
)
def test_a_second_family_that_the_cluster_added_stays(
    given: dict[str, t.Any], spec: dict[str, t.Any], families: list[str] | None
) -> None:
    now = live(ipFamilies=["IPv4", "IPv6"], clusterIPs=["10.96.0.9", "fd00::9"], **spec)
    assert service.build(options(**given), now)["spec"].get("ipFamilies") == families


def test_a_second_address_that_the_cluster_added_stays() -> None:
    now = live(clusterIP="10.96.0.9", clusterIPs=["10.96.0.9", "fd00::9"], ipFamilyPolicy="PreferDualStack")
    spec = service.build(options(cluster_ips=["10.96.0.9"]), now)["spec"]
    assert (spec["clusterIP"], spec["clusterIPs"]) == ("10.96.0.9", ["10.96.0.9", "fd00::9"])
