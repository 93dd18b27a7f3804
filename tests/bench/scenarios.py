"""Every scenario, inject to bitten and undo to restored: the engine against a person by hand."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass

from core import kube
from core.models import Cluster
from gamedays.drivers.cluster import ClusterDriver
from gamedays.drivers.fleet import Fleet
from practice.plan import Plan
from tests.bench.cases import Case, Place, cases
from tests.bench.cluster import await_settled, await_whole
from tests.bench.holds import Way
from tests.bench.owner import Owner
from tests.bench.report import Report, Row, compared, unmeasured
from tests.bench.troubles import TROUBLES
from tests.bench.ways import by_engine, ended

PAIRS = int(os.environ.get("BELAY_BENCH_PAIRS", "5"))
RATIO_LIMIT = 1.2
Say = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class Round:
    """One fault. Seconds."""

    bitten_s: float
    restored_s: float


def measure(
    report: Report,
    plan: Plan,
    fleet: Fleet,
    cluster_name: str,
    *,
    say: Say,
    only: Sequence[str] = (),
) -> None:
    """Two rows for each chosen case; `only` are keys of scenarios, none of them: all."""
    cluster = Cluster.objects.get(name=cluster_name)
    driver = ClusterDriver(
        uid=cluster.uid,
        credentials=kube.credentials_of(cluster),
        api_servers={
            node.name: node.api_server for node in cluster.nodes.filter(control_plane=True)
        },
    )
    place = Place(plan=plan, fleet=fleet, driver=driver, owner=Owner(plan))
    chosen = cases(plan)
    if unknown := set(only) - (known := {case.scenario for case in chosen}):
        raise AssertionError(f"--scenario {min(unknown)!r}: choose from {', '.join(sorted(known))}")
    for case in chosen:
        if not only or case.scenario in only:
            _measure_case(report, place, case, say)


def _measure_case(report: Report, place: Place, case: Case, say: Say) -> None:
    ours: list[Round] = []
    bare: list[Round] = []
    try:
        for number in range(PAIRS):
            # A B, B A, A B, …: neither side always has the warmer machine.
            for rounds in (ours, bare) if number % 2 == 0 else (bare, ours):
                rounds.append(_round(place, case, engine=rounds is ours))
                name, last = "belay" if rounds is ours else "bare", rounds[-1]
                say(
                    f"{case.name}, pair {number + 1} {name:5}: bitten {last.bitten_s:.3f} s, "
                    f"restored {last.restored_s:.3f} s"
                )
    except TROUBLES as error:
        say(f"{case.name}: {error}")
        seen = {"belay": [asdict(one) for one in ours], "bare": [asdict(one) for one in bare]}
        for what in ("inject to bitten", "undo to restored"):
            report.add(unmeasured(f"{case.name}: {what}", "s", str(error), raw=[seen]))
        return
    pairs = list(zip(ours, bare, strict=True))
    for row in rows_of(case, pairs):
        report.add(row)


def rows_of(case: Case, pairs: Sequence[tuple[Round, Round]]) -> list[Row]:
    """One row per way; what happens once has no undo that could be compared, and no limit."""
    limit = RATIO_LIMIT if case.lasting else None
    back = "undo to restored" if case.lasting else "undo to running again"
    return [
        compared(
            f"{case.name}: inject to bitten",
            [(a.bitten_s, b.bitten_s) for a, b in pairs],
            "s",
            limit=limit,
            note=case.note,
        ),
        compared(
            f"{case.name}: {back}",
            [(a.restored_s, b.restored_s) for a, b in pairs],
            "s",
            limit=limit,
            note=case.note,
        ),
    ]


def _round(place: Place, case: Case, *, engine: bool) -> Round:
    if case.hold_s > 1:
        await_settled(place.plan)
    else:
        await_whole(place.plan)
    way: Way = (
        by_engine(place.fleet, place.driver, case.scenario, case.parameters)
        if engine
        else case.bare(place)
    )
    look = case.look(place)
    with ended(way), ThreadPoolExecutor(1, "look") as pool:
        way.prepare()
        look.begin()
        bitten = pool.submit(look.bitten_at)
        began = time.monotonic()
        way.hold()
        bitten_s = bitten.result() - began
        # The hold itself: a stretch of time is what is wanted here, not a condition.
        time.sleep(max(0.0, case.hold_s - bitten_s))
        restored = pool.submit(look.restored_at)
        began = time.monotonic()
        way.restore()
        restored_s = restored.result() - began
    return Round(bitten_s=bitten_s, restored_s=restored_s)
