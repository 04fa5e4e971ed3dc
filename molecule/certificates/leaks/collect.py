# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Write the keys that a run made into a folder, without encryption: collect.py FOLDER PLACE[=PASSPHRASE]...

A place is a namespace with Secrets, or a pattern of paths of files. Its keys are encrypted where a file with their
passphrase is named. Keys that an earlier call found stay in the folder: some go before the run ends.
"""

from __future__ import annotations

import base64
import glob
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


def in_files(pattern: str) -> dict[str, bytes]:
    """All keys in files."""
    found = [Path(path) for path in glob.glob(pattern)]
    return {f"{path.parent.name}-{path.name}": path.read_bytes() for path in found}


def opened(encrypted: bytes, passphrase: str) -> bytes:
    """A key without encryption."""
    key = load_pem_private_key(encrypted, Path(passphrase).read_bytes().strip())
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def main(folder: Path, places: list[str]) -> None:
    config.load_kube_config(os.environ["K8S_AUTH_KUBECONFIG"], os.environ["K8S_AUTH_CONTEXT"])
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for number, (place, _is, passphrase) in enumerate(item.partition("=") for item in places):
        found = in_files(place) if "/" in place else stored(place)
        for name, value in found.items():
            path = folder / f"{number}-{name}"
            path.touch(mode=0o600)
            path.write_bytes(opened(value, passphrase) if passphrase else value)
        if not list(folder.glob(f"{number}-*")):
            raise SystemExit(f"collect: no keys in {place}")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
