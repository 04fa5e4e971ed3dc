# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Private to this collection: may change in any release.
"""What stands behind a Service: its EndpointSlices joined with pods and nodes, and what is still missing. Pure."""

from __future__ import annotations

import typing as t

from ..kube.selector import labels_text
from . import service as svc
from .rollout import Cause, Progress, pod_causes

Object = dict[str, t.Any]

SERVICE_LABEL = "kubernetes.io/service-name"
# What clients may have to wait for.
WAIT_FOR = ("endpoints", "load_balancer")
_ZONE_LABEL = "topology.kubernetes.io/zone"
_FAMILY = {False: "IPv4", True: "IPv6"}


def join(slices: t.Iterable[Object], pods: t.Iterable[Object], nodes: t.Iterable[Object]) -> list[Object]:
    """One record per address, in the order of their addresses."""
    zones = {node["metadata"]["name"]: (node["metadata"].get("labels") or {}).get(_ZONE_LABEL) for node in nodes}
    by_uid = {pod["metadata"]["uid"]: pod for pod in pods}
    records = [
        _record(piece, endpoint, address, by_uid, zones)
        for piece in slices
        for endpoint in piece.get("endpoints") or []
        for address in endpoint["addresses"]
    ]
    return sorted(records, key=lambda record: (record["family"], record["address"], record["slice"]))


def describe(service: Object, slices: list[Object], pods: list[Object], nodes: list[Object]) -> Object:
    """A Service with everything behind it, as data for people and templates."""
    spec = service["spec"]
    addresses = spec.get("clusterIPs") or []
    return {
        "headless": addresses == [svc.HEADLESS],
        "cluster_ips": [address for address in addresses if address != svc.HEADLESS],
        "node_ports": [
            {
                "name": port.get("name") or "",
                "port": port["port"],
                "protocol": port["protocol"],
                "node_port": port["nodePort"],
            }
            for port in spec.get("ports") or []
            if port.get("nodePort")
        ],
        "load_balancer": load_balancer_addresses(service),
        "endpoints": join(slices, pods, nodes),
        "pods": [_describe_pod(pod) for pod in pods],
    }


def describe_nodes(nodes: t.Iterable[Object]) -> list[Object]:
    """Name, zone and ranges of pod addresses of each node."""
    return [
        {
            "name": node["metadata"]["name"],
            "zone": (node["metadata"].get("labels") or {}).get(_ZONE_LABEL),
            "pod_cidrs": (node.get("spec") or {}).get("podCIDRs") or [],
        }
        for node in nodes
    ]


def _describe_pod(pod: Object) -> Object:
    status = pod.get("status") or {}
    return {
        "name": pod["metadata"]["name"],
        "phase": status.get("phase"),
        "ready": is_ready(pod),
        "terminating": "deletionTimestamp" in pod["metadata"],
        "node": pod["spec"].get("nodeName"),
        "addresses": [item["ip"] for item in status.get("podIPs") or []],
    }


def _record(
    piece: Object, endpoint: Object, address: str, pods: dict[str, Object], zones: dict[str, str | None]
) -> Object:
    target = endpoint.get("targetRef") or {}
    pod = pods.get(target.get("uid", ""))
    node = endpoint.get("nodeName")
    conditions = endpoint.get("conditions") or {}
    return {
        "address": address,
        "family": piece["addressType"],
        "ready": _is_ready(endpoint),
        "serving": conditions.get("serving", _is_ready(endpoint)),
        "terminating": bool(conditions.get("terminating")),
        "pod": target.get("name") if target.get("kind") == "Pod" else None,
        "pod_exists": pod is not None,
        "node": node,
        "zone": endpoint.get("zone") or zones.get(node or ""),
        "ports": [
            {"name": port.get("name") or "", "port": port.get("port"), "protocol": port.get("protocol", "TCP")}
            for port in piece.get("ports") or []
        ],
        "slice": piece["metadata"]["name"],
    }


def _is_ready(endpoint: Object) -> bool:
    # Unknown counts as ready, says the API.
    return (endpoint.get("conditions") or {}).get("ready") is not False


def ready_addresses(slices: t.Iterable[Object]) -> list[str]:
    """Addresses that take new connections."""
    return sorted({record["address"] for record in join(slices, [], []) if record["ready"]})


# --- waiting ------------------------------------------------------------------------------------------------------


def has_selected_endpoints(service: Object) -> bool:
    """Whether a controller fills the Service's EndpointSlices from pods."""
    spec = service["spec"]
    return bool(spec.get("selector")) and spec.get("type") != svc.EXTERNAL_NAME


def assess(
    service: Object, slices: list[Object], pods: list[Object], wait_for: t.Collection[str] = WAIT_FOR
) -> Progress:
    """Judge from one consistent view whether clients can use the Service.

    They can when at least one of the selected pods is ready, each ready one is a ready endpoint of each of the
    Service's IP families, and a load balancer has an address. Pods that cannot start are causes only when there is
    no other: one of two is enough for a Service.
    """
    missing, causes = [], []
    if "endpoints" in wait_for and has_selected_endpoints(service):
        live = [pod for pod in pods if is_live(pod)]
        gap = _gap(service, slices, live)
        missing.append(gap)
        causes = _causes(service, live, gap) if gap else []
    if "load_balancer" in wait_for and waits_for_load_balancer(service):
        missing.append("the load balancer has no address")
    waiting_for = " and ".join(part for part in missing if part)
    return Progress(not waiting_for, waiting_for, tuple(causes))


def _gap(service: Object, slices: list[Object], pods: list[Object]) -> str:
    if not pods:
        return f"selector {labels_text(service['spec']['selector'])} matches 0 pods"
    anyhow = bool(service["spec"].get("publishNotReadyAddresses"))
    ready = [pod for pod in pods if (_addresses(pod) if anyhow else is_ready(pod))]
    if not ready:
        return f"0 of {len(pods)} selected pods are ready"
    ports = service["spec"].get("ports") or []
    # A slice without ports is no use, unless the Service (a headless one) has none either.
    usable = [piece for piece in slices if piece.get("ports") or not ports]
    served = {
        (piece["addressType"], endpoint["targetRef"]["uid"])
        for piece in usable
        for endpoint in piece.get("endpoints") or []
        if endpoint.get("targetRef") and _is_ready(endpoint)
    }
    families = service["spec"].get("ipFamilies") or ["IPv4"]
    wanted = {(family, pod["metadata"]["uid"]) for pod in ready for family in families if family in _addresses(pod)}
    left = {uid for _family, uid in wanted - served}
    if left or not wanted:
        return f"{len(ready) - len(left)} of {len(ready)} ready pods are endpoints"
    nowhere = [str(port["port"]) for port in ports if not any(_leads(port, piece) for piece in usable)]
    return f"port {', '.join(nowhere)} has no endpoint" if nowhere else ""


def _leads(port: Object, piece: Object) -> bool:
    """Whether a slice serves a port of the Service. Pods may differ in what they call their ports, so one is enough."""
    target = port.get("targetPort", port["port"])
    return any(
        (item.get("name") or "") == (port.get("name") or "") and (isinstance(target, str) or item.get("port") == target)
        for item in piece.get("ports") or []
    )


def _causes(service: Object, pods: list[Object], gap: str) -> list[Cause]:
    if not pods:
        return [Cause("NothingSelected", gap)]
    stuck = [pod_causes(pod) for pod in pods]
    # A pod that waits for a node is not lost: one may come.
    if all(any(not cause.node_may_come for cause in causes) for causes in stuck):
        return [cause for causes in stuck for cause in causes if not cause.node_may_come]
    return _lost_ports(service, pods)


def _lost_ports(service: Object, pods: list[Object]) -> list[Cause]:
    """A port that leads to a name which no container has makes no endpoint at all."""
    known = sorted(set().union(*(_port_names(pod) for pod in pods)))
    return [
        Cause(
            "NoSuchPort",
            f"port {port['port']} has target port {port['targetPort']!r}, but no container of the {len(pods)} selected "
            f"pods has a port of that name; they have {', '.join(known) or 'no named ports'}",
        )
        for port in service["spec"].get("ports") or []
        if isinstance(port.get("targetPort"), str) and port["targetPort"] not in known
    ]


def is_live(pod: Object) -> bool:
    """Whether a pod counts at all: not on its way out, not run to its end."""
    return "deletionTimestamp" not in pod["metadata"] and pod.get("status", {}).get("phase") not in (
        "Succeeded",
        "Failed",
    )


def is_ready(pod: Object) -> bool:
    """Whether the kubelet says so."""
    conditions = pod.get("status", {}).get("conditions") or []
    return any(item["type"] == "Ready" and item["status"] == "True" for item in conditions)


def _addresses(pod: Object) -> set[str]:
    return {_FAMILY[":" in item["ip"]] for item in pod.get("status", {}).get("podIPs") or []}


def _port_names(pod: Object) -> set[str]:
    return {
        port["name"]
        for container in pod["spec"]["containers"]
        for port in container.get("ports") or []
        if port.get("name")
    }


def load_balancer_addresses(service: Object) -> list[str]:
    """IP addresses and host names that a load balancer was given."""
    ingress = (service.get("status", {}).get("loadBalancer") or {}).get("ingress") or []
    return [item.get("ip") or item.get("hostname") or "" for item in ingress]


def waits_for_load_balancer(service: Object) -> bool:
    """Whether a load balancer is wanted and has no address yet."""
    return service["spec"].get("type") == svc.LOAD_BALANCER and not load_balancer_addresses(service)


def load_balancer_cause(service: Object, events: list[Object]) -> str:
    """Why there is no address, as far as the objects tell."""
    if events:
        last = max(events, key=lambda item: str(item.get("lastTimestamp") or item.get("eventTime") or ""))
        return f"last event {last.get('reason')}: {last.get('message')}"
    wanted = service["spec"].get("loadBalancerClass")
    controller = f"of class {wanted}" if wanted else "for Services without a class"
    return f"no controller has touched it; is a load balancer controller {controller} running in this cluster?"
