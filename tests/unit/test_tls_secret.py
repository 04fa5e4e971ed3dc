# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What `tls_secret` reads, writes and removes, what it refuses, and that no key leaves it."""

from __future__ import annotations

import base64
import json
import typing as t
from collections.abc import Iterator
from datetime import UTC, datetime
from email.utils import format_datetime
from pathlib import Path

import pytest
from cryptography import x509

from ansible_collections.plumbline.kubernetes.plugins.module_utils.pki import certificates, issue, keys
from ansible_collections.plumbline.kubernetes.plugins.module_utils.tls import secrets
from ansible_collections.plumbline.kubernetes.plugins.modules import (
    certificate_authority,
    tls_secret,
    tls_secret_info,
)
from ansible_collections.plumbline.kubernetes.tests.unit import fake_api
from ansible_collections.plumbline.kubernetes.tests.unit.fake_api import FakeApi, Request, reply, status
from ansible_collections.plumbline.kubernetes.tests.unit.module_runner import run_module
from ansible_collections.plumbline.kubernetes.tests.unit.pki_material import (
    DAY,
    NAMES,
    issued,
    make,
    new_key,
)

CORE = "/api/v1/namespaces/demo"
SECRETS = f"{CORE}/secrets"
USERS = {
    kind.kind: f"{f'/apis/{kind.api_version}' if kind.group else '/api/v1'}/namespaces/demo/{kind.plural}"
    for kind in secrets.USERS
}
BY_CERT_MANAGER = [{"manager": "cert-manager-certificates-issuing", "operation": "Apply", "fieldsV1": {}}]
BETA, GRANTS = (
    f"/apis/gateway.networking.k8s.io/v1beta1/namespaces/demo/{plural}" for plural in ("gateways", "referencegrants")
)
MINE = [{"manager": "plumbline", "operation": "Apply", "fieldsV1": {}}]
NEW_KEY, OLD_KEY = new_key(), new_key()
NOW = datetime.now(UTC).replace(microsecond=0)
NEW = secrets.Pair((issued(None, key=NEW_KEY, now=NOW),), NEW_KEY)
OLD = secrets.Pair((issued(None, key=OLD_KEY, now=NOW),), OLD_KEY)
THIRD_KEY = new_key()
THIRD = secrets.Pair((issued(None, key=THIRD_KEY, now=NOW),), THIRD_KEY)
NAME = secrets.name_of("tls", NEW.chain)
SECRET_TEXTS = tuple(
    text
    for key in (NEW_KEY, OLD_KEY)
    for text in (keys.pem(key).decode().splitlines()[1], base64.b64encode(keys.pem(key)).decode()[:60])
)

Object = dict[str, t.Any]


def secret(name: str, pair: secrets.Pair, *, number: int = 1, managers: t.Any = None, **given: t.Any) -> Object:
    """A Secret as the server has it after we applied it."""
    item = secrets.body("tls", name, "demo", pair, {secrets.NUMBER: str(number)}) | {"immutable": True} | given
    item["metadata"] |= {"uid": f"uid-{name}", "managedFields": MINE if managers is None else managers}
    return item


def listing(*items: Object) -> fake_api.Answer:
    """What a list of metadata brings."""
    reduced = [{"kind": "PartialObjectMetadata", "metadata": item["metadata"]} for item in items]
    return reply({"metadata": {"resourceVersion": "7"}, "items": reduced})


def applied(request: Request) -> fake_api.Answer:
    return reply(request.body)


@pytest.fixture
def api() -> Iterator[FakeApi]:
    with FakeApi() as server:
        server.on("GET", SECRETS, listing())
        server.on("PATCH", f"{SECRETS}/{NAME}", applied)
        yield server


@pytest.fixture
def files(tmp_path: Path) -> dict[str, str]:
    """The new pair as files, and the options that name them."""
    (tmp_path / "crt").write_text(certificates.pem_of(NEW.chain))
    (tmp_path / "key").write_bytes(keys.pem(NEW.key))
    return {"private_key_path": str(tmp_path / "key"), "certificate_path": str(tmp_path / "crt")}


def run(api: FakeApi, *, check: bool = False, **options: t.Any) -> Object:
    """A run, of whose whole output nothing may be of a key."""
    result = run_module(tls_secret, api, check=check, **{"name": "tls", "namespace": "demo"} | options)
    text = json.dumps(result)
    assert not [found for found in SECRET_TEXTS if found in text]
    return result


def store(api: FakeApi, *items: Object) -> None:
    api.on("GET", SECRETS, listing(*items))
    for item in items:
        api.on("GET", f"{SECRETS}/{item['metadata']['name']}", reply(item))


# -- reading and writing


def test_the_first_run_lists_metadata_and_writes_once(api: FakeApi, files: Object) -> None:
    result = run(api, issuer="given", **files)
    assert (result["changed"], result["reason"], result["secret_name"]) == (True, "missing", NAME)
    assert api.sent() == [f"GET {SECRETS}", f"PATCH {SECRETS}/{NAME}"]
    listed, written = api.requests
    assert "as=PartialObjectMetadataList" in listed.headers["accept"]
    assert listed.query["fieldSelector"] == "type=kubernetes.io/tls"
    assert (written.body["immutable"], written.body["type"]) == (True, "kubernetes.io/tls")
    assert set(written.body["data"]) == {"tls.crt", "tls.key"}
    assert written.body["metadata"]["annotations"][secrets.NUMBER] == "1"
    assert result["bundle"] == certificates.pem_of(NEW.chain)
    assert result["certificate"] == certificates.facts(NEW.chain[0])


def test_the_second_run_writes_nothing(api: FakeApi, files: Object) -> None:
    store(api, secret(NAME, NEW))
    result = run(api, issuer="given", **files)
    assert (result["changed"], result["reason"], result["secret_name"]) == (False, "none", NAME)
    assert api.sent() == [f"GET {SECRETS}", f"GET {SECRETS}/{NAME}"]
    assert result["diff"]["before"] == result["diff"]["after"]


@pytest.mark.parametrize("issuer", ["given", "self_signed"])
def test_check_mode_sends_no_write_and_makes_no_key(
    api: FakeApi, files: Object, issuer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(_type: str) -> t.NoReturn:
        raise AssertionError("a key was made in check mode")

    monkeypatch.setattr("ansible_collections.plumbline.kubernetes.plugins.module_utils.tls.server.generate", refused)
    store(api, secret(secrets.name_of("tls", OLD.chain), OLD))
    options = files if issuer == "given" else {"service": "web", "key_type": "P-384"}
    result = run(api, check=True, issuer=issuer, alias="fixed", **options)
    assert result["changed"]
    assert result["reason"] == {"given": "renewal_due", "self_signed": "key_type_changed"}[issuer]
    assert result["secret_name"] == {"given": NAME, "self_signed": "tls-pending"}[issuer]
    assert {line.split()[0] for line in api.sent()} == {"GET"}


def test_a_pair_that_comes_back_is_the_newest_again(api: FakeApi, files: Object) -> None:
    store(api, secret(NAME, NEW, number=3), secret(secrets.name_of("tls", OLD.chain), OLD, number=4))
    result = run(api, issuer="given", **files)
    assert (result["changed"], result["secret_name"], result["pruned"]) == (True, NAME, [])
    assert api.requests[-1].body["metadata"]["annotations"][secrets.NUMBER] == "5"


def test_a_pair_is_taken_from_another_secret(api: FakeApi) -> None:
    api.on("GET", "/api/v1/namespaces/other/secrets/theirs", reply(secret("theirs", NEW, managers=[])))
    result = run(api, issuer="given", source_secret={"name": "theirs", "namespace": "other"})
    assert (result["changed"], result["secret_name"]) == (True, NAME)


ROOT_KEY, MIDDLE_KEY = new_key(), new_key()
ROOT = make("root", ROOT_KEY, ca=True, start=NOW - DAY, end=NOW + 900 * DAY)
MIDDLE = make("middle", MIDDLE_KEY, (ROOT, ROOT_KEY), ca=True, start=NOW - DAY, end=NOW + 800 * DAY)
BY_ROOT = issued(issue.Issuer(ROOT, ROOT_KEY, (), (ROOT,)), key=NEW_KEY, now=NOW)
BY_MIDDLE = issued(issue.Issuer(MIDDLE, MIDDLE_KEY, (MIDDLE,), (ROOT,)), key=NEW_KEY, now=NOW)


def kept_by_cert_manager(chain: certificates.Chain, authority: bytes) -> Object:
    """A Secret as cert-manager writes it: the CA, as far as it knows one, is beside the pair."""
    names = ("certificate-name", "issuer-name", "issuer-kind", "common-name", "alt-names")
    marks = {f"cert-manager.io/{name}": "web" for name in names}
    item = secret("theirs", secrets.Pair(chain, NEW_KEY), managers=BY_CERT_MANAGER, immutable=False)
    item["metadata"] |= {"annotations": marks, "labels": {"controller.cert-manager.io/fao": "true"}}
    item["data"]["ca.crt"] = base64.b64encode(authority).decode()
    return item


@pytest.mark.parametrize(
    ("chain", "authority", "trusted"),
    [
        pytest.param((BY_ROOT,), (ROOT,), (ROOT,), id="root"),
        pytest.param((BY_MIDDLE, MIDDLE), (ROOT,), (ROOT,), id="root-above-intermediate"),
        pytest.param((BY_MIDDLE, MIDDLE), (MIDDLE,), (MIDDLE,), id="no-more-known-than-the-intermediate"),
        pytest.param((BY_MIDDLE, MIDDLE, ROOT), (), (ROOT,), id="root-sent"),
        pytest.param(NEW.chain, NEW.chain, NEW.chain, id="self-signed"),
        pytest.param((BY_MIDDLE, MIDDLE), (), (), id="public-ca"),
    ],
)
def test_a_pair_is_taken_from_cert_manager_with_its_ca(
    api: FakeApi, chain: certificates.Chain, authority: certificates.Chain, trusted: certificates.Chain
) -> None:
    api.on("GET", f"{SECRETS}/theirs", reply(kept_by_cert_manager(chain, certificates.pem_of(authority).encode())))
    sent = tuple(item for item in chain if item != ROOT)
    api.on("PATCH", f"{SECRETS}/{secrets.name_of('tls', sent)}", applied)
    result = run(api, issuer="given", source_secret={"name": "theirs"})
    assert (result["changed"], result["reason"]) == (True, "missing"), result
    assert result["bundle"] == certificates.pem_of(trusted)
    (stored,) = [request.body["data"] for request in api.requests if request.method == "PATCH"]
    assert base64.b64decode(stored["tls.crt"]).decode() == certificates.pem_of(sent)
    assert "ca.crt" not in stored


@pytest.mark.parametrize(
    ("authority", "says"),
    [
        (b"not a certificate", "ca.crt of Secret demo/theirs: "),
        (certificates.pem_of(OLD.chain).encode(), "was issued by none of the CA certificates"),
    ],
)
def test_a_ca_of_cert_manager_that_does_not_fit_is_refused(api: FakeApi, authority: bytes, says: str) -> None:
    api.on("GET", f"{SECRETS}/theirs", reply(kept_by_cert_manager((BY_ROOT,), authority)))
    result = run(api, issuer="given", source_secret={"name": "theirs"})
    assert result["failed"]
    assert says in result["msg"]
    assert api.sent("PATCH") == []


def test_what_the_server_says_about_a_secret_is_not_passed_on(api: FakeApi, files: Object) -> None:
    echo = keys.pem(NEW_KEY).decode()
    api.on("PATCH", f"{SECRETS}/{NAME}", status(422, "Invalid", f"Secret is invalid: data: {echo}"))
    result = run(api, issuer="given", **files)
    assert result["failed"]
    assert result["msg"].endswith(f"apply Secret demo/{NAME}: HTTP 422 Invalid")


def test_warnings_about_a_secret_are_not_passed_on(api: FakeApi, files: Object) -> None:
    api.on("PATCH", f"{SECRETS}/{NAME}", lambda request: reply(request.body, Warning='299 - "a webhook saw things"'))
    assert "a webhook" not in json.dumps(run(api, issuer="given", **files))


# -- issued by an authority


@pytest.fixture
def writable(api: FakeApi, monkeypatch: pytest.MonkeyPatch) -> FakeApi:
    """Secrets of any name can be written."""
    answer = api.answer

    def accepting(request: Request) -> fake_api.Answer:
        if request.method == "PATCH":
            api.requests.append(request)
            return applied(request)
        return answer(request)

    monkeypatch.setattr(api, "answer", accepting)
    return api


@pytest.fixture
def authority(writable: FakeApi, tmp_path: Path) -> Object:
    """The options for a CA in a folder that is not there yet."""
    assert writable
    (tmp_path / "passphrase").write_text("a passphrase of some length\n")
    return {"name": "ours", "path": str(tmp_path / "ca"), "passphrase_file": str(tmp_path / "passphrase")}


def written(api: FakeApi) -> Object:
    """The last Secret as the server would have it."""
    item: Object = next(request.body for request in reversed(api.requests) if request.method == "PATCH")
    item["metadata"] |= {"uid": "u", "managedFields": MINE}
    return item


@pytest.mark.parametrize("intermediate", [False, True])
def test_a_certificate_of_an_authority_is_issued_once(api: FakeApi, authority: Object, intermediate: bool) -> None:
    made = run_module(certificate_authority, api, intermediate=intermediate, **authority)
    assert made["changed"], made
    options = {"issuer": "authority", "authority": authority, "service": "web"}
    first = run(api, **options)
    assert first["reason"] == "missing"
    item = written(api)
    pair = secrets.read_pair(item)
    roots = certificates.parse_chain(first["bundle"].encode())
    assert len(pair.chain) == (2 if intermediate else 1)
    certificates.validate(pair.chain, pair.key, datetime.now(UTC), names=NAMES, roots=roots)
    assert all(certificates.is_self_signed(root) and root not in pair.chain for root in roots)
    store(api, item)
    second = run(api, **options)
    assert (second["reason"], second["changed"], second["bundle"]) == ("none", False, first["bundle"])
    for step in ("prepare", "switch"):
        assert run_module(certificate_authority, api, rotation=step, **authority)["changed"]
    third = run(api, **options)
    assert (third["reason"], third["changed"]) == ("issuer_changed", True)


def test_check_mode_does_without_an_authority_that_would_have_been_made(api: FakeApi, authority: Object) -> None:
    options = {"issuer": "authority", "authority": authority, "service": "web"}
    assert run(api, check=True, **options)["reason"] == "missing"
    store(api, secret(NAME, NEW))
    result = run(api, check=True, **options)
    assert (result["reason"], result["changed"], result["secret_name"]) == ("issuer_changed", True, "tls-pending")
    assert "does not exist" in run(api, **options)["msg"]
    assert api.sent("PATCH") == []


def test_a_wrong_passphrase_is_refused_and_not_shown(api: FakeApi, authority: Object, tmp_path: Path) -> None:
    run_module(certificate_authority, api, **authority)
    (tmp_path / "passphrase").write_text("some other words, long enough\n")
    result = run(api, issuer="authority", authority=authority, service="web")
    assert "wrong passphrase" in result["msg"]
    assert "other words" not in json.dumps(result)
    assert api.sent("PATCH") == []


# -- issued by somebody else, for a key of ours

REQUEST = f"{SECRETS}/tls-request"
OUTER_KEY = new_key()
OUTER = make("outer", OUTER_KEY, ca=True, start=NOW - DAY, end=NOW + 30 * DAY)
ASK = {"issuer": "csr", "service": "web"}


def answered(tmp_path: Path, csr: str) -> Object:
    """The options with the certificate that a CA made of a request."""
    (tmp_path / "back.crt").write_text(certificates.pem_of(signed_request(csr)))
    (tmp_path / "root.crt").write_text(certificates.pem_of([OUTER]))
    return {**ASK, "certificate_path": str(tmp_path / "back.crt"), "ca_path": str(tmp_path / "root.crt")}


def signed_request(csr: str) -> certificates.Chain:
    request = x509.load_pem_x509_csr(csr.encode())
    assert request.is_signature_valid
    names = request.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    now = datetime.now(UTC).replace(microsecond=0)
    return (
        make(
            "web",
            request,
            (OUTER, OUTER_KEY),
            start=now - DAY,
            end=now + DAY,
            names=names.get_values_for_type(x509.DNSName),
        ),
    )


@pytest.fixture
def waiting(writable: FakeApi) -> Object:
    """The Secret of a request that was made."""
    api = writable
    result = run(api, **ASK)
    assert (result["changed"], result["reason"], result["secret_name"]) == (True, "missing", "")
    item = written(api)
    assert (item["type"], item["metadata"]["name"]) == ("Opaque", "tls-request")
    assert base64.b64decode(item["data"]["tls.csr"]).decode() == result["csr"]
    api.on("GET", REQUEST, reply(item))
    api.on("DELETE", REQUEST, reply({}))
    api.forget()
    return item


def test_a_request_waits_and_is_the_same(api: FakeApi, waiting: Object) -> None:
    result = run(api, **ASK)
    assert (result["changed"], result["reason"]) == (False, "missing")
    assert result["csr"] == base64.b64decode(waiting["data"]["tls.csr"]).decode()
    assert api.sent("PATCH") == []
    assert run(api, **ASK | {"names": ["x"]})["csr"] != result["csr"]
    assert run(api, **ASK | {"force": True})["csr"] != run(api, **ASK | {"key_type": "Ed25519"})["csr"]


def test_a_certificate_that_comes_back_joins_its_key(api: FakeApi, waiting: Object, tmp_path: Path) -> None:
    options = answered(tmp_path, base64.b64decode(waiting["data"]["tls.csr"]).decode())
    announced = run(api, check=True, **options)
    assert api.sent("PATCH", "DELETE") == []
    result = run(api, **options)
    assert (result["changed"], result["reason"], result["csr"]) == (True, "missing", "")
    assert announced["secret_name"] == result["secret_name"]
    assert result["bundle"] == certificates.pem_of([OUTER])
    item = written(api)
    assert item["data"]["tls.key"] == waiting["data"]["tls.key"]
    assert api.sent("DELETE") == [f"DELETE {REQUEST}"]
    store(api, item)
    api.on("GET", REQUEST, status(404, "NotFound", ""))
    for again in (options, ASK):
        assert run(api, **again)["reason"] == "none"


def test_a_certificate_for_another_key_is_refused(api: FakeApi, waiting: Object, tmp_path: Path) -> None:
    assert waiting
    (tmp_path / "other.crt").write_text(certificates.pem_of(NEW.chain))
    result = run(api, **ASK, certificate_path=str(tmp_path / "other.crt"))
    assert "belongs to no request of demo/tls" in result["msg"]
    assert api.sent("PATCH", "DELETE") == []


def test_no_request_is_made_in_check_mode(api: FakeApi) -> None:
    result = run(api, check=True, **ASK)
    assert (result["changed"], result["csr"], api.sent("PATCH")) == (True, "", [])


def test_a_secret_with_the_name_of_a_request_is_left_alone(api: FakeApi, waiting: Object) -> None:
    waiting["metadata"]["managedFields"] = FOREIGN
    api.on("GET", REQUEST, reply(waiting))
    assert "made by somebody else" in run(api, **ASK)["msg"]
    assert run(api, state="absent")["removed"] == []


def test_absent_removes_the_request_too(api: FakeApi, waiting: Object) -> None:
    assert waiting
    assert run(api, state="absent")["removed"] == ["tls-request"]


# -- clocks


@pytest.mark.parametrize(("ahead", "word"), [(119, ""), (-119, ""), (125, "behind"), (-125, "ahead of")])
def test_a_clock_that_is_not_the_clusters_is_refused(
    api: FakeApi, files: Object, monkeypatch: pytest.MonkeyPatch, ahead: int, word: str
) -> None:
    def date(_self: object, _timestamp: object = None) -> str:
        return format_datetime(datetime.fromtimestamp(datetime.now(UTC).timestamp() + ahead, UTC), usegmt=True)

    monkeypatch.setattr(fake_api._Handler, "date_time_string", date)
    result = run(api, issuer="given", **files)
    assert result["failed"] is bool(word)
    if word:
        assert f"s {word} the API server's, expected at most 120 s" in result["msg"]
        assert api.sent("PATCH") == []


# -- the alias

CERT_MANAGER = {"annotations": {"cert-manager.io/certificate-name": "web"}}
EXTERNAL = {"ownerReferences": [{"apiVersion": "external-secrets.io/v1", "kind": "ExternalSecret", "name": "web"}]}
BY_KUBECTL = {"annotations": {secrets.LAST_APPLIED: "with the key in it"}}
FOREIGN = [{"manager": "kubectl-client-side-apply", "operation": "Update"}]


def alias(metadata: Object, *, managers: t.Any = None, **given: t.Any) -> Object:
    item = secret("fixed", OLD, managers=FOREIGN if managers is None else managers, immutable=False, **given)
    item["metadata"] |= metadata
    return item


@pytest.mark.parametrize(
    ("item", "says"),
    [
        pytest.param(alias(CERT_MANAGER), "is kept by cert-manager; set adopt", id="cert-manager"),
        pytest.param(alias(CERT_MANAGER, managers=MINE), "is kept by cert-manager", id="cert-manager-and-us"),
        pytest.param(alias(EXTERNAL), "is kept by external-secrets", id="external-secrets"),
        pytest.param(alias({}, managers=BY_CERT_MANAGER), "is kept by cert-manager; set adopt", id="manager"),
        pytest.param(alias(BY_KUBECTL), "was made by somebody else; set adopt", id="kubectl"),
        pytest.param(alias({}, type="Opaque"), "has type Opaque, expected kubernetes.io/tls", id="type"),
        pytest.param(alias({}) | {"immutable": True}, "is immutable", id="immutable"),
    ],
)
def test_a_secret_of_somebody_else_is_not_written_over(api: FakeApi, files: Object, item: Object, says: str) -> None:
    api.on("GET", f"{SECRETS}/fixed", reply(item))
    result = run(api, issuer="given", alias="fixed", **files)
    assert result["failed"]
    assert says in result["msg"]
    assert api.sent("PATCH") == []


def test_adopting_drops_the_copy_that_kubectl_left(api: FakeApi, files: Object) -> None:
    theirs = alias(BY_KUBECTL)
    api.on("GET", f"{SECRETS}/fixed", reply(theirs))
    api.on("PATCH", f"{SECRETS}/fixed", reply(theirs))
    result = run(api, issuer="given", alias="fixed", adopt=True, **files)
    assert result["changed"]
    first, second = api.requests[-2:]
    assert (first.query["force"], first.body["metadata"]["annotations"][secrets.ALIAS_OF]) == ("true", "tls")
    assert second.body == {"metadata": {"annotations": {secrets.LAST_APPLIED: None}}}


@pytest.mark.parametrize(
    "theirs",
    [
        pytest.param(alias(CERT_MANAGER, managers=BY_CERT_MANAGER), id="cert-manager"),
        pytest.param(alias(EXTERNAL), id="external-secrets"),
    ],
)
def test_what_another_program_keeps_is_taken_over_when_told_to(api: FakeApi, files: Object, theirs: Object) -> None:
    api.on("GET", f"{SECRETS}/fixed", reply(theirs))
    # Its marks stay, as it is not ours to take them away.
    api.on("PATCH", f"{SECRETS}/fixed", lambda request: reply(_over(theirs, request.body)))
    assert run(api, issuer="given", alias="fixed", adopt=True, **files)["changed"]
    (written,) = [request for request in api.requests if request.path == f"{SECRETS}/fixed" and request.body]
    assert (written.method, written.query["force"]) == ("PATCH", "true")
    assert base64.b64decode(written.body["data"]["tls.crt"]).decode() == certificates.pem_of(NEW.chain)

    store(api, secret(NAME, NEW), _over(theirs, written.body))
    again = run(api, issuer="given", alias="fixed", adopt=True, **files)
    assert (again["changed"], again["reason"]) == (False, "none")
    refused = run(api, issuer="given", alias="fixed", **files)
    assert "set adopt to take it over" in refused["msg"]


def _over(theirs: Object, ours: Object) -> Object:
    """A Secret of another program after we applied ours over it."""
    metadata = theirs["metadata"]
    annotations = {**(metadata.get("annotations") or {}), **ours["metadata"]["annotations"]}
    managers = [*metadata["managedFields"], *MINE]
    return {**theirs, **ours, "metadata": {**metadata, "annotations": annotations, "managedFields": managers}}


def test_an_alias_is_completed_after_a_run_that_was_killed(api: FakeApi, files: Object) -> None:
    store(api, secret(NAME, NEW))
    stale = secrets.body("tls", "fixed", "demo", OLD, {secrets.ALIAS_OF: "tls"})
    stale["metadata"]["managedFields"] = MINE
    api.on("GET", f"{SECRETS}/fixed", reply(stale))
    api.on("PATCH", f"{SECRETS}/fixed", applied)
    result = run(api, issuer="given", alias="fixed", **files)
    assert (result["changed"], result["reason"]) == (True, "none")
    assert api.sent("PATCH") == [f"PATCH {SECRETS}/fixed"]


# -- pruning

VOLUME = {"volumes": [{"name": "tls", "secret": {"secretName": "tls-0000000002"}}]}
PROJECTED = {"volumes": [{"projected": {"sources": [{"secret": {"name": "tls-0000000002"}}]}}]}
VARIABLE = {"containers": [{"env": [{"valueFrom": {"secretKeyRef": {"name": "tls-0000000002"}}}]}]}
OLDER = [secret(f"tls-000000000{number}", OLD, number=number) for number in (1, 2, 3)]


def nobody_but(api: FakeApi, **objects: Object) -> None:
    for kind, path in USERS.items():
        item = {"metadata": {"name": "it"}, **objects[kind]} if kind in objects else None
        api.on("GET", path, reply({"metadata": {}, "items": [item] if item else []}))
    api.on("GET", GRANTS, reply({"metadata": {}, "items": []}))
    for item in OLDER:
        api.on("DELETE", f"{SECRETS}/{item['metadata']['name']}", reply({}))


def test_generations_that_nothing_names_go_by_their_uid(api: FakeApi, files: Object) -> None:
    store(api, secret(NAME, NEW, number=4), *OLDER)
    nobody_but(api)
    result = run(api, issuer="given", keep=1, **files)
    assert result["pruned"] == ["tls-0000000002", "tls-0000000001"]
    assert result["changed"]
    deleted = [request for request in api.requests if request.method == "DELETE"]
    assert [request.body["preconditions"] for request in deleted] == [
        {"uid": "uid-tls-0000000002"},
        {"uid": "uid-tls-0000000001"},
    ]


@pytest.mark.parametrize("check", [False, True])
def test_pruned_removes_and_does_nothing_else(api: FakeApi, check: bool) -> None:
    store(api, secret(NAME, NEW, number=4), *OLDER)
    nobody_but(api, Pod={"spec": VOLUME})
    result = run(api, state="pruned", keep=0, check=check)
    assert result["pruned"] == result["diff"]["before"]["secrets"] == ["tls-0000000003", "tls-0000000001"]
    dry = "?dryRun" if check else ""
    assert api.sent("PATCH", "POST", "DELETE") == [f"DELETE {SECRETS}/{name}{dry}" for name in result["pruned"]]


def test_pruned_asks_no_more_than_needed(api: FakeApi) -> None:
    store(api, secret(NAME, NEW, number=4), *OLDER)
    result = run(api, state="pruned", keep=3)
    assert (result["changed"], result["pruned"]) == (False, [])
    assert api.sent() == [f"GET {SECRETS}"]
    store(api)
    assert not run(api, state="pruned", keep=0)["changed"]


@pytest.mark.parametrize(
    ("kind", "item"),
    [
        ("Deployment", {"spec": {"template": {"spec": VOLUME}}}),
        ("ReplicaSet", {"spec": {"replicas": 0, "template": {"spec": VOLUME}}}),
        ("StatefulSet", {"spec": {"template": {"spec": PROJECTED}}}),
        ("DaemonSet", {"spec": {"template": {"spec": VARIABLE}}}),
        ("ControllerRevision", {"data": {"spec": {"template": {"spec": VOLUME}}}}),
        ("CronJob", {"spec": {"jobTemplate": {"spec": {"template": {"spec": VOLUME}}}}}),
        ("Job", {"spec": {"template": {"spec": VOLUME}}}),
        ("Pod", {"spec": VOLUME}),
        ("Ingress", {"spec": {"tls": [{"secretName": "tls-0000000002"}]}}),
        ("Gateway", {"spec": {"listeners": [{"tls": {"certificateRefs": [{"name": "tls-0000000002"}]}}]}}),
    ],
)
def test_a_generation_that_is_named_stays(api: FakeApi, files: Object, kind: str, item: Object) -> None:
    store(api, secret(NAME, NEW, number=4), *OLDER)
    nobody_but(api, **{kind: item})
    assert run(api, issuer="given", keep=0, **files)["pruned"] == ["tls-0000000003", "tls-0000000001"]


def test_every_kind_is_tried() -> None:
    mark = next(mark for mark in test_a_generation_that_is_named_stays.pytestmark if mark.name == "parametrize")
    assert {kind for kind, _item in mark.args[1]} == set(USERS)


def test_without_the_right_to_look_nothing_goes(api: FakeApi, files: Object) -> None:
    store(api, secret(NAME, NEW, number=4), *OLDER)
    nobody_but(api)
    api.on("GET", USERS["CronJob"], status(403, "Forbidden", "no"))
    result = run(api, issuer="given", keep=0, **files)
    assert (result["failed"], result["changed"], result["pruned"]) == (False, False, [])
    assert "cronjobs" in str(result["warnings"])


ABSENT = status(404, "NotFound", "the server could not find the requested resource")
NAMED = {
    "metadata": {"name": "it"},
    "spec": {"listeners": [{"tls": {"certificateRefs": [{"name": "tls-0000000002"}]}}]},
}


def test_a_cluster_without_gateways_is_no_hindrance(api: FakeApi, files: Object) -> None:
    store(api, secret(NAME, NEW, number=4), *OLDER)
    nobody_but(api)
    for path in (USERS["Gateway"], BETA, GRANTS):
        api.on("GET", path, ABSENT)
    assert len(run(api, issuer="given", keep=0, **files)["pruned"]) == 3
    # What it costs to know: one request per kind, and the older version.
    assert sorted(line for line in api.sent("GET") if not line.startswith(f"GET {SECRETS}")) == sorted(
        f"GET {path}" for path in [*USERS.values(), BETA, GRANTS]
    )


def test_gateways_of_the_older_version_count(api: FakeApi, files: Object) -> None:
    store(api, secret(NAME, NEW, number=4), *OLDER)
    nobody_but(api)
    api.on("GET", USERS["Gateway"], ABSENT)
    api.on("GET", BETA, reply({"metadata": {}, "items": [NAMED]}))
    assert run(api, issuer="given", keep=0, **files)["pruned"] == ["tls-0000000003", "tls-0000000001"]


def grant(kind: str = "Gateway", namespace: str = "edge", to: str = "Secret") -> Object:
    source = {"group": "gateway.networking.k8s.io", "kind": kind, "namespace": namespace}
    return {"metadata": {"name": "leave"}, "spec": {"from": [source], "to": [{"group": "", "kind": to}]}}


ELSEWHERE = USERS["Gateway"].replace("/demo/", "/edge/")


@pytest.mark.parametrize(
    ("given", "answer", "pruned", "asked"),
    [
        (grant(), [NAMED | {"metadata": {"name": "it", "namespace": "edge"}}], 2, True),
        (grant(), [], 3, True),
        (grant(to="Service"), [], 3, False),
        (grant(namespace="demo"), [], 3, False),
    ],
)
def test_gateways_elsewhere_count_that_have_leave(
    api: FakeApi, files: Object, given: Object, answer: t.Any, pruned: int, asked: bool
) -> None:
    store(api, secret(NAME, NEW, number=4), *OLDER)
    nobody_but(api)
    api.on("GET", GRANTS, reply({"metadata": {}, "items": [given]}))
    api.on("GET", ELSEWHERE, reply({"metadata": {}, "items": answer}))
    info = run_module(tls_secret_info, api, name="tls", namespace="demo")
    assert info["generations"][2]["in_use_by"] == ["Gateway/edge/it" for _item in answer]
    api.forget()
    assert len(run(api, issuer="given", keep=0, **files)["pruned"]) == pruned
    assert (f"GET {ELSEWHERE}" in api.sent()) is asked
    assert not api.unexpected


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (grant(), "gateways of namespace edge"),
        (grant("ListenerSet"), "ReferenceGrant demo/leave lets kind ListenerSet of namespace edge use Secrets"),
    ],
)
def test_where_nobody_knows_who_has_leave_all_stay(api: FakeApi, files: Object, given: Object, says: str) -> None:
    store(api, secret(NAME, NEW, number=4), *OLDER)
    nobody_but(api)
    api.on("GET", GRANTS, reply({"metadata": {}, "items": [given]}))
    api.on("GET", ELSEWHERE, status(403, "Forbidden", "no"))
    result = run(api, issuer="given", keep=0, **files)
    assert (result["failed"], result["pruned"]) == (False, [])
    assert says in str(result["warnings"])
    info = run_module(tls_secret_info, api, name="tls", namespace="demo")
    assert (info["in_use_known"], info["generations"][2]["in_use_by"]) == (False, [])


def test_what_got_the_name_meanwhile_stays(api: FakeApi, files: Object) -> None:
    store(api, secret(NAME, NEW, number=4), *OLDER)
    nobody_but(api)
    api.on("DELETE", f"{SECRETS}/tls-0000000003", status(409, "Conflict", "uid"))
    assert run(api, issuer="given", keep=0, **files)["pruned"] == ["tls-0000000002", "tls-0000000001"]


@pytest.mark.parametrize(
    ("name", "managers", "ours"),
    [
        ("tls-0123456789", MINE, True),
        ("tls-0123456789", FOREIGN, False),
        ("tls-0123456789", [{"manager": "plumbline", "operation": "Update"}], False),
        ("tls-012345678", MINE, False),
        ("tls-01234567890", MINE, False),
        ("tls-x123456789", MINE, False),
        ("my-tls-0123456789", MINE, False),
        ("tls", MINE, False),
    ],
)
def test_a_generation_is_known_by_name_and_manager(name: str, managers: t.Any, ours: bool) -> None:
    metadata = secret(name, OLD, managers=managers)["metadata"]
    assert bool(secrets.generations([metadata], "tls")) is ours


def test_absent_removes_generations_and_aliases_of_this_name_only(api: FakeApi) -> None:
    fixed = secrets.body("tls", "fixed", "demo", OLD, {secrets.ALIAS_OF: "tls"})
    other = secrets.body("x", "other", "demo", OLD, {secrets.ALIAS_OF: "x"})
    theirs = secrets.body("tls", "theirs", "demo", OLD, {secrets.ALIAS_OF: "tls"})
    for item, managers in ((fixed, MINE), (other, MINE), (theirs, FOREIGN)):
        item["metadata"] |= {"uid": item["metadata"]["name"], "managedFields": managers}
    store(api, *OLDER, fixed, other, theirs)
    for name in ("tls-0000000001", "tls-0000000002", "tls-0000000003", "fixed"):
        api.on("DELETE", f"{SECRETS}/{name}", reply({}))
    result = run(api, state="absent")
    assert result["removed"] == ["tls-0000000003", "tls-0000000002", "tls-0000000001", "fixed"]


# -- options


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({}, "state is present but all of the following are missing: issuer"),
        ({"issuer": "self_signed"}, "service: nothing given, expected it, or names, or addresses"),
        ({"issuer": "self_signed", "service": "web", "ca_path": "/x"}, "expected it with issuer=given or csr only"),
        ({"issuer": "self_signed", "service": "Web_1"}, "service: 'Web_1' given"),
        ({"issuer": "self_signed", "names": ["a b"]}, "names: 'a b' given"),
        ({"issuer": "self_signed", "addresses": ["a"]}, "addresses: 'a' given"),
        ({"issuer": "self_signed", "names": ["a"], "include": ["cluster_ips"]}, "service: nothing given"),
        ({"issuer": "self_signed", "service": "web", "include": ["cluster_ips"]}, "Service demo/web does not exist"),
        ({"issuer": "self_signed", "service": "web", "lifetime_days": 0}, "lifetime_days: 0 given"),
        ({"issuer": "self_signed", "service": "web", "lifetime_days": 10**12}, "expected 1 to 3650"),
        ({"issuer": "given", "source_secret": {"name": "no"}, "renew_before_days": 10**12}, "expected 1 to 3650"),
        ({"issuer": "self_signed", "service": "web", "renew_before_days": 90}, "expected less than 82"),
        ({"issuer": "self_signed", "service": "web", "renew_before_days": 0}, "renew_before_days: 0 given"),
        ({"issuer": "self_signed", "service": "web", "renew_fraction": 1}, "renew_fraction: 1 given"),
        ({"issuer": "self_signed", "service": "web", "keep": -1}, "keep: -1 given"),
        ({"issuer": "self_signed", "service": "web", "name": "a" * 64}, "at most 63"),
        ({"issuer": "given"}, "private_key_path: nothing given"),
        ({"issuer": "given", "private_key_path": "/x"}, "certificate_path"),
        (
            {"issuer": "authority", "service": "web"},
            "issuer is authority but all of the following are missing: authority",
        ),
        ({"issuer": "authority", "service": "web", "authority": {}}, "namespace, path"),
        (
            {"issuer": "given", "private_key_path": "/no/k", "certificate_path": "/no/c"},
            "/no/c cannot be read: No such",
        ),
        ({"issuer": "given", "source_secret": {"name": "no"}}, "source_secret: Secret demo/no does not exist"),
    ],
)
def test_options_that_cannot_work(api: FakeApi, options: Object, says: str) -> None:
    result = run(api, **options)
    assert result["failed"]
    assert says in result["msg"]
    assert len(result["msg"].splitlines()) == 1
    assert api.sent("PATCH") == []


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        ({"type": "Opaque"}, "Secret demo/theirs: type Opaque observed, expected kubernetes.io/tls"),
        ({"data": {}}, "tls.crt of Secret demo/theirs: empty"),
        ({"data": {"tls.crt": "bm8=", "tls.key": "bm8="}}, "no PEM block"),
    ],
)
def test_a_source_that_holds_no_pair(api: FakeApi, damage: Object, says: str) -> None:
    api.on("GET", f"{SECRETS}/theirs", reply(secret("theirs", NEW) | damage))
    result = run(api, issuer="given", source_secret={"name": "theirs"})
    assert result["failed"]
    assert says in result["msg"]


# -- the module that reads


def test_info_tells_generations_and_users(api: FakeApi) -> None:
    store(api, secret(NAME, NEW, number=4), *OLDER)
    nobody_but(api, Pod={"spec": VOLUME})
    result = run_module(tls_secret_info, api, name="tls", namespace="demo")
    assert not [found for found in SECRET_TEXTS if found in json.dumps(result)]
    assert (result["current"], result["aliases"], result["in_use_known"]) == (NAME, [], True)
    assert [item["secret_name"][-1] for item in result["generations"][1:]] == ["3", "2", "1"]
    assert [item["in_use_by"] for item in result["generations"]] == [[], [], ["Pod/it"], []]
    first = result["generations"][0]
    assert first["certificate"]["names"] == list(NAMES)
    assert first["pair"]
    assert first["renew_at"] < first["certificate"]["not_after"]


EXPIRED = secrets.Pair((issued(None, key=OLD_KEY, now=NOW - 400 * DAY),), OLD_KEY)


@pytest.mark.parametrize(
    ("pair", "roots", "says"),
    [
        (NEW, None, ""),
        (NEW, NEW.chain, ""),
        (NEW, OLD.chain, "was issued by none of the CA certificates that clients trust"),
        (EXPIRED, None, f"expired at {certificates.stamp(EXPIRED.chain[0].not_valid_after_utc)}"),
    ],
    ids=["no bundle", "its own bundle", "another bundle", "expired"],  # a time would be another one in each process
)
def test_info_judges_by_what_clients_trust(api: FakeApi, pair: secrets.Pair, roots: t.Any, says: str) -> None:
    name = secrets.name_of("tls", pair.chain)
    store(api, secret(name, pair))
    nobody_but(api)
    given = {"bundle": certificates.pem_of(roots)} if roots else {}
    (entry,) = run_module(tls_secret_info, api, name="tls", namespace="demo", **given)["generations"]
    assert entry["problem"].endswith(says)
    assert bool(entry["problem"]) is bool(says)


@pytest.mark.parametrize(
    ("pair", "damage", "repeated"),
    [(NEW, {}, NAME), (OLD, {}, "tls-0000000001"), (THIRD, {}, ""), (NEW, {"data": {}}, "")],
    ids=["current", "stale", "foreign", "damaged"],
)
def test_info_tells_what_an_alias_repeats(api: FakeApi, pair: secrets.Pair, damage: Object, repeated: str) -> None:
    fixed = secrets.body("tls", "fixed", "demo", pair, {secrets.ALIAS_OF: "tls"}) | damage
    # What an annotation says of it is not what counts.
    fixed["metadata"]["annotations"][secrets.FINGERPRINT] = certificates.fingerprint(NEW.chain[0])
    fixed["metadata"] |= {"uid": "uid", "managedFields": MINE}
    store(api, secret(NAME, NEW, number=4), OLDER[0], fixed)
    nobody_but(api)
    result = run_module(tls_secret_info, api, name="tls", namespace="demo")
    assert (result["aliases"], result["repeats"]) == (["fixed"], {"fixed": repeated})


def test_info_of_nothing(api: FakeApi) -> None:
    result = run_module(tls_secret_info, api, name="tls", namespace="demo")
    assert (result["current"], result["generations"], result["changed"]) == ("", [], False)


def test_info_shows_damage(api: FakeApi) -> None:
    store(api, secret(NAME, NEW) | {"data": {"tls.crt": "bm8=", "tls.key": ""}})
    nobody_but(api)
    entry = run_module(tls_secret_info, api, name="tls", namespace="demo")["generations"][0]
    assert (entry["certificate"], entry["pair"], entry["renew_at"]) == ({}, False, "")
    assert entry["problem"].startswith(f"tls.crt of Secret demo/{NAME}: ")
