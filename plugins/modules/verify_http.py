#!/usr/bin/python
# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Module: does a Service answer as expected."""

from __future__ import annotations

DOCUMENTATION = r"""
module: verify_http
short_description: Prove that a Service answers HTTP from every node, on every path
version_added: 0.1.0
author:
  - The plumbline.kubernetes authors (@plumbline)
description:
  - Asks by pod IP, cluster IP, name and NodePort from the client nodes, and names the class of each failure (refused,
    timeout, reset, unreachable, name, protocol).
  - Compares the status and looks for markers in the body. A bad pod is named itself.
  - On HTTPS ports it judges TLS. The chain against a bundle and the name, the time left, the purpose and the version of
    the protocol, each failure by a finding of its own; that all pods serve the same certificate, on request the one of
    a Secret; and which common clients accept it.
  - The same as M(plumbline.kubernetes.verify) with O(plumbline.kubernetes.verify#module:checks=http).
extends_documentation_fragment:
  - plumbline.kubernetes.auth
  - plumbline.kubernetes.attributes
  - plumbline.kubernetes.verify
  - plumbline.kubernetes.verify.http
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
  - module: plumbline.kubernetes.verify_environment
"""

EXAMPLES = r"""
- name: The welcome page is served on every path
  plumbline.kubernetes.verify_http:
    name: my-nginx
    namespace: demo
    expect:
      contains: ["Welcome to nginx!"]

- name: Clients that trust our CA are served the certificate of the Secret, from every pod
  plumbline.kubernetes.verify_http:
    name: my-nginx
    namespace: demo
    tls:
      bundle_config_map: my-ca-bundle
      secret: my-nginx-tls-4f1e0c2a9b
"""

RETURN = r"""
msg:
  description: One line that stands alone. What was judged, how much of it was good, and the worst findings.
  returned: always
  type: str
  sample: "Service demo/my-nginx: 6 pass from 3 node(s)"
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
      sample: DP-03
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
from ansible_collections.plumbline.kubernetes.plugins.module_utils.connectivity.question import HTTP_OPTIONS, OPTIONS
from ansible_collections.plumbline.kubernetes.plugins.module_utils.kube.client import Cluster
from ansible_collections.plumbline.kubernetes.plugins.module_utils.kube.module import Definition, Task


def action(task: Task, cluster: Cluster) -> dict[str, t.Any]:
    """Judge this layer."""
    return judge(task, cluster, ["http"])


MODULE = Definition({**OPTIONS, **HTTP_OPTIONS}, action)


def main() -> None:
    """Entry point."""
    MODULE.main()


if __name__ == "__main__":
    main()
