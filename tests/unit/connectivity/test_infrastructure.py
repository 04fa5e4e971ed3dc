# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the cluster needs beside the Service: silent when healthy, and each fault named by its own check."""

from __future__ import annotations

import typing as t
from datetime import timedelta

import pytest

from ansible_collections.plumbline.kubernetes.plugins.module_utils.connectivity import corefile
from ansible_collections.plumbline.kubernetes.plugins.module_utils.connectivity.checks import dns, infrastructure
from ansible_collections.plumbline.kubernetes.plugins.module_utils.connectivity.facts import Facts
from ansible_collections.plumbline.kubernetes.plugins.module_utils.connectivity.result import (
    FAIL,
    PASS,
    SKIPPED,
    WARN,
    Finding,
)
from ansible_collections.plumbline.kubernetes.plugins.module_utils.connectivity.snapshot import Snapshot
from ansible_collections.plumbline.kubernetes.tests.unit.connectivity import bodies as b
from ansible_collections.plumbline.kubernetes.tests.unit.connectivity.builders import (
    NOON,
    endpoint,
    look,
    pod,
    question,
    service,
    snapshot,
)

NOW = "2026-11-23T11:59:55Z"
LOOP = '[FATAL] plugin/loop: Loop (127.0.0.1:40234 -> :53) detected for zone ".", see https://coredns.io/plugins/loop'
UNKNOWN = "/etc/coredns/Corefile:3 - Error during parsing: Unknown directive 'garbage'"
FORBIDDEN = (
    "[ERROR] plugin/kubernetes: Failed to watch: failed to list *v1.EndpointSlice: endpointslices.discovery.k8s.io is "
    'forbidden: User "system:serviceaccount:kube-system:coredns" cannot list resource "endpointslices" in API group'
)
NO_API = (
    '[ERROR] plugin/kubernetes: Failed to watch: Get "https://10.96.0.1:443/api/v1/services": '
    "dial tcp 10.96.0.1:443: i/o timeout"
)
WAITS = '[INFO] plugin/ready: Plugins not ready: "kubernetes"'
UPSTREAM = "[ERROR] plugin/errors: 2 example.org. A: read udp 10.244.0.2:41410->192.0.2.1:53: i/o timeout"
LOADED = "[INFO] plugin/reload: Running configuration SHA512 = 1b22"


def judged(facts: Facts, seen: Snapshot | None = None, **asked: t.Any) -> list[Finding]:
    """The findings of the layer."""
    return infrastructure.check(look(seen, question(layers=("infrastructure",), **asked), facts=facts))


def complaints(facts: Facts, seen: Snapshot | None = None, **asked: t.Any) -> list[tuple[str, str, str]]:
    """Check, status and component of what is accused."""
    return [(f.id, f.status, f.component) for f in judged(facts, seen, **asked) if f.status not in (PASS, SKIPPED)]


def logs(*lines: str) -> dict[str, str]:
    """The log of one DNS server, which told much else before."""
    return {"kube-system/coredns-x-1/coredns": "\n".join((".:53", UPSTREAM, *lines, ""))}


def crashing() -> tuple[b.Body, ...]:
    """DNS servers that do not come up, beside healthy agents."""
    return agents((b.coredns(1, waiting="CrashLoopBackOff"), b.coredns(2, waiting="CrashLoopBackOff")))


def agents(dns: t.Sequence[b.Body], **instead: b.Body | None) -> tuple[b.Body, ...]:
    """The pods of kube-system; `proxy` and `agent` replace or remove those on node-2."""
    found = []
    for kind, make in (("proxy", b.proxy), ("agent", b.agent)):
        for name in b.NODES:
            body = instead.get(kind, make(name)) if name == "node-2" else make(name)
            found += [body] if body else []
    return (*found, *dns)


DNS = (b.coredns(1), b.coredns(2))
OTHER_NODE = b.node("node-9", ready="Unknown")
WINDOWS = {**b.node("node-9"), "metadata": b.meta("node-9", labels={"kubernetes.io/os": "windows"})}
NEW = {**b.node("node-9"), "metadata": {**b.meta("node-9", labels={}), "creationTimestamp": NOW}}
JOINING = {
    **b.node("node-9"),
    "status": {"conditions": [{"type": "Ready", "status": "False", "lastTransitionTime": NOW}]},
}
NODES = tuple(b.node(name) for name in b.NODES)
SIDE = "demo.svc.cluster.local {\n    forward . 192.0.2.1\n}\n"


def with_line(line: str) -> b.Body:
    return b.corefile(b.COREFILE.replace("    errors\n", f"    errors\n    {line}\n"))


# ----- healthy means silent

HEALTHY: dict[str, Facts] = {
    "as kubeadm sets it up": b.facts(),
    "upstream DNS is dead": b.facts(logs(UPSTREAM)),
    "a server that once waited": b.facts(logs(WAITS, FORBIDDEN, NO_API)),
    "a reload that failed and was mended": b.facts(logs(UNKNOWN, LOADED)),
    "a proxy that was just started": b.facts(dns_pods=agents(DNS, proxy=b.proxy("node-2", ready=False, turned=NOW))),
    "proxies as static pods": b.facts(dns_daemonsets=b.parts()["dns_daemonsets"][1:]),
    "proxies by the network's agent": b.facts(
        dns_daemonsets=(b.daemon_set("cilium", "cilium-agent"), b.daemon_set("kube-proxy", "kube-proxy")),
        dns_pods=DNS,
    ),
    "a Windows node": b.facts(nodes=(*NODES, WINDOWS)),
    "a new node": b.facts(nodes=(*NODES, NEW)),
    "an agent that a taint keeps away": b.facts(
        nodes=(NODES[0], b.node("node-2", taints=[{"key": "gpu", "effect": "NoSchedule"}]), NODES[2]),
        dns_pods=agents(DNS, agent=None),
        dns_daemonsets=(
            b.parts()["dns_daemonsets"][0],
            b.daemon_set(
                "kindnet", "kindnet-cni", hostNetwork=True, volumes=[{"hostPath": {"path": "/opt/cni/bin"}}],
                tolerations=[{"key": "node-role.kubernetes.io/control-plane"}],
            ),
        ),
    ),
    "a node that joins": b.facts(nodes=(*NODES, JOINING)),
    "another DNS": b.facts(dns_pods=agents(()), dns_deployments=(), corefiles=(), dns_role=(), dns_role_binding=()),
    "targets by name": b.facts(dns_services=(b.dns_service(target="dns"),)),
    "one DNS server is being started": b.facts(
        dns_pods=agents((b.coredns(1), b.coredns(2, ready=False, turned=NOW)))
    ),
    "no AAAA answers by design": b.facts(corefiles=(with_line("template IN AAAA . {\n rcode NOERROR\n}"),)),
    "rewrites of others": b.facts(corefiles=(with_line("rewrite name shop.example.org web.demo.svc.cluster.local"),)),
    "hosts with the right address": b.facts(
        corefiles=(with_line("hosts {\n 10.96.1.1 web.demo.svc.cluster.local\n fallthrough\n}"),)
    ),
    "a zone of others": b.facts(corefiles=(b.corefile(b.COREFILE + "example.org {\n    forward . 192.0.2.1\n}\n"),)),
    "controllers that run": b.facts(
        dns_pods=(
            *agents(DNS),
            b.pod("kube-controller-manager-node-1", "node-1", "kube-controller-manager", "Node node-1", {}),
        )
    ),
}  # fmt: skip


@pytest.mark.parametrize("facts", HEALTHY.values(), ids=HEALTHY)
def test_healthy_is_silent(facts: Facts) -> None:
    assert complaints(facts) == []


def test_each_check_speaks_of_a_healthy_cluster() -> None:
    catalogue = {check for check, _title, _rights in infrastructure.CHECKS}
    old = snapshot(of=service(created=NOON - timedelta(hours=1)))
    assert {finding.id for finding in judged(b.facts(), old) if finding.status == PASS} == catalogue


@pytest.mark.parametrize("part", ["dns_pods", "dns_daemonsets", "nodes", "dns_services", "dns_role", "corefiles"])
def test_what_may_not_be_read_is_skipped(part: str) -> None:
    found = judged(b.facts(missing={part: f"cannot list {part}"}))
    assert [f for f in found if f.status not in (PASS, SKIPPED)] == []
    reasons = [f.message for f in found if f.status == SKIPPED and f.id != "IN-11"]
    assert f"cannot list {part}" in reasons
    assert any(part in f.message for f in found if f.id == "IN-11")


# ----- faults


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        pytest.param(
            b.facts(nodes=(NODES[0], b.node("node-2", ready="Unknown"), NODES[2])),
            [("IN-07", FAIL, "node/node-2")], id="a node with endpoints is gone",
        ),
        pytest.param(
            b.facts(nodes=(*NODES, OTHER_NODE)), [("IN-07", WARN, "node/node-9")], id="a node without ours is gone"
        ),
        pytest.param(
            b.facts(nodes=(b.node("node-1", NetworkUnavailable="True"), *NODES[1:])),
            [("IN-07", FAIL, "node/node-1")], id="a node has no network",
        ),
        pytest.param(
            b.facts(nodes=(b.node("node-1", DiskPressure="True"), *NODES[1:])),
            [("IN-07", WARN, "node/node-1")], id="a node's disk is full",
        ),
        pytest.param(
            b.facts(dns_pods=agents(DNS, proxy=None)), [("IN-01", FAIL, "proxy/node-2")], id="no proxy on a node"
        ),
        pytest.param(
            b.facts(dns_pods=agents(DNS, proxy=b.proxy("node-2", waiting="CrashLoopBackOff", turned=NOW))),
            [("IN-01", FAIL, "proxy/node-2")], id="a proxy crashes",
        ),
        pytest.param(
            b.facts(dns_pods=agents(DNS, agent=b.agent("node-2", ready=False))),
            [("IN-09", WARN, "network/node-2")], id="the network's agent is not ready",
        ),
        pytest.param(
            b.facts(
                nodes=(NODES[0], b.node("node-2", taints=[{"key": "gpu", "effect": "NoSchedule"}]), NODES[2]),
                dns_pods=agents(DNS, agent=None),
            ),
            [("IN-09", WARN, "network/node-2")], id="the network's agent is missing, whatever taint there is",
        ),
        pytest.param(
            b.facts({}, dns_deployments=(b.dns_deployment(0),), dns_pods=agents(())),
            [("DN-15", FAIL, "dns/servers")], id="DNS is scaled to 0",
        ),
        pytest.param(
            b.facts(dns_pods=agents((b.coredns(1), b.coredns(2, waiting="ImagePullBackOff")))),
            [("DN-15", WARN, "dns/server/coredns-x-2")], id="one DNS server cannot start",
        ),
        pytest.param(
            b.facts(logs(LOOP), dns_pods=crashing()),
            [("DN-17", FAIL, "dns/corefile"), ("DN-15", FAIL, "dns/servers")], id="a loop",
        ),
        pytest.param(
            b.facts(logs(UNKNOWN), dns_pods=crashing()),
            [("DN-17", FAIL, "dns/corefile"), ("DN-15", FAIL, "dns/servers")], id="a Corefile that is refused",
        ),
        pytest.param(
            b.facts(logs(LOADED, UNKNOWN)), [("DN-17", WARN, "dns/corefile")], id="a reload that failed"
        ),
        pytest.param(
            b.facts(logs(WAITS, FORBIDDEN), dns_pods=crashing(), dns_role=(b.dns_role(),)),
            [
                ("DN-19", FAIL, "dns/rights"), ("DN-17", FAIL, "dns/rights"), ("DN-15", FAIL, "dns/servers"),
            ], id="rights are taken away",
        ),
        pytest.param(
            b.facts(logs(WAITS, NO_API), dns_pods=crashing()),
            [("DN-17", FAIL, "dns/servers"), ("DN-15", FAIL, "dns/servers")], id="the API server is not reached",
        ),
        pytest.param(b.facts(dns_role=()), [("DN-19", FAIL, "dns/rights")], id="the role is gone"),
        pytest.param(b.facts(dns_services=()), [("DN-23", FAIL, "dns/service")], id="no DNS Service"),
        pytest.param(
            b.facts(dns_services=(b.dns_service({"k8s-app": "kubedns"}),)),
            [("DN-23", FAIL, "dns/service")], id="the DNS Service selects nothing",
        ),
        pytest.param(
            b.facts(dns_services=(b.dns_service(target=5353),)),
            [("DN-23", FAIL, "dns/service")], id="the DNS Service leads elsewhere",
        ),
        pytest.param(
            b.facts(dns_services=(b.dns_service(target="dnss"),)),
            [("DN-23", FAIL, "dns/service")], id="the DNS Service leads to no name",
        ),
        pytest.param(
            b.facts(dns_services=(b.dns_service(udp_only=True),)),
            [("DN-23", FAIL, "dns/service")], id="DNS without TCP",
        ),
        pytest.param(
            b.facts(corefiles=(b.corefile(b.COREFILE + SIDE),)),
            [("DN-18", FAIL, "dns/corefile")], id="another server for the namespace",
        ),
        pytest.param(
            b.facts(corefiles=(b.corefile(b.COREFILE.rstrip("}\n")),)),
            [("DN-18", FAIL, "dns/corefile")], id="an open brace",
        ),
    ],
)  # fmt: skip
def test_faults(facts: Facts, expected: list[tuple[str, str, str]]) -> None:
    assert complaints(facts) == expected


def test_a_client_makes_its_node_important() -> None:
    broken = b.facts(nodes=(*NODES, OTHER_NODE))
    assert complaints(broken, nodes=("node-9",)) == [("IN-07", FAIL, "node/node-9")]


def test_a_corefile_that_is_not_yet_loaded_is_a_warning_while_names_resolve() -> None:
    broken = b.facts(corefiles=(with_line("rewrite name suffix .demo.svc.cluster.local .prod.svc.cluster.local"),))
    asked = question(layers=("infrastructure", "dns"))
    found = [f for f in infrastructure.check(look(asked=asked, facts=broken)) if f.complains]
    assert [(f.id, f.status) for f in found] == [("DN-18", WARN)]


@pytest.mark.parametrize(
    ("facts", "fix"),
    [
        (
            b.facts(dns_services=(b.dns_service({"app": "dns"}),)),
            """patch service kube-dns -n kube-system -p '{"spec":{"selector":{"k8s-app":"kube-dns","app":null}}}'""",
        ),
        (b.facts(dns_services=(b.dns_service(target=5353),)), '"path":"/spec/ports/0/targetPort","value":53}'),
        (
            b.facts({}, dns_deployments=(b.dns_deployment(0),), dns_pods=agents(())),
            "scale deployment coredns -n kube-system --replicas=2",
        ),
    ],
)
def test_fixes(facts: Facts, fix: str) -> None:
    assert fix in next(f.evidence["fix"] for f in judged(facts) if f.complains)


@pytest.mark.parametrize(
    ("seconds", "ready", "listed", "expected"),
    [
        pytest.param(60, True, True, PASS, id="as it is"),
        pytest.param(60, True, False, FAIL, id="ready for a minute, and no endpoint"),
        pytest.param(60, False, True, FAIL, id="unready for a minute, and still an endpoint"),
        pytest.param(5, True, False, PASS, id="ready for a moment"),
    ],
)
def test_the_endpoint_slices_follow_the_pods(seconds: int, ready: bool, listed: bool, expected: str) -> None:
    second = pod(2, ready=ready, turned=NOON - timedelta(seconds=seconds))
    ends = [endpoint(pod(1)), endpoint(second)] if listed else [endpoint(pod(1))]
    seen = snapshot([pod(1), second], service(created=NOON - timedelta(hours=1)), endpoints=tuple(ends))
    assert [f.status for f in judged(b.facts(), seen) if f.id == "IN-10"] == [expected]


@pytest.mark.parametrize(
    "of",
    [service(created=NOON), service(created=NOON - timedelta(hours=1), families=("IPv6",))],
    ids=["a new Service", "pods without an address of the family"],
)
def test_a_pod_that_cannot_be_an_endpoint_yet_is_not_late(of: t.Any) -> None:
    seen = snapshot([pod(1, turned=NOON - timedelta(hours=1))], of, endpoints=())
    assert [f for f in judged(b.facts(), seen) if f.id == "IN-10" and f.complains] == []


def test_controllers_that_are_dead_are_a_warning_as_long_as_nothing_lags() -> None:
    old = snapshot(of=service(created=NOON - timedelta(hours=1)))
    dead = b.pod("kcm", "node-1", "kube-controller-manager", "Node node-1", {}, waiting="CrashLoopBackOff")
    assert complaints(b.facts(dns_pods=(*agents(DNS), dead)), old) == [("IN-10", WARN, "controller")]


# ----- Corefiles


@pytest.mark.parametrize(
    ("line", "captured"),
    [
        ("rewrite name web.demo.svc.cluster.local other.demo.svc.cluster.local", True),
        ("rewrite stop name exact web.demo.svc.cluster.local. other.", True),
        ("rewrite name suffix .demo.svc.cluster.local .prod.svc.cluster.local", True),
        ("rewrite name prefix we wi", True),
        ("rewrite name substring demo prod", True),
        (r"rewrite name regex (.*)\.demo\.svc\.cluster\.local\. {1}.prod.", True),
        ("rewrite stop {\n name regex ^web\\. x.\n answer name a b\n}", True),
        ("rewrite name regex (unclosed x", False),
        ("rewrite name suffix .demo.svc.cluster.local .demo.svc.cluster.local", False),
        ("rewrite type ANY HINFO", False),
        ("rewrite ttl web.demo.svc.cluster.local 30", False),
        ("# rewrite name web.demo.svc.cluster.local x.", False),
        ('template IN A demo.svc.cluster.local {\n answer "{{ .Name }} 60 IN A 192.0.2.1"\n}', True),
        ("template ANY ANY {\n match ^web[.]\n rcode NXDOMAIN\n}", True),
        ("template ANY ANY {\n match ^api[.]\n rcode NXDOMAIN\n}", False),
        ("hosts {\n 192.0.2.1 other web.demo.svc.cluster.local\n fallthrough\n}", True),
        ("hosts /etc/coredns/hosts cluster.local {\n ttl 60\n}", False),
    ],
)
def test_captured_names(line: str, captured: bool) -> None:
    parsed = corefile.parse(with_line(line)["text"])
    assert parsed.broken == ""
    number, why = corefile.capture(parsed, "web.demo.svc.cluster.local", "demo", ["10.96.1.1"])
    assert (number == 3) == captured
    assert bool(why) == captured


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (b.COREFILE.replace("pods insecure", "namespaces shop prod"), "only namespaces shop, prod are served"),
        (b.COREFILE.replace("pods insecure", "namespaces shop demo"), ""),
        (b.COREFILE + SIDE, "without plugin kubernetes"),
        (b.COREFILE + "(snippet) {\n    errors\n}\n", ""),
        (b.COREFILE.replace("    errors\n", "    import custom/*.override\n"), ""),
        ("cluster.local:53 {\n    forward . 192.0.2.1\n}\n", ""),  # a cache: another server has the names
        ("tls://. {\n    forward . 192.0.2.1\n}\n" + b.COREFILE, ""),
        ("cluster.local, demo.svc.cluster.local {\n    kubernetes\n}\n", ""),
    ],
)
def test_blocks(text: str, why: str) -> None:
    parsed = corefile.parse(text)
    _number, found = corefile.capture(parsed, "web.demo.svc.cluster.local", "demo", ["10.96.1.1"])
    assert (why in found) if why else (found == "")


@pytest.mark.parametrize(
    ("text", "broken"),
    [
        (b.COREFILE, ""),
        (b.COREFILE + "}\n", "line 22: a brace is closed that was not opened"),
        (".:53 {\n    errors {\n", "line 2: the brace is never closed"),
        ("", ""),
        ("{\n}\n", ""),
    ],
)
def test_braces(text: str, broken: str) -> None:
    assert corefile.parse(text).broken == broken


def test_ports_and_domains() -> None:
    parsed = corefile.parse(b.COREFILE.replace(".:53", ".:1053") + "dns://example.org {\n}\n")
    assert corefile.ports(parsed) == {53, 1053}
    assert corefile.domains(parsed) == ["cluster.local"]


def test_the_domain_of_the_clients_counts() -> None:
    found = judged(b.facts(), domain="corp.local")
    assert [f.message for f in found if f.id == "DN-18" and f.status == FAIL]


@pytest.mark.parametrize(
    ("facts", "component"),
    [
        (b.facts(), "dns/service"),
        (b.facts(dns_pods=crashing()), "dns/servers"),
        (Facts(), "dns/servers"),
    ],
)
def test_servers_that_are_ready_are_not_blamed_for_their_service(facts: Facts, component: str) -> None:
    seen = look(snapshot(dns_endpoints=()), question(layers=("dns",)), facts=facts)
    assert [f.component for f in dns.check(seen) if f.id == "DN-14"] == [component]
