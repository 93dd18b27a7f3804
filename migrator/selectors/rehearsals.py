"""Rehearsals that speak for a step: its own, and those of the same step on the stand-in cluster."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from django.db.models import Prefetch

from core.choices import Stage
from migrator.choices import RehearsalMark
from migrator.models import Plan, Step, StepRehearsal

StandIns = Mapping[tuple[str, str], Step]
"""Steps of the plan for QA, by key and kind."""


_SHARE = "percent"
"""Names and sizes differ from cluster to cluster. But a way back from 1% says nothing of 50%."""


@dataclass(frozen=True, kw_only=True)
class Rehearsed:
    """One rehearsal, as it counts for this step."""

    mark: RehearsalMark
    at: dt.datetime
    duration_s: int
    succeeded: bool
    where: str
    by: str
    differences: tuple[str, ...]
    notes: str


def stand_ins_of(plan: Plan, *, key: str | None = None) -> StandIns:
    """The steps of the same service's plan for QA, or the one of that key, with their rehearsals;
    none for a plan that is for QA itself."""
    if plan.stage != Stage.PRODUCTION:
        return {}
    found = (
        Step.objects.filter(
            plan__service=plan.service_id,
            plan__stage=Stage.QA,
            plan__archived_at__isnull=True,
            **({} if key is None else {"key": key}),
        )
        .select_related("plan__cluster", "rollback")
        .prefetch_related(Prefetch("rehearsals", StepRehearsal.objects.select_related("by")))
    )
    # Should two have one key, the first of them speaks.
    return {(each.key, each.kind): each for each in found.order_by("-position")}


def rehearsals_of(step: Step, stand_ins: StandIns | None = None) -> list[Rehearsed]:
    """The newest first. Of the step as it is now: a changed step was not rehearsed.

    A rehearsal on QA counts for production as *on a stand-in cluster*, while the step does the same
    there and both clusters run the same minor version of Kubernetes. `stand_ins` where they were
    fetched for every step together.
    """
    own = [each for each in _own(step) if each.step_version == step.version]
    found = [_as(each, RehearsalMark(each.mark), step.plan.cluster.name) for each in own]
    if stand_ins is None:
        stand_ins = stand_ins_of(step.plan, key=step.key)
    same = stand_ins.get((step.key, step.kind))
    if same is not None and _alike(step, same):
        found += _of_stand_in(same)
    return sorted(found, key=lambda each: each.at, reverse=True)


def rehearsals_that_count(step: Step, accepted: Collection[str]) -> list[Rehearsed]:
    """Those that succeeded and that the policy accepts; none where the newest of all failed."""
    everything = rehearsals_of(step)
    done = [each for each in everything if each.mark != RehearsalMark.WALKED_THROUGH]
    if done and not done[0].succeeded:
        return []
    return [each for each in everything if each.succeeded and each.mark in accepted]


def _own(step: Step) -> list[StepRehearsal]:
    """Without a query of its own where the page fetched them for every step together."""
    if "rehearsals" in getattr(step, "_prefetched_objects_cache", {}):
        return list(step.rehearsals.all())
    return list(step.rehearsals.select_related("by"))


def _of_stand_in(same: Step) -> list[Rehearsed]:
    name = same.plan.cluster.name
    return [
        _as(each, RehearsalMark.STAND_IN, name)
        for each in same.rehearsals.all()
        if each.step_version == same.version and each.mark != RehearsalMark.WALKED_THROUGH
    ]


def _alike(step: Step, other: Step) -> bool:
    ours, theirs = getattr(step, "rollback", None), getattr(other, "rollback", None)
    if ours is None or theirs is None or ours.kind != theirs.kind:
        return False
    if step.parameters.get(_SHARE) != other.parameters.get(_SHARE):
        return False
    one, two = step.plan.cluster.kubernetes_version, other.plan.cluster.kubernetes_version
    return minor_of(one) == minor_of(two) != ""


def minor_of(version: str) -> str:
    """`v1.36.2` → `1.36`; empty where it says nothing."""
    parts = version.removeprefix("v").split(".")
    return ".".join(parts[:2]) if len(parts) >= 2 and parts[0].isdecimal() else ""


def _as(row: StepRehearsal, mark: RehearsalMark, where: str) -> Rehearsed:
    return Rehearsed(
        mark=mark,
        at=row.at,
        duration_s=row.duration_s,
        succeeded=row.succeeded,
        where=where,
        by=str(row.by),
        differences=tuple(row.differences),
        notes=row.notes,
    )
