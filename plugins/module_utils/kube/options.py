# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Private to this collection: may change in any release.
"""Connection options: names, aliases and environment variables are those of kubernetes.core.

Sharing them exactly lets one `module_defaults` entry, for `group/plumbline.kubernetes.k8s`, reach both collections.
"""

from __future__ import annotations

import os
import typing as t

AUTH_OPTIONS: dict[str, dict[str, t.Any]] = {
    # A kubeconfig may be a whole document with keys in it: module.run() keeps only its secret leaves masked.
    "kubeconfig": {"type": "raw", "no_log": True},
    "context": {"type": "str"},
    "host": {"type": "str"},
    "api_key": {"type": "str", "no_log": True},
    "username": {"type": "str"},
    "password": {"type": "str", "no_log": True},
    "validate_certs": {"type": "bool", "aliases": ["verify_ssl"]},
    "ca_cert": {"type": "path", "aliases": ["ssl_ca_cert"]},
    "client_cert": {"type": "path", "aliases": ["cert_file"]},
    "client_key": {"type": "path", "aliases": ["key_file"], "no_log": False},
    "proxy": {"type": "str"},
    "no_proxy": {"type": "str"},
    "proxy_headers": {
        "type": "dict",
        "options": {
            "proxy_basic_auth": {"type": "str", "no_log": True},
            "basic_auth": {"type": "str", "no_log": True},
            "user_agent": {"type": "str"},
        },
    },
    "persist_config": {"type": "bool"},
    "impersonate_user": {"type": "str"},
    "impersonate_groups": {"type": "list", "elements": "str"},
}

# Options that the `kubernetes` library knows by another name.
LIBRARY_NAMES = {
    "validate_certs": "verify_ssl",
    "ca_cert": "ssl_ca_cert",
    "client_cert": "cert_file",
    "client_key": "key_file",
}
_LISTS = ("impersonate_groups",)
_BOOLEANS = ("validate_certs", "persist_config")
# No others, so that no two tasks of a play differ in whether they check a certificate.
_FALSE = ("0", "false", "no")


def environment_variables(option: str) -> tuple[str, ...]:
    """Environment variables that stand in for `option` when it is not given; the first that is set wins."""
    return tuple(f"K8S_AUTH_{name.upper()}" for name in dict.fromkeys((option, LIBRARY_NAMES.get(option, option))))


def resolve(params: t.Mapping[str, t.Any], environ: t.Mapping[str, str] | None = None) -> dict[str, t.Any]:
    """Lay the given options over the environment variables.

    Args:
        params: a module's parameters; None means not given.
        environ: the process environment, for tests.

    Returns:
        One value (or None) per connection option, of the option's own type.
    """
    env = os.environ if environ is None else environ
    return {option: _value(option, params.get(option), env) for option in AUTH_OPTIONS}


def _value(option: str, given: t.Any, env: t.Mapping[str, str]) -> t.Any:
    if option == "proxy_headers":
        keys = AUTH_OPTIONS[option]["options"]
        headers = {key: env.get(f"K8S_AUTH_PROXY_HEADERS_{key.upper()}") for key in keys} if given is None else given
        return {key: value for key, value in headers.items() if value} or None
    if given is not None:
        return given
    raw = next((env[name] for name in environment_variables(option) if env.get(name)), None)
    if raw is None:
        return None
    if option in _BOOLEANS:
        return raw.lower() not in _FALSE
    return [word for word in raw.split(",") if word] if option in _LISTS else raw


def secret_leaves(kubeconfig: t.Any) -> set[str]:
    """Values inside a kubeconfig document that must never be shown.

    Only these are masked in results: masking every leaf of the document would blank out harmless words such
    as `v1` or a cluster's name everywhere.
    """
    secret_keys = {"token", "password", "client-key-data", "client-certificate-data", "id-token", "refresh-token"}
    secret_keys |= {"client-secret", "access-token", "auth-provider", "env", "args"}
    found: set[str] = set()

    def walk(value: t.Any, secret: bool) -> None:
        if isinstance(value, dict):
            for key, child in value.items():
                walk(child, secret or key in secret_keys)
        elif isinstance(value, list):
            for child in value:
                walk(child, secret)
        elif secret and isinstance(value, str) and len(value) >= 8:
            found.add(value)

    walk(kubeconfig, False)
    return found
