# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A page in headless Chromium, driven by the DevTools protocol over the WebSocket library that we have anyway."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import shutil
import subprocess
import tempfile
import time
import typing as t
from pathlib import Path

import websocket

NAMES = ("chromium", "google-chrome", "chromium-browser")
SECONDS = 60.0


def find() -> str | None:
    """The browser of this machine."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


_NUMBERS = itertools.count()


class Page:
    """One tab, with everything that it complained of or asked the network for."""

    def __init__(self, connection: websocket.WebSocket) -> None:
        self.connection = connection
        self.number = next(_NUMBERS) * 1000
        self.session = ""
        self.events: list[dict[str, t.Any]] = []

    def call(self, method: str, **params: t.Any) -> dict[str, t.Any]:
        """Send a command and wait for its answer; what happens meanwhile is kept."""
        self.number += 1
        message = {"id": self.number, "method": method, "params": params}
        if self.session:
            message["sessionId"] = self.session
        self.connection.send(json.dumps(message))
        while True:
            answer: dict[str, t.Any] = json.loads(self.connection.recv())
            if answer.get("id") == self.number:
                assert "error" not in answer, answer
                result: dict[str, t.Any] = answer["result"]
                return result
            self.events.append(answer)

    def open(self, url: str) -> None:
        """Load `url` until its scripts have run."""
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Runtime", "Log", "Network", "Page"):
            self.call(f"{domain}.enable")
        self.events.clear()
        self.call("Page.navigate", url=url)
        while not any(event.get("method") == "Page.loadEventFired" for event in self.events):
            self.events.append(json.loads(self.connection.recv()))

    def run(self, script: str) -> t.Any:
        """The value of an expression."""
        found = self.call("Runtime.evaluate", expression=script, returnByValue=True)
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    def press(self, key: str, text: str = "", *, shift: bool = False) -> None:
        """A key goes down and up again, as under a finger: what it does is for the browser to decide."""
        code = {"Tab": 9, "Enter": 13, " ": 32}.get(key) or ord(key.upper())
        at = {"key": key, "windowsVirtualKeyCode": code, "modifiers": 8 if shift else 0}
        self.call("Input.dispatchKeyEvent", type="keyDown" if text else "rawKeyDown", text=text, **at)
        self.call("Input.dispatchKeyEvent", type="keyUp", **at)

    def type(self, text: str) -> None:
        """Letters, one after the other."""
        for letter in text:
            self.press(letter, letter)

    def of(self, *methods: str) -> list[dict[str, t.Any]]:
        """What happened so far, of these kinds."""
        return [event["params"] for event in self.events if event.get("method") in methods]

    @property
    def complaints(self) -> list[dict[str, t.Any]]:
        """Console messages, violations of the policy, uncaught errors."""
        return self.of("Log.entryAdded", "Runtime.exceptionThrown", "Runtime.consoleAPICalled")

    @property
    def requests(self) -> list[str]:
        """Every URL that was asked for."""
        return [str(params["request"]["url"]) for params in self.of("Network.requestWillBeSent")]


@contextlib.contextmanager
def started(browser: str) -> t.Iterator[websocket.WebSocket]:
    """A browser that listens."""
    with tempfile.TemporaryDirectory() as profile:
        options = ["--headless=new", "--disable-gpu", "--remote-debugging-port=0", f"--user-data-dir={profile}"]
        options += ["--no-first-run", "--disable-background-networking"]
        options += ["--no-sandbox"] if os.geteuid() == 0 else []  # Chromium's sandbox does not work for root
        with subprocess.Popen(
            [browser, *options], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        ) as process:
            try:
                with contextlib.closing(connect(Path(profile, "DevToolsActivePort"))) as connection:
                    yield connection
                    Page(connection).call("Browser.close")
                process.wait(SECONDS)
            finally:
                process.kill()


def connect(told: Path) -> websocket.WebSocket:
    """To the port that the browser says it has, as soon as it says so."""
    deadline = time.monotonic() + SECONDS
    while not told.exists() or "\n" not in told.read_text():
        assert time.monotonic() < deadline, "the browser does not start"
        time.sleep(0.05)
    port, path = told.read_text().split()[:2]
    url = f"ws://127.0.0.1:{port}{path}"
    return websocket.create_connection(url, timeout=SECONDS, suppress_origin=True, http_no_proxy=["127.0.0.1"])
