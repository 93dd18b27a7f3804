"""The picture of a dependency graph, as numbers for its template."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from migrator.graph_layout import Layout, Place, lay_out

if TYPE_CHECKING:
    from migrator.models import Service
    from migrator.selectors.graph import Graph

WIDTH, HEIGHT = 176, 40
_COLUMN, _ROW = 248, 54
_MARGIN = 16
_LETTERS = 19
"""As many as a box holds; the whole name is in its title."""


@dataclass(frozen=True)
class Box:
    service: Service
    x: int
    y: int
    name: str
    needs: int
    needed_by: int
    focus: bool
    in_cycle: bool


@dataclass(frozen=True)
class Line:
    d: str
    closing: bool
    in_cycle: bool
    says: str


@dataclass(frozen=True)
class Picture:
    width: int
    height: int
    boxes: list[Box]
    lines: list[Line]


def draw(graph: Graph, focus: Service | None = None) -> Picture:
    """Who needs stands on the left, what is needed on the right."""
    known = {service.pk: service for service in graph.services}
    layout = lay_out(list(known), graph.edges)
    turning = {(a.pk, b.pk) for cycle in graph.cycles for a, b in pairwise(cycle)}
    inside = {pk for edge in turning for pk in edge}
    needs: dict[int, int] = dict.fromkeys(known, 0)
    needed: dict[int, int] = dict.fromkeys(known, 0)
    for a, b in graph.edges:
        needs[a] += 1
        needed[b] += 1
    boxes = [
        Box(
            service=service,
            x=_x(place),
            y=_y(place),
            name=_short(service.name),
            needs=needs[pk],
            needed_by=needed[pk],
            focus=focus is not None and pk == focus.pk,
            in_cycle=pk in inside,
        )
        for pk, service in known.items()
        for place in [layout.places[pk]]
    ]
    # In the order of reading, which is also that of the keyboard.
    boxes.sort(key=lambda box: (box.x, box.y))
    lines = [
        Line(
            d=_line(layout, edge),
            closing=edge in layout.closing,
            in_cycle=edge in turning,
            says=f"{known[edge[0]]} needs {known[edge[1]]}",
        )
        for edge in layout.lines
    ]
    # What closes a cycle is drawn last, above the others.
    lines.sort(key=lambda line: (line.in_cycle, line.closing))
    return Picture(
        width=max(layout.layers - 1, 0) * _COLUMN + WIDTH + 2 * _MARGIN,
        height=round(max(layout.height - 1, 0) * _ROW) + HEIGHT + 2 * _MARGIN,
        boxes=boxes,
        lines=lines,
    )


def _x(place: Place) -> int:
    return _MARGIN + place.layer * _COLUMN


def _y(place: Place) -> int:
    return _MARGIN + round(place.y * _ROW)


def _line(layout: Layout[int], edge: tuple[int, int]) -> str:
    """From the needing box to the needed one; a closing line leaves left and arrives right."""
    first, last = layout.places[edge[0]], layout.places[edge[1]]
    back = edge in layout.closing
    middle = HEIGHT // 2
    points = [(_x(first) + (0 if back else WIDTH), _y(first) + middle)]
    for bend in layout.lines[edge]:
        ends = [(_x(bend), _y(bend) + middle), (_x(bend) + WIDTH, _y(bend) + middle)]
        points += ends[::-1] if back else ends
    points.append((_x(last) + (WIDTH if back else 0), _y(last) + middle))
    x, y = points[0]
    parts = [f"M{x} {y}"]
    for at in range(1, len(points)):
        (x1, y1), (x2, y2) = points[at - 1], points[at]
        if y1 == y2:
            parts.append(f"L{x2} {y2}")
        else:
            half = (x1 + x2) // 2
            parts.append(f"C{half} {y1} {half} {y2} {x2} {y2}")
    return "".join(parts)


def _short(name: str) -> str:
    return name if len(name) <= _LETTERS else f"{name[: _LETTERS - 1]}…"
