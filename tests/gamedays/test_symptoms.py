"""A symptom is edited by a person as long as nobody judged it, and the run has to show it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone

from core.errors import Conflict, Invalid, NotAllowed
from gamedays.choices import EntryKind, Outcome
from gamedays.models import Finding
from gamedays.operations.findings import edit_finding, record_fix, request_verification
from gamedays.operations.symptoms import SymptomDraft, draft_of, why_symptom_stays
from gamedays.selectors.words import symptom_sentence
from tests.gamedays.test_conductor import Story, begin, make_fake
from tests.people import Cast, make_cast
from tests.ui.conftest import As, client_of  # noqa: F401  (a fixture)

pytestmark = pytest.mark.django_db


@pytest.fixture
def cast() -> Cast:
    return make_cast()


@pytest.fixture
def finding(cast: Cast) -> Finding:
    """One of three reads failed for as long as the fault was live."""
    fake = make_fake(cast.cluster)
    fake.watch.failing = {"api-read": 1}
    return Finding.objects.get(injection=begin(cast, fake).to_the_end())


def edit(cast: Cast, finding: Finding, draft: SymptomDraft, **changes: Any) -> None:
    values: dict[str, Any] = {
        "actor": cast.erik,
        "version": finding.version,
        "title": finding.title,
        "believed": "",
        "happened": "",
        "cause": "",
        "severity": "high",
        "owner": None,
        "service": None,
        "symptom": draft,
    }
    edit_finding(finding=finding, **(values | changes))
    finding.refresh_from_db()


def test_the_edited_symptom_is_measured_again_and_the_journal_tells(
    cast: Cast, finding: Finding
) -> None:
    before = finding.symptom
    draft = replace(draft_of(before), bound_percent=80, grace_s=0)
    edit(cast, finding, draft)
    assert draft_of(finding.symptom) == draft
    assert finding.symptom["key"] == before["key"]
    assert finding.symptom["drafted"]["min_passed_share"] == before["min_passed_share"]
    assert finding.symptom["measured"]["attempts"] > before["measured"]["attempts"]
    assert "must pass at least 80" in symptom_sentence(finding)
    assert "from the moment the fault bit until" in symptom_sentence(finding)
    told = finding.injection.timeline.get(kind=EntryKind.ACTION, data__has_key="symptom")
    assert told.actor == cast.erik
    assert told.data["symptom"]["before"]["min_passed_share"] == 0.99
    assert told.data["symptom"]["after"]["min_passed_share"] == 0.8
    assert "99%" in told.text
    assert "80%" in told.text

    record_fix(actor=cast.erik, finding=finding, what="x", link="", fixed_since=timezone.now())
    asked = request_verification(actor=cast.erik, finding=finding)
    assert asked.injection
    Story(asked.injection, make_fake(cast.cluster)).to_the_end()
    asked.refresh_from_db()
    assert asked.outcome == Outcome.DOES_NOT_RECUR
    assert "at least 80%" in asked.explanation


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"bound_percent": 50.0}, "symptom_bound"),  # two of three passed: no symptom by this bound
        ({"bound_percent": 0.0}, "symptom_bound"),
        ({"bound_percent": float("nan")}, "symptom_bound"),
        ({"bound_percent": 101.0}, "symptom_bound"),
        ({"probe": "shop"}, "symptom_bound"),  # nobody's request failed
        ({"probe": "gone"}, "symptom_probe"),
        ({"grace_s": -1}, "symptom_grace_s"),
        ({"window_from": "ended"}, "symptom_to"),
        ({"window_from": "lunch"}, "symptom_from"),
        ({"window_from": "undo_asked", "window_to": "undone"}, "symptom_to"),  # a second or two
    ],
)
def test_a_symptom_that_the_run_does_not_show_is_none(
    cast: Cast, finding: Finding, change: dict[str, Any], field: str
) -> None:
    with pytest.raises(Invalid) as refused:
        edit(cast, finding, replace(draft_of(finding.symptom), **change), title="Another")
    assert list(refused.value.errors) == [field]
    finding.refresh_from_db()
    assert finding.title != "Another", "all of an edit is saved, or nothing"
    assert "drafted" not in finding.symptom


def test_what_was_judged_stays(cast: Cast, finding: Finding) -> None:
    asked = request_verification(actor=cast.erik, finding=finding)
    draft = replace(draft_of(finding.symptom), bound_percent=90)
    with pytest.raises(Conflict, match="right now"):
        edit(cast, finding, draft)
    assert asked.injection
    Story(asked.injection, make_fake(cast.cluster)).to_the_end()
    finding.refresh_from_db()
    assert why_symptom_stays(finding)
    with pytest.raises(Conflict) as refused:
        edit(cast, finding, draft)
    assert refused.value.code == "symptom_judged"
    edit(cast, finding, draft_of(finding.symptom), title="The story may still be told better")
    with pytest.raises(IntegrityError), transaction.atomic():
        Finding.objects.update(symptom=finding.symptom | {"min_passed_share": 0.1})


def test_a_viewer_edits_no_symptom(cast: Cast, finding: Finding) -> None:
    with pytest.raises(NotAllowed):
        edit(cast, finding, replace(draft_of(finding.symptom), bound_percent=80), actor=cast.vera)


def test_the_page_edits_it(cast: Cast, finding: Finding, client_of: As) -> None:  # noqa: F811
    path = f"/findings/{finding.pk}/edit/"
    erik = client_of("erik")
    assert 'name="symptom_bound"' in erik.get(path).content.decode()
    values = {
        "version": str(finding.version),
        "title": finding.title,
        "severity": "high",
        "owner": "",
        "symptom_probe": "api-read",
        "symptom_bound": "50",
        "symptom_from": "bitten",
        "symptom_grace_s": "0",
        "symptom_to": "undo_asked",
    }
    refused = erik.post(path, values)
    assert refused.status_code == 422
    assert "does not show the symptom" in refused.content.decode().replace("\n", " ")
    assert erik.post(path, values | {"symptom_bound": "75.5"}).status_code == 302
    finding.refresh_from_db()
    assert finding.symptom["min_passed_share"] == 0.755
    assert "Edited by a person" in erik.get(f"/findings/{finding.pk}/").content.decode()
