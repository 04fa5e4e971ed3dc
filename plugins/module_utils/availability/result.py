# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Private to this collection: may change in any release.
"""From the logs of the meters to a verdict: pure.

A log is text that anybody in the pod's place could have written, so each value is checked before it is used.
"""

from __future__ import annotations

import json
import typing as t
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import pairwise

from ..connectivity.result import FAIL, INCONCLUSIVE, PASS, short
from ..kube.errors import one_line
from . import agent
from .history import Moment, around

Body = dict[str, t.Any]

# A meter that was later than this with one request in a hundred, or once by a second, did not keep its schedule: an
# outage that was shorter than that may have passed unseen.
LATE_P99_MS = 250.0
LATEST_MS = 1000.0

_MOST_CHANGES = 50
_CHANGES_IN_MESSAGE = 3


class Damaged(Exception):
    """A log does not hold what a meter writes."""


@dataclass(slots=True)
class Figures:
    """What became of the requests of one client kind on one node, or of several of those together.

    Times are seconds since 1970, durations seconds.

    Attributes:
        gap: longest time without a good answer, and when it began, as one client kind on one node saw it.
        serials: per serial number of a served certificate, the runs `(first, last, answers)`.
    """

    planned: int = 0
    sent: int = 0
    classes: Counter[str] = field(default_factory=Counter)
    latency: Counter[int] = field(default_factory=Counter)
    late: Counter[int] = field(default_factory=Counter)
    latest_ms: float = 0.0
    gap: tuple[float, float] = (0.0, 0.0)
    first_loss: float | None = None
    last_loss: float | None = None
    losses: list[list[t.Any]] = field(default_factory=list)
    seconds: list[list[int]] = field(default_factory=list)
    backends: Counter[str] = field(default_factory=Counter)
    serials: dict[str, list[tuple[float, float, int]]] = field(default_factory=dict)

    @property
    def ok(self) -> int:
        """Good answers."""
        return self.classes["ok"]

    @property
    def lost(self) -> int:
        """Requests that ended any other way."""
        return sum(self.classes.values()) - self.ok

    @property
    def lost_by_class(self) -> dict[str, int]:
        """Losses only, most frequent first."""
        return {kind: count for kind, count in self.classes.most_common() if kind != "ok" and count}

    @property
    def kept_schedule(self) -> bool:
        """Whether every request went out, and at its time."""
        in_time = percentile(self.late, 0.99) <= LATE_P99_MS and self.latest_ms <= LATEST_MS
        return 0 < self.planned == self.sent and in_time

    @property
    def doubtful(self) -> int:
        """Losses that the meter may have made itself."""
        return 0 if self.kept_schedule else self.classes["timeout"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came back from one node.

    Attributes:
        clients: figures by client kind.
        cause: why there are none.
    """

    node: str
    began: float = 0.0
    ended: float = 0.0
    clients: t.Mapping[str, Figures] = field(default_factory=dict)
    cause: str = ""

    @property
    def all(self) -> Figures:
        """All clients together."""
        return together(list(self.clients.values()))


# ----- numbers


def percentile(histogram: t.Mapping[int, int], fraction: float) -> float:
    """Milliseconds that so many of the values do not exceed, exact to 1 %; 0.0 of nothing."""
    rank, seen = fraction * sum(histogram.values()), 0
    for number, count in sorted(histogram.items()):
        seen += count
        if seen >= rank:
            return agent.middle(number)
    return 0.0


def together(parts: t.Sequence[Figures]) -> Figures:
    """The figures of several clients as one."""
    whole = Figures()
    for part in parts:
        whole.planned += part.planned
        whole.sent += part.sent
        for name in ("classes", "latency", "late", "backends"):
            getattr(whole, name).update(getattr(part, name))
        whole.latest_ms = max(whole.latest_ms, part.latest_ms)
        whole.gap = max(whole.gap, part.gap)
        whole.losses += part.losses
        for serial, runs in part.serials.items():
            whole.serials[serial] = joined([*whole.serials.get(serial, []), *runs])
    lost = [moment for part in parts for moment in (part.first_loss, part.last_loss) if moment is not None]
    whole.first_loss, whole.last_loss = min(lost, default=None), max(lost, default=None)
    whole.losses.sort(key=lambda loss: loss[0])
    return whole


def joined(runs: t.Iterable[tuple[float, float, int]]) -> list[tuple[float, float, int]]:
    """Runs of one serial, those put together that overlap or nearly touch."""
    found: list[tuple[float, float, int]] = []
    for first, last, count in sorted(runs):
        if found and first - found[-1][1] <= agent.RUN_GAP:
            begun, ended, seen = found[-1]
            found[-1] = (begun, max(ended, last), seen + count)
        else:
            found.append((first, last, count))
    return found


def flapped(serials: t.Mapping[str, t.Sequence[tuple[float, float, int]]]) -> list[str]:
    """Serials that came back: they were gone for some seconds, while another one was served."""
    back = []
    for serial, runs in serials.items():
        others = [run for other, found in serials.items() if other != serial for run in found]
        pauses = [(before[1], after[0]) for before, after in pairwise(runs)]
        if any(first < end and last > start for start, end in pauses for first, last, _count in others):
            back.append(serial)
    return back


# ----- what comes back


def parse(log: str, node: str) -> Outcome:
    """The outcome out of a pod's log. Nothing in a log can make this raise."""
    _before, found, rest = log.rpartition(f"{agent.RESULT}\n")
    if not found:
        return Outcome(node, cause=f"the meter left no result; its log ends with: {one_line(log[-200:]) or 'nothing'}")
    try:
        document = json.loads(rest.split("\n", 1)[0])
        if document["version"] != agent.VERSION:
            raise Damaged("of another version")
        clients = {kind: _figures(document["clients"][kind]) for kind in agent.KINDS if kind in document["clients"]}
        return Outcome(node, _number(document["began"]), _number(document["ended"]), clients)
    except (Damaged, AttributeError, IndexError, KeyError, RecursionError, TypeError, ValueError) as error:
        return Outcome(node, cause=f"the result in the log is cut or damaged ({type(error).__name__})")


def _figures(raw: Body) -> Figures:
    return Figures(
        planned=_count(raw["planned"]),
        sent=_count(raw["sent"]),
        classes=Counter({kind: _count(raw["classes"].get(kind, 0)) for kind in agent.CLASSES}),
        latency=_histogram(raw["latency"]),
        late=_histogram(raw["late"]),
        latest_ms=_number(raw["latest_ms"]),
        gap=(_number(raw["gap"][0]), _number(raw["gap"][1])),
        first_loss=None if raw["first_loss"] is None else _number(raw["first_loss"]),
        last_loss=None if raw["last_loss"] is None else _number(raw["last_loss"]),
        losses=[_loss(item) for item in raw["losses"][: agent.MOST_LOSSES]],
        seconds=[[_count(number) for number in item[:3]] for item in raw["seconds"][:10000]],
        backends=Counter(
            {agent.clean(name, 63): _count(count) for name, count in list(raw["backends"].items())[: agent.MOST_NAMES]}
        ),
        serials={
            _serial(serial): [(_number(run[0]), _number(run[1]), _count(run[2])) for run in runs[: agent.MOST_RUNS]]
            for serial, runs in list(raw["serials"].items())[: agent.MOST_NAMES]
        },
    )


def _histogram(raw: t.Any) -> Counter[int]:
    return Counter({_count(number): _count(count) for number, count in raw[:5000]})


def _loss(raw: t.Any) -> list[t.Any]:
    at, ms, kind, backend, serial, detail = raw
    if kind not in agent.CLASSES:
        raise Damaged(kind)
    return [_number(at), _number(ms), kind, agent.clean(backend, 63), _serial(serial), agent.clean(detail)]


def _serial(text: str) -> str:
    if len(text) > 64 or text.strip("0123456789abcdef"):
        raise Damaged("serial")
    return text


def _count(value: t.Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 1 << 40:
        raise Damaged("count")
    return value


def _number(value: t.Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < 1e11:
        raise Damaged("number")
    return float(value)


# ----- the verdict


def verdict(whole: Figures, outcomes: t.Sequence[Outcome], budget: int) -> tuple[str, str]:
    """The verdict, and why it is no better than that.

    What was lost counts also when a meter was late, but for timeouts: those it may have made itself.
    """
    if whole.lost - sum(outcome.all.doubtful for outcome in outcomes) > budget:
        return FAIL, ""
    silent = [f"node {outcome.node}: {outcome.cause}" for outcome in outcomes if outcome.cause]
    if silent or not outcomes:
        return INCONCLUSIVE, "; ".join(silent) or "nothing was measured"
    for outcome in outcomes:
        figures = outcome.all
        if not figures.kept_schedule:
            return INCONCLUSIVE, (
                f"the meter on node {outcome.node} did not keep its schedule: {figures.sent} of {figures.planned}"
                f" requests sent, p99 {percentile(figures.late, 0.99):.0f} ms late, at most {figures.latest_ms:.0f} ms;"
                " use a lower rate or quieter nodes"
            )
    return PASS, ""


def report(name: str, outcomes: t.Sequence[Outcome], budget: int, changes: t.Sequence[Moment], note: str) -> Body:
    """The result of a run.

    Args:
        changes: what the target's pods and endpoints were doing.
        note: why `changes` is not all, empty when it is.
    """
    kinds = {kind: None for outcome in outcomes for kind in outcome.clients}
    clients = {kind: together([o.clients[kind] for o in outcomes if kind in o.clients]) for kind in kinds}
    whole = together(list(clients.values()))
    judged, why = verdict(whole, outcomes, budget)
    measured = [outcome for outcome in outcomes if outcome.clients]
    began = min((outcome.began for outcome in measured), default=None)
    ended = max((outcome.ended for outcome in measured), default=None)
    lossy = whole.first_loss is not None and whole.last_loss is not None
    near = around(changes, whole.first_loss or 0.0, whole.last_loss or 0.0) if lossy else []
    back = flapped(whole.serials)
    return {
        "msg": message(name, whole, clients, measured, (judged, why), near, note, back),
        "verdict": judged,
        **shown(whole),
        "clients": {kind: shown(figures) for kind, figures in clients.items()},
        "schedule": {
            "planned": whole.planned,
            "kept": bool(outcomes) and all(outcome.all.kept_schedule for outcome in outcomes),
            "late_p99": round(percentile(whole.late, 0.99), 2),
            "late_max": whole.latest_ms,
        },
        "serials": [
            {"serial": serial, "first_seen": stamp(runs[0][0]), "last_seen": stamp(runs[-1][1]), "runs": len(runs)}
            for serial, runs in sorted(whole.serials.items(), key=lambda entry: entry[1])
        ],
        "flapped": bool(back),
        "backends": dict(whole.backends.most_common(_MOST_CHANGES)),
        "changes": [told(moment) for moment in near[:_MOST_CHANGES]],
        "nodes": [outcome.node for outcome in outcomes],
        "began": stamp(began),
        "ended": stamp(ended),
    }


def shown(figures: Figures) -> Body:
    """Figures for a result."""
    return {
        "sent": figures.sent,
        "ok": figures.ok,
        "lost": figures.lost,
        "lost_by_class": figures.lost_by_class,
        "longest_gap": round(figures.gap[0], 3),
        "p50": round(percentile(figures.latency, 0.50), 2),
        "p99": round(percentile(figures.latency, 0.99), 2),
        "first_loss": stamp(figures.first_loss),
        "last_loss": stamp(figures.last_loss),
    }


def document(result: Body, outcomes: t.Sequence[Outcome], changes: t.Sequence[Moment]) -> Body:
    """Everything, for a file: the result, the first losses in full, a line per second, and all changes."""
    fields = ("at", "latency", "class", "backend", "serial", "detail")
    return {
        **result,
        "version": 1,
        "losses": [
            {"node": outcome.node, "client": kind, **dict(zip(fields, [stamp(loss[0]), *loss[1:]], strict=True))}
            for outcome in outcomes
            for kind, figures in outcome.clients.items()
            for loss in figures.losses
        ],
        "seconds": [
            {
                "node": outcome.node,
                "client": kind,
                "at": stamp(outcome.began + second),
                "sent": sent,
                "lost": lost,
            }
            for outcome in outcomes
            for kind, figures in outcome.clients.items()
            for second, sent, lost in figures.seconds
        ],
        "changes": [told(moment) for moment in changes],
    }


def likely(near: t.Sequence[Moment], first: float) -> list[Moment]:
    """The few changes that most likely made the first loss: what pods did last before it, or next."""
    loud = [moment for moment in near if moment.loud and moment.subject.startswith("Pod ")]
    before = [moment for moment in loud if moment.at <= first + 1.0]
    return before[-_CHANGES_IN_MESSAGE:] or loud[:_CHANGES_IN_MESSAGE]


def told(moment: Moment) -> Body:
    """A change for a result."""
    return {"at": stamp(moment.at or None, 0), "object": one_line(moment.subject, 100), "what": one_line(moment.what)}


def stamp(moment: float | None, digits: int = 3) -> str | None:
    """ISO 8601 in UTC, to the millisecond or the second."""
    if moment is None:
        return None
    spec = "milliseconds" if digits else "seconds"
    return datetime.fromtimestamp(moment, UTC).isoformat(timespec=spec).replace("+00:00", "Z")


def _clock(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).strftime("%H:%M:%S.%f")[:10]


def message(
    name: str,
    whole: Figures,
    clients: t.Mapping[str, Figures],
    measured: t.Sequence[Outcome],
    judged: tuple[str, str],
    near: t.Sequence[Moment],
    note: str,
    back: t.Sequence[str],
) -> str:
    """One line that stands alone."""
    nodes = short([outcome.node for outcome in measured])
    parts = [f"run {name}: {whole.lost} of {whole.sent} requests lost from {nodes}"]
    if whole.first_loss is not None and whole.last_loss is not None:
        classes = ", ".join(f"{kind} {count}" for kind, count in whole.lost_by_class.items())
        by_kind = ", ".join(f"{kind} {figures.lost}" for kind, figures in clients.items() if figures.lost)
        parts[0] += f" ({classes}; by client: {by_kind})"
        parts[0] += f" between {_clock(whole.first_loss)} and {_clock(whole.last_loss)} UTC"
        details = Counter(loss[5] for loss in whole.losses if loss[2] in ("tls", "dns", "protocol", "bad_status"))
        parts += [text for text, _count in details.most_common(1)]
        parts += [f"{m.subject} {m.what} at {_clock(m.at)[:8]}" for m in likely(near, whole.first_loss)]
        parts += [note] * bool(note)
    elif whole.sent:
        parts[0] += f"; p99 {percentile(whole.latency, 0.99):.1f} ms, longest gap {whole.gap[0]:.2f} s"
    if whole.serials:
        came = f", {short(list(back))} came back" if back else ", none came back"
        parts.append(f"{len(whole.serials)} certificate serial(s) served{came}")
    if judged[1]:
        parts.append(f"{judged[0]}: {judged[1]}")
    return one_line("; ".join(parts))
