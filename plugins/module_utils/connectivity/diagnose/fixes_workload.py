# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Private to this collection: may change in any release.
"""What would mend pods, what they are made from, and the clients' own workload. People decide: no module does this."""

from __future__ import annotations

import re
import typing as t

from .. import names
from ..commands import kubectl, patch, piped, restart
from ..facts import Body, sources
from ..logs import paths
from ..look import Look
from ..ports import web_ports
from ..snapshot import pod as typed
from .components import instance_of
from .fix import Fix, task

if t.TYPE_CHECKING:
    from .causes import Cause

_HANDLERS = ("httpGet", "tcpSocket", "exec", "grpc")
# What the Pod Security Standard `restricted` asks for (kubernetes.io/docs/concepts/security/pod-security-standards).
_POD_SECURITY = {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
_CONTAINER_SECURITY = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}


# ----- whose template it is


def _pod(look: Look, cause: Cause) -> Body | None:
    """The pod that is accused."""
    return look.facts.named("pods", instance_of(cause.component).partition("/")[0], look.question.namespace)


def _owner(body: Body | None) -> tuple[str, str] | None:
    """Kind, as kubectl spells it, and name of the workload that makes a pod."""
    kind, _space, name = typed(body).owner.partition(" ") if body else ("", "", "")
    return (kind.lower(), name) if kind in ("Deployment", "StatefulSet", "DaemonSet") else None


def _template(look: Look, body: Body | None, text: str, spec: t.Any) -> Fix | None:
    """A change of a template; as operations where `spec` is a list."""
    owner = _owner(body)
    if owner is None:
        return None
    change = spec if isinstance(spec, list) else {"spec": {"template": {"spec": spec}}}
    return Fix(text, patch(*owner, look.question.namespace, change))


def _restart(look: Look, body: Body | None) -> str:
    owner = _owner(body)
    return f" && {restart(*owner, look.question.namespace)}" if owner else ""


def _container(body: Body | None, cause: Cause) -> Body | None:
    name = cause.evidence.get("container") or (re.findall(r"containers\[([^\]]+)\]", cause.field) or [""])[0]
    containers = (body or {}).get("spec", {}).get("containers") or []
    found = [each for each in containers if each["name"] == name]
    return found[0] if found else containers[0] if len(containers) == 1 else None


# ----- where pods come from


def _source(look: Look, cause: Cause) -> Fix | None:
    """A Secret or ConfigMap, or keys of it, out of files that people have."""
    kind, _slash, name = instance_of(cause.component).partition("/")
    asked = cause.expected if isinstance(cause.expected, list) else _keys(look, kind, name)
    there = look.facts.named("secrets" if kind == "Secret" else "configmaps", name, look.question.namespace)
    pair = {"tls.crt", "tls.key"} & set(asked) or (not asked and _serves_tls(look, name))
    namespace = ("-n", look.question.namespace)
    if kind == "Secret" and pair and not there:
        return Fix(cause.why, piped("secret", "tls", name, *namespace, "--cert=CHAIN.pem", "--key=KEY.pem"))
    keys = sorted({*asked, *(("tls.crt", "tls.key") if pair else ())}) or ["KEY"]
    files = [f"--from-file={key}=FILE" for key in keys]
    what = ("secret", "generic") if kind == "Secret" else ("configmap",)
    return Fix(cause.why, piped(*what, name, *namespace, *files))


def _serves_tls(look: Look, name: str) -> bool:
    """Whether a Secret must be where the certificate comes from: pods serve one, and ask for no other Secret."""
    specs = [body["spec"] for body in look.facts.all("pods")]
    asked = {ref for spec in specs for kind, ref, _keys, _optional in sources(spec) if kind == "Secret"}
    return asked == {name} and bool(
        web_ports(look.service, look.question.expect.http_ports, look.question.tls.ports)[1]
    )


def _keys(look: Look, kind: str, name: str) -> list[str]:
    """What pods ask for by its key."""
    specs = [body["spec"] for body in look.facts.all("pods")]
    found = [keys for spec in specs for one, ref, keys, _optional in sources(spec) if (one, ref) == (kind, name)]
    return sorted({key for keys in found for key in keys})


def _admission(look: Look, cause: Cause) -> Fix | None:
    namespace, text = look.question.namespace, str(cause.observed)
    quota = re.search(r"exceeded quota: ([\w.-]+), requested: ([\w./-]+)=(\d+), used: \S+?=(\d+)", text)
    if quota:
        wanted = int(quota[4]) + int(quota[3]) * _lacking(look, cause)
        hard = {"spec": {"hard": {quota[2]: str(wanted)}}}
        return Fix(cause.why, patch("resourcequota", quota[1], namespace, hard))
    kind, _space, label = cause.object.partition(" ")
    name = label.partition("/")[2]
    if "PodSecurity" in text:
        bodies = [b for part in ("deployments", "statefulsets", "daemonsets") for b in look.facts.all(part)]
        body = next((b for b in bodies if (b["kind"], b["metadata"]["name"]) == (kind, name)), None)
        containers = [
            {"name": each["name"], "securityContext": _CONTAINER_SECURITY}
            for each in ((body or {}).get("spec", {}).get("template") or {}).get("spec", {}).get("containers") or []
        ]
        spec = {"securityContext": _POD_SECURITY, "containers": containers}
        change = {"spec": {"template": {"spec": spec}}}
        why = f"{cause.why}; the image must be able to run as another user than root"
        return Fix(why, patch(kind.lower(), name, namespace, change)) if containers else None
    return Fix(cause.why, kubectl("edit", f"{kind.lower()}/{name}", "-n", namespace)) if name else None


def _lacking(look: Look, cause: Cause) -> int:
    """How many pods are refused."""
    body = look.facts.named("deployments", cause.object.rpartition("/")[2], look.question.namespace) or {}
    replicas = int(body.get("spec", {}).get("replicas") or 1)
    return max(1, replicas - int((body.get("status") or {}).get("replicas") or 0))


def _scheduled(look: Look, cause: Cause) -> Fix | None:
    body = _pod(look, cause)
    spec = (body or {}).get("spec", {})
    labels = [node["metadata"].get("labels") or {} for node in look.facts.all("nodes")]
    wanted = spec.get("nodeSelector") or {}
    absent = {k: None for k, v in wanted.items() if labels and not any(each.get(k) == v for each in labels)}
    if absent:
        return _template(look, body, cause.why, {"nodeSelector": absent})
    lacking = re.findall(r"Insufficient (cpu|memory)", str(cause.observed))
    owner = _owner(body)
    if lacking and owner:
        requests = ",".join(f"{each}=LESS" for each in dict.fromkeys(lacking))
        words = ("set", "resources", "/".join(owner), "-n", look.question.namespace, f"--requests={requests}")
        return Fix(cause.why, kubectl(*words))
    return Fix(cause.why, kubectl("edit", "/".join(owner), "-n", look.question.namespace)) if owner else None


# ----- pods


def _started(look: Look, cause: Cause) -> Fix | None:
    body = _pod(look, cause)
    owner, container = _owner(body), _container(body, cause)
    if owner is None or container is None:
        return None
    return (
        _image(look, cause, owner, container)
        or _file(look, cause, body, container)
        or _limits(look, cause, owner, container)
        or _edited(look, cause, owner)
    )


def _image(look: Look, cause: Cause, owner: tuple[str, str], container: Body) -> Fix | None:
    """Back to the template before, where there is one; else another image."""
    if "image" not in cause.evidence:
        return None
    back = _undone(look, owner, cause.why)
    if back:
        return back
    namespace, (kind, name) = look.question.namespace, owner
    image = {"name": name, "namespace": namespace, "container": container["name"], "image": "IMAGE"}
    line = kubectl("set", "image", f"{kind}/{name}", f"{container['name']}=IMAGE", "-n", namespace)
    return Fix(cause.why, line, task("deployment", image) if kind == "deployment" else "")


def _undone(look: Look, owner: tuple[str, str], text: str) -> Fix | None:
    """Back to the template before, of a Deployment that had one."""
    namespace, (kind, name) = look.question.namespace, owner
    if kind != "deployment" or not _has_revisions(look, name):
        return None
    undo = kubectl("rollout", "undo", f"{kind}/{name}", "-n", namespace)
    return Fix(text, undo, task("rollout", {"name": name, "namespace": namespace, "action": "undo"}))


def _has_revisions(look: Look, name: str) -> bool:
    """Whether a Deployment had another template before."""
    references = [body["metadata"].get("ownerReferences") or [] for body in look.facts.all("replicasets")]
    return sum(any((r["kind"], r["name"]) == ("Deployment", name) for r in each) for each in references) > 1


def _file(look: Look, cause: Cause, body: Body | None, container: Body) -> Fix | None:
    """A mounted file of which the log complains: it is in a ConfigMap."""
    volumes = {volume["name"]: volume for volume in (body or {})["spec"].get("volumes") or []}
    for path in paths(str(cause.evidence.get("log") or "")):
        for mount in container.get("volumeMounts") or []:
            source = (volumes.get(mount["name"]) or {}).get("configMap")
            if source and path.startswith(mount["mountPath"].rstrip("/") + "/"):
                edit = kubectl("edit", "configmap", source["name"], "-n", look.question.namespace)
                return Fix(f"correct the file that the log names; {cause.why}", edit + _restart(look, body))
    return None


def _limits(look: Look, cause: Cause, owner: tuple[str, str], container: Body) -> Fix | None:
    words = f"{cause.observed} {cause.title}"
    if "OOMKilled" in words:
        given = ("set", "resources", "/".join(owner), "-n", look.question.namespace)
        return Fix(cause.why, kubectl(*given, "-c", container["name"], "--limits=memory=MORE"))
    if "argument list too long" in words:
        change = {"spec": {"template": {"spec": {"enableServiceLinks": False}}}}
        return Fix(cause.why, patch(*owner, look.question.namespace, change))
    return None


def _edited(look: Look, cause: Cause, owner: tuple[str, str]) -> Fix:
    """What only people can know."""
    edit = kubectl("edit", "/".join(owner), "-n", look.question.namespace)
    return _undone(look, owner, f"go back to the template before; {cause.why}") or Fix(cause.why, edit)


def _ready(look: Look, cause: Cause) -> Fix | None:
    body = _pod(look, cause)
    if cause.id == "WL-09":
        operation = {"op": "remove", "path": "/spec/template/spec/readinessGates"}
        return _template(look, body, f"{cause.why}; without such a controller, take the gate away", [operation])
    container = _container(body, cause)
    if cause.id != "WL-10" or container is None:
        return None
    probe = _probe(look, cause, container)
    spec = {"containers": [{"name": container["name"], "readinessProbe": probe}]}
    return _template(look, body, cause.why, spec)


def _probe(look: Look, cause: Cause, container: Body) -> Body:
    """A readiness probe that asks what clients ask for: their port, and over HTTP their path."""
    known = container.get("readinessProbe") or {}
    port = cause.evidence.get("target_port")
    if known.get("httpGet"):
        path = {"path": look.question.expect.path} if "status 404" in cause.title else {}
        return {"httpGet": {**path, **({"port": port} if port else {})} or {"port": "PORT"}}
    others: dict[str, t.Any] = {handler: None for handler in _HANDLERS if handler in known}
    return {**others, "tcpSocket": {"port": port or "PORT"}}


def _answer(look: Look, cause: Cause) -> Fix | None:
    """Out of the Service, where it can be looked at; a controller makes another one."""
    name = instance_of(cause.component).partition("/")[0]
    keys = [f"{key}-" for key, _value in look.service.selector[:1]]
    if not keys or not look.facts.named("pods", name, look.question.namespace):
        return None
    text = "take the pod out of the Service, to look at it there; a controller replaces it"
    return Fix(text, kubectl("label", "pod", name, "-n", look.question.namespace, *keys))


# ----- clients


def _client(look: Look, cause: Cause) -> Fix | None:
    asked = look.question
    if cause.id == "DN-10":
        full = names.forms(look.service.name, look.service.namespace, asked.domain or names.DEFAULT_DOMAIN)[-1]
        space = cause.field.rpartition(" in namespace ")[2]
        words = ("service", "externalname", look.service.name, "-n", space, f"--external-name={full}")
        return Fix(f"{cause.why}; or make an alias there", kubectl("create", *words))
    kind, _space, name = asked.workload.partition(" ")
    maker = {"CL-02": _resolver, "CL-03": _hosts}.get(cause.id)
    if cause.id == "CL-04":
        domain = asked.domain or names.DEFAULT_DOMAIN
        known = [*names.forms(look.service.name, look.service.namespace, domain)[:2], ".svc", f".{domain}"]
        where = re.findall(r"containers\[([^\]]+)\]", cause.field)
        value = f"NO_PROXY={','.join([*known, *look.service.cluster_ips])}"
        line = kubectl("set", "env", f"{kind.lower()}/{name}", "-n", asked.client.namespace, "-c", *where[:1], value)
        return Fix(cause.why, line) if where else None
    change = maker(look, cause) if maker else None
    return Fix(cause.why, patch(kind.lower(), name, asked.client.namespace, change)) if change else None


def _resolver(_look: Look, cause: Cause) -> t.Any:
    policy = str(cause.expected)
    return {"spec": {"template": {"spec": {"dnsPolicy": policy}}}} if policy.startswith("ClusterFirst") else None


def _hosts(look: Look, cause: Cause) -> t.Any:
    """The entry goes; names of it that are nobody's here have to be given again."""
    body = next(iter(look.facts.all("client_workload")), None) or {}
    entries = body.get("spec", {}).get("template", {}).get("spec", {}).get("hostAliases") or []
    place = next((n for n, entry in enumerate(entries) if str(entry.get("ip")) == cause.observed), None)
    if place is None:
        return None
    return [{"op": "remove", "path": f"/spec/template/spec/hostAliases/{place}"}]


MAKERS: dict[str, t.Callable[[Look, Cause], Fix | None]] = {
    "source": _source,
    "admission": _admission,
    "scheduled": _scheduled,
    "started": _started,
    "ready": _ready,
    "answer": _answer,
    "client": _client,
}
