"""The bench's own judgement: what counts as ok, and that its baseline hits nothing else."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from gamedays.scenarios.registry import all_scenarios, get_scenario
from practice.plan import Plan
from tests.bench.cases import cases
from tests.bench.holds import SCRIPT, Deaths
from tests.bench.report import Report, bounded, compared, unmeasured
from tests.bench.scenarios import Round, rows_of
from tests.bench.usage import (
    cgroup_cpu_s,
    cgroup_of,
    family_cpu_s,
    process_cpu_s,
    pss_bytes,
    rss_bytes,
)
from tests.stack.running import wait_until


def test_a_bounded_figure_is_judged_by_its_worst_value() -> None:
    assert bounded("a", [0.5, 1.9, 1.0], "s", limit=2).ok
    late = bounded("a", [0.5, 2.1, 1.0], "s", limit=2)
    assert (late.ok, late.value) == (False, 2.1)


def test_a_compared_figure_is_judged_by_the_ratio_of_medians() -> None:
    row = compared("a", [(1.1, 1.0), (9.0, 1.0), (1.2, 1.0)], "s", limit=1.2)
    assert (row.value, row.baseline, row.ratio, row.ok) == (1.2, 1.0, 1.2, True)
    assert not compared("a", [(1.3, 1.0)], "s", limit=1.2).ok


def test_every_scenario_with_a_hold_is_measured() -> None:
    chosen = cases(Plan(name="bench", slot=0))
    assert {case.scenario for case in chosen if case.lasting} == {
        scenario.key for scenario in all_scenarios()
    } - {"api-servers-down", "pods-killed"}, "the first has rows of its own, the second no hold"
    for case in chosen:
        nodes = [node.name for node in Plan(name="bench", slot=0).nodes]
        get_scenario(case.scenario).clean(dict(case.parameters), nodes)
    rows = rows_of(chosen[-1], [(Round(bitten_s=9, restored_s=9), Round(bitten_s=1, restored_s=1))])
    assert [(row.limit, row.ok) for row in rows] == [(None, True)] * 2, "a kill has no limit"


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


@pytest.mark.skipif(os.geteuid() != 0, reason="only root makes namespaces")
def test_the_bare_script_makes_a_bad_flag_of_the_same_kind(tmp_path: Path) -> None:
    """Of a process that is a node only to the script: it has a namespace of its own."""
    manifests = tmp_path / "etc/kubernetes/manifests"
    manifests.mkdir(parents=True)
    file = manifests / "kube-scheduler.yaml"
    before = "  containers:\n  - command:\n    - kube-scheduler\n    - --leader-elect=true\n"
    file.write_text(before)
    unshare = ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child", "sleep", "60"]
    node = subprocess.Popen(unshare)
    try:
        [init] = wait_until(lambda: _children(node.pid), within_s=5, what="process 1")
        place = f"{init}:{tmp_path}"
        done = _bare("flag", place, BARE_COMPONENT="kube-scheduler")
        assert done.returncode == 0, done.stderr
        flagged = before.replace("scheduler\n", "scheduler\n    - --belay-unknown=1\n")
        assert file.read_text() == flagged
        assert _bare("restore", place, BARE_COMPONENT="kube-scheduler").returncode == 0
        assert file.read_text() == before
        assert sorted(manifests.iterdir()) == [file]
    finally:
        node.kill()
        node.wait()


def test_memory_and_cpu_of_a_process_are_seen() -> None:
    me = os.getpid()
    before = process_cpu_s(me)
    while process_cpu_s(me) < before + 0.05:
        pass
    assert 0 < pss_bytes([me]) <= rss_bytes([me])
    assert cgroup_cpu_s(cgroup_of(me)) > 0


def test_what_an_ended_child_worked_is_still_counted() -> None:
    me = os.getpid()
    before = family_cpu_s(me)
    code = "import time\nwhile time.process_time() < 0.2: pass"
    subprocess.run([sys.executable, "-c", code], check=True)
    assert family_cpu_s(me) >= before + 0.15


def _bare(*arguments: str, **given: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["/bin/sh", str(SCRIPT), *arguments],
        env={**os.environ, **given}, capture_output=True, text=True, check=False,
    )  # fmt: skip


def _children(pid: int) -> list[int]:
    path = Path(f"/proc/{pid}/task/{pid}/children")
    return [int(word) for word in path.read_text().split()]
