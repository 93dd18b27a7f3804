"""The inventory as a CSV file: what goes out comes in unchanged, and what is wrong is told."""

from __future__ import annotations

import csv
import datetime as dt
import io

import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.errors import Conflict, DomainError, Invalid, NotAllowed, NotFound
from core.models import Membership, User
from migrator.csv_format import COLUMNS, ROWS_MAX, defused, read_csv, undefused, write_csv
from migrator.models import CsvImport, Dependency, Service, ServiceChange
from migrator.operations import csv_import as verbs
from migrator.operations.csv_plan import Plan, make_plan
from migrator.operations.dependencies import add_dependency
from migrator.operations.services import confirm_capacity, edit_service
from migrator.selectors.csv_files import csv_rows, kept_import, waiting_imports
from migrator.selectors.services import Wanted
from tests.migrator.conftest import Make
from tests.migrator.test_services import WHOLE
from tests.people import Cast, make_cluster


def file_of(*rows: dict[str, str]) -> bytes:
    """A file with the columns of the first row."""
    out = io.StringIO()
    writer = csv.DictWriter(out, list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue().encode()


def exported(user: User) -> bytes:
    return "".join(write_csv(csv_rows(user, Wanted()))).encode()


def imported(actor: User, content: bytes) -> CsvImport:
    """Upload, look, confirm."""
    kept = verbs.upload_csv(actor=actor, file_name="services.csv", content=content)
    plan = verbs.plan_csv(actor=actor, kept=kept)
    assert plan.complaints == []
    return verbs.apply_csv(actor=actor, import_id=kept.pk, digest=plan.digest)


def complaints(actor: User, content: bytes) -> list[tuple[int, str, str]]:
    plan = make_plan(actor=actor, content=content)
    return [(each.row, each.column, each.message) for each in plan.complaints]


def figures(plan: Plan) -> tuple[int, int, int, int]:
    return len(plan.created), len(plan.changed), plan.unchanged, len(plan.complaints)


# -- There and back -------------------------------------------------------------------------------
def test_an_export_that_is_imported_changes_nothing(cast: Cast, make: Make) -> None:
    shop = make("Shop", **WHOLE | {"description": '=cmd|"/C calc"!A0\nsecond, "line"\n-third'})
    prices = make("-Prices, and more", description="'=quoted", tags="a b c")
    make("@Index", description="+49 40 1234", legacy_hosts="::1")
    add_dependency(actor=cast.erik, service=shop, needs=prices)
    add_dependency(actor=cast.erik, service=prices, needs=shop)
    Service.objects.filter(pk=shop.pk).update(cluster=cast.cluster)
    confirm_capacity(actor=cast.lea, service=shop, version=2)
    content = exported(cast.erik)
    assert content.startswith(b"\xef\xbb\xbf"), "spreadsheets want a mark to read UTF-8"
    for cell in next(iter(csv.reader(io.StringIO(content.decode("utf-8-sig"))))):
        assert cell in COLUMNS
    for line in list(csv.reader(io.StringIO(content.decode("utf-8-sig"))))[1:]:
        assert not any(cell[:1] in "=+-@\t\r" for cell in line if cell), line
    assert figures(make_plan(actor=cast.erik, content=content)) == (0, 0, 3, 0)
    done = imported(cast.erik, content)
    assert (done.created, done.changed, done.unchanged) == (0, 0, 3)
    shop.refresh_from_db()
    assert shop.capacity_confirmed_by == cast.lea


def test_an_export_makes_the_same_inventory_anew(cast: Cast, make: Make) -> None:
    shop, prices = make("Shop", **WHOLE), make("Prices", links="A https://a.example")
    add_dependency(actor=cast.erik, service=shop, needs=prices)
    content = exported(cast.erik)
    Service.objects.all().delete()
    done = imported(cast.erik, content)
    assert (done.created, done.changed) == (2, 0)
    assert exported(cast.erik) == content
    assert Dependency.objects.get().service.name == "Shop"


_TEXT = st.text(
    st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"], exclude_characters="\u2028\u2029")
    | st.sampled_from("=+-@'\"\n,;＝ "),
    max_size=40,
)


@given(_TEXT)
def test_a_defused_cell_is_no_formula_and_reads_back(text: str) -> None:
    cell = defused(text)
    assert cell[:1] not in {"=", "+", "-", "@", "\t", "\r"}
    assert undefused(cell) == text


@given(st.lists(st.tuples(_TEXT, _TEXT), min_size=1, max_size=4))
def test_every_text_survives_the_way_through_a_file(rows: list[tuple[str, str]]) -> None:
    written = [{"name": f"n{a}", "description": b} for a, b in rows]
    table = read_csv("".join(write_csv(written)).encode())
    assert table.complaints == []
    assert [row["name"] for _number, row in table.rows] == [f"n{a}" for a, _b in rows]
    assert [row["description"] for _number, row in table.rows] == [b for _a, b in rows]


@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(description=_TEXT, name=_TEXT)
def test_any_service_comes_back_unchanged(
    name: str, description: str, cast: Cast, make: Make
) -> None:
    with transaction.atomic():
        try:
            make(name, description=description)
        except Invalid:
            return
        assert figures(make_plan(actor=cast.erik, content=exported(cast.erik))) == (0, 0, 1, 0)
        transaction.set_rollback(True)


@settings(max_examples=60)
@given(st.binary(max_size=300) | _TEXT.map(lambda text: f"name,team\n{text}".encode()))
def test_no_file_makes_it_fall(content: bytes) -> None:
    table = read_csv(content)
    assert table.rows or table.complaints


# -- Adding and changing --------------------------------------------------------------------------
def test_a_preview_changes_nothing_and_a_confirmation_does(cast: Cast, make: Make) -> None:
    make("Shop", **WHOLE)
    content = file_of(
        {"name": "Shop", "team": "Payments", "tier": "2", "depends_on": "Prices"},
        {"name": "Prices", "team": "payments", "tier": "3", "depends_on": ""},
    )
    kept = verbs.upload_csv(actor=cast.erik, file_name="x.csv", content=content)
    plan = verbs.plan_csv(actor=cast.erik, kept=kept)
    assert figures(plan) == (1, 1, 0, 0)
    assert plan.changed[0].details == {"tier": ["1", "2"], "depends_on": ["", "Prices"]}
    assert Service.objects.count() == 1
    assert ServiceChange.objects.count() == 1
    done = verbs.apply_csv(actor=cast.erik, import_id=kept.pk, digest=plan.digest)
    assert (done.created, done.changed, done.content) == (1, 1, None)
    shop = Service.objects.get(name="Shop")
    assert (shop.tier, shop.version, shop.legacy_address) == (2, 2, "hh-1:8080")
    assert [edge.needs.name for edge in shop.dependencies.all()] == ["Prices"]
    change = shop.changes.first()
    assert change is not None
    assert (change.verb, change.by, change.csv_import) == ("edited", cast.erik, kept.pk)
    assert Service.objects.get(name="Prices").changes.get().verb == "created"


def test_a_new_figure_loses_its_confirmation(cast: Cast, make: Make) -> None:
    confirm_capacity(actor=cast.lea, service=make("Shop", **WHOLE), version=1)
    imported(cast.erik, file_of({"name": "Shop", "team": "Payments", "legacy_capacity": "100"}))
    assert Service.objects.get().capacity_confirmed_at is None


def test_an_empty_cell_empties_and_a_missing_column_leaves(cast: Cast, make: Make) -> None:
    make("Shop", **WHOLE)
    imported(cast.erik, file_of({"name": "Shop", "team": "Payments", "tags": "", "links": ""}))
    shop = Service.objects.get()
    assert (shop.tags, shop.links.count(), shop.tier) == ([], 0, 1)


def test_semicolons_and_any_order_of_columns_do(cast: Cast) -> None:
    plan = make_plan(actor=cast.erik, content=b"Team ;TIER; name\r\nPayments;1;Shop\r\n;;\r\n")
    assert figures(plan) == (1, 0, 0, 0)
    assert plan.created[0].values["tier"] == 1


def test_what_is_confirmed_is_what_is_done(cast: Cast, make: Make) -> None:
    shop = make("Shop")
    content = file_of({"name": "Shop", "team": "Payments", "tier": "1"})
    kept = verbs.upload_csv(actor=cast.erik, file_name="x.csv", content=content)
    digest = verbs.plan_csv(actor=cast.erik, kept=kept).digest
    edit_service(
        actor=cast.lea, service=shop, version=1, team=cast.team, cluster=None,
        given={"name": "Shop", "description": "Lea was here."},
    )  # fmt: skip
    with pytest.raises(Conflict) as refused:
        verbs.apply_csv(actor=cast.erik, import_id=kept.pk, digest=digest)
    assert refused.value.code == "inventory_moved_on"
    shop.refresh_from_db()
    assert shop.tier == 3
    again = verbs.plan_csv(actor=cast.erik, kept=kept_import(cast.erik, kept.pk))
    verbs.apply_csv(actor=cast.erik, import_id=kept.pk, digest=again.digest)
    with pytest.raises(Conflict) as twice:
        verbs.apply_csv(actor=cast.erik, import_id=kept.pk, digest=again.digest)
    assert twice.value.code == "csv_applied"


def test_a_file_with_errors_is_not_imported_in_part(cast: Cast) -> None:
    content = file_of(
        {"name": "Shop", "team": "Payments", "tier": "1"},
        {"name": "Prices", "team": "Payments", "tier": "7"},
    )
    kept = verbs.upload_csv(actor=cast.erik, file_name="x.csv", content=content)
    digest = verbs.plan_csv(actor=cast.erik, kept=kept).digest
    with pytest.raises(Invalid) as refused:
        verbs.apply_csv(actor=cast.erik, import_id=kept.pk, digest=digest)
    assert refused.value.code == "csv_has_errors"
    assert not Service.objects.exists()


# -- Whose file it is -----------------------------------------------------------------------------
def test_only_who_keeps_services_imports_any(cast: Cast) -> None:
    with pytest.raises(NotAllowed):
        verbs.upload_csv(actor=cast.vera, file_name="x.csv", content=b"name,team\n")
    assert not CsvImport.objects.exists()


def test_a_file_is_its_uploaders_and_expires(cast: Cast) -> None:
    content = file_of({"name": "Shop", "team": "Payments"})
    kept = verbs.upload_csv(actor=cast.erik, file_name="x.csv", content=content)
    digest = verbs.plan_csv(actor=cast.erik, kept=kept).digest
    for stranger in (cast.lea, cast.olga):
        with pytest.raises(NotFound):
            kept_import(stranger, kept.pk)
        with pytest.raises(NotFound):
            verbs.apply_csv(actor=stranger, import_id=kept.pk, digest=digest)
        verbs.discard_csv(actor=stranger, import_id=kept.pk)
    assert waiting_imports(cast.erik).count() == 1
    CsvImport.objects.update(expires_at=timezone.now() - dt.timedelta(seconds=1))
    with pytest.raises(NotFound, match="expired"):
        kept_import(cast.erik, kept.pk)
    with pytest.raises(NotFound, match="expired"):
        verbs.apply_csv(actor=cast.erik, import_id=kept.pk, digest=digest)
    verbs.upload_csv(actor=cast.lea, file_name="y.csv", content=content)
    assert CsvImport.objects.get().file_name == "y.csv", "what is too old goes"
    assert not Service.objects.exists()


def test_who_loses_the_role_meanwhile_imports_nothing(cast: Cast) -> None:
    content = file_of({"name": "Shop", "team": "Payments"})
    kept = verbs.upload_csv(actor=cast.erik, file_name="x.csv", content=content)
    digest = verbs.plan_csv(actor=cast.erik, kept=kept).digest
    Membership.objects.filter(user=cast.erik).update(role="viewer")
    with pytest.raises(NotAllowed):
        verbs.apply_csv(actor=cast.erik, import_id=kept.pk, digest=digest)
    assert not Service.objects.exists()


def test_a_discarded_file_is_gone(cast: Cast) -> None:
    kept = verbs.upload_csv(actor=cast.erik, file_name="x.csv", content=b"name,team\n")
    for _ in range(2):
        verbs.discard_csv(actor=cast.erik, import_id=kept.pk)
    assert not CsvImport.objects.exists()


def test_the_database_imports_no_file_twice(cast: Cast) -> None:
    kept = verbs.upload_csv(actor=cast.erik, file_name="x.csv", content=b"x")
    with pytest.raises(IntegrityError), transaction.atomic():
        CsvImport.objects.filter(pk=kept.pk).update(applied_at=timezone.now())


# -- What is wrong is told with its place ---------------------------------------------------------
HEAD = "name,team,tier,depends_on,cluster\n"


@pytest.mark.parametrize(
    ("content", "row", "column", "says"),
    [
        (b"", 0, "", "is empty"),
        (b"  \n", 0, "", "is empty"),
        (b"name,team\n", 0, "", "no service"),
        (b"nom;equipe\nShop;x\n", 1, "nom", "“nom” is no column. There are: name, team"),
        (b"tier\n1\n", 1, "name", "“name” is missing"),
        (b"name,team,name\nA,B,C\n", 1, "name", "there twice"),
        (b"name,,team\nA,B,C\n", 1, "", "Cell 2 of the header is empty"),
        ("name,team\nKaffeemühle,x\n".encode("latin-1"), 2, "", "not UTF-8: near line 2"),
        ("name,team\n".encode("utf-16"), 0, "", "UTF-16"),
        (b"name,team\nA\x00,x\n", 0, "", "zero bytes"),
        (b'name,team\n"Shop,Payments\n', 2, "", "quotation mark"),
        (b"name,team\nShop,Payments,and more\n", 2, "", "Beyond the last column: “and more”"),
        (b"name,team\nShop\n", 2, "team", "ends before this column"),
        (b"name,team\n=1+1,Payments\n", 2, "name", "begins like a formula"),
        (b"name,team,tags\nShop,Payments, @SUM(A1)\n", 2, "tags", "begins like a formula"),
        (b"name,team\nShop,Search\n", 2, "team", "“Search” is no team"),
        (b"name,team\nShop,\n", 2, "team", "your teams: Payments"),
        (b"name,team\n,Payments\n", 2, "name", "needs a name"),
        (b"name,team\nShop,Payments\nshop,Payments\n", 3, "name", "stands in row 2"),
        (b"name,team,tier\nShop,Payments,high\n", 2, "tier", "'high' is no tier"),
        (b"name,team,cluster\nShop,Payments,moon\n", 2, "cluster", "“moon” is no cluster"),
        (b"name,team,depends_on\nShop,Payments,Moon\n", 2, "depends_on", "no service “Moon”"),
        (b"name,team,depends_on\nShop,Payments,Shop\n", 2, "depends_on", "cannot need itself"),
        (b"name,team,workload\nShop,Payments,shop\n", 2, "workload", "what kind of object"),
        (b"name,team,links\nShop,Payments,x javascript:a\n", 2, "links", "http:// or https://"),
    ],
)  # fmt: skip
def test_each_error_has_its_row_and_column(
    content: bytes, row: int, column: str, says: str, cast: Cast
) -> None:
    found = complaints(cast.erik, content)
    assert found
    assert found[0][:2] == (row, column), found
    assert says in found[0][2]


def test_every_error_is_told_at_once_in_order(cast: Cast) -> None:
    content = (HEAD + "A,Payments,9,Nobody,x\nB,Nowhere,1,,\n").encode()
    places = [place[:2] for place in complaints(cast.erik, content)]
    assert places == [(2, "tier"), (2, "depends_on"), (2, "cluster"), (3, "team")]


def test_a_row_with_an_error_can_still_be_needed(cast: Cast) -> None:
    content = (HEAD + "A,Payments,9,,\nB,Payments,1,A,\n").encode()
    assert [place[:2] for place in complaints(cast.erik, content)] == [(2, "tier")]


def test_too_many_rows_and_too_many_bytes_are_told(
    cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = "name,team\n" + "".join(f"s{n},Payments\n" for n in range(200_000))
    found = complaints(cast.erik, rows.encode())
    assert found[0][:2] == (0, "")
    assert f"more than {ROWS_MAX:,} rows" in found[0][2]
    monkeypatch.setattr(verbs, "BYTES_MAX", 1024)
    with pytest.raises(Invalid) as refused:
        verbs.upload_csv(actor=cast.erik, file_name="x.csv", content=b"x" * 1025)
    assert refused.value.code == "csv_too_big"
    assert not CsvImport.objects.exists()


def test_services_of_others_are_named_and_left_alone(cast: Cast, make: Make) -> None:
    index = make("Index", by=cast.otto)
    [found] = complaints(cast.erik, file_of({"name": "Index", "team": "Payments"}))
    assert found[:2] == (2, "name")
    assert "another team" in found[2]
    [other] = complaints(cast.erik, file_of({"name": "INDEX", "team": "Payments"}))
    assert "write it the same" in other[2]
    unseen = file_of({"name": "Shop", "team": "Payments", "depends_on": "Index"})
    assert complaints(cast.erik, unseen)[0][:2] == (2, "depends_on")
    # What somebody who sees both once said may stay.
    shop = make("Shop")
    add_dependency(actor=cast.olga, service=shop, needs=index)
    assert figures(make_plan(actor=cast.erik, content=exported(cast.erik))) == (0, 0, 1, 0)


def test_a_cluster_of_others_may_stay_and_cannot_be_chosen(cast: Cast, make: Make) -> None:
    foreign = make_cluster(cast.otto.teams.get(), name="qa-search")
    shop = make("Shop")
    chosen = file_of({"name": "Shop", "team": "Payments", "cluster": "qa-search"})
    assert complaints(cast.erik, chosen)[0][:2] == (2, "cluster")
    Service.objects.filter(pk=shop.pk).update(cluster=foreign)
    assert figures(make_plan(actor=cast.erik, content=chosen)) == (0, 0, 1, 0)


def test_a_race_for_a_name_is_told_and_nothing_is_half_done(
    cast: Cast, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = file_of({"name": "A", "team": "Payments"}, {"name": "B", "team": "Payments"})
    kept = verbs.upload_csv(actor=cast.erik, file_name="x.csv", content=content)
    plan = verbs.plan_csv(actor=cast.erik, kept=kept)
    make("B")
    # As if the other's commit came just after the look inside the transaction.
    monkeypatch.setattr(verbs, "make_plan", lambda **_given: plan)
    with pytest.raises(DomainError) as refused:
        verbs.apply_csv(actor=cast.erik, import_id=kept.pk, digest=plan.digest)
    assert refused.value.code == "inventory_moved_on"
    assert [each.name for each in Service.objects.all()] == ["B"]
