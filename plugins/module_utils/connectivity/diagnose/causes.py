# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Private to this collection: may change in any release.
"""Causes: what is wrong first, what follows from it, what else it could be, and what would mend it."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, replace
from dataclasses import field as attribute

from ..commands import kubectl
from ..look import Look
from ..result import FAIL, WARN, Finding, printable, short
from .components import World, instance_of, kind_of, rank
from .fix import Fix, task
from .fixes import fix_for
from .runbooks import runbook
from .symptoms import Evidence, Symptom
from .words import answers_unready, apart, headline

CERTAIN, LIKELY, POSSIBLE = "certain", "likely", "possible"
_MOST_CONSEQUENCES = 30
_MOST_ALIKE = 3


@dataclass(frozen=True, slots=True)
class Cause:
    """One thing that is wrong by itself.

    Attributes:
        id: the check that found it, or that saw its first consequence.
        status: `fail` or `warn`.
        title: one line.
        component: which part it is, see :mod:`.components`.
        confidence: `certain` (an object says so), `likely` (everything else on the way is acquitted), `possible`.
        consequences: findings that need no cause of their own.
        second: the next best explanation, and what would tell it from this one; empty where there is none.
    """

    id: str
    status: str
    title: str
    component: str
    object: str = ""
    field: str = ""
    observed: t.Any = None
    expected: t.Any = None
    why: str = ""
    confidence: str = CERTAIN
    evidence: t.Mapping[str, t.Any] = attribute(default_factory=dict)
    consequences: tuple[Finding, ...] = ()
    fix: Fix = attribute(default_factory=Fix)
    second: tuple[str, str] = ("", "")

    def as_dict(self) -> dict[str, t.Any]:
        """JSON form; every string is made safe to print."""
        plain: dict[str, t.Any] = {
            key: getattr(self, key)
            for key in ("id", "status", "title", "component", "object", "field", "observed", "expected", "why")
        }
        plain["confidence"], plain["evidence"] = self.confidence, dict(self.evidence)
        plain["consequences"] = [
            {"id": finding.id, "object": finding.object, "message": finding.message}
            for finding in self.consequences[:_MOST_CONSEQUENCES]
        ]
        plain["consequence_count"] = len(self.consequences)
        plain["runbook"] = runbook(self.component)
        plain["second"] = dict(zip(("title", "apart"), self.second, strict=True)) if self.second[0] else None
        safe: dict[str, t.Any] = printable(plain)
        # Lines that are meant to be copied stay whole.
        safe["fix"] = {"text": self.fix.text, "kubectl": self.fix.kubectl, "task": self.fix.task}
        return safe


def diagnose(look: Look, findings: t.Sequence[Finding]) -> tuple[Cause, ...]:
    """The causes behind `findings`, first cause first; empty when nothing is wrong.

    Args:
        look: the last look; its probes acquit and accuse.
        findings: as they stand in the end: complaints are confirmed.
    """
    complaints = [finding for finding in findings if finding.complains]
    if not complaints:
        return ()
    return _Court(look, complaints).causes()


def missing_service(finding: Finding) -> tuple[Cause, ...]:
    """The cause of everything where there is no such Service."""
    namespace, _slash, name = finding.object.removeprefix("Service ").partition("/")
    text = "make it again; this takes the ports of the Deployment of that name"
    fix = Fix(
        f"{finding.cause}; {text}" if finding.cause else text,
        kubectl("expose", "deployment", name, "-n", namespace),
        task("service", {"name": name, "namespace": namespace}),
    )
    return (replace(_cause_of("service", finding), fix=fix),)


class _Court:
    """One diagnosis."""

    def __init__(self, look: Look, complaints: t.Sequence[Finding]) -> None:
        self.look, self.complaints = look, complaints
        self.world, self.evidence = World.of(look), Evidence(look)
        self.stated = [(self.evidence.component(f), f) for f in complaints if self.evidence.component(f)]
        self.accused = {component for component, finding in self.stated if finding.status == FAIL}
        self.suspected = {component for component, _finding in self.stated}
        self.roots: dict[str, Cause] = {}

    def causes(self) -> tuple[Cause, ...]:
        """Ranked."""
        self._stated_roots()
        left = [symptom for symptom in self.evidence.symptoms(self.complaints) if not self._explained(symptom)]
        self._infer(left)
        ranked = sorted(
            self._merged(), key=lambda c: (c.status != FAIL, rank(c.component), -len(c.consequences), c.title)
        )
        return tuple(replace(cause, fix=fix_for(self.look, cause)) for cause in map(self._told_apart, ranked))

    def _told_apart(self, cause: Cause) -> Cause:
        """An application that answers although its pod is not ready is not the one to blame: its probe is."""
        heard = next((finding for finding in cause.consequences if finding.id == "SV-08"), None)
        if heard and kind_of(cause.component) == "ready":
            return replace(
                cause, title=f"{cause.title}: {heard.message}", evidence={**cause.evidence, **heard.evidence}
            )
        ports = answers_unready(self.look, instance_of(cause.component)) if kind_of(cause.component) == "ready" else []
        if not ports:
            return cause
        title = (
            f"{cause.title}, although it answers on port {short(ports)}: the readiness probe asks for something else"
        )
        return replace(cause, title=title, evidence={**cause.evidence, "answers": ports})

    # ----- what objects say

    def _stated_roots(self) -> None:
        later: list[tuple[str, frozenset[str], Finding]] = []
        for component, finding in sorted(self.stated, key=lambda item: (item[1].status != FAIL, rank(item[0]))):
            above = self.world.above(component, self.accused, self.evidence.good)
            if above:
                later.append((component, above, finding))
            elif component in self.roots:
                self._consequence(component, finding)
            else:
                self.roots[component] = _cause_of(component, finding)
        for component, above, finding in later:
            if not self._attribute(above, finding):
                self.roots.setdefault(component, _cause_of(component, finding))

    def _attribute(self, above: t.Iterable[str], finding: Finding) -> bool:
        """Put a finding under the first cause that explains it: a mere warning only where nothing that failed does."""
        for component in sorted(above, key=lambda one: (one not in self.accused, _first(one))):
            root = component if component in self.roots else self._root_of(component)
            if root:
                self._consequence(root, finding)
                return True
        return False

    def _root_of(self, component: str) -> str:
        above = self.world.above(component, self.roots, self.evidence.good)
        return min(above, key=_first) if above else ""

    def _consequence(self, component: str, finding: Finding) -> None:
        cause = self.roots[component]
        if finding not in cause.consequences:
            # What explains a failure has failed, whatever it looks like by itself.
            status = FAIL if finding.status == FAIL else cause.status
            self.roots[component] = replace(cause, status=status, consequences=(*cause.consequences, finding))

    # ----- what probes saw

    def _explained(self, symptom: Symptom) -> bool:
        above = {s for s in symptom.suspects if s in self.suspected}
        for suspect in symptom.suspects:
            above |= self.world.above(suspect, self.suspected, self.evidence.good)
        return self._attribute(above, symptom.finding)

    def _infer(self, left: list[Symptom]) -> None:
        """The fewest parts whose failure explains what is left, likeliest first."""
        while left:
            candidates = {suspect for symptom in left for suspect in symptom.suspects}
            if not candidates:
                for symptom in left:
                    self._unexplained(symptom)
                return
            ways = [(symptom, self._ways(symptom, candidates)) for symptom in left]
            best = min(candidates, key=lambda candidate: _order(candidate, ways))
            self._convict(best, [symptom for symptom, places in ways if best in places])
            left = [symptom for symptom, places in ways if best not in places]

    def _ways(self, symptom: Symptom, candidates: set[str]) -> dict[str, int]:
        """What could explain a symptom, with its place by likelihood: the suspects, then what they rest on."""
        places = {suspect: place for place, suspect in enumerate(symptom.suspects)}
        for suspect in symptom.suspects:
            for other in self.world.above(suspect, candidates, self.evidence.good):
                places.setdefault(other, len(symptom.suspects))
        return places

    def _convict(self, component: str, symptoms: t.Sequence[Symptom]) -> None:
        first = symptoms[0].finding
        rival = _rival(component, symptoms)
        cause = replace(
            _cause_of(component, first),
            status=FAIL if any(symptom.finding.status == FAIL for symptom in symptoms) else WARN,
            title=headline(self.look, component, first),
            confidence=POSSIBLE if rival else LIKELY,
            evidence={"seen": list(dict.fromkeys(symptom.text for symptom in symptoms))[:20], **first.evidence},
            second=(headline(self.look, rival, first), apart(self.look, component, rival)) if rival else ("", ""),
        )
        known = self.roots.get(component)
        self.roots[component] = replace(cause, consequences=known.consequences) if known else cause
        for symptom in symptoms:
            self._consequence(component, symptom.finding)

    def _unexplained(self, symptom: Symptom) -> None:
        component = f"unknown/{symptom.finding.id}"
        if component not in self.roots:
            self.roots[component] = replace(_cause_of(component, symptom.finding), confidence=POSSIBLE)
        else:
            self._consequence(component, symptom.finding)

    # ----- together

    def _merged(self) -> list[Cause]:
        """Causes of one kind that one check found on several objects are one cause."""
        groups: dict[tuple[str, str, str], list[Cause]] = {}
        for component, cause in self.roots.items():
            alike = cause.title if not instance_of(component) else ""
            groups.setdefault((cause.id, kind_of(component), alike), []).append(cause)
        return [_merge(causes) for causes in groups.values()]


def _first(component: str) -> tuple[int, str]:
    """What comes first by causality; by name where that does not tell."""
    return rank(component), component


def _order(candidate: str, ways: t.Sequence[tuple[Symptom, dict[str, int]]]) -> tuple[int, float, int, str]:
    """What explains most comes first, then what is likelier, then what comes first by causality."""
    places = [known[candidate] for _symptom, known in ways if candidate in known]
    return -len(places), sum(places) / len(places), rank(candidate), candidate


def _rival(component: str, symptoms: t.Sequence[Symptom]) -> str:
    """Another suspect that explains all of it, else one of a kind that does, e.g. each pod's application."""
    others = set.intersection(*(set(symptom.suspects) for symptom in symptoms)) - {component}
    suspects = symptoms[0].suspects
    if others:
        return min(others, key=suspects.index)
    kinds = set.intersection(*({kind_of(suspect) for suspect in symptom.suspects} for symptom in symptoms))
    return next((suspect for suspect in suspects if kind_of(suspect) in kinds - {kind_of(component)}), "")


def _merge(causes: t.Sequence[Cause]) -> Cause:
    first = causes[0]
    if len(causes) == 1:
        return first
    # Several parts of one object are told by their own names.
    alike = len({cause.object for cause in causes}) == 1
    others = [instance_of(cause.component) if alike else cause.object for cause in causes[1:]]
    others = [name or cause.object for name, cause in zip(others, causes[1:], strict=True)]
    more = ", ".join(others[:_MOST_ALIKE]) + (
        f" and {len(others) - _MOST_ALIKE} more" if len(others) > _MOST_ALIKE else ""
    )
    consequences: dict[tuple[str, str, str], Finding] = {}
    for finding in (finding for cause in causes for finding in cause.consequences):
        consequences.setdefault(finding.key, finding)
    return replace(
        first,
        title=f"{first.title} (likewise {more})",
        evidence={**first.evidence, "likewise": [cause.title for cause in causes[1:]]},
        consequences=tuple(consequences.values()),
    )


def _cause_of(component: str, finding: Finding) -> Cause:
    return Cause(
        id=finding.id,
        status=finding.status,
        title=finding.message,
        component=component,
        object=finding.object,
        field=finding.field,
        observed=finding.observed,
        expected=finding.expected,
        why=finding.cause,
        evidence=finding.evidence,
    )
