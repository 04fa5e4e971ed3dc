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
from dataclasses import dataclass, field
from pathlib import Path

HEARTBEAT = 20.0  # seconds between two lines while nothing ends


class Missing(Exception):
    """What keeps us from going on, in one line."""


class Shell:
    """Runs commands for one step: their output goes to the step's log, and they end with us."""

    def __init__(self, log: Path) -> None:
        self.log = log
        self.stopped = False
        self._running: subprocess.Popen[bytes] | None = None
        log.parent.mkdir(parents=True, exist_ok=True)
        log.write_text("")

    def run(self, *command: str | Path, cwd: Path | None = None, env: Mapping[str, str] | None = None) -> None:
        words = [str(word) for word in command]
        with self.log.open("ab") as log:
            log.write(f"+ {' '.join(words)}\n".encode())
            log.flush()
            self._running = subprocess.Popen(
                words,
                cwd=cwd,
                env={**os.environ, **(env or {})},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
            status = self._running.wait()
        if self.stopped:
            raise Missing("stopped")
        if status:
            raise Missing(f"{words[0]} failed with exit status {status}: {self.last_line()} (all of it: {self.log})")

    def last_line(self) -> str:
        lines = [line.strip() for line in self.log.read_text(errors="replace").splitlines()]
        return next((line for line in reversed(lines) if line and not line.startswith("+ ")), "no output")

    def stop(self) -> None:
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
    """What is told about steps that run side by side."""

    expected: dict[str, int]
    begun: float = field(default_factory=time.monotonic)
    started: dict[str, float] = field(default_factory=dict)

    def say(self, text: str) -> None:
        print(f"[{clock(time.monotonic() - self.begun)}] {text}", flush=True)

    def start(self, name: str) -> None:
        self.started[name] = time.monotonic()
        about = self.expected[name]
        self.say(f"{name} ..." + (f" (about {clock(about)})" if about > 10 else ""))

    def end(self, name: str) -> None:
        took = time.monotonic() - self.started.pop(name)
        self.say(f"{name}: done in {clock(took)}")

    def heartbeat(self) -> None:
        now = time.monotonic()
        parts = [
            f"{name} {clock(now - since)} of about {clock(self.expected[name])}"
            for name, since in self.started.items()
        ]
        self.say("working: " + ", ".join(parts))


def clock(seconds: float) -> str:
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"


def run(steps: Sequence[Step], logs: Path) -> None:
    """Run every step as soon as those named in its `after` are done; the first failure stops all."""
    progress = Progress({step.name: step.seconds for step in steps})
    changed = threading.Condition()
    shells: dict[str, Shell] = {}
    done: set[str] = set()
    failures: list[BaseException] = []

    def work(step: Step) -> None:
        failure: BaseException | None = None
        try:
            step.action(shells[step.name])
        except (Missing, OSError) as error:
            failure = Missing(f"{step.name}: {error}")
        except BaseException as error:  # the main thread raises it again
            failure = error
        with changed:
            if failure:
                failures.append(failure)
            else:
                progress.end(step.name)
                done.add(step.name)
            changed.notify()

    names = {step.name for step in steps}
    pending = list(steps)
    try:
        with changed:
            while len(done) < len(steps) and not failures:
                for step in [one for one in pending if done.issuperset(set(one.after) & names)]:
                    pending.remove(step)
                    shells[step.name] = Shell(logs / f"{step.name.replace(' ', '-')}.log")
                    progress.start(step.name)
                    threading.Thread(target=work, args=(step,), daemon=True).start()
                if not changed.wait(HEARTBEAT):
                    progress.heartbeat()
    finally:
        for shell in shells.values():
            shell.stop()
    if failures:
        raise failures[0]


def finish(action: Callable[[], None]) -> None:
    """Run a program's main function; what is missing goes to standard error, in one line."""
    try:
        action()
    except Missing as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        sys.exit("error: interrupted")
