# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""API objects become typed values, and the rules of the endpoint controllers."""

from __future__ import annotations

import typing as t
from datetime import UTC, datetime

import pytest

from ansible_collections.plumbline.kubernetes.plugins.module_utils.connectivity import snapshot as snap
from ansible_collections.plumbline.kubernetes.tests.unit.connectivity.builders import pod, service

POD: dict[str, t.Any] = {
    "metadata": {
        "name": "web-5f9-x",
        "namespace": "demo",
        "uid": "u1",
        "labels": {"app": "web", "pod-template-hash": "5f9"},
        "annotations": {"secret": "hunter2"},
        "ownerReferences": [{"kind": "ReplicaSet", "name": "web-5f9", "controller": True}],
    },
    "spec": {
        "nodeName": "node-1",
        "enableServiceLinks": False,
        "containers": [
            {
                "name": "nginx",
                "ports": [{"name": "web", "containerPort": 80}],
                "env": [{"name": "TOKEN", "value": "hunter2"}],
                "envFrom": [{"secretRef": {"name": "s"}}],
            }
        ],
        "initContainers": [
            {"name": "once", "ports": [{"name": "no", "containerPort": 1}]},
            {"name": "mesh", "restartPolicy": "Always", "ports": [{"name": "admin", "containerPort": 15000}]},
        ],
    },
    "status": {
        "phase": "Running",
        "podIP": "10.244.1.5",
        "podIPs": [{"ip": "10.244.1.5"}, {"ip": "fd00::5"}],
        "conditions": [{"type": "Ready", "status": "True"}],
        "containerStatuses": [{"name": "nginx", "state": {"running": {"startedAt": "2026-11-23T12:00:00Z"}}}],
    },
}


def test_pod_is_reduced_to_what_checks_need() -> None:
    found = snap.pod(POD)
    assert (found.label, found.node, found.ips, found.ready) == (
        "Pod demo/web-5f9-x",
        "node-1",
        ("10.244.1.5", "fd00::5"),
        True,
    )
    assert found.owner == "Deployment web"
    assert not found.service_links
    assert found.containers[0].started == datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
    assert found.containers[0].env == {"TOKEN"}
    assert found.containers[0].env_from
    assert [container.name for container in found.sidecars] == ["mesh"]
    assert (found.address("IPv6"), found.address("IPv4")) == ("fd00::5", "10.244.1.5")


def test_nothing_secret_enters_a_snapshot() -> None:
    assert "hunter2" not in repr(snap.snapshot({"pods": [POD]}, {}))


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ({"conditions": [{"type": "Ready", "status": "False", "message": "m", "reason": "r"}]}, "m"),
        ({"conditions": [{"type": "Ready", "status": "False", "reason": "PodCompleted"}]}, "PodCompleted"),
        (
            {"containerStatuses": [{"name": "a", "state": {"waiting": {"reason": "ImagePullBackOff"}}}]},
            "ImagePullBackOff",
        ),
        (
            {"containerStatuses": [{"name": "a", "state": {"terminated": {"reason": "Error", "exitCode": 3}}}]},
            "Error (exit code 3)",
        ),
        ({}, "not started"),
    ],
)
def test_reason_of_an_unready_pod(status: dict[str, t.Any], expected: str) -> None:
    found = snap.pod({"metadata": {"name": "a"}, "spec": {"containers": [{"name": "a"}]}, "status": status})
    assert not found.ready
    assert found.unready_reason == expected


def test_service() -> None:
    found = snap.service(
        {
            "metadata": {"name": "web", "namespace": "demo", "uid": "u", "creationTimestamp": "2026-11-23T12:00:00Z"},
            "spec": {
                "type": "NodePort",
                "clusterIP": "10.96.1.1",
                "clusterIPs": ["10.96.1.1", "fd00:1::1"],
                "ipFamilies": ["IPv4", "IPv6"],
                "selector": {"b": "2", "a": "1"},
                "internalTrafficPolicy": "Local",
                "externalTrafficPolicy": "Cluster",
                "sessionAffinity": "ClientIP",
                "ports": [{"name": "http", "port": 80, "targetPort": "web", "nodePort": 30080, "protocol": "TCP"}],
            },
        }
    )
    assert found.selector == (("a", "1"), ("b", "2"))
    assert found.cluster_ips == ("10.96.1.1", "fd00:1::1")
    assert (found.headless, found.internal_local, found.external_local, found.session_affinity) == (
        False,
        True,
        False,
        True,
    )
    assert found.ports == (snap.ServicePort("http", "TCP", 80, "web", 30080),)


def test_headless_service_has_no_address() -> None:
    found = snap.service({"metadata": {"name": "web"}, "spec": {"clusterIP": "None", "clusterIPs": ["None"]}})
    assert found.headless
    assert found.cluster_ips == ()


@pytest.mark.parametrize(
    ("conditions", "expected"),
    [
        ({"ready": True, "serving": True, "terminating": False}, (True, True, False)),
        ({"ready": False, "serving": True, "terminating": True}, (False, True, True)),
        ({"ready": False}, (False, False, False)),
        ({}, (True, True, False)),
    ],
)
def test_endpoint_conditions(conditions: dict[str, bool], expected: tuple[bool, bool, bool]) -> None:
    body = {
        "metadata": {"name": "web-1", "labels": {snap.MANAGED_BY: "x"}},
        "addressType": "IPv4",
        "ports": [{"name": "", "port": 80, "protocol": "TCP"}],
        "endpoints": [
            {
                "addresses": ["10.244.1.5"],
                "conditions": conditions,
                "nodeName": "node-1",
                "targetRef": {"kind": "Pod", "name": "web-1", "uid": "u1"},
                "hints": {"forNodes": [{"name": "node-1"}], "forZones": [{"name": "a"}]},
            }
        ],
    }
    (found,) = snap.endpoints(body)
    assert (found.ready, found.serving, found.terminating) == expected
    assert (found.pod_uid, found.node, found.managed_by) == ("u1", "node-1", "x")
    assert (found.node_hints, found.zone_hints) == ({"node-1"}, {"a"})
    assert found.port("") == 80
    assert found.port("other") is None


def test_slice_without_endpoints() -> None:
    assert snap.endpoints({"metadata": {"name": "e"}, "addressType": "IPv4", "endpoints": None, "ports": None}) == ()


@pytest.mark.parametrize(
    ("changes", "belongs", "ready"),
    [
        ({}, True, True),
        ({"ready": False}, True, False),
        ({"terminating": True}, True, False),
        ({"phase": "Succeeded"}, False, False),
        ({"phase": "Failed"}, False, False),
        ({"ips": ()}, False, False),
        ({"host_network": True, "ips": ("172.18.0.2",)}, True, True),
    ],
)
def test_which_pods_are_endpoints(changes: dict[str, t.Any], belongs: bool, ready: bool) -> None:
    assert snap.belongs_in_endpoints(pod(1, **changes)) == belongs
    assert snap.is_ready_endpoint(pod(1, **changes), service()) == ready
    # publishNotReadyAddresses makes everything ready that belongs in at all.
    assert snap.is_ready_endpoint(pod(1, **changes), service(publish_not_ready=True)) == belongs


@pytest.mark.parametrize(
    ("target", "protocol", "expected"),
    [(8080, "TCP", 8080), ("web", "TCP", 80), ("web", "UDP", None), ("htp", "TCP", None), ("admin", "TCP", 15000)],
)
def test_target_port(target: int | str, protocol: str, expected: int | None) -> None:
    sidecar = snap.Container("mesh", (("admin", "TCP", 15000),))
    port = snap.ServicePort("http", protocol, 80, target)
    assert snap.target_port(pod(1, sidecars=(sidecar,)), port) == expected


@pytest.mark.parametrize(
    ("address", "family", "with_port"),
    [("10.0.0.1", "IPv4", "10.0.0.1:80"), ("fd00::1", "IPv6", "[fd00::1]:80"), ("web", "", "web:80")],
)
def test_addresses(address: str, family: str, with_port: str) -> None:
    assert snap.family_of(address) == family
    assert snap.host_port(address, 80) == with_port
