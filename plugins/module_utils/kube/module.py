# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Private to this collection: may change in any release.
"""What every module shares: options, libraries, connection, errors, exit."""

from __future__ import annotations

import contextlib
import signal
import threading
import typing as t
from dataclasses import dataclass, field

from ansible.module_utils.basic import AnsibleModule, missing_required_lib

try:
    import cryptography  # noqa: F401  # pylint: disable=unused-import
    import kubernetes  # noqa: F401  # pylint: disable=unused-import
    import urllib3  # noqa: F401  # pylint: disable=unused-import
    import websocket  # noqa: F401  # pylint: disable=unused-import

    LIBRARY_ERROR = None
except ImportError as error:
    import traceback

    LIBRARY_ERROR = (error.name or "kubernetes", traceback.format_exc())

from .client import Cluster
from .errors import KubeError
from .options import AUTH_OPTIONS, secret_leaves

Result = dict[str, t.Any]


@dataclass(frozen=True, slots=True)
class Task:
    """One call of a module.

    Attributes:
        params: every option, None where it was not given and has no default.
        diff: whether the result has to show what changed.
        notices: warnings so far.
    """

    params: dict[str, t.Any]
    check_mode: bool = False
    diff: bool = False
    notices: list[str] = field(default_factory=list)

    def warn(self, text: str) -> None:
        """Say something besides the result."""
        self.notices.append(text)


Action = t.Callable[[Task, Cluster], Result]


class Definition:
    """A module: its options, and what it does.

    Runs as a process of its own on any host (:meth:`main`), or in the controller's process, where that is the same host
    and the same Python (see `plugin_utils/here.py`).

    Args:
        options: argument spec of the module's own options.
        action: gets the task and a connected :class:`Cluster`, returns the result. Where that is `failed`, so is the
            task.
        rules: further arguments of AnsibleModule (`mutually_exclusive`, `required_if`, ...).
    """

    def __init__(self, options: dict[str, t.Any], action: Action, **rules: t.Any) -> None:
        self.options = {**AUTH_OPTIONS, **options}
        self.rules = rules
        self._action = action

    def main(self) -> t.NoReturn:
        """Run as an Ansible module, and exit with the result."""
        module = AnsibleModule(argument_spec=self.options, supports_check_mode=True, **self.rules)
        if LIBRARY_ERROR:
            module.fail_json(msg=missing_required_lib(LIBRARY_ERROR[0]), exception=LIBRARY_ERROR[1])
        module.no_log_values = secrets(module.params, module.no_log_values)
        task = Task(module.params, module.check_mode, module._diff)
        result = self.result(task)
        for notice in task.notices:
            module.warn(notice)
        if result.pop("failed", False):
            module.fail_json(**result)
        raise SystemExit(module.exit_json(**result))

    def result(self, task: Task) -> Result:
        """What the task comes to. A :class:`KubeError` is a failure with its one line and its details."""
        try:
            with _interruptible():
                cluster = Cluster.connect(task.params)
                found = self._action(task, cluster)
        except KubeError as error:
            return {"failed": True, "msg": str(error), **error.details}
        task.notices.extend(cluster.notices)
        return found


def secrets(params: t.Mapping[str, t.Any], masked: t.Iterable[str]) -> set[str]:
    """What to mask in a result: of a kubeconfig document its secrets only.

    `no_log` on the whole document would mask each of its leaves, names like `v1` included, in every result.
    """
    kubeconfig = params["kubeconfig"]
    if isinstance(kubeconfig, dict):
        return (set(masked) - _leaves(kubeconfig)) | secret_leaves(kubeconfig)
    return set(masked) - {kubeconfig}


def _leaves(value: t.Any) -> set[str]:
    if isinstance(value, dict):
        return {leaf for child in value.values() for leaf in _leaves(child)}
    if isinstance(value, list):
        return {leaf for child in value for leaf in _leaves(child)}
    return {str(value)}


@contextlib.contextmanager
def _interruptible() -> t.Iterator[None]:
    """The first signal that ends the process ends it with its clean-up, which is bounded; later ones change nothing.

    After Ctrl-C, ansible-playbook passes the signal on, and terminates at once what has not ended yet. Only the main
    thread can arrange all that.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def end(number: int, _frame: t.Any) -> t.NoReturn:
        for further in before:
            signal.signal(further, signal.SIG_IGN)
        raise SystemExit(128 + number)

    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    before = {number: handler for number, handler in before.items() if handler is not signal.SIG_IGN}  # nohup
    for number in before:
        signal.signal(number, end)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
