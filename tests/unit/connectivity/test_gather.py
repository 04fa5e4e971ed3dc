# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is read of the surroundings, and what is told where not everything is."""

from __future__ import annotations

import typing as t

from ansible_collections.plumbline.kubernetes.plugins.module_utils.connectivity.gather import (
    MOST_LOGS,
    MOST_SOURCES,
    gather,
    rights_of,
)
from ansible_collections.plumbline.kubernetes.plugins.module_utils.connectivity.rights import Rights
from ansible_collections.plumbline.kubernetes.plugins.module_utils.kube.kinds import Kind
from ansible_collections.plumbline.kubernetes.tests.unit.connectivity.builders import question
from ansible_collections.plumbline.kubernetes.tests.unit.connectivity.scenes import Body, Scene, scene, unready, waiting


class Stub:
    """A cluster that holds a scene; everything may be read but what is denied."""

    def __init__(self, held: Scene, *denied: str) -> None:
        self.held, self.denied, self.asked = held, denied, list[str]()

    def may(self, _verb: str, resource: str, _namespace: str | None, *, subresource: str = "", **_more: str) -> bool:
        return not {resource, f"{resource}/{subresource}"} & set(self.denied)

    def collect(
        self, kind: Kind, _namespace: str | None = None, *, keep: t.Callable[[Body], Body], **_more: str
    ) -> list[Body]:
        return [keep(body) for body in self.held.parts.get(kind.plural, [])]

    def get(self, kind: Kind, name: str, _namespace: str | None = None) -> Body | None:
        bodies = self.held.parts.get(kind.plural, [])
        return next((body for body in bodies if body["metadata"]["name"] == name), None)

    def log_tail(self, _namespace: str, pod: str, container: str, *, previous: bool, **limits: int) -> str:
        since = f" since {limits['seconds']} s" if limits else ""
        self.asked.append(f"{pod}/{container}" + (" before" if previous else "") + since)
        return "" if limits else "a line"

    def groups(self) -> tuple[str, ...]:
        return ()


def read(stub: Stub, selector: t.Mapping[str, str] | None = None, **changes: t.Any) -> t.Any:
    cluster, asked = t.cast(t.Any, stub), question(layers=("workload",), ask=False, **changes)
    return gather(cluster, asked, Rights.ask(cluster, rights_of(asked)), selector)


def test_sources_of_all_kinds_of_workloads_are_looked_at_and_keep_their_keys_only() -> None:
    held = scene(0, "StatefulSet")
    spec = held.parts["statefulsets"][0]["spec"]["template"]["spec"]
    spec["volumes"].append({"name": "tls", "secret": {"secretName": "web-tls"}})
    held.source("Secret", "web-tls", "tls.crt", "tls.key")
    facts = read(Stub(held))
    assert facts.named("secrets", "web-tls")["keys"] == ["tls.crt", "tls.key"]
    assert "c2VjcmV0" not in str(facts)


def test_what_is_beyond_the_most_is_not_called_missing() -> None:
    held = scene()
    for number in range(MOST_SOURCES + 1):
        held.template["volumes"].append({"name": f"v{number}", "secret": {"secretName": f"s-{number:03}"}})
    facts = read(Stub(held))
    assert facts.why_unread("secrets", "s-000") == ""
    assert facts.why_unread("secrets", f"s-{MOST_SOURCES:03}") == f"more than {MOST_SOURCES} secrets are named"


def test_a_missing_right_is_told_of_every_source() -> None:
    facts = read(Stub(scene(), "secrets"))
    assert facts.why_unread("secrets", "any") == "cannot get secrets in namespace demo"


def test_logs_are_those_of_the_selected_pods_first() -> None:
    held = scene(MOST_LOGS + 2)
    for body in held.pods:
        unready(body, waiting("CrashLoopBackOff"), restartCount=3)
    held.pods[-1]["metadata"]["labels"]["app"] = "other"
    stub = Stub(held)
    read(stub, {"app": "other"}, logs="all")
    assert f"{held.pods[-1]['metadata']['name']}/nginx before" in stub.asked
    assert len(stub.asked) == MOST_LOGS


def test_logs_are_those_of_init_containers_too() -> None:
    held = scene(1)
    held.pods[0]["status"]["initContainerStatuses"] = [
        {"name": "migrate", "restartCount": 2, "state": {"terminated": {"exitCode": 1}}}
    ]
    stub = Stub(held)
    read(stub, logs="all")
    assert stub.asked == ["web-7d4b-0/migrate"]
    read(stub, logs="none")
    assert stub.asked == ["web-7d4b-0/migrate"]


def test_of_the_dns_servers_configuration_the_corefile_alone_is_kept() -> None:
    held = scene(0)
    volume = {"name": "config", "configMap": {"name": "coredns", "items": [{"key": "Corefile", "path": "Corefile"}]}}
    held.parts["pods"].append(
        {
            "kind": "Pod",
            "metadata": {"name": "coredns-1", "namespace": "kube-system", "labels": {"k8s-app": "kube-dns"}},
            "spec": {"containers": [{"name": "coredns"}], "volumes": [volume]},
        }
    )
    metadata = {"name": "coredns", "namespace": "kube-system"}
    data = {"Corefile": ".:53 {\n}\n", "zone": "c2VjcmV0"}
    held.parts["configmaps"] = [{"kind": "ConfigMap", "metadata": metadata, "data": data}]
    (found,) = read(Stub(held)).all("corefiles")
    assert (found["text"], found["keys"]) == (".:53 {\n}\n", ["Corefile", "zone"])
    assert "c2VjcmV0" not in str(found)
    assert read(Stub(held, "configmaps")).why_missing("corefiles") == "cannot get configmaps in namespace kube-system"


def with_proxies(count: int) -> Scene:
    """A scene with a service proxy on each of so many nodes, and a DNS server."""
    held = scene(1)
    held.pods[0]["spec"]["nodeName"] = f"node-{count - 1:02}"
    dns = {"name": "coredns-1", "namespace": "kube-system", "labels": {"k8s-app": "kube-dns"}}
    held.parts["pods"].append({"kind": "Pod", "metadata": dns, "spec": {"containers": [{"name": "coredns"}]}})
    for number in range(count):
        metadata = {"name": f"kube-proxy-{number:02}", "namespace": "kube-system", "labels": {}}
        spec = {"nodeName": f"node-{number:02}", "containers": [{"name": "kube-proxy"}]}
        held.parts["pods"].append({"kind": "Pod", "metadata": metadata, "spec": spec})
    return held


def test_of_the_service_proxies_those_of_the_nodes_concerned_are_asked_first() -> None:
    stub = Stub(with_proxies(MOST_LOGS + 3))
    facts = read(stub, {"app": "web"}, nodes=("node-07",))
    proxies = [name for name in stub.asked if "proxy" in name]
    assert len(proxies) == MOST_LOGS
    assert {f"kube-proxy-{number}/kube-proxy since 120 s" for number in ("07", "08")} <= set(proxies)
    # That there is nothing to read is something else than that nothing could be read.
    assert (facts.log("kube-system", "kube-proxy-07"), facts.log("kube-system", "kube-proxy-06")) == ("", None)


def test_no_log_is_asked_for_without_the_right_or_against_the_will() -> None:
    stub = Stub(with_proxies(2), "pods/log")
    assert read(stub).missing["dns_logs"] == "cannot get pods/log in namespace kube-system"
    assert "dns_logs" not in read(stub, logs="none").missing
    willing = Stub(with_proxies(2))
    assert "dns_logs" not in read(willing, logs="none").missing
    assert stub.asked == willing.asked == []
