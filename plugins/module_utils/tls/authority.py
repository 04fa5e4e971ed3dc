# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Private to this collection: may change in any release.
"""Where a CA is kept, in one Secret or in one folder, and how its key is loaded to issue by it.

Both hold `authority.json`, which is public, and `<generation>.key`, encrypted PKCS#8. A Secret changes as a whole; in
a folder new keys are written before, and old ones removed after, the file that names them.
"""

from __future__ import annotations

import base64
import contextlib
import os
import tempfile
import typing as t
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from ..app.values import dns_subdomain, refusal
from ..kube.client import MANAGER, Body, Cluster
from ..kube.errors import Conflict, NotFound, OptionError
from ..kube.kinds import CRON_JOB, DAEMON_SET, DEPLOYMENT, JOB, POD, SECRET, SERVICE, STATEFUL_SET, Kind
from ..pki.authority import Authority, dumps, loads
from ..pki.errors import PkiError
from ..pki.issue import Issuer
from ..pki.keys import load, same_key
from . import passphrase

AUTHORITY = "authority.json"
KEY_SUFFIX = ".key"
# What makes a namespace one of an application: who may read a pod's Secrets there could read the CA's key.
TENANTS: tuple[Kind, ...] = (POD, SERVICE, DEPLOYMENT, STATEFUL_SET, DAEMON_SET, CRON_JOB, JOB)

# Where a CA is, and where the passphrase of its key is.
PLACE_OPTIONS: dict[str, t.Any] = {
    "name": {"type": "str", "default": "plumbline"},
    "namespace": {"type": "str"},
    "path": {"type": "path"},
    **passphrase.PASSPHRASE_OPTIONS,
}
PLACE_RULES: dict[str, t.Any] = {
    "mutually_exclusive": [("namespace", "path"), tuple(passphrase.PASSPHRASE_OPTIONS)],
    "required_one_of": [("namespace", "path")],
}
# The same as one option of a module that issues by it.
AUTHORITY_OPTIONS: dict[str, t.Any] = {"type": "dict", "options": PLACE_OPTIONS, **PLACE_RULES}


@dataclass(frozen=True, slots=True)
class Kept:
    """What is stored.

    Attributes:
        keys: encrypted keys in PEM form, by number of their generation.
        version: what the store wants to see again at the next write, or it has changed meanwhile.
    """

    authority: Authority
    keys: dict[int, bytes] = field(default_factory=dict, repr=False)
    version: str = ""

    @property
    def exists(self) -> bool:
        """Whether there is anything."""
        return bool(self.authority.generations)

    @property
    def tidy(self) -> bool:
        """Whether there are no keys but those of trusted generations."""
        return set(self.keys) <= {item.number for item in self.authority.trusted}


class Store(t.Protocol):
    """A place for a CA. `what` names it in messages."""

    what: str

    def check(self) -> None:
        """Refuse a place where a CA should not be."""

    def read(self) -> Kept:
        """What is there; nothing is an empty authority."""

    def write(self, before: Kept, after: Kept) -> None:
        """Replace `before` by `after`."""

    def remove(self) -> None:
        """Remove it with its keys."""


def store(cluster: Cluster, params: t.Mapping[str, t.Any]) -> Store:
    """The place that the options name."""
    name = dns_subdomain("name", params["name"])
    if params["path"]:
        return FolderStore(Path(params["path"]).expanduser())
    return SecretStore(cluster, name, params["namespace"])


def load_issuer(cluster: Cluster, options: t.Mapping[str, t.Any], now: datetime) -> Issuer:
    """The generation that issues, with its key.

    Raises:
        PkiError: there is no CA, it is out of its time, nothing of it issues, or the passphrase is wrong.
    """
    place = store(cluster, options)
    kept = place.read()
    if not kept.exists:
        raise PkiError(f"authority: {place.what} does not exist; make it with certificate_authority")
    issuing = kept.authority.issuing
    if issuing is None:
        raise PkiError(
            f"authority: {place.what} has no generation that issues ({kept.authority.summary()}); run "
            "certificate_authority, which makes one"
        )
    issuing.check_time(now)
    key = unlock(kept, issuing.number, passphrase.require(options), place.what)
    return Issuer(issuing.chain[0], key, issuing.chain[:-1], kept.authority.roots)


def unlock(kept: Kept, number: int, secret: bytes, what: str) -> t.Any:
    """The key of a generation."""
    generation = kept.authority.get(number)
    if generation is None or number not in kept.keys:
        raise PkiError(f"{what}: the key of generation {number} is missing")
    key = load(kept.keys[number], secret, what=f"{what}, key of generation {number}")
    if not same_key(generation.chain[0], key):
        raise PkiError(f"{what}: the key of generation {number} does not belong to its certificate")
    return key


def _numbered(names: t.Mapping[str, bytes]) -> dict[int, bytes]:
    stems = {name.removesuffix(KEY_SUFFIX): value for name, value in names.items() if name.endswith(KEY_SUFFIX)}
    return {int(stem): value for stem, value in stems.items() if stem.isascii() and stem.isdecimal()}


# ----- in a Secret


class SecretStore:
    """One Secret of a fixed name, changed only as it was read (`resourceVersion`)."""

    def __init__(self, cluster: Cluster, name: str, namespace: str) -> None:
        self._cluster = cluster
        self._name = f"{name}-ca"
        self._namespace = namespace
        self.what = SECRET.describe(self._name, namespace)

    def check(self) -> None:
        """Refuse a namespace that is not the CA's own."""
        namespace = self._namespace
        if namespace == "default" or namespace.startswith("kube-"):
            raise refusal("namespace", namespace, "a namespace of the CA's own")
        for kind in TENANTS:
            found = self._cluster.list_metadata(kind, namespace).items
            if found:
                first = kind.describe(found[0]["metadata"]["name"], namespace)
                raise OptionError(
                    f"namespace: {first} is there, expected a namespace of the CA's own without {kind.plural}: who may "
                    "run pods or read Secrets there could take the CA's key",
                    option="namespace",
                )

    def read(self) -> Kept:
        """What is in the Secret."""
        item = self._cluster.get(SECRET, self._name, self._namespace)
        if item is None:
            return Kept(Authority())
        data = {name: base64.b64decode(value) for name, value in (item.get("data") or {}).items()}
        if AUTHORITY not in data:
            raise PkiError(f"{self.what}: no {AUTHORITY} in it, so it is no CA of this collection; use another name")
        authority = loads(data[AUTHORITY], what=f"{AUTHORITY} of {self.what}")
        return Kept(authority, _numbered(data), item["metadata"]["resourceVersion"])

    def write(self, before: Kept, after: Kept) -> None:
        """Create it, or change exactly what was read."""
        data: dict[str, str | None] = {f"{number}{KEY_SUFFIX}": None for number in before.keys}
        data |= {f"{number}{KEY_SUFFIX}": _encoded(value) for number, value in after.keys.items()}
        data[AUTHORITY] = _encoded(dumps(after.authority).encode())
        try:
            if before.version:
                body: Body = {"metadata": {"resourceVersion": before.version}, "data": data}
                self._cluster.patch(SECRET, self._name, self._namespace, body)
            else:
                self._cluster.create(SECRET, self._body(data))
        except Conflict:
            raise PkiError(f"{self.what}: another run changed it meanwhile; run again") from None
        except NotFound:
            raise PkiError(f"{self.what}: namespace {self._namespace} or the Secret is not there; create it") from None

    def remove(self) -> None:
        """Delete the Secret."""
        self._cluster.delete(SECRET, self._name, self._namespace)

    def _body(self, data: dict[str, str | None]) -> Body:
        metadata = {
            "name": self._name,
            "namespace": self._namespace,
            "labels": {"app.kubernetes.io/managed-by": MANAGER},
        }
        body = {"apiVersion": SECRET.api_version, "kind": SECRET.kind, "metadata": metadata}
        return {**body, "type": "Opaque", "data": data}


def _encoded(value: bytes) -> str:
    return base64.b64encode(value).decode()


# ----- in a folder


class FolderStore:
    """Files of mode 0600 in a folder of mode 0700, each replaced as a whole."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.what = f"the CA in {folder}"

    def check(self) -> None:
        """Refuse a folder that others may read."""
        try:
            mode = self._folder.stat().st_mode & 0o777
        except FileNotFoundError:
            return
        except OSError as error:
            raise _unusable(self._folder, error) from None
        if mode & 0o077:
            raise OptionError(
                f"path: {self._folder} has mode {mode:04o}, expected 0700: it holds the key of a CA", option="path"
            )

    def read(self) -> Kept:
        """What is in the folder."""
        try:
            keys = {file.name: file.read_bytes() for file in self._folder.glob(f"*{KEY_SUFFIX}")}
            text = (self._folder / AUTHORITY).read_bytes()
        except FileNotFoundError:
            # Keys alone are of a run that was killed before it said what they are.
            return Kept(Authority())
        except OSError as error:
            raise _unusable(self._folder, error) from None
        return Kept(loads(text, what=f"{self._folder / AUTHORITY}"), _numbered(keys))

    def write(self, before: Kept, after: Kept) -> None:
        """New keys, then the state that names them, then old keys away."""
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            for number, key in after.keys.items():
                if key != before.keys.get(number):
                    self._replace(f"{number}{KEY_SUFFIX}", key)
            if after.authority != before.authority:
                self._replace(AUTHORITY, dumps(after.authority).encode())
            for number in sorted(set(before.keys) - set(after.keys)):
                (self._folder / f"{number}{KEY_SUFFIX}").unlink(missing_ok=True)
        except OSError as error:
            raise _unusable(self._folder, error) from None

    def remove(self) -> None:
        """The keys, what they are, and the folder where nothing else is in it."""
        try:
            for file in (*self._folder.glob(f"*{KEY_SUFFIX}"), self._folder / AUTHORITY):
                file.unlink(missing_ok=True)
            with contextlib.suppress(OSError):
                self._folder.rmdir()
        except OSError as error:
            raise _unusable(self._folder, error) from None

    def _replace(self, name: str, content: bytes) -> None:
        # mkstemp makes files of mode 0600.
        handle, temporary = tempfile.mkstemp(prefix=f".{name}.", dir=self._folder)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, self._folder / name)
        except OSError:
            Path(temporary).unlink(missing_ok=True)
            raise


def _unusable(folder: Path, error: OSError) -> OptionError:
    return OptionError(f"path: {folder} cannot be used: {error.strerror}", option="path")
