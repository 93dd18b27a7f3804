"""What gamedays have to say before a migration step goes ahead (`settings.BELAY_STEP_GATES`)."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from functools import partial
from typing import TYPE_CHECKING

from django.db.models import Q
from django.urls import reverse
from django.utils import timezone

from core.choices import Stage
from gamedays.choices import FindingStatus, InjectionState, Severity, Verdict
from gamedays.models import Finding, Injection, RequiredProof
from gamedays.selectors.words import scenario_title
from migrator.gates import Reason, sibling

if TYPE_CHECKING:
    from core.models import Cluster
    from migrator.models import Step

BLOCKING = (Severity.HIGH, Severity.CRITICAL)
"""A finding as severe as this holds steps back until its fix is proved."""


def hold_back(step: Step) -> Iterable[Reason]:
    """Blocking findings about the step's service or about the cluster that its proofs come from,
    and proofs that are missing or stale there."""
    cluster = _proving_ground(step)
    service = step.plan.service
    # One that names a service is about that one, wherever it was found, and about no other.
    about = Q(service=service)
    if cluster is not None:
        about |= Q(service=None, cluster=cluster)
    unproved = (
        Finding.objects.filter(about, severity__in=BLOCKING)
        .exclude(status=FindingStatus.VERIFIED_FIXED)
        .select_related("cluster")
    )
    for finding in unproved.order_by("created_at")[:10]:
        where = f"about {service}" if finding.service_id else f"on {finding.cluster}"
        yield Reason(
            code="blocking_finding",
            subject=str(finding.pk),
            sentence=f"A {finding.get_severity_display().lower()} finding {where} is not proved "
            f"fixed: “{finding.title}”.",
            clears="Open the finding",
            link=reverse("finding", args=[finding.pk]),
        )
    if cluster is not None:
        yield from _proofs(cluster)


def _proofs(cluster: Cluster) -> Iterable[Reason]:
    required = list(RequiredProof.objects.filter(cluster=cluster))
    if not required:
        return
    newest = {
        run.scenario_key: run
        for run in Injection.objects.filter(
            cluster=cluster,
            scenario_key__in=[each.scenario_key for each in required],
            state=InjectionState.CLEAN,
        )
        .order_by("scenario_key", "-ended_at")
        .distinct("scenario_key")
    }
    for each in required:
        run = newest.get(each.scenario_key)
        title = scenario_title(each.scenario_key)
        reason = partial(
            Reason,
            subject=each.scenario_key,
            clears="Book a gameday with it",
            link=f"{reverse('book')}?scenario={each.scenario_key}",
        )
        if run is None or run.verdict != Verdict.HELD:
            seen = "was never run to its end" if run is None else "did not hold the last time"
            yield reason(code="proof_missing", sentence=f"“{title}” {seen} on {cluster}.")
            continue
        age = timezone.now() - run.ended_at if run.ended_at else dt.timedelta.max
        if age > dt.timedelta(weeks=each.weeks):
            yield reason(
                code="proof_stale",
                sentence=f"“{title}” held on {cluster} {age.days} days ago; a proof counts for "
                f"{each.weeks} weeks.",
            )


def _proving_ground(step: Step) -> Cluster | None:
    """Faults exist on QA only: what was found there holds for what it stands for."""
    if step.plan.stage == Stage.QA:
        return step.plan.cluster
    first = sibling(step.plan)
    return first.cluster if first else None
