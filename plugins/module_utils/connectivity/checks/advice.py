# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Private to this collection: may change in any release.
"""Part of the layer workload: what is no fault today and may become one; said, and never complained of."""

from __future__ import annotations

import typing as t

from ..behind import Behind, at_most_down, name_of, share, wanted
from ..facts import Body
from ..intent import template_labels
from ..policy import matches
from ..result import Finding, short
from .common import Bench


def advise(bench: Bench, behind: Behind) -> list[Finding]:
    """One sentence at most of each of WL-09, WL-12, WL-13 and WL-14."""
    rules: tuple[tuple[str, t.Callable[[Behind, Body], str]], ...] = (
        ("WL-09", _probe),
        ("WL-12", _budget),
        ("WL-13", _strategy),
        ("WL-14", _goodbye),
    )
    said = {check: [text for body in behind.workloads if (text := rule(behind, body))] for check, rule in rules}
    return [bench.skipped(check, f"advice: {texts[0]}") for check, texts in said.items() if texts]


def _containers(workload: Body) -> list[Body]:
    return list(workload["spec"]["template"]["spec"].get("containers") or [])


def _probe(_behind: Behind, workload: Body) -> str:
    if any(container.get("readinessProbe") for container in _containers(workload)):
        return ""
    return f"{name_of(workload)} has no readiness probe: its pods count as ready as soon as they run"


def _budget(behind: Behind, workload: Body) -> str:
    labels, total = template_labels(workload), wanted(workload)
    budgets = [
        body for body in behind.facts.all("disruption_budgets") if matches(body["spec"].get("selector") or {}, labels)
    ]
    if not budgets:
        return f"no PodDisruptionBudget keeps drains from taking all pods of {name_of(workload)}" if total > 1 else ""
    spec = budgets[0]["spec"]
    least, most = spec.get("minAvailable"), spec.get("maxUnavailable")
    if (least is not None and share(least, total, up=True) >= total) or (
        most is not None and share(most, total, up=True) == 0
    ):
        name = budgets[0]["metadata"]["name"]
        return f"PodDisruptionBudget {name} lets no pod of {name_of(workload)} go, so its nodes cannot be drained"
    return ""


def _strategy(_behind: Behind, workload: Body) -> str:
    if workload["kind"] != "Deployment" or wanted(workload) < 2 or at_most_down(workload) < wanted(workload):
        return ""
    return f"a roll-out of {name_of(workload)} may take all its {wanted(workload)} pods away at once"


def _goodbye(_behind: Behind, workload: Body) -> str:
    serving = [container for container in _containers(workload) if not container.get("preStop")]
    if len(serving) < len(_containers(workload)):
        return ""
    names = short([container["name"] for container in serving])
    return f"{name_of(workload)} has no preStop hook ({names}): requests of a roll-out may reach pods that have ended"
