"""The leases of steps, as the watchdog reads them."""

from __future__ import annotations

from collections.abc import Iterable

from core.watchdog import LeaseRow
from migrator.choices import FINAL, GOING_BACK, MAY_GO_BACK, AttemptState
from migrator.execution import shell
from migrator.models import StepLease


class StepLeases:
    """`LeaseBook` of attempts, on PostgreSQL: those that somebody holds."""

    def rows(self) -> Iterable[LeaseRow]:
        leases = StepLease.objects.filter(held=True).exclude(attempt__state__in=sorted(FINAL))
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
        return shell.take_over(row.key, fence=row.fence, renewals=row.renewals)
