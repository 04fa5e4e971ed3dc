#!/usr/bin/python

# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: service_info
short_description: Read a Service with its endpoints, their pods and nodes
version_added: 0.1.0
author:
  - The plumbline.kubernetes authors (@plumbline)
description:
  - Reads a Service, its EndpointSlices, the selected pods and the nodes at the same time and joins them.
  - A Service that does not exist is no failure, see RV(exists).
extends_documentation_fragment:
  - plumbline.kubernetes.auth
  - plumbline.kubernetes.attributes
attributes:
  check_mode:
    support: full
    details: It only reads.
  diff_mode:
    support: none
    details: It changes nothing.
  idempotent:
    support: full
options:
  name:
    description: Name of the Service.
    type: str
    required: true
  namespace:
    description: Namespace of the Service.
    type: str
    required: true
  cluster_domain:
    description: DNS domain of the cluster.
    type: str
    default: cluster.local
seealso:
  - module: plumbline.kubernetes.service
  - plugin: plumbline.kubernetes.service_names
    plugin_type: filter
"""

EXAMPLES = r"""
- name: Look at what stands behind the Service
  plumbline.kubernetes.service_info:
    name: my-nginx
    namespace: demo
  register: found

- name: Show on which nodes it runs
  ansible.builtin.debug:
    msg: "{{ found.endpoints | selectattr('ready') | map(attribute='node') | unique }}"
"""

RETURN = r"""
exists:
  description: Whether there is such a Service. Without it only RV(nodes) is returned besides.
  returned: success
  type: bool
nodes:
  description: All nodes of the cluster. Empty where the right to list them is missing.
  returned: success
  type: list
  elements: dict
  contains:
    name:
      description: Name of the node.
      type: str
    zone:
      description: Its zone.
      type: str
    pod_cidrs:
      description: The ranges of addresses that its pods have, where the cluster gives each node ranges.
      type: list
      elements: str
service:
  description: The Service, without the bookkeeping of field managers.
  returned: when RV(exists=true)
  type: dict
names:
  description: Every DNS name of the Service, shortest first.
  returned: when RV(exists=true)
  type: list
  elements: str
  sample: [my-nginx, my-nginx.demo, my-nginx.demo.svc, my-nginx.demo.svc.cluster.local]
headless:
  description: Whether the Service has no address of its own.
  returned: when RV(exists=true)
  type: bool
cluster_ips:
  description: Addresses of the Service inside the cluster, none when headless.
  returned: when RV(exists=true)
  type: list
  elements: str
  sample: [10.96.12.7]
node_ports:
  description: Ports that lead to the Service on every node.
  returned: when RV(exists=true)
  type: list
  elements: dict
  sample:
    - name: http
      port: 8080
      protocol: TCP
      node_port: 30080
load_balancer:
  description: IP addresses or host names of the load balancer.
  returned: when RV(exists=true)
  type: list
  elements: str
endpoints:
  description: One entry for each address in the EndpointSlices of the Service.
  returned: when RV(exists=true)
  type: list
  elements: dict
  contains:
    address:
      description: IP address, or host name in a slice of such.
      type: str
    family:
      description: V(IPv4), V(IPv6) or V(FQDN).
      type: str
    ready:
      description: Whether it takes new connections.
      type: bool
    serving:
      description: Whether it answers, also when it is about to go.
      type: bool
    terminating:
      description: Whether it is about to go.
      type: bool
    pod:
      description: Name of the pod, if it is one.
      type: str
    pod_exists:
      description: Whether that very pod is among the pods that the selector matches now.
      type: bool
    node:
      description: Name of the node.
      type: str
    zone:
      description: Zone of the node.
      type: str
    ports:
      description: Ports of the endpoint, named as in the Service.
      type: list
      elements: dict
    slice:
      description: Name of the EndpointSlice.
      type: str
pods:
  description: The pods that the selector matches.
  returned: when RV(exists=true)
  type: list
  elements: dict
  contains:
    name:
      description: Name of the pod.
      type: str
    phase:
      description: Phase of the pod.
      type: str
    ready:
      description: Whether the pod is ready.
      type: bool
    terminating:
      description: Whether the pod is about to go.
      type: bool
    node:
      description: Name of the node.
      type: str
    addresses:
      description: Addresses of the pod.
      type: list
      elements: str
"""

import typing as t
from concurrent.futures import ThreadPoolExecutor

from ansible_collections.plumbline.kubernetes.plugins.module_utils.app import endpoints
from ansible_collections.plumbline.kubernetes.plugins.module_utils.connectivity import names
from ansible_collections.plumbline.kubernetes.plugins.module_utils.kube.apply import reduced
from ansible_collections.plumbline.kubernetes.plugins.module_utils.kube.client import Cluster
from ansible_collections.plumbline.kubernetes.plugins.module_utils.kube.errors import Forbidden
from ansible_collections.plumbline.kubernetes.plugins.module_utils.kube.kinds import ENDPOINT_SLICE, NODE, POD, SERVICE
from ansible_collections.plumbline.kubernetes.plugins.module_utils.kube.module import Definition, Task
from ansible_collections.plumbline.kubernetes.plugins.module_utils.kube.selector import labels_text

OPTIONS: dict[str, t.Any] = {
    "name": {"type": "str", "required": True},
    "namespace": {"type": "str", "required": True},
    "cluster_domain": {"type": "str", "default": names.DEFAULT_DOMAIN},
}


def action(task: Task, cluster: Cluster) -> dict[str, t.Any]:
    """Read everything at once and join it."""
    name, namespace = task.params["name"], task.params["namespace"]
    with ThreadPoolExecutor() as pool:
        nodes = pool.submit(_nodes, task, cluster)
        slices = pool.submit(cluster.list, ENDPOINT_SLICE, namespace, labels=f"{endpoints.SERVICE_LABEL}={name}")
        item = cluster.get(SERVICE, name, namespace)
        selector = labels_text((item or {"spec": {}})["spec"].get("selector") or {})
        pods = cluster.list(POD, namespace, labels=selector).items if selector else []
    result = {"changed": False, "exists": item is not None, "nodes": endpoints.describe_nodes(nodes.result())}
    if item is None:
        return result
    return {
        **result,
        "names": names.forms(name, namespace, task.params["cluster_domain"]),
        **endpoints.describe(item, slices.result().items, pods, nodes.result()),
        "service": reduced(item),
    }


def _nodes(task: Task, cluster: Cluster) -> list[dict[str, t.Any]]:
    """Nodes only add their zones and ranges, and few people may read them."""
    try:
        return cluster.list(NODE).items
    except Forbidden as error:
        task.warn(f"nodes are left out: {error}")
        return []


MODULE = Definition(OPTIONS, action)


def main() -> None:
    """Entry point."""
    MODULE.main()


if __name__ == "__main__":
    main()
