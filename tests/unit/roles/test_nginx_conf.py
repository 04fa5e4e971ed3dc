# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""nginx's configuration as the role nginx writes it."""

from __future__ import annotations

from pathlib import Path

import jinja2
import pytest

TEMPLATE = Path(__file__).parents[3] / "roles/nginx/templates/default.conf.j2"


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
    assert listens(nginx_port=port, nginx_ipv6=ipv6, nginx_tls=False) == expected


def test_listens_with_tls_on_each_family_only_with_a_secret() -> None:
    given = {"nginx_port": 80, "nginx_tls_port": 443, "nginx_tls": True}
    assert listens(**given, nginx_ipv6=False)[-1] == "listen 443 ssl default_server;"
    assert listens(**given, nginx_ipv6=True)[-2:] == [
        "listen 443 ssl default_server;",
        "listen [::]:443 ssl default_server;",
    ]
