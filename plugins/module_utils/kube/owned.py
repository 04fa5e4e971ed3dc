# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Private to this collection: may change in any release.
"""Which fields of an object are ours, and laying wanted values over them: pure functions.

Under server-side apply a field that its only owner leaves out is removed. "An option that is omitted is left alone"
therefore means: take what we own out of the live object, lay the given options over it, and apply the whole.

The format of managedFields is that of structured-merge-diff (`fieldpath/serialize-pe.go`): `f:<name>` is a map key,
`k:<json>` an item of a list by its keys, `v:<json>` an item of a set by its value, `i:<n>` one by position, and `.`
the item itself.
"""

from __future__ import annotations

import json
import typing as t

Fields = dict[str, t.Any]


class Whole(dict[str, t.Any]):
    """A map that is one value: it replaces what was there (labels, a selector) where a plain dict is merged."""


class Gone(Whole):
    """A map that shall not be there: it is not sent, so what we own of it goes.

    Sent empty, many a struct would be there, empty, which is another value than none: for a pod template, a roll-out.
    """


class Keyed(list[t.Any]):
    """A list whose items are merged by the value of `keys` (containers by name); a plain list replaces.

    Items that are not in it stay, unless it is the `whole` list.
    """

    def __init__(self, keys: str | tuple[str, ...], items: t.Iterable[t.Any], *, whole: bool = False) -> None:
        super().__init__(items)
        self.keys = (keys,) if isinstance(keys, str) else keys
        self.whole = whole

    def same(self, left: t.Mapping[str, t.Any], right: t.Mapping[str, t.Any]) -> bool:
        """Whether two items are the same one, with perhaps other content."""
        return all(left.get(key) == right.get(key) for key in self.keys)


def fields_of(item: t.Mapping[str, t.Any] | None, manager: str) -> Fields:
    """The union of the field sets that `manager` owns by apply in `item`; empty where there is none."""
    union: Fields = {}
    for entry in ((item or {}).get("metadata") or {}).get("managedFields") or []:
        if entry.get("manager") == manager and entry.get("operation") == "Apply" and not entry.get("subresource"):
            union = merge_fields(union, entry.get("fieldsV1") or {})
    return union


def merge_fields(left: Fields, right: Fields) -> Fields:
    """Union of two field sets."""
    merged = dict(left)
    for key, child in right.items():
        merged[key] = merge_fields(merged.get(key, {}), child)
    return merged


def extract(value: t.Any, fields: Fields) -> t.Any:
    """The part of `value` that `fields` names; what is not there is left out.

    A leaf of the field set stands for the whole value below it: an atomic map or list, or a scalar.
    """
    children = {key: child for key, child in fields.items() if key != "."}
    if not children:
        # `.` alone on a map or list: the container is ours, its present content is not.
        return type(value)() if "." in fields and isinstance(value, (dict, list)) else value
    if isinstance(value, dict):
        names = {key[2:]: child for key, child in children.items() if key.startswith("f:")}
        return {name: extract(value[name], child) for name, child in names.items() if name in value}
    if isinstance(value, list):
        # In the order of the list, not of the field set: what is sent again must not be rearranged.
        found = (_item(value, key, child) for key, child in children.items())
        return [part for _place, part in sorted((item for item in found if item), key=lambda item: item[0])]
    return value


def _item(items: list[t.Any], key: str, fields: Fields) -> tuple[int, t.Any] | None:
    """Place and owned part of the item that `key` names."""
    kind, _colon, text = key.partition(":")
    if kind == "i":
        return (int(text), items[int(text)]) if int(text) < len(items) else None
    wanted = json.loads(text)
    if kind == "v":
        return (items.index(wanted), wanted) if wanted in items else None
    for place, item in enumerate(items):
        if isinstance(item, dict) and all(item.get(name) == value for name, value in wanted.items()):
            # The keys identify the item to the server, so they are sent even where another manager owns them.
            part = extract(item, {**fields, **{f"f:{name}": {} for name in wanted}})
            return place, (part if isinstance(part, dict) else dict(wanted))
    return None


def lay(under: t.Any, over: t.Any) -> t.Any:
    """`over` laid upon `under`: maps are merged, everything else (and :class:`Whole`) replaces; None is left out.

    What is :class:`Gone` is taken out.
    """
    if isinstance(over, Keyed):
        return _lay_items(under if isinstance(under, list) else [], over)
    if isinstance(over, dict):
        base = {} if isinstance(over, Whole) or not isinstance(under, dict) else dict(under)
        for key, value in over.items():
            if isinstance(value, Gone):
                base.pop(key, None)
            elif value is not None:
                base[key] = lay(base.get(key), value)
        return base
    if isinstance(over, list):
        return [lay(None, item) for item in over if item is not None]
    return over


def _lay_items(under: list[t.Any], over: Keyed) -> list[t.Any]:
    if over.whole:
        return [lay(next((known for known in under if over.same(known, item)), None), item) for item in over]
    result = list(under)
    for item in over:
        for index, known in enumerate(result):
            if over.same(known, item):
                result[index] = lay(known, item)
                break
        else:
            result.append(lay(None, item))
    return result


def without_nothing(value: t.Any) -> t.Any:
    """`value` without None and without the maps that become empty by that, for building bodies."""
    if isinstance(value, dict) and not isinstance(value, Whole):
        kept = {key: without_nothing(child) for key, child in value.items() if child is not None}
        return {key: child for key, child in kept.items() if child != {} or isinstance(child, Whole)}
    return value
