# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Go, which builds kind and the images: that of the user where it is good enough, else one from the Go module proxy."""

from __future__ import annotations

import base64
import hashlib
import os
import re
import shutil
import tempfile
import threading
import urllib.request
import zipfile
from pathlib import Path

from host import CACHE, ask
from steps import Missing, Shell
from versions import ARCHITECTURE, HERE, VERSIONS

VERSION = f"v0.0.1-go{VERSIONS['GO_VERSION']}.linux-{ARCHITECTURE}"
# The first module proxy that Go itself would ask, or the public one.
PROXIES = [name for name in re.split(r"[,|]", os.environ.get("GOPROXY", "")) if name.startswith("https://")]
ADDRESS = f"{(PROXIES or ['https://proxy.golang.org'])[0].rstrip('/')}/golang.org/toolchain/@v/{VERSION}.zip"
OURS = CACHE / f"go-{VERSIONS['GO_VERSION']}"
FINDING = threading.Lock()  # steps run side by side: the first one that needs Go gets it


def compile_go(
    shell: Shell, module: Path, target: Path, *packages: str, flags: str = "", tags: str = "", nice: int = 0
) -> None:
    go = find(shell)
    target.mkdir(parents=True, exist_ok=True)
    # What debuggers need would be made for each package, and thrown away by the linker (-w). Without it, and with a
    # compiler that collects its garbage less often (GOGC), a build takes four fifths of the time.
    lean = ["-gcflags=all=-dwarf=false", "-ldflags", f"-s -w {flags}"]
    command = [go, "build", "-trimpath", "-tags", tags, *lean, "-o", f"{target}/", *packages]
    shell.run("nice", "-n", str(nice), *command, cwd=module, env={"CGO_ENABLED": "0", "GOGC": "400"})


def folder_of(shell: Shell, module: Path, dependency: str) -> Path:
    """Where the files of a module are that ours needs."""
    folder = ask(find(shell), "-C", str(module), "list", "-m", "-f", "{{.Dir}}", dependency)
    if not folder:
        raise Missing(f"Go does not find its module {dependency}")
    return Path(folder)


def find(shell: Shell) -> str:
    """The program `go`: one that is too old gets what it needs by itself, or fails here."""
    with FINDING:
        for go in ("go", str(OURS / "bin/go")):
            if ask(go, "-C", str(HERE / "containerd"), "list", "-m", seconds=300) is not None:
                return go
        fetch(shell)
        return str(OURS / "bin/go")


def fetch(shell: Shell) -> None:
    """Go as a module, as a newer Go is fetched by an older one; its sum is that of the public checksum database."""
    wanted = VERSIONS.get(f"GO_SUM_{ARCHITECTURE.upper()}")
    if wanted is None:
        raise Missing(f"Go {VERSIONS['GO_VERSION']} is needed, see https://go.dev/doc/install")
    CACHE.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=CACHE) as folder:
        package = Path(folder) / "go.zip"
        try:
            with urllib.request.urlopen(ADDRESS, timeout=30) as answer, package.open("wb") as file:
                shutil.copyfileobj(answer, file)
        except OSError as error:
            raise Missing(
                f"Go {VERSIONS['GO_VERSION']} is needed, see https://go.dev/doc/install ({ADDRESS}: {error})"
            ) from None
        with zipfile.ZipFile(package) as archive:
            if (found := module_sum(archive)) != wanted:
                raise Missing(f"{ADDRESS} has the sum {found}, not {wanted}")
            archive.extractall(folder)
        root = Path(folder) / f"golang.org/toolchain@{VERSION}"
        for program in (*root.glob("bin/*"), *root.glob("pkg/tool/**/*")):
            program.chmod(0o755)  # modules know no programs
        shutil.rmtree(OURS, ignore_errors=True)
        root.rename(OURS)
    shell.run(OURS / "bin/go", "version")


def module_sum(archive: zipfile.ZipFile) -> str:
    """As in go.sum: the hash of the list of the hashes of all files."""
    digest = hashlib.sha256()
    for name in sorted(archive.namelist()):
        digest.update(f"{hashlib.sha256(archive.read(name)).hexdigest()}  {name}\n".encode())
    return "h1:" + base64.b64encode(digest.digest()).decode()
