# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The runner of probes: its pure parts by tables, a whole round against a server that plays controller and kubelet."""

from __future__ import annotations

import datetime
import json
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import pytest

from ansible_collections.plumbline.kubernetes.plugins.module_utils.connectivity import agent, probe
from ansible_collections.plumbline.kubernetes.plugins.module_utils.kube.client import Cluster
from ansible_collections.plumbline.kubernetes.tests.unit import fake_api
from ansible_collections.plumbline.kubernetes.tests.unit.fake_api import FakeApi, Request, event, reply, status, stream


@dataclass(frozen=True)
class Client:
    namespace: str
    node: str


HERE, THERE = Client("demo", "node-1"), Client("demo", "node-2")
ELSEWHERE = Client("other", "node-1")
OPTIONS = probe.Options(
    image="plumbline.local/python:3.14",
    namespace="demo",
    labels={"role": "frontend", "app.kubernetes.io/managed-by": "me"},
    service_account="shop",
    image_pull_secrets=("registry",),
)

# --- the Job --------------------------------------------------------------------------------------------------------


def pod_of(client: Client, options: probe.Options = OPTIONS) -> dict[str, Any]:
    template: dict[str, Any] = probe.job("x", "run1", client, ["python3"], options)["spec"]["template"]
    return template


def test_job_passes_pod_security_restricted() -> None:
    spec = pod_of(HERE)["spec"]
    (container,) = spec["containers"]
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["runAsUser"] > 0
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert spec.keys().isdisjoint({"volumes", "hostNetwork", "hostPID", "hostIPC"})


def test_job_ends_and_goes_by_itself() -> None:
    body = probe.job("x", "run1", HERE, ["python3"], replace(OPTIONS, budget=3, start_timeout=20))
    assert (body["metadata"]["name"], body["metadata"]["namespace"]) == ("x", "demo")
    assert body["spec"]["activeDeadlineSeconds"] == 3 + 20 + probe.RUN_MARGIN + 1
    assert body["spec"]["ttlSecondsAfterFinished"] > 0
    assert body["spec"]["backoffLimit"] == 0
    spec = body["spec"]["template"]["spec"]
    assert (spec["restartPolicy"], spec["terminationGracePeriodSeconds"]) == ("Never", 0)


def test_job_carries_no_credentials_and_learns_nothing_of_other_services() -> None:
    spec = pod_of(HERE)["spec"]
    assert spec["automountServiceAccountToken"] is False
    assert spec["enableServiceLinks"] is False


def test_job_runs_on_its_node_whatever_taints_it() -> None:
    spec = pod_of(HERE)["spec"]
    assert spec["nodeName"] == "node-1"
    assert spec["tolerations"] == [{"operator": "Exists"}]


def test_job_labels_are_ours_and_the_clients() -> None:
    ours = {
        "app.kubernetes.io/managed-by": "plumbline",
        "app.kubernetes.io/component": "probe",
        probe.RUN_LABEL: "run1",
    }
    assert pod_of(HERE)["metadata"]["labels"] == {"role": "frontend", **ours}
    assert pod_of(ELSEWHERE)["metadata"]["labels"] == ours
    assert probe.job("x", "run1", HERE, [], OPTIONS)["metadata"]["labels"] == ours


def test_job_of_a_client_that_must_be_refused_wears_its_labels_alone_and_never_gets_connections() -> None:
    options = replace(OPTIONS, strangers={HERE: {"app": "stranger"}})
    body = pod_of(HERE, options)
    assert body["metadata"]["labels"].items() >= {"app": "stranger", probe.RUN_LABEL: "run1"}.items()
    assert "role" not in body["metadata"]["labels"]
    assert "serviceAccountName" not in body["spec"]
    assert body["spec"]["imagePullSecrets"]
    assert [gate["conditionType"] for gate in body["spec"]["readinessGates"]] == [probe.NEVER]
    assert pod_of(THERE, options) == pod_of(THERE)
    assert "readinessGates" not in pod_of(THERE)["spec"]


def test_job_account_and_pull_secrets_belong_to_the_clients_own_namespace() -> None:
    assert pod_of(HERE)["spec"]["serviceAccountName"] == "shop"
    assert pod_of(HERE)["spec"]["imagePullSecrets"] == [{"name": "registry"}]
    assert pod_of(ELSEWHERE)["spec"].keys().isdisjoint({"serviceAccountName", "imagePullSecrets"})


TASKS: list[dict[str, Any]] = [{"id": "control", "type": "control"}]


def test_command_runs_the_plan() -> None:
    """The very command line of the pod, with a plan that needs several arguments."""
    many = [{"id": f"{number} " + "$(HOME)" * 3, "type": "gopher"} for number in range(2000)]
    argv = probe.command(probe.sources(TASKS), probe.plan([*TASKS, *many], OPTIONS), sys.executable)
    done = subprocess.run(argv, capture_output=True, text=True, check=True, timeout=60)
    outcome = probe.parse(done.stdout, [*TASKS, *many])
    assert (outcome.cause, done.stderr) == ("", "")
    assert outcome.observations["control"]["class"] == "ok"
    assert outcome.observations["7 " + "$(HOME)" * 3]["class"] == "error"


def test_command_fits_into_what_the_kernel_and_the_kubelet_take() -> None:
    # Random-looking ids, so that compression does not hide the size.
    tasks = [{"id": hex(pow(3, number + 999, 1 << 400)), "type": "tcp"} for number in range(3000)]
    argv = probe.command(probe.sources([{"type": "https"}]), probe.plan(tasks, OPTIONS))
    assert len(argv) > 8
    assert max(map(len, argv)) <= 128 * 1024 - 1
    assert not any("$" in argument for argument in argv)


# --- how far a pod has come -----------------------------------------------------------------------------------------


def pod(phase: str = "Pending", *, started: bool = True, gone: bool = False, name: str = "agent", **state: Any) -> Any:
    body: dict[str, Any] = {"metadata": {"name": "p"}, "status": {"phase": phase}}
    if started:
        body["status"]["startTime"] = "2026-11-23T00:00:00Z"
    if gone:
        body["metadata"]["deletionTimestamp"] = "2026-11-23T00:00:00Z"
    if state:
        body["status"]["containerStatuses"] = [{"name": name, "state": state}]
    return body


def rejected(reason: str) -> dict[str, Any]:
    body: dict[str, Any] = pod("Failed")
    body["status"].update(reason=reason, message=f"Pod was rejected: {reason}")
    return body


ENDED = {"exitCode": 0, "reason": "Completed"}
NO_PYTHON = 'exec: "python3": executable file not found in $PATH'
PROGRESS: list[tuple[str, Any, float, str, str]] = [
    ("no pod yet", None, 0.4, "wait", ""),
    ("no pod after a while", None, 1.5, "ask", ""),
    ("no pod after long", None, 16, "fail", "created no pod"),
    ("not taken up yet", pod(started=False), 5, "wait", ""),
    ("not taken up", pod(started=False), 41, "fail", "kubelet of node node-1 did not take up the pod within 40 s"),
    ("being made", pod(waiting={"reason": "ContainerCreating"}), 30, "wait", "ContainerCreating"),
    ("made for too long", pod(waiting={"reason": "ContainerCreating"}), 61, "fail", "did not start within 60 s"),
    ("no image, first try", pod(waiting={"reason": "ErrImagePull"}), 2, "wait", ""),
    ("no image", pod(waiting={"reason": "ErrImagePull", "message": "nope"}), 6, "fail", "node-1: ErrImagePull: nope"),
    ("no image, backing off", pod(waiting={"reason": "ImagePullBackOff"}), 6, "fail", "ImagePullBackOff"),
    ("image never pulled", pod(waiting={"reason": "ErrImageNeverPull"}), 0, "fail", "ErrImageNeverPull"),
    ("not an image", pod(waiting={"reason": "InvalidImageName"}), 0, "fail", "InvalidImageName"),
    ("bad configuration", pod(waiting={"reason": "CreateContainerConfigError"}), 0, "fail", "ConfigError"),
    ("running", pod("Running", running={}), 30, "follow", ""),
    ("done", pod("Succeeded", terminated=ENDED), 2, "read", ""),
    ("done beside a sidecar", pod("Running", terminated=ENDED), 2, "read", ""),
    ("done and being removed", pod("Succeeded", gone=True, terminated=ENDED), 2, "read", ""),
    ("only the sidecar is done", pod("Running", name="mesh", terminated=ENDED), 2, "wait", ""),
    ("died", pod("Failed", terminated={"exitCode": 70, "reason": "Error"}), 2, "read", "exit code 70"),
    ("out of memory", pod("Failed", terminated={"exitCode": 137, "reason": "OOMKilled"}), 2, "fail", "out of memory"),
    (
        "no python",
        pod("Failed", terminated={"exitCode": 128, "reason": "StartError", "message": NO_PYTHON}),
        2,
        "fail",
        "image plumbline.local/python:3.14 has no python3; the container did not start: exec",
    ),
    ("OutOfcpu", rejected("OutOfcpu"), 1, "fail", "OutOfcpu: Pod was rejected"),
    ("Evicted", rejected("Evicted"), 1, "fail", "Evicted"),
    ("DeadlineExceeded", rejected("DeadlineExceeded"), 1, "fail", "DeadlineExceeded"),
    ("deleted", pod("Running", gone=True, running={}), 1, "fail", "deleted by somebody else"),
]


@pytest.mark.parametrize(("name", "body", "age", "step", "text"), PROGRESS, ids=[case[0] for case in PROGRESS])
def test_progress(name: str, body: Any, age: float, step: str, text: str) -> None:
    found = probe.progress(body, age, HERE, OPTIONS)
    assert found.step == step, name
    assert text in found.text


# --- what comes back ------------------------------------------------------------------------------------------------

PLANNED: dict[str, dict[str, Any]] = {
    "tcp": {"id": "tcp", "type": "tcp"},
    "http": {"id": "http", "type": "http", "contains": ["Welcome"]},
    "dns": {"id": "dns", "type": "dns"},
    "resolve": {"id": "resolve", "type": "resolve"},
    "resolv_conf": {"id": "resolv_conf", "type": "resolv_conf"},
}
GOOD: dict[str, dict[str, Any]] = {
    "tcp": {},
    "http": {
        "status": 200,
        "count": 2,
        "statuses": {"200": 2},
        "contains": {"Welcome": True},
        "identities": {"pod-a": 2},
        "classes": {"ok": 2},
    },
    "dns": {"rcode": "NOERROR", "answers": ["10.96.1.2"], "truncated": False, "authoritative": True, "lost": 0},
    "resolve": {"addresses": ["10.96.1.2"]},
    "resolv_conf": {"nameservers": ["10.96.0.10"], "search": [], "options": ["ndots:5"]},
}


def observation(kind: str, **changes: Any) -> dict[str, Any]:
    return {"id": kind, "type": kind, "class": "ok", "detail": "", "ms": 1.5, "value": GOOD[kind], **changes}


def log(*observations: Any, before: str = "", **document: Any) -> str:
    body = {"version": 1, "complete": True, "observations": list(observations), **document}
    return f"{before}{agent.MARKER}\n{json.dumps(body)}\n"


def test_parse_takes_what_is_good() -> None:
    noise = f"warning\n{agent.MARKER}\nforged\n"
    outcome = probe.parse(log(*map(observation, PLANNED), before=noise), list(PLANNED.values()))
    assert (outcome.status, outcome.cause) == ("ok", "")
    assert outcome.observations == {kind: observation(kind) for kind in PLANNED}


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("", "holds no result; it ends with: nothing"),
        ("SyntaxError: future feature annotations is not defined\n", "ends with: SyntaxError: future"),
        ("\x1b[2J\0" * 500, "holds no result"),
        (log()[:-20], "cut or damaged"),
        (f"{agent.MARKER}\n", "cut or damaged"),
        (f"{agent.MARKER}\n" + "[" * 500_000, "cut or damaged"),
        (f"{agent.MARKER}\n" + "9" * 5000, "cut or damaged"),
        (f"{agent.MARKER}\n" + " " * 2_000_000, "larger than"),
        (f"{agent.MARKER}\n[]\n", "another version"),
        (log(version=2), "another version"),
        (log(observations={"a": 1}), "5 of 5 observations are missing"),
        (log(*[5, None, [], {}]), "5 of 5 observations are missing"),
        (log(*[{"id": str(number)} for number in range(9999)]), "5 of 5 observations are missing"),
    ],
)
def test_parse_refuses_what_is_not_a_result(text: str, cause: str) -> None:
    outcome = probe.parse(text, list(PLANNED.values()))
    assert (outcome.status, dict(outcome.observations)) == ("inconclusive", {})
    assert cause in outcome.cause
    assert outcome.cause.isprintable()
    assert len(outcome.cause) < 500


def http_value(**changes: Any) -> dict[str, Any]:
    return {"value": {**GOOD["http"], **changes}}


@pytest.mark.parametrize(
    ("kind", "changes"),
    [
        ("tcp", {"id": "unknown"}),
        ("tcp", {"id": ["tcp"]}),
        ("tcp", {"type": "http"}),
        ("tcp", {"class": "fine"}),
        ("tcp", {"class": ["ok"]}),
        ("tcp", {"value": None}),
        ("http", {"value": {}}),
        ("http", http_value(status="200")),
        ("http", http_value(status=True)),
        ("http", http_value(status=-1)),
        ("http", http_value(count=10**30)),
        ("http", http_value(statuses=[200])),
        ("http", http_value(statuses={"200": "2"})),
        ("http", http_value(contains={})),
        ("http", http_value(contains={"Welcome": 1})),
        ("http", http_value(contains={"Welcome": True, "more": True})),
        ("http", http_value(identities={str(number): 1 for number in range(300)})),
        ("dns", {"value": {**GOOD["dns"], "rcode": "\x1b[2J"}}),
        ("dns", {"value": {**GOOD["dns"], "answers": "10.96.1.2"}}),
        ("dns", {"value": {**GOOD["dns"], "answers": [1]}}),
        ("dns", {"value": {**GOOD["dns"], "answers": ["x"] * 6000}}),
        ("dns", {"value": {**GOOD["dns"], "truncated": 0}}),
        ("resolve", {"value": {"addresses": {}}}),
        ("resolv_conf", {"value": {"nameservers": [], "search": []}}),
    ],
)
def test_parse_drops_an_observation_that_is_not_of_its_type(kind: str, changes: dict[str, Any]) -> None:
    planned = [PLANNED[kind], {"id": "control", "type": "control"}]
    good = {"id": "control", "type": "control", "class": "ok", "detail": "", "ms": 1, "value": {"late_ms": 0}}
    outcome = probe.parse(log(observation(kind, **changes), good), planned)
    assert list(outcome.observations) == ["control"]
    assert outcome.cause == "1 of 2 observations are missing or damaged"


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"detail": "a\n\x1b" + "b" * 900}, {"detail": "a\ufffd\ufffd" + "b" * (agent.TEXT - 6) + "..."}),
        ({"detail": {"a": 1}}, {"detail": "{'a': 1}"}),
        ({"ms": float("nan")}, {"ms": 0.0}),
        ({"ms": "1"}, {"ms": 0.0}),
        ({"more": "x" * 1000}, {}),
        ({"class": "timeout", "value": {"addresses": "x" * 1000}}, {"class": "timeout", "value": {}}),
        ({"value": {"addresses": ["a\n"], "more": 1}}, {"value": {"addresses": ["a\ufffd"]}}),
    ],
)
def test_parse_bounds_what_it_takes(changes: dict[str, Any], expected: dict[str, Any]) -> None:
    outcome = probe.parse(log(observation("resolve", **changes)), [PLANNED["resolve"]])
    assert outcome.observations == {"resolve": observation("resolve", **expected)}


def test_parse_an_exchange_that_failed() -> None:
    value = {**GOOD["http"], "status": None, "statuses": {}, "contains": {"Welcome": False}, "classes": {"refused": 1}}
    outcome = probe.parse(log(observation("http", **{"class": "refused", "value": value})), [PLANNED["http"]])
    assert outcome.observations["http"]["value"] == value


# --- what was left behind -------------------------------------------------------------------------------------------

NOW = datetime.datetime(2026, 11, 23, 12, 0, 0, tzinfo=datetime.UTC)


def at(seconds_ago: float) -> str:
    return (NOW - datetime.timedelta(seconds=seconds_ago)).strftime("%Y-%m-%dT%H:%M:%SZ")


def earlier_job(born: float, over: float | None = None, kind: str = "Complete", name: str = "old") -> dict[str, Any]:
    conditions = [{"type": kind, "status": "True", "lastTransitionTime": at(over)}] if over is not None else []
    return {
        "metadata": {"name": name, "namespace": "demo", "uid": f"uid-{name}", "creationTimestamp": at(born)},
        "spec": {"activeDeadlineSeconds": 80},
        "status": {"conditions": conditions},
    }


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (earlier_job(5), False),
        (earlier_job(130), False),
        (earlier_job(150), True),
        (earlier_job(30, over=2), False),
        (earlier_job(500, over=2), False),
        (earlier_job(500, over=61), True),
        (earlier_job(500, over=61, kind="Failed"), True),
        (earlier_job(5, over=61, kind="SuccessCriteriaMet"), False),
        ({"metadata": {"creationTimestamp": "yesterday"}}, False),
        ({}, False),
    ],
)
def test_abandoned(found: dict[str, Any], expected: bool) -> None:
    assert probe.abandoned(found, NOW) is expected


# --- a whole round --------------------------------------------------------------------------------------------------


Ends = Callable[[str], dict[str, Any] | None]


class FakeCluster:
    """Plays Job controller and kubelet of one namespace: each created Job gets the pod that `ends` gives it."""

    def __init__(
        self, api: FakeApi, ends: Callable[[str], dict[str, Any] | None], logs: str, expected: int = 1
    ) -> None:
        self.api, self.ends, self.logs = api, ends, logs
        self.jobs: dict[str, dict[str, Any]] = {}
        self.all_created = threading.Barrier(expected + 1, timeout=20)
        self.earlier: list[dict[str, Any]] = []
        api.on("GET", "/api/v1/namespaces/demo/pods", reply({"metadata": {"resourceVersion": "1"}, "items": []}))
        api.on("WATCH", "/api/v1/namespaces/demo/pods", self.watch, fake_api.hang())
        api.on("POST", "/apis/batch/v1/namespaces/demo/jobs", self.create)
        api.on("GET", "/apis/batch/v1/namespaces/demo/jobs", lambda _request: reply({"items": self.earlier}))
        api.on("GET", "/api/v1/namespaces/demo/events", reply({"items": []}))

    def create(self, request: Request) -> fake_api.Answer:
        body = request.body
        name, node = body["metadata"]["name"], body["spec"]["template"]["spec"]["nodeName"]
        body["metadata"].update(uid=f"uid-{node}", creationTimestamp=at(0))
        self.jobs[node] = body
        self.api.on("DELETE", f"/apis/batch/v1/namespaces/demo/jobs/{name}", reply({"kind": "Status"}))
        self.api.on("GET", f"/api/v1/namespaces/demo/pods/{node}/log", fake_api.text(self.logs))
        # The last one to come lets the watch go on, in a thread of its own: this answer must not wait for it.
        threading.Thread(target=self.all_created.wait, daemon=True).start()
        return reply(body, 201)

    def watch(self, _request: Request) -> fake_api.Answer:
        self.all_created.wait()
        events = []
        for node, body in self.jobs.items():
            end = self.ends(node)
            if end:
                labels = {probe.JOB_NAME_LABEL: body["metadata"]["name"]}
                metadata = {"name": node, "namespace": "demo", "resourceVersion": "2", "labels": labels}
                events.append(event("ADDED", {**end, "metadata": {**end["metadata"], **metadata}}))
        return stream(events, end="hang")

    def removed(self) -> set[str]:
        """Nodes whose Job was deleted."""
        gone = {line.rpartition("/")[2] for line in self.api.sent("DELETE")}
        return {node for node, body in self.jobs.items() if body["metadata"]["name"] in gone}


@pytest.fixture
def api() -> Iterator[FakeApi]:
    with FakeApi() as server:
        yield server


RESULT = log({"id": "control", "type": "control", "class": "ok", "detail": "", "ms": 1, "value": {"late_ms": 0}})
DONE = pod("Succeeded", terminated=ENDED)


def run(api: FakeApi, *clients: Client, **options: Any) -> dict[Client, probe.ProbeOutcome]:
    cluster = Cluster.connect({"host": api.url, "api_key": "x"})
    return probe.run(cluster, dict.fromkeys(clients, TASKS), replace(OPTIONS, **options))


def test_round(api: FakeApi) -> None:
    fake = FakeCluster(api, lambda _node: DONE, RESULT, expected=2)
    fake.earlier = [earlier_job(500, name="left"), earlier_job(5, name="running"), earlier_job(90, 3, name="just-over")]
    api.on("DELETE", "/apis/batch/v1/namespaces/demo/jobs/left", reply({"kind": "Status"}))
    outcomes = run(api, HERE, THERE)
    assert [outcomes[client].pod for client in (HERE, THERE)] == ["node-1", "node-2"]
    assert {(outcome.status, outcome.cause) for outcome in outcomes.values()} == {("ok", "")}
    assert fake.removed() == {"node-1", "node-2"}
    (sweep,) = [request for request in api.requests if request.method == "DELETE" and request.path.endswith("/left")]
    assert sweep.body["preconditions"] == {"uid": "uid-left"}
    assert len(api.sent("DELETE")) == 3
    assert api.unexpected == []
    logs = [request.query for request in api.requests if request.path.endswith("/log")]
    assert [(query["container"], query["limitBytes"]) for query in logs] == [("agent", str(probe.MOST_LOG))] * 2


def test_round_one_bad_node_costs_the_others_nothing(api: FakeApi) -> None:
    ends = {"node-1": DONE, "node-2": pod("Pending", waiting={"reason": "ErrImageNeverPull", "message": "x"})}
    fake = FakeCluster(api, ends.get, RESULT, expected=2)
    outcomes = run(api, HERE, THERE)
    assert outcomes[HERE].status == "ok"
    assert outcomes[THERE].status == "inconclusive"
    image = "image plumbline.local/python:3.14 on node node-2: ErrImageNeverPull: x"
    assert outcomes[THERE].cause == f"probe on node node-2 in namespace demo: {image}"
    assert fake.removed() == {"node-1", "node-2"}


def test_round_job_refused(api: FakeApi) -> None:
    FakeCluster(api, lambda _node: None, RESULT)
    refusal = status(403, "Forbidden", 'admission webhook "no.jobs" denied the request')
    api.on("POST", "/apis/batch/v1/namespaces/demo/jobs", refusal)
    outcome = run(api, HERE)[HERE]
    assert outcome.status == "inconclusive"
    assert 'admission webhook "no.jobs" denied the request' in outcome.cause
    assert api.sent("DELETE") == []


def test_round_answer_to_the_creation_lost(api: FakeApi) -> None:
    """The Job may have been created, so it is removed."""
    fake = FakeCluster(api, lambda _node: None, RESULT)

    def lost(request: Request) -> fake_api.Answer:
        fake.create(request)
        return fake_api.closed()

    api.on("POST", "/apis/batch/v1/namespaces/demo/jobs", lost)
    assert run(api, HERE)[HERE].status == "inconclusive"
    assert fake.removed() == {"node-1"}


def test_round_pod_refused(api: FakeApi) -> None:
    fake = FakeCluster(api, lambda _node: None, RESULT)
    events = [{"reason": "SuccessfulCreate"}, {"reason": "FailedCreate", "message": "exceeded quota: q"}]
    api.on("GET", "/api/v1/namespaces/demo/events", reply({"items": events}))
    outcome = run(api, HERE)[HERE]
    assert outcome.cause == "probe on node node-1 in namespace demo: the pod was refused: exceeded quota: q"
    (asked,) = [request.query for request in api.requests if request.path.endswith("/events")]
    assert asked["fieldSelector"] == "involvedObject.uid=uid-node-1"
    assert fake.removed() == {"node-1"}


NO_ACCOUNT = (
    'pods "p-x" is forbidden: error looking up service account demo/default: serviceaccount "default" not found'
)


def test_round_in_a_namespace_that_was_made_just_now(api: FakeApi) -> None:
    """The Job controller is refused until there is a service account, and tries again by itself."""
    fake = FakeCluster(api, lambda _node: DONE, RESULT)
    told = threading.Event()

    def refused(_request: Request) -> fake_api.Answer:
        told.set()
        return reply({"items": [{"reason": "FailedCreate", "message": NO_ACCOUNT}]})

    def later(request: Request) -> fake_api.Answer:
        assert told.wait(20)
        return fake.watch(request)

    api.on("GET", "/api/v1/namespaces/demo/events", refused)
    api.on("WATCH", "/api/v1/namespaces/demo/pods", later, fake_api.hang())
    assert run(api, HERE)[HERE].cause == ""


def test_round_service_account_that_never_comes(api: FakeApi, monkeypatch: pytest.MonkeyPatch) -> None:
    FakeCluster(api, lambda _node: None, RESULT)
    monkeypatch.setattr(probe, "CONTROLLER_PATIENCE", 1.5)
    api.on(
        "GET", "/api/v1/namespaces/demo/events", reply({"items": [{"reason": "FailedCreate", "message": NO_ACCOUNT}]})
    )
    cause = "ServiceAccount demo/default is not there; the Job controller created no pod within 1.5 s"
    assert run(api, HERE)[HERE].cause == f"probe on node node-1 in namespace demo: {cause}"


def test_round_without_the_right_to_see_why(api: FakeApi, monkeypatch: pytest.MonkeyPatch) -> None:
    FakeCluster(api, lambda _node: None, RESULT)
    monkeypatch.setattr(probe, "CONTROLLER_PATIENCE", 1.5)
    api.on("GET", "/api/v1/namespaces/demo/events", status(403, "Forbidden", "no events for you"))
    assert "created no pod within 1.5 s" in run(api, HERE)[HERE].cause


@pytest.mark.parametrize(
    ("answer", "cause"),
    [
        (status(403, "Forbidden", "cannot get pods/log"), "cannot get pods/log"),
        (fake_api.text(""), "holds no result"),
        (fake_api.text("Traceback\nImportError: zlib"), "ImportError: zlib"),
    ],
)
def test_round_log_without_a_result(api: FakeApi, answer: fake_api.Answer, cause: str) -> None:
    fake = FakeCluster(api, lambda _node: DONE, RESULT)

    def create(request: Request) -> fake_api.Answer:
        created = fake.create(request)
        api.on("GET", "/api/v1/namespaces/demo/pods/node-1/log", answer)
        return created

    api.on("POST", "/apis/batch/v1/namespaces/demo/jobs", create)
    outcome = run(api, HERE)[HERE]
    assert outcome.status == "inconclusive"
    assert cause in outcome.cause
    assert fake.removed() == {"node-1"}


def test_round_log_that_comes_late_is_read_again(api: FakeApi) -> None:
    fake = FakeCluster(api, lambda _node: DONE, RESULT)

    def create(request: Request) -> fake_api.Answer:
        created = fake.create(request)
        api.on("GET", "/api/v1/namespaces/demo/pods/node-1/log", fake_api.text(RESULT[:40]), fake_api.text(RESULT))
        return created

    api.on("POST", "/apis/batch/v1/namespaces/demo/jobs", create)
    assert run(api, HERE)[HERE].status == "ok"


RUNNING = pod("Running", running={"startedAt": "2026-11-23T00:00:00Z"})


def test_round_result_is_taken_while_the_container_still_counts_as_running(api: FakeApi) -> None:
    fake = FakeCluster(api, lambda _node: RUNNING, RESULT, expected=2)
    outcomes = run(api, HERE, THERE)
    assert {(outcome.status, outcome.cause) for outcome in outcomes.values()} == {("ok", "")}
    assert [request.query["follow"] for request in api.requests if request.path.endswith("/log")] == ["true"] * 2
    assert fake.removed() == {"node-1", "node-2"}


@pytest.mark.parametrize("first", [fake_api.text(RESULT[:60]), fake_api.closed(), status(400, "BadRequest", "no")])
def test_round_log_that_breaks_off_is_read_at_the_end(api: FakeApi, first: fake_api.Answer) -> None:
    fake = FakeCluster(api, lambda _node: RUNNING, RESULT)
    followed = threading.Event()

    def follow(_request: Request) -> fake_api.Answer:
        followed.set()
        return first

    def running(request: Request) -> fake_api.Answer:
        answer = replace(fake.watch(request), end="close")
        api.on("GET", "/api/v1/namespaces/demo/pods/node-1/log", follow, fake_api.text(RESULT))
        return answer

    def ended(_request: Request) -> fake_api.Answer:
        assert followed.wait(20)
        labels = {probe.JOB_NAME_LABEL: fake.jobs["node-1"]["metadata"]["name"]}
        metadata = {"name": "node-1", "namespace": "demo", "resourceVersion": "3", "labels": labels}
        return stream([event("MODIFIED", {**DONE, "metadata": metadata})], end="hang")

    api.on("WATCH", "/api/v1/namespaces/demo/pods", running, ended, fake_api.hang())
    outcome = run(api, HERE)[HERE]
    assert (outcome.status, outcome.cause) == ("ok", "")
    assert fake.removed() == {"node-1"}


@pytest.mark.parametrize(
    ("log", "cause"),
    [
        (status(500, "InternalError", "dial tcp 192.0.2.1:10250: i/o timeout"), "the log of pod node-1 cannot be read"),
        (fake_api.text(""), "the pod was removed by somebody else before it was done"),
    ],
    ids=["a kubelet that is not reached", "somebody else"],
)
def test_round_pod_that_is_gone_before_its_log_was_read(api: FakeApi, log: fake_api.Answer, cause: str) -> None:
    fake = FakeCluster(api, lambda _node: RUNNING, "")
    followed = threading.Event()

    def follow(_request: Request) -> fake_api.Answer:
        followed.set()
        return log

    def running(request: Request) -> fake_api.Answer:
        answer = replace(fake.watch(request), end="close")
        api.on("GET", "/api/v1/namespaces/demo/pods/node-1/log", follow)
        return answer

    def gone(_request: Request) -> fake_api.Answer:
        assert followed.wait(20)
        labels = {probe.JOB_NAME_LABEL: fake.jobs["node-1"]["metadata"]["name"]}
        metadata = {"name": "node-1", "namespace": "demo", "resourceVersion": "3", "labels": labels}
        return stream([event("DELETED", {**RUNNING, "metadata": metadata})], end="hang")

    api.on("WATCH", "/api/v1/namespaces/demo/pods", running, gone, fake_api.hang())
    assert cause in run(api, HERE)[HERE].cause


def test_round_agent_that_does_not_end(api: FakeApi, monkeypatch: pytest.MonkeyPatch) -> None:
    """As when its node is lost: the pod stays Running, and its log cannot be had."""
    fake = FakeCluster(api, lambda _node: RUNNING, "")
    monkeypatch.setattr(probe, "RUN_MARGIN", 0.1)
    outcome = run(api, HERE, budget=0.2)[HERE]
    assert outcome.status == "inconclusive"
    assert "the agent is still running after" in outcome.cause
    assert fake.removed() == {"node-1"}


def test_round_agent_that_died_after_its_result_is_believed_and_said(api: FakeApi) -> None:
    FakeCluster(api, lambda _node: pod("Failed", terminated={"exitCode": 70, "reason": "Error"}), RESULT)
    outcome = run(api, HERE)[HERE]
    assert outcome.status == "ok"
    assert outcome.cause == "probe on node node-1 in namespace demo: the agent ended with exit code 70 (Error)"


def test_round_pods_may_not_be_listed(api: FakeApi) -> None:
    fake = FakeCluster(api, lambda _node: None, RESULT)
    api.on("GET", "/api/v1/namespaces/demo/pods", status(403, "Forbidden", "cannot list pods"))
    outcomes = run(api, HERE, THERE)
    assert all("cannot list pods" in outcome.cause for outcome in outcomes.values())
    assert fake.jobs == {}


def test_round_plan_too_large(api: FakeApi, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe, "MOST_ARGUMENTS", 100)
    assert "too large for a command line" in run(api, HERE)[HERE].cause
    assert api.requests == []


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Ctrl-C as in a terminal, also where the tests were started in the background, which ignores it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
def test_round_interrupted(api: FakeApi) -> None:
    main = threading.main_thread().ident
    assert main

    def interrupt(_node: str) -> None:
        signal.pthread_kill(main, signal.SIGINT)

    fake = FakeCluster(api, interrupt, RESULT)
    with pytest.raises(KeyboardInterrupt):
        run(api, HERE)
    assert fake.removed() == {"node-1"}


@pytest.mark.usefixtures("interruptible")
def test_round_interrupted_while_a_job_is_being_created(api: FakeApi) -> None:
    """The removal waits for the creation: the other way round the Job would stay."""
    fake = FakeCluster(api, lambda _node: None, RESULT)
    main = threading.main_thread().ident
    assert main

    def slow(request: Request) -> fake_api.Answer:
        signal.pthread_kill(main, signal.SIGINT)
        threading.Event().wait(0.5)
        return fake.create(request)

    api.on("POST", "/apis/batch/v1/namespaces/demo/jobs", slow)
    with pytest.raises(KeyboardInterrupt):
        run(api, HERE)
    assert fake.removed() == {"node-1"}
    assert api.unexpected == []
