# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Private to this collection: may change in any release.
"""What a fix is, and how its lines are written: quoted, whatever names the cluster has. Words in capitals are left to
people, who know what belongs there."""

from __future__ import annotations

import json
import shlex
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


def kubectl(*words: str) -> str:
    """A line for any shell."""
    return shlex.join(["kubectl", *words])


def patch(kind: str, name: str, namespace: str, body: t.Any) -> str:
    """A line that patches an object: by operations where `body` is a list, else by merging what it has."""
    operations = ("--type=json",) if isinstance(body, list) else ()
    return kubectl("patch", kind, name, "-n", namespace, *operations, "-p", compact(body))


def piped(*words: str) -> str:
    """A line that makes an object, or changes it where it is there."""
    made = kubectl("create", *words, "--dry-run=client", "-o", "yaml")
    return f"{made} | kubectl apply --server-side --force-conflicts -f -"


def applied(manifest: t.Mapping[str, t.Any]) -> str:
    """A line that applies a manifest."""
    return f"echo {shlex.quote(compact(manifest))} | kubectl apply -f -"


def compact(body: t.Any) -> str:
    """JSON in one word."""
    return json.dumps(body, separators=(",", ":"))


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
