# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Breaks a real cluster in every known way, and asks for the cause: inject, diagnose, mend, healthy again.

The cluster is one of its own (cluster.yml): some faults take DNS or a node away from everybody.

Usage: run.py [--record FOLDER] [--lanes N] [--keep] [PATTERN ...]
"""

from __future__ import annotations

import argparse
import contextlib
import re
import sys
import threading
import time
import traceback
import typing as t
from concurrent.futures import ThreadPoolExecutor
from fnmatch import fnmatchcase
from pathlib import Path

import yaml
from bed import Bed
from cases import CASES, Case
from recording import save

from ansible_collections.plumbline.kubernetes.plugins.module_utils.connectivity import engine
from ansible_collections.plumbline.kubernetes.plugins.module_utils.connectivity.result import Report
from ansible_collections.plumbline.kubernetes.plugins.module_utils.kube.client import Cluster

_local = threading.local()


def main() -> int:
    """Run the cases that were asked for."""
    options = _options()
    images = _images(options.inventory)
    chosen = [case for case in CASES if any(fnmatchcase(case.name, pattern) for pattern in options.patterns)]
    _remember()
    chosen.sort(key=lambda case: case.alone)
    shared = [case for case in chosen if not case.alone]
    with ThreadPoolExecutor(max_workers=options.lanes) as pool:
        problems = list(pool.map(lambda case: _told(case, images, options), shared))
    problems += [_told(case, images, options) for case in chosen[len(shared) :]]
    failed = sum(map(bool, problems))
    print(f"faults: {len(chosen) - failed} passed, {failed} failed")
    return 1 if failed or not chosen else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("patterns", nargs="*", default=["*"])
    parser.add_argument("--record", type=Path, help="folder to keep what was seen in")
    parser.add_argument("--lanes", type=int, default=2)
    parser.add_argument("--keep", action="store_true", help="leave the namespaces of failed cases")
    parser.add_argument("--context", default="kind-plumbline-faults")
    parser.add_argument("--kubeconfig", default=str(Path("~/.kube/plumbline-faults.yaml").expanduser()))
    parser.add_argument("--inventory", type=Path, required=True, help="the inventory of the test bed")
    return parser.parse_args()


def _images(inventory: Path) -> dict[str, str]:
    known = yaml.safe_load(inventory.read_text(encoding="utf-8"))["all"]["hosts"]["localhost"]
    return {"nginx": known["nginx_image"], "python": known["verify_client_image"]}


def _remember() -> None:
    """Keep the look that a diagnosis was made from, per thread."""
    original = engine.diagnose

    def remembering(look: t.Any, findings: t.Any) -> t.Any:
        _local.seen = (look, findings)
        return original(look, findings)

    engine.diagnose = remembering


def _told(case: Case, images: dict[str, str], options: argparse.Namespace) -> str:
    """What is wrong with a case, said as soon as it is known."""
    problem, seconds = _one(case, images, options)
    print(f"{case.name:32} {'passed' if not problem else 'FAILED'} {seconds:5.1f} s {problem}", flush=True)
    return problem


def _one(case: Case, images: dict[str, str], options: argparse.Namespace) -> tuple[str, float]:
    began = time.monotonic()
    cluster = Cluster.connect({"kubeconfig": options.kubeconfig, "context": options.context})
    bed = Bed(cluster, f"faults-{re.sub('[^a-z0-9-]', '-', case.name.lower())}", images)
    problem = ""
    try:
        bed.make()
        case.inject(bed)
        report = engine.verify(cluster, bed.question())
        problem = judge(case, report)
        if options.record and report.rounds:
            save(options.record / ("failed" if problem else "") / f"{case.name}.json.gz", *_local.seen)
        if not problem:
            bed.options = {"node_level": bed.options.get("node_level", False)}
            bed.mend()
            healed = engine.verify(cluster, bed.question())
            problem = f"mended, but: {healed.verdict}" if healed.causes or healed.fails("inconclusive") else ""
    except Exception as error:  # noqa: BLE001 -- a case that breaks must not end the others
        traceback.print_exc()
        problem = f"{type(error).__name__}: {error}"
    # Whatever went wrong: what belongs to the cluster is set right.
    while bed.undo:
        with contextlib.suppress(Exception):
            bed.undo.pop()()
    if not (problem and options.keep):
        bed.remove()
    return problem, time.monotonic() - began


def judge(case: Case, report: Report) -> str:
    """What is wrong with a diagnosis; empty when the right causes come, and nothing else."""
    causes = report.causes or ()
    found = [(cause.component, cause.title) for cause in causes]
    text = f"found {found or 'no cause'}; {report.summary}; {report.elapsed:.1f} s"
    if not case.components:
        said = [finding.message for finding in report.findings if finding.id == case.advice]
        if case.advice and not any(re.search(case.words, message) for message in said):
            return f"expected the advice {case.advice} with {case.words!r}; it says {said}"
        return "" if not causes else f"expected none; {text}"
    if not case.is_named_by([cause.component for cause in causes]):
        return f"expected {case.components}; {text}"
    return "" if re.search(case.words, causes[0].title) else f"expected the word {case.words!r}; {text}"


if __name__ == "__main__":
    sys.exit(main())
