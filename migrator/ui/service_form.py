"""The form of a service: its fields as typed, with what is wrong beside each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from core import selectors as core_selectors
from core.errors import Conflict, DomainError, Invalid
from migrator.operations.services import values_of
from migrator.selectors import services as selectors
from migrator.service_fields import BY_NAME, TextField, in_text, write_links

if TYPE_CHECKING:
    from core.models import Cluster, Team, User
    from migrator.models import Service

WHAT = ("name", "description", "tags", "links")
LEGACY = ("legacy_hosts", "legacy_address", "legacy_capacity", "legacy_capacity_unit")
TARGET = ("namespace", "workload_kind", "workload", "route")
FROM_ADDRESS = ("name", "namespace", "workload_kind", "workload", "route")
"""What a link to a new service's form may fill in."""


@dataclass(frozen=True)
class Shown:
    """A field with what was typed, what is wrong with it, and what stands there now."""

    field: TextField
    value: str
    error: str = ""
    now: str | None = None


@dataclass
class ServiceForm:
    user: User
    values: Mapping[str, str]
    """As typed, with `team` and `cluster` as their slugs."""
    version: int = 0
    service: Service | None = None
    errors: dict[str, str] = field(default_factory=dict)
    top: list[str] = field(default_factory=list)
    moved_on: bool = False

    @classmethod
    def fresh(cls, user: User, data: Mapping[str, str]) -> ServiceForm:
        """An empty form, with what the address brings from a look into a cluster."""
        values = {name: data[name] for name in (*FROM_ADDRESS, "cluster") if name in data}
        form = cls(user, values)
        if len(form.teams) == 1:
            form.values = {**values, "team": form.teams[0].slug}
        return form

    @classmethod
    def posted(
        cls, user: User, data: Mapping[str, str], service: Service | None = None
    ) -> ServiceForm:
        version = data.get("version", "")
        known = int(version) if version.isdecimal() and len(version) < 9 else 0
        return cls(user, dict(data), version=known, service=service)

    @classmethod
    def of(cls, user: User, service: Service) -> ServiceForm:
        return cls(user, texts_of(service), version=service.version, service=service)

    @property
    def given(self) -> dict[str, str]:
        return {name: self.values.get(name, "") for name in BY_NAME}

    @property
    def teams(self) -> list[Team]:
        return list(core_selectors.teams_that_keep_services(self.user))

    @property
    def clusters(self) -> list[Cluster]:
        """Those that the person sees, and the one that the service is on already."""
        found = list(selectors.clusters_to_choose(self.user))
        current = self.service.cluster if self.service else None
        return found if current is None or current in found else [current, *found]

    @property
    def team(self) -> Team:
        """The chosen team. Raises Invalid."""
        slug = self.values.get("team", "")
        found = next((team for team in self.teams if team.slug == slug), None)
        if found is None:
            raise Invalid("Choose the team that owns it.", field="team")
        return found

    @property
    def cluster(self) -> Cluster | None:
        """The chosen cluster, None for none. Raises Invalid."""
        slug = self.values.get("cluster", "")
        if not slug:
            return None
        found = next((each for each in self.clusters if each.slug == slug), None)
        if found is None:
            raise Invalid("Choose one of these clusters, or none yet.", field="cluster")
        return found

    def take(self, error: DomainError) -> None:
        """Put a refusal beside its fields, or on top."""
        errors = error.errors if isinstance(error, Invalid) and error.errors else {}
        for name, text in (errors or {error.field or "": error.message}).items():
            if name in (*BY_NAME, "team", "cluster"):
                self.errors[name] = text
            else:
                self.top.append(text)

    def take_conflict(self, error: Conflict, now: Service) -> None:
        """Somebody else was faster: what is typed stays, beside it stands what is there now."""
        if error.code != "edited_meanwhile":
            self.take(error)
            return
        self.service, self.version, self.moved_on = now, now.version, True

    @property
    def what(self) -> list[Shown]:
        return [self._shown(name) for name in WHAT]

    @property
    def legacy(self) -> list[Shown]:
        return [self._shown(name) for name in LEGACY]

    @property
    def target(self) -> list[Shown]:
        return [self._shown(name) for name in TARGET]

    @property
    def tier(self) -> Shown:
        return self._shown("tier")

    def _shown(self, name: str) -> Shown:
        value = self.values.get(name, "3" if name == "tier" else "")
        now = None
        if self.moved_on and self.service is not None:
            stands = texts_of(self.service)[name]
            now = stands if stands != value.replace("\r\n", "\n").strip() else None
        return Shown(BY_NAME[name], value, self.errors.get(name, ""), now)


def texts_of(service: Service) -> dict[str, str]:
    """The fields of a service as a person would type them."""
    values = values_of(service)
    texts = {name: in_text(name, value) for name, value in values.items()}
    texts["links"] = write_links([(link.label, link.url) for link in service.links.all()], "\n")
    cluster = service.cluster.slug if service.cluster else ""
    return texts | {"team": service.team.slug, "cluster": cluster}
