# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Private to this collection: may change in any release.
"""The checks: pure functions from what was seen to findings, one file per layer."""

from __future__ import annotations

import types

from ..look import Look
from ..result import Finding
from . import (
    api_proxy,
    client,
    control,
    dns,
    endpoints,
    environment,
    http,
    infrastructure,
    node,
    outside,
    policy,
    service,
    workload,
)

# In the order in which a reader wants them. AnsiballZ ships what is imported, so every layer is named here; a test
# holds this list against the folder.
LAYERS: tuple[types.ModuleType, ...] = (
    control,
    infrastructure,
    node,
    workload,
    service,
    policy,
    client,
    endpoints,
    environment,
    dns,
    http,
    outside,
    api_proxy,
)
ALWAYS = (control.NAME,)

# By page of the documentation: (id, title, rights) of every check. TLS is a part of the layer http.
CATALOGUE: dict[str, tuple[tuple[str, str, str], ...]] = {
    **{layer.NAME: layer.CHECKS for layer in LAYERS},
    "tls": http.TLS_CHECKS,
}
IDS = frozenset(check for checks in CATALOGUE.values() for check, _title, _rights in checks)


def judge(look: Look) -> list[Finding]:
    """The findings of all layers that the question asks for."""
    wanted = (*look.question.layers, *(ALWAYS if look.question.probes or look.facts.late else ()))
    return [finding for layer in LAYERS if layer.NAME in wanted for finding in layer.check(look)]
