"""Replicas of a workload."""

from __future__ import annotations

from typing import Any

import pytest

from migrator.runners.base import (
    ForeignChangeError,
    Hands,
    Judged,
    StepRefusedError,
)
from migrator.runners.scale import Scale
from tests.migrator.apply_api import ApplyApi
from tests.migrator.runners.asked import DEPLOYMENT, done, look, order

SCALE: dict[str, Any] = {
    "kind": "Deployment",
    "namespace": "shop",
    "name": "shop",
    "replicas": 4,
    "ready_s": 60,
}


def test_a_workload_is_scaled_and_back(api: ApplyApi, hands: Hands) -> None:
    asked = order(SCALE)
    prepared = done(Scale(), asked, hands)
    assert prepared.diff == ["Deployment shop/shop: 2 → 4 replicas"]
    assert look(Scale(), asked, prepared, hands).judged is Judged.WAIT
    assert look(Scale(), asked, prepared, hands, stood_s=61).judged is Judged.BROKE
    ready = {"observedGeneration": 2, "replicas": 4, "updatedReplicas": 4, "readyReplicas": 4}
    api.edit(DEPLOYMENT, {"status": ready})
    assert look(Scale(), asked, prepared, hands).judged is Judged.PASSED
    Scale().undo(asked, prepared.before, hands)
    assert api.objects[DEPLOYMENT]["spec"]["replicas"] == 2
    assert Scale().is_back(asked, prepared.before, hands)


def test_somebody_elses_number_is_left_alone(api: ApplyApi, hands: Hands) -> None:
    asked = order(SCALE)
    prepared = done(Scale(), asked, hands)
    api.edit(DEPLOYMENT, {"spec": {"replicas": 9}})
    assert look(Scale(), asked, prepared, hands).judged is Judged.BROKE
    with pytest.raises(ForeignChangeError, match="9 replicas"):
        Scale().undo(asked, prepared.before, hands)
    assert api.objects[DEPLOYMENT]["spec"]["replicas"] == 9


def test_a_workload_that_is_gone_is_refused(hands: Hands) -> None:
    with pytest.raises(StepRefusedError, match="There is no Deployment shop/away"):
        Scale().prepare(order({**SCALE, "name": "away"}), hands)
