# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Private to this collection: may change in any release.
"""Can the workload behind the Service run its pods: does it exist, may it make them, do they start and become ready?

By the API alone, beside one check of what probes saw (WL-10). What a roll-out is on its way to is no finding, nor is a
pod that may still start. What one fault does to many objects is said once: of the Secret that is missing, not of each
pod that waits for it.
"""

from __future__ import annotations

from ..behind import Behind
from ..intent import WORKLOADS
from ..look import Look
from ..result import PASS, Finding
from . import advice, pods, readiness, rollouts, sources
from .common import Bench

NAME = "workload"
_bench = Bench(NAME)

_OWNERS = "list deployments, statefulsets, daemonsets"
# (id, title, rights)
CHECKS: tuple[tuple[str, str, str], ...] = (
    ("WL-01", "The workload exists, and its controller has seen its latest change", f"{_OWNERS}"),
    ("WL-02", "The workload wants pods and has ready ones", f"{_OWNERS}, list pods"),
    ("WL-03", "The roll-out makes progress", f"{_OWNERS}, list replicasets, list pods"),
    ("WL-04", "Every pod has a node", "list pods, list nodes"),
    ("WL-05", "Every container starts and keeps running", "list pods, list events, get pods/log"),
    ("WL-06", "The Secrets and ConfigMaps of the pods exist", "list pods, get secrets, get configmaps"),
    ("WL-07", "They have the keys that the pods ask for", "list pods, get secrets, get configmaps"),
    ("WL-08", "No container is restarted by its liveness or startup probe", "list pods, list events"),
    ("WL-09", "Readiness is judged by a probe, and readiness gates are set", "list pods"),
    ("WL-10", "The readiness probe asks what clients ask, and succeeds", "list pods, list events"),
    ("WL-12", "A disruption budget keeps pods running and lets nodes be drained", "list poddisruptionbudgets"),
    ("WL-13", "A roll-out leaves pods running", f"{_OWNERS}, list replicasets, list pods"),
    ("WL-14", "A pod that is deleted serves until the proxies have forgotten it", f"{_OWNERS}"),
    ("WL-15", "The pods are of the present template, and old ones come to their end", f"{_OWNERS}, list pods"),
    ("WL-17", "The namespace admits new pods", f"{_OWNERS}, list events, list namespaces"),
)
_OF_WORKLOADS = ("WL-01", "WL-02", "WL-03", "WL-12", "WL-13", "WL-14", "WL-17")
# What is true only where nothing is wrong: a pod without a node says nothing about its containers.
_WHEN_WELL = ("WL-02", "WL-03", "WL-04", "WL-05", "WL-08", "WL-09", "WL-10", "WL-17")
# What a check needs besides pods; without it, it is not judged.
_NEEDS = {
    "WL-03": "replicasets",
    "WL-08": "events",
    "WL-10": "events",
    "WL-12": "disruption_budgets",
    "WL-13": "replicasets",
    "WL-17": "namespaces",
}


def check(look: Look) -> list[Finding]:
    """All checks of this layer."""
    service = look.service
    if service.external or not service.selector:
        return [_bench.skipped("WL-02", f"{service.label} has no selector, so no workload is known to be behind it")]
    why = look.facts.why_missing("pods")
    if why:
        return [_bench.skipped(check_id, why) for check_id, _title, _rights in CHECKS]
    behind = Behind.of(look)
    found = _complaints(behind)
    accused = {finding.id for finding in found}
    unsure = set(_WHEN_WELL) if found or not behind.served else set()
    rest = [f for f in _rest(behind) if f.id not in accused and not (f.status == PASS and f.id in unsure)]
    return found + rest


def _complaints(behind: Behind) -> list[Finding]:
    found, explained = sources.complaints(_bench, behind)
    found += pods.complaints(_bench, behind, explained)
    found += readiness.dead_ports(_bench, behind)
    found = list({finding.key: finding for finding in reversed(found)}.values())[::-1]
    stuck = explained | {finding.object.rpartition("/")[2] for finding in found if finding.object.startswith("Pod ")}
    stuck |= {name for finding in found for name in finding.evidence.get("pods") or ()}
    for workload in behind.workloads:
        found = rollouts.complaints(_bench, behind, workload, found, stuck)
    found += rollouts.absent(_bench, behind) + rollouts.leaving(_bench, behind)
    return found or rollouts.none_ready(_bench, behind)


def _rest(behind: Behind) -> list[Finding]:
    """What is good, what was not looked at, and advice."""
    advised = {finding.id: finding for finding in advice.advise(_bench, behind)}
    denied = [why for part in WORKLOADS.values() if (why := behind.facts.why_missing(part))]
    found = []
    for check_id, title, _rights in CHECKS:
        of_workloads = check_id in _OF_WORKLOADS
        why = behind.facts.why_missing(_NEEDS[check_id]) if check_id in _NEEDS else ""
        if check_id in ("WL-06", "WL-07"):
            why = sources.unread(behind)
        if of_workloads and not behind.workloads:
            why = denied[0] if denied else "no workload is known to be behind the Service"
        if why:
            found.append(_bench.skipped(check_id, why))
        elif check_id in advised:
            found.append(advised[check_id])
        elif of_workloads or behind.pods:
            found.append(_bench.passed(check_id, title))
    return found
