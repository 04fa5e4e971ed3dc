# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run a playbook in which each module has the rights of docs/rights/<module>.yml and no others.

    python tests/rights.py --namespace NAMESPACE --less FILE -- ansible-playbook [ARGUMENT...]

Makes an account for each module with the Roles of its file, and one more as --less says, from which one right is taken.
The playbook gets `accounts`: by name the connection options of each. All requests pass through this program, so in the
end it can tell which rights a module made no use of: they should not be in its file. Ends with 1 then. The Roles of the
application's and the clients' namespace are made in NAMESPACE, those of the authority's in NAMESPACE-ca; both must
exist. What it makes elsewhere is named after NAMESPACE, and removed again.
"""

from __future__ import annotations

import argparse
import json
import os
import ssl
import subprocess
import sys
import tempfile
import typing as t
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import yaml
from kubernetes import client, config, utils

ROOT = Path(__file__).resolve().parents[1]
RIGHTS = ROOT / "docs/rights"
# No module needs these.
OPTIONAL = "causes"
# A single run does not make use of all rights of these. Those of diagnose come from the code that asks.
GENERATED = "diagnose"
UNJUDGED = (GENERATED, "remediate")
# No modules, but ways to run one.
NODE_LEVEL = "diagnose_node"
API_PROXY = "diagnose_api_proxy"
# Whose rights are needed besides its own.
BESIDES = {"remediate": "diagnose", NODE_LEVEL: "diagnose", API_PROXY: "diagnose"}
sys.path.insert(0, str(ROOT / "tests/bench"))

from counting_proxy import CountingProxy  # noqa: E402

Body = dict[str, t.Any]


class Right(t.NamedTuple):
    """One verb on one resource in one namespace, which is empty for the whole cluster."""

    namespace: str
    verb: str
    resource: str
    group: str

    def __str__(self) -> str:
        return (
            f"{self.verb} {self.resource}{'.' if self.group else ''}{self.group} in {self.namespace or 'the cluster'}"
        )


def published(namespace: str) -> dict[str, list[Body]]:
    """The Roles of each module, in the namespaces of the test."""
    files = [file for file in sorted(RIGHTS.glob("*.yml")) if file.stem != OPTIONAL]
    # The account of the test is a client of its own namespace.
    where = {"demo": namespace, "shop": namespace, "demo-ca": f"{namespace}-ca"}
    found: dict[str, list[Body]] = {}
    for file in files:
        document = yaml.safe_load(file.read_text())
        found[file.stem] = document["items"] if document["kind"] == "List" else [document]
        for metadata in (role["metadata"] for role in found[file.stem]):
            if "namespace" in metadata:
                metadata["namespace"] = where.get(metadata["namespace"], metadata["namespace"])
    return {name: [*roles, *_besides(name, found.get(BESIDES.get(name, ""), ()))] for name, roles in found.items()}


def _besides(name: str, roles: t.Sequence[Body]) -> list[Body]:
    """Whoever lets the API server ask needs no pod, and so no more than the Roles for the API alone."""
    return [role for role in roles if name != API_PROXY or "-api-" in role["metadata"]["name"]]


def rights(role: Body) -> set[Right]:
    """What a role grants."""
    return {
        Right(role["metadata"].get("namespace", ""), verb, resource, group)
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }


def without(role: Body, verb: str, resource: str) -> Body:
    """The role without one right."""
    rules: list[Body] = []
    for rule in role["rules"]:
        others = [name for name in rule["resources"] if name != resource]
        verbs = [name for name in rule["verbs"] if name != verb]
        rules += [{**rule, "resources": others}, {**rule, "resources": [resource], "verbs": verbs}]
    granted = [rule for rule in rules if rule["resources"] and rule["verbs"]]
    return {**role, "rules": granted}


class Recorder(CountingProxy):
    """Notes who asked for what; an account is known by its token, and has no other credentials."""

    def __init__(self, kubeconfig: Path, context: str) -> None:
        super().__init__(kubeconfig, context)
        roots = ssl.create_default_context(cadata=self._tls.get_ca_certs(binary_form=True)[0])
        self._tls = roots
        self.names: dict[str, str] = {}
        self.seen: dict[str, set[Right]] = {}

    def _note(self, method: str, target: str, headers: t.Mapping[str, str]) -> None:
        name = self.names.get(headers.get("authorization", "").removeprefix("Bearer "), "")
        with self._lock:
            self.seen.setdefault(name, set()).update(asked(method, target))


def asked(method: str, target: str) -> set[Right]:
    """The rights that a request needs."""
    parts = urlsplit(target)
    words = parts.path.strip("/").split("/")
    if len(words) < 3:
        return set()  # which APIs there are is for everybody to know
    group, rest = ("", words[2:]) if words[0] == "api" else (words[1], words[3:])
    namespace = ""
    if rest[0] == "namespaces" and len(rest) > 2:
        namespace, rest = rest[1], rest[2:]
    resource = "/".join([rest[0], *rest[2:3]])  # what follows is for a pod that is asked by proxy
    query = parse_qs(parts.query)
    named = len(rest) > 1
    verbs = {
        "GET": {"get"} if named else {"watch"} if "watch" in query else {"list"},
        "POST": {"create"},
        # An apply creates what is not there.
        "PATCH": {"patch", "create"} if "force" in query else {"patch"},
        "DELETE": {"delete"} if named else {"deletecollection"},
    }[method]
    if resource == "pods/exec":
        verbs = {"get", "create"}  # by WebSocket: the one before Kubernetes 1.35, the other since
    return {Right(namespace, verb, resource, group) for verb in verbs}


class Accounts:
    """Service accounts with their roles."""

    def __init__(self, namespace: str) -> None:
        self.namespace = namespace
        self.api = client.ApiClient()
        self.made: list[tuple[str, str, str]] = []

    def make(self, name: str, roles: t.Iterable[Body]) -> str:
        """One account; its token."""
        account = name.replace("_", "-")
        core = client.CoreV1Api()
        core.create_namespaced_service_account(self.namespace, {"metadata": {"name": account}})
        for number, role in enumerate(roles):
            self._bind(account, role, f"{self.namespace}-{account}-{number}")
        request = {"spec": {"audiences": [], "expirationSeconds": 600}}
        return str(core.create_namespaced_service_account_token(account, self.namespace, request).status.token)

    def _bind(self, account: str, role: Body, name: str) -> None:
        place = role["metadata"].get("namespace", "")
        metadata = {"name": name, **({"namespace": place} if place else {})}
        subject = {"kind": "ServiceAccount", "name": account, "namespace": self.namespace}
        reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": role["kind"], "name": name}
        binding = {
            "apiVersion": role["apiVersion"],
            "kind": f"{role['kind']}Binding",
            "metadata": metadata,
            "subjects": [subject],
            "roleRef": reference,
        }
        self.made.append((role["kind"], name, place))
        utils.create_from_dict(self.api, {**role, "metadata": metadata})
        utils.create_from_dict(self.api, binding)

    def remove(self) -> None:
        """Remove what is not removed with the namespaces."""
        api = client.RbacAuthorizationV1Api()
        for kind, name, place in self.made:
            if kind == "ClusterRole":
                api.delete_cluster_role_binding(name)
                api.delete_cluster_role(name)
            elif not place.startswith(self.namespace):
                api.delete_namespaced_role_binding(name, place)
                api.delete_namespaced_role(name, place)


def run(namespace: str, less: t.Mapping[str, str], command: list[str]) -> int:
    kubeconfig, context = Path(os.environ["K8S_AUTH_KUBECONFIG"]).expanduser(), os.environ["K8S_AUTH_CONTEXT"]
    config.load_kube_config(str(kubeconfig), context)
    roles = published(namespace)
    accounts = Accounts(namespace)
    with Recorder(kubeconfig, context) as recorder, tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        try:
            tokens = {name: accounts.make(name, of) for name, of in roles.items()}
            for name, right in less.items():
                verb, resource = right.split(" ")
                tokens[f"{name}_less"] = accounts.make(
                    f"{name}-less", [without(role, verb, resource) for role in roles[name]]
                )
            recorder.names = {token: name for name, token in tokens.items()}
            connections = {name: {"host": recorder.url, "api_key": token} for name, token in tokens.items()}
            json.dump({"accounts": connections}, file)
            file.flush()
            others = {key: value for key, value in os.environ.items() if not key.startswith("K8S_AUTH_")}
            status = subprocess.run([*command, "--extra-vars", f"@{file.name}"], env=others, check=False).returncode
        finally:
            accounts.remove()
    if status:
        return status
    granted = {name: set().union(*map(rights, of)) for name, of in roles.items()}
    judged = {
        name: of - granted.get(BESIDES.get(name, ""), set()) for name, of in granted.items() if name not in UNJUDGED
    }
    unused = [
        f"{name} may {right}" for name, of in judged.items() for right in sorted(of - recorder.seen.get(name, set()))
    ]
    for line in unused:
        print(f"rights: {line}, and did not")
    print(f"rights: {len(roles)} modules, {sum(map(len, judged.values()))} rights, {len(unused)} unused")
    return 1 if unused else 0


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--namespace", required=True)
    parser.add_argument("--less", type=Path, required=True)
    parser.add_argument("command", nargs="+")
    options = parser.parse_args()
    return run(options.namespace, yaml.safe_load(options.less.read_text())["less"], options.command)


if __name__ == "__main__":
    sys.exit(main())
