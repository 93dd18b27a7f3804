"""A step as somebody wrote it, before it is a row: cleaned by the same fields everywhere.

Templates are lists of drafts as data. In a template, texts may hold the names of a service
(`{namespace}`); they are filled in when a plan is made of it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from django.utils.text import slugify

from core.errors import Invalid
from core.fields import Value
from core.redaction import redact_text
from migrator.choices import Reversibility
from migrator.runners.registry import RESTORE, RUNNERS, clean_check, clean_parameters

if TYPE_CHECKING:
    from core.models import User
    from migrator.models import Service

PARAMETER, CHECK, BACK, BACK_CHECK = "parameters.", "check.", "back.", "back_check."
"""Before the name of a field, in forms and in the errors of `Invalid`."""
_EXPECTED_MAX_S = 90 * 86400
_FILLED = re.compile(r"\{([a-z_]+)\}")


@dataclass(frozen=True, kw_only=True)
class RollbackDraft:
    kind: str = RESTORE
    parameters: Mapping[str, object] = field(default_factory=dict)
    check_kind: str = "none"
    check_parameters: Mapping[str, object] = field(default_factory=dict)
    expected_s: object = 60
    owner: User | None = None


@dataclass(frozen=True, kw_only=True)
class StepDraft:
    """Values as they were typed. `rollback` is None only for a one-way step."""

    title: str
    kind: str
    key: str = ""
    parameters: Mapping[str, object] = field(default_factory=dict)
    check_kind: str = "none"
    check_parameters: Mapping[str, object] = field(default_factory=dict)
    expected_s: object = 60
    reversibility: str = Reversibility.REVERSIBLE
    reversible_days: object = None
    why_one_way: str = ""
    rollback: RollbackDraft | None = None


@dataclass(frozen=True, kw_only=True)
class Cleaned:
    """Columns of the step, and of its way back."""

    step: dict[str, Any]
    rollback: dict[str, Any] | None


def clean_draft(draft: StepDraft) -> Cleaned:
    """Every value, typed. `Invalid` (`step_invalid`) names every wrong one at once."""
    errors: dict[str, str] = {}
    title = redact_text(draft.title.strip())
    if not title:
        errors["title"] = "Title: say in a few words what this step does."
    elif len(title) > 120:
        errors["title"] = f"Title: at most 120 characters, not {len(title)}."
    step: dict[str, Any] = {
        "title": title,
        "key": slugify(draft.key or title)[:60],
        "kind": draft.kind,
        "parameters": _take(errors, PARAMETER, clean_parameters, draft.kind, draft.parameters),
        "check_kind": draft.check_kind,
        "check_parameters": _take(
            errors, CHECK, clean_check, draft.check_kind, draft.check_parameters
        ),
        "expected_s": _whole(errors, "expected_s", "Expected duration", draft.expected_s),
        **_reversibility(errors, draft),
    }
    rollback = None
    if step["reversibility"] != Reversibility.ONE_WAY:
        rollback = _clean_rollback(errors, draft)
    if errors:
        first = next(iter(errors))
        raise Invalid(errors[first], code="step_invalid", field=first, errors=errors)
    return Cleaned(step=step, rollback=rollback)


def as_data(draft: StepDraft) -> dict[str, Any]:
    """A draft for a template: plain data, without the people."""
    back = draft.rollback
    return {
        "title": draft.title,
        "key": draft.key or slugify(draft.title)[:60],
        "kind": draft.kind,
        "parameters": dict(draft.parameters),
        "check_kind": draft.check_kind,
        "check_parameters": dict(draft.check_parameters),
        "expected_s": draft.expected_s,
        "reversibility": draft.reversibility,
        "reversible_days": draft.reversible_days,
        "why_one_way": draft.why_one_way,
        "rollback": None
        if back is None
        else {
            "kind": back.kind,
            "parameters": dict(back.parameters),
            "check_kind": back.check_kind,
            "check_parameters": dict(back.check_parameters),
            "expected_s": back.expected_s,
        },
    }


def from_data(data: Mapping[str, Any], *, owner: User | None) -> StepDraft:
    """The draft that `as_data` gave; `owner` answers for its way back."""
    back = data.get("rollback")
    known = {name: data[name] for name in _NAMES if name in data}
    rollback = RollbackDraft(**back, owner=owner) if back is not None else None
    return StepDraft(**known, rollback=rollback)


_NAMES = (
    "title",
    "key",
    "kind",
    "parameters",
    "check_kind",
    "check_parameters",
    "expected_s",
    "reversibility",
    "reversible_days",
    "why_one_way",
)


def names_of(service: Service) -> dict[str, str]:
    """What the placeholders of a template stand for."""
    workload = service.workload or service.slug
    return {
        "namespace": service.namespace or "default",
        "route": service.route or workload,
        "workload": workload,
        "slug": service.slug,
        "legacy_service": f"{workload}-legacy",
        "kubernetes_service": workload,
        "legacy_address": service.legacy_address or "the legacy address",
    }


def offered_for(service: Service) -> dict[str, str]:
    """What the fields of a new step begin with, by their names: what the inventory knows. Nothing
    is guessed where it knows nothing."""
    known = {"namespace": service.namespace, "route": service.route}
    if service.workload:
        names = names_of(service)
        known |= {
            "kind": service.workload_kind,
            "name": service.workload,
            "legacy_service": names["legacy_service"],
            "kubernetes_service": names["kubernetes_service"],
        }
    return {name: value for name, value in known.items() if value}


def filled_in(value: Any, names: Mapping[str, str]) -> Any:
    """The same data with every placeholder replaced; what is none of ours stays as it is."""
    if isinstance(value, str):
        return _FILLED.sub(lambda found: names.get(found[1], found[0]), value)
    if isinstance(value, Mapping):
        return {key: filled_in(item, names) for key, item in value.items()}
    if isinstance(value, list):
        return [filled_in(item, names) for item in value]
    return value


def _clean_rollback(errors: dict[str, str], draft: StepDraft) -> dict[str, Any] | None:
    back = draft.rollback
    if back is None:
        errors["back_kind"] = "Way back: without one no step starts. Choose how it is undone."
        return None
    parameters: Mapping[str, Value] = {}
    runner = RUNNERS.get(draft.kind)
    if back.kind == RESTORE:
        why = runner.why_no_restore(draft.parameters) if runner is not None else ""
        if why:
            errors["back_kind"] = f"Way back: {why}."
    elif back.kind in RUNNERS and not RUNNERS[back.kind].may_be_way_back:
        errors["back_kind"] = f"Way back: “{RUNNERS[back.kind].title}” is no way back."
    else:
        parameters = _take(errors, BACK, clean_parameters, back.kind, back.parameters)
    if back.owner is None:
        errors["back_owner"] = "Who answers for the way back: name a person."
    return {
        "kind": back.kind,
        "parameters": parameters,
        "check_kind": back.check_kind,
        "check_parameters": _take(
            errors, BACK_CHECK, clean_check, back.check_kind, back.check_parameters
        ),
        "expected_s": _whole(errors, "back_expected_s", "Expected duration", back.expected_s),
        "owner": back.owner,
    }


def _reversibility(errors: dict[str, str], draft: StepDraft) -> dict[str, Any]:
    kind, days, why = draft.reversibility, None, ""
    if kind not in Reversibility.values:
        errors["reversibility"] = f"Reversibility: {kind!r} is none of ours."
    elif kind == Reversibility.UNTIL:
        days = _whole(errors, "reversible_days", "Reversible for", draft.reversible_days, 3650)
    elif kind == Reversibility.ONE_WAY:
        why = redact_text(draft.why_one_way.strip())
        if not why:
            errors["why_one_way"] = "Why it is one way: say it, for whoever signs."
        elif len(why) > 300:
            errors["why_one_way"] = f"Why it is one way: at most 300 characters, not {len(why)}."
    return {"reversibility": kind, "reversible_days": days, "why_one_way": why}


def _take(
    errors: dict[str, str], prefix: str, clean: Any, kind: str, given: Mapping[str, object]
) -> dict[str, Value]:
    try:
        return dict(clean(kind, given))
    except Invalid as error:
        for name, text in error.errors.items():
            own = name in ("kind", "check_kind")
            errors[{BACK: "back_kind", BACK_CHECK: "back_check_kind"}.get(prefix, name) if own
                   else f"{prefix}{name}"] = text  # fmt: skip
        return {}


def _whole(
    errors: dict[str, str], name: str, label: str, given: object, most: int = _EXPECTED_MAX_S
) -> int:
    try:
        number = int(str(given).strip())
    except ValueError:
        errors[name] = f"{label}: {given!r} is no whole number."
        return 0
    if not 1 <= number <= most:
        errors[name] = f"{label}: {number} is out of bounds; choose 1 to {most}."
    return number
