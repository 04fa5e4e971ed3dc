# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which fields are ours, and what is laid over them."""

from __future__ import annotations

import pytest

from ansible_collections.plumbline.kubernetes.plugins.module_utils.kube.owned import (
    Gone,
    Keyed,
    Whole,
    extract,
    fields_of,
    lay,
    merge_fields,
    without_nothing,
)

LIVE = {
    "metadata": {
        "labels": {"run": "web", "team": "a"},
        "managedFields": [
            {"manager": "plumbline", "operation": "Apply", "fieldsV1": {"f:spec": {"f:replicas": {}}}},
            {"manager": "plumbline", "operation": "Update", "fieldsV1": {"f:spec": {"f:paused": {}}}},
            {"manager": "plumbline", "operation": "Apply", "subresource": "scale", "fieldsV1": {"f:status": {}}},
            {"manager": "kubectl", "operation": "Apply", "fieldsV1": {"f:spec": {"f:minReadySeconds": {}}}},
        ],
    },
    "spec": {
        "replicas": 2,
        "containers": [
            {"name": "side", "image": "s:1"},
            {
                "name": "main",
                "image": "m:1",
                "command": ["a", "b"],
                "ports": [{"containerPort": 80, "protocol": "TCP"}],
            },
        ],
        "finalizers": ["x", "y"],
    },
}


def test_only_our_own_applied_fields_count():
    assert fields_of(LIVE, "plumbline") == {"f:spec": {"f:replicas": {}}}
    assert fields_of(None, "plumbline") == {}
    assert fields_of({"metadata": {}}, "plumbline") == {}


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"f:spec": {"f:replicas": {}}}, {"spec": {"replicas": 2}}),
        ({"f:spec": {"f:gone": {}}}, {"spec": {}}),
        ({"f:metadata": {"f:labels": {"f:run": {}}}}, {"metadata": {"labels": {"run": "web"}}}),
        ({"f:metadata": {"f:labels": {".": {}}}}, {"metadata": {"labels": {}}}),
        (
            {"f:spec": {"f:containers": {'k:{"name":"main"}': {".": {}, "f:image": {}, "f:name": {}}}}},
            {"spec": {"containers": [{"image": "m:1", "name": "main"}]}},
        ),
        # An atomic list is ours as a whole.
        (
            {"f:spec": {"f:containers": {'k:{"name":"main"}': {"f:command": {}}}}},
            {"spec": {"containers": [{"command": ["a", "b"], "name": "main"}]}},
        ),
        # The keys are sent even where the item alone is ours.
        (
            {"f:spec": {"f:containers": {'k:{"name":"side"}': {".": {}}}}},
            {"spec": {"containers": [{"name": "side"}]}},
        ),
        ({"f:spec": {"f:containers": {'k:{"name":"nobody"}': {".": {}}}}}, {"spec": {"containers": []}}),
        (
            {
                "f:spec": {
                    "f:containers": {
                        'k:{"name":"main"}': {"f:ports": {'k:{"containerPort":80,"protocol":"TCP"}': {".": {}}}}
                    }
                }
            },
            {"spec": {"containers": [{"name": "main", "ports": [{"containerPort": 80, "protocol": "TCP"}]}]}},
        ),
        ({"f:spec": {"f:finalizers": {'v:"y"': {}, 'v:"z"': {}}}}, {"spec": {"finalizers": ["y"]}}),
        # The order is that of the list: managedFields are sorted by key.
        ({"f:spec": {"f:finalizers": {'v:"y"': {}, 'v:"x"': {}}}}, {"spec": {"finalizers": ["x", "y"]}}),
        (
            {"f:spec": {"f:containers": {'k:{"name":"main"}': {".": {}}, 'k:{"name":"side"}': {".": {}}}}},
            {"spec": {"containers": [{"name": "side"}, {"name": "main"}]}},
        ),
        ({"f:spec": {"f:finalizers": {"i:1": {}, "i:7": {}}}}, {"spec": {"finalizers": ["y"]}}),
    ],
)
def test_extract(fields, expected):
    assert extract(LIVE, fields) == expected


def test_merging_field_sets_loses_nothing():
    left = {"f:a": {"f:b": {}}, "f:c": {}}
    assert merge_fields(left, {"f:a": {"f:d": {}}}) == {"f:a": {"f:b": {}, "f:d": {}}, "f:c": {}}
    assert left == {"f:a": {"f:b": {}}, "f:c": {}}


@pytest.mark.parametrize(
    ("under", "over", "expected"),
    [
        ({"a": 1, "b": 2}, {"b": 3}, {"a": 1, "b": 3}),
        ({"a": {"x": 1}}, {"a": {"y": 2}}, {"a": {"x": 1, "y": 2}}),
        ({"a": {"x": 1}}, {"a": Whole(y=2)}, {"a": {"y": 2}}),
        ({"a": {"x": 1}}, {"a": Whole()}, {"a": {}}),
        ({"a": {"x": 1}, "b": 1}, {"a": Gone()}, {"b": 1}),
        (None, {"a": Gone()}, {}),
        ({"a": 1}, {"a": None}, {"a": 1}),
        ({"a": [1, 2]}, {"a": [3]}, {"a": [3]}),
        ({"a": "scalar"}, {"a": {"x": 1}}, {"a": {"x": 1}}),
        (
            {"c": [{"name": "side", "image": "s"}, {"name": "main", "image": "m", "tty": True}]},
            {"c": Keyed("name", [{"name": "main", "image": "n"}, {"name": "new", "image": "x"}])},
            {
                "c": [
                    {"name": "side", "image": "s"},
                    {"name": "main", "image": "n", "tty": True},
                    {"name": "new", "image": "x"},
                ]
            },
        ),
        (
            {"p": [{"port": 80, "protocol": "TCP", "nodePort": 30080}, {"port": 53, "protocol": "UDP"}]},
            {"p": Keyed(("port", "protocol"), [{"port": 80, "protocol": "TCP", "name": "http"}], whole=True)},
            {"p": [{"port": 80, "protocol": "TCP", "nodePort": 30080, "name": "http"}]},
        ),
    ],
)
def test_lay(under, over, expected):
    assert lay(under, over) == expected


def test_laying_changes_neither_side():
    under, over = {"c": [{"name": "a", "image": "1"}]}, {"c": Keyed("name", [{"name": "a", "image": "2"}])}
    lay(under, over)
    assert under == {"c": [{"name": "a", "image": "1"}]}
    assert over == {"c": [{"name": "a", "image": "2"}]}


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"a": None, "b": 1}, {"b": 1}),
        ({"a": {"b": {"c": None}}}, {}),
        ({"a": Whole(), "b": {}}, {"a": {}}),
        ({"a": [], "b": 0, "c": False, "d": ""}, {"a": [], "b": 0, "c": False, "d": ""}),
    ],
)
def test_nothing_is_left_out_and_given_emptiness_stays(value, expected):
    assert without_nothing(value) == expected
