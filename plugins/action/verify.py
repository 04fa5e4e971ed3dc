# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs the module of the same name, in this process where it can. One file for all modules; the others are links."""

from __future__ import annotations

from ansible_collections.plumbline.kubernetes.plugins.plugin_utils.here import action_of

ActionModule = action_of(__name__)
