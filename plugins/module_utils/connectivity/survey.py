# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Private to this collection: may change in any release.
"""Judge many Services by the API alone: each kind is listed once, and what complains is looked at once more.

As in :mod:`.engine`, a complaint counts only when a second look finds it again while nothing that it rests on changed.
"""

from __future__ import annotations

import contextlib
import difflib
import gc
import time
import typing as t
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from ..kube.client import Cluster
from ..kube.errors import Forbidden, OptionError, one_line
from ..kube.kinds import ENDPOINT_SLICE
from . import gather
from .census import DNS, HOME, SLICES, Census, Holdings, judged, judged_cluster, slice_of
from .diagnose.causes import Cause, diagnose
from .engine import SETTLE, Round, is_open, touched
from .intent import matches
from .look import Look
from .result import FAIL, FAIL_ON, INCONCLUSIVE, PASS, WARN, Finding, printable, short
from .rights import Right
from .snapshot import Snapshot
from .waivers import Waiver

THE_CLUSTER = "the cluster"

# Lists that are read side by side: each holds a page of objects.
_AT_ONCE = 4
# Complaints in more namespaces than these are looked at again by reading everything again.
_MOST_NAMESPACES = 20
_MOST_CAUSES = 100
_STATUSES = (FAIL, INCONCLUSIVE, WARN, PASS)
_PARTS = {part.name: part for part in gather.PARTS}


@dataclass(frozen=True, slots=True)
class Asked:
    """What to judge.

    Attributes:
        namespaces: where; empty for everywhere.
        labels: those that the Services have.
        dns: namespace and name of the cluster's DNS Service.
    """

    namespaces: tuple[str, ...] = ()
    labels: Mapping[str, str] | None = None
    waivers: tuple[Waiver, ...] = ()
    dns: tuple[str, str] = ("kube-system", "kube-dns")


@dataclass(frozen=True, slots=True)
class Verdict:
    """On one Service, or on what is the same for all of them.

    Attributes:
        subject: `demo/web`, or THE_CLUSTER.
    """

    subject: str
    findings: tuple[Finding, ...]
    causes: tuple[Cause, ...] = ()

    @property
    def status(self) -> str:
        """Its worst one."""
        found = {finding.status for finding in self.findings}
        return next((status for status in _STATUSES if status in found), PASS)


@dataclass(frozen=True, slots=True)
class Survey:
    """All verdicts.

    Attributes:
        unread: why something was not read and so not judged.
    """

    cluster: str
    verdicts: tuple[Verdict, ...]
    started: datetime
    elapsed: float
    requests: int
    unread: tuple[str, ...] = ()

    @property
    def services(self) -> list[Verdict]:
        """Those on Services."""
        return [verdict for verdict in self.verdicts if verdict.subject != THE_CLUSTER]

    @property
    def summary(self) -> dict[str, int]:
        """How many Services there are of each status."""
        statuses = [verdict.status for verdict in self.services]
        return {status: statuses.count(status) for status in (PASS, FAIL, WARN, INCONCLUSIVE)}

    @property
    def causes(self) -> list[dict[str, t.Any]]:
        """What is wrong, the worst first, that of the cluster before others; what many Services share is told once."""
        same: dict[tuple[str, str], list[tuple[str, Cause]]] = {}
        for verdict in self.verdicts:
            for cause in verdict.causes:
                same.setdefault((cause.component, cause.title), []).append((verdict.subject, cause))
        found = [_cause(items) for items in same.values()]
        return sorted(found, key=lambda cause: (cause["status"] != FAIL, cause["count"] > 0, -cause["count"]))

    @property
    def message(self) -> str:
        """One line that stands alone."""
        counts, causes = self.summary, self.causes
        words = {PASS: "good", FAIL: "not good", WARN: "with a warning", INCONCLUSIVE: "not decided"}
        told = ", ".join(f"{counts[status]:,} {word}" for status, word in words.items() if counts[status])
        head = f"{len(self.services):,} Service(s)" + (f": {told}" if told else "")
        if not causes:
            return head
        first = causes[0]
        many = f" ({first['count']:,} Services)" if first["count"] > 1 else ""
        fix = first["fix"]["kubectl"] or first["fix"]["text"]
        return f"{head}; first: {first['title']}{many}" + (f" | fix: {one_line(fix, 300)}" if fix else "")

    def fails(self, fail_on: str) -> bool:
        """Whether a verdict is as bad as `fail_on` or worse."""
        return any(verdict.status in FAIL_ON[fail_on] for verdict in self.verdicts)

    def as_result(self) -> dict[str, t.Any]:
        """What the module returns."""
        return {
            "changed": False,
            "msg": self.message,
            "services": len(self.services),
            "summary": self.summary,
            "causes": self.causes[:_MOST_CAUSES],
            "unread": list(self.unread),
            "elapsed": round(self.elapsed, 2),
            "requests": self.requests,
        }

    def as_document(self) -> dict[str, t.Any]:
        """Everything, for a file."""
        verdicts = [
            {
                "subject": verdict.subject,
                "status": verdict.status,
                "findings": [_told(finding) for finding in verdict.findings],
                "causes": [cause.as_dict() for cause in verdict.causes],
            }
            for verdict in self.verdicts
        ]
        head = {key: value for key, value in self.as_result().items() if key not in ("changed", "causes")}
        started = f"{self.started:%Y-%m-%dT%H:%M:%SZ}"
        return {
            "version": 1,
            "cluster": self.cluster,
            "time": started,
            **head,
            "causes": self.causes,
            "verdicts": verdicts,
        }


def survey(cluster: Cluster, asked: Asked) -> Survey:
    """Judge all Services that are asked for.

    Raises:
        KubeError: the cluster cannot be asked, or Services may not be listed.
    """
    began, started = time.monotonic(), datetime.now(UTC)
    with _uncollected():
        verdicts, doubts, unread = _first(cluster, asked)
        if doubts:
            time.sleep(SETTLE)
            verdicts |= _again(cluster, asked, doubts)
    found = tuple(verdict for verdict in verdicts.values() if verdict.findings)
    return Survey(cluster.label, found, started, time.monotonic() - began, cluster.requests, unread)


@contextlib.contextmanager
def _uncollected() -> Iterator[None]:
    """Without the garbage collector: what is read has no cycles, and looking for some takes two thirds of reading."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


@dataclass(frozen=True, slots=True)
class _Doubt:
    """A Service that is not good at first sight: what it was like, and the keys of what was complained of."""

    namespace: str
    before: Snapshot
    keys: frozenset[tuple[str, str, str]]


def _first(cluster: Cluster, asked: Asked) -> tuple[dict[str, Verdict], dict[str, _Doubt], tuple[str, ...]]:
    held = read(cluster, asked.namespaces, asked.dns)
    _refuse_unknown(asked.namespaces, held)
    verdicts, doubts = {}, {}
    for subject, look, findings in _looks(Census(held, asked.dns, asked.waivers), asked):
        verdicts[subject] = Verdict(subject, tuple(findings))
        keys = frozenset(finding.key for finding in findings if is_open(finding))
        if keys:
            doubts[subject] = _Doubt(look.service.namespace, replace(look.after, strangers=()), keys)
    return verdicts, doubts, tuple(dict.fromkeys(held.missing.values()))


def _again(cluster: Cluster, asked: Asked, doubts: Mapping[str, _Doubt]) -> dict[str, Verdict]:
    """The verdicts on what was not good; those on Services that are gone have no findings."""
    namespaces = tuple(sorted({doubt.namespace for doubt in doubts.values()}))
    held = read(cluster, namespaces if len(namespaces) <= _MOST_NAMESPACES else asked.namespaces, asked.dns)
    found = {subject: Verdict(subject, ()) for subject in doubts}
    for subject, look, findings in _looks(Census(held, asked.dns, asked.waivers), asked, only=doubts):
        doubt = doubts[subject]
        closed = Round(0, look, findings, touched((), doubt.before, look.after), doubt.keys).close()
        found[subject] = Verdict(subject, tuple(closed), diagnose(look, closed))
    return found


def _looks(
    census: Census, asked: Asked, only: t.Container[str] | None = None
) -> Iterator[tuple[str, Look, list[Finding]]]:
    """The look at the cluster and at each Service, one at a time, with its findings."""
    if only is None or THE_CLUSTER in only:
        look = census.cluster()
        yield THE_CLUSTER, look, judged_cluster(look)
    for body in census.held.parts["services"]:
        metadata = body["metadata"]
        subject = f"{metadata['namespace']}/{metadata['name']}"
        wanted = not asked.namespaces or metadata["namespace"] in asked.namespaces
        fits = not asked.labels or matches(asked.labels, metadata.get("labels") or {})
        if wanted and fits and (only is None or subject in only):
            look = census.look(body)
            yield subject, look, judged(look)


def _refuse_unknown(namespaces: Sequence[str], held: Holdings) -> None:
    """A mistyped namespace has no Services, and would be good."""
    known = [body["metadata"]["name"] for body in held.parts.get("namespaces", ())]
    for name in namespaces:
        if known and name not in known:
            near = difflib.get_close_matches(name, known, 1)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise OptionError(f"namespaces: there is no namespace {name}{hint}")


# ----- reading


def read(cluster: Cluster, namespaces: Sequence[str], dns: tuple[str, str]) -> Holdings:
    """List each kind once, for the whole cluster or for each namespace, as far as the rights go.

    Raises:
        KubeError: the cluster cannot be asked, or Services may not be listed.
    """
    places: list[str | None] = list(namespaces) or [None]
    wanted: list[tuple[str, str | None]] = [(part, place) for part in (*HOME, SLICES) for place in places]
    if namespaces and dns[0] not in namespaces:
        wanted += [(part, dns[0]) for part in DNS]
    wanted += [("nodes", None), ("namespaces", None), ("dns_role", None), ("dns_role_binding", None)]
    parts: dict[str, list[t.Any]] = {}
    missing: dict[tuple[str, str], str] = {}
    with ThreadPoolExecutor(max_workers=_AT_ONCE) as pool:
        found = pool.map(lambda item: _read(cluster, *item), wanted)
        for (part, place), (bodies, why) in zip(wanted, found, strict=True):
            parts.setdefault(part, []).extend(bodies)
            if why:
                missing[part, place or ""] = why
        of_dns = {
            f"dns_{part}": tuple(body for body in parts[part] if body["metadata"]["namespace"] == dns[0])
            for part in DNS
        }
        try:
            parts["corefiles"] = list(gather.corefiles(cluster, dns[0], of_dns, pool))
        except Forbidden:
            missing["corefiles", ""] = Right("get", "configmaps", dns[0]).missing
    slices = parts.pop(SLICES)
    return Holdings(parts, slices, datetime.now(UTC), missing)


def _read(cluster: Cluster, name: str, place: str | None) -> tuple[Sequence[t.Any], str]:
    """The objects of one part, and why there are none where they may not be read."""
    part = _PARTS.get(name) or gather.Part(SLICES, ENDPOINT_SLICE)
    try:
        if name == SLICES:
            return cluster.collect(part.kind, place, keep=slice_of), ""
        return gather.read(cluster, part, place), ""
    except Forbidden:
        if name == "services":
            raise
        return [], part.right(place).missing


# ----- pure parts


def _cause(items: Sequence[tuple[str, Cause]]) -> dict[str, t.Any]:
    """One cause with all Services that it is found on."""
    cause = items[0][1]
    whole = cause.as_dict()
    services = [subject for subject, _cause in items if subject != THE_CLUSTER]
    kept = ("id", "status", "title", "component", "object", "field", "observed", "expected", "why", "confidence")
    return {
        "service": items[0][0],
        "services": printable(services),
        "count": len(services),
        **{key: whole[key] for key in kept},
        "fix": whole["fix"],
        "runbook": whole["runbook"],
    }


def _told(finding: Finding) -> dict[str, t.Any]:
    """A finding without what is empty: there are many."""
    return {key: value for key, value in finding.as_dict().items() if value not in (None, "", [], {})}


def would(asked: Asked) -> str:
    """What a run would do, for check mode."""
    where = f"namespace(s) {short(asked.namespaces)}" if asked.namespaces else "all namespaces"
    which = f" with the labels {short(asked.labels)}" if asked.labels else ""
    return f"would judge the Services{which} of {where} by the API alone; check mode runs nothing"
