"""Accounts of runs that are over: found by their label in the cluster, and removed."""

from __future__ import annotations

import uuid
from collections.abc import Collection

import structlog
from django.utils import timezone

from core import kube
from core.choices import Stage
from core.errors import DomainError
from core.models import Cluster
from gamedays.choices import FINAL
from gamedays.drivers.run_account import RunAccounts
from gamedays.models import Injection

log = structlog.get_logger(__name__)


def remove_orphaned_accounts() -> None:
    """Look on every QA cluster. A run takes its own account away before it is clean; left over are
    those of runs that a person ended by hand, or that nobody could conduct to their end.

    A cluster that does not answer, or whose owner let no faults on objects in, is left for the
    next look.
    """
    for cluster in Cluster.objects.active().filter(stage=Stage.QA):
        try:
            accounts = RunAccounts(kube.credentials_of(cluster))
            gone = accounts.remove_orphans(_are_over, timezone.now())
        except DomainError as error:
            log.info("run_accounts_not_looked_at", cluster=cluster.name, why=error.message)
            continue
        if gone:
            log.warning("orphaned_run_accounts_removed", cluster=cluster.name, runs=gone)


def _are_over(orders: Collection[str]) -> dict[str, bool]:
    """Of those that have a row here, whether their run is over."""
    rows = Injection.objects.filter(pk__in=[key for key in orders if _is_id(key)])
    return {str(key): state in FINAL for key, state in rows.values_list("pk", "state")}


def _is_id(text: str) -> bool:
    """A label is whatever somebody wrote into it."""
    try:
        return str(uuid.UUID(text)) == text
    except ValueError:
        return False
