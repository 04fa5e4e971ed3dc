# Copyright (c) 2026 The plumbline.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Private to this collection: may change in any release.
"""The drawing of a topology: where each box and line lies. Pure; the page draws it.

From left to right: clients, the Service with its names and certificates, the EndpointSlices, the pods on their nodes.
A way that does not work differs in colour, in its line, by a mark on it, and by words.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, replace

from .model import Json
from .text import duration
from .ways import FAILED, OK, PARTIAL, UNSURE, EndpointRow, Way, endpoints, way

WIDTH = 1120
MOST_PODS = 8
MOST_CLIENTS = 8
MOST_SLICES = 4

_CLIENT_X, _CLIENT_WIDTH = 0, 180
_SERVICE_X, _SERVICE_WIDTH = 350, 230
_SLICE_X, _SLICE_WIDTH = 610, 140
_POD_X, _POD_WIDTH = 870, 250
_TOP, _GAP, _HEAD, _ROW = 34, 14, 30, 17
_NODE_INSIDE = 10
# Characters that have room: in boxes, and beside the marks of lines. Of a pod more is said in its own box.
_SERVICE_TEXT, _POD_TEXT, _CLIENT_LABEL, _POD_LABEL = 30, 30, 17, 10
_STRUCTURE = "none"
IDLE = "idle"
# How far from the middle of a client's box its way to DNS begins, and that to the Service, for marks beside each other.
_APART = 10
# kind of component -> kind of box, where the object of a cause does not say which.
_BOX_OF = {
    "dns": "dns",
    "certificate": "certificate",
    "trust": "certificate",
    "served": "certificate",
    "selector": "service",
}
_KIND_WORDS = {"dns": "the servers of", "certificate": "the", "service": "Service", "node": "node", "pod": "pod"}
_HEADS = ((_CLIENT_X, "Clients"), (_SERVICE_X, "Service"), (_SLICE_X, "EndpointSlices"), (_POD_X, "Pods on nodes"))


@dataclass(frozen=True, slots=True)
class Box:
    """A thing, with its title and what is said of it.

    Attributes:
        kind: `client`, `service`, `dns`, `certificate`, `slice`, `node` or `pod`.
        status: as of a way; empty where there is nothing to say.
        full: what a reader gets who asks for it, since titles are cut.
        badge: which cause is here, empty where none is.
    """

    kind: str
    x: int
    y: int
    width: int
    height: int
    title: str
    lines: tuple[str, ...] = ()
    status: str = ""
    full: str = ""
    badge: str = ""

    @property
    def middle(self) -> int:
        """Where lines begin and end."""
        return self.y + self.height // 2


@dataclass(frozen=True, slots=True)
class Line:
    """A way from one box to another, with a mark and words where it is not good.

    Attributes:
        before: the words stand on the left of the mark.
    """

    path: str
    status: str
    mark: tuple[int, int]
    before: bool
    label: str
    full: str


@dataclass(frozen=True, slots=True)
class Picture:
    """Everything to draw, and the same in words."""

    height: int
    boxes: tuple[Box, ...]
    lines: tuple[Line, ...]
    title: str
    description: str
    heads: tuple[tuple[int, str], ...] = _HEADS


def picture(topology: Json, verdict: str, causes: t.Sequence[Json] = ()) -> Picture:
    """The drawing.

    Args:
        verdict: of the whole. Where all is well, a pod that is not ready is no fault: it may be part of a roll-out.
        causes: those whose place can be seen are marked there.
    """
    return _Drawing(topology, IDLE if verdict == "pass" else FAILED, causes).draw()


def cut(text: str, most: int) -> str:
    """`text` as long as there is room; the middle of a pod's name says least."""
    if len(text) <= most:
        return text
    tail = (most - 1) // 2
    return f"{text[: most - 1 - tail]}…{text[-tail:]}"


class _Drawing:
    def __init__(self, topology: Json, unready: str, causes: t.Sequence[Json]) -> None:
        self.topology = topology
        self.unready = unready
        self.causes = causes
        self.service = topology["service"]
        self.rows = endpoints(topology)
        self.edges: list[Json] = topology["edges"]
        self.boxes: list[Box] = []
        self.lines: list[Line] = []
        self.words: list[str] = []

    def draw(self) -> Picture:
        clients, slices = self._clients(), self._slices()
        middle, (pods, nodes) = self._middle(), self._pods()
        columns = [clients, middle, list(slices.values()), nodes]
        height = max((box.y + box.height for column in columns for box in column), default=_TOP) + _GAP
        shifts = [_shift(column, height) for column in columns]
        clients, middle = _moved(clients, shifts[0]), _moved(middle, shifts[1])
        slices = dict(zip(slices, _moved(list(slices.values()), shifts[2]), strict=True))
        nodes = _moved(nodes, shifts[3])
        behind = [(row, _moved([box], shifts[3])[0]) for row, box in pods]
        self._connect(clients, middle, slices, behind)
        self.boxes = [*nodes, *clients, *middle, *slices.values(), *(box for _row, box in behind)]
        self._mark_causes()
        name = f"{self.service['namespace']}/{self.service['name']}"
        description = " ".join(self.words) or "Every way is good."
        return Picture(height, tuple(self.boxes), tuple(self.lines), f"How clients reach Service {name}", description)

    def _mark_causes(self) -> None:
        """Only the first cause of a box is told there."""
        for number, cause in enumerate(self.causes):
            place = self._place(cause)
            if place is None or self.boxes[place].badge:
                continue
            box = self.boxes[place]
            word = "further cause" if number else "root cause"
            status = PARTIAL if cause["status"] == "warn" else FAILED
            self.boxes[place] = replace(box, badge=word, status=status, full=f"{box.full}; {word}: {cause['title']}")
            self.words.append(f"The {word} is at {_KIND_WORDS.get(box.kind, box.kind)} {box.title}.")

    def _place(self, cause: Json) -> int | None:
        """The box that a cause is about: that of a kind of component, else that of its object."""
        kind = cause["component"].partition("/")[0]
        kinds = [box.kind for box in self.boxes]
        wanted = _BOX_OF.get(kind)
        if wanted in kinds:
            return kinds.index(wanted)
        if kind == "port" or cause["object"] == f"Service {self.service['namespace']}/{self.service['name']}":
            return kinds.index("service")
        what, _blank, name = cause["object"].partition(" ")
        begins = {"Pod": ("pod", name.rpartition("/")[2]), "Node": ("node", f"Node {name}")}.get(what)
        found = [n for n, box in enumerate(self.boxes) if begins and (box.kind, box.full.partition(",")[0]) == begins]
        return found[0] if found else None

    # ----- columns

    def _clients(self) -> list[Box]:
        found, y = [], _TOP
        shown = sorted(self.topology["clients"], key=lambda client: (self._well(client), client["label"]))
        for client in shown[:MOST_CLIENTS]:
            home = f"namespace {cut(client['namespace'], 13)}" if client["node"] else "of the cluster"
            lines: tuple[str, ...] = (home,)
            status = "" if client["works"] else UNSURE
            if not client["works"]:
                lines = (*lines, "no observations")
                self.words.append(f"Client {client['label']} delivered nothing.")
            where = f"on node {client['node']}, namespace {client['namespace']}" if client["node"] else "outside"
            full = f"Client {where} {client['detail']}".strip()
            box = Box("client", _CLIENT_X, y, _CLIENT_WIDTH, _HEAD + _ROW * len(lines), client["label"], lines, status)
            found.append(replace(box, full=full))
            y += box.height + _GAP
        return found + self._more(len(shown) - MOST_CLIENTS, "client", _CLIENT_X, y, _CLIENT_WIDTH, "clients")

    def _well(self, client: Json) -> bool:
        mine = [edge for edge in self.edges if edge["client"] == client["label"]]
        return bool(client["works"]) and all(edge["status"] == OK for edge in mine)

    @staticmethod
    def _more(left: int, kind: str, x: int, y: int, width: int, what: str) -> list[Box]:
        """A box that stands for what there is no room for."""
        return [Box(kind, x, y, width, _HEAD, f"and {left} more {what}")] if left > 0 else []

    def _middle(self) -> list[Box]:
        """DNS, the Service, its certificates."""
        boxes, y = [], _TOP
        for box in (self._dns(), self._service(), *self._certificates()):
            if box:
                boxes.append(replace(box, y=y))
                y += box.height + 2 * _GAP
        return boxes

    def _dns(self) -> Box | None:
        asked = [edge for edge in self.edges if edge["by"] in ("resolve", "dns")]
        if not asked:
            return None
        servers = sorted({edge["to"] for edge in asked if edge["to"] != "dns"})
        lines = []
        for server in servers[:3]:
            seen = way([edge for edge in asked if edge["to"] == server])
            state = "answers" if seen and seen.status == OK else (seen.faults if seen else "")
            lines.append(f"{cut(server, 17)}: {cut(state, 11)}")
            if seen and seen.status != OK:
                self.words.append(f"DNS server {server}: {seen.faults}.")
        lines += self._names()
        whole = way(asked)
        status = whole.status if whole else ""
        return _service_box("dns", "DNS", tuple(lines), status, f"DNS servers {', '.join(servers)}")

    def _names(self) -> list[str]:
        """The names of the Service that clients looked up: each that is not found, else how many are."""
        names: dict[str, list[Json]] = {}
        for edge in self.edges:
            if edge["by"] == "resolve":
                names.setdefault(edge["target"], []).append(edge)
        shortest = sorted(names, key=lambda name: (len(name), name))
        bad = [(name, seen) for name in shortest if (seen := way(names[name])) and seen.status != OK]
        for name, seen in bad:
            self.words.append(f"The name {name}: {seen.faults}.")
        if bad:
            return [f"{cut(name, 17)}: {cut(seen.faults, 11)}" for name, seen in bad[:2]]
        longer = f" and {len(names) - 1} longer" if len(names) > 1 else ""
        return [f"name {cut(shortest[0], 15)}{longer}"] if names else []

    def _service(self) -> Box:
        service = self.service
        addresses = "headless" if service["headless"] else f"cluster IP {', '.join(service['cluster_ips']) or 'none'}"
        ports = [
            f"{port['name'] or 'port'} {port['port']}→{port['target_port']}"
            + (f", NodePort {port['node_port']}" if port["node_port"] else "")
            for port in service["ports"]
        ]
        outside = [f"load balancer {address}" for address in service["addresses"]]
        lines = tuple(cut(text, _SERVICE_TEXT) for text in [addresses, *ports[:4], *outside[:2]])
        full = "; ".join([f"Service {service['namespace']}/{service['name']}", addresses, *ports, *outside])
        return _service_box("service", cut(service["name"], 26), (service["type"], *lines), "", full)

    def _certificates(self) -> list[Box]:
        boxes = []
        for certificate in self.topology["certificates"][:2]:
            names = ", ".join(certificate["names"]) or certificate["subject"]
            until, by = f"until {certificate['not_after'][:10]}", cut(f"by {certificate['issuer']}", _SERVICE_TEXT)
            lines = (cut(names, _SERVICE_TEXT), until, by)
            full = f"{certificate['where']}: {names}, until {certificate['not_after']}, issuer {certificate['issuer']}"
            where = cut(certificate["where"], _SERVICE_TEXT)
            boxes.append(_service_box("certificate", "Certificate", (where, *lines), "", full))
        return boxes

    def _slices(self) -> dict[str, Box]:
        by_slice: dict[str, list[Json]] = {}
        for endpoint in self.topology["endpoints"]:
            by_slice.setdefault(endpoint["slice"], []).append(endpoint)
        if not by_slice:
            self.words.append("The Service has no endpoint.")
            lines = ("nothing to send to",)
            return {"": Box("slice", _SLICE_X, _TOP, _SLICE_WIDTH, _HEAD + _ROW, "no endpoint", lines, self.unready)}
        found, y = {}, _TOP
        for name, members in list(by_slice.items())[:MOST_SLICES]:
            ready = sum(endpoint["ready"] for endpoint in members)
            good = ready == len(members) or self.unready == IDLE
            status = "" if good else (PARTIAL if ready else FAILED)
            lines = (f"{ready} of {len(members)} ready",)
            full = f"EndpointSlice {name}: {lines[0]}"
            found[name] = Box(
                "slice",
                _SLICE_X,
                y,
                _SLICE_WIDTH,
                _HEAD + _ROW,
                cut(name, 18),
                lines,
                "" if status == OK else status,
                full,
            )
            y += found[name].height + _GAP
        return found

    def _pods(self) -> tuple[list[tuple[EndpointRow, Box]], list[Box]]:
        """The pods, worst first, inside the boxes of their nodes."""
        by_node: dict[str, list[EndpointRow]] = {}
        for row in self.rows[:MOST_PODS]:
            by_node.setdefault(row.endpoint["node"], []).append(row)
        pods: list[tuple[EndpointRow, Box]] = []
        nodes: list[Box] = []
        y = _TOP
        for node, rows in sorted(by_node.items()):
            lines, status = self._node(node)
            top, inside = y, y + _HEAD + _ROW * len(lines)
            for row in rows:
                box = self._pod(row, inside)
                pods.append((row, box))
                inside += box.height + _NODE_INSIDE
            title = node or "on no node"
            nodes.append(Box("node", _POD_X, top, _POD_WIDTH, inside - top, title, lines, status, f"Node {node}"))
            y = inside + _GAP
        if not nodes:
            self.words.append("There is no pod.")
            nodes.append(Box("node", _POD_X, y, _POD_WIDTH, _HEAD, "no pod", (), self.unready, "No pod"))
        return pods, nodes + self._more(len(self.rows) - MOST_PODS, "node", _POD_X, y, _POD_WIDTH, "endpoints")

    def _pod(self, row: EndpointRow, y: int) -> Box:
        endpoint, state = row.endpoint, _state(row)
        name = endpoint["pod"] or endpoint["address"]
        where = (
            ", ".join([endpoint["address"], *map(str, endpoint["ports"][:3])]) if endpoint["address"] else "no address"
        )
        status = row.direct.status if row.direct else (UNSURE if endpoint["ready"] else self.unready)
        if not endpoint["ready"]:
            self.words.append(f"Pod {name} is not ready: {row.reason or 'no reason given'}.")
        lines = (cut(where, _POD_TEXT), cut(state, _POD_TEXT))
        full = f"{name}, {where}, {state}"
        x, width = _POD_X + _NODE_INSIDE, _POD_WIDTH - 2 * _NODE_INSIDE
        return Box("pod", x, y, width, _HEAD + 2 * _ROW - 4, cut(name, 30), lines, status, full)

    def _node(self, name: str) -> tuple[tuple[str, ...], str]:
        """What is wrong with a node, and whether its own port answers."""
        seen = way([edge for edge in self.edges if edge["by"] == "node_port" and edge["to"] == name])
        known = {node["name"]: node["ready"] for node in self.topology["nodes"]}
        if known.get(name) is False:
            self.words.append(f"Node {name} is not ready.")
            return ("not ready",), FAILED
        if seen and seen.status != OK:
            self.words.append(f"The NodePort of {name}: {seen.faults}.")
            return (cut(f"NodePort: {seen.faults}", 34),), seen.status
        return (), ""

    # ----- lines

    def _connect(
        self,
        clients: t.Sequence[Box],
        middle: t.Sequence[Box],
        slices: t.Mapping[str, Box],
        pods: t.Sequence[tuple[EndpointRow, Box]],
    ) -> None:
        service = next(box for box in middle if box.kind == "service")
        for client in clients:
            self._client_lines(client, middle)
        for slice_box in slices.values():
            nothing = slice_box.title == "no endpoint"
            self._line(service, slice_box, self.unready if nothing else "", "", "no endpoint" if nothing else "")
        for row, box in pods:
            start = slices.get(row.endpoint["slice"])
            if start is None or not row.endpoint["address"]:
                continue
            status = row.direct.status if row.direct else (UNSURE if row.endpoint["ready"] else self.unready)
            words = row.direct.faults if row.direct and row.direct.status != OK else ""
            self._line(start, box, status, words if len(words) <= _POD_LABEL else "", _state(row), at=0.75)
            if words:
                name = row.endpoint["pod"] or row.endpoint["address"]
                self.words.append(f"Pod {name} asked directly: {words}.")

    def _client_lines(self, client: Box, middle: t.Sequence[Box]) -> None:
        inside = any(one["node"] for one in self.topology["clients"] if one["label"] == client.title)
        entrance = ("cluster_ip", "name") if inside else ("load_balancer", "node_port")
        ends = {"dns": ("resolve", "dns"), "service": entrance}
        kinds = {box.kind for box in middle}
        for box in middle:
            lower = {"dns": -_APART, "service": _APART}.get(box.kind, 0) if "dns" in kinds else 0
            edges = [
                edge for edge in self.edges if edge["client"] == client.title and edge["by"] in ends.get(box.kind, ())
            ]
            seen = way(edges)
            if seen is None:
                continue
            words = seen.faults if seen.status != OK else ""
            what = "DNS" if box.kind == "dns" else "the Service"
            full = f"{client.title} to {what}: {_counted(seen)}"
            self._line(client, box, seen.status, cut(words, _CLIENT_LABEL), full, at=0.12, lower=lower)
            if words:
                self.words.append(f"{client.title} asks {what}: {_counted(seen)}.")

    def _line(self, start: Box, end: Box, status: str, words: str, full: str, at: float = 0.5, lower: int = 0) -> None:
        x1, y1, x2, y2 = start.x + start.width, start.middle + lower, end.x, end.middle
        bend = (x2 - x1) // 2
        path = f"M{x1} {y1} C{x1 + bend} {y1} {x2 - bend} {y2} {x2} {y2}"
        mark = _on_curve((x1, y1), (x1 + bend, y1), (x2 - bend, y2), (x2, y2), at)
        self.lines.append(Line(path, status or _STRUCTURE, mark, at > 0.5, words, full))


def _counted(seen: Way) -> str:
    return f"{seen.answered} of {seen.total} good" + (f", {seen.faults}" if seen.status != OK else "")


def _state(row: EndpointRow) -> str:
    if row.endpoint["terminating"]:
        return "terminating"
    if not row.endpoint["ready"]:
        return f"not ready: {row.reason}" if row.reason else "not ready"
    if row.direct is None:
        return "ready, not asked"
    if row.direct.status == OK:
        return f"answers, {duration(row.direct.ms)}"
    return f"ready, but {row.direct.faults}"


def _service_box(kind: str, title: str, lines: tuple[str, ...], status: str, full: str) -> Box:
    return Box(kind, _SERVICE_X, 0, _SERVICE_WIDTH, _HEAD + _ROW * len(lines), title, lines, status, full)


def _moved(boxes: t.Sequence[Box], by: int) -> list[Box]:
    return [replace(box, y=box.y + by) for box in boxes]


def _shift(column: t.Sequence[Box], height: int) -> int:
    """How far down a column goes to stand in the middle."""
    end = max((box.y + box.height for box in column), default=height)
    return max(0, (height - _GAP - end) // 2)


def _on_curve(
    a: tuple[int, int], b: tuple[int, int], c: tuple[int, int], d: tuple[int, int], at: float
) -> tuple[int, int]:
    """A point of a cubic Bézier curve."""
    weights = ((1 - at) ** 3, 3 * at * (1 - at) ** 2, 3 * at**2 * (1 - at), at**3)
    points = (a, b, c, d)
    x = sum(weight * point[0] for weight, point in zip(weights, points, strict=True))
    y = sum(weight * point[1] for weight, point in zip(weights, points, strict=True))
    return round(x), round(y)
