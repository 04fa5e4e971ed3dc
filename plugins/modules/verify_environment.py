#!/usr/bin/python
# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Module: do containers have the variables of a Service."""

from __future__ import annotations

DOCUMENTATION = r"""
module: verify_environment
short_description: Prove that containers have the variables of a Service, and the right ones
version_added: 0.1.0
author:
  - The plumbline.kubernetes authors (@plumbline)
description:
  - Reads the variables of the Service in the containers of its pods, and compares them with the Service as it is now.
  - Containers that are older than the Service, or than its re-creation, are named with both times and the remedy.
  - Only the Service's own variables leave a container, and only values that look like addresses, numbers or
    protocols. They are filtered inside it, since others may be secrets.
  - Needs the rights V(get) and V(create) on C(pods/exec).
  - The same as M(plumbline.kubernetes.verify) with O(plumbline.kubernetes.verify#module:checks=environment).
extends_documentation_fragment:
  - plumbline.kubernetes.auth
  - plumbline.kubernetes.attributes
  - plumbline.kubernetes.verify
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
seealso:
  - module: plumbline.kubernetes.verify
  - module: plumbline.kubernetes.verify_dns
  - module: plumbline.kubernetes.verify_endpoints
  - module: plumbline.kubernetes.verify_http
"""

EXAMPLES = r"""
- name: The pods know the Service
  plumbline.kubernetes.verify_environment:
    name: my-nginx
    namespace: demo
"""

RETURN = r"""
msg:
  description: One line that stands alone. What was judged, how much of it was good, and the worst findings.
  returned: always
  type: str
  sample: "Service demo/my-nginx: 1 pass"
summary:
  description: How many findings there are of each status.
  returned: when something was judged
  type: dict
  sample: {"pass": 20, "fail": 0, "warn": 0, "skipped": 1, "inconclusive": 0}
layers:
  description: How many findings of each status there are in each layer.
  returned: when something was judged
  type: dict
  sample: {"endpoints": {"pass": 9}, "http": {"pass": 4, "fail": 1}}
findings:
  description: What is not good, worst first. Everything else is in the file O(dest).
  returned: when something was judged
  type: list
  elements: dict
  contains:
    id:
      description: Stable name of the check.
      type: str
      sample: EV-04
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
nodes:
  description: The nodes that were asked from.
  returned: when something was judged
  type: list
  elements: str
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

from ansible_collections.plumbline.kubernetes.plugins.module_utils.connectivity.module import judge
from ansible_collections.plumbline.kubernetes.plugins.module_utils.connectivity.question import OPTIONS
from ansible_collections.plumbline.kubernetes.plugins.module_utils.kube.client import Cluster
from ansible_collections.plumbline.kubernetes.plugins.module_utils.kube.module import Definition, Task


def action(task: Task, cluster: Cluster) -> dict[str, t.Any]:
    """Judge this layer."""
    return judge(task, cluster, ["environment"])


MODULE = Definition(OPTIONS, action)


def main() -> None:
    """Entry point."""
    MODULE.main()


if __name__ == "__main__":
    main()
