# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The rights that a diagnosis makes use of, out of the code that asks for them, and the Roles that grant them."""

from __future__ import annotations

import typing as t

from ansible_collections.plumbline.kubernetes.plugins.module_utils.connectivity.engine import PROBE_RIGHTS, interests
from ansible_collections.plumbline.kubernetes.plugins.module_utils.connectivity.gather import (
    CLIENT,
    CLIENT_PARTS,
    CLUSTER,
    DNS,
    FURTHER,
    HOME,
    PARTS,
)
from ansible_collections.plumbline.kubernetes.plugins.module_utils.connectivity.question import (
    LAYERS,
    SURROUNDINGS,
    Client,
    Question,
)

API_SERVER = "api server"  # the namespace of the Service kubernetes
WHERE = {
    HOME: "demo",
    CLIENT: "shop",
    DNS: "kube-system",
    API_SERVER: "default",
    CLUSTER: "",
}


class Right(t.NamedTuple):
    """One verb on one resource (`pods/log` is one, too); `where` is a key of WHERE."""

    where: str
    group: str
    resource: str
    verb: str


def _question(*, probe: bool) -> Question:
    return Question(WHERE[HOME], "my-nginx", Client(WHERE[CLIENT]), layers=(*LAYERS, *SURROUNDINGS), ask=probe)


def api() -> set[Right]:
    """What is read where nothing is started: the Service, what is behind it, and the surroundings."""
    found = _followed(probe=False)
    found.add(Right(HOME, "", "services", "get"))
    found |= {Right(part.where, part.kind.group, part.kind.plural, part.verb) for part in PARTS}
    # The clients' own workload, of whichever kind.
    found |= {Right(part.where, part.kind.group, part.kind.plural, part.verb) for part in CLIENT_PARTS}
    found |= {Right(CLIENT, "apps", kind, "get") for kind in ("deployments", "statefulsets", "daemonsets")}
    return found | {
        Right(where, "", f"{resource}/{sub}" if sub else resource, verb) for verb, resource, sub, where in FURTHER
    }


def probing() -> set[Right]:
    """What is needed besides to ask from pods, and to read variables in the containers."""
    found = {Right(CLIENT, group, f"{r}/{sub}" if sub else r, verb) for verb, r, group, sub in PROBE_RIGHTS}
    # Removes its Jobs and what killed runs left behind; asks the events why there is no pod.
    found |= {Right(CLIENT, "batch", "jobs", "delete"), Right(CLIENT, "batch", "jobs", "list")}
    found.add(Right(CLIENT, "", "events", "list"))
    # A WebSocket opens with a GET.
    found |= {Right(HOME, "", "pods/exec", "create"), Right(HOME, "", "pods/exec", "get")}
    # The annotation with the fingerprint, see trust.py.
    found.add(Right(HOME, "", "secrets", "list"))
    return (found | _followed(probe=True)) - api()


def _followed(*, probe: bool) -> set[Right]:
    """What a snapshot is made of: listed, then watched."""
    found = set()
    for part, interest in interests(_question(probe=probe), (("run", "my-nginx"),)).items():
        where = {"api_server": API_SERVER, "nodes": CLUSTER}.get(part, DNS if part.startswith("dns") else HOME)
        found |= {Right(where, interest.kind.group, interest.kind.plural, verb) for verb in ("list", "watch")}
    return found


def roles(rights: t.Iterable[Right], mode: str) -> list[dict[str, t.Any]]:
    """The Roles that grant them, one for each place."""
    found = []
    for where in sorted({right.where for right in rights}, key=list(WHERE).index):
        namespace = WHERE[where]
        name = f"plumbline-diagnose-{mode}-{where.replace(' ', '-')}"
        found.append(
            {
                "apiVersion": "rbac.authorization.k8s.io/v1",
                "kind": "Role" if namespace else "ClusterRole",
                "metadata": {"name": name, **({"namespace": namespace} if namespace else {})},
                "rules": _rules([right for right in rights if right.where == where]),
            }
        )
    return found


def _rules(rights: t.Sequence[Right]) -> list[dict[str, t.Any]]:
    """Resources of one group with the same verbs share a rule."""
    verbs: dict[tuple[str, str], set[str]] = {}
    for right in rights:
        verbs.setdefault((right.group, right.resource), set()).add(right.verb)
    alike: dict[tuple[str, tuple[str, ...]], list[str]] = {}
    for (group, resource), granted in sorted(verbs.items()):
        alike.setdefault((group, tuple(sorted(granted))), []).append(resource)
    return [
        {"apiGroups": [group], "resources": resources, "verbs": list(granted)}
        for (group, granted), resources in alike.items()
    ]


def granted(published: t.Iterable[dict[str, t.Any]], places: t.Mapping[str, str] | None = None) -> set[Right]:
    """The rights of published Roles.

    Args:
        places: namespace -> key of WHERE, where the Roles are for other namespaces.
    """
    places = places or {namespace: where for where, namespace in WHERE.items()}
    return {
        Right(places[role["metadata"].get("namespace", "")], group, resource, verb)
        for role in published
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }
