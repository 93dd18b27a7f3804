"""Reads for the CSV pages: a kept file, and the inventory as rows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.db.models import Prefetch
from django.utils import timezone

from core.errors import NotFound
from migrator.models import CsvImport, Dependency
from migrator.selectors.services import Wanted, services
from migrator.service_fields import in_text

if TYPE_CHECKING:
    from collections.abc import Iterator
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
    needs = Prefetch("dependencies", Dependency.objects.select_related("needs"))
    found = services(user, wanted).prefetch_related("links", needs)
    for service in found.iterator(chunk_size=_CHUNK):
        yield _row(service)


def _row(service: Service) -> dict[str, str]:
    values = {
        name: getattr(service, name)
        for name in (
            "name", "tier", "description", "tags", "legacy_hosts", "legacy_address",
            "legacy_capacity", "legacy_capacity_unit", "namespace", "workload_kind", "workload",
            "route",
        )
    }  # fmt: skip
    values["links"] = [(link.label, link.url) for link in service.links.all()]
    return {name: in_text(name, value) for name, value in values.items()} | {
        "team": service.team.name,
        "cluster": service.cluster.name if service.cluster else "",
        "depends_on": "; ".join(sorted(edge.needs.name for edge in service.dependencies.all())),
    }
