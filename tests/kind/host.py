# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What this machine has and may do: user's rights, disk, image registry, Docker engine."""

from __future__ import annotations

import contextlib
import json
import os
import platform
import shutil
import signal
import subprocess
import threading
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from steps import Missing, Shell
from versions import HERE

CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "plumbline"
ENGINE = CACHE / "docker"
PIDFILE = ENGINE / "dockerd.pid"
ENGINE_LOG = CACHE / "log/dockerd.log"
SOCKET = Path("/var/run/docker.sock")
ENGINE_PACKAGES = ("docker.io", "containerd", "runc", "iptables", "jq")
IPV6_ADDRESSES = Path("/proc/net/if_inet6")
PROCESSES = Path("/proc")
BROWSERS = ("chromium", "google-chrome", "chromium-browser")
CAP_SYS_RESOURCE = 24
PLAIN_RUNTIMES = ("runc", "io.containerd.runc.v2")  # what an engine runs containers by that nobody told otherwise
PACKAGES = threading.Lock()  # steps run side by side, apt-get does not


def ask(*command: str, seconds: float = 30, apart: bool = False) -> str | None:
    """A command's output, or None when it fails or is not there; `apart` from our terminal, if that matters to it."""
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
            start_new_session=apart,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def as_root(purpose: str) -> tuple[str, ...]:
    """What to put before a command that needs root."""
    if os.geteuid() == 0:
        return ()
    # sudo remembers a password for one terminal, but our steps and Ansible's tasks have none
    if ask("sudo", "-n", "true", apart=True) is not None:
        return ("sudo", "-n", "-E")
    raise Missing(f"{purpose} needs root, or sudo without a password")


def need_disk(gigabytes: int) -> None:
    CACHE.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(CACHE).free / 1e9
    if free < gigabytes:
        raise Missing(f"{gigabytes} GB of disk are needed below {CACHE}, {free:.0f} GB are free")


def has_registry(host: str = "registry-1.docker.io") -> bool:
    """Whether a registry, by default Docker Hub, answers within seconds (it does with 401, as we are nobody)."""
    try:
        urllib.request.urlopen(f"https://{host}/v2/", timeout=5)
    except urllib.error.HTTPError as error:
        return error.code == 401
    except OSError:
        return False
    return True


def lacks_sys_resource(process: str = "self") -> bool:
    """Whether a process may not have, and grant, CAP_SYS_RESOURCE, not even as root."""
    status = (PROCESSES / process / "status").read_text()
    return not int(status.partition("CapBnd:")[2].split()[0], 16) >> CAP_SYS_RESOURCE & 1


def has_ipv6() -> bool:
    """Whether nodes of containers can have IPv6: addresses at all, and what kube-proxy and Docker make rules with."""
    if not IPV6_ADDRESSES.exists() or not IPV6_ADDRESSES.read_text():
        return False
    path = os.environ["PATH"] + ":/usr/sbin:/sbin"
    program = shutil.which("ip6tables", path=path)
    try:
        return program is not None and ask(*as_root("looking for IPv6"), program, "-w", "-t", "nat", "-S") is not None
    except Missing:
        return False


def has_systemd() -> bool:
    return Path("/run/systemd/system").is_dir()


# --- packages of the host


def install_packages(shell: Shell, *names: str) -> None:
    if not shutil.which("apt-get"):
        raise Missing(f"{', '.join(names)}: please install (there is no apt-get here to do it)")
    apt = (*as_root(f"installing {', '.join(names)}"), "env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-q")
    with PACKAGES:
        with contextlib.suppress(Missing):  # one source of many may be out of reach
            shell.run(*apt, "update")
        shell.run(*apt, "install", "--yes", "--no-install-recommends", *names)


def install_browser(shell: Shell) -> None:
    """Chromium with a font, unless there is one."""
    if not any(shutil.which(name) for name in BROWSERS):
        install_packages(shell, "chromium", "fonts-dejavu-core")


# --- Docker engine


def docker_answers() -> bool:
    """Not by `docker info`: newer ones are content with what they know of themselves."""
    return ask("docker", "version", "--format", "{{.Server.Version}}") is not None


@dataclass(frozen=True)
class Engine:
    """A Docker engine that answers."""

    is_here: bool  # in the network and under the rules of this machine: neither remote, nor in a VM, nor rootless
    runtime: str


def engine() -> Engine | None:
    return read_engine(ask("docker", "info", "--format", "{{json .}}") or "", platform.node())


def read_engine(said: str, machine: str) -> Engine | None:
    """Out of `docker info`, which without an engine tells what the client knows of itself."""
    try:
        info = json.loads(said)
    except ValueError:
        return None
    if not info.get("Name"):
        return None
    rootless = "name=rootless" in (info.get("SecurityOptions") or [])
    return Engine(info["Name"] == machine and not rootless, info.get("DefaultRuntime", ""))


def has_engine() -> bool:
    """Whether a Docker engine and its client are installed here."""
    return bool(shutil.which("docker") and shutil.which("dockerd", path=os.environ["PATH"] + ":/usr/sbin:/sbin"))


def start_docker(shell: Shell) -> None:
    """Make the Docker engine answer: install it where there is none, start it where it does not run."""
    if not docker_answers():
        make_docker_answer(shell)
    insist_on_nodes(engine())


def insist_on_nodes(found: Engine | None) -> None:
    """Nodes are privileged containers, which get all capabilities: one that cannot be granted keeps them from starting.

    The engine that we start ourselves knows how to do without it.
    """
    if found is None or not found.is_here or found.runtime not in PLAIN_RUNTIMES:
        return
    daemons = daemons_running()
    if daemons and all(map(lacks_sys_resource, daemons)):
        stop = "" if has_systemd() else "stop it, and one that does without is started; or "
        raise Missing(
            "the Docker engine may not grant CAP_SYS_RESOURCE on this machine, which kind's nodes ask for: "
            f"{stop}make {HERE / 'runc-bounded'} its default-runtime in /etc/docker/daemon.json"
        )


def daemons_running() -> list[str]:
    """The processes that are a dockerd, as far as we may see them."""
    found = []
    for path in PROCESSES.glob("[0-9]*/comm"):
        with contextlib.suppress(OSError):  # it has ended
            if path.read_text() == "dockerd\n":
                found.append(path.parent.name)
    return found


def allow_rules() -> None:
    """The role asks for root after minutes, when the cluster is there: whoever cannot become root shall know now."""
    found = engine()
    if found is None or not found.is_here:  # then the role leaves the rules out
        return
    try:
        as_root("keeping the cluster from the world outside (by iptables)")
    except Missing as error:
        raise Missing(f"{error}; to go on without that, set PLUMBLINE_ISOLATE=no") from None


def make_docker_answer(shell: Shell) -> None:
    if os.environ.get("DOCKER_HOST"):
        raise Missing(f"DOCKER_HOST is {os.environ['DOCKER_HOST']}, but no Docker engine answers there")
    if not has_engine():
        install_packages(shell, *ENGINE_PACKAGES)
        if not shutil.which("docker"):  # newer Debians have it in a package of its own
            install_packages(shell, "docker-cli")
    open_socket(shell)
    if not docker_answers():
        if has_systemd():
            shell.run(*as_root("starting the Docker engine"), "systemctl", "start", "docker")
            open_socket(shell)
        else:
            run_daemon(shell)
    wait_for_docker()


def open_socket(shell: Shell) -> None:
    """Let this user in where root and the group docker alone may use the engine: who joins a group has to log in again.

    This holds until the engine makes its socket anew, and then we do it again.
    """
    if not SOCKET.exists() or os.access(SOCKET, os.W_OK):
        return
    try:
        root = as_root("using the Docker engine")
    except Missing as error:
        raise Missing(f"{error}; or add yourself to the group docker and log in again") from None
    if not shutil.which("setfacl"):
        install_packages(shell, "acl")
    shell.run(*root, "setfacl", "--modify", f"user:{os.geteuid()}:rw", SOCKET)


def wait_for_docker(seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not docker_answers():
        if time.monotonic() > deadline:
            problem = explain_silence()
            raise Missing(problem)
        time.sleep(0.5)


def explain_silence() -> str:
    lines = ENGINE_LOG.read_text(errors="replace").splitlines() if ENGINE_LOG.exists() else []
    return "the Docker engine does not answer" + (f": {lines[-1]} (all of it: {ENGINE_LOG})" if lines else "")


def run_daemon(shell: Shell) -> None:
    """Start dockerd where no systemd does, in a session of its own: it outlives us, until `make clean`."""
    ENGINE.mkdir(parents=True, exist_ok=True)
    wait_for_the_old_daemon()
    (ENGINE / "daemon.json").write_text(json.dumps(daemon_settings(shell)))
    ENGINE_LOG.parent.mkdir(parents=True, exist_ok=True)
    path = os.environ["PATH"] + ":/usr/sbin:/sbin"
    with ENGINE_LOG.open("w") as log:
        subprocess.Popen(
            [
                *as_root("starting the Docker engine"),
                "env",
                f"PATH={path}",
                "dockerd",
                f"--config-file={ENGINE / 'daemon.json'}",
                f"--pidfile={PIDFILE}",
                f"--group={os.getgid()}",
            ],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )


def daemon_settings(shell: Shell) -> dict[str, object]:
    if not lacks_sys_resource():
        return {}
    if not shutil.which("jq"):
        install_packages(shell, "jq")
    wrapper = ENGINE / "runc-bounded"
    shutil.copy(HERE / "runc-bounded", wrapper)
    return {"runtimes": {"bounded": {"path": str(wrapper)}}, "default-runtime": "bounded"}


def wait_for_the_old_daemon(seconds: float = 60) -> None:
    """One that is about to end holds its files for as long as its containers take to stop."""
    deadline = time.monotonic() + seconds
    while (pid := our_daemon()) and time.monotonic() < deadline:
        if docker_answers():
            return
        time.sleep(0.5)
    if pid:
        raise Missing(f"dockerd (process {pid}) neither answers nor ends, see {ENGINE_LOG}")
    PIDFILE.unlink(missing_ok=True)


def our_daemon() -> int | None:
    """The process of the dockerd that we started, if it lives."""
    try:
        pid = int(PIDFILE.read_text())
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
    except (OSError, ValueError):
        return None
    return pid if str(PIDFILE).encode() in command else None


def stop_docker(shell: Shell) -> None:
    pid = our_daemon()
    if pid is None:
        return
    if os.geteuid() == 0:
        os.kill(pid, signal.SIGTERM)
    else:
        shell.run(*as_root("stopping the Docker engine"), "kill", str(pid))
    deadline = time.monotonic() + 60
    while our_daemon() and time.monotonic() < deadline:
        time.sleep(0.5)
    if our_daemon():
        raise Missing(f"dockerd (process {pid}) does not end, see {ENGINE_LOG}")
