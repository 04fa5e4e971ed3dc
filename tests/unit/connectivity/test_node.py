# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Nodes seen from inside: what is planned, how it is judged, and what it is the cause of."""

from __future__ import annotations

import typing as t
from dataclasses import replace

import pytest

from ansible_collections.plumbline.kubernetes.plugins.module_utils.connectivity import agent_node, engine, probe
from ansible_collections.plumbline.kubernetes.plugins.module_utils.connectivity import question as asking
from ansible_collections.plumbline.kubernetes.plugins.module_utils.connectivity.checks import judge, node
from ansible_collections.plumbline.kubernetes.plugins.module_utils.connectivity.diagnose.causes import diagnose
from ansible_collections.plumbline.kubernetes.plugins.module_utils.connectivity.facts import Facts
from ansible_collections.plumbline.kubernetes.plugins.module_utils.connectivity.look import Look, Observation
from ansible_collections.plumbline.kubernetes.plugins.module_utils.connectivity.module import would
from ansible_collections.plumbline.kubernetes.plugins.module_utils.connectivity.plan_node import service_key
from ansible_collections.plumbline.kubernetes.plugins.module_utils.connectivity.question import NODE
from ansible_collections.plumbline.kubernetes.plugins.module_utils.connectivity.reach import reachable
from ansible_collections.plumbline.kubernetes.plugins.module_utils.connectivity.result import Finding
from ansible_collections.plumbline.kubernetes.plugins.module_utils.connectivity.rights import Right, Rights
from ansible_collections.plumbline.kubernetes.plugins.module_utils.connectivity.scope import Probe, Vantage
from ansible_collections.plumbline.kubernetes.plugins.module_utils.connectivity.snapshot import (
    Container,
    Node,
    Pod,
    Service,
    ServicePort,
    Snapshot,
    family_of,
    host_port,
)
from ansible_collections.plumbline.kubernetes.plugins.module_utils.kube.deadline import Deadline
from ansible_collections.plumbline.kubernetes.plugins.module_utils.kube.errors import OptionError
from ansible_collections.plumbline.kubernetes.tests.unit.connectivity import builders as b

Value = dict[str, t.Any]
Change = t.Callable[[Probe, Value], Value | Observation | None]

DNS = ServicePort("dns", "UDP", 53, 5353)
QUIET = Container("app")


def asked(**changes: t.Any) -> t.Any:
    return b.question(layers=("endpoints", NODE), causes=True, **changes)


def healthy(one: Probe, seen: Snapshot) -> Value:
    """What a node tells when all is well."""
    if one.purpose == "node_proxy":
        return {
            "running": True,
            "stopped": False,
            "eligible": True,
            "answer": "ok",
            "mode": "iptables",
            "status": 200,
            "age": 0,
        }
    if one.purpose == "node_rules":
        return {
            "iptables": rules(seen, one.node),
            "nftables": {},
            "missing": {"nftables": "it has no table kube-proxy"},
        }
    if one.purpose == "node_conntrack":
        flows = {f"{key} 10.244.1.5:5353": 3 for key in one.task["wanted"]}
        return {"known": True, "count": 400, "max": 262144, "flows": flows, "unread": ""}
    assert seen.service
    told = {
        pod.uid: [
            f"{port.protocol.lower()} 0.0.0.0 {port.target_port}"
            for port in seen.service.ports
            if isinstance(port.target_port, int)
        ]
        for pod in seen.pods
    }
    return {"pods": {uid: told[uid] for uid in one.task["pods"]}}


def rules(seen: Snapshot, name: str) -> dict[str, list[str]]:
    """As a proxy would write them."""
    assert seen.service
    found = {}
    for address in seen.service.cluster_ips:
        for port in seen.service.ports:
            behind = [e for e in seen.endpoints if e.family == family_of(address) and e.port(port.name, port.protocol)]
            to = reachable(seen.service, behind, seen.node(name) or Node(name))
            if to:
                ends = [host_port(e.address, e.port(port.name, port.protocol) or 0) for e in to]
                found[service_key(address, port)] = sorted(ends)
    return found


def look(
    change: Change | None = None, before: Snapshot | None = None, broken: b.Break | None = None, **more: t.Any
) -> Look:
    """One look where every node tells what `change` makes of what a good one tells."""
    seen = before or b.snapshot()

    def answer(one: Probe, good: Observation) -> Observation | None:
        if not one.purpose.startswith("node_") or one.purpose == "node_port":
            return broken(one, good) if broken else good
        value = healthy(one, seen)
        told = change(one, value) if change else value
        return Observation("ok", value=told) if isinstance(told, dict) else told

    return b.look(seen, more.pop("question", asked()), answer, **more)


def on(purpose: str, name: str = "node-2", **changes: t.Any) -> Change:
    """One reading of one node is otherwise; an empty name stands for all nodes."""

    def change(one: Probe, value: Value) -> Value:
        mine = one.purpose == purpose and name in ("", one.node)
        return {**value, **changes} if mine else value

    return change


def found(of: Look) -> list[Finding]:
    return [finding for finding in node.check(of) if finding.status != "pass"]


def told(of: Look) -> list[tuple[str, str, str]]:
    return [(finding.id, finding.status, finding.component) for finding in found(of)]


# ----- the plan


def test_nothing_is_planned_unless_it_is_asked_for() -> None:
    assert b.look().plan.insiders == ()
    assert not any(one.purpose.startswith("node_r") for one in b.look().plan.probes)


def test_clients_nodes_come_first_and_those_of_endpoints_besides() -> None:
    seen = b.snapshot([b.pod(1), b.pod(3)])
    assert [v.node for v in look(before=seen, question=asked(nodes=("node-2",))).plan.insiders] == [
        "node-2",
        "node-1",
        "node-3",
    ]
    assert [v.node for v in look(before=seen, question=asked(max_nodes=1)).plan.insiders] == ["node-1"]
    dead = replace(seen, nodes=tuple(replace(one, ready=one.name != "node-3") for one in seen.nodes))
    assert "node-3" not in [v.node for v in look(before=dead).plan.insiders]


def test_insiders_are_no_clients() -> None:
    of = look()
    assert {v.namespace for v in of.plan.insiders} == {"kube-system"}
    assert not {*of.plan.insiders} & {*of.plan.vantages}


def test_tasks_name_what_belongs_to_the_service_and_nothing_else() -> None:
    host = b.pod(2, host_network=True)
    seen = b.snapshot([b.pod(1), host], of=b.service(ports=(b.HTTP, DNS)))
    of = {one.purpose: one.task for one in look(before=seen).plan.probes if one.vantage.label == "inside node node-2"}
    assert of["node_rules"]["wanted"] == ["10.96.1.1:80/TCP", "10.96.1.1:53/UDP"]
    assert of["node_conntrack"]["wanted"] == ["10.96.1.1:53/UDP"]
    assert of["node_listeners"]["pods"] == {"uid-2": {"ports": [80, 5353], "host": True}}
    headless = b.snapshot(of=b.service(cluster_ips=(), headless=True))
    assert not any(one.purpose == "node_rules" for one in look(before=headless).plan.probes)


def test_the_plan_keys_are_those_of_the_agent() -> None:
    for address in ("10.96.1.1", "fd00::1"):
        assert service_key(address, DNS) == agent_node.service_key(address, 53, "udp")


# ----- the pod


def test_a_pod_that_looks_at_a_node_has_few_powers_and_no_more() -> None:
    options = probe.Options(image="x", namespace="demo", labels={"role": "shop"}, service_account="shop")
    inside = probe.job("x", "run", look().plan.insiders[0], ["python3"], options, inside=True)
    template = inside["spec"]["template"]
    spec, (container,) = template["spec"], template["spec"]["containers"]
    assert (spec["hostNetwork"], spec["hostPID"], spec["securityContext"]["runAsUser"]) == (True, True, 0)
    assert "runAsNonRoot" not in spec["securityContext"]
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"], "add": ["NET_ADMIN", "SYS_CHROOT", "SYS_PTRACE"]},
        "appArmorProfile": {"type": "Unconfined"},
    }
    assert spec["automountServiceAccountToken"] is False
    assert spec.keys().isdisjoint({"volumes", "hostIPC", "serviceAccountName"})
    assert "role" not in template["metadata"]["labels"]
    # What one Job is given does not stick to the next.
    plain = probe.job("x", "run", look().plan.vantages[0], ["python3"], options)["spec"]["template"]["spec"]
    assert "hostPID" not in plain
    assert plain["containers"][0]["securityContext"]["capabilities"] == {"drop": ["ALL"]}


def test_even_in_the_clients_namespace_it_wears_nothing_of_theirs() -> None:
    options = probe.Options(image="x", namespace="kube-system", labels={"a": "b"}, service_account="shop")
    inside = probe.job("x", "run", look().plan.insiders[0], ["python3"], options, inside=True)["spec"]["template"]
    assert "a" not in inside["metadata"]["labels"]
    assert "serviceAccountName" not in inside["spec"]


def test_the_modules_of_the_agent_travel_with_the_tasks_that_need_them() -> None:
    of = look().plan
    assert set(probe.sources(of.tasks(of.insiders[0]))) == {"agent", "agent_node"}
    assert set(probe.sources(of.tasks(of.vantages[0]))) == {"agent"}


# ----- what comes back


@pytest.mark.parametrize("purpose", agent_node.TYPES)
def test_what_a_node_tells_is_checked_value_by_value(purpose: str) -> None:
    of = look()
    one = next(one for one in of.plan.probes if one.purpose == purpose)
    tasks = {one.id: {"id": one.id, **one.task}}
    good = healthy(one, b.snapshot())
    raw = {"id": one.id, "type": purpose, "class": "ok", "detail": "", "ms": 1, "value": good}
    checked = probe.check(raw, tasks)
    assert checked is not None
    assert checked["value"] == good
    for name in good:
        for bad in (None, 1.5, ["x"] if isinstance(good[name], dict) else {"x": 1}):
            assert probe.check({**raw, "value": {**good, name: bad}}, tasks) is None, (name, bad)


# ----- healthy means silent

LOCAL = b.service(internal_local=True)
HEALTHY = {
    "as usual": b.snapshot(),
    "local traffic only": b.snapshot(of=LOCAL),
    "nobody is ready": b.snapshot(endpoints=(b.endpoint(b.pod(1), ready=False),)),
    "the last one ends": b.snapshot(endpoints=(b.endpoint(b.pod(1), ready=False, terminating=True),)),
    "near nodes": b.snapshot(
        endpoints=tuple(b.endpoint(b.pod(n), node_hints=frozenset({f"node-{n}"})) for n in (1, 2))
    ),
    "headless": b.snapshot(of=b.service(cluster_ips=(), headless=True)),
    "UDP": b.snapshot(of=b.service(ports=(b.HTTP, DNS))),
    "no endpoints": b.snapshot([]),
}


@pytest.mark.parametrize("seen", HEALTHY.values(), ids=HEALTHY)
def test_a_healthy_service_has_no_complaint(seen: Snapshot) -> None:
    of = look(before=seen)
    assert [
        finding for finding in judge(of) if finding.layer == "node" and finding.status not in ("pass", "skipped")
    ] == []


@pytest.mark.parametrize(
    "changed",
    [
        {"before": b.snapshot(), "after": b.snapshot([b.pod(1)]), "rules": b.snapshot()},
        {"before": b.snapshot(), "after": b.snapshot([b.pod(1)]), "rules": b.snapshot([b.pod(1)])},
        {"before": b.snapshot([b.pod(1)]), "after": b.snapshot(), "rules": b.snapshot([b.pod(1)])},
        {"before": b.snapshot([b.pod(1)]), "after": b.snapshot([b.pod(2)]), "rules": b.snapshot()},
    ],
    ids=["lost, not yet told", "lost, and told", "new, not yet told", "one replaces the other"],
)
def test_what_changes_during_the_look_is_let_go(changed: dict[str, Snapshot]) -> None:
    change = on("node_rules", "", iptables=rules(changed["rules"], "node-1"))
    of = look(change, changed["before"], after=changed["after"])
    assert "IN-04" not in {check for check, status, _component in told(of) if status != "pass"}


# ----- service proxies

PROXIES: dict[str, tuple[dict[str, t.Any], str]] = {
    "stopped": ({"stopped": True, "answer": "timeout"}, "the service proxy of node node-2 is stopped"),
    "hangs": ({"answer": "timeout"}, "the service proxy of node node-2 does not answer"),
    "late": ({"status": 503, "age": 200}, "the service proxy of node node-2 is not healthy: status 503"),
    "missing": ({"running": False, "answer": "refused"}, "the service proxy of node node-2 is missing"),
}


@pytest.mark.parametrize(("change", "message"), PROXIES.values(), ids=PROXIES)
def test_a_broken_service_proxy_is_accused(change: dict[str, t.Any], message: str) -> None:
    (finding,) = found(look(on("node_proxy", mode="", **change)))[:1]
    assert (finding.id, finding.status, finding.component) == ("IN-02", "fail", "proxy/node-2")
    assert finding.message == message


@pytest.mark.parametrize(
    "change",
    [
        on("node_proxy", status=503, eligible=False),
        on("node_proxy", answer="refused", mode=""),
        on("node_proxy", "", running=False, answer="refused", mode=""),
    ],
    ids=["a node that is about to go", "no port for its health", "something else on all nodes"],
)
def test_a_proxy_that_is_not_known_to_be_broken_is_not_accused(change: Change) -> None:
    assert {status for check, status, _component in told(look(change)) if check == "IN-02"} <= {"skipped"}


# ----- rules

KEY = "10.96.1.1:80/TCP"
BOTH = ["10.244.1.5:80", "10.244.2.5:80"]
RULES: dict[str, tuple[dict[str, list[str]], str, str]] = {
    "none": ({}, "fail", "node node-2 has no rules for port 80/TCP of Service demo/web at 10.96.1.1"),
    "led nowhere": ({KEY: []}, "fail", "do not lead to 10.244.1.5:80, 10.244.2.5:80"),
    "too few": ({KEY: BOTH[:1]}, "warn", "do not lead to 10.244.2.5:80"),
    "stale": ({KEY: [*BOTH, "10.244.9.9:80"]}, "fail", "lead to 10.244.9.9:80, which is no endpoint"),
    "another port": ({KEY: [BOTH[0], "10.244.2.5:8080"]}, "fail", "lead to 10.244.2.5:8080, which is no endpoint"),
}


@pytest.mark.parametrize(("led", "status", "message"), RULES.values(), ids=RULES)
def test_rules_that_are_not_those_of_the_slices(led: dict[str, list[str]], status: str, message: str) -> None:
    (finding,) = [one for one in found(look(on("node_rules", iptables=led))) if one.id == "IN-04"]
    assert (finding.status, finding.component, finding.field) == (status, "proxy/node-2", KEY)
    assert message in finding.message
    assert finding.expected == BOTH


def test_rules_of_the_mode_that_runs_are_judged() -> None:
    def both(one: Probe, value: Value) -> Value:
        if one.purpose == "node_proxy":
            return {**value, "mode": "nftables"}
        return {**value, "nftables": value["iptables"], "iptables": {}, "missing": {}} if "missing" in value else value

    assert told(look(both)) == [("IN-05", "skipped", "")]


@pytest.mark.parametrize(
    ("mode", "missing", "message"),
    [
        ("iptables", {"iptables": "it has no iptables-save", "nftables": "no"}, "it has no iptables-save"),
        ("ipvs", {"nftables": "no"}, "proxy mode ipvs"),
        ("", {"iptables": "it has no iptables-save", "nftables": "no"}, "there are none of kube-proxy"),
    ],
)
def test_rules_that_cannot_be_read_are_skipped(mode: str, missing: dict[str, str], message: str) -> None:
    def change(one: Probe, value: Value) -> Value:
        if one.node != "node-2":
            return value
        if one.purpose == "node_proxy":
            return {**value, "mode": mode}
        return {**value, "iptables": {}, "missing": missing} if one.purpose == "node_rules" else value

    (finding,) = [one for one in found(look(change)) if one.id == "IN-04"]
    assert finding.status == "skipped"
    assert finding.message == f"rules of node node-2 are not read: {message}"


def test_a_service_that_is_left_to_another_proxy_is_skipped() -> None:
    labels = {"service.kubernetes.io/service-proxy-name": "mine"}
    body = {"kind": "Service", "metadata": {"name": "web", "namespace": "demo", "labels": labels}}
    of = replace(look(on("node_rules", "", iptables={}), UDP), facts=Facts({"services": (body,)}))
    skipped = {one.id: one.message for one in found(of)}
    assert skipped == dict.fromkeys(("IN-04", "IN-05"), "Service demo/web is left to the service proxy mine")


def test_zones_that_are_not_known_are_not_guessed() -> None:
    near = tuple(b.endpoint(b.pod(n), zone_hints=frozenset({f"zone-{n}"})) for n in (1, 2))
    seen = b.snapshot(endpoints=near, nodes=(), missing=(("nodes", "cannot list nodes"),))
    of = look(on("node_rules", "", iptables={KEY: BOTH[:1]}), seen)
    assert ("IN-04", "skipped", "") in told(of)


def test_what_could_not_be_read_in_time_is_undecided() -> None:
    def late(one: Probe, value: Value) -> Value | Observation:
        return b.failing("timeout") if one.purpose == "node_rules" and one.node == "node-1" else value

    (finding,) = [one for one in found(look(late)) if one.id == "IN-04"]
    assert (finding.status, finding.object) == ("inconclusive", "Node node-1")


# ----- flows and the table

UDP = b.snapshot(of=b.service(ports=(b.HTTP, DNS)))


@pytest.mark.parametrize(
    ("end", "lost"),
    [("10.244.1.5:5353", False), ("10.244.9.9:5353", True), ("10.96.1.1:53", True), ("10.244.1.5:53", True)],
    ids=["an endpoint", "gone", "led nowhere", "another port"],
)
def test_a_flow_that_is_held_to_no_endpoint(end: str, lost: bool) -> None:
    flows = {"10.96.1.1:53/UDP 10.244.2.5:5353": 7, f"10.96.1.1:53/UDP {end}": 2}
    bad = [one for one in found(look(on("node_conntrack", flows=flows), UDP)) if one.id == "IN-05"]
    assert bool(bad) == lost
    for finding in bad:
        assert (finding.status, finding.component, finding.observed) == ("fail", "flows/node-2", [end])
        assert "holds 2 UDP flow(s) to port dns (53/UDP) of Service demo/web" in finding.message
        assert "conntrack -D -p udp --orig-dst 10.96.1.1 --orig-port-dst 53" in finding.evidence["fix"]


def test_flows_to_endpoints_that_are_not_ready_are_theirs() -> None:
    seen = replace(UDP, endpoints=tuple(replace(one, ready=False, serving=False) for one in UDP.endpoints))
    assert "IN-05" not in {check for check, _status, _component in told(look(before=seen))}


def test_flows_that_cannot_be_read_are_skipped() -> None:
    of = look(on("node_conntrack", flows={}, unread="it has neither"), UDP)
    assert ("IN-05", "skipped", "") in told(of)


@pytest.mark.parametrize(
    ("count", "most", "status"),
    [(89, 100, ""), (90, 100, "warn"), (98, 100, "warn"), (99, 100, "fail"), (101, 100, "fail"), (5, 0, "")],
)
def test_how_full_a_connection_table_may_be(count: int, most: int, status: str) -> None:
    of = look(on("node_conntrack", count=count, max=most))
    bad = [one for one in found(of) if one.id == "IN-06"]
    assert [(one.status, one.component) for one in bad] == ([(status, "conntrack/node-2")] if status else [])
    assert all(f"nf_conntrack_max={2 * most}" in one.evidence["fix"] for one in bad)


def test_a_node_that_tracks_nothing_is_skipped() -> None:
    of = look(on("node_conntrack", "", known=False, count=0, max=0))
    assert ("IN-06", "skipped", "") in told(of)


# ----- who listens


def silent(one: Probe, good: Observation) -> Observation:
    """No endpoint answers directly."""
    return b.failing("refused") if one.purpose in ("direct", "cluster_ip") else good


def pods(*containers: Container, **changes: t.Any) -> list[Pod]:
    return [b.pod(number, containers=containers, **changes) for number in (1, 2)]


def hearing(lines: dict[str, list[str]], seen: Snapshot, broken: b.Break | None = silent) -> list[Finding]:
    def change(one: Probe, value: Value) -> Value:
        if one.purpose != "node_listeners":
            return value
        return {"pods": {uid: lines.get(uid, told) for uid, told in value["pods"].items()}}

    return [one for one in found(look(change, seen, broken)) if one.id == "SV-08"]


def test_a_number_that_no_pod_listens_on_is_the_services_mistake() -> None:
    """The nearest miss is told."""
    seen = b.snapshot(pods(QUIET), of=b.service(ports=(ServicePort("", "TCP", 80, 8080),)))
    (finding,) = hearing({f"uid-{n}": ["tcp 0.0.0.0 8081", "tcp :: 8443", "tcp 127.0.0.1 9"] for n in (1, 2)}, seen)
    assert (finding.status, finding.component, finding.object) == ("fail", "port/80", "Service demo/web")
    assert finding.message == (
        "no pod listens on targetPort 8080 of port 80/TCP of Service demo/web; they listen on 8081, 8443"
    )


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (
            ["tcp 0.0.0.0 8081"],
            "pod web-2 does not listen on port 80, where port 80/TCP of Service demo/web leads; it listens on 8081",
        ),
        (
            ["tcp 127.0.0.1 80", "tcp ::1 80"],
            "pod web-2 listens on port 80, where port 80/TCP of Service demo/web leads, at 127.0.0.1, ::1 only",
        ),
        (
            ["udp 0.0.0.0 80"],
            "pod web-2 does not listen on port 80, where port 80/TCP of Service demo/web leads; it listens on 80",
        ),
        ([], "pod web-2 does not listen on port 80, where port 80/TCP of Service demo/web leads; it listens on none"),
    ],
    ids=["elsewhere", "for itself", "another protocol", "nowhere"],
)
def test_a_pod_that_does_not_listen_as_others_do_is_accused_itself(lines: list[str], message: str) -> None:
    (finding,) = hearing({"uid-2": lines}, b.snapshot())
    assert (finding.status, finding.component, finding.object) == ("fail", "answer/web-2/80", "Pod demo/web-2")
    assert finding.message == message


def test_pods_that_declare_a_port_and_do_not_listen_on_it_are_accused_themselves() -> None:
    lines = {f"uid-{n}": ["tcp 0.0.0.0 8081"] for n in (1, 2)}
    assert [one.component for one in hearing(lines, b.snapshot())] == ["answer/web-1/80", "answer/web-2/80"]


@pytest.mark.parametrize(
    "line", ["tcp 10.244.2.5 80", "tcp :: 80", "tcp ::ffff:10.244.2.5 80", "tcp ::ffff:0.0.0.0 80"]
)
def test_addresses_that_others_reach(line: str) -> None:
    assert hearing({"uid-2": [line]}, b.snapshot()) == []


def test_all_addresses_of_ipv4_are_none_of_ipv6() -> None:
    six = b.pod(2, ips=("fd00::5",))
    of: Service = b.service(cluster_ips=("fd01::1",), families=("IPv6",))
    seen = b.snapshot([six], of=of, endpoints=(b.endpoint(six, of, family="IPv6"),))
    assert len(hearing({"uid-2": ["tcp 0.0.0.0 80"]}, seen)) == 1
    assert hearing({"uid-2": ["tcp :: 80"]}, seen) == []


def test_who_answers_listens_whatever_the_kernel_of_the_node_knows() -> None:
    """A sandbox has sockets of its own."""
    assert hearing({"uid-2": []}, b.snapshot(), None) == []


def test_a_pod_whose_processes_were_not_found_is_not_judged() -> None:
    (finding,) = [one for one in found(look(on("node_listeners", "", pods={}))) if one.id == "SV-08"]
    assert finding.status == "skipped"


# ----- why nothing was seen


def test_a_refused_pod_is_told_once_and_everything_else_is_judged() -> None:
    of = look()
    kept = {key: seen for key, seen in of.observations.items() if key[0] not in of.plan.insiders}
    lost = dict.fromkeys(
        of.plan.insiders, 'the pod was refused: pods "x" is forbidden: violates PodSecurity "baseline"'
    )
    of = replace(of, observations=kept, lost=lost)
    unsure = [finding for finding in judge(of) if finding.status == "inconclusive"]
    assert [(one.id, one.object) for one in unsure] == [("PR-01", f"Node node-{n}") for n in (1, 2, 3)]
    assert "PodSecurity" in str(unsure[0].observed)
    assert [(one.id, one.status) for one in node.check(of)] == [
        (check, "skipped") for check in (*(check for check, *_rest in node.CHECKS), "SV-08")
    ]
    assert any(finding.id == "EP-11" and finding.status == "pass" for finding in judge(of))


def test_a_missing_right_is_named_and_bends_nothing() -> None:
    of = look()
    kept = {key: seen for key, seen in of.observations.items() if key[0] not in of.plan.insiders}
    of = replace(
        of, observations=kept, lost=dict.fromkeys(of.plan.insiders, "cannot create jobs in namespace kube-system")
    )
    assert {one.message for one in node.check(of)} == {"cannot create jobs in namespace kube-system"}
    assert {finding.status for finding in judge(of)} == {"pass", "skipped"}


@pytest.mark.parametrize("lacking", ["", "watch pods"])
def test_where_pods_may_not_be_followed_none_start_and_others_do(lacking: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A watch that may not be opened would end the round of all clients."""
    started: dict[Vantage, t.Any] = {}

    def run(_cluster: t.Any, plans: dict[Vantage, t.Any], _options: t.Any) -> dict[Vantage, probe.ProbeOutcome]:
        started.update(plans)
        return {vantage: probe.ProbeOutcome() for vantage in plans}

    monkeypatch.setattr(engine.probe, "run", run)
    session = engine._Session.__new__(engine._Session)
    session.question, session.deadline = asked(), Deadline.after(60)
    session.cluster = t.cast("t.Any", None)
    session.rights = Rights(frozenset({Right("watch", "pods", "kube-system")} if lacking else ()))
    planned = look().plan
    outcomes = session._probe(planned)
    assert {*started} == {*planned.vantages, *(() if lacking else planned.insiders)}
    why = "cannot watch pods in namespace kube-system" if lacking else ""
    assert {vantage: outcomes[vantage].cause for vantage in planned.insiders} == dict.fromkeys(planned.insiders, why)


def test_one_node_that_is_not_seen_does_not_keep_others_from_being_judged() -> None:
    of = look(on("node_rules", "node-1", iptables={}))
    kept = {key: seen for key, seen in of.observations.items() if key[0] != of.plan.insiders[2]}
    of = replace(of, observations=kept, lost={of.plan.insiders[2]: "gone"})
    assert ("IN-04", "fail", "proxy/node-1") in told(of)


# ----- what it is the cause of


def test_a_stopped_proxy_explains_missing_rules_and_unanswered_connections() -> None:
    def dead(one: Probe, good: Observation) -> Observation:
        mine = one.purpose == "cluster_ip" and one.vantage.node == "node-2"
        return replace(b.failing("timeout"), value={"classes": {"timeout": 21}}) if mine else good

    def change(one: Probe, value: Value) -> Value:
        stopped = on("node_proxy", stopped=True, answer="timeout", mode="")
        told = t.cast("Value", stopped(one, value))
        return t.cast("Value", on("node_rules", iptables={})(one, told))

    of = look(change, broken=dead)
    (cause,) = diagnose(of, judge(of))
    assert (cause.id, cause.component, cause.confidence) == ("IN-02", "proxy/node-2", "certain")
    assert {"IN-04", "DP-03"} <= {finding.id for finding in cause.consequences}
    assert "spec.nodeName=node-2" in cause.fix.kubectl


def test_a_full_table_explains_what_is_lost_on_its_node() -> None:
    def lost(one: Probe, good: Observation) -> Observation:
        mine = one.purpose in ("direct", "cluster_ip") and one.vantage.node == "node-2"
        classes = {"timeout": int(one.task.get("repeat") or 1)}
        return replace(b.failing("timeout"), value={"classes": classes}) if mine else good

    of = look(on("node_conntrack", count=100, max=100), broken=lost)
    (cause,) = diagnose(of, judge(of))
    assert (cause.id, cause.component) == ("IN-06", "conntrack/node-2")
    assert "sysctl" in cause.fix.kubectl


def test_rules_of_one_port_explain_what_is_lost_though_another_port_is_answered() -> None:
    seen = b.snapshot(of=b.service(ports=(ServicePort("a", "TCP", 80, 80), ServicePort("b", "TCP", 81, 80))))

    def lost(one: Probe, good: Observation) -> Observation:
        mine = one.target == "10.96.1.1:80" and one.vantage.node == "node-2"
        return replace(b.failing("refused"), value={"classes": {"refused": 21}}) if mine else good

    of = look(on("node_rules", iptables={"10.96.1.1:81/TCP": BOTH}), seen, lost)
    (cause,) = diagnose(of, judge(of))
    assert (cause.id, cause.component) == ("IN-04", "proxy/node-2")
    assert "DP-03" in {finding.id for finding in cause.consequences}


def test_flows_that_are_held_follow_from_a_stopped_proxy() -> None:
    flows = {"10.96.1.1:53/UDP 10.244.9.9:5353": 1}

    def change(one: Probe, value: Value) -> Value:
        told = t.cast("Value", on("node_conntrack", flows=flows)(one, value))
        return t.cast("Value", on("node_proxy", stopped=True, answer="timeout", mode="")(one, told))

    of = look(change, UDP)
    (cause,) = diagnose(of, judge(of))
    assert (cause.component, [finding.id for finding in cause.consequences]) == ("proxy/node-2", ["IN-05"])
    of = look(on("node_conntrack", flows=flows), UDP)
    (cause,) = diagnose(of, judge(of))
    assert (cause.component, "conntrack -D" in cause.fix.kubectl) == ("flows/node-2", True)


# ----- options


def params(**given: t.Any) -> dict[str, t.Any]:
    def default(spec: dict[str, t.Any]) -> t.Any:
        if "options" in spec and spec["type"] == "dict":
            return {name: default(inner) for name, inner in spec["options"].items()}
        return spec.get("default")

    spec = {**asking.OPTIONS, **asking.HTTP_OPTIONS, **asking.DIAGNOSE_OPTIONS}
    return {**{name: default(of) for name, of in spec.items()}, "name": "web", "namespace": "demo", **given}


def test_nodes_are_looked_at_only_where_asked() -> None:
    assert NODE not in asking.question(params(), asking.LAYERS).layers
    chosen = asking.question(params(node_level=True, node_namespace="tools"), asking.LAYERS)
    assert (chosen.layers[-1], chosen.node_namespace) == (NODE, "tools")
    assert would(chosen).endswith(
        "and look at these and the endpoints' nodes from pods in namespace tools and read the Service's variables"
        " in the containers of up to 10 pods; check mode runs nothing"
    )


def test_nodes_cannot_be_looked_at_without_pods() -> None:
    with pytest.raises(OptionError, match="node_level: nodes are looked at from pods, and probe: false given"):
        asking.question(params(node_level=True, probe=False), asking.LAYERS)
