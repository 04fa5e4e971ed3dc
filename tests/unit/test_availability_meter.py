# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The meter against a real server on the loopback interface: it sees what is lost, and nothing else."""

from __future__ import annotations

import collections
import contextlib
import datetime
import http.server
import json
import signal
import socket
import ssl
import struct
import subprocess
import sys
import threading
import time
import typing as t
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from ansible_collections.plumbline.kubernetes.plugins.module_utils.availability import agent, plan
from ansible_collections.plumbline.kubernetes.plugins.module_utils.availability.result import Outcome, parse

Behave = Callable[["Handler"], None]


class Server(http.server.ThreadingHTTPServer):
    """Counts requests and lets `behave` answer them."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, behave: Behave, context: ssl.SSLContext | None = None) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.behave = behave
        self.seen: collections.Counter[str] = collections.Counter()
        self.connections = 0
        self.lock = threading.Lock()
        self.context = context
        self.open: list[socket.socket] = []

    def get_request(self) -> tuple[socket.socket, t.Any]:
        sock, address = super().get_request()
        self.connections += 1
        if self.context:
            sock = self.context.wrap_socket(sock, server_side=True, do_handshake_on_connect=False)
        self.open.append(sock)
        return sock, address

    def handle_error(self, request: t.Any, client_address: t.Any) -> None:
        """Clients that go away, and handshakes that fail on purpose."""

    def die(self) -> None:
        """As a process that is killed: listener and connections are gone."""
        self.shutdown()
        self.server_close()
        for sock in self.open:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: Server

    def log_message(self, format: str, *args: object) -> None:
        pass

    def serve(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        with self.server.lock:
            self.server.seen[f"{self.command} {self.headers.get('Connection')}"] += 1
            self.count = sum(self.server.seen.values())
        self.server.behave(self)

    do_GET = do_POST = serve

    def answer(self, status: int = 200) -> None:
        self.send_response(status)
        self.send_header("Served-By", "pod-1")
        self.send_header("Content-Length", "3")
        self.end_headers()
        self.wfile.write(b"ok\n")

    def reset(self) -> None:
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()
        self.close_connection = True


@contextlib.contextmanager
def serving(behave: Behave, context: ssl.SSLContext | None = None) -> Iterator[Server]:
    server = Server(behave, context)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.die()


def work(port: int, **options: t.Any) -> dict[str, t.Any]:
    return {
        "host": "127.0.0.1",
        "port": port,
        "path": "/",
        "authority": "web",
        "tls": False,
        "server_name": "web",
        "bundle": "",
        "clients": list(agent.KINDS),
        "rate": 180,
        "duration": 1,
        "warm_up": True,
        "timeout": 2,
        "status": [200],
        "identity_header": "Served-By",
        "phase": 0.0,
        **options,
    }


def measured(meter: agent.Meter, duration: float = 0.5) -> Outcome:
    """What a run leaves, by way of the log, as it is collected."""
    document = meter.run(duration)
    outcome = parse(f"{agent.RESULT}\n{json.dumps(document)}\n", "node")
    assert not outcome.cause
    return outcome


def answered(handler: Handler) -> None:
    handler.answer()


def test_nothing_is_lost_of_a_healthy_server() -> None:
    with serving(answered) as server:
        meter = agent.Meter(work(server.server_port))
        assert meter.warm()
        server.seen.clear()
        before = server.connections
        outcome = measured(meter)
        opened = server.connections - before
    figures = outcome.all
    assert (figures.planned, figures.sent, figures.ok, figures.lost) == (90, 90, 90, 0)
    assert {kind: one.sent for kind, one in outcome.clients.items()} == {"new": 30, "keep_alive": 30, "post": 30}
    assert server.seen == {"GET close": 30, "GET keep-alive": 30, "POST keep-alive": 30}
    # One for each `new`; the others filled their pools: at most four each, one of which the warming up had opened.
    assert 30 <= opened <= 30 + 2 * agent.KEPT_OPEN
    assert figures.backends == {"pod-1": 90}
    assert figures.first_loss is None
    assert sum(sent for _second, sent, _lost in outcome.clients["new"].seconds) == 30


def test_loss_is_seen_when_the_server_goes_away() -> None:
    def die_at_the_40th(handler: Handler) -> None:
        if handler.count > 40:  # while it dies, which takes a moment
            handler.reset()
            return
        handler.answer()
        if handler.count == 40:
            handler.server.die()

    with serving(die_at_the_40th) as server:
        meter = agent.Meter(work(server.server_port))
        assert meter.warm()
        outcome = measured(meter)
    figures = outcome.all
    assert figures.sent == 90
    assert 0 < figures.ok <= 40
    assert figures.ok + figures.lost == 90
    assert set(figures.lost_by_class) <= {"refused", "reset", "closed"}
    assert outcome.clients["new"].classes["refused"] > 0
    assert figures.first_loss is not None
    assert outcome.began <= figures.first_loss <= outcome.ended
    assert len(figures.losses) == figures.lost
    lost_on_an_open_connection = [loss for loss in figures.losses if loss[2] in ("reset", "closed") and loss[3]]
    assert all(loss[3] == "pod-1" for loss in lost_on_an_open_connection)


def forget_what_warmed_up(meter: agent.Meter, server: Server) -> None:
    """On a busy machine more than one request was sent by then, and the others arrive late."""
    waiting = sum(not request.over for request in meter.in_flight)
    sent = waiting + sum(lane.tally.classes["ok"] for lane in meter.lanes)
    for _try in range(200):
        if sum(server.seen.values()) >= sent:
            break
        time.sleep(0.01)
    server.seen.clear()


def hang_up(handler: Handler) -> None:
    handler.close_connection = True


def other_protocol(handler: Handler) -> None:
    handler.wfile.write(b"SSH-2.0-OpenSSH_9.9\r\n\r\n")


@pytest.mark.parametrize(
    ("client", "ending", "kind"),
    [
        ("new", Handler.reset, "reset"),
        ("keep_alive", Handler.reset, "reset"),
        ("post", Handler.reset, "reset"),
        ("new", hang_up, "closed"),
        ("keep_alive", hang_up, "closed"),
        ("post", hang_up, "closed"),
        ("keep_alive", lambda handler: handler.answer(503), "http_5xx"),
        ("post", lambda handler: handler.answer(405), "bad_status"),
        ("new", other_protocol, "protocol"),
    ],
)
def test_each_bad_end_is_counted_once_and_nothing_is_tried_again(client: str, ending: Behave, kind: str) -> None:
    def tenth_is_bad(handler: Handler) -> None:
        if handler.count % 10 == 0:
            ending(handler)
        else:
            handler.answer()

    with serving(tenth_is_bad) as server:
        meter = agent.Meter(work(server.server_port, clients=[client], rate=200))
        assert meter.warm()
        forget_what_warmed_up(meter, server)
        figures = measured(meter, 0.25).all
        assert sum(server.seen.values()) == 50
    assert figures.sent == 50
    assert figures.lost_by_class == {kind: 5}


def test_a_server_that_stalls_does_not_slow_the_meter_down() -> None:
    """What coordinated omission would hide: requests that were due during the stall were sent, and are lost."""
    stalled = threading.Event()

    def silent(handler: Handler) -> None:
        if handler.count <= 3:
            handler.answer()
        else:
            stalled.wait(5)
            handler.close_connection = True

    with serving(silent) as server:
        meter = agent.Meter(work(server.server_port, timeout=0.3))
        assert meter.warm()
        figures = measured(meter).all
        stalled.set()
    assert figures.sent == 90
    assert figures.lost_by_class == {"timeout": 90}
    assert figures.gap[0] >= 0.4


def test_an_idle_connection_that_the_server_closes_costs_nothing() -> None:
    def once(handler: Handler) -> None:
        handler.answer()
        handler.close_connection = True  # without saying so in a header

    with serving(once) as server:
        meter = agent.Meter(work(server.server_port, clients=["keep_alive"], rate=40))
        assert meter.warm()
        figures = measured(meter).all
        assert server.connections >= 21  # one for each request, and one for warming up
    assert (figures.sent, figures.lost) == (20, 0)


def test_a_target_that_never_answered_well_is_no_beginning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agent, "WARM_SECONDS", 0.6)
    with serving(lambda handler: handler.answer(404)) as server:
        meter = agent.Meter(work(server.server_port))
        assert not meter.warm()
        meter.hang_up()
    assert meter.trouble == "bad_status: status 404"


def test_a_name_that_does_not_resolve_is_lost_by_dns() -> None:
    with serving(answered) as server:
        meter = agent.Meter(work(server.server_port, clients=["new"], rate=50))
        assert meter.warm()
        meter.lookup.address = meter_fails  # type: ignore[method-assign]
        figures = measured(meter, 0.2).all
    assert figures.lost_by_class == {"dns": 10}
    assert figures.losses[0][5] == "web: Name or service not known"


def meter_fails(_now: float) -> tuple[t.Any, t.Any]:
    raise LookupError("web: Name or service not known")


# -- TLS


class Identity(t.NamedTuple):
    pem: str
    serial: str
    context: ssl.SSLContext


def identity(folder: Path, serial: int, name: str = "web") -> Identity:
    """A self-signed certificate with the given serial number, and a server's context with it."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, f"{name} {serial}")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(serial)
        .not_valid_before(now - datetime.timedelta(minutes=5))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = certificate.public_bytes(serialization.Encoding.PEM)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path = folder / f"{serial}.pem"
    path.write_bytes(private + pem)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    return Identity(pem.decode(), format(serial, "x"), context)


def test_serials_are_those_of_the_certificates_served(tmp_path: Path) -> None:
    old, new = identity(tmp_path, 0x0FEDCBA987654321), identity(tmp_path, 1)

    def rotate_at_the_30th(handler: Handler) -> None:
        handler.answer()
        if handler.count == 30:
            handler.server.context = new.context

    with serving(rotate_at_the_30th, old.context) as server:
        meter = agent.Meter(work(server.server_port, tls=True, bundle=old.pem + new.pem))
        assert meter.warm()
        outcome = measured(meter)
    assert outcome.all.lost == 0
    assert list(outcome.clients["new"].serials) == [old.serial, new.serial]
    # An open connection goes on with the certificate that it was opened with.
    assert sum(count for _first, _last, count in outcome.all.serials[old.serial]) > 30 - 3


@pytest.mark.parametrize(
    ("server_name", "trusted", "trouble"),
    [("other", True, "Hostname mismatch"), ("web", False, "self-signed certificate")],
)
def test_a_certificate_that_is_not_right_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, server_name: str, trusted: bool, trouble: str
) -> None:
    monkeypatch.setattr(agent, "WARM_SECONDS", 0.6)
    served, other = identity(tmp_path, 2), identity(tmp_path, 3)
    bundle = served.pem if trusted else other.pem
    with serving(answered, served.context) as server:
        meter = agent.Meter(work(server.server_port, tls=True, bundle=bundle, server_name=server_name))
        assert not meter.warm()
        meter.hang_up()
    assert meter.trouble.startswith("tls: the certificate is refused: ")
    assert trouble in meter.trouble


def test_plain_text_where_tls_is_spoken_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agent, "WARM_SECONDS", 0.6)
    with serving(answered) as server:
        meter = agent.Meter(work(server.server_port, tls=True, bundle=identity(tmp_path, 4).pem))
        assert not meter.warm()
        meter.hang_up()
    assert meter.trouble.startswith(("tls: ", "closed: "))


# -- the program, as the pod runs it


def test_told_to_stop_it_prints_what_it_has() -> None:
    with serving(answered) as server:
        argv = plan.command(work(server.server_port, duration=600), sys.executable)
        with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout
            lines = iter(process.stdout)
            assert next(lines).strip() == agent.READY
            assert json.loads(next(lines))["at"] > 0
            while sum(server.seen.values()) < 20:
                time.sleep(0.01)
            process.send_signal(signal.SIGTERM)
            rest = "".join(lines)
        assert process.returncode == 0
    outcome = parse(rest, "node")
    assert not outcome.cause
    assert outcome.all.lost == 0
    assert 0 < outcome.all.planned == outcome.all.sent < 180 * 600


def test_it_says_why_it_stays_cold(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(agent, "WARM_SECONDS", 0.3)
    monkeypatch.setattr(signal, "signal", lambda *_given: None)
    monkeypatch.setattr(signal, "alarm", lambda *_given: None)
    monkeypatch.setattr("os.environ", {})
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    argv = plan.command(work(port), "python3")
    assert agent.main(argv[7:]) == 3
    line, document = capsys.readouterr().out.splitlines()
    assert line == agent.COLD
    assert json.loads(document)["trouble"] == "refused: Connection refused"


def test_without_warming_up_what_is_lost_from_the_beginning_counts(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(signal, "signal", lambda *_given: None)
    monkeypatch.setattr(signal, "alarm", lambda *_given: None)
    monkeypatch.setattr("os.environ", {})
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    argv = plan.command(work(port, warm_up=False, duration=0.3), "python3")
    assert agent.main(argv[7:]) == 0
    outcome = parse(capsys.readouterr().out, "node")
    assert outcome.all.lost == outcome.all.sent > 0
