"""A live run's page reads what is new, and shows what a page shows that reads everything."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from itertools import count

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from gamedays.choices import InjectionState
from gamedays.models import Injection, Probe, SampleBlock
from gamedays.selectors import looks
from gamedays.selectors.samples import ProbeFigures, probe_figures
from tests.people import Cast
from tests.ui import factories
from tests.ui.conftest import As


@pytest.fixture(autouse=True)
def nothing_kept(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """And whatever was written is visible to everybody at once, as it is half a minute later."""
    assert dt.timedelta(seconds=2 * 5) < looks._SETTLED, "twice the deadline of whoever writes"
    monkeypatch.setattr(looks, "_SETTLED", dt.timedelta(0))
    looks._kept.clear()
    yield
    looks._kept.clear()


@pytest.fixture
def run(cast: Cast) -> Injection:
    """It bit a quarter of an hour ago, and every probe was looked at each second since."""
    run = factories.make_run(cast, InjectionState.ACTIVE, ago_s=900)
    factories.make_samples(run, factories.make_probes(cast), ahead_s=5)
    return run


def rows_read(asked: CaptureQueriesContext) -> int:
    """How many rows of samples these queries read, by asking them again."""
    read = 0
    for query in list(asked.captured_queries):
        if query["sql"].startswith("SELECT") and '"samples"' in query["sql"]:
            with connection.cursor() as cursor:
                cursor.execute(f"SELECT count(*) FROM ({query['sql']}) AS again")  # noqa: S608
                [[found]] = cursor.fetchall()
                read += found
    return read


def look(run: Injection) -> list[ProbeFigures]:
    return probe_figures(Injection.objects.get(pk=run.pk))


def afresh(run: Injection) -> list[ProbeFigures]:
    """What somebody sees who has read nothing of it before."""
    kept = dict(looks._kept)
    looks._kept.clear()
    try:
        return look(run)
    finally:
        looks._kept.update(kept)


_offsets = count(1)


def write(run: Injection, probe: Probe, at: dt.datetime, *, passed: int) -> SampleBlock:
    return SampleBlock.objects.create(
        injection=run,
        probe=probe,
        fence=1,
        started_at=at + dt.timedelta(microseconds=next(_offsets)),
        samples=[[0, passed, 1, 5.0, "" if passed else "connection refused"]],
    )


def test_every_viewer_and_second_reads_only_what_is_new(
    cast: Cast, run: Injection, client_of: As
) -> None:
    vera, erik = client_of("vera"), client_of("erik")
    with CaptureQueriesContext(connection) as first:
        vera.get(f"/runs/{run.pk}/live/")
    assert rows_read(first) == SampleBlock.objects.count() > 900
    newest = write(run, Probe.objects.get(key="shop"), timezone.now(), passed=1)
    for client, new in ((vera, 1), (erik, 0), (vera, 0)):
        with CaptureQueriesContext(connection) as asked:
            client.get(f"/runs/{run.pk}/live/")
        assert rows_read(asked) == new
        assert len(asked) == len(first)
    assert newest.pk in looks._kept[run.pk].blocks


def test_what_was_read_in_parts_is_what_is_read_at_once(cast: Cast, run: Injection) -> None:
    shop = Probe.objects.get(key="shop")
    assert run.bitten_at
    look(run)
    for passed in (1, 0, 0, 1):
        write(run, shop, timezone.now(), passed=passed)
        assert look(run) == afresh(run)
    # A database that was away for long: what was seen meanwhile is written when it is back.
    late = write(run, shop, run.bitten_at + dt.timedelta(seconds=20), passed=0)
    seen = look(run)
    assert seen == afresh(run)
    assert seen[0].during is not None
    assert seen[0].during < 1
    late.refresh_from_db()
    late.samples = [*late.samples, [500, 0, 1, None, "refused"]]
    late.save()
    assert look(run) == afresh(run)
    # Its marks move on, too, and the end reads everything once more.
    Injection.objects.filter(pk=run.pk).update(
        state=InjectionState.CLEAN,
        undo_asked_at=timezone.now(),
        restored_at=timezone.now(),
        ended_at=timezone.now(),
    )
    assert look(run) == afresh(run)
    assert not looks._kept


def test_a_failure_of_this_second_is_seen_by_who_looks_next(cast: Cast, run: Injection) -> None:
    shop = Probe.objects.get(key="shop")
    now = timezone.now() + dt.timedelta(seconds=8)
    write(run, shop, now, passed=1)
    assert look(run)[0].state == "steady"
    write(run, shop, now + dt.timedelta(milliseconds=1), passed=0)
    assert look(run)[0].state == "failing"


def test_a_run_that_fell_silent_is_unknown_and_not_what_was_kept(
    cast: Cast, run: Injection, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert look(run)[0].state == "steady"
    later = timezone.now() + dt.timedelta(seconds=20)
    monkeypatch.setattr("gamedays.selectors.samples.timezone.now", lambda: later)
    assert {figures.state for figures in look(run)} == {"unknown"}


def test_only_a_few_runs_are_kept(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(looks, "_KEPT_RUNS", 2)
    runs = []
    for _ in range(3):
        one = factories.make_run(cast, InjectionState.ACTIVE, ago_s=30)
        look(one)
        runs.append(one.pk)
        Injection.objects.filter(pk=one.pk).update(state=InjectionState.CLEAN)
        cast.cluster.gamedays.update(state="done")
    assert list(looks._kept) == runs[1:]
