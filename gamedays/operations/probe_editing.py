"""Making, changing and switching probes: what people do between faults, never during one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import structlog
from django.db import transaction
from django.db.models import Max
from django.utils.text import slugify

from core import policies
from core.choices import SlotKind
from core.errors import Conflict, Invalid
from core.models import Cluster, SlotClaim
from gamedays.models import Finding, Probe
from gamedays.operations.probe_drafts import ProbeDraft, clean_draft
from gamedays.probes.registry import BY_HAND

if TYPE_CHECKING:
    from core.models import User

log = structlog.get_logger(__name__)
PROBES_MAX = 60
"""Of one cluster that are on. Each is a fresh connection or more every second."""
_RESERVED = frozenset({"new"})
_MEASURES = ("parameters", "timeout_s", "attempts")
"""What decides whether a look passes. A proof compares two runs, and they must look alike."""


def create_probe(*, actor: User, cluster: Cluster, draft: ProbeDraft) -> Probe:
    """Add a probe that looks at `cluster` in every run from now on.

    Raises:
        NotFound, NotAllowed: only leads and engineers make probes.
        Invalid: `probe_invalid`, every wrong value at once; `too_many_probes`.
        Conflict: `fault_live`.
    """
    policies.require_run(actor, cluster)
    values = clean_draft(draft)
    if draft.kind not in BY_HAND:
        raise Invalid(
            "Probes of this kind come with the cluster; choose another kind.", field="kind"
        )
    with transaction.atomic():
        require_quiet(cluster)
        _require_room(cluster)
        last = cluster.probes.aggregate(last=Max("position"))["last"]
        probe = Probe.objects.create(
            cluster=cluster,
            key=_free_key(cluster, values["title"]),
            position=0 if last is None else last + 1,
            **values,
        )
    _log("probe_made", actor, probe)
    return probe


def edit_probe(*, actor: User, probe: Probe, version: int, draft: ProbeDraft) -> Probe:
    """Change a probe. `version` is the row version that the person saw.

    Raises:
        NotFound, NotAllowed; Invalid as `create_probe`.
        Conflict: `fault_live`, `edited_meanwhile`, or `probe_in_findings` for a change of what is
            measured while a finding rests on it.
    """
    policies.require_run(actor, probe.cluster)
    if draft.kind != probe.kind:
        raise Invalid("A probe keeps its kind; make a new one for another.", field="kind")
    values = clean_draft(draft)
    with transaction.atomic():
        require_quiet(probe.cluster)
        found = Probe.objects.select_for_update().get(pk=probe.pk)
        changed = {name: value for name, value in values.items() if getattr(found, name) != value}
        if not changed:
            return found
        if any(name in changed for name in _MEASURES):
            _require_no_finding(found)
        rows = Probe.objects.filter(pk=found.pk, version=version).update(
            version=version + 1, **changed
        )
        if rows != 1:
            raise Conflict(
                "Somebody else changed this probe meanwhile. Look at it as it is now, and change "
                "it again.",
                code="edited_meanwhile",
            )
    found.refresh_from_db()
    _log("probe_changed", actor, found, changed=sorted(changed))
    return found


def set_probe_enabled(*, actor: User, probe: Probe, enabled: bool) -> Probe:
    """Switch a probe on or off. Its samples of former runs stay.

    Raises:
        NotFound, NotAllowed; Conflict `fault_live`; Invalid `too_many_probes`.
    """
    policies.require_run(actor, probe.cluster)
    with transaction.atomic():
        require_quiet(probe.cluster)
        found = Probe.objects.select_for_update().get(pk=probe.pk)
        if found.enabled == enabled:
            return found
        if enabled:
            _require_room(probe.cluster)
        found.enabled = enabled
        found.version += 1
        found.save(update_fields=["enabled", "version"])
    _log("probe_switched", actor, found, enabled=enabled)
    return found


def require_quiet(cluster: Cluster) -> None:
    """Rows are read when a run begins and again when it is judged: both must see the same."""
    # Serialises editors; whoever starts a fault reads the probes only after taking the slot.
    Cluster.objects.select_for_update().get(pk=cluster.pk)
    busy = SlotClaim.objects.filter(
        cluster=cluster, kind=SlotKind.INJECTION, released_at__isnull=True
    )
    if busy.exists():
        raise Conflict(
            f"A fault is under way on {cluster.name}: what it is judged by stays as it is until "
            "the cluster is clean. Change probes afterwards.",
            code="fault_live",
        )


def _require_room(cluster: Cluster) -> None:
    if cluster.probes.filter(enabled=True).count() >= PROBES_MAX:
        raise Invalid(
            f"{cluster.name} has {PROBES_MAX} probes that are on; switch one off first.",
            code="too_many_probes",
        )


def _require_no_finding(probe: Probe) -> None:
    finding = Finding.objects.filter(cluster=probe.cluster, symptom__probe=probe.key).first()
    if finding is not None:
        raise Conflict(
            f"The finding “{finding.title}” rests on what this probe measures, and its proof has "
            "to measure the same. Make a new probe, and switch this one off when the finding is "
            "proved fixed.",
            code="probe_in_findings",
        )


def _free_key(cluster: Cluster, title: str) -> str:
    base = slugify(title)[:50] or "probe"
    taken = set(cluster.probes.values_list("key", flat=True)) | _RESERVED
    if base not in taken:
        return base
    return next(f"{base}-{n}" for n in range(2, len(taken) + 3) if f"{base}-{n}" not in taken)


def _log(event: str, actor: User, probe: Probe, **more: Any) -> None:
    log.info(event, actor=actor.username, cluster=probe.cluster.name, probe=probe.key, **more)
