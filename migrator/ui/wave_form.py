"""The form of a wave: its fields as typed, with what is wrong beside each."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from core.errors import Conflict, DomainError, Invalid
from migrator.wave_policies import teams_led

if TYPE_CHECKING:
    from core.models import Team, User
    from migrator.models import Wave

FIELDS = ("name", "starts_on", "ends_on", "note", "team")
_LABELS = {"name": "Name", "starts_on": "First day", "ends_on": "Last day", "note": "Note"}


@dataclass
class WaveForm:
    user: User
    values: Mapping[str, str]
    """As typed, with `team` as its slug."""
    version: int = 0
    wave: Wave | None = None
    errors: dict[str, str] = field(default_factory=dict)
    top: list[str] = field(default_factory=list)
    now: list[tuple[str, str]] = field(default_factory=list)
    """What stands there now, where somebody else was faster and it is not what is typed."""

    @classmethod
    def fresh(cls, user: User) -> WaveForm:
        teams = teams_led(user)
        return cls(user, {"team": teams[0].slug if len(teams) == 1 else ""})

    @classmethod
    def of(cls, user: User, wave: Wave) -> WaveForm:
        return cls(user, _texts(wave), version=wave.version, wave=wave)

    @classmethod
    def posted(cls, user: User, data: Mapping[str, str], wave: Wave | None = None) -> WaveForm:
        return cls(user, dict(data), version=version_of(data), wave=wave)

    @property
    def teams(self) -> list[Team]:
        return teams_led(self.user)

    @property
    def team(self) -> Team:
        """The chosen team. Raises Invalid."""
        slug = self.values.get("team", "")
        found = next((team for team in self.teams if team.slug == slug), None)
        if found is None:
            raise Invalid("Choose the team whose leads plan this wave.", field="team")
        return found

    @property
    def starts_on(self) -> dt.date | None:
        return _day(self.values.get("starts_on", ""))

    @property
    def ends_on(self) -> dt.date | None:
        return _day(self.values.get("ends_on", ""))

    def take(self, error: DomainError) -> None:
        """Put a refusal beside its fields, or on top."""
        errors = error.errors if isinstance(error, Invalid) and error.errors else {}
        for name, text in (errors or {error.field or "": error.message}).items():
            if name in FIELDS:
                self.errors[name] = text
            else:
                self.top.append(text)

    def take_conflict(self, error: Conflict, now: Wave) -> None:
        """Somebody else was faster: what is typed stays, beside it stands what is there now."""
        self.take(error)
        if error.code == "edited_meanwhile":
            stands = _texts(now)
            self.wave, self.version = now, now.version
            self.now = [
                (label, stands[name] or "nothing")
                for name, label in _LABELS.items()
                if stands[name] != self.values.get(name, "").replace("\r\n", "\n").strip()
            ]


def version_of(data: Mapping[str, str]) -> int:
    """The row version that a form was drawn with; 0, which no row has, for anything else."""
    given = data.get("version", "")
    return int(given) if given.isascii() and given.isdecimal() and len(given) < 9 else 0


def _texts(wave: Wave) -> dict[str, str]:
    return {
        "name": wave.name,
        "starts_on": wave.starts_on.isoformat(),
        "ends_on": wave.ends_on.isoformat(),
        "note": wave.note,
        "team": wave.team.slug,
    }


def _day(text: str) -> dt.date | None:
    try:
        return dt.date.fromisoformat(text.strip())
    except ValueError:
        return None
