# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Private to this collection: may change in any release.
"""The picture of one look, as data: clients, the Service, its endpoints and pods, and how each way between them went.

Pure. It draws no conclusions that a check does not draw: an answer is wrong here when it is wrong there.
"""

from __future__ import annotations

import ssl
import typing as t
from collections import Counter
from statistics import median

from ..kube.errors import one_line
from .checks import dns, http
from .checks.paths import PURPOSES
from .look import UNDECIDED, Look, Observation
from .plan_outside import LOAD_BALANCER, NODE_PORT
from .scope import ASKED, Probe
from .snapshot import Endpoint, Pod

OK, PARTIAL, FAILED, UNSURE = "ok", "partial", "failed", "undecided"

# Objects of one kind that are listed at most; what is not good comes first, and how many are left out is said.
MOST = 500
MOST_EDGES = 4000
MOST_NAMES = 100

# purpose of a probe -> where it leads when it is not about a pod or a node.
_ENDS = {
    "cluster_ip": "service",
    "name": "service",
    LOAD_BALANCER: "service",
    "resolve": "dns",
    "dns": "dns",
    "api_server": "api-server",
}
_PURPOSES = ("direct", "node_port", NODE_PORT, *_ENDS)
# From outside it is the same way as from inside, seen by another client.
_CALLED = {NODE_PORT: "node_port", LOAD_BALANCER: "load_balancer"}

_Json = dict[str, t.Any]


def topology(look: Look) -> _Json:
    """What the result document says about who was asked, by whom, which way, and what came of it."""
    service = look.service
    endpoints = sorted(look.after.endpoints, key=lambda e: (e.ready and e.serving, e.pod, e.address))
    pods = sorted(look.after.pods, key=lambda pod: (pod.ready, pod.name))
    nodes = sorted(look.after.nodes, key=lambda node: (node.ready, node.name))
    edges = sorted(_edges(look), key=lambda edge: edge["status"] == OK)
    found = {
        "service": {
            "namespace": service.namespace,
            "name": service.name,
            "type": service.type,
            "headless": service.headless,
            "cluster_ips": list(service.cluster_ips),
            "ports": [
                {
                    "name": port.name,
                    "port": port.port,
                    "protocol": port.protocol,
                    "target_port": port.target_port,
                    "node_port": port.node_port,
                }
                for port in service.ports
            ],
            "addresses": list(service.ingress),
        },
        "clients": [
            {
                "label": vantage.label,
                "node": vantage.node,
                "namespace": vantage.namespace if vantage.node else "",
                "works": look.works(vantage),
                "detail": look.lost.get(vantage, ""),
            }
            for vantage in (*look.plan.vantages, *([look.plan.outside] if look.plan.outside else []))
        ],
        "nodes": [{"name": node.name, "ready": node.ready} for node in nodes[:MOST]],
        "endpoints": [_endpoint(endpoint) for endpoint in endpoints[:MOST]],
        "pods": [_pod(pod) for pod in pods[:MOST]],
        "certificates": _certificates(look),
        "edges": edges[:MOST_EDGES],
        "omitted": {
            name: left
            for name, left in (
                ("nodes", len(nodes) - MOST),
                ("endpoints", len(endpoints) - MOST),
                ("pods", len(pods) - MOST),
                ("edges", len(edges) - MOST_EDGES),
            )
            if left > 0
        },
    }
    cleaned: _Json = _clean(found)
    return cleaned


def _clean(value: t.Any) -> t.Any:
    """Every string as one printable line; nothing is left out."""
    if isinstance(value, str):
        return one_line(value, 300)
    if isinstance(value, dict):
        return {key: _clean(child) for key, child in value.items()}
    if isinstance(value, list):
        return [_clean(child) for child in value]
    return value


def _endpoint(endpoint: Endpoint) -> _Json:
    return {
        "address": endpoint.address,
        "ports": [number for _name, _protocol, number in endpoint.ports],
        "slice": endpoint.slice,
        "pod": endpoint.pod,
        "node": endpoint.node,
        "ready": endpoint.ready,
        "serving": endpoint.serving,
        "terminating": endpoint.terminating,
    }


def _pod(pod: Pod) -> _Json:
    reason = pod.unready_reason or ("" if pod.ready else pod.phase)
    return {"name": pod.name, "node": pod.node, "ready": pod.ready, "reason": reason, "terminating": pod.terminating}


# ----- edges


def _edges(look: Look) -> list[_Json]:
    """One edge for everything that one client did towards one target."""
    groups: dict[tuple[str, str, str, str, int], list[tuple[Probe, Observation]]] = {}
    for purpose in _PURPOSES:
        for probe, found in look.seen(purpose):
            port = probe.port.port if probe.port else 0
            key = (probe.vantage.label, purpose, _target(probe), _end(probe), port)
            groups.setdefault(key, []).append((probe, found))
    edges = []
    for (client, by, target, end, port), seen in groups.items():
        classes: Counter[str] = Counter()
        for probe, found in seen:
            classes += _classes(look, probe, found)
        edges.append(
            {
                "client": client,
                "by": _CALLED.get(by, by),
                "target": target,
                "port": port,
                "to": end,
                "status": _status(classes),
                "classes": dict(sorted(classes.items())),
                "ms": round(median(found.ms for _probe, found in seen), 2),
            }
        )
    return edges


def _target(probe: Probe) -> str:
    """The address or name; the many names that one DNS server is asked for are one target."""
    if probe.purpose == "dns":
        return f"{probe.task['server']} ({str(probe.task['transport']).upper()})"
    return probe.target


def _end(probe: Probe) -> str:
    if probe.endpoint:
        return probe.endpoint.pod or probe.endpoint.address
    return probe.node or _ENDS[probe.purpose]


def _classes(look: Look, probe: Probe, found: Observation) -> Counter[str]:
    """How often what was seen; answers that are not the expected ones are no `ok`."""
    classes = Counter(found.classes)
    if probe.purpose == "resolve" and probe.expected == () and found.kind in (OK, "name"):
        return Counter({OK: sum(classes.values())})
    for name, count in _wrong(look, probe, found).items():
        moved = min(count, classes[OK])
        classes[name] += moved
        classes[OK] -= moved
    return +classes


def _wrong(look: Look, probe: Probe, found: Observation) -> dict[str, int]:
    """What to call answers instead of `ok`, and how many of them at most."""
    many = found.answered
    if not many:
        return {}
    if probe.purpose == "resolve":
        got, wanted = set(found.value.get("addresses") or ()), set(probe.expected or ())
        return {"wrong address": many} if wanted and not dns.fits(look, got, wanted) else {}
    if probe.purpose == "dns":
        return {"wrong answer": many} if dns.mismatch(look, probe, found) else {}
    return _wrong_page(look, found) if probe.task["type"] in ASKED else {}


def _wrong_page(look: Look, found: Observation) -> dict[str, int]:
    # OpenSSL's codes are positive.
    if any(int(served.get("code") or 0) > 0 for served in found.value.get("served") or ()):
        return {"bad certificate": found.answered}
    statuses: t.Mapping[str, int] = found.value.get("statuses") or {}
    other = {status: count for status, count in statuses.items() if int(status) not in look.question.expect.status}
    wrong = {f"status {status}": count for status, count in other.items()}
    return wrong or ({"wrong content": found.answered} if http.mismatch(look, found) else {})


def _status(classes: t.Mapping[str, int]) -> str:
    answered = classes.get(OK, 0)
    accused = sum(count for kind, count in classes.items() if kind != OK and kind not in UNDECIDED)
    if not accused:
        return OK if answered else UNSURE
    return PARTIAL if answered else FAILED


# ----- certificates


def _certificates(look: Look) -> list[_Json]:
    """Every leaf that was served, once per port: what anybody who connects is told."""
    places: dict[tuple[str, bytes], list[str]] = {}
    for purpose in PURPOSES:
        for probe, found in look.seen(purpose):
            for served in found.value.get("served") or ():
                leaf = next(iter(served.get("chain") or ()), None)
                if isinstance(leaf, bytes) and probe.port:
                    pods = places.setdefault((probe.port.label, leaf), [])
                    pods += [_end(probe)] if probe.endpoint else []
    if not places:
        return []
    from ..pki.certificates import facts, parse_chain  # cryptography is loaded where TLS was spoken only
    from ..pki.errors import PkiError

    certificates = []
    for (port, leaf), seen in sorted(places.items()):
        try:
            told = facts(parse_chain(ssl.DER_cert_to_PEM_cert(leaf).encode(), what="served")[0])
        except PkiError:
            continue  # TL-03 says so
        kept = {key: told[key] for key in ("subject", "issuer", "not_before", "not_after", "serial", "fingerprint")}
        names = [*told["names"], *told["addresses"]]
        certificates.append(
            {"where": f"port {port}", "served_by": sorted(set(seen)), "names": names[:MOST_NAMES], **kept}
        )
    return certificates
