# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Faults that were recorded on a real cluster, as reports: from the look to the page."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from datetime import UTC, datetime
from pathlib import Path

import jsonschema
import pytest

from ansible_collections.plumbline.kubernetes.plugins.module_utils.connectivity.checks import judge
from ansible_collections.plumbline.kubernetes.plugins.module_utils.connectivity.diagnose.causes import diagnose
from ansible_collections.plumbline.kubernetes.plugins.module_utils.connectivity.result import Report as Result
from ansible_collections.plumbline.kubernetes.plugins.module_utils.connectivity.topology import topology
from ansible_collections.plumbline.kubernetes.plugins.module_utils.report import model
from ansible_collections.plumbline.kubernetes.plugins.module_utils.report.lines import Style, judged
from ansible_collections.plumbline.kubernetes.plugins.module_utils.report.model import Report
from ansible_collections.plumbline.kubernetes.plugins.module_utils.report.module import render
from ansible_collections.plumbline.kubernetes.tests.unit.diagnose.test_replay import FAULTS, RECORDED, recording
from ansible_collections.plumbline.kubernetes.tests.unit.report.test_formats import JUNIT, SCHEMA, Parsed


def result(name: str) -> Result:
    """What a run reports that sees what was recorded."""
    look, found = recording.load(Path(FAULTS, "recorded", f"{name}.json.gz"))
    confirmed = {tuple(item[:3]) for item in found if item[3] in ("fail", "warn")}
    findings = tuple(finding for finding in judge(look) if not finding.complains or finding.key in confirmed)
    causes = diagnose(look, findings)
    return Result(
        look.service.label, "kind", findings, ("a",), 2, 1.0, look.now, topology=topology(look), causes=causes
    )


def recorded(name: str) -> model.Entry:
    """The same as a cluster of a report."""
    document = json.loads(json.dumps(result(name).as_document()))
    return model.entry(name, document, now=datetime.now(UTC), max_age=None)


@pytest.mark.parametrize("name", RECORDED)
def test_a_real_fault_is_shown_cause_first(name: str) -> None:
    found = result(name)
    document = json.loads(json.dumps(found.as_document()))
    entry = model.entry("kind", document, now=datetime.now(UTC), max_age=None)
    texts = render(Report(name, (entry,)))
    jsonschema.validate(json.loads(texts["json"]), SCHEMA, jsonschema.Draft202012Validator)
    JUNIT.validate(texts["junit"])
    # Nothing that the engine says gets lost on the way: all it writes is known to the report.
    assert set(document) - {"version", "summary", "state"} <= set(entry.document)
    assert document["topology"] == entry.document["topology"]
    text = Parsed(texts["html"])
    if found.causes:
        title = document["causes"][0]["title"]
        assert title in "".join(text.texts)
        assert title in (ET.fromstring(texts["junit"]).findtext("testsuite/system-out") or "")
        lines = [line.text for line in judged("kind", found.as_result(), Style(True, 80))]
        assert any("ROOT CAUSE" in line for line in lines[-30:])
    else:
        assert entry.verdict in ("pass", "warn")
