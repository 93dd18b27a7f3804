"""Teams and people: made from nothing, changed, and ended, by a platform owner alone."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from django.test import Client

from core import policies
from core.choices import Role
from core.errors import Conflict, Invalid, NotAllowed
from core.models import Membership, Team, User
from core.operations.people import add_person, create_team, end_access, set_role
from tests.people import make_cast, make_cluster

pytestmark = pytest.mark.django_db
PASSWORD = "a rope of eleven millimetres"


def people(*words: str) -> str:
    said = io.StringIO()
    call_command("people", *words, stdout=said)
    return said.getvalue()


@pytest.fixture
def owner() -> User:
    return User.objects.create_superuser("olga", password=PASSWORD)


def test_from_an_empty_installation_to_a_lead_who_books(owner: User, tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text(f"{PASSWORD}\n")
    people("team", "Payments")
    people("add", "lea", "--team=Payments", "--role=lead", f"--password-file={file}")
    lea = User.objects.get(username="lea")
    cluster = make_cluster(Team.objects.get())
    assert policies.may_book(lea, cluster)
    assert Client().login(username="lea", password=PASSWORD)
    people("role", "lea", "viewer", "--team=Payments")
    assert (policies.may_see(lea, cluster), policies.may_book(lea, cluster)) == (True, False)
    assert people("list") == "Payments: lea (viewer)\n"
    people("role", "lea", "none", "--team=Payments")
    assert not policies.may_see(lea, cluster)


def test_who_left_can_do_nothing_from_that_moment_on() -> None:
    cast = make_cast()
    lea = Client()
    lea.force_login(cast.lea)
    assert lea.get("/").status_code == 200
    end_access(actor=cast.olga, person=cast.lea)
    assert lea.get("/").status_code == 302
    cast.lea.refresh_from_db()
    assert not policies.may_see(cast.lea, cast.cluster)
    with pytest.raises(Conflict) as refusal:
        end_access(actor=cast.olga, person=cast.olga)
    assert refusal.value.code == "own_access"


@pytest.mark.parametrize(
    ("verb", "code"),
    [
        (lambda olga: create_team(actor=olga, name="payments"), "team_exists"),
        (lambda olga: create_team(actor=olga, name="…"), "invalid"),
        (lambda olga: add_person(actor=olga, username="lea", password=PASSWORD), "person_exists"),
        (lambda olga: add_person(actor=olga, username="n o", password=PASSWORD), "invalid"),
        (lambda olga: add_person(actor=olga, username="nora", password="short"), "invalid"),
    ],
)
def test_what_is_refused(verb: Callable[[User], object], code: str) -> None:
    cast = make_cast()
    with pytest.raises((Invalid, Conflict)) as refusal:
        verb(cast.olga)
    assert refusal.value.code == code
    assert Team.objects.count() == 2
    assert not User.objects.filter(username__in=["nora", "n o"]).exists()


def test_every_complaint_is_told_at_once(owner: User) -> None:
    with pytest.raises(Invalid) as refusal:
        add_person(actor=owner, username="n o", password="short")
    assert set(refusal.value.errors) == {"username", "password"}


def test_only_an_owner_says_who_is_here() -> None:
    cast = make_cast()
    with pytest.raises(NotAllowed, match="make teams"):
        create_team(actor=cast.lea, name="Checkout")
    with pytest.raises(NotAllowed, match="add people"):
        add_person(actor=cast.lea, username="nora", password=PASSWORD)
    with pytest.raises(NotAllowed, match="who is in a team"):
        set_role(actor=cast.lea, person=cast.erik, team=cast.team, role=Role.LEAD)
    with pytest.raises(NotAllowed, match="end a person's access"):
        end_access(actor=cast.lea, person=cast.erik)
    assert Membership.objects.get(user=cast.erik).role == Role.ENGINEER


def test_a_wrong_word_on_the_command_line_is_told(owner: User) -> None:
    with pytest.raises(CommandError, match="`people team NAME` makes another"):
        people("add", "lea", "--team=Payments", "--role=lead")
    with pytest.raises(CommandError, match="Nobody has the user name 'lea'"):
        people("leave", "lea")
