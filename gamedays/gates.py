"""What gamedays have to say before a migration step goes ahead (`settings.BELAY_STEP_GATES`)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from django.urls import reverse

from core.choices import Stage
from gamedays.choices import FindingStatus, Severity
from gamedays.models import Finding
from migrator.gates import Reason, sibling

if TYPE_CHECKING:
    from core.models import Cluster
    from migrator.models import Step

BLOCKING = (Severity.HIGH, Severity.CRITICAL)
"""A finding as severe as this holds steps back until its fix is proved."""


def hold_back(step: Step) -> Iterable[Reason]:
    """Blocking findings on the cluster that the step's proofs come from."""
    cluster = _proving_ground(step)
    if cluster is None:
        return
    unproved = Finding.objects.filter(cluster=cluster, severity__in=BLOCKING).exclude(
        status=FindingStatus.VERIFIED_FIXED
    )
    for finding in unproved.order_by("created_at")[:10]:
        yield Reason(
            code="blocking_finding",
            subject=str(finding.pk),
            sentence=f"A {finding.get_severity_display().lower()} finding on {cluster} is not "
            f"proved fixed: “{finding.title}”.",
            clears="Open the finding",
            link=reverse("finding", args=[finding.pk]),
        )


def _proving_ground(step: Step) -> Cluster | None:
    """Faults exist on QA only: what was found there holds for what it stands for."""
    if step.plan.stage == Stage.QA:
        return step.plan.cluster
    first = sibling(step.plan)
    return first.cluster if first else None
