# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The live view against a scripted server: nothing is lost, nothing hangs."""

from __future__ import annotations

import pytest

from ansible_collections.plumbline.kubernetes.plugins.module_utils.kube.client import Cluster
from ansible_collections.plumbline.kubernetes.plugins.module_utils.kube.errors import Forbidden, WaitTimeout
from ansible_collections.plumbline.kubernetes.plugins.module_utils.kube.kinds import POD, SERVICE
from ansible_collections.plumbline.kubernetes.plugins.module_utils.kube.watch import Interest, View, difference
from ansible_collections.plumbline.kubernetes.tests.unit.fake_api import (
    FakeApi,
    event,
    expired,
    hang,
    reply,
    reset,
    status,
    stream,
)

PODS = "/api/v1/namespaces/demo/pods"
SERVICES = "/api/v1/namespaces/demo/services"
DEMO = Interest(POD, "demo")


def pod(name, version="1"):
    return {"metadata": {"name": name, "namespace": "demo", "uid": f"uid-{name}", "resourceVersion": version}}


def listing(version, *items):
    return reply({"metadata": {"resourceVersion": version}, "items": list(items)})


@pytest.fixture
def api():
    with FakeApi() as server:
        yield server


def view(api, *interests):
    return View(Cluster.connect({"host": api.url, "api_key": "x"}), interests or [DEMO])


def names(live, interest=DEMO):
    return [item["metadata"]["name"] for item in live.objects(interest)]


def until(live, wanted, timeout=10):
    return live.wait(lambda now: True if names(now) == wanted else None, timeout, f"pods {wanted}")


def test_lists_then_follows_every_kind_of_change(api):
    api.on("GET", PODS, listing("1", pod("a"), pod("b")))
    events = [event("ADDED", pod("c", "2")), event("MODIFIED", pod("a", "3")), event("DELETED", pod("b", "4"))]
    api.on("WATCH", PODS, stream(events, end="hang"))
    with view(api) as live:
        until(live, ["a", "c"])
        changes = live.changes
    assert [(c.sequence, c.event, c.name, c.uid) for c in changes] == [
        (1, "ADDED", "c", "uid-c"),
        (2, "MODIFIED", "a", "uid-a"),
        (3, "DELETED", "b", "uid-b"),
    ]


def test_the_watch_starts_at_the_version_of_the_list(api):
    api.on("GET", PODS, listing("41", pod("a")))
    api.on("WATCH", PODS, stream([event("ADDED", pod("b", "42"))], end="hang"))
    with view(api) as live:
        until(live, ["a", "b"])
    watches = [request for request in api.requests if request.method == "WATCH"]
    assert watches[0].query["resourceVersion"] == "41"
    assert watches[0].query["allowWatchBookmarks"] == "true"


def test_a_predicate_that_holds_already_needs_no_event(api):
    api.on("GET", PODS, listing("1", pod("a")))
    api.on("WATCH", PODS, hang())
    with view(api) as live:
        assert until(live, ["a"], timeout=0) is True


@pytest.mark.parametrize("end", ["close", "reset"])
def test_a_stream_that_ends_is_resumed_from_the_last_version_seen(api, end):
    api.on("GET", PODS, listing("1"))
    first = stream([event("ADDED", pod("a", "5"))], end=end)
    api.on("WATCH", PODS, first, stream([event("ADDED", pod("b", "6"))], end="hang"))
    with view(api) as live:
        until(live, ["a", "b"])
    watches = [request for request in api.requests if request.method == "WATCH"]
    assert [request.query["resourceVersion"] for request in watches] == ["1", "5"]


def test_a_bookmark_moves_the_version_without_being_a_change(api):
    api.on("GET", PODS, listing("1", pod("a")))
    bookmark = event("BOOKMARK", {"metadata": {"resourceVersion": "77"}})
    api.on("WATCH", PODS, stream([bookmark]), stream([event("ADDED", pod("b", "78"))], end="hang"))
    with view(api) as live:
        until(live, ["a", "b"])
        assert live.sequence == 1
    watches = [request for request in api.requests if request.method == "WATCH"]
    assert watches[1].query["resourceVersion"] == "77"


@pytest.mark.parametrize("gone", [stream([expired()]), status(410, "Expired")], ids=["in the stream", "as the answer"])
def test_too_old_means_list_again_and_the_difference_enters_as_changes(api, gone):
    api.on("GET", PODS, listing("1", pod("a"), pod("b")), listing("9", pod("b", "8"), pod("c", "9")))
    api.on("WATCH", PODS, gone, stream([event("ADDED", pod("d", "10"))], end="hang"))
    with view(api) as live:
        until(live, ["b", "c", "d"])
        seen = [(change.event, change.name) for change in live.changes]
    assert seen == [("DELETED", "a"), ("MODIFIED", "b"), ("ADDED", "c"), ("ADDED", "d")]


def test_a_refused_list_raises_on_entry(api):
    api.on("GET", PODS, status(403, "Forbidden", "no"))
    with pytest.raises(Forbidden), view(api):
        pass


def test_a_right_that_is_withdrawn_ends_the_wait_with_its_reason(api):
    api.on("GET", PODS, listing("1"))
    api.on("WATCH", PODS, status(403, "Forbidden", "no more"))
    with view(api) as live, pytest.raises(Forbidden, match="watch pods of namespace demo"):
        until(live, ["never"])


def test_the_time_limit_says_what_was_waited_for(api):
    api.on("GET", PODS, listing("1"))
    api.on("WATCH", PODS, hang())
    with view(api) as live, pytest.raises(WaitTimeout, match=r"pods \['x'\] was not reached within 0\.1 s"):
        until(live, ["x"], timeout=0.1)


def test_several_interests_are_one_view(api):
    services = Interest(SERVICE, "demo")
    api.on("GET", PODS, listing("1", pod("a")))
    api.on("GET", SERVICES, listing("1"))
    api.on("WATCH", PODS, reset())
    api.on("WATCH", SERVICES, stream([event("ADDED", pod("web", "2"))], end="hang"))
    with view(api, DEMO, services) as live:
        live.wait(lambda now: True if names(now, services) == ["web"] else None, 10, "the Service")
        assert names(live) == ["a"]


def test_difference_of_two_listings():
    known = {("demo", "a"): pod("a"), ("demo", "b"): pod("b")}
    fresh = {("demo", "b"): pod("b"), ("demo", "c"): pod("c")}
    assert difference(known, fresh) == [("DELETED", pod("a")), ("ADDED", pod("c"))]
