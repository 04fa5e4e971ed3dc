# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""TLS for the agent: HTTP over a verified connection, and what is served whatever it is worth.

It travels beside agent.py where a plan has tasks of the type `https`, and has the same limits: nothing blocks, for TLS
itself runs on two buffers in memory, and the sockets are driven by the agent's loop. Trust comes from the plan alone,
never from files or variables of the pod.

This file is private to the collection; its contents may change in any release.
"""

from __future__ import annotations

import functools
import ssl
import time
import warnings

from .agent import (
    EXCHANGES,
    MERGES,
    Failure,
    Reader,
    build_request,
    clean,
    describe,
    dial,
    merge_http,
    most_bytes,
    place,
    read_answer,
    receive,
    send,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket
    from typing import Any

    from .agent import Attempt, Result, Steps

CERTIFICATES = 10  # of one chain
DER = 2  # _ssl.ENCODING_DER
DIFFERENT = 16  # ways of serving that one task tells apart
VERIFIED, NOTHING_TO_VERIFY_WITH, NO_AGREEMENT = 0, -1, -2  # beside OpenSSL's codes, which are positive
VERSIONS = ("TLSv1", "TLSv1_1", "TLSv1_2", "TLSv1_3")


class Refused(Exception):
    """The server's certificate did not pass: OpenSSL's code and its words."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code


class Channel:
    """TLS over a socket that never blocks."""

    def __init__(self, sock: socket.socket, context: ssl.SSLContext, name: str, limit: int) -> None:
        self.sock = sock
        self.limit = limit
        self.received = 0
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.incoming, self.outgoing, server_hostname=name)

    def flush(self) -> Steps[None]:
        if self.outgoing.pending > 0:
            yield from send(self.sock, self.outgoing.read())

    def fill(self) -> Steps[None]:
        data = yield from receive(self.sock)
        if not self.received and data and data[0] not in range(20, 25):  # no content type of a TLS record
            plain = data.startswith((b"HTTP/", b"<"))
            raise Failure("scheme" if plain else "protocol", f"not TLS: {describe(data[:60])}")
        self.received += len(data)
        if self.received > self.limit:
            raise Failure("limit", f"more than {self.limit} bytes")
        if data:
            self.incoming.write(data)
        else:
            self.incoming.write_eof()

    def handshake(self) -> Steps[None]:
        while True:
            try:
                self.tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                yield from self.flush()
                yield from self.fill()
            except ssl.SSLCertVerificationError as problem:
                yield from self.flush()  # the server logs why we leave
                raise Refused(problem.verify_code, clean(problem.verify_message)) from None
            except ssl.SSLEOFError:
                raise Failure("reset", "the peer closed the connection in the TLS handshake") from None
            except ssl.SSLError as problem:
                raise Failure("handshake", reason(problem)) from None
        yield from self.flush()

    def chain(self) -> list[bytes]:
        """What the server sent; before Python 3.10 only the leaf can be had."""
        if hasattr(self.tls, "get_unverified_chain"):
            return list(self.tls.get_unverified_chain())[:CERTIFICATES]
        inner: Any = getattr(self.tls, "_sslobj", None)  # where Python 3.10 to 3.12 have it
        if hasattr(inner, "get_unverified_chain"):
            return [one.public_bytes(DER) for one in inner.get_unverified_chain() or ()][:CERTIFICATES]
        leaf = self.tls.getpeercert(True)
        return [leaf] if leaf else []


class SecureReader(Reader):
    """What comes out of a channel."""

    def __init__(self, channel: Channel, limit: int) -> None:
        super().__init__(channel.sock, limit)
        self.channel = channel

    def piece(self) -> Steps[bytes]:
        while True:
            try:
                return self.channel.tls.read(65536)
            except ssl.SSLWantReadError:
                yield from self.channel.flush()
                yield from self.channel.fill()
            except (ssl.SSLEOFError, ssl.SSLZeroReturnError):
                return b""
            except ssl.SSLError as problem:
                raise Failure("handshake", reason(problem)) from None  # e.g. a certificate of the client is asked for


def reason(problem: ssl.SSLError) -> str:
    return clean((problem.reason or str(problem)).replace("_", " ").lower())


# A context is made once for all connections of a run.
@functools.lru_cache(maxsize=4)
def verifying(bundle: str, minimum: str) -> ssl.SSLContext:
    """As curl and Go verify: any certificate of the bundle is trusted. The common name is no name (RFC 9525)."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(cadata=bundle)
    context.verify_flags |= getattr(ssl, "VERIFY_X509_PARTIAL_CHAIN", 0x80000)
    context.hostname_checks_common_name = False
    bound(context, minimum_version=minimum)
    return context


@functools.lru_cache(maxsize=4)
def tolerant(maximum: str) -> ssl.SSLContext:
    """Takes whatever is served, to look at it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_ciphers("DEFAULT:@SECLEVEL=0")
    context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
    bound(context, maximum_version=maximum)
    return context


def bound(context: ssl.SSLContext, **versions: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # old versions are looked for, not used
        for which, version in versions.items():
            setattr(context, which, getattr(ssl.TLSVersion, version))


def exchange_https(attempt: Attempt) -> Steps[dict[str, Any]]:
    """One request over TLS, verified where there is a bundle; else, or when that fails, by looking the other way."""
    task = attempt.task
    clock, code, text = time.time(), NOTHING_TO_VERIFY_WITH, ""
    answer = None
    if task.get("bundle"):
        try:
            answer = yield from ask(attempt, verifying(task["bundle"], task["minimum_version"]))
            code = VERIFIED
        except Refused as refused:
            code, text = refused.code, str(refused)
        except Failure as problem:
            if problem.kind != "handshake":
                raise
            code, text = NO_AGREEMENT, str(problem)
    if answer is None:
        answer = yield from ask(attempt, tolerant("MAXIMUM_SUPPORTED"))
    below = (yield from accepts_below(attempt)) if task.get("try_below") else ""
    return {**answer, "served": {**answer["served"], "code": code, "text": text, "below": below}, "clock": int(clock)}


def ask(attempt: Attempt, context: ssl.SSLContext) -> Steps[dict[str, Any]]:
    request, most = build_request(attempt.task), most_bytes(attempt.limits)
    sock = yield from dial(attempt)
    with sock:
        attempt.doing = f"in the TLS handshake with {place(sock)}"
        channel = Channel(sock, context, attempt.task["server_name"], 2 * most)
        yield from channel.handshake()
        attempt.doing = f"sending the request to {place(sock)} over TLS"
        channel.tls.write(request)
        yield from channel.flush()
        served = {"chain": channel.chain(), "protocol": channel.tls.version() or ""}
        return {**(yield from read_answer(SecureReader(channel, most), attempt)), "served": served}


def accepts_below(attempt: Attempt) -> Steps[str]:
    """The version that the server agrees to when it is offered none that is wanted, or nothing."""
    wanted = VERSIONS.index(attempt.task["minimum_version"])
    sock = yield from dial(attempt)
    with sock:
        attempt.doing = f"in a TLS handshake with {place(sock)} below {VERSIONS[wanted]}"
        channel = Channel(sock, tolerant(VERSIONS[wanted - 1]), attempt.task["server_name"], most_bytes(attempt.limits))
        try:
            yield from channel.handshake()
        except (Failure, OSError):
            return ""
        return channel.tls.version() or ""


def merge_https(results: list[Result], task: dict[str, Any]) -> dict[str, Any]:
    """As for plain HTTP, and each different way of serving once."""
    answers = [value for kind, _detail, _ms, value in results if kind == "ok"]
    served: list[dict[str, Any]] = []
    for answer in answers:
        if answer["served"] not in served and len(served) < DIFFERENT:
            served.append(answer["served"])
    return {
        **merge_http(results, task),
        "served": served,
        "clock": min((answer["clock"] for answer in answers), default=0),
    }


TYPES = ("https",)
EXCHANGES["https"] = exchange_https
MERGES["https"] = merge_https
