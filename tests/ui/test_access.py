"""Who sees which page, and who may press what. To an outsider nothing of a team exists."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from django.test import Client

from gamedays.choices import FindingStatus, GamedayState, InjectionState, Verdict
from gamedays.models import Finding, Gameday, Injection
from gamedays.selectors import week
from migrator.models import Attempt, CsvImport, Wave
from migrator.operations.csv_import import upload_csv
from migrator.operations.standings import refresh_services
from tests.migrator.people import make_attempt, make_shop, make_wave
from tests.people import Cast, book
from tests.ui import factories
from tests.ui.conftest import As

EVERYBODY = {"lea": 200, "erik": 200, "vera": 200, "otto": 200, "olga": 200, None: 302}
TEAM = {"lea": 200, "erik": 200, "vera": 200, "otto": 404, "olga": 200, None: 302}
RUNNERS = {"lea": 200, "erik": 200, "vera": 403, "otto": 404, "olga": 200, None: 302}
LEADS = {"lea": 200, "erik": 403, "vera": 403, "otto": 404, "olga": 200, None: 302}
BOOKERS = {"lea": 200, "erik": 403, "vera": 403, "otto": 403, "olga": 200, None: 302}
BOOKERS_OF_ANY = {"lea": 200, "erik": 403, "vera": 403, "otto": 200, "olga": 200, None: 302}
"""Templates belong to everybody: a lead of any team writes them, and Otto leads one."""

KEEPERS = {"lea": 200, "erik": 200, "vera": 403, "otto": 200, "olga": 200, None: 302}
"""Otto keeps the services of his own team."""
KEEPS = {"lea": 404, "erik": 200, "vera": 404, "otto": 404, "olga": 404, None: 302}
"""An uploaded file is seen by who uploaded it."""

PAGES: dict[str, dict[str | None, int]] = {
    "/": EVERYBODY,
    "/strip/": EVERYBODY,
    "/setups/": EVERYBODY,
    "/you/": EVERYBODY,
    "/gamedays/": EVERYBODY,
    "/findings/": EVERYBODY,
    "/findings/?view=board": EVERYBODY,
    "/findings/?status=open": EVERYBODY,
    "/scenarios/": EVERYBODY,
    "/scenarios/etcd-member-down/": EVERYBODY,
    "/clusters/": EVERYBODY,
    "/services/": EVERYBODY,
    "/emergency/": EVERYBODY,
    "/gamedays/book/": BOOKERS,
    "/gamedays/{gameday}/": TEAM,
    "/runs/{run}/": TEAM,
    "/runs/{run}/live/": TEAM,
    "/runs/{run}/samples.json": TEAM,
    "/findings/{finding}/": TEAM,
    "/findings/{finding}/edit/": TEAM,
    "/clusters/qa-range/": TEAM,
    "/clusters/qa-range/probes/new/": RUNNERS,
    "/clusters/qa-range/probes/new/?kind=prometheus": RUNNERS,
    "/clusters/qa-range/probes/shop/": RUNNERS,
    "/clusters/qa-range/metrics/": LEADS,
    "/services/?text=shop&tier=1&lacks=route&page=9": EVERYBODY,
    "/services/graph/": EVERYBODY,
    "/services/graph/?focus=shop": EVERYBODY,
    "/services/names/?needs=sh": EVERYBODY,
    "/services/export/": EVERYBODY,
    "/services/new/": KEEPERS,
    "/services/import/": KEEPERS,
    "/services/import/{kept}/": KEEPS,
    "/services/discover/": KEEPERS,
    "/services/discover/qa-range/link/?kind=HTTPProxy&namespace=shop&name=front": RUNNERS,
    "/services/shop/": TEAM,
    "/services/shop/edit/": RUNNERS,
    "/services/?stage=planned&health=blocked&wave={wave}": EVERYBODY,
    "/migrations/": EVERYBODY,
    "/migrations/?team=payments&tier=1&tag=web&cluster=qa-range&wave={wave}": EVERYBODY,
    "/migrations/blocked/": EVERYBODY,
    "/migrations/blocked/?code=unrehearsed": EVERYBODY,
    "/migrations/burn-up/": EVERYBODY,
    "/migrations/report/": EVERYBODY,
    "/migrations/report/?team=payments": TEAM,
    "/migrations/report/markdown/": EVERYBODY,
    "/migrations/report/markdown/?team=payments": TEAM,
    "/waves/": EVERYBODY,
    "/waves/new/": BOOKERS_OF_ANY,
    "/waves/{wave}/": TEAM,
    "/waves/{wave}/edit/": LEADS,
    "/plans/": EVERYBODY,
    "/plans/{plan}/": TEAM,
    "/plans/{plan}/live/": TEAM,
    "/plans/{plan}/clone/": LEADS,
    "/plans/{plan}/steps/new/": RUNNERS,
    "/plans/{plan}/steps/new/?kind=traffic": RUNNERS,
    "/steps/{step}/edit/": RUNNERS,
    "/attempts/{attempt}/": TEAM,
    "/attempts/{attempt}/live/": TEAM,
    "/services/shop/plan/": LEADS,
    "/templates/": EVERYBODY,
    "/templates/stateless-http/": EVERYBODY,
    "/templates/new/": BOOKERS_OF_ANY,
    "/templates/stateless-http/steps/0/": BOOKERS_OF_ANY,
    "/freezes/": EVERYBODY,
    "/rehearsal-policy/": EVERYBODY,
    "/clusters/qa-range/envoys/": LEADS,
    "/clusters/qa-range/proofs/": LEADS,
    "/login/": {"lea": 302, "erik": 302, "vera": 302, "otto": 302, "olga": 302, None: 200},
    "/nowhere/": {"lea": 404, "erik": 404, "vera": 404, "otto": 404, "olga": 404, None: 302},
    "/scenarios/no-such-thing/": {**dict.fromkeys(["lea", "vera", "otto"], 404), None: 302},
}


@dataclass
class Story:
    """Rows for the placeholders of the table."""

    run: Injection
    finding: Finding
    gameday: Gameday
    kept: CsvImport
    attempt: Attempt
    wave: Wave


@pytest.fixture
def story(cast: Cast) -> Story:
    run = factories.make_run(cast, verdict=Verdict.BROKE, judgement=factories.BROKE)
    factories.make_samples(run, factories.make_probes(cast))
    factories.make_pods(run)
    finding = factories.make_finding(cast, run)
    kept = upload_csv(actor=cast.erik, file_name="s.csv", content=b"name,team\nA,Payments\n")
    shop = make_shop(cast, 1)
    wave = make_wave(cast, shop.service)
    attempt = make_attempt(shop)
    refresh_services()
    return Story(
        run=run, finding=finding, gameday=book(cast), kept=kept, attempt=attempt, wave=wave
    )


@pytest.mark.parametrize("path", PAGES)
def test_each_page_opens_for_whom_it_is(path: str, story: Story, client_of: As) -> None:
    address = path.format(
        run=story.run.pk,
        finding=story.finding.pk,
        gameday=story.gameday.pk,
        kept=story.kept.pk,
        plan=story.attempt.plan_id,
        step=story.attempt.step_id,
        attempt=story.attempt.pk,
        wave=story.wave.pk,
    )
    seen = {who: client_of(who).get(address).status_code for who in PAGES[path]}
    if path == "/nowhere/":
        # The login wall stands before the router's 404 only for addresses that exist.
        seen[None] = PAGES[path][None]
    assert seen == PAGES[path]


def test_an_outsiders_pages_name_nothing_of_the_team(story: Story, client_of: As) -> None:
    otto = client_of("otto")
    for path in (
        "/", "/gamedays/", "/findings/", "/findings/?view=board", "/clusters/", "/strip/",
        "/services/", "/services/graph/", "/services/graph/?focus=shop", "/services/names/",
        "/services/new/", "/services/discover/", "/plans/", "/freezes/", "/migrations/", "/waves/",
        "/migrations/blocked/", "/migrations/burn-up/", "/migrations/report/",
        "/migrations/report/markdown/",
    ):  # fmt: skip
        text = otto.get(path).content.decode()
        assert ">Shop<" not in text
        assert str(story.wave) not in text
        assert 'value="Shop"' not in text
        assert "qa-range" not in text
        assert story.finding.title not in text
        assert story.gameday.title not in text


def test_a_page_of_every_run_state_renders(cast: Cast, client_of: As) -> None:
    lea = client_of("lea")
    for state in InjectionState:
        run = factories.make_run(cast, state)
        answer = lea.get(f"/runs/{run.pk}/")
        assert answer.status_code == 200
        assert f'data-testid="run-state" data-state="{state}"' in answer.content.decode()
        assert lea.get("/").status_code == 200
        Injection.objects.filter(pk=run.pk).update(state=InjectionState.CLEAN)
        Gameday.objects.filter(pk=run.agenda_item.gameday_id).update(state=GamedayState.DONE)


def test_a_page_of_every_finding_status_renders(story: Story, client_of: As) -> None:
    erik = client_of("erik")
    for status in FindingStatus:
        if status == FindingStatus.VERIFIED_FIXED:
            continue  # only a proof makes it; test_finding_page tells that story
        Finding.objects.filter(pk=story.finding.pk).update(status=status)
        text = erik.get(f"/findings/{story.finding.pk}/").content.decode()
        assert f'data-testid="finding-status" data-status="{status}"' in text
        assert 'data-testid="set-verified_fixed"' not in text


@pytest.mark.parametrize(
    ("who", "status"), [("lea", 302), ("erik", 302), ("vera", 403), ("otto", 404), (None, 302)]
)
def test_who_starts(who: str | None, status: int, cast: Cast, client_of: As) -> None:
    gameday = book(cast)
    answer = client_of(who).post(f"/gamedays/{gameday.pk}/start/")
    assert answer.status_code == status
    assert Injection.objects.exists() == (who in ("lea", "erik"))


@pytest.mark.parametrize(
    ("who", "status", "aborted"),
    [("lea", 302, True), ("erik", 302, True), ("vera", 302, True), ("otto", 404, False)],
)
def test_whoever_sees_it_aborts_it(
    who: str, status: int, aborted: bool, cast: Cast, client_of: As
) -> None:
    run = factories.make_run(cast, InjectionState.ACTIVE)
    answer = client_of(who).post(f"/runs/{run.pk}/abort/")
    assert answer.status_code == status
    run.refresh_from_db()
    assert (run.abort_requested_at is not None) == aborted
    assert run.abort_requested_by == (getattr(cast, who) if aborted else None)


def test_nothing_changes_by_a_get(story: Story, client_of: As) -> None:
    lea = client_of("lea")
    for path in (
        f"/runs/{story.run.pk}/abort/",
        f"/gamedays/{story.gameday.pk}/start/",
        f"/gamedays/{story.gameday.pk}/cancel/",
        "/emergency/set/",
        "/emergency/release/",
        f"/findings/{story.finding.pk}/verify/",
        f"/findings/{story.finding.pk}/status/",
        "/logout/",
        f"/steps/{story.attempt.step_id}/start/",
        f"/attempts/{story.attempt.pk}/back/",
        f"/plans/{story.attempt.plan_id}/back/",
        f"/waves/{story.wave.pk}/services/",
        f"/waves/{story.wave.pk}/take-out/",
        f"/waves/{story.wave.pk}/archive/",
    ):
        assert lea.get(path).status_code == 405, path


def test_a_viewer_is_shown_no_buttons_that_would_refuse(story: Story, client_of: As) -> None:
    vera = client_of("vera")
    assert 'data-testid="start"' not in vera.get(f"/gamedays/{story.gameday.pk}/").content.decode()
    text = vera.get(f"/findings/{story.finding.pk}/").content.decode()
    assert 'data-testid="re-verify"' not in text
    assert 'data-testid="record-fix"' not in text
    assert 'data-testid="book"' not in vera.get("/").content.decode()


@pytest.mark.parametrize(
    ("who", "status"), [("lea", 302), ("erik", 302), ("vera", 403), ("otto", 404)]
)
def test_who_asks_the_guards(who: str, status: int, cast: Cast, client_of: As) -> None:
    assert client_of(who).post("/clusters/qa-range/guards/").status_code == status


def test_a_bug_of_ours_answers_with_a_page_that_helps(
    cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_user: object) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr(week, "needs", broken)
    client = Client(raise_request_exception=False)
    client.force_login(cast.lea)
    answer = client.get("/")
    assert answer.status_code == 500
    assert "guard undo-all" in answer.content.decode()


def test_commands_of_an_owner_name_nobody_else(cast: Cast, client_of: As) -> None:
    lea = client_of("lea").get("/clusters/").content.decode()
    assert "--as lea" not in lea
    assert "--as OWNER" in lea
    assert "--as olga" in client_of("olga").get("/clusters/").content.decode()
