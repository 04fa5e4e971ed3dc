# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Private to this collection: may change in any release.
"""JUnit XML as CI servers read it: one suite for each cluster, one case for each finding. Pure.

The shape is that of Jenkins' junit-10.xsd, which GitLab, GitHub's actions, Azure and others read, too. A case is named
by what does not change from run to run, so that its history can be followed: check, object and field.
"""

from __future__ import annotations

import json
import typing as t
import xml.etree.ElementTree as ET

from .model import Entry, Json, Report
from .text import block, tame, value

# status -> the element that says so. Something that could not be decided is not proven, which is what errors are for.
_ELEMENTS = {"fail": "failure", "inconclusive": "error", "skipped": "skipped"}


def junit(report: Report) -> str:
    """The document, also when there is no result at all: then the set-up is the case that failed."""
    entries = report.entries or (Entry("", error="there is no result at all"),)
    root = ET.Element("testsuites", name=tame(report.title))
    suites = [_suite(entry) for entry in entries]
    root.extend(suites)
    for name in ("tests", "failures", "errors"):
        root.set(name, str(sum(int(suite.get(name, "0")) for suite in suites)))
    root.set("time", f"{sum(float(suite.get('time', '0')) for suite in suites):.2f}")
    ET.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(root, encoding="unicode") + "\n"


def _suite(entry: Entry) -> ET.Element:
    name = ": ".join(filter(None, (entry.cluster, entry.subject)))
    suite = ET.Element("testsuite", name=tame(name) or "report")
    began = entry.document.get("time", "")
    if began.endswith("Z"):
        suite.set("timestamp", began[:-1])  # the type in the schemas knows no zone
    suite.set("time", f"{entry.document.get('elapsed', 0.0):.2f}")
    cases = [_set_up(entry)] if entry.error else _cases(entry)
    suite.extend(cases)
    suite.set("tests", str(len(cases)))
    for element, count in (("failure", "failures"), ("error", "errors"), ("skipped", "skipped")):
        suite.set(count, str(sum(case.find(element) is not None for case in cases)))
    if entry.causes:
        ET.SubElement(suite, "system-out").text = tame(_explain(entry.causes))
    return suite


def _set_up(entry: Entry) -> ET.Element:
    case = ET.Element("testcase", classname=tame(entry.cluster) or "report", name="set-up", time="0")
    ET.SubElement(case, "error", type="no result", message=tame(entry.error)).text = tame(entry.error)
    return case


def _cases(entry: Entry) -> list[ET.Element]:
    seen: dict[str, int] = {}
    cases = []
    for finding in sorted(entry.findings, key=lambda finding: (finding["id"], finding["object"], finding["field"])):
        name = " ".join(filter(None, (finding["id"], finding["object"], finding["field"])))
        seen[name] = seen.get(name, 0) + 1
        number = f" ({seen[name]})" if seen[name] > 1 else ""
        cases.append(_case(entry, finding, name + number))
    return cases


def _case(entry: Entry, finding: Json, name: str) -> ET.Element:
    where = f"{entry.cluster}.{finding['layer']}"
    case = ET.Element("testcase", classname=tame(where), name=tame(name), time="0")
    element = _ELEMENTS.get(finding["status"])
    message = tame(finding["message"])
    if element == "skipped":
        ET.SubElement(case, element, message=message)
    elif element:
        ET.SubElement(case, element, type=finding["status"], message=message).text = tame(_tell(finding))
    elif finding["status"] == "warn":
        ET.SubElement(case, "system-out").text = tame(f"warning: {_tell(finding)}")
    return case


def _tell(finding: Json) -> str:
    lines = [
        finding["message"],
        f"observed: {value(finding['observed'])}",
        f"expected: {value(finding['expected'])}",
        *([f"cause: {finding['cause']}"] if finding["cause"] else []),
        *([f"evidence: {json.dumps(finding['evidence'], ensure_ascii=False)}"] if finding["evidence"] else []),
    ]
    return "\n".join(lines)


def _explain(causes: t.Sequence[Json]) -> str:
    lines = []
    for number, cause in enumerate(causes, 1):
        lines += [
            f"Cause {number} ({cause['confidence'] or 'unknown'}): {cause['title']}",
            f"  object: {cause['object'] or 'none'} {cause['field']}".rstrip(),
            f"  observed: {value(cause['observed'])}",
            f"  expected: {value(cause['expected'])}",
            *[f"  fix: {line}" for line in (cause["fix"]["text"], *block(cause["fix"]["kubectl"]).split("\n")) if line],
            *([f"  runbook: {cause['runbook']}"] if cause["runbook"] else []),
        ]
    return "\n".join(lines)
