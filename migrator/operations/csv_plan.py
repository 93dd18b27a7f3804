"""What a CSV file would do to the inventory: every error in it, and every change that it makes.

Reads only, with a number of queries that does not depend on the rows. The same plan is made for
the preview and, inside the transaction, for the import.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from core import selectors as core_selectors
from core.models import Cluster, Team
from migrator.csv_format import COLUMNS, Complaint, Table, read_csv
from migrator.models import Service
from migrator.operations.service_history import difference
from migrator.operations.services import values_of
from migrator.selectors import csv_files
from migrator.selectors import services as selectors
from migrator.service_fields import BY_NAME, EMPTY, Value, read_all, wrong_together

if TYPE_CHECKING:
    from core.models import User

DEPENDS_MAX = 200


@dataclass
class Change:
    """One row that does something: what the service has afterwards, and what that differs in."""

    row: int
    name: str
    service: Service | None
    """None for one that is to be made."""
    values: dict[str, Value]
    team: Team
    cluster: Cluster | None
    needs: list[str] | None
    """Names of what it needs; None where the file does not say."""
    details: dict[str, list[str]] = field(default_factory=dict)


@dataclass
class Plan:
    complaints: list[Complaint] = field(default_factory=list)
    created: list[Change] = field(default_factory=list)
    changed: list[Change] = field(default_factory=list)
    unchanged: int = 0

    @property
    def touched(self) -> int:
        """Services that are made or changed."""
        return len(self.created) + len(self.changed)

    @property
    def total(self) -> int:
        """Rows without an error."""
        return self.touched + self.unchanged

    @property
    def digest(self) -> str:
        """Same digest, same changes from the same state: what was confirmed is what is done."""
        said = [
            [each.row, each.name, each.service.version if each.service else 0, each.details]
            for each in (*self.created, *self.changed)
        ]
        return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()


def make_plan(*, actor: User, content: bytes, lock: bool = False) -> Plan:
    """What importing `content` would do for `actor`. `lock` holds the rows until the commit."""
    table = read_csv(content)
    plan = Plan(complaints=list(table.complaints))
    if table.columns and table.rows:
        _Planner(actor, table, plan, lock=lock).run()
    order = {column: at for at, column in enumerate(COLUMNS)}
    plan.complaints.sort(key=lambda each: (each.row, order.get(each.column, -1)))
    return plan


class _Planner:
    def __init__(self, actor: User, table: Table, plan: Plan, *, lock: bool) -> None:
        self.table, self.plan = table, plan
        self.teams = _by_name_and_slug(core_selectors.teams_that_keep_services(actor))
        self.kept = {team.pk for team in self.teams.values()}
        self.clusters = _by_name_and_slug(selectors.clusters_to_choose(actor))
        in_file = {" ".join(row.get("name", "").split()) for _number, row in table.rows}
        found = Service.objects.filter(name__in=in_file).order_by("pk")
        # In one order, so that two imports cannot wait for each other.
        self.known = {each.name: each for each in (found.select_for_update() if lock else found)}
        self._complete()
        self.names = dict(Service.objects.values_list("name", "pk"))
        self.lowered = {name.lower(): name for name in self.names}
        self.visible = set(Service.objects.visible_to(actor).values_list("pk", flat=True))
        self.coming = table.names

    def _complete(self) -> None:
        """What belongs to the known services."""
        ids = [each.pk for each in self.known.values()]
        teams, clusters = Team.objects.in_bulk(), Cluster.objects.in_bulk()
        for service in self.known.values():
            service.team = teams[service.team_id]
            service.cluster = clusters[service.cluster_id] if service.cluster_id else None
        self.links, self.needs = csv_files.links_of(ids), csv_files.needs_of(ids)

    def run(self) -> None:
        first: dict[str, int] = {}
        for number, row in self.table.rows:
            errors: dict[str, str] = {}
            change = self._change(number, row, errors, first)
            self.plan.complaints += [
                Complaint(number, column, message) for column, message in errors.items()
            ]
            if change is None or errors:
                continue
            if change.service is None:
                self.plan.created.append(change)
            elif change.details:
                self.plan.changed.append(change)
            else:
                self.plan.unchanged += 1

    def _change(
        self, number: int, row: Mapping[str, str], errors: dict[str, str], first: dict[str, int]
    ) -> Change | None:
        values, wrong = read_all({name: text for name, text in row.items() if name in BY_NAME})
        errors |= wrong
        name = str(values.get("name", ""))
        if not name:
            errors.setdefault("name", "A service needs a name.")
            return None
        if name.lower() in first:
            errors["name"] = f"“{name}” stands in row {first[name.lower()]} already."
            return None
        first[name.lower()] = number
        service = self.known.get(name)
        team = self._team(row["team"], service, errors)
        if service is None and name.lower() in self.lowered:
            errors["name"] = (
                f"There is a service “{self.lowered[name.lower()]}”; write it the same to change "
                "it, or choose another name."
            )
        cluster = self._cluster(row, service, errors)
        needs = self._needs(row, name, service, errors)
        before = values_of(service, self.links.get(service.pk, [])) if service else dict(EMPTY)
        after = {**before, **values}
        for column, message in wrong_together(after).items():
            # A column that the file has not got can hardly be filled in there.
            shown = column if column in row else next((c for c in values if c != "name"), "name")
            errors.setdefault(shown, message)
        if errors or team is None:
            return None
        change = Change(number, name, service, after, team, cluster, needs)
        change.details = self._details(change, before)
        return change

    def _team(self, text: str, service: Service | None, errors: dict[str, str]) -> Team | None:
        if service is not None and service.team_id not in self.kept:
            errors["name"] = (
                f"There is a service “{service.name}” of another team, whose services you may "
                "not change. Choose another name, or ask that team."
            )
            return None
        text = text.strip()
        team = self.teams.get(text)
        if team is None:
            mine = ", ".join(sorted({each.name for each in self.teams.values()})[:5])
            errors["team"] = (
                f"“{text[:80]}” is no team whose services you may change; yours: {mine}."
                if text
                else f"Say whose it is; your teams: {mine}."
            )
        return team

    def _cluster(
        self, row: Mapping[str, str], service: Service | None, errors: dict[str, str]
    ) -> Cluster | None:
        current = service.cluster if service else None
        text = row.get("cluster", "").strip()
        if "cluster" not in row:
            return current
        if not text:
            return None
        if current is not None and text in (current.name, current.slug):
            return current
        found = self.clusters.get(text)
        if found is None:
            seen = ", ".join(sorted({each.name for each in self.clusters.values()})[:5])
            errors["cluster"] = (
                f"“{text[:80]}” is no cluster that you may see; there is: {seen or 'none'}."
            )
        return found

    def _needs(
        self,
        row: Mapping[str, str],
        name: str,
        service: Service | None,
        errors: dict[str, str],
    ) -> list[str] | None:
        if "depends_on" not in row:
            return None
        text = row["depends_on"].replace("\r", "\n").replace("\n", ";")
        wanted = list(dict.fromkeys(" ".join(part.split()) for part in text.split(";")))
        wanted = [each for each in wanted if each]
        already = set(self.needs.get(service.pk, [])) if service else set()
        for each in wanted:
            if each == name:
                errors["depends_on"] = "A service cannot need itself; leave it out."
            elif each not in already and each not in self.coming and not self._sees(each):
                errors["depends_on"] = (
                    f"There is no service “{each[:80]}”, neither among those that you may see "
                    "nor in this file. Names are parted by semicolons."
                )
        if len(wanted) > DEPENDS_MAX:
            errors["depends_on"] = f"At most {DEPENDS_MAX} dependencies, not {len(wanted)}."
        return sorted(wanted)

    def _sees(self, name: str) -> bool:
        return self.names.get(name) in self.visible

    def _details(self, change: Change, before: Mapping[str, Value]) -> dict[str, list[str]]:
        service = change.service
        then: dict[str, Any] = dict(before)
        if service is not None:
            then["team"] = service.team.name
            then["cluster"] = service.cluster.name if service.cluster else ""
            then["depends_on"] = sorted(self.needs.get(service.pk, []))
        now: dict[str, Any] = {
            **change.values,
            "team": change.team.name,
            "cluster": change.cluster.name if change.cluster else "",
        }
        if change.needs is not None:
            now["depends_on"] = change.needs
        details = difference(then, now)
        if service is None:
            return {name: texts for name, texts in details.items() if texts[1]}
        return details


def _by_name_and_slug(rows: Any) -> dict[str, Any]:
    found = list(rows)
    return {each.slug: each for each in found} | {each.name: each for each in found}
