# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Private to this collection: may change in any release.
"""What a client asks of one TCP port of a Service. Pure."""

from __future__ import annotations

from .scope import EXCHANGE, TLS_EXCHANGE, Scope, Task, Vantage
from .snapshot import ServicePort

# Connections to an address that leads one client to few endpoints anyway.
# Connections where seeing every endpoint is not the point, and where all of them must lead to the same one: without
# session affinity, two endpoints would be missed by so many less than once in a hundred times.
FEW_CONNECTIONS = 3
AFFINITY_CONNECTIONS = 8


def ask(scope: Scope, vantage: Vantage, port: ServicePort, number: int, repeat: int = 1, **where: str) -> Task:
    """The task for one TCP port: HTTP or HTTPS where it speaks that, else a mere connection."""
    expect = scope.question.expect
    if port in scope.https:
        name = scope.question.tls.server_name or scope.name_for(vantage)
        task = request(scope, number, repeat, **where)
        return {**task, "type": "https", "server_name": name, "host": expect.host or name, "timeout": TLS_EXCHANGE}
    if port in scope.http:
        return request(scope, number, repeat, **where)
    return {"type": "tcp", **where, "port": number, "timeout": EXCHANGE}


def request(scope: Scope, number: int, repeat: int = 1, **where: str) -> Task:
    """The task for one HTTP request, as the question expects it to be answered."""
    expect = scope.question.expect
    return {
        "type": "http",
        **where,
        "port": number,
        "method": "GET",
        "path": expect.path,
        "host": expect.host or scope.service.name,
        "headers": {},
        "repeat": repeat,
        "contains": list(expect.contains),
        "identity_header": expect.identity_header or None,
        "timeout": EXCHANGE,
    }
