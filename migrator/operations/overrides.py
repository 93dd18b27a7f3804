"""Going ahead in spite of a gate, freezing a cluster, and naming its Envoys."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import TYPE_CHECKING

from django.db import transaction
from django.utils import timezone

from core import policies as core_policies
from core.errors import Conflict, Invalid
from core.fields import Field, require_base
from migrator import plan_policies as policies
from migrator.gates import reasons
from migrator.models import EnvoyListeners, FreezeWindow, Override, Step
from migrator.operations.plan_history import write_history
from migrator.operations.steps import checked_reason, lock_step

if TYPE_CHECKING:
    from core.models import Cluster, User

LONGEST = dt.timedelta(days=14)
_FREEZE_LONGEST = dt.timedelta(days=120)
_URL = Field(name="urls", label="Stats listener", kind="url", check=require_base)
ENVOYS_MAX = 64


def sign_override(
    *, actor: User, step: Step, code: str, subject: str = "", reason: str, hours: int
) -> Override:
    """Answer for starting a step in spite of one gate, for so many hours. It stays visible.

    Raises:
        NotFound, NotAllowed: leads of the service's team only.
        Invalid: no reason, or `hours` (1 to 336).
        Conflict: `gate_not_closed`, `not_overridable`.
    """
    policies.require_lead(actor, step.plan, "sign an override")
    most = int(LONGEST.total_seconds() // 3600)
    if not 1 <= hours <= most:
        raise Invalid(f"For how long: choose 1 to {most} hours.", field="hours")
    reason = checked_reason(reason, "Say why it is right to go ahead all the same.", 2000)
    with transaction.atomic():
        step = lock_step(step)
        closed = [each for each in reasons(step) if (each.code, each.subject) == (code, subject)]
        if not closed:
            raise Conflict(
                "This gate does not hold the step back any more.", code="gate_not_closed"
            )
        if not closed[0].overridable:
            raise Conflict(
                f"Nobody can pass over this one. {closed[0].clears}.", code="not_overridable"
            )
        made = Override.objects.create(
            plan=step.plan,
            step=step,
            code=code,
            subject=subject,
            reason=reason,
            signed_by=actor,
            expires_at=timezone.now() + dt.timedelta(hours=hours),
        )
        write_history(
            step.plan,
            actor=actor,
            step=step,
            text=f"{actor} answers for passing over “{closed[0].sentence}” for {hours} h: {reason}",
            data={"gate": code},
        )
    return made


def withdraw_override(*, actor: User, override: Override) -> Override:
    """Take an override back before it expires. It stays visible.

    Raises: NotFound, NotAllowed; Conflict: `override_over`.
    """
    policies.require_lead(actor, override.plan, "withdraw an override")
    with transaction.atomic():
        rows = Override.objects.filter(pk=override.pk, withdrawn_at__isnull=True).update(
            withdrawn_at=timezone.now(), withdrawn_by=actor
        )
        if rows != 1:
            raise Conflict("It was withdrawn already.", code="override_over")
        write_history(
            override.plan,
            actor=actor,
            step=override.step,
            text=f"{actor} withdrew the override of {override.code}.",
        )
    override.refresh_from_db()
    return override


def declare_freeze(
    *, actor: User, cluster: Cluster, starts_at: dt.datetime, ends_at: dt.datetime, why: str
) -> FreezeWindow:
    """Let no step go forward on a cluster for a time. Ways back may always.

    Raises:
        NotFound, NotAllowed: leads of the cluster's team.
        Invalid: times, or no reason.
    """
    core_policies.require_book(actor, cluster)
    why = checked_freeze(why)
    if ends_at <= starts_at:
        raise Invalid("Ends: it has to end after it starts.", field="ends")
    if ends_at <= timezone.now():
        raise Invalid("Ends: this time is over already.", field="ends")
    if ends_at - starts_at > _FREEZE_LONGEST:
        raise Invalid(f"Ends: a freeze lasts at most {_FREEZE_LONGEST.days} days.", field="ends")
    return FreezeWindow.objects.create(
        cluster=cluster, starts_at=starts_at, ends_at=ends_at, why=why, declared_by=actor
    )


def lift_freeze(*, actor: User, freeze: FreezeWindow) -> FreezeWindow:
    """End a freeze early. It stays in the list.

    Raises: NotFound, NotAllowed; Conflict: `freeze_over`.
    """
    core_policies.require_book(actor, freeze.cluster)
    rows = FreezeWindow.objects.filter(
        pk=freeze.pk, lifted_at__isnull=True, ends_at__gt=timezone.now()
    ).update(lifted_at=timezone.now(), lifted_by=actor)
    if rows != 1:
        raise Conflict("This freeze is over already.", code="freeze_over")
    freeze.refresh_from_db()
    return freeze


def name_envoys(*, actor: User, cluster: Cluster, urls: Sequence[str]) -> EnvoyListeners:
    """Say where every Envoy of a cluster tells its figures. Who leaves one out counts too few.

    Raises:
        NotFound, NotAllowed: leads of the cluster's team.
        Invalid: an address, or too many.
    """
    core_policies.require_book(actor, cluster)
    cleaned: list[str] = []
    for url in urls:
        if not url.strip():
            continue
        try:
            cleaned.append(str(_URL.clean(url)).rstrip("/"))
        except ValueError as error:
            raise Invalid(str(error), field="urls") from None
    if len(cleaned) > ENVOYS_MAX:
        raise Invalid(f"At most {ENVOYS_MAX} addresses; these are {len(cleaned)}.", field="urls")
    listeners, _made = EnvoyListeners.objects.update_or_create(
        cluster=cluster, defaults={"urls": list(dict.fromkeys(cleaned)), "set_by": actor}
    )
    return listeners


def checked_freeze(why: str) -> str:
    try:
        return checked_reason(why, "Say why nothing goes forward, for whoever is held up.", 300)
    except Invalid as error:
        raise Invalid(error.message, field="why") from None
