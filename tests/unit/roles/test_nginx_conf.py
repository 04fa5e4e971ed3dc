# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""nginx's configuration as the role nginx writes it."""

from __future__ import annotations

from pathlib import Path

import jinja2
import pytest
import yaml
from ansible.plugins.test.core import search
from jinja2.nativetypes import NativeEnvironment

ROLE = Path(__file__).parents[3] / "roles/nginx"
TEMPLATE = ROLE / "templates/default.conf.j2"


def listens(**variables: object) -> list[str]:
    # Ansible's own settings for templates.
    environment = jinja2.Environment(trim_blocks=True, undefined=jinja2.StrictUndefined, autoescape=False)
    text = environment.from_string(TEMPLATE.read_text()).render(variables)
    assert text.count("{") == text.count("}")
    return [line.strip() for line in text.splitlines() if line.strip().startswith("listen ")]


@pytest.mark.parametrize(
    ("port", "ipv6", "expected"),
    [
        (80, False, ["listen 80 default_server;"]),
        (8080, True, ["listen 8080 default_server;", "listen [::]:8080 default_server;"]),
    ],
)
def test_listens_on_ipv6_only_when_told(port: int, ipv6: bool, expected: list[str]) -> None:
    assert listens(nginx_port=port, nginx_listen_ipv6=ipv6, nginx_tls=False) == expected


def test_listens_with_tls_on_each_family_only_with_a_secret() -> None:
    given = {"nginx_port": 80, "nginx_tls_port": 443, "nginx_tls": True}
    assert listens(**given, nginx_listen_ipv6=False)[-1] == "listen 443 ssl default_server;"
    assert listens(**given, nginx_listen_ipv6=True)[-2:] == [
        "listen 443 ssl default_server;",
        "listen [::]:443 ssl default_server;",
    ]


V4, V6 = "10.244.0.0/24", "fd00:10:244::/64"


@pytest.mark.parametrize(
    ("given", "nodes", "listens_on_ipv6"),
    [
        ({}, None, False),
        ({}, [], False),
        ({}, [[V4], [V4]], False),
        ({}, [[V4, V6], [V4, V6]], True),
        ({}, [[V6]], True),
        # On one of these nodes nginx would not start.
        ({}, [[V4, V6], [V4]], False),
        ({}, [[V4, V6], []], False),
        ({"nginx_ipv6": True}, None, True),
        ({"nginx_ipv6": False}, [[V6]], False),
    ],
)
def test_ipv6_is_for_clusters_that_have_it_on_each_node(
    given: dict[str, object], nodes: list[list[str]] | None, *, listens_on_ipv6: bool
) -> None:
    # As service_info returns them, or nothing where it was skipped.
    found = {} if nodes is None else {"nodes": [{"pod_cidrs": ranges} for ranges in nodes]}
    environment = NativeEnvironment(undefined=jinja2.StrictUndefined)
    environment.tests["search"] = search
    variables = yaml.safe_load((ROLE / "vars/main.yml").read_text())
    ranges = environment.from_string(variables["nginx_pod_ranges"]).render(nginx_looked=found)
    rendered = environment.from_string(variables["nginx_listen_ipv6"]).render(
        {**given, "nginx_pod_ranges": list(ranges)}
    )
    assert rendered is listens_on_ipv6
