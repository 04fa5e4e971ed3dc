# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""TLS end to end without a cluster: real servers on loopback, the real agent, its log, and the real checks."""

from __future__ import annotations

import contextlib
import json
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import typing as t
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from ansible_collections.plumbline.kubernetes.plugins.module_utils.connectivity import (
    agent,
    agent_tls,
    checks,
    inside,
    mounted,
    probe,
)
from ansible_collections.plumbline.kubernetes.plugins.module_utils.connectivity.acceptance import CLIENTS, weaknesses
from ansible_collections.plumbline.kubernetes.plugins.module_utils.connectivity.look import (
    FITS,
    Look,
    Mounted,
    Observation,
    Stored,
    observation,
)
from ansible_collections.plumbline.kubernetes.plugins.module_utils.connectivity.plan import (
    client_nodes,
    defaults,
    plan,
)
from ansible_collections.plumbline.kubernetes.plugins.module_utils.connectivity.question import Tls
from ansible_collections.plumbline.kubernetes.plugins.module_utils.connectivity.result import (
    FAIL,
    INCONCLUSIVE,
    PASS,
    SKIPPED,
    WARN,
    Finding,
)
from ansible_collections.plumbline.kubernetes.plugins.module_utils.connectivity.scope import Probe, Vantage
from ansible_collections.plumbline.kubernetes.plugins.module_utils.connectivity.snapshot import ServicePort
from ansible_collections.plumbline.kubernetes.plugins.module_utils.kube.exec import ExecResult
from ansible_collections.plumbline.kubernetes.tests.judges import judges
from ansible_collections.plumbline.kubernetes.tests.unit.connectivity.builders import (
    good_answer,
    look,
    pod,
    question,
    service,
    snapshot,
)

NOW = datetime.now(UTC).replace(microsecond=0)
DAY = timedelta(days=1)
HTTPS = ServicePort("https", "TCP", 443, 443)
SERVICE = service(ports=(HTTPS,))
BODY = b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\nServed-By: %s\r\n\r\nWelcome"


# ----- certificates


@dataclass
class Made:
    """A certificate with its key, and what is sent with it."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey
    above: tuple[Made, ...] = ()

    @property
    def chain(self) -> tuple[x509.Certificate, ...]:
        return (self.certificate, *(one.certificate for one in self.above))

    @property
    def pem(self) -> str:
        return "".join(c.public_bytes(serialization.Encoding.PEM).decode() for c in self.chain)

    @property
    def key_pem(self) -> bytes:
        return self.key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )


def make(
    subject: str = "web",
    by: Made | None = None,
    *,
    names: t.Sequence[str] = ("web", "web.demo"),
    begin: timedelta = -DAY,
    end: timedelta = 90 * DAY,
    ca: bool = False,
    purposes: t.Sequence[x509.ObjectIdentifier] = (ExtendedKeyUsageOID.SERVER_AUTH,),
    leave_out: str = "",
    critical: bool = True,
    send: t.Sequence[Made] = (),
    within: str = "",
) -> Made:
    key = ec.generate_private_key(ec.SECP256R1())
    own = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)])
    signer = by.key if by else key
    builder = (
        x509.CertificateBuilder()
        .subject_name(own)
        .issuer_name(by.certificate.subject if by else own)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOW + begin)
        .not_valid_after(NOW + end)
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=critical)
    )
    if leave_out != "ski":
        builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    if leave_out != "aki":
        identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key())
        builder = builder.add_extension(identifier, critical=False)
    if leave_out != "usage":
        usage = dict.fromkeys(
            ("content_commitment", "key_encipherment", "data_encipherment", "key_agreement", "crl_sign"), False
        )
        bits = x509.KeyUsage(
            digital_signature=not ca, key_cert_sign=ca, encipher_only=False, decipher_only=False, **usage
        )
        builder = builder.add_extension(bits, critical=True)
    if names and not ca:
        builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(n) for n in names]), critical=False)
    if purposes and not ca:
        builder = builder.add_extension(x509.ExtendedKeyUsage(purposes), critical=False)
    if within:
        builder = builder.add_extension(x509.NameConstraints([x509.DNSName(within)], None), critical=True)
    return Made(builder.sign(signer, hashes.SHA256()), key, tuple(send))


ROOT = make("root", ca=True)
OTHER_ROOT = make("other root", ca=True)
SAME_NAME = make("root", ca=True)
INTERMEDIATE = make("intermediate", ROOT, ca=True)
GOOD = make(by=ROOT)
SELF_SIGNED = make()


# ----- servers


@dataclass
class Pod:
    """A server: what it presents, what else is odd about it, and the thread that serves."""

    made: Made | None
    name: str = "web-1"
    settings: dict[str, t.Any] = field(default_factory=dict)
    hang_up: bool = False

    def context(self, folder: Path) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        if self.made:
            file = folder / f"{id(self)}.pem"
            file.write_bytes(self.made.key_pem + self.made.pem.encode())
            context.set_ciphers("ALL:@SECLEVEL=0")  # before, or a certificate that is weak cannot be loaded
            context.load_cert_chain(file)
        context.set_ciphers("ALL:@SECLEVEL=0")
        for name, value in self.settings.items():
            setattr(context, name, value)
        return context


@contextlib.contextmanager
def serving(server: Pod, folder: Path) -> Iterator[int]:
    context = server.context(folder)
    with socket.create_server(("127.0.0.1", 0), backlog=64) as listener:
        threading.Thread(target=accept, args=(listener, context, server), daemon=True).start()
        yield listener.getsockname()[1]


def accept(listener: socket.socket, context: ssl.SSLContext, server: Pod) -> None:
    with contextlib.suppress(OSError):
        while True:
            connection, _peer = listener.accept()
            threading.Thread(target=answer, args=(connection, context, server), daemon=True).start()


def answer(connection: socket.socket, context: ssl.SSLContext, server: Pod) -> None:
    with connection, contextlib.suppress(OSError):
        connection.settimeout(20)
        if server.hang_up:
            connection.recv(65536)
            return
        if server.made is None and not server.settings:
            connection.recv(65536)
            connection.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
            return
        with context.wrap_socket(connection, server_side=True, do_handshake_on_connect=False) as secure:
            try:
                secure.do_handshake()
                secure.recv(65536)
            except ssl.SSLError:  # take all that still comes, so that no reset overtakes the alert
                socket.socket.shutdown(secure, socket.SHUT_WR)
                while socket.socket.recv(secure, 65536):
                    pass
                return
            secure.sendall(BODY % server.name.encode())


# ----- from servers to findings


def asked(tls: Tls, servers: t.Sequence[Pod], folder: Path, stored: Stored | None = None, **more: t.Any) -> Look:
    """One look: the plan's own tasks run by the agent against loopback, and back through the log."""
    pods = tuple(pod(n, name=server.name) for n, server in enumerate(servers, 1))
    seen = more.pop("seen", None) or snapshot(pods, SERVICE)
    to_ask = question(layers=("http",), tls=tls)
    planned = plan(to_ask, seen, client_nodes(seen, (), 5))
    with contextlib.ExitStack() as stack:
        ports = {
            one.address: stack.enter_context(serving(server, folder))
            for one, server in zip(seen.endpoints, servers, strict=True)
        }
        observations = {
            (vantage, key): found
            for vantage in planned.vantages
            for key, found in run(planned.tasks(vantage), ports, to_ask).items()
        }
    for each in planned.probes:
        if each.task["type"] != "https":
            observations[each.vantage, each.id] = good_answer(each, seen)
    now = more.pop("now", NOW)
    return Look(to_ask, seen, seen, now, plan=planned, observations=observations, stored=stored, **more)


def shown_outside(look: Look, purpose: str, other: Look) -> Look:
    """The look, with the outside asked too, who is shown what the first client inside was shown in the other one."""
    here = Vantage("demo", "", "outside")
    inside = next(p for p in look.plan.probes if p.purpose == "cluster_ip" and p.task["type"] == "https")
    beyond = replace(inside, purpose=purpose, vantage=here)
    seen = {(here, "control"): Observation("ok"), (here, beyond.id): other.observations[inside.vantage, inside.id]}
    return replace(
        look,
        plan=replace(look.plan, probes=(*look.plan.probes, beyond), outside=here),
        observations={**look.observations, **seen},
    )


def run(tasks: list[dict[str, t.Any]], ports: dict[str, int], to_ask: t.Any) -> dict[str, Observation]:
    """What one client sees: addresses of pods are those of the servers, all others that of the first."""
    first = next(iter(ports.values()))
    there = [
        {**{k: v for k, v in task.items() if k != "name"}, "address": "127.0.0.1", "timeout": 10.0, "repeat": 1}
        | {"port": ports.get(task.get("address", ""), first)}
        for task in tasks
        if task["type"] == "https"
    ]
    options = probe.Options("image", budget=60.0, defaults=defaults(to_ask))
    document = agent.run(probe.plan(there, options))
    outcome = probe.parse(f"{agent.MARKER}\n{agent.dump(document, agent.LIMITS['result'])}\n", there)
    assert outcome.cause == ""
    return {key: observation(item) for key, item in outcome.observations.items()}


def judged(tls: Tls, servers: t.Sequence[Pod], folder: Path, **more: t.Any) -> list[Finding]:
    return checks.judge(asked(tls, servers, folder, **more))


def bad(findings: t.Iterable[Finding]) -> list[Finding]:
    return [finding for finding in findings if finding.status not in (PASS, SKIPPED)]


TRUST = Tls(bundle=ROOT.pem)
OLD = ssl.TLSVersion.TLSv1_1

# what is served, by how many pods it is, the option, and the first complaint: id, status, words in its line.
FAULTS: dict[str, tuple[Pod, Tls, str, str, str]] = {
    "expired": (
        Pod(make(by=ROOT, begin=-30 * DAY, end=-DAY)), TRUST, "TL-05", FAIL, "of Service demo/web has expired",
    ),
    "not yet valid": (Pod(make(by=ROOT, begin=DAY)), TRUST, "TL-05", FAIL, "is not yet valid"),
    "of a CA that has expired": (
        Pod(make(by=(old := make("old", ca=True, begin=-30 * DAY, end=-DAY)))),
        Tls(bundle=old.pem), "TL-05", FAIL, "the CA certificate CN=old above the one of Service demo/web has expired",
    ),
    "of an unknown CA": (
        Pod(make(by=OTHER_ROOT, send=[OTHER_ROOT])), TRUST, "TL-10", FAIL, "unknown CA (observed issuer CN=other root",
    ),
    "of a CA that was made anew": (Pod(make(by=SAME_NAME)), TRUST, "TL-10", FAIL, "but with another key"),
    "without its intermediate": (
        Pod(make(by=INTERMEDIATE)), TRUST, "TL-10", FAIL, "the intermediate is missing (observed issuer CN=inter",
    ),
    "self-signed": (Pod(SELF_SIGNED), TRUST, "TL-10", FAIL, "self-signed certificate that is not in the bundle"),
    "for another name": (
        Pod(make(by=ROOT, names=["api.demo"])), TRUST, "TL-07", FAIL,
        "is for other names (observed api.demo; expected web)",
    ),
    "for not all names": (
        Pod(GOOD), replace(TRUST, names=("web.demo", "shop.example.com", "192.0.2.1")), "TL-07", FAIL,
        "lacks names that it must be for (observed web, web.demo; expected shop.example.com, 192.0.2.1",
    ),
    "for another name than asked for": (
        Pod(GOOD), replace(TRUST, server_name="shop.example.com"), "TL-07", FAIL, "expected shop.example.com",
    ),
    "with a common name only": (Pod(make(by=ROOT, names=[])), TRUST, "TL-08", FAIL, "common name only"),
    "for clients": (
        Pod(make(by=ROOT, purposes=[ExtendedKeyUsageOID.CLIENT_AUTH])), TRUST, "TL-21", FAIL, "not for servers",
    ),
    "about to expire": (Pod(make(by=ROOT, begin=-90 * DAY, end=5.1 * DAY)), TRUST, "TL-06", WARN, "5 days"),
    "by TLS 1.1 only": (
        Pod(GOOD, settings={"maximum_version": OLD, "minimum_version": OLD}), TRUST, "TL-15", FAIL, "of TLS only",
    ),
    "by TLS 1.1 as well": (Pod(GOOD, settings={"minimum_version": OLD}), TRUST, "TL-15", WARN, "observed TLSv1.1"),
    "by TLS 1.2 where 1.3 is wanted": (
        Pod(GOOD, settings={"maximum_version": ssl.TLSVersion.TLSv1_2}),
        replace(TRUST, minimum_version="TLSv1.3"), "TL-15", FAIL, "observed TLSv1.2; expected TLSv1.3",
    ),
    "by nobody: plain HTTP": (Pod(None), TRUST, "DP-09", FAIL, "plain HTTP at 10.244.1.5:443, where TLS is expected"),
    "by nobody: no certificate": (
        Pod(None, settings={"num_tickets": 1}), TRUST, "TL-11", FAIL, "refuses the TLS handshake",
    ),
    "by nobody: hangs up": (Pod(GOOD, hang_up=True), TRUST, "DP-01", FAIL, "reset"),
    "to clients with a certificate": (
        Pod(GOOD, settings={"verify_mode": ssl.CERT_REQUIRED}), TRUST, "TL-11", FAIL, "refuses the TLS handshake",
    ),
    "expired, no bundle": (Pod(make(begin=-30 * DAY, end=-DAY)), Tls(), "TL-05", FAIL, "has expired"),
    "for another name, no bundle": (Pod(make(names=["api"])), Tls(), "TL-07", FAIL, "for other names"),
    "without authorityKeyIdentifier": (
        Pod(make(by=ROOT, leave_out="aki")), TRUST, "TL-22", WARN, "only curl, Go, urllib3",
    ),
    "of an intermediate that is trusted without its root": (
        Pod(make(by=INTERMEDIATE)), Tls(bundle=INTERMEDIATE.pem), "TL-22", WARN, "only curl, Go, Python strict",
    ),
    "for any purpose": (
        Pod(make(by=ROOT, purposes=[ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE])), TRUST, "TL-21", FAIL, "not for serv",
    ),
}  # fmt: skip


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
@pytest.mark.parametrize("name", FAULTS)
def test_each_fault_is_named_first(name: str, tmp_path: Path) -> None:
    server, tls, check, status, words = FAULTS[name]
    found = bad(judged(tls, [server], tmp_path))
    first = min(found, key=lambda finding: finding.status != FAIL)
    assert (first.id, first.status) == (check, status), [finding.line for finding in found]
    assert words in first.line
    assert {finding.id for finding in found if finding.status == FAIL} <= {check, "DP-01", "DP-03", "DP-04"}
    if check.startswith("TL-") and check != "TL-11":
        assert first.evidence["serial"] == f"{server.made.certificate.serial_number:x}"  # type: ignore[union-attr]


def sent_with(made: Made, *above: Made) -> Made:
    return replace(made, above=above)


SILENT: dict[str, tuple[Made, str]] = {
    "of a root": (GOOD, ROOT.pem),
    "of an intermediate that is sent": (make(by=INTERMEDIATE, send=[INTERMEDIATE]), ROOT.pem),
    "of an intermediate that is trusted itself beside its root": (make(by=INTERMEDIATE), INTERMEDIATE.pem + ROOT.pem),
    "with the root sent, too": (sent_with(GOOD, ROOT), ROOT.pem),
    "self-signed and in the bundle": (SELF_SIGNED, SELF_SIGNED.pem),
    "among several roots": (GOOD, OTHER_ROOT.pem + ROOT.pem),
    "of a short life": (make(by=ROOT, begin=-timedelta(hours=1), end=timedelta(hours=23)), ROOT.pem),
    "with a star": (make(by=ROOT, names=["*.demo", "web"]), ROOT.pem),
    "without a bundle": (GOOD, ""),
}


@pytest.mark.parametrize("name", SILENT)
def test_what_is_good_is_not_complained_of(name: str, tmp_path: Path) -> None:
    made, bundle = SILENT[name]
    found = judged(Tls(bundle=bundle), [Pod(made, "web-1"), Pod(made, "web-2")], tmp_path)
    assert bad(found) == []
    assert {"TL-11", "TL-14", "TL-22", "DP-08"} <= {finding.id for finding in found if finding.status == PASS}
    assert [f.message for f in found if f.id == "TL-10"] == (
        [] if bundle else ["whether clients can trust the certificate is not known: no bundle given"]
    )


def test_variables_of_the_client_do_not_matter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trusted = tmp_path / "ca.pem"
    trusted.write_text(OTHER_ROOT.pem)
    for variable in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.setenv(variable, str(trusted))
    assert bad(judged(TRUST, [Pod(GOOD)], tmp_path)) == []
    found = bad(judged(TRUST, [Pod(make(by=OTHER_ROOT))], tmp_path))
    assert {finding.id for finding in found} == {"TL-10"}


# ----- several pods, and a Secret

TWIN = make(by=ROOT)


def fingerprint(made: Made) -> str:
    return made.certificate.fingerprint(hashes.SHA256()).hex()


def of_templates(*hashed: str) -> t.Any:
    pods = [
        pod(n, name=f"web-{n}", labels=(("app", "web"), ("pod-template-hash", template)))
        for n, template in enumerate(hashed, 1)
    ]
    return snapshot(pods, SERVICE)


def test_one_replica_with_another_certificate_is_named(tmp_path: Path) -> None:
    servers = [Pod(GOOD, "web-1"), Pod(make(by=ROOT, begin=-9 * DAY, end=-DAY), "web-2")]
    found = bad(judged(TRUST, servers, tmp_path, seen=of_templates("a", "a")))
    assert [(f.id, f.object) for f in found] == [("TL-05", "Pod demo/web-2"), ("TL-14", "Service demo/web")]


@pytest.mark.parametrize(("templates", "status"), [(("a", "a"), FAIL), (("a", "b"), SKIPPED)])
def test_pods_of_a_roll_out_may_differ(templates: tuple[str, ...], status: str, tmp_path: Path) -> None:
    servers = [Pod(GOOD, "web-1"), Pod(TWIN, "web-2")]
    found = judged(TRUST, servers, tmp_path, seen=of_templates(*templates))
    assert [finding.status for finding in found if finding.id == "TL-14"] == [status]


STORED: dict[str, tuple[Stored, str, str, str]] = {
    "the same": (Stored("Secret demo/tls", fingerprint(GOOD)), "TL-13", PASS, "serves what Secret demo/tls holds"),
    "another": (
        Stored("Secret demo/tls", fingerprint(TWIN)),
        "TL-13",
        FAIL,
        "another certificate than Secret demo/tls",
    ),
    "absent": (Stored("Secret demo/tls"), "TL-01", FAIL, "there is no Secret demo/tls"),
    "no right": (
        Stored("Secret demo/tls", denied="cannot get secrets in namespace demo"),
        "TL-13",
        SKIPPED,
        "cannot get secrets",
    ),
    "a pair": (Stored("Secret demo/tls", fingerprint(GOOD), pair=FITS), "TL-04", PASS, "is that of its certificate"),
    "no pair": (
        Stored("Secret demo/tls", fingerprint(GOOD), pair="has no tls.key"),
        "TL-04",
        FAIL,
        "Secret demo/tls has no tls.key",
    ),
    "damaged": (Stored("Secret demo/tls", unreadable="Secret demo/tls holds no"), "TL-03", FAIL, "holds no"),
}


@pytest.mark.parametrize(
    ("inside", "outside", "expected"),
    [
        pytest.param("good", "unknown", set(), id="NP-05 says it"),
        pytest.param("unknown", "unknown", {"TL-10"}, id="both"),
        pytest.param("", "unknown", {"TL-10"}, id="nobody asked inside"),
        pytest.param("good", "soon", {"TL-06"}, id="what clients accept"),
    ],
)
def test_what_only_clients_outside_are_shown_is_not_held_against_the_pods(
    inside: str, outside: str, expected: set[str], tmp_path: Path
) -> None:
    served = {"good": GOOD, "unknown": make(by=OTHER_ROOT), "soon": make(by=ROOT, begin=-88 * DAY, end=2 * DAY)}
    of = asked(TRUST, [Pod(served[outside])], tmp_path)
    near = asked(TRUST, [Pod(served[inside])], tmp_path) if inside else None
    look = shown_outside(replace(of, observations=near.observations if near else {}), "outside_node_port", of)
    assert {finding.id for finding in bad(checks.judge(look))} & {"TL-06", "TL-10"} == expected


def signed(key: t.Any, digest: t.Any, by: Made = ROOT) -> x509.Certificate:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "web")])
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(by.certificate.subject)
    builder = builder.public_key(key.public_key()).serial_number(1).not_valid_before(NOW - DAY)
    names = x509.SubjectAlternativeName([x509.DNSName("web")])
    return builder.not_valid_after(NOW + 90 * DAY).add_extension(names, critical=False).sign(by.key, digest)


@pytest.mark.parametrize(
    ("certificate", "expected"),
    [
        pytest.param(signed(rsa.generate_private_key(65537, 1024), hashes.SHA256()), ["a key of 1024 bits"], id="RSA"),
        pytest.param(
            signed(ec.generate_private_key(ec.SECP192R1()), hashes.SHA256()),
            ["a key of 192 bits on secp192r1"],
            id="curve",
        ),
        pytest.param(GOOD.certificate, [], id="good"),
        pytest.param(ROOT.certificate, [], id="root"),
        pytest.param(signed(rsa.generate_private_key(65537, 2048), hashes.SHA512()), [], id="RSA of 2048 bits"),
    ],
)
def test_weaknesses(certificate: x509.Certificate, expected: list[str]) -> None:
    assert weaknesses(certificate) == expected


@pytest.mark.parametrize(("code", "status"), [(0, WARN), (66, FAIL)])
def test_a_weak_key_is_a_failure_where_a_client_refuses_it(code: int, status: str, tmp_path: Path) -> None:
    weak = signed(rsa.generate_private_key(65537, 1024), hashes.SHA256())
    der = weak.public_bytes(serialization.Encoding.DER)
    look = asked(TRUST, [Pod(GOOD)], tmp_path)
    shown = {
        key: replace(
            found, value={**found.value, "served": [{**s, "chain": [der], "code": code} for s in found.value["served"]]}
        )
        if found.value.get("served")
        else found
        for key, found in look.observations.items()
    }
    complaints = [finding for finding in bad(checks.judge(replace(look, observations=shown))) if finding.id != "TL-22"]
    assert [(finding.id, finding.status, finding.observed) for finding in complaints] == [
        ("TL-09", status, ["a key of 1024 bits"])
    ]


def test_what_pods_would_serve_is_judged_while_none_is_ready(tmp_path: Path) -> None:
    late = asked(TRUST, [Pod(make(by=ROOT, begin=-2 * DAY, end=-DAY))], tmp_path)
    unready = pod(1, ready=False)
    seen = snapshot((unready,), SERVICE, endpoints=())
    to_ask = replace(late.question, causes=True)
    planned = plan(to_ask, seen, client_nodes(seen, (), 5))
    shown = next(found for probe, found in late.seen("direct"))
    (vantage, key), *_others = [(p.vantage, p.id) for p in planned.probes if p.purpose == "unready"]
    control = {(vantage, "control"): Observation("ok")}
    look = Look(to_ask, seen, seen, NOW, plan=planned, observations={**control, (vantage, key): shown})
    assert "TL-05" in {finding.id for finding in bad(checks.judge(look))}


def test_a_load_balancer_may_end_tls_with_a_certificate_of_its_own(tmp_path: Path) -> None:
    stored = Stored("Secret demo/tls", fingerprint(GOOD))
    look, other = asked(TRUST, [Pod(GOOD)], tmp_path, stored), asked(TRUST, [Pod(TWIN)], tmp_path)
    look = shown_outside(look, "outside_balancer", other)
    assert [finding.status for finding in checks.judge(look) if finding.id == "TL-13"] == [PASS]
    assert not bad(checks.judge(look))


@pytest.mark.parametrize("name", STORED)
def test_stored_is_served(name: str, tmp_path: Path) -> None:
    stored, check, status, words = STORED[name]
    found = judged(TRUST, [Pod(GOOD)], tmp_path, stored=stored)
    (finding,) = [one for one in found if one.id == check]
    assert finding.status == status
    assert words in finding.line
    assert any(one.id == "TL-04" for one in found) == bool(stored.pair)


SAME, OTHER = fingerprint(GOOD), fingerprint(TWIN)
MOUNTED: dict[str, tuple[dict[str, str], Stored | None, str, str]] = {
    "all three": ({"fingerprint": SAME}, Stored("Secret demo/tls", SAME), PASS, "serve on port https (443/TCP) what"),
    "without a Secret": ({"fingerprint": SAME}, None, PASS, "what they have mounted at /ssl"),
    "served is older": ({"fingerprint": OTHER}, Stored("Secret demo/tls", OTHER), FAIL, "restart the pod"),
    "mounted is older": ({"fingerprint": SAME}, Stored("Secret demo/tls", OTHER), FAIL, "than Secret demo/tls holds"),
    "no file": ({"verdict": "unreadable", "detail": "cat: no such file"}, None, FAIL, "/ssl: cat: no such file"),
    "no right": ({"verdict": "skipped", "detail": "cannot create pods/exec"}, None, SKIPPED, "cannot create pods/exec"),
    "no answer": ({"verdict": "undecided", "detail": "the stream broke"}, None, INCONCLUSIVE, "the stream broke"),
}


@pytest.mark.parametrize("name", MOUNTED)
def test_stored_is_mounted_is_served(name: str, tmp_path: Path) -> None:
    given, stored, status, words = MOUNTED[name]
    reading = Mounted(pod(1, name="web-1"), "nginx", **given)
    tls = replace(TRUST, mount_path="/ssl")
    found = judged(tls, [Pod(GOOD)], tmp_path, stored=stored, mounted=(reading,))
    (finding,) = [one for one in found if one.id == "TL-19"]
    assert finding.status == status
    assert words in finding.line


def test_what_is_mounted_is_judged_on_request_only(tmp_path: Path) -> None:
    assert not [one for one in judged(TRUST, [Pod(GOOD)], tmp_path) if one.id == "TL-19"]
    (finding,) = [one for one in judged(replace(TRUST, mount_path="/x"), [Pod(GOOD)], tmp_path) if one.id == "TL-19"]
    assert (finding.status, "mounts anything at /x" in finding.message) == (SKIPPED, True)


def test_the_container_that_mounts_it_is_read() -> None:
    (container,) = pod(1).containers
    mounting = replace(container, name="tls", mounts=frozenset({"/ssl"}))
    pods = (
        pod(1, containers=(container, mounting)),
        pod(2, containers=(container,)),
        pod(3, containers=(mounting,)),
        pod(4, containers=(replace(mounting, started=None),)),
        pod(5, containers=(mounting,)),
    )
    seen = snapshot(pods, SERVICE)
    seen = replace(seen, endpoints=tuple(replace(one, ready=one.pod != "web-3") for one in seen.endpoints))
    chosen = mounted.to_read(seen, "/ssl", 10)
    assert [(found.name, one.name) for found, one in chosen] == [("web-1", "tls"), ("web-5", "tls")]
    assert len(mounted.to_read(seen, "/ssl", 1)) == 1


@pytest.mark.parametrize(
    ("result", "verdict", "detail"),
    [
        (ExecResult(GOOD.pem, "", 0, "ok"), "read", ""),
        (ExecResult("", "cat: can't open: No such file\nmore", 1, "failed"), "unreadable", "cat: can't open: No such"),
        (ExecResult("hello", "", 0, "ok"), "unreadable", "/ssl/tls.crt: no PEM block"),
        (ExecResult("", "", 127, "failed", "command terminated"), "skipped", "the image has no cat"),
        (ExecResult("", "", None, "unknown", 'exec: "cat": executable file not found'), "skipped", "no cat"),
        (ExecResult("", "", None, "unknown", "the stream broke"), "undecided", "the stream broke"),
    ],
)
def test_what_a_container_says_of_its_file(result: ExecResult, verdict: str, detail: str) -> None:
    found = mounted.judge(pod(1), "nginx", "/ssl/tls.crt", inside.heard(result, "cat", "to read it with"))
    assert (found.verdict, detail in found.detail) == (verdict, True)
    assert found.fingerprint == (SAME if verdict == "read" else "")
    assert "\n" not in found.detail


def test_a_wrong_clock_is_not_held_against_the_certificate(tmp_path: Path) -> None:
    """The client refused a certificate for its time, which is right by our clock."""
    root = make("root", ca=True, begin=-30 * DAY)
    seen = asked(Tls(bundle=root.pem), [Pod(make(by=root, begin=-9 * DAY, end=-DAY))], tmp_path)
    found = bad(checks.judge(replace(seen, now=NOW - 5 * DAY)))
    assert {finding.id for finding in found if finding.status == FAIL} == {"TL-17"}
    assert "by the clock of node-1 the certificate of Service demo/web has expired" in found[0].line


def test_a_service_without_https_is_asked_and_told_nothing_of_it() -> None:
    healthy = look(asked=question(tls=replace(TRUST, secret="tls")))
    assert {each.task["type"] for each in healthy.plan.probes}.isdisjoint({"https"})
    assert not [finding for finding in checks.judge(healthy) if finding.id.startswith("TL-")]


def test_what_clients_of_plain_http_are_told_by_a_port_for_tls() -> None:
    def other(_probe: Probe, good: Observation) -> Observation:
        return Observation("scheme", "status 400: it wants TLS on this port") if _probe.task["type"] == "http" else good

    found = bad(checks.judge(look(broken=other)))
    assert {finding.id for finding in found if "TLS" in finding.message} == {"DP-09"}
    assert "speaks TLS at 10.244.1.5:80, where plain HTTP is expected" in found[0].line


# ----- what is said of common clients, against the real ones


def with_sha1(made: Made, by: Made) -> Made:
    """The same, signed as nobody should, which OpenSSL still does."""
    request = x509.CertificateSigningRequestBuilder().subject_name(made.certificate.subject)
    for extension in made.certificate.extensions:
        request = request.add_extension(extension.value, extension.critical)
    asked_for = request.sign(made.key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
    with tempfile.TemporaryDirectory() as folder:
        for name, content in {"request": asked_for, "ca": by.pem.encode(), "key": by.key_pem}.items():
            (Path(folder) / name).write_bytes(content)
        command = ("openssl", "x509", "-req", "-in", "request", "-copy_extensions", "copyall", "-sha1", "-CA", "ca")
        signing = (*command, "-CAkey", "key", "-set_serial", "7")
        signed = subprocess.run(signing, capture_output=True, check=True, cwd=folder).stdout
    return replace(made, certificate=x509.load_pem_x509_certificate(signed))


# What is served, and what is trusted.
CHAINS: dict[str, tuple[Made, Made]] = {
    "plain": (GOOD, ROOT),
    "common name only": (make(by=ROOT, names=[]), ROOT),
    "SHA-1": (with_sha1(make(by=ROOT), ROOT), ROOT),
    "SHA-1 above": (make(by=(c0 := with_sha1(make("c0", ROOT, ca=True), ROOT)), send=[c0]), ROOT),
    "SHA-1 at the root": (make(by=(c9 := with_sha1(e1 := make("c9", ca=True), e1))), c9),
    "wrong name": (make(by=ROOT, names=["api.demo"]), ROOT),
    "intermediate sent": (make(by=INTERMEDIATE, send=[INTERMEDIATE]), ROOT),
    "intermediate missing": (make(by=INTERMEDIATE), ROOT),
    "intermediate trusted": (make(by=INTERMEDIATE), INTERMEDIATE),
    "within name constraints": (make(by=(c5 := make("c5", ca=True, within="web")), names=["web"]), c5),
    "outside of name constraints": (make(by=(c6 := make("c6", ca=True, within="demo"))), c6),
    "outside of them by one name": (make(by=(c7 := make("c7", ca=True, within="web"))), c7),
    "outside, common name only": (make(by=(c8 := make("c8", ca=True, within="demo")), names=[]), c8),
    "no EKU": (make(by=ROOT, purposes=[]), ROOT),
    "EKU any": (make(by=ROOT, purposes=[ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE]), ROOT),
    "EKU for clients": (make(by=ROOT, purposes=[ExtendedKeyUsageOID.CLIENT_AUTH]), ROOT),
    "no AKI": (make(by=ROOT, leave_out="aki"), ROOT),
    "no SKI": (make(by=ROOT, leave_out="ski"), ROOT),
    "CA without keyUsage": (make(by=(c1 := make("c1", ca=True, leave_out="usage"))), c1),
    "CA without SKI": (make(by=(c2 := make("c2", ca=True, leave_out="ski"))), c2),
    "CA whose constraints are not critical": (make(by=(c3 := make("c3", ca=True, critical=False))), c3),
    "issued by no CA": (make(by=(d1 := make("d1"))), d1),
    "self-signed": (SELF_SIGNED, SELF_SIGNED),
    "self-signed without AKI": ((c4 := make(leave_out="aki")), c4),
    "self-signed, common name only": ((d2 := make(names=[])), d2),
    "self-signed CA without keyUsage, as the tutorial's": ((d3 := make(ca=True, leave_out="usage")), d3),
}


def accepting(made: Made, bundle: str, folder: Path) -> set[str]:
    """The clients of which verify_http says that they accept what is served."""
    found = judged(Tls(bundle=bundle), [Pod(made)], folder)
    told = [finding for finding in found if finding.id == "TL-22"]
    if told:
        return set(CLIENTS) - told[0].evidence["refused_by"].keys()
    return set()


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("name", CHAINS)
def test_what_is_said_of_a_client_is_what_it_does(name: str, client: str, tmp_path: Path) -> None:
    made, trusted = CHAINS[name]
    (tmp_path / "bundle").write_text(trusted.pem)
    with serving(Pod(made), tmp_path) as port:
        try:
            says = judges.CLIENTS[client](judges.Server("127.0.0.1", port, "web", tmp_path / "bundle"))
        except judges.Absent as absent:
            pytest.skip(str(absent))
    assert (client in accepting(made, trusted.pem, tmp_path)) == (says == ""), says


# ----- the agent and its protocol


def test_the_very_command_line_speaks_tls(tmp_path: Path) -> None:
    with serving(Pod(GOOD), tmp_path) as port:
        task = {"id": "x", "type": "https", "address": "127.0.0.1", "port": port, "server_name": "web", "host": "web"}
        options = probe.Options("image", defaults=defaults(question(tls=TRUST)))
        argv = probe.command(probe.sources([task]), probe.plan([task], options), sys.executable)
        done = subprocess.run(argv, capture_output=True, text=True, check=True, timeout=60)
    outcome = probe.parse(done.stdout, [task])
    assert (outcome.cause, done.stderr) == ("", "")
    (served,) = outcome.observations["x"]["value"]["served"]
    assert served["code"] == agent_tls.VERIFIED
    assert served["chain"][0] == GOOD.certificate.public_bytes(serialization.Encoding.DER)


def test_tls_travels_only_where_it_is_spoken() -> None:
    assert set(probe.sources([{"type": "http"}])) == {"agent"}
    assert set(probe.sources([{"type": "http"}, {"type": "https"}])) == {"agent", "agent_tls"}


def endless(connection: socket.socket) -> None:
    with connection, contextlib.suppress(OSError):
        connection.recv(65536)
        while True:
            connection.sendall(b"\x16\x03\x03\x40\x00" + b"\x0b\x00\xff\xff" + bytes(0x4000 - 4))


HOSTILE: dict[str, tuple[t.Callable[[socket.socket], None], set[str]]] = {
    "endless handshake": (endless, {"handshake", "limit", "reset"}),
    "silence": (lambda _connection: threading.Event().wait(5) and None, {"timeout"}),
    "nonsense": (lambda connection: connection.sendall(b"220 mail ESMTP\r\n"), {"protocol", "reset"}),
    "half a record": (lambda connection: connection.sendall(b"\x16\x03\x03"), {"reset"}),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_servers_end_an_exchange_and_nothing_else(name: str) -> None:
    script, kinds = HOSTILE[name]

    def once(listener: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _peer = listener.accept()
                with connection:
                    script(connection)
                    if name != "silence":
                        connection.shutdown(socket.SHUT_WR)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=once, args=(listener,), daemon=True).start()
        port = listener.getsockname()[1]
        task = {"id": "x", "type": "https", "address": "127.0.0.1", "port": port, "server_name": "web"}
        (found,) = agent.run({"version": 1, "budget": 20.0, "tasks": [{**task, "timeout": 1.0}]})["observations"]
    assert found["class"] in kinds, found
    assert json.dumps(found)


def test_a_damaged_report_of_certificates_is_no_observation() -> None:
    task = {"id": "x", "type": "https"}
    value = {
        "status": 200, "count": 1, "statuses": {"200": 1}, "contains": {}, "identities": {}, "classes": {"ok": 1},
        "clock": 1,
        "served": [{"chain": ["00"], "protocol": "TLSv1.3", "below": "", "code": 0, "text": ""}],
    }  # fmt: skip
    raw = {"id": "x", "type": "https", "class": "ok", "value": value}
    good = probe.check(raw, {"x": task}, {"00": b"DER"})
    assert good is not None
    assert good["value"]["served"][0]["chain"] == [b"DER"]
    assert probe.check(raw, {"x": task}, {"11": b"DER"}) is None
    for wrong in ({"served": [{"chain": "00"}]}, {"served": "x"}, {"clock": "now"}, {"served": [{}] * 99}):
        assert probe.check({**raw, "value": {**value, **wrong}}, {"x": task}) is None
