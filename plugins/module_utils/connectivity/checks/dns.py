# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Private to this collection: may change in any release.
"""Does the name lead to the Service: through the client's own resolver, and from every DNS server of the cluster?"""

from __future__ import annotations

import typing as t

from .. import names
from ..look import DNS, ENDPOINTS, Look, Observation
from ..result import Finding, short
from ..scope import Probe
from ..snapshot import Service, family_of
from .common import Bench, failure, why_unprobed

NAME = "dns"
_bench = Bench(NAME)

Seen = tuple[Probe, Observation]

# How long a DNS server or cache may go on with an earlier answer: 30 s is the TTL and the longest negative caching of
# CoreDNS as kubeadm sets it up; NodeLocal DNSCache keeps to the TTL.
CACHE_SECONDS = 30.0

# label of the probe -> check, what the record is called.
_RECORDS = (
    ("address", "DN-03", "address records"),
    ("service", "DN-06", "SRV records"),
    ("pointer", "DN-07", "PTR record"),
    ("control", "DN-08", "address of kubernetes.default"),
    ("absent", "DN-09", "absence"),
    ("replica", "DN-16", "answer of each DNS server"),
)


def check(look: Look) -> list[Finding]:
    """All checks of this layer."""
    service, found = look.service, _dns_service(look)
    why = why_unprobed(look)
    if why:
        return [*found, _bench.skipped("DN-01", f"no name was looked up: {why}")]
    found += _resolver(look) + _names(look)
    if service.external:
        found.append(_bench.skipped("DN-03", f"{service.label} is an ExternalName: its answer is up to other servers"))
        return found
    if service.headless and not any(endpoint.ready for endpoint in look.before.endpoints):
        found.append(_bench.skipped("DN-05", f"{service.label} is headless without ready endpoints: it has no records"))
    for label, check_id, title in _RECORDS:
        found += _records(look, label, check_id, title)
    return found


def _subjects(look: Look) -> frozenset[str]:
    """What DNS answers rest on: the Service, the DNS servers, and the endpoints where those are the answer."""
    return frozenset({look.service.uid, DNS} | ({ENDPOINTS} if look.service.headless else set()))


# ----- the DNS Service


def _dns_service(look: Look) -> list[Finding]:
    """DN-13 the DNS Service exists and has its ports; DN-14 there is a server behind it."""
    namespace, name = look.question.dns
    dns, label = look.after.dns, f"Service {namespace}/{name}"
    why = look.after.why_missing("dns")
    if why:
        return [_bench.skipped("DN-13", why)]
    if dns is None:
        return [
            _bench.failed(
                "DN-13",
                f"there is no {label}",
                object=label,
                observed="not found",
                expected="the cluster's DNS Service",
                cause="the option dns_service names another one",
                subjects=frozenset({DNS}),
            )
        ]
    return [*_dns_ports(dns), *_dns_servers(look, dns)]


def _dns_ports(dns: Service) -> list[Finding]:
    found = sorted(f"{port.port}/{port.protocol}" for port in dns.ports)
    wanted = ["53/TCP", "53/UDP"]
    if set(wanted) <= set(found):
        return [_bench.passed("DN-13", f"{dns.label} exists with ports {short(wanted)}")]
    return [
        _bench.failed(
            "DN-13",
            f"{dns.label} lacks a port of DNS",
            object=dns.label,
            field="spec.ports",
            observed=found,
            expected=wanted,
            subjects=frozenset({DNS}),
        )
    ]


def _dns_servers(look: Look, dns: Service) -> list[Finding]:
    ready = sorted({endpoint.label for endpoint in look.after.dns_endpoints if endpoint.ready})
    if ready:
        return [_bench.passed("DN-14", f"{len(ready)} DNS server(s) are ready: {short(ready)}")]
    behind = sorted(endpoint.label for endpoint in look.after.dns_endpoints)
    return [
        _bench.failed(
            "DN-14",
            f"no server is ready behind {dns.label}",
            object=dns.label,
            field="endpoints",
            observed=f"0 ready of {len(behind)}",
            expected="at least 1",
            cause=f"not ready: {short(behind)}" if behind else "its selector selects no pod, or there are no DNS pods",
            subjects=frozenset({DNS}),
        )
    ]


# ----- the client's resolver


def _resolver(look: Look) -> list[Finding]:
    """DN-11: resolv.conf names the cluster's DNS (or a cache on the node) and searches the client's own namespace."""
    pairs = [(probe, found) for probe, found in look.seen("resolv_conf") if found.ok]
    complaints = [
        finding
        for probe, found in pairs
        for finding in (_nameservers(look, probe, found), _search(look, probe, found))
        if finding
    ]
    return _bench.verdict(
        "DN-11", complaints, len(pairs), f"resolv.conf of {len(pairs)} client(s) points to the cluster's DNS"
    )


def _nameservers(look: Look, probe: Probe, found: Observation) -> Finding | None:
    given = [str(server) for server in found.value.get("nameservers") or []]
    dns = look.after.dns
    if dns is None or any(server in dns.cluster_ips or _on_the_node(server) for server in given):
        return None
    return _bench.warned(
        "DN-11",
        f"resolv.conf of a client on {probe.vantage.label} names other servers than {dns.label}",
        object=f"Node {probe.vantage.node}",
        field="nameserver",
        observed=given,
        expected=list(dns.cluster_ips),
        cause="the kubelet's clusterDNS, or dnsPolicy of the client",
        subjects=frozenset({DNS}),
    )


def _on_the_node(server: str) -> bool:
    """Whether an address is link-local, as NodeLocal DNSCache uses by convention."""
    return server.startswith("169.254.") or server.lower().startswith("fe80:")


def _search(look: Look, probe: Probe, found: Observation) -> Finding | None:
    given = [str(entry).rstrip(".") for entry in found.value.get("search") or []]
    domain = look.question.domain or names.DEFAULT_DOMAIN
    wanted = list(names.search_list(probe.vantage.namespace, domain))
    if given[: len(wanted)] == wanted:
        return None
    return _bench.warned(
        "DN-11",
        f"resolv.conf of a client on {probe.vantage.label} searches other domains",
        object=f"Node {probe.vantage.node}",
        field="search",
        observed=given,
        expected=wanted,
        cause="the kubelet's clusterDomain, or dnsPolicy of the client",
    )


def _names(look: Look) -> list[Finding]:
    """DN-01 the short name; DN-02 the longer forms; DN-04 from another namespace. Each must equal the addresses."""
    found: list[Finding] = []
    for near in (True, False):
        pairs = [
            (probe, seen)
            for probe, seen in look.seen("resolve")
            if (probe.vantage.namespace == look.service.namespace) == near
        ]
        for check_id, labels in (("DN-01", {"short name"}), ("DN-02", None)):
            chosen = [pair for pair in pairs if (pair[0].label in labels if labels else pair[0].label != "short name")]
            found += _forms(look, check_id if near else "DN-04", chosen)
    return found


def _forms(look: Look, check_id: str, pairs: t.Sequence[Seen]) -> list[Finding]:
    complaints = [finding for probe, seen in pairs if (finding := _form(look, check_id, probe, seen))]
    good = len(pairs) - len(complaints)
    titles = short(list(dict.fromkeys(probe.label for probe, _seen in pairs)))
    clients = short(list(dict.fromkeys(probe.vantage.label for probe, _seen in pairs)))
    return _bench.verdict(check_id, complaints, good, f"{titles}: as it should be, from {clients}")


def _form(look: Look, check_id: str, probe: Probe, seen: Observation) -> Finding | None:
    """One form of the name from one client."""
    got = sorted(seen.value.get("addresses") or [])
    if probe.expected == ():
        # Elsewhere the short name may be another Service's; it must only not be ours.
        if not set(got) & set(_ours(look)):
            return None
        problem = f"{probe.target} resolves to {look.service.label} in a namespace where it should not"
    elif seen.failures:
        problem = f"{probe.label} {probe.target} does not resolve"
    elif probe.expected is None or not seen.ok or fits(look, set(got), set(probe.expected)):
        return None
    else:
        problem = f"{probe.label} {probe.target} resolves to other addresses than those of {look.service.label}"
    return _bench.failed(
        check_id,
        f"{problem} on {probe.vantage.label}",
        object=look.service.label,
        field=f"{probe.target} on {probe.vantage.label}",
        observed=got or f"{failure(seen)}: {seen.detail}",
        expected=list(probe.expected or ()) or "no address of this Service",
        subjects=_subjects(look),
    )


def fits(look: Look, got: set[str], wanted: set[str]) -> bool:
    """Whether addresses equal those wanted.

    The addresses of a headless Service are its endpoints: while those change, an answer is right if it has all that
    stayed and none that was never there.
    """
    if not look.service.headless or ENDPOINTS not in look.touched:
        return got == wanted
    before, after = ({e.address for e in part.endpoints if e.ready} for part in (look.before, look.after))
    known = {endpoint.address for endpoint in (*look.before.endpoints, *look.after.endpoints)}
    return before & after <= got <= known


def _ours(look: Look) -> tuple[str, ...]:
    service = look.service
    return service.cluster_ips or tuple(endpoint.address for endpoint in look.after.endpoints)


# ----- records from each server


def _records(look: Look, label: str, check_id: str, title: str) -> list[Finding]:
    if label == "address" and look.service.headless:
        check_id = "DN-05"
    pairs = [
        (probe, seen)
        for probe, seen in look.seen("dns", label)
        if (probe.endpoint is None and not look.isolated(probe.vantage))
        or (probe.endpoint and look.stable(probe.endpoint))
    ]
    bad = [(probe, seen, wrong) for probe, seen in pairs if (wrong := mismatch(look, probe, seen))]
    groups: dict[tuple[str, str], list[tuple[Probe, Observation, str]]] = {}
    for probe, seen, wrong in bad:
        groups.setdefault((probe.id, wrong), []).append((probe, seen, wrong))
    complaints = [_wrong(look, check_id, group) for _key, group in sorted(groups.items())]
    clients = len({probe.vantage for probe, _seen in pairs})
    good = len(pairs) - len(bad)
    return _bench.verdict(check_id, complaints, good, f"{title}: {good} good answer(s) to {clients} client(s)")


def _wrong(look: Look, check_id: str, group: t.Sequence[tuple[Probe, Observation, str]]) -> Finding:
    probe, seen, wrong = group[0]
    task = probe.task
    transport = str(task["transport"]).upper()
    server = f"DNS server {probe.endpoint.label}" if probe.endpoint else f"DNS at {task['server']}"
    clients = sorted({p.vantage.label for p, _seen, _wrong in group})
    return _bench.failed(
        check_id,
        f"{server} answers {task['rrtype']} {task['name']} over {transport} wrongly, seen from {short(clients)}",
        object=probe.endpoint.label if probe.endpoint else look.service.label,
        field=probe.id,
        observed=wrong,
        expected=list(probe.expected or ()) or "no such name",
        cause=_cause(look, probe, seen),
        evidence={"detail": seen.detail, "clients": clients},
        subjects=_subjects(look),
    )


def _cause(look: Look, probe: Probe, seen: Observation) -> str:
    """Whether it is the servers, or what lies between them and the client (DN-22)."""
    if not seen.failures:
        return ""
    if probe.endpoint is not None:
        return "the server, or the way to its node"
    direct = [found for other, found in look.seen("dns", "replica") if other.vantage == probe.vantage]
    if direct and all(found.ok for found in direct):
        return "each server answers directly, so the DNS Service or the service proxy of the node is to blame"
    if direct and not any(found.ok for found in direct):
        return "no server answers directly either"
    return ""


def mismatch(look: Look, probe: Probe, seen: Observation) -> str:
    """What is wrong with an answer, as a phrase; empty when it is as expected or the probe came to no end."""
    if seen.failures:
        return failure(seen)
    if not seen.ok or probe.expected is None:
        return ""
    rcode, answers = str(seen.value.get("rcode")), [str(answer) for answer in seen.value.get("answers") or []]
    got = {_comparable(look.service, probe, answer) for answer in answers}
    wanted = set(probe.expected)
    if probe.label == "absent":
        return "" if rcode == "NXDOMAIN" or (rcode == "NOERROR" and not got) else f"{rcode} {short(got)}"
    if rcode != "NOERROR":
        return rcode
    # A datagram holds what fits; the rest is asked for over TCP.
    if got == wanted or (seen.value.get("truncated") and got <= wanted):
        return ""
    if probe.task["rrtype"] in ("A", "AAAA") and wanted and fits(look, got, wanted):
        return ""
    return short(got)


def _comparable(service: Service, probe: Probe, answer: str) -> str:
    """An answer without what is left open: priority and weight, and the own name of a headless Service's endpoint."""
    rrtype = probe.task["rrtype"]
    if rrtype == "SRV":
        _priority, _weight, port, target = (answer.split() + [""] * 4)[:4]
        if service.headless:
            target = f"*.{target.partition('.')[2]}"
        return f"{port} {target}".lower()
    return answer.lower() if rrtype == "PTR" or not family_of(answer) else answer
