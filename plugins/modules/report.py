#!/usr/bin/python
# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Module: results as a page, for CI servers, for programs and for a ticket."""

from __future__ import annotations

DOCUMENTATION = r"""
module: report
short_description: Show results as an HTML page, as JUnit XML, as JSON and as a ticket in Markdown
version_added: 0.1.0
author:
  - The plumbline.kubernetes authors (@plumbline)
description:
  - Turns the files that M(plumbline.kubernetes.verify) and M(plumbline.kubernetes.diagnose) write by their option
    C(dest) into a report. Several clusters make one report.
  - Writes C(report.html), C(report.xml), C(report.json) and C(report.md), for the owner only, all of them or none.
  - The page needs nothing but itself. It loads nothing, and its content security policy forbids it to.
  - A cluster whose file is missing is in the report as an error. So a CI server learns of a set-up that failed.
  - Asks no cluster. It belongs where the files are, which is mostly the controller.
extends_documentation_fragment:
  - plumbline.kubernetes.attributes.local
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
    details: Shows how the ticket changes, since it says in short what the other files say at length.
  idempotent:
    support: full
    details: The same results give the same files. Results that grow older than O(max_age) meanwhile count no more.
options:
  sources:
    description: Where the results are, one entry for each cluster, or for each Service of one.
    type: list
    elements: dict
    required: true
    suboptions:
      cluster:
        description: How the report calls it.
        type: str
        required: true
      path:
        description: The file with the result. Without it, or when there is no such file, the report says so.
        type: path
  dest:
    description: The folder for the report. It is made if it is not there.
    type: path
    required: true
  title:
    description: The title of the report.
    type: str
    default: Is the Service reachable?
  max_age:
    description:
      - After how many minutes a result counts as missing, so that a run that brought none does not show an earlier one.
      - V(0) takes results of any age.
    type: int
    default: 60
requirements:
  - python >= 3.11
  - jinja2 >= 3.0
seealso:
  - module: plumbline.kubernetes.verify
"""

EXAMPLES = r"""
- name: Show what was found on two clusters
  plumbline.kubernetes.report:
    sources:
      - cluster: blue
        path: results/blue.json
      - cluster: green
        path: results/green.json
    dest: report
"""

RETURN = r"""
msg:
  description: One line that stands alone.
  returned: always
  type: str
  sample: "2 clusters: 1 broken, 1 good"
verdict:
  description: The worst verdict. One of V(error), V(fail), V(inconclusive), V(warn), V(pass) and V(skipped).
  returned: success
  type: str
  sample: fail
summary:
  description: How many clusters there are of each verdict.
  returned: success
  type: dict
  sample: {"error": 0, "fail": 1, "inconclusive": 0, "warn": 0, "pass": 1, "skipped": 0}
files:
  description: Where each format is.
  returned: success
  type: dict
  sample: {"html": "report/report.html", "junit": "report/report.xml", "json": "report/report.json",
    "markdown": "report/report.md"}
"""

from ansible_collections.plumbline.kubernetes.plugins.module_utils.report.module import run


def main() -> None:
    """Entry point."""
    run()


if __name__ == "__main__":
    main()
