# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What only a node itself knows: its service proxy and the rules that it wrote, its connection table, who listens.

It travels beside agent.py where a plan has tasks of these types, into a pod with the node's network and process ids. It
runs the node's own tools, as `chroot` into the root of process 1 would, and never those of another container: what runs
here may do more than its owner. Nothing is written. What is read is reduced here: nothing but what belongs to the
Service in question leaves the node.

This file is private to the collection; its contents may change in any release.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import socket
import struct
from datetime import datetime

from .agent import (
    EXCHANGES,
    Failure,
    Reader,
    build_request,
    clean,
    connect,
    of_os_error,
    open_socket,
    read_body,
    read_head,
    run_child,
    send,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from typing import Any

    from .agent import Attempt, Steps

# Where kube-proxy answers unless it is told otherwise.
HEALTH, METRICS = 10256, 10249
MOST_OUTPUT = 256 << 20  # bytes of one tool, taken line by line
MOST_LINE = 1 << 20
MOST_LISTENERS = 200  # sockets of one pod
MOST_FLOWS = 250  # different ends of the Service's flows
FOLDERS = ("/usr/local/sbin", "/usr/sbin", "/sbin", "/usr/local/bin", "/usr/bin", "/bin")
NO_TOOL, NO_WAY = 127, 126
PROC = "/proc"


# --- the node's own tools -------------------------------------------------------------------------------------------


def run_on_node(words: Sequence[str], take: Callable[[str], None], attempt: Attempt) -> Steps[int]:
    """Run a tool of the node and take its output line by line; its exit code."""
    attempt.doing = f"running {words[0]} of the node"
    code = yield from run_child(lambda into: become(words, into), Lines(take).add)
    if code == NO_WAY:
        raise Failure("error", f"{words[0]} of the node may not be run: is the pod confined by SELinux or AppArmor?")
    return code


class Lines:
    """Makes lines of pieces, and refuses more than can be taken."""

    def __init__(self, take: Callable[[str], None]) -> None:
        self.take = take
        self.left, self.rest = MOST_OUTPUT, b""

    def add(self, piece: bytes) -> None:
        """A piece of the output; an empty one is its end."""
        self.left -= len(piece)
        lines = (self.rest + piece).split(b"\n")
        self.rest = lines.pop() if piece else b""
        if self.left < 0 or len(self.rest) > MOST_LINE:
            raise Failure("limit", "more output than can be taken")
        for line in lines:
            self.take(line.decode("utf-8", "replace"))


def become(words: Sequence[str], into: int) -> None:
    """The child's whole life: the node's root, no input, no complaints, nothing of our environment.

    Nothing can be imported any more there, as os.execvp would.
    """
    code = NO_WAY
    try:
        nothing = os.open(os.devnull, os.O_RDWR)
        os.chroot(f"{PROC}/1/root")
        os.chdir("/")
        for number, replaced in ((nothing, 0), (into, 1), (nothing, 2)):
            os.dup2(number, replaced)
        code = NO_TOOL
        for folder in FOLDERS:
            with contextlib.suppress(OSError):
                os.execve(f"{folder}/{words[0]}", list(words), {"PATH": ":".join(FOLDERS), "LC_ALL": "C"})
    finally:
        os._exit(code)


def first_line(path: str) -> str:
    """Of a small file; empty where there is none."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.readline(4096).strip()
    except OSError:
        return ""


def processes() -> Iterator[int]:
    return (int(entry) for entry in os.listdir(PROC) if entry.isdigit())


# --- the service proxy ----------------------------------------------------------------------------------------------


def ask_proxy(port: int, path: str, attempt: Attempt) -> Steps[tuple[int, str]]:
    """Status and body."""
    attempt.doing = f"asking the service proxy for {path}"
    request = build_request({"address": "127.0.0.1", "port": port, "path": path})
    sock, target = open_socket("127.0.0.1", port, socket.SOCK_STREAM)
    with sock:
        yield from connect(sock, target)
        yield from send(sock, request)
        reader = Reader(sock, 1 << 16)
        status, headers = yield from read_head(reader, attempt.limits["headers"])
        body, _whole = yield from read_body(reader, "GET", status, headers, 4096)
        return status, body.decode("utf-8", "replace")


def exchange_proxy(attempt: Attempt) -> Steps[dict[str, Any]]:
    """That it does not answer is an answer, too."""
    state = proxy_state()
    found = {"running": bool(state), "stopped": state in ("T", "t"), "answer": "ok", "status": 0, "age": 0}
    found.update(eligible=True, mode="")
    try:
        found["status"], text = yield from ask_proxy(HEALTH, "/healthz", attempt)
        found.update(parse_health(text))
        status, text = yield from ask_proxy(METRICS, "/proxyMode", attempt)
        found["mode"] = clean(text.strip(), 20) if status == 200 else ""
    except Failure as problem:
        if not found["status"]:
            found["answer"] = problem.kind
    except OSError as problem:
        if not found["status"]:
            found["answer"] = of_os_error(problem).kind
    return found


def proxy_state() -> str:
    """The state of the process kube-proxy in this network, as ps shows it; empty where there is none."""
    here = os.stat(f"{PROC}/self/ns/net").st_ino
    for pid in processes():
        if first_line(f"{PROC}/{pid}/comm") == "kube-proxy":
            try:
                same = os.stat(f"{PROC}/{pid}/ns/net").st_ino == here
            except OSError:
                continue
            if same:
                return first_line(f"{PROC}/{pid}/stat").rpartition(") ")[2][:1]
    return ""


def parse_health(text: str) -> dict[str, Any]:
    """Seconds since the last update of the rules, and whether the node may get traffic from load balancers."""
    try:
        told = json.loads(text)
    except ValueError:
        told = {}
    told = told if isinstance(told, dict) else {}
    moments = [moment(told.get(key)) for key in ("lastUpdated", "currentTime")]
    age = (moments[1] - moments[0]).total_seconds() if moments[0] and moments[1] else 0.0
    return {"age": max(0, min(int(age), 1 << 30)), "eligible": told.get("nodeEligible") is not False}


def moment(text: object) -> datetime | None:
    """Go's way to print a time, to the second: `2026-11-23 12:00:00.123 +0000 UTC m=+0.1`, or RFC 3339."""
    match = re.match(r"(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d:\d\d)", str(text))
    return datetime.strptime(" ".join(match.groups()), "%Y-%m-%d %H:%M:%S") if match else None


# --- its rules ------------------------------------------------------------------------------------------------------


class Rules:
    """Which way from the Service's addresses to its endpoints the rules lead.

    Attributes:
        there: the proxy's own chains, sets or tables were seen.
    """

    def __init__(self, wanted: Iterable[str]) -> None:
        self.wanted = frozenset(wanted)
        self.there = False
        self.heads: dict[str, str] = {}
        self.steps: dict[str, list[str]] = {}
        self.ends: dict[str, list[str]] = {}

    def lead(self) -> dict[str, list[str]]:
        """address:port/protocol -> endpoints, of what is wanted and has a rule."""
        found = {}
        for key, head in self.heads.items():
            ends: list[str] = []
            seen, open_ = {head}, [head]
            while open_:
                chain = open_.pop()
                ends += self.ends.get(chain, ())
                fresh = [step for step in self.steps.get(chain, ()) if step not in seen]
                seen.update(fresh)
                open_ += fresh
            found[key] = sorted(set(ends))
        return found


# iptables-save: the nat table of kube-proxy, pkg/proxy/iptables/proxier.go.
IPTABLES_HEAD = re.compile(r"-A KUBE-SERVICES -d (\S+?)(?:/32|/128)? -p (\w+) .*--dport (\d+) .*-j (KUBE-SV[CL]-\w+)")
IPTABLES_STEP = re.compile(r"-A (KUBE-SV[CL]-\w+) .*-j (KUBE-(?:SEP|SV[CL])-\w+)")
IPTABLES_END = re.compile(r"-A (KUBE-SEP-\w+) .*-j DNAT .*--to-destination (\S+)")


def take_iptables(rules: Rules, line: str) -> None:
    if line.startswith("-A KUBE-SE"):
        match = IPTABLES_HEAD.match(line)
        if match:
            rules.there = True
            key = service_key(match.group(1), match.group(3), match.group(2))
            if key in rules.wanted:
                rules.heads[key] = match.group(4)
            return
        match = IPTABLES_END.match(line)
        if match:
            rules.ends.setdefault(match.group(1), []).append(match.group(2))
    elif line.startswith("-A KUBE-SV"):
        match = IPTABLES_STEP.match(line)
        if match:
            rules.steps.setdefault(match.group(1), []).append(match.group(2))
    elif line.startswith(":KUBE-SERVICES "):
        rules.there = True


# nft list table: pkg/proxy/nftables/proxier.go. Named sets are printed over many lines, those of a rule on one.
NFT_CHAIN = re.compile(r"\s*chain (\S+) \{")
NFT_HEAD = re.compile(r"(\S+) \. (tcp|udp|sctp) \. (\d+)(?: comment \"[^\"]*\")? : goto (\S+?)(?=[,\s}]|$)")
NFT_STEP = re.compile(r"(?:goto|jump) ((?:service|endpoint|local)-[^\s,}]+)")
NFT_END = re.compile(r"dnat (?:ip6? )?to (\S+:\d+)")
NFT_ENDS = re.compile(r"dnat (?:ip6? )?to .*map \{(.*)\}")
NFT_ONE = re.compile(r": (\S+) \. (\d+)")


class NftLines:
    """Lines of `nft list table`, with the chain that they are in."""

    def __init__(self, rules: Rules) -> None:
        self.rules = rules
        self.chain = ""

    def take(self, line: str) -> None:
        chain = NFT_CHAIN.match(line)
        if chain:
            self.chain = chain.group(1)
        elif line.rstrip() == "\t}":
            self.chain = ""
        elif self.chain:
            self.rules.steps.setdefault(self.chain, []).extend(NFT_STEP.findall(line))
            ends = self.rules.ends.setdefault(self.chain, [])
            ends += NFT_END.findall(line)
            ends += [place(*one) for several in NFT_ENDS.findall(line) for one in NFT_ONE.findall(several)]
        else:
            self.rules.there = self.rules.there or "map service-ips " in line
            for address, protocol, port, head in NFT_HEAD.findall(line):
                key = service_key(address, port, protocol)
                if key in self.rules.wanted:
                    self.rules.heads[key] = head


def normal(address: str) -> str:
    """The usual spelling of an address."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        return socket.inet_ntop(family, socket.inet_pton(family, address))
    except (OSError, ValueError):
        return address


def place(address: str, port: object) -> str:
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def service_key(address: str, port: object, protocol: str) -> str:
    """As the plan spells what it wants: `10.96.0.1:80/TCP`."""
    return f"{place(normal(address), port)}/{protocol.upper()}"


def exchange_rules(attempt: Attempt) -> Steps[dict[str, Any]]:
    """What each kind of proxy would have written; which kind it is, another task tells."""
    wanted = list(attempt.task["wanted"])
    families = sorted({6 if key.startswith("[") else 4 for key in wanted})
    found: dict[str, Any] = {"iptables": {}, "nftables": {}, "missing": {}}
    for family in families:
        rules, why = yield from read_iptables(wanted, family, attempt)
        keep(found, "iptables", rules.lead() if rules.there else {}, why)
        rules, why = yield from read_nft(wanted, family, attempt)
        keep(found, "nftables", rules.lead() if rules.there else {}, why)
    return found


def keep(found: dict[str, Any], mode: str, rules: dict[str, list[str]], why: str) -> None:
    found[mode].update(rules)
    if why:
        found["missing"][mode] = why


def read_iptables(wanted: list[str], family: int, attempt: Attempt) -> Steps[tuple[Rules, str]]:
    """A node may have two of them, and the proxy uses the one that the kubelet uses: the one that has its rules."""
    base = "ip6tables" if family == 6 else "iptables"
    why = f"it has no {base}-save"
    best = Rules(wanted)
    for tool in (f"{base}-save", f"{base}-nft-save", f"{base}-legacy-save"):
        rules = Rules(wanted)
        code = yield from run_on_node([tool, "-t", "nat"], lambda line, to=rules: take_iptables(to, line), attempt)  # type: ignore[misc]
        if code != NO_TOOL:
            why = f"{base}-save ends with exit code {code}" if code else f"{base}-save shows no chain KUBE-SERVICES"
        if code == 0 and rules.there:
            best = rules
        if best.steps:
            break
    return best, "" if best.there else why


def read_nft(wanted: list[str], family: int, attempt: Attempt) -> Steps[tuple[Rules, str]]:
    rules = Rules(wanted)
    words = ["nft", "list", "table", "ip6" if family == 6 else "ip", "kube-proxy"]
    code = yield from run_on_node(words, NftLines(rules).take, attempt)
    if code == 0 and rules.there:
        return rules, ""
    return Rules(wanted), "it has no nft" if code == NO_TOOL else "it has no table kube-proxy"


# --- the connection table -------------------------------------------------------------------------------------------

TUPLE = re.compile(r"src=(\S+) dst=(\S+) sport=(\d+) dport=(\d+)")


def parse_flow(line: str) -> tuple[str, str, str] | None:
    """Protocol, where a flow was meant to go, and where it goes, out of a line of conntrack -L or nf_conntrack."""
    ways = TUPLE.findall(line)
    if len(ways) != 2:
        return None
    (_source, address, _port, number), (end, _back, behind, _number) = ways
    protocol = "UDP" if " udp " in f" {line[:40]}" else ""
    return protocol, service_key(address, number, protocol or "?"), place(normal(end), behind)


class Flows:
    """How many UDP flows to the Service's addresses go where."""

    def __init__(self, wanted: Iterable[str]) -> None:
        self.wanted = frozenset(wanted)
        self.counts: dict[str, int] = {}

    def take(self, line: str) -> None:
        flow = parse_flow(line) if "udp" in line else None
        if flow and flow[1] in self.wanted:
            name = f"{flow[1]} {flow[2]}"
            if name in self.counts or len(self.counts) < MOST_FLOWS:
                self.counts[name] = self.counts.get(name, 0) + 1


def exchange_conntrack(attempt: Attempt) -> Steps[dict[str, Any]]:
    folder = f"{PROC}/sys/net/netfilter/"
    count, most = (first_line(f"{folder}nf_conntrack_{name}") for name in ("count", "max"))
    found: dict[str, Any] = {
        "known": count.isdigit() and most.isdigit(),
        "count": int(count) if count.isdigit() else 0,
        "max": int(most) if most.isdigit() else 0,
        "flows": {},
        "unread": "",
    }
    wanted = attempt.task.get("wanted") or ()
    if wanted:
        found["flows"], found["unread"] = yield from read_flows(wanted, attempt)
    return found


def read_flows(wanted: Iterable[str], attempt: Attempt) -> Steps[tuple[dict[str, int], str]]:
    for words in (["conntrack", "-L", "-p", "udp"], ["cat", "/proc/net/nf_conntrack"]):
        flows = Flows(wanted)
        code = yield from run_on_node(words, flows.take, attempt)
        if code == 0:
            return flows.counts, ""
    return {}, "it has neither conntrack nor /proc/net/nf_conntrack"


# --- who listens ----------------------------------------------------------------------------------------------------

# State of a socket: LISTEN of TCP, and CLOSE, which UDP sockets are in that are connected to nobody.
LISTENING = {"tcp": "0A", "udp": "07"}


def parse_sockets(text: str, protocol: str) -> list[tuple[str, int]]:
    """Addresses and ports that are listened on, out of /proc/<pid>/net/tcp and its kind."""
    found = []
    for line in text.splitlines()[1:]:
        words = line.split()
        if len(words) > 3 and words[3] == LISTENING[protocol]:
            address, _colon, port = words[1].partition(":")
            found.append((decode_address(address), int(port, 16)))
    return found


def decode_address(text: str) -> str:
    """The kernel prints words of 32 bits as this machine has them in memory."""
    raw = b"".join(struct.pack("=I", int(text[at : at + 8], 16)) for at in range(0, len(text), 8))
    return socket.inet_ntop(socket.AF_INET if len(raw) == 4 else socket.AF_INET6, raw)


def pod_processes(uids: Iterable[str]) -> dict[str, list[int]]:
    """Processes by the pod whose control group they are in: `pod<uid>`, which systemd's driver writes with `_`."""
    names = {f"pod{form}": uid for uid in uids for form in (uid, uid.replace("-", "_"))}
    pattern = re.compile("|".join(re.escape(name) for name in names) or r"\Z.")
    found: dict[str, list[int]] = {}
    for pid in processes():
        try:
            with open(f"{PROC}/{pid}/cgroup", encoding="utf-8", errors="replace") as file:
                match = pattern.search(file.read(8192))
        except OSError:
            continue
        if match:
            found.setdefault(names[match.group()], []).append(pid)
    return found


def read_sockets(pid: int, protocol: str) -> str:
    """Those of the network that a process is in."""
    with open(f"{PROC}/{pid}/net/{protocol}", encoding="ascii", errors="replace") as file:
        return file.read(16 << 20)


def listeners(pids: Iterable[int], only: frozenset[int] | None) -> list[str] | None:
    """`tcp 0.0.0.0 8080` of the network that these processes share; None where none of them lives any more."""
    for pid in pids:
        found = set()
        try:
            for protocol in LISTENING:
                found |= {(protocol, *one) for one in parse_sockets(read_sockets(pid, protocol), protocol)}
                with contextlib.suppress(FileNotFoundError):  # no IPv6 there
                    found |= {(protocol, *one) for one in parse_sockets(read_sockets(pid, f"{protocol}6"), protocol)}
        except (OSError, ValueError):
            continue
        wanted = sorted((one for one in found if only is None or one[2] in only), key=lambda one: (one[2], one))
        return [f"{protocol} {address} {port}" for protocol, address, port in wanted[:MOST_LISTENERS]]
    return None


def exchange_listeners(attempt: Attempt) -> Steps[dict[str, Any]]:
    """In the network of the node itself others listen, too: of that no more is told than was asked for."""
    attempt.doing = "looking for the sockets of the pods"
    yield from ()
    pods = attempt.task["pods"]
    found = {}
    for uid, pids in pod_processes(pods).items():
        only = frozenset(pods[uid]["ports"]) if pods[uid]["host"] else None
        told = listeners(pids, only)
        if told is not None:
            found[uid] = told
    return {"pods": found}


TYPES = ("node_proxy", "node_rules", "node_conntrack", "node_listeners")
EXCHANGES["node_proxy"] = exchange_proxy
EXCHANGES["node_rules"] = exchange_rules
EXCHANGES["node_conntrack"] = exchange_conntrack
EXCHANGES["node_listeners"] = exchange_listeners
