"""Words with a fixed meaning: the inventory's, and states of steps with the moves between them."""

from __future__ import annotations

from typing import Final

from django.db import models


class Tier(models.IntegerChoices):
    """How much stands still when the service does. A fixed set, so that policies can name it."""

    ONE = 1, "Tier 1: customers stand still"
    TWO = 2, "Tier 2: customers notice"
    THREE = 3, "Tier 3: only we notice"


class WorkloadKind(models.TextChoices):
    """The kinds of Kubernetes objects that a service can become."""

    DEPLOYMENT = "Deployment", "Deployment"
    STATEFUL_SET = "StatefulSet", "StatefulSet"
    DAEMON_SET = "DaemonSet", "DaemonSet"


class ServiceVerb(models.TextChoices):
    """What was done to a service, in the history that each one keeps."""

    CREATED = "created", "Created"
    EDITED = "edited", "Edited"
    CAPACITY_CONFIRMED = "capacity_confirmed", "Legacy capacity confirmed"
    DEPENDENCY_ADDED = "dependency_added", "Dependency added"
    DEPENDENCY_REMOVED = "dependency_removed", "Dependency removed"
    LINKED = "linked", "Linked to the cluster"


class Standing(models.TextChoices):
    """How far a service has come: the columns of the board, in this order."""

    UNPLANNED = "unplanned", "No plan yet"
    PLANNED = "planned", "Planned"
    ON_QA = "on_qa", "Moving on QA"
    PROVED = "proved", "Proved on QA"
    ON_PRODUCTION = "on_production", "Moving in production"
    ARRIVED = "arrived", "On Kubernetes"


class Health(models.TextChoices):
    """How a service fares on its way, the worst first."""

    ROLLED_BACK = "rolled_back", "Rolled back"
    BLOCKED = "blocked", "Blocked"
    LATE = "late", "Late"
    ON_TRACK = "on_track", "On track"
    NOT_PLANNED = "not_planned", "Nothing promised"


class WaveVerb(models.TextChoices):
    """What was done to a wave, in the history that each one keeps."""

    CREATED = "created", "Created"
    EDITED = "edited", "Edited"
    PUT_IN = "put_in", "Services put in"
    TAKEN_OUT = "taken_out", "Services taken out"
    ARCHIVED = "archived", "Archived"


class StepState(models.TextChoices):
    """What a step has come to. Whether it is under way is said by its live attempt."""

    WAITING = "waiting", "Not begun"
    DONE = "done", "Done"
    SKIPPED = "skipped", "Skipped"
    ROLLED_BACK = "rolled_back", "Rolled back"


STEP_BEHIND: Final = (StepState.DONE, StepState.SKIPPED)
"""A step in one of these stands in nobody's way: the next may go ahead."""


class Reversibility(models.TextChoices):
    REVERSIBLE = "reversible", "Reversible"
    UNTIL = "until", "Reversible for a time"
    ONE_WAY = "one_way", "One way"


class Direction(models.TextChoices):
    """What an attempt is for."""

    FORWARD = "forward", "Step"
    BACK = "back", "Way back"
    REHEARSAL = "rehearsal", "Rehearsal"


class AttemptState(models.TextChoices):
    """Where one attempt stands. The words on pages are in `label`."""

    PLANNED = "step_planned", "Planned"
    PREPARING = "preparing", "Writing down how it is"
    CHANGING = "changing", "Changing"
    JUDGING = "judging", "Watching"
    INTERRUPTED = "interrupted", "Waits for a person"
    RETURNING = "returning", "Going back"
    PROVING = "proving", "Proving it is as before"
    STUCK = "return_stuck", "Stuck"
    DONE = "step_done", "Done"
    RETURNED = "returned", "Back as before"
    REFUSED = "step_refused", "Refused"
    RESOLVED_BY_HAND = "returned_by_hand", "Resolved by hand"


_S = AttemptState

ALLOWED: Final[dict[AttemptState, frozenset[AttemptState]]] = {
    _S.PLANNED: frozenset({_S.PREPARING, _S.RETURNING, _S.REFUSED}),
    # Until here the world was only looked at. A step that somebody else's change came before is
    # refused from `changing` too: the one write that it tried was not taken.
    _S.PREPARING: frozenset({_S.CHANGING, _S.REFUSED}),
    _S.CHANGING: frozenset({_S.JUDGING, _S.INTERRUPTED, _S.RETURNING, _S.REFUSED}),
    _S.JUDGING: frozenset({_S.DONE, _S.INTERRUPTED, _S.RETURNING}),
    # Only of a way back that is a step of its own: nothing turns that round.
    _S.INTERRUPTED: frozenset({_S.CHANGING, _S.JUDGING, _S.RETURNING, _S.RESOLVED_BY_HAND}),
    _S.RETURNING: frozenset({_S.PROVING, _S.STUCK}),
    _S.PROVING: frozenset({_S.RETURNED, _S.STUCK}),
    _S.STUCK: frozenset({_S.PROVING, _S.RETURNED, _S.RESOLVED_BY_HAND}),
    _S.DONE: frozenset(),
    _S.RETURNED: frozenset(),
    _S.REFUSED: frozenset(),
    _S.RESOLVED_BY_HAND: frozenset(),
}

FINAL: Final = frozenset(state for state, onward in ALLOWED.items() if not onward)
UNTOUCHED: Final = frozenset({_S.PLANNED, _S.PREPARING})
"""Nothing was changed yet."""
MAY_GO_BACK: Final = frozenset({_S.PLANNED, _S.PREPARING, _S.CHANGING, _S.JUDGING, _S.INTERRUPTED})
"""Where a click on “Go back” still has something to turn round."""
GOING_BACK: Final = frozenset({_S.RETURNING, _S.PROVING, _S.STUCK})
FORWARD_MOVES: Final = frozenset({_S.CHANGING, _S.DONE})
"""Moves that an emergency stop holds up. Watching, going back and proving always may."""


class EntryKind(models.TextChoices):
    """Kinds of entries in a plan's history."""

    STATE = "state", "State"
    EVIDENCE = "evidence", "Evidence"
    ACTION = "action", "Action"
    ALARM = "alarm", "Alarm"


class RehearsalMark(models.TextChoices):
    """How a way back was rehearsed. Only a written policy may equate them."""

    REAL_ROUTE = "real_route", "On the real route"
    STAND_IN = "stand_in", "On a stand-in cluster"
    WALKED_THROUGH = "walked_through", "Walked through"
