# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Private to this collection: may change in any release.
"""What the credentials may do: asked in one pass, before anything is read, and told in the same words everywhere."""

from __future__ import annotations

import typing as t
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from ..kube.client import Cluster
from ..kube.errors import Forbidden, cannot

_AT_ONCE = 12


@dataclass(frozen=True, slots=True)
class Right:
    """One verb on one resource, in one namespace or in the whole cluster."""

    verb: str
    resource: str
    namespace: str | None = None
    group: str = ""
    subresource: str = ""

    @property
    def missing(self) -> str:
        """What is said where it is missing."""
        return cannot(self.verb, self.resource, self.namespace, self.subresource)


@dataclass(frozen=True, slots=True)
class Rights:
    """Which rights are missing among those that were asked for."""

    denied: frozenset[Right] = frozenset()

    @classmethod
    def ask(cls, cluster: Cluster, wanted: t.Iterable[Right]) -> Rights:
        """Ask for all of them side by side, each once."""
        each = list(dict.fromkeys(wanted))
        with ThreadPoolExecutor(max_workers=_AT_ONCE) as pool:
            allowed = pool.map(lambda right: _may(cluster, right), each)
            return cls(frozenset(right for right, may in zip(each, allowed, strict=True) if not may))

    def lacking(self, *wanted: Right) -> str:
        """Which of these is missing, in words; empty where none is."""
        return next((right.missing for right in wanted if right in self.denied), "")


def _may(cluster: Cluster, right: Right) -> bool:
    try:
        return cluster.may(
            right.verb, right.resource, right.namespace, group=right.group, subresource=right.subresource
        )
    except Forbidden:
        return True  # who may not even ask finds out by trying


def exec_in(namespace: str) -> Right:
    """To look into containers."""
    return Right("create", "pods", namespace, subresource="exec")


def proxy_to(namespace: str) -> Right:
    """To let the API server ask pods."""
    return Right("get", "pods", namespace, subresource="proxy")
