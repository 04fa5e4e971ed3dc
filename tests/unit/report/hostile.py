# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A result document in which every string is an attack."""

from __future__ import annotations

import typing as t

from ansible_collections.plumbline.kubernetes.plugins.module_utils.report import model

# What no file may hold: ESC, NUL, C1, a bidirectional override, separators that end lines, what XML forbids.
FORBIDDEN = "\x1b\x00\x07\x9b\x7f\u202e\u2066\u2028\ufffe\uffff\ud800"
SCRIPT = "<script>window.hit=1</script>"
HOSTILE = (
    f"{SCRIPT}</script><!--<script>]]></style></title></textarea><img src=x onerror=window.hit=1>"
    "\"'><b onmouseover=hit> ::error::pwned ::error file=a,line=1::b ##vso[task.complete result=Succeeded]"
    " ##[error]x ##teamcity[x] [a](javascript:alert(1)) ![i](https://evil.example/i.png) https://evil.example @all"
    f" `x` ``y`` | a | {{{{ 7*7 }}}} &amp; \x1b[31mred\x1b]8;;https://evil.example\x07{FORBIDDEN}\r\n::stop-commands::x"
)


def document() -> dict[str, t.Any]:
    """Every field that a report knows, filled."""
    found: dict[str, t.Any] = {"version": 1, "unknown": HOSTILE, **filled(model._DOCUMENT)}
    for number, status in enumerate(model.STATUSES):
        found["findings"].append({**found["findings"][0], "status": status, "id": f"{HOSTILE} {number}"})
    topology = found["topology"]
    for by in ("resolve", "dns", "direct", "cluster_ip", "name", "node_port"):
        for status in ("ok", "partial", "failed", "undecided"):
            topology["edges"].append({**topology["edges"][0], "by": by, "status": status})
    return found


def filled(shape: t.Any) -> t.Any:
    """A value of a shape, with an attack wherever a string may be."""
    if isinstance(shape, model._Maybe):
        return filled(shape.shape)
    if isinstance(shape, dict):
        return {key: filled(child) for key, child in shape.items()}
    if isinstance(shape, list):
        return [filled(shape[0])]
    if shape is model._ANY:
        return {HOSTILE: [HOSTILE, {"x": HOSTILE}], "n": 1, "nan": float("nan")}
    if shape is model._COUNTS:
        return {HOSTILE: 3, "ok": 1}
    if shape is model._BLOCK:
        return f"{HOSTILE}\n  {HOSTILE}\n```\n{HOSTILE}"
    return HOSTILE if isinstance(shape, str) or shape is model._PORT else shape
