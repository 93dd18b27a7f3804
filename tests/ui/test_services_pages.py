"""The pages of the inventory as people use them: list, service, form, CSV, discovery, picture."""

from __future__ import annotations

import re
from typing import Any
from uuid import uuid4

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from core import kube
from core.errors import ClusterUnreachable
from migrator.csv_format import BYTES_MAX
from migrator.models import CsvImport, Dependency, Service
from migrator.operations import csv_import as csv_verbs
from migrator.operations.services import create_service
from tests.migrator.test_services import WHOLE
from tests.people import Cast
from tests.ui.conftest import As

FORM = {**WHOLE, "name": "Shop", "team": "payments", "cluster": "qa-range"}


@pytest.fixture
def shop(cast: Cast) -> Service:
    return create_service(
        actor=cast.erik, team=cast.team, cluster=cast.cluster, given={**WHOLE, "name": "Shop"}
    )


def text_of(answer: Any) -> str:
    return str(answer.content.decode())


def upload(client: Client, content: bytes, name: str = "services.csv") -> Any:
    return client.post("/services/import/", {"file": SimpleUploadedFile(name, content, "text/csv")})


# -- The list -------------------------------------------------------------------------------------
def test_the_list_is_paged_and_says_how_many(cast: Cast, client_of: As) -> None:
    Service.objects.bulk_create(
        Service(name=f"Service {n:03}", slug=f"s-{n}", team=cast.team, tags=["web"])
        for n in range(120)
    )
    vera = client_of("vera")
    first = text_of(vera.get("/services/?tag=web"))
    assert "120 services" in first
    assert "1–50 of 120" in first
    assert "?tag=web&amp;page=2" in first
    assert "Service 119" in text_of(vera.get("/services/?tag=web&page=3"))
    for odd in ("0", "-1", "x", "999", "1e9"):
        assert vera.get(f"/services/?page={odd}").status_code == 200


@pytest.mark.parametrize(
    "query", ["text=%00", "tier=%00", "tier=²", "team=%27", "cluster=%00x", "tag=%00", "lacks=x"]
)
def test_odd_filters_find_nothing_and_break_nothing(
    query: str, shop: Service, client_of: As
) -> None:
    assert client_of("lea").get(f"/services/?{query}").status_code == 200


def test_a_viewer_is_shown_no_buttons_that_would_refuse(shop: Service, client_of: As) -> None:
    vera = client_of("vera")
    listed = text_of(vera.get("/services/"))
    for address in ("/services/new/", "/services/import/", "/services/discover/"):
        assert f'href="{address}"' not in listed
    page = text_of(vera.get("/services/shop/"))
    for testid in ("edit-service", "confirm-capacity", "add-dependency"):
        assert f'data-testid="{testid}"' not in page
        assert f'data-testid="{testid}"' in text_of(client_of("erik").get("/services/shop/"))


# -- One service ----------------------------------------------------------------------------------
def test_a_service_is_added_by_its_form(cast: Cast, client_of: As) -> None:
    erik = client_of("erik")
    assert erik.post("/services/new/", FORM)["Location"] == "/services/shop/"
    page = text_of(erik.get("/services/shop/"))
    for told in (
        "hh-1:8080", "200 requests/s", "by nobody, as it stands", "Tier 1", "Takes orders",
        "https://wiki.example/shop", "Runbook", "in namespace shop", "Created",
    ):  # fmt: skip
        assert told in page, told


def test_what_was_typed_stays_with_what_is_wrong_beside_it(cast: Cast, client_of: As) -> None:
    answer = client_of("erik").post(
        "/services/new/",
        FORM | {"tier": "9", "team": "", "links": "javascript:alert(1)", "description": "Kept <b>"},
    )
    assert answer.status_code == 422
    text = text_of(answer)
    assert "Choose the team that owns it." in text
    assert "Kept &lt;b&gt;" in text
    assert not Service.objects.exists()
    answer = client_of("erik").post("/services/new/", FORM | {"tier": "9", "cluster": "moon"})
    assert "Choose one of these clusters" in text_of(answer)
    answer = client_of("erik").post("/services/new/", FORM | {"tier": "9", "namespace": "A"})
    assert "is no tier" in text_of(answer)
    assert "no name of a namespace" in text_of(answer)


def test_only_ones_own_teams_can_be_chosen(cast: Cast, client_of: As) -> None:
    assert "Search" not in text_of(client_of("erik").get("/services/new/"))
    answer = client_of("erik").post("/services/new/", FORM | {"team": "search"})
    assert answer.status_code == 422
    assert not Service.objects.exists()


def test_a_form_that_is_late_shows_what_stands_there(
    cast: Cast, shop: Service, client_of: As
) -> None:
    erik, lea = client_of("erik"), client_of("lea")
    edited = FORM | {"version": "1"}
    assert lea.post("/services/shop/edit/", edited | {"tags": "of-lea"}).status_code == 302
    late = erik.post("/services/shop/edit/", edited | {"tags": "of-erik"})
    assert late.status_code == 409
    text = text_of(late)
    assert 'data-testid="conflict"' in text
    assert 'value="of-erik"' in text
    assert re.search(r'data-testid="now-tags".*?of-lea', text, re.DOTALL)
    assert 'data-testid="now-tier"' not in text, "only what differs"
    assert 'name="version" value="2"' in text
    again = erik.post("/services/shop/edit/", edited | {"tags": "of-erik", "version": "2"})
    assert again.status_code == 302
    assert Service.objects.get().tags == ["of-erik"]


def test_a_capacity_is_confirmed_as_it_was_seen(cast: Cast, shop: Service, client_of: As) -> None:
    lea = client_of("lea")
    stale = lea.post("/services/shop/capacity/", {"version": "7"}, follow=True)
    assert "changed this service meanwhile" in text_of(stale)
    answer = lea.post("/services/shop/capacity/", {"version": "1"}, follow=True)
    assert "can carry 200 requests/s" in text_of(answer)
    assert re.search(r'data-testid="confirmed">.*?by lea', text_of(answer), re.DOTALL)
    for odd in ("", "x", "9" * 40, "²"):
        lea.post("/services/shop/capacity/", {"version": odd})


def test_a_cycle_is_shown_and_not_crashed_on(cast: Cast, shop: Service, client_of: As) -> None:
    erik = client_of("erik")
    erik.post("/services/new/", {"name": "Prices & co", "team": "payments", "tier": "2"})
    add = "/services/{}/dependencies/add/"
    erik.post(add.format("shop"), {"needs": "prices & CO"})
    closing = erik.post(add.format("prices-co"), {"needs": "Shop"}, follow=True)
    assert "It closes a cycle: Prices &amp; co → Shop → Prices &amp; co" in text_of(closing)
    for address in ("/services/shop/", "/services/graph/", "/services/graph/?focus=Shop&steps=3"):
        assert "Shop → Prices &amp; co → Shop" in text_of(erik.get(address)) or (
            "Prices &amp; co → Shop → Prices &amp; co" in text_of(erik.get(address))
        )
    unknown = erik.post(add.format("shop"), {"needs": "Moon\x00"}, follow=True)
    assert "There is no service “Moon”" in text_of(unknown)
    gone = erik.post(
        "/services/shop/dependencies/remove/",
        {"needs": str(Service.objects.get(slug="prices-co").pk)},
        follow=True,
    )
    assert "cycle" not in text_of(gone)
    assert Dependency.objects.count() == 1
    for odd in ("", "x", "9" * 40):
        erik.post("/services/shop/dependencies/remove/", {"needs": odd})


def test_a_dependency_on_a_foreign_service_is_named_without_a_link(
    cast: Cast, shop: Service, client_of: As
) -> None:
    other = cast.otto.teams.get()
    index = Service.objects.create(name="Index", slug="index", team=other)
    Dependency.objects.create(service=shop, needs=index)
    page = text_of(client_of("erik").get("/services/shop/"))
    assert "Index" in page
    assert "/services/index/" not in page


# -- CSV ------------------------------------------------------------------------------------------
def test_a_file_is_looked_at_then_confirmed(cast: Cast, shop: Service, client_of: As) -> None:
    erik = client_of("erik")
    content = b"name,team,tier,depends_on\nShop,Payments,2,Prices\nPrices,Payments,3,\n"
    preview = upload(erik, content)
    assert preview.status_code == 302
    page = text_of(erik.get(preview["Location"]))
    assert "Nothing was changed yet" in page
    assert Service.objects.count() == 1
    digest = re.search(r'name="digest" value="(\w+)"', page)
    assert digest
    assert "services.csv" in text_of(erik.get("/services/import/")), "it waits for its uploader"
    assert "services.csv" not in text_of(client_of("lea").get("/services/import/"))
    done = erik.post(preview["Location"], {"digest": digest[1]}, follow=True)
    assert "is imported" in text_of(done)
    assert Service.objects.count() == 2
    again = erik.post(preview["Location"], {"digest": digest[1]}, follow=True)
    assert "imported already" in text_of(again)
    assert "CSV import" in text_of(erik.get("/services/prices/"))


def test_errors_stand_by_row_and_column_and_nothing_can_be_confirmed(
    cast: Cast, client_of: As
) -> None:
    erik = client_of("erik")
    preview = upload(erik, b"name,team,tier\nShop,Payments,9\n<b>,Nowhere,1\n", name="<i>.csv")
    page = text_of(erik.get(preview["Location"]))
    assert "<b>," not in page
    assert "&lt;i&gt;.csv" in page
    assert re.search(r"<td[^>]*>2</td>\s*<td[^>]*><code>tier</code></td>", page)
    assert re.search(r"<td[^>]*>3</td>\s*<td[^>]*><code>team</code></td>", page)
    assert "confirm-import" not in page
    forced = erik.post(preview["Location"], {"digest": "x"})
    assert forced.status_code == 409
    assert not Service.objects.exists()


def test_an_export_imports_as_nothing_to_change(cast: Cast, shop: Service, client_of: As) -> None:
    erik = client_of("erik")
    answer = erik.get("/services/export/")
    assert answer["Content-Type"] == "text/csv; charset=utf-8"
    assert re.search(r'attachment; filename="services-\d{4}-\d\d-\d\d.csv"', str(answer.headers))
    preview = upload(erik, b"".join(answer))
    assert 'data-testid="nothing-to-change"' in text_of(erik.get(preview["Location"]))


def test_an_export_holds_what_the_list_shows(cast: Cast, shop: Service, client_of: As) -> None:
    assert b"hh-1:8080" in b"".join(client_of("vera").get("/services/export/?tier=1"))
    assert b"hh-1:8080" not in b"".join(client_of("vera").get("/services/export/?tier=2"))
    assert b"Shop" not in b"".join(client_of("otto").get("/services/export/"))


def test_a_preview_that_grew_old_is_told_and_the_file_kept(
    cast: Cast, shop: Service, client_of: As
) -> None:
    erik = client_of("erik")
    where = upload(erik, b"name,team,tier\nShop,Payments,2\n")["Location"]
    digest = re.search(r'name="digest" value="(\w+)"', text_of(erik.get(where)))
    assert digest
    client_of("lea").post("/services/shop/edit/", FORM | {"version": "1", "tags": "of-lea"})
    late = erik.post(where, {"digest": digest[1]})
    assert late.status_code == 409
    assert 'data-testid="moved-on"' in text_of(late)
    fresh = re.search(r'name="digest" value="(\w+)"', text_of(late))
    assert fresh
    assert erik.post(where, {"digest": fresh[1]}).status_code == 302
    assert Service.objects.get().tier == 2


def test_no_file_an_empty_one_and_too_big_a_one_are_told(
    cast: Cast, client_of: As, monkeypatch: pytest.MonkeyPatch
) -> None:
    erik = client_of("erik")
    for answer in (erik.post("/services/import/"), upload(erik, b"")):
        assert answer.status_code == 422
        assert "Choose a CSV file" in text_of(answer)
    big = upload(erik, b"x" * (BYTES_MAX + 1))
    assert big.status_code == 422
    assert "at most 20 MiB and 20,000 rows" in text_of(big)
    assert not CsvImport.objects.exists()


def test_a_file_can_be_thrown_away_and_an_unknown_one_is_not_there(
    cast: Cast, client_of: As
) -> None:
    erik = client_of("erik")
    where = upload(erik, b"name,team\nShop,Payments\n")["Location"]
    assert erik.post(f"{where}discard/").status_code == 302
    for address in (where, f"/services/import/{uuid4()}/"):
        assert erik.get(address).status_code == 404
    assert erik.get("/services/import/x/").status_code == 404


def test_a_preview_of_many_rows_shows_some_and_counts_all(cast: Cast, client_of: As) -> None:
    erik = client_of("erik")
    rows = "name,team\n" + "".join(f"s{n},Payments\n" for n in range(150))
    page = text_of(erik.get(upload(erik, rows.encode())["Location"]))
    assert "And 50 more." in page
    assert "Import 150 of 150 services" in page
    assert csv_verbs.KEPT_FOR.total_seconds() == 24 * 3600


# -- Discovery ------------------------------------------------------------------------------------
@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> dict[str, bytes]:
    bodies = {
        "deployments": b'{"items": [{"metadata": {"namespace": "shop", "name": "prices"}}]}',
        "httpproxies": b'{"items": [{"metadata": {"namespace": "shop", "name": "front"}, "spec": '
        b'{"virtualhost": {"fqdn": "p.local"}, "routes": [{"services": [{"name": "prices"}]}]}}]}',
    }

    def answer(_who: object, _method: str, path: str, **_more: object) -> kube.Answer:
        if "away" in bodies:
            raise ClusterUnreachable("127.0.0.1:1 refused the connection")
        plural = path.partition("?")[0].rpartition("/")[2]
        return kube.Answer(200, bodies.get(plural, b'{"items": []}'), 1.0)

    monkeypatch.setattr(kube, "fresh_request", answer)
    return bodies


def test_what_runs_becomes_a_service(api: dict[str, bytes], cast: Cast, client_of: As) -> None:
    erik = client_of("erik")
    assert "/services/discover/qa-range/" in text_of(erik.get("/services/discover/"))
    page = text_of(erik.get("/services/discover/qa-range/"))
    assert "leads to prices" in page
    create = re.search(r'href="(/services/new/\?[^"]*workload=prices[^"]*)"', page)
    assert create
    form = text_of(erik.get(create[1].replace("&amp;", "&")))
    for value in ("prices", "shop", "front"):
        assert f'value="{value}"' in form
    assert re.search(r'value="Deployment" selected', form)
    assert re.search(r'value="qa-range" selected', form)


def test_what_runs_is_linked_to_a_service(api: dict[str, bytes], cast: Cast, client_of: As) -> None:
    erik = client_of("erik")
    create_service(actor=cast.erik, team=cast.team, cluster=None, given={"name": "Prices"})
    link = "/services/discover/qa-range/link/?kind={}&namespace=shop&name={}"
    answer = erik.post(link.format("Deployment", "prices"), {"service": "Moon"})
    assert answer.status_code == 422
    assert "There is no service “Moon”" in text_of(answer)
    assert erik.post(link.format("Job", "prices"), {"service": "Prices"}).status_code == 302
    assert erik.post(link.format("Deployment", "A%2Fb"), {"service": "Prices"}).status_code == 422
    assert Service.objects.get().workload == ""
    erik.post(link.format("Deployment", "prices"), {"service": "prices"})
    erik.post(link.format("HTTPProxy", "front"), {"service": "Prices"})
    service = Service.objects.get()
    assert (service.workload_kind, service.workload, service.route) == (
        "Deployment", "prices", "front",
    )  # fmt: skip
    assert text_of(erik.get("/services/discover/qa-range/")).count("/services/prices/") == 2


def test_a_cluster_that_is_away_is_told_in_plain_words(
    api: dict[str, bytes], cast: Cast, client_of: As
) -> None:
    api["away"] = b""
    answer = client_of("erik").get("/services/discover/qa-range/")
    assert answer.status_code == 502
    assert "qa-range could not be looked at" in text_of(answer)


@pytest.mark.parametrize(
    ("who", "status"),
    [("lea", 200), ("erik", 200), ("vera", 403), ("otto", 404), ("olga", 200), (None, 302)],
)
def test_who_looks_into_a_cluster(
    who: str | None, status: int, api: dict[str, bytes], cast: Cast, client_of: As
) -> None:
    assert client_of(who).get("/services/discover/qa-range/").status_code == status


# -- The picture ----------------------------------------------------------------------------------
def test_the_picture_links_to_its_services_and_reads_as_text(
    cast: Cast, shop: Service, client_of: As
) -> None:
    prices = Service.objects.create(name="Prices <x>", slug="prices", team=cast.team)
    Service.objects.create(name="Alone", slug="alone", team=cast.team)
    Dependency.objects.create(service=shop, needs=prices)
    vera = client_of("vera")
    page = text_of(vera.get("/services/graph/"))
    assert 'href="/services/shop/" class="graph-box' in page
    assert "Prices &lt;x&gt;, tier 3, Payments: needs 0, needed by 1" in page
    assert "needs Prices &lt;x&gt;." in page, "the same as text"
    assert "1 service without any dependency is not drawn" in page
    focused = text_of(vera.get("/services/graph/?focus=prices&steps=1"))
    assert "graph-box-focus" in focused
    assert "needs nothing, and nobody needs it" in text_of(vera.get("/services/graph/?focus=Alone"))
    assert "There is no service “moon”" in text_of(vera.get("/services/graph/?focus=moon"))
    for odd in ("steps=0", "steps=99", "steps=x", "steps=²", "team=%00", "focus=%00", "team=moon"):
        assert vera.get(f"/services/graph/?{odd}").status_code == 200


def test_names_are_offered(cast: Cast, shop: Service, client_of: As) -> None:
    assert '<option value="Shop">' in text_of(client_of("vera").get("/services/names/?needs=sh"))
    assert text_of(client_of("otto").get("/services/names/?needs=sh")).strip() == ""
    assert client_of("vera").get("/services/names/?needs=%00").status_code == 200
