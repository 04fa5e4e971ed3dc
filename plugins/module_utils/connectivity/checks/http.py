# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Private to this collection: may change in any release.
"""Does the Service answer as applications ask it: by pod IP, cluster IP, name and NodePort, with the right content?"""

from __future__ import annotations

import typing as t

from .. import plan_api_proxy, plan_outside
from ..look import ENDPOINTS, Look, Observation
from ..ports import web_ports
from ..result import Finding
from ..scope import ASKED, Probe
from .common import Bench, why_unprobed
from .paths import answers, by_target, relevant

NAME = "http"
_bench = Bench(NAME)

CHECKS: tuple[tuple[str, str, str], ...] = (
    ("DP-01", "Every pod answers at its own address", "create jobs (probe)"),
    ("DP-03", "The cluster IP answers", "create jobs (probe)"),
    ("DP-04", "The name answers", "create jobs (probe)"),
    ("DP-08", "Status and content are as expected", "create jobs (probe)"),
    ("DP-14", "Answers come in time", "create jobs (probe)"),
    ("DP-09", "A port speaks what it is expected to: TLS or plain HTTP", "create jobs (probe)"),
    ("NP-02", "Every node answers at the NodePort", "create jobs (probe)"),
)

# Those of tls.py, which is loaded where TLS is judged only.
TLS_CHECKS: tuple[tuple[str, str, str], ...] = (
    ("TL-01", "The Secret of the certificate exists", "get secrets"),
    ("TL-03", "What is served or stored is a certificate", "create jobs (probe)"),
    ("TL-04", "The private key of the Secret is that of its certificate", "get secrets"),
    ("TL-05", "The certificate is valid now", "create jobs (probe)"),
    ("TL-06", "The certificate does not expire soon", "create jobs (probe)"),
    ("TL-07", "The certificate is for the name that clients use", "create jobs (probe)"),
    ("TL-08", "The certificate has a subjectAltName", "create jobs (probe)"),
    ("TL-09", "Key and signature of the certificate are strong enough", "create jobs (probe)"),
    ("TL-10", "The certificate leads to a CA that clients trust", "create jobs (probe)"),
    ("TL-11", "The handshake succeeds with name and chain verified", "create jobs (probe)"),
    ("TL-13", "What is served is what the Secret holds", "get secrets, create jobs (probe)"),
    ("TL-14", "All pods serve the same certificate", "create jobs (probe)"),
    ("TL-15", "Old versions of TLS are refused", "create jobs (probe)"),
    ("TL-17", "The clocks agree on the certificate's dates", "create jobs (probe)"),
    ("TL-19", "Every pod serves what it has mounted, and that is what the Secret holds", "create pods/exec"),
    ("TL-21", "The certificate is for servers", "create jobs (probe)"),
    ("TL-22", "All common clients accept the certificate", "create jobs (probe)"),
)

# purpose of the probe -> check, what it is called.
_PATHS = (
    ("direct", "DP-01", "pod IP"),
    ("cluster_ip", "DP-03", "cluster IP"),
    ("name", "DP-04", "name"),
    ("node_port", "NP-02", "NodePort"),
)
# Where content is compared, beside these: ways that have a layer of their own.
_TOLD = (
    *_PATHS,
    (plan_outside.NODE_PORT, "NP-04", "NodePort from outside"),
    (plan_outside.LOAD_BALANCER, "LB-03", "load balancer from outside"),
    (plan_api_proxy.API_PROXY, "DP-12", "the API server's proxy"),
)


def check(look: Look) -> list[Finding]:
    """All checks of this layer."""
    service = look.service
    if service.external:
        return [_bench.skipped("DP-03", f"{service.label} is an ExternalName: it is not asked from here")]
    why = why_unprobed(look) or look.after.why_missing("endpointslices")
    found = [_bench.skipped("DP-03", f"the Service was not asked: {why}")] if why else _ways(look)
    if why and look.plan.outside is None and look.plan.api_server is None:
        return found
    plain, secure = web_ports(service, look.question.expect.http_ports, look.question.tls.ports)
    if not plain and not secure:
        why = f"no port of {service.label} is known to speak HTTP (see expect.http_ports)"
        return [*found, _bench.skipped("DP-08", f"content was not compared: {why}")]
    if secure:
        from . import tls  # cryptography is loaded where TLS is judged only

        found = tls.check(_bench, look) + found
    return found + _content(look) + _in_time(look)


def _ways(look: Look) -> list[Finding]:
    """Every way that leads to the Service from inside answers."""
    found = _nothing_to_ask(look)
    for purpose, check_id, title in _PATHS:
        if purpose == "direct" and "endpoints" in look.question.layers:
            continue  # EP-11 says the same of the same probes.
        found += answers(_bench, look, purpose, check_id, title)
    if look.service.external_local:
        why = "a pod is an outsider to its own node never, to other nodes not always; outside: true asks from outside"
        found.append(_bench.skipped("NP-02", f"externalTrafficPolicy is Local, so not every NodePort was asked: {why}"))
    return found


def _nothing_to_ask(look: Look) -> list[Finding]:
    """Without a single endpoint no address can answer; a client without a local one may be meant to get no answer."""
    service = look.service
    if any(endpoint.ready or endpoint.serving for endpoint in look.before.endpoints):
        if service.internal_local and not any(probe.purpose == "cluster_ip" for probe in look.plan.probes):
            why = "internalTrafficPolicy Local, and no client node has an endpoint"
            return [_bench.skipped("DP-03", f"the cluster IP was not asked: {why}")]
        return []
    return [
        _bench.failed(
            "DP-03",
            f"{service.label} has no ready endpoint, so no address of it can answer",
            object=service.label,
            field="endpoints",
            observed=0,
            expected="at least 1",
            subjects=frozenset({service.uid, ENDPOINTS}),
        )
    ]


def _content(look: Look) -> list[Finding]:
    """DP-08: status and markers of the body. A bad endpoint is accused itself, not the paths that lead to it."""
    complaints, good = [], 0
    for purpose, _check, title in _TOLD:
        told = [pair for pair in relevant(look, purpose) if pair[1].answered and pair[0].task["type"] in ASKED]
        bad = [(probe, found, wrong) for probe, found in told if (wrong := mismatch(look, found))]
        good += len(told) - len(bad)
        complaints += [_wrong(look, title, probe, wrong) for probe, _found, wrong in bad]
        if complaints:
            break
    return _bench.verdict("DP-08", _once(complaints), good, f"status and content are as expected ({good} answer(s))")


def _in_time(look: Look) -> list[Finding]:
    """DP-14. As with content, a slow endpoint is accused itself, not the ways that lead to it."""
    limit, complaints, good = look.question.expect.within_ms, [], 0
    for purpose, _check, title in _PATHS if limit is not None else ():
        told = [pair for pair in relevant(look, purpose) if pair[1].answered and pair[0].task["type"] in ASKED]
        for target, seen in by_target(told).items():
            slow = {probe.vantage.label: found.ms for probe, found in seen if found.ms > (limit or 0)}
            good += len(seen) - len(slow)
            if slow:
                complaints.append(_late(look, f"{title} {target}", seen[0][0], slow))
        if complaints:
            break
    return _bench.verdict("DP-14", complaints, good, f"half of the answers come within {limit} ms ({good} way(s))")


def _late(look: Look, way: str, probe: Probe, slow: t.Mapping[str, float]) -> Finding:
    pod = look.after.pod(probe.endpoint.pod_uid) if probe.endpoint else None
    everywhere = len(slow) == len([one for one in look.plan.vantages if look.works(one)])
    return _bench.failed(
        "DP-14",
        f"{look.service.label} answers by {way} later than expected",
        object=pod.label if pod else look.service.label,
        field=probe.target,
        observed={label: f"{ms:.0f} ms" for label, ms in sorted(slow.items())},
        expected=f"at most {look.question.expect.within_ms} ms",
        cause="every client waits, so it is the application" if everywhere else "other clients do not wait so long",
        subjects=frozenset({look.service.uid, pod.uid if pod else ENDPOINTS}),
        component=f"content/{pod.name}" if pod else "content",
    )


def _once(complaints: t.Sequence[Finding]) -> list[Finding]:
    """One complaint per object and address, whichever clients saw it."""
    return list({finding.key: finding for finding in complaints}.values())


def mismatch(look: Look, found: Observation) -> dict[str, t.Any]:
    """What of an answer is not as expected: observed values by aspect, empty when all is well."""
    expect = look.question.expect
    statuses = {int(status): count for status, count in (found.value.get("statuses") or {}).items()}
    wrong: dict[str, t.Any] = {}
    if set(statuses) - set(expect.status):
        wrong["status"] = sorted(statuses)
    absent = [marker for marker, there in (found.value.get("contains") or {}).items() if not there]
    if absent:
        wrong["missing"] = absent
    return wrong


def _wrong(look: Look, title: str, probe: Probe, wrong: t.Mapping[str, t.Any]) -> Finding:
    expect, pod = look.question.expect, None
    if probe.endpoint:
        pod = look.after.pod(probe.endpoint.pod_uid)
    wanted: dict[str, t.Any] = {"status": list(expect.status)} if "status" in wrong else {}
    if "missing" in wrong:
        wanted["contains"] = list(expect.contains)
    return _bench.failed(
        "DP-08",
        f"{look.service.label} answers GET {expect.path} by {title} {probe.target} otherwise than expected",
        object=pod.label if pod else look.service.label,
        field=probe.target,
        observed=wrong,
        expected=wanted,
        subjects=frozenset({look.service.uid, pod.uid if pod else ENDPOINTS}),
    )
