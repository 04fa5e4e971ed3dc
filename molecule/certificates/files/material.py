# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Write pairs into a folder, good ones and each kind of bad one: material.py FOLDER."""

from __future__ import annotations

import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

NOW = datetime.now(UTC).replace(microsecond=0)
DAY = timedelta(days=1)
PASSPHRASES = {"passphrase": b"a passphrase of some length", "passphrase_env": b"one that the environment has"}
Key = ec.EllipticCurvePrivateKey


def certificate(
    subject: str,
    key: Key,
    signer: tuple[x509.Certificate, Key] | None = None,
    *,
    ca: bool = False,
    names: tuple[str, ...] = ("shop.example.com",),
    start: datetime = NOW - DAY,
    end: datetime = NOW + 90 * DAY,
) -> x509.Certificate:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)])
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(signer[0].subject if signer else name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(end)
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
    )
    if not ca:
        builder = builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
    if names and not ca:
        general = [x509.DNSName(text) for text in names]
        builder = builder.add_extension(x509.SubjectAlternativeName(general), critical=False)
    return builder.sign(signer[1] if signer else key, hashes.SHA256())


def pem(*certificates: x509.Certificate) -> bytes:
    return b"".join(item.public_bytes(Encoding.PEM) for item in certificates)


def private(key: Key, form: PrivateFormat, encryption: KeySerializationEncryption | None = None) -> bytes:
    return key.private_bytes(Encoding.PEM, form, encryption or NoEncryption())


def main(folder: Path) -> None:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    root_key, middle_key, key = (ec.generate_private_key(ec.SECP256R1()) for _number in range(3))
    root = certificate("root", root_key, ca=True, end=NOW + 900 * DAY)
    middle = certificate("middle", middle_key, (root, root_key), ca=True, end=NOW + 100 * DAY)
    above = (middle, middle_key)
    leaf = certificate("shop", key, above)
    early = certificate("shop", key, above, start=NOW + DAY)
    late = certificate("shop", key, above, end=NOW - timedelta(seconds=1))
    outliving = certificate("shop", key, above, end=NOW + 101 * DAY)
    files = {
        "root.crt": pem(root),
        "good.crt": pem(leaf, middle),
        # the same, as other tools write it
        "same.crt": b"# the shop\n" + pem(leaf, middle, root).replace(b"\n", b"\r\n").rstrip(),
        "newer.crt": pem(certificate("shop", key, above), middle),
        "ca_first.crt": pem(middle, leaf),
        "glued.crt": pem(leaf).rstrip() + pem(middle),
        "expired.crt": pem(late, middle),
        "not_yet_valid.crt": pem(early, middle),
        "outlives.crt": pem(outliving, middle),
        "no_san.crt": pem(certificate("shop.example.com", key, above, names=()), middle),
        "wrong_names.crt": pem(certificate("shop", key, above, names=("other.example.com",)), middle),
        "incomplete.crt": pem(leaf),
        "empty.crt": b"",
        "good.key": private(key, PrivateFormat.PKCS8),
        "same.key": private(key, PrivateFormat.TraditionalOpenSSL),
        "encrypted.key": private(key, PrivateFormat.PKCS8, BestAvailableEncryption(PASSPHRASES["passphrase"])),
        "encrypted_env.key": private(key, PrivateFormat.PKCS8, BestAvailableEncryption(PASSPHRASES["passphrase_env"])),
        **{name: text + b"\n" for name, text in PASSPHRASES.items()},
        "other.key": private(root_key, PrivateFormat.PKCS8),
    }
    for name, content in files.items():
        path = folder / name
        path.touch(mode=0o600)
        path.write_bytes(content)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
