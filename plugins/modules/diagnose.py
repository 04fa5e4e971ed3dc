#!/usr/bin/python
# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Module: name the cause when a Service cannot be reached."""

from __future__ import annotations

DOCUMENTATION = r"""
module: diagnose
short_description: Name the cause when a Service cannot be reached
version_added: 0.1.0
author:
  - The plumbline.kubernetes authors (@plumbline)
description:
  - Judges a Service from all sides, as M(plumbline.kubernetes.verify) does, and its surroundings too. The workload and
    what its pods need, network policies, the clients, nodes, service proxies and DNS servers.
  - Then says what is the cause of what. A part that an object says is broken explains everything that rests on it. For
    what is left, every answered probe acquits the parts on its way, and the fewest parts that are not acquitted and
    together explain all failures are accused.
  - Each cause comes with its evidence, what follows from it, how sure it is, what else it could be and what would tell
    the two apart, and with the kubectl line or task that mends it. Two independent faults are two causes.
  - A healthy Service has no cause, also while a roll-out is in progress.
  - Missing rights are asked for first. What may not be read is skipped, and never bends the verdict.
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
  probe:
    description:
      - Whether to start probe pods. Without them the API alone is judged, which takes no more than rights to read.
    type: bool
    default: true
  api_proxy:
    description:
      - Whether the API server asks the pods, too, over HTTP or HTTPS, by the proxy for which it takes the right V(get)
        on C(pods/proxy). That tells pods that answer from those that do not where no probe pod may be started. It sends
        one C(GET) of O(expect.path) to each port of up to 20 pods.
      - Names, cluster IPs, service proxies and certificates are not tried by it. Where it reaches no pod at all, as on
        many managed clusters, nothing is concluded from that.
    type: bool
    default: false
  read_logs:
    description:
      - Of which containers to read the last lines of the log, to quote the one that tells most.
      - V(dns) reads those of the cluster's DNS servers and service proxies, which are in one namespace and need one
        right. V(all) reads also those of the Service's containers that restart. Lines of an application may hold what
        is not for everybody's eyes.
    type: str
    choices: [none, dns, all]
    default: dns
  baseline:
    description:
      - A file that O(dest) of an earlier, healthy run wrote. What has changed since is returned as RV(drift).
    type: path
  node_level:
    description:
      - Whether to look at the nodes from inside, too. At their service proxies and the rules that these wrote, their
        connection tables, and the sockets of the Service's pods.
      - Starts one further pod on each node that is asked from or that has an endpoint, O(max_nodes) at most. It runs as
        root in the network and among the processes of the node, with the capabilities C(NET_ADMIN), C(SYS_CHROOT) and
        C(SYS_PTRACE), and runs the node's own C(iptables-save), C(nft) and C(conntrack). It mounts nothing of the node,
        changes nothing, tells nothing but what belongs to the Service, and is gone afterwards.
    type: bool
    default: false
  node_namespace:
    description:
      - The namespace of those pods. Its Pod Security must be C(privileged); C(baseline) and C(restricted) refuse them,
        and then the nodes are not judged, which is V(inconclusive).
    type: str
    default: kube-system
seealso:
  - module: plumbline.kubernetes.verify
  - module: plumbline.kubernetes.remediate
"""

EXAMPLES = r"""
- name: Say what is wrong with the Service
  plumbline.kubernetes.diagnose:
    name: my-nginx
    namespace: demo

- name: Look from the Deployment that complains, and compare with a good day
  plumbline.kubernetes.diagnose:
    name: my-nginx
    namespace: demo
    client:
      namespace: shop
      workload: Deployment frontend
    baseline: /var/lib/plumbline/my-nginx.json
    read_logs: all

- name: Look at the nodes from inside, too
  plumbline.kubernetes.diagnose:
    name: my-nginx
    namespace: demo
    node_level: true

- name: Judge by the API alone, without starting a pod
  plumbline.kubernetes.diagnose:
    name: my-nginx
    namespace: demo
    probe: false

- name: The same, but let the API server ask the pods
  plumbline.kubernetes.diagnose:
    name: my-nginx
    namespace: demo
    probe: false
    api_proxy: true
    fail_on: never
  register: verdict      # verdict.causes[0].title, verdict.causes[0].fix.kubectl
"""

RETURN = r"""
msg:
  description: One line that stands alone. The first cause with its fix, and what else is wrong.
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
drift:
  description: What has changed since the run that wrote O(baseline), one line each.
  returned: when O(baseline) is given
  type: list
  elements: str
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
    DIAGNOSE_OPTIONS,
    HTTP_OPTIONS,
    LAYERS,
    OPTIONS,
    SURROUNDINGS,
)
from ansible_collections.plumbline.kubernetes.plugins.module_utils.kube.client import Cluster
from ansible_collections.plumbline.kubernetes.plugins.module_utils.kube.module import Definition, Task

SPEC: dict[str, t.Any] = {**OPTIONS, **HTTP_OPTIONS, **DIAGNOSE_OPTIONS}


def action(task: Task, cluster: Cluster) -> dict[str, t.Any]:
    """Judge everything, and say what is the cause of what."""
    return judge(task, cluster, (*LAYERS, *SURROUNDINGS), causes=True)


MODULE = Definition(SPEC, action)


def main() -> None:
    """Entry point."""
    MODULE.main()


if __name__ == "__main__":
    main()
