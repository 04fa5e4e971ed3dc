# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Private to this collection: may change in any release.
"""What a report is made of: result documents, brought into the one shape that all formats rely on. Pure.

A document comes from a file, so nothing about it is taken for granted: what is of another type is dropped, what is not
known is left out, and every string becomes printable. A cluster without a document has an error instead.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from .text import block, line

Json = dict[str, t.Any]

VERSION = 1
STATUSES = ("fail", "inconclusive", "warn", "pass", "skipped")
ERROR = "error"
# Worst first.
VERDICTS = (ERROR, *STATUSES)

MOST_ITEMS = 5000
DEEPEST = 8

_ANY, _BLOCK, _COUNTS, _PORT = object(), object(), object(), object()


@dataclass(frozen=True, slots=True)
class _Maybe:
    """An object that may be absent."""

    shape: Json


_EDGE = {"client": "", "by": "", "target": "", "port": 0, "to": "", "status": "", "classes": _COUNTS, "ms": 0.0}
_TOPOLOGY = {
    "service": {
        "namespace": "",
        "name": "",
        "type": "",
        "headless": False,
        "cluster_ips": [""],
        "ports": [{"name": "", "port": 0, "protocol": "", "target_port": _PORT, "node_port": 0}],
        "addresses": [""],
    },
    "clients": [{"label": "", "node": "", "namespace": "", "works": False, "detail": ""}],
    "nodes": [{"name": "", "ready": False}],
    "endpoints": [
        {
            "address": "",
            "ports": [0],
            "slice": "",
            "pod": "",
            "node": "",
            "ready": False,
            "serving": False,
            "terminating": False,
        }
    ],
    "pods": [{"name": "", "node": "", "ready": False, "reason": "", "terminating": False}],
    "certificates": [
        {
            "where": "",
            "served_by": [""],
            "names": [""],
            "subject": "",
            "issuer": "",
            "not_before": "",
            "not_after": "",
            "serial": "",
            "fingerprint": "",
        }
    ],
    "edges": [_EDGE],
    "omitted": _COUNTS,
}
_FINDING = {
    "id": "",
    "layer": "",
    "status": "",
    "message": "",
    "observed": _ANY,
    "expected": _ANY,
    "object": "",
    "field": "",
    "cause": "",
    "evidence": _ANY,
}
_CAUSE = {
    "id": "",
    "status": "",
    "title": "",
    "component": "",
    "object": "",
    "field": "",
    "observed": _ANY,
    "expected": _ANY,
    "why": "",
    "confidence": "",
    "evidence": _ANY,
    "consequences": [{"id": "", "object": "", "message": ""}],
    "consequence_count": 0,
    "fix": {"text": "", "kubectl": _BLOCK, "task": _BLOCK},
    "runbook": "",
    "second": _Maybe({"title": "", "apart": ""}),
}
_DOCUMENT: Json = {
    "subject": "",
    "cluster": "",
    "msg": "",
    "nodes": [""],
    "rounds": 0,
    "elapsed": 0.0,
    "time": "",
    "findings": [_FINDING],
    "causes": [_CAUSE],
    "topology": _Maybe(_TOPOLOGY),
}


@dataclass(frozen=True, slots=True)
class Entry:
    """One cluster of a report.

    Attributes:
        cluster: its name in the report.
        error: why there is no document.
        document: the result document in its one shape; empty where there is an error.
    """

    cluster: str
    error: str = ""
    document: Json = field(default_factory=dict)

    @property
    def findings(self) -> list[Json]:
        """All findings, worst first."""
        found: list[Json] = self.document.get("findings", [])
        return sorted(found, key=lambda finding: STATUSES.index(finding["status"]))

    @property
    def causes(self) -> list[Json]:
        """The ranked causes, the root cause first."""
        found: list[Json] = self.document.get("causes", [])
        return found

    @property
    def subject(self) -> str:
        """What was judged, e.g. `Service demo/web`."""
        return str(self.document.get("subject", ""))

    @property
    def topology(self) -> Json | None:
        """The picture as data, where there is one."""
        found: Json | None = self.document.get("topology")
        return found

    @property
    def summary(self) -> dict[str, int]:
        """How many findings there are of each status."""
        found = [finding["status"] for finding in self.findings]
        return {status: found.count(status) for status in STATUSES}

    @property
    def verdict(self) -> str:
        """The worst status; a pass needs something that passed."""
        if self.error:
            return ERROR
        return next((status for status, count in self.summary.items() if count), "skipped")

    @property
    def title(self) -> str:
        """What is to be said first: the error, the root cause, the worst finding, or that there is nothing."""
        if self.error:
            return self.error
        if self.causes:
            return str(self.causes[0]["title"])
        worst = self.findings[:1]
        if worst and worst[0]["status"] in ("fail", "inconclusive", "warn"):
            return str(worst[0]["message"])
        return "Nothing is wrong" if self.verdict == "pass" else "Nothing was judged"

    def as_dict(self) -> Json:
        """JSON form."""
        result = {"version": VERSION, **self.document, "summary": self.summary} if self.document else None
        return {"cluster": self.cluster, "verdict": self.verdict, "error": self.error, "result": result}


@dataclass(frozen=True, slots=True)
class Report:
    """What all formats are rendered from."""

    title: str
    entries: tuple[Entry, ...]

    @property
    def verdict(self) -> str:
        """The worst of all clusters; nothing at all is an error."""
        found = {entry.verdict for entry in self.entries}
        return next((verdict for verdict in VERDICTS if verdict in found), ERROR)

    @property
    def summary(self) -> dict[str, int]:
        """How many clusters there are of each verdict."""
        found = [entry.verdict for entry in self.entries]
        return {verdict: found.count(verdict) for verdict in VERDICTS}

    @property
    def time(self) -> str:
        """When the newest result began."""
        return max((entry.document.get("time", "") for entry in self.entries), default="")

    def as_dict(self) -> Json:
        """JSON form; see docs/report.schema.json."""
        return {
            "version": VERSION,
            "title": self.title,
            "verdict": self.verdict,
            "summary": self.summary,
            "time": self.time,
            "clusters": [entry.as_dict() for entry in self.entries],
        }


def entry(cluster: str, document: t.Any, *, now: datetime, max_age: timedelta | None) -> Entry:
    """An entry out of what a file held.

    Args:
        max_age: older documents are of an earlier run: whatever they say, this run brought no result.
    """
    name = line(cluster, 120)
    if (
        not isinstance(document, dict)
        or document.get("version") != VERSION
        or not isinstance(document.get("findings"), list)
    ):
        return Entry(name, f"the file is no result document of version {VERSION}")
    found: Json = _shaped(document, _DOCUMENT)
    found["findings"] = [finding for finding in found["findings"] if finding["status"] in STATUSES]
    began = _moment(found["time"])
    if max_age is not None and began is not None and now - began > max_age:
        minutes = int(max_age.total_seconds() // 60)
        return Entry(name, f"there is no new result: the last one is of {found['time']}, over {minutes} minutes old")
    return Entry(name, document=found)


def _moment(text: str) -> datetime | None:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return found if found.tzinfo else None


def _shaped(given: t.Any, shape: t.Any) -> t.Any:
    """`given` in `shape`, whatever it was; a default in the shape stands for its type."""
    if isinstance(shape, _Maybe):
        return _shaped(given, shape.shape) if isinstance(given, dict) else None
    if isinstance(shape, dict):
        found = given if isinstance(given, dict) else {}
        return {key: _shaped(found.get(key), child) for key, child in shape.items()}
    if isinstance(shape, list):
        items = given if isinstance(given, list) else []
        return [_shaped(item, shape[0]) for item in items[:MOST_ITEMS] if _fits(item, shape[0])]
    return _leaf(given, shape)


def _fits(item: t.Any, shape: t.Any) -> bool:
    return isinstance(item, dict) == isinstance(shape, dict)


def _leaf(given: t.Any, shape: t.Any) -> t.Any:
    if shape is _ANY:
        return plain(given)
    if shape is _BLOCK:
        return block(given) if isinstance(given, str) else ""
    if shape is _PORT:
        return given if isinstance(given, int) else line(given) if isinstance(given, str) else 0
    if shape is _COUNTS:
        counts = given.items() if isinstance(given, dict) else ()
        return {line(key, 100): int(count) for key, count in counts if isinstance(count, (int, float))}
    if isinstance(shape, bool):
        return given is True
    if isinstance(shape, str):
        return line(given) if isinstance(given, (str, int, float)) else ""
    number = given if isinstance(given, (int, float)) and abs(given) < 1e15 else 0
    return type(shape)(number)


def plain(given: t.Any, depth: int = 0) -> t.Any:
    """Free-form JSON with every string printable."""
    if isinstance(given, str):
        return line(given)
    if depth >= DEEPEST:
        return "…"
    if isinstance(given, dict):
        return {line(key, 200): plain(child, depth + 1) for key, child in list(given.items())[:MOST_ITEMS]}
    if isinstance(given, (list, tuple)):
        return [plain(child, depth + 1) for child in given[:MOST_ITEMS]]
    return given if isinstance(given, (bool, int)) or given is None else _finite(given)


def _finite(given: t.Any) -> float | None:
    """JSON has neither NaN nor infinity."""
    return given if isinstance(given, float) and abs(given) < 1e300 else None
