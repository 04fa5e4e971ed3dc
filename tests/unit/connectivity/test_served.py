# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which endpoints are asked for their certificate, and what becomes of the answers."""

from __future__ import annotations

import typing as t

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from ansible_collections.plumbline.kubernetes.plugins.module_utils.connectivity import served
from ansible_collections.plumbline.kubernetes.plugins.module_utils.connectivity.snapshot import Endpoint, service
from ansible_collections.plumbline.kubernetes.plugins.modules import tls_secret_info
from ansible_collections.plumbline.kubernetes.tests.unit.fake_api import FakeApi, reply
from ansible_collections.plumbline.kubernetes.tests.unit.module_runner import run_module
from ansible_collections.plumbline.kubernetes.tests.unit.pki_material import MIDDLE, issued

SERVICE = service(
    {
        "metadata": {"name": "web", "namespace": "demo"},
        "spec": {"ports": [{"name": "https", "port": 443}, {"name": "http", "port": 80}]},
    }
)
HTTPS = SERVICE.ports[0]
LEAF = issued()


def endpoint(pod: str, address: str, **given: t.Any) -> Endpoint:
    ports = (("https", "TCP", 8443), ("http", "TCP", 8080))
    return Endpoint(address, "IPv4", "web-x", "", **({"ports": ports, "pod": pod, "node": "n1"} | given))


@pytest.mark.parametrize(
    ("found", "asked"),
    [
        ([], []),
        ([endpoint("b", "10.0.0.2"), endpoint("a", "10.0.0.1")], ["10.0.0.1:8443", "10.0.0.2:8443"]),
        ([endpoint("a", "10.0.0.1", ready=False)], []),
        ([endpoint("a", "10.0.0.1", serving=False)], []),
        ([endpoint("a", "10.0.0.1", ports=(("http", "TCP", 8080),))], []),
        ([endpoint("a", "fd00::1")], ["[fd00::1]:8443"]),
    ],
)
def test_each_ready_endpoint_is_asked(found: list[Endpoint], asked: list[str]) -> None:
    tasks = served.targets(SERVICE, [HTTPS], found)
    assert [task["id"] for _endpoint, _port, task in tasks] == asked
    assert {task["server_name"] for _endpoint, _port, task in tasks} <= {"web"}


def observed(*chain: bytes) -> dict[str, t.Any]:
    return {"class": "ok", "value": {"served": [{"chain": list(chain)}]}}


@pytest.mark.parametrize(
    ("seen", "chain", "problem"),
    [
        (observed(LEAF.public_bytes(Encoding.DER)), (LEAF,), ""),
        (observed(LEAF.public_bytes(Encoding.DER), MIDDLE.public_bytes(Encoding.DER)), (LEAF, MIDDLE), ""),
        (observed(b"no certificate"), (), "the certificate, block 1: damaged"),
        ({"class": "refused", "detail": "connection refused", "value": {}}, (), "refused: connection refused"),
        ({"class": "scheme", "value": None}, (), "scheme: no answer"),
        (None, (), "not asked in time"),
    ],
)
def test_an_answer_is_a_chain_or_a_problem(seen: t.Any, chain: t.Any, problem: str) -> None:
    found = served.result(endpoint("a", "10.0.0.1"), HTTPS, seen)
    assert found.chain == chain
    assert found.problem.startswith(problem)
    assert bool(found.problem) is bool(problem)


SECRETS, WEB = "/api/v1/namespaces/demo/secrets", "/api/v1/namespaces/demo/services/web"


@pytest.mark.parametrize(
    ("ports", "options", "says"),
    [
        (None, {}, "service: Service demo/web does not exist"),
        ([{"port": 80}], {}, "port: Service demo/web has no such port that speaks HTTPS"),
        (
            [{"name": "https", "port": 443}],
            {"port": "444"},
            "port: Service demo/web has no such port that speaks HTTPS",
        ),
    ],
)
def test_what_cannot_be_asked_is_told(ports: t.Any, options: dict[str, str], says: str) -> None:
    with FakeApi() as api:
        api.on("GET", SECRETS, reply({"items": [], "metadata": {}}))
        if ports:
            api.on("GET", WEB, reply({"metadata": {"name": "web", "namespace": "demo"}, "spec": {"ports": ports}}))
        result = run_module(tls_secret_info, api, name="tls", namespace="demo", service="web", **options)
        assert result["failed"]
        assert result["msg"].startswith(says)
        assert api.sent("POST") == []


@pytest.mark.parametrize("check", [False, True])
def test_nothing_is_started_where_nothing_is_ready_or_in_check_mode(*, check: bool) -> None:
    with FakeApi() as api:
        api.on("GET", SECRETS, reply({"items": [], "metadata": {}}))
        ports = [{"name": "https", "port": 443}]
        api.on("GET", WEB, reply({"metadata": {"name": "web", "namespace": "demo"}, "spec": {"ports": ports}}))
        slices = "/apis/discovery.k8s.io/v1/namespaces/demo/endpointslices"
        api.on("GET", slices, reply({"items": [], "metadata": {}}))
        result = run_module(tls_secret_info, api, check=check, name="tls", namespace="demo", service="web")
        assert result.get("served") == (None if check else [])
        assert api.sent("POST") == []


@pytest.mark.parametrize(
    ("names", "current", "secret_name", "matches"),
    [
        ("this", "tls-2", "tls-2", True),
        ("this", "tls-3", "tls-2", False),
        ("other", "tls-3", "", False),
    ],
)
def test_what_is_served_is_matched_with_the_generations(
    names: str, current: str, secret_name: str, *, matches: bool
) -> None:
    one = served.Served(endpoint("a", "10.0.0.1"), HTTPS, (LEAF,))
    leaf = tls_secret_info.facts(LEAF)
    known = {leaf["fingerprint"] if names == "this" else "ab": "tls-2"}
    found = tls_secret_info._served(one, known, current)
    assert (found["secret_name"], found["matches"], found["serial"]) == (secret_name, matches, leaf["serial"])
    empty = tls_secret_info._served(served.Served(one.endpoint, HTTPS, problem="refused"), known, "")
    assert (empty["serial"], empty["matches"], empty["problem"]) == ("", False, "refused")
