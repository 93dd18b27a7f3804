"""The bench's own judgement: what counts as ok, and that its baseline hits nothing else."""

from __future__ import annotations

import json
import os
import subprocess
import time
from pathlib import Path

import pytest

from tests.bench.holds import SCRIPT, Deaths
from tests.bench.report import Report, bounded, compared, unmeasured
from tests.bench.usage import cgroup_cpu_s, cgroup_of, process_cpu_s, pss_bytes, rss_bytes


def test_a_bounded_figure_is_judged_by_its_worst_value() -> None:
    assert bounded("a", [0.5, 1.9, 1.0], "s", limit=2).ok
    late = bounded("a", [0.5, 2.1, 1.0], "s", limit=2)
    assert (late.ok, late.value) == (False, 2.1)


def test_a_compared_figure_is_judged_by_the_ratio_of_medians() -> None:
    row = compared("a", [(1.1, 1.0), (9.0, 1.0), (1.2, 1.0)], "s", limit=1.2)
    assert (row.value, row.baseline, row.ratio, row.ok) == (1.2, 1.0, 1.2, True)
    assert not compared("a", [(1.3, 1.0)], "s", limit=1.2).ok


def test_what_was_not_measured_is_never_ok(tmp_path: Path) -> None:
    report = Report(tmp_path / "build" / "bench.json")
    verdicts = [report.all_ok]
    for row in (bounded("idle", [1.0], "%"), unmeasured("abort", "s", "no guard answered")):
        report.add(row)
        verdicts.append(report.all_ok)
    assert verdicts == [False, True, False]
    assert "NOT MEASURED" in report.table()
    assert "abort: no guard answered" in report.table()
    rows = json.loads((tmp_path / "build" / "bench.json").read_text())
    assert [row["name"] for row in rows] == ["idle", "abort"]
    wanted = {"name", "value", "unit", "baseline", "ratio", "limit", "ok", "raw"}
    assert all(wanted <= set(row) for row in rows)


def test_deaths_are_told_once_the_last_one_is_gone() -> None:
    first = subprocess.Popen(["sleep", "60"])
    second = subprocess.Popen(["sleep", "60"])
    try:
        deaths = Deaths([first.pid, second.pid])
        first.kill()
        with pytest.raises(AssertionError, match="still runs"):
            deaths.all_gone_at(0.2)
        deaths = Deaths([second.pid])
        killed_at = time.monotonic()
        second.kill()
        assert killed_at < deaths.all_gone_at(10) < killed_at + 10
    finally:
        for process in (first, second):
            process.kill()
            process.wait()


def test_the_bare_script_refuses_a_process_that_is_no_node(tmp_path: Path) -> None:
    manifest = tmp_path / "etc/kubernetes/manifests/kube-apiserver.yaml"
    manifest.parent.mkdir(parents=True)
    manifest.write_text("here\n")
    done = _bare("hold", f"{os.getpid()}:{tmp_path}")
    assert done.returncode == 2
    assert "is no node" in done.stderr
    assert manifest.exists()


def test_the_bare_script_puts_back_what_it_took_and_may_be_repeated(tmp_path: Path) -> None:
    kubernetes = tmp_path / "etc/kubernetes"
    (kubernetes / "manifests").mkdir(parents=True)
    (kubernetes / "kube-apiserver.yaml.bench").write_text("taken\n")
    for _ in range(2):
        assert _bare("restore", f"1:{tmp_path}").returncode == 0
    assert (kubernetes / "manifests/kube-apiserver.yaml").read_text() == "taken\n"


def test_memory_and_cpu_of_a_process_are_seen() -> None:
    me = os.getpid()
    before = process_cpu_s(me)
    while process_cpu_s(me) < before + 0.05:
        pass
    assert 0 < pss_bytes([me]) <= rss_bytes([me])
    assert cgroup_cpu_s(cgroup_of(me)) > 0


def _bare(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["/bin/sh", str(SCRIPT), *arguments], capture_output=True, text=True, check=False
    )
