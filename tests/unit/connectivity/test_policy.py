# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""NetworkPolicies: who may reach whom, by the rules of networking.k8s.io/v1; and which rule comes nearest."""

from __future__ import annotations

import ipaddress
import typing as t
from dataclasses import replace

import pytest

from ansible_collections.plumbline.kubernetes.plugins.module_utils.connectivity.policy import (
    EGRESS,
    INGRESS,
    End,
    Flow,
    directions,
    judge,
    matches,
    spell,
)

CLIENT = End(
    "the client",
    "shop",
    {"role": "frontend", "tier": "1"},
    {"kubernetes.io/metadata.name": "shop", "team": "a"},
    networks=(ipaddress.ip_network("10.244.2.0/24"),),
)
PODS = End(
    "the pods",
    "demo",
    {"app": "web"},
    {"kubernetes.io/metadata.name": "demo"},
    networks=(ipaddress.ip_network("10.244.1.5/32"),),
    ports={("http", "TCP"): 8080},
)
FLOW = Flow(CLIENT, PODS, 8080)
FRONTEND = {"podSelector": {"matchLabels": {"role": "frontend"}}}
SHOP = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "shop"}}}


def policy(name: str = "p", namespace: str = "demo", **spec: t.Any) -> dict[str, t.Any]:
    return {"metadata": {"name": name, "namespace": namespace}, "spec": {"podSelector": {}, **spec}}


def ingress(*rules: t.Any, **spec: t.Any) -> dict[str, t.Any]:
    return policy(ingress=list(rules), policyTypes=["Ingress"], **spec)


def rule(*peers: t.Any, ports: t.Any = None) -> dict[str, t.Any]:
    return {**({"from": list(peers)} if peers else {}), **({"ports": ports} if ports else {})}


def port(number: t.Any = None, **more: t.Any) -> dict[str, t.Any]:
    return {**({"port": number} if number is not None else {}), **more}


def block(cidr: str, *holes: str) -> dict[str, t.Any]:
    return {"ipBlock": {"cidr": cidr, **({"except": list(holes)} if holes else {})}}


def expressions(*items: tuple[str, str, list[str] | None]) -> dict[str, t.Any]:
    return {"matchExpressions": [{"key": k, "operator": o, **({"values": v} if v else {})} for k, o, v in items]}


@pytest.mark.parametrize(
    ("found", "allowed"),
    [
        pytest.param([], True, id="no policy"),
        pytest.param([policy(namespace="other", policyTypes=["Ingress"])], True, id="of another namespace"),
        pytest.param([policy(policyTypes=["Egress"])], True, id="of the other direction"),
        pytest.param([ingress(podSelector={"matchLabels": {"app": "db"}})], True, id="selects other pods"),
        pytest.param([ingress()], False, id="default deny"),
        pytest.param([policy()], False, id="default deny, types left out"),
        pytest.param([ingress({})], True, id="an empty rule allows everything"),
        pytest.param([ingress(), ingress({})], True, id="rules of several policies add up"),
        pytest.param([ingress(rule({"podSelector": {}}))], False, id="a podSelector means its own namespace"),
        pytest.param([ingress(rule(FRONTEND))], False, id="the right labels in the wrong namespace"),
        pytest.param([ingress(rule({"namespaceSelector": {}}))], True, id="all namespaces"),
        pytest.param([ingress(rule(SHOP))], True, id="one namespace"),
        pytest.param([ingress(rule({**SHOP, **FRONTEND}))], True, id="both selectors of one peer"),
        pytest.param([ingress(rule({**SHOP, "podSelector": {"matchLabels": {"role": "x"}}}))], False, id="one of both"),
        pytest.param([ingress(rule(FRONTEND, SHOP))], True, id="several peers: any"),
        pytest.param(
            [ingress(rule({"namespaceSelector": expressions(("team", "In", ["a", "b"]))}))], True, id="expression"
        ),
        pytest.param(
            [ingress(rule({"namespaceSelector": expressions(("team", "NotIn", ["a"]))}))], False, id="not in"
        ),
        pytest.param([ingress(rule(ports=[port(8080)]))], True, id="port"),
        pytest.param([ingress(rule(ports=[port(80)]))], False, id="the Service's port is not the pods'"),
        pytest.param([ingress(rule(ports=[port(8000, endPort=8080)]))], True, id="last port of a range"),
        pytest.param([ingress(rule(ports=[port(8000, endPort=8079)]))], False, id="beyond a range"),
        pytest.param([ingress(rule(ports=[port("http")]))], True, id="named port"),
        pytest.param([ingress(rule(ports=[port("web")]))], False, id="named port that the pods do not declare"),
        pytest.param([ingress(rule(ports=[port("http", protocol="UDP")]))], False, id="named port, other protocol"),
        pytest.param([ingress(rule(ports=[port(8080, protocol="UDP")]))], False, id="other protocol"),
        pytest.param([ingress(rule(ports=[port(protocol="TCP")]))], True, id="all ports of the protocol"),
        pytest.param([ingress(rule(ports=[port(protocol="UDP")]))], False, id="all ports of another protocol"),
        pytest.param([ingress(rule(ports=[port(80), port(8080)]))], True, id="several ports: any"),
        pytest.param([ingress(rule(SHOP, ports=[port(80)]))], False, id="peer, but not port"),
        pytest.param([ingress(rule(SHOP, ports=[port(80)]), rule(FRONTEND))], False, id="rules do not add up"),
        pytest.param([ingress(rule(block("10.244.0.0/16")))], True, id="block"),
        pytest.param([ingress(rule(block("10.244.0.0/16", "10.244.2.0/24")))], False, id="in the hole of a block"),
        pytest.param([ingress(rule(block("10.244.0.0/16", "10.244.3.0/24")))], True, id="beside the hole"),
        pytest.param([ingress(rule(block("10.244.0.0/16", "10.244.2.0/28")))], None, id="perhaps in the hole"),
        pytest.param([ingress(rule(block("10.244.2.128/25")))], None, id="perhaps in the block"),
        pytest.param([ingress(rule(block("192.168.0.0/16")))], False, id="other block"),
        pytest.param([ingress(rule(block("fd00::/8")))], False, id="other family"),
        pytest.param([ingress(rule(block("10.244.2.128/25"), SHOP))], True, id="perhaps one, surely another"),
        pytest.param([ingress(rule(block("10.244.2.128/25"), ports=[port(80)]))], False, id="perhaps, but no port"),
    ],
)  # fmt: skip
def test_ingress(found: list[t.Any], allowed: bool | None) -> None:
    assert judge(found, INGRESS, FLOW).allowed is allowed


@pytest.mark.parametrize(
    ("spec", "allowed"),
    [
        pytest.param({"policyTypes": ["Egress"]}, False, id="default deny"),
        pytest.param({"egress": [{}]}, True, id="rule"),
        pytest.param({"egress": []}, True, id="types left out, no rule: ingress only"),
        pytest.param({"egress": [{"to": [{"podSelector": {}}]}]}, False, id="to its own namespace only"),
        pytest.param({"egress": [{"ports": [{"port": "http"}]}]}, True, id="named port of the destination"),
        pytest.param({"egress": [{"to": [{"ipBlock": {"cidr": "10.244.1.5/32"}}]}]}, True, id="address"),
        pytest.param({"egress": [{"to": [{"ipBlock": {"cidr": "10.96.0.0/12"}}]}]}, False, id="Service addresses"),
    ],
)
def test_egress(spec: dict[str, t.Any], allowed: bool) -> None:
    assert judge([policy(namespace="shop", **spec)], EGRESS, FLOW).allowed is allowed


@pytest.mark.parametrize(
    ("source", "found", "allowed"),
    [
        pytest.param({"space": {"kubernetes.io/metadata.name": "shop"}}, SHOP, True, id="its name is known"),
        pytest.param({}, {"namespaceSelector": {"matchLabels": {"team": "z"}}}, False, id="a known label differs"),
        pytest.param({"space": {}}, {"namespaceSelector": {"matchLabels": {"team": "a"}}}, None, id="unknown label"),
        pytest.param(
            {"space": {}}, {"namespaceSelector": {"matchLabels": {"team": "a"}}, **FRONTEND}, None, id="pod fits"
        ),
        pytest.param(
            {"space": {}, "labels": {}},
            {"namespaceSelector": {"matchLabels": {"team": "a"}}, **FRONTEND},
            False,
            id="pod does not fit anyway",
        ),
        pytest.param({"networks": ()}, block("10.0.0.0/8"), None, id="unknown address"),
        pytest.param({"networks": ()}, block("0.0.0.0/0"), True, id="every address"),
        pytest.param({"networks": ()}, block("0.0.0.0/0", "10.0.0.0/8"), None, id="nearly every address"),
    ],
)
def test_what_is_not_known_is_neither_allowed_nor_denied(
    source: dict[str, t.Any], found: dict[str, t.Any], allowed: bool | None
) -> None:
    client = replace(CLIENT, space_known=False, **source)
    assert judge([ingress(rule(found))], INGRESS, replace(FLOW, source=client)).allowed is allowed


@pytest.mark.parametrize(
    ("found", "why"),
    [
        (ingress(), "has no ingress rule"),
        (ingress(rule(SHOP, ports=[port(80)])), "allows port 80/TCP (the pods: 8080/TCP)"),
        (
            ingress(rule(SHOP, ports=[port(8000, endPort=8001), port("x"), port(protocol="UDP")])),
            "allows ports 8000-8001/TCP, port x/TCP, all ports of UDP (the pods: 8080/TCP)",
        ),
        (
            ingress(rule({**SHOP, "podSelector": {"matchLabels": {"role": "fronted"}}})),
            "allows traffic from pods with role=fronted of namespace shop (the client: role=frontend)",
        ),
        (
            ingress(rule(FRONTEND)),
            "allows traffic from pods with role=frontend of namespace demo (the client: namespace shop)",
        ),
        (
            ingress(rule({"namespaceSelector": expressions(("env", "Exists", None))})),
            "allows traffic from all pods of namespaces with env (the client: namespace shop with no env)",
        ),
        (
            ingress(rule({"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "other"}}})),
            "allows traffic from all pods of namespace other (the client: namespace shop)",
        ),
        (
            ingress(rule(block("10.0.0.0/8", "10.244.0.0/16"))),
            "allows traffic from 10.0.0.0/8 except 10.244.0.0/16 (the client: address 10.244.2.0/24)",
        ),
        (  # the nearest of several rules
            ingress(rule(FRONTEND, ports=[port(80)]), rule(FRONTEND)),
            "allows traffic from pods with role=frontend of namespace demo (the client: namespace shop)",
        ),
        (
            ingress(rule(FRONTEND, ports=[port(80)])),
            (
                "allows traffic from pods with role=frontend of namespace demo (the client: namespace shop),"
                " and it allows port 80/TCP (the pods: 8080/TCP)"
            ),
        ),
    ],
)
def test_the_rule_that_comes_nearest(found: dict[str, t.Any], why: str) -> None:
    (denial,) = judge([found], INGRESS, FLOW).denials
    assert denial.why == why
    assert denial.label == "demo/p"


def test_the_nearest_policy_comes_first() -> None:
    near, far = ingress(rule(SHOP, ports=[port(80)])), ingress()
    near["metadata"]["name"], far["metadata"]["name"] = "web-in", "deny-all"
    verdict = judge([far, near], INGRESS, FLOW)
    assert [denial.label for denial in verdict.denials] == ["demo/web-in", "demo/deny-all"]
    assert verdict.selecting == ("demo/deny-all", "demo/web-in")


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({}, (INGRESS,)),
        ({"egress": []}, (INGRESS,)),
        ({"egress": [{}]}, (INGRESS, EGRESS)),
        ({"egress": [{}], "policyTypes": ["Ingress"]}, (INGRESS,)),
        ({"ingress": [{}], "policyTypes": ["Egress"]}, (EGRESS,)),
    ],
)
def test_directions(spec: dict[str, t.Any], expected: tuple[str, ...]) -> None:
    assert directions(policy(**spec)) == expected


@pytest.mark.parametrize(
    ("selector", "labels", "expected", "text"),
    [
        ({}, {}, True, ""),
        ({"matchLabels": {"a": "1", "b": "2"}}, {"a": "1"}, False, "a=1, b=2"),
        (expressions(("a", "In", ["1", "2"])), {"a": "2"}, True, "a in (1, 2)"),
        (expressions(("a", "In", ["1"])), {}, False, "a=1"),
        (expressions(("a", "NotIn", ["1"])), {}, True, "a not in (1)"),
        (expressions(("a", "NotIn", ["1"])), {"a": "1"}, False, "a not in (1)"),
        (expressions(("a", "Exists", None)), {"a": ""}, True, "a"),
        (expressions(("a", "DoesNotExist", None)), {"a": ""}, False, "no a"),
        (expressions(("a", "DoesNotExist", None)), {}, True, "no a"),
    ],
)
def test_selectors(selector: dict[str, t.Any], labels: dict[str, str], expected: bool, text: str) -> None:
    assert matches(selector, labels) is expected
    assert spell(selector) == text
