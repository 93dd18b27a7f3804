"""Times in words: the person's zone, one unit, never a rounding that flatters."""

from __future__ import annotations

import datetime as dt
import zoneinfo

import pytest
from django.utils import timezone

from core import texts
from core.ui import times
from core.ui.tags import percent, when
from tests.people import Cast
from tests.ui.conftest import As

NOON = dt.datetime(2026, 11, 23, 12, 0, tzinfo=dt.UTC)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "just now"),
        (-4, "just now"),
        (30, "in 30 s"),
        (-59, "59 s ago"),
        (60, "in 1 minute"),
        (-7199, "1 hour ago"),
        (86_400 * 3, "in 3 days"),
    ],
)
def test_relative(seconds: int, words: str) -> None:
    assert times.relative(NOON + dt.timedelta(seconds=seconds), NOON) == words


def test_exact_names_the_zone() -> None:
    berlin = zoneinfo.ZoneInfo("Europe/Berlin")
    assert times.exact(NOON, berlin) == "Mon 23 Nov 2026, 13:00 (Europe/Berlin)"


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "0 s"),
        (4.44, "4.4 s"),
        (59, "59 s"),
        (90, "1 min 30 s"),
        (3600, "1 h"),
        (3960, "1 h 6 min"),
        (86_400, "24 h"),
        (180_000, "2 days 2 h"),
        (604_800, "7 days"),
    ],
)
def test_duration(seconds: float, words: str) -> None:
    assert texts.duration(seconds) == words


@pytest.mark.parametrize(
    ("share", "words"),
    [(1, "100%"), (0.9999, "99.9%"), (2 / 3, "66.7%"), (0, "0%"), (None, "–")],
)
def test_almost_all_is_never_shown_as_all(share: float | None, words: str) -> None:
    assert percent(share) == words


def test_a_time_carries_its_exact_self() -> None:
    with timezone.override("Asia/Tokyo"):
        text = when(NOON)
    assert 'datetime="2026-11-23T12:00:00+00:00"' in text
    assert "21:00:00 (Asia/Tokyo)" in text


def test_a_page_is_in_the_persons_zone(cast: Cast, client_of: As) -> None:
    erik = client_of("erik")
    answer = erik.post("/you/", {"time_zone": "Asia/Tokyo"})
    assert answer.status_code == 302
    cast.erik.refresh_from_db()
    assert cast.erik.time_zone == "Asia/Tokyo"
    assert "Asia/Tokyo" in erik.get("/you/").content.decode()
    assert timezone.get_current_timezone_name() == "UTC"


def test_a_zone_that_does_not_exist_is_refused_beside_its_field(cast: Cast, client_of: As) -> None:
    answer = client_of("erik").post("/you/", {"time_zone": "Berlin"})
    assert answer.status_code == 422
    assert "no time zone that this machine knows" in answer.content.decode()
    cast.erik.refresh_from_db()
    assert cast.erik.time_zone == "UTC"
