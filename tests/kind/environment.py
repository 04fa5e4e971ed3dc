# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The Python environment `.venv` of this checkout, with the collections inside it."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import shutil
import sys
import tempfile
import urllib.request
import zipfile
from pathlib import Path

from steps import Missing, Shell
from versions import HERE, VERSIONS

ROOT = HERE.parent.parent
VENV = ROOT / ".venv"
COLLECTIONS = VENV / "collections/ansible_collections"
REQUIREMENTS = ("requirements.txt", "constraints.txt")
INSTALLED = VENV / "installed"  # what was asked for when the environment was made


def wanted() -> str:
    digest = hashlib.sha256(sys.version.encode())
    for name in REQUIREMENTS:
        digest.update((ROOT / name).read_bytes())
    return digest.hexdigest()


def install_packages(shell: Shell) -> None:
    python = VENV / "bin/python"
    if INSTALLED.exists() and INSTALLED.read_text() == wanted() and python.exists():
        return
    if importlib.util.find_spec("ensurepip") is None:
        version = f"{sys.version_info.major}.{sys.version_info.minor}"
        raise Missing(f"{sys.executable} cannot make virtual environments: install python{version}-venv")
    if not python.exists() or same_python(shell, python) is False:
        shell.run(sys.executable, "-m", "venv", "--clear", VENV)
    shell.run(python, "-m", "pip", "install", "--disable-pip-version-check", "-r", ROOT / "requirements.txt", cwd=ROOT)
    INSTALLED.write_text(wanted())


def same_python(shell: Shell, python: Path) -> bool:
    try:
        shell.run(python, "-c", f"import sys; sys.exit(sys.version_info[:2] != {sys.version_info[:2]})")
    except (Missing, OSError):
        return False
    return True


def install_collections(shell: Shell) -> None:
    """kubernetes.core, and this checkout under its collection's name."""
    link = COLLECTIONS / "plumbline/kubernetes"
    link.parent.mkdir(parents=True, exist_ok=True)
    if not link.exists():
        link.unlink(missing_ok=True)
        link.symlink_to("../../../..")
    core = COLLECTIONS / "kubernetes/core"
    if installed_version(core) == VERSIONS["KUBERNETES_CORE_VERSION"]:
        return
    shutil.rmtree(core, ignore_errors=True)
    if galaxy_answers():
        galaxy = VENV / "bin/ansible-galaxy"
        name = f"kubernetes.core:=={VERSIONS['KUBERNETES_CORE_VERSION']}"
        shell.run(galaxy, "collection", "install", "--no-deps", "-p", VENV / "collections", name)
    else:
        extract_from_wheel(shell, core)
    if installed_version(core) != VERSIONS["KUBERNETES_CORE_VERSION"]:
        raise Missing(f"kubernetes.core {VERSIONS['KUBERNETES_CORE_VERSION']} is needed, got {installed_version(core)}")


def installed_version(collection: Path) -> str:
    try:
        return str(json.loads((collection / "MANIFEST.json").read_text())["collection_info"]["version"])
    except (OSError, ValueError, KeyError):
        return "none"


def galaxy_answers() -> bool:
    try:
        with urllib.request.urlopen("https://galaxy.ansible.com/api/", timeout=5):
            return True
    except OSError:
        return False


def extract_from_wheel(shell: Shell, core: Path) -> None:
    """The Python package `ansible` is a bundle of collections; we need one of its hundred."""
    with tempfile.TemporaryDirectory() as folder:
        package = f"ansible=={VERSIONS['ANSIBLE_VERSION']}"
        download = ("-m", "pip", "download", "--disable-pip-version-check", "--no-deps", "--only-binary=:all:")
        shell.run(VENV / "bin/python", *download, "-d", folder, package)
        wheel = next(Path(folder).glob("ansible-*.whl"))
        prefix = "ansible_collections/kubernetes/core/"
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(folder, [name for name in archive.namelist() if name.startswith(prefix)])
        core.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(Path(folder) / prefix, core)
