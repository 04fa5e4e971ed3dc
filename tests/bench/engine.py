# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How much of what was recorded of real faults the pure engine judges in a second, on one core."""

from __future__ import annotations

import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / ".venv" / "collections"), str(ROOT / "tests/faults")]

import recording  # noqa: E402

from ansible_collections.plumbline.kubernetes.plugins.module_utils.connectivity.checks import judge  # noqa: E402
from ansible_collections.plumbline.kubernetes.plugins.module_utils.connectivity.diagnose.causes import (  # noqa: E402
    diagnose,
)

SECONDS = 5.0


def measure() -> None:
    looks = [recording.load(file)[0] for file in sorted((ROOT / "tests/faults/recorded").glob("*.json.gz"))]
    began, rounds, checks, judging = time.process_time(), 0, 0, 0.0
    while time.process_time() - began < SECONDS:
        for look in looks:
            started = time.process_time()
            found = judge(look)
            judging += time.process_time() - started
            diagnose(look, found)
            checks += len(found)
        rounds += 1
    both = time.process_time() - began
    count = rounds * len(looks)
    print(
        f"\nthe pure engine on one core, {len(looks)} recorded looks: {checks / judging:,.0f} checks per second;"
        f" {count / judging:,.0f} looks judged, {count / both:,.0f} judged and diagnosed per second"
    )
