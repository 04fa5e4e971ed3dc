# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Private to this collection: may change in any release.
"""The one engine behind all judging modules: look, probe, judge, and look again before anything is accused.

A complaint counts only when a second look, after a short settle time, finds it again while nothing that it rests on has
changed since the first look began. A healthy Service is looked at once and pays nothing for that.

All waits are derived from one deadline; what comes after it is removing the probe pods, see :data:`.probe.GRACE`.
"""

from __future__ import annotations

import contextlib
import time
import typing as t
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from ..kube.client import Cluster
from ..kube.deadline import Deadline
from ..kube.errors import KubeError, OptionError, WaitTimeout
from ..kube.kinds import ENDPOINT_SLICE, NAMESPACE, NODE, POD, SERVICE
from ..kube.selector import labels_text
from ..kube.watch import Interest, View
from . import api_proxy, hairpin, inside, names, nearest, outside, probe
from .checks import judge
from .checks.dns import CACHE_SECONDS
from .checks.environment import command, containers_to_read, parse
from .clients import disguise
from .diagnose.causes import diagnose, missing_service
from .diagnose.drift import state
from .facts import Facts
from .gather import gather, rights_of
from .look import DNS, ENDPOINTS, EnvironmentReading, Hairpin, Look, Mounted, Observation, Stored, observation
from .plan import BUDGET, Plan, client_nodes, defaults, plan
from .ports import web_ports
from .question import API_PROXY, OUTSIDE, Question
from .question import NODE as NODE_LAYER
from .result import FAIL, INCONCLUSIVE, SKIPPED, Finding, Report, short
from .rights import Right, Rights, exec_in, proxy_to
from .scope import Vantage
from .snapshot import SERVICE_NAME, Container, Pod, Service, Snapshot, pod, snapshot
from .snapshot import service as parse_service
from .topology import topology
from .waivers import waived

# Seconds before the second look, and how long at most to wait for changes to end first.
SETTLE = 2.0
QUIET = 1.5
LONGEST_SETTLE = 8.0
MOST_ROUNDS = 6
# Looks after which new complaints beside sure ones are not waited for any more.
MOST_FRESH_ROUNDS = 3

_EXECS_AT_ONCE = 6
# What else is done beside the probes.
_BESIDE = 5
# Pods of the clients' own workload whose variables are read, at most: they are made from one template.
_MOST_CLIENTS = 3


def verify(cluster: Cluster, question: Question) -> Report:
    """Answer `question`.

    Raises:
        KubeError: the cluster cannot be asked. What is merely not allowed becomes skipped findings.
    """
    began, started = time.monotonic(), datetime.now(UTC)
    cluster = cluster.until(Deadline.after(question.timeout))
    report: Report | None = None
    while report is None:
        body = cluster.get(SERVICE, question.name, question.namespace)
        if body is None:
            report = _no_service(cluster, question)
        elif cluster.deadline.over:
            what = SERVICE.describe(question.name, question.namespace)
            raise WaitTimeout(f"{cluster.label}: {what} became another one whenever it was looked at, to the end")
        else:
            with _Session(cluster, question, body) as session:
                report = session.run()
    return replace(report, elapsed=time.monotonic() - began, started=started)


def _no_service(cluster: Cluster, question: Question) -> Report:
    """SV-01."""
    subject = f"Service {question.namespace}/{question.name}"
    cause = ""
    with contextlib.suppress(KubeError):
        others = [item["metadata"]["name"] for item in cluster.list(SERVICE, question.namespace).items]
        near = nearest.word(question.name, others)
        if near:
            cause = f"nearest: {near}"
        elif others:
            cause = f"the namespace has {short(others)}"
        elif cluster.get(NAMESPACE, question.namespace) is None:
            cause = f"there is no namespace {question.namespace}"
        else:
            cause = "the namespace has no Service at all"
    finding = Finding(
        "SV-01",
        "endpoints",
        FAIL,
        f"there is no {subject}",
        observed="not found",
        expected="a Service of that name",
        object=subject,
        cause=cause,
    )
    findings = tuple(waived([finding], question.waivers, datetime.now(UTC).date()))
    causes = (missing_service(finding) if findings == (finding,) else ()) if question.causes else None
    return Report(subject, cluster.label, findings, causes=causes)


class _Session:
    """Everything that is done under one open view."""

    def __init__(self, cluster: Cluster, question: Question, body: Mapping[str, t.Any]) -> None:
        self.cluster = cluster
        self.question = question
        self.deadline = cluster.deadline
        self.service = parse_service(body)
        _stay_outside(question, self.service)
        self.interests = interests(question, self.service.selector)
        self.missing: dict[str, str] = {}
        self.stack = contextlib.ExitStack()

    def __enter__(self) -> _Session:
        self.rights = Rights.ask(self.cluster, wanted(self.question, self.interests.values()))
        self.inside = inside.Inside(self.cluster, self.rights)
        for part, interest in list(self.interests.items()):
            why = self.rights.lacking(*followed(interest))
            if why and part != "service":  # without that there is nothing to judge, as the server will say
                del self.interests[part]
                self.missing["dns" if part == "dns_endpoints" else part] = why
        self.view = self.stack.enter_context(View(self.cluster, self.interests.values()))
        return self

    def __exit__(self, *_exc: object) -> None:
        self.stack.close()

    # ----- rounds

    def run(self) -> Report | None:
        """Look until every complaint is confirmed or gone; None when the Service became another one meanwhile."""
        self._learn_trust()
        self._learn_client()
        previous: Round | None = None
        for number in range(1, MOST_ROUNDS + 1):
            began = time.monotonic()
            current = self._round(previous)
            if current is None:
                return None
            if self._learn_domain(current.look) and self._time_for(began, 0.0):
                continue
            pause = settle(current.findings, current.look)
            enough = current.convicted and (not current.fresh or number >= MOST_FRESH_ROUNDS)
            if not current.open or enough or number == MOST_ROUNDS or not self._time_for(began, pause):
                return self._report(current, number)
            self._settle(pause, _as_long_as(began))
            previous = current
        raise AssertionError("the last round always reports")

    def _round(self, previous: Round | None) -> Round | None:
        sequence = self.view.sequence
        look = self._look(sequence)
        service = look.after.service
        if service is None or (service.uid, service.selector) != (self.service.uid, self.service.selector):
            return None
        touched: frozenset[str] = look.touched
        if previous is not None:
            touched = self._touched(previous.sequence, previous.look.before, look.after)
        findings = waived(judge(look), self.question.waivers, look.now.date())
        return Round(sequence, look, findings, touched, previous.keys if previous else frozenset())

    @property
    def _judges_tls(self) -> bool:
        """Whether there is a port to speak TLS with; else nothing about TLS is read or asked."""
        asked = self.question
        return "http" in asked.layers and bool(web_ports(self.service, asked.expect.http_ports, asked.tls.ports)[1])

    def _learn_trust(self) -> None:
        tls = self.question.tls
        if tls.bundle_config_map and self._judges_tls:
            from .trust import read_bundle  # cryptography is loaded where TLS is judged only

            bundle = read_bundle(self.cluster, self.service.namespace, tls.bundle_config_map)
            self.question = replace(self.question, tls=replace(tls, bundle=bundle))

    def _learn_client(self) -> None:
        """Let the probe pods wear the labels of the clients' workload; ask nothing where they cannot stand for it."""
        asked = self.question
        if not asked.workload or asked.client.labels or not asked.probes:
            return
        worn, why = disguise(asked, self._facts(), self.service)
        if why:
            self.question = replace(asked, ask=False, unasked=why)
        else:
            self.question = replace(asked, client=replace(asked.client, labels=worn))

    def _stored(self) -> Stored | None:
        if not self.question.tls.secret or not self._judges_tls:
            return None
        from .trust import read_stored

        return read_stored(self.cluster, self.service.namespace, self.question.tls.secret)

    def _time_for(self, began: float, pause: float) -> bool:
        """Whether another round like the one that `began` then fits before the deadline."""
        return pause + _as_long_as(began) < self.deadline.left

    def _learn_domain(self, look: Look) -> bool:
        """Take the cluster's domain from a client's search list; True when the round was planned with another one."""
        if self.question.domain:
            return False
        for found_probe, found in look.seen("resolv_conf"):
            search = [str(entry) for entry in found.value.get("search") or []]
            domain = names.learn_domain(search, found_probe.vantage.namespace)
            if domain:
                self.question = replace(self.question, domain=domain)
                return domain != names.DEFAULT_DOMAIN
        return False

    def _settle(self, pause: float, then: float) -> None:
        """Wait at least `pause`, then for a quiet moment, but not for ever, and leave time for what is done `then`."""
        least = time.monotonic() + pause
        seen = [self.view.sequence, time.monotonic()]

        def quiet(view: View) -> bool | None:
            now = time.monotonic()
            if view.sequence != seen[0]:
                seen[:] = [view.sequence, now]
            return True if now >= least and now - seen[1] >= QUIET else None

        most = max(pause, min(pause + LONGEST_SETTLE, self.deadline.left - then))
        with contextlib.suppress(WaitTimeout):
            self.view.wait(quiet, most, "a quiet moment")

    def _report(self, current: Round, number: int) -> Report:
        findings = tuple(current.close())
        nodes = tuple(dict.fromkeys(v.node for v in current.look.plan.vantages if current.look.works(v)))
        seen = topology(current.look)
        found = Report(self.service.label, self.cluster.label, findings, nodes, number, topology=seen)
        if not self.question.causes:
            return found
        causes = diagnose(current.look, findings)
        return replace(found, causes=causes, state=state(current.look, seen["certificates"]))

    # ----- one look

    def _snapshot(self) -> Snapshot:
        def parts(view: View) -> Snapshot:
            return snapshot({part: view.objects(interest) for part, interest in self.interests.items()}, self.missing)

        # Under the view's lock, so that all parts are of one moment.
        found = self.view.wait(parts, 5.0, "a snapshot")
        if found.pods or not self.service.selector or "pods" in self.missing:
            return found
        with contextlib.suppress(KubeError):
            strangers = self.cluster.list(POD, self.service.namespace).items
            return replace(found, strangers=tuple(pod(body) for body in strangers))
        return found

    def _look(self, sequence: int) -> Look:
        before = self._snapshot()
        unknown = sorted(set(self.question.nodes) - {node.name for node in before.nodes}) if before.nodes else []
        if unknown:
            there = short([node.name for node in before.nodes])
            raise OptionError(f"nodes: {self.cluster.label} has no node {short(unknown)}; it has {there}")
        clients = client_nodes(before, self.question.nodes, self.question.max_nodes)
        planned = plan(self.question, before, clients)
        with ThreadPoolExecutor(max_workers=_EXECS_AT_ONCE + _BESIDE) as pool:
            # All of it is done while the probes run, which happens in this thread: it gets the signals.
            facts = pool.submit(self._facts)
            stored = pool.submit(self._stored)
            beyond = pool.submit(self._ask_from_here, planned)
            proxied = pool.submit(self._ask_the_api_server, planned)
            clients_have = pool.submit(self._read_clients, before, facts)
            readings = self._read_environment(before, pool)
            mounted = self._read_mounted(before, pool)
            hairpins = self._try_hairpins(before, pool)
            outcomes = {**self._probe(planned), **beyond.result(), **proxied.result()}
            environment = _done(readings)
        after = self._snapshot()
        observations: dict[tuple[Vantage, str], Observation] = {
            (vantage, key): observation(item)
            for vantage, outcome in outcomes.items()
            for key, item in outcome.observations.items()
        }
        return Look(
            question=self.question,
            before=before,
            after=after,
            now=datetime.now(UTC),
            touched=self._touched(sequence, before, after),
            plan=planned,
            observations=observations,
            denied=self._denied([outcomes[v] for v in planned.vantages if v in outcomes]),
            lost={vantage: outcome.cause for vantage, outcome in outcomes.items() if outcome.cause},
            environment=environment,
            stored=stored.result(),
            mounted=_done(mounted),
            hairpins=_done(hairpins),
            facts=facts.result(),
            clients=clients_have.result(),
        )

    def _facts(self) -> Facts:
        if not self.question.surroundings:
            return Facts()
        return gather(self.cluster, self.question, self.rights, dict(self.service.selector))

    def _probe(self, planned: Plan) -> dict[Vantage, probe.ProbeOutcome]:
        if not planned.vantages:
            return {}
        client = self.question.client
        strangers = {stranger.vantage: dict(stranger.labels) for stranger in planned.strangers}
        budget, start_timeout = shares(self.deadline.left)
        options = probe.Options(
            image=client.image,
            namespace=client.namespace,
            labels=client.labels,
            strangers=strangers,
            service_account=client.service_account,
            image_pull_policy=client.image_pull_policy,
            image_pull_secrets=client.image_pull_secrets,
            budget=budget,
            start_timeout=start_timeout,
            defaults=defaults(self.question),
        )
        asked = (*planned.vantages, *strangers, *planned.insiders)
        # Where one may not be followed, nobody else may be lost with it.
        denied = {vantage: why for vantage in asked if (why := self.rights.lacking(*probing(vantage.namespace)))}
        found = {vantage: probe.ProbeOutcome(cause=why) for vantage, why in denied.items()}
        plans = {vantage: planned.tasks(vantage) for vantage in asked if vantage not in denied}
        return found | (probe.run(self.cluster, plans, options) if plans else {})

    def _ask_from_here(self, planned: Plan) -> dict[Vantage, probe.ProbeOutcome]:
        if planned.outside is None:
            return {}
        options = probe.Options("", budget=shares(self.deadline.left)[0], defaults=defaults(self.question))
        return {planned.outside: outside.run(planned.tasks(planned.outside), options, self.deadline)}

    def _ask_the_api_server(self, planned: Plan) -> dict[Vantage, probe.ProbeOutcome]:
        here = planned.api_server
        if here is None:
            return {}
        why = self.rights.lacking(proxy_to(self.service.namespace))
        if why:
            return {here: probe.ProbeOutcome(cause=why)}
        return {here: api_proxy.run(self.cluster, [one for one in planned.probes if one.vantage == here])}

    def _denied(self, outcomes: Sequence[probe.ProbeOutcome]) -> str:
        """Which right to start and follow clients is missing, when none of them delivered anything."""
        silent = outcomes and not any(outcome.observations for outcome in outcomes)
        return self.rights.lacking(*probing(self.question.client.namespace)) if silent else ""

    def _read_environment(self, before: Snapshot, pool: ThreadPoolExecutor) -> list[Future[EnvironmentReading | None]]:
        if "environment" not in self.question.layers or before.service is None or not self.question.ask:
            return []
        words = command(before.service)
        chosen = containers_to_read(before, self.question.max_pods)
        return [pool.submit(self._read, found, container, words) for found, container in chosen]

    def _read(self, found: Pod, container: Container, words: Sequence[str]) -> EnvironmentReading | None:
        said = self.inside.run(found, container, words, "to read them with")
        return None if said is None else reading(found, container, said, self.service)

    def _read_clients(self, before: Snapshot, facts: Future[Facts]) -> tuple[EnvironmentReading, ...]:
        """The same in the containers of the clients' own workload, where it is another one in the same namespace."""
        asked = self.question
        owners = {one.owner for one in before.pods}
        if not asked.workload or not asked.ask or asked.client.namespace != asked.namespace or asked.workload in owners:
            return ()
        if before.service is None:
            return ()
        words = command(before.service)
        clients = tuple(one for one in map(pod, facts.result().all("client_pods")) if one.owner == asked.workload)
        chosen = containers_to_read(replace(before, pods=clients), min(_MOST_CLIENTS, asked.max_pods))
        found = (self._read(one, container, words) for one, container in chosen)
        return tuple(reading for reading in found if reading is not None)

    def _try_hairpins(self, before: Snapshot, pool: ThreadPoolExecutor) -> list[Future[Hairpin | None]]:
        if not self.question.causes or not self.question.ask:
            return []
        chosen = hairpin.to_try(before, self.question.max_pods)
        return [pool.submit(hairpin.attempt, self.inside, trial) for trial in chosen]

    def _read_mounted(self, before: Snapshot, pool: ThreadPoolExecutor) -> list[Future[Mounted | None]]:
        path = self.question.tls.mount_path
        if not path or not self._judges_tls or not self.question.ask:
            return []
        from . import mounted

        chosen = mounted.to_read(before, path, self.question.max_pods)
        return [pool.submit(mounted.read, self.inside, found, container, path) for found, container in chosen]

    def _touched(self, sequence: int, before: Snapshot, after: Snapshot) -> frozenset[str]:
        changes = [(c.kind, c.name, c.uid) for c in self.view.changes if c.sequence > sequence]
        return touched(changes, before, after)


PROBE_RIGHTS = (
    ("create", "jobs", "batch", ""),
    ("list", "pods", "", ""),
    ("watch", "pods", "", ""),
    ("get", "pods", "", "log"),
)


# ----- pure parts


def probing(namespace: str) -> list[Right]:
    """What it takes to start pods there and to follow them."""
    return [Right(verb, resource, namespace, group, sub) for verb, resource, group, sub in PROBE_RIGHTS]


def followed(interest: Interest) -> list[Right]:
    """What it takes to follow objects."""
    kind = interest.kind
    return [Right(verb, kind.plural, interest.namespace, kind.group) for verb in ("list", "watch")]


def wanted(question: Question, interests: Iterable[Interest]) -> list[Right]:
    """All rights that answering makes use of."""
    found = [right for interest in interests for right in followed(interest)]
    if question.surroundings:
        found += rights_of(question)
    if question.probes:
        spaces = [question.client.namespace, *(space for space, _labels in question.expect.refused_from)]
        spaces += [question.other_namespace] if question.other_namespace else []
        spaces += [question.node_namespace] if NODE_LAYER in question.layers else []
        found += [right for space in spaces for right in probing(space)]
    if question.ask and ("environment" in question.layers or question.causes or question.tls.mount_path):
        found.append(exec_in(question.namespace))
    if API_PROXY in question.layers:
        found.append(proxy_to(question.namespace))
    return found


def shares(left: float) -> tuple[float, float]:
    """Seconds for what a client does, and for its start, out of those that are left."""
    budget = round(min(BUDGET, left / 2), 1)
    return budget, round(left - budget, 1)


def _as_long_as(began: float) -> float:
    """Seconds for another round like the one that `began` then."""
    return 1.2 * (time.monotonic() - began)


def _stay_outside(question: Question, service: Service) -> None:
    """Probe pods must not become endpoints of the Service that they judge."""
    worn = [("client.labels", question.client.namespace, question.client.labels)]
    worn += [("expect.refused_from", space, labels) for space, labels in question.expect.refused_from]
    for option, namespace, labels in worn:
        at_home = namespace == service.namespace
        if at_home and service.selector and all(labels.get(key) == value for key, value in service.selector):
            chosen = short(dict(service.selector))
            raise OptionError(
                f"{option}: {service.label} selects pods with {chosen}, so it would select the probe pods"
            )


@dataclass(frozen=True, slots=True)
class Round:
    """One look with its findings.

    Attributes:
        sequence: of the view when the look began.
        touched: what changed since the look before this one began, or since this one began if it is the first.
        before: keys of the findings that the look before this one left open.
    """

    sequence: int
    look: Look
    findings: list[Finding]
    touched: frozenset[str]
    before: frozenset[tuple[str, str, str]]

    @property
    def keys(self) -> frozenset[tuple[str, str, str]]:
        """Keys of what is not good."""
        return frozenset(finding.key for finding in self.findings if is_open(finding))

    def confirmed(self, finding: Finding) -> bool:
        """Seen twice, and nothing that it rests on changed from the first look to the end of the second."""
        return finding.key in self.before and not finding.subjects & self.touched

    @property
    def open(self) -> bool:
        """Whether another look is needed."""
        return any(is_open(finding) and not self.confirmed(finding) for finding in self.findings)

    @property
    def convicted(self) -> bool:
        """Whether something is surely wrong: then what comes and goes beside it is not waited for."""
        return any(finding.status == FAIL and self.confirmed(finding) for finding in self.findings)

    @property
    def fresh(self) -> bool:
        """Whether something came to light just now that nothing but another look is needed for.

        It may well be the cause: what a server that ends again and again says of it, say, is not there all the time.
        """
        return any(
            finding.status == FAIL and finding.key not in self.before and not finding.subjects & self.touched
            for finding in self.findings
        )

    def close(self) -> list[Finding]:
        """The findings as they stand when there will be no other look."""
        return [
            finding if not finding.complains or self.confirmed(finding) else self._give_up(finding)
            for finding in self.findings
        ]

    def _give_up(self, finding: Finding) -> Finding:
        """What was complained of once, but never confirmed, is no verdict.

        While a Service changes, single objects of a check are let go as long as others of it were found good.
        """
        service = self.look.after.service
        changing = (finding.subjects | {ENDPOINTS} | ({service.uid} if service else set())) & self.touched
        why = "it changed while it was looked at" if changing else "it was seen only once"
        status = SKIPPED if changing and finding.partial else INCONCLUSIVE
        return replace(finding, status=status, message=f"not judged, since {why}: {finding.message}")


def is_open(finding: Finding) -> bool:
    """Whether a finding is worth a second look."""
    return finding.complains or finding.status == INCONCLUSIVE


def interests(question: Question, selector: Iterable[tuple[str, str]]) -> dict[str, Interest]:
    """What to follow, by part of the snapshot."""
    found = {
        "service": Interest(SERVICE, question.namespace, fields=f"metadata.name={question.name}"),
        "endpointslices": Interest(ENDPOINT_SLICE, question.namespace, labels=f"{SERVICE_NAME}={question.name}"),
    }
    labels = labels_text(dict(selector))
    if labels:
        found["pods"] = Interest(POD, question.namespace, labels=labels)
    if question.probes or OUTSIDE in question.layers:
        found["nodes"] = Interest(NODE)
    if question.probes:
        found["api_server"] = Interest(SERVICE, "default", fields="metadata.name=kubernetes")
    if "dns" in question.layers:
        namespace, name = question.dns
        found["dns"] = Interest(SERVICE, namespace, fields=f"metadata.name={name}")
        found["dns_endpoints"] = Interest(ENDPOINT_SLICE, namespace, labels=f"{SERVICE_NAME}={name}")
    return found


def touched(changes: Iterable[tuple[str, str, str]], before: Snapshot, after: Snapshot) -> frozenset[str]:
    """Uids and names of what changed.

    Services and slices by the events of the watch, so that a change back and forth counts too. Pods and nodes report
    much that is of no interest here, so what a snapshot keeps of them is compared; that a pod was unready for a moment
    shows in the time of its last turn.

    Args:
        changes: kind, name and uid of each event.
    """
    found = {node.name for node in {*before.nodes} ^ {*after.nodes}}
    found |= {pod.uid for pod in {*before.pods} ^ {*after.pods}}
    own = {*before.slices, *after.slices}
    dns = {item.uid for item in (before.dns, after.dns) if item}
    for kind, name, uid in changes:
        if kind == "EndpointSlice":
            found.add(ENDPOINTS if name in own else DNS)
        elif kind == "Service":
            found |= {uid, DNS} if uid in dns else {uid}
    if {*before.endpoints} != {*after.endpoints}:
        found.add(ENDPOINTS)
    return frozenset(found)


def settle(findings: Iterable[Finding], look: Look) -> float:
    """Seconds to wait before the second look.

    DNS servers and caches may go on with what they knew before: about a new Service for as long as they cache that it
    was absent, about a headless one as long as they cache its addresses.
    """
    service = look.service
    about_names = any(finding.layer == "dns" and finding.complains for finding in findings)
    if not about_names:
        return SETTLE
    if service.headless:
        return CACHE_SECONDS
    age = (look.now - service.created).total_seconds() if service.created else CACHE_SECONDS
    return min(max(CACHE_SECONDS - age, SETTLE), CACHE_SECONDS)


_T = t.TypeVar("_T")


def _done(futures: Iterable[Future[_T | None]]) -> tuple[_T, ...]:
    """What came of them, without what was about pods that are gone."""
    return tuple(result for future in futures if (result := future.result()) is not None)


def reading(found: Pod, container: Container, said: inside.Heard, service: Service) -> EnvironmentReading:
    """What a container said about its variables."""
    if said.result is None:
        return EnvironmentReading(found, container.name, said.verdict, detail=said.detail)
    if said.result.verdict != "ok":
        return EnvironmentReading(found, container.name, inside.UNDECIDED, detail=said.result.detail)
    return EnvironmentReading(found, container.name, values=parse(said.result.stdout, service))
