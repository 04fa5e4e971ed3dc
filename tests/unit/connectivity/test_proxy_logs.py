# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What service proxies say: silent about what is over or usual, and clear about what goes on."""

from __future__ import annotations

import typing as t
from datetime import datetime, timedelta

import pytest

from ansible_collections.plumbline.kubernetes.plugins.module_utils.connectivity.checks import infrastructure
from ansible_collections.plumbline.kubernetes.plugins.module_utils.connectivity.facts import Facts
from ansible_collections.plumbline.kubernetes.plugins.module_utils.connectivity.result import (
    FAIL,
    PASS,
    SKIPPED,
    WARN,
    Finding,
)
from ansible_collections.plumbline.kubernetes.tests.unit.connectivity import bodies as b
from ansible_collections.plumbline.kubernetes.tests.unit.connectivity.builders import NOON, look, question

# As kube-proxy 1.37 said it on a real node.
RESTORE = (
    'E1123 11:59:00.433319       1 proxier.go:1390] "Failed to execute iptables-restore" err=<\n'
    "\texit status 4: iptables-restore v1.8.11 (nf_tables): Could not fetch rule set generation id: Permission denied\n"
    ' > ipFamily="IPv4"\n'
    'I1123 11:59:00.433376       1 proxier.go:660] "Sync failed" ipFamily="IPv4" retryingTime="30s"'
)
LIST = (
    'E1123 11:59:00.187638       1 reflector.go:227] "Failed to watch" err="failed to list *v1.Node: Get \\"https://'
    'control-plane:6443/api/v1/nodes?limit=500\\": dial tcp: connect: network is unreachable" logger="UnhandledError"'
)
ENDED = (
    'I1123 11:59:00.841795       1 reflector.go:664] "Warning: watch ended with error" type="*v1.EndpointSlice" err="an'
    ' error on the server (\\"unable to decode an event from the stream: read: software caused connection abort\\")'
    ' has prevented the request from succeeding"'
)
UNSET = (
    'E1123 11:59:00.262246       1 server.go:256] "Kube-proxy configuration may be incomplete or incorrect" '
    'err="nodePortAddresses is unset; NodePort connections will be accepted on all local IPs."'
)
# As older versions say it, and other modes.
OLD_RESTORE = "E1123 11:59:00.1 1 proxier.go:1610] Failed to execute iptables-restore: exit status 1 (line 5 failed)"
OLD_LIST = (
    "E1123 11:59:00.1 1 reflector.go:138] factory.go:134: Failed to watch *v1.Service: failed to list *v1.Service: Get"
    ' "https://192.0.2.1:6443/api/v1/services": dial tcp 192.0.2.1:6443: i/o timeout'
)
NFTABLES = 'E1123 11:59:00.1 1 proxier.go:1800] "nftables sync failed" err="netlink receive: permission denied"'
JSON = '{"ts":1763899140.1,"logger":"x","caller":"iptables/proxier.go","msg":"Sync failed","ipFamily":"IPv4"}'


def log(*said: tuple[str, int]) -> str:
    """Entries with their age in seconds, as the kubelet stamps each line."""
    found = []
    for entry, age in said:
        stamp = (NOON - timedelta(seconds=age)).strftime("%Y-%m-%dT%H:%M:%S.552433627Z")
        found += [f"{stamp} {line}" for line in entry.split("\n")]
    return "\n".join([*found, ""])


def again(entry: str, oldest: int, newest: int = 5, step: int = 5) -> str:
    """One entry again and again."""
    return log(*((entry, age) for age in range(oldest, newest - 1, -step)))


def facts(text: str, started: datetime | None = None, **changes: t.Any) -> Facts:
    """A healthy cluster, but for what the proxy of node-2 says, and when it was started."""
    known = b.facts(**changes)
    pods = list(known.parts["dns_pods"])
    if started:
        place = next(i for i, body in enumerate(pods) if body["metadata"]["name"] == "kube-proxy-node-2")
        pods[place] = b.proxy("node-2")
        state = {"running": {"startedAt": started.isoformat()}}
        pods[place]["status"]["containerStatuses"][0]["state"] = state
    logs = {**known.logs, "kube-system/kube-proxy-node-2/kube-proxy": text}
    return Facts({**known.parts, "dns_pods": tuple(pods)}, known.missing, logs)


def judged(known: Facts) -> list[Finding]:
    asked = question(layers=("infrastructure",))
    return [finding for finding in infrastructure.check(look(None, asked, facts=known)) if finding.id == "IN-03"]


def api_server(seconds: int) -> b.Body:
    """An API server that was started so long ago."""
    body = b.pod("kube-apiserver-node-1", "node-1", "kube-apiserver", "Node node-1", {})
    state = {"running": {"startedAt": (NOON - timedelta(seconds=seconds)).isoformat()}}
    body["status"]["containerStatuses"][0]["state"] = state
    return body


def beside(body: b.Body) -> dict[str, t.Any]:
    return {"dns_pods": (*b.parts()["dns_pods"], body)}


@pytest.mark.parametrize(
    "known",
    [
        pytest.param(facts(""), id="nothing said"),
        pytest.param(facts(log((UNSET, 100), (ENDED, 50), (ENDED, 1))), id="what is usual"),
        pytest.param(facts(again(LIST, 55)), id="the API server was away for less than a minute"),
        pytest.param(facts(again(LIST, 115), **beside(api_server(60))), id="the API server was started just now"),
        pytest.param(
            facts(again(LIST, 115) + again(RESTORE, 115), NOON - timedelta(seconds=59)), id="the proxy was started now"
        ),
        pytest.param(facts("2026-11-2\n52433627Z\n" + RESTORE), id="lines that were cut"),
    ],
)
def test_silent(known: Facts) -> None:
    assert [(finding.status, finding.message) for finding in judged(known)] == [
        (PASS, "the logs of 3 service proxies tell of no failure")
    ]


@pytest.mark.parametrize(
    ("known", "status", "words"),
    [
        pytest.param(facts(again(RESTORE, 25)), FAIL, "cannot write its rules", id="tried again, and failed again"),
        pytest.param(facts(again(OLD_RESTORE, 100)), FAIL, "cannot write its rules", id="an older version"),
        pytest.param(facts(again(NFTABLES, 100)), FAIL, "cannot write its rules", id="nftables"),
        pytest.param(facts(again(JSON, 100)), FAIL, "cannot write its rules", id="as JSON"),
        pytest.param(facts(log((RESTORE, 10))), WARN, "for a moment", id="once"),
        pytest.param(facts(again(RESTORE, 110, 50)), WARN, "for a moment", id="until a while ago"),
        pytest.param(facts(again(RESTORE, 110) + again(LIST, 110)), FAIL, "cannot write", id="nor hears"),
        pytest.param(facts(again(LIST, 70)), FAIL, "does not hear of changes", id="cannot list"),
        pytest.param(facts(again(OLD_LIST, 70)), FAIL, "does not hear of changes", id="cannot list, older version"),
        pytest.param(
            facts(again(LIST, 70), NOON - timedelta(hours=1), **beside(api_server(121))), FAIL, "does not hear",
            id="the API server runs for a while",
        ),
    ],
)  # fmt: skip
def test_told(known: Facts, status: str, words: str) -> None:
    (finding,) = judged(known)
    assert (finding.status, finding.object, finding.component) == (status, "Node node-2", "proxy/node-2")
    assert words in finding.message


def test_what_a_program_said_is_quoted_without_the_head_of_the_line() -> None:
    (finding,) = judged(facts(again(RESTORE, 30)))
    assert finding.observed.startswith('"Failed to execute iptables-restore" err=exit status 4: iptables-restore v1')
    assert finding.evidence["from"] == "2026-11-23T11:59:30+00:00"
    assert finding.evidence["to"] == "2026-11-23T11:59:55+00:00"


@pytest.mark.parametrize(
    ("missing", "why"),
    [
        ({"dns_logs": "cannot get pods/log in namespace kube-system"}, "cannot get pods/log in namespace kube-system"),
        ({}, "the logs of the service proxies are not asked for"),
    ],
)
def test_what_is_not_read_is_not_judged(missing: dict[str, str], why: str) -> None:
    known = b.facts({}, missing)
    assert [(finding.status, finding.message) for finding in judged(known)] == [(SKIPPED, why)]


def test_proxies_that_were_not_asked_are_not_called_good() -> None:
    """On a large cluster some are."""
    known = b.facts({"kube-system/kube-proxy-node-3/kube-proxy": ""})
    assert [finding.message for finding in judged(known)] == ["the logs of 1 of 3 service proxies tell of no failure"]
