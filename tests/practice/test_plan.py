"""Names, addresses and slots: two ranges may never meet."""

from __future__ import annotations

import ipaddress
import itertools
from pathlib import Path

import pytest

from practice import slots
from practice.plan import SLOTS, Plan, check_name, load_plan, plan_from_disk
from practice.system import RangeError

LONGEST = "a123456789"


def network(text: str) -> ipaddress.IPv4Network:
    return ipaddress.IPv4Network(text)


def test_no_two_slots_share_an_address() -> None:
    plans = [Plan("x", slot) for slot in range(SLOTS)]
    networks = [network(n) for p in plans for n in (p.node_subnet, p.pod_subnet, p.service_subnet)]
    assert not [(a, b) for a, b in itertools.combinations(networks, 2) if a.overlaps(b)]


def test_nodes_and_pods_lie_in_the_networks_of_their_plan() -> None:
    plan = Plan("x", 3)
    for node in plan.nodes:
        assert ipaddress.ip_address(node.address) in network(plan.node_subnet)
        assert network(node.pod_subnet).subnet_of(network(plan.pod_subnet))


def test_the_longest_name_still_makes_names_that_the_kernel_takes() -> None:
    plan = Plan(check_name(LONGEST), 9)
    links = [plan.bridge, *(node.link for node in plan.nodes)]
    assert max(map(len, links)) <= 15
    assert len(set(links)) == 4


@pytest.mark.parametrize("name", ["", "A", "1a", "a-b", "a/b", "..", LONGEST + "0", "a b"])
def test_a_name_that_could_reach_elsewhere_is_refused(name: str) -> None:
    with pytest.raises(RangeError, match="is no name for a range"):
        check_name(name)


def test_the_lowest_free_slot_is_chosen() -> None:
    assert slots.choose(set(), []) == 0
    assert slots.choose({0, 2}, []) == 1


@pytest.mark.parametrize("used", ["10.89.0.0/24", "10.90.3.0/24", "10.88.0.0/14", "10.89.0.7/32"])
def test_a_slot_whose_addresses_somebody_else_uses_is_passed_over(used: str) -> None:
    assert slots.choose(set(), [network(used)]) > 0


def test_full_is_said_with_what_to_do() -> None:
    with pytest.raises(RangeError, match="drop a range"):
        slots.choose(set(range(SLOTS)), [])


def test_a_range_keeps_its_slot_and_how_it_was_asked_for(
    own_dirs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slots, "used_networks", list)
    first = slots.claim("one", crash_loop_max="10s")
    second = slots.claim("two")
    again = slots.claim("one")
    assert (first.slot, second.slot) == (0, 1)
    assert again == first == load_plan("one")
    assert again.crash_loop_max == "10s"


def test_nodes_are_named_for_what_they_are_and_addressed_by_their_place() -> None:
    plan = Plan("x", 0, control_planes=1, workers=2)
    assert [node.name for node in plan.nodes] == ["qa-1", "qa-w1", "qa-w2"]
    assert [node.address for node in plan.nodes] == ["10.89.0.11", "10.89.0.12", "10.89.0.13"]
    assert [bool(node.api_server) for node in plan.nodes] == [True, False, False]
    assert len({node.link for node in plan.nodes} | {node.pod_subnet for node in plan.nodes}) == 6
    assert [node.name for node in Plan("x", 0).nodes] == ["qa-1", "qa-2", "qa-3"]


@pytest.mark.parametrize(
    ("control_planes", "workers", "sentence"),
    [
        (2, 0, "2 control-plane nodes make no sensible etcd: choose one of 1, 3, 5"),
        (0, 3, "0 control-plane nodes"),
        (3, -1, "-1 workers are not possible: choose 0 to 4"),
        (3, 5, "5 workers are not possible"),
        (1, 0, "add `--workers 1`"),
    ],
)
def test_numbers_of_nodes_that_make_no_cluster_are_refused(
    control_planes: int, workers: int, sentence: str, own_dirs: Path
) -> None:
    with pytest.raises(RangeError, match=sentence):
        slots.claim("one", control_planes=control_planes, workers=workers)
    assert not Plan("one", 0).dir.exists()


def test_a_range_keeps_its_nodes(own_dirs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slots, "used_networks", list)
    plan = slots.claim("one", control_planes=1, workers=2)
    assert slots.claim("one") == plan == load_plan("one")
    assert slots.claim("one", control_planes=1) == plan
    with pytest.raises(RangeError, match="has 1 control-plane node and 2 workers"):
        slots.claim("one", workers=3)
    assert load_plan("one") == plan


def test_a_plan_from_before_there_were_workers_is_still_read(own_dirs: Path) -> None:
    path = Plan("one", 0).dir / "plan.json"
    path.parent.mkdir(parents=True)
    path.write_text('{"name": "one", "slot": 3, "crash_loop_max": "10s"}')
    assert load_plan("one") == Plan("one", 3, "10s", 3, 0)


def test_without_its_plan_a_range_is_known_by_its_directories(own_dirs: Path) -> None:
    """Tear-down looks for every name that the range can have had."""
    for node in Plan("one", 4, control_planes=1, workers=2).nodes:
        node.root.mkdir(parents=True)
    names = {node.name for node in plan_from_disk("one").nodes}
    assert names >= {"qa-1", "qa-2", "qa-3", "qa-w1", "qa-w2"}
    links = {node.link for node in plan_from_disk("one").nodes}
    assert links >= {"bl-one-1", "bl-one-2", "bl-one-3"}


def test_a_damaged_plan_says_what_to_do(own_dirs: Path) -> None:
    path = Plan("one", 0).dir / "plan.json"
    path.parent.mkdir(parents=True)
    path.write_text('{"name": ')
    with pytest.raises(RangeError, match="range down --name one"):
        load_plan("one")
