# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The versions file, the names that follow from it, and the keys under which what is built from it is cached."""

from __future__ import annotations

import hashlib
import platform
from pathlib import Path

HERE = Path(__file__).resolve().parent

# What the built node image depends on; everything else here may change without a new build.
INPUTS = ("archive.py", "assemble.py", "app", "containerd", "go", "node")
BUILT = ("KIND", "KUBERNETES", "ETCD", "COREDNS", "PAUSE", "CONTAINERD", "NGINX", "PYTHON")
INPUT_VERSIONS = (*(f"{name}_VERSION" for name in BUILT), "NODE_SUITE", "APP_SUITE")


def read(path: Path = HERE / "versions.env") -> dict[str, str]:
    lines = (line.strip() for line in path.read_text().splitlines())
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


VERSIONS = read()
ARCHITECTURE = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
NGINX_TAG = f"plumbline.local/nginx:{VERSIONS['NGINX_VERSION']}"
PYTHON_TAG = f"plumbline.local/python:{VERSIONS['PYTHON_VERSION']}"


def key(inputs: tuple[str, ...] = INPUTS, versions: tuple[str, ...] = INPUT_VERSIONS) -> str:
    """A hash of all inputs of built images, by default those of the node, short enough for a tag."""
    digest = hashlib.sha256(ARCHITECTURE.encode())
    digest.update(" ".join(VERSIONS[name] for name in versions).encode())
    for name in inputs:
        top = HERE / name
        for path in sorted(top.rglob("*")) if top.is_dir() else [top]:
            if path.is_file():
                digest.update(f"\n{path.relative_to(HERE)}\n".encode())
                digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


def node_tag() -> str:
    return f"plumbline.local/node:v{VERSIONS['KUBERNETES_VERSION']}-{key()}"
