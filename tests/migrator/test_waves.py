"""Making and changing waves: who may, what is refused, and what is written down."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone

from core.choices import Role
from core.errors import Conflict, DomainError, Invalid, NotAllowed, NotFound
from core.models import Membership
from migrator.models import Service, ServiceStanding, StandingMark, Wave, WaveChange, WaveService
from migrator.operations import waves as verbs
from tests.migrator.conftest import As, Make
from tests.migrator.test_pages import text
from tests.people import Cast

pytestmark = pytest.mark.django_db
FIRST, LAST = dt.date(2026, 11, 2), dt.date(2026, 11, 27)


@pytest.fixture(autouse=True)
def today(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that no date of these tests ever lies too far away."""
    moment = dt.datetime(2026, 11, 28, 12, tzinfo=dt.UTC)
    monkeypatch.setattr(timezone, "localdate", moment.date)


def make_wave(cast: Cast, **more: Any) -> Wave:
    values: dict[str, Any] = {"name": "Reading only", "starts_on": FIRST, "ends_on": LAST}
    return verbs.create_wave(actor=cast.lea, team=cast.team, **{**values, **more})


def changes(wave: Wave) -> list[tuple[str, str, dict[str, Any]]]:
    found = WaveChange.objects.filter(wave=wave).order_by("pk").select_related("by")
    return [(change.verb, change.by.username, change.details) for change in found]


def test_a_wave_is_made_changed_filled_emptied_and_archived(cast: Cast, make: Make) -> None:
    shop, prices = make("Shop"), make("Prices")
    wave = make_wave(cast)
    wave = verbs.edit_wave(
        actor=cast.lea,
        wave=wave,
        version=1,
        name="Reading",
        starts_on=FIRST,
        ends_on=LAST,
        note="Nothing is written.",
    )
    assert wave.version == 2
    put_in = verbs.put_in_wave(actor=cast.lea, wave=wave, version=2, services=[shop, prices])
    assert put_in == 2
    assert verbs.put_in_wave(actor=cast.lea, wave=wave, version=3, services=[shop]) == 0
    out = verbs.take_out_of_wave(actor=cast.lea, wave=wave, version=3, services=[shop.pk])
    assert out == 1
    assert list(WaveService.objects.values_list("service__slug", flat=True)) == ["prices"]
    verbs.archive_wave(actor=cast.lea, wave=wave, version=4)
    assert not WaveService.objects.exists()
    assert changes(wave) == [
        ("created", "lea", {"name": ["", "Reading only"], "starts_on": ["", "2026-11-02"],
                            "ends_on": ["", "2026-11-27"]}),
        ("edited", "lea", {"name": ["Reading only", "Reading"],
                           "note": ["", "Nothing is written."]}),
        ("put_in", "lea", {"services": ["prices", "shop"]}),
        ("taken_out", "lea", {"services": ["shop"]}),
        ("archived", "lea", {"services": ["prices"]}),
    ]  # fmt: skip
    with pytest.raises(Conflict) as refused:
        verbs.put_in_wave(actor=cast.lea, wave=wave, version=5, services=[shop])
    assert refused.value.code == "wave_archived"
    again = make_wave(cast, name="Reading")
    assert again.pk != wave.pk, "the name of an archived one is free"


def test_what_changes_nothing_leaves_no_trace(cast: Cast) -> None:
    wave = make_wave(cast)
    same = verbs.edit_wave(
        actor=cast.lea, wave=wave, version=1, name="Reading only", starts_on=FIRST, ends_on=LAST
    )
    assert same.version == 1
    assert len(changes(wave)) == 1


@pytest.mark.parametrize(
    ("given", "fields"),
    [
        ({"name": " "}, {"name"}),
        ({"name": "x" * 81}, {"name"}),
        ({"name": "a\x00b"}, {"name"}),
        ({"note": "n" * 2001}, {"note"}),
        ({"starts_on": None, "ends_on": None}, {"starts_on", "ends_on"}),
        ({"ends_on": FIRST - dt.timedelta(days=1)}, {"ends_on"}),
        ({"starts_on": dt.date(1, 1, 1), "name": ""}, {"starts_on", "name"}),
        ({"ends_on": dt.date(9999, 12, 31)}, {"ends_on"}),
    ],
)
def test_every_wrong_value_is_told_at_once(
    cast: Cast, given: dict[str, Any], fields: set[str]
) -> None:
    with pytest.raises(Invalid) as refused:
        make_wave(cast, **given)
    assert set(refused.value.errors) == fields
    assert not Wave.objects.exists()


def test_a_name_is_once_in_a_team_in_any_case(cast: Cast) -> None:
    make_wave(cast)
    with pytest.raises(Conflict) as refused:
        make_wave(cast, name="READING  only")
    assert refused.value.code == "wave_exists"
    verbs.create_wave(
        actor=cast.otto,
        team=cast.otto.teams.get(),
        name="Reading only",
        starts_on=FIRST,
        ends_on=LAST,
    )


def test_nobody_overwrites_what_they_have_not_seen(cast: Cast, make: Make) -> None:
    wave, shop = make_wave(cast), make("Shop")
    verbs.put_in_wave(actor=cast.lea, wave=wave, version=1, services=[shop])
    calls: list[Any] = [
        lambda: verbs.put_in_wave(actor=cast.lea, wave=wave, version=1, services=[make("Orders")]),
        lambda: verbs.take_out_of_wave(actor=cast.lea, wave=wave, version=1, services=[shop.pk]),
        lambda: verbs.archive_wave(actor=cast.lea, wave=wave, version=1),
        lambda: verbs.edit_wave(
            actor=cast.lea, wave=wave, version=1, name="x", starts_on=FIRST, ends_on=LAST
        ),
    ]
    for call in calls:
        with pytest.raises(Conflict) as refused:
            call()
        assert refused.value.code == "edited_meanwhile"


def test_a_service_is_in_one_wave_at_most(cast: Cast, make: Make) -> None:
    one, two, shop = make_wave(cast), make_wave(cast, name="Writing"), make("Shop")
    verbs.put_in_wave(actor=cast.lea, wave=one, version=1, services=[shop])
    with pytest.raises(Conflict, match="Shop is in “Reading only”") as refused:
        verbs.put_in_wave(actor=cast.lea, wave=two, version=1, services=[shop, make("Orders")])
    assert refused.value.code == "in_another_wave"
    assert not two.members.exists(), "all of them or none"
    with pytest.raises(IntegrityError), transaction.atomic():
        WaveService.objects.create(service=shop, wave=two, put_in_by=cast.lea)


def test_another_teams_wave_is_not_named(cast: Cast, make: Make) -> None:
    theirs = verbs.create_wave(
        actor=cast.otto, team=cast.otto.teams.get(), name="Secret", starts_on=FIRST, ends_on=LAST
    )
    shop = make("Shop")
    verbs.put_in_wave(actor=cast.olga, wave=theirs, version=1, services=[shop])
    with pytest.raises(Conflict, match="a wave of another team"):
        verbs.put_in_wave(actor=cast.lea, wave=make_wave(cast), version=1, services=[shop])


@pytest.mark.parametrize(
    ("who", "error"),
    [("erik", NotAllowed), ("vera", NotAllowed), ("otto", NotFound)],
)
def test_only_a_lead_of_its_team_changes_a_wave(
    who: str, error: type[DomainError], cast: Cast, make: Make
) -> None:
    actor, wave, shop = getattr(cast, who), make_wave(cast), make("Shop")
    calls: list[Any] = [
        lambda: verbs.create_wave(
            actor=actor, team=cast.team, name="x", starts_on=FIRST, ends_on=LAST
        ),
        lambda: verbs.edit_wave(
            actor=actor, wave=wave, version=1, name="x", starts_on=FIRST, ends_on=LAST
        ),
        lambda: verbs.put_in_wave(actor=actor, wave=wave, version=1, services=[shop]),
        lambda: verbs.take_out_of_wave(actor=actor, wave=wave, version=1, services=[shop.pk]),
        lambda: verbs.archive_wave(actor=actor, wave=wave, version=1),
    ]
    for call in calls:
        with pytest.raises(error):
            call()
    assert len(changes(wave)) == 1


def test_a_date_is_promised_only_for_services_that_one_leads(cast: Cast) -> None:
    theirs = Service.objects.create(name="Finder", slug="finder", team=cast.otto.teams.get())
    wave = make_wave(cast)
    with pytest.raises(NotAllowed, match="belongs to Search"):
        verbs.put_in_wave(actor=cast.lea, wave=wave, version=1, services=[theirs])
    Membership.objects.create(user=cast.lea, team=theirs.team, role=Role.LEAD)
    assert verbs.put_in_wave(actor=cast.lea, wave=wave, version=1, services=[theirs]) == 1
    assert verbs.take_out_of_wave(actor=cast.olga, wave=wave, version=2, services=[theirs.pk]) == 1


def test_a_change_of_a_wave_has_its_services_looked_at_again(cast: Cast, make: Make) -> None:
    wave, shop = make_wave(cast), make("Shop")
    verbs.put_in_wave(actor=cast.lea, wave=wave, version=1, services=[shop])
    StandingMark.objects.all().delete()
    verbs.edit_wave(
        actor=cast.lea, wave=wave, version=2, name="Later", starts_on=FIRST, ends_on=LAST
    )
    assert StandingMark.objects.get().service_id == shop.pk
    assert ServiceStanding.objects.filter(service=shop).exists()


def test_too_many_and_none_at_once(cast: Cast, make: Make) -> None:
    wave, shop = make_wave(cast), make("Shop")
    for services in ([], [shop] * 2001):
        with pytest.raises(Invalid):
            verbs.put_in_wave(actor=cast.lea, wave=wave, version=1, services=services)
    with pytest.raises(Invalid):
        verbs.take_out_of_wave(actor=cast.lea, wave=wave, version=1, services=[])


# -- In the browser --------------------------------------------------------------------------------


def test_a_lead_plans_a_wave_and_puts_services_in(cast: Cast, make: Make, client_of: As) -> None:
    make("Shop"), make("Prices")
    lea = client_of("lea")
    form = {"name": "Reading only", "team": "payments", "starts_on": "2026-11-02", "ends_on": ""}
    answer = lea.post("/waves/new/", form)
    assert answer.status_code == 422
    assert 'value="Reading only"' in answer.content.decode(), "nothing is lost"
    assert "Give a date" in answer.content.decode()
    answer = lea.post("/waves/new/", form | {"ends_on": "2026-11-27"})
    wave = Wave.objects.get()
    assert answer["Location"] == f"/waves/{wave.pk}/"
    page = f"/waves/{wave.pk}/"
    typed = {"version": "1", "services": "shop\r\n  PRICES \r\nNo such thing"}
    answer = lea.post(f"{page}services/", typed)
    assert answer.status_code == 422
    assert "“No such thing”" in answer.content.decode()
    assert "PRICES" in answer.content.decode(), "nothing is lost"
    answer = lea.post(f"{page}services/", {"version": "1", "services": "shop\nprices"})
    assert answer.status_code == 302
    seen = text(lea, page)
    assert seen.count('data-testid="member"') == 2
    assert 'data-testid="timeline"' in seen
    stale = lea.post(f"{page}services/", {"version": "1", "services": "shop"})
    assert stale.status_code == 409
    shop = Service.objects.get(slug="shop")
    lea.post(f"{page}take-out/", {"version": "2", "services": [str(shop.pk)]})
    assert text(lea, page).count('data-testid="member"') == 1
    lea.post(f"{page}archive/", {"version": "3"})
    assert "No wave is planned" in text(lea, "/waves/")
    assert "Archived" in text(lea, page)
    assert 'data-testid="put-in"' not in text(lea, page)


def test_a_form_that_was_open_too_long_shows_what_stands_there_now(
    cast: Cast, client_of: As
) -> None:
    wave = make_wave(cast)
    verbs.edit_wave(
        actor=cast.lea, wave=wave, version=1, name="Reading", starts_on=FIRST, ends_on=LAST
    )
    answer = client_of("lea").post(
        f"/waves/{wave.pk}/edit/",
        {"version": "1", "name": "Mine", "starts_on": "2026-11-02", "ends_on": "2026-11-27"},
    )
    assert answer.status_code == 409
    page = answer.content.decode()
    assert "Name: Reading" in page
    assert 'value="Mine"' in page
    assert 'name="version" value="2"' in page


def test_hostile_values_are_no_errors_of_ours(cast: Cast, client_of: As) -> None:
    wave, lea = make_wave(cast), client_of("lea")
    for path in (
        "/migrations/?team=%00&tier=x&tag=%00&cluster=%ff&wave=99999999999999999999",
        "/migrations/?wave=%C2%B2",
        "/migrations/blocked/?code=%00&subject=%00",
        "/migrations/burn-up/?team=%00&page=x",
        "/services/?stage=x&health=y&wave=z",
    ):
        assert lea.get(path).status_code == 200, path
    assert lea.get("/waves/99999999999999999999/").status_code == 404
    for form in (
        {"version": "²", "services": "\x00"},
        {"version": "9" * 30, "services": "x" * 5000},
        {},
    ):
        assert lea.post(f"/waves/{wave.pk}/services/", form).status_code in (409, 422)
        assert lea.post(f"/waves/{wave.pk}/take-out/", form).status_code == 302
        assert lea.post(f"/waves/{wave.pk}/edit/", form).status_code in (409, 422)
        assert lea.post("/waves/new/", form).status_code == 422
