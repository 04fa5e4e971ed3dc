# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The part of the node image's build that needs root: Debian folders, images made of them, and the node image.

Usage: assemble.py {node-root|app-roots|image} WORK

WORK/bin      the programs that were built with Go
WORK/roots    Debian folders: node, and app with its copies nginx, python, proxy, each with packages of its own
WORK/node.tar what `image` makes: a kind node image with all images of the cluster inside
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import archive
from archive import Image, Layer
from versions import ARCHITECTURE, HERE, NGINX_TAG, PYTHON_TAG, VERSIONS, node_tag

NODE_PACKAGES = (
    # as in kind's own base image, less storage clients and rootless support
    "systemd conntrack iptables nftables iproute2 ethtool util-linux mount kmod libseccomp2 bash ca-certificates curl "
    "jq procps hostname runc containernetworking-plugins"
)
APP_PACKAGES = {"nginx": "nginx", "python": "python3 curl ca-certificates", "proxy": "iptables nftables"}
CNI_PLUGINS = ("host-local", "loopback", "portmap", "ptp")
COMPONENTS = ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kube-proxy")
UNNEEDED = (
    "usr/share/doc usr/share/man usr/share/info usr/share/locale usr/share/lintian "
    "var/cache/apt var/cache/debconf var/lib/apt/lists var/log"
)
PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
SYSTEM = {"PATH": PATH.removeprefix("PATH="), "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C"}


def run(*command: str | Path, env: Mapping[str, str] | None = None) -> str:
    """Run a command, in the log and as a result all that it says."""
    print("+", *command, flush=True)
    words = [str(word) for word in command]
    done = subprocess.run(
        words, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", check=False
    )
    print(done.stdout, end="", flush=True)
    if done.returncode:
        raise SystemExit(f"{words[0]} failed with exit status {done.returncode}")
    return done.stdout


# --- Debian folders


def bootstrap(suite: str, root: Path, packages: str, debs: Path) -> None:
    shutil.rmtree(root, ignore_errors=True)
    root.parent.mkdir(parents=True, exist_ok=True)
    debs.mkdir(parents=True, exist_ok=True)
    command = ["debootstrap", "--variant=minbase", f"--cache-dir={debs}", f"--arch={ARCHITECTURE}"]
    if packages:
        command.append("--include=" + ",".join(packages.split()))
    command += [suite, str(root), VERSIONS["DEBIAN_MIRROR"]]
    scripts = Path("/usr/share/debootstrap/scripts")
    if not (scripts / suite).exists():  # a suite newer than the host's debootstrap
        command.append(str(scripts / "sid"))
    run(*command, env={**os.environ, **SYSTEM})
    prune(root)


def prune(root: Path) -> None:
    for name in UNNEEDED.split():
        folder = root / name
        if folder.is_dir():
            shutil.rmtree(folder)
            folder.mkdir()
    for name in ("var/cache/apt/archives/partial", "var/lib/apt/lists/partial"):
        (root / name).mkdir(parents=True)


def install(base: Path, root: Path, packages: str) -> None:
    """Make root a copy of base with more packages."""
    shutil.rmtree(root, ignore_errors=True)
    run("cp", "-a", base, root)
    policy = root / "usr/sbin/policy-rc.d"  # no daemon may be started while packages are installed
    policy.write_text("#!/bin/sh\nexit 101\n")
    policy.chmod(0o755)
    environment = {**os.environ, **SYSTEM}
    # signatures are checked, dates are not: a mirror that lags behind is still good
    apt = ("chroot", root, "apt-get", "-q", "-o", "Acquire::Check-Valid-Until=false")
    run(*apt, "update", env=environment)
    run(*apt, "install", "--yes", "--no-install-recommends", *packages.split(), env=environment)
    policy.unlink()
    prune(root)


def node_root(work: Path) -> None:
    bootstrap(VERSIONS["NODE_SUITE"], work / "roots/node", NODE_PACKAGES, work.parent / "debs/node")


def app_roots(work: Path) -> None:
    base = work / "roots/app"
    bootstrap(VERSIONS["APP_SUITE"], base, "", work.parent / "debs/app")
    for name, packages in APP_PACKAGES.items():
        install(base, work / "roots" / name, packages)
    nginx = work / "roots/nginx"
    settings = nginx / "etc/nginx"
    shutil.copy(HERE / "app/nginx.conf", settings / "nginx.conf")
    (settings / "conf.d").mkdir(exist_ok=True)
    shutil.copy(HERE / "app/default.conf", settings / "conf.d/default.conf")
    run("chroot", nginx, "groupadd", "--system", "--gid", "101", "nginx")
    run("chroot", nginx, "useradd", "--system", "--uid", "101", "--gid", "nginx", "--no-create-home", "nginx")


# --- images of the cluster


def is_content(entry: Path) -> bool:
    """Not what a container gets from its runtime."""
    return len(entry.parts) == 1 or entry.parts[0] not in ("dev", "proc", "run", "sys")


def added(base: Path, root: Path) -> Callable[[Path], bool]:
    """Says which entries of root are not the same in base."""

    def differs(entry: Path) -> bool:
        if not is_content(entry):
            return False
        try:
            old = (base / entry).lstat()
        except FileNotFoundError:
            return True
        new = (root / entry).lstat()
        return (old.st_mtime_ns, old.st_size, old.st_mode) != (new.st_mtime_ns, new.st_size, new.st_mode)

    return differs


def program(work: Path, names: Iterable[str], binary: str, folder: str) -> Layer:
    """A layer with one of our programs under one or more names."""
    names = list(names)
    root = work / "programs" / names[0]
    shutil.rmtree(root, ignore_errors=True)
    (root / folder).mkdir(parents=True)
    first = root / folder / names[0]
    shutil.copy(work / "bin" / binary, first)
    first.chmod(0o755)
    for name in names[1:]:
        os.link(first, root / folder / name)
    return archive.layer(work / f"{names[0]}.layer", root)


def cluster_images(work: Path) -> list[Image]:
    version = "v" + VERSIONS["KUBERNETES_VERSION"]
    roots = work / "roots"
    base = archive.layer(work / "app.layer", roots / "app", is_content)
    own = {
        name: archive.layer(work / f"{name}.layer", roots / name, added(roots / "app", roots / name))
        for name in APP_PACKAGES
    }
    kubernetes = program(work, (*COMPONENTS, "pod-routes"), "kubernetes", "usr/local/bin")
    tags = tuple(f"registry.k8s.io/{name}:{version}" for name in COMPONENTS)
    return [
        Image((*tags, f"plumbline.local/pod-routes:{version}"), (base, own["proxy"], kubernetes), {"Env": [PATH]}),
        Image(
            (f"registry.k8s.io/etcd:{VERSIONS['ETCD_VERSION']}-0",),
            (program(work, ["etcd"], "server", "usr/local/bin"),),
            {"Env": [PATH]},
        ),
        Image(
            (f"registry.k8s.io/coredns/coredns:v{VERSIONS['COREDNS_VERSION']}",),
            (program(work, ["coredns"], "coredns", ""),),
            {"Env": [PATH], "Entrypoint": ["/coredns"]},
        ),
        Image(
            (f"registry.k8s.io/pause:{VERSIONS['PAUSE_VERSION']}",),
            (program(work, ["pause"], "pause", ""),),
            {"Env": [PATH], "Entrypoint": ["/pause"]},
        ),
        Image(
            (NGINX_TAG,),
            (base, own["nginx"]),
            {
                "Env": [PATH],
                "Cmd": ["nginx", "-g", "daemon off;"],
                "ExposedPorts": {"80/tcp": {}},
                "StopSignal": "SIGQUIT",
            },
        ),
        Image((PYTHON_TAG,), (base, own["python"]), {"Env": [PATH], "Cmd": ["python3"]}),
    ]


def check_versions(work: Path) -> None:
    """The tags must tell the truth: Debian's testing suite moves, and a go.mod may be edited alone."""
    binaries = work / "bin"
    kubelet = work / "programs/kubelet"
    kubelet.parent.mkdir(exist_ok=True)
    kubelet.unlink(missing_ok=True)
    kubelet.symlink_to(binaries / "kubernetes")
    claims = (
        ("KUBERNETES_VERSION", (kubelet, "--version"), "Kubernetes v{}\n"),
        ("ETCD_VERSION", (binaries / "server", "--version"), "etcd Version: {}\n"),
        ("COREDNS_VERSION", (binaries / "coredns", "-version"), "CoreDNS-{}\n"),
        ("CONTAINERD_VERSION", (binaries / "containerd", "--version"), " v{} "),
        ("NGINX_VERSION", ("chroot", work / "roots/nginx", "nginx", "-v"), "nginx/{}\n"),
        ("PYTHON_VERSION", ("chroot", work / "roots/python", "python3", "--version"), "Python {}."),
    )
    for name, command, text in claims:
        found = run(*command)
        if text.format(VERSIONS[name]) not in found:
            raise SystemExit(f"{found.strip()!r} was built, but versions.env says {name}={VERSIONS[name]}")


# --- the node image


def furnish(work: Path, kind_module: Path) -> Path:
    """Make the node's Debian folder what kind's own Dockerfile makes of it, and add our programs."""
    root = work / "roots/node"
    base = kind_module / "images/base/files"
    for folder in ("etc", "kind", "usr"):
        run("cp", "-rT", "--no-preserve=all", base / folder, root / folder)
    for script in (root / "usr/local/bin/entrypoint", *(root / "kind/bin").iterdir()):
        script.chmod(0o755)
    for folder in ("etc/kubernetes/manifests", "opt/cni/bin", "kind/manifests"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    place(work, root)
    for name in ("default-cni.yaml", "default-storage.yaml"):
        text = (HERE / "node" / name).read_text()
        text = text.replace("@KUBERNETES_VERSION@", "v" + VERSIONS["KUBERNETES_VERSION"])
        (root / "kind/manifests" / name).write_text(text)
    (root / "kind/version").write_text(f"v{VERSIONS['KUBERNETES_VERSION']}\n")
    config = root / "etc/containerd/config.toml"
    text = config.read_text()
    # some hosts may not lower an OOM score
    text = text.replace("restrict_oom_score_adj = false", "restrict_oom_score_adj = true")
    text = text.replace('registry.k8s.io/pause:3.10"', f'registry.k8s.io/pause:{VERSIONS["PAUSE_VERSION"]}"')
    # containerd reads what every container has used once a second; that was a fifth of a core where nothing happened
    text = text.replace("version = 2\n", 'version = 2\nimports = ["/etc/containerd/conf.d/*.toml"]\n')
    config.write_text(text)
    (root / "etc/containerd/conf.d").mkdir(exist_ok=True)
    shutil.copy(HERE / "node/seldom.toml", root / "etc/containerd/conf.d/seldom.toml")
    run("chroot", root, "bash", "-euc", (HERE / "node/furnish.sh").read_text(), env=SYSTEM)
    return root


def place(work: Path, root: Path) -> None:
    binaries = work / "bin"
    first = root / "usr/bin/kubelet"
    shutil.copy(binaries / "kubernetes", first)
    first.chmod(0o755)
    for name in ("kubeadm", "kubectl"):
        (root / "usr/bin" / name).unlink(missing_ok=True)
        os.link(first, root / "usr/bin" / name)
    for name in ("containerd", "containerd-shim-runc-v2", "ctr"):
        shutil.copy(binaries / name, root / "usr/local/bin" / name)
        (root / "usr/local/bin" / name).chmod(0o755)
    for name in CNI_PLUGINS:
        shutil.copy(root / "usr/lib/cni" / name, root / "opt/cni/bin" / name)


def import_images(work: Path, root: Path, images: Path) -> None:
    """Let a containerd of this host, without networks or containers, unpack the images into the node's folder."""
    state = work / "containerd"
    shutil.rmtree(state, ignore_errors=True)
    state.mkdir()
    data = root / "var/lib/containerd"
    shutil.rmtree(data, ignore_errors=True)
    socket = state / "socket"
    config = state / "config.toml"
    config.write_text((HERE / "node/import.toml").read_text().format(data=data, state=state, socket=socket))
    with (state / "log").open("w") as log:
        daemon = subprocess.Popen([work / "bin/containerd", "--config", config], stdout=log, stderr=log)
    ctr = (work / "bin/ctr", "--address", socket, "--namespace", "k8s.io")
    try:
        deadline = time.monotonic() + 30
        while not socket.exists() and daemon.poll() is None and time.monotonic() < deadline:
            time.sleep(0.1)
        run(*ctr, "images", "import", "--local", "--snapshotter", "overlayfs", images)
        run(*ctr, "content", "prune", "references")  # the layers are unpacked: their archives are not needed
        run(*ctr, "images", "list", "--quiet")
    finally:
        daemon.terminate()
        daemon.wait(30)
    shutil.rmtree(data / "tmpmounts", ignore_errors=True)


def image(work: Path) -> None:
    check_versions(work)
    images = work / "images.tar"
    archive.write(images, cluster_images(work), ARCHITECTURE)
    root = furnish(work, Path((work / "bin/kind.module").read_text().strip()))
    import_images(work, root, images)
    settings = {
        "Env": [PATH, "container=docker"],
        "Entrypoint": ["/usr/local/bin/entrypoint", "/sbin/init"],
        "StopSignal": "SIGRTMIN+3",
    }
    node = archive.layer(work / "node.layer", root, lambda entry: len(entry.parts) == 1 or entry.parts[0] != "dev")
    archive.write(work / "node.tar", [Image((node_tag(),), (node,), settings)], ARCHITECTURE)


ACTIONS = {"node-root": node_root, "app-roots": app_roots, "image": image}


def main(arguments: list[str]) -> None:
    if len(arguments) != 2 or arguments[0] not in ACTIONS:
        raise SystemExit(__doc__)
    os.umask(0o022)
    os.environ["PATH"] += ":/usr/sbin:/sbin"
    ACTIONS[arguments[0]](Path(arguments[1]).resolve())


if __name__ == "__main__":
    main(sys.argv[1:])
