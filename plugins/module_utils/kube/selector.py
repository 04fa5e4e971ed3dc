# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Private to this collection: may change in any release.
"""Labels and label selectors in the syntax of the API's queries, which is also how people write them: pure."""

from __future__ import annotations

import typing as t


def labels_text(labels: t.Mapping[str, str]) -> str:
    """Labels that must all be there: `app=web,tier=front`."""
    return ",".join(f"{key}={value}" for key, value in sorted(labels.items()))


def selector_text(selector: t.Mapping[str, t.Any]) -> str:
    """A label selector object, with `matchLabels` and `matchExpressions`."""
    parts = [labels_text(selector["matchLabels"])] if selector.get("matchLabels") else []
    for expression in selector.get("matchExpressions") or []:
        key, operator, values = expression["key"], expression["operator"], ",".join(expression.get("values") or [])
        parts.append(
            {
                "In": f"{key} in ({values})",
                "NotIn": f"{key} notin ({values})",
                "Exists": key,
                "DoesNotExist": f"!{key}",
            }[operator]
        )
    return ",".join(parts)
