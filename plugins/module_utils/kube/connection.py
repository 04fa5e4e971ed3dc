# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Private to this collection: may change in any release.
"""From connection options to a ready `kubernetes` configuration: kubeconfig, explicit host, or in-cluster."""

from __future__ import annotations

import os
import typing as t

try:
    import urllib3
    import yaml
    from kubernetes import config
    from kubernetes.client import Configuration
    from kubernetes.config.config_exception import ConfigException
except ImportError:  # module.run() reports the missing library
    pass

from .errors import ConfigError
from .options import LIBRARY_NAMES, environment_variables

_EXPLICIT = ("host", "ca_cert", "client_cert", "client_key", "validate_certs", "proxy", "no_proxy")


class Connection(t.NamedTuple):
    """Where to send requests and what to send with each.

    Attributes:
        configuration: `kubernetes.client.Configuration`, credentials loaded.
        headers: extra headers per request (impersonation), repeated keys as repeated pairs.
        label: how messages name the cluster.
    """

    configuration: t.Any
    headers: tuple[tuple[str, str], ...]
    label: str


def connection(options: t.Mapping[str, t.Any], environ: t.Mapping[str, str] | None = None) -> Connection:
    """Load the configuration that `options` (see :func:`.options.resolve`) describe.

    As in kubernetes.core an explicit host with credentials needs nothing else. Otherwise single options override what
    is loaded: the kubeconfig, where it or a context was given; else, in a pod, its service account; else the files that
    kubectl reads.

    Raises:
        ConfigError: a file, context or combination that cannot work, named with the option it came from.
    """
    env = os.environ if environ is None else environ
    _check_files(options)
    configuration = Configuration()
    source = "the given host" if _complete_without_kubeconfig(options) else _load(options, configuration, env)
    for option in _EXPLICIT:
        if options.get(option) is not None:
            setattr(configuration, LIBRARY_NAMES.get(option, option), options[option])
    if options.get("api_key"):
        configuration.api_key = {"authorization": f"Bearer {options['api_key']}"}
        configuration.refresh_api_key_hook = None
    if options.get("proxy_headers"):
        configuration.proxy_headers = urllib3.util.make_headers(**options["proxy_headers"])
    configuration.connection_pool_maxsize = 32
    # Retrying is decided in one place (client.py), where verb and cause are known.
    configuration.retries = False
    headers = _impersonation(options) + _basic(options)
    return Connection(configuration, headers, f"{source} at {configuration.host}")


def _complete_without_kubeconfig(options: t.Mapping[str, t.Any]) -> bool:
    credentials = options.get("api_key") or (options.get("username") and options.get("password"))
    return bool(options.get("host") and (credentials or (options.get("client_cert") and options.get("client_key"))))


def _check_files(options: t.Mapping[str, t.Any]) -> None:
    for option in ("ca_cert", "client_cert", "client_key"):
        path = options.get(option)
        if path and not os.path.isfile(os.path.expanduser(path)):
            raise ConfigError(f"{option}: no file {path} on the controller", option=option)


def _load(options: t.Mapping[str, t.Any], configuration: t.Any, env: t.Mapping[str, str]) -> str:
    kubeconfig, context = options.get("kubeconfig"), options.get("context")
    trouble = ""
    if not (kubeconfig or context) and env.get("KUBERNETES_SERVICE_HOST"):
        try:
            return _service_account(configuration)
        except ConfigError as error:
            trouble = f"{error}; "
    name = f"context {context}" if context else "the current context"
    common = {
        "context": context,
        "client_configuration": configuration,
        "persist_config": options.get("persist_config") or False,
    }
    if isinstance(kubeconfig, dict):
        return _translated(
            lambda: config.load_kube_config_from_dict(config_dict=kubeconfig, **common),
            f"{name} of the given kubeconfig",
        )
    path = kubeconfig or env.get("KUBECONFIG") or "~/.kube/config"
    files = [f for f in os.path.expanduser(str(path)).split(os.pathsep) if f]
    if not any(os.path.isfile(f) for f in files):
        raise ConfigError(
            f"{trouble}kubeconfig: no file {path} on the controller; set kubeconfig or "
            f"{environment_variables('kubeconfig')[0]}, or give host and api_key",
            option="kubeconfig",
        )
    return _translated(
        lambda: config.load_kube_config(config_file=os.pathsep.join(files), **common), f"{name} of {path}"
    )


def _service_account(configuration: t.Any) -> str:
    return _translated(
        lambda: config.load_incluster_config(client_configuration=configuration), "the pod's service account"
    )


def _translated(load: t.Callable[[], None], source: str) -> str:
    """Run the loader; its many exceptions for a malformed file become one line.

    The library raises its own exception for missing entries, and TypeError, KeyError, AttributeError or a
    subclass of ValueError/OSError where the document has another shape than it expects.
    """
    try:
        load()
    except ConfigException as error:
        raise ConfigError(f"{source}: {_hint(str(error))}", option="kubeconfig") from error
    except (TypeError, KeyError, AttributeError, ValueError, OSError, yaml.YAMLError) as error:
        raise ConfigError(f"{source}: not a usable kubeconfig ({type(error).__name__})", option="kubeconfig") from error
    return source


def _hint(text: str) -> str:
    if "contexts list" in text:
        return "there is no such context; list them with: kubectl config get-contexts"
    if "current-context" in text:
        return "no current context is set; set the option context"
    # The library's texts may quote parts of the document: keep what is before the first quote of content.
    return text.split("\n", 1)[0]


def _impersonation(options: t.Mapping[str, t.Any]) -> tuple[tuple[str, str], ...]:
    user, groups = options.get("impersonate_user"), options.get("impersonate_groups") or []
    if groups and not user:
        raise ConfigError("impersonate_groups: given without impersonate_user; the API server refuses groups alone")
    return ((("Impersonate-User", user),) if user else ()) + tuple(("Impersonate-Group", g) for g in groups)


def _basic(options: t.Mapping[str, t.Any]) -> tuple[tuple[str, str], ...]:
    if not (options.get("username") and options.get("password")):
        return ()
    return tuple(urllib3.util.make_headers(basic_auth=f"{options['username']}:{options['password']}").items())
