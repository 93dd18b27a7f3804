"""Taking and releasing a cluster's slot, inside the caller's transaction."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.db import IntegrityError, transaction
from django.utils import timezone

from core.errors import Conflict
from core.models import SlotClaim

if TYPE_CHECKING:
    import uuid

    from core.choices import SlotKind
    from core.models import Cluster


def take_slot(*, cluster: Cluster, kind: SlotKind, holder: uuid.UUID) -> SlotClaim:
    """Take the slot, or raise `Conflict` (`cluster_busy`); the database decides."""
    try:
        with transaction.atomic():
            return SlotClaim.objects.create(cluster=cluster, kind=kind, holder=holder)
    except IntegrityError:
        raise Conflict(
            f"Something is already running on {cluster.name}: one fault at a time, or its cause "
            "cannot be told. Wait until it is clean, or abort it.",
            code="cluster_busy",
        ) from None


def release_slot(*, holder: uuid.UUID) -> bool:
    """Release what `holder` holds; False when it held nothing."""
    rows = SlotClaim.objects.filter(holder=holder, released_at__isnull=True).update(
        released_at=timezone.now()
    )
    return rows == 1
