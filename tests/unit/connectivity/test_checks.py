# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Checks are silent about what is healthy, and name what is not: one table each."""

from __future__ import annotations

import typing as t
from dataclasses import replace
from pathlib import Path

import pytest

from ansible_collections.plumbline.kubernetes.plugins.module_utils.connectivity import checks
from ansible_collections.plumbline.kubernetes.plugins.module_utils.connectivity.look import ENDPOINTS, Look, Observation
from ansible_collections.plumbline.kubernetes.plugins.module_utils.connectivity.question import (
    API_PROXY,
    LAYERS,
    NODE,
    OUTSIDE,
    SURROUNDINGS,
    Client,
    Expectations,
)
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
    Container,
    ServicePort,
    Snapshot,
)
from ansible_collections.plumbline.kubernetes.tests.unit.connectivity.builders import (
    DNS_ENDPOINTS,
    HTTP,
    KUBE_DNS,
    NODES,
    Break,
    endpoint,
    failing,
    http_answer,
    look,
    pod,
    question,
    service,
    snapshot,
)

HEADLESS = service(headless=True, cluster_ips=(), ports=(ServicePort("http", "TCP", 80, 80),))
LOCAL = service(internal_local=True)
BY_HAND = endpoint(pod(1), pod="", pod_uid="", managed_by="me")


def hinted(number: int) -> t.Any:
    return endpoint(pod(number), node_hints=frozenset({f"node-{number}"}), zone_hints=frozenset({"z"}))


def complaints(of: Look) -> list[Finding]:
    return [finding for finding in checks.judge(of) if finding.status not in (PASS, SKIPPED)]


def ids(of: Look, *statuses: str) -> set[str]:
    return {finding.id for finding in checks.judge(of) if finding.status in statuses}


def test_every_layer_of_the_folder_is_listed() -> None:
    folder = Path(checks.__file__).parent
    helpers = {"__init__", "backends", "common", "paths"}
    helpers |= {"exposure", "cluster_dns", "hairpin", "lookups", "proxy_logs", "refused", "tls"}  # of others
    helpers |= {"advice", "containers", "pods", "readiness", "rollouts", "sources", "wording"}  # of workload
    assert {path.stem for path in folder.glob("*.py")} - helpers == {layer.NAME for layer in checks.LAYERS}
    known = {*LAYERS, *SURROUNDINGS, NODE, OUTSIDE, API_PROXY, *checks.ALWAYS}
    assert {layer.NAME for layer in checks.LAYERS} <= known


# ----- healthy means silent

HEALTHY: dict[str, Snapshot] = {
    "two pods": snapshot(),
    "one pod": snapshot([pod(1)]),
    "fifty pods": snapshot([pod(n % 3 + 1, name=f"web-{n}", uid=f"u{n}", ips=(f"10.244.9.{n}",)) for n in range(50)]),
    "headless": snapshot(of=HEADLESS),
    "policy Local": snapshot(of=LOCAL),
    "session affinity": snapshot(of=service(session_affinity=True)),
    "prefer the same node": snapshot(endpoints=(hinted(1), hinted(2))),
    "several ports": snapshot(of=service(ports=(HTTP, ServicePort("https", "TCP", 443, 443)))),
    "named target port": snapshot(of=service(ports=(ServicePort("http", "TCP", 80, "web"),))),
    "node port": snapshot(of=service(type="NodePort", ports=(ServicePort("http", "TCP", 80, 80, 30080),))),
    "external policy Local": snapshot(
        of=service(type="NodePort", external_local=True, ports=(ServicePort("http", "TCP", 80, 80, 30080),))
    ),
    "no selector": snapshot((), service(selector=()), endpoints=(BY_HAND,)),
    "alias": snapshot((), service(type="ExternalName", cluster_ips=(), external_name="example.com", ports=())),
    "roll-out: old pod leaving, new one coming": snapshot(
        [
            pod(1),
            pod(2, terminating=True),
            pod(3, ready=False, unready_reason="starting", containers=(Container("c", waiting="ContainerCreating"),)),
        ],
        endpoints=(
            endpoint(pod(1)),
            endpoint(pod(2), ready=False, serving=True, terminating=True),
            endpoint(pod(3), ready=False, serving=False),
        ),
    ),
    "only terminating pods serve": snapshot(
        [pod(1, terminating=True)], endpoints=(endpoint(pod(1), ready=False, serving=True, terminating=True),)
    ),
    "finished pods": snapshot([pod(1), pod(2, phase="Succeeded", ready=False)], endpoints=(endpoint(pod(1)),)),
    "not ready, but published": snapshot(
        [pod(1), pod(2, ready=False)],
        service(publish_not_ready=True),
        endpoints=(endpoint(pod(1)), endpoint(pod(2), serving=False)),
    ),
    "pods of the host network": snapshot([pod(1, host_network=True, ips=("172.18.0.1",)), pod(2)]),
    "dual stack": snapshot(
        [pod(1, ips=("10.244.1.5", "fd00::5"))],
        service(cluster_ips=("10.96.1.1", "fd00:1::1"), families=("IPv4", "IPv6")),
        endpoints=(endpoint(pod(1)), endpoint(pod(1), address="fd00::5", family="IPv6", slice="web-v6")),
        slices=("web-abc", "web-v6"),
    ),
    "pods with two addresses behind one family": snapshot([pod(1, ips=("10.244.1.5", "fd00::5"))]),
    "undeclared ports": snapshot([pod(1, containers=(Container("nginx"),))]),
}  # fmt: skip


@pytest.mark.parametrize("name", HEALTHY)
def test_healthy_means_silent(name: str) -> None:
    assert complaints(look(HEALTHY[name])) == []


def test_a_healthy_service_passes_every_check() -> None:
    exposed = service(type="NodePort", ports=(ServicePort("http", "TCP", 80, "web", 30080),))
    passed = ids(look(snapshot(of=exposed)), PASS)
    assert passed >= {
        *("PR-01", "SV-04", "SV-09", "EP-01", "EP-02", "EP-03", "EP-05", "EP-06", "EP-11", "EP-12", "EP-13", "WL-11"),
        *("DN-01", "DN-02", "DN-03", "DN-06", "DN-07", "DN-08", "DN-09", "DN-11", "DN-13", "DN-14", "DN-16", "DN-22"),
        *("DP-03", "DP-04", "DP-08", "NP-02"),
    }


def test_a_pod_that_comes_or_goes_meanwhile_is_not_judged() -> None:
    before, after = snapshot(), snapshot([pod(1), pod(3)])

    def pod_2_is_gone(probe: Probe, good: Observation) -> Observation:
        return failing("timeout") if probe.endpoint and probe.endpoint.pod == "web-2" else good

    seen = look(before, broken=pod_2_is_gone, after=after, touched=frozenset({"uid-2", "uid-3", ENDPOINTS}))
    assert "EP-11" not in {finding.id for finding in complaints(seen)}


@pytest.mark.parametrize(("change", "silent"), [({"terminating": True}, True), ({"ready": False}, False)])
def test_a_pod_that_leaves_may_still_answer_but_an_unready_one_may_not(change: dict[str, t.Any], silent: bool) -> None:
    leaving = endpoint(pod(3), ready=False, serving=True, terminating="terminating" in change)
    seen = snapshot([pod(1), pod(2), pod(3, **change)], endpoints=(endpoint(pod(1)), endpoint(pod(2)), leaving))
    broken = where(http_answer(["web-1", "web-2", "web-3"], 21), purpose="cluster_ip")
    assert ("EP-13" not in {finding.id for finding in complaints(look(seen, broken=broken))}) == silent


@pytest.mark.parametrize(("layer", "check"), [("endpoints", "EP-11"), ("http", "DP-01")])
def test_when_every_pod_changed_nothing_is_proven(layer: str, check: str) -> None:
    asked = question(layers=(layer,))
    bad = complaints(look(asked=asked, after=snapshot([pod(3)]), touched=frozenset({"uid-1", "uid-2", ENDPOINTS})))
    assert [(finding.id, finding.status) for finding in bad] == [(check, INCONCLUSIVE)]


def test_while_a_headless_service_changes_answers_may_be_of_either_moment() -> None:
    before, after = snapshot(of=HEADLESS), snapshot([pod(1), pod(3)], HEADLESS)
    for addresses, fine in (
        (["10.244.1.5", "10.244.2.5"], True),
        (["10.244.1.5", "10.244.3.5"], True),
        (["10.244.1.5"], True),
        (["10.244.3.5"], False),  # the one that stayed is missing
        (["10.244.1.5", "10.244.9.9"], False),  # never was one
    ):

        def answer(probe: Probe, good: Observation, addresses: tuple[str, ...] = tuple(addresses)) -> Observation:
            if probe.purpose == "resolve":
                return Observation("ok", value={"addresses": list(addresses)})
            return good

        seen = look(before, broken=answer, after=after, touched=frozenset({"uid-2", "uid-3", ENDPOINTS}))
        assert ({"DN-01", "DN-02"} & {f.id for f in complaints(seen)} == set()) == fine, addresses


def test_a_datagram_may_hold_any_part_of_either_moment() -> None:
    before, after = snapshot(of=HEADLESS), snapshot([pod(1), pod(3)], HEADLESS)

    def answer(probe: Probe, good: Observation) -> Observation:
        asked = probe.purpose == "dns" and probe.task["rrtype"] == "A" and probe.label in ("address", "replica")
        return dns("NOERROR", "10.244.3.5", truncated=True) if asked else good

    assert "DN-05" in {f.id for f in complaints(look(before, broken=answer))}
    meanwhile = look(before, broken=answer, after=after, touched=frozenset({"uid-2", "uid-3", ENDPOINTS}))
    assert complaints(meanwhile) == []


# ----- faults that the API shows


@pytest.mark.parametrize(
    ("found", "expect", "check", "words"),
    [
        pytest.param(
            snapshot((), service(selector=(("app", "wbe"),)), strangers=(pod(1), pod(2))),
            {}, "SV-04", "nearest: 2 pod(s) with app=web", id="selector misspelt",
        ),
        pytest.param(
            snapshot([pod(1), pod(2, owner="Deployment other")]), {"owner": "Deployment web"},
            "SV-05", "Pod demo/web-2", id="pod of another workload",
        ),
        pytest.param(
            snapshot(of=service(ports=(ServicePort("http", "TCP", 80, "htp"),))), {},
            "SV-09", "declares no port htp", id="named target port misspelt",
        ),
        pytest.param(snapshot((), slices=()), {}, "EP-01", "no EndpointSlice", id="no slice"),
        pytest.param(
            snapshot(endpoints=(endpoint(pod(1)),)), {}, "EP-02", "Pod demo/web-2 is ready", id="missing endpoint"
        ),
        pytest.param(
            snapshot([pod(1)], endpoints=(endpoint(pod(1)), endpoint(pod(2)))), {},
            "EP-02", "the selector does not select its pod", id="endpoint of a pod that is not selected",
        ),
        pytest.param(
            snapshot(endpoints=(endpoint(pod(1)), endpoint(pod(2)), endpoint(pod(3), managed_by="me"))), {},
            "EP-02", "managed by me", id="slice made by hand",
        ),
        pytest.param(
            snapshot([pod(1), pod(2, ready=False, unready_reason="failing probe")]), {},
            "EP-02", "its pod is not ready (failing probe)", id="endpoint of an unready pod",
        ),
        pytest.param(
            snapshot([pod(1)], endpoints=(endpoint(pod(1), ports=(("", "TCP", 81),)),)), {},
            "EP-05", "observed 81/TCP; expected 80/TCP", id="slice with other ports",
        ),
        pytest.param(
            snapshot([pod(1)], endpoints=(endpoint(pod(1), pod_uid="earlier"),)), {},
            "EP-06", "refers to another pod", id="endpoint of an earlier pod",
        ),
        pytest.param(
            snapshot([pod(1, ready=False, unready_reason="CrashLoopBackOff")],
                     endpoints=(endpoint(pod(1), ready=False, serving=False),)),
            {}, "EP-03", "not ready: web-1: CrashLoopBackOff", id="nothing ready",
        ),
        pytest.param(snapshot(), {"ready_endpoints": 3}, "EP-03", "observed 2; expected 3", id="too few"),
        pytest.param(
            snapshot([pod(1), pod(2, node="node-1")], endpoints=(endpoint(pod(1)), endpoint(pod(2, node="node-1")))),
            {"min_nodes": 2}, "WL-11", "observed node-1; expected at least 2 nodes", id="all on one node",
        ),
        pytest.param(snapshot(dns=None, dns_endpoints=()), {}, "DN-13", "there is no Service", id="no DNS Service"),
        pytest.param(
            snapshot(dns=replace(KUBE_DNS, ports=KUBE_DNS.ports[:1])), {}, "DN-13", "lacks a port", id="DNS without TCP"
        ),
        pytest.param(
            snapshot(dns_endpoints=(replace(DNS_ENDPOINTS[0], ready=False),)), {},
            "DN-14", "observed 0 ready of 1", id="no DNS server ready",
        ),
    ],
)  # fmt: skip
def test_faults_that_the_api_shows(found: Snapshot, expect: dict[str, t.Any], check: str, words: str) -> None:
    bad = complaints(look(found, question(expect=Expectations(**expect))))
    lines = [finding.line for finding in bad if finding.id == check and finding.status == FAIL]
    assert lines, f"{check} is not among {[finding.line for finding in bad]}"
    assert words in lines[0]


@pytest.mark.parametrize(
    ("found", "check", "words"),
    [
        pytest.param(
            snapshot([pod(1)], endpoints=(endpoint(pod(1), terminating=True),)),
            "EP-04", "expected serving=True, terminating=False", id="a pod that does not end",
        ),
        pytest.param(
            snapshot([pod(1, ready=False), pod(2)],
                     endpoints=(endpoint(pod(1), ready=False, serving=True), endpoint(pod(2)))),
            "EP-04", "expected serving=False, terminating=False", id="a pod that does not serve",
        ),
        pytest.param(
            snapshot([pod(1)], endpoints=(endpoint(pod(1)), endpoint(pod(1), slice="web-old"))),
            "EP-08", "is in 2 EndpointSlices", id="an endpoint twice",
        ),
        pytest.param(
            snapshot([pod(1, ips=("10.244.1.5", "fd00::5"))],
                     endpoints=(endpoint(pod(1)), endpoint(pod(1), address="fd00::5", family="IPv6", ready=False))),
            "EP-08", "is of IPv6, which the Service has not", id="an endpoint of another family",
        ),
    ],
)  # fmt: skip
def test_what_a_controller_that_lags_leaves(found: Snapshot, check: str, words: str) -> None:
    bad = complaints(look(found))
    lines = [finding.line for finding in bad if finding.id == check and finding.status == WARN]
    assert lines, [finding.line for finding in bad]
    assert words in lines[0]


ENDING = pod(1, terminating=True)
PUBLISHED = service(publish_not_ready=True)


@pytest.mark.parametrize(
    "found",
    [
        pytest.param(
            snapshot([ENDING, pod(2)],
                     endpoints=(endpoint(ENDING, ready=False, serving=True, terminating=True), endpoint(pod(2)))),
            id="a pod of a roll-out ends",
        ),
        pytest.param(
            snapshot([replace(ENDING, ready=False), pod(2)],
                     endpoints=(endpoint(ENDING, ready=False, serving=False, terminating=True), endpoint(pod(2)))),
            id="and does not serve any more",
        ),
        pytest.param(
            snapshot([pod(1, ready=False)], PUBLISHED, endpoints=(endpoint(pod(1), PUBLISHED, serving=False),)),
            id="published before it is ready",
        ),
        pytest.param(
            snapshot([pod(1), pod(2)], endpoints=(endpoint(pod(1)), endpoint(pod(2), slice="web-def"))),
            id="two slices",
        ),
        pytest.param(
            snapshot([pod(1)], endpoints=(endpoint(pod(1)), endpoint(pod(1), slice="web-def", ports=()))),
            id="a slice for each port that pods call by another number",
        ),
    ],
)  # fmt: skip
def test_slices_of_a_healthy_roll_out_are_as_they_are(found: Snapshot) -> None:
    assert not {"EP-04", "EP-08"} & {finding.id for finding in complaints(look(found))}


def test_a_pod_that_is_stuck_is_named_at_once_and_one_that_is_slow_is_not() -> None:
    def behind(second: t.Any) -> Look:
        return look(
            snapshot([pod(1), second], endpoints=(endpoint(pod(1)), endpoint(pod(2), ready=False, serving=False)))
        )

    slow = pod(2, ready=False, unready_reason="starting", containers=(Container("c", waiting="ContainerCreating"),))
    stuck = replace(slow, containers=(Container("c", waiting="CrashLoopBackOff"),))
    assert ids(behind(slow), WARN) == set()
    assert ids(behind(stuck), WARN) == {"EP-03"}


# ----- faults that probes show


def where(fault: Observation | None, **match: t.Any) -> Break:
    """Answer with `fault` where purpose, node, pod and label of a probe are as given."""

    def broken(probe: Probe, good: Observation) -> Observation | None:
        facts = {
            "purpose": probe.purpose,
            "node": probe.vantage.node,
            "pod": probe.endpoint.pod if probe.endpoint else "",
            "label": probe.label,
        }
        return fault if all(facts[key] == value for key, value in match.items()) else good

    return broken


def some(kind: str, failed: int, total: int, *identities: str) -> Observation:
    good = http_answer(identities, total - failed)
    classes = {"ok": total - failed, kind: failed}
    return Observation(kind, f"{failed} of {total}", {**good.value, "classes": classes})


def dns(rcode: str, *records: str, truncated: bool = False) -> Observation:
    value = {"rcode": rcode, "answers": list(records), "truncated": truncated, "authoritative": True}
    return Observation("ok", value=value)


def resolved(*addresses: str) -> Observation:
    return Observation("ok", value={"addresses": list(addresses)})


WRONG_STATUS = Observation("ok", value={**http_answer(["web-1"]).value, "statuses": {"500": 1}})


@pytest.mark.parametrize(
    ("broken", "check", "words"),
    [
        (where(failing("refused"), purpose="direct", pod="web-2"), "EP-11", "web-2 (10.244.2.5) does not answer"),
        (where(failing("timeout"), purpose="direct", pod="web-2", node="node-1"), "EP-11", "it answers node-2, node-3"),
        (where(failing("timeout"), purpose="cluster_ip", node="node-3"), "DP-03", "node-3=timeout"),
        (where(failing("timeout"), purpose="cluster_ip", node="node-3"), "DP-03", "node-1, node-2 is answered"),
        (where(some("refused", 7, 21, "web-1"), purpose="cluster_ip"), "DP-03", "7 refused of 21 connections"),
        (where(http_answer(["web-1"], 21), purpose="cluster_ip", node="node-2"), "EP-12", "reach web-2 from node-2"),
        (where(http_answer(["web-1", "web-2", "x"], 21), purpose="cluster_ip", node="node-2"), "EP-13", "answers x"),
        (where(failing("name"), purpose="name"), "DP-04", "the name does not resolve"),
        (where(WRONG_STATUS, purpose="direct", pod="web-1"), "DP-08", "observed status=500; expected status=200"),
        (where(failing("name"), purpose="resolve", label="short name"), "DN-01", "short name web does not resolve"),
        (where(resolved("10.9.9.9"), purpose="resolve", label="full name"), "DN-02", "observed 10.9.9.9"),
        (where(dns("NXDOMAIN"), purpose="dns", label="address"), "DN-03", "observed NXDOMAIN; expected 10.96.1.1"),
        (where(dns("NOERROR", "10.9.9.9"), purpose="dns", label="replica"), "DN-03", "observed 10.9.9.9"),
        (
            where(dns("NOERROR", "a.b."), purpose="dns", label="pointer"),
            "DN-07",
            "expected web.demo.svc.cluster.local.",
        ),
        (where(dns("NOERROR", "192.0.2.7"), purpose="dns", label="absent"), "DN-09", "expected no such name"),
        (where(dns("SERVFAIL"), purpose="dns", label="control"), "DN-08", "SERVFAIL"),
        (where(failing("timeout"), purpose="dns", pod="coredns-2"), "DN-16", "coredns-2 (10.244.0.2)"),
        (where(failing("refused"), purpose="dns", pod=""), "DN-22", "each server answers directly"),
        (
            where(Observation("ok", value={"nameservers": ["8.8.8.8"], "search": []}), purpose="resolv_conf"),
            "DN-11",
            "observed 8.8.8.8; expected 10.96.0.10",
        ),
    ],
)
def test_faults_that_probes_show(broken: Break, check: str, words: str) -> None:
    bad = complaints(look(broken=broken))
    lines = [finding.line for finding in bad if finding.id == check]
    assert lines, f"{check} is not among {[finding.line for finding in bad]}"
    assert any(words in line for line in lines), lines


def asked_again(node: str = "node-2", server: str | None = None, ms: float = 3.0, late_ms: int = 0) -> Break:
    """Lookups that took `ms`, and queries that were lost: at one server, or at the address of the Service."""

    def broken(probe: Probe, good: Observation) -> Observation:
        if probe.vantage.node != node:
            return good
        if probe.purpose == "control":
            return replace(good, value={"late_ms": late_ms})
        if probe.purpose == "resolve":
            return replace(good, ms=ms)
        where = probe.endpoint.pod if probe.endpoint else ""
        mine = probe.purpose == "dns" and probe.task["transport"] == "udp" and where == server
        return replace(good, value={**good.value, "lost": 1}) if mine else good

    return broken


@pytest.mark.parametrize(
    ("broken", "component", "words"),
    [
        (asked_again(ms=5003.2), "resolver/node-2", "on node-2 is lost: names resolve after 5.0 s"),
        (asked_again(ms=5003.2, server=""), "resolver/node-2", "names resolve after 5.0 s"),
        (asked_again(server=""), "resolver/node-2", "queries have to be repeated"),
        (asked_again(server="coredns-2"), "dns/server/coredns-2", "queries have to be repeated"),
    ],
)
def test_a_first_query_that_is_lost(broken: Break, component: str, words: str) -> None:
    (finding,) = complaints(look(broken=broken))
    assert (finding.id, finding.status) == ("DN-20", WARN)
    assert (finding.component or component) == component
    assert words in finding.message


def slow(probe: Probe, good: Observation) -> Observation:
    """A cluster where everything takes seconds."""
    return replace(good, ms=4900.0 if probe.purpose == "resolve" else 1500.0)


def impatient(probe: Probe, good: Observation) -> Observation:
    if probe.purpose == "resolv_conf":
        return replace(good, value={**good.value, "options": ["ndots:5", "timeout:1"]})
    return replace(good, ms=950.0) if probe.purpose == "resolve" else good


@pytest.mark.parametrize(
    ("broken", "expected"),
    [
        (slow, []),
        (asked_again(ms=2000.0), []),
        (asked_again(ms=5003.2, late_ms=2500), []),
        (impatient, ["DN-20"] * 3),
    ],
    ids=["a slow cluster", "a slow lookup", "a client that is late itself", "a resolver that asks again after 1 s"],
)
def test_slowness_alone_is_no_finding(broken: Break, expected: list[str]) -> None:
    assert [finding.id for finding in complaints(look(broken=broken))] == expected


def test_a_service_record_with_another_port() -> None:
    named = snapshot(of=service(ports=(ServicePort("http", "TCP", 80, 80),)))
    broken = where(dns("NOERROR", "0 100 81 web.demo.svc.cluster.local."), purpose="dns", label="service")
    assert "DN-06" in ids(look(named, broken=broken), FAIL)


def test_a_node_port_that_is_dead_on_one_node() -> None:
    exposed = snapshot(of=service(type="NodePort", ports=(ServicePort("http", "TCP", 80, 80, 30080),)))

    def broken(probe: Probe, good: Observation) -> Observation:
        return failing("timeout") if probe.node == "node-2" else good

    (finding,) = [f for f in complaints(look(exposed, broken=broken)) if f.id == "NP-02"]
    assert finding.field == "172.18.0.2:30080"


def test_a_marker_that_is_missing() -> None:
    asked = question(expect=Expectations(contains=("Welcome",)))
    answer = Observation("ok", value={**http_answer(["web-1"]).value, "contains": {"Welcome": False}})
    bad = complaints(look(asked=asked, broken=where(answer, purpose="direct", pod="web-1")))
    assert [(finding.id, finding.object) for finding in bad] == [("DP-08", "Pod demo/web-1")]


def test_a_wrong_target_port_is_named_as_the_cause() -> None:
    wrong = snapshot(of=service(ports=(ServicePort("", "TCP", 80, 8081),)))
    bad = complaints(look(wrong, broken=where(failing("refused"), purpose="direct")))
    assert "targetPort 8081 of port 80/TCP is none of the ports that the pods declare" in bad[0].cause


# ----- what is not the Service's fault, and what cannot be known


def test_a_client_that_does_not_work_is_not_held_against_the_service() -> None:
    def broken(probe: Probe, _good: Observation) -> Observation | None:
        return failing("timeout") if probe.vantage.node == "node-2" else _good

    bad = complaints(look(broken=broken))
    assert [(finding.id, finding.status) for finding in bad] == [("PR-01", INCONCLUSIVE)]
    assert bad[0].object == "Node node-2"


def test_a_client_that_may_not_be_started_is_left_out() -> None:
    def absent(probe: Probe, good: Observation) -> Observation | None:
        return None if probe.vantage.namespace == "other" else good

    seen = look(asked=question(other_namespace="other"), broken=absent)
    (away,) = [vantage for vantage in seen.plan.vantages if vantage.namespace == "other"]
    found = checks.judge(replace(seen, lost={away: "cannot create jobs in namespace other"}))
    (left,) = [finding for finding in found if finding.id == "PR-01"]
    assert (left.status, left.observed) == (SKIPPED, "cannot create jobs in namespace other")
    assert not [finding for finding in found if finding.status in (FAIL, INCONCLUSIVE)]


def test_a_node_without_any_cluster_ip_is_accused_itself() -> None:
    def broken(probe: Probe, good: Observation) -> Observation:
        by_address = probe.purpose in ("cluster_ip", "api_server", "name") or (
            probe.purpose == "dns" and not probe.endpoint
        )
        return failing("timeout") if by_address and probe.vantage.node == "node-2" else good

    bad = complaints(look(asked=question(layers=("endpoints", "http")), broken=broken))
    assert [(finding.id, finding.object) for finding in bad] == [("IN-08", "Node node-2")]


def test_the_api_server_alone_being_out_of_reach_is_no_finding() -> None:
    assert complaints(look(broken=where(failing("timeout"), purpose="api_server"))) == []


def test_probes_that_came_to_no_end_accuse_nobody() -> None:
    found = checks.judge(look(broken=where(failing("deadline"), purpose="cluster_ip")))
    assert {finding.id: finding.status for finding in found if finding.id == "DP-03"} == {"DP-03": INCONCLUSIVE}
    assert FAIL not in {finding.status for finding in found}


def test_who_is_behind_is_unknown_without_the_header() -> None:
    def silent(_probe: Probe, good: Observation) -> Observation:
        return Observation(good.kind, good.detail, {**good.value, "identities": {}}) if good.identities else good

    found = {finding.id: finding for finding in checks.judge(look(broken=silent))}
    assert found["EP-12"].status == SKIPPED
    assert "no endpoint sends the header Served-By" in found["EP-12"].message
    assert "EP-13" not in found


def test_who_is_behind_is_unknown_when_all_say_the_same() -> None:
    def alike(_probe: Probe, good: Observation) -> Observation:
        same = {"web": sum(good.identities.values())}
        return Observation(good.kind, good.detail, {**good.value, "identities": same}) if good.identities else good

    found = {finding.id: finding for finding in checks.judge(look(broken=alike))}
    assert "several endpoints send the same value" in found["EP-12"].message


def test_too_few_connections_prove_nothing() -> None:
    broken = where(some("deadline", 20, 21, "web-1"), purpose="cluster_ip")
    assert {f.id: f.status for f in checks.judge(look(broken=broken)) if f.id == "EP-12"} == {"EP-12": SKIPPED}


def test_a_datagram_may_hold_less_than_all() -> None:
    def cut(probe: Probe, good: Observation) -> Observation:
        udp = probe.purpose == "dns" and probe.task["transport"] == "udp" and probe.task["rrtype"] == "A"
        headless = udp and probe.label in ("address", "replica")
        return dns("NOERROR", "10.244.1.5", truncated=True) if headless else good

    assert complaints(look(HEALTHY["headless"], broken=cut)) == []


@pytest.mark.parametrize(
    ("part", "checks_skipped"),
    [("endpointslices", {"EP-02", "DP-03"}), ("pods", {"EP-02"}), ("dns", {"DN-13"})],
)
def test_missing_rights_are_neither_good_nor_bad(part: str, checks_skipped: set[str]) -> None:
    why = f"cannot list {part}"
    nothing: dict[str, t.Any] = {
        "endpointslices": {"endpoints": (), "slices": ()},
        "pods": {"pods": ()},
        "dns": {"dns": None, "dns_endpoints": ()},
    }[part]
    found = checks.judge(look(replace(snapshot(), missing=((part, why),), **nothing)))
    assert {finding.id for finding in found if finding.status == SKIPPED and why in finding.message} >= checks_skipped
    assert {finding.status for finding in found} <= {PASS, SKIPPED}


def test_without_the_right_to_start_clients_everything_else_is_still_judged() -> None:
    found = checks.judge(look(broken=lambda _probe, _good: None, denied="cannot create jobs in namespace demo"))
    assert {finding.status for finding in found} == {PASS, SKIPPED}
    assert {finding.id for finding in found if finding.status == SKIPPED} == {"PR-01", "EP-11", "DN-01", "DP-03"}
    assert "EP-02" in {finding.id for finding in found if finding.status == PASS}


STICKY = snapshot(of=service(session_affinity=True))


def test_session_affinity_that_is_kept() -> None:
    assert "SV-15" in ids(look(STICKY), PASS)
    assert "SV-15" not in ids(look(), PASS)


def test_session_affinity_that_is_not_kept() -> None:
    broken = where(http_answer(["web-1", "web-2"], 3), purpose="cluster_ip", node="node-2")
    (finding,) = complaints(look(STICKY, broken=broken))
    assert (finding.id, finding.status, finding.component) == ("SV-15", FAIL, "proxy/node-2")
    assert finding.observed == {"web-1": 1, "web-2": 1}


def test_while_endpoints_change_a_client_may_be_led_elsewhere() -> None:
    gone = replace(STICKY, endpoints=STICKY.endpoints[:1], pods=STICKY.pods[:1])
    broken = where(http_answer(["web-1", "web-2"], 3), purpose="cluster_ip")
    of = look(STICKY, broken=broken, after=gone, touched=frozenset({"uid-2"}))
    assert not {finding.id for finding in checks.judge(of)} & {"SV-15"}


def test_large_packets_that_arrive() -> None:
    assert "DP-11" in ids(look(asked=question(causes=True)), PASS)
    assert "DP-11" not in ids(look(), PASS, FAIL)


@pytest.mark.parametrize(
    ("large", "small", "expected"),
    [
        (failing("timeout"), None, [FAIL]),
        (failing("reset"), None, []),  # a server that does not like large requests
        (failing("protocol"), None, []),
        (failing("timeout"), failing("timeout"), []),  # nothing arrives at all: EP-11
    ],
    ids=["lost", "hung up on", "answered oddly", "lost as small ones are"],
)
def test_large_packets(large: Observation, small: Observation | None, expected: list[str]) -> None:
    def broken(probe: Probe, good: Observation) -> Observation:
        if probe.endpoint is None or (probe.vantage.node, probe.endpoint.pod) != ("node-1", "web-2"):
            return good
        return large if probe.purpose == "large" else small or good if probe.purpose == "direct" else good

    found = [one for one in complaints(look(asked=question(causes=True), broken=broken)) if one.id == "DP-11"]
    assert [finding.status for finding in found] == expected
    assert all("node-1 -> node-2" in finding.message for finding in found)


OUTER = question(expect=Expectations(resolves=("api.example.com", "db.example.com")))


def test_further_names_that_resolve() -> None:
    (finding,) = [found for found in checks.judge(look(asked=OUTER)) if found.id == "DN-10"]
    assert (finding.status, finding.message) == (
        PASS,
        "the 2 further name(s) resolve: api.example.com, db.example.com",
    )
    assert "DN-10" not in ids(look(), PASS, SKIPPED)


@pytest.mark.parametrize(("nodes", "component"), [(("node-1", "node-2", "node-3"), "dns/upstream"), (("node-2",), "")])
def test_a_further_name_that_is_not_found(nodes: tuple[str, ...], component: str) -> None:
    def broken(probe: Probe, good: Observation) -> Observation:
        return failing("name") if probe.target == "db.example.com" and probe.vantage.node in nodes else good

    (finding,) = complaints(look(asked=OUTER, broken=broken))
    assert (finding.id, finding.object, finding.component) == ("DN-10", "db.example.com", component)
    assert sorted(finding.observed) == list(nodes)


@pytest.mark.parametrize(
    ("namespace", "lost", "expected"),
    [
        pytest.param("shop", (), "client/web", id="clients of another namespace"),
        pytest.param("shop", ("web.demo",), "dns/upstream", id="who find no other name, either"),
        pytest.param("demo", (), "dns/upstream", id="clients of its own namespace"),
    ],
)
def test_the_short_name_is_for_clients_of_its_namespace(namespace: str, lost: tuple[str, ...], expected: str) -> None:
    def broken(probe: Probe, good: Observation) -> Observation:
        return failing("name") if probe.purpose == "further" or probe.target in lost else good

    asked = question(client=Client(namespace), expect=Expectations(resolves=("web",)))
    found = [finding for finding in complaints(look(asked=asked, broken=broken)) if finding.id == "DN-10"]
    assert [(finding.status, finding.component) for finding in found] == [(FAIL, expected)]
    told = "clients in namespace shop use the short name web, which is known in namespace demo only: web.demo is right"
    assert (told in found[0].message) == (expected == "client/web")


# ----- answers in time


def timed(by: dict[tuple[str, str], float]) -> t.Callable[[Probe, Observation], Observation]:
    """Milliseconds by purpose and client's node; else 5."""
    return lambda probe, good: replace(good, ms=by.get((probe.purpose, probe.vantage.node), 5.0))


def timely(limit: int | None, by: dict[tuple[str, str], float]) -> list[Finding]:
    asked = question(expect=Expectations(within_ms=limit))
    return [finding for finding in checks.judge(look(asked=asked, broken=timed(by))) if finding.id == "DP-14"]


def test_answers_that_come_in_time() -> None:
    assert timely(None, {}) == []
    assert [finding.status for finding in timely(5, {})] == [PASS]


def test_slow_pods_are_accused_themselves() -> None:
    everywhere = {(purpose, node.name): 80.0 for purpose in ("direct", "cluster_ip") for node in NODES}
    found = timely(50, everywhere)
    assert {(finding.object, finding.component) for finding in found} == {
        ("Pod demo/web-1", "content/web-1"),
        ("Pod demo/web-2", "content/web-2"),
    }
    assert "so it is the application" in found[0].cause


def test_a_slow_way_is_told_from_a_slow_pod() -> None:
    (found,) = timely(50, {("cluster_ip", "node-2"): 80.0})
    assert (found.object, found.observed) == ("Service demo/web", {"node-2": "80 ms"})
    assert "other clients do not wait so long" in found.cause
