# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How many requests `service` sends, and what it says when the server or the options are bad."""

from __future__ import annotations

import typing as t
from collections.abc import Iterator

import pytest

from ansible_collections.plumbline.kubernetes.plugins.module_utils.app import rollout
from ansible_collections.plumbline.kubernetes.plugins.modules import service
from ansible_collections.plumbline.kubernetes.tests.unit import fake_api
from ansible_collections.plumbline.kubernetes.tests.unit.fake_api import FakeApi, event, reply, status, stream
from ansible_collections.plumbline.kubernetes.tests.unit.module_runner import run_module

CORE = "/api/v1/namespaces/demo"
SERVICE = f"{CORE}/services/web"
SERVICES, PODS, EVENTS = f"{CORE}/services", f"{CORE}/pods", f"{CORE}/events"
SLICES = "/apis/discovery.k8s.io/v1/namespaces/demo/endpointslices"
DEPLOYMENT = "/apis/apps/v1/namespaces/demo/deployments/web"
MISSING = status(404, "NotFound", 'services "web" not found')

Object = dict[str, t.Any]


def web(**spec: t.Any) -> Object:
    """The Service as the server has it after our own apply of selector, ports and type."""
    ours = {
        "f:spec": {
            "f:selector": {},
            "f:type": {},
            "f:ports": {'k:{"port":80,"protocol":"TCP"}': {".": {}, "f:port": {}}},
        }
    }
    entry = {"manager": "plumbline", "operation": "Apply", "fieldsType": "FieldsV1", "fieldsV1": ours}
    base = {"type": "ClusterIP", "clusterIP": "10.96.0.9", "ipFamilies": ["IPv4"], "selector": {"run": "web"}}
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "web", "namespace": "demo", "uid": "u1", "resourceVersion": "5", "managedFields": [entry]},
        "spec": base | {"ports": [{"port": 80, "protocol": "TCP", "targetPort": 80}]} | spec,
        "status": {"loadBalancer": {}},
    }


def deployment() -> Object:
    containers = [{"name": "c", "ports": [{"containerPort": 80}]}]
    return {
        "metadata": {"name": "web", "namespace": "demo", "labels": {"run": "web"}},
        "spec": {"selector": {"matchLabels": {"run": "web"}}, "template": {"spec": {"containers": containers}}},
    }


def listing(*items: Object) -> fake_api.Answer:
    return reply({"metadata": {"resourceVersion": "7"}, "items": list(items)})


def pod(ready: bool = True, waiting: Object | None = None) -> Object:
    return {
        "metadata": {"name": "web-1", "namespace": "demo", "uid": "p1", "resourceVersion": "6"},
        "spec": {"containers": [{"name": "c"}]},
        "status": {
            "podIPs": [{"ip": "10.0.0.1"}],
            "conditions": [{"type": "Ready", "status": str(ready)}],
            "containerStatuses": [{"name": "c", "state": {"waiting": waiting} if waiting else {"running": {}}}],
        },
    }


def piece(*endpoints: Object) -> Object:
    metadata = {"name": "web-x", "namespace": "demo", "uid": "s1", "resourceVersion": "6"}
    return {"metadata": metadata, "addressType": "IPv4", "ports": [{"port": 80}], "endpoints": list(endpoints)}


ENDPOINT = {
    "addresses": ["10.0.0.1"],
    "targetRef": {"kind": "Pod", "name": "web-1", "uid": "p1"},
    "conditions": {"ready": True},
}


@pytest.fixture
def api() -> Iterator[FakeApi]:
    with FakeApi() as server:
        server.on("GET", SERVICE, reply(web()))
        server.on("PATCH", SERVICE, reply(web()))
        server.on("GET", DEPLOYMENT, reply(deployment()))
        for path in (SERVICES, SLICES, PODS):
            server.on("GET", path, listing())
            server.on("WATCH", path, stream([], end="hang"))
        yield server


def run(api: FakeApi, *, check: bool = False, **arguments: t.Any) -> Object:
    result = run_module(service, api, check=check, **{"name": "web", "namespace": "demo", "wait": False, **arguments})
    assert api.unexpected == []
    return result


def said(api: FakeApi, result: Object) -> str:
    """The message of a failure, without the words that name the cluster."""
    assert result["failed"] is True
    _label, found, message = result["msg"].partition(f"{api.url}: ")
    assert found, result["msg"]
    return str(message)


# --- requests


def test_a_new_service_costs_one_read_of_each_and_one_write(api: FakeApi) -> None:
    api.on("GET", SERVICE, MISSING)
    assert run(api)["changed"] is True
    assert api.sent() == [f"GET {SERVICE}", f"GET {DEPLOYMENT}", f"PATCH {SERVICE}"]
    assert api.requests[-1].body["spec"] == {
        "selector": {"run": "web"},
        "ports": [{"port": 80, "protocol": "TCP", "targetPort": 80}],
    }


def test_the_deployment_is_not_read_when_nothing_is_left_to_it(api: FakeApi) -> None:
    api.on("GET", SERVICE, MISSING)
    run(api, selector={"run": "web"}, ports=[{"port": 80}])
    assert api.sent() == [f"GET {SERVICE}", f"PATCH {SERVICE}"]


def test_a_run_that_changes_nothing_costs_one_get_and_one_patch(api: FakeApi) -> None:
    result = run(api)
    assert (result["changed"], result["diff"]["before"]) == (False, result["diff"]["after"])
    assert api.sent() == [f"GET {SERVICE}", f"PATCH {SERVICE}"]
    # What we own is sent again, since the server would remove it otherwise; what we do not own is not.
    assert api.requests[-1].body["spec"] == {
        "type": "ClusterIP",
        "selector": {"run": "web"},
        "ports": [{"port": 80, "protocol": "TCP"}],
    }


def test_a_service_that_is_usable_needs_no_watch(api: FakeApi) -> None:
    api.on("GET", SLICES, listing(piece(ENDPOINT)))
    api.on("GET", PODS, listing(pod()))
    result = run(api, wait=True)
    assert (result["changed"], result["endpoints"]) == (False, ["10.0.0.1"])
    assert sorted(api.sent()) == sorted([f"GET {SERVICE}", f"PATCH {SERVICE}", f"GET {SLICES}", f"GET {PODS}"])


def test_a_change_is_one_patch(api: FakeApi) -> None:
    api.on("PATCH", SERVICE, reply(web(type="NodePort")))
    result = run(api, type="NodePort")
    assert result["changed"] is True
    assert result["diff"]["before"]["spec"]["type"] == "ClusterIP"
    assert result["diff"]["after"]["spec"]["type"] == "NodePort"
    assert "managedFields" not in result["service"]["metadata"]
    assert api.sent() == [f"GET {SERVICE}", f"PATCH {SERVICE}"]


def test_absence_is_one_read_and_one_delete(api: FakeApi) -> None:
    api.on("DELETE", SERVICE, reply({"kind": "Status", "status": "Success"}))
    assert run(api, state="absent")["changed"] is True
    assert api.sent() == [f"GET {SERVICE}", f"DELETE {SERVICE}"]
    api.on("GET", SERVICE, MISSING)
    api.forget()
    assert run(api, state="absent")["changed"] is False
    assert api.sent() == [f"GET {SERVICE}"]


@pytest.mark.parametrize("arguments", [{}, {"type": "NodePort"}, {"state": "absent"}, {"wait": True}])
@pytest.mark.parametrize("exists", [True, False])
def test_check_mode_writes_nothing(api: FakeApi, arguments: Object, exists: bool) -> None:
    api.on("DELETE", SERVICE, reply({"kind": "Status", "status": "Success"}))
    if not exists:
        api.on("GET", SERVICE, MISSING)
    result = run(api, check=True, **arguments)
    assert result["failed"] is False
    assert [line for line in api.sent("PATCH", "DELETE", "POST", "PUT") if not line.endswith("?dryRun")] == []


def test_check_mode_before_the_deployment_exists_says_that_the_service_would_be_made(api: FakeApi) -> None:
    api.on("GET", SERVICE, MISSING)
    api.on("GET", DEPLOYMENT, MISSING)
    result = run(api, check=True, type="NodePort")
    assert (result["changed"], result["service"]["spec"]) == (True, {"type": "NodePort"})
    assert api.sent() == [f"GET {SERVICE}", f"GET {DEPLOYMENT}"]


# --- waiting


def test_the_wait_ends_with_the_change_that_makes_it_usable(api: FakeApi) -> None:
    api.on("PATCH", SERVICE, reply(web(type="NodePort")))
    api.on("GET", SERVICES, listing(web(type="NodePort")))
    api.on("GET", SLICES, listing(piece()))
    api.on("GET", PODS, listing(pod(ready=False)))
    api.on("WATCH", PODS, stream([event("MODIFIED", pod())], end="hang"))
    api.on("WATCH", SLICES, stream([event("MODIFIED", piece(ENDPOINT))], end="hang"))
    result = run(api, type="NodePort", wait=True, wait_timeout=10)
    assert result["endpoints"] == ["10.0.0.1"]


@pytest.mark.parametrize(
    ("item", "pods", "message"),
    [
        (web(), [], "NothingSelected: selector run=web matches 0 pods"),
        (
            web(),
            [pod(ready=False, waiting={"reason": "ImagePullBackOff", "message": "Back-off pulling image"})],
            "pod web-1, container c: ImagePullBackOff: Back-off pulling image",
        ),
        (
            web(ports=[{"port": 80, "protocol": "TCP", "targetPort": "http"}]),
            [pod()],
            (
                "NoSuchPort: port 80 has target port 'http', but no container of the 1 selected pods has a "
                "port of that name; they have no named ports"
            ),
        ),
    ],
)
def test_the_wait_ends_at_once_when_it_is_hopeless(
    api: FakeApi, monkeypatch: pytest.MonkeyPatch, item: Object, pods: list[Object], message: str
) -> None:
    for reason in rollout.GRACE:
        monkeypatch.setitem(rollout.GRACE, reason, 0.0)
    api.on("PATCH", SERVICE, reply(item))
    api.on("GET", SERVICES, listing(item))
    api.on("GET", PODS, listing(*pods))
    result = run(api, wait=True, wait_timeout=600)
    assert said(api, result) == f"Service demo/web: {message}"


def test_a_timeout_says_what_is_missing_and_why(api: FakeApi) -> None:
    item = web(type="LoadBalancer")
    api.on("PATCH", SERVICE, reply(item))
    api.on("GET", SERVICES, listing(item))
    api.on("GET", PODS, listing(pod()))
    api.on("GET", SLICES, listing(piece(ENDPOINT)))
    api.on("GET", EVENTS, status(403, "Forbidden", "no"))
    result = run(api, type="LoadBalancer", wait=True, wait_timeout=0)
    assert said(api, result) == (
        "Service demo/web: after 0 s the load balancer has no address; no controller has touched it; is a load "
        "balancer controller for Services without a class running in this cluster?"
    )


def test_what_a_load_balancer_was_given_meanwhile_is_returned_and_no_cause_of_a_timeout(api: FakeApi) -> None:
    wanted = web(type="LoadBalancer")
    given = wanted | {"status": {"loadBalancer": {"ingress": [{"ip": "192.0.2.1"}, {"hostname": "lb.example"}]}}}
    api.on("PATCH", SERVICE, reply(wanted))
    api.on("GET", SERVICES, listing(given))
    api.on("GET", SLICES, listing(piece(ENDPOINT)))
    api.on("GET", PODS, listing(pod()))
    assert run(api, type="LoadBalancer")["load_balancer"] == []
    assert run(api, type="LoadBalancer", wait=True)["load_balancer"] == ["192.0.2.1", "lb.example"]

    api.on("GET", PODS, listing(pod(ready=False)))
    result = run(api, type="LoadBalancer", wait=True, wait_timeout=0)
    assert said(api, result) == "Service demo/web: after 0 s 0 of 1 selected pods are ready"


def test_an_exhausted_pool_is_the_cause(api: FakeApi) -> None:
    item = web(type="LoadBalancer")
    failed = {
        "metadata": {"name": "e", "namespace": "demo"},
        "reason": "AllocationFailed",
        "message": 'Failed to allocate IP for "demo/web": no available IPs',
        "lastTimestamp": "2026-01-01T00:00:00Z",
    }
    api.on("PATCH", SERVICE, reply(item))
    api.on("GET", SERVICES, listing(item))
    api.on("GET", SLICES, listing(piece(ENDPOINT)))
    api.on("GET", PODS, listing(pod()))
    api.on("GET", EVENTS, listing(failed))
    result = run(api, type="LoadBalancer", wait=True, wait_timeout=0)
    assert said(api, result) == (
        "Service demo/web: after 0 s the load balancer has no address; last event AllocationFailed: Failed to "
        'allocate IP for "demo/web": no available IPs'
    )


def test_a_service_deleted_meanwhile_ends_the_wait(api: FakeApi) -> None:
    api.on("GET", SERVICES, listing(web()))
    api.on("WATCH", SERVICES, stream([event("DELETED", web())], end="hang"))
    result = run(api, wait=True, wait_timeout=10)
    assert result["msg"].endswith("Service demo/web was deleted while we waited for it")


# --- errors


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"ports": [{"port": 80, "name": "HTTP"}]}, "ports[0].name: 'HTTP' given"),
        ({"type": "ClusterIP", "ports": [{"port": 80, "node_port": 30080}]}, "ports[0].node_port: 30080 given"),
        (
            {"type": "Nodeport"},
            "value of type must be one of: ClusterIP, NodePort, LoadBalancer, ExternalName, got: Nodeport",
        ),
        ({"cluster_ip": "None", "cluster_ips": ["None"]}, "parameters are mutually exclusive: cluster_ip|cluster_ips"),
    ],
)
def test_a_bad_option_costs_no_request(api: FakeApi, arguments: Object, message: str) -> None:
    result = run(api, **arguments)
    assert result["failed"] is True
    assert result["msg"].startswith(message)
    assert api.sent() == []


def test_a_change_that_cannot_be_costs_one_read(api: FakeApi) -> None:
    result = run(api, cluster_ip="None")
    assert result["failed"] is True
    assert result["msg"].startswith("cluster_ip: Service demo/web has spec.clusterIP 10.96.0.9, wanted None;")
    assert (result["option"], result["observed"], result["expected"]) == ("cluster_ip", "10.96.0.9", "None")
    assert api.sent() == [f"GET {SERVICE}"]


def test_a_missing_deployment_is_named(api: FakeApi) -> None:
    api.on("GET", SERVICE, MISSING)
    api.on("GET", DEPLOYMENT, MISSING)
    result = run(api, labels={"a": "b"})
    assert result["failed"] is True
    assert result["msg"].startswith("deployment: Deployment demo/web does not exist, so selector and ports cannot be")
    assert api.sent("PATCH") == []


def test_a_conflict_names_field_and_manager_and_can_be_forced(api: FakeApi) -> None:
    cause = {
        "reason": "FieldManagerConflict",
        "message": 'conflict with "kubectl-edit" using v1',
        "field": ".spec.type",
    }
    api.on("PATCH", SERVICE, status(409, "Conflict", "Apply failed with 1 conflict", causes=[cause]))
    result = run(api, type="NodePort")
    assert said(api, result) == (
        "Service demo/web: spec.type is owned by kubectl-edit; leave the option out to keep that "
        "value, or set force_conflicts to take the field over"
    )
    assert result["conflicts"] == [{"field": ".spec.type", "manager": "kubectl-edit"}]
    api.on("PATCH", SERVICE, reply(web(type="NodePort")))
    assert run(api, type="NodePort", force_conflicts=True)["changed"] is True
    assert [request.query["force"] for request in api.requests if request.method == "PATCH"] == ["false", "true"]


@pytest.mark.parametrize(
    ("answer", "fragments"),
    [
        (
            status(403, "Forbidden", 'services is forbidden: User "u" cannot patch'),
            ["apply Service demo/web", "HTTP 403", "cannot patch"],
        ),
        (status(401, "Unauthorized", "Unauthorized"), ["HTTP 401", "the credentials are missing, wrong or expired"]),
        (
            status(422, "Invalid", 'Service "web" is invalid: spec.ports: Required value'),
            ["HTTP 422", "spec.ports: Required"],
        ),
        (fake_api.text("<html>hello</html>"), ["the answer is not JSON"]),
    ],
)
def test_an_error_of_the_server_is_one_line(api: FakeApi, answer: fake_api.Answer, fragments: list[str]) -> None:
    api.on("PATCH", SERVICE, answer)
    result = run(api)
    assert result["failed"] is True
    assert "\n" not in result["msg"]
    assert [fragment for fragment in fragments if fragment not in result["msg"]] == []
