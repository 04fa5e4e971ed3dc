# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Private to this collection: may change in any release.
"""TLS Secrets on the cluster: find the generations of one, read and write pairs, see who names them, prune.

Each generation is an immutable Secret of its own, `<name>-<hash of its certificates>`: kubelets show stale data of an
immutable Secret that was made again under its old name, and torn or late data of a mutable one. Generations are found
by metadata alone, and taken for ours by their name *and* their field manager: labels can be set by anybody.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
import typing as t
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime

from ..kube.client import MANAGER, Body, Cluster
from ..kube.errors import Conflict, NotFound
from ..kube.kinds import (
    CONTROLLER_REVISION,
    CRON_JOB,
    DAEMON_SET,
    DEPLOYMENT,
    GATEWAY,
    GATEWAY_BETA,
    INGRESS,
    JOB,
    POD,
    REFERENCE_GRANT,
    REPLICA_SET,
    SECRET,
    STATEFUL_SET,
    Kind,
)
from ..pki.certificates import Chain, der, fingerprint, parse_chain, pem_of, validate
from ..pki.decide import Stored
from ..pki.errors import PkiError
from ..pki.keys import PrivateKey, load, pem, same_key

TYPE = "kubernetes.io/tls"
CERTIFICATE, KEY = "tls.crt", "tls.key"
FINGERPRINT = "plumbline.dev/fingerprint"
NUMBER = "plumbline.dev/generation"
ALIAS_OF = "plumbline.dev/alias-of"
LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
HASH_LENGTH = 10
# Everything of its namespace that can name a Secret. ReplicaSets and ControllerRevisions are what an undo goes back to.
USERS: tuple[Kind, ...] = (
    DEPLOYMENT,
    REPLICA_SET,
    STATEFUL_SET,
    DAEMON_SET,
    CONTROLLER_REVISION,
    CRON_JOB,
    JOB,
    POD,
    INGRESS,
    GATEWAY,
)
# Programs that keep Secrets, by words in annotations, owners and managers of theirs.
KEEPERS = {
    "cert-manager": ("cert-manager.io/", "cert-manager"),
    "external-secrets": ("external-secrets.io/", "reconcile.external-secrets.io/", "external-secrets"),
}


@dataclass(frozen=True, slots=True)
class Generation:
    """One Secret of ours, by its metadata."""

    name: str
    uid: str
    number: int
    created: str


@dataclass(frozen=True, slots=True)
class Pair:
    """Certificates as they are sent, leaf first, and the leaf's private key."""

    chain: Chain
    key: PrivateKey = field(repr=False)


# ----- finding


def tls_metadata(cluster: Cluster, namespace: str) -> list[Body]:
    """Metadata of all TLS Secrets of a namespace."""
    return [item["metadata"] for item in cluster.list_metadata(SECRET, namespace, fields=f"type={TYPE}").items]


def generations(metadata: t.Iterable[Body], name: str) -> list[Generation]:
    """Our generations of `name`, newest first."""
    shape = re.compile(rf"{re.escape(name)}-[0-9a-f]{{{HASH_LENGTH}}}")
    found = [
        Generation(item["name"], item["uid"], _number(item), item.get("creationTimestamp") or "")
        for item in metadata
        if shape.fullmatch(item["name"]) and is_ours(item) and not item.get("deletionTimestamp")
    ]
    return sorted(found, key=lambda item: (item.number, item.created, item.name), reverse=True)


def aliases(metadata: t.Iterable[Body], name: str) -> list[Generation]:
    """Our mutable Secrets that repeat the newest generation of `name`."""
    return [
        Generation(item["name"], item["uid"], 0, item.get("creationTimestamp") or "")
        for item in metadata
        if (item.get("annotations") or {}).get(ALIAS_OF) == name and is_ours(item) and not item.get("deletionTimestamp")
    ]


def is_ours(metadata: Body) -> bool:
    """Whether we applied it: the server writes down who did, and only who writes it can be named there."""
    entries = metadata.get("managedFields") or []
    return any(entry.get("manager") == MANAGER and entry.get("operation") == "Apply" for entry in entries)


def keeper(metadata: Body) -> str:
    """The program that keeps a Secret and would write over what we write, or an empty string."""
    words = [*(metadata.get("annotations") or {}), *(metadata.get("labels") or {})]
    words += [owner.get("apiVersion", "") for owner in metadata.get("ownerReferences") or []]
    words += [entry.get("manager", "") for entry in metadata.get("managedFields") or []]
    for program, marks in KEEPERS.items():
        if any(mark in word for word in words for mark in marks):
            return program
    return ""


def _number(metadata: Body) -> int:
    text = (metadata.get("annotations") or {}).get(NUMBER, "")
    return int(text) if text.isdecimal() and text.isascii() else 0


# ----- reading


def read_pair(item: Body) -> Pair:
    """The pair in a Secret that somebody gave us.

    Raises:
        PkiError: it is no TLS Secret, or what it holds cannot be read.
    """
    metadata = item["metadata"]
    what = SECRET.describe(metadata["name"], metadata.get("namespace"))
    if item.get("type") != TYPE:
        raise PkiError(f"{what}: type {item.get('type') or 'Opaque'} observed, expected {TYPE}")
    chain = parse_chain(data_of(item, CERTIFICATE), what=f"{CERTIFICATE} of {what}")
    return Pair(chain, load(data_of(item, KEY), what=f"{KEY} of {what}"))


def data_of(item: Body, name: str) -> bytes:
    """One value of a Secret, empty where it has none."""
    try:
        return base64.b64decode((item.get("data") or {}).get(name) or "")
    except binascii.Error:
        return b""


def stored_of(item: Body | None) -> Stored | None:
    """What the decision needs to know of a Secret; damaged content is a fact, no error."""
    if item is None:
        return None
    try:
        pair = read_pair(item)
    except PkiError:
        return Stored((), pair=False)
    return Stored(pair.chain, same_key(pair.chain[0], pair.key))


def problem(item: Body, roots: Chain, now: datetime) -> str:
    """Why the pair in a Secret must not be served, or an empty string; `roots` is what clients trust, where known."""
    metadata = item["metadata"]
    what = SECRET.describe(metadata["name"], metadata.get("namespace"))
    try:
        pair = read_pair(item)
        validate(pair.chain, pair.key, now, roots=roots, what=what)
    except PkiError as error:
        return str(error)
    return ""


# ----- writing


def name_of(name: str, chain: Chain) -> str:
    """Name of the generation with these certificates. All of them count: another intermediate is another content."""
    digest = hashlib.sha256(b"".join(der(item) for item in chain)).hexdigest()
    return f"{name}-{digest[:HASH_LENGTH]}"


def body(name: str, secret_name: str, namespace: str, pair: Pair, annotations: dict[str, str]) -> Body:
    """The Secret for a pair."""
    return {
        "apiVersion": SECRET.api_version,
        "kind": SECRET.kind,
        "metadata": {
            "name": secret_name,
            "namespace": namespace,
            "labels": {"app.kubernetes.io/managed-by": MANAGER, "plumbline.dev/tls-secret": name},
            "annotations": {FINGERPRINT: fingerprint(pair.chain[0]), **annotations},
        },
        "type": TYPE,
        "data": {
            CERTIFICATE: base64.b64encode(pem_of(pair.chain).encode()).decode(),
            KEY: base64.b64encode(pem(pair.key)).decode(),
        },
    }


def write_generation(cluster: Cluster, name: str, namespace: str, pair: Pair, number: int) -> str:
    """Store a pair as an immutable Secret and return its name.

    One that is there with the same content only gets the new number: a given pair may come back.
    """
    secret_name = name_of(name, pair.chain)
    wanted = body(name, secret_name, namespace, pair, {NUMBER: str(number)})
    cluster.apply(SECRET, {**wanted, "immutable": True})
    return secret_name


def write_alias(cluster: Cluster, name: str, alias: str, namespace: str, pair: Pair) -> None:
    """Store a pair under a fixed name, and drop the copy of an older one that `kubectl apply` left beside it."""
    applied = cluster.apply(SECRET, body(name, alias, namespace, pair, {ALIAS_OF: name}), force=True)
    if LAST_APPLIED in (applied["metadata"].get("annotations") or {}):
        cluster.patch(SECRET, alias, namespace, {"metadata": {"annotations": {LAST_APPLIED: None}}})


def alias_is_current(item: Body | None, name: str, pair: Pair) -> bool:
    """Whether a fixed-name Secret holds this very pair, is ours, and keeps no copy in an annotation."""
    if item is None or not is_ours(item["metadata"]):
        return False
    annotations = item["metadata"].get("annotations") or {}
    stored = stored_of(item)
    return (
        annotations.get(ALIAS_OF) == name
        and LAST_APPLIED not in annotations
        and stored is not None
        and stored.pair
        and stored.chain == pair.chain
    )


def check_alias(item: Body | None, *, adopt: bool) -> None:
    """Refuse to write over a Secret of somebody else.

    Raises:
        PkiError: another program keeps it, somebody else made it and `adopt` is not set, or its type is another.
    """
    if item is None:
        return
    metadata = item["metadata"]
    what = SECRET.describe(metadata["name"], metadata.get("namespace"))
    if item.get("type") != TYPE:
        raise PkiError(
            f"alias: {what} has type {item.get('type') or 'Opaque'}, expected {TYPE}; a type cannot change, delete it"
        )
    if item.get("immutable"):
        raise PkiError(f"alias: {what} is immutable, expected one that can be written; delete it, or use another name")
    program = keeper(metadata)
    if not adopt and (program or not is_ours(metadata)):
        by = f"is kept by {program}" if program else "was made by somebody else"
        raise PkiError(f"alias: {what} {by}; set adopt to take it over, or use another name")


# ----- pruning


def users(cluster: Cluster, namespace: str, names: t.Collection[str]) -> dict[str, list[str]]:
    """Which objects name which of these Secrets, as `Kind/name`, or `Kind/namespace/name` where that is another one.

    Every text of a specification counts that is such a name: volumes, projected ones, variables, Ingress, Gateway.
    Gateways of another namespace may name them by leave of a ReferenceGrant.

    Raises:
        Forbidden: a kind may not be listed, so nobody can say.
        PkiError: a ReferenceGrant gives leave to a kind that is not known here.
    """
    with ThreadPoolExecutor(len(USERS) + 1) as pool:
        granted = pool.submit(_granted, cluster, namespace)
        found = [item for items in pool.map(lambda kind: _listed(cluster, kind, namespace), USERS) for item in items]
        for elsewhere in pool.map(lambda other: _listed(cluster, GATEWAY, other), granted.result()):
            found += elsewhere
    named: dict[str, list[str]] = {name: [] for name in names}
    for item in found:
        for name in _texts([item.get("spec"), item.get("data")]) & named.keys():
            named[name].append(_user(item, namespace))
    return {name: sorted(by) for name, by in named.items()}


def _user(item: Body, namespace: str) -> str:
    metadata = item["metadata"]
    there = metadata.get("namespace") or namespace
    return f"{item['kind']}/{'' if there == namespace else f'{there}/'}{metadata['name']}"


def _granted(cluster: Cluster, namespace: str) -> list[str]:
    """Other namespaces whose Gateways may name Secrets of this one."""
    found = set()
    for grant in _listed(cluster, REFERENCE_GRANT, namespace):
        if not any(to.get("kind") == SECRET.kind for to in grant["spec"]["to"]):
            continue
        for source in grant["spec"]["from"]:
            if source["kind"] != GATEWAY.kind:
                what = REFERENCE_GRANT.describe(grant["metadata"]["name"], namespace)
                raise PkiError(f"{what} lets kind {source['kind']} of namespace {source['namespace']} use Secrets")
            found.add(source["namespace"])
    return sorted(found - {namespace})


def _listed(cluster: Cluster, kind: Kind, namespace: str) -> list[Body]:
    try:
        return cluster.list(kind, namespace).items
    except NotFound:
        # The API of Gateways is not installed, or is an older one.
        return _listed(cluster, GATEWAY_BETA, namespace) if kind is GATEWAY else []


def _texts(value: t.Any) -> set[str]:
    if isinstance(value, str):
        return {value}
    children = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return {text for child in children for text in _texts(child)}


def surplus(older: t.Sequence[Generation], keep: int) -> list[Generation]:
    """Of the generations before the newest one those that may go if nothing names them: all but `keep`, for undo."""
    return list(older[keep:])


def unused(found: t.Sequence[Generation], named: t.Mapping[str, t.Sequence[str]]) -> list[Generation]:
    """Those that nothing names."""
    return [item for item in found if not named[item.name]]


def remove(cluster: Cluster, namespace: str, found: t.Iterable[Generation], *, dry_run: bool) -> list[str]:
    """Delete exactly these Secrets and return the names of those that went."""
    return [item.name for item in found if _removed(cluster, namespace, item, dry_run=dry_run)]


def _removed(cluster: Cluster, namespace: str, item: Generation, *, dry_run: bool) -> bool:
    try:
        return cluster.delete(SECRET, item.name, namespace, uid=item.uid, dry_run=dry_run)
    except Conflict:
        return False  # another Secret got the name meanwhile: that one stays
