# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The module report: what it reads, what it writes, and when it changes something."""

from __future__ import annotations

import contextlib
import io
import json
import stat
import typing as t
from datetime import UTC, datetime
from pathlib import Path
from unittest import mock

import pytest
import yaml
from ansible.module_utils import _internal
from ansible.module_utils.testing import patch_module_args

from ansible_collections.plumbline.kubernetes.plugins.module_utils.report.module import OPTIONS
from ansible_collections.plumbline.kubernetes.plugins.modules import report
from ansible_collections.plumbline.kubernetes.tests.unit.report import samples

FILES = ["report.html", "report.json", "report.md", "report.xml"]


def run(*, check: bool = False, **arguments: t.Any) -> dict[str, t.Any]:
    given = {"_ansible_check_mode": check, "_ansible_diff": True, **arguments}
    output = io.StringIO()
    as_on_a_target = mock.patch.object(_internal, "is_controller", False)
    with as_on_a_target, patch_module_args(given), contextlib.redirect_stdout(output), contextlib.suppress(SystemExit):
        report.main()
    result: dict[str, t.Any] = json.loads(output.getvalue())
    return {"failed": False, **result}


def result_file(path: Path, found: samples.Document) -> str:
    path.write_text(json.dumps({**found, "time": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"}))
    return str(path)


def test_options_are_documented_as_they_are() -> None:
    def shape(options: dict[str, t.Any], nested: str) -> dict[str, t.Any]:
        keys = ("type", "elements", "default", "required")
        return {
            name: {key: option[key] for key in keys if key in option}
            | ({"options": shape(option[nested], nested)} if nested in option else {})
            for name, option in options.items()
        }

    documented = yaml.safe_load(report.DOCUMENTATION)["options"]
    assert shape(documented, "suboptions") == shape(OPTIONS, "options")


def test_writes_all_files_for_the_owner_once(tmp_path: Path) -> None:
    dest = tmp_path / "new" / "report"
    sources = [
        {"cluster": "blue", "path": result_file(tmp_path / "blue.json", samples.healthy())},
        {"cluster": "green", "path": result_file(tmp_path / "green.json", samples.broken())},
    ]
    first = run(sources=sources, dest=str(dest))
    assert (first["failed"], first["changed"], first["verdict"]) == (False, True, "fail")
    assert first["msg"] == "2 clusters: 1 broken, 1 good"
    assert (
        sorted(path.name for path in dest.iterdir()) == FILES == sorted(Path(f).name for f in first["files"].values())
    )
    assert {stat.S_IMODE(path.stat().st_mode) for path in dest.iterdir()} == {0o600}
    assert stat.S_IMODE(dest.stat().st_mode) == 0o700
    assert first["diff"]["before"] == ""
    assert "Root cause" in first["diff"]["after"]
    times = {path.name: path.stat().st_mtime_ns for path in dest.iterdir()}
    second = run(sources=sources, dest=str(dest))
    assert (second["changed"], second["diff"]) == (False, {})
    assert {path.name: path.stat().st_mtime_ns for path in dest.iterdir()} == times


def test_check_mode_tells_the_change_and_writes_nothing(tmp_path: Path) -> None:
    sources = [{"cluster": "blue", "path": result_file(tmp_path / "blue.json", samples.healthy())}]
    dest = tmp_path / "report"
    assert run(check=True, sources=sources, dest=str(dest))["changed"]
    assert not dest.exists()
    assert run(sources=sources, dest=str(dest))["changed"]
    assert not run(check=True, sources=sources, dest=str(dest))["changed"]


def test_a_file_that_others_may_read_or_that_was_altered_is_written_anew(tmp_path: Path) -> None:
    sources = [{"cluster": "blue", "path": result_file(tmp_path / "blue.json", samples.healthy())}]
    dest = tmp_path / "report"
    run(sources=sources, dest=str(dest))
    (dest / "report.html").chmod(0o644)
    assert run(sources=sources, dest=str(dest))["changed"]
    assert stat.S_IMODE((dest / "report.html").stat().st_mode) == 0o600
    (dest / "report.xml").write_text("altered")
    assert run(sources=sources, dest=str(dest))["changed"]
    assert (dest / "report.xml").read_text().startswith("<?xml")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "was not written"),
        ("", "is not JSON"),
        ("{", "is not JSON"),
        ("[" * 100_000, "is not JSON"),
        (b"\xff\xfe", "is not JSON"),
        ("[]", "is no result document of version 1"),
        (json.dumps(samples.healthy()), "there is no new result: the last one is of 2026-11-23T12:00:00Z"),
    ],
)
def test_what_is_missing_is_in_the_report_as_an_error(content: str | bytes | None, words: str, tmp_path: Path) -> None:
    path = tmp_path / "red.json"
    if content is not None:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    dest = tmp_path / "report"
    max_age = 1 if content and str(content).startswith('{"version"') else 60
    found = run(sources=[{"cluster": "red", "path": str(path)}], dest=str(dest), max_age=max_age)
    assert (found["failed"], found["verdict"]) == (False, "error")
    assert words in found["msg"]
    assert words in (dest / "report.xml").read_text()
    assert 'errors="1"' in (dest / "report.xml").read_text()


def test_a_source_without_a_file_and_no_source_at_all(tmp_path: Path) -> None:
    for number, sources in enumerate(([{"cluster": "red"}], [{"cluster": "red", "path": ""}], [])):
        dest = tmp_path / str(number)
        assert run(sources=sources, dest=str(dest))["verdict"] == "error"
        assert 'errors="1"' in (dest / "report.xml").read_text()


def test_age_can_be_left_out_of_account(tmp_path: Path) -> None:
    path = tmp_path / "old.json"
    path.write_text(json.dumps({**samples.healthy(), "time": "2020-01-01T00:00:00Z"}))
    sources = [{"cluster": "blue", "path": str(path)}]
    assert run(sources=sources, dest=str(tmp_path / "report"), max_age=0)["verdict"] == "pass"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"dest": "{tmp}/file"}, "dest: {tmp}/file is a file, expected a folder"),
        ({"dest": "{tmp}/file/below"}, "dest: {tmp}/file/below cannot be written: Not a directory"),
        ({"dest": "{tmp}/x", "max_age": -1}, "max_age: -1 given, at least 0 expected"),
    ],
)
def test_what_cannot_work_is_one_line(options: dict[str, t.Any], message: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    given = {**options, "dest": options["dest"].format(tmp=tmp_path)}
    found = run(sources=[], **given)
    assert found["failed"]
    assert found["msg"] == message.format(tmp=tmp_path)


def test_all_files_or_none(tmp_path: Path) -> None:
    dest = tmp_path / "report"
    (dest / "report.md").mkdir(parents=True)
    found = run(sources=[{"cluster": "red"}], dest=str(dest))
    assert found["failed"]
    assert "cannot be written" in found["msg"]
    assert not [path.name for path in dest.iterdir() if path.name.startswith(".")]
