# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Judges the four files of a report by what reads them: a JSON Schema, an XML Schema, a parser of HTML, a browser.

    python tests/judges/reports.py FOLDER

Prints each cluster with its verdict; ends with an error where a file is not valid, readable by others, or has something
in it that a terminal, a CI server or a browser would obey.
"""

from __future__ import annotations

import json
import re
import stat
import sys
from html.parser import HTMLParser
from pathlib import Path

import jsonschema
import xmlschema

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/unit/report"))

import browser  # noqa: E402

ACTIVE = {"img", "iframe", "object", "embed", "base", "link", "textarea"}
COMMANDS = re.compile(r"(?m)^\s*::[A-Za-z-]+( [^\n]*)?::|##vso\[|##\[")


class Elements(HTMLParser):
    """Which there are."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.handlers: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append(tag)
        self.handlers += [name for name, _value in attrs if name.startswith("on") or name in ("src", "style")]


def judge(folder: Path) -> list[str]:
    texts = {kind: (folder / f"report.{kind}").read_text() for kind in ("html", "json", "md", "xml")}
    for kind, text in texts.items():
        mode = stat.S_IMODE((folder / f"report.{kind}").stat().st_mode)
        assert mode == 0o600, f"report.{kind} has the mode {mode:o}"
        odd = {character for character in text if not character.isprintable()} - {"\n"}
        assert not odd, f"report.{kind} holds {sorted(map(ascii, odd))}"
    for kind in ("md", "xml"):
        assert not COMMANDS.search(texts[kind]), f"report.{kind} holds a command of a CI server"
    document = json.loads(texts["json"])
    schema = json.loads((ROOT / "docs/report.schema.json").read_text())
    jsonschema.validate(document, schema, jsonschema.Draft202012Validator)
    xmlschema.XMLSchema(ROOT / "tests/unit/report/junit.xsd").validate(texts["xml"])
    elements = Elements(texts["html"])
    assert not ACTIVE & set(elements.found)
    assert elements.found.count("script") == 2
    assert not elements.handlers
    names = [cluster["cluster"] for cluster in document["clusters"]]
    if program := browser.find():
        look(program, folder / "report.html", names)
    return [f"{cluster['cluster']} {cluster['verdict']}" for cluster in document["clusters"]]


def look(program: str, file: Path, names: list[str]) -> None:
    """Nothing of a stranger runs, nothing is asked for, and each of several clusters has its row and its part."""
    with browser.started(program) as connection:
        shown = browser.Page(connection)
        shown.open(file.resolve().as_uri())
        assert shown.run("window.hit === undefined")
        assert shown.complaints == []
        assert [url for url in shown.requests if not url.startswith("file:")] == []
        assert shown.run("document.querySelectorAll('section.cluster').length") == len(names)
        rows = shown.run("Array.from(document.querySelectorAll('tbody a')).map(link => link.textContent)")
        assert rows == (names if len(names) > 1 else []), f"the rows are {rows}"


if __name__ == "__main__":
    print("\n".join(judge(Path(sys.argv[1]))))
