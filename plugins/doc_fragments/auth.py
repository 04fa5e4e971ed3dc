# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Connection options, named exactly as in kubernetes.core; a test keeps them equal to kube/options.py."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  kubeconfig:
    description:
      - Path of a kubeconfig file, several paths joined by V(:), or the content of one as a dictionary.
      - Where neither this nor O(context) nor an O(host) with credentials is given, the first of these is used that is
        there - the service account of the pod that Ansible runs in, the files named by the environment variable
        E(KUBECONFIG), C(~/.kube/config).
      - Falls back to the environment variable E(K8S_AUTH_KUBECONFIG).
    type: raw
  context:
    description:
      - Name of a context in the kubeconfig. Without it, the kubeconfig's own current context is used.
      - Falls back to the environment variable E(K8S_AUTH_CONTEXT).
    type: str
  host:
    description:
      - URL of the API server.
      - Falls back to the environment variable E(K8S_AUTH_HOST).
    type: str
  api_key:
    description:
      - Bearer token sent to the API server.
      - Falls back to the environment variable E(K8S_AUTH_API_KEY).
    type: str
  username:
    description:
      - User name for HTTP basic authentication, where something in front of the API server asks for it.
      - Falls back to the environment variable E(K8S_AUTH_USERNAME).
    type: str
  password:
    description:
      - Password for HTTP basic authentication, used with O(username).
      - Falls back to the environment variable E(K8S_AUTH_PASSWORD).
    type: str
  client_cert:
    description:
      - Path of the client certificate to authenticate with.
      - Falls back to the environment variables E(K8S_AUTH_CLIENT_CERT) and E(K8S_AUTH_CERT_FILE), in that order.
    type: path
    aliases: [cert_file]
  client_key:
    description:
      - Path of the private key that belongs to O(client_cert).
      - Falls back to the environment variables E(K8S_AUTH_CLIENT_KEY) and E(K8S_AUTH_KEY_FILE), in that order.
    type: path
    aliases: [key_file]
  ca_cert:
    description:
      - Path of the bundle of certificate authorities that the API server's certificate is verified against.
      - Falls back to the environment variables E(K8S_AUTH_CA_CERT) and E(K8S_AUTH_SSL_CA_CERT), in that order.
    type: path
    aliases: [ssl_ca_cert]
  validate_certs:
    description:
      - Whether the API server's certificate is verified.
      - In the environment, V(0), V(false) and V(no) say that it is not; anything else says that it is.
      - Falls back to the environment variables E(K8S_AUTH_VALIDATE_CERTS) and E(K8S_AUTH_VERIFY_SSL), in that order.
    type: bool
    aliases: [verify_ssl]
  proxy:
    description:
      - URL of an HTTP proxy for the connection to the API server.
      - Without it, newer versions of the C(kubernetes) library read E(HTTPS_PROXY) and its kin, for all collections.
      - Falls back to the environment variable E(K8S_AUTH_PROXY).
    type: str
  no_proxy:
    description:
      - Comma separated hosts, domains, addresses and networks that are reached without O(proxy).
      - Falls back to the environment variable E(K8S_AUTH_NO_PROXY).
    type: str
  proxy_headers:
    description:
      - Headers sent to the HTTP proxy.
      - Without this option, the environment variables of the suboptions are read.
    type: dict
    suboptions:
      proxy_basic_auth:
        description:
          - C(user:password) for the header C(Proxy-Authorization).
          - Falls back to the environment variable E(K8S_AUTH_PROXY_HEADERS_PROXY_BASIC_AUTH).
        type: str
      basic_auth:
        description:
          - C(user:password) for the header C(Authorization).
          - Falls back to the environment variable E(K8S_AUTH_PROXY_HEADERS_BASIC_AUTH).
        type: str
      user_agent:
        description:
          - Value of the header C(User-Agent).
          - Falls back to the environment variable E(K8S_AUTH_PROXY_HEADERS_USER_AGENT).
        type: str
  persist_config:
    description:
      - Whether refreshed tokens are written back to the kubeconfig file.
      - Falls back to the environment variable E(K8S_AUTH_PERSIST_CONFIG).
    type: bool
  impersonate_user:
    description:
      - User to act as.
      - Falls back to the environment variable E(K8S_AUTH_IMPERSONATE_USER).
    type: str
  impersonate_groups:
    description:
      - Groups to act as.
      - Falls back to the environment variable E(K8S_AUTH_IMPERSONATE_GROUPS), separated by commas.
    type: list
    elements: str
notes:
  - The options, aliases and environment variables of the connection are those of the modules of kubernetes.core.
requirements:
  - python >= 3.11
  - cryptography >= 44.0.0
  - kubernetes >= 31.0.0
"""
