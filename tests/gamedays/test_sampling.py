"""The watcher beside the conductor: no probe costs another its samples, and no gap is silent."""

from __future__ import annotations

import datetime as dt
import threading
import time
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import cast

import pytest
from django.db import OperationalError

from core.kube import Credentials
from core.lost_rows import RowsLostError
from gamedays.choices import InjectionState
from gamedays.drivers.fleet import Fleet
from gamedays.execution import sampling
from gamedays.execution.sampling import Watcher
from gamedays.execution.world import Sample
from gamedays.journal import Journal
from gamedays.models import Lease, Probe, SampleBlock
from gamedays.probes.base import Attempt, ProbeSpec, Surroundings
from tests.people import make_cast
from tests.ui import factories

HANGING = 9


def spec(number: int, kind: str) -> ProbeSpec:
    return ProbeSpec(
        id=number,
        key=f"{kind}-{number}",
        title=kind,
        kind=kind,
        target="",
        parameters={},
        attempts=1,
        timeout_s=1,
        felt_by_users=False,
    )


@pytest.fixture
def let_go() -> Iterator[threading.Event]:
    event = threading.Event()
    yield event
    event.set()


@pytest.fixture
def watcher(monkeypatch: pytest.MonkeyPatch, let_go: threading.Event) -> Iterator[Watcher]:
    """Nine probes whose server answers nothing, and one whose server does."""

    def hang(_probe: ProbeSpec, _around: Surroundings) -> Attempt:
        let_go.wait()
        return Attempt(passed=False)

    def pass_at_once(_probe: ProbeSpec, _around: Surroundings) -> Attempt:
        return Attempt(passed=True)

    monkeypatch.setattr(sampling, "PROBERS", {"hangs": hang, "passes": pass_at_once})
    watcher = Watcher(
        probes=(*(spec(number, "hangs") for number in range(HANGING)), spec(HANGING, "passes")),
        credentials=Credentials(server="https://127.0.0.1:1", ca_pem="", token=""),
        api_servers={},
        fleet=cast("Fleet", SimpleNamespace(nodes=[], status=dict)),
        list_pods=tuple,
    )
    yield watcher
    let_go.set()
    watcher.stop()


def gather(watcher: Watcher, enough: Callable[[list[Sample]], bool]) -> list[Sample]:
    samples: list[Sample] = []
    give_up_at = time.monotonic() + 10
    while not enough(samples):
        assert time.monotonic() < give_up_at, samples[-3:]
        time.sleep(0.01)
        samples += watcher.drain_samples()
    return samples


def test_probes_that_hang_cost_the_others_no_sample(watcher: Watcher) -> None:
    turns = 12
    for _ in range(turns):
        watcher._sample_all()
    seen = gather(
        watcher, lambda found: sum(sample.probe_id == HANGING for sample in found) == turns
    )
    assert all(sample.passed == 1 for sample in seen if sample.probe_id == HANGING)
    assert all(sample.attempts == 0 for sample in seen if sample.probe_id != HANGING)


def test_seconds_in_which_nobody_looked_are_told(watcher: Watcher, let_go: threading.Event) -> None:
    let_go.set()
    watcher._sample_all()
    gather(watcher, lambda found: len(found) == HANGING + 1)
    watcher._sampled_at = time.monotonic() - 4.2
    watcher._sample_all()
    told = [
        sample
        for sample in gather(watcher, lambda found: len(found) == 4 * (HANGING + 1))
        if sample.attempts == 0
    ]
    assert len(told) == 3 * (HANGING + 1)
    assert all("did not look for 4.2 s" in sample.detail for sample in told)
    assert len({sample.at for sample in told}) == 3


@pytest.mark.django_db
def test_samples_outlive_a_write_that_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    injection = factories.make_run(make_cast(), InjectionState.ACTIVE)
    rows = Journal()
    Lease.objects.create(injection=injection, fence=1)
    run = rows.read(injection.pk, 1)
    assert run
    probe = Probe.objects.first()
    assert probe
    block = dt.datetime(2026, 5, 4, 10, 0, tzinfo=dt.UTC)

    def sample(second: int) -> Sample:
        at = block + dt.timedelta(seconds=second)
        return Sample(probe_id=probe.pk, at=at, passed=1, attempts=1, latency_ms=None, detail="")

    with monkeypatch.context() as broken:

        def away(*_args: object, **_more: object) -> None:
            raise OperationalError("the database is away")

        broken.setattr(SampleBlock.objects, "bulk_create", away)
        broken.setattr("core.lost_rows._drop_connection", lambda: None)
        with pytest.raises(RowsLostError):
            rows.write_samples(run, [sample(8), sample(9)])
    rows.write_samples(run, [sample(12)])  # of the next block: nothing would touch the first again
    offsets = [
        row[0] for each in SampleBlock.objects.order_by("started_at") for row in each.samples
    ]
    assert offsets == [8000, 9000, 2000]
