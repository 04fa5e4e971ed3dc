# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where kind, the images and the load balancer come from: what is there, a registry, or a build."""

from __future__ import annotations

import os
import typing as t
from pathlib import Path

import balancer
import images
import pytest
from steps import Missing, Shell
from versions import NGINX_TAG, PYTHON_TAG, VERSIONS, node_tag

PULLED = {VERSIONS["KIND_NODE_IMAGE"], NGINX_TAG, PYTHON_TAG}
PULL = ["images from the registry", "kind"]
BUILD = [
    "kubernetes",
    "containerd",
    "etcd, coredns, kind",
    "debootstrap",
    "node packages",
    "app packages",
    "node image",
    "load node image",
]


@pytest.mark.parametrize(
    ("present", "archived", "registry", "expected"),
    [
        ({node_tag()}, False, False, ["kind"]),
        (set(), True, True, ["load node image", "kind"]),
        ({node_tag()}, True, False, ["kind"]),
        (PULLED, False, False, ["kind"]),
        (PULLED, True, False, ["kind"]),
        (PULLED - {PYTHON_TAG}, False, True, PULL),
        (PULLED - {PYTHON_TAG}, False, False, BUILD),
        (set(), False, True, PULL),
        (set(), False, False, BUILD),
    ],
    ids=[
        "built",
        "built, in the cache",
        "built, in both",
        "pulled",
        "pulled, and in the cache",
        "pulled in part",
        "pulled in part, no registry",
        "nothing",
        "nothing, no registry",
    ],
)
def test_images_are_taken_from_where_they_are_then_pulled_then_built(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    present: set[str],
    archived: bool,
    registry: bool,
    expected: list[str],
) -> None:
    monkeypatch.setattr(images, "CACHE", tmp_path)
    monkeypatch.setattr(images, "is_present", lambda tag: tag in present)
    monkeypatch.setattr(images, "has_registry", lambda: registry)
    monkeypatch.setattr(images, "need_disk", lambda _gigabytes: None)
    monkeypatch.setattr(images, "as_root", lambda _purpose: ())
    if archived:
        images.archive().parent.mkdir()
        images.archive().touch()
    assert [step.name for step in images.plan()] == expected


def test_a_build_asks_for_root_before_it_begins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setenv("PATH", "")
    with pytest.raises(Missing, match="building the images needs root"):
        images.build_plan()


def engine(folder: Path, monkeypatch: pytest.MonkeyPatch, refuses: str) -> Path:
    """A Docker client that notes what it is asked for, and does not get one image."""
    (folder / "docker").write_text(
        f"""#!/bin/sh
case "$*" in *{refuses}*) echo "connection reset by peer" >&2; exit 1;; esac
echo "$*" >>{folder}/asked
"""
    )
    (folder / "docker").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    return folder / "asked"


def test_pulled_images_get_the_names_that_the_cluster_knows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = engine(tmp_path, monkeypatch, "nothing")
    images.pull(Shell(tmp_path / "log"))
    assert asked.read_text().splitlines() == [
        f"pull --quiet {VERSIONS['KIND_NODE_IMAGE']}",
        f"pull --quiet {VERSIONS['NGINX_IMAGE']}",
        f"tag {VERSIONS['NGINX_IMAGE']} {NGINX_TAG}",
        f"pull --quiet {VERSIONS['PYTHON_IMAGE']}",
        f"tag {VERSIONS['PYTHON_IMAGE']} {PYTHON_TAG}",
    ]


def test_a_registry_that_breaks_off_ends_the_pull_and_not_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = engine(tmp_path, monkeypatch, VERSIONS["NGINX_IMAGE"])
    images.pull(Shell(tmp_path / "log"))
    assert asked.read_text().splitlines() == [f"pull --quiet {VERSIONS['KIND_NODE_IMAGE']}"]
    assert "connection reset by peer" in (tmp_path / "log").read_text()


@pytest.mark.parametrize(
    ("present", "manifest", "archived", "registry", "expected"),
    [
        (balancer.BUILT, True, False, False, []),
        (balancer.BUILT, False, False, False, ["metallb", "load metallb"]),
        (balancer.PULLED, False, False, False, []),
        (balancer.PULLED[:1], False, False, True, ["metallb from the registry"]),
        ([], True, True, True, ["load metallb"]),
        ([], False, False, True, ["metallb from the registry"]),
        ([], False, False, False, ["metallb", "load metallb"]),
    ],
    ids=[
        "built",
        "built, but its manifest is gone",
        "pulled",
        "pulled in part",
        "built, in the cache",
        "nothing",
        "nothing, no registry",
    ],
)
def test_load_balancer_is_taken_from_where_it_is_then_pulled_then_built(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    present: t.Sequence[str],
    manifest: bool,
    archived: bool,
    registry: bool,
    expected: list[str],
) -> None:
    monkeypatch.setattr(balancer, "MANIFEST", tmp_path / "metallb.yaml")
    monkeypatch.setattr(balancer, "ARCHIVE", tmp_path / "metallb.tar")
    monkeypatch.setattr(balancer, "is_present", lambda tag: tag in present)
    monkeypatch.setattr(balancer, "has_registry", lambda _host: registry)
    monkeypatch.setattr(balancer, "need_disk", lambda _gigabytes: None)
    if manifest:
        balancer.MANIFEST.touch()
    if archived:
        balancer.ARCHIVE.touch()
    assert [step.name for step in balancer.plan()] == expected


def test_load_balancer_is_built_where_its_registry_breaks_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = engine(tmp_path, monkeypatch, balancer.PULLED[1])
    done: list[str] = []
    monkeypatch.setattr(balancer, "build", lambda _shell: done.append("build"))
    monkeypatch.setattr(balancer, "load", lambda _shell: done.append("load"))
    balancer.pull(Shell(tmp_path / "log"))
    assert asked.read_text().splitlines() == [f"pull --quiet {balancer.PULLED[0]}"]
    assert done == ["build", "load"]
