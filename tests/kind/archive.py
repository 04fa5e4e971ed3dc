# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Container images written as files: the archive that `docker load` and `ctr images import` read.

No daemon and no Dockerfile is needed, and a layer that images share is stored once.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import tarfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

EPOCH = "1970-01-01T00:00:00Z"


@dataclass(frozen=True)
class Layer:
    path: Path
    digest: str


@dataclass(frozen=True)
class Image:
    tags: tuple[str, ...]
    layers: tuple[Layer, ...]
    config: Mapping[str, Any] = field(default_factory=dict)


def sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def layer(path: Path, root: Path, wanted: Callable[[Path], bool] | None = None) -> Layer:
    """Write the folder root as a layer; with wanted, only the entries (paths below root) that it says yes to."""
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as tar:
        for entry in sorted(walk(root)):
            if wanted is None or wanted(entry):
                _add(tar, root, entry)
    return Layer(path, sha256(path))


def walk(root: Path) -> Iterable[Path]:
    for folder, folders, files in os.walk(root):
        for name in (*folders, *files):
            yield (Path(folder) / name).relative_to(root)


def _add(tar: tarfile.TarFile, root: Path, entry: Path) -> None:
    info = tar.gettarinfo(str(root / entry), str(entry))
    if info is None:  # a socket
        return
    info.uname = info.gname = ""
    if info.isreg():
        with (root / entry).open("rb") as content:
            tar.addfile(info, content)
    else:
        tar.addfile(info)


def write(path: Path, images: Iterable[Image], architecture: str) -> None:
    """Write all images as one archive, complete or not at all."""
    temporary = path.with_suffix(".part")
    manifest = []
    written: set[str] = set()
    with tarfile.open(temporary, "w") as tar:
        for image in images:
            config = json.dumps(
                {
                    "architecture": architecture,
                    "os": "linux",
                    "created": EPOCH,
                    "config": dict(image.config),
                    "rootfs": {"type": "layers", "diff_ids": [f"sha256:{one.digest}" for one in image.layers]},
                },
                sort_keys=True,
            ).encode()
            name = hashlib.sha256(config).hexdigest() + ".json"
            _add_bytes(tar, name, config)
            for one in image.layers:
                if one.digest not in written:
                    written.add(one.digest)
                    tar.add(one.path, f"{one.digest}/layer.tar")
            layers = [f"{one.digest}/layer.tar" for one in image.layers]
            manifest.append({"Config": name, "RepoTags": list(image.tags), "Layers": layers})
        _add_bytes(tar, "manifest.json", json.dumps(manifest).encode())
    temporary.replace(path)


def _add_bytes(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    info = tarfile.TarInfo(name)
    info.size = len(content)
    info.mode = 0o644
    tar.addfile(info, io.BytesIO(content))
