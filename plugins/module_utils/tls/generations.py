# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Private to this collection: may change in any release.
"""Bring a CA to the wanted generations and publish what clients have to trust.

The state is written before a bundle that changes with it. A step that leaves the bundle as it is, such as the switch to
a new generation, publishes it before: nothing is issued before it can be trusted. Either way a run that was killed in
between is completed by the next one.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field, replace
from datetime import datetime

from ..app.values import refusal
from ..kube.apply import ensure
from ..kube.client import MANAGER, Body, Cluster
from ..kube.errors import ApiError, Conflict, Forbidden, KubeError, NotFound
from ..kube.kinds import CLUSTER_TRUST_BUNDLE, CONFIG_MAP, Kind
from ..kube.owned import fields_of
from ..pki.authority import Authority, Generation, Profile, make, next_profile, plan
from ..pki.certificates import facts, pem_of, stamp
from ..pki.decide import Renewal
from ..pki.errors import PkiError
from ..pki.keys import encrypted_pem
from . import passphrase
from .authority import Kept, Store, unlock
from .server import check_clock

BUNDLE_KEY = "ca.crt"
OWNER = "plumbline.dev/authority"

# Kind and namespace of an object.
Place: t.TypeAlias = "tuple[Kind, str | None]"


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a run shall do.

    Attributes:
        first: profile of the first generation.
        given: in what a generation that has to be made differs from the one before, by attributes of `Profile`.
        rotation: a step of a rotation.
        compromised: the number of a generation that is not to be trusted from now on.
    """

    first: Profile
    given: t.Mapping[str, t.Any] = field(default_factory=dict)
    rotation: str | None = None
    compromised: int | None = None


@dataclass(frozen=True, slots=True)
class Bundles:
    """Where the certificates of trusted generations are published: a ConfigMap in each namespace, and cluster-wide.

    Attributes:
        owner: which CA of this name it is, as written on each object.
    """

    name: str
    owner: str
    namespaces: tuple[str, ...] = ()
    cluster_wide: bool = False

    @property
    def places(self) -> list[Place]:
        """Kind and namespace of each object."""
        maps: list[Place] = [(CONFIG_MAP, namespace) for namespace in self.namespaces]
        return [*maps, *([(CLUSTER_TRUST_BUNDLE, None)] if self.cluster_wide else [])]

    def at(self, places: t.Iterable[Place]) -> Bundles:
        """The same elsewhere."""
        found = set(places)
        namespaces = sorted(namespace for _kind, namespace in found if namespace)
        return replace(self, namespaces=tuple(namespaces), cluster_wide=(CLUSTER_TRUST_BUNDLE, None) in found)

    def body(self, kind: Kind, namespace: str | None, pem: str) -> Body:
        """One object."""
        metadata = {
            "name": self.name,
            "labels": {"app.kubernetes.io/managed-by": MANAGER},
            "annotations": {OWNER: self.owner},
        }
        if kind is CLUSTER_TRUST_BUNDLE:
            return {"metadata": metadata, "spec": {"trustBundle": pem}}
        return {"metadata": {**metadata, "namespace": namespace}, "data": {BUNDLE_KEY: pem}}

    def has(self, live: Body | None) -> bool:
        """Whether an object is there and is ours, not one that another CA of this name was told to take over."""
        if not live or not fields_of(live, MANAGER):
            return False
        return bool((live["metadata"].get("annotations") or {}).get(OWNER) == self.owner)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What was done, or in check mode would be."""

    before: Authority
    after: Authority
    profile: Profile
    written: bool
    published: list[str]
    notices: list[str]

    @property
    def changed(self) -> bool:
        """Whether anything was written."""
        return self.written or bool(self.published)


def present(
    cluster: Cluster,
    store: Store,
    wanted: Wanted,
    bundles: Bundles,
    params: t.Mapping[str, t.Any],
    now: datetime,
    *,
    check_mode: bool,
) -> Outcome:
    """Plan, make what is missing, write, publish."""
    kept = store.read()
    check_clock(cluster)
    profile = next_profile(kept.authority, wanted.first, wanted.given)
    check(profile)
    planned = plan(kept.authority, now, rotation=wanted.rotation, compromised=wanted.compromised)
    remembered, unseen = _remembered(cluster, bundles, kept.authority)
    everywhere = bundles.at([*bundles.places, *remembered, *unseen])
    planned = replace(planned, namespaces=everywhere.namespaces, cluster_wide=everywhere.cluster_wide)
    bundles = bundles.at([*bundles.places, *remembered])
    secret = _passphrase(kept, planned, store, params)
    written = planned != kept.authority or not kept.tidy
    if planned.planned and wanted.compromised is None:
        # Where no key is made, and where one replaces a stolen one, the place must not stand in the way.
        store.check()
    after = kept
    if written and not check_mode:
        after = _after(kept, planned, profile, secret, now)
    elif written:
        after = replace(kept, authority=planned)
    published: list[str] = []
    notices: list[str] = []
    late = [
        f"{kind.describe(bundles.name, space)}: no right to look at it; it may be out of date" for kind, space in unseen
    ]
    if after.authority.roots == kept.authority.roots:
        published, notices = publish(cluster, bundles, after.authority, check_mode=check_mode)
    if written and not check_mode:
        store.write(kept, after)
    if after.authority.roots != kept.authority.roots:
        published, notices = publish(cluster, bundles, after.authority, check_mode=check_mode)
    return Outcome(kept.authority, after.authority, profile, written, published, [*late, *notices])


def check(profile: Profile) -> None:
    """Refuse what cannot be said in a certificate.

    Raises:
        OptionError: addresses are limited, and names are not.
    """
    if profile.permitted_addresses and not profile.permitted_names:
        raise refusal("permitted_names", None, "them with permitted_addresses")


def _remembered(cluster: Cluster, bundles: Bundles, authority: Authority) -> tuple[list[Place], list[Place]]:
    """Places of earlier runs where the bundle still is, and those that we may not look at.

    Who runs a step for one namespace must not leave the clients in another one with a trust that is out of date.
    """
    found: list[Place] = []
    unseen: list[Place] = []
    for kind, namespace in _earlier(bundles, authority).places:
        if (kind, namespace) in bundles.places:
            continue
        try:
            if bundles.has(cluster.get(kind, bundles.name, namespace)):
                found.append((kind, namespace))
        except Forbidden:
            unseen.append((kind, namespace))
    return found, unseen


def _earlier(bundles: Bundles, authority: Authority) -> Bundles:
    return replace(bundles, namespaces=authority.namespaces, cluster_wide=authority.cluster_wide)


def _passphrase(kept: Kept, planned: Authority, store: Store, params: t.Mapping[str, t.Any]) -> bytes | None:
    """The passphrase, tried on what is there: all keys have the same. Only who makes or uses a key needs it."""
    secret = passphrase.require(params) if planned.planned else passphrase.read(params)
    issuing = kept.authority.issuing
    if secret is not None and issuing:
        unlock(kept, issuing.number, secret, store.what)
    return secret


def _after(kept: Kept, planned: Authority, profile: Profile, secret: bytes | None, now: datetime) -> Kept:
    keys = dict(kept.keys)
    if planned.planned and secret is not None:
        chain, key = make(profile, planned.planned.number, now)
        keys[planned.planned.number] = encrypted_pem(key, secret)
        planned = planned.made(chain)
    trusted = {item.number for item in planned.trusted}
    return Kept(planned, {number: value for number, value in keys.items() if number in trusted}, kept.version)


def publish(
    cluster: Cluster, bundles: Bundles, authority: Authority, *, check_mode: bool
) -> tuple[list[str], list[str]]:
    """Objects that were written, and what to tell the user.

    Raises:
        KubeError: one cannot be written. All others are.
    """
    if authority.planned:  # in check mode: what there will be to publish is not known
        return [kind.describe(bundles.name, namespace) for kind, namespace in bundles.places], []
    pem = pem_of(authority.roots)
    published: list[str] = []
    notices: list[str] = []
    failures: list[KubeError] = []
    for kind, namespace in bundles.places:
        what = kind.describe(bundles.name, namespace)
        try:
            if ensure(cluster, kind, bundles.body(kind, namespace, pem), check_mode=check_mode).changed:
                published.append(what)
        except Conflict as error:
            owners = ", ".join(sorted({owner for _field, owner in error.conflicts})) or "another run"
            failures.append(PkiError(f"{what}: its content is owned by {owners}; delete it, or use another name"))
        except NotFound:
            if kind is CLUSTER_TRUST_BUNDLE:
                notices.append(f"{cluster.label} has no ClusterTrustBundle v1 (Kubernetes 1.37); ConfigMaps stand in")
            else:
                failures.append(PkiError(f"bundle_namespaces: namespace {namespace} does not exist; create it first"))
        except ApiError as error:
            failures.append(error)
    if failures:
        raise failures[0]
    return published, notices


def absent(cluster: Cluster, store: Store, bundles: Bundles, *, check_mode: bool) -> list[str]:
    """Remove the published bundles that are ours, then the CA with its keys; what went."""
    kept = store.read()
    bundles = bundles.at([*bundles.places, *_earlier(bundles, kept.authority).places])
    removed: list[str] = []
    for kind, namespace in bundles.places:
        live = cluster.get(kind, bundles.name, namespace)
        if live and bundles.has(live):
            cluster.delete(kind, bundles.name, namespace, uid=live["metadata"]["uid"], dry_run=check_mode)
            removed.append(kind.describe(bundles.name, namespace))
    if kept.exists:
        removed.append(store.what)
        if not check_mode:
            store.remove()
    return removed


# ----- for results: public facts only


def reason(wanted: Wanted, outcome: Outcome) -> str:
    """What the run was for, in one word; `none` where there was nothing to do."""
    if not outcome.changed:
        return "none"
    if not outcome.before.generations:
        return "created"
    steps = [item.state for item in outcome.before.generations] != [item.state for item in outcome.after.generations]
    if not steps:
        return "published"
    return wanted.rotation or ("compromised" if wanted.compromised is not None else "created")


def described(generation: Generation, profile: Profile) -> dict[str, t.Any]:
    """A generation. Of one that is still to be made what is known."""
    if generation.chain:
        certificate, *above = [facts(item) for item in generation.chain]
    else:
        certificate, above = {"subject": f"CN={profile.common_name(generation.number)}"}, []
    shown = {"id": generation.number, "state": generation.state, "certificate": certificate}
    return {**shown, "root": above[-1]} if above else shown


def renew_at(authority: Authority) -> str:
    """From when on a rotation is due: when a third of the time is left. Empty for one that is still to be made."""
    issuing = authority.issuing
    return stamp(Renewal().at(issuing.chain[0])) if issuing and issuing.chain else ""


def overdue(authority: Authority, now: datetime) -> str:
    """What to tell about a CA that ends soon, or an empty string."""
    issuing = authority.issuing
    if not issuing or not issuing.chain or now < Renewal().at(issuing.chain[0]):
        return ""
    end = min(item.not_valid_after_utc for item in issuing.chain)
    return f"generation {issuing.number} of the CA ends at {stamp(end)}; rotate it: prepare, switch, finish"


def diff(outcome: Outcome) -> dict[str, t.Any]:
    """Ansible's `diff` value."""
    return {
        "before": {**_shown(outcome.before), "published": []},
        "after": {**_shown(outcome.after), "published": outcome.published},
    }


def _shown(authority: Authority) -> dict[str, t.Any]:
    generations = [
        {"id": item.number, "state": item.state, **({"certificate": facts(item.chain[0])} if item.chain else {})}
        for item in authority.generations
    ]
    return {"generations": generations, "bundle_namespaces": list(authority.namespaces)}
