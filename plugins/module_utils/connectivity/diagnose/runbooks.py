# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Private to this collection: may change in any release.
"""Where the documentation says how to make sure of a cause, and how to mend it."""

from __future__ import annotations

import re

from ..checks import CATALOGUE
from .components import KINDS, instance_of, kind_of

INDEX = "docs/causes.md"


def anchor(heading: str) -> str:
    """How GitHub makes the anchor of a heading."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def runbook(component: str) -> str:
    """The section about a component, as a path inside of this collection.

    What no component explains is `unknown/<check id>`: there, the section of the check has to do.
    """
    kind = kind_of(component)
    if kind in KINDS:
        page, title = KINDS[kind]
        return f"docs/causes/{page}.md#{anchor(f'{kind} {title}')}"
    wanted = instance_of(component)
    for page, checks in CATALOGUE.items():
        for check, title, _rights in checks:
            if check == wanted:
                return f"docs/checks/{page}.md#{anchor(f'{check} {title}')}"
    return INDEX
