# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.plumbline.kubernetes.plugins.module_utils.app.preflight import exit_code, labels, pod

DEPLOYMENT = {
    "metadata": {"name": "web", "namespace": "demo"},
    "spec": {
        "selector": {"matchLabels": {"run": "web"}},
        "template": {
            "metadata": {"labels": {"run": "web"}},
            "spec": {
                "containers": [
                    {
                        "name": "web",
                        "image": "nginx:1",
                        "args": ["serve"],
                        "ports": [{"containerPort": 80, "hostPort": 80}],
                        "readinessProbe": {"httpGet": {"port": 80}},
                        "lifecycle": {"preStop": {"sleep": {"seconds": 12}}},
                        "volumeMounts": [{"name": "conf", "mountPath": "/etc/nginx/conf.d"}],
                        "securityContext": {"readOnlyRootFilesystem": True},
                    },
                    {"name": "sidecar", "image": "endless:1"},
                ],
                "initContainers": [{"name": "render", "image": "sed:1"}],
                "volumes": [{"name": "conf", "configMap": {"name": "web-1"}}],
                "securityContext": {"runAsUser": 101},
                "terminationGracePeriodSeconds": 42,
                "topologySpreadConstraints": [{"maxSkew": 1}],
            },
        },
    },
}


def test_the_pod_is_the_container_as_it_would_be_without_what_makes_it_a_server() -> None:
    made = pod(DEPLOYMENT, "web", ["nginx", "-t"], "abc")
    assert made["metadata"] == {"name": "web-preflight-abc", "namespace": "demo", "labels": labels("web")}
    assert made["spec"] == {
        "containers": [
            {
                "name": "web",
                "image": "nginx:1",
                "command": ["nginx", "-t"],
                "volumeMounts": [{"name": "conf", "mountPath": "/etc/nginx/conf.d"}],
                "securityContext": {"readOnlyRootFilesystem": True},
            }
        ],
        "initContainers": [{"name": "render", "image": "sed:1"}],
        "volumes": [{"name": "conf", "configMap": {"name": "web-1"}}],
        "securityContext": {"runAsUser": 101},
        "restartPolicy": "Never",
        "activeDeadlineSeconds": 120,
        "terminationGracePeriodSeconds": 0,
    }


def test_neither_service_nor_replica_set_would_take_it_for_a_pod_of_the_deployment() -> None:
    assert "run" not in labels("web")


@pytest.mark.parametrize("name", ["w" * 63, "a" * 39 + "." + "b" * 30, "web"])
def test_names_stay_within_what_a_host_name_may_have(name: str) -> None:
    deployment = {**DEPLOYMENT, "metadata": {"name": name, "namespace": "demo"}}
    made = pod(deployment, "web", ["true"], "abcdef")["metadata"]
    assert len(made["name"]) <= 63
    assert ".-" not in made["name"]
    assert all(len(value) <= 63 for value in made["labels"].values())


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ({}, None),
        ({"phase": "Pending"}, None),
        ({"containerStatuses": [{"name": "web", "state": {"running": {}}}]}, None),
        ({"containerStatuses": [{"name": "web", "state": {"terminated": {"exitCode": 0}}}]}, 0),
        ({"containerStatuses": [{"name": "web", "state": {"terminated": {"exitCode": 1}}}]}, 1),
        ({"phase": "Failed"}, -1),  # evicted, or past its deadline before the container ran
    ],
)
def test_how_the_command_ended(status: dict[str, t.Any], expected: int | None) -> None:
    assert exit_code({"status": status}, "web") == expected
