#!/usr/bin/python

# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Module: keep the certificate and key of a server in TLS Secrets."""

from __future__ import annotations

DOCUMENTATION = r"""
module: tls_secret
short_description: Keep the certificate and key of a server in a TLS Secret
version_added: 0.1.0
author:
  - The plumbline.kubernetes authors (@plumbline)
description:
  - Decides from what is stored and what is wanted whether a server needs a new certificate, says why, and stores it
    with its key as a Secret of type C(kubernetes.io/tls).
  - New content gets a new name. Each generation is an immutable Secret, O(name) with a hash of its certificates, so
    that pods, roll-outs and undo are never in doubt. Generations that nothing names any more are removed.
  - Everything is checked before it is written, key and certificate, chain, purpose, names and time. What is refused
    leaves the stored one in place.
  - A private key is never an option, and nothing of it is ever in a result, a diff or an error. Where it is given, it
    is read from a file or from another Secret by the module itself.
  - The order of names, the form of the PEM and of the key make no difference.
extends_documentation_fragment:
  - plumbline.kubernetes.auth
  - plumbline.kubernetes.attributes
attributes:
  check_mode:
    support: full
    details: Makes no key, so it cannot know the hash in the name of a Secret to come, see RV(secret_name).
  diff_mode:
    support: full
    details: Shows the name of the Secret and the public facts of the certificate.
  idempotent:
    support: partial
    details: O(force=true) makes a new certificate each time. So does time, when a certificate is due.
options:
  name:
    description:
      - What the names of the Secrets begin with. At most 63 characters.
    type: str
    required: true
  namespace:
    description: Their namespace.
    type: str
    required: true
  state:
    description:
      - V(absent) removes all generations and their O(alias), also those that are in use.
      - V(pruned) only removes old generations that nothing names any more. V(present) does too, but before the roll-out
        of a new one, which lets go of an older one.
    type: str
    choices: [present, absent, pruned]
    default: present
  issuer:
    description:
      - Who issues the certificate. Required with O(state=present).
      - V(self_signed) for tests and tutorials. Each client has to trust this one certificate.
      - V(authority) is a CA of M(plumbline.kubernetes.certificate_authority), see O(authority).
      - V(given) takes a certificate that somebody else issued, see O(certificate_path) and O(source_secret).
      - V(csr) makes a key that never leaves the cluster, and a signing request for a CA that is not ours, see RV(csr).
        The key waits in the Secret O(name) with C(-request) until the certificate is given by O(certificate_path).
    type: str
    choices: [self_signed, authority, given, csr]
  service:
    description:
      - Name of a Service. The certificate is for all its DNS names, from C(web) to C(web.demo.svc.cluster.local).
      - With O(issuer=given), leave it out for a certificate that is for public names only.
    type: str
  names:
    description: More DNS names. The first label may be a star.
    type: list
    elements: str
    default: []
  addresses:
    description: More IP addresses.
    type: list
    elements: str
    default: []
  include:
    description:
      - Addresses to look up. V(cluster_ips) and V(load_balancer) are those of O(service), which has to exist then;
        V(nodes) are the internal and external addresses of all nodes, for node ports.
    type: list
    elements: str
    choices: [cluster_ips, load_balancer, nodes]
    default: []
  cluster_domain:
    description: DNS domain of the cluster.
    type: str
    default: cluster.local
  key_type:
    description: Type of the key. With O(issuer=given) it is what it is.
    type: str
    choices: [P-256, P-384, Ed25519, RSA-2048, RSA-3072, RSA-4096]
    default: P-256
  lifetime_days:
    description: How long a new certificate is valid, at most 3650 days. It never outlives its CA.
    type: int
    default: 90
  renew_fraction:
    description:
      - Replace the certificate when this part of its lifetime is left, up to a tenth of that earlier, so that those
        that were issued together are not all replaced together. By default a third.
    type: float
  renew_before_days:
    description: Replace it so many days before its end instead, up to a tenth of that earlier.
    type: int
  force:
    description: Issue a new certificate in any case. Without meaning for O(issuer=given).
    type: bool
    default: false
  authority:
    description:
      - With O(issuer=authority), the CA. Each renewal is signed by the generation that issues at that time, and
        another generation is a reason to issue anew.
      - In check mode it may be missing, since the play would have made it.
    type: dict
    suboptions:
      name:
        description: Its name, as of M(plumbline.kubernetes.certificate_authority).
        type: str
        default: plumbline
      namespace:
        description: Namespace of its Secret. One of this and O(authority.path) is required.
        type: str
      path:
        description: Folder where it is kept instead, on the machine that runs the task.
        type: path
      passphrase_file:
        description: File with the passphrase of its key.
        type: path
      passphrase_env:
        description: Environment variable with the passphrase of its key, see O(passphrase_env).
        type: str
      passphrase_command:
        description: Command that prints the passphrase of its key, as a list of program and arguments.
        type: list
        elements: str
  private_key_path:
    description: With O(issuer=given), file with the private key in PEM form, on the machine that runs the task.
    type: path
  certificate_path:
    description:
      - With O(issuer=given), and with O(issuer=csr) when the CA has answered, file with the certificate in PEM form,
        followed by those of intermediate CAs in order.
      - The certificate of a root CA at its end is not stored but becomes the RV(bundle).
    type: path
  ca_path:
    description: File with the certificates of the CAs that clients trust. The certificate has to lead to one of them.
    type: path
  passphrase_file:
    description: File with the passphrase of an encrypted key in O(private_key_path), at least 20 characters.
    type: path
  passphrase_env:
    description:
      - Environment variable with that passphrase.
      - With a local connection it is one of C(ansible-playbook). What the keyword C(environment) of a task sets is seen
        by everybody on the machine, as part of a command line, and in the output of C(-vvv).
    type: str
  passphrase_command:
    description: Command that prints that passphrase, as a list of program and arguments.
    type: list
    elements: str
  source_secret:
    description:
      - With O(issuer=given), a Secret of type C(kubernetes.io/tls) to take the pair from, for example one that
        cert-manager keeps. C(ca.crt) in it stands for O(ca_path).
    type: dict
    suboptions:
      name:
        description: Name of the Secret.
        type: str
        required: true
      namespace:
        description: Its namespace. By default O(namespace).
        type: str
  alias:
    description:
      - Name of one more Secret that always has the newest content, for those who need a fixed name.
      - It is mutable. Running pods see its new content late, and servers when they read it again.
    type: str
  adopt:
    description:
      - Write O(alias) also where somebody else made that Secret, or another program such as cert-manager keeps it.
      - The copy of the old key that C(kubectl apply) leaves in an annotation is removed.
    type: bool
    default: false
  keep:
    description:
      - How many generations to keep for undo, besides the newest one and those that are named by a workload (also a
        ReplicaSet without pods), a pod, an Ingress or a Gateway of the namespace, or by a Gateway of another one that
        a ReferenceGrant lets use its Secrets.
    type: int
    default: 2
notes:
  - The module needs in O(namespace) the rights to V(list), V(get), V(create), V(patch) and V(delete) C(secrets).
  - To remove old generations it needs the right to V(list) C(deployments), C(replicasets), C(statefulsets),
    C(daemonsets), C(controllerrevisions), C(cronjobs), C(jobs), C(pods), C(ingresses), C(gateways) and
    C(referencegrants) there, and C(gateways) in the namespaces that those name. Without it they stay, with a warning.
  - O(include) needs the right to V(get) C(services), or to V(list) C(nodes).
  - The clocks of the machine that runs the task and of the API server may be two minutes apart, not more.
seealso:
  - module: plumbline.kubernetes.tls_secret_info
  - module: plumbline.kubernetes.certificate_authority
"""

EXAMPLES = r"""
- name: Issue a certificate for a Service by our own CA
  plumbline.kubernetes.tls_secret:
    name: my-nginx-tls
    namespace: demo
    issuer: authority
    service: my-nginx
    authority:
      name: demo-ca
      namespace: pki
      passphrase_file: ~/.demo-ca-passphrase
  register: tls

- name: Say why
  ansible.builtin.debug:
    msg: "{{ tls.reason }}: {{ tls.detail }}"

- name: Ask a CA outside of the cluster for a certificate, and store it when it has come
  plumbline.kubernetes.tls_secret:
    name: shop-tls
    namespace: demo
    issuer: csr
    names: [shop.example.com]
    certificate_path: "{{ 'shop.crt' if 'shop.crt' is file else omit }}"
  register: shop

- name: Do as the tutorial does, with its literal name
  plumbline.kubernetes.tls_secret:
    name: my-nginx-tls
    namespace: demo
    issuer: self_signed
    service: my-nginx
    alias: nginxsecret

- name: Store the certificate that you have
  plumbline.kubernetes.tls_secret:
    name: shop-tls
    namespace: demo
    issuer: given
    names: [shop.example.com]
    private_key_path: /etc/ssl/private/shop.key
    certificate_path: /etc/ssl/shop-fullchain.pem
"""

RETURN = r"""
reason:
  description:
    - Why there is, or in check mode would be, a new certificate.
    - One of V(missing), V(key_mismatch), V(expired), V(key_type_changed), V(names_changed), V(issuer_changed),
      V(renewal_due), V(forced), and V(none) where the stored one is good. The task can be changed with V(none) as well,
      when it wrote O(alias) or removed old generations.
  returned: when O(state=present)
  type: str
  sample: names_changed
detail:
  description: What was seen, in one line.
  returned: when O(state=present)
  type: str
  sample: it lacks shop.example.com
secret_name:
  description:
    - Name of the newest Secret, the one to mount.
    - In check mode O(name) with C(-pending), where a key would have to be made first.
    - Empty with O(issuer=csr) as long as there is no certificate.
  returned: when O(state=present)
  type: str
  sample: my-nginx-tls-3c182a43b2
certificate:
  description: Public facts of the certificate. In check mode of one to come only what is known.
  returned: when O(state=present)
  type: dict
  sample:
    serial: 4ee01b10d0c4a4f42c215a569b2382e2bb4932f3
    fingerprint: 3c182a43b225f9951a7f0190bbd31968865daba2b85eb28f4d16fd2209c23cb5
    subject: CN=my-nginx
    issuer: CN=demo-ca
    names: [my-nginx, my-nginx.demo, my-nginx.demo.svc, my-nginx.demo.svc.cluster.local]
    addresses: []
    not_before: "2026-11-23T11:07:09Z"
    not_after: "2027-02-21T11:12:09Z"
    key_type: P-256
    is_ca: false
renew_at:
  description: From when on a run replaces it. Empty in check mode for one to come.
  returned: when O(state=present)
  type: str
  sample: "2027-01-20T03:51:40Z"
bundle:
  description: What clients have to trust, in PEM form. Empty for a given certificate where nobody says.
  returned: when O(state=present)
  type: str
csr:
  description:
    - With O(issuer=csr) the signing request that waits for its certificate, in PEM form. Empty where none is needed, in
      check mode for one to come, and when the certificate is given.
    - It is public. Until its certificate is stored the same request is returned again.
  returned: when O(state=present)
  type: str
pruned:
  description: Names of the old generations that were, or in check mode would be, removed.
  returned: when O(state=present) or O(state=pruned)
  type: list
  elements: str
removed:
  description: Names of the Secrets that were, or in check mode would be, removed.
  returned: when O(state=absent)
  type: list
  elements: str
"""

import typing as t
from dataclasses import replace
from datetime import UTC, datetime

from ansible_collections.plumbline.kubernetes.plugins.module_utils.app.values import dns_subdomain, refusal
from ansible_collections.plumbline.kubernetes.plugins.module_utils.kube.client import Cluster
from ansible_collections.plumbline.kubernetes.plugins.module_utils.kube.module import Definition, Task
from ansible_collections.plumbline.kubernetes.plugins.module_utils.pki.decide import Wanted
from ansible_collections.plumbline.kubernetes.plugins.module_utils.pki.keys import KEY_TYPES
from ansible_collections.plumbline.kubernetes.plugins.module_utils.tls import (
    material,
    passphrase,
    request,
    server,
)
from ansible_collections.plumbline.kubernetes.plugins.module_utils.tls.authority import (
    AUTHORITY_OPTIONS,
    load_issuer,
    store,
)
from ansible_collections.plumbline.kubernetes.plugins.module_utils.tls.passphrase import PASSPHRASE_OPTIONS

OPTIONS: dict[str, t.Any] = {
    "name": {"type": "str", "required": True},
    "namespace": {"type": "str", "required": True},
    "state": {"type": "str", "choices": ["present", "absent", "pruned"], "default": "present"},
    "issuer": {"type": "str", "choices": ["self_signed", "authority", "given", "csr"]},
    "service": {"type": "str"},
    "names": {"type": "list", "elements": "str", "default": []},
    "addresses": {"type": "list", "elements": "str", "default": []},
    "include": {"type": "list", "elements": "str", "choices": ["cluster_ips", "load_balancer", "nodes"], "default": []},
    "cluster_domain": {"type": "str", "default": "cluster.local"},
    # no_log=False: Ansible takes words like key and secret in a name for a sign of a value to hide.
    "key_type": {"type": "str", "choices": list(KEY_TYPES), "default": "P-256", "no_log": False},
    "lifetime_days": {"type": "int", "default": 90},
    "renew_fraction": {"type": "float"},
    "renew_before_days": {"type": "int"},
    "force": {"type": "bool", "default": False},
    "authority": AUTHORITY_OPTIONS,
    "private_key_path": {"type": "path", "no_log": False},
    "certificate_path": {"type": "path"},
    "ca_path": {"type": "path"},
    **PASSPHRASE_OPTIONS,
    "source_secret": {
        "type": "dict",
        "no_log": False,
        "options": {"name": {"type": "str", "required": True}, "namespace": {"type": "str"}},
    },
    "alias": {"type": "str"},
    "adopt": {"type": "bool", "default": False},
    "keep": {"type": "int", "default": 2},
}
# Options that mean something with some issuers only.
ONLY = {
    "authority": ("authority",),
    "private_key_path": ("given",),
    "certificate_path": ("given", "csr"),
    "ca_path": ("given", "csr"),
    **dict.fromkeys(PASSPHRASE_OPTIONS, ("given",)),
    "source_secret": ("given",),
}


def action(task: Task, cluster: Cluster) -> dict[str, t.Any]:
    """Bring the Secret to the wanted state."""
    _check(task.params)
    return {"present": _present, "absent": _absent, "pruned": _pruned}[task.params["state"]](task, cluster)


def _check(params: dict[str, t.Any]) -> None:
    if len(dns_subdomain("name", params["name"])) > 63:
        raise refusal("name", params["name"], "at most 63 characters, since it is a label of the Secrets too")
    if params["alias"]:
        dns_subdomain("alias", params["alias"])
    if params["keep"] < 0:
        raise refusal("keep", params["keep"], "at least 0")
    for option, issuers in ONLY.items():
        if params[option] is not None and params["issuer"] not in (*issuers, None):
            raise refusal(option, params[option], f"it with issuer={' or '.join(issuers)} only")
    if params["issuer"] == "given" and not params["source_secret"]:
        for option in ("private_key_path", "certificate_path"):
            if not params[option]:
                raise refusal(option, None, "private_key_path with certificate_path, or source_secret")


def _names(params: dict[str, t.Any]) -> server.Names:
    return server.Names(params["name"], params["namespace"], params["alias"], params["adopt"], params["keep"])


def _present(task: Task, cluster: Cluster) -> dict[str, t.Any]:
    params = task.params
    names, now = _names(params), datetime.now(UTC)
    csr = ""
    plan = _plan(task, cluster, now)
    if params["issuer"] == "csr" and isinstance(plan, server.Issue):
        outcome, csr = request.ask(cluster, names, plan.wanted, now, check_mode=task.check_mode)
    else:
        outcome = server.present(cluster, names, plan, now, check_mode=task.check_mode)
        if params["issuer"] == "csr" and not task.check_mode:
            request.done(cluster, params["name"], params["namespace"], outcome.after.chain)
    for notice in outcome.notices:
        task.warn(notice)
    after = outcome.after
    result = {
        "changed": outcome.changed,
        "reason": outcome.decision.reason,
        "detail": outcome.decision.detail,
        "secret_name": after.secret_name,
        "certificate": after.facts,
        "renew_at": server.due(plan, after.chain),
        "bundle": server.bundle(plan, after.chain),
        "pruned": outcome.pruned,
        "csr": csr,
    }
    if task.diff:
        result["diff"] = {"before": outcome.before.shown(), "after": after.shown()}
    return result


def _plan(task: Task, cluster: Cluster, now: datetime) -> server.Issue | server.Take:
    params = task.params
    names, addresses = material.wanted_names(cluster, params, check_mode=task.check_mode)
    renewal = material.renewal(params)
    if params["issuer"] == "given":
        return server.Take(material.given(cluster, params, passphrase.read(params)), renewal, names, addresses)
    if not names and not addresses:
        raise refusal("service", None, "it, or names, or addresses that the certificate is for")
    if params["issuer"] == "csr" and params["certificate_path"]:
        return server.Take(_returned(task, cluster), renewal, names, addresses)
    wanted = Wanted(
        names,
        addresses,
        params["key_type"],
        None,
        material.lifetime(params),
        renewal,
        forced=params["force"],
        external=params["issuer"] == "csr",
    )
    if params["issuer"] != "authority":
        return server.Issue(wanted)
    if task.check_mode and not store(cluster, params["authority"]).read().exists:
        return server.Await(wanted)
    return server.Issue(replace(wanted, authority=load_issuer(cluster, params["authority"], now)))


def _returned(task: Task, cluster: Cluster) -> material.Given:
    """The certificate that an external CA sent back, with the key that waits for it."""
    params = task.params
    chain, roots, what = material.certificate_files(params)
    return material.Given(request.pair(cluster, params["name"], params["namespace"], chain, what), roots, what)


def _absent(task: Task, cluster: Cluster) -> dict[str, t.Any]:
    name, namespace = task.params["name"], task.params["namespace"]
    removed = server.absent(cluster, name, namespace, check_mode=task.check_mode)
    removed += request.remove(cluster, name, namespace, check_mode=task.check_mode)
    result: dict[str, t.Any] = {"changed": bool(removed), "removed": removed}
    if task.diff:
        result["diff"] = {"before": {"secrets": removed}, "after": {"secrets": []}}
    return result


def _pruned(task: Task, cluster: Cluster) -> dict[str, t.Any]:
    pruned, notices = server.prune(cluster, _names(task.params), check_mode=task.check_mode)
    for notice in notices:
        task.warn(notice)
    result: dict[str, t.Any] = {"changed": bool(pruned), "pruned": pruned}
    if task.diff:
        result["diff"] = {"before": {"secrets": pruned}, "after": {"secrets": []}}
    return result


MODULE = Definition(
    OPTIONS,
    action,
    required_if=[("state", "present", ["issuer"]), ("issuer", "authority", ["authority"])],
    mutually_exclusive=[("renew_fraction", "renew_before_days"), ("source_secret", "private_key_path")],
)


def main() -> None:
    """Entry point."""
    MODULE.main()


if __name__ == "__main__":
    main()
