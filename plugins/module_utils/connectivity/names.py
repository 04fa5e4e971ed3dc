# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Private to this collection: may change in any release.
"""DNS names of a Service and of its addresses: pure string work."""

from __future__ import annotations

import ipaddress
import typing as t

DEFAULT_DOMAIN = "cluster.local"


def fqdn(name: str, namespace: str, domain: str) -> str:
    """Absolute name of a Service, with the dot at the end that keeps search lists away."""
    return f"{name}.{namespace}.svc.{domain}."


def forms(name: str, namespace: str, domain: str = DEFAULT_DOMAIN) -> list[str]:
    """Every name of a Service, shortest first; the shorter ones resolve by the search list of pods only."""
    return [name, f"{name}.{namespace}", f"{name}.{namespace}.svc", f"{name}.{namespace}.svc.{domain}"]


def service_record(port_name: str, protocol: str, name: str, namespace: str, domain: str) -> str:
    """Name of the SRV record of a named port."""
    return f"_{port_name}._{protocol.lower()}.{fqdn(name, namespace, domain)}"


def reverse(address: str) -> str:
    """Name of the PTR record of an address."""
    return ipaddress.ip_address(address).reverse_pointer + "."


def search_list(namespace: str, domain: str) -> tuple[str, ...]:
    """Search domains of a pod of `namespace` (kubelet, dnsPolicy ClusterFirst), without those of the node."""
    return f"{namespace}.svc.{domain}", f"svc.{domain}", domain


def searched(name: str, namespace: str, domain: str) -> tuple[str, ...]:
    """The absolute names that a pod of `namespace` tries in turn for a `name` with fewer dots than ndots."""
    return tuple(f"{name}.{suffix}." for suffix in search_list(namespace, domain))


def learn_domain(search: t.Sequence[str], namespace: str) -> str:
    """The cluster's domain as the search list of a pod of `namespace` tells it, or an empty string."""
    prefix = f"{namespace}.svc."
    return next((entry.rstrip(".")[len(prefix) :] for entry in search if entry.startswith(prefix)), "")
