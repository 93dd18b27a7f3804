"""What the API holds is changed and put back: services scaled to zero, controllers, DNS."""

from __future__ import annotations

import pytest

from tests.faults.cluster import JUDGED_S, QaCluster
from tests.faults.families import finish, replicas, result

pytestmark = [pytest.mark.range, pytest.mark.long, pytest.mark.timeout(500, func_only=True)]
SHORT_S = 10


def test_cluster_dns_is_scaled_to_zero_and_back(qa: QaCluster) -> None:
    wanted = replicas(qa, "kube-system", "coredns")
    assert wanted > 0
    run = qa.start("coredns-down", hold_s=SHORT_S, observe_s=JUDGED_S)
    qa.await_active(run)
    assert replicas(qa, "kube-system", "coredns") == 0
    row = finish(qa, run)
    assert replicas(qa, "kube-system", "coredns") == wanted
    assert result(row, "terminations") == {"held"}, "what the fault itself ends is expected"


def test_every_controller_manager_goes_away_and_nothing_is_evicted(qa: QaCluster) -> None:
    component = "kube-controller-manager"
    before = qa.look.processes(component)
    assert all(before.values())
    run = qa.start("controller-manager-down", mode="hold", hold_s=SHORT_S, observe_s=JUDGED_S)
    qa.await_active(run)
    assert qa.nodes_down(component) == sorted(before)
    row = finish(qa, run)
    assert result(row, "terminations") == {"held"}
    assert qa.nodes_down(component) == []
    now = qa.look.processes(component)
    assert all(not before[name] & now[name] for name in before)
