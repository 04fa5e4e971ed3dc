# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A healthy application in a namespace of its own on the real cluster, to be broken and mended."""

from __future__ import annotations

import base64
import copy
import ipaddress
import time
import typing as t
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from ansible_collections.plumbline.kubernetes.plugins.module_utils.connectivity import question as asking
from ansible_collections.plumbline.kubernetes.plugins.module_utils.kube import kinds
from ansible_collections.plumbline.kubernetes.plugins.module_utils.kube.client import Cluster
from ansible_collections.plumbline.kubernetes.plugins.module_utils.kube.kinds import Kind
from ansible_collections.plumbline.kubernetes.plugins.module_utils.pki import authority, issue, keys
from ansible_collections.plumbline.kubernetes.plugins.module_utils.pki.certificates import pem_of

Body = dict[str, t.Any]
NAME = "my-nginx"
PATIENCE = 180.0

CONF = """server {
  listen 8080 default_server;
  listen 8443 ssl default_server;
  ssl_certificate /etc/nginx/ssl/tls.crt;
  ssl_certificate_key /etc/nginx/ssl/tls.key;
  root /usr/share/nginx/html;
  add_header Served-By $hostname always;
}
"""


@dataclass
class Bed:
    """One namespace with the tutorial's application, both ports, and the CA that its clients trust.

    Attributes:
        options: what the questions about it differ in from the usual.
        undo: what to do before the base is applied again.
        anew: whether the pods must be made anew after that.
        changed: whether the Deployment was changed.
    """

    cluster: Cluster
    namespace: str
    images: t.Mapping[str, str]
    options: Body = field(default_factory=dict)
    undo: list[t.Callable[[], object]] = field(default_factory=list)
    anew: bool = False
    changed: bool = False

    def __post_init__(self) -> None:
        self.now = datetime.now(UTC).replace(microsecond=0)
        self.authority = self.new_authority()
        self.pair = self.leaf()

    # ----- the healthy application

    def base(self) -> list[tuple[Kind, Body]]:
        """Everything, as it should be."""
        return [
            (kinds.CONFIG_MAP, self.meta("ConfigMap", "nginxconfigmap", data={"default.conf": CONF})),
            (kinds.SECRET, self.secret(self.pair)),
            (kinds.DEPLOYMENT, self.deployment()),
            (kinds.SERVICE, self.service()),
        ]

    def meta(self, kind: str, name: str, api: str = "v1", **rest: t.Any) -> Body:
        """An object of the namespace."""
        return {"apiVersion": api, "kind": kind, "metadata": {"name": name, "namespace": self.namespace}, **rest}

    def new_authority(self) -> issue.Issuer:
        """A CA that was made long ago, so that it can have issued what has expired."""
        chain, key = authority.make(
            authority.Profile("faults", "P-256", timedelta(days=200)), 1, self.now - timedelta(days=100)
        )
        return issue.Issuer(chain[0], key)

    def leaf(self, names: t.Sequence[str] = (), days_ago: int = 0, days: int = 30) -> tuple[bytes, bytes]:
        """A certificate for the Service by the CA that clients trust, and its key, both PEM."""
        forms = tuple(names) or (NAME, f"{NAME}.{self.namespace}", f"{NAME}.{self.namespace}.svc")
        key = keys.generate("P-256")
        wanted = issue.LeafRequest(forms, (), timedelta(days=days))
        made = issue.leaf(wanted, self.authority, key, self.now - timedelta(days=days_ago))
        return pem_of((made,)).encode(), keys.pem(key)

    def secret(self, pair: tuple[bytes, bytes], name: str = "nginxsecret") -> Body:
        """A TLS Secret of a pair."""
        data = {key: base64.b64encode(value).decode() for key, value in zip(("tls.crt", "tls.key"), pair, strict=True)}
        return self.meta("Secret", name, type="kubernetes.io/tls", data=data)

    def deployment(self) -> Body:
        """Two replicas, spread over nodes."""
        container = {
            "name": "nginx",
            "image": self.images["nginx"],
            "imagePullPolicy": "IfNotPresent",
            "ports": [{"name": "http", "containerPort": 8080}, {"name": "https", "containerPort": 8443}],
            "readinessProbe": {
                "httpGet": {"path": "/", "port": 8080},
                "periodSeconds": 1,
                "failureThreshold": 1,
                "timeoutSeconds": 9,
            },
            "volumeMounts": [
                {"name": "conf", "mountPath": "/etc/nginx/conf.d"},
                {"name": "cert", "mountPath": "/etc/nginx/ssl"},
            ],
        }
        template = {
            "metadata": {"labels": {"run": NAME}},
            "spec": {
                "terminationGracePeriodSeconds": 1,
                "containers": [container],
                "topologySpreadConstraints": [
                    {
                        "maxSkew": 1,
                        "topologyKey": "kubernetes.io/hostname",
                        "whenUnsatisfiable": "ScheduleAnyway",
                        "labelSelector": {"matchLabels": {"run": NAME}},
                        "matchLabelKeys": ["pod-template-hash"],
                    }
                ],
                "volumes": [
                    {"name": "conf", "configMap": {"name": "nginxconfigmap"}},
                    {"name": "cert", "secret": {"secretName": "nginxsecret"}},
                ],
            },
        }
        spec = {"replicas": 2, "selector": {"matchLabels": {"run": NAME}}, "template": template}
        return self.meta("Deployment", NAME, "apps/v1", spec={**spec, "progressDeadlineSeconds": 20})

    def service(self) -> Body:
        """http 80 and https 443, as in the tutorial's second half."""
        ports = [
            {"name": "http", "port": 80, "targetPort": 8080, "protocol": "TCP"},
            {"name": "https", "port": 443, "targetPort": 8443, "protocol": "TCP"},
        ]
        return self.meta("Service", NAME, spec={"selector": {"run": NAME}, "ports": ports, "type": "ClusterIP"})

    # ----- changes

    def make(self) -> None:
        """The namespace with the healthy application: a new one, since pods of another run have its certificates."""
        self.cluster.delete(kinds.NAMESPACE, self.namespace)
        self.until(
            lambda: not self.cluster.get(kinds.NAMESPACE, self.namespace), "the end of another run", 2 * PATIENCE
        )
        self.cluster.apply(
            kinds.NAMESPACE, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": self.namespace}}, force=True
        )
        self.mend()

    def mend(self) -> None:
        """Make it as it should be again, whatever was done to it."""
        while self.undo:
            self.undo.pop()()
        if self.changed:
            # A field that the base does not name would stay.
            self.gone()
            self.changed = self.anew = False
        for kind, body in self.base():
            self.cluster.apply(kind, body, manager="faults", force=True)
        if self.anew:
            self.replaced()
            self.anew = False
        self.until(self.settled, "the healthy application")

    def remove(self) -> None:
        """The namespace goes away in its own time."""
        self.cluster.delete(kinds.NAMESPACE, self.namespace)

    def change(self, kind: Kind, name: str, patch: Body, namespace: str = "") -> None:
        """A strategic merge patch, by the manager that applies the base, so that :meth:`mend` takes it back."""
        self.changed |= kind is kinds.DEPLOYMENT and not namespace
        self.cluster.patch(kind, name, namespace or self.namespace, patch, manager="faults-inject")

    def template(self, spec: Body) -> None:
        """A patch of the Deployment's pod template."""
        self.change(kinds.DEPLOYMENT, NAME, {"spec": {"template": {"spec": spec}}})

    def born(self, container: Body | None = None, **pod: t.Any) -> None:
        """Make the Deployment anew with another template: no pod of a better one serves on.

        Args:
            container: fields of its container that replace those of the base.
            pod: likewise of the pod's spec; volumes replace those of the same name.
        """
        self.gone()
        body = self.deployment()
        spec = body["spec"]["template"]["spec"]
        volumes = {volume["name"]: volume for volume in (*spec["volumes"], *pod.pop("volumes", ()))}
        spec |= {**pod, "volumes": list(volumes.values())}
        spec["containers"][0] |= container or {}
        self.cluster.apply(kinds.DEPLOYMENT, body, manager="faults", force=True)
        self.changed = True

    def gone(self) -> None:
        """Delete the Deployment with its pods."""
        self.cluster.delete(kinds.DEPLOYMENT, NAME, self.namespace, propagation="Foreground")
        self.until(lambda: not self.cluster.get(kinds.DEPLOYMENT, NAME, self.namespace), "the Deployment's end")

    def recreate(self, kind: Kind, body: Body) -> None:
        """Replace an object as a whole."""
        self.cluster.delete(kind, body["metadata"]["name"], self.namespace)
        self.until(lambda: self.cluster.get(kind, body["metadata"]["name"], self.namespace) is None, "its end")
        self.cluster.apply(kind, body, manager="faults", force=True)

    def extra(self, kind: Kind, body: Body) -> None:
        """A further object, removed by :meth:`mend`."""
        self.cluster.apply(kind, body, manager="faults", force=True)
        metadata = body["metadata"]
        self.undo.append(lambda: self.cluster.delete(kind, metadata["name"], metadata.get("namespace")))

    def replaced(self) -> None:
        """Let the Deployment make all its pods anew, and wait for that."""
        stamp = {"metadata": {"annotations": {"faults": str(time.time())}}}
        self.change(kinds.DEPLOYMENT, NAME, {"spec": {"template": stamp}})
        self.until(self.settled, "the new pods")

    def enforced(self) -> None:
        """Let the pods drop connections, as a plugin that enforces policies would: the test bed's network does not.

        It is done beside the application, in its network namespace. The kubelet gets through, as it always does.
        """
        proxies = self.cluster.get(kinds.DAEMON_SET, "kube-proxy", "kube-system") or {}
        image = proxies["spec"]["template"]["spec"]["containers"][0]["image"]
        for pod in self.pods():
            node = self.cluster.get(kinds.NODE, pod["spec"]["nodeName"]) or {}
            kubelet = ipaddress.ip_network(node["spec"]["podCIDR"])[1]
            rule = f"iptables -A INPUT -i eth0 -p tcp --syn ! -s {kubelet} -j DROP"
            wall = {
                "name": "wall",
                "image": image,
                "imagePullPolicy": "IfNotPresent",
                "command": ["sh", "-c", f"{rule} && exec sleep 3600"],
                "securityContext": {"capabilities": {"add": ["NET_ADMIN"]}},
            }
            body = {"spec": {"ephemeralContainers": [wall]}}
            self.cluster.patch(
                kinds.POD, pod["metadata"]["name"], self.namespace, body, subresource="ephemeralcontainers"
            )
        self.anew = True
        self.until(self.walled, "the walls")

    # ----- waiting

    def walled(self) -> bool:
        """Whether :meth:`enforced` is done."""
        states = [
            status.get("state") or {}
            for pod in self.pods()
            for status in pod["status"].get("ephemeralContainerStatuses") or []
        ]
        return len(states) == 2 and all("running" in state for state in states)

    def pods(self) -> list[Body]:
        """Those of the application."""
        return self.cluster.list(kinds.POD, self.namespace, labels=f"run={NAME}").items

    def settled(self) -> bool:
        """Two ready pods of the newest template, all of them endpoints, nothing else."""
        deployment = self.cluster.get(kinds.DEPLOYMENT, NAME, self.namespace) or {}
        status, generation = deployment.get("status") or {}, deployment.get("metadata", {}).get("generation")
        if status.get("observedGeneration") != generation:
            return False
        counts = [status.get(key, 0) for key in ("replicas", "updatedReplicas", "readyReplicas", "availableReplicas")]
        return counts == [2, 2, 2, 2] and len(self.pods()) == 2 and len(self.ready_addresses()) == 2

    def ready_addresses(self, name: str = NAME) -> set[str]:
        """Of a Service's EndpointSlices."""
        slices = self.cluster.list(kinds.ENDPOINT_SLICE, self.namespace, labels=f"kubernetes.io/service-name={name}")
        endpoints = [endpoint for item in slices.items for endpoint in item.get("endpoints") or []]
        return {a for endpoint in endpoints if endpoint["conditions"].get("ready") for a in endpoint["addresses"]}

    def until(self, done: t.Callable[[], object], what: str, patience: float = PATIENCE) -> None:
        """Ask again and again, but not for ever.

        Raises:
            TimeoutError: it did not happen.
        """
        end = time.monotonic() + patience
        while not done():
            if time.monotonic() > end:
                raise TimeoutError(f"{self.namespace}: waited {patience:g} s for {what}")
            time.sleep(0.3)

    def waiting(self, reason: str) -> t.Callable[[], bool]:
        """Whether a container waits for that reason."""
        return lambda: any(
            (status.get("state") or {}).get("waiting", {}).get("reason") == reason
            for pod in self.pods()
            for status in (pod.get("status") or {}).get("containerStatuses") or []
        )

    def running(self) -> bool:
        """Whether both pods run, and no endpoint is ready."""
        pods = self.pods()
        return len(pods) == 2 and all(p["status"]["phase"] == "Running" for p in pods) and not self.ready_addresses()

    # ----- what belongs to the cluster

    def node_is(self, name: str, status: str) -> bool:
        """Whether a node's condition Ready has that status."""
        node = self.cluster.get(kinds.NODE, name) or {}
        return any(c["type"] == "Ready" and c["status"] == status for c in node["status"]["conditions"])

    def dns_pods(self) -> list[Body]:
        """The cluster's DNS servers."""
        return self.cluster.list(kinds.POD, "kube-system", labels="k8s-app=kube-dns").items

    def dns_ready(self) -> None:
        """Wait for both, and for their Service to know them."""
        labels = "kubernetes.io/service-name=kube-dns"

        def ready() -> bool:
            slices = self.cluster.list(kinds.ENDPOINT_SLICE, "kube-system", labels=labels).items
            return sum(bool(e["conditions"].get("ready")) for item in slices for e in item.get("endpoints") or []) == 2

        self.until(ready, "two DNS servers")

    def dns_reachable(self) -> bool:
        """Whether any DNS server is ready, as its Service knows them."""
        labels = "kubernetes.io/service-name=kube-dns"
        slices = self.cluster.list(kinds.ENDPOINT_SLICE, "kube-system", labels=labels).items
        return any(e["conditions"].get("ready") for item in slices for e in item.get("endpoints") or [])

    def corefile(self, change: t.Callable[[str], str]) -> None:
        """Change CoreDNS's configuration and start it anew with that."""
        found = self.cluster.get(kinds.CONFIG_MAP, "coredns", "kube-system") or {}
        good = found["data"]["Corefile"]
        if change(good) == good:
            raise ValueError("the Corefile is not what it was expected to be")

        def write(text: str) -> None:
            self.change(kinds.CONFIG_MAP, "coredns", {"data": {"Corefile": text}}, "kube-system")
            for pod in self.dns_pods():
                self.cluster.delete(kinds.POD, pod["metadata"]["name"], "kube-system")

        self.undo.append(self.dns_ready)
        self.undo.append(lambda: write(good))
        write(change(good))
        self.until(self.dns_crashes, "DNS servers that end", 90)

    def dns_crashes(self) -> bool:
        """Whether a DNS server was started again; those that go away may have been, long ago."""
        pods = [pod for pod in self.dns_pods() if not pod["metadata"].get("deletionTimestamp")]
        states = [s for pod in pods for s in (pod.get("status") or {}).get("containerStatuses") or []]
        return any(state.get("restartCount") and not state.get("ready") for state in states)

    def proxies(self) -> int:
        """Nodes with a ready kube-proxy."""
        proxy = self.cluster.get(kinds.DAEMON_SET, "kube-proxy", "kube-system") or {}
        status, generation = proxy["status"], proxy["metadata"]["generation"]
        if status.get("observedGeneration") != generation:
            return -1
        pods = self.cluster.list(kinds.POD, "kube-system", labels="k8s-app=kube-proxy").items
        return len(pods) if status.get("numberReady") == len(pods) else -1

    def proxy_affinity(self, affinity: Body | None) -> None:
        """Where kube-proxy may run; None for everywhere."""
        patch = {"spec": {"template": {"spec": {"affinity": affinity}}}}
        self.change(kinds.DAEMON_SET, "kube-proxy", patch, "kube-system")

    def proxy_anew(self, node: str) -> None:
        """Delete the kube-proxy of a node, so that another one writes its rules again."""
        fields = f"spec.nodeName={node}"
        for pod in self.cluster.list(kinds.POD, "kube-system", labels="k8s-app=kube-proxy", fields=fields).items:
            self.cluster.delete(kinds.POD, pod["metadata"]["name"], "kube-system")

    # ----- the question

    def question(self) -> asking.Question:
        """Everything, with causes."""
        params = copy.deepcopy(_DEFAULTS)
        params |= {"name": NAME, "namespace": self.namespace}
        params["client"]["image"] = self.images["python"]
        params["tls"]["bundle"] = pem_of((self.authority.certificate,))
        # What is asked here is what is found, not how soon: the machine is busy with what the case does.
        params["timeout"] = 180
        for key, value in self.options.items():
            params[key] = {**params[key], **value} if isinstance(value, dict) else value
        return asking.question(params, (*asking.LAYERS, *asking.SURROUNDINGS), causes=True)


def _defaults() -> Body:
    def value(spec: Body) -> t.Any:
        if "options" in spec and spec["type"] == "dict":
            return {key: value(child) for key, child in spec["options"].items()}
        return spec.get("default")

    every = {**asking.OPTIONS, **asking.HTTP_OPTIONS, **asking.DIAGNOSE_OPTIONS}
    return {**{key: value(spec) for key, spec in every.items()}, "read_logs": "all"}


_DEFAULTS = _defaults()
