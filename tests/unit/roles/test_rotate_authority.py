# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a run of rotate_authority does, by what is stored of the authority and the generation that was asked for.

The expressions are those of the role: the same command may be killed anywhere and run again.
"""

from __future__ import annotations

import typing as t
from pathlib import Path

import pytest
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar

ROLE = Path(__file__).parents[3] / "roles/tls"


def load(name: str) -> t.Any:
    return DataLoader().load_from_file(str(ROLE / name), trusted_as_template=True)


VARIABLES = {**load("defaults/main.yml"), **load("vars/main.yml")}
TASKS = {task["name"]: task for task in load("tasks/rotation_prepare.yml")}
REFUSAL = TASKS["Insist on the generation that it shall lead to"]["ansible.builtin.assert"]
STEP = TASKS["Choose the step"]["ansible.builtin.set_fact"]["tls_rotation_step"]


def decided(states: str, **given: t.Any) -> str:
    """The step that a run takes, or the end of what it is refused with."""
    generations = [{"id": number, "state": state} for number, state in enumerate(states.split(), start=1)]
    issuing = next(item["id"] for item in generations if item["state"] == "issuing")
    kept = {"generations": generations, "issuing": issuing}
    templar = Templar(loader=DataLoader(), variables={**VARIABLES, "tls_authority_kept": kept, **given})
    if not templar.evaluate_conditional(REFUSAL["that"]):
        return str(templar.template(REFUSAL["fail_msg"])).partition(" of the authority ")[0]
    return str(templar.template(STEP))


@pytest.mark.parametrize(
    ("states", "generation", "expected"),
    [
        # from the first step to the last, and then the same command again
        ("issuing", 2, "switch"),
        ("issuing prepared", 2, "switch"),
        ("outgoing issuing", 2, "switch"),
        ("retired issuing", 2, ""),
        # the next one, on purpose
        ("retired issuing", 3, "switch"),
        # a command from before
        ("retired issuing", 1, ""),
        ("retired issuing prepared", 2, "expected 3: generation 2"),
        ("retired compromised issuing", 2, ""),
        # after a rollback number 2 is used up
        ("issuing retired", 2, "expected 3: generation 1"),
        ("issuing retired", 3, "switch"),
        ("issuing outgoing", 2, "switch"),
        # not asked for, or too far
        ("issuing", 0, "tls_rotation_generation: nothing given, expected 2: generation 1"),
        ("retired issuing", 0, "expected 3: generation 2"),
        ("issuing prepared", 0, "expected 2: generation 1"),
        ("issuing", 3, "tls_rotation_generation: 3 given, expected 2: generation 1"),
    ],
)
def test_what_a_run_does(states: str, generation: int, expected: str) -> None:
    found = decided(states, tls_rotation_generation=generation)
    assert found.endswith(expected)
    assert bool(found) == bool(expected)


@pytest.mark.parametrize("states", ["issuing", "issuing prepared", "outgoing issuing", "issuing retired"])
def test_a_rollback_needs_no_number(states: str) -> None:
    assert decided(states, tls_rotation_rollback=True) == "rollback"
