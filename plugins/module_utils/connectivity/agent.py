# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The agent that runs inside a probe pod: it carries out a plan and prints one JSON document.

Its source travels in the pod's command line, so it needs the standard library only, and runs on Python 3.9 or newer.
What only some plans need is a file of its own that adds to EXCHANGES and MERGES: agent_tls.py.

Every exchange is a generator that yields what it waits for; one selector loop drives them all. So there is nothing that
can block: each exchange ends at its own deadline, the run ends at its budget, and both close the sockets, whatever the
peer does. Each exchange also has a cap on the bytes it takes. Python's own clients are not used because an endless
series of "100 Continue", or a dripped header, keeps them busy for ever.

This file is private to the collection; its contents may change in any release.
"""

from __future__ import annotations

import base64
import collections
import errno
import hashlib
import json
import os
import re
import selectors
import signal
import socket
import struct
import sys
import time
import zlib

TYPE_CHECKING = False  # typing.TYPE_CHECKING without the cost of importing typing in every probe pod
if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Sequence
    from typing import Any, TypeVar

    T = TypeVar("T")
    Steps = Generator[tuple[int, int], None, T]  # yields (file descriptor, READ or WRITE), returns a T
    Result = tuple[str, str, float, dict[str, Any]]  # class, detail, milliseconds, value

VERSION = 1
MARKER = "=== plumbline agent result ==="

# What an observation can end as. Worst last: a task that is repeated is as good as its worst repeat, and what the
# target did says more than what the probe failed to do.
# `scheme`: TLS where plain HTTP is asked, or the reverse; `handshake`: TLS, but no agreement.
CLASSES = (
    "ok",
    "deadline",
    "error",
    "limit",
    "protocol",
    "scheme",
    "handshake",
    "reset",
    "refused",
    "unreachable",
    "timeout",
    "name",
)

LIMITS = {"body": 65536, "headers": 32768, "dns": 65535, "result": 900000}
TEXT = 200  # characters of any string that comes from the network
IDENTITIES = 256  # different backends that one task tells apart
ANSWERS = 5000  # DNS records that one task reports
STRAY = 100  # datagrams that are not the answer, until the exchange is given up
DATAGRAMS = 2  # queries over UDP until one is answered
RESEND = 0.6  # part of an exchange's time after which the next of them is sent
TICK = 0.2  # seconds that the loop sleeps at most, so that it notices when it is woken late
LATE = 1.0  # seconds by which it may be late before its own time limits accuse nobody
SETTLE = 3.0  # seconds that a new pod's link is given until IPv6 works on it
DISCARD = 9  # a port that nobody listens at
IPV6_ROUTES = "/proc/net/ipv6_route"

READ, WRITE = selectors.EVENT_READ, selectors.EVENT_WRITE

UNREACHABLE = frozenset(
    {
        errno.ENETUNREACH,
        errno.EHOSTUNREACH,
        errno.ENETDOWN,
        errno.EHOSTDOWN,
        errno.EADDRNOTAVAIL,  # no address of this family here
        errno.EAFNOSUPPORT,
        errno.EACCES,  # a firewall on the way out
        errno.EPERM,
    }
)
RESET = frozenset({errno.ECONNRESET, errno.ECONNABORTED, errno.EPIPE})


class Failure(Exception):
    """An exchange that did not get what it asked for: a class out of CLASSES, and one line that says why."""

    def __init__(self, kind: str, detail: str) -> None:
        super().__init__(detail)
        self.kind = kind


class Attempt:
    """One exchange's task and caps, and what it is doing: that is the message when its time is up.

    Where `again` is set, the exchange goes on at that time although nothing came.
    """

    def __init__(self, task: dict[str, Any], limits: dict[str, int]) -> None:
        self.task = task
        self.limits = limits
        self.doing = "starting"
        self.timeout = float(task.get("timeout") or 5.0)
        self.again = 0.0


def clean(text: object, cap: int = TEXT) -> str:
    """Printable characters only, and not many: texts come from strangers."""
    whole = text if isinstance(text, str) else str(text)
    shown = "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in whole[:cap])
    return shown if len(whole) <= cap else shown[: cap - 3] + "..."


def of_os_error(problem: OSError) -> Failure:
    """Class of an operating system error."""
    code = problem.errno or 0
    text = os.strerror(code) if code else clean(problem)
    if code == errno.ECONNREFUSED:
        return Failure("refused", text)
    if code == errno.ETIMEDOUT:
        return Failure("timeout", text)
    if code in RESET:
        return Failure("reset", text)
    if code in UNREACHABLE:
        return Failure("unreachable", text)
    return Failure("error", text)


# --- sockets --------------------------------------------------------------------------------------------------------


def open_socket(address: str, port: int, kind: int) -> tuple[socket.socket, Any]:
    """A new socket that never blocks, and the address to connect it to. A new socket is a new source port."""
    try:
        found = socket.getaddrinfo(address, port, type=kind, flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV)
    except socket.gaierror:
        raise Failure("error", f"not an address and port: {clean(address)} {clean(port)}") from None
    family, socktype, protocol, _canonical, target = found[0]
    sock = socket.socket(family, socktype, protocol)
    sock.setblocking(False)
    return sock, target


def connect(sock: socket.socket, target: Any) -> Steps[None]:
    code = sock.connect_ex(target)
    if code == errno.EINPROGRESS:
        yield sock.fileno(), WRITE
        code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    if code:
        raise OSError(code, os.strerror(code))


def send(sock: socket.socket, data: bytes) -> Steps[None]:
    rest = memoryview(data)
    while rest:
        yield sock.fileno(), WRITE
        try:
            rest = rest[sock.send(rest) :]
        except BlockingIOError:
            continue


def receive(sock: socket.socket, size: int = 65536) -> Steps[bytes]:
    """One piece of what came; b"" when the peer closed. It always waits first: no peer can starve the others."""
    while True:
        yield sock.fileno(), READ
        try:
            return sock.recv(size)
        except BlockingIOError:
            continue  # the kernel dropped what it had announced, as it does with a bad checksum


class Reader:
    """The bytes of one peer, taken in pieces, and never more of them than allowed."""

    def __init__(self, sock: socket.socket, limit: int) -> None:
        self.sock = sock
        self.limit = limit
        self.received = 0
        self.buffer = bytearray()
        self.closed = False

    def piece(self) -> Steps[bytes]:
        return (yield from receive(self.sock))

    def more(self) -> Steps[None]:
        data = yield from self.piece()
        self.received += len(data)
        if self.received > self.limit:
            raise Failure("limit", f"more than {self.limit} bytes")
        self.closed = not data
        self.buffer += data

    def cut(self, size: int) -> bytes:
        piece = bytes(self.buffer[:size])
        del self.buffer[:size]
        return piece

    def line(self, limit: int, what: str, prefix: bytes = b"") -> Steps[bytes]:
        """One line with its end. What cannot be the wanted prefix any more is not waited for."""
        seen = 0
        while True:
            if not prefix.startswith(self.buffer[: len(prefix)]):
                raise stranger(bytes(self.buffer[:60]))
            end = self.buffer.find(b"\n", seen)
            seen = len(self.buffer)
            if (end if end >= 0 else seen) >= limit:
                raise Failure("limit", f"{what} larger than {limit} bytes")
            if end >= 0:
                return self.cut(end + 1)
            if self.closed:
                early = f"in the {what}, after {self.received} bytes" if self.received else "without an answer"
                raise Failure("reset", f"the peer closed the connection {early}")
            yield from self.more()

    def exactly(self, size: int, what: str) -> Steps[bytes]:
        while len(self.buffer) < size:
            if self.closed:
                got = len(self.buffer)
                raise Failure("reset", f"the peer closed the connection after {got} of {size} bytes of {what}")
            yield from self.more()
        return self.cut(size)

    def until_closed(self, size: int) -> Steps[bytes]:
        """Up to size bytes, fewer when the peer closes."""
        while len(self.buffer) < size and not self.closed:
            yield from self.more()
        return self.cut(size)


def describe(data: bytes) -> str:
    """A stranger's bytes for a message."""
    return clean(repr(data)[1:], 80)


def stranger(data: bytes) -> Failure:
    """What is said of bytes that do not begin an answer of HTTP/1."""
    if data[:1] in (b"\x15", b"\x16") and data[1:2] == b"\x03":
        return Failure("scheme", "not HTTP/1: it speaks TLS")
    return Failure("protocol", f"not HTTP/1: {describe(data)}")


# --- HTTP -----------------------------------------------------------------------------------------------------------

TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+\Z")
VISIBLE = re.compile(r"[\x20-\x7e\t]*\Z")
TARGET = re.compile(r"(/|\*\Z)[\x21-\x7e]*\Z")
STATUS_LINE = re.compile(rb"HTTP/1\.[01] ([1-9][0-9][0-9])(?: |\r?\n)")
CHUNK_SIZE = re.compile(rb"([0-9a-fA-F]{1,15})[ \t]*(?:;|\r?\n)")
# What nginx and Go answer, in plain HTTP and with status 400, to plain HTTP on a port for TLS.
WANTS_TLS = (b"plain HTTP request was sent to HTTPS port", b"HTTP request to an HTTPS server")


def build_request(task: dict[str, Any]) -> bytes:
    """The request of a task; refuses what would smuggle a second one."""
    method, path = task.get("method") or "GET", task.get("path") or "/"
    headers = {
        "host": task.get("host") or authority(task.get("name") or task["address"], task["port"]),
        "user-agent": "plumbline",
        "accept": "*/*",
        "accept-encoding": "identity",
        "connection": "close",
    }
    if method not in ("GET", "HEAD"):
        headers["content-length"] = "0"
    headers.update({str(name).lower(): str(value) for name, value in (task.get("headers") or {}).items()})
    if not TOKEN.match(method) or not TARGET.match(path):
        raise Failure("error", f"not a method and path: {clean(method)} {clean(path)}")
    for name, value in headers.items():
        if not TOKEN.match(name) or not VISIBLE.match(value):
            raise Failure("error", f"not a header: {clean(name)}: {clean(value)}")
    lines = [f"{method} {path} HTTP/1.1"]
    lines += [
        "{}: {}".format("-".join(part.capitalize() for part in name.split("-")), headers[name]) for name in headers
    ]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("ascii")


def authority(host: str, port: int) -> str:
    shown = f"[{host}]" if ":" in host else host
    return shown if port == 80 else f"{shown}:{port}"


def read_head(reader: Reader, limit: int) -> Steps[tuple[int, dict[str, str]]]:
    """Status and headers of the final answer. Interim answers count against the same limit, however many come."""
    left = limit
    while True:
        line = yield from reader.line(left, "header", b"HTTP/1.")
        left -= len(line)
        match = STATUS_LINE.match(line)
        if not match:
            raise Failure("protocol", f"not a status line: {describe(line[:60])}")
        headers: dict[str, str] = {}
        while True:
            line = yield from reader.line(left, "header")
            left -= len(line)
            if not line.strip(b"\r\n"):
                break
            add_header(headers, line)
        status = int(match.group(1))
        if status >= 200 or status == 101:
            return status, headers


def add_header(headers: dict[str, str], line: bytes) -> None:
    text = line.decode("latin-1").rstrip("\r\n")
    if text[0] in " \t":
        return  # a folded line: obsolete, and nothing that matters here is ever folded
    name, colon, value = text.partition(":")
    name, value = name.lower(), value.strip(" \t")
    if not colon or not TOKEN.match(name):
        raise Failure("protocol", f"not a header line: {describe(line[:60])}")
    if name == "content-length" and headers.get(name, value) != value:
        raise Failure("protocol", "two values of Content-Length")
    headers.setdefault(name, value)


def read_body(reader: Reader, method: str, status: int, headers: dict[str, str], cap: int) -> Steps[tuple[bytes, bool]]:
    """The first cap bytes of the body as sent (nothing is ever decompressed), and whether that is all of it."""
    if method == "HEAD" or status in (101, 204, 304):
        return b"", True
    coding = headers.get("transfer-encoding")
    if coding is not None:
        if coding.lower() != "chunked":
            raise Failure("protocol", f"unknown Transfer-Encoding {clean(coding, 60)}")
        return (yield from read_chunks(reader, cap))
    length = headers.get("content-length")
    if length is None:
        data = yield from reader.until_closed(cap + 1)
        return data[:cap], len(data) <= cap
    if not re.match(r"[0-9]{1,18}\Z", length):
        raise Failure("protocol", f"Content-Length is {clean(length, 60)}")
    size = int(length)
    data = yield from reader.exactly(min(size, cap), "the body")
    return data, size <= cap


def read_chunks(reader: Reader, cap: int) -> Steps[tuple[bytes, bool]]:
    body = bytearray()
    while True:
        line = yield from reader.line(4096, "chunk size")
        match = CHUNK_SIZE.match(line)
        if not match:
            raise Failure("protocol", f"not a chunk size: {describe(line[:60])}")
        size = int(match.group(1), 16)
        if not size:
            return bytes(body), True  # trailers say nothing that is asked for
        room = cap - len(body)
        body += yield from reader.exactly(min(size, room), "a chunk")
        if size > room:
            return bytes(body), False
        if (yield from reader.line(16, "chunk")).strip(b"\r\n"):
            raise Failure("protocol", "a chunk longer than its size")


def exchange_http(attempt: Attempt) -> Steps[dict[str, Any]]:
    """One request on a connection of its own."""
    request = build_request(attempt.task)
    sock = yield from dial(attempt)
    with sock:
        attempt.doing = f"sending the request to {place(sock)}"
        yield from send(sock, request)
        return (yield from read_answer(Reader(sock, most_bytes(attempt.limits)), attempt))


def dial(attempt: Attempt) -> Steps[socket.socket]:
    """A connection to the task's address, or to the first one of its name that takes it."""
    task = attempt.task
    addresses = [task["address"]] if task.get("address") else (yield from look_up_first(task["name"], attempt))
    for number, address in enumerate(addresses, 1):
        sock, target = open_socket(address, task["port"], socket.SOCK_STREAM)
        attempt.doing = "connecting to {} port {}".format(address, task["port"])
        try:
            yield from connect(sock, target)
        except BaseException as problem:
            sock.close()
            if isinstance(problem, OSError) and number < len(addresses):
                continue  # as every client tries the next address of a name
            raise
        return sock
    raise Failure("name", "{} has no address".format(clean(task.get("name"))))


def place(sock: socket.socket) -> str:
    return "{} port {}".format(*sock.getpeername()[:2])


def most_bytes(limits: dict[str, int]) -> int:
    # A body in chunks of one byte is six times as long on the wire; who needs more than that has something in mind.
    return limits["headers"] + 8 * limits["body"] + 65536


def look_up_first(name: str, attempt: Attempt) -> Steps[list[str]]:
    """A resolver that does not answer in time is the name's failure, not the target's."""
    try:
        return (yield from exchange_lookup(name, attempt))
    except Failure as problem:
        raise Failure("name" if problem.kind == "timeout" else problem.kind, str(problem)) from None


def read_answer(reader: Reader, attempt: Attempt) -> Steps[dict[str, Any]]:
    task, limits = attempt.task, attempt.limits
    cap = limits["body"]
    attempt.doing = "waiting for the header of the answer"
    status, headers = yield from read_head(reader, limits["headers"])
    attempt.doing = f"waiting for the rest of the body after status {status}"
    body, whole = yield from read_body(reader, task.get("method") or "GET", status, headers, cap)
    if status == 400 and any(phrase in body for phrase in WANTS_TLS):
        raise Failure("scheme", "status 400: it wants TLS on this port")
    contains = {marker: marker.encode("utf-8") in body for marker in task.get("contains") or ()}
    if not whole and not all(contains.values()):
        missing = [marker for marker, found in contains.items() if not found][0]  # noqa: RUF015
        raise Failure("limit", f"no {clean(repr(missing), 80)} in the first {cap} bytes of the body")
    notes = [f"status {status}"]
    if "location" in headers:
        notes.append("to {}, not followed".format(clean(headers["location"], 100)))
    if headers.get("content-encoding", "identity") != "identity":
        notes.append("body is {}, not decoded".format(clean(headers["content-encoding"], 40)))
    if not whole:
        notes.append(f"first {cap} bytes of the body")
    wanted = (task.get("identity_header") or "").lower()
    identity = clean(headers[wanted], 128) if wanted in headers else None
    return {"status": status, "contains": contains, "identity": identity, "detail": ", ".join(notes)}


def merge_http(results: list[Result], task: dict[str, Any]) -> dict[str, Any]:
    """The value of an http task out of all of its repeats. A marker counts as found when every answer has it."""
    answers = [value for kind, _detail, _ms, value in results if kind == "ok"]
    identities: collections.Counter[str] = collections.Counter()
    for answer in answers:
        identity = answer["identity"]
        if identity is not None:
            known = identity in identities or len(identities) < IDENTITIES
            identities[identity if known else "(others)"] += 1
    return {
        "status": max((answer["status"] for answer in answers), default=None),
        "count": len(results),
        "statuses": dict(collections.Counter(str(answer["status"]) for answer in answers)),
        "contains": {
            marker: bool(answers) and all(answer["contains"][marker] for answer in answers)
            for marker in task.get("contains") or ()
        },
        "identities": dict(identities),
        "classes": dict(collections.Counter(kind for kind, _detail, _ms, _value in results)),
    }


# --- DNS ------------------------------------------------------------------------------------------------------------

RRTYPES = {"A": 1, "CNAME": 5, "PTR": 12, "AAAA": 28, "SRV": 33}
RCODES = ("NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED")


class Unfit(Exception):
    """A DNS message that is not the answer to our question: another one may follow."""


def encode_name(name: str) -> bytes:
    encoded = bytearray()
    for label in name[: -1 if name.endswith(".") else None].split(".") if name != "." else ():
        raw = label.encode("ascii", "replace")
        if not 0 < len(raw) < 64 or b"?" in raw:
            raise Failure("error", f"not a DNS name: {clean(name)}")
        encoded += bytes([len(raw)]) + raw
    if len(encoded) > 254:
        raise Failure("error", f"not a DNS name: {clean(name)}")
    return bytes(encoded) + b"\0"


def build_query(ident: int, name: str, rrtype: str) -> bytes:
    if rrtype not in RRTYPES:
        raise Failure("error", f"not a record type: {clean(rrtype)}")
    header = struct.pack("!6H", ident, 0x0100, 1, 0, 0, 0)  # recursion desired
    return header + encode_name(name) + struct.pack("!2H", RRTYPES[rrtype], 1)


def take(message: bytes, at: int, form: str) -> tuple[Any, ...]:
    if at + struct.calcsize(form) > len(message):
        raise Failure("protocol", "DNS message ends too early")
    return struct.unpack_from(form, message, at)


def decode_name(message: bytes, at: int) -> tuple[str, int]:
    """The name at an offset, in lower case and absolute, and where what follows it begins.

    A compression pointer must point to before the place where the name (or the last pointer's target) began, so the
    offsets only ever fall and no chain of pointers can be endless.
    """
    labels: list[str] = []
    after = -1  # set by the first pointer: what follows the name follows that pointer
    floor, total = at, 0
    while True:
        (length,) = take(message, at, "!B")
        if length >= 0xC0:
            (pointer,) = take(message, at, "!H")
            after = after if after >= 0 else at + 2
            at = pointer & 0x3FFF
            if at >= floor:
                raise Failure("protocol", "DNS name with a compression loop")
            floor = at
            continue
        if length >= 0x40:
            raise Failure("protocol", "DNS name with an unknown label type")
        at += 1
        if not length:
            return ".".join(labels) + ".", after if after >= 0 else at
        total += length + 1
        if total > 254:
            raise Failure("protocol", "DNS name longer than 255 bytes")
        (raw,) = take(message, at, f"!{length}s")
        labels.append("".join(escape(byte) for byte in raw).lower())
        at += length


def escape(byte: int) -> str:
    """One byte of a label as in a zone file."""
    if byte in b".\\":
        return "\\" + chr(byte)
    return chr(byte) if 0x21 <= byte <= 0x7E else f"\\{byte:03d}"


def parse_answer(message: bytes, ident: int, name: str, rrtype: str) -> dict[str, Any]:
    """The answer to our question. Unfit: a message for somebody else. Failure: nonsense."""
    if len(message) < 12:
        raise Unfit
    answer_id, flags, questions, count, _authority, _additional = struct.unpack_from("!6H", message)
    if answer_id != ident or not flags & 0x8000:
        raise Unfit
    rcode, at = flags & 15, 12
    if questions or not rcode:  # a server that did not understand the question need not repeat it
        if questions != 1:
            raise Unfit
        asked, at = decode_name(message, 12)
        if (asked, *take(message, at, "!2H")) != (decode_name(encode_name(name), 0)[0], RRTYPES[rrtype], 1):
            raise Unfit
        at += 4
    truncated = bool(flags & 0x0200)
    answers = parse_records(message, at, count, name, rrtype, truncated)
    return {
        "rcode": RCODES[rcode] if rcode < len(RCODES) else f"RCODE{rcode}",
        "answers": answers,
        "truncated": truncated,
        "authoritative": bool(flags & 0x0400),
    }


def parse_records(message: bytes, at: int, count: int, name: str, rrtype: str, truncated: bool) -> list[str]:
    """The data of the records of the asked type that belong to the name or to one that it is an alias of."""
    owners = {decode_name(encode_name(name), 0)[0]}
    answers: list[str] = []
    for _record in range(count):
        if truncated and at == len(message):
            break  # the count is that of the whole answer
        owner, at = decode_name(message, at)
        kind, klass, _ttl, length = take(message, at, "!HHIH")
        at += 10
        take(message, at, f"!{length}s")
        if klass == 1 and owner in owners:
            if kind == RRTYPES["CNAME"]:
                owners.add(decode_name(message, at)[0])
            if kind == RRTYPES[rrtype] and len(answers) < ANSWERS:
                answers.append(decode_data(message, at, length, rrtype))
        at += length
    return answers


def decode_data(message: bytes, at: int, length: int, rrtype: str) -> str:
    if rrtype in ("A", "AAAA"):
        family, size = (socket.AF_INET, 4) if rrtype == "A" else (socket.AF_INET6, 16)
        if length != size:
            raise Failure("protocol", f"{rrtype} record of {length} bytes")
        return socket.inet_ntop(family, message[at : at + size])
    if rrtype == "SRV":
        return "{} {} {} ".format(*take(message, at, "!3H")) + decode_name(message, at + 6)[0]
    return decode_name(message, at)[0]


def exchange_dns(attempt: Attempt) -> Steps[dict[str, Any]]:
    task, limits = attempt.task, attempt.limits
    name, rrtype, tcp = task["name"], task["rrtype"], task.get("transport") == "tcp"
    ident = new_ident()
    query = build_query(ident, name, rrtype)
    port = task.get("port") or 53
    place = "{} port {} over {}".format(task["server"], port, "TCP" if tcp else "UDP")
    sock, target = open_socket(task["server"], port, socket.SOCK_STREAM if tcp else socket.SOCK_DGRAM)
    with sock:
        attempt.doing = f"connecting to {place}"
        yield from connect(sock, target)  # a connected UDP socket takes datagrams of that one peer only
        attempt.doing = f"waiting for the answer of {place}"
        if not tcp:
            return (yield from ask_by_datagram(sock, name, rrtype, attempt))
        yield from send(sock, struct.pack("!H", len(query)) + query)
        reader = Reader(sock, limits["dns"] + 2)
        (length,) = struct.unpack("!H", (yield from reader.exactly(2, "the answer's length")))
        if length > limits["dns"]:
            raise Failure("limit", f"DNS answer of {length} bytes")
        message = yield from reader.exactly(length, "the answer")
        try:
            return {**parse_answer(message, ident, name, rrtype), "lost": 0}
        except Unfit:
            raise Failure("protocol", "the answer has another id or question") from None


def new_ident() -> int:
    return int.from_bytes(os.urandom(2), "big")


def ask_by_datagram(sock: socket.socket, name: str, rrtype: str, attempt: Attempt) -> Steps[dict[str, Any]]:
    """Ask, and once more where nothing came, as resolvers do: datagrams may be lost.

    Each query has an id of its own, so a server that is merely slow answers the first one: `lost` counts the queries
    before the one that was answered.
    """
    doing, stray = attempt.doing, 0
    idents: list[int] = []
    while stray < STRAY:
        if not idents or (attempt.again and time.monotonic() >= attempt.again):
            attempt.again = 0.0
            idents.append(new_ident())
            yield from send(sock, build_query(idents[-1], name, rrtype))
            if len(idents) < DATAGRAMS:
                attempt.again = time.monotonic() + RESEND * attempt.timeout
        yield sock.fileno(), READ
        try:
            message = sock.recv(65536)
        except BlockingIOError:
            continue  # it is time to ask again, or the kernel dropped what it had announced
        ident = int.from_bytes(message[:2], "big")
        try:
            found = parse_answer(message, ident, name, rrtype) if ident in idents else None
        except Unfit:
            found = None
        if found is not None:
            return {**found, "lost": idents.index(ident)}
        stray += 1
        attempt.doing = f"{doing} ({stray} with another id or question came)"
    raise Failure("protocol", f"{STRAY} answers, all with another id or question")


# --- the pod's own resolver -----------------------------------------------------------------------------------------


def look_up(name: str) -> dict[str, Any]:
    """What every program of this pod gets for a name: search list, ndots, hosts file and all."""
    try:
        found = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
    except socket.gaierror as problem:
        codes = {getattr(socket, key): key for key in dir(socket) if key.startswith("EAI_")}
        return {"error": f"{codes.get(problem.errno or 0, problem.errno)}: {problem.strerror}"}
    except (OSError, UnicodeError) as problem:
        return {"error": clean(problem)}
    return {"addresses": list(dict.fromkeys(str(entry[4][0]) for entry in found))[:ANSWERS]}


def exchange_lookup(name: str, attempt: Attempt) -> Steps[list[str]]:
    """getaddrinfo cannot be given a time limit and cannot be interrupted, so it runs in a child that can be killed."""
    attempt.doing = f"waiting for the resolver to look up {clean(name, 100)}"
    answer = bytearray()
    yield from run_child(lambda into: answer_and_exit(name, into), answer.extend)
    result = json.loads(answer or b"{}")
    if not result.get("addresses"):
        raise Failure("name", clean("{}: {}".format(name, result.get("error", "no address"))))
    return list(result["addresses"])


def run_child(live: Callable[[int], None], take: Callable[[bytes], None]) -> Steps[int]:
    """Let a child live, which writes to the descriptor that it is given and never returns; its exit code.

    `take` gets what it writes, at last nothing at all. A child that is not waited for to its end is killed.
    """
    out, into = os.pipe()
    child = os.fork()
    if not child:
        live(into)
    os.close(into)
    ended = False
    try:
        os.set_blocking(out, False)
        while not ended:
            yield out, READ
            piece = os.read(out, 65536)
            take(piece)
            ended = not piece
    finally:
        os.close(out)
        if not ended:
            os.kill(child, signal.SIGKILL)
        _pid, status = os.waitpid(child, 0)
    return os.WEXITSTATUS(status) if os.WIFEXITED(status) else -1


def answer_and_exit(name: str, into: int) -> None:
    """The child's whole life. It keeps no socket of its parent open."""
    try:
        os.closerange(3, into)
        os.closerange(into + 1, 65536)
        with open(into, "wb") as pipe:
            pipe.write(json.dumps(look_up(name)).encode("ascii"))
    finally:
        os._exit(0)


def exchange_resolve(attempt: Attempt) -> Steps[dict[str, Any]]:
    return {"addresses": (yield from exchange_lookup(attempt.task["name"], attempt))}


def parse_resolv_conf(text: str) -> dict[str, Any]:
    nameservers: list[str] = []
    search: list[str] = []
    options: list[str] = []
    for line in text.splitlines():
        words = [clean(word) for word in re.split("[#;]", line, maxsplit=1)[0].split()]
        if words[:1] == ["nameserver"]:
            nameservers += words[1:2]
        elif words[:1] in (["search"], ["domain"]):
            search = words[1:]  # the last of them wins
        elif words[:1] == ["options"]:
            options += words[1:]
    return {"nameservers": nameservers[:32], "search": search[:64], "options": options[:64]}


def exchange_resolv_conf(attempt: Attempt) -> Steps[dict[str, Any]]:
    attempt.doing = "reading /etc/resolv.conf"
    yield from ()
    with open("/etc/resolv.conf", encoding="utf-8", errors="replace") as file:
        return parse_resolv_conf(file.read(65536))


# --- control and connect --------------------------------------------------------------------------------------------


def exchange_tcp(attempt: Attempt) -> Steps[dict[str, Any]]:
    address, port = attempt.task["address"], attempt.task["port"]
    sock, target = open_socket(address, port, socket.SOCK_STREAM)
    with sock:
        attempt.doing = f"connecting to {address} port {port}"
        yield from connect(sock, target)
    return {}


def exchange_control(attempt: Attempt) -> Steps[dict[str, Any]]:
    """Bytes sent to ourselves. When they do not come back, nothing else that this probe says is worth anything."""
    attempt.doing = "sending bytes to ourselves over loopback"
    token = os.urandom(16)
    try:
        with socket.socket() as listener:
            listener.setblocking(False)
            listener.bind(("127.0.0.1", 0))
            listener.listen(1)
            sock, target = open_socket("127.0.0.1", listener.getsockname()[1], socket.SOCK_STREAM)
            with sock:
                yield from connect(sock, target)
                yield listener.fileno(), READ
                echo, _peer = listener.accept()
                with echo:
                    echo.setblocking(False)
                    yield from send(sock, token)
                    yield from send(echo, (yield from receive(echo)))
                    if (yield from receive(sock)) != token:
                        raise Failure("error", "other bytes came back from the loopback interface")
    except OSError as problem:
        raise Failure("error", f"{attempt.doing}: {problem.strerror}") from None
    return {}


# --- IPv6 of a new pod ----------------------------------------------------------------------------------------------


def router_of(routes: str) -> tuple[str, str] | None:
    """Address and device of the default route, out of IPV6_ROUTES; None where there is none by a router.

    The columns: destination, its prefix, source, its prefix, next hop, metric, references, uses, flags, device.
    """
    for line in routes.splitlines():
        columns = line.split()
        if len(columns) == 10 and not int(columns[0], 16) and columns[1] == "00" and int(columns[4], 16):
            return socket.inet_ntop(socket.AF_INET6, bytes.fromhex(columns[4])), columns[9]
    return None


def settle(router: tuple[str, str], end: float, port: int = DISCARD) -> bool:
    """Wait until a router answers us, and say whether it did: a port that nobody listens at is refused by ICMPv6.

    For a second or two the other end of a new pod's link is silent: its address is being checked for a duplicate, and
    a tentative address answers no neighbour (RFC 4862, 5.4). What is asked then would accuse the network.
    """
    address, device = router
    while time.monotonic() < end:
        try:
            with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sock:
                sock.settimeout(max(0.01, min(0.1, end - time.monotonic())))
                sock.connect((address, port, 0, socket.if_nametoindex(device)))
                sock.send(b"")
                sock.recv(1)
            return True
        except ConnectionRefusedError:
            return True
        except socket.timeout:  # noqa: UP041 - TimeoutError is another class before Python 3.10
            continue
        except OSError:
            time.sleep(0.1)
    return False


def await_ipv6(tasks: Iterable[dict[str, Any]], end: float) -> None:
    """Where something is to be asked by IPv6, wait until that can work at all."""
    if not any(":" in str(task.get("address") or "") for task in tasks):
        return
    try:
        with open(IPV6_ROUTES, encoding="ascii") as routes:
            router = router_of(routes.read())
    except OSError:
        return
    if router:
        settle(router, end)


def exchange_unknown(attempt: Attempt) -> Steps[dict[str, Any]]:
    yield from ()
    raise Failure("error", f"unknown type of task: {clean(attempt.task['type'])}")


EXCHANGES = {
    "tcp": exchange_tcp,
    "http": exchange_http,
    "dns": exchange_dns,
    "resolve": exchange_resolve,
    "resolv_conf": exchange_resolv_conf,
    "control": exchange_control,
}

# How the repeats of a task become one value; by default the value of the first.
MERGES = {"http": merge_http}


# --- the run --------------------------------------------------------------------------------------------------------


class Flow:
    """One exchange under way: its generator, its deadline, and how it ended."""

    def __init__(self, task: dict[str, Any], limits: dict[str, int]) -> None:
        self.attempt = Attempt(task, limits)
        self.timeout = self.attempt.timeout
        self.began = 0.0
        self.deadline = 0.0
        self.steps: Generator[tuple[int, int], None, dict[str, Any]] | None = None
        self.result: Result = ("deadline", "not started before the end of the budget", 0.0, {})

    def start(self) -> tuple[int, int] | None:
        self.began = time.monotonic()
        self.deadline = self.began + self.timeout
        self.steps = EXCHANGES.get(self.attempt.task["type"], exchange_unknown)(self.attempt)
        return self.step(None)

    def step(self, failure: Failure | None) -> tuple[int, int] | None:
        """Go on (or end with this failure) until the next wait; None when the exchange is over."""
        steps = self.steps
        if steps is None:
            raise AssertionError("an exchange is begun before it goes on")
        try:
            return steps.throw(failure) if failure else next(steps)
        except StopIteration as end:
            self.finish("ok", end.value.get("detail", ""), end.value)
        except Failure as problem:
            self.finish(problem.kind, str(problem), {})
        except OSError as problem:
            failed = of_os_error(problem)
            self.finish(failed.kind, f"{self.attempt.doing}: {failed}", {})
        except (AttributeError, IndexError, KeyError, TypeError, ValueError) as problem:
            self.finish("error", f"{self.attempt.doing}: {type(problem).__name__}: {problem}", {})
        return None

    @property
    def until(self) -> float:
        """When to look after it, whatever comes."""
        return min(self.deadline, self.attempt.again or self.deadline)

    def excuse(self, late: float) -> None:
        """Take back what only our own clock says: we were late ourselves."""
        kind, detail, ms, value = self.result
        if kind == "timeout" or (kind == "name" and ("EAI_AGAIN" in detail or "not done within" in detail)):
            self.result = ("deadline", clean(f"the probe itself was late by {late:.1f} s: {detail}"), ms, value)

    def stop(self, kind: str, limit: str) -> None:
        """Time is up: the exchange closes its socket or kills its child on the way out."""
        self.step(Failure(kind, f"{self.attempt.doing}: not done within {limit}"))

    def finish(self, kind: str, detail: str, value: dict[str, Any]) -> None:
        self.result = (kind, clean(detail), (time.monotonic() - self.began) * 1000, value)


def drive(flows: Iterable[Flow], concurrency: int, end: float, budget: float) -> float:
    """Run all flows, so many at a time, until the last one is over or the budget is.

    Returns by how many seconds we were late at most: woken later than asked for, or held up while at work.
    """
    waiting = collections.deque(flows)
    active: dict[int, Flow] = {}
    late, awake = 0.0, time.monotonic()
    with selectors.DefaultSelector() as selector:

        def hold(flow: Flow, wanted: tuple[int, int] | None) -> None:
            if wanted is not None:
                selector.register(wanted[0], wanted[1], flow)
                active[wanted[0]] = flow

        while (waiting or active) and time.monotonic() < end:
            while waiting and len(active) < concurrency and time.monotonic() < end:
                flow = waiting.popleft()
                hold(flow, flow.start())
            asleep = time.monotonic()
            first = min([flow.until for flow in active.values()] + [end, asleep + TICK])
            ready = selector.select(max(0.0, first - asleep)) if active else []
            woken = time.monotonic()
            late = max(late, asleep - awake, 0.0 if ready else woken - max(first, asleep))
            awake = woken
            for key, _events in ready:
                selector.unregister(key.fd)
                hold(active.pop(key.fd), key.data.step(None))
            for fd in [fd for fd, flow in active.items() if flow.until <= time.monotonic()]:
                selector.unregister(fd)
                flow = active.pop(fd)
                if flow.deadline <= time.monotonic():
                    flow.stop("timeout", f"{flow.timeout:g} s")
                else:
                    hold(flow, flow.step(None))
        for flow in active.values():
            flow.stop("deadline", f"the budget of {budget:g} s")
    return late


def observe(task: dict[str, Any], flows: Sequence[Flow]) -> dict[str, Any]:
    """One observation out of all repeats of a task."""
    results = [flow.result for flow in flows]
    worst = max((kind for kind, _detail, _ms, _value in results), key=CLASSES.index)
    alike = [detail for kind, detail, _ms, _value in results if kind == worst]
    many = f"{len(alike)} of {len(results)}: " if len(results) > 1 and worst != "ok" else ""
    times = sorted(ms for _kind, _detail, ms, _value in results)
    return {
        "id": task["id"],
        "type": task["type"],
        "class": worst,
        "detail": many + alike[0],
        "ms": round(times[len(times) // 2], 2),
        "value": MERGES[task["type"]](results, task) if task["type"] in MERGES else results[0][3],
    }


def run(plan: dict[str, Any]) -> dict[str, Any]:
    """Carry out a plan; the result document."""
    started, began = time.time(), time.monotonic()
    budget = float(plan.get("budget") or 10.0)
    limits = {**LIMITS, **plan.get("limits", {})}
    tasks = [{**plan.get("defaults", {}).get(task["type"], {}), **task} for task in plan["tasks"]]
    await_ipv6(tasks, began + min(SETTLE, budget / 3))
    repeats = [[Flow(task, limits) for _repeat in range(max(1, int(task.get("repeat") or 1)))] for task in tasks]
    late = drive(interleave(repeats), int(plan.get("concurrency") or 32), began + budget, budget)
    for flow in [flow for flows in repeats for flow in flows if late >= LATE]:
        flow.excuse(late)
    observations = [observe(task, flows) for task, flows in zip(tasks, repeats)]  # noqa: B905 - strict= came with Python 3.10
    for observation in observations:
        if observation["type"] == "control":
            observation["value"] = {"late_ms": round(late * 1000)}
    return {
        "version": VERSION,
        "started": round(started, 3),
        "elapsed": round(time.monotonic() - began, 3),
        "complete": all(observation["class"] != "deadline" for observation in observations),
        "observations": observations,
        "certificates": collect_certificates(observations),
    }


def collect_certificates(observations: Iterable[dict[str, Any]]) -> dict[str, str]:
    """Each certificate once, however often it was served: what served it keeps the digest."""
    found: dict[str, str] = {}
    for observation in observations:
        for served in observation["value"].get("served", ()):
            digests = [hashlib.sha256(certificate).hexdigest() for certificate in served["chain"]]
            found.update({d: base64.b64encode(c).decode("ascii") for d, c in zip(digests, served["chain"])})  # noqa: B905
            served["chain"] = digests
    return found


def interleave(repeats: list[list[Flow]]) -> Iterable[Flow]:
    """First repeats of all tasks, then second ones: one target that never answers must not hold up all the others."""
    for turn in range(max((len(flows) for flows in repeats), default=0)):
        for flows in repeats:
            if turn < len(flows):
                yield flows[turn]


def dump(document: dict[str, Any], cap: int) -> str:
    """The document as one line of at most cap bytes. Too large: details go first, then the largest observations."""
    text = json.dumps(document)
    if len(text) <= cap:
        return text
    document["complete"] = False
    for observation in document["observations"]:
        observation["detail"] = ""
    by_size = sorted(document["observations"], key=lambda observation: len(json.dumps(observation)))
    size = len(json.dumps(document))
    while size > cap and by_size:
        size -= len(json.dumps(by_size[-1])) + 2  # and the comma
        document["observations"].remove(by_size.pop())
    return json.dumps(document)


def decode(pieces: Iterable[str]) -> dict[str, Any]:
    """The plan out of the arguments, each of which the kernel lets be 128 KiB."""
    plan = json.loads(zlib.decompress(base64.b64decode("".join(pieces))))
    if plan.get("version") != VERSION:
        raise SystemExit("plan of version {}, this agent knows {}".format(plan.get("version"), VERSION))
    return dict(plan)


def main(arguments: Sequence[str]) -> None:
    plan = decode(arguments)
    os.environ.clear()  # LOCALDOMAIN, RES_OPTIONS and HOSTALIASES would bend the resolver
    # The loop ends by itself; this is for what is outside of it. The handler matters: as process 1 of a container we
    # would not die of a signal without one.
    signal.signal(signal.SIGALRM, lambda _number, _frame: os._exit(70))
    signal.alarm(int(plan.get("budget") or 10) + 5)
    document = run(plan)
    cap = int(plan.get("limits", {}).get("result") or LIMITS["result"])
    sys.stdout.write(f"{MARKER}\n{dump(document, cap)}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1:])
