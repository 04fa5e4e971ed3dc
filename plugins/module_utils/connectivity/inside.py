# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Private to this collection: may change in any release.
"""Look into the containers of the application, as far as the rights and the programs of the image go."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from ..kube.client import Cluster
from ..kube.errors import ConnectionFailed, Forbidden, NotFound, Unauthorized, cannot
from ..kube.exec import ExecResult, execute
from .snapshot import Container, Pod

SKIPPED, UNDECIDED = "skipped", "undecided"
_SECONDS = 8.0


@dataclass(frozen=True, slots=True)
class Heard:
    """What came of a command in a container.

    Attributes:
        result: what it did; None where that is not known.
        verdict: why there is no result: `skipped` (may not or cannot look) or `undecided` (tried, no answer).
        detail: the reason in words.
    """

    result: ExecResult | None = None
    verdict: str = ""
    detail: str = ""


def run(cluster: Cluster, pod: Pod, container: Container, words: t.Sequence[str], purpose: str) -> Heard | None:
    """Run a command there; None when the pod is gone.

    Args:
        purpose: what the first word of the command is needed for, e.g. `to read them with`.
    """
    try:
        result = execute(cluster, pod.namespace, pod.name, container.name, words, timeout=_SECONDS)
    except NotFound:
        return None
    except (Forbidden, Unauthorized):
        return Heard(verdict=SKIPPED, detail=cannot("create", "pods", pod.namespace, "exec"))
    except ConnectionFailed as error:
        return Heard(verdict=UNDECIDED, detail=str(error))
    return heard(result, words[0], purpose)


def heard(result: ExecResult, program: str, purpose: str) -> Heard:
    """What a result says, unless the command could not be run."""
    absent = (f'exec: "{program}"', "executable file not found", "no such file or directory")
    if result.exit_code in (126, 127) or any(phrase in result.detail for phrase in absent):
        return Heard(verdict=SKIPPED, detail=f"the image has no {program} {purpose}")
    if result.verdict == "unknown":
        return Heard(verdict=UNDECIDED, detail=result.detail)
    return Heard(result)
