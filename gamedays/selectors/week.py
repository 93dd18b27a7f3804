"""This week: the next gameday, what it still lacks, and what needs this person."""

from __future__ import annotations

import datetime as dt
import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING

from django.db.models import Count, Q
from django.utils import timezone

from core import selectors as core_selectors
from core.choices import Role, SetupPhase
from core.models import ClusterSetup, Node
from gamedays.choices import FindingStatus, GamedayState, InjectionState, Purpose, Verdict
from gamedays.models import Finding, Gameday, Injection, Probe, Verification
from gamedays.selectors import bookings
from gamedays.selectors.probes import lacks_metrics

if TYPE_CHECKING:
    from core.models import Cluster, User

_S = InjectionState
_MAY_RUN = (Role.LEAD, Role.ENGINEER)
_NEEDS_LIMIT = 8


@dataclass(frozen=True, slots=True)
class NextGameday:
    """The soonest, and what would stop it."""

    gameday: Gameday
    agenda: list[bookings.Planned]
    role: str
    missing: list[str]


@dataclass(frozen=True, slots=True)
class Need:
    """Something that waits for this person."""

    what: str
    why: str
    verb: str
    state: str
    finding: Finding | None = None
    gameday: Gameday | None = None


@dataclass(frozen=True, slots=True)
class Place:
    """One place on the loop."""

    key: str
    word: str
    meaning: str


LOOP = (
    Place("book", "Book", "Choose a cluster, a time and one fault."),
    Place("break", "Break", "One thing, on purpose, with the way back armed first."),
    Place("watch", "Watch", "Does it hold as everybody believes?"),
    Place("restore", "Restore", "It comes back by itself, and is proved back."),
    Place("find", "Find", "What surprised us becomes a finding, with its evidence."),
    Place("fix", "Fix", "Understand it, mend it, and write down since when."),
    Place("reverify", "Re-verify", "Break the same thing again: that is the proof."),
)


def next_gameday(user: User) -> NextGameday | None:
    gameday = bookings.upcoming(user).first()
    if gameday is None:
        return None
    role = core_selectors.role_in(user, core_selectors.roles_by_team(user), gameday.cluster)
    words = [role.label] if role else []
    if gameday.facilitator_id == user.pk:
        words.insert(0, "Facilitator")
    return NextGameday(
        gameday, bookings.planned(gameday), " · ".join(words), missing_for(gameday.cluster)
    )


def missing_for(cluster: Cluster) -> list[str]:
    """What would stop a fault on this cluster, as sentences; empty: nothing that we know of."""
    problems = []
    setup = ClusterSetup.objects.filter(cluster=cluster).exclude(phase=SetupPhase.READY).first()
    if setup is not None:
        problems.append(
            f"{cluster} is still being raised ({setup.percent}%): {setup.step or 'starting'}."
        )
    nodes = Node.objects.filter(cluster=cluster, control_plane=True)
    unguarded = list(nodes.filter(guard=None).values_list("name", flat=True))
    if unguarded:
        problems.append(
            f"No guard on {', '.join(unguarded)}. Install it: manage.py guard install "
            f"{shlex.quote(cluster.name)} --kubeconfig OWNER_KUBECONFIG --image IMAGE"
        )
    looking = list(Probe.objects.filter(cluster=cluster, enabled=True))
    if not any(probe.felt_by_users for probe in looking):
        problems.append(
            "No probe that a user would feel: a run could break, but never be called held. Add one "
            "on the cluster's page."
        )
    if lacks_metrics(cluster, looking):
        problems.append(
            "Probes ask a Prometheus and none is named, so that they stay unknown and every fault "
            "is refused. A lead names it on the cluster's page, or switches those probes off."
        )
    return problems


def needs(user: User) -> list[Need]:
    """Findings and gamedays that wait for this person, the most pressing first."""
    roles = core_selectors.roles_by_team(user)
    found: list[Need] = []
    theirs = [team for team, role in roles.items() if role in _MAY_RUN]
    waiting = Q(status=FindingStatus.FIX_READY) | Q(drafted=True) | Q(owner=user)
    findings = (
        Finding.objects.visible_to(user)
        .filter(waiting, Q() if user.is_superuser else Q(cluster__team__in=theirs))
        .exclude(status=FindingStatus.VERIFIED_FIXED)
        .select_related("cluster", "owner")
        .order_by("-created_at")
    )
    found += [_finding_need(finding) for finding in findings[:_NEEDS_LIMIT]]
    soon = timezone.now() + dt.timedelta(days=7)
    mine = bookings.upcoming(user).filter(facilitator=user, period__startswith__lt=soon)
    found += [
        Need(gameday.title, "You facilitate it.", "Open gameday", gameday.state, gameday=gameday)
        for gameday in mine
    ]
    return found[:_NEEDS_LIMIT]


def _finding_need(finding: Finding) -> Need:
    if finding.status == FindingStatus.FIX_READY:
        return Need(
            finding.title,
            "A fix is recorded. Break the same thing again to prove it.",
            "Re-verify",
            finding.status,
            finding=finding,
        )
    if finding.drafted:
        return Need(
            finding.title,
            "Drafted from a run's evidence. Nobody has taken it up yet.",
            "Read finding",
            finding.status,
            finding=finding,
        )
    return Need(finding.title, "It is yours to mend.", "Open finding", finding.status, finding)


def loop_place(user: User) -> Place:
    """Where this person's teams stand on the loop: the furthest place that waits for somebody."""
    key = _loop_key(user)
    return next(place for place in LOOP if place.key == key)


def _loop_key(user: User) -> str:
    live = Injection.objects.visible_to(user).live().first()
    if live is not None:
        if live.state in (_S.ACTIVE, _S.OBSERVING):
            return "watch"
        return "restore" if live.undo_asked_at else "break"
    unfinished = Finding.objects.visible_to(user).exclude(status=FindingStatus.VERIFIED_FIXED)
    found = set(unfinished.order_by().values_list("status", "drafted").distinct())
    if any(status == FindingStatus.FIX_READY for status, _drafted in found):
        return "reverify"
    if any(drafted for _status, drafted in found):
        return "find"
    if found:
        return "fix"
    return "break" if bookings.upcoming(user).exists() else "book"


@dataclass(frozen=True, slots=True)
class Progress:
    """What has been learned so far, in four numbers."""

    runs: int
    held: int
    broke: int
    verified: int


def progress(user: User) -> Progress:
    ended = Q(ended_at__isnull=False)
    runs = Injection.objects.visible_to(user).aggregate(
        runs=Count("pk", filter=ended & ~Q(state=_S.REFUSED)),
        held=Count("pk", filter=ended & Q(verdict=Verdict.HELD)),
        broke=Count("pk", filter=ended & Q(verdict=Verdict.BROKE)),
    )
    verified = Finding.objects.visible_to(user).filter(status=FindingStatus.VERIFIED_FIXED)
    return Progress(**runs, verified=verified.count())


def is_newcomer(user: User) -> bool:
    """Nobody among this person's teams has been round the loop yet."""
    return not (
        Verification.objects.filter(
            finding__in=Finding.objects.visible_to(user), gameday__purpose=Purpose.VERIFICATION
        )
        .filter(gameday__state=GamedayState.DONE)
        .exists()
    )
