# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Private to this collection: may change in any release.
"""Bring the TLS Secret of a server to the wanted state: read, decide, validate, write, prune, in this order.

Each write stands alone: a run that is killed between two of them is completed by the next one.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass
from datetime import datetime

from ..kube.client import Body, Cluster
from ..kube.errors import Forbidden
from ..kube.kinds import SECRET
from ..pki.certificates import Chain, facts, is_self_signed, pem_of, stamp, validate
from ..pki.decide import Decision, Renewal, Stored, Wanted, decide, decide_given
from ..pki.errors import PkiError
from ..pki.issue import LeafRequest, leaf
from ..pki.keys import generate
from . import secrets
from .material import Given
from .secrets import Generation, Pair

# A certificate is backdated by five minutes: with clocks further apart it may not be valid yet where it is served.
LARGEST_SKEW = 120.0
# Stands for the hash that nobody can know before there is a key.
PENDING = "pending"


@dataclass(frozen=True, slots=True)
class Issue:
    """Plan: we issue it, by a CA or by itself."""

    wanted: Wanted

    @property
    def renewal(self) -> Renewal:
        """When it is due."""
        return self.wanted.renewal

    def decide(self, stored: Stored | None, now: datetime) -> Decision:
        """Whether what is stored must be replaced."""
        return decide(stored, self.wanted, now)

    def pair(self, now: datetime) -> Pair:
        """A new key each time, and a certificate for it that is judged like anybody else's."""
        wanted, authority = self.wanted, self.wanted.authority
        key = generate(wanted.key_type)
        request = LeafRequest(wanted.names, wanted.addresses, wanted.lifetime)
        chain = (leaf(request, authority, key, now), *(authority.chain if authority else ()))
        what = "the new certificate"
        validate(chain, key, now, names=wanted.names, addresses=wanted.addresses, roots=self.roots(), what=what)
        return Pair(chain, key)

    def roots(self) -> Chain:
        """What clients must trust; nothing where it is the certificate itself."""
        return self.wanted.authority.bundle if self.wanted.authority else ()

    def foreseen(self, name: str) -> tuple[str, dict[str, t.Any]]:
        """Name of the Secret and facts of the certificate, as far as they are known before there is a key."""
        wanted = self.wanted
        names, addresses = list(wanted.names), list(wanted.addresses)
        return f"{name}-{PENDING}", {"names": names, "addresses": addresses, "key_type": wanted.key_type}


class Await(Issue):
    """Plan of check mode: a CA issues it that an earlier task of the play would have made."""

    __slots__ = ()

    def decide(self, stored: Stored | None, now: datetime) -> Decision:  # noqa: ARG002
        """There can be none of that CA."""
        return Decision("issuer_changed" if stored else "missing", "its CA does not exist yet")


@dataclass(frozen=True, slots=True)
class Take:
    """Plan: somebody else issued it."""

    given: Given
    renewal: Renewal
    names: tuple[str, ...]
    addresses: tuple[str, ...]

    def decide(self, stored: Stored | None, now: datetime) -> Decision:
        """Whether what is stored must be replaced; bad material is refused in any case."""
        return decide_given(stored, self.pair(now).chain, self.renewal, now)

    def pair(self, now: datetime) -> Pair:
        """The given pair, judged."""
        pair, what = self.given.pair, self.given.what
        validate(
            pair.chain, pair.key, now, names=self.names, addresses=self.addresses, roots=self.given.roots, what=what
        )
        return pair

    def roots(self) -> Chain:
        """What clients must trust, as far as somebody said."""
        return self.given.roots

    def foreseen(self, name: str) -> tuple[str, dict[str, t.Any]]:
        """Name of the Secret and facts of the certificate to come."""
        chain = self.given.pair.chain
        return secrets.name_of(name, chain), facts(chain[0])


@dataclass(frozen=True, slots=True)
class Names:
    """What the Secrets are called.

    Attributes:
        alias: name of a mutable Secret that repeats the newest generation, or None.
        adopt: take that name over from somebody else.
        keep: how many generations to keep for undo, besides the newest and those that are named.
    """

    name: str
    namespace: str
    alias: str | None
    adopt: bool
    keep: int


@dataclass(frozen=True, slots=True)
class State:
    """What is in the newest Secret; `facts` alone where it is not written yet."""

    secret_name: str
    chain: Chain
    facts: dict[str, t.Any]

    def shown(self) -> dict[str, t.Any]:
        """As a diff shows it."""
        return {"secret_name": self.secret_name, "certificate": self.facts} if self.secret_name else {}


@dataclass(frozen=True, slots=True)
class Outcome:
    """What was done, or in check mode would be."""

    changed: bool
    decision: Decision
    before: State
    after: State
    pruned: list[str]
    notices: list[str]


def check_clock(cluster: Cluster) -> None:
    """Refuse to judge times by a clock that is not the cluster's.

    Raises:
        PkiError: this machine and the API server are more than two minutes apart.
    """
    skew = cluster.skew
    if skew is not None and abs(skew) > LARGEST_SKEW:
        where = "behind" if skew > 0 else "ahead of"
        raise PkiError(
            f"{cluster.label}: the clock of this machine is {abs(skew):.0f} s {where} the API server's, expected at "
            f"most {LARGEST_SKEW:.0f} s; set it right, or certificates are not valid where they are served"
        )


def present(cluster: Cluster, names: Names, plan: Issue | Take, now: datetime, *, check_mode: bool) -> Outcome:
    """Make the newest generation what `plan` says and the alias its copy; remove generations that nobody needs."""
    found = secrets.generations(secrets.tls_metadata(cluster, names.namespace), names.name)
    check_clock(cluster)
    current = cluster.get(SECRET, found[0].name, names.namespace) if found else None
    alias = cluster.get(SECRET, names.alias, names.namespace) if names.alias else None
    stored = secrets.stored_of(current)
    decision = plan.decide(stored, now)
    secrets.check_alias(alias, adopt=names.adopt)

    before = state_of(found[0].name, stored.chain) if found and stored else State("", (), {})
    after, pair = before, None
    if not decision.replace and current:
        pair = secrets.read_pair(current)
    elif check_mode:
        after = State(plan.foreseen(names.name)[0], (), plan.foreseen(names.name)[1])
    else:
        pair = plan.pair(now)
        number = found[0].number + 1 if found else 1
        after = state_of(secrets.write_generation(cluster, names.name, names.namespace, pair, number), pair.chain)
    copied = _copy(cluster, names, alias, pair, check_mode=check_mode)
    pruned, notices = _prune(cluster, names, found, after.secret_name, check_mode=check_mode)
    return Outcome(decision.replace or copied or bool(pruned), decision, before, after, pruned, notices)


def prune(cluster: Cluster, names: Names, *, check_mode: bool) -> tuple[list[str], list[str]]:
    """Remove generations that nobody needs: their names, and what to tell the user."""
    found = secrets.generations(secrets.tls_metadata(cluster, names.namespace), names.name)
    return _prune(cluster, names, found, found[0].name if found else "", check_mode=check_mode)


def absent(cluster: Cluster, name: str, namespace: str, *, check_mode: bool) -> list[str]:
    """Remove all our generations and their aliases; the names of what went."""
    metadata = secrets.tls_metadata(cluster, namespace)
    found = [*secrets.generations(metadata, name), *secrets.aliases(metadata, name)]
    return secrets.remove(cluster, namespace, found, dry_run=check_mode)


def state_of(secret_name: str, chain: Chain) -> State:
    """What is in a Secret that is written."""
    return State(secret_name, chain, facts(chain[0]) if chain else {})


def bundle(plan: Issue | Take, chain: Chain) -> str:
    """PEM of what a client must trust to believe `chain`; empty where nobody says."""
    return pem_of(plan.roots() or [item for item in chain[:1] if is_self_signed(item)])


def due(plan: Issue | Take, chain: Chain) -> str:
    """When the leaf of `chain` is to be replaced, in words for a result; empty for one that is not made yet."""
    return stamp(plan.renewal.at(chain[0])) if chain else ""


def _copy(cluster: Cluster, names: Names, alias: Body | None, pair: Pair | None, *, check_mode: bool) -> bool:
    """Whether the alias was, or would be, written. Without a pair there is a new one to come."""
    if not names.alias or (pair and secrets.alias_is_current(alias, names.name, pair)):
        return False
    if pair and not check_mode:
        secrets.write_alias(cluster, names.name, names.alias, names.namespace, pair)
    return True


def _prune(
    cluster: Cluster, names: Names, found: list[Generation], newest: str, *, check_mode: bool
) -> tuple[list[str], list[str]]:
    """Names of the generations that went, and what to tell the user."""
    older = secrets.surplus([item for item in found if item.name != newest], names.keep)
    if not older:
        return [], []
    try:
        named = secrets.users(cluster, names.namespace, [item.name for item in older])
    except (Forbidden, PkiError) as error:
        return [], [f"old generations stay, since nobody can say who uses them: {error}"]
    return secrets.remove(cluster, names.namespace, secrets.unused(older, named), dry_run=check_mode), []
