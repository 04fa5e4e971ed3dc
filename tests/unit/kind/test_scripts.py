# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the scripts behind `make test` tell while they work, and at the end."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parents[2]

MAKEFILE = """\
lint: ; @echo "== ruff"; echo "== ruff format"; while [ ! -e seen ]; do sleep 0.1; done; echo lint ended
unit: ; @echo ".... [ 43%]"; sleep 0.7; echo unit ended; exit 3
endless: ; @echo $$$$$$$$ >process; exec sleep 600
"""

MOLECULE = "\n".join(  # a line that begins with #! would make this file a script to those that look for scripts
    (
        "#!/bin/sh",
        'case "$*" in',
        """*dual_stack*) echo '    "msg": "Skipped: no IPv6"' ;;""",
        '*tutorial*) echo "it broke"; exit 1 ;;',
        '*reports*) [ -e "$0.tried" ] || { : >"$0.tried"; echo "it stumbled"; exit 1; } ;;',
        '*exposure*) [ ! -e "$0.broken" ] || exit 1 ;;',
        "esac",
    )
)


def test_targets_side_by_side_say_what_they_are_at_and_are_shown_whole(tmp_path: Path) -> None:
    (tmp_path / "Makefile").write_text(MAKEFILE)
    with subprocess.Popen(
        [TESTS / "together.sh", "2:30", "lint", "unit"],
        cwd=tmp_path,
        env={**os.environ, "PLUMBLINE_HEARTBEAT": "0"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as program:
        assert program.stdout
        assert program.stderr
        lines = [program.stdout.readline()]
        while "lint: ruff format" not in lines[-1] or "unit" in lines[-1]:  # until unit has ended
            lines.append(program.stdout.readline())
            assert lines[-1], lines
        (tmp_path / "seen").touch()
        lines += program.stdout.readlines()
        error = program.stderr.read()
    said = "".join(lines)
    assert program.returncode == 1
    assert error == "failed: unit\n"
    assert re.search(r"^working for 0:\d\d of about 2:30, lint: ruff format, unit: 43%$", said, re.MULTILINE)
    assert "== ruff\n== ruff format\nlint ended\n" in said
    assert re.search(r"^\.{4} \[ 43%\]\nunit ended\nmake(\[\d+\])?: .* Error 3$", said, re.MULTILINE)


def test_targets_end_with_who_began_them(tmp_path: Path) -> None:
    (tmp_path / "Makefile").write_text(MAKEFILE)
    process = tmp_path / "process"
    with subprocess.Popen(
        [TESTS / "together.sh", "2:30", "endless"], cwd=tmp_path, stdout=subprocess.DEVNULL
    ) as program:
        while not process.exists() or not process.read_text().strip():
            assert program.poll() is None
            time.sleep(0.05)
        program.send_signal(signal.SIGTERM)
    assert program.returncode == 130
    pid = process.read_text().strip()
    for _try in range(600):
        if not Path("/proc", pid).exists() or " Z " in Path("/proc", pid, "stat").read_text():
            return
        time.sleep(0.1)
    pytest.fail("what it began goes on")


def _scenarios(tmp_path: Path, *, broken: bool = False) -> subprocess.CompletedProcess[str]:
    (tmp_path / "tests").mkdir()
    shutil.copy(TESTS / "scenarios.sh", tmp_path / "tests")
    for folder in (TESTS.parent / "molecule").iterdir():
        (tmp_path / "molecule" / folder.name).mkdir(parents=True)
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/molecule").write_text(MOLECULE)
    (tmp_path / "bin/molecule").chmod(0o755)
    if broken:
        (tmp_path / "bin/molecule.broken").touch()
    (tmp_path / "plumbline/log").mkdir(parents=True)
    (tmp_path / "plumbline/log/scenarios.minutes").write_text("17\n")
    environment = {**os.environ, "PATH": f"{tmp_path}/bin:{os.environ['PATH']}", "XDG_CACHE_HOME": str(tmp_path)}
    return subprocess.run(
        [tmp_path / "tests/scenarios.sh"], env=environment, capture_output=True, text=True, check=False
    )


def test_scenarios_are_counted_with_those_that_cannot_be_tried(tmp_path: Path) -> None:
    done = _scenarios(tmp_path)
    count = len(list((tmp_path / "molecule").iterdir()))
    assert done.returncode == 1, done.stderr
    line = r"^molecule: \w+ begins, (\d+) of (\d+), after \d+:\d\d, about 17 min in all$"
    begun = re.findall(line, done.stdout, re.MULTILINE)
    assert sorted(int(number) for number, _all in begun) == list(range(1, count))
    assert {number for _number, number in begun} == {str(count - 1)}
    assert re.search(r"^molecule: dual_stack skipped \(no IPv6\) after \d+ s$", done.stdout, re.MULTILINE)
    assert "it broke" in done.stdout
    # who failed is tried once more, which the last line tells
    assert re.search(r"^molecule: reports begins, once more, after", done.stdout, re.MULTILINE)
    assert done.stdout.count("it broke") == 2
    assert done.stdout.count("it stumbled") == 1
    summary = (
        f"molecule: {count - 2} passed, 1 failed: tutorial, 1 skipped: dual_stack (no IPv6), "
        "at the second try: reports, in "
    )
    assert done.stdout.splitlines()[-1].startswith(summary)


def test_scenarios_are_not_tried_again_where_many_fail(tmp_path: Path) -> None:
    done = _scenarios(tmp_path, broken=True)
    assert done.returncode == 1
    assert "once more" not in done.stdout
    assert " 3 failed: exposure reports tutorial, 1 skipped" in done.stdout.splitlines()[-1]
