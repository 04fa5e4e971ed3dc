# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Private to this collection: may change in any release.
"""List once, then watch: a live view of some objects, and waiting on it without polling.

Each interest is listed and then watched in a thread of its own from the resource version of its list, so no change
between the two is lost. Closed streams are resumed from the last version seen; when that is too old (410) the
interest is listed again and the difference enters the view as ordinary changes.
"""

from __future__ import annotations

import contextlib
import json
import queue
import threading
import time
import typing as t
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

with contextlib.suppress(ImportError):  # module.run() reports the missing library
    import urllib3

from .client import Cluster
from .errors import ApiError, ConnectionFailed, Gone, KubeError, WaitTimeout
from .kinds import Kind

Body = dict[str, t.Any]
T = t.TypeVar("T")

# The longest a waiter sleeps without a change, for predicates that depend on time (a grace, a settle time).
TICK = 0.25
_RECONNECT_PAUSE = 0.2
_QUIET = 0.7
_MOST_RECONNECTS = 20


@dataclass(frozen=True, slots=True)
class Interest:
    """What to follow: one kind, in one namespace or all, narrowed by selectors."""

    kind: Kind
    namespace: str | None = None
    labels: str = ""
    fields: str = ""


@dataclass(frozen=True, slots=True)
class Change:
    """One change seen after the lists.

    Attributes:
        sequence: 1, 2, 3 ... over all interests of a view.
        at: time.monotonic() when it was seen.
        event: ADDED, MODIFIED or DELETED.
    """

    sequence: int
    at: float
    event: str
    kind: str
    namespace: str
    name: str
    uid: str


class View:
    """The current state of `interests`, kept up to date until the context ends.

    Raises on entry the first :class:`KubeError` of the concurrent lists.
    """

    def __init__(self, cluster: Cluster, interests: t.Iterable[Interest]) -> None:
        self._cluster = cluster
        self._objects: dict[Interest, dict[tuple[str, str], Body]] = {interest: {} for interest in interests}
        self._changed = threading.Condition(threading.RLock())
        self._changes: list[Change] = []
        self._streams: set[t.Any] = set()
        self._stopped = False
        self._error: KubeError | None = None

    def __enter__(self) -> View:
        with ThreadPoolExecutor(max_workers=max(1, len(self._objects))) as pool:
            versions = list(pool.map(self._first_list, self._objects))
        for interest, version in zip(self._objects, versions, strict=True):
            threading.Thread(target=self._follow, args=(interest, version), daemon=True).start()
        return self

    def __exit__(self, *_exc: object) -> None:
        with self._changed:
            self._stopped = True
            streams = list(self._streams)
        for response in streams:
            _hang_up(response)

    # ----- what callers see

    def objects(self, interest: Interest) -> list[Body]:
        """Current objects of an interest, sorted by namespace and name; treat them as read-only."""
        with self._changed:
            found = self._objects[interest]
            return [found[key] for key in sorted(found)]

    @property
    def changes(self) -> list[Change]:
        """Everything that changed since the lists, oldest first."""
        with self._changed:
            return list(self._changes)

    @property
    def sequence(self) -> int:
        """Number of the last change, 0 before the first."""
        with self._changed:
            return len(self._changes)

    def wait(self, predicate: t.Callable[[View], T | None], timeout: float, what: str) -> T:
        """Block until `predicate(view)` returns something other than None.

        It is evaluated at once, after every change, and at least every quarter of a second; it may raise to give up.

        Args:
            predicate: pure over the view; called with the view locked, so that it sees one state.
            timeout: seconds, on the monotonic clock.
            what: completes the sentence `... was not reached`, for the error.

        Raises:
            WaitTimeout: the time is over.
            KubeError: a watch can no longer be kept (rights withdrawn, server gone).
        """
        deadline = time.monotonic() + timeout
        with self._changed:
            while True:
                result = predicate(self)
                if result is not None:
                    return result
                if self._error is not None:
                    raise self._error
                left = deadline - time.monotonic()
                if left <= 0:
                    raise WaitTimeout(f"{self._cluster.label}: {what} was not reached within {timeout:g} s")
                self._changed.wait(min(left, TICK))

    # ----- the threads

    def _first_list(self, interest: Interest) -> str:
        listing = self._cluster.list(interest.kind, interest.namespace, labels=interest.labels, fields=interest.fields)
        self._objects[interest] = {_key(item): item for item in listing.items}
        return listing.resource_version

    def _follow(self, interest: Interest, version: str) -> None:
        failures = 0
        while not self._stopped:
            try:
                version = self._stream(interest, version)
                failures = 0
            except Gone:
                version = ""
            except (KubeError, urllib3.exceptions.HTTPError) as error:
                failures += 1
                if failures > _MOST_RECONNECTS or (isinstance(error, ApiError) and error.status in (401, 403, 404)):
                    self._fail(error, interest)
                    return
                time.sleep(min(_RECONNECT_PAUSE * failures, 2.0))
            if not version and not self._stopped:
                version = self._relist(interest)

    def _stream(self, interest: Interest, version: str) -> str:
        """Read one watch stream to its end; the resource version to resume from."""
        response = self._cluster.watch(
            interest.kind, interest.namespace, version, labels=interest.labels, fields=interest.fields
        )
        with self._changed:
            self._streams.add(response)
            if self._stopped:
                _hang_up(response)
        try:
            for line in _lines(response):
                version = self._take(interest, json.loads(line)) or version
        except (urllib3.exceptions.ReadTimeoutError, urllib3.exceptions.ProtocolError, ValueError, OSError):
            # Silent, cut or torn streams are ordinary: resume from what was seen last.
            time.sleep(0 if self._stopped else 0.05)
        finally:
            with self._changed:
                self._streams.discard(response)
            response.close()
        return version

    def _take(self, interest: Interest, event: Body) -> str | None:
        kind, item = event.get("type"), event.get("object") or {}
        if kind == "ERROR":
            if item.get("code") == 410:
                raise Gone("the watch is too old", status=410, reason="Expired")
            raise ConnectionFailed(f"{self._cluster.label}: watch {interest.kind.plural}: {item.get('message')}")
        version: str = (item.get("metadata") or {}).get("resourceVersion", "")
        if kind in ("ADDED", "MODIFIED", "DELETED"):
            with self._changed:
                self._record(interest, kind, item)
        return version

    def _relist(self, interest: Interest) -> str:
        try:
            listing = self._cluster.list(
                interest.kind, interest.namespace, labels=interest.labels, fields=interest.fields
            )
        except KubeError as error:
            self._fail(error, interest)
            self._stopped = True
            return ""
        fresh = {_key(item): item for item in listing.items}
        with self._changed:
            known = dict(self._objects[interest])
            for event, item in difference(known, fresh):
                self._record(interest, event, item)
        return listing.resource_version

    def _record(self, interest: Interest, event: str, item: Body) -> None:
        metadata = item.get("metadata") or {}
        if event == "DELETED":
            self._objects[interest].pop(_key(item), None)
        else:
            self._objects[interest][_key(item)] = item
        self._changes.append(
            Change(
                len(self._changes) + 1,
                time.monotonic(),
                event,
                interest.kind.kind,
                metadata.get("namespace", ""),
                metadata.get("name", ""),
                metadata.get("uid", ""),
            )
        )
        self._changed.notify_all()

    def _fail(self, error: BaseException, interest: Interest) -> None:
        with self._changed:
            if not self._stopped:
                cause = error if isinstance(error, KubeError) else None
                self._error = cause or ConnectionFailed(
                    f"{self._cluster.label}: watch {interest.kind.plural}: the stream broke ({type(error).__name__})"
                )
            self._changed.notify_all()


def replay(
    cluster: Cluster, kind: Kind, namespace: str, version: str, *, labels: str = "", most: float = 10.0
) -> list[tuple[str, Body]]:
    """What has happened since `version`: `(ADDED | MODIFIED | DELETED, object)`, oldest first.

    The server sends at once what it remembers, and then what is new; so a pause is the end.

    Raises:
        Gone: the server no longer remembers that far back.
    """
    response = cluster.watch(kind, namespace, version, labels=labels)
    lines: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()

    def read() -> None:
        with contextlib.suppress(urllib3.exceptions.HTTPError, ValueError, OSError):
            for line in _lines(response):
                lines.put(line)
        lines.put(None)

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    events: list[tuple[str, Body]] = []
    deadline = time.monotonic() + most
    try:
        while time.monotonic() < deadline:
            line = lines.get(timeout=_QUIET)
            if line is None:
                break
            event = json.loads(line)
            if event.get("type") == "ERROR":
                raise Gone("the watch is too old", status=410, reason="Expired")
            if event.get("type") != "BOOKMARK":
                events.append((event["type"], event["object"]))
    except queue.Empty:
        pass
    finally:
        _hang_up(response)
        reader.join(1.0)
        response.close()
    return events


def difference(known: dict[tuple[str, str], Body], fresh: dict[tuple[str, str], Body]) -> list[tuple[str, Body]]:
    """The events that lead from one listing to a later one."""
    events: list[tuple[str, Body]] = [("DELETED", known[key]) for key in known if key not in fresh]
    for key, item in fresh.items():
        if key not in known:
            events.append(("ADDED", item))
        elif _version(known[key]) != _version(item):
            events.append(("MODIFIED", item))
    return events


def _version(item: Body) -> t.Any:
    return (item.get("metadata") or {}).get("resourceVersion")


def _key(item: Body) -> tuple[str, str]:
    metadata = item.get("metadata") or {}
    return metadata.get("namespace", ""), metadata.get("name", "")


def _lines(response: t.Any) -> t.Iterator[bytes]:
    rest = b""
    for chunk in response.stream(65536, decode_content=False):
        *whole, rest = (rest + chunk).split(b"\n")
        for line in whole:
            if line.strip():
                yield line


def _hang_up(response: t.Any) -> None:
    """Wake a thread that is blocked in reading `response`."""
    # An older urllib3, or the stream ended meanwhile: the daemon thread ends with the process.
    with contextlib.suppress(AttributeError, RuntimeError, ValueError, OSError):
        response.shutdown()  # urllib3 >= 2.3
