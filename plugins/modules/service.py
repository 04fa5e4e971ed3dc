#!/usr/bin/python

# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: service
short_description: Put a Service before a Deployment and wait until it has endpoints
version_added: 0.1.0
author:
  - The plumbline.kubernetes authors (@plumbline)
description:
  - Makes a Service as C(kubectl expose deployment) does. The selector, the ports and the labels come from the
    Deployment where the options do not give them.
  - An option that is left out is left alone, also when it was set on an earlier run or by somebody else.
  - Waits until ready pods are endpoints of the Service, and until a load balancer has its address.
  - Uses server-side apply as field manager V(plumbline). A field that another manager owns is an error that names
    field and manager, see O(force_conflicts).
extends_documentation_fragment:
  - plumbline.kubernetes.auth
  - plumbline.kubernetes.attributes
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
  idempotent:
    support: full
options:
  name:
    description: Name of the Service.
    type: str
    required: true
  namespace:
    description: Namespace of the Service. It has to exist.
    type: str
    required: true
  state:
    description: Whether the Service shall exist.
    type: str
    choices: [present, absent]
    default: present
  deployment:
    description:
      - Name of the Deployment to derive O(selector), O(ports) and O(labels) from. Defaults to the Service's own name.
      - It is read only when a Service is created, or stops being of type V(ExternalName), and O(selector) or O(ports)
        is not given. Then O(labels) are taken from it too unless they are given.
      - A Deployment whose selector has C(matchExpressions) cannot be expressed as a Service's selector.
    type: str
  type:
    description:
      - How the Service is reached. A new Service is V(ClusterIP) unless this says otherwise.
      - For a headless Service see O(cluster_ip).
    type: str
    choices: [ClusterIP, NodePort, LoadBalancer, ExternalName]
  selector:
    description:
      - Labels of the pods that stand behind the Service.
      - An empty dictionary makes a Service without a selector, whose EndpointSlices somebody else fills.
    type: dict
  ports:
    description:
      - Ports of the Service. When given, this is the whole list, and ports of an earlier run that are not in it are
        removed.
      - When derived, each container port becomes one port of the same number, named V(port-1), V(port-2) and so on
        when there are several.
      - Ports are told apart by O(ports[].port) and O(ports[].protocol). Within one port, what is left out is left
        alone.
    type: list
    elements: dict
    suboptions:
      port:
        description: Port number of the Service.
        type: int
        required: true
      name:
        description: Name of the port, required when there are several.
        type: str
      target_port:
        description: Port of the pods, by number or by name. A new port leads to the same number.
        type: raw
      protocol:
        description: Protocol of the port.
        type: str
        choices: [TCP, UDP, SCTP]
        default: TCP
      app_protocol:
        description: What is spoken on the port, for example V(http) or V(kubernetes.io/h2c).
        type: str
      node_port:
        description: Port on every node, for types V(NodePort) and V(LoadBalancer). The cluster assigns one if left out.
        type: int
  labels:
    description: Labels of the Service. When given, labels of an earlier run that are not among them are removed.
    type: dict
  annotations:
    description: Annotations of the Service, treated like O(labels).
    type: dict
  external_name:
    description: DNS name that the Service stands for, with type V(ExternalName).
    type: str
  cluster_ip:
    description:
      - Address of the Service, or V(None) as a string for a headless one. The cluster assigns one if left out.
      - Cannot be changed while the Service exists, unless it comes from or goes to type V(ExternalName).
    type: str
  cluster_ips:
    description: Addresses of a dual-stack Service, at most one per family, the first as in O(cluster_ip).
    type: list
    elements: str
  ip_families:
    description:
      - IP families of the Service. The second may come and go, the first cannot be changed.
      - With an O(ip_family_policy) for both, the cluster adds the second to a list of one, and only the policy
        V(SingleStack) takes it away again.
    type: list
    elements: str
    choices: [IPv4, IPv6]
  ip_family_policy:
    description: Whether the Service has addresses of one family or two.
    type: str
    choices: [SingleStack, PreferDualStack, RequireDualStack]
  session_affinity:
    description: Whether requests of one client address go to the same pod.
    type: str
    choices: ["None", ClientIP]
  session_affinity_timeout:
    description: Seconds after which a client address may go to another pod, with O(session_affinity=ClientIP).
    type: int
  internal_traffic_policy:
    description: Whether traffic from inside the cluster goes to all pods or to those of the client's own node only.
    type: str
    choices: [Cluster, Local]
  external_traffic_policy:
    description:
      - Whether traffic from outside goes to all pods or to those of the receiving node only, which keeps the client's
        address.
    type: str
    choices: [Cluster, Local]
  traffic_distribution:
    description: Which pods are preferred, as long as there are any. What a cluster knows depends on its version.
    type: str
    choices: [PreferClose, PreferSameZone, PreferSameNode]
  publish_not_ready_addresses:
    description: Whether pods that are not ready are endpoints too, as peers that find each other by DNS need it.
    type: bool
  external_ips:
    description: Addresses, routed to nodes by somebody else, at which the Service is reached too.
    type: list
    elements: str
  allocate_load_balancer_node_ports:
    description: Whether a Service of type V(LoadBalancer) gets node ports.
    type: bool
  load_balancer_class:
    description: Which load balancer controller is responsible. Cannot be changed while the type is V(LoadBalancer).
    type: str
  load_balancer_source_ranges:
    description: Networks from which a load balancer accepts traffic, where the platform supports it.
    type: list
    elements: str
  load_balancer_ip:
    description: Address wanted from the load balancer. Deprecated by Kubernetes in favour of annotations.
    type: str
  health_check_node_port:
    description: Port on every node for health checks of a load balancer, with O(external_traffic_policy=Local).
    type: int
  force_conflicts:
    description: Take over fields that another manager owns, instead of failing.
    type: bool
    default: false
  wait:
    description:
      - Wait until at least one selected pod is ready and each ready one is an endpoint, and a load balancer has an
        address; with O(state=absent) until the Service is gone.
      - When a load balancer gives no address in time, the last event about the Service is told, for example that no
        address is left, or that no controller has touched it.
      - The wait ends early when the selector matches no pod or no pod has a port of the name that a
        O(ports[].target_port) says.
    type: bool
    default: true
  wait_for:
    description:
      - What to wait for. Before there are pods, V(load_balancer) alone can be waited for, for example because a
        certificate shall have its address.
    type: list
    elements: str
    choices: [endpoints, load_balancer]
    default: [endpoints, load_balancer]
  wait_timeout:
    description: Seconds to wait at most.
    type: int
    default: 180
seealso:
  - module: plumbline.kubernetes.service_info
  - module: plumbline.kubernetes.deployment
  - plugin: plumbline.kubernetes.service_names
    plugin_type: filter
"""

EXAMPLES = r"""
- name: Do what kubectl expose deployment/my-nginx does, and wait for endpoints
  plumbline.kubernetes.service:
    name: my-nginx
    namespace: demo

- name: Give ports of its own and open them on every node
  plumbline.kubernetes.service:
    name: my-nginx
    namespace: demo
    type: NodePort
    ports:
      - name: http
        port: 8080
        target_port: 80
        app_protocol: http
      - name: https
        port: 443

- name: Ask for a load balancer that keeps the addresses of clients, and wait for its own address
  plumbline.kubernetes.service:
    name: my-nginx
    namespace: demo
    type: LoadBalancer
    external_traffic_policy: Local
  register: exposed

- name: Prefer a pod on the client's own node; type and ports stay as they are
  plumbline.kubernetes.service:
    name: my-nginx
    namespace: demo
    traffic_distribution: PreferSameNode

- name: Make a headless Service for the same pods
  plumbline.kubernetes.service:
    name: my-nginx-pods
    namespace: demo
    deployment: my-nginx
    cluster_ip: "None"
"""

RETURN = r"""
service:
  description: The Service as it is now, or in check mode would be, without the bookkeeping of field managers.
  returned: when O(state=present)
  type: dict
  sample:
    apiVersion: v1
    kind: Service
    metadata:
      name: my-nginx
      namespace: demo
      labels:
        run: my-nginx
    spec:
      type: ClusterIP
      clusterIP: 10.96.12.7
      selector:
        run: my-nginx
      ports:
        - port: 80
          protocol: TCP
          targetPort: 80
previous:
  description: The Service as it was before, empty where there was none.
  returned: when O(state=present)
  type: dict
  sample: {}
load_balancer:
  description:
    - IP addresses and host names that a load balancer was given. Empty for other types, and when O(wait=false) while
      there is none yet.
  returned: when O(state=present)
  type: list
  elements: str
  sample: [192.0.2.80]
endpoints:
  description: Addresses of the ready endpoints.
  returned: when O(state=present) and O(wait=true), not in check mode
  type: list
  elements: str
  sample: [10.244.1.5, 10.244.2.4]
"""

import typing as t

from ansible_collections.plumbline.kubernetes.plugins.module_utils.app import service
from ansible_collections.plumbline.kubernetes.plugins.module_utils.app.endpoints import (
    WAIT_FOR,
    load_balancer_addresses,
)
from ansible_collections.plumbline.kubernetes.plugins.module_utils.kube.apply import (
    Applied,
    diff,
    ensure,
    reduced,
    remove,
)
from ansible_collections.plumbline.kubernetes.plugins.module_utils.kube.client import Cluster
from ansible_collections.plumbline.kubernetes.plugins.module_utils.kube.kinds import SERVICE
from ansible_collections.plumbline.kubernetes.plugins.module_utils.kube.module import Definition, Task
from ansible_collections.plumbline.kubernetes.plugins.module_utils.wait.service import gone, settle, wanted

PORT_OPTIONS: dict[str, t.Any] = {
    "port": {"type": "int", "required": True},
    "name": {"type": "str"},
    "target_port": {"type": "raw"},
    "protocol": {"type": "str", "choices": ["TCP", "UDP", "SCTP"], "default": "TCP"},
    "app_protocol": {"type": "str"},
    "node_port": {"type": "int"},
}
POLICIES = ["Cluster", "Local"]
OPTIONS: dict[str, t.Any] = {
    "name": {"type": "str", "required": True},
    "namespace": {"type": "str", "required": True},
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "deployment": {"type": "str"},
    "type": {"type": "str", "choices": list(service.TYPES)},
    "selector": {"type": "dict"},
    "ports": {"type": "list", "elements": "dict", "options": PORT_OPTIONS},
    "labels": {"type": "dict"},
    "annotations": {"type": "dict"},
    "external_name": {"type": "str"},
    "cluster_ip": {"type": "str"},
    "cluster_ips": {"type": "list", "elements": "str"},
    "ip_families": {"type": "list", "elements": "str", "choices": ["IPv4", "IPv6"]},
    "ip_family_policy": {"type": "str", "choices": ["SingleStack", "PreferDualStack", "RequireDualStack"]},
    "session_affinity": {"type": "str", "choices": ["None", "ClientIP"]},
    "session_affinity_timeout": {"type": "int"},
    "internal_traffic_policy": {"type": "str", "choices": POLICIES},
    "external_traffic_policy": {"type": "str", "choices": POLICIES},
    "traffic_distribution": {"type": "str", "choices": ["PreferClose", "PreferSameZone", "PreferSameNode"]},
    "publish_not_ready_addresses": {"type": "bool"},
    "external_ips": {"type": "list", "elements": "str"},
    "allocate_load_balancer_node_ports": {"type": "bool"},
    "load_balancer_class": {"type": "str"},
    "load_balancer_source_ranges": {"type": "list", "elements": "str"},
    "load_balancer_ip": {"type": "str"},
    "health_check_node_port": {"type": "int"},
    "force_conflicts": {"type": "bool", "default": False},
    "wait": {"type": "bool", "default": True},
    "wait_for": {"type": "list", "elements": "str", "choices": list(WAIT_FOR), "default": list(WAIT_FOR)},
    "wait_timeout": {"type": "int", "default": 180},
}


def action(task: Task, cluster: Cluster) -> dict[str, t.Any]:
    """Bring the Service to the wanted state."""
    service.check(task.params)
    return _absent(task, cluster) if task.params["state"] == "absent" else _present(task, cluster)


def _present(task: Task, cluster: Cluster) -> dict[str, t.Any]:
    params = task.params
    live = cluster.get(SERVICE, params["name"], params["namespace"])
    body, complete = wanted(cluster, params, live, check_mode=task.check_mode)
    if complete:
        force = params["force_conflicts"]
        applied = ensure(cluster, SERVICE, body, live=live, check_mode=task.check_mode, force=force)
    else:
        applied = Applied(True, body, live, {}, body)
    result: dict[str, t.Any] = {"changed": applied.changed}
    item = applied.object
    if task.diff:
        result["diff"] = diff(applied, SERVICE)
    if params["wait"] and not task.check_mode:
        wait_for, timeout = params["wait_for"], params["wait_timeout"]
        usable = settle(cluster, item, changed=applied.changed, wait_for=wait_for, timeout=timeout)
        item, result["endpoints"] = usable.service, usable.endpoints
    previous = reduced(live) if live else {}
    return result | {"service": reduced(item), "previous": previous, "load_balancer": load_balancer_addresses(item)}


def _absent(task: Task, cluster: Cluster) -> dict[str, t.Any]:
    params = task.params
    removed = remove(cluster, SERVICE, params["name"], params["namespace"], check_mode=task.check_mode)
    if params["wait"] and removed.live and not task.check_mode:
        gone(cluster, removed.live, params["wait_timeout"])
    return {"changed": removed.changed, **({"diff": diff(removed, SERVICE)} if task.diff else {})}


MODULE = Definition(OPTIONS, action, mutually_exclusive=[("cluster_ip", "cluster_ips")])


def main() -> None:
    """Entry point."""
    MODULE.main()


if __name__ == "__main__":
    main()
