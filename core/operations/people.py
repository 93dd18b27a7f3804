"""Teams and their people: who is here, and what each may do for a team's clusters."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.utils.text import slugify

from core import policies
from core.errors import Conflict, Invalid
from core.models import Membership, Team, User

if TYPE_CHECKING:
    from core.choices import Role

log = structlog.get_logger(__name__)


def create_team(*, actor: User, name: str) -> Team:
    """Make a team, which clusters can then be registered for.

    Raises:
        NotAllowed: the actor is no platform owner.
        Invalid: a name that cannot be one.
        Conflict: `team_exists`.
    """
    policies.require_owner(actor, "make teams")
    name = name.strip()
    slug = slugify(name)
    if not slug or len(name) > 80:
        raise Invalid("Give the team a name of letters or digits, 80 at most.", field="name")
    try:
        with transaction.atomic():
            team = Team.objects.create(name=name, slug=slug)
    except IntegrityError:
        raise Conflict(
            f"There is a team {name!r} already, or one whose address would be the same.",
            code="team_exists",
            field="name",
        ) from None
    log.info("team_made", by=actor.username, team=name)
    return team


def add_person(
    *, actor: User, username: str, password: str, first_name: str = "", last_name: str = ""
) -> User:
    """Let a person log in; they see no cluster before `set_role` gives them a team.

    Raises:
        NotAllowed: the actor is no platform owner.
        Invalid: by field, what is wrong with the user name or the password.
        Conflict: `person_exists`.
    """
    policies.require_owner(actor, "add people")
    person = User(username=username.strip(), first_name=first_name, last_name=last_name)
    errors = _complaints(person, password)
    if errors:
        field, first = next(iter(errors.items()))
        raise Invalid(first, field=field, errors=errors)
    person.set_password(password)
    try:
        with transaction.atomic():
            person.save(force_insert=True)
    except IntegrityError:
        raise Conflict(
            f"There is a person {person.username!r} already; choose another user name.",
            code="person_exists",
            field="username",
        ) from None
    log.info("person_added", by=actor.username, person=person.username)
    return person


def set_role(*, actor: User, person: User, team: Team, role: Role | None) -> None:
    """Give a person one role in a team, instead of the one that they had there; None: take it away.

    Raises:
        NotAllowed: the actor is no platform owner.
    """
    policies.require_owner(actor, "say who is in a team")
    if role is None:
        Membership.objects.filter(user=person, team=team).delete()
    else:
        Membership.objects.update_or_create(user=person, team=team, defaults={"role": role})
    log.info(
        "role_set", by=actor.username, person=person.username, team=team.name, role=role or "none"
    )


def end_access(*, actor: User, person: User) -> None:
    """Let a person do nothing any more, from this moment on; what they did keeps their name.

    Raises:
        NotAllowed: the actor is no platform owner.
        Conflict: `own_access`: nobody locks themselves out.
    """
    policies.require_owner(actor, "end a person's access")
    if person.pk == actor.pk:
        raise Conflict("Another platform owner has to end your own access.", code="own_access")
    person.is_active = False
    person.save(update_fields=["is_active"])
    log.info("access_ended", by=actor.username, person=person.username)


def _complaints(person: User, password: str) -> dict[str, str]:
    errors: dict[str, str] = {}
    try:
        person.clean_fields(exclude=["password"])
    except ValidationError as error:
        errors |= {field: " ".join(texts) for field, texts in error.message_dict.items()}
    try:
        validate_password(password, person)
    except ValidationError as error:
        errors["password"] = " ".join(error.messages)
    return errors
