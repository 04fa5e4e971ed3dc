# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Private to this collection: may change in any release.
"""Part of the layer workload: pods that run, and are not ready, or are ready by a probe that says nothing."""

from __future__ import annotations

import re
import typing as t

from ..behind import KEPT, Behind, condition, is_true, name_of, states
from ..facts import Body
from ..result import Finding, short
from ..scope import Probe
from ..snapshot import ServicePort
from .common import Bench
from .wording import START, accuse, asked, field_of, hint, probe_port, probe_text

# A container that runs for less may become ready yet, and this is said where nothing else serves.
_STARTING = 60


def gates(bench: Bench, behind: Behind, pod: Body) -> Finding | None:
    """WL-09: the containers are ready, and a readiness gate is not set."""
    if not is_true(pod, "ContainersReady") or is_true(pod, "Ready"):
        return None
    if behind.served and behind.since(condition(pod, "ContainersReady").get("lastTransitionTime")) < START:
        return None
    gates = [gate["conditionType"] for gate in pod["spec"].get("readinessGates") or []]
    absent, false = (
        [gate for gate in gates if not condition(pod, gate)],
        [gate for gate in gates if condition(pod, gate) and not is_true(pod, gate)],
    )
    if not absent and not false:
        return None
    how = (
        f"nothing sets its readiness gate {short(absent)}" if absent else f"its readiness gate {short(false)} is False"
    )
    return accuse(
        bench,
        behind,
        pod,
        "WL-09",
        "ready",
        f"{name_of(pod)} is healthy, but not ready: {how}",
        field="spec.readinessGates",
        observed=f"no condition {short(absent)}" if absent else f"{short(false)} is False",
        expected="the condition True",
        cause="the controller that sets it does not run here, or does not know the pod"
        if absent
        else str(condition(pod, false[0]).get("message") or "the controller that sets it says no"),
    )


def ready(bench: Bench, behind: Behind, pod: Body) -> Finding | None:
    """WL-10: a readiness probe that fails."""
    if is_true(pod, "Ready"):
        return None
    for spec, state in states(pod):
        started = ((state.get("state") or {}).get("running") or {}).get("startedAt")
        if not started or state.get("ready") or not spec.get("readinessProbe"):
            continue
        told = [*behind.warnings(pod, ("Unhealthy",), "Readiness probe ", KEPT), ""][0]
        running = behind.since(started)
        if not _on_its_way(behind, pod, running, told):
            return _unready(bench, behind, pod, spec, probe_text(told) or "no warning tells how", running)
    return None


def _on_its_way(behind: Behind, pod: Body, running: float, told: str) -> bool:
    """Whether a container whose probe fails may become ready yet.

    One that was ready before is not starting any more; one that answers with a status that means no is up already.
    """
    unready = behind.since(condition(pod, "Ready").get("lastTransitionTime"))
    if unready < running - 1 or re.search(r"statuscode: 4\d\d", told):
        return behind.served and min(unready, running) < START
    workload = behind.workload_of(pod)
    if behind.served or (workload and behind.rolling(workload)):
        return running < behind.deadline(pod)
    return not told and running < START


def _unready(bench: Bench, behind: Behind, pod: Body, spec: Body, text: str, running: float) -> Finding:
    probe = spec["readinessProbe"]
    port = probe_port(probe, spec)
    declared = sorted(p["containerPort"] for p in spec.get("ports") or [] if p.get("protocol", "TCP") == "TCP")
    evidence: dict[str, t.Any] = {"container": spec["name"], "declared": declared}
    cause = hint(_PROBE_HINTS, text)
    if port and declared and port not in declared and "status" not in text:
        cause = f"the probe asks port {port}, the container declares {short(declared)}"
    if running < _STARTING and "status" not in text:
        cause += f"; it runs for {running:.0f} s only, and may be on its way"
    return accuse(
        bench,
        behind,
        pod,
        "WL-10",
        "ready",
        f"the readiness probe of container {spec['name']} of {name_of(pod)} fails: {text}",
        field=f"{field_of(spec)}.readinessProbe",
        observed=text,
        expected=asked(probe, spec),
        cause=cause,
        evidence=evidence,
    )


_PROBE_HINTS = (
    (r"status 404", "the application has no such path: correct the path of the probe"),
    (r"status 40[13]", "the path of the probe wants credentials: take one that does not"),
    (r"status 5\d\d", "the application says itself that it is not ready: see its log"),
    (
        r"status 400|malformed HTTP|HTTP/1.x transport",
        "the scheme of the probe is wrong: HTTP where TLS is spoken",
    ),
    (r"tls:|first record does not look", "the scheme of the probe is wrong: HTTPS where plain HTTP is spoken"),
    (r"refused", "nothing listens on that port of the pod"),
    (r"deadline exceeded|timeout", "no answer in time: the application hangs, or timeoutSeconds is too short"),
)


def dead_ports(bench: Bench, behind: Behind) -> list[Finding]:
    """WL-10: pods that count as ready, while nothing answers at the target port, which no probe of readiness asks.

    Only where probes asked the pods themselves, and only for a target port that the pod declares: another one is the
    Service's mistake. A readiness probe on a port of its own is nobody's mistake as long as the pod answers.
    """
    by_pod: dict[tuple[str, int], list[tuple[Probe, bool]]] = {}
    for probe, seen in behind.look.seen("direct"):
        if probe.endpoint and probe.port and probe.endpoint.pod and behind.look.stable(probe.endpoint):
            number = probe.endpoint.port(probe.port.name, probe.port.protocol)
            key = (probe.endpoint.pod, number or 0)
            by_pod.setdefault(key, []).append((probe, bool(seen.failures.get("refused")) and not seen.answered))
    found = []
    for (name, number), answers in sorted(by_pod.items()):
        pod = next((body for body in behind.pods if body["metadata"]["name"] == name), None)
        port = answers[0][0].port
        if pod and port and is_true(pod, "Ready") and all(refused for _probe, refused in answers):
            found += _dead(bench, pod, port, number)
    return found


def _dead(bench: Bench, pod: Body, port: ServicePort, number: int) -> list[Finding]:
    specs = pod["spec"].get("containers") or []
    declared = {item["containerPort"] for spec in specs for item in spec.get("ports") or []}
    probed = [(probe_port(spec["readinessProbe"], spec), spec) for spec in specs if spec.get("readinessProbe")]
    if number not in declared or number in {asked_port for asked_port, _spec in probed}:
        return []
    how = (
        f"its readiness probe asks for {short([asked(spec['readinessProbe'], spec) for _port, spec in probed])}"
        if probed
        else ""
    )
    return [
        bench.failed(
            "WL-10",
            f"{name_of(pod)} counts as ready, but refuses connections on its port {number}, "
            f"the targetPort of port {port.label}",
            object=name_of(pod),
            field=f"port {number}",
            observed="refused",
            expected=f"{name_of(pod)} not ready, or a server on port {number}",
            cause=f"{how or 'it has no readiness probe'}: let it ask port {number}, and see what the server listens on",
            evidence={"target_port": number, "probed": [asked_port for asked_port, _spec in probed]},
            component=f"ready/{pod['metadata']['name']}",
        )
    ]
