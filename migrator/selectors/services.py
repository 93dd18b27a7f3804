"""Reads of services."""

from __future__ import annotations

from typing import TYPE_CHECKING

from core.errors import NotFound
from migrator.models import Service

if TYPE_CHECKING:
    from django.db.models import QuerySet

    from core.models import User


def services(user: User) -> QuerySet[Service]:
    return Service.objects.visible_to(user).select_related("team", "cluster").order_by("name")


def service_named(user: User, slug: str) -> Service:
    """The service of that slug. Raises `NotFound`, to outsiders too."""
    found = services(user).filter(slug=slug).first()
    if found is None:
        raise NotFound(f"There is no service {slug!r} among those that you may see.")
    return found
