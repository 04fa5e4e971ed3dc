# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Options of the judging modules; a test keeps them equal to connectivity/question.py."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  name:
    description: Name of the Service to judge.
    type: str
    required: true
    aliases: [service]
  namespace:
    description: Its namespace.
    type: str
    required: true
  nodes:
    description:
      - The client nodes to ask from, by name. They need not be schedulable.
      - Without it, at most O(max_nodes) ready nodes are chosen, always the same ones. When there are more, nodes with
        and without an endpoint of the Service alternate.
    type: list
    elements: str
  max_nodes:
    description: From how many nodes to ask at most when O(nodes) is not given.
    type: int
    default: 5
  client:
    description:
      - The probe pod that asks. It carries no credentials, passes Pod Security V(restricted), and is removed
        afterwards.
    type: dict
    suboptions:
      namespace:
        description: The namespace it runs in. By default that of the Service.
        type: str
      labels:
        description: Further labels, for network policies to judge it by. No selector of a workload may match them.
        type: dict
      workload:
        description:
          - The clients' own workload in this namespace, for example V(Deployment shop). Kinds are V(Deployment),
            V(StatefulSet) and V(DaemonSet).
          - Network policies are judged by its labels. With the check V(client), so are its DNS settings, hosts entries,
            proxies and its membership of a mesh.
          - When O(client.labels) are not given, the probe pod wears its labels, without those that a selector in
            the namespace asks for. Where a policy would tell the two apart, nothing is asked and the API alone is
            judged.
        type: str
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
  other_namespace:
    description:
      - A second namespace to look names up from, by one more probe pod there.
      - Without it, the DNS servers are asked for the names that the resolver of a client elsewhere would ask for.
    type: str
  expect:
    description: What a good answer looks like.
    type: dict
    suboptions:
      status:
        description: HTTP status codes that are good.
        type: list
        elements: int
        default: [200]
      path:
        description: What to ask for.
        type: str
        default: /
      host:
        description: The header C(Host). By default the name of the Service.
        type: str
      contains:
        description: Texts that the first 64 KiB of the body must contain, all of them.
        type: list
        elements: str
        default: []
      within_ms:
        description:
          - How many milliseconds half of the answers may take at most, asked by a client one after the other at one
            address or name; with the check V(http). By default that is not judged.
        type: int
      http_ports:
        description:
          - Names or numbers of the Service's ports that speak HTTP without TLS. Ports that speak neither this nor HTTPS
            are only connected to.
          - By default those whose name or appProtocol says so, else a single TCP port, else the usual numbers.
        type: list
        elements: str
      identity_header:
        description:
          - The response header by which a pod tells its own name. Without it, it stays unknown who answers behind the
            cluster IP.
        type: str
        default: Served-By
      ready_endpoints:
        description: How many endpoints must be ready. By default any number but V(0).
        type: int
      min_nodes:
        description: Over how many nodes the ready endpoints must be spread at least. By default that is not judged.
        type: int
      owner:
        description:
          - The workload that all selected pods must belong to, for example V(Deployment my-nginx). By default that is
            not judged, since two workloads may share a Service on purpose.
        type: str
      type:
        description: The type of the Service, with the check V(service). By default any is good.
        type: str
        choices: [ClusterIP, ExternalName, Headless, LoadBalancer, NodePort]
      ports:
        description:
          - Ports that the Service must have, with the check V(service). Each as its name, its number, V(443/TCP) or
            V(https:443). By default any are good.
        type: list
        elements: str
      resolves:
        description:
          - Further names that clients must find, with the check V(dns), for example V(api.example.com) of the outside
            world. They are looked up as applications do it, with the search list of the clients.
        type: list
        elements: str
        default: []
      refused_from:
        description:
          - Clients that must not reach the Service. Judged by the network policies, with the check V(policy).
          - With the check V(endpoints) or V(http) it is also tried, by one more probe pod for each of the first eight
            of them. An answer is a failure; a probe that did not run, or addresses that answer nobody, prove nothing
            and are V(inconclusive).
          - That pod wears the labels given here, is never ready, and needs the same rights in its namespace as those of
            O(client) do. The selector of the Service must not match the labels.
        type: list
        elements: dict
        default: []
        suboptions:
          namespace:
            description: Their namespace. By default that of the Service.
            type: str
          labels:
            description: Their labels.
            type: dict
            default: {}
  cluster_domain:
    description: The DNS domain of the cluster. By default the one in the search list of the probe pod.
    type: str
  dns_service:
    description: The cluster's DNS Service, as C(namespace/name).
    type: str
    default: kube-system/kube-dns
  max_pods:
    description: In how many pods to read the environment at most; those that were started first are preferred.
    type: int
    default: 10
  timeout:
    description:
      - Seconds for everything. A healthy Service takes a few. The rest is for looking again before something is
        accused, and DNS caches alone may take 30 s of that.
      - When they are over, whoever hangs is not waited for any more. What was not answered or read by then is
        V(inconclusive). Only removing the probe pods may take up to 3 s beyond that.
    type: int
    default: 60
  waivers:
    description:
      - Complaints that are accepted for a time. They are reported as skipped, with the reason.
      - From the day after O(waivers[].until) the complaint counts again, and a warning says that it has expired.
    type: list
    elements: dict
    default: []
    suboptions:
      id:
        description: Id of the check, for example V(TL-06).
        type: str
        required: true
      object:
        description: The object of the complaint, for example V(Pod demo/web-*). Shell wildcards.
        type: str
        default: "*"
      until:
        description: The last day, in the form V(2026-12-31), by UTC.
        type: str
        required: true
      reason:
        description: Why it is accepted.
        type: str
        required: true
  fail_on:
    description:
      - How bad a finding must be to fail the task.
      - V(inconclusive) is worse than good, since it is not proven; something skipped is only reported.
      - V(warn) fails on warnings too; V(fail) fails only on what is surely wrong; V(never) never fails on findings.
    type: str
    choices: [never, fail, inconclusive, warn]
    default: inconclusive
  dest:
    description:
      - A file on the host that the module runs on, to write all findings to as JSON. Readable by its owner only.
    type: path
"""

    HTTP = r"""
options:
  outside:
    description:
      - Whether the host that the task runs on asks too, as a client outside of the cluster. It asks the NodePorts on
        up to 8 nodes and the addresses of the load balancer, and judges which nodes should answer and how they do.
      - For Services of the types V(NodePort) and V(LoadBalancer); of others nothing can be asked from outside.
    type: bool
    default: false
  tls:
    description:
      - How clients use the Service's HTTPS ports. Judged with the HTTP checks; where there is no such port, it means
        nothing.
      - The probe pods trust O(tls.bundle) alone, whatever their environment says, and never see a key.
    type: dict
    suboptions:
      bundle:
        description:
          - The CA certificates that clients trust, as PEM text. An intermediate or a self-signed certificate will do,
            too.
          - Without a bundle everything is judged but whether clients can trust the certificate.
        type: str
      bundle_config_map:
        description: A ConfigMap in the Service's namespace with the bundle under the key V(ca.crt).
        type: str
      server_name:
        description:
          - The name that clients verify. By default the one that they connect to, which is the Service's name for
            clients in its namespace, and V(name.namespace) for others.
        type: str
      names:
        description:
          - Further names and IP addresses that the certificate must be for, such as those by which clients outside of
            the cluster reach the load balancer. A name that a wildcard of the certificate covers will do.
        type: list
        elements: str
        default: []
      secret:
        description:
          - A Secret in the Service's namespace. Every pod must serve its certificate.
          - Read is the annotation C(plumbline.dev/fingerprint), and only where it is missing the certificate itself.
            Without the right to do so, that is reported as skipped.
        type: str
      mount_path:
        description:
          - Where the pods have that Secret mounted. Then the file C(tls.crt) there is compared as well, with what
            O(tls.secret) holds and with what each pod serves, in at most O(max_pods) pods.
          - It is read with C(cat) in the container, which needs the rights V(get) and V(create) on C(pods/exec). The
            key beside it is not touched.
        type: str
      minimum_days:
        description:
          - Warn when the certificate is valid for fewer days than this. One of a short life is warned of in its last
            third.
        type: int
        default: 14
      minimum_version:
        description:
          - The oldest version of TLS that counts. A server that has older ones only is a failure, one that takes
            older ones too a warning.
        type: str
        choices: [TLSv1.2, TLSv1.3]
        default: TLSv1.2
      ports:
        description:
          - Names or numbers of the Service's ports that speak HTTPS.
          - By default those whose appProtocol, else name, is V(https) or begins with V(https-), and port 443 where
            neither is given.
        type: list
        elements: str
"""
