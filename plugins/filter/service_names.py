# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

from ansible.errors import AnsibleFilterError

from ansible_collections.plumbline.kubernetes.plugins.module_utils.connectivity.names import DEFAULT_DOMAIN, forms

DOCUMENTATION = r"""
name: service_names
short_description: Every DNS name of a Service
version_added: 0.1.0
author:
  - The plumbline.kubernetes authors (@plumbline)
description:
  - Lists the names by which pods reach a Service, shortest first.
  - The bare name resolves for pods of the same namespace only; the fully qualified one for all.
positional: namespace, domain
options:
  _input:
    description: Name of the Service, or the Service itself as a module returned it.
    type: raw
    required: true
  namespace:
    description: Namespace of the Service. Required with a name; a Service brings its own.
    type: str
  domain:
    description: DNS domain of the cluster.
    type: str
    default: cluster.local
seealso:
  - module: plumbline.kubernetes.service_info
"""

EXAMPLES = r"""
- name: Names for a certificate
  ansible.builtin.debug:
    msg: "{{ 'my-nginx' | plumbline.kubernetes.service_names('demo') }}"
    # ["my-nginx", "my-nginx.demo", "my-nginx.demo.svc", "my-nginx.demo.svc.cluster.local"]
"""

RETURN = r"""
_value:
  description: The names, shortest first.
  type: list
  elements: str
"""


def service_names(service: t.Any, namespace: str | None = None, domain: str = DEFAULT_DOMAIN) -> list[str]:
    """Names of a Service given by name or as an object."""
    metadata = service.get("metadata") or {} if isinstance(service, t.Mapping) else {"name": service}
    name, namespace = metadata.get("name"), namespace or metadata.get("namespace")
    if not isinstance(name, str) or not name:
        raise AnsibleFilterError(f"service_names: expected a Service or its name, got {type(service).__name__}")
    if not namespace:
        raise AnsibleFilterError(f"service_names: Service {name} needs a namespace, as in service_names('demo')")
    return forms(name, namespace, domain)


class FilterModule:
    """Makes the filter known to Ansible."""

    def filters(self) -> dict[str, t.Any]:
        return {"service_names": service_names}
