# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Private to this collection: may change in any release.
"""What the cluster runs for its DNS, by the API: the Service, the servers, their configuration, logs and rights.

Whether names resolve is for :mod:`.dns`, which asks.
"""

from __future__ import annotations

import re
import typing as t

from .. import corefile, names, nearest
from ..commands import patch
from ..facts import Body
from ..intent import label, matches, template_labels
from ..look import DNS, Look
from ..result import Finding, short
from ..snapshot import Pod, Service, ServicePort, pod, target_port
from ..snapshot import service as parse_service
from .common import Bench, is_stuck

CHECKS: tuple[tuple[str, str, str], ...] = (
    ("DN-15", "The DNS servers run and are ready", "list pods, deployments, daemonsets"),
    ("DN-17", "The logs of the DNS servers tell of no failure", "get pods/log"),
    ("DN-18", "The Corefile can be read, and serves the Service's name", "get configmaps"),
    ("DN-19", "The DNS servers may list and watch what they serve", "get clusterroles, clusterrolebindings"),
    ("DN-23", "The DNS Service leads to the DNS servers", "list services, pods"),
)

_LABEL = ("k8s-app", "kube-dns")
_ROLE = "system:coredns"
# What plugin kubernetes watches in any case (coredns/plugin/kubernetes/controller.go).
_WATCHED = (("", "services"), ("", "namespaces"), ("discovery.k8s.io", "endpointslices"))

# What servers say before they give up or while they wait, surest first: expression, component, what it means, remedy.
_LOGS: tuple[tuple[str, str, str, str], ...] = (
    (
        r"plugin/loop: Loop \((.*?)\) detected",
        "dns/corefile",
        "the DNS servers end themselves, since they forward queries to themselves",
        "`forward` leads back, often by a local resolver in the node's resolv.conf; name the real upstream server",
    ),
    (
        r"(Corefile:\d+ - .*|plugin/[a-z]+: .* - Error during parsing: .*)",
        "dns/corefile",
        "the DNS servers cannot read their Corefile",
        "correct the line, then kubectl rollout restart of the servers",
    ),
    (
        r"is forbidden: (User \S+ cannot [a-z]+ resource \S+)",
        "dns/rights",
        "the DNS servers may not read what they serve",
        "give their ClusterRole list and watch of endpointslices, services and namespaces",
    ),
    (
        r"(dial tcp \S+: (?:i/o timeout|connect: [a-z ]+))",
        "dns/servers",
        "the DNS servers do not reach the API server",
        "the network or the service proxy of their nodes, or a policy",
    ),
    (
        r"((?:Still waiting on|Plugins not ready|waiting for Kubernetes API).*)",
        "dns/servers",
        "the DNS servers wait for the API server's answers",
        "",
    ),
)
_RULE = [
    {
        "op": "add",
        "path": "/rules/-",
        "value": {
            "apiGroups": ["", "discovery.k8s.io"],
            "resources": [resource for _group, resource in _WATCHED],
            "verbs": ["list", "watch"],
        },
    }
]
_CANNOT_READ = 1  # place of the Corefile's errors in _LOGS
_LOADED = re.compile(r"Running configuration|Reloading complete")


def check(bench: Bench, look: Look) -> list[Finding]:
    """All checks of the cluster's DNS."""
    why = look.facts.why_missing("dns_pods")
    found = _service(bench, look) + _rights(bench, look)
    if why:
        found.append(bench.skipped("DN-15", why))
    else:
        found += _logs(bench, look) + _servers(bench, look)
    why = look.facts.why_missing("corefiles")
    return found + ([bench.skipped("DN-18", why)] if why else _corefiles(bench, look))


def servers(look: Look) -> list[Pod]:
    """The DNS servers' pods that count: by the label that they have everywhere, or by the Service's selector."""
    body = _service_body(look)
    selector = ((body.get("spec") or {}).get("selector") or {}) if body else {}
    found = [pod(item) for item in look.facts.all("dns_pods") if _is_server(item, selector)]
    return [one for one in found if not one.finished and not one.terminating]


def _is_server(body: Body, selector: t.Mapping[str, str]) -> bool:
    labels = body["metadata"].get("labels") or {}
    return _LABEL in labels.items() or matches(selector, labels)


def _workloads(look: Look) -> list[Body]:
    found = [*look.facts.all("dns_deployments"), *look.facts.all("dns_daemonsets")]
    owners = {one.owner for one in servers(look)}
    return [body for body in found if _LABEL in template_labels(body).items() or label(body) in owners]


def _service_body(look: Look) -> Body | None:
    namespace, name = look.question.dns
    return look.facts.named("dns_services", name, namespace)


def _who(look: Look) -> str:
    """The workload of the servers, for messages."""
    found = _workloads(look)
    if not found:
        return f"the pods behind Service {'/'.join(look.question.dns)}"
    return f"{found[0]['kind']} {look.question.dns[0]}/{found[0]['metadata']['name']}"


# ----- the Service


def _service(bench: Bench, look: Look) -> list[Finding]:
    """DN-23: it selects the servers, and its ports are those on which they listen."""
    why = look.facts.why_missing("dns_services")
    if why:
        return [bench.skipped("DN-23", why)]
    body, name = _service_body(look), "/".join(look.question.dns)
    if body is None:
        message = f"there is no Service {name}"
        cause = "the option dns_service names another one"
        return [
            _accuse(bench, "DN-23", message, f"Service {name}", "", "dns/service", observed="not found", cause=cause)
        ]
    dns, pods = parse_service(body), servers(look)
    if pods and not any(matches(dict(dns.selector), dict(one.labels)) for one in pods):
        return [_selects_nothing(bench, dns, pods)]
    return _ports(bench, look, dns, pods) or [bench.passed("DN-23", f"{dns.label} leads to {len(pods)} DNS server(s)")]


def _accuse(bench: Bench, check: str, message: str, about: str, field: str, component: str, **more: t.Any) -> Finding:
    return bench.failed(
        check, message, object=about, field=field, component=component, subjects=frozenset({DNS}), **more
    )


def _selects_nothing(bench: Bench, dns: Service, pods: t.Sequence[Pod]) -> Finding:
    near = nearest.miss(dns.selector, ((one.name, dict(one.labels)) for one in pods))
    # The label that marks DNS servers everywhere, where nothing is nearer.
    wanted = dict(near.selector) if near and near.selector else dict([_LABEL])
    gone = {key: None for key, _value in dns.selector if key not in wanted}
    change = {"spec": {"selector": {**wanted, **gone}}}
    return _accuse(
        bench,
        "DN-23",
        f"{dns.label} selects none of the {len(pods)} DNS server(s)",
        dns.label,
        "spec.selector",
        "dns/service",
        observed=dict(dns.selector),
        expected=wanted,
        cause=near.text if near else f"the servers have the labels {short(dict(pods[0].labels))}",
        evidence={"fix": patch("service", dns.name, dns.namespace, change)},
    )


def _ports(bench: Bench, look: Look, dns: Service, pods: t.Sequence[Pod]) -> list[Finding]:
    """A target that no server declares and no Corefile serves, and a port 53 that lacks."""
    known = {port for item in look.facts.all("corefiles") for port in corefile.ports(corefile.parse(item["text"]))}
    found = []
    places = {(port.port, port.protocol): index for index, port in enumerate(dns.ports)}
    for protocol in ("UDP", "TCP"):
        port = next((port for port in dns.ports if (port.port, port.protocol) == (53, protocol)), None)
        if port is None:
            problem, got, wanted = f"has no port 53/{protocol}", "none", f"53/{protocol}"
        elif _leads(port, pods, known):
            continue
        else:
            problem = f"leads port 53/{protocol} to {port.target_port}, where no DNS server listens"
            got, wanted = str(port.target_port), short(sorted(known))
        message = f"{dns.label} {problem}"
        field = f"spec.ports[53/{protocol}]"
        evidence = {}
        if port and len(known) == 1:
            change = [{"op": "replace", "path": f"/spec/ports/{places[53, protocol]}/targetPort", "value": min(known)}]
            evidence = {"fix": patch("service", dns.name, dns.namespace, change)}
        found.append(
            _accuse(
                bench,
                "DN-23",
                message,
                dns.label,
                field,
                "dns/service",
                observed=got,
                expected=wanted,
                evidence=evidence,
            )
        )
    return found


def _leads(port: ServicePort, pods: t.Sequence[Pod], known: set[int]) -> bool:
    """Whether a server listens there, or nothing is known about it."""
    if isinstance(port.target_port, str):
        return not pods or any(target_port(one, port) for one in pods)
    declared = {number for one in pods for number in one.declared(port.protocol)}
    return not declared or not known or port.target_port in declared | known


# ----- the servers


def _servers(bench: Bench, look: Look) -> list[Finding]:
    """DN-15."""
    workloads, pods = _workloads(look), servers(look)
    if not workloads and not pods:
        why = f"no DNS server is known in namespace {look.question.dns[0]}: it runs elsewhere"
        return [bench.skipped("DN-15", why)]
    ready = [one for one in pods if one.ready]
    if not ready:
        return [_none_ready(bench, look, workloads, pods)]
    complaints = [
        bench.warned(
            "DN-15",
            f"DNS server {one.name} does not become ready",
            object=one.label,
            field="status.conditions",
            observed=one.unready_reason,
            expected="Ready",
            subjects=frozenset({DNS}),
            component=f"dns/server/{one.name}",
        )
        for one in pods
        if not one.ready and is_stuck(one)
    ]
    return bench.verdict("DN-15", complaints, len(ready), f"{len(ready)} DNS server(s) are ready")


def _none_ready(bench: Bench, look: Look, workloads: t.Sequence[Body], pods: t.Sequence[Pod]) -> Finding:
    scaled = [body for body in workloads if body["kind"] == "Deployment" and body["spec"].get("replicas") == 0]
    namespace = look.question.dns[0]
    if scaled and len(scaled) == len(workloads) and not pods:
        name = scaled[0]["metadata"]["name"]
        return _accuse(
            bench,
            "DN-15",
            f"Deployment {namespace}/{name} of the cluster's DNS is scaled to 0",
            f"Deployment {namespace}/{name}",
            "spec.replicas",
            "dns/servers",
            observed=0,
            expected="at least 1",
            cause="there is no DNS server, so no name resolves",
            evidence={"fix": f"kubectl scale deployment {name} -n {namespace} --replicas=2"},
        )
    return _accuse(
        bench,
        "DN-15",
        f"none of the {len(pods)} DNS server(s) of {_who(look)} is ready",
        _who(look),
        "status",
        "dns/servers",
        observed=[f"{one.name}: {one.unready_reason}" for one in pods] or "no pod",
        expected="at least 1 ready",
        cause="no name resolves",
    )


def _logs(bench: Bench, look: Look) -> list[Finding]:
    """DN-17. Old lines stay in a log: only those of servers that are not ready now accuse, and failed reloads."""
    pods, why = servers(look), look.facts.missing.get("dns_logs", "")
    if not pods:
        return [bench.skipped("DN-17", "the logs of the DNS servers do not exist: there is no server")]
    read = [(one, log) for one in pods if (log := look.facts.log(one.namespace, one.name)) is not None]
    if not read:
        why = why or "the logs of the DNS servers could not be read, or are not asked for"
        return [bench.skipped("DN-17", why)]
    found: dict[int, tuple[Pod, str]] = {}
    for one, text in read:
        place, line = (None, "") if one.ready else _told(text)
        if place is None and _reload_failed(text):
            place, line = _CANNOT_READ, _reload_failed(text)
        if place is not None:
            found.setdefault(place, (one, line))
    if not found:
        return [
            bench.passed("DN-17", f"the logs of {len(read)} DNS server(s) tell of no failure"),
            *_upstream(bench, [text for _one, text in read]),
        ]
    place = min(found)
    one, line = found[place]
    _pattern, component, meaning, remedy = _LOGS[place]
    make = bench.warned if one.ready else bench.failed
    return [
        make(
            "DN-17",
            f"{meaning} (log of {one.name})",
            object=_who(look),
            field="log",
            observed=line,
            expected="no such line",
            cause=remedy,
            # No subjects: a server that ends again and again changes all the time, and its log says why.
            evidence={"log": line, "pod": one.name},
            component=component,
        )
    ]


def _told(text: str) -> tuple[int | None, str]:
    """The surest of the things that a log may tell."""
    for place, (pattern, _component, _meaning, _remedy) in enumerate(_LOGS):
        hits = re.findall(pattern, text)
        if hits:
            return place, str(hits[-1])
    return None, ""


def _reload_failed(text: str) -> str:
    """The error of a Corefile that was not taken over, if no other was since."""
    error = ""
    for line in text.splitlines():
        hit = re.search(_LOGS[_CANNOT_READ][0], line)
        error = hit[1] if hit else "" if _LOADED.search(line) else error
    return error


def _upstream(bench: Bench, texts: t.Iterable[str]) -> list[Finding]:
    """Names outside of the cluster are not our business, but people ask."""
    lost = {server for text in texts for server in re.findall(r"->(\S+:\d+): i/o timeout", text)}
    message = f"upstream DNS {short(lost)} does not answer the DNS servers: only names of the cluster resolve"
    return [bench.skipped("DN-17", message)] if lost else []


# ----- configuration


def _corefiles(bench: Bench, look: Look) -> list[Finding]:
    """DN-18. Servers keep what they run with until they are restarted, so answers may still be good: a warning then."""
    found = []
    for item in look.facts.all("corefiles"):
        about = f"ConfigMap {item['metadata'].get('namespace', '')}/{item['metadata']['name']}"
        parsed = corefile.parse(item["text"])
        name = _full_name(look, parsed)
        number, why = (0, "") if parsed.broken else _captured(look, parsed, name)
        if parsed.broken:
            message, why = f"the Corefile in {about} cannot be read", parsed.broken
        elif why:
            message, why = f"the Corefile in {about} keeps {name} from the Service", f"line {number}: {why}"
        else:
            found.append(bench.passed("DN-18", f"the Corefile in {about} serves {name}"))
            continue
        found.append(
            (bench.warned if _still_good(look) else bench.failed)(
                "DN-18",
                message,
                object=about,
                field="data.Corefile",
                observed=why,
                expected="plugin kubernetes answers for the name",
                cause="restarted servers cannot start with it" if parsed.broken else "take the line away or narrow it",
                evidence={"fix": f"kubectl edit configmap {item['metadata']['name']} -n {look.question.dns[0]}"},
                subjects=frozenset({DNS}),
                component="dns/corefile",
            )
        )
    return found or [bench.skipped("DN-18", "no DNS server has a Corefile: it is not CoreDNS, or runs elsewhere")]


def _full_name(look: Look, parsed: corefile.Corefile) -> str:
    domain = look.question.domain or next(iter(corefile.domains(parsed)), names.DEFAULT_DOMAIN)
    return f"{look.service.name}.{look.service.namespace}.svc.{domain}"


def _captured(look: Look, parsed: corefile.Corefile, name: str) -> tuple[int, str]:
    addresses = look.service.cluster_ips or tuple(e.address for e in look.after.endpoints)
    return corefile.capture(parsed, name, look.service.namespace, addresses)


def _still_good(look: Look) -> bool:
    """Whether clients, or without any the servers' state, say that names still resolve."""
    asked = [found for _probe, found in look.seen("resolve")]
    if asked:
        return any(found.answered for found in asked)
    return look.question.ask is False and any(one.ready for one in servers(look))


def _rights(bench: Bench, look: Look) -> list[Finding]:
    """DN-19, where the rights are kubeadm's: other installers use other names."""
    why = look.facts.why_missing("dns_role") or look.facts.why_missing("dns_role_binding")
    if why:
        return [bench.skipped("DN-19", why)]
    role, binding = look.facts.named("dns_role", _ROLE), look.facts.named("dns_role_binding", _ROLE)
    if role is None and binding is None:
        return [bench.skipped("DN-19", f"there is no ClusterRole {_ROLE}: the rights have another name here")]
    if role is None:
        lacking = [f"the ClusterRole {_ROLE}"]
    elif binding is None:
        return [bench.skipped("DN-19", f"there is no ClusterRoleBinding {_ROLE}: the rights may come by another")]
    else:
        lacking = [
            f"{verb} {resource}"
            for group, resource in _WATCHED
            for verb in ("list", "watch")
            if not any(_allows(rule, group, resource, verb) for rule in role.get("rules") or [])
        ]
    if not lacking:
        return [bench.passed("DN-19", f"ClusterRole {_ROLE} allows what the DNS servers watch")]
    return [
        _accuse(
            bench,
            "DN-19",
            f"the DNS servers lack the right to {short(lacking)}" if role else f"there is no {lacking[0]}",
            f"ClusterRole {_ROLE}",
            "rules",
            "dns/rights",
            observed=f"without {short(lacking)}",
            expected="list and watch of endpointslices, services and namespaces",
            cause="they go on with what they know, and once restarted they know nothing",
            evidence={"fix": patch("clusterrole", _ROLE, "", _RULE)} if role else {},
        )
    ]


def _allows(rule: Body, group: str, resource: str, verb: str) -> bool:
    """Whether a rule of a role gives one right (rbac.authorization.k8s.io/v1 PolicyRule)."""

    def has(key: str, value: str) -> bool:
        return bool({value, "*"} & set(rule.get(key) or []))

    return (
        has("apiGroups", group) and has("resources", resource) and has("verbs", verb) and not rule.get("resourceNames")
    )
