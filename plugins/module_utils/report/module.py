# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Private to this collection: may change in any release.
"""From files of results to files of a report. The only part of the report that reads and writes."""

from __future__ import annotations

import contextlib
import json
import os
import stat
import tempfile
import typing as t
from datetime import UTC, datetime, timedelta

from ansible.module_utils.basic import AnsibleModule, missing_required_lib

from ..kube.errors import KubeError, OptionError
from .junit import junit
from .markdown import markdown
from .model import Entry, Report, entry
from .page import WORDS, overall, page
from .text import line

try:
    import jinja2  # noqa: F401  # pylint: disable=unused-import

    LIBRARY_ERROR = None
except ImportError:
    import traceback

    LIBRARY_ERROR = traceback.format_exc()

OPTIONS: dict[str, dict[str, t.Any]] = {
    "sources": {
        "type": "list",
        "elements": "dict",
        "required": True,
        "options": {"cluster": {"type": "str", "required": True}, "path": {"type": "path"}},
    },
    "dest": {"type": "path", "required": True},
    "title": {"type": "str", "default": "Is the Service reachable?"},
    "max_age": {"type": "int", "default": 60},
}

NAMES = {"html": "report.html", "junit": "report.xml", "json": "report.json", "markdown": "report.md"}
LARGEST = 64 * 1024 * 1024
PRIVATE = 0o600  # what mkstemp gives


def run() -> t.NoReturn:
    """The module: no cluster is asked, so there is no connection."""
    module = AnsibleModule(argument_spec=OPTIONS, supports_check_mode=True)
    if LIBRARY_ERROR:
        module.fail_json(msg=missing_required_lib("jinja2"), exception=LIBRARY_ERROR)
    try:
        result = act(module.params, datetime.now(UTC), check_mode=module.check_mode)
    except KubeError as error:
        module.fail_json(msg=str(error), **error.details)
    raise SystemExit(module.exit_json(**result))


def act(params: t.Mapping[str, t.Any], now: datetime, *, check_mode: bool) -> dict[str, t.Any]:
    """Write the files that are not yet as they must be, and say what the report says."""
    if params["max_age"] < 0:
        raise OptionError(f"max_age: {params['max_age']} given, at least 0 expected")
    max_age = timedelta(minutes=params["max_age"]) if params["max_age"] else None
    entries = [read(source, now, max_age) for source in params["sources"]]
    report = Report(line(params["title"]), tuple(entries))
    folder = params["dest"]
    if os.path.exists(folder) and not os.path.isdir(folder):
        raise OptionError(f"dest: {folder} is a file, expected a folder")
    texts = {os.path.join(folder, NAMES[kind]): text for kind, text in render(report).items()}
    stale = [path for path, text in texts.items() if not _is(path, text)]
    diff = _diff(os.path.join(folder, NAMES["markdown"]), texts) if stale else {}
    if stale and not check_mode:
        write(folder, {path: texts[path] for path in stale})
    return {
        "changed": bool(stale),
        "msg": message(report),
        "verdict": report.verdict,
        "summary": report.summary,
        "files": {kind: os.path.join(folder, name) for kind, name in NAMES.items()},
        "diff": diff,
    }


def _diff(ticket: str, texts: t.Mapping[str, str]) -> dict[str, str]:
    """Of the ticket, since that is what people read."""
    return {"before_header": ticket, "before": _content(ticket), "after_header": ticket, "after": texts[ticket]}


def render(report: Report) -> dict[str, str]:
    """Every format of a report."""
    return {
        "html": page(report),
        "junit": junit(report),
        "json": json.dumps(report.as_dict(), indent=1, ensure_ascii=False) + "\n",
        "markdown": markdown(report),
    }


def message(report: Report) -> str:
    """One line that stands alone."""
    if len(report.entries) == 1:
        only = report.entries[0]
        return f"{only.cluster}: {WORDS[only.verdict]}: {only.title}"
    return overall(report)


def read(source: t.Mapping[str, t.Any], now: datetime, max_age: timedelta | None) -> Entry:
    """What a source holds; what cannot be read is told by the report, not by an error."""
    cluster, path = source["cluster"], source["path"] or ""
    if not path:
        return entry_without(cluster, "there is no result: no file was named for it")
    try:
        if os.path.getsize(path) > LARGEST:
            return entry_without(cluster, f"the file {path} is larger than {LARGEST >> 20} MiB")
        with open(path, encoding="utf-8") as file:
            document = json.load(file)
    except FileNotFoundError:
        return entry_without(cluster, f"there is no result: {path} was not written")
    except OSError as error:
        return entry_without(cluster, f"{path} cannot be read: {error.strerror}")
    except (ValueError, RecursionError):
        return entry_without(cluster, f"{path} is not JSON")
    return entry(cluster, document, now=now, max_age=max_age)


def entry_without(cluster: str, error: str) -> Entry:
    """A cluster without a result, and why."""
    return Entry(line(cluster, 120), line(error))


def _is(path: str, text: str) -> bool:
    return _content(path) == text and stat.S_IMODE(os.stat(path).st_mode) == PRIVATE


def _content(path: str) -> str:
    try:
        with open(path, encoding="utf-8", newline="") as file:
            return file.read()
    except (OSError, ValueError):
        return ""


def write(folder: str, texts: t.Mapping[str, str]) -> None:
    """Write all files for the owner only; each of them whole, and none before all of them lie ready.

    Raises:
        OptionError: they cannot be written.
    """
    ready: dict[str, str] = {}
    try:
        os.makedirs(folder, mode=0o700, exist_ok=True)
        try:
            for path, text in texts.items():
                handle, ready[path] = tempfile.mkstemp(dir=folder, prefix=".report.")
                with os.fdopen(handle, "w", encoding="utf-8", newline="") as file:
                    file.write(text)
            for path, name in ready.items():
                os.replace(name, path)
        finally:
            for name in ready.values():
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(name)
    except OSError as error:
        raise OptionError(f"dest: {folder} cannot be written: {error.strerror or error}") from error
