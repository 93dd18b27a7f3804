"""A probe as a person writes it down, and the row that it becomes: every wrong value at once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from core.errors import Invalid
from core.fields import Field, clean_all
from gamedays.choices import MustHold, ProbeKind
from gamedays.probes.base import ProbeSpec
from gamedays.probes.registry import BY_HAND, KINDS, clean_parameters

PARAMETER = "parameters."
"""Before the name of a parameter in the errors of a draft: `parameters.url`."""
TITLE = Field(name="title", label="Name", longest=120, placeholder="Shop, through Envoy")
TIMEOUT = Field(
    name="timeout_s",
    label="Patience",
    kind="number",
    default="4",
    minimum=0.2,
    maximum=5,
    unit="seconds",
    help="For one attempt in all. Slower than usual is not down: the latency tells that.",
)
ATTEMPTS = Field(
    name="attempts",
    label="Attempts a second",
    kind="integer",
    default="1",
    minimum=1,
    maximum=5,
    help="More than one shows a load balancer with all that stands behind it.",
)
MUST_HOLD = Field(
    name="must_hold",
    label="Has to hold",
    kind="choice",
    default=MustHold.THROUGHOUT,
    choices=tuple((value.value, str(value.label)) for value in MustHold),
    help="Where a scenario says something about this kind of probe, that goes first.",
)
ABORT_AFTER = Field(
    name="abort_after_s",
    label="Abort the fault when it fails for",
    kind="integer",
    required=False,
    minimum=3,
    maximum=600,
    unit="seconds in a row",
    help="Left empty, it never ends a fault.",
)
COMMON = (TITLE, TIMEOUT, ATTEMPTS, MUST_HOLD, ABORT_AFTER)


@dataclass(frozen=True, kw_only=True)
class ProbeDraft:
    """What was typed; `clean_draft` says what is wrong with it."""

    kind: str
    title: object = ""
    parameters: Mapping[str, object] = field(default_factory=dict)
    timeout_s: object = None
    attempts: object = None
    must_hold: object = None
    abort_after_s: object = None
    felt_by_users: bool = False


def clean_draft(draft: ProbeDraft) -> dict[str, Any]:
    """The fields of the row, without key and position.

    Raises:
        Invalid: `probe_invalid`, with a sentence for every wrong value at once; those of the
            kind's own settings are named `parameters.…`.
    """
    if draft.kind not in KINDS:
        known = ", ".join(sorted(BY_HAND))
        raise Invalid(
            f"There is no kind of probe {draft.kind!r}; choose one of {known}.", field="kind"
        )
    errors: dict[str, str] = {}
    values: dict[str, Any] = {"abort_after_s": None}
    try:
        given = {each.name: getattr(draft, each.name) for each in COMMON}
        if draft.must_hold is None:
            given["must_hold"] = KINDS[draft.kind].must_hold
        values |= clean_all("A probe", COMMON, given)
    except Invalid as error:
        errors |= error.errors
    try:
        values["parameters"] = clean_parameters(draft.kind, draft.parameters)
    except Invalid as error:
        errors |= {f"{PARAMETER}{name}": text for name, text in error.errors.items()}
    errors |= _together(draft)
    if errors:
        first = next(iter(errors))
        raise Invalid(errors[first], code="probe_invalid", field=first, errors=errors)
    if not KINDS[draft.kind].steady:
        values["must_hold"] = MustHold.THROUGHOUT  # an alert's window is its own, in every run
    return values | {"kind": draft.kind, "felt_by_users": draft.felt_by_users}


def spec_of_draft(draft: ProbeDraft) -> ProbeSpec:
    """The draft as a probe that can look now. Raises Invalid as `clean_draft`."""
    values = clean_draft(draft)
    return ProbeSpec(id=0, key="draft", target="", **values)


def _together(draft: ProbeDraft) -> dict[str, str]:
    kind, label = KINDS[draft.kind], ProbeKind(draft.kind).label
    errors = {}
    if draft.felt_by_users and not kind.users_may_feel:
        errors["felt_by_users"] = f"“{label}” is nothing that a user feels; untick this."
    if draft.abort_after_s and not kind.steady:
        errors["abort_after_s"] = (
            f"“{label}” is silent before a fault, and so its silence ends none; empty this."
        )
    return errors
