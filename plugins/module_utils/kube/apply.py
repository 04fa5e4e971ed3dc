# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Private to this collection: may change in any release.
"""Bring one object to the wanted state by server-side apply: at most one GET and one PATCH.

`changed` and diff are computed from the fields that we own before or after, so what controllers and other people
write never counts. Check mode is the same PATCH as a server-side dry run.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from .client import MANAGER, Body, Cluster
from .errors import Conflict, NotFound
from .kinds import Kind
from .owned import extract, fields_of, lay, merge_fields


@dataclass(frozen=True, slots=True)
class Applied:
    """What an apply did, or in check mode would do.

    Attributes:
        changed: whether a field that we own got another value.
        object: the object as the server has it now (in check mode: would have it).
        live: the object as it was before, None where it did not exist.
        before: our fields as they were.
        after: our fields as they are.
    """

    changed: bool
    object: Body
    live: Body | None
    before: Body
    after: Body


def ensure(
    cluster: Cluster,
    kind: Kind,
    desired: Body,
    *,
    check_mode: bool = False,
    force: bool = False,
    live: Body | t.Literal["unread"] | None = "unread",
    manager: str = MANAGER,
) -> Applied:
    """Apply `desired`; whatever we set earlier and `desired` does not mention stays.

    Args:
        desired: metadata with name (and namespace) and the wanted fields. Plain dicts are merged with what we own,
            :class:`.owned.Whole` and lists replace, :class:`.owned.Keyed` merges items. None is dropped.
        force: take over fields that other managers own.
        live: the object when the caller has just read it (None: it does not exist); saves the GET.

    Raises:
        Conflict: another manager owns a field that we want to set to another value. Fields that our own
            patches (`plumbline-...`: restart, undo, scale) own are never a conflict.
    """
    metadata = desired["metadata"]
    if live == "unread":
        live = cluster.get(kind, metadata["name"], metadata.get("namespace"))
    ours = fields_of(live, manager)
    body = lay(extract(live, ours) if live and ours else {}, desired)
    body.update(apiVersion=kind.api_version, kind=kind.kind)
    body["metadata"] = {**body["metadata"], "name": metadata["name"]}
    try:
        after = _apply(cluster, kind, body, manager=manager, force=force, dry_run=check_mode)
    except NotFound:
        if not check_mode:
            raise
        # A dry run in a namespace that does not exist yet: the play would have created it before.
        return Applied(True, body, None, {}, _shown(body))
    fields = merge_fields(ours, fields_of(after, manager))
    before_view = extract(live, fields) if live else {}
    after_view = extract(after, fields)
    return Applied(live is None or before_view != after_view, after, live, before_view, after_view)


def remove(cluster: Cluster, kind: Kind, name: str, namespace: str | None, *, check_mode: bool = False) -> Applied:
    """Delete one object in the background, if it is there; a dry run in check mode."""
    live = cluster.get(kind, name, namespace)
    if live is not None and not (live.get("metadata") or {}).get("deletionTimestamp"):
        changed = cluster.delete(kind, name, namespace, dry_run=check_mode)
    else:
        changed = False
    before = _shown(extract(live, fields_of(live, MANAGER))) if live and changed else {}
    return Applied(changed, {}, live, before or ({"metadata": {"name": name}} if changed else {}), {})


def diff(applied: Applied, kind: Kind) -> dict[str, t.Any]:
    """Ansible's `diff` value for an apply: our fields only, before and after."""
    metadata = applied.object.get("metadata") or (applied.live or {}).get("metadata") or {}
    header = kind.describe(metadata.get("name"), metadata.get("namespace"))
    return {"before": applied.before, "after": applied.after, "before_header": header, "after_header": header}


def reduced(item: Body) -> Body:
    """An object for a result: without the bookkeeping of field managers."""
    metadata = {key: value for key, value in (item.get("metadata") or {}).items() if key != "managedFields"}
    return {**item, "metadata": metadata}


def _apply(cluster: Cluster, kind: Kind, body: Body, *, manager: str, force: bool, dry_run: bool) -> Body:
    try:
        return cluster.apply(kind, body, manager=manager, force=force, dry_run=dry_run)
    except Conflict as error:
        foreign = tuple((field, owner) for field, owner in error.conflicts if not owner.startswith(f"{manager}-"))
        if error.conflicts and not foreign:
            return cluster.apply(kind, body, manager=manager, force=True, dry_run=dry_run)
        raise _explained(cluster, kind, body, foreign, error) from error


def _explained(
    cluster: Cluster, kind: Kind, body: Body, foreign: tuple[tuple[str, str], ...], error: Conflict
) -> Conflict:
    if not foreign:
        return error
    metadata = body["metadata"]
    owned = ", ".join(f"{field.lstrip('.')} is owned by {owner}" for field, owner in foreign)
    return Conflict(
        f"{cluster.label}: {kind.describe(metadata['name'], metadata.get('namespace'))}: {owned}; "
        "leave the option out to keep that value, or set force_conflicts to take the field over",
        conflicts=foreign,
        status=error.status,
        reason=error.reason,
    )


def _shown(body: Body) -> Body:
    return {key: value for key, value in body.items() if key not in ("apiVersion", "kind")}
