"""What a service needs, and whether that is on Kubernetes yet."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from django.db.models import Count, Exists, OuterRef, Q

from core.choices import Stage
from migrator.choices import STEP_BEHIND
from migrator.models import Dependency, Plan

if TYPE_CHECKING:
    from migrator.models import Service

_MOVES_NOTHING: Final = ("observe", "decommission")
"""Kinds of steps that may still be ahead of a service that is there: one only waits, the other
takes away what was left behind."""


_STAGES: Final = {Stage.QA: "QA", Stage.PRODUCTION: "production"}


@dataclass(frozen=True, kw_only=True)
class Awaited:
    """A service that another needs, and that is not there yet."""

    service: Service
    plan_id: int | None
    """Of its current plan for the stage."""
    mutual: bool
    """It needs the other one too: neither can come second."""
    state: str
    """What it has come to, in words."""


def awaited_by(service: Service, stage: Stage) -> list[Awaited]:
    """What `service` needs and what is not on Kubernetes at that stage yet, by name.

    A service is there where every step that moves it is behind, or where it never had a legacy
    half.
    """
    needs_us = Dependency.objects.filter(service=OuterRef("needs"), needs=service)
    edges = list(
        Dependency.objects.filter(service=service)
        .annotate(mutual=Exists(needs_us))
        .select_related("needs")
        .order_by("needs__name")
    )
    plans = {
        plan["service"]: plan
        for plan in Plan.objects.current()
        .filter(service__in=[edge.needs_id for edge in edges], stage=stage)
        .annotate(
            total=Count("steps"),
            behind=Count("steps", filter=Q(steps__state__in=STEP_BEHIND)),
            ahead=Count(
                "steps",
                filter=~Q(steps__state__in=STEP_BEHIND) & ~Q(steps__kind__in=_MOVES_NOTHING),
            ),
        )
        .values("pk", "service", "total", "behind", "ahead")
    }
    waiting = []
    for edge in edges:
        plan = plans.get(edge.needs_id)
        if plan is None:
            if not edge.needs.legacy_address and edge.needs.workload:
                continue
            state = f"it has no plan for {_STAGES[stage]}"
        elif plan["total"] and not plan["ahead"]:
            continue
        else:
            state = f"{plan['behind']} of {plan['total']} steps are done"
        waiting.append(
            Awaited(
                service=edge.needs,
                plan_id=plan["pk"] if plan else None,
                mutual=edge.mutual,
                state=state,
            )
        )
    return waiting
