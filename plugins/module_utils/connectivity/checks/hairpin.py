# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Private to this collection: may change in any release.
"""Does a pod reach itself by the address of its own Service?

Its packets come back to where they came from (a hairpin), which bridges and kernels drop unless the network plugin
(hairpinMode) or the service proxy (masquerading what a pod sends to itself) provides for it.
"""

from __future__ import annotations

from ..look import ENDPOINTS, Hairpin, Look
from ..result import Finding
from .common import Bench

ID = "DP-07"


def check(bench: Bench, look: Look) -> list[Finding]:
    """DP-07, where pods were asked to try it."""
    looked = [one for one in look.hairpins if one.pod.uid not in look.touched]
    tried = [one for one in looked if one.verdict == "tried"]
    if looked and not tried:
        message = f"whether pods reach themselves by the Service's address is not known: {looked[0].detail}"
        return [bench.unread(ID, message, verdict=looked[0].verdict)]
    complaints = [_complaint(bench, look, one) for one in tried if one.answered < one.tries and _is_hairpin(look, one)]
    good = [one for one in tried if one.answered == one.tries]
    if good and not complaints and not any(one.sure for one in good):
        return [bench.skipped(ID, f"{good[0].of} endpoints are too many for a pod to be led to itself for sure")]
    return bench.verdict(ID, complaints, len(good), f"{len(good)} pod(s) reach themselves by the Service's address")


def _is_hairpin(look: Look, one: Hairpin) -> bool:
    """Whether a loss is of the way back alone: the pod reaches others, the Service, and its node reaches all of it.

    Who reaches nothing behind the address although there are several endpoints is kept from it by something else.
    """
    beside = [found for probe, found in look.seen("cluster_ip") if probe.vantage.node in ("", one.pod.node)]
    lost = any(found.failures for found in beside)
    return one.others and not lost and (one.answered > 0 or one.of == 1)


def _complaint(bench: Bench, look: Look, one: Hairpin) -> Finding:
    service = look.service
    return bench.warned(
        ID,
        f"{one.pod.label} does not reach itself by the address of {service.label}",
        object=one.pod.label,
        field=one.target,
        observed=f"{one.answered} of {one.tries} connections, with {one.of} endpoint(s)",
        expected="every connection",
        cause=f"others are served, and what comes back to the pod that sent it is lost on node {one.pod.node}: see "
        "hairpinMode of the network plugin, and whether the service proxy masquerades what a pod sends to itself",
        subjects=frozenset({service.uid, one.pod.uid, ENDPOINTS}),
        component=f"hairpin/{one.pod.node}",
    )
