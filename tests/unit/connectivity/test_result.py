# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Findings, reports and the file."""

from __future__ import annotations

import json
import stat
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from ansible_collections.plumbline.kubernetes.plugins.module_utils.connectivity.result import (
    FAIL,
    INCONCLUSIVE,
    PASS,
    SKIPPED,
    WARN,
    Finding,
    Report,
    printable,
    short,
    write,
)
from ansible_collections.plumbline.kubernetes.plugins.module_utils.kube.errors import OptionError

GOOD = Finding("EP-01", "endpoints", PASS, "fine")
BAD = Finding("EP-02", "endpoints", FAIL, "web-2 is missing", ["10.0.0.1"], ["10.0.0.1", "10.0.0.2"], "Pod demo/web-2")
ODD = Finding("DN-11", "dns", WARN, "odd")
OPEN = Finding("PR-01", "control", INCONCLUSIVE, "no client")
LEFT = Finding("EV-01", "environment", SKIPPED, "no right")


def report(*findings: Finding) -> Report:
    return Report("Service demo/web", "kind", findings, ("node-1", "node-2"), 1, 1.234)


def test_message_stands_alone_with_both_sides() -> None:
    assert report(GOOD, BAD, LEFT).message == (
        "Service demo/web: 1 pass, 1 fail, 1 skipped from 2 node(s):"
        " EP-02 web-2 is missing (observed 10.0.0.1; expected 10.0.0.1, 10.0.0.2)"
    )
    assert report(GOOD).message == "Service demo/web: 1 pass from 2 node(s)"
    assert report().message == "Service demo/web: nothing was checked from 2 node(s)"


def test_message_names_each_check_once_worst_first() -> None:
    message = report(ODD, OPEN, BAD, BAD).message
    assert message.index("EP-02") < message.index("PR-01") < message.index("DN-11")
    assert message.count("web-2 is missing") == 1
    assert "(and 1 more EP-02)" in message


def test_result_has_violated_findings_only_and_no_reserved_key() -> None:
    result = report(GOOD, BAD, LEFT).as_result()
    assert [finding["id"] for finding in result["findings"]] == ["EP-02"]
    assert result["summary"] == {"pass": 1, "fail": 1, "warn": 0, "skipped": 1, "inconclusive": 0}
    assert result["layers"] == {"endpoints": {"pass": 1, "fail": 1}, "environment": {"skipped": 1}}
    assert result["changed"] is False
    assert not {"skipped", "failed", "results", "warnings", "unreachable"} & set(result)
    assert json.loads(json.dumps(result)) == result


@pytest.mark.parametrize(
    ("finding", "failing"),
    [
        (GOOD, set()),
        (LEFT, set()),
        (ODD, {"warn"}),
        (OPEN, {"warn", "inconclusive"}),
        (BAD, {"warn", "inconclusive", "fail"}),
    ],
)
def test_what_fails(finding: Finding, failing: set[str]) -> None:
    assert {level for level in ("never", "fail", "inconclusive", "warn") if report(finding).fails(level)} == failing


def test_strangers_words_are_made_safe() -> None:
    hostile = "\x1b[2J\x00\u202e" + "a" * 5000
    found = Finding("X", "x", FAIL, hostile, {hostile: [hostile]}, evidence={"e": [hostile] * 500}).as_dict()
    text = json.dumps(found)
    assert "\\u001b" not in text
    assert "\\u0000" not in text
    assert "\\u202e" not in text
    assert len(found["message"]) <= 300
    assert found["evidence"]["e"][-1] == "and 400 more"
    assert len(Finding("X", "x", FAIL, hostile, hostile).line) <= 600


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, "none"),
        ([], "none"),
        ("a", "a"),
        (["a", "b"], "a, b"),
        ({"b", "a"}, "a, b"),
        (list("abcdefgh"), "a, b, c, d, e, f and 2 more"),
        ({"k": ["a", "b"]}, "k=a, b"),
        (0, "0"),
    ],
)
def test_short(value: object, expected: str) -> None:
    assert short(value) == expected


def test_numbers_and_truth_stay_as_they_are() -> None:
    assert printable({"a": 1, "b": True, "c": None, "d": 1.5}) == {"a": 1, "b": True, "c": None, "d": 1.5}


def test_document_says_when_and_what_was_seen() -> None:
    whole = replace(report(GOOD), started=datetime(2026, 11, 23, 12, 0, 5, 999, tzinfo=UTC), topology={"nodes": []})
    assert whole.as_document()["time"] == "2026-11-23T12:00:05Z"
    assert whole.as_document()["topology"] == {"nodes": []}
    assert (report().as_document()["time"], report().as_document()["topology"]) == ("", None)


def test_file_is_whole_and_private(tmp_path: Path) -> None:
    dest = tmp_path / "report.json"
    dest.write_text("old")
    dest.chmod(0o644)
    write(report(GOOD, BAD, LEFT).as_document(), str(dest))
    document = json.loads(dest.read_text())
    assert [finding["id"] for finding in document["findings"]] == ["EP-01", "EP-02", "EV-01"]
    assert stat.S_IMODE(dest.stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["report.json"]


def test_file_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match=r"dest: .*nowhere/report.json cannot be written: No such file"):
        write({}, str(tmp_path / "nowhere" / "report.json"))
    (tmp_path / "folder").mkdir()
    with pytest.raises(OptionError, match="cannot be written"):
        write({}, str(tmp_path / "folder"))
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]
