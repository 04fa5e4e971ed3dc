# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Write the pages of the documentation that are made from the code: the indices, and the rights to diagnose.

    python tests/docs.py [--write]

Without --write, say what is out of date and end with 1 if anything is.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import typing as t
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / ".venv/collections"))

from ansible_collections.plumbline.kubernetes.plugins.module_utils.connectivity.checks import CATALOGUE  # noqa: E402
from ansible_collections.plumbline.kubernetes.plugins.module_utils.connectivity.diagnose import (  # noqa: E402
    components,
    runbooks,
)
from ansible_collections.plumbline.kubernetes.tests.unit.connectivity import rights  # noqa: E402

LICENCE = (
    "Copyright (c) 2026 The plumbline.kubernetes authors",
    "GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)",
    "SPDX-License-Identifier: GPL-3.0-or-later",
)
MADE = "Made from the code by tests/docs.py --write."

INDEX = """# The checks

Every check has an id that stays, and ends as `pass`, `fail`, `warn`, `skipped` or `inconclusive`.

- `fail`: clients are or will surely be harmed. `warn`: dangerous, but clients are served now.
- `skipped`: not looked at, and why; a missing right is named. It never bends the verdict.
- `inconclusive`: looked at without a conclusion, for example because the probe itself failed.

What is complained of was seen twice, while nothing that it rests on changed. `verify` judges the layers that its
option `checks` names, `diagnose` judges all of them; the layers `node`, `outside` and `api_proxy` only with the options
`node_level: true`, `outside: true` and `api_proxy: true`.

In the commands of the pages, fill in what is in capital letters. Where a container has no `wget`, `ping` or shell, ask
from one beside it: `kubectl debug -n demo POD -it --image=busybox`.
"""

WAIVERS = """## Waivers

A complaint that is accepted for a time is named in the option `waivers`, by its id and, with wildcards, its object.
Then it is `skipped`, with the reason. From the day after `until` it counts again, and a warning says so.

```yaml
- plumbline.kubernetes.verify:
    name: my-nginx
    namespace: demo
    waivers:
      - id: TL-06
        object: Service demo/my-nginx
        until: 2026-12-31
        reason: the new CA comes in December
```
"""


CAUSES = """# The causes

A diagnosis names the parts that are wrong by themselves. Each kind of part has a runbook: what it means, how to make
sure, how to mend it, and how to prove that. The field `runbook` of a cause leads there, and so do the reports.

## How to read a cause

- `component` is the part, as `kind` or `kind/instance`: `selector`, `port/80`, `proxy/node-2`. Only the kind matters
  here. `unknown/ID` is a finding that no part explains; its runbook is [the check](checks.md) with that id.
- `confidence` is `certain` where an object of the cluster says so, `likely` where probes failed and everything else on
  their way is proven good, and `possible` where something else is left that would explain it as well.
- `second` is that something else, the second best: begin with what it says would tell the two apart.
- `consequences` are findings that need no cause of their own. They go away with it, so leave them alone.
- `fix` has the next step as text, and where it can be worked out for this very Service also as a line and as a task.
  The runbook has the rest: what else can be behind it, what to watch out for, and in which order.
- There are several causes where one does not explain everything. The first comes first: mend it, then diagnose again.

In the commands, fill in what is in capital letters. Where a container has no `wget`, `ping` or shell, ask from one
beside it: `kubectl debug -n demo POD -it --image=busybox`.

## The parts, in causal order

What comes first can be the cause of what comes later, never the other way round.

| component | what is wrong |
|---|---|
"""


def headings(text: str) -> list[str]:
    """The headings of the second level of a page, without what only looks like one in a block of code."""
    return re.findall(r"^## (.+)$", re.sub(r"^```.*?^```$", "", text, flags=re.DOTALL | re.MULTILINE), re.MULTILINE)


def known(*folders: str) -> set[str]:
    """Every section of the pages of these folders of docs, as `docs/checks/dns.md#dn-01-...`."""
    return {
        f"docs/{folder}/{path.name}#{runbooks.anchor(heading)}"
        for folder in folders
        for path in (ROOT / "docs" / folder).glob("*.md")
        for heading in headings(path.read_text())
    }


def causes() -> str:
    """docs/causes.md."""
    rows = [
        f"| [{kind}]({runbooks.runbook(kind).removeprefix('docs/')}) | {title} |"
        for kind, (_page, title) in components.KINDS.items()
    ]
    return "\n".join(["<!--", *LICENCE, MADE, "-->", "", CAUSES + "\n".join(rows), ""])


def index() -> str:
    """docs/checks.md."""
    parts = ["<!--", *LICENCE, MADE, "-->", "", INDEX]
    for page, checks in CATALOGUE.items():
        parts += [f"## {page}", "", "| id | check | needs the right to |", "|---|---|---|"]
        parts += [
            f"| [{check}](checks/{page}.md#{runbooks.anchor(f'{check} {title}')}) | {title} | {needs} |"
            for check, title, needs in sorted(checks)
        ]
        parts.append("")
    return "\n".join([*parts, WAIVERS])


RIGHTS = """# The rights that diagnose makes use of, and verify with all its checks. Where one is missing, the checks
# that need it are skipped.
#
# The Service is in the namespace {home}, its clients are in {client}, the DNS servers in {dns}: put in your own.
# Clients in the Service's namespace need the Roles of both there.
#
# Each namespace of expect.refused_from needs the Roles for clients, too.
#
# Roles named -api- are enough to judge without asking (probe: false). Roles named -probe- are needed besides, to ask
# from pods. Nothing is done on nodes, and nothing is privileged; for node_level, see diagnose_node.yml, and for
# api_proxy, see diagnose_api_proxy.yml."""


def diagnose_rights() -> str:
    """docs/rights/diagnose.yml."""
    found = [*rights.roles(rights.api(), "api"), *rights.roles(rights.probing(), "probe")]
    head = [f"# {line}" for line in LICENCE]
    told = RIGHTS.format(**rights.WHERE)
    start = ["---", "apiVersion: v1", "kind: List", "items:"]
    return "\n".join([*head, f"#\n# {MADE}\n#", told, *start, *(line for role in found for line in _role(role)), ""])


def _role(role: dict[str, t.Any]) -> list[str]:
    """YAML in the style of the house, which libraries do not write."""
    lines = [f"  - apiVersion: {role['apiVersion']}", f"    kind: {role['kind']}", "    metadata:"]
    lines += [f"      {key}: {value}" for key, value in role["metadata"].items()]
    lines.append("    rules:")
    for rule in role["rules"]:
        group, *_none = rule["apiGroups"]
        lines += [
            f"      - apiGroups: [{group or json.dumps(group)}]",
            f"        resources: [{', '.join(rule['resources'])}]",
            f"        verbs: [{', '.join(rule['verbs'])}]",
        ]
    return lines


PAGES = {"docs/causes.md": causes, "docs/checks.md": index, "docs/rights/diagnose.yml": diagnose_rights}


def main() -> int:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true")
    write = parser.parse_args().write
    stale = [name for name, make in PAGES.items() if not _is(name, make())]
    for name in stale:
        if write:
            (ROOT / name).parent.mkdir(exist_ok=True)
            (ROOT / name).write_text(PAGES[name]())
        print(f"{name}: {'written' if write else 'out of date: python tests/docs.py --write'}")
    return 1 if stale and not write else 0


def _is(name: str, text: str) -> bool:
    path = ROOT / name
    return path.is_file() and path.read_text() == text


if __name__ == "__main__":
    sys.exit(main())
