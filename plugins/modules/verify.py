#!/usr/bin/python
# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Module: prove that every client can reach a Service."""

from __future__ import annotations

DOCUMENTATION = r"""
module: verify
short_description: Prove that every client can reach a Service, or say why one cannot
version_added: 0.1.0
author:
  - The plumbline.kubernetes authors (@plumbline)
description:
  - Judges a Service from all sides at once. Its endpoints against its pods, the variables of its pods, its names, and
    its answers.
  - Reads all objects in one consistent snapshot that a watch keeps up to date, and starts one short-lived probe pod
    per client node that asks everything there is to ask.
  - What it finds wrong it looks at again before it says so, and what changes meanwhile is not judged. So a healthy
    Service gives no finding while a roll-out or a scale is in progress.
  - HTTPS ports are spoken to over TLS, and what they serve is judged as O(tls) says.
  - The other judging modules are named parts of this one. One task with several O(checks) is cheaper than several
    tasks.
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
options:
  checks:
    description:
      - What to judge. V(endpoints) compares the EndpointSlices with the pods, and asks each endpoint and the
        cluster IP.
      - V(environment) reads the Service's variables in the containers of the pods.
      - V(dns) looks the Service up in all its names, from all DNS servers.
      - V(http) asks by pod IP, cluster IP, name and NodePort, and compares status and content.
      - V(workload), V(service), V(policy), V(client) and V(infrastructure) judge the surroundings by the API alone.
        M(plumbline.kubernetes.diagnose) judges everything, and says what is the cause of what.
    type: list
    elements: str
    choices: [endpoints, environment, dns, http, workload, service, policy, client, infrastructure]
    default: [endpoints, environment, dns, http]
seealso:
  - module: plumbline.kubernetes.verify_dns
  - module: plumbline.kubernetes.verify_endpoints
  - module: plumbline.kubernetes.verify_environment
  - module: plumbline.kubernetes.verify_http
"""

EXAMPLES = r"""
- name: Prove that every node reaches every pod behind the Service
  plumbline.kubernetes.verify:
    name: my-nginx
    namespace: demo

- name: Expect a page, two pods on two nodes, and keep all findings
  plumbline.kubernetes.verify:
    name: my-nginx
    namespace: demo
    expect:
      contains: ["Welcome to nginx!"]
      ready_endpoints: 2
      min_nodes: 2
    dest: /tmp/my-nginx.json

- name: Look from a client that network policies know, in another namespace
  plumbline.kubernetes.verify:
    name: my-nginx
    namespace: demo
    checks: [dns, http]
    client:
      namespace: shop
      labels:
        app: frontend
"""

RETURN = r"""
msg:
  description: One line that stands alone. What was judged, how much of it was good, and the worst findings.
  returned: always
  type: str
  sample: "Service demo/my-nginx: 30 pass from 3 node(s)"
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
from ansible_collections.plumbline.kubernetes.plugins.module_utils.connectivity.question import (
    HTTP_OPTIONS,
    LAYERS,
    OPTIONS,
    SURROUNDINGS,
)
from ansible_collections.plumbline.kubernetes.plugins.module_utils.kube.client import Cluster
from ansible_collections.plumbline.kubernetes.plugins.module_utils.kube.module import Definition, Task

SPEC: dict[str, t.Any] = {
    **OPTIONS,
    **HTTP_OPTIONS,
    "checks": {"type": "list", "elements": "str", "choices": [*LAYERS, *SURROUNDINGS], "default": list(LAYERS)},
}


def action(task: Task, cluster: Cluster) -> dict[str, t.Any]:
    """Judge what is asked for."""
    return judge(task, cluster, task.params["checks"])


MODULE = Definition(SPEC, action)


def main() -> None:
    """Entry point."""
    MODULE.main()


if __name__ == "__main__":
    main()
