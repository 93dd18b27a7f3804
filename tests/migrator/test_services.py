"""Making and changing services: who may, what it writes down, and what the database refuses."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction
from django.utils import timezone

from core.errors import Conflict, Invalid, NotAllowed, NotFound
from core.models import Membership
from migrator.models import Dependency, Service, ServiceChange, ServiceLink
from migrator.operations import dependencies
from migrator.operations.services import (
    confirm_capacity,
    create_service,
    edit_service,
    link_service,
)
from migrator.selectors import services as selectors
from migrator.selectors.services import Wanted
from migrator.service_fields import BY_NAME
from migrator.ui.service_form import texts_of
from tests.migrator.conftest import Make
from tests.people import Cast, make_cluster

WHOLE = {
    "tier": "1",
    "description": "Takes orders.",
    "links": "Runbook https://wiki.example/shop",
    "tags": "web pci",
    "legacy_hosts": "hh-1 hh-2",
    "legacy_address": "hh-1:8080",
    "legacy_capacity": "200",
    "legacy_capacity_unit": "requests/s",
    "namespace": "shop",
    "workload_kind": "Deployment",
    "workload": "shop",
    "route": "shop",
}


def texts(service: Service) -> dict[str, str]:
    return {name: text for name, text in texts_of(service).items() if name in BY_NAME}


def edit(cast: Cast, service: Service, **given: str) -> Service:
    """Erik opens the form, changes some of it, and saves."""
    now = Service.objects.get(pk=service.pk)
    return edit_service(
        actor=cast.erik,
        service=now,
        version=now.version,
        team=now.team,
        cluster=now.cluster,
        given=texts(now) | given,
    )


def test_a_service_is_made_with_all_that_belongs_to_it(cast: Cast, make: Make) -> None:
    service = make("Shop", **WHOLE)
    service.refresh_from_db()
    assert (service.slug, service.tier, service.capacity) == ("shop", 1, "200 requests/s")
    assert service.tags == ["pci", "web"]
    assert [str(link) for link in service.links.all()] == ["Runbook https://wiki.example/shop"]
    assert service.capacity_confirmed_at is None, "whoever declares it does not vouch for it"
    [change] = selectors.history(service)
    assert (change.verb, change.by) == ("created", cast.erik)
    assert change.details["legacy_hosts"] == ["", "hh-1 hh-2"]


@pytest.mark.parametrize(("who", "refusal"), [("vera", NotAllowed), ("otto", NotFound)])
def test_only_who_keeps_the_teams_services_may_write(
    who: str, refusal: type[Exception], cast: Cast, make: Make
) -> None:
    service, other = make("Shop", **WHOLE), make("Prices")
    actor = getattr(cast, who)
    verbs: list[Any] = [
        lambda: create_service(actor=actor, team=cast.team, cluster=None, given={"name": "X"}),
        lambda: edit_service(
            actor=actor, service=service, version=1, team=cast.team, cluster=None, given=WHOLE
        ),
        lambda: confirm_capacity(actor=actor, service=service, version=1),
        lambda: link_service(
            actor=actor, service=service, cluster=cast.cluster, namespace="shop", route="x"
        ),
        lambda: dependencies.add_dependency(actor=actor, service=service, needs=other),
        lambda: dependencies.remove_dependency(actor=actor, service=service, needs_id=other.pk),
    ]
    before = ServiceChange.objects.count()
    for verb in verbs:
        with pytest.raises(refusal):
            verb()
    assert ServiceChange.objects.count() == before
    assert Service.objects.count() == 2


def test_an_inactive_lead_writes_nothing(cast: Cast) -> None:
    cast.lea.is_active = False
    with pytest.raises(NotFound):
        create_service(actor=cast.lea, team=cast.team, cluster=None, given={"name": "X"})


def test_a_name_is_there_once_in_any_case(cast: Cast, make: Make) -> None:
    make("Shop")
    for name in ("Shop", "SHOP"):
        with pytest.raises(Conflict) as refused:
            make(name)
        assert (refused.value.code, refused.value.field) == ("service_exists", "name")
    prices = make("Prices")
    with pytest.raises(Conflict):
        edit(cast, prices, name="shop")
    with pytest.raises(Conflict, match="another team"):
        make("Shop", by=cast.otto)


def test_addresses_are_never_those_of_pages_or_of_others(make: Make) -> None:
    assert make("New").slug == "new-2"
    assert make("Import").slug == "import-2"
    assert make("Shop (EU)").slug == "shop-eu"
    assert make("Shop EU!").slug == "shop-eu-2"
    assert make("店").slug == "service"
    assert make("鋪").slug == "service-2"


def test_a_rename_keeps_the_address(cast: Cast, make: Make) -> None:
    service = edit(cast, make("Shop"), name="Storefront")
    assert (service.name, service.slug) == ("Storefront", "shop")


def test_two_people_do_not_overwrite_each_other(cast: Cast, make: Make) -> None:
    service = make("Shop", **WHOLE)
    edit(cast, service, description="Erik's")
    with pytest.raises(Conflict) as refused:
        edit_service(
            actor=cast.lea,
            service=service,
            version=1,
            team=cast.team,
            cluster=None,
            given={"name": "Shop", "description": "Lea's"},
        )
    assert refused.value.code == "edited_meanwhile"
    service.refresh_from_db()
    assert service.description == "Erik's"


def test_saving_what_is_there_changes_nothing(cast: Cast, make: Make) -> None:
    service = edit(cast, make("Shop", **WHOLE))
    assert service.version == 1
    assert len(selectors.history(service)) == 1


def test_what_changed_is_written_down(cast: Cast, make: Make) -> None:
    service = edit(
        cast, make("Shop", **WHOLE), tier="2", links="Board https://b.example", tags="web"
    )
    change = selectors.history(service)[0]
    assert change.details == {
        "tier": ["1", "2"],
        "links": ["Runbook https://wiki.example/shop", "Board https://b.example"],
        "tags": ["pci web", "web"],
    }
    assert service.version == 2
    assert [link.label for link in service.links.all()] == ["Board"]


def test_no_secret_gets_into_the_history(cast: Cast, make: Make) -> None:
    service = make("Shop", description="password=hunter22 is what it takes")
    assert "hunter22" not in str(selectors.history(service)[0].details)


def test_the_history_is_for_good(make: Make) -> None:
    change = make("Shop").changes.get()
    with pytest.raises(IntegrityError, match="never rewritten"), transaction.atomic():
        ServiceChange.objects.filter(pk=change.pk).update(verb="edited")


def test_a_confirmation_is_of_one_figure(cast: Cast, make: Make) -> None:
    service = make("Shop", **WHOLE)
    confirmed = confirm_capacity(actor=cast.lea, service=service, version=1)
    assert confirmed.capacity_confirmed_by == cast.lea
    described = edit(cast, service, description="Another text.")
    assert described.capacity_confirmed_by == cast.lea, "that was not the figure"
    other = edit(cast, service, legacy_capacity="100")
    assert other.capacity_confirmed_by is None
    with pytest.raises(Conflict, match="changed this service meanwhile"):
        confirm_capacity(actor=cast.lea, service=service, version=2)


def test_nothing_declared_is_nothing_to_confirm(cast: Cast, make: Make) -> None:
    with pytest.raises(Invalid) as refused:
        confirm_capacity(actor=cast.lea, service=make("Shop"), version=1)
    assert refused.value.code == "no_capacity"


def test_a_service_goes_only_where_its_people_see(cast: Cast, make: Make) -> None:
    foreign = make_cluster(cast.otto.teams.get(), name="qa-search")
    with pytest.raises(NotFound):
        create_service(actor=cast.erik, team=cast.team, cluster=foreign, given={"name": "Shop"})
    service = create_service(actor=cast.olga, team=cast.team, cluster=foreign, given=WHOLE | {
        "name": "Shop",
    })  # fmt: skip
    edited = edit_service(
        actor=cast.erik,
        service=service,
        version=1,
        team=cast.team,
        cluster=foreign,
        given=texts(service) | {"description": "Still there."},
    )
    assert edited.cluster == foreign, "what others set may stay"
    cast.cluster.retired_at = timezone.now()
    cast.cluster.save()
    with pytest.raises(Invalid, match="was retired"):
        create_service(
            actor=cast.erik, team=cast.team, cluster=cast.cluster, given={"name": "Prices"}
        )


def test_a_service_changes_hands_only_between_ones_own_teams(cast: Cast, make: Make) -> None:
    service, other = make("Shop"), cast.otto.teams.get()

    def hand_over() -> Service:
        return edit_service(
            actor=cast.lea,
            service=service,
            version=1,
            team=other,
            cluster=None,
            given={"name": "Shop"},
        )

    with pytest.raises(NotFound):
        hand_over()
    membership = Membership.objects.create(user=cast.lea, team=other, role="viewer")
    with pytest.raises(NotAllowed):
        hand_over()
    membership.role = "engineer"
    membership.save()
    assert hand_over().team == other


# -- Linking --------------------------------------------------------------------------------------
def test_what_was_found_is_linked(cast: Cast, make: Make) -> None:
    service = make("Shop")
    link_service(
        actor=cast.erik,
        service=service,
        cluster=cast.cluster,
        namespace="shop",
        workload_kind="StatefulSet",
        workload="shop",
    )
    linked = link_service(
        actor=cast.erik, service=service, cluster=cast.cluster, namespace="shop", route="front"
    )
    assert (linked.cluster, linked.workload_kind) == (cast.cluster, "StatefulSet")
    assert (linked.workload, linked.route, linked.version) == ("shop", "front", 3)
    with pytest.raises(Conflict) as refused:
        link_service(
            actor=cast.erik, service=service, cluster=cast.cluster, namespace="other", route="x"
        )
    assert refused.value.code == "linked_elsewhere"
    with pytest.raises(Invalid):
        link_service(
            actor=cast.erik, service=service, cluster=cast.cluster, namespace="shop", route="X Y"
        )


# -- Dependencies ---------------------------------------------------------------------------------
def test_dependencies_come_and_go(cast: Cast, make: Make) -> None:
    shop, prices = make("Shop"), make("Prices")
    dependencies.add_dependency(actor=cast.erik, service=shop, needs=prices)
    with pytest.raises(Conflict) as refused:
        dependencies.add_dependency(actor=cast.erik, service=shop, needs=prices)
    assert refused.value.code == "dependency_exists"
    with pytest.raises(Invalid) as itself:
        dependencies.add_dependency(actor=cast.erik, service=shop, needs=shop)
    assert itself.value.code == "needs_itself"
    dependencies.add_dependency(actor=cast.erik, service=prices, needs=shop)
    assert Dependency.objects.count() == 2, "a cycle is no error"
    dependencies.remove_dependency(actor=cast.erik, service=shop, needs_id=prices.pk)
    dependencies.remove_dependency(actor=cast.erik, service=shop, needs_id=prices.pk)
    verbs = [change.verb for change in selectors.history(shop)]
    assert verbs == ["dependency_removed", "dependency_added", "created"]


def test_nobody_depends_on_what_they_do_not_see(cast: Cast, make: Make) -> None:
    foreign = make("Index", by=cast.otto)
    with pytest.raises(NotFound):
        dependencies.add_dependency(actor=cast.erik, service=make("Shop"), needs=foreign)


# -- What the database refuses whatever the code above it believes ---------------------------------
@pytest.mark.parametrize(
    "wrong",
    [
        {"name": "a;b"},
        {"name": "a\nb"},
        {"name": ""},
        {"tier": 4},
        {"tags": [f"t{n}" for n in range(21)]},
        {"legacy_capacity": 5},
        {"legacy_capacity": 0, "legacy_capacity_unit": "x"},
        {"legacy_capacity_unit": "x"},
        {"capacity_confirmed_at": dt.datetime(2026, 1, 5, tzinfo=dt.UTC)},
        {"workload": "shop"},
        {"workload": "shop", "workload_kind": "Job", "namespace": "shop"},
        {"workload": "shop", "workload_kind": "Deployment"},
        {"route": "shop"},
        {"namespace": "Shop"},
        {"namespace": "shop", "route": "a/b"},
    ],
    ids=str,
)
def test_the_database_holds_the_rules(wrong: dict[str, Any], make: Make) -> None:
    service = make("Shop")
    with pytest.raises(IntegrityError), transaction.atomic():
        Service.objects.filter(pk=service.pk).update(**wrong)


def test_the_database_takes_no_other_link_than_a_web_address(make: Make) -> None:
    service = make("Shop")
    for url in ("javascript:alert(1)", "//x.example", "https://a b"):
        with pytest.raises(IntegrityError), transaction.atomic():
            ServiceLink.objects.create(service=service, label="Run", url=url)


def test_the_database_takes_no_loop_and_no_double(make: Make) -> None:
    shop, prices = make("Shop"), make("Prices")
    Dependency.objects.create(service=shop, needs=prices)
    for a, b in ((shop, shop), (shop, prices)):
        with pytest.raises(IntegrityError), transaction.atomic():
            Dependency.objects.create(service=a, needs=b)


# -- Search and filters ---------------------------------------------------------------------------
def names(cast: Cast, **wanted: str) -> list[str]:
    return [each.name for each in selectors.services(cast.vera, Wanted(**wanted))]


def test_services_are_found(cast: Cast, make: Make) -> None:
    make("Shop", **WHOLE)
    make("Prices", description="What it costs at 100%_off", tags="web")
    make("Index", by=cast.otto)
    Service.objects.filter(name="Shop").update(cluster=cast.cluster)
    assert names(cast) == ["Prices", "Shop"]
    for text in ("SHO", "hh-2", "pci", "orders", ":8080", "shop hh-1", "  "):
        assert "Shop" in names(cast, text=text), text
    assert names(cast, text="hh-2 costs") == []
    assert names(cast, text="%_off") == ["Prices"]
    assert names(cast, text="h%2") == []
    assert names(cast, tier="1") == ["Shop"]
    assert names(cast, tier="one") == []
    assert names(cast, tag="web") == ["Prices", "Shop"]
    assert names(cast, team="payments") == ["Prices", "Shop"]
    assert names(cast, team="search") == []
    assert names(cast, cluster="qa-range") == ["Shop"]
    assert names(cast, cluster="none") == ["Prices"]
    assert names(cast, lacks="confirmation") == ["Shop"]
    assert names(cast, lacks="route") == ["Prices"]
    assert names(cast, lacks="nothing") == []
    assert names(cast, lacks="sense") == []
    confirm_capacity(actor=cast.lea, service=Service.objects.get(name="Shop"), version=1)
    assert names(cast, lacks="nothing") == ["Shop"]
    assert selectors.tags_in_use(cast.vera) == ["pci", "web"]


def test_filters_use_their_indexes(cast: Cast, make: Make) -> None:
    make("Shop", tags="web", tier="1")
    others = [
        Service(name=f"Other {n}", slug=f"other-{n}", team=cast.team, tier=3, tags=["other"])
        for n in range(3000)
    ]
    Service.objects.bulk_create(others)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE migrator_service")
        for wanted, index in (
            (Wanted(tag="web"), "service_by_tag"),
            (Wanted(tier="1"), "service_by_tier"),
        ):
            plan = selectors.services(cast.olga, wanted).order_by().explain()
            assert index in plan, plan
