"""`belay panic` at night: Belay dead, its database's files gone, the Kubernetes API held down."""

from __future__ import annotations

import os
import stat
import subprocess
from pathlib import Path

import pytest

from config.stack.layout import CHECKOUT
from tests.faults.cluster import API_DOWN, QaCluster
from tests.faults.test_services import _kill_everything, _start_again
from tests.stack.running import wait_until

pytestmark = [pytest.mark.range, pytest.mark.timeout(600, func_only=True)]
NODES = ("qa-1", "qa-2", "qa-3")
CLUSTER = "qa-range"
PANIC_S = 40
"""Less than the guards' lease: what ends the fault here is the command, not its dead-man switch."""


def test_panic_undoes_everything_with_postgresqls_data_gone(qa: QaCluster, tmp_path: Path) -> None:
    file = tmp_path / "bundle.json"
    qa.stack.manage("cluster", "bundle", CLUSTER, str(file))
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    drill = qa.stack.manage("cluster", "drill", CLUSTER, str(file))
    assert "The drill passed" in drill.stdout
    run = qa.start(API_DOWN, hold_s=120)
    qa.await_active(run)
    assert len(qa.nodes_down()) == 3
    _kill_everything(qa.stack)
    data = qa.stack.stack.state_dir / "postgres"
    away = data.with_name("postgres-away")
    data.rename(away)
    try:
        done = subprocess.run(
            [str(CHECKOUT / "belay"), "panic", str(file)],
            cwd="/",
            env={"PATH": os.environ["PATH"]},
            capture_output=True,
            text=True,
            check=False,
            timeout=200,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        for node in NODES:
            assert f"{node}: hold of kube-apiserver (order {run}) is undone." in done.stdout
        orders = qa.await_undo_on_guards(run, NODES, within_s=PANIC_S)
        assert {order["undo_reason"] for order in orders.values()} == {"requested"}
        wait_until(
            lambda: qa.look.unsteady() + qa.look.left_behind(qa.manifests_before) == [],
            within_s=180,
            what="the cluster is as before",
        )
    finally:
        away.rename(data)
        _start_again(qa.stack)
    row = qa.await_clean(run)
    assert row["verdict"] == "inconclusive"
