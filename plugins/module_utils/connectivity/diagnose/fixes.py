# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Private to this collection: may change in any release.
"""What would mend a cause: as a sentence, as a kubectl line, as a task, and, where it is safe, as an action."""

from __future__ import annotations

import typing as t

from .. import nearest
from ..commands import applied, kubectl, patch, restart
from ..facts import sources
from ..look import Look
from ..snapshot import ServicePort
from . import fixes_tls, fixes_workload
from .components import instance_of, kind_of
from .fix import Action, Fix, task
from .words import listening

if t.TYPE_CHECKING:
    from .causes import Cause


def fix_for(look: Look, cause: Cause) -> Fix:
    """The fix of a cause."""
    given = str(cause.evidence.get("fix") or "")
    maker = _MAKERS.get(kind_of(cause.component))
    fix = maker(look, cause) if maker else None
    if fix is None:
        return Fix(text=cause.why, kubectl=given)
    return fix if fix.kubectl or not given else Fix(fix.text or cause.why, given, fix.task, fix.action)


def _patched(look: Look, spec: t.Mapping[str, t.Any], text: str, options: t.Mapping[str, t.Any]) -> Fix:
    name, namespace = look.question.name, look.question.namespace
    return Fix(
        text,
        patch("service", name, namespace, {"spec": spec}),
        task("service", {"name": name, "namespace": namespace, **options}),
        Action("patch", name, {"spec": spec}),
    )


def _selector(look: Look, cause: Cause) -> Fix | None:
    """The labels of the nearest pods; only where one workload is the nearest."""
    wanted = cause.evidence.get("selector")
    if not isinstance(wanted, dict) or not wanted:
        return None
    selector = {str(key): str(value) for key, value in wanted.items()}
    # A merge patch keeps the keys that it does not name: those that go away are set to null.
    gone = {key: None for key, _value in look.service.selector if key not in selector}
    return _patched(
        look, {"selector": {**selector, **gone}}, "select the labels that the pods have", {"selector": selector}
    )


def _port(look: Look, cause: Cause) -> Fix | None:
    number, wanted = instance_of(cause.component), cause.evidence.get("target_port")
    port = next((p for p in look.service.ports if str(p.port) == number), None)
    open_ = listening(look)
    target = wanted or (open_[0] if len(open_) == 1 else None)
    mended_otherwise = "fix" in cause.evidence and not wanted
    if port is None or target == port.target_port or mended_otherwise:
        return None
    if target is None:
        return _nearest_port(look, port)
    change: dict[str, t.Any] = {"port": port.port, "protocol": port.protocol, "targetPort": target}
    option = {"port": port.port, "target_port": target, **({"name": port.name} if port.name else {})}
    return _patched(look, {"ports": [change]}, f"lead port {port.label} to {target}", {"ports": [option]})


def _nearest_port(look: Look, port: ServicePort) -> Fix | None:
    """Nobody saw what listens there, so people decide, and no module does."""
    declared = {number for pod in look.after.pods for number in pod.declared("TCP")}
    near = nearest.port(port.target_port, declared) if isinstance(port.target_port, int) else None
    if near in (None, port.target_port):
        return None
    change = {"port": port.port, "protocol": port.protocol, "targetPort": near}
    return Fix(
        f"lead port {port.label} to a port where the pods listen: {near} is the nearest that they declare",
        patch("service", look.service.name, look.service.namespace, {"spec": {"ports": [change]}}),
    )


def _environment(look: Look, cause: Cause) -> Fix | None:
    pod = next((p for p in look.after.pods if p.name == instance_of(cause.component)), None)
    kind, _space, name = (pod.owner if pod else "").partition(" ")
    if kind != "Deployment":
        return None
    return _restart(
        look, name, "restart the pods, so that the kubelet gives them the variables of the Service as it is"
    )


def _served(look: Look, cause: Cause) -> Fix | None:
    if cause.id == "TL-15":  # what is configured so stays so
        return Fix(f"let the server accept {look.question.tls.minimum_version} and newer only (nginx: ssl_protocols)")
    owners = {pod.owner for pod in look.after.pods if pod.owner.startswith("Deployment ")}
    if len(owners) != 1:
        return None
    name = owners.pop().partition(" ")[2]
    return _restart(look, name, "restart the pods, so that they load the certificate that is stored")


def _restart(look: Look, name: str, text: str) -> Fix:
    namespace = look.question.namespace
    return Fix(
        text,
        restart("deployment", name, namespace),
        task("rollout", {"name": name, "namespace": namespace, "action": "restart"}),
        Action("restart", name),
    )


def _proxy(_look: Look, cause: Cause) -> Fix:
    node = instance_of(cause.component)
    return Fix(
        "look at the service proxy of that node, and start it anew",
        kubectl(
            *("delete", "pod", "-n", "kube-system", "-l", "k8s-app=kube-proxy"),
            *("--field-selector", f"spec.nodeName={node}"),
        ),
    )


def _policy(_look: Look, cause: Cause) -> Fix | None:
    """A further policy that allows what is needed and no more: what is there stays as it is."""
    manifest = cause.evidence.get("manifest")
    if not isinstance(manifest, dict):
        return None
    return Fix(
        "correct the rule that comes nearest, or add a policy that allows just this: rules of policies add up",
        applied(manifest),
        task("kubernetes.core.k8s", {"definition": manifest}),
    )


def _enforcement(_look: Look, _cause: Cause) -> Fix:
    return Fix(
        "use a network plugin that enforces NetworkPolicies, on every node; until then keep strangers out by other "
        "means, such as certificates of clients"
    )


def _access(look: Look, cause: Cause) -> Fix:
    """One policy that lets in the clients that were asked about, and by that nobody else."""
    service, client = look.service, look.question.client
    labels = dict(client.labels) or {f"{service.name}-client": "true"}
    named = "" if client.labels else f"; clients then need the label {service.name}-client=true"
    manifest = {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": f"clients-of-{service.name}"[:253], "namespace": service.namespace},
        "spec": {
            "podSelector": {"matchLabels": dict(service.selector)},
            "policyTypes": ["Ingress"],
            "ingress": [
                {
                    "from": [
                        {
                            "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": client.namespace}},
                            "podSelector": {"matchLabels": labels},
                        }
                    ]
                }
            ],
        },
    }
    return Fix(
        f"{cause.why}: with a policy that selects the pods, only the clients that it names get in{named}",
        applied(manifest) if service.selector else "",
        task("kubernetes.core.k8s", {"definition": manifest}) if service.selector else "",
    )


def _service(look: Look, cause: Cause) -> Fix | None:
    if not look.service.publish_not_ready or "fix" in cause.evidence:
        return None
    return Fix(
        "let the Service lead to pods that are ready only",
        patch("service", look.service.name, look.service.namespace, {"spec": {"publishNotReadyAddresses": False}}),
    )


def _load_balancer(look: Look, cause: Cause) -> Fix | None:
    body = look.facts.named("services", look.service.name, look.service.namespace) or {}
    if cause.id != "LB-03" or not (body.get("spec") or {}).get("loadBalancerSourceRanges"):
        return None
    operation = {"op": "add", "path": "/spec/loadBalancerSourceRanges/-", "value": "CLIENT_NETWORK"}
    return Fix(cause.why, patch("service", look.service.name, look.service.namespace, [operation]))


def _corefile(look: Look, cause: Cause) -> Fix:
    """Edited by people, and read by servers that start; of those that read none, nothing is known."""
    namespace = look.question.dns[0]
    names = [body["metadata"]["name"] for body in look.facts.all("corefiles")]
    servers = [
        body["metadata"]["name"]
        for body in look.facts.all("dns_deployments")
        if {("ConfigMap", name) for name in names} & {s[:2] for s in sources(body["spec"]["template"]["spec"])}
    ]
    lines = [kubectl("edit", "configmap", name, "-n", namespace) for name in names[:1]]
    lines += [restart("deployment", name, namespace) for name in servers]
    return Fix(cause.why, " && ".join(lines))


def _outside(_look: Look, cause: Cause) -> Fix:
    if cause.id == "NP-05":
        return Fix(
            "let what stands before the nodes pass TLS on as it is, or give it a certificate for the same names by a "
            "CA that the clients trust"
        )
    return Fix(
        "open the NodePorts in what stands between this host and the nodes (firewalls, security groups, routes), or "
        "ask from where clients are"
    )


def _upstream(_look: Look, _cause: Cause) -> Fix:
    return Fix(
        "look at `forward` in the Corefile and at the servers that it names, and see whether they know the name",
        "kubectl get configmap coredns -n kube-system -o jsonpath='{.data.Corefile}'",
    )


def _hairpin(_look: Look, _cause: Cause) -> Fix:
    return Fix(
        "let what a pod sends to itself come back to it: hairpinMode in the configuration of a bridge plugin; and see "
        "that the service proxy masquerades it (iptables: KUBE-MARK-MASQ in the KUBE-SEP chain of the pod)"
    )


def _mtu(_look: Look, _cause: Cause) -> Fix:
    return Fix(
        "compare the MTU of the pods' interfaces (cat /sys/class/net/eth0/mtu) with that of the nodes and of tunnels "
        "between them, set the smaller one in the network plugin, and let ICMP 'fragmentation needed' pass"
    )


_MAKERS: dict[str, t.Callable[[Look, Cause], Fix | None]] = {
    "selector": _selector,
    "port": _port,
    "environment": _environment,
    "served": _served,
    "proxy": _proxy,
    "policy": _policy,
    "enforcement": _enforcement,
    "access": _access,
    "outside": _outside,
    "mtu": _mtu,
    "hairpin": _hairpin,
    "dns/upstream": _upstream,
    "dns/corefile": _corefile,
    "service": _service,
    "loadbalancer": _load_balancer,
    **fixes_workload.MAKERS,
    **fixes_tls.MAKERS,
}
