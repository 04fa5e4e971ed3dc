# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is wrong with a workload, and when nothing is."""

from __future__ import annotations

import typing as t
from dataclasses import replace

import pytest

from ansible_collections.plumbline.kubernetes.plugins.module_utils.connectivity.checks import workload
from ansible_collections.plumbline.kubernetes.plugins.module_utils.connectivity.logs import telling_line
from ansible_collections.plumbline.kubernetes.plugins.module_utils.connectivity.pod_security import violations
from ansible_collections.plumbline.kubernetes.plugins.module_utils.connectivity.question import Expectations
from ansible_collections.plumbline.kubernetes.plugins.module_utils.connectivity.result import Finding
from ansible_collections.plumbline.kubernetes.tests.unit.connectivity import builders
from ansible_collections.plumbline.kubernetes.tests.unit.connectivity.scenes import (
    Body,
    Scene,
    ago,
    ended,
    pending,
    pod,
    replica_set,
    running,
    scene,
    set_condition,
    unready,
    waiting,
    young,
)

Change = t.Callable[[Scene], None]


def complaints(found: Scene, **changes: t.Any) -> list[Finding]:
    return [finding for finding in workload.check(found.look(**changes)) if finding.complains]


def everywhere(change: t.Callable[[Body], None]) -> Change:
    """Do something to every pod."""

    def apply(of: Scene) -> None:
        for body in of.pods:
            change(body)

    return apply


# ----- healthy means silent


def _surge(of: Scene) -> None:
    """A roll-out begins: a new pod beside the old ones, whose probe is refused while it starts."""
    new = replica_set(of.deployment, "99aa", 1)
    of.parts["replicasets"].append(new)
    of.status(updatedReplicas=1, replicas=3, unavailableReplicas=1)
    of.condition("Progressing", reason="ReplicaSetUpdated", lastTransitionTime=ago(40))
    of.pods.append(pod("web-99aa-0", new))
    young(of.pods[-1], 40)


def _surge_runs(of: Scene) -> None:
    _surge(of)
    unready(of.pods[-1], running(35), 40, started=True)
    of.warn(
        of.pods[-1], "Unhealthy", 'Readiness probe failed: Get "http://10.244.1.9:80/": dial tcp: connect: refused', 2
    )


def _surge_initializes(of: Scene) -> None:
    _surge(of)
    of.pods[-1]["spec"]["initContainers"] = [{"name": "wait", "image": "busybox"}]
    of.pods[-1]["status"]["initContainerStatuses"] = [{"name": "wait", "restartCount": 0, "state": running(38)}]


def _surge_waits_for_room(of: Scene) -> None:
    """The old pod is ending, and its place is the new one's."""
    _surge(of)
    pending(of.pods[-1], "0/3 nodes are available: 3 node(s) didn't match pod anti-affinity rules.", 40)
    of.pods[0]["metadata"]["deletionTimestamp"] = ago(-20)


def _old_pods_end(of: Scene) -> None:
    of.parts["pods"].append(pod("web-6f5c-0", of.parts["replicasets"][0]))
    of.pods[-1]["metadata"]["deletionTimestamp"] = ago(10)
    unready(of.pods[-1], ended(0, "Completed"), 10)


def _stale_events(of: Scene) -> None:
    """What was said of pods that run by now."""
    of.source("Secret", "web-tls", "tls.crt")
    of.each(lambda spec: spec["volumes"].append({"name": "tls", "secret": {"secretName": "web-tls"}}))
    of.warn(of.pods[0], "FailedMount", 'MountVolume.SetUp failed for volume "tls" : secret "web-tls" not found')
    of.warn(of.pods[0], "Unhealthy", "Readiness probe failed: HTTP probe failed with statuscode: 503")


def _node_was_restarted(of: Scene) -> None:
    for body in of.pods:
        status = body["status"]["containerStatuses"][0]
        status |= {"restartCount": 4, "state": running(60), "lastState": ended(255, "Unknown", 70, 90000)}


def _dead_node(of: Scene) -> None:
    """The pods of a node that is not ready are not to blame; the layer infrastructure names the node."""
    set_condition(of.parts["nodes"][1], "Ready", status="Unknown")
    unready(of.pods[0], seconds=700)
    of.pods[1]["metadata"]["deletionTimestamp"] = ago(700)
    of.pods.append(pod("web-7d4b-9", of.parts["replicasets"][1], "node-3"))


def _optional(of: Scene) -> None:
    of.each(
        lambda spec: spec["volumes"].append({"name": "x", "configMap": {"name": "gone", "optional": True}}),
    )


def _renamed_keys(of: Scene) -> None:
    of.source("Secret", "web-tls", "tls.crt", "tls.key")
    ref = {"secretName": "web-tls", "items": [{"key": "tls.crt", "path": "site/web.pem"}]}
    of.each(lambda spec: spec["volumes"].append({"name": "tls", "secret": ref}))
    of.container(volumeMounts=[{"name": "tls", "mountPath": "/tls/web.pem", "subPath": "site/web.pem"}])


def _failed_pods_lie_about(of: Scene) -> None:
    of.pods.append(pod("web-7d4b-evicted", of.parts["replicasets"][1]))
    of.pods[-1]["status"] = {"phase": "Failed", "reason": "Evicted"}


def _recreated(of: Scene) -> None:
    """The strategy allows an outage, and there is none."""
    of.deployment["spec"]["strategy"] = {"type": "Recreate"}


def _bare(of: Scene) -> None:
    of.parts["deployments"].clear()
    for body in of.pods:
        body["metadata"]["ownerReferences"] = []


def _recovered(of: Scene) -> None:
    """It ended twice while it waited for its database, and runs now."""
    of.pods[0]["status"]["containerStatuses"][0] |= {
        "restartCount": 2,
        "state": running(100),
        "lastState": ended(1, "Error", 120),
    }


def _last_one_leaves(of: Scene) -> None:
    """A StatefulSet of one replaces its pod, which serves until it has ended."""
    of.pods[0]["metadata"]["deletionTimestamp"] = ago(-20)


def _one_restart(of: Scene) -> None:
    """It lost its first try, and starts again, while another pod serves."""
    status = {"restartCount": 1, "lastState": ended(1, "Error", 15), "started": True}
    unready(of.pods[0], running(14), 20, **status)


HEALTHY: dict[str, tuple[int, str, Change | None]] = {
    "one pod": (1, "Deployment", None),
    "two pods": (2, "Deployment", None),
    "fifty pods": (50, "Deployment", None),
    "StatefulSet": (2, "StatefulSet", None),
    "DaemonSet": (2, "DaemonSet", None),
    "bare pods": (2, "Deployment", _bare),
    "no readiness probe": (
        2,
        "Deployment",
        lambda of: of.each(lambda spec: spec["containers"][0].pop("readinessProbe")),
    ),
    "a new pod is being created": (2, "Deployment", _surge),
    "a new pod is not ready yet": (2, "Deployment", _surge_runs),
    "a new pod initializes": (2, "Deployment", _surge_initializes),
    "a new pod waits for an old one's place": (2, "Deployment", _surge_waits_for_room),
    "right after a roll-out": (2, "Deployment", _old_pods_end),
    "old warnings of pods that run": (2, "Deployment", _stale_events),
    "its node was restarted": (2, "Deployment", _node_was_restarted),
    "a node died": (2, "Deployment", _dead_node),
    "an optional ConfigMap is absent": (2, "Deployment", _optional),
    "keys under other names": (2, "Deployment", _renamed_keys),
    "evicted pods": (2, "Deployment", _failed_pods_lie_about),
    "strategy Recreate": (2, "Deployment", _recreated),
    "one restart": (2, "Deployment", _one_restart),
    "ended at first and recovered": (2, "Deployment", _recovered),
    "the only pod is replaced": (1, "StatefulSet", _last_one_leaves),
    "a namespace with Pod Security baseline": (
        2,
        "Deployment",
        lambda of: of.parts["namespaces"][0]["metadata"]["labels"].update(
            {"pod-security.kubernetes.io/enforce": "baseline"}
        ),
    ),
}


@pytest.mark.parametrize("case", HEALTHY)
def test_healthy_means_silent(case: str) -> None:
    replicas, kind, change = HEALTHY[case]
    of = scene(replicas, kind)
    if change:
        change(of)
    assert complaints(of) == []


def test_a_healthy_workload_passes_every_check() -> None:
    found = {finding.id: finding.status for finding in workload.check(scene().look())}
    advice = {check for check, status in found.items() if status == "skipped"}
    assert set(found) == {check for check, _title, _rights in workload.CHECKS}
    assert advice == {"WL-12", "WL-14"}


def test_without_rights_nothing_is_judged() -> None:
    of = scene()
    of.deny("pods")
    found = workload.check(of.look())
    assert {finding.status for finding in found} == {"skipped"}
    assert {finding.message for finding in found} == {"cannot list pods in namespace demo"}


@pytest.mark.parametrize(
    ("denied", "check"),
    [
        ("deployments", "WL-02"),
        ("replicasets", "WL-13"),
        ("events", "WL-08"),
        ("secrets", "WL-06"),
        ("disruption_budgets", "WL-12"),
        ("namespaces", "WL-17"),
    ],
)
def test_a_missing_right_skips_its_checks(denied: str, check: str) -> None:
    of = scene()
    of.each(lambda spec: spec["volumes"].append({"name": "tls", "secret": {"secretName": "web-tls"}}))
    of.source("Secret", "web-tls", "tls.crt")
    of.deny(denied)
    found = {finding.id: finding for finding in workload.check(of.look())}
    assert (found[check].status, found[check].message) == ("skipped", f"cannot list {denied} in namespace demo")
    assert not [finding for finding in found.values() if finding.complains]


# ----- faults


def _pull(of: Scene) -> None:
    of.container(image="registry.example/web:nope")
    text = 'failed to resolve reference "registry.example/web:nope": registry.example/web:nope: not found'
    text = f'failed to pull and unpack image "registry.example/web:nope": {text}'
    state = waiting("ImagePullBackOff", f'Back-off pulling image "registry.example/web:nope": ErrImagePull: {text}')
    everywhere(lambda body: unready(body, state))(of)


def _pull_by_events(of: Scene) -> None:
    """Before 1.32 the back-off does not say why."""
    of.container(image="web:1")
    everywhere(lambda body: unready(body, waiting("ImagePullBackOff", 'Back-off pulling image "web:1"')))(of)
    of.warn(of.pods[0], "Failed", 'Failed to pull image "web:1": pull access denied: unauthorized: log in first')


def _crash(of: Scene) -> None:
    state = waiting("CrashLoopBackOff", "back-off 1m20s restarting failed container=nginx pod=web_demo(uid)")
    everywhere(lambda body: unready(body, state, restartCount=4, lastState=ended(1, "Error")))(of)


def _crash_with_log(of: Scene) -> None:
    _crash(of)
    of.logs["demo/web-7d4b-0/nginx"] = (
        "/docker-entrypoint.sh: ready\n"
        '2026/11/23 11:59:47 [emerg] 1#1: unexpected "}" in /etc/nginx/conf.d/default.conf:1\nbye\n'
    )


def _crash_between(of: Scene) -> None:
    """Between two crashes it runs for a moment."""
    everywhere(
        lambda body: unready(body, running(2), 200, restartCount=4, lastState=ended(1, "Error", 40), started=True)
    )(of)


def _oom(of: Scene) -> None:
    of.container(resources={"limits": {"memory": "16Mi"}})
    state = waiting("CrashLoopBackOff", "back-off")
    everywhere(lambda body: unready(body, state, restartCount=3, lastState=ended(137, "OOMKilled")))(of)


def _no_command(of: Scene) -> None:
    text = (
        "failed to create containerd task: failed to create shim task: OCI runtime create failed: runc create failed: "
        'unable to start container process: exec: "/no/such": stat /no/such: no such file or directory'
    )
    last = {"terminated": {"exitCode": 128, "reason": "StartError", "message": text, "finishedAt": ago(9)}}
    last["terminated"]["startedAt"] = "1970-01-01T00:00:00Z"
    everywhere(lambda body: unready(body, waiting("CrashLoopBackOff", "back-off"), restartCount=3, lastState=last))(of)


def _done(of: Scene) -> None:
    state = waiting("CrashLoopBackOff", "back-off")
    everywhere(lambda body: unready(body, state, restartCount=3, lastState=ended(0, "Completed")))(of)


def _root(of: Scene) -> None:
    text = 'container has runAsNonRoot and image will run as root (pod: "web_demo(dda49dce)", container: nginx)'
    everywhere(lambda body: unready(body, waiting("CreateContainerConfigError", text)))(of)


def _liveness(of: Scene) -> None:
    of.container(livenessProbe={"httpGet": {"path": "/alive", "port": 80, "scheme": "HTTP"}})
    _done(of)
    for body in of.pods:
        of.warn(body, "Unhealthy", "Liveness probe failed: HTTP probe failed with statuscode: 404", 900)


def _startup(of: Scene) -> None:
    of.container(startupProbe={"tcpSocket": {"port": 8080}})
    _done(of)
    for body in of.pods:
        of.warn(body, "Unhealthy", "Startup probe failed: dial tcp 10.244.1.9:8080: connect: connection refused")


def _init_fails(of: Scene) -> None:
    init = {"name": "migrate", "restartCount": 4, "state": ended(3, "Error"), "lastState": ended(3, "Error", 60)}
    for body in of.pods:
        young(body, 90)
        body["spec"]["initContainers"] = [{"name": "migrate", "image": "migrate:1"}]
        body["status"]["initContainerStatuses"] = [init]


def _init_hangs(of: Scene) -> None:
    for body in of.pods:
        young(body, 90)
        body["spec"]["initContainers"] = [{"name": "migrate", "image": "migrate:1"}]
        body["status"]["initContainerStatuses"] = [{"name": "migrate", "restartCount": 0, "state": running(85)}]


def _volume(of: Scene) -> None:
    for body in of.pods:
        young(body, 90)
        of.warn(body, "FailedMount", 'MountVolume.SetUp failed for volume "data" : mount.nfs: Connection timed out')


def _sandbox(of: Scene) -> None:
    for body in of.pods:
        young(body, 90)
        of.warn(
            body, "FailedCreatePodSandBox", 'Failed to create pod sandbox: plugin type="cni" failed (add): no IPs left'
        )


def _node_selector(of: Scene) -> None:
    of.each(lambda spec: spec.update({"nodeSelector": {"disk": "nvme"}}))
    text = (
        "0/3 nodes are available: 1 node(s) had untolerated taint(s), 2 node(s) didn't match Pod's node "
        "affinity/selector. preemption: 0/3 nodes are available: 3 Preemption is not helpful for scheduling."
    )
    everywhere(lambda body: pending(body, text))(of)


def _cpu(of: Scene) -> None:
    of.container(resources={"requests": {"cpu": "1k"}})
    text = "0/3 nodes are available: 1 node(s) had untolerated taint(s), 2 Insufficient cpu. preemption: 0/3 nodes are"
    everywhere(lambda body: pending(body, text))(of)


def _tainted(of: Scene) -> None:
    for item in of.parts["nodes"][1:]:
        item["spec"]["taints"] = [{"key": "team", "effect": "NoExecute"}]
    everywhere(lambda body: pending(body, "0/3 nodes are available: 3 node(s) had untolerated taint(s)."))(of)


def _no_claim(of: Scene) -> None:
    of.each(lambda spec: spec["volumes"].append({"name": "d", "persistentVolumeClaim": {"claimName": "data"}}))
    text = '0/3 nodes are available: persistentvolumeclaim "data" not found. not found'
    everywhere(lambda body: pending(body, text))(of)


def _unbound_claim(of: Scene) -> None:
    of.each(lambda spec: spec["volumes"].append({"name": "d", "persistentVolumeClaim": {"claimName": "data"}}))
    text = "0/3 nodes are available: pod has unbound immediate PersistentVolumeClaims. preemption: 0/3 nodes are"
    everywhere(lambda body: pending(body, text))(of)
    claim = {"kind": "PersistentVolumeClaim", "metadata": {"name": "data", "uid": "pvc"}}
    of.warn(claim, "ProvisioningFailed", 'storageclass.storage.k8s.io "fast" not found')


def _no_scheduler(of: Scene) -> None:
    of.each(lambda spec: spec.update({"schedulerName": "own"}))
    for body in of.pods:
        pending(body, "")
        body["status"] = {"phase": "Pending"}


def _gated(of: Scene) -> None:
    of.each(lambda spec: spec.update({"schedulingGates": [{"name": "example.org/quota"}]}))
    for body in of.pods:
        pending(body, "Scheduling is blocked due to non-empty scheduling gates")
        body["status"]["conditions"][0]["reason"] = "SchedulingGated"


def _no_secret(of: Scene) -> None:
    of.each(lambda spec: spec["volumes"].append({"name": "tls", "secret": {"secretName": "web-tls"}}))
    for body in of.pods:
        young(body, 40)
        of.warn(body, "FailedMount", 'MountVolume.SetUp failed for volume "tls" : secret "web-tls" not found')


def _secret_deleted(of: Scene) -> None:
    _no_secret(of)
    of.parts["pods"][0] = pod("web-7d4b-0", of.parts["replicasets"][1])
    of.pods[0]["spec"]["volumes"] = of.template["volumes"]


def _no_config_map(of: Scene) -> None:
    of.container(envFrom=[{"configMapRef": {"name": "settings"}}])
    state = waiting("CreateContainerConfigError", 'configmap "settings" not found')
    everywhere(lambda body: unready(body, state))(of)


def _no_item(of: Scene) -> None:
    of.source("Secret", "web-tls", "nginx.crt", "nginx.key")
    ref = {"secretName": "web-tls", "items": [{"key": "tls.crt", "path": "tls.crt"}]}
    of.each(lambda spec: spec["volumes"].append({"name": "tls", "secret": ref}))
    for body in of.pods:
        young(body, 40)
        text = 'MountVolume.SetUp failed for volume "tls" : references non-existent secret key: tls.crt'
        of.warn(body, "FailedMount", text)


def _no_env_key(of: Scene) -> None:
    of.source("ConfigMap", "settings", "loglevel")
    of.container(env=[{"name": "L", "valueFrom": {"configMapKeyRef": {"name": "settings", "key": "log-level"}}}])
    state = waiting("CreateContainerConfigError", "couldn't find key log-level in ConfigMap demo/settings")
    everywhere(lambda body: unready(body, state))(of)


def _no_sub_path(of: Scene) -> None:
    of.source("ConfigMap", "settings", "site.conf")
    of.each(lambda spec: spec["volumes"].append({"name": "s", "configMap": {"name": "settings"}}))
    of.container(volumeMounts=[{"name": "s", "mountPath": "/etc/nginx/nginx.conf", "subPath": "nginx.conf"}])
    _crash(of)


def _wrong_key_names(of: Scene) -> None:
    """The certificate of an Opaque Secret under names that nginx is not told of."""
    of.source("Secret", "web-tls", "nginx.crt", "nginx.key")
    of.each(lambda spec: spec["volumes"].append({"name": "tls", "secret": {"secretName": "web-tls"}}))
    of.container(volumeMounts=[{"name": "tls", "mountPath": "/etc/nginx/ssl"}])
    _crash(of)
    line = '[emerg] 1#1: cannot load certificate "/etc/nginx/ssl/tls.crt": BIO_new_file() failed (SSL: error:80000002'
    for body in of.pods:
        of.logs[f"demo/{body['metadata']['name']}/nginx"] = line


def _probe_path(of: Scene) -> None:
    of.container(readinessProbe={"httpGet": {"path": "/healthz", "port": 80, "scheme": "HTTP"}})
    for body in of.pods:
        unready(body, running(50), 60, started=True)
        of.warn(body, "Unhealthy", "Readiness probe failed: HTTP probe failed with statuscode: 404", 45)


def _probe_port(of: Scene) -> None:
    of.container(readinessProbe={"httpGet": {"path": "/", "port": 8080, "scheme": "HTTP"}})
    text = 'Get "http://10.244.1.76:8080/": dial tcp 10.244.1.76:8080: connect: connection refused'
    for body in of.pods:
        unready(body, running(50), 60, started=True)
        of.warn(body, "Unhealthy", f"Readiness probe failed: {text}")


def _turned(of: Scene) -> None:
    """One of two was ready, and is not any more."""
    unready(of.pods[0], running(3590), 45)
    of.warn(of.pods[0], "Unhealthy", "Readiness probe failed: HTTP probe failed with statuscode: 503")


def _never_ready(of: Scene) -> None:
    """One of two does not become ready within the deadline of the roll-out."""
    unready(of.pods[0], running(650), 660, started=True)
    of.warn(of.pods[0], "Unhealthy", 'Readiness probe failed: Get "http://10.1.1.1:80/": context deadline exceeded')


def _readiness_gate(of: Scene) -> None:
    of.each(lambda spec: spec.update({"readinessGates": [{"conditionType": "example.org/lb"}]}))
    for body in of.pods:
        set_condition(body, "Ready", status="False", reason="ReadinessGatesNotReady", lastTransitionTime=ago(60))


def _scaled_to_zero(of: Scene) -> None:
    of.deployment["spec"]["replicas"] = 0
    of.deployment["status"] = {"observedGeneration": 2}
    of.pods.clear()


def _refused(text: str) -> Change:
    def change(of: Scene) -> None:
        of.pods.clear()
        of.status(replicas=0, readyReplicas=0, updatedReplicas=0, availableReplicas=0, unavailableReplicas=2)
        message = f'pods "web-7d4b-" is forbidden: {text}'
        of.condition("ReplicaFailure", reason="FailedCreate", message=message)

    return change


def _would_be_refused(of: Scene) -> None:
    of.parts["namespaces"][0]["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] = "restricted"


def _deadlock(of: Scene) -> None:
    _surge(of)
    text = (
        "0/3 nodes are available: 1 node(s) had untolerated taint(s), 2 node(s) didn't match pod anti-affinity rules. "
        "preemption: 0/3 nodes are available: 1 Preemption is not helpful for scheduling."
    )
    pending(of.pods[-1], text, 40)


def _paused(of: Scene) -> None:
    of.deployment["spec"]["paused"] = True
    of.status(updatedReplicas=0)
    of.condition("Progressing", status="Unknown", reason="DeploymentPaused")


def _taken_down(of: Scene) -> None:
    of.deployment["spec"]["strategy"]["rollingUpdate"] = {"maxUnavailable": "100%", "maxSurge": 0}
    of.condition("Progressing", reason="ReplicaSetUpdated")
    of.status(availableReplicas=0, readyReplicas=0, unavailableReplicas=2)
    _init_hangs(of)


def _no_progress(of: Scene) -> None:
    _surge(of)
    of.pods.pop()
    of.condition("Progressing", status="False", reason="ProgressDeadlineExceeded", message="timed out progressing")


def _not_observed(of: Scene) -> None:
    of.deployment["metadata"]["generation"] = 3


def _held(of: Scene) -> None:
    body = pod("web-7d4b-held", of.parts["replicasets"][1])
    body["metadata"] |= {"deletionTimestamp": ago(100), "finalizers": ["example.org/hold"]}
    body["status"]["phase"] = "Succeeded"
    of.pods.append(body)


def _none_yet(of: Scene) -> None:
    everywhere(lambda body: young(body, 5))(of)


# change, status, id, component, a part of the one line that a reader sees
FAULTS: dict[str, tuple[Change, str, str, str, str]] = {
    "image, not found": (
        _pull,
        "fail",
        "WL-05",
        "started/web-7d4b-0",
        "of Pod demo/web-7d4b-0 cannot be pulled: registry.example/web:nope: not found (observed ImagePullBackOff",
    ),
    "image, unauthorized": (_pull_by_events, "fail", "WL-05", "started/web-7d4b-0", "imagePullSecrets"),
    "crash": (_crash, "fail", "WL-05", "started/web-7d4b-0", "kubectl logs -n demo web-7d4b-0 -c nginx --previous"),
    "crash with a log": (
        _crash_with_log,
        "fail",
        "WL-05",
        "started/web-7d4b-0",
        'keeps ending: [emerg] 1#1: unexpected "}" in /etc/nginx/conf.d/default.conf:1',
    ),
    "between two crashes": (_crash_between, "fail", "WL-05", "started/web-7d4b-0", "exit code 1 (Error)"),
    "out of memory": (_oom, "fail", "WL-05", "started/web-7d4b-0", "it takes more memory than its limit of 16Mi"),
    "no such command": (_no_command, "fail", "WL-05", "started/web-7d4b-0", 'exec: "/no/such": stat /no/such: no such'),
    "command is done": (_done, "fail", "WL-05", "started/web-7d4b-0", "its command is done (exit code 0)"),
    "root": (_root, "fail", "WL-05", "started/web-7d4b-0", "runAsNonRoot and image will run as root (observed"),
    "liveness": (_liveness, "fail", "WL-08", "started/web-7d4b-0", "its liveness probe fails: status 404"),
    "startup": (_startup, "fail", "WL-08", "started/web-7d4b-0", "its startup probe fails: connection refused"),
    "init fails": (
        _init_fails,
        "fail",
        "WL-05",
        "started/web-7d4b-0",
        "container migrate of Pod demo/web-7d4b-0 keeps",
    ),
    "init hangs": (_init_hangs, "fail", "WL-05", "started/web-7d4b-0", "waits for its init container migrate"),
    "volume": (_volume, "fail", "WL-05", "started/web-7d4b-0", "cannot mount a volume"),
    "sandbox": (_sandbox, "fail", "WL-05", "started/web-7d4b-0", "no IPs left"),
    "node selector": (
        _node_selector,
        "fail",
        "WL-04",
        "scheduled/web-7d4b-0",
        "no node has the label disk=nvme, which its nodeSelector wants; there are nodes with disk=ssd",
    ),
    "cpu": (_cpu, "fail", "WL-04", "scheduled/web-7d4b-0", "its containers request cpu 1k (observed"),
    "taints": (_tainted, "fail", "WL-04", "scheduled/web-7d4b-0", "team:NoExecute, which it does not tolerate"),
    "no claim": (_no_claim, "fail", "WL-04", "scheduled/web-7d4b-0", "PersistentVolumeClaim data does not exist"),
    "unbound claim": (_unbound_claim, "fail", "WL-04", "scheduled/web-7d4b-0", '"fast" not found'),
    "no scheduler": (_no_scheduler, "fail", "WL-04", "scheduled/web-7d4b-0", "the scheduler own does not run"),
    "scheduling gate": (_gated, "fail", "WL-04", "scheduled/web-7d4b-0", "its scheduling gate example.org/quota"),
    "no Secret": (
        _no_secret,
        "fail",
        "WL-06",
        "source/Secret/web-tls",
        "Deployment demo/web asks for the Secret web-tls, which does not exist",
    ),
    "Secret deleted": (_secret_deleted, "warn", "WL-06", "source/Secret/web-tls", "fail when they are replaced"),
    "no ConfigMap": (
        _no_config_map,
        "fail",
        "WL-06",
        "source/ConfigMap/settings",
        "the ConfigMap settings, which does",
    ),
    "no item": (_no_item, "fail", "WL-07", "source/Secret/web-tls", "has no key tls.crt, which Deployment demo/web"),
    "no key for a variable": (
        _no_env_key,
        "fail",
        "WL-07",
        "source/ConfigMap/settings",
        "loglevel is there, log-level is",
    ),
    "no key for a subPath": (_no_sub_path, "fail", "WL-07", "source/ConfigMap/settings", "has no key nginx.conf"),
    "wrong key names": (_wrong_key_names, "fail", "WL-07", "source/Secret/web-tls", "has no key tls.crt"),
    "probe's path": (
        _probe_path,
        "fail",
        "WL-10",
        "ready/web-7d4b-0",
        "HTTP port 80 /healthz); the application has no",
    ),
    "probe's port": (_probe_port, "fail", "WL-10", "ready/web-7d4b-0", "asks port 8080, the container declares 80"),
    "turned unready": (_turned, "warn", "WL-10", "ready/web-7d4b-0", "fails: status 503"),
    "never ready": (_never_ready, "warn", "WL-10", "ready/web-7d4b-0", "no answer in time"),
    "readiness gate": (
        _readiness_gate,
        "fail",
        "WL-09",
        "ready/web-7d4b-0",
        "nothing sets its readiness gate example.org/lb",
    ),
    "scaled to 0": (_scaled_to_zero, "fail", "WL-02", "workload", "Deployment demo/web is scaled to 0"),
    "quota": (
        _refused("exceeded quota: tight, requested: pods=1, used: pods=9, limited: pods=9"),
        "fail",
        "WL-17",
        "admission",
        "new pods of Deployment demo/web: exceeded quota: tight, requested: pods=1, used: pods=9, limited: pods=9",
    ),
    "Pod Security": (
        _refused('violates PodSecurity "restricted:latest": runAsNonRoot != true (pod or container "nginx" must set'),
        "fail",
        "WL-17",
        "admission",
        "correct the securityContext",
    ),
    "service account": (
        _refused('error looking up service account demo/shop: serviceaccount "shop" not found'),
        "fail",
        "WL-17",
        "admission",
        "its ServiceAccount does not exist",
    ),
    "Pod Security, pods run": (_would_be_refused, "warn", "WL-17", "admission", "no runAsNonRoot: true in nginx"),
    "deadlock": (_deadlock, "warn", "WL-03", "workload", "no node is left for its new pod"),
    "paused": (_paused, "warn", "WL-15", "workload", "its last change never reached the pods"),
    "takes everything down": (
        _taken_down,
        "fail",
        "WL-13",
        "workload",
        "took all 2 pods away at once (maxUnavailable 100%)",
    ),
    "no progress": (_no_progress, "warn", "WL-03", "workload", "made no progress for 600 s"),
    "not observed": (_not_observed, "warn", "WL-01", "workload", "do not see the latest change"),
    "held by a finalizer": (
        _held,
        "warn",
        "WL-15",
        "started/web-7d4b-held",
        "takes its finalizer example.org/hold away",
    ),
    "none ready yet": (_none_yet, "fail", "WL-02", "workload", "the youngest is 5 s old and may be on its way"),
}


@pytest.mark.parametrize("case", FAULTS)
def test_faults_are_named(case: str) -> None:
    change, status, check, component, text = FAULTS[case]
    of = scene()
    change(of)
    found = complaints(of)
    assert {finding.id for finding in found} == {check}
    assert {finding.status for finding in found} == {status}
    assert component in {finding.component for finding in found}
    assert text in found[0].line


@pytest.mark.parametrize("case", FAULTS)
def test_a_second_look_finds_the_same(case: str) -> None:
    """Complaints are confirmed by key: nothing in it may change with time, nor with the number of restarts."""
    of = scene()
    FAULTS[case][0](of)
    keys = [finding.key for finding in complaints(of)]
    for body in of.pods:
        for status in body["status"].get("containerStatuses") or []:
            status["restartCount"] += 1 if status["restartCount"] else 0
    assert [finding.key for finding in complaints(of)] == keys
    assert len(set(keys)) == len(keys)


FIXES = {
    "paused": "kubectl rollout resume deployment/web -n demo",
    "scaled to 0": "kubectl scale deployment/web -n demo --replicas=1",
    "service account": "kubectl create serviceaccount shop -n demo",
    "deadlock": "kubectl patch deployment web -n demo "
    """-p '{"spec":{"strategy":{"rollingUpdate":{"maxUnavailable":1}}}}'""",
}


@pytest.mark.parametrize("case", FIXES)
def test_fixes_that_are_beyond_doubt(case: str) -> None:
    of = scene()
    FAULTS[case][0](of)
    assert complaints(of)[0].evidence["fix"] == FIXES[case]


# ----- one fault is said once


def test_a_missing_secret_is_said_once_for_all_pods() -> None:
    of = scene(50)
    _no_secret(of)
    found = complaints(of)
    assert [finding.object for finding in found] == ["Secret demo/web-tls"]
    assert len(found[0].evidence["pods"]) == 50


def test_of_many_pods_with_one_fault_a_few_are_named() -> None:
    of = scene(50)
    _pull(of)
    found = complaints(of)
    assert len(found) == 3
    assert len(found[0].evidence["pods"]) == 50


@pytest.mark.parametrize(
    ("case", "object_"),
    [
        ("no Secret", "Secret demo/web-tls"),
        ("no ConfigMap", "ConfigMap demo/settings"),
        ("no item", "Secret demo/web-tls"),
        ("no key for a variable", "ConfigMap demo/settings"),
    ],
)
def test_without_the_right_to_read_sources_the_kubelet_tells(case: str, object_: str) -> None:
    of = scene()
    FAULTS[case][0](of)
    of.deny("secrets")
    of.deny("configmaps")
    found = complaints(of)
    assert [(finding.id, finding.object) for finding in found] == [(FAULTS[case][2], object_)]


def test_sources_that_were_not_looked_for_are_not_missing() -> None:
    of = scene()
    of.each(lambda spec: spec["volumes"].append({"name": "tls", "secret": {"secretName": "web-tls"}}))
    of.missing["secrets/web-tls"] = "more than 60 secrets are named"
    found = {finding.id: finding for finding in workload.check(of.look())}
    assert (found["WL-06"].status, found["WL-06"].message) == ("skipped", "more than 60 secrets are named")


def test_two_faults_are_both_named() -> None:
    of = scene()
    _paused(of)
    _turned(of)
    assert {finding.id for finding in complaints(of)} == {"WL-10", "WL-15"}


def test_a_roll_out_that_is_late_is_not_said_beside_the_pod_that_is_why() -> None:
    of = scene()
    _surge(of)
    unready(of.pods[-1], waiting("ImagePullBackOff", 'Back-off pulling image "web:2": ErrImagePull: web:2: not found'))
    of.condition("Progressing", status="False", reason="ProgressDeadlineExceeded")
    assert [finding.id for finding in complaints(of)] == ["WL-05"]


def test_the_strategy_is_to_blame_until_the_new_pods_are_late() -> None:
    of = scene()
    _taken_down(of)
    assert [finding.id for finding in complaints(of)] == ["WL-13"]
    for body in of.pods:
        body["status"]["initContainerStatuses"][0]["state"] = running(700)
    assert {finding.id for finding in complaints(of)} == {"WL-05", "WL-13"}


@pytest.mark.parametrize(("kind", "key"), [("StatefulSet", "replicas"), ("DaemonSet", "currentNumberScheduled")])
def test_refused_pods_of_workloads_without_a_condition_for_it(kind: str, key: str) -> None:
    of = scene(2, kind)
    body = of.parts[f"{kind.lower()}s"][0]
    text = 'Error creating: pods "web-xyz" is forbidden: exceeded quota: tight, requested: pods=1, used: pods=9'
    of.warn(body, "FailedCreate", text, 600)
    assert complaints(of) == []  # all pods are there
    body["status"][key] = 1
    found = complaints(of)
    assert [(finding.id, finding.status) for finding in found] == [("WL-17", "warn")]
    assert found[0].observed == "exceeded quota: tight, requested: pods=1, used: pods=9"


def test_a_held_pod_of_a_stateful_set_keeps_its_successor_away() -> None:
    of = scene(1, "StatefulSet")
    of.pods[0]["metadata"] |= {"deletionTimestamp": ago(100), "finalizers": ["example.org/hold"]}
    unready(of.pods[0], ended(0, "Completed", 100), 100)
    assert [(finding.id, finding.status) for finding in complaints(of)] == [("WL-15", "fail")]


# ----- expectations


def test_no_pods_may_be_what_is_wanted() -> None:
    of = scene()
    _scaled_to_zero(of)
    asked = builders.question(layers=("workload",), ask=False, expect=Expectations(ready_endpoints=0))
    assert complaints(of, asked=asked) == []


def test_the_owner_that_the_user_names_must_exist() -> None:
    asked = builders.question(layers=("workload",), ask=False, expect=Expectations(owner="Deployment webs"))
    found = complaints(scene(), asked=asked)
    assert [(finding.id, finding.status, finding.cause) for finding in found] == [
        ("WL-01", "fail", "the nearest is Deployment web")
    ]


@pytest.mark.parametrize("changes", [{"selector": ()}, {"type": "ExternalName", "selector": ()}])
def test_a_service_without_selector_has_no_workload(changes: dict[str, t.Any]) -> None:
    found = workload.check(scene().look(of=builders.service(**changes)))
    assert [(finding.id, finding.status) for finding in found] == [("WL-02", "skipped")]


def test_a_wrong_selector_is_no_fault_of_a_healthy_workload() -> None:
    assert complaints(scene(), of=builders.service(selector=(("app", "webb"),))) == []


# ----- advice


ADVICE: dict[str, tuple[Change, str, str]] = {
    "probe": (
        lambda of: of.each(lambda spec: spec["containers"][0].pop("readinessProbe")),
        "WL-09",
        "no readiness probe",
    ),
    "strategy": (_recreated, "WL-13", "may take all its 2 pods away at once"),
    "no budget": (lambda _of: None, "WL-12", "no PodDisruptionBudget keeps drains"),
    "no hook": (lambda _of: None, "WL-14", "has no preStop hook (nginx)"),
}


def _budget(**spec: t.Any) -> Change:
    selector = {"matchLabels": {"app": "web"}}
    body = {"kind": "PodDisruptionBudget", "metadata": {"name": "web", "namespace": "demo"}}
    return lambda of: of.parts["disruption_budgets"].append({**body, "spec": {"selector": selector, **spec}})


ADVICE |= {
    "all must stay": (
        _budget(minAvailable=2),
        "WL-12",
        "PodDisruptionBudget web lets no pod of Deployment demo/web go",
    ),
    "all must stay, in percent": (_budget(minAvailable="60%"), "WL-12", "lets no pod"),
    "none may go": (_budget(maxUnavailable=0), "WL-12", "lets no pod"),
}


@pytest.mark.parametrize("case", ADVICE)
def test_advice_is_no_complaint(case: str) -> None:
    change, check, text = ADVICE[case]
    of = scene()
    change(of)
    found = {finding.id: finding for finding in workload.check(of.look())}
    assert found[check].status == "skipped"
    assert text in found[check].message


def test_a_budget_that_lets_one_go_is_good() -> None:
    of = scene()
    _budget(minAvailable=1)(of)
    assert {f.id: f.status for f in workload.check(of.look())}["WL-12"] == "pass"


# ----- what probes saw


def _probed(probe_port: int | None, target: int, broken: bool) -> list[Finding]:
    """Ready pods, asked at their target port, which they do not answer at."""
    of = scene()
    probe = {"tcpSocket": {"port": probe_port}} if probe_port else {"exec": {"command": ["true"]}}
    of.container(ports=[{"containerPort": 80}, {"containerPort": 9000}], readinessProbe=probe)
    port = replace(builders.HTTP, target_port=target)
    api = of.look(of=builders.service(ports=(port,)))
    nodes = {
        body["metadata"]["name"]: replace(p, node="node-2") for body, p in zip(of.pods, api.after.pods, strict=True)
    }
    seen = builders.snapshot(tuple(nodes.values()), builders.service(ports=(port,)))

    def refuse(probe: t.Any, good: t.Any) -> t.Any:
        return builders.failing("refused") if broken and probe.purpose == "direct" else good

    found = workload.check(builders.look(seen, builders.question(), refuse, facts=api.facts))
    return [finding for finding in found if finding.complains]


@pytest.mark.parametrize(
    ("probe_port", "target", "broken", "expected"),
    [
        pytest.param(8081, 80, True, ["ready/web-7d4b-0", "ready/web-7d4b-1"], id="another port is probed"),
        pytest.param(None, 80, True, ["ready/web-7d4b-0", "ready/web-7d4b-1"], id="a command is the probe"),
        pytest.param(8081, 80, False, [], id="another port is probed, and the target answers"),
        pytest.param(80, 80, True, [], id="the target is probed: the way to it is broken"),
        pytest.param(80, 8888, True, [], id="the target is not declared: the Service is wrong"),
    ],
)
def test_ready_by_a_probe_that_says_nothing(
    probe_port: int | None, target: int, broken: bool, expected: list[str]
) -> None:
    found = _probed(probe_port, target, broken)
    assert [finding.component for finding in found] == expected
    assert {(finding.id, finding.status) for finding in found} <= {("WL-10", "fail")}


# ----- parts


@pytest.mark.parametrize(
    ("log", "expected"),
    [
        ("", ""),
        ("starting\nlistening\n", "listening"),
        ("x\n2026/11/23 11:59:47 [emerg] 1#1: bad\nlater line\n", "[emerg] 1#1: bad"),
        ("panic: no database\n\ngoroutine 1 [running]:\nmain.main()\n", "panic: no database"),
        ("Traceback (most recent call last):\n  File x\nKeyError: 'DB'\n", "KeyError: 'DB'"),
        ("an error first\nFATAL: could not open file\nan error later\n", "FATAL: could not open file"),
        ("2026-11-23T11:59:47.5Z ERROR no route\n", "ERROR no route"),
    ],
)
def test_the_line_that_tells(log: str, expected: str) -> None:
    assert telling_line(log) == expected


SECURE: Body = {
    "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
    "containers": [
        {"name": "web", "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}}
    ],
    "volumes": [{"name": "v", "emptyDir": {}}],
}


@pytest.mark.parametrize(
    ("level", "changes", "expected"),
    [
        ("restricted", {}, []),
        ("restricted", {"securityContext": {"runAsNonRoot": True}}, ["no seccompProfile.type: RuntimeDefault in web"]),
        ("restricted", {"volumes": [{"name": "n", "nfs": {}}]}, ["volume n of type nfs"]),
        ("restricted", {"volumes": [{"name": "h", "hostPath": {"path": "/"}}]}, ["hostPath volume h"]),
        (
            "restricted",
            {"containers": [{"name": "web"}]},
            ["no allowPrivilegeEscalation: false in web", "no capabilities.drop: [ALL] in web"],
        ),
        ("baseline", {"containers": [{"name": "web"}]}, []),
        ("baseline", {"hostNetwork": True}, ["hostNetwork: true"]),
        (
            "baseline",
            {"containers": [{"name": "web", "securityContext": {"privileged": True}, "ports": [{"hostPort": 80}]}]},
            ["privileged container web", "hostPort of container web"],
        ),
        ("privileged", {"hostNetwork": True}, []),
        ("", {"hostNetwork": True}, []),
        ("restricted", {"os": {"name": "windows"}, "hostNetwork": True}, []),
    ],
)
def test_pod_security(level: str, changes: Body, expected: list[str]) -> None:
    assert violations(level, {**SECURE, **changes}) == expected
