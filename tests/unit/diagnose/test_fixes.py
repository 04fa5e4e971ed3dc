# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The lines that mend: safe to paste, whatever names a cluster has, and what they ask for by cause."""

from __future__ import annotations

import json
import shlex
import subprocess
import typing as t
from dataclasses import replace

import pytest
import yaml

from ansible_collections.plumbline.kubernetes.plugins.module_utils.connectivity.commands import (
    applied,
    kubectl,
    patch,
    piped,
)
from ansible_collections.plumbline.kubernetes.plugins.module_utils.connectivity.diagnose.causes import (
    diagnose,
    missing_service,
)
from ansible_collections.plumbline.kubernetes.plugins.module_utils.connectivity.diagnose.fix import task
from ansible_collections.plumbline.kubernetes.plugins.module_utils.connectivity.facts import Facts, reduced
from ansible_collections.plumbline.kubernetes.plugins.module_utils.connectivity.question import Client, Tls
from ansible_collections.plumbline.kubernetes.plugins.module_utils.connectivity.result import FAIL, Finding
from ansible_collections.plumbline.kubernetes.tests.unit.connectivity import builders as b

HOSTILE = "$(touch hacked) `id`; 'x' \"y\" && z"


@pytest.mark.parametrize(
    "line",
    [
        kubectl("label", "pod", HOSTILE, "-n", "demo", "app-"),
        patch("service", HOSTILE, "demo", {"spec": {"selector": {"app": HOSTILE}}}),
        patch("service", "web", "demo", [{"op": "remove", "path": HOSTILE}]),
        piped("secret", "generic", HOSTILE, f"--from-file={HOSTILE}=FILE"),
        applied({"metadata": {"name": HOSTILE}}),
    ],
)
def test_a_shell_takes_nothing_of_it_for_a_command(line: str) -> None:
    told = subprocess.run(
        ["bash", "-c", f"kubectl() {{ cat >/dev/null; printf '%s\\n' \"$@\"; }}\n{line} </dev/null"],
        capture_output=True, text=True, check=True, timeout=20,
    ).stdout  # fmt: skip
    assert "uid=" not in told
    words = shlex.split(line)
    assert any("$(touch hacked)" in word for word in words)


@pytest.mark.parametrize(
    "value", [HOSTILE, "true", "no", "1e3", "0x1f", "123", "1.5", "", "-a", "{{ x }}", "a: b", "my-nginx"]
)
def test_a_task_says_what_was_meant(value: str) -> None:
    (found,) = yaml.safe_load(task("service", {"name": value, "ports": [{"port": 80}], "force": True}))
    assert found["plumbline.kubernetes.service"] == {"name": value, "ports": [{"port": 80}], "force": True}


def test_a_missing_service_is_made_of_its_deployment() -> None:
    finding = Finding(
        "SV-01", "endpoints", FAIL, "there is no Service", object="Service demo/web", cause="nearest: wep"
    )
    (cause,) = missing_service(finding)
    assert cause.fix.kubectl == "kubectl expose deployment web -n demo"
    assert yaml.safe_load(cause.fix.task) == [{"plumbline.kubernetes.service": {"name": "web", "namespace": "demo"}}]
    assert cause.fix.text.startswith("nearest: wep; make it again")


# ----- by cause


def meta(kind: str, name: str, **more: t.Any) -> dict[str, t.Any]:
    return {"kind": kind, "metadata": {"name": name, "namespace": "demo", "uid": f"uid-{name}", **more}}


def template(**spec: t.Any) -> dict[str, t.Any]:
    return {"containers": [{"name": "nginx", "image": "nginx"}], **spec}


def facts(pod: dict[str, t.Any] | None = None, **parts: t.Any) -> Facts:
    """A Deployment web with one pod, web-1."""
    owner = [{"kind": "ReplicaSet", "name": "web-5d8865bdcf", "controller": True}]
    body = meta("Pod", "web-1", labels={"app": "web", "pod-template-hash": "5d8865bdcf"}, ownerReferences=owner)
    spec = template() if pod is None else pod
    plain = {
        "pods": (reduced({**body, "spec": spec, "status": {"phase": "Running"}}),),
        "deployments": (reduced({**meta("Deployment", "web"), "spec": {"replicas": 3, "template": {"spec": spec}}}),),
        "replicasets": (),
        "secrets": (),
        "configmaps": (),
        "nodes": (),
    }
    return Facts({**plain, **parts})


def revisions(count: int) -> tuple[dict[str, t.Any], ...]:
    owner = [{"kind": "Deployment", "name": "web"}]
    return tuple(reduced(meta("ReplicaSet", f"web-{n}", ownerReferences=owner)) for n in range(count))


def mount(volume: str, path: str, **source: t.Any) -> dict[str, t.Any]:
    container = {"name": "nginx", "image": "nginx", "volumeMounts": [{"name": volume, "mountPath": path}]}
    return {"containers": [container], "volumes": [{"name": volume, **source}]}


def accused(check: str, component: str, **more: t.Any) -> Finding:
    return Finding(check, "workload", FAIL, more.pop("message", "it is broken"), component=component, **more)


def line(seen: Facts, finding: Finding, **asked: t.Any) -> str:
    look = replace(b.look(None, b.question(causes=True, **asked)), facts=seen)
    (cause,) = diagnose(look, [finding])
    return cause.fix.kubectl


def patched(name: str, spec: dict[str, t.Any], namespace: str = "demo") -> str:
    body = json.dumps({"spec": {"template": {"spec": spec}}}, separators=(",", ":"))
    return f"kubectl patch deployment {name} -n {namespace} -p '{body}'"


def asking(probe: dict[str, t.Any]) -> dict[str, t.Any]:
    return {"containers": [{"name": "nginx", "readinessProbe": probe}]}


def probed(probe: dict[str, t.Any]) -> Facts:
    return facts(asking(probe))


APPLIED = " --dry-run=client -o yaml | kubectl apply --server-side --force-conflicts -f -"
IMAGE = {"evidence": {"image": "nope", "container": "nginx"}}
LOG = {"evidence": {"container": "nginx", "log": "[emerg] unexpected end of file in /etc/nginx/conf.d/default.conf:1"}}
CONF = mount("conf", "/etc/nginx/conf.d", configMap={"name": "conf"})
PAIR = mount("cert", "/etc/ssl", secret={"secretName": "pair"})
CASES: dict[str, tuple[Facts, Finding, str]] = {
    "another image": (
        facts(),
        accused("WL-05", "started/web-1", **IMAGE),
        "kubectl set image deployment/web nginx=IMAGE -n demo",
    ),
    "the image before": (
        facts(replicasets=revisions(2)),
        accused("WL-05", "started/web-1", **IMAGE),
        "kubectl rollout undo deployment/web -n demo",
    ),
    "a file that is mounted": (
        facts(CONF),
        accused("WL-05", "started/web-1", **LOG),
        "kubectl edit configmap conf -n demo && kubectl rollout restart deployment/web -n demo",
    ),
    "too little memory": (
        facts(),
        accused("WL-05", "started/web-1", observed="exit code 137 (OOMKilled)"),
        "kubectl set resources deployment/web -n demo -c nginx --limits=memory=MORE",
    ),
    "too many variables": (
        facts(),
        accused("WL-05", "started/web-1", message="argument list too long"),
        patched("web", {"enableServiceLinks": False}),
    ),
    "a container that ends": (
        facts(),
        accused("WL-05", "started/web-1", observed="exit code 1"),
        "kubectl edit deployment/web -n demo",
    ),
    "a pod of nobody": (
        facts(pods=(reduced({**meta("Pod", "web-1"), "spec": template()}),)),
        accused("WL-05", "started/web-1", **IMAGE),
        "",
    ),
    "a path that is not there": (
        probed({"httpGet": {"path": "/a", "port": 80}}),
        accused("WL-10", "ready/web-1", message="the readiness probe fails: status 404"),
        patched("web", asking({"httpGet": {"path": "/"}})),
    ),
    "a probe that asks nobody": (
        probed({"exec": {"command": ["true"]}}),
        accused("WL-10", "ready/web-1", evidence={"target_port": 80}),
        patched("web", asking({"exec": None, "tcpSocket": {"port": 80}})),
    ),
    "a Secret with a pair": (
        facts(
            mount(
                "cert",
                "/etc/ssl",
                secret={
                    "secretName": "pair",
                    "items": [{"key": "tls.crt", "path": "a"}, {"key": "tls.key", "path": "b"}],
                },
            )
        ),
        accused("WL-06", "source/Secret/pair"),
        f"kubectl create secret tls pair -n demo --cert=CHAIN.pem --key=KEY.pem{APPLIED}",
    ),
    "a key of a ConfigMap": (
        facts(CONF),
        accused("WL-07", "source/ConfigMap/conf", expected=["a.conf"]),
        f"kubectl create configmap conf -n demo --from-file=a.conf=FILE{APPLIED}",
    ),
    "a quota": (
        facts(),
        accused(
            "WL-17",
            "admission",
            object="Deployment demo/web",
            observed="exceeded quota: few, requested: pods=1, used: pods=2, limited: pods=2",
        ),
        """kubectl patch resourcequota few -n demo -p '{"spec":{"hard":{"pods":"5"}}}'""",
    ),
    "another refusal": (
        facts(),
        accused("WL-17", "admission", object="Deployment demo/web", observed="denied"),
        "kubectl edit deployment/web -n demo",
    ),
    "a label that no node has": (
        facts(template(nodeSelector={"disk": "absent"}), nodes=({"metadata": {"name": "n"}},)),
        accused("WL-04", "scheduled/web-1"),
        patched("web", {"nodeSelector": {"disk": None}}),
    ),
    "too much asked for": (
        facts(),
        accused("WL-04", "scheduled/web-1", observed="2 Insufficient cpu"),
        "kubectl set resources deployment/web -n demo --requests=cpu=LESS",
    ),
    "one bad pod": (facts(), accused("X-1", "answer/web-1/80"), "kubectl label pod web-1 -n demo app-"),
    "a certificate": (
        facts(PAIR, secrets=({**reduced(meta("Secret", "pair")), "keys": ["tls.crt", "tls.key"]},)),
        accused("TL-05", "certificate"),
        (
            f"kubectl create secret tls SECRET -n demo --cert=CHAIN.pem --key=KEY.pem{APPLIED}"
            f" && kubectl rollout restart deployment/web -n demo"
        ),
    ),
}


@pytest.mark.parametrize(("seen", "finding", "expected"), CASES.values(), ids=CASES)
def test_the_line_that_mends(seen: Facts, finding: Finding, expected: str) -> None:
    assert line(seen, finding) == expected


def test_nothing_changes_an_immutable_secret() -> None:
    body = {**reduced(meta("Secret", "pair")), "keys": ["tls.crt"], "immutable": True}
    asked = {"tls": Tls(secret="pair")}
    assert line(facts(secrets=(body,)), accused("TL-05", "certificate"), **asked) == ""


def test_an_address_is_among_those_that_a_certificate_is_for() -> None:
    look = b.look(None, b.question(causes=True, tls=Tls(server_name="192.0.2.1", names=("web.example.com",))))
    (cause,) = diagnose(look, [accused("TL-07", "certificate")])
    (made,) = yaml.safe_load(cause.fix.task)
    options = made["plumbline.kubernetes.tls_secret"]
    assert (options["names"], options["addresses"], options["force"]) == (["web.example.com"], ["192.0.2.1"], True)


@pytest.mark.parametrize(
    ("check", "more", "expected"),
    [
        ("CL-02", {"expected": "ClusterFirst"}, patched("shop", {"dnsPolicy": "ClusterFirst"}, "shop")),
        ("CL-02", {"expected": "10.96.0.10"}, ""),
        (
            "CL-03",
            {"observed": "192.0.2.1"},
            (
                "kubectl patch deployment shop -n shop --type=json -p "
                """'[{"op":"remove","path":"/spec/template/spec/hostAliases/1"}]'"""
            ),
        ),
        (
            "CL-04",
            {"field": "spec.template.spec.containers[app].env"},
            "kubectl set env deployment/shop -n shop -c app NO_PROXY=web,web.demo,.svc,.cluster.local,10.96.1.1",
        ),
        (
            "DN-10",
            {"field": "web in namespace shop"},
            ("kubectl create service externalname web -n shop --external-name=web.demo.svc.cluster.local"),
        ),
    ],
)
def test_the_clients_own_workload(check: str, more: dict[str, t.Any], expected: str) -> None:
    aliases = [{"ip": "10.0.0.1", "hostnames": ["db"]}, {"ip": "192.0.2.1", "hostnames": ["web"]}]
    body = {**meta("Deployment", "shop"), "spec": {"template": {"spec": template(hostAliases=aliases)}}}
    seen = facts(client_workload=(reduced(body),))
    asked = {"workload": "Deployment shop", "client": Client(namespace="shop")}
    assert line(seen, accused(check, "client", **more), **asked) == expected
