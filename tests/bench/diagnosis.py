# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a full diagnosis of one Service takes, where all is well and where something is not: time, requests, pods."""

from __future__ import annotations

import json
import statistics
import tempfile
import typing as t
from collections import Counter
from pathlib import Path

from counting_proxy import CountingProxy
from kubernetes import client

GOAL = 10.0  # seconds, on three nodes
NAME = "my-nginx"
# What is asked for: everything that takes no further rights, and what a look at the nodes from inside adds.
KINDS: dict[str, dict[str, t.Any]] = {"of all layers": {}, "with the nodes": {"node_level": True}}

Ansible = t.Callable[..., tuple[float, str]]


def measure(
    ansible: Ansible,
    kubeconfig: Path,
    context: str,
    namespace: str,
    image: str,
    rounds: int,
    say: t.Callable[[str], None],
) -> None:
    """Of the site that is there, then of the same with a selector that is wrong.

    Args:
        ansible: carries out a command of Ansible and tells its seconds and its output.
    """
    print("\nfull diagnosis, one task (its own time, and that of the whole command)")
    row = "  {:16} {:16} {:>8} {:>8} {:>8} {:>9} {:>6}  {}"
    print(row.format("", "", "median", "most", "command", "requests", "pods", "causes"))
    core = client.CoreV1Api()
    labels = core.read_namespaced_service(NAME, namespace).spec.selector
    worst = 0.0
    for state, selector in (("healthy", labels), ("selector wrong", {**labels, "run": "my-ngimx"})):
        core.patch_namespaced_service(NAME, namespace, {"spec": {"selector": selector}})
        for kind, further in KINDS.items():
            options = {"name": NAME, "namespace": namespace, "fail_on": "never", "client": {"image": image}, **further}
            found = [_diagnose(ansible, options) for _round in range(rounds)]
            say(f"  {state}, {kind}: {', '.join(f'{one[0]:.2f}' for one in found)} s")
            took = [one[0] for one in found]
            worst = max(worst, statistics.median(took))
            requests = _requests(ansible, options, kubeconfig, context)
            pods = sum(
                count for request, count in requests.items() if request.startswith("POST ") and "/jobs" in request
            )
            numbers = (statistics.median(took), max(took), statistics.median(one[1] for one in found))
            causes = "; ".join(cause["component"] for cause in found[-1][2]) or "none"
            print(row.format(state, kind, *(f"{number:.2f}" for number in numbers), requests.total(), pods, causes))
    core.patch_namespaced_service(NAME, namespace, {"spec": {"selector": labels}})
    print(f"  the longest median: {worst:.2f} s, goal {GOAL:g} s")


def _diagnose(
    ansible: Ansible, options: t.Mapping[str, t.Any], kubeconfig: Path | None = None
) -> tuple[float, float, list[dict[str, t.Any]]]:
    """Seconds that the task says, seconds of the command, and the causes."""
    arguments = ("localhost", "-m", "plumbline.kubernetes.diagnose", "-a", json.dumps(options))
    command, output = ansible("ansible", *arguments, kubeconfig=kubeconfig)
    found = json.JSONDecoder().raw_decode(output[output.index("=> {") + 3 :])[0]
    return found["elapsed"], command, found["causes"]


def _requests(ansible: Ansible, options: t.Mapping[str, t.Any], kubeconfig: Path, context: str) -> Counter[str]:
    with tempfile.TemporaryDirectory() as folder, CountingProxy(kubeconfig, context) as proxy:
        _diagnose(ansible, options, proxy.kubeconfig(Path(folder) / "config", context))
        return proxy.take()
