# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What this machine has and may do: user's rights, disk, image registry, Docker engine."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path

from steps import Missing, Shell
from versions import HERE

CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "plumbline"
ENGINE = CACHE / "docker"
PIDFILE = ENGINE / "dockerd.pid"
ENGINE_LOG = CACHE / "log/dockerd.log"
SOCKET = Path("/var/run/docker.sock")
ENGINE_PACKAGES = ("docker.io", "containerd", "runc", "iptables", "jq")
BROWSERS = ("chromium", "google-chrome", "chromium-browser")
CAP_SYS_RESOURCE = 24
PACKAGES = threading.Lock()  # steps run side by side, apt-get does not


def ask(*command: str, seconds: float = 30) -> str | None:
    """A command's output, or None when it fails or is not there."""
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=seconds, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def as_root(purpose: str) -> tuple[str, ...]:
    """What to put before a command that needs root."""
    if os.geteuid() == 0:
        return ()
    if ask("sudo", "-n", "true") is not None:
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


def lacks_sys_resource() -> bool:
    """Whether this machine may not grant CAP_SYS_RESOURCE, not even to root."""
    status = Path("/proc/self/status").read_text()
    bounding = int(status.partition("CapBnd:")[2].split()[0], 16)
    return not bounding >> CAP_SYS_RESOURCE & 1


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


def start_docker(shell: Shell) -> None:
    """Make the Docker engine answer: install it where there is none, start it where it does not run."""
    if docker_answers():
        return
    if os.environ.get("DOCKER_HOST"):
        raise Missing(f"DOCKER_HOST is {os.environ['DOCKER_HOST']}, but no Docker engine answers there")
    if not shutil.which("docker") or not shutil.which("dockerd", path=os.environ["PATH"] + ":/usr/sbin:/sbin"):
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
    settings: dict[str, object] = {}
    if lacks_sys_resource():
        if not shutil.which("jq"):
            install_packages(shell, "jq")
        wrapper = ENGINE / "runc-bounded"
        shutil.copy(HERE / "runc-bounded", wrapper)
        settings = {"runtimes": {"bounded": {"path": str(wrapper)}}, "default-runtime": "bounded"}
    (ENGINE / "daemon.json").write_text(json.dumps(settings))
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
