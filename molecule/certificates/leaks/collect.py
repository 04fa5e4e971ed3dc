# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Write the keys in all Secrets of a namespace into a folder: collect.py NAMESPACE FOLDER."""

from __future__ import annotations

import base64
import os
import sys
from pathlib import Path

from kubernetes import client, config


def main(namespace: str, folder: Path) -> None:
    config.load_kube_config(os.environ["K8S_AUTH_KUBECONFIG"], os.environ["K8S_AUTH_CONTEXT"])
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = client.CoreV1Api().list_namespaced_secret(namespace).items
    for secret in (item for item in found if "tls.key" in (item.data or {})):
        path = folder / f"{secret.metadata.name}.key"
        path.touch(mode=0o600)
        path.write_bytes(base64.b64decode(secret.data["tls.key"]))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
