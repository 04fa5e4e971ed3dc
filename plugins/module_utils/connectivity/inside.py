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
from ..kube.errors import ConnectionFailed, Forbidden, NotFound, Unauthorized
from ..kube.exec import ExecResult, execute
from .rights import Rights, exec_in
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


@dataclass(frozen=True, slots=True)
class Inside:
    """The way into containers, as far as the rights go."""

    cluster: Cluster
    rights: Rights

    def run(self, pod: Pod, container: Container, words: t.Sequence[str], purpose: str) -> Heard | None:
        """Run a command there; None when the pod is gone.

        Args:
            purpose: what the first word of the command is needed for, e.g. `to read them with`.
        """
        needed = exec_in(pod.namespace)
        if self.rights.lacking(needed):
            return Heard(verdict=SKIPPED, detail=needed.missing)
        try:
            result = execute(self.cluster, pod.namespace, pod.name, container.name, words, timeout=_SECONDS)
        except NotFound:
            return None
        except (Forbidden, Unauthorized):
            return Heard(verdict=SKIPPED, detail=needed.missing)
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
