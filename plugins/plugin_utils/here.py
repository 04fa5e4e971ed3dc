# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Private to this collection: may change in any release.
"""Run a module in the controller's process, where its host is this host and its Python is this Python.

Packing a module, starting Python and importing the `kubernetes` library take several times as long as most tasks do.
Here the libraries are imported once, before Ansible forks a process for each task, and every task finds them there.
Results are those of the module: the same arguments are validated in the same way, the same values are masked.
"""

from __future__ import annotations

import importlib
import json
import sys
import typing as t

from ansible import constants as C
from ansible.module_utils.common.arg_spec import ModuleArgumentSpecValidator
from ansible.module_utils.common.json import Direction, get_module_decoder, get_module_encoder
from ansible.module_utils.common.parameters import remove_values
from ansible.module_utils.errors import UnsupportedError
from ansible.plugins.action import ActionBase
from ansible.plugins.action.normal import ActionModule as NormalAction

from ansible_collections.plumbline.kubernetes.plugins.module_utils.kube.module import (
    LIBRARY_ERROR,
    Definition,
    Result,
    Task,
    secrets,
)


def action_of(plugin: str) -> type[NormalAction]:
    """The action plugin for the module of the same name.

    Args:
        plugin: the full Python name of the action plugin.
    """
    definition: Definition = importlib.import_module(plugin.replace(".action.", ".modules.")).MODULE
    return type("ActionModule", (_Here,), {"definition": definition, "__module__": plugin})


class _Here(NormalAction):  # type: ignore[misc]  # its base has no types
    """What :func:`action_of` makes."""

    definition: Definition

    def run(self, tmp: str | None = None, task_vars: dict[str, t.Any] | None = None) -> Result:
        """The module's result."""
        given = task_vars or {}
        if LIBRARY_ERROR or not self._is_here(given):
            return t.cast(Result, super().run(tmp, given))
        result: Result = ActionBase.run(self, tmp, given)
        params = _through_json(self._task.args, Direction.CONTROLLER_TO_MODULE)
        return result | perform(
            self.definition, self._task.action, params, check_mode=self._task.check_mode, diff=self._task.diff
        )

    def _is_here(self, task_vars: dict[str, t.Any]) -> bool:
        """Whether a process of its own would be one of this user, on this host, with this Python and environment."""
        delegate = self._task.delegate_to
        host_vars = (task_vars.get("ansible_delegated_vars") or {}).get(delegate) or {} if delegate else task_vars
        interpreter = self._templar.template(host_vars.get("ansible_python_interpreter"))
        return (
            self._connection.transport == "local"
            and interpreter == sys.executable
            and not self._connection.become
            and not self._task.async_val
            and not self._compute_environment_string()
            and not C.DEFAULT_KEEP_REMOTE_FILES
        )


def perform(definition: Definition, name: str, params: Result, *, check_mode: bool, diff: bool) -> Result:
    """What AnsibleModule would return for these parameters.

    Args:
        name: of the module, for messages.
        params: as they were given.
    """
    validator = ModuleArgumentSpecValidator(definition.options, **definition.rules)
    validated = validator.validate(params)
    masked = secrets(validated.validated_parameters, validated._no_log_values)
    if validated.error_messages:
        result: Result = {"failed": True, "msg": _refusal(name, validated)}
        notices: list[str] = []
    else:
        task = Task(validated.validated_parameters, check_mode, diff)
        result, notices = definition.result(task), task.notices
    result = {**result, "invocation": {"module_args": validated.validated_parameters}}
    if notices:
        result["warnings"] = notices
    passed: Result = _through_json(remove_values(result, masked), Direction.MODULE_TO_CONTROLLER)
    return passed


def _refusal(name: str, validated: t.Any) -> str:
    text = str(validated.errors.msg)
    if isinstance(validated.errors[0], UnsupportedError):
        return f"Unsupported parameters for ({name}) module: {text}"
    return text


def _through_json(value: t.Any, direction: Direction) -> t.Any:
    """The plain values that arrive on the other side of a process: no vaulted ones, no tuples, no tags of Ansible's."""
    encoder, decoder = get_module_encoder("legacy", direction), get_module_decoder("legacy", direction)
    return json.loads(json.dumps(value, cls=encoder), cls=decoder)
