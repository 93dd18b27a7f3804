"""A CSV file in two steps: it is kept and looked at, and only then, confirmed, imported."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Final

import structlog
from django.db import IntegrityError, connection, transaction
from django.utils import timezone

from core import policies
from core.errors import Conflict, Invalid, NotFound
from core.redaction import redact_text
from migrator.choices import ServiceVerb
from migrator.csv_format import BYTES_MAX, ROWS_MAX
from migrator.models import CsvImport, Dependency, Service, ServiceChange, ServiceLink
from migrator.operations.csv_plan import Change, Plan, make_plan
from migrator.operations.service_history import for_good
from migrator.operations.services import CAPACITY, free_slug

if TYPE_CHECKING:
    from uuid import UUID

    from core.models import User

log = structlog.get_logger(__name__)
KEPT_FOR: Final = dt.timedelta(hours=24)
_BATCH: Final = 500
"""Rows of one statement: far below a web process's deadline for one, on a busy machine too."""
_WRITTEN: Final = (
    "tier", "description", "tags", "legacy_hosts", "legacy_address", "legacy_capacity",
    "legacy_capacity_unit", "namespace", "workload_kind", "workload", "route",
)  # fmt: skip


def upload_csv(*, actor: User, file_name: str, content: bytes) -> CsvImport:
    """Keep a file for a day, so that it can be looked at and confirmed. Nothing else changes.

    Raises:
        NotAllowed: the actor may change no team's services.
        Invalid: `csv_too_big`, `csv_missing`.
    """
    policies.require_keep_some_services(actor)
    if not content:
        raise Invalid("Choose a CSV file that is not empty.", code="csv_missing", field="file")
    if len(content) > BYTES_MAX:
        raise too_big(len(content))
    # Here, because it needs no clock of its own: what is too old is in nobody's way.
    CsvImport.objects.filter(applied_at=None, expires_at__lt=timezone.now()).delete()
    kept = CsvImport.objects.create(
        by=actor,
        file_name=redact_text(file_name.strip() or "services.csv")[:200],
        content=content,
        expires_at=timezone.now() + KEPT_FOR,
    )
    log.info("csv_uploaded", actor=actor.username, csv_import=str(kept.pk), bytes=len(content))
    return kept


def too_big(size: int) -> Invalid:
    """The refusal for a file of that many bytes."""
    return Invalid(
        f"The file has {size / 1024**2:.1f} MiB; at most {BYTES_MAX // 1024**2} MiB and "
        f"{ROWS_MAX:,} rows are read at once. Split it.",
        code="csv_too_big",
        field="file",
    )


def plan_csv(*, actor: User, kept: CsvImport) -> Plan:
    """What the kept file would do now. Raises Conflict `csv_applied` where it was imported."""
    if kept.content is None:
        raise _applied()
    return make_plan(actor=actor, content=bytes(kept.content))


def discard_csv(*, actor: User, import_id: UUID) -> None:
    """Throw a kept file away. One that is gone already is no error; what was imported stays."""
    CsvImport.objects.filter(pk=import_id, by=actor, applied_at=None).delete()


def apply_csv(*, actor: User, import_id: UUID, digest: str) -> CsvImport:
    """Do what the preview with this digest showed, all of it or nothing.

    Raises:
        NotFound: no such file of theirs, or it expired.
        NotAllowed: the actor may change no team's services any more.
        Invalid: `csv_has_errors`.
        Conflict: `csv_applied`, or `inventory_moved_on`: what it would do is not any more what was
            confirmed. The file is kept, and nothing was changed.
    """
    policies.require_keep_some_services(actor)
    with transaction.atomic():
        _take_time()
        kept = (
            CsvImport.objects.select_for_update()
            .filter(pk=import_id, by=actor, expires_at__gt=timezone.now())
            .first()
        )
        if kept is None:
            raise NotFound("There is no such file of yours; it may have expired. Upload it again.")
        if kept.content is None:
            raise _applied()
        plan = make_plan(actor=actor, content=bytes(kept.content), lock=True)
        if plan.complaints:
            raise Invalid(
                "The file has errors, so nothing was imported. Mend them and upload it again.",
                code="csv_has_errors",
            )
        if plan.digest != digest:
            raise _moved_on()
        try:
            with transaction.atomic():
                _write(actor, kept, plan)
        except IntegrityError:
            raise _moved_on() from None
        kept.content = None
        kept.applied_at = timezone.now()
        kept.created, kept.changed = len(plan.created), len(plan.changed)
        kept.unchanged = plan.unchanged
        kept.save()
    log.info(
        "csv_imported",
        actor=actor.username,
        csv_import=str(kept.pk),
        made=kept.created,
        changed=kept.changed,
    )
    return kept


def _take_time() -> None:
    """Let this transaction think between two statements: of a big file for seconds, and longer on
    a busy machine. A web process is given two, which is meant for who holds locks of a fault's
    rows; here only rows of the inventory are locked."""
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL idle_in_transaction_session_timeout = '60s'")


def _write(actor: User, kept: CsvImport, plan: Plan) -> None:
    changes = [*plan.created, *plan.changed]
    taken = set(Service.objects.values_list("slug", flat=True)) if plan.created else set()
    numbers: dict[str, int] = {}
    for change in plan.created:
        slug = free_slug(change.name, taken, numbers)
        taken.add(slug)
        change.service = Service(slug=slug, name=change.name)
    for change in changes:
        _fill(change)
    new = [_service_of(change) for change in plan.created]
    Service.objects.bulk_create(new, batch_size=_BATCH)
    # One statement for each batch, whatever changes in it: far faster than an UPDATE by CASE.
    Service.objects.bulk_create(
        [_service_of(change) for change in plan.changed],
        batch_size=_BATCH,
        update_conflicts=True,
        unique_fields=["id"],
        update_fields=[
            *_WRITTEN, "team", "cluster", "version", "updated_at",
            "capacity_confirmed_by", "capacity_confirmed_at",
        ],
    )  # fmt: skip
    _clear(plan.changed)
    _write_links([change for change in changes if "links" in change.details])
    _write_needs([change for change in changes if "depends_on" in change.details])
    ServiceChange.objects.bulk_create(
        (
            ServiceChange(
                service=change.service,
                verb=verb,
                by=actor,
                details=for_good(change.details),
                csv_import=kept.pk,
            )
            for verb, rows in (
                (ServiceVerb.CREATED, plan.created),
                (ServiceVerb.EDITED, plan.changed),
            )
            for change in rows
        ),
        batch_size=_BATCH,
    )


def _fill(change: Change) -> None:
    service = _service_of(change)
    if service.pk is not None:
        service.version += 1
        service.updated_at = timezone.now()
    if any(name in change.details for name in CAPACITY):
        service.capacity_confirmed_by = service.capacity_confirmed_at = None
    for name in _WRITTEN:
        setattr(service, name, change.values[name])
    service.team, service.cluster = change.team, change.cluster


def _clear(changes: list[Change]) -> None:
    """Take away links and dependencies that are about to be written anew."""
    ServiceLink.objects.filter(service__in=_ids_with("links", changes)).delete()
    Dependency.objects.filter(service__in=_ids_with("depends_on", changes)).delete()


def _ids_with(name: str, changes: list[Change]) -> list[int]:
    return [_service_of(change).pk for change in changes if name in change.details]


def _write_links(changes: list[Change]) -> None:
    ServiceLink.objects.bulk_create(
        (
            ServiceLink(service=change.service, label=label, url=url, position=position)
            for change in changes
            for position, (label, url) in enumerate(_pairs(change.values["links"]))
        ),
        batch_size=_BATCH,
    )


def _service_of(change: Change) -> Service:
    if change.service is None:
        raise ValueError(f"the service of row {change.row} was not made yet")
    return change.service


def _pairs(links: object) -> list[tuple[str, str]]:
    return [(label, url) for label, url in links] if isinstance(links, list) else []


def _write_needs(changes: list[Change]) -> None:
    wanted = {name for change in changes for name in change.needs or ()}
    known = dict(Service.objects.filter(name__in=wanted).values_list("name", "pk"))
    Dependency.objects.bulk_create(
        (
            Dependency(service=change.service, needs_id=known[name])
            for change in changes
            for name in change.needs or ()
        ),
        batch_size=_BATCH,
    )


def _applied() -> Conflict:
    return Conflict(
        "This file was imported already. Upload it again to import it once more.",
        code="csv_applied",
    )


def _moved_on() -> Conflict:
    return Conflict(
        "Services changed since this preview was made, so nothing was imported. Look at what the "
        "file would do now, and confirm that.",
        code="inventory_moved_on",
    )
