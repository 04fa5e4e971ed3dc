# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Private to this collection: may change in any release.
"""Errors about keys and certificates: one line each, which never quotes the material itself."""

from __future__ import annotations

from ..kube.errors import KubeError


class PkiError(KubeError):
    """A key, a certificate or a passphrase cannot be used as it is."""
