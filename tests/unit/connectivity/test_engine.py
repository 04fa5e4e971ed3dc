# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the engine decides without a cluster: what changed, when to look again, and what becomes of a complaint."""

from __future__ import annotations

import typing as t
from dataclasses import replace
from datetime import timedelta

import pytest

from ansible_collections.plumbline.kubernetes.plugins.module_utils.connectivity import engine, inside, names
from ansible_collections.plumbline.kubernetes.plugins.module_utils.connectivity.look import DNS, ENDPOINTS
from ansible_collections.plumbline.kubernetes.plugins.module_utils.connectivity.result import (
    FAIL,
    INCONCLUSIVE,
    PASS,
    SKIPPED,
    WARN,
    Finding,
)
from ansible_collections.plumbline.kubernetes.plugins.module_utils.kube.exec import ExecResult
from ansible_collections.plumbline.kubernetes.tests.unit.connectivity.builders import (
    NODES,
    NOON,
    endpoint,
    look,
    pod,
    question,
    service,
    snapshot,
)

SAME = snapshot()


@pytest.mark.parametrize(
    ("changes", "after", "expected"),
    [
        ([], SAME, set()),
        ([("Pod", "web-1", "uid-1")], SAME, set()),  # news of no interest
        ([], snapshot([pod(1, turned=NOON), pod(2)]), {"uid-1"}),  # ready again
        ([], snapshot([pod(1), pod(2, terminating=True)]), {"uid-2"}),
        ([], snapshot([pod(1), pod(3)]), {"uid-2", "uid-3", ENDPOINTS}),
        ([("EndpointSlice", "web-abc", "x")], SAME, {ENDPOINTS}),  # a change back and forth
        ([("EndpointSlice", "kube-dns-x", "x")], SAME, {DNS}),
        ([("Service", "web", "web-uid")], SAME, {"web-uid"}),
        ([("Service", "kube-dns", "dns-uid")], SAME, {"dns-uid", DNS}),
        ([("Node", "node-1", "n")], SAME, set()),  # a heartbeat
        ([], snapshot(nodes=(replace(NODES[0], ready=False), *NODES[1:])), {"node-1"}),
        ([], snapshot(endpoints=(endpoint(pod(1)),)), {ENDPOINTS}),
    ],
)
def test_touched(changes: list[tuple[str, str, str]], after: t.Any, expected: set[str]) -> None:
    assert engine.touched(changes, SAME, after) == expected


def finding(status: str = FAIL, *, layer: str = "endpoints", partial: bool = False, subjects: str = "uid-1") -> Finding:
    return Finding(
        "EP-11", layer, status, "m", object="Pod demo/web-1", subjects=frozenset(subjects.split()), partial=partial
    )


def round_of(found: Finding, *, seen_before: bool, touched: str = "") -> engine.Round:
    before = frozenset({found.key}) if seen_before else frozenset()
    return engine.Round(0, look(), [found], frozenset(touched.split()), before)


@pytest.mark.parametrize(
    ("found", "seen_before", "touched", "is_open", "status"),
    [
        pytest.param(finding(PASS), False, "", False, PASS, id="good"),
        pytest.param(finding(SKIPPED), False, "", False, SKIPPED, id="not looked at"),
        pytest.param(finding(), False, "", True, INCONCLUSIVE, id="seen once"),
        pytest.param(finding(), True, "", False, FAIL, id="seen twice"),
        pytest.param(finding(WARN), True, "", False, WARN, id="a warning seen twice"),
        pytest.param(finding(), True, "uid-2", False, FAIL, id="something else changed"),
        pytest.param(finding(), True, "uid-1", True, INCONCLUSIVE, id="it changed meanwhile, nothing was good"),
        pytest.param(finding(partial=True), True, "uid-1", True, SKIPPED, id="it changed meanwhile, others were good"),
        pytest.param(finding(partial=True), False, ENDPOINTS, True, SKIPPED, id="endpoints come and go"),
        pytest.param(finding(partial=True), False, "", True, INCONCLUSIVE, id="seen once while nothing changed"),
        pytest.param(finding(INCONCLUSIVE), False, "", True, INCONCLUSIVE, id="undecided is tried once more"),
        pytest.param(finding(INCONCLUSIVE), True, "", False, INCONCLUSIVE, id="but not for ever"),
    ],
)
def test_a_complaint_counts_when_it_is_seen_twice(
    found: Finding, seen_before: bool, touched: str, is_open: bool, status: str
) -> None:
    one = round_of(found, seen_before=seen_before, touched=touched)
    assert one.open == is_open
    assert [closed.status for closed in one.close()] == [status]


def test_something_surely_wrong_ends_the_search() -> None:
    assert round_of(finding(), seen_before=True).convicted
    assert not round_of(finding(), seen_before=False).convicted
    assert not round_of(finding(WARN), seen_before=True).convicted


def test_what_came_to_light_just_now_may_be_the_cause() -> None:
    assert round_of(finding(), seen_before=False).fresh
    assert not round_of(finding(), seen_before=True).fresh
    assert not round_of(finding(WARN), seen_before=False).fresh
    assert not round_of(finding(), seen_before=False, touched="uid-1").fresh


@pytest.mark.parametrize(
    ("layer", "age", "headless", "expected"),
    [
        ("endpoints", 1, False, engine.SETTLE),
        ("dns", 3600, False, engine.SETTLE),
        ("dns", 10, False, 20.0),  # until a cached absence is forgotten
        ("dns", -5, False, 30.0),  # clocks that disagree
        ("dns", 3600, True, 30.0),
    ],
)
def test_how_long_to_wait_before_looking_again(layer: str, age: int, headless: bool, expected: float) -> None:
    seen = look(snapshot(of=service(created=NOON - timedelta(seconds=age), headless=headless)))
    assert engine.settle([finding(layer=layer)], seen) == expected
    assert engine.settle([finding(PASS, layer=layer)], seen) == engine.SETTLE


def test_what_is_followed() -> None:
    everything = engine.interests(
        question(layers=("endpoints", "environment", "dns", "http")), (("a", "1"), ("b", "2"))
    )
    assert everything["pods"].labels == "a=1,b=2"
    assert everything["endpointslices"].labels == "kubernetes.io/service-name=web"
    assert everything["service"].fields == "metadata.name=web"
    assert set(everything) == {"service", "endpointslices", "pods", "nodes", "api_server", "dns", "dns_endpoints"}
    assert set(engine.interests(question(layers=("environment",)), ())) == {"service", "endpointslices"}


@pytest.mark.parametrize(
    ("result", "verdict", "detail"),
    [
        (ExecResult("WEB_SERVICE_HOST=10.96.1.1\n", "", 0, "ok"), "read", ""),
        (ExecResult("", "", 127, "failed", "not found"), "skipped", "the image has no sh"),
        (ExecResult("", "", None, "unknown", 'exec: "sh": executable file not fou…'), "skipped", "the image has no sh"),
        (ExecResult("", "", None, "unknown", "the stream broke"), "undecided", "the stream broke"),
        (ExecResult("", "", 1, "failed", "exit 1"), "undecided", "exit 1"),
    ],
)
def test_reading(result: ExecResult, verdict: str, detail: str) -> None:
    said = inside.heard(result, "sh", "to read them with")
    found = engine.reading(pod(1), pod(1).containers[0], said, service())
    assert found.verdict == verdict
    assert found.detail.startswith(detail)


@pytest.mark.parametrize(
    ("search", "expected"),
    [
        (["demo.svc.cluster.local", "svc.cluster.local", "cluster.local"], "cluster.local"),
        (["demo.svc.example.org.", "svc.example.org"], "example.org"),
        (["corp.example"], ""),
        ([], ""),
    ],
)
def test_the_domain_is_learnt_from_the_search_list(search: list[str], expected: str) -> None:
    assert names.learn_domain(search, "demo") == expected
