# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The judging modules: their options, what they do in check mode, and how they fail."""

from __future__ import annotations

import json
import types
import typing as t
from pathlib import Path

import pytest
import yaml

from ansible_collections.plumbline.kubernetes.plugins.doc_fragments import verify as fragment
from ansible_collections.plumbline.kubernetes.plugins.module_utils.connectivity import module as judging
from ansible_collections.plumbline.kubernetes.plugins.module_utils.connectivity.question import (
    HTTP_OPTIONS,
    LAYERS,
    OPTIONS,
    SURROUNDINGS,
)
from ansible_collections.plumbline.kubernetes.plugins.module_utils.connectivity.result import (
    PASS,
    SKIPPED,
    Finding,
    Report,
)
from ansible_collections.plumbline.kubernetes.plugins.modules import (
    verify,
    verify_dns,
    verify_endpoints,
    verify_environment,
    verify_http,
)
from ansible_collections.plumbline.kubernetes.tests.unit.connectivity.builders import question
from ansible_collections.plumbline.kubernetes.tests.unit.fake_api import FakeApi, reply, status
from ansible_collections.plumbline.kubernetes.tests.unit.module_runner import run_module

SUBSETS = {
    "endpoints": verify_endpoints,
    "environment": verify_environment,
    "dns": verify_dns,
    "http": verify_http,
}
SERVICES = "/api/v1/namespaces/demo/services"


def shape(options: dict[str, t.Any], nested: str) -> dict[str, t.Any]:
    keys = ("type", "elements", "aliases", "default", "choices", "required")
    return {
        name: {key: option[key] for key in keys if key in option}
        | ({"options": shape(option[nested], nested)} if nested in option else {})
        for name, option in options.items()
    }


def test_shared_options_are_documented_as_they_are() -> None:
    documented = yaml.safe_load(fragment.ModuleDocFragment.DOCUMENTATION)["options"]
    assert shape(documented, "suboptions") == shape(OPTIONS, "options")
    documented = yaml.safe_load(fragment.ModuleDocFragment.HTTP)["options"]
    assert shape(documented, "suboptions") == shape(HTTP_OPTIONS, "options")


def test_checks_are_documented_as_they_are() -> None:
    documented = yaml.safe_load(verify.DOCUMENTATION)["options"]
    assert documented["checks"]["choices"] == [*LAYERS, *SURROUNDINGS]
    assert documented["checks"]["default"] == list(LAYERS)
    assert shape({"checks": verify.SPEC["checks"]}, "options") == shape(documented, "suboptions")


@pytest.mark.parametrize(("layer", "module"), SUBSETS.items(), ids=SUBSETS)
def test_a_subset_judges_its_layer_and_runs_nothing_in_check_mode(layer: str, module: types.ModuleType) -> None:
    with FakeApi() as api:
        result = run_module(module, api, check=True, name="web", namespace="demo")
        assert api.sent() == []
    assert not result["failed"]
    assert not result["changed"]
    assert f"would judge {layer} of Service demo/web" in result["msg"]
    assert ("probe pod" in result["msg"]) == (layer != "environment")


def test_check_mode_says_what_a_run_would_do() -> None:
    with FakeApi() as api:
        result = run_module(
            verify,
            api,
            check=True,
            name="web",
            namespace="demo",
            nodes=["a", "b"],
            client={"image": "img:1", "namespace": "shop"},
            other_namespace="other",
        )
        assert api.sent() == []
    assert result["msg"] == (
        "would judge endpoints, environment, dns, http of Service demo/web from a probe pod (image img:1) in namespace"
        " shop, other on a, b and read the Service's variables in the containers of up to 10 pods;"
        " check mode runs nothing"
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"dns_service": "kube-dns"}, "dns_service: 'kube-dns' is not of the form namespace/name"),
        ({"timeout": 0}, "timeout: 0 given, at least 1 expected"),
        ({"max_nodes": 0}, "max_nodes: 0 given, at least 1 expected"),
        ({"max_pods": -1}, "max_pods: -1 given, at least 1 expected"),
        ({"expect": {"path": "index.html"}}, "expect.path: 'index.html' given, a path that starts with / expected"),
        ({"dest": "/no/such/folder/x.json"}, "dest: the folder of /no/such/folder/x.json does not exist"),
        ({"tls": {"bundle": "hello"}}, "tls.bundle: no PEM block of a certificate in it, expected '-----BEGIN CERT"),
        ({"tls": {"bundle": " "}}, "tls.bundle: empty, expected a certificate in PEM form"),
        (
            {"tls": {"bundle": "x", "bundle_config_map": "y"}},
            "parameters are mutually exclusive: bundle|bundle_config_map",
        ),
        ({"tls": {"minimum_days": -1}}, "tls.minimum_days: -1 given, at least 0 expected"),
        ({"tls": {"minimum_version": "TLSv1"}}, "value of minimum_version must be one of: TLSv1.2, TLSv1.3"),
        ({"client": {"workload": "shop"}}, "client.workload: 'shop' given, a kind and a name expected"),
        ({"client": {"workload": "Pod shop"}}, "client.workload: 'Pod shop' given, a kind and a name expected"),
        (
            {"waivers": [{"id": "TL-66", "until": "2026-12-31", "reason": "x"}]},
            "waivers: there is no check TL-66; did you mean TL-06?",
        ),
        ({"waivers": [{"id": "TL-06", "until": "soon", "reason": "x"}]}, "a date like 2026-12-31 expected"),
        ({"waivers": [{"id": "TL-06", "until": "2026-12-31"}]}, "missing required arguments: reason found in waivers"),
        ({"checks": ["tls"]}, "value of checks must be one or more of"),
        ({"fail_on": "error"}, "value of fail_on must be one of"),
    ],
)
def test_options_that_cannot_work_are_named_before_any_request(options: dict[str, t.Any], message: str) -> None:
    with FakeApi() as api:
        result = run_module(verify, api, name="web", namespace="demo", **options)
        assert api.sent() == []
    assert result["failed"]
    assert message in result["msg"]


def no_service(api: FakeApi, others: list[str]) -> None:
    api.on("GET", f"{SERVICES}/web", status(404))
    items = [{"metadata": {"name": name, "namespace": "demo"}} for name in others]
    api.on("GET", SERVICES, reply({"items": items, "metadata": {"resourceVersion": "1"}}))
    api.on("GET", "/api/v1/namespaces/demo", status(404))


@pytest.mark.parametrize(
    ("others", "hint"),
    [
        (["shop", "web-2"], "nearest: web-2"),
        (["shop"], "the namespace has shop"),
        ([], "there is no namespace demo"),
    ],
)
def test_a_missing_service_fails_at_once_and_is_written_to_dest(tmp_path: Path, others: list[str], hint: str) -> None:
    dest = tmp_path / "report.json"
    with FakeApi() as api:
        no_service(api, others)
        result = run_module(verify, api, name="web", namespace="demo", dest=str(dest))
        assert api.sent()[:2] == [f"GET {SERVICES}/web", f"GET {SERVICES}"]
        assert not api.unexpected
    assert result["failed"]
    assert not result["changed"]
    assert result["msg"].startswith("Service demo/web: 1 fail: SV-01 there is no Service demo/web")
    assert hint in result["msg"]
    assert result["summary"]["fail"] == 1
    assert json.loads(dest.read_text())["findings"][0]["id"] == "SV-01"


def test_fail_on_never_only_reports() -> None:
    with FakeApi() as api:
        no_service(api, ["web-2"])
        result = run_module(verify, api, name="web", namespace="demo", fail_on="never")
    assert not result["failed"]
    assert [finding["id"] for finding in result["findings"]] == ["SV-01"]


def test_a_missing_right_to_the_service_is_one_line() -> None:
    with FakeApi() as api:
        api.on("GET", f"{SERVICES}/web", status(403, message="services is forbidden"))
        result = run_module(verify_http, api, name="web", namespace="demo")
    assert result["failed"]
    assert "get Service demo/web: HTTP 403" in result["msg"]
    assert "\n" not in result["msg"]


@pytest.mark.parametrize(
    ("option", "given"),
    [
        ("client.labels", {"client": {"labels": {"app": "web", "x": "y"}}}),
        ("expect.refused_from", {"expect": {"refused_from": [{"namespace": "other"}, {"labels": {"app": "web"}}]}}),
    ],
)
def test_probe_pods_must_not_become_endpoints(option: str, given: dict[str, t.Any]) -> None:
    spec = {"selector": {"app": "web"}, "ports": [{"port": 80}], "clusterIP": "10.96.1.1"}
    with FakeApi() as api:
        api.on(
            "GET",
            f"{SERVICES}/web",
            reply({"metadata": {"name": "web", "namespace": "demo", "uid": "u"}, "spec": spec}),
        )
        result = run_module(verify, api, name="web", namespace="demo", **given)
        assert api.sent() == [f"GET {SERVICES}/web"]
    assert result["failed"]
    assert result["msg"] == f"{option}: Service demo/web selects pods with app=web, so it would select the probe pods"


def test_a_layer_that_was_only_skipped_is_not_passed_over_in_silence() -> None:
    skipped = Finding("DP-03", "http", SKIPPED, "the Service was not asked: cannot create jobs")
    good = Finding("EP-02", "endpoints", PASS, "fine")
    report = Report("Service demo/web", "kind", (good, skipped, Finding("EP-11", "endpoints", SKIPPED, "no")))
    assert judging.unproven(report, question(layers=("endpoints", "http"))) == [
        "Service demo/web: nothing of http was judged: the Service was not asked: cannot create jobs"
    ]


def test_that_nobody_could_ask_is_told_although_something_was_found_good() -> None:
    nobody = Finding("PR-01", "control", SKIPPED, "no client could be started: cannot create jobs in namespace demo")
    good, skipped = Finding("DN-01", "dns", PASS, "fine"), Finding("DN-02", "dns", SKIPPED, "the names were not asked")
    report = Report("Service demo/web", "kind", (nobody, good, skipped))
    assert judging.unproven(report, question(layers=("dns",))) == [
        "Service demo/web: no client could be started: cannot create jobs in namespace demo"
    ]
