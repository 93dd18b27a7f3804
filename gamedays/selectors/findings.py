"""Findings: the list, the board, and one as its story."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from django.db.models import Count, Q

from core.errors import NotFound
from gamedays.choices import FINDING_BY_HAND, FindingStatus
from gamedays.models import Finding, Fix, Recurrence, Verification
from migrator.models import Service

if TYPE_CHECKING:
    from django.db.models import QuerySet

    from core.models import User


@dataclass(frozen=True, slots=True)
class Column:
    """One status of the board: its newest findings, and how many there are."""

    status: str
    count: int
    findings: list[Finding]


BOARD_ROWS = 20
"""Cards of one column; the list has them all."""


def findings(user: User, status: str = "") -> QuerySet[Finding]:
    """The newest first; those of one status only, where one is named."""
    found = (
        Finding.objects.visible_to(user)
        .select_related("cluster__team", "owner")
        .order_by("-created_at", "-pk")
    )
    return found.filter(status=status) if status else found


def counts(user: User) -> dict[str, int]:
    """How many findings have which status; those that none has, too. One query."""
    rows = Finding.objects.visible_to(user).order_by().values_list("status")
    found = dict(rows.annotate(count=Count("pk")))
    return {status: found.get(status, 0) for status in FindingStatus.values}


def board(user: User) -> list[Column]:
    """Every status as a column, empty ones too: the loop is seen whole."""
    return [
        Column(status, count, list(findings(user, status)[:BOARD_ROWS]))
        for status, count in counts(user).items()
    ]


def finding_with_id(user: User, finding_id: int) -> Finding:
    """The finding of that id. Raises `NotFound`, to outsiders too."""
    found = (
        findings(user)
        .select_related(
            "injection__agenda_item__gameday", "injection__cluster", "proof", "service__team"
        )
        .filter(pk=finding_id)
        .first()
    )
    if found is None:
        raise NotFound(f"There is no finding {finding_id} among those that you may see.")
    return found


def services_it_may_be_about(user: User, finding: Finding) -> QuerySet[Service]:
    """Services of the finding's cluster that the person may see, and the one that is named."""
    here = Q(cluster=finding.cluster_id) | Q(plans__cluster=finding.cluster_id)
    theirs = Service.objects.visible_to(user).filter(here).values("pk")
    named = Q(pk__in=theirs) | Q(pk=finding.service_id)
    return Service.objects.filter(named).order_by("name")


def fixes(finding: Finding) -> QuerySet[Fix]:
    """What was done about it, the newest first."""
    return finding.fixes.select_related("recorded_by")


def verifications(finding: Finding) -> QuerySet[Verification]:
    """Every asking for proof, the newest first."""
    asked = finding.verifications.select_related("gameday", "injection", "after_fix", "asked_by")
    return asked.order_by("-asked_at", "-pk")


def recurrences(finding: Finding) -> QuerySet[Recurrence]:
    """Later runs that nobody asked for as a proof and that showed the symptom, the newest first."""
    return finding.recurrences.select_related("injection", "after_fix")


def statuses_by_hand(finding: Finding) -> list[FindingStatus]:
    """What a person may set now. *Verified fixed* is never among them: only a run sets it."""
    allowed = FINDING_BY_HAND[FindingStatus(finding.status)]
    return [status for status in FindingStatus if status in allowed]
