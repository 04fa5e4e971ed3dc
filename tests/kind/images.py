# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""kind, its node image and the images of the applications: pulled where a registry answers, else built.

What was built is kept in the user's cache folder under a key of its inputs, and found there by the next run.
"""

from __future__ import annotations

import contextlib
import shutil
import sys
from functools import partial
from pathlib import Path

from golang import compile_go, folder_of
from host import CACHE, as_root, ask, has_registry, install_packages, need_disk
from steps import Missing, Shell, Step
from versions import HERE, NGINX_TAG, PYTHON_TAG, VERSIONS, key, node_tag

WORK = CACHE / "work"
KIND = CACHE / f"bin/kind-{VERSIONS['KIND_VERSION']}"
PULLED = {NGINX_TAG: VERSIONS["NGINX_IMAGE"], PYTHON_TAG: VERSIONS["PYTHON_IMAGE"]}
CONTAINERD = "github.com/containerd/containerd/v2"


def archive() -> Path:
    return CACHE / "images" / f"node-{key()}.tar"


def is_present(image: str) -> bool:
    return ask("docker", "image", "inspect", "--format", "{{.Id}}", image) is not None


def is_built() -> bool:
    return archive().exists() or is_present(node_tag())


def is_pulled() -> bool:
    return all(is_present(image) for image in (VERSIONS["KIND_NODE_IMAGE"], *PULLED))


def are_ready() -> bool:
    return is_present(node_tag()) or is_pulled()


def plan() -> list[Step]:
    """What has to be done, after the step `docker`, until kind and all images are there."""
    if is_built() or is_pulled():
        load = [] if is_pulled() or is_present(node_tag()) else [LOAD]
        return [*load, Step("kind", get_kind, seconds=30)]
    if has_registry():
        need_disk(8)
        return [
            Step("images from the registry", pull, after=("docker",), seconds=120),
            Step("kind", get_kind, seconds=30),
        ]
    return build_plan()


# --- pulled


def pull(shell: Shell) -> None:
    """A registry that breaks off is not the end: `are_ready` tells, and the images can be built."""
    fetch = ("timeout", "600", "docker", "pull", "--quiet")
    with contextlib.suppress(Missing):
        shell.run(*fetch, VERSIONS["KIND_NODE_IMAGE"])
        for tag, image in PULLED.items():
            shell.run(*fetch, image)
            shell.run("docker", "tag", image, tag)


# --- kind


def get_kind(shell: Shell) -> None:
    """The program kind in the version that we want: that of the user, or built."""
    if KIND.exists():
        return
    KIND.parent.mkdir(parents=True, exist_ok=True)
    found = shutil.which("kind")
    if found and ask(found, "--version") == f"kind version {VERSIONS['KIND_VERSION']}":
        KIND.symlink_to(found)
        return
    compile_go(shell, HERE / "go", KIND.parent, "sigs.k8s.io/kind")
    (KIND.parent / "kind").rename(KIND)


# --- built


def build_kubernetes(shell: Shell) -> None:
    version = VERSIONS["KUBERNETES_VERSION"]
    major, minor, _patch = version.split(".")
    values = {"gitVersion": f"v{version}", "gitMajor": major, "gitMinor": minor, "gitTreeState": "clean"}
    flags = " ".join(f"-X k8s.io/component-base/version.{name}={value}" for name, value in values.items())
    compile_go(shell, HERE / "go", WORK / "bin", "./kubernetes", flags=flags)


def build_others(shell: Shell) -> None:
    packages = ("./coredns", "./pause", "go.etcd.io/etcd/server/v3", "sigs.k8s.io/kind")
    compile_go(shell, HERE / "go", WORK / "bin", *packages)
    (WORK / "bin/kind.module").write_text(f"{folder_of(shell, HERE / 'go', 'sigs.k8s.io/kind')}\n")
    KIND.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(WORK / "bin/kind", KIND)


def build_containerd(shell: Shell) -> None:
    flags = f"-X {CONTAINERD}/version.Version=v{VERSIONS['CONTAINERD_VERSION']}"
    packages = [f"{CONTAINERD}/cmd/{name}" for name in ("containerd", "containerd-shim-runc-v2", "ctr")]
    tags = "no_aufs,no_btrfs,no_devmapper,no_zfs"
    compile_go(shell, HERE / "containerd", WORK / "bin", *packages, flags=flags, tags=tags)


def get_debootstrap(shell: Shell) -> None:
    if not shutil.which("debootstrap", path="/usr/sbin:/usr/bin:/sbin"):
        install_packages(shell, "debootstrap", "debian-archive-keyring")


def assemble(part: str, shell: Shell) -> None:
    shell.run(*as_root("building the images"), sys.executable, HERE / "assemble.py", part, WORK)


def build_image(shell: Shell) -> None:
    assemble("image", shell)
    target = archive()
    target.parent.mkdir(parents=True, exist_ok=True)
    for old in target.parent.glob("node-*.tar"):
        old.unlink()
    (WORK / "node.tar").rename(target)
    shell.run(*as_root("building the images"), "rm", "-rf", WORK)


def load(shell: Shell) -> None:
    if not is_present(node_tag()):
        need_disk(4)
        shell.run("docker", "load", "--input", archive())
        older = ask("docker", "image", "ls", "--format", "{{.Repository}}:{{.Tag}}", "plumbline.local/node") or ""
        for image in set(older.split()) - {node_tag()}:
            with contextlib.suppress(Missing):  # a cluster may still run on it
                shell.run("docker", "image", "rm", image)


LOAD = Step("load node image", load, after=("docker", "node image"), seconds=15)


def build_plan() -> list[Step]:
    as_root("building the images")
    need_disk(18)
    return [
        Step("kubernetes", build_kubernetes, seconds=480),
        Step("containerd", build_containerd, seconds=180),
        Step("etcd, coredns, kind", build_others, after=("kubernetes",), seconds=30),
        Step("debootstrap", get_debootstrap, after=("docker",), seconds=20),
        Step("node packages", partial(assemble, "node-root"), after=("debootstrap",), seconds=75),
        Step("app packages", partial(assemble, "app-roots"), after=("debootstrap",), seconds=90),
        Step(
            "node image",
            build_image,
            after=("etcd, coredns, kind", "containerd", "node packages", "app packages"),
            seconds=30,
        ),
        LOAD,
    ]
