# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Private to this collection: may change in any release.
"""What a topology says, put together for a reader: by client, by endpoint, by the two ends of a way. Pure."""

from __future__ import annotations

import typing as t
from collections import Counter
from dataclasses import dataclass, field

from .model import Json
from .text import value

OK, PARTIAL, FAILED, UNSURE = "ok", "partial", "failed", "undecided"
# Worst first.
_WORST = (FAILED, PARTIAL, UNSURE, OK)

# How a way is called, in the order in which a reader follows it.
WAYS = {
    "api_server": "API server",
    "resolve": "Names",
    "dns": "DNS servers",
    "direct": "Pods directly",
    "cluster_ip": "Cluster IP",
    "name": "By name",
    "node_port": "NodePort",
    "load_balancer": "Load balancer",
}


@dataclass(frozen=True, slots=True)
class Way:
    """Several edges as one: how often what was seen, and how long it took."""

    status: str
    classes: t.Mapping[str, int] = field(default_factory=dict)
    ms: float = 0.0
    bad: tuple[Json, ...] = ()

    @property
    def total(self) -> int:
        """How often it was tried."""
        return sum(self.classes.values())

    @property
    def answered(self) -> int:
        """How often it went well."""
        return self.classes.get(OK, 0)

    @property
    def faults(self) -> str:
        """What else was seen, e.g. `timeout` or `3 timeout, 1 reset`."""
        other = {kind: count for kind, count in self.classes.items() if kind != OK}
        if len(other) == 1 and not self.answered:
            return next(iter(other))
        return ", ".join(f"{count} {kind}" for kind, count in other.items())


def way(edges: t.Sequence[Json]) -> Way | None:
    """All `edges` as one; None where nobody went that way."""
    if not edges:
        return None
    found = {edge["status"] for edge in edges}
    status = next((status for status in _WORST if status in found), UNSURE)
    if status == FAILED and OK in found:
        status = PARTIAL
    classes: Counter[str] = Counter()
    for edge in edges:
        classes.update(edge["classes"])
    times = sorted(edge["ms"] for edge in edges)
    bad = tuple(edge for edge in edges if edge["status"] != OK)
    return Way(status, dict(classes), times[len(times) // 2], bad)


@dataclass(frozen=True, slots=True)
class ClientRow:
    """One client and each way that clients went."""

    client: Json
    ways: tuple[tuple[str, Way | None], ...]


def clients(topology: Json) -> tuple[list[str], list[ClientRow]]:
    """The titles of the ways that somebody went, and a row for every client."""
    used = [by for by in WAYS if any(edge["by"] == by for edge in topology["edges"])]
    rows = []
    for client in topology["clients"]:
        mine = [edge for edge in topology["edges"] if edge["client"] == client["label"]]
        rows.append(
            ClientRow(client, tuple((WAYS[by], way([edge for edge in mine if edge["by"] == by])) for by in used))
        )
    return [WAYS[by] for by in used], rows


@dataclass(frozen=True, slots=True)
class EndpointRow:
    """One endpoint with its pod and what its clients saw."""

    endpoint: Json
    reason: str
    direct: Way | None
    seen_by: str


def endpoints(topology: Json) -> list[EndpointRow]:
    """A row for every endpoint, and for every pod that is not behind one."""
    pods = {pod["name"]: pod for pod in topology["pods"]}
    by_end: dict[str, list[Json]] = {}
    for edge in topology["edges"]:
        if edge["by"] == "direct":
            by_end.setdefault(edge["to"], []).append(edge)
    many = len({edge["client"] for edges in by_end.values() for edge in edges})
    rows = []
    for endpoint in topology["endpoints"]:
        address = endpoint["address"]
        mine = by_end.get(endpoint["pod"] or address, [])
        # A pod of two families has two endpoints.
        direct = way([edge for edge in mine if edge["target"].startswith((f"{address}:", f"[{address}]:"))])
        reason = pods.get(endpoint["pod"], {}).get("reason", "")
        rows.append(EndpointRow(endpoint, reason, direct, _seen_by(direct, many)))
    behind = {endpoint["pod"] for endpoint in topology["endpoints"]}
    for pod in topology["pods"]:
        if pod["name"] not in behind:
            empty = {"address": "", "ports": [], "slice": "", "pod": pod["name"], "node": pod["node"]}
            state = {"ready": pod["ready"], "serving": False, "terminating": pod["terminating"]}
            rows.append(EndpointRow({**empty, **state}, pod["reason"], None, ""))
    return sorted(rows, key=_rank)


def _seen_by(direct: Way | None, many: int) -> str:
    """Which clients get no good answer, in words."""
    names = list(dict.fromkeys(edge["client"] for edge in direct.bad)) if direct else []
    return "every client" if len(names) == many > 1 else value(names) if names else ""


def _rank(row: EndpointRow) -> tuple[int, bool, str, str]:
    status = _WORST.index(row.direct.status) if row.direct else 0
    return status, row.endpoint["ready"], row.endpoint["pod"], row.endpoint["address"]
