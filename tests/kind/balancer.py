# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""MetalLB, the cluster's load balancer: its images are pulled where a registry answers, else built like the others.

With images of our own goes a copy of MetalLB's manifest that names them, out of its Go module; both are kept in the
user's cache folder under a key of their inputs.
"""

from __future__ import annotations

import contextlib
import shutil

import archive
from golang import compile_go, folder_of
from host import CACHE, ask, has_registry, need_disk
from images import is_present
from steps import Missing, Shell, Step
from versions import ARCHITECTURE, HERE, VERSIONS, key

VERSION = VERSIONS["METALLB_VERSION"]
MODULE = "go.universe.tf/metallb"
KEY = key(("archive.py", "balancer.py", "metallb"), ("METALLB_VERSION",))
ARCHIVE = CACHE / "images" / f"metallb-{KEY}.tar"
MANIFEST = ARCHIVE.with_suffix(".yaml")
WORK = CACHE / "work-metallb"

PROGRAMS = ("controller", "speaker")
PULLED = [f"quay.io/metallb/{name}:v{VERSION}" for name in PROGRAMS]
BUILT = [f"plumbline.local/metallb-{name}:v{VERSION}-{KEY}" for name in PROGRAMS]


def is_loaded() -> bool:
    return MANIFEST.exists() and all(is_present(tag) for tag in BUILT)


def plan() -> list[Step]:
    """What has to be done, after the step `docker`, until the Docker engine has the images."""
    if is_loaded() or all(is_present(tag) for tag in PULLED):
        return []
    if ARCHIVE.exists():
        return [LOAD]
    if has_registry("quay.io"):
        return [Step("metallb from the registry", pull, after=("docker",), seconds=30)]
    need_disk(2)
    return [Step("metallb", build, seconds=110), LOAD]


def pull(shell: Shell) -> None:
    try:
        for tag in PULLED:
            shell.run("timeout", "300", "docker", "pull", "--quiet", tag)
    except Missing:  # it broke off
        build(shell)
        load(shell)


def build(shell: Shell) -> None:
    """Nicely: what it is built beside takes longer."""
    module = HERE / "metallb"
    compile_go(shell, module, WORK / "bin", *(f"{MODULE}/{name}" for name in PROGRAMS), nice=15)
    ARCHIVE.parent.mkdir(parents=True, exist_ok=True)
    for old in ARCHIVE.parent.glob("metallb-*"):
        old.unlink()
    MANIFEST.write_text(ours((folder_of(shell, module, MODULE) / "config/manifests/metallb-native.yaml").read_text()))
    archive.write(ARCHIVE, map(image, PROGRAMS, BUILT), ARCHITECTURE)
    shutil.rmtree(WORK)


def image(program: str, tag: str) -> archive.Image:
    layer = archive.layer(WORK / f"{program}.layer", WORK / "bin", lambda entry: entry.name == program)
    return archive.Image((tag,), (layer,), {"Entrypoint": [f"/{program}"]})


def ours(manifest: str) -> str:
    """MetalLB's manifest with our images."""
    for pulled, built in zip(PULLED, BUILT, strict=True):
        if pulled not in manifest:
            raise Missing(f"MetalLB's manifest does not name {pulled}")
        manifest = manifest.replace(pulled, built)
    return manifest


def load(shell: Shell) -> None:
    shell.run("docker", "load", "--input", ARCHIVE)
    older = ask("docker", "image", "ls", "--format", "{{.Repository}}:{{.Tag}}", "plumbline.local/metallb-*") or ""
    for tag in set(older.split()) - set(BUILT):
        with contextlib.suppress(Missing):
            shell.run("docker", "image", "rm", tag)


LOAD = Step("load metallb", load, after=("docker", "metallb"), seconds=5)
