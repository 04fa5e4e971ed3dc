#!/usr/bin/python
# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Module: mend the safe ones of the causes that a diagnosis finds."""

from __future__ import annotations

DOCUMENTATION = r"""
module: remediate
short_description: Mend what a diagnosis finds, where that is safe
version_added: 0.1.0
author:
  - The plumbline.kubernetes authors (@plumbline)
description:
  - Diagnoses a Service as M(plumbline.kubernetes.diagnose) does, carries out the fixes of the causes that O(fixes)
    allows, and diagnoses again.
  - Only causes that are certain or likely are mended. Everything else is returned with its fix as a kubectl line and a
    task.
  - Its changes have a field manager of their own, C(plumbline-remediate), with which a later
    M(plumbline.kubernetes.service) or M(plumbline.kubernetes.deployment) does not conflict.
  - In check mode no probe is started, so that only what the API alone tells is predicted.
extends_documentation_fragment:
  - plumbline.kubernetes.auth
  - plumbline.kubernetes.attributes
  - plumbline.kubernetes.verify
  - plumbline.kubernetes.verify.http
attributes:
  check_mode:
    support: partial
    details: Predicts the fixes of those causes that the API alone tells, since probes would have to be run for others.
  diff_mode:
    support: full
  idempotent:
    support: full
    details: A Service without a cause is left alone.
options:
  fixes:
    description:
      - What may be mended. V(selector) sets the Service's selector to the labels of the only near workload.
      - V(target_port) leads a port to the one on which the pods listen.
      - V(environment) restarts a Deployment whose containers have no or stale variables of the Service.
      - V(certificate) restarts a Deployment whose pods serve another certificate than the one that is stored.
    type: list
    elements: str
    choices: [selector, target_port, environment, certificate]
    default: [selector, target_port, environment, certificate]
  wait_timeout:
    description: Seconds to wait for the roll-out of a restart.
    type: int
    default: 180
seealso:
  - module: plumbline.kubernetes.diagnose
"""

EXAMPLES = r"""
- name: Mend what can be mended, and fail when that does not help
  plumbline.kubernetes.remediate:
    name: my-nginx
    namespace: demo

- name: See what a selector should have been
  plumbline.kubernetes.remediate:
    name: my-nginx
    namespace: demo
    fixes: [selector]
  check_mode: true
  diff: true
"""

RETURN = r"""
msg:
  description: One line that stands alone. What was mended, and how the Service is now.
  returned: always
  type: str
  sample: >-
    Service demo/my-nginx: the selector of Service demo/my-nginx selects no pod | fix: kubectl patch service ... |
    certain; 6 consequence(s); 6 fail, 24 pass
summary:
  description: How many findings there are of each status.
  returned: when something was judged
  type: dict
  sample: {"pass": 20, "fail": 0, "warn": 0, "skipped": 1, "inconclusive": 0}
causes:
  description: What is wrong by itself, the first cause first. Empty when nothing is.
  returned: when something was judged
  type: list
  elements: dict
  contains:
    id:
      description: The check that found it, or that saw its first consequence. See docs/checks.md.
      type: str
    status:
      description: V(fail), or V(warn) when clients are served all the same.
      type: str
    title:
      description: What is wrong.
      type: str
    component:
      description: Which part it is, for example V(selector), V(proxy/node-2) or V(started/my-nginx-6d8f-abcde).
      type: str
    object:
      description: The object that it is about.
      type: str
    field:
      description: The field or address of that object.
      type: str
    observed:
      description: What is.
      type: raw
    expected:
      description: What should be.
      type: raw
    why:
      description: Why it is so, where that is known.
      type: str
    confidence:
      description: V(certain) when an object says so, V(likely) when everything else on the way is acquitted, else
        V(possible).
      type: str
    evidence:
      description: Further facts, and what the probes saw.
      type: dict
    consequences:
      description: The findings that follow from it.
      type: list
      elements: dict
    consequence_count:
      description: How many those are.
      type: int
    fix:
      description: How to mend it, with the keys C(text), C(kubectl) and C(task).
      type: dict
    runbook:
      description: The section of this collection's documentation that says what it means, how to make sure of it, how
        to mend it and how to prove that. See docs/causes.md.
      type: str
      sample: docs/causes/service.md#selector-the-selector-does-not-fit-the-pods
    second:
      description: What else it could be, and what would tell the two apart.
      type: dict
applied:
  description: What was mended, one line each, or in check mode would be.
  returned: when something was judged
  type: list
  elements: str
findings:
  description: What is not good, worst first. Everything else is in the file O(dest).
  returned: when something was judged
  type: list
  elements: dict
  contains:
    id:
      description: Stable name of the check.
      type: str
      sample: EP-02
    layer:
      description: Which of the checks it belongs to.
      type: str
    status:
      description: V(fail), V(warn) or V(inconclusive).
      type: str
    message:
      description: What was found.
      type: str
    observed:
      description: What is.
      type: raw
    expected:
      description: What should be.
      type: raw
    object:
      description: The object that it is about.
      type: str
    field:
      description: The field or address of that object.
      type: str
    cause:
      description: Why it is so and what to do, where that is known.
      type: str
    evidence:
      description: Further facts.
      type: dict
"""

import typing as t
from datetime import UTC, datetime

from ansible_collections.plumbline.kubernetes.plugins.module_utils.connectivity import engine
from ansible_collections.plumbline.kubernetes.plugins.module_utils.connectivity.module import check, conclude
from ansible_collections.plumbline.kubernetes.plugins.module_utils.connectivity.question import (
    HTTP_OPTIONS,
    LAYERS,
    OPTIONS,
    SURROUNDINGS,
    question,
)
from ansible_collections.plumbline.kubernetes.plugins.module_utils.connectivity.remedy import KINDS, Apply, steps
from ansible_collections.plumbline.kubernetes.plugins.module_utils.kube.client import Cluster
from ansible_collections.plumbline.kubernetes.plugins.module_utils.kube.module import Definition, Task

SPEC: dict[str, t.Any] = {
    **OPTIONS,
    **HTTP_OPTIONS,
    "fixes": {"type": "list", "elements": "str", "choices": list(KINDS), "default": list(KINDS)},
    "wait_timeout": {"type": "int", "default": 180},
}


def action(task: Task, cluster: Cluster) -> dict[str, t.Any]:
    """Diagnose, mend, diagnose again."""
    params = task.params
    asked = question({**params, "probe": not task.check_mode}, (*LAYERS, *SURROUNDINGS), causes=True)
    check(task, asked)
    report = engine.verify(cluster, asked)
    wanted = steps(report.causes or (), params["fixes"])
    apply = Apply(cluster, asked.namespace, datetime.now(UTC), params["wait_timeout"], check_mode=task.check_mode)
    changes = [apply.carry_out(step) for step in wanted]
    further: dict[str, t.Any] = {"changed": bool(wanted), "applied": [step.line for step in wanted]}
    if task.diff:
        before, after = ([change[side] for change in changes] for side in (0, 1))
        further["diff"] = {"before": before, "after": after}
    if task.check_mode:
        return {"msg": report.verdict, "causes": [cause.as_dict() for cause in report.causes or ()], **further}
    if wanted:
        report = engine.verify(cluster, asked)
    return conclude(task, asked, report, **further)


MODULE = Definition(SPEC, action)


def main() -> None:
    """Entry point."""
    MODULE.main()


if __name__ == "__main__":
    main()
