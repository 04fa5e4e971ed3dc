# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Private to this collection: may change in any release.
"""What service proxies say in their logs: can they write their rules, and do they hear of changes?

Only what goes on counts. Old lines stay in a log, and no line tells that it is over: at its usual verbosity a proxy
says what fails, but not what succeeds. So it is told by time, as the node stamped the lines.
"""

from __future__ import annotations

import re
import typing as t
from dataclasses import dataclass
from datetime import datetime, timedelta

from ..look import Look
from ..result import Finding
from ..snapshot import Pod, when
from .common import Bench

CHECKS: tuple[tuple[str, str, str], ...] = (
    ("IN-03", "The service proxies write their rules and hear of changes", "get pods/log in kube-system"),
)

# By one of these, all versions of kube-proxy since 1.18 tell that rules were not written, in all modes.
_UNWRITTEN = re.compile(
    r"Failed to execute ip6?tables-restore|Failed to ensure .*chain|[Ss]ync failed|Failed to (?:add|sync) IPVS"
)
# What client-go says of a list or watch that failed. That a watch ended is usual.
_UNHEARD = re.compile(r"[Ff]ailed to (?:list|watch) \*v1\.\w+: ")

# A proxy tries to write again after half a minute.
_AGAIN = timedelta(seconds=45)
_WRITES_FAIL = timedelta(seconds=20)
# It asks again after a minute at the latest, so an API server that restarts is no fault of the proxy.
_HEARS_NOTHING = timedelta(seconds=60)
_STARTING = timedelta(seconds=60)
_API_SERVER = timedelta(seconds=120)

_HEADER = re.compile(r"^[IWEF]\d{4} \S+ +\d+ \S+\] ")
_LONGEST = 400


@dataclass(frozen=True, slots=True)
class _Trouble:
    """What lines of one kind say: when first and last, and the one that tells most."""

    first: datetime
    last: datetime
    line: str

    @property
    def lasted(self) -> timedelta:
        return self.last - self.first


def check(bench: Bench, look: Look, proxies: t.Sequence[Pod]) -> list[Finding]:
    """IN-03."""
    read = [(one, log) for one in proxies if (log := look.facts.log(one.namespace, one.name)) is not None]
    if not read:
        why = look.facts.missing.get("dns_logs") or "the logs of the service proxies are not asked for"
        return [bench.skipped("IN-03", why)]
    complaints = [finding for one, log in read for finding in _proxy(bench, look, one, log)]
    good = len(read) - len(complaints)
    of = f" of {len(proxies)}" if len(proxies) > len(read) else ""
    return bench.verdict("IN-03", complaints, good, f"the logs of {good}{of} service proxies tell of no failure")


def _proxy(bench: Bench, look: Look, one: Pod, log: str) -> t.Iterator[Finding]:
    """At most one complaint: who cannot write does not serve, whatever it hears."""
    begun = max((container.started for container in one.containers if container.started), default=None)
    since = begun + _STARTING if begun else None
    unwritten = _trouble(log, _UNWRITTEN, since)
    if unwritten:
        goes_on = unwritten.lasted >= _WRITES_FAIL and look.now - unwritten.last <= _AGAIN
        problem = "cannot write its rules" if goes_on else "could not write its rules for a moment"
        yield _complaint(bench.failed if goes_on else bench.warned, one, problem, unwritten)
        return
    unheard = _trouble(log, _UNHEARD, since)
    if unheard and unheard.lasted >= _HEARS_NOTHING and not _just_started(look):
        yield _complaint(bench.failed, one, "does not hear of changes from the API server", unheard)


def _complaint(make: t.Callable[..., Finding], one: Pod, problem: str, trouble: _Trouble) -> Finding:
    return make(
        "IN-03",
        f"the service proxy of node {one.node} {problem}",
        object=f"Node {one.node}",
        field="log of kube-proxy",
        observed=trouble.line,
        expected="no such line",
        cause="the node goes on with the rules that it has: it does not follow the endpoints",
        evidence={
            "log": trouble.line,
            "pod": one.name,
            "from": trouble.first.isoformat(timespec="seconds"),
            "to": trouble.last.isoformat(timespec="seconds"),
        },
        subjects=frozenset({one.node}),
        component=f"proxy/{one.node}",
    )


def _just_started(look: Look) -> bool:
    """Whether an API server started just now, as far as its pod can be seen: then proxies come back by themselves."""
    statuses = [
        status
        for body in look.facts.all("dns_pods")
        for status in (body.get("status") or {}).get("containerStatuses") or []
        if status["name"] == "kube-apiserver"
    ]
    stamps = [((status.get("state") or {}).get("running") or {}).get("startedAt") for status in statuses]
    return any(moment and look.now - moment < _API_SERVER for moment in map(when, stamps))


def _trouble(log: str, pattern: re.Pattern[str], since: datetime | None) -> _Trouble | None:
    """The lines of one kind; None where there is none."""
    lines = [(stamp, text) for stamp, _space, text in (line.partition(" ") for line in log.splitlines()) if text]
    found: list[tuple[datetime, str]] = []
    for number, (stamp, text) in enumerate(lines):
        moment = _moment(stamp)
        if moment and pattern.search(text) and (since is None or moment > since):
            # What a program said follows in lines of its own.
            more = lines[number + 1][1].strip() if text.endswith("=<") and number + 1 < len(lines) else ""
            found.append((moment, (_HEADER.sub("", text).removesuffix("<") + more)[:_LONGEST]))
    if not found:
        return None
    telling = [line for _moment, line in found if "err" in line] or [line for _moment, line in found]
    return _Trouble(found[0][0], found[-1][0], telling[-1])


def _moment(stamp: str) -> datetime | None:
    """The time that stands before a line; None where the line was cut."""
    try:
        return when(stamp)
    except ValueError:
        return None
