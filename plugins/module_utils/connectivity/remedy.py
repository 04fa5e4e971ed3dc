# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Private to this collection: may change in any release.
"""Carries out the safe fixes of a diagnosis: two fields of a Service, and a rolling restart."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass
from datetime import datetime

from ..app import revision
from ..kube.client import Cluster
from ..kube.errors import NotFound
from ..kube.kinds import DEPLOYMENT, SERVICE
from ..wait.rollout import finished
from .diagnose.causes import POSSIBLE, Cause
from .diagnose.components import kind_of
from .diagnose.fix import Action

# The API's conflicts with a manager of this prefix are ours to settle, see kube/apply.py.
MANAGER = "plumbline-remediate"

# Option value -> kind of the component that it mends.
KINDS = {"selector": "selector", "target_port": "port", "environment": "environment", "certificate": "served"}

Body = dict[str, t.Any]


@dataclass(frozen=True, slots=True)
class Step:
    """One fix, and the cause that it mends."""

    cause: Cause
    action: Action

    @property
    def line(self) -> str:
        """What it does and why."""
        return f"{self.cause.fix.text}: {self.cause.title}"


def steps(causes: t.Iterable[Cause], allowed: t.Iterable[str]) -> list[Step]:
    """The fixes of those causes that are sure enough and may be mended, each once, the first cause first. Pure."""
    kinds = {KINDS[name] for name in allowed}
    found: dict[tuple[str, str, str], Step] = {}
    for cause in causes:
        action = cause.fix.action
        if action and cause.confidence != POSSIBLE and kind_of(cause.component) in kinds:
            found.setdefault((action.verb, action.name, str(action.patch)), Step(cause, action))
    return list(found.values())


@dataclass(frozen=True, slots=True)
class Apply:
    """Carries steps out.

    Attributes:
        now: the time that a restart is stamped with.
        timeout: seconds for the roll-out of a restart.
    """

    cluster: Cluster
    namespace: str
    now: datetime
    timeout: float
    check_mode: bool

    def carry_out(self, step: Step) -> tuple[Body, Body]:
        """Do it, and wait for the roll-out of a restart; the fields before and after.

        Raises:
            KubeError: it was refused, or the roll-out does not succeed.
        """
        restart = step.action.verb == "restart"
        kind = DEPLOYMENT if restart else SERVICE
        patch = revision.restart(self.now) if restart else dict(step.action.patch)
        live = self.cluster.get(kind, step.action.name, self.namespace)
        if live is None:
            what = kind.describe(step.action.name, self.namespace)
            raise NotFound(f"{self.cluster.label}: {what} is gone", status=404, reason="NotFound")
        item = self.cluster.patch(
            kind, step.action.name, self.namespace, patch, manager=MANAGER, dry_run=self.check_mode
        )
        if not restart:
            return _fields(live, patch["spec"]), _fields(item, patch["spec"])
        if not self.check_mode:
            finished(self.cluster, item, changed=True, wait=True, timeout=self.timeout)
        return revision.touched(live, patch), revision.touched(item, patch)


def _fields(item: Body, names: t.Iterable[str]) -> Body:
    return {"spec": {name: item["spec"].get(name) for name in names}}
