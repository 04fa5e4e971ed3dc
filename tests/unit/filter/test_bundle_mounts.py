# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

import pytest
from ansible.errors import AnsibleFilterError

from ansible_collections.plumbline.kubernetes.plugins.filter.bundle_mounts import FilterModule

bundle_mounts = FilterModule().filters()["bundle_mounts"]

MAP = {"configMap": {"name": "bundle"}}
OTHER_NAME = {"configMap": {"name": "bundle", "items": [{"key": "ca.crt", "path": "tls/roots.pem"}]}}
WITHOUT = {"configMap": {"name": "bundle", "items": [{"key": "other", "path": "other"}]}}
PROJECTED = {"projected": {"sources": [{"secret": {"name": "x"}}, {"configMap": {"name": "bundle"}}]}}


def pod(volume: dict[str, t.Any], state: str = "running", metadata: t.Any = None, **mount: str) -> dict[str, t.Any]:
    mounts = [{"name": "ca", "mountPath": "/etc/ca", **mount}, {"name": "elsewhere", "mountPath": "/x"}]
    return {
        "metadata": {"name": "web", "namespace": "shop", **(metadata or {})},
        "spec": {"containers": [{"name": "c", "volumeMounts": mounts}], "volumes": [{"name": "ca", **volume}]},
        "status": {"containerStatuses": [{"name": "c", "state": {state: {}}}]},
    }


@pytest.mark.parametrize(
    ("given", "file", "follows"),
    [
        (pod(MAP), "/etc/ca/ca.crt", True),
        (pod(MAP, mountPath="/etc/ca/"), "/etc/ca/ca.crt", True),
        (pod(OTHER_NAME), "/etc/ca/tls/roots.pem", True),
        (pod(PROJECTED), "/etc/ca/ca.crt", True),
        (pod(MAP, subPath="ca.crt", mountPath="/ca.pem"), "/ca.pem", False),
    ],
)
def test_file(given: dict[str, t.Any], file: str, follows: bool) -> None:
    assert bundle_mounts([given], "bundle") == [
        {"namespace": "shop", "pod": "web", "container": "c", "file": file, "follows": follows}
    ]


@pytest.mark.parametrize(
    "given",
    [
        pod(WITHOUT),
        pod({"configMap": {"name": "another"}}),
        pod({"emptyDir": {}}),
        pod(MAP, state="waiting"),
        pod(MAP, state="terminated"),
        pod(MAP, metadata={"deletionTimestamp": "2026-11-23T12:00:00Z"}),
        pod(MAP, subPath="another", mountPath="/ca.pem"),
        {"metadata": {"name": "bare", "namespace": "shop"}, "spec": {"containers": [{"name": "c"}]}},
    ],
)
def test_no_file(given: dict[str, t.Any]) -> None:
    assert bundle_mounts([given], "bundle") == []


def trusted(path: str, **given: str) -> dict[str, t.Any]:
    """A projected volume with a ClusterTrustBundle."""
    return {"projected": {"sources": [{"clusterTrustBundle": {**given, "path": path}}]}}


@pytest.mark.parametrize(
    ("given", "files"),
    [
        (pod(trusted("roots.pem", name="bundle")), ["/etc/ca/roots.pem"]),
        (pod(trusted("roots.pem", name="another")), []),
        (pod(trusted("roots.pem", signerName="example.com/signer")), []),
        # A ConfigMap of the same name is another object.
        (pod(MAP), []),
        (pod(trusted("roots.pem", name="bundle"), state="waiting"), []),
    ],
)
def test_files_of_a_cluster_trust_bundle(given: dict[str, t.Any], files: list[str]) -> None:
    found = bundle_mounts([given], cluster_trust_bundle="bundle")
    assert [item["file"] for item in found] == files
    assert all(item["follows"] for item in found)


def test_both_in_one_volume_are_two_files() -> None:
    volume = {"projected": {"sources": [MAP, *trusted("wide.crt", name="wide")["projected"]["sources"]]}}
    files = [item["file"] for item in bundle_mounts([pod(volume)], "bundle", {}, "wide")]
    assert files == ["/etc/ca/ca.crt", "/etc/ca/wide.crt"]


@pytest.mark.parametrize(("unless", "count"), [({}, 1), ({"mark": "new"}, 0), ({"mark": "old"}, 1), ({"x": "new"}, 1)])
def test_pods_that_are_known_to_be_new_are_left_out(unless: dict[str, str], count: int) -> None:
    marked = pod(MAP, metadata={"annotations": {"mark": "new"}})
    assert len(bundle_mounts([marked], "bundle", unless)) == count


def test_what_is_no_list_is_refused() -> None:
    with pytest.raises(AnsibleFilterError, match="expected a list of pods, got str"):
        bundle_mounts("pods", "bundle")
