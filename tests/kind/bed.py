# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Everything that a real cluster needs on this machine.

Usage: bed.py {up|venv|browser|down|purge}

up     Python environment, Docker engine, kind and images; an inventory for the cluster's roles
venv   the Python environment only
browser  a headless Chromium for the tests of the HTML report, where it can be had
down   remove the cluster, and stop the Docker engine if we started it
purge  remove the cache folder and the Python environment too
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import sys
from collections.abc import Iterator

import balancer
import environment
import images
from host import (
    CACHE,
    allow_rules,
    as_root,
    ask,
    docker_answers,
    has_engine,
    has_ipv6,
    install_browser,
    open_socket,
    start_docker,
    stop_docker,
)
from steps import Missing, Shell, Step, finish, run
from versions import NGINX_TAG, PYTHON_TAG, VERSIONS, node_tag

LOGS = CACHE / "log"
INVENTORY = CACHE / "inventory.yml"

VENV_STEPS = [
    Step("python packages", environment.install_packages, seconds=90),
    Step("collections", environment.install_collections, after=("python packages",), seconds=20),
]
# Programs that judge our certificates from outside.
JUDGE_STEPS = [
    Step("sslyze", environment.install_sslyze, after=("python packages",), seconds=15),
    Step("gnutls", environment.install_gnutls, seconds=20),
    Step("go", environment.find_go, seconds=20),
]
START_DOCKER = Step("docker", start_docker, seconds=60)


@contextlib.contextmanager
def alone() -> Iterator[None]:
    """One at a time: two runs would write the same files."""
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print("another run prepares this machine: waiting for it", flush=True)
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def up() -> None:
    with alone():
        if sys.platform != "linux":
            raise Missing(f"this needs Linux, not {sys.platform}")
        steps = [*VENV_STEPS, *JUDGE_STEPS]
        if has_engine():  # first: what it has need not be made, and until it answers that cannot be known
            run([START_DOCKER], LOGS)
        else:
            steps.append(START_DOCKER)
        if isolates():
            allow_rules()
        run([*steps, *images.plan(), *balancer.plan()], LOGS)
        if not images.are_ready():
            print(f"The registry broke off ({LOGS}/images-from-the-registry.log): building the images", flush=True)
            run(images.build_plan(), LOGS)
        write_variables()


def isolates() -> bool:
    """Whether the firewall of this machine keeps the cluster from the world outside, which takes root."""
    return os.environ.get("PLUMBLINE_ISOLATE") != "no"


def write_variables() -> None:
    """What the roles cannot know by themselves, for this host. JSON is YAML too."""
    built = images.is_present(node_tag())
    variables = {
        "ansible_connection": "local",
        "ansible_python_interpreter": "{{ ansible_playbook_python }}",
        "kind_cluster_kind": str(images.KIND),
        "kind_cluster_node_image": node_tag() if built else VERSIONS["KIND_NODE_IMAGE"],
        "kind_cluster_images": [] if built else [NGINX_TAG, PYTHON_TAG],
        "kind_cluster_network": "plumbline",
        "kind_cluster_isolate": isolates(),
        "kind_cluster_load_balancer": True,
        "nginx_image": NGINX_TAG,
        "verify_client_image": PYTHON_TAG,
        "machine_has_ipv6": has_ipv6(),
    }
    if balancer.is_loaded():
        variables["kind_cluster_load_balancer_manifest"] = str(balancer.MANIFEST)
    inventory = {"all": {"hosts": {"localhost": variables}}}
    INVENTORY.write_text(json.dumps(inventory, indent=2) + "\n")


def venv() -> None:
    with alone():
        run([*VENV_STEPS, *JUDGE_STEPS], LOGS)


def browser() -> None:
    with alone():
        try:
            run([Step("chromium", install_browser, seconds=60)], LOGS)
        except Missing as error:
            print(f"no browser, so the tests that need one are skipped: {error}")


def down() -> None:
    with alone():
        run([*remove_cluster(), STOP_DOCKER], LOGS)


def remove_cluster() -> list[Step]:
    """By the role, as it made it; without an inventory of ours nothing was made."""
    if not INVENTORY.exists():
        return []
    run([Step("docker", open_socket)], LOGS)
    if not docker_answers():
        return []

    def remove(shell: Shell) -> None:
        playbook = environment.ROOT / "molecule/default/destroy.yml"
        collections = str(environment.COLLECTIONS.parent)
        shell.run(
            environment.VENV / "bin/ansible-playbook",
            *("--inventory", INVENTORY, playbook),
            env={"ANSIBLE_COLLECTIONS_PATH": collections},
        )

    return [*VENV_STEPS, Step("remove cluster", remove, after=("collections",), seconds=10)]


def purge() -> None:
    with alone():
        run([*remove_cluster(), Step("remove images", remove_images, after=("remove cluster",)), STOP_DOCKER], LOGS)
    for folder in (CACHE, environment.VENV):
        if folder.exists() and ask("rm", "-rf", str(folder), seconds=300) is None:
            ask(
                *as_root(f"removing {folder}"), "rm", "-rf", str(folder), seconds=300
            )  # an unfinished build leaves files of root


def remove_images(shell: Shell) -> None:
    names = ask("docker", "image", "ls", "--format", "{{.Repository}}:{{.Tag}}", "plumbline.local/*")
    if names:
        shell.run("docker", "image", "rm", "--force", *names.split())


STOP_DOCKER = Step("stop docker", stop_docker, after=("remove cluster", "remove images"), seconds=15)
ACTIONS = {"up": up, "venv": venv, "browser": browser, "down": down, "purge": purge}


def main() -> None:
    if len(sys.argv) != 2 or sys.argv[1] not in ACTIONS:
        sys.exit(__doc__)
    finish(ACTIONS[sys.argv[1]])


if __name__ == "__main__":
    main()
