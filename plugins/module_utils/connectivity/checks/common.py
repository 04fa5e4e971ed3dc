# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Private to this collection: may change in any release.
"""How checks of all layers turn comparisons into findings."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, replace

from ...kube.errors import lacks_right
from ..intent import matches
from ..look import Look, Observation
from ..probe import RUN_LABEL
from ..result import FAIL, INCONCLUSIVE, PASS, SKIPPED, WARN, Finding
from ..snapshot import Node, Pod, node, pod

# The label that leaves a Service to another service proxy than kube-proxy.
PROXY_NAME = "service.kubernetes.io/service-proxy-name"
# What a container waits for that it does not come out of by itself.
STUCK = frozenset(
    {
        "CrashLoopBackOff",
        "CreateContainerConfigError",
        "CreateContainerError",
        "ErrImageNeverPull",
        "ErrImagePull",
        "ImagePullBackOff",
        "InvalidImageName",
        "RunContainerError",
    }
)


@dataclass(frozen=True, slots=True)
class Bench:
    """Makes the findings of one layer."""

    layer: str

    def passed(self, check: str, message: str, **more: t.Any) -> Finding:
        """Looked at and found good."""
        return Finding(check, self.layer, PASS, message, **more)

    def failed(self, check: str, message: str, **more: t.Any) -> Finding:
        """Looked at and found bad."""
        return Finding(check, self.layer, FAIL, message, **more)

    def warned(self, check: str, message: str, **more: t.Any) -> Finding:
        """Looked at and found odd."""
        return Finding(check, self.layer, WARN, message, **more)

    def accused(self, check: str, message: str, *, served: bool, **more: t.Any) -> Finding:
        """Looked at and found bad; a warning where clients are served all the same."""
        return (self.warned if served else self.failed)(check, message, **more)

    def skipped(self, check: str, message: str, **more: t.Any) -> Finding:
        """Not looked at, with the reason."""
        return Finding(check, self.layer, SKIPPED, message, **more)

    def undecided(self, check: str, message: str, **more: t.Any) -> Finding:
        """Looked at without a conclusion."""
        return Finding(check, self.layer, INCONCLUSIVE, message, **more)

    def unseen(self, check: str, message: str, *, why: str, **more: t.Any) -> Finding:
        """Not seen: skipped for want of a right, which `why` then names, else without a conclusion."""
        return (self.skipped if lacks_right(why) else self.undecided)(check, message, **more)

    def unread(self, check: str, message: str, *, verdict: str, **more: t.Any) -> Finding:
        """Not seen from inside a container, by the verdict that looking there had: skipped, or without a conclusion."""
        return (self.skipped if verdict == SKIPPED else self.undecided)(check, message, **more)

    def verdict(self, check: str, complaints: t.Sequence[Finding], good: int, message: str) -> list[Finding]:
        """The complaints, or that there are none.

        Args:
            good: how many objects were found good; without any, and without complaints, nothing was looked at.
            message: what to say when all is well.
        """
        if complaints:
            return [replace(complaint, partial=good > 0) for complaint in complaints]
        return [self.passed(check, message)] if good else []


def failure(found: Observation) -> str:
    """What went wrong, for people: `refused`, or `3 of 21 refused, 1 timeout`."""
    counts = found.failures or {found.kind: 1}
    total = sum(found.classes.values())
    if total == 1:
        return next(iter(counts))
    return f"{', '.join(f'{count} {kind}' for kind, count in sorted(counts.items()))} of {total} connections"


def nodes(look: Look) -> tuple[Node, ...]:
    """The nodes, as the snapshot or the surroundings have them; empty where nodes may not be listed."""
    return look.after.nodes or tuple(node(body) for body in look.facts.all("nodes"))


def client_pods(look: Look) -> list[Pod]:
    """The pods of the client that the question names, by its workload or labels; without our own that ask for it."""
    client, workload = look.question.client, look.question.workload

    def asks(one: Pod) -> bool:
        return one.owner == workload if workload else matches(client.labels, dict(one.labels))

    pods = [pod(body) for body in look.facts.all("client_pods") if workload or client.labels]
    return [one for one in pods if RUN_LABEL not in dict(one.labels) and asks(one)]


def is_stuck(one: Pod) -> bool:
    """Whether a container waits for something that it does not come out of by itself."""
    return any(container.waiting in STUCK for container in (*one.containers, *one.sidecars))


def why_unprobed(look: Look) -> str:
    """Why there are no observations at all, or an empty string."""
    if look.denied:
        return look.denied
    if not look.question.ask:
        return look.question.unasked or "the API alone is judged"
    if not look.plan.vantages:
        return look.after.why_missing("nodes") or "there is no ready node to ask from"
    return ""
