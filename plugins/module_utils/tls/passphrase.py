# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Private to this collection: may change in any release.
"""Read the passphrase of a CA's key from a file, an environment variable or a command: never from an option value.

An option's value shows in the output of a misspelt task, in loop labels and in temporary files, `no_log` or not.
"""

from __future__ import annotations

import os
import subprocess
import typing as t
from pathlib import Path

from ..kube.errors import OptionError

SHORTEST = 20
# OpenSSL takes no longer one.
LONGEST_BYTES = 1023
COMMAND_TIMEOUT = 60.0
# no_log=False: the values say where the passphrase is, not what it is.
PASSPHRASE_OPTIONS: dict[str, t.Any] = {
    "passphrase_file": {"type": "path", "no_log": False},
    "passphrase_env": {"type": "str", "no_log": False},
    "passphrase_command": {"type": "list", "elements": "str", "no_log": False},
}


def read(params: t.Mapping[str, t.Any]) -> bytes | None:
    """The passphrase, or None where no option says where it is.

    Raises:
        OptionError: it cannot be read, or is too short.
    """
    given = [option for option in PASSPHRASE_OPTIONS if params.get(option)]
    if not given:
        return None
    if len(given) > 1:
        raise OptionError(f"{given[1]}: given beside {given[0]}, expected one of them", option=given[1])
    option = given[0]
    return _checked(option, _READERS[option](params[option]))


def require(params: t.Mapping[str, t.Any]) -> bytes:
    """As :func:`read`, where there must be one."""
    passphrase = read(params)
    if passphrase is None:
        raise OptionError(
            "passphrase_file: nothing given, expected it, passphrase_env or passphrase_command: the CA's key is "
            "encrypted",
            option="passphrase_file",
        )
    return passphrase


def _from_file(path: str) -> bytes:
    try:
        with Path(path).expanduser().open("rb") as file:
            return file.read(LONGEST_BYTES + 3)
    except OSError as error:
        raise OptionError(
            f"passphrase_file: {path} cannot be read: {error.strerror}", option="passphrase_file"
        ) from None


def _from_environment(name: str) -> bytes:
    value = os.environ.get(name)
    if value is None:
        raise OptionError(f"passphrase_env: no variable {name} in the environment of the task", option="passphrase_env")
    return os.fsencode(value)


def _from_command(argv: list[str]) -> bytes:
    # Only the program is named in errors: an argument may be a token, the output may be the passphrase.
    what = f"passphrase_command: {argv[0]}"
    try:
        ended = subprocess.run(  # a list, never a shell
            argv, stdin=subprocess.DEVNULL, capture_output=True, timeout=COMMAND_TIMEOUT, check=False
        )
    except OSError as error:
        raise OptionError(f"{what} cannot be run: {error.strerror}", option="passphrase_command") from None
    except ValueError:
        raise OptionError(f"{what} cannot be run: a NUL in an argument", option="passphrase_command") from None
    except subprocess.TimeoutExpired:
        raise OptionError(
            f"{what} did not end within {COMMAND_TIMEOUT:g} s; it has no terminal to ask at",
            option="passphrase_command",
        ) from None
    if ended.returncode:
        raise OptionError(f"{what} ended with status {ended.returncode}, expected 0", option="passphrase_command")
    return ended.stdout


_READERS: dict[str, t.Callable[[t.Any], bytes]] = {
    "passphrase_file": _from_file,
    "passphrase_env": _from_environment,
    "passphrase_command": _from_command,
}


def _checked(option: str, found: bytes) -> bytes:
    """Without the newline that editors and programs put at the end."""
    found = found.removesuffix(b"\n").removesuffix(b"\r")
    try:
        text = found.decode("utf-8")
    except UnicodeDecodeError:
        raise OptionError(f"{option}: the passphrase is not UTF-8 text", option=option) from None
    if not text.isprintable():
        raise OptionError(
            f"{option}: the passphrase has line breaks or control characters, expected one line", option=option
        )
    if len(text) < SHORTEST:
        raise OptionError(
            f"{option}: a passphrase of {len(text)} characters, expected at least {SHORTEST}", option=option
        )
    if len(found) > LONGEST_BYTES:
        raise OptionError(f"{option}: more than {LONGEST_BYTES} bytes, expected a passphrase", option=option)
    return found
