#!/usr/bin/python
# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Module: judge many Services at once by the API alone."""

from __future__ import annotations

DOCUMENTATION = r"""
module: survey
short_description: Judge many Services at once by the API alone
version_added: 0.1.0
author:
  - The plumbline.kubernetes authors (@plumbline)
description:
  - Judges all Services of a cluster, or of some namespaces, with the checks V(endpoints), V(workload), V(service),
    V(policy) and V(infrastructure) of M(plumbline.kubernetes.diagnose), and names the causes of what is not good.
  - Nothing is started, executed or written, and neither Secrets nor logs are read. Each kind of object is listed once,
    so it takes few requests and little time.
  - What is the same for all Services, like nodes, service proxies and DNS servers, is judged once.
  - A complaint counts when a second look finds it again. For that, the namespaces with complaints are read once more.
  - Who the clients are is not known here. A network policy is complained of only where it lets nobody in.
  - Whether a Service answers is for M(plumbline.kubernetes.diagnose) to try. It also says more about a single Service.
  - What may not be read is skipped, and never bends the verdict. The right to list Services is needed.
extends_documentation_fragment:
  - plumbline.kubernetes.auth
  - plumbline.kubernetes.attributes
attributes:
  check_mode:
    support: partial
    details: Runs nothing in check mode and says what it would do.
  diff_mode:
    support: none
    details: Judges only, so there is nothing to compare.
  idempotent:
    support: full
    details: Never changes anything, apart from the file O(dest) on the host it runs on.
options:
  namespaces:
    description: The namespaces whose Services to judge. By default all of the cluster.
    type: list
    elements: str
    default: []
  labels:
    description: Labels that the Services to judge have.
    type: dict
  dns_service:
    description: The Service of the cluster's DNS, as namespace/name.
    type: str
    default: kube-system/kube-dns
  waivers:
    description:
      - Complaints that are accepted for a time. They are reported as skipped, with the reason.
      - From the day after O(waivers[].until) the complaint counts again, and a warning says so.
    type: list
    elements: dict
    default: []
    suboptions:
      id:
        description: Id of the check, for example V(WL-12).
        type: str
        required: true
      object:
        description: The object of the complaint, for example V(Pod demo/web-*). Shell wildcards.
        type: str
        default: "*"
      until:
        description: The last day, in the form V(2026-12-31), by UTC.
        type: str
        required: true
      reason:
        description: Why it is accepted.
        type: str
        required: true
  fail_on:
    description:
      - How bad a finding must be to fail the task.
      - V(fail) fails only on what is surely wrong. V(inconclusive) fails also on what changed while it was looked at,
        which is normal on a busy cluster, and V(warn) on warnings too. V(never) never fails on findings.
    type: str
    choices: [never, fail, inconclusive, warn]
    default: fail
  dest:
    description:
      - A file on the host that the module runs on, to write all findings to as JSON. Readable by its owner only.
    type: path
seealso:
  - module: plumbline.kubernetes.diagnose
"""

EXAMPLES = r"""
- name: Find the Services of the cluster that are not well
  plumbline.kubernetes.survey:

- name: Look at two namespaces, and keep everything that was found
  plumbline.kubernetes.survey:
    namespaces: [demo, shop]
    dest: /var/lib/plumbline/survey.json
    fail_on: never
  register: survey      # survey.causes[0].services, survey.causes[0].title, survey.causes[0].fix.kubectl
"""

RETURN = r"""
msg:
  description: One line that stands alone. How many Services are good, and the first cause with its fix.
  returned: always
  type: str
  sample: >-
    1,000 Service(s): 990 good, 10 not good; first: the selector app=wbe of Service demo/web matches 0 pods; app=web
    would match 2, e.g. demo/web-6d8f-abcde | fix: kubectl patch service ...
services:
  description: How many Services were judged.
  returned: when something was judged
  type: int
  sample: 1000
summary:
  description: How many of them have which status, which is that of their worst finding.
  returned: when something was judged
  type: dict
  sample: {"pass": 990, "fail": 10, "warn": 0, "inconclusive": 0}
causes:
  description: What is wrong by itself, the worst first. What is the same on many Services is told once.
  returned: when something was judged
  type: list
  elements: dict
  contains:
    service:
      description: The first Service that it was found on, as namespace/name, or V(the cluster).
      type: str
    services:
      description: All Services that it was found on.
      type: list
      elements: str
    count:
      description: How many those are.
      type: int
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
      description: Which part it is, for example V(selector) or V(node/node-2).
      type: str
    object:
      description: The object that it is about.
      type: str
    field:
      description: The field of that object.
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
    fix:
      description: How to mend it, with the keys C(text), C(kubectl) and C(task).
      type: dict
    runbook:
      description: The section of this collection's documentation that says what it means, how to make sure of it, how
        to mend it and how to prove that. See docs/causes.md.
      type: str
      sample: docs/causes/service.md#selector-the-selector-does-not-fit-the-pods
unread:
  description: What may not be read, and so was not judged.
  returned: when something was judged
  type: list
  elements: str
  sample: ["cannot list nodes"]
requests:
  description: How many requests it took.
  returned: when something was judged
  type: int
elapsed:
  description: Seconds it took.
  returned: when something was judged
  type: float
dest:
  description: The file with all findings.
  returned: when O(dest) is given
  type: str
"""

import typing as t
from datetime import UTC, datetime

from ansible_collections.plumbline.kubernetes.plugins.module_utils.connectivity.checks import IDS
from ansible_collections.plumbline.kubernetes.plugins.module_utils.connectivity.question import OPTIONS, dns_service
from ansible_collections.plumbline.kubernetes.plugins.module_utils.connectivity.result import check_dest, write
from ansible_collections.plumbline.kubernetes.plugins.module_utils.connectivity.survey import Asked, survey, would
from ansible_collections.plumbline.kubernetes.plugins.module_utils.connectivity.waivers import (
    expired,
    refuse_unknown,
    waiver,
)
from ansible_collections.plumbline.kubernetes.plugins.module_utils.kube.client import Cluster
from ansible_collections.plumbline.kubernetes.plugins.module_utils.kube.module import Definition, Task

SPEC: dict[str, t.Any] = {
    "namespaces": {"type": "list", "elements": "str", "default": []},
    "labels": {"type": "dict"},
    **{key: OPTIONS[key] for key in ("dns_service", "waivers", "dest")},
    "fail_on": {**OPTIONS["fail_on"], "default": "fail"},
}


def action(task: Task, cluster: Cluster) -> dict[str, t.Any]:
    """Judge many Services."""
    params = task.params
    asked = Asked(
        tuple(dict.fromkeys(params["namespaces"])),
        {key: str(value) for key, value in (params["labels"] or {}).items()},
        tuple(waiver(given) for given in params["waivers"]),
        dns_service(params["dns_service"]),
    )
    refuse_unknown(asked.waivers, IDS)
    check_dest(params["dest"])
    if task.check_mode:
        return {"changed": False, "msg": would(asked)}
    found = survey(cluster, asked)
    result = found.as_result()
    if params["dest"]:
        write(found.as_document(), params["dest"])
        result["dest"] = params["dest"]
    for notice in expired(asked.waivers, datetime.now(UTC).date()):
        task.warn(notice)
    if found.unread:
        task.warn(f"not everything may be read: {'; '.join(found.unread)}")
    if not found.services:
        task.warn("there is no Service to judge")
    if found.fails(params["fail_on"]):
        result["failed"] = True
    return result


MODULE = Definition(SPEC, action)


def main() -> None:
    """Entry point."""
    MODULE.main()


if __name__ == "__main__":
    main()
