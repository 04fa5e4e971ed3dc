# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Many Services at once: each is judged as it would be alone, and each kind is read once."""

from __future__ import annotations

import json
import typing as t
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from ansible_collections.plumbline.kubernetes.plugins.module_utils.connectivity import survey as surveying
from ansible_collections.plumbline.kubernetes.plugins.module_utils.connectivity.census import Census, Holdings, judged
from ansible_collections.plumbline.kubernetes.plugins.module_utils.connectivity.checks import workload
from ansible_collections.plumbline.kubernetes.plugins.module_utils.connectivity.diagnose.causes import Cause
from ansible_collections.plumbline.kubernetes.plugins.module_utils.connectivity.facts import reduced
from ansible_collections.plumbline.kubernetes.plugins.module_utils.connectivity.result import Finding
from ansible_collections.plumbline.kubernetes.plugins.module_utils.connectivity.snapshot import service as typed
from ansible_collections.plumbline.kubernetes.plugins.module_utils.connectivity.survey import (
    THE_CLUSTER,
    Survey,
    Verdict,
)
from ansible_collections.plumbline.kubernetes.plugins.modules import survey
from ansible_collections.plumbline.kubernetes.tests.unit.connectivity import bodies
from ansible_collections.plumbline.kubernetes.tests.unit.connectivity.builders import NOON
from ansible_collections.plumbline.kubernetes.tests.unit.connectivity.scenes import (
    Body,
    Scene,
    scene,
    set_condition,
    unready,
    waiting,
)
from ansible_collections.plumbline.kubernetes.tests.unit.fake_api import Answer, FakeApi, Request, reply, status
from ansible_collections.plumbline.kubernetes.tests.unit.module_runner import run_module

DNS = ("kube-system", "kube-dns")


def service(name: str = "web", **spec: t.Any) -> Body:
    """A Service of namespace demo."""
    metadata = {"name": name, "namespace": "demo", "uid": f"{name}-uid", "creationTimestamp": "2026-11-23T10:00:00Z"}
    plain = {
        "type": "ClusterIP",
        "clusterIPs": ["10.96.1.1"],
        "ipFamilies": ["IPv4"],
        "selector": {"app": "web"},
        "ports": [{"port": 80, "targetPort": 80, "protocol": "TCP"}],
    }
    return {"kind": "Service", "metadata": metadata, "spec": {**plain, **spec}}


def slice_of(of: Body, pods: t.Sequence[Body]) -> Body:
    """Its EndpointSlice, as the controller writes it."""
    name, members = of["metadata"]["name"], []
    for pod in pods:
        ready = next(c["status"] for c in pod["status"]["conditions"] if c["type"] == "Ready") == "True"
        target = {"kind": "Pod", "name": pod["metadata"]["name"], "uid": pod["metadata"]["uid"]}
        members.append(
            {
                "addresses": [pod["status"]["podIPs"][0]["ip"]],
                "conditions": {"ready": ready, "serving": ready, "terminating": False},
                "nodeName": pod["spec"]["nodeName"],
                "targetRef": target,
            }
        )
    labels = {
        "kubernetes.io/service-name": name,
        "endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io",
    }
    return {
        "metadata": {"name": f"{name}-abc", "namespace": "demo", "labels": labels},
        "addressType": "IPv4",
        "ports": [{"name": "", "port": 80, "protocol": "TCP"}],
        "endpoints": members,
    }


def strangers() -> Scene:
    """Another workload of the namespace with ten pods, and warnings about them."""
    other = scene(10)
    for part in ("deployments", "replicasets", "pods"):
        for body in other.parts[part]:
            metadata = body["metadata"]
            metadata["name"] = metadata["name"].replace("web", "other")
            metadata["uid"] = f"other-{metadata['uid']}"
            metadata["labels"] = {**metadata.get("labels", {}), "app": "other"}
            for owner in metadata.get("ownerReferences", []):
                owner["name"], owner["uid"] = owner["name"].replace("web", "other"), f"other-{owner['uid']}"
    spec = other.deployment["spec"]
    spec["selector"] = {"matchLabels": {"app": "other"}}
    spec["template"]["metadata"]["labels"] = {"app": "other"}
    other.warn(other.pods[0], "BackOff", "Back-off restarting failed container")
    return other


def census(held: Scene, *more: Scene, services: t.Sequence[Body] = (), **parts: t.Sequence[Body]) -> Census:
    """Of one namespace that has all these workloads."""
    found: dict[str, list[Body]] = {}
    for one in (held, *more):
        for part, held_there in one.parts.items():
            found.setdefault(part, []).extend(reduced(body) for body in held_there)
    found["nodes"] = [reduced(body) for body in held.parts["nodes"]]
    found |= {part: list(bodies) for part, bodies in parts.items()}
    found["services"] = [reduced(body) for body in services]
    missing = {(part, ""): why for part, why in held.missing.items()}
    return Census(Holdings(found, [], NOON, missing), DNS)


def plain(findings: t.Iterable[Finding]) -> list[tuple[str, str, str, str]]:
    return sorted((f.id, f.status, f.message, f.object) for f in findings)


def crash(held: Scene) -> None:
    unready(held.pods[0], waiting("CrashLoopBackOff"), restartCount=5)
    held.warn(held.pods[0], "BackOff", "Back-off restarting failed container nginx")


def stuck(held: Scene) -> None:
    held.status(observedGeneration=1)


def idle(held: Scene) -> None:
    held.pods.clear()
    held.deployment["spec"]["replicas"] = 0
    held.status(replicas=0, readyReplicas=0, updatedReplicas=0, availableReplicas=0)


@pytest.mark.parametrize("change", [lambda _held: None, crash, stuck, idle], ids=["well", "crash", "stuck", "idle"])
def test_a_service_is_judged_among_others_as_it_is_alone(change: t.Callable[[Scene], None]) -> None:
    """Its own pods and workloads are enough."""
    held = scene()
    change(held)
    body = service()
    held.missing |= dict.fromkeys(("secrets", "configmaps"), "a survey does not read it")
    alone = workload.check(held.look(of=typed(body)))
    among = workload.check(census(held, strangers(), services=[body]).look(body))
    assert plain(alone) == plain(among)


def test_a_look_has_the_pods_of_its_service_and_no_others() -> None:
    held, other, body = scene(), strangers(), service()
    held.warn(held.pods[1], "Unhealthy", "Readiness probe failed")
    facts = census(held, other, services=[body]).look(body).facts
    names = {one["metadata"]["name"] for part in ("pods", "deployments", "replicasets") for one in facts.all(part)}
    assert names == {"web-7d4b-0", "web-7d4b-1", "web", "web-6f5c", "web-7d4b"}
    assert [event["reason"] for event in facts.all("events")] == ["Unhealthy"]


def test_a_selector_that_selects_nothing_is_compared_with_all_pods() -> None:
    body = service(selector={"app": "wbe"})
    look = census(scene(), strangers(), services=[body]).look(body)
    assert len(look.after.strangers) == 12
    (found,) = [finding for finding in judged(look) if finding.id == "SV-06"]
    assert found.evidence["selector"] == {"app": "web"}


@pytest.mark.parametrize(
    ("rules", "status"), [([], "fail"), ([{"from": [{"podSelector": {"matchLabels": {"may": "yes"}}}]}], "skipped")]
)
def test_a_policy_is_complained_of_where_it_lets_nobody_in(rules: list[Body], status: str) -> None:
    policy = {
        "kind": "NetworkPolicy",
        "metadata": {"name": "few", "namespace": "demo"},
        "spec": {"podSelector": {}, "policyTypes": ["Ingress"], "ingress": rules},
    }
    body = service()
    found = judged(census(scene(), services=[body], policies=[policy]).look(body))
    assert [finding.status for finding in found if finding.id == "PO-03"] == [status]


def test_a_dead_node_is_the_matter_of_those_that_have_pods_there() -> None:
    held, body = scene(), service()
    for number, node in enumerate(held.parts["nodes"]):
        if number:
            set_condition(node, "Ready", status="Unknown", lastTransitionTime="2026-11-23T11:00:00Z")
    found = judged(census(held, services=[body]).look(body))
    assert [finding.object for finding in found if finding.id == "IN-07"] == ["Node node-2"]


def test_what_many_services_share_is_told_once_and_what_the_cluster_has_comes_first() -> None:
    node = Cause("IN-07", "fail", "node node-2 is not Ready", "node/node-2")
    verdicts = [Verdict(name, (), (node,)) for name in ("demo/a", "demo/b")]
    verdicts.append(Verdict("demo/c", (), (Cause("SV-06", "warn", "odd", "selector"),)))
    verdicts.append(Verdict(THE_CLUSTER, (), (Cause("IN-01", "fail", "no proxy", "proxy/node-3"),)))
    found = Survey("kind", tuple(verdicts), NOON, 1.0, 9)
    told = [(cause["title"], cause["services"]) for cause in found.causes]
    assert told == [("no proxy", []), ("node node-2 is not Ready", ["demo/a", "demo/b"]), ("odd", ["demo/c"])]


# ----- the module


LISTS = {
    "/api/v1": ("pods", "services", "events", "nodes", "namespaces"),
    "/apis/apps/v1": ("deployments", "replicasets", "statefulsets", "daemonsets"),
    "/apis/discovery.k8s.io/v1": ("endpointslices",),
    "/apis/policy/v1": ("poddisruptionbudgets",),
    "/apis/networking.k8s.io/v1": ("networkpolicies",),
}
PATHS = {name: f"{prefix}/{name}" for prefix, names in LISTS.items() for name in names}


def within(namespace: str, name: str) -> str:
    """The path of the list of one namespace."""
    return PATHS[name].replace("/v1/", f"/v1/namespaces/{namespace}/")


def items(found: t.Sequence[Body]) -> Answer:
    """A list."""
    return reply({"metadata": {}, "items": list(found)})


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeApi]:
    """A cluster with the Services `web` and `astray`, whose selector is wrong."""
    monkeypatch.setattr(surveying, "SETTLE", 0.0)
    held = scene()
    services = [service(), service("astray", selector={"app": "wbe"})]
    parts = {**held.parts, "services": services}
    parts["endpointslices"] = [slice_of(services[0], held.pods), slice_of(services[1], [])]
    dns = {"services": [bodies.dns_service()], "pods": [bodies.coredns(1), bodies.coredns(2)]}
    with FakeApi() as server:
        for name, path in PATHS.items():
            there = parts.get(name, [])
            server.on("GET", path, items(there))
            server.on("GET", within("demo", name), items(there))
            server.on("GET", within("kube-system", name), items(dns.get(name, [])))
        yield server


def lists(api: FakeApi) -> Counter[str]:
    return Counter(line for line in api.sent("GET") if "system:coredns" not in line)


def test_each_kind_is_listed_once_and_complaints_are_looked_at_again(api: FakeApi, tmp_path: Path) -> None:
    dest = tmp_path / "survey.json"
    result = run_module(survey, api, fail_on="never", dest=str(dest))
    assert not result["failed"], result
    assert (result["services"], result["summary"]["pass"], result["summary"]["fail"]) == (2, 1, 1)
    (cause,) = [cause for cause in result["causes"] if cause["component"] == "selector"]
    assert cause["runbook"].startswith("docs/causes/service.md#selector-")
    assert (cause["services"], cause["count"], cause["id"]) == (["demo/astray"], 1, "SV-06")
    assert result["msg"].startswith("2 Service(s): 1 good, 1 not good; first: ")
    assert result["requests"] == len(api.requests)
    seen = lists(api)
    # At first for the whole cluster; then where there are complaints, and what belongs to no namespace.
    assert {seen[f"GET {path}"] for name, path in PATHS.items() if name not in ("nodes", "namespaces")} == {1}
    assert (seen["GET /api/v1/nodes"], seen["GET /api/v1/namespaces"]) == (2, 2)
    assert seen["GET /api/v1/namespaces/demo/pods"] == 1
    assert api.sent("POST", "PATCH", "DELETE") == []
    document = json.loads(dest.read_text())
    assert {verdict["subject"]: verdict["status"] for verdict in document["verdicts"]}["demo/astray"] == "fail"
    assert dest.stat().st_mode & 0o777 == 0o600


def test_what_is_well_again_at_the_second_look_is_no_complaint(api: FakeApi) -> None:
    astray, mended, pods = service("astray", selector={"app": "wbe"}), service("astray"), scene().pods
    api.on("GET", within("demo", "services"), items([service(), astray]), items([service(), mended]))
    slices = [[slice_of(service(), pods), slice_of(mended, found)] for found in ([], pods)]
    api.on("GET", within("demo", "endpointslices"), *map(items, slices))
    result = run_module(survey, api, namespaces=["demo"], fail_on="inconclusive")
    assert (result["failed"], result["summary"]["pass"]) == (False, 2), result["causes"]
    assert lists(api)[f"GET {within('demo', 'pods')}"] == 2


def test_a_service_that_is_gone_at_the_second_look_is_not_counted(api: FakeApi) -> None:
    astray = service("astray", selector={"app": "wbe"})
    api.on("GET", within("demo", "services"), items([service(), astray]), items([service()]))
    result = run_module(survey, api, namespaces=["demo"])
    assert (result["failed"], result["services"]) == (False, 1)


def test_lists_are_read_page_by_page(api: FakeApi) -> None:
    pods = scene(3).pods

    def page(request: Request) -> Answer:
        number = int(request.query.get("continue") or 0)
        more = {"continue": str(number + 1)} if number < 2 else {}
        return reply({"metadata": more, "items": [pods[number]]})

    api.on("GET", PATHS["pods"], page)
    run_module(survey, api, fail_on="never")
    assert lists(api)[f"GET {PATHS['pods']}"] == 3


def test_what_may_not_be_read_is_told_once_and_bends_nothing(api: FakeApi) -> None:
    for name in ("nodes", "events"):
        for path in (PATHS[name], within("demo", name), within("kube-system", name)):
            api.on("GET", path, status(403, "Forbidden", f"User x cannot list resource {name}"))
    api.on("GET", within("demo", "services"), items([service()]))
    result = run_module(survey, api, namespaces=["demo"], fail_on="warn")
    wheres = [f"cannot list events in namespace {name}" for name in ("demo", "kube-system")]
    assert sorted(result["unread"]) == [*wheres, "cannot list nodes"]
    assert (result["failed"], result["summary"]["pass"]) == (False, 1), result["causes"]


def test_labels_choose_services(api: FakeApi) -> None:
    chosen = service()
    chosen["metadata"]["labels"] = {"of": "shop"}
    api.on("GET", within("demo", "services"), items([chosen, service("astray", selector={"app": "wbe"})]))
    result = run_module(survey, api, namespaces=["demo"], labels={"of": "shop"})
    assert (result["failed"], result["services"]) == (False, 1), result["causes"]


def test_without_the_right_to_list_services_there_is_nothing_to_say(api: FakeApi) -> None:
    api.on("GET", PATHS["services"], status(403, "Forbidden", "User x cannot list resource services"))
    result = run_module(survey, api)
    assert result["failed"]
    assert "needs the right to list services" in result["msg"]


def test_a_namespace_that_there_is_not_is_no_empty_one(api: FakeApi) -> None:
    for name in PATHS:
        api.on("GET", within("dmeo", name), items([]))
    result = run_module(survey, api, namespaces=["dmeo"])
    assert result["msg"].endswith("namespaces: there is no namespace dmeo; did you mean demo?")


def test_check_mode_asks_nothing(api: FakeApi) -> None:
    result = run_module(survey, api, check=True, namespaces=["demo"])
    assert "would judge the Services of namespace(s) demo by the API alone" in result["msg"]
    assert api.sent() == []


def test_a_failure_is_one_by_default_and_a_waiver_accepts_it(api: FakeApi) -> None:
    assert run_module(survey, api, namespaces=["demo"])["failed"]
    accepted = [
        {"id": check, "object": "Service demo/astray", "until": "2999-01-01", "reason": "not yet in use"}
        for check in ("SV-04", "SV-06", "EP-03")
    ]
    result = run_module(survey, api, namespaces=["demo"], waivers=accepted)
    assert not result["failed"], result["msg"]
