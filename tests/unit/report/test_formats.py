# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The formats of a report: what they say, that they are valid, and that words of strangers stay words."""

from __future__ import annotations

import json
import re
import typing as t
import xml.etree.ElementTree as ET
from datetime import timedelta
from html.parser import HTMLParser
from pathlib import Path

import jsonschema
import pytest
import xmlschema

from ansible_collections.plumbline.kubernetes.plugins.module_utils.report import assets, model
from ansible_collections.plumbline.kubernetes.plugins.module_utils.report.markdown import code, fenced, words
from ansible_collections.plumbline.kubernetes.plugins.module_utils.report.model import Entry, Report
from ansible_collections.plumbline.kubernetes.plugins.module_utils.report.module import render
from ansible_collections.plumbline.kubernetes.plugins.module_utils.report.page import page, policy
from ansible_collections.plumbline.kubernetes.plugins.module_utils.report.text import block, duration, tame, value
from ansible_collections.plumbline.kubernetes.tests.unit.report import samples
from ansible_collections.plumbline.kubernetes.tests.unit.report.hostile import FORBIDDEN, HOSTILE, SCRIPT, document

SCHEMA = json.loads((Path(__file__).resolve().parents[3] / "docs/report.schema.json").read_text())
FORMATS = ("html", "junit", "json", "markdown")
VOID = {"br", "hr", "img", "input", "link", "meta", "path", "rect", "circle"}


def entry(name: str, found: t.Any) -> Entry:
    return model.entry(name, found, now=samples.STARTED, max_age=None)


HEALTHY = Report("Title", (entry("blue", samples.healthy()),))
BROKEN = Report("Title", (entry("green", samples.broken()),))
SEVERAL = Report(
    "Title",
    (
        entry("blue", samples.healthy()),
        entry("green", samples.broken()),
        entry("amber", samples.empty()),
        entry("grey", samples.unready()),
        Entry("red", error="there is no result: results/red.json was not written"),
    ),
)
ATTACKED = Report(model.line(HOSTILE), (entry(HOSTILE, document()), Entry(model.line(HOSTILE), model.line(HOSTILE))))
NOTHING = Report("Title", ())
REPORTS = {"healthy": HEALTHY, "broken": BROKEN, "several": SEVERAL, "attacked": ATTACKED, "nothing": NOTHING}
every_report = pytest.mark.parametrize("report", REPORTS.values(), ids=REPORTS)


class Parsed(HTMLParser):
    """Elements with their attributes; complains about what is not closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.ids: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


# ----- all formats


@every_report
@pytest.mark.parametrize("kind", FORMATS)
def test_nothing_that_controls_a_terminal_or_a_ci_server(report: Report, kind: str) -> None:
    text = render(report)[kind]
    text.encode("utf-8")
    assert not set(text) & set(FORBIDDEN)
    assert {character for character in text if ord(character) < 32} <= {"\n"}
    if kind in ("junit", "markdown"):
        assert not re.search(r"(?m)^\s*::[A-Za-z-]+( [^\n]*)?::", text)
        assert "##vso[" not in text
        assert "##[" not in text
        assert "##teamcity[" not in text


@every_report
def test_the_same_input_gives_the_same_bytes(report: Report) -> None:
    assert render(report) == render(report)


def test_json_follows_its_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    for report in REPORTS.values():
        jsonschema.validate(json.loads(render(report)["json"]), SCHEMA, jsonschema.Draft202012Validator)


def test_the_schema_says_no_to_what_a_report_is_not() -> None:
    good = json.loads(render(BROKEN)["json"])
    for path in (("verdict",), ("clusters", 0, "result", "findings", 0, "status"), ("clusters", 0, "result", "causes")):
        wrong = json.loads(json.dumps(good))
        place: t.Any = wrong
        for step in path[:-1]:
            place = place[step]
        place[path[-1]] = "otherwise"
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(wrong, SCHEMA, jsonschema.Draft202012Validator)


def test_what_a_report_does_not_know_it_does_not_show() -> None:
    found = samples.healthy()
    found["secret"] = found["topology"]["token"] = found["findings"][0]["password"] = "S3cret-value"
    assert "S3cret-value" not in "".join(render(Report("t", (entry("blue", found),))).values())


# ----- the page


@every_report
def test_page_is_well_formed_and_has_no_element_of_a_stranger(report: Report) -> None:
    parsed = Parsed(page(report))
    tags = {tag for tag, _attributes in parsed.elements}
    assert not tags & {"img", "b", "iframe", "object", "embed", "base", "link", "textarea"}
    assert [tag for tag, _attributes in parsed.elements].count("script") == 2
    for tag, attributes in parsed.elements:
        assert not [name for name in attributes if name.startswith("on") or name in ("style", "src", "action")], tag
        assert (attributes.get("href") or "#").startswith("#")
    ids = [attributes["id"] for _tag, attributes in parsed.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    for _tag, attributes in parsed.elements:
        for name in ("aria-labelledby", "data-for"):
            assert set((attributes.get(name) or "").split()) <= set(ids)


def test_a_strangers_script_is_text() -> None:
    text = page(ATTACKED)
    assert SCRIPT not in text
    assert SCRIPT in "".join(Parsed(text).texts)
    assert "{{ 7*7 }}" in text


@every_report
def test_embedded_json_is_the_report(report: Report) -> None:
    text = page(report).partition('<script type="application/json" id="data">')[2].partition("</script>")[0]
    assert "<" not in text
    assert json.loads(text) == json.loads(render(report)["json"])


@every_report
def test_pictures_are_well_formed_xml_with_words(report: Report) -> None:
    drawings = re.findall(r'<svg class="picture".*?</svg></div>', page(report), re.DOTALL)
    assert len(drawings) == sum(bool(one.topology) for one in report.entries)
    for drawing in drawings:
        root = ET.fromstring(drawing.removesuffix("</div>"))
        assert root.get("role") == "img"
        assert [child.tag for child in root][:2] == ["title", "desc"]
        assert all((child.text or "").strip() for child in list(root)[:2])


def test_policy_names_the_page_and_nothing_else() -> None:
    text = page(BROKEN)
    assert f'content="{policy()}"'.replace("'", "&#39;") in text
    assert policy().startswith("default-src 'none'; style-src 'sha256-")
    assert "unsafe" not in policy()
    assert "http://" not in text
    assert re.findall(r"https://\S+", text.replace("https://127.0.0.1:6443", "")) == []


def test_the_root_cause_comes_first() -> None:
    text = page(BROKEN)
    cause = text.index("Pod web-2 is Ready but nothing listens on port 80")
    assert (
        cause < text.index("The service proxy of node-2") < text.index('class="picture"') < text.index("All findings")
    )
    assert "kubectl -n demo patch service web" in text


def test_each_cause_names_its_runbook() -> None:
    texts = render(BROKEN)
    for runbook in (cause["runbook"] for cause in BROKEN.entries[0].causes):
        assert f"<code>{runbook}</code>" in texts["html"]
        assert f"Runbook: `{runbook}`" in texts["markdown"]
        assert f"  runbook: {runbook}" in texts["junit"]
    # A file of an earlier release has none.
    old = samples.broken()
    for cause in old["causes"]:
        del cause["runbook"]
    assert not any("unbook:" in text for text in render(Report("Old", (entry("green", old),))).values())


def test_page_is_made_for_keyboards_and_screen_readers() -> None:
    parsed = Parsed(page(SEVERAL))
    tags = [tag for tag, _attributes in parsed.elements]
    assert {"header", "main", "footer"} <= set(tags)
    assert tags.count("h1") == 1
    assert tags.count("table") == tags.count("caption")
    assert parsed.elements[0] == ("html", {"lang": "en"})
    assert all(attributes.get("scope") for tag, attributes in parsed.elements if tag == "th")
    scrolled = [attributes for _tag, attributes in parsed.elements if attributes.get("class") in ("scroll", "canvas")]
    assert all("tabindex" in attributes and "role" in attributes for attributes in scrolled)
    assert scrolled


def luminance(colour: str) -> float:
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    """WCAG 2.2, relative luminance."""
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
def test_text_can_be_read_in_both_schemes(scheme: int) -> None:
    colours = dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{6});", assets.STYLE.split("@media")[scheme]))
    pairs = [(text, ground) for text in ("text", "quiet") for ground in ("ground", "card", "soft")]
    pairs += [(text, "card") for text in ("fail", "warn", "pass", "unsure", "focus")]
    pairs += [(text, f"{kind}-soft") for kind in ("fail", "warn") for text in ("text", "quiet", kind)]
    for text, ground in pairs:
        assert contrast(colours[text], colours[ground]) >= 4.5, (text, ground)


# ----- JUnit

JUNIT = xmlschema.XMLSchema(Path(__file__).with_name("junit.xsd"))


@every_report
def test_junit_is_what_ci_servers_read(report: Report) -> None:
    text = render(report)["junit"]
    JUNIT.validate(text)
    for suite in ET.fromstring(text.encode()):
        assert int(suite.get("tests", "")) == len(suite.findall("testcase"))
        for tag, attribute in (("failure", "failures"), ("error", "errors"), ("skipped", "skipped")):
            assert int(suite.get(attribute, "")) == len(suite.findall(f"testcase/{tag}"))


@pytest.mark.parametrize(
    ("good", "bad"),
    [
        ('tests="', 'tests="many'),
        ('timestamp="2026-11-23T12:00:00"', 'timestamp="2026-11-23T12:00:00Z"'),
        ('time="0"', 'time="-1"'),
        (' name="EP-11', ' title="EP-11'),
        ('type="fail"', ""),
        ("<failure ", "<broken/><failure "),
        ('name="DN-02"', 'name="DN-01"'),
    ],
)
def test_the_schema_of_junit_says_no_to_what_no_ci_server_reads(good: str, bad: str) -> None:
    text = render(BROKEN)["junit"]
    assert JUNIT.is_valid(text)
    assert good in text
    assert not JUNIT.is_valid(text.replace(good, bad, 1))


def test_a_cluster_without_a_result_is_an_error_for_ci() -> None:
    root = ET.fromstring(render(SEVERAL)["junit"])
    (error,) = root.findall("testsuite[@name='red']/testcase[@name='set-up']/error")
    assert error.get("message") == "there is no result: results/red.json was not written"
    assert ET.fromstring(render(NOTHING)["junit"]).get("errors") == "1"


def test_findings_are_cases() -> None:
    root = ET.fromstring(render(BROKEN)["junit"])
    failed = {case.get("name") for case in root.iter("testcase") if case.find("failure") is not None}
    assert "EP-11 Pod demo/web-2 10.244.2.5:80" in failed
    assert len(failed) == 3
    out = root.findtext("testsuite/system-out") or ""
    assert out.startswith("Cause 1 (certain): Pod web-2 is Ready but nothing listens on port 80")


@pytest.mark.parametrize(
    ("status", "element"),
    [("fail", "failure"), ("inconclusive", "error"), ("warn", "system-out"), ("skipped", "skipped"), ("pass", None)],
)
def test_what_a_status_is_for_ci(status: str, element: str | None) -> None:
    found = {"version": 1, "findings": [{"id": "X-1", "layer": "x", "status": status, "message": "m"}]}
    root = ET.fromstring(render(Report("t", (entry("c", found),)))["junit"])
    assert [child.tag for child in next(root.iter("testcase"))] == ([element] if element else [])


# ----- Markdown


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain words, 10.0.0.1:80", "plain words, 10.0.0.1:80"),
        ("<b>*bold*</b> _x_", r"\<b\>\*bold\*\</b\> \_x\_"),
        ("[a](b) ![i](j)", r"\[a\](b) \!\[i\](j)"),
        ("ask @all now", "ask `@all` now"),
        ("nginx@sha256:0abc", "`nginx@sha256:0abc`"),
        ("see https://evil.example/?a=1", "see `https://evil.example/?a=1`"),
        ("a | b # c &amp;", r"a \| b \# c \&amp;"),
    ],
)
def test_text_of_strangers_in_a_ticket(text: str, expected: str) -> None:
    assert words(text) == expected


def test_code_cannot_be_left() -> None:
    assert code("a`b") == "``a`b``"
    assert code("`a`") == "`` `a` ``"
    assert fenced("x\n````\ny", "sh") == "`````sh\nx\n````\ny\n`````"


def test_ticket_says_what_to_do() -> None:
    ticket = render(BROKEN)["markdown"]
    assert ticket.index("### Root cause, certain: Pod web-2") < ticket.index("### Further cause, likely")
    assert "```sh\nkubectl -n demo patch service web" in ticket
    assert "- **fail** EP-11" in ticket
    assert "DN-03" not in ticket
    assert render(HEALTHY)["markdown"].splitlines()[2] == "**good**: Nothing is wrong"


@every_report
def test_ticket_has_no_live_html_or_link(report: Report) -> None:
    outside = re.sub(r"(?ms)^(`{3,})(?!`)[^\n]*\n.*?\n\1$", "", render(report)["markdown"])
    outside = re.sub(r"(?<!\\)(`+)(?!`).*?(?<!`)\1(?!`)", "", outside)
    assert not re.search(r"(?<!\\)<[a-z/!]", outside)
    assert not re.search(r"(?<!\\)\]\(", outside)
    assert "://" not in outside
    assert "@" not in outside


# ----- the model


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("::error::x", ": :error::x"),
        ("a ::warning file=a::b", "a : :warning file=a::b"),
        ("##vso[task]", "# #vso[task]"),
        ("##[group]", "# #[group]"),
        ("fd00::1 and ::1 and fe80::abcd fe80::ef", "fd00::1 and ::1 and fe80::abcd fe80::ef"),
        ("## heading", "## heading"),
    ],
)
def test_commands_of_ci_servers_are_tamed(text: str, expected: str) -> None:
    assert tame(text) == expected
    assert tame(expected) == expected


def test_a_block_keeps_its_lines() -> None:
    assert block("\na:\n  b: \x1b[31m1\r\n\tc\n") == "a:\n  b:  [31m1\n  c"


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (None, "none"),
        ([], "none"),
        (True, "yes"),
        (0, "0"),
        (["a", "b"], "a, b"),
        ({"a": [1, 2], "b": None}, "a: 1, 2; b: none"),
        (list("abcdefghij"), "a, b, c, d, e, f, g, h and 2 more"),
    ],
)
def test_values_as_people_write_them(found: t.Any, expected: str) -> None:
    assert value(found) == expected


@pytest.mark.parametrize(("ms", "expected"), [(0.844, "0.844 ms"), (12.34, "12.3 ms"), (999.6, "1 s"), (2100, "2.1 s")])
def test_durations(ms: float, expected: str) -> None:
    assert duration(ms) == expected


@pytest.mark.parametrize(
    "found", [None, [], "x", 1, {}, {"version": 2, "findings": []}, {"version": 1}, {"version": 1, "findings": {}}]
)
def test_what_is_no_result_is_an_error(found: t.Any) -> None:
    assert entry("c", found).verdict == "error"
    assert "no result document of version 1" in entry("c", found).title


@pytest.mark.parametrize(
    "change",
    [
        {"findings": [None, 1, "x", [], {}, {"status": "otherwise"}]},
        {"topology": "x", "causes": "x", "nodes": 1, "elapsed": "soon", "time": 12},
        {"topology": {"clients": [1], "edges": [{"classes": [], "ms": "x"}], "service": []}, "causes": [1, None]},
        {"elapsed": float("nan"), "rounds": float("inf"), "nodes": [{"a": 1}]},
    ],
)
def test_a_damaged_document_is_shown_as_far_as_it_goes(change: dict[str, t.Any]) -> None:
    found = Report("t", (entry("c", {**samples.healthy(), **change}),))
    texts = render(found)
    jsonschema.validate(json.loads(texts["json"]), SCHEMA, jsonschema.Draft202012Validator)
    Parsed(texts["html"])


@pytest.mark.parametrize(
    ("statuses", "verdict"),
    [
        ([], "skipped"),
        (["skipped"], "skipped"),
        (["pass", "skipped"], "pass"),
        (["pass", "warn"], "warn"),
        (["warn", "inconclusive"], "inconclusive"),
        (["pass", "fail", "inconclusive"], "fail"),
    ],
)
def test_verdict_is_the_worst_status(statuses: list[str], verdict: str) -> None:
    assert entry("c", {"version": 1, "findings": [{"status": status} for status in statuses]}).verdict == verdict


def test_a_result_of_an_earlier_run_does_not_count() -> None:
    hour = timedelta(hours=1)
    old = model.entry("c", samples.healthy(), now=samples.STARTED + hour + timedelta(seconds=1), max_age=hour)
    assert old.verdict == "error"
    assert "2026-11-23T12:00:00Z, over 60 minutes old" in old.title
    assert model.entry("c", samples.healthy(), now=samples.STARTED + hour, max_age=hour).verdict == "pass"
