# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Private to this collection: may change in any release.
"""Do containers have the Service's variables, and do those say what the Service says now?

The kubelet gives a container its variables when it creates the container, so what counts is when that was: a pod
that is older than the Service may well hold a younger container that has them.
"""

from __future__ import annotations

import re
import typing as t
from datetime import datetime, timedelta

from ..commands import restart
from ..look import EnvironmentReading, Look
from ..result import Finding, short
from ..snapshot import Container, Pod, Service, Snapshot, host_port
from ..snapshot import service as parse_service
from .common import Bench, why_unprobed

NAME = "environment"
_bench = Bench(NAME)

CHECKS: tuple[tuple[str, str, str], ...] = (
    ("EV-01", "Containers have the variables of the Service", "create pods/exec"),
    ("EV-02", "The variables say what the Service says now", "create pods/exec"),
    ("EV-04", "No container is older than the Service", "create pods/exec"),
    ("EV-05", "Variables are switched on", "list pods"),
    ("EV-06", "No container sets a variable of the Service itself", "list pods"),
    ("EV-07", "The variables of all Services leave room for others", "list services"),
)

# The kubelet may learn of a Service a moment after it exists, and both clocks show whole seconds.
_LAG = timedelta(seconds=5)
_SAFE_NAME = re.compile(r"[A-Z_][A-Z0-9_]*")
_MOST_CONTAINERS_PER_POD = 5
# What execve takes of arguments and variables at a stack of 8 MiB (man 2 execve); each of them has a pointer, `=`, NUL.
_ROOM, _OVERHEAD = 2 * 1024 * 1024, 10

# Prints NAME=value for those of its arguments that are set. Values leave the container only if they look like those
# of a Service (addresses, numbers, protocols); of anything else only that it is set: an application may keep a secret
# under such a name. The names are checked before they get here, so `eval` sees letters, digits and underscores only.
SCRIPT = """
for n do
  eval "v=\\${$n-} s=\\${$n+x}"
  [ "$s" ] || continue
  case $v in
    '' | tcp | udp | sctp) ;;
    tcp://* | udp://* | sctp://*) case ${v#*://} in *[!]0-9a-f.:[]*) v='?' ;; esac ;;
    *[!0-9a-f.:]*) v='?' ;;
    *[a-f]*) case $v in *:*:*) ;; *) v='?' ;; esac ;;
  esac
  [ ${#v} -le 80 ] || v='?'
  printf '%s=%s\\n' "$n" "$v"
done
"""


def variables(service: Service) -> dict[str, str]:
    """The variables that a kubelet makes of a Service (pkg/kubelet/envvars, FromServices and makeLinkVariables)."""
    if service.headless or not service.cluster_ips or not service.ports:
        return {}
    prefix, address = _variable_name(service.name), service.cluster_ips[0]
    found = {f"{prefix}_SERVICE_HOST": address, f"{prefix}_SERVICE_PORT": str(service.ports[0].port)}
    for index, port in enumerate(service.ports):
        if port.name:
            found[f"{prefix}_SERVICE_PORT_{_variable_name(port.name)}"] = str(port.port)
        protocol = port.protocol.lower()
        url = f"{protocol}://{host_port(address, port.port)}"
        if index == 0:
            found[f"{prefix}_PORT"] = url
        link = f"{prefix}_PORT_{port.port}_{port.protocol.upper()}"
        found |= {link: url, f"{link}_PROTO": protocol, f"{link}_PORT": str(port.port), f"{link}_ADDR": address}
    return found


def _variable_name(name: str) -> str:
    upper = name.replace("-", "_").replace(".", "_").upper()
    return f"_{upper}" if upper[:1].isdigit() else upper


def command(service: Service) -> list[str]:
    """What is run in a container to read these variables, and nothing else, there."""
    names = sorted(variables(service))
    if not all(_SAFE_NAME.fullmatch(name) for name in names):
        raise AssertionError(f"not names of variables: {names}")
    return ["sh", "-c", SCRIPT, "sh", *names]


def parse(output: str, service: Service) -> dict[str, str]:
    """The variables out of the command's output; what was not asked for is dropped."""
    wanted = variables(service)
    pairs = (line.partition("=") for line in output.splitlines())
    return {name: value for name, equals, value in pairs if equals and name in wanted}


def containers_to_read(snapshot: Snapshot, most_pods: int) -> list[tuple[Pod, Container]]:
    """The running containers to look into, those that were started first at the front: they are most likely stale."""
    if snapshot.service is None or not variables(snapshot.service):
        return []
    pods = [
        pod
        for pod in snapshot.pods
        if pod.service_links and not pod.terminating and not pod.finished and any(c.started for c in pod.containers)
    ]
    pods.sort(key=lambda pod: (min(c.started for c in pod.containers if c.started), pod.name))
    return [
        (pod, container)
        for pod in pods[:most_pods]
        for container in pod.containers[:_MOST_CONTAINERS_PER_POD]
        if container.started
    ]


def check(look: Look) -> list[Finding]:
    """EV-01 set, EV-02 right, EV-04 older than the Service, EV-05 off by design."""
    service = look.service
    if not variables(service):
        kind = "headless" if service.headless else "without a cluster IP or ports"
        return [_bench.skipped("EV-01", f"{service.label} is {kind}: such Services have no variables, by design")]
    why = look.after.why_missing("pods")
    if why:
        return [_bench.skipped("EV-01", why)]
    if not look.question.ask:
        return [_bench.skipped("EV-01", f"no container was looked into: {why_unprobed(look)}")]
    found = _by_design(look.after) + _clashes(service, look.after) + _size(look)
    looked = [reading for reading in look.environment if reading.pod.uid not in look.touched]
    found += _unread(looked)
    complaints = [finding for reading in looked if reading.verdict == "read" for finding in judge(service, reading)]
    good = sum(reading.verdict == "read" for reading in looked) - len({c.object for c in complaints})
    pods = len({reading.pod.uid for reading in looked})
    message = (
        f"the variables in {good} container(s) equal {service.label} ({pods} of {len(look.after.pods)} pods looked at)"
    )
    found += _bench.verdict("EV-01", complaints, good, message)
    if look.environment and not looked:
        return [*found, _bench.undecided("EV-01", "every pod changed while its containers were read")]
    return found or [_bench.skipped("EV-01", "no selected pod has a running container to look into")]


def _unread(looked: t.Iterable[EnvironmentReading]) -> list[Finding]:
    """One finding for each reason why containers were not read."""
    reasons: dict[tuple[str, str], list[EnvironmentReading]] = {}
    for reading in looked:
        if reading.verdict != "read":
            reasons.setdefault((reading.verdict, reading.detail), []).append(reading)
    return [
        _bench.unread(
            "EV-01",
            f"the variables in {len(readings)} container(s), e.g. {where(readings[0])}, were not read: {detail}",
            verdict=verdict,
            object=where(readings[0]),
            subjects=frozenset(reading.pod.uid for reading in readings),
        )
        for (verdict, detail), readings in reasons.items()
    ]


def where(reading: EnvironmentReading) -> str:
    """The container, for messages."""
    return f"container {reading.container} of {reading.pod.label}"


def _by_design(snapshot: Snapshot) -> list[Finding]:
    off = [pod for pod in snapshot.pods if not pod.service_links and not pod.finished]
    if not off:
        return []
    names = short([pod.name for pod in off], 3)
    return [_bench.skipped("EV-05", f"enableServiceLinks is false on {names}: no variables there, by design")]


def _clashes(service: Service, snapshot: Snapshot) -> list[Finding]:
    """EV-06: for information; what a container's own spec says wins, and may be meant so."""
    wanted = variables(service).keys()
    pods = [pod for pod in snapshot.pods if pod.service_links and not pod.finished]
    own = {(c.name, name) for pod in pods for c in (*pod.containers, *pod.sidecars) for name in c.env & wanted}
    if not own:
        return []
    containers, names = sorted({name for name, _variable in own}), sorted({variable for _name, variable in own})
    return [
        _bench.skipped(
            "EV-06",
            f"container {short(containers)} sets {short(names)} itself, which hides what the kubelet would set for "
            f"{service.label}",
        )
    ]


def _size(look: Look) -> list[Finding]:
    """EV-07: for information; containers that are started do not notice, the next ones do not start."""
    links = any(pod.service_links for pod in look.after.pods)
    known = [parse_service(body) for body in look.facts.all("services")] if links else []
    size = sum(len(name) + len(value) + _OVERHEAD for one in known for name, value in variables(one).items())
    if size <= _ROOM / 2:
        return []
    message = (
        f"the variables of the namespace's {len(known)} Service(s) take {size // 1024} KiB of the {_ROOM // 1024} KiB "
        "that the kernel takes at the usual stack: set enableServiceLinks: false"
    )
    return [_bench.skipped("EV-07", message)]


def judge(service: Service, reading: EnvironmentReading) -> list[Finding]:
    """One container's variables against the live Service; at most one finding, with the first cause."""
    wanted = variables(service)
    container = next((c for c in reading.pod.containers if c.name == reading.container), Container(reading.container))
    # What a container's own spec sets wins over what the kubelet makes of Services.
    own = container.env | ({name for name, value in reading.values.items() if value == "?"})
    mine = {name: value for name, value in wanted.items() if name not in own}
    missing = sorted(set(mine) - set(reading.values))
    wrong = sorted(name for name in mine if name in reading.values and reading.values[name] != mine[name])
    if not missing and not wrong:
        return []
    if len(missing) == len(mine):
        return [_absent(service, reading, container, mine)]
    return [_stale(service, reading, container, [*wrong, *missing], mine)]


def _absent(
    service: Service, reading: EnvironmentReading, container: Container, wanted: t.Mapping[str, str]
) -> Finding:
    older = _started_before(container, service)
    host = next(iter(wanted))
    return _bench.failed(
        "EV-04" if older else "EV-01",
        f"{where(reading)} has no variables of {service.label}",
        object=where(reading),
        field="environment",
        observed=f"{host} unset",
        expected=f"{host}={wanted[host]}",
        cause=f"the container is older than the Service: {_times(service, container)}; {_remedy(reading.pod)}"
        if older
        else f"{_times(service, container)}, so the kubelet should have set them; {_remedy(reading.pod)}",
        evidence=_evidence(service, container),
        subjects=frozenset({service.uid, reading.pod.uid}),
    )


def _stale(
    service: Service,
    reading: EnvironmentReading,
    container: Container,
    names: t.Sequence[str],
    wanted: t.Mapping[str, str],
) -> Finding:
    moved = any(name.endswith("_SERVICE_HOST") for name in names)
    older = _started_before(container, service)
    if older:
        cause = "the Service was re-created after the container was started" if moved else "it was changed since"
    else:
        cause = "the Service was changed after the container was started"
    # The address tells most; all the others follow from it, and are in the evidence.
    telling = sorted(names, key=lambda name: (not name.endswith("_SERVICE_HOST"), name))[:2]
    return _bench.failed(
        "EV-02",
        f"{where(reading)} has variables of an earlier {service.label}",
        object=where(reading),
        field="environment",
        observed={name: reading.values.get(name, "unset") for name in telling},
        expected={name: wanted[name] for name in telling},
        cause=f"{cause}: {_times(service, container)}; {_remedy(reading.pod)}",
        evidence={**_evidence(service, container), "wrong": ", ".join(sorted(names))},
        subjects=frozenset({service.uid, reading.pod.uid}),
    )


def _started_before(container: Container, service: Service) -> bool:
    if container.started is None or service.created is None:
        return False
    return container.started <= service.created + _LAG


def _times(service: Service, container: Container) -> str:
    return f"container started {stamp(container.started)}, Service created {stamp(service.created)}"


def _evidence(service: Service, container: Container) -> dict[str, str]:
    return {"container_started": stamp(container.started), "service_created": stamp(service.created)}


def stamp(when: datetime | None) -> str:
    """A time as the API writes it."""
    return when.strftime("%Y-%m-%dT%H:%M:%SZ") if when else "at an unknown time"


def _remedy(pod: Pod) -> str:
    kind, _space, name = pod.owner.partition(" ")
    if kind in ("Deployment", "StatefulSet", "DaemonSet"):
        return restart(kind.lower(), name, pod.namespace)
    return "re-create the pod"
