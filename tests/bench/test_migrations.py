"""What counts as ok at the size of a big company, and that its inventory fits the models."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable

import pytest
from django.db import connection
from django.urls import URLPattern, URLResolver, resolve
from django.urls.exceptions import Resolver404

from gamedays.models import Finding
from gamedays.operations.sample import load_sample_data
from migrator.csv_format import COLUMNS, REQUIRED, read_csv
from migrator.models import Attempt, Dependency, Plan, Service, Step
from migrator.ui import urls
from tests.bench.migrations import (
    Timing,
    inventory_csv,
    row_of_page,
    rows_of_queries,
    script_for,
    touched,
)
from tests.bench.owner import Json
from tests.bench.pages import LIVE_PLAN, Page, count_queries, pages
from tests.bench.report import later
from tests.bench.traffic import first_seen, legacy_alone, with_percent
from tests.migrator.shop_client import Sent

pytestmark = pytest.mark.long

NOT_MEASURED = {
    "export_services": "it has a row of its own",
    "import_preview": "it is part of the import",
    "discover": "what it costs is what the cluster takes to answer",
    "discover_cluster": "as discover",
    "link_found": "as discover",
    "new_service": "an empty form",
    "new_template": "an empty form",
    "attempt_live": "a part of the attempt's page",
    "template_step": "a form",
    "cluster_envoys": "a form about one cluster",
    "report_markdown": "as the report",
    "new_wave": "an empty form",
    "wave": "no waves stand in inventory.sql yet",
    "edit_wave": "as wave",
}
"""Addresses of migrations that answer GET and are not in the list of pages."""


def test_a_page_is_judged_by_its_median_and_tells_what_was_work() -> None:
    def timing(wall: float) -> Timing:
        return Timing(wall=wall, web=0.02, database=0.01)

    page = Page("/plans/")
    row = row_of_page(page, [timing(0.09), timing(0.099), timing(3.0)], slowed=2.5)
    assert (row.name, row.value, row.unit, row.limit, row.ok) == (
        "page /plans/", 99.0, "ms", 100.0, True,
    )  # fmt: skip
    assert "web 20 ms, database 10 ms; a loop beside it took 2.5 × its CPU time" in row.note
    assert not row_of_page(page, [timing(0.09), timing(0.11), timing(0.12)], slowed=1).ok


def test_the_number_of_queries_is_to_be_equal() -> None:
    rows = rows_of_queries([Page("/a/"), Page("/b/", "lea")], [9, 9], [9, 10])
    assert [(row.name, row.value, row.baseline, row.ok) for row in rows] == [
        ("queries /a/", 9, 9, True),
        ("queries /b/ (lea)", 10, 9, False),
    ]
    assert rows[1].ratio is not None
    assert rows[1].ratio > 1


def test_the_file_that_is_imported_is_one() -> None:
    content = inventory_csv(50)
    table = read_csv(content)
    assert (table.complaints, len(table.rows)) == ([], 50)
    header = next(csv.reader(io.StringIO(content.decode())))
    assert set(REQUIRED) <= set(header) <= set(COLUMNS)


def test_a_preview_tells_what_it_would_touch() -> None:
    page = "<dt>to add</dt><dd>3</dd></div><div><dt>to change</dt><dd>4</dd>"
    assert touched(page) == 7
    with pytest.raises(AssertionError, match="no preview"):
        touched("<h1>Sign in</h1>")


@pytest.mark.django_db
def test_the_inventory_fits_the_models_and_every_page_opens() -> None:
    load_sample_data(password="rope and harness")
    with connection.cursor() as cursor:
        cursor.execute(script_for(first=1, services=110))
    mine = {"pk__gte": 1_000_000}
    assert Service.objects.filter(**mine).count() == 110
    assert Plan.objects.filter(**mine).count() == 138
    assert Step.objects.count() == 138 * 8
    assert Dependency.objects.filter(service__pk__gte=1_000_000).exists()
    attempt = Attempt.objects.live().get(plan=LIVE_PLAN)
    finding = Finding.objects.earliest("pk")
    asked = pages(str(attempt.pk), finding.pk)
    numbers = count_queries([(page.path, page.who) for page in asked])
    assert all(0 < number < 50 for number in numbers), dict(zip(asked, numbers, strict=True))


def test_every_page_of_migrations_is_measured() -> None:
    measured = set()
    for page in pages("00000000-0000-0000-0000-000000000000", 1):
        try:
            measured.add(resolve(page.path.partition("?")[0]).url_name)
        except Resolver404 as error:  # pragma: no cover
            raise AssertionError(f"there is no page {page.path}") from error
    known = {one.name for one in _patterns(urls.urlpatterns) if _answers_get(one)}
    assert known - measured - set(NOT_MEASURED) == set()


def test_the_new_half_is_seen_in_the_first_response_since_the_change() -> None:
    sent = [Sent(9.0, "kubernetes", ""), Sent(10.1, "legacy", ""), Sent(10.4, "kubernetes", ""),
            Sent(10.3, "", "HTTP 503"), Sent(10.35, "kubernetes", "")]  # fmt: skip
    assert first_seen(sent, 10.0) == pytest.approx(0.35)
    assert first_seen(sent[:2], 10.0) is None
    assert legacy_alone(sent[1:2])
    assert not legacy_alone(sent)
    assert not legacy_alone([]), "silence proves nothing"


def test_only_the_weights_of_the_route_change() -> None:
    routes: list[Json] = [
        {"services": [{"name": "shop-legacy", "port": 80, "weight": 100},
                      {"name": "shop", "port": 80, "weight": 0}], "timeoutPolicy": {}}
    ]  # fmt: skip
    changed = with_percent(routes, 100)
    assert [one["weight"] for one in changed[0]["services"]] == [0, 100]
    assert routes[0]["services"][0]["weight"] == 100, "the former routes are kept for the way back"
    assert with_percent(changed, 0) == routes


def test_what_comes_later_than_by_hand_is_judged_by_pairs() -> None:
    row = later("a", [(1.2, 0.4), (1.5, 0.6), (9.0, 0.5)], "s", limit=1.0)
    assert (row.value, row.baseline, row.ratio, row.ok) == (0.9, 0.5, None, True)
    assert not later("a", [(1.6, 0.5)], "s", limit=1.0).ok


def _patterns(entries: Iterable[object]) -> list[URLPattern]:
    found: list[URLPattern] = []
    for entry in entries:
        if isinstance(entry, URLResolver):
            found += _patterns(entry.url_patterns)
        elif isinstance(entry, URLPattern):
            found.append(entry)
    return found


def _answers_get(pattern: URLPattern) -> bool:
    """Whether the view lets GET through: its decorators say which methods it takes."""
    closure = pattern.callback.__closure__ or ()
    return not any(cell.cell_contents == ["POST"] for cell in closure)
