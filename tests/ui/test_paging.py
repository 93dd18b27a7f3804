"""A list that grows is shown a page at a time; its links keep the rest of the address."""

from __future__ import annotations

import datetime as dt
import re
from html import unescape

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from core.models import EmergencyStop
from gamedays.choices import FindingStatus, GamedayState, ProbeKind, Verdict
from gamedays.models import Finding, Gameday, Injection, Probe, Recurrence
from tests.people import Cast, book
from tests.ui import factories
from tests.ui.conftest import As


def link(page: str, rel: str) -> str:
    """Where the link leads that is called so; empty: there is none."""
    found = re.search(rf'rel="{rel}" href="([^"]*)"', page)
    return unescape(found[1]) if found else ""


@pytest.fixture
def run(cast: Cast) -> Injection:
    return factories.make_run(cast, ago_s=9000, verdict=Verdict.BROKE, judgement=factories.BROKE)


def many_findings(cast: Cast, run: Injection, number: int, **fields: object) -> None:
    one = factories.make_finding(cast, run, **fields)
    Finding.objects.bulk_create(
        Finding(
            cluster=cast.cluster,
            injection=run,
            title=f"Finding {each}",
            status=one.status,
            scenario_key=one.scenario_key,
            scenario_version=one.scenario_version,
            symptom=one.symptom,
        )
        for each in range(1, number)
    )


def test_findings_come_a_page_at_a_time_and_keep_their_filter(
    cast: Cast, run: Injection, client_of: As
) -> None:
    many_findings(cast, run, 120)
    many_findings(cast, run, 30, status=FindingStatus.ACKNOWLEDGED)
    vera = client_of("vera")
    address, seen = "/findings/?status=open", []
    with CaptureQueriesContext(connection) as first:
        vera.get(address)
    while address:
        with CaptureQueriesContext(connection) as asked:
            text = vera.get(address).content.decode()
        assert len(asked) == len(first)
        assert 'aria-current="true">Open' in text
        assert 'All <span class="quiet">150</span>' in text
        seen.append(re.findall(r'class="need-what" href="/findings/(\d+)/"', text))
        address = link(text, "next")
        if address:
            assert "status=open" in address
            address = f"/findings/{address}"
    assert [len(rows) for rows in seen] == [50, 50, 20]
    rows = [int(pk) for page in seen for pk in page]
    assert len(set(rows)) == 120
    ordered = Finding.objects.filter(status="open").order_by("-created_at", "-pk")
    assert rows == list(ordered.values_list("pk", flat=True))


@pytest.mark.parametrize("page", ["0", "-1", "x", "", "9" * 30, "9" * 5000, "1.5", "%00"])
def test_a_strange_page_is_no_error(page: str, cast: Cast, run: Injection, client_of: As) -> None:
    many_findings(cast, run, 60)
    answer = client_of("vera").get(f"/findings/?page={page}")
    assert answer.status_code == 200
    assert 'data-testid="pages"' in answer.content.decode()


def test_the_board_shows_the_newest_of_each_column_and_where_all_are(
    cast: Cast, run: Injection, client_of: As
) -> None:
    many_findings(cast, run, 45)
    text = client_of("vera").get("/findings/?view=board").content.decode()
    assert text.count('class="card board-card"') == 20
    assert 'href="?status=open" data-testid="whole-column">All 45 in the list' in text


def test_past_and_upcoming_gamedays_turn_their_pages_apart(cast: Cast, client_of: As) -> None:
    now = timezone.now()
    first = book(cast, starts_in=dt.timedelta(hours=1))

    def gameday(state: GamedayState, hours: int) -> Gameday:
        begin = now + dt.timedelta(hours=hours)
        return Gameday(
            cluster=cast.cluster, title=f"Weekly {hours}", facilitator=cast.erik,
            booked_by=cast.lea, state=state, period=(begin, begin + dt.timedelta(minutes=20)),
        )  # fmt: skip

    Gameday.objects.bulk_create(gameday(GamedayState.DONE, -hours) for hours in range(1, 41))
    Gameday.objects.bulk_create(gameday(GamedayState.BOOKED, hours) for hours in range(2, 41))
    lea = client_of("lea")
    text = lea.get("/gamedays/?week=2026-03-02&upcoming=2").content.decode()
    upcoming, past = text.split('id="past-title"')
    assert first.title not in upcoming.split('id="upcoming-title"')[1]
    assert upcoming.split('id="upcoming-title"')[1].count('class="need-what"') == 10
    assert past.count('class="need-what"') == 30
    assert link(past, "next") == "?week=2026-03-02&upcoming=2&page=2#past-title"
    text = lea.get("/gamedays/?week=2026-03-02&upcoming=2&page=2").content.decode()
    assert text.split('id="past-title"')[1].count('class="need-what"') == 10


def test_what_a_cluster_collects_turns_its_pages(cast: Cast, run: Injection, client_of: As) -> None:
    Injection.objects.bulk_create(
        Injection(
            agenda_item=run.agenda_item, cluster=cast.cluster, scenario_key=run.scenario_key,
            scenario_version=1, state="clean", asked_by=cast.lea, due_at=run.due_at,
        )
        for _ in range(10)
    )  # fmt: skip
    Probe.objects.bulk_create(
        Probe(
            cluster=cast.cluster, key=f"tcp-{number:02}", title=f"Port {number}",
            kind=ProbeKind.TCP, parameters={"host": "10.0.0.1", "port": 1}, position=number + 10,
        )
        for number in range(60)
    )  # fmt: skip
    text = client_of("lea").get("/clusters/qa-range/?probes=2").content.decode()
    runs = text.split('id="runs-title"')[1].split("</section>")[0]
    assert runs.count('class="need-what"') == 8
    assert link(runs, "next") == "?probes=2&runs=2#runs-title"
    probes = text.split('id="probes"')[1].split("</section>")[0]
    assert "Port 59" in probes
    assert "Port 1<" not in probes
    assert link(probes, "prev") == "?probes=1#probes"


def test_stops_and_the_story_of_a_finding_turn_their_pages(
    cast: Cast, run: Injection, client_of: As
) -> None:
    EmergencyStop.objects.bulk_create(
        EmergencyStop(
            set_by=cast.vera, released_by=cast.lea, released_at=timezone.now(),
            release_reason=f"over {number}",
        )
        for number in range(25)
    )  # fmt: skip
    lea = client_of("lea")
    text = lea.get("/emergency/").content.decode()
    assert text.count("Released by") == 20
    assert lea.get(f"/emergency/{link(text, 'next')}").content.decode().count("Released by") == 5
    finding = factories.make_finding(cast, run)
    again = [factories.make_run(cast, ago_s=8000 - 200 * each) for each in range(12)]
    Recurrence.objects.bulk_create(
        Recurrence(finding=finding, injection=each, happened="again") for each in again
    )
    text = lea.get(f"/findings/{finding.pk}/").content.decode()
    assert text.count('data-testid="recurrence"') == 10
    text = lea.get(f"/findings/{finding.pk}/{link(text, 'next')}").content.decode()
    assert text.count('data-testid="recurrence"') == 2


def test_what_needs_me_is_read_no_further_than_it_is_shown(
    cast: Cast, run: Injection, client_of: As
) -> None:
    many_findings(cast, run, 40)
    erik = client_of("erik")
    with CaptureQueriesContext(connection) as asked:
        page = erik.get("/")
    assert len(page.context["needs"]) == 8
    reads = [query["sql"] for query in asked if 'FROM "gamedays_finding"' in query["sql"]]
    whole = [sql for sql in reads if '"gamedays_finding"."believed"' in sql]
    assert len(whole) == 1
    assert whole[0].endswith("LIMIT 8")
