# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The addresses that the role kind_cluster gives to the load balancer."""

from __future__ import annotations

from pathlib import Path

import jinja2
import pytest
import yaml
from ansible.plugins.test.core import search

TEMPLATE = Path(__file__).parents[3] / "roles/kind_cluster/templates/addresses.yaml.j2"


@pytest.mark.parametrize(
    ("subnets", "expected"),
    [
        (["172.21.0.0/16", "fc00:ac70::/64", ""], "172.21.255.225-172.21.255.254"),
        (["fc00:ac70::/64", "192.168.48.0/20"], "192.168.63.225-192.168.63.254"),
        (["10.0.0.0/8"], "10.255.255.225-10.255.255.254"),
        (["192.0.2.64/26"], "192.0.2.97-192.0.2.126"),
        (["192.0.2.0/28"], "192.0.2.7-192.0.2.14"),
    ],
)
def test_the_last_addresses_but_the_broadcast_one(subnets: list[str], expected: str) -> None:
    # Ansible's own settings for templates.
    environment = jinja2.Environment(trim_blocks=True, undefined=jinja2.StrictUndefined, autoescape=False)
    environment.tests["search"] = search
    text = environment.from_string(TEMPLATE.read_text()).render(__kind_cluster_subnets={"stdout_lines": subnets})
    advertisement, pool = (item for item in yaml.safe_load_all(text) if item)
    assert pool["spec"]["addresses"] == [expected]
    assert advertisement["spec"]["ipAddressPools"] == [pool["metadata"]["name"]]
