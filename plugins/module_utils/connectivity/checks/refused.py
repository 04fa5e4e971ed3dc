# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Private to this collection: may change in any release.
"""Are those kept out who must not get in: by the policies, and, where it may be tried, in fact?

That somebody got no answer says something only where another client on the same node got one at the same address.
"""

from __future__ import annotations

import typing as t

from ...kube.errors import lacks_right
from ..clients import PODS, Way, end, ways
from ..look import Look, Observation
from ..result import Finding, short
from ..scope import Probe, Stranger, stranger_label
from ..snapshot import Service
from .common import Bench, failure

# What only a connection that got through ends with, and what one that did not.
_THROUGH = frozenset({"protocol", "scheme", "limit"})
_OUTSIDE = frozenset({"refused", "timeout", "unreachable"})


def check(bench: Bench, look: Look, wanted: Service, *, ignored: bool, others: bool) -> list[Finding]:
    """PO-06.

    Args:
        wanted: the Service with the selector that was meant.
        ignored: whether this network is known not to enforce policies.
        others: whether the cluster may have policies of other kinds, which are not evaluated.
    """
    clients = {stranger_label(space, labels): (space, labels) for space, labels in look.question.expect.refused_from}
    found: list[Finding] = []
    for who, (namespace, labels) in clients.items():
        source = end(who, namespace, labels, look.facts)
        mine = [way for way in ways(look.question, look.facts, wanted, source) if way.to == PODS]
        found += _Judged(bench, look, who, mine, ignored=ignored, others=others).findings()
    return found


class _Judged:
    """One client that must be refused."""

    def __init__(
        self, bench: Bench, look: Look, who: str, mine: t.Sequence[Way], *, ignored: bool, others: bool
    ) -> None:
        self.bench, self.look, self.who, self.ignored, self.others = bench, look, who, ignored, others
        self.let_in = [way for way in mine if way.arrives.allowed is not False]
        self.stranger = next((s for s in look.plan.strangers if s.vantage.label == who), None)
        self.where: dict[str, t.Any] = {
            "object": look.service.label,
            "field": f"refused_from {who}",
            "expected": "policies that select the pods, and no rule that allows it",
            "subjects": frozenset({look.service.uid}),
        }

    def findings(self) -> list[Finding]:
        """What was seen; else what the policies say."""
        if self.stranger is None:
            untried = self.look.question.probes and self.look.plan.strangers
            why = "only the first clients that must be refused are tried"
            return [self._by_policies(), *([self._skipped(why)] if untried else [])]
        if not self.look.works(self.stranger.vantage):
            return self._unseen(self.look.lost.get(self.stranger.vantage) or "the probe pod does not reach itself")
        return [self._seen(self.stranger)]

    def _skipped(self, why: str) -> Finding:
        message = f"it was not tried whether {self.who} reach {self.look.service.label}: {why}"
        return self.bench.skipped("PO-06", message)

    def _unseen(self, why: str) -> list[Finding]:
        said = self._by_policies()
        if lacks_right(why) or said.complains:
            return [said, self._skipped(why)]
        message = f"it is not known whether {self.who} are kept from {self.look.service.label}: it could not be tried"
        return [self.bench.undecided("PO-06", message, cause=why, **self.where)]

    # ----- what policies say

    def _by_policies(self) -> Finding:
        label = self.look.service.label
        if not self.let_in and not self.ignored:
            return self.bench.passed("PO-06", f"policies keep {self.who} from {label}")
        surely = self.ignored or (not self.others and any(way.arrives.allowed for way in self.let_in))
        message = f"{self.who} may reach {label}, and must not"
        ports = sorted({f"{way.number}/{way.protocol}" for way in self.let_in})
        return (self.bench.failed if surely else self.bench.undecided)(
            "PO-06",
            message if surely else f"it is not known whether {message}",
            observed=f"let in to {short(ports)}" if ports else "policies that are not enforced",
            cause=self._why(),
            component="access",
            **self.where,
        )

    def _why(self) -> str:
        if not self.let_in:
            return "policies forbid it, but this network does not enforce them"
        selecting = sorted({name for way in self.let_in for name in way.arrives.selecting})
        why = f"see {short(selecting)}" if selecting else "no NetworkPolicy selects the pods, so everybody may"
        return f"{why}; policies of other kinds are not evaluated" if self.others else why

    # ----- what was seen

    def _seen(self, stranger: Stranger) -> Finding:
        tried = [
            pair for pair in self.look.seen("refused") if pair[0].vantage == stranger.vantage and self._holds(pair)
        ]
        through = {probe.target: _answer(found) for probe, found in tried if _is_through(found)}
        outside = {probe.target for probe, found in tried if not _is_through(found) and _is_outside(found)}
        label = self.look.service.label
        if through:
            target = next(iter(through))
            return self.bench.failed(
                "PO-06",
                f"{self.who} must not reach {label}, but {target} answered {through[target]}",
                observed=through,
                cause=self._why(),
                evidence={"node": stranger.vantage.node, "refused": sorted(outside)},
                component="access",
                **{**self.where, "expected": "no answer"},
            )
        if outside and len(outside) == len(tried):
            where = f"tried at {short(sorted(outside))}"
            if self.let_in:
                where += "; no NetworkPolicy of the Service's namespace is why"
            return self.bench.passed("PO-06", f"{self.who} get no answer from {label} ({where})")
        seen = {probe.target: failure(found) for probe, found in tried}
        why = f"seen: {short(seen)}" if seen else "no other client on that node got an answer, either"
        message = f"it is not known whether {self.who} are kept from {label}"
        return self.bench.undecided("PO-06", message, observed=seen or None, cause=why, **self.where)

    def _holds(self, pair: tuple[Probe, Observation]) -> bool:
        """Whether an attempt says something: it got through, or an ordinary client beside it did."""
        probe, found = pair
        if probe.endpoint and not self.look.stable(probe.endpoint):
            return False
        purpose = "direct" if probe.endpoint else "cluster_ip"
        beside = [
            seen
            for other, seen in self.look.seen(purpose)
            if other.id == probe.label and other.vantage.node == probe.vantage.node
        ]
        return _is_through(found) or any(seen.answered for seen in beside)


def _is_through(found: Observation) -> bool:
    return bool(found.answered) or found.kind in _THROUGH


def _is_outside(found: Observation) -> bool:
    """Whether there was no connection; an answer that is late is none that was denied."""
    return found.kind in _OUTSIDE and (found.kind != "timeout" or found.unheard)


def _answer(found: Observation) -> str:
    status = next(iter(found.value.get("statuses") or {}), "")
    return f"HTTP {status}" if status else "a connection" if found.answered else found.detail
