# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Private to this collection: may change in any release.
"""A Deployment's body from the module's options: pure.

Only what the options give is set. Defaults that make a roll-out lose nothing (surge before removal, a preStop sleep,
spread over nodes) are chosen when the Deployment is created; from then on an omitted option is left alone.
"""

from __future__ import annotations

import typing as t

from ..kube.errors import OptionError
from ..kube.owned import Gone, Keyed, Whole, without_nothing
from ..kube.selector import labels_text
from . import values

Body = dict[str, t.Any]
Options = t.Mapping[str, t.Any]

HOSTNAME = "kubernetes.io/hostname"
# Seconds a pod keeps serving after it was told to end, while every node's proxy forgets it. 5 s lost requests on
# busy nodes, 12 s did not (measured through a NodePort at 100 requests/s).
DRAIN_SECONDS = 12
# What the application gets to end its open requests after the drain.
SHUTDOWN_SECONDS = 30
# Without a readiness probe a container counts as ready the moment it runs, also one that crashes a moment later.
UNPROBED_READY_SECONDS = 2

CREATION_DEFAULTS: dict[str, t.Any] = {
    "replicas": 1,
    "strategy": {"type": "RollingUpdate", "max_surge": "25%", "max_unavailable": 0},
    "drain_seconds": DRAIN_SECONDS,
    "spread": "preferred",
    "automount_service_account_token": False,
}

_LEAST = {
    "replicas": 0,
    "drain_seconds": 0,
    "termination_grace_period_seconds": 0,
    "min_ready_seconds": 0,
    "revision_history_limit": 0,
    "progress_deadline_seconds": 1,
    "wait_timeout": 0,
}
_PROBES = {"readiness_probe": "readinessProbe", "liveness_probe": "livenessProbe", "startup_probe": "startupProbe"}
_PROBE_FIELDS = {
    "initial_delay_seconds": "initialDelaySeconds",
    "period_seconds": "periodSeconds",
    "timeout_seconds": "timeoutSeconds",
    "failure_threshold": "failureThreshold",
    "success_threshold": "successThreshold",
}


def check(options: Options) -> None:
    """Refuse option values that no API server would take, before any request.

    Raises:
        OptionError: names the option, what was given and what is expected.
    """
    values.dns_subdomain("name", options["name"])
    values.dns_label("namespace", options["namespace"])
    for option, least in _LEAST.items():
        if options.get(option) is not None and options[option] < least:
            raise values.refusal(option, options[option], f"{least} or more")
    image = options.get("image")
    if image is not None and (not image or any(c.isspace() for c in image)):
        raise values.refusal("image", image, "a reference such as nginx:1.30, without spaces")
    for port in options.get("ports") or []:
        if not 1 <= port["container_port"] <= 65535:
            raise values.refusal("ports.container_port", port["container_port"], "1 to 65535")
    for option in _PROBES:
        _probe(option, options.get(option))
    _ports(options.get("ports"))
    _volumes(options)


def build(options: Options, live: Body | None) -> Body:
    """The wanted fields of a Deployment.

    Args:
        options: the module's parameters, None where omitted.
        live: the Deployment as it is, None where it is to be created.

    Raises:
        OptionError: `image` is missing for a creation, or the selector would change (it is immutable).
    """
    creating = live is None
    if creating:
        options = {**options, **{key: _default(options, key) for key in CREATION_DEFAULTS}}
        if options.get("min_ready_seconds") is None and not options.get("readiness_probe"):
            options["min_ready_seconds"] = UNPROBED_READY_SECONDS
        if not options.get("image"):
            raise OptionError(f"image: omitted, but Deployment {options['name']} does not exist yet; give an image")
    labels = _selector(options, live)
    pod_labels = {**labels, **(options.get("pod_labels") or {})}
    metadata = {
        "name": options["name"],
        "namespace": options["namespace"],
        "labels": _whole(options.get("labels"), labels if creating else None),
        "annotations": _whole(options.get("annotations")),
    }
    # Labels and selector are sent when something about them is given; else they are taken over as they are.
    names_labels = creating or options.get("selector") is not None or options.get("pod_labels") is not None
    spec = {
        "replicas": options.get("replicas"),
        "revisionHistoryLimit": options.get("revision_history_limit"),
        "progressDeadlineSeconds": options.get("progress_deadline_seconds"),
        "minReadySeconds": options.get("min_ready_seconds"),
        "strategy": _strategy(options.get("strategy")),
        "selector": {"matchLabels": Whole(labels)} if names_labels else None,
        "template": {
            "metadata": {
                "labels": Whole(pod_labels) if names_labels else None,
                "annotations": _whole(options.get("pod_annotations")),
            },
            "spec": _pod(options, labels, live),
        },
    }
    body: Body = without_nothing({"metadata": metadata, "spec": spec})
    return body


def _default(options: Options, key: str) -> t.Any:
    given = options.get(key)
    if given is None:
        return CREATION_DEFAULTS[key]
    if key == "strategy" and given.get("type") != "Recreate":
        return {**CREATION_DEFAULTS[key], **_given(given)}
    return given


def _given(options: Options) -> Body:
    return {key: value for key, value in options.items() if value is not None}


def _whole(*candidates: Options | None) -> Whole | None:
    for candidate in candidates:
        if candidate is not None:
            return Whole(candidate)
    return None


def _struct(given: Options | None) -> Whole | None:
    return None if given is None else Whole(given) if given else Gone()


def _selector(options: Options, live: Body | None) -> dict[str, str]:
    given = options.get("selector")
    if live is None:
        return dict(given or {"app.kubernetes.io/name": options["name"]})
    selector = live["spec"]["selector"]
    known = selector.get("matchLabels") or {}
    if given is not None and given != known:
        raise OptionError(
            f"selector: {labels_text(given) or '(empty)'} differs from {labels_text(known) or '(empty)'} of the "
            f"Deployment {options['name']}, and the API "
            "does not let a selector change; leave it out, or delete the Deployment first"
        )
    return dict(known)


def _strategy(given: Options | None) -> Body | None:
    if given is None:
        return None
    rolling = {"maxSurge": given.get("max_surge"), "maxUnavailable": given.get("max_unavailable")}
    strategy = {"type": given.get("type"), "rollingUpdate": {k: _int_or_percent(v) for k, v in rolling.items()}}
    # Recreate has no limits: those that we set earlier go with the type that had them.
    return Whole(without_nothing(strategy)) if given.get("type") == "Recreate" else strategy


def _int_or_percent(value: t.Any) -> t.Any:
    text = str(value)
    return int(text) if text.isdigit() else value


def _pod(options: Options, labels: t.Mapping[str, str], live: Body | None) -> Body:
    drain = options.get("drain_seconds")
    grace = options.get("termination_grace_period_seconds")
    if grace is None and drain is not None:
        # kubelet counts the preStop hook into the grace period.
        grace = drain + SHUTDOWN_SECONDS
    pull_secrets = options.get("image_pull_secrets")
    volumes, mounts = _volumes(options)
    return {
        "containers": Keyed("name", [_container(options, mounts, live)]),
        "volumes": volumes,
        "topologySpreadConstraints": _spread(options.get("spread"), labels),
        "serviceAccountName": options.get("service_account"),
        "automountServiceAccountToken": options.get("automount_service_account_token"),
        "enableServiceLinks": options.get("enable_service_links"),
        "nodeSelector": _whole(options.get("node_selector")),
        "tolerations": options.get("tolerations"),
        "affinity": _struct(options.get("affinity")),
        "priorityClassName": options.get("priority_class_name"),
        "imagePullSecrets": None if pull_secrets is None else [{"name": name} for name in pull_secrets],
        "securityContext": _struct(options.get("pod_security_context")),
        "terminationGracePeriodSeconds": grace,
    }


def container_name(options: Options, live: Body | None) -> str:
    """The container that the options speak of: the named one, else the only one, else the Deployment's name.

    Raises:
        OptionError: several containers and none named.
    """
    if options.get("container"):
        return str(options["container"])
    names = [c["name"] for c in live["spec"]["template"]["spec"]["containers"]] if live else []
    if len(names) > 1 and options["name"] not in names:
        raise OptionError(f"container: omitted, but the pods have {', '.join(names)}; name the one that is meant")
    return str(names[0]) if len(names) == 1 else str(options["name"])


def _container(options: Options, mounts: list[Body] | None, live: Body | None) -> Body:
    drain = options.get("drain_seconds")
    environment = options.get("env")
    container: Body = {
        "name": container_name(options, live),
        "image": options.get("image"),
        "imagePullPolicy": options.get("image_pull_policy"),
        "command": options.get("command"),
        "args": options.get("args"),
        "env": None if environment is None else [{"name": k, "value": str(v)} for k, v in environment.items()],
        "ports": _ports(options.get("ports")),
        "resources": _struct(options.get("resources")),
        "securityContext": _struct(options.get("security_context")),
        "volumeMounts": mounts,
    }
    if drain is not None:
        container["lifecycle"] = _struct({"preStop": {"sleep": {"seconds": drain}}} if drain else {})
    for option, field in _PROBES.items():
        container[field] = _probe(option, options.get(option))
    kept: Body = without_nothing(container)
    return kept


def _ports(given: list[Options] | None) -> list[Body] | None:
    if given is None:
        return None
    seen: set[tuple[int, str]] = set()
    for port in given:
        key = (port["container_port"], port.get("protocol") or "TCP")
        if key in seen:
            raise OptionError(f"ports: {key[0]}/{key[1]} is listed twice")
        seen.add(key)
    return [
        without_nothing(
            {"name": p.get("name"), "containerPort": p["container_port"], "protocol": p.get("protocol") or "TCP"}
        )
        for p in given
    ]


def _probe(option: str, given: Options | None) -> Whole | None:
    if given is None:
        return None
    if given.get("command"):
        action: Body = {"exec": {"command": given["command"]}}
    elif given.get("port") is None:
        raise OptionError(f"{option}: neither command nor port is given; one of them is needed")
    elif given.get("path"):
        scheme = given.get("scheme") or "HTTP"
        action = {"httpGet": {"path": given["path"], "port": _int_or_percent(given["port"]), "scheme": scheme}}
    else:
        action = {"tcpSocket": {"port": _int_or_percent(given["port"])}}
    timing = {field: given[key] for key, field in _PROBE_FIELDS.items() if given.get(key) is not None}
    return Whole({**action, **timing})


def _spread(given: str | None, labels: t.Mapping[str, str]) -> list[Body] | None:
    """Topology spread over nodes, counted per revision.

    Without matchLabelKeys the pods of the old ReplicaSet are counted too, and a roll-out can end with all new pods
    on one node; with DoNotSchedule, tainted nodes must not count as empty domains (nodeTaintsPolicy).
    """
    if given is None:
        return None
    if given == "none":
        return []
    required = given == "required"
    return [
        {
            "maxSkew": 1,
            "topologyKey": HOSTNAME,
            "whenUnsatisfiable": "DoNotSchedule" if required else "ScheduleAnyway",
            "labelSelector": {"matchLabels": dict(labels)},
            "matchLabelKeys": ["pod-template-hash"],
            "nodeTaintsPolicy": "Honor",
        }
    ]


def _volumes(options: Options) -> tuple[list[Body] | None, list[Body] | None]:
    """Volumes and mounts from `config_maps`, `secrets` and `empty_dirs`; None for both when all are omitted."""
    given = [options.get(key) for key in ("config_maps", "secrets", "empty_dirs")]
    if all(group is None for group in given):
        return None, None
    config_maps, secrets, empty_dirs = (group or [] for group in given)
    volumes: list[Body] = []
    mounts: list[Body] = []
    for index, source in enumerate(config_maps):
        volume = {"name": source["name"], "items": _items(source), "optional": source.get("optional")}
        _mount(volumes, mounts, f"config-map-{index}", {"configMap": without_nothing(volume)}, source)
    for index, source in enumerate(secrets):
        volume = {"secretName": source["name"], "items": _items(source), "optional": source.get("optional")}
        _mount(volumes, mounts, f"secret-{index}", {"secret": without_nothing(volume)}, source)
    for index, source in enumerate(empty_dirs):
        volume = {"sizeLimit": source.get("size_limit"), "medium": source.get("medium")}
        _mount(volumes, mounts, f"empty-dir-{index}", {"emptyDir": _given(volume)}, source, read_only=False)
    return volumes, mounts


def _items(source: Options) -> list[Body] | None:
    given = source.get("items")
    return None if given is None else [{"key": key, "path": path} for key, path in given.items()]


def _mount(
    volumes: list[Body], mounts: list[Body], name: str, volume: Body, source: Options, *, read_only: bool = True
) -> None:
    path = source["mount_path"]
    if any(mount["mountPath"] == path for mount in mounts):
        raise OptionError(f"mount_path: {path} is used twice; each mount needs a path of its own")
    volumes.append({"name": name, **volume})
    mounts.append({"name": name, "mountPath": path, **({"readOnly": True} if read_only else {})})
