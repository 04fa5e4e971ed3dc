# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ask the Service over and over, each time by a new connection, until told to stop; then say how it went."""

from __future__ import annotations

import http.client
import json
import os
import sys
import time

started = time.monotonic()
answered, lost = 0, []
# The limit only bounds a run that nobody stops.
while not os.path.exists("/tmp/stop") and time.monotonic() - started < 300:
    connection = http.client.HTTPConnection(sys.argv[1], 80, timeout=5)
    try:
        connection.request("GET", "/")
        response = connection.getresponse()
        whole = b"Welcome to nginx!" in response.read()
        if response.status == 200 and whole:
            answered += 1
        else:
            lost.append(f"status {response.status}")
    except (OSError, http.client.HTTPException) as error:
        lost.append(repr(error))
    finally:
        connection.close()
    time.sleep(0.02)
print(json.dumps({"answered": answered, "lost": lost[:20], "seconds": round(time.monotonic() - started, 1)}))
