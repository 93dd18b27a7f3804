"""The overview: board, causes, waves on a timeline, burn-up, needs and reports."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from core.models import EmergencyStop
from migrator.choices import AttemptState, Health, Reversibility, Standing, StepState
from migrator.models import (
    Attempt,
    Plan,
    Service,
    ServiceStanding,
    Step,
    StepRehearsal,
    Wave,
    WaveService,
)
from migrator.operations.dependencies import add_dependency
from migrator.operations.plan_editing import add_step
from migrator.operations.plans import create_plan
from migrator.operations.standings import refresh_services
from migrator.operations.waves import create_wave, put_in_wave
from migrator.selectors import causes, needs, overview, waves
from migrator.selectors.burnup import burn_ups
from migrator.selectors.services import Wanted
from migrator.selectors.services import services as all_services
from migrator.ui import burnup_svg, timeline_svg
from migrator.ui.report_markdown import escape
from tests.migrator.conftest import As, Make
from tests.migrator.people import Shop, make_attempt, traffic_draft
from tests.migrator.test_pages import text
from tests.people import Cast

pytestmark = pytest.mark.django_db
BOTH = Wanted()


def wave_of(cast: Cast, *services: Service, starts: int = -10, ends: int = 10) -> Wave:
    """Days from today."""
    today = timezone.localdate()
    wave = create_wave(
        actor=cast.lea,
        team=cast.team,
        name=f"Wave {Wave.objects.count() + 1}",
        starts_on=today + dt.timedelta(days=starts),
        ends_on=today + dt.timedelta(days=ends),
    )
    if services:
        put_in_wave(actor=cast.lea, wave=wave, version=wave.version, services=services)
    return wave


def column(board: overview.Board, stage: Standing) -> overview.Column:
    return next(each for each in board.columns if each.stage == stage)


def test_the_board_counts_by_stage_and_health(shop: Shop, cast: Cast, make: Make) -> None:
    make("Orders", tier="1", tags="web")
    StepRehearsal.objects.all().delete()
    refresh_services()
    board = overview.board(cast.vera, BOTH)
    assert [each.stage for each in board.columns] == list(Standing)
    assert column(board, Standing.UNPLANNED).tally.by_health == [(Health.NOT_PLANNED, 1)]
    planned = column(board, Standing.PLANNED)
    assert planned.tally.by_health == [(Health.BLOCKED, 1)]
    assert [card.name for card in planned.cards] == ["Shop"]
    assert (board.total.services, board.total.steps, board.total.percent) == (2, 4, 0)
    assert overview.board(cast.otto, BOTH).total.services == 0, "an outsider counts nothing"
    for wanted, number in (
        (Wanted(team="payments"), 2),
        (Wanted(team="search"), 0),
        (Wanted(tier="1"), 1),
        (Wanted(tag="web"), 1),
        (Wanted(cluster="qa-range"), 1),
        (Wanted(cluster="none"), 1),
        (Wanted(wave="none"), 2),
        (Wanted(wave="77"), 0),
        (Wanted(wave="seven"), 0),
    ):
        assert overview.board(cast.vera, wanted).total.services == number, wanted


def test_a_column_shows_its_first_few_the_worst_first(shop: Shop, cast: Cast, make: Make) -> None:
    for number in range(8):
        make(f"Service {number}")
    late = make("Zebra")
    wave_of(cast, late, starts=-20, ends=-1)
    refresh_services()
    unplanned = column(overview.board(cast.lea, BOTH), Standing.UNPLANNED)
    assert len(unplanned.cards) == overview.FIRST
    assert unplanned.cards[0] == late
    assert unplanned.more == 4
    listed = all_services(cast.lea, Wanted(stage="unplanned"))
    assert listed.count() == unplanned.tally.services
    assert [s.name for s in all_services(cast.lea, Wanted(health="late"))] == ["Zebra"]
    assert not all_services(cast.lea, Wanted(health="excellent"))
    assert not all_services(cast.lea, Wanted(stage="nowhere"))


def test_more_services_are_no_more_queries(
    shop: Shop, cast: Cast, make: Make, client_of: As
) -> None:
    lea = client_of("lea")
    wave = wave_of(cast, shop.service)
    paths = (
        "/migrations/",
        "/migrations/?team=payments&tier=3&tag=x&cluster=none&wave=1",
        "/migrations/blocked/",
        "/migrations/blocked/?code=unrehearsed&subject=",
        "/migrations/burn-up/",
        "/migrations/report/",
        "/migrations/report/markdown/",
        "/waves/",
        f"/waves/{wave.pk}/",
        "/services/?stage=planned&health=blocked&wave=1",
        "/",
    )

    def more(number: int) -> None:
        for n in range(number):
            name = f"Number {Service.objects.count()}"
            service = make(name)
            plan = create_plan(actor=cast.lea, service=service, cluster=cast.cluster, template=None)
            step = add_step(actor=cast.lea, plan=plan, draft=traffic_draft(cast, 10))
            if n % 2:
                wave_of(cast, service)
            Step.objects.filter(pk=step.pk).update(state_since=timezone.now())
        refresh_services()

    def counts() -> dict[str, int]:
        found = {}
        for path in paths:
            with CaptureQueriesContext(connection) as asked:
                assert lea.get(path).status_code == 200
            found[path] = len(asked)
        return found

    StepRehearsal.objects.all().delete()
    more(3)
    few = counts()
    more(6)
    assert counts() == few


def test_what_is_blocked_by_what(shop: Shop, cast: Cast, make: Make, client_of: As) -> None:
    StepRehearsal.objects.all().delete()
    other = make("Prices")
    Service.objects.filter(pk=other.pk).update(legacy_address="http://old/")
    add_dependency(actor=cast.erik, service=shop.service, needs=other)
    refresh_services()
    found = causes.as_causes(causes.causes(cast.lea, BOTH))
    assert {(each.code, each.number, each.cause) for each in found} == {
        ("unrehearsed", 1, "The way back was never rehearsed"),
        ("dependency_not_there", 1, "Prices is not there yet"),
    }
    page = text(client_of("lea"), "/migrations/blocked/")
    assert "Prices is not there yet" in page
    one = text(
        client_of("lea"), f"/migrations/blocked/?code=dependency_not_there&subject={other.pk}"
    )
    assert 'data-testid="held"' in one
    assert "which Shop needs" in one
    assert "It holds nothing now" in text(
        client_of("otto"), "/migrations/blocked/?code=unrehearsed"
    )
    EmergencyStop.objects.create(set_by=cast.vera)
    page = text(client_of("lea"), "/migrations/blocked/")
    assert page.index('data-code="emergency_stop"') < page.index('data-code="unrehearsed"')
    assert ">Shop<" in text(client_of("lea"), "/migrations/blocked/?code=emergency_stop")


def test_the_page_shows_each_card_with_what_clears_it(shop: Shop, client_of: As) -> None:
    StepRehearsal.objects.all().delete()
    refresh_services()
    page = text(client_of("vera"), "/migrations/")
    assert 'data-health="blocked"' in page
    assert f'href="/plans/{shop.plan.pk}/#step-{shop.step(1).pk}">Rehearse the way back' in page
    assert "0 of 4" in page


def test_changes_that_are_not_counted_yet_are_told(shop: Shop, client_of: As) -> None:
    assert "changed in the last moments" in text(client_of("lea"), "/migrations/")
    refresh_services()
    assert "changed in the last moments" not in text(client_of("lea"), "/migrations/")


# -- Burn-up ---------------------------------------------------------------------------------------


def test_burn_up_counts_facts_by_week(shop: Shop, cast: Cast) -> None:
    now = timezone.now()
    week = dt.timedelta(weeks=1)
    Plan.objects.filter(pk=shop.plan.pk).update(made_at=now - 3 * week)
    steps = list(shop.plan.steps.order_by("position"))
    for step, state, ago in (
        (steps[0], StepState.DONE, 2),
        (steps[1], StepState.DONE, 0),
        (steps[2], StepState.ROLLED_BACK, 1),
    ):
        Step.objects.filter(pk=step.pk).update(state=state, state_since=now - ago * week)
    Step.objects.filter(pk=steps[3].pk).update(
        state=StepState.SKIPPED, skip_reason="no need", state_since=now - week
    )
    [burn] = burn_ups(cast.lea)
    assert burn.team == cast.team
    assert [(w.scope, w.done) for w in burn.weeks] == [(4, 0), (4, 1), (3, 1), (3, 2)]
    assert burn.now.ahead == 1
    assert burn.weeks[0].monday.weekday() == 0
    assert burn_ups(cast.otto) == []
    with CaptureQueriesContext(connection) as asked:
        burn_ups(cast.olga)
    assert len(asked) == 2
    chart = burnup_svg.draw(burn)
    assert chart.says == "2 of 3 steps done in 4 weeks; 1 ahead."
    assert chart.scope.count("L") == 3


def test_burn_up_of_several_teams_adds_up(shop: Shop, cast: Cast) -> None:
    theirs = Service.objects.create(name="Finder", slug="finder", team=cast.otto.teams.get())
    plan = Plan.objects.create(
        service=theirs, cluster=cast.cluster, stage="qa", title="x", made_by=cast.otto
    )
    Step.objects.create(plan=plan, key="one", position=1, title="One", kind="manual")
    everything, *each = burn_ups(cast.olga)
    assert everything.team is None
    assert everything.now.scope == 5
    assert [(str(burn.team), burn.now.scope) for burn in each] == [("Payments", 4), ("Search", 1)]
    assert [str(burn.team) for burn in burn_ups(cast.olga, team="search")] == ["Search"]
    Plan.objects.filter(pk=plan.pk).update(archived_at=timezone.now())
    assert len(burn_ups(cast.olga)) == 1, "an archived plan is to be done no more"


def test_a_burn_up_of_years_is_cut_where_it_can_be_read(shop: Shop, cast: Cast) -> None:
    Plan.objects.update(made_at=timezone.now() - dt.timedelta(days=3000))
    [burn] = burn_ups(cast.lea)
    assert len(burn.weeks) == 104
    assert burn.weeks[0].scope == 4, "what came before is counted in the first week"


# -- Needs -----------------------------------------------------------------------------------------


def waits_for(user: Any) -> list[tuple[str, str]]:
    return [(need.what, need.verb) for need in needs.step_needs(user).first]


def test_a_checklist_a_signature_a_rehearsal_a_stuck_return_and_a_capacity(
    shop: Shop, cast: Cast
) -> None:
    StepRehearsal.objects.all().delete()
    Service.objects.update(capacity_confirmed_at=None, capacity_confirmed_by=None)
    refresh_services()
    assert waits_for(cast.erik) == [
        ("Shop: To 1%", "Rehearse the way back"),
        ("Shop", "Confirm what legacy can carry"),
    ], "Erik answers for the ways back"
    assert waits_for(cast.lea) == [("Shop", "Confirm what legacy can carry")]
    assert waits_for(cast.vera) == waits_for(cast.otto) == [], "who only watches is asked nothing"
    shop.plan.steps.filter(position=1).update(
        reversibility=Reversibility.ONE_WAY, why_one_way="It is given back."
    )
    refresh_services()
    assert ("Shop: To 1%", "Sign the step off") in waits_for(cast.lea)
    Step.objects.update(reversibility=Reversibility.REVERSIBLE)
    attempt = make_attempt(shop)
    refresh_services()
    assert waits_for(cast.erik) == [], "what is under way waits for nobody"
    for state, kind, verb in (
        (AttemptState.STUCK, "traffic", "Open the stuck return"),
        (AttemptState.INTERRUPTED, "traffic", "Go on, or go back"),
        (AttemptState.JUDGING, "manual", "Open the checklist"),
    ):
        Attempt.objects.filter(pk=attempt.pk).update(state=state, kind=kind)
        assert waits_for(cast.erik) == [("Shop: To 1%", verb)]
        assert waits_for(cast.olga) == [("Shop: To 1%", verb)]
        assert waits_for(cast.vera) == waits_for(cast.otto) == []


def test_needs_stand_on_the_overview_and_on_this_week(
    shop: Shop, cast: Cast, client_of: As
) -> None:
    attempt = make_attempt(shop)
    Attempt.objects.filter(pk=attempt.pk).update(state=AttemptState.STUCK, reason="It hangs.")
    for path in ("/", "/migrations/"):
        page = text(client_of("erik"), path)
        assert 'data-testid="step-need"' in page
        assert "Its way back is stuck. It hangs." in page
        assert 'data-testid="step-need"' not in text(client_of("vera"), path)
    assert "1 thing waits for you." in text(client_of("erik"), "/")
    assert "0 of 1 service" in text(client_of("erik"), "/")


# -- Waves in figures and as a picture ------------------------------------------------------------


def test_a_wave_has_planned_and_real_dates(shop: Shop, cast: Cast, make: Make) -> None:
    wave = wave_of(cast, shop.service, make("Orders"))
    refresh_services()
    view = waves.wave_view(cast.lea, wave)
    assert (view.services, view.arrived, view.began_on, view.state) == (2, 0, None, "late")
    began = timezone.now() - dt.timedelta(days=4)
    shop.plan.steps.filter(position=1).update(state=StepState.DONE, state_since=began)
    refresh_services()
    view = waves.wave_view(cast.lea, wave)
    assert (view.began_on, view.ended_on, view.state) == (began.date(), None, "running")
    ServiceStanding.objects.update(stage=Standing.ARRIVED, arrived_at=timezone.now())
    view = waves.wave_view(cast.lea, wave)
    assert view.ended_on == timezone.now().date()
    assert view.state == "done"
    assert waves.waves(cast.otto) == []


def test_only_services_that_the_person_sees_are_counted(shop: Shop, cast: Cast) -> None:
    theirs = Service.objects.create(name="Finder", slug="finder", team=cast.otto.teams.get())
    wave = wave_of(cast, shop.service)
    WaveService.objects.create(service=theirs, wave=wave, put_in_by=cast.olga)
    assert waves.wave_view(cast.lea, wave).services == 1
    assert waves.wave_view(cast.otto, wave).services == 1, "a service of his moves in it"
    assert waves.wave_view(cast.olga, wave).services == 2


def test_the_timeline_draws_what_was_planned_what_came_and_what_is_over(
    shop: Shop, cast: Cast
) -> None:
    wave = wave_of(cast, shop.service, starts=-30, ends=-10)
    wave_of(cast, starts=5, ends=200)
    shop.plan.steps.filter(position=1).update(
        state=StepState.DONE, state_since=timezone.now() - dt.timedelta(days=25)
    )
    refresh_services()
    picture = timeline_svg.draw(waves.waves(cast.lea))
    assert picture is not None
    first, second = picture.rows
    assert first.view.wave == wave
    assert first.overdue is not None
    assert first.actual is not None
    assert picture.today is not None
    assert first.overdue.x + first.overdue.width == pytest.approx(picture.today, abs=6)
    assert second.actual is None
    assert second.planned.width > first.planned.width
    assert 0 < len(picture.ticks) <= 12
    assert timeline_svg.draw([]) is None


# -- Reports ---------------------------------------------------------------------------------------


def test_a_report_holds_everything_on_one_page(shop: Shop, cast: Cast, client_of: As) -> None:
    StepRehearsal.objects.all().delete()
    wave_of(cast, shop.service)
    refresh_services()
    page = text(client_of("vera"), "/migrations/report/?team=payments")
    for part in ("Migrations of Payments", "Progress", "Health", "Waves", "Burn-up", "Wave 1"):
        assert part in page
    assert "The way back was never rehearsed" in page
    assert client_of("vera").get("/migrations/report/?team=search").status_code == 404
    assert client_of("vera").get("/migrations/report/?team=none").status_code == 404


def test_markdown_is_a_file_in_which_every_text_stays_text(
    shop: Shop, cast: Cast, client_of: As
) -> None:
    hostile = "x | y](javascript:alert(1)) <script>alert(1)</script> `a` # b"
    Service.objects.filter(pk=shop.service.pk).update(name=hostile)
    StepRehearsal.objects.all().delete()
    wave = wave_of(cast, shop.service)
    Wave.objects.filter(pk=wave.pk).update(name="Wave *one* |")
    refresh_services()
    answer = client_of("lea").get("/migrations/report/markdown/")
    assert answer["Content-Type"] == "text/markdown; charset=utf-8"
    assert answer["Content-Disposition"].startswith('attachment; filename="migrations-')
    body = answer.content.decode()
    assert "<script>" not in body
    assert "](javascript" not in body
    assert escape(hostile) in body
    assert "Wave \\*one\\* \\|" in body
    for line in body.splitlines():
        if line.startswith("|"):
            cells = line.replace("\\|", "").count("|") - 1
            assert cells in (2, 3, 4, 8), line
    for heading in ("# Migrations", "## Progress", "## Health", "## Waves", "## Burn-up"):
        assert f"\n{heading}" in f"\n{body}"


def test_escape_leaves_no_sign_that_markdown_reads() -> None:
    assert escape("a\n# b\r\n\u2028- c") == "a \\# b \\- c"
    assert escape("1. [x](y)") == "1. \\[x\\]\\(y\\)"
    assert escape("See https://x. End.") == "See https\\://x. End."
    assert escape("www.x.example & <b>") == "www\\.x\\.example \\& \\<b\\>"
