# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The API server as a client: what it asks, what is made of its answers, and what they mean."""

from __future__ import annotations

import json
import typing as t
from dataclasses import replace

import pytest

from ansible_collections.plumbline.kubernetes.plugins.module_utils.connectivity import api_proxy
from ansible_collections.plumbline.kubernetes.plugins.module_utils.connectivity.checks import judge
from ansible_collections.plumbline.kubernetes.plugins.module_utils.connectivity.diagnose.causes import diagnose
from ansible_collections.plumbline.kubernetes.plugins.module_utils.connectivity.look import Look, Observation
from ansible_collections.plumbline.kubernetes.plugins.module_utils.connectivity.module import would
from ansible_collections.plumbline.kubernetes.plugins.module_utils.connectivity.result import (
    FAIL,
    INCONCLUSIVE,
    PASS,
    SKIPPED,
)
from ansible_collections.plumbline.kubernetes.plugins.module_utils.connectivity.scope import Probe
from ansible_collections.plumbline.kubernetes.plugins.module_utils.connectivity.snapshot import ServicePort, Snapshot
from ansible_collections.plumbline.kubernetes.plugins.module_utils.kube.client import Cluster, Reply
from ansible_collections.plumbline.kubernetes.plugins.module_utils.kube.deadline import Deadline
from ansible_collections.plumbline.kubernetes.tests.unit.connectivity import builders as b
from ansible_collections.plumbline.kubernetes.tests.unit.fake_api import Answer, FakeApi, hang, status

Rule = t.Callable[[Probe], str]
WEB_1, WEB_2 = "10.244.1.5:80", "10.244.2.5:80"


def looking(rule: Rule = lambda _probe: "", seen: Snapshot | None = None, **changes: t.Any) -> Look:
    """A look without probe pods, where the API server fares as `rule` says."""

    def broken(probe: Probe, good: Observation) -> Observation:
        kind = rule(probe)
        if kind.isdigit():
            return replace(good, value={**good.value, "statuses": {kind: 1}})
        return b.failing(kind) if kind else good

    asked = b.question(ask=False, causes=True, layers=("endpoints", "http", "api_proxy"))
    return b.look(seen or b.snapshot(), asked, broken, **changes)


def at(target: str, kind: str) -> Rule:
    return lambda probe: kind if probe.target == target else ""


def bad(look: Look) -> list[tuple[str, str, str]]:
    return [(f.id, f.object, f.status) for f in judge(look) if f.status not in (PASS, SKIPPED)]


def told(look: Look) -> tuple[str, str]:
    (finding,) = [finding for finding in judge(look) if finding.id == "DP-12"]
    return finding.status, finding.message


# ----- what is asked


def test_each_pod_is_asked_at_its_ports_for_http_and_https() -> None:
    ports = (ServicePort("http", "TCP", 80, 8080), ServicePort("https", "TCP", 443, 8443))
    look = looking(seen=b.snapshot(of=b.service(ports=ports)))
    asked = {(p.task["type"], p.target) for p in look.plan.probes if p.purpose == "api_proxy"}
    assert asked == {
        ("http", "10.244.1.5:8080"),
        ("https", "10.244.1.5:8443"),
        ("http", "10.244.2.5:8080"),
        ("https", "10.244.2.5:8443"),
    }
    assert {probe.vantage for probe in look.plan.probes} == {look.plan.api_server}
    assert told(look) == (PASS, "the pods answer the API server (4 address(es))")


def test_what_speaks_no_http_is_not_asked() -> None:
    look = looking(seen=b.snapshot(of=b.service(ports=(ServicePort("tls", "TCP", 9000, 9000),))))
    assert look.plan.probes == ()
    assert told(look)[0] == SKIPPED


def test_check_mode_says_so() -> None:
    assert "let the API server ask the pods" in would(b.question(layers=("http", "api_proxy")))


# ----- what it means


@pytest.mark.parametrize("kind", ["refused", "reset", "timeout", "protocol"])
def test_one_pod_does_not_answer(kind: str) -> None:
    look = looking(at(WEB_2, kind))
    assert bad(look) == [("DP-12", "Pod demo/web-2", FAIL)]
    (cause,) = diagnose(look, judge(look))
    assert cause.component == ("network/node-2" if kind == "timeout" else "answer/web-2/80")


def test_no_pod_listens_there() -> None:
    look = looking(lambda probe: "refused" if probe.purpose == "api_proxy" else "", b.snapshot(of=b.service(
        ports=(ServicePort("http", "TCP", 80, 8081),)
    )))  # fmt: skip
    assert {id_ for id_, _object, _status in bad(look)} == {"DP-12"}
    (cause,) = diagnose(look, judge(look))
    assert cause.component == "port/80"


def test_no_way_to_the_pods_says_nothing_about_them() -> None:
    look = looking(lambda probe: "timeout" if probe.purpose == "api_proxy" else "")
    assert bad(look) == []
    assert told(look)[0] == SKIPPED


def test_answers_that_say_nothing_of_a_pod_decide_nothing() -> None:
    look = looking(lambda probe: "error" if probe.purpose == "api_proxy" else "")
    assert told(look)[0] == INCONCLUSIVE


def test_a_pod_speaks_plain_http_where_tls_is_expected() -> None:
    seen = b.snapshot(of=b.service(ports=(ServicePort("https", "TCP", 443, 80),)))
    look = looking(at(WEB_1, "scheme"), seen)
    assert ("DP-09", "Pod demo/web-1", FAIL) in bad(look)


def test_content_is_compared() -> None:
    assert bad(looking(at(WEB_1, "500"))) == [("DP-08", "Pod demo/web-1", FAIL)]


@pytest.mark.parametrize(
    ("why", "expected"), [("cannot get pods/proxy in namespace demo", SKIPPED), ("it broke", INCONCLUSIVE)]
)
def test_it_could_not_be_asked(why: str, expected: str) -> None:
    look = looking()
    assert look.plan.api_server
    state, message = told(replace(look, lost={look.plan.api_server: why}))
    assert (state, why in message) == (expected, True)


def test_an_answer_acquits_the_pod_and_its_port() -> None:
    """Pods do not get there, the API server does: something between is to blame."""
    asked = b.question(causes=True, layers=("endpoints", "http", "api_proxy"))

    def broken(probe: Probe, good: Observation) -> Observation:
        return b.failing("refused") if probe.purpose != "api_proxy" and probe.target == WEB_2 else good

    look = b.look(b.snapshot(), asked, broken)
    causes = diagnose(look, judge(look))
    assert not {"answer/web-2/80", "port/80"} & {cause.component for cause in causes}


# ----- what it answers

HTTP = {"type": "http", "identity_header": "Served-By", "contains": ["hello"]}
HTTPS = {**HTTP, "type": "https"}
JSON = {"content-type": "application/json"}


def unreached(words: str) -> Reply:
    message = f"error trying to reach service: {words}"
    body = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": message, "code": 503}
    return Reply(503, JSON, json.dumps(body).encode())


SAID = {
    "refused": (unreached("dial tcp 10.244.2.40:8081: connect: connection refused"), HTTP, "refused"),
    "lost": (unreached("dial tcp 10.244.2.40:80: i/o timeout"), HTTP, "timeout"),
    "no route": (unreached("dial tcp 10.244.2.40:80: connect: no route to host"), HTTP, "unreachable"),
    "hung up": (unreached("EOF"), HTTP, "reset"),
    "plain HTTP": (unreached("tls: first record does not look like a TLS handshake"), HTTPS, "scheme"),
    "no handshake": (unreached("remote error: tls: handshake failure"), HTTPS, "handshake"),
    "no HTTP": (unreached('net/http: HTTP/1.x transport connection broken: malformed HTTP status'), HTTP, "protocol"),
    "something else": (unreached("a word that nobody knows"), HTTP, "error"),
    "wants TLS": (Reply(400, {}, b"<title>400 The plain HTTP request was sent to HTTPS port"), HTTP, "scheme"),
    "the application's own Status": (Reply(500, JSON, b'{"kind": "Status"}'), HTTP, "ok"),
    "the application's own JSON": (Reply(404, JSON, b"[1"), HTTP, "ok"),
    "an answer": (Reply(200, {}, b"oh, hello"), HTTP, "ok"),
}  # fmt: skip


@pytest.mark.parametrize(("answer", "task", "expected"), SAID.values(), ids=SAID)
def test_what_an_answer_says(answer: Reply, task: dict[str, t.Any], expected: str) -> None:
    assert api_proxy.judge(answer, task)["class"] == expected


def test_what_is_kept_of_an_answer() -> None:
    found = api_proxy.judge(Reply(201, {"served-by": "web-1\n"}, b"hi"), HTTP)["value"]
    assert found["statuses"] == {"201": 1}
    assert found["contains"] == {"hello": False}
    assert found["identities"] == {"web-1": 1}


# ----- how it is asked


def asking(api: FakeApi) -> dict[tuple[str, str], t.Any]:
    look = looking()
    cluster = Cluster.connect({"host": api.url, "api_key": "sekret-token"})
    outcome = api_proxy.run(cluster, look.plan.probes)
    return {"cause": outcome.cause, **{key: item["class"] for key, item in outcome.observations.items()}}


def test_it_is_asked_once_for_each_pod_whatever_comes() -> None:
    with FakeApi() as api:
        path = "/api/v1/namespaces/demo/pods/http:web-{}:80/proxy/"
        api.on("GET", path.format(1), Answer(200, b"hello", {"Content-Type": "text/html"}))
        api.on(
            "GET", path.format(2), status(503, message="error trying to reach service: dial tcp: connection refused")
        )
        found = asking(api)
        assert found == {"cause": "", "control": "ok", f"api_proxy/{WEB_1}": "ok", f"api_proxy/{WEB_2}": "refused"}
        assert len(api.sent("GET")) == 2


def test_an_api_server_that_waits_for_a_pod_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    from ansible_collections.plumbline.kubernetes.plugins.module_utils.kube import client

    monkeypatch.setattr(client, "POD_TIMEOUT", 0.2)
    with FakeApi() as api:
        for number in (1, 2):
            api.on("GET", f"/api/v1/namespaces/demo/pods/http:web-{number}:80/proxy/", hang())
        assert set(asking(api).values()) == {"", "ok", "timeout"}


def test_what_there_was_no_time_for_accuses_no_pod() -> None:
    with FakeApi() as api:
        cluster = Cluster.connect({"host": api.url, "api_key": "sekret-token"}).until(Deadline.after(0))
        found = api_proxy.run(cluster, looking().plan.probes).observations
        assert {item["class"] for item in found.values()} == {"ok", "deadline"}
        assert api.sent() == []


def test_an_endless_body_is_cut() -> None:
    with FakeApi() as api:
        api.on("GET", "/api/v1/namespaces/demo/pods/https:web-1:443/proxy/x", Answer(200, b"x" * 100_000))
        cluster = Cluster.connect({"host": api.url, "api_key": "sekret-token"})
        assert len(cluster.ask_pod("demo", "web-1", 443, "/x", secure=True, limit_bytes=1000).body) == 1000
