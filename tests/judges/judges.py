# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Programs that are not ours, asked whether they accept what a server serves.

    python tests/judges/judges.py ADDRESS PORT NAME BUNDLE

Each client has to accept the server by NAME, and to refuse it by any other name; SSLyze compares its settings with the
profile "intermediate" of Mozilla. Prints a line for each, and ends with 1 if one of them says otherwise. A judge that
is not installed is skipped, with a line that says so; with PLUMBLINE_JUDGES=required it is an error.
"""

from __future__ import annotations

import functools
import os
import shutil
import socket
import ssl
import subprocess
import sys
import tempfile
import typing as t
from dataclasses import dataclass
from pathlib import Path

import urllib3

HERE = Path(__file__).resolve().parent
# Beside the environment that this runs in, see tests/kind/environment.py.
SSLYZE = Path(sys.prefix) / "sslyze"
SECONDS = 10
# Where the test bed puts Go on machines that have none, see tests/kind/golang.py.
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "plumbline"
# `.ci/run` sets this: there all judges must be asked.
REQUIRED = os.environ.get("PLUMBLINE_JUDGES") == "required"


@dataclass(frozen=True)
class Server:
    """Where a server is, by what name it is asked, and what is trusted."""

    address: str
    port: int
    name: str
    bundle: Path


class Absent(Exception):
    """A judge that is not installed, and how to get it."""


def run(*command: str | Path, env: t.Mapping[str, str] | None = None) -> str:
    """What a command says when it fails, else nothing."""
    ran = subprocess.run(
        [str(word) for word in command],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=6 * SECONDS,
        check=False,
        env={**os.environ, **(env or {})},
    )
    return "" if ran.returncode == 0 else ran.stdout + ran.stderr or f"exit status {ran.returncode}"


def missing(what: str, how: str) -> BaseException:
    """The error about a judge that is not installed: where all are required, one that nobody passes over."""
    text = f"{what} is not here: {how}"
    return SystemExit(f"{text} (PLUMBLINE_JUDGES=required)") if REQUIRED else Absent(text)


def need(program: str, package: str) -> str:
    places = (os.environ.get("PATH", os.defpath), *map(str, CACHE.glob("go-*/bin")))
    found = shutil.which(program, path=os.pathsep.join(places))
    if not found:
        raise missing(program, f"install {package}")
    return found


def openssl(server: Server) -> str:
    return run(
        *("openssl", "s_client", "-brief", "-connect", f"{server.address}:{server.port}"),
        *("-servername", server.name, "-verify_hostname", server.name, "-verify_return_error"),
        *("-x509_strict", "-purpose", "sslserver", "-CAfile", server.bundle),
    )


def curl(server: Server) -> str:
    return run(
        *(need("curl", "curl"), "--silent", "--show-error", "--fail", "--noproxy", "*", "--max-time", str(SECONDS)),
        *("--cacert", server.bundle, "--connect-to", f"::{server.address}:{server.port}", f"https://{server.name}/"),
    )


def gnutls(server: Server) -> str:
    return run(
        *(need("gnutls-cli", "gnutls-bin"), "--port", str(server.port), "--x509cafile", server.bundle),
        *("--sni-hostname", server.name, "--verify-hostname", server.name, server.address),
    )


@functools.cache
def go_program() -> tempfile.TemporaryDirectory[str]:
    """The folder with the client in Go, which is compiled once and goes with this process."""
    compiler = need("go", "Go, see https://go.dev/doc/install")
    folder = tempfile.TemporaryDirectory(prefix="go-client-")
    says = run(compiler, "build", "-o", Path(folder.name) / "client", HERE / "client.go", env={"CGO_ENABLED": "0"})
    if says:
        raise SystemExit(f"go build: {says}")
    return folder


def go(server: Server) -> str:
    return run(Path(go_program().name) / "client", server.bundle, server.name, f"{server.address}:{server.port}")


def urllib3_client(server: Server) -> str:
    """As with Python before 3.13; with newer ones it is as strict as the one below, and ignores common names."""
    context = urllib3.util.create_urllib3_context(verify_flags=ssl.VERIFY_X509_TRUSTED_FIRST)
    pool = urllib3.HTTPSConnectionPool(
        server.address,
        server.port,
        ca_certs=str(server.bundle),
        ssl_context=context,
        server_hostname=server.name,
        retries=False,
        timeout=SECONDS,
    )
    try:
        return "" if pool.request("GET", "/").status == 200 else "not status 200"
    except urllib3.exceptions.SSLError as error:
        return str(error)


def python_strict(server: Server) -> str:
    """With what Python 3.13 sets by itself."""
    context = ssl.create_default_context(cafile=server.bundle)
    context.verify_flags |= ssl.VERIFY_X509_STRICT | ssl.VERIFY_X509_PARTIAL_CHAIN
    try:
        with (
            socket.create_connection((server.address, server.port), timeout=SECONDS) as plain,
            context.wrap_socket(plain, server_hostname=server.name),
        ):
            return ""
    except ssl.SSLCertVerificationError as error:
        return str(error)


CLIENTS: dict[str, t.Callable[[Server], str]] = {
    "openssl": openssl,
    "curl": curl,
    "GnuTLS": gnutls,
    "Go": go,
    "urllib3": urllib3_client,
    "Python strict": python_strict,
}


def mozilla(server: Server) -> str:
    """What of the server's settings and certificate is not as in the profile "intermediate"."""
    if not SSLYZE.is_dir():
        raise missing(str(SSLYZE), "make venv")
    return run(
        *(sys.executable, "-W", "ignore", "-m", "sslyze", "--quiet", "--mozilla_config=intermediate"),
        *("--sni", server.name, "--certinfo_ca_file", server.bundle, f"{server.address}:{server.port}"),
        env={"PYTHONPATH": str(SSLYZE)},
    )


def judge(server: Server) -> t.Iterator[tuple[str, bool]]:
    """A line about each judge, and whether it is as it should be."""
    other = Server(server.address, server.port, "other.example", server.bundle)
    for name, client in CLIENTS.items():
        try:
            says, wrong = client(server), not client(other)
        except Absent as absent:
            yield f"{name}: skipped, {absent}", True
            continue
        yield f"{name}: {says or ('accepts any name' if wrong else 'accepts it')}", not says and not wrong
    try:
        says = mozilla(server)
        yield f"SSLyze: {says or 'as in the profile intermediate'}", not says
    except Absent as absent:
        yield f"SSLyze: skipped, {absent}", True


def main() -> int:
    if len(sys.argv) != 5:
        sys.stderr.write(__doc__ or "")
        return 2
    address, port, name, bundle = sys.argv[1:]
    found = list(judge(Server(address, int(port), name, Path(bundle))))
    for line, _good in found:
        print(line)
    return 0 if all(good for _line, good in found) else 1


if __name__ == "__main__":
    sys.exit(main())
