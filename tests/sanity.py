# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Run `ansible-test sanity` on this checkout, wherever it lies.

ansible-test insists on two things that a checkout need not have:

- a folder that is called ansible_collections/<namespace>/<name>. It gets a copy of all files that git knows or would
  know, outside of this repository, whose .gitignore it would obey.
- a download of get-pip.py from its own server for the environments of its linters. Where only a package index answers,
  our own pip can install the very same version, so a script that does that stands in for the download while we run.

Arguments are handed on: `python tests/sanity.py --test validate-modules`.
"""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import sys
import tempfile
import types
import typing as t
from pathlib import Path

from ansible_test._internal import python_requirements

ROOT = Path(__file__).resolve().parent.parent
PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"

# Run by ansible-test inside the new environment, whose interpreter is `sys.executable`.
GET_PIP = """\
import subprocess
import sys
import tempfile

options = [argument for argument in sys.argv[1:] if argument not in ("--no-setuptools", "--no-wheel")]
sys.exit(subprocess.call([{python!r}, "-m", "pip", "--python", sys.executable, "install", *options]))
"""


def copy_checkout(target: Path) -> None:
    """Copy the files that are tracked, or new and not ignored, but for the test bed, which is not of the collection."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--deduplicate"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).exists() and not name.startswith("tests/kind/"):
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target / name, follow_symlinks=False)


@contextlib.contextmanager
def pip_bootstrap() -> t.Iterator[None]:
    """Put our stand-in where ansible-test looks for an earlier download, unless there is one."""
    version = python_requirements.get_venv_packages(types.SimpleNamespace(version=PYTHON))["pip"]
    script = Path("~/.ansible/test/cache").expanduser() / f"get_pip_{version.replace('.', '_')}.py"
    if script.exists():
        yield
        return
    script.parent.mkdir(parents=True, exist_ok=True)
    script.write_text(GET_PIP.format(python=sys.executable))
    try:
        yield
    finally:
        script.unlink(missing_ok=True)


def main(arguments: list[str]) -> int:
    command = [Path(sys.executable).with_name("ansible-test"), "sanity", "--local", "--python", PYTHON]
    with tempfile.TemporaryDirectory() as scratch, pip_bootstrap():
        checkout = Path(scratch, "ansible_collections", "plumbline", "kubernetes")
        copy_checkout(checkout)
        return subprocess.call([*command, *arguments], cwd=checkout)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
