"""One cause is one finding, with all of its evidence; two symptoms are two."""

from __future__ import annotations

from typing import Any

import pytest
from django.utils import timezone

from gamedays.choices import FindingStatus, Outcome, Verdict
from gamedays.models import Finding, Injection, Probe, Recurrence
from gamedays.operations.causes import causes_of
from gamedays.operations.findings import record_fix, request_verification
from tests.gamedays.test_conductor import Story, begin, make_fake
from tests.people import Cast, make_cast
from tests.ui.conftest import As, client_of  # noqa: F401  (a fixture)

pytestmark = pytest.mark.django_db
STOP = "stop:api-read"
READS = "api-reads:api-read"


@pytest.fixture
def cast() -> Cast:
    return make_cast()


def stop_when(cast: Cast, key: str, seconds: int | None) -> None:
    Probe.objects.filter(cluster=cast.cluster, key=key).update(abort_after_s=seconds)


def keys_of(run: Injection) -> list[str]:
    return sorted(Finding.objects.filter(injection=run).values_list("symptom__key", flat=True))


@pytest.fixture
def finding(cast: Cast) -> Finding:
    """Reads fail for so long that they end the fault: a belief, and a stop condition."""
    stop_when(cast, "api-read", 25)
    fake = make_fake(cast.cluster)
    fake.watch.failing = {"api-read": 1}
    run = begin(cast, fake, hold_s=60).to_the_end()
    assert run.verdict == Verdict.BROKE
    broke = {line["key"]: line for line in run.judgement if line["result"] == "broke"}
    assert sorted(broke) == [READS, STOP], "the judgement keeps every line"
    found = Finding.objects.get()
    assert found.symptom["key"] == READS
    [also] = found.symptom["also"]
    assert (also["key"], also["sentence"]) == (STOP, broke[STOP]["sentence"])
    assert also["abort_after_s"] == 25
    for line in broke.values():
        assert line["sentence"] in found.happened
    return found


def test_the_page_tells_both(cast: Cast, finding: Finding, client_of: As) -> None:  # noqa: F811
    page = client_of("vera").get(f"/findings/{finding.pk}/").content.decode()
    told = page.split('data-testid="symptom-also"')[1].split("</p>")[0]
    assert "ended the fault by itself" in told


def test_another_probe_is_another_symptom(cast: Cast) -> None:
    stop_when(cast, "api-write", 25)
    fake = make_fake(cast.cluster)
    fake.watch.failing = {"api-read": 1, "api-write": 1}
    run = begin(cast, fake, hold_s=60).to_the_end()
    assert keys_of(run) == [READS, "api-writes:api-write"]
    assert "also" in Finding.objects.get(symptom__probe="api-write").symptom
    assert "also" not in Finding.objects.get(symptom__probe="api-read").symptom


def line(key: str, kind: str = "probe", *, since: str = "bitten") -> dict[str, Any]:
    return {
        "key": key,
        "kind": kind,
        "probe": key.partition(":")[2],
        "window": {"from": since, "grace_s": 0, "to": "ended"},
        "result": "broke",
    }


@pytest.mark.parametrize(
    ("lines", "causes"),
    [
        # It ended the fault, and it does not come back: nobody mends these two by one deed.
        ([line("back:reads", since="restored"), line("stop:reads", "stop")], [1, 1]),
        # A probe that users feel speaks for what they do as well as for its own kind.
        ([line("reads:reads"), line("traffic:reads"), line("stop:reads", "stop")], [3]),
        ([line("stop:reads", "stop"), line("reads:reads")], [2]),
        ([line("reads:reads"), line("reads:others"), line("stop:others", "stop")], [1, 2]),
        ([line("told:alert", "alert"), line("stop:alert", "stop")], [1, 1]),
        ([line("meanwhile", "meanwhile"), line("reads:reads"), line("meanwhile")], [1, 1, 1]),
    ],
)
def test_only_the_same_probe_in_the_same_seconds_is_one_cause(
    lines: list[dict[str, Any]], causes: list[int]
) -> None:
    found = causes_of(Injection(verdict=Verdict.BROKE, judgement=lines))
    assert [1 + len(cause.also) for cause in found] == causes
    assert all(cause.lead["kind"] != "stop" for cause in found if cause.also)


def test_a_reverification_that_sees_it_again_tells_all_of_it_and_drafts_nothing(
    cast: Cast, finding: Finding
) -> None:
    asked = request_verification(actor=cast.erik, finding=finding)
    assert asked.injection
    fake = make_fake(cast.cluster)
    fake.watch.failing = {"api-read": 1}
    run = Story(asked.injection, fake).to_the_end()
    asked.refresh_from_db()
    assert asked.outcome == Outcome.RECURS
    assert "ended the fault by itself" in asked.explanation
    assert keys_of(run) == []
    assert not Recurrence.objects.exists()


def test_evidence_of_either_kind_goes_to_the_one_finding(cast: Cast, finding: Finding) -> None:
    fake = make_fake(cast.cluster)
    fake.watch.failing = {"api-read": 1}
    both = begin(cast, fake, hold_s=60).to_the_end()
    stop_when(cast, "api-read", 5)
    fake = make_fake(cast.cluster)
    fake.watch.failing = {"api-read": 1}
    stopped = begin(cast, fake, hold_s=60).to_the_end()  # before the belief could be judged
    assert keys_of(both) == keys_of(stopped) == []
    told = {row.injection_id: row.happened for row in finding.recurrences.all()}
    assert list(told) == [stopped.pk, both.pk]
    assert "failed (" in told[both.pk]
    assert "ended the fault by itself" in told[both.pk]
    assert told[stopped.pk].count("“") == 1


def test_a_symptom_with_a_finding_of_its_own_keeps_it(cast: Cast) -> None:
    stop_when(cast, "api-read", 5)
    fake = make_fake(cast.cluster)
    fake.watch.failing = {"api-read": 1}
    stopped = begin(cast, fake, hold_s=60).to_the_end()
    assert keys_of(stopped) == [STOP]
    stop_when(cast, "api-read", 25)
    fake = make_fake(cast.cluster)
    fake.watch.failing = {"api-read": 1}
    both = begin(cast, fake, hold_s=60).to_the_end()
    assert keys_of(both) == [READS], "the belief is news"
    assert "also" not in Finding.objects.get(injection=both).symptom
    assert Recurrence.objects.get().finding.symptom["key"] == STOP


def test_the_other_half_comes_back_as_a_finding_when_the_first_was_proved_fixed(
    cast: Cast, finding: Finding
) -> None:
    record_fix(actor=cast.erik, finding=finding, what="x", link="", fixed_since=timezone.now())
    asked = request_verification(actor=cast.erik, finding=finding)
    assert asked.injection
    Story(asked.injection, make_fake(cast.cluster)).to_the_end()
    finding.refresh_from_db()
    assert finding.status == FindingStatus.VERIFIED_FIXED
    stop_when(cast, "api-read", 5)
    fake = make_fake(cast.cluster)
    fake.watch.failing = {"api-read": 1}
    assert keys_of(begin(cast, fake, hold_s=60).to_the_end()) == [STOP]
