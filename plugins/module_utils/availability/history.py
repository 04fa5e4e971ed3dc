# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Private to this collection: may change in any release.
"""What the target's pods and endpoints were doing, out of the events of a watch: pure.

An event has no time of its own. Its object does: when a condition turned, a container ended, a deletion was asked for,
or a field was last written, all to the second. The order is exact all the same, by resource versions, which count
through all kinds of a cluster (KEP-5504). Where an event tells no time, that of the event before it is the earliest.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, replace
from datetime import datetime

Body = t.Mapping[str, t.Any]
Event = tuple[str, Body]

# Seconds around the losses in which a change may have to do with them.
BEFORE, AFTER = 15.0, 2.0

TERMINATES = "began to terminate"


@dataclass(frozen=True, slots=True)
class Moment:
    """One change.

    Attributes:
        at: seconds since 1970, to the second; 0.0 where not even the earliest time is known.
        what: completes the sentence `<subject> ...`.
        loud: whether it may cost requests.
    """

    at: float
    subject: str
    what: str
    loud: bool = False


def moments(pods: t.Iterable[Event], slices: t.Iterable[Event], since: float) -> list[Moment]:
    """All changes since that second, in the order in which they happened."""
    of_pods, of_slices = _Pods(int(since)), _Slices()
    events = [(event, of_pods.changes) for event in pods] + [(event, of_slices.changes) for event in slices]
    events.sort(key=lambda entry: _version(entry[0][1]))
    found: list[Moment] = []
    clock = 0.0
    for (kind, item), changes in events:
        for moment in changes(kind, item):
            clock = max(clock, moment.at)
            found.append(replace(moment, at=moment.at or clock))
    return found


class _Pods:
    """Changes of pods, each told once."""

    def __init__(self, since: int) -> None:
        self.since = since
        self.told: set[tuple[str, str]] = set()

    def changes(self, kind: str, pod: Body) -> t.Iterator[Moment]:
        metadata, status = pod.get("metadata") or {}, pod.get("status") or {}
        uid, subject = metadata.get("uid", ""), f"Pod {metadata.get('name')}"
        for at, what, loud in self.facts(kind, metadata, status):
            # A forced deletion shortens the grace period, and so seems to begin again: the first one counts.
            once = (uid, what) if what == TERMINATES else (uid, f"{what} {at}")
            if (at >= self.since or not at) and once not in self.told:
                self.told.add(once)
                yield Moment(at, subject, what, loud)

    def facts(self, kind: str, metadata: Body, status: Body) -> t.Iterator[tuple[float, str, bool]]:
        yield seconds(metadata.get("creationTimestamp")), "was created", False
        for condition in status.get("conditions") or []:
            if condition.get("type") == "Ready":
                ready = condition.get("status") == "True"
                yield seconds(condition.get("lastTransitionTime")), "became ready" if ready else "was not ready", False
        if metadata.get("deletionTimestamp"):
            # The timestamp is when the grace period ends.
            grace = float(metadata.get("deletionGracePeriodSeconds") or 0)
            yield seconds(metadata["deletionTimestamp"]) - grace, TERMINATES, True
        for entry in status.get("containerStatuses") or []:
            for state in (entry.get("state") or {}, entry.get("lastState") or {}):
                end = state.get("terminated")
                if end:
                    code = f"exit code {end.get('exitCode')}"
                    yield seconds(end.get("finishedAt")), f"container {entry.get('name')} ended with {code}", True
        if kind == "DELETED":
            yield 0.0, "was gone", True


class _Slices:
    """Changes of a Service's endpoints, by pod."""

    def __init__(self) -> None:
        self.known: dict[str, dict[str, str]] = {}

    def changes(self, kind: str, item: Body) -> t.Iterator[Moment]:
        metadata = item.get("metadata") or {}
        name, at = metadata.get("name", ""), written(metadata)
        first = name not in self.known and kind == "MODIFIED"  # how it was before is not known
        before = self.known.pop(name, {})
        if kind == "DELETED":
            yield Moment(0.0, f"EndpointSlice {name}", "was deleted", True)
            return
        after = {_pod(entry): _state(entry) for entry in item.get("endpoints") or []}
        self.known[name] = after
        if first:
            text = ", ".join(f"{pod} {state}" for pod, state in sorted(after.items()))
            yield Moment(at, f"EndpointSlice {name}", f"had {text or 'no endpoints'}", not after)
            return
        for pod in sorted(before.keys() | after.keys()):
            if before.get(pod) != after.get(pod):
                state = after.get(pod, "removed")
                yield Moment(at, f"endpoint {pod}", f"was {state}", state != "ready")


def _pod(endpoint: Body) -> str:
    return str((endpoint.get("targetRef") or {}).get("name") or ",".join(endpoint.get("addresses") or []))


def _state(endpoint: Body) -> str:
    conditions = endpoint.get("conditions") or {}
    if conditions.get("terminating"):
        return "terminating, serving" if conditions.get("serving") else "terminating, not serving"
    return "not ready" if conditions.get("ready") is False else "ready"


def _version(item: Body) -> int:
    text = str((item.get("metadata") or {}).get("resourceVersion") or "0")
    return int(text) if text.isdigit() else 0


def written(metadata: Body) -> float:
    """When a field of an object was last written."""
    return max((seconds(entry.get("time")) for entry in metadata.get("managedFields") or []), default=0.0)


def seconds(stamp: t.Any) -> float:
    """Seconds since 1970 of an API time; 0.0 for none."""
    try:
        return datetime.fromisoformat(stamp).timestamp()
    except (TypeError, ValueError):
        return 0.0


def around(found: t.Sequence[Moment], first: float, last: float) -> list[Moment]:
    """The changes that losses between two times may have to do with."""
    return [moment for moment in found if first - BEFORE <= moment.at <= last + AFTER]
