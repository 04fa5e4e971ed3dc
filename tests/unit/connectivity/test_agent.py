# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The agent against real sockets on 127.0.0.1, most of them hostile."""

from __future__ import annotations

import base64
import contextlib
import gzip
import itertools
import json
import os
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
import zlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.plumbline.kubernetes.plugins.module_utils.connectivity import agent

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\nWelcome"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
RESET = object()
HANG = object()
Script = Iterable[Any]


@pytest.fixture(autouse=True)
def _hang_guard() -> Iterator[None]:
    """Not a measurement: a run that does not end by itself must not block all tests."""

    def give_up(_number: int, _frame: object) -> None:
        pytest.fail("the agent hangs")  # not an OSError: those are observations

    before = signal.signal(signal.SIGALRM, give_up)
    signal.alarm(60)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


class Server:
    """A TCP server that answers every connection by a script: bytes to send, seconds to wait, RESET or HANG."""

    def __init__(self, script: Callable[[], Script]) -> None:
        self.script = script
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port: int = self.listener.getsockname()[1]
        self.requests: list[bytes] = []
        self.peers: list[int] = []
        self.open = self.most_open = 0
        self.closed_by_peer = threading.Semaphore(0)
        self.stopped = threading.Event()
        self.lock = threading.Lock()

    def __enter__(self) -> Server:
        threading.Thread(target=self.accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stopped.set()
        self.listener.close()

    def accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, peer = self.listener.accept()
                with self.lock:
                    self.peers.append(peer[1])
                    self.open += 1
                    self.most_open = max(self.most_open, self.open)
                threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def serve(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            connection.settimeout(20)
            self.requests.append(connection.recv(65536))
            for item in self.script():
                if self.stopped.is_set():
                    return
                if item is RESET:
                    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                elif item is HANG:
                    while connection.recv(65536):
                        pass
                    self.closed_by_peer.release()
                elif isinstance(item, bytes):
                    connection.sendall(item)
                else:
                    self.stopped.wait(item)
        with self.lock:
            self.open -= 1


def forever(*items: Any) -> Iterator[Any]:
    return itertools.cycle(items)


def run(*tasks: dict[str, Any], **plan: Any) -> dict[str, Any]:
    numbered = [{"id": str(number), "timeout": 5.0, **task} for number, task in enumerate(tasks)]
    return agent.run({"version": 1, "budget": 20.0, "tasks": numbered, **plan})


def observe(task: dict[str, Any], **plan: Any) -> dict[str, Any]:
    (observation,) = run(task, **plan)["observations"]
    assert observation["class"] in agent.CLASSES
    assert len(observation["detail"]) <= agent.TEXT
    return dict(observation)


def http(server: Server, **task: Any) -> dict[str, Any]:
    return observe({"type": "http", "address": "127.0.0.1", "port": server.port, **task})


# --- HTTP: what is answered ----------------------------------------------------------------------------------------

ANSWERS: dict[str, tuple[list[Any], int, bool]] = {
    "with a length": ([OK], 200, True),
    "in pieces": ([bytes([byte]) for byte in OK], 200, True),
    "until the end of the connection": ([b"HTTP/1.0 200 OK\r\n\r\nWelcome"], 200, True),
    "in chunks": ([CHUNKED + b"3\r\nWel\r\n4;x=y\r\ncome\r\n0\r\n\r\n"], 200, True),
    "without a reason phrase": ([b"HTTP/1.1 200\r\nContent-Length: 7\r\n\r\nWelcome"], 200, True),
    "with bare line feeds": ([b"HTTP/1.1 200 OK\nContent-Length: 7\n\nWelcome"], 200, True),
    "after interim answers": (
        [b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + OK],
        200,
        True,
    ),
    "longer than the length it claims": ([OK + b"and more"], 200, True),
    "with a folded header": ([b"HTTP/1.1 200 OK\r\nX: a\r\n b\r\nContent-Length: 7\r\n\r\nWelcome"], 200, True),
    "no content": ([b"HTTP/1.1 204 No Content\r\n\r\n", HANG], 204, False),
    "not modified": ([b"HTTP/1.1 304 Not Modified\r\nContent-Length: 7\r\n\r\n", HANG], 304, False),
    "another protocol": ([b"HTTP/1.1 101 Switching Protocols\r\n\r\n", HANG], 101, False),
    "an error page": ([b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 4\r\n\r\nbusy"], 503, False),
    "compressed": (
        [b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n" + gzip.compress(b"Welcome" * 1000)],
        200,
        False,
    ),
}


@pytest.mark.parametrize("name", ANSWERS)
def test_http_answer(name: str) -> None:
    script, status, welcome = ANSWERS[name]
    with Server(lambda: script) as server:
        observation = http(server, contains=["Welcome"])
    assert (observation["class"], observation["detail"][:10]) == ("ok", f"status {status}"), observation
    assert observation["value"] == {
        "status": status,
        "count": 1,
        "statuses": {str(status): 1},
        "contains": {"Welcome": welcome},
        "identities": {},
        "classes": {"ok": 1},
    }


def test_http_head_has_no_body() -> None:
    with Server(lambda: [OK[:-7], HANG]) as server:
        assert http(server, method="HEAD")["class"] == "ok"
    assert server.requests[0].startswith(b"HEAD / HTTP/1.1\r\n")


def test_http_redirect_is_reported_and_not_followed() -> None:
    with Server(lambda: [OK]) as other:
        moved = f"HTTP/1.1 301 Moved\r\nLocation: http://127.0.0.1:{other.port}/\r\nContent-Length: 0\r\n\r\n"
        with Server(lambda: [moved.encode()]) as server:
            observation = http(server)
    assert observation["value"]["status"] == 301
    assert f":{other.port}/, not followed" in observation["detail"]
    assert other.requests == []


def test_http_request_is_as_asked() -> None:
    with Server(lambda: [OK]) as server:
        http(server, path="/healthz?a=b", host="my-nginx.demo", headers={"X-Trace": "1", "user-agent": "me"})
    lines = server.requests[0].decode().split("\r\n")
    assert lines[0] == "GET /healthz?a=b HTTP/1.1"
    assert set(lines[1:-2]) == {
        "Host: my-nginx.demo",
        "User-Agent: me",
        "Accept: */*",
        "Accept-Encoding: identity",
        "Connection: close",
        "X-Trace: 1",
    }
    assert lines[-2:] == ["", ""]


@pytest.mark.parametrize(
    "task",
    [
        {"path": "/ HTTP/1.1\r\nX: y\r\n\r\nGET /"},
        {"path": "no-slash"},
        {"path": "/\u00fc"},
        {"method": "GET /\r\n"},
        {"host": "a\r\nX-Evil: 1"},
        {"headers": {"X-A\r\nX-B": "1"}},
        {"headers": {"X-A": "1\r\nX-B: 2"}},
    ],
)
def test_http_request_that_would_smuggle_is_refused(task: dict[str, Any]) -> None:
    with Server(lambda: [OK]) as server:
        assert http(server, **task)["class"] == "error"
    assert server.peers == []


# --- HTTP: hostile and sick servers ---------------------------------------------------------------------------------

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
HOSTILE: dict[str, tuple[Callable[[], Script], str, str]] = {
    "closes at once": (list, "reset", "without an answer"),
    "closes in the status line": (lambda: [b"HTTP/1.1 2"], "reset", "in the header, after 10 bytes"),
    "closes in the header": (lambda: [b"HTTP/1.1 200 OK\r\nServer: x"], "reset", "in the header"),
    "closes in the body": (lambda: [OK[:-3]], "reset", "after 4 of 7 bytes of the body"),
    "closes in a chunk": (lambda: [CHUNKED + b"9\r\nWel"], "reset", "after 3 of 9 bytes of a chunk"),
    "closes between chunks": (lambda: [CHUNKED + b"3\r\nWel\r\n"], "reset", "in the chunk size"),
    "resets at once": (lambda: [RESET], "reset", "waiting for the header of the answer: Connection reset"),
    "resets in the body": (lambda: [OK[:-3], 0.2, RESET], "reset", "after status 200: Connection reset"),
    "never answers": (lambda: [HANG], "timeout", "waiting for the header of the answer: not done within 0.4 s"),
    "drips the header": (lambda: forever(b"H", b"T", b"T", b"P"), "protocol", "not HTTP/1"),
    "drips a header line": (lambda: [b"HTTP/1.1 200 OK\r\nX: ", *([b"a", 0.02] * 500)], "timeout", "the header"),
    "drips the body": (lambda: [OK[:-7].replace(b"7", b"900"), *([b"a", 0.02] * 500)], "timeout", "after status 200"),
    "drips chunks": (lambda: [CHUNKED, *([b"1\r\na\r\n", 0.02] * 500)], "timeout", "after status 200"),
    "drips 100 Continue": (lambda: [*([CONTINUE, 0.02] * 500)], "timeout", "the header"),
    "drips an endless body": (lambda: [b"HTTP/1.1 200 OK\r\n\r\n", *([b"a", 0.02] * 500)], "timeout", "status 200"),
    "floods 100 Continue": (lambda: forever(CONTINUE * 100), "limit", "header larger than"),
    "floods header lines": (
        lambda: itertools.chain([b"HTTP/1.1 200 OK\r\n"], forever(b"A: b\r\n" * 99)),
        "limit",
        "header",
    ),
    "floods one header line": (
        lambda: itertools.chain([b"HTTP/1.1 200 OK\r\nA: "], forever(b"b" * 999)),
        "limit",
        "header",
    ),
    "floods the status line": (lambda: itertools.chain([b"HTTP/1.1 200 "], forever(b"b" * 999)), "limit", "header"),
    "floods a chunk extension": (lambda: itertools.chain([CHUNKED, b"1;"], forever(b"b" * 999)), "limit", "chunk size"),
    "floods with chunk extensions": (
        lambda: itertools.chain([CHUNKED], forever(b"1;" + b"x" * 4000 + b"\r\na\r\n")),
        "limit",
        "more than 622592 bytes",
    ),
    "floods zeros": (lambda: forever(b"\0" * 999), "protocol", "not HTTP/1"),
    "speaks something else": (lambda: [b"SSH-2.0-OpenSSH_9.2\r\n", HANG], "protocol", "not HTTP/1: 'SSH-2.0"),
    "speaks TLS": (lambda: [b"\x15\x03\x01\x00\x02\x02\x46", HANG], "scheme", "it speaks TLS"),
    "wants TLS (nginx)": (
        lambda: [b"HTTP/1.1 400 Bad Request\r\n\r\n<p>The plain HTTP request was sent to HTTPS port"],
        "scheme",
        "it wants TLS on this port",
    ),
    "wants TLS (Go)": (
        lambda: [b"HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n"],
        "scheme",
        "it wants TLS on this port",
    ),
    "speaks HTTP/2": (lambda: [b"\0\0\x12\x04\0\0\0\0\0", HANG], "protocol", "not HTTP/1"),
    "has no status": (lambda: [b"HTTP/1.1 OK\r\n\r\n"], "protocol", "not a status line"),
    "has a status of four digits": (lambda: [b"HTTP/1.1 2000 OK\r\n\r\n"], "protocol", "not a status line"),
    "has a line without a colon": (lambda: [b"HTTP/1.1 200 OK\r\nhello\r\n\r\n"], "protocol", "not a header line"),
    "has two lengths": (
        lambda: [b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\nContent-Length: 8\r\n\r\nWelcome"],
        "protocol",
        "two values",
    ),
    "has a negative length": (lambda: [b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n"], "protocol", "-1"),
    "has a length of many digits": (lambda: [OK.replace(b"7", b"9" * 5000)], "protocol", "Content-Length"),
    "has a strange coding": (lambda: [CHUNKED.replace(b"chunked", b"rot13")], "protocol", "rot13"),
    "has a strange chunk size": (lambda: [CHUNKED + b"zz\r\n"], "protocol", "not a chunk size"),
    "has a chunk size of many digits": (lambda: [CHUNKED + b"f" * 400 + b"\r\n"], "protocol", "not a chunk size"),
    "has a chunk longer than its size": (
        lambda: [CHUNKED + b"1\r\nabc\r\n0\r\n\r\n"],
        "protocol",
        "longer than its size",
    ),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_http_hostile(name: str) -> None:
    script, kind, detail = HOSTILE[name]
    with Server(script) as server:
        # Only those that are judged by their slowness are given little time.
        observation = http(server, timeout=0.4 if kind == "timeout" else 10.0)
    assert observation["class"] == kind, observation
    assert detail in observation["detail"]
    assert observation["value"]["classes"] == {kind: 1}


ENDLESS: dict[str, Callable[[], Script]] = {
    "without a length": lambda: itertools.chain([b"HTTP/1.1 200 OK\r\n\r\nWelcome"], forever(b"a" * 9999)),
    "with a huge length": lambda: itertools.chain([OK.replace(b"7", b"9" * 18)], forever(b"a" * 9999)),
    "in chunks": lambda: itertools.chain([CHUNKED + b"7\r\nWelcome\r\n"], forever(b"270f\r\n" + b"a" * 9999 + b"\r\n")),
    "in one huge chunk": lambda: itertools.chain([CHUNKED + b"fffffffffffffff\r\nWelcome"], forever(b"a" * 9999)),
    "in tiny chunks": lambda: itertools.chain([CHUNKED + b"7\r\nWelcome\r\n"], forever(b"1\r\na\r\n" * 999)),
}


@pytest.mark.parametrize("name", ENDLESS)
def test_http_takes_no_more_than_the_cap_of_an_endless_body(name: str) -> None:
    with Server(ENDLESS[name]) as server:
        found = http(server, contains=["Welcome"], timeout=10)
        missing = http(server, contains=["Welcome", "Goodbye"], timeout=10)
    assert (found["class"], found["detail"]) == ("ok", "status 200, first 65536 bytes of the body")
    assert (missing["class"], missing["detail"]) == ("limit", "no 'Goodbye' in the first 65536 bytes of the body")


def test_http_repeats_use_a_new_connection_each_and_count_who_answered() -> None:
    names = itertools.count()

    def script() -> Script:
        number = next(names) % 3
        yield f"HTTP/1.1 {500 if number == 2 else 200} x\r\nServed-By: pod-{number}\r\n\r\nWelcome".encode()

    with Server(script) as server:
        observation = http(server, repeat=9, identity_header="served-by", contains=["Welcome", "x"])
    assert observation["class"] == "ok"
    assert observation["value"] == {
        "status": 500,
        "count": 9,
        "statuses": {"200": 6, "500": 3},
        "contains": {"Welcome": True, "x": False},
        "identities": {"pod-0": 3, "pod-1": 3, "pod-2": 3},
        "classes": {"ok": 9},
    }
    assert len(set(server.peers)) == 9


def test_http_repeats_are_as_good_as_the_worst() -> None:
    scripts = iter([[OK], [], [OK], [RESET]])
    with Server(lambda: next(scripts)) as server:
        observation = http(server, repeat=4)
    assert observation["class"] == "reset"
    assert observation["detail"].startswith("2 of 4: ")
    assert observation["value"]["classes"] == {"ok": 2, "reset": 2}


def test_http_a_flood_of_identities_is_counted_together() -> None:
    numbers = itertools.count()
    with Server(lambda: [f"HTTP/1.1 204 x\r\nS: {next(numbers)}\x1b\u202e{'x' * 500}\r\n\r\n".encode()]) as server:
        value = http(server, repeat=300, identity_header="S")["value"]
    identities = value["identities"]
    assert len(identities) == agent.IDENTITIES + 1
    assert identities["(others)"] == 300 - agent.IDENTITIES
    assert all(name.isprintable() and len(name) <= 128 for name in identities)


# --- TCP -----------------------------------------------------------------------------------------------------------


def unused_port(kind: socket.SocketKind) -> int:
    with socket.socket(socket.AF_INET, kind) as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def test_tcp() -> None:
    with Server(lambda: [HANG]) as server:
        assert observe({"type": "tcp", "address": "127.0.0.1", "port": server.port})["class"] == "ok"


def test_tcp_refused() -> None:
    observation = observe({"type": "tcp", "address": "127.0.0.1", "port": unused_port(socket.SOCK_STREAM)})
    assert observation["class"] == "refused"
    assert "Connection refused" in observation["detail"]


def test_tcp_timeout() -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener, contextlib.ExitStack() as stack:
        # A full backlog: the kernel drops what comes, as a firewall does.
        for _number in range(8):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
        port = listener.getsockname()[1]
        observation = observe({"type": "tcp", "address": "127.0.0.1", "port": port, "timeout": 0.3})
    assert observation["class"] == "timeout"
    assert observation["detail"] == f"connecting to 127.0.0.1 port {port}: not done within 0.3 s"


@pytest.mark.parametrize("address", ["255.255.255.255", "127.0.0.1.nip.example", "", "my-nginx", "127.0.0.1\n"])
def test_tcp_never_takes_a_name(address: str) -> None:
    assert observe({"type": "tcp", "address": address, "port": 80})["class"] in ("error", "unreachable")


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("ECONNREFUSED", "refused"),
        ("ETIMEDOUT", "timeout"),
        ("ECONNRESET", "reset"),
        ("EPIPE", "reset"),
        ("EHOSTUNREACH", "unreachable"),
        ("ENETUNREACH", "unreachable"),
        ("EPERM", "unreachable"),
        ("EMFILE", "error"),
    ],
)
def test_class_of_an_operating_system_error(code: str, kind: str) -> None:
    assert agent.of_os_error(OSError(getattr(agent.errno, code), "x")).kind == kind


# --- DNS -----------------------------------------------------------------------------------------------------------

NAME = "my-nginx.demo.svc.cluster.local."
OWNER = b"\xc0\x0c"  # a pointer to the question's name


def encode(name: str) -> bytes:
    return b"".join(bytes([len(label)]) + label.encode() for label in name.rstrip(".").split(".")) + b"\0"


def record(rrtype: int, data: bytes, owner: bytes = OWNER) -> bytes:
    return owner + struct.pack("!HHIH", rrtype, 1, 5, len(data)) + data


def reply(query: bytes, *records: bytes, flags: int = 0x8580, count: int | None = None) -> bytes:
    counts = struct.pack("!4H", 1, len(records) if count is None else count, 0, 0)
    return query[:2] + struct.pack("!H", flags) + counts + query[12:] + b"".join(records)


A = record(1, bytes([10, 96, 1, 2]))
Answer = Callable[[bytes], list[bytes]]


@contextlib.contextmanager
def dns_server(answer: Answer, transport: str) -> Iterator[int]:
    """A server of one answer: over UDP each item is a datagram, over TCP the items are sent as they are."""
    tcp = transport == "tcp"
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM if tcp else socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        if tcp:
            sock.listen(8)

        def serve() -> None:
            with contextlib.suppress(OSError):
                if not tcp:
                    query, peer = sock.recvfrom(4096)
                    for item in answer(query):
                        sock.sendto(item, peer)
                    return
                connection, _peer = sock.accept()
                with connection:
                    connection.settimeout(20)
                    for item in answer(connection.recv(4096)[2:]):
                        connection.sendall(item)
                    while connection.recv(4096):
                        pass

        threading.Thread(target=serve, daemon=True).start()
        yield sock.getsockname()[1]


def dns(answer: Answer, transport: str = "udp", rrtype: str = "A", name: str = NAME, timeout: float = 5.0) -> Any:
    with dns_server(answer, transport) as port:
        task = {"type": "dns", "server": "127.0.0.1", "port": port, "transport": transport}
        return observe({**task, "name": name, "rrtype": rrtype, "timeout": timeout})


DNS_ANSWERS: dict[str, tuple[str, Answer, str, list[str]]] = {
    "A": (
        "A",
        lambda query: [reply(query, A, record(1, bytes([10, 96, 1, 3])))],
        "NOERROR",
        ["10.96.1.2", "10.96.1.3"],
    ),
    "AAAA": ("AAAA", lambda query: [reply(query, record(28, b"\xfd" + bytes(14) + b"\1"))], "NOERROR", ["fd00::1"]),
    "SRV": (
        "SRV",
        lambda query: [reply(query, record(33, struct.pack("!3H", 0, 100, 80) + OWNER))],
        "NOERROR",
        ["0 100 80 my-nginx.demo.svc.cluster.local."],
    ),
    "PTR": ("PTR", lambda query: [reply(query, record(12, encode("My-Nginx.demo")))], "NOERROR", ["my-nginx.demo."]),
    "odd bytes": ("PTR", lambda query: [reply(query, record(12, b"\3a.\x07\0"))], "NOERROR", ["a\\.\\007."]),
    "no data": ("A", lambda query: [reply(query)], "NOERROR", []),
    "NXDOMAIN": ("A", lambda query: [reply(query, flags=0x8583)], "NXDOMAIN", []),
    "SERVFAIL": ("A", lambda query: [reply(query, flags=0x8182)], "SERVFAIL", []),
    "REFUSED": ("A", lambda query: [reply(query, flags=0x8185)], "REFUSED", []),
    "BADVERS and the like": ("A", lambda query: [reply(query, flags=0x818B)], "RCODE11", []),
    "FORMERR without the question": ("A", lambda query: [query[:2] + b"\x81\x81" + bytes(8)], "FORMERR", []),
    "of an alias": (
        "A",
        lambda query: [
            reply(query, record(5, encode("real.example")), record(1, b"\1\2\3\4", owner=encode("REAL.example")))
        ],
        "NOERROR",
        ["1.2.3.4"],
    ),
    "of other names and types too": (
        "A",
        lambda query: [reply(query, record(1, b"\6\6\6\6", owner=encode("evil")), record(16, b"\1x"), A)],
        "NOERROR",
        ["10.96.1.2"],
    ),
    "after wrong ones": (
        "A",
        lambda query: [
            b"",
            b"x",
            bytes([query[0] ^ 1]) + reply(query, A)[1:],  # another id
            query,  # a question
            reply(query, A).replace(b"demo", b"evil"),  # another question
            query[:2] + b"\x85\x80" + bytes(8),  # no question
            reply(query, A),
        ],
        "NOERROR",
        ["10.96.1.2"],
    ),
}


@pytest.mark.parametrize("name", DNS_ANSWERS)
def test_dns_answer(name: str) -> None:
    rrtype, answer, rcode, answers = DNS_ANSWERS[name]
    observation = dns(answer, rrtype=rrtype)
    assert observation["class"] == "ok", observation
    assert (observation["value"]["rcode"], observation["value"]["answers"]) == (rcode, answers)


def framed(message: bytes) -> bytes:
    return struct.pack("!H", len(message)) + message


def test_dns_over_tcp_in_pieces() -> None:
    records = [record(1, struct.pack("!I", number)) for number in range(1000)]
    observation = dns(lambda query: [bytes([b]) for b in framed(reply(query, *records))], "tcp")
    assert observation["class"] == "ok"
    assert len(observation["value"]["answers"]) == 1000


def test_dns_truncation_is_reported_and_not_followed() -> None:
    observation = dns(lambda query: [reply(query, A, flags=0x8780, count=50)])
    assert observation["class"] == "ok"
    assert observation["value"] == {
        "rcode": "NOERROR",
        "answers": ["10.96.1.2"],
        "truncated": True,
        "authoritative": True,
        "lost": 0,
    }


@pytest.mark.parametrize(("answers", "lost"), [((1,), 1), ((0, 1), 0), ((0,), 0)], ids=["lost", "slow", "prompt"])
def test_a_query_without_an_answer_is_sent_once_more(answers: tuple[int, ...], lost: int) -> None:
    """Each query has an id of its own, so an answer that is merely late is known as that of the first one."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))

        def serve() -> None:
            queries = [sock.recvfrom(4096) for _query in range(max(answers) + 1)]
            for number in answers:
                sock.sendto(reply(queries[number][0], A), queries[number][1])

        server = threading.Thread(target=serve, daemon=True)
        server.start()
        task = {"type": "dns", "server": "127.0.0.1", "port": sock.getsockname()[1], "name": NAME, "rrtype": "A"}
        observation = observe({**task, "timeout": 2.0})
        server.join(5)  # it may still have an answer to send, and the socket is its own
    assert (observation["class"], observation["value"]["lost"]) == ("ok", lost)


# Offset of the first record's owner, for pointers: behind the header and the question.
FIRST = 12 + len(encode(NAME)) + 4
POINTER_TO_ITSELF = struct.pack("!H", 0xC000 | FIRST)

DNS_HOSTILE: dict[str, tuple[str, Answer, str, str]] = {
    "silent": ("udp", lambda _query: [], "timeout", "waiting for the answer of 127.0.0.1 port"),
    "only wrong ids": (
        "udp",
        lambda query: [bytes([query[0] ^ 1]) + reply(query, A)[1:]] * 3,
        "timeout",
        "(3 with another id or question came)",
    ),
    "a flood of wrong ids": (
        "udp",
        lambda query: itertools.repeat(bytes([query[0] ^ 1]) + reply(query, A)[1:], 5000),  # type: ignore[return-value]
        "protocol",
        "100 answers, all with another id or question",
    ),
    "a name that points to itself": (
        "udp",
        lambda query: [reply(query, record(1, b"\1\2\3\4", owner=POINTER_TO_ITSELF))],
        "protocol",
        "compression loop",
    ),
    "two names that point to each other": (
        "udp",
        lambda query: [
            reply(
                query,
                record(12, struct.pack("!HH", 0xC000 | FIRST + 14, 0xC000 | FIRST + 12)),
                record(1, b"", owner=b""),
            )
        ],
        "protocol",
        "",
    ),
    "a pointer forward": (
        "udp",
        lambda query: [reply(query, record(1, b"\1\2\3\4", owner=b"\xff\xff"))],
        "protocol",
        "compression loop",
    ),
    "a label that runs over the end": (
        "udp",
        lambda query: [reply(query, count=1) + b"\x3fabc"],
        "protocol",
        "ends too early",
    ),
    "a label of an unknown type": ("udp", lambda query: [reply(query, count=1) + b"\x41abc"], "protocol", "label type"),
    "a name without an end": (
        "udp",
        lambda query: [reply(query, count=1) + (b"\x3f" + b"a" * 63) * 8],
        "protocol",
        "longer than 255",
    ),
    "fewer records than it says": ("udp", lambda query: [reply(query, A, count=2)], "protocol", "ends too early"),
    "data that runs over the end": ("udp", lambda query: [reply(query, A)[:-2]], "protocol", "ends too early"),
    "an address of three bytes": ("udp", lambda query: [reply(query, record(1, b"abc"))], "protocol", "3 bytes"),
    "an SRV record of two bytes": (
        "udp",
        lambda query: [reply(query, record(33, b"ab"))],
        "protocol",
        "ends too early",
    ),
    "closes": ("tcp", lambda _query: _raise(), "reset", "closed the connection after 0 of 2"),
    "announces more than it sends": ("tcp", lambda query: [framed(reply(query, A))[:-2]], "timeout", "waiting for"),
    "another id over TCP": (
        "tcp",
        lambda query: [framed(bytes([query[0] ^ 1]) + reply(query, A)[1:])],
        "protocol",
        "another id or question",
    ),
    "nothing over TCP": ("tcp", lambda _query: [b"\0\0"], "protocol", "another id"),
}


def _raise() -> list[bytes]:
    raise OSError


@pytest.mark.parametrize("name", DNS_HOSTILE)
def test_dns_hostile(name: str) -> None:
    transport, answer, kind, detail = DNS_HOSTILE[name]
    rrtype = {"an SRV record of two bytes": "SRV", "two names that point to each other": "PTR"}.get(name, "A")
    observation = dns(answer, transport, rrtype, timeout=0.4 if kind == "timeout" else 10.0)
    assert observation["class"] == kind, observation
    assert detail in observation["detail"]
    assert observation["value"] == {}


def test_dns_refused() -> None:
    port = unused_port(socket.SOCK_DGRAM)
    observation = observe({"type": "dns", "server": "127.0.0.1", "port": port, "name": NAME, "rrtype": "A"})
    assert observation["class"] == "refused"


def test_dns_answer_of_somebody_else_is_not_taken() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind(("127.0.0.1", 0))
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.bind(("127.0.0.1", 0))

            def serve() -> None:
                query, peer = sock.recvfrom(4096)
                other.sendto(reply(query, A), peer)

            threading.Thread(target=serve, daemon=True).start()
            task = {"type": "dns", "server": "127.0.0.1", "port": sock.getsockname()[1], "name": NAME, "rrtype": "A"}
            assert observe({**task, "timeout": 0.4})["class"] == "timeout"


def test_dns_ids_and_ports_differ() -> None:
    seen: set[tuple[bytes, int]] = set()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))

        def serve() -> None:
            for _number in range(20):
                query, peer = sock.recvfrom(4096)
                seen.add((query[:2], peer[1]))
                sock.sendto(reply(query, A), peer)

        threading.Thread(target=serve, daemon=True).start()
        task = {"type": "dns", "server": "127.0.0.1", "port": sock.getsockname()[1], "name": NAME, "rrtype": "A"}
        document = run(*[task] * 20)
    assert {observation["class"] for observation in document["observations"]} == {"ok"}
    assert len({ident for ident, _port in seen}) > 15
    assert len({port for _ident, port in seen}) > 5


@pytest.mark.parametrize("name", ["a..b.", "x" * 64 + ".", ".".join(["x" * 60] * 5), "\u00fc.", ".."])
def test_dns_bad_name(name: str) -> None:
    task = {"type": "dns", "server": "127.0.0.1", "port": 9, "name": name, "rrtype": "A"}
    assert observe(task)["class"] == "error"


def test_dns_no_message_breaks_the_parser() -> None:
    """Every answer with one byte changed, and every beginning of it, is either understood or refused."""
    query = agent.build_query(0x1234, NAME, "SRV")
    whole = reply(query, record(33, struct.pack("!3H", 0, 100, 80) + OWNER), record(5, OWNER), A)
    messages = [whole[:end] for end in range(len(whole))]
    messages += [
        whole[:at] + bytes([value]) + whole[at + 1 :] for at in range(len(whole)) for value in (0, 1, 63, 64, 192, 255)
    ]
    for message in messages:
        with contextlib.suppress(agent.Failure, agent.Unfit):
            agent.parse_answer(message, 0x1234, NAME, "SRV")


# --- the pod's own resolver ------------------------------------------------------------------------------------------


def test_resolve() -> None:
    assert observe({"type": "resolve", "name": "localhost"})["value"]["addresses"]


def test_resolve_unknown_name(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_args: object, **_more: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(agent.socket, "getaddrinfo", unknown)
    observation = observe({"type": "resolve", "name": "nope"})
    assert (observation["class"], observation["detail"]) == ("name", "nope: EAI_NONAME: Name or service not known")


def test_resolver_that_hangs_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agent, "look_up", lambda _name: time.sleep(40))
    document = run(
        {"type": "resolve", "name": "a", "timeout": 0.3},
        {"type": "http", "name": "b", "port": 80, "timeout": 0.3},
        {"type": "http", "name": "c", "port": 80},
        budget=0.6,
    )
    assert [observation["class"] for observation in document["observations"]] == ["timeout", "name", "deadline"]
    assert "to look up a: not done within 0.3 s" in document["observations"][0]["detail"]
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)


def test_resolver_that_dies_is_a_name_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agent, "look_up", lambda _name: os._exit(1))
    assert observe({"type": "resolve", "name": "a"})["class"] == "name"


def test_http_by_name_tries_each_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agent, "look_up", lambda _name: {"addresses": ["127.0.0.2", "127.0.0.1"]})
    with Server(lambda: [OK]) as server:
        observation = observe({"type": "http", "name": "my-nginx", "port": server.port})
    assert observation["class"] == "ok"
    assert f"\r\nHost: my-nginx:{server.port}\r\n".encode() in server.requests[0]


@pytest.mark.parametrize(
    ("text", "nameservers", "search", "options"),
    [
        ("", [], [], []),
        (
            "nameserver 10.96.0.10\nsearch demo.svc.cluster.local svc.cluster.local cluster.local\noptions ndots:5\n",
            ["10.96.0.10"],
            ["demo.svc.cluster.local", "svc.cluster.local", "cluster.local"],
            ["ndots:5"],
        ),
        ("# c\n; c\ndomain a\nsearch b c # d\nnameserver fd00::1 x\nnameserver\n", ["fd00::1"], ["b", "c"], []),
        ("options a\noptions b\nsearch\x00 x\n\tnameserver 1.1.1.1\n", ["1.1.1.1"], [], ["a", "b"]),
    ],
)
def test_resolv_conf(text: str, nameservers: list[str], search: list[str], options: list[str]) -> None:
    expected = {"nameservers": nameservers, "search": search, "options": options}
    assert agent.parse_resolv_conf(text) == expected


# --- the run ---------------------------------------------------------------------------------------------------------


def test_control() -> None:
    assert observe({"type": "control"})["class"] == "ok"


def test_control_fails_as_the_probes_own_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_args: object) -> None:
        raise OSError(agent.errno.EMFILE, "Too many open files")

    monkeypatch.setattr(agent.socket, "socket", broken)
    assert observe({"type": "control"})["class"] == "error"


@pytest.mark.parametrize(("late", "kinds"), [(0.0, ["timeout", "name", "ok"]), (1.5, ["deadline", "name", "ok"])])
def test_a_probe_that_was_late_itself_accuses_nobody_of_being_late(
    monkeypatch: pytest.MonkeyPatch, late: float, kinds: list[str]
) -> None:
    """Its own time limits say nothing then; what somebody told it still does."""
    drive = agent.drive
    monkeypatch.setattr(agent, "drive", lambda *given: drive(*given) + late)
    monkeypatch.setattr(agent, "look_up", lambda name: {"error": f"{name}: EAI_NONAME: not known"})
    with Server(lambda: [HANG]) as server:
        web = {"type": "http", "address": "127.0.0.1", "port": server.port, "timeout": 0.2, "repeat": 3}
        document = run(web, {"type": "resolve", "name": "absent"}, {"type": "control"})
    found = document["observations"]
    assert [observation["class"] for observation in found] == kinds
    assert found[0]["value"]["classes"] == {kinds[0]: 3}
    assert (found[2]["value"]["late_ms"] >= 1500) == bool(late)


def test_that_the_system_resolver_gave_up_says_nothing_where_the_probe_was_late(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(agent, "look_up", lambda _name: {"error": "EAI_AGAIN: Temporary failure in name resolution"})
    task = {"type": "resolve", "name": "web"}
    assert observe(task)["class"] == "name"
    monkeypatch.setattr(agent, "LATE", 0.0)
    assert observe(task)["class"] == "deadline"


def test_a_loop_that_is_held_up_knows_how_late_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = itertools.count()
    # The clock jumps by a second whenever it is looked at: no work and no sleep is ever done in time.
    monkeypatch.setattr(agent.time, "monotonic", lambda: float(next(clock)))
    assert agent.drive([agent.Flow({"type": "control", "timeout": 1000}, dict(agent.LIMITS))], 1, 1000.0, 1000.0) >= 1.0


@pytest.mark.parametrize("task", [{"type": "gopher"}, {"type": "tcp"}, {"type": "dns", "server": 5, "name": None}])
def test_a_task_that_makes_no_sense_is_an_error_of_its_own(task: dict[str, Any]) -> None:
    document = run(task, {"type": "control"})
    assert [observation["class"] for observation in document["observations"]] == ["error", "ok"]


def test_the_end_of_the_budget_closes_all_connections() -> None:
    with Server(lambda: [HANG]) as server:
        task = {"type": "http", "address": "127.0.0.1", "port": server.port, "timeout": 60}
        document = run(*[task] * 6, budget=0.5, concurrency=4)
        for _connection in range(4):
            assert server.closed_by_peer.acquire(timeout=20)
    assert document["complete"] is False
    details = [observation["detail"] for observation in document["observations"]]
    assert {observation["class"] for observation in document["observations"]} == {"deadline"}
    assert ["not started" in detail for detail in details] == [False] * 4 + [True] * 2
    assert "not done within the budget of 0.5 s" in details[0]


def test_no_more_exchanges_at_a_time_than_allowed() -> None:
    with Server(lambda: [0.02, OK, HANG]) as server:
        document = run(*[{"type": "http", "address": "127.0.0.1", "port": server.port}] * 20, concurrency=3)
    assert {observation["class"] for observation in document["observations"]} == {"ok"}
    # The server notices the end of a connection a little later than the agent.
    assert server.most_open <= 6


def test_a_flood_does_not_starve_the_others() -> None:
    with Server(lambda: forever(CONTINUE * 1000)) as flood, Server(lambda: [OK]) as server:
        limits = {"headers": 1 << 40, "body": 1 << 40}
        flooded = {"type": "http", "address": "127.0.0.1", "port": flood.port, "timeout": 1.0}
        healthy = {"type": "http", "address": "127.0.0.1", "port": server.port, "timeout": 10.0}
        document = run(*[flooded] * 4, *[healthy] * 4, limits=limits)
    assert [observation["class"] for observation in document["observations"]] == ["timeout"] * 4 + ["ok"] * 4


def test_first_turns_come_before_second_ones() -> None:
    a, b = [object(), object(), object()], [object()]
    assert list(agent.interleave([a, b])) == [a[0], b[0], a[1], a[2]]  # type: ignore[arg-type, list-item]


@pytest.mark.parametrize(
    ("text", "shown"), [("a\nb\x1b[31m\u202e", "a\ufffdb\ufffd[31m\ufffd"), ("x" * 300, "x" * 197 + "...")]
)
def test_clean(text: str, shown: str) -> None:
    assert agent.clean(text) == shown


def document(size: int) -> dict[str, Any]:
    small = [{"id": str(number), "class": "ok", "detail": "d" * 100, "value": {"x": 1}} for number in range(9)]
    large = {"id": "large", "class": "ok", "detail": "", "value": {"answers": ["y" * size]}}
    return {"version": 1, "complete": True, "observations": [*small, large]}


@pytest.mark.parametrize(
    ("size", "cap", "complete", "ids", "details"),
    [
        (10, 9000, True, 10, True),
        (10, 1200, False, 10, False),
        (5000, 1200, False, 9, False),
        (5000, 100, False, 0, False),
    ],
)
def test_dump_stays_below_its_cap(size: int, cap: int, complete: bool, ids: int, details: bool) -> None:
    text = agent.dump(document(size), cap)
    assert len(text) <= cap
    result = json.loads(text)
    assert result["complete"] is complete
    assert len(result["observations"]) == ids
    assert any(observation["detail"] for observation in result["observations"]) is details


def test_as_a_program_with_a_large_plan_and_a_hostile_environment() -> None:
    with Server(lambda: [OK]) as server, Server(lambda: [OK]) as proxy:
        tasks = [{"id": f"{n}-" + os.urandom(20).hex(), "type": "gopher"} for n in range(9000)]
        tasks.append({"id": "http", "type": "http", "address": "127.0.0.1", "port": server.port})
        plan = json.dumps({"version": 1, "budget": 30.0, "tasks": tasks, "limits": {"result": 5000}})
        packed = base64.b64encode(zlib.compress(plan.encode())).decode()
        pieces = [packed[at : at + 100000] for at in range(0, len(packed), 100000)]
        assert len(pieces) > 1
        done = subprocess.run(
            [sys.executable, "-I", "-S", str(agent.__file__), *pieces],
            env={"http_proxy": f"http://127.0.0.1:{proxy.port}"},
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        )
    marker, text, rest = done.stdout.split("\n")
    assert (marker, rest, done.stderr) == (agent.MARKER, "", "")
    assert len(text) <= 5000
    assert json.loads(text)["complete"] is False
    assert (len(server.peers), len(proxy.peers)) == (1, 0)


def test_the_resolver_sees_no_environment() -> None:
    """LOCALDOMAIN and the like of an image would give other answers than the pod's own programs get."""
    plan = {"version": 1, "tasks": [{"id": "r", "type": "resolve", "name": "x"}]}
    packed = base64.b64encode(zlib.compress(json.dumps(plan).encode())).decode()
    spy = 'namespace["look_up"] = lambda name: {"addresses": sorted(os.environ) or ["empty"]}'
    code = f'import os, runpy, sys\nnamespace = runpy.run_path(sys.argv.pop(1))["main"].__globals__\n{spy}\n'
    done = subprocess.run(
        [sys.executable, "-c", code + 'namespace["main"](sys.argv[1:])', str(agent.__file__), packed],
        env={"LOCALDOMAIN": "evil.example"},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    (observation,) = json.loads(done.stdout.split("\n")[1])["observations"]
    assert observation["value"] == {"addresses": ["empty"]}


def test_the_source_is_self_contained_and_small() -> None:
    source = Path(str(agent.__file__)).read_text(encoding="utf-8")
    assert "ansible" not in source
    assert len(source) < 60_000


# --- IPv6 of a new pod

ROUTES = """\
fd00001002440000000000000000000a 80 00000000000000000000000000000000 00 00000000000000000000000000000000 00000100 00000001 00000000 00000001     eth0
00000000000000000000000000000000 00 00000000000000000000000000000000 00 00000000000000000000000000000000 ffffffff 00000001 00000000 00200200       lo
00000000000000000000000000000000 00 00000000000000000000000000000000 00 fd000010024400000000000000000001 00000400 00000005 00000000 00000003     eth0
"""  # noqa: E501 - as the kernel prints them


def test_the_router_is_the_next_hop_of_the_default_route() -> None:
    assert agent.router_of(ROUTES) == ("fd00:10:244::1", "eth0")
    assert agent.router_of("".join(ROUTES.splitlines(keepends=True)[:2])) is None


@pytest.fixture
def datagrams() -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sock:
        try:
            sock.bind(("::1", 0))
        except OSError as problem:
            pytest.skip(f"no IPv6 here: {problem}")
        yield sock


def test_a_router_that_refuses_a_datagram_is_there(datagrams: socket.socket) -> None:
    port = datagrams.getsockname()[1]
    datagrams.close()
    assert agent.settle(("::1", "lo"), time.monotonic() + 5, port)


def test_a_silent_router_is_waited_for_until_the_end(datagrams: socket.socket) -> None:
    end = time.monotonic() + 0.3
    assert not agent.settle(("::1", "lo"), end, datagrams.getsockname()[1])
    assert time.monotonic() >= end


def test_only_what_is_asked_by_ipv6_waits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[object] = []
    (tmp_path / "routes").write_text(ROUTES)
    monkeypatch.setattr(agent, "IPV6_ROUTES", str(tmp_path / "routes"))
    monkeypatch.setattr(agent, "settle", lambda *given: waited.append(given))
    agent.await_ipv6([{"address": "127.0.0.1"}, {"name": "my-nginx"}], 1.0)
    assert not waited
    agent.await_ipv6([{"address": "127.0.0.1"}, {"address": "fd00::1"}], 1.0)
    assert waited == [(("fd00:10:244::1", "eth0"), 1.0)]
    monkeypatch.setattr(agent, "IPV6_ROUTES", str(tmp_path / "none"))
    agent.await_ipv6([{"address": "fd00::1"}], 1.0)
    assert len(waited) == 1
