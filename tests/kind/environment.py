# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The Python environment `.venv` of this checkout, with the collections inside it."""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import json
import os
import shutil
import sys
import tempfile
import urllib.request
import zipfile
from pathlib import Path

import golang
import host
from steps import Missing, Shell
from versions import HERE, VERSIONS

ROOT = HERE.parent.parent
VENV = ROOT / ".venv"
COLLECTIONS = VENV / "collections/ansible_collections"
USED = {
    "kubernetes/core": VERSIONS["KUBERNETES_CORE_VERSION"],
    "community/crypto": VERSIONS["COMMUNITY_CRYPTO_VERSION"],  # the benchmark's peer
}
REQUIREMENTS = ("requirements.txt", "constraints.txt")
INSTALLED = VENV / "installed"  # what was asked for when the environment was made
SSLYZE = VENV / "sslyze"
SSLYZE_REQUIREMENTS = "tests/judges/requirements.txt"


def wanted(*names: str) -> str:
    digest = hashlib.sha256(sys.version.encode())
    for name in names:
        digest.update((ROOT / name).read_bytes())
    return digest.hexdigest()


def install_packages(shell: Shell) -> None:
    python = VENV / "bin/python"
    if INSTALLED.exists() and INSTALLED.read_text() == wanted(*REQUIREMENTS) and python.exists():
        return
    if importlib.util.find_spec("ensurepip") is None:
        version = f"{sys.version_info.major}.{sys.version_info.minor}"
        raise Missing(f"{sys.executable} cannot make virtual environments: install python{version}-venv")
    if not python.exists() or same_python(shell, python) is False:
        shell.run(sys.executable, "-m", "venv", "--clear", VENV)
    shell.run(python, "-m", "pip", "install", "--disable-pip-version-check", "-r", ROOT / "requirements.txt", cwd=ROOT)
    INSTALLED.write_text(wanted(*REQUIREMENTS))


def install_sslyze(shell: Shell) -> None:
    """Beside the other packages, since it needs an older cryptography than they do."""
    mark = SSLYZE / "installed"
    if mark.exists() and mark.read_text() == wanted(SSLYZE_REQUIREMENTS):
        return
    shutil.rmtree(SSLYZE, ignore_errors=True)
    pip = (VENV / "bin/python", "-m", "pip", "install", "--disable-pip-version-check", "--no-deps")
    shell.run(*pip, "--target", SSLYZE, "-r", ROOT / SSLYZE_REQUIREMENTS)
    mark.write_text(wanted(SSLYZE_REQUIREMENTS))


def install_gnutls(shell: Shell) -> None:
    """Where we may. Elsewhere the tests that need it say so and are skipped, or fail with PLUMBLINE_JUDGES=required."""
    if not shutil.which("certtool"):
        with contextlib.suppress(Missing):
            host.install_packages(shell, "gnutls-bin")


def find_go(shell: Shell) -> None:
    """For the client in Go, where no test may be skipped for want of it; the images need it later, if at all."""
    if os.environ.get("PLUMBLINE_JUDGES") == "required":
        golang.find(shell)


def same_python(shell: Shell, python: Path) -> bool:
    try:
        shell.run(python, "-c", f"import sys; sys.exit(sys.version_info[:2] != {sys.version_info[:2]})")
    except (Missing, OSError):
        return False
    return True


def install_collections(shell: Shell) -> None:
    """This checkout under its collection's name, and the collections that it and the benchmark use."""
    link = COLLECTIONS / "plumbline/kubernetes"
    link.parent.mkdir(parents=True, exist_ok=True)
    if not link.exists():
        link.unlink(missing_ok=True)
        link.symlink_to("../../../..")
    missing = [name for name, version in USED.items() if installed_version(name) != version]
    for name in missing:
        shutil.rmtree(COLLECTIONS / name, ignore_errors=True)
    if missing and galaxy_answers():
        names = [f"{name.replace('/', '.')}:=={USED[name]}" for name in missing]
        shell.run(VENV / "bin/ansible-galaxy", "collection", "install", "--no-deps", "-p", COLLECTIONS.parent, *names)
    elif missing:
        extract_from_wheel(shell, missing)
    for name in missing:
        if installed_version(name) != USED[name]:
            raise Missing(f"{name.replace('/', '.')} {USED[name]} is needed, got {installed_version(name)}")


def installed_version(name: str) -> str:
    try:
        return str(json.loads((COLLECTIONS / name / "MANIFEST.json").read_text())["collection_info"]["version"])
    except (OSError, ValueError, KeyError):
        return "none"


def galaxy_answers() -> bool:
    try:
        with urllib.request.urlopen("https://galaxy.ansible.com/api/", timeout=5):
            return True
    except OSError:
        return False


def extract_from_wheel(shell: Shell, names: list[str]) -> None:
    """The Python package `ansible` is a bundle of collections; we need a few of its hundred."""
    with tempfile.TemporaryDirectory() as folder:
        package = f"ansible=={VERSIONS['ANSIBLE_VERSION']}"
        download = ("-m", "pip", "download", "--disable-pip-version-check", "--no-deps", "--only-binary=:all:")
        shell.run(VENV / "bin/python", *download, "-d", folder, package)
        prefixes = tuple(f"ansible_collections/{name}/" for name in names)
        with zipfile.ZipFile(next(Path(folder).glob("ansible-*.whl"))) as archive:
            archive.extractall(folder, [name for name in archive.namelist() if name.startswith(prefixes)])
        for name in names:
            (COLLECTIONS / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.move(Path(folder) / "ansible_collections" / name, COLLECTIONS / name)
