# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Private to this collection: may change in any release.
"""A Service out of options, as `kubectl expose` would make it where they say nothing. Pure: no I/O.

The order in which the module calls these: :func:`check` before any request; :func:`wants_deployment` once the
live Service is known; :func:`derive` when it says so; :func:`build` for the object to apply.
"""

from __future__ import annotations

import typing as t
from collections import Counter
from dataclasses import dataclass, field

from ..kube.errors import OptionError
from ..kube.owned import Keyed, Whole, without_nothing
from . import values

Object = dict[str, t.Any]
Params = t.Mapping[str, t.Any]

CLUSTER_IP, NODE_PORT, LOAD_BALANCER, EXTERNAL_NAME = "ClusterIP", "NodePort", "LoadBalancer", "ExternalName"
TYPES = (CLUSTER_IP, NODE_PORT, LOAD_BALANCER, EXTERNAL_NAME)
HEADLESS = "None"

# Options that are a field of the spec under the field's own name.
_SPEC_FIELDS = {
    "type": "type",
    "selector": "selector",
    "external_name": "externalName",
    "cluster_ip": "clusterIP",
    "cluster_ips": "clusterIPs",
    "ip_families": "ipFamilies",
    "ip_family_policy": "ipFamilyPolicy",
    "session_affinity": "sessionAffinity",
    "internal_traffic_policy": "internalTrafficPolicy",
    "external_traffic_policy": "externalTrafficPolicy",
    "traffic_distribution": "trafficDistribution",
    "publish_not_ready_addresses": "publishNotReadyAddresses",
    "external_ips": "externalIPs",
    "allocate_load_balancer_node_ports": "allocateLoadBalancerNodePorts",
    "load_balancer_class": "loadBalancerClass",
    "load_balancer_source_ranges": "loadBalancerSourceRanges",
    "load_balancer_ip": "loadBalancerIP",
    "health_check_node_port": "healthCheckNodePort",
}
_PORT_FIELDS = {"name": "name", "target_port": "targetPort", "app_protocol": "appProtocol", "node_port": "nodePort"}

# Options that mean something for some types only.
_WITH_ADDRESS = (CLUSTER_IP, NODE_PORT, LOAD_BALANCER)
_OUTSIDE = (NODE_PORT, LOAD_BALANCER)
_DUAL_STACK = ("PreferDualStack", "RequireDualStack")
_TYPES_OF = {
    "external_name": (EXTERNAL_NAME,),
    "cluster_ip": _WITH_ADDRESS,
    "cluster_ips": _WITH_ADDRESS,
    "ip_families": _WITH_ADDRESS,
    "ip_family_policy": _WITH_ADDRESS,
    "external_traffic_policy": _WITH_ADDRESS,  # ClusterIP with external_ips: see _check_related
    "allocate_load_balancer_node_ports": (LOAD_BALANCER,),
    "load_balancer_class": (LOAD_BALANCER,),
    "load_balancer_source_ranges": (LOAD_BALANCER,),
    "load_balancer_ip": (LOAD_BALANCER,),
    "health_check_node_port": (LOAD_BALANCER,),
}
_NODE_PORT_HINT = "most clusters allow 30000 to 32767"


# --- options ----------------------------------------------------------------------------------------------------


def check(params: Params) -> None:
    """Refuse what cannot work whatever is in the cluster.

    Raises:
        OptionError: with the option, what was given and what is expected.
    """
    values.dns_label("name", params["name"])
    values.dns_label("namespace", params["namespace"])
    for option in ("labels", "selector"):
        values.label_map(option, params[option] or {})
    values.annotation_map("annotations", params["annotations"] or {})
    _check_ports(params["ports"] or [])
    _check_addresses(params)
    _check_rest(params)
    _check_affinity(params)
    if params["type"]:
        _check_type(params, params["type"])


def _check_ports(ports: list[Params]) -> None:
    for index, port in enumerate(ports):
        at = f"ports[{index}]"
        values.port_number(f"{at}.port", port["port"])
        if port["name"] is not None:
            values.dns_label(f"{at}.name", port["name"])
        elif len(ports) > 1:
            raise values.refusal(f"{at}.name", None, "a name for each port when there are several")
        if port["target_port"] is not None:
            values.port_or_name(f"{at}.target_port", port["target_port"])
        if port["app_protocol"] is not None:
            values.qualified_name(f"{at}.app_protocol", port["app_protocol"])
        if port["node_port"] is not None:
            values.port_number(f"{at}.node_port", port["node_port"], _NODE_PORT_HINT)
    _check_unique("ports.name", [port["name"] for port in ports if port["name"]])
    _check_unique("ports", [f"{port['port']}/{port['protocol']}" for port in ports])
    _check_unique("ports.node_port", [f"{p['node_port']}/{p['protocol']}" for p in ports if p["node_port"]])


def _check_unique(option: str, items: list[str]) -> None:
    twice = [item for item, count in Counter(items).items() if count > 1]
    if twice:
        raise values.refusal(option, twice[0], "each at most once")


def _check_addresses(params: Params) -> None:
    for option in ("cluster_ip", "load_balancer_ip"):
        if params[option] not in (None, HEADLESS):
            values.address(option, params[option])
    for option in ("cluster_ips", "external_ips"):
        for index, item in enumerate(params[option] or []):
            if (option, item) != ("cluster_ips", HEADLESS):
                values.address(f"{option}[{index}]", item)
    for index, item in enumerate(params["load_balancer_source_ranges"] or []):
        values.network(f"load_balancer_source_ranges[{index}]", item)


def _check_rest(params: Params) -> None:
    _check_unique("ip_families", params["ip_families"] or [])
    if len(params["ip_families"] or []) == 2 and params["ip_family_policy"] == "SingleStack":
        raise values.refusal("ip_families", params["ip_families"], "one family with ip_family_policy SingleStack")
    if params["external_name"] is not None:
        values.dns_subdomain("external_name", params["external_name"].removesuffix("."))
    if params["load_balancer_class"] is not None:
        values.qualified_name("load_balancer_class", params["load_balancer_class"])
    if params["health_check_node_port"] is not None:
        values.port_number("health_check_node_port", params["health_check_node_port"], _NODE_PORT_HINT)


def _check_affinity(params: Params) -> None:
    seconds = params["session_affinity_timeout"]
    if seconds is None:
        return
    if not 1 <= seconds <= 86400:
        raise values.refusal("session_affinity_timeout", seconds, "1 to 86400 seconds")
    if params["session_affinity"] == "None":
        raise values.refusal("session_affinity_timeout", seconds, "nothing with session_affinity None")


def _check_type(params: Params, service_type: str) -> None:
    """Refuse options that mean nothing for this type; the API server would drop some without a word."""
    for option, types in _TYPES_OF.items():
        if params[option] not in (None, []) and service_type not in types:
            raise _unfit(option, params[option], service_type, types)
    for index, port in enumerate(params["ports"] or []):
        if port["node_port"] and service_type not in _OUTSIDE:
            raise _unfit(f"ports[{index}].node_port", port["node_port"], service_type, _OUTSIDE)
    if is_headless(params) and service_type in _OUTSIDE:
        raise values.refusal("cluster_ip", HEADLESS, f"an address or nothing with type {service_type}")
    if params["health_check_node_port"] and params["external_traffic_policy"] == "Cluster":
        raise values.refusal(
            "health_check_node_port", params["health_check_node_port"], "external_traffic_policy Local"
        )


def _unfit(option: str, given: object, service_type: str, types: tuple[str, ...]) -> OptionError:
    return values.refusal(
        option, given, f"nothing with type {service_type}", f"it belongs to type {' or '.join(types)}"
    )


def is_headless(params: Params) -> bool:
    """Whether the options ask for a Service without an address of its own."""
    return HEADLESS in (params["cluster_ip"], *(params["cluster_ips"] or []))


# --- against the live Service -------------------------------------------------------------------------------------


def check_change(params: Params, live: Object | None) -> None:
    """Refuse what cannot work on the Service as it is (None: it does not exist yet)."""
    spec = (live or {}).get("spec", {})
    service_type = params["type"] or spec.get("type") or CLUSTER_IP
    if not params["type"]:
        _check_type(params, service_type)
    _check_related(params, spec, service_type)
    if live is not None:
        _check_immutable(params, live, service_type)


def _check_related(params: Params, spec: Object, service_type: str) -> None:
    """Options that need another one, given now or on an earlier run."""
    if service_type == EXTERNAL_NAME and not (params["external_name"] or spec.get("externalName")):
        raise values.refusal("external_name", params["external_name"], "a DNS name with type ExternalName")
    headless = is_headless(params) or spec.get("clusterIP") == HEADLESS
    if params["ports"] == [] and service_type != EXTERNAL_NAME and not headless:
        raise values.refusal("ports", [], "at least one port, unless the Service is headless")
    external_ips = spec.get("externalIPs") if params["external_ips"] is None else params["external_ips"]
    if params["external_traffic_policy"] and service_type == CLUSTER_IP and not external_ips:
        raise _unfit("external_traffic_policy", params["external_traffic_policy"], service_type, _OUTSIDE)
    affinity = params["session_affinity"] or spec.get("sessionAffinity")
    if params["session_affinity_timeout"] is not None and affinity != "ClientIP":
        raise values.refusal(
            "session_affinity_timeout", params["session_affinity_timeout"], "session_affinity ClientIP with it"
        )


def _check_immutable(params: Params, live: Object, service_type: str) -> None:
    """The API server assigns some fields once and for all; say so before the write and say what helps."""
    spec = live["spec"]
    if EXTERNAL_NAME in (service_type, spec.get("type")):
        return  # the one way by which an address comes and goes
    if spec.get("clusterIP") == HEADLESS and service_type in _OUTSIDE:
        raise _fixed("type", live, "clusterIP", HEADLESS, f"an address, as type {service_type} needs one")
    fixed = {option: _SPEC_FIELDS[option] for option in ("cluster_ip", "cluster_ips", "ip_families")}
    if service_type == LOAD_BALANCER == spec.get("type"):
        fixed |= {option: _SPEC_FIELDS[option] for option in ("load_balancer_class", "health_check_node_port")}
        if "healthCheckNodePort" not in spec:  # assigned when the policy becomes Local
            del fixed["health_check_node_port"]
    for option, path in fixed.items():
        wanted, observed = params[option], spec.get(path)
        # A second address or family may come and go, the first may not.
        if wanted and _first(wanted) != _first(observed):
            raise _fixed(option, live, path, observed, wanted)


def _first(value: t.Any) -> t.Any:
    return value[0] if isinstance(value, list) and value else value


def _fixed(option: str, live: Object, path: str, observed: object, wanted: object) -> OptionError:
    name = f"{live['metadata']['namespace']}/{live['metadata']['name']}"
    return OptionError(
        f"{option}: Service {name} has spec.{path} {_plain(observed)}, wanted {_plain(wanted)}; this cannot change "
        "while the Service lives: leave the option out, or remove the Service with state absent first (its clients "
        "then need the new address)",
        option=option,
        observed=observed,
        expected=wanted,
    )


def _plain(value: object) -> str:
    if value is None:
        return "unset"
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)


# --- as kubectl expose ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Derived:
    """What `kubectl expose deployment` takes from the Deployment."""

    selector: dict[str, str] = field(default_factory=dict)
    ports: tuple[Object, ...] = ()
    labels: dict[str, str] = field(default_factory=dict)


def wants_deployment(params: Params, live: Object | None) -> bool:
    """Whether selector or ports must be derived: for a new Service, or one that was a mere name until now."""
    before = live["spec"].get("type") if live else None
    if (params["type"] or before) == EXTERNAL_NAME or before not in (None, EXTERNAL_NAME):
        return False
    return params["selector"] is None or params["ports"] is None


def derive(deployment: Object, params: Params) -> Derived:
    """Selector, ports and labels of a Deployment, by the rules of `kubectl expose`.

    Raises:
        OptionError: the Deployment gives no selector or no ports, and the options neither.
    """
    ports = derive_ports(deployment) if params["ports"] is None else []
    if params["ports"] is None and not ports and not is_headless(params):
        raise OptionError(
            f"ports: none given, and the containers of {_deployment(deployment)} declare none; give ports, or "
            "cluster_ip 'None' for a headless Service"
        )
    selector = derive_selector(deployment) if params["selector"] is None else {}
    return Derived(selector, tuple(ports), deployment["metadata"].get("labels") or {})


def derive_selector(deployment: Object) -> dict[str, str]:
    """The Deployment's matchLabels; a Service cannot say what matchExpressions say."""
    selector = deployment["spec"].get("selector") or {}
    if selector.get("matchExpressions"):
        keys = ", ".join(f"{item['key']} {item['operator']}" for item in selector["matchExpressions"])
        raise OptionError(
            f"selector: none given, and that of {_deployment(deployment)} has matchExpressions ({keys}), which a "
            "Service cannot express; give a selector of labels"
        )
    if not selector.get("matchLabels"):
        raise OptionError(f"selector: none given, and {_deployment(deployment)} has no matchLabels; give a selector")
    return dict(selector["matchLabels"])


def derive_ports(deployment: Object) -> list[Object]:
    """One Service port per container port; named by position, and only when there are several."""
    protocols: dict[int, list[str]] = {}
    for container in deployment["spec"]["template"]["spec"]["containers"]:
        for port in container.get("ports") or []:
            known = protocols.setdefault(port["containerPort"], [])
            protocol = port.get("protocol") or "TCP"
            if protocol not in known:
                known.append(protocol)
    return [
        {"port": number, "protocol": protocol, "targetPort": number}
        | _port_name(position, protocol, several, protocols)
        for position, (number, several) in enumerate(protocols.items(), start=1)
        for protocol in several
    ]


def _port_name(position: int, protocol: str, several: list[str], ports: Object | dict[int, list[str]]) -> Object:
    if len(several) > 1:
        return {"name": f"port-{position}-{protocol.lower()}"}
    return {"name": f"port-{position}"} if len(ports) > 1 else {}


def _deployment(deployment: Object) -> str:
    return f"Deployment {deployment['metadata']['namespace']}/{deployment['metadata']['name']}"


# --- the object -----------------------------------------------------------------------------------------------------


def build(params: Params, live: Object | None = None, derived: Derived | None = None) -> Object:
    """The Service to apply: what the options say, and for what they leave out, what was derived."""
    derived = derived or Derived()
    labels = derived.labels or None if params["labels"] is None else values.label_map("labels", params["labels"])
    annotations = params["annotations"]
    metadata = {
        "name": params["name"],
        "namespace": params["namespace"],
        "labels": None if labels is None else Whole(labels),
        "annotations": None if annotations is None else Whole(values.annotation_map("annotations", annotations)),
    }
    spec = {path: params[option] for option, path in _SPEC_FIELDS.items()}
    selector = derived.selector or None if params["selector"] is None else params["selector"]
    ports = list(derived.ports) or None if params["ports"] is None else [_build_port(port) for port in params["ports"]]
    spec["selector"] = None if selector is None else Whole(values.label_map("selector", selector))
    spec["ports"] = None if ports is None else Keyed(("port", "protocol"), ports, whole=True)
    if params["session_affinity_timeout"] is not None:
        spec["sessionAffinityConfig"] = {"clientIP": {"timeoutSeconds": params["session_affinity_timeout"]}}
    if params["cluster_ips"]:
        spec["clusterIP"] = params["cluster_ips"][0]
    if live:
        spec |= _second(spec, live["spec"])
    if params["type"] and live:
        spec |= _outlived(params["type"], live["spec"])
    body: Object = without_nothing({"metadata": metadata, "spec": spec})
    return body


def _second(spec: Object, live: Object) -> Object:
    """The second family and its address, which the API server adds to the first where the policy is for both.

    They are released by the policy SingleStack alone (KEP-563), so to leave them out again would be refused.
    """
    if (spec["ipFamilyPolicy"] or live.get("ipFamilyPolicy")) not in _DUAL_STACK:
        return {}
    wanted = {path: spec[path] for path in ("clusterIPs", "ipFamilies") if spec[path]}
    return {path: live[path] for path, first in wanted.items() if (live.get(path) or [])[: len(first)] == first}


def _outlived(service_type: str, spec: Object) -> Object:
    """Fields of the former type that the API server neither drops by itself nor wants to see with the new one."""
    left: Object = {}
    if service_type != LOAD_BALANCER and spec.get("loadBalancerSourceRanges"):
        left["loadBalancerSourceRanges"] = []
    if service_type != EXTERNAL_NAME and spec.get("externalName"):
        left["externalName"] = ""
    return left


def _build_port(port: Params) -> Object:
    result: Object = {"port": port["port"], "protocol": port["protocol"]}
    result |= {path: port[option] for option, path in _PORT_FIELDS.items() if port[option] is not None}
    if "targetPort" in result:
        result["targetPort"] = values.port_or_name("target_port", result["targetPort"])
    return result
