# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A pass-through to an API server on 127.0.0.1 that counts requests.

It speaks plain HTTP to its clients and adds the kubeconfig's client certificate upstream. Only the requests are
parsed, answers pass as they are, and after an upgrade (exec) everything does. It is used for counting, never for
timing: it saves its clients the TLS handshakes.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import ssl
import tempfile
import threading
import typing as t
from collections import Counter
from pathlib import Path
from urllib.parse import urlsplit

import yaml


class CountingProxy:
    """Counts requests by method and path; a context manager. An event loop in a thread of its own does the work."""

    def __init__(self, kubeconfig: Path, context: str) -> None:
        self._upstream, self._tls = _credentials(kubeconfig, context)
        self._counts: Counter[str] = Counter()
        self._lock = threading.Lock()
        self._loop = asyncio.new_event_loop()
        self.url = ""

    def __enter__(self) -> t.Self:
        threading.Thread(target=self._loop.run_forever, daemon=True).start()
        starting = asyncio.run_coroutine_threadsafe(asyncio.start_server(self._serve, "127.0.0.1", 0), self._loop)
        self.url = f"http://127.0.0.1:{starting.result().sockets[0].getsockname()[1]}"
        return self

    def __exit__(self, *_exc: object) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)

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

    def _note(self, method: str, target: str, _headers: t.Mapping[str, str]) -> None:
        """A request passes."""
        with self._lock:
            self._counts[f"{method} {urlsplit(target).path}"] += 1

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        host, port = self._upstream
        answers, requests = await asyncio.open_connection(host, port, ssl=self._tls)
        back = asyncio.create_task(_pump(answers, writer))
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            await self._forward(reader, requests)
        requests.transport.abort()  # the client is gone, nobody waits for the rest
        await back

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Copy the client's requests, counting their heads."""
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            request, *lines = head.decode("latin-1").strip().split("\r\n")
            headers = {name.lower(): value.strip() for name, _colon, value in (line.partition(":") for line in lines)}
            method, target, _version = request.split(" ")
            self._note(method, target, headers)
            writer.write(head)
            if "upgrade" in headers:
                await _pump(reader, writer)
                return
            writer.write(await reader.readexactly(int(headers.get("content-length", 0))))
            await writer.drain()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.close()


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
