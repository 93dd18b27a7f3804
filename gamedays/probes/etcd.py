"""One etcd member's own health, told by the guard beside it: its port listens on loopback only."""

from __future__ import annotations

from gamedays.probes.base import Attempt, Kind, ProbeSpec, Surroundings


def probe_etcd(spec: ProbeSpec, surroundings: Surroundings) -> Attempt:
    status = surroundings.node_status(spec.target)
    if status is None:
        return Attempt(passed=None, detail=f"the guard on {spec.target} did not answer")
    for part in status.components:
        if part.component == "etcd":
            if not part.processes:
                return Attempt(passed=False, detail="no etcd process")
            return Attempt(passed=part.healthy, detail=part.detail[:120])
    return Attempt(passed=None, detail="the guard says nothing about etcd")


ETCD_HEALTH = Kind(
    prober=probe_etcd,
    summary="One etcd member's own health, told by the guard beside it.",
    in_words=lambda _parameters: "the member is healthy, as its guard sees it",
    icon="hexagons",
    users_may_feel=False,
    by_hand=False,
)
