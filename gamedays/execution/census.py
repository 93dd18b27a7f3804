"""What one look at the pods means for the ledger: who is new, who changed, who is gone.

Pure: records in, changed records out; the journal writes them. A pod counts as gone only where
somebody could look, and each record says who saw it last.
"""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

from core.redaction import redact_text
from gamedays.choices import PodSource
from gamedays.execution.pods import FAILED
from gamedays.models import PodRecord

if TYPE_CHECKING:
    import uuid

    from gamedays.drivers.cluster import PodSighting
    from gamedays.execution.world import PodCensus

_SEEN_AGAIN = dt.timedelta(seconds=8)
_HAS_PROCESSES = ("Running", "Terminating")
_ON_ITS_WAY = ("ContainerCreating", "PodInitializing")
"""What a pod says that is being started: no trouble that would replace one that was named."""
_REASON_MAX = 120
_UID_MAX = 64
"""The columns' lengths: an annotation of a pod may be longer, and is whoever's who made it."""


def merge_census(
    injection_id: uuid.UUID,
    known: dict[str, PodRecord],
    census: PodCensus,
    *,
    before: bool,
) -> list[PodRecord]:
    """The records that one look changes, `known` (by UID) among them; new ones are added to it.
    Nothing is written. `before`: nothing was touched yet, so whatever is there existed before.
    """
    if census.source is PodSource.GUARD:
        return _merge_guards(known, census)
    changed = []
    seen = set()
    for sighting in census.pods:
        seen.add(sighting.uid)
        record = known.get(sighting.uid)
        if record is None:
            record = PodRecord(
                injection_id=injection_id,
                uid=sighting.uid,
                mirror_uid=sighting.mirror_uid[:_UID_MAX],
                first_seen_at=census.at,
            )
        elif not before and not _differs(record, sighting, census):
            continue
        _apply(record, sighting, census, before=before)
        known[sighting.uid] = record
        changed.append(record)
    for uid, record in known.items():
        if uid not in seen and record.gone_at is None:
            _gone(record, census)
            changed.append(record)
    return changed


def _merge_guards(known: dict[str, PodRecord], census: PodCensus) -> list[PodRecord]:
    """Guards see which pods have live processes on their node: neither names nor readiness, and
    never a pod of a node whose guard did not answer."""
    alive = {sighting.uid for sighting in census.pods}
    changed = []
    for record in known.values():
        if record.gone_at is not None or record.node in census.unseen_nodes:
            continue
        if (record.mirror_uid or record.uid) in alive:
            if record.source != PodSource.GUARD:
                record.source = PodSource.GUARD
                record.last_seen_at = census.at
                changed.append(record)
        elif record.phase in _HAS_PROCESSES:
            _gone(record, census)
            changed.append(record)
    return changed


def _gone(record: PodRecord, census: PodCensus) -> None:
    record.gone_at = census.at
    record.source = census.source


def _differs(record: PodRecord, sighting: PodSighting, census: PodCensus) -> bool:
    return (
        record.gone_at is not None
        # Also what has not changed is written now and then: judging asks when it was last seen.
        or census.at - record.last_seen_at >= _SEEN_AGAIN
        or record.source != PodSource.API
        or (record.phase, record.ready, record.restarts, record.reason)
        != (sighting.phase, sighting.ready, sighting.restarts, sighting.reason)
    )


def _apply(record: PodRecord, sighting: PodSighting, census: PodCensus, *, before: bool) -> None:
    # What has not changed is not written every time: a pod that is ready now was not, until now.
    if sighting.ready is False or (sighting.ready and record.ready is False):
        record.last_unready_at = census.at
    record.last_seen_at = census.at
    record.source = census.source
    record.gone_at = None
    record.node = sighting.node
    record.namespace, record.name = sighting.namespace, sighting.name
    record.phase, record.ready = sighting.phase, sighting.ready
    record.restarts, record.reason = sighting.restarts, redact_text(sighting.reason)[:_REASON_MAX]
    if sighting.reason and not (record.worst_reason and sighting.reason in _ON_ITS_WAY):
        record.worst_reason = record.reason
    if before:
        # What had failed by then was not running, and nothing can terminate it any more.
        record.existed_before = sighting.phase != FAILED
    if before or record.restarts_before is None:
        record.restarts_before = sighting.restarts
