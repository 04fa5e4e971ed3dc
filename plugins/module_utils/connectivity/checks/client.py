# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Private to this collection: may change in any release.
"""Is the clients' own workload set up so that it finds the Service? Judged by its template, whose values are never
read, and by what its containers have of the Service's variables.
"""

from __future__ import annotations

import typing as t
from dataclasses import replace

from .. import names
from ..clients import disguise, template, workload
from ..facts import Body, sources
from ..look import Look
from ..policy import matches
from ..result import WARN, Finding, short
from .common import Bench
from .environment import judge, variables, where

NAME = "client"
_bench = Bench(NAME)

_READ = "get the workload (deployments, statefulsets or daemonsets)"
CHECKS: tuple[tuple[str, str, str], ...] = (
    ("CL-01", "The clients' workload exists", _READ),
    ("CL-02", "Its pods ask the cluster's DNS", _READ),
    ("CL-03", "Its hosts entries do not capture the Service's names", _READ),
    ("CL-04", "Proxies in its environment leave the Service out", _READ),
    ("CL-05", "Sidecars of a mesh are on both sides", "list pods"),
    ("CL-06", "Its own variables do not hide those of the Service", _READ),
    ("CL-08", "Its containers have no variables of an earlier Service", f"{_READ}; list pods; create pods/exec"),
    ("TL-20", "It holds no private key of the Service", f"{_READ}, list pods, get secrets"),
    ("CL-07", "The probe pod can stand for it", f"{_READ}; list services, replicasets, statefulsets, daemonsets"),
)

_PROXIES = frozenset({"HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"})
_KEY = "tls.key"
_SIDECARS = {"istio-proxy": "Istio", "linkerd-proxy": "Linkerd"}


def check(look: Look) -> list[Finding]:
    """All checks of this layer; none where no workload is asked about."""
    asked = look.question
    if not asked.workload:
        return []
    why = look.facts.why_missing("client_workload")
    if why:
        return [_bench.skipped("CL-01", why)]
    kind, _space, name = asked.workload.partition(" ")
    label = f"{kind} {asked.client.namespace}/{name}"
    body = workload(look.facts)
    if body is None:
        missing = _bench.failed(
            "CL-01",
            f"there is no {label}",
            object=label,
            observed="not found",
            expected="the clients' workload, as client.workload says",
            component="client",
        )
        return [missing]
    judged = _Judge(look, label, *template(body))
    return [
        _bench.passed("CL-01", f"{label} exists"),
        *judged.resolver(),
        *judged.hosts(),
        *judged.proxies(),
        *judged.mesh(),
        *judged.variables(),
        *judged.running(),
        *judged.secrets(),
        *judged.probe(),
    ]


def _keys(spec: Body) -> set[str]:
    """Names of the Secrets whose private keys a pod's spec asks for: the whole Secret, or that key of it."""
    return {name for kind, name, keys, _optional in sources(spec) if kind == "Secret" and (not keys or _KEY in keys)}


class _Judge:
    """The judge of one template."""

    def __init__(self, look: Look, label: str, labels: t.Mapping[str, str], spec: Body) -> None:
        self.look, self.label, self.labels, self.spec = look, label, labels, spec
        self.containers: list[Body] = [*(spec.get("containers") or []), *(spec.get("initContainers") or [])]

    def _complaint(self, check: str, message: str, *, warning: bool = False, **more: t.Any) -> Finding:
        make = _bench.warned if warning else _bench.failed
        return make(check, message, object=self.label, component="client", **more)

    # ----- names

    def resolver(self) -> list[Finding]:
        """CL-02."""
        policy = self.spec.get("dnsPolicy") or "ClusterFirst"
        field = "spec.template.spec.dnsPolicy"
        if policy == "ClusterFirst" and self.spec.get("hostNetwork"):
            cause = "on the node's network ClusterFirst means Default: the pods ask whom the node asks"
            return [self._misled(field, "ClusterFirst with hostNetwork", "ClusterFirstWithHostNet", cause)]
        given = self.spec.get("dnsConfig") or {}
        servers = [str(server) for server in given.get("nameservers") or []]
        if policy == "Default" and not self._leads(servers):
            return [self._misled(field, "Default", "ClusterFirst", "the pods ask whom the node asks")]
        if policy == "None" and not self._leads(servers):
            wanted = short(self._addresses()) if self._addresses() else "the address of the cluster's DNS Service"
            cause = "the pods ask only the servers of dnsConfig"
            return [self._misled("spec.template.spec.dnsConfig.nameservers", short(servers), wanted, cause)]
        if policy in ("None", "Default"):
            return self._searches([str(entry).rstrip(".") for entry in given.get("searches") or []])
        return [_bench.passed("CL-02", f"the pods of {self.label} ask the cluster's DNS")]

    def _misled(self, field: str, observed: str, expected: str, cause: str) -> Finding:
        message = f"the pods of {self.label} do not ask the cluster's DNS, so names of Services do not resolve there"
        return self._complaint("CL-02", message, field=field, observed=observed, expected=expected, cause=cause)

    def _addresses(self) -> tuple[str, ...]:
        """Those of the DNS Service, as far as they are known."""
        if self.look.after.dns:
            return self.look.after.dns.cluster_ips
        body = self.look.facts.named("dns_services", self.look.question.dns[1])
        return tuple((body or {}).get("spec", {}).get("clusterIPs") or ())

    def _leads(self, servers: t.Sequence[str]) -> bool:
        """Whether one of the servers is the cluster's, or a cache on the node; unknown addresses accuse nobody."""
        wanted = self._addresses()
        return bool(servers) and (not wanted or any(s in wanted or s.startswith("169.254.") for s in servers))

    def _searches(self, given: t.Sequence[str]) -> list[Finding]:
        """Without the search list, short names do not resolve; full ones do."""
        namespace = self.look.question.client.namespace
        domain = self.look.question.domain or names.DEFAULT_DOMAIN
        wanted = names.search_list(namespace, domain)
        if set(wanted) <= set(given):
            return [_bench.passed("CL-02", f"the pods of {self.label} ask the cluster's DNS")]
        full = names.forms(self.look.service.name, self.look.service.namespace, domain)[-1]
        message = f"the pods of {self.label} search no names of the cluster: only full names of Services resolve there"
        field = "spec.template.spec.dnsConfig.searches"
        cause = f"let the clients use {full}, or give them the search list"
        return [
            self._complaint(
                "CL-02", message, warning=True, field=field, observed=list(given), expected=list(wanted), cause=cause
            )
        ]

    def hosts(self) -> list[Finding]:
        """CL-03: /etc/hosts is asked before DNS."""
        service, domain = self.look.service, self.look.question.domain or names.DEFAULT_DOMAIN
        mine = set(names.forms(service.name, service.namespace, domain))
        if self.look.question.client.namespace != service.namespace:
            mine.discard(service.name)
        found = []
        for entry in self.spec.get("hostAliases") or []:
            captured = sorted(mine & {str(name).rstrip(".") for name in entry.get("hostnames") or []})
            if not captured:
                continue
            address = str(entry.get("ip"))
            field = "spec.template.spec.hostAliases"
            if address in service.cluster_ips:
                message = (
                    f"{self.label} has {short(captured)} in its hosts entries: right until the Service is made anew"
                )
                found.append(_bench.skipped("CL-03", message, object=self.label, field=field))
                continue
            found.append(
                self._complaint(
                    "CL-03",
                    f"the hosts entries of {self.label} lead {short(captured)} elsewhere than to {service.label}",
                    field=f"{field} {captured[0]}",
                    observed=address,
                    expected=f"no entry, or {short(service.cluster_ips)}",
                    cause="/etc/hosts is asked before DNS: take the name out of hostAliases",
                )
            )
        return found or [_bench.passed("CL-03", f"no hosts entry of {self.label} captures a name of {service.label}")]

    # ----- ways around

    def _variables(self, container: Body) -> set[str]:
        """Names of the variables that a container gets from its spec, as far as they are known."""
        found = {str(item["name"]) for item in container.get("env") or []}
        for item in container.get("envFrom") or []:
            for key, part in (("configMapRef", "configmaps"), ("secretRef", "secrets")):
                source = self.look.facts.named(part, (item.get(key) or {}).get("name", ""), self._namespace)
                found |= {f"{item.get('prefix') or ''}{name}" for name in (source or {}).get("keys") or []}
        return found

    @property
    def _namespace(self) -> str:
        return self.look.question.client.namespace

    def proxies(self) -> list[Finding]:
        """CL-04."""
        found = []
        for container in self.containers:
            given = self._variables(container)
            proxies = sorted(name for name in given if name.upper() in _PROXIES)
            if not proxies:
                continue
            what = f"container {container['name']} of {self.label} has {short(proxies)}"
            if any(name.upper() == "NO_PROXY" for name in given):
                message = f"{what}, and NO_PROXY, whose value is not read: it must cover {self.look.service.name}"
                found.append(_bench.skipped("CL-04", message, object=self.label))
                continue
            found.append(
                self._complaint(
                    "CL-04",
                    f"{what} and no NO_PROXY, so a proxy gets what is meant for {self.look.service.label}",
                    warning=True,
                    field=f"spec.template.spec.containers[{container['name']}].env",
                    observed=proxies,
                    expected="NO_PROXY with the names and addresses of the cluster",
                    cause="most HTTP clients obey these variables, and few proxies know names of Services",
                )
            )
        return found or [_bench.passed("CL-04", f"no proxy in the environment of {self.label}")]

    def mesh(self) -> list[Finding]:
        """CL-05: for information, since a mesh may be meant for one side."""
        if self.look.facts.why_missing("client_pods"):
            return []
        mine = [
            (pod.get("spec") or {})
            for pod in self.look.facts.all("client_pods")
            if self.labels and matches({"matchLabels": self.labels}, pod["metadata"].get("labels") or {})
        ]
        here = {
            str(container["name"])
            for spec in mine
            for container in (*(spec.get("containers") or []), *(spec.get("initContainers") or []))
        }
        there = {c.name for pod in self.look.after.pods for c in (*pod.containers, *pod.sidecars)}
        found = []
        for sidecar, mesh in _SIDECARS.items():
            if (sidecar in here) != (sidecar in there) and mine and self.look.after.pods:
                inside, outside = self.label, self.look.service.label
                if sidecar in there:
                    inside, outside = outside, inside
                message = (
                    f"the pods of {inside} are in the mesh of {mesh}, those of {outside} are not: they meet in plain"
                    " text or not at all, as the policy of the mesh says"
                )
                found.append(_bench.skipped("CL-05", message, object=self.label))
        return found

    def variables(self) -> list[Finding]:
        """CL-06: for information; who reads no variables, misses none."""
        wanted = variables(self.look.service)
        if self._namespace != self.look.service.namespace or not wanted:
            return []
        if self.spec.get("enableServiceLinks") is False:
            message = f"enableServiceLinks of {self.label} is false: no variables of Services there, by design"
            return [_bench.skipped("CL-06", message, object=self.label)]
        own = {name: c["name"] for c in self.containers for name in sorted(self._variables(c) & set(wanted))}
        if not own:
            return [_bench.passed("CL-06", f"{self.label} sets no variable of {self.look.service.label} itself")]
        message = (
            f"container {next(iter(own.values()))} of {self.label} sets {short(sorted(own))} itself, which hides what"
            f" the kubelet would set for {self.look.service.label}"
        )
        return [_bench.skipped("CL-06", message, object=self.label)]

    def running(self) -> list[Finding]:
        """CL-08: what the kubelet gave the containers; to have nothing of a younger Service harms no client of DNS."""
        service, found = self.look.service, []
        for reading in self.look.clients:
            if reading.verdict != "read":
                message = f"the variables in {where(reading)} were not read: {reading.detail}"
                found.append(_bench.unread("CL-08", message, verdict=reading.verdict, object=where(reading)))
                continue
            for finding in judge(service, reading):
                mine = replace(finding, id="CL-08", layer=NAME)
                if finding.id == "EV-02":
                    found.append(replace(mine, status=WARN, component="client"))
                else:
                    found.append(_bench.skipped("CL-08", f"{mine.message}: {mine.cause}", object=mine.object))
        if found or not self.look.clients:
            return found
        return [_bench.passed("CL-08", f"the variables in the containers of {self.label} equal {service.label}")]

    def secrets(self) -> list[Finding]:
        """TL-20: a client verifies by the CA certificate alone; who has the key can pose as the Service."""
        look = self.look
        why = look.facts.why_missing("pods") or look.facts.why_missing("secrets")
        if self._namespace != look.service.namespace or look.question.workload in {
            pod.owner for pod in look.after.pods
        }:
            return []  # Secrets do not leave their namespace, and the Service's own pods need the key
        if why:
            return [_bench.skipped("TL-20", why, object=self.label)]
        uids = {pod.uid for pod in look.after.pods}
        ours = {
            name for body in look.facts.all("pods") if body["metadata"]["uid"] in uids for name in _keys(body["spec"])
        }
        pairs = {body["metadata"]["name"] for body in look.facts.all("secrets") if _KEY in (body.get("keys") or ())}
        held = sorted(_keys(self.spec) & ours & pairs)
        if not held:
            return [_bench.passed("TL-20", f"{self.label} holds no private key of {look.service.label}")]
        return [
            self._complaint(
                "TL-20",
                f"{self.label} mounts the private key of {look.service.label}",
                warning=True,
                field="spec.template.spec.volumes",
                observed=[f"Secret {name}" for name in held],
                expected="the CA certificate alone",
                cause="who has the key can pose as the Service: give clients a ConfigMap with the CA certificate, or "
                "items with ca.crt alone",
            )
        ]

    def probe(self) -> list[Finding]:
        """CL-07."""
        asked = self.look.question
        if asked.unasked:
            return [_bench.skipped("CL-07", f"nothing was asked: {asked.unasked}", object=self.label)]
        worn, why = disguise(asked, self.look.facts, self.look.service)
        if asked.client.labels != worn and not why:
            why = "the probe pod wears client.labels instead of its labels"
        if not asked.probes or not why:
            return []
        return [_bench.skipped("CL-07", why, object=self.label)]
