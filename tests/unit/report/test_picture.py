# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The drawing: what is marked, what is said, and that nothing lies outside or over something else."""

from __future__ import annotations

import typing as t
from itertools import combinations

import pytest

from ansible_collections.plumbline.kubernetes.plugins.module_utils.report import model
from ansible_collections.plumbline.kubernetes.plugins.module_utils.report.picture import (
    WIDTH,
    Box,
    Picture,
    cut,
    picture,
)
from ansible_collections.plumbline.kubernetes.plugins.module_utils.report.ways import clients, endpoints
from ansible_collections.plumbline.kubernetes.tests.unit.connectivity.builders import look, question, service, snapshot
from ansible_collections.plumbline.kubernetes.tests.unit.report import samples

SAMPLES = {"healthy": samples.healthy, "broken": samples.broken, "empty": samples.empty, "many": samples.unready}


def seen(found: samples.Document) -> model.Entry:
    return model.entry("c", found, now=samples.STARTED, max_age=None)


def drawn(found: samples.Document) -> Picture:
    entry = seen(found)
    assert entry.topology
    return picture(entry.topology, entry.verdict, entry.causes)


def overlap(one: Box, other: Box) -> bool:
    return (
        one.x < other.x + other.width
        and other.x < one.x + one.width
        and one.y < other.y + other.height
        and other.y < one.y + one.height
    )


@pytest.mark.parametrize("name", SAMPLES)
def test_boxes_lie_side_by_side_inside_of_the_picture(name: str) -> None:
    shown = drawn(SAMPLES[name]())
    for box in shown.boxes:
        assert box.x >= 0
        assert box.y >= 0
        assert box.x + box.width <= WIDTH
        assert box.y + box.height <= shown.height
    apart = [box for box in shown.boxes if box.kind != "pod"]
    assert not [(a.title, b.title) for a, b in combinations(apart, 2) if overlap(a, b)]
    pods = [box for box in shown.boxes if box.kind == "pod"]
    assert not [(a.title, b.title) for a, b in combinations(pods, 2) if overlap(a, b)]
    for pod in pods:
        (node,) = [box for box in shown.boxes if box.kind == "node" and overlap(box, pod)]
        assert node.y < pod.y
        assert pod.y + pod.height < node.y + node.height


def test_a_healthy_picture_has_no_mark() -> None:
    shown = drawn(samples.healthy())
    assert {line.status for line in shown.lines} == {"ok", "none"}
    assert not {box.status for box in shown.boxes} - {"", "ok"}
    assert shown.description == "Every way is good."
    assert {box.title for box in shown.boxes if box.kind == "pod"} == {"web-1", "web-2"}
    assert [box.kind for box in shown.boxes].count("certificate") == 1


def test_what_is_broken_is_marked_and_said() -> None:
    shown = drawn(samples.broken())
    marked = {line.full: (line.status, line.label) for line in shown.lines if line.status not in ("ok", "none")}
    assert marked == {
        "node-1 to the Service: 13 of 22 good, 9 refused": ("partial", "9 refused"),
        "node-2 to the Service: 0 of 2 good, timeout": ("failed", "timeout"),
        "node-3 to the Service: 13 of 22 good, 9 refused": ("partial", "9 refused"),
        "ready, but refused": ("failed", "refused"),
    }
    (pod,) = [box for box in shown.boxes if box.title == "web-2"]
    assert pod.status == "failed"
    assert "node-2 asks the Service: 0 of 2 good, timeout." in shown.description
    assert "Pod web-2 asked directly: refused." in shown.description


def test_the_place_of_a_cause_is_marked_and_said() -> None:
    shown = drawn(samples.broken())
    badges = {(box.kind, box.title): (box.badge, box.status) for box in shown.boxes if box.badge}
    assert badges == {("pod", "web-2"): ("root cause", "failed"), ("node", "node-2"): ("further cause", "failed")}
    assert "The root cause is at pod web-2." in shown.description


@pytest.mark.parametrize(
    ("component", "of", "kind"),
    [
        ("selector", "Service demo/web", "service"),
        ("port/80", "Pod demo/web-2", "service"),
        ("certificate/https", "Service demo/web", "certificate"),
        ("dns/servers", "Deployment kube-system/coredns", "dns"),
        ("resolver/node-2", "Node node-2", "node"),
        ("nodeport/80", "Service demo/web", "service"),
        ("policy/deny", "NetworkPolicy demo/deny", ""),
        ("client", "Service demo/other", ""),
        ("answer/web-9", "Pod demo/web-9", ""),
    ],
)
def test_a_cause_has_the_place_of_its_component_or_object(component: str, of: str, kind: str) -> None:
    found = samples.healthy()
    found["causes"] = [{**samples.broken()["causes"][0], "component": component, "object": of, "status": "warn"}]
    marked = [(box.kind, box.status) for box in drawn(found).boxes if box.badge]
    assert marked == ([(kind, "partial")] if kind else [])


def test_names_that_are_not_found_are_told_on_the_box_of_dns() -> None:
    found = samples.healthy()
    lines = {box.kind: box.lines for box in drawn(found).boxes}
    assert lines["dns"][-1] == "name web and 3 longer"
    for edge in found["topology"]["edges"]:
        if edge["target"] == "web":
            edge.update(status="failed", classes={"nxdomain": 2})
    shown = drawn(found)
    assert next(box for box in shown.boxes if box.kind == "dns").lines[-1] == "web: nxdomain"
    assert "The name web: nxdomain." in shown.description


def test_the_client_outside_is_one_of_them() -> None:
    shown = drawn(samples.outside())
    (box,) = [box for box in shown.boxes if box.title == "outside"]
    assert (box.lines, box.full) == (("of the cluster",), "Client outside")
    (line,) = [line for line in shown.lines if line.full.startswith("outside to the Service: ")]
    assert (line.status, "timeout" in line.label) == ("partial", True)
    topology = seen(samples.outside()).topology
    assert topology
    titles, rows = clients(topology)
    assert titles[-2:] == ["NodePort", "Load balancer"]
    (ways,) = [dict(row.ways) for row in rows if row.client["label"] == "outside"]
    assert {title: way.status for title, way in ways.items() if way} == {"NodePort": "ok", "Load balancer": "failed"}


def test_a_service_without_endpoints_leads_nowhere() -> None:
    shown = drawn(samples.empty())
    assert [line.status for line in shown.lines if line.full == "no endpoint"] == ["failed"]
    assert "The Service has no endpoint." in shown.description


@pytest.mark.parametrize(("extra", "status"), [([], "idle"), ([{"status": "fail"}], "failed")])
def test_a_pod_that_is_not_ready_is_a_fault_only_where_something_is_wrong(
    extra: list[dict[str, t.Any]], status: str
) -> None:
    found = samples.unready()
    shown = drawn({**found, "findings": [*found["findings"], *extra]})
    (pod,) = [box for box in shown.boxes if box.kind == "pod" and box.lines[1].startswith("not ready")]
    assert pod.status == status
    assert "not ready: CrashLoopBackOff" in shown.description


def test_many_endpoints_are_counted_with_those_to_look_at_shown() -> None:
    shown = drawn(samples.unready(50))
    pods = [box.title for box in shown.boxes if box.kind == "pod"]
    assert len(pods) == 8
    assert "web-7d9c6b5f4-00003" in pods
    assert [box.title for box in shown.boxes if box.title.startswith("and ")] == ["and 42 more endpoints"]


def test_rows_begin_with_what_is_not_good() -> None:
    topology = seen(samples.broken()).topology
    assert topology
    assert [row.endpoint["pod"] for row in endpoints(topology)] == ["web-2", "web-1"]
    titles, rows = clients(topology)
    assert titles == ["API server", "Names", "DNS servers", "Pods directly", "Cluster IP", "By name", "NodePort"]
    ways = {row.client["label"]: dict(row.ways) for row in rows}
    bad = ways["node-2"]["Cluster IP"]
    assert bad
    assert (bad.answered, bad.total, bad.faults) == (0, 1, "timeout")
    partial = ways["node-1"]["Cluster IP"]
    assert partial
    assert (partial.status, partial.answered, partial.total, partial.faults) == ("partial", 12, 21, "9 refused")


def test_a_pod_of_two_families_has_two_rows() -> None:
    found = samples.healthy()
    topology = found["topology"]
    topology["endpoints"].append({**topology["endpoints"][0], "address": "fd00::5"})
    refused = {"by": "direct", "target": "[fd00::5]:80", "status": "failed", "classes": {"refused": 1}}
    topology["edges"].append({**topology["edges"][0], **refused, "to": topology["endpoints"][0]["pod"]})
    shown = seen(found).topology
    assert shown
    rows = {row.endpoint["address"]: row.direct for row in endpoints(shown)}
    assert {address: direct.status for address, direct in rows.items() if direct} == {
        "fd00::5": "failed",
        "10.244.1.5": "ok",
        "10.244.2.5": "ok",
    }


EXTERNAL = service(type="ExternalName", cluster_ips=(), external_name="example.org", selector=(), ports=())
KINDS = {
    "headless": look(snapshot(of=service(cluster_ips=(), headless=True))),
    "external": look(snapshot([], of=EXTERNAL)),
    "variables only": look(asked=question(layers=("environment",))),
    "no nodes": look(snapshot(nodes=())),
    "nobody delivered": look(broken=lambda _probe, _good: None),
}


@pytest.mark.parametrize("name", KINDS)
def test_every_kind_of_look_can_be_drawn(name: str) -> None:
    shown = drawn(samples.write(KINDS[name]))
    assert [box.kind for box in shown.boxes].count("service") == 1


@pytest.mark.parametrize(
    ("text", "most", "expected"),
    [("short", 5, "short"), ("web-7d9c6b5f4-00003", 11, "web-7…00003"), ("abcdef", 4, "ab…f")],
)
def test_names_are_cut_in_the_middle(text: str, most: int, expected: str) -> None:
    assert cut(text, most) == expected
