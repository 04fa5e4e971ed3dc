# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A scripted server of websockets on 127.0.0.1, which can stand where an API server or an HTTP proxy would.

    with FakeStream(lambda stream: stream.send(frame(1, b"out"))) as server:
        ... exec against server.url ...
        assert server.heads[0].startswith("GET ")

After the script its end follows: the connection is closed. `proxy` answers CONNECT first and passes nothing on, so the
same server is what the client finds behind the proxy.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import socket
import ssl
import struct
import threading
import time
import typing as t

Script = t.Callable[["Stream"], None]


def frame(channel: int, data: bytes) -> bytes:
    """A binary message of one channel; a server does not mask."""
    payload = bytes([channel]) + data
    size = bytes([len(payload)]) if len(payload) < 126 else b"\x7e" + struct.pack(">H", len(payload))
    return b"\x82" + size + payload


PING, CLOSE = b"\x89\x00", b"\x88\x02\x03\xe8"
SUCCESS = frame(3, b'{"status":"Success"}')


class Stream:
    """One connection, from the server's side."""

    def __init__(self, connection: socket.socket, over: threading.Event) -> None:
        self._connection, self._over = connection, over

    def send(self, *pieces: bytes) -> None:
        for piece in pieces:
            self._connection.sendall(piece)

    def drip(self, piece: bytes, seconds: float, times: int) -> None:
        """Send it again and again, as long as the client is there."""
        for _time in range(times):
            self.send(piece)
            time.sleep(seconds)

    def hang(self) -> None:
        self._over.wait(20)

    def reset(self) -> None:
        self._connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def refusal(code: int, body: t.Any, **headers: str) -> bytes:
    """An answer instead of a stream."""
    data = body.encode() if isinstance(body, str) else json.dumps(body).encode()
    head = [f"HTTP/1.1 {code} Whatever", f"Content-Length: {len(data)}", "Connection: close"]
    head += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join([*head, "", ""]).encode() + data


class FakeStream:
    """See above. With `refused` no stream is opened; `tls` is the server's context."""

    def __init__(
        self,
        script: Script = lambda stream: stream.send(SUCCESS),
        *,
        refused: bytes = b"",
        tls: ssl.SSLContext | None = None,
        proxy: bool = False,
    ) -> None:
        self.heads: list[str] = []
        self.clients: list[str] = []  # the common names in the clients' certificates
        self.over = threading.Event()
        self._script, self._refused, self._tls, self._proxy = script, refused, tls, proxy
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.url = f"http{'s' if tls else ''}://127.0.0.1:{self.port}"

    def __enter__(self) -> FakeStream:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_failure: object) -> None:
        self.over.set()
        self._listener.shutdown(socket.SHUT_RDWR)  # who waits in accept() would still take one more
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _address = self._listener.accept()
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        # A client that goes away, or that does not trust us, is no error of ours.
        with contextlib.suppress(OSError), connection:
            if self._proxy:
                self._head(connection)
                connection.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
            if not self._tls:
                self._talk(connection)
                return
            with self._tls.wrap_socket(connection, server_side=True) as secured:
                names = dict(pair for part in (secured.getpeercert() or {}).get("subject", ()) for pair in part)
                self.clients.append(str(names.get("commonName", "")))
                self._talk(secured)

    def _talk(self, connection: socket.socket) -> None:
        head = self._head(connection)
        if self._refused:
            connection.sendall(self._refused)
            return
        key = next(line.partition(": ")[2] for line in head.splitlines() if line.startswith("Sec-WebSocket-Key"))
        digest = hashlib.sha1(f"{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11".encode()).digest()  # RFC 6455, 4.2.2
        connection.sendall(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Protocol: v5.channel.k8s.io\r\nSec-WebSocket-Accept: "
            + base64.b64encode(digest)
            + b"\r\n\r\n"
        )
        self._script(Stream(connection, self.over))

    def _head(self, connection: socket.socket) -> str:
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            piece = connection.recv(1)
            if not piece:
                raise ConnectionResetError
            head += piece
        self.heads.append(head.decode())
        return self.heads[-1]
