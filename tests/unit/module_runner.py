# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run a module's `main()` in this process, from its arguments to the JSON that it prints."""

from __future__ import annotations

import contextlib
import io
import json
import types
import typing as t
from unittest import mock

from ansible.module_utils import _internal
from ansible.module_utils.common import warnings
from ansible.module_utils.testing import patch_module_args

from ansible_collections.plumbline.kubernetes.tests.unit.fake_api import FakeApi


def run_module(module: types.ModuleType, api: FakeApi, *, check: bool = False, **arguments: t.Any) -> dict[str, t.Any]:
    """The module's result, with `failed` as Ansible would have it."""
    given = {
        "host": api.url,
        "api_key": "not-a-real-token",
        "_ansible_check_mode": check,
        "_ansible_diff": True,
        **arguments,
    }
    output = io.StringIO()
    # Once a test has imported code of the controller, Ansible would print warnings instead of returning them.
    as_on_a_target = mock.patch.object(_internal, "is_controller", False)
    no_others = mock.patch.dict(warnings._global_warnings, clear=True)
    with (
        as_on_a_target,
        no_others,
        patch_module_args(given),
        contextlib.redirect_stdout(output),
        contextlib.suppress(SystemExit),
    ):
        module.main()
    result: dict[str, t.Any] = json.loads(output.getvalue())
    return {"failed": False, **result}
