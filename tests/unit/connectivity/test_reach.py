# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Who may answer behind a Service, and how many connections it takes to see everybody."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ansible_collections.plumbline.kubernetes.plugins.module_utils.connectivity import reach
from ansible_collections.plumbline.kubernetes.plugins.module_utils.connectivity.snapshot import Endpoint, Node
from ansible_collections.plumbline.kubernetes.tests.unit.connectivity.builders import endpoint, pod, service

NODE_1, NODE_3 = Node("node-1", zone="a"), Node("node-3", zone="c")
ONE, TWO = endpoint(pod(1)), endpoint(pod(2))
DYING_1 = replace(ONE, ready=False, serving=True, terminating=True)
DYING_2 = replace(TWO, ready=False, serving=True, terminating=True)
DEAD_1 = replace(ONE, ready=False, serving=False, terminating=True)
UNREADY_1 = replace(ONE, ready=False, serving=False)


def hinted(of: Endpoint, *, nodes: str = "", zones: str = "") -> Endpoint:
    return replace(of, node_hints=frozenset(nodes.split()), zone_hints=frozenset(zones.split()))


@pytest.mark.parametrize(
    ("policy", "endpoints", "node", "expected"),
    [
        pytest.param({}, [ONE, TWO], NODE_1, "web-1 web-2", id="all ready ones"),
        pytest.param({}, [UNREADY_1, TWO], NODE_1, "web-2", id="not the unready"),
        pytest.param({}, [DYING_1, TWO], NODE_1, "web-2", id="not the terminating while others are ready"),
        pytest.param({}, [DYING_1, DEAD_1], NODE_1, "web-1", id="terminating that serve, when nothing is ready"),
        pytest.param({}, [DEAD_1], NODE_1, "", id="terminating that do not serve, never"),
        pytest.param({}, [], NODE_1, "", id="nobody"),
        pytest.param({"internal_local": True}, [ONE, TWO], NODE_1, "web-1", id="policy Local, own node"),
        pytest.param({"internal_local": True}, [ONE, TWO], NODE_3, "", id="policy Local, no endpoint on the node"),
        pytest.param({"internal_local": True}, [DYING_1, TWO], NODE_1, "web-1", id="policy Local falls back locally"),
        pytest.param(
            {"external_local": True}, [ONE, TWO], NODE_1, "web-1 web-2", id="external policy, internal traffic"
        ),
        pytest.param(
            {}, [hinted(ONE, nodes="node-1"), hinted(TWO, nodes="node-2")], NODE_1, "web-1", id="hints for nodes"
        ),
        pytest.param(
            {}, [hinted(ONE, nodes="node-1"), hinted(TWO, nodes="node-2")], NODE_3, "web-1 web-2", id="no hint for me"
        ),
        pytest.param({}, [hinted(ONE, nodes="node-1"), TWO], NODE_1, "web-1 web-2", id="hints are all or nothing"),
        pytest.param({}, [hinted(ONE, zones="a"), hinted(TWO, zones="b")], NODE_1, "web-1", id="hints for zones"),
        pytest.param(
            {}, [hinted(ONE, zones="a"), hinted(TWO, zones="b")], NODE_3, "web-1 web-2", id="zone without any"
        ),
        pytest.param(
            {},
            [hinted(ONE, nodes="node-2", zones="a"), hinted(TWO, nodes="node-2", zones="b")],
            NODE_1,
            "web-1",
            id="zone when no hint is for the node",
        ),
        pytest.param({}, [hinted(UNREADY_1), hinted(TWO, nodes="node-1")], NODE_1, "web-2", id="unready need no hints"),
    ],
)
def test_reachable(policy: dict[str, bool], endpoints: list[Endpoint], node: Node, expected: str) -> None:
    found = reach.reachable(service(**policy), endpoints, node)
    assert " ".join(one.pod for one in found) == expected


def test_the_node_port_follows_the_external_policy() -> None:
    local = service(external_local=True)
    assert reach.reachable(local, [ONE, TWO], NODE_1, node_port=True) == (ONE,)
    assert reach.reachable(local, [ONE, TWO], NODE_3, node_port=True) == ()
    assert reach.reachable(service(internal_local=True), [ONE, TWO], NODE_3, node_port=True) == (ONE, TWO)


@pytest.mark.parametrize(("endpoints", "expected"), [(0, 0), (1, 1), (2, 21), (3, 37), (10, 153), (50, 878)])
def test_connections(endpoints: int, expected: int) -> None:
    assert reach.connections(endpoints) == expected


@pytest.mark.parametrize("endpoints", [2, 3, 7, 50, 300])
def test_connections_are_as_many_as_needed_and_no_more(endpoints: int) -> None:
    def alarm(connections: int) -> float:
        return endpoints * (1 - 1 / endpoints) ** connections

    needed = reach.connections(endpoints)
    assert alarm(needed) <= reach.FALSE_ALARM < alarm(needed - 1)


@pytest.mark.parametrize(
    ("endpoints", "clients", "expected"),
    [(2, 1, 21), (2, 3, 21), (50, 3, 293), (50, 2, reach.MOST_CONNECTIONS), (300, 1, reach.MOST_CONNECTIONS)],
)
def test_clients_share_what_one_cannot_afford(endpoints: int, clients: int, expected: int) -> None:
    assert reach.connections_per_client(endpoints, clients) == expected
