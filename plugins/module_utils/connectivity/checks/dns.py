# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Private to this collection: may change in any release.
"""Does the name lead to the Service: through the client's own resolver, and from every DNS server of the cluster?"""

from __future__ import annotations

import typing as t

from .. import names
from ..look import DNS, ENDPOINTS, Look, Observation, Seen
from ..result import Finding, short
from ..scope import Probe, Vantage
from ..snapshot import Service, family_of
from . import lookups
from .cluster_dns import servers
from .common import Bench, failure, why_unprobed
from .paths import by_target

NAME = "dns"
_bench = Bench(NAME)

CHECKS: tuple[tuple[str, str, str], ...] = (
    ("DN-01", "The short name resolves in the Service's namespace", "create jobs (probe)"),
    ("DN-02", "The longer names resolve", "create jobs (probe)"),
    ("DN-03", "The addresses of the name are those of the Service", "create jobs (probe)"),
    ("DN-04", "From another namespace the name resolves with its namespace", "create jobs (probe)"),
    ("DN-05", "A headless name has the addresses of the ready pods", "create jobs (probe)"),
    ("DN-06", "SRV records name port and target", "create jobs (probe)"),
    ("DN-07", "The cluster IP leads back to the name", "create jobs (probe)"),
    ("DN-08", "kubernetes.default resolves", "create jobs (probe)"),
    ("DN-09", "Names that do not exist do not resolve", "create jobs (probe)"),
    ("DN-10", "Further names that clients need resolve", "create jobs (probe)"),
    ("DN-11", "resolv.conf of a client leads to the cluster's DNS", "create jobs (probe)"),
    ("DN-13", "The DNS Service is there with both ports", "list services"),
    ("DN-14", "DNS servers are ready", "list endpointslices"),
    ("DN-16", "Every DNS server answers, over UDP and TCP", "create jobs (probe)"),
    ("DN-20", "Names are found at the first try", "create jobs (probe)"),
    ("DN-22", "The address of the DNS Service answers, over UDP and TCP", "create jobs (probe)"),
)

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
    ("replica", "DN-03", "address records from each DNS server"),
)


def check(look: Look) -> list[Finding]:
    """All checks of this layer."""
    service, found = look.service, _dns_service(look)
    why = why_unprobed(look)
    if why:
        return [*found, _bench.skipped("DN-01", f"no name was looked up: {why}")]
    found += _resolver(look) + _names(look) + lookups.check(_bench, look) + _further(look)
    if service.external:
        found.append(_bench.skipped("DN-03", f"{service.label} is an ExternalName: its answer is up to other servers"))
        return found
    if service.headless and not any(endpoint.ready for endpoint in look.before.endpoints):
        found.append(_bench.skipped("DN-05", f"{service.label} is headless without ready endpoints: it has no records"))
    found += _silence(look)
    for label, check_id, title in _RECORDS:
        found += _records(look, label, check_id, title)
    return found


def _subjects(look: Look) -> frozenset[str]:
    """What DNS answers rest on: the Service, the DNS servers, and the endpoints where those are the answer."""
    return frozenset({look.service.uid, DNS} | ({ENDPOINTS} if look.service.headless else set()))


def _further(look: Look) -> list[Finding]:
    """DN-10. Where a name fails on some nodes only, it is not for those who know the name to say why."""
    by_name = by_target(look.seen("further"))
    complaints = []
    for name, seen in by_name.items():
        failed = {probe.vantage: found.detail for probe, found in seen if found.failures}
        if failed and _is_short_elsewhere(look, name, failed):
            complaints.append(_short_elsewhere(look, failed))
        elif failed:
            details = {vantage.label: detail for vantage, detail in failed.items()}
            complaints.append(_unknown(name, details, everywhere=len(failed) == len(seen)))
    good = sum(all(found.ok for _probe, found in seen) for seen in by_name.values())
    return _bench.verdict("DN-10", complaints, good, f"the {good} further name(s) resolve: {short(list(by_name))}")


def _is_short_elsewhere(look: Look, name: str, clients: t.Collection[Vantage]) -> bool:
    """Whether it is the Service's short name, and clients of other namespaces find the one that is right for them."""
    longer = {probe.vantage for probe, found in look.seen("resolve", "name.namespace") if found.ok}
    strangers = all(vantage.namespace != look.service.namespace for vantage in clients)
    return name == look.service.name and strangers and longer.issuperset(clients)


def _short_elsewhere(look: Look, failed: t.Mapping[Vantage, str]) -> Finding:
    service = look.service
    right = names.forms(service.name, service.namespace)[1]
    where = short(sorted({vantage.namespace for vantage in failed}))
    return _bench.failed(
        "DN-10",
        f"clients in namespace {where} use the short name {service.name}, which is known in namespace "
        f"{service.namespace} only: {right} is right for them",
        object=service.name,
        field=f"{service.name} in namespace {where}",
        observed={vantage.label: detail for vantage, detail in failed.items()},
        expected="an address (expect.resolves)",
        cause=f"let the clients use {right}: a name without dots is searched for in the client's own namespace",
        subjects=_subjects(look),
        component=f"client/{service.name}",
    )


def _unknown(name: str, failed: t.Mapping[str, str], *, everywhere: bool) -> Finding:
    return _bench.failed(
        "DN-10",
        f"clients on {short(sorted(failed))} do not find {name}",
        object=name,
        field=f"{name} on {','.join(sorted(failed))}",
        observed=dict(failed),
        expected="an address (expect.resolves)",
        cause="the servers that the cluster's DNS forwards to, the way to them, or the name itself",
        subjects=frozenset({DNS}),
        component="dns/upstream" if everywhere else "",
    )


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
            # Servers that are ready, but not behind the Service, are not to blame.
            component="dns/service" if any(pod.ready for pod in servers(look)) else "dns/servers",
        )
    ]


# ----- the client's resolver


def _resolver(look: Look) -> list[Finding]:
    """DN-11: resolv.conf names the cluster's DNS (or a cache on the node) and searches the client's own namespace."""
    pairs = [(probe, found) for probe, found in look.seen("resolv_conf") if found.ok]
    odd: dict[tuple[str, str, str], list[str]] = {}
    for probe, found in pairs:
        for field, got, wanted in (*_nameservers(look, found), *_search(look, probe, found)):
            odd.setdefault((field, got, wanted), []).append(probe.vantage.label)
    complaints = [
        _bench.warned(
            "DN-11",
            f"resolv.conf of clients on {short(clients)} does not lead to the cluster's DNS as usual",
            object="resolv.conf",
            field=field,
            observed=got,
            expected=wanted,
            cause="the kubelet's clusterDNS and clusterDomain, or dnsPolicy of the client",
            subjects=frozenset({DNS}),
        )
        for (field, got, wanted), clients in odd.items()
    ]
    message = f"resolv.conf of {len(pairs)} client(s) leads to the cluster's DNS"
    return _bench.verdict("DN-11", complaints, len(pairs), message)


def _nameservers(look: Look, found: Observation) -> list[tuple[str, str, str]]:
    given = [str(server) for server in found.value.get("nameservers") or []]
    dns = look.after.dns
    if dns is None or any(server in dns.cluster_ips or _on_the_node(server) for server in given):
        return []
    return [("nameserver", short(given), short(dns.cluster_ips))]


def _on_the_node(server: str) -> bool:
    """Whether an address is link-local, as NodeLocal DNSCache uses by convention."""
    return server.startswith("169.254.") or server.lower().startswith("fe80:")


def _search(look: Look, probe: Probe, found: Observation) -> list[tuple[str, str, str]]:
    given = [str(entry).rstrip(".") for entry in found.value.get("search") or []]
    domain = look.question.domain or names.DEFAULT_DOMAIN
    wanted = list(names.search_list(probe.vantage.namespace, domain))
    return [] if given[: len(wanted)] == wanted else [("search", short(given), short(wanted))]


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
    ended = [pair for pair in pairs if pair[1].ok or pair[1].failures]
    if pairs and not ended:
        probe, seen = pairs[0]
        return [_bench.undecided(check_id, f"lookups of {probe.target} came to no end ({seen.detail})")]
    good = len(ended) - len(complaints)
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


def fits(look: Look, got: set[str], wanted: set[str], *, part: bool = False) -> bool:
    """Whether addresses equal those wanted, or are `part` of them.

    The addresses of a headless Service are its endpoints: while those change, an answer is right if it has all that
    stayed and none that was never there.
    """
    least, most = wanted, wanted
    if look.service.headless and ENDPOINTS in look.touched:
        before, after = ({e.address for e in side.endpoints if e.ready} for side in (look.before, look.after))
        least = before & after & wanted
        most = wanted | {endpoint.address for endpoint in (*look.before.endpoints, *look.after.endpoints)}
    return got <= most and (least <= got or (part and bool(got)))


def _ours(look: Look) -> tuple[str, ...]:
    service = look.service
    return service.cluster_ips or tuple(endpoint.address for endpoint in look.after.endpoints)


# ----- records from each server


def _queries(look: Look) -> list[Seen]:
    """What DNS servers were asked, without what says nothing about them."""
    return [
        (probe, seen)
        for probe, seen in look.seen("dns")
        if (look.stable(probe.endpoint) if probe.endpoint else not look.isolated(probe.vantage))
    ]


def _silence(look: Look) -> list[Finding]:
    """DN-16 each DNS server answers over UDP and TCP; DN-22 so does the address of the DNS Service."""
    by_server: dict[tuple[str, str], list[Seen]] = {}
    for probe, seen in _queries(look):
        key = ("DN-16", probe.endpoint.label) if probe.endpoint else ("DN-22", str(probe.task["server"]))
        by_server.setdefault(key, []).append((probe, seen))
    found: list[Finding] = []
    for check_id, title in (
        ("DN-16", "DNS server(s) answer themselves"),
        ("DN-22", "address(es) of the DNS Service answer"),
    ):
        mine = {server: pairs for (check, server), pairs in by_server.items() if check == check_id}
        dead = {server: pairs for server, pairs in mine.items() if any(seen.failures for _probe, seen in pairs)}
        complaints = [_silent(look, check_id, server, pairs) for server, pairs in sorted(dead.items())]
        good = sum(any(seen.ok for _probe, seen in pairs) for server, pairs in mine.items() if server not in dead)
        message = f"{good} {title} over UDP and TCP"
        found += _bench.verdict(check_id, complaints, good, message)
        if mine and not good and not complaints:
            found.append(_bench.undecided(check_id, "the queries came to no end"))
    return found


def _silent(look: Look, check_id: str, server: str, pairs: t.Sequence[Seen]) -> Finding:
    failed: dict[str, dict[str, int]] = {}
    for probe, seen in pairs:
        if seen.failures:
            counts = failed.setdefault(f"{probe.vantage.label} {str(probe.task['transport']).upper()}", {})
            counts[seen.kind] = counts.get(seen.kind, 0) + 1
    endpoint = pairs[0][0].endpoint
    dns = look.after.dns
    return _bench.failed(
        check_id,
        f"DNS server {server} leaves queries unanswered" if endpoint else f"DNS at {server} leaves queries unanswered",
        object=f"endpoint {server} of {dns.label}" if dns else server,
        field=server,
        observed={where: f"{short(counts)} of {_asked(pairs, where)}" for where, counts in sorted(failed.items())},
        expected="an answer to every query",
        cause="the server, or the way to its node" if endpoint else _between(look, pairs),
        evidence={"details": sorted({seen.detail for _probe, seen in pairs if seen.failures})},
        subjects=frozenset({DNS}),
    )


def _asked(pairs: t.Sequence[Seen], where: str) -> int:
    return sum(f"{probe.vantage.label} {str(probe.task['transport']).upper()}" == where for probe, _seen in pairs)


def _between(look: Look, pairs: t.Sequence[Seen]) -> str:
    """Whether it is the servers, or what lies between them and the clients."""
    clients = {probe.vantage for probe, seen in pairs if seen.failures}
    direct = [seen for probe, seen in look.seen("dns") if probe.endpoint and probe.vantage in clients]
    if not direct:
        return ""
    if all(seen.ok for seen in direct):
        return "each server answers directly, so the DNS Service or the service proxy of the node is to blame"
    return "not every server behind it answers" if any(seen.ok for seen in direct) else "no server behind it answers"


def _records(look: Look, label: str, check_id: str, title: str) -> list[Finding]:
    """The answers that came equal what the Service is."""
    if label == "address" and look.service.headless:
        check_id = "DN-05"
    pairs = [(probe, seen) for probe, seen in _queries(look) if probe.label == label and seen.ok]
    groups: dict[tuple[str, str, str], list[Seen]] = {}
    for probe, seen in pairs:
        wrong = mismatch(look, probe, seen)
        if wrong:
            server = probe.endpoint.label if probe.endpoint else str(probe.task["server"])
            groups.setdefault((server, f"{probe.task['rrtype']} {probe.task['name']}", wrong), []).append((probe, seen))
    bad = sum(len(group) for group in groups.values())
    complaints = [_wrong(look, check_id, key, group) for key, group in sorted(groups.items())]
    clients = len({probe.vantage for probe, _seen in pairs})
    message = f"{title}: {len(pairs) - bad} good answer(s) to {clients} client(s)"
    return _bench.verdict(check_id, complaints, len(pairs) - bad, message)


def _wrong(look: Look, check_id: str, key: tuple[str, str, str], group: t.Sequence[Seen]) -> Finding:
    server, query, wrong = key
    probe = group[0][0]
    clients = sorted({p.vantage.label for p, _seen in group})
    return _bench.failed(
        check_id,
        f"DNS {'server' if probe.endpoint else 'at'} {server} answers {query} wrongly, seen from {short(clients)}",
        object=look.service.label,
        field=f"{query} from {server}",
        observed=wrong,
        expected=list(probe.expected or ()) or "no such name",
        evidence={"clients": clients, "over": sorted({str(p.task["transport"]) for p, _seen in group})},
        subjects=_subjects(look),
    )


def mismatch(look: Look, probe: Probe, seen: Observation) -> str:
    """What is wrong with an answer, as a phrase; empty when it is as expected."""
    if probe.expected is None:
        return ""
    rcode, answers = str(seen.value.get("rcode")), [str(answer) for answer in seen.value.get("answers") or []]
    got = {_comparable(look.service, probe, answer) for answer in answers}
    wanted = set(probe.expected)
    if probe.label == "absent":
        return "" if rcode == "NXDOMAIN" or (rcode == "NOERROR" and not got) else f"{rcode} {short(got)}"
    if rcode != "NOERROR":
        return rcode
    if probe.task["rrtype"] not in ("A", "AAAA") or not wanted:
        return "" if got == wanted else short(got)
    # A datagram holds what fits, any of it; the rest is asked for over TCP.
    return "" if fits(look, got, wanted, part=bool(seen.value.get("truncated"))) else short(got)


def _comparable(service: Service, probe: Probe, answer: str) -> str:
    """An answer without what is left open: priority and weight, and the own name of a headless Service's endpoint."""
    rrtype = probe.task["rrtype"]
    if rrtype == "SRV":
        _priority, _weight, port, target = (answer.split() + [""] * 4)[:4]
        if service.headless:
            target = f"*.{target.partition('.')[2]}"
        return f"{port} {target}".lower()
    return answer.lower() if rrtype == "PTR" or not family_of(answer) else answer
