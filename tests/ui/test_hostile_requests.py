"""Addresses and forms that no page of ours makes."""

from __future__ import annotations

import pytest

from core.models import EmergencyStop
from gamedays.choices import InjectionState
from tests.people import Cast
from tests.ui import factories
from tests.ui.conftest import As


@pytest.mark.parametrize("leads_to", ["//evil.example/x", "///evil.example/x", "/\\evil.example"])
def test_no_form_leads_to_another_site(leads_to: str, cast: Cast, client_of: As) -> None:
    """A link to `https://belay//evil.example` opens a page of ours, whose forms return to it."""
    answer = client_of("vera").post(
        "/you/theme/", {"theme": "dark"}, headers={"referer": f"http://testserver{leads_to}"}
    )
    assert answer.status_code == 302
    assert answer["Location"].startswith("/")
    assert not answer["Location"].startswith(("//", "/\\"))


@pytest.mark.parametrize(
    "week", ["2026-02-31", "9999-12-31", "0001-01-01", "20261124", "x", "2026-11-24T00"]
)
def test_a_week_that_does_not_exist_is_this_week(week: str, cast: Cast, client_of: As) -> None:
    assert client_of("vera").get(f"/gamedays/?week={week}").status_code == 200


@pytest.mark.parametrize("after", ["9" * 40, "99999999999999999", "x", "-1", "٣"])
def test_samples_after_a_moment_that_does_not_exist(after: str, cast: Cast, client_of: As) -> None:
    run = factories.make_run(cast, InjectionState.ACTIVE)
    assert client_of("vera").get(f"/runs/{run.pk}/samples.json?after={after}").status_code == 200


def test_an_emergency_stop_is_set_whatever_is_typed(cast: Cast, client_of: As) -> None:
    client_of("vera").post("/emergency/set/", {"why": "smoke\x00"})
    assert EmergencyStop.objects.filter(released_at=None).exists()


def test_a_number_that_no_row_has_finds_nothing(cast: Cast, client_of: As) -> None:
    lea = client_of("lea")
    for path in ("/gamedays/{}/", "/findings/{}/"):
        assert lea.get(path.format("9" * 30)).status_code == 404


@pytest.mark.parametrize("day", ["9999-12-31", "0001-01-01"])
def test_a_day_at_the_end_of_the_calendar_is_told_beside_its_field(
    day: str, cast: Cast, client_of: As
) -> None:
    cast.lea.time_zone = "Asia/Tokyo" if day < "1" else "America/New_York"
    cast.lea.save()
    lea = client_of("lea")
    finding = factories.make_finding(cast, factories.make_run(cast))
    for path, form in (
        (f"/findings/{finding.pk}/verify/", {"at": "later", "date": day, "time": "23:59"}),
        (
            f"/findings/{finding.pk}/fix/",
            {"what": "x", "fixed_since_date": day, "fixed_since_time": "00:00"},
        ),
        (
            "/gamedays/book/",
            {
                "title": "t",
                "cluster": str(cast.cluster.pk),
                "date": day,
                "time": "23:59",
                "time_zone": cast.lea.time_zone,
                "duration_min": "60",
                "facilitator": str(cast.erik.pk),
            },
        ),
    ):
        answer = lea.post(path, form)
        assert answer.status_code == 422, path
        assert "years away" in answer.content.decode(), path
