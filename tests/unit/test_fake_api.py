# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator

import pytest

from ansible_collections.plumbline.kubernetes.tests.unit import fake_api
from ansible_collections.plumbline.kubernetes.tests.unit.fake_api import FakeApi


@pytest.fixture
def api() -> Iterator[FakeApi]:
    with FakeApi() as server:
        yield server


def ask(api: FakeApi, method: str, path: str, timeout: float = 5.0, body: str = "") -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", api.port, timeout=timeout)
    try:
        connection.request(method, path, body or None)
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def test_answers_come_in_order_and_the_last_one_stays(api: FakeApi) -> None:
    api.on("GET", "/x", fake_api.status(429, "TooManyRequests", retry_after=0), fake_api.reply({"n": 2}))
    assert [ask(api, "GET", "/x")[0] for dummy in range(3)] == [429, 200, 200]
    assert api.sent() == ["GET /x"] * 3


def test_watch_and_dry_run_are_routes_of_their_own(api: FakeApi) -> None:
    api.on("GET", "/x", fake_api.reply({}))
    api.on("WATCH", "/x", fake_api.stream([fake_api.event("ADDED", {"a": 1}), fake_api.expired()]))
    api.on("PATCH", "/x", lambda request: fake_api.reply(request.query))
    lines = ask(api, "GET", "/x?watch=true")[1].splitlines()
    assert [json.loads(line)["type"] for line in lines] == ["ADDED", "ERROR"]
    assert ask(api, "PATCH", "/x?dryRun=All")[1] == b'{"dryRun": "All"}'
    assert api.sent() == ["WATCH /x", "PATCH /x?dryRun"]


def test_a_delete_with_a_body_takes_its_options_from_there(api: FakeApi) -> None:
    api.on("DELETE", "/x", fake_api.reply({}))
    for path, body in (
        ("/x?dryRun=All", ""),
        ("/x?dryRun=All", "{}"),
        ("/x?dryRun=All", '{"a": 1}'),
        ("/x", '{"dryRun": ["All"]}'),
    ):
        ask(api, "DELETE", path, body=body)
    assert api.sent() == ["DELETE /x?dryRun", "DELETE /x", "DELETE /x", "DELETE /x?dryRun"]


def test_a_request_without_a_route_is_listed(api: FakeApi) -> None:
    assert ask(api, "DELETE", "/y")[0] == 404
    assert [request.line for request in api.unexpected] == ["DELETE /y"]


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (fake_api.reset(), ConnectionResetError),
        (fake_api.closed(), http.client.RemoteDisconnected),
        (fake_api.hang(), TimeoutError),
        (fake_api.cut({"a": 1}), http.client.IncompleteRead),
        (fake_api.stream([{"a": 1}], end="reset"), (ConnectionResetError, http.client.IncompleteRead)),
    ],
)
def test_broken_answers_break_as_named(
    api: FakeApi, answer: fake_api.Answer, error: type[Exception] | tuple[type[Exception], ...]
) -> None:
    api.on("GET", "/x", answer)
    with pytest.raises(error):
        ask(api, "GET", "/x", timeout=0.3)
