#!/usr/bin/python

# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Module: read what tls_secret keeps."""

from __future__ import annotations

DOCUMENTATION = r"""
module: tls_secret_info
short_description: Read the generations of a server's TLS Secret
version_added: 0.1.0
author:
  - The plumbline.kubernetes authors (@plumbline)
description:
  - Lists the Secrets that M(plumbline.kubernetes.tls_secret) keeps under a name, with the public facts of their
    certificates, when they are due, and what names them.
  - On request it asks each pod of a Service which of these certificates it serves.
  - Nothing of a private key leaves it.
extends_documentation_fragment:
  - plumbline.kubernetes.auth
  - plumbline.kubernetes.attributes
attributes:
  check_mode:
    support: full
    details: It only reads. Starts no probe pod, so RV(served) is left out.
  diff_mode:
    support: none
    details: It changes nothing.
  idempotent:
    support: full
options:
  name:
    description: What the names of the Secrets begin with.
    type: str
    required: true
  namespace:
    description: Their namespace.
    type: str
    required: true
  bundle:
    description: The certificates that clients trust, PEM, for RV(generations[].problem).
    type: str
  service:
    description:
      - Name of a Service in O(namespace). Each of its ready endpoints is asked, from one probe pod beside them, which
        certificate it serves. That takes a few seconds.
    type: str
  port:
    description: With O(service), its port by name or number. By default all that speak HTTPS, by name or number.
    type: str
  client:
    description: With O(service), the probe pod. It carries no credentials and is removed afterwards.
    type: dict
    suboptions:
      labels:
        description: Further labels, for network policies to judge it by. No selector of a workload may match them.
        type: dict
      service_account:
        description: Service account it runs as. Its token is not mounted.
        type: str
      image:
        description: An image with Python 3.9 or newer.
        type: str
        default: python:3.14
      image_pull_policy:
        description: When to pull the image.
        type: str
        choices: [Always, IfNotPresent, Never]
        default: IfNotPresent
      image_pull_secrets:
        description: Names of Secrets to pull the image with.
        type: list
        elements: str
        default: []
  renew_fraction:
    description: As of M(plumbline.kubernetes.tls_secret), for RV(generations[].renew_at).
    type: float
  renew_before_days:
    description: As of M(plumbline.kubernetes.tls_secret), for RV(generations[].renew_at).
    type: int
notes:
  - The module needs in O(namespace) the rights to V(list) and V(get) C(secrets). For RV(generations[].in_use_by) it
    needs the rights to V(list) what can name them, as M(plumbline.kubernetes.tls_secret) does.
  - For O(service) it needs those of M(plumbline.kubernetes.verify_http), without the ones on nodes, Secrets and
    ConfigMaps.
seealso:
  - module: plumbline.kubernetes.tls_secret
"""

EXAMPLES = r"""
- name: Look at the certificates of the server
  plumbline.kubernetes.tls_secret_info:
    name: my-nginx-tls
    namespace: demo
  register: tls

- name: Show until when the newest one is valid
  ansible.builtin.debug:
    msg: "{{ tls.generations[0].certificate.not_after }}"
  when: tls.current != ""

- name: Which of them does each pod serve
  plumbline.kubernetes.tls_secret_info:
    name: my-nginx-tls
    namespace: demo
    service: my-nginx
  register: tls

- name: Insist on the newest one, everywhere
  ansible.builtin.assert:
    that: tls.served | rejectattr('matches') == []
"""

RETURN = r"""
current:
  description: Name of the newest generation, empty where there is none.
  returned: success
  type: str
  sample: my-nginx-tls-3c182a43b2
aliases:
  description: Names of the mutable Secrets that repeat it.
  returned: success
  type: list
  elements: str
repeats:
  description:
    - By name of each of RV(aliases) the generation whose certificate is in it. That is not RV(current) where a run was
      killed before it wrote the alias, and empty where somebody else wrote it.
  returned: success
  type: dict
  sample: {"nginxsecret": "my-nginx-tls-3c182a43b2"}
generations:
  description: The generations, newest first.
  returned: success
  type: list
  elements: dict
  contains:
    secret_name:
      description: Name of the Secret.
      type: str
    certificate:
      description: Public facts of the certificate, as of M(plumbline.kubernetes.tls_secret). Empty when it is damaged.
      type: dict
    pair:
      description: Whether the key belongs to the certificate.
      type: bool
    renew_at:
      description: From when on a run replaces it. Empty when it is damaged.
      type: str
    problem:
      description:
        - Why it must not be served now, in one line, or an empty string. Judged are pair, chain and time, and with
          O(bundle) whether clients trust it.
      type: str
    in_use_by:
      description:
        - Workloads, pods, Ingresses and Gateways that name it, as C(Kind/name). Gateways of another namespace, that
          have leave by a ReferenceGrant, as C(Kind/namespace/name).
      type: list
      elements: str
served:
  description: What each ready endpoint serves, by pod, at most 200 of them.
  returned: when O(service) is given, not in check mode
  type: list
  elements: dict
  contains:
    pod:
      description: Name of the pod.
      type: str
    address:
      description: Its address.
      type: str
    port:
      description: The port of the Service, such as C(https (443/TCP\)).
      type: str
    serial:
      description: Serial number of the certificate, hexadecimal. Empty when none was served.
      type: str
    fingerprint:
      description: Its SHA-256 fingerprint. Empty when none was served.
      type: str
    secret_name:
      description: The generation that holds it. Empty when none does.
      type: str
    matches:
      description: Whether that is RV(current).
      type: bool
    problem:
      description: Why none was served, in one line, or an empty string.
      type: str
in_use_known:
  description: Whether all that could name a Secret may be listed. Otherwise RV(generations[].in_use_by) is empty.
  returned: success
  type: bool
"""

import typing as t
from datetime import UTC, datetime

from ansible_collections.plumbline.kubernetes.plugins.module_utils.availability.plan import CLIENT
from ansible_collections.plumbline.kubernetes.plugins.module_utils.connectivity import served
from ansible_collections.plumbline.kubernetes.plugins.module_utils.kube.client import Body, Cluster
from ansible_collections.plumbline.kubernetes.plugins.module_utils.kube.errors import Forbidden
from ansible_collections.plumbline.kubernetes.plugins.module_utils.kube.kinds import SECRET
from ansible_collections.plumbline.kubernetes.plugins.module_utils.kube.module import Definition, Task
from ansible_collections.plumbline.kubernetes.plugins.module_utils.pki.certificates import (
    facts,
    fingerprint,
    parse_chain,
    stamp,
)
from ansible_collections.plumbline.kubernetes.plugins.module_utils.pki.errors import PkiError
from ansible_collections.plumbline.kubernetes.plugins.module_utils.tls import material, secrets

OPTIONS: dict[str, t.Any] = {
    "name": {"type": "str", "required": True},
    "namespace": {"type": "str", "required": True},
    "bundle": {"type": "str"},
    "service": {"type": "str"},
    "port": {"type": "str"},
    "client": {"type": "dict", "options": CLIENT, "apply_defaults": True},
    "renew_fraction": {"type": "float"},
    "renew_before_days": {"type": "int"},
}


def action(task: Task, cluster: Cluster) -> dict[str, t.Any]:
    """Read the generations and who names them."""
    name, namespace = task.params["name"], task.params["namespace"]
    renewal, now = material.renewal(task.params), datetime.now(UTC)
    bundle = task.params["bundle"]
    roots = parse_chain(bundle.encode(), what="bundle") if bundle else ()
    metadata = secrets.tls_metadata(cluster, namespace)
    found = secrets.generations(metadata, name)
    named, known = _users(task, cluster, [item.name for item in found])
    generations: list[dict[str, t.Any]] = []
    for item in found:
        secret = cluster.get(SECRET, item.name, namespace)
        stored = secrets.stored_of(secret)
        if secret is None or stored is None:
            continue  # removed since it was listed
        leaf = stored.chain[0] if stored.chain else None
        generations.append(
            {
                "secret_name": item.name,
                "certificate": facts(leaf) if leaf else {},
                "pair": stored.pair,
                "renew_at": stamp(renewal.at(leaf)) if leaf else "",
                "problem": secrets.problem(secret, roots, now),
                "in_use_by": named.get(item.name, []),
            }
        )
    current = generations[0]["secret_name"] if generations else ""
    names = {item["certificate"].get("fingerprint"): item["secret_name"] for item in reversed(generations)}
    aliases = [item.name for item in secrets.aliases(metadata, name)]
    result: dict[str, t.Any] = {
        "changed": False,
        "current": current,
        "aliases": aliases,
        "repeats": {alias: _repeated(cluster.get(SECRET, alias, namespace), names) for alias in aliases},
        "generations": generations,
        "in_use_known": known,
    }
    service, port, client = (task.params[option] for option in ("service", "port", "client"))
    if service and not task.check_mode:
        found_served = served.ask(cluster, namespace, service, port, client)
        result["served"] = [_served(one, names, current) for one in found_served]
    return result


def _repeated(item: Body | None, names: dict[str, str]) -> str:
    """The generation that an alias holds: its certificate is compared, for an annotation may be out of date."""
    stored = secrets.stored_of(item)
    return names.get(fingerprint(stored.chain[0]), "") if stored and stored.pair else ""


def _served(one: served.Served, names: dict[str, str], current: str) -> dict[str, t.Any]:
    """What an endpoint serves, against the generations by fingerprint."""
    leaf = facts(one.chain[0]) if one.chain else {"serial": "", "fingerprint": ""}
    secret_name = names.get(leaf["fingerprint"], "")
    return {
        "pod": one.endpoint.pod,
        "address": one.endpoint.address,
        "port": one.port.label,
        "serial": leaf["serial"],
        "fingerprint": leaf["fingerprint"],
        "secret_name": secret_name,
        "matches": bool(secret_name) and secret_name == current,
        "problem": one.problem,
    }


def _users(task: Task, cluster: Cluster, names: list[str]) -> tuple[dict[str, list[str]], bool]:
    try:
        return secrets.users(cluster, task.params["namespace"], names) if names else {}, True
    except (Forbidden, PkiError) as error:
        task.warn(f"who uses the Secrets is left out: {error}")
        return {}, False


MODULE = Definition(
    OPTIONS,
    action,
    mutually_exclusive=[("renew_fraction", "renew_before_days")],
    required_by={"port": "service"},
)


def main() -> None:
    """Entry point."""
    MODULE.main()


if __name__ == "__main__":
    main()
