# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What has changed since a good day."""

from __future__ import annotations

import json
import typing as t
from dataclasses import replace

import pytest

from ansible_collections.plumbline.kubernetes.plugins.module_utils.connectivity.diagnose.drift import (
    digest,
    drift,
    recorded,
    state,
)
from ansible_collections.plumbline.kubernetes.plugins.module_utils.connectivity.facts import Facts
from ansible_collections.plumbline.kubernetes.plugins.module_utils.connectivity.look import Look
from ansible_collections.plumbline.kubernetes.plugins.module_utils.kube.errors import OptionError
from ansible_collections.plumbline.kubernetes.tests.unit.connectivity import builders as b

CERTIFICATE = {"where": "port 443", "serial": "1a", "not_after": "2026-12-31T00:00:00Z"}


def deployment(image: str) -> dict[str, t.Any]:
    template = {"spec": {"containers": [{"name": "nginx", "image": image}]}}
    return {
        "kind": "Deployment",
        "metadata": {"name": "web", "namespace": "demo"},
        "spec": {"replicas": 2, "template": template},
    }


def policy(port: int) -> dict[str, t.Any]:
    spec = {"podSelector": {}, "ingress": [{"ports": [{"port": port}]}]}
    return {"kind": "NetworkPolicy", "metadata": {"name": "in", "namespace": "demo"}, "spec": spec}


COREFILE = {
    "kind": "ConfigMap",
    "metadata": {"name": "coredns", "namespace": "kube-system"},
    "text": ".:53 {\n    cache 30\n}\n",
}


def good_day() -> Look:
    facts = Facts({"deployments": (deployment("nginx:1"),), "policies": (policy(80),), "corefiles": (COREFILE,)})
    return replace(b.look(asked=b.question(causes=True)), facts=facts)


def test_nothing_has_changed() -> None:
    before, after = state(good_day(), [CERTIFICATE]), state(good_day(), [CERTIFICATE])
    assert drift(before, after) == []
    assert recorded(json.dumps({"state": before}), "x.json") == before


def changed_image(look: Look) -> Look:
    return replace(look, facts=Facts({**look.facts.parts, "deployments": (deployment("nginx:2"),)}))


def changed_policy(look: Look) -> Look:
    return replace(look, facts=Facts({**look.facts.parts, "policies": (policy(81),)}))


def lost_policy(look: Look) -> Look:
    return replace(look, facts=Facts({**look.facts.parts, "policies": ()}))


def changed_corefile(look: Look) -> Look:
    corefile = {**COREFILE, "text": ".:53 {\n    cache 5\n}\n"}
    return replace(look, facts=Facts({**look.facts.parts, "corefiles": (corefile,)}))


def lost_corefile(look: Look) -> Look:
    return replace(look, facts=Facts({name: known for name, known in look.facts.parts.items() if name != "corefiles"}))


def another_selector(look: Look) -> Look:
    return replace(look, after=replace(look.after, service=b.service(selector=(("app", "wep"),))))


def an_endpoint_less(look: Look) -> Look:
    return replace(look, after=replace(look.after, endpoints=look.after.endpoints[:1]))


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (changed_image, "workloads.Deployment demo/web.images.nginx: was nginx:1, is nginx:2"),
        (changed_policy, "policies.NetworkPolicy demo/in: was "),
        (changed_corefile, f"dns.configuration.ConfigMap kube-system/coredns: was {digest(COREFILE['text'])}, is "),
        (lost_corefile, "dns.configuration.ConfigMap kube-system/coredns: was "),
        (lost_policy, "policies.NetworkPolicy demo/in: was "),
        (another_selector, "service.selector: was app, web, is app, wep"),
        (an_endpoint_less, "endpoints: was 10.244.1.5 of web-1, 10.244.2.5 of web-2, is 10.244.1.5 of web-1"),
    ],
)
def test_what_has_changed_is_named(change: t.Callable[[Look], Look], line: str) -> None:
    found = drift(state(good_day(), []), state(change(good_day()), []))
    assert any(one.startswith(line) for one in found), found


def test_another_certificate_is_named() -> None:
    found = drift(state(good_day(), [CERTIFICATE]), state(good_day(), [{**CERTIFICATE, "serial": "2b"}]))
    assert found == [
        "certificates.port 443: was serial 1a until 2026-12-31T00:00:00Z, is serial 2b until 2026-12-31T00:00:00Z"
    ]


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"state": null}', '{"state": []}'])
def test_a_file_that_is_no_baseline_is_refused(text: str) -> None:
    with pytest.raises(OptionError, match=r"baseline: .*x\.json"):
        recorded(text, "x.json")
