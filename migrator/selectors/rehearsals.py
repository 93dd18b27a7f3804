"""Rehearsals that speak for a step: its own, and those of the same step on the stand-in cluster."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection
from dataclasses import dataclass

from core.choices import Stage
from migrator.choices import RehearsalMark
from migrator.models import Step, StepRehearsal


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


def rehearsals_of(step: Step) -> list[Rehearsed]:
    """The newest first. Of the step as it is now: a changed step was not rehearsed.

    A rehearsal on QA counts for production as *on a stand-in cluster*, while the step does the same
    there and both clusters run the same minor version of Kubernetes.
    """
    own = [each for each in _own(step) if each.step_version == step.version]
    found = [_as(each, RehearsalMark(each.mark), step.plan.cluster.name) for each in own]
    if step.plan.stage == Stage.PRODUCTION:
        found += _of_stand_in(step)
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


def _of_stand_in(step: Step) -> list[Rehearsed]:
    same = (
        Step.objects.filter(
            plan__service=step.plan.service_id,
            plan__stage=Stage.QA,
            plan__archived_at__isnull=True,
            key=step.key,
            kind=step.kind,
        )
        .select_related("plan__cluster", "rollback")
        .first()
    )
    if same is None or not _alike(step, same):
        return []
    there = StepRehearsal.objects.filter(step=same, step_version=same.version).exclude(
        mark=RehearsalMark.WALKED_THROUGH
    )
    name = same.plan.cluster.name
    return [_as(each, RehearsalMark.STAND_IN, name) for each in there.select_related("by")]


def _alike(step: Step, other: Step) -> bool:
    ours, theirs = getattr(step, "rollback", None), getattr(other, "rollback", None)
    if ours is None or theirs is None or ours.kind != theirs.kind:
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
