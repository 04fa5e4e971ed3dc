# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What linters and common clients say of our certificates, by issuer and type of key.

Here are those that need a program, a package or a server; test_pki_certificates.py asks OpenSSL and Python.
"""

from __future__ import annotations

import contextlib
import io
import json
import socket
import ssl
import threading
import typing as t
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pkilint.bin import lint_pkix_cert, lint_pkix_signer_signee_cert_chain

from ansible_collections.plumbline.kubernetes.plugins.module_utils.pki import certificates, issue, keys
from ansible_collections.plumbline.kubernetes.plugins.module_utils.pki.authority import Profile, make
from ansible_collections.plumbline.kubernetes.tests.judges import judges

NOW = datetime.now(UTC).replace(microsecond=0)
DAY = timedelta(days=1)
NAMES = ("web", "web.demo", "web.demo.svc", "web.demo.svc.cluster.local")
NARROW = {"permitted_names": ("web", "demo", "svc", "cluster.local"), "permitted_addresses": ("127.0.0.0/8",)}
# Fits no common name.
LONG = ("a" * 60 + ".example.com",)


@dataclass(frozen=True)
class Case:
    """Who issues, by what type of key, for what type of key."""

    issuer: str
    authority: str = ""
    leaf: str = "P-256"
    names: tuple[str, ...] = NAMES

    @property
    def id(self) -> str:
        return "-".join(filter(None, (self.issuer, self.authority, self.leaf, "long" if self.names == LONG else "")))

    def make(self) -> tuple[certificates.Chain, keys.PrivateKey, certificates.Chain]:
        """What is sent, its key, and all up to what is trusted."""
        key = keys.generate(self.leaf)
        request = issue.LeafRequest(self.names, ("127.0.0.1",), 90 * DAY)
        if self.issuer == "self":
            chain = (issue.leaf(request, None, key, NOW),)
            return chain, key, chain
        narrow: dict[str, t.Any] = NARROW if self.issuer == "narrow" else {}
        profile = Profile("demo", self.authority, 3650 * DAY, self.issuer == "intermediate", **narrow)
        above, signer = make(profile, 1, NOW)
        leaf = issue.leaf(request, issue.Issuer(above[0], signer, above[:-1]), key, NOW)
        return (leaf, *above[:-1]), key, (leaf, *above)


CASES = [
    Case("self"),
    Case("self", leaf="Ed25519"),
    Case("self", leaf="RSA-2048"),
    Case("self", names=LONG),
    Case("root", "P-256"),
    Case("root", "P-256", names=LONG),
    Case("root", "Ed25519", "Ed25519"),
    Case("intermediate", "P-384", "P-384"),
    Case("intermediate", "RSA-2048"),
    Case("narrow", "P-256"),
]
each_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)


# -- certificates by themselves


# pkilint leaves it to the interpreter to close the files that it reads.
lints = pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")


def lint(main: t.Callable[[list[str]], int], *files: Path) -> set[str]:
    """Codes of what pkilint finds."""
    with contextlib.redirect_stdout(io.StringIO()) as said:
        main(["lint", "--severity", "NOTICE", "--format", "JSON", *map(str, files)])
    results = json.loads(said.getvalue())["results"]
    return {found["code"] for result in results for found in result["finding_descriptions"]}


@lints
@each_case
def test_pkilint_finds_nothing(case: Case, tmp_path: Path) -> None:
    _chain, _key, whole = case.make()
    files = [tmp_path / f"{place}.pem" for place in range(len(whole))]
    for file, certificate in zip(files, whole, strict=True):
        file.write_text(certificates.pem_of([certificate]))
    # A Service's short name is one label: RFC 1034, 3.5 lets a name be that, pkilint does not.
    short = {"pkix.invalid_domain_name_syntax"} if "web" in case.names else set()
    constrained = short if case.issuer == "narrow" else set()
    assert lint(lint_pkix_cert.main, files[0]) == short
    for file in files[1:]:
        assert lint(lint_pkix_cert.main, file) == constrained
    for above, below in zip(files[1:], files, strict=False):
        assert lint(lint_pkix_signer_signee_cert_chain.main, above, below) == set()


@lints
def test_pkilint_finds_what_is_wrong(tmp_path: Path) -> None:
    _chain, _key, (leaf, root) = Case("root", "P-256").make()
    _chain, _key, (_leaf, other) = Case("root", "P-256").make()
    for name, certificate in (("leaf", leaf), ("root", root), ("other", other)):
        (tmp_path / name).write_text(certificates.pem_of([certificate]))
    assert lint(lint_pkix_signer_signee_cert_chain.main, tmp_path / "other", tmp_path / "leaf") != set()
    assert lint(lint_pkix_signer_signee_cert_chain.main, tmp_path / "root", tmp_path / "leaf") == set()


def certtool(bundle: Path, chain: Path, name: str) -> str:
    return judges.run(
        *(judges.need("certtool", "gnutls-bin"), "--verify", "--verify-profile", "medium"),
        *("--verify-purpose", "1.3.6.1.5.5.7.3.1", "--verify-hostname", name),
        *("--load-ca-certificate", bundle, "--infile", chain),
    )


# As a trust anchor certtool takes no certificate but a CA's; clients with GnuTLS take a self-signed one, see below.
@pytest.mark.parametrize("case", [case for case in CASES if case.issuer != "self"], ids=lambda case: case.id)
def test_gnutls_verifies_the_chain(case: Case, tmp_path: Path) -> None:
    chain, _key, whole = case.make()
    (tmp_path / "chain").write_text(certificates.pem_of(chain))
    (tmp_path / "bundle").write_text(certificates.pem_of(whole[-1:]))
    try:
        assert certtool(tmp_path / "bundle", tmp_path / "chain", case.names[-1]) == ""
        assert "does not match" in certtool(tmp_path / "bundle", tmp_path / "chain", "other.example")
    except judges.Absent as absent:
        pytest.skip(str(absent))


# -- certificates as a server serves them


@contextlib.contextmanager
def serving(chain: certificates.Chain, key: keys.PrivateKey, folder: Path) -> t.Iterator[int]:
    """A server on this machine, by its port."""
    (folder / "tls.crt").write_text(certificates.pem_of(chain))
    (folder / "tls.key").write_bytes(keys.pem(key))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "tls.crt", folder / "tls.key")
    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=_serve, args=(listening, context))
        thread.start()
        try:
            yield listening.getsockname()[1]
        finally:
            listening.shutdown(socket.SHUT_RDWR)
            thread.join()


def _serve(listening: socket.socket, context: ssl.SSLContext) -> None:
    while True:
        try:
            plain, _client = listening.accept()
        except OSError:
            return  # shut down
        plain.settimeout(judges.SECONDS)
        # A client that refuses the certificate leaves in the middle of the handshake.
        with plain, contextlib.suppress(OSError), context.wrap_socket(plain, server_side=True) as secure:
            if secure.recv(4096):
                secure.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")


@each_case
@pytest.mark.parametrize("client", judges.CLIENTS)
def test_common_clients_accept_it(case: Case, client: str, tmp_path: Path) -> None:
    chain, key, whole = case.make()
    (tmp_path / "bundle").write_text(certificates.pem_of(whole[-1:]))
    with serving(chain, key, tmp_path) as port:
        try:
            for name, accepted in ((case.names[-1], True), ("other.example", False)):
                says = judges.CLIENTS[client](judges.Server("127.0.0.1", port, name, tmp_path / "bundle"))
                assert (says == "") is accepted, says
        except judges.Absent as absent:
            pytest.skip(str(absent))


@pytest.mark.parametrize(("required", "error"), [(False, judges.Absent), (True, SystemExit)])
def test_where_all_judges_are_required_none_is_passed_over(
    required: bool, error: type[BaseException], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(judges, "REQUIRED", required)
    with pytest.raises(error, match="no-such-program is not here: install it"):
        judges.need("no-such-program", "it")


def test_a_judge_says_who_refuses_a_server(tmp_path: Path) -> None:
    chain, key, _whole = Case("root", "P-256").make()
    _chain, _key, other = Case("root", "P-256").make()
    (tmp_path / "bundle").write_text(certificates.pem_of(other[-1:]))
    with serving(chain, key, tmp_path) as port:
        server = judges.Server("127.0.0.1", port, NAMES[0], tmp_path / "bundle")
        found = {line.partition(":")[0]: good for line, good in judges.judge(server) if "skipped" not in line}
    assert found.keys() >= {"openssl", "urllib3", "Python strict"}
    assert not any(found.values())
