# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A whole diagnosis against a scripted API server: rights first, an end in time, and probes that fail by themselves."""

from __future__ import annotations

import dataclasses
import time
import typing as t
from collections.abc import Iterator

import pytest

from ansible_collections.plumbline.kubernetes.plugins.module_utils.connectivity import (
    engine,
    gather,
    inside,
    probe,
    snapshot,
)
from ansible_collections.plumbline.kubernetes.plugins.module_utils.connectivity.checks import environment
from ansible_collections.plumbline.kubernetes.plugins.module_utils.connectivity.question import (
    API_PROXY,
    LAYERS,
    SURROUNDINGS,
    Question,
)
from ansible_collections.plumbline.kubernetes.plugins.module_utils.connectivity.result import (
    FAIL,
    INCONCLUSIVE,
    PASS,
    SKIPPED,
    WARN,
    Report,
)
from ansible_collections.plumbline.kubernetes.plugins.module_utils.connectivity.snapshot import (
    MANAGED_BY,
    SERVICE_NAME,
    SLICE_CONTROLLER,
)
from ansible_collections.plumbline.kubernetes.plugins.module_utils.kube.client import Cluster
from ansible_collections.plumbline.kubernetes.plugins.module_utils.kube.errors import TimeOver, WaitTimeout
from ansible_collections.plumbline.kubernetes.plugins.module_utils.kube.exec import ExecResult
from ansible_collections.plumbline.kubernetes.plugins.module_utils.kube.kinds import (
    ACCESS_REVIEW,
    API_GROUPS,
    DEPLOYMENT,
    ENDPOINT_SLICE,
    EVENT,
    JOB,
    NODE,
    POD,
    SERVICE,
    Kind,
)
from ansible_collections.plumbline.kubernetes.tests.unit.connectivity import bodies
from ansible_collections.plumbline.kubernetes.tests.unit.connectivity.builders import question
from ansible_collections.plumbline.kubernetes.tests.unit.fake_api import (
    Answer,
    FakeApi,
    Request,
    event,
    hang,
    reply,
    status,
    stream,
)

Body = dict[str, t.Any]
ALL = (*LAYERS, *SURROUNDINGS)
PORT = {"name": "http", "port": 80, "protocol": "TCP", "targetPort": 80}


def web() -> Body:
    """Service demo/web."""
    found = bodies.service(selector={"app": "web"}, clusterIP="10.96.1.1", clusterIPs=["10.96.1.1"], ports=[PORT])
    found["spec"]["ipFamilies"] = ["IPv4"]
    return found


def pod(number: int) -> Body:
    """A ready pod behind it."""
    found = bodies.pod(f"web-{number}", f"node-{number}", "nginx", "ReplicaSet web-x", {"app": "web"})
    found["metadata"] |= {"namespace": "demo"}
    found["spec"]["containers"][0]["ports"] = [{"containerPort": 80}]
    found["status"] |= {"podIP": f"10.244.{number}.5", "podIPs": [{"ip": f"10.244.{number}.5"}]}
    return found


def endpoint_slice(service: str, namespace: str, pods: t.Mapping[str, str], *ports: Body) -> Body:
    """The endpoints that the controller makes of pods: by name, with their addresses."""
    labels = {SERVICE_NAME: service, MANAGED_BY: SLICE_CONTROLLER}
    endpoints = [
        {
            "addresses": [address],
            "conditions": {"ready": True, "serving": True, "terminating": False},
            "nodeName": f"node-{pod[-1]}",
            "targetRef": {"kind": "Pod", "name": pod, "uid": f"uid-{pod}"},
        }
        for pod, address in pods.items()
    ]
    metadata = bodies.meta(f"{service}-abc", namespace, labels=labels)
    return {"metadata": metadata, "addressType": "IPv4", "endpoints": endpoints, "ports": list(ports)}


class Fake:
    """An API server with Service demo/web, two pods behind it, and nothing else that matters."""

    def __init__(self, api: FakeApi) -> None:
        self.api = api
        self.denied: set[tuple[str, str]] = set()
        for part in gather.PARTS:
            space = {gather.HOME: "demo", gather.CLIENT: "demo", gather.DNS: "kube-system"}.get(part.where)
            if not part.only:
                self.holds(part.kind, space)
        self.holds(SERVICE, "default")
        servers = {"coredns-x-1": "10.244.0.8", "coredns-x-2": "10.244.0.9"}
        ports = [{"name": "dns", "port": 53, "protocol": "UDP"}, {"name": "dns-tcp", "port": 53, "protocol": "TCP"}]
        self.holds(ENDPOINT_SLICE, "kube-system", endpoint_slice("kube-dns", "kube-system", servers, *ports))
        healthy = bodies.parts()
        for part in gather.PARTS:
            if part.where == gather.DNS:
                self.holds(part.kind, "kube-system", *healthy.get(part.name, ()))
        self.holds(SERVICE, "demo", web())
        self.holds(POD, "demo", pod(1), pod(2))
        addresses = {f"web-{number}": f"10.244.{number}.5" for number in (1, 2)}
        port = {"name": "http", "port": 80, "protocol": "TCP"}
        self.holds(ENDPOINT_SLICE, "demo", endpoint_slice("web", "demo", addresses, port))
        self.holds(NODE, None, *(bodies.node(name) for name in bodies.NODES))
        self.holds(JOB, "demo")
        api.on("GET", SERVICE.path("demo", "web"), reply(web()))
        api.on("GET", API_GROUPS.path(), reply({"groups": []}))
        api.on("POST", ACCESS_REVIEW.path(), self.review)
        api.on("POST", JOB.path("demo"), self.create)

    def holds(self, kind: Kind, namespace: str | None, *items: Body) -> None:
        """What is listed, and watched in silence."""
        path = kind.path(namespace)

        def listed(request: Request) -> Answer:
            selector = request.query.get("labelSelector", "")
            wanted = dict(part.split("=", 1) for part in selector.split(",") if "=" in part and "!=" not in part)
            chosen = [one for one in items if wanted.items() <= (one["metadata"].get("labels") or {}).items()]
            return reply({"metadata": {"resourceVersion": "1"}, "items": chosen})

        self.api.on("GET", path, listed)
        self.api.on("WATCH", path, stream([], end="hang"))

    def review(self, request: Request) -> Answer:
        asked = request.body["spec"]["resourceAttributes"]
        resource = "/".join(filter(None, (asked["resource"], asked["subresource"])))
        return reply({"status": {"allowed": (asked["verb"], resource) not in self.denied}}, 201)

    def create(self, request: Request) -> Answer:
        """The Job is there, and nobody makes a pod for it."""
        body = request.body
        body["metadata"].update(uid="uid-job", creationTimestamp=bodies.CREATED)
        self.api.on("DELETE", JOB.path("demo", body["metadata"]["name"]), reply({"kind": "Status"}))
        return reply(body, 201)

    def job(self, selector: str) -> Body:
        """The Job of a round, as soon as it is created."""
        key, _equals, run = selector.partition("=")
        while True:
            for request in list(self.api.requests):
                if request.path == JOB.path("demo") and request.method == "POST":
                    job: Body = request.body
                    if job["metadata"]["labels"][key] == run:
                        return job
            self.api.stopping.wait(0.01)

    def starts(self, state: Body, phase: str = "Pending", **more: t.Any) -> None:
        """Each Job gets a pod in this state."""

        def watch(request: Request) -> Answer:
            if probe.RUN_LABEL not in request.query.get("labelSelector", ""):
                return stream([], end="hang")
            job = self.job(request.query["labelSelector"])
            metadata = bodies.meta("probe-1", "demo", resourceVersion="2")
            metadata["labels"] = {probe.JOB_NAME_LABEL: job["metadata"]["name"]}
            told = {"phase": phase, "startTime": bodies.CREATED, **more}
            if state:
                told["containerStatuses"] = [{"name": probe.CONTAINER, "state": state}]
            found = {"metadata": metadata, "status": told}
            return stream([event("ADDED", found)], end="hang")

        self.api.on("WATCH", POD.path("demo"), watch)


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Iterator[Fake]:
    monkeypatch.setattr(engine, "SETTLE", 0.1)
    monkeypatch.setattr(engine, "QUIET", 0.1)
    with FakeApi() as api:
        yield Fake(api)


def cluster(fake: Fake) -> Cluster:
    return Cluster.connect({"host": fake.api.url, "api_key": "x"})


def asked(**changes: t.Any) -> Question:
    plain = question(layers=ALL, causes=True, nodes=("node-1",), other_namespace="", domain="cluster.local")
    return dataclasses.replace(plain, **changes)


def found(report: Report, *ids: str) -> set[tuple[str, str]]:
    """Identifiers with their status."""
    return {(finding.id, finding.status) for finding in report.findings if not ids or finding.id in ids}


# ----- rights


def test_rights_are_asked_once_and_first(fake: Fake) -> None:
    of = asked(ask=False)
    report = engine.verify(cluster(fake), of)
    sent = [line for line in fake.api.sent() if not line.startswith("WATCH")]
    reviews = [number for number, line in enumerate(sent) if line.startswith("POST")]
    assert sent[0] == f"GET {SERVICE.path('demo', 'web')}"
    assert reviews == list(range(1, len(reviews) + 1))
    wanted = engine.wanted(of, engine.interests(of, (("app", "web"),)).values())
    assert len(reviews) == len(set(wanted)) > 30
    assert not {status for _id, status in found(report)} & {FAIL, INCONCLUSIVE}


def test_what_is_missing_is_not_tried(fake: Fake) -> None:
    """Reading, following, starting pods, looking into containers, asking by the API server: all by one pass."""
    fake.denied = {
        *(("list", "events"), ("watch", "nodes"), ("create", "jobs"), ("create", "pods/exec"), ("get", "pods/proxy"))
    }
    report = engine.verify(cluster(fake), asked(layers=(*ALL, API_PROXY)))
    lines = fake.api.sent()
    assert not [line for line in lines if "/events" in line or "/jobs" in line or "/exec" in line or "/proxy" in line]
    said = " ".join(finding.message for finding in report.findings if finding.status == SKIPPED)
    for words in (
        "cannot list events in namespace demo",
        "cannot create jobs in namespace demo",
        "cannot create pods/exec in namespace demo",
        "cannot get pods/proxy in namespace demo",
    ):
        assert words in said
    assert not {status for _id, status in found(report)} & {FAIL, INCONCLUSIVE}


def test_who_may_not_even_ask_finds_out_by_trying(fake: Fake) -> None:
    fake.api.on("POST", ACCESS_REVIEW.path(), status(403, "Forbidden", "no reviews"))
    assert not found(engine.verify(cluster(fake), asked(ask=False))) & {("EP-02", FAIL), ("EP-02", SKIPPED)}


# ----- the clients' own variables

VARIABLES = environment.variables(snapshot.service(web()))


def test_the_variables_of_the_clients_are_read_and_no_others(fake: Fake, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the same namespace, in the containers of that workload; what is asked for are the Service's own names."""
    client = bodies.pod("shop-1", "node-3", "app", "ReplicaSet shop-x", {"app": "shop", "pod-template-hash": "x"})
    client["metadata"]["namespace"] = "demo"
    other = bodies.pod("other-1", "node-3", "app", "ReplicaSet other-x", {"app": "other", "pod-template-hash": "x"})
    other["metadata"]["namespace"] = "demo"
    fake.holds(POD, "demo", pod(1), pod(2), client, other)
    template = {"metadata": {"labels": {"app": "shop"}}, "spec": {"containers": [{"name": "app"}]}}
    workload = {"metadata": bodies.meta("shop", "demo"), "spec": {"template": template}}
    fake.api.on("GET", DEPLOYMENT.path("demo", "shop"), reply(workload))
    looked: dict[str, t.Sequence[str]] = {}

    def execute(
        _cluster: Cluster, _namespace: str, pod: str, _container: str, words: t.Sequence[str], **_more: float
    ) -> ExecResult:
        looked[pod] = words
        values = VARIABLES | ({"WEB_SERVICE_HOST": "10.96.9.9"} if pod == "shop-1" else {})
        return ExecResult("".join(f"{name}={value}\n" for name, value in values.items()), "", 0, "ok")

    monkeypatch.setattr(inside, "execute", execute)
    layers = ("environment", "client")
    report = engine.verify(cluster(fake), asked(layers=layers, workload="Deployment shop", causes=False))
    assert "other-1" not in looked
    assert set(looked["shop-1"][4:]) == set(VARIABLES)
    assert {("CL-08", WARN)} <= found(report)
    (led_astray,) = [finding for finding in report.findings if finding.id == "CL-08"]
    assert led_astray.observed == {"WEB_SERVICE_HOST": "10.96.9.9"}
    looked.clear()
    engine.verify(cluster(fake), asked(layers=layers, causes=False))
    assert "shop-1" not in looked


# ----- in time

SECONDS = 3.0
# What a busy machine may need besides; whoever hangs would be waited for much longer.
BUSY = 7.0


def in_time(fake: Fake, **changes: t.Any) -> Report:
    """The verdict, which was given before the option `timeout` and the time for clean-up were over, and little more."""
    report = engine.verify(cluster(fake), asked(timeout=SECONDS, **changes))
    assert report.elapsed < SECONDS + probe.GRACE + BUSY
    return report


RUNNING = {"running": {"startedAt": bodies.CREATED}}


@pytest.mark.parametrize(
    ("state", "words"),
    [
        pytest.param(RUNNING, "the agent is still running after", id="log"),
        pytest.param({"waiting": {"reason": "ContainerCreating"}}, "the container", id="pod"),
        pytest.param({}, "", id="node"),
    ],
)
def test_who_hangs_is_not_waited_for(fake: Fake, state: Body, words: str) -> None:
    fake.starts(state)
    fake.api.on("GET", POD.path("demo", "probe-1", "log"), hang())
    report = in_time(fake)
    (control,) = [finding for finding in report.findings if finding.id == "PR-01"]
    assert control.status == INCONCLUSIVE
    assert words in control.observed
    assert ("EP-02", PASS) in found(report)
    assert len(fake.api.sent("DELETE")) == 1


def test_a_job_that_cannot_be_removed_holds_up_nobody(fake: Fake) -> None:
    fake.starts({"waiting": {"reason": "ErrImageNeverPull"}})

    def create(request: Request) -> Answer:
        answer = fake.create(request)
        fake.api.on("DELETE", JOB.path("demo", request.body["metadata"]["name"]), hang())
        return answer

    fake.api.on("POST", JOB.path("demo"), create)
    in_time(fake)


def test_what_is_not_read_in_time_is_not_judged_and_no_pass(fake: Fake) -> None:
    fake.api.on("GET", EVENT.path("demo"), hang())
    report = in_time(fake, ask=False)
    assert {("PR-02", INCONCLUSIVE), ("EP-02", PASS)} <= found(report)
    (late,) = [finding for finding in report.findings if finding.id == "PR-02"]
    assert late.observed == "not read: events"


def test_an_api_server_that_hangs_is_one_line(fake: Fake) -> None:
    fake.api.on("GET", POD.path("demo"), hang())
    began = time.monotonic()
    with pytest.raises(TimeOver, match="list pods of namespace demo: no answer before the time for all of it was over"):
        engine.verify(cluster(fake), asked(timeout=SECONDS))
    assert time.monotonic() - began < SECONDS + probe.GRACE + BUSY


def test_a_service_that_is_made_anew_again_and_again_is_given_up(fake: Fake) -> None:
    """Each look finds another one than that which was asked about."""
    other = web()
    other["metadata"]["uid"] = "another"
    fake.holds(SERVICE, "demo", other)
    with pytest.raises((TimeOver, WaitTimeout)):
        engine.verify(cluster(fake), asked(timeout=SECONDS, ask=False, layers=("endpoints",)))


@pytest.mark.parametrize(
    ("left", "budget", "start"), [(60.0, 12.0, 48.0), (24.0, 12.0, 12.0), (10.0, 5.0, 5.0), (0.0, 0.0, 0.0)]
)
def test_the_time_is_shared_between_starting_and_asking(left: float, budget: float, start: float) -> None:
    assert engine.shares(left) == (budget, start)


# ----- probes that fail by themselves

REFUSED = 'pods "plumbline-probe-x" is forbidden: '


def by_event(message: str) -> t.Callable[[Fake], None]:
    """The Job controller may not make the pod."""

    def prepare(fake: Fake) -> None:
        def events(request: Request) -> Answer:
            about_job = "involvedObject.uid" in request.query.get("fieldSelector", "")
            return reply({"items": [{"reason": "FailedCreate", "message": message}] if about_job else []})

        fake.api.on("GET", EVENT.path("demo"), events)

    return prepare


def by_pod(state: Body, phase: str = "Pending", **more: str) -> t.Callable[[Fake], None]:
    return lambda fake: fake.starts(state, phase, **more)


@pytest.mark.parametrize(
    ("prepare", "words"),
    [
        pytest.param(
            by_pod({"waiting": {"reason": "ErrImageNeverPull", "message": "not present"}}),
            "ErrImageNeverPull: not present",
            id="image",
        ),
        pytest.param(by_event(REFUSED + "exceeded quota: none, requested: pods=1"), "exceeded quota: none", id="quota"),
        pytest.param(
            lambda fake: fake.api.on(
                "POST", JOB.path("demo"), status(403, "Forbidden", 'admission webhook "no.jobs" denied the request')
            ),
            'admission webhook "no.jobs" denied the request',
            id="webhook",
        ),
        pytest.param(
            by_event(REFUSED + "ValidatingAdmissionPolicy 'no-probes' with binding 'x' denied request: no"),
            "ValidatingAdmissionPolicy 'no-probes'",
            id="policy",
        ),
        pytest.param(
            by_event(REFUSED + 'violates PodSecurity "restricted:latest"'), "violates PodSecurity", id="Pod Security"
        ),
        pytest.param(
            by_pod({}, "Failed", reason="Evicted", message="The node was low on resource: memory."),
            "Evicted: The node was low on resource: memory.",
            id="eviction",
        ),
    ],
)
def test_a_probe_that_fails_by_itself_is_no_verdict_and_the_rest_is_judged(
    fake: Fake, prepare: t.Callable[[Fake], None], words: str
) -> None:
    prepare(fake)
    report = engine.verify(cluster(fake), asked(timeout=6.0))
    (control,) = [finding for finding in report.findings if finding.id == "PR-01"]
    assert control.status == INCONCLUSIVE
    assert words in control.observed
    alone = engine.verify(cluster(fake), asked(ask=False))
    good = {one for one in found(alone) if one[1] == PASS}
    assert len(good) > 10
    assert good <= found(report)
    assert not [finding for finding in report.findings if finding.status == FAIL]
    assert report.causes == ()
