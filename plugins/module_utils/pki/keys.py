# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Private to this collection: may change in any release.
"""Private keys: making, loading, writing, naming their type. Pure; the bytes of a key never enter a text.

Keys are written as PKCS#8 (RFC 5958), which every TLS server reads; PKCS#1 and SEC 1 are read too.
"""

from __future__ import annotations

import typing as t

try:
    from cryptography import x509
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
except ImportError:  # module.run() reports the missing library
    pass

from .errors import PkiError

KEY_TYPES = ("P-256", "P-384", "Ed25519", "RSA-2048", "RSA-3072", "RSA-4096")

PrivateKey: t.TypeAlias = "ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | rsa.RSAPrivateKey"


def generate(key_type: str) -> PrivateKey:
    """A new key of one of :data:`KEY_TYPES`."""
    if key_type == "P-256":
        return ec.generate_private_key(ec.SECP256R1())
    if key_type == "P-384":
        return ec.generate_private_key(ec.SECP384R1())
    if key_type == "Ed25519":
        return ed25519.Ed25519PrivateKey.generate()
    if key_type in KEY_TYPES:
        return rsa.generate_private_key(public_exponent=65537, key_size=int(key_type.removeprefix("RSA-")))
    raise PkiError(f"key_type: {key_type!r} given, expected one of {', '.join(KEY_TYPES)}")


def load(pem: bytes, passphrase: bytes | None = None, *, what: str = "the private key") -> PrivateKey:
    """The key in the first PEM block that holds one; `what` names it in errors.

    Raises:
        PkiError: there is no key, it is encrypted and no passphrase was given, or the passphrase is wrong, or its
            type is none that a TLS server should use.
    """
    if not pem.strip():
        raise PkiError(f"{what}: empty, expected a private key in PEM form")
    if b"PRIVATE KEY-----" not in pem:
        raise PkiError(f"{what}: no PEM block of a private key in it, expected '-----BEGIN PRIVATE KEY-----'")
    try:
        key = serialization.load_pem_private_key(pem, passphrase)
    except TypeError:
        # The library's way to say: encrypted and no passphrase, or a passphrase and not encrypted.
        if passphrase is not None:
            return load(pem, None, what=what)
        raise PkiError(f"{what}: encrypted, and no passphrase was given") from None
    except (ValueError, UnsupportedAlgorithm):
        cause = "wrong passphrase, or damaged" if passphrase is not None else "damaged, or of an unknown form"
        raise PkiError(f"{what}: cannot be read ({cause}), expected PKCS#8, PKCS#1 or SEC 1 in PEM form") from None
    if not isinstance(key, (ec.EllipticCurvePrivateKey, ed25519.Ed25519PrivateKey, rsa.RSAPrivateKey)):
        raise PkiError(f"{what}: of a type that TLS servers do not use, expected ECDSA, Ed25519 or RSA")
    return key


def pem(key: PrivateKey) -> bytes:
    """The key as unencrypted PKCS#8."""
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def encrypted_pem(key: PrivateKey, passphrase: bytes) -> bytes:
    """The key as PKCS#8, encrypted with the best that the library has (PBES2, AES-256)."""
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(passphrase),
    )


def type_of(key: t.Any) -> str:
    """Type of a private or public key, as in :data:`KEY_TYPES` where it is one of them."""
    if isinstance(key, (ec.EllipticCurvePrivateKey, ec.EllipticCurvePublicKey)):
        return {"secp256r1": "P-256", "secp384r1": "P-384"}.get(key.curve.name, key.curve.name)
    if isinstance(key, (ed25519.Ed25519PrivateKey, ed25519.Ed25519PublicKey)):
        return "Ed25519"
    if isinstance(key, (rsa.RSAPrivateKey, rsa.RSAPublicKey)):
        return f"RSA-{key.key_size}"
    return type(key).__name__.strip("_")


def same_key(certificate: x509.Certificate, key: PrivateKey) -> bool:
    """Whether `key` is the private key of `certificate`."""
    return spki(certificate.public_key()) == spki(key.public_key())


def spki(public_key: t.Any) -> bytes:
    """SubjectPublicKeyInfo: the one form in which public keys can be compared."""
    encoded: bytes = public_key.public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return encoded
