# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Private to this collection: may change in any release.
"""What was probably meant: the label, port or name that is nearest to one that leads nowhere. Pure."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

# How alike two words must be (1 is equal) before one counts as a misspelling of the other.
_ALIKE = 0.6
# The one label of a selector says more than one of several: it must be really near.
_ALONE = 0.5

Pair = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Miss:
    """Labels that a selector misses by little.

    Attributes:
        wrong: the pair of the selector that is not among the labels.
        instead: what is: another value of the key, or the same value under another key; None where the label lacks.
        selector: the whole selector that would select them; empty where the label lacks.
        names: who has these labels.
    """

    wrong: Pair
    instead: Pair | None
    selector: Mapping[str, str]
    names: tuple[str, ...]

    @property
    def label(self) -> str:
        """`run=my-nginx`, or `no run`."""
        return "=".join(self.instead) if self.instead else f"no {self.wrong[0]}"

    @property
    def text(self) -> str:
        """For people, as a clause."""
        return f"nearest: {len(self.names)} pod(s) with {self.label}, e.g. {self.names[0]}"


def miss(selector: Sequence[tuple[str, str]], labelled: Iterable[tuple[str, Mapping[str, str]]]) -> Miss | None:
    """Who misses the selector by one label, as a typing error would; the nearest, then the most numerous.

    Args:
        labelled: names with labels.
    """
    groups: dict[tuple[Pair, Pair | None], list[str]] = {}
    for name, labels in labelled:
        wrong = [(key, value) for key, value in selector if labels.get(key) != value]
        if len(wrong) != 1:
            continue
        instead = _instead(*wrong[0], labels, dict(selector))
        if len(selector) > 1 or (instead and _near(wrong[0], instead)):
            groups.setdefault((wrong[0], instead), []).append(name)
    if not groups:
        return None
    best = max(groups, key=lambda pair: (_likeness(*pair), len(groups[pair]), str(pair)))
    wrong_pair, right = best
    wanted = dict(right if pair == wrong_pair else pair for pair in selector) if right else {}
    return Miss(wrong_pair, right, wanted, tuple(sorted(groups[best])))


def _instead(key: str, value: str, labels: Mapping[str, str], selector: Mapping[str, str]) -> Pair | None:
    """What labels have in the place of a pair: another value, or the same value under a key of a similar name."""
    if key in labels:
        return key, labels[key]
    same = [other for other, found in labels.items() if found == value and other not in selector]
    return (max(same, key=lambda other: (_ratio(key, other), other)), value) if same else None


def _likeness(wanted: Pair, found: Pair | None) -> float:
    """How alike two labels are: 1 is equal."""
    return (_ratio(wanted[0], found[0]) + _ratio(wanted[1], found[1])) / 2 if found else 0.0


def _near(wanted: Pair, found: Pair) -> bool:
    return wanted[1] == found[1] or _ratio(wanted[1], found[1]) >= _ALONE


def _ratio(one: str, other: str) -> float:
    return difflib.SequenceMatcher(None, one, other, autojunk=False).ratio()


def word(wanted: str, known: Iterable[str]) -> str:
    """The known word that `wanted` is a misspelling of, or an empty string."""
    return next(iter(difflib.get_close_matches(wanted, sorted(set(known)), n=1, cutoff=_ALIKE)), "")


def port(wanted: int, known: Iterable[int]) -> int | None:
    """The known port that `wanted` is most like by its digits, then by its number; None where none is known."""
    text = str(wanted)
    return max(sorted(set(known)), key=lambda number: (_ratio(text, str(number)), -abs(number - wanted)), default=None)
