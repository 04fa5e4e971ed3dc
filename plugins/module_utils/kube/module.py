# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Private to this collection: may change in any release.
"""What every module's `main()` shares: options, libraries, connection, errors, exit."""

from __future__ import annotations

import typing as t

from ansible.module_utils.basic import AnsibleModule, missing_required_lib

try:
    import cryptography  # noqa: F401  # pylint: disable=unused-import
    import kubernetes  # noqa: F401  # pylint: disable=unused-import
    import urllib3  # noqa: F401  # pylint: disable=unused-import
    import websocket  # noqa: F401  # pylint: disable=unused-import

    LIBRARY_ERROR = None
except ImportError as error:
    import traceback

    LIBRARY_ERROR = (error.name or "kubernetes", traceback.format_exc())

from .client import Cluster
from .errors import KubeError
from .options import AUTH_OPTIONS, secret_leaves

Action = t.Callable[[AnsibleModule, Cluster], dict[str, t.Any]]


def run(options: dict[str, t.Any], action: Action, **kwargs: t.Any) -> t.NoReturn:
    """Run `action` as an Ansible module and exit with its result.

    Args:
        options: argument spec of the module's own options.
        action: gets the AnsibleModule and a connected :class:`Cluster`, returns the result.
        kwargs: further arguments of AnsibleModule (`mutually_exclusive`, `required_if`, ...).

    A :class:`KubeError` becomes a failure whose `msg` is its one line, with its details beside it.
    """
    module = AnsibleModule(argument_spec={**AUTH_OPTIONS, **options}, **{"supports_check_mode": True, **kwargs})
    if LIBRARY_ERROR:
        module.fail_json(msg=missing_required_lib(LIBRARY_ERROR[0]), exception=LIBRARY_ERROR[1])
    _mask_secrets_only(module)
    try:
        cluster = Cluster.connect(module.params)
        result = action(module, cluster)
    except KubeError as error:
        module.fail_json(msg=str(error), **error.details)
    for notice in cluster.notices:
        module.warn(notice)
    raise SystemExit(module.exit_json(**result))


def _mask_secrets_only(module: AnsibleModule) -> None:
    """Keep the secrets of a kubeconfig document masked, and give harmless words back.

    `no_log` on the whole document would mask each of its leaves, names like `v1` included, in every result.
    """
    kubeconfig = module.params["kubeconfig"]
    if isinstance(kubeconfig, dict):
        leaves = _leaves(kubeconfig)
        module.no_log_values = (module.no_log_values - leaves) | secret_leaves(kubeconfig)
    elif isinstance(kubeconfig, str):
        module.no_log_values = module.no_log_values - {kubeconfig}


def _leaves(value: t.Any) -> set[str]:
    if isinstance(value, dict):
        return {leaf for child in value.values() for leaf in _leaves(child)}
    if isinstance(value, list):
        return {leaf for child in value for leaf in _leaves(child)}
    return {str(value)}
