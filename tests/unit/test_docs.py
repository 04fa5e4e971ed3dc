# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The documentation says what the code does: every check has a page, and what is made from the code is up to date."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import pytest
import yaml
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

from ansible_collections.plumbline.kubernetes.plugins.module_utils.connectivity.checks import CATALOGUE, IDS
from ansible_collections.plumbline.kubernetes.plugins.module_utils.connectivity.diagnose.components import KINDS
from ansible_collections.plumbline.kubernetes.plugins.module_utils.connectivity.diagnose.runbooks import INDEX, runbook
from ansible_collections.plumbline.kubernetes.tests import docs
from ansible_collections.plumbline.kubernetes.tests.unit.connectivity import rights

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "docs/checks"
CAUSES = ROOT / "docs/causes"
CODE = ROOT / "plugins/module_utils/connectivity"
PAGES = sorted(CATALOGUE)
CAUSE_PAGES = sorted({page for page, _title in KINDS.values()})
PARTS = ["**Means.**", "**See it by hand.**", "**Fix.**"]
CAUSE_PARTS = ["**Means.**", "**Make sure.**", "**Mend.**"]
PROOF = "**Prove it.**"


def sections(page: str, folder: Path = FOLDER) -> dict[str, str]:
    """The text under each heading of the second level."""
    _before, *found = re.split(r"^## ", (folder / f"{page}.md").read_text(), flags=re.MULTILINE)
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
    known = docs.known("checks", "causes")
    for page in (ROOT / "docs/checks.md", ROOT / "docs/causes.md", *FOLDER.glob("*.md"), *CAUSES.glob("*.md")):
        for target in re.findall(r"\]\((?!https?:)([^)]+)\)", page.read_text()):
            path, hash_, anchor = target.partition("#")
            file = (page.parent / path).resolve() if path else page.resolve()
            assert file.is_file(), f"{page.name}: {target}"
            assert not hash_ or f"{file.relative_to(ROOT)}#{anchor}" in known, f"{page.name}: {target}"


# ----- runbooks


def test_there_is_a_page_for_every_area_of_causes_and_no_other() -> None:
    assert sorted(path.stem for path in CAUSES.glob("*.md")) == CAUSE_PAGES


@pytest.mark.parametrize("page", CAUSE_PAGES)
def test_a_page_has_a_runbook_for_every_kind_of_component_in_causal_order(page: str) -> None:
    assert list(sections(page, CAUSES)) == [
        f"{kind} {title}" for kind, (where, title) in KINDS.items() if where == page
    ]


@pytest.mark.parametrize("page", CAUSE_PAGES)
def test_a_runbook_says_how_to_make_sure_how_to_mend_it_and_how_to_prove_it(page: str) -> None:
    before = (CAUSES / f"{page}.md").read_text().partition("\n## ")[0]
    assert "```yaml" in before, "a task that proves whatever has none of its own"
    for head, text in sections(page, CAUSES).items():
        parts = re.findall(r"^\*\*[\w ]+\.\*\*", text, flags=re.MULTILINE)
        assert parts in (CAUSE_PARTS, [*CAUSE_PARTS, PROOF]), head
        by_hand = text.partition(CAUSE_PARTS[1])[2].partition(CAUSE_PARTS[2])[0]
        assert re.search(r"```.+?```", by_hand, flags=re.DOTALL), f"{head}: no line to try"


@pytest.mark.parametrize("page", CAUSE_PAGES)
def test_the_tasks_of_runbooks_have_options_that_their_modules_take(page: str) -> None:
    blocks = re.findall(r"^```yaml\n(.*?)^```$", (CAUSES / f"{page}.md").read_text(), flags=re.DOTALL | re.MULTILINE)
    for task in (task for block in blocks for task in yaml.safe_load(block)):
        (action,) = [key for key in task if "." in key]
        name = action.removeprefix("plumbline.kubernetes.")
        module = importlib.import_module(f"ansible_collections.plumbline.kubernetes.plugins.modules.{name}").MODULE
        judged = ArgumentSpecValidator(module.options, **module.rules).validate(task[action])
        assert judged.error_messages == [], task["name"]


def test_every_runbook_fits_on_a_line_of_a_terminal_and_leads_to_a_section() -> None:
    known = docs.known("causes")
    for kind in KINDS:
        for component in (kind, f"{kind}/some-node/8080"):
            assert runbook(component) in known
            assert len(f"  runbook: {runbook(component)}") <= 80, component


def test_what_no_part_explains_leads_to_its_check() -> None:
    assert {runbook(f"unknown/{check}") for check in IDS} == docs.known("checks")
    assert runbook("unknown/XX-99") == INDEX
    assert (ROOT / INDEX).is_file()


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
