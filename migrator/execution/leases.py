"""The leases of steps, as the watchdog reads them.

Held ones, and those of what exposes users still and nobody holds: a conductor that was told to
stop, or that waits between two tries, leaves the rest to workers, and there may be none.
"""

from __future__ import annotations

from collections.abc import Iterable

from django.db.models import Q

from core.watchdog import LeaseRow
from migrator.choices import FINAL, GOING_BACK, MAY_GO_BACK, AttemptState
from migrator.execution import shell
from migrator.models import StepLease

_EXPOSED = (
    AttemptState.CHANGING,
    AttemptState.JUDGING,
    AttemptState.RETURNING,
    AttemptState.STUCK,
)


class StepLeases:
    """`LeaseBook` of attempts, on PostgreSQL."""

    def rows(self) -> Iterable[LeaseRow]:
        exposed = Q(attempt__exposes=True, attempt__state__in=_EXPOSED)
        watched = StepLease.objects.filter(Q(held=True) | exposed)
        leases = watched.exclude(attempt__state__in=sorted(FINAL))
        for lease in leases.select_related("attempt"):
            attempt = lease.attempt
            asked = attempt.back_asked_at is not None
            yield LeaseRow(
                key=attempt.pk,
                fence=lease.fence,
                renewals=lease.renewals,
                given_up=lease.given_up,
                abort_waiting=asked and attempt.state in MAY_GO_BACK,
                abort_underway=asked
                and attempt.state in GOING_BACK
                and attempt.state != AttemptState.STUCK,
            )

    def take_over(self, row: LeaseRow) -> int | None:
        held = shell.take_over(row.key, fence=row.fence, renewals=row.renewals)
        return held if held is not None else shell.claim(row.key)
