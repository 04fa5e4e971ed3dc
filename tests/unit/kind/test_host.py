# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the test bed finds out about this machine and its Docker engine, and what it says when something is missing."""

from __future__ import annotations

import json
import os
import typing as t
from pathlib import Path

import host
import pytest
from host import Engine
from steps import Missing, Shell

WITH, WITHOUT = "000001ffffffffff", "000001fffeffffff"


def processes(folder: Path, **names: str) -> Path:
    """What /proc says: the bounding set of each process."""
    for number, (name, bounding) in enumerate(names.items(), 1):
        process = folder / ("self" if name == "self" else str(number))
        process.mkdir()
        (process / "comm").write_text(f"{name}\n")
        (process / "status").write_text(f"Name:\t{name}\nCapEff:\t{WITH}\nCapBnd:\t{bounding}\nCapAmb:\t0\n")
    return folder


def programs(folder: Path, monkeypatch: pytest.MonkeyPatch, **scripts: str) -> None:
    for name, script in scripts.items():
        (folder / name).write_text(f"#!/bin/sh\n{script}\n")
        (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")


@pytest.mark.parametrize(
    ("bounding", "lacks"),
    [(WITH, False), (WITHOUT, True), ("00000000a80425fb", True), ("0000000001000000", False)],
    ids=["all", "all but one", "a container's", "that one alone"],
)
def test_capability_is_looked_for_in_the_bounding_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bounding: str, *, lacks: bool
) -> None:
    monkeypatch.setattr(host, "PROCESSES", processes(tmp_path, self=bounding))
    assert host.lacks_sys_resource() is lacks


@pytest.mark.parametrize(
    ("bounding", "runtime"), [(WITH, None), (WITHOUT, "bounded")], ids=["full capabilities", "without one"]
)
def test_our_engine_runs_containers_by_the_wrapper_where_it_has_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bounding: str, runtime: str | None
) -> None:
    monkeypatch.setattr(host, "PROCESSES", processes(tmp_path, self=bounding))
    monkeypatch.setattr(host, "ENGINE", tmp_path)
    programs(tmp_path, monkeypatch, jq="")
    settings = t.cast("dict[str, t.Any]", host.daemon_settings(Shell(tmp_path / "log")))
    assert settings.get("default-runtime") == runtime
    for one in settings.get("runtimes", {}).values():
        assert os.access(one["path"], os.X_OK)
    assert set(settings.get("runtimes", {})) == {runtime} - {None}


@pytest.mark.parametrize(
    ("said", "engine"),
    [
        ({"Name": "here", "DefaultRuntime": "runc", "SecurityOptions": ["name=seccomp"]}, Engine(True, "runc")),
        ({"Name": "here", "DefaultRuntime": "runc", "SecurityOptions": None}, Engine(True, "runc")),
        ({"Name": "here", "DefaultRuntime": "runc", "SecurityOptions": ["name=rootless"]}, Engine(False, "runc")),
        ({"Name": "docker-desktop", "DefaultRuntime": "crun"}, Engine(False, "crun")),
        ({"Name": "", "ServerErrors": ["Cannot connect"], "ClientInfo": {}}, None),
        (None, None),
    ],
    ids=["here", "no options", "rootless", "in a VM", "a client alone", "no client"],
)
def test_engine_is_here_if_its_rules_are(said: dict[str, t.Any] | None, engine: Engine | None) -> None:
    assert host.read_engine(json.dumps(said) if said else "", "here") == engine


SYSTEMD, NONE = True, False


@pytest.mark.parametrize(
    ("engine", "daemons", "systemd", "problem"),
    [
        (Engine(True, "runc"), {"dockerd": WITHOUT}, NONE, "stop it, and one that does without is started; or make /"),
        (Engine(True, "runc"), {"dockerd": WITHOUT}, SYSTEMD, "ask for: make /.*/runc-bounded its default-runtime"),
        (Engine(True, "runc"), {"dockerd": WITH, "self": WITHOUT}, NONE, None),
        (Engine(True, "runc"), {"self": WITHOUT, "containerd": WITHOUT}, NONE, None),
        (Engine(True, "bounded"), {"dockerd": WITHOUT}, NONE, None),
        (Engine(False, "runc"), {"dockerd": WITHOUT}, NONE, None),
        (None, {"dockerd": WITHOUT}, NONE, None),
    ],
    ids=["stop it", "systemd's", "we lack it alone", "not seen", "a wrapper", "elsewhere", "no engine"],
)
def test_engine_that_cannot_start_nodes_is_named(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    engine: Engine | None,
    daemons: dict[str, str],
    systemd: bool,
    problem: str | None,
) -> None:
    monkeypatch.setattr(host, "PROCESSES", processes(tmp_path, **daemons))
    monkeypatch.setattr(host, "has_systemd", lambda: systemd)
    if problem is None:
        host.insist_on_nodes(engine)
        return
    with pytest.raises(Missing, match=problem) as caught:
        host.insist_on_nodes(engine)
    assert "CAP_SYS_RESOURCE" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_engine_that_answers_is_judged_and_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    programs(tmp_path, monkeypatch, docker=f"""echo '{{"Name": "{os.uname().nodename}", "DefaultRuntime": "runc"}}'""")
    monkeypatch.setattr(host, "PROCESSES", processes(tmp_path, dockerd=WITHOUT))
    with pytest.raises(Missing, match="CAP_SYS_RESOURCE"):
        host.start_docker(Shell(tmp_path / "log"))
    assert (tmp_path / "log").read_text() == ""


HERE = f'echo \'{{"Name": "{os.uname().nodename}"}}\''
ELSEWHERE = 'echo \'{"Name": "docker-desktop"}\''
SILENT = "exit 1"
ASKS_FOR_A_PASSWORD = "exit 1"


@pytest.mark.parametrize(
    ("user", "docker", "sudo", "goes_on"),
    [
        (1000, HERE, ASKS_FOR_A_PASSWORD, False),
        # sudo that remembers a password for the terminal: Ansible's tasks have none
        (1000, HERE, 'read -r _ _ _ _ _ session _ </proc/$$/stat; [ "$session" != "$$" ]', False),
        (1000, HERE, "exit 0", True),
        (0, HERE, ASKS_FOR_A_PASSWORD, True),
        (1000, ELSEWHERE, ASKS_FOR_A_PASSWORD, True),
        (1000, SILENT, ASKS_FOR_A_PASSWORD, True),
    ],
    ids=["password", "password of a terminal", "no password", "root", "engine elsewhere", "no engine yet"],
)
def test_who_may_not_set_rules_hears_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, user: int, docker: str, sudo: str, *, goes_on: bool
) -> None:
    programs(tmp_path, monkeypatch, docker=docker, sudo=sudo)
    monkeypatch.setattr(os, "geteuid", lambda: user)
    if goes_on:
        host.allow_rules()
        return
    with pytest.raises(Missing) as caught:
        host.allow_rules()
    assert str(caught.value) == (
        "keeping the cluster from the world outside (by iptables) needs root, or sudo without a password; "
        "to go on without that, set PLUMBLINE_ISOLATE=no"
    )


def test_client_without_an_engine_is_no_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    programs(tmp_path, monkeypatch, docker='[ "$1" = info ] && echo || exit 1')  # as that of Docker 26
    assert not host.docker_answers()


def test_closed_socket_without_rights_names_the_group(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host, "SOCKET", tmp_path / "socket")
    monkeypatch.setattr(host, "ask", lambda *_command, **_options: None)
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr(os, "access", lambda *_question: False)
    (tmp_path / "socket").touch()
    with pytest.raises(Missing, match="add yourself to the group docker"):
        host.open_socket(Shell(tmp_path / "log"))


@pytest.mark.parametrize(
    ("addresses", "code", "has"),
    [
        ("fd00::2 04 40 00 80 eth0\n", 0, True),
        ("fd00::2 04 40 00 80 eth0\n", 3, False),
        ("", 0, False),
        (None, 0, False),
    ],
    ids=["all", "no rules", "no address", "no IPv6"],
)
def test_ipv6_needs_addresses_and_rules(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, addresses: str | None, code: int, *, has: bool
) -> None:
    programs(tmp_path, monkeypatch, ip6tables=f"exit {code}", sudo='shift 2; exec "$@"')
    if addresses is not None:
        (tmp_path / "addresses").write_text(addresses)
    monkeypatch.setattr(host, "IPV6_ADDRESSES", tmp_path / "addresses")
    assert host.has_ipv6() is has
