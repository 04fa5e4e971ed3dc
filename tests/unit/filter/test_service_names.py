# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

import pytest
from ansible.errors import AnsibleFilterError

from ansible_collections.plumbline.kubernetes.plugins.filter.service_names import FilterModule

service_names = FilterModule().filters()["service_names"]

OBJECT = {"metadata": {"name": "web", "namespace": "demo"}}


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("web", "demo"), ["web", "web.demo", "web.demo.svc", "web.demo.svc.cluster.local"]),
        (("web", "demo", "corp.test"), ["web", "web.demo", "web.demo.svc", "web.demo.svc.corp.test"]),
        ((OBJECT,), ["web", "web.demo", "web.demo.svc", "web.demo.svc.cluster.local"]),
        ((OBJECT, "other"), ["web", "web.other", "web.other.svc", "web.other.svc.cluster.local"]),
    ],
)
def test_names(arguments: tuple[t.Any, ...], expected: list[str]) -> None:
    assert service_names(*arguments) == expected


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("web",), "service_names: Service web needs a namespace, as in service_names('demo')"),
        ((["web"], "demo"), "service_names: expected a Service or its name, got list"),
        (("", "demo"), "service_names: expected a Service or its name, got str"),
        (({"metadata": {}}, "demo"), "service_names: expected a Service or its name, got dict"),
    ],
)
def test_what_is_no_service_is_refused(arguments: tuple[t.Any, ...], message: str) -> None:
    with pytest.raises(AnsibleFilterError) as caught:
        service_names(*arguments)
    assert str(caught.value) == message
