# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Private to this collection: may change in any release.
"""How causes that no object states are called, and what would tell two of them apart."""

from __future__ import annotations

from ..look import Look
from ..result import Finding, short
from .components import instance_of, kind_of


def headline(look: Look, component: str, finding: Finding) -> str:
    """One line for a part that was found guilty by the probes."""
    kind, instance = kind_of(component), instance_of(component)
    label = f"Service {look.question.namespace}/{look.question.name}"
    if kind == "port":
        return _wrong_port(look, instance, label)
    if kind == "answer":
        pod, _slash, number = instance.partition("/")
        return f"the application in pod {pod} does not answer on port {number} at the pod's own address"
    plain = {
        "service": f"{label} has publishNotReadyAddresses, and sends connections to pods that are not ready",
        "proxy": f"the service proxy of node {instance} does not pass connections to {label} on as it should",
        "proxies": f"no service proxy passes connections to {label} on, though its endpoints answer directly",
        "network": f"node {instance} is cut off from pods of other nodes",
        "node": f"node {instance} does not answer for its pods",
        "nodeport": f"the NodePorts of {label} are not opened by {f'node {instance}' if instance else 'the nodes'}",
        "loadbalancer": f"the load balancer of {label} does not pass connections on as it should",
        "dns/service": "the cluster's DNS Service does not lead to its servers, which answer directly",
        "dns/servers": "none of the cluster's DNS servers answers",
        "dns/server": f"the DNS server {instance} does not answer",
        "dns": f"the cluster's DNS gives no right answer for {label}",
        "resolver": f"clients on {instance} do not find {label} by name, though the DNS servers know it",
    }
    if kind == "outside":
        where = f"node {instance}" if instance else "the nodes"
        inside = any(found.ok for _probe, found in look.seen("node_port"))
        return f"clients outside of the cluster do not get to {where}" + (", while pods do" if inside else "")
    if kind == "between":
        start, _slash, end = instance.partition("/")
        return f"connections from node {start} to pods on node {end} are lost"
    return plain.get(kind) or finding.message


def _wrong_port(look: Look, number: str, label: str) -> str:
    port = next((p for p in look.service.ports if str(p.port) == number), None) if look.after.service else None
    if port is None:
        return f"port {number} of {label} leads nowhere"
    open_ = listening(look)
    text = f"targetPort {port.target_port} of port {port.label} of {label} is a port where no pod listens"
    if open_:
        return f"{text}; the pods do listen on {short(open_)}"
    declared = sorted({number for pod in look.after.pods for number in pod.declared("TCP")})
    return f"{text}; they declare {short(declared)}" if declared else text


def answers_unready(look: Look, pod: str) -> list[int]:
    """Target ports on which a pod answers although it is not ready."""
    return sorted(
        {int(probe.task["port"]) for probe, found in look.seen("unready") if probe.label == pod and found.answered}
    )


def listening(look: Look) -> list[int]:
    """Declared ports, beside the target ports, on which pods were found to listen."""
    return sorted({int(probe.task["port"]) for probe, found in look.seen("declared") if found.answered})


_APART = {
    frozenset({"port", "answer"}): "see on which ports the pods listen: kubectl exec ... -- cat /proc/net/tcp",
    frozenset({"proxy", "network"}): "ask a pod of another node at its own address from that node",
    frozenset({"proxy", "proxies"}): "ask from a second node: if that works it is the proxy of the first",
    frozenset(
        {"node", "network"}
    ): "see whether the node is Ready and its kubelet answers: kubectl get node, kubectl logs",
    frozenset({"answer", "network"}): "ask the pod from its own node: if that works it is the network",
    frozenset({"answer", "node"}): "ask another pod on that node: if that works it is the application",
    frozenset({"between", "network"}): "ask the same pod from a third node",
    frozenset({"nodeport", "outside"}): "ask the NodePort from a pod: if that works it is the way to the nodes",
    frozenset({"loadbalancer", "outside"}): "ask a NodePort from the same host: if that works it is the load balancer",
    frozenset({"resolver", "dns"}): "ask the DNS Service's address for the full name from the same pod",
}


def apart(_look: Look, first: str, second: str) -> str:
    """What would tell two causes apart."""
    told = _APART.get(frozenset({kind_of(first), kind_of(second)}))
    return told or f"look at {kind_of(first).replace('/', ' ')} and {kind_of(second).replace('/', ' ')} by themselves"
