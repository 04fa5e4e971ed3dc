# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Private to this collection: may change in any release.
"""What the judging modules share: from parameters to a result."""

from __future__ import annotations

import typing as t
from datetime import UTC, datetime

from ..kube.client import Cluster
from ..kube.errors import OptionError
from ..kube.module import Task
from . import engine
from .checks import IDS, control
from .diagnose.drift import drift, recorded
from .question import API_PROXY, NODE, OUTSIDE, Question, question
from .result import SKIPPED, Report, check_dest, short, write
from .waivers import expired, refuse_unknown


def judge(task: Task, cluster: Cluster, layers: t.Sequence[str], *, causes: bool = False) -> dict[str, t.Any]:
    """Judge `layers` of the Service in question and return the module's result."""
    asked = question(task.params, layers, causes=causes)
    check(task, asked)
    before = _baseline(task.params.get("baseline"))
    if task.check_mode:
        return {"changed": False, "msg": would(asked)}
    report = engine.verify(cluster, asked)
    further = {}
    if before is not None and report.state is not None:
        further["drift"] = drift(before, report.state)
    return conclude(task, asked, report, **further)


def check(task: Task, asked: Question) -> None:
    """Refuse what could not work before anything is asked.

    Raises:
        OptionError, PkiError: one line about the option.
    """
    refuse_unknown(asked.waivers, IDS)
    if asked.tls.bundle:
        from .trust import check_bundle  # cryptography is loaded where TLS is judged only

        check_bundle(asked.tls.bundle, "tls.bundle")
    check_dest(task.params["dest"])


def conclude(task: Task, asked: Question, report: Report, **further: t.Any) -> dict[str, t.Any]:
    """The module's result, failed where it is as bad as `fail_on`, and the file that was asked for."""
    result = {**report.as_result(), **further}
    dest = task.params["dest"]
    if dest:
        write(report.as_document(), dest)
        result["dest"] = dest
    for notice in (*unproven(report, asked), *expired(asked.waivers, datetime.now(UTC).date())):
        task.warn(notice)
    return result | ({"failed": True} if report.fails(task.params["fail_on"]) else {})


def _baseline(path: str | None) -> dict[str, t.Any] | None:
    """The state that an earlier run wrote, where one is given."""
    if not path:
        return None
    try:
        with open(path, encoding="utf-8") as file:
            return recorded(file.read(), path)
    except OSError as error:
        raise OptionError(f"baseline: {path} cannot be read: {error.strerror or error}") from error


def would(asked: Question) -> str:
    """What a run would do, for check mode."""
    what = "everything about" if asked.surroundings else f"{short(asked.layers)} of"
    parts = [f"would judge {what} Service {asked.namespace}/{asked.name}"]
    if asked.probes:
        where = short(asked.nodes) if asked.nodes else f"up to {asked.max_nodes} nodes"
        namespaces = short(list(dict.fromkeys(filter(None, (asked.client.namespace, asked.other_namespace)))))
        parts.append(f"from a probe pod (image {asked.client.image}) in namespace {namespaces} on {where}")
    if NODE in asked.layers:
        parts.append(f"and look at these and the endpoints' nodes from pods in namespace {asked.node_namespace}")
    if OUTSIDE in asked.layers:
        parts.append("and ask NodePorts and load balancer from this host")
    if API_PROXY in asked.layers:
        parts.append("and let the API server ask the pods")
    if "environment" in asked.layers and asked.ask:
        parts.append(f"and read the Service's variables in the containers of up to {asked.max_pods} pods")
    return " ".join(parts) + "; check mode runs nothing"


def unproven(report: Report, asked: Question) -> list[str]:
    """Layers of which nothing was found bad, but nothing good either: being skipped is no proof.

    That no client could be started is told in any case: a layer may have found something good without one.
    """
    notices = []
    for layer in (control.NAME, *asked.layers):
        found = [finding for finding in report.findings if finding.layer == layer]
        if found and all(finding.status == SKIPPED for finding in found):
            what = "" if layer == control.NAME else f"nothing of {layer} was judged: "
            notices.append(f"{report.subject}: {what}{found[0].message}")
    return notices
