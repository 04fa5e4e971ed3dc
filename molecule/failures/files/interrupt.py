# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ctrl-C for a command as soon as it has a Job in a namespace; then say what is left of Jobs and pods there, and when.

    python interrupt.py NAMESPACE COMMAND [ARGUMENT...]

Ends with 1 where something is left after PATIENCE seconds, and where the command came to its end by itself.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import typing as t

from kubernetes import client, config

# A few seconds, unless the machine is busy; less than the Job's time to live, after which it would be gone anyway.
PATIENCE = 40.0
# Exit code of ansible-playbook.
INTERRUPTED = 99


def left(namespace: str) -> list[str]:
    """Jobs and pods in the namespace."""
    lists = {"job": client.BatchV1Api().list_namespaced_job, "pod": client.CoreV1Api().list_namespaced_pod}
    return [f"{kind} {item.metadata.name}" for kind, read in lists.items() for item in read(namespace).items]


def until(done: t.Callable[[], bool], seconds: float) -> float:
    """Seconds until it was done, or more than were given."""
    began = time.monotonic()
    while not done() and time.monotonic() - began <= seconds:
        time.sleep(0.05)
    return time.monotonic() - began


def main(namespace: str, command: list[str]) -> int:
    """Entry point."""
    config.load_kube_config(os.environ["K8S_AUTH_KUBECONFIG"], os.environ["K8S_AUTH_CONTEXT"])
    # A command that is started in the background may ignore it, and so do those that it starts.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    until(lambda: not left(namespace), PATIENCE)
    if before := left(namespace):
        print(f"namespace {namespace} is to be empty, but has {before}")
        return 1
    running = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    waited = until(lambda: bool(left(namespace)) or running.poll() is not None, 300)
    running.send_signal(signal.SIGINT)
    took = until(lambda: not left(namespace), PATIENCE)
    remaining = left(namespace)
    if remaining:
        running.kill()
    output, _none = running.communicate()
    print(f"{output}\nended with {running.returncode}; a Job after {waited:.1f} s, and {took:.1f} s later {remaining}")
    return int(running.returncode != INTERRUPTED or remaining != [])


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1], sys.argv[2:]))
