# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Private to this collection: may change in any release.
"""The meter that runs inside a pod: it sends requests at scheduled times and prints what became of them.

Its source travels in the pod's command line, so it is one file, standard library only, and runs on Python 3.9 or newer.

Open loop: each request has a time at which it is due, whatever became of those before it, and its latency counts from
then; a stall of the target cannot slow the meter down and so hide itself (G. Tene, "coordinated omission"). How late
the meter itself was is measured too: a meter that was busy elsewhere has not seen what it claims to have seen.

No client kind tries again. RFC 9110, 9.2.2 lets clients repeat a GET on a connection that was closed under them; what
such a client would hide is counted here.

One selector loop drives all sockets, so nothing blocks and one process has one order of events. What is kept is
bounded: counts, histograms, a line per second, and the first losses in full.
"""

from __future__ import annotations

import base64
import collections
import errno
import gc
import json
import math
import os
import selectors
import signal
import socket
import ssl
import sys
import threading
import time
import zlib

TYPE_CHECKING = False  # typing.TYPE_CHECKING without the cost of importing typing
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

VERSION = 1
READY = "=== plumbline meter measures ==="
COLD = "=== plumbline meter is cold ==="
RESULT = "=== plumbline meter result ==="

KINDS = ("new", "keep_alive", "post")
# What a request can end as. Each but `ok` is a loss.
CLASSES = (
    "ok",
    "refused",
    "reset",
    "closed",
    "timeout",
    "unreachable",
    "dns",
    "tls",
    "http_5xx",
    "bad_status",
    "protocol",
)

WARM_SECONDS = 20.0  # until every client kind must have had its first good answer
WARM_INTERVAL = 0.1
LOOK_UP_EVERY = 1.0  # seconds, as a client with a short cache does
LOOK_UP_STALE = 5.0  # seconds after which a resolver that does not answer counts as failed
# Idle connections per client kind: several, so that more than one backend is held on to, and at high rates as many as
# answers that take so many seconds need. To open one for each request just then would be the end of a busy machine.
KEPT_OPEN = 4
KEPT_SECONDS = 0.1
MOST_IN_FLIGHT = 4000
MOST_LOSSES = 1500  # kept in full, per client kind
MOST_NAMES = 200  # backends, serials
MOST_RUNS = 50  # of one serial
MOST_BODY = 1 << 20
MOST_HEAD = 32768
RUN_GAP = 5.0  # seconds without a serial after which it counts as gone
TEXT = 120

LEAST_MS = 0.01  # width of the first bucket; the others grow by 2 %, so a percentile is exact to 1 %
GROWTH = math.log(1.02)

READ, WRITE = selectors.EVENT_READ, selectors.EVENT_WRITE

# The meter's own end of the network is exhausted: that says nothing about the target.
OWN_FAULT = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.EADDRNOTAVAIL})
BY_ERRNO = {
    errno.ECONNREFUSED: "refused",
    errno.ECONNRESET: "reset",
    errno.ECONNABORTED: "reset",
    errno.EPIPE: "reset",
    errno.ETIMEDOUT: "timeout",
}


def clean(text: object, cap: int = TEXT) -> str:
    """Printable characters only, and not many: texts come from strangers."""
    return "".join(char if char.isprintable() else "?" for char in str(text)[:cap])


# --- numbers --------------------------------------------------------------------------------------------------------


def bucket(ms: float) -> int:
    """The bucket of a histogram that a number of milliseconds falls into."""
    return int(math.log(ms / LEAST_MS) / GROWTH) + 1 if ms > LEAST_MS else 0


def middle(number: int) -> float:
    """Milliseconds that stand for a bucket."""
    return LEAST_MS * math.exp(GROWTH * (number - 0.5)) if number else LEAST_MS


def serial_of(der: bytes) -> str:
    """Serial number of a certificate (RFC 5280, 4.1): the first INTEGER after the optional version; hex, lower case."""

    def content(at: int) -> tuple[int, int]:
        size = der[at + 1]
        if size < 0x80:
            return at + 2, size
        width = size & 0x7F
        return at + 2 + width, int.from_bytes(der[at + 2 : at + 2 + width], "big")

    at = content(content(0)[0])[0]
    if der[at] == 0xA0:
        start, size = content(at)
        at = start + size
    start, size = content(at)
    return format(int.from_bytes(der[start : start + size], "big"), "x")


class Tally:
    """What became of the requests of one client kind. All that it keeps is bounded."""

    def __init__(self, began: float) -> None:
        self.began = began
        self.planned = 0
        self.sent = 0
        self.classes: collections.Counter[str] = collections.Counter()
        self.latency: collections.Counter[int] = collections.Counter()
        self.late: collections.Counter[int] = collections.Counter()
        self.latest = 0.0
        self.losses: list[list[Any]] = []
        self.seconds: dict[int, list[int]] = {}
        self.backends: dict[str, int] = {}
        self.serials: dict[str, list[list[Any]]] = {}
        self.last_ok = began
        self.gap = (0.0, began)
        self.first_loss: float | None = None
        self.last_loss: float | None = None

    def went_out(self, due: float, late: float) -> None:
        """A request was given to the network, so many seconds after it was due."""
        self.sent += 1
        self.late[bucket(late * 1000)] += 1
        self.latest = max(self.latest, late)
        self.seconds.setdefault(int(due - self.began), [0, 0])[0] += 1

    def came_back(self, kind: str, due: float, now: float, backend: str, serial: str, detail: str) -> None:
        """A request is over."""
        self.classes[kind] += 1
        if backend and (backend in self.backends or len(self.backends) < MOST_NAMES):
            self.backends[backend] = self.backends.get(backend, 0) + 1
        if serial:
            self.note_serial(serial, now)
        if kind == "ok":
            self.latency[bucket((now - due) * 1000)] += 1
            self.note_gap(now)
            self.last_ok = now
            return
        self.seconds.setdefault(int(due - self.began), [0, 0])[1] += 1
        self.first_loss = due if self.first_loss is None else min(self.first_loss, due)
        self.last_loss = due if self.last_loss is None else max(self.last_loss, due)
        if len(self.losses) < MOST_LOSSES:
            self.losses.append([due, round((now - due) * 1000, 1), kind, backend, serial, clean(detail)])

    def note_gap(self, now: float) -> None:
        """How long nothing good had come when something did, or when the run was over."""
        if now - self.last_ok > self.gap[0]:
            self.gap = (now - self.last_ok, self.last_ok)

    def note_serial(self, serial: str, now: float) -> None:
        """Runs of a serial: from when to when it was served without a pause."""
        runs = self.serials.get(serial)
        if runs is None:
            if len(self.serials) < MOST_NAMES:
                self.serials[serial] = [[now, now, 1]]
        elif now - runs[-1][1] > RUN_GAP and len(runs) < MOST_RUNS:
            runs.append([now, now, 1])
        else:
            runs[-1][1] = now
            runs[-1][2] += 1

    def document(self, wall: Callable[[float], float], end: float) -> dict[str, Any]:
        """As JSON, with times of the wall clock."""
        self.note_gap(end)
        return {
            "planned": self.planned,
            "sent": self.sent,
            "classes": dict(self.classes),
            "latency": sorted(self.latency.items()),
            "late": sorted(self.late.items()),
            "latest_ms": round(self.latest * 1000, 1),
            "gap": [round(self.gap[0], 3), wall(self.gap[1])],
            "first_loss": None if self.first_loss is None else wall(self.first_loss),
            "last_loss": None if self.last_loss is None else wall(self.last_loss),
            "losses": [[wall(loss[0]), *loss[1:]] for loss in self.losses],
            "seconds": [[second, *counts] for second, counts in sorted(self.seconds.items())],
            "backends": self.backends,
            "serials": {
                serial: [[wall(first), wall(last), count] for first, last, count in runs]
                for serial, runs in self.serials.items()
            },
        }


# --- one answer -----------------------------------------------------------------------------------------------------


class Broken(Exception):
    """What came is no HTTP answer."""


class Answer:
    """An HTTP/1.1 answer as it comes in (RFC 9112, 6.3)."""

    __slots__ = ("at", "chunked", "data", "headers", "need", "status")

    def __init__(self) -> None:
        self.data = bytearray()
        self.at = 0  # where the body starts; within a chunked body, where the next chunk does
        self.status = 0
        self.headers: dict[str, str] = {}
        self.need: int | None = None
        self.chunked = False

    def feed(self, piece: bytes) -> bool:
        """Take what has come; whether the answer is whole."""
        self.data += piece
        if not self.at and not self.head():
            return False
        if len(self.data) - self.at > MOST_BODY:
            raise Broken("the body is too large")
        if self.chunked:
            return self.chunks()
        return self.need is not None and len(self.data) >= self.at + self.need

    def ended(self) -> bool:
        """Whether the answer is whole now that the peer has closed the connection."""
        return bool(self.at) and not self.chunked and self.need is None

    @property
    def reusable(self) -> bool:
        """Whether another request may follow on the connection."""
        exact = self.chunked or (self.need is not None and len(self.data) == self.at + self.need)
        return exact and "close" not in self.headers.get("connection", "").lower()

    def head(self) -> bool:
        end = self.data.find(b"\r\n\r\n")
        if end < 0:
            if len(self.data) > MOST_HEAD:
                raise Broken("the headers are too large")
            return False
        first, *lines = self.data[:end].decode("latin-1").split("\r\n")
        parts = first.split(" ", 2)
        if len(parts) < 2 or not parts[0].startswith("HTTP/1.") or len(parts[1]) != 3 or not parts[1].isdigit():
            raise Broken(f"not an HTTP answer: {first[:60]}")
        self.status = int(parts[1])
        if self.status < 200:  # an interim answer: the real one follows
            del self.data[: end + 4]
            return self.head()
        for line in lines:
            name, _colon, value = line.partition(":")
            self.headers[name.strip().lower()] = value.strip()
        self.at = end + 4
        self.body_length()
        return True

    def body_length(self) -> None:
        length = self.headers.get("content-length", "")
        if "chunked" in self.headers.get("transfer-encoding", "").lower():
            self.chunked = True
        elif self.status in (204, 304):
            self.need = 0
        elif length:
            if not length.isdigit():
                raise Broken(f"Content-Length: {length[:40]}")
            self.need = int(length)

    def chunks(self) -> bool:
        while True:
            end = self.data.find(b"\r\n", self.at)
            if end < 0:
                return False
            try:
                size = int(bytes(self.data[self.at : end]).split(b";")[0], 16)
            except ValueError:
                raise Broken("a chunk without a size") from None
            if not size:  # with or without trailers
                return self.data.find(b"\r\n\r\n", end) >= 0
            if len(self.data) < end + 2 + size + 2:
                return False
            self.at = end + 2 + size + 2


# --- names ----------------------------------------------------------------------------------------------------------


class Lookup:
    """The target's address, looked up again and again beside the loop, which must not block."""

    def __init__(self, host: str, port: int) -> None:
        self.host, self.port = host, port
        self.found: list[tuple[Any, ...]] = []
        self.failure = ""
        self.seen = time.monotonic()
        threading.Thread(target=self.keep, daemon=True).start()

    def keep(self) -> None:
        while True:
            try:
                self.found = socket.getaddrinfo(self.host, self.port, type=socket.SOCK_STREAM)
                self.failure = ""
            except OSError as error:
                self.failure = f"{self.host}: {error.strerror or error}"
            self.seen = time.monotonic()
            time.sleep(LOOK_UP_EVERY)

    def address(self, now: float) -> tuple[Any, Any]:
        """Family and address.

        Raises:
            LookupError: there is none.
        """
        if self.failure:
            raise LookupError(self.failure)
        if not self.found or now - self.seen > LOOK_UP_STALE:
            raise LookupError(f"{self.host}: no answer from the resolver")
        return self.found[0][0], self.found[0][4]


# --- connections ----------------------------------------------------------------------------------------------------

CONNECTING, SHAKING, SENDING, RECEIVING, IDLE, OVER = range(6)


class Request:
    """One scheduled request."""

    __slots__ = ("connection", "due", "over")

    def __init__(self, due: float) -> None:
        self.due = due
        self.over = False
        self.connection: Connection | None = None


class Connection:
    """A connection and the request that is under way on it."""

    __slots__ = ("answer", "backend", "fd", "lane", "out", "request", "serial", "sock", "state", "wanted")

    def __init__(self, lane: Lane, sock: socket.socket) -> None:
        self.lane = lane
        self.sock = sock
        self.fd = sock.fileno()
        self.state = CONNECTING
        self.wanted = 0
        self.request: Request | None = None
        self.out = b""
        self.answer = Answer()
        self.backend = ""  # who answered last on this connection, and so who is behind it
        self.serial = ""


class Lane:
    """One client kind: its schedule, its idle connections, and its tally."""

    def __init__(self, kind: str, head: bytes, interval: float) -> None:
        self.kind = kind
        self.head = head
        self.interval = interval
        self.first = self.due = 0.0  # when the first request was due, when the next one is
        self.left = 0  # requests to come
        self.open = 0  # connections, idle ones included
        self.most_idle = max(KEPT_OPEN, int(KEPT_SECONDS / interval))
        self.idle: collections.deque[Connection] = collections.deque()
        self.tally = Tally(0.0)

    def plan(self, first: float, number: int) -> None:
        """So many requests, from then on."""
        self.tally = Tally(first)
        self.first = self.due = first
        self.left = number

    def next(self, interval: float) -> float:
        """When the request is due that is to be sent now; sums of intervals would drift."""
        due = self.due
        self.tally.planned += 1
        self.left -= 1
        self.due = self.first + self.tally.planned * interval if self.left else math.inf
        return due


def request_head(kind: str, host: str, path: str) -> bytes:
    """The bytes of a request."""
    lines = [f"{'POST' if kind == 'post' else 'GET'} {path} HTTP/1.1", f"Host: {host}", "User-Agent: plumbline-meter"]
    lines += ["Accept: */*", "Connection: close" if kind == "new" else "Connection: keep-alive"]
    if kind == "post":
        lines += ["Content-Type: text/plain", "Content-Length: 6"]
    return ("\r\n".join(lines) + "\r\n\r\n" + ("meter\n" if kind == "post" else "")).encode("ascii")


class Meter:
    """The loop."""

    def __init__(self, plan: dict[str, Any]) -> None:
        self.timeout = float(plan["timeout"])
        self.good = frozenset(plan["status"])
        self.identity = plan["identity_header"].lower()
        self.server_name = plan["server_name"]
        self.tls = tls_context(plan) if plan["tls"] else None
        self.lookup = Lookup(plan["host"], plan["port"])
        kinds = plan["clients"]
        interval = len(kinds) / float(plan["rate"])
        self.lanes = [Lane(kind, request_head(kind, plan["authority"], plan["path"]), interval) for kind in kinds]
        self.phase = float(plan["phase"])
        self.selector = selectors.DefaultSelector()
        self.in_flight: collections.deque[Request] = collections.deque()
        self.open = 0
        self.stopping = False
        self.trouble = "no answer yet"
        # Times of the monotonic clock as wall clock times; that clock may be set while we measure.
        self.offset = time.time() - time.monotonic()

    def wall(self, moment: float) -> float:
        return round(moment + self.offset, 3)

    # ----- the schedule

    def warm(self) -> bool:
        """Send until each client kind has had a good answer; what is sent meanwhile is not counted."""
        now = time.monotonic()
        end = now + WARM_SECONDS
        for lane in self.lanes:
            lane.plan(now, int(WARM_SECONDS / WARM_INTERVAL))
        while not self.stopping and time.monotonic() < end:
            cold = [lane for lane in self.lanes if not lane.tally.classes["ok"]]
            if not cold:
                return True
            self.turn(cold, WARM_INTERVAL)
        return False

    def run(self, duration: float) -> dict[str, Any]:
        """Measure for so many seconds, or until told to stop, and wait for the answers that are still to come."""
        began = time.monotonic() + 0.1
        for number, lane in enumerate(self.lanes):
            offset = lane.interval * ((self.phase + number / len(self.lanes)) % 1.0)
            lane.plan(began + offset, max(1, round(duration / lane.interval)))
        for request in self.in_flight:  # of the warming up
            if request.connection is not None:
                self.close(request.connection)
            request.over = True
        while not self.stopping and any(lane.left for lane in self.lanes):
            self.turn(self.lanes)
        ended = time.monotonic()
        while self.pending():
            self.turn(())
        self.hang_up()
        return {
            "version": VERSION,
            "began": self.wall(began),
            "ended": self.wall(ended),
            "stopped": self.stopping,
            "clients": {lane.kind: lane.tally.document(self.wall, ended) for lane in self.lanes},
        }

    def hang_up(self) -> None:
        """Close all connections."""
        for key in list(self.selector.get_map().values()):
            self.close(key.data)
        self.selector.close()

    def pending(self) -> bool:
        """Whether requests are under way; drops those that are over, which are never far from the front."""
        while self.in_flight and self.in_flight[0].over:
            self.in_flight.popleft()
        return bool(self.in_flight)

    def turn(self, lanes: Sequence[Lane], interval: float = 0.0) -> None:
        """Send what is due, take what has come, and give up what came too late."""
        now = time.monotonic()
        for lane in lanes:
            while lane.due <= now:
                self.send(lane, lane.next(interval or lane.interval))
                now = time.monotonic()
        moments = [lane.due for lane in lanes]
        if self.pending():
            moments.append(self.in_flight[0].due + self.timeout)
        # Not for long: a signal ends no select() by itself (PEP 475).
        for key, _mask in self.selector.select(max(0.0, min([*moments, now + 0.5]) - time.monotonic())):
            self.step(key.data)
        now = time.monotonic()
        while self.pending() and self.in_flight[0].due + self.timeout <= now:
            request = self.in_flight.popleft()
            if request.connection is not None:
                self.fail(request.connection, "timeout", f"no whole answer within {self.timeout:g} s")

    def send(self, lane: Lane, due: float) -> None:
        if self.open >= MOST_IN_FLIGHT:
            return
        request = Request(due)
        if lane.idle and lane.open >= KEPT_OPEN:
            connection = lane.idle.popleft()
            connection.state = SENDING
            lane.tally.went_out(due, max(0.0, time.monotonic() - due))
        else:
            opened = self.connect(lane, request)
            if opened is None:
                return
            connection = opened
        connection.request, request.connection = request, connection
        connection.out, connection.answer = lane.head, Answer()
        self.in_flight.append(request)
        self.step(connection)

    def connect(self, lane: Lane, request: Request) -> Connection | None:
        """A new connection under way; None where there is none, which is noted."""
        now = time.monotonic()
        try:
            family, address = self.lookup.address(now)
            sock = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        except LookupError as error:
            lane.tally.went_out(request.due, max(0.0, now - request.due))
            self.note(lane, "dns", request.due, "", "", str(error))
            return None
        except OSError as error:
            self.trouble = clean(error)
            return None
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        code = sock.connect_ex(address)
        if code in OWN_FAULT:
            self.trouble = os.strerror(code)
            sock.close()
            return None
        lane.tally.went_out(request.due, max(0.0, now - request.due))
        if code not in (0, errno.EINPROGRESS):
            self.note(lane, BY_ERRNO.get(code, "unreachable"), request.due, "", "", os.strerror(code))
            sock.close()
            return None
        self.open += 1
        lane.open += 1
        return Connection(lane, sock)

    # ----- one connection

    def step(self, connection: Connection) -> None:
        """Go on with a connection as far as that is possible without waiting."""
        try:
            self.advance(connection)
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError, BlockingIOError) as error:
            writes = isinstance(error, ssl.SSLWantWriteError) or connection.state in (CONNECTING, SENDING)
            self.want(connection, READ if isinstance(error, ssl.SSLWantReadError) or not writes else WRITE)
        except Broken as error:
            self.fail(connection, "protocol", str(error))
        except ssl.SSLError as error:
            self.fail(connection, *of_tls_error(error, connection.state))
        except OSError as error:
            kind = BY_ERRNO.get(error.errno or 0, "unreachable" if connection.state == CONNECTING else "reset")
            self.fail(connection, kind, error.strerror or str(error))

    def advance(self, connection: Connection) -> None:
        if connection.state == CONNECTING:
            if not connection.wanted:
                self.want(connection, WRITE)
                return
            code = connection.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if code:
                raise OSError(code, os.strerror(code))
            connection.state = SENDING
            if self.tls is not None:
                connection.sock = self.tls.wrap_socket(
                    connection.sock, do_handshake_on_connect=False, server_hostname=self.server_name
                )
                connection.state = SHAKING
        if connection.state == SHAKING:
            self.shake(connection)
        if connection.state == SENDING:
            connection.out = connection.out[connection.sock.send(connection.out) :]
            if connection.out:
                raise BlockingIOError
            connection.state = RECEIVING
            self.want(connection, READ)
            if not self.tls:
                return
        if connection.state in (RECEIVING, IDLE):
            self.receive(connection)

    def shake(self, connection: Connection) -> None:
        sock = connection.sock
        if not isinstance(sock, ssl.SSLSocket):
            raise TypeError("only a TLS connection shakes hands")
        sock.do_handshake()
        connection.serial = serial_of(sock.getpeercert(binary_form=True) or b"")
        connection.state = SENDING

    def receive(self, connection: Connection) -> None:
        while True:
            piece = connection.sock.recv(65536)  # until it would block: what TLS holds back wakes no selector
            if connection.state == IDLE:
                return self.close(connection)  # the peer closed it, or speaks without being asked
            if not piece and not connection.answer.ended():
                return self.fail(connection, "closed", "the connection was closed instead of an answer")
            if not piece or connection.answer.feed(piece):
                return self.answered(connection)

    def answered(self, connection: Connection) -> None:
        answer, lane = connection.answer, connection.lane
        connection.backend = clean(answer.headers.get(self.identity, ""), 63)
        kind, detail = "ok", ""
        if answer.status not in self.good:
            kind, detail = "http_5xx" if answer.status >= 500 else "bad_status", f"status {answer.status}"
        self.finish(connection, kind, detail)
        if lane.kind != "new" and answer.reusable and len(lane.idle) < lane.most_idle:
            connection.state = IDLE
            lane.idle.append(connection)
        else:
            self.close(connection)

    def fail(self, connection: Connection, kind: str, detail: str) -> None:
        self.finish(connection, kind, detail)
        self.close(connection)

    def finish(self, connection: Connection, kind: str, detail: str) -> None:
        request, connection.request = connection.request, None
        if request is None or request.over:
            return
        request.over, request.connection = True, None
        self.note(connection.lane, kind, request.due, connection.backend, connection.serial, detail)

    def note(self, lane: Lane, kind: str, due: float, backend: str, serial: str, detail: str) -> None:
        if kind != "ok":
            self.trouble = f"{kind}: {clean(detail)}"
        lane.tally.came_back(kind, due, time.monotonic(), backend, serial, detail)

    def want(self, connection: Connection, events: int) -> None:
        if connection.wanted == events:
            return
        if connection.wanted:
            self.selector.modify(connection.fd, events, connection)
        else:
            self.selector.register(connection.fd, events, connection)
        connection.wanted = events

    def close(self, connection: Connection) -> None:
        if connection.state == IDLE:
            connection.lane.idle.remove(connection)
        connection.state = OVER
        if connection.wanted:
            self.selector.unregister(connection.fd)
        connection.sock.close()
        connection.lane.open -= 1
        self.open -= 1


def tls_context(plan: dict[str, Any]) -> ssl.SSLContext:
    """A context that verifies chain and name, against the bundle alone where one is given."""
    context = ssl.create_default_context(cadata=plan["bundle"] or None)
    context.set_alpn_protocols(["http/1.1"])
    return context


def of_tls_error(error: ssl.SSLError, state: int) -> tuple[str, str]:
    """Class and text of an error of the TLS layer."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return "tls", f"the certificate is refused: {error.verify_message}"
    if isinstance(error, (ssl.SSLEOFError, ssl.SSLZeroReturnError)):
        return "closed", "the connection was closed during the handshake" if state == SHAKING else "closed within TLS"
    return "tls", error.reason or str(error)


# --- the program ----------------------------------------------------------------------------------------------------


def decode(pieces: Sequence[str]) -> dict[str, Any]:
    """The plan out of the arguments, each of which the kernel lets be 128 KiB."""
    return dict(json.loads(zlib.decompress(base64.b64decode("".join(pieces)))))


def say(line: str, document: dict[str, Any]) -> None:
    sys.stdout.write(f"{line}\n{json.dumps(document)}\n")
    sys.stdout.flush()


def main(arguments: Sequence[str]) -> int:
    plan = decode(arguments)
    os.environ.clear()  # LOCALDOMAIN, RES_OPTIONS and HOSTALIASES would bend the resolver
    meter = Meter(plan)

    def stop(_number: int, _frame: object) -> None:
        meter.stopping = True

    # Handlers matter: as process 1 of a container we would not die of a signal without one.
    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGALRM, lambda _number, _frame: os._exit(70))
    signal.alarm(int(WARM_SECONDS + plan["duration"] + plan["timeout"]) + 30)
    if plan["warm_up"] and not meter.warm():
        meter.hang_up()
        say(COLD, {"trouble": meter.trouble})
        return 3
    gc.collect()
    gc.freeze()  # no collection walks through what will stay: that would be a pause of our own
    say(READY, {"at": meter.wall(time.monotonic())})
    say(RESULT, meter.run(float(plan["duration"])))
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
