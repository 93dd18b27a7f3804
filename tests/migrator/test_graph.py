"""The dependency graph: layers, cycles, and what a person may see of it."""

from __future__ import annotations

import itertools

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from hypothesis import given, settings
from hypothesis import strategies as st

from migrator.graph_layout import Layout, cycles, lay_out, path
from migrator.models import Dependency, Service
from migrator.selectors import graph as selectors
from migrator.ui.graph_svg import HEIGHT, WIDTH, draw
from tests.migrator.conftest import Make
from tests.people import Cast

_EDGES = st.lists(st.tuples(st.integers(0, 14), st.integers(0, 14)), max_size=60)


def acyclic(nodes: range, edges: list[tuple[int, int]]) -> bool:
    return not cycles(nodes, edges)


@given(_EDGES)
def test_every_graph_has_a_layout_in_which_nothing_overlaps(edges: list[tuple[int, int]]) -> None:
    nodes = range(15)
    layout: Layout[int] = lay_out(nodes, edges)
    assert set(layout.places) == set(nodes)
    drawn = {(a, b) for a, b in edges if a != b}
    assert set(layout.lines) == drawn
    for a, b in drawn:
        forward = layout.places[a].layer < layout.places[b].layer
        assert forward is ((a, b) not in layout.closing)
    assert acyclic(nodes, [edge for edge in drawn if edge not in layout.closing])
    for layer in range(layout.layers):
        heights = sorted(p.y for p in layout.places.values() if p.layer == layer)
        assert all(b - a > 0.99 for a, b in itertools.pairwise(heights))
    assert min(place.y for place in layout.places.values()) > -0.01


@given(_EDGES)
def test_a_cycle_is_found_where_there_is_one_and_is_one(edges: list[tuple[int, int]]) -> None:
    clean = [(a, b) for a, b in edges if a != b]
    after: dict[int, list[int]] = {}
    for a, b in clean:
        after.setdefault(a, []).append(b)
    found = cycles(range(15), clean)
    for cycle in found:
        assert cycle[0] == cycle[-1]
        assert len(cycle) > 2
        assert all(edge in clean for edge in itertools.pairwise(cycle))
    on_one = {node for node in range(15) if path(node, node, after)}
    assert bool(on_one) is bool(found)
    assert {cycle[0] for cycle in found} <= on_one


@settings(deadline=None)
@given(st.integers(0, 3))
def test_the_same_graph_gives_the_same_picture(seed: int) -> None:
    edges = [((n * 7 + seed) % 60, (n * n + 13) % 60) for n in range(120)]
    assert lay_out(range(60), edges).places == lay_out(range(60), edges).places


def test_long_chains_and_dense_graphs_are_no_trouble() -> None:
    long = [(n, n + 1) for n in range(20_000)]
    assert cycles(range(20_001), long) == []
    assert len(cycles(range(20_001), [*long, (20_000, 0)])[0]) == 20_002
    everything = [(a, b) for a in range(60) for b in range(60) if a != b]
    layout = lay_out(range(60), everything)
    assert len(layout.lines) == 60 * 59


def test_layers_go_from_who_needs_to_what_is_needed() -> None:
    layout = lay_out("abcd", [("a", "b"), ("b", "c"), ("a", "c"), ("d", "c")])
    layers = {node: place.layer for node, place in layout.places.items()}
    assert layers == {"a": 0, "b": 1, "c": 2, "d": 1}, "who is needed by nobody stands near"
    assert [bend.layer for bend in layout.lines["a", "c"]] == [1], "a long line passes its layer"


# -- Services -------------------------------------------------------------------------------------
@pytest.fixture
def chain(make: Make) -> list[Service]:
    """A needs B needs C needs A, and C needs D."""
    made = [make(name) for name in "ABCD"]
    for a, b in ((0, 1), (1, 2), (2, 0), (2, 3)):
        Dependency.objects.create(service=made[a], needs=made[b])
    return made


def test_a_cycle_is_named(cast: Cast, chain: list[Service]) -> None:
    a, b, _c, d = chain
    assert selectors.cycle_through(cast.vera, a) == "A → B → C → A"
    assert selectors.cycle_through(cast.vera, b) == "B → C → A → B"
    assert selectors.cycle_through(cast.vera, d) == ""
    graph = selectors.graph_of(cast.vera)
    assert [selectors.in_words(cycle) for cycle in graph.cycles] == ["A → B → C → A"]
    picture = draw(graph)
    assert [line.says for line in picture.lines if line.closing] == ["C needs A"]
    assert {line.says for line in picture.lines if line.in_cycle} == {
        "A needs B", "B needs C", "C needs A",
    }  # fmt: skip
    assert {box.name: box.in_cycle for box in picture.boxes}["D"] is False
    for box in picture.boxes:
        assert 0 <= box.x <= picture.width - WIDTH
        assert 0 <= box.y <= picture.height - HEIGHT


def test_around_one_service_are_those_within_so_many_steps(
    cast: Cast, make: Make, chain: list[Service]
) -> None:
    made = [make(f"N{n}") for n in range(5)]
    for a, b in itertools.pairwise(made):
        Dependency.objects.create(service=a, needs=b)
    middle = made[2]
    one = selectors.graph_around(cast.vera, middle, steps=1)
    assert [each.name for each in one.services] == ["N1", "N2", "N3"]
    assert len(one.edges) == 2
    two = selectors.graph_around(cast.vera, middle, steps=2)
    assert len(two.services) == 5
    alone = selectors.graph_around(cast.vera, make("Alone"), steps=4)
    assert [each.name for each in alone.services] == ["Alone"]


def test_nobody_is_shown_what_they_may_not_see(
    cast: Cast, make: Make, chain: list[Service]
) -> None:
    index = make("Index", by=cast.otto)
    Dependency.objects.create(service=chain[0], needs=index)
    assert len(selectors.graph_of(cast.olga).services) == 5
    assert [each.name for each in selectors.graph_of(cast.vera).services] == list("ABCD")
    around = selectors.graph_around(cast.vera, chain[0], steps=3)
    assert index not in around.services
    assert selectors.graph_of(cast.otto).services == []


def test_too_many_for_one_picture_are_told(
    cast: Cast, make: Make, chain: list[Service], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(selectors, "READABLE", 3)
    graph = selectors.graph_of(cast.vera)
    assert graph.too_many
    assert (graph.services, graph.total) == ([], 4)
    assert graph.cycles, "a cycle is told all the same"
    assert graph.begin_with[0][0].name == "C"
    around = selectors.graph_around(cast.vera, chain[0], steps=4)
    assert around.cut_off
    assert len(around.services) == 3


def test_more_services_are_no_more_queries(cast: Cast, make: Make) -> None:
    def count() -> list[int]:
        first = Service.objects.earliest("pk")
        numbers = []
        for look in (
            lambda: selectors.graph_of(cast.vera),
            lambda: selectors.graph_around(cast.vera, first, steps=3),
            lambda: selectors.cycle_through(cast.vera, first),
        ):
            with CaptureQueriesContext(connection) as asked:
                look()
            numbers.append(len(asked))
        return numbers

    made = [make(f"N{n}") for n in range(5)]
    for a, b in ((0, 1), (1, 2), (2, 0), (2, 3), (3, 4)):
        Dependency.objects.create(service=made[a], needs=made[b])
    few = count()
    more = [make(f"M{n}") for n in range(30)]
    for service, needs in zip([*made, *more], more, strict=False):
        Dependency.objects.create(service=service, needs=needs)
    assert count() == few
