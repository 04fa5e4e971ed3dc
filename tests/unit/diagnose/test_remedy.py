# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which causes are mended, and which are left to people."""

from __future__ import annotations

import pytest

from ansible_collections.plumbline.kubernetes.plugins.module_utils.connectivity.diagnose.causes import (
    CERTAIN,
    LIKELY,
    POSSIBLE,
    Cause,
)
from ansible_collections.plumbline.kubernetes.plugins.module_utils.connectivity.diagnose.fix import Action, Fix
from ansible_collections.plumbline.kubernetes.plugins.module_utils.connectivity.remedy import KINDS, steps
from ansible_collections.plumbline.kubernetes.plugins.modules import diagnose, remediate
from ansible_collections.plumbline.kubernetes.tests.unit.fake_api import FakeApi
from ansible_collections.plumbline.kubernetes.tests.unit.module_runner import run_module

PATCH = Action("patch", "web", {"spec": {"selector": {"app": "web"}}})


def cause(component: str, confidence: str = CERTAIN, action: Action | None = PATCH) -> Cause:
    return Cause("X-1", "fail", "broken", component, confidence=confidence, fix=Fix("mend it", action=action))


@pytest.mark.parametrize(
    ("given", "allowed", "count"),
    [
        ([cause("selector")], list(KINDS), 1),
        ([cause("selector", LIKELY)], list(KINDS), 1),
        ([cause("selector", POSSIBLE)], list(KINDS), 0),
        ([cause("selector", action=None)], list(KINDS), 0),
        ([cause("selector")], ["target_port"], 0),
        ([cause("port/80")], ["target_port"], 1),
        ([cause("environment/web-1")], ["environment"], 1),
        ([cause("served")], ["certificate"], 1),
        ([cause("proxy/node-1")], list(KINDS), 0),
        ([cause("selector"), cause("selector")], list(KINDS), 1),
        ([], list(KINDS), 0),
    ],
)
def test_only_what_is_sure_and_allowed_is_mended_and_once(given: list[Cause], allowed: list[str], count: int) -> None:
    assert len(steps(given, allowed)) == count


def test_diagnose_runs_nothing_in_check_mode() -> None:
    with FakeApi() as api:
        result = run_module(diagnose, api, check=True, name="web", namespace="demo")
        assert api.sent() == []
    assert not result["changed"]
    assert result["msg"].startswith("would judge everything about Service demo/web from a probe pod")
    assert result["msg"].endswith("check mode runs nothing")


def test_without_probes_check_mode_names_no_pod() -> None:
    with FakeApi() as api:
        result = run_module(diagnose, api, check=True, name="web", namespace="demo", probe=False)
    assert "pod" not in result["msg"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"baseline": "/no/such/file.json"}, "baseline: /no/such/file.json cannot be read: No such file or directory"),
        ({"read_logs": "some"}, "value of read_logs must be one of: none, dns, all"),
    ],
)
def test_options_that_cannot_work_are_named_before_any_request(options: dict[str, str], message: str) -> None:
    with FakeApi() as api:
        result = run_module(diagnose, api, name="web", namespace="demo", **options)
        assert api.sent() == []
    assert result["failed"]
    assert message in result["msg"]


def test_a_missing_service_is_the_cause_and_is_not_made_up() -> None:
    with FakeApi() as api:
        result = run_module(remediate, api, name="web", namespace="demo")
        assert all(line.startswith("GET ") for line in api.sent())
    assert result["failed"]
    assert not result["changed"]
    assert result["causes"][0]["title"] == "there is no Service demo/web"
