# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What nslookup prints, by the pod's own resolver: which servers it asks, and what they answer."""

from __future__ import annotations

import json
import socket
from pathlib import Path

lines = [line.split() for line in Path("/etc/resolv.conf").read_text().splitlines()]
addresses = {info[4][0] for info in socket.getaddrinfo("my-nginx", None)}
servers = [line[1] for line in lines if line[:1] == ["nameserver"]]
print(json.dumps({"servers": servers, "addresses": sorted(addresses)}))
