# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Faults that were recorded on a real cluster, judged and diagnosed again; `make faults` records them anew."""

from __future__ import annotations

import importlib.util
import re
import sys
import types
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

# Where neither a task nor a kubectl line mends the first cause, and why; all others have one.
_ADMINISTRATOR = "it stands before the cluster, or on its nodes: firewalls and proxies are not objects of the API"
_PLUGIN = "it is up to the network plugin, whose configuration each one has its own way for"
UNMENDED = {
    "F13-node-down": "the node itself has to come back",
    "F42-first-query-lost": "what loses packets between a node and the DNS servers is to be found on that node",
    "F46-not-enforced": _PLUGIN,
    "F51-no-load-balancer": "a controller has to be installed, and which one depends on where the cluster runs",
    "F51-no-way-in": _ADMINISTRATOR,
    "F51-no-way-to-one-node": _ADMINISTRATOR,
    "N10-answers-without-endpoint": _ADMINISTRATOR,
    "N12-tls-ended-on-the-way": _ADMINISTRATOR,
    "N4-large-packets-lost": _PLUGIN,
    "N6-hairpin": _PLUGIN,
    "N9-health-check-shut": _ADMINISTRATOR,
    "P2-stranger-not-denied": _PLUGIN,
}


@pytest.mark.parametrize("name", RECORDED)
def test_the_right_causes_and_no_others(name: str) -> None:
    case = CASES[name]
    look, recorded = recording.load(FAULTS / "recorded" / f"{name}.json.gz")
    confirmed = {tuple(item[:3]) for item in recorded if item[3] in ("fail", "warn")}
    found: list[Finding] = [finding for finding in judge(look) if not finding.complains or finding.key in confirmed]
    causes = diagnose(look, found)
    seen = [(cause.component, cause.title) for cause in causes]
    assert case.is_named_by([cause.component for cause in causes]), seen
    if case.components:
        assert re.search(case.words, causes[0].title), seen
    if case.advice:
        assert any(re.search(case.words, finding.message) for finding in found if finding.id == case.advice)
    fixes = [cause.fix for cause in causes[:1]]
    assert [bool(fix.kubectl or fix.task) for fix in fixes] == [name not in UNMENDED for _fix in fixes], fixes
    assert all(fix.text for fix in fixes)
    assert {cause.as_dict()["runbook"] for cause in causes} <= SECTIONS


# Without a Service there is nothing to look at, so there is no look to record: the answer is made without one, and has
# tests of its own.
UNRECORDED = {"F14-no-service"}


def test_every_case_is_recorded() -> None:
    assert set(RECORDED) == set(CASES) - UNRECORDED
    assert set(UNMENDED) <= set(RECORDED)
