# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Callback plugin: findings while a playbook runs, the cause last."""

from __future__ import annotations

DOCUMENTATION = r"""
name: checks
type: notification
short_description: Show the findings of judging tasks, and the cause last
version_added: 0.1.0
author:
  - The plumbline.kubernetes authors (@plumbline)
description:
  - After each task of M(plumbline.kubernetes.verify), its parts, M(plumbline.kubernetes.diagnose),
    M(plumbline.kubernetes.remediate), and M(plumbline.kubernetes.survey) prints what was judged, by layer, then the
    findings that are not good, then the root cause in a box.
  - At the end it prints what came of each host. Hosts of which the same is to be said share a line.
  - Uses signs beyond ASCII only on a terminal with UTF-8. Without a terminal, as in CI, it prints plain ASCII.
  - Control characters, and what a CI server would obey, such as C(::error::), are taken out of what strangers wrote.
requirements:
  - enabled by C(callbacks_enabled=plumbline.kubernetes.checks) in C(ansible.cfg), or by the environment variable
    E(ANSIBLE_CALLBACKS_ENABLED)
"""

EXAMPLES = r"""
# In ansible.cfg:
#   [defaults]
#   callbacks_enabled = plumbline.kubernetes.checks
"""

import sys
import typing as t

from ansible import constants as C
from ansible.plugins.callback import CallbackBase

from ansible_collections.plumbline.kubernetes.plugins.module_utils.report.lines import Line, Style, ended, judged

PREFIX = "plumbline.kubernetes."
JUDGES = {
    PREFIX + name
    for name in (
        "diagnose",
        "remediate",
        "survey",
        "verify",
        "verify_dns",
        "verify_endpoints",
        "verify_environment",
        "verify_http",
    )
}
COLOURS = {
    "fail": C.COLOR_ERROR,
    "inconclusive": C.COLOR_WARN,
    "warn": C.COLOR_WARN,
    "pass": C.COLOR_OK,
    "skipped": C.COLOR_SKIP,
}


def is_fancy(stream: t.Any) -> bool:
    """Whether this is a terminal that takes UTF-8."""
    encoding = (getattr(stream, "encoding", "") or "").lower().replace("-", "")
    return bool(stream.isatty()) and encoding == "utf8"


class CallbackModule(CallbackBase):  # type: ignore[misc]
    """Prints lines for people; what they say is decided by :mod:`..module_utils.report.lines`."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "notification"
    CALLBACK_NAME = "plumbline.kubernetes.checks"
    CALLBACK_NEEDS_ENABLED = True

    def __init__(self, *args: t.Any, **kwargs: t.Any) -> None:
        super().__init__(*args, **kwargs)
        self.seen: dict[str, list[t.Mapping[str, t.Any]]] = {}

    def v2_runner_on_ok(self, result: t.Any) -> None:
        """A task succeeded."""
        self._tell(result)

    def v2_runner_on_failed(self, result: t.Any, ignore_errors: bool = False) -> None:  # noqa: ARG002
        """A task failed; judges fail when they find something wrong."""
        self._tell(result, failed=True)

    def v2_runner_item_on_ok(self, result: t.Any) -> None:
        """A turn of a loop succeeded."""
        self._tell(result)

    def v2_runner_item_on_failed(self, result: t.Any) -> None:
        """A turn of a loop failed."""
        self._tell(result, failed=True)

    def v2_runner_on_unreachable(self, result: t.Any) -> None:
        """The host of the task was lost."""
        self._tell(result, failed=True)

    def v2_playbook_on_stats(self, stats: t.Any) -> None:  # noqa: ARG002
        """The playbook is over."""
        self._print(ended(self.seen, self._style()))

    def _tell(self, result: t.Any, *, failed: bool = False) -> None:
        task, found = result.task, result.result
        action = getattr(task, "resolved_action", None) or task.action
        if action not in JUDGES or "results" in found:  # the turns of a loop were told one by one
            return
        host = result.host.get_name()
        lines = judged(host, found, self._style(), failed=failed)
        if lines:
            self.seen.setdefault(host, []).append(found)
        self._print(lines)

    def _style(self) -> Style:
        return Style(is_fancy(sys.stdout), self._display.columns)

    def _print(self, lines: t.Iterable[Line]) -> None:
        for text, status in lines:
            self._display.display(text, color=COLOURS.get(status))
