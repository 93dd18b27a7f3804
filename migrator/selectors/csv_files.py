"""Reads for the CSV pages: a kept file, and the inventory as rows."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

from django.utils import timezone

from core.errors import NotFound
from migrator.models import CsvImport, Dependency, ServiceLink
from migrator.selectors.services import Wanted, services
from migrator.service_fields import in_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from uuid import UUID

    from django.db.models import QuerySet

    from core.models import User
    from migrator.models import Service

_CHUNK = 1000


def kept_import(user: User, import_id: UUID) -> CsvImport:
    """The person's own upload, or what became of it. Raises `NotFound`, once it expired too."""
    found = CsvImport.objects.filter(pk=import_id, by=user).first()
    if found is None or (found.applied_at is None and found.expires_at < timezone.now()):
        raise NotFound("There is no such file of yours; it may have expired. Upload it again.")
    return found


def waiting_imports(user: User) -> QuerySet[CsvImport]:
    """Files that the person uploaded and has not confirmed yet, the newest first."""
    return CsvImport.objects.filter(by=user, applied_at=None, expires_at__gt=timezone.now()).defer(
        "content"
    )


def csv_rows(user: User, wanted: Wanted) -> Iterator[dict[str, str]]:
    """The services as rows of texts, some at a time: memory does not grow with them."""
    found = services(user, wanted).iterator(chunk_size=_CHUNK)
    while chunk := list(islice(found, _CHUNK)):
        ids = [service.pk for service in chunk]
        links, needs = links_of(ids), needs_of(ids)
        for service in chunk:
            yield _row(service, links.get(service.pk, []), needs.get(service.pk, []))


def links_of(ids: Iterable[int]) -> dict[int, list[tuple[str, str]]]:
    """Label and address of the links of those services, each in its order. Plain rows: of tens of
    thousands, models would take three times as long."""
    found: dict[int, list[tuple[str, str]]] = {}
    links = ServiceLink.objects.filter(service__in=ids).order_by("service_id", "position")
    for pk, label, url in links.values_list("service_id", "label", "url"):
        found.setdefault(pk, []).append((label, url))
    return found


def needs_of(ids: Iterable[int]) -> dict[int, list[str]]:
    """Names of what those services need, in no order. Plain rows, as of `links_of`."""
    found: dict[int, list[str]] = {}
    pairs = Dependency.objects.filter(service__in=ids)
    for pk, name in pairs.values_list("service_id", "needs__name"):
        found.setdefault(pk, []).append(name)
    return found


def _row(service: Service, links: list[tuple[str, str]], needs: list[str]) -> dict[str, str]:
    values = {
        name: getattr(service, name)
        for name in (
            "name", "tier", "description", "tags", "legacy_hosts", "legacy_address",
            "legacy_capacity", "legacy_capacity_unit", "namespace", "workload_kind", "workload",
            "route",
        )
    }  # fmt: skip
    values["links"] = links
    return {name: in_text(name, value) for name, value in values.items()} | {
        "team": service.team.name,
        "cluster": service.cluster.name if service.cluster else "",
        "depends_on": "; ".join(sorted(needs)),
    }
