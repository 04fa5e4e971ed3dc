# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Private to this collection: may change in any release.
"""Which workloads and pods are meant to be behind a Service, also where its selector is wrong."""

from __future__ import annotations

import difflib
import typing as t
from dataclasses import replace

from . import nearest
from .facts import Body
from .look import Look
from .snapshot import Service

WORKLOADS = {"Deployment": "deployments", "StatefulSet": "statefulsets", "DaemonSet": "daemonsets"}

# How alike selector and labels must be on average (1 is equal) before a workload counts as the one that was meant.
_ALIKE = 0.75
# The same value under another key: `run: web` instead of `app: web`.
_OTHER_KEY = 0.8
# What it is worth that the workload has the Service's name.
_SAME_NAME = 0.5


def intended(look: Look) -> tuple[Body, ...]:
    """The workloads that are meant to be behind the Service, sorted by kind and name.

    The one that the user names; else those that own selected pods or whose template has the labels of the selector;
    else the nearest miss, if one is nearer than all others.
    """
    workloads = _workloads(look)
    owner = look.question.expect.owner
    if owner:
        return tuple(body for body in workloads if label(body) == owner)
    selector = dict(look.service.selector)
    if not selector:
        return ()
    owners = {pod.owner for pod in look.after.pods if not pod.finished}
    found = tuple(body for body in workloads if label(body) in owners or matches(selector, template_labels(body)))
    return found or _nearest(look, workloads)


def label(body: Body) -> str:
    """`Deployment web`, as :attr:`.snapshot.Pod.owner` spells it."""
    return f"{body['kind']} {body['metadata']['name']}"


def template_labels(body: Body) -> dict[str, str]:
    """The labels that the workload gives its pods."""
    template = body["spec"].get("template") or {}
    return dict((template.get("metadata") or {}).get("labels") or {})


def matches(selector: t.Mapping[str, str], labels: t.Mapping[str, str]) -> bool:
    """Whether a Service's selector selects these labels; an empty one selects nothing."""
    return bool(selector) and selector.items() <= labels.items()


def likeness(selector: t.Mapping[str, str], labels: t.Mapping[str, str]) -> float:
    """How near labels come to a selector: 1 where it selects them, 0 where nothing reminds of it."""
    return sum(_pair(key, value, labels) for key, value in selector.items()) / len(selector) if selector else 0.0


def _pair(key: str, value: str, labels: t.Mapping[str, str]) -> float:
    if key in labels:
        return difflib.SequenceMatcher(None, value, labels[key]).ratio()
    return _OTHER_KEY if value in labels.values() else 0.0


def miss(look: Look) -> nearest.Miss | None:
    """Which labels a selector that selects nothing misses: those of pods, else those of a workload's template."""
    selector = look.service.selector
    pods = [(one.name, dict(one.labels)) for one in look.after.strangers if not one.finished and not one.terminating]
    near = nearest.miss(selector, pods)
    return near or nearest.miss(selector, [(label(body), template_labels(body)) for body in _workloads(look)])


def meant(look: Look) -> Service:
    """The Service, with a selector that selects the pods that were meant where its own selects nothing.

    What else is wrong with those pods is then found at once, and not after the selector has been mended.
    """
    service = look.service
    fits = any(matches(dict(service.selector), template_labels(body)) for body in _workloads(look))
    if look.after.pods or fits or look.after.why_missing("pods"):
        return service
    near = miss(look)
    if near is None:
        return service
    known = dict(near.selector) or {key: value for key, value in service.selector if (key, value) != near.wrong}
    return replace(service, selector=tuple(sorted(known.items()))) if known else service


def _nearest(look: Look, workloads: t.Sequence[Body]) -> tuple[Body, ...]:
    selector, name = dict(look.service.selector), look.service.name
    scores: dict[float, list[Body]] = {}
    for body in workloads:
        like, same_name = likeness(selector, template_labels(body)), body["metadata"]["name"] == name
        if like >= _ALIKE or same_name:
            scores.setdefault(like + _SAME_NAME * same_name, []).append(body)
    best = scores[max(scores)] if scores else []
    return tuple(best) if len(best) == 1 else ()


def _workloads(look: Look) -> list[Body]:
    found = [body for part in WORKLOADS.values() for body in look.facts.all(part)]
    return sorted(found, key=label)
