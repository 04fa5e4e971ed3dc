# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The faults: how each is brought about, and what must be named as the first cause."""

from __future__ import annotations

import shlex
import subprocess
import time
import typing as t
from dataclasses import dataclass
from datetime import timedelta
from fnmatch import fnmatchcase
from functools import partial

from bed import CONF, NAME, Bed
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.x509.oid import NameOID

from ansible_collections.plumbline.kubernetes.plugins.module_utils.app.endpoints import load_balancer_addresses
from ansible_collections.plumbline.kubernetes.plugins.module_utils.kube import kinds
from ansible_collections.plumbline.kubernetes.plugins.module_utils.kube.errors import KubeError
from ansible_collections.plumbline.kubernetes.plugins.module_utils.pki import keys
from ansible_collections.plumbline.kubernetes.plugins.module_utils.pki.certificates import pem_of

# Seconds after which a container that is not ready is no longer said to be starting.
START = 32
# Services of a hundred ports whose variables take more than the 2 MiB that the kernel takes at 8 MiB of stack.
MANY = 50
# Seconds that a load balancer may take before it is asked about.
LOAD_BALANCER = 122
# Seconds after which service proxies have taken up a change.
SYNC = 3
# Seconds in which a service proxy that could not write its rules has tried again.
WRITE = 35
# Seconds in which a kubelet has updated a mounted file, and CoreDNS has noticed.
RELOAD = 180
# Seconds after which a pod that fits on no node is no longer said to wait for room.
SCHEDULE = 22


@dataclass(frozen=True)
class Case:
    """One fault, or several at once.

    Attributes:
        components: patterns of the parts that must be the causes, in this order and no others; `|` between
            alternatives.
        words: what the first cause's line must contain, or that of the advice.
        inject: breaks it, and returns when the cluster shows it.
        alone: it breaks something that other cases use.
        advice: the check that must give advice, where nothing is wrong that could be seen.
    """

    name: str
    components: tuple[str, ...]
    words: str
    inject: t.Callable[[Bed], None]
    alone: bool = False
    advice: str = ""

    def is_named_by(self, components: t.Sequence[str]) -> bool:
        """Whether the causes are the right ones: a consequence that is told as a cause is as wrong as a lost one."""
        return len(components) == len(self.components) and all(
            any(fnmatchcase(component, one) for one in pattern.split("|"))
            for component, pattern in zip(components, self.components, strict=True)
        )


CASES: list[Case] = []


def case(name: str, *components: str, words: str, alone: bool = False, advice: str = "") -> t.Callable[..., t.Any]:
    """Register a function as the injection of a case."""

    def keep(inject: t.Callable[[Bed], None]) -> t.Callable[[Bed], None]:
        CASES.append(Case(name, components, words, inject, alone, advice))
        return inject

    return keep


# ----- the workload


@case("F01-image", "started/*", words="nope")
def _image(bed: Bed) -> None:
    bed.born({"image": "127.0.0.1:1/nope:1"})
    bed.until(lambda: bed.waiting("ErrImagePull")() or bed.waiting("ImagePullBackOff")(), "a failed pull")


@case("F02-readiness", "ready/*", words="readiness probe")
def _readiness(bed: Bed) -> None:
    bed.born({"readinessProbe": {"httpGet": {"path": "/absent", "port": 8080}, "periodSeconds": 1}})
    bed.until(bed.running, "running pods")


@case("F03-dead-port", "ready/*|port/80|answer/*", words="8080")
def _dead_port(bed: Bed) -> None:
    bed.change(
        kinds.CONFIG_MAP, "nginxconfigmap", {"data": {"default.conf": CONF.replace("listen 8080", "listen 8081")}}
    )
    bed.born({"readinessProbe": {"httpGet": {"path": "/", "port": 8081}, "periodSeconds": 1}})
    bed.until(bed.settled, "ready pods")


@case("F05-crash", "started/*", words="emerg|CrashLoop")
def _crash(bed: Bed) -> None:
    bed.change(kinds.CONFIG_MAP, "nginxconfigmap", {"data": {"default.conf": "server { listen 8080"}})
    bed.born()
    bed.until(bed.waiting("CrashLoopBackOff"), "a crash loop")


@case("F06-secret-missing", "source/Secret/absent", words="absent")
def _secret_missing(bed: Bed) -> None:
    bed.born(volumes=[{"name": "cert", "secret": {"secretName": "absent"}}])
    bed.until(lambda: len(bed.pods()) == 2 and bed.waiting("ContainerCreating")(), "containers in creation")


@case("F07-key-missing", "source/ConfigMap/nginxconfigmap", words="absent.conf")
def _key_missing(bed: Bed) -> None:
    items = [{"key": "absent.conf", "path": "default.conf"}]
    bed.born(volumes=[{"name": "conf", "configMap": {"name": "nginxconfigmap", "items": items}}])
    bed.until(lambda: len(bed.pods()) == 2 and bed.waiting("ContainerCreating")(), "containers in creation")


@case("F08-unschedulable", "scheduled/*", words="node")
def _unschedulable(bed: Bed) -> None:
    bed.born(nodeSelector={"disk": "absent"})
    bed.until(lambda: bed.pods() and all(p["status"]["phase"] == "Pending" for p in bed.pods()), "pending pods")


@case("F09-bad-replica", "answer/stray*", words="stray")
def _bad_replica(bed: Bed) -> None:
    spec = {"containers": [{"name": "nginx", "image": bed.images["nginx"], "imagePullPolicy": "IfNotPresent"}]}
    pod = bed.meta("Pod", "stray", spec={**spec, "terminationGracePeriodSeconds": 0})
    pod["metadata"]["labels"] = {"run": NAME}
    bed.extra(kinds.POD, pod)
    bed.until(lambda: len(bed.ready_addresses()) == 3, "three endpoints")


@case("F10-all-at-once", "workload", words="all 2 pods away at once")
def _all_at_once(bed: Bed) -> None:
    strategy = {"rollingUpdate": {"maxUnavailable": "100%", "maxSurge": 0}}
    bed.change(kinds.DEPLOYMENT, NAME, {"spec": {"progressDeadlineSeconds": 600, "strategy": strategy}})
    image = {"image": bed.images["nginx"], "imagePullPolicy": "IfNotPresent"}
    bed.template({"initContainers": [{"name": "wait", "command": ["sleep", "600"], **image}]})
    bed.until(lambda: [p["status"]["phase"] for p in bed.pods()] == ["Pending", "Pending"], "new pods alone")


@case("F11-lost-in-a-rollout", advice="WL-14", words="no preStop hook .* requests of a roll-out may reach pods that")
def _lost_in_a_rollout(bed: Bed) -> None:
    """All is green before and after: only who asks all the time notices."""
    address = live(bed)["spec"]["clusterIP"]
    container = {"name": "load", "image": bed.images["python"], "command": ["python3", "-c", LOAD, address]}
    spec = {"containers": [container | {"imagePullPolicy": "IfNotPresent"}], "terminationGracePeriodSeconds": 0}
    bed.extra(kinds.POD, bed.meta("Pod", "load", spec=spec))

    def said() -> str:
        return bed.cluster.log_tail(bed.namespace, "load", "load", previous=False)

    bed.until(lambda: (bed.cluster.get(kinds.POD, "load", bed.namespace) or {})["status"]["phase"] == "Running", "load")
    bed.until(lambda: "answered" in said(), "an answer")
    before = said().count("lost")
    bed.replaced()
    if said().count("lost") <= before:
        raise RuntimeError("no request was lost in the roll-out")


LOAD = """
import http.client, sys, time
told = False
while True:
    link = http.client.HTTPConnection(sys.argv[1], timeout=1)
    try:
        link.request("GET", "/")
        link.getresponse().read()
        if not told:
            told = not print("answered", flush=True)
    except (OSError, http.client.HTTPException):
        print("lost", flush=True)
    finally:
        link.close()
    time.sleep(0.005)
"""


@case("F12-pod-security", "admission", words="PodSecurity")
def _pod_security(bed: Bed) -> None:
    label = "pod-security.kubernetes.io/enforce"
    bed.undo.append(lambda: bed.change(kinds.NAMESPACE, bed.namespace, {"metadata": {"labels": {label: None}}}))
    bed.change(kinds.NAMESPACE, bed.namespace, {"metadata": {"labels": {label: "restricted"}}})
    bed.born()
    bed.until(lambda: not bed.pods(), "no pods")


@case("F12-quota", "admission", words="quota")
def _quota(bed: Bed) -> None:
    bed.extra(kinds.RESOURCE_QUOTA, bed.meta("ResourceQuota", "none", spec={"hard": {"pods": "0"}}))
    bed.born()
    bed.until(lambda: not bed.pods(), "no pods")


@case("F12-admission-policy", "admission", words="ValidatingAdmissionPolicy.*plain images only")
def _admission_policy(bed: Bed) -> None:
    """What a webhook does, without a server for it; for this namespace alone."""
    name, mine = bed.namespace, {"kubernetes.io/metadata.name": bed.namespace}
    rule = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}
    nginx = "object.metadata.?labels.run.orValue('') != 'my-nginx'"
    spec = {
        "failurePolicy": "Fail",
        "matchConstraints": {"namespaceSelector": {"matchLabels": mine}, "resourceRules": [rule]},
        "validations": [{"expression": nginx, "message": "plain images only"}],
    }
    about = {"apiVersion": ADMISSION_POLICY.api_version, "metadata": {"name": name}}
    bound = {"policyName": name, "validationActions": ["Deny"]}
    bed.extra(ADMISSION_POLICY, {**about, "kind": ADMISSION_POLICY.kind, "spec": spec})
    bed.extra(ADMISSION_BINDING, {**about, "kind": ADMISSION_BINDING.kind, "spec": bound})
    pod = bed.meta("Pod", "try", spec={"containers": [{"name": "c", "image": "plumbline.invalid/c:1"}]})
    pod["metadata"]["labels"] = {"run": NAME}

    def refused() -> bool:
        try:
            bed.cluster.apply(kinds.POD, pod, manager="faults", force=True, dry_run=True)
        except KubeError as error:
            return "plain images only" in str(error)
        return False

    bed.until(refused, "a policy in force")
    bed.born()
    bed.until(lambda: not bed.pods(), "no pods")


ADMISSION_POLICY, ADMISSION_BINDING = (
    kinds.Kind("admissionregistration.k8s.io/v1", kind, plural, namespaced=False)
    for kind, plural in (
        ("ValidatingAdmissionPolicy", "validatingadmissionpolicies"),
        ("ValidatingAdmissionPolicyBinding", "validatingadmissionpolicybindings"),
    )
)


@case("X1-readiness-gate", "ready/*", words="gate")
def _readiness_gate(bed: Bed) -> None:
    bed.born(readinessGates=[{"conditionType": "example.com/gate"}])
    bed.until(bed.running, "running pods")
    time.sleep(START)


@case("X2-paused", "workload", words="paused")
def _paused(bed: Bed) -> None:
    bed.undo.append(lambda: bed.change(kinds.DEPLOYMENT, NAME, {"spec": {"paused": None}}))
    bed.change(kinds.DEPLOYMENT, NAME, {"spec": {"paused": True}})
    bed.template({"containers": [{"name": "nginx", "image": "plumbline.invalid/next:1"}]})


@case("X3-scaled-to-zero", "workload", words="0")
def _zero(bed: Bed) -> None:
    bed.change(kinds.DEPLOYMENT, NAME, {"spec": {"replicas": 0}})
    bed.until(lambda: not bed.pods(), "no pods")


@case("X5-deadlock", "workload", words="no node is left for its new pod")
def _deadlock(bed: Bed) -> None:
    term = {"topologyKey": "kubernetes.io/hostname", "labelSelector": {"matchLabels": {"run": NAME}}}
    bed.born(affinity={"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [term]}})
    bed.until(bed.settled, "ready pods")
    bed.template({"containers": [{"name": "nginx", "env": [{"name": "NEXT", "value": "1"}]}]})
    bed.until(lambda: any(p["status"]["phase"] == "Pending" for p in bed.pods()), "a pending pod")
    time.sleep(SCHEDULE)


@case("X6-secret-deleted", "source/Secret/nginxsecret", words="nginxsecret")
def _secret_deleted(bed: Bed) -> None:
    bed.cluster.delete(kinds.SECRET, "nginxsecret", bed.namespace)
    bed.cluster.delete(kinds.POD, bed.pods()[0]["metadata"]["name"], bed.namespace)
    bed.until(lambda: len(bed.pods()) == 2 and bed.waiting("ContainerCreating")(), "a container in creation")


# ----- the Service


@case("F14-no-service", "service", words="there is no Service")
def _no_service(bed: Bed) -> None:
    """Without a Service there is nothing to look at, so there is no recording of it: the answer needs no look."""
    bed.anew = True
    bed.cluster.delete(kinds.SERVICE, NAME, bed.namespace)


@case("F15-selector", "selector", words="run=my-nginx")
def _selector(bed: Bed) -> None:
    bed.change(kinds.SERVICE, NAME, {"spec": {"selector": {"run": "my-nginx2"}}})
    bed.until(lambda: not bed.ready_addresses(), "no endpoints")


@case("F17-target-port", "port/80", words="8081")
def _target_port(bed: Bed) -> None:
    bed.change(kinds.SERVICE, NAME, {"spec": {"ports": [{"port": 80, "protocol": "TCP", "targetPort": 8081}]}})


@case("F18-named-port", "port/80", words="htp")
def _named_port(bed: Bed) -> None:
    bed.change(kinds.SERVICE, NAME, {"spec": {"ports": [{"port": 80, "protocol": "TCP", "targetPort": "htp"}]}})


@case("F20-protocol", "port/80", words="UDP")
def _protocol(bed: Bed) -> None:
    body = bed.service()
    body["spec"]["ports"][0]["protocol"] = "UDP"
    bed.undo.append(lambda: bed.recreate(kinds.SERVICE, bed.service()))
    bed.recreate(kinds.SERVICE, body)
    bed.replaced()
    bed.anew = True


@case("F21-wrong-port", "client/8080", words="clients use port 8080.*8080 is the targetPort of http")
def _wrong_port(bed: Bed) -> None:
    """The Service is as it should be, so nothing but what the clients use is wrong."""
    bed.options["expect"] = {"ports": ["8080"]}


@case(
    "F41-short-name-elsewhere", "client/my-nginx", words="in namespace .*-shop use the short name .* is right for them"
)
def _short_name_elsewhere(bed: Bed) -> None:
    """All is as it should be, but for what clients of another namespace call it."""
    shops = f"{bed.namespace}-shop"
    bed.extra(kinds.NAMESPACE, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": shops}})
    bed.options |= {"client": {"namespace": shops}, "expect": {"resolves": [NAME]}}


@case("F23-unready-published", "service", words="publishNotReadyAddresses")
def _published(bed: Bed) -> None:
    bed.undo.append(lambda: bed.change(kinds.SERVICE, NAME, {"spec": {"publishNotReadyAddresses": None}}))
    bed.change(kinds.SERVICE, NAME, {"spec": {"publishNotReadyAddresses": True}})
    spec = {"containers": [{"name": "idle", "image": bed.images["python"], "command": ["sleep", "3600"]}]}
    spec["containers"][0] |= {"imagePullPolicy": "IfNotPresent", "readinessProbe": {"exec": {"command": ["false"]}}}
    pod = bed.meta("Pod", "stray", spec={**spec, "terminationGracePeriodSeconds": 0})
    pod["metadata"]["labels"] = {"run": NAME}
    bed.extra(kinds.POD, pod)
    bed.until(lambda: len(bed.ready_addresses()) == 3, "three endpoints")


@case("F25-recreated", "environment/*", words="variables")
def _recreated(bed: Bed) -> None:
    bed.anew = True
    # Another address than before: something else may not take the old one meanwhile.
    bed.cluster.delete(kinds.SERVICE, NAME, bed.namespace)
    bed.cluster.apply(kinds.SERVICE, bed.service(), manager="faults", force=True)
    bed.until(lambda: len(bed.ready_addresses()) == 2, "endpoints")


@case("F27-internal-local", "service", words="internalTrafficPolicy")
def _internal_local(bed: Bed) -> None:
    bed.undo.append(lambda: bed.change(kinds.SERVICE, NAME, {"spec": {"internalTrafficPolicy": "Cluster"}}))
    bed.change(kinds.SERVICE, NAME, {"spec": {"internalTrafficPolicy": "Local"}})
    bed.change(kinds.DEPLOYMENT, NAME, {"spec": {"replicas": 1}})
    bed.until(lambda: len(bed.ready_addresses()) == 1 and len(bed.pods()) == 1, "one pod")


@case("F29-older-than-service", "environment/*", words="has no variables of Service")
def _older(bed: Bed) -> None:
    """The pods are there first, so they have no variables of the Service at all."""
    bed.cluster.delete(kinds.SERVICE, NAME, bed.namespace)
    bed.born()
    bed.until(lambda: [p["status"]["phase"] for p in bed.pods()] == ["Running", "Running"], "running pods")
    bed.cluster.apply(kinds.SERVICE, bed.service(), manager="faults", force=True)
    bed.until(bed.settled, "endpoints")


@case("F31-links-off", words="")
def _links_off(bed: Bed) -> None:
    bed.anew = True
    bed.undo.append(lambda: bed.template({"enableServiceLinks": True}))
    bed.template({"enableServiceLinks": False})
    bed.until(bed.settled, "new pods")


@case("F32-too-many-services", "started/*", words="argument list too long")
def _too_many_services(bed: Bed) -> None:
    """Few Services with many ports and long names have as many variables as thousands of small ones."""
    ports = [{"name": f"port-{number}", "port": number} for number in range(1000, 1100)]
    for number in range(MANY):
        body = bed.meta("Service", f"{'x' * 60}{number:03}", spec={"selector": {"run": "nobody"}, "ports": ports})
        # Nobody needs rules for thousands of ports.
        body["metadata"]["labels"] = {"service.kubernetes.io/service-proxy-name": "faults"}
        bed.extra(kinds.SERVICE, body)
    bed.born()
    bed.until(lambda: bed.waiting("CrashLoopBackOff")() or bed.waiting("RunContainerError")(), "containers that end")


@case("F50-external-local", "nodeport/local", words="externalTrafficPolicy Local .*drops clients from outside")
def _external_local(bed: Bed) -> None:
    bed.change(kinds.SERVICE, NAME, {"spec": {"type": "NodePort", "externalTrafficPolicy": "Local"}})
    bed.change(kinds.DEPLOYMENT, NAME, {"spec": {"replicas": 1}})
    bed.until(lambda: len(bed.ready_addresses()) == 1 and len(bed.pods()) == 1, "one pod")


@case("F51-no-load-balancer", "loadbalancer", words="load balancer")
def _no_load_balancer(bed: Bed) -> None:
    bed.undo.append(lambda: bed.recreate(kinds.SERVICE, bed.service()))
    body = bed.service()
    body["spec"] |= {"type": "LoadBalancer", "loadBalancerClass": "example.com/none"}
    bed.recreate(kinds.SERVICE, body)
    bed.replaced()
    bed.anew = True
    time.sleep(LOAD_BALANCER)


@case("F51-source-ranges", "loadbalancer", words="the load balancer of .* does not pass connections on")
def _source_ranges(bed: Bed) -> None:
    before = {"type": "ClusterIP", "loadBalancerSourceRanges": None}
    bed.undo.append(lambda: bed.change(kinds.SERVICE, NAME, {"spec": before}))
    bed.change(kinds.SERVICE, NAME, {"spec": {"type": "LoadBalancer", "loadBalancerSourceRanges": ["192.0.2.0/24"]}})
    bed.until(lambda: load_balancer_addresses(live(bed)), "an address")
    bed.options["outside"] = True


@case("F51-no-way-in", "outside", words="clients outside of the cluster do not get to the nodes")
def _no_way_in(bed: Bed) -> None:
    shut(bed, *(node["metadata"]["name"] for node in bed.cluster.list(kinds.NODE).items))


@case("F51-no-way-to-one-node", "outside/*", words="clients outside of the cluster do not get to node")
def _no_way_to_one_node(bed: Bed) -> None:
    shut(bed, bed.pods()[0]["spec"]["nodeName"])


@case("N8-affinity-lost", "proxy/*", words="to several endpoints")
def _affinity_lost(bed: Bed) -> None:
    bed.undo.append(lambda: bed.change(kinds.SERVICE, NAME, {"spec": {"sessionAffinity": "None"}}))
    bed.change(kinds.SERVICE, NAME, {"spec": {"sessionAffinity": "ClientIP"}})
    without_rules(bed, bed.pods()[0]["spec"]["nodeName"], "--rcheck", 4)


@case("N9-health-check-shut", "nodeport/health", words="has an endpoint of .*, and does not say so")
def _health_check_shut(bed: Bed) -> None:
    bed.change(kinds.SERVICE, NAME, {"spec": {"type": "LoadBalancer", "externalTrafficPolicy": "Local"}})
    bed.until(lambda: load_balancer_addresses(live(bed)), "an address")
    shut_ports(bed, bed.pods()[0]["spec"]["nodeName"], str(live(bed)["spec"]["healthCheckNodePort"]))


@case("N10-answers-without-endpoint", "nodeport/local", words="has no endpoint of .*, but answers from outside")
def _answers_without_endpoint(bed: Bed) -> None:
    """Something else listens at the port: here a rule that passes connections on, as another proxy would."""
    bed.change(kinds.SERVICE, NAME, {"spec": {"type": "NodePort", "externalTrafficPolicy": "Local"}})
    number = live(bed)["spec"]["ports"][0]["nodePort"]
    hosts = {pod["spec"]["nodeName"] for pod in bed.pods()}
    names = {node["metadata"]["name"] for node in bed.cluster.list(kinds.NODE).items}
    divert(bed, min(names - hosts), number, f"{bed.pods()[0]['status']['podIP']}:8080")


@case("N12-tls-ended-on-the-way", "outside", words="from outside, clients refuse the certificate")
def _tls_ended_on_the_way(bed: Bed) -> None:
    """A proxy before the cluster that shows a certificate of its own."""
    known, bed.authority = bed.authority, bed.new_authority()
    pair = bed.leaf()
    bed.authority = known
    bed.extra(kinds.SECRET, bed.secret(pair, "other"))
    spec = bed.deployment()["spec"]["template"]["spec"]
    spec["volumes"][1]["secret"]["secretName"] = "other"
    bed.extra(kinds.POD, bed.meta("Pod", "between", spec=spec))
    bed.change(kinds.SERVICE, NAME, {"spec": {"type": "NodePort"}})

    def address() -> str:
        status = (bed.cluster.get(kinds.POD, "between", bed.namespace) or {}).get("status") or {}
        ready = any(item["type"] == "Ready" and item["status"] == "True" for item in status.get("conditions") or [])
        return str(status["podIP"]) if ready else ""

    bed.until(address, "the pod between")
    for node in bed.cluster.list(kinds.NODE).items:
        divert(bed, node["metadata"]["name"], live(bed)["spec"]["ports"][1]["nodePort"], f"{address()}:8443")


@case("N11-balancer-misses-an-endpoint", "proxy/*", words="does not pass connections|does not reach")
def _balancer_misses(bed: Bed) -> None:
    """On whichever node the load balancer leads to."""
    before = {"type": "ClusterIP"}
    bed.undo.append(lambda: bed.change(kinds.SERVICE, NAME, {"spec": before}))
    bed.change(kinds.SERVICE, NAME, {"spec": {"type": "LoadBalancer"}})
    bed.until(lambda: load_balancer_addresses(live(bed)), "an address")
    for node in bed.cluster.list(kinds.NODE).items:
        without_rules(bed, node["metadata"]["name"], "--probability", 2)
    bed.options["outside"] = True


def live(bed: Bed) -> dict[str, t.Any]:
    """The Service as it is now."""
    return bed.cluster.get(kinds.SERVICE, NAME, bed.namespace) or {}


def shut(bed: Bed, *nodes: str) -> None:
    """A firewall on nodes that lets pods in, but nobody else: what a forgotten security group does."""
    bed.change(kinds.SERVICE, NAME, {"spec": {"type": "NodePort"}})
    ports = ",".join(str(port["nodePort"]) for port in live(bed)["spec"]["ports"])
    for node in nodes:
        shut_ports(bed, node, ports)


def shut_ports(bed: Bed, node: str, ports: str) -> None:
    """Drop what comes from outside for these ports of a node."""
    rule = f"PREROUTING -s {gateway(node)} -p tcp -m multiport --dports {ports} -j DROP".split()
    docker("exec", node, "iptables", "-t", "raw", "-I", *rule)
    bed.undo.append(partial(docker, "exec", node, "iptables", "-t", "raw", "-D", *rule))
    bed.options["outside"] = True


def divert(bed: Bed, node: str, number: int, to: str) -> None:
    """Lead what comes from outside to a port of a node elsewhere."""
    address, _colon, port = to.partition(":")
    for rule in (
        f"PREROUTING -s {gateway(node)} -p tcp --dport {number} -j DNAT --to-destination {to}",
        f"POSTROUTING -s {gateway(node)} -d {address} -p tcp --dport {port} -j MASQUERADE",
    ):
        docker("exec", node, "iptables", "-t", "nat", "-I", *rule.split())
        bed.undo.append(partial(docker, "exec", node, "iptables", "-t", "nat", "-D", *rule.split()))
    bed.options["outside"] = True


def gateway(node: str) -> str:
    """The address by which a node sees the host."""
    return docker("inspect", node, "--format", "{{range .NetworkSettings.Networks}}{{.Gateway}}{{end}}").strip()


def without_rules(bed: Bed, node: str, words: str, count: int) -> None:
    """Take those rules of the Service's own chains away, once they are there; its service proxy does not look."""

    def rules() -> list[tuple[str, int]]:
        """Chain and number of each: not every rule can be named by what it says."""
        places: dict[str, int] = {}
        found = []
        for rule in docker("exec", node, "iptables-save", "-t", "nat").splitlines():
            if rule.startswith("-A KUBE-SVC"):
                chain = rule.split()[1]
                places[chain] = places.get(chain, 0) + 1
                if f'"{bed.namespace}/{NAME}:' in rule and words in rule:
                    found.append((chain, places[chain]))
        return found

    bed.until(lambda: len(rules()) == count, f"rules on {node}")
    bed.undo.append(lambda: bed.recreate(kinds.SERVICE, bed.service()))
    bed.anew = True
    for chain, number in reversed(rules()):
        docker("exec", node, "iptables", "-t", "nat", "-D", chain, str(number))


# ----- policies


@case("F43-deny-ingress", "policy/*/deny", words="deny does not let the client in to port")
def _deny_ingress(bed: Bed) -> None:
    bed.extra(kinds.NETWORK_POLICY, policy(bed, {"podSelector": {}, "policyTypes": ["Ingress"]}))
    bed.enforced()


@case("F44-deny-egress", "policy/*/deny", words="deny does not let the client out to port")
def _deny_egress(bed: Bed) -> None:
    """By the API alone: nothing on the test bed keeps a probe pod from going out."""
    bed.extra(kinds.NETWORK_POLICY, policy(bed, {"podSelector": {}, "policyTypes": ["Egress"]}))
    bed.options["probe"] = False


@case("F44-deny-egress-enforced", "policy/*/deny", words="deny does not let the client out to port")
def _deny_egress_enforced(bed: Bed) -> None:
    """What a plugin that enforces policies does to the clients, done on each node to all that is not the kubelet."""
    dns = {"ports": [{"port": 53, "protocol": protocol} for protocol in ("UDP", "TCP")]}
    bed.extra(kinds.NETWORK_POLICY, policy(bed, {"podSelector": {}, "policyTypes": ["Egress"], "egress": [dns]}))
    addresses = ",".join(pod["status"]["podIP"] for pod in bed.pods())
    for node in bed.cluster.list(kinds.NODE).items:
        name = node["metadata"]["name"]
        for address in addresses.split(","):
            rule = f"FORWARD ! -i eth0 -d {address} -p tcp --syn -j DROP".split()
            docker("exec", name, "iptables", "-t", "mangle", "-I", *rule)
            bed.undo.append(partial(docker, "exec", name, "iptables", "-t", "mangle", "-D", *rule))


@case("F44-deny-dns", "policy/*/deny", words="deny keeps the client from the DNS servers")
def _deny_dns(bed: Bed) -> None:
    rule = {"ports": [{"port": number, "protocol": "TCP"} for number in (8080, 8443)]}
    bed.extra(kinds.NETWORK_POLICY, policy(bed, {"podSelector": {}, "policyTypes": ["Egress"], "egress": [rule]}))
    bed.options["probe"] = False


@case("F46-not-enforced", "enforcement", words="does not enforce NetworkPolicies")
def _not_enforced(bed: Bed) -> None:
    bed.extra(kinds.NETWORK_POLICY, policy(bed, {"podSelector": {}, "policyTypes": ["Ingress"]}))


@case("P1-stranger-gets-in", "access", words="app=stranger.* must not reach .* answered HTTP 200")
def _stranger(bed: Bed) -> None:
    bed.options["expect"] = STRANGER


@case("P2-stranger-not-denied", "enforcement", words="does not enforce NetworkPolicies")
def _stranger_not_denied(bed: Bed) -> None:
    """A policy lets the clients in and nobody else, and the test bed's network does not care."""
    rule = {"from": [{"podSelector": {"matchLabels": {"app": "friend"}}}]}
    bed.extra(kinds.NETWORK_POLICY, policy(bed, {"podSelector": {}, "policyTypes": ["Ingress"], "ingress": [rule]}))
    bed.options["client"] = {"labels": {"app": "friend"}}
    bed.options["expect"] = STRANGER


STRANGER = {"refused_from": [{"namespace": None, "labels": {"app": "stranger"}}]}


@case("X4-wrong-policy-port", "policy/*/deny", words="deny does not let the client in to port")
def _wrong_policy_port(bed: Bed) -> None:
    rule = {"ports": [{"port": 80, "protocol": "TCP"}]}
    bed.extra(kinds.NETWORK_POLICY, policy(bed, {"podSelector": {}, "policyTypes": ["Ingress"], "ingress": [rule]}))
    bed.enforced()


def policy(bed: Bed, spec: dict[str, t.Any]) -> dict[str, t.Any]:
    """A NetworkPolicy named deny."""
    return bed.meta("NetworkPolicy", "deny", "networking.k8s.io/v1", spec=spec)


# ----- the clients' own workload


def shop(bed: Bed, spec: dict[str, t.Any]) -> None:
    """Clients with this in their template; it is judged, and need not run."""
    container = {"name": "shop", "image": bed.images["nginx"], "env": spec.pop("env", [])}
    labels = {"app": "shop"}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [container], **spec}}
    body = {"replicas": 0, "selector": {"matchLabels": labels}, "template": template}
    bed.extra(kinds.DEPLOYMENT, bed.meta("Deployment", "shop", "apps/v1", spec=body))
    bed.options["client"] = {"workload": "Deployment shop"}


@case("C1-client-resolver", "client", words="shop do not ask the cluster's DNS")
def _client_resolver(bed: Bed) -> None:
    shop(bed, {"dnsPolicy": "Default"})


@case("C2-client-hosts", "client", words="lead my-nginx elsewhere")
def _client_hosts(bed: Bed) -> None:
    shop(bed, {"hostAliases": [{"ip": "192.0.2.1", "hostnames": [NAME]}]})


@case("C3-client-proxy", "client", words="HTTPS_PROXY and no NO_PROXY")
def _client_proxy(bed: Bed) -> None:
    shop(bed, {"env": [{"name": "HTTPS_PROXY", "value": "http://192.0.2.1:3128"}]})


# ----- TLS


def served(bed: Bed, body: dict[str, t.Any]) -> None:
    """Let the pods serve another Secret's content."""
    bed.anew = True
    bed.cluster.apply(kinds.SECRET, body, manager="faults", force=True)
    bed.replaced()


@case("T01-expired", "certificate", words="expired")
def _expired(bed: Bed) -> None:
    served(bed, bed.secret(bed.leaf(days_ago=60, days=30)))


@case("T02-not-yet-valid", "certificate", words="not yet valid")
def _not_yet(bed: Bed) -> None:
    served(bed, bed.secret(bed.leaf(days_ago=-10)))


@case("T03-wrong-name", "certificate", words="for other names")
def _wrong_name(bed: Bed) -> None:
    served(bed, bed.secret(bed.leaf(names=["other.example"])))


@case("T05-other-authority", "trust", words="CA")
def _other_authority(bed: Bed) -> None:
    known, bed.authority = bed.authority, bed.new_authority()
    pair = bed.leaf()
    bed.authority = known
    served(bed, bed.secret(pair))


@case("T07-key-names", "source/Secret/nginxsecret", words="tls.crt")
def _key_names(bed: Bed) -> None:
    data = {"nginx.crt": "eA==", "nginx.key": "eA=="}
    bed.undo.append(lambda: bed.cluster.delete(kinds.SECRET, "nginxsecret", bed.namespace))
    bed.recreate(kinds.SECRET, bed.meta("Secret", "nginxsecret", type="Opaque", data=data))
    bed.born()
    bed.until(bed.waiting("CrashLoopBackOff"), "a crash loop")


@case("T08-not-reloaded", "served*", words="another certificate")
def _not_reloaded(bed: Bed) -> None:
    bed.anew = True
    bed.options["tls"] = {"secret": "nginxsecret"}
    bed.cluster.apply(kinds.SECRET, bed.secret(bed.leaf()), manager="faults", force=True)


@case("T09-sub-path", "served*", words="another certificate")
def _sub_path(bed: Bed) -> None:
    """What is mounted by subPath stays as it was when the container started."""
    mounts = [{"name": "conf", "mountPath": "/etc/nginx/conf.d"}]
    mounts += [{"name": "cert", "mountPath": f"/etc/nginx/ssl/{key}", "subPath": key} for key in ("tls.crt", "tls.key")]
    bed.born({"volumeMounts": mounts})
    bed.until(bed.settled, "ready pods")
    bed.options["tls"] = {"secret": "nginxsecret", "mount_path": "/etc/nginx/ssl"}
    bed.cluster.apply(kinds.SECRET, bed.secret(bed.leaf()), manager="faults", force=True)


@case("T12-by-address", "certificate", words="is for other names")
def _by_address(bed: Bed) -> None:
    service = bed.cluster.get(kinds.SERVICE, NAME, bed.namespace) or {}
    bed.options["tls"] = {"server_name": service["spec"]["clusterIP"]}


@case("T04-common-name-only", "certificate", words="subjectAltName|common name|names")
def _common_name_only(bed: Bed) -> None:
    served(bed, bed.secret(common_name_only(bed)))


def common_name_only(bed: Bed) -> tuple[bytes, bytes]:
    """What the tutorial's own openssl line makes, but by the CA that clients trust."""
    key = keys.generate("P-256")
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, NAME)])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(bed.authority.certificate.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(bed.now - timedelta(days=1))
        .not_valid_after(bed.now + timedelta(days=30))
        .sign(bed.authority.key, hashes.SHA256())
    )
    return pem_of((made,)).encode(), keys.pem(key)


# ----- the cluster itself: these take it away from everybody


@case("F13-node-down", "node/*", words="NotReady|not ready|Ready", alone=True)
def _node_down(bed: Bed) -> None:
    node = next(pod["spec"]["nodeName"] for pod in bed.pods())
    bed.undo.append(lambda: bed.until(lambda: bed.node_is(node, "True"), "the node"))
    bed.undo.append(lambda: docker("unpause", node))
    docker("pause", node)
    bed.until(lambda: not bed.node_is(node, "True"), "a node that is not ready", 120)


@case("F33-no-dns-servers", "dns/servers", words="scaled to 0", alone=True)
def _no_dns_servers(bed: Bed) -> None:
    bed.undo.append(bed.dns_ready)
    bed.undo.append(lambda: bed.change(kinds.DEPLOYMENT, "coredns", {"spec": {"replicas": 2}}, "kube-system"))
    bed.change(kinds.DEPLOYMENT, "coredns", {"spec": {"replicas": 0}}, "kube-system")
    bed.until(lambda: not bed.dns_pods(), "no DNS servers")


@case("F35-corefile", "dns/corefile", words="Corefile", alone=True)
def _corefile(bed: Bed) -> None:
    bed.corefile(lambda text: text.replace("ready", "redy", 1))


@case("F35-corefile-not-taken-over", "dns/corefile", words="cannot read their Corefile", alone=True)
def _corefile_reloaded(bed: Bed) -> None:
    """Servers that run refuse it and go on with the one before: nothing is lost until they start again."""
    found = bed.cluster.get(kinds.CONFIG_MAP, "coredns", "kube-system") or {}
    good = found["data"]["Corefile"]

    def write(text: str) -> None:
        bed.change(kinds.CONFIG_MAP, "coredns", {"data": {"Corefile": text}}, "kube-system")

    def anew() -> None:
        for pod in bed.dns_pods():
            bed.cluster.delete(kinds.POD, pod["metadata"]["name"], "kube-system")

    def told() -> bool:
        names = [pod["metadata"]["name"] for pod in bed.dns_pods()]
        logs = [bed.cluster.log_tail("kube-system", name, "coredns", previous=False) for name in names]
        return all("Error during parsing" in log or "Unknown directive" in log for log in logs)

    bed.undo += [bed.dns_ready, anew, partial(write, good)]
    write(good.replace("ready", "redy", 1))
    bed.until(told, "servers that refuse it", RELOAD)


@case("F36-forwarding-loop", "dns/corefile", words="forward queries to themselves", alone=True)
def _forwarding_loop(bed: Bed) -> None:
    bed.corefile(lambda text: text.replace("forward . /etc/resolv.conf", "forward . 127.0.0.1"))


@case("F37-dns-rights", "dns/rights", words="right|may not", alone=True)
def _dns_rights(bed: Bed) -> None:
    role = bed.cluster.get(kinds.CLUSTER_ROLE, "system:coredns") or {}
    rules = role["rules"]

    def write(allowed: list[dict[str, t.Any]]) -> None:
        bed.cluster.patch(kinds.CLUSTER_ROLE, "system:coredns", None, {"rules": allowed}, manager="faults-inject")
        for pod in bed.dns_pods():
            bed.cluster.delete(kinds.POD, pod["metadata"]["name"], "kube-system")

    bed.undo.append(bed.dns_ready)
    bed.undo.append(lambda: write(rules))
    write([rule for rule in rules if "endpointslices" not in rule["resources"]])
    bed.until(lambda: not bed.dns_reachable(), "DNS servers that know nothing")


@case("F39-dns-selector", "dns/service", words="kube-dns", alone=True)
def _dns_selector(bed: Bed) -> None:
    right, wrong = {"k8s-app": "kube-dns"}, {"k8s-app": "kube-dns2"}
    bed.undo.append(bed.dns_ready)
    bed.undo.append(lambda: bed.change(kinds.SERVICE, "kube-dns", {"spec": {"selector": right}}, "kube-system"))
    bed.change(kinds.SERVICE, "kube-dns", {"spec": {"selector": wrong}}, "kube-system")


# Alone: under load the client is late itself, and then accuses nobody.
@case(
    "F42-first-query-lost",
    "resolver/*",
    words="the first query of clients on .* is lost: names resolve after 5",
    alone=True,
)
def _first_query_lost(bed: Bed) -> None:
    """The queries for names of this namespace are lost for a second, counted from a pod's first one, on one node."""
    node = bed.pods()[0]["spec"]["nodeName"]
    query = ["!", "-i", "eth0", "-p", "udp", "--dport", "53", "-m", "string", "--algo", "bm", "--string", bed.namespace]
    known = ["-m", "recent", "--name", "faults", "--rsource"]
    first = [*query, *known, "!", "--rcheck", *known, "--set", "-j", "DROP"]
    soon = [*query, *known, "--rcheck", "--seconds", "1", "-j", "DROP"]
    for rule in (first, soon):
        place = ["PREROUTING", *rule]
        bed.undo.append(lambda place=place: docker("exec", node, "iptables", "-t", "raw", "-D", *place))
        docker("exec", node, "iptables", "-t", "raw", "-A", *place)


@case("F47-no-proxy-on-a-node", "proxy/*", words="kube-proxy|proxy", alone=True)
def _no_proxy(bed: Bed) -> None:
    node = bed.pods()[0]["spec"]["nodeName"]
    term = {"key": "kubernetes.io/hostname", "operator": "NotIn", "values": [node]}
    required = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [{"matchExpressions": [term]}]}}
    bed.undo.append(lambda: bed.until(lambda: bed.proxies() == 3, "three proxies"))
    bed.undo.append(lambda: bed.proxy_affinity(None))
    bed.proxy_affinity({"nodeAffinity": required})
    bed.until(lambda: bed.proxies() == 2, "two proxies")
    bed.replaced()


@case("F47-proxy-stopped", "proxy/*", words="service proxy", alone=True)
def _proxy_stopped(bed: Bed) -> None:
    """It counts as ready, and its rules lead to pods that are gone."""
    node = bed.pods()[0]["spec"]["nodeName"]
    bed.undo.append(lambda: docker("exec", node, "pkill", "-CONT", "-f", "kube-proxy"))
    docker("exec", node, "pkill", "-STOP", "-f", "kube-proxy")
    bed.replaced()


@case("F48-rules-gone", "proxy/*", words="service proxy", alone=True)
def _rules_gone(bed: Bed) -> None:
    node = bed.pods()[0]["spec"]["nodeName"]
    bed.undo.append(lambda: bed.until(lambda: bed.proxies() == 3, "three proxies"))
    bed.undo.append(lambda: bed.proxy_anew(node))
    bed.undo.append(lambda: docker("exec", node, "pkill", "-CONT", "-f", "kube-proxy"))
    docker("exec", node, "pkill", "-STOP", "-f", "kube-proxy")
    docker("exec", node, "iptables", "-t", "nat", "-F", "KUBE-SERVICES")


@case("F48-rules-seen-from-inside", "proxy/*", words="is stopped", alone=True)
def _rules_gone_inside(bed: Bed) -> None:
    bed.options["node_level"] = True
    _rules_gone(bed)


@case("F52-conntrack-full", "conntrack/*", words="the connection table of node .* is full", alone=True)
def _conntrack_full(bed: Bed) -> None:
    """The limit is one for the whole machine, which all nodes of a test bed share; but each has a table of its own."""
    node = bed.pods()[0]["spec"]["nodeName"]
    # What a client of that node cannot reach takes its whole time.
    bed.options |= {"node_level": True, "timeout": 180}
    # Nobody sees a node whose kubelet cannot be asked for a log. Elsewhere the API server often has a connection, which
    # goes on; here it has one by chance.
    for chain, end in (("PREROUTING", "--dport"), ("OUTPUT", "--sport")):
        rule = [chain, "-p", "tcp", end, "10250", "-j", "CT", "--notrack"]
        docker("exec", node, "iptables", "-t", "raw", "-I", *rule)
        bed.undo.append(partial(docker, "exec", node, "iptables", "-t", "raw", "-D", *rule))
    flag, folder = "/run/plumbline-full", "/proc/sys/net/netfilter"
    bed.undo.append(lambda: docker("exec", node, "bash", "-c", "conntrack -D -p udp --orig-dst 192.0.2.1 || true"))
    bed.undo.append(lambda: docker("exec", node, "rm", "-f", flag))
    docker("exec", node, "touch", flag)
    # All of it ends by itself after five minutes. Until then no entry does: a table that empties itself for a moment is
    # not full in the moment in which it is looked at. What others leave is taken in small portions, since a look from a
    # machine that is busy with this sees nothing else.
    script = f"""
      entries() {{ awk -v n=$1 -v most=$2 'BEGIN {{ for (i = 0; i < most; i++)
        printf "-A -p udp -s 10.%d.%d.%d -d 192.0.2.1 --sport %d --dport 9 -t 300 -u ASSURED,SEEN_REPLY\\n",
          224 + i / 60000, n / 250, 1 + n % 250, 1 + i % 60000 }}' | conntrack -R - 2>/dev/null; }}
      entries 0 $(cat {folder}/nf_conntrack_max)
      for n in $(seq 1200); do [ -e {flag} ] || exit; entries $n 200; sleep 0.2; done"""
    docker("exec", "--detach", node, "bash", "-c", script)
    counts = ("exec", node, "cat", f"{folder}/nf_conntrack_count", f"{folder}/nf_conntrack_max")
    bed.until(lambda: len(set(docker(*counts).split())) == 1, "a full connection table")
    bed.until(lambda: len(bed.ready_addresses()) == 1, "a pod that its kubelet does not reach")


@case("F49-stale-flow", "flows/*", words="holds 1 UDP flow")
def _stale_flow(bed: Bed) -> None:
    """kube-proxy ends such flows, unless it is dead or has another bug, so this one is made by hand."""
    udp = "import socket; s = socket.socket(type=socket.SOCK_DGRAM)"
    program = f"{udp}; s.bind(('', 5353))\nwhile s.sendto(*s.recvfrom(9)): 1"
    container = {"name": "echo", "image": bed.images["python"], "command": ["python3", "-c", program]}
    pod = bed.meta("Pod", "echo", spec={"containers": [container], "terminationGracePeriodSeconds": 0})
    pod["metadata"]["labels"] = {"run": "echo"}
    ports = [{"port": 53, "targetPort": 5353, "protocol": "UDP"}]
    bed.extra(kinds.SERVICE, bed.meta("Service", "echo", spec={"selector": {"run": "echo"}, "ports": ports}))
    bed.extra(kinds.POD, pod)
    bed.until(lambda: bed.ready_addresses("echo"), "an endpoint")
    node = bed.pods()[0]["spec"]["nodeName"]
    address = (bed.cluster.get(kinds.SERVICE, "echo", bed.namespace) or {})["spec"]["clusterIP"]
    time.sleep(SYNC)  # else the proxy, which has just heard of the endpoint, would end the flow
    there, back = f"-s 192.0.2.7 -d {address} --sport 40000 --dport 53", "-r 192.0.2.8 -q 192.0.2.7"
    entry = f"-p udp {there} {back} --reply-port-src 5353 --reply-port-dst 40000 -u SEEN_REPLY,ASSURED -t 300"
    docker("exec", node, "conntrack", "-I", *entry.split())
    bed.undo.append(lambda: docker("exec", node, "conntrack", "-D", "-p", "udp", "--orig-dst", address))
    bed.options |= {"name": "echo", "node_level": True}


@case("N1-rules-of-one-service", "proxy/*", words="the rules of node .* do not lead to")
def _rules_of_one_service(bed: Bed) -> None:
    """kube-proxy looks after its chains, not after what is in them."""
    node = bed.pods()[0]["spec"]["nodeName"]
    comment = f"{bed.namespace}/{NAME}:http cluster IP"
    rules = docker("exec", node, "iptables-save", "-t", "nat").splitlines()
    chain = next(rule.split()[-1] for rule in rules if rule.startswith("-A KUBE-SERVICES") and comment in rule)
    bed.undo.append(lambda: bed.recreate(kinds.SERVICE, bed.service()))
    bed.anew = True
    docker("exec", node, "iptables", "-t", "nat", "-F", chain)
    bed.options["node_level"] = True


@case("N2-loopback-only", "ready/*", words="counts as ready, but .* at 127.0.0.1 only")
def _loopback_only(bed: Bed) -> None:
    conf = CONF.replace("listen 8080", "listen 127.0.0.1:8080")
    bed.change(kinds.CONFIG_MAP, "nginxconfigmap", {"data": {"default.conf": conf}})
    bed.born({"readinessProbe": {"exec": {"command": ["true"]}}})
    bed.until(bed.settled, "ready pods")
    bed.options["node_level"] = True


@case(
    "N3-target-port-seen-from-inside", "port/80", words="no pod listens on targetPort 8081 .* they listen on 8080, 8443"
)
def _target_port_inside(bed: Bed) -> None:
    _target_port(bed)
    labels = f"kubernetes.io/service-name={NAME}"

    def told() -> bool:
        slices = bed.cluster.list(kinds.ENDPOINT_SLICE, bed.namespace, labels=labels).items
        return any(port["port"] == 8081 for item in slices for port in item["ports"])

    bed.until(told, "slices with the new port")
    bed.options["node_level"] = True


@case("N4-large-packets-lost", "mtu", words="large packets to pods of .* are lost on the way")
def _large_packets_lost(bed: Bed) -> None:
    """What a tunnel does whose MTU nobody considered. Only packets to one pod: the others belong to other cases."""
    pod = bed.pods()[0]
    node, address = pod["spec"]["nodeName"], pod["status"]["podIP"]
    rule = f"PREROUTING -d {address} -p tcp -m length --length 1400:65535 -j DROP".split()
    docker("exec", node, "iptables", "-t", "raw", "-I", *rule)
    bed.undo.append(partial(docker, "exec", node, "iptables", "-t", "raw", "-D", *rule))


@case("N13-rules-not-written", "proxy/*", words="the service proxy of node .* cannot write its rules", alone=True)
def _rules_not_written(bed: Bed) -> None:
    """What a security module does, or another program that holds the kernel's tables: kube-proxy lives, and tries."""
    node = bed.pods()[0]["spec"]["nodeName"]
    bed.undo.append(lambda: bed.until(lambda: bed.proxies() == 3, "three proxies"))
    bed.undo.append(lambda: bed.proxy_anew(node))
    # A folder that is searched before the one with the right program; it is gone with the container.
    tool = "/usr/local/sbin/iptables-restore"
    refusing = "#!/bin/sh\\necho iptables-restore: Permission denied >&2\\nexit 4\\n"
    proxy = docker("exec", node, "pgrep", "-o", "kube-proxy").strip()
    script = f"printf '{refusing}' > {tool} && chmod +x {tool}"
    docker("exec", node, "nsenter", "--target", proxy, "--mount", "sh", "-c", script)
    bed.replaced()
    time.sleep(WRITE)


@case("N5-upstream", "dns/upstream", words="do not find api.example.com")
def _upstream(bed: Bed) -> None:
    """No inject is needed: nothing leaves a test bed, so its DNS servers cannot ask anybody else."""
    bed.options["expect"] = {"resolves": ["api.example.com"]}


@case("N6-hairpin", "hairpin/*", words="does not reach itself by the address of Service")
def _hairpin(bed: Bed) -> None:
    """A service proxy that does not masquerade what a pod sends to itself."""
    pod = bed.pods()[0]
    node, address = pod["spec"]["nodeName"], pod["status"]["podIP"]

    def rules() -> list[str]:
        known = docker("exec", node, "iptables-save", "-t", "nat").splitlines()
        return [rule for rule in known if f"-s {address}/32" in rule and rule.endswith("-j KUBE-MARK-MASQ")]

    bed.until(lambda: len(rules()) >= 2, "rules for both ports")
    time.sleep(SYNC)  # else the proxy may write them again
    for rule in rules():
        words = shlex.split(rule)[1:]
        docker("exec", node, "iptables", "-t", "nat", "-D", *words)
        bed.undo.append(partial(docker, "exec", node, "iptables", "-t", "nat", "-I", *words))


@case("N7-target-port-by-api-proxy", "port/80", words="8081")
def _target_port_by_api_proxy(bed: Bed) -> None:
    """Where no probe pod may be started."""
    _target_port_inside(bed)
    bed.options = {"probe": False, "api_proxy": True}


def docker(*words: str) -> str:
    """What is done to a node from outside."""
    return subprocess.run(["docker", *words], check=True, capture_output=True, timeout=60, text=True).stdout


# ----- two at once: neither hides the other


@case("2F-selector-and-policy", "selector", "policy/*/deny", words="run=my-nginx")
def _selector_and_policy(bed: Bed) -> None:
    _deny_ingress(bed)
    _selector(bed)


@case("2F-policy-and-environment", "policy/*/deny", "environment/*", words="deny")
def _policy_and_environment(bed: Bed) -> None:
    _recreated(bed)
    _deny_ingress(bed)


@case("2F-port-and-expired", "port/80", "certificate", words="8081")
def _port_and_expired(bed: Bed) -> None:
    _expired(bed)
    _target_port(bed)


@case("2F-port-and-policy", "port/80", "policy/*/deny", words="no pod listens on targetPort 8081")
def _port_and_policy(bed: Bed) -> None:
    """Where a policy keeps every client out, only a look from inside tells that there is nothing to be reached."""
    _target_port_inside(bed)
    _deny_ingress(bed)


@case("2F-selector-and-client", "selector", "client", words="run=my-nginx")
def _selector_and_client(bed: Bed) -> None:
    _client_resolver(bed)
    _selector(bed)


@case("2F-crash-and-selector", "started/*", "selector", words="emerg|CrashLoop")
def _crash_and_selector(bed: Bed) -> None:
    _crash(bed)
    _selector(bed)


@case("2F-secret-and-policy", "source/Secret/absent", "policy/*/deny", words="absent")
def _secret_and_policy(bed: Bed) -> None:
    _secret_missing(bed)
    bed.extra(kinds.NETWORK_POLICY, policy(bed, {"podSelector": {}, "policyTypes": ["Ingress"]}))


@case("2F-readiness-and-expired", "ready/*", "certificate", words="readiness probe")
def _readiness_and_expired(bed: Bed) -> None:
    _expired(bed)
    _readiness(bed)


@case("2F-proxy-and-environment", "proxy/*", "environment/*", words="service proxy", alone=True)
def _proxy_and_environment(bed: Bed) -> None:
    _recreated(bed)
    time.sleep(SYNC)  # else the proxy that has just heard of the Service is the one that is stopped
    _rules_gone(bed)


@case("2F-port-and-dns-service", "port/80", "dns/service", words="8081", alone=True)
def _port_and_dns_service(bed: Bed) -> None:
    _dns_selector(bed)
    _target_port(bed)


@case("2F-selector-and-no-dns-servers", "selector", "dns/servers", words="run=my-nginx", alone=True)
def _selector_and_no_dns_servers(bed: Bed) -> None:
    _no_dns_servers(bed)
    _selector(bed)
