# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Private to this collection: may change in any release.
"""What a verification knows of the cluster: typed, frozen, and reduced to what the checks need.

Pure functions turn API objects into these values. Nothing secret is kept: no annotations, no values of environment
variables, no volumes. Two snapshots of an unchanged cluster are equal, so "did it change?" is a comparison.
"""

from __future__ import annotations

import ipaddress
import typing as t
from dataclasses import dataclass
from datetime import datetime

from ..app.endpoints import load_balancer_addresses

Body = t.Mapping[str, t.Any]

SERVICE_NAME = "kubernetes.io/service-name"
MANAGED_BY = "endpointslice.kubernetes.io/managed-by"
SLICE_CONTROLLER = "endpointslice-controller.k8s.io"
ZONE = "topology.kubernetes.io/zone"
POD_TEMPLATE_HASH = "pod-template-hash"


@dataclass(frozen=True, slots=True)
class ServicePort:
    """One port of a Service.

    Attributes:
        target_port: a number, or the name of a container port that is looked up on every pod.
    """

    name: str
    protocol: str
    port: int
    target_port: int | str
    node_port: int = 0
    app_protocol: str = ""

    @property
    def label(self) -> str:
        """As people name it: `http (8080/TCP)`."""
        number = f"{self.port}/{self.protocol}"
        return f"{self.name} ({number})" if self.name else number


@dataclass(frozen=True, slots=True)
class Service:
    """A Service; see `kubectl explain service.spec` for the fields of the same names.

    Attributes:
        ingress: addresses and host names that its load balancer was given.
        health_check_port: where nodes tell load balancers whether they have an endpoint; 0 where they do not.
    """

    namespace: str
    name: str
    uid: str
    created: datetime | None
    type: str
    selector: tuple[tuple[str, str], ...]
    cluster_ips: tuple[str, ...]
    headless: bool
    families: tuple[str, ...]
    ports: tuple[ServicePort, ...]
    internal_local: bool = False
    external_local: bool = False
    session_affinity: bool = False
    publish_not_ready: bool = False
    external_name: str = ""
    ingress: tuple[str, ...] = ()
    health_check_port: int = 0

    @property
    def label(self) -> str:
        """`Service demo/web`."""
        return f"Service {self.namespace}/{self.name}"

    @property
    def external(self) -> bool:
        """A mere DNS alias, without addresses and endpoints of its own."""
        return self.type == "ExternalName"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One endpoint of an EndpointSlice.

    Attributes:
        ports: `(name, protocol, number)` of its slice.
        node_hints, zone_hints: for which nodes and zones it is meant; empty where there are no hints.
    """

    address: str
    family: str
    slice: str
    managed_by: str
    ports: tuple[tuple[str, str, int], ...]
    ready: bool = True
    serving: bool = True
    terminating: bool = False
    node: str = ""
    pod: str = ""
    pod_uid: str = ""
    hostname: str = ""
    node_hints: frozenset[str] = frozenset()
    zone_hints: frozenset[str] = frozenset()

    @property
    def label(self) -> str:
        """The pod behind it with its address, or the bare address."""
        return f"{self.pod} ({self.address})" if self.pod else self.address

    def port(self, name: str, protocol: str = "TCP") -> int | None:
        """Number of the port that belongs to the Service's port `name`."""
        return next((number for n, p, number in self.ports if (n, p) == (name, protocol)), None)


@dataclass(frozen=True, slots=True)
class Container:
    """A container of a pod.

    Attributes:
        env: names of the variables that its spec sets; never the values.
        env_from: whether further names come from a ConfigMap or Secret.
        started: when the process that runs now was started.
        waiting: the reason why it does not run, e.g. `CrashLoopBackOff`.
        mounts: paths at which it mounts something.
    """

    name: str
    ports: tuple[tuple[str, str, int], ...] = ()
    env: frozenset[str] = frozenset()
    env_from: bool = False
    started: datetime | None = None
    waiting: str = ""
    mounts: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Pod:
    """A pod.

    Attributes:
        containers: the regular ones, in order.
        sidecars: init containers that keep running (restartPolicy Always).
        ready: the condition Ready is True.
        unready_reason: reason or message of the condition Ready when it is not.
        turned: last transition of that condition, so that a pod that was unready for a moment is not equal to itself.
        terminating: has a deletionTimestamp.
    """

    namespace: str
    name: str
    uid: str
    labels: tuple[tuple[str, str], ...] = ()
    node: str = ""
    ips: tuple[str, ...] = ()
    phase: str = "Running"
    ready: bool = True
    unready_reason: str = ""
    turned: datetime | None = None
    terminating: bool = False
    host_network: bool = False
    hostname: str = ""
    subdomain: str = ""
    service_links: bool = True
    owner: str = ""
    containers: tuple[Container, ...] = ()
    sidecars: tuple[Container, ...] = ()

    @property
    def label(self) -> str:
        """`Pod demo/web-1`."""
        return f"Pod {self.namespace}/{self.name}"

    @property
    def finished(self) -> bool:
        """Succeeded or Failed: its containers never run again."""
        return self.phase in ("Succeeded", "Failed")

    def address(self, family: str) -> str:
        """Its address of `family`, or an empty string."""
        return next((ip for ip in self.ips if family_of(ip) == family), "")

    def declared(self, protocol: str) -> frozenset[int]:
        """The ports of `protocol` that its containers declare."""
        containers = (*self.containers, *self.sidecars)
        return frozenset(number for container in containers for _name, p, number in container.ports if p == protocol)


@dataclass(frozen=True, slots=True)
class Node:
    """A node.

    Attributes:
        addresses: its InternalIPs.
        cordoned: `spec.unschedulable`.
        provider: who runs it, e.g. `kind`: the scheme of `spec.providerID`.
    """

    name: str
    ready: bool = True
    cordoned: bool = False
    zone: str = ""
    addresses: tuple[str, ...] = ()
    provider: str = ""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One consistent look at everything a verification of one Service needs.

    Attributes:
        service: None where there is no such Service.
        pods: those that the Service's selector selects.
        strangers: other pods of the namespace; read only when the selector selects none.
        dns, dns_endpoints, dns_pods: the cluster's DNS Service and what is behind it.
        api_server: the Service `kubernetes`, a control that needs no name.
        missing: why a part is empty: kind of thing -> `cannot list nodes: ...`.
    """

    service: Service | None = None
    endpoints: tuple[Endpoint, ...] = ()
    slices: tuple[str, ...] = ()
    pods: tuple[Pod, ...] = ()
    strangers: tuple[Pod, ...] = ()
    nodes: tuple[Node, ...] = ()
    dns: Service | None = None
    dns_endpoints: tuple[Endpoint, ...] = ()
    api_server: Service | None = None
    missing: tuple[tuple[str, str], ...] = ()

    def why_missing(self, part: str) -> str:
        """Why `part` (e.g. `nodes`) could not be read, or an empty string."""
        return dict(self.missing).get(part, "")

    def pod(self, uid: str) -> Pod | None:
        """The pod with this uid."""
        return next((pod for pod in self.pods if pod.uid == uid), None)

    def node(self, name: str) -> Node | None:
        """The node of this name."""
        return next((node for node in self.nodes if node.name == name), None)


# ----- out of API objects


def service(body: Body) -> Service:
    """A Service out of its API object."""
    metadata, spec = _metadata(body), body.get("spec") or {}
    ips = tuple(spec.get("clusterIPs") or ([spec["clusterIP"]] if spec.get("clusterIP") else []))
    headless = "None" in ips
    addresses = tuple(ip for ip in ips if ip and ip != "None")
    return Service(
        namespace=metadata.get("namespace", ""),
        name=metadata.get("name", ""),
        uid=metadata.get("uid", ""),
        created=when(metadata.get("creationTimestamp")),
        type=spec.get("type") or "ClusterIP",
        selector=_pairs(spec.get("selector")),
        cluster_ips=addresses,
        headless=headless,
        families=tuple(spec.get("ipFamilies") or dict.fromkeys(family_of(ip) for ip in addresses)),
        ports=tuple(_service_port(port) for port in spec.get("ports") or []),
        internal_local=spec.get("internalTrafficPolicy") == "Local",
        external_local=spec.get("externalTrafficPolicy") == "Local",
        session_affinity=spec.get("sessionAffinity") == "ClientIP",
        publish_not_ready=bool(spec.get("publishNotReadyAddresses")),
        external_name=spec.get("externalName") or "",
        ingress=tuple(address for address in load_balancer_addresses(dict(body)) if address),
        health_check_port=int(spec.get("healthCheckNodePort") or 0),
    )


def _service_port(port: Body) -> ServicePort:
    return ServicePort(
        name=port.get("name") or "",
        protocol=port.get("protocol") or "TCP",
        port=int(port["port"]),
        target_port=port.get("targetPort") or int(port["port"]),
        node_port=int(port.get("nodePort") or 0),
        app_protocol=port.get("appProtocol") or "",
    )


def endpoints(body: Body) -> tuple[Endpoint, ...]:
    """The endpoints of an EndpointSlice out of its API object, one per address.

    Conditions that are not set count as consumers must take them (discovery/v1 EndpointConditions): ready unknown is
    ready, serving unknown is as ready, terminating unknown is not terminating.
    """
    metadata = _metadata(body)
    ports = tuple(
        sorted(
            (port.get("name") or "", port.get("protocol") or "TCP", int(port["port"]))
            for port in body.get("ports") or []
            if port.get("port") is not None
        )
    )
    return tuple(
        Endpoint(
            address=address,
            family=body.get("addressType") or family_of(address),
            slice=metadata.get("name", ""),
            managed_by=(metadata.get("labels") or {}).get(MANAGED_BY, ""),
            ports=ports,
            **_endpoint_state(item),
        )
        for item in body.get("endpoints") or []
        for address in item.get("addresses") or []
    )


def _endpoint_state(item: Body) -> dict[str, t.Any]:
    conditions, hints, target = item.get("conditions") or {}, item.get("hints") or {}, item.get("targetRef") or {}
    ready = conditions.get("ready") is not False
    is_pod = target.get("kind") == "Pod"
    return {
        "ready": ready,
        "serving": ready if conditions.get("serving") is None else bool(conditions["serving"]),
        "terminating": bool(conditions.get("terminating")),
        "node": item.get("nodeName") or "",
        "pod": target.get("name", "") if is_pod else "",
        "pod_uid": target.get("uid", "") if is_pod else "",
        "hostname": item.get("hostname") or "",
        "node_hints": frozenset(hint["name"] for hint in hints.get("forNodes") or []),
        "zone_hints": frozenset(hint["name"] for hint in hints.get("forZones") or []),
    }


def pod(body: Body) -> Pod:
    """A Pod out of its API object."""
    metadata, spec, status = _metadata(body), body.get("spec") or {}, body.get("status") or {}
    condition: Body = next((c for c in status.get("conditions") or [] if c.get("type") == "Ready"), {})
    ready = condition.get("status") == "True"
    statuses = {item["name"]: item for item in status.get("containerStatuses") or []}
    statuses |= {item["name"]: item for item in status.get("initContainerStatuses") or []}
    ips = [item["ip"] for item in status.get("podIPs") or [] if item.get("ip")]
    if not ips and status.get("podIP"):
        ips = [status["podIP"]]
    return Pod(
        namespace=metadata.get("namespace", ""),
        name=metadata.get("name", ""),
        uid=metadata.get("uid", ""),
        labels=_pairs(metadata.get("labels")),
        node=spec.get("nodeName") or "",
        ips=tuple(ips),
        phase=status.get("phase") or "Pending",
        ready=ready,
        unready_reason="" if ready else _unready_reason(condition, list(statuses.values())),
        turned=when(condition.get("lastTransitionTime")),
        terminating=bool(metadata.get("deletionTimestamp")),
        host_network=bool(spec.get("hostNetwork")),
        hostname=spec.get("hostname") or "",
        subdomain=spec.get("subdomain") or "",
        service_links=spec.get("enableServiceLinks") is not False,
        owner=owner_of(metadata),
        containers=tuple(_container(item, statuses) for item in spec.get("containers") or []),
        sidecars=tuple(
            _container(item, statuses)
            for item in spec.get("initContainers") or []
            if item.get("restartPolicy") == "Always"
        ),
    )


def _container(spec: Body, statuses: t.Mapping[str, Body]) -> Container:
    state = (statuses.get(spec["name"]) or {}).get("state") or {}
    return Container(
        name=spec["name"],
        ports=tuple(
            (port.get("name") or "", port.get("protocol") or "TCP", int(port["containerPort"]))
            for port in spec.get("ports") or []
        ),
        env=frozenset(item["name"] for item in spec.get("env") or []),
        env_from=bool(spec.get("envFrom")),
        started=when((state.get("running") or {}).get("startedAt")),
        waiting=(state.get("waiting") or {}).get("reason", ""),
        mounts=frozenset(item["mountPath"].rstrip("/") for item in spec.get("volumeMounts") or []),
    )


def _unready_reason(condition: Body, statuses: t.Sequence[Body]) -> str:
    """Why a pod is not ready: what its containers wait for, or ended with, says more than the condition does."""
    reasons = []
    for state in ((item.get("state") or {}) for item in statuses):
        ended = state.get("terminated") or {}
        if (state.get("waiting") or {}).get("reason"):
            reasons.append(state["waiting"]["reason"])
        elif ended.get("exitCode"):
            reasons.append(f"{ended.get('reason') or 'ended'} (exit code {ended['exitCode']})")
    return ", ".join(dict.fromkeys(reasons)) or condition.get("message") or condition.get("reason") or "not started"


def owner_of(metadata: Body) -> str:
    """The workload a pod belongs to; the Deployment behind a ReplicaSet is told by the template hash in its name."""
    owner = next((ref for ref in metadata.get("ownerReferences") or [] if ref.get("controller")), None)
    if not owner:
        return ""
    kind, name = owner.get("kind", ""), owner.get("name", "")
    template_hash = (metadata.get("labels") or {}).get(POD_TEMPLATE_HASH)
    if kind == "ReplicaSet" and template_hash and name.endswith(f"-{template_hash}"):
        return f"Deployment {name[: -len(template_hash) - 1]}"
    return f"{kind} {name}"


def node(body: Body) -> Node:
    """A Node out of its API object."""
    metadata, spec, status = _metadata(body), body.get("spec") or {}, body.get("status") or {}
    return Node(
        name=metadata.get("name", ""),
        ready=any(c.get("type") == "Ready" and c.get("status") == "True" for c in status.get("conditions") or []),
        cordoned=bool(spec.get("unschedulable")),
        zone=(metadata.get("labels") or {}).get(ZONE, ""),
        addresses=tuple(a["address"] for a in status.get("addresses") or [] if a.get("type") == "InternalIP"),
        provider=str(spec.get("providerID") or "").partition(":")[0],
    )


def _metadata(body: Body) -> Body:
    metadata: Body = body.get("metadata") or {}
    return metadata


def _pairs(labels: Body | None) -> tuple[tuple[str, str], ...]:
    return tuple(sorted((labels or {}).items()))


def when(stamp: str | None) -> datetime | None:
    """An API timestamp."""
    return datetime.fromisoformat(stamp) if stamp else None


def family_of(address: str) -> str:
    """`IPv4` or `IPv6`, as addressType and ipFamilies spell it; empty for what is no address."""
    try:
        return f"IPv{ipaddress.ip_address(address).version}"
    except ValueError:
        return ""


def host_port(address: str, port: int) -> str:
    """`10.0.0.1:80` or `[fd00::1]:80`."""
    return f"[{address}]:{port}" if family_of(address) == "IPv6" else f"{address}:{port}"


def snapshot(parts: t.Mapping[str, t.Sequence[Body]], missing: t.Mapping[str, str]) -> Snapshot:
    """A snapshot out of lists of API objects.

    Args:
        parts: by name, `service endpointslices pods nodes dns dns_endpoints api_server`; what is absent is empty.
        missing: why a part is absent.
    """

    def first(part: str) -> Service | None:
        return next((service(body) for body in parts.get(part, ())), None)

    slices = parts.get("endpointslices", ())
    return Snapshot(
        service=first("service"),
        endpoints=tuple(endpoint for body in slices for endpoint in endpoints(body)),
        slices=tuple(_metadata(body).get("name", "") for body in slices),
        pods=tuple(pod(body) for body in parts.get("pods", ())),
        nodes=tuple(node(body) for body in parts.get("nodes", ())),
        dns=first("dns"),
        dns_endpoints=tuple(endpoint for body in parts.get("dns_endpoints", ()) for endpoint in endpoints(body)),
        api_server=first("api_server"),
        missing=tuple(sorted(missing.items())),
    )


# ----- what the endpoint controllers would make of the pods


def target_port(pod: Pod, port: ServicePort) -> int | None:
    """The number that `port` leads to on `pod`; None where a named port is not there.

    As `findPort` of k8s.io/endpointslice/utils.go: a number is taken as it is (containerPort is documentation
    only), a name is looked up with its protocol in the containers, then in the sidecars.
    """
    if isinstance(port.target_port, int):
        return port.target_port
    for container in (*pod.containers, *pod.sidecars):
        for name, protocol, number in container.ports:
            if (name, protocol) == (port.target_port, port.protocol):
                return number
    return None


def target_ports(pod: Pod, service: Service) -> tuple[tuple[str, str, int], ...]:
    """`(name, protocol, number)` of every port that `service` has on `pod`, as an EndpointSlice lists them."""
    found = [(port.name, port.protocol, target_port(pod, port)) for port in service.ports]
    return tuple(sorted((name, protocol, number) for name, protocol, number in found if number is not None))


def belongs_in_endpoints(pod: Pod) -> bool:
    """Whether a selected pod appears in EndpointSlices at all.

    As `ShouldPodBeInEndpoints` of k8s.io/endpointslice/util/controller_utils.go with terminating pods included:
    not when it has finished, not without an address.
    """
    return not pod.finished and bool(pod.ips)


def is_ready_endpoint(pod: Pod, service: Service) -> bool:
    """Whether the endpoint of a selected pod is `ready`.

    As `podToEndpoint` of k8s.io/endpointslice/utils.go: the pod is Ready and not terminating, or the Service
    publishes addresses that are not ready.
    """
    return belongs_in_endpoints(pod) and (service.publish_not_ready or (pod.ready and not pod.terminating))
