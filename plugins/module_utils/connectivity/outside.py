# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Private to this collection: may change in any release.
"""Carry a plan out on the host of the task: the same agent as in the probe pods, in a process of its own.

It opens connections and writes nothing. Its environment is empty, so that proxies of this host do not bend what is
measured, and what comes back is checked value by value as if a pod had said it.
"""

from __future__ import annotations

import subprocess
import sys
import typing as t

from ..kube.deadline import NEVER, Deadline
from ..kube.errors import one_line
from . import probe


def run(tasks: t.Sequence[probe.Task], options: probe.Options, deadline: Deadline = NEVER) -> probe.ProbeOutcome:
    """The outcome, whatever happened; takes no longer than the plan's budget and a margin, and ends by the deadline."""
    argv = probe.command(probe.sources(tasks), probe.plan(tasks, options), sys.executable)
    patience = min(options.budget + probe.RUN_MARGIN, deadline.left)
    try:
        done = subprocess.run(
            argv, stdin=subprocess.DEVNULL, capture_output=True, timeout=patience, env={}, check=False, cwd="/"
        )
    except subprocess.TimeoutExpired:
        return probe.ProbeOutcome(cause=f"the agent did not end within {patience:.3g} s")
    except (OSError, subprocess.SubprocessError) as error:
        return probe.ProbeOutcome(cause=f"{sys.executable} could not be started: {one_line(str(error), 200)}")
    said = done.stdout.decode("utf-8", "replace")
    if done.returncode and not said:
        last = one_line(done.stderr.decode("utf-8", "replace")[-200:]) or "nothing"
        return probe.ProbeOutcome(cause=f"the agent ended with exit code {done.returncode}; it ends with: {last}")
    return probe.parse(said, tasks, "the agent's output")
