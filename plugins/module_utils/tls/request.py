# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Private to this collection: may change in any release.
"""Certificates of an external CA: the key waits in a Secret of its own, only the signing request goes out.

`<name>-request` is of type Opaque, so that nothing serves from it by mistake. It goes when its certificate is stored.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from datetime import datetime

from ..kube.client import MANAGER, Body, Cluster
from ..kube.kinds import SECRET
from ..pki.certificates import Chain
from ..pki.decide import Decision, Wanted, decide
from ..pki.errors import PkiError
from ..pki.issue import LeafRequest, asked_by, signing_request
from ..pki.keys import PrivateKey, generate, load, pem, same_key, spki, type_of
from . import secrets, server

REQUEST = "tls.csr"


@dataclass(frozen=True, slots=True)
class Pending:
    """A key that waits for its certificate, and the request for that."""

    uid: str
    key: PrivateKey = field(repr=False)
    names: frozenset[str]
    text: str

    def asks_for(self, wanted: Wanted) -> bool:
        """Whether the request is for what is wanted now."""
        same = self.names == {name.lower() for name in (*wanted.names, *wanted.addresses)}
        return same and type_of(self.key) == wanted.key_type


def secret_name(name: str) -> str:
    """Name of the Secret of a request."""
    return f"{name}-request"


def read(cluster: Cluster, name: str, namespace: str) -> Pending | None:
    """The pending request of `name`.

    Raises:
        PkiError: there is a Secret of that name that is none of ours, or is damaged.
    """
    item = cluster.get(SECRET, secret_name(name), namespace)
    if item is None:
        return None
    what = SECRET.describe(secret_name(name), namespace)
    if not secrets.is_ours(item["metadata"]):
        raise PkiError(f"{what}: made by somebody else, expected a request of ours; delete it, or use another name")
    text = secrets.data_of(item, REQUEST)
    key = load(secrets.data_of(item, secrets.KEY), what=f"{secrets.KEY} of {what}")
    names, public = asked_by(text, what=f"{REQUEST} of {what}")
    if public != spki(key.public_key()):
        raise PkiError(f"{what}: the key does not belong to the request; delete the Secret to make another one")
    return Pending(item["metadata"]["uid"], key, names, text.decode("ascii"))


def ask(
    cluster: Cluster, names: server.Names, wanted: Wanted, now: datetime, *, check_mode: bool
) -> tuple[server.Outcome, str]:
    """Make a request where a new certificate is needed; one that waits for the same is kept. PEM of the request."""
    found = secrets.generations(secrets.tls_metadata(cluster, names.namespace), names.name)
    server.check_clock(cluster)
    item = cluster.get(SECRET, found[0].name, names.namespace) if found else None
    stored = secrets.stored_of(item)
    decision: Decision = decide(stored, wanted, now)
    state = server.state_of(found[0].name, stored.chain) if found and stored else server.State("", (), {})
    pending = read(cluster, names.name, names.namespace)
    waits = pending is not None and pending.asks_for(wanted) and decision.reason != "forced"
    changed = decision.replace and not waits
    text = pending.text if pending and waits and decision.replace else ""
    if changed and not check_mode:
        text = _write(cluster, names, wanted)
    return server.Outcome(changed, decision, state, state, [], []), text


def _write(cluster: Cluster, names: server.Names, wanted: Wanted) -> str:
    key = generate(wanted.key_type)
    text = signing_request(LeafRequest(wanted.names, wanted.addresses, wanted.lifetime), key)
    body: Body = {
        "apiVersion": SECRET.api_version,
        "kind": SECRET.kind,
        "metadata": {
            "name": secret_name(names.name),
            "namespace": names.namespace,
            "labels": {"app.kubernetes.io/managed-by": MANAGER, "plumbline.dev/tls-secret": names.name},
        },
        "type": "Opaque",
        "data": {
            secrets.KEY: base64.b64encode(pem(key)).decode(),
            REQUEST: base64.b64encode(text.encode()).decode(),
        },
    }
    cluster.apply(SECRET, body)
    return text


def pair(cluster: Cluster, name: str, namespace: str, chain: Chain, what: str) -> secrets.Pair:
    """The pair of a certificate that came back, by the key that waits for it or is stored with it already.

    Raises:
        PkiError: it belongs to neither.
    """
    pending = read(cluster, name, namespace)
    if pending and same_key(chain[0], pending.key):
        return secrets.Pair(chain, pending.key)
    found = secrets.generations(secrets.tls_metadata(cluster, namespace), name)
    item = cluster.get(SECRET, found[0].name, namespace) if found else None
    stored = secrets.stored_of(item)
    if item and stored and stored.pair and stored.chain == chain:
        return secrets.read_pair(item)
    raise PkiError(f"{what}: belongs to no request of {namespace}/{name}, expected the certificate for the last one")


def done(cluster: Cluster, name: str, namespace: str, chain: Chain) -> None:
    """Remove the request whose certificate is stored."""
    pending = read(cluster, name, namespace)
    if pending and same_key(chain[0], pending.key):
        cluster.delete(SECRET, secret_name(name), namespace, uid=pending.uid)


def remove(cluster: Cluster, name: str, namespace: str, *, check_mode: bool) -> list[str]:
    """Remove the request, whatever is in it; its name if there was one of ours."""
    item = cluster.get(SECRET, secret_name(name), namespace)
    if item is None or not secrets.is_ours(item["metadata"]):
        return []
    uid = item["metadata"]["uid"]
    gone = cluster.delete(SECRET, secret_name(name), namespace, uid=uid, dry_run=check_mode)
    return [secret_name(name)] if gone else []
