# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Private to this collection: may change in any release.
"""What the ports of a Service speak, as far as the Service tells. Pure."""

from __future__ import annotations

import typing as t

from .snapshot import Service, ServicePort

_TLS_WORDS = ("https", "tls", "ssl", "grpcs", "wss")
_TLS_PORTS = (443, 6443, 8443)
_PLAIN_PORTS = (80, 8000, 8080)


def tcp_ports(service: Service) -> tuple[ServicePort, ...]:
    """The ports that a connection can be opened to."""
    return tuple(port for port in service.ports if port.protocol == "TCP")


def speaks_tls(port: ServicePort) -> bool:
    """Whether a port says by its appProtocol, else by its name, else by its number that it expects TLS."""
    word = (port.app_protocol or port.name).lower()
    return word.startswith(_TLS_WORDS) or (not word and port.port in _TLS_PORTS)


def says_https(port: ServicePort) -> bool:
    """Whether a port says by its appProtocol, else by its name, else by its number that it speaks HTTP over TLS."""
    word = (port.app_protocol or port.name).lower()
    return word.split("-")[0] == "https" or (not word and port.port == 443)


def web_ports(
    service: Service, plain: t.Sequence[str] | None, secure: t.Sequence[str] | None
) -> tuple[tuple[ServicePort, ...], tuple[ServicePort, ...]]:
    """The ports that are asked over plain HTTP, and those over HTTPS.

    Args:
        plain, secure: names or numbers of such ports, where they are given.
    """
    if secure is not None:
        https = tuple(port for port in tcp_ports(service) if port.name in secure or str(port.port) in secure)
    else:
        given = http_ports(service, plain or ())
        https = tuple(port for port in tcp_ports(service) if says_https(port) and port not in given)
    return tuple(port for port in http_ports(service, plain) if port not in https), https


def http_ports(service: Service, wanted: t.Sequence[str] | None) -> tuple[ServicePort, ...]:
    """The TCP ports that are asked over plain HTTP.

    Those `wanted` by name or number; else those whose appProtocol or name says http; else those without a name on a
    number that is usual for it, or the only TCP port if it does not look like TLS.
    """
    tcp = tcp_ports(service)
    if wanted is not None:
        return tuple(port for port in tcp if port.name in wanted or str(port.port) in wanted)
    plain = [port for port in tcp if not speaks_tls(port)]
    named = [port for port in plain if "http" in (port.app_protocol.lower(), port.name.lower().split("-")[0])]
    if named or len(tcp) == 1:
        return tuple(named or plain)
    return tuple(port for port in plain if port.port in _PLAIN_PORTS)
