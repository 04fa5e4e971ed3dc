# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Long steps side by side: each with a log of its own, progress on standard output, and one line when one fails."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from pathlib import Path

AT_ONCE = 1.0  # seconds that a step may take without a line about it
HEARTBEAT = 20.0  # seconds between two lines


class Missing(Exception):
    """What keeps us from going on, in one line."""


class Shell:
    """Runs commands for one step: their output goes to the step's log, and they are stopped when another step fails."""

    def __init__(self, log: Path) -> None:
        self.log = log
        self.stopped = False
        self._starting = threading.Lock()  # who stops this must know of every program that runs
        self._running: subprocess.Popen[bytes] | None = None
        log.parent.mkdir(parents=True, exist_ok=True)
        log.write_text("")

    def run(self, *command: str | Path, cwd: Path | None = None, env: Mapping[str, str] | None = None) -> None:
        words = [str(word) for word in command]
        with self.log.open("ab") as log:
            log.write(f"+ {' '.join(words)}\n".encode())
            log.flush()
            with self._starting:
                if self.stopped:
                    raise Missing("stopped")
                program = self._running = subprocess.Popen(
                    words,
                    cwd=cwd,
                    env={**os.environ, **(env or {})},
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                )
            status = program.wait()
        if self.stopped:
            raise Missing("stopped")
        if status:
            raise Missing(f"{words[0]} failed with exit status {status}: {self.last_line()} (all of it: {self.log})")

    def last_line(self) -> str:
        lines = [line.strip() for line in self.log.read_text(errors="replace").splitlines()]
        return next((line for line in reversed(lines) if line and not line.startswith("+ ")), "no output")

    def stop(self) -> None:
        with self._starting:
            self.stopped = True
            if self._running and self._running.poll() is None:
                os.killpg(self._running.pid, signal.SIGTERM)


@dataclass(frozen=True)
class Step:
    name: str
    action: Callable[[Shell], None]
    after: tuple[str, ...] = ()
    seconds: int = 0  # roughly, on two cores


@dataclass
class Progress:
    """What is told about steps that run side by side; nothing about those that end at once."""

    expected: Mapping[str, int]
    begun: float = field(default_factory=time.monotonic)
    running: dict[str, float] = field(default_factory=dict)
    announced: set[str] = field(default_factory=set)
    told: float = field(default_factory=time.monotonic)

    def say(self, text: str) -> None:
        self.told = time.monotonic()
        print(f"[{clock(self.told - self.begun)}] {text}", flush=True)

    def start(self, name: str) -> None:
        self.running[name] = time.monotonic()

    def end(self, name: str) -> None:
        since = self.running.pop(name)
        if name in self.announced:
            self.say(f"{name}: done in {clock(time.monotonic() - since)}")

    def tick(self) -> None:
        now = time.monotonic()
        for name, since in self.running.items():
            if name not in self.announced and now - since > AT_ONCE:
                self.announced.add(name)
                self.say(f"{name}: about {clock(self.expected[name])}")
        if self.running and now - self.told > HEARTBEAT:
            done = (
                f"{name} {clock(now - since)} of {clock(self.expected[name])}" for name, since in self.running.items()
            )
            self.say("working: " + ", ".join(done))


def clock(seconds: float) -> str:
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"


def run(steps: Sequence[Step], logs: Path) -> None:
    """Run every step as soon as those named in its `after` are done; the first failure stops all."""
    progress = Progress({step.name: step.seconds for step in steps})
    names = {step.name for step in steps}
    pending = list(steps)
    running: dict[Future[None], Step] = {}
    shells: list[Shell] = []
    done: set[str] = set()
    with ThreadPoolExecutor(len(steps)) as threads:
        try:
            while len(done) < len(steps):
                for step in [one for one in pending if done.issuperset(names.intersection(one.after))]:
                    pending.remove(step)
                    shells.append(Shell(logs / f"{step.name.replace(' ', '-')}.log"))
                    progress.start(step.name)
                    running[threads.submit(step.action, shells[-1])] = step
                for future in wait(running, AT_ONCE, FIRST_COMPLETED).done:
                    step = running.pop(future)
                    collect(future, step)
                    progress.end(step.name)
                    done.add(step.name)
                progress.tick()
        finally:
            for shell in shells:
                shell.stop()


def collect(future: Future[None], step: Step) -> None:
    try:
        future.result()
    except (Missing, OSError) as error:
        raise Missing(f"{step.name}: {error}") from error


def finish(action: Callable[[], None]) -> None:
    """Run a program's main function; what is missing goes to standard error, in one line."""
    try:
        action()
    except Missing as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        sys.exit("error: interrupted")
