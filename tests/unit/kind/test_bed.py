# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The test bed's own parts that need neither Docker nor a network."""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import json
import os
import re
import shutil
import subprocess
import tarfile
import typing as t
from pathlib import Path

import archive
import balancer
import images
import pytest
from steps import Missing, Step
from versions import NGINX_TAG, PYTHON_TAG, VERSIONS, node_tag

KIND = Path(__file__).resolve().parents[2] / "kind"

# By its path: the tests of the fault cases have a module of that name too.
_found = importlib.util.spec_from_file_location("kind_bed", KIND / "bed.py")
assert _found
assert _found.loader
bed = importlib.util.module_from_spec(_found)
_found.loader.exec_module(bed)


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


@pytest.mark.parametrize(
    ("installed", "order"),
    [(True, ["docker", "rules", "plan", "other steps"]), (False, ["rules", "plan", "other steps and docker"])],
    ids=["installed", "not installed"],
)
def test_first_the_engine_then_whether_all_can_be_done_then_what_takes_long(
    monkeypatch: pytest.MonkeyPatch, *, installed: bool, order: list[str]
) -> None:
    seen: list[str] = []

    def note(plan: t.Sequence[Step], _logs: Path) -> None:
        words = ["other steps"] * any(step.name != "docker" for step in plan)
        seen.append(" and ".join(words + ["docker"] * any(step.name == "docker" for step in plan)))

    def look() -> list[Step]:
        seen.append("plan")
        return []

    monkeypatch.setattr(bed, "alone", contextlib.nullcontext)
    monkeypatch.setattr(bed, "has_engine", lambda: installed)
    monkeypatch.delenv("PLUMBLINE_ISOLATE", raising=False)
    monkeypatch.setattr(bed, "allow_rules", lambda: seen.append("rules"))
    monkeypatch.setattr(bed, "run", note)
    monkeypatch.setattr(bed, "write_variables", lambda: None)
    monkeypatch.setattr(images, "plan", look)
    monkeypatch.setattr(images, "are_ready", lambda: True)
    monkeypatch.setattr(balancer, "plan", list)
    bed.up()
    assert seen == order


def test_who_goes_without_rules_is_not_asked_for_the_right_to_set_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLUMBLINE_ISOLATE", "no")
    monkeypatch.setattr(bed, "alone", contextlib.nullcontext)
    monkeypatch.setattr(bed, "has_engine", lambda: True)
    monkeypatch.setattr(bed, "run", lambda *_plan: None)
    monkeypatch.setattr(bed, "write_variables", lambda: None)
    monkeypatch.setattr(images, "plan", list)
    monkeypatch.setattr(images, "are_ready", lambda: True)
    monkeypatch.setattr(balancer, "plan", list)
    monkeypatch.setattr(bed, "allow_rules", lambda: pytest.fail("asked"))
    bed.up()


@pytest.mark.parametrize(("value", "isolates"), [(None, True), ("no", False), ("yes", True)])
def test_rules_are_left_out_on_request_alone(
    monkeypatch: pytest.MonkeyPatch, value: str | None, *, isolates: bool
) -> None:
    monkeypatch.delenv("PLUMBLINE_ISOLATE", raising=False)
    if value is not None:
        monkeypatch.setenv("PLUMBLINE_ISOLATE", value)
    assert bed.isolates() is isolates


BUILT = {"kind_cluster_node_image": node_tag(), "kind_cluster_images": []}
PULLED = {"kind_cluster_node_image": VERSIONS["KIND_NODE_IMAGE"], "kind_cluster_images": [NGINX_TAG, PYTHON_TAG]}


@pytest.mark.parametrize(
    ("built", "balancer_built", "expected"),
    [
        (True, True, {**BUILT, "kind_cluster_load_balancer_manifest": str(balancer.MANIFEST)}),
        (True, False, BUILT),
        (False, False, PULLED),
    ],
    ids=["all built", "load balancer pulled", "all pulled"],
)
def test_variables_name_the_images_that_there_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, built: bool, balancer_built: bool, expected: dict[str, t.Any]
) -> None:
    monkeypatch.setattr(bed, "INVENTORY", tmp_path / "inventory.yml")
    monkeypatch.setattr(bed, "has_ipv6", lambda: False)
    monkeypatch.setattr(images, "is_present", lambda tag: built and tag == node_tag())
    monkeypatch.setattr(balancer, "is_loaded", lambda: balancer_built)
    bed.write_variables()
    variables = json.loads(bed.INVENTORY.read_text())["all"]["hosts"]["localhost"]
    about_images = ("kind_cluster_node_image", "kind_cluster_images", "kind_cluster_load_balancer_manifest")
    assert {name: variables[name] for name in about_images if name in variables} == expected
    assert variables["nginx_image"] == NGINX_TAG
    assert variables["kind_cluster_isolate"] is bed.isolates()
    assert variables["machine_has_ipv6"] is False


def test_registry_that_broke_off_is_followed_by_a_build(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pulled = Step("images from the registry", images.pull)
    built = Step("kubernetes", images.build_kubernetes)
    seen: list[str] = []
    monkeypatch.setattr(bed, "alone", contextlib.nullcontext)
    monkeypatch.setattr(bed, "has_engine", lambda: False)
    monkeypatch.setenv("PLUMBLINE_ISOLATE", "no")
    monkeypatch.setattr(bed, "run", lambda plan, _logs: seen.append(plan[-1].name))
    monkeypatch.setattr(bed, "write_variables", lambda: seen.append("variables"))
    monkeypatch.setattr(images, "plan", lambda: [pulled])
    monkeypatch.setattr(images, "build_plan", lambda: [built])
    monkeypatch.setattr(images, "are_ready", lambda: False)
    monkeypatch.setattr(balancer, "plan", list)
    bed.up()
    assert seen == ["images from the registry", "kubernetes", "variables"]
    assert "The registry broke off" in capsys.readouterr().out


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
