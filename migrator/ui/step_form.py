"""The form of a step: what it does, its check, and its way back. Used for plans and templates.

Which fields are asked for depends on what is chosen (kind of check, way back). Without JavaScript a
button shows them; with it they come by themselves. Nothing that was typed is lost on the way.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from core.errors import Conflict, Invalid
from core.fields import Field
from core.ui.shown import Shown
from migrator.choices import Reversibility
from migrator.operations.drafts import (
    BACK,
    BACK_CHECK,
    CHECK,
    PARAMETER,
    RollbackDraft,
    StepDraft,
)
from migrator.runners.checks import CHECKS
from migrator.runners.registry import RESTORE, RUNNERS

if TYPE_CHECKING:
    from django.db.models import QuerySet

    from core.models import User
    from migrator.models import Step
    from migrator.runners.base import Runner

_CHECK_CHOICES = tuple((key, check.title) for key, check in CHECKS.items())
_BACK_CHOICES = (
    (RESTORE, "Put back what the step wrote down"),
    *((key, runner.title) for key, runner in RUNNERS.items() if runner.may_be_way_back),
)
_TITLE = Field(name="title", label="Title", longest=120)
_EXPECTED = Field(
    name="expected_s", label="Takes about", kind="integer", default="60", unit="seconds"
)
_REVERSIBILITY = Field(
    name="reversibility",
    label="Can it be undone?",
    kind="choice",
    default=Reversibility.REVERSIBLE,
    choices=tuple(Reversibility.choices),
)
_DAYS = Field(
    name="reversible_days", label="For how long", kind="integer", required=False, unit="days"
)
_WHY = Field(
    name="why_one_way",
    label="Why it is one way",
    required=False,
    help="A second person has to sign it off, with a reason.",
)
_CHECK_KIND = Field(
    name="check_kind",
    label="Checked by",
    kind="choice",
    default="none",
    choices=_CHECK_CHOICES,
)
_BACK_KIND = Field(
    name="back_kind", label="Way back", kind="choice", default=RESTORE, choices=_BACK_CHOICES
)
_BACK_CHECK_KIND = Field(
    name="back_check_kind",
    label="Back when",
    kind="choice",
    default="none",
    choices=_CHECK_CHOICES,
)
_BACK_EXPECTED = Field(
    name="back_expected_s", label="Back within about", kind="integer", default="60", unit="seconds"
)


@dataclass
class StepForm:
    kind_key: str
    values: Mapping[str, str]
    """As typed, by the inputs' names."""
    version: int = 0
    errors: dict[str, str] = field(default_factory=dict)
    top: list[str] = field(default_factory=list)
    """What is wrong and belongs to no field."""
    offered: Mapping[str, str] = field(default_factory=dict)
    """What fields begin with where nothing was typed, by their own names."""
    owners: QuerySet[User] | None = None
    """Who may answer for the way back; None in a template, which has no people."""

    @classmethod
    def posted(cls, kind: str, data: Mapping[str, Any]) -> StepForm:
        version = str(data.get("version", ""))
        return cls(
            kind,
            {name: str(value) for name, value in data.items()},
            version=int(version) if version.isdecimal() and len(version) < 10 else 0,
        )

    @classmethod
    def of_step(cls, step: Step) -> StepForm:
        back = getattr(step, "rollback", None)
        values: dict[str, object] = {
            "title": step.title,
            "expected_s": step.expected_s,
            "reversibility": step.reversibility,
            "reversible_days": step.reversible_days,
            "why_one_way": step.why_one_way,
            "check_kind": step.check_kind,
            **_prefixed(PARAMETER, step.parameters),
            **_prefixed(CHECK, step.check_parameters),
        }
        if back is not None:
            values |= {
                "back_kind": back.kind,
                "back_check_kind": back.check_kind,
                "back_expected_s": back.expected_s,
                "back_owner": back.owner_id,
                **_prefixed(BACK, back.parameters),
                **_prefixed(BACK_CHECK, back.check_parameters),
            }
        return cls(step.kind, _as_typed(values), version=step.plan.version)

    @classmethod
    def of_data(cls, data: Mapping[str, Any], version: int) -> StepForm:
        """Of a step in a template."""
        back = data.get("rollback") or {}
        names = ("title", "expected_s", "reversibility", "reversible_days", "why_one_way")
        values = {
            **{name: data.get(name) for name in names},
            "check_kind": data.get("check_kind", "none"),
            **_prefixed(PARAMETER, data.get("parameters", {})),
            **_prefixed(CHECK, data.get("check_parameters", {})),
            "back_kind": back.get("kind", RESTORE),
            "back_check_kind": back.get("check_kind", "none"),
            "back_expected_s": back.get("expected_s", 60),
            **_prefixed(BACK, back.get("parameters", {})),
            **_prefixed(BACK_CHECK, back.get("check_parameters", {})),
        }
        return cls(str(data["kind"]), _as_typed(values), version=version)

    @property
    def runner(self) -> Runner:
        return RUNNERS[self.kind_key]

    def draft(self, owner: User | None) -> StepDraft:
        rollback = None
        if self._value(_REVERSIBILITY) != Reversibility.ONE_WAY:
            kind = self._value(_BACK_KIND)
            back_fields = RUNNERS[kind].fields if kind in RUNNERS else ()
            rollback = RollbackDraft(
                kind=kind,
                parameters=self._given(BACK, back_fields),
                check_kind=self._value(_BACK_CHECK_KIND),
                check_parameters=self._given(BACK_CHECK, self._check_fields(_BACK_CHECK_KIND)),
                expected_s=self._value(_BACK_EXPECTED),
                owner=owner,
            )
        return StepDraft(
            title=self.values.get("title", ""),
            kind=self.kind_key,
            parameters=self._given(PARAMETER, self.runner.fields),
            check_kind=self._value(_CHECK_KIND),
            check_parameters=self._given(CHECK, self._check_fields(_CHECK_KIND)),
            expected_s=self._value(_EXPECTED),
            reversibility=self._value(_REVERSIBILITY),
            reversible_days=self.values.get("reversible_days", ""),
            why_one_way=self.values.get("why_one_way", ""),
            rollback=rollback,
        )

    def take(self, error: Invalid | Conflict) -> None:
        """Put a refusal beside its fields, or on top."""
        known = {each.name for each in self.shown} | {"back_owner"}
        errors = error.errors if isinstance(error, Invalid) and error.errors else {}
        for name, text in (errors or {error.field or "": error.message}).items():
            if name in known:
                self.errors[name] = text
            else:
                self.top.append(text)

    # -- what the page shows ----------------------------------------------------------------------

    @property
    def title(self) -> Shown:
        return self._shown(_TITLE)

    @property
    def settings(self) -> list[Shown]:
        return [self._shown(each, PARAMETER) for each in self.runner.fields]

    @property
    def check_kind(self) -> Shown:
        return self._shown(_CHECK_KIND)

    @property
    def check(self) -> list[Shown]:
        return [self._shown(each, CHECK) for each in self._check_fields(_CHECK_KIND)]

    @property
    def undoing(self) -> list[Shown]:
        return [self._shown(each) for each in (_REVERSIBILITY, _DAYS, _WHY)]

    @property
    def expected(self) -> Shown:
        return self._shown(_EXPECTED)

    @property
    def back_kind(self) -> Shown:
        return self._shown(_BACK_KIND)

    @property
    def back(self) -> list[Shown]:
        runner = RUNNERS.get(self._value(_BACK_KIND))
        return [self._shown(each, BACK) for each in runner.fields] if runner else []

    @property
    def back_check_kind(self) -> Shown:
        return self._shown(_BACK_CHECK_KIND)

    @property
    def back_check(self) -> list[Shown]:
        return [self._shown(each, BACK_CHECK) for each in self._check_fields(_BACK_CHECK_KIND)]

    @property
    def back_expected(self) -> Shown:
        return self._shown(_BACK_EXPECTED)

    @property
    def back_owner(self) -> str:
        return self.values.get("back_owner", "")

    @property
    def back_owner_error(self) -> str:
        return self.errors.get("back_owner", "")

    @property
    def shown(self) -> list[Shown]:
        return [
            self.title,
            *self.settings,
            self.check_kind,
            *self.check,
            *self.undoing,
            self.expected,
            self.back_kind,
            *self.back,
            self.back_check_kind,
            *self.back_check,
            self.back_expected,
        ]

    def _check_fields(self, kind: Field) -> tuple[Field, ...]:
        found = CHECKS.get(self._value(kind))
        return found.fields if found else ()

    def _given(self, prefix: str, fields: tuple[Field, ...]) -> dict[str, object]:
        return {
            each.name: self.values[f"{prefix}{each.name}"]
            for each in fields
            if f"{prefix}{each.name}" in self.values
        }

    def _value(self, each: Field) -> str:
        return self.values.get(each.name, each.default)

    def _shown(self, each: Field, prefix: str = "") -> Shown:
        name = f"{prefix}{each.name}"
        begins = each.default
        if prefix:
            offer = self.offered.get(each.name, begins)
            fits = not each.choices or offer in dict(each.choices)
            begins = offer if fits else begins
        return Shown(each, name, self.values.get(name, begins), self.errors.get(name, ""))


def _prefixed(prefix: str, parameters: Mapping[str, object]) -> dict[str, object]:
    return {f"{prefix}{name}": value for name, value in parameters.items()}


def _as_typed(values: Mapping[str, object]) -> dict[str, str]:
    """A share of 5.0 is written as people write it."""
    return {
        name: "" if value is None else f"{value:g}" if isinstance(value, float) else str(value)
        for name, value in values.items()
    }
