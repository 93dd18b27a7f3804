"""Booking in the browser: errors beside their fields, nothing typed lost, two zones told."""

from __future__ import annotations

import datetime as dt
import zoneinfo

import pytest
from django.utils import timezone

from core.choices import SetupPhase
from gamedays.models import Gameday
from gamedays.operations.bookings import AGENDA_MAX
from tests.people import Cast, book
from tests.ui import factories
from tests.ui.conftest import As

BERLIN = zoneinfo.ZoneInfo("Europe/Berlin")


def form(cast: Cast, **fields: str) -> dict[str, str]:
    """A form as a lead fills it in: the day after tomorrow, one etcd member."""
    day = timezone.localtime(timezone.now(), BERLIN).date() + dt.timedelta(days=2)
    values = {
        "title": "Does one etcd member matter?",
        "cluster": str(cast.cluster.pk),
        "date": day.isoformat(),
        "time": "14:00",
        "time_zone": "Europe/Berlin",
        "duration_min": "30",
        "facilitator": str(cast.erik.pk),
        "agenda-0-scenario": "etcd-member-down",
        "agenda-0-node": "qa-2",
        "agenda-0-mode": "hold",
        "agenda-0-hold_s": "60",
        "agenda-0-observe_s": "60",
    }
    return values | fields


def test_a_lead_books(cast: Cast, client_of: As) -> None:
    data = form(cast, autostart="on", book="1")
    answer = client_of("lea").post("/gamedays/book/", data)
    gameday = Gameday.objects.get()
    assert answer.status_code == 302
    assert answer["Location"] == f"/gamedays/{gameday.pk}/"
    assert timezone.localtime(gameday.starts_at, BERLIN).strftime("%H:%M") == "14:00"
    assert (gameday.time_zone, gameday.autostart) == ("Europe/Berlin", True)
    item = gameday.agenda.get()
    assert item.parameters == {"node": "qa-2", "mode": "hold", "hold_s": 60, "observe_s": 60}


def test_an_agenda_is_as_long_in_the_form_as_it_may_be_booked(cast: Cast, client_of: As) -> None:
    lea = client_of("lea")
    fault = {k.removeprefix("agenda-0-"): v for k, v in form(cast).items() if "agenda-0-" in k}
    agenda = {
        f"agenda-{position}-{name}": value
        for position in range(AGENDA_MAX)
        for name, value in fault.items()
    }
    offered = lea.post("/gamedays/book/", form(cast, refresh="sum")).text
    assert 'name="add"' in offered
    full = lea.post("/gamedays/book/", form(cast, **agenda, add="etcd-member-down")).text
    assert "An agenda has at most 12 faults" in full
    assert 'name="add"' not in full
    assert lea.post("/gamedays/book/", form(cast, **agenda, book="1")).status_code == 302
    assert Gameday.objects.get().agenda.count() == AGENDA_MAX


@pytest.mark.parametrize(
    ("fields", "complaint"),
    [
        ({"title": ""}, "Give it a title that people will recognise"),
        ({"date": "2020-01-01"}, "is in the past"),
        ({"date": "soon"}, "Give a date, like"),
        ({"time_zone": "Berlin"}, "no time zone that this machine knows"),
        ({"duration_min": "2"}, "Give 5 to 720 minutes."),
        ({"agenda-0-hold_s": "9999"}, "out of bounds"),
        ({"agenda-0-hold_s": "long"}, "is no number of seconds"),
        ({"agenda-0-node": "qa-9"}, "no control-plane node of this cluster"),
        ({"agenda-0-mode": "explode"}, "is none of"),
        ({"agenda-0-scenario": ""}, "Add at least one fault"),
    ],
)
def test_a_wrong_value_is_told_and_nothing_is_lost(
    fields: dict[str, str], complaint: str, cast: Cast, client_of: As
) -> None:
    data = form(cast, **fields)
    answer = client_of("lea").post("/gamedays/book/", data)
    text = answer.content.decode()
    assert answer.status_code == 422
    assert text.count(complaint) == 1
    assert "Not booked yet." in text
    assert not Gameday.objects.exists()
    typed = {"title", "date", "time", "time_zone", "duration_min"}
    typed |= {"agenda-0-hold_s", "agenda-0-observe_s"} if data["agenda-0-scenario"] else set()
    for name in typed:
        if data[name]:
            assert f'value="{data[name]}"' in text, name


def test_several_wrong_parameters_are_told_at_once(cast: Cast, client_of: As) -> None:
    data = form(cast, **{"agenda-0-hold_s": "1", "agenda-0-observe_s": "1"})
    text = client_of("lea").post("/gamedays/book/", data).content.decode()
    assert "Hold: 1 s is out of bounds" in text
    assert "Watch afterwards: 1 s is out of bounds" in text


def is_invalid(text: str, field: str) -> bool:
    tag = next(tag for tag in text.split("<") if f'id="id_{field}"' in tag)
    return "is-invalid" in tag


@pytest.mark.parametrize(
    ("hold", "told"), [("2", "Hold: 2 s is out of bounds"), ("", "Hold: give 5 to 600 seconds.")]
)
def test_the_agenda_is_judged_together_with_the_rest(
    cast: Cast, client_of: As, hold: str, told: str
) -> None:
    data = form(cast, title="", book="1") | {"agenda-0-hold_s": hold}
    answer = client_of("lea").post("/gamedays/book/", data)
    assert answer.status_code == 422
    page = answer.content.decode()
    assert "Give it a title" in page
    assert told in page
    assert not Gameday.objects.exists()


@pytest.mark.parametrize("day", [-1, 0])
def test_a_moment_in_the_past_is_told_at_what_is_wrong_of_it(
    day: int, cast: Cast, client_of: As, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of yesterday the date is wrong, of this morning the time; the words are as wide as both."""
    now = dt.datetime(2026, 11, 24, 12, 0, tzinfo=BERLIN)
    monkeypatch.setattr(timezone, "now", lambda: now)
    date = now.date() + dt.timedelta(days=day)
    data = form(cast, date=date.isoformat(), time="09:00")
    text = client_of("lea").post("/gamedays/book/", data).content.decode()
    assert (is_invalid(text, "date"), is_invalid(text, "time")) == (day < 0, day == 0)
    both = text.split('id="when-errors"')[1].split("</div>")[0]
    assert "is in the past" in both


def test_an_overlap_is_told_beside_the_time(cast: Cast, client_of: As) -> None:
    lea = client_of("lea")
    assert lea.post("/gamedays/book/", form(cast)).status_code == 302
    answer = lea.post("/gamedays/book/", form(cast, time="14:10", title="Too close"))
    assert answer.status_code == 422
    text = answer.content.decode()
    assert text.count("already booked then") == 1
    assert is_invalid(text, "date")
    assert is_invalid(text, "time")
    assert Gameday.objects.count() == 1


def test_a_time_that_the_clocks_jump_over_is_refused(cast: Cast, client_of: As) -> None:
    data = form(cast, date="2027-03-28", time="02:30")
    answer = client_of("lea").post("/gamedays/book/", data)
    assert answer.status_code == 422
    assert "the clocks go forward over it" in answer.content.decode()


def test_a_cluster_of_another_team_cannot_be_chosen(cast: Cast, client_of: As) -> None:
    answer = client_of("otto").post("/gamedays/book/", form(cast))
    assert answer.status_code == 403
    assert not Gameday.objects.exists()


def test_the_agenda_is_changed_without_losing_the_rest(cast: Cast, client_of: As) -> None:
    lea = client_of("lea")
    added = lea.post("/gamedays/book/", form(cast, add="api-servers-down", title="Kept"))
    text = added.content.decode()
    assert added.status_code == 200
    assert text.count('data-testid="agenda-item"') == 2
    assert 'value="Kept"' in text
    assert "Not booked yet." not in text

    second = {
        "agenda-1-scenario": "api-servers-down",
        "agenda-1-mode": "kill",
        "agenda-1-hold_s": "45",
        "agenda-1-observe_s": "20",
    }
    moved = lea.post("/gamedays/book/", form(cast, up="1", **second)).content.decode()
    assert moved.index('data-scenario="api-servers-down"') < moved.index(
        'data-scenario="etcd-member-down"'
    )
    assert (
        'name="agenda-0-hold_s" type="number" inputmode="numeric" min="5" max="600" value="45"'
        in moved
    )
    removed = lea.post("/gamedays/book/", form(cast, remove="0", **second)).content.decode()
    assert 'data-scenario="etcd-member-down"' not in removed
    assert not Gameday.objects.exists()


def test_an_agenda_that_does_not_fit_is_warned_about(cast: Cast, client_of: As) -> None:
    data = form(cast, refresh="sum", duration_min="5", **{"agenda-0-hold_s": "600"})
    text = client_of("lea").post("/gamedays/book/", data).content.decode()
    assert 'data-testid="over-booked"' in text
    assert "5 are booked" in text


def test_both_zones_are_told(cast: Cast, client_of: As) -> None:
    cast.lea.time_zone = "America/New_York"
    cast.lea.save()
    text = client_of("lea").post("/gamedays/book/", form(cast, refresh="sum")).content.decode()
    assert "14:00 (Europe/Berlin)" in text
    assert "08:00 (America/New_York)" in text


def test_the_gamedays_page_tells_the_booking(cast: Cast, client_of: As) -> None:
    cast.vera.time_zone = "Asia/Tokyo"
    cast.vera.save()
    gameday = book(cast, starts_in=dt.timedelta(hours=2))
    vera = client_of("vera")
    assert gameday.title in vera.get("/gamedays/").content.decode()
    text = vera.get(f"/gamedays/{gameday.pk}/").content.decode()
    assert "(Asia/Tokyo)" in text
    assert "(Europe/Berlin)" in text
    assert "the cluster's zone" in text
    assert "No guard on qa-1, qa-2, qa-3" in text


def test_cancelling(cast: Cast, client_of: As) -> None:
    gameday = book(cast)
    assert client_of("erik").post(f"/gamedays/{gameday.pk}/cancel/").status_code == 403
    assert client_of("lea").post(f"/gamedays/{gameday.pk}/cancel/").status_code == 302
    gameday.refresh_from_db()
    assert gameday.state == "cancelled"
    again = client_of("lea").post(f"/gamedays/{gameday.pk}/cancel/", follow=True)
    page = again.content.decode()
    assert "so it cannot be cancelled" in page
    assert "It was cancelled before anything was touched." in page
    link = f"/gamedays/book/?cluster={gameday.cluster.slug}&amp;scenario=etcd-member-down"
    assert link in page
    assert link not in client_of("erik").get(f"/gamedays/{gameday.pk}/").content.decode()


def test_who_cannot_book_is_told_why(cast: Cast, client_of: As) -> None:
    refused = client_of("erik").get("/gamedays/book/")
    assert refused.status_code == 403
    assert "Ask a lead of your team" in refused.content.decode()
    assert "Not yours to do" in refused.content.decode()


def test_a_lead_waits_for_the_cluster_and_is_refused_nothing(cast: Cast, client_of: As) -> None:
    setup = factories.make_setup()
    otto = client_of("otto")
    waiting = otto.get("/gamedays/book/")
    text = waiting.content.decode()
    assert waiting.status_code == 409
    assert "Not yours to do" not in text
    assert "Book as soon as this one is ready." in text
    assert "<b>62%</b>" in text
    setup.phase, setup.message = SetupPhase.FAILED, "The disk is full."
    setup.save()
    text = otto.get("/gamedays/book/").content.decode()
    assert "could not be raised" in text
    assert "The disk is full." in text
    assert "as soon as" not in text
    setup.delete()
    assert "A platform owner registers one" in otto.get("/gamedays/book/").content.decode()


def test_only_who_could_run_it_can_be_chosen_to_facilitate(cast: Cast, client_of: As) -> None:
    text = client_of("lea").get("/gamedays/book/").content.decode()
    choices = text.split('id="id_facilitator"')[1].split("</select>")[0]
    assert f'value="{cast.erik.pk}"' in choices
    assert f'value="{cast.vera.pk}"' not in choices
    assert f'value="{cast.otto.pk}"' not in choices
