# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module availability: options, Jobs, figures, verdicts, and what is sent to the API server."""

from __future__ import annotations

import copy
import json
import threading
import typing as t
from pathlib import Path

import pytest
import yaml

from ansible_collections.plumbline.kubernetes.plugins.module_utils.availability import agent, history, plan, result
from ansible_collections.plumbline.kubernetes.plugins.module_utils.availability.history import Moment
from ansible_collections.plumbline.kubernetes.plugins.module_utils.availability.result import Figures, Outcome
from ansible_collections.plumbline.kubernetes.plugins.modules import availability
from ansible_collections.plumbline.kubernetes.tests.unit.fake_api import (
    Answer,
    FakeApi,
    Request,
    event,
    expired,
    reply,
    status,
    stream,
    text,
)
from ansible_collections.plumbline.kubernetes.tests.unit.module_runner import run_module

T0 = 1_767_268_800.0  # 2026-01-01T12:00:00Z
JOBS = "/apis/batch/v1/namespaces/demo/jobs"
PODS = "/api/v1/namespaces/demo/pods"
SLICES = "/apis/discovery.k8s.io/v1/namespaces/demo/endpointslices"
SERVICE = "/api/v1/namespaces/demo/services/web"


def defaults(**given: t.Any) -> dict[str, t.Any]:
    """Parameters as Ansible would have filled them in."""

    def filled(options: dict[str, t.Any], given: dict[str, t.Any]) -> dict[str, t.Any]:
        found = {name: given.get(name, option.get("default")) for name, option in options.items()}
        for name, option in options.items():
            if option.get("apply_defaults"):
                found[name] = filled(option["options"], given.get(name) or {})
        return found

    return filled(plan.OPTIONS, {"name": "run", "namespace": "demo", "state": "started", **given})


def shape(options: dict[str, t.Any], nested: str) -> dict[str, t.Any]:
    keys = ("type", "elements", "aliases", "default", "choices", "required")
    return {
        name: {key: option[key] for key in keys if key in option}
        | ({"options": shape(option[nested], nested)} if nested in option else {})
        for name, option in options.items()
    }


def test_options_are_documented_as_they_are() -> None:
    documented = yaml.safe_load(availability.DOCUMENTATION)["options"]
    assert shape(documented, "suboptions") == shape(plan.OPTIONS, "options")


# -- numbers


@pytest.mark.parametrize("ms", [0.02, 0.5, 1.0, 17.3, 999.0, 30000.0])
def test_a_histogram_is_exact_to_one_percent(ms: float) -> None:
    assert agent.middle(agent.bucket(ms)) == pytest.approx(ms, rel=0.0101)


@pytest.mark.parametrize("ms", [0.0, -1.0, agent.LEAST_MS])
def test_nothing_is_below_the_first_bucket(ms: float) -> None:
    assert agent.bucket(ms) == 0
    assert agent.middle(0) == agent.LEAST_MS


@pytest.mark.parametrize(
    ("values", "fraction", "expected"),
    [
        ([], 0.99, 0.0),
        ([5.0], 0.50, 5.0),
        ([1.0] * 99 + [100.0], 0.99, 1.0),
        ([1.0] * 98 + [100.0] * 2, 0.99, 100.0),
        ([1.0, 2.0, 3.0], 0.50, 2.0),
        ([1.0, 2.0, 3.0], 1.00, 3.0),
    ],
)
def test_percentiles(values: list[float], fraction: float, expected: float) -> None:
    histogram: dict[int, int] = {}
    for value in values:
        histogram[agent.bucket(value)] = histogram.get(agent.bucket(value), 0) + 1
    assert result.percentile(histogram, fraction) == pytest.approx(expected, rel=0.0101)


@pytest.mark.parametrize(
    ("answers", "end", "gap"),
    [
        ([(0.1, "ok"), (0.2, "ok")], 0.3, (0.1, 0.0)),
        ([(0.1, "ok"), (0.2, "refused"), (2.0, "refused"), (2.5, "ok")], 2.6, (2.4, 0.1)),
        ([(0.1, "ok"), (0.5, "timeout")], 5.0, (4.9, 0.1)),
        ([], 3.0, (3.0, 0.0)),
    ],
    ids=["steady", "outage", "never again", "nothing"],
)
def test_the_longest_gap_has_no_good_answer(
    answers: list[tuple[float, str]], end: float, gap: tuple[float, float]
) -> None:
    tally = agent.Tally(0.0)
    for now, kind in answers:
        tally.came_back(kind, now, now, "", "", "")
    found = tally.document(lambda moment: moment, end)["gap"]
    assert found == [pytest.approx(gap[0]), pytest.approx(gap[1])]


def test_what_is_kept_is_bounded() -> None:
    tally = agent.Tally(0.0)
    for number in range(agent.MOST_LOSSES + 10):
        tally.came_back("reset", 1.0, 2.0, f"pod-{number}", format(number + 1, "x"), "x" * 1000)
    kept = tally.document(lambda moment: moment, 3.0)
    assert kept["classes"] == {"reset": agent.MOST_LOSSES + 10}
    assert len(kept["losses"]) == agent.MOST_LOSSES
    assert len(kept["backends"]) == len(kept["serials"]) == agent.MOST_NAMES
    assert len(json.dumps(kept)) * len(agent.KINDS) < 4_000_000


@pytest.mark.parametrize(
    ("raw", "whole", "code", "reusable"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", True, 200, True),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok", False, 200, False),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok", True, 200, False),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok-more", True, 200, False),
        (b"HTTP/1.1 204 No Content\r\n\r\n", True, 204, True),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n", True, 503, True),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", True, 200, True),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2;x=1\r\nok\r\n0\r\nA: b\r\n\r\n", True, 200, True),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n", False, 200, True),
        (b"HTTP/1.1 200 OK\r\n\r\nuntil the end", False, 200, False),
    ],
)
def test_answers_are_read_whole_however_they_are_cut(raw: bytes, whole: bool, code: int, reusable: bool) -> None:
    at_once, bytewise = agent.Answer(), agent.Answer()
    assert at_once.feed(raw) == whole
    fed = [bytewise.feed(raw[at : at + 1]) for at in range(len(raw))]
    assert any(fed) == whole
    assert (at_once.status, at_once.reusable) == (code, reusable)
    assert bytewise.status == code


@pytest.mark.parametrize(
    "raw",
    [
        b"SSH-2.0-x\r\n\r\n",
        b"HTTP/1.1 abc\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"x" * (agent.MOST_HEAD + 1),
    ],
)
def test_what_is_no_answer_is_said_to_be_none(raw: bytes) -> None:
    with pytest.raises(agent.Broken):
        agent.Answer().feed(raw)


def test_an_answer_without_a_length_ends_with_the_connection() -> None:
    answer = agent.Answer()
    assert not answer.feed(b"HTTP/1.1 200 OK\r\n\r\nhello")
    assert answer.ended()
    cut = agent.Answer()
    cut.feed(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello")
    assert not cut.ended()


# -- what comes back


def figures(**given: t.Any) -> Figures:
    base: dict[str, t.Any] = {"planned": 100, "sent": 100, "late": {agent.bucket(1.0): 100}, "latest_ms": 2.0}
    made = Figures(**{**base, **{key: value for key, value in given.items() if key not in ("classes", "late")}})
    made.classes.update(given.get("classes", {"ok": 100}))
    made.late.update(given.get("late", {}))
    made.latency.update({agent.bucket(1.0): made.classes["ok"]})
    return made


def logged(**changes: t.Any) -> str:
    tally = agent.Tally(0.0)
    tally.planned = 2
    for kind in ("ok", "reset"):
        tally.went_out(1.0, 0.001)
        tally.came_back(kind, 1.0, 1.002, "pod-1", "ab12", "why")
    client = {**tally.document(lambda moment: T0 + moment, 2.0), **changes}
    document = {"version": agent.VERSION, "began": T0, "ended": T0 + 2, "clients": {"new": client}}
    return f"noise\n{agent.READY}\n{{}}\n{agent.RESULT}\n{json.dumps(document)}\n"


def test_a_log_is_read_as_it_was_written() -> None:
    outcome = result.parse(logged(), "node-1")
    assert (outcome.cause, outcome.began, outcome.ended) == ("", T0, T0 + 2)
    found = outcome.clients["new"]
    assert (found.planned, found.sent, found.ok, found.lost_by_class) == (2, 2, 1, {"reset": 1})
    assert found.losses == [[T0 + 1, 2.0, "reset", "pod-1", "ab12", "why"]]
    assert found.serials == {"ab12": [(T0 + 1.002, T0 + 1.002, 2)]}


@pytest.mark.parametrize(
    "log",
    [
        "",
        "Traceback: no Python here",
        f"{agent.RESULT}\n{{",
        f"{agent.RESULT}\n[]\n",
        f'{agent.RESULT}\n{{"version": 99}}\n',
        logged(sent=-1),
        logged(sent=True),
        logged(classes=None),
        logged(losses=[[1, 2]]),
        logged(losses=[[1.0, 2.0, "ok\u001b", "", "", ""]]),
        logged(serials={"<script>": [[1.0, 2.0, 3]]}),
        logged(gap=["x", 1]),
        f"{agent.RESULT}\n{'[' * 100000}\n",
    ],
)
def test_a_damaged_log_is_no_result_and_no_crash(log: str) -> None:
    outcome = result.parse(log, "node-1")
    assert outcome.cause
    assert not outcome.clients
    assert result.verdict(outcome.all, [outcome], 0)[0] == "inconclusive"


GOOD = Outcome("a", T0, T0 + 10, {"new": figures()})
LATE = Outcome("b", T0, T0 + 10, {"new": figures(late={agent.bucket(400.0): 10}, latest_ms=400.0)})
LATE_ONCE = Outcome("b", T0, T0 + 10, {"new": figures(latest_ms=1500.0)})
UNSENT = Outcome("b", T0, T0 + 10, {"new": figures(sent=90, classes={"ok": 90})})
IDLE = Outcome("b", T0, T0 + 10, {"new": figures(planned=0, sent=0, classes={})})
SILENT = Outcome("b", cause="its pod is gone")
LOSSY = Outcome("b", T0, T0 + 10, {"new": figures(classes={"ok": 97, "reset": 3})})


LATE_TIMEOUTS = Outcome("b", T0, T0 + 10, {"new": figures(latest_ms=1500.0, classes={"ok": 90, "timeout": 10})})
LATE_RESETS = Outcome("b", T0, T0 + 10, {"new": figures(latest_ms=1500.0, classes={"ok": 90, "reset": 10})})
TIMEOUTS = Outcome("b", T0, T0 + 10, {"new": figures(classes={"ok": 90, "timeout": 10})})


@pytest.mark.parametrize(
    ("outcomes", "budget", "verdict", "why"),
    [
        ([GOOD], 0, "pass", ""),
        ([GOOD, LOSSY], 0, "fail", ""),
        ([GOOD, LOSSY], 2, "fail", ""),
        ([GOOD, LOSSY], 3, "pass", ""),
        ([GOOD, LATE], 0, "inconclusive", "node b did not keep its schedule"),
        ([GOOD, LATE_ONCE], 0, "inconclusive", "at most 1500 ms"),
        ([GOOD, UNSENT], 0, "inconclusive", "90 of 100 requests sent"),
        ([GOOD, IDLE], 0, "inconclusive", "0 of 0 requests sent"),
        ([GOOD, SILENT], 0, "inconclusive", "node b: its pod is gone"),
        ([LOSSY, SILENT], 0, "fail", ""),
        ([LOSSY, LATE], 0, "fail", ""),
        ([TIMEOUTS], 0, "fail", ""),
        ([LATE_RESETS], 0, "fail", ""),
        ([GOOD, LATE_TIMEOUTS], 0, "inconclusive", "did not keep its schedule"),
        ([], 0, "inconclusive", "nothing was measured"),
    ],
)
def test_verdicts(outcomes: list[Outcome], budget: int, verdict: str, why: str) -> None:
    found, reason = result.verdict(result.together([outcome.all for outcome in outcomes]), outcomes, budget)
    assert found == verdict
    assert why in reason


@pytest.mark.parametrize(
    ("serials", "back"),
    [
        ({"a": [(0, 50, 9)]}, []),
        ({"a": [(0, 50, 9)], "b": [(40, 99, 9)]}, []),
        ({"a": [(0, 20, 9), (60, 99, 9)], "b": [(15, 70, 9)]}, ["a"]),
        ({"a": [(0, 20, 9), (60, 99, 9)]}, []),
        ({"a": [(0, 20, 9), (60, 99, 9)], "b": [(70, 99, 9)]}, []),
    ],
    ids=["one", "handed over", "came back", "nothing was served meanwhile", "another one only later"],
)
def test_a_serial_flaps_when_it_was_gone_and_comes_back(serials: dict[str, t.Any], back: list[str]) -> None:
    assert result.flapped(serials) == back


def test_runs_of_a_serial_are_those_of_all_clients_together() -> None:
    one, two = figures(serials={"a": [(0.0, 10.0, 5), (30.0, 40.0, 5)]}), figures(serials={"a": [(14.0, 29.0, 7)]})
    assert result.together([one, two]).serials == {"a": [(0.0, 40.0, 17)]}
    assert result.together([one]).serials == {"a": [(0.0, 10.0, 5), (30.0, 40.0, 5)]}


def test_the_message_stands_alone() -> None:
    loss = [T0 + 1.25, 2.0, "refused", "", "", "Connection refused"]
    lossy = figures(
        classes={"ok": 88, "refused": 12}, first_loss=T0 + 1.25, last_loss=T0 + 3.9, losses=[loss], gap=(2.7, T0 + 1)
    )
    changes = [
        Moment(T0 - 60, "Pod web-0", "was gone", True),
        Moment(T0, "Pod web-1", "began to terminate", True),
        Moment(T0 + 1, "endpoint web-1", "was terminating, serving", True),
        Moment(T0 + 3, "Pod web-2", "began to terminate", True),
    ]
    told = result.report("r", [Outcome("n1", T0, T0 + 10, {"new": lossy, "post": figures()})], 0, changes, "")
    assert told["msg"] == (
        "run r: 12 of 200 requests lost from n1 (refused 12; by client: new 12) between 12:00:01.2 and 12:00:03.9 UTC;"
        " Pod web-1 began to terminate at 12:00:00"
    )
    assert (told["verdict"], told["lost"], told["longest_gap"]) == ("fail", 12, 2.7)
    assert told["first_loss"] == "2026-01-01T12:00:01.250Z"
    assert [change["object"] for change in told["changes"]] == ["Pod web-1", "endpoint web-1", "Pod web-2"]
    assert told["clients"]["post"]["lost"] == 0


def test_everything_is_in_the_document() -> None:
    outcome = result.parse(logged(), "n1")
    changes = [Moment(T0 - 600, "Pod web-0", "was gone", True)]
    told = result.report("r", [outcome], 0, changes, "")
    document = result.document(told, [outcome], changes)
    assert told["changes"] == []
    assert document["changes"][0]["object"] == "Pod web-0"
    assert document["losses"] == [
        {
            "node": "n1",
            "client": "new",
            "at": "2026-01-01T12:00:01.000Z",
            "latency": 2.0,
            "class": "reset",
            "backend": "pod-1",
            "serial": "ab12",
            "detail": "why",
        }
    ]
    assert document["seconds"] == [
        {"node": "n1", "client": "new", "at": "2026-01-01T12:00:01.000Z", "sent": 2, "lost": 1}
    ]


# -- what pods and endpoints did


def at(second: int) -> str:
    return f"2026-01-01T12:00:{second:02}Z"


def pod(version: int, **status: t.Any) -> dict[str, t.Any]:
    metadata = {"name": "web-1", "uid": "u1", "resourceVersion": str(version), "creationTimestamp": at(0)}
    metadata |= status.pop("metadata", {})
    return {"metadata": metadata, "status": status}


def endpoints(version: int, second: int, **states: str) -> dict[str, t.Any]:
    conditions = {
        "ready": {"ready": True, "serving": True, "terminating": False},
        "ending": {"ready": False, "serving": True, "terminating": True},
        "ended": {"ready": False, "serving": False, "terminating": True},
    }
    return {
        "metadata": {"name": "web-abc", "resourceVersion": str(version), "managedFields": [{"time": at(second)}]},
        "endpoints": [
            {"addresses": ["10.0.0.1"], "targetRef": {"name": name}, "conditions": conditions[state]}
            for name, state in states.items()
        ],
    }


def test_changes_are_told_once_and_in_their_order() -> None:
    ready = {"conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": at(2)}]}
    ending = {"metadata": {"deletionTimestamp": at(40), "deletionGracePeriodSeconds": 30}}
    forced = {"metadata": {"deletionTimestamp": at(12), "deletionGracePeriodSeconds": 0}}
    over = {"containerStatuses": [{"name": "c", "state": {"terminated": {"exitCode": 137, "finishedAt": at(12)}}}]}
    pods = [
        ("ADDED", pod(10)),
        ("MODIFIED", pod(12, **ready)),
        ("MODIFIED", pod(20, **copy.deepcopy(ready), **ending)),
        ("MODIFIED", pod(30, **copy.deepcopy(ready), **forced)),
        ("MODIFIED", pod(31, **over, **copy.deepcopy(forced))),
        ("DELETED", pod(40, **over, **copy.deepcopy(forced))),
    ]
    slices = [
        ("MODIFIED", endpoints(9, 0, other="ready")),
        ("MODIFIED", endpoints(13, 3, other="ready", **{"web-1": "ready"})),
        ("MODIFIED", endpoints(21, 11, other="ready", **{"web-1": "ending"})),
        ("MODIFIED", endpoints(39, 13, other="ready")),
        ("DELETED", endpoints(50, 13, other="ready")),
    ]
    found = [(m.at - T0, m.subject, m.what) for m in history.moments(pods, slices, T0 - 5)]
    assert found == [
        (0, "EndpointSlice web-abc", "had other ready"),
        (0, "Pod web-1", "was created"),
        (2, "Pod web-1", "became ready"),
        (3, "endpoint web-1", "was ready"),
        (10, "Pod web-1", "began to terminate"),
        (11, "endpoint web-1", "was terminating, serving"),
        (12, "Pod web-1", "container c ended with exit code 137"),
        (13, "endpoint web-1", "was removed"),
        (13, "Pod web-1", "was gone"),
        (13, "EndpointSlice web-abc", "was deleted"),
    ]


def test_what_was_before_the_run_is_not_told() -> None:
    assert history.moments([("MODIFIED", pod(10))], [], T0 + 30) == []


# -- options and Jobs


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"name": "Run"}, "name: 'Run' given"),
        ({"name": "x" * 41}, "at most 40 characters"),
        ({"rate": 0}, "rate: 0 given, expected a number from 1 to 5000"),
        ({"duration": 3601}, "duration: 3601 given, expected a number from 1 to 3600"),
        ({"request_timeout": 31}, "request_timeout: 31 given"),
        ({"budget": -1}, "budget: -1 given"),
        ({"path": "healthz"}, "path: 'healthz' given, expected a path that starts with /"),
        ({"path": "/a b"}, "path: '/a b' given"),
        ({"clients": []}, "clients: [] given"),
        ({"url": "ftp://x/"}, "url: 'ftp://x/' given"),
        ({"url": "http://x:99999/"}, "url: 'http://x:99999/' given"),
        ({"service": None}, "service: nothing given, expected the name of a Service, or a url"),
        ({"tls": {"bundle": "x", "bundle_config_map": "y"}}, "parameters are mutually exclusive"),
        ({"dest": "/no/such/folder/x.json", "state": "stopped"}, "dest: the folder of /no/such/folder/x.json"),
    ],
)
def test_options_that_cannot_work_are_named_before_any_request(options: dict[str, t.Any], message: str) -> None:
    given = {"name": "run", "namespace": "demo", "state": "started", "service": "web", **options}
    with FakeApi() as api:
        answer = run_module(availability, api, **given)
        assert api.sent() == []
    assert answer["failed"]
    assert message in answer["msg"]


WEB = {
    "metadata": {"name": "web", "namespace": "demo"},
    "spec": {"selector": {"app": "web"}, "ports": [{"port": 80, "name": "http"}, {"port": 443, "name": "https"}]},
}


@pytest.mark.parametrize(
    ("options", "url", "server_name"),
    [
        ({"port": "http"}, "http://web.demo.svc/", "web.demo.svc"),
        ({"port": "443", "tls": {"server_name": "web"}}, "https://web.demo.svc/", "web"),
        ({"port": "443", "scheme": "https", "path": "/x?y=1"}, "https://web.demo.svc/x?y=1", "web.demo.svc"),
        ({"port": "80", "scheme": "https"}, "https://web.demo.svc:80/", "web.demo.svc"),
        ({"url": "https://[fd00::1]:8443/a?b"}, "https://[fd00::1]:8443/a?b", "fd00::1"),
    ],
)
def test_targets(options: dict[str, t.Any], url: str, server_name: str) -> None:
    params = defaults(**options)
    target = plan.of_url(params["url"]) if params["url"] else plan.of_service(WEB, params)
    target = plan.secured(target, params["tls"], "PEM")
    assert (target.url, target.server_name, target.bundle) == (url, server_name, "PEM")


@pytest.mark.parametrize("port", [None, "8080"])
def test_a_port_that_is_not_clear_is_asked_for(port: str | None) -> None:
    with pytest.raises(plan.refusal("", "", "").__class__, match="one port of Service demo/web: http/80, https/443"):
        plan.of_service(WEB, defaults(port=port))


def test_jobs_share_the_rate_and_are_out_of_step() -> None:
    params = defaults(service="web", port="80", client={"labels": {"role": 1}, "image": "img:1"})
    made = plan.jobs(params, plan.of_service(WEB, params), ["n1", "n2"], {"nodes": ["n1", "n2"]})
    assert [job["metadata"]["name"] for job in made] == ["run-meter-0", "run-meter-1"]
    plans = [agent.decode(job["spec"]["template"]["spec"]["containers"][0]["command"][7:]) for job in made]
    assert [found["rate"] for found in plans] == [50.0, 50.0]
    assert plans[0]["phase"] != plans[1]["phase"]
    for node, job in zip(["n1", "n2"], made, strict=True):
        pod_spec = job["spec"]["template"]["spec"]
        labels = job["spec"]["template"]["metadata"]["labels"]
        assert labels == {"role": "1", **plan.LABELS, plan.METER_LABEL: "run"}
        assert "probe" not in job["metadata"]["labels"].values(), "a probe would sweep it away"
        assert pod_spec["nodeName"] == node
        assert pod_spec["automountServiceAccountToken"] is False
        assert pod_spec["terminationGracePeriodSeconds"] > params["request_timeout"]
        assert job["spec"]["activeDeadlineSeconds"] > params["duration"] + params["wait_timeout"]
        assert job["spec"]["backoffLimit"] == 0
        context = pod_spec["containers"][0]["securityContext"]
        assert context["capabilities"] == {"drop": ["ALL"]}
        assert context["readOnlyRootFilesystem"]
        assert pod_spec["containers"][0]["resources"]["limits"]["memory"]


@pytest.mark.parametrize(("change", "same"), [({}, True), ({"budget": 9}, True), ({"rate": 7}, False)])
def test_a_run_is_the_same_when_it_was_asked_to_do_the_same(change: dict[str, t.Any], same: bool) -> None:
    one, other = defaults(port="80"), defaults(port="80", **change)
    found = plan.fingerprint(one, plan.of_service(WEB, one)) == plan.fingerprint(other, plan.of_service(WEB, other))
    assert found == same


def node(name: str, **given: t.Any) -> dict[str, t.Any]:
    conditions = [{"type": "Ready", "status": given.pop("ready", "True")}]
    return {"metadata": {"name": name}, "spec": given, "status": {"conditions": conditions}}


def test_nodes_that_take_pods_are_chosen_always_the_same() -> None:
    closed = [{"key": "node-role.kubernetes.io/control-plane", "effect": "NoSchedule"}]
    soft = [{"key": "x", "effect": "PreferNoSchedule"}]
    found = [node("d"), node("c", taints=soft), node("b", unschedulable=True), node("a", taints=closed)]
    found += [node("e", ready="Unknown"), node("f")]
    assert plan.worker_nodes(found, 2) == ["c", "d"]
    assert plan.worker_nodes(found, 9) == ["c", "d", "f"]


# -- the API server


def items(*found: dict[str, t.Any]) -> dict[str, t.Any]:
    return {"items": list(found), "metadata": {"resourceVersion": "7"}}


def run(api: FakeApi, state: str, *, check: bool = False, **options: t.Any) -> dict[str, t.Any]:
    given = {"name": "run", "namespace": "demo", "state": state, "nodes": ["n1"], **options}
    return run_module(availability, api, check=check, **given)


def job_of(**options: t.Any) -> dict[str, t.Any]:
    params = defaults(service="web", port="80", nodes=["n1"], **options)
    since = {"nodes": ["n1"], "at": T0, "pods": ["app=web", "5"], "slices": ["kubernetes.io/service-name=web", "6"]}
    (made,) = plan.jobs(params, plan.secured(plan.of_service(WEB, params), None, ""), ["n1"], since)
    made["metadata"]["uid"] = "job-uid"
    return made


def meter_pod(phase: str = "Running") -> dict[str, t.Any]:
    state = {"running": {}} if phase == "Running" else {"terminated": {"exitCode": 0}}
    return {
        "metadata": {
            "name": "run-meter-0-x",
            "namespace": "demo",
            "resourceVersion": "8",
            "ownerReferences": [{"uid": "job-uid"}],
        },
        "status": {"phase": phase, "startTime": at(0), "containerStatuses": [{"name": "agent", "state": state}]},
    }


@pytest.mark.parametrize("live", [True, False])
def test_check_mode_reads_and_says_what_it_would_do(live: bool) -> None:
    with FakeApi() as api:
        api.on("GET", JOBS, reply(items(job_of()) if live else items()))
        api.on("GET", SERVICE, reply(WEB))
        started = run(api, "started", check=True, service="web", port="80")
        stopped = run(api, "stopped", check=True)
        assert set(api.sent()) == {f"GET {JOBS}", f"GET {SERVICE}"}
    assert started["changed"] is not live
    assert ("is running already" if live else "would be started against http://web.demo.svc/") in started["msg"]
    assert stopped["changed"] is live
    assert "verdict" not in stopped


def test_in_check_mode_the_service_may_still_have_to_be_made() -> None:
    with FakeApi() as api:
        api.on("GET", JOBS, reply(items()))
        api.on("GET", SERVICE, status(404))
        foreseen = run(api, "started", check=True, service="web")
        real = run(api, "started", service="web")
    assert foreseen["changed"]
    assert real["msg"] == "service: Service demo/web does not exist; create it first"


def test_a_run_of_that_name_with_other_options_is_left_alone() -> None:
    with FakeApi() as api:
        api.on("GET", JOBS, reply(items(job_of())))
        api.on("GET", SERVICE, reply(WEB))
        answer = run(api, "started", service="web", port="80", rate=50)
        assert api.sent("POST", "DELETE", "PATCH") == []
    assert answer["msg"] == "name: run run is running in namespace demo with other options; stop it first"


def starting(api: FakeApi, log: str) -> None:
    api.on("GET", JOBS, reply(items()))
    api.on("GET", SERVICE, reply(WEB))
    api.on("GET", SLICES, reply(items()))
    api.on(
        "POST",
        JOBS,
        lambda request: reply({**request.body, "metadata": {**request.body["metadata"], "uid": "job-uid"}}),
    )
    api.on("GET", PODS, reply(items()), reply(items(meter_pod())))
    api.on("WATCH", PODS, stream([], end="hang"))
    api.on("GET", f"{PODS}/run-meter-0-x/log", text(log))
    api.on("DELETE", f"{JOBS}/run-meter-0", reply({}))


def test_started_means_that_it_measures() -> None:
    with FakeApi() as api:
        starting(api, f"{agent.READY}\n{{}}\n")
        answer = run(api, "started", service="web", port="80")
        assert api.sent("POST", "DELETE", "PATCH") == [f"POST {JOBS}"]
        assert not api.unexpected
    assert not answer["failed"]
    assert answer["changed"]
    assert answer["msg"] == "run run measures http://web.demo.svc/ at 100 requests/s from n1"


@pytest.mark.parametrize(
    ("log", "message"),
    [
        (f'{agent.COLD}\n{{"trouble": "refused: no"}}\n', "node n1: no good answer within 20 s: refused: no"),
        ("python3: not found\n", "node n1: the meter ended; its log says: python3: not found"),
    ],
)
def test_a_meter_that_cannot_measure_is_removed_again(log: str, message: str) -> None:
    with FakeApi() as api:
        starting(api, log)
        answer = run(api, "started", service="web", port="80")
        assert api.sent("POST", "DELETE", "PATCH") == [f"POST {JOBS}", f"DELETE {JOBS}/run-meter-0"]
    assert answer["failed"]
    assert answer["msg"] == f"run run: {message}"


@pytest.mark.parametrize(("fail_on", "failed"), [("inconclusive", True), ("fail", False), ("never", False)])
def test_a_run_that_is_not_there_proves_nothing(fail_on: str, failed: bool) -> None:
    with FakeApi() as api:
        api.on("GET", JOBS, reply(items()))
        answer = run(api, "stopped", fail_on=fail_on)
    assert answer["failed"] is failed
    assert not answer["changed"]
    assert answer["verdict"] == "inconclusive"
    assert answer["msg"] == "run run: there is no such run in namespace demo, so nothing was measured"


def stopping(api: FakeApi, log: str) -> None:
    api.on("GET", JOBS, reply(items(job_of())))
    api.on("GET", PODS, reply(items(meter_pod())))
    ended = {**meter_pod("Failed"), "metadata": {**meter_pod()["metadata"], "resourceVersion": "9"}}
    forced = {"metadata": {"deletionTimestamp": at(11), "deletionGracePeriodSeconds": 10}}
    ours, theirs = stream([event("MODIFIED", ended)], end="hang"), stream([event("MODIFIED", pod(8, **forced))])
    asked = threading.Event()

    def watch(request: Request) -> Answer:
        if "app=web" in request.query["labelSelector"]:
            return theirs
        asked.wait(20)  # a meter ends when it is told to, not before
        return ours

    def patch(_request: Request) -> Answer:
        asked.set()
        return reply({})

    api.on("WATCH", PODS, watch)
    api.on("WATCH", SLICES, stream([expired()]))
    api.on("PATCH", f"{PODS}/run-meter-0-x", patch)
    api.on("GET", f"{PODS}/run-meter-0-x/log", text(log))
    api.on("DELETE", f"{JOBS}/run-meter-0", reply({}))


def test_stopping_asks_collects_judges_and_only_then_removes(tmp_path: Path) -> None:
    dest = tmp_path / "run.json"
    with FakeApi() as api:
        stopping(api, logged(first_loss=T0 + 1, last_loss=T0 + 1))
        answer = run(api, "stopped", dest=str(dest))
        written = api.sent("PATCH", "DELETE")
        (patch,) = [request.body for request in api.requests if request.method == "PATCH"]
        assert not api.unexpected
    assert written == [f"PATCH {PODS}/run-meter-0-x", f"DELETE {JOBS}/run-meter-0"]
    assert patch == {"spec": {"activeDeadlineSeconds": 1}}
    assert answer["failed"]
    assert answer["changed"]
    assert (answer["verdict"], answer["lost"], answer["lost_by_class"]) == ("fail", 1, {"reset": 1})
    assert "Pod web-1 began to terminate at 12:00:01" in answer["msg"]
    assert "the API server no longer knows all changes of endpointslices" in answer["msg"]
    assert json.loads(dest.read_text())["losses"][0]["class"] == "reset"
    assert dest.stat().st_mode & 0o777 == 0o600


def test_a_log_that_cannot_be_read_keeps_the_run_for_another_try() -> None:
    with FakeApi() as api:
        stopping(api, "")
        api.on("GET", f"{PODS}/run-meter-0-x/log", status(403, message="no"))
        answer = run(api, "stopped")
        assert api.sent("DELETE") == []
    assert answer["failed"]
    assert "HTTP 403" in answer["msg"]
