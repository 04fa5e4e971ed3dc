# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The body of a Deployment from options."""

from __future__ import annotations

import pytest

from ansible_collections.plumbline.kubernetes.plugins.module_utils.app.deployment import build, check, container_name
from ansible_collections.plumbline.kubernetes.plugins.module_utils.kube.errors import OptionError
from ansible_collections.plumbline.kubernetes.plugins.module_utils.kube.owned import Whole, lay

BASE = {"name": "web", "namespace": "demo"}
PROBE = {"path": "/healthz", "port": 80}


def live(*names, selector=None):
    containers = [{"name": name, "image": "old:1"} for name in names or ("web",)]
    return {
        "metadata": BASE,
        "spec": {
            "replicas": 2,
            "selector": {"matchLabels": selector or {"run": "web"}},
            "template": {"metadata": {"labels": {"run": "web"}}, "spec": {"containers": containers}},
        },
    }


def pod(body):
    return body["spec"]["template"]["spec"]


def main_container(body):
    return pod(body)["containers"][0]


def test_a_new_deployment_loses_no_request_by_default():
    body = build({**BASE, "image": "nginx:1"}, None)
    assert body["spec"]["replicas"] == 1
    assert body["spec"]["strategy"] == {
        "type": "RollingUpdate",
        "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": 0},
    }
    assert main_container(body)["lifecycle"] == {"preStop": {"sleep": {"seconds": 12}}}
    assert pod(body)["terminationGracePeriodSeconds"] == 42
    assert pod(body)["automountServiceAccountToken"] is False
    (spread,) = pod(body)["topologySpreadConstraints"]
    assert spread["matchLabelKeys"] == ["pod-template-hash"]
    assert spread["nodeTaintsPolicy"] == "Honor"
    assert spread["labelSelector"] == {"matchLabels": {"app.kubernetes.io/name": "web"}}
    assert body["metadata"]["labels"] == {"app.kubernetes.io/name": "web"}


@pytest.mark.parametrize(
    ("options", "expected"),
    [({}, 2), ({"min_ready_seconds": 0}, 0), ({"readiness_probe": PROBE}, None), ({"min_ready_seconds": 5}, 5)],
)
def test_a_container_that_nobody_probes_must_stay_up_for_a_moment(options, expected):
    assert build({**BASE, "image": "nginx:1", **options}, None)["spec"].get("minReadySeconds") == expected
    assert "minReadySeconds" not in build(BASE, live())["spec"]


def test_an_existing_one_gets_only_what_is_given():
    body = build({**BASE, "image": "nginx:2"}, live())
    assert body == {
        "metadata": BASE,
        "spec": {"template": {"spec": {"containers": [{"name": "web", "image": "nginx:2"}]}}},
    }


def test_nothing_given_is_nothing_wanted():
    assert build(BASE, live())["spec"] == {"template": {"spec": {"containers": [{"name": "web"}]}}}


def test_an_image_is_needed_for_a_creation_only():
    with pytest.raises(OptionError, match="image: omitted, but Deployment web does not exist yet"):
        build(BASE, None)


@pytest.mark.parametrize(
    ("options", "path", "expected"),
    [
        ({"replicas": 0}, ["spec", "replicas"], 0),
        ({"paused": True}, ["spec", "paused"], None),
        ({"labels": {}}, ["metadata", "labels"], {}),
        ({"annotations": {"a": "b"}}, ["metadata", "annotations"], {"a": "b"}),
        ({"min_ready_seconds": 3}, ["spec", "minReadySeconds"], 3),
        ({"revision_history_limit": 4}, ["spec", "revisionHistoryLimit"], 4),
        ({"pod_labels": {"x": "y"}}, ["spec", "template", "metadata", "labels"], {"run": "web", "x": "y"}),
        ({"strategy": {"max_surge": "2"}}, ["spec", "strategy"], {"rollingUpdate": {"maxSurge": 2}}),
        ({"strategy": {"max_surge": "50%"}}, ["spec", "strategy"], {"rollingUpdate": {"maxSurge": "50%"}}),
        ({"strategy": {"type": "Recreate"}}, ["spec", "strategy"], {"type": "Recreate"}),
    ],
)
def test_fields_outside_the_pod(options, path, expected):
    value = build({**BASE, **options}, live())
    for key in path:
        value = value.get(key) if value else None
    assert value == expected


@pytest.mark.parametrize(
    ("options", "field", "expected"),
    [
        ({"service_account": "sa"}, "serviceAccountName", "sa"),
        ({"enable_service_links": False}, "enableServiceLinks", False),
        ({"node_selector": {}}, "nodeSelector", {}),
        ({"image_pull_secrets": ["a"]}, "imagePullSecrets", [{"name": "a"}]),
        ({"spread": "none"}, "topologySpreadConstraints", []),
        ({"drain_seconds": 3}, "terminationGracePeriodSeconds", 33),
        ({"drain_seconds": 3, "termination_grace_period_seconds": 5}, "terminationGracePeriodSeconds", 5),
        ({}, "volumes", None),
        ({"config_maps": []}, "volumes", []),
    ],
)
def test_fields_of_the_pod(options, field, expected):
    assert pod(build({**BASE, **options}, live())).get(field) == expected


@pytest.mark.parametrize(
    ("options", "field", "expected"),
    [
        ({"env": {"A": 1, "B": "x"}}, "env", [{"name": "A", "value": "1"}, {"name": "B", "value": "x"}]),
        ({"env": {}}, "env", []),
        ({"ports": [{"container_port": 80}]}, "ports", [{"containerPort": 80, "protocol": "TCP"}]),
        (
            {"ports": [{"container_port": 53, "protocol": "UDP", "name": "dns"}]},
            "ports",
            [{"name": "dns", "containerPort": 53, "protocol": "UDP"}],
        ),
        ({"drain_seconds": 0}, "lifecycle", {}),
        (
            {"readiness_probe": PROBE},
            "readinessProbe",
            {"httpGet": {"path": "/healthz", "port": 80, "scheme": "HTTP"}},
        ),
        ({"readiness_probe": {"port": "http"}}, "readinessProbe", {"tcpSocket": {"port": "http"}}),
        (
            {"liveness_probe": {"command": ["true"], "period_seconds": 3}},
            "livenessProbe",
            {"exec": {"command": ["true"]}, "periodSeconds": 3},
        ),
    ],
)
def test_fields_of_the_container(options, field, expected):
    assert main_container(build({**BASE, **options}, live()))[field] == expected


def test_a_probe_of_another_kind_replaces_the_old_one():
    assert isinstance(main_container(build({**BASE, "readiness_probe": PROBE}, live()))["readinessProbe"], Whole)


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"drain_seconds": 0}, "lifecycle"),
        ({"security_context": {}}, "securityContext"),
        ({"resources": {}}, "resources"),
    ],
)
def test_what_is_emptied_is_not_sent_again_as_an_empty_struct_which_would_be_a_roll_out(options, field):
    assert field not in lay({field: {"x": 1}}, main_container(build({**BASE, **options}, live())))


def test_recreate_has_none_of_the_limits_of_a_rolling_update():
    rolling = {"strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}}
    assert lay(rolling, build({**BASE, "strategy": {"type": "Recreate"}}, live())["spec"])["strategy"] == {
        "type": "Recreate"
    }


def test_mounts():
    options = {
        "config_maps": [{"name": "conf", "mount_path": "/etc/nginx/conf.d", "items": {"default.conf": "site.conf"}}],
        "secrets": [{"name": "tls", "mount_path": "/etc/nginx/ssl", "optional": True}],
        "empty_dirs": [{"mount_path": "/tmp", "size_limit": "1Mi"}],
    }
    body = build({**BASE, **options}, live())
    assert pod(body)["volumes"] == [
        {
            "name": "config-map-0",
            "configMap": {"name": "conf", "items": [{"key": "default.conf", "path": "site.conf"}]},
        },
        {"name": "secret-0", "secret": {"secretName": "tls", "optional": True}},
        {"name": "empty-dir-0", "emptyDir": {"sizeLimit": "1Mi"}},
    ]
    assert main_container(body)["volumeMounts"] == [
        {"name": "config-map-0", "mountPath": "/etc/nginx/conf.d", "readOnly": True},
        {"name": "secret-0", "mountPath": "/etc/nginx/ssl", "readOnly": True},
        {"name": "empty-dir-0", "mountPath": "/tmp"},
    ]


@pytest.mark.parametrize(
    ("options", "object_", "expected"),
    [
        ({}, None, "web"),
        ({"container": "x"}, None, "x"),
        ({}, live("nginx"), "nginx"),
        ({"container": "y"}, live("x", "y"), "y"),
        ({}, live("web", "side"), "web"),
    ],
)
def test_which_container_is_meant(options, object_, expected):
    assert container_name({**BASE, **options}, object_) == expected


def test_several_containers_and_none_named():
    with pytest.raises(OptionError, match="container: omitted, but the pods have a, b"):
        container_name(BASE, live("a", "b"))


def test_a_selector_may_be_repeated_and_not_changed():
    body = build({**BASE, "selector": {"run": "web"}}, live())
    assert body["spec"]["selector"] == {"matchLabels": {"run": "web"}}
    with pytest.raises(OptionError, match="selector: run=other differs from run=web"):
        build({**BASE, "selector": {"run": "other"}}, live())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"name": "Web"}, "name: 'Web'"),
        ({"namespace": "a.b"}, "namespace: 'a.b'"),
        ({"replicas": -1}, "replicas: -1 given, expected 0 or more"),
        ({"drain_seconds": -1}, "drain_seconds: -1"),
        ({"image": "nginx 1"}, "image: 'nginx 1'"),
        ({"image": ""}, "image: ''"),
        ({"ports": [{"container_port": 0}]}, "ports.container_port: 0"),
        ({"ports": [{"container_port": 80}, {"container_port": 80}]}, "ports: 80/TCP is listed twice"),
        ({"readiness_probe": {"path": "/"}}, "readiness_probe: neither command nor port"),
        (
            {"config_maps": [{"name": "a", "mount_path": "/x"}], "secrets": [{"name": "b", "mount_path": "/x"}]},
            "mount_path: /x is used twice",
        ),
    ],
)
def test_bad_values_are_found_before_any_request(options, message):
    with pytest.raises(OptionError) as raised:
        check({**BASE, **options})
    assert str(raised.value).startswith(message)
