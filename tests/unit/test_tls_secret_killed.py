# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a run of `tls_secret` leaves behind that is killed between two writes: nothing that the next cannot complete.

The server here keeps Secrets, and refuses all writes from the n-th on, which is what a kill looks like from outside.
"""

from __future__ import annotations

import base64
import copy
import typing as t
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ansible_collections.plumbline.kubernetes.plugins.module_utils.pki import certificates
from ansible_collections.plumbline.kubernetes.plugins.module_utils.tls import secrets
from ansible_collections.plumbline.kubernetes.plugins.modules import tls_secret
from ansible_collections.plumbline.kubernetes.tests.unit.fake_api import Answer, FakeApi, Request, reply, status
from ansible_collections.plumbline.kubernetes.tests.unit.module_runner import run_module
from ansible_collections.plumbline.kubernetes.tests.unit.test_tls_secret import (
    MINE,
    OLD,
    SECRETS,
    USERS,
    alias,
    answered,
    listing,
    secret,
)

Object = dict[str, t.Any]
Run = Callable[[], Object]


class Shelf(FakeApi):
    """A server that keeps Secrets."""

    def __init__(self) -> None:
        super().__init__()
        self.items: dict[str, Object] = {}
        self.writes_left: int | None = None
        for path in USERS.values():
            self.on("GET", path, reply({"metadata": {}, "items": []}))

    def answer(self, request: Request) -> Answer:
        name = request.path.removeprefix(f"{SECRETS}/")
        if not request.path.startswith(SECRETS):
            return super().answer(request)
        self.requests.append(request)
        if request.method == "GET":
            return listing(*self.tls()) if name == SECRETS else self._read(name)
        if self.writes_left is not None:
            if not self.writes_left:
                return status(403, "Forbidden", "killed")
            self.writes_left -= 1
        if request.method == "DELETE":
            return reply(self.items.pop(name))
        if "apply-patch" in request.headers["content-type"]:
            return self._apply(name, request.body)
        for key, value in request.body["metadata"]["annotations"].items():
            assert value is None
            self.items[name]["metadata"]["annotations"].pop(key)
        return reply(self.items[name])

    def _read(self, name: str) -> Answer:
        return reply(self.items[name]) if name in self.items else status(404, "NotFound")

    def _apply(self, name: str, body: Object) -> Answer:
        was = self.items.get(name, {"metadata": {"annotations": {}}})
        metadata = body["metadata"] | {"uid": f"uid-{name}", "managedFields": MINE}
        metadata["annotations"] = was["metadata"].get("annotations", {}) | body["metadata"].get("annotations", {})
        self.items[name] = body | {"metadata": metadata}
        return reply(self.items[name])

    def tls(self) -> list[Object]:
        return [item for item in self.items.values() if item["type"] == "kubernetes.io/tls"]

    def run(self, **options: t.Any) -> Object:
        return run_module(tls_secret, self, **{"name": "tls", "namespace": "demo"} | options)


@pytest.fixture
def shelf() -> Iterator[Shelf]:
    with Shelf() as server:
        yield server


def renewed(shelf: Shelf, _folder: Path) -> Run:
    """Older ones go, a new one comes, and with it the copy of a fixed name, which `kubectl` made."""
    for number in (1, 2, 3):
        shelf.items[f"tls-000000000{number}"] = secret(f"tls-000000000{number}", OLD, number=number)
    shelf.items["fixed"] = alias({"annotations": {secrets.LAST_APPLIED: "with the key in it"}})
    return lambda: shelf.run(issuer="self_signed", names=["new.example"], alias="fixed", adopt=True, keep=1)


def requested(shelf: Shelf, _folder: Path) -> Run:
    return lambda: shelf.run(issuer="csr", service="web")


def came_back(shelf: Shelf, folder: Path) -> Run:
    """A certificate for a request that was made before."""
    requested(shelf, folder)()
    csr = base64.b64decode(shelf.items["tls-request"]["data"]["tls.csr"]).decode()
    options = answered(folder, csr)
    return lambda: shelf.run(**options, alias="fixed")


def removed(shelf: Shelf, folder: Path) -> Run:
    renewed(shelf, folder)()
    return lambda: shelf.run(state="absent")


@pytest.mark.parametrize(("prepared", "writes"), [(renewed, 5), (requested, 1), (came_back, 3), (removed, 3)])
def test_a_killed_run_is_completed_by_the_next(
    prepared: Callable[[Shelf, Path], Run], writes: int, shelf: Shelf, tmp_path: Path
) -> None:
    run = prepared(shelf, tmp_path)
    before = copy.deepcopy(shelf.items)
    left = []
    for kill_at in range(writes + 1):
        shelf.items, shelf.writes_left = copy.deepcopy(before), kill_at
        assert run()["failed"] is (kill_at < writes)
        for item in shelf.tls():
            # Whoever reads one meanwhile finds a key that belongs to its certificate.
            pair = secrets.read_pair(item)
            assert certificates.same_key(pair.chain[0], pair.key)
        shelf.writes_left = None
        assert not run()["failed"]
        assert not run()["changed"]
        left.append(len(shelf.items))
        assert secrets.LAST_APPLIED not in str(shelf.items)
    # As many as after a run that nobody killed: none was made twice, none is left over.
    assert left == left[-1:] * (writes + 1)
