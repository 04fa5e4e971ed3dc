# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Private to this collection: may change in any release.
"""What a Pod Security level forbids a pod: https://kubernetes.io/docs/concepts/security/pod-security-standards/. Pure.

Only what is sure; the controls of SELinux, AppArmor and sysctls are left to the API server.
"""

from __future__ import annotations

import typing as t

from .facts import Body

ENFORCE = "pod-security.kubernetes.io/enforce"
_CAPABILITIES = frozenset(
    {
        *("AUDIT_WRITE", "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "MKNOD", "NET_BIND_SERVICE"),
        *("SETFCAP", "SETGID", "SETPCAP", "SETUID", "SYS_CHROOT"),
    }
)
_VOLUMES = frozenset(
    {"configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret"}
)
_SECCOMP = ("RuntimeDefault", "Localhost")


def violations(level: str, spec: Body) -> list[str]:
    """The fields of a pod's spec that `level` (baseline, restricted) does not admit, in words."""
    if level not in ("baseline", "restricted") or (spec.get("os") or {}).get("name") == "windows":
        return []
    found = _baseline(spec)
    return found + _restricted(spec) if level == "restricted" else found


def _containers(spec: Body) -> list[tuple[Body, Body]]:
    everyone = (*(spec.get("initContainers") or []), *(spec.get("containers") or []))
    return [(container, container.get("securityContext") or {}) for container in everyone]


def _baseline(spec: Body) -> list[str]:
    found = [f"{key}: true" for key in ("hostNetwork", "hostPID", "hostIPC") if spec.get(key)]
    found += [f"hostPath volume {volume['name']}" for volume in spec.get("volumes") or [] if volume.get("hostPath")]
    for container, context in _containers(spec):
        if context.get("privileged"):
            found.append(f"privileged container {container['name']}")
        if any(port.get("hostPort") for port in container.get("ports") or []):
            found.append(f"hostPort of container {container['name']}")
        added = set((context.get("capabilities") or {}).get("add") or []) - _CAPABILITIES
        if added:
            found.append(f"capabilities {', '.join(sorted(added))} of container {container['name']}")
    return found


def _restricted(spec: Body) -> list[str]:
    pod = spec.get("securityContext") or {}
    found = [
        f"volume {volume['name']} of type {kind}"
        for volume in spec.get("volumes") or []
        for kind in volume
        if kind not in (*_VOLUMES, "name", "hostPath")
    ]
    rules: tuple[tuple[str, t.Callable[[Body], bool]], ...] = (
        ("allowPrivilegeEscalation: false", lambda own: own.get("allowPrivilegeEscalation") is False),
        ("runAsNonRoot: true", lambda own: own.get("runAsNonRoot", pod.get("runAsNonRoot")) is True),
        ("runAsUser other than 0", lambda own: own.get("runAsUser", pod.get("runAsUser")) != 0),
        ("capabilities.drop: [ALL]", lambda own: "ALL" in ((own.get("capabilities") or {}).get("drop") or [])),
        (
            "seccompProfile.type: RuntimeDefault",
            lambda own: (own.get("seccompProfile") or pod.get("seccompProfile") or {}).get("type") in _SECCOMP,
        ),
    )
    for text, holds in rules:
        names = [container["name"] for container, own in _containers(spec) if not holds(own)]
        if names:
            found.append(f"no {text} in {', '.join(names)}" if "other" not in text else f"runAsUser 0 in {names[0]}")
    return found
