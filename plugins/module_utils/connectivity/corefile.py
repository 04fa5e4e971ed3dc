# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Private to this collection: may change in any release.
"""What CoreDNS's configuration makes of one name, as far as the text tells. Pure.

Plugins act in the order of CoreDNS's plugin.cfg, not of the file: rewrite, template and hosts before kubernetes.
"""

from __future__ import annotations

import re
import typing as t
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

DNS_PORT = 53
_KINDS_OF_MATCH = ("exact", "prefix", "suffix", "substring", "regex")


@dataclass(frozen=True, slots=True)
class Line:
    """A directive with those in its braces."""

    number: int
    words: tuple[str, ...]
    inner: tuple[Line, ...] = ()

    @property
    def text(self) -> str:
        """As it is written, for people."""
        return " ".join(self.words)

    @property
    def is_server(self) -> bool:
        """Whether a block of the file serves zones; others are snippets."""
        return not self.text.startswith("(")

    def named(self, name: str) -> Iterator[Line]:
        """The directives of one name within."""
        return (line for line in self.inner if line.words and line.words[0] == name)


@dataclass(frozen=True, slots=True)
class Corefile:
    """The server blocks.

    Attributes:
        broken: what cannot be read, e.g. an open brace; empty for a good file.
    """

    blocks: tuple[Line, ...]
    broken: str = ""


def parse(text: str) -> Corefile:
    """Read it as coredns/caddy does: words, comments, and braces at the end of a line."""
    lines = [(number, _words(line)) for number, line in enumerate(text.splitlines(), 1)]
    rest = [(number, words) for number, words in lines if words]
    found, left, broken = _block(rest, 0)
    if not broken and left < len(rest):
        broken = f"line {rest[left][0]}: a brace is closed that was not opened"
    return Corefile(tuple(found), broken)


def _words(line: str) -> tuple[str, ...]:
    """Words in quotes keep their spaces; a comment starts a word."""
    found = [quoted or plain for quoted, plain in re.findall(r'"((?:[^"\\]|\\.)*)"|(\S+)', line)]
    comment = next((place for place, word in enumerate(found) if word.startswith("#")), len(found))
    return tuple(found[:comment])


def _block(lines: t.Sequence[tuple[int, tuple[str, ...]]], start: int) -> tuple[list[Line], int, str]:
    """The directives up to the brace that ends the block that `start` is in, and where it ends."""
    found: list[Line] = []
    place = start
    while place < len(lines) and lines[place][1] != ("}",):
        number, words = lines[place]
        place += 1
        if words[-1] != "{":
            found.append(Line(number, words))
            continue
        inner, place, broken = _block(lines, place)
        if broken:
            return found, place, broken
        if place >= len(lines):
            return found, place, f"line {number}: the brace is never closed"
        found.append(Line(number, words[:-1], tuple(inner)))
        place += 1
    return found, place, ""


# ----- which block answers


def zones(words: Iterable[str]) -> Iterator[tuple[str, int]]:
    """Zones with their ports out of the head of a server block; those of other protocols than DNS are left out."""
    for word in " ".join(words).replace(",", " ").split():
        scheme, slashes, rest = word.rpartition("://")
        name, colon, number = rest.rpartition(":")
        if slashes and scheme != "dns":
            continue
        if colon and number.isdigit():
            yield absolute(name), int(number)
        else:
            yield absolute(rest), DNS_PORT


def absolute(name: str) -> str:
    """Lower case, with a dot at the end."""
    return f"{name.strip('.').lower()}."


def within(name: str, zone: str) -> bool:
    """Whether a name is in a zone; both absolute."""
    return zone == "." or name == zone or name.endswith(f".{zone}")


def serving(corefile: Corefile, name: str) -> Line | None:
    """The block that answers for a name: the one with the longest zone that it is in."""
    fitting = [
        (len(zone), -block.number, block)
        for block in corefile.blocks
        for zone, _port in zones(block.words)
        if within(name, zone) and block.is_server
    ]
    return max(fitting, key=lambda item: item[:2])[2] if fitting else None


def ports(corefile: Corefile) -> set[int]:
    """The ports that it serves DNS on."""
    return {port for block in corefile.blocks if block.is_server for _zone, port in zones(block.words)}


def domains(corefile: Corefile) -> list[str]:
    """The domains of the cluster, those that plugin kubernetes answers for, without reverse zones."""
    found = [zone for block in corefile.blocks for line in block.named("kubernetes") for zone in _own(line, block)]
    return [zone.strip(".") for zone in found if zone != "." and not zone.endswith(".arpa.")]


def _own(line: Line, block: Line) -> list[str]:
    """The zones of a plugin: its own, else those of its block."""
    return [absolute(word) for word in line.words[1:]] or [zone for zone, _port in zones(block.words)]


# ----- what becomes of a name


def capture(corefile: Corefile, name: str, namespace: str, addresses: t.Collection[str]) -> tuple[int, str]:
    """The line that keeps a Service's name from plugin kubernetes, and why; `(0, "")` where none does.

    Args:
        name: the Service's full name.
        addresses: of the Service: an entry of plugin hosts with one of these does no harm.
    """
    name = absolute(name)
    block = serving(corefile, name)
    if block is None:
        return 0, ""
    for line in (*block.named("rewrite"), *block.named("template"), *block.named("hosts")):
        if _CAPTURES[line.words[0]](line, block, name, addresses):
            return line.number, f"`{line.text}` comes first"
    return _not_kubernetes(corefile, block, name, namespace)


def _not_kubernetes(corefile: Corefile, block: Line, name: str, namespace: str) -> tuple[int, str]:
    for line in block.named("kubernetes"):
        limits = [word for inner in line.named("namespaces") for word in inner.words[1:]]
        if any(within(name, zone) for zone in _own(line, block)):
            return (
                (line.number, f"only namespaces {', '.join(limits)} are served")
                if _outside(namespace, limits)
                else (0, "")
            )
    if any(block.named("import")) or not domains(corefile):
        return 0, ""  # The rest is in files that are not known, or another server has the cluster's names.
    return block.number, f"the block `{block.text}` answers for it without plugin kubernetes"


def _outside(namespace: str, limits: t.Collection[str]) -> bool:
    return bool(limits) and namespace not in limits


def _rewrites(line: Line, _block: Line, name: str, _addresses: t.Collection[str]) -> bool:
    """https://coredns.io/plugins/rewrite: `rewrite [continue|stop] name [exact|prefix|...] FROM TO`."""
    rules = [inner.words for inner in line.inner] or [line.words[1:]]
    return any(_rewritten(words, name) != name for words in rules)


def _rewritten(words: t.Sequence[str], name: str) -> str:
    words = [word for word in words if word not in ("continue", "stop")]
    if len(words) < 3 or words[0] != "name":
        return name
    kind, (start, end) = ("exact", words[1:3]) if words[1] not in _KINDS_OF_MATCH else (words[1], [*words[2:4], ""][:2])
    if kind == "exact":
        return absolute(end) if absolute(start) == name else name
    if kind == "suffix":
        tail = absolute(start)
        return name.removesuffix(tail) + absolute(end) if name.endswith(tail) else name
    if kind == "prefix":
        return end + name.removeprefix(start) if name.startswith(start) else name
    if kind == "substring":
        return name.replace(start, end)
    return "" if _matches(start, name) else name


def _matches(pattern: str, name: str) -> bool:
    """Go's expressions are nearly Python's; one that is not counts as none."""
    try:
        return bool(re.search(pattern, name))
    except re.error:
        return False


def _templated(line: Line, block: Line, name: str, addresses: t.Collection[str]) -> bool:
    """https://coredns.io/plugins/template: `template CLASS TYPE [ZONE...] { match REGEX... }`."""
    words = line.words[1:]
    kind = words[1].upper() if len(words) > 1 else "ANY"
    wanted = {"ANY", *("AAAA" if ":" in address else "A" for address in addresses)}
    of = [absolute(word) for word in words[2:]] or [zone for zone, _port in zones(block.words)]
    patterns = [pattern for inner in line.named("match") for pattern in inner.words[1:]]
    fits = any(within(name, zone) for zone in of)
    return kind in wanted and fits and (not patterns or any(_matches(pattern, name) for pattern in patterns))


def _hosted(line: Line, _block: Line, name: str, addresses: t.Collection[str]) -> bool:
    """https://coredns.io/plugins/hosts: lines `ADDRESS NAME...` within."""
    return any(
        name in map(absolute, inner.words[1:]) and inner.words[0] not in addresses
        for inner in line.inner
        if inner.words and (inner.words[0][0].isdigit() or ":" in inner.words[0])
    )


_CAPTURES: dict[str, t.Callable[[Line, Line, str, t.Collection[str]], bool]] = {
    "rewrite": _rewrites,
    "template": _templated,
    "hosts": _hosted,
}
