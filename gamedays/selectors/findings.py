"""Findings: the list, the board, and one as its story."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from core.errors import NotFound
from gamedays.choices import FINDING_BY_HAND, FindingStatus
from gamedays.models import Finding, Fix, Recurrence, Verification

if TYPE_CHECKING:
    from django.db.models import QuerySet

    from core.models import User


@dataclass(frozen=True, slots=True)
class Column:
    """One status of the board."""

    status: str
    findings: list[Finding]


def findings(user: User) -> QuerySet[Finding]:
    return (
        Finding.objects.visible_to(user)
        .select_related("cluster__team", "owner")
        .order_by("-created_at")
    )


def board(user: User) -> list[Column]:
    """Every status as a column, empty ones too: the loop is seen whole."""
    by_status: dict[str, list[Finding]] = {status: [] for status in FindingStatus.values}
    for finding in findings(user):
        by_status[finding.status].append(finding)
    return [Column(status, rows) for status, rows in by_status.items()]


def finding_with_id(user: User, finding_id: int) -> Finding:
    """The finding of that id. Raises `NotFound`, to outsiders too."""
    found = (
        findings(user)
        .select_related("injection__agenda_item__gameday", "injection__cluster", "proof")
        .filter(pk=finding_id)
        .first()
    )
    if found is None:
        raise NotFound(f"There is no finding {finding_id} among those that you may see.")
    return found


def fixes(finding: Finding) -> list[Fix]:
    """What was done about it, the newest first."""
    return list(finding.fixes.select_related("recorded_by"))


def verifications(finding: Finding) -> list[Verification]:
    """Every asking for proof, the newest first."""
    return list(
        finding.verifications.select_related("gameday", "injection", "after_fix", "asked_by")
    )


def recurrences(finding: Finding) -> list[Recurrence]:
    """Later runs that nobody asked for as a proof and that showed the symptom, the newest first."""
    return list(finding.recurrences.select_related("injection", "after_fix"))


def statuses_by_hand(finding: Finding) -> list[FindingStatus]:
    """What a person may set now. *Verified fixed* is never among them: only a run sets it."""
    allowed = FINDING_BY_HAND[FindingStatus(finding.status)]
    return [status for status in FindingStatus if status in allowed]
