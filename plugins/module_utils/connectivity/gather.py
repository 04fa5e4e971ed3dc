# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Private to this collection: may change in any release.
"""Reads the surroundings of a Service, as far as the rights and the time go, everything at once."""

from __future__ import annotations

import typing as t
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial

from ..kube.client import Cluster
from ..kube.errors import Forbidden, KubeError, TimeOver, Unauthorized
from ..kube.kinds import (
    CLUSTER_ROLE,
    CLUSTER_ROLE_BINDING,
    CONFIG_MAP,
    DAEMON_SET,
    DEPLOYMENT,
    DISRUPTION_BUDGET,
    ENDPOINT_SLICE,
    EVENT,
    HPA,
    LIMIT_RANGE,
    NAMESPACE,
    NETWORK_POLICY,
    NODE,
    POD,
    REPLICA_SET,
    RESOURCE_QUOTA,
    SECRET,
    SERVICE,
    STATEFUL_SET,
    Kind,
)
from .facts import LATE, PROXY, Body, Facts, reduced, runs_proxy, sources
from .question import Question
from .rights import Right, Rights

# The objects of a part, or why they were not read.
Bodies: t.TypeAlias = "tuple[Body, ...] | str"

# Where a part is read: the Service's namespace, the clients', that of the cluster's DNS, or the whole cluster.
HOME, CLIENT, DNS, CLUSTER = "home", "client", "dns", "cluster"

_AT_ONCE = 12
# Secrets and ConfigMaps that are looked at, at most; the checks say when there are more.
MOST_SOURCES = 60
MOST_LOGS = 6
# What is read of a service proxy's log: the seconds before, and enough lines for as long a time in which all fails.
PROXY_LOG = {"seconds": 120, "lines": 300, "limit_bytes": 100_000}
COREFILE = "Corefile"
LONGEST_COREFILE = 50_000


@dataclass(frozen=True, slots=True)
class Part:
    """One read.

    Attributes:
        name: how :class:`..facts.Facts` calls it.
        where: HOME, CLIENT, DNS or CLUSTER.
        only: name of the one object, read by `get`; else all are listed.
        fields: field selector.
    """

    name: str
    kind: Kind
    where: str = HOME
    only: str = ""
    fields: str = ""

    @property
    def verb(self) -> str:
        """How it is read."""
        return "get" if self.only else "list"

    def right(self, namespace: str | None) -> Right:
        """What it takes to read it there."""
        return Right(self.verb, self.kind.plural, namespace, self.kind.group)


@dataclass(frozen=True, slots=True)
class _Log:
    """A log to read.

    Attributes:
        previous: whether the container's run before is the one that tells.
        limits: further arguments of :meth:`..kube.client.Cluster.log_tail`.
    """

    namespace: str
    pod: str
    container: str
    previous: bool = False
    limits: t.Mapping[str, int] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """How :class:`..facts.Facts` calls it."""
        return f"{self.namespace}/{self.pod}/{self.container}"


PARTS: tuple[Part, ...] = (
    Part("deployments", DEPLOYMENT),
    Part("replicasets", REPLICA_SET),
    Part("statefulsets", STATEFUL_SET),
    Part("daemonsets", DAEMON_SET),
    Part("pods", POD),
    Part("services", SERVICE),
    Part("slices", ENDPOINT_SLICE),
    Part("events", EVENT, fields="type=Warning"),
    Part("disruption_budgets", DISRUPTION_BUDGET),
    Part("autoscalers", HPA),
    Part("quotas", RESOURCE_QUOTA),
    Part("limit_ranges", LIMIT_RANGE),
    Part("policies", NETWORK_POLICY),
    Part("client_pods", POD, CLIENT),
    Part("client_policies", NETWORK_POLICY, CLIENT),
    Part("namespaces", NAMESPACE, CLUSTER),
    Part("nodes", NODE, CLUSTER),
    Part("dns_deployments", DEPLOYMENT, DNS),
    Part("dns_daemonsets", DAEMON_SET, DNS),
    Part("dns_pods", POD, DNS),
    Part("dns_services", SERVICE, DNS),
    Part("dns_events", EVENT, DNS, fields="type=Warning"),
    Part("dns_policies", NETWORK_POLICY, DNS),
    Part("dns_role", CLUSTER_ROLE, CLUSTER, only="system:coredns"),
    Part("dns_role_binding", CLUSTER_ROLE_BINDING, CLUSTER, only="system:coredns"),
)

# What is read besides where the clients' workload is given: the object itself, and what selects pods beside it.
_KINDS = {"Deployment": DEPLOYMENT, "StatefulSet": STATEFUL_SET, "DaemonSet": DAEMON_SET}
CLIENT_PARTS: tuple[Part, ...] = (
    Part("client_services", SERVICE, CLIENT),
    Part("client_replicasets", REPLICA_SET, CLIENT),
    Part("client_statefulsets", STATEFUL_SET, CLIENT),
    Part("client_daemonsets", DAEMON_SET, CLIENT),
)

# Further rights that a diagnosis uses where it has them: (verb, resource, subresource, where).
FURTHER: tuple[tuple[str, str, str, str], ...] = (
    ("get", "secrets", "", HOME),
    ("get", "configmaps", "", HOME),
    ("get", "configmaps", "", DNS),
    ("get", "pods", "log", DNS),
    ("get", "pods", "log", HOME),
)


def parts_of(question: Question) -> tuple[Part, ...]:
    """What to read."""
    if not question.workload:
        return PARTS
    kind, _space, name = question.workload.partition(" ")
    return *PARTS, *CLIENT_PARTS, Part("client_workload", _KINDS[kind], CLIENT, only=name)


def rights_of(question: Question) -> list[Right]:
    """What it takes to read everything."""
    parts = [part.right(namespace_of(part.where, question)) for part in parts_of(question)]
    return parts + [_further(question, verb, resource, where, sub) for verb, resource, sub, where in FURTHER]


def _further(question: Question, verb: str, resource: str, where: str, sub: str = "") -> Right:
    return Right(verb, resource, namespace_of(where, question), subresource=sub)


def gather(cluster: Cluster, question: Question, rights: Rights, selector: t.Mapping[str, str] | None = None) -> Facts:
    """Read all parts that the credentials may read, and log lines as far as the question allows.

    What there is no time for until the cluster's deadline is missing, too.

    Args:
        rights: those of :func:`rights_of`.
        selector: the Service's; the pods that it selects come first where only some logs are read.

    Raises:
        KubeError: the cluster cannot be asked at all.
    """
    with ThreadPoolExecutor(max_workers=_AT_ONCE) as pool:
        reading = _Reading(cluster, question, rights, pool)
        groups = pool.submit(_groups, cluster)
        reading.parts_of_all_kinds()
        reading.parts["groups"] = groups.result()
        reading.sources()
        reading.corefiles()
        logs = reading.logs(selector or {})
    return Facts(reading.parts, reading.missing, logs)


@dataclass(slots=True)
class _Reading:
    """What was read so far."""

    cluster: Cluster
    question: Question
    rights: Rights
    pool: ThreadPoolExecutor
    parts: dict[str, tuple[Body, ...]] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)

    def take(self, name: str, found: Bodies) -> None:
        """Keep the objects of a part, or why there are none."""
        if isinstance(found, str):
            self.missing[name] = found
        else:
            self.parts[name] = found

    def lacking(self, verb: str, resource: str, where: str, sub: str = "") -> str:
        """Why one of the further rights cannot be used."""
        return self.rights.lacking(_further(self.question, verb, resource, where, sub))

    def parts_of_all_kinds(self) -> None:
        """All lists, and single objects of a known name."""

        def one(part: Part) -> Bodies:
            namespace = namespace_of(part.where, self.question)
            why = self.rights.lacking(part.right(namespace))
            return why or _timely(part.kind, lambda: tuple(read(self.cluster, part, namespace)))

        asked = parts_of(self.question)
        for part, found in zip(asked, self.pool.map(one, asked), strict=True):
            self.take(part.name, found)

    def sources(self) -> None:
        """Secrets and ConfigMaps that the Service's pods may need."""
        kinds = ("pods", "deployments", "statefulsets", "daemonsets")
        owners = [body for name in kinds for body in self.parts.get(name, ())]
        for name, kind in (("secrets", SECRET), ("configmaps", CONFIG_MAP)):
            why = self.lacking("get", name, HOME) or self.missing.get("pods", "")
            if why:
                self.missing[name] = why
                continue
            names = _sources(kind, owners)
            self.take(name, _timely(kind, partial(self._named, kind, names[:MOST_SOURCES])))
            more = f"more than {MOST_SOURCES} {name} are named"
            self.missing |= {f"{name}/{left}": more for left in names[MOST_SOURCES:]}

    def _named(self, kind: Kind, names: t.Sequence[str]) -> tuple[Body, ...]:
        """Those of the named objects that exist, reduced to their keys."""
        bodies = self.pool.map(lambda name: self.cluster.get(kind, name, self.question.namespace), names)
        return tuple(reduced({**body, "kind": kind.kind}) for body in bodies if body)

    def corefiles(self) -> None:
        """The configurations of the DNS servers."""
        why = self.lacking("get", "configmaps", DNS) or self.missing.get("dns_pods", "")
        namespace = self.question.dns[0]
        self.take(
            "corefiles",
            why or _timely(CONFIG_MAP, lambda: corefiles(self.cluster, namespace, self.parts, self.pool)),
        )

    def logs(self, selector: t.Mapping[str, str]) -> dict[str, str]:
        """The last lines of those logs that tell something."""
        of_dns, of_pods = self.lacking("get", "pods", DNS, "log"), self.lacking("get", "pods", HOME, "log")
        if of_dns and self.question.logs != "none":
            self.missing["dns_logs"] = of_dns
        wanted = _readable(self.question, self.parts, selector, of_dns=not of_dns, of_pods=not of_pods)
        return _logs(self.cluster, wanted, self.pool)


def _timely(kind: Kind, reading: t.Callable[[], tuple[Body, ...]]) -> Bodies:
    """What is read, or that there was no time for it."""
    try:
        return reading()
    except TimeOver:
        return f"{kind.plural} were {LATE}"


def corefiles(
    cluster: Cluster, namespace: str, parts: t.Mapping[str, tuple[Body, ...]], pool: ThreadPoolExecutor
) -> tuple[Body, ...]:
    """The configurations of the DNS servers: the text of that key alone, under `text`."""
    owners = [body for part in ("dns_pods", "dns_deployments", "dns_daemonsets") for body in parts.get(part, ())]
    names = _sources(CONFIG_MAP, [body for body in owners if is_dns(body)])
    bodies = pool.map(lambda name: cluster.get(CONFIG_MAP, name, namespace), names)
    return tuple(
        {**reduced({"kind": CONFIG_MAP.kind, **body}), "text": body["data"][COREFILE][:LONGEST_COREFILE]}
        for body in bodies
        if body and COREFILE in (body.get("data") or {})
    )


def namespace_of(where: str, question: Question) -> str | None:
    """The namespace that a part is read from; None for the whole cluster."""
    return {
        HOME: question.namespace,
        CLIENT: question.client.namespace,
        DNS: question.dns[0],
        CLUSTER: None,
    }[where]


def _groups(cluster: Cluster) -> tuple[Body, ...]:
    """The API groups; who may not ask for them sees none."""
    try:
        return tuple({"kind": "APIGroup", "metadata": {"name": name}} for name in cluster.groups())
    except (Forbidden, Unauthorized, TimeOver):
        return ()


def read(cluster: Cluster, part: Part, namespace: str | None) -> t.Sequence[Body]:
    """The objects of one part, reduced page by page.

    Raises:
        KubeError: the cluster cannot be asked, or the right is missing.
    """
    if part.only:
        body = cluster.get(part.kind, part.only, namespace)
        return [reduced({"kind": part.kind.kind, **body})] if body else []
    return cluster.collect(part.kind, namespace, keep=reduced, fields=part.fields)


def _sources(kind: Kind, owners: Iterable[Body]) -> list[str]:
    """Names of the Secrets or ConfigMaps that pods and templates name, sorted."""
    names = set()
    for owner in owners:
        spec = owner.get("spec") or {}
        spec = (spec.get("template") or {}).get("spec") or spec
        names |= {name for found_kind, name, _keys, _optional in sources(spec) if found_kind == kind.kind}
    return sorted(names)


def _readable(
    question: Question,
    parts: t.Mapping[str, tuple[Body, ...]],
    selector: t.Mapping[str, str],
    *,
    of_dns: bool,
    of_pods: bool,
) -> list[_Log]:
    """Whose logs to read: those of the DNS servers and of service proxies, and of containers that restart."""
    wanted: list[_Log] = []
    if question.logs != "none" and of_dns:
        wanted += [_log_of(pod) for pod in parts.get("dns_pods", ()) if is_dns(pod)]
        wanted += [_log_of_proxy(pod) for pod in _proxies(question, parts, selector)]
    if question.logs == "all" and of_pods:
        restarting = [pod for pod in parts.get("pods", ()) if _restarts(pod)]
        restarting.sort(key=lambda pod: not _selects(selector, pod))
        wanted += [_log_of(pod) for pod in restarting[:MOST_LOGS]]
    return wanted


def _proxies(question: Question, parts: t.Mapping[str, tuple[Body, ...]], selector: t.Mapping[str, str]) -> list[Body]:
    """Some service proxies, first those of nodes where clients ask, or where the Service's pods are."""
    ours = [pod for pod in parts.get("pods", ()) if selector and _selects(selector, pod)]
    nodes = {*question.nodes, *(pod["spec"].get("nodeName") for pod in ours)}
    found = [pod for pod in parts.get("dns_pods", ()) if runs_proxy(pod["spec"])]
    found.sort(key=lambda pod: (pod["spec"].get("nodeName") not in nodes, pod["metadata"]["name"]))
    return found[:MOST_LOGS]


def _selects(selector: t.Mapping[str, str], pod: Body) -> bool:
    return selector.items() <= (pod["metadata"].get("labels") or {}).items()


def _logs(cluster: Cluster, wanted: t.Sequence[_Log], pool: ThreadPoolExecutor) -> dict[str, str]:
    """The last lines of those logs; one that cannot be read is absent."""

    def read(log: _Log) -> str | None:
        try:
            return cluster.log_tail(log.namespace, log.pod, log.container, previous=log.previous, **log.limits)
        except KubeError:
            return None

    texts = pool.map(read, wanted)
    return {log.key: text for log, text in zip(wanted, texts, strict=True) if text is not None}


def is_dns(body: Body) -> bool:
    """Whether a pod, or the template of a workload, is of the cluster's DNS: the label is the same everywhere."""
    owner = (body.get("spec") or {}).get("template") or body
    return ((owner.get("metadata") or {}).get("labels") or {}).get("k8s-app") == "kube-dns"


def _restarts(pod: Body) -> bool:
    return any(item.get("restartCount") for item in _statuses(pod))


def _statuses(pod: Body) -> list[Body]:
    status = pod.get("status") or {}
    return [*(status.get("initContainerStatuses") or []), *(status.get("containerStatuses") or [])]


def _log_of(pod: Body) -> _Log:
    """The container that restarts most."""
    worst: Body = max(_statuses(pod), key=lambda item: item.get("restartCount", 0), default={})
    metadata = pod["metadata"]
    waiting = bool((worst.get("state") or {}).get("waiting"))
    name = worst.get("name") or pod["spec"]["containers"][0]["name"]
    return _Log(metadata["namespace"], metadata["name"], name, waiting and bool(worst.get("restartCount")))


def _log_of_proxy(pod: Body) -> _Log:
    return _Log(pod["metadata"]["namespace"], pod["metadata"]["name"], PROXY, limits=PROXY_LOG)
