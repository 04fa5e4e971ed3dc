# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Private to this collection: may change in any release.
"""Does the probe itself work? Whatever a broken client or node says about the target is not held against the target."""

from __future__ import annotations

from ...kube.errors import lacks_right
from ..look import Look
from ..result import Finding, short
from .common import Bench, failure

NAME = "control"
_bench = Bench(NAME)

CHECKS: tuple[tuple[str, str, str], ...] = (
    ("PR-01", "The probe pods ran and work", "create jobs (probe)"),
    ("PR-02", "There was time to read everything", ""),
    ("IN-08", "No client is cut off from all cluster IPs", "create jobs (probe)"),
)


def check(look: Look) -> list[Finding]:
    """PR-01 every client ran and works; PR-02 what it rests on was read; IN-08 no client is cut off altogether."""
    return [*late(look), *_asking(look)]


def late(look: Look) -> list[Finding]:
    """PR-02: what was not read in time is not judged, which must not look like a pass."""
    left = look.facts.late
    if not left:
        return []
    message = f"{len(left)} part(s) of the surroundings were not read in time, so what rests on them is not judged"
    within = f"all of it within {look.question.timeout:g} s"
    return [_bench.undecided("PR-02", message, observed=f"not read: {short(left)}", expected=within)]


def _asking(look: Look) -> list[Finding]:
    if look.denied:
        return [_bench.skipped("PR-01", f"no client could be started: {look.denied}")]
    if look.question.probes and not look.plan.vantages:
        why = look.after.why_missing("nodes")
        if why:
            return [_bench.skipped("PR-01", f"no client could be started: {why}, and no pod tells the name of one")]
        return [_bench.undecided("PR-01", "there is no ready node to ask from")]
    return _clients(look) + _insiders(look) + _isolated(look)


def _clients(look: Look) -> list[Finding]:
    complaints, good = [], 0
    for vantage in look.plan.vantages:
        found = look.observations.get((vantage, "control"))
        if found is not None and found.ok:
            good += 1
            continue
        why = look.lost.get(vantage, "") or (f"{failure(found)}: {found.detail}" if found else "it delivered nothing")
        complaints.append(
            _bench.unseen(
                "PR-01",
                f"the client on {vantage.label} does not work, so nothing is judged from there",
                why=why,
                object=f"Node {vantage.node}",
                observed=why,
                expected="a probe pod that runs and reaches itself",
            )
        )
    chosen = {vantage.node for vantage in look.plan.vantages}
    left = [node.name + ("" if node.ready else " (not ready)") for node in look.after.nodes if node.name not in chosen]
    message = f"{good} client(s) ran and work" + (f"; not asked from: {short(left)}" if left else "")
    return _bench.verdict("PR-01", complaints, good, message)


def _insiders(look: Look) -> list[Finding]:
    """Of the pods that look at nodes from inside; for want of a right, the layer of the nodes says so."""
    return [
        _bench.undecided(
            "PR-01",
            f"nothing can be seen {vantage.label}, so it is not judged",
            object=f"Node {vantage.node}",
            field="node_level",
            observed=why,
            expected=f"a pod in namespace {vantage.namespace} that may see the node",
        )
        for vantage in look.plan.insiders
        if not look.works(vantage)
        if not lacks_right(why := look.lost.get(vantage, "") or "it delivered nothing")
    ]


def _isolated(look: Look) -> list[Finding]:
    return [
        _bench.failed(
            "IN-08",
            f"clients on {vantage.label} reach no cluster IP, not even that of the API server",
            object=f"Node {vantage.node}",
            observed=failure(look.observations[vantage, "api-server"]),
            expected="a connection",
            cause="the service proxy or the network of this node, or a policy on the client",
            subjects=frozenset({vantage.node}),
        )
        for vantage in look.plan.vantages
        if look.works(vantage) and look.isolated(vantage)
    ]
