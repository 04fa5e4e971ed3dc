# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The role report, in plays whose hosts fail: there is a report all the same."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import typing as t
import xml.etree.ElementTree as ET
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml

from ansible_collections.plumbline.kubernetes.tests.unit.report import samples

PLAY = """
- hosts: all
  gather_facts: false
  vars:
    verify_dest: "{{ playbook_dir }}/{{ inventory_hostname }}.json"
  tasks:
    - block:
        - ansible.builtin.fail:
          when: inventory_hostname in lost
      always:
        - ansible.builtin.include_role:
            name: plumbline.kubernetes.report
          vars:
            report_dest: "{{ playbook_dir }}/report"
"""


def play(folder: Path, lost: list[str]) -> tuple[int, dict[str, t.Any], str]:
    """Exit status, what is in report.json, and what was printed."""
    (folder / "play.yml").write_text(PLAY)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")} | {
        "ANSIBLE_COLLECTIONS_PATH": str(Path(sys.executable).parents[1] / "collections"),
        "ANSIBLE_LOCAL_TEMP": str(folder / "tmp"),
    }
    inventory = {"all": {"hosts": dict.fromkeys(("blue", "green", "red")), "vars": {"ansible_connection": "local"}}}
    (folder / "inventory.yml").write_text(yaml.safe_dump(inventory))
    ran = subprocess.run(
        [
            *(Path(sys.executable).parent / "ansible-playbook", "-i", "inventory.yml", "play.yml"),
            *("-e", json.dumps({"lost": lost})),
        ],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    found: dict[str, t.Any] = json.loads((folder / "report/report.json").read_text())
    return ran.returncode, found, ran.stdout


@pytest.mark.parametrize("lost", [["red"], ["blue", "green", "red"]], ids=["one", "all"])
def test_a_report_is_written_even_when_hosts_failed(lost: list[str], tmp_path: Path) -> None:
    now = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"
    (tmp_path / "blue.json").write_text(json.dumps({**samples.healthy(), "time": now}))
    (tmp_path / "green.json").write_text(json.dumps({**samples.broken(), "time": now}))
    status, found, printed = play(tmp_path, lost)
    assert status == 2
    verdicts = {one["cluster"]: one["verdict"] for one in found["clusters"]}
    assert verdicts == {"blue": "pass", "green": "fail", "red": "error"}
    assert ET.parse(tmp_path / "report/report.xml").getroot().get("errors") == "1"
    assert "3 clusters: 1 without a result, 1 broken, 1 good" in printed
    _status, _found, again = play(tmp_path, lost)
    assert "changed=1" not in again
