# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Private to this collection: may change in any release.
"""The HTML page: one file, no network, the root cause first. Pure.

Everything that a stranger said passes the autoescaping of Jinja2 (which Ansible's own `template` leaves off). The page
forbids itself everything by its Content-Security-Policy but the style and the script whose hashes it names.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import json
import typing as t

try:
    from jinja2 import Environment, StrictUndefined, Template
    from markupsafe import Markup
except ImportError:  # ansible-core needs it, so it is there wherever a controller is
    pass

from .assets import SCRIPT, STYLE
from .model import STATUSES, VERDICTS, Entry, Report
from .picture import WIDTH, cut, picture
from .template import TEMPLATE
from .text import duration, value
from .ways import clients, endpoints

WORDS = {
    "error": "without a result",
    "fail": "broken",
    "inconclusive": "undecided",
    "warn": "odd",
    "pass": "good",
    "skipped": "not judged",
}


def page(report: Report) -> str:
    """The whole page."""
    text: str = _template().render(
        report=report,
        words=WORDS,
        overall=overall(report),
        width=WIDTH,
        policy=policy(),
        style=Markup(STYLE),
        script=Markup(SCRIPT),
        data=Markup(embedded(report)),
    )
    return text.lstrip()


@functools.lru_cache(maxsize=1)
def _template() -> Template:
    environment = Environment(autoescape=True, undefined=StrictUndefined)
    environment.filters.update(
        value=value,
        duration=duration,
        pretty=_pretty,
        cut=cut,
        picture=picture,
        clients=clients,
        endpoints=endpoints,
        counts=counts,
    )
    return environment.from_string(TEMPLATE)


def policy() -> str:
    """Nothing is allowed but what the page brings along (CSP level 3, hashes of inline elements)."""
    return (
        f"default-src 'none'; style-src '{_digest(STYLE)}'; script-src '{_digest(SCRIPT)}'; base-uri 'none';"
        " form-action 'none'"
    )


def _digest(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def embedded(report: Report) -> str:
    """The report as JSON that no HTML parser finds an end of the element or a comment in."""
    text = json.dumps(report.as_dict(), ensure_ascii=True)
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


def counts(entry: Entry) -> str:
    """`20 pass, 1 fail`."""
    return ", ".join(f"{entry.summary[status]} {status}" for status in STATUSES if entry.summary[status]) or "none"


def overall(report: Report) -> str:
    """`3 clusters: 1 broken, 2 good`."""
    found = [f"{report.summary[verdict]} {WORDS[verdict]}" for verdict in VERDICTS if report.summary[verdict]]
    return f"{len(report.entries)} clusters: {', '.join(found)}" if found else "There is no result at all"


def _pretty(found: t.Any) -> str:
    return json.dumps(found, indent=2, ensure_ascii=False)
