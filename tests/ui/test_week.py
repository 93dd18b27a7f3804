"""This week, logging in, and the number of queries that a page takes."""

from __future__ import annotations

import datetime as dt
import re

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from core.choices import SetupPhase
from core.models import Cluster, Membership, Team
from gamedays.choices import FindingStatus, InjectionState, Verdict
from gamedays.models import Finding
from tests.people import Cast, book, make_cluster
from tests.ui import factories
from tests.ui.conftest import As


def here(text: str) -> str:
    """The place that the loop's picture marks."""
    return text.split('class="loop-place"')[1].split(">")[1].split("<", maxsplit=1)[0]


def test_the_loop_says_what_comes_next(cast: Cast, client_of: As) -> None:
    lea = client_of("lea")
    assert here(lea.get("/").content.decode()) == "Book"
    gameday = book(cast, starts_in=dt.timedelta(hours=3))
    assert here(lea.get("/").content.decode()) == "Break"
    gameday.delete()
    run = factories.make_run(cast, InjectionState.ACTIVE)
    text = lea.get("/").content.decode()
    assert here(text) == "Watch"
    assert 'data-testid="live-now"' in text
    run.state, run.verdict = InjectionState.CLEAN, Verdict.BROKE
    run.save()
    finding = factories.make_finding(cast, run)
    assert here(lea.get("/").content.decode()) == "Find"
    Finding.objects.update(status=FindingStatus.FIX_IN_PROGRESS, drafted=False)
    assert here(lea.get("/").content.decode()) == "Fix"
    Finding.objects.filter(pk=finding.pk).update(status=FindingStatus.FIX_READY)
    assert here(lea.get("/").content.decode()) == "Re-verify"


def test_what_needs_me(cast: Cast, client_of: As) -> None:
    run = factories.make_run(cast, verdict=Verdict.BROKE)
    factories.make_finding(cast, run)
    book(cast, starts_in=dt.timedelta(days=1))
    assert "Drafted from a run" in client_of("erik").get("/").content.decode()
    facilitated = client_of("erik").get("/").content.decode()
    assert "You facilitate it. It begins <time" in facilitated
    vera = client_of("vera").get("/").content.decode()
    assert "Drafted from a run" not in vera
    assert "Nothing waits for you" in vera


def test_while_a_fault_is_live_it_is_told_once_above_and_once_in_its_card(
    cast: Cast, client_of: As
) -> None:
    lea, erik = client_of("lea"), client_of("erik")
    assert 'class="btn btn-primary" href="/gamedays/book/" data-testid="book"' in (
        lea.get("/").content.decode()
    )
    run = factories.make_run(cast, InjectionState.ACTIVE)
    text = erik.get("/").content.decode().split('<main id="main"')[1]
    assert run.agenda_item.gameday.facilitator == cast.erik
    assert "You facilitate it" not in text
    assert text.count("Fault live") == 1
    assert 'class="btn" href="/gamedays/book/" data-testid="book"' in lea.get("/").content.decode()


def test_a_range_that_is_being_raised_is_seen(cast: Cast, client_of: As) -> None:
    setup = factories.make_setup()
    vera = client_of("vera")
    text = vera.get("/setups/").content.decode()
    assert 'data-phase="running"' in text
    assert "62%" in text
    assert "about 1 min 35 s to go" in text
    assert 'hx-trigger="every 2s"' in text
    # The strip comes with it, as of the same moment.
    assert re.search(r'id="strip"[^>]*hx-swap-oob="true"', text)
    assert text.count("62%") == 3
    setup.message = setup.step
    setup.save()
    card = vera.get("/setups/").content.decode().split('id="strip"')[0]
    assert card.count(setup.step) == 1
    assert 'data-cluster="demo" data-state="running"' in vera.get("/strip/").content.decode()
    setup.phase, setup.message = SetupPhase.UNAVAILABLE, "The range needs root."
    setup.save()
    assert "The range needs root." in vera.get("/").content.decode()
    setup.phase, setup.cluster = SetupPhase.READY, cast.cluster
    setup.save()
    assert "hx-trigger" not in vera.get("/setups/").content.decode()


@pytest.mark.parametrize("linked", [False, True])
def test_a_cluster_whose_guards_are_being_installed_is_told_once(
    cast: Cast, client_of: As, linked: bool
) -> None:
    """It is registered by then, and its raising may not point to it yet."""
    setup = factories.make_setup(
        name=cast.cluster.name,
        step="Installing a guard on every node",
        cluster=cast.cluster if linked else None,
    )
    strip = client_of("lea").get("/strip/").content.decode()
    assert strip.count('data-testid="strip-line"') == 1
    assert f'data-cluster="{cast.cluster.name}" data-state="running"' in strip
    assert setup.step in strip
    # A range that is raised anew, while its former cluster is out of use, still has its line.
    Cluster.objects.update(retired_at=timezone.now(), name="qa-range (retired)")
    strip = client_of("lea").get("/strip/").content.decode()
    assert strip.count('data-testid="strip-line"') == 1
    assert setup.step in strip


def test_who_waited_for_a_range_is_told_that_it_is_there(cast: Cast, client_of: As) -> None:
    factories.make_setup(phase=SetupPhase.READY, cluster=cast.cluster)
    lea = client_of("lea").get("/setups/").content.decode()
    assert "qa-range is ready" in lea
    assert 'href="/gamedays/book/"' in lea
    vera = client_of("vera").get("/setups/").content.decode()
    assert "qa-range is ready" in vera
    assert 'href="/gamedays/book/"' not in vera
    assert "is ready" not in client_of("otto").get("/setups/").content.decode()


def test_the_navigation_says_which_page_this_is(cast: Cast, client_of: As) -> None:
    lea = client_of("lea")
    for path in ("/", "/gamedays/", "/findings/", "/scenarios/", "/clusters/"):
        text = lea.get(path).content.decode()
        assert re.findall(r'href="([^"]*)" aria-current="page"', text) == [path]
    for path in ("/services/", "/plans/", "/waves/", "/migrations/blocked/"):
        text = lea.get(path).content.decode()
        # The half in the bar on top, and the page in the row beneath it.
        here = re.findall(r'href="([^"]*)" aria-current="page"', text)
        assert here == ["/migrations/", path]


def test_logging_in_and_out(cast: Cast) -> None:
    client = Client()
    wall = client.get("/findings/?view=board")
    assert wall["Location"] == "/login/?next=/findings/%3Fview%3Dboard"
    wrong = client.post("/login/", {"username": "lea", "password": "nope"})
    assert wrong.status_code == 422
    assert 'value="lea"' in wrong.content.decode()
    data = {"username": "lea", "password": "rope and harness"}
    right = client.post("/login/", {**data, "next": "/findings/?view=board"})
    assert right["Location"] == "/findings/?view=board"
    assert client.post("/logout/")["Location"] == "/login/"
    elsewhere = client.post("/login/", {**data, "next": "https://evil.example/"})
    assert elsewhere["Location"] == "/"


def test_sample_people_are_shown_in_a_demo_only(
    cast: Cast, settings: pytest.FixtureRequest
) -> None:
    assert 'data-fill-username="vera"' in Client().get("/login/").content.decode()
    settings.BELAY_EMBEDDED_DATABASE = False  # type: ignore[attr-defined]
    assert "data-fill-username" not in Client().get("/login/").content.decode()


def test_the_theme_is_kept(client_of: As) -> None:
    lea = client_of("lea")
    assert "data-bs-theme" not in lea.get("/").content.decode()
    lea.post("/you/theme/", {"theme": "dark", "next": "/"})
    assert 'data-bs-theme="dark"' in lea.get("/").content.decode()
    lea.post("/you/theme/", {"theme": "system", "next": "/"})
    assert "data-bs-theme" not in lea.get("/").content.decode()


def test_forms_are_protected(cast: Cast) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(cast.lea)
    answer = client.post("/you/theme/", {"theme": "dark"})
    assert answer.status_code == 403
    assert "open too long" in answer.content.decode()


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/strip/",
        "/gamedays/",
        "/findings/",
        "/findings/?view=board",
        "/clusters/",
        "/scenarios/",
    ],
)
def test_queries_do_not_grow_with_rows(path: str, cast: Cast, client_of: As) -> None:
    lea = client_of("lea")

    def rows(number: int) -> None:
        team = Team.objects.create(name=f"Team {number}", slug=f"team-{number}")
        Membership.objects.create(user=cast.lea, team=team, role="lead")
        make_cluster(team, f"qa-{number}")
        run = factories.make_run(cast, ago_s=20_000 * (number + 1), verdict=Verdict.BROKE)
        factories.make_finding(cast, run, drafted=bool(number % 2))
        book(cast, starts_in=dt.timedelta(hours=2 * number + 2))

    def count() -> int:
        with CaptureQueriesContext(connection) as queries:
            assert lea.get(path).status_code == 200
        return len(queries)

    rows(0)
    rows(1)
    few = count()
    for number in range(2, 7):
        rows(number)
    assert count() == few
    assert few <= 28
