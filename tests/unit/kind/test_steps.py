# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Steps side by side, and what is told about them."""

from __future__ import annotations

import time
import typing as t
from pathlib import Path

import pytest
import steps
from steps import Missing, Progress, Shell, Step


def test_steps_wait_for_those_before_them(tmp_path: Path) -> None:
    order: list[str] = []

    def note(name: str) -> t.Callable[[Shell], None]:
        return lambda _shell: order.append(name)

    steps.run(
        [
            Step("last", note("last"), after=("middle", "first")),
            Step("middle", note("middle"), after=("first", "a step of another plan")),
            Step("first", note("first")),
        ],
        tmp_path,
    )
    assert order == ["first", "middle", "last"]


def test_a_failed_step_is_one_line_and_ends_the_others(tmp_path: Path) -> None:
    started = tmp_path / "started"

    def fail(shell: Shell) -> None:
        while not started.exists():
            time.sleep(0.01)
        shell.run("sh", "-c", "echo all is well; echo no space left >&2; exit 3")

    def go_on(shell: Shell) -> None:
        shell.run("sh", "-c", f"touch {started}; exec sleep 600")

    plan = [Step("compile", fail), Step("download", go_on), Step("never", go_on, after=("compile",))]
    with pytest.raises(Missing) as caught:
        steps.run(plan, tmp_path)
    assert str(caught.value).startswith("compile: sh failed with exit status 3: no space left (all of it: ")
    assert not (tmp_path / "never.log").exists()


def test_a_step_that_is_stopped_starts_nothing_more(tmp_path: Path) -> None:
    shell = Shell(tmp_path / "log")
    shell.stop()
    with pytest.raises(Missing, match="stopped"):
        shell.run("touch", tmp_path / "made")
    assert not (tmp_path / "made").exists()


class Clock:
    """Time that passes when it is told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.mark.parametrize(
    ("events", "told"),
    [
        ([(0, "start", "a"), (0.5, "tick", ""), (0.9, "end", "a")], []),
        (
            [(0, "start", "a"), (1.5, "tick", ""), (2.5, "tick", ""), (75, "end", "a")],
            ["[0:01] a: about 1:30", "[1:15] a: done in 1:15"],
        ),
        (
            [(0, "start", "a"), (1.5, "tick", ""), (21, "tick", ""), (22, "tick", ""), (41.5, "tick", "")],
            ["[0:01] a: about 1:30", "[0:22] working: a 0:22 of 1:30"],
        ),
        (
            [(0, "start", "a"), (1.5, "tick", ""), (10, "start", "b"), (12, "tick", ""), (33, "tick", "")],
            ["[0:01] a: about 1:30", "[0:12] b: about 10:00", "[0:33] working: a 0:33 of 1:30, b 0:23 of 10:00"],
        ),
        (
            [(0, "start", "a"), (1.5, "tick", ""), (5, "end", "a"), (60, "tick", "")],
            ["[0:01] a: about 1:30", "[0:05] a: done in 0:05"],
        ),
    ],
    ids=["at once", "long", "one line in twenty seconds", "two", "nothing runs"],
)
def test_progress_says_what_how_long_and_of_how_much(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    events: list[tuple[float, str, str]],
    told: list[str],
) -> None:
    clock = Clock()
    monkeypatch.setattr(steps, "time", clock)
    progress = Progress({"a": 90, "b": 600}, begun=clock.now, told=clock.now)
    for seconds, event, name in events:
        clock.now = 1000 + seconds
        {"start": progress.start, "end": progress.end, "tick": lambda _name: progress.tick()}[event](name)
    assert capsys.readouterr().out.splitlines() == told


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0:00"), (9.9, "0:09"), (60, "1:00"), (3599, "59:59"), (3600, "60:00")]
)
def test_clock(seconds: float, text: str) -> None:
    assert steps.clock(seconds) == text
