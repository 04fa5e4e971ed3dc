# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A scripted HTTP server on 127.0.0.1 that stands where the API server would.

It knows nothing of Kubernetes: each route has a script of answers, and every request is logged. It exists
for what a healthy cluster cannot show on demand: how many requests are sent, and what happens when the
server refuses, throttles, hangs, resets or cuts a stream. Behaviour of objects is tested on the real one.

    with FakeApi() as api:
        api.on("GET", "/api/v1/namespaces/demo/services/web", status(429, retry_after=0), reply({...}))
        api.on("WATCH", "/api/v1/namespaces/demo/pods", stream([event("ADDED", pod)], end="close"))
        ... Cluster.connect({"host": api.url, ...}) ...
        assert api.sent() == ["GET /api/v1/...", ...]

Answers are given in order, the last one again and again. A function `(Request) -> Answer` may stand for an
answer. A request without a route gets a 404 Status and is listed in `unexpected`.
"""

from __future__ import annotations

import json
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Literal
from urllib.parse import parse_qsl, unquote, urlsplit

End = Literal["close", "reset", "hang"]


@dataclass(frozen=True)
class Request:
    method: str  # WATCH for a GET with watch=true
    path: str
    query: dict[str, str]
    headers: dict[str, str]  # names in lower case, several values of one name joined by ", "
    body: Any
    client: str = ""  # the common name in the client's certificate

    @property
    def line(self) -> str:
        """Method and path, with `?dryRun` when nothing shall be written."""
        return f"{self.method} {self.path}" + ("?dryRun" if self.dry_run else "")

    @property
    def dry_run(self) -> bool:
        # As the API server does: a DELETE with a body takes its options from there and ignores the query.
        options = self.body if self.method == "DELETE" and self.body is not None else self.query
        return "dryRun" in options


@dataclass(frozen=True)
class Answer:
    """What goes over the wire. `end` says what follows the body: a regular end, a TCP reset, or silence."""

    code: int | None = 200  # None: no response at all
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    chunks: tuple[bytes, ...] | None = None
    end: End = "close"
    missing: int = 0  # bytes that Content-Length promises and that never come


Script = Answer | Callable[[Request], Answer]


def reply(body: Any, code: int = 200, **headers: str) -> Answer:
    return Answer(code, json.dumps(body).encode(), {name.replace("_", "-"): value for name, value in headers.items()})


def status(
    code: int,
    reason: str = "",
    message: str = "",
    *,
    causes: Iterable[dict[str, str]] = (),
    retry_after: int | None = None,
) -> Answer:
    """A `Status` body as the API server sends with every error."""
    details: dict[str, Any] = {"causes": list(causes)} if causes else {}
    body = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "code": code}
    body |= {"reason": reason, "message": message} | ({"details": details} if details else {})
    return Answer(code, json.dumps(body).encode(), {} if retry_after is None else {"Retry-After": str(retry_after)})


def text(body: str, code: int = 200) -> Answer:
    """A body that is not JSON, as a proxy in the way would send."""
    return Answer(code, body.encode(), {"Content-Type": "text/plain"})


def reset() -> Answer:
    """The connection is reset instead of an answer."""
    return Answer(None, end="reset")


def closed() -> Answer:
    """The connection is closed in good order, without a byte of an answer."""
    return Answer(None)


def hang() -> Answer:
    """No answer until the server stops."""
    return Answer(None, end="hang")


def cut(body: Any, missing: int = 100) -> Answer:
    """The connection ends before the promised length."""
    return Answer(200, json.dumps(body).encode(), missing=missing)


def event(kind: str, item: dict[str, Any]) -> dict[str, Any]:
    return {"type": kind, "object": item}


def expired() -> dict[str, Any]:
    """The watch event that says the resource version is too old."""
    gone = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": 410, "reason": "Expired"}
    return event("ERROR", gone | {"message": "too old resource version: 1 (2)"})


def stream(events: Iterable[dict[str, Any]], end: End = "close") -> Answer:
    """A watch: one JSON document per line, in chunks."""
    return Answer(chunks=tuple(json.dumps(item).encode() + b"\n" for item in events), end=end)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, api: FakeApi) -> None:
        self.api = api
        super().__init__(("127.0.0.1", 0), _Handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes away in the middle is no error of a server that resets connections itself."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def _serve(self) -> None:
        url = urlsplit(self.path)
        query = dict(parse_qsl(url.query, keep_blank_values=True))
        method = "WATCH" if query.get("watch", "").lower() in ("true", "1") else self.command
        raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        headers = {name.lower(): ", ".join(self.headers.get_all(name, [])) for name in self.headers}
        body = json.loads(raw) if raw else None
        request = Request(method, unquote(url.path), query, headers, body, self._client())
        self._send(self.server.api.answer(request))

    def _client(self) -> str:
        certificate = self.connection.getpeercert() if isinstance(self.connection, ssl.SSLSocket) else None
        subject: Any = (certificate or {}).get("subject", ())
        return next((value for part in subject for name, value in part if name == "commonName"), "")

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _serve

    def _send(self, answer: Answer) -> None:
        if answer.code is not None:
            self.send_response(answer.code)
            for name, value in ({"Content-Type": "application/json"} | answer.headers).items():
                self.send_header(name, value)
            if answer.chunks is None:
                self.send_header("Content-Length", str(len(answer.body) + answer.missing))
                self.end_headers()
                self.wfile.write(answer.body)
            else:
                self.send_header("Transfer-Encoding", "chunked")
                self.end_headers()
                for chunk in answer.chunks:
                    self.wfile.write(b"%x\r\n%s\r\n" % (len(chunk), chunk))
        self.wfile.flush()
        self._end(answer)

    def _end(self, answer: Answer) -> None:
        if answer.end == "hang":
            self.server.api.stopping.wait()
        if answer.end == "reset":
            # Zero linger makes close() send RST instead of FIN.
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        if answer.end == "close" and answer.chunks is not None:
            self.wfile.write(b"0\r\n\r\n")
        self.close_connection = answer.code is None or answer.end != "close" or answer.missing > 0


class FakeApi:
    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self.requests: list[Request] = []
        self.unexpected: list[Request] = []
        self.stopping = threading.Event()
        self._routes: dict[tuple[str, str], list[Script]] = {}
        self._lock = threading.Lock()
        self._server = _Server(self)
        self.port: int = self._server.server_address[1]
        self.url = f"http{'s' if tls else ''}://127.0.0.1:{self.port}"
        if tls:
            # Each thread shakes the hands of its own client.
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True, do_handshake_on_connect=False)

    def __enter__(self) -> FakeApi:
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stopping.set()
        self._server.shutdown()
        self._server.server_close()

    def on(self, method: str, path: str, *answers: Script) -> None:
        """Set the script of a route, in place of an older one."""
        assert answers, "a route needs an answer"
        with self._lock:
            self._routes[method, path] = list(answers)

    def sent(self, *methods: str) -> list[str]:
        """The request lines seen so far, all or those of the given methods."""
        with self._lock:
            return [request.line for request in self.requests if not methods or request.method in methods]

    def forget(self) -> None:
        """Clear the log, so that the next call is counted alone."""
        with self._lock:
            self.requests.clear()
            self.unexpected.clear()

    def answer(self, request: Request) -> Answer:
        with self._lock:
            self.requests.append(request)
            script = self._routes.get((request.method, request.path))
            if script is None:
                self.unexpected.append(request)
                return status(404, "NotFound", f"no route for {request.line}")
            step = script.pop(0) if len(script) > 1 else script[0]
        return step(request) if callable(step) else step
