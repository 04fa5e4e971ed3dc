# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Keys and certificates: what is read, what is made, what is refused, and what judges from outside say."""

from __future__ import annotations

import ssl
import subprocess
import textwrap
import typing as t
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import dsa, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509 import verification
from cryptography.x509.oid import ExtendedKeyUsageOID

from ansible_collections.plumbline.kubernetes.plugins.module_utils.kube.errors import KubeError
from ansible_collections.plumbline.kubernetes.plugins.module_utils.pki import certificates, issue, keys, names
from ansible_collections.plumbline.kubernetes.plugins.module_utils.pki.errors import PkiError
from ansible_collections.plumbline.kubernetes.tests.unit.pki_material import (
    BY_MIDDLE,
    BY_ROOT,
    DAY,
    LEAF_KEY,
    MIDDLE,
    MIDDLE_KEY,
    NAMES,
    NOW,
    ROOT,
    ROOT_KEY,
    issued,
    make,
    new_key,
    usage,
)

# -- keys


@pytest.mark.parametrize("key_type", keys.KEY_TYPES)
def test_a_key_is_written_as_pkcs8_and_read_again(key_type: str) -> None:
    key = keys.generate(key_type)
    text = keys.pem(key)
    assert text.startswith(b"-----BEGIN PRIVATE KEY-----\n")
    assert text.endswith(b"-----END PRIVATE KEY-----\n")
    assert keys.type_of(key) == keys.type_of(key.public_key()) == key_type
    assert keys.spki(keys.load(text).public_key()) == keys.spki(key.public_key())


def test_an_encrypted_key_needs_its_passphrase() -> None:
    text = keys.encrypted_pem(LEAF_KEY, b"a passphrase of some length")
    assert text.startswith(b"-----BEGIN ENCRYPTED PRIVATE KEY-----")
    assert keys.spki(keys.load(text, b"a passphrase of some length").public_key()) == keys.spki(LEAF_KEY.public_key())
    with pytest.raises(PkiError, match=r"^here: encrypted, and no passphrase was given$"):
        keys.load(text, what="here")
    with pytest.raises(PkiError, match=r"wrong passphrase") as caught:
        keys.load(text, b"another passphrase of length")
    assert "another" not in str(caught.value)


@pytest.mark.parametrize("form", [PrivateFormat.PKCS8, PrivateFormat.TraditionalOpenSSL])
def test_a_key_is_read_in_each_form_and_with_a_passphrase_too_many(form: PrivateFormat) -> None:
    text = LEAF_KEY.private_bytes(Encoding.PEM, form, NoEncryption())
    for given in (text, text.replace(b"\n", b"\r\n"), b"\n\n" + text.rstrip(), b"a comment\n" + text):
        assert keys.spki(keys.load(given, b"needless").public_key()) == keys.spki(LEAF_KEY.public_key())


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (b"", "empty"),
        (b" \n", "empty"),
        (b"hello", "no PEM block"),
        (b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", "damaged"),
        (certificates.pem_of([ROOT]).encode(), "no PEM block of a private key"),
        (
            dsa.generate_private_key(2048).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
            "expected ECDSA",
        ),
    ],
)
def test_what_is_no_key_is_refused_in_one_line_without_quoting_it(text: bytes, says: str) -> None:
    with pytest.raises(PkiError, match=says) as caught:
        keys.load(text, what="tls.key")
    assert str(caught.value).startswith("tls.key: ")
    assert "AAAA" not in str(caught.value)


def test_an_unknown_key_type_is_refused() -> None:
    with pytest.raises(PkiError, match="expected one of P-256"):
        keys.generate("RSA-1024")


# -- reading


def test_the_form_of_the_pem_makes_no_difference() -> None:
    chain = (issued(BY_MIDDLE), MIDDLE)
    text = certificates.pem_of(chain)
    assert text.endswith("-----END CERTIFICATE-----\n")

    def framed(width: int) -> str:
        blocks = ("".join(part.partition("-----END")[0].split()) for part in text.split("-----BEGIN CERTIFICATE-----"))
        return "\n".join(
            "\n".join(["-----BEGIN CERTIFICATE-----", *textwrap.wrap(block, width), "-----END CERTIFICATE-----"])
            for block in blocks
            if block
        )

    for form in (text, text.replace("\n", "\r\n"), text.rstrip(), "# a comment\n" + text, framed(20), framed(10_000)):
        assert certificates.parse_chain(form.encode()) == chain


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "empty"),
        ("\n", "empty"),
        ("nothing here", "no PEM block"),
        (certificates.pem_of([ROOT]).rstrip() + certificates.pem_of([MIDDLE]), "newline is missing"),
        ("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "block 1: damaged"),
        (certificates.pem_of([ROOT]) + certificates.pem_of([MIDDLE]).replace("M", "@"), "block 2: damaged"),
    ],
)
def test_what_is_no_chain_is_refused(text: str, says: str) -> None:
    with pytest.raises(PkiError, match=says):
        certificates.parse_chain(text.encode())


def test_facts_are_public_and_stable() -> None:
    leaf = issued(addresses=("10.96.0.7", "fd00::7"))
    facts = certificates.facts(leaf)
    assert facts["names"] == list(NAMES)
    assert facts["addresses"] == ["10.96.0.7", "fd00::7"]
    assert facts["not_before"] == "2026-11-23T11:55:00Z"
    assert facts["not_after"] == "2027-02-21T12:00:00Z"
    assert facts["serial"] == f"{leaf.serial_number:x}"
    assert facts["fingerprint"] == leaf.fingerprint(hashes.SHA256()).hex()
    assert (facts["key_type"], facts["is_ca"], facts["issuer"]) == ("P-256", False, "CN=root")


# -- issuing


def test_a_leaf_has_the_strict_profile() -> None:
    leaf = issued(BY_MIDDLE)
    extensions = leaf.extensions
    assert leaf.version == x509.Version.v3
    assert leaf.serial_number.bit_length() > 64
    constraints = extensions.get_extension_for_class(x509.BasicConstraints)
    assert (constraints.critical, constraints.value.ca) == (True, False)
    key_usage = extensions.get_extension_for_class(x509.KeyUsage)
    assert (key_usage.critical, key_usage.value) == (True, usage(digital_signature=True))
    purposes = extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(purposes) == [ExtendedKeyUsageOID.SERVER_AUTH]
    above = MIDDLE.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest
    assert extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value.key_identifier == above
    assert not extensions.get_extension_for_class(x509.SubjectAlternativeName).critical


@pytest.mark.parametrize("issuer", [None, BY_ROOT])
def test_names_that_fit_no_common_name_leave_it_out(issuer: issue.Issuer | None) -> None:
    long = ("a" * 60 + ".example.com",)
    leaf = issued(issuer, names=long)
    texts = [attribute.value for attribute in leaf.subject]
    assert texts == ([] if issuer else ["self-signed"])
    # RFC 5280, 4.2.1.6
    critical = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).critical
    assert critical is bool(issuer)


def test_a_leaf_never_outlives_anything_above_it() -> None:
    short = make("short", ROOT_KEY, ca=True, start=NOW - timedelta(minutes=1), end=NOW + 10 * DAY)
    leaf = issued(issue.Issuer(short, ROOT_KEY), days=90)
    assert leaf.not_valid_after_utc == short.not_valid_after_utc
    assert leaf.not_valid_before_utc == short.not_valid_before_utc


@pytest.mark.parametrize(
    ("start", "end", "says"),
    [(NOW - 2 * DAY, NOW, "expired"), (NOW + timedelta(seconds=1), NOW + DAY, "valid from")],
)
def test_a_ca_out_of_its_time_issues_nothing(start: datetime, end: datetime, says: str) -> None:
    late = make("late", ROOT_KEY, ca=True, start=start, end=end)
    with pytest.raises(PkiError, match=says):
        issued(issue.Issuer(late, ROOT_KEY))


def test_nothing_is_issued_for_no_name() -> None:
    with pytest.raises(PkiError, match="names: nothing given"):
        issued(names=())


# -- judging

OTHER = new_key()
WEAK = rsa.generate_private_key(65537, 1024)


def good(**given: t.Any) -> x509.Certificate:
    return make("web", LEAF_KEY, (ROOT, ROOT_KEY), **({"names": NAMES} | given))


FALSE_CA = make("no-ca", MIDDLE_KEY, (ROOT, ROOT_KEY), names=("x",))
MUTE_CA = make("mute", MIDDLE_KEY, (ROOT, ROOT_KEY), ca=True, key_usage=usage(digital_signature=True))
FLAT_CA = make("flat", OTHER, (ROOT, ROOT_KEY), ca=True, path_length=0)
DEEP_CA = make("deep", MIDDLE_KEY, (FLAT_CA, OTHER), ca=True)
BRIEF_CA = make("brief", MIDDLE_KEY, (ROOT, ROOT_KEY), ca=True, end=NOW + DAY)


@pytest.mark.parametrize(
    ("chain", "says"),
    [
        pytest.param(
            (make("web", OTHER, (ROOT, ROOT_KEY), names=NAMES),), "does not belong to the private key", id="pair"
        ),
        pytest.param(
            (MIDDLE, issued(BY_MIDDLE)), "belongs to certificate 2.*server's certificate first", id="ca-first"
        ),
        pytest.param((good(end=NOW - timedelta(seconds=1)),), "expired at 2026-11-23T11:59:59Z", id="expired"),
        pytest.param((good(start=NOW + timedelta(seconds=1)),), "not yet valid, from 2026-11-23T12:00:01Z", id="early"),
        pytest.param((good(end=ROOT.not_valid_after_utc + DAY),), "outlives its CA", id="outlives-root"),
        pytest.param(
            (make("web", LEAF_KEY, (BRIEF_CA, MIDDLE_KEY), names=NAMES, end=NOW + 2 * DAY), BRIEF_CA),
            "outlives its CA",
            id="outlives-intermediate",
        ),
        pytest.param(
            (good(names=("web", "web.demo")),),
            r"not valid for web.demo.svc, web.demo.svc.cluster.local, only",
            id="names",
        ),
        pytest.param((good(names=()),), "no subjectAltName", id="cn-only"),
        pytest.param(
            (good(purpose=ExtendedKeyUsageOID.CLIENT_AUTH),), "expected the extended key usage serverAuth", id="purpose"
        ),
        pytest.param((good(key_usage=usage(crl_sign=True)),), "expected the key usage digitalSignature", id="usage"),
        pytest.param(
            (make("web", LEAF_KEY, (ROOT, ROOT_KEY), names=NAMES, ca=True),), "certificate of a CA", id="is-ca"
        ),
        pytest.param((issued(BY_MIDDLE),), "issued by none of the CA certificates", id="no-intermediate"),
        pytest.param((issued(BY_ROOT), MIDDLE), "which did not sign it", id="wrong-order"),
        pytest.param(
            (make("web", LEAF_KEY, (FALSE_CA, MIDDLE_KEY), names=NAMES), FALSE_CA), "'CN=no-ca' is no CA", id="no-ca"
        ),
        pytest.param((make("web", LEAF_KEY, (MUTE_CA, MIDDLE_KEY), names=NAMES), MUTE_CA), "is no CA", id="mute-ca"),
        pytest.param((issued(None),), "issued by none", id="self-signed-not-trusted"),
        pytest.param(
            (make("web", LEAF_KEY, (DEEP_CA, MIDDLE_KEY), names=NAMES), DEEP_CA, FLAT_CA),
            "'CN=flat' has 1 CAs below it, expected at most 0",
            id="path-length",
        ),
    ],
)
def test_bad_material_is_refused(chain: certificates.Chain, says: str) -> None:
    with pytest.raises(PkiError, match=says) as caught:
        certificates.validate(chain, LEAF_KEY, NOW, names=NAMES, roots=(ROOT,), what="tls.crt")
    assert str(caught.value).startswith("tls.crt: ")


def test_a_weak_key_is_refused() -> None:
    weak = make("web", WEAK, (ROOT, ROOT_KEY), names=NAMES)
    with pytest.raises(PkiError, match="RSA key of 1024 bits"):
        certificates.validate((weak,), WEAK, NOW)


@pytest.mark.parametrize(
    ("chain", "roots"),
    [
        pytest.param((issued(BY_ROOT),), (ROOT,), id="root"),
        pytest.param((issued(BY_MIDDLE), MIDDLE), (ROOT,), id="intermediate"),
        pytest.param((issued(BY_MIDDLE),), (MIDDLE,), id="intermediate-trusted"),
        pytest.param((issued(None),), (), id="self-signed"),
        pytest.param(
            (make("web", LEAF_KEY, names=NAMES, ca=True, key_usage=usage(digital_signature=True)),),
            (),
            id="openssl-req",
        ),
        pytest.param(
            (good(names=("*.demo.svc", "web", "WEB.demo", "web.demo.svc.cluster.local")),), (ROOT,), id="star"
        ),
        pytest.param((good(end=NOW),), (ROOT,), id="last-second"),
        pytest.param((good(start=NOW),), (ROOT,), id="first-second"),
    ],
)
def test_good_material_is_not(chain: certificates.Chain, roots: certificates.Chain) -> None:
    certificates.validate(chain, LEAF_KEY, NOW, names=NAMES, roots=roots)


@pytest.mark.parametrize(
    ("pattern", "name", "covered"),
    [
        ("web", "web", True),
        ("Web.", "wEb", True),
        ("web", "web.demo", False),
        ("*.demo", "web.demo", True),
        ("*.demo", "a.web.demo", False),
        ("*.demo", ".demo", False),
        ("*.demo", "demo", False),
        ("w*.demo", "web.demo", False),
    ],
)
def test_a_star_stands_for_one_whole_label(pattern: str, name: str, covered: bool) -> None:
    assert certificates.covers(pattern, name) is covered


# -- names


def test_names_of_a_service() -> None:
    assert tuple(names.of_service("web", "demo", "Cluster.Local.")) == NAMES
    assert names.of_service(None, "demo", "cluster.local") == []


@pytest.mark.parametrize("name", ["", "a b", "-a", "*", "a.*", "*.*.a", "http://a", "a/b", "bücher.example", "a" * 64])
def test_what_is_no_name_is_refused(name: str) -> None:
    with pytest.raises(KubeError, match=r"names: .* expected"):
        names.of_names([name])


def test_names_and_addresses_have_one_form() -> None:
    assert names.of_names(["A.example.", "a.example", "*.B"]) == ("a.example", "*.b")
    assert names.of_addresses(["FD00:0::7", "fd00::7", "10.0.0.1"]) == ("fd00::7", "10.0.0.1")
    with pytest.raises(KubeError, match=r"addresses: '10\.0\.0\.300' given"):
        names.of_addresses(["10.0.0.300"])


def test_addresses_are_looked_up() -> None:
    service = {
        "spec": {"clusterIPs": ["10.96.0.7", "fd00::7"]},
        "status": {"loadBalancer": {"ingress": [{"ip": "192.0.2.1"}, {"hostname": "lb.example"}]}},
    }
    assert names.cluster_ips(service) == ["10.96.0.7", "fd00::7"]
    assert names.cluster_ips({"spec": {"clusterIPs": ["None"]}}) == []
    assert names.load_balancer(service) == (["lb.example"], ["192.0.2.1"])
    assert names.load_balancer({"spec": {}}) == ([], [])
    entries = [{"type": "Hostname", "address": "n"}, {"type": "InternalIP", "address": "172.18.0.3"}]
    nodes = [
        {"status": {"addresses": entries}},
        {"status": {"addresses": [{"type": "ExternalIP", "address": "1.2.3.4"}]}},
    ]
    assert names.node_addresses(nodes) == ["1.2.3.4", "172.18.0.3"]


# -- judges from outside, at the real time

TRIES = [
    pytest.param(None, key_type, id=f"self-signed-{key_type}") for key_type in keys.KEY_TYPES if key_type != "RSA-4096"
] + [
    pytest.param(BY_ROOT, "P-256", id="root"),
    pytest.param(BY_MIDDLE, "P-256", id="intermediate"),
    pytest.param(BY_MIDDLE, "RSA-2048", id="intermediate-rsa"),
]


@pytest.fixture
def fresh(request: pytest.FixtureRequest) -> tuple[tuple[x509.Certificate, ...], t.Any, tuple[x509.Certificate, ...]]:
    """Chain, key and roots that are valid now, not at NOW: OpenSSL and TLS read the clock."""
    issuer, key_type, names_ = request.param
    now = datetime.now(UTC)
    key = keys.generate(key_type)
    if issuer is not None:
        root_key, middle_key = new_key(), new_key()
        root = make("root", root_key, ca=True, start=now - DAY, end=now + 100 * DAY)
        middle = make("middle", middle_key, (root, root_key), ca=True, start=now - DAY, end=now + 99 * DAY)
        through = issuer is BY_MIDDLE
        issuer = issue.Issuer(middle, middle_key, (middle,)) if through else issue.Issuer(root, root_key)
        leaf = issued(issuer, key=key, now=now, names=names_, addresses=("127.0.0.1",))
        return (leaf, *issuer.chain), key, (root,)
    leaf = issued(None, key=key, now=now, names=names_, addresses=("127.0.0.1",))
    return (leaf,), key, (leaf,)


def judged(test: t.Any) -> t.Any:
    long = ("a" * 60 + ".example.com",)
    cases = [pytest.param((*case.values, NAMES), id=case.id) for case in TRIES]
    cases += [
        pytest.param((None, "P-256", long), id="self-signed-long"),
        pytest.param((BY_ROOT, "P-256", long), id="root-long"),
    ]
    return pytest.mark.parametrize("fresh", cases, indirect=True)(test)


@judged
def test_openssl_accepts_it_strictly(fresh: t.Any, tmp_path: Path) -> None:
    chain, _key, roots = fresh
    (tmp_path / "leaf").write_text(certificates.pem_of(chain[:1]))
    (tmp_path / "middle").write_text(certificates.pem_of(chain))
    (tmp_path / "roots").write_text(certificates.pem_of(roots))
    for name, accepted in ((certificates.dns_names(chain[0])[-1], True), ("other.example", False)):
        ran = subprocess.run(
            f"openssl verify -x509_strict -purpose sslserver -verify_hostname {name} "
            "-CAfile roots -untrusted middle leaf".split(),
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
        assert (ran.returncode == 0) is accepted, ran.stdout + ran.stderr


@judged
def test_the_verifier_of_cryptography_accepts_it(fresh: t.Any) -> None:
    chain, _key, roots = fresh
    name = certificates.dns_names(chain[0])[-1]
    builder = verification.PolicyBuilder().store(verification.Store(list(roots))).time(datetime.now(UTC))
    assert builder.build_server_verifier(x509.DNSName(name)).verify(chain[0], list(chain[1:]))[-1] == roots[0]
    with pytest.raises(verification.VerificationError):
        builder.build_server_verifier(x509.DNSName("other.example")).verify(chain[0], list(chain[1:]))


@judged
def test_a_strict_python_client_shakes_hands_with_it(fresh: t.Any, tmp_path: Path) -> None:
    chain, key, roots = fresh
    (tmp_path / "tls.crt").write_text(certificates.pem_of(chain))
    (tmp_path / "tls.key").write_bytes(keys.pem(key))
    serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    serving.load_cert_chain(tmp_path / "tls.crt", tmp_path / "tls.key")
    asking = ssl.create_default_context(cadata=certificates.pem_of(roots))
    # What Python 3.13 sets by itself.
    asking.verify_flags |= ssl.VERIFY_X509_STRICT | ssl.VERIFY_X509_PARTIAL_CHAIN
    for name in (certificates.dns_names(chain[0])[-1], "127.0.0.1"):
        assert _shake(serving, asking, name) == "TLSv1.3"
    with pytest.raises(ssl.SSLCertVerificationError):
        _shake(serving, asking, "other.example")


def _shake(serving: ssl.SSLContext, asking: ssl.SSLContext, name: str) -> str | None:
    up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = asking.wrap_bio(down, up, server_hostname=name)
    server = serving.wrap_bio(up, down, server_side=True)
    waiting = [client, server]
    while waiting:
        for end in tuple(waiting):
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                continue
            waiting.remove(end)
    return client.version()
