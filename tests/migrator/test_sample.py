"""The practice shop's services in the sample data."""

from __future__ import annotations

import pytest

from gamedays.operations.sample import link_sample_service, load_sample_data, sample_team
from migrator.choices import Standing
from migrator.models import Service
from migrator.selectors import graph, overview, waves
from migrator.selectors.services import Wanted
from tests.people import make_cluster


@pytest.mark.django_db
def test_the_practice_shop_is_there_and_is_linked_when_its_cluster_is() -> None:
    for _ in range(2):
        load_sample_data(password="rope and harness")
    shop = Service.objects.get(slug="shop")
    assert [edge.needs.name for edge in shop.dependencies.order_by("needs__name")] == [
        "Prices",
        "Vouchers",
    ]
    assert shop.capacity_confirmed_at is None, "that is for a person to do"
    cluster = make_cluster(sample_team())
    link_sample_service(cluster=cluster, legacy_address="http://10.99.0.1:8080/")
    assert Service.objects.filter(cluster=cluster).count() == 3
    shop.refresh_from_db()
    assert (shop.legacy_address, shop.legacy_hosts) == ("http://10.99.0.1:8080/", ["10.99.0.1"])
    assert list(Service.objects.exclude(legacy_address="")) == [shop]
    Service.objects.filter(slug="shop").update(legacy_address="http://elsewhere/")
    link_sample_service(cluster=cluster, legacy_address="http://10.99.0.1:8080/")
    shop.refresh_from_db()
    assert shop.legacy_address == "http://elsewhere/", "what a person set stays"
    lea = sample_team().people.get(username="lea")
    assert len(graph.graph_of(lea).services) == 3
    assert [(view.wave.name, view.services) for view in waves.waves(lea)] == [
        ("Wave 1: the shop", 1),
        ("Wave 2: behind the shop", 2),
    ]
    board = overview.board(lea, Wanted())
    assert {each.stage: each.tally.services for each in board.columns if each.tally.services} == {
        Standing.UNPLANNED: 3,
        Standing.PLANNED: 1,
        Standing.ON_QA: 1,
    }
    assert board.waiting == 0
    assert board.total.blocked == 2
