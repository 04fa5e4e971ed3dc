# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The documentation says what the code does: every check has a page, and what is made from the code is up to date."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from ansible_collections.plumbline.kubernetes.plugins.module_utils.connectivity.checks import CATALOGUE, IDS
from ansible_collections.plumbline.kubernetes.tests import docs
from ansible_collections.plumbline.kubernetes.tests.unit.connectivity import rights

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "docs/checks"
CODE = ROOT / "plugins/module_utils/connectivity"
PAGES = sorted(CATALOGUE)
PARTS = ["**Means.**", "**See it by hand.**", "**Fix.**"]


def sections(page: str) -> dict[str, str]:
    """The text under each heading of the second level."""
    _before, *found = re.split(r"^## ", (FOLDER / f"{page}.md").read_text(), flags=re.MULTILINE)
    return {head: text for head, _newline, text in (section.partition("\n") for section in found)}


def test_there_is_a_page_for_every_layer_and_no_other() -> None:
    assert sorted(path.stem for path in FOLDER.glob("*.md")) == PAGES


@pytest.mark.parametrize("page", PAGES)
def test_a_page_has_a_section_for_every_check(page: str) -> None:
    assert sorted(sections(page)) == sorted(f"{check} {title}" for check, title, _rights in CATALOGUE[page])


@pytest.mark.parametrize("page", PAGES)
def test_a_section_says_what_it_means_how_to_see_it_and_how_to_fix_it(page: str) -> None:
    for head, text in sections(page).items():
        assert re.findall(r"^\*\*[\w ]+\.\*\*", text, flags=re.MULTILINE) == PARTS, f"{page}: {head}"
        by_hand = text.partition(PARTS[1])[2].partition(PARTS[2])[0]
        assert re.search(r"```.+?```", by_hand, flags=re.DOTALL), f"{page}: {head}: no line to try"


def test_links_between_pages_lead_somewhere() -> None:
    known = {
        f"{page}.md#{docs.anchor(head)}" for page in PAGES for head in sections(page)
    } | {f"{page}.md" for page in PAGES}  # fmt: skip
    for page in PAGES:
        for target in re.findall(r"\]\((?!https?:)([^)]+)\)", (FOLDER / f"{page}.md").read_text()):
            assert target in known, f"{page}: {target}"


def test_ids_are_told_once() -> None:
    told = [check for checks in CATALOGUE.values() for check, _title, _rights in checks]
    assert sorted(told) == sorted(IDS)


def test_the_catalogue_is_what_the_code_says() -> None:
    """Every id in a string of the code is in the catalogue, and every id there is somewhere else in the code, too."""
    entry = re.compile(r'^    \("[A-Z]{2}-\d\d", ".+", f?".+"\),$', flags=re.MULTILINE)
    emitted = set()
    for path in CODE.glob("**/*.py"):
        emitted |= set(re.findall(r'["\' ]([A-Z]{2}-\d\d)["\']', entry.sub("", path.read_text())))
    assert emitted == IDS


@pytest.mark.parametrize("name", docs.PAGES)
def test_what_is_made_from_the_code_is_up_to_date(name: str) -> None:
    assert (ROOT / name).read_text() == docs.PAGES[name](), "python tests/docs.py --write"


def test_the_published_roles_grant_what_the_code_asks_for() -> None:
    published = yaml.safe_load((ROOT / "docs/rights/diagnose.yml").read_text())["items"]
    for mode, needed in (("api", rights.api()), ("probe", rights.probing())):
        mine = [role for role in published if role["metadata"]["name"].startswith(f"plumbline-diagnose-{mode}-")]
        assert rights.granted(mine) == needed
    assert not rights.api() & rights.probing()
    # A diagnosis of the API alone starts nothing and writes nothing.
    assert {right.verb for right in rights.api()} == {"get", "list", "watch"}
