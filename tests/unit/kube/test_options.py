# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Connection options: kubernetes.core's names and variables, and the errors of what cannot work."""

from __future__ import annotations

import json

import pytest
from kubernetes.config import incluster_config

from ansible_collections.plumbline.kubernetes.plugins.module_utils.kube.connection import connection
from ansible_collections.plumbline.kubernetes.plugins.module_utils.kube.errors import ConfigError, one_line
from ansible_collections.plumbline.kubernetes.plugins.module_utils.kube.options import (
    environment_variable,
    resolve,
    secret_leaves,
)

KUBECONFIG = {
    "apiVersion": "v1",
    "kind": "Config",
    "current-context": "one",
    "clusters": [
        {"name": "c1", "cluster": {"server": "https://127.0.0.1:1"}},
        {"name": "c2", "cluster": {"server": "https://127.0.0.1:2"}},
    ],
    "users": [{"name": "u", "user": {"token": "a-long-secret-token"}}],
    "contexts": [
        {"name": "one", "context": {"cluster": "c1", "user": "u"}},
        {"name": "two", "context": {"cluster": "c2", "user": "u"}},
    ],
}


@pytest.mark.parametrize(
    ("option", "variable"),
    [
        ("kubeconfig", "K8S_AUTH_KUBECONFIG"),
        ("context", "K8S_AUTH_CONTEXT"),
        ("api_key", "K8S_AUTH_API_KEY"),
        ("validate_certs", "K8S_AUTH_VERIFY_SSL"),
        ("ca_cert", "K8S_AUTH_SSL_CA_CERT"),
        ("client_cert", "K8S_AUTH_CERT_FILE"),
        ("client_key", "K8S_AUTH_KEY_FILE"),
        ("impersonate_groups", "K8S_AUTH_IMPERSONATE_GROUPS"),
    ],
)
def test_environment_variables_are_those_of_kubernetes_core(option, variable):
    assert environment_variable(option) == variable


@pytest.mark.parametrize(
    ("params", "env", "option", "expected"),
    [
        ({"context": "a"}, {"K8S_AUTH_CONTEXT": "b"}, "context", "a"),
        ({}, {"K8S_AUTH_CONTEXT": "b"}, "context", "b"),
        ({}, {"K8S_AUTH_CONTEXT": ""}, "context", None),
        ({}, {"K8S_AUTH_VERIFY_SSL": "false"}, "validate_certs", False),
        ({}, {"K8S_AUTH_VERIFY_SSL": "yes"}, "validate_certs", True),
        ({"validate_certs": False}, {"K8S_AUTH_VERIFY_SSL": "yes"}, "validate_certs", False),
        ({}, {"K8S_AUTH_IMPERSONATE_GROUPS": "a,b"}, "impersonate_groups", ["a", "b"]),
        ({}, {"K8S_AUTH_PROXY_HEADERS_USER_AGENT": "me"}, "proxy_headers", {"user_agent": "me"}),
        ({}, {}, "proxy_headers", None),
    ],
)
def test_an_option_wins_over_its_variable(params, env, option, expected):
    assert resolve(params, env)[option] == expected


@pytest.mark.parametrize(("context", "port"), [(None, 1), ("one", 1), ("two", 2)])
def test_a_kubeconfig_as_document_or_file_gives_the_context_asked_for(context, port, tmp_path):
    file = tmp_path / "config"
    file.write_text(json.dumps(KUBECONFIG))
    for kubeconfig in (KUBECONFIG, str(file)):
        link = connection(resolve({"kubeconfig": kubeconfig, "context": context}, {}), {})
        assert link.configuration.host == f"https://127.0.0.1:{port}"
        assert link.label.endswith(f"at https://127.0.0.1:{port}")
        assert "a-long-secret-token" not in link.label


def test_single_options_override_the_kubeconfig(tmp_path):
    ca = tmp_path / "ca.pem"
    ca.write_text("x")
    options = {"kubeconfig": KUBECONFIG, "host": "https://127.0.0.1:9", "ca_cert": str(ca), "validate_certs": False}
    configuration = connection(resolve(options, {}), {}).configuration
    assert (configuration.host, configuration.ssl_ca_cert, configuration.verify_ssl) == (
        "https://127.0.0.1:9",
        str(ca),
        False,
    )


def test_a_host_with_credentials_needs_no_kubeconfig():
    link = connection(resolve({"host": "https://127.0.0.1:9", "api_key": "t"}, {}), {"HOME": "/nonexistent"})
    assert link.configuration.api_key == {"authorization": "Bearer t"}


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"kubeconfig": "/nonexistent/config"}, ["kubeconfig", "/nonexistent/config", "K8S_AUTH_KUBECONFIG"]),
        ({"kubeconfig": KUBECONFIG, "context": "three"}, ["context three", "no such context"]),
        ({"kubeconfig": {**KUBECONFIG, "current-context": ""}}, ["context"]),
        ({"kubeconfig": {"apiVersion": "v1"}}, ["kubeconfig"]),
        ({"kubeconfig": {**KUBECONFIG, "clusters": "text"}}, ["kubeconfig"]),
        ({"kubeconfig": KUBECONFIG, "ca_cert": "/nonexistent/ca"}, ["ca_cert", "/nonexistent/ca"]),
        ({"kubeconfig": KUBECONFIG, "impersonate_groups": ["g"]}, ["impersonate_groups", "impersonate_user"]),
    ],
)
def test_what_cannot_work_is_one_line_naming_the_option(options, words):
    with pytest.raises(ConfigError) as raised:
        connection(resolve(options, {}), {})
    text = str(raised.value)
    assert "a-long-secret-token" not in text
    for word in words:
        assert word in text


def test_in_a_pod_without_a_kubeconfig_the_service_account_is_used(tmp_path, monkeypatch):
    (tmp_path / "token").write_text("the-token-of-the-pod")
    (tmp_path / "ca.crt").write_text("ca")
    monkeypatch.setattr(incluster_config, "SERVICE_TOKEN_FILENAME", str(tmp_path / "token"))
    monkeypatch.setattr(incluster_config, "SERVICE_CERT_FILENAME", str(tmp_path / "ca.crt"))
    environment = {"KUBERNETES_SERVICE_HOST": "10.96.0.1", "KUBERNETES_SERVICE_PORT": "443"}
    for name, value in {**environment, "HOME": str(tmp_path)}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("KUBECONFIG", raising=False)
    link = connection(resolve({}, {}), environment)
    assert link.label == "the pod's service account at https://10.96.0.1:443"
    assert "the-token-of-the-pod" in str(link.configuration.auth_settings())


def test_a_file_that_is_no_kubeconfig(tmp_path):
    file = tmp_path / "config"
    for content in ("", "[]", "just text", "{", "a: b: c"):
        file.write_text(content)
        with pytest.raises(ConfigError):
            connection(resolve({"kubeconfig": str(file)}, {}), {})


def test_only_secret_leaves_of_a_kubeconfig_are_masked():
    user = {"token": "a-long-secret-token", "client-key-data": "S0VZS0VZS0VZ", "username": "jane-the-user"}
    exec_plugin = {"exec": {"command": "aws-credentials", "env": [{"name": "PASSPHRASE", "value": "env-secret-value"}]}}
    document = {**KUBECONFIG, "users": [{"name": "u", "user": {**user, **exec_plugin}}]}
    leaves = secret_leaves(document)
    assert {"a-long-secret-token", "S0VZS0VZS0VZ", "env-secret-value"} <= leaves
    assert leaves.isdisjoint({"v1", "c1", "one", "jane-the-user", "aws-credentials"})


@pytest.mark.parametrize(
    ("text", "expected"),
    [("a\nb\tc", "a b c"), ("x\x1b[31mred", "x [31mred"), ("nul\x00l", "nul l"), ("  many   spaces ", "many spaces")],
)
def test_messages_are_one_printable_line(text, expected):
    assert one_line(text) == expected


def test_messages_have_a_length_limit():
    assert len(one_line("x" * 5000)) == 1000
