# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""API objects of a healthy cluster as kubeadm sets it up, for the checks that read the surroundings."""

from __future__ import annotations

import copy
import typing as t

from ansible_collections.plumbline.kubernetes.plugins.module_utils.connectivity.facts import Facts, reduced

Body = dict[str, t.Any]
CREATED = "2026-11-23T10:00:00Z"
NODES = ("node-1", "node-2", "node-3")

COREFILE = """.:53 {
    errors
    health {
       lameduck 5s
    }
    ready
    kubernetes cluster.local in-addr.arpa ip6.arpa {
       pods insecure
       fallthrough in-addr.arpa ip6.arpa
       ttl 30
    }
    prometheus :9153
    forward . /etc/resolv.conf {
       max_concurrent 1000
    }
    cache 30 {
       disable success cluster.local
    }
    loop
    reload
}
"""
DNS_PORTS = (
    {"name": "dns", "containerPort": 53, "protocol": "UDP"},
    {"name": "dns-tcp", "containerPort": 53, "protocol": "TCP"},
)


def meta(name: str, namespace: str = "", **more: t.Any) -> Body:
    """Metadata."""
    place = {"namespace": namespace} if namespace else {}
    return {"name": name, "uid": f"uid-{name}", "creationTimestamp": CREATED, **place, **more}


def pod(
    name: str,
    node: str,
    container: str,
    owner: str,
    labels: t.Mapping[str, str],
    ports: t.Sequence[Body] = (),
    waiting: str = "",
    ready: bool = True,
    turned: str = CREATED,
) -> Body:
    """A pod of kube-system, ready for hours."""
    ready = ready and not waiting
    kind, _space, owner_name = owner.partition(" ")
    state: Body = {"waiting": {"reason": waiting}} if waiting else {"running": {"startedAt": CREATED}}
    return {
        "kind": "Pod",
        "metadata": meta(
            name,
            "kube-system",
            labels=dict(labels),
            ownerReferences=[{"kind": kind, "name": owner_name, "controller": True}],
        ),
        "spec": {"nodeName": node, "containers": [{"name": container, "ports": list(ports)}]},
        "status": {
            "phase": "Running",
            "podIPs": [{"ip": "10.244.0.9"}],
            "conditions": [
                {
                    "type": "Ready",
                    "status": "True" if ready else "False",
                    "reason": "" if ready else "ContainersNotReady",
                    "lastTransitionTime": turned,
                }
            ],
            "containerStatuses": [{"name": container, "state": state, "ready": ready, "restartCount": 0}],
        },
    }


def daemon_set(name: str, container: str, **spec: t.Any) -> Body:
    """A DaemonSet of kube-system."""
    template = {"metadata": {"labels": {"k8s-app": name}}, "spec": {"containers": [{"name": container}], **spec}}
    return {"kind": "DaemonSet", "metadata": meta(name, "kube-system"), "spec": {"template": template}}


def proxy(node: str, **changes: t.Any) -> Body:
    """The pod of kube-proxy on a node."""
    return pod(f"kube-proxy-{node}", node, "kube-proxy", "DaemonSet kube-proxy", {"k8s-app": "kube-proxy"}, **changes)


def agent(node: str, **changes: t.Any) -> Body:
    """The pod of kindnet on a node."""
    return pod(f"kindnet-{node}", node, "kindnet-cni", "DaemonSet kindnet", {"k8s-app": "kindnet"}, **changes)


def coredns(number: int, **changes: t.Any) -> Body:
    """A pod of CoreDNS."""
    labels = {"k8s-app": "kube-dns", "pod-template-hash": "x"}
    name = f"coredns-x-{number}"
    return pod(name, f"node-{number}", "coredns", "ReplicaSet coredns-x", labels, ports=DNS_PORTS, **changes)


def node(name: str, ready: str = "True", taints: t.Sequence[Body] = (), **conditions: str) -> Body:
    """A node, ready for hours."""
    found = [{"type": "Ready", "status": ready, "reason": "Kubelet", "lastTransitionTime": CREATED}]
    found += [{"type": kind, "status": status, "lastTransitionTime": CREATED} for kind, status in conditions.items()]
    labels = {"kubernetes.io/os": "linux"}
    spec = {"taints": list(taints)}
    return {"kind": "Node", "metadata": meta(name, labels=labels), "spec": spec, "status": {"conditions": found}}


def dns_service(selector: t.Mapping[str, str] | None = None, target: t.Any = 53, udp_only: bool = False) -> Body:
    """Service kube-dns."""
    ports = [
        {"name": "dns", "port": 53, "protocol": "UDP", "targetPort": target},
        {"name": "dns-tcp", "port": 53, "protocol": "TCP", "targetPort": 53},
    ]
    return {
        "kind": "Service",
        "metadata": meta("kube-dns", "kube-system"),
        "spec": {
            "type": "ClusterIP",
            "clusterIPs": ["10.96.0.10"],
            "selector": dict({"k8s-app": "kube-dns"} if selector is None else selector),
            "ports": ports[:1] if udp_only else ports,
        },
    }


def dns_deployment(replicas: int = 2) -> Body:
    """Deployment coredns."""
    template = {"metadata": {"labels": {"k8s-app": "kube-dns"}}, "spec": {"containers": [{"name": "coredns"}]}}
    spec = {"replicas": replicas, "template": template}
    return {"kind": "Deployment", "metadata": meta("coredns", "kube-system"), "spec": spec}


def service(name: str = "web", uid: str = "web-uid", **spec: t.Any) -> Body:
    """Service demo/web, as :func:`..builders.service` has it."""
    labels = spec.pop("labels", {})
    status = spec.pop("status", {})
    metadata = {**meta(name, "demo", labels=labels), "uid": uid, "finalizers": spec.pop("finalizers", [])}
    return {"kind": "Service", "metadata": metadata, "spec": {"type": "ClusterIP", **spec}, "status": status}


def corefile(text: str = COREFILE) -> Body:
    """The part `corefiles`."""
    return {"kind": "ConfigMap", "metadata": meta("coredns", "kube-system"), "text": text}


def dns_role(*resources: str) -> Body:
    """ClusterRole system:coredns."""
    rules = [
        {"apiGroups": [""], "resources": ["endpoints", "services", "pods", "namespaces"], "verbs": ["list", "watch"]},
        {"apiGroups": ["discovery.k8s.io"], "resources": list(resources), "verbs": ["list", "watch"]},
    ]
    return {"kind": "ClusterRole", "metadata": meta("system:coredns"), "rules": rules}


def parts(**changes: t.Iterable[Body]) -> dict[str, tuple[Body, ...]]:
    """The parts of a healthy cluster, with those given instead."""
    host_path = {"hostPath": {"path": "/etc/cni/net.d"}, "name": "cni"}
    found: dict[str, t.Iterable[Body]] = {
        "services": (service(),),
        "pods": (),
        "client_pods": (),
        "deployments": (),
        "statefulsets": (),
        "daemonsets": (),
        "events": (),
        "nodes": tuple(node(name) for name in NODES),
        "dns_services": (dns_service(),),
        "dns_deployments": (dns_deployment(),),
        "dns_daemonsets": (
            daemon_set("kube-proxy", "kube-proxy", hostNetwork=True),
            daemon_set(
                "kindnet",
                "kindnet-cni",
                hostNetwork=True,
                volumes=[host_path],
                tolerations=[{"operator": "Exists", "effect": "NoSchedule"}],
            ),
        ),
        "dns_pods": (*(make(name) for make in (proxy, agent) for name in NODES), coredns(1), coredns(2)),
        "corefiles": (corefile(),),
        "dns_role": (dns_role("endpointslices"),),
        "dns_role_binding": ({"kind": "ClusterRoleBinding", "metadata": meta("system:coredns")},),
        **changes,
    }
    plain = {name: tuple(copy.deepcopy(body) for body in bodies) for name, bodies in found.items()}
    # As gather reads them; the text of a Corefile is added after that.
    return {
        name: bodies if name == "corefiles" else tuple(reduced(body) for body in bodies)
        for name, bodies in plain.items()
    }


def facts(
    logs: t.Mapping[str, str] | None = None,
    missing: t.Mapping[str, str] | None = None,
    **changes: t.Iterable[Body],
) -> Facts:
    """What is known of a healthy cluster, with some parts changed or missing."""
    denied = missing or {}
    found = {name: bodies for name, bodies in parts(**changes).items() if name not in denied}
    healthy = {"kube-system/coredns-x-1/coredns": "[INFO] plugin/reload: Running configuration SHA512 = 1b\n"}
    # Nothing is told within two minutes.
    healthy |= {f"kube-system/kube-proxy-{name}/kube-proxy": "" for name in NODES}
    return Facts(found, denied, healthy if logs is None else logs)
