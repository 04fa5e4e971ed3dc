# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Private to this collection: may change in any release.
"""Part of the layer workload: containers whose image cannot be pulled, that cannot be created, or that keep ending."""

from __future__ import annotations

from ..behind import KEPT, Behind, name_of, states
from ..facts import Body
from ..logs import paths, telling_line
from ..result import Finding
from . import sources
from .common import Bench
from .wording import START, accuse, asked, field_of, hint, probe_text, tail

# A container that lived longer was stopped from outside rather, say with its node.
_SHORT_LIFE = 600
_PULL = frozenset({"ErrImagePull", "ImagePullBackOff", "ErrImageNeverPull", "InvalidImageName", "ErrImageInspect"})
# How a container ends that the kubelet stops: by SIGTERM, politely or not, or by SIGKILL.
_KILLED = (0, 143, 137)
_CONFIG = frozenset({"CreateContainerConfigError", "CreateContainerError", "RunContainerError"})

_CONFIG_HINTS = (
    (r"runAsNonRoot", "the image runs as root, which the pod forbids: set runAsUser, or take another image"),
    (r"executable file not found|no such file", "its command is not in the image"),
    (
        r"argument list too long",
        "the variables of all Services of the namespace are more than the kernel takes: set enableServiceLinks: false",
    ),
    (r"not a directory", "a file is mounted over a folder, or a folder over a file: see its subPath"),
)


def started(bench: Bench, behind: Behind, pod: Body) -> Finding | None:
    """WL-05, WL-08: containers that cannot start, or keep ending."""
    for spec, state in states(pod):
        waiting = (state.get("state") or {}).get("waiting") or {}
        reason = str(waiting.get("reason") or "")
        if reason in _PULL:
            return _pull(bench, behind, pod, spec, waiting)
        if keeps_ending(behind, state):
            return _ended(bench, behind, pod, spec, state)
        if reason in _CONFIG:
            text = tail(str(waiting.get("message") or reason))
            return accuse(
                bench,
                behind,
                pod,
                "WL-05",
                "started",
                f"{name_of(pod)} cannot create its container {spec['name']}: {text}",
                field=field_of(spec),
                observed=reason,
                expected="a running container",
                cause=hint(_CONFIG_HINTS, str(waiting.get("message") or "")),
            )
    return None


def _pull(bench: Bench, behind: Behind, pod: Body, spec: Body, waiting: Body) -> Finding:
    image, text = str(spec.get("image") or ""), tail(_pull_text(behind, pod, waiting), str(spec.get("image") or ""))
    secrets = [ref.get("name") for ref in pod["spec"].get("imagePullSecrets") or []]
    return accuse(
        bench,
        behind,
        pod,
        "WL-05",
        "started",
        f"the image {image} of {name_of(pod)} cannot be pulled: {text}",
        field=f"{field_of(spec)}.image",
        observed=waiting.get("reason"),
        expected="an image that its node can pull",
        cause=hint(_PULL_HINTS, text),
        evidence={"image": image, "container": spec["name"], "imagePullSecrets": secrets},
    )


def _pull_text(behind: Behind, pod: Body, waiting: Body) -> str:
    """Older kubelets keep what the registry said in events only."""
    text = str(waiting.get("message") or "")
    if waiting.get("reason") == "ImagePullBackOff" and "Err" not in text:
        told = behind.warnings(pod, ("Failed",), "Failed to pull image")
        return told[0] if told else text
    return text


_PULL_HINTS = (
    (r"not found|manifest unknown|does not exist", "the registry has no such image or tag: see its spelling"),
    (
        r"unauthorized|authentication|authorization|denied|forbidden|\b40[13]\b",
        "the registry wants credentials: see imagePullSecrets, also of the ServiceAccount",
    ),
    (r"x509|certificate", "the node does not trust the registry's certificate"),
    (r"toomanyrequests|rate limit|\b429\b", "the registry limits how often it is asked"),
    (r"no space left", "the node's disk is full"),
    (r"present with pull policy of Never", "load the image onto the node, or allow to pull it (imagePullPolicy)"),
    (r"parse image name|invalid reference", "the name of the image is none"),
    (r"dial tcp|lookup|timeout|no such host|connection refused", "the node does not reach the registry of that name"),
)
# ----- containers that end


def keeps_ending(behind: Behind, state: Body) -> bool:
    """Whether a container ends again and again: in back-off, just ended once more, or up for a moment between."""
    now, restarts = state.get("state") or {}, int(state.get("restartCount") or 0)
    if (now.get("waiting") or {}).get("reason") == "CrashLoopBackOff":
        return True
    if now.get("terminated"):
        # One that is ready is an init container that is done.
        return not state.get("ready") and restarts > 0 and _lived(behind, now["terminated"]) < _SHORT_LIFE
    before = (state.get("lastState") or {}).get("terminated")
    if not now.get("running") or not before or restarts < 2:
        return False
    lived = _lived(behind, before)
    # Once it has run for much longer than before, it has recovered.
    return lived < _SHORT_LIFE and behind.since(now["running"].get("startedAt")) < max(START, 2 * lived)


def _lived(behind: Behind, ended: Body) -> float:
    if ended.get("reason") in ("StartError", "ContainerCannotRun"):
        return 0.0  # never started; its startedAt is the year 1970
    return behind.since(ended.get("startedAt")) - behind.since(ended.get("finishedAt"))


def _ended(bench: Bench, behind: Behind, pod: Body, spec: Body, state: Body) -> Finding:
    ended = (state.get("state") or {}).get("terminated") or (state.get("lastState") or {}).get("terminated") or {}
    for kind in ("Liveness", "Startup"):
        told = behind.warnings(pod, ("Unhealthy",), f"{kind} probe ", KEPT)
        if told and spec.get(f"{kind.lower()}Probe") and ended.get("exitCode") in _KILLED:
            return _killed(bench, behind, pod, spec, state, kind, told[0])
    metadata = pod["metadata"]
    line = telling_line(behind.facts.logs.get(f"{metadata['namespace']}/{metadata['name']}/{spec['name']}", ""))
    for path in paths(line):
        finding = sources.lacking(bench, behind, pod, spec, path, line)
        if finding:
            return finding
    code, reason = ended.get("exitCode"), str(ended.get("reason") or "")
    look = f"kubectl logs -n {metadata['namespace']} {metadata['name']} -c {spec['name']} --previous"
    why = _why_ended(spec, ended, line)
    return accuse(
        bench,
        behind,
        pod,
        "WL-05",
        "started",
        f"container {spec['name']} of {name_of(pod)} keeps ending: {why or f'exit code {code}'}",
        field=field_of(spec),
        observed=f"exit code {code}" + (f" ({reason})" if reason else ""),
        expected="a container that keeps running",
        cause=_cause_of_end(spec, ended, line, look),
        evidence={"container": spec["name"], "restarts": state.get("restartCount"), "log": line, "see": look},
    )


def _why_ended(spec: Body, ended: Body, line: str) -> str:
    reason = ended.get("reason")
    if reason == "OOMKilled":
        limit = ((spec.get("resources") or {}).get("limits") or {}).get("memory")
        return f"it takes more memory than its limit of {limit}" if limit else "its node runs out of memory"
    if reason in ("StartError", "ContainerCannotRun"):
        return tail(str(ended.get("message") or reason))
    if line:
        return line
    return "its command is done (exit code 0)" if _is_done(spec, ended) else ""


def _is_done(spec: Body, ended: Body) -> bool:
    """It ended by itself and well; a kubelet that stops it for a probe makes many servers end well, too."""
    return ended.get("exitCode") == 0 and not (spec.get("livenessProbe") or spec.get("startupProbe"))


def _cause_of_end(spec: Body, ended: Body, line: str, look: str) -> str:
    if ended.get("reason") == "OOMKilled":
        return "raise resources.limits.memory, or let it take less"
    if ended.get("reason") in ("StartError", "ContainerCannotRun"):
        return hint(_CONFIG_HINTS, str(ended.get("message") or ""))
    if _is_done(spec, ended):
        return "a server has to stay in the foreground: its command ends by itself"
    return f"see its whole log: {look}" if line else f"its log says why: {look}"


def _killed(bench: Bench, behind: Behind, pod: Body, spec: Body, state: Body, kind: str, told: str) -> Finding:
    """WL-08."""
    probe, text = spec[f"{kind.lower()}Probe"], probe_text(told)
    return accuse(
        bench,
        behind,
        pod,
        "WL-08",
        "started",
        f"the kubelet keeps restarting container {spec['name']} of {name_of(pod)}, "
        f"since its {kind.lower()} probe fails: {text}",
        field=f"{field_of(spec)}.{kind.lower()}Probe",
        observed=text,
        expected=asked(probe, spec),
        cause="the probe asks for what the application does not offer, or gives it too little time",
        evidence={"container": spec["name"], "restarts": state.get("restartCount")},
    )
