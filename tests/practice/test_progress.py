"""Progress as a person waiting for the range reads it."""

from __future__ import annotations

from pathlib import Path

import pytest

from practice.facts import NodeFacts, RangeFacts, Reporter, read_progress
from practice.plan import range_dir
from practice.system import RangeError


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def report(own_dirs: Path, clock: Clock) -> Reporter:
    return Reporter(range_dir("x") / "progress.json", {"build": 30.0, "start": 70.0}, now=clock)


def test_nobody_began() -> None:
    assert read_progress("neverused") is None


def test_percent_follows_expected_time_and_never_passes_its_step(
    report: Reporter, clock: Clock
) -> None:
    report.begin("build")
    clock.now += 15
    report.say("half way")
    seen = read_progress("x")
    assert seen is not None
    assert (seen.percent, seen.eta_s, seen.steps_done, seen.steps_total) == (15, 85.0, 0, 2)
    clock.now += 500
    report.say("slow machine")
    seen = read_progress("x")
    assert seen is not None
    assert (seen.percent, seen.step) == (30, "build")
    # Nobody knows how long a step goes on that took longer than it should have.
    assert (seen.eta_s, seen.overdue) == (None, True)
    report.begin("start")
    clock.now += 35
    report.say("nearly")
    seen = read_progress("x")
    assert seen is not None
    assert (seen.percent, seen.steps_done) == (65, 1)


def test_ready_is_a_hundred_and_has_no_eta(report: Reporter) -> None:
    report.begin("build")
    report.begin("start")
    report.finish("ready")
    seen = read_progress("x")
    assert seen is not None
    assert (seen.phase, seen.percent, seen.eta_s, seen.error) == ("ready", 100, None, None)
    assert seen.steps_done == seen.steps_total == 2


def test_a_failure_says_why_and_keeps_what_was_said(report: Reporter) -> None:
    report.begin("build")
    report.fail("no network: plug it in")
    seen = read_progress("x")
    assert seen is not None
    assert (seen.phase, seen.error) == ("failed", "no network: plug it in")
    assert len(seen.log_tail) == 2


def test_what_is_foreseen_moves_the_percent(report: Reporter, clock: Clock) -> None:
    report.begin("build")
    report.foresee(630.0)
    clock.now += 315
    report.say("compiling")
    seen = read_progress("x")
    assert seen is not None
    assert (seen.percent, seen.eta_s) == (45, 385.0)
    report.foresee(630.0)
    report.refresh()
    seen = read_progress("x")
    assert seen is not None
    assert (seen.percent, seen.eta_s) == (31, 700.0)


def test_a_step_that_is_late_promises_no_time(report: Reporter, clock: Clock) -> None:
    report.begin("build")
    report.foresee(100.0)
    clock.now += 119
    report.refresh()
    seen = read_progress("x")
    assert seen is not None
    assert (seen.eta_s, seen.overdue) == (70.0, False)
    clock.now += 7
    report.refresh()
    seen = read_progress("x")
    assert seen is not None
    assert (seen.eta_s, seen.overdue) == (None, True)
    report.begin("start")
    seen = read_progress("x")
    assert seen is not None
    assert seen.eta_s == 70.0


def test_facts_come_back_as_they_were_written(own_dirs: Path) -> None:
    node = NodeFacts(name="qa-1", address="10.89.0.11", api_server="https://10.89.0.11:6443")
    facts = RangeFacts(
        name="x", index=0, phase="ready", kubernetes_version="v1", api_endpoint="e", ca_file="c",
        kubeconfig="k", admin_kubeconfig="a", nodes=[node], shop_url="u", shop_host="h",
        legacy_url="l", guard_image="g", proxy_admin="p", weaknesses={"w": True},
    )  # fmt: skip
    facts.save()
    assert RangeFacts.load("x") == facts
    with pytest.raises(RangeError, match="range up --name y"):
        RangeFacts.load("y")
