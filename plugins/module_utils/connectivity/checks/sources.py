# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Private to this collection: may change in any release.
"""Part of the layer workload: do the Secrets and ConfigMaps exist that pods are made of, with the keys they ask for?

By a look at the objects themselves where that is allowed; else by what the kubelet says of pods that wait for them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from ..behind import Behind, name_of, states
from ..facts import Body, sources
from ..nearest import word
from ..result import Finding, short
from ..snapshot import pod as typed
from .common import Bench

_PARTS = {"Secret": "secrets", "ConfigMap": "configmaps"}
# What the kubelet says (kubernetes/pkg/kubelet/kubelet_pods.go, pkg/volume/secret, pkg/volume/configmap).
_NOT_FOUND = re.compile(r'\b(secret|configmap) "([^"]+)" not found')
_NO_ENV_KEY = re.compile(r"couldn't find key (\S+) in (Secret|ConfigMap) [^/\s]+/(\S+)")
_NO_FILE_KEY = re.compile(r'for volume "([^"]+)" : references non-existent (?:secret|config) key: (\S+)')
_WAITING = ("ContainerCreating", "PodInitializing", "CreateContainerConfigError")

Source = tuple[str, str]


@dataclass(slots=True)
class _Need:
    """What is asked of one Secret or ConfigMap.

    Attributes:
        pods: the pods that ask.
        askers: for people: their workloads, or pods without one.
    """

    keys: set[str] = field(default_factory=set)
    pods: set[str] = field(default_factory=set)
    askers: set[str] = field(default_factory=set)


def complaints(bench: Bench, behind: Behind) -> tuple[list[Finding], frozenset[str]]:
    """WL-06, WL-07: the complaints, and the names of the pods that they explain."""
    found: list[Finding] = []
    explained: set[str] = set()
    for source, need in sorted(_needs(behind).items()):
        finding = _judge(bench, behind, source, need)
        if finding:
            found.append(finding)
            explained |= need.pods
    return found, frozenset(explained)


def unread(behind: Behind) -> str:
    """Why some of the objects were not looked at themselves, or an empty string."""
    whys = (behind.facts.why_unread(_PARTS[kind], name) for kind, name in sorted(_needs(behind)))
    return next(filter(None, whys), "")


def lacking(bench: Bench, behind: Behind, pod: Body, container: Body, path: str, line: str) -> Finding | None:
    """WL-07 for a file that a container failed to open: a Secret or ConfigMap is mounted there that has no such key."""
    volumes = {volume["name"]: volume for volume in pod["spec"].get("volumes") or []}
    for mount in container.get("volumeMounts") or []:
        folder = mount["mountPath"].rstrip("/") + "/"
        source = _source_of(volumes.get(mount["name"]) or {})
        if not (source and path.startswith(folder)) or mount.get("subPath"):
            continue
        kind, ref = source
        body = behind.facts.named(_PARTS[kind], ref)
        file = path.removeprefix(folder)
        items = (volumes[mount["name"]].get(kind[0].lower() + kind[1:]) or {}).get("items")
        if body and file not in body["keys"] and not items:
            need = _Need({file}, {pod["metadata"]["name"]}, {_asker(pod)})
            return _keyless(bench, behind, (kind, ref), need, [file], line)
    return None


# ----- what is asked for


def _needs(behind: Behind) -> dict[Source, _Need]:
    found: dict[Source, _Need] = {}
    for body in (*behind.pods, *behind.workloads):
        is_pod = body["kind"] == "Pod"
        spec = body["spec"] if is_pod else body["spec"]["template"]["spec"]
        for kind, name, keys, optional in (*sources(spec), *_sub_paths(spec)):
            if optional:
                continue
            need = found.setdefault((kind, name), _Need())
            need.keys |= set(keys)
            need.askers.add(_asker(body))
            if is_pod:
                need.pods.add(body["metadata"]["name"])
    return found


def _asker(body: Body) -> str:
    if body["kind"] != "Pod":
        return name_of(body)
    kind, _space, name = typed(body).owner.partition(" ")
    return f"{kind} {body['metadata']['namespace']}/{name}" if name else name_of(body)


def _sub_paths(spec: Body) -> Iterator[tuple[str, str, tuple[str, ...], bool]]:
    """As :func:`..facts.sources`, of files that are mounted one by one: a key, unless the volume renames its keys."""
    volumes = {volume["name"]: volume for volume in spec.get("volumes") or []}
    for container in (*(spec.get("initContainers") or []), *(spec.get("containers") or [])):
        for mount in container.get("volumeMounts") or []:
            volume = volumes.get(mount["name"]) or {}
            source = _source_of(volume)
            ref = volume.get("secret") or volume.get("configMap") or {}
            if source and mount.get("subPath") and not ref.get("items"):
                yield *source, (mount["subPath"].partition("/")[0],), bool(ref.get("optional"))


def _source_of(volume: Body) -> Source | None:
    if volume.get("secret"):
        return "Secret", volume["secret"]["secretName"]
    if volume.get("configMap"):
        return "ConfigMap", volume["configMap"]["name"]
    return None


# ----- what there is


def _judge(bench: Bench, behind: Behind, source: Source, need: _Need) -> Finding | None:
    kind, name = source
    if behind.facts.why_unread(_PARTS[kind], name):
        told = [
            key for pod in behind.pods if pod["metadata"]["name"] in need.pods for key in _told(behind, pod, source)
        ]
        if "" in told:
            return _missing(bench, behind, source, need)
        return _keyless(bench, behind, source, need, sorted(set(told))) if told else None
    body = behind.facts.named(_PARTS[kind], name)
    if body is None:
        return _missing(bench, behind, source, need)
    lost = sorted(need.keys - set(body["keys"]))
    return _keyless(bench, behind, source, need, lost) if lost else None


def _told(behind: Behind, pod: Body, source: Source) -> Iterator[str]:
    """Keys of a source that the kubelet misses for a pod that waits; an empty one stands for the whole object."""
    for _spec, state in states(pod):
        waiting = (state.get("state") or {}).get("waiting") or {}
        if waiting.get("reason") not in _WAITING:
            continue
        for text in (str(waiting.get("message") or ""), *behind.warnings(pod, ("FailedMount",))):
            yield from (key for found, key in _read(text, pod) if found == source)


def _read(text: str, pod: Body) -> Iterator[tuple[Source, str]]:
    for kind, name in _NOT_FOUND.findall(text):
        yield ("Secret" if kind == "secret" else "ConfigMap", name), ""
    for key, kind, name in _NO_ENV_KEY.findall(text):
        yield (kind, name), key
    for volume, key in _NO_FILE_KEY.findall(text):
        source = next((_source_of(item) for item in pod["spec"].get("volumes") or [] if item["name"] == volume), None)
        if source:
            yield source, key


def _asks(need: _Need) -> str:
    return f"{short(sorted(need.askers), 2)} {'asks' if len(need.askers) == 1 else 'ask'}"


def _missing(bench: Bench, behind: Behind, source: Source, need: _Need) -> Finding:
    kind, name = source
    label = f"{kind} {behind.look.service.namespace}/{name}"
    return bench.accused(
        "WL-06",
        f"{_asks(need)} for the {kind} {name}, which does not exist",
        served=behind.served,
        object=label,
        observed="not found",
        expected=label,
        cause="pods that run live on what they mounted, and fail when they are replaced; create it again"
        if behind.served
        else f"pods cannot start without it; create it, or name the {kind} that is there",
        evidence={"pods": sorted(need.pods), "asked by": sorted(need.askers)},
        component=f"source/{kind}/{name}",
    )


def _keyless(bench: Bench, behind: Behind, source: Source, need: _Need, lost: list[str], line: str = "") -> Finding:
    kind, name = source
    body = behind.facts.named(_PARTS[kind], name)
    keys = list(body["keys"]) if body else []
    near = {key: word(key, keys) for key in lost}
    meant = [f"{found} is there, {key} is asked for" for key, found in near.items() if found]
    return bench.accused(
        "WL-07",
        f"{kind} {behind.look.service.namespace}/{name} has no key {short(lost)}, which {_asks(need)} for",
        served=behind.served,
        object=f"{kind} {behind.look.service.namespace}/{name}",
        field="data",
        observed=keys if body else None,
        expected=lost,
        cause="; ".join([*meant, "write the key into it, or ask for one that it has"]),
        evidence={"pods": sorted(need.pods), "keys": keys, **({"log": line} if line else {})},
        component=f"source/{kind}/{name}",
    )
