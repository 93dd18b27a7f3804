"""Making and changing waves. Leads of the wave's team may, for services of teams that they lead."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import structlog
from django.db import IntegrityError, transaction
from django.utils import timezone

from core.errors import Conflict, Invalid, raise_invalid
from core.policies import role_in
from core.redaction import redact_text
from core.texts import complaint_of_length
from migrator import wave_policies as policies
from migrator.choices import WaveVerb
from migrator.models import Service, Wave, WaveChange, WaveService

if TYPE_CHECKING:
    from core.errors import DomainError
    from core.models import Team, User

log = structlog.get_logger(__name__)
NAME_MAX = 80
NOTE_MAX = 2000
LONGEST = dt.timedelta(days=366 * 3)
AT_ONCE = 2000
"""Services that are put in with one click."""


def create_wave(
    *,
    actor: User,
    team: Team,
    name: str,
    starts_on: dt.date | None,
    ends_on: dt.date | None,
    note: str = "",
) -> Wave:
    """A wave of a team, without services.

    Raises:
        NotFound, NotAllowed: leads of `team` only.
        Invalid: every wrong value at once; Conflict: `wave_exists`.
    """
    policies.require_lead_team(actor, team)
    values = _clean(name, starts_on, ends_on, note)
    with transaction.atomic():
        try:
            with transaction.atomic():
                wave = Wave.objects.create(team=team, made_by=actor, **values)
        except IntegrityError:
            raise _exists(values["name"]) from None
        details = {key: ["", str(value)] for key, value in values.items() if value}
        _record(actor, wave, WaveVerb.CREATED, details)
    return wave


def edit_wave(
    *,
    actor: User,
    wave: Wave,
    version: int,
    name: str,
    starts_on: dt.date | None,
    ends_on: dt.date | None,
    note: str = "",
) -> Wave:
    """Change a wave's name, dates and note. `version` is the row version that the person saw.

    Raises:
        NotFound, NotAllowed; Invalid; Conflict: `edited_meanwhile`, `wave_exists`,
            `wave_archived`.
    """
    policies.require_lead(actor, wave)
    values = _clean(name, starts_on, ends_on, note)
    with transaction.atomic():
        found = _locked(wave, version)
        details = {
            key: [str(getattr(found, key)), str(value)]
            for key, value in values.items()
            if getattr(found, key) != value
        }
        if not details:
            return found
        try:
            with transaction.atomic():
                _save(found, **values)
        except IntegrityError:
            raise _exists(values["name"]) from None
        _record(actor, found, WaveVerb.EDITED, details)
    return found


def put_in_wave(*, actor: User, wave: Wave, version: int, services: Sequence[Service]) -> int:
    """Put services into a wave; how many were not in it. All of them or none.

    Raises:
        NotFound, NotAllowed: leads of the wave's team, and of every service's.
        Invalid: none is named, or too many; Conflict: `in_another_wave`, `edited_meanwhile`,
            `wave_archived`.
    """
    policies.require_lead(actor, wave)
    if not services:
        raise Invalid("Name the services that this wave moves, one a line.", field="services")
    if len(services) > AT_ONCE:
        raise Invalid(
            f"At most {AT_ONCE} services at once; these are {len(services)}. Put them in by parts.",
            field="services",
        )
    policies.require_lead_services(actor, services)
    with transaction.atomic():
        found = _locked(wave, version)
        keys = [service.pk for service in services]
        there = {
            member.service_id: member
            for member in WaveService.objects.filter(service__in=keys).select_related("wave")
        }
        elsewhere = [each for each in services if each.pk in there
                     and there[each.pk].wave_id != found.pk]  # fmt: skip
        if elsewhere:
            raise _in_another(actor, [(each, there[each.pk].wave) for each in elsewhere])
        new = [each for each in services if each.pk not in there]
        if not new:
            return 0
        try:
            with transaction.atomic():
                WaveService.objects.bulk_create(
                    WaveService(service=each, wave=found, put_in_by=actor) for each in new
                )
        except IntegrityError:
            raise Conflict(
                "Somebody put one of them into a wave meanwhile. Look again, and name the others.",
                code="in_another_wave",
                field="services",
            ) from None
        _save(found)
        _record(actor, found, WaveVerb.PUT_IN, {"services": sorted(each.slug for each in new)})
    return len(new)


def take_out_of_wave(*, actor: User, wave: Wave, version: int, services: Iterable[int]) -> int:
    """Take services out of a wave, by their ids; how many were in it.

    Raises:
        NotFound, NotAllowed: leads of the wave's team.
        Conflict: `edited_meanwhile`, `wave_archived`; Invalid: none was chosen.
    """
    policies.require_lead(actor, wave)
    keys = list(services)
    if not keys:
        raise Invalid("Choose the services to take out of the wave.", field="services")
    with transaction.atomic():
        found = _locked(wave, version)
        # What the person does not see is not theirs to take out either.
        seen = Service.objects.visible_to(actor).filter(pk__in=keys).values("pk")
        members = WaveService.objects.filter(wave=found, service__in=seen)
        slugs = sorted(members.values_list("service__slug", flat=True))
        members.delete()
        if slugs:
            _save(found)
            _record(actor, found, WaveVerb.TAKEN_OUT, {"services": slugs})
    return len(slugs)


def archive_wave(*, actor: User, wave: Wave, version: int) -> Wave:
    """Take a wave out of use. Its services are free for another; its history stays readable.

    Raises: NotFound, NotAllowed; Conflict: `edited_meanwhile`, `wave_archived`.
    """
    policies.require_lead(actor, wave)
    with transaction.atomic():
        found = _locked(wave, version)
        members = WaveService.objects.filter(wave=found)
        slugs = sorted(members.values_list("service__slug", flat=True))
        members.delete()
        _save(found, archived_at=timezone.now())
        _record(actor, found, WaveVerb.ARCHIVED, {"services": slugs})
    return found


def _clean(
    name: str, starts_on: dt.date | None, ends_on: dt.date | None, note: str
) -> dict[str, Any]:
    name, note = " ".join(name.split()), note.replace("\r\n", "\n").strip()
    errors: dict[str, DomainError | str] = {}
    if not name:
        errors["name"] = "Give the wave a name, such as “Wave 1: reading only”."
    elif too_long := complaint_of_length("A name", name, NAME_MAX):
        errors["name"] = too_long
    elif not name.isprintable():
        errors["name"] = "A name is one line of plain text, without control characters."
    if too_long := complaint_of_length("A note", note, NOTE_MAX):
        errors["note"] = too_long
    elif "\x00" in note:
        errors["note"] = "A note is plain text, without control characters."
    today = timezone.localdate()
    for field, day in (("starts_on", starts_on), ("ends_on", ends_on)):
        if day is None:
            errors[field] = "Give a date, like 2026-03-01."
        elif abs(day - today) > LONGEST:
            errors[field] = f"{day} is more than three years away. Look at the year again."
    if starts_on and ends_on and ends_on < starts_on and not {"starts_on", "ends_on"} & set(errors):
        errors["ends_on"] = f"It would end on {ends_on}, before it starts on {starts_on}."
    if errors:
        raise_invalid(errors)
    return {
        "name": redact_text(name),
        "starts_on": starts_on,
        "ends_on": ends_on,
        "note": redact_text(note),
    }


def _locked(wave: Wave, version: int) -> Wave:
    found = Wave.objects.select_for_update(of=("self",)).select_related("team").get(pk=wave.pk)
    if found.archived_at is not None:
        raise Conflict(
            f"The wave “{found}” was archived; its history stays readable. Make a new one.",
            code="wave_archived",
        )
    if found.version != version:
        raise Conflict(
            "Somebody else changed this wave meanwhile. Look at it as it is now, and change it "
            "again.",
            code="edited_meanwhile",
        )
    return found


def _save(wave: Wave, **values: Any) -> None:
    for name, value in values.items():
        setattr(wave, name, value)
    wave.version += 1
    wave.save(update_fields=[*values, "version"])


def _record(actor: User, wave: Wave, verb: WaveVerb, details: dict[str, Any]) -> None:
    WaveChange.objects.create(wave=wave, verb=verb, by=actor, details=details)
    log.info("wave_changed", actor=actor.username, wave=wave.pk, verb=str(verb))


def _exists(name: str) -> Conflict:
    return Conflict(
        f"The team has a wave “{name}” already. Change that one, or choose another name.",
        code="wave_exists",
        field="name",
    )


def _in_another(actor: User, found: list[tuple[Service, Wave]]) -> Conflict:
    shown = []
    for service, wave in found[:5]:
        # A wave of a team that the person does not see is not named.
        named = role_in(actor, wave.team_id) is not None
        shown.append(f"{service} is in {f'“{wave}”' if named else 'a wave of another team'}")
    more = f", and {len(found) - 5} more are in others" if len(found) > 5 else ""
    return Conflict(
        f"{'; '.join(shown)}{more}. A service is in one wave at most: take it out there first.",
        code="in_another_wave",
        field="services",
    )
