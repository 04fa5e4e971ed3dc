# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Private to this collection: may change in any release.
"""Start a run of the meter, and collect what it saw.

Rights needed: create, list and delete Jobs, list, watch and patch pods, get their logs; get Services, list and watch
EndpointSlices; list nodes where none are named; get ConfigMaps where one holds the bundle; and, only to say why a pod
was never created, list events.

The meters hold no credentials and nothing keeps running on this side, so a run outlives the task that started it: the
result waits in the pods' logs until somebody collects it, for an hour at most.
"""

from __future__ import annotations

import json
import threading
import time
import typing as t
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

from ..connectivity import probe
from ..connectivity.snapshot import SERVICE_NAME
from ..kube.client import Cluster
from ..kube.errors import Gone, KubeError, NotFound, OptionError, WaitFailed, WaitTimeout, one_line
from ..kube.kinds import CONFIG_MAP, ENDPOINT_SLICE, EVENT, JOB, NODE, POD, SERVICE, Kind
from ..kube.selector import labels_text
from ..kube.watch import Interest, View, replay
from . import agent, result
from .history import Event, Moment, moments
from .plan import (
    ASKED,
    LABELS,
    METER_LABEL,
    SINCE,
    Target,
    Vantage,
    fingerprint,
    is_over,
    jobs,
    of_service,
    of_url,
    probe_options,
    secured,
    worker_nodes,
)

Body = dict[str, t.Any]
Params = Mapping[str, t.Any]

BUNDLE_KEY = "ca.crt"
MOST_LOG = 4_000_000
STOP_MARGIN = 60.0  # seconds beyond a pod's grace until it must have ended


def _selector(name: str) -> str:
    return labels_text({**LABELS, METER_LABEL: name})


# ----- start


def start(cluster: Cluster, params: Params, *, check_mode: bool) -> Body:
    """Make the run's Jobs unless it is running already, and wait until every meter measures."""
    name, namespace = params["name"], params["namespace"]
    found = cluster.list(JOB, namespace, labels=_selector(name)).items
    service = _service(cluster, params, check_mode)
    if service is None and params["service"]:
        what = SERVICE.describe(params["service"], namespace)
        return {"changed": True, "msg": f"run {name} would be started; {what} does not exist yet"}
    target = _target(cluster, params, service, check_mode)
    running = [job for job in found if not is_over(job)]
    if any(_annotation(job, ASKED) != fingerprint(params, target) for job in running):
        raise OptionError(f"name: run {name} is running in namespace {namespace} with other options; stop it first")
    if check_mode:
        would = "is running already" if running else f"would be started against {target.url}"
        return {"changed": not running, "msg": f"run {name} {would}; check mode runs nothing"}
    if running:
        since = _since(running[0])
    else:
        _remove(cluster, found)
        found = []
        since = {"nodes": _nodes(cluster, params), **_versions(cluster, namespace, service)}
    # A start that was killed in between is completed.
    there = {job["metadata"]["name"] for job in found}
    missing = [body for body in jobs(params, target, since["nodes"], since) if body["metadata"]["name"] not in there]
    made: list[Body] = []
    try:
        made += [cluster.create(JOB, body) for body in missing]
        _Start(cluster, params, [*running, *made]).wait()
    except BaseException:
        _remove(cluster, made)
        raise
    return {
        "changed": bool(made),
        "msg": f"run {name} measures {target.url} at {params['rate']} requests/s from {', '.join(since['nodes'])}",
        "nodes": since["nodes"],
        "url": target.url,
    }


def _annotation(job: Body, key: str) -> str:
    return str((job["metadata"].get("annotations") or {}).get(key) or "")


def _since(job: Body) -> Body:
    """What the start noted in a Job of the run."""
    try:
        return dict(json.loads(_annotation(job, SINCE)))
    except (TypeError, ValueError):
        metadata = job["metadata"]
        what = JOB.describe(metadata["name"], metadata["namespace"])
        raise WaitFailed(f"{what}: annotation {SINCE} is missing or damaged; delete the Job") from None


def _service(cluster: Cluster, params: Params, check_mode: bool) -> Body | None:
    if not params["service"]:
        return None
    service = cluster.get(SERVICE, params["service"], params["namespace"])
    if service is None and not check_mode:
        what = SERVICE.describe(params["service"], params["namespace"])
        raise OptionError(f"service: {what} does not exist; create it first", option="service")
    return service


def _target(cluster: Cluster, params: Params, service: Body | None, check_mode: bool) -> Target:
    target = of_url(params["url"]) if params["url"] else of_service(service or {}, params)
    tls = params["tls"] or {}
    bundle = tls.get("bundle") or ""
    if tls.get("bundle_config_map"):
        found = cluster.get(CONFIG_MAP, tls["bundle_config_map"], params["namespace"])
        bundle = ((found or {}).get("data") or {}).get(BUNDLE_KEY, "")
        if not bundle and not check_mode:
            what = CONFIG_MAP.describe(tls["bundle_config_map"], params["namespace"])
            raise OptionError(f"tls.bundle_config_map: {what} has no {BUNDLE_KEY}", option="tls.bundle_config_map")
    return secured(target, params["tls"], bundle)


def _nodes(cluster: Cluster, params: Params) -> list[str]:
    if params["nodes"]:
        return list(dict.fromkeys(params["nodes"]))
    nodes = worker_nodes(cluster.list(NODE).items, params["max_nodes"])
    if not nodes:
        raise OptionError(f"nodes: {cluster.label} has no ready node that takes pods; name the nodes to ask from")
    return nodes


def _versions(cluster: Cluster, namespace: str, service: Body | None) -> Body:
    """From where on to read what becomes of the Service's pods and endpoints."""
    if service is None:
        return {}
    name, chosen = service["metadata"]["name"], labels_text((service.get("spec") or {}).get("selector") or {})
    slices = f"{SERVICE_NAME}={name}"
    since = {
        "at": time.time(),
        "slices": [slices, cluster.list(ENDPOINT_SLICE, namespace, labels=slices).resource_version],
    }
    if chosen:
        since["pods"] = [chosen, cluster.list(POD, namespace, labels=chosen).resource_version]
    return since


def _remove(cluster: Cluster, found: t.Iterable[Body]) -> None:
    for job in found:
        metadata = job["metadata"]
        cluster.delete(JOB, metadata["name"], metadata["namespace"], uid=metadata.get("uid"))


class _Start:
    """Waiting for the meters of some Jobs."""

    def __init__(self, cluster: Cluster, params: Params, made: t.Sequence[Body]) -> None:
        self.cluster = cluster
        self.params = params
        self.jobs = made
        self.options = probe_options(params)
        self.began = time.monotonic()
        self.interest = Interest(POD, params["namespace"], labels=_selector(params["name"]))

    def wait(self) -> None:
        """Return when all measure.

        Raises:
            WaitFailed: one cannot.
        """
        with View(self.cluster, [self.interest]) as view, ThreadPoolExecutor(max_workers=16) as pool:
            causes = list(pool.map(lambda job: self.one(view, job), self.jobs))
        bad = [cause for cause in causes if cause]
        if bad:
            raise WaitFailed(f"run {self.params['name']}: {'; '.join(bad)}")

    def one(self, view: View, job: Body) -> str:
        """Why the meter of a Job does not measure; empty when it does."""
        node = job["spec"]["template"]["spec"]["nodeName"]
        try:
            pod, state = self.running(view, job, node)
            if state.step == "fail":
                return one_line(f"node {node}: {state.text}{self.refused(job)}", 500)
            return self.follow(node, pod)
        except KubeError as error:
            return f"node {node}: {error}"

    def running(self, view: View, job: Body, node: str) -> tuple[str, probe.Progress]:
        vantage = Vantage(self.params["namespace"], node)
        uid = job["metadata"].get("uid")

        def news(seen: View) -> tuple[str, probe.Progress] | None:
            mine = [pod for pod in seen.objects(self.interest) if _owned(pod, uid)]
            state = probe.progress(mine[-1] if mine else None, time.monotonic() - self.began, vantage, self.options)
            return (mine[-1]["metadata"]["name"] if mine else "", state) if state.step in _NEWS else None

        return view.wait(news, self.params["wait_timeout"] + 5.0, f"the start of the meter on node {node}")

    def refused(self, job: Body) -> str:
        """Whether the Job controller said why there is no pod: quota, Pod Security, a webhook."""
        fields = f"involvedObject.uid={job['metadata'].get('uid')}"
        try:
            events = self.cluster.list(EVENT, self.params["namespace"], fields=fields).items
        except KubeError:
            return ""  # the right to list events is not required
        return "".join(f": {event.get('message')}" for event in events if event.get("reason") == "FailedCreate")

    def follow(self, node: str, pod: str) -> str:
        log = ""
        for piece in self.cluster.follow_log(self.params["namespace"], pod, probe.CONTAINER, limit_bytes=100_000):
            log += piece.decode("utf-8", "replace")
            if f"{agent.READY}\n" in log:
                return ""
            _before, cold, rest = log.partition(f"{agent.COLD}\n")
            if cold and rest.endswith("\n"):
                return f"node {node}: no good answer within {agent.WARM_SECONDS:g} s: {_trouble(rest)}"
        return f"node {node}: the meter ended; its log says: {one_line(log[-200:]) or 'nothing'}"


_NEWS = ("fail", "follow", "read")


def _owned(pod: Body, uid: str | None) -> bool:
    return any(owner.get("uid") == uid for owner in pod["metadata"].get("ownerReferences") or [])


def _trouble(text: str) -> str:
    try:
        return one_line(str(json.loads(text)["trouble"]), 200)
    except (KeyError, TypeError, ValueError):
        return "no reason given"


# ----- stop


def stop(cluster: Cluster, params: Params, *, check_mode: bool) -> tuple[Body, Body]:
    """End the run, collect what its meters saw, judge it, and remove it: the result, and everything for a file."""
    name, namespace = params["name"], params["namespace"]
    found = cluster.list(JOB, namespace, labels=_selector(name)).items
    if check_mode:
        would = "would be stopped and judged" if found else "is not there"
        return {
            "changed": bool(found),
            "msg": f"run {name} in namespace {namespace} {would}; check mode runs nothing",
        }, {}
    if not found:
        missing = result.report(name, [], params["budget"], [], "")
        missing["msg"] = f"run {name}: there is no such run in namespace {namespace}, so nothing was measured"
        return {"changed": False, **missing}, {**missing}
    outcomes = _collect(cluster, params, found)
    changes, note = _history(cluster, namespace, found)
    told = result.report(name, outcomes, params["budget"], changes, note)
    _remove(cluster, found)
    return {"changed": True, **told}, result.document(told, outcomes, changes)


def _collect(cluster: Cluster, params: Params, found: t.Sequence[Body]) -> list[result.Outcome]:
    interest = Interest(POD, params["namespace"], labels=_selector(params["name"]))
    with View(cluster, [interest]) as view, ThreadPoolExecutor(max_workers=16) as pool:
        _tell_to_stop(cluster, [pod for pod in view.objects(interest) if not _has_ended(pod)])

        def ended(seen: View) -> list[Body] | None:
            pods = seen.objects(interest)
            return pods if all(_has_ended(pod) for pod in pods) else None

        grace = max((job["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] for job in found), default=0)
        try:
            pods = view.wait(ended, grace + STOP_MARGIN, "the end of the meters")
        except WaitTimeout:
            pods = view.objects(interest)

        def one(job: Body) -> result.Outcome:
            mine = [pod for pod in pods if _owned(pod, job["metadata"].get("uid"))]
            node = job["spec"]["template"]["spec"]["nodeName"]
            return _read(cluster, node, mine[-1]) if mine else result.Outcome(node, cause="its pod is gone")

        return list(pool.map(one, found))


def _tell_to_stop(cluster: Cluster, pods: t.Iterable[Body]) -> None:
    """A deadline that has passed: the kubelet ends the pod in good order, and unlike a deleted one it keeps its log."""
    for pod in pods:
        metadata = pod["metadata"]
        if not metadata.get("deletionTimestamp"):
            try:
                cluster.patch(POD, metadata["name"], metadata["namespace"], {"spec": {"activeDeadlineSeconds": 1}})
            except NotFound:
                continue


def _has_ended(pod: Body) -> bool:
    """Whether nothing runs in a pod any more: a pod past its deadline has failed before its container has ended."""
    status = pod.get("status") or {}
    states = [entry.get("state") or {} for entry in status.get("containerStatuses") or []]
    if any("running" in state for state in states):
        return False
    return status.get("phase") in ("Succeeded", "Failed") or any("terminated" in state for state in states)


def _read(cluster: Cluster, node: str, pod: Body) -> result.Outcome:
    metadata = pod["metadata"]
    outcome = result.Outcome(node)
    for attempt in range(3):
        if attempt:
            time.sleep(0.5)  # the runtime may still be writing the log of a container that has just ended
        try:
            log = cluster.log(metadata["namespace"], metadata["name"], probe.CONTAINER, limit_bytes=MOST_LOG)
        except NotFound:
            return result.Outcome(node, cause="its pod is gone")
        outcome = result.parse(log, node)
        if not outcome.cause:
            break
    return outcome


def _history(cluster: Cluster, namespace: str, found: t.Sequence[Body]) -> tuple[list[Moment], str]:
    """What the target's pods and endpoints were doing, and why that is not all of it."""
    since = _since(found[0])
    events: dict[str, list[Event]] = {"pods": [], "slices": []}
    notes: list[str] = []

    def read(part: str, kind: Kind) -> None:
        if part not in since:
            return
        labels, version = since[part]
        try:
            events[part] = list(replay(cluster, kind, namespace, version, labels=labels))
        except Gone:
            notes.append(f"the API server no longer knows all changes of {kind.plural}")
        except KubeError as error:
            notes.append(str(error))

    threads = [threading.Thread(target=read, args=entry) for entry in (("pods", POD), ("slices", ENDPOINT_SLICE))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return moments(events["pods"], events["slices"], float(since.get("at") or 0.0)), "; ".join(notes)
