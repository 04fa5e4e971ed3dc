#!/usr/bin/python

# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Module: keep a certificate authority, publish its certificates, rotate it."""

from __future__ import annotations

DOCUMENTATION = r"""
module: certificate_authority
short_description: Keep a certificate authority, publish its certificates, rotate it
version_added: 0.1.0
author:
  - The plumbline.kubernetes authors (@plumbline)
description:
  - Makes a certificate authority (CA) that M(plumbline.kubernetes.tls_secret) issues by, and keeps it in one Secret,
    O(name) with C(-ca), or in a folder. Its key is encrypted in both.
  - Publishes what clients have to trust as ConfigMaps, O(name) with C(-bundle), key C(ca.crt). They hold certificates
    of CAs only, never a key.
  - A CA has generations, each with a key and a subject of its own. One of them issues. A rotation replaces it in
    phases, so that clients trust the next one before it is used, see O(rotation).
  - The key of a generation that is no longer trusted is removed.
extends_documentation_fragment:
  - plumbline.kubernetes.auth
  - plumbline.kubernetes.attributes
attributes:
  check_mode:
    support: full
    details: Makes no key, so the certificate and the bundle of a generation to come are unknown. It does read the
      passphrase, by O(passphrase_command) too.
  diff_mode:
    support: full
    details: Shows states and public facts of the generations, and the objects that were written.
  idempotent:
    support: partial
    details: All but O(rotation=prepare) after a V(finish), which begins the next rotation.
options:
  name:
    description: Name of the CA.
    type: str
    default: plumbline
  namespace:
    description:
      - Namespace of the CA's Secret. It has to exist and to be the CA's own. V(default), those that begin with
        C(kube-), and those with pods, Services or workloads are refused, since who may run a pod there could take
        the key.
      - Either this or O(path) is needed.
    type: str
  path:
    description:
      - Folder for the CA instead, on the machine that runs the task. It is made with mode 0700, its files with 0600.
      - Bundles are published to the cluster all the same.
    type: path
  passphrase_file:
    description:
      - File with the passphrase of the key, at least 20 characters in one line. It is the same for all generations.
      - One of this, O(passphrase_env) and O(passphrase_command) is needed to make a generation. Where given it is
        tried on the stored key.
    type: path
  passphrase_env:
    description:
      - Environment variable with that passphrase.
      - With a local connection it is one of C(ansible-playbook). What the keyword C(environment) of a task sets is seen
        by everybody on the machine, as part of a command line, and in the output of C(-vvv).
    type: str
  passphrase_command:
    description: Program with its arguments that prints that passphrase. No shell is used.
    type: list
    elements: str
  state:
    description: V(absent) removes the CA with its keys, and its bundles.
    type: str
    choices: [present, absent]
    default: present
  subject:
    description:
      - Common name of the CA. The number of the generation is added. By default O(name).
      - This option and those about the certificate, O(key_type), O(lifetime_days), O(intermediate), O(path_length),
        O(permitted_names) and O(permitted_addresses), count when a generation is made. To change them, rotate.
      - What they leave out is as in the certificates of the generation that issues, so that a rotation, and the
        replacement of a stolen key, takes no constraint away that nobody repeats. The defaults are those of the first.
    type: str
  key_type:
    description: Type of the key. By default V(P-256).
    type: str
    choices: [P-256, P-384, Ed25519, RSA-2048, RSA-3072, RSA-4096]
  lifetime_days:
    description: How long the CA is valid. By default V(3650).
    type: int
  intermediate:
    description:
      - Issue by an intermediate CA. Clients trust the root above it, whose key signs the intermediate and is then
        forgotten, so it cannot be stolen. By default there is none.
    type: bool
  path_length:
    description: How many CAs there may be below the root. By default as many as there are.
    type: int
  permitted_names:
    description:
      - DNS names that the CA may issue for, each with all names below it, without a dot at the beginning.
      - With it the CA may issue for no IP address but those of O(permitted_addresses).
      - The short names of a Service, such as C(web), are names too.
      - By default any. An empty list takes the constraints of the generation before away.
    type: list
    elements: str
  permitted_addresses:
    description: Networks that the CA may issue for, with O(permitted_names). By default none.
    type: list
    elements: str
  bundle_namespaces:
    description:
      - Namespaces to publish the bundle in. They have to exist.
      - Those of earlier runs are remembered. Each run brings the bundle up to date there too, as long as it is there.
    type: list
    elements: str
    default: []
  trust_bundle:
    description:
      - Publish the bundle as a ClusterTrustBundle too, O(name) with C(-bundle), which Kubernetes 1.37 or later has.
      - One of an earlier run is remembered, and brought up to date as long as it is there.
    type: bool
    default: false
  rotation:
    description:
      - A step of a rotation.
      - V(prepare) makes a new generation and publishes its certificate beside the old one. Then wait until all clients
        have read it. A file that was updated is not yet a trust store that was loaded again.
      - V(switch) publishes both and issues by the new one. Then replace all certificates that the old one issued.
      - V(finish) drops the old one from the bundle.
      - V(rollback) goes back to the old one, until V(finish). Before V(switch) the new one is dropped. After it both
        stay trusted, for what the new one has issued, until V(finish) drops the new one.
      - A step that was done is not done again.
    type: str
    choices: [prepare, switch, finish, rollback]
  compromised:
    description:
      - Number of a generation whose key is no longer secret. It is taken out of the bundle at once and never issues.
      - Where it was the one that issues, the newest other one that is trusted takes its place, else a new one is made.
      - Clients of servers with its certificates fail until both are replaced.
    type: int
notes:
  - The module needs in O(namespace) the rights to V(get), V(create), V(patch) and V(delete) C(secrets), and to V(list)
    C(pods), C(services), C(deployments), C(statefulsets), C(daemonsets), C(cronjobs) and C(jobs).
  - In each namespace with a bundle it needs the rights to V(get), V(create), V(patch) and V(delete) C(configmaps), and
    with O(trust_bundle=true) the same for C(clustertrustbundles) in the whole cluster.
  - The right to patch a Secret is a right to read it.
seealso:
  - module: plumbline.kubernetes.tls_secret
"""

EXAMPLES = r"""
- name: Make a namespace for the CA
  kubernetes.core.k8s:
    api_version: v1
    kind: Namespace
    name: pki

- name: Make the CA, and let the clients in two namespaces trust it
  plumbline.kubernetes.certificate_authority:
    name: demo
    namespace: pki
    passphrase_file: ~/.demo-ca-passphrase
    bundle_namespaces: [demo, shop]
  register: authority

- name: Make one that may issue for names of the cluster only, with a password manager
  plumbline.kubernetes.certificate_authority:
    name: narrow
    namespace: narrow-pki
    passphrase_command: [pass, show, narrow-ca]
    permitted_names: [cluster.local, svc, demo]
    bundle_namespaces: [demo]

- name: Begin a rotation
  plumbline.kubernetes.certificate_authority:
    name: demo
    namespace: pki
    passphrase_file: ~/.demo-ca-passphrase
    rotation: prepare

- name: Trust a stolen key no longer
  plumbline.kubernetes.certificate_authority:
    name: demo
    namespace: pki
    passphrase_file: ~/.demo-ca-passphrase
    compromised: 1
"""

RETURN = r"""
reason:
  description:
    - Why something was, or in check mode would be, changed.
    - V(created), the step of the O(rotation), V(compromised), V(published) where only bundles were written, or V(none).
  returned: when O(state=present)
  type: str
  sample: created
generations:
  description:
    - All generations, oldest first. O(compromised) takes their RV(ignore:id).
    - RV(ignore:state) is V(prepared), V(issuing) or V(outgoing), which are trusted, or V(retired) or V(compromised).
    - RV(ignore:certificate) has the public facts of the one that signs, RV(ignore:root) of the one above an
      intermediate. In check mode of one to come only its subject.
  returned: when O(state=present)
  type: list
  elements: dict
  sample:
    - id: 1
      state: issuing
      certificate:
        serial: 4ee01b10d0c4a4f42c215a569b2382e2bb4932f3
        fingerprint: 3c182a43b225f9951a7f0190bbd31968865daba2b85eb28f4d16fd2209c23cb5
        subject: CN=demo 1
        issuer: CN=demo 1
        names: []
        addresses: []
        not_before: "2026-11-23T11:07:09Z"
        not_after: "2036-11-20T11:12:09Z"
        key_type: P-256
        is_ca: true
issuing:
  description: RV(ignore:id) of the generation that issues.
  returned: when O(state=present)
  type: int
  sample: 1
bundle:
  description: What clients have to trust, in PEM form. In check mode without a generation to come.
  returned: when O(state=present)
  type: str
published:
  description: Objects with the bundle that were, or in check mode would be, written.
  returned: when O(state=present)
  type: list
  elements: str
  sample: [ConfigMap demo/demo-bundle]
bundle_namespaces:
  description: All namespaces where the bundle is kept.
  returned: when O(state=present)
  type: list
  elements: str
  sample: [demo]
trust_bundle:
  description: Whether the bundle is kept as a ClusterTrustBundle too, by this run or an earlier one.
  returned: when O(state=present)
  type: bool
renew_at:
  description: When a third of the time is left, and a rotation is due. Empty in check mode for one to come.
  returned: when O(state=present)
  type: str
  sample: "2033-06-14T05:32:11Z"
removed:
  description: What was, or in check mode would be, removed.
  returned: when O(state=absent)
  type: list
  elements: str
"""

import ipaddress
import typing as t
from datetime import UTC, datetime, timedelta

from ansible_collections.plumbline.kubernetes.plugins.module_utils.app.values import dns_label, dns_subdomain, refusal
from ansible_collections.plumbline.kubernetes.plugins.module_utils.kube.client import Cluster
from ansible_collections.plumbline.kubernetes.plugins.module_utils.kube.module import Definition, Task
from ansible_collections.plumbline.kubernetes.plugins.module_utils.pki.authority import ROTATIONS, Profile
from ansible_collections.plumbline.kubernetes.plugins.module_utils.pki.certificates import pem_of
from ansible_collections.plumbline.kubernetes.plugins.module_utils.pki.keys import KEY_TYPES
from ansible_collections.plumbline.kubernetes.plugins.module_utils.tls import authority, generations

OPTIONS: dict[str, t.Any] = {
    **authority.PLACE_OPTIONS,
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "subject": {"type": "str"},
    # no_log=False: Ansible takes the word key in a name for a sign of a value to hide.
    "key_type": {"type": "str", "choices": list(KEY_TYPES), "no_log": False},
    "lifetime_days": {"type": "int"},
    "intermediate": {"type": "bool"},
    "path_length": {"type": "int"},
    "permitted_names": {"type": "list", "elements": "str"},
    "permitted_addresses": {"type": "list", "elements": "str"},
    "bundle_namespaces": {"type": "list", "elements": "str", "default": []},
    "trust_bundle": {"type": "bool", "default": False},
    "rotation": {"type": "str", "choices": list(ROTATIONS)},
    "compromised": {"type": "int"},
}
# Of the first generation.
DEFAULT_KEY_TYPE = "P-256"
DEFAULT_DAYS = 3650
# The last moment that a certificate can name (RFC 5280, 4.1.2.5) is far away, but not for any number of days.
LONGEST_DAYS = 36500


def action(task: Task, cluster: Cluster) -> dict[str, t.Any]:
    """Bring the CA to the wanted state."""
    params = task.params
    place = authority.store(cluster, params)
    namespaces = tuple(dict.fromkeys(dns_label("bundle_namespaces", item) for item in params["bundle_namespaces"]))
    name = params["name"]
    owner = f"{params['namespace']}/{name}" if params["namespace"] else name
    bundles = generations.Bundles(f"{name}-bundle", owner, namespaces, params["trust_bundle"])
    if params["state"] == "absent":
        return _absent(task, cluster, place, bundles)
    return _present(task, cluster, place, bundles)


def _present(task: Task, cluster: Cluster, place: authority.Store, bundles: generations.Bundles) -> dict[str, t.Any]:
    params, now = task.params, datetime.now(UTC)
    first = Profile(params["name"], DEFAULT_KEY_TYPE, timedelta(days=DEFAULT_DAYS))
    wanted = generations.Wanted(first, _given(params), params["rotation"], params["compromised"])
    outcome = generations.present(cluster, place, wanted, bundles, params, now, check_mode=task.check_mode)
    after = outcome.after
    for notice in (*outcome.notices, generations.overdue(after, now)):
        if notice:
            task.warn(notice)
    result = {
        "changed": outcome.changed,
        "generations": [generations.described(item, outcome.profile) for item in after.generations],
        "issuing": after.issuing.number if after.issuing else None,
        "bundle": pem_of(after.roots),
        "published": outcome.published,
        "bundle_namespaces": list(after.namespaces),
        "trust_bundle": after.cluster_wide,
        "reason": generations.reason(wanted, outcome),
        "renew_at": generations.renew_at(after),
    }
    if task.diff:
        result["diff"] = generations.diff(outcome)
    return result


def _given(params: dict[str, t.Any]) -> dict[str, t.Any]:
    """What the options say of the certificate; what they leave out is as before."""
    days, names, addresses = (params[option] for option in ("lifetime_days", "permitted_names", "permitted_addresses"))
    if days is not None and not 1 <= days <= LONGEST_DAYS:
        raise refusal("lifetime_days", days, f"from 1 to {LONGEST_DAYS}")
    given = {
        "subject": params["subject"] or None,
        "key_type": params["key_type"],
        "lifetime": None if days is None else timedelta(days=days),
        "intermediate": params["intermediate"],
        "path_length": params["path_length"],
        "permitted_names": None if names is None else tuple(_constraint(name) for name in names),
        "permitted_addresses": None if addresses is None else tuple(_network(text) for text in addresses),
    }
    return {attribute: value for attribute, value in given.items() if value is not None}


def _constraint(name: str) -> str:
    if name.startswith((".", "*")):
        # OpenSSL and Go read a dot at the beginning in different ways.
        raise refusal("permitted_names", name, f"{name.lstrip('*.')!r}, which covers the names below it too")
    return dns_subdomain("permitted_names", name)


def _network(text: str) -> str:
    try:
        return str(ipaddress.ip_network(text))
    except ValueError:
        raise refusal("permitted_addresses", text, "a network such as 192.0.2.0/24 or 2001:db8::/32") from None


def _absent(task: Task, cluster: Cluster, place: authority.Store, bundles: generations.Bundles) -> dict[str, t.Any]:
    removed = generations.absent(cluster, place, bundles, check_mode=task.check_mode)
    result: dict[str, t.Any] = {"changed": bool(removed), "removed": removed}
    if task.diff:
        result["diff"] = {"before": {"objects": removed}, "after": {"objects": []}}
    return result


RULES = {
    **authority.PLACE_RULES,
    "mutually_exclusive": [*authority.PLACE_RULES["mutually_exclusive"], ("rotation", "compromised")],
}
MODULE = Definition(OPTIONS, action, **RULES)


def main() -> None:
    """Entry point."""
    MODULE.main()


if __name__ == "__main__":
    main()
