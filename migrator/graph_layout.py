"""Where the nodes of a dependency graph go: in layers, from who needs to what is needed.

Knows nothing of services and draws nothing. Every graph has a layout, a cyclic one too: the edges
that close a cycle are laid out the other way round and said so.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Generic, TypeVar

Node = TypeVar("Node", bound=Hashable)
_SWEEPS = 6
_NUDGES = 8
_BENDS_MAX = 6000
NODE_GAP = 1.0
"""Distance of two neighbours in a layer. A line that only passes needs less."""
LINE_GAP = 0.45


@dataclass(frozen=True)
class Place:
    """`layer` counts from the left, `y` from the top in units of `NODE_GAP`."""

    layer: int
    y: float


@dataclass
class Layout(Generic[Node]):
    places: dict[Node, Place] = field(default_factory=dict)
    lines: dict[tuple[Node, Node], list[Place]] = field(default_factory=dict)
    """By edge, what its line passes between its two ends, from the first to the second."""
    closing: set[tuple[Node, Node]] = field(default_factory=set)
    """Edges that close a cycle: without them there would be none."""

    @property
    def layers(self) -> int:
        return 1 + max((place.layer for place in self.places.values()), default=-1)

    @property
    def height(self) -> float:
        every = [*self.places.values(), *(p for line in self.lines.values() for p in line)]
        return max((place.y for place in every), default=-NODE_GAP) + NODE_GAP


def cycles(
    nodes: Iterable[Node], edges: Iterable[tuple[Node, Node]], most: int = 20
) -> list[list[Node]]:
    """One shortest cycle of every knot (strongly connected part), its first node at its end again.

    Linear in the size of the graph, and without recursion: a chain may be as long as it likes.
    """
    left = _without_ends(list(edges))
    after = _after(left)
    found: list[list[Node]] = []
    inside = {node for edge in left for node in edge}
    for knot in _knots([node for node in nodes if node in inside], after):
        if len(found) == most:
            break
        if len(knot) > 1:
            start = knot[0]
            found.append(path(start, start, after, set(knot)))
    return found


def _without_ends(edges: list[tuple[Node, Node]]) -> list[tuple[Node, Node]]:
    """Without most of the edges that no cycle can go through: where nothing leads in, or nothing
    out. Of a real inventory little is left, and what is done with it costs far more an edge."""
    while True:
        middle = {a for a, _b in edges} & {b for _a, b in edges}
        kept = [(a, b) for a, b in edges if a in middle and b in middle]
        # Each round takes a tenth at least, so all of them together are linear still.
        if len(kept) * 10 > len(edges) * 9 or not kept:
            return kept
        edges = kept


def path(
    start: Node, end: Node, after: dict[Node, list[Node]], inside: set[Node] | None = None
) -> list[Node]:
    """A shortest way of at least one step from `start` to `end`, both in it; or nothing."""
    came: dict[Node, Node] = {}
    waiting = deque([start])
    while waiting:
        node = waiting.popleft()
        for following in after.get(node, ()):
            if inside is not None and following not in inside:
                continue
            if following == end:
                way = [end, node]
                while way[-1] != start:
                    way.append(came[way[-1]])
                return way[::-1]
            if following not in came and following != start:
                came[following] = node
                waiting.append(following)
    return []


def lay_out(nodes: Sequence[Node], edges: Iterable[tuple[Node, Node]]) -> Layout[Node]:
    """Layers by the longest way from the left, few crossings, straight lines where they can be.

    The same nodes and edges in the same order always give the same layout.
    """
    known = set(nodes)
    clean = [(a, b) for a, b in dict.fromkeys(edges) if a in known and b in known and a != b]
    layout: Layout[Node] = Layout(closing=_closing(nodes, clean))
    # A closing edge is laid out backwards, so that its ends still have layers of their own.
    forward = {e: (e[1], e[0]) if e in layout.closing else e for e in clean}
    layer = _layers(nodes, list(forward.values()))
    rows: list[list[object]] = [[] for _ in range(1 + max(layer.values(), default=-1))]
    for node in nodes:
        rows[layer[node]].append(node)
    # Where nearly everything needs everything, no line can be followed: straight ones will do.
    bent = sum(layer[b] - layer[a] for a, b in forward.values()) <= _BENDS_MAX
    links: dict[tuple[object, object], None] = {}
    chains: dict[tuple[Node, Node], list[_Bend]] = {}
    known_bends: set[_Bend] = set()
    for edge, (a, b) in forward.items():
        passed = range(layer[a] + 1, layer[b]) if bent else ()
        # Lines to the same place join on their way, like the wires of one loom.
        chain = [_Bend(b, edge in layout.closing, at) for at in passed]
        chains[edge] = chain
        for bend in chain:
            if bend not in known_bends:
                known_bends.add(bend)
                rows[bend.layer].append(bend)
        whole: list[object] = [a, *chain, b]
        links.update(dict.fromkeys(pairwise(whole)))
    _order(rows, list(links))
    y = _heights(rows, list(links))
    layout.places = {node: Place(layer[node], y[node]) for node in nodes}
    for edge, chain in chains.items():
        bends = [Place(bend.layer, y[bend]) for bend in chain]
        layout.lines[edge] = bends[::-1] if edge in layout.closing else bends
    return layout


@dataclass(frozen=True)
class _Bend:
    """Where long lines to one place pass a layer; those that close a cycle pass apart."""

    to: object
    closing: bool
    layer: int


def _after(edges: Iterable[tuple[Node, Node]]) -> dict[Node, list[Node]]:
    after: dict[Node, list[Node]] = defaultdict(list)
    for a, b in edges:
        after[a].append(b)
    return dict(after)


def _knots(nodes: list[Node], after: dict[Node, list[Node]]) -> list[list[Node]]:
    """Strongly connected parts (Tarjan), by the order of `nodes`."""
    number: dict[Node, int] = {}
    low: dict[Node, int] = {}
    stack: list[Node] = []
    on_stack: set[Node] = set()
    knots: list[list[Node]] = []
    for root in nodes:
        if root in number:
            continue
        work: list[tuple[Node, int]] = [(root, 0)]
        while work:
            node, step = work.pop()
            if step == 0:
                number[node] = low[node] = len(number)
                stack.append(node)
                on_stack.add(node)
            following = after.get(node, [])
            if step:
                low[node] = min(low[node], low[following[step - 1]])
            while step < len(following):
                other = following[step]
                step += 1
                if other not in number:
                    work += [(node, step), (other, 0)]
                    break
                if other in on_stack:
                    low[node] = min(low[node], number[other])
            else:
                if low[node] == number[node]:
                    knot = [stack.pop()]
                    while knot[-1] != node:
                        knot.append(stack.pop())
                    on_stack.difference_update(knot)
                    knots.append(knot)
    place = {node: at for at, node in enumerate(nodes)}
    knots = [sorted(knot, key=place.__getitem__) for knot in knots]
    return sorted(knots, key=lambda knot: place[knot[0]])


def _closing(nodes: Sequence[Node], edges: list[tuple[Node, Node]]) -> set[tuple[Node, Node]]:
    after = _after(edges)
    entered = {b for _a, b in edges}
    closing: set[tuple[Node, Node]] = set()
    state: dict[Node, int] = {}
    for root in [*(n for n in nodes if n not in entered), *nodes]:
        if root in state:
            continue
        state[root] = 1
        work = [(root, iter(after.get(root, ())))]
        while work:
            node, rest = work[-1]
            for following in rest:
                if state.get(following) == 1:
                    closing.add((node, following))
                elif following not in state:
                    state[following] = 1
                    work.append((following, iter(after.get(following, ()))))
                    break
            else:
                state[node] = 2
                work.pop()
    return closing


def _layers(nodes: Sequence[Node], edges: list[tuple[Node, Node]]) -> dict[Node, int]:
    after = _after(edges)
    waits: dict[Node, int] = dict.fromkeys(nodes, 0)
    for _a, b in edges:
        waits[b] += 1
    layer: dict[Node, int] = dict.fromkeys(nodes, 0)
    ready = deque(node for node in nodes if not waits[node])
    roots = list(ready)
    while ready:
        node = ready.popleft()
        for following in after.get(node, ()):
            layer[following] = max(layer[following], layer[node] + 1)
            waits[following] -= 1
            if not waits[following]:
                ready.append(following)
    # What nobody needs moves next to what it needs: shorter lines.
    for root in roots:
        if root in after:
            layer[root] = min(layer[following] for following in after[root]) - 1
    return layer


def _order(rows: list[list[object]], links: list[tuple[object, object]]) -> None:
    """Put neighbours opposite each other (barycentres, to and fro)."""
    before, after = _both_ways(links)
    at = {node: place for row in rows for place, node in enumerate(row)}
    for sweep in range(_SWEEPS):
        forth = sweep % 2 == 0
        neighbours = before if forth else after
        for row in rows if forth else reversed(rows):
            middle = {
                node: _mean([at[other] for other in neighbours.get(node, ())], at[node])
                for node in row
            }
            row.sort(key=middle.__getitem__)
            at.update((node, place) for place, node in enumerate(row))


def _heights(rows: list[list[object]], links: list[tuple[object, object]]) -> dict[object, float]:
    before, after = _both_ways(links)
    y: dict[object, float] = {}
    for row in rows:
        at = 0.0
        for node in row:
            y[node] = at
            at += _gap(node)
    for nudge in range(_NUDGES):
        for row in rows if nudge % 2 == 0 else rows[::-1]:
            wish = [
                _mean([y[o] for o in (*before.get(n, ()), *after.get(n, ()))], y[n]) for n in row
            ]
            y.update(zip(row, _apart(row, wish), strict=True))
    top = min(y.values(), default=0.0)
    return {node: at - top for node, at in y.items()}


def _apart(row: list[object], wish: list[float]) -> list[float]:
    """As near to the wishes as order and gaps allow: the mean of the two ways to push."""
    down, up = list(wish), list(wish)
    for at in range(1, len(row)):
        down[at] = max(down[at], down[at - 1] + _between(row[at - 1], row[at]))
    for at in range(len(row) - 2, -1, -1):
        up[at] = min(up[at], up[at + 1] - _between(row[at], row[at + 1]))
    return [(a + b) / 2 for a, b in zip(down, up, strict=True)]


def _between(first: object, second: object) -> float:
    return (_gap(first) + _gap(second)) / 2


def _gap(node: object) -> float:
    return LINE_GAP if isinstance(node, _Bend) else NODE_GAP


def _both_ways(
    links: list[tuple[object, object]],
) -> tuple[dict[object, list[object]], dict[object, list[object]]]:
    return _after((b, a) for a, b in links), _after(links)


def _mean(values: list[float] | list[int], otherwise: float) -> float:
    return sum(values) / len(values) if values else otherwise
