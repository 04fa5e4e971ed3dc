# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Private to this collection: may change in any release.
"""One look at the cluster: the snapshots before and after the probes, what changed between, and what was observed."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field
from datetime import datetime

from .facts import Facts
from .plan import Plan
from .question import Question
from .scope import Probe, Vantage
from .snapshot import Endpoint, Pod, Service, Snapshot

# Names of groups of objects in `Look.touched`.
ENDPOINTS, DNS = "endpoints", "dns"

# What the agent does once it has a connection: so begins what it says of a time that was over.
CONNECTED = ("sending the request", "waiting for the header", "waiting for the rest", "TLS handshake")

# Classes of the agent that say something about the probe, not about its target.
UNDECIDED = ("deadline", "error")

# What `Stored.pair` says of a key that is the certificate's own.
FITS = "fits"


@dataclass(frozen=True, slots=True)
class Observation:
    """What one probe saw; the fields are those of the agent's protocol."""

    kind: str
    detail: str = ""
    value: t.Mapping[str, t.Any] = field(default_factory=dict)
    ms: float = 0.0

    @property
    def ok(self) -> bool:
        """Every repeat was answered."""
        return self.kind == "ok"

    @property
    def classes(self) -> dict[str, int]:
        """How often each class was seen over the repeats."""
        return dict(self.value.get("classes") or {self.kind: 1})

    @property
    def answered(self) -> int:
        """How many of the repeats were answered."""
        return self.classes.get("ok", 0)

    @property
    def failures(self) -> dict[str, int]:
        """Classes that accuse the target, with counts."""
        return {kind: count for kind, count in self.classes.items() if kind != "ok" and kind not in UNDECIDED}

    @property
    def unheard(self) -> bool:
        """Whether nobody took the connection; an answer that is late or never comes is something else."""
        lost = "unreachable" in self.failures or "timeout" in self.failures
        return lost and not any(words in self.detail for words in CONNECTED)

    @property
    def identities(self) -> dict[str, int]:
        """Backends by the name that they gave themselves, with counts."""
        return dict(self.value.get("identities") or {})


def observation(item: t.Mapping[str, t.Any]) -> Observation:
    """An observation out of the agent's document."""
    value = item.get("value")
    return Observation(
        kind=str(item.get("class") or "error"),
        detail=str(item.get("detail") or ""),
        value=value if isinstance(value, dict) else {},
        ms=float(item.get("ms") or 0.0),
    )


# A probe with what it saw.
Seen = tuple[Probe, Observation]


@dataclass(frozen=True, slots=True)
class EnvironmentReading:
    """The Service's variables as one container has them.

    Attributes:
        verdict: `read`; `skipped` (may not or cannot look); `undecided` (tried, no answer).
        values: name -> value; a name that is not there is not set; `?` stands for a value of another shape.
        detail: why there are no values.
    """

    pod: Pod
    container: str
    verdict: str = "read"
    values: t.Mapping[str, str] = field(default_factory=dict)
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Stored:
    """The certificate that a Secret holds: its fingerprint, or why there is none; all empty where there is no Secret.

    Attributes:
        denied: which right is missing.
        unreadable: what is wrong with its content.
        pair: of the private key beside the leaf: `FITS`, what is wrong with it, or empty where it was not read. Nothing
            of the key itself is kept.
    """

    secret: str
    fingerprint: str = ""
    denied: str = ""
    unreadable: str = ""
    pair: str = ""


@dataclass(frozen=True, slots=True)
class Mounted:
    """The certificate that one pod has mounted, by its fingerprint.

    Attributes:
        verdict: `read`; `unreadable` (no file, or none with a certificate); `skipped` (may not or cannot look);
            `undecided` (tried, no answer).
        detail: why there is no fingerprint.
    """

    pod: Pod
    container: str
    fingerprint: str = ""
    verdict: str = "read"
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Hairpin:
    """How one pod behind the Service fared that called itself by the Service's address.

    Attributes:
        verdict: `tried`; `skipped` (may not or cannot); `undecided` (tried, no answer).
        detail: why nothing was tried.
        target: address and port of the Service.
        of: how many endpoints may answer there.
        tries, answered: connections to the Service's address.
        sure: whether so many connections lead to the pod itself for sure.
        others: whether every other pod that was asked at its own address took the connection.
    """

    pod: Pod
    verdict: str = "tried"
    detail: str = ""
    target: str = ""
    of: int = 0
    tries: int = 0
    answered: int = 0
    sure: bool = True
    others: bool = True


@dataclass(frozen=True, slots=True)
class Look:
    """Everything that one round of judging rests on.

    Attributes:
        now: when it was judged.
        touched: uids and names of what changed between `before` and `after`.
        denied: why no probe could be started at all, e.g. a missing right.
        lost: clients that delivered nothing, and why.
        stored: the certificate that must be served, where that is asked for.
        mounted: what the pods have mounted, where that is asked for.
        hairpins: whether pods reach themselves by the Service's address, where that is asked for.
        facts: the surroundings, where they were asked for.
        clients: the Service's variables as the containers of the clients' own workload have them.
    """

    question: Question
    before: Snapshot
    after: Snapshot
    now: datetime
    touched: frozenset[str] = frozenset()
    plan: Plan = field(default_factory=Plan)
    observations: t.Mapping[tuple[Vantage, str], Observation] = field(default_factory=dict)
    denied: str = ""
    lost: t.Mapping[Vantage, str] = field(default_factory=dict)
    environment: tuple[EnvironmentReading, ...] = ()
    stored: Stored | None = None
    mounted: tuple[Mounted, ...] = ()
    hairpins: tuple[Hairpin, ...] = ()
    facts: Facts = field(default_factory=Facts)
    clients: tuple[EnvironmentReading, ...] = ()

    @property
    def service(self) -> Service:
        """The Service as it is now; checks run only where there is one."""
        if self.after.service is None:
            raise AssertionError("checks run only where there is a Service")
        return self.after.service

    def stable(self, endpoint: Endpoint) -> bool:
        """Whether an endpoint and its pod stayed as they were while it was probed."""
        return endpoint.pod_uid not in self.touched and endpoint in self.after.endpoints + self.after.dns_endpoints

    def seen(self, purpose: str, label: str = "") -> list[Seen]:
        """The probes of one purpose with what they saw, without clients that do not work themselves."""
        return [
            (probe, found)
            for probe in self.plan.probes
            if probe.purpose == purpose and (not label or probe.label == label)
            if self.works(probe.vantage) and (found := self._found(probe)) is not None
        ]

    def _found(self, probe: Probe) -> Observation | None:
        return self.observations.get((probe.vantage, probe.id))

    def works(self, vantage: Vantage) -> bool:
        """Whether a client delivered observations and its control over loopback succeeded."""
        found = self.observations.get((vantage, "control"))
        return found is not None and found.ok

    def isolated(self, vantage: Vantage) -> bool:
        """Whether a client reaches no cluster IP at all, not even the API server's: its node or policy is to blame."""
        api = self.observations.get((vantage, "api-server"))
        if api is None or not api.failures:
            return False
        others = [
            found
            for purpose in ("cluster_ip", "dns")
            for probe, found in self.seen(purpose)
            if probe.vantage == vantage and probe.endpoint is None
        ]
        return bool(others) and not any(found.answered for found in others)
