# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What our work costs: beside the same work by kubernetes.core and community.crypto, and beside the goals.

Timed runs talk to the API server directly and alternate, so that a slow moment hits both sides. A further pass goes
through a counting proxy and tells requests. Numbers are printed; nothing here passes or fails.

    python tests/bench/bench.py --rounds 5 --only sites --only diagnosis
"""

from __future__ import annotations

import argparse
import json
import os
import re
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import typing as t
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
BIN = Path(sys.executable).parent
COLLECTIONS = ROOT / ".venv" / "collections"
sys.path[:0] = [str(COLLECTIONS), str(HERE), str(ROOT / "tests/kind")]

import diagnosis  # noqa: E402
import engine  # noqa: E402
import meter  # noqa: E402
import scale  # noqa: E402
import versions  # noqa: E402
import waits  # noqa: E402
from counting_proxy import CountingProxy  # noqa: E402
from kubernetes import client, config  # noqa: E402

FIRST, AGAIN = "first run", "no-op run"
ROW = "{:10} {:16}" + " {:>8}" * 7
TARGETS = {FIRST: 0.4, AGAIN: 0.3}
MOST_OVERSHOOT = 0.3
STARTUP = {
    "ansible.builtin.ping": "",
    "plumbline.kubernetes.service_info": "name=kubernetes namespace=default",
    "kubernetes.core.k8s_info": "api_version=v1 kind=Service name=kubernetes namespace=default",
}


@dataclass(frozen=True)
class Side:
    """One of the two ways to do the work."""

    name: str
    namespaces: tuple[str, ...]
    arguments: tuple[str, ...]


@dataclass(frozen=True)
class Run:
    """What one run of ansible-playbook took."""

    seconds: float
    cpu: float
    tasks: int
    changed: int


# The peer's keys: made by its first run, found by the second.
KEYS = Path(tempfile.mkdtemp(prefix="bench-"))
IMAGES = f"nginx_image={versions.NGINX_TAG} verify_client_image={versions.PYTHON_TAG}"
OURS = Side(
    "plumbline",
    ("bench-ours", "bench-ours-ca"),
    ("plumbline.kubernetes.site", "--extra-vars", f"@{HERE / 'ours.yml'}", "--extra-vars", IMAGES),
)
ROTATION = Side("rotation", OURS.namespaces, ("plumbline.kubernetes.rotate_certificates", *OURS.arguments[1:]))
PEER = Side("kubernetes.core", ("bench-peer",), (str(HERE / "peer.yml"), "--extra-vars", f"peer_keys={KEYS} {IMAGES}"))


class Bench:
    """The cluster, and how playbooks are run on it."""

    def __init__(self, kubeconfig: Path, context: str) -> None:
        self.kubeconfig, self.context = kubeconfig, context
        config.load_kube_config(str(kubeconfig), context)
        self._core = client.CoreV1Api()

    def ansible(self, command: str, *arguments: str, kubeconfig: Path | None = None) -> tuple[float, str]:
        """Seconds and output of an Ansible command; the benchmark ends where it fails."""
        inherited = {key: value for key, value in os.environ.items() if not key.startswith(("ANSIBLE_", "K8S_AUTH_"))}
        environment = {
            **inherited,
            "ANSIBLE_COLLECTIONS_PATH": str(COLLECTIONS),
            "ANSIBLE_LOCALHOST_WARNING": "false",
            "ANSIBLE_INVENTORY_UNPARSED_WARNING": "false",
            "ANSIBLE_NOCOLOR": "true",
            "K8S_AUTH_KUBECONFIG": str(kubeconfig or self.kubeconfig),
            "K8S_AUTH_CONTEXT": self.context,
            "BENCH_PASSPHRASE": "of a benchmark, and long enough",
        }
        started = time.monotonic()
        done = subprocess.run(
            [BIN / command, *arguments], env=environment, cwd=ROOT, capture_output=True, text=True, check=False
        )
        seconds = time.monotonic() - started
        if done.returncode:
            sys.exit(f"{command} {' '.join(arguments)} failed:\n{done.stdout[-4000:]}\n{done.stderr[-2000:]}")
        return seconds, done.stdout

    def play(self, side: Side, kubeconfig: Path | None = None) -> Run:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        seconds, output = self.ansible("ansible-playbook", *side.arguments, kubeconfig=kubeconfig)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        recap = {
            key: sum(map(int, re.findall(rf"^\S+ +:.*\b{key}=(\d+)", output, re.MULTILINE)))
            for key in ("ok", "changed")
        }
        return Run(seconds, cpu, recap["ok"], recap["changed"])

    def clear(self, *others: str) -> None:
        """Remove what both sides made, and further namespaces, and wait until they are gone."""
        shutil.rmtree(KEYS, ignore_errors=True)
        namespaces = (*OURS.namespaces, *PEER.namespaces, *others)
        for name in namespaces:
            try:
                self._core.delete_namespace(name)
            except client.ApiException as error:
                if error.status != 404:
                    raise
        while {item.metadata.name for item in self._core.list_namespace().items} & set(namespaces):
            time.sleep(0.5)


def sites(bench: Bench, rounds: int) -> None:
    runs: dict[tuple[str, str], list[Run]] = {}
    for number in range(rounds):
        bench.clear()
        pair = (OURS, PEER) if number % 2 == 0 else (PEER, OURS)
        for phase in (FIRST, AGAIN):
            for side in pair:
                run = bench.play(side)
                runs.setdefault((phase, side.name), []).append(run)
                say(f"  round {number + 1}/{rounds} {phase:9} {side.name:15} {run.seconds:6.2f} s")
    requests = count_requests(bench)
    print(f"\n{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}; seconds:")
    head = ("", "", "median", "least", "most", "cpu", "tasks", "changed", "requests")
    print(ROW.format(*head))
    for (phase, name), found in runs.items():
        took = [run.seconds for run in found]
        numbers = (statistics.median(took), min(took), max(took), statistics.median(run.cpu for run in found))
        counts = (found[-1].tasks, found[-1].changed, sum(requests[phase, name].values()))
        print(ROW.format(phase, name, *(f"{number:.2f}" for number in numbers), *counts))
    for phase, target in TARGETS.items():
        ours, peer = (statistics.median(run.seconds for run in runs[phase, side.name]) for side in (OURS, PEER))
        asked, peers = (sum(requests[phase, side.name].values()) for side in (OURS, PEER))
        print(f"{phase}: {ours / peer:.2f} of the peer's time, goal {target}; {asked / peers:.2f} of its requests")


def count_requests(bench: Bench) -> dict[tuple[str, str], Counter[str]]:
    counts = {}
    with tempfile.TemporaryDirectory() as folder, CountingProxy(bench.kubeconfig, bench.context) as proxy:
        kubeconfig = proxy.kubeconfig(Path(folder) / "config", bench.context)
        bench.clear()
        for phase in (FIRST, AGAIN):
            for side in (OURS, PEER):
                say(f"  counting  {phase:9} {side.name}")
                bench.play(side, kubeconfig)
                counts[phase, side.name] = proxy.take()
    return counts


def rotation(bench: Bench, rounds: int) -> None:
    """A certificate is replaced, beside a roll-out of the same pods that nobody does anything besides."""
    bench.clear()
    bench.play(OURS)
    found: dict[str, list[float]] = {"rotate_certificates": [], "its roll-out alone": []}
    for number in range(rounds):
        took = bench.play(ROTATION).seconds, waits.restart(OURS.namespaces[0], "my-nginx")
        for name, seconds in zip(found, took, strict=True):
            found[name].append(seconds)
            say(f"  round {number + 1}/{rounds} {name:20} {seconds:6.2f} s")
    ours, bound = (statistics.median(seconds) for seconds in found.values())
    print(f"\nrotate_certificates: {ours:.2f} s, {ours / bound:.2f} of the {bound:.2f} s that its roll-out alone takes")


def load(bench: Bench) -> None:
    """How many requests the meter of `availability` can send on time."""
    bench.clear()
    bench.play(OURS)
    cluster = {"kubeconfig": str(bench.kubeconfig), "context": bench.context}
    print(f"\n{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    for line in meter.measure(cluster, OURS.namespaces[0], versions.PYTHON_TAG, say):
        print(line)


def startup(bench: Bench) -> None:
    """Cost of one more task: the slope between one and eleven of them."""
    print("\ntask cost (one more task in a play)")
    for module, arguments in STARTUP.items():
        times = {}
        for count in (1, 11):
            play = [
                {
                    "hosts": "localhost",
                    "connection": "local",
                    "gather_facts": False,
                    "tasks": [
                        {"name": str(n), module: dict(pair.split("=") for pair in arguments.split())}
                        for n in range(count)
                    ],
                }
            ]
            with tempfile.NamedTemporaryFile("w", suffix=".yml") as file:
                file.write(json.dumps(play))
                file.flush()
                times[count] = min(bench.ansible("ansible-playbook", file.name)[0] for dummy in range(3))
        print(f"  {module:36} {(times[11] - times[1]) / 10:5.2f} s")


def overshoot(bench: Bench, rounds: int) -> None:
    """How long after the state was reached our waits return."""
    print("\nwait overshoot (state seen by a watch of its own, then our return)")
    for name, found in waits.measure(bench.kubeconfig, bench.context, rounds, say).items():
        figures = f"median {statistics.median(found):6.3f} s, most {max(found):6.3f} s, of {len(found)}"
        print(f"  {name:32} {figures}, goal {MOST_OVERSHOOT} s")
    bench.clear(waits.NAMESPACE)


def diagnoses(bench: Bench, rounds: int) -> None:
    """A full diagnosis of our site."""
    bench.clear()
    bench.play(OURS)
    where = (bench.kubeconfig, bench.context, OURS.namespaces[0])
    diagnosis.measure(bench.ansible, *where, versions.PYTHON_TAG, rounds, say)


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kubeconfig", type=Path, default=Path("~/.kube/plumbline.yaml").expanduser())
    parser.add_argument("--context", default="kind-plumbline")
    parser.add_argument("--rounds", type=int, default=3)
    parts: dict[str, t.Callable[[Bench, int], None]] = {
        "sites": sites,
        "rotation": rotation,
        "startup": lambda bench, _rounds: startup(bench),
        "meter": lambda bench, _rounds: load(bench),
        "overshoot": lambda bench, rounds: overshoot(bench, 3 * rounds),
        "diagnosis": diagnoses,
        "engine": lambda _bench, _rounds: engine.measure(),
        "scale": lambda _bench, _rounds: scale.measure(scale.SIZES),
    }
    parser.add_argument("--only", choices=parts, action="append")
    options = parser.parse_args()
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    bench = Bench(options.kubeconfig, options.context)
    for name, part in parts.items():
        if not options.only or name in options.only:
            part(bench, options.rounds)
    bench.clear()


if __name__ == "__main__":
    main()
