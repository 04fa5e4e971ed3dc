# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Private to this collection: may change in any release.
"""What TLS is judged against, read from the cluster: the bundle of CA certificates, and the leaf of a Secret."""

from __future__ import annotations

import base64
import binascii
import typing as t

from ..kube.client import Cluster
from ..kube.errors import Forbidden, OptionError, Unauthorized
from ..kube.kinds import CONFIG_MAP, SECRET
from ..pki import keys
from ..pki.certificates import fingerprint, parse_chain
from ..pki.errors import PkiError
from .look import FITS, Stored
from .rights import Right

if t.TYPE_CHECKING:
    from cryptography import x509

BUNDLE_KEY = "ca.crt"
FINGERPRINT = "plumbline.dev/fingerprint"


def read_bundle(cluster: Cluster, namespace: str, name: str) -> str:
    """The PEM text of a ConfigMap.

    Raises:
        OptionError: there is none.
        PkiError: it holds something else.
    """
    found = cluster.get(CONFIG_MAP, name, namespace)
    if found is None:
        raise OptionError(f"tls.bundle_config_map: there is no ConfigMap {namespace}/{name}")
    text = (found.get("data") or {}).get(BUNDLE_KEY)
    if text is None:
        raise OptionError(f"tls.bundle_config_map: ConfigMap {namespace}/{name} has no key {BUNDLE_KEY}")
    check_bundle(text, f"tls.bundle_config_map: ConfigMap {namespace}/{name}")
    return str(text)


def check_bundle(text: str, what: str) -> None:
    """Refuse a bundle that no client could load."""
    parse_chain(text.encode("utf-8"), what=what)


def read_stored(cluster: Cluster, namespace: str, name: str) -> Stored:
    """The fingerprint of the leaf that a Secret holds; the key is not asked for where the annotation tells it."""
    label = f"Secret {namespace}/{name}"
    told = _annotated(cluster, namespace, name)
    if told:
        return Stored(label, fingerprint=told)
    try:
        secret = cluster.get(SECRET, name, namespace)
    except (Forbidden, Unauthorized):
        # The server's own words are not passed on: what it says about Secrets may quote them.
        return Stored(label, denied=Right("get", "secrets", namespace).missing)
    if secret is None:
        return Stored(label)
    return _reduced(label, secret.get("data") or {})


def _annotated(cluster: Cluster, namespace: str, name: str) -> str:
    try:
        listed = cluster.list_metadata(SECRET, namespace, fields=f"metadata.name={name}").items
    except (Forbidden, Unauthorized):
        return ""
    return next((str((item["metadata"].get("annotations") or {}).get(FINGERPRINT, "")) for item in listed), "")


def _reduced(label: str, data: t.Mapping[str, str]) -> Stored:
    try:
        text = base64.b64decode(data.get("tls.crt") or "", validate=True)
        leaf = parse_chain(text)[0]
    except (PkiError, binascii.Error):
        return Stored(label, unreadable=f"{label} holds no readable certificate in tls.crt")
    return Stored(label, fingerprint=fingerprint(leaf), pair=_pair(leaf, data.get("tls.key") or ""))


def _pair(leaf: x509.Certificate, encoded: str) -> str:
    """Nothing of the key leaves this function, not even in what is wrong with it."""
    try:
        key = keys.load(base64.b64decode(encoded, validate=True))
    except (PkiError, binascii.Error):
        return "holds no readable private key in tls.key" if encoded else "has no tls.key"
    return FITS if keys.same_key(leaf, key) else "holds a private key of another certificate in tls.key"
