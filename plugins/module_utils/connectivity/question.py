# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Private to this collection: may change in any release.
"""The question a verification answers: which Service, which checks, from where, and what is expected."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field

from ..kube.errors import OptionError
from .waivers import Waiver, waiver

LAYERS = ("endpoints", "environment", "dns", "http")
# Layers that are judged by the surroundings alone, without a probe.
SURROUNDINGS = ("workload", "service", "policy", "client", "infrastructure")
# What is judged from inside the nodes, where that is asked for.
NODE = "node"
# What is judged from the host that the task runs on, where that is asked for.
OUTSIDE = "outside"
# What is judged by what the API server is answered, where that is asked for.
API_PROXY = "api_proxy"

# Kinds of the clients' own workload.
WORKLOADS = ("Deployment", "StatefulSet", "DaemonSet")

_CLIENT: dict[str, dict[str, t.Any]] = {
    "namespace": {"type": "str"},
    "labels": {"type": "dict"},
    "workload": {"type": "str"},
    "service_account": {"type": "str"},
    "image": {"type": "str", "default": "python:3.14"},
    "image_pull_policy": {"type": "str", "choices": ["Always", "IfNotPresent", "Never"], "default": "IfNotPresent"},
    "image_pull_secrets": {"type": "list", "elements": "str", "default": [], "no_log": False},
}

_EXPECT: dict[str, dict[str, t.Any]] = {
    "status": {"type": "list", "elements": "int", "default": [200]},
    "path": {"type": "str", "default": "/"},
    "host": {"type": "str"},
    "contains": {"type": "list", "elements": "str", "default": []},
    "within_ms": {"type": "int"},
    "http_ports": {"type": "list", "elements": "str"},
    "identity_header": {"type": "str", "default": "Served-By"},
    "ready_endpoints": {"type": "int"},
    "min_nodes": {"type": "int"},
    "owner": {"type": "str"},
    "type": {"type": "str", "choices": ["ClusterIP", "ExternalName", "Headless", "LoadBalancer", "NodePort"]},
    "ports": {"type": "list", "elements": "str"},
    "resolves": {"type": "list", "elements": "str", "default": []},
    "refused_from": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {"namespace": {"type": "str"}, "labels": {"type": "dict", "default": {}}},
    },
}

_WAIVER: dict[str, dict[str, t.Any]] = {
    "id": {"type": "str", "required": True},
    "object": {"type": "str", "default": "*"},
    "until": {"type": "str", "required": True},
    "reason": {"type": "str", "required": True},
}

_TLS: dict[str, dict[str, t.Any]] = {
    "bundle": {"type": "str"},
    "bundle_config_map": {"type": "str"},
    "server_name": {"type": "str"},
    "names": {"type": "list", "elements": "str", "default": []},
    "secret": {"type": "str", "no_log": False},
    "mount_path": {"type": "str"},
    "minimum_days": {"type": "int", "default": 14},
    "minimum_version": {"type": "str", "choices": ["TLSv1.2", "TLSv1.3"], "default": "TLSv1.2"},
    "ports": {"type": "list", "elements": "str"},
}

# Further options of the modules that judge HTTP.
HTTP_OPTIONS: dict[str, dict[str, t.Any]] = {
    "tls": {
        "type": "dict",
        "options": _TLS,
        "apply_defaults": True,
        "mutually_exclusive": [["bundle", "bundle_config_map"]],
    },
    "outside": {"type": "bool", "default": False},
}

# Further options of `diagnose`.
DIAGNOSE_OPTIONS: dict[str, dict[str, t.Any]] = {
    "probe": {"type": "bool", "default": True},
    "api_proxy": {"type": "bool", "default": False},
    "read_logs": {"type": "str", "choices": ["none", "dns", "all"], "default": "dns"},
    "baseline": {"type": "path"},
    "node_level": {"type": "bool", "default": False},
    "node_namespace": {"type": "str", "default": "kube-system"},
}

# Argument spec that the five judging modules share; `verify` adds `checks`.
OPTIONS: dict[str, dict[str, t.Any]] = {
    "name": {"type": "str", "required": True, "aliases": ["service"]},
    "namespace": {"type": "str", "required": True},
    "nodes": {"type": "list", "elements": "str"},
    "max_nodes": {"type": "int", "default": 5},
    "client": {"type": "dict", "options": _CLIENT, "apply_defaults": True},
    "other_namespace": {"type": "str"},
    "expect": {"type": "dict", "options": _EXPECT, "apply_defaults": True},
    "cluster_domain": {"type": "str"},
    "dns_service": {"type": "str", "default": "kube-system/kube-dns"},
    "max_pods": {"type": "int", "default": 10},
    "timeout": {"type": "int", "default": 60},
    "waivers": {"type": "list", "elements": "dict", "default": [], "options": _WAIVER},
    "fail_on": {"type": "str", "choices": ["never", "fail", "inconclusive", "warn"], "default": "inconclusive"},
    "dest": {"type": "path"},
}


@dataclass(frozen=True, slots=True)
class Client:
    """The pod that asks, as far as others may judge it: network policies and meshes look at its labels and account."""

    namespace: str
    labels: t.Mapping[str, str] = field(default_factory=dict)
    service_account: str = ""
    image: str = ""
    image_pull_policy: str = "IfNotPresent"
    image_pull_secrets: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Expectations:
    """What a good answer looks like.

    Attributes:
        host: the Host header; the Service's name when empty.
        http_ports: names or numbers of the Service's ports that speak HTTP; None leaves it to the ports themselves.
        within_ms: how many milliseconds half of the answers may take at most, by each way; None accepts any number.
        identity_header: the response header by which a backend tells its own name, empty where none does.
        ready_endpoints: how many endpoints must be ready; None accepts any number but 0.
        min_nodes: over how many nodes they must be spread; None accepts any.
        owner: the workload all selected pods must belong to, e.g. `Deployment web`; empty accepts any.
        type: the type of the Service, or `Headless`; empty accepts any.
        ports: names or numbers of ports that the Service must have; None accepts any.
        resolves: further names that clients must find, e.g. of the outside world.
        refused_from: clients that must not get through, as (namespace, labels); policies are judged by them, and it is
            tried.
    """

    status: tuple[int, ...] = (200,)
    path: str = "/"
    host: str = ""
    contains: tuple[str, ...] = ()
    within_ms: int | None = None
    http_ports: tuple[str, ...] | None = None
    identity_header: str = "Served-By"
    ready_endpoints: int | None = None
    min_nodes: int | None = None
    owner: str = ""
    type: str = ""
    ports: tuple[str, ...] | None = None
    resolves: tuple[str, ...] = ()
    refused_from: tuple[tuple[str, t.Mapping[str, str]], ...] = ()


@dataclass(frozen=True, slots=True)
class Tls:
    """What TLS is judged by.

    Attributes:
        bundle: PEM text of the CA certificates that clients trust; empty where none is given.
        bundle_config_map: the ConfigMap to read it from.
        server_name: the name that clients verify; empty for the one that they connect to.
        names: further names and addresses that the certificate must be for.
        secret: the Secret whose certificate must be the one that is served.
        mount_path: where pods have that Secret mounted, to compare what is in the file; empty to leave that out.
        minimum_days: how long it must still be valid.
        minimum_version: the oldest version of the protocol that counts.
        ports: names or numbers of the Service's ports that speak HTTPS; None leaves it to the ports themselves.
    """

    bundle: str = ""
    bundle_config_map: str = ""
    server_name: str = ""
    names: tuple[str, ...] = ()
    secret: str = ""
    mount_path: str = ""
    minimum_days: int = 14
    minimum_version: str = "TLSv1.2"
    ports: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class Question:
    """One verification, as asked.

    Attributes:
        layers: which layers of checks to judge.
        nodes: client nodes by name; empty lets :func:`plan.client_nodes` choose at most `max_nodes`.
        other_namespace: where a second client asks from, empty for none.
        domain: the cluster's DNS domain; empty until it is known.
        dns: namespace and name of the cluster's DNS Service.
        max_pods: in how many pods the environment is read.
        timeout: seconds for everything.
        ask: whether clients may be started to ask; else the API alone is judged.
        workload: the clients' own workload, e.g. `Deployment shop`; empty where none is given.
        logs: of which containers log lines may be read: `none`, `dns` or `all`.
        unasked: why no client may be started, where it is not the user who wanted it so.
        waivers: complaints that are accepted for a time.
        causes: whether to say what is the cause of what; takes some further probes.
        node_namespace: where the pods run that look at nodes from inside; layer `node` asks for them.

    Layer `outside` lets the host of the task be a client too, and layer `api_proxy` the API server.
    """

    namespace: str
    name: str
    client: Client
    layers: tuple[str, ...] = LAYERS
    nodes: tuple[str, ...] = ()
    max_nodes: int = 5
    other_namespace: str = ""
    expect: Expectations = field(default_factory=Expectations)
    tls: Tls = field(default_factory=Tls)
    domain: str = ""
    dns: tuple[str, str] = ("kube-system", "kube-dns")
    max_pods: int = 10
    timeout: float = 60.0
    ask: bool = True
    workload: str = ""
    logs: str = "dns"
    unasked: str = ""
    waivers: tuple[Waiver, ...] = ()
    causes: bool = False
    node_namespace: str = "kube-system"

    @property
    def probes(self) -> bool:
        """Whether answering needs probe pods."""
        without = ("environment", OUTSIDE, API_PROXY, *SURROUNDINGS)
        return self.ask and any(layer not in without for layer in self.layers)

    @property
    def surroundings(self) -> bool:
        """Whether answering needs more than the Service and what is behind it."""
        return bool(self.workload) or any(layer in SURROUNDINGS for layer in self.layers)


def question(params: t.Mapping[str, t.Any], layers: t.Sequence[str], *, causes: bool = False) -> Question:
    """The question out of a module's parameters.

    Raises:
        OptionError: a value cannot work.
    """
    client, expect = dict(params["client"] or {}), dict(params["expect"] or {})
    for option in ("timeout", "max_nodes", "max_pods"):
        if params[option] < 1:
            raise OptionError(f"{option}: {params[option]} given, at least 1 expected")
    inside = bool(params.get("node_level"))
    further = {NODE: inside, OUTSIDE: bool(params.get("outside")), API_PROXY: bool(params.get("api_proxy"))}
    if inside and not params["probe"]:
        raise OptionError("node_level: nodes are looked at from pods, and probe: false given")
    if not expect["path"].startswith("/"):
        raise OptionError(f"expect.path: {expect['path']!r} given, a path that starts with / expected")
    return Question(
        namespace=params["namespace"],
        name=params["name"],
        client=Client(
            namespace=client["namespace"] or params["namespace"],
            labels=_labels(client["labels"]),
            service_account=client["service_account"] or "",
            image=client["image"],
            image_pull_policy=client["image_pull_policy"],
            image_pull_secrets=tuple(client["image_pull_secrets"]),
        ),
        layers=_layers(layers, further),
        nodes=tuple(dict.fromkeys(params["nodes"] or ())),
        max_nodes=params["max_nodes"],
        other_namespace=params["other_namespace"] or "",
        expect=Expectations(
            status=tuple(expect["status"]),
            path=expect["path"],
            host=expect["host"] or "",
            contains=tuple(expect["contains"]),
            within_ms=expect["within_ms"],
            http_ports=None if expect["http_ports"] is None else tuple(expect["http_ports"]),
            identity_header=expect["identity_header"] or "",
            ready_endpoints=expect["ready_endpoints"],
            min_nodes=expect["min_nodes"],
            owner=expect["owner"] or "",
            type=expect["type"] or "",
            ports=None if expect["ports"] is None else tuple(expect["ports"]),
            resolves=tuple(dict.fromkeys(expect["resolves"])),
            refused_from=tuple(
                (refused["namespace"] or params["namespace"], _labels(refused["labels"]))
                for refused in expect["refused_from"]
            ),
        ),
        tls=_tls(params.get("tls") or {}),
        domain=(params["cluster_domain"] or "").strip("."),
        dns=dns_service(params["dns_service"]),
        max_pods=params["max_pods"],
        timeout=float(params["timeout"]),
        ask=params.get("probe", True),
        logs=params.get("read_logs", "dns"),
        causes=causes,
        node_namespace=params.get("node_namespace") or "",
        workload=_workload(client["workload"] or ""),
        waivers=tuple(waiver(given) for given in params["waivers"]),
    )


def _layers(named: t.Sequence[str], further: t.Mapping[str, bool]) -> tuple[str, ...]:
    if further[OUTSIDE] and "http" not in named:
        raise OptionError(
            f"outside: the Service is asked over HTTP, and checks: {', '.join(named)} given, without http"
        )
    chosen = [layer for layer in (*LAYERS, *SURROUNDINGS) if layer in named]
    return (*chosen, *(layer for layer, wanted in further.items() if wanted))


def dns_service(given: str) -> tuple[str, str]:
    """Namespace and name.

    Raises:
        OptionError: it is of another form.
    """
    namespace, slash, name = given.partition("/")
    if not (namespace and slash and name):
        raise OptionError(f"dns_service: {given!r} is not of the form namespace/name")
    return namespace, name


def _labels(given: t.Mapping[str, t.Any] | None) -> dict[str, str]:
    return {key: str(value) for key, value in (given or {}).items()}


def _workload(given: str) -> str:
    """`Deployment shop`, as it is given."""
    kind, _space, name = given.partition(" ")
    if given and (kind not in WORKLOADS or not name or " " in name):
        raise OptionError(f"client.workload: {given!r} given, a kind and a name expected, e.g. 'Deployment shop'")
    return given


def _tls(given: t.Mapping[str, t.Any]) -> Tls:
    """Without the option, as in the modules that do not have it, its defaults."""
    if not given:
        return Tls()
    if given["minimum_days"] < 0:
        raise OptionError(f"tls.minimum_days: {given['minimum_days']} given, at least 0 expected")
    mount_path = given["mount_path"] or ""
    if mount_path and not mount_path.startswith("/"):
        raise OptionError(f"tls.mount_path: {mount_path!r} given, a path that starts with / expected")
    return Tls(
        bundle=given["bundle"] or "",
        bundle_config_map=given["bundle_config_map"] or "",
        server_name=(given["server_name"] or "").rstrip("."),
        names=tuple(dict.fromkeys(name.rstrip(".") for name in given["names"])),
        secret=given["secret"] or "",
        mount_path=mount_path.rstrip("/"),
        minimum_days=given["minimum_days"],
        minimum_version=given["minimum_version"],
        ports=None if given["ports"] is None else tuple(given["ports"]),
    )
