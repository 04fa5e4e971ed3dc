# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which workload a Service is meant for."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.plumbline.kubernetes.plugins.module_utils.connectivity.checks import endpoints
from ansible_collections.plumbline.kubernetes.plugins.module_utils.connectivity.facts import Facts
from ansible_collections.plumbline.kubernetes.plugins.module_utils.connectivity.intent import intended, label
from ansible_collections.plumbline.kubernetes.plugins.module_utils.connectivity.question import Expectations
from ansible_collections.plumbline.kubernetes.tests.unit.connectivity.builders import (
    look,
    pod,
    question,
    service,
    snapshot,
)

Labels = dict[str, str]


def workload(name: str, labels: Labels, kind: str = "Deployment") -> dict[str, t.Any]:
    metadata = {"name": name, "namespace": "demo"}
    return {"kind": kind, "metadata": metadata, "spec": {"template": {"metadata": {"labels": labels}, "spec": {}}}}


WEB = workload("web", {"app": "web"})
API = workload("api", {"app": "api"})


@pytest.mark.parametrize(
    ("selector", "pods", "workloads", "owner", "expected"),
    [
        pytest.param({"app": "web"}, 2, [API, WEB], "", ["Deployment web"], id="its pods are selected"),
        pytest.param({"app": "web"}, 0, [API, WEB], "", ["Deployment web"], id="it has no pods, but the labels"),
        pytest.param({"app": "web"}, 2, [API, WEB], "Deployment api", ["Deployment api"], id="the user says so"),
        pytest.param({"app": "web"}, 0, [API, WEB], "Deployment gone", [], id="the user names what is not there"),
        pytest.param({"app": "web2"}, 0, [API, WEB], "", ["Deployment web"], id="a typing error in the value"),
        pytest.param({"run": "web"}, 0, [API, WEB], "", ["Deployment web"], id="another key"),
        pytest.param({"zone": "b"}, 0, [API, WEB], "", ["Deployment web"], id="nothing but the Service's name"),
        pytest.param({"zone": "b"}, 0, [API], "", [], id="nothing alike"),
        pytest.param({}, 0, [WEB], "", [], id="no selector"),
        pytest.param(
            {"app": "shop", "tier": "web"},
            0,
            [workload("one", {"app": "shop", "tier": "api"}), workload("two", {"app": "shop", "tier": "webs"})],
            "",
            ["Deployment two"],
            id="the nearest of two",
        ),
        pytest.param(
            {"app": "webs"},
            0,
            [workload("one", {"app": "web1"}), workload("two", {"app": "web2"})],
            "",
            [],
            id="two are as near",
        ),
        pytest.param(
            {"app": "web"},
            2,
            [
                WEB,
                workload("web-canary", {"app": "web", "track": "canary"}),
                workload("db", {"app": "web"}, "DaemonSet"),
            ],
            "",
            ["DaemonSet db", "Deployment web", "Deployment web-canary"],
            id="all whose templates match",
        ),
    ],
)
def test_intended(
    selector: Labels, pods: int, workloads: list[dict[str, t.Any]], owner: str, expected: list[str]
) -> None:
    parts = {
        part: tuple(body for body in workloads if body["kind"] == kind)
        for part, kind in (("deployments", "Deployment"), ("daemonsets", "DaemonSet"))
    }
    of = service(selector=tuple(sorted(selector.items())))
    seen = snapshot([pod(n + 1) for n in range(pods)], of)
    asked = question(expect=Expectations(owner=owner))
    assert [label(body) for body in intended(look(seen, asked, facts=Facts(parts)))] == expected


@pytest.mark.parametrize(
    ("labels", "cause"),
    [
        ({"app": "web"}, "it fits Deployment web, which has no pods"),
        ({"app": "shop"}, "nearest: 1 pod(s) with app=webb, e.g. web-1"),
    ],
)
def test_no_other_label_is_proposed_where_a_workload_fits_the_selector(labels: Labels, cause: str) -> None:
    strangers = (pod(1, labels=(("app", "webb"),)),)
    seen = snapshot([], service(), strangers=strangers)
    facts = Facts({"deployments": (workload("web", labels),)})
    found = {finding.id: finding for finding in endpoints.check(look(seen, facts=facts))}
    assert found["SV-04"].cause == cause
    assert ("selector" in found["SV-04"].evidence) == cause.startswith("nearest")
