"""Which scenarios have to have held before a migration step goes ahead, and for how long."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import structlog
from django.db import transaction

from core import policies
from core.choices import Stage
from core.errors import Conflict, Invalid
from gamedays.models import RequiredProof
from gamedays.scenarios.registry import all_scenarios

if TYPE_CHECKING:
    from core.models import Cluster, User

log = structlog.get_logger(__name__)
WEEKS_MAX = 52


def require_proofs(*, actor: User, cluster: Cluster, weeks: Mapping[str, str]) -> None:
    """Set all of a cluster's required proofs: scenario → weeks, empty where none is required.

    Raises:
        NotFound, NotAllowed: leads of the cluster's team.
        Conflict: `not_qa`: faults exist on QA clusters only.
        Invalid: every wrong number at once, by scenario.
    """
    policies.require_book(actor, cluster)
    if cluster.stage != Stage.QA:
        raise Conflict(
            f"{cluster} is a production cluster: its proofs are those of the QA cluster that "
            "stands for it.",
            code="not_qa",
        )
    errors: dict[str, str] = {}
    wanted: dict[str, int] = {}
    for scenario in all_scenarios():
        text = weeks.get(scenario.key, "").strip()
        if not text:
            continue
        number = int(text) if text.isdecimal() and len(text) < 5 else 0
        if 1 <= number <= WEEKS_MAX:
            wanted[scenario.key] = number
        else:
            errors[scenario.key] = f"{text!r} is out of bounds; choose 1 to {WEEKS_MAX} weeks."
    if errors:
        first = next(iter(errors))
        raise Invalid(errors[first], field=first, errors=errors)
    with transaction.atomic():
        found = RequiredProof.objects.select_for_update().filter(cluster=cluster)
        found.exclude(scenario_key__in=wanted).delete()
        for key, number in wanted.items():
            RequiredProof.objects.update_or_create(
                cluster=cluster,
                scenario_key=key,
                defaults={"weeks": number, "set_by": actor},
            )
    log.info("proofs_required", actor=actor.username, cluster=cluster.name, proofs=wanted)
