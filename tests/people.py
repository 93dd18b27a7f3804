"""The cast: Lea leads, Erik engineers, Vera views, Otto is an outsider, Olga owns the platform."""

from __future__ import annotations

import datetime as dt
import uuid
from dataclasses import dataclass

from django.utils import timezone

from core.choices import Role, Stage
from core.crypto import encrypt
from core.models import Cluster, Membership, Node, Team, User
from gamedays.choices import ProbeKind
from gamedays.models import Gameday, Probe
from gamedays.operations.bookings import AgendaDraft, book_gameday

NODES = ("qa-1", "qa-2", "qa-3")
ETCD = "etcd-member-down"
API = "api-servers-down"


@dataclass
class Cast:
    team: Team
    lea: User
    erik: User
    vera: User
    otto: User
    olga: User
    cluster: Cluster


def make_cast() -> Cast:
    team = Team.objects.create(name="Payments", slug="payments")
    other = Team.objects.create(name="Search", slug="search")
    people = {}
    for name, role, its_team in (
        ("lea", Role.LEAD, team),
        ("erik", Role.ENGINEER, team),
        ("vera", Role.VIEWER, team),
        ("otto", Role.LEAD, other),
    ):
        people[name] = User.objects.create_user(name, password="rope and harness")
        Membership.objects.create(user=people[name], team=its_team, role=role)
    olga = User.objects.create_superuser("olga", password="rope and harness")
    return Cast(team=team, olga=olga, cluster=make_cluster(team), **people)


def make_cluster(team: Team, name: str = "qa-range", stage: Stage = Stage.QA) -> Cluster:
    cluster = Cluster.objects.create(
        name=name,
        slug=name,
        stage=stage,
        uid=uuid.uuid4(),
        team=team,
        server="https://127.0.0.1:1",
        ca_pem="",
        token_encrypted=encrypt("no token"),
    )
    for index, node in enumerate(NODES):
        Node.objects.create(cluster=cluster, name=node, address=f"127.0.0.{11 + index}")
    for key, kind, felt, attempts in (
        ("shop", ProbeKind.HTTP, True, 1),
        ("api-read", ProbeKind.API_READ, False, 3),
        ("api-write", ProbeKind.CANARY_WRITE, False, 1),
    ):
        Probe.objects.create(
            cluster=cluster,
            key=key,
            title=key,
            kind=kind,
            felt_by_users=felt,
            attempts=attempts,
            parameters={"url": "http://127.0.0.1:1/"} if kind == ProbeKind.HTTP else {},
        )
    return cluster


def book(
    cast: Cast,
    *,
    scenario: str = ETCD,
    starts_in: dt.timedelta = dt.timedelta(minutes=1),
    autostart: bool = False,
    duration_min: int = 30,
    **parameters: object,
) -> Gameday:
    given: dict[str, object] = {"hold_s": 20, "observe_s": 20, **parameters}
    if scenario == ETCD:
        given.setdefault("node", "qa-2")
    return book_gameday(
        actor=cast.lea,
        cluster=cast.cluster,
        title="Weekly gameday",
        starts_at=timezone.now() + starts_in,
        duration_min=duration_min,
        time_zone="Europe/Berlin",
        facilitator=cast.erik,
        autostart=autostart,
        agenda=[AgendaDraft(scenario, given)],
    )
