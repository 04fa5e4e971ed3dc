# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Write the keys that a run made into FOLDER/keys, without encryption: collect.py NAMESPACE FOLDER

Those are in the TLS Secrets of NAMESPACE, and those of CAs in the Secrets of NAMESPACE-leaks and in FOLDER/ca-*,
encrypted by FOLDER/passphrase, and in FOLDER/ca_env-*, encrypted by FOLDER/passphrase_env.
"""

from __future__ import annotations

import base64
import os
import sys
from pathlib import Path

from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key
from kubernetes import client, config


def stored(namespace: str) -> dict[str, bytes]:
    """All values in Secrets that are keys by their name."""
    secrets = client.CoreV1Api().list_namespaced_secret(namespace).items
    return {
        f"{secret.metadata.name}-{name}": base64.b64decode(value)
        for secret in secrets
        for name, value in (secret.data or {}).items()
        if name.endswith(".key")
    }


def opened(what: str, encrypted: dict[str, bytes], passphrase: Path) -> dict[str, bytes]:
    """The keys of a CA."""
    if not encrypted:
        raise SystemExit(f"collect: no keys of CAs in {what}")
    password = passphrase.read_bytes().strip()
    loaded = {name: load_pem_private_key(value, password) for name, value in encrypted.items()}
    return {
        f"{what}-{name}": key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        for name, key in loaded.items()
    }


def main(namespace: str, folder: Path) -> None:
    config.load_kube_config(os.environ["K8S_AUTH_KUBECONFIG"], os.environ["K8S_AUTH_CONTEXT"])
    found = stored(namespace) | opened("secret", stored(f"{namespace}-leaks"), folder / "passphrase")
    for place, passphrase in (("ca", "passphrase"), ("ca_env", "passphrase_env")):
        files = {f"{path.parent.name}-{path.name}": path.read_bytes() for path in folder.glob(f"{place}-*/*.key")}
        found |= opened(place, files, folder / passphrase)
    keys = folder / "keys"
    keys.mkdir(mode=0o700, parents=True, exist_ok=True)
    for name, value in found.items():
        path = keys / f"{name}.key"
        path.touch(mode=0o600)
        path.write_bytes(value)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
