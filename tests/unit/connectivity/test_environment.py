# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The Service's variables: which there are, what leaves a container, and what is said about it."""

from __future__ import annotations

import subprocess
import typing as t
from dataclasses import replace
from datetime import timedelta

import pytest

from ansible_collections.plumbline.kubernetes.plugins.module_utils.connectivity.checks import environment
from ansible_collections.plumbline.kubernetes.plugins.module_utils.connectivity.facts import Facts
from ansible_collections.plumbline.kubernetes.plugins.module_utils.connectivity.look import EnvironmentReading
from ansible_collections.plumbline.kubernetes.plugins.module_utils.connectivity.result import (
    FAIL,
    INCONCLUSIVE,
    PASS,
    SKIPPED,
)
from ansible_collections.plumbline.kubernetes.plugins.module_utils.connectivity.snapshot import (
    Container,
    Pod,
    Service,
    ServicePort,
    Snapshot,
)
from ansible_collections.plumbline.kubernetes.tests.unit.connectivity.builders import (
    NOON,
    look,
    pod,
    question,
    service,
    snapshot,
)

WEB = service()
RIGHT = environment.variables(WEB)


def test_variables_of_a_service() -> None:
    named = service(
        name="my-nginx",
        cluster_ips=("10.0.162.149",),
        ports=(ServicePort("http", "TCP", 80, 80), ServicePort("dns-x", "UDP", 53, 53)),
    )
    assert environment.variables(named) == {
        "MY_NGINX_SERVICE_HOST": "10.0.162.149",
        "MY_NGINX_SERVICE_PORT": "80",
        "MY_NGINX_SERVICE_PORT_HTTP": "80",
        "MY_NGINX_SERVICE_PORT_DNS_X": "53",
        "MY_NGINX_PORT": "tcp://10.0.162.149:80",
        "MY_NGINX_PORT_80_TCP": "tcp://10.0.162.149:80",
        "MY_NGINX_PORT_80_TCP_PROTO": "tcp",
        "MY_NGINX_PORT_80_TCP_PORT": "80",
        "MY_NGINX_PORT_80_TCP_ADDR": "10.0.162.149",
        "MY_NGINX_PORT_53_UDP": "udp://10.0.162.149:53",
        "MY_NGINX_PORT_53_UDP_PROTO": "udp",
        "MY_NGINX_PORT_53_UDP_PORT": "53",
        "MY_NGINX_PORT_53_UDP_ADDR": "10.0.162.149",
    }


@pytest.mark.parametrize(
    ("changes", "host"),
    [
        ({"name": "1st"}, "_1ST_SERVICE_HOST"),
        ({"headless": True, "cluster_ips": ()}, None),
        ({"type": "ExternalName", "cluster_ips": ()}, None),
        ({"ports": ()}, None),
    ],
)
def test_which_services_have_variables(changes: dict[str, t.Any], host: str | None) -> None:
    assert next(iter(environment.variables(service(**changes))), None) == host


def test_addresses_of_version_6_stand_in_brackets_in_urls_only() -> None:
    found = environment.variables(service(cluster_ips=("fd00::1",)))
    assert (found["WEB_SERVICE_HOST"], found["WEB_PORT"]) == ("fd00::1", "tcp://[fd00::1]:80")


# ----- what leaves a container


def run_script(of: Service, variables: dict[str, str]) -> dict[str, str]:
    done = subprocess.run(environment.command(of), env=variables, capture_output=True, text=True, check=True)
    assert done.stderr == ""
    return environment.parse(done.stdout, of)


@pytest.mark.parametrize("address", ["10.96.1.1", "fd00:1::abcd"])
def test_the_service_variables_leave_a_container_as_they_are(address: str) -> None:
    of = service(cluster_ips=(address,), ports=(ServicePort("a", "UDP", 1, 1), ServicePort("b", "SCTP", 2, 2)))
    assert run_script(of, environment.variables(of)) == environment.variables(of)


def test_nothing_else_leaves_a_container() -> None:
    others = {
        "WEB_PASSWORD": "hunter2",
        "WEB_PORT_KEY": "hunter2",
        "PATH": "/bin:/usr/bin",
        "KUBERNETES_PORT": "tcp://x",
    }
    done = subprocess.run(environment.command(WEB), env=others, capture_output=True, text=True, check=True)
    assert done.stdout == ""


@pytest.mark.parametrize(
    "secret",
    [
        "s3cret!",
        "hunter2",
        "Zebra",
        "deadbeef",
        "tcp://user:pass@host",
        "correct horse",
        "a\nWEB_SERVICE_HOST=10.9.9.9",
        "x" * 81,
        "1" * 81,
        "$(id)",
        "`id`",
        "'",
        "\\",
        "*",
    ],
)
def test_a_value_of_another_shape_stays_inside(secret: str) -> None:
    found = run_script(WEB, {"WEB_PORT": secret})
    assert found == {"WEB_PORT": "?"}


def test_an_empty_variable_is_set() -> None:
    assert run_script(WEB, {"WEB_PORT": ""}) == {"WEB_PORT": ""}


def test_what_was_not_asked_for_is_dropped() -> None:
    assert environment.parse("WEB_SERVICE_HOST=1\nOTHER=2\nnoise\n", WEB) == {"WEB_SERVICE_HOST": "1"}


# ----- what is said about it


def reading(
    values: dict[str, str], *, started: int = 10, env: str = "", owner: str = "Deployment web"
) -> EnvironmentReading:
    """What container nginx of web-1, started so many minutes after the Service, has."""
    container = Container("nginx", env=frozenset(env.split()), started=NOON + timedelta(minutes=started))
    return EnvironmentReading(pod(1, containers=(container,), owner=owner), "nginx", values=values)


STALE = {name: value.replace("10.96.1.1", "10.96.7.7") for name, value in RIGHT.items()}


@pytest.mark.parametrize(
    ("of", "check", "words"),
    [
        pytest.param(reading(RIGHT), None, "", id="right"),
        pytest.param(reading(RIGHT, started=-10), None, "", id="right although older"),
        pytest.param(
            reading({}, started=-10),
            "EV-04",
            "the container is older than the Service: container started 2026-11-23T11:50:00Z, Service created"
            " 2026-11-23T12:00:00Z; kubectl rollout restart deployment/web -n demo",
            id="older than the Service",
        ),
        pytest.param(reading({}, started=0), "EV-04", "is older", id="started in the same second"),
        pytest.param(reading({}), "EV-01", "so the kubelet should have set them", id="absent for no known reason"),
        pytest.param(
            reading(STALE, started=-10),
            "EV-02",
            "observed WEB_SERVICE_HOST=10.96.7.7, WEB_PORT=tcp://10.96.7.7:80; expected WEB_SERVICE_HOST=10.96.1.1,"
            " WEB_PORT=tcp://10.96.1.1:80); the Service was re-created after the container was started",
            id="stale after re-creation",
        ),
        pytest.param(
            reading({**RIGHT, "WEB_SERVICE_PORT": "81"}), "EV-02", "the Service was changed", id="the port was changed"
        ),
        pytest.param(reading({}, owner="", started=-10), "EV-04", "re-create the pod", id="a pod without an owner"),
        pytest.param(
            reading({**RIGHT, "WEB_PORT": "8080"}, env="WEB_PORT"), None, "", id="the container sets one of them itself"
        ),
        pytest.param(reading({**RIGHT, "WEB_PORT": "?"}), None, "", id="one comes from elsewhere"),
    ],
)  # fmt: skip
def test_judgement(of: EnvironmentReading, check: str | None, words: str) -> None:
    found = environment.judge(WEB, of)
    assert [finding.id for finding in found] == ([check] if check else [])
    if check:
        assert found[0].status == FAIL
        assert words in found[0].line


def statuses(of: Snapshot, *readings: EnvironmentReading, **changes: t.Any) -> dict[str, str]:
    seen = look(of, question(layers=("environment",)), environment=readings, **changes)
    return {finding.id: finding.status for finding in environment.check(seen)}


def test_right_variables_pass() -> None:
    assert statuses(snapshot(), reading(RIGHT)) == {"EV-01": PASS}


def test_not_wanted_by_design() -> None:
    off = snapshot([pod(1, service_links=False)])
    assert environment.containers_to_read(off, 10) == []
    assert statuses(off) == {"EV-05": SKIPPED}
    headless = snapshot(of=service(headless=True, cluster_ips=()))
    assert statuses(headless) == {"EV-01": SKIPPED}
    assert environment.containers_to_read(headless, 10) == []


@pytest.mark.parametrize(("verdict", "status"), [("skipped", SKIPPED), ("undecided", INCONCLUSIVE)])
def test_what_was_not_read(verdict: str, status: str) -> None:
    unread = replace(reading({}), verdict=verdict, detail="why")
    assert statuses(snapshot(), unread) == {"EV-01": status}


def test_a_pod_that_changed_meanwhile_is_not_judged() -> None:
    gone = reading({}, started=-10)
    assert statuses(snapshot(), gone, touched=frozenset({"uid-1"})) == {"EV-01": INCONCLUSIVE}
    other = replace(reading(RIGHT), pod=pod(2, containers=(Container("nginx", started=NOON),)))
    assert statuses(snapshot(), gone, other, touched=frozenset({"uid-1"})) == {"EV-01": PASS}


def started(number: int, minutes: int, **changes: t.Any) -> Pod:
    when = NOON + timedelta(minutes=minutes)
    return pod(number, containers=(Container("nginx", started=when), Container("side")), **changes)


def test_the_oldest_running_containers_are_read() -> None:
    pods = [started(1, 5), started(2, 1), started(3, 0, terminating=True), started(4, 3), pod(5, containers=())]
    chosen = environment.containers_to_read(snapshot(pods), 2)
    assert [(found.name, container.name) for found, container in chosen] == [("web-2", "nginx"), ("web-4", "nginx")]


def test_what_a_container_says_itself_is_told_and_no_complaint() -> None:
    own = Container("app", env=frozenset({"WEB_PORT", "HOME"}), started=NOON)
    found = environment.check(look(snapshot((pod(1, containers=(own,)),)), question(layers=("environment",))))
    (told,) = [finding for finding in found if finding.id == "EV-06"]
    assert told.status == SKIPPED
    assert "container app sets WEB_PORT itself" in told.message


@pytest.mark.parametrize(("count", "expected"), [(2, []), (60, [SKIPPED])])
def test_variables_that_leave_no_room_for_others(count: int, expected: list[str]) -> None:
    ports = [{"name": f"port-{number}", "port": number} for number in range(1000, 1100)]
    bodies = tuple(
        {
            "metadata": {"name": f"{'x' * 60}{number}", "namespace": "demo", "uid": str(number)},
            "spec": {"clusterIPs": ["10.96.1.1"], "ports": ports, "type": "ClusterIP"},
        }
        for number in range(count)
    )
    found = environment.check(look(snapshot(), question(layers=("environment",)), facts=Facts({"services": bodies})))
    assert [finding.status for finding in found if finding.id == "EV-07"] == expected
