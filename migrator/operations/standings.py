"""Keeping the rows that the board reads: what was marked, and what is due to be looked at again.

A mark is taken away in the transaction that answers it, so a process that ends in between leaves it
where it was; one that is set meanwhile is another row, and is answered next.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterable
from typing import Any

from django.db import transaction
from django.utils import timezone

from migrator.models import Dependency, Hold, Service, ServiceStanding, StandingMark
from migrator.selectors.standings import Found, standing_of

AT_ONCE = 500
_LINK_MAX, _CLEARS_MAX, _SUBJECT_MAX, _CODE_MAX = 200, 80, 80, 60


def refresh_standings(*, for_s: float = 0.5) -> int:
    """Answer marks, then what is due, for about so long; how many services were looked at."""
    give_up_at = time.monotonic() + for_s
    number = 0
    for service_id in _waiting():
        _refresh(service_id)
        number += 1
        if time.monotonic() > give_up_at:
            break
    return number


def refresh_services(ids: Iterable[int] | None = None) -> None:
    """Look at these now, or at every service: after a batch that somebody wants to see at once."""
    if ids is None:
        ids = Service.objects.order_by("pk").values_list("pk", flat=True)
    for service_id in list(ids):
        _refresh(service_id)


def mark(services: Iterable[int]) -> None:
    """Have these looked at again, for what no trigger sees."""
    StandingMark.objects.bulk_create(StandingMark(service_id=pk) for pk in services)


def _waiting() -> list[int]:
    marked = StandingMark.objects.order_by("pk").values_list("service_id", flat=True)[:AT_ONCE]
    found = dict.fromkeys(marked)
    due = ServiceStanding.objects.filter(look_again_at__lte=timezone.now())
    found |= dict.fromkeys(
        due.order_by("look_again_at").values_list("service_id", flat=True)[:AT_ONCE]
    )
    return list(found)


@transaction.atomic
def _refresh(service_id: int) -> None:
    # Whoever comes second leaves it: the first one's answer is as new as its own would be, and a
    # mark that was set later is still there.
    locked = ServiceStanding.objects.select_for_update(skip_locked=True)
    row = locked.filter(service=service_id).first()
    if row is None:
        if not ServiceStanding.objects.filter(service=service_id).exists():
            StandingMark.objects.filter(service_id=service_id).delete()
        return
    StandingMark.objects.filter(service_id=service_id).delete()
    service = Service.objects.select_related("team").get(pk=service_id)
    found = standing_of(service)
    moved = (row.steps, row.behind, row.stage) != (found.steps, found.behind, str(found.stage))
    Hold.objects.filter(service=service_id).delete()
    if found.plan is not None and found.step is not None:
        Hold.objects.bulk_create(
            Hold(
                service_id=service_id,
                plan_id=found.plan.pk,
                step_id=found.step.pk,
                **{
                    **dataclasses.asdict(hold),
                    "code": hold.code[:_CODE_MAX],
                    "subject": hold.subject[:_SUBJECT_MAX],
                    "clears": hold.clears[:_CLEARS_MAX],
                    "link": hold.link[:_LINK_MAX],
                },
            )
            for hold in found.holds
        )
    ServiceStanding.objects.filter(service=service_id).update(**_columns(found))
    if moved:
        # Whether it is there is a gate of those that need it.
        needing = Dependency.objects.filter(needs=service_id).values_list("service_id", flat=True)
        mark(needing)


def _columns(found: Found) -> dict[str, Any]:
    return {
        "stage": found.stage,
        "health": found.health,
        "sentence": found.sentence,
        "clears": found.clears[:_CLEARS_MAX],
        "link": found.link[:_LINK_MAX],
        "late_since": found.late_since,
        "plan_id": found.plan.pk if found.plan is not None else None,
        "step_id": found.step.pk if found.step is not None else None,
        "steps": found.steps,
        "behind": found.behind,
        "began_at": found.began_at,
        "arrived_at": found.arrived_at,
        "looked_at": timezone.now(),
        "look_again_at": found.look_again_at,
    }
