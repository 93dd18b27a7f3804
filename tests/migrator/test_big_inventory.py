"""What stays fast, and true, when an inventory is big."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from core.redaction import HIDDEN
from migrator.choices import StepState
from migrator.graph_layout import cycles
from migrator.models import Dependency, Plan, Service
from migrator.operations import csv_import
from migrator.operations.csv_plan import make_plan
from migrator.operations.service_history import for_good
from migrator.selectors import graph, plans
from tests.migrator.conftest import As, Make
from tests.migrator.people import Shop
from tests.migrator.test_csv import file_of
from tests.people import Cast

pytestmark = pytest.mark.django_db


def text(client: Client, path: str, status: int = 200) -> str:
    answer = client.get(path)
    assert answer.status_code == status
    return answer.content.decode()


def asked(client: Client, path: str) -> int:
    text(client, path)
    with CaptureQueriesContext(connection) as queries:
        text(client, path)
    return len(queries)


def _more_plans(cast: Cast, number: int) -> None:
    for n in range(number):
        service = Service.objects.create(name=f"More {n}", slug=f"more-{n}", team=cast.team)
        Plan.objects.create(
            service=service, cluster=cast.cluster, stage="qa", title="On", made_by=cast.lea
        )


def test_the_list_of_plans_tells_how_far_each_is(shop: Shop, client_of: As) -> None:
    shop.plan.steps.filter(position__lte=2).update(state=StepState.DONE)
    _more_plans(shop.cast, 1)
    counted = {
        str(each.plan.service): (each.behind, each.total)
        for each in plans.under_way(plans.plans(shop.cast.vera))
    }
    assert counted == {"More 0": (0, 0), "Shop": (2, 4)}
    page = text(client_of("vera"), "/plans/")
    assert "2 of 4 steps" in page
    assert "2 of 4 steps" in text(client_of("vera"), "/services/shop/")


def test_more_plans_are_no_more_queries(shop: Shop, client_of: As) -> None:
    vera = client_of("vera")
    few = asked(vera, "/plans/")
    _more_plans(shop.cast, 60)
    assert asked(vera, "/plans/") == few
    assert "Shop" in text(vera, "/plans/?page=2")


def test_who_needs_a_service_that_everybody_needs_is_paged(
    cast: Cast, make: Make, client_of: As
) -> None:
    log = make("Log")
    services = [make(f"Service {n:02}") for n in range(60)]
    Dependency.objects.bulk_create(Dependency(service=each, needs=log) for each in services)
    vera = client_of("vera")
    first = text(vera, "/services/log/")
    assert first.count('data-testid="needed-by"') == 50
    assert "1–50 of 60" in first
    assert "?needed=2#dependencies" in first
    second = text(vera, "/services/log/?needed=2")
    assert second.count('data-testid="needed-by"') == 10
    assert "Service 59" in second


def test_a_plan_is_cloned_for_a_service_that_is_named(shop: Shop, client_of: As) -> None:
    lea, path = client_of("lea"), f"/plans/{shop.plan.pk}/clone/"
    Service.objects.create(name="Night shop", slug="night", team=shop.cast.team)
    assert 'value="Shop"' in text(lea, path)

    def send(**fields: str) -> Any:
        return lea.post(path, {"service": "Night shop", "cluster": "qa-range", **fields})

    wrong = send(service="Nowhere")
    assert wrong.status_code == 422
    page = wrong.content.decode()
    assert "There is no service “Nowhere” whose plans you make" in page
    assert 'value="Nowhere"' in page, "nothing that was typed is lost"
    assert '<option value="qa-range" selected>' in page
    assert "Choose the cluster" in send(cluster="").content.decode()
    assert send(service="night  SHOP").status_code == 302
    assert Plan.objects.current().filter(service__slug="night").count() == 1


def test_a_plan_is_not_cloned_for_another_teams_service(shop: Shop, client_of: As) -> None:
    """Seen or not: whoever clones leads the team that the copy is for."""
    theirs = Service.objects.create(name="Index", slug="index", team=shop.cast.otto.teams.get())
    answer = client_of("lea").post(
        f"/plans/{shop.plan.pk}/clone/", {"service": "Index", "cluster": "qa-range"}
    )
    assert answer.status_code == 422
    assert not Plan.objects.filter(service=theirs).exists()


def test_a_cycle_is_followed_through_visible_services_alone(cast: Cast, make: Make) -> None:
    a, b = make("A"), make("B")
    index = make("Index", by=cast.otto)
    for service, needs in ((a, b), (b, index), (index, a)):
        Dependency.objects.create(service=service, needs=needs)
    assert graph.cycle_through(cast.olga, a) == "A → B → Index → A"
    assert graph.cycle_through(cast.vera, a) == ""
    assert graph.cycle_through(cast.vera, index) == "", "not even from a service that is hidden"
    Dependency.objects.create(service=b, needs=a)
    assert graph.cycle_through(cast.vera, a) == "A → B → A"


def test_long_ways_to_and_from_a_cycle_do_not_hide_it() -> None:
    chain = [(n, n + 1) for n in range(300)]
    assert cycles(range(301), chain) == []
    assert cycles(range(301), [*chain, (151, 150)]) == [[150, 151, 150]]


def test_a_big_import_may_think_for_longer_than_a_page(
    cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A web process's two seconds between two statements are over long before 10,000 rows are."""
    seen = []

    def look(**given: Any) -> Any:
        with connection.cursor() as cursor:
            cursor.execute("SHOW idle_in_transaction_session_timeout")
            seen.append(cursor.fetchone()[0])
        return make_plan(**given)

    content = file_of({"name": "Shop", "team": "Payments"})
    kept = csv_import.upload_csv(actor=cast.erik, file_name="x.csv", content=content)
    digest = csv_import.plan_csv(actor=cast.erik, kept=kept).digest
    monkeypatch.setattr(csv_import, "make_plan", look)
    csv_import.apply_csv(actor=cast.erik, import_id=kept.pk, digest=digest)
    assert seen == ["1min"]


def test_a_secret_in_any_text_of_a_change_is_hidden() -> None:
    plain = {"tier": ["1", "2"], "description": ["", "What it does"]}
    assert for_good(plain) == plain
    secret = {**plain, "links": ["", "Board https://user:hunter22@board.example/"]}
    kept = for_good(secret)
    assert "hunter22" not in str(kept)
    assert HIDDEN in kept["links"][1]
    assert kept["description"] == plain["description"]
    assert for_good({"name": ["", "a\x00b"]}) == {"name": ["", "a\ufffdb"]}


def test_what_is_searched_for_is_paged_by_name(cast: Cast, client_of: As) -> None:
    Service.objects.bulk_create(
        Service(name=f"Shop {n:02}", slug=f"shop-{n}", team=cast.team) for n in reversed(range(60))
    )
    vera = client_of("vera")
    first, second = (text(vera, f"/services/?text=shop&page={page}") for page in (1, 2))
    assert "60 services" in first
    assert first.index("Shop 00") < first.index("Shop 49")
    assert "Shop 50" not in first
    assert second.count('data-testid="service"') == 10
    assert second.index("Shop 50") < second.index("Shop 59")
