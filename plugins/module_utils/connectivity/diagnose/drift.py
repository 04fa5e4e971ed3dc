# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Private to this collection: may change in any release.
"""What a diagnosis keeps of a good day, and what has changed since. Pure."""

from __future__ import annotations

import hashlib
import json
import typing as t
from dataclasses import asdict

from ...kube.errors import OptionError
from ..facts import Body
from ..look import Look
from ..result import printable, short

_MOST = 100
_WORKLOADS = ("deployments", "statefulsets", "daemonsets")


def state(look: Look, certificates: t.Iterable[t.Mapping[str, t.Any]]) -> dict[str, t.Any]:
    """What reachability rests on, by name; what was not read is absent.

    Args:
        certificates: as :mod:`..topology` lists them.
    """
    service = asdict(look.service)
    for passing in ("uid", "created"):
        del service[passing]
    facts = look.facts
    owners = {pod.owner.partition(" ")[2] for pod in look.after.pods if pod.owner}
    found = {
        "service": service,
        "endpoints": sorted(f"{e.address} of {e.pod or 'nobody'}" for e in look.after.endpoints if e.ready),
        "nodes": {node.name: "ready" if node.ready else "not ready" for node in look.after.nodes},
        "certificates": {
            str(item["where"]): f"serial {item['serial']} until {item['not_after']}" for item in certificates
        },
        "workloads": {
            _label(body): _workload(body)
            for part in _WORKLOADS
            for body in facts.all(part)
            if body["metadata"]["name"] in owners
        },
        "policies": {
            _label(body): digest(body.get("spec")) for body in (*facts.all("policies"), *facts.all("client_policies"))
        },
        "sources": {_label(body): body["keys"] for part in ("secrets", "configmaps") for body in facts.all(part)},
        "dns": {
            "service": asdict(look.after.dns) if look.after.dns else None,
            "configuration": {_label(body): digest(body.get("text")) for body in facts.all("corefiles")},
            "servers": {_label(body): _workload(body) for body in facts.all("dns_deployments")},
        },
    }
    plain: dict[str, t.Any] = json.loads(json.dumps(printable(found), default=str))
    return plain


def _label(body: Body) -> str:
    metadata = body["metadata"]
    return f"{body.get('kind')} {metadata.get('namespace', '')}/{metadata['name']}"


def _workload(body: Body) -> dict[str, t.Any]:
    spec = body.get("spec") or {}
    pod = (spec.get("template") or {}).get("spec") or {}
    images = {container["name"]: container.get("image", "") for container in pod.get("containers") or []}
    return {"images": images, "replicas": spec.get("replicas"), "template": digest(spec.get("template"))}


def digest(value: t.Any) -> str:
    """A short name for the content of something that is too long to show."""
    text = json.dumps(value, sort_keys=True, default=str)
    return hashlib.sha256(text.encode("utf-8")).hexdigest()[:12]


def recorded(text: str, path: str) -> dict[str, t.Any]:
    """The state out of a file that an earlier run wrote.

    Raises:
        OptionError: it is none.
    """
    try:
        document = json.loads(text)
        found = document["state"]
    except (ValueError, TypeError, KeyError) as error:
        raise OptionError(f"baseline: {path} is not a file that dest of an earlier diagnose wrote") from error
    if not isinstance(found, dict):
        raise OptionError(f"baseline: the run that wrote {path} saw no Service to compare with")
    return found


def drift(before: t.Any, after: t.Any) -> list[str]:
    """What differs, one line each: `service.ports: was ..., is ...`."""
    lines = list(_differences(before, after, ""))
    more = [f"and {len(lines) - _MOST} more"] if len(lines) > _MOST else []
    return lines[:_MOST] + more


def _differences(before: t.Any, after: t.Any, path: str) -> t.Iterator[str]:
    if isinstance(before, dict) and isinstance(after, dict):
        for key in sorted({*before, *after}):
            yield from _differences(before.get(key), after.get(key), f"{path}.{key}" if path else key)
    elif before != after:
        yield f"{path}: was {short(before)}, is {short(after)}"
