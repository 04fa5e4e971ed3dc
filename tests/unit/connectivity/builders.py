# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Small snapshots, and a cluster that answers every probe as a healthy one would; tests then break single things."""

from __future__ import annotations

import typing as t
from dataclasses import replace
from datetime import UTC, datetime

from ansible_collections.plumbline.kubernetes.plugins.module_utils.connectivity import names
from ansible_collections.plumbline.kubernetes.plugins.module_utils.connectivity.look import Look, Observation
from ansible_collections.plumbline.kubernetes.plugins.module_utils.connectivity.plan import Plan, client_nodes, plan
from ansible_collections.plumbline.kubernetes.plugins.module_utils.connectivity.question import Client, Question
from ansible_collections.plumbline.kubernetes.plugins.module_utils.connectivity.scope import Probe, Vantage
from ansible_collections.plumbline.kubernetes.plugins.module_utils.connectivity.snapshot import (
    SLICE_CONTROLLER,
    Container,
    Endpoint,
    Node,
    Pod,
    Service,
    ServicePort,
    Snapshot,
    target_ports,
)

NOON = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
HTTP = ServicePort("", "TCP", 80, 80)
NODES = tuple(Node(f"node-{n}", addresses=(f"172.18.0.{n}",)) for n in (1, 2, 3))
KUBERNETES = Service(
    "default", "kubernetes", "api", NOON, "ClusterIP", (), ("10.96.0.1",), False, ("IPv4",),
    (ServicePort("https", "TCP", 443, 6443),),
)  # fmt: skip
KUBE_DNS = Service(
    "kube-system", "kube-dns", "dns-uid", NOON, "ClusterIP", (("k8s-app", "kube-dns"),), ("10.96.0.10",), False,
    ("IPv4",), (ServicePort("dns", "UDP", 53, 53), ServicePort("dns-tcp", "TCP", 53, 53)),
)  # fmt: skip
DNS_ENDPOINTS = tuple(
    Endpoint(
        f"10.244.0.{n}", "IPv4", "kube-dns-x", SLICE_CONTROLLER, (("dns", "UDP", 53), ("dns-tcp", "TCP", 53)),
        pod=f"coredns-{n}", pod_uid=f"coredns-{n}", node="node-1",
    )
    for n in (2, 3)
)  # fmt: skip


def service(**changes: t.Any) -> Service:
    """Service demo/web: a cluster IP, one port, the selector app=web."""
    plain = Service(
        "demo", "web", "web-uid", NOON, "ClusterIP", (("app", "web"),), ("10.96.1.1",), False, ("IPv4",), (HTTP,)
    )
    return replace(plain, **changes)


def pod(number: int, **changes: t.Any) -> Pod:
    """Pod web-<number> on node-<number>, ready, one container with a port named web."""
    plain = Pod(
        "demo",
        f"web-{number}",
        f"uid-{number}",
        (("app", "web"),),
        f"node-{number}",
        (f"10.244.{number}.5",),
        owner="Deployment web",
        containers=(Container("nginx", (("web", "TCP", 80),), started=NOON),),
    )
    return replace(plain, **changes)


def endpoint(of: Pod, to: Service | None = None, **changes: t.Any) -> Endpoint:
    """The endpoint that the controller makes of a ready pod."""
    plain = Endpoint(
        of.ips[0],
        "IPv4",
        "web-abc",
        SLICE_CONTROLLER,
        target_ports(of, to or service()),
        node=of.node,
        pod=of.name,
        pod_uid=of.uid,
    )
    return replace(plain, **changes)


def snapshot(pods: t.Sequence[Pod] | None = None, of: Service | None = None, **changes: t.Any) -> Snapshot:
    """A healthy cluster around `pods` (two of them) behind a Service."""
    found, behind = of or service(), (pod(1), pod(2)) if pods is None else tuple(pods)
    plain = Snapshot(
        service=found,
        endpoints=tuple(endpoint(one, found) for one in behind),
        slices=("web-abc",),
        pods=behind,
        nodes=NODES,
        dns=KUBE_DNS,
        dns_endpoints=DNS_ENDPOINTS,
        api_server=KUBERNETES,
    )
    return replace(plain, **changes)


def question(**changes: t.Any) -> Question:
    """Everything about demo/web but the environment, which has tests of its own."""
    plain = Question("demo", "web", Client("demo", image="python:3.14"), layers=("endpoints", "dns", "http"))
    return replace(plain, **changes)


Break = t.Callable[[Probe, Observation], Observation | None]


def look(
    before: Snapshot | None = None,
    asked: Question | None = None,
    broken: Break | None = None,
    after: Snapshot | None = None,
    **changes: t.Any,
) -> Look:
    """One look at `before`, where every probe gets a good answer unless `broken` gives it another."""
    before, asked = before or snapshot(), asked or question()
    planned = plan(asked, before, client_nodes(before, asked.nodes, asked.max_nodes))
    observations = answers(planned, before, broken or (lambda _probe, good: good))
    return Look(asked, before, after or before, NOON, plan=planned, observations=observations, **changes)


def answers(planned: Plan, seen: Snapshot, broken: Break) -> dict[tuple[Vantage, str], Observation]:
    """What every probe of a plan sees; None takes an observation away."""
    found = {}
    for probe in planned.probes:
        observation = broken(probe, good_answer(probe, seen))
        if observation is not None:
            found[probe.vantage, probe.id] = observation
    return found


def good_answer(probe: Probe, seen: Snapshot) -> Observation:
    """What a probe sees in a healthy cluster."""
    kind = probe.task["type"]
    if kind == "http":
        behind = [probe.endpoint] if probe.endpoint else list(probe.reach or seen.endpoints)
        if not probe.endpoint and seen.service and seen.service.session_affinity:
            behind = behind[:1]
        return http_answer([one.pod for one in behind], int(probe.task["repeat"]), probe.task["contains"])
    if kind == "resolv_conf":
        search = [*names.search_list(probe.vantage.namespace, names.DEFAULT_DOMAIN), "example.org"]
        return Observation("ok", value={"nameservers": ["10.96.0.10"], "search": search, "options": ["ndots:5"]})
    if kind == "resolve":
        if probe.expected == ():
            return Observation("name", f"{probe.target}: EAI_NONAME: Name or service not known")
        return Observation("ok", value={"addresses": list(probe.expected or ("192.0.2.1",))})
    if kind == "dns":
        return dns_answer(probe)
    return Observation("ok")


def http_answer(identities: t.Sequence[str], repeat: int = 1, contains: t.Sequence[str] = ()) -> Observation:
    """`repeat` good answers, spread evenly over the backends."""
    counts = {name: repeat // len(identities) or 1 for name in identities}
    return Observation(
        "ok",
        value={
            "statuses": {"200": repeat},
            "count": repeat,
            "contains": dict.fromkeys(contains, True),
            "identities": counts,
            "classes": {"ok": repeat},
        },
    )


def dns_answer(probe: Probe) -> Observation:
    """The records that are expected, in the form in which the agent reports them."""
    if probe.label == "absent":
        return Observation("ok", value={"rcode": "NXDOMAIN", "answers": [], "truncated": False, "authoritative": True})
    records = [
        f"0 100 {record.replace('*', '10-244-1-5')}" if probe.task["rrtype"] == "SRV" else record
        for record in probe.expected or ()
    ]
    return Observation("ok", value={"rcode": "NOERROR", "answers": records, "truncated": False, "authoritative": True})


def failing(kind: str) -> Observation:
    """No answer at all."""
    return Observation(kind, f"it was {kind}")
