# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Private to this collection: may change in any release.
"""From findings to symptoms: which parts could be at fault for what was seen, and which ones are proven good.

A probe that was answered acquits everything on its way. One that was not accuses all the rest of its way together: at
least one of those parts is broken. (Consistency-based diagnosis: J. de Kleer and B. Williams, Diagnosing multiple
faults, Artificial Intelligence 32, 1987.)
"""

from __future__ import annotations

import re
import typing as t
from dataclasses import dataclass

from ..checks.lookups import is_late
from ..checks.paths import PURPOSES
from ..look import Look, Observation, Seen
from ..plan_api_proxy import API_PROXY
from ..plan_outside import LOAD_BALANCER, NODE_PORT
from ..result import Finding
from ..scope import Probe
from ..snapshot import Endpoint

# Findings that judge an object by what the API, the served certificate or the container's variables say: id -> what
# they accuse. `{pod}` is the pod of the finding's object.
STATED: dict[str, str] = {
    "SV-01": "service",
    "SV-04": "selector",
    "SV-05": "selector",
    "SV-09": "port/{port}",
    "EP-01": "controller",
    "EP-02": "controller",
    "EP-04": "controller",
    "EP-05": "controller",
    "EP-06": "controller",
    "EP-08": "controller",
    "WL-11": "workload",
    "EV-01": "environment/{pod}",
    "EV-02": "environment/{pod}",
    "EV-04": "environment/{pod}",
    "DN-13": "dns/service",
    "DN-14": "dns/servers",
    "DN-11": "resolver",
    "TL-01": "certificate",
    "TL-03": "certificate",
    "TL-04": "certificate",
    "TL-05": "certificate",
    "TL-06": "certificate",
    "TL-07": "certificate",
    "TL-08": "certificate",
    "TL-09": "certificate",
    "TL-10": "trust",
    "TL-13": "served",
    "TL-14": "served",
    "TL-15": "served",
    "TL-17": "clock",
    "TL-19": "served",
    "TL-21": "certificate",
    "TL-22": "certificate",
    "DP-09": "port/{port}",
    "DP-08": "content/{pod}",
}

# Findings about one way of asking: id -> purpose of its probes.
WAYS: dict[str, str] = {
    "EP-11": "direct",
    "DP-01": "direct",
    "DP-12": API_PROXY,
    "TL-11": "",
    "DP-03": "cluster_ip",
    "DP-04": "name",
    "NP-02": "node_port",
    "NP-04": NODE_PORT,
    "NP-08": NODE_PORT,
    "LB-03": LOAD_BALANCER,
}


# What a client outside of the cluster passes, by purpose of its probes.
_ENTRANCES: dict[str, tuple[str, ...]] = {
    NODE_PORT: ("proxy/{node}", "nodeport", "nodeport/{node}", "outside/{node}", "outside"),
    LOAD_BALANCER: ("loadbalancer", "outside"),
}


# What is less likely is held against the proxy that leads to bad endpoints only.
_CHANCE = 0.01


@dataclass(frozen=True, slots=True)
class Symptom:
    """One failure of one client, with the parts that could be at fault for it.

    Attributes:
        finding: what it was reported as.
        suspects: the parts that are not acquitted, likeliest first; empty where nothing is known.
        text: who could not reach what.
    """

    finding: Finding
    suspects: tuple[str, ...]
    text: str


class Evidence:
    """What the probes acquit and accuse."""

    def __init__(self, look: Look) -> None:
        self.look = look
        self.good = self._acquitted()
        self.stated: frozenset[str] = frozenset()
        self.stale: set[str] = set()  # nodes whose proxies do not reach every endpoint

    def component(self, finding: Finding) -> str:
        """What a finding accuses by itself; empty where it only saw a failure, or gives advice."""
        pod = next((p.name for p in self.look.after.pods if _names(finding.object, p.label)), "")
        if finding.id == "EP-03" and pod:
            return f"ready/{pod}"
        if finding.id == "SV-04" and "selector" not in finding.evidence:
            return ""  # Nothing comes near: perhaps there are just no pods.
        if finding.component or finding.id not in STATED:
            return finding.component
        pattern = STATED[finding.id]
        if "{pod}" in pattern:
            return pattern.replace("{pod}", pod).rstrip("/")
        return pattern.replace("{port}", self._port_of(finding))

    def _port_of(self, finding: Finding) -> str:
        for port in self.look.service.ports if self.look.after.service else ():
            if _names(finding.message, port.label) or _names(finding.field, f":{port.port}"):
                return str(port.port)
        for probe in self.look.plan.probes:
            if probe.port and probe.target == finding.field:
                return str(probe.port.port)
        return ""

    # ----- what works

    def _acquitted(self) -> frozenset[str]:
        look = self.look
        good = {"endpoints"} if any(endpoint.ready for endpoint in look.after.endpoints) else set()
        for purpose in (
            "direct",
            API_PROXY,
            "unready",
            "cluster_ip",
            "node_port",
            NODE_PORT,
            LOAD_BALANCER,
            "dns",
            "resolve",
        ):
            for probe, found in look.seen(purpose):
                # A lookup that was late fails who waits less.
                if found.ok and not (purpose == "resolve" and is_late(look, probe.vantage, found)):
                    good |= self._proven(probe)
                elif found.answered and purpose in ("cluster_ip", "node_port"):
                    good.add("proxies")  # one of them did pass a connection on
        return frozenset(good)

    def _proven(self, probe: Probe) -> set[str]:
        """What an answer to a probe proves."""
        node, endpoint = probe.vantage.node, probe.endpoint
        if endpoint and probe.purpose == "dns":
            return {f"dns/server/{endpoint.pod}", "dns/servers"}
        if endpoint:
            return set(self._way(probe, endpoint))
        if probe.purpose == "unready":
            return {f"answer/{probe.label}/{probe.task['port']}"}
        if probe.purpose in _ENTRANCES:
            return set(_entrances(probe))
        return {
            "cluster_ip": {f"proxy/{node}", "proxies"},
            "node_port": {f"proxy/{probe.node}", "nodeport", f"nodeport/{probe.node}"},
            "dns": {"dns/service", "dns/servers"},
            "resolve": {f"resolver/{node}"},
        }[probe.purpose]

    def _way(self, probe: Probe, endpoint: Endpoint) -> list[str]:
        """What a connection from a client to an endpoint's own address passes."""
        number = probe.task.get("port")
        way = [f"answer/{endpoint.pod or endpoint.address}/{number}"]
        if probe.port:
            way.append(f"port/{probe.port.port}")
        if endpoint.node and endpoint.node != probe.vantage.node:
            way += [f"network/{node}" for node in (endpoint.node, probe.vantage.node) if node]
        return way

    # ----- what does not

    def symptoms(self, findings: t.Sequence[Finding]) -> list[Symptom]:
        """The failures behind those findings that do not accuse anything by themselves."""
        found: list[Symptom] = []
        complaints = [finding for finding in findings if finding.complains]
        self.stated = frozenset(self.component(finding) for finding in complaints)
        self.stale = {node for finding in complaints if finding.id == "EP-12" for node in _where(finding)}
        for finding in findings:
            if finding.complains and not self.component(finding):
                found += self._of(finding)
        return found

    def _of(self, finding: Finding) -> list[Symptom]:
        if finding.id in WAYS:
            return self._of_way(finding)
        if finding.id in ("EP-12", "EP-13"):
            nodes = _where(finding)
            return [Symptom(finding, (f"proxy/{node}",), f"from {node}") for node in nodes]
        if finding.id == "LB-04":
            stale = [f"proxy/{node}" for node in sorted(self.stale)]
            return [Symptom(finding, (*stale, "loadbalancer"), finding.message)]
        if finding.id == "IN-08":
            node = finding.object.rpartition(" ")[2]
            return [Symptom(finding, self._left((f"proxy/{node}", f"network/{node}")), f"from {node}")]
        if finding.layer == "dns":
            return self._of_names(finding)
        if finding.id == "EP-03":
            return [Symptom(finding, ("endpoints",), finding.message)]
        if finding.id == "SV-04":
            return [Symptom(finding, ("selected",), finding.message)]
        return [Symptom(finding, (), finding.message)]

    def _of_way(self, finding: Finding) -> list[Symptom]:
        purposes = (WAYS[finding.id],) if WAYS[finding.id] else PURPOSES
        found = []
        for purpose in purposes:
            for probe, seen in self.look.seen(purpose):
                if probe.target == finding.field and seen.failures:
                    text = f"from {probe.vantage.label} to {probe.target}: {', '.join(sorted(seen.failures))}"
                    suspects = [*self._suspects(probe, seen), *self._lossy(probe, seen)]
                    found.append(Symptom(finding, self._left(suspects), text))
        return found or [Symptom(finding, ("endpoints",), finding.message)]

    def _lossy(self, probe: Probe, seen: Observation) -> list[str]:
        """What is known to lose packets on the way: connection tables that are full, and large packets everywhere."""
        if not {"timeout", "unreachable"} & set(seen.failures):
            return []
        ends = [probe.endpoint] if probe.endpoint else probe.reach
        nodes = (probe.vantage.node, probe.node, *(endpoint.node for endpoint in ends))
        known = ("mtu", *(f"conntrack/{node}" for node in nodes))
        return [one for one in known if one in self.stated]

    def _left(self, suspects: t.Iterable[str]) -> tuple[str, ...]:
        """Those that nothing acquits; what is known to be broken need not break everything that passes it."""
        return tuple(dict.fromkeys(one for one in suspects if one not in self.good or one in self.stated))

    def _suspects(self, probe: Probe, seen: Observation) -> list[str]:
        if probe.purpose in ("direct", API_PROXY) and probe.endpoint:
            return self._direct(probe, seen, probe.endpoint)
        if probe.purpose == "name" and "name" in seen.failures:
            return [f"resolver/{probe.vantage.node}", "dns", "dns/servers", "dns/service"]
        if probe.purpose in _ENTRANCES:
            return self._from_outside(probe)
        return self._through_proxy(probe, seen)

    def _direct(self, probe: Probe, seen: Observation, endpoint: Endpoint) -> list[str]:
        way = self._way(probe, endpoint)
        near = probe.vantage.node in ("", endpoint.node)
        between = [] if near else [f"between/{probe.vantage.node}/{endpoint.node}"]
        if seen.unheard:
            # Lost packets: the road before the house.
            return [*way[2:], *between, f"node/{endpoint.node}", *way[1::-1]]
        if "timeout" in seen.failures:
            # The road is good, since there was a connection; an application that is busy is as late as one that hangs.
            return way[:2]
        # Refused or reset: somebody answered. A target port that the pods do not declare is the usual mistake.
        return [*self._application_or_port(probe, endpoint, way[:2]), *way[2:], *between]

    def _application_or_port(self, probe: Probe, endpoint: Endpoint, both: list[str]) -> list[str]:
        pod = self.look.after.pod(endpoint.pod_uid)
        declared = pod.declared("TCP") if pod else frozenset()
        if not declared or probe.task.get("port") in declared:
            return both
        listens = any(
            found.ok and other.label == endpoint.pod and other.vantage == probe.vantage
            for other, found in self.look.seen("declared")
        )
        # An application that listens where its pod says does what it should.
        return both[1:] if listens else both[::-1]

    def _through_proxy(self, probe: Probe, seen: Observation) -> list[str]:
        """A cluster IP, name or NodePort: its endpoints where they fail directly as well, else the proxy."""
        direct, bad = self._directly(probe)
        members = self._members(bad)
        node = probe.node or probe.vantage.node
        proxy = [f"proxy/{node}", *(["nodeport", f"nodeport/{node}"] if probe.purpose == "node_port" else ["proxies"])]
        far = [f"network/{node}"] if probe.node and probe.node != probe.vantage.node else []
        if bad and len(bad) == len(direct):
            return members
        published = [e.pod for e in self.look.after.endpoints if e.ready and not e.serving]
        if published:
            return ["service", *members, *proxy]
        if bad and (seen.answered or _by_chance(seen, bad, len(direct))):
            return members + proxy
        if not direct:
            port = [f"port/{probe.port.port}"] if probe.port else []
            return [*port, *proxy, *far]
        return proxy + far

    def _from_outside(self, probe: Probe) -> list[str]:
        """The way into the cluster, unless no endpoint answers anybody."""
        direct, bad = self._directly(probe)
        return self._members(bad) if bad and len(bad) == len(direct) else list(_entrances(probe))

    def _directly(self, probe: Probe) -> tuple[list[Seen], list[Seen]]:
        """How the endpoints answered the same client at their own addresses, and those that did not.

        A client outside cannot ask them: there, all the others count.
        """
        same = [pair for pair in self.look.seen("direct") if pair[0].port == probe.port]
        if probe.purpose not in _ENTRANCES:
            same = [pair for pair in same if pair[0].vantage == probe.vantage]
        return same, [pair for pair in same if pair[1].failures and pair[0].endpoint]

    def _members(self, bad: t.Sequence[Seen]) -> list[str]:
        return [s for other, found in bad if other.endpoint for s in self._direct(other, found, other.endpoint)]

    def _of_names(self, finding: Finding) -> list[Symptom]:
        """DNS: a server, the way to it, or the client's own resolver."""
        look = self.look
        text = f"{finding.message} {finding.observed}"
        nodes = list(dict.fromkeys(v.node for v in look.plan.vantages if _names(text, v.label)))
        if finding.id == "DN-10":
            far = self._left(f"resolver/{node}" for node in nodes)
            return [Symptom(finding, far or ("dns/upstream",), finding.message)]
        if finding.id == "DN-16":
            server = self._left((f"dns/server/{finding.field.partition(' ')[0]}",))
            # A server that answers others is well: then it is the way from those that it does not answer.
            way = self._left(f"network/{node}" for node in nodes)
            return [Symptom(finding, server or way, finding.message)]
        servers = [found for probe, found in look.seen("dns") if probe.endpoint]
        if not any(found.ok for found in servers):
            # Where none could be asked, the Service may just not know them.
            unknown = () if servers else ("dns/service",)
            return [Symptom(finding, ("dns/servers", *unknown), finding.message)]
        if finding.id == "DN-22":
            ways = [f"proxy/{node}" for node in nodes] if len(nodes) == 1 else ["dns/service", "proxies"]
            return [Symptom(finding, self._left(ways) or ("dns/service",), finding.message)]
        suspects = self._left((*(f"resolver/{node}" for node in nodes), "dns/service", "dns"))
        return [Symptom(finding, suspects, finding.message)]


def _by_chance(seen: Observation, bad: t.Sequence[Seen], endpoints: int) -> bool:
    """Whether the few connections of a probe may all have been led to endpoints that fail in the same way."""
    alike = seen.failures.keys() <= {kind for _probe, found in bad for kind in found.failures}
    return alike and (len(bad) / endpoints) ** sum(seen.classes.values()) > _CHANCE


def _names(text: str, name: str) -> bool:
    """Whether a text has a name, and not just another one that has it as a part: web-1 is not web-10."""
    before = r"(?<![\w.-])" if name[:1].isalnum() else ""
    return bool(re.search(rf"{before}{re.escape(name)}(?![\w-]|\.\w)", text))


def _entrances(probe: Probe) -> tuple[str, ...]:
    return tuple(part.replace("{node}", probe.node) for part in _ENTRANCES[probe.purpose])


def _where(finding: Finding) -> list[str]:
    """The clients that EP-12 and EP-13 name."""
    return finding.field.rpartition(" from ")[2].split(",")
