# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What was seen of a real fault, as a file: a look with its findings, to be judged again in milliseconds."""

from __future__ import annotations

import base64
import gzip
import json
import typing as t
from datetime import datetime
from pathlib import Path

from cattrs.preconf.json import make_converter

from ansible_collections.plumbline.kubernetes.plugins.module_utils.connectivity import look as looks
from ansible_collections.plumbline.kubernetes.plugins.module_utils.connectivity.look import Look, Observation
from ansible_collections.plumbline.kubernetes.plugins.module_utils.connectivity.result import Finding
from ansible_collections.plumbline.kubernetes.plugins.module_utils.connectivity.scope import Vantage

_BYTES = "base64"
_converter = make_converter()
_converter.register_unstructure_hook(datetime, lambda when: when.isoformat())
_converter.register_structure_hook(datetime, lambda text, _type: datetime.fromisoformat(text))
# Fields that hold plain JSON, or a number or a word.
_PLAIN = (t.Any, int | str, t.Mapping[str, t.Any], dict[str, t.Any])
_converter.register_structure_hook_func(lambda kind: kind in _PLAIN, lambda value, _type: _unpacked(value))
_converter.register_unstructure_hook(bytes, lambda value: {_BYTES: base64.b64encode(value).decode("ascii")})


def _unpacked(value: t.Any) -> t.Any:
    """Certificates among plain JSON become bytes again."""
    if isinstance(value, dict):
        if set(value) == {_BYTES}:
            return base64.b64decode(value[_BYTES])
        return {key: _unpacked(child) for key, child in value.items()}
    return [_unpacked(child) for child in value] if isinstance(value, list) else value


def save(file: Path, look: Look, findings: t.Sequence[Finding]) -> None:
    """Write a look and the findings that were confirmed."""
    plain = {
        field: _converter.unstructure(getattr(look, field))
        for field in look.__slots__
        if field not in ("observations", "lost")
    }
    plain["observations"] = [
        [_converter.unstructure(vantage), key, _converter.unstructure(seen)]
        for (vantage, key), seen in look.observations.items()
    ]
    plain["lost"] = [[_converter.unstructure(vantage), why] for vantage, why in look.lost.items()]
    confirmed = [[finding.id, finding.object, finding.field, finding.status] for finding in findings]
    file.parent.mkdir(parents=True, exist_ok=True)
    # What could not be asked names the file of the connection.
    text = json.dumps({"look": plain, "findings": confirmed}, sort_keys=True).replace(f"{Path.home()}/", "~/")
    # No name and no time in the header: the same look is the same file.
    with file.open("wb") as raw, gzip.GzipFile(filename="", mode="wb", fileobj=raw, mtime=0) as packed:
        packed.write(text.encode("utf-8"))


def load(file: Path) -> tuple[Look, list[tuple[str, str, str, str]]]:
    """The look, and (id, object, field, status) of each finding as it stood in the end."""
    with gzip.open(file, "rt", encoding="utf-8") as packed:
        document = json.load(packed)
    plain = document["look"]
    hints = t.get_type_hints(Look, vars(looks) | {"t": t, "datetime": datetime})
    values = {
        field: _converter.structure(plain[field], hints[field])
        for field in plain
        if field not in ("observations", "lost")
    }
    values["observations"] = {
        (_converter.structure(vantage, Vantage), key): _converter.structure(seen, Observation)
        for vantage, key, seen in plain["observations"]
    }
    values["lost"] = {_converter.structure(vantage, Vantage): why for vantage, why in plain["lost"]}
    return Look(**values), [tuple(item) for item in document["findings"]]
