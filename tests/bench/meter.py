# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether the meter of `availability` sends what it is asked for, on time."""

from __future__ import annotations

import contextlib
import io
import json
import time
import typing as t

from ansible.module_utils.testing import patch_module_args

from ansible_collections.plumbline.kubernetes.plugins.modules import availability

SECONDS = 30
# What the meter is meant to sustain, by two nodes together; a new connection is over TLS, and verified.
LOADS: dict[str, dict[str, t.Any]] = {
    "1,000/s keep-alive": {"rate": 1000, "clients": ["keep_alive"], "port": "http"},
    "200/s, new TLS each": {
        "rate": 200,
        "clients": ["new"],
        "port": "https",
        "tls": {"bundle_config_map": "plumbline-bundle"},
    },
}
ROW = "{:20}" + " {:>8}" * 5 + "  {}"


def measure(cluster: dict[str, str], namespace: str, image: str, say: t.Callable[[str], None]) -> t.Iterator[str]:
    """Lines of a table. The Service `my-nginx` of the namespace is asked; the image has Python."""
    run = {**cluster, "name": "bench", "namespace": namespace, "client": {"image": image}}
    yield ROW.format("the meter", "sent", "lost", "p99 ms", "late p99", "late max", "schedule")
    for name, load in LOADS.items():
        say(f"  meter: {name} for {SECONDS} s")
        _call(**run, **load, state="started", service="my-nginx", path="/healthz", duration=2 * SECONDS)
        time.sleep(SECONDS)
        found = _call(**run, state="stopped", fail_on="never")
        schedule = found["schedule"]
        numbers = (f"{number:.1f}" for number in (found["p99"], schedule["late_p99"], schedule["late_max"]))
        kept = "kept" if schedule["kept"] else f"not kept: {schedule['planned']} were due"
        yield ROW.format(name, found["sent"], found["lost"], *numbers, kept)


def _call(**options: t.Any) -> dict[str, t.Any]:
    output = io.StringIO()
    with patch_module_args(options), contextlib.redirect_stdout(output), contextlib.suppress(SystemExit):
        availability.main()
    result: dict[str, t.Any] = json.loads(output.getvalue())
    if result.get("failed"):
        raise SystemExit(result["msg"])
    return result
