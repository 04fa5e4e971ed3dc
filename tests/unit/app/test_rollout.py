# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""When a roll-out is done, when it cannot succeed, and what a restart or an undo patches."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from ansible_collections.plumbline.kubernetes.plugins.module_utils.app.revision import (
    gives_variables,
    older_than,
    restart,
    touched,
    undo,
)
from ansible_collections.plumbline.kubernetes.plugins.module_utils.app.rollout import (
    Cause,
    Patience,
    assess,
    current_replica_set,
    pod_causes,
    settled,
    volume_sources,
)
from ansible_collections.plumbline.kubernetes.plugins.module_utils.kube.errors import OptionError
from ansible_collections.plumbline.kubernetes.plugins.module_utils.kube.selector import selector_text

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
COMPLETE = {"observedGeneration": 3, "replicas": 2, "updatedReplicas": 2, "availableReplicas": 2, "readyReplicas": 2}


def deployment(*, status=None, conditions=(), revision="2", **spec):
    return {
        "metadata": {
            "name": "web",
            "namespace": "demo",
            "uid": "d",
            "generation": 3,
            "annotations": {"deployment.kubernetes.io/revision": revision},
        },
        "spec": {"replicas": 2, "selector": {"matchLabels": {"run": "web"}}, "template": {}, **spec},
        "status": {**(COMPLETE if status is None else status), "conditions": list(conditions)},
    }


def owner(uid):
    return [{"uid": uid, "controller": True, "kind": "ReplicaSet"}]


def replica_set(name, revision, template=None, owned_by="d"):
    return {
        "metadata": {
            "name": name,
            "uid": name,
            "ownerReferences": owner(owned_by),
            "annotations": {"deployment.kubernetes.io/revision": str(revision)},
        },
        "spec": {
            "template": template or {"metadata": {"labels": {"run": "web", "pod-template-hash": name}}, "spec": {}}
        },
    }


def pod(name="p", of="new", *, leaving=False, conditions=(), waiting=None, last=None, restarts=0, volumes=()):
    status = {"conditions": list(conditions)}
    if waiting:
        container = {
            "name": "web",
            "state": {"waiting": {"reason": waiting, "message": "why"}},
            "restartCount": restarts,
        }
        if last:
            container["lastState"] = {"terminated": last}
        status["containerStatuses"] = [container]
    metadata = {"name": name, "uid": name, "ownerReferences": owner(of)}
    if leaving:
        metadata["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    return {"metadata": metadata, "spec": {"volumes": list(volumes)}, "status": status}


SETS = [replica_set("old", 1), replica_set("new", 2)]


@pytest.mark.parametrize(
    ("status", "waiting_for"),
    [
        (COMPLETE, ""),
        ({**COMPLETE, "observedGeneration": 2}, "the controller has not seen the change yet"),
        ({**COMPLETE, "updatedReplicas": 1}, "1 of 2 pods are of the new revision"),
        ({**COMPLETE, "replicas": 3}, "1 pods of an older revision are left"),
        ({**COMPLETE, "availableReplicas": 1}, "1 of 2 pods are available"),
        ({}, "the controller has not seen the change yet"),
    ],
)
def test_the_status_as_kubectl_reads_it(status, waiting_for):
    progress = assess(deployment(status=status), SETS, [])
    assert (progress.done, progress.waiting_for) == (not waiting_for, waiting_for)


def test_complete_by_status_is_not_done_while_old_pods_end():
    progress = assess(deployment(), SETS, [pod("a"), pod("b"), pod("c", of="old", leaving=True)])
    assert not progress.done
    assert progress.waiting_for == "1 old pods are still ending"


def test_pods_of_others_with_the_same_labels_do_not_matter():
    foreign = [pod("x", of="somebody", leaving=True), pod("y", of="somebody", waiting="CrashLoopBackOff")]
    assert assess(deployment(), SETS, [pod("a"), pod("b"), *foreign]).done


@pytest.mark.parametrize(
    ("deployment_", "expected"),
    [
        (deployment(), True),
        (deployment(status={**COMPLETE, "terminatingReplicas": 1}), False),
        (deployment(status={**COMPLETE, "availableReplicas": 1}), False),
        (deployment(status={"observedGeneration": 3}, replicas=0), True),
    ],
)
def test_settled_by_status_alone(deployment_, expected):
    assert settled(deployment_) is expected


NOT_DONE = {**COMPLETE, "updatedReplicas": 1}


def test_only_pods_of_the_present_revision_can_be_a_cause():
    pods = [pod("a", of="old", waiting="CrashLoopBackOff"), pod("b", of="new", waiting="ImagePullBackOff")]
    causes = assess(deployment(status=NOT_DONE), SETS, pods).causes
    assert [(cause.pod, cause.reason) for cause in causes] == [("b", "ImagePullBackOff")]


def test_a_stale_condition_does_not_count_before_the_controller_has_seen_the_change():
    late = {"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded", "message": "old"}
    assert assess(deployment(status={**NOT_DONE, "observedGeneration": 2}, conditions=[late]), SETS, []).causes == ()
    assert (
        assess(deployment(status=NOT_DONE, conditions=[late]), SETS, []).causes[0].reason == "ProgressDeadlineExceeded"
    )


def test_a_paused_roll_out_is_named():
    progress = assess(deployment(status={**COMPLETE, "updatedReplicas": 0}, paused=True), SETS, [])
    assert progress.causes[0].reason == "DeploymentPaused"


def test_a_refused_creation_is_named():
    failure = {"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": "exceeded quota"}
    (cause,) = assess(deployment(status=NOT_DONE, conditions=[failure]), SETS, []).causes
    assert cause.text() == "FailedCreate: exceeded quota"


def test_a_service_account_that_is_not_there_yet_is_waited_for():
    message = 'pods "p" is forbidden: error looking up service account demo/default: serviceaccount "default" not found'
    failure = {"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": message}
    causes = assess(deployment(status=NOT_DONE, conditions=[failure]), SETS, []).causes
    patience = Patience()
    assert [patience.final(causes, second) for second in (0.0, 9.0)] == [None, None]
    assert patience.final(causes, 10.0).text() == f"ServiceAccountMissing: {message}"


@pytest.mark.parametrize(
    ("item", "expected"),
    [
        (pod(waiting="ContainerCreating"), []),
        (pod(waiting="PodInitializing"), []),
        (pod(waiting="ErrImagePull"), ["pod p, container web: ErrImagePull: why"]),
        (
            pod(waiting="CrashLoopBackOff", last={"exitCode": 1, "reason": "Error"}, restarts=2),
            ["pod p, container web: CrashLoopBackOff: it ended with exit code 1 (Error), 2 restarts"],
        ),
        (
            pod(
                conditions=[
                    {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "no node"}
                ]
            ),
            ["pod p: Unschedulable: no node"],
        ),
        (pod(conditions=[{"type": "PodScheduled", "status": "True"}]), []),
    ],
)
def test_what_keeps_a_pod_from_starting(item, expected):
    assert [cause.text() for cause in pod_causes(item)] == expected


@pytest.mark.parametrize(
    ("reason", "seconds", "final"),
    [
        ("CrashLoopBackOff", 0, True),
        ("ErrImagePull", 0, False),
        ("ErrImagePull", 3, True),
        ("Unschedulable", 2.9, False),
        ("Unschedulable", 3, True),
    ],
)
def test_a_cause_counts_once_it_has_lasted(reason, seconds, final):
    patience, cause = Patience(), Cause(reason, "m", "p")
    patience.final([cause], 100.0)
    assert (patience.final([cause], 100.0 + seconds) is cause) is final


def test_sources_that_pods_in_creation_wait_for():
    volumes = [
        {"name": "a", "configMap": {"name": "conf"}},
        {"name": "b", "secret": {"secretName": "tls"}},
        {"name": "c", "secret": {"secretName": "maybe", "optional": True}},
        {"name": "d", "projected": {"sources": [{"configMap": {"name": "bundle"}}, {"secret": {"name": "key"}}]}},
        {"name": "e", "emptyDir": {}},
    ]
    expected = [("ConfigMap", "conf"), ("Secret", "tls"), ("ConfigMap", "bundle"), ("Secret", "key")]
    assert volume_sources({"volumes": volumes}) == expected
    waiting = assess(deployment(status=NOT_DONE), SETS, [pod("p", waiting="ContainerCreating", volumes=volumes)])
    assert waiting.sources == {"p": tuple(expected)}


def test_the_present_replica_set_is_known_by_its_revision():
    assert current_replica_set(deployment(), SETS)["metadata"]["name"] == "new"
    assert current_replica_set(deployment(revision="9"), SETS) is None
    assert current_replica_set(deployment(), [replica_set("x", 2, owned_by="other")]) is None


@pytest.mark.parametrize(
    ("selector", "expected"),
    [
        ({"matchLabels": {"b": "2", "a": "1"}}, "a=1,b=2"),
        ({"matchExpressions": [{"key": "a", "operator": "In", "values": ["x", "y"]}]}, "a in (x,y)"),
        ({"matchLabels": {"a": "1"}, "matchExpressions": [{"key": "b", "operator": "DoesNotExist"}]}, "a=1,!b"),
    ],
)
def test_selector_text(selector, expected):
    assert selector_text(selector) == expected


# ----- restart and undo

SERVICE = {"metadata": {"name": "web", "creationTimestamp": "2026-01-01T10:00:00Z"}}


def running(started, *, leaving=False):
    item = pod("p", leaving=leaving)
    state = {"running": {"startedAt": started}} if started else {"waiting": {}}
    item["status"]["containerStatuses"] = [{"name": "web", "state": state}]
    return item


@pytest.mark.parametrize(
    ("item", "older"),
    [
        (running("2026-01-01T09:59:59Z"), True),
        (running("2026-01-01T10:00:00Z"), True),
        (running("2026-01-01T10:00:01Z"), False),
        (running("2026-01-01T09:00:00Z", leaving=True), False),
        (running(None), False),
    ],
)
def test_older_than_the_service(item, older):
    text = older_than(SERVICE, [item])
    assert bool(text) is older
    if older:
        assert "container web started 2026-01-01" in text
        assert "Service web of 2026-01-01T10:00:00Z" in text


def test_restart_patches_the_annotation_of_kubectl():
    annotations = restart(NOW)["spec"]["template"]["metadata"]["annotations"]
    assert annotations == {"kubectl.kubernetes.io/restartedAt": "2026-01-02T03:04:05Z"}


@pytest.mark.parametrize(
    ("address", "pod_spec", "expected"),
    [
        ("10.96.0.9", {}, True),
        ("10.96.0.9", {"enableServiceLinks": True}, True),
        ("10.96.0.9", {"enableServiceLinks": False}, False),
        ("None", {}, False),
        (None, {}, False),
    ],
)
def test_which_services_give_variables(address, pod_spec, expected):
    assert gives_variables({"spec": {"clusterIP": address}}, deployment(template={"spec": pod_spec})) is expected


def test_undo_brings_back_the_template_without_the_hash():
    template = {"metadata": {"labels": {"run": "web", "pod-template-hash": "x"}}, "spec": {"containers": ["c"]}}
    patch, reason = undo(deployment(), [replica_set("old", 1, template), replica_set("new", 2)], None)
    wanted = patch["spec"]["template"]
    assert wanted["metadata"]["labels"] == {"run": "web"}
    assert wanted["spec"] == {"containers": ["c"]}
    assert reason == "back from revision 2 to 1"


def test_undo_to_the_present_revision_is_nothing():
    assert undo(deployment(), SETS, 2)[0] == {}


def mounting(page, leaf, **annotations):
    volumes = [{"name": "config", "configMap": {"name": page}}]
    volumes += [{"name": "tls", "secret": {"secretName": leaf, "defaultMode": 420}}] if leaf else []
    metadata = {"labels": {"run": "web"}, "annotations": annotations}
    return {"metadata": metadata, "spec": {"containers": ["c"], "volumes": volumes}}


@pytest.mark.parametrize(
    ("earlier", "goes_back_to", "mounts"),
    [
        # the page was changed: back to it, with today's leaf
        ([mounting("a", "leaf-1")], 1, ["a", "leaf-2"]),
        # the leaf alone was replaced since, or pods were restarted: that is no configuration to go back to
        ([mounting("a", "leaf-0"), mounting("b", "leaf-1")], 1, ["a", "leaf-2"]),
        ([mounting("a", "leaf-0"), mounting("b", "leaf-2", restarted="yes")], 1, ["a", "leaf-2"]),
        # before there was a leaf
        ([mounting("a", "")], 1, ["a"]),
        ([mounting("b", "leaf-0"), mounting("b", "leaf-1")], None, []),
    ],
)
def test_undo_with_the_secrets_of_today(earlier, goes_back_to, mounts):
    present = len(earlier) + 1
    now = deployment(template=mounting("b", "leaf-2"))
    now["metadata"]["annotations"]["deployment.kubernetes.io/revision"] = str(present)
    sets = [replica_set(f"r{number}", number, template) for number, template in enumerate(earlier, 1)]
    if goes_back_to is None:
        with pytest.raises(OptionError, match=f"present is {present}"):
            undo(now, sets, None, keep_secrets=True)
        return
    patch, reason = undo(now, sets, None, keep_secrets=True)
    volumes = patch["spec"]["template"]["spec"]["volumes"]
    names = [(v.get("configMap") or {}).get("name") or v["secret"]["secretName"] for v in volumes]
    assert names == mounts
    assert reason == f"back from revision {present} to {goes_back_to}"


@pytest.mark.parametrize(("sets", "to"), [(SETS, 7), ([replica_set("new", 2)], None), ([], None)])
def test_undo_to_what_is_not_kept_says_what_is(sets, to):
    with pytest.raises(OptionError, match="present is 2"):
        undo(deployment(), sets, to)


def test_undo_of_a_paused_roll_out_is_refused():
    with pytest.raises(OptionError, match="paused"):
        undo(deployment(paused=True), SETS, None)


@pytest.mark.parametrize(
    ("patch", "expected"),
    [
        ({}, {}),
        ({"spec": {"replicas": 5}}, {"spec": {"replicas": 2}}),
        ({"spec": {"template": {"$patch": "replace", "spec": {}}}}, {"spec": {"template": {}}}),
        ({"spec": {"paused": True}}, {"spec": {"paused": None}}),
    ],
)
def test_what_a_patch_touches(patch, expected):
    assert touched(deployment(), patch) == expected
