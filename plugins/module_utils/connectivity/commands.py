# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Private to this collection: may change in any release.
"""Lines of kubectl for people to run, quoted, whatever names the cluster has. Words in capitals are left to them, who
know what belongs there."""

from __future__ import annotations

import json
import shlex
import typing as t


def kubectl(*words: str) -> str:
    """A line for any shell."""
    return shlex.join(["kubectl", *words])


def patch(kind: str, name: str, namespace: str, body: t.Any) -> str:
    """A line that patches an object: by operations where `body` is a list, else by merging what it has.

    Args:
        namespace: empty for an object of the whole cluster.
    """
    where = ("-n", namespace) if namespace else ()
    operations = ("--type=json",) if isinstance(body, list) else ()
    return kubectl("patch", kind, name, *where, *operations, "-p", compact(body))


def restart(kind: str, name: str, namespace: str) -> str:
    """A line that replaces the pods of a workload."""
    return kubectl("rollout", "restart", f"{kind}/{name}", "-n", namespace)


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
