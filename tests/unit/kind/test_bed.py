# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The test bed's own parts that need neither Docker nor a network."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import time
import typing as t
from pathlib import Path

import pytest

KIND = Path(__file__).resolve().parents[2] / "kind"
sys.path.insert(0, str(KIND))

import archive  # noqa: E402
import balancer  # noqa: E402
import host  # noqa: E402
import steps  # noqa: E402
from steps import Missing, Shell, Step  # noqa: E402
from versions import VERSIONS  # noqa: E402


@pytest.mark.parametrize(
    ("module", "package", "name"),
    [
        ("go", "k8s.io/kubernetes", "KUBERNETES_VERSION"),
        ("go", "go.etcd.io/etcd/server/v3", "ETCD_VERSION"),
        ("go", "github.com/coredns/coredns", "COREDNS_VERSION"),
        ("go", "sigs.k8s.io/kind", "KIND_VERSION"),
        ("containerd", "github.com/containerd/containerd/v2", "CONTAINERD_VERSION"),
        ("metallb", "go.universe.tf/metallb", "METALLB_VERSION"),
    ],
)
def test_what_is_built_is_what_the_versions_file_says(module: str, package: str, name: str) -> None:
    text = (KIND / module / "go.mod").read_text()
    assert re.findall(rf"^\s*{re.escape(package)} v(\S+)", text, re.MULTILINE) == [VERSIONS[name]]


def test_go_that_is_fetched_is_new_enough() -> None:
    modules = [re.findall(r"^go (\S+)$", path.read_text(), re.MULTILINE)[0] for path in KIND.glob("*/go.mod")]
    newest = max(modules, key=lambda version: [int(part) for part in version.split(".")])
    assert newest == VERSIONS["GO_VERSION"]


def test_staging_modules_are_of_the_same_kubernetes() -> None:
    text = (KIND / "go/go.mod").read_text()
    versions = set(re.findall(r"=> k8s\.io/\S+ (\S+)", text))
    assert versions == {"v0." + VERSIONS["KUBERNETES_VERSION"].removeprefix("1.")}


def test_pulled_images_are_of_the_same_release() -> None:
    assert VERSIONS["NGINX_IMAGE"].endswith(":" + VERSIONS["NGINX_VERSION"])
    assert VERSIONS["PYTHON_IMAGE"].partition(":")[2].startswith(VERSIONS["PYTHON_VERSION"])
    minor = VERSIONS["KUBERNETES_VERSION"].rpartition(".")[0]
    assert re.fullmatch(rf"docker\.io/kindest/node:v{minor}\.\d+@sha256:[0-9a-f]{{64}}", VERSIONS["KIND_NODE_IMAGE"])


def test_the_load_balancer_that_the_role_installs_is_the_one_that_is_built() -> None:
    manifest = (KIND.parents[1] / "roles/kind_cluster/defaults/main.yml").read_text()
    assert re.findall(r"/metallb/v([^/]+)/", manifest) == [VERSIONS["METALLB_VERSION"]]


def test_manifest_names_our_images_instead_of_those_of_the_registry() -> None:
    lines = [f"image: {pulled}" for pulled in balancer.PULLED]
    assert balancer.ours("\n".join(lines)).splitlines() == [f"image: {built}" for built in balancer.BUILT]
    with pytest.raises(Missing, match=r"does not name quay\.io/metallb/speaker"):
        balancer.ours(lines[0])


def test_client_without_an_engine_is_no_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    docker = tmp_path / "docker"  # as that of Docker 26: it knows of itself
    docker.write_text('#!/bin/sh\n[ "$1" = info ] && echo || exit 1\n')
    docker.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    assert not host.docker_answers()


def test_closed_socket_without_rights_names_the_group(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host, "SOCKET", tmp_path / "socket")
    monkeypatch.setattr(host, "ask", lambda *_command: None)
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr(os, "access", lambda *_question: False)
    (tmp_path / "socket").touch()
    with pytest.raises(Missing, match="add yourself to the group docker"):
        host.open_socket(Shell(tmp_path / "log"))


def test_archive_holds_a_shared_layer_once_and_tells_its_true_digest(tmp_path: Path) -> None:
    root = tmp_path / "root"
    (root / "bin").mkdir(parents=True)
    (root / "bin/one").write_text("content")
    os.link(root / "bin/one", root / "bin/two")
    (root / "left-out").write_text("")
    layer = archive.layer(tmp_path / "layer", root, lambda entry: entry.name != "left-out")
    images = [archive.Image(("a:1", "a:2"), (layer,)), archive.Image(("b:1",), (layer,), {"Cmd": ["one"]})]
    archive.write(tmp_path / "images.tar", images, "amd64")

    with tarfile.open(tmp_path / "images.tar") as tar:
        manifest = json.loads(read(tar, "manifest.json"))
        configs = [json.loads(read(tar, one["Config"])) for one in manifest]
        assert [one["RepoTags"] for one in manifest] == [["a:1", "a:2"], ["b:1"]]
        assert manifest[0]["Layers"] == manifest[1]["Layers"]
        assert len([name for name in tar.getnames() if name.endswith("/layer.tar")]) == 1
        content = read(tar, manifest[0]["Layers"][0])
        assert configs[0]["rootfs"]["diff_ids"] == [f"sha256:{hashlib.sha256(content).hexdigest()}"]
        assert configs[1]["config"] == {"Cmd": ["one"]}
    with tarfile.open(tmp_path / "layer") as tar:
        assert tar.getnames() == ["bin", "bin/one", "bin/two"]
        assert tar.getmember("bin/two").islnk()


def read(tar: tarfile.TarFile, name: str) -> bytes:
    file = tar.extractfile(name)
    assert file
    return file.read()


def test_steps_wait_for_those_before_them(tmp_path: Path) -> None:
    order: list[str] = []

    def note(name: str) -> t.Callable[[Shell], None]:
        return lambda _shell: order.append(name)

    steps.run(
        [
            Step("last", note("last"), after=("middle", "first")),
            Step("middle", note("middle"), after=("first", "a step of another plan")),
            Step("first", note("first")),
        ],
        tmp_path,
    )
    assert order == ["first", "middle", "last"]


def test_a_failed_step_is_one_line_and_ends_the_others(tmp_path: Path) -> None:
    started = tmp_path / "started"

    def fail(shell: Shell) -> None:
        while not started.exists():
            time.sleep(0.01)
        shell.run("sh", "-c", "echo all is well; echo no space left >&2; exit 3")

    def go_on(shell: Shell) -> None:
        shell.run("sh", "-c", f"touch {started}; exec sleep 600")

    plan = [Step("compile", fail), Step("download", go_on), Step("never", go_on, after=("compile",))]
    with pytest.raises(Missing) as caught:
        steps.run(plan, tmp_path)
    assert str(caught.value).startswith("compile: sh failed with exit status 3: no space left (all of it: ")
    assert not (tmp_path / "never.log").exists()


def test_a_step_that_is_stopped_starts_nothing_more(tmp_path: Path) -> None:
    shell = Shell(tmp_path / "log")
    shell.stop()
    with pytest.raises(Missing, match="stopped"):
        shell.run("touch", tmp_path / "made")
    assert not (tmp_path / "made").exists()


@pytest.mark.skipif(not shutil.which("jq"), reason="needs jq, as the wrapper does")
@pytest.mark.parametrize("flag", ["--bundle", "-b", "--bundle=", "--process", "--process="])
def test_runtime_wrapper_takes_out_the_capability_and_nothing_else(tmp_path: Path, flag: str) -> None:
    process = {
        "args": ["echo", "CAP_SYS_RESOURCE"],
        "capabilities": {"bounding": ["CAP_CHOWN", "CAP_SYS_RESOURCE"], "ambient": []},
    }
    bundled = "-b" in flag
    spec = tmp_path / ("config.json" if bundled else "process.json")
    spec.write_text(json.dumps({"process": process, "hostname": "h"} if bundled else process))
    runc = tmp_path / "runc"
    runc.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    runc.chmod(0o755)
    value = str(tmp_path if bundled else spec)
    words = [flag + value] if flag.endswith("=") else [flag, value]

    said = subprocess.run(
        [KIND / "runc-bounded", "create", *words, "name"],
        env={"PATH": f"{tmp_path}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=True,
    ).stdout

    assert said.split() == ["create", *words, "name"]
    process["capabilities"]["bounding"] = ["CAP_CHOWN"]  # type: ignore[call-overload]
    assert json.loads(spec.read_text()) == ({"process": process, "hostname": "h"} if bundled else process)
