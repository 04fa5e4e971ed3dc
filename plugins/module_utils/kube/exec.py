# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Private to this collection: may change in any release.
"""Run a command in a container over the websocket protocol of `pods/exec`, with a deadline and an honest verdict.

Protocol (KEP-4006 and apimachinery/pkg/util/remotecommand): binary frames whose first byte is the channel;
1 is stdout, 2 is stderr, 3 carries one Status object at the end. A stream that closes without it says nothing
about the command, so the verdict is then `unknown`, never success.
"""

from __future__ import annotations

import base64
import json
import ssl
import time
import typing as t
from dataclasses import dataclass
from urllib.parse import urlencode, urlsplit

try:
    import websocket
    from kubernetes.client.rest import should_bypass_proxies
except ImportError:  # module.run() reports the missing library
    pass

from .client import CONNECT_TIMEOUT, Cluster
from .errors import ApiError, ConnectionFailed, Forbidden, KubeError, NotFound, TimeOver, Unauthorized, one_line
from .kinds import POD

_STDOUT, _STDERR, _STATUS = 1, 2, 3
MOST_OUTPUT = 1_000_000
_PROXIES = ("http", "socks4", "socks4a", "socks5", "socks5h")  # those that the websocket library knows


@dataclass(frozen=True, slots=True)
class ExecResult:
    """What a command in a container did.

    Attributes:
        exit_code: None unless the server reported one.
        verdict: `ok` (exit code 0 was reported), `failed` (another was), `unknown` (none was: the stream broke,
            the time was over, the command could not be started or wrote too much).
        detail: one line; why the verdict is not `ok`.
    """

    stdout: str
    stderr: str
    exit_code: int | None
    verdict: str
    detail: str = ""


def execute(
    cluster: Cluster, namespace: str, pod: str, container: str, command: t.Sequence[str], timeout: float = 10.0
) -> ExecResult:
    """Run `command` (argv, no shell) in a container and collect its output.

    Args:
        timeout: seconds for everything after the handshake, fewer where the cluster's deadline comes before; then the
            stream is closed, which does not promise that the process ends.

    Raises:
        Forbidden, Unauthorized, NotFound: the API server refused the stream.
        ConnectionFailed: no stream could be opened.
    """
    if cluster.deadline.over:
        raise TimeOver(f"{cluster.label}: exec in Pod {namespace}/{pod}: the time for all of it was over")
    stream = _open(cluster, namespace, pod, container, command)
    output = {_STDOUT: bytearray(), _STDERR: bytearray(), _STATUS: bytearray()}
    try:
        broken = _read(stream, output, min(time.monotonic() + timeout, cluster.deadline.at))
    finally:
        # shutdown() drops the socket; close() would wait for the peer's answer to the closing handshake.
        stream.shutdown()
    verdict, exit_code, detail = judge(bytes(output[_STATUS]), broken)
    return ExecResult(
        output[_STDOUT].decode("utf-8", "replace"),
        output[_STDERR].decode("utf-8", "replace"),
        exit_code,
        verdict,
        detail,
    )


def judge(status: bytes, broken: str) -> tuple[str, int | None, str]:
    """Verdict, exit code and detail from the bytes of the status channel.

    Args:
        status: the Status object as JSON, empty where none came.
        broken: why reading ended early, empty where it ended by itself.
    """
    if not status:
        return "unknown", None, broken or "the stream closed without an exit status"
    try:
        document = json.loads(status)
    except ValueError:
        return "unknown", None, "the exit status is not JSON"
    if document.get("status") == "Success":
        return "ok", 0, ""
    causes = (document.get("details") or {}).get("causes") or []
    codes = [cause.get("message", "") for cause in causes if cause.get("reason") == "ExitCode"]
    detail = one_line(document.get("message") or "the command failed", 300)
    if codes and codes[0].isdigit():
        return "failed", int(codes[0]), detail
    return "unknown", None, detail


def _open(cluster: Cluster, namespace: str, pod: str, container: str, command: t.Sequence[str]) -> t.Any:
    query = [("container", container), ("stdout", "true"), ("stderr", "true")]
    query += [("command", word) for word in command]
    configuration = cluster.configuration
    base = configuration.host.rstrip("/").replace("http", "ws", 1)
    url = f"{base}{POD.path(namespace, pod, 'exec')}?{urlencode(query)}"
    where = f"{cluster.label}: exec in Pod {namespace}/{pod}, container {container}"
    host = urlsplit(base).netloc
    proxy = _proxy(configuration)
    if proxy["proxy_type"] not in _PROXIES:
        raise ConnectionFailed(
            f"{where}: no stream to {host}: it cannot go through a proxy of the kind {proxy['proxy_type']}; "
            f"expected one of {', '.join(_PROXIES)}"
        )
    try:
        return websocket.create_connection(
            url,
            timeout=min(CONNECT_TIMEOUT, cluster.deadline.left),
            header=_headers(cluster),
            subprotocols=["v5.channel.k8s.io", "v4.channel.k8s.io"],
            sslopt=_tls(configuration),
            redirect_limit=0,  # the credentials are for this server alone
            **proxy,
        )
    except websocket.WebSocketBadStatusException as error:
        raise _refused(where, error) from error
    except (websocket.WebSocketException, OSError, ssl.SSLError) as error:
        raise ConnectionFailed(f"{where}: no stream to {host} ({type(error).__name__})") from error


def _headers(cluster: Cluster) -> list[str]:
    headers = cluster.headers()
    headers["Accept"] = "*/*"  # A stream is no JSON document: asked for one, the server answers 406.
    return [f"{key}: {value}" for key, value in headers.iteritems()]


def _tls(configuration: t.Any) -> dict[str, t.Any]:
    if not configuration.verify_ssl:
        return {"cert_reqs": ssl.CERT_NONE, "check_hostname": False, **_client_pair(configuration)}
    # A context of our own: the websocket library lets SSL_CERT_FILE and its kin win over the CA that was given.
    context = ssl.create_default_context(
        cafile=configuration.ssl_ca_cert or None, cadata=getattr(configuration, "ca_cert_data", None) or None
    )
    if configuration.cert_file:
        context.load_cert_chain(configuration.cert_file, configuration.key_file)
    if configuration.assert_hostname is False:
        context.check_hostname = False
    options: dict[str, t.Any] = {"context": context}
    if configuration.tls_server_name:
        options["server_hostname"] = configuration.tls_server_name
    return options


def _client_pair(configuration: t.Any) -> dict[str, t.Any]:
    pair = {"certfile": configuration.cert_file, "keyfile": configuration.key_file}
    return {key: value for key, value in pair.items() if value}


def _proxy(configuration: t.Any) -> dict[str, t.Any]:
    """The way that other requests go; told nothing, the websocket library would read the environment by its rules."""
    if not configuration.proxy or should_bypass_proxies(configuration.host, configuration.no_proxy or ""):
        return {"http_proxy_host": "none", "http_no_proxy": ["*"], "proxy_type": "http"}
    proxy = urlsplit(configuration.proxy)
    return {
        "http_proxy_host": proxy.hostname,
        "http_proxy_port": proxy.port,
        "http_proxy_auth": _proxy_user(proxy.username, proxy.password, configuration.proxy_headers),
        "http_proxy_timeout": CONNECT_TIMEOUT,
        "http_no_proxy": ["none"],
        "proxy_type": proxy.scheme,
    }


def _proxy_user(name: str | None, password: str | None, headers: t.Mapping[str, str] | None) -> tuple[str, str] | None:
    if name:
        return name, password or ""
    scheme, _space, word = (headers or {}).get("proxy-authorization", "").partition(" ")
    if scheme != "Basic":
        return None
    name, _colon, password = base64.b64decode(word).decode("latin-1").partition(":")
    return name, password


def _refused(where: str, error: t.Any) -> KubeError:
    status = error.status_code
    try:
        text = json.loads(error.resp_body or b"{}").get("message", "")
    except (ValueError, AttributeError):
        text = ""
    message = f"{where}: " + (f"HTTP {status}" if status else "the answer is not HTTP") + (f"; {text}" if text else "")
    kinds: dict[int, type[ApiError]] = {401: Unauthorized, 403: Forbidden, 404: NotFound}
    if status in kinds:
        return kinds[status](message, status=status, reason="")
    return ConnectionFailed(message)


def _read(stream: t.Any, output: dict[int, bytearray], deadline: float) -> str:
    """Fill `output` until the stream ends; why it ended early, or an empty string."""
    _limit(stream, deadline)
    while True:
        try:
            frame = stream.recv()
        except websocket.WebSocketTimeoutException:
            return "the time was over before the command ended"
        except websocket.WebSocketConnectionClosedException:
            return ""
        except (websocket.WebSocketException, OSError) as error:
            return f"the stream broke ({type(error).__name__})"
        data = frame.encode() if isinstance(frame, str) else frame
        if not data:
            return ""
        if data[0] in output:
            output[data[0]] += data[1:]
        if sum(len(part) for part in output.values()) > MOST_OUTPUT:
            return f"the command wrote more than {MOST_OUTPUT} bytes"
        if output[_STATUS]:
            return ""


def _limit(stream: t.Any, deadline: float) -> None:
    """Let reading end at `deadline`, whatever comes: signs of life and half a message must not begin the time anew."""
    receive = stream.frame_buffer.recv

    def receive_in_time(size: int) -> t.Any:
        left = deadline - time.monotonic()
        if left <= 0:
            raise websocket.WebSocketTimeoutException
        stream.settimeout(left)
        return receive(size)

    stream.frame_buffer.recv = receive_in_time
