# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What TLS on 127.0.0.1 needs: files of a CA, of another one, of a server and of a client, and the server's context."""

from __future__ import annotations

import ssl
import typing as t
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID

from ansible_collections.plumbline.kubernetes.tests.unit import pki_material as pki


def write(folder: Path, *, names: t.Iterable[str] = (), addresses: t.Iterable[str] = ("127.0.0.1",)) -> dict[str, str]:
    """Paths of `ca`, `other` (a CA that signed nothing), `server` with its key, `client` and `client_key`."""
    now = datetime.now(UTC)
    span = {"start": now - timedelta(days=1), "end": now + timedelta(days=1)}
    keys = {name: pki.new_key() for name in ("ca", "other", "server", "client")}
    ca = pki.make("ca", keys["ca"], ca=True, **span)
    made = {
        "ca": ca,
        "other": pki.make("other", keys["other"], ca=True, **span),
        "server": pki.make("server", keys["server"], (ca, keys["ca"]), names=names, addresses=addresses, **span),
        "client": pki.make("jane", keys["client"], (ca, keys["ca"]), purpose=ExtendedKeyUsageOID.CLIENT_AUTH, **span),
    }
    paths = {**{name: folder / f"{name}.pem" for name in made}, "client_key": folder / "client.key"}
    for name, certificate in made.items():
        paths[name].write_bytes(certificate.public_bytes(Encoding.PEM))
    paths["client_key"].write_bytes(pki.pem(keys["client"]))
    with paths["server"].open("ab") as file:
        file.write(pki.pem(keys["server"]))
    return {name: str(path) for name, path in paths.items()}


def server_context(files: t.Mapping[str, str]) -> ssl.SSLContext:
    """Of a server that asks for a client's certificate, and does without one."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(files["server"])
    context.load_verify_locations(files["ca"])
    context.verify_mode = ssl.CERT_OPTIONAL
    return context
