#!/usr/bin/python
# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Module: count the requests that are lost while something is changed."""

from __future__ import annotations

DOCUMENTATION = r"""
module: availability
short_description: Count the requests that are lost while something is changed
version_added: 0.1.0
author:
  - The plumbline.kubernetes authors (@plumbline)
description:
  - With O(state=started), meters in the cluster send requests at a fixed rate, one meter per node, and the task returns
    when all of them measure. With O(state=stopped), they end, their figures are collected and judged, and nothing of
    them stays.
  - The meters are open-loop. Each request has a time at which it is due, whatever became of those before it, and its
    latency counts from then, so a stall of the target cannot hide itself.
  - A meter that did not keep its own schedule says so. Then the verdict is V(inconclusive), not V(pass), and timeouts,
    which it may have made itself, are no V(fail).
  - No client tries again. What a client that does would hide is counted as lost.
  - A run is bound to no task. It ends by itself after O(duration), and its figures wait in the logs of its pods, for an
    hour at most.
  - The meters hold no credentials and pass Pod Security V(restricted).
  - Host names are looked up once a second, as by a client with a short cache. A request that is due while the last
    look-up has failed is lost.
  - Times of losses are those of the nodes' clocks. What pods and endpoints did meanwhile is known to the second, by the
    clocks of the API server and the kubelets, so clocks that disagree blur the one against the other. The API server
    remembers changes for about a minute at least, and for longer where little changes; when it does not remember all of
    a run, RV(msg) says so. It is known for the pods of O(service) only.
extends_documentation_fragment:
  - plumbline.kubernetes.auth
  - plumbline.kubernetes.attributes
attributes:
  check_mode:
    support: full
    details: Runs no meter and says what it would do.
  diff_mode:
    support: none
    details: What it makes goes again, so there is nothing to compare.
  idempotent:
    support: partial
    details:
      - Started again under the same name while it runs, nothing changes. A run that has ended by itself is replaced.
      - A run that is not there cannot be judged, see O(fail_on).
options:
  name:
    description: Name of the run, at most 40 characters.
    type: str
    required: true
  namespace:
    description: The namespace of the Service, and of the meters.
    type: str
    required: true
  state:
    description: Whether the run shall measure, or be ended, collected, judged and removed.
    type: str
    choices: [started, stopped]
    required: true
  service:
    description:
      - Name of the Service to ask. O(state=started) needs it or O(url).
      - With O(url) it only says whose pods and endpoints to note.
    type: str
  port:
    description: Port of the Service by number or name, when it has several.
    type: str
  scheme:
    description: Protocol that O(service) is asked by. By default V(https) with O(tls), else V(http).
    type: str
    choices: [http, https]
  path:
    description: What O(service) is asked for. For client V(post) it has to be something that takes a POST.
    type: str
    default: /
  url:
    description: A URL to ask instead of the Service, for example that of a node port.
    type: str
  rate:
    description: Requests per second, over all nodes and clients together, at most 5000.
    type: int
    default: 100
  duration:
    description: Seconds after which the run ends by itself, at most 3600.
    type: int
    default: 120
  clients:
    description:
      - Which kinds of clients share the rate. V(new) opens a connection for each request, V(keep_alive) sends GET on
        open ones, V(post) sends POST on open ones.
    type: list
    elements: str
    choices: [new, keep_alive, post]
    default: [new, keep_alive, post]
  warm_up:
    description:
      - With O(state=started), send until each kind of client had its first good answer before anything is counted. The
        task fails if that takes longer than 20 s.
      - V(false) counts from the first request on, for a target that is known not to answer well yet.
    type: bool
    default: true
  request_timeout:
    description: Seconds after which a request without a whole answer is lost, counted from when it was due, at most 30.
    type: int
    default: 5
  expect:
    description: What a good answer looks like.
    type: dict
    suboptions:
      status:
        description: HTTP status codes that are good.
        type: list
        elements: int
        default: [200]
      identity_header:
        description: The response header by which a pod tells its own name.
        type: str
        default: Served-By
  tls:
    description: What the certificate is judged by. It is always verified, chain and name.
    type: dict
    suboptions:
      bundle:
        description: Certificates to trust, PEM. Without a bundle, those that the client image trusts.
        type: str
      bundle_config_map:
        description: ConfigMap in the same namespace whose key C(ca.crt) holds the bundle.
        type: str
      server_name:
        description: The name that the certificate must be for. By default the host name that is asked.
        type: str
  nodes:
    description: The nodes to ask from, by name. By default ready ones that take pods, always the same.
    type: list
    elements: str
  max_nodes:
    description: From how many nodes to ask at most when O(nodes) is not given.
    type: int
    default: 2
  client:
    description: The pods that ask.
    type: dict
    suboptions:
      labels:
        description: Further labels, for network policies to judge them by. No selector of a workload may match them.
        type: dict
      service_account:
        description: Service account they run as. Its token is not mounted.
        type: str
      image:
        description: An image with Python 3.9 or newer.
        type: str
        default: python:3.14
      image_pull_policy:
        description: When to pull the image.
        type: str
        choices: [Always, IfNotPresent, Never]
        default: IfNotPresent
      image_pull_secrets:
        description: Names of Secrets to pull the image with.
        type: list
        elements: str
        default: []
  budget:
    description: With O(state=stopped), how many requests may be lost.
    type: int
    default: 0
  fail_on:
    description:
      - With O(state=stopped), which verdict fails the task.
      - V(inconclusive) is worse than good, since nothing is proven. V(fail) fails only when too much was lost. V(never)
        only reports.
    type: str
    choices: [never, fail, inconclusive]
    default: inconclusive
  dest:
    description:
      - With O(state=stopped), a file on the host that the module runs on, to write everything to as JSON. The first
        losses of each client one by one, a line per second, and all changes of pods and endpoints. Readable by its
        owner only.
    type: path
  wait_timeout:
    description: With O(state=started), seconds until the pods must run. Then they have 20 more for a first good answer.
    type: int
    default: 120
seealso:
  - module: plumbline.kubernetes.rollout
  - module: plumbline.kubernetes.verify_http
"""

EXAMPLES = r"""
- name: Measure while the pods are replaced
  plumbline.kubernetes.availability:
    name: restart
    namespace: demo
    state: started
    service: my-nginx
    path: /healthz

- name: Replace them
  plumbline.kubernetes.rollout:
    name: my-nginx
    namespace: demo
    action: restart

- name: Not one request was lost
  plumbline.kubernetes.availability:
    name: restart
    namespace: demo
    state: stopped

- name: Measure over TLS, with new connections only
  plumbline.kubernetes.availability:
    name: handshakes
    namespace: demo
    state: started
    service: my-nginx
    port: https
    path: /healthz
    clients: [new]
    tls:
      bundle_config_map: demo-ca-bundle
"""

RETURN = r"""
msg:
  description: One line that stands alone.
  returned: always
  type: str
  sample: >-
    run restart: 12 of 6000 requests lost from worker-1, worker-2 (refused 12; by client: new 12) between 12:00:01.2 and
    12:00:03.9 UTC; Pod my-nginx-7d9c began to terminate at 12:00:00
verdict:
  description: V(pass), V(fail) when more than O(budget) was lost, or V(inconclusive) when the meters cannot tell.
  returned: when O(state=stopped), not in check mode
  type: str
  sample: pass
sent:
  description: Requests that went out.
  returned: when O(state=stopped), not in check mode
  type: int
  sample: 6000
ok:
  description: Requests that were answered well.
  returned: when O(state=stopped), not in check mode
  type: int
  sample: 5988
lost:
  description: Requests that were not.
  returned: when O(state=stopped), not in check mode
  type: int
  sample: 12
lost_by_class:
  description:
    - Losses by what became of the request. V(refused), V(reset), V(closed), V(timeout), V(unreachable), V(dns), V(tls),
      V(http_5xx), V(bad_status) or V(protocol).
  returned: when O(state=stopped), not in check mode
  type: dict
  sample: {"refused": 12}
longest_gap:
  description: The longest time in seconds that one client kind on one node went without a good answer.
  returned: when O(state=stopped), not in check mode
  type: float
  sample: 0.24
p50:
  description: Half of the good answers came within so many milliseconds, counted from when the request was due.
  returned: when O(state=stopped), not in check mode
  type: float
  sample: 1.4
p99:
  description: The same for 99 of 100 good answers.
  returned: when O(state=stopped), not in check mode
  type: float
  sample: 9.8
first_loss:
  description: When the first request was due that was lost, null when none was.
  returned: when O(state=stopped), not in check mode
  type: str
  sample: "2026-01-01T12:00:01.203Z"
last_loss:
  description: When the last one was due.
  returned: when O(state=stopped), not in check mode
  type: str
  sample: "2026-01-01T12:00:03.911Z"
clients:
  description: RV(sent) to RV(last_loss) for each kind of client.
  returned: when O(state=stopped), not in check mode
  type: dict
schedule:
  description:
    - How well the meters kept their schedule. Requests that were due, whether all went out and in time, and by how many
      milliseconds 1 of 100 and the latest of them were late.
    - It is kept when, on each node, 99 of 100 are at most 250 ms late and none more than 1 s.
  returned: when O(state=stopped), not in check mode
  type: dict
  sample: {"planned": 6000, "kept": true, "late_p99": 0.4, "late_max": 12.1}
serials:
  description:
    - Serial numbers of the certificates that were served, hexadecimal, in the order in which they were seen first.
    - A pause of more than 5 s divides one run of a serial from the next.
  returned: when O(state=stopped), not in check mode
  type: list
  elements: dict
  sample:
    - serial: 5f1e6c
      first_seen: "2026-01-01T12:00:00.001Z"
      last_seen: "2026-01-01T12:00:31.020Z"
      runs: 1
flapped:
  description: Whether a serial came back after it was gone for more than 5 s while another one was served.
  returned: when O(state=stopped), not in check mode
  type: bool
backends:
  description: Answers by the pod that says it gave them.
  returned: when O(state=stopped), not in check mode
  type: dict
  sample: {"my-nginx-7d9c": 2987, "my-nginx-x2p4": 3001}
changes:
  description: What the Service's pods and endpoints did around the losses, from 15 s before to 2 s after.
  returned: when O(state=stopped), not in check mode
  type: list
  elements: dict
  sample:
    - at: "2026-01-01T12:00:00Z"
      object: Pod my-nginx-7d9c
      what: began to terminate
nodes:
  description: The nodes that are or were asked from.
  returned: success, not in check mode
  type: list
  elements: str
url:
  description: What is asked.
  returned: when O(state=started), not in check mode
  type: str
  sample: http://my-nginx.demo.svc/healthz
began:
  description: When the first meter began.
  returned: when O(state=stopped), not in check mode
  type: str
ended:
  description: When the last meter sent no more.
  returned: when O(state=stopped), not in check mode
  type: str
dest:
  description: The file with everything.
  returned: when O(state=stopped) and O(dest) is given, not in check mode
  type: str
"""

import typing as t

from ansible_collections.plumbline.kubernetes.plugins.module_utils.availability.plan import OPTIONS, check
from ansible_collections.plumbline.kubernetes.plugins.module_utils.availability.run import start, stop
from ansible_collections.plumbline.kubernetes.plugins.module_utils.connectivity.result import FAIL_ON, check_dest, write
from ansible_collections.plumbline.kubernetes.plugins.module_utils.kube.client import Cluster
from ansible_collections.plumbline.kubernetes.plugins.module_utils.kube.module import Definition, Task


def action(task: Task, cluster: Cluster) -> dict[str, t.Any]:
    """Start or stop the run."""
    check(task.params)
    if task.params["state"] == "started":
        return start(cluster, task.params, check_mode=task.check_mode)
    return _stopped(task, cluster)


def _stopped(task: Task, cluster: Cluster) -> dict[str, t.Any]:
    dest = task.params["dest"]
    check_dest(dest)
    result, document = stop(cluster, task.params, check_mode=task.check_mode)
    if dest and not task.check_mode:
        write(document, dest)
        result["dest"] = dest
    if result.get("verdict") in FAIL_ON[task.params["fail_on"]]:
        result["failed"] = True
    return result


MODULE = Definition(OPTIONS, action)


def main() -> None:
    """Entry point."""
    MODULE.main()


if __name__ == "__main__":
    main()
