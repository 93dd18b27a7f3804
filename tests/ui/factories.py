"""Rows in mid-story, as the engine would have written them, for pages to show."""

from __future__ import annotations

import datetime as dt
import math
from typing import Any

from django.utils import timezone

from core.choices import SetupPhase
from core.models import ClusterSetup
from gamedays.choices import (
    EntryKind,
    FindingStatus,
    GamedayState,
    InjectionState,
    Outcome,
    PodSource,
    ProbeKind,
    VerificationTask,
)
from gamedays.models import (
    Finding,
    Fix,
    Gameday,
    Injection,
    PodRecord,
    Probe,
    SampleBlock,
    TimelineEntry,
    Verification,
)
from gamedays.models.record import BLOCK_S
from gamedays.scenarios.plan import NodeFault
from migrator.models import CsvImport, Dependency, Service
from migrator.operations.csv_import import upload_csv
from migrator.operations.services import create_service
from tests.people import API, ETCD, NODES, Cast, book

S = InjectionState
_MOMENTS = (
    ("preflight_at", S.PREFLIGHT, 2),
    ("armed_at", S.ARMED, 14),
    ("injecting_at", S.INJECTING, 15),
    ("bitten_at", S.ACTIVE, 16),
    ("undo_asked_at", S.UNDOING, 76),
    ("undone_at", S.VERIFYING, 78),
    ("restored_at", S.OBSERVING, 96),
    ("ended_at", S.CLEAN, 156),
)
"""Field, the state that it begins, seconds since it was asked for."""
_CHECKS: dict[str, dict[str, Any]] = {
    S.OBSERVING: {
        "checks": [
            {"name": "manifest:qa-2", "passed": True, "sentence": "The manifest is as before."},
            {"name": "canary:qa-1", "passed": None, "sentence": "qa-1 could not be asked."},
            {"name": "canary:qa-2", "passed": False, "sentence": "A write was not read back."},
        ]
    }
}
_TOLD = {
    "preflight_at": (EntryKind.STATE, "Checking the steady state."),
    "armed_at": (EntryKind.EVIDENCE, "qa-2: armed, read back as order 5f3c…, undo on its disk."),
    "bitten_at": (EntryKind.EVIDENCE, "qa-2: etcd process 4711 (started 12:01:09) is gone."),
    "undo_asked_at": (EntryKind.ACTION, "The hold is over: undo requested."),
    "undone_at": (EntryKind.EVIDENCE, "qa-2: manifest back, same bytes, owner and mode."),
    "restored_at": (EntryKind.EVIDENCE, "Canary written and read back through all API servers."),
    "ended_at": (EntryKind.STATE, "Watched to the end: no pod was lost."),
}


def make_run(
    cast: Cast,
    state: InjectionState = S.CLEAN,
    *,
    scenario: str = ETCD,
    ago_s: int | None = None,
    **fields: Any,
) -> Injection:
    """A run that has come as far as `state`; `ago_s` seconds ago it was asked for."""
    gameday = book(cast, scenario=scenario, duration_min=45, hold_s=60, observe_s=60)
    reached = [m for m in _MOMENTS if _order(m[1]) <= _order(state)]
    length = reached[-1][2] if reached else 0
    asked_at = timezone.now() - dt.timedelta(seconds=ago_s if ago_s is not None else length + 8)
    moments = {name: asked_at + dt.timedelta(seconds=after) for name, _state, after in reached}
    final = state in (S.CLEAN, S.REFUSED)
    Gameday.objects.filter(pk=gameday.pk).update(
        state=GamedayState.DONE if final else GamedayState.RUNNING,
        started_at=asked_at,
        started_by=cast.lea,
        period=(asked_at, asked_at + dt.timedelta(minutes=45)),
    )
    item = gameday.agenda.get()
    nodes = NODES if scenario == API else ("qa-2",)
    run = Injection.objects.create(
        agenda_item=item,
        cluster=cast.cluster,
        scenario_key=item.scenario_key,
        scenario_version=item.scenario_version,
        parameters=item.parameters,
        state=state,
        asked_by=cast.lea,
        due_at=asked_at,
        recipe={
            "order": "5f3c",
            "faults": {
                node: NodeFault(kind="hold", hold_s=60, component="etcd").as_data()
                for node in nodes
            },
        },
        **(moments | ({"ended_at": asked_at} if state == S.REFUSED else {}) | fields),
    )
    Injection.objects.filter(pk=run.pk).update(asked_at=asked_at)
    run.refresh_from_db()
    for name, at in moments.items():
        if name in _TOLD:
            kind, text = _TOLD[name]
            to = next(state for field, state, _after in _MOMENTS if field == name)
            TimelineEntry.objects.create(
                injection=run, at=at, kind=kind, text=text, data={"state": to} | _CHECKS.get(to, {})
            )
    return run


def _order(state: InjectionState) -> int:
    return list(InjectionState).index(state)


def make_probes(cast: Cast) -> list[Probe]:
    """The probes of a range: what users feel, the API in front, and each node."""
    Probe.objects.filter(cluster=cast.cluster).delete()
    rows: list[tuple[str, str, ProbeKind, str]] = [
        ("shop", "Shop through Envoy", ProbeKind.HTTP, ""),
        ("api-read", "API reads through the common address", ProbeKind.API_READ, ""),
        ("api-write", "API canary writes", ProbeKind.CANARY_WRITE, ""),
        ("readyz", "API readiness through the common address", ProbeKind.API_READYZ, ""),
    ]
    rows += [(f"readyz-{n}", f"API server on {n}", ProbeKind.API_READYZ, n) for n in NODES]
    rows += [(f"etcd-{n}", f"etcd on {n}", ProbeKind.ETCD_HEALTH, n) for n in NODES]
    return Probe.objects.bulk_create(
        Probe(
            cluster=cast.cluster,
            key=key,
            title=title,
            kind=kind,
            target=target,
            attempts=3 if kind == ProbeKind.API_READ else 1,
            felt_by_users=kind == ProbeKind.HTTP,
            position=position,
        )
        for position, (key, title, kind, target) in enumerate(rows)
    )


def make_samples(
    run: Injection, probes: list[Probe], *, api_away: bool = False, ahead_s: int = 0
) -> None:
    """A sample a second from the check on until the end, or until `ahead_s` from now."""
    assert run.preflight_at is not None
    begin = run.preflight_at
    end = run.ended_at or timezone.now() + dt.timedelta(seconds=ahead_s)
    seconds = int((end - begin).total_seconds())
    SampleBlock.objects.bulk_create(
        SampleBlock(
            injection=run,
            probe=probe,
            fence=1,
            started_at=begin + dt.timedelta(seconds=block),
            samples=[
                [offset * 1000, *_look(run, probe, begin, block + offset, api_away=api_away)]
                for offset in range(min(BLOCK_S, seconds - block))
            ],
        )
        for probe in probes
        for block in range(0, seconds, BLOCK_S)
    )


def _look(
    run: Injection, probe: Probe, begin: dt.datetime, second: int, *, api_away: bool
) -> list[Any]:
    at = begin + dt.timedelta(seconds=second)
    biting = run.bitten_at is not None and run.bitten_at <= at
    over = run.undone_at is not None and run.undone_at + dt.timedelta(seconds=5) <= at
    attempts = probe.attempts
    latency = round(18 + 9 * math.sin(second / 3 + probe.position) + 4 * probe.position, 1)
    if not biting or over or probe.kind == ProbeKind.HTTP:
        return [attempts, attempts, latency, ""]
    if api_away:
        if probe.kind == ProbeKind.ETCD_HEALTH:
            return [attempts, attempts, latency, ""]
        return [0, attempts, None, "connection refused"]
    if probe.target == "qa-2":
        return [0, 0, None, "guard did not answer"] if second % 17 == 3 else [0, 1, None, "refused"]
    if probe.target:
        return [attempts, attempts, latency, ""]
    passed = attempts - (1 if (second * 7) % 3 == 0 else 0)
    return [passed, attempts, latency * 3, "" if passed == attempts else "504 from the proxy"]


def make_pods(run: Injection, *, fates: bool = True) -> None:
    """Some pods on each node, most of them unharmed."""
    names = ("coredns", "contour", "envoy", "shop", "registry", "kube-proxy", "etcd", "kube-api")
    PodRecord.objects.bulk_create(
        _pod(run, node, name, odd=fates and node == "qa-2") for node in NODES for name in names
    )


def _pod(run: Injection, node: str, name: str, *, odd: bool) -> PodRecord:
    now = timezone.now()
    return PodRecord(
        injection=run,
        uid=f"{name}-{node}",
        namespace="kube-system",
        name=f"{name}-{node}",
        node=node,
        existed_before=not (odd and name == "shop"),
        phase="Running",
        ready=not (odd and name == "contour"),
        restarts_before=0,
        restarts=2 if odd and name == "kube-api" else 0,
        source=PodSource.GUARD if odd and name == "coredns" else PodSource.API,
        first_seen_at=now,
        last_seen_at=now,
        gone_at=now if odd and name == "etcd" else None,
        reason="CrashLoopBackOff" if odd and name == "contour" else "",
    )


BROKE = [
    {
        "key": "api-reads",
        "title": "API reads through the common address go on",
        "probe": "api-read",
        "kind": "api_read",
        "bound": {"min_passed_share": 0.99},
        "window": {"from": "bitten", "to": "undo_asked", "grace_s": 10},
        "measured": {"passed": 100, "attempts": 150, "unknown_samples": 1, "samples": 50},
        "result": "broke",
        "sentence": "50 of 150 attempts failed in the 50 s after the grace; the bound is 99%.",
    },
    {
        "key": "traffic",
        "title": "Users' requests do not notice",
        "probe": "shop",
        "kind": "http",
        "bound": {"min_passed_share": 0.99},
        "window": {"from": "bitten", "to": "restored", "grace_s": 0},
        "measured": {"passed": 80, "attempts": 80, "unknown_samples": 0, "samples": 80},
        "result": "held",
        "sentence": "All 80 requests were answered.",
    },
]


def make_finding(cast: Cast, run: Injection, **fields: Any) -> Finding:
    values: dict[str, Any] = {
        "title": "A third of API reads fail while one etcd member is away",
        "believed": "With one of three etcd members gone, no client notices.",
        "happened": "From 10 s after the fault bit, 50 of 150 reads through the proxy failed.",
        "symptom": {
            "kind": "probe",
            "probe": "api-read",
            "probe_title": "API reads through the common address",
            "target": "",
            "min_passed_share": 0.99,
            "window": {"from": "bitten", "grace_s": 10, "to": "undo_asked"},
            "measured": {"passed": 100, "attempts": 150},
        },
    }
    return Finding.objects.create(
        cluster=cast.cluster,
        injection=run,
        scenario_key=run.scenario_key,
        scenario_version=run.scenario_version,
        parameters=run.parameters,
        **(values | fields),
    )


def make_fix(cast: Cast, finding: Finding, **fields: Any) -> Fix:
    values: dict[str, Any] = {
        "what": "The proxy asks each API server for /readyz and takes a failing one out.",
        "link": "https://git.example.org/platform/merge/41",
        "fixed_since": timezone.now(),
    }
    return Fix.objects.create(finding=finding, recorded_by=cast.erik, **(values | fields))


def make_verification(
    cast: Cast, finding: Finding, run: Injection, outcome: Outcome, fix: Fix | None
) -> Verification:
    return Verification.objects.create(
        finding=finding,
        gameday=run.agenda_item.gameday,
        injection=run,
        task=VerificationTask.EVALUATED,
        outcome=outcome,
        explanation="150 of 150 reads passed." if fix else "50 of 150 reads failed again.",
        measured={"passed": 150 if fix else 100, "attempts": 150},
        after_fix=fix,
        asked_by=cast.erik,
        evaluated_at=timezone.now(),
    )


def close_finding(finding: Finding, proof: Verification) -> None:
    finding.status = FindingStatus.VERIFIED_FIXED
    finding.proof = proof
    finding.save()


def make_setup(name: str = "demo", **fields: Any) -> ClusterSetup:
    values: dict[str, Any] = {
        "phase": SetupPhase.RUNNING,
        "step": "Joining qa-2 to the control plane",
        "steps_done": 9,
        "steps_total": 14,
        "percent": 62,
        "eta_s": 95,
        "log_tail": ["[join] using the fixed certificate key", "[etcd] waiting for the member"],
    }
    return ClusterSetup.objects.create(name=name, **(values | fields))


def make_inventory(cast: Cast) -> tuple[CsvImport, CsvImport]:
    """Services with a cycle, a long name, and two uploads of Lea's: a wrong and a right one."""
    given = {
        "tier": "1",
        "description": "Takes orders, and tells everybody who wants to know about them.",
        "links": "Runbook https://wiki.example.org/a/rather/long/address/that/has/to/break",
        "tags": "web pci of-a-long-name-that-nobody-would-choose",
        "legacy_hosts": "legacy-application-server-01.datacentre.example.org",
        "legacy_address": "https://legacy-application-server-01.datacentre.example.org:8443/shop",
        "legacy_capacity": "200",
        "legacy_capacity_unit": "requests/s",
        "namespace": "shop",
        "workload_kind": "Deployment",
        "workload": "shop",
        "route": "shop",
    }
    made: list[Service] = [
        create_service(
            actor=cast.erik, team=cast.team, cluster=cast.cluster, given=given | {"name": name}
        )
        for name in ("Shop", "Prices", "Card vault of the acquiring platform in the north")
    ]
    for a, b in ((0, 1), (1, 2), (2, 0)):
        Dependency.objects.create(service=made[a], needs=made[b])
    wrong = b"name,team,tier,depends_on\nShop,Nowhere,9,Moon\n=1+1,Payments,2,\n"
    right = b"name,team,tier\nShop,Payments,2\nMail,Payments,3\n"
    return (
        upload_csv(actor=cast.lea, file_name="services-of-payments-2026.csv", content=wrong),
        upload_csv(actor=cast.lea, file_name="services.csv", content=right),
    )
