# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A client outside of the cluster: what it asks, what is made of the answers, and how it asks for real."""

from __future__ import annotations

import http.server
import sys
import threading
import typing as t
from dataclasses import replace

import pytest

from ansible_collections.plumbline.kubernetes.plugins.module_utils.connectivity import outside, probe
from ansible_collections.plumbline.kubernetes.plugins.module_utils.connectivity.checks import judge
from ansible_collections.plumbline.kubernetes.plugins.module_utils.connectivity.diagnose.causes import diagnose
from ansible_collections.plumbline.kubernetes.plugins.module_utils.connectivity.diagnose.words import headline
from ansible_collections.plumbline.kubernetes.plugins.module_utils.connectivity.facts import Facts
from ansible_collections.plumbline.kubernetes.plugins.module_utils.connectivity.look import Look, Observation
from ansible_collections.plumbline.kubernetes.plugins.module_utils.connectivity.module import would
from ansible_collections.plumbline.kubernetes.plugins.module_utils.connectivity.question import question as asking
from ansible_collections.plumbline.kubernetes.plugins.module_utils.connectivity.result import (
    FAIL,
    INCONCLUSIVE,
    PASS,
    SKIPPED,
    WARN,
    Finding,
)
from ansible_collections.plumbline.kubernetes.plugins.module_utils.connectivity.scope import Probe
from ansible_collections.plumbline.kubernetes.plugins.module_utils.connectivity.snapshot import (
    Node,
    Service,
    ServicePort,
    Snapshot,
    node,
    service,
)
from ansible_collections.plumbline.kubernetes.plugins.module_utils.kube.errors import OptionError
from ansible_collections.plumbline.kubernetes.tests.unit.connectivity import builders as b
from ansible_collections.plumbline.kubernetes.tests.unit.connectivity.test_node import params

OPEN = ServicePort("", "TCP", 80, 80, 30080)
NODE_PORT = b.service(type="NodePort", ports=(OPEN,))
BALANCED = b.service(type="LoadBalancer", ports=(OPEN,), ingress=("172.18.0.240",))
LOCAL = replace(BALANCED, external_local=True, health_check_port=31111)
Rule = t.Callable[[Probe], str]


def statuses(status: str) -> Observation:
    good = b.http_answer(["x"])
    return replace(good, value={**good.value, "statuses": {status: 1}})


def looking(of: Service, rule: Rule = lambda _probe: "", seen: Snapshot | None = None, **asked: t.Any) -> Look:
    """A look where each probe fails as `rule` says; nodes tell load balancers the truth."""

    def broken(probe: Probe, good: Observation) -> Observation:
        kind = rule(probe)
        if kind.isdigit():
            return statuses(kind)
        if not kind and probe.purpose == "outside_silent":
            return b.failing("timeout")
        if not kind and probe.purpose == "outside_health":
            return statuses(*(probe.expected or ()))
        if not kind:
            return good
        return replace(b.failing(kind), value={"classes": {kind: int(probe.task.get("repeat") or 1)}})

    layers = ("endpoints", "http", "outside")
    return b.look(seen or b.snapshot(of=of), b.question(**{"layers": layers, "causes": True, **asked}), broken)


def of_layer(look: Look) -> dict[str, Finding]:
    return {finding.id: finding for finding in judge(look) if finding.layer == "outside"}


def told(look: Look) -> dict[str, str]:
    return {check: finding.status for check, finding in of_layer(look).items()}


def asked(look: Look) -> set[tuple[str, str]]:
    return {(p.purpose, p.target) for p in look.plan.probes if p.vantage == look.plan.outside and p.id != "control"}


# ----- what is asked


def test_a_node_port_is_asked_at_every_ready_node() -> None:
    dead = b.snapshot(of=NODE_PORT, nodes=(*b.NODES[:2], replace(b.NODES[2], ready=False)))
    assert asked(looking(NODE_PORT, seen=dead)) == {
        ("outside_node_port", "172.18.0.1:30080"),
        ("outside_node_port", "172.18.0.2:30080"),
    }


def test_under_the_policy_local_the_others_must_be_silent_and_all_tell_load_balancers() -> None:
    look = looking(LOCAL)
    assert asked(look) == {
        ("outside_node_port", "172.18.0.1:30080"),
        ("outside_node_port", "172.18.0.2:30080"),
        ("outside_silent", "172.18.0.3:30080"),
        *(("outside_health", f"172.18.0.{n}:31111") for n in (1, 2, 3)),
        ("outside_balancer", "172.18.0.240:80"),
    }
    expected = {p.node: p.expected for p in look.plan.probes if p.purpose == "outside_health"}
    assert expected == {"node-1": ("200",), "node-2": ("200",), "node-3": ("503",)}


def test_a_service_of_one_family_is_asked_for_by_that_family_alone() -> None:
    """On a cluster of both: the service proxy of the other one does not answer for it."""
    nodes = tuple(replace(node, addresses=(*node.addresses, f"fd00::{node.name[-1]}")) for node in b.NODES)
    at = {target for _purpose, target in asked(looking(LOCAL, seen=b.snapshot(of=LOCAL, nodes=nodes)))}
    assert {target for target in at if target.startswith("[")} == set()
    both = replace(LOCAL, families=("IPv4", "IPv6"))
    probes = looking(both, seen=b.snapshot(of=both, nodes=nodes)).plan.probes
    health = {p.target: p.expected for p in probes if p.purpose == "outside_health" and p.node == "node-1"}
    assert health == {"172.18.0.1:31111": ("200",), "[fd00::1]:31111": ("503",)}  # the pods have IPv4 alone


def test_a_load_balancer_is_asked_often_enough_to_see_every_endpoint() -> None:
    tasks = [p.task for p in looking(BALANCED).plan.probes if p.purpose == "outside_balancer"]
    assert [(task["address"], task["repeat"]) for task in tasks] == [("172.18.0.240", 21)]


def test_a_load_balancer_may_have_a_name() -> None:
    named = replace(BALANCED, ingress=("lb.example.org",))
    (task,) = [p.task for p in looking(named).plan.probes if p.purpose == "outside_balancer"]
    assert (task["name"], "address" in task) == ("lb.example.org", False)


def test_it_is_asked_without_any_pod() -> None:
    look = looking(NODE_PORT, ask=False)
    assert look.plan.vantages == ()
    assert told(look) == {"NP-04": PASS}


def test_pods_are_no_part_of_it() -> None:
    look = looking(NODE_PORT)
    assert look.plan.outside not in look.plan.vantages
    assert look.plan.outside is not None
    assert look.plan.outside.node == ""


# ----- what is made of it


def test_all_is_well() -> None:
    assert told(looking(NODE_PORT)) == {"NP-04": PASS}
    assert told(looking(BALANCED)) == {"NP-04": PASS, "LB-03": PASS, "LB-04": PASS}
    assert told(looking(LOCAL)) == {
        "NP-04": PASS, "NP-06": PASS, "NP-07": PASS, "LB-03": PASS, "LB-04": SKIPPED,
    }  # fmt: skip


@pytest.mark.parametrize("kind", ["ClusterIP", "ExternalName"])
def test_what_is_not_exposed_is_not_asked(kind: str) -> None:
    look = looking(b.service(type=kind))
    assert look.plan.outside is None
    assert told(look) == {"NP-04": SKIPPED}


@pytest.mark.parametrize(
    ("seen", "why"),
    [
        (b.snapshot(pods=(), of=NODE_PORT), "the Service has no ready endpoint"),
        (b.snapshot(of=NODE_PORT, nodes=(), missing={"nodes": "cannot list nodes"}), "cannot list nodes"),
        (b.snapshot(of=NODE_PORT, nodes=(Node("node-1"),)), "no ready node has an address"),
    ],
)
def test_nothing_to_ask_is_told(seen: Snapshot, why: str) -> None:
    found = of_layer(looking(NODE_PORT, seen=seen))
    assert [(finding.id, finding.status) for finding in found.values()] == [("NP-04", SKIPPED)]
    assert why in found["NP-04"].message


def test_a_host_that_cannot_ask_accuses_nobody() -> None:
    look = looking(NODE_PORT)
    kept = {key: seen for key, seen in look.observations.items() if key[0] != look.plan.outside}
    assert look.plan.outside is not None
    look = replace(look, observations=kept, lost={look.plan.outside: "python3 could not be started"})
    (finding,) = of_layer(look).values()
    assert (finding.id, finding.status) == ("NP-04", INCONCLUSIVE)
    assert finding.message == "this host could not ask: python3 could not be started"


def outside_to(*places: str, kind: str = "timeout") -> Rule:
    return lambda p: kind if p.purpose.startswith("outside_") and (not places or p.node in places) else ""


def kind_of_cluster(of: Service, *providers: str) -> Snapshot:
    nodes = tuple(replace(n, provider=p) for n, p in zip(b.NODES, providers, strict=True))
    return b.snapshot(of=of, nodes=nodes)


@pytest.mark.parametrize(
    ("kind", "providers", "check"),
    [
        ("timeout", ("kind", "kind", "kind"), "NP-08"),
        ("unreachable", ("kind", "kind", "kind"), "NP-08"),
        ("refused", ("kind", "kind", "kind"), "NP-04"),
        ("timeout", ("aws", "aws", "aws"), "NP-04"),
        ("timeout", ("kind", "kind", ""), "NP-04"),
    ],
)
def test_containers_of_kind_on_another_network(kind: str, providers: tuple[str, ...], check: str) -> None:
    found = of_layer(looking(NODE_PORT, outside_to(kind=kind), kind_of_cluster(NODE_PORT, *providers)))
    assert found[check].status == FAIL
    assert ("extraPortMappings" in found[check].cause) == (check == "NP-08")


def test_one_reachable_node_of_kind_shows_that_there_is_a_road() -> None:
    seen = kind_of_cluster(NODE_PORT, "kind", "kind", "kind")
    assert set(told(looking(NODE_PORT, outside_to("node-2"), seen))) == {"NP-04"}


def test_a_node_that_must_be_silent_is_not() -> None:
    def answers(p: Probe) -> str:
        return "200" if p.purpose == "outside_silent" else ""

    found = of_layer(looking(LOCAL, answers))["NP-06"]
    assert (found.status, found.component) == (WARN, "nodeport/local")
    assert "node node-3 has no endpoint" in found.message


@pytest.mark.parametrize(
    ("node_name", "said", "observed"),
    [("node-1", "503", "status 503"), ("node-3", "200", "status 200"), ("node-2", "refused", "it was refused")],
)
def test_nodes_that_mislead_load_balancers(node_name: str, said: str, observed: str) -> None:
    def rule(p: Probe) -> str:
        return said if p.purpose == "outside_health" and p.node == node_name else ""

    found = of_layer(looking(LOCAL, rule))["NP-07"]
    assert (found.status, found.observed) == (FAIL, observed)
    assert f"node {node_name} has {'no' if node_name == 'node-3' else 'an'} endpoint" in found.message


def test_a_load_balancer_that_does_not_reach_one_endpoint() -> None:
    look = looking(BALANCED)
    (key,) = [(p.vantage, p.id) for p in look.plan.probes if p.purpose == "outside_balancer"]
    half = {**look.observations, key: b.http_answer(["web-1"], 21)}
    look = replace(look, observations=half)
    found = of_layer(look)["LB-04"]
    assert found.status == FAIL
    assert "does not reach web-2" in found.message
    assert [cause.component for cause in diagnose(look, judge(look))] == ["loadbalancer"]


def test_source_ranges_are_named_where_the_load_balancer_is_silent() -> None:
    body = {"metadata": {"name": "web", "namespace": "demo"}, "spec": {"loadBalancerSourceRanges": ["192.0.2.0/24"]}}
    look = looking(BALANCED, lambda p: "timeout" if p.purpose == "outside_balancer" else "")
    found = of_layer(replace(look, facts=Facts(parts={"services": (body,)})))["LB-03"]
    assert "192.0.2.0/24 only (loadBalancerSourceRanges)" in found.cause


def secure(outside_code: int, inside_code: int) -> Look:
    """HTTPS where only the verification's end differs between the clients; what is served is not looked into here."""
    exposed = b.service(type="NodePort", ports=(ServicePort("https", "TCP", 443, 443, 30443),))
    seen = b.snapshot(of=exposed)

    def broken(p: Probe, good: Observation) -> Observation:
        if p.task["type"] != "https":
            return good
        code = outside_code if p.purpose.startswith("outside") else inside_code
        served = {"chain": [], "protocol": "TLSv1.3", "below": "", "code": code, "text": "why"}
        return replace(b.http_answer(["x"]), value={**b.http_answer(["x"]).value, "served": [served], "clock": 0})

    return b.look(seen, b.question(layers=("http", "outside")), broken)


@pytest.mark.parametrize(
    ("outside_code", "inside_code", "status"),
    [(0, 0, PASS), (20, 0, FAIL), (20, 20, None), (-1, -1, SKIPPED), (62, 20, FAIL)],
)
def test_https_from_outside(outside_code: int, inside_code: int, status: str | None) -> None:
    from ansible_collections.plumbline.kubernetes.plugins.module_utils.connectivity.checks import outside as judged

    found = {finding.id: finding.status for finding in judged.check(secure(outside_code, inside_code))}
    assert found.get("NP-05") == status


# ----- causes


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        (outside_to(), ["outside"]),
        (outside_to("node-2"), ["outside/node-2"]),
        (outside_to(""), ["loadbalancer"]),
        (lambda p: "timeout" if p.purpose.endswith("node_port") else "", ["nodeport"]),
        (lambda p: "timeout" if p.node == "node-2" else "", ["nodeport/node-2"]),
    ],
    ids=["no road", "no road to one node", "a dead load balancer", "no node opens the port", "one node does not"],
)
def test_causes(rule: Rule, expected: list[str]) -> None:
    look = looking(BALANCED, rule)
    assert [cause.component for cause in diagnose(look, judge(look))] == expected


def test_pods_that_do_not_listen_are_the_cause_outside_too() -> None:
    look = looking(BALANCED, lambda p: "refused" if p.port else "")
    found = diagnose(look, judge(look))
    assert not any(cause.component.startswith(("outside", "loadbalancer", "nodeport")) for cause in found)


# ----- values


def test_api_objects() -> None:
    body = {
        "metadata": {"name": "web", "namespace": "demo"},
        "spec": {"type": "LoadBalancer", "healthCheckNodePort": 31111},
        "status": {"loadBalancer": {"ingress": [{"ip": "192.0.2.1"}, {"hostname": "lb.example.org"}, {}]}},
    }
    found = service(body)
    assert (found.ingress, found.health_check_port) == (("192.0.2.1", "lb.example.org"), 31111)
    made = node({"metadata": {"name": "n"}, "spec": {"providerID": "kind://docker/plumbline/n"}})
    assert (made.provider, node({"metadata": {"name": "n"}}).provider) == ("kind", "")


def test_check_mode_says_that_this_host_would_ask() -> None:
    assert "and ask NodePorts and load balancer from this host" in would(asking(params(outside=True), ["http"]))
    assert "this host" not in would(asking(params(), ["http"]))


def test_what_pods_get_is_told_beside_what_clients_outside_do_not() -> None:
    for ask, words in ((True, "do not get to the nodes, while pods do"), (False, "do not get to the nodes")):
        look = looking(NODE_PORT, outside_to(), ask=ask)
        accused = headline(look, "outside", judge(look)[0])
        assert accused.endswith(words)


def test_the_option() -> None:
    assert asking(params(outside=True), ["http"]).layers == ("http", "outside")
    assert asking(params(), ["http"]).layers == ("http",)
    with pytest.raises(OptionError, match=r"outside: .* checks: dns given"):
        asking(params(outside=True), ["dns"])


# ----- for real


@pytest.fixture
def page() -> t.Iterator[int]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield server.server_address[1]
        server.shutdown()


def web(port: int) -> dict[str, t.Any]:
    request = {"method": "GET", "path": "/", "host": "web", "headers": {}, "repeat": 2, "contains": []}
    return {"id": "x", "type": "http", "address": "127.0.0.1", "port": port, **request, "timeout": 2.0}


def test_the_agent_runs_here_whatever_the_environment_says(page: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("PYTHONSTARTUP", "/nowhere")
    found = outside.run([web(page)], probe.Options("", budget=5.0))
    assert not found.cause
    assert found.observations["x"]["value"]["statuses"] == {"200": 2}


def test_an_interpreter_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    found = outside.run([web(1)], probe.Options(""))
    assert found.status == "inconclusive"
    assert found.cause.startswith("/nowhere/python could not be started: ")


def test_an_agent_that_breaks_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe, "BOOT", "raise SystemExit('no such luck')")
    found = outside.run([web(1)], probe.Options(""))
    assert found.cause == "the agent ended with exit code 1; it ends with: no such luck"


def test_an_agent_that_does_not_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe, "BOOT", "import time; time.sleep(60)")
    monkeypatch.setattr(probe, "RUN_MARGIN", 0.2)
    assert outside.run([web(1)], probe.Options("", budget=0.1)).cause == "the agent did not end within 0.3 s"
