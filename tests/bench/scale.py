# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How `survey` grows: many Services in one task on a real API server, whose pods and nodes kwok pretends to run.

Makes a cluster of its own with one node, and removes it. The Deployments, pods and EndpointSlices are made by the real
controllers; one Service in a hundred gets a selector that is wrong. Numbers are printed beside the goals; nothing here
passes or fails.

    python tests/bench/scale.py --services 100,1000
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import typing as t
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from kubernetes import client, config

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent
COLLECTIONS = ROOT / ".venv" / "collections"
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "plumbline"
sys.path[:0] = [str(ROOT / "tests/kind")]

import versions  # noqa: E402

NAME = "plumbline-scale"
REPLICAS = 10
NAMESPACES = 20
SIZES = (100, 1000)
ONE_IN = 100  # Services with a wrong selector
PODS_PER_NODE = 100
PATIENCE = 900.0
# For 1,000 Services of 10 endpoints each; and time may grow as the number of Services does.
MOST_SECONDS, MOST_MB = 30, 300
LEASES = ("--node-lease-duration-seconds", "40")
STAGES = (
    "node/fast/node-initialize.yaml",
    "node/heartbeat-with-lease/node-heartbeat-with-lease.yaml",
    "pod/fast/pod-ready.yaml",
    "pod/fast/pod-complete.yaml",
    "pod/fast/pod-delete.yaml",
)
# The controllers of kubeadm send 20 requests a second; a cluster that is thrown away needs no fsync.
FASTER = """
sed -i 's/^    - kube-controller-manager$/&\\n    - --kube-api-qps=1000\\n    - --kube-api-burst=1000/' \
  /etc/kubernetes/manifests/kube-controller-manager.yaml
sed -i 's/^    - etcd$/&\\n    - --unsafe-no-fsync/' /etc/kubernetes/manifests/etcd.yaml
"""


def run(*command: str | Path, stdin: str = "", seconds: float = 300, **environment: str) -> str:
    """A command's output; the benchmark ends where it fails."""
    words = [str(word) for word in command]
    done = subprocess.run(
        words,
        input=stdin,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
    )
    if done.returncode:
        sys.exit(f"{' '.join(words)} failed:\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}")
    return done.stdout


# ----- the cluster


def kwok() -> tuple[Path, Path]:
    """The program, and how it lets pods and nodes become ready; built once."""
    version = versions.VERSIONS["KWOK_VERSION"]
    program, stages = CACHE / "bin" / f"kwok-{version}", CACHE / "bin" / f"kwok-{version}.yaml"
    if program.exists() and stages.exists():
        return program, stages
    say(f"building kwok {version}: minutes, once")
    with tempfile.TemporaryDirectory(dir=CACHE) as folder:
        package = f"sigs.k8s.io/kwok/cmd/kwok@v{version}"
        run("go", "install", "-trimpath", package, seconds=1800, GOBIN=folder, CGO_ENABLED="0")
        module = json.loads(run("go", "mod", "download", "-json", f"sigs.k8s.io/kwok@v{version}"))["Dir"]
        texts = [(Path(module) / "kustomize/stage" / name).read_text() for name in STAGES]
        stages.write_text("\n---\n".join(texts))
        (Path(folder) / "kwok").rename(program)
    return program, stages


@contextlib.contextmanager
def cluster(folder: Path) -> Iterator[Path]:
    """A cluster with one real node, and kwok beside it; the kubeconfig."""
    settings = json.loads((CACHE / "inventory.yml").read_text())["all"]["hosts"]["localhost"]
    kind, kubeconfig = settings["kind_cluster_kind"], folder / "kubeconfig"
    network = {"KIND_EXPERIMENTAL_DOCKER_NETWORK": NAME}
    program, stages = kwok()
    remove(kind, kubeconfig)
    try:
        say("making a cluster")
        command = (kind, "create", "cluster", "--name", NAME, "--kubeconfig", kubeconfig, "--wait", "180s")
        image = ("--image", settings["kind_cluster_node_image"])
        run(*command, *image, "--config", "-", stdin=cluster_config(), seconds=600, **network)
        run("docker", "exec", f"{NAME}-control-plane", "bash", "-euc", FASTER)
        with (folder / "kwok.log").open("wb") as log:
            selector = "--manage-nodes-with-label-selector=type=kwok"
            words = [program, "--kubeconfig", kubeconfig, "--config", stages, "-v", "ERROR", *LEASES, selector]
            pretender = subprocess.Popen(words, stdout=log, stderr=log)
            try:
                yield kubeconfig
            finally:
                pretender.terminate()
                pretender.wait(30)
    finally:
        say("removing the cluster")
        remove(kind, kubeconfig)


def cluster_config() -> str:
    """As the role kind_cluster has it: kubelets refuse the first version of cgroups unless told otherwise."""
    old = run("docker", "info", "--format", "{{.CgroupVersion}}").strip() == "1"
    patch = "kind: KubeletConfiguration\nfailCgroupV1: false\n"
    return json.dumps(
        {
            "kind": "Cluster",
            "apiVersion": "kind.x-k8s.io/v1alpha4",
            "nodes": [{"role": "control-plane"}],
            "kubeadmConfigPatches": [patch] if old else [],
        }
    )


def remove(kind: str, kubeconfig: Path) -> None:
    run(kind, "delete", "cluster", "--name", NAME, "--kubeconfig", kubeconfig)
    subprocess.run(["docker", "network", "rm", NAME], capture_output=True, timeout=60, check=False)


# ----- what is in it


def grow(kubeconfig: Path, before: int, services: int) -> None:
    """Add Services and Deployments until there are that many, and wait until all pods are ready."""
    config.load_kube_config(str(kubeconfig))
    core, apps = client.CoreV1Api(), client.AppsV1Api()
    waiting(lambda: bool(core.list_node().items), "the API server")
    if before == 0:
        for number in range(NAMESPACES):
            again(core.create_namespace, {"metadata": {"name": f"scale-{number}"}})
    nodes = range(*(count * REPLICAS // PODS_PER_NODE for count in (before, services)))
    numbers = range(before, services)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: again(core.create_node, node(n)), nodes))
        list(pool.map(lambda n: again(core.create_namespaced_service, space(n), service(n)), numbers))
        list(pool.map(lambda n: again(apps.create_namespaced_deployment, space(n), deployment(n)), numbers))

    def ready() -> bool:
        found = apps.list_deployment_for_all_namespaces(label_selector="of=scale", resource_version="0").items
        count = sum(item.status.available_replicas or 0 for item in found)
        say(f"  {count} of {services * REPLICAS} pods are ready")
        return count == services * REPLICAS

    waiting(ready, "the pods")
    time.sleep(15)  # the slices follow the pods


def again(make: Callable[..., t.Any], *arguments: t.Any) -> None:
    """Create an object, also where the API server has just been started anew."""
    for _attempt in range(60):
        try:
            make(*arguments)
            return
        except client.ApiException as error:
            if error.status == 409:
                return
        except OSError:
            pass
        time.sleep(1)
    sys.exit("the API server takes nothing")


def waiting(done: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        # It is away for a moment when its settings change.
        with contextlib.suppress(client.ApiException, OSError):
            if done():
                return
        time.sleep(3)
    sys.exit(f"{what}: not there within {PATIENCE:g} s")


def space(number: int) -> str:
    return f"scale-{number % NAMESPACES}"


def node(number: int) -> dict[str, t.Any]:
    size = {"cpu": "64", "memory": "256Gi", "pods": "250"}
    labels = {"type": "kwok", "kubernetes.io/os": "linux"}  # with that they get a kube-proxy
    metadata = {"name": f"kwok-{number}", "labels": labels, "annotations": {"kwok.x-k8s.io/node": "fake"}}
    return {"metadata": metadata, "status": {"allocatable": size, "capacity": size}}


def service(number: int) -> dict[str, t.Any]:
    app = f"wrong-{number}" if number % ONE_IN == ONE_IN - 1 else f"app-{number}"
    spec = {"selector": {"app": app}, "ports": [{"name": "http", "port": 80, "targetPort": "http"}]}
    return {"metadata": {"name": f"app-{number}", "labels": {"of": "scale"}}, "spec": spec}


def deployment(number: int) -> dict[str, t.Any]:
    """Its pods are put on one node: the scheduler would take longest of all."""
    labels = {"app": f"app-{number}"}
    container = {
        "name": "web",
        "image": versions.NGINX_TAG,
        "ports": [{"name": "http", "containerPort": 80}],
        "readinessProbe": {"httpGet": {"path": "/", "port": "http"}},
        "env": [{"name": "REGION", "value": "here"}],
        "resources": {"requests": {"cpu": "10m", "memory": "16Mi"}},
    }
    pod = {"nodeName": f"kwok-{number * REPLICAS // PODS_PER_NODE}", "containers": [container]}
    return {
        "metadata": {"name": f"app-{number}", "labels": {"of": "scale"}},
        "spec": {
            "replicas": REPLICAS,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": pod},
        },
    }


# ----- measuring


class Measured(t.NamedTuple):
    """One task. `peak` is that of its largest process, in MB; `besides` is what was found that is not of our making."""

    services: int
    seconds: float
    inside: float
    cpu: float
    peak: float
    requests: int
    message: str
    besides: list[str]


def survey(kubeconfig: Path) -> Measured:
    """One task, by itself."""
    inherited = {key: value for key, value in os.environ.items() if not key.startswith(("ANSIBLE_", "K8S_AUTH_"))}
    environment = {
        **inherited,
        "ANSIBLE_COLLECTIONS_PATH": str(COLLECTIONS),
        "ANSIBLE_LOCALHOST_WARNING": "false",
        "ANSIBLE_NOCOLOR": "true",
        "K8S_AUTH_KUBECONFIG": str(kubeconfig),
    }
    file = kubeconfig.with_name("survey.json")
    module, arguments = "plumbline.kubernetes.survey", f"fail_on=never dest={file}"
    interpreter = f"ansible_python_interpreter={sys.executable}"
    command = [BIN / "ansible", "localhost", "-m", module, "-a", arguments, "-e", interpreter]
    with tempfile.TemporaryFile("w+") as output:
        began = time.monotonic()
        process = subprocess.Popen(command, env=environment, stdout=output, stderr=output)
        # Of the process and all that it waited for.
        _pid, status, usage = os.wait4(process.pid, 0)
        seconds = time.monotonic() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0)
        text = output.read()
    if process.returncode:
        sys.exit(f"the survey failed:\n{text[-4000:]}")
    found = json.loads(file.read_text())
    figures = (seconds, found["elapsed"], usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)
    return Measured(found["services"], *figures, found["requests"], found["msg"], besides(found["verdicts"]))


def besides(verdicts: Sequence[dict[str, t.Any]]) -> list[str]:
    """The findings on what is not good, but for the selectors that are wrong on purpose."""
    wrong = {f"{space(number)}/app-{number}" for number in range(ONE_IN - 1, 100_000, ONE_IN)}
    return [
        f"{verdict['subject']}: {json.dumps(finding)}"
        for verdict in verdicts
        for finding in verdict["findings"]
        if verdict["subject"] not in wrong and finding["status"] in ("fail", "warn", "inconclusive")
    ]


def say(text: str) -> None:
    print(f"[{time.strftime('%H:%M:%S')}] {text}", file=sys.stderr, flush=True)


def measure(sizes: Sequence[int]) -> None:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("terminated"))  # the cluster goes, too
    with tempfile.TemporaryDirectory(prefix="scale-") as folder, cluster(Path(folder)) as kubeconfig:
        found, before = [], 0
        for size in sizes:
            say(f"growing to {size} Services")
            grow(kubeconfig, before, size)
            before = size
            for _time in range(2):
                found.append(survey(kubeconfig))
                say(f"  {found[-1].message}")
                for line in found[-1].besides:
                    say(f"  besides, {line}")
    row = "{:>9} {:>10} {:>8} {:>8} {:>8} {:>8} {:>9}"
    print(f"\nsurvey in one task, {REPLICAS} endpoints each; {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    print(row.format("Services", "endpoints", "task s", "inside s", "cpu s", "peak MB", "requests"))
    for one in found:
        numbers = (f"{one.seconds:.1f}", f"{one.inside:.1f}", f"{one.cpu:.1f}", f"{one.peak:.0f}", one.requests)
        print(row.format(one.services, one.services * REPLICAS, *numbers))
    print("\n".join(goals(found)))


def goals(found: Sequence[Measured]) -> list[str]:
    """What was seen of the largest cluster and of the way to it, beside what is wanted; the quicker of two tasks."""
    quickest: dict[int, Measured] = {}
    for one in sorted(found, key=lambda one: one.seconds):
        quickest.setdefault(one.services, one)
    least, most = quickest[min(quickest)], quickest[max(quickest)]
    took = f"{most.seconds:.1f} s, goal {MOST_SECONDS} s; {most.peak:.0f} MB, goal {MOST_MB} MB"
    lines = [f"{most.services:,} Services: {took}"]
    if least is not most:
        times = most.services / least.services
        lines.append(
            f"growth: {times:.1f} times the Services took {most.seconds / least.seconds:.1f} times as long and"
            f" {most.cpu / least.cpu:.1f} times the processor, goal {times:.1f} (linear);"
            f" {most.peak / least.peak:.1f} times the memory"
        )
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--services", default=",".join(map(str, SIZES)), help="how many, growing")
    options = parser.parse_args()
    measure(sorted({int(size) for size in options.services.split(",")}))


if __name__ == "__main__":
    main()
