# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module certificate_authority: what it stores and publishes, and what a killed run leaves behind.

The server here keeps objects and can be told to refuse all writes from the n-th on, which is what a kill between two
writes looks like from outside.
"""

from __future__ import annotations

import base64
import itertools
import json
import typing as t
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from ansible_collections.plumbline.kubernetes.plugins.module_utils.kube import client
from ansible_collections.plumbline.kubernetes.plugins.module_utils.kube.client import Cluster
from ansible_collections.plumbline.kubernetes.plugins.module_utils.kube.errors import KubeError
from ansible_collections.plumbline.kubernetes.plugins.module_utils.pki import certificates, issue, keys
from ansible_collections.plumbline.kubernetes.plugins.module_utils.pki.authority import Authority, loads
from ansible_collections.plumbline.kubernetes.plugins.module_utils.tls import authority as kept
from ansible_collections.plumbline.kubernetes.plugins.modules import certificate_authority
from ansible_collections.plumbline.kubernetes.tests.unit.fake_api import Answer, FakeApi, Request, reply, status
from ansible_collections.plumbline.kubernetes.tests.unit.module_runner import run_module

PASSPHRASE = "correct horse battery staple"
SECRET = "/api/v1/namespaces/pki/secrets"
SPACES = ("demo", "shop")
MAPS = [f"/api/v1/namespaces/{space}/configmaps/plumbline-bundle" for space in SPACES]
TRUST = "/apis/certificates.k8s.io/v1/clustertrustbundles/plumbline-bundle"
TENANTS = {kind.path("pki"): kind for kind in kept.TENANTS}


class Shelf:
    """A server that keeps one Secret and the bundles."""

    def __init__(self, api: FakeApi) -> None:
        self.api = api
        self.objects: dict[str, dict[str, t.Any]] = {}
        self.writes_left: int | None = None
        self._versions = itertools.count(1)
        api.on("POST", SECRET, self._create)
        for path in (f"{SECRET}/plumbline-ca", *MAPS, TRUST):
            api.on("GET", path, self._get)
            api.on("PATCH", path, self._patch)
            api.on("DELETE", path, self._delete)
        for path in TENANTS:
            api.on("GET", path, reply({"items": [], "metadata": {}}))

    def _get(self, request: Request) -> Answer:
        found = self.objects.get(request.path)
        return reply(found) if found else status(404, "NotFound")

    def _create(self, request: Request) -> Answer:
        path = f"{request.path}/{request.body['metadata']['name']}"
        if path in self.objects:
            return status(409, "AlreadyExists")
        return self._stored(request, path, request.body)

    def _patch(self, request: Request) -> Answer:
        old, body = self.objects.get(request.path), request.body
        if "apply-patch" in request.headers["content-type"]:
            content = "spec" if "spec" in body else "data"
            owned = {f"f:{content}": {f"f:{key}": {} for key in body[content]}}
            entry = {"manager": "plumbline", "operation": "Apply", "fieldsV1": owned}
            return self._stored(request, request.path, body, [entry])
        assert old, "a merge patch needs an object"
        if body["metadata"]["resourceVersion"] != old["metadata"]["resourceVersion"]:
            return status(409, "Conflict")
        data = {key: value for key, value in (old["data"] | body["data"]).items() if value is not None}
        return self._stored(request, request.path, old | {"data": data})

    def _delete(self, request: Request) -> Answer:
        if not request.dry_run:
            self.objects.pop(request.path, None)
        return reply({})

    def _stored(
        self, request: Request, path: str, body: dict[str, t.Any], managed: list[dict[str, t.Any]] | None = None
    ) -> Answer:
        metadata = body["metadata"] | {
            "resourceVersion": str(next(self._versions)),
            "uid": "u",
            "managedFields": managed,
        }
        stored = body | {"metadata": metadata}
        if request.dry_run:
            return reply(stored)
        if self.writes_left is not None:
            if self.writes_left == 0:
                return status(403, "Forbidden", "killed")
            self.writes_left -= 1
        self.objects[path] = stored
        return reply(stored)

    # what tests look at

    @property
    def data(self) -> dict[str, bytes]:
        found = self.objects.get(f"{SECRET}/plumbline-ca")
        return {key: base64.b64decode(value) for key, value in found["data"].items()} if found else {}

    @property
    def authority(self) -> Authority:
        return loads(self.data["authority.json"], what="test") if self.data else Authority()

    def bundles(self) -> list[str]:
        return [self.objects[path]["data"]["ca.crt"] if path in self.objects else "" for path in MAPS]

    def run(self, *, check: bool = False, **arguments: t.Any) -> dict[str, t.Any]:
        defaults = {"namespace": "pki", "bundle_namespaces": list(SPACES), "passphrase_env": "PLUMBLINE_TEST"}
        given = {key: value for key, value in (defaults | arguments).items() if value is not None}
        result = run_module(certificate_authority, self.api, check=check, **given)
        text = json.dumps(result)
        assert "PRIVATE" not in text
        assert PASSPHRASE not in text
        return result


@pytest.fixture
def shelf(monkeypatch: pytest.MonkeyPatch) -> Iterator[Shelf]:
    monkeypatch.setenv("PLUMBLINE_TEST", PASSPHRASE)
    monkeypatch.setenv("PLUMBLINE_WRONG", "another passphrase of length")
    with FakeApi() as api:
        yield Shelf(api)


def writes(api: FakeApi) -> list[str]:
    return [line for line in api.sent("POST", "PATCH", "DELETE", "PUT") if not line.endswith("?dryRun")]


# -- a CA in a Secret


def test_a_ca_is_made_once_and_published(shelf: Shelf) -> None:
    announced = shelf.run(check=True)
    assert announced["changed"]
    assert announced["generations"] == [{"id": 1, "state": "issuing", "certificate": {"subject": "CN=plumbline 1"}}]
    assert announced["published"] == [f"ConfigMap {space}/plumbline-bundle" for space in SPACES]
    assert writes(shelf.api) == []

    made = shelf.run()
    assert made["changed"]
    assert made["published"] == announced["published"]
    assert made["issuing"] == 1
    assert made["generations"][0]["certificate"]["is_ca"]
    assert shelf.bundles() == [made["bundle"]] * 2
    assert sorted(shelf.data) == ["1.key", "authority.json"]
    assert shelf.data["1.key"].startswith(b"-----BEGIN ENCRYPTED PRIVATE KEY-----")
    key = serialization.load_pem_private_key(shelf.data["1.key"], PASSPHRASE.encode())
    assert keys.same_key(certificates.parse_chain(made["bundle"].encode())[0], t.cast(t.Any, key))
    assert made["diff"]["before"]["generations"] == []
    assert made["diff"]["after"]["generations"][0]["certificate"] == made["generations"][0]["certificate"]

    shelf.api.forget()
    again = shelf.run()
    assert not again["changed"]
    assert again["diff"]["before"] == again["diff"]["after"]
    assert again["renew_at"] == made["renew_at"]
    # Also without the passphrase, which nothing needs now.
    assert not shelf.run(passphrase_env=None)["changed"]
    assert not [line for line in writes(shelf.api) if SECRET in line]


def test_options_of_the_certificate_count_for_the_next_generation(shelf: Shelf) -> None:
    shelf.run()
    other: dict[str, t.Any] = {"key_type": "P-384", "subject": "shop", "intermediate": True, "permitted_names": ["svc"]}
    assert not shelf.run(**other)["changed"]
    made = shelf.run(**other, rotation="prepare")["generations"][1]
    assert made["certificate"]["subject"] == "CN=shop 2 intermediate"
    assert made["certificate"]["key_type"] == "P-384"
    assert made["root"]["subject"] == "CN=shop 2"
    # Clients get the root only; servers send the intermediate.
    assert [item.subject.rfc4514_string() for item in shelf.authority.roots] == ["CN=plumbline 1", "CN=shop 2"]
    assert sorted(shelf.data) == ["1.key", "2.key", "authority.json"]


def described(certificate: t.Any) -> tuple[str, str]:
    constraints = certificates.extension(certificate, x509.NameConstraints)
    return certificate.subject.rfc4514_string(), str(sorted(str(tree.value) for tree in constraints.permitted_subtrees))


@pytest.mark.parametrize("arguments", [{"rotation": "prepare"}, {"compromised": 1}])
def test_what_nobody_repeats_stays_as_it_was(arguments: dict[str, t.Any], shelf: Shelf) -> None:
    shelf.run(subject="narrow", key_type="P-384", intermediate=True, lifetime_days=9, permitted_names=["svc"])
    # In check mode too its name is known.
    announced = shelf.run(check=True, **arguments)["generations"][1]
    assert announced["certificate"]["subject"] == "CN=narrow 2"
    made = shelf.run(**arguments)["generations"]
    assert [item["certificate"]["key_type"] for item in made] == ["P-384", "P-384"]
    first, second = (item.chain for item in shelf.authority.generations)
    assert [described(item) for item in second] == [
        ("CN=narrow 2 intermediate", "['svc']"),
        ("CN=narrow 2", "['svc']"),
    ]
    lifetimes = [chain[-1].not_valid_after_utc - chain[-1].not_valid_before_utc for chain in (first, second)]
    assert lifetimes[0] == lifetimes[1]
    # What is repeated otherwise is otherwise.
    for number in (1, 2):
        assert not shelf.run(compromised=number, permitted_names=[], intermediate=False)["failed"]
    (root,) = shelf.authority.generations[-1].chain
    assert certificates.extension(root, x509.NameConstraints) is None


def test_a_rotation_overlaps_and_forgets_the_old_key(shelf: Shelf) -> None:
    old = shelf.run()["bundle"]
    seen = []
    for step in ("prepare", "switch", "finish"):
        announced = shelf.run(rotation=step, check=True)
        result = shelf.run(rotation=step)
        assert announced["changed"]
        assert announced["published"] == result["published"]
        assert [item["state"] for item in announced["generations"]] == [item["state"] for item in result["generations"]]
        assert shelf.bundles() == [result["bundle"]] * 2
        seen.append((result["issuing"], old in result["bundle"], sorted(shelf.data)))
        if step != "finish":
            assert not shelf.run(rotation="prepare")["changed"]
        assert not shelf.run(rotation=step)["changed"]
    assert seen == [
        (1, True, ["1.key", "2.key", "authority.json"]),
        (2, True, ["1.key", "2.key", "authority.json"]),
        (2, False, ["2.key", "authority.json"]),
    ]
    assert shelf.run(rotation="rollback")["failed"]


def test_a_compromised_generation_leaves_no_key_and_no_trust(shelf: Shelf) -> None:
    old = shelf.run()["bundle"]
    result = shelf.run(compromised=1)
    assert [item["state"] for item in result["generations"]] == ["compromised", "issuing"]
    assert old not in "".join(shelf.bundles())
    assert sorted(shelf.data) == ["2.key", "authority.json"]
    assert not shelf.run(compromised=1)["changed"]


# -- what a killed run leaves behind

RUNS: list[tuple[list[dict[str, t.Any]], dict[str, t.Any]]] = [
    ([], {}),
    ([{}], {"rotation": "prepare"}),
    ([{}, {"rotation": "prepare"}], {"rotation": "switch"}),
    ([{}, {"rotation": "prepare"}, {"rotation": "switch"}], {"rotation": "finish"}),
    ([{}, {"rotation": "prepare"}], {"rotation": "rollback"}),
    ([{}, {"rotation": "prepare"}, {"rotation": "switch"}], {"rotation": "rollback"}),
    ([{}], {"compromised": 1}),
    ([{}, {"rotation": "prepare"}], {"compromised": 1}),
    ([{}, {"rotation": "prepare"}, {"rotation": "switch"}], {"compromised": 2}),
]


@pytest.mark.parametrize("kill_at", range(3))
@pytest.mark.parametrize(("before", "step"), RUNS)
def test_a_killed_run_is_completed_by_the_next_and_breaks_nothing(
    before: list[dict[str, t.Any]], step: dict[str, t.Any], kill_at: int, shelf: Shelf
) -> None:
    for arguments in before:
        assert not shelf.run(**arguments)["failed"]
    was = shelf.authority
    # One bundle was lost on the way, so that a step that changes none has something to publish too.
    shelf.objects.pop(MAPS[1], None)
    shelf.writes_left = kill_at
    killed = shelf.run(**step)
    between = shelf.authority
    if killed["failed"] and between.issuing and step.get("compromised") is None and was.issuing:
        # Who has a published bundle trusts the one that issues, at every moment.
        issuing = certificates.pem_of(between.issuing.chain[-1:])
        assert all(issuing in bundle for bundle in shelf.bundles() if bundle)
    shelf.writes_left = None

    completed = shelf.run(**step)
    assert not completed["failed"]
    assert completed["changed"] is killed["failed"]
    assert shelf.bundles() == [certificates.pem_of(shelf.authority.roots)] * 2
    assert {f"{item.number}.key" for item in shelf.authority.trusted} == set(shelf.data) - {"authority.json"}
    assert len(shelf.authority.generations) <= 2
    assert not shelf.run(**step)["changed"]


def test_what_is_issued_by_a_new_generation_is_trusted_before(shelf: Shelf) -> None:
    """The switch is not stored as long as a bundle cannot be published."""
    shelf.run()
    shelf.run(rotation="prepare")
    shelf.objects.pop(MAPS[1])
    shelf.api.on("PATCH", MAPS[1], status(403, "Forbidden", "no"))
    assert shelf.run(rotation="switch")["failed"]
    assert shelf.authority.summary() == "1 issuing, 2 prepared"


def test_two_runs_at_once_do_not_overwrite_each_other(shelf: Shelf) -> None:
    shelf.api.on("GET", f"{SECRET}/plumbline-ca", status(404, "NotFound"), shelf._get)
    shelf.objects[f"{SECRET}/plumbline-ca"] = {"metadata": {"resourceVersion": "1"}, "data": {"authority.json": "e30="}}
    result = shelf.run()
    assert result["msg"] == "Secret pki/plumbline-ca: another run changed it meanwhile; run again"


# -- refusals


def test_the_namespace_of_an_application_is_refused(shelf: Shelf) -> None:
    for namespace in ("default", "kube-system", "kube-public"):
        shelf.api.on("GET", f"/api/v1/namespaces/{namespace}/secrets/plumbline-ca", status(404))
        assert (
            f"namespace: '{namespace}' given, expected a namespace of the CA's own"
            in shelf.run(namespace=namespace)["msg"]
        )
    for path, kind in TENANTS.items():
        shelf.api.on("GET", path, reply({"items": [{"metadata": {"name": "web"}}], "metadata": {}}))
        result = shelf.run()
        assert result["failed"]
        assert f"namespace: {kind.kind} pki/web is there" in result["msg"]
        assert shelf.run(check=True)["failed"]
        shelf.api.on("GET", path, reply({"items": [], "metadata": {}}))
    assert writes(shelf.api) == []
    assert not shelf.run()["failed"]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"passphrase_env": None}, "passphrase_file: nothing given"),
        ({"passphrase_env": "PLUMBLINE_NOWHERE"}, "no variable PLUMBLINE_NOWHERE"),
        ({"lifetime_days": 0}, "lifetime_days: 0 given, expected from 1 to 36500"),
        ({"lifetime_days": 36501}, "lifetime_days: 36501 given"),
        ({"permitted_names": [".svc"]}, "permitted_names: '.svc' given, expected 'svc'"),
        ({"permitted_names": ["*.svc"]}, "expected 'svc'"),
        ({"permitted_addresses": ["10.0.0.0/8"]}, "permitted_names: nothing given"),
        ({"permitted_names": ["svc"], "permitted_addresses": ["10.0.0.1/8"]}, "expected a network"),
        ({"bundle_namespaces": ["Demo"]}, "bundle_namespaces: 'Demo' given"),
        ({"name": "Demo"}, "name: 'Demo' given"),
        ({"path": "/nowhere"}, "mutually exclusive"),
        ({"namespace": None}, "one of the following is required: namespace, path"),
        ({"rotation": "switch"}, "rotation: switch given, but there is no CA yet"),
        ({"compromised": 1}, "compromised: there is no generation 1, only none"),
        ({"rotation": "switch", "compromised": 1}, "mutually exclusive"),
    ],
)
def test_options_that_cannot_work_are_refused_before_any_write(
    arguments: dict[str, t.Any], says: str, shelf: Shelf
) -> None:
    result = shelf.run(**arguments)
    assert result["failed"]
    assert says in result["msg"]
    assert "\n" not in result["msg"]
    assert writes(shelf.api) == []


def test_a_wrong_passphrase_is_found_before_anything_is_made(shelf: Shelf) -> None:
    shelf.run()
    shelf.api.forget()
    for arguments in ({}, {"rotation": "prepare"}, {"compromised": 1}):
        result = shelf.run(passphrase_env="PLUMBLINE_WRONG", **arguments)
        assert "Secret pki/plumbline-ca, key of generation 1: cannot be read (wrong passphrase" in result["msg"]
    assert writes(shelf.api) == []


def test_a_secret_of_somebody_else_is_left_alone(shelf: Shelf) -> None:
    shelf.objects[f"{SECRET}/plumbline-ca"] = {"metadata": {"resourceVersion": "1"}, "data": {"token": "c2VjcmV0"}}
    result = shelf.run()
    assert "no authority.json in it, so it is no CA of this collection" in result["msg"]
    assert "secret" not in result["msg"].replace("Secret", "")
    assert writes(shelf.api) == []


def test_a_bundle_of_somebody_else_is_left_alone(shelf: Shelf) -> None:
    cause = {"reason": "FieldManagerConflict", "message": 'conflict with "helm"', "field": ".data.ca.crt"}
    shelf.api.on("PATCH", MAPS[0], status(409, "Conflict", causes=[cause]))
    assert shelf.run()["msg"] == (
        "ConfigMap demo/plumbline-bundle: its content is owned by helm; delete it, or use another name"
    )
    shelf.objects[MAPS[0]] = {"metadata": {"name": "plumbline-bundle", "uid": "u"}, "data": {"ca.crt": "theirs"}}
    # The others have it nevertheless.
    assert shelf.bundles()[1] == certificates.pem_of(shelf.authority.roots)
    removed = shelf.run(state="absent")
    assert removed["removed"] == ["ConfigMap shop/plumbline-bundle", "Secret pki/plumbline-ca"]
    assert MAPS[0] in shelf.objects


# -- namespaces of earlier runs


def test_a_step_for_one_namespace_leaves_no_old_trust_in_another(shelf: Shelf) -> None:
    assert shelf.run(bundle_namespaces=["demo"])["bundle_namespaces"] == ["demo"]
    other = shelf.run(bundle_namespaces=["shop"])
    assert (other["reason"], other["published"]) == ("published", ["ConfigMap shop/plumbline-bundle"])
    assert other["bundle_namespaces"] == ["demo", "shop"]
    assert other["diff"]["before"]["bundle_namespaces"] == ["demo"]
    for arguments in ({"rotation": "prepare"}, {"rotation": "switch"}, {"rotation": "finish"}, {"compromised": 2}):
        for check in (True, False):
            result = shelf.run(bundle_namespaces=[], check=check, **arguments)
            changes = arguments.get("rotation") != "switch"
            assert result["published"] == (
                ["ConfigMap demo/plumbline-bundle", "ConfigMap shop/plumbline-bundle"] if changes else []
            )
        assert shelf.bundles() == [certificates.pem_of(shelf.authority.roots)] * 2
        assert not shelf.run(bundle_namespaces=[], **arguments)["changed"]
    assert len(shelf.run(state="absent", bundle_namespaces=[])["removed"]) == 3
    assert shelf.objects == {}


def test_a_bundle_that_somebody_removed_is_forgotten_until_asked_for(shelf: Shelf) -> None:
    shelf.run()
    del shelf.objects[MAPS[0]]
    result = shelf.run(bundle_namespaces=["shop"])
    assert (result["changed"], result["published"], result["bundle_namespaces"]) == (True, [], ["shop"])
    assert not shelf.run(bundle_namespaces=["shop"])["changed"]
    assert shelf.run()["published"] == ["ConfigMap demo/plumbline-bundle"]


def test_a_bundle_that_another_ca_of_this_name_took_over_is_its_own(shelf: Shelf) -> None:
    shelf.run()
    shelf.objects[MAPS[0]]["metadata"]["annotations"] = {"plumbline.dev/authority": "other/plumbline"}
    was = shelf.objects[MAPS[0]]["metadata"]["resourceVersion"]
    result = shelf.run(bundle_namespaces=["shop"], rotation="prepare")
    assert (result["published"], result["bundle_namespaces"]) == (["ConfigMap shop/plumbline-bundle"], ["shop"])
    assert shelf.run(state="absent")["removed"] == ["ConfigMap shop/plumbline-bundle", "Secret pki/plumbline-ca"]
    assert shelf.objects[MAPS[0]]["metadata"]["resourceVersion"] == was
    # Unless that is asked for.
    assert shelf.run()["published"] == ["ConfigMap demo/plumbline-bundle", "ConfigMap shop/plumbline-bundle"]


def test_a_namespace_that_may_not_be_seen_is_remembered_and_named(shelf: Shelf) -> None:
    shelf.run()
    shelf.api.on("GET", MAPS[0], status(403, "Forbidden", "no"))
    result = shelf.run(bundle_namespaces=["shop"], rotation="prepare")
    assert (result["failed"], result["bundle_namespaces"]) == (False, ["demo", "shop"])
    warned = json.dumps(result["warnings"])
    assert "ConfigMap demo/plumbline-bundle: no right to look at it; it may be out of date" in warned


def test_a_crowded_namespace_does_not_keep_a_stolen_key_trusted(shelf: Shelf) -> None:
    shelf.run()
    shelf.run(rotation="prepare")
    for path in TENANTS:
        shelf.api.on("GET", path, reply({"items": [{"metadata": {"name": "web"}}], "metadata": {}}))
    for arguments in ({"rotation": "switch"}, {"rotation": "finish"}, {"compromised": 2}):
        result = shelf.run(**arguments)
        assert (result["failed"], result["reason"]) == (
            False,
            next(iter(arguments.values())) if "rotation" in arguments else "compromised",
        )
    assert shelf.run(rotation="prepare")["failed"]


def test_a_namespace_that_may_not_be_written_does_not_keep_a_stolen_key_trusted_elsewhere(shelf: Shelf) -> None:
    shelf.run()
    shelf.api.on("PATCH", MAPS[0], status(403, "Forbidden", "no"))
    result = shelf.run(compromised=1)
    assert "apply ConfigMap demo/plumbline-bundle: HTTP 403" in result["msg"]
    assert shelf.bundles()[1] == certificates.pem_of(shelf.authority.roots)
    assert shelf.authority.summary() == "1 compromised, 2 issuing"


def test_a_namespace_that_is_not_there_is_named(shelf: Shelf) -> None:
    shelf.api.on("PATCH", MAPS[1], status(404, "NotFound"))
    assert shelf.run()["msg"] == "bundle_namespaces: namespace shop does not exist; create it first"
    shelf.api.on("POST", SECRET, status(404, "NotFound", 'namespaces "pki" not found'))
    shelf.objects.clear()
    assert "namespace pki or the Secret is not there" in shelf.run()["msg"]


def test_a_clock_that_is_wrong_makes_no_ca(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "_skew", lambda _date, _now: 121.0)
    result = shelf.run()
    assert "the clock of this machine is 121 s behind the API server's" in result["msg"]
    assert writes(shelf.api) == []


# -- other places


def test_a_cluster_wide_bundle_has_the_same_content(shelf: Shelf) -> None:
    result = shelf.run(trust_bundle=True)
    assert result["published"][-1] == "ClusterTrustBundle plumbline-bundle"
    assert shelf.objects[TRUST]["spec"]["trustBundle"] == result["bundle"]
    assert not shelf.run(trust_bundle=True)["changed"]
    # A run that does not name it leaves no old trust in it.
    again = shelf.run()
    assert (again["changed"], again["trust_bundle"], result["trust_bundle"]) == (False, True, True)
    assert shelf.run(compromised=1)["published"][-1] == "ClusterTrustBundle plumbline-bundle"
    assert shelf.objects[TRUST]["spec"]["trustBundle"] == certificates.pem_of(shelf.authority.roots)
    assert "ClusterTrustBundle plumbline-bundle" in shelf.run(state="absent")["removed"]
    assert shelf.objects == {}


def test_without_the_api_of_cluster_wide_bundles_the_config_maps_stand_in(shelf: Shelf) -> None:
    for method in ("GET", "PATCH"):
        shelf.api.on(method, TRUST, status(404, "NotFound"))
    result = shelf.run(trust_bundle=True)
    assert not result["failed"]
    assert "has no ClusterTrustBundle v1" in json.dumps(result["warnings"])
    assert shelf.bundles() == [result["bundle"]] * 2


def test_absent_removes_what_is_ours_once(shelf: Shelf) -> None:
    shelf.run()
    announced = shelf.run(state="absent", check=True)
    assert len(shelf.objects) == 3
    removed = shelf.run(state="absent")
    assert (
        removed["removed"]
        == announced["removed"]
        == [
            "ConfigMap demo/plumbline-bundle",
            "ConfigMap shop/plumbline-bundle",
            "Secret pki/plumbline-ca",
        ]
    )
    assert shelf.objects == {}
    assert not shelf.run(state="absent")["changed"]


def folder_of(tmp_path: Path) -> dict[str, t.Any]:
    return {"namespace": None, "path": str(tmp_path / "ca")}


def listed(folder: Path) -> dict[str, str]:
    return {file.name: oct(file.stat().st_mode & 0o777) for file in sorted(folder.iterdir())}


def test_a_ca_in_a_folder_goes_the_same_way(shelf: Shelf, tmp_path: Path) -> None:
    place, folder = folder_of(tmp_path), tmp_path / "ca"
    assert shelf.run(**place, check=True)["changed"]
    assert not folder.exists()
    made = shelf.run(**place)
    assert shelf.bundles() == [made["bundle"]] * 2
    assert oct(folder.stat().st_mode & 0o777) == "0o700"
    assert listed(folder) == {"1.key": "0o600", "authority.json": "0o600"}
    assert not shelf.run(**place)["changed"]
    for step in ("prepare", "switch", "finish"):
        assert shelf.run(**place, rotation=step)["changed"]
        assert not shelf.run(**place, rotation=step)["changed"]
    assert listed(folder) == {"2.key": "0o600", "authority.json": "0o600"}
    assert shelf.run(**place, state="absent")["changed"]
    assert not folder.exists()
    assert not shelf.run(**place, state="absent")["changed"]


def test_files_of_a_killed_run_do_no_harm(shelf: Shelf, tmp_path: Path) -> None:
    place, folder = folder_of(tmp_path), tmp_path / "ca"
    folder.mkdir(mode=0o700)
    (folder / "1.key").write_text("written, and then the run was killed")
    assert not shelf.run(**place)["failed"]
    (folder / "2.key").write_text("written, and then the run was killed")
    assert shelf.run(**place)["changed"]
    assert sorted(listed(folder)) == ["1.key", "authority.json"]
    (folder / "2.key").write_text("written, and then the run was killed")
    assert shelf.run(**place, rotation="prepare")["changed"]
    assert not shelf.run(**place, rotation="switch")["failed"]
    cluster = Cluster.connect({"host": shelf.api.url, "api_key": "not-a-real-token"})
    issuer = kept.load_issuer(cluster, options(**place), datetime.now(UTC))
    assert keys.same_key(issuer.certificate, issuer.key)


def test_a_folder_that_others_may_read_is_refused(shelf: Shelf, tmp_path: Path) -> None:
    (tmp_path / "ca").mkdir()
    (tmp_path / "ca").chmod(0o755)
    result = shelf.run(**folder_of(tmp_path))
    assert "has mode 0755, expected 0700" in result["msg"]
    assert listed(tmp_path / "ca") == {}


# -- for who issues by it


def options(**changes: t.Any) -> dict[str, t.Any]:
    defaults = {"name": "plumbline", "namespace": "pki", "path": None, "passphrase_env": "PLUMBLINE_TEST"}
    return defaults | changes


def test_a_certificate_is_issued_by_the_generation_that_issues(shelf: Shelf) -> None:
    shelf.run(intermediate=True)
    shelf.run(rotation="prepare")
    cluster = Cluster.connect({"host": shelf.api.url, "api_key": "not-a-real-token"})
    now = datetime.now(UTC)
    for step, number in (("prepare", 1), ("switch", 2)):
        shelf.run(rotation=step)
        issuer = kept.load_issuer(cluster, options(), now)
        assert issuer.certificate == shelf.authority.generations[number - 1].chain[0]
        assert issuer.bundle == shelf.authority.roots
        assert len(issuer.bundle) == 2
        assert issuer.chain == shelf.authority.generations[number - 1].chain[:-1]
        key = keys.generate("P-256")
        leaf = issue.leaf(issue.LeafRequest(("web",), (), timedelta(days=1)), issuer, key, now)
        certificates.validate((leaf, *issuer.chain), key, now, names=["web"], roots=issuer.bundle)


@pytest.mark.parametrize(
    ("changes", "ahead", "says"),
    [
        ({"name": "other"}, 0, "authority: Secret pki/other-ca does not exist; make it with certificate_authority"),
        ({"passphrase_env": None}, 0, "passphrase_file: nothing given"),
        ({"passphrase_env": "PLUMBLINE_WRONG"}, 0, "cannot be read (wrong passphrase, or damaged)"),
        ({}, 3651, "authority: generation 1 (CN=plumbline 1) expired at "),
        ({}, -1, "authority: generation 1 (CN=plumbline 1) is valid from "),
    ],
)
def test_a_ca_that_cannot_issue_says_why_in_one_line(
    changes: dict[str, t.Any], ahead: int, says: str, shelf: Shelf
) -> None:
    shelf.run()
    cluster = Cluster.connect({"host": shelf.api.url, "api_key": "not-a-real-token"})
    with pytest.raises(KubeError) as caught:
        kept.load_issuer(cluster, options(**changes), datetime.now(UTC) + timedelta(days=ahead))
    assert says in str(caught.value)


def test_a_ca_without_a_generation_that_issues_says_so(shelf: Shelf) -> None:
    shelf.run()
    stored = shelf.objects[f"{SECRET}/plumbline-ca"]["data"]
    marked = shelf.data["authority.json"].replace(b'"issuing"', b'"compromised"')
    stored["authority.json"] = base64.b64encode(marked).decode()
    cluster = Cluster.connect({"host": shelf.api.url, "api_key": "not-a-real-token"})
    with pytest.raises(KubeError, match=r"has no generation that issues \(1 compromised\); run certificate_authority"):
        kept.load_issuer(cluster, options(), datetime.now(UTC))
