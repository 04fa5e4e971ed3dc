# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

from ansible.errors import AnsibleFilterError

DOCUMENTATION = r"""
name: bundle_mounts
short_description: Where pods have mounted the certificates that they trust
version_added: 0.1.0
author:
  - The plumbline.kubernetes authors (@plumbline)
description:
  - Lists the files in running containers that show the key C(ca.crt) of a ConfigMap, plain or in a projected volume, or
    a ClusterTrustBundle.
  - A kubelet brings such a file up to date some time after the object was changed, so what clients hold has to be read
    where they are. Mounted by C(subPath) it is never brought up to date.
  - Pods that are on their way out are left out.
positional: config_map, unless
options:
  _input:
    description: Pods, as M(kubernetes.core.k8s_info) returns them in RV(kubernetes.core.k8s_info#module:resources).
    type: list
    elements: dict
    required: true
  config_map:
    description: Name of the ConfigMap.
    type: str
    default: ""
  unless:
    description: Annotations of pods to leave out, such as those that were started after the ConfigMap was changed.
    type: dict
    default: {}
  cluster_trust_bundle:
    description: Name of the ClusterTrustBundle.
    type: str
    default: ""
seealso:
  - module: plumbline.kubernetes.certificate_authority
"""

EXAMPLES = r"""
- name: List the pods
  kubernetes.core.k8s_info: {kind: Pod, namespace: shop}
  register: pods

- name: Show where they hold the bundle
  ansible.builtin.debug:
    msg: "{{ pods.resources | plumbline.kubernetes.bundle_mounts('plumbline-bundle') }}"
    # [{"namespace": "shop", "pod": "web-x2p4", "container": "web", "file": "/etc/ca/ca.crt", "follows": true}]
"""

RETURN = r"""
_value:
  description:
    - One entry per file with C(namespace), C(pod), C(container), C(file), and C(follows), whether the kubelet keeps it
      up to date.
  type: list
  elements: dict
"""

KEY = "ca.crt"
Item = t.Mapping[str, t.Any]


def bundle_mounts(
    pods: t.Any, config_map: str = "", unless: Item | None = None, cluster_trust_bundle: str = ""
) -> list[dict[str, t.Any]]:
    """Files of running containers that show the bundle."""
    if not isinstance(pods, t.Sequence) or isinstance(pods, str):
        raise AnsibleFilterError(f"bundle_mounts: expected a list of pods, got {type(pods).__name__}")
    names = config_map, cluster_trust_bundle
    return [mount for pod in pods if not _left_out(pod["metadata"], unless or {}) for mount in _of(pod, *names)]


def _left_out(metadata: Item, unless: Item) -> bool:
    annotations = metadata.get("annotations") or {}
    return "deletionTimestamp" in metadata or any(annotations.get(key) == value for key, value in unless.items())


def _of(pod: Item, config_map: str, trust_bundle: str) -> list[dict[str, t.Any]]:
    metadata, spec = pod["metadata"], pod["spec"]
    volumes = {volume["name"]: _paths(volume, config_map, trust_bundle) for volume in spec.get("volumes") or []}
    states = (pod.get("status") or {}).get("containerStatuses") or []
    running = {state["name"] for state in states if "running" in (state.get("state") or {})}
    return [
        {
            "namespace": metadata["namespace"],
            "pod": metadata["name"],
            "container": container["name"],
            "file": file,
            "follows": not mount.get("subPath"),
        }
        for container in spec["containers"]
        if container["name"] in running
        for mount in container.get("volumeMounts") or []
        for path in volumes.get(mount["name"], ())
        for file in _files(mount, path)
    ]


def _paths(volume: Item, config_map: str, trust_bundle: str) -> list[str]:
    """Where in a volume the bundle is."""
    projected = (volume.get("projected") or {}).get("sources") or []
    maps = [source.get("configMap") or {} for source in (volume, *projected)]
    found = [path for source in maps if config_map and source.get("name") == config_map for path in _of_key(source)]
    bundles = [source.get("clusterTrustBundle") or {} for source in projected]
    return found + [source["path"] for source in bundles if trust_bundle and source.get("name") == trust_bundle]


def _of_key(source: Item) -> list[str]:
    items = source.get("items")
    return [KEY] if items is None else [item["path"] for item in items if item["key"] == KEY]


def _files(mount: Item, path: str) -> list[str]:
    """The file that a mount of the volume shows it as."""
    below = mount.get("subPath") or ""
    if not below:
        return [f"{mount['mountPath'].rstrip('/')}/{path}"]
    return [mount["mountPath"]] if below == path else []


class FilterModule:
    """Makes the filter known to Ansible."""

    def filters(self) -> dict[str, t.Any]:
        return {"bundle_mounts": bundle_mounts}
