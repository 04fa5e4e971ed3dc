# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The Service as it is written: silent when healthy, and each mistake named with what was probably meant."""

from __future__ import annotations

import json
import shlex
import typing as t
from dataclasses import replace
from datetime import timedelta

import pytest

from ansible_collections.plumbline.kubernetes.plugins.module_utils.connectivity import nearest
from ansible_collections.plumbline.kubernetes.plugins.module_utils.connectivity.checks import endpoints
from ansible_collections.plumbline.kubernetes.plugins.module_utils.connectivity.checks import service as layer
from ansible_collections.plumbline.kubernetes.plugins.module_utils.connectivity.facts import Facts
from ansible_collections.plumbline.kubernetes.plugins.module_utils.connectivity.question import Client, Expectations
from ansible_collections.plumbline.kubernetes.plugins.module_utils.connectivity.result import (
    FAIL,
    PASS,
    SKIPPED,
    WARN,
    Finding,
)
from ansible_collections.plumbline.kubernetes.plugins.module_utils.connectivity.snapshot import (
    Container,
    ServicePort,
    Snapshot,
)
from ansible_collections.plumbline.kubernetes.tests.unit.connectivity import bodies as b
from ansible_collections.plumbline.kubernetes.tests.unit.connectivity.builders import (
    NOON,
    endpoint,
    look,
    pod,
    question,
    service,
    snapshot,
)

Complaint = tuple[str, str, str]


def judged(
    seen: Snapshot | None = None, facts: Facts | None = None, probed: bool = False, **asked: t.Any
) -> list[Finding]:
    """The findings of the layer; with `probed`, the endpoints were asked as well."""
    layers = ("service", "endpoints") if probed else ("service",)
    return layer.check(look(seen, question(layers=layers, **asked), facts=facts or b.facts()))


def complaints(*given: t.Any, **more: t.Any) -> list[Complaint]:
    """Check, status and component of what is accused."""
    return [(f.id, f.status, f.component) for f in judged(*given, **more) if f.status not in (PASS, SKIPPED)]


def port(**changes: t.Any) -> ServicePort:
    return ServicePort(**{"name": "", "protocol": "TCP", "port": 80, "target_port": 80, **changes})


def workload(name: str, labels: dict[str, str], kind: str = "Deployment") -> b.Body:
    template = {"metadata": {"labels": labels}, "spec": {"containers": []}}
    return {"kind": kind, "metadata": b.meta(name, "demo"), "spec": {"template": template}}


def event(reason: str, last: str, uid: str = "web-uid", kind: str = "Service") -> b.Body:
    return {
        "kind": "Event",
        "metadata": b.meta(f"web.{reason}", "demo"),
        "involvedObject": {"kind": kind, "name": "web", "uid": uid},
        "type": "Warning",
        "reason": reason,
        "message": "it went wrong",
        "lastTimestamp": last,
    }


def body(name: str, labels: dict[str, str], node: str, owner: str = "ReplicaSet shop-x") -> b.Body:
    found = b.pod(name, node, "app", owner, {"pod-template-hash": "x", **labels})
    return {**found, "metadata": {**found["metadata"], "namespace": "demo"}}


RECENT, OLD = "2026-11-23T11:58:00Z", "2026-11-23T10:00:00Z"
HEADLESS = service(headless=True, cluster_ips=())
LOCAL = service(internal_local=True)
EXPOSED = service(type="NodePort", ports=(port(node_port=30080),), external_local=True)
CONTROL_PLANE = b.node("node-3", taints=[{"key": "node-role.kubernetes.io/control-plane", "effect": "NoSchedule"}])
BALANCED = service(type="LoadBalancer", ports=(port(node_port=30080),), created=NOON - timedelta(hours=1))
SERVED = replace(BALANCED, ingress=("192.0.2.9",))
WITH_ADDRESS = b.facts(
    services=(b.service(type="LoadBalancer", status={"loadBalancer": {"ingress": [{"ip": "192.0.2.9"}]}}),)
)
PENDING = b.service(type="LoadBalancer")
UDP = (port(protocol="UDP", target_port=53),)
BOTH = Container("dns", (("dns", "UDP", 53), ("dns-tcp", "TCP", 53)), started=NOON)
NO_PORTS = Container("app", (), started=NOON)
BY_HAND = endpoint(pod(3), pod="", pod_uid="", managed_by="", slice="mine")
LATE = NOON - timedelta(minutes=5)


def snap(of: t.Any, pods: t.Sequence[t.Any] | None = None, **changes: t.Any) -> Snapshot:
    return snapshot(pods, of, **changes)


# ----- healthy means silent

HEALTHY: dict[str, tuple[Snapshot, Facts]] = {
    "a cluster IP": (snapshot(), b.facts()),
    "one pod": (snapshot([pod(1)]), b.facts()),
    "fifty pods": (snapshot([pod(1, name=f"w{n}", uid=f"u{n}", ips=(f"10.244.8.{n}",)) for n in range(50)]), b.facts()),
    "a roll-out": (snapshot([pod(1), pod(2, terminating=True), pod(3, ready=False, turned=NOON)]), b.facts()),
    "headless": (snap(HEADLESS), b.facts()),
    "headless with unready members": (
        snap(service(headless=True, cluster_ips=(), publish_not_ready=True), [pod(1, ready=False, turned=LATE)]),
        b.facts(),
    ),
    "NodePort": (snap(EXPOSED), b.facts(nodes=(b.node("node-1"), b.node("node-2"), CONTROL_PLANE))),
    "NodePort on the nodes of a DaemonSet": (
        snap(EXPOSED, [pod(n, owner="DaemonSet web") for n in (1, 2)]), b.facts(),
    ),
    "NodePort of a pod on its way": (
        snap(EXPOSED, [pod(1), pod(2), pod(3, ready=False)], endpoints=(endpoint(pod(1)), endpoint(pod(2)))), b.facts(),
    ),
    "LoadBalancer whose nodes are chosen by health": (
        snap(replace(SERVED, external_local=True)), WITH_ADDRESS,
    ),
    "LoadBalancer": (snap(SERVED), WITH_ADDRESS),
    "a new LoadBalancer": (
        snap(service(type="LoadBalancer", ports=(port(node_port=30080),), created=NOON)), b.facts(services=(PENDING,)),
    ),
    "LoadBalancer without NodePorts": (
        snap(service(type="LoadBalancer", ingress=("lb.example.org",))),
        b.facts(
            services=(
                b.service(
                    type="LoadBalancer", allocateLoadBalancerNodePorts=False,
                    status={"loadBalancer": {"ingress": [{"hostname": "lb.example.org"}]}},
                ),
            )
        ),
    ),
    "an alias": (snapshot([], service(type="ExternalName", cluster_ips=(), external_name="example.org")), b.facts()),
    "no selector": (snapshot([], service(selector=()), endpoints=(BY_HAND,), slices=("mine",)), b.facts()),
    "endpoints of a mesh": (
        snapshot(endpoints=(endpoint(pod(1)), endpoint(pod(3), managed_by="endpointslice-mesh-controller.cilium.io"))),
        b.facts(),
    ),
    "scaled to 0": (snapshot([]), b.facts(deployments=(workload("web", {"app": "web", "more": "x"}),))),
    "UDP beside TCP": (
        snap(service(ports=(port(port=443, target_port=443), port(port=443, target_port=443, protocol="UDP"))),
             [pod(1, containers=(Container("c", (("https", "TCP", 443),), started=NOON),))]), b.facts(),
    ),
    "UDP as declared": (snap(service(ports=UDP), [pod(1, containers=(BOTH,))]), b.facts()),
    "pods that declare no port": (snap(service(ports=UDP), [pod(1, containers=(NO_PORTS,))]), b.facts()),
    "endpoints on all nodes": (snap(LOCAL, [pod(1), pod(2), pod(3)]), b.facts()),
    "two families": (
        snap(service(families=("IPv4", "IPv6"), cluster_ips=("10.96.1.1", "fd00::1")),
             [pod(1, ips=("10.244.1.5", "fd00:1::5"))]), b.facts(),
    ),
    "unready for a moment": (
        snap(service(publish_not_ready=True), [pod(1), pod(2, ready=False, turned=NOON - timedelta(seconds=9))]),
        b.facts(),
    ),
    "events of late, but not ours": (
        snapshot(), b.facts(events=(event("X", RECENT, uid="earlier"), event("Y", RECENT, kind="Pod"))),
    ),
    "events of ours, but old": (snapshot(), b.facts(events=(event("X", OLD),))),
    "races of the controller": (snapshot(), b.facts(events=(event("FailedToUpdateEndpointSlices", RECENT),))),
    "a race of the API server": (snapshot(), b.facts(events=(event("ClusterIPNotAllocated", RECENT),))),
    "a blue and a green workload": (
        snapshot(),
        b.facts(deployments=(workload("web", {"app": "web"}), workload("other", {"app": "other"}))),
    ),
}  # fmt: skip


@pytest.mark.parametrize(("seen", "facts"), HEALTHY.values(), ids=HEALTHY)
def test_healthy_is_silent(seen: Snapshot, facts: Facts) -> None:
    assert complaints(seen, facts) == []


@pytest.mark.parametrize(("seen", "facts"), HEALTHY.values(), ids=HEALTHY)
def test_healthy_is_silent_also_when_the_endpoints_were_asked(seen: Snapshot, facts: Facts) -> None:
    assert complaints(seen, facts, probed=True) == []


@pytest.mark.parametrize("part", ["services", "events"])
def test_what_may_not_be_read_is_skipped(part: str) -> None:
    services = WITH_ADDRESS.all("services")
    found = judged(snap(SERVED), b.facts(services=services, missing={part: f"cannot list {part}"}))
    assert [f for f in found if f.status not in (PASS, SKIPPED)] == []
    assert f"cannot list {part}" in [f.message for f in found if f.status == SKIPPED]


# ----- selectors


@pytest.mark.parametrize(
    ("selector", "labels", "words", "wanted"),
    [
        ({"run": "my-nginx2"}, {"run": "my-nginx"}, "run=my-nginx would match 2, e.g. demo/web-1", {"run": "my-nginx"}),
        ({"runn": "my-nginx"}, {"run": "my-nginx"}, "run=my-nginx would match 2", {"run": "my-nginx"}),
        (
            {"app": "web", "tier": "front"}, {"app": "web", "tier": "back"},
            "tier=back would match 2", {"app": "web", "tier": "back"},
        ),
        ({"app": "web", "tier": "front"}, {"app": "web"}, "2 pod(s) lack only the label tier", {}),
        ({"app": "shop"}, {"app": "web"}, "matches 0 pods", None),
    ],
)  # fmt: skip
def test_a_selector_that_selects_nothing(
    selector: dict[str, str], labels: dict[str, str], words: str, wanted: dict[str, str] | None
) -> None:
    others = tuple(pod(n, labels=tuple(sorted(labels.items()))) for n in (1, 2))
    seen = snap(service(selector=tuple(sorted(selector.items()))), [], strangers=others)
    (finding,) = [f for f in judged(seen) if f.complains]
    assert (finding.id, finding.status, finding.component) == ("SV-06", FAIL, "selector")
    assert words in finding.message
    assert finding.evidence.get("selector") == wanted


def test_workloads_without_pods_are_near_misses_too() -> None:
    facts = b.facts(deployments=(workload("web", {"app": "web"}),))
    (finding,) = [f for f in judged(snap(service(selector=(("app", "web2"),)), []), facts) if f.complains]
    assert finding.evidence["selector"] == {"app": "web"}


def test_the_intended_workload_is_named_where_nothing_is_near() -> None:
    facts = b.facts(deployments=(workload("web", {"zone": "a", "team": "x"}),))
    (finding,) = [f for f in judged(snap(service(selector=(("app", "q"),)), []), facts) if f.complains]
    assert "Deployment web gives its pods zone=a, team=x" in finding.cause


def test_neither_selector_nor_endpoints() -> None:
    facts = b.facts(deployments=(workload("web", {"app": "web"}),))
    (finding,) = [f for f in judged(snapshot([], service(selector=()), slices=()), facts) if f.complains]
    assert (finding.id, finding.component, finding.evidence) == ("SV-03", "selector", {"selector": {"app": "web"}})


@pytest.mark.parametrize(
    ("templates", "advice"),
    [
        ({"web": {"app": "web"}}, []),
        ({"web": {"app": "new"}}, ["the pods of Deployment web do not get app=web from their template"]),
        ({"web": {"app": "new"}, "next": {"app": "web"}}, []),
        ({}, []),  # nothing is known of the template
    ],
)
def test_labels_that_the_template_does_not_give_are_told(templates: dict[str, t.Any], advice: list[str]) -> None:
    found = judged(snapshot(), b.facts(deployments=[workload(name, labels) for name, labels in templates.items()]))
    assert [f.message for f in found if f.id == "SV-06" and f.status == SKIPPED] == advice
    assert not [f for f in found if f.complains]


# ----- other faults


@pytest.mark.parametrize(
    ("seen", "facts", "expected"),
    [
        pytest.param(
            snap(service(cluster_ips=())), b.facts(), [("SV-13", FAIL, "service")], id="no cluster IP",
        ),
        pytest.param(
            snap(service(type="ExternalName", cluster_ips=(), external_name="192.0.2.7"), []), b.facts(),
            [("SV-20", FAIL, "service")], id="an alias for an address",
        ),
        pytest.param(
            snapshot(), b.facts(services=(b.service(labels={"service.kubernetes.io/service-proxy-name": "x"}),)),
            [("SV-19", FAIL, "service")], id="hidden from kube-proxy",
        ),
        pytest.param(
            snapshot(), b.facts(events=(event("ClusterIPOutOfRange", RECENT),)), [("SV-21", WARN, "service")],
            id="a current warning",
        ),
        pytest.param(
            snapshot(endpoints=(endpoint(pod(1)), BY_HAND)), b.facts(), [("EP-09", FAIL, "controller")],
            id="an endpoint by hand",
        ),
        pytest.param(
            snap(service(ports=(port(protocol="UDP", target_port="web"),))), b.facts(), [("SV-10", FAIL, "port/80")],
            id="UDP, the target is named and TCP",
        ),
        pytest.param(
            snap(service(ports=(port(protocol="UDP"),))), b.facts(), [("SV-10", WARN, "port/80")],
            id="UDP, the pods declare TCP",
        ),
        pytest.param(
            snap(service(families=("IPv6",), cluster_ips=("fd00::1",))), b.facts(), [("SV-14", FAIL, "service")],
            id="the pods have no such address",
        ),
        pytest.param(
            snap(service(families=("IPv4", "IPv6"), cluster_ips=("10.96.1.1", "fd00::1"))), b.facts(),
            [("SV-14", WARN, "service")], id="the pods have one of two families",
        ),
        pytest.param(
            snap(service(publish_not_ready=True), [pod(1), pod(2, ready=False, turned=LATE)]), b.facts(),
            [("SV-18", FAIL, "service")], id="an unready pod is published",
        ),
        pytest.param(
            snap(service(type="NodePort")), b.facts(), [("NP-01", FAIL, "nodeport")], id="no NodePort",
        ),
        pytest.param(
            snap(BALANCED), b.facts(services=(PENDING,)), [("LB-01", FAIL, "loadbalancer")], id="no load balancer",
        ),
        pytest.param(
            snap(BALANCED),
            b.facts(services=(PENDING,), events=(event("SyncLoadBalancerFailed", RECENT),)),
            [("LB-01", FAIL, "loadbalancer")], id="a load balancer that fails",
        ),
        pytest.param(
            snap(BALANCED), b.facts(services=(b.service(type="LoadBalancer", loadBalancerClass="example.org/x"),)),
            [("LB-06", FAIL, "loadbalancer")], id="a class that nobody serves",
        ),
    ],
)  # fmt: skip
def test_faults(seen: Snapshot, facts: Facts, expected: list[Complaint]) -> None:
    assert complaints(seen, facts) == expected


def test_a_readiness_probe_proves_that_the_pods_speak_tcp() -> None:
    found = body("web-1", {"app": "web"}, "node-1")
    found["spec"]["containers"] = [
        {"name": "c", "ports": [{"name": "http", "containerPort": 80}], "readinessProbe": {"httpGet": {"port": "http"}}}
    ]
    seen = snap(service(ports=(port(protocol="UDP"),)))
    assert complaints(seen, b.facts(pods=(found,))) == [("SV-10", FAIL, "port/80")]


@pytest.mark.parametrize(
    ("bodies", "words"),
    [
        ({"services": (PENDING,)}, "is a load balancer controller for Services without a class running"),
        (
            {"services": (PENDING,), "events": (event("SyncLoadBalancerFailed", RECENT),)},
            "SyncLoadBalancerFailed: it went",
        ),
        (
            {"services": (b.service(finalizers=["service.kubernetes.io/load-balancer-cleanup"], type="LoadBalancer"),)},
            "a controller has taken it on",
        ),
    ],
)
def test_why_a_load_balancer_has_no_address(bodies: dict[str, t.Any], words: str) -> None:
    (finding,) = [f for f in judged(snap(BALANCED), b.facts(**bodies)) if f.complains]
    assert words in finding.cause


@pytest.mark.parametrize(
    ("entry", "status", "words"),
    [
        ({"ip": "192.0.2.1"}, PASS, "are of IPv4, ipMode VIP"),
        ({"ip": "192.0.2.1", "ipMode": "Proxy"}, SKIPPED, "ipMode is Proxy"),
        ({"hostname": "lb.example.com"}, SKIPPED, "has the name lb.example.com"),
        ({"ip": "2001:db8::1"}, WARN, "has the address 2001:db8::1, of a family that the Service has not"),
    ],
)
def test_what_a_load_balancer_gives(entry: dict[str, str], status: str, words: str) -> None:
    body = b.service(type="LoadBalancer", status={"loadBalancer": {"ingress": [entry]}})
    seen = snap(replace(BALANCED, ingress=tuple(entry[key] for key in entry if key != "ipMode")))
    (told,) = [finding for finding in judged(seen, b.facts(services=(body,))) if finding.id == "LB-02"]
    assert told.status == status
    assert words in told.message


def test_whom_a_load_balancer_lets_in_is_said() -> None:
    ranges = b.service(
        type="LoadBalancer", loadBalancerSourceRanges=["10.0.0.0/8"], status=WITH_ADDRESS.all("services")[0]["status"]
    )
    assert [f.message for f in judged(snap(BALANCED), b.facts(services=(ranges,))) if f.id == "LB-05"] == [
        "the load balancer lets in clients of 10.0.0.0/8 only"
    ]


@pytest.mark.parametrize(
    ("asked", "pods", "probed", "expected"),
    [
        pytest.param({}, [pod(1)], True, FAIL, id="who asks has no endpoint"),
        pytest.param({}, [pod(1)], False, SKIPPED, id="nobody asks"),
        pytest.param({"nodes": ("node-1",)}, [pod(1)], False, PASS, id="the clients are where the endpoint is"),
        pytest.param({"nodes": ("node-3",)}, [pod(1)], False, FAIL, id="the clients are elsewhere"),
        pytest.param({"workload": "Deployment shop"}, [pod(1)], False, PASS, id="the clients' workload is there"),
        pytest.param({"workload": "Deployment shop"}, [pod(2)], False, FAIL, id="the clients' workload is elsewhere"),
        pytest.param({"client": Client("demo", {"app": "shop"})}, [pod(2)], False, FAIL, id="by the clients' labels"),
        pytest.param({}, [pod(1, owner="DaemonSet web")], True, SKIPPED, id="on chosen nodes by a DaemonSet"),
        pytest.param({}, [pod(1), pod(2), pod(3, ready=False)], True, PASS, id="a pod is on its way"),
    ],
)
def test_internal_traffic_policy_local(asked: dict[str, t.Any], pods: list[t.Any], probed: bool, expected: str) -> None:
    ready = tuple(endpoint(one) for one in pods if one.ready)
    facts = b.facts(
        client_pods=(body("shop-1", {"app": "shop"}, "node-1"), body("probe", {"plumbline.dev/run": "x"}, "node-3"))
    )
    found = [f for f in judged(snap(LOCAL, pods, endpoints=ready), facts, probed=probed, **asked) if f.id == "SV-16"]
    assert [f.status for f in found] == [expected]


def test_control_plane_nodes_are_no_clients_of_their_own_accord() -> None:
    taint = {"key": "node-role.kubernetes.io/control-plane", "effect": "NoSchedule"}
    nodes = (b.node("node-1"), b.node("node-2"), b.node("node-3", taints=[taint]))
    assert complaints(snap(LOCAL), b.facts(nodes=nodes), probed=True) == []


def test_which_nodes_answer_from_outside_is_said() -> None:
    facts = b.facts(nodes=(b.node("node-1"), b.node("node-2"), CONTROL_PLANE))
    messages = [f.message for f in judged(snap(EXPOSED), facts) if f.id == "SV-17"]
    assert messages == [
        "externalTrafficPolicy is Local: node-1, node-2 answer clients from outside; those that do not: node-3"
    ]


def test_nodes_that_drop_clients_from_outside_are_named() -> None:
    (finding,) = [f for f in judged(snap(EXPOSED, [pod(1)])) if f.complains]
    assert (finding.id, finding.status, finding.component) == ("SV-17", WARN, "nodeport/local")
    assert finding.evidence["nodes"] == ["node-2", "node-3"]
    assert "no endpoint of Service demo/web is on node-2, node-3" in finding.message


# ----- expectations and advice


@pytest.mark.parametrize(
    ("expect", "expected"),
    [
        ({"type": "ClusterIP", "ports": ("80", "80/TCP")}, []),
        ({"type": "NodePort"}, [("SV-02", FAIL, "service")]),
        ({"ports": ("http",)}, [("SV-07", FAIL, "client/http")]),
        ({"ports": ("80", "8443", "443/TCP")}, [("SV-07", FAIL, f"client/{p}") for p in ("8443", "443/TCP")]),
        ({"ports": ()}, []),
    ],
)
def test_expectations(expect: dict[str, t.Any], expected: list[Complaint]) -> None:
    assert complaints(expect=Expectations(**expect)) == expected


@pytest.mark.parametrize(
    ("wanted", "words"),
    [
        ("80", "clients use port 80, and Service demo/web has http (8080/TCP), https (443/TCP); 80 is the targetPort"),
        ("30443", "30443 is the NodePort of https (443/TCP), which only the nodes have"),
        ("htpps", "nearest: https (443/TCP)"),
        ("444/TCP", "nearest: https (443/TCP)"),
        ("http:8081", "nearest: http (8080/TCP)"),
        ("metrics", "has http (8080/TCP), https (443/TCP)"),
    ],
)
def test_a_port_that_clients_use_and_that_is_not_there(wanted: str, words: str) -> None:
    ports = (
        port(name="http", port=8080, target_port=80),
        port(name="https", port=443, target_port="tls", node_port=30443),
    )
    found = judged(snap(service(ports=ports)), expect=Expectations(ports=(wanted, "https")))
    (finding,) = [f for f in found if f.id == "SV-07"]
    assert words in finding.message
    assert not finding.message.endswith(";")


def test_a_service_that_is_headless_by_mistake() -> None:
    assert complaints(snap(HEADLESS), expect=Expectations(type="ClusterIP")) == [("SV-02", FAIL, "service")]


@pytest.mark.parametrize(
    ("of", "check", "words"),
    [
        (service(ports=(port(target_port=8081),)), "SV-08", "8081 of port 80/TCP (nearest: 80)"),
        (service(ports=(port(name="https", app_protocol="http"),)), "SV-11", "contradict each other"),
        (service(headless=True, cluster_ips=(), ports=(port(port=8080),)), "SV-13", "clients need the targetPort"),
    ],
)
def test_advice(of: t.Any, check: str, words: str) -> None:
    assert [words in f.message for f in judged(snap(of)) if f.id == check and f.status == SKIPPED] == [True]


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({}, PASS),
        ({"app": "https"}, SKIPPED),
        ({"app": "https", "target": 8443}, None),
        ({"app": "https", "selector": {"app": "other"}}, None),
        ({"app": "grpc"}, PASS),
    ],
    ids=["alike", "https here and http there", "another port of the pods", "other pods", "not of the web"],
)
def test_two_services_of_the_same_pods(changes: dict[str, t.Any], status: str | None) -> None:
    port_ = {"port": 8000, "targetPort": changes.get("target", 80), "appProtocol": changes.get("app", "http")}
    other = b.service("other", "other-uid", selector=changes.get("selector", {"app": "web"}), ports=[port_])
    own = b.service(selector={"app": "web"}, ports=[{"port": 80, "name": "http"}])
    found = judged(snap(service(ports=(port(name="http"),))), b.facts(services=(own, other)))
    assert [finding.status for finding in found if finding.id == "SV-12"] == ([status] if status else [])


def test_what_answers_is_not_contradicted_by_what_pods_declare() -> None:
    assert not [f for f in judged(snap(service(ports=(port(target_port=8081),))), probed=True) if f.id == "SV-08"]


def test_every_check_is_in_the_catalogue() -> None:
    catalogue = {check for check, _title, _rights in layer.CHECKS}
    seen = {f.id for of, facts in HEALTHY.values() for f in judged(of, facts)}
    assert seen <= catalogue


# ----- nearest misses


@pytest.mark.parametrize(
    ("wanted", "known", "expected"),
    [
        ("htp", ["http", "https"], "http"),
        ("https", ["http", "metrics"], "http"),
        ("web", ["metrics"], ""),
        ("web", [], ""),
    ],
)
def test_words(wanted: str, known: list[str], expected: str) -> None:
    assert nearest.word(wanted, known) == expected


@pytest.mark.parametrize(
    ("wanted", "known", "expected"),
    [(8081, [80, 443], 80), (8081, [8080], 8080), (81, [80, 8080], 80), (5000, [443, 8500], 8500), (80, [], None)],
)
def test_ports(wanted: int, known: list[int], expected: int | None) -> None:
    assert nearest.port(wanted, known) == expected


def test_the_most_like_label_wins_then_the_most_numerous() -> None:
    pods = [("a", {"app": "web1"}), ("b", {"app": "webserver"}), ("c", {"app": "webserver"})]
    found = nearest.miss((("app", "web"),), pods)
    assert found is not None
    assert (found.names, found.text) == (("a",), "nearest: 1 pod(s) with app=web1, e.g. a")
    found = nearest.miss((("app", "web"),), [*pods, ("d", {"app": "web2"}), ("e", {"app": "web2"})])
    assert found is not None
    assert found.names == ("d", "e")


def test_a_named_target_port_has_a_nearest_name() -> None:
    seen = snap(service(ports=(port(target_port="wbe"),)))
    found = [f for f in endpoints.check(look(seen, question(layers=("endpoints",)))) if f.id == "SV-09"]
    assert {(f.component, f.cause, f.evidence["target_port"]) for f in found} == {("port/80", "nearest: web", "web")}


def test_the_line_that_adds_a_port_names_those_beside_it() -> None:
    """The API server refuses a nameless port beside another one."""
    found = judged(expect=Expectations(ports=("8080",)))
    (finding,) = [f for f in found if f.id == "SV-07"]
    line = shlex.split(finding.evidence["fix"])
    assert line[:-1] == ["kubectl", "patch", "service", "web", "-n", "demo", "-p"]
    assert json.loads(line[-1])["spec"]["ports"] == [
        {"name": "port-80", "port": 80, "protocol": "TCP"},
        {"name": "port-8080", "port": 8080, "protocol": "TCP", "targetPort": 80},
    ]
