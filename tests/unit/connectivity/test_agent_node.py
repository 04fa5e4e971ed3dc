# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The agent that looks at a node from inside: what real tools and kernels print, and real processes and sockets."""

from __future__ import annotations

import ast
import contextlib
import os
import socket
import threading
import typing as t
from pathlib import Path

import pytest

from ansible_collections.plumbline.kubernetes.plugins.module_utils.connectivity import agent, agent_node

PRINTED = Path(__file__).parent / "node"
WEB, ECHO, STICKY = "10.96.111.139:80/TCP", "10.96.234.73:53/UDP", "10.96.248.104:80/TCP"
BOTH = ["10.244.1.64:80", "10.244.2.81:80"]
LED = {WEB: BOTH, ECHO: ["10.244.1.71:5353", "10.244.2.87:5353"], STICKY: ["10.244.2.81:80"]}


def printed(name: str) -> str:
    return (PRINTED / name).read_text()


def test_it_is_written_for_the_oldest_python_that_it_may_meet() -> None:
    ast.parse(Path(agent_node.__file__).read_text(), feature_version=(3, 9))


# ----- rules


def of_iptables(text: str) -> agent_node.Rules:
    rules = agent_node.Rules(LED)
    for line in text.splitlines():
        agent_node.take_iptables(rules, line)
    return rules


def of_nft(text: str) -> agent_node.Rules:
    rules = agent_node.Rules(LED)
    lines = agent_node.NftLines(rules)
    for line in text.splitlines():
        lines.take(line)
    return rules


@pytest.mark.parametrize(
    ("read", "name"), [(of_iptables, "iptables-save.txt"), (of_nft, "nft-list-table.txt")], ids=["iptables", "nftables"]
)
def test_rules_lead_to_endpoints(read: t.Callable[[str], agent_node.Rules], name: str) -> None:
    """One Service with two endpoints, one for UDP, one with affinity and the traffic policy Local; DNS is not asked."""
    rules = read(printed(name))
    assert rules.there
    assert rules.lead() == LED


def test_rules_that_are_gone_are_told_from_rules_that_never_were() -> None:
    flushed = "\n".join(line for line in printed("iptables-save.txt").splitlines() if "-A KUBE-SERVICES" not in line)
    assert (of_iptables(flushed).there, of_iptables(flushed).lead()) == (True, {})
    assert not of_iptables("*nat\n:PREROUTING ACCEPT [0:0]\nCOMMIT\n").there
    assert not of_nft("table ip other {\n\tchain input {\n\t}\n}\n").there


def test_an_endpoint_that_is_missing_in_the_rules_is_not_led_to() -> None:
    less = "\n".join(line for line in printed("iptables-save.txt").splitlines() if "-> 10.244.1.64:80" not in line)
    assert of_iptables(less).lead()[WEB] == ["10.244.2.81:80"]


def test_rules_of_ipv6_are_keyed_as_the_plan_spells_them() -> None:
    rules = agent_node.Rules(["[fd00::1]:80/TCP"])
    for line in (
        '-A KUBE-SERVICES -d fd00::1/128 -p tcp -m comment --comment "a/b cluster IP" -m tcp --dport 80 -j KUBE-SVC-A',
        '-A KUBE-SVC-A -m comment --comment "a/b -> [fd01::2]:8080" -j KUBE-SEP-B',
        '-A KUBE-SEP-B -p tcp -m comment --comment "a/b" -m tcp -j DNAT --to-destination [fd01::2]:8080',
    ):
        agent_node.take_iptables(rules, line)
    assert rules.lead() == {"[fd00::1]:80/TCP": ["[fd01::2]:8080"]}


# ----- flows


@pytest.mark.parametrize("name", ["conntrack-L.txt", "nf_conntrack.txt"])
def test_flows_of_the_service_are_counted_and_no_others(name: str) -> None:
    flows = agent_node.Flows([ECHO])
    for line in printed(name).splitlines():
        flows.take(line)
    assert flows.counts == {f"{ECHO} 10.244.1.71:5353": 1}


def test_flows_are_counted_by_their_end_and_capped() -> None:
    line = printed("conntrack-L.txt").splitlines()[-1]
    flows = agent_node.Flows([ECHO])
    for number in range(agent_node.MOST_FLOWS + 50):
        for _twice in range(2):
            flows.take(line.replace("10.244.1.71", f"10.1.{number // 250}.{number % 250}"))
    assert len(flows.counts) == agent_node.MOST_FLOWS
    assert set(flows.counts.values()) == {2}


def test_a_flow_that_was_never_led_anywhere_ends_at_the_service_itself() -> None:
    """As printed for an address that no rule knew when the flow began."""
    line = (
        "udp      17 29 src=10.244.2.87 dst=10.96.234.73 sport=40000 dport=53 [UNREPLIED]"
        " src=10.96.234.73 dst=10.244.2.87 sport=53 dport=40000 mark=0 use=1"
    )
    assert agent_node.parse_flow(line) == ("UDP", ECHO, "10.96.234.73:53")


# ----- sockets


def test_sockets_that_listen() -> None:
    assert agent_node.parse_sockets(printed("net-tcp.txt"), "tcp") == [("0.0.0.0", 443), ("127.0.0.1", 8080)]
    assert agent_node.parse_sockets(printed("net-tcp6.txt"), "tcp") == [("::", 10250), ("::1", 631)]
    assert agent_node.parse_sockets(printed("net-udp.txt"), "udp") == [("0.0.0.0", 5353)]


def test_listeners_of_a_live_process() -> None:
    with socket.create_server(("127.0.0.1", 0)) as tcp, socket.socket(type=socket.SOCK_DGRAM) as udp:
        udp.bind(("127.0.0.1", 0))
        ports = [tcp.getsockname()[1], udp.getsockname()[1]]
        told = agent_node.listeners([1 << 30, os.getpid()], frozenset(ports)) or []
        assert {f"tcp 127.0.0.1 {ports[0]}", f"udp 127.0.0.1 {ports[1]}"} <= set(told)
        assert {int(line.rpartition(" ")[2]) for line in told} <= set(ports)
    assert agent_node.listeners([1 << 30], None) is None


SYSTEMD = "0::/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-burstable-pod{}.slice"
UID = "e0eddf70-3e1f-4d4c-827c-69c63b237c5b"


@pytest.mark.parametrize(
    "text",
    [
        SYSTEMD.format(UID.replace("-", "_")) + "/cri-containerd-dc29.scope",
        f"12:pids:/kubepods/besteffort/pod{UID}/dc29\n0::/",
        f"0::/../../besteffort/pod{UID}/dc29",
    ],
    ids=["systemd", "cgroupfs of version 1", "seen from another namespace"],
)
def test_processes_are_found_by_the_pod_of_their_control_group(
    text: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "7").mkdir()
    (tmp_path / "7" / "cgroup").write_text(text)
    monkeypatch.setattr(agent_node, "PROC", str(tmp_path))
    assert agent_node.pod_processes([UID, "another"]) == {UID: [7]}
    assert agent_node.pod_processes(["another"]) == {}
    assert agent_node.pod_processes([]) == {}


# ----- the service proxy


Answers = list[tuple[str, str]]


@pytest.fixture
def answering() -> t.Iterator[t.Callable[[Answers], int]]:
    """Makes servers that give each answer, status and body, to one connection, then none to any; their ports."""
    with contextlib.ExitStack() as stack:

        def begin(answers: Answers) -> int:
            listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
            threading.Thread(target=serve, args=(listener, answers), daemon=True).start()
            return int(listener.getsockname()[1])

        yield begin


def serve(listener: socket.socket, answers: Answers) -> None:
    with contextlib.suppress(OSError):  # closed at the end of the test
        for status, body in answers:
            connection, _peer = listener.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode())


def closed() -> int:
    """A port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def observed(task: dict[str, t.Any]) -> dict[str, t.Any]:
    found = agent.run({"budget": 10.0, "tasks": [{"id": "x", **task}]})["observations"][0]
    return dict(found)


HEALTHY = (
    '{"lastUpdated":"2026-11-23T17:34:52.88842732Z","currentTime":"2026-11-23T17:35:22.882842912Z","nodeEligible":%s,'
    '"healthy":true,"status":{"IPv4":{"lastUpdated":"2026-11-23T17:34:10.380946209Z","healthy":true}}}'
)
OLDER = '{"lastUpdated": "2026-11-23 17:34:52.888 +0000 UTC m=+1","currentTime": "2026-11-23 17:34:53.1 +0000 UTC"}'


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (HEALTHY % "true", {"age": 30, "eligible": True}),
        (HEALTHY % "false", {"age": 30, "eligible": False}),
        (OLDER, {"age": 1, "eligible": True}),
        ("ok", {"age": 0, "eligible": True}),
        ("[]", {"age": 0, "eligible": True}),
    ],
)
def test_health(text: str, found: dict[str, t.Any]) -> None:
    assert agent_node.parse_health(text) == found


SILENT = {"running": False, "stopped": False, "status": 0, "age": 0, "eligible": True, "mode": ""}
WELL = {**SILENT, "answer": "ok", "status": 200, "age": 30, "mode": "iptables"}


@pytest.mark.parametrize(
    ("health", "metrics", "found"),
    [
        ([("200 OK", HEALTHY % "true")], [("200 OK", "iptables")], WELL),
        ([("503 Service Unavailable", HEALTHY % "true")], [("404 Not Found", "")], {**WELL, "status": 503, "mode": ""}),
        ([("200 OK", HEALTHY % "true")], None, {**WELL, "mode": ""}),
        ([], [], {**SILENT, "answer": "timeout"}),
        (None, None, {**SILENT, "answer": "refused"}),
    ],
    ids=["healthy", "not healthy", "mode untold", "hangs", "absent"],
)
def test_a_proxy_answers_or_does_not(
    health: Answers | None,
    metrics: Answers | None,
    found: dict[str, t.Any],
    answering: t.Callable[[Answers], int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, answers in (("HEALTH", health), ("METRICS", metrics)):
        monkeypatch.setattr(agent_node, name, closed() if answers is None else answering(answers))
    monkeypatch.setattr(agent_node, "proxy_state", lambda: "")
    seen = observed({"type": "node_proxy", "timeout": 1})
    assert (seen["class"], seen["value"]) == ("ok", found)


def test_the_state_of_a_proxy_is_that_of_the_process_of_this_network(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for pid, name, network in ((1, "systemd", "here"), (5, "kube-proxy", "there"), (9, "kube-proxy", "here")):
        (tmp_path / str(pid) / "ns").mkdir(parents=True)
        (tmp_path / str(pid) / "comm").write_text(f"{name}\n")
        (tmp_path / str(pid) / "stat").write_text(f"{pid} ({name}) {'T' if network == 'here' else 'S'} 1 2 3")
        (tmp_path / network).touch()
        (tmp_path / str(pid) / "ns" / "net").symlink_to(tmp_path / network)
    (tmp_path / "self").symlink_to(tmp_path / "1")
    monkeypatch.setattr(agent_node, "PROC", str(tmp_path))
    assert agent_node.proxy_state() == "T"
    (tmp_path / "9" / "comm").write_text("other\n")
    assert agent_node.proxy_state() == ""


# ----- the node's own tools


@pytest.fixture
def node(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> t.Callable[[str, str], None]:
    """Lets programs be tools of the node."""
    monkeypatch.setattr(agent_node.os, "chroot", lambda _path: None)
    monkeypatch.setattr(agent_node, "FOLDERS", (str(tmp_path),))

    def tool(name: str, script: str) -> None:
        (tmp_path / name).write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / name).chmod(0o755)

    return tool


Tool = t.Callable[[str, str], None]
ABSENT = {"iptables": "it has no iptables-save", "nftables": "it has no nft"}


def test_rules_are_read_by_the_tools_that_there_are(node: Tool) -> None:
    node("iptables-save", "echo :KUBE-SERVICES")
    node("iptables-legacy-save", f'[ "$*" = "-t nat" ] && exec /bin/cat {PRINTED}/iptables-save.txt')
    node("nft", f'[ "$*" = "list table ip kube-proxy" ] && exec /bin/cat {PRINTED}/nft-list-table.txt')
    seen = observed({"type": "node_rules", "wanted": list(LED)})
    assert seen["value"] == {"iptables": LED, "nftables": LED, "missing": {}}


def test_a_node_without_tools_or_without_rules_says_which(node: Tool) -> None:
    assert observed({"type": "node_rules", "wanted": [WEB]})["value"]["missing"] == ABSENT
    node("iptables-save", "echo '*nat'")
    node("nft", "echo nothing such >&2; exit 1")
    assert observed({"type": "node_rules", "wanted": [WEB]})["value"]["missing"] == {
        "iptables": "iptables-save shows no chain KUBE-SERVICES",
        "nftables": "it has no table kube-proxy",
    }


def test_rules_of_a_tool_that_breaks_off_are_not_taken(node: Tool) -> None:
    """Half of the rules look like missing ones."""
    node("iptables-save", f"/bin/cat {PRINTED}/iptables-save.txt; exit 3")
    node("nft", f"/bin/cat {PRINTED}/nft-list-table.txt; exit 3")
    value = observed({"type": "node_rules", "wanted": [WEB]})["value"]
    assert (value["iptables"], value["nftables"]) == ({}, {})
    assert value["missing"]["iptables"] == "iptables-save ends with exit code 3"


def test_flows_are_read_by_conntrack_or_from_the_kernel(node: Tool) -> None:
    task = {"type": "node_conntrack", "wanted": [ECHO]}
    assert observed(task)["value"]["unread"] == "it has neither conntrack nor /proc/net/nf_conntrack"
    node("cat", f'[ "$*" = /proc/net/nf_conntrack ] && exec /bin/cat {PRINTED}/nf_conntrack.txt')
    assert observed(task)["value"]["flows"] == {f"{ECHO} 10.244.1.71:5353": 1}
    node("conntrack", "true")
    assert observed(task)["value"]["flows"] == {}


def test_how_full_the_connection_table_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(agent_node, "PROC", str(tmp_path))
    assert not observed({"type": "node_conntrack"})["value"]["known"]
    folder = tmp_path / "sys/net/netfilter"
    folder.mkdir(parents=True)
    (folder / "nf_conntrack_count").write_text("392\n")
    (folder / "nf_conntrack_max").write_text("262144\n")
    value = observed({"type": "node_conntrack"})["value"]
    assert (value["known"], value["count"], value["max"]) == (True, 392, 262144)


@pytest.mark.parametrize(
    ("script", "kind", "text"),
    [
        ("exec /bin/sleep 60", "timeout", "running iptables-save of the node: not done within 0.5 s"),
        ("while :; do echo x; done", "limit", "more output than can be taken"),
        ("exec /usr/bin/tr '\\0' x </dev/zero", "limit", "more output than can be taken"),
    ],
    ids=["hangs", "endless", "one endless line"],
)
def test_a_tool_that_does_not_end_is_ended(
    script: str, kind: str, text: str, node: Tool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(agent_node, "MOST_OUTPUT", 1 << 20)
    node("iptables-save", f"echo $$ > $0.pid; {script}")
    seen = observed({"type": "node_rules", "wanted": [WEB], "timeout": 0.5 if kind == "timeout" else 30})
    assert (seen["class"], text in seen["detail"]) == (kind, True), seen
    pid = int((Path(agent_node.FOLDERS[0]) / "iptables-save.pid").read_text())
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_a_tool_gets_nothing_of_our_environment(node: Tool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET", "x")
    node("nft", "/usr/bin/env > $0.env; /bin/cat > $0.input")
    observed({"type": "node_rules", "wanted": [WEB]})
    folder = Path(agent_node.FOLDERS[0])
    assert "SECRET" not in (folder / "nft.env").read_text()
    assert (folder / "nft.input").read_text() == ""


def test_a_root_that_may_not_be_entered_is_no_missing_tool(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agent_node, "PROC", "/nowhere")
    seen = observed({"type": "node_rules", "wanted": [WEB]})
    assert (seen["class"], "confined" in seen["detail"]) == ("error", True)


def test_pods_are_told_what_they_listen_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """In the network of the node, only what was asked for; a pod without a process is left out."""
    sockets = "sl\n" + "".join(f"0: 00000000:{port:04X} 00000000:0000 0A 0 0 0 0 0 1\n" for port in (22, 8080, 10250))
    monkeypatch.setattr(agent_node, "pod_processes", lambda _uids: {"plain": [7], "host": [8]})
    monkeypatch.setattr(agent_node, "read_sockets", lambda _pid, protocol: sockets if protocol == "tcp" else "sl\n")
    pods = {uid: {"ports": [8080], "host": uid == "host"} for uid in ("plain", "host", "gone")}
    assert observed({"type": "node_listeners", "pods": pods})["value"]["pods"] == {
        "plain": ["tcp 0.0.0.0 22", "tcp 0.0.0.0 8080", "tcp 0.0.0.0 10250"],
        "host": ["tcp 0.0.0.0 8080"],
    }
