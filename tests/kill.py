# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Kill a command between two requests to the API server, as a machine dies that it runs on.

    python tests/kill.py --after PATTERN [--after PATTERN...] -- COMMAND [ARGUMENT...]
    python tests/kill.py --every PATTERN [--at-most RUNS] -- COMMAND [ARGUMENT...]

With --after the command runs once per pattern, a regular expression for "METHOD path". It and all that it has started
are killed when the first request that matches was answered and the next one is about to be sent. Ends with 1 where a
run came to its end without such a request.

With --every it is killed after the first request that matches, the next run after its second, and so on, until a run
comes to its end by itself: each point between two such requests was one to die at. `PATCH|POST|PUT|DELETE` are all
writes. Ends with the status of that last run, and with 1 where there was none in so many runs.

What becomes of it all is judged by whoever runs this.
"""

from __future__ import annotations

import argparse
import os
import re
import signal
import subprocess
import sys
import tempfile
import typing as t
from pathlib import Path
from urllib.parse import urlsplit

sys.path.insert(0, str(Path(__file__).resolve().parent / "bench"))

from counting_proxy import CountingProxy


class Killer(CountingProxy):
    """A pass-through that kills its client after so many requests of a kind."""

    def __init__(self, kubeconfig: Path, context: str, pattern: str, number: int) -> None:
        super().__init__(kubeconfig, context)
        self._pattern = re.compile(pattern)
        self._left = number
        self.met = ""
        self.victim: subprocess.Popen[str] | None = None

    def _note(self, method: str, target: str, _headers: t.Mapping[str, str]) -> None:
        parts = urlsplit(target)
        if self.met and self.victim:
            for number in descendants(self.victim.pid):
                kill(number)
            raise ConnectionAbortedError
        # A dry run writes nothing.
        if "dryRun" not in parts.query and self._pattern.search(f"{method} {parts.path}"):
            self._left -= 1
            self.met = f"{method} {parts.path}" if self._left == 0 else ""


def descendants(process: int) -> list[int]:
    """A process and all that it has started; Ansible's workers are in sessions of their own."""
    parents = {}
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            parents[int(entry.parent.name)] = int(entry.read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue  # it has just ended
    found = [process]
    for number in found:
        found += [child for child, parent in parents.items() if parent == number]
    return found


def kill(process: int) -> None:
    """As nothing can prevent."""
    try:
        os.kill(process, signal.SIGKILL)
    except ProcessLookupError:
        return


def ended(pattern: str, command: list[str], folder: Path, number: int = 1) -> int | None:
    """Run the command until it is killed; the status of one that came to its end before."""
    context = os.environ["K8S_AUTH_CONTEXT"]
    with Killer(Path(os.environ["K8S_AUTH_KUBECONFIG"]), context, pattern, number) as proxy:
        environment = {**os.environ, "K8S_AUTH_KUBECONFIG": str(proxy.kubeconfig(folder / "kubeconfig", context))}
        proxy.victim = subprocess.Popen(
            command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        output, _none = proxy.victim.communicate()
    if proxy.victim.returncode != -signal.SIGKILL:
        print(f"{output}\nended with {proxy.victim.returncode}, and no request {number} like {pattern} was met")
        return proxy.victim.returncode
    print(f"killed after request {number}, {proxy.met}", flush=True)
    return None


def every(pattern: str, command: list[str], folder: Path, at_most: int) -> int:
    """Kill it after its first request, its second, and so on; the status of the run that came to its end."""
    for number in range(1, at_most + 1):
        status = ended(pattern, command, folder, number)
        if status is not None:
            return status
    print(f"no run of {at_most} came to its end")
    return 1


def main() -> int:
    """Entry point."""
    parser = argparse.ArgumentParser(description="Kill a command between two requests to the API server.")
    points = parser.add_mutually_exclusive_group(required=True)
    points.add_argument("--after", action="append", metavar="PATTERN")
    points.add_argument("--every", metavar="PATTERN")
    parser.add_argument("--at-most", type=int, default=50, metavar="RUNS")
    parser.add_argument("command", nargs="+")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if given.every:
            return every(given.every, given.command, folder, given.at_most)
        return int(not all(ended(pattern, given.command, folder) is None for pattern in given.after))


if __name__ == "__main__":
    raise SystemExit(main())
