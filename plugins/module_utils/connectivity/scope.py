# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Private to this collection: may change in any release.
"""What every kind of probe is made of: the client, the probe, and what both rest on."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from . import names
from .ports import web_ports
from .question import Question
from .result import short
from .snapshot import Endpoint, Node, Service, ServicePort, Snapshot

Task = dict[str, t.Any]

# Types of tasks that bring an answer with a status, a body and an identity.
ASKED = ("http", "https")

# Seconds for one exchange; TLS takes several round trips, and work of busy processors on both sides.
EXCHANGE = 2.0
TLS_EXCHANGE = 6.0


@dataclass(frozen=True, slots=True)
class Vantage:
    """From where a client asks: a namespace (its search list, the policies that judge it) and a node (its proxy).

    Attributes:
        label: as messages name it.
    """

    namespace: str
    node: str
    label: str


@dataclass(frozen=True, slots=True)
class Stranger:
    """A client that must not get in.

    Attributes:
        vantage: from where it is tried.
        labels: what the pod wears besides ours; it gets nothing else of the clients' own.
    """

    vantage: Vantage
    labels: tuple[tuple[str, str], ...] = ()


def stranger_label(namespace: str, labels: t.Mapping[str, str]) -> str:
    """A client that must not get in, for messages: `pods with app=shop of namespace web`."""
    wanted = f" with {short([f'{key}={value}' for key, value in sorted(labels.items())])}" if labels else ""
    return f"pods{wanted} of namespace {namespace}"


@dataclass(frozen=True, slots=True)
class Probe:
    """One thing that one client does.

    Attributes:
        purpose: what the answer is for, e.g. `direct`, `cluster_ip`, `name`, `node_port`, `dns`.
        id: unique among the probes of one client.
        task: what the agent gets.
        target: the address or name, for messages.
        port, endpoint, node: what it is about, where it is about one.
        reach: endpoints that may answer.
        expected: addresses or names that the answer must equal; None leaves that open.
        label: which of several probes of one purpose, e.g. the form of a name.
    """

    purpose: str
    vantage: Vantage
    id: str
    task: t.Mapping[str, t.Any]
    target: str
    port: ServicePort | None = None
    endpoint: Endpoint | None = None
    node: str = ""
    reach: tuple[Endpoint, ...] = ()
    expected: tuple[str, ...] | None = None
    label: str = ""


@dataclass(frozen=True, slots=True)
class Scope:
    """What every kind of probe needs to know."""

    question: Question
    snapshot: Snapshot
    service: Service
    clients: tuple[Node, ...]

    @property
    def domain(self) -> str:
        """The cluster's DNS domain, the usual one until it is known."""
        return self.question.domain or names.DEFAULT_DOMAIN

    @property
    def http(self) -> tuple[ServicePort, ...]:
        """The ports that are asked over plain HTTP."""
        return web_ports(self.service, self.question.expect.http_ports, self.question.tls.ports)[0]

    @property
    def https(self) -> tuple[ServicePort, ...]:
        """The ports that are asked over HTTPS: only where answers are judged, since a connection tells the rest."""
        if "http" not in self.question.layers:
            return ()
        return web_ports(self.service, self.question.expect.http_ports, self.question.tls.ports)[1]

    def name_for(self, vantage: Vantage) -> str:
        """The name by which an application of this client would call the Service."""
        near = vantage.namespace == self.service.namespace
        return self.service.name if near else f"{self.service.name}.{self.service.namespace}"

    @property
    def addresses(self) -> tuple[str, ...]:
        """What the Service's name must resolve to: its cluster IPs, or the ready endpoints of a headless Service."""
        if not self.service.headless:
            return tuple(sorted(self.service.cluster_ips))
        return tuple(sorted({endpoint.address for endpoint in self.snapshot.endpoints if endpoint.ready}))

    def behind(self, port: ServicePort, family: str) -> list[Endpoint]:
        """The endpoints of one port and one address family."""
        return [
            endpoint
            for endpoint in self.snapshot.endpoints
            if endpoint.family == family and endpoint.port(port.name, port.protocol) is not None
        ]
