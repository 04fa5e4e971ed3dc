# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The page in a real browser: it renders, is silent, asks nobody, and its filters work."""

from __future__ import annotations

import os
import typing as t

import pytest

from ansible_collections.plumbline.kubernetes.plugins.module_utils.report.model import Entry, Report, entry
from ansible_collections.plumbline.kubernetes.plugins.module_utils.report.page import page
from ansible_collections.plumbline.kubernetes.tests.unit.report import browser, samples
from ansible_collections.plumbline.kubernetes.tests.unit.report.hostile import document
from ansible_collections.plumbline.kubernetes.tests.unit.report.test_recorded import RECORDED, recorded

# `.ci/run` sets this: there the tests must run.
REQUIRED = os.environ.get("PLUMBLINE_BROWSER") == "required"
CHROMIUM = browser.find()

pytestmark = pytest.mark.skipif(
    not CHROMIUM and not REQUIRED, reason=f"none of {', '.join(browser.NAMES)} is installed (`make unit` tries to)"
)

VISIBLE = "Array.from(document.querySelectorAll('tr.row')).filter(row => row.offsetParent).length"


Show = t.Callable[..., browser.Page]


@pytest.fixture(scope="module")
def show(tmp_path_factory: pytest.TempPathFactory) -> t.Iterator[Show]:
    """Opens the page of some clusters in a tab of its own."""
    assert CHROMIUM, f"none of {', '.join(browser.NAMES)} is installed"
    with browser.started(CHROMIUM) as connection:

        def opened(*entries: Entry) -> browser.Page:
            file = tmp_path_factory.mktemp("page") / "report.html"
            file.write_text(page(Report("Is the Service reachable?", entries)), encoding="utf-8")
            shown = browser.Page(connection)
            shown.open(file.as_uri())
            return shown

        yield opened


def sample(name: str, found: samples.Document) -> Entry:
    return entry(name, found, now=samples.STARTED, max_age=None)


def test_page_is_silent_and_filters_work(show: Show) -> None:
    shown = show(sample("green", samples.broken()))
    many = shown.run("document.querySelectorAll('tr.row').length")
    bad = shown.run("document.querySelectorAll('tr.row[data-status=fail]').length")
    assert 0 < bad < many
    assert shown.run("document.querySelector('.tools').hidden") is False
    assert shown.run(VISIBLE) == bad
    shown.run("document.querySelector('input[value=pass]').click()")
    assert shown.run(VISIBLE) == many
    shown.run("document.querySelector('input[value=fail]').click()")
    assert shown.run(VISIBLE) == many - bad
    search = (
        "var s = document.querySelector('input[type=search]'); s.value = 'SV-04'; s.dispatchEvent(new Event('input'))"
    )
    shown.run(search)
    assert shown.run(VISIBLE) == 1
    assert shown.run("document.querySelector('output').textContent") == f"1 of {many} shown"
    shown.run(search.replace("SV-04", "nowhere to be found"))
    assert shown.run("document.querySelector('tr.none').offsetParent !== null")
    shown.run("document.getElementById('save').click()")
    headline = "getComputedStyle(document.querySelector('.headline')).fontSize"
    assert shown.run(f"parseFloat({headline})") >= 24
    assert shown.run("document.querySelector('svg.picture').getBoundingClientRect().height") > 100
    assert shown.complaints == []
    assert [url for url in shown.requests if not url.startswith(("file:", "blob:"))] == []
    assert sum(url.startswith("file:") for url in shown.requests) == 1


# What has the focus, whether it can be seen, and whether its outline can.
FOCUS = """(() => {
  const it = document.activeElement, box = it.getBoundingClientRect(), style = getComputedStyle(it);
  const label = it.getAttribute('aria-label') || it.getAttribute('aria-labelledby');
  const name = (it.id || it.value || label || it.textContent).trim();
  const seen = box.width > 0 && box.top < innerHeight && box.bottom > 0 && box.left >= 0;
  return {tag: it.tagName, name, seen, outline: style.outlineStyle, width: parseFloat(style.outlineWidth)};
})()"""


def test_everything_is_reached_by_keyboard_and_the_focus_can_be_seen(show: Show) -> None:
    shown = show(sample("blue", samples.healthy()), sample("green", samples.broken()))
    found = []
    for _press in range(100):
        shown.press("Tab")
        focus = shown.run(FOCUS)
        if focus["tag"] == "BODY":
            break
        found.append(focus)
    assert [focus for focus in found if not focus["seen"] or focus["outline"] == "none" or focus["width"] < 2] == []
    names = [(focus["tag"], focus["name"]) for focus in found]
    assert names[0] == ("A", "Skip to the result")
    # In the order of the page: rows of clusters; then of each what unfolds, scrolls and filters; then the data.
    picture, good = ("DIV", "Picture of the topology, scrolls sideways"), ("INPUT", "pass")
    expected = [
        ("A", "blue"),
        ("A", "green"),
        picture,
        good,
        ("SUMMARY", "As a task"),
        picture,
        ("INPUT", "fail"),
        good,
    ]
    assert [name for name in names if name in expected] == expected
    assert names[-1] == ("BUTTON", "save")
    everything = "Array.from(document.querySelectorAll('a[href], button, input, summary, [tabindex=\"0\"]'))"
    reachable = f"{everything}.filter(it => it.checkVisibility()).length"
    assert len(found) == shown.run(reachable)
    assert shown.complaints == []


def tab_to(shown: browser.Page, name: str) -> None:
    for _press in range(100):
        shown.press("Tab")
        if shown.run(FOCUS)["name"] == name:
            return
    raise AssertionError(f"{name} is not reached")


def test_filters_work_by_keyboard(show: Show) -> None:
    shown = show(sample("green", samples.broken()))
    many = shown.run("document.querySelectorAll('tr.row').length")
    bad = shown.run("document.querySelectorAll('tr.row[data-status=fail]').length")
    tab_to(shown, "pass")
    shown.press(" ", " ")
    assert shown.run(VISIBLE) == many
    shown.press("Tab", shift=True)
    assert shown.run(FOCUS)["name"] == "fail"
    shown.press(" ", " ")
    assert shown.run(VISIBLE) == many - bad
    shown.press("Tab")
    shown.press("Tab")
    shown.type("sv-04")
    assert shown.run(VISIBLE) == 1
    assert shown.run("document.querySelector('output').textContent") == f"1 of {many} shown"
    shown.press("Enter", "\r")  # sends no form away
    assert shown.run(VISIBLE) == 1
    assert sum(url.startswith("file:") for url in shown.requests) == 1
    assert shown.complaints == []


def test_what_is_folded_opens_and_the_skip_link_leads_by_keyboard(show: Show) -> None:
    shown = show(sample("green", samples.broken()))
    shown.press("Tab")
    shown.press("Enter", "\r")
    assert shown.run("location.hash") == "#content"
    tab_to(shown, "As a task")
    shown.press("Enter", "\r")
    assert shown.run("document.activeElement.parentElement.open")
    shown.press(" ", " ")
    assert not shown.run("document.activeElement.parentElement.open")
    assert shown.complaints == []


# Texts that leave their box, words of lines that lie over a box or each other, and badges that lie over words.
MISPLACED = """Array.from(document.querySelectorAll('svg.picture')).flatMap(picture => {
  const all = what => Array.from(picture.querySelectorAll(what));
  const inside = all('g.box > text').filter(text => {
    const a = text.getBoundingClientRect(), b = text.parentElement.querySelector('rect').getBoundingClientRect();
    const mark = text.classList.contains('title') && text.parentElement.querySelector(':scope > g');
    const end = mark ? mark.getBoundingClientRect().left : b.right;
    return a.right > end || a.left < b.left || a.bottom > b.bottom + 1;
  });
  const texts = all('g.box > text').map(text => text.getBoundingClientRect());
  const words = all('g.line > text'), boxes = all('g.box:not(.node) > rect').map(rect => rect.getBoundingClientRect());
  const over = (a, b) => a.left < b.right - 1 && b.left < a.right - 1 && a.top < b.bottom - 2 && b.top < a.bottom - 2;
  const hidden = [...words, ...all('g.badge > rect')].filter(word => {
    const a = word.getBoundingClientRect();
    const others = words.filter(other => other !== word).map(other => other.getBoundingClientRect());
    const badge = word.tagName === 'rect';
    return (badge ? texts : boxes).some(b => over(a, b)) || others.some(b => over(a, b));
  });
  return [...inside, ...hidden].map(text => `${picture.querySelector('title').textContent}: ${text.textContent}`);
})"""


def test_no_word_of_a_picture_lies_over_another_or_leaves_its_box(show: Show) -> None:
    made = (samples.healthy, samples.broken, samples.outside, samples.empty, samples.unready)
    shown = show(*(sample(one.__name__, one()) for one in made), *map(recorded, RECORDED))
    assert shown.run("document.querySelectorAll('svg.picture').length") > 60
    assert shown.run(MISPLACED) == []


def test_dark_is_dark(show: Show) -> None:
    ground = "getComputedStyle(document.body).backgroundColor"
    shown = show(sample("blue", samples.healthy()))
    grounds = {}
    for scheme in ("light", "dark"):
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        shown.call("Emulation.setEmulatedMedia", features=features)
        grounds[scheme] = [int(part) for part in shown.run(ground).strip("rgb()").split(",")]
    assert max(grounds["dark"]) < 64 < 192 < min(grounds["light"])
    assert shown.complaints == []


def test_several_clusters_have_a_row_each_that_leads_to_them(show: Show) -> None:
    entries = (sample("blue", samples.healthy()), sample("green", samples.broken()), Entry("red", error="no result"))
    shown = show(*entries)
    links = shown.run("Array.from(document.querySelectorAll('tbody a')).map(a => a.getAttribute('href'))")
    assert links == ["#cluster-1", "#cluster-2", "#cluster-3"]
    assert shown.run("document.querySelectorAll('section.cluster').length") == 3
    # The filter of one cluster leaves the others alone.
    before = shown.run(VISIBLE)
    second = "document.querySelectorAll('.tools')[1].querySelector('input[value=fail]').click()"
    bad = shown.run("document.querySelectorAll('#cluster-2 tr.row[data-status=fail]').length")
    shown.run(second)
    assert shown.run(VISIBLE) == before - bad
    assert shown.complaints == []


def test_strangers_words_do_nothing(show: Show) -> None:
    shown = show(entry("<b>x</b>", document(), now=samples.STARTED, max_age=None))
    assert shown.run("window.hit === undefined && document.title.length > 0")
    assert shown.run("document.querySelectorAll('img, b, iframe, object, embed, base').length") == 0
    assert shown.complaints == []
    assert sum(not url.startswith("file:") for url in shown.requests) == 0


def test_policy_is_in_force(show: Show) -> None:
    """Even what got past the escaping would not run, load or be styled: then the browser complains."""
    smuggled = "<img src=https://example.invalid/x onerror=window.hit=1><p style=color:red onclick=window.hit=1>x</p>"
    shown = show(sample("blue", samples.healthy()))
    shown.run(f"document.body.insertAdjacentHTML('beforeend', {smuggled!r})")
    shown.run("document.body.lastElementChild.click()")
    assert shown.run("window.hit === undefined")
    texts = " ".join(str(complaint) for complaint in shown.complaints)
    assert "Content Security Policy" in texts
    assert all(directive in texts for directive in ("img-src", "style-src"))
