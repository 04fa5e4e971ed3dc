# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Private to this collection: may change in any release.
"""Whether a Service answers on one path (pod IP, cluster IP, name, NodePort); shared by the layers that ask for it."""

from __future__ import annotations

import typing as t

from ..look import ENDPOINTS, Look, Seen
from ..plan_api_proxy import API_PROXY
from ..plan_outside import LOAD_BALANCER, NODE_PORT
from ..result import Finding, short
from .common import Bench, failure

# The probes that ask the Service, whichever way, by their purpose.
PURPOSES = ("direct", "cluster_ip", "name", "node_port", NODE_PORT, LOAD_BALANCER)

HINTS = {
    "refused": "nothing listens there, or the Service has no endpoint for the port",
    "timeout": "packets are lost: a policy, a dead node, a wrong port or protocol",
    "reset": "the server accepted and hung up",
    "unreachable": "no route from the client",
    "name": "the name does not resolve",
    "protocol": "the port does not speak HTTP",
    "scheme": "see appProtocol, name and targetPort of the port, and what the server listens with",
    "handshake": "no certificate for that name, or no version or cipher in common, or clients must show one themselves",
    "limit": "the answer is larger than the probe accepts",
}


def relevant(look: Look, purpose: str) -> list[Seen]:
    """What was observed on one path, without what says nothing about the Service."""
    pairs = [
        (probe, found) for probe, found in look.seen(purpose) if probe.endpoint is None or look.stable(probe.endpoint)
    ]
    if purpose in ("direct", API_PROXY):
        return pairs
    return [(probe, found) for probe, found in pairs if not look.isolated(probe.vantage)]


def by_target(pairs: t.Iterable[Seen]) -> dict[str, list[Seen]]:
    """What was seen of each address or name, from all clients."""
    found: dict[str, list[Seen]] = {}
    for pair in pairs:
        found.setdefault(pair[0].target, []).append(pair)
    return found


def answers(bench: Bench, look: Look, purpose: str, check_id: str, title: str) -> list[Finding]:
    """Every client gets an answer on this path, whatever it says."""
    pairs = relevant(look, purpose)
    if not pairs:
        changed = purpose == "direct" and look.seen(purpose)
        return [bench.undecided(check_id, "every endpoint changed while it was asked")] if changed else []
    targets = by_target(pairs)
    bad = {target: seen for target, seen in targets.items() if any(found.failures for _probe, found in seen)}
    good = sum(bool(found.answered) for _probe, found in pairs)
    complaints = [_broken(bench, look, check_id, title, target, seen) for target, seen in sorted(bad.items())]
    unsure = [target for target, seen in targets.items() if target not in bad and not any(f.answered for _p, f in seen)]
    if unsure and not complaints:
        detail = targets[unsure[0]][0][1].detail
        return [bench.undecided(check_id, f"{title} {short(unsure)}: the probes came to no end ({detail})")]
    clients = len({probe.vantage for probe, _found in pairs})
    message = f"{look.service.label} answers by {title} ({len(targets)} address(es), {clients} client(s))"
    return bench.verdict(check_id, complaints, good, message)


def called(check_id: str, message: str, who: str, seen: t.Sequence[Seen]) -> tuple[str, str]:
    """The check that a failure belongs to and its message: a server that answers, but otherwise, has its own."""
    kinds = {kind for _probe, found in seen for kind in found.failures}
    probe = seen[0][0]
    if kinds == {"scheme"}:
        secure = probe.task["type"] == "https"
        spoken, wanted = ("plain HTTP", "TLS") if secure else ("TLS", "plain HTTP")
        return "DP-09", f"{who} speaks {spoken} at {probe.target}, where {wanted} is expected"
    if "handshake" in kinds and kinds <= {"handshake", "reset"}:  # a reset may overtake the alert
        return "TL-11", f"{who} refuses the TLS handshake at {probe.target}"
    return check_id, message


def _broken(bench: Bench, look: Look, check_id: str, title: str, target: str, seen: t.Sequence[Seen]) -> Finding:
    failed = {probe.vantage.label: failure(found) for probe, found in seen if found.failures}
    classes = {kind for _probe, found in seen for kind in found.failures}
    endpoint = seen[0][0].endpoint
    pod = look.after.pod(endpoint.pod_uid) if endpoint else None
    subjects = {pod.uid} if pod else {ENDPOINTS}
    causes = [HINTS[kind] for kind in sorted(classes) if kind in HINTS]
    fine = sorted({probe.vantage.label for probe, found in seen if found.answered and not found.failures})
    if fine:
        causes = [f"{short(fine)} is answered, so it is the service proxy or the network of the other node(s)"]
    silent = f"{look.service.label} does not answer by {title} {target}"
    check_id, message = called(check_id, silent, look.service.label, seen)
    return bench.failed(
        check_id,
        message,
        object=pod.label if pod else look.service.label,
        field=target,
        observed=failed,
        expected="an answer to every client",
        cause="; ".join(causes),
        evidence={"details": {probe.vantage.label: found.detail for probe, found in seen if found.failures}},
        subjects=frozenset({look.service.uid, *subjects}),
    )
