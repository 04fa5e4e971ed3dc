# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a passphrase may come from, what is refused, and that no error quotes it."""

from __future__ import annotations

import sys
import typing as t
from pathlib import Path

import pytest

from ansible_collections.plumbline.kubernetes.plugins.module_utils.kube.errors import OptionError
from ansible_collections.plumbline.kubernetes.plugins.module_utils.tls import passphrase

GOOD = b"correct horse battery"
VARIABLE = "PLUMBLINE_TEST_PASSPHRASE"


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (GOOD, GOOD),
        (GOOD + b"\n", GOOD),
        (GOOD + b"\r\n", GOOD),
        (b" " + GOOD + b" \n", b" " + GOOD + b" "),
        ("ä".encode() * 20, "ä".encode() * 20),
        (b"x" * 1023, b"x" * 1023),
    ],
)
def test_a_passphrase_is_the_same_from_everywhere(
    content: bytes, expected: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "passphrase"
    file.write_bytes(content)
    monkeypatch.setenv(VARIABLE, content.decode())
    assert passphrase.read({"passphrase_file": str(file)}) == expected
    assert passphrase.read({"passphrase_env": VARIABLE}) == expected
    assert passphrase.read({"passphrase_command": ["cat", str(file)]}) == expected


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "a passphrase of 0 characters, expected at least 20"),
        (b"\n", "a passphrase of 0 characters"),
        (b"nineteen characters", "a passphrase of 19 characters"),
        ("ä".encode() * 19, "a passphrase of 19 characters"),
        (GOOD + b"\n\n", "line breaks"),
        (GOOD + b"\nsecond line", "line breaks"),
        (GOOD + b"\x00", "control characters"),
        (GOOD + b"\xff", "not UTF-8"),
        (b"x" * 1024, "more than 1023 bytes"),
    ],
)
def test_what_is_no_passphrase_is_refused_without_quoting_it(content: bytes, says: str, tmp_path: Path) -> None:
    file = tmp_path / "passphrase"
    file.write_bytes(content)
    for option, value in (("passphrase_file", str(file)), ("passphrase_command", ["cat", str(file)])):
        with pytest.raises(OptionError, match=says) as caught:
            passphrase.read({option: value})
        assert str(caught.value).startswith(f"{option}: ")
        assert "horse" not in str(caught.value)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"passphrase_file": "{folder}/absent"}, "absent cannot be read: No such file"),
        ({"passphrase_file": "{folder}"}, "cannot be read: Is a directory"),
        ({"passphrase_env": VARIABLE}, f"no variable {VARIABLE}"),
        ({"passphrase_command": ["{folder}/absent"]}, "absent cannot be run: No such file"),
        ({"passphrase_command": ["echo", "a\0b"]}, "cannot be run: a NUL"),
        (
            {"passphrase_command": [sys.executable, "-c", "import sys; sys.exit('hidden words')"]},
            "ended with status 1, expected 0",
        ),
        (
            {"passphrase_env": VARIABLE, "passphrase_command": ["true"]},
            "given beside passphrase_env, expected one of them",
        ),
    ],
)
def test_a_source_that_fails_is_named_in_one_line(options: dict[str, t.Any], says: str, tmp_path: Path) -> None:
    def filled(value: t.Any) -> t.Any:
        return [filled(item) for item in value] if isinstance(value, list) else value.replace("{folder}", str(tmp_path))

    with pytest.raises(OptionError, match=says) as caught:
        passphrase.read({option: filled(value) for option, value in options.items()})
    assert "hidden" not in str(caught.value)


def test_a_command_is_no_shell_text() -> None:
    assert passphrase.read({"passphrase_command": ["printf", "%s", "$(true); `true` | cat > /"]}) == (
        b"$(true); `true` | cat > /"
    )


def test_a_command_that_asks_ends_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(OptionError, match="a passphrase of 0 characters"):
        passphrase.read({"passphrase_command": ["cat"]})
    monkeypatch.setattr(passphrase, "COMMAND_TIMEOUT", 0.01)
    with pytest.raises(OptionError, match=r"sleep did not end within 0\.01 s"):
        passphrase.read({"passphrase_command": ["sleep", "60"]})


@pytest.mark.parametrize("options", [{}, dict.fromkeys(passphrase.PASSPHRASE_OPTIONS)])
def test_without_a_source_there_is_none(options: dict[str, t.Any]) -> None:
    assert passphrase.read(options) is None
    with pytest.raises(OptionError, match=r"^passphrase_file: nothing given"):
        passphrase.require(options)
