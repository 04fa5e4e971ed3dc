# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the role kind_cluster asks kind for, what it reads out of a cluster, and addresses for the load balancer."""

from __future__ import annotations

from pathlib import Path

import jinja2
import pytest
import yaml
from ansible.plugins.test.core import search

ROLE = Path(__file__).parents[3] / "roles/kind_cluster"
VARIABLES = ROLE / "vars/main.yml"
TEMPLATE = ROLE / "templates/addresses.yaml.j2"


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
    found = {"__kind_cluster_subnets": {"stdout_lines": subnets}}
    text = environment.from_string(TEMPLATE.read_text()).render(**found, kind_cluster_ip_family="ipv4")
    advertisement, pool = (item for item in yaml.safe_load_all(text) if item)
    assert pool["spec"]["addresses"] == [expected]
    text = environment.from_string(TEMPLATE.read_text()).render(**found, kind_cluster_ip_family="dual")
    (_advertisement, both) = (item for item in yaml.safe_load_all(text) if item)
    ranges = ["fc00:ac70::ff00:1-fc00:ac70::ff00:1e"] if "fc00:ac70::/64" in subnets else []
    assert both["spec"]["addresses"] == [expected, *ranges]
    assert advertisement["spec"]["ipAddressPools"] == [pool["metadata"]["name"]]


@pytest.mark.parametrize(
    ("ranges", "family"),
    [([["10.244.0.0/24"]], "ipv4"), ([["10.244.0.0/24", "fd00:10:244::/64"]], "dual"), ([], "ipv4")],
)
def test_ip_family_of_a_cluster_is_that_of_its_pods(ranges: list[list[str]], family: str) -> None:
    environment = jinja2.Environment(undefined=jinja2.StrictUndefined, autoescape=False)
    environment.tests["search"] = search
    environment.filters["flatten"] = lambda lists: [item for part in lists for item in part]
    text = yaml.safe_load(VARIABLES.read_text())["__kind_cluster_ip_family"]
    nodes = [{"spec": {"podCIDRs": item}} for item in ranges]
    assert environment.from_string(text).render(__kind_cluster_nodes=nodes).strip() == family


@pytest.mark.parametrize(
    ("cgroup", "workers", "ports", "family"),
    [("1", 2, [30080, 30443], "ipv4"), ("2", 2, [30080, 30443], "ipv4"), ("2", 0, [], "dual"), ("1", 1, [], "dual")],
)
def test_what_kind_is_asked_for(cgroup: str, workers: int, ports: list[int], family: str) -> None:
    environment = jinja2.Environment(trim_blocks=True, undefined=jinja2.StrictUndefined, autoescape=False)
    text = environment.from_string((ROLE / "templates/kind.yaml.j2").read_text()).render(
        __kind_cluster_cgroup={"stdout": cgroup},
        kind_cluster_workers=workers,
        kind_cluster_node_ports=ports,
        kind_cluster_ip_family=family,
    )
    asked = yaml.safe_load(text)
    control_plane, *others = asked["nodes"]
    assert others == [{"role": "worker"}] * workers
    assert control_plane["role"] == "control-plane"
    mappings = [{"containerPort": port, "hostPort": port, "listenAddress": "127.0.0.1"} for port in ports]
    assert (control_plane["extraPortMappings"] or []) == mappings
    assert asked["networking"] == {"ipFamily": family}
    # kubelet does not start on a host of cgroup v1 unless it is told to
    patches = [yaml.safe_load(patch) for patch in asked.get("kubeadmConfigPatches", [])]
    assert patches == [{"kind": "KubeletConfiguration", "failCgroupV1": False}] * (cgroup == "1")
