# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How many requests `deployment` and `rollout` send, what ends their waits, and that check mode never writes."""

from __future__ import annotations

import copy
import typing as t
from collections.abc import Iterator

import pytest

from ansible_collections.plumbline.kubernetes.plugins.module_utils.wait import preflight
from ansible_collections.plumbline.kubernetes.plugins.modules import deployment, rollout
from ansible_collections.plumbline.kubernetes.tests.unit.fake_api import (
    FakeApi,
    event,
    hang,
    reply,
    status,
    stream,
    text,
)
from ansible_collections.plumbline.kubernetes.tests.unit.module_runner import run_module

APPS, CORE = "/apis/apps/v1/namespaces/demo", "/api/v1/namespaces/demo"
WEB, DEPLOYMENTS, SETS = f"{APPS}/deployments/web", f"{APPS}/deployments", f"{APPS}/replicasets"
PODS, EVENTS = f"{CORE}/pods", f"{CORE}/events"
SCALERS = "/apis/autoscaling/v2/namespaces/demo/horizontalpodautoscalers"
MISSING = status(404, "NotFound", 'deployments.apps "web" not found')
DONE = {"observedGeneration": 1, "replicas": 2, "updatedReplicas": 2, "readyReplicas": 2, "availableReplicas": 2}

Object = dict[str, t.Any]


def web(*, image: str = "nginx:1", progress: Object | None = None, **spec: t.Any) -> Object:
    """The Deployment as the server has it after our own apply of image and replicas."""
    fields = {
        "f:spec": {
            "f:replicas": {},
            "f:template": {"f:spec": {"f:containers": {'k:{"name":"web"}': {".": {}, "f:image": {}, "f:name": {}}}}},
        }
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {
            "name": "web",
            "namespace": "demo",
            "uid": "d1",
            "generation": 1,
            "resourceVersion": "5",
            "annotations": {"deployment.kubernetes.io/revision": "1"},
            "managedFields": [{"manager": "plumbline", "operation": "Apply", "fieldsV1": fields}],
        },
        "spec": {
            "replicas": 2,
            "selector": {"matchLabels": {"run": "web"}},
            "template": {"metadata": {}, "spec": {"containers": [{"name": "web", "image": image}]}},
            **spec,
        },
        "status": DONE if progress is None else progress,
    }


def listing(*items: Object) -> t.Any:
    return reply({"metadata": {"resourceVersion": "7"}, "items": list(items)})


def owned(name: str, by: str, **rest: t.Any) -> Object:
    metadata = {"name": name, "namespace": "demo", "uid": name, "resourceVersion": "6"}
    owners = [{"uid": by, "controller": True, "kind": "ReplicaSet"}]
    return {"metadata": {**metadata, "ownerReferences": owners}, **rest}


def replica_set(revision: int) -> Object:
    item = owned(f"web-{revision}", "d1", spec={"template": {"metadata": {}, "spec": {"containers": ["old"]}}})
    item["metadata"]["annotations"] = {"deployment.kubernetes.io/revision": str(revision)}
    return item


def waiting_pod(reason: str, **spec: t.Any) -> Object:
    state = {"waiting": {"reason": reason, "message": "the kubelet's words"}}
    status_ = {"containerStatuses": [{"name": "web", "state": state}]}
    return owned("web-1-x", "web-1", spec=spec, status=status_)


@pytest.fixture
def api() -> Iterator[FakeApi]:
    with FakeApi() as server:
        server.on("GET", WEB, reply(web()))
        server.on("PATCH", WEB, reply(web()))
        server.on("DELETE", WEB, reply({}))
        server.on("GET", DEPLOYMENTS, listing(web()))
        server.on("GET", SETS, listing(replica_set(1)))
        server.on("GET", PODS, listing())
        server.on("GET", EVENTS, listing())
        server.on("GET", SCALERS, listing())
        for path in (DEPLOYMENTS, SETS, PODS):
            server.on("WATCH", path, hang())
        yield server


def run(api: FakeApi, module: t.Any, **options: t.Any) -> Object:
    return run_module(module, api, name="web", namespace="demo", **options)


def test_a_run_that_changes_nothing_costs_one_get_and_one_patch(api: FakeApi) -> None:
    result = run(api, deployment, image="nginx:1", replicas=2)
    assert result["changed"] is False
    assert result["rollout"] == {
        "revision": 1,
        "replicas": 2,
        "updated": 2,
        "ready": 2,
        "available": 2,
        "paused": False,
    }
    assert api.sent() == [f"GET {WEB}", f"PATCH {WEB}"]


def test_a_creation_costs_the_same_plus_the_wait(api: FakeApi) -> None:
    api.on("GET", WEB, MISSING)
    run(api, deployment, image="nginx:1", wait=False)
    assert api.sent() == [f"GET {WEB}", f"PATCH {WEB}"]


def test_a_wait_lists_once_and_watches(api: FakeApi) -> None:
    api.on("PATCH", WEB, reply(web(image="nginx:2", progress={})))
    api.on("GET", DEPLOYMENTS, listing(web(progress={})))
    api.on("WATCH", DEPLOYMENTS, stream([event("MODIFIED", web())], end="hang"))
    assert run(api, deployment, image="nginx:2")["rollout"]["available"] == 2
    assert api.sent("PATCH", "POST") == [f"PATCH {WEB}"]
    assert sorted(api.sent("GET")) == sorted([f"GET {WEB}", f"GET {DEPLOYMENTS}", f"GET {SETS}", f"GET {PODS}"])


def test_no_autoscaler_is_looked_up_when_the_number_stays(api: FakeApi) -> None:
    run(api, deployment, replicas=2)
    assert f"GET {SCALERS}" not in api.sent()
    run(api, deployment, replicas=3, wait=False)
    assert f"GET {SCALERS}" in api.sent()


UNFINISHED = {**DONE, "updatedReplicas": 1}


@pytest.mark.parametrize(
    ("pod", "words"),
    [
        (waiting_pod("CrashLoopBackOff"), ["pod web-1-x, container web: CrashLoopBackOff"]),
        (waiting_pod("InvalidImageName"), ["InvalidImageName: the kubelet's words"]),
        (
            waiting_pod("ContainerCreating", volumes=[{"configMap": {"name": "conf"}}]),
            ["ConfigMap demo/conf does not exist"],
        ),
    ],
)
def test_what_cannot_succeed_ends_the_wait_with_pod_container_reason_and_event(
    api: FakeApi, pod: Object, words: list[str]
) -> None:
    api.on("PATCH", WEB, reply(web(image="nginx:2", progress=UNFINISHED)))
    api.on("GET", DEPLOYMENTS, listing(web(progress=UNFINISHED)))
    api.on("GET", PODS, listing(pod))
    older = {"reason": "Pulled", "message": "old", "lastTimestamp": "2026-01-01T00:00:00Z"}
    newer = {"reason": "BackOff", "message": "the newest words", "lastTimestamp": "2026-01-01T00:00:09Z"}
    api.on("GET", EVENTS, listing(newer, older))
    result = run(api, deployment, image="nginx:2", wait_timeout=60)
    assert result["failed"] is True
    for word in [*words, "Deployment demo/web", "last event: BackOff: the newest words"]:
        assert word in result["msg"]
    assert result["pod"] == "web-1-x"


def test_without_the_right_to_look_a_pod_that_is_slow_is_not_accused(api: FakeApi) -> None:
    api.on("PATCH", WEB, reply(web(image="nginx:2", progress=UNFINISHED)))
    api.on("GET", DEPLOYMENTS, listing(web(progress=UNFINISHED)))
    api.on("GET", PODS, listing(waiting_pod("ContainerCreating", volumes=[{"configMap": {"name": "conf"}}])))
    source = f"{CORE}/configmaps/conf"
    api.on("GET", source, status(403, "Forbidden"))
    assert "not rolled out within 2 s" in run(api, deployment, image="nginx:2", wait_timeout=2)["msg"]
    assert f"GET {source}" in api.sent()


def test_the_end_of_patience_says_what_is_missing(api: FakeApi) -> None:
    api.on("PATCH", WEB, reply(web(image="nginx:2", progress=UNFINISHED)))
    api.on("GET", DEPLOYMENTS, listing(web(progress=UNFINISHED)))
    result = run(api, deployment, image="nginx:2", wait_timeout=0)
    assert "not rolled out within 0 s: 1 of 2 pods are of the new revision" in result["msg"]


@pytest.mark.parametrize(
    ("module", "options"),
    [
        (deployment, {"image": "nginx:2"}),
        (deployment, {"image": "nginx:2", "force_conflicts": True, "replicas": 5}),
        (deployment, {"state": "absent"}),
        (rollout, {"action": "restart"}),
        (rollout, {"action": "undo", "to_revision": 1}),
        (rollout, {"action": "scale", "replicas": 4}),
        (rollout, {"action": "pause"}),
        (rollout, {"action": "resume"}),
        (rollout, {"action": "wait"}),
    ],
)
def test_check_mode_sends_no_write(api: FakeApi, module: t.Any, options: Object) -> None:
    second = web(progress=DONE)
    second["metadata"]["annotations"] = {"deployment.kubernetes.io/revision": "2"}
    api.on("GET", WEB, reply(second))
    assert not run(api, module, check=True, **options).get("failed")
    writes = api.sent("PATCH", "POST", "PUT", "DELETE")
    assert all(line.endswith("?dryRun") for line in writes)
    assert not api.sent("WATCH")


def test_a_roll_out_that_fails_says_that_the_change_was_made_and_where_to_go_back_to(api: FakeApi) -> None:
    live = web()
    live["metadata"]["annotations"] = {"deployment.kubernetes.io/revision": "7"}
    api.on("GET", WEB, reply(live))
    api.on("PATCH", WEB, reply(web(image="nginx:2", progress=UNFINISHED)))
    api.on("GET", DEPLOYMENTS, listing(web(progress=UNFINISHED)))
    api.on("GET", PODS, listing(waiting_pod("ImagePullBackOff")))
    result = run(api, deployment, image="nginx:2", wait_timeout=60)
    assert (result["failed"], result["changed"], result["previous_revision"]) == (True, True, 7)


def tried(code: int) -> Object:
    ended = {"name": "web", "state": {"terminated": {"exitCode": code}}}
    return {"metadata": {"name": "web-preflight-1", "namespace": "demo"}, "status": {"containerStatuses": [ended]}}


def script_preflight(api: FakeApi, code: int) -> None:
    """Answer as a cluster in which the new image's preflight ends with `code`."""
    api.on("PATCH", WEB, reply(web(image="nginx:2")))
    api.on("DELETE", PODS, reply({}))
    api.on("POST", PODS, reply(tried(code)))
    api.on("GET", PODS, listing(tried(code)))
    api.on("GET", f"{PODS}/web-preflight-1/log", text("line one\nno such directive"))
    api.on("DELETE", f"{PODS}/web-preflight-1", reply({}))


def test_a_preflight_runs_only_when_the_pods_are_about_to_change(api: FakeApi) -> None:
    assert run(api, deployment, image="nginx:1", preflight=["nginx", "-t"])["changed"] is False
    assert api.sent() == [f"GET {WEB}", f"PATCH {WEB}?dryRun"]


def test_a_preflight_that_succeeds_lets_the_roll_out_begin_and_leaves_no_pod(api: FakeApi) -> None:
    script_preflight(api, 0)
    assert run(api, deployment, image="nginx:2", preflight=["nginx", "-t"], wait=False)["changed"] is True
    pod = f"{PODS}/web-preflight-1"
    assert api.sent("PATCH", "POST", "DELETE") == [
        f"PATCH {WEB}?dryRun",
        f"DELETE {PODS}",
        f"POST {PODS}",
        f"DELETE {pod}",
        f"PATCH {WEB}",
    ]


def test_a_preflight_that_fails_changes_nothing_and_shows_its_output(api: FakeApi) -> None:
    script_preflight(api, 1)
    result = run(api, deployment, image="nginx:2", preflight=["nginx", "-t"])
    assert result["failed"]
    assert (
        "nothing was changed: preflight nginx -t failed with exit code 1: line one no such directive" in result["msg"]
    )
    assert api.sent("PATCH") == [f"PATCH {WEB}?dryRun"]
    assert f"DELETE {PODS}/web-preflight-1" in api.sent("DELETE")


NO_ACCOUNT = 'pods "p" is forbidden: error looking up service account demo/web: serviceaccount "web" not found'


def test_a_preflight_waits_for_the_service_account_of_a_namespace_made_just_now(api: FakeApi) -> None:
    script_preflight(api, 0)
    api.on("POST", PODS, status(403, "Forbidden", NO_ACCOUNT), reply(tried(0)))
    assert run(api, deployment, image="nginx:2", preflight=["nginx", "-t"], wait=False)["changed"] is True
    assert api.sent("POST") == [f"POST {PODS}"] * 2


@pytest.mark.parametrize(
    ("refusal", "wait_timeout", "words", "again"),
    [
        (NO_ACCOUNT, 0, "its pods need ServiceAccount demo/web, which does not exist after 0 s", False),
        (NO_ACCOUNT, 1, "its pods need ServiceAccount demo/web, which does not exist after 1 s", True),
        ("exceeded quota: pods", 60, "exceeded quota: pods", False),
    ],
)
def test_what_a_preflight_is_refused_for(
    api: FakeApi, monkeypatch: pytest.MonkeyPatch, refusal: str, wait_timeout: int, words: str, again: bool
) -> None:
    monkeypatch.setattr(preflight, "_TRY_AGAIN_AFTER", 0.05)
    script_preflight(api, 0)
    wanted = web(image="nginx:2")
    wanted["spec"]["template"]["spec"]["serviceAccountName"] = "web"
    api.on("PATCH", WEB, reply(wanted))
    api.on("POST", PODS, status(403, "Forbidden", refusal))
    result = run(api, deployment, image="nginx:2", preflight=["nginx", "-t"], wait_timeout=wait_timeout)
    assert words in result["msg"]
    assert (len(api.sent("POST")) > 1) is again
    assert api.sent("PATCH") == [f"PATCH {WEB}?dryRun"]


def test_check_mode_runs_no_preflight(api: FakeApi) -> None:
    script_preflight(api, 1)
    assert run(api, deployment, check=True, image="nginx:2", preflight=["nginx", "-t"])["changed"] is True
    assert api.sent("POST", "PATCH", "DELETE") == [f"PATCH {WEB}?dryRun"]


def test_a_deployment_that_is_not_there_is_named(api: FakeApi) -> None:
    api.on("GET", WEB, MISSING)
    assert "Deployment demo/web does not exist; create it first" in run(api, rollout)["msg"]
    assert run(api, rollout, check=True)["changed"] is False


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"action": "restart", "replicas": 3}, "replicas: given with action=restart, expected action=scale"),
        ({"action": "scale", "replicas": 3, "service": "x"}, "service: given with action=scale"),
        ({"action": "undo", "to_revision": 9}, "revision 9 is not kept; kept are 1, present is 1"),
        ({"action": "restart", "service": "nobody"}, "Service demo/nobody does not exist"),
    ],
)
def test_options_that_do_not_fit_are_named(api: FakeApi, options: Object, words: str) -> None:
    assert words in run(api, rollout, **options)["msg"]
    assert not api.sent("PATCH")


@pytest.mark.parametrize(
    ("started", "address", "check", "changed"),
    [
        ("2026-01-01T09:00:00Z", "10.96.0.9", False, True),
        ("2026-01-01T11:00:00Z", "10.96.0.9", False, False),
        ("2026-01-01T09:00:00Z", "None", False, False),
        # No Service yet in check mode: an earlier task would make it, so every container would be older.
        ("2026-01-01T09:00:00Z", "", True, True),
    ],
)
def test_a_restart_for_a_service_only_when_its_variables_are_missing(
    api: FakeApi, started: str, address: str, check: bool, changed: bool
) -> None:
    metadata = {"name": "web", "creationTimestamp": "2026-01-01T10:00:00Z"}
    found = reply({"metadata": metadata, "spec": {"clusterIP": address}})
    api.on("GET", f"{CORE}/services/web", found if address else MISSING)
    state = {"running": {"startedAt": started}}
    api.on("GET", PODS, listing(owned("p", "web-1", status={"containerStatuses": [{"name": "web", "state": state}]})))
    restarted = web()
    restarted["spec"]["template"]["metadata"] = {"annotations": {"kubectl.kubernetes.io/restartedAt": "now"}}
    api.on("PATCH", WEB, reply(restarted))
    assert run(api, rollout, action="restart", service="web", check=check, wait=False)["changed"] is changed


def test_a_patch_that_changes_nothing_is_no_change(api: FakeApi) -> None:
    assert run(api, rollout, action="scale", replicas=2)["changed"] is False
    scaled = copy.deepcopy(web())
    scaled["spec"]["replicas"] = 4
    api.on("PATCH", WEB, reply(scaled))
    assert run(api, rollout, action="scale", replicas=4, wait=False)["changed"] is True
