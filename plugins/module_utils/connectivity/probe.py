# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Private to this collection: may change in any release.
"""Carry a plan into the cluster and bring the observations back: one Job with one pod per client.

The pod runs the agent, whose source and plan travel in its command line, and its log carries the result. So the rights
needed are few: create, delete and list Jobs, list and watch pods, get their logs; and, only to say why a pod was never
created, list events.

Whatever goes wrong with a probe itself is an outcome of that client with its cause, and says nothing about the target.
What comes back is checked value by value: a log is text that anybody in the pod's place could have written.
"""

from __future__ import annotations

import base64
import contextlib
import datetime
import hashlib
import inspect
import json
import re
import secrets
import threading
import time
import typing as t
import zlib
from concurrent import futures
from dataclasses import dataclass, field

from ..kube.client import Cluster
from ..kube.deadline import Deadline
from ..kube.errors import ApiError, KubeError, WaitTimeout, missing_account, one_line
from ..kube.kinds import EVENT, JOB, POD
from ..kube.watch import Interest, View
from . import agent, agent_node, agent_tls

Body = dict[str, t.Any]
Task = t.Mapping[str, t.Any]

CONTAINER = "agent"
RUN_LABEL = "plumbline.dev/run"
OURS = {"app.kubernetes.io/managed-by": "plumbline", "app.kubernetes.io/component": "probe"}
JOB_NAME_LABEL = "batch.kubernetes.io/job-name"
# A condition that nobody sets.
NEVER = "plumbline.dev/never"

# The kernel takes 128 KiB per argument, and an object of the API server should stay well below 1 MiB.
PIECE = 100_000
MOST_ARGUMENTS = 700_000
# Bytes of a log that are read: the result, its marker, and what an interpreter may have said before.
MOST_LOG = agent.LIMITS["result"] + 50_000

# Seconds. A kubelet that lives takes up a pod within one or two, and was seen to need more than 25 when dozens of pods
# started beside it; a node of which nothing is heard for 40 to 50 is not ready (node-monitor-grace-period of the
# controller manager). The Job controller makes a pod within a fraction.
CONTROLLER_PATIENCE = 15.0
KUBELET_PATIENCE = 40.0
IMAGE_GRACE = 5.0
ASK_AFTER = 0.5
# Beyond the agent's own budget: start of the interpreter, and the agent's own watchdog.
RUN_MARGIN = 10.0
TTL_AFTER_FINISHED = 60
# After the cluster's deadline, for removing the Jobs: no more than this.
GRACE = 3.0

# Makes the modules of a package out of their sources, so that they import each other there as they do here.
BOOT = """
import base64, json, sys, types, zlib
for name, text in json.loads(zlib.decompress(base64.b64decode(sys.argv.pop(1)))).items():
    module = sys.modules["plumbline." + name] = types.ModuleType("plumbline." + name)
    module.__package__ = "plumbline"
    exec(text, module.__dict__)
sys.modules["plumbline.agent"].main(sys.argv[1:])
"""

_OVER = "the time for all of it was over"
# Waiting reasons that no waiting cures, and those that a second try may.
_FINAL = frozenset({"InvalidImageName", "ErrImageNeverPull", "CreateContainerConfigError"})
_PULLING = frozenset({"ErrImagePull", "ImagePullBackOff", "RegistryUnavailable", "CreateContainerError"})


class Client(t.Protocol):
    """From where a plan is carried out; hashable."""

    @property
    def namespace(self) -> str: ...

    @property
    def node(self) -> str: ...


C = t.TypeVar("C", bound=Client)


@dataclass(frozen=True, slots=True)
class Options:
    """How the probe pods look and how long they may take.

    Attributes:
        namespace: the namespace that labels, service account and pull secrets belong to: clients in other namespaces,
            where those names mean nothing, get none of them.
        labels: further labels of the pods, since policies judge the client by them.
        strangers: clients with labels of their own in the place of those, and no service account; they are never ready,
            so that no Service whose selector those labels match sends them anybody's connections.
        interpreter: Python 3.9 or newer in the image.
        budget: seconds for the whole plan, counted by the agent from its own start.
        start_timeout: seconds from the creation of a Job until its container runs, the pull of the image included.
        defaults: by type of task, what all tasks of that type have in common.
    """

    image: str
    namespace: str = ""
    labels: t.Mapping[str, str] = field(default_factory=dict)
    strangers: t.Mapping[t.Any, t.Mapping[str, str]] = field(default_factory=dict)
    service_account: str = ""
    image_pull_policy: str = "IfNotPresent"
    image_pull_secrets: tuple[str, ...] = ()
    interpreter: str = "python3"
    budget: float = 10.0
    concurrency: int = 32
    start_timeout: float = 60.0
    defaults: t.Mapping[str, Task] = field(default_factory=dict)

    @property
    def timeout(self) -> float:
        """Seconds from the creation of a Job until it must be over."""
        return self.start_timeout + self.budget + RUN_MARGIN


@dataclass(frozen=True, slots=True)
class ProbeOutcome:
    """What came back from one client.

    Attributes:
        observations: by task id, in the form of the probe protocol, each value checked.
        cause: why there are no observations, or not all of them; one line, empty when all is well.
        pod: the pod that ran the plan, where one was seen.
    """

    observations: t.Mapping[str, Body] = field(default_factory=dict)
    cause: str = ""
    pod: str = ""

    @property
    def status(self) -> str:
        """`ok`, or `inconclusive`: the probe itself failed, which says nothing about any target."""
        return "inconclusive" if self.cause and not self.observations else "ok"


# ----- the Job: pure


def plan(tasks: t.Sequence[Task], options: Options) -> Body:
    """The agent's input."""
    return {
        "version": agent.VERSION,
        "budget": options.budget,
        "concurrency": options.concurrency,
        "limits": dict(agent.LIMITS),
        "defaults": {kind: dict(values) for kind, values in options.defaults.items()},
        "tasks": [dict(task) for task in tasks],
    }


def pack(text: str) -> str:
    """Compressed, and in an alphabet without `$`, which the kubelet would expand in arguments."""
    return base64.b64encode(zlib.compress(text.encode("utf-8"), 9)).decode("ascii")


def sources(tasks: t.Sequence[Task]) -> dict[str, str]:
    """The agent's modules that these tasks need, in the order in which they are made."""
    found = {"agent": inspect.getsource(agent)}
    if any(task["type"] in agent_tls.TYPES for task in tasks):
        found["agent_tls"] = inspect.getsource(agent_tls)
    if on_node(tasks):
        found["agent_node"] = inspect.getsource(agent_node)
    return found


def on_node(tasks: t.Sequence[Task]) -> bool:
    """Whether these tasks look at the node itself, from a pod that may see it."""
    return any(task["type"] in agent_node.TYPES for task in tasks)


def command(modules: t.Mapping[str, str], document: Body, interpreter: str = "python3") -> list[str]:
    """The command line that carries the agent's modules and the plan.

    Isolated: no site, no user folder, no variables of Python.
    """
    packed = pack(json.dumps(document))
    pieces = [packed[at : at + PIECE] for at in range(0, len(packed), PIECE)]
    return [interpreter, "-I", "-S", "-B", "-c", BOOT, pack(json.dumps(modules)), *pieces]


def job(
    name: str, run_id: str, client: Client, argv: t.Sequence[str], options: Options, *, inside: bool = False
) -> Body:
    """The Job of one client; passes Pod Security `restricted` and runs on any node, also a cordoned or tainted one.

    `nodeName` leaves the scheduler out: a node is probed because it was asked for, not because it has room to spare.

    Args:
        inside: it looks at the node itself, and stands for no client; only Pod Security `privileged` lets it in.
    """
    labels = {**OURS, RUN_LABEL: run_id}
    at_home = client.namespace == options.namespace
    strange = client in options.strangers
    worn = options.strangers[client] if strange else options.labels if at_home else {}
    pod: Body = {
        "nodeName": client.node,
        "tolerations": [{"operator": "Exists"}],
        "restartPolicy": "Never",
        "terminationGracePeriodSeconds": 0,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": 65534,
            "runAsGroup": 65534,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [
            {
                "name": CONTAINER,
                "image": options.image,
                "imagePullPolicy": options.image_pull_policy,
                "command": list(argv),
                "resources": {
                    "requests": {"cpu": "10m", "memory": "32Mi"},
                    "limits": {"cpu": "1", "memory": "128Mi"},
                },
                "securityContext": {
                    "allowPrivilegeEscalation": False,
                    "readOnlyRootFilesystem": True,
                    "capabilities": {"drop": ["ALL"]},
                },
            }
        ],
    }
    if inside:
        pod |= _INSIDE
        pod["containers"][0]["securityContext"] |= _INSIDE_CONTAINER
        worn = {}
    elif strange:
        pod["readinessGates"] = [{"conditionType": NEVER}]
    elif at_home and options.service_account:
        pod["serviceAccountName"] = options.service_account
    if at_home and options.image_pull_secrets:
        pod["imagePullSecrets"] = [{"name": secret} for secret in options.image_pull_secrets]
    return {
        "apiVersion": JOB.api_version,
        "kind": JOB.kind,
        "metadata": {"name": name, "namespace": client.namespace, "labels": labels},
        "spec": {
            "backoffLimit": 0,
            "activeDeadlineSeconds": int(options.timeout) + 1,
            "ttlSecondsAfterFinished": TTL_AFTER_FINISHED,
            "template": {"metadata": {"labels": {**worn, **labels}}, "spec": pod},
        },
    }


# To see a node from inside: its network, its processes, and root, but no more than these of root's powers. NET_ADMIN
# lists rules and connections, SYS_PTRACE looks up a process's network and root, SYS_CHROOT runs the node's own tools.
# AppArmor's usual profile keeps even such a pod from both. Nothing of the node is mounted, and nothing is privileged.
_INSIDE: Body = {
    "hostNetwork": True,
    "hostPID": True,
    "securityContext": {"runAsUser": 0, "runAsGroup": 0, "seccompProfile": {"type": "RuntimeDefault"}},
}
_INSIDE_CONTAINER: Body = {
    "capabilities": {"drop": ["ALL"], "add": ["NET_ADMIN", "SYS_CHROOT", "SYS_PTRACE"]},
    "appArmorProfile": {"type": "Unconfined"},
}


# ----- how far a pod has come: pure


@dataclass(frozen=True, slots=True)
class Progress:
    """What to do next about one client: `wait`, `ask` (the events), `follow` or `read` (the log), or `fail`."""

    step: str
    text: str = ""


def progress(pod: Body | None, age: float, client: Client, options: Options) -> Progress:
    """How far the probe of a client has come.

    Args:
        pod: as the API server shows it; None when there is none yet.
        age: seconds since its Job was created.
    """
    if pod is None:
        if age >= CONTROLLER_PATIENCE:
            return Progress("fail", f"the Job controller created no pod within {CONTROLLER_PATIENCE:g} s")
        return Progress("ask" if age >= ASK_AFTER else "wait", "the Job controller has not created the pod yet")
    status = pod.get("status") or {}
    found = [entry for entry in status.get("containerStatuses") or [] if entry.get("name") == CONTAINER]
    state = found[0].get("state") or {} if found else {}
    if state.get("terminated"):
        return _terminated(state["terminated"], options)
    if status.get("phase") == "Failed":
        reason, message = status.get("reason") or "Failed", status.get("message") or "no message"
        return Progress("fail", f"the pod was not run or was stopped: {reason}: {message}")
    if (pod.get("metadata") or {}).get("deletionTimestamp"):
        return Progress("fail", "the pod was deleted by somebody else before it was done")
    if "running" in state:
        return Progress("follow", f"the agent is still running after {age:.0f} s")
    return _waiting(status, state.get("waiting") or {}, age, client, options)


def _terminated(end: Body, options: Options) -> Progress:
    code, reason, message = end.get("exitCode"), end.get("reason") or "", end.get("message") or ""
    if code == 0:
        return Progress("read")
    if reason in ("StartError", "ContainerCannotRun") or code == 127:
        absent = "not found" in message or "no such file" in message or code == 127
        hint = f"image {options.image} has no {options.interpreter}; " if absent else ""
        return Progress("fail", f"{hint}the container did not start: {message or reason}")
    if reason == "OOMKilled":
        return Progress("fail", "the agent was killed: out of memory")
    return Progress("read", f"the agent ended with exit code {code} ({reason})")


def _waiting(status: Body, waiting: Body, age: float, client: Client, options: Options) -> Progress:
    reason, message = waiting.get("reason") or "", waiting.get("message") or ""
    if reason in _FINAL or (reason in _PULLING and age >= IMAGE_GRACE):
        return Progress("fail", f"image {options.image} on node {client.node}: {reason}: {message}")
    patience = min(KUBELET_PATIENCE, options.start_timeout)
    if not status.get("startTime") and age >= patience:
        return Progress(
            "fail",
            f"the kubelet of node {client.node} did not take up the pod within {patience:g} s;"
            " is the node there and ready?",
        )
    if age >= options.start_timeout:
        hint = message or f"is image {options.image} still being pulled?"
        why = ": ".join(filter(None, (reason, hint)))
        return Progress("fail", f"the container did not start within {options.start_timeout:g} s: {why}")
    return Progress("wait", f"the container has not started: {reason or 'no status yet'} {message}")


# ----- what comes back: pure


def parse(log: str, tasks: t.Sequence[Task], where: str = "the pod's log") -> ProbeOutcome:
    """The outcome out of what the agent said. Nothing in it can make this raise."""
    _before, found, rest = log.rpartition(f"{agent.MARKER}\n")
    if not found:
        return ProbeOutcome(cause=f"{where} holds no result; it ends with: {one_line(log[-200:]) or 'nothing'}")
    if len(rest) > MOST_LOG:
        return ProbeOutcome(cause=f"the result in {where} is larger than {MOST_LOG} bytes")
    try:
        document = json.loads(rest.split("\n", 1)[0])
    except (ValueError, RecursionError):
        return ProbeOutcome(cause=f"the result in {where} is cut or damaged: {len(rest)} bytes")
    if not isinstance(document, dict) or document.get("version") != agent.VERSION:
        return ProbeOutcome(cause=f"the result in {where} is of another version of the agent")
    given = document.get("observations")
    by_id = {str(task["id"]): task for task in tasks}
    certificates = _certificates(document.get("certificates"))
    observations: dict[str, Body] = {}
    for raw in given[: len(by_id)] if isinstance(given, list) else []:
        checked = check(raw, by_id, certificates)
        if checked:
            observations[checked["id"]] = checked
    lost = len(by_id) - len(observations)
    cause = f"{lost} of {len(by_id)} observations are missing or damaged" if lost else ""
    return ProbeOutcome(observations, cause)


def check(raw: t.Any, tasks: t.Mapping[str, Task], certificates: t.Mapping[str, bytes] | None = None) -> Body | None:
    """One observation with every value of the right type and of bounded size, or None.

    Args:
        certificates: the DER of those that were served, by digest.
    """
    if not isinstance(raw, dict) or not isinstance(raw.get("id"), str):
        return None
    task, kind = tasks.get(raw["id"]), raw.get("class")
    if task is None or raw.get("type") != task["type"] or kind not in agent.CLASSES:
        return None
    value = raw.get("value")
    if not isinstance(value, dict):
        return None
    fields = _VALUES.get(task["type"], {}) if kind == "ok" or task["type"] in agent.MERGES else {}
    checked = {name: typed(value.get(name)) for name, typed in fields.items()}
    if None in checked.values():
        return None
    if "contains" in checked and checked["contains"].keys() != {*(task.get("contains") or ())}:
        return None
    if "status" in checked:
        checked["status"] = checked["status"] or None  # null where there was no answer at all
    if "served" in checked:
        checked["served"] = [_with_chain(item, certificates or {}) for item in checked["served"]]
        if not all(item["chain"] for item in checked["served"]):
            return None  # a certificate was lost on the way to us, which is not the server's fault
    ms = raw.get("ms")
    return {
        "id": raw["id"],
        "type": task["type"],
        "class": kind,
        "detail": agent.clean(raw.get("detail") or ""),
        "ms": float(ms) if isinstance(ms, (int, float)) and 0 <= ms < 1e7 else 0.0,
        "value": checked,
    }


_Typed = t.Callable[[t.Any], t.Any]  # the value where it is of its type, None where it is not


def _number(value: t.Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 31 else None


def _clock(value: t.Any) -> int | None:
    """Seconds since 1970, also after 2038."""
    return value if isinstance(value, int) and 0 <= value < 1 << 40 else None


def _status(value: t.Any) -> int | None:
    return 0 if value is None else _number(value)


def _flag(value: t.Any) -> bool | None:
    return value if isinstance(value, bool) else None


def _rcode(value: t.Any) -> str | None:
    return value if isinstance(value, str) and re.fullmatch("[A-Z0-9]{1,20}", value) else None


def _texts(value: t.Any) -> list[str] | None:
    if not isinstance(value, list) or len(value) > agent.ANSWERS or not all(isinstance(item, str) for item in value):
        return None
    return [agent.clean(item, 1100) for item in value]  # a DNS name whose every byte is escaped


def _table(of: _Typed, clean: t.Callable[[str], str] | None = agent.clean) -> _Typed:
    def table(value: t.Any) -> Body | None:
        if not isinstance(value, dict) or len(value) > agent.IDENTITIES + 1:
            return None
        checked = {key if clean is None else clean(key): of(item) for key, item in value.items()}
        return None if None in checked.values() else checked

    return table


def _served(value: t.Any) -> list[Body] | None:
    if not isinstance(value, list) or len(value) > agent_tls.DIFFERENT:
        return None
    found = [
        {name: typed(item.get(name)) for name, typed in _SERVED.items()} for item in value if isinstance(item, dict)
    ]
    return None if any(None in item.values() for item in found) else found


def _code(value: t.Any) -> int | None:
    return value if isinstance(value, int) and -2 <= value < 1000 else None


def _text(value: t.Any) -> str | None:
    return agent.clean(value) if isinstance(value, str) else None


_SERVED: dict[str, _Typed] = {"chain": _texts, "protocol": _text, "below": _text, "code": _code, "text": _text}


def _certificates(value: t.Any) -> dict[str, bytes]:
    """DER by digest; what is not what it claims to be is left out."""
    found = {}
    for text in value.values() if isinstance(value, dict) else ():
        with contextlib.suppress(ValueError, TypeError):
            data = base64.b64decode(text, validate=True)
            found[hashlib.sha256(data).hexdigest()] = data
    return found


def _with_chain(item: Body, certificates: t.Mapping[str, bytes]) -> Body:
    whole = all(digest in certificates for digest in item["chain"])
    return {**item, "chain": [certificates[digest] for digest in item["chain"]] if whole else []}


_HTTP: dict[str, _Typed] = {
    "status": _status,
    "count": _number,
    "statuses": _table(_number),
    "contains": _table(_flag, clean=None),  # our own words, see check()
    "identities": _table(_number),
    "classes": _table(_number),
}
_VALUES: dict[str, dict[str, _Typed]] = {
    "http": _HTTP,
    "https": {**_HTTP, "served": _served, "clock": _clock},
    "control": {"late_ms": _number},
    "dns": {"rcode": _rcode, "answers": _texts, "truncated": _flag, "authoritative": _flag, "lost": _number},
    "resolve": {"addresses": _texts},
    "resolv_conf": {"nameservers": _texts, "search": _texts, "options": _texts},
    "node_proxy": {
        **dict.fromkeys(("running", "stopped", "eligible"), _flag),
        **dict.fromkeys(("answer", "mode"), _text),
        **dict.fromkeys(("status", "age"), _number),
    },
    "node_rules": {
        **dict.fromkeys(("iptables", "nftables"), _table(_texts)),
        "missing": _table(_text),
    },
    "node_conntrack": {"known": _flag, "count": _number, "max": _number, "flows": _table(_number), "unread": _text},
    "node_listeners": {"pods": _table(_texts)},
}


# ----- what earlier runs left behind: pure


def abandoned(found: Body, now: datetime.datetime) -> bool:
    """Whether a probe's Job has been left behind: over for a minute, or older than it may ever get.

    A run beside ours reads the log right after the end of its Job, so what ended just now may still be needed.
    """
    spec, status = found.get("spec") or {}, found.get("status") or {}
    born = _instant((found.get("metadata") or {}).get("creationTimestamp"))
    ends = [
        _instant(condition.get("lastTransitionTime"))
        for condition in status.get("conditions") or []
        if condition.get("type") in ("Complete", "Failed") and condition.get("status") == "True"
    ]
    if ends and ends[0]:
        return (now - ends[0]).total_seconds() > TTL_AFTER_FINISHED
    life = float(spec.get("activeDeadlineSeconds") or 0) + TTL_AFTER_FINISHED
    return born is not None and (now - born).total_seconds() > life


def _instant(text: t.Any) -> datetime.datetime | None:
    try:
        return datetime.datetime.fromisoformat(text)
    except (TypeError, ValueError):
        return None


# ----- the run


def run(cluster: Cluster, plans: t.Mapping[C, t.Sequence[Task]], options: Options) -> dict[C, ProbeOutcome]:
    """Carry out each client's tasks from a pod of its own, all at the same time.

    It ends by the cluster's deadline, whoever hangs; only removing the Jobs may take :data:`GRACE` more.

    The Jobs are gone afterwards, also when the run is interrupted; should it be killed, they end by their deadline and
    go by their time to live, and the next run looks after what is still there.

    Returns:
        An outcome for every client, whatever happened.
    """
    return _Round(cluster, plans, options).run()


class _Round(t.Generic[C]):
    """One round of probes: its Jobs, and the outcomes as they come in."""

    def __init__(self, cluster: Cluster, plans: t.Mapping[C, t.Sequence[Task]], options: Options) -> None:
        self.cluster = cluster
        # After it has begun, a round is over in any case by then.
        self.deadline = min(cluster.deadline, Deadline.after(options.timeout + 5))
        self.plans = plans
        self.options = options
        self.id = secrets.token_hex(5)
        self.outcomes: dict[C, ProbeOutcome] = {}
        self.jobs: dict[C, Body] = {}
        self.names: dict[str, C] = {}
        self.created: dict[C, float] = {}
        self.asked: dict[C, float] = {}
        self.accounts: dict[C, str] = {}
        self.seen: set[str] = set()
        self.followed: dict[C, float] = {}
        self.unread: dict[C, str] = {}  # why a log could not be followed
        self.reading: dict[C, futures.Future[ProbeOutcome | None]] = {}
        self.pool = futures.ThreadPoolExecutor(max_workers=16, thread_name_prefix="probe")
        self.gate = threading.Condition()  # guards the two below
        self.creating: set[C] = set()
        self.over = False
        for number, (client, tasks) in enumerate(plans.items()):
            argv = command(sources(tasks), plan(tasks, options), options.interpreter)
            if sum(map(len, argv)) > MOST_ARGUMENTS:
                self.fail(client, f"the plan of {len(tasks)} tasks is too large for a command line")
                continue
            name = f"plumbline-probe-{self.id}-{number}"
            self.names[name] = client
            self.jobs[client] = job(name, self.id, client, argv, options, inside=on_node(tasks))

    @property
    def open(self) -> list[C]:
        """Clients without an outcome."""
        return [client for client in self.plans if client not in self.outcomes]

    def fail(self, client: C, cause: str, pod: str = "") -> None:
        self.outcomes[client] = ProbeOutcome(cause=one_line(f"{_where(client)}: {cause}", 500), pod=pod)

    def run(self) -> dict[C, ProbeOutcome]:
        try:
            namespaces = dict.fromkeys(client.namespace for client in self.open)
            interests = [Interest(POD, namespace, labels=f"{RUN_LABEL}={self.id}") for namespace in namespaces]
            with View(self.cluster, interests) as view:
                creations = [self.pool.submit(self.create, client) for client in self.open]
                for creation in creations:
                    creation.result()
                sweeps = [self.pool.submit(self.sweep, namespace) for namespace in namespaces]
                self.collect(view, interests)
            futures.wait(sweeps, timeout=min(5.0, self.cluster.deadline.left))
        except KubeError as error:
            for client in self.open:
                self.fail(client, str(error))
        finally:
            self.pool.shutdown(wait=False, cancel_futures=True)
            self.end_creation()
            self.remove()
        return {client: self.outcomes[client] for client in self.plans}

    def create(self, client: C) -> None:
        with self.gate:
            if self.over:
                return
            self.creating.add(client)
        try:
            self.jobs[client] = self.cluster.create(JOB, self.jobs[client])
        except KubeError as error:
            self.fail(client, str(error))
            if isinstance(error, ApiError):
                del self.jobs[client]  # refused: there is nothing to remove
        finally:
            self.created[client] = time.monotonic()
            with self.gate:
                self.creating.discard(client)
                self.gate.notify_all()

    def end_creation(self) -> None:
        """A Job whose creation is still under way would be missed by its own removal.

        Those that create tell: who is interrupted does not know whom it had set to work.
        """
        with self.gate:
            self.over = True
            self.gate.wait_for(lambda: not self.creating, timeout=min(10.0, self.cluster.deadline.later(GRACE).left))

    def collect(self, view: View, interests: t.Sequence[Interest]) -> None:
        """Bring every client to an outcome.

        A kubelet tells that a container has ended up to a second late, so each log is followed as soon as its container
        runs. A log that was followed to its end without a result is read once more, when the pod says how it ended.
        """

        def states(_view: View) -> list[tuple[C, str, Progress]]:
            pods = self.pods(view, interests)
            return [self.progress(client, pods.get(client)) for client in self.open]

        def news(_view: View) -> list[tuple[C, str, Progress]] | None:
            found = [(client, pod, state) for client, pod, state in states(view) if client not in self.reading]
            return [state for state in found if state[2].step != "wait"] or None

        while self.open and not self.deadline.over:
            if not self.idle:
                self.gather()
                continue
            with contextlib.suppress(WaitTimeout):
                for client, pod, state in view.wait(news, self.deadline.left, "the end of the probe pods"):
                    self.act(client, pod, state)
        for client, pod, state in view.wait(states, 0.0, "how far they have come"):
            far = state.text or "the agent has ended, but its log did not come"
            self.fail(client, far if state.step == "fail" else f"{far}; {_OVER}", pod)

    @property
    def idle(self) -> list[C]:
        """Clients without an outcome whose log nobody is reading."""
        return [client for client in self.open if client not in self.reading]

    def act(self, client: C, pod: str, state: Progress) -> None:
        if state.step == "fail":
            self.fail(client, state.text, pod)
        elif state.step == "ask":
            self.ask(client)
        elif state.step == "follow":
            self.followed[client] = time.monotonic()
            self.reading[client] = self.pool.submit(self.follow, client, pod)
        else:
            self.reading[client] = self.pool.submit(self.read, client, pod, state.text)

    def gather(self) -> None:
        """Wait for what is being read, as long as there is time."""
        futures.wait(self.reading.values(), self.deadline.left)
        for client, reader in list(self.reading.items()):
            if reader.done():
                outcome = reader.result()
                if outcome:
                    self.outcomes[client] = outcome
                del self.reading[client]

    def pods(self, view: View, interests: t.Sequence[Interest]) -> dict[C, Body]:
        """The newest pod of each client."""
        found = [pod for interest in interests for pod in view.objects(interest)]
        found.sort(key=lambda pod: str(pod["metadata"].get("creationTimestamp")))
        pods = {}
        for pod in found:
            name = (pod["metadata"].get("labels") or {}).get(JOB_NAME_LABEL, "")
            if name in self.names:
                pods[self.names[name]] = pod
                self.seen.add(name)
        return pods

    def progress(self, client: C, pod: Body | None) -> tuple[C, str, Progress]:
        """The client, its pod's name, and what to do next."""
        name = pod["metadata"]["name"] if pod else ""
        now = time.monotonic()
        if pod is None and self.jobs[client]["metadata"]["name"] in self.seen:
            # A kubelet that cannot be asked may take longer than a pod is kept that is done.
            gone = self.unread.get(client) or "the pod was removed by somebody else before it was done"
            return client, name, Progress("fail", gone)
        state = progress(pod, now - self.created[client], client, self.options)
        if pod is None and state.step == "fail" and self.accounts.get(client):
            return client, name, Progress("fail", f"ServiceAccount {self.accounts[client]} is not there; {state.text}")
        if state.step == "ask" and now - self.asked.get(client, 0.0) < ASK_AFTER:
            return client, name, Progress("wait", state.text)
        if state.step == "follow" and client in self.followed:
            over = now - self.followed[client] > self.options.budget + RUN_MARGIN
            return client, name, Progress("fail" if over else "wait", state.text)
        return client, name, state

    def ask(self, client: C) -> None:
        """Whether the Job controller said why there is no pod: quota, Pod Security, a webhook."""
        self.asked[client] = time.monotonic()
        uid = (self.jobs[client].get("metadata") or {}).get("uid", "")
        try:
            events = self.cluster.list(EVENT, client.namespace, fields=f"involvedObject.uid={uid}").items
        except KubeError:
            return  # the right to list events is not required
        for event in events:
            if event.get("reason") == "FailedCreate":
                # Without an account the Job controller tries again, and in a namespace made just now it will succeed.
                self.accounts[client] = missing_account(str(event.get("message")))
                if not self.accounts[client]:
                    self.fail(client, f"the pod was refused: {event.get('message')}")

    def follow(self, client: C, pod: str) -> ProbeOutcome | None:
        """The outcome as soon as the log holds it whole; None where it ends without."""
        log, marker, begin = bytearray(), f"{agent.MARKER}\n".encode(), -1
        try:
            for piece in self.cluster.follow_log(client.namespace, pod, CONTAINER, limit_bytes=MOST_LOG):
                seen = len(log)
                log += piece
                if begin < 0:
                    begin = log.find(marker, max(0, seen - len(marker)))
                if begin >= 0 and log.find(b"\n", max(seen, begin + len(marker))) >= 0:
                    break
        except KubeError as error:
            self.unread[client] = f"the log of pod {pod} cannot be read: {error}"
            return None
        outcome = parse(log.decode("utf-8", "replace"), self.plans[client])
        return self.placed(client, pod, outcome) if outcome.observations else None

    def placed(self, client: C, pod: str, outcome: ProbeOutcome, trouble: str = "") -> ProbeOutcome:
        """The outcome with its pod, and with what went wrong told in full."""
        cause = ": ".join(text for text in (trouble, outcome.cause) if text)
        return ProbeOutcome(outcome.observations, cause and one_line(f"{_where(client)}: {cause}", 500), pod)

    def read(self, client: C, pod: str, trouble: str) -> ProbeOutcome:
        outcome = ProbeOutcome()
        for attempt in range(2):
            try:
                log = self.cluster.log(client.namespace, pod, CONTAINER, limit_bytes=MOST_LOG)
            except KubeError as error:
                outcome = ProbeOutcome(cause=f"the log of pod {pod} cannot be read: {error}")
            else:
                outcome = parse(log, self.plans[client])
            if outcome.observations or attempt:
                break
            time.sleep(0.3)  # the runtime may still be writing the log of a container that has just ended
        return self.placed(client, pod, outcome, trouble)

    def sweep(self, namespace: str) -> None:
        """Remove what killed runs left behind; the server's own clock says what is old."""
        born = [_instant(found["metadata"].get("creationTimestamp")) for found in self.jobs.values()]
        now = max((instant for instant in born if instant), default=None)
        selector = ",".join(f"{key}={value}" for key, value in OURS.items()) + f",{RUN_LABEL}!={self.id}"
        with contextlib.suppress(KubeError):  # tidying up must not cost a verdict
            for found in self.cluster.list(JOB, namespace, labels=selector).items if now else []:
                if now and abandoned(found, now):
                    metadata = found["metadata"]
                    self.cluster.delete(JOB, metadata["name"], namespace, uid=metadata.get("uid"))

    def remove(self) -> None:
        cluster = self.cluster.until(self.cluster.deadline.later(GRACE))

        def remove_one(found: Body) -> None:
            metadata = found["metadata"]
            with contextlib.suppress(KubeError):  # it goes by its time to live
                cluster.delete(JOB, metadata["name"], metadata["namespace"])

        with futures.ThreadPoolExecutor(max_workers=16) as pool:
            for found in self.jobs.values():
                pool.submit(remove_one, found)


def _where(client: Client) -> str:
    return f"probe on node {client.node} in namespace {client.namespace}"
