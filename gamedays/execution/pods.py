"""What became of the pods: lost, back late, or terminated in numbers.

Judged from the ledger alone, whatever the probes say. A pod that the scenario itself takes away
is no surprise and is not counted.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gamedays.choices import PodSource
from gamedays.models import Injection, PodRecord
from gamedays.scenarios.plan import PodName, faults_of, happenings_of
from gamedays.scenarios.registry import get_scenario

if TYPE_CHECKING:
    from django.db.models import QuerySet

    from gamedays.scenarios.base import Scenario

PODS_SEEN_S = 30
"""How fresh the last look at a pod must be at the end, or nobody knows what became of it."""
FINISHED = "Succeeded"
"""The phase of a pod whose work is done: it neither runs nor is ready, and is not lost."""
FAILED = "Failed"
"""The phase of a pod that was evicted or gave up; it is listed until somebody clears it away."""
MASS_MIN = 2
"""One pod is no mass, however small the cluster."""
_NAMED_MAX = 60
"""How many pods a sentence lists by name; more than that and nobody reads it."""
_HELD, _BROKE, _UNKNOWN = "held", "broke", "unknown"


@dataclass(frozen=True)
class Terminations:
    """Pods that ran before and were terminated, of all that could have been."""

    pods: tuple[PodRecord, ...]
    before: int
    limit_share: float
    apart: str = ""
    """Which of the pods of before do not count here, and why."""

    @property
    def are_many(self) -> bool:
        return len(self.pods) >= max(MASS_MIN, self.limit_share * self.before)

    @property
    def sentence(self) -> str:
        if not self.pods:
            apart = f" Not counted: {self.apart}." if self.apart else ""
            return f"None of {self.before} pods was terminated.{apart}"
        share = len(self.pods) / self.before
        return (
            f"{len(self.pods)} of {self.before} pods ({share:.0%}) were terminated or evicted: "
            f"{_names(self.pods, _NAMED_MAX)}."
        )

    def as_data(self) -> dict[str, Any]:
        return {
            "before": self.before,
            "terminated": [
                _described(pod) | {"gone_at": pod.gone_at.isoformat() if pod.gone_at else ""}
                for pod in self.pods
            ],
        }


def terminations(injection: Injection, records: Iterable[PodRecord]) -> Terminations:
    """Counted over what ran before and was not meant to die. Static pods are the kubelet's, and
    finished work is cleaned away by design: neither can be terminated by Kubernetes."""
    scenario = get_scenario(injection.scenario_key)
    expected = _expected_deaths(injection, scenario)
    existed = [record for record in records if record.existed_before]
    static = [record for record in existed if record.mirror_uid]
    finished = [record for record in existed if record.phase == FINISHED and record not in static]
    counted = [
        record
        for record in existed
        if record not in static and record not in finished and not expected(record)
    ]
    meant = len(existed) - len(static) - len(finished) - len(counted)
    apart = (
        (len(static), "static, which is the kubelet's"),
        (len(finished), "finished"),
        (meant, "meant to end by the fault"),
    )
    return Terminations(
        pods=tuple(record for record in counted if _is_terminated(record)),
        before=len(counted),
        limit_share=scenario.mass_termination_share,
        apart=", ".join(f"{number} {why}" for number, why in apart if number),
    )


def judge_terminations(injection: Injection, *, ended_at: dt.datetime) -> dict[str, Any]:
    """Whether a share of the pods was terminated; *unknown* where they were never listed, or not
    again at the end."""
    found = terminations(injection, PodRecord.objects.filter(injection=injection))
    unseen = _not_seen_again(injection, ended_at).count()
    result, sentence = _HELD, found.sentence
    if not found.before:
        result = _UNKNOWN
        sentence = "The pods could not be listed before the fault: unknown."
    elif found.are_many:
        result = _BROKE
    elif unseen:
        result = _UNKNOWN
        sentence = f"{unseen} pods of before were not seen by the API again at the end: unknown."
    return {
        "key": "mass-termination",
        "title": f"Fewer than {found.limit_share:.0%} of the pods are terminated",
        "broken_title": "The fault made Kubernetes terminate pods in numbers",
        "kind": "terminations",
        "probe": "",
        "probe_title": "",
        "target": "",
        "bound": {"max_terminated_share": found.limit_share},
        "window": {"from": "bitten", "grace_s": 0, "to": "ended"},
        "measured": found.as_data(),
        "result": result,
        "sentence": sentence,
    }


def judge_pods(injection: Injection, *, ended_at: dt.datetime) -> dict[str, Any]:
    """Whether every pod of before is there and ready at the end, and was so soon after the
    restore, as the API itself showed it."""
    existed = PodRecord.objects.filter(injection=injection, existed_before=True)
    before = existed.count()
    lost = lost_pods(injection, ended_at=ended_at)
    late = [pod for pod in late_pods(injection) if pod not in lost]
    unseen = _not_seen_again(injection, ended_at).count()
    if not before:
        result, sentence = _UNKNOWN, "The pods could not be listed before the fault: unknown."
    elif lost or late:
        result = _BROKE
        sentence = _broken_sentence(injection, lost, late, before)
    elif unseen:
        result = _UNKNOWN
        sentence = f"{unseen} of {before} pods were not seen by the API again at the end: unknown."
    else:
        done = existed.filter(phase=FINISHED).count()
        ready = f"the {before - done} that are meant to run are ready, {done} finished its work"
        if done > 1:
            ready = ready.replace("its work", "their work")
        result = _HELD
        sentence = f"All {before} pods are still the same ones, and {ready if done else 'ready'}."
    return {
        "key": "pods",
        "title": "No pod is lost, replaced or left crashing",
        "broken_title": "Pods were lost, or left not ready",
        "kind": "pods",
        "probe": "",
        "probe_title": "",
        "target": "",
        "bound": {"max_lost": 0},
        "window": {"from": "bitten", "grace_s": 0, "to": "ended"},
        "measured": {
            "before": before,
            "lost": [_described(pod) for pod in lost],
            "late": [
                _described(pod) | {"unready_s": _late_s(injection, pod), "restarts": _restarts(pod)}
                for pod in late
            ],
        },
        "result": result,
        "sentence": sentence,
    }


def _not_seen_again(injection: Injection, ended_at: dt.datetime) -> QuerySet[PodRecord]:
    """Pods of before of which nobody knows at the end what became of them."""
    since = max(injection.restored_at or ended_at, ended_at - dt.timedelta(seconds=PODS_SEEN_S))
    left = PodRecord.objects.filter(injection=injection, existed_before=True, gone_at=None)
    return left.exclude(source=PodSource.API, last_seen_at__gte=since)


def lost_pods(injection: Injection, *, ended_at: dt.datetime) -> list[PodRecord]:
    """Pods that ran before and are gone, or were ready before and are not at the end; and
    successors that had time enough to become ready, and are not.

    What the fault itself takes away is expected to go, and does not count.
    """
    scenario = get_scenario(injection.scenario_key)
    expected = _expected_deaths(injection, scenario)
    born_by = ended_at - dt.timedelta(seconds=scenario.pods_back_s)
    records = list(PodRecord.objects.filter(injection=injection))
    pictures = {
        (record.namespace, record.name): record
        for record in records
        if record.gone_at is None and record.ready
    }
    lost = []
    for record in records:
        if not record.existed_before:
            # Where nothing was listed before the fault, nobody can say what is a successor.
            old_enough = record.first_seen_at <= born_by and record.gone_at is None
            if _failed_before(record, injection):
                continue
            if old_enough and record.ready is False and not expected(record):
                lost.append(record)
        elif (
            (record.gone_at is not None or record.ready is False)
            and not expected(record)
            and not _replaced_mirror(record, pictures)
        ):
            lost.append(record)
    return lost


def late_pods(injection: Injection) -> list[PodRecord]:
    """Pods that still were not ready when the cluster had been restored for `pods_back_s`."""
    scenario = get_scenario(injection.scenario_key)
    if injection.restored_at is None:
        return []
    expected = _expected_deaths(injection, scenario)
    limit = injection.restored_at + dt.timedelta(seconds=scenario.pods_back_s)
    late = PodRecord.objects.filter(
        injection=injection, existed_before=True, gone_at=None, last_unready_at__gt=limit
    )
    return [record for record in late if not expected(record)]


def _expected_deaths(injection: Injection, scenario: Scenario) -> Any:
    faults = faults_of(injection.recipe)
    meanwhile = {each.target.uid for each in happenings_of(injection.recipe)}

    def expected(record: PodRecord) -> bool:
        pod = PodName(
            node=record.node, namespace=record.namespace, name=record.name, uid=record.uid
        )
        return record.uid in meanwhile or scenario.expects_death(pod, faults)

    return expected


def _is_terminated(record: PodRecord) -> bool:
    return record.gone_at is not None or record.phase in ("Terminating", FAILED)


def _failed_before(record: PodRecord, injection: Injection) -> bool:
    """Failed already when it was first seen, before anything was touched: nobody's successor."""
    since = injection.injecting_at
    return record.phase == FAILED and since is not None and record.first_seen_at < since


def _replaced_mirror(record: PodRecord, pictures: dict[tuple[str, str], PodRecord]) -> bool:
    """A mirror pod is the kubelet's picture of a static pod; a new picture of the same name that
    is ready shows that the static pod itself is there."""
    if record.namespace != "kube-system" or record.gone_at is None:
        return False
    picture = pictures.get((record.namespace, record.name))
    return picture is not None and picture.pk != record.pk


def _broken_sentence(
    injection: Injection, lost: list[PodRecord], late: list[PodRecord], before: int
) -> str:
    parts = []
    if lost:
        parts.append(f"{len(lost)} of {before} pods were lost or are not ready: {_names(lost, 5)}.")
    if late:
        told = [
            f"{pod.namespace}/{pod.name} ({pod.worst_reason or 'not ready'}, ready only after "
            f"{_late_s(injection, pod)} s, {_restarts(pod)} restarts)"
            for pod in late[:5]
        ]
        more = f" and {len(late) - 5} more" if len(late) > 5 else ""
        parts.append(
            f"{len(late)} of {before} pods came back late after the restore: "
            f"{', '.join(told)}{more}."
        )
    return " ".join(parts)


def _late_s(injection: Injection, pod: PodRecord) -> int:
    if injection.restored_at is None or pod.last_unready_at is None:
        return 0
    return round((pod.last_unready_at - injection.restored_at).total_seconds())


def _restarts(pod: PodRecord) -> int:
    return (pod.restarts or 0) - (pod.restarts_before or 0)


def _names(pods: Iterable[PodRecord], most: int) -> str:
    named = [f"{pod.namespace}/{pod.name}" + _because(pod) for pod in pods]
    more = f" and {len(named) - most} more" if len(named) > most else ""
    return ", ".join(named[:most]) + more


def _because(pod: PodRecord) -> str:
    return f" ({pod.reason or pod.worst_reason})" if pod.reason or pod.worst_reason else ""


def _described(pod: PodRecord) -> dict[str, Any]:
    return {
        "namespace": pod.namespace,
        "name": pod.name,
        "node": pod.node,
        "reason": pod.reason or pod.worst_reason,
    }
