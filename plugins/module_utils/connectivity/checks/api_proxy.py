# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Private to this collection: may change in any release.
"""Do the pods answer the API server, which can ask them where no probe pod may be started?

Asked for by `api_proxy`. That it reaches no pod at all says nothing of them: on many managed clusters it has no way to
their network, and policies may keep it out.
"""

from __future__ import annotations

from ..look import Look, Observation
from ..plan_api_proxy import API_PROXY
from ..result import Finding
from ..scope import Probe
from .common import Bench, failure
from .paths import HINTS, called, relevant

NAME = "api_proxy"
_bench = Bench(NAME)

CHECKS: tuple[tuple[str, str, str], ...] = (("DP-12", "The pods answer the API server", "get pods/proxy"),)

_LOST = {"timeout", "unreachable"}


def check(look: Look) -> list[Finding]:
    """DP-12."""
    here = look.plan.api_server
    if here is None:
        return [_bench.skipped("DP-12", f"there is nothing to ask through the API server: {_why_nothing(look)}")]
    why = look.lost.get(here, "")
    if why:
        return [_bench.unseen("DP-12", f"the API server was not asked: {why}", why=why)]
    pairs = relevant(look, API_PROXY)
    if not pairs:
        return [_bench.undecided("DP-12", "every pod changed while it was asked")]
    if all(set(found.failures) & _LOST for _probe, found in pairs):
        why = "it has no way to them, as on many managed clusters, or a policy keeps it out"
        return [_bench.skipped("DP-12", f"the API server reaches no pod: {why}; ask from pods (probe: true)")]
    complaints = [_complaint(look, probe, found) for probe, found in pairs if found.failures]
    good = sum(found.ok for _probe, found in pairs)
    if not complaints and not good:
        said = "; ".join(dict.fromkeys(found.detail for _probe, found in pairs))
        return [_bench.undecided("DP-12", f"no answer of the API server says anything of a pod: {said}")]
    return _bench.verdict("DP-12", complaints, good, f"the pods answer the API server ({good} address(es))")


def _complaint(look: Look, probe: Probe, found: Observation) -> Finding:
    who = f"endpoint {probe.endpoint.label}" if probe.endpoint else probe.target
    id_, message = called("DP-12", f"{who} does not answer the API server at {probe.target}", who, [(probe, found)])
    pod = look.after.pod(probe.endpoint.pod_uid) if probe.endpoint else None
    return _bench.failed(
        id_,
        message,
        object=pod.label if pod else who,
        field=probe.target,
        observed=failure(found),
        expected="an answer",
        cause="; ".join(HINTS[kind] for kind in sorted(found.failures) if kind in HINTS),
        evidence={"details": {probe.vantage.label: found.detail}},
        subjects=frozenset({look.service.uid, *([probe.endpoint.pod_uid] if probe.endpoint else [])}),
    )


def _why_nothing(look: Look) -> str:
    service = look.service
    if not any(endpoint.ready for endpoint in look.before.endpoints):
        return f"{service.label} has no ready endpoint"
    return look.after.why_missing("pods") or "no port is known to speak HTTP, or no pod is behind the endpoints"
