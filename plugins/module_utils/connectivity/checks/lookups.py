# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Private to this collection: may change in any release.
"""Are names found at the first try?

A resolver that gets no answer asks again after 5 s (resolv.conf(5), option timeout), so a lost datagram shows as a
lookup that works after 5 s. A slow cluster is not judged: what counts is that a query stayed without an answer while
the next one had one, or that the resolver waited its whole time while the same client was answered promptly otherwise.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field

from ..look import DNS, Look, Observation
from ..result import Finding, short
from ..scope import Vantage
from .common import Bench

# Seconds that a resolver waits where resolv.conf does not say (RES_TIMEOUT), and how much of it must have passed.
_RESOLVER_TIMEOUT = 5
_WAITED = 0.9
# Milliseconds by which a client may be late itself, and within which the rest must have been answered.
_PROMPT = 1000


@dataclass
class _Seen:
    """What one client saw.

    Attributes:
        late: names, with the seconds that their lookup took.
        lost: DNS servers, with the number of queries that had to be repeated; an empty name is the DNS Service.
    """

    late: dict[str, str] = field(default_factory=dict)
    lost: dict[str, int] = field(default_factory=dict)


def check(bench: Bench, look: Look) -> list[Finding]:
    """DN-20."""
    clients = [vantage for vantage in look.plan.vantages if look.works(vantage) and _is_prompt(look, vantage)]
    seen = {vantage: _of(look, vantage) for vantage in clients}
    bad = {vantage: what for vantage, what in seen.items() if what.late or what.lost}
    complaints = [_complaint(bench, vantage, what) for vantage, what in bad.items()]
    good = len(seen) - len(bad)
    return bench.verdict("DN-20", complaints, good, f"no query of {good} client(s) had to be repeated")


def _is_prompt(look: Look, vantage: Vantage) -> bool:
    """Whether a client was answered promptly over TCP, and was not late itself."""
    found = [(key, one) for (who, key), one in look.observations.items() if who == vantage]
    late = max((int(one.value.get("late_ms") or 0) for _key, one in found), default=0)
    slowest = max((one.ms for key, one in found if one.ok and (key == "api-server" or "/tcp/" in key)), default=None)
    return late < _PROMPT and slowest is not None and slowest < _PROMPT


def is_late(look: Look, vantage: Vantage, found: Observation) -> bool:
    """Whether a lookup took as long as the resolver waits until it asks again."""
    return found.ok and found.ms >= _WAITED * 1000 * _patience(look, vantage)


def _of(look: Look, vantage: Vantage) -> _Seen:
    seen = _Seen()
    for probe, found in look.seen("resolve"):
        if probe.vantage == vantage and is_late(look, vantage, found):
            seen.late[probe.target] = f"{found.ms / 1000:.1f} s"
    for probe, found in look.seen("dns"):
        if probe.vantage == vantage and found.ok and _lost(found):
            server = probe.endpoint.pod if probe.endpoint else ""
            seen.lost[server] = seen.lost.get(server, 0) + _lost(found)
    return seen


def _lost(found: Observation) -> int:
    return int(found.value.get("lost") or 0)


def _patience(look: Look, vantage: Vantage) -> int:
    """Seconds until the client's resolver asks again."""
    found = look.observations.get((vantage, "resolv-conf"))
    options = [str(option).partition(":") for option in (found.value.get("options") or [] if found else [])]
    given = [int(value) for name, _colon, value in options if name == "timeout" and value.isdigit()]
    return max(1, *given) if given else _RESOLVER_TIMEOUT


def _complaint(bench: Bench, vantage: Vantage, what: _Seen) -> Finding:
    servers = sorted(server or "the DNS Service" for server in what.lost)
    alone = next(iter(what.lost), "") if len(what.lost) == 1 and not what.late else ""
    after = f"names resolve after {max(what.late.values())}" if what.late else "queries have to be repeated"
    observed: dict[str, t.Any] = {f"lookup of {name}": took for name, took in sorted(what.late.items())}
    observed |= {f"queries lost at {server or 'the DNS Service'}": count for server, count in sorted(what.lost.items())}
    return bench.warned(
        "DN-20",
        f"the first query of clients on {vantage.label} is lost: {after}",
        object=f"Node {vantage.node}",
        field=f"lookups in namespace {vantage.namespace}",
        observed=observed,
        expected="an answer to the first query",
        cause="datagrams between these clients and the DNS servers are lost, often by a race in conntrack between two "
        "queries of one socket; NodeLocal DNSCache avoids it, and so does single-request-reopen in dnsConfig.options "
        "of the clients",
        evidence={"servers": short(servers)} if servers else {},
        subjects=frozenset({DNS}),
        component=f"dns/server/{alone}" if alone else f"resolver/{vantage.node}",
    )
