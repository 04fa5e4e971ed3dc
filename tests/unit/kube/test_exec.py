# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The verdict on a command in a container."""

from __future__ import annotations

import json

import pytest

from ansible_collections.plumbline.kubernetes.plugins.module_utils.kube.exec import judge


def failure(message, *causes):
    return json.dumps({"status": "Failure", "message": message, "details": {"causes": list(causes)}}).encode()


@pytest.mark.parametrize(
    ("status", "broken", "verdict", "exit_code", "words"),
    [
        (b'{"status":"Success"}', "", "ok", 0, ""),
        (failure("exit code 3", {"reason": "ExitCode", "message": "3"}), "", "failed", 3, "exit code 3"),
        # Nothing reported: never a success, whatever the output was.
        (b"", "", "unknown", None, "without an exit status"),
        (b"", "the time was over before the command ended", "unknown", None, "time was over"),
        (b"garbage", "", "unknown", None, "not JSON"),
        # The command could not be started: no exit code of its own.
        (failure("executable file not found"), "", "unknown", None, "executable file not found"),
        (failure("odd", {"reason": "ExitCode", "message": "many"}), "", "unknown", None, "odd"),
    ],
)
def test_verdict(status, broken, verdict, exit_code, words):
    result = judge(status, broken)
    assert result[:2] == (verdict, exit_code)
    assert words in result[2]
