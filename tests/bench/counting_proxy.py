# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A pass-through to an API server on 127.0.0.1 that counts requests.

It speaks plain HTTP to its clients and adds the kubeconfig's client certificate upstream. Only the requests are
parsed, answers pass as they are, and after an upgrade (exec) everything does. It is used for counting, never for
timing: it saves its clients the TLS handshakes.
"""

from __future__ import annotations

import base64
import contextlib
import socket
import ssl
import tempfile
import threading
import typing as t
from collections import Counter
from pathlib import Path
from urllib.parse import urlsplit

import yaml


class CountingProxy:
    """Counts requests by method and path; a context manager."""

    def __init__(self, kubeconfig: Path, context: str) -> None:
        self._upstream, self._tls = _credentials(kubeconfig, context)
        self._counts: Counter[str] = Counter()
        self._lock = threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def __enter__(self) -> t.Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_exc: object) -> None:
        self._listener.close()

    def kubeconfig(self, path: Path, context: str) -> Path:
        """Write a kubeconfig that leads here, with the context under its usual name."""
        document = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "proxy", "cluster": {"server": self.url}}],
            "users": [{"name": "nobody", "user": {}}],
            "contexts": [{"name": context, "context": {"cluster": "proxy", "user": "nobody"}}],
            "current-context": context,
        }
        path.write_text(yaml.safe_dump(document))
        return path

    def take(self) -> Counter[str]:
        """The counts since the last call."""
        with self._lock:
            counts, self._counts = self._counts, Counter()
        return counts

    def _accept(self) -> None:
        while True:
            try:
                client, _address = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        try:
            server = self._tls.wrap_socket(socket.create_connection(self._upstream), server_hostname=self._upstream[0])
            threading.Thread(target=_pump, args=(server, client), daemon=True).start()
            self._forward(client, server)
        except OSError:
            pass
        finally:
            client.close()

    def _forward(self, client: socket.socket, server: ssl.SSLSocket) -> None:
        """Copy the client's requests, counting their heads."""
        rest = b""
        while True:
            while b"\r\n\r\n" not in rest:
                data = client.recv(65536)
                if not data:
                    server.shutdown(socket.SHUT_RDWR)
                    return
                rest += data
            head, _end, rest = rest.partition(b"\r\n\r\n")
            request, *lines = head.decode("latin-1").split("\r\n")
            headers = {name.lower(): value.strip() for name, _colon, value in (line.partition(":") for line in lines)}
            method, target, _version = request.split(" ")
            with self._lock:
                self._counts[f"{method} {urlsplit(target).path}"] += 1
            server.sendall(head + b"\r\n\r\n")
            if "upgrade" in headers:
                server.sendall(rest)
                _pump(client, server)
                return
            left = int(headers.get("content-length", 0))
            while left:
                data, rest = (rest[:left], rest[left:]) if rest else (client.recv(min(left, 65536)), b"")
                if not data:
                    return
                server.sendall(data)
                left -= len(data)


def _pump(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
    for side in (source, target):
        with contextlib.suppress(OSError):
            side.shutdown(socket.SHUT_RDWR)


def _credentials(kubeconfig: Path, context: str) -> tuple[tuple[str, int], ssl.SSLContext]:
    document = yaml.safe_load(kubeconfig.read_text())
    chosen = next(item["context"] for item in document["contexts"] if item["name"] == context)
    cluster = next(item["cluster"] for item in document["clusters"] if item["name"] == chosen["cluster"])
    user = next(item["user"] for item in document["users"] if item["name"] == chosen["user"])
    address = urlsplit(cluster["server"])
    tls = ssl.create_default_context(cadata=base64.b64decode(cluster["certificate-authority-data"]).decode())
    with tempfile.NamedTemporaryFile() as pair:
        pair.write(
            base64.b64decode(user["client-certificate-data"]) + b"\n" + base64.b64decode(user["client-key-data"])
        )
        pair.flush()
        tls.load_cert_chain(pair.name)
    return (address.hostname or "", address.port or 443), tls
