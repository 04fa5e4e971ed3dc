# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which certificate a roll back judges, by what is mounted: the expressions are those of the role."""

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
TASKS = {task["name"]: task for task in load("tasks/judge.yml")}
REFUSAL = TASKS["Refuse one that must not be served"]["ansible.builtin.assert"]


def said(mounted: list[str], repeats: dict[str, str]) -> str:
    """What a roll back is refused with, empty where it is not; `old` is expired, `new` is good."""
    generations = [
        {"secret_name": "new", "problem": "", "certificate": {"issuer": "CN=new"}},
        {"secret_name": "old", "problem": "old expired", "certificate": {"issuer": "CN=old"}},
    ]
    kept = {"generations": generations, "aliases": list(repeats), "repeats": repeats}
    variables = {**VARIABLES, "tls_kept": kept, "nginx_mounted": mounted, "tls_issuer": "self_signed"}
    templar = Templar(loader=DataLoader(), variables=variables)
    good = all(templar.evaluate_conditional(condition) for condition in REFUSAL["that"])
    return "" if good else str(templar.template(REFUSAL["fail_msg"])).partition(";")[0]


@pytest.mark.parametrize(
    ("mounted", "repeats", "expected"),
    [
        (["new"], {}, ""),
        (["old"], {}, "old expired"),
        (["nginxsecret"], {"nginxsecret": "new"}, ""),
        # A run was killed before it wrote the alias: what is in it counts.
        (["nginxsecret"], {"nginxsecret": "old"}, "old expired"),
        (["nginxsecret"], {"nginxsecret": ""}, "Secret demo/nginxsecret: none of the certificates that are kept under"),
        (["nginxsecret"], {}, "Secret demo/nginxsecret: none of the certificates that are kept under"),
        # One that is no certificate of ours is not judged, wherever it is in the list.
        (["htpasswd", "new"], {}, ""),
        (["htpasswd", "old"], {}, "old expired"),
        (["new", "old"], {}, "old expired"),
        (["htpasswd"], {}, "Secret demo/htpasswd: none of the certificates that are kept under"),
    ],
)
def test_what_is_mounted_is_judged(mounted: list[str], repeats: dict[str, str], expected: str) -> None:
    found = said(mounted, repeats)
    assert found.startswith(expected)
    assert bool(found) == bool(expected)
