# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Private to this collection: may change in any release.
"""Which endpoints are behind an address, by the names that they give themselves."""

from __future__ import annotations

import typing as t

from ..look import ENDPOINTS, Look, Seen
from ..reach import connections
from ..result import Finding, short
from ..scope import ASKED, Probe
from ..snapshot import Endpoint
from .common import Bench


class Identities:
    """Which endpoint gives itself which name, learnt by asking each directly.

    Attributes:
        of: target port and address -> the name it gave.
        unknown: why names do not tell the endpoints apart, or an empty string.
    """

    def __init__(self, look: Look) -> None:
        header = look.question.expect.identity_header
        self.of: dict[tuple[str, str], str] = {}
        self.unknown = "" if header else "no identity_header is given"
        for probe, found in look.seen("direct"):
            for identity in found.identities if probe.endpoint and probe.port else ():
                self.of[probe.port.name, probe.endpoint.address] = identity  # type: ignore[union-attr]
        answered = [probe for probe, found in look.seen("direct") if found.answered and probe.task["type"] in ASKED]
        if header and answered and not self.of:
            self.unknown = f"no endpoint sends the header {header}"
        for port in {probe.port.name for probe in answered if probe.port}:
            given = [identity for (name, _address), identity in self.of.items() if name == port]
            if len(set(given)) < len(given):
                self.unknown = f"several endpoints send the same value of {header}"

    def named(self, probe: Probe, endpoints: t.Iterable[Endpoint]) -> dict[str, Endpoint]:
        """The endpoints by their names, those that answered directly."""
        port = probe.port.name if probe.port else ""
        return {self.of[port, e.address]: e for e in endpoints if (port, e.address) in self.of}


def reaches_all(
    bench: Bench, look: Look, pairs: t.Sequence[Seen], names: Identities, check: str, what: str = "the cluster IP"
) -> list[Finding]:
    """An address leads to every endpoint that may answer there, seen from each client or from all that are alike."""
    if look.service.session_affinity:
        return [bench.skipped(check, "session affinity: one client is meant to see one endpoint only")]
    complaints, good, unsure = [], 0, 0
    for group in _alike(pairs):
        first = group[0][0]
        needed = connections(len(first.reach))
        alone = all(found.answered >= needed for _probe, found in group)
        for judged in [[pair] for pair in group] if alone else [group]:
            seen = {identity for _probe, found in judged for identity in found.identities}
            wanted = {name: e for name, e in names.named(first, first.reach).items() if look.stable(e)}
            missing = sorted(set(wanted) - seen)
            if missing and sum(found.answered for _probe, found in judged) < needed:
                unsure += 1
            elif missing:
                complaints.append(_unreached(bench, look, judged, check, missing, sorted(seen & set(wanted))))
            else:
                good += 1
    if unsure and not complaints:
        return [bench.skipped(check, "too few connections were answered to be sure that every endpoint was reached")]
    return bench.verdict(check, complaints, good, f"{what} reaches every endpoint")


def _alike(pairs: t.Sequence[Seen]) -> list[list[Seen]]:
    """Observations that may be added up: same address and port, same endpoints to be reached."""
    groups: dict[tuple[str, frozenset[Endpoint]], list[Seen]] = {}
    for probe, found in pairs:
        groups.setdefault((probe.target, frozenset(probe.reach)), []).append((probe, found))
    return list(groups.values())


def _unreached(
    bench: Bench, look: Look, judged: t.Sequence[Seen], check: str, missing: list[str], reached: list[str]
) -> Finding:
    probe, service = judged[0][0], look.service
    nodes = sorted({p.vantage.label for p, _found in judged})
    count = sum(found.answered for _probe, found in judged)
    return bench.failed(
        check,
        f"{service.label} at {probe.target} does not reach {short(missing)} from {short(nodes)}",
        object=service.label,
        field=f"{probe.target} from {','.join(nodes)}",
        observed=reached,
        expected=sorted([*reached, *missing]),
        cause="each answers directly, so the service proxy of the node has not got them",
        evidence={"connections": count},
        subjects=frozenset({service.uid, ENDPOINTS}),
    )
