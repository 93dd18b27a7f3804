"""No page asks the database more often because there is more to show."""

from __future__ import annotations

import datetime as dt

from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from core.models import Cluster, EmergencyStop
from gamedays.choices import GamedayState, InjectionState, Verdict
from gamedays.models import AgendaItem, Gameday
from gamedays.selectors.strip import strip_lines
from migrator.models import Dependency, FreezeWindow, Plan, Service, ServiceChange, ServiceLink
from migrator.operations.plan_editing import add_step
from migrator.operations.plans import create_plan
from migrator.operations.standings import refresh_services
from migrator.operations.templates import create_template
from tests.migrator.people import (
    make_attempt,
    make_shop,
    make_wave,
    production_cluster,
    rehearse,
    traffic_draft,
)
from tests.people import Cast, book, make_cluster
from tests.ui import factories
from tests.ui.conftest import As

PAGES = (
    "/",
    "/strip/",
    "/gamedays/",
    "/findings/",
    "/findings/?view=board",
    "/scenarios/",
    "/clusters/",
    "/clusters/qa-range/",
    "/services/",
    "/services/?text=shop&tier=3&team=payments&lacks=route",
    "/services/graph/",
    "/services/graph/?focus=hub&steps=2",
    "/services/hub/",
    "/services/hub/edit/",
    "/services/export/",
    "/migrations/",
    "/migrations/blocked/",
    "/migrations/burn-up/",
    "/migrations/report/",
    "/waves/",
    "/waves/{wave}/",
    "/plans/",
    "/plans/{plan}/",
    "/plans/{live}/",
    "/attempts/{attempt}/",
    "/templates/",
    "/freezes/",
    "/rehearsal-policy/",
    "/emergency/",
    "/runs/{run}/",
    "/gamedays/{gameday}/",
)


def _more(cast: Cast, number: int) -> None:
    """One more of everything that a list shows."""
    run = factories.make_run(cast, verdict=Verdict.BROKE, judgement=factories.BROKE)
    factories.make_finding(cast, run)
    cluster = make_cluster(cast.team, name=f"qa-{number}")
    hub = Service.objects.get_or_create(name="Hub", slug="hub", defaults={"team": cast.team})[0]
    service = Service.objects.create(
        name=f"Shop {number}",
        slug=f"shop-{number}",
        team=cast.team,
        cluster=cluster,
        tags=[f"tag-{number}", "web"],
    )
    # A cycle from the first on, so that every page has one to tell of.
    Dependency.objects.create(service=hub, needs=service)
    Dependency.objects.create(service=service, needs=hub)
    ServiceLink.objects.create(service=hub, label="Board", url="https://b.example", position=number)
    ServiceChange.objects.create(service=hub, verb="edited", by=cast.erik)
    book(cast, starts_in=dt.timedelta(days=1, hours=2 * number))
    for plan in Plan.objects.filter(service__slug="shop"):
        rehearse(add_step(actor=cast.lea, plan=plan, draft=traffic_draft(cast, 20 + number)), cast)
    FreezeWindow.objects.create(
        cluster=cluster,
        starts_at=timezone.now() + dt.timedelta(days=number + 1),
        ends_at=timezone.now() + dt.timedelta(days=number + 2),
        why="A sale",
        declared_by=cast.lea,
    )
    create_template(actor=cast.lea, title=f"Way {number}")
    create_plan(
        actor=cast.lea,
        service=Service.objects.get(slug=f"shop-{number}"),
        cluster=cluster,
        template=None,
    )
    make_wave(cast, service, name=f"Wave {number}")
    refresh_services()
    EmergencyStop.objects.create(
        set_by=cast.vera,
        released_by=cast.lea,
        released_at=timezone.now(),
        release_reason="over",
    )


def test_more_rows_are_no_more_queries(cast: Cast, client_of: As) -> None:
    lea = client_of("lea")
    run = factories.make_run(cast, InjectionState.CLEAN, verdict=Verdict.HELD)
    gameday = Gameday.objects.exclude(state=GamedayState.BOOKED).first()
    assert gameday
    shop = make_shop(cast, 1, 10)
    attempt = make_attempt(shop)
    live = make_shop(cast, 1, 10, cluster=production_cluster(cast))
    Cluster.objects.update(kubernetes_version="v1.36.3")
    places = {
        "run": run.pk,
        "gameday": gameday.pk,
        "plan": shop.plan.pk,
        "live": live.plan.pk,
        "attempt": attempt.pk,
        "wave": make_wave(cast, shop.service).pk,
    }

    def count(path: str) -> int:
        with CaptureQueriesContext(connection) as asked:
            answer = lea.get(path.format(**places))
            assert answer.status_code == 200
            if answer.streaming:
                list(answer)
        return len(asked)

    for number in range(2):
        _more(cast, number)
    few = {path: count(path) for path in PAGES}
    for number in range(2, 8):
        _more(cast, number)
    assert {path: count(path) for path in PAGES} == few


def test_a_longer_agenda_is_no_more_queries(cast: Cast, client_of: As) -> None:
    lea = client_of("lea")
    first = factories.make_run(cast, verdict=Verdict.BROKE, judgement=factories.BROKE)
    factories.make_finding(cast, first)
    gameday = first.agenda_item.gameday

    def look() -> tuple[int, int]:
        with CaptureQueriesContext(connection) as asked:
            page = lea.get(f"/gamedays/{gameday.pk}/")
        return len(asked), len(page.context["findings"])

    queries, findings = look()
    assert findings == 1
    for position in (2, 3):
        run = factories.make_run(cast, verdict=Verdict.BROKE, judgement=factories.BROKE)
        factories.make_finding(cast, run)
        AgendaItem.objects.filter(pk=run.agenda_item_id).update(gameday=gameday, position=position)
    assert look() == (queries, 3)


def test_each_clusters_newest_fault_is_found_in_an_index(cast: Cast) -> None:
    """Sorting all that ever ran took two seconds of every page, with 100,000 runs."""
    newest = factories.make_run(cast, verdict=Verdict.HELD)
    factories.make_run(cast, ago_s=9000, verdict=Verdict.BROKE)
    with CaptureQueriesContext(connection) as asked:
        [line] = strip_lines(cast.lea)
    assert line.last == newest
    assert len(asked) == 4
    [sql] = [query["sql"] for query in asked if "newest_run" in query["sql"]]
    with connection.cursor() as cursor:
        # A planner that sees two rows would read them all.
        cursor.execute("SET LOCAL enable_seqscan = off; SET LOCAL enable_sort = off")
        cursor.execute(f"EXPLAIN {sql}")
        assert "injection_newest_ended" in str(cursor.fetchall())
