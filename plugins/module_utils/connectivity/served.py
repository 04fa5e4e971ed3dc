# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Private to this collection: may change in any release.
"""Which certificate each ready endpoint of a Service serves, asked from one probe pod. Nothing is judged here."""

from __future__ import annotations

import ssl
import typing as t
from dataclasses import dataclass

from ..kube.client import Cluster
from ..kube.errors import KubeError, OptionError
from ..kube.kinds import ENDPOINT_SLICE, SERVICE
from ..pki.certificates import Chain, parse_chain
from ..pki.errors import PkiError
from . import probe
from .plan import BUDGET, MOST_DIRECT
from .ports import web_ports
from .scope import TLS_EXCHANGE, Vantage
from .snapshot import SERVICE_NAME, Endpoint, Service, ServicePort, endpoints, host_port
from .snapshot import service as parse_service

Task = dict[str, t.Any]

# The certificate is looked at, not verified.
_DEFAULTS = {"https": {"bundle": "", "minimum_version": "TLSv1_2"}}


@dataclass(frozen=True, slots=True)
class Served:
    """What one endpoint serves on one port; without a chain `problem` says why."""

    endpoint: Endpoint
    port: ServicePort
    chain: Chain = ()
    problem: str = ""


def ask(
    cluster: Cluster, namespace: str, name: str, port: str | None, client: t.Mapping[str, t.Any]
) -> tuple[Served, ...]:
    """Ask every ready endpoint on the Service's HTTPS ports, or on the one that is given by name or number.

    Raises:
        OptionError: there is no such Service, or nothing to ask it for.
        KubeError: no probe could be run.
    """
    body = cluster.get(SERVICE, name, namespace)
    if body is None:
        raise OptionError(f"service: {SERVICE.describe(name, namespace)} does not exist", option="service")
    service = parse_service(body)
    ports = web_ports(service, None, None if port is None else [port])[1]
    if not ports:
        raise OptionError(
            f"port: {service.label} has no such port that speaks HTTPS, expected the name or number of one",
            option="port",
        )
    slices = cluster.list(ENDPOINT_SLICE, namespace, labels=f"{SERVICE_NAME}={name}").items
    asked = targets(service, ports, [endpoint for item in slices for endpoint in endpoints(item)])
    node = next((endpoint.node for endpoint, _port, _task in asked if endpoint.node), "")
    if not node:
        return ()
    options = probe.Options(
        image=client["image"],
        namespace=namespace,
        labels={key: str(value) for key, value in (client["labels"] or {}).items()},
        service_account=client["service_account"] or "",
        image_pull_policy=client["image_pull_policy"],
        image_pull_secrets=tuple(client["image_pull_secrets"]),
        budget=BUDGET,
        defaults=_DEFAULTS,
    )
    vantage = Vantage(namespace, node, node)
    outcome = probe.run(cluster, {vantage: [task for _endpoint, _port, task in asked]}, options)[vantage]
    if outcome.status != "ok":
        raise KubeError(f"{cluster.label}: {service.label} was not asked: {outcome.cause}")
    return tuple(result(endpoint, port, outcome.observations.get(task["id"])) for endpoint, port, task in asked)


def targets(
    service: Service, ports: t.Sequence[ServicePort], found: t.Iterable[Endpoint]
) -> list[tuple[Endpoint, ServicePort, Task]]:
    """What to ask where: each ready endpoint, by pod."""
    able = sorted((one for one in found if one.ready and one.serving), key=lambda one: (one.pod, one.address))
    return [
        (endpoint, port, _task(service, endpoint.address, number))
        for endpoint in able[:MOST_DIRECT]
        for port in ports
        if (number := endpoint.port(port.name)) is not None
    ]


def _task(service: Service, address: str, number: int) -> Task:
    return {
        "id": host_port(address, number),
        "type": "https",
        "address": address,
        "port": number,
        "method": "GET",
        "path": "/",
        "host": service.name,
        "server_name": service.name,
        "headers": {},
        "repeat": 1,
        "contains": [],
        "identity_header": None,
        "timeout": TLS_EXCHANGE,
    }


def result(endpoint: Endpoint, port: ServicePort, seen: t.Mapping[str, t.Any] | None) -> Served:
    """What an observation says."""
    if seen is None:
        return Served(endpoint, port, problem="not asked in time")
    served = (seen.get("value") or {}).get("served") or []
    if not served:
        return Served(endpoint, port, problem=f"{seen['class']}: {seen.get('detail') or 'no answer'}")
    try:
        pem = "".join(map(ssl.DER_cert_to_PEM_cert, served[0]["chain"]))
        return Served(endpoint, port, parse_chain(pem.encode(), what="the certificate"))
    except PkiError as error:
        return Served(endpoint, port, problem=str(error))
