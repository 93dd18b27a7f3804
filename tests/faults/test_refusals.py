"""What is not safe is refused in a sentence that says what to do, before anything is touched."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import pytest

from tests.faults.cluster import QaCluster
from tests.faults.nodes import GUARD_PARENT, GUARD_WORKER, SCHEDULER
from tests.stack.running import wait_until

pytestmark = [pytest.mark.range, pytest.mark.timeout(240, func_only=True)]
GUARD = "belay-guard"
GUARD_PORT = 9707
ROW_42_TABLE = "test_row_42"
KUBELET_S = 60
MARKER = ("configmap", "belay-qa-marker", "-n", "belay-marker")


@contextmanager
def without_marker(qa: QaCluster) -> Iterator[None]:
    kept = qa.look.kubectl("get", *MARKER, "-o", "json")
    qa.look.kubectl("delete", *MARKER)
    try:
        yield
    finally:
        qa.look.kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", stdin=_bare(kept))


@contextmanager
def with_anothers_marker(qa: QaCluster) -> Iterator[None]:
    kept = json.loads(qa.look.kubectl("get", *MARKER, "-o", "json"))["data"]
    other = "11111111-2222-4333-8444-555555555555"
    _patch_marker(qa, {"clusterUID": other})
    try:
        yield
    finally:
        _patch_marker(qa, kept)


@contextmanager
def with_production_marker(qa: QaCluster) -> Iterator[None]:
    _patch_marker(qa, {"stage": "production"})
    try:
        yield
    finally:
        _patch_marker(qa, {"stage": "qa"})


@contextmanager
def unreachable(qa: QaCluster) -> Iterator[None]:
    """The cluster's common address leads nowhere."""
    [row] = qa.query("SELECT id, server FROM core_cluster WHERE name = 'qa-range'")
    sql = "UPDATE core_cluster SET server = %s WHERE id = %s"
    qa.query(sql, "https://127.0.0.1:9", row["id"])
    try:
        yield
    finally:
        qa.query(sql, row["server"], row["id"])


@contextmanager
def silent_guard(qa: QaCluster) -> Iterator[None]:
    """The guard on qa-3 is there and says nothing."""
    node = qa.look.node("qa-3")
    guard = node.guard(GUARD_PARENT) | node.guard(GUARD_WORKER)
    assert len(guard) == 2, f"{guard}"
    for process in guard:
        os.kill(process.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for process in guard:
            os.kill(process.pid, signal.SIGCONT)


@contextmanager
def unreachable_guard(qa: QaCluster) -> Iterator[None]:
    """The guard on qa-3 runs, and nothing that is sent to it arrives."""
    node = qa.look.node("qa-3")
    drop = f"tcp dport {GUARD_PORT} drop"
    table = f"inet {ROW_42_TABLE}"
    node.nft(f"add table {table}")
    try:
        node.nft(f"add chain {table} input {{ type filter hook input priority -300; }}")
        node.nft(f"add rule {table} input {drop}")
        yield
    finally:
        node.nft(f"delete table {table}")


@contextmanager
def uninstalled_guard(qa: QaCluster) -> Iterator[None]:
    """Somebody took the guard's manifest away on qa-1, and Belay was not told."""
    node = qa.look.node("qa-1")
    manifest = node.manifest_path(GUARD)
    aside = manifest.parent.with_name("manifest-of-the-guard")  # beside: the kubelet runs the rest
    manifest.rename(aside)
    try:
        wait_until(
            lambda: not node.guard(GUARD_PARENT) | node.guard(GUARD_WORKER),
            within_s=KUBELET_S,
            what="no guard runs on qa-1",
        )
        yield
    finally:
        aside.rename(manifest)
        wait_until(
            lambda: node.guard(GUARD_WORKER), within_s=2 * KUBELET_S, what="the guard on qa-1 runs"
        )


@contextmanager
def unregistered_guard(qa: QaCluster) -> Iterator[None]:
    """Belay was never told of a guard on qa-2."""
    qa.query(
        "CREATE TABLE put_aside AS SELECT * FROM gamedays_guard WHERE node_id IN "
        "(SELECT id FROM core_node WHERE name = 'qa-2')"
    )
    qa.query("DELETE FROM gamedays_guard WHERE id IN (SELECT id FROM put_aside)")
    try:
        yield
    finally:
        qa.query("INSERT INTO gamedays_guard SELECT * FROM put_aside")
        qa.query("DROP TABLE put_aside")


CASES = [
    (without_marker, ("carries no QA marker", "belay-qa-marker", "clusterUID")),
    (with_anothers_marker, ("names the cluster", "copied from elsewhere")),
    (with_production_marker, ("says stage 'production', not 'qa'",)),
    (unreachable, ("gave no answer", "127.0.0.1:9", "Look whether its API is up")),
    (silent_guard, ("The guard on qa-3 does not answer", "nothing would undo")),
    (unreachable_guard, ("The guard on qa-3 does not answer", "nothing would undo")),
    (uninstalled_guard, ("The guard on qa-1 does not answer", "nothing would undo")),
    (unregistered_guard, ("There is no guard on qa-2", "manage.py guard install")),
]


@pytest.mark.parametrize(("broken", "sentence"), CASES, ids=[case[0].__name__ for case in CASES])
def test_row_42_what_is_not_safe_is_refused_before_anything_is_touched(
    qa: QaCluster,
    broken: Callable[[QaCluster], AbstractContextManager[None]],
    sentence: tuple[str, ...],
) -> None:
    before = qa.look.processes(SCHEDULER)
    orders = qa.look.orders()
    with broken(qa):
        run = qa.start()
        wait_until(lambda: qa.state(run) == "refused", within_s=20, what="the run is refused")
    row = qa.row(run)
    for words in sentence:
        assert words in row["reason"], row["reason"]
    assert qa.states(run) == ["planned", "preflight", "refused"]
    assert row["recipe"] == {}
    assert qa.look.orders() == orders, "a guard was told something"
    qa.assert_never_touched(run, before)


def _patch_marker(qa: QaCluster, data: dict[str, str]) -> None:
    qa.look.kubectl("patch", *MARKER, "--type=merge", "-p", json.dumps({"data": data}))


def _bare(text: str) -> str:
    """The object without what only the server writes."""
    found = json.loads(text)
    names = ("name", "namespace")
    found["metadata"] = {name: found["metadata"][name] for name in names}
    return json.dumps(found)
