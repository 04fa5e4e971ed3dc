# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Private to this collection: may change in any release.
"""What a fix is, and how its task is written."""

from __future__ import annotations

import json
import typing as t
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Action:
    """A change that the module `remediate` may make.

    Attributes:
        verb: `patch` a Service's spec, or `restart` a Deployment.
        name: of the object, in the Service's namespace.
        patch: strategic merge patch.
    """

    verb: str
    name: str
    patch: t.Mapping[str, t.Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Fix:
    """How to mend it; fields that do not apply are empty."""

    text: str = ""
    kubectl: str = ""
    task: str = ""
    action: Action | None = None


def task(module: str, options: t.Mapping[str, t.Any]) -> str:
    """A task."""
    lines = [f"- {module if '.' in module else f'plumbline.kubernetes.{module}'}:"]
    # JSON is YAML, and quotes whatever must be quoted.
    lines += [f"    {key}: {value if _is_plain(value) else json.dumps(value)}" for key, value in options.items()]
    return "\n".join(lines)


def _is_plain(value: t.Any) -> bool:
    # Words that YAML takes for something else than a text, and numbers, are quoted.
    return (
        isinstance(value, str)
        and value.replace("-", "").isalnum()
        and value[0].isalpha()
        and value.lower() not in ("y", "n", "yes", "no", "on", "off", "true", "false", "null")
    )
