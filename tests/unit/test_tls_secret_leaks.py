# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The scanner for keys finds a planted one in every form, and does not take a certificate for one."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
import typing as t
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from ansible_collections.plumbline.kubernetes.plugins.module_utils.pki import certificates, keys
from ansible_collections.plumbline.kubernetes.tests import leaks
from ansible_collections.plumbline.kubernetes.tests.unit.pki_material import issued

KEY_TYPES = ("P-256", "P-384", "Ed25519", "RSA-2048")
KEYS = {key_type: keys.generate(key_type) for key_type in KEY_TYPES}
NOISE = base64.b64encode(bytes(range(256)) * 40)


def der(key: t.Any) -> bytes:
    encoded: bytes = key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    return encoded


def window(key: t.Any) -> bytes:
    """The last 32 bytes of a private number."""
    return leaks.private_numbers(key)[0][-32:]


FORMS: dict[str, t.Callable[[t.Any], bytes]] = {
    "pem": keys.pem,
    "pem in one line": lambda key: b"".join(keys.pem(key).split()),
    "pem in json": lambda key: json.dumps({"key": keys.pem(key).decode()}).encode(),
    "pem in json in json": lambda key: json.dumps(json.dumps(keys.pem(key).decode())).encode(),
    "pem in repr": lambda key: repr(keys.pem(key).splitlines()).encode(),
    "pem in base64, as in a Secret": lambda key: base64.b64encode(keys.pem(key)),
    "pem in wrapped base64": lambda key: base64.encodebytes(keys.pem(key)),
    "der": der,
    "der in base64": lambda key: base64.b64encode(der(key)),
    "der in hex": lambda key: der(key).hex().encode(),
    "der in hex with colons": lambda key: der(key).hex(":").upper().encode(),
    "window": window,
    "window in hex": lambda key: window(key).hex().encode(),
    "window in base64": lambda key: base64.b64encode(window(key)),
    "window in shifted base64": lambda key: base64.b64encode(b"x" + window(key) + b"yy"),
}


@pytest.mark.parametrize("key_type", KEY_TYPES)
@pytest.mark.parametrize("form", FORMS)
def test_a_planted_key_is_found(key_type: str, form: str) -> None:
    scanner = leaks.Scanner([KEYS[key_type]])
    planted = FORMS[form](KEYS[key_type])
    assert scanner.finds(NOISE + planted + NOISE)
    other = keys.generate(key_type if key_type != "RSA-2048" else "P-256")
    assert not scanner.finds(NOISE + FORMS[form](other) + NOISE)


@pytest.mark.parametrize("key_type", KEY_TYPES)
def test_what_is_public_is_no_find(key_type: str) -> None:
    certificate = issued(None, key=KEYS[key_type])
    public = json.dumps({"facts": certificates.facts(certificate), "bundle": certificates.pem_of([certificate])})
    encoded = certificate.public_bytes(Encoding.DER)
    scanner = leaks.Scanner(KEYS.values())
    assert not scanner.finds(public.encode() + encoded + encoded.hex().encode() + base64.b64encode(public.encode()))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """With a key, and with two passphrases to look for, of which the command gets one in its environment."""
    (tmp_path / "keys").mkdir()
    (tmp_path / "scan").mkdir()
    (tmp_path / "keys/k").write_bytes(keys.pem(KEYS["P-256"]))
    (tmp_path / "text").write_text(f"{PHRASE}\n")
    (tmp_path / "given").write_text(f"by the environment of {os.getpid()}\n")
    return tmp_path


# Of its own in each process that runs tests: all of them look at all processes.
PHRASE = f"pass phrase of {os.getpid()}"
SHOW = "import base64, os, subprocess, sys; print(1, flush=True); given = os.environ['GIVEN']; "
LATER = "import time; time.sleep(0.5)"


@pytest.mark.parametrize(
    ("code", "status", "says"),
    [
        ("print('nothing')", 0, "1 keys, 8 bytes"),
        ("print(open('keys/k').read())", 1, "a key is in the output"),
        ("open('scan/x', 'wb').write(__import__('base64').b64encode(open('keys/k', 'rb').read()))", 2, "nowhere"),
        ("print(1); open('scan/x', 'w').write(open('keys/k').read())", 1, "a key is in x"),
        ("print('the PHRASE')", 1, "a key is in the output"),
        ("raise SystemExit('broken')", 2, "broken"),
        (SHOW + LATER, 0, "1 keys"),
        (SHOW + "print(base64.b64encode(b'x' + given.encode()))", 1, "a key is in the output"),
        (SHOW + "open('scan/x', 'w').write(given.encode().hex())", 1, "a key is in x"),
        (SHOW + f"subprocess.run([sys.executable, '-c', '{LATER}', given])", 1, "a key is in the process list"),
        (
            SHOW + f"subprocess.run([sys.executable, '-c', '{LATER}'], env={{'X': 'PHRASE'}})",
            1,
            "a key is in the environment of a process",
        ),
    ],
)
def test_a_command_is_observed(folder: Path, code: str, status: int, says: str) -> None:
    # Neither the code nor its arguments tell what is looked for.
    ran = _scan(
        folder, sys.executable, "-c", "import sys; exec(sys.stdin.read())", stdin=code.replace("PHRASE", PHRASE)
    )
    assert (ran.returncode, says in ran.stdout + ran.stderr) == (status, True), ran.stdout + ran.stderr


def test_arguments_of_processes_are_observed(folder: Path) -> None:
    code = "import sys, time; print(1, flush=True); time.sleep(1)"
    ran = _scan(folder, sys.executable, "-c", code, keys.pem(KEYS["P-256"]).decode())
    assert (ran.returncode, "the process list" in ran.stdout) == (1, True), ran.stdout + ran.stderr


def _scan(folder: Path, *command: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    options = ["--keys", "keys", "--text", "text", "--environment", "GIVEN=given", "--scan", "scan"]
    return subprocess.run(
        [sys.executable, leaks.__file__, *options, "--", *command],
        input=stdin,
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
