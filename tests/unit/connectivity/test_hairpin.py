# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Pods that call themselves by the address of their Service."""

from __future__ import annotations

import shutil
import socket
import subprocess
import threading
import typing as t
from collections.abc import Iterator
from dataclasses import replace

import pytest

from ansible_collections.plumbline.kubernetes.plugins.module_utils.connectivity import checks, hairpin
from ansible_collections.plumbline.kubernetes.plugins.module_utils.connectivity.inside import Heard, heard
from ansible_collections.plumbline.kubernetes.plugins.module_utils.connectivity.look import Hairpin, Observation
from ansible_collections.plumbline.kubernetes.plugins.module_utils.connectivity.result import (
    INCONCLUSIVE,
    PASS,
    SKIPPED,
    WARN,
)
from ansible_collections.plumbline.kubernetes.plugins.module_utils.kube.exec import ExecResult
from ansible_collections.plumbline.kubernetes.tests.unit.connectivity.builders import (
    failing,
    look,
    pod,
    service,
    snapshot,
)

HALF = Hairpin(pod(1), target="10.96.1.1:80", of=2, tries=8, answered=4)
WHOLE = replace(HALF, answered=8)
FROM_NODE_1 = {"node-1"}


def test_each_pod_calls_the_service_and_the_others() -> None:
    first, second = hairpin.to_try(snapshot(), 10)
    assert (first.pod.name, first.address, first.port, first.of) == ("web-1", "10.96.1.1", 80, 2)
    assert first.others == (("10.244.2.5", 80),)
    assert first.words[:2] == ["sh", "-c"]
    assert first.words[3:] == ["sh", "10.96.1.1", "80", "8", "10.244.2.5", "80", "1"]
    assert second.others == (("10.244.1.5", 80),)
    assert len(hairpin.to_try(snapshot(), 1)) == 1


@pytest.mark.parametrize(
    "changes",
    [
        {"session_affinity": True},
        {"internal_local": True},
        {"headless": True, "cluster_ips": ()},
        {"ports": ()},
    ],
)
def test_where_not_every_endpoint_may_be_chosen_nothing_is_tried(changes: dict[str, t.Any]) -> None:
    assert hairpin.to_try(snapshot(of=service(**changes)), 10) == []


def test_pods_that_do_not_run_or_share_the_network_of_the_node_are_left_out() -> None:
    (container,) = pod(1).containers
    pods = (pod(1, host_network=True), pod(2, containers=(replace(container, started=None),)), pod(3))
    assert [trial.pod.name for trial in hairpin.to_try(snapshot(pods), 10)] == ["web-3"]


def test_many_endpoints_are_bounded_and_then_not_sure() -> None:
    trial = hairpin.to_try(snapshot([pod(number) for number in range(1, 10)]), 10)[0]
    assert (trial.tries, len(trial.others)) == (24, 3)
    said = heard(ExecResult("10.96.1.1 80\n" * 24, "", 0, "ok"), "sh", "")
    assert not hairpin.judge(trial, said).sure


SAID = {
    "all of it": (ExecResult("10.96.1.1 80\n" * 8 + "10.244.2.5 80\n", "", 0, "ok"), ("tried", 8, True)),
    "some of it": (ExecResult("10.96.1.1 80\n" * 3 + "10.244.2.5 80\n", "", 0, "ok"), ("tried", 3, True)),
    "not the other": (ExecResult("10.96.1.1 80\n" * 8, "", 0, "ok"), ("tried", 8, False)),
    "no program": (ExecResult("", "", 127, "failed", "exit code 127"), ("skipped", 0, True)),
    "no answer": (ExecResult("", "", None, "unknown", "the stream broke"), ("undecided", 0, True)),
    "killed": (ExecResult("", "", 137, "failed", "exit code 137"), ("undecided", 0, True)),
}


@pytest.mark.parametrize(("result", "expected"), SAID.values(), ids=SAID)
def test_what_a_container_says(result: ExecResult, expected: tuple[str, int, bool]) -> None:
    found = hairpin.judge(hairpin.to_try(snapshot(), 10)[0], heard(result, "sh", "to try it with"))
    assert (found.verdict, found.answered, found.others) == expected


JUDGED = {
    "all connections": ([WHOLE], set(), PASS, "1 pod(s) reach themselves"),
    "some are lost": ([HALF], set(), WARN, "demo/web-1 does not reach itself by the address of Service demo/web"),
    "the only endpoint": ([replace(HALF, of=1, tries=4, answered=0)], set(), WARN, "does not reach itself"),
    "beside a good one": ([HALF, replace(WHOLE, pod=pod(2))], set(), WARN, "does not reach itself"),
    "the node loses some": ([HALF], FROM_NODE_1, None, ""),
    "another node loses some": ([HALF], {"node-2"}, WARN, "does not reach itself"),
    "it reaches no other pod": ([replace(HALF, others=False)], set(), None, ""),
    "it reaches nothing behind it": ([replace(HALF, answered=0)], set(), None, ""),
    "too many endpoints": ([replace(WHOLE, of=50, tries=24, answered=24, sure=False)], set(), SKIPPED, "too many"),
    "no program": ([Hairpin(pod(1), "skipped", "the image has no sh")], set(), SKIPPED, "the image has no sh"),
    "no answer": ([Hairpin(pod(1), "undecided", "it broke")], set(), INCONCLUSIVE, "it broke"),
    "nobody was asked": ([], set(), None, ""),
}


@pytest.mark.parametrize(("tried", "losing", "status", "words"), JUDGED.values(), ids=JUDGED)
def test_dp_07(tried: list[Hairpin], losing: set[str], status: str | None, words: str) -> None:
    def broken(probe: t.Any, good: Observation) -> Observation:
        return failing("timeout") if probe.purpose == "cluster_ip" and probe.vantage.node in losing else good

    found = [f for f in checks.judge(look(broken=broken, hairpins=tuple(tried))) if f.id == "DP-07"]
    assert [finding.status for finding in found] == ([status] if status else [])
    assert all(words in finding.message for finding in found)


def test_a_pod_that_changed_meanwhile_is_not_judged() -> None:
    seen = look(hairpins=(HALF,), touched=frozenset({HALF.pod.uid}))
    assert not [finding for finding in checks.judge(seen) if finding.id == "DP-07"]


def test_it_is_a_cause_of_its_own() -> None:
    from ansible_collections.plumbline.kubernetes.plugins.module_utils.connectivity.diagnose.causes import diagnose

    seen = look(hairpins=(HALF,))
    (cause,) = diagnose(seen, checks.judge(seen))
    assert (cause.component, cause.status) == ("hairpin/node-1", WARN)
    assert "hairpinMode" in cause.fix.text


@pytest.fixture
def listening() -> Iterator[int]:
    """A port of this machine that takes connections."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as server:
        server.settimeout(0.1)
        done = threading.Event()

        def accept() -> None:
            while not done.is_set():
                try:
                    server.accept()[0].close()
                except TimeoutError:
                    continue

        thread = threading.Thread(target=accept)
        thread.start()
        yield server.getsockname()[1]
        done.set()
        thread.join()


@pytest.mark.skipif(shutil.which("bash") is None, reason="bash is what the script needs")
def test_the_script_counts_connections(listening: int) -> None:
    with socket.socket() as closed:  # bound, and nobody listens
        closed.bind(("127.0.0.1", 0))
        number = closed.getsockname()[1]
        trial = replace(
            hairpin.to_try(snapshot(), 10)[0], address="127.0.0.1", port=listening, others=(("127.0.0.1", number),)
        )
        done = subprocess.run(trial.words, capture_output=True, timeout=30, text=True, check=False)
    found = hairpin.judge(trial, Heard(ExecResult(done.stdout, done.stderr, done.returncode, "ok")))
    assert (done.returncode, found.tries, found.answered, found.others) == (0, 8, 8, False)


def test_the_script_says_when_it_has_nothing_to_try_with() -> None:
    sh = shutil.which("sh")
    assert sh
    done = subprocess.run([sh, *hairpin.to_try(snapshot(), 1)[0].words[1:]], env={"PATH": "/nowhere"}, check=False)
    assert done.returncode == 127
