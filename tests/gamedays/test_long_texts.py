"""No text that a person typed is cut in silence, and none of ours is too long for its column."""

from __future__ import annotations

from typing import Any

import pytest
from django.utils import timezone

from core.errors import Invalid
from gamedays.choices import Verdict
from gamedays.models import Finding, Fix, Gameday, Probe
from gamedays.operations.bookings import AgendaDraft, book_gameday
from gamedays.operations.findings import edit_finding, record_fix, request_verification
from tests.gamedays.test_conductor import begin, make_fake
from tests.people import ETCD, Cast, make_cast
from tests.ui import factories
from tests.ui.conftest import As, client_of  # noqa: F401  (a fixture)

pytestmark = pytest.mark.django_db
LINK = "https://git.example.org/"


@pytest.fixture
def cast() -> Cast:
    return make_cast()


@pytest.fixture
def finding(cast: Cast) -> Finding:
    run = factories.make_run(cast, ago_s=9000, verdict=Verdict.BROKE, judgement=factories.BROKE)
    return factories.make_finding(cast, run)


def test_a_title_that_is_too_long_for_the_calendar_books_nothing(cast: Cast) -> None:
    values: dict[str, Any] = {
        "actor": cast.lea,
        "cluster": cast.cluster,
        "starts_at": timezone.now(),
        "duration_min": 30,
        "time_zone": "UTC",
        "facilitator": cast.erik,
        "agenda": [AgendaDraft(ETCD, {"node": "qa-2"})],
    }
    with pytest.raises(Invalid) as refused:
        book_gameday(title="x" * 121, **values)
    assert (refused.value.code, refused.value.field) == ("text_too_long", "title")
    assert "at most 120 characters; this one has 121" in refused.value.message
    assert not Gameday.objects.exists()
    assert book_gameday(title=f" {'x' * 120} ", **values).title == "x" * 120


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"title": "x" * 161}, "title"),
        ({"believed": "x" * 20_001}, "believed"),
        ({"cause": "x" * 20_001}, "cause"),
    ],
)
def test_a_finding_keeps_all_of_a_text_or_says_why_not(
    cast: Cast,
    finding: Finding,
    change: dict[str, str],
    field: str,
) -> None:
    values: dict[str, Any] = dict.fromkeys(("believed", "happened", "cause"), "")
    values |= {"title": "x" * 160, "severity": "high", "owner": None, "service": None} | change
    with pytest.raises(Invalid) as refused:
        edit_finding(actor=cast.erik, finding=finding, version=1, **values)
    assert (refused.value.code, refused.value.field) == ("text_too_long", field)
    edit_finding(actor=cast.erik, finding=finding, version=1, **values | {field: "x" * 160})
    finding.refresh_from_db()
    assert getattr(finding, field) == "x" * 160


@pytest.mark.parametrize(
    ("change", "field"),
    [({"what": "x" * 4001}, "what"), ({"link": LINK + "x" * 500}, "link")],
)
def test_a_fix_keeps_all_of_a_text_or_says_why_not(
    cast: Cast,
    finding: Finding,
    change: dict[str, str],
    field: str,
) -> None:
    values: dict[str, Any] = {"what": "x" * 4000, "link": LINK + "x" * (500 - len(LINK))}
    fix: dict[str, Any] = {"actor": cast.erik, "finding": finding, "fixed_since": timezone.now()}
    with pytest.raises(Invalid) as refused:
        record_fix(**fix, **values | change)
    assert (refused.value.code, refused.value.field) == ("text_too_long", field)
    assert not Fix.objects.exists()
    assert record_fix(**fix, **values).link == values["link"]


def test_what_is_too_long_stays_in_its_form(
    cast: Cast,
    finding: Finding,
    client_of: As,  # noqa: F811
) -> None:
    title, link = "t" * 161, LINK + "l" * 500
    values = {"version": "1", "severity": "high", "owner": "", "title": title, "cause": "because"}
    now = timezone.now()
    fix = {
        "what": "done",
        "link": link,
        "fixed_since_date": f"{now:%Y-%m-%d}",
        "fixed_since_time": f"{now:%H:%M:%S}",
    }
    for path, data, kept in (
        ("edit", values, (title, "because")),
        ("fix", fix, (link, "done")),
    ):
        answer = client_of("erik").post(f"/findings/{finding.pk}/{path}/", data)
        text = answer.content.decode()
        assert answer.status_code == 422
        assert 'class="field-error"' in text
        for typed in kept:
            assert typed in text
    # A browser obeys a `maxlength` by cutting what is pasted, without a word.
    for path in (f"/findings/{finding.pk}/edit/", "/gamedays/book/"):
        [field] = [
            line
            for line in client_of("lea").get(path).content.decode().split("<input")
            if 'name="title"' in line.split(">")[0]
        ]
        assert "maxlength" not in field.split(">")[0]


def test_a_title_of_our_own_ends_at_a_word(cast: Cast) -> None:
    """A probe may be called so that our sentence about it is longer than a title may be."""
    name = "Checkout through the public edge, with a card that is asked for a second factor"
    title = f"{name} {'and so on' * 4}"[:120]
    Probe.objects.filter(cluster=cast.cluster, key="api-write").update(title=title, abort_after_s=5)
    fake = make_fake(cast.cluster)
    fake.watch.failing = {"api-write": 1}
    done = begin(cast, fake, hold_s=60).to_the_end()
    finding = Finding.objects.get(injection=done, symptom__kind="stop")
    assert finding.title.startswith(f"“{title}” failed for so long")
    assert finding.title.endswith("…")
    assert len(finding.title) <= 160
    asked = request_verification(actor=cast.erik, finding=finding)
    assert asked.gameday.title.startswith("Re-verify: “Checkout through the public edge")
    assert asked.gameday.title.endswith("…")
    assert len(asked.gameday.title) <= 120
