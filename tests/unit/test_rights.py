# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The published rights: a file for each module, told as they are; that they are right is tried by molecule/rights."""

from __future__ import annotations

import typing as t
from pathlib import Path

import pytest
import yaml

from ansible_collections.plumbline.kubernetes.tests import rights
from ansible_collections.plumbline.kubernetes.tests.rights import Right

ROOT = Path(__file__).resolve().parents[2]
FILES = sorted((ROOT / "docs/rights").glob("*.yml"))


def roles(path: Path) -> list[dict[str, t.Any]]:
    document = yaml.safe_load(path.read_text())
    return document["items"] if document["kind"] == "List" else [document]


def table() -> list[str]:
    """What docs/rights.md says of each file that is written by hand: where it grants what."""
    lines = []
    for path in FILES:
        if path.stem == rights.GENERATED:
            continue
        for number, role in enumerate(roles(path)):
            name = f"[{path.stem}](rights/{path.name})" if number == 0 else ""
            where = f"`{role['metadata']['namespace']}`" if "namespace" in role["metadata"] else "the cluster"
            what = "; ".join(f"{', '.join(rule['verbs'])} {', '.join(rule['resources'])}" for rule in role["rules"])
            lines.append(f"| {name} | {where} | {what} |")
    return lines


def test_every_module_has_a_file_and_no_other_has_one() -> None:
    speaks = "plumbline.kubernetes.plugins.module_utils.kube.module import "
    modules = {path.stem for path in ROOT.glob("plugins/modules/*.py") if speaks in path.read_text()}
    assert {path.stem for path in FILES} == modules | {rights.OPTIONAL, rights.NODE_LEVEL, rights.API_PROXY}


def test_the_page_has_what_the_files_have() -> None:
    page = (ROOT / "docs/rights.md").read_text().splitlines()
    assert [line for line in page if line.startswith("|")][2:] == table()


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_nothing_is_granted_by_a_star(path: Path) -> None:
    for role in roles(path):
        assert role["kind"] == ("Role" if "namespace" in role["metadata"] else "ClusterRole")
        assert not any("*" in part for right in rights.rights(role) for part in right)


@pytest.mark.parametrize(
    ("method", "target", "needed"),
    [
        ("GET", "/api/v1/namespaces/demo/services/web", {Right("demo", "get", "services", "")}),
        ("GET", "/api/v1/namespaces/demo/pods?labelSelector=a", {Right("demo", "list", "pods", "")}),
        ("GET", "/api/v1/namespaces/demo/pods?watch=true", {Right("demo", "watch", "pods", "")}),
        ("GET", "/api/v1/namespaces/demo/pods/x/log?follow=true", {Right("demo", "get", "pods/log", "")}),
        ("GET", "/api/v1/nodes", {Right("", "list", "nodes", "")}),
        ("GET", "/api/v1/namespaces", {Right("", "list", "namespaces", "")}),
        ("GET", "/api/v1/namespaces/demo", {Right("", "get", "namespaces", "")}),
        ("GET", "/apis", set()),
        ("POST", "/apis/batch/v1/namespaces/demo/jobs", {Right("demo", "create", "jobs", "batch")}),
        ("DELETE", "/api/v1/namespaces/demo/pods/x", {Right("demo", "delete", "pods", "")}),
        ("DELETE", "/api/v1/namespaces/demo/pods?labelSelector=a", {Right("demo", "deletecollection", "pods", "")}),
        (
            "PATCH",
            "/apis/apps/v1/namespaces/demo/deployments/web?force=false",
            {Right("demo", "patch", "deployments", "apps"), Right("demo", "create", "deployments", "apps")},
        ),
        (
            "PATCH",
            "/apis/apps/v1/namespaces/demo/deployments/web/scale?dryRun=All",
            {Right("demo", "patch", "deployments/scale", "apps")},
        ),
        (
            "GET",
            "/api/v1/namespaces/demo/pods/x/exec?command=sh",
            {Right("demo", "get", "pods/exec", ""), Right("demo", "create", "pods/exec", "")},
        ),
    ],
)
def test_a_request_needs_rights(method: str, target: str, needed: set[Right]) -> None:
    assert rights.asked(method, target) == needed


def test_a_right_is_taken_and_no_other() -> None:
    for path in FILES:
        for role in roles(path):
            for right in rights.rights(role):
                left = rights.without(role, right.verb, right.resource)
                assert rights.rights(role) - rights.rights(left) == {right}
