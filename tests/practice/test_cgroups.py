"""A machine with cgroups of version 2 alone, as a directory that says what such a machine says."""

from __future__ import annotations

from pathlib import Path

import pytest

from practice import cgroups, preflight
from practice.system import RangeError

ALL = "cpuset cpu io memory hugetlb pids rdma misc"


@pytest.fixture
def v2(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A root of version 2. Writing `+x` here replaces the file, so tests write whole lists."""
    (tmp_path / "cgroup.controllers").write_text(f"{ALL}\n")
    (tmp_path / "cgroup.subtree_control").write_text("cpu memory pids\n")
    (tmp_path / "cgroup.procs").write_text("1\n17\n")
    monkeypatch.setattr(cgroups, "ROOT", tmp_path)
    return tmp_path


def test_huge_pages_are_asked_for_where_the_machine_has_them(v2: Path) -> None:
    assert cgroups.v2_must_hand_on() == {"cpu", "cpuset", "memory", "pids", "hugetlb"}
    (v2 / "cgroup.controllers").write_text("cpuset cpu memory pids\n")
    assert cgroups.v2_must_hand_on() == {"cpu", "cpuset", "memory", "pids"}


def test_the_true_root_hands_on_whoever_stands_in_it(v2: Path) -> None:
    assert cgroups.held_back() == set()


def test_a_containers_root_with_processes_in_it_hands_on_nothing_new(v2: Path) -> None:
    (v2 / "cgroup.type").write_text("domain\n")
    assert cgroups.held_back() == {"cpuset", "hugetlb"}
    [said] = [p for p in preflight.problems() if "cgroup controllers" in p]
    assert "cpuset, hugetlb" in said
    assert f"mkdir -p {v2}/init" in said


def test_nor_does_it_hold_back_when_it_is_empty_or_hands_on_already(v2: Path) -> None:
    (v2 / "cgroup.type").write_text("domain\n")
    (v2 / "cgroup.procs").write_text("")
    assert cgroups.held_back() == set()
    (v2 / "cgroup.procs").write_text("1\n")
    (v2 / "cgroup.subtree_control").write_text(f"{ALL}\n")
    assert cgroups.held_back() == set()


def test_a_controller_that_is_missing_is_said(v2: Path) -> None:
    (v2 / "cgroup.controllers").write_text("cpu memory\n")
    assert cgroups.missing_controllers() == {"cpuset", "pids"}


def test_a_node_does_not_start_where_the_kernel_hands_nothing_on(v2: Path) -> None:
    """Better here, in one sentence, than in the kubelet's log a minute later."""
    with pytest.raises(RangeError, match=r"does not hand on the cgroup controllers .*cpu.*procs"):
        cgroups.make_and_enter("belay-x-qa-1")
    assert not (v2 / "belay-x-qa-1" / "system").exists()
