"""Raising and taking down the same range at once: one after the other, and said so."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from practice import cli, preflight, slots, teardown, turn
from practice.plan import Plan, ranges_dir
from practice.system import REPOSITORY, RangeError, wait_until, write_atomic

Turn = Callable[[str, Callable[[str], None]], AbstractContextManager[None]]

HOLD = """
import sys
from practice import turn
with getattr(turn, sys.argv[1])("one", print):
    print("mine", flush=True)
    sys.stdin.read()
"""


@contextmanager
def held_by_another(verb: str) -> Iterator[int]:
    """Another process has the range until the block ends; its pid."""
    other = subprocess.Popen(
        [sys.executable, "-c", HOLD, verb],
        cwd=REPOSITORY, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert other.stdout is not None
    with other:
        assert other.stdout.readline() == "mine\n"
        try:
            yield other.pid
        finally:
            other.kill()


def test_raising_is_refused_while_the_range_is_taken_down(own_dirs: Path) -> None:
    with (
        held_by_another("to_take_down") as pid,
        pytest.raises(RangeError, match=rf"range one is being taken down by process {pid}: raise"),
        turn.to_raise("one", print),
    ):
        pass
    with turn.to_raise("one", print):
        pass  # its holder was killed, and so the range is free


def test_up_says_so_in_one_sentence_and_claims_nothing(
    own_dirs: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(preflight, "problems", list)
    monkeypatch.setattr(slots, "claim", lambda *_, **__: pytest.fail("a slot was claimed"))
    with held_by_another("to_take_down") as pid:
        assert cli.main(["up", "--name", "one"]) == 1
    assert capsys.readouterr().err == (
        f"range: range one is being taken down by process {pid}: "
        "raise it again once that has ended\n"
    )


@pytest.mark.parametrize(
    ("held", "wanted", "sentence"),
    [
        ("to_take_down", turn.to_take_down, "takes range one down already: waiting for it"),
        ("to_raise", turn.to_take_down, "begins to raise range one: waiting for it"),
        ("to_raise", turn.to_raise, "begins to raise range one: waiting for it"),
    ],
)
def test_who_can_go_on_afterwards_waits_and_says_for_whom(
    held: str, wanted: Turn, sentence: str, own_dirs: Path
) -> None:
    said: list[str] = []
    got = threading.Event()

    def want() -> None:
        with wanted("one", said.append):
            got.set()

    waiter = threading.Thread(target=want)
    with held_by_another(held) as pid:
        waiter.start()
        wait_until(lambda: bool(said), timeout=10, what="the waiter says so", every=0.01)
        assert not got.is_set()
    waiter.join(10)
    assert got.is_set()
    assert said == [f"process {pid} {sentence}"]


def test_other_ranges_have_locks_of_their_own(own_dirs: Path) -> None:
    with held_by_another("to_take_down"), turn.to_raise("two", print):
        pass


def test_after_a_tear_down_no_lock_is_left(own_dirs: Path) -> None:
    plan = Plan("one", 0)
    write_atomic(plan.dir / "plan.json", plan.to_json())
    assert teardown.drop("one") == []
    assert not ranges_dir().exists()
    assert teardown.drop("never") == []
    assert not ranges_dir().exists()
