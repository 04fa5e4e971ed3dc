# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Requests, ownership and errors of an apply; the values themselves are tried on the real API server."""

from __future__ import annotations

import pytest

from ansible_collections.plumbline.kubernetes.plugins.module_utils.kube.apply import diff, ensure, remove
from ansible_collections.plumbline.kubernetes.plugins.module_utils.kube.client import Cluster
from ansible_collections.plumbline.kubernetes.plugins.module_utils.kube.errors import Conflict, NotFound
from ansible_collections.plumbline.kubernetes.plugins.module_utils.kube.kinds import SERVICE
from ansible_collections.plumbline.kubernetes.tests.unit.fake_api import FakeApi, reply, status

WEB = "/api/v1/namespaces/demo/services/web"
ID = {"name": "web", "namespace": "demo"}


def service(fields, **spec):
    entry = {"manager": "plumbline", "operation": "Apply", "fieldsV1": fields}
    return {"metadata": {**ID, "managedFields": [entry]}, "spec": spec}


def spec_fields(*names):
    return {"f:spec": {f"f:{name}": {} for name in names}}


def conflict(*owners):
    causes = [
        {"reason": "FieldManagerConflict", "message": f'conflict with "{owner}" using v1', "field": f".spec.{field}"}
        for field, owner in owners
    ]
    return status(409, "Conflict", "Apply failed", causes=causes)


@pytest.fixture
def api():
    with FakeApi() as server:
        yield server


def connect(api):
    return Cluster.connect({"host": api.url, "api_key": "x"})


def test_what_we_own_and_do_not_mention_is_sent_again(api):
    live = service(
        spec_fields("type", "sessionAffinity"), type="NodePort", sessionAffinity="ClientIP", clusterIP="10.0.0.1"
    )
    api.on("GET", WEB, reply(live))
    api.on("PATCH", WEB, reply(live))
    applied = ensure(connect(api), SERVICE, {"metadata": ID, "spec": {"sessionAffinity": "None"}})
    sent = api.requests[-1].body
    assert sent["spec"] == {"type": "NodePort", "sessionAffinity": "None"}
    assert "managedFields" not in sent["metadata"]
    assert not applied.changed
    assert api.sent() == [f"GET {WEB}", f"PATCH {WEB}"]


def test_changed_and_diff_see_only_our_fields(api):
    api.on("GET", WEB, reply(service(spec_fields("type"), type="ClusterIP", other=1)))
    api.on("PATCH", WEB, reply(service(spec_fields("type"), type="NodePort", other=2)))
    applied = ensure(connect(api), SERVICE, {"metadata": ID, "spec": {"type": "NodePort"}})
    assert applied.changed
    shown = diff(applied, SERVICE)
    assert shown["before"] == {"spec": {"type": "ClusterIP"}}
    assert shown["after"] == {"spec": {"type": "NodePort"}}
    assert shown["after_header"] == "Service demo/web"


def test_a_live_object_that_was_read_already_is_not_read_again(api):
    live = service({}, type="ClusterIP")
    api.on("PATCH", WEB, reply(live))
    ensure(connect(api), SERVICE, {"metadata": ID, "spec": {}}, live=live)
    assert api.sent() == [f"PATCH {WEB}"]


def test_check_mode_sends_a_dry_run_and_nothing_else(api):
    live = service(spec_fields("type"), type="ClusterIP")
    api.on("GET", WEB, reply(live))
    api.on("PATCH", WEB, reply(service(spec_fields("type"), type="NodePort")))
    assert ensure(connect(api), SERVICE, {"metadata": ID, "spec": {"type": "NodePort"}}, check_mode=True).changed
    assert api.sent() == [f"GET {WEB}", f"PATCH {WEB}?dryRun"]


def test_check_mode_without_the_namespace_reports_a_creation(api):
    api.on("PATCH", WEB, status(404, "NotFound", 'namespaces "demo" not found'))
    wanted = {"metadata": ID, "spec": {"type": "NodePort"}}
    applied = ensure(connect(api), SERVICE, wanted, check_mode=True, live=None)
    assert applied.changed
    assert applied.after["spec"] == {"type": "NodePort"}
    with pytest.raises(NotFound):
        ensure(connect(api), SERVICE, wanted, live=None)


def test_a_foreign_owner_is_named_with_the_field_and_a_way_out(api):
    api.on("PATCH", WEB, conflict(("type", "kubectl-edit"), ("replicas", "plumbline-rollout")))
    with pytest.raises(Conflict) as raised:
        ensure(connect(api), SERVICE, {"metadata": ID, "spec": {"type": "NodePort"}}, live=None)
    assert "spec.type is owned by kubectl-edit" in str(raised.value)
    assert "force_conflicts" in str(raised.value)
    assert raised.value.details["conflicts"] == [{"field": ".spec.type", "manager": "kubectl-edit"}]


def test_our_own_patches_are_no_conflict(api):
    api.on("PATCH", WEB, conflict(("replicas", "plumbline-rollout")), reply(service({})))
    ensure(connect(api), SERVICE, {"metadata": ID, "spec": {"replicas": 2}}, live=None)
    assert [request.query["force"] for request in api.requests] == ["false", "true"]


def test_removing_what_is_not_there_asks_once(api):
    api.on("GET", WEB, status(404, "NotFound"))
    assert not remove(connect(api), SERVICE, "web", "demo").changed
    assert api.sent() == [f"GET {WEB}"]


def test_removing_in_check_mode_is_a_dry_run(api):
    api.on("GET", WEB, reply(service({})))
    api.on("DELETE", WEB, reply({}))
    assert remove(connect(api), SERVICE, "web", "demo", check_mode=True).changed
    assert api.sent() == [f"GET {WEB}", f"DELETE {WEB}?dryRun"]
