"""Findings: edited by people, closed only by proof."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from django.db import transaction
from django.db.models import F, Q
from django.utils import timezone

from core import policies
from core.errors import Conflict, DomainError, Invalid, raise_invalid
from core.texts import complaint_of_length
from gamedays.choices import (
    FINDING_BY_HAND,
    GAMEDAY_OPEN,
    EntryKind,
    FindingStatus,
    Outcome,
    Severity,
)
from gamedays.models import Finding, Fix, Injection, TimelineEntry, Verification
from gamedays.models.finding import LINK_MAX, TITLE_MAX
from gamedays.operations.bookings import book_repeat
from gamedays.operations.runs import begin_next
from gamedays.operations.symptoms import SymptomDraft, edited_symptom, symptom_words
from migrator.models import Service

if TYPE_CHECKING:
    from core.models import User

_TEXT_MAX = 20_000
FIX_MAX = 4000


def edit_finding(
    *,
    actor: User,
    finding: Finding,
    version: int,
    title: str,
    believed: str,
    happened: str,
    cause: str,
    severity: str,
    owner: User | None,
    service: Service | None,
    symptom: SymptomDraft | None = None,
) -> Finding:
    """Write down what a person knows. `version` is the row version that the person saw; `service`
    the one that it is about, None where it is about the cluster; a changed `symptom` is told on the
    timeline of the run that showed it, by whom and from what.

    Raises:
        NotFound, NotAllowed; Invalid by field, `text_too_long` or `invalid`; Conflict
        `edited_meanwhile`, `symptom_judged`.
    """
    policies.require_run(actor, finding.cluster)
    errors: dict[str, DomainError | str] = {}
    if not title.strip():
        errors["title"] = "Give the finding a title that says what surprised you."
    elif too_long := complaint_of_length("A title", title, TITLE_MAX):
        errors["title"] = too_long
    if severity not in Severity.values:
        errors["severity"] = f"{severity!r} is none of {', '.join(Severity.values)}."
    for field, text in (("believed", believed), ("happened", happened), ("cause", cause)):
        if too_long := complaint_of_length("This text", text, _TEXT_MAX):
            errors[field] = too_long
    if owner is not None and not policies.may_run(owner, finding.cluster):
        errors["owner"] = f"{owner} is no lead or engineer of {finding.cluster.team}."
    if (
        service is not None
        and service.pk != finding.service_id
        and not Service.objects.visible_to(actor).filter(pk=service.pk).exists()
    ):
        errors["service"] = "There is no such service among those that you may see."
    if errors:
        raise_invalid(errors)
    values: dict[str, object] = {
        "title": title.strip(),
        "believed": believed.strip(),
        "happened": happened.strip(),
        "cause": cause.strip(),
        "severity": severity,
        "owner": owner,
        "service": service,
        "drafted": False,
    }
    with transaction.atomic():
        # Locked, as whoever judges a re-verification locks it: what is judged stays.
        stands = Finding.objects.select_for_update(of=("self",)).get(pk=finding.pk)
        edited = edited_symptom(stands, symptom) if symptom and stands.version == version else None
        if edited is not None:
            values["symptom"] = edited
        _change(finding, version, **values)
        if edited is not None:
            _tell_of_symptom(actor, finding, before=stands.symptom)
    return finding


def set_finding_status(*, actor: User, finding: Finding, version: int, status: str) -> Finding:
    """Move a finding along by hand. *Verified fixed* is out of reach: only a run proves it."""
    policies.require_run(actor, finding.cluster)
    if status == FindingStatus.VERIFIED_FIXED:
        raise Conflict(
            "Nobody sets “verified fixed” by hand. Record the fix and re-verify: the run of the "
            "same fault is the proof.",
            code="needs_proof",
            field="status",
        )
    if status == FindingStatus.FIX_READY:
        raise Conflict(
            "A finding is “fix ready” when a fix is recorded: say what was done.",
            code="needs_fix",
            field="status",
        )
    if status not in FINDING_BY_HAND[FindingStatus(finding.status)]:
        raise Conflict(
            f"A finding that is {finding.get_status_display().lower()} cannot become {status!r}.",
            code="transition_not_allowed",
            field="status",
        )
    _change(finding, version, status=status, drafted=False)
    return finding


def record_fix(
    *, actor: User, finding: Finding, what: str, link: str, fixed_since: dt.datetime
) -> Fix:
    """Say what was done, and since when; the finding is then ready to be re-verified.

    `fixed_since` is aware, and lies between the newest run that showed the symptom and now.

    Raises:
        NotFound, NotAllowed; Invalid by field, `text_too_long`, `fixed_since_in_future`,
        `fixed_since_before_run` or `invalid`; Conflict `finding_closed`.
    """
    policies.require_run(actor, finding.cluster)
    errors: dict[str, DomainError | str] = {}
    if not what.strip():
        errors["what"] = "Say what was done, so that another team can do it too."
    elif too_long := complaint_of_length("What was done", what, FIX_MAX):
        errors["what"] = too_long
    link = link.strip()
    if too_long := complaint_of_length("A link", link, LINK_MAX):
        errors["link"] = too_long
    elif link and urlsplit(link).scheme not in ("http", "https"):
        errors["link"] = f"{link!r} is no http or https address."
    if wrong := _complaint_of_moment(finding, fixed_since):
        errors["fixed_since"] = wrong
    if errors:
        raise_invalid(errors)
    with transaction.atomic():
        finding = Finding.objects.select_for_update().get(pk=finding.pk)
        if finding.status == FindingStatus.VERIFIED_FIXED:
            raise Conflict("This finding is verified fixed already.", code="finding_closed")
        fix = Fix.objects.create(
            finding=finding,
            what=what.strip(),
            link=link,
            fixed_since=fixed_since,
            recorded_by=actor,
        )
        Finding.objects.filter(pk=finding.pk).update(
            status=FindingStatus.FIX_READY, version=F("version") + 1, drafted=False
        )
    return fix


def _complaint_of_moment(finding: Finding, fixed_since: dt.datetime) -> Invalid | None:
    """Why nothing can have been fixed since then; None: it can."""
    now = timezone.now()

    def told(at: dt.datetime) -> str:
        return f"{at.astimezone(fixed_since.tzinfo):%Y-%m-%d %H:%M:%S %Z}"

    if fixed_since > now:
        return Invalid(
            f"{told(fixed_since)} is in the future: it is {told(now)} now. Record the fix when it "
            "is in place.",
            code="fixed_since_in_future",
        )
    shown_at = _last_shown_at(finding, now)
    if shown_at is not None and fixed_since <= shown_at:
        return Invalid(
            f"{told(fixed_since)} is before the fault of {told(shown_at)}, which showed the "
            "symptom: what was in place by then did not help. Give the moment after it since "
            "which the fix is in place.",
            code="fixed_since_before_run",
        )
    return None


def _last_shown_at(finding: Finding, now: dt.datetime) -> dt.datetime | None:
    """When the fault of the newest run began that showed the finding's own symptom; None: no run
    of it injected anything."""
    seen_again = Q(recurrences__finding=finding)
    if "drafted" in finding.symptom:
        # A person edited the symptom. Such a run showed what the scenario believes; whether it
        # showed the edited one, too, is known only where it disproved a fix.
        seen_again &= Q(recurrences__after_fix__isnull=False)
    recurred = Q(verification__finding=finding, verification__outcome=Outcome.RECURS)
    runs = Injection.objects.filter(Q(pk=finding.injection_id) | recurred | seen_again)
    moments = runs.values_list("injecting_at", "asked_at")
    # Where the conductor's clock is ahead of ours, only what our own wrote down can be compared.
    return max((at if at <= now else asked for at, asked in moments if at), default=None)


def request_verification(
    *, actor: User, finding: Finding, starts_at: dt.datetime | None = None
) -> Verification:
    """Run the same scenario version with the same parameters again: now, or at a booked time.

    Raises:
        NotFound, NotAllowed: starting now is for leads and engineers, booking is for leads.
        Conflict: `verification_waiting`, `finding_closed`, `scenario_changed`, `cluster_busy`,
            `booking_overlaps`.
        Invalid: `booking_in_past`.
    """
    if starts_at is None:
        policies.require_run(actor, finding.cluster)
    else:
        policies.require_book(actor, finding.cluster)
        if starts_at < timezone.now():
            raise Invalid(
                f"{starts_at:%Y-%m-%d %H:%M %Z} is in the past. Choose a time from now on.",
                code="booking_in_past",
                field="starts_at",
            )
    with transaction.atomic():
        finding = Finding.objects.select_for_update().get(pk=finding.pk)
        if finding.status == FindingStatus.VERIFIED_FIXED:
            raise Conflict("This finding is verified fixed already.", code="finding_closed")
        if finding.verifications.filter(outcome="", gameday__state__in=GAMEDAY_OPEN):
            raise Conflict(
                "A re-verification of this finding is already waiting or running.",
                code="verification_waiting",
            )
        gameday = book_repeat(
            actor=actor,
            cluster=finding.cluster,
            title=f"Re-verify: {finding.title}",
            starts_at=starts_at or timezone.now(),
            scenario_key=finding.scenario_key,
            scenario_version=finding.scenario_version,
            parameters=finding.parameters,
        )
        verification = Verification.objects.create(finding=finding, gameday=gameday, asked_by=actor)
        if starts_at is None:
            begin_next(gameday=gameday, actor=actor, due_at=timezone.now())
            verification.refresh_from_db()
    return verification


def _tell_of_symptom(actor: User, finding: Finding, *, before: dict[str, Any]) -> None:
    was, now = (
        {key: symptom.get(key) for key in ("probe", "min_passed_share", "window")}
        for symptom in (before, finding.symptom)
    )
    TimelineEntry.objects.create(
        injection_id=finding.injection_id,
        at=timezone.now(),
        kind=EntryKind.ACTION,
        text=f"{actor} edited the symptom of “{finding.title}”. Before: {symptom_words(before)} "
        f"Now: {symptom_words(finding.symptom)}",
        actor=actor,
        data={"finding": finding.pk, "symptom": {"before": was, "after": now}},
    )


def _change(finding: Finding, version: int, **values: object) -> None:
    rows = Finding.objects.filter(pk=finding.pk, version=version).update(
        version=version + 1, updated_at=timezone.now(), **values
    )
    if rows != 1:
        raise Conflict(
            "Somebody changed this finding while you were editing. What you typed is still here: "
            "compare it with the newest version and save again.",
            code="edited_meanwhile",
        )
    finding.refresh_from_db()
