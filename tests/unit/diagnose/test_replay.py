# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Faults that were recorded on a real cluster, judged and diagnosed again; `make faults` records them anew."""

from __future__ import annotations

import importlib.util
import re
import sys
import types
from fnmatch import fnmatchcase
from pathlib import Path

import pytest

from ansible_collections.plumbline.kubernetes.plugins.module_utils.connectivity.checks import judge
from ansible_collections.plumbline.kubernetes.plugins.module_utils.connectivity.diagnose.causes import diagnose
from ansible_collections.plumbline.kubernetes.plugins.module_utils.connectivity.result import Finding
from ansible_collections.plumbline.kubernetes.tests import docs

FAULTS = Path(__file__).parents[2] / "faults"
SECTIONS = docs.known("causes", "checks")


def sibling(name: str) -> types.ModuleType:
    """A file of tests/faults, which is a program and no package."""
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, FAULTS / f"{name}.py")
        assert spec
        assert spec.loader
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        spec.loader.exec_module(module)
    return sys.modules[name]


sibling("bed")
CASES = {case.name: case for case in sibling("cases").CASES}
recording = sibling("recording")
RECORDED = sorted(path.name.removesuffix(".json.gz") for path in (FAULTS / "recorded").glob("*.json.gz"))


@pytest.mark.parametrize("name", RECORDED)
def test_the_right_cause_comes_first(name: str) -> None:
    case = CASES[name]
    look, recorded = recording.load(FAULTS / "recorded" / f"{name}.json.gz")
    confirmed = {tuple(item[:3]) for item in recorded if item[3] in ("fail", "warn")}
    found: list[Finding] = [finding for finding in judge(look) if not finding.complains or finding.key in confirmed]
    causes = diagnose(look, found)
    seen = [(cause.component, cause.title) for cause in causes]
    assert len(causes) >= len(case.components), seen
    for cause, pattern in zip(causes, case.components, strict=False):
        assert any(fnmatchcase(cause.component, one) for one in pattern.split("|")), seen
    if case.components:
        assert re.search(case.words, causes[0].title), seen
    else:
        assert not causes, seen
    if case.advice:
        assert any(re.search(case.words, finding.message) for finding in found if finding.id == case.advice)
    assert {cause.as_dict()["runbook"] for cause in causes} <= SECTIONS


def test_every_recording_is_of_a_case() -> None:
    assert set(RECORDED) <= set(CASES)
    assert RECORDED
