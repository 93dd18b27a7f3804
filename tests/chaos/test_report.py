"""The musts: what makes the run fail, whatever else went well."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.chaos.plan import Fault, Strike, Way, make_plan
from tests.chaos.report import Report, Result, percentile
from tests.chaos.story import Struck

NODES = ("qa-1", "qa-2", "qa-3")


def _result(number: int, fault: Fault, strikes: tuple[Strike, ...], **changes: Any) -> Result:
    told: dict[str, Any] = {
        "number": number,
        "run_id": str(number),
        "at_s": 0.0,
        "family": fault.family,
        "scenario": fault.scenario,
        "mode": fault.mode,
        "struck": [
            Struck(strike=strike, node="", state=strike.state or "active", at_s=1.0)
            for strike in strikes
        ],
        "states": ("planned", "clean"),
        "verdict": "held",
        "reason": "",
        "injected": True,
        "restoration_s": float(number),
        "took_s": 40.0,
    }
    return Result(**(told | changes))


def _report(path: Path, **changes: Any) -> Report:
    """A whole run of a hundred; `changes` are those of its fiftieth injection."""
    plan = make_plan(injections=100, seed=3, nodes=NODES)
    report = Report(path / "build" / "chaos.json", seed=3, planned=100)
    pairs = enumerate(zip(plan.faults, plan.strikes, strict=True), start=1)
    report.results = [
        _result(number, fault, strikes, **(changes if number == 50 else {}))
        for number, (fault, strikes) in pairs
    ]
    return report


def test_a_whole_run_with_nothing_wrong_is_ok(tmp_path: Path) -> None:
    report = _report(tmp_path)
    assert report.failures() == []
    assert "ok: every must holds" in report.table()
    assert "p50 50.0 s, p99 99.0 s, max 100.0 s" in report.table()


def test_one_fault_left_behind_or_one_row_that_disagrees_is_not(tmp_path: Path) -> None:
    left = _report(tmp_path, left=("qa-1: the stash holds etcd.yaml",))
    assert left.failures() == ["1 run(s) left a fault behind"]
    assert "FAULT LEFT BEHIND: qa-1" in left.results[49].line()
    wrong = _report(tmp_path, wrong=("clean, and nothing says when",))
    assert wrong.failures() == ["the rows of 1 run(s) disagree with the cluster"]
    assert "NOT OK" in wrong.table()


def test_a_whole_run_must_cover_families_states_and_processes(tmp_path: Path) -> None:
    report = _report(tmp_path)
    report.results = [
        result for result in report.results if all(s.state != "armed" for s in result.struck)
    ]
    assert "nobody was killed in armed" in report.failures()
    assert any("injections of 100 were made" in sentence for sentence in report.failures())
    assert {state for state, _ in report.cells_left()} == {"armed"}
    report.results = []
    assert "nothing was injected at all" in report.failures()


def test_a_run_without_an_effect_is_no_injection(tmp_path: Path) -> None:
    assert not _report(tmp_path).lacks_injections()
    refused = _report(tmp_path, injected=False, verdict="refused")
    assert refused.lacks_injections()
    assert refused.failures() == ["99 injections of 100 were made"]
    assert "99 injections of 100, in 100 runs" in refused.table()


def test_a_trial_is_judged_by_what_it_left_only(tmp_path: Path) -> None:
    plan = make_plan(injections=1, seed=3, nodes=NODES)
    report = Report(tmp_path / "chaos.json", seed=3, planned=1)
    report.add(_result(1, plan.faults[0], plan.strikes[0]))
    assert report.failures() == []
    assert "coverage was not judged" in report.table()
    report.trouble = "cut short: not steady"
    assert report.failures() == ["cut short: not steady"]


def test_every_run_is_in_the_file(tmp_path: Path) -> None:
    report = _report(tmp_path)
    report.write()
    kept = json.loads((tmp_path / "build" / "chaos.json").read_text())
    assert (kept["runs"], len(kept["results"])) == (100, 100)
    assert kept["results"][0]["struck"][0]["way"] == Way.KILL


def test_percentiles_are_values_that_were_seen() -> None:
    assert percentile([], 50) is None
    assert percentile([4.0], 99) == 4.0
    assert percentile([1.0, 2.0, 3.0, 4.0], 50) == 2.0
