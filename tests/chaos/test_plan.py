"""The plan covers what the run has to prove, by construction and for every seed."""

from __future__ import annotations

from collections import Counter

import pytest
from django.conf import settings

from gamedays.scenarios.registry import get_scenario
from tests.chaos.plan import (
    BESIDE_EVERY,
    SEED_FAMILIES,
    STATES,
    VARIANTS,
    Family,
    Process,
    Way,
    make_plan,
    more_strikes,
)

NODES = ("qa-1", "qa-2", "qa-3")
SEEDS = range(20)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_hundred_injections_kill_every_process_in_every_state(seed: int) -> None:
    plan = make_plan(injections=100, seed=seed, nodes=NODES)
    assert len(plan.faults) == len(plan.strikes) == 100
    kills = {(s.state, s.process) for each in plan.strikes for s in each if s.way is Way.KILL}
    assert {(state, process) for state in STATES for process in Process} <= kills


@pytest.mark.parametrize("seed", SEEDS)
def test_a_hundred_injections_have_every_family_and_every_way(seed: int) -> None:
    plan = make_plan(injections=100, seed=seed, nodes=NODES)
    families = Counter(fault.family for fault in plan.faults)
    assert all(families[family] >= 10 for family in SEED_FAMILIES)
    assert families[Family.BESIDE] == 100 // BESIDE_EVERY
    for family in SEED_FAMILIES:
        made = {fault.mode.split()[0] for fault in plan.faults if fault.family is family}
        assert len(made) == len(VARIANTS[family])


@pytest.mark.parametrize("seed", SEEDS)
def test_the_first_ten_have_every_state_and_every_process(seed: int) -> None:
    """A run that was cut short has seen something of everything."""
    plan = make_plan(injections=100, seed=seed, nodes=NODES)
    firsts = [strikes[0] for strikes in plan.strikes[:10]]
    assert {strike.state for strike in firsts} == set(STATES)
    assert {strike.process for strike in firsts} == set(Process)
    assert {fault.family for fault in plan.faults[:10]} >= set(SEED_FAMILIES)


def test_the_same_seed_is_the_same_plan_and_another_is_another() -> None:
    one, same, other = (make_plan(injections=60, seed=seed, nodes=NODES) for seed in (7, 7, 8))
    assert one == same
    assert one.strikes != other.strikes
    assert one.faults != other.faults


def test_what_nobody_met_is_struck_beyond_the_plan() -> None:
    left = [("armed", Process.GUARD), ("clean", Process.BEAT)]
    firsts = [more_strikes(left, seed=3, number=number)[0] for number in range(101, 121)]
    assert {(strike.state, strike.process) for strike in firsts} == set(left)
    assert all(strike.way is Way.KILL for strike in firsts)
    assert more_strikes(left, seed=3, number=9) == more_strikes(left, seed=3, number=9)
    assert more_strikes([], seed=3, number=9)


def test_no_family_meets_the_same_states_only() -> None:
    plan = make_plan(injections=100, seed=1, nodes=NODES)
    met: dict[Family, set[str]] = {family: set() for family in Family}
    for fault, strikes in zip(plan.faults, plan.strikes, strict=True):
        met[fault.family].add(strikes[0].state)
    assert all(len(met[family]) >= len(STATES) // 2 for family in SEED_FAMILIES)


def test_every_fault_is_one_that_its_scenario_takes() -> None:
    plan = make_plan(injections=100, seed=1, nodes=NODES)
    for fault in plan.faults:
        scenario = get_scenario(fault.scenario)
        # The stacks under test allow less of watching than an installation that says nothing.
        watched = {"observe_s": settings.BELAY_OBSERVE_MIN_S}
        values = scenario.clean({**fault.parameters, **watched}, NODES)
        found = scenario.plan(values, NODES)
        assert fault.nodes == (tuple(found.nodes) or (NODES if found.cuts else NODES[:1]))
        kinds = {each.kind for each in found.nodes.values()}
        kinds |= {"cut"} if found.cuts else {"object"} if found.objects else set()
        assert kinds == {fault.kind}


def test_who_is_stopped_is_continued_in_bounded_time() -> None:
    plan = make_plan(injections=100, seed=1, nodes=NODES)
    stops = [s for strikes in plan.strikes for s in strikes if s.way is Way.STOP]
    assert len(stops) > 10
    assert all(0 < strike.stopped_s <= 25 for strike in stops)


@pytest.mark.parametrize("seed", SEEDS)
def test_strikes_on_injecting_come_before_and_after_the_effect(seed: int) -> None:
    plan = make_plan(injections=100, seed=seed, nodes=NODES)
    into = [strikes[0].into_state_s for strikes in plan.strikes if strikes[0].state == "injecting"]
    assert 0.0 in into
    assert 0 < max(into) < 0.31
