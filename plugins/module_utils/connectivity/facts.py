# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Private to this collection: may change in any release.
"""What a diagnosis knows beyond the Service itself: API objects of the surroundings, reduced when they are read.

A reduced object keeps the shape of the API, so that checks read like `kubectl explain`; taken out is what may be secret
or is of no use: annotations, managed fields, literal values of environment variables, arguments, data of Secrets and
ConfigMaps (their keys stay).
"""

from __future__ import annotations

import typing as t
from collections.abc import Iterator
from dataclasses import dataclass, field

Body = t.Mapping[str, t.Any]
# How the reason ends where there was no time to read something.
LATE = "not read before the time for all of it was over"
# The name of kube-proxy's container.
PROXY = "kube-proxy"

_METADATA = (
    "name",
    "namespace",
    "uid",
    "labels",
    "generation",
    "creationTimestamp",
    "deletionTimestamp",
    "ownerReferences",
    "finalizers",
)
_CONTAINER_LISTS = ("containers", "initContainers", "ephemeralContainers")
_NODE_STATUS = ("conditions", "addresses", "allocatable")
_CONTAINER = (
    "name",
    "image",
    "imagePullPolicy",
    "ports",
    "resources",
    "readinessProbe",
    "livenessProbe",
    "startupProbe",
    "volumeMounts",
    "restartPolicy",
    "securityContext",
)


@dataclass(frozen=True, slots=True)
class Facts:
    """Reduced API objects by part.

    Attributes:
        parts: name of the part (see :data:`..gather.PARTS`) -> its objects; a part that was not read is absent.
        missing: name of the part, or `part/name` of an object -> why it was not read, e.g.
            `cannot list events in namespace demo`.
        logs: `namespace/pod/container` -> last lines of its log, where they were read; those of service proxies with
            their times.
    """

    parts: t.Mapping[str, tuple[Body, ...]] = field(default_factory=dict)
    missing: t.Mapping[str, str] = field(default_factory=dict)
    logs: t.Mapping[str, str] = field(default_factory=dict)

    def all(self, part: str) -> tuple[Body, ...]:
        """The objects of a part; none where it was not read: ask :meth:`why_missing` first."""
        return self.parts.get(part, ())

    def why_missing(self, part: str) -> str:
        """Why a part was not read, or an empty string."""
        if part in self.parts:
            return ""
        return self.missing.get(part) or "was not asked for"

    @property
    def late(self) -> tuple[str, ...]:
        """Parts that there was no time for."""
        return tuple(part for part, why in self.missing.items() if why.endswith(LATE))

    def log(self, namespace: str, pod: str) -> str | None:
        """What was read of the logs of a pod's containers; None where none was."""
        texts = [text for key, text in self.logs.items() if key.startswith(f"{namespace}/{pod}/")]
        return "\n".join(texts) if texts else None

    def why_unread(self, part: str, name: str) -> str:
        """Why the object of that name was not looked for, or an empty string."""
        return self.why_missing(part) or self.missing.get(f"{part}/{name}", "")

    def named(self, part: str, name: str, namespace: str = "") -> Body | None:
        """The object of a part with that name."""
        for body in self.all(part):
            metadata = body["metadata"]
            if metadata["name"] == name and (not namespace or metadata.get("namespace") == namespace):
                return body
        return None


def reduced(body: Body) -> dict[str, t.Any]:
    """An API object without what may be secret."""
    kind = body.get("kind")
    plain: dict[str, t.Any] = {"kind": kind, "metadata": _metadata(body)}
    if kind in ("Secret", "ConfigMap"):
        keys = sorted({**(body.get("data") or {}), **(body.get("binaryData") or {})})
        return {**plain, "type": body.get("type") or "", "keys": keys, "immutable": bool(body.get("immutable"))}
    for key in ("spec", "status"):
        if isinstance(body.get(key), dict):
            plain[key] = _spec(body[key])
    if kind == "Node":
        # What it is made of, and the images that it holds, are long and of no use.
        plain["status"] = {key: plain["status"][key] for key in _NODE_STATUS if key in plain.get("status", {})}
    # Objects without spec: events, roles and their bindings.
    for key in (
        "involvedObject",
        "reason",
        "message",
        "type",
        "count",
        "lastTimestamp",
        "eventTime",
        "series",
        "rules",
        "roleRef",
        "subjects",
    ):
        if key in body:
            plain[key] = body[key]
    return plain


def _metadata(body: Body) -> dict[str, t.Any]:
    metadata = body.get("metadata") or {}
    return {key: metadata[key] for key in _METADATA if key in metadata}


def _spec(spec: Body) -> dict[str, t.Any]:
    plain = dict(spec)
    for key in _CONTAINER_LISTS:
        if key in plain:
            plain[key] = [_container(container) for container in plain[key] or []]
    if isinstance(plain.get("template"), dict):
        template = plain["template"]
        plain["template"] = {"metadata": _metadata(template), "spec": _spec(template.get("spec") or {})}
    return plain


def _container(container: Body) -> dict[str, t.Any]:
    plain = {key: container[key] for key in _CONTAINER if key in container}
    plain["env"] = [
        {key: item[key] for key in ("name", "valueFrom") if key in item} for item in container.get("env") or []
    ]
    plain["envFrom"] = container.get("envFrom") or []
    for probe in ("readinessProbe", "livenessProbe", "startupProbe"):
        if probe in plain:
            plain[probe] = _probe(plain[probe])
    hook = (container.get("lifecycle") or {}).get("preStop") or {}
    plain["preStop"] = sorted(hook)  # the kinds of hook
    if "sleep" in hook:
        plain["preStopSleep"] = (hook["sleep"] or {}).get("seconds", 0)
    return plain


def _probe(probe: Body) -> dict[str, t.Any]:
    """Without headers and commands, which may carry credentials."""
    plain = dict(probe)
    if "httpGet" in plain:
        plain["httpGet"] = {key: value for key, value in plain["httpGet"].items() if key != "httpHeaders"}
    if "exec" in plain:
        plain["exec"] = {}
    return plain


def sources(spec: Body) -> Iterator[tuple[str, str, tuple[str, ...], bool]]:
    """What a pod's spec takes from Secrets and ConfigMaps: (kind, name, keys that must be there, optional)."""
    for volume in spec.get("volumes") or []:
        yield from _volume_sources(volume)
    for container in (*(spec.get("initContainers") or []), *(spec.get("containers") or [])):
        for item in container.get("envFrom") or []:
            for key, kind in (("secretRef", "Secret"), ("configMapRef", "ConfigMap")):
                if key in item:
                    yield kind, item[key]["name"], (), bool(item[key].get("optional"))
        for item in container.get("env") or []:
            for key, kind in (("secretKeyRef", "Secret"), ("configMapKeyRef", "ConfigMap")):
                ref = (item.get("valueFrom") or {}).get(key)
                if ref:
                    yield kind, ref["name"], (ref["key"],), bool(ref.get("optional"))


def _volume_sources(volume: Body) -> Iterator[tuple[str, str, tuple[str, ...], bool]]:
    if "secret" in volume:
        yield _source("Secret", volume["secret"], "secretName")
    if "configMap" in volume:
        yield _source("ConfigMap", volume["configMap"], "name")
    for item in (volume.get("projected") or {}).get("sources") or []:
        for key, kind in (("secret", "Secret"), ("configMap", "ConfigMap")):
            if key in item:
                yield _source(kind, item[key], "name")


def runs_proxy(spec: Body) -> bool:
    """Whether a pod's spec is that of kube-proxy: its container is called so everywhere."""
    return any(container["name"] == PROXY for container in spec.get("containers") or [])


def _source(kind: str, ref: Body, key: str) -> tuple[str, str, tuple[str, ...], bool]:
    return kind, ref[key], tuple(item["key"] for item in ref.get("items") or []), bool(ref.get("optional"))
