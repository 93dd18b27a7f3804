"""The range's progress on the terminal: what is worth a line, once, and what comes next."""

from __future__ import annotations

import dataclasses

import pytest

from config.stack import ranges
from config.stack.ranges import RangeProgress
from practice.facts import Progress

AT = Progress(
    phase="raising",
    step="join qa-3",
    steps_done=5,
    steps_total=11,
    message="join qa-3",
    percent=60,
    started_at=0.0,
    eta_s=56.0,
)


def test_a_line_for_each_step_and_each_tenth_and_not_each_second(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen = [
        dataclasses.replace(AT, percent=60 + n // 2, message=f"news {n}", eta_s=56.0 - n)
        for n in range(30)
    ]
    seen.append(dataclasses.replace(AT, step="workloads", percent=75))
    queue = iter(seen)
    monkeypatch.setattr(ranges, "read_progress", lambda _name: next(queue))
    progress = RangeProgress("demo", "http://127.0.0.1:8300")
    lines = [line for _ in seen for line in progress.news()]
    assert lines == [
        "Practice range demo:  60%, join qa-3, about 56 s to go",
        "Practice range demo:  70%, join qa-3, about 36 s to go",
        "Practice range demo:  75%, workloads, about 56 s to go",
    ]


def test_a_step_that_overruns_is_told_once_and_names_no_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    late = dataclasses.replace(AT, eta_s=None, overdue=True)
    states = iter([AT, late, late])
    monkeypatch.setattr(ranges, "read_progress", lambda _name: next(states))
    progress = RangeProgress("demo", "http://127.0.0.1:8300")
    assert [line for _ in range(3) for line in progress.news()] == [
        "Practice range demo:  60%, join qa-3, about 56 s to go",
        "Practice range demo:  60%, join qa-3: it takes longer here than expected, and goes on",
    ]


def test_when_it_is_up_it_says_what_to_do_next(monkeypatch: pytest.MonkeyPatch) -> None:
    ready = dataclasses.replace(AT, phase="ready", step="", percent=100, eta_s=None)
    monkeypatch.setattr(ranges, "read_progress", lambda _name: ready)
    progress = RangeProgress("demo", "http://127.0.0.1:8300")
    up, then = progress.news()
    assert "is up" in up
    assert "log in at http://127.0.0.1:8300 as lea" in then
    assert progress.news() == []


def test_a_failure_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    states = iter([AT, dataclasses.replace(AT, phase="failed", error="The disk is full.")])
    monkeypatch.setattr(ranges, "read_progress", lambda _name: next(states))
    progress = RangeProgress("demo", "http://127.0.0.1:8300")
    assert "join qa-3" in progress.news()[0]
    assert "The disk is full." in progress.news()[0]
