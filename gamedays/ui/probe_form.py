"""The form of a probe: one set of fields for all, and those of its kind."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from core.errors import Conflict, Invalid
from core.fields import Field
from core.ui.shown import Shown
from gamedays.operations.probe_drafts import (
    ABORT_AFTER,
    ATTEMPTS,
    COMMON,
    MUST_HOLD,
    PARAMETER,
    TIMEOUT,
    TITLE,
    ProbeDraft,
)
from gamedays.probes.comparisons import in_words
from gamedays.probes.registry import KINDS

if TYPE_CHECKING:
    from gamedays.models import Probe
    from gamedays.operations.probe_trials import Trial
    from gamedays.probes.base import Kind


@dataclass
class ProbeForm:
    kind_key: str
    values: Mapping[str, str]
    """As typed: common fields by name, those of the kind as `parameters.…`."""
    felt: bool
    version: int = 0
    errors: dict[str, str] = field(default_factory=dict)
    top: list[str] = field(default_factory=list)
    """What is wrong and belongs to no field."""
    trial: Trial | None = None

    @classmethod
    def fresh(cls, kind: str) -> ProbeForm:
        return cls(kind, {"must_hold": KINDS[kind].must_hold}, felt=False)

    @classmethod
    def posted(cls, kind: str, data: Mapping[str, str]) -> ProbeForm:
        version = str(data.get("version", ""))
        return cls(
            kind,
            {name: str(value) for name, value in data.items()},
            felt="felt_by_users" in data,
            version=int(version) if version.isdecimal() else 0,
        )

    @classmethod
    def of(cls, probe: Probe) -> ProbeForm:
        values = {each.name: _text(getattr(probe, each.name)) for each in COMMON}
        values |= {f"{PARAMETER}{name}": _text(v) for name, v in probe.parameters.items()}
        return cls(probe.kind, values, felt=probe.felt_by_users, version=probe.version)

    @property
    def kind(self) -> Kind:
        return KINDS[self.kind_key]

    @property
    def draft(self) -> ProbeDraft:
        return ProbeDraft(
            kind=self.kind_key,
            title=self.values.get("title", ""),
            parameters={
                each.name: self.values.get(f"{PARAMETER}{each.name}") for each in self.kind.fields
            },
            timeout_s=self.values.get("timeout_s"),
            attempts=self.values.get("attempts"),
            must_hold=self.values.get("must_hold"),
            abort_after_s=self.values.get("abort_after_s"),
            felt_by_users=self.felt,
        )

    def take(self, error: Invalid | Conflict) -> None:
        """Put a refusal beside its fields, or on top."""
        known = {each.name for each in self.shown} | {"felt_by_users"}
        errors = error.errors if isinstance(error, Invalid) and error.errors else {}
        for name, text in (errors or {error.field or "": error.message}).items():
            if name in known:
                self.errors[name] = text
            else:
                self.top.append(text)

    @property
    def title(self) -> Shown:
        return self._shown(TITLE)

    @property
    def settings(self) -> list[Shown]:
        return [self._shown(each, PARAMETER) for each in self.kind.fields]

    @property
    def judging(self) -> list[Shown]:
        """An alert is judged in its own way: none of these is asked about it."""
        return [self._shown(MUST_HOLD), self._shown(ABORT_AFTER)] if self.kind.steady else []

    @property
    def looking(self) -> list[Shown]:
        return [self._shown(TIMEOUT), *([self._shown(ATTEMPTS)] if self.kind.steady else [])]

    @property
    def shown(self) -> list[Shown]:
        return [self.title, *self.settings, *self.judging, *self.looking]

    @property
    def felt_error(self) -> str:
        return self.errors.get("felt_by_users", "")

    def _shown(self, each: Field, prefix: str = "") -> Shown:
        name = f"{prefix}{each.name}"
        value = self.values.get(name, "" if self.version else each.default)
        return Shown(each, name, value, self.errors.get(name, ""))


def _text(value: object) -> str:
    if value is None:
        return ""
    return in_words(value) if isinstance(value, str | int | float) else str(value)
