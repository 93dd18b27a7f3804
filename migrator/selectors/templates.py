"""Reads of templates. They belong to everybody."""

from __future__ import annotations

from django.db.models import QuerySet

from core.errors import NotFound
from migrator.models import PlanTemplate, TemplateVersion


def templates() -> QuerySet[PlanTemplate]:
    """All of them, those in use first."""
    return PlanTemplate.objects.order_by("archived_at", "title")


def in_use() -> QuerySet[PlanTemplate]:
    return PlanTemplate.objects.filter(archived_at__isnull=True)


def template_named(slug: str) -> PlanTemplate:
    """The template of that slug. Raises `NotFound`."""
    found = PlanTemplate.objects.filter(slug=slug).first()
    if found is None:
        raise NotFound(f"There is no template {slug!r}.")
    return found


def newest_of(slug: str) -> TemplateVersion | None:
    """The newest version of a template in use; None where no template is meant."""
    if not slug:
        return None
    found = in_use().filter(slug=slug).first()
    if found is None:
        raise NotFound(f"There is no template {slug!r} in use.")
    return found.versions.first()
