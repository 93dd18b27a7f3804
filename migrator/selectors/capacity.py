"""Whether somebody vouches for what the legacy half can carry: the way back ends there."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.utils import timezone

if TYPE_CHECKING:
    from migrator.models import RehearsalPolicy, Service


def capacity_doubt(service: Service, policy: RehearsalPolicy) -> str:
    """Why legacy may not be able to carry everything again; empty where a person said within
    `policy.capacity_days` that it can, or where there is no legacy half."""
    if not service.legacy_address:
        return ""
    if not service.capacity:
        return "nobody declared what legacy can carry alone."
    said = f"that legacy can carry {service.capacity}"
    if service.capacity_confirmed_at is None:
        return f"nobody confirmed {said}."
    days = (timezone.now() - service.capacity_confirmed_at).days
    if days > policy.capacity_days:
        return (
            f"{said} was last confirmed {days} days ago; after {policy.capacity_days} days that "
            "counts no more."
        )
    return ""
