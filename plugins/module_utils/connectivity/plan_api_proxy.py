# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Private to this collection: may change in any release.
"""The part of a plan that the API server carries out: it asks pods for whoever may use its proxy. Pure."""

from __future__ import annotations

from .requests import ask
from .scope import Probe, Scope, Vantage
from .snapshot import host_port

API_PROXY = "api_proxy"
LABEL = "api-server"
# Pods that are asked at most.
MOST_PODS = 20


def vantage(scope: Scope) -> Vantage:
    """The API server: on no node, as far as we know."""
    return Vantage(scope.service.namespace, "", LABEL)


def api_proxy_probes(scope: Scope) -> list[Probe]:
    """Every pod behind a ready endpoint, over HTTP or HTTPS; the proxy speaks nothing else."""
    here, probes = vantage(scope), []
    able = [one for one in scope.snapshot.endpoints if one.ready and one.serving and scope.snapshot.pod(one.pod_uid)]
    for endpoint in able[:MOST_PODS]:
        for port in (*scope.http, *scope.https):
            number = endpoint.port(port.name)
            if number is not None:
                task = ask(scope, here, port, number, address=endpoint.address)
                target = host_port(endpoint.address, number)
                probes.append(Probe(API_PROXY, here, f"{API_PROXY}/{target}", task, target, port, endpoint))
    control = Probe("control", here, "control", {"type": "control"}, "itself")
    return [control, *probes] if probes else []
