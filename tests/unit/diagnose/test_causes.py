# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Faults that a cluster cannot be brought into quickly: what is broken is known, so the cause must be just that."""

from __future__ import annotations

import typing as t
from dataclasses import replace

import pytest

from ansible_collections.plumbline.kubernetes.plugins.module_utils.connectivity.checks import judge
from ansible_collections.plumbline.kubernetes.plugins.module_utils.connectivity.diagnose import symptoms
from ansible_collections.plumbline.kubernetes.plugins.module_utils.connectivity.diagnose.causes import Cause, diagnose
from ansible_collections.plumbline.kubernetes.plugins.module_utils.connectivity.look import Look, Observation
from ansible_collections.plumbline.kubernetes.plugins.module_utils.connectivity.question import Expectations
from ansible_collections.plumbline.kubernetes.plugins.module_utils.connectivity.result import FAIL, WARN, Finding
from ansible_collections.plumbline.kubernetes.plugins.module_utils.connectivity.scope import Probe
from ansible_collections.plumbline.kubernetes.plugins.module_utils.connectivity.snapshot import (
    Container,
    Node,
    ServicePort,
    Snapshot,
)
from ansible_collections.plumbline.kubernetes.tests.unit.connectivity import builders as b

Rule = t.Callable[[Probe], str]
NODES = ("node-1", "node-2", "node-3")


def causes(rule: Rule, before: Snapshot | None = None) -> tuple[Cause, ...]:
    """The causes where each probe fails in the way that `rule` says, or is answered where it says nothing."""
    look = looking(rule, before)
    return diagnose(look, judge(look))


def looking(rule: Rule, before: Snapshot | None = None) -> Look:
    def broken(probe: Probe, good: Observation) -> Observation:
        kind = rule(probe)
        if not kind:
            return good
        count = int(probe.task.get("repeat") or 1)
        return replace(b.failing(kind), value={"classes": {kind: count}})

    return b.look(before, b.question(causes=True), broken)


def on(probe: Probe) -> str:
    return probe.vantage.node


def home(probe: Probe) -> str:
    """The node of the pod that is asked."""
    return probe.endpoint.node if probe.endpoint else probe.node


def of_service(probe: Probe) -> bool:
    return probe.purpose in ("cluster_ip", "name", "node_port")


def proxy_of_one_node(probe: Probe) -> str:
    """Its rules are gone: no cluster IP, and so no DNS."""
    through = (
        of_service(probe)
        or probe.purpose in ("api_server", "resolve")
        or (probe.purpose == "dns" and probe.endpoint is None)
    )
    return "timeout" if through and on(probe) == "node-2" else ""


def rules_of_one_service(probe: Probe) -> str:
    """One node's proxy does not know this Service; it knows all others."""
    return "refused" if of_service(probe) and on(probe) == "node-3" else ""


def no_proxy_knows_it(probe: Probe) -> str:
    return "timeout" if of_service(probe) else ""


def one_application(probe: Probe) -> str:
    return "refused" if probe.purpose == "direct" and home(probe) == "node-1" else ""


def nobody_listens(probe: Probe) -> str:
    return "refused" if probe.purpose in ("direct", "cluster_ip", "name") else ""


def node_is_cut_off(probe: Probe) -> str:
    """Nothing passes between node-2 and the others."""
    ends = {on(probe), home(probe)}
    return "timeout" if probe.purpose == "direct" and "node-2" in ends and len(ends) == 2 else ""


def node_is_cut_off_from_all(probe: Probe) -> str:
    """Also from the DNS servers, and so from whatever has a name or a cluster IP."""
    if on(probe) != "node-2":
        return node_is_cut_off(probe)
    if probe.purpose in ("resolve", "name"):
        return "name"
    lost = probe.purpose in ("direct", "cluster_ip", "dns", "api_server") and home(probe) != "node-2"
    return "timeout" if lost else ""


def one_link(probe: Probe) -> str:
    return "timeout" if probe.purpose == "direct" and (on(probe), home(probe)) == ("node-1", "node-2") else ""


def one_dns_server(probe: Probe) -> str:
    asked = probe.endpoint.pod if probe.purpose == "dns" and probe.endpoint else ""
    return "timeout" if asked == "coredns-3" else ""


def all_dns_servers(probe: Probe) -> str:
    if probe.purpose in ("dns", "resolve"):
        return "timeout" if probe.purpose == "dns" else "name"
    return "name" if probe.purpose == "name" else ""


def dns_service(probe: Probe) -> str:
    """Its cluster IP leads nowhere; the servers answer by themselves."""
    if probe.purpose == "dns":
        return "" if probe.endpoint else "timeout"
    return "name" if probe.purpose in ("resolve", "name") else ""


def resolver_of_one_node(probe: Probe) -> str:
    return "name" if probe.purpose in ("resolve", "name") and on(probe) == "node-1" else ""


SINGLE: dict[Rule, str] = {
    proxy_of_one_node: "proxy/node-2",
    rules_of_one_service: "proxy/node-3",
    no_proxy_knows_it: "proxies",
    one_application: "answer/web-1/80",
    nobody_listens: "port/80",
    node_is_cut_off: "network/node-2",
    node_is_cut_off_from_all: "node/node-2",
    one_link: "between/node-1/node-2",
    one_dns_server: "dns/server/coredns-3",
    all_dns_servers: "dns/servers",
    dns_service: "dns/service",
    resolver_of_one_node: "resolver/node-1",
}


def test_a_healthy_service_has_no_cause() -> None:
    assert causes(lambda _probe: "") == ()


@pytest.mark.parametrize(("rule", "component"), SINGLE.items(), ids=lambda item: getattr(item, "__name__", None))
def test_one_broken_part_is_the_one_cause(rule: Rule, component: str) -> None:
    found = causes(rule)
    assert [cause.component for cause in found] == [component]
    assert found[0].consequences
    assert found[0].confidence in ("likely", "possible")
    assert component.rpartition("/")[2] in found[0].title or "/" not in component or component.startswith("dns/")


def test_every_complaint_is_explained_once() -> None:
    for rule in SINGLE:
        look = looking(rule)
        complaints = [finding for finding in judge(look) if finding.complains]
        explained = [finding.key for cause in diagnose(look, complaints) for finding in cause.consequences]
        assert sorted(explained) == sorted({finding.key for finding in complaints}), rule.__name__


TOGETHER = [
    (one_application, one_dns_server, ["answer/web-1/80", "dns/server/coredns-3"]),
    (rules_of_one_service, one_dns_server, ["proxy/node-3", "dns/server/coredns-3"]),
    (one_application, rules_of_one_service, ["answer/web-1/80", "proxy/node-3"]),
    (node_is_cut_off, one_dns_server, ["network/node-2", "dns/server/coredns-3"]),
]


@pytest.mark.parametrize(("first", "second", "components"), TOGETHER)
def test_two_broken_parts_are_two_causes_in_causal_order(first: Rule, second: Rule, components: list[str]) -> None:
    found = causes(lambda probe: first(probe) or second(probe))
    assert [cause.component for cause in found] == components


def test_a_node_that_is_not_ready_explains_what_happens_there() -> None:
    nodes = tuple(replace(node, ready=node.name != "node-2") for node in b.NODES)
    found = causes(lambda probe: "timeout" if home(probe) == "node-2" else "", b.snapshot(nodes=nodes))
    assert found[0].component in ("node/node-2", "network/node-2", "answer/web-2/80")


def test_a_cause_names_its_rival_and_what_would_tell_them_apart() -> None:
    found = causes(nobody_listens)
    assert found[0].second[0]
    assert "proc/net/tcp" in found[0].second[1]
    assert found[0].confidence == "possible"


def test_an_application_that_listens_where_its_pod_says_is_acquitted() -> None:
    service = b.service(ports=(replace(b.HTTP, target_port=8081),))
    before = b.snapshot(of=service, endpoints=tuple(b.endpoint(pod, service) for pod in (b.pod(1), b.pod(2))))
    (cause,) = causes(nobody_listens, before)
    assert (cause.component, cause.confidence) == ("port/80", "likely")
    assert "listen on 80" in cause.title
    assert '"targetPort":80' in cause.fix.kubectl


def test_a_cause_is_safe_to_print() -> None:
    hostile = Node("node-1\x1b[31m", addresses=("172.18.0.1",))
    nodes = (hostile, *b.NODES[1:])
    found = causes(
        lambda probe: "timeout" if of_service(probe) and "\x1b" in on(probe) else "", b.snapshot(nodes=nodes)
    )
    assert found
    assert "\x1b" not in str(found[0].as_dict())


@pytest.mark.parametrize(
    ("clients", "expected"),
    [
        pytest.param(NODES, ["answer/web-1/80"], id="nobody is answered"),
        pytest.param(("node-2",), ["unknown/EP-11"], id="one client is not answered"),
    ],
)
def test_who_takes_a_connection_and_is_late_is_not_cut_off(clients: tuple[str, ...], expected: list[str]) -> None:
    late = Observation("timeout", "waiting for the header of the answer: not done within 2 s")

    def broken(probe: Probe, good: Observation) -> Observation:
        asks = probe.purpose == "direct" and probe.endpoint and probe.endpoint.pod == "web-1" and on(probe) in clients
        return late if asks else good

    seen = b.look(None, b.question(causes=True), broken)
    assert [cause.component for cause in diagnose(seen, judge(seen))] == expected


@pytest.mark.parametrize(
    ("shown", "expected"),
    [
        ({"refused": 1}, ["answer/web-1/80"]),
        ({"refused": 2, "ok": 1}, ["answer/web-1/80"]),
        # What no bad endpoint does, and what so many connections do not meet by chance, is something else.
        ({"timeout": 1}, ["answer/web-1/80", "unknown/DP-04"]),
        ({"refused": 30}, ["answer/web-1/80", "unknown/DP-04"]),
    ],
)
def test_one_connection_may_meet_the_bad_endpoint(shown: dict[str, int], expected: list[str]) -> None:
    """A client by name connects once: half of them meet the one of two pods that refuses."""

    def broken(probe: Probe, good: Observation) -> Observation:
        if one_application(probe):
            return b.failing("refused")
        met = probe.purpose == "name" and on(probe) == "node-2"
        worst = next(kind for kind in shown if kind != "ok")
        return replace(b.failing(worst), value={"classes": shown}) if met else good

    seen = b.look(None, b.question(causes=True), broken)
    assert [cause.component for cause in diagnose(seen, judge(seen))] == expected


def small_packets_only(probe: Probe) -> str:
    """A handshake's first packet is a large one, with the keys of this decade."""
    crosses = bool(probe.endpoint) and on(probe) != home(probe)
    large = probe.purpose == "large" or (probe.purpose == "direct" and probe.task["type"] == "https")
    return "timeout" if crosses and large else ""


def test_large_packets_are_lost_between_nodes() -> None:
    both = (b.HTTP, ServicePort("https", "TCP", 443, 443))
    pods = tuple(
        replace(one, containers=(Container("nginx", (("web", "TCP", 80), ("tls", "TCP", 443)), started=b.NOON),))
        for one in (b.pod(1), b.pod(2))
    )
    seen = b.snapshot(pods, b.service(ports=both))
    assert [cause.component for cause in causes(small_packets_only, seen)] == ["mtu"]


@pytest.mark.parametrize("nodes", [NODES, NODES[1:2]], ids=["everywhere", "on one node"])
def test_names_of_the_outside_world_are_not_the_services_fault(nodes: tuple[str, ...]) -> None:
    asked = b.question(causes=True, expect=Expectations(resolves=("api.example.com",)))
    look = b.look(None, asked, lambda p, good: b.failing("name") if p.purpose == "further" and on(p) in nodes else good)
    assert [cause.component for cause in diagnose(look, judge(look))] == ["dns/upstream"]


@pytest.mark.parametrize(
    ("text", "name", "expected"),
    [
        ("clients on worker2", "worker", False),
        ("clients on worker, worker2", "worker", True),
        ("clients on worker.", "worker", True),
        ("{'worker.example.org UDP': 'timeout'}", "worker", False),
        ("{'my-worker UDP': 'timeout'}", "worker", False),
        ("{'worker UDP': 'timeout'}", "worker", True),
        ("container nginx of Pod demo/web-10", "Pod demo/web-1", False),
        ("container nginx of Pod demo/web-1", "Pod demo/web-1", True),
        ("port http (8080/TCP) of it", "http (8080/TCP)", True),
        ("10.96.1.1:8080", ":80", False),
        ("10.96.1.1:80", ":80", True),
    ],
)
def test_a_name_is_not_found_in_a_longer_one(text: str, name: str, expected: bool) -> None:
    assert symptoms._names(text, name) == expected


def test_what_one_node_sees_is_not_told_of_another_one_with_a_similar_name() -> None:
    """As on kind, where they are called worker and worker2."""
    names = {"node-1": "worker", "node-2": "worker2", "node-3": "control-plane"}
    look = looking(lambda probe: "" if probe.id == "api-server" else proxy_of_one_node(probe))
    vantages = {v: replace(v, node=names[v.node], label=names[v.node]) for v in look.plan.vantages}
    probes = tuple(replace(probe, vantage=vantages[probe.vantage]) for probe in look.plan.probes)
    plan = replace(look.plan, vantages=tuple(vantages.values()), probes=probes)
    seen = {(vantages[vantage], key): found for (vantage, key), found in look.observations.items()}
    renamed = replace(look, plan=plan, observations=seen)
    assert [cause.component for cause in diagnose(renamed, judge(renamed))] == ["proxy/worker2"]


def test_who_answers_without_being_an_endpoint_is_found_by_the_proxy_of_the_node() -> None:
    def broken(probe: Probe, good: Observation) -> Observation:
        stranger = probe.purpose == "cluster_ip" and on(probe) == "node-2"
        return (
            replace(good, value={**good.value, "identities": {"web-1": 9, "web-2": 9, "old": 3}}) if stranger else good
        )

    look = b.look(None, b.question(causes=True), broken)
    (cause,) = diagnose(look, judge(look))
    assert (cause.id, cause.component, cause.fix.action) == ("EP-13", "proxy/node-2", None)


@pytest.mark.parametrize(
    ("check", "component", "words", "restarts"),
    [
        pytest.param("TL-13", "served", "so that they load the certificate that is stored", True, id="not loaded"),
        pytest.param("TL-19", "served", "so that they load the certificate that is stored", True, id="mounted late"),
        pytest.param("TL-15", "served", "let the server accept TLSv1.2 and newer only", False, id="an old version"),
    ],
)
def test_a_restart_is_no_cure_for_what_is_configured(check: str, component: str, words: str, restarts: bool) -> None:
    look = b.look(None, b.question(causes=True))
    finding = Finding(check, "http", FAIL, "Pod demo/web-1 serves what it should not", object="Pod demo/web-1")
    (cause,) = diagnose(look, [finding])
    assert (cause.component, words in cause.fix.text) == (component, True)
    assert (cause.fix.action is not None) is restarts


@pytest.mark.parametrize(
    ("check", "words"), [("NP-04", "open the NodePorts"), ("NP-05", "pass TLS on as it is, or give it a certificate")]
)
def test_what_ends_tls_on_the_way_is_no_firewall(check: str, words: str) -> None:
    look = b.look(None, b.question(causes=True))
    finding = Finding(check, "outside", FAIL, "clients outside have a complaint", component="outside")
    (cause,) = diagnose(look, [finding])
    assert words in cause.fix.text


def test_a_warning_does_not_take_the_place_of_what_failed() -> None:
    """Anybody who may write events can warn of a Service."""
    service = b.service(selector=(("app", "webb"),))
    look = b.look(b.snapshot([], of=service, strangers=(b.pod(1), b.pod(2))), b.question(causes=True))
    label = look.service.label
    stated = [
        Finding("SV-21", "service", WARN, f"{label} has a warning event", object=label, component="service"),
        Finding("SV-06", "service", FAIL, "the selector matches 0 pods", object=label, component="selector"),
    ]
    found = diagnose(look, [*stated, *(finding for finding in judge(look) if finding.complains)])
    assert [(cause.component, cause.status) for cause in found] == [("selector", FAIL), ("service", WARN)]
    assert found[0].consequences
    assert not found[1].consequences[1:]
