# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The gateway against a scripted server: errors, retries, paging, credentials."""

from __future__ import annotations

import os
import socket

import pytest

from ansible_collections.plumbline.kubernetes.plugins.module_utils.kube import client as client_module
from ansible_collections.plumbline.kubernetes.plugins.module_utils.kube import errors
from ansible_collections.plumbline.kubernetes.plugins.module_utils.kube.client import Cluster
from ansible_collections.plumbline.kubernetes.plugins.module_utils.kube.kinds import (
    DEPLOYMENT,
    NODE,
    POD,
    SECRET,
    SERVICE,
)
from ansible_collections.plumbline.kubernetes.tests.unit.fake_api import FakeApi, hang, reply, reset, status, text
from ansible_collections.plumbline.kubernetes.tests.unit.kube import tls_material

WEB = "/api/v1/namespaces/demo/services/web"
SERVICES = "/api/v1/namespaces/demo/services"


@pytest.fixture
def api(monkeypatch):
    monkeypatch.setattr(client_module, "_pause", lambda _attempt, _after: 0.0)
    with FakeApi() as server:
        yield server


def cluster(api, **options):
    return Cluster.connect({"host": api.url, "api_key": "sekret-token", **options})


@pytest.mark.parametrize(
    ("kind", "namespace", "name", "subresource", "expected"),
    [
        (SERVICE, "demo", "web", None, "/api/v1/namespaces/demo/services/web"),
        (SERVICE, None, None, None, "/api/v1/services"),
        (NODE, "ignored", "n1", None, "/api/v1/nodes/n1"),
        (DEPLOYMENT, "demo", "web", "scale", "/apis/apps/v1/namespaces/demo/deployments/web/scale"),
        (POD, "demo", "../x", "log", "/api/v1/namespaces/demo/pods/..%2Fx/log"),
    ],
)
def test_paths_of_built_in_kinds(kind, namespace, name, subresource, expected):
    assert kind.path(namespace, name, subresource) == expected


def test_one_request_for_a_get_and_no_discovery(api):
    api.on("GET", WEB, reply({"metadata": {"name": "web"}}))
    assert cluster(api).get(SERVICE, "web", "demo") == {"metadata": {"name": "web"}}
    assert api.sent() == [f"GET {WEB}"]


def test_absence_is_an_answer(api):
    api.on("GET", WEB, status(404, "NotFound"))
    assert cluster(api).get(SERVICE, "web", "demo") is None


@pytest.mark.parametrize(
    ("code", "error", "words"),
    [
        (401, errors.Unauthorized, ["HTTP 401", "expired"]),
        (403, errors.Forbidden, ["HTTP 403", "the text", "auth can-i"]),
        (422, errors.Invalid, ["HTTP 422", "the text"]),
        (410, errors.Gone, ["HTTP 410"]),
        (418, errors.ApiError, ["HTTP 418"]),
    ],
)
def test_an_error_is_one_line_with_cluster_verb_object_and_reason(api, code, error, words):
    api.on("GET", WEB, status(code, "Whatever", "the text\nsecond line"))
    with pytest.raises(error) as raised:
        cluster(api).get(SERVICE, "web", "demo")
    text = str(raised.value)
    assert "\n" not in text
    for word in [*words, "get Service demo/web", api.url]:
        assert word in text
    assert raised.value.details["status"] == code


@pytest.mark.parametrize(
    ("request_", "method", "path", "right"),
    [
        (lambda c: c.get(SECRET, "tls", "demo"), "GET", "secrets/tls", "get secrets"),
        (lambda c: c.list(SECRET, "demo"), "GET", "secrets", "list secrets"),
        (lambda c: c.log("demo", "web-1"), "GET", "pods/web-1/log", "get pods/log"),
        (
            lambda c: c.apply(SECRET, {"metadata": {"name": "tls", "namespace": "demo"}}),
            "PATCH",
            "secrets/tls",
            "create and patch secrets",
        ),
        (lambda c: c.delete(SECRET, "tls", "demo"), "DELETE", "secrets/tls", "delete secrets"),
        (lambda c: c.delete_collection(POD, "demo", labels="a=b"), "DELETE", "pods", "deletecollection pods"),
    ],
)
def test_a_missing_right_is_named(api, request_, method, path, right):
    text = 'User "somebody" cannot do that'
    api.on(method, f"/api/v1/namespaces/demo/{path}", status(403, "Forbidden", text))
    with pytest.raises(errors.Forbidden, match=f"needs the right to {right}; see: kubectl auth can-i") as raised:
        request_(cluster(api))
    assert ("somebody" in str(raised.value)) is (not path.startswith("secrets"))
    # An admission plugin says no with the same status.
    api.on(method, f"/api/v1/namespaces/demo/{path}", status(403, "Forbidden", "exceeded quota"))
    with pytest.raises(errors.Forbidden, match=r"^(?!.*needs the right)"):
        request_(cluster(api))


def test_texts_about_secrets_are_not_passed_on(api):
    api.on("PATCH", "/api/v1/namespaces/demo/secrets/tls", status(422, "Invalid", 'bad value "c2VrcmV0LWtleQ=="'))
    with pytest.raises(errors.Invalid) as raised:
        cluster(api).apply(SECRET, {"metadata": {"name": "tls", "namespace": "demo"}})
    assert "c2VrcmV0" not in str(raised.value) + repr(raised.value.details)
    assert "HTTP 422 Invalid" in str(raised.value)


def test_a_conflict_names_fields_and_managers(api):
    causes = [
        {"reason": "FieldManagerConflict", "message": 'conflict with "kubectl-edit" using v1', "field": ".spec.type"}
    ]
    api.on("PATCH", WEB, status(409, "Conflict", "Apply failed", causes=causes))
    with pytest.raises(errors.Conflict) as raised:
        cluster(api).apply(SERVICE, {"metadata": {"name": "web", "namespace": "demo"}})
    assert raised.value.conflicts == ((".spec.type", "kubectl-edit"),)


@pytest.mark.parametrize("code", [429, 500, 502, 503, 504])
def test_passing_trouble_is_tried_again_a_bounded_number_of_times(api, code):
    api.on("GET", WEB, status(code, "Trouble"), status(code, "Trouble"), reply({"ok": True}))
    assert cluster(api).get(SERVICE, "web", "demo") == {"ok": True}
    api.on("GET", f"{WEB}2", status(code, "Trouble"))
    with pytest.raises(errors.ApiError):
        cluster(api).get(SERVICE, "web2", "demo")
    assert len([line for line in api.sent() if line.endswith("web2")]) == client_module.ATTEMPTS


def test_a_reset_connection_is_tried_again_for_reading_and_applying(api):
    api.on("GET", WEB, reset(), reply({"ok": True}))
    api.on("PATCH", WEB, reset(), reply({"ok": True}))
    assert cluster(api).get(SERVICE, "web", "demo") == {"ok": True}
    assert cluster(api).apply(SERVICE, {"metadata": {"name": "web", "namespace": "demo"}}) == {"ok": True}


def test_a_creation_whose_answer_was_lost_is_not_repeated(api):
    api.on("POST", SERVICES, reset())
    with pytest.raises(errors.ConnectionFailed):
        cluster(api).create(SERVICE, {"metadata": {"name": "web", "namespace": "demo"}})
    assert api.sent() == [f"POST {SERVICES}"]


def test_a_throttled_creation_is_repeated(api):
    api.on("POST", SERVICES, status(429, "TooManyRequests"), reply({"ok": True}))
    assert cluster(api).create(SERVICE, {"metadata": {"name": "web", "namespace": "demo"}}) == {"ok": True}


def test_lists_are_read_in_pages_of_one_revision(api):
    def page(request):
        if request.query.get("continue") == "more":
            return reply({"metadata": {"resourceVersion": "7"}, "items": [{"metadata": {"name": "b"}}]})
        return reply({"metadata": {"resourceVersion": "7", "continue": "more"}, "items": [{"metadata": {"name": "a"}}]})

    api.on("GET", SERVICES, page)
    listing = cluster(api).list(SERVICE, "demo", labels="run=web")
    assert [item["metadata"]["name"] for item in listing.items] == ["a", "b"]
    assert [item["kind"] for item in listing.items] == ["Service", "Service"]
    assert listing.resource_version == "7"


def test_a_list_whose_continuation_expired_starts_again_in_one_piece(api):
    def page(request):
        if "continue" in request.query:
            return status(410, "Expired")
        if "limit" in request.query:
            return reply({"metadata": {"continue": "old"}, "items": [{"metadata": {"name": "a"}}]})
        return reply({"metadata": {"resourceVersion": "9"}, "items": [{"metadata": {"name": "only"}}]})

    api.on("GET", SERVICES, page)
    assert [item["metadata"]["name"] for item in cluster(api).list(SERVICE, "demo").items] == ["only"]


@pytest.fixture
def given(monkeypatch):
    """Options as they are given, or by their variables; nothing else is in the environment."""
    for name in [name for name in os.environ if name.startswith("K8S_AUTH_")]:
        monkeypatch.delenv(name)

    def give(way, options):
        if way == "options":
            return options
        for option, value in options.items():
            text = ",".join(value) if isinstance(value, list) else str(value)
            monkeypatch.setenv(f"K8S_AUTH_{option.upper()}", text)
        return {}

    return give


WAYS = pytest.mark.parametrize("way", ["options", "variables"])


@WAYS
def test_a_token_and_impersonation_travel_in_headers(api, given, way):
    api.on("GET", WEB, reply({}))
    acting = {"impersonate_user": "jane", "impersonate_groups": ["dev", "ops"]}
    options = given(way, {"host": api.url, "api_key": "sekret-token", **acting})
    Cluster.connect(options).get(SERVICE, "web", "demo")
    headers = api.requests[0].headers
    assert headers["authorization"] == "Bearer sekret-token"
    assert headers["impersonate-user"] == "jane"
    assert headers["impersonate-group"] == "dev, ops"


@WAYS
def test_a_user_and_a_password_travel_in_a_header(api, given, way):
    api.on("GET", WEB, reply({}))
    options = given(way, {"host": api.url, "username": "joe", "password": "word"})
    Cluster.connect(options).get(SERVICE, "web", "demo")
    assert api.requests[0].headers["authorization"] == "Basic am9lOndvcmQ="


@WAYS
def test_a_client_certificate_is_shown_to_a_server_that_is_verified(given, way, tmp_path):
    files = tls_material.write(tmp_path)
    pair = {"client_cert": files["client"], "client_key": files["client_key"]}
    with FakeApi(tls_material.server_context(files)) as api:
        api.on("GET", WEB, reply({}))
        options = given(way, {"host": api.url, "ca_cert": files["ca"], **pair})
        Cluster.connect(options).get(SERVICE, "web", "demo")
        assert api.requests[0].client == "jane"


@WAYS
def test_a_server_of_another_authority_is_asked_nothing_unless_that_was_wanted(given, way, tmp_path):
    files = tls_material.write(tmp_path)
    with FakeApi(tls_material.server_context(files)) as api:
        api.on("GET", WEB, reply({}))
        options = given(way, {"host": api.url, "api_key": "sekret-token", "ca_cert": files["other"]})
        with pytest.raises(errors.ConnectionFailed, match="TLS failed"):
            Cluster.connect(options).get(SERVICE, "web", "demo")
        assert api.requests == []
        options |= given(way, {"validate_certs": False})
        Cluster.connect(options).get(SERVICE, "web", "demo")
        assert len(api.requests) == 1


def test_a_proxy_is_used_with_its_headers_unless_the_host_is_excepted(api):
    api.on("GET", WEB, reply({"via": "proxy"}))
    headers = {"user_agent": "me", "proxy_basic_auth": "joe:word"}
    options = {"host": "http://127.0.0.1:1", "api_key": "t", "proxy": api.url, "proxy_headers": headers}
    assert Cluster.connect(options).get(SERVICE, "web", "demo") == {"via": "proxy"}
    assert api.requests[0].headers["host"] == "127.0.0.1:1"
    assert api.requests[0].headers["proxy-authorization"] == "Basic am9lOndvcmQ="
    with pytest.raises(errors.ConnectionFailed, match="refused"):
        Cluster.connect({**options, "no_proxy": "127.0.0.1"}).get(SERVICE, "web", "demo")


def test_a_dry_run_says_so_on_the_wire(api):
    api.on("PATCH", WEB, reply({}))
    api.on("DELETE", WEB, reply({}))
    it = cluster(api)
    it.apply(SERVICE, {"metadata": {"name": "web", "namespace": "demo"}}, dry_run=True)
    assert it.delete(SERVICE, "web", "demo", dry_run=True)
    assert api.sent() == [f"PATCH {WEB}?dryRun", f"DELETE {WEB}?dryRun"]


def test_an_answer_that_is_not_json_is_no_traceback(api):
    api.on("GET", WEB, text("<html>login</html>"))
    with pytest.raises(errors.ConnectionFailed, match="not JSON"):
        cluster(api).get(SERVICE, "web", "demo")


def test_nobody_listening_is_one_line():
    with FakeApi() as api:
        url = api.url
    with pytest.raises(errors.ConnectionFailed, match="refused") as raised:
        Cluster.connect({"host": url, "api_key": "x"}).get(NODE, "n")
    assert "get Node n" in str(raised.value)


def test_warnings_of_the_server_are_kept_once(api):
    api.on("GET", WEB, reply({}, Warning='299 - "v1 Thing is deprecated"'))
    it = cluster(api)
    it.get(SERVICE, "web", "demo")
    it.get(SERVICE, "web", "demo")
    assert it.notices == ["v1 Thing is deprecated"]


def test_a_whole_collection_is_never_deleted(api):
    with pytest.raises(ValueError, match="label selector"):
        cluster(api).delete_collection(POD, "demo", labels="")
    assert api.sent() == []


@pytest.mark.parametrize(
    ("attempt", "asked", "least", "most"),
    [(1, "3", 3, 3), (1, "999", 5, 5), (1, None, 0.1, 0.2), (30, None, 2.5, 5)],
)
def test_pauses_are_bounded(attempt, asked, least, most):
    assert least <= client_module._pause(attempt, asked) <= most


def test_a_dead_kubelet_does_not_hold_up_who_asks_for_a_log(api, monkeypatch):
    """The API server waits for it; nothing else may be asked with so little patience."""
    monkeypatch.setattr(client_module, "LOG_TIMEOUT", 0.2)
    path = "/api/v1/namespaces/demo/pods/web-1/log"
    api.on("GET", path, hang())
    with pytest.raises(errors.ConnectionFailed, match=r"get log of Pod demo/web-1: no answer within 0\.2 s"):
        cluster(api).log_tail("demo", "web-1", "nginx", previous=False)
    assert len([sent for sent in api.sent() if path in sent]) == 1


def test_who_listens_and_says_nothing_is_told_from_who_does_not_answer(monkeypatch):
    monkeypatch.setattr(client_module, "CONNECT_TIMEOUT", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as mute:
        link = {"host": f"https://127.0.0.1:{mute.getsockname()[1]}", "api_key": "not-a-real-token"}
        with pytest.raises(errors.ConnectionFailed, match=r"no TLS handshake within 0\.2 s; is it an API server"):
            Cluster.connect(link).get(POD, "web-1", "demo")
