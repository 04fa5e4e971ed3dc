# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Connection options: kubernetes.core's names and variables, and the errors of what cannot work."""

from __future__ import annotations

import json
import os
import re

import pytest
import yaml
from ansible_collections.kubernetes.core.plugins.module_utils import args_common
from kubernetes.config import incluster_config

from ansible_collections.plumbline.kubernetes.plugins.doc_fragments import auth
from ansible_collections.plumbline.kubernetes.plugins.module_utils.kube.connection import connection
from ansible_collections.plumbline.kubernetes.plugins.module_utils.kube.errors import ConfigError, one_line
from ansible_collections.plumbline.kubernetes.plugins.module_utils.kube.options import (
    AUTH_OPTIONS,
    LIBRARY_NAMES,
    environment_variables,
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


VARIABLES = sorted({f"K8S_AUTH_{name.upper()}" for pair in args_common.AUTH_ARG_MAP.items() for name in pair})
VARIABLES.remove("K8S_AUTH_PROXY_HEADERS")  # each of its suboptions has one
VARIABLES += [f"K8S_AUTH_PROXY_HEADERS_{name.upper()}" for name in args_common.AUTH_PROXY_HEADERS_SPEC]
VARIABLES += ["K8S_AUTH_IMPERSONATE_USER", "K8S_AUTH_IMPERSONATE_GROUPS"]


@pytest.fixture
def theirs(monkeypatch):
    """What kubernetes.core makes of variables and options; its own code says it."""
    from ansible_collections.kubernetes.core.plugins.module_utils.k8s import client

    def read(environment, **options):
        for name in [name for name in os.environ if name.startswith("K8S_AUTH_")]:
            monkeypatch.delenv(name)
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        found = client._create_auth_spec(**options)
        headers = client._create_headers(**options)
        return {
            **{option: found.get(name) for name, option in args_common.AUTH_ARG_MAP.items()},
            "impersonate_user": headers.get("Impersonate-User"),
            "impersonate_groups": headers.get("Impersonate-Group"),
        }

    return read


def without_nothing(found):
    return {option: value for option, value in found.items() if value or value is False}


@pytest.mark.parametrize("text", ["false", "No", "0", "off", "yes", "/a/path", "a,,b"])
@pytest.mark.parametrize("variable", VARIABLES)
def test_a_variable_means_what_it_means_to_kubernetes_core(theirs, variable, text):
    environment = {variable: text}
    found = without_nothing(resolve({}, environment))
    assert len(found) == 1
    assert found == without_nothing(theirs(environment))


@pytest.mark.parametrize("empty", [False, True])
def test_of_two_variables_the_same_one_wins_as_in_kubernetes_core(theirs, empty):
    both = {f"K8S_AUTH_{option.upper()}": "" if empty else "no" for option in LIBRARY_NAMES}
    both |= {f"K8S_AUTH_{name.upper()}": "yes" for name in LIBRARY_NAMES.values()}
    found = without_nothing(resolve({}, both))
    assert found.keys() == LIBRARY_NAMES.keys()
    assert found == without_nothing(theirs(both))


def test_headers_for_the_proxy_are_those_given_or_those_of_variables(theirs):
    environment = {"K8S_AUTH_PROXY_HEADERS_BASIC_AUTH": "joe:word"}
    given = {"proxy_headers": {"user_agent": "me"}}
    found = resolve(given, environment)["proxy_headers"]
    assert found == {"user_agent": "me"} == theirs(environment, **given)["proxy_headers"]


def test_options_and_their_other_names_are_those_of_kubernetes_core():
    assert AUTH_OPTIONS.keys() == args_common.AUTH_ARG_SPEC.keys()
    assert {option: name for name, option in args_common.AUTH_ARG_MAP.items() if name != option} == LIBRARY_NAMES
    for option, spec in args_common.AUTH_ARG_SPEC.items():
        assert AUTH_OPTIONS[option].get("aliases") == spec.get("aliases")


def test_variables_are_documented_in_the_order_in_which_they_are_read():
    documented = yaml.safe_load(auth.ModuleDocFragment.DOCUMENTATION)["options"]
    for option in AUTH_OPTIONS.keys() - {"proxy_headers"}:
        named = re.findall(r"E\((K8S_AUTH_\w+)\)", " ".join(documented[option]["description"]))
        assert named == list(environment_variables(option))
    for name, option in documented["proxy_headers"]["suboptions"].items():
        assert f"E(K8S_AUTH_PROXY_HEADERS_{name.upper()})" in option["description"][-1]


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


@pytest.fixture
def pod(tmp_path, monkeypatch):
    """The environment of a pod that has both a service account and a kubeconfig."""
    (tmp_path / "token").write_text("the-token-of-the-pod")
    (tmp_path / "ca.crt").write_text("ca")
    (tmp_path / "kubeconfig").write_text(json.dumps(KUBECONFIG))
    monkeypatch.setattr(incluster_config, "SERVICE_TOKEN_FILENAME", str(tmp_path / "token"))
    monkeypatch.setattr(incluster_config, "SERVICE_CERT_FILENAME", str(tmp_path / "ca.crt"))
    environment = {
        "KUBERNETES_SERVICE_HOST": "10.96.0.1",
        "KUBERNETES_SERVICE_PORT": "443",
        "KUBECONFIG": str(tmp_path / "kubeconfig"),
    }
    for name, value in {**environment, "HOME": str(tmp_path)}.items():
        monkeypatch.setenv(name, value)
    return environment


@pytest.mark.parametrize("kubeconfig", [True, False])
def test_in_a_pod_its_service_account_is_used_before_a_kubeconfig_of_nobody(pod, kubeconfig):
    """As in kubernetes.core: else two tasks of one play would reach two clusters."""
    if not kubeconfig:
        del pod["KUBECONFIG"]
    link = connection(resolve({}, {}), pod)
    assert link.label == "the pod's service account at https://10.96.0.1:443"
    assert "the-token-of-the-pod" in str(link.configuration.auth_settings())


@pytest.mark.parametrize("options", [{"context": "two"}, {"kubeconfig": KUBECONFIG, "context": "two"}])
def test_in_a_pod_a_kubeconfig_or_context_that_is_given_is_used(pod, options):
    link = connection(resolve(options, {}), pod)
    assert link.configuration.host == "https://127.0.0.1:2"
    assert "the-token-of-the-pod" not in str(link.configuration.auth_settings())


def test_a_pod_without_a_token_has_a_kubeconfig_or_is_told_both(pod, tmp_path):
    (tmp_path / "token").unlink()
    assert connection(resolve({}, {}), pod).configuration.host == "https://127.0.0.1:1"
    del pod["KUBECONFIG"]
    with pytest.raises(ConfigError, match=r"service account: Service token file does not exist\.; kubeconfig: no file"):
        connection(resolve({}, {}), pod)


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
