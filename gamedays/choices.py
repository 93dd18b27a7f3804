"""States and the moves between them, as data."""

from __future__ import annotations

from typing import Final

from django.db import models


class GamedayState(models.TextChoices):
    BOOKED = "booked", "Booked"
    RUNNING = "running", "Running"
    DONE = "done", "Done"
    CANCELLED = "cancelled", "Cancelled"
    MISSED = "missed", "Missed"


GAMEDAY_OPEN: Final = (GamedayState.BOOKED, GamedayState.RUNNING)
"""A gameday in one of these has its cluster's time; no other may overlap it."""


class Purpose(models.TextChoices):
    GAMEDAY = "gameday", "Gameday"
    VERIFICATION = "verification", "Re-verification"


class InjectionState(models.TextChoices):
    """Where one fault stands. The words on pages are in `label`."""

    PLANNED = "planned", "Planned"
    PREFLIGHT = "preflight", "Checking the steady state"
    ARMING = "arming", "Arming"
    ARMED = "armed", "Armed"
    INJECTING = "injecting", "Injecting"
    ACTIVE = "active", "Fault live"
    UNDOING = "undoing", "Restoring"
    VERIFYING = "verifying", "Proving it restored"
    UNDO_STUCK = "undo_stuck", "Stuck"
    OBSERVING = "observing", "Restored, still watching"
    CLEAN = "clean", "Clean"
    REFUSED = "refused", "Refused"
    RESOLVED_BY_HAND = "resolved_by_hand", "Resolved by hand"


_S = InjectionState

ALLOWED: Final[dict[InjectionState, frozenset[InjectionState]]] = {
    _S.PLANNED: frozenset({_S.PREFLIGHT, _S.REFUSED}),
    _S.PREFLIGHT: frozenset({_S.ARMING, _S.REFUSED}),
    # From here on there are two ways only: forward, or undoing.
    _S.ARMING: frozenset({_S.ARMED, _S.UNDOING}),
    _S.ARMED: frozenset({_S.INJECTING, _S.UNDOING}),
    _S.INJECTING: frozenset({_S.ACTIVE, _S.UNDOING}),
    _S.ACTIVE: frozenset({_S.UNDOING}),
    _S.UNDOING: frozenset({_S.VERIFYING, _S.UNDO_STUCK}),
    _S.VERIFYING: frozenset({_S.OBSERVING, _S.UNDO_STUCK}),
    _S.UNDO_STUCK: frozenset({_S.VERIFYING, _S.OBSERVING, _S.RESOLVED_BY_HAND}),
    _S.OBSERVING: frozenset({_S.CLEAN}),
    _S.CLEAN: frozenset(),
    _S.REFUSED: frozenset(),
    _S.RESOLVED_BY_HAND: frozenset(),
}

FINAL: Final = frozenset(state for state, onward in ALLOWED.items() if not onward)
BEFORE_ARMING: Final = frozenset({_S.PLANNED, _S.PREFLIGHT})
BEFORE_UNDO: Final = BEFORE_ARMING | {_S.ARMING, _S.ARMED, _S.INJECTING, _S.ACTIVE}
"""Where an abort still has something to end; from `undoing` on the way back is under way."""
BY_HAND_WHERE_STUCK: Final = frozenset(
    state for state, onward in ALLOWED.items() if _S.RESOLVED_BY_HAND in onward
)
"""From where a lead may answer for a fault. The engine itself never makes this move."""
BY_HAND_WHERE_GONE: Final = frozenset(ALLOWED) - FINAL - BEFORE_ARMING
"""From where a platform owner may, when the cluster and its nodes exist no more."""


class Verdict(models.TextChoices):
    """Never green by default: without evidence a run is inconclusive."""

    HELD = "held", "Held"
    BROKE = "broke", "Broke"
    INCONCLUSIVE = "inconclusive", "Inconclusive"


class FindingStatus(models.TextChoices):
    OPEN = "open", "Open"
    ACKNOWLEDGED = "acknowledged", "Acknowledged"
    FIX_IN_PROGRESS = "fix_in_progress", "Fix in progress"
    FIX_READY = "fix_ready", "Fix ready"
    VERIFIED_FIXED = "verified_fixed", "Verified fixed"


_F = FindingStatus

FINDING_BY_HAND: Final[dict[FindingStatus, frozenset[FindingStatus]]] = {
    _F.OPEN: frozenset({_F.ACKNOWLEDGED, _F.FIX_IN_PROGRESS}),
    _F.ACKNOWLEDGED: frozenset({_F.OPEN, _F.FIX_IN_PROGRESS}),
    _F.FIX_IN_PROGRESS: frozenset({_F.ACKNOWLEDGED}),
    _F.FIX_READY: frozenset({_F.FIX_IN_PROGRESS}),
    _F.VERIFIED_FIXED: frozenset(),
}
"""What a person may set. `fix_ready` comes with a recorded fix, `verified_fixed` with a proof."""


class Severity(models.TextChoices):
    LOW = "low", "Low"
    MEDIUM = "medium", "Medium"
    HIGH = "high", "High"
    CRITICAL = "critical", "Critical"


class VerificationTask(models.TextChoices):
    """Whether the re-verification has been done; what it showed is the outcome beside it."""

    WAITING = "waiting", "Waiting for its run"
    RUNNING = "running", "Running"
    EVALUATED = "evaluated", "Evaluated"


class Outcome(models.TextChoices):
    RECURS = "recurs", "Recurs"
    DOES_NOT_RECUR = "does_not_recur", "Does not recur"
    INCONCLUSIVE = "inconclusive", "Inconclusive"
    INVALID = "invalid", "Invalid"


class ProbeKind(models.TextChoices):
    HTTP = "http", "HTTP request"
    API_READYZ = "api_readyz", "API server readiness"
    API_READ = "api_read", "API read"
    CANARY_WRITE = "canary_write", "Canary write"
    ETCD_HEALTH = "etcd_health", "etcd member health"
    TCP = "tcp", "TCP connection"
    KUBERNETES_FIELD = "kubernetes_field", "Field of a Kubernetes object"
    PROMETHEUS = "prometheus", "Prometheus query"
    ALERT_EXPECTED = "alert_expected", "Alert expected"
    ENVOY_STAT = "envoy_stat", "Envoy's own figure"
    ROUTE_CHANGE = "route_change", "Route change reaches Envoy"


class MustHold(models.TextChoices):
    """When a probe's bound is judged. What a scenario says about its kind goes first."""

    SCENARIO = "scenario", "Where a scenario asks"
    THROUGHOUT = "throughout", "From the bite to the end"
    AFTERWARDS = "afterwards", "Once the cluster is restored"


class EntryKind(models.TextChoices):
    """Kinds of timeline entries."""

    STATE = "state", "State"
    EVIDENCE = "evidence", "Evidence"
    ACTION = "action", "Action"
    ALARM = "alarm", "Alarm"
    NOTE = "note", "Note"


class Alarm(models.TextChoices):
    """What an alarm on the timeline is about; in the entry's data under `alarm`."""

    STUCK = "stuck", "The way back is stuck"
    MASS_TERMINATION = "mass_termination", "Mass termination"
    STOP_CONDITION = "stop_condition", "A stop condition was met"
    CONDUCTING = "conducting", "Nobody can conduct it"


class PodSource(models.TextChoices):
    """Who saw it: while the API is away only the nodes can tell."""

    API = "api", "API"
    GUARD = "guard", "Guard"
