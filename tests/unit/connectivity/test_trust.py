# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What TLS is judged against is read from the cluster with as little of Secrets as will do."""

from __future__ import annotations

import base64
import typing as t
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ed25519

from ansible_collections.plumbline.kubernetes.plugins.module_utils.connectivity.look import FITS, Stored
from ansible_collections.plumbline.kubernetes.plugins.module_utils.connectivity.trust import read_bundle, read_stored
from ansible_collections.plumbline.kubernetes.plugins.module_utils.kube.client import Cluster
from ansible_collections.plumbline.kubernetes.plugins.module_utils.kube.errors import KubeError
from ansible_collections.plumbline.kubernetes.tests.unit.fake_api import Answer, FakeApi, reply, status

CONFIG_MAP = "/api/v1/namespaces/demo/configmaps/bundle"
SECRETS = "/api/v1/namespaces/demo/secrets"
LABEL = "Secret demo/web-tls"


KEY, OTHER_KEY = ed25519.Ed25519PrivateKey.generate(), ed25519.Ed25519PrivateKey.generate()


def certificate() -> x509.Certificate:
    key, now = KEY, datetime.now(UTC)
    name = x509.Name([])
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(1).not_valid_before(now).not_valid_after(now + timedelta(days=1))
    return builder.sign(key, None)


MADE = certificate()
PEM = MADE.public_bytes(serialization.Encoding.PEM)
FINGERPRINT = MADE.fingerprint(hashes.SHA256()).hex()


@pytest.fixture
def api() -> Iterator[FakeApi]:
    with FakeApi() as served:
        yield served


def cluster(api: FakeApi) -> Cluster:
    return Cluster.connect({"host": api.url, "api_key": "not-a-real-token"})


def listed(*annotations: dict[str, str]) -> Answer:
    items = [{"metadata": {"name": "web-tls", "namespace": "demo", "annotations": given}} for given in annotations]
    return reply({"items": items, "metadata": {"resourceVersion": "1"}})


def pem_of(key: ed25519.Ed25519PrivateKey) -> bytes:
    form, encoding = serialization.PrivateFormat.PKCS8, serialization.Encoding.PEM
    return key.private_bytes(encoding, form, serialization.NoEncryption())


def secret(text: bytes, key: bytes = pem_of(KEY)) -> Answer:
    data = {"tls.crt": base64.b64encode(text).decode(), "tls.key": base64.b64encode(key).decode()}
    return reply({"metadata": {"name": "web-tls"}, "data": data})


FORBIDDEN = status(403, message="secrets is forbidden: -----BEGIN PRIVATE KEY-----")
KNOWN = Stored(LABEL, FINGERPRINT)
# what listing and getting answer, what is known then, and whether the Secret itself was asked for
SECRET: dict[str, tuple[Answer, Answer, Stored, bool]] = {
    "annotated": (listed({"plumbline.dev/fingerprint": FINGERPRINT}), FORBIDDEN, KNOWN, False),
    "made by others": (listed({}), secret(PEM), replace(KNOWN, pair=FITS), True),
    "may not be listed": (FORBIDDEN, secret(PEM), replace(KNOWN, pair=FITS), True),
    "has another key": (
        listed({}),
        secret(PEM, pem_of(OTHER_KEY)),
        replace(KNOWN, pair="holds a private key of another certificate in tls.key"),
        True,
    ),
    "has a damaged key": (
        listed({}),
        secret(PEM, pem_of(KEY)[:60]),
        replace(KNOWN, pair="holds no readable private key in tls.key"),
        True,
    ),
    "has no key": (listed({}), secret(PEM, b""), replace(KNOWN, pair="has no tls.key"), True),
    "may not be read": (listed({}), FORBIDDEN, Stored(LABEL, denied="cannot get secrets in namespace demo"), True),
    "is not there": (listed(), status(404), Stored(LABEL), True),
    "is damaged": (
        listed({}),
        secret(b"x"),
        Stored(LABEL, unreadable=f"{LABEL} holds no readable certificate in tls.crt"),
        True,
    ),
}


@pytest.mark.parametrize("name", SECRET)
def test_what_a_secret_holds(api: FakeApi, name: str) -> None:
    listing, getting, expected, read = SECRET[name]
    api.on("GET", SECRETS, listing)
    api.on("GET", f"{SECRETS}/web-tls", getting)
    assert read_stored(cluster(api), "demo", "web-tls") == expected
    assert (f"GET {SECRETS}/web-tls" in api.sent()) == read
    metadata_only = next(request for request in api.requests if request.path == SECRETS)
    assert "PartialObjectMetadataList" in metadata_only.headers["accept"]


def test_a_bundle_is_read_from_its_config_map(api: FakeApi) -> None:
    api.on("GET", CONFIG_MAP, reply({"data": {"ca.crt": PEM.decode()}}))
    assert read_bundle(cluster(api), "demo", "bundle") == PEM.decode()


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (status(404), "tls.bundle_config_map: there is no ConfigMap demo/bundle"),
        (reply({"data": {"tls.crt": ""}}), "tls.bundle_config_map: ConfigMap demo/bundle has no key ca.crt"),
        (reply({"data": {"ca.crt": "x"}}), "tls.bundle_config_map: ConfigMap demo/bundle: no PEM block"),
        (status(403), "get ConfigMap demo/bundle: HTTP 403"),
    ],
)
def test_a_bundle_that_cannot_be_had_is_one_line(api: FakeApi, answer: t.Any, message: str) -> None:
    api.on("GET", CONFIG_MAP, answer)
    with pytest.raises(KubeError) as caught:
        read_bundle(cluster(api), "demo", "bundle")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
