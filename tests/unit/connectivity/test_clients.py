# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The layers policy and client: silent about clients that may and can, and what they say of others."""

from __future__ import annotations

import typing as t
from dataclasses import replace

import pytest

from ansible_collections.plumbline.kubernetes.plugins.module_utils.connectivity.checks import client as client_layer
from ansible_collections.plumbline.kubernetes.plugins.module_utils.connectivity.checks import environment
from ansible_collections.plumbline.kubernetes.plugins.module_utils.connectivity.checks import policy as policy_layer
from ansible_collections.plumbline.kubernetes.plugins.module_utils.connectivity.clients import disguise
from ansible_collections.plumbline.kubernetes.plugins.module_utils.connectivity.facts import Facts, reduced
from ansible_collections.plumbline.kubernetes.plugins.module_utils.connectivity.look import (
    EnvironmentReading,
    Look,
    Observation,
)
from ansible_collections.plumbline.kubernetes.plugins.module_utils.connectivity.plan import MOST_STRANGERS
from ansible_collections.plumbline.kubernetes.plugins.module_utils.connectivity.question import (
    Client,
    Expectations,
    Question,
)
from ansible_collections.plumbline.kubernetes.plugins.module_utils.connectivity.result import (
    FAIL,
    INCONCLUSIVE,
    PASS,
    SKIPPED,
    WARN,
    Finding,
)
from ansible_collections.plumbline.kubernetes.plugins.module_utils.connectivity.scope import Probe
from ansible_collections.plumbline.kubernetes.plugins.module_utils.connectivity.snapshot import Container
from ansible_collections.plumbline.kubernetes.tests.unit.connectivity import builders
from ansible_collections.plumbline.kubernetes.tests.unit.connectivity.builders import (
    Break,
    failing,
    look,
    question,
    service,
    snapshot,
)

DENY = {"podSelector": {}, "policyTypes": ["Ingress"]}
LABELS = {"app": "shop", "role": "frontend"}
FROM_SHOP = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "shop"}}}
ROLE = {"podSelector": {"matchLabels": {"role": "frontend"}}}
TO_DNS = {"to": [{"namespaceSelector": {}}], "ports": [{"port": 53, "protocol": p} for p in ("UDP", "TCP")]}


def meta(name: str, namespace: str = "demo", **more: t.Any) -> dict[str, t.Any]:
    return {"name": name, "namespace": namespace, **more}


def policy(name: str = "p", namespace: str = "demo", **spec: t.Any) -> dict[str, t.Any]:
    return reduced({"kind": "NetworkPolicy", "metadata": meta(name, namespace), "spec": {"podSelector": {}, **spec}})


def pod(name: str, namespace: str, labels: dict[str, str], ip: str, *ports: int, **spec: t.Any) -> dict[str, t.Any]:
    body = {
        "kind": "Pod",
        "metadata": meta(name, namespace, uid=f"uid-{name[-1]}", labels=labels),
        "spec": {"containers": [{"name": "c", "ports": [{"containerPort": port} for port in ports]}], **spec},
        "status": {"phase": "Running", "podIP": ip, "podIPs": [{"ip": ip}]},
    }
    return reduced(body)


def namespace(name: str, **labels: str) -> dict[str, t.Any]:
    return {"metadata": {"name": name, "labels": {"kubernetes.io/metadata.name": name, **labels}}}


def shop(kind: str = "Deployment", labels: dict[str, str] | None = None, **spec: t.Any) -> dict[str, t.Any]:
    """The clients' workload."""
    template = {"metadata": {"labels": labels or LABELS}, "spec": {"containers": [{"name": "app"}], **spec}}
    return reduced({"kind": kind, "metadata": meta("shop", "shop"), "spec": {"template": template}})


DNS_SERVICE = {
    "metadata": meta("kube-dns", "kube-system"),
    "spec": {
        "selector": {"k8s-app": "kube-dns"},
        "clusterIPs": ["10.96.0.10"],
        "ports": [{"port": 53, "protocol": p} for p in ("UDP", "TCP")],
    },
}


def facts(**parts: t.Any) -> Facts:
    """A healthy cluster without policies: Service demo/web as in the builders, namespace shop, DNS."""
    plain: dict[str, t.Any] = {
        "policies": (),
        "client_policies": (),
        "dns_policies": (),
        "pods": tuple(pod(f"web-{n}", "demo", {"app": "web"}, f"10.244.{n}.5", 80) for n in (1, 2)),
        "client_pods": (pod("shop-1", "shop", LABELS, "10.244.1.9"),),
        "dns_pods": (pod("coredns-1", "kube-system", {"k8s-app": "kube-dns"}, "10.244.0.2", 53),),
        "dns_services": (DNS_SERVICE,),
        "namespaces": (namespace("demo"), namespace("shop", team="a"), namespace("kube-system")),
        "nodes": tuple({"spec": {"podCIDRs": [f"10.244.{n}.0/24"]}} for n in (0, 1, 2)),
        "groups": ({"metadata": {"name": "apps"}},),
        "client_workload": (),
        **dict.fromkeys(("client_services", "client_replicasets", "client_statefulsets", "client_daemonsets"), ()),
    }
    given = {**plain, **parts}
    return Facts(
        {name: bodies for name, bodies in given.items() if not isinstance(bodies, str)},
        {name: why for name, why in given.items() if isinstance(why, str)},
    )


def of_shop(**changes: t.Any) -> Question:
    """Clients in namespace shop; nothing is asked."""
    plain = question(client=Client("shop", image="i"), layers=("policy", "client"), workload="Deployment shop")
    return replace(plain, **changes)


def at(asked: Question, known: Facts, broken: Break | None = None) -> Look:
    return look(asked=asked, broken=broken, facts=known)


def found(layer: t.Any, of: Look, *statuses: str) -> dict[str, Finding]:
    """Findings of these statuses by id and field."""
    return {finding.id: finding for finding in layer.check(of) if finding.status in (statuses or (FAIL, WARN))}


# ----- policy


@pytest.mark.parametrize(
    "parts",
    [
        pytest.param({}, id="no policy"),
        pytest.param({"policies": (policy(podSelector={"matchLabels": {"app": "db"}}),)}, id="for other pods"),
        pytest.param(
            {"policies": (policy(**DENY), policy("in", ingress=[{"from": [FROM_SHOP], "ports": [{"port": 80}]}]))},
            id="denied by default, allowed by name",
        ),
        pytest.param({"policies": (policy(ingress=[{"from": [{**FROM_SHOP, **ROLE}]}]),)}, id="both selectors"),
        pytest.param(
            {"client_policies": (policy("out", "shop", egress=[TO_DNS, {"to": [{"namespaceSelector": {}}]}]),)},
            id="egress to everybody in the cluster",
        ),
        pytest.param({"policies": (policy(ingress=[{"from": [{"ipBlock": {"cidr": "10.244.0.0/16"}}]}]),)}, id="pods"),
        pytest.param(
            {"policies": (policy(ingress=[{"from": [{"ipBlock": {"cidr": "10.244.1.0/24"}}]}]),)}, id="perhaps"
        ),
        pytest.param(
            {
                "policies": (policy(ingress=[{"from": [{"namespaceSelector": {"matchLabels": {"team": "a"}}}]}]),),
                "namespaces": "cannot list namespaces",
            },
            id="labels of namespaces are not known",
        ),
        pytest.param({"policies": "cannot list networkpolicies in namespace demo"}, id="no right to policies"),
        pytest.param({"dns_services": (), "dns_pods": "cannot list pods in namespace kube-system"}, id="no DNS"),
        pytest.param({"groups": ({"metadata": {"name": "cilium.io"}},)}, id="policies of another kind"),
        pytest.param({"client_workload": (shop(hostNetwork=True),), "policies": (policy(**DENY),)}, id="host network"),
    ],
)
def test_clients_that_may_are_no_finding(parts: dict[str, t.Any]) -> None:
    of = at(of_shop(), facts(**{"client_workload": (shop(),), **parts}))
    assert not found(policy_layer, of, FAIL, WARN, INCONCLUSIVE)


DENIED = [
    pytest.param(
        {"policies": (policy("deny-all", **DENY),)},
        ("PO-03", "policy/demo/deny-all", "NetworkPolicy demo/deny-all does not let Deployment shop/shop in to port"),
        "it has no ingress rule",
        id="default deny",
    ),
    pytest.param(
        {"policies": (policy(ingress=[{"ports": [{"port": 8080}]}]),)},
        ("PO-03", "policy/demo/p", "does not let Deployment shop/shop in to port 80/TCP of Service demo/web"),
        "it allows port 8080/TCP (the pods: 80/TCP)",
        id="another port",
    ),
    pytest.param(
        {
            "policies": (
                policy("far", **DENY),
                policy(ingress=[{"from": [{**FROM_SHOP, "podSelector": {"matchLabels": {"role": "fronted"}}}]}]),
            )
        },
        ("PO-03", "policy/demo/p", "does not let Deployment shop/shop in"),
        "it allows traffic from pods with role=fronted of namespace shop (Deployment shop/shop: role=frontend)",
        id="the nearest of two",
    ),
    pytest.param(
        {"client_policies": (policy("out", "shop", egress=[TO_DNS]),)},
        ("PO-02", "policy/shop/out", "NetworkPolicy shop/out does not let Deployment shop/shop out to port 80/TCP"),
        "it allows port 53/UDP, port 53/TCP (the pods: 80/TCP)",
        id="egress to DNS only",
    ),
    pytest.param(
        {"client_policies": (policy("out", "shop", egress=[{"ports": [{"port": 80}]}]),)},
        ("PO-02", "policy/shop/out", "NetworkPolicy shop/out keeps Deployment shop/shop from the DNS servers"),
        "it allows port 80/TCP (the DNS servers: 53/UDP)",
        id="egress without DNS",
    ),
    pytest.param(
        {"dns_policies": (policy("lock", "kube-system", **DENY),)},
        ("PO-02", "policy/kube-system/lock", "keeps Deployment shop/shop from the DNS servers"),
        "it has no ingress rule",
        id="a policy at the DNS servers",
    ),
]


@pytest.mark.parametrize(("parts", "expected", "why"), DENIED)
def test_a_policy_that_is_in_the_way_is_named(
    parts: dict[str, t.Any], expected: tuple[str, str, str], why: str
) -> None:
    known = facts(**{"client_workload": (shop(),), **parts})
    (finding,) = [one for one in policy_layer.check(at(of_shop(), known)) if one.complains]
    check, component, message = expected
    assert (finding.id, finding.status, finding.component) == (check, FAIL, component)
    assert message in finding.message
    assert finding.observed == why


@pytest.mark.parametrize(("parts", "expected", "why"), DENIED)
@pytest.mark.parametrize("asked", [of_shop(), of_shop(workload="")], ids=["workload", "probe"])
def test_the_policy_that_is_proposed_lets_the_client_through(
    parts: dict[str, t.Any], expected: t.Any, why: str, asked: Question
) -> None:
    del expected, why
    known = facts(**{"client_workload": (shop(),), **parts})
    complaints = [one for one in policy_layer.check(at(asked, known)) if one.complains]
    assert complaints
    added = [reduced(one.evidence["manifest"]) for one in complaints]
    places = {"demo": "policies", "shop": "client_policies", "kube-system": "dns_policies"}
    more = {
        part: known.all(part) + tuple(body for body in added if body["metadata"]["namespace"] == space)
        for space, part in places.items()
    }
    assert not found(policy_layer, at(asked, replace(known, parts={**known.parts, **more})))


def misspelt(value: str, *policies: dict[str, t.Any], **asked: t.Any) -> Look:
    """A Service whose selector selects no pod, of pods that the policies select."""
    strangers = tuple(builders.pod(number) for number in (1, 2))
    seen = replace(builders.snapshot((), service(selector=(("app", value),))), strangers=strangers)
    known = facts(policies=policies, client_workload=(shop(),))
    return look(seen, of_shop(**asked), facts=known)


def test_a_selector_that_selects_nothing_hides_no_policy() -> None:
    seen = found(policy_layer, misspelt("wep", policy("deny", **DENY)))
    assert seen["PO-03"].evidence["manifest"]["spec"]["podSelector"] == {"matchLabels": {"app": "web"}}
    told = found(policy_layer, misspelt("wep", policy("deny", **DENY)), PASS)
    assert "are selected by demo/deny" in told["PO-01"].message
    assert "PO-03" not in told


def test_nothing_is_said_of_pods_that_are_not_known() -> None:
    seen = misspelt("nothing-like-it", policy("deny", **DENY))
    assert {"PO-01", "PO-03"} <= found(policy_layer, seen, SKIPPED).keys()
    assert not {"PO-01", "PO-03"} & found(policy_layer, seen, PASS, FAIL).keys()


@pytest.mark.parametrize("value", ["wep", "web"])
def test_who_must_be_refused_is_judged_by_the_pods_that_were_meant(value: str) -> None:
    """No policy selects them, whatever the selector says."""
    asked = {"workload": "", "expect": Expectations(refused_from=(("other", {}),))}
    assert found(policy_layer, misspelt(value, **asked), FAIL)["PO-06"].message.endswith("and must not")


def test_dns_over_tcp_alone_is_advice() -> None:
    udp = {"ports": [{"port": 53, "protocol": "UDP"}]}
    known = facts(client_policies=(policy("out", "shop", egress=[udp, {"to": [{"namespaceSelector": {}}]}]),))
    assert not found(policy_layer, at(of_shop(workload=""), known))
    known = facts(client_policies=(policy("out", "shop", egress=[udp, {"ports": [{"port": 80}]}]),))
    findings = found(policy_layer, at(of_shop(workload=""), known), SKIPPED)
    assert "over TCP" in findings["PO-02"].message


def test_a_cache_on_the_node_is_asked_instead_of_the_dns_servers() -> None:
    cache = pod("cache-1", "kube-system", {"k8s-app": "node-local-dns"}, "172.18.0.2", 53, hostNetwork=True)
    parts = {"client_policies": (policy("out", "shop", egress=[{"ports": [{"port": 80}]}]),)}
    known = facts(**parts, dns_pods=(*facts().all("dns_pods"), cache))
    assert not found(policy_layer, at(of_shop(workload=""), known))


@pytest.mark.parametrize(
    ("parts", "check", "message"),
    [
        ({"policies": "cannot list networkpolicies in namespace demo"}, "PO-03", "cannot list networkpolicies"),
        ({"client_policies": "cannot list networkpolicies in namespace shop"}, "PO-02", "cannot list networkpolicies"),
        ({"groups": ({"metadata": {"name": "cilium.io"}},)}, "PO-07", "CiliumNetworkPolicy is not modelled"),
        ({"policies": (policy(podSelector={"matchLabels": {"app": "wbe"}}),)}, "PO-05", "none has app=wbe"),
        (
            {"policies": (policy(ingress=[{"from": [{"ipBlock": {"cidr": "10.244.1.0/24"}}]}]),)},
            "PO-03",
            "what demo/p make of the client is not known: they name blocks of addresses",
        ),
    ],
)
def test_what_is_not_judged_is_said(parts: dict[str, t.Any], check: str, message: str) -> None:
    assert message in found(policy_layer, at(of_shop(workload=""), facts(**parts)), SKIPPED)[check].message


@pytest.mark.parametrize(
    ("broken", "expected"),
    [
        pytest.param(lambda _p, good: good, {("PO-04", WARN), ("PO-03", SKIPPED)}, id="not enforced"),
        pytest.param(
            lambda p, good: failing("timeout") if p.purpose == "direct" else good,
            {("PO-04", PASS), ("PO-03", FAIL)},
            id="enforced",
        ),
        pytest.param(
            lambda p, good: failing("timeout") if p.purpose == "direct" and p.vantage.node == "node-1" else good,
            {("PO-04", WARN), ("PO-03", FAIL)},
            id="enforced on one node",
        ),
    ],
)
def test_what_the_probes_saw_has_the_last_word(broken: Break, expected: set[tuple[str, str]]) -> None:
    of = at(question(layers=("policy", "http")), facts(policies=(policy(**DENY),)), broken)
    findings = policy_layer.check(of)
    assert {(one.id, one.status) for one in findings if one.id in ("PO-03", "PO-04")} == expected


@pytest.mark.parametrize(
    ("broken", "expected"),
    [
        (lambda _p, good: good, {("PO-04", WARN), ("PO-02", SKIPPED), ("PO-03", PASS)}),
        (
            lambda p, good: failing("timeout") if p.purpose == "dns" else good,
            {("PO-04", PASS), ("PO-02", FAIL), ("PO-03", PASS)},
        ),
    ],
)
def test_that_names_resolve_acquits_policies_that_deny_dns(broken: Break, expected: set[tuple[str, str]]) -> None:
    out = policy("out", egress=[{"ports": [{"port": 80}]}], policyTypes=["Egress"])
    servers = tuple(pod(f"coredns-{n}", "kube-system", {"k8s-app": "kube-dns"}, f"10.244.0.{n}", 53) for n in (2, 3))
    servers = tuple({**body, "metadata": {**body["metadata"], "uid": body["metadata"]["name"]}} for body in servers)
    of = at(question(layers=("policy", "dns", "http")), facts(client_policies=(out,), dns_pods=servers), broken)
    findings = policy_layer.check(of)
    assert {(one.id, one.status) for one in findings if one.id in ("PO-02", "PO-03", "PO-04")} == expected


def test_a_timeout_of_what_policies_allow_says_nothing_about_them() -> None:
    of = at(question(layers=("policy", "http")), facts(), lambda _probe, _good: failing("timeout"))
    assert not found(policy_layer, of, FAIL, WARN, INCONCLUSIVE)


@pytest.mark.parametrize(
    ("parts", "refused", "status"),
    [
        ({}, ("other", {}), FAIL),  # no policy: everybody may
        ({"groups": ({"metadata": {"name": "cilium.io"}},)}, ("other", {}), INCONCLUSIVE),
        ({"policies": (policy(**DENY),)}, ("other", {}), PASS),
        ({"policies": (policy(ingress=[{"from": [FROM_SHOP]}]),)}, ("other", {}), PASS),
        ({"policies": (policy(ingress=[{"from": [FROM_SHOP]}]),)}, ("shop", {"app": "x"}), FAIL),
        ({"policies": (policy(ingress=[{"from": [{**FROM_SHOP, **ROLE}]}]),)}, ("shop", {"app": "x"}), PASS),
        (
            {"policies": (policy(ingress=[{"from": [{"ipBlock": {"cidr": "10.244.1.0/24"}}]}]),)},
            ("other", {}),
            INCONCLUSIVE,
        ),
    ],
)
def test_clients_that_must_be_refused(
    parts: dict[str, t.Any], refused: tuple[str, dict[str, str]], status: str
) -> None:
    asked = of_shop(expect=Expectations(refused_from=(refused,)), workload="")
    findings = [one for one in policy_layer.check(at(asked, facts(**parts))) if one.id == "PO-06"]
    assert [one.status for one in findings] == [status]


def test_a_network_that_enforces_nothing_refuses_nobody() -> None:
    assert found(policy_layer, at(TRIED, facts(policies=(policy(**DENY),))), FAIL)["PO-06"].cause


TRIED = question(
    client=Client("demo", {"app": "friend"}),
    layers=("policy", "http"),
    expect=Expectations(refused_from=(("other", {"app": "x"}),)),
)
ONLY_FRIENDS = {"policies": (policy(ingress=[{"from": [{"podSelector": {"matchLabels": {"app": "friend"}}}]}]),)}


def stranger(kind: str, detail: str = "", only: str = "") -> Break:
    """What one that must be refused sees; everybody else is answered."""

    def broken(probe: Probe, good: Observation) -> Observation:
        if probe.purpose != "refused" or only not in probe.target:
            return good
        return replace(good, kind=kind, detail=detail or f"connecting to {probe.target}", value={"classes": {kind: 1}})

    return broken


def everybody(kind: str) -> Break:
    return lambda p, good: failing(kind) if p.purpose in ("refused", "direct", "cluster_ip") else good


def lost(probe: Probe, good: Observation) -> Observation | None:
    return None if probe.vantage.namespace == "other" else good


@pytest.mark.parametrize(
    ("parts", "broken", "status", "words"),
    [
        pytest.param({}, stranger("timeout"), PASS, "no NetworkPolicy of the Service's", id="kept out otherwise"),
        pytest.param(ONLY_FRIENDS, stranger("timeout"), PASS, "get no answer from Service demo/web", id="kept out"),
        pytest.param(ONLY_FRIENDS, stranger("refused"), PASS, "tried at 10.244.1.5:80, 10.96.1.1:80", id="rejected"),
        pytest.param({}, None, FAIL, "must not reach Service demo/web, but 10.96.1.1:80 answered HTTP 200", id="in"),
        pytest.param(ONLY_FRIENDS, None, FAIL, "answered HTTP 200", id="not enforced"),
        pytest.param(
            ONLY_FRIENDS, stranger("timeout", only="10.244"), FAIL, "10.96.1.1:80 answered HTTP 200", id="one way in"
        ),
        pytest.param(ONLY_FRIENDS, stranger("scheme", "it speaks TLS"), FAIL, "it speaks TLS", id="another protocol"),
        pytest.param(ONLY_FRIENDS, stranger("timeout", "waiting for the header"), INCONCLUSIVE, "not known", id="slow"),
        pytest.param(ONLY_FRIENDS, stranger("reset"), INCONCLUSIVE, "not known", id="hung up on"),
        pytest.param(ONLY_FRIENDS, stranger("deadline"), INCONCLUSIVE, "not known", id="no time"),
        pytest.param(ONLY_FRIENDS, everybody("timeout"), INCONCLUSIVE, "not known", id="nobody is answered"),
        pytest.param(ONLY_FRIENDS, lost, INCONCLUSIVE, "it could not be tried", id="no probe"),
        pytest.param({}, lost, FAIL, "may reach Service demo/web, and must not", id="no probe, and none is needed"),
    ],
)
def test_who_must_be_refused_is_tried(parts: dict[str, t.Any], broken: Break | None, status: str, words: str) -> None:
    findings = [one for one in policy_layer.check(at(TRIED, facts(**parts), broken)) if one.id == "PO-06"]
    assert [one.status for one in findings if one.status != SKIPPED] == [status]
    assert words in findings[0].message
    assert "pods with app=x of namespace other" in findings[0].message


def test_where_no_probe_may_be_started_the_policies_are_judged_and_it_is_said() -> None:
    of = at(TRIED, facts(**ONLY_FRIENDS), lost)
    of = replace(of, lost={of.plan.strangers[0].vantage: "cannot create jobs in namespace other"})
    said = {one.status: one.message for one in policy_layer.check(of) if one.id == "PO-06"}
    assert said.keys() == {PASS, SKIPPED}
    assert "cannot create jobs in namespace other" in said[SKIPPED]


def test_what_a_stranger_was_denied_tells_whether_policies_are_enforced() -> None:
    assert [one.status for one in enforcement(TRIED, stranger("timeout"))] == [PASS]
    # A promise that is not kept harms, other than a policy that merely does nothing.
    assert [(one.status, one.component) for one in enforcement(TRIED, None)] == [(FAIL, "enforcement")]
    assert enforcement(replace(TRIED, ask=False), None) == []


def enforcement(asked: Question, broken: Break | None) -> list[Finding]:
    return [one for one in policy_layer.check(at(asked, facts(**ONLY_FRIENDS), broken)) if one.id == "PO-04"]


def test_not_every_client_is_tried() -> None:
    many = tuple(("other", {"app": f"x{number}"}) for number in range(MOST_STRANGERS + 2))
    of = at(replace(TRIED, expect=Expectations(refused_from=many)), facts(**ONLY_FRIENDS), stranger("timeout"))
    assert len(of.plan.strangers) == MOST_STRANGERS
    said = [one for one in policy_layer.check(of) if one.id == "PO-06"]
    assert [one.status for one in said].count(PASS) == len(many)
    assert [one.status for one in said].count(SKIPPED) == 2


# ----- client


def test_nothing_is_said_of_clients_that_nobody_named() -> None:
    assert client_layer.check(at(of_shop(workload=""), facts())) == []


@pytest.mark.parametrize(
    "body",
    [
        shop(),
        shop(dnsPolicy="ClusterFirst"),
        shop(dnsPolicy="ClusterFirstWithHostNet", hostNetwork=True),
        shop(dnsPolicy="ClusterFirst", dnsConfig={"options": [{"name": "ndots", "value": "2"}]}),
        shop(
            dnsPolicy="None",
            dnsConfig={
                "nameservers": ["10.96.0.10"],
                "searches": ["shop.svc.cluster.local", "svc.cluster.local", "cluster.local"],
            },
        ),
        shop(hostAliases=[{"ip": "10.0.0.1", "hostnames": ["db", "web"]}]),  # web alone is not its name there
        shop(hostAliases=[{"ip": "10.96.1.1", "hostnames": ["web.demo"]}]),  # the Service's own address
        shop(containers=[{"name": "app", "env": [{"name": "HTTP_PROXY"}, {"name": "no_proxy"}]}]),
        shop(enableServiceLinks=False),
    ],
)
def test_a_client_that_is_set_up_well_is_no_finding(body: dict[str, t.Any]) -> None:
    assert not found(client_layer, at(of_shop(), facts(client_workload=(body,))), FAIL, WARN, INCONCLUSIVE)


@pytest.mark.parametrize(
    ("spec", "check", "status", "observed"),
    [
        ({"dnsPolicy": "Default"}, "CL-02", FAIL, "Default"),
        ({"hostNetwork": True}, "CL-02", FAIL, "ClusterFirst with hostNetwork"),
        ({"dnsPolicy": "None", "dnsConfig": {"nameservers": ["9.9.9.9"]}}, "CL-02", FAIL, "9.9.9.9"),
        (
            {"dnsPolicy": "None", "dnsConfig": {"nameservers": ["10.96.0.10"], "searches": ["example.org"]}},
            "CL-02",
            WARN,
            ["example.org"],
        ),
        ({"hostAliases": [{"ip": "10.9.9.9", "hostnames": ["web.demo.svc"]}]}, "CL-03", FAIL, "10.9.9.9"),
        (
            {"containers": [{"name": "app", "env": [{"name": "https_proxy", "value": "x"}]}]},
            "CL-04",
            WARN,
            ["https_proxy"],
        ),
    ],
)
def test_a_client_that_cannot_find_the_service(
    spec: dict[str, t.Any], check: str, status: str, observed: t.Any
) -> None:
    findings = found(client_layer, at(of_shop(), facts(client_workload=(shop(**spec),))))
    assert {key: (one.status, one.observed, one.component) for key, one in findings.items()} == {
        check: (status, observed, "client")
    }


def test_a_workload_that_is_not_there() -> None:
    (finding,) = client_layer.check(at(of_shop(), facts()))
    assert (finding.id, finding.status, finding.object) == ("CL-01", FAIL, "Deployment shop/shop")
    (finding,) = client_layer.check(at(of_shop(), facts(client_workload="cannot get deployments in namespace shop")))
    assert (finding.id, finding.status) == ("CL-01", SKIPPED)


def test_what_is_for_information_is_no_complaint() -> None:
    meshed = pod("shop-1", "shop", LABELS, "10.244.1.9", initContainers=[{"name": "istio-proxy"}])
    asked = of_shop(client=Client("demo"), workload="Deployment shop")
    body = shop(containers=[{"name": "app", "env": [{"name": "WEB_SERVICE_HOST", "value": "10.1.1.1"}]}])
    findings = found(client_layer, at(asked, facts(client_workload=(body,), client_pods=(meshed,))), SKIPPED)
    assert "are in the mesh of Istio, those of Service demo/web are not" in findings["CL-05"].message
    assert "sets WEB_SERVICE_HOST itself" in findings["CL-06"].message


def test_one_side_in_a_mesh_is_told_from_either_side() -> None:
    """A sidecar is an ordinary container, or one that starts before the others."""
    sidecar = Container("istio-proxy")
    meshed = snapshot([replace(builders.pod(number), sidecars=(sidecar,)) for number in (1, 2)])
    plain = pod("shop-1", "shop", LABELS, "10.244.1.9")
    inside = reduced({**plain, "spec": {"containers": [{"name": "c"}, {"name": "istio-proxy"}]}})
    known = {
        name: facts(client_workload=(shop(),), client_pods=(body,)) for name, body in (("out", plain), ("in", inside))
    }
    assert "CL-05" not in found(client_layer, look(meshed, of_shop(), facts=known["in"]), SKIPPED)
    told = found(client_layer, look(meshed, of_shop(), facts=known["out"]), SKIPPED)["CL-05"].message
    assert told.startswith(
        "the pods of Service demo/web are in the mesh of Istio, those of Deployment shop/shop are not"
    )
    told = found(client_layer, look(asked=of_shop(), facts=known["in"]), SKIPPED)["CL-05"].message
    assert told.startswith(
        "the pods of Deployment shop/shop are in the mesh of Istio, those of Service demo/web are not"
    )


# ----- variables of running containers

RIGHT = environment.variables(service())
MOVED = {**RIGHT, "WEB_SERVICE_HOST": "10.96.7.7"}


@pytest.mark.parametrize(
    ("reading", "status", "words"),
    [
        pytest.param({"values": RIGHT}, PASS, "equal Service demo/web", id="right"),
        pytest.param({"values": MOVED}, WARN, "has variables of an earlier Service demo/web", id="stale"),
        pytest.param({"values": {}}, SKIPPED, "has no variables of Service demo/web", id="older than the Service"),
        pytest.param(
            {"verdict": "skipped", "detail": "the image has no sh"}, SKIPPED, "the image has no sh", id="no sh"
        ),
        pytest.param({"verdict": "undecided", "detail": "broken"}, INCONCLUSIVE, "not read: broken", id="no answer"),
    ],
)
def test_a_client_with_variables_of_an_earlier_service_is_led_astray(
    reading: dict[str, t.Any], status: str, words: str
) -> None:
    running = replace(builders.pod(1), name="shop-1", owner="Deployment shop")
    asked = of_shop(client=Client("demo", image="i"))
    seen = at(asked, facts(client_workload=(shop(),)))
    seen = replace(seen, clients=(EnvironmentReading(running, "nginx", **reading),))
    said = found(client_layer, seen, PASS, WARN, SKIPPED, INCONCLUSIVE)["CL-08"]
    assert (said.status, said.component) == (status, "client" if status == WARN else "")
    assert words in said.message
    assert (said.observed == {"WEB_SERVICE_HOST": "10.96.7.7"}) == (status == WARN)


# ----- what the probe wears


@pytest.mark.parametrize(
    ("parts", "worn", "why"),
    [
        pytest.param({}, LABELS, "", id="all"),
        pytest.param(
            {"client_services": ({"spec": {"selector": {"app": "shop"}}},)}, {"role": "frontend"}, "", id="a Service"
        ),
        pytest.param(
            {"client_daemonsets": ({"spec": {"selector": {"matchLabels": LABELS}}},)}, {}, "", id="a DaemonSet"
        ),
        pytest.param({"client_services": ({"spec": {}},)}, LABELS, "", id="a Service without a selector"),
        pytest.param(
            {"client_services": ({"spec": {"selector": {"app": "shop", "x": "y"}}},)}, LABELS, "", id="another Service"
        ),
        pytest.param({"client_services": "cannot list services in namespace shop"}, {}, "", id="not known"),
        pytest.param(
            {"client_services": ({"spec": {"selector": {"role": "frontend"}}},), "policies": (policy(**DENY),)},
            {"app": "shop"},
            "",
            id="denied as well",
        ),
        pytest.param(
            {
                "client_services": ({"spec": {"selector": {"role": "frontend"}}},),
                "policies": (policy(ingress=[{"from": [{**FROM_SHOP, **ROLE}]}]),),
            },
            {},
            "a selector there asks for role",
            id="a policy tells them apart",
        ),
        pytest.param(
            {
                "client_services": "cannot list services in namespace shop",
                "policies": (policy(ingress=[{"from": [{**FROM_SHOP, **ROLE}]}]),),
            },
            {},
            "cannot list services in namespace shop",
            id="a policy would, and nobody knows",
        ),
        pytest.param(
            {"client_workload": (shop(hostNetwork=True),), "policies": (policy(**DENY),)},
            {},
            "it uses the network of its node",
            id="host network",
        ),
        pytest.param({"client_workload": ()}, {}, "", id="no workload"),
    ],
)
def test_the_probe_wears_what_nothing_selects(parts: dict[str, t.Any], worn: dict[str, str], why: str) -> None:
    labels, reason = disguise(of_shop(), facts(**{"client_workload": (shop(),), **parts}), service())
    assert labels == worn
    assert reason.endswith(why)
    assert bool(reason) == bool(why)


# ----- private keys

MOUNTED = {"volumes": [{"name": "v", "secret": {"secretName": "web-tls"}}]}
ONLY_CA = {"volumes": [{"name": "v", "secret": {"secretName": "web-tls", "items": [{"key": "ca.crt", "path": "c"}]}}]}
BY_VARIABLE = {
    "containers": [
        {"name": "app", "env": [{"name": "K", "valueFrom": {"secretKeyRef": {"name": "web-tls", "key": "tls.key"}}}]}
    ]
}
SERVING = tuple(pod(f"web-{n}", "demo", {"app": "web"}, f"10.244.{n}.5", 80, **MOUNTED) for n in (1, 2))
PAIR = reduced(
    {"kind": "Secret", "metadata": meta("web-tls"), "type": "kubernetes.io/tls", "data": {"tls.key": "eA=="}}
)
TEXT = reduced({"kind": "Secret", "metadata": meta("web-tls"), "type": "Opaque", "data": {"word": "eA=="}})


@pytest.mark.parametrize(
    ("spec", "known", "status"),
    [
        pytest.param(MOUNTED, {"pods": SERVING, "secrets": (PAIR,)}, WARN, id="it mounts what the pods serve with"),
        pytest.param(BY_VARIABLE, {"pods": SERVING, "secrets": (PAIR,)}, WARN, id="it has the key in a variable"),
        pytest.param(ONLY_CA, {"pods": SERVING, "secrets": (PAIR,)}, PASS, id="the CA certificate alone"),
        pytest.param({}, {"pods": SERVING, "secrets": (PAIR,)}, PASS, id="it mounts nothing"),
        pytest.param(MOUNTED, {"secrets": (PAIR,)}, PASS, id="the pods serve with another one"),
        pytest.param(MOUNTED, {"pods": SERVING, "secrets": (TEXT,)}, PASS, id="no pair"),
        pytest.param(MOUNTED, {"secrets": "cannot get secrets"}, SKIPPED, id="no right"),
    ],
)
def test_a_client_needs_no_private_key(spec: dict[str, t.Any], known: dict[str, t.Any], status: str) -> None:
    asked = of_shop(client=Client("demo", image="i"))
    seen = at(asked, facts(client_workload=(shop(**spec),), **known))
    assert found(client_layer, seen, PASS, SKIPPED, WARN)["TL-20"].status == status


def test_the_pods_of_the_service_need_theirs_and_secrets_stay_in_their_namespace() -> None:
    known = facts(client_workload=(shop(**MOUNTED),), pods=SERVING, secrets=(PAIR,))
    for asked in (of_shop(), of_shop(client=Client("demo", image="i"), workload="Deployment web")):
        assert "TL-20" not in found(client_layer, at(asked, known), PASS, SKIPPED, WARN)
