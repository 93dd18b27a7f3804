"""The emergency stop in the pages: a banner everywhere, a button for many, a release for leads."""

from __future__ import annotations

import pytest

from core.models import EmergencyStop
from gamedays.choices import InjectionState
from tests.people import Cast
from tests.ui import factories
from tests.ui.conftest import As


@pytest.mark.parametrize(
    ("who", "status", "is_set"),
    [("lea", 302, True), ("erik", 302, True), ("vera", 302, True), ("otto", 403, False)],
)
def test_who_stops_everything(
    who: str, status: int, *, is_set: bool, cast: Cast, client_of: As
) -> None:
    run = factories.make_run(cast, InjectionState.ACTIVE)
    answer = client_of(who).post("/emergency/set/", {"why": "the shop is down"})
    assert answer.status_code == status
    assert EmergencyStop.objects.filter(released_at=None).exists() == is_set
    run.refresh_from_db()
    assert (run.abort_requested_at is not None) == is_set


def test_the_banner_stands_on_every_page_while_it_is_set(cast: Cast, client_of: As) -> None:
    vera = client_of("vera")
    pages = ("/", "/strip/", "/gamedays/", "/findings/", "/clusters/qa-range/", "/you/")
    for path in pages:
        assert "stop-banner" not in vera.get(path).content.decode(), path
    assert 'data-testid="set-stop"' in vera.get("/").content.decode()
    vera.post("/emergency/set/", {"why": "the <shop> is down"})
    for path in pages:
        text = vera.get(path).content.decode()
        assert 'data-testid="stop-banner"' in text, path
        assert "the &lt;shop&gt; is down" in text
    assert 'data-testid="set-stop"' not in vera.get("/").content.decode()


def test_a_lead_releases_it_with_a_reason_and_it_is_kept(cast: Cast, client_of: As) -> None:
    lea, erik = client_of("lea"), client_of("erik")
    erik.post("/emergency/set/")
    assert 'data-testid="release-stop"' not in erik.get("/emergency/").content.decode()
    assert erik.post("/emergency/release/", {"reason": "x"}).status_code == 403
    assert 'data-testid="release-stop"' in lea.get("/emergency/").content.decode()
    text = lea.post("/emergency/release/", {"reason": ""}, follow=True).content.decode()
    assert "Say why it is safe to go on" in text
    text = lea.post("/emergency/release/", {"reason": "shop is back"}, follow=True).content.decode()
    assert "stop-banner" not in text
    assert "shop is back" in text
    assert EmergencyStop.objects.get().released_by == cast.lea


def test_an_outsider_reads_of_no_run_that_it_ended(cast: Cast, client_of: As) -> None:
    factories.make_run(cast, InjectionState.ACTIVE)
    client_of("vera").post("/emergency/set/")
    text = client_of("otto").get("/emergency/").content.decode()
    assert "qa-range" not in text
    assert 'data-testid="release-stop"' not in text
