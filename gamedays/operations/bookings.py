"""Booking a gameday: every rule in one place, for page, API and chat alike."""

from __future__ import annotations

import datetime as dt
import math
import zoneinfo
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from django.db import IntegrityError, transaction
from django.db.backends.postgresql.psycopg_any import DateTimeTZRange
from django.utils import timezone

from core import policies
from core.choices import Stage
from core.errors import Conflict, DomainError, Invalid, raise_invalid, sentences
from core.texts import complaint_of_length, shorten
from gamedays.choices import GAMEDAY_OPEN, GamedayState, Purpose
from gamedays.models import AgendaItem, Gameday
from gamedays.models.gameday import TITLE_MAX
from gamedays.operations.ending import end_unproved
from gamedays.scenarios.registry import get_scenario

if TYPE_CHECKING:
    from core.models import Cluster, User
    from gamedays.scenarios.base import Scenario, Value

DURATION_MIN_MIN, DURATION_MIN_MAX = 5, 12 * 60
_LATE = dt.timedelta(minutes=1)
"""A form that was filled in over the turn of a minute is not a booking in the past."""
AGENDA_MAX = 12


@dataclass(frozen=True)
class AgendaDraft:
    """One fault to plan. `parameters` may be text as typed; the scenario cleans it."""

    scenario_key: str
    parameters: Mapping[str, object]


@dataclass(frozen=True)
class _Planned:
    scenario: Scenario
    parameters: dict[str, Value]


def book_gameday(
    *,
    actor: User,
    cluster: Cluster,
    title: str,
    starts_at: dt.datetime,
    duration_min: int,
    time_zone: str,
    facilitator: User,
    agenda: Sequence[AgendaDraft],
    autostart: bool = False,
) -> Gameday:
    """Book a stretch of a cluster's time. `starts_at` is aware, `duration_min` in minutes.

    Raises:
        NotFound, NotAllowed: who may not see the cluster, or is no lead.
        Invalid: `errors` by field (`agenda.0.hold_s` for a parameter); code `booking_in_past`,
            `text_too_long`, `unknown_parameter`, `parameter_out_of_bounds` or `invalid` of the
            first.
        Conflict: `booking_overlaps`, decided by the database.
    """
    policies.require_book(actor, cluster)
    errors: dict[str, DomainError | str] = {}
    if cluster.stage != Stage.QA:
        errors["cluster"] = f"{cluster.name} is a production cluster. Faults are for QA only."
    if not title.strip():
        errors["title"] = "Give it a title that people will recognise in the calendar."
    elif too_long := complaint_of_length("A title", title, TITLE_MAX):
        errors["title"] = too_long
    if time_zone not in zoneinfo.available_timezones():
        errors["time_zone"] = f"{time_zone!r} is no IANA time zone; use one like Europe/Berlin."
    if starts_at < timezone.now() - _LATE:
        errors["starts_at"] = Invalid(
            f"{starts_at:%Y-%m-%d %H:%M %Z} is in the past. Choose a time from now on.",
            code="booking_in_past",
        )
    if not DURATION_MIN_MIN <= duration_min <= DURATION_MIN_MAX:
        errors["duration_min"] = (
            f"{duration_min} minutes is out of bounds; choose {DURATION_MIN_MIN} to "
            f"{DURATION_MIN_MAX}."
        )
    if not policies.may_run(facilitator, cluster):
        errors["facilitator"] = (
            f"{facilitator} is no lead or engineer of {cluster.team}, and so could not run it."
        )
    planned = _plan(agenda, cluster, errors)
    if errors:
        raise_invalid(errors)
    with transaction.atomic():
        return _create(
            cluster=cluster,
            title=title.strip(),
            period=(starts_at, starts_at + dt.timedelta(minutes=duration_min)),
            time_zone=time_zone,
            facilitator=facilitator,
            autostart=autostart,
            actor=actor,
            planned=planned,
        )


def check_agenda(*, cluster: Cluster, agenda: Sequence[AgendaDraft]) -> dict[str, str]:
    """What `book_gameday` would refuse in this agenda, by field; empty when nothing."""
    errors: dict[str, DomainError | str] = {}
    _plan(agenda, cluster, errors)
    return sentences(errors)


def book_repeat(
    *,
    actor: User,
    cluster: Cluster,
    title: str,
    starts_at: dt.datetime,
    scenario_key: str,
    scenario_version: int,
    parameters: Mapping[str, object],
) -> Gameday:
    """Book the very same fault again, to re-verify a finding. In the caller's transaction.

    Raises:
        Conflict: `scenario_changed` when that version is gone, `booking_overlaps`.
        Invalid: the stored parameters no longer fit the cluster (a node has gone).
    """
    scenario = get_scenario(scenario_key)
    if scenario.version != scenario_version:
        raise Conflict(
            f"{scenario.title} is now version {scenario.version}; the finding was seen with "
            f"version {scenario_version}. Run the new version as a gameday: a finding of its own "
            "will show whether the symptom is still there.",
            code="scenario_changed",
        )
    values = scenario.clean(parameters, _node_names(cluster))
    length = dt.timedelta(seconds=scenario.worst_case_s(values) + 120)
    return _create(
        cluster=cluster,
        title=shorten(title, TITLE_MAX),
        period=(starts_at, starts_at + length),
        time_zone=cluster.time_zone,
        facilitator=actor,
        autostart=True,
        actor=actor,
        planned=[_Planned(scenario, values)],
        purpose=Purpose.VERIFICATION,
    )


def cancel_gameday(*, actor: User, gameday: Gameday) -> None:
    """Cancel what has not begun; a running one is ended or aborted instead."""
    policies.require_book(actor, gameday.cluster)
    with transaction.atomic():
        rows = Gameday.objects.filter(pk=gameday.pk, state=GamedayState.BOOKED).update(
            state=GamedayState.CANCELLED, ended_at=timezone.now()
        )
        if rows == 1:
            end_unproved(gameday, f"{actor} cancelled it.")
    if rows != 1:
        gameday.refresh_from_db()
        raise Conflict(
            f"This gameday is {gameday.get_state_display().lower()}, so it cannot be cancelled.",
            code="gameday_not_booked",
        )
    gameday.refresh_from_db()


def worst_case_minutes(agenda: Sequence[AgendaDraft]) -> int:
    """Minutes that the agenda needs if everything takes as long as it may; wrong values, which
    the booking itself refuses, count as their defaults."""
    seconds = 0
    for draft in agenda:
        scenario = get_scenario(draft.scenario_key)
        values = {
            p.name: _number(draft.parameters.get(p.name), p.default)
            for p in scenario.parameters
            if p.kind == "seconds"
        }
        seconds += scenario.worst_case_s(values)
    return math.ceil(seconds / 60)


def _number(given: object, default: Value) -> int:
    try:
        return int(str(given))
    except ValueError:
        return int(default)


def overlapping(
    *, cluster: Cluster, starts_at: dt.datetime, ends_at: dt.datetime
) -> Gameday | None:
    """What stands in the way of a booking, for the message; the database alone decides."""
    return (
        Gameday.objects.filter(
            cluster=cluster,
            state__in=GAMEDAY_OPEN,
            period__overlap=DateTimeTZRange(starts_at, ends_at),
        )
        .order_by("period")
        .first()
    )


def _plan(
    agenda: Sequence[AgendaDraft], cluster: Cluster, errors: dict[str, DomainError | str]
) -> list[_Planned]:
    if not agenda:
        errors["agenda"] = "Add at least one fault: a gameday breaks one thing at a time."
    if len(agenda) > AGENDA_MAX:
        errors["agenda"] = f"At most {AGENDA_MAX} faults fit one gameday; this has {len(agenda)}."
    nodes = _node_names(cluster)
    planned = []
    for index, draft in enumerate(agenda[:AGENDA_MAX]):
        try:
            scenario = get_scenario(draft.scenario_key)
            why_not = scenario.why_not_here(nodes)
            if why_not:
                errors[f"agenda.{index}.scenario"] = Invalid(why_not, code="scenario_not_here")
                continue
            planned.append(_Planned(scenario, scenario.clean(draft.parameters, nodes)))
        except Invalid as error:
            for field, message in error.errors.items():
                errors[f"agenda.{index}.{field}"] = Invalid(message, code=error.code)
        except DomainError as error:
            errors[f"agenda.{index}.scenario"] = error
    return planned


def _create(
    *,
    cluster: Cluster,
    title: str,
    period: tuple[dt.datetime, dt.datetime],
    time_zone: str,
    facilitator: User,
    autostart: bool,
    actor: User,
    planned: Sequence[_Planned],
    purpose: Purpose = Purpose.GAMEDAY,
) -> Gameday:
    try:
        with transaction.atomic():
            gameday = Gameday.objects.create(
                cluster=cluster,
                title=title,
                purpose=purpose,
                period=DateTimeTZRange(*period),
                time_zone=time_zone,
                facilitator=facilitator,
                autostart=autostart,
                booked_by=actor,
            )
    except IntegrityError:
        other = overlapping(cluster=cluster, starts_at=period[0], ends_at=period[1])
        what = "somebody was quicker"
        if other is not None:
            span = f"{other.starts_at:%Y-%m-%d %H:%M} to {other.ends_at:%H:%M} UTC"
            what = f"“{other.title}”, {span}"
        raise Conflict(
            f"{cluster.name} is already booked then: {what}. Choose another time.",
            code="booking_overlaps",
            field="starts_at",
        ) from None
    AgendaItem.objects.bulk_create(
        AgendaItem(
            gameday=gameday,
            position=position,
            scenario_key=item.scenario.key,
            scenario_version=item.scenario.version,
            parameters=item.parameters,
        )
        for position, item in enumerate(planned, start=1)
    )
    return gameday


def _node_names(cluster: Cluster) -> list[str]:
    return list(cluster.nodes.filter(control_plane=True).values_list("name", flat=True))
