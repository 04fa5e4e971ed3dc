# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Private to this collection: may change in any release.
"""Names and addresses that a server's certificate is for: pure."""

from __future__ import annotations

import ipaddress
import typing as t

from ..app.values import address, dns_label, dns_subdomain, refusal
from ..connectivity.names import forms

Body = t.Mapping[str, t.Any]


def dns(option: str, value: str) -> str:
    """A DNS name for a certificate, in lower case; its first label may be a star."""
    name = value.lower().removesuffix(".")
    if not name.isascii():
        raise refusal(option, value, "a DNS name in ASCII", "write it in its xn-- form")
    if any(len(label) > 63 for label in dns_subdomain(option, name.removeprefix("*.")).split(".")):
        raise refusal(option, value, "at most 63 characters between two dots")
    return name


def of_service(service: str | None, namespace: str, domain: str) -> list[str]:
    """The names by which pods reach a Service, shortest first."""
    return forms(dns_label("service", service), namespace, dns("cluster_domain", domain)) if service else []


def of_addresses(texts: t.Iterable[str]) -> tuple[str, ...]:
    """Addresses in their one canonical form, each once."""
    return tuple(dict.fromkeys(str(ipaddress.ip_address(address("addresses", text))) for text in texts))


def of_names(texts: t.Iterable[str]) -> tuple[str, ...]:
    """Names in their one form, each once."""
    return tuple(dict.fromkeys(dns("names", text) for text in texts))


def cluster_ips(service: Body) -> list[str]:
    """Addresses of a Service inside of the cluster, none when it is headless."""
    return [ip for ip in service["spec"].get("clusterIPs") or [] if ip != "None"]


def load_balancer(service: Body) -> tuple[list[str], list[str]]:
    """Host names and addresses of a Service's load balancer."""
    points = ((service.get("status") or {}).get("loadBalancer") or {}).get("ingress") or []
    return [point["hostname"] for point in points if point.get("hostname")], [
        point["ip"] for point in points if point.get("ip")
    ]


def node_addresses(nodes: t.Iterable[Body]) -> list[str]:
    """Internal and external addresses of all nodes, sorted: the order in which nodes are listed means nothing."""
    kinds = ("InternalIP", "ExternalIP")
    return sorted(
        entry["address"]
        for node in nodes
        for entry in (node.get("status") or {}).get("addresses") or []
        if entry.get("type") in kinds
    )
