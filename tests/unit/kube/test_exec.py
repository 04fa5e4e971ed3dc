# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Commands in a container: the verdict, and the stream against a scripted server."""

from __future__ import annotations

import json
import time
from urllib.parse import parse_qsl, urlsplit

import pytest

from ansible_collections.plumbline.kubernetes.plugins.module_utils.kube import errors
from ansible_collections.plumbline.kubernetes.plugins.module_utils.kube import exec as exec_module
from ansible_collections.plumbline.kubernetes.plugins.module_utils.kube.client import Cluster
from ansible_collections.plumbline.kubernetes.plugins.module_utils.kube.exec import execute, judge
from ansible_collections.plumbline.kubernetes.tests.unit.kube import tls_material
from ansible_collections.plumbline.kubernetes.tests.unit.kube.fake_stream import (
    CLOSE,
    PING,
    FakeStream,
    frame,
    refusal,
)


def failure(message, *causes):
    return json.dumps({"status": "Failure", "message": message, "details": {"causes": list(causes)}}).encode()


@pytest.mark.parametrize(
    ("status", "broken", "verdict", "exit_code", "words"),
    [
        (b'{"status":"Success"}', "", "ok", 0, ""),
        (failure("exit code 3", {"reason": "ExitCode", "message": "3"}), "", "failed", 3, "exit code 3"),
        # Nothing reported: never a success, whatever the output was.
        (b"", "", "unknown", None, "without an exit status"),
        (b"", "the time was over before the command ended", "unknown", None, "time was over"),
        (b"garbage", "", "unknown", None, "not JSON"),
        # The command could not be started: no exit code of its own.
        (failure("executable file not found"), "", "unknown", None, "executable file not found"),
        (failure("odd", {"reason": "ExitCode", "message": "many"}), "", "unknown", None, "odd"),
    ],
)
def test_verdict(status, broken, verdict, exit_code, words):
    result = judge(status, broken)
    assert result[:2] == (verdict, exit_code)
    assert words in result[2]


def run(server, *, timeout=10.0, **options):
    cluster = Cluster.connect({"host": server.url, "api_key": "sekret-token", **options})
    return execute(cluster, "demo", "web-1", "nginx", ["cat", "/etc/my file"], timeout)


def test_the_command_goes_out_as_it_is_and_its_output_comes_back():
    status = frame(3, failure("command terminated", {"reason": "ExitCode", "message": "3"}))
    pieces = [frame(1, b""), frame(1, b"one "), PING, frame(2, b"tro\xff"), frame(1, b"two" * 100), status]
    with FakeStream(lambda stream: stream.send(*pieces)) as server:
        result = run(server)
    assert (result.verdict, result.exit_code) == ("failed", 3)
    assert (result.stdout, result.stderr) == ("one " + "two" * 100, "tro\N{REPLACEMENT CHARACTER}")
    line, *headers = server.heads[0].split("\r\n")
    url = urlsplit(line.split(" ")[1])
    assert url.path == "/api/v1/namespaces/demo/pods/web-1/exec"
    assert [value for name, value in parse_qsl(url.query) if name == "command"] == ["cat", "/etc/my file"]
    assert {
        "authorization: Bearer sekret-token",
        "Accept: */*",
        "Sec-WebSocket-Protocol: v5.channel.k8s.io,v4.channel.k8s.io",
    } <= set(headers)


def test_impersonation_goes_with_a_stream_too():
    with FakeStream() as server:
        run(server, impersonate_user="jane", impersonate_groups=["dev", "ops"])
    assert [line for line in server.heads[0].split("\r\n") if line.startswith("Impersonate")] == [
        "Impersonate-User: jane",
        "Impersonate-Group: dev",
        "Impersonate-Group: ops",
    ]


@pytest.mark.parametrize(
    "silence",
    [
        pytest.param(lambda stream: stream.hang(), id="nothing"),
        pytest.param(lambda stream: stream.drip(PING, 0.05, 100), id="signs of life"),
        pytest.param(lambda stream: stream.drip(frame(2, b"."), 0.05, 100), id="output without end"),
        pytest.param(lambda stream: (stream.send(b"\x82\x64"), stream.drip(b".", 0.05, 90)), id="half a message"),
    ],
)
def test_when_the_time_is_over_the_stream_is_left(silence):
    def script(stream):
        stream.send(frame(1, b"part"))
        silence(stream)

    began = time.monotonic()
    with FakeStream(script) as server:
        result = run(server, timeout=0.5)
    assert (result.verdict, result.exit_code, result.stdout) == ("unknown", None, "part")
    assert result.detail == "the time was over before the command ended"
    assert time.monotonic() - began < 4  # what the server does takes longer


@pytest.mark.parametrize(
    "end",
    [
        pytest.param(lambda _stream: None, id="closed"),
        pytest.param(lambda stream: stream.send(CLOSE), id="closed in good order"),
        pytest.param(lambda stream: stream.send(b"\x82\x64half"), id="in a message"),
        pytest.param(lambda stream: stream.reset(), id="reset"),
        pytest.param(lambda stream: stream.send(b"\xff\xff\xff"), id="no websocket"),
    ],
)
def test_a_stream_that_ends_without_a_status_says_nothing_about_the_command(end):
    def script(stream):
        stream.send(frame(1, b"part"))
        time.sleep(0.2)  # a reset would overtake it
        end(stream)

    with FakeStream(script) as server:
        result = run(server)
    assert (result.verdict, result.exit_code, result.stdout) == ("unknown", None, "part")
    assert "stream closed without an exit status" in result.detail or "the stream broke" in result.detail


def test_output_is_capped(monkeypatch):
    monkeypatch.setattr(exec_module, "MOST_OUTPUT", 1000)
    pieces = [frame(channel, b"x" * 300) for channel in (1, 2, 1, 2)]
    with FakeStream(lambda stream: (stream.send(*pieces), stream.hang())) as server:
        result = run(server)
    assert (result.verdict, result.detail) == ("unknown", "the command wrote more than 1000 bytes")
    assert len(result.stdout + result.stderr) == 1200


@pytest.mark.parametrize(
    ("refused", "error", "words"),
    [
        (refusal(401, {"message": "Unauthorized"}), errors.Unauthorized, ["HTTP 401", "Unauthorized"]),
        (refusal(403, {"message": 'pods "web-1" is forbidden'}), errors.Forbidden, ["HTTP 403", "is forbidden"]),
        (refusal(404, {"message": 'pods "web-1" not found'}), errors.NotFound, ["HTTP 404", "not found"]),
        (refusal(500, "<html>"), errors.ConnectionFailed, ["HTTP 500"]),
        (refusal(403, ""), errors.Forbidden, ["HTTP 403"]),
        (refusal(200, "[]"), errors.ConnectionFailed, ["HTTP 200"]),
        (b"nonsense\r\n\r\n", errors.ConnectionFailed, ["no stream to 127.0.0.1"]),
        (b"", errors.ConnectionFailed, ["the answer is not HTTP"]),
    ],
)
def test_a_refused_stream_is_one_line_with_the_reason(refused, error, words):
    with FakeStream(refused=refused or b"\r\n") as server, pytest.raises(error) as raised:
        run(server)
    text = str(raised.value)
    assert "\n" not in text
    assert "sekret-token" not in text
    for word in [*words, server.url, "exec in Pod demo/web-1, container nginx"]:
        assert word in text


def test_credentials_do_not_follow_a_redirect():
    with FakeStream() as elsewhere:
        target = elsewhere.url.replace("http", "ws")
        with FakeStream(refused=refusal(302, "", Location=target)) as server, pytest.raises(errors.ConnectionFailed):
            run(server)
    assert elsewhere.heads == []


def test_nobody_there():
    with FakeStream() as server:
        pass
    with pytest.raises(errors.ConnectionFailed, match=f"no stream to 127.0.0.1:{server.port} .ConnectionRefusedError"):
        run(server)


# ----- TLS


def test_the_server_is_verified_by_the_authority_that_was_given(tmp_path, monkeypatch):
    files = tls_material.write(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", files["ca"])
    monkeypatch.setenv("WEBSOCKET_CLIENT_CA_BUNDLE", files["ca"])
    with FakeStream(tls=tls_material.server_context(files)) as server:
        assert run(server, ca_cert=files["ca"]).verdict == "ok"
        with pytest.raises(errors.ConnectionFailed, match="SSLCertVerificationError"):
            run(server, ca_cert=files["other"])
        assert run(server, ca_cert=files["other"], validate_certs=False).verdict == "ok"


@pytest.mark.parametrize("verified", [True, False])
def test_a_client_certificate_is_shown(tmp_path, verified):
    files = tls_material.write(tmp_path)
    pair = {"client_cert": files["client"], "client_key": files["client_key"]}
    with FakeStream(tls=tls_material.server_context(files)) as server:
        assert run(server, ca_cert=files["ca"], validate_certs=verified, **pair).verdict == "ok"
    assert server.clients == ["jane"]


def test_the_server_has_the_name_that_the_kubeconfig_says(tmp_path):
    files = tls_material.write(tmp_path, names=["api.example"], addresses=[])
    with FakeStream(tls=tls_material.server_context(files)) as server:
        place = {"server": server.url, "certificate-authority": files["ca"]}
        kubeconfig = {
            "current-context": "c",
            "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
            "users": [{"name": "u", "user": {"token": "t"}}],
            "clusters": [{"name": "c", "cluster": place}],
        }
        options = {"host": None, "api_key": None, "kubeconfig": kubeconfig, "context": "c"}
        with pytest.raises(errors.ConnectionFailed, match="SSLCertVerificationError"):
            run(server, **options)
        place["tls-server-name"] = "api.example"
        assert run(server, **options).verdict == "ok"


# ----- proxies


def direct(monkeypatch):
    for name in ("http_proxy", "https_proxy", "no_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.mark.parametrize(
    ("user", "headers", "sent"),
    [
        ("", None, ""),
        ("joe:word@", None, "Proxy-Authorization: Basic am9lOndvcmQ="),
        ("", {"proxy_basic_auth": "joe:word"}, "Proxy-Authorization: Basic am9lOndvcmQ="),
    ],
)
def test_a_proxy_is_asked_to_connect(monkeypatch, user, headers, sent):
    direct(monkeypatch)
    with FakeStream(proxy=True) as server:
        proxy = server.url.replace("//", f"//{user}")
        options = {"proxy": proxy, "proxy_headers": headers}
        cluster = Cluster.connect({"host": "http://127.0.0.1:1", "api_key": "sekret-token", **options})
        assert execute(cluster, "demo", "web-1", "nginx", ["true"]).verdict == "ok"
    connect, request = server.heads
    assert connect.startswith("CONNECT 127.0.0.1:1 HTTP/1.1\r\n")
    assert [line for line in connect.split("\r\n") if line.startswith("Proxy-Auth")] == [sent][: bool(sent)]
    assert "sekret-token" not in connect
    assert "authorization: Bearer sekret-token" in request


@pytest.mark.parametrize("no_proxy", ["127.0.0.1", "10.0.0.0/8, 127.0.0.0/8", "*"])
def test_a_host_that_is_excepted_is_asked_directly(monkeypatch, no_proxy):
    direct(monkeypatch)
    with FakeStream() as server:
        assert run(server, proxy="http://127.0.0.1:1", no_proxy=no_proxy).verdict == "ok"


@pytest.mark.parametrize(
    ("environment", "behind"),
    [
        ({"http_proxy": "{proxy}"}, True),
        ({"http_proxy": "{proxy}", "no_proxy": "127.0.0.1"}, False),
        ({"https_proxy": "{proxy}"}, False),
    ],
)
def test_a_stream_goes_the_way_that_other_requests_go(monkeypatch, environment, behind):
    """What the environment says is read by the `kubernetes` library, for requests and streams alike."""
    direct(monkeypatch)
    with FakeStream() as server, FakeStream(proxy=True) as proxy:
        for name, value in environment.items():
            monkeypatch.setenv(name, value.format(proxy=proxy.url))
        cluster = Cluster.connect({"host": server.url, "api_key": "t"})
        assert bool(cluster.configuration.proxy and not environment.get("no_proxy")) is behind
        assert execute(cluster, "demo", "web-1", "nginx", ["true"]).verdict == "ok"
    assert bool(proxy.heads) is behind
    assert bool(server.heads) is not behind


@pytest.mark.parametrize("proxy", ["https://127.0.0.1:1", "socks5://127.0.0.1:1", "ftp://127.0.0.1:1"])
def test_a_proxy_of_another_kind_is_one_line(monkeypatch, proxy):
    direct(monkeypatch)
    with FakeStream() as server:
        cluster = Cluster.connect({"host": server.url, "api_key": "sekret-token"})
        cluster.configuration.proxy = proxy
        with pytest.raises(errors.ConnectionFailed, match="no stream to") as raised:
            execute(cluster, "demo", "web-1", "nginx", ["true"])
    assert "\n" not in str(raised.value)
    assert server.heads == []
