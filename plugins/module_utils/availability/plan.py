# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Private to this collection: may change in any release.
"""One run of the meter, as asked: its options, what each pod gets to do, and the Jobs that carry it. Pure."""

from __future__ import annotations

import hashlib
import inspect
import json
import typing as t
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

from ..app.values import dns_label, refusal
from ..connectivity import probe
from . import agent

Body = dict[str, t.Any]

METER_LABEL = "plumbline.dev/meter"
LABELS = {"app.kubernetes.io/managed-by": "plumbline", "app.kubernetes.io/component": "meter"}
ASKED = "plumbline.dev/asked"  # annotation: what was asked for, to tell a run from another one of its name
SINCE = "plumbline.dev/since"  # annotation: from where on to read what became of the target's pods

BOOT = "import base64,sys,zlib;exec(zlib.decompress(base64.b64decode(sys.argv.pop(1))))"
TTL = 3600  # seconds that a result waits to be collected
MARGIN = 60.0  # beyond what a run should take, until its Job is ended
LONGEST = 3600
FASTEST = 5000
USUAL_PORTS = {"http": 80, "https": 443}

CLIENT: dict[str, dict[str, t.Any]] = {
    "labels": {"type": "dict"},
    "service_account": {"type": "str"},
    "image": {"type": "str", "default": "python:3.14"},
    "image_pull_policy": {"type": "str", "choices": ["Always", "IfNotPresent", "Never"], "default": "IfNotPresent"},
    "image_pull_secrets": {"type": "list", "elements": "str", "default": [], "no_log": False},
}
_TLS: dict[str, dict[str, t.Any]] = {
    "bundle": {"type": "str"},
    "bundle_config_map": {"type": "str"},
    "server_name": {"type": "str"},
}
_EXPECT: dict[str, dict[str, t.Any]] = {
    "status": {"type": "list", "elements": "int", "default": [200]},
    "identity_header": {"type": "str", "default": "Served-By"},
}
OPTIONS: dict[str, dict[str, t.Any]] = {
    "name": {"type": "str", "required": True},
    "namespace": {"type": "str", "required": True},
    "state": {"type": "str", "choices": ["started", "stopped"], "required": True},
    "service": {"type": "str"},
    "port": {"type": "str"},
    "scheme": {"type": "str", "choices": ["http", "https"]},
    "path": {"type": "str", "default": "/"},
    "url": {"type": "str"},
    "rate": {"type": "int", "default": 100},
    "duration": {"type": "int", "default": 120},
    "clients": {
        "type": "list",
        "elements": "str",
        "choices": list(agent.KINDS),
        "default": list(agent.KINDS),
    },
    "warm_up": {"type": "bool", "default": True},
    "request_timeout": {"type": "int", "default": 5},
    "expect": {"type": "dict", "options": _EXPECT, "apply_defaults": True},
    "tls": {"type": "dict", "options": _TLS, "mutually_exclusive": [("bundle", "bundle_config_map")]},
    "nodes": {"type": "list", "elements": "str"},
    "max_nodes": {"type": "int", "default": 2},
    "client": {"type": "dict", "options": CLIENT, "apply_defaults": True},
    "budget": {"type": "int", "default": 0},
    "fail_on": {"type": "str", "choices": ["never", "fail", "inconclusive"], "default": "inconclusive"},
    "dest": {"type": "path"},
    "wait_timeout": {"type": "int", "default": 120},
}


@dataclass(frozen=True, slots=True)
class Target:
    """What is asked.

    Attributes:
        server_name: the name that the certificate must be for.
        bundle: certificates to trust, PEM; empty leaves that to the image.
    """

    scheme: str
    host: str
    port: int
    path: str
    server_name: str = ""
    bundle: str = ""

    @property
    def authority(self) -> str:
        """Host and port as a URL and the header `Host` have them (RFC 9110, 7.2)."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == USUAL_PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def url(self) -> str:
        """For messages."""
        return f"{self.scheme}://{self.authority}{self.path}"


@dataclass(frozen=True, slots=True)
class Vantage:
    """Where one pod of the run asks from."""

    namespace: str
    node: str


def check(params: t.Mapping[str, t.Any]) -> None:
    """Refuse what cannot work, before any request.

    Raises:
        OptionError: naming the option.
    """
    if len(dns_label("name", params["name"])) > 40:
        raise refusal("name", params["name"], "at most 40 characters")
    _within("rate", params["rate"], 1, FASTEST)
    _within("duration", params["duration"], 1, LONGEST)
    _within("request_timeout", params["request_timeout"], 1, 30)
    _within("max_nodes", params["max_nodes"], 1, 50)
    _within("budget", params["budget"], 0, FASTEST * LONGEST)
    if not params["path"].startswith("/") or not _printable(params["path"]):
        raise refusal("path", params["path"], "a path that starts with / and has no spaces")
    if not params["clients"]:
        raise refusal("clients", params["clients"], f"at least one of {', '.join(agent.KINDS)}")
    if params["url"]:
        of_url(params["url"])
    elif params["state"] == "started" and not params["service"]:
        raise refusal("service", params["service"], "the name of a Service, or a url")


def _within(option: str, value: int, least: int, most: int) -> None:
    if not least <= value <= most:
        raise refusal(option, value, f"a number from {least} to {most}")


def _printable(text: str) -> bool:
    return text.isascii() and text.isprintable() and " " not in text


def of_url(url: str) -> Target:
    """The target that a URL names."""
    parts = urlsplit(url)
    try:
        port = parts.port
    except ValueError:
        raise refusal("url", url, "a port from 1 to 65535") from None
    if parts.scheme not in USUAL_PORTS or not parts.hostname or not _printable(url):
        raise refusal("url", url, "http://host[:port]/path or https://host[:port]/path")
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Target(parts.scheme, parts.hostname, port or USUAL_PORTS[parts.scheme], path)


def of_service(service: Body, params: t.Mapping[str, t.Any]) -> Target:
    """The target that a Service and its port name."""
    metadata, spec = service["metadata"], service.get("spec") or {}
    ports = [entry for entry in spec.get("ports") or [] if entry.get("protocol", "TCP") == "TCP"]
    wanted = params["port"]
    found = [entry for entry in ports if not wanted or wanted in (str(entry["port"]), entry.get("name"))]
    if len(found) != 1:
        there = ", ".join("/".join(filter(None, (entry.get("name"), str(entry["port"])))) for entry in ports)
        raise refusal("port", wanted, f"one port of Service {metadata['namespace']}/{metadata['name']}: {there}")
    scheme = params["scheme"] or ("https" if params["tls"] else "http")
    return Target(scheme, f"{metadata['name']}.{metadata['namespace']}.svc", found[0]["port"], params["path"])


def secured(target: Target, tls: t.Mapping[str, t.Any] | None, bundle: str) -> Target:
    """The target with what its certificate is judged by."""
    return replace(target, server_name=(tls or {}).get("server_name") or target.host, bundle=bundle)


def agent_plan(params: t.Mapping[str, t.Any], target: Target, number: int, count: int) -> Body:
    """What the meter in pod `number` of `count` does: its share of the rate, out of step with the others."""
    return {
        "host": target.host,
        "port": target.port,
        "path": target.path,
        "authority": target.authority,
        "tls": target.scheme == "https",
        "server_name": target.server_name,
        "bundle": target.bundle,
        "clients": list(dict.fromkeys(params["clients"])),
        "rate": params["rate"] / count,
        "duration": params["duration"],
        "warm_up": params["warm_up"],
        "timeout": params["request_timeout"],
        "status": params["expect"]["status"],
        "identity_header": params["expect"]["identity_header"],
        "phase": number / count / len(params["clients"]),
    }


def fingerprint(params: t.Mapping[str, t.Any], target: Target) -> str:
    """The same for two runs that were asked to do the same."""
    asked = [agent_plan(params, target, 0, 1), params["nodes"], params["max_nodes"], params["client"]]
    return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()


def job_name(run: str, number: int) -> str:
    """Name of the Job of one pod of a run."""
    return f"{run}-meter-{number}"


def probe_options(params: t.Mapping[str, t.Any]) -> probe.Options:
    """How the pods look and how long they may take."""
    client = params["client"]
    return probe.Options(
        image=client["image"],
        namespace=params["namespace"],
        labels={key: str(value) for key, value in (client["labels"] or {}).items()},
        service_account=client["service_account"] or "",
        image_pull_policy=client["image_pull_policy"],
        image_pull_secrets=tuple(client["image_pull_secrets"]),
        start_timeout=float(params["wait_timeout"]),
    )


def command(plan: Body, interpreter: str) -> list[str]:
    """The command line that carries meter and plan. Isolated: no site, no user folder, no variables of Python."""
    packed = probe.pack(json.dumps(plan))
    pieces = [packed[at : at + probe.PIECE] for at in range(0, len(packed), probe.PIECE)]
    return [interpreter, "-I", "-S", "-B", "-c", BOOT, probe.pack(inspect.getsource(agent)), *pieces]


def jobs(params: t.Mapping[str, t.Any], target: Target, nodes: t.Sequence[str], since: Body) -> list[Body]:
    """One Job per node: one that fails must not take the others with it, as it would within one Job."""
    options, asked = probe_options(params), fingerprint(params, target)
    made: list[Body] = []
    for number, node in enumerate(nodes):
        argv = command(agent_plan(params, target, number, len(nodes)), options.interpreter)
        name = job_name(params["name"], number)
        body = probe.job(name, params["name"], Vantage(params["namespace"], node), argv, options)
        spec = body["spec"]
        labels = {**LABELS, METER_LABEL: params["name"]}
        body["metadata"]["labels"] = labels
        body["metadata"]["annotations"] = {ASKED: asked, SINCE: json.dumps(since)}
        spec["ttlSecondsAfterFinished"] = TTL
        life = params["wait_timeout"] + agent.WARM_SECONDS + params["duration"] + params["request_timeout"] + MARGIN
        spec["activeDeadlineSeconds"] = int(life)
        spec["template"]["metadata"]["labels"] = {**options.labels, **labels}
        pod = spec["template"]["spec"]
        # Told to stop, the meter waits for the answers that are under way, and prints.
        pod["terminationGracePeriodSeconds"] = params["request_timeout"] + 10
        # A meter that gets no processor time is late, and one that is late proves nothing.
        pod["containers"][0]["resources"] = {
            "requests": {"cpu": "100m", "memory": "64Mi"},
            "limits": {"cpu": "1", "memory": "512Mi"},
        }
        made.append(body)
    return made


def worker_nodes(found: t.Sequence[Body], most: int) -> list[str]:
    """Nodes to ask from where none are named: ready and open to any pod; always the same ones."""

    def usable(node: Body) -> bool:
        spec, status = node.get("spec") or {}, node.get("status") or {}
        conditions = {entry.get("type"): entry.get("status") for entry in status.get("conditions") or []}
        closed = any(taint.get("effect") in ("NoSchedule", "NoExecute") for taint in spec.get("taints") or [])
        return conditions.get("Ready") == "True" and not spec.get("unschedulable") and not closed

    return sorted(node["metadata"]["name"] for node in found if usable(node))[:most]


def is_over(job: Body) -> bool:
    """Whether a Job has ended, well or not."""
    conditions = (job.get("status") or {}).get("conditions") or []
    return any(entry.get("type") in ("Complete", "Failed") and entry.get("status") == "True" for entry in conditions)
