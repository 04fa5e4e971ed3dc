# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What every module says about check mode, diff mode, repetition and its action group."""

from __future__ import annotations


class ModuleDocFragment:
    # A module adds `support` (and `details`, where support is not full) for the first three.
    DOCUMENTATION = r"""
options: {}
attributes:
  check_mode:
    description: Can run in C(check_mode) and return the changed status of a real run, without changing anything.
  diff_mode:
    description: Returns the details of what has changed, or in check mode would change, when run in diff mode.
  idempotent:
    description: When run twice in a row with the same options, the second run changes nothing.
  action_group:
    description: Use C(group/plumbline.kubernetes.k8s) in C(module_defaults) to set options of all of them at once.
    support: full
    membership:
      - plumbline.kubernetes.k8s
"""

    # Of modules that ask no cluster, and so are not in the action group.
    LOCAL = r"""
options: {}
attributes:
  check_mode:
    description: Can run in C(check_mode) and return the changed status of a real run, without changing anything.
  diff_mode:
    description: Returns the details of what has changed, or in check mode would change, when run in diff mode.
  idempotent:
    description: When run twice in a row with the same options, the second run changes nothing.
"""
