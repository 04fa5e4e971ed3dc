# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import typing as t
from collections.abc import Iterator

import pytest

from ansible_collections.plumbline.kubernetes.plugins.modules import service_info
from ansible_collections.plumbline.kubernetes.tests.unit.fake_api import FakeApi, reply, status
from ansible_collections.plumbline.kubernetes.tests.unit.module_runner import run_module

CORE = "/api/v1/namespaces/demo"
SERVICE, PODS, NODES = f"{CORE}/services/web", f"{CORE}/pods", "/api/v1/nodes"
SLICES = "/apis/discovery.k8s.io/v1/namespaces/demo/endpointslices"


@pytest.fixture
def api() -> Iterator[FakeApi]:
    spec = {"type": "ClusterIP", "selector": {"run": "web"}, "clusterIPs": ["10.96.0.9"], "ports": []}
    member = {"addresses": ["10.0.0.1"], "nodeName": "n1", "targetRef": {"kind": "Pod", "name": "web-1", "uid": "p1"}}
    piece = {"metadata": {"name": "web-x"}, "addressType": "IPv4", "ports": [], "endpoints": [member]}
    pod = {"metadata": {"name": "web-1", "uid": "p1"}, "spec": {"nodeName": "n1", "containers": []}, "status": {}}
    node = {"metadata": {"name": "n1", "labels": {"topology.kubernetes.io/zone": "z1"}}}
    with FakeApi() as server:
        server.on("GET", SERVICE, reply({"metadata": {"name": "web", "managedFields": []}, "spec": spec}))
        for path, item in ((SLICES, piece), (PODS, pod), (NODES, node)):
            server.on("GET", path, reply({"metadata": {}, "items": [item]}))
        yield server


def run(api: FakeApi) -> dict[str, t.Any]:
    return run_module(service_info, api, name="web", namespace="demo")


def test_one_request_for_each_kind(api: FakeApi) -> None:
    result = run(api)
    assert (result["exists"], result["changed"], result["cluster_ips"]) == (True, False, ["10.96.0.9"])
    assert result["names"][-1] == "web.demo.svc.cluster.local"
    [endpoint] = result["endpoints"]
    assert (endpoint["pod"], endpoint["pod_exists"], endpoint["node"], endpoint["zone"]) == ("web-1", True, "n1", "z1")
    assert "managedFields" not in result["service"]["metadata"]
    assert sorted(api.sent()) == sorted(f"GET {path}" for path in (SERVICE, SLICES, PODS, NODES))
    assert next(r.query for r in api.requests if r.path == PODS)["labelSelector"] == "run=web"


def test_a_service_that_is_not_there_is_no_failure(api: FakeApi) -> None:
    api.on("GET", SERVICE, status(404, "NotFound"))
    assert {key: value for key, value in run(api).items() if key in ("failed", "exists", "service")} == {
        "failed": False,
        "exists": False,
    }
    assert f"GET {PODS}" not in api.sent()


def test_without_the_right_to_read_nodes_only_zones_are_missing(api: FakeApi) -> None:
    api.on("GET", NODES, status(403, "Forbidden", "nodes is forbidden"))
    result = run(api)
    assert result["failed"] is False
    assert (result["endpoints"][0]["node"], result["endpoints"][0]["zone"]) == ("n1", None)
    assert result["nodes"] == []
    assert "nodes are left out" in json.dumps(result["warnings"])


def test_without_the_right_to_read_slices_it_fails_in_one_line(api: FakeApi) -> None:
    api.on("GET", SLICES, status(403, "Forbidden", "endpointslices is forbidden"))
    result = run(api)
    assert result["failed"] is True
    assert "list endpointslices of namespace demo: HTTP 403 Forbidden; endpointslices is forbidden" in result["msg"]
