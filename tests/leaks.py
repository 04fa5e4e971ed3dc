# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run a command and look for private keys in everything that it leaves or shows.

    python tests/leaks.py --keys FOLDER [--text FILE] [--environment NAME=FILE] [--collect COMMAND] --scan FOLDER
        -- COMMAND [ARGUMENT...]

Looks into the output of the command, into the arguments and environments of the processes that ran meanwhile, and into
all files below --scan. The keys are those in the PEM files below --keys, where --collect may put them: it runs when the
command has ended, and nobody looks. What is in --text, a passphrase, is looked for too. So is what --environment gives
the command in a variable, but not where its owner alone can read it: in the environments of processes. Ends with 1 and
names the place of each find.

A key is looked for by its private numbers alone, since its public half is in the certificate: any 32 bytes in a row of
them, as they are, in hexadecimal, in base64 (thus also in PEM), and PEM in base64 once more (thus in a Secret), with
any line breaks, colons and escapes between.
"""

from __future__ import annotations

import argparse
import base64
import os
import re
import shlex
import subprocess
import sys
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

WINDOW = 32
# What may stand between two characters of a key's text: white space, colons, escapes, quotes of lists.
_BETWEEN = re.compile(rb"""(?:\\+[nrt]|[\s:"',\\]|(?<=[\s\[(])b(?=["']))+""")


def private_numbers(key: Any) -> list[bytes]:
    """What only the owner of `key` knows."""
    if isinstance(key, rsa.RSAPrivateKey):
        numbers = key.private_numbers()
        parts = (numbers.d, numbers.p, numbers.q, numbers.dmp1, numbers.dmq1, numbers.iqmp)
        return [part.to_bytes((part.bit_length() + 7) // 8, "big") for part in parts]
    if isinstance(key, ec.EllipticCurvePrivateKey):
        return [key.private_numbers().private_value.to_bytes((key.curve.key_size + 7) // 8, "big")]
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return [key.private_bytes(Encoding.Raw, PrivateFormat.Raw, NoEncryption())]
    raise SystemExit(f"leaks: keys of type {type(key).__name__} are not known here")


def windows(number: bytes) -> Iterator[bytes]:
    """Each run of 32 bytes of a number."""
    for start in range(max(1, len(number) - WINDOW + 1)):
        yield number[start : start + WINDOW]


def in_base64(data: bytes) -> Iterator[bytes]:
    """The characters that stand for `data` wherever it begins in a longer text, without those shared with others."""
    for before in range(3):
        text = base64.b64encode(b"\0" * before + data)
        first = (before * 8 + 5) // 6
        yield text[first : (before + len(data)) * 8 // 6]


def needles(key: Any) -> set[bytes]:
    """Texts of which none may be anywhere."""
    found: set[bytes] = set()
    for number in private_numbers(key):
        for window in windows(number):
            found |= {window, window.hex().encode(), window.hex().upper().encode()}
            for text in in_base64(window):
                found.add(text)
    for form in (PrivateFormat.PKCS8, PrivateFormat.TraditionalOpenSSL):
        if form is PrivateFormat.TraditionalOpenSSL and isinstance(key, ed25519.Ed25519PrivateKey):
            continue
        found |= _twice_in_base64(key.private_bytes(Encoding.PEM, form, NoEncryption()), found)
    return found


def _twice_in_base64(pem: bytes, once: set[bytes]) -> set[bytes]:
    """The parts of a PEM text that hold private numbers, in base64: each 32 characters of them, line breaks and all."""
    joined, places = bytearray(), []
    for place, character in enumerate(pem):
        if character != 10:
            joined.append(character)
            places.append(place)
    found = set()
    for text in once:
        start = joined.find(text)
        if start >= 0:
            part = pem[places[start] : places[start + len(text) - 1] + 1]
            for offset in range(max(1, len(part) - WINDOW + 1)):
                found |= set(in_base64(part[offset : offset + WINDOW]))
    return found


def spellings(text: bytes) -> set[bytes]:
    """A passphrase as it is, in hexadecimal, and in base64."""
    return {text, text.hex().encode(), text.hex().upper().encode(), *in_base64(text)}


class Scanner:
    """Looks for many texts at once: each is found by its first eight bytes, and then compared."""

    HEAD = 8

    def __init__(self, keys: Iterable[Any], texts: Iterable[bytes] = ()) -> None:
        self.heads: dict[bytes, set[bytes]] = {}
        for text in set().union(*map(spellings, texts), *map(needles, keys)):
            self.heads.setdefault(text[: self.HEAD], set()).add(text)

    def finds(self, data: bytes) -> bool:
        """Whether a key is in `data`."""
        return any(self._finds(form) for form in (data, _BETWEEN.sub(b"", data)))

    def _finds(self, data: bytes) -> bool:
        for place in range(len(data) - self.HEAD + 1):
            for text in self.heads.get(data[place : place + self.HEAD], ()):
                if data.startswith(text, place):
                    return True
        return False


def load_keys(folder: Path) -> list[Any]:
    """The keys below a folder; encrypted ones and other files are passed over."""
    keys = []
    for path in sorted(folder.rglob("*")):
        content = path.read_bytes() if path.is_file() else b""
        if b"PRIVATE KEY-----" in content and b"ENCRYPTED" not in content:
            keys.append(load_pem_private_key(content, None))
    return keys


class Processes(threading.Thread):
    """Collects arguments and environments of all processes until it is stopped.

    Attributes:
        public: what every user can read.
        private: what the owner of the process alone can read.
    """

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.public: set[bytes] = set()
        self.private: set[bytes] = set()
        self.ending = threading.Event()

    def run(self) -> None:
        ended = False
        while not ended:
            ended = self.ending.wait(0.01)  # the last look comes after the end, so that there is one
            for process in Path("/proc").glob("[0-9]*"):
                self._read(process / "cmdline")
                self._read(process / "environ")

    def _read(self, path: Path) -> None:
        try:
            everybody = path.stat().st_mode & 0o044
            (self.public if everybody else self.private).add(path.read_bytes())
        except OSError:
            return  # it has ended, or is another user's


def observed(command: list[str], given: dict[str, bytes]) -> tuple[int, bytes, Processes]:
    """Exit status and output of a command with further variables, and what processes showed meanwhile."""
    processes = Processes()
    processes.start()
    environment = {**os.environb, **{os.fsencode(name): value for name, value in given.items()}}
    ran = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False, env=environment)
    processes.ending.set()
    processes.join()
    return ran.returncode, ran.stdout, processes


def _text(path: Path) -> bytes:
    return path.read_bytes().strip()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--keys", type=Path, required=True)
    parser.add_argument("--text", type=Path, action="append", default=[])
    parser.add_argument("--environment", action="append", default=[], metavar="NAME=FILE")
    parser.add_argument("--collect", default="")
    parser.add_argument("--scan", type=Path, required=True)
    parser.add_argument("command", nargs="+")
    options = parser.parse_args()
    given = {name: _text(Path(path)) for name, _is, path in (item.partition("=") for item in options.environment)}
    status, output, processes = observed(options.command, given)
    if status:
        sys.stderr.write(output.decode("utf-8", "replace")[-5000:])
        return 2
    if options.collect:
        subprocess.run(shlex.split(options.collect), check=True)
    keys = load_keys(options.keys)
    if not keys or not output or not processes.public or not processes.private:
        sys.stderr.write("leaks: nothing to look for, or nowhere to look\n")
        return 2
    texts = [_text(path) for path in options.text]
    scanner, of_owners = Scanner(keys, [*texts, *given.values()]), Scanner(keys, texts)
    files = [path for path in options.scan.rglob("*") if path.is_file()]
    found = ["the output"] if scanner.finds(output) else []
    found += ["the process list"] if any(map(scanner.finds, processes.public)) else []
    found += ["the environment of a process"] if any(map(of_owners.finds, processes.private)) else []
    found += [str(path.relative_to(options.scan)) for path in files if scanner.finds(path.read_bytes())]
    for place in found:
        print(f"leaks: a key is in {place}")
    seen = len(processes.public) + len(processes.private)
    print(f"leaks: {len(keys)} keys, {len(output)} bytes of output, {seen} process texts, {len(files)} files")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
