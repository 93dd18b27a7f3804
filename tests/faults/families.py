"""What the tests of the scenario families have in common."""

from __future__ import annotations

import json
from typing import Any

from tests.faults.cluster import QaCluster

CLEAN_S = 400
"""Hold, the longest recovery budget, and the watching after it."""


def finish(qa: QaCluster, run: str) -> dict[str, Any]:
    """To the end; whatever the verdict, it is one that was measured."""
    row = qa.await_clean(run, within_s=CLEAN_S)
    assert (row["doubt"], row["bitten_at"] is not None) == ("", True)
    assert row["verdict"] in ("held", "broke"), row["reason"]
    return row


def result(row: dict[str, Any], kind: str) -> set[str]:
    """What the lines of one kind in the run's judgement say."""
    return {line["result"] for line in row["judgement"] if line["kind"] == kind}


def replicas(qa: QaCluster, namespace: str, name: str) -> int:
    """How many a Deployment is asked for."""
    told = json.loads(qa.look.kubectl("get", "deployment", "-n", namespace, name, "-o", "json"))
    return int(told["spec"]["replicas"])
