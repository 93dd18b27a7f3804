"""How long the inventory takes at 10,000 services. Nothing is asserted: machines differ.

Not collected by default: `.venv/bin/pytest -s tests/migrator/measure.py` prints the figures.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import pytest
from django.db import connection
from django.test import Client

from migrator.models import Dependency, Service
from migrator.operations import csv_import as verbs
from migrator.selectors.csv_files import csv_rows
from migrator.selectors.services import Wanted
from tests.migrator.test_csv import file_of
from tests.people import Cast

SERVICES = 10_000
PAGES = (
    "/services/",
    "/services/?page=150",
    "/services/?text=legacy-42",
    "/services/?text=no+such+words",
    "/services/?tag=tag-3&tier=2&cluster=none",
    "/services/?lacks=nothing",
    "/services/service-500/",
    "/services/graph/?focus=service-500&steps=2",
    "/services/graph/",
    "/services/names/?needs=99",
)


def _content(tier: str) -> bytes:
    return file_of(
        *(
            {
                "name": f"Service {n}",
                "team": "Payments",
                "tier": tier,
                "description": f"Number {n} of many, which does something for somebody. " * 3,
                "links": f"Board https://board.example/{n}; Runbook https://wiki.example/{n}",
                "tags": f"tag-{n % 7} tag-{n % 50}",
                "legacy_hosts": f"legacy-{n % 900}",
                "legacy_address": f"legacy-{n % 900}:8080",
                "legacy_capacity": str(n + 1),
                "legacy_capacity_unit": "requests/s",
                "depends_on": "; ".join(
                    f"Service {(n * k + 1) % SERVICES}"
                    for k in (3, 7, 11)
                    if (n * k + 1) % SERVICES != n
                ),
            }
            for n in range(SERVICES)
        )
    )


def _timed(what: str, do: Callable[[], object], times: int = 1) -> None:
    took, busy = [], []
    for _ in range(times):
        began, used = time.perf_counter(), time.process_time()
        do()
        took.append((time.perf_counter() - began) * 1000)
        busy.append((time.process_time() - used) * 1000)
    print(f"{what}: {statistics.median(took):.0f} ms, {statistics.median(busy):.0f} of them ours")


def _import(cast: Cast, content: bytes) -> None:
    kept = verbs.upload_csv(actor=cast.erik, file_name="x.csv", content=content)
    plan = verbs.plan_csv(actor=cast.erik, kept=kept)
    assert plan.complaints == []
    verbs.apply_csv(actor=cast.erik, import_id=kept.pk, digest=plan.digest)


@pytest.mark.timeout(1800)
def test_figures(cast: Cast) -> None:
    print()
    _timed("import of 10,000 new services, preview and all", lambda: _import(cast, _content("1")))
    _timed("import that changes all 10,000", lambda: _import(cast, _content("2")))
    _timed("import that changes nothing", lambda: _import(cast, _content("2")))
    _timed("export", lambda: list(csv_rows(cast.erik, Wanted())))
    print(f"{Service.objects.count()} services, {Dependency.objects.count()} dependencies")
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")  # as autovacuum does soon after an import
    client = Client()
    client.force_login(cast.erik)
    for path in PAGES:
        assert client.get(path).status_code == 200
        _timed(path, lambda path=path: client.get(path), times=7)  # type: ignore[misc]
