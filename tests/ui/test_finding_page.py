"""A finding's story: edited without losing a word, fixed, and closed only by proof."""

from __future__ import annotations

import datetime as dt
import zoneinfo

import pytest
from django.utils import timezone

from gamedays.choices import FINDING_BY_HAND, FindingStatus, InjectionState, Outcome, Verdict
from gamedays.models import Finding, Injection, Verification
from migrator.models import Service
from tests.people import Cast
from tests.ui import factories
from tests.ui.conftest import As


@pytest.fixture
def finding(cast: Cast) -> Finding:
    run = factories.make_run(cast, ago_s=9000, verdict=Verdict.BROKE, judgement=factories.BROKE)
    return factories.make_finding(cast, run)


def story(finding: Finding, **fields: str) -> dict[str, str]:
    values = {
        "version": str(finding.version),
        "title": finding.title,
        "believed": finding.believed,
        "happened": finding.happened,
        "cause": "",
        "severity": "high",
        "owner": "",
    }
    return values | fields


def test_the_story_is_told(finding: Finding, client_of: As) -> None:
    text = client_of("vera").get(f"/findings/{finding.pk}/").content.decode()
    for part in ("What we believed", "What happened", "Why", "What we did", "The proof"):
        assert part in text
    assert "must pass at least 99% from 10 s after the fault bit until the undo" in text
    assert "50 of 150 failed" in text
    assert 'data-only="api-read"' in text


def test_it_names_the_service_that_it_is_about(finding: Finding, cast: Cast, client_of: As) -> None:
    ours = Service.objects.create(
        name="Orders", slug="orders", team=cast.team, cluster=cast.cluster
    )
    elsewhere = Service.objects.create(name="Search", slug="search", team=cast.otto.teams.get())
    erik, address = client_of("erik"), f"/findings/{finding.pk}/edit/"
    form = erik.get(address).content.decode()
    assert "Orders</option>" in form
    assert "Search</option>" not in form
    wrong = erik.post(address, story(finding, service=str(elsewhere.pk)))
    assert wrong.status_code == 422
    assert "Choose a service of the list, or the cluster." in wrong.content.decode()
    assert erik.post(address, story(finding, service=str(ours.pk))).status_code == 302
    page = client_of("vera").get(f"/findings/{finding.pk}/").content.decode()
    assert 'about <a href="/services/orders/">Orders</a>' in page


def test_an_edit_is_saved(finding: Finding, cast: Cast, client_of: As) -> None:
    data = story(finding, cause="The proxy checks TCP only.", owner=str(cast.erik.pk))
    answer = client_of("erik").post(f"/findings/{finding.pk}/edit/", data)
    assert answer.status_code == 302
    finding.refresh_from_db()
    assert (finding.cause, finding.owner, finding.drafted) == (
        "The proxy checks TCP only.",
        cast.erik,
        False,
    )


def test_two_editors_lose_nothing(finding: Finding, client_of: As) -> None:
    lea, erik = client_of("lea"), client_of("erik")
    path = f"/findings/{finding.pk}/edit/"
    assert lea.post(path, story(finding, cause="Lea's cause")).status_code == 302
    late = erik.post(path, story(finding, cause="Erik's cause"))
    text = late.content.decode()
    assert late.status_code == 409
    assert 'data-testid="conflict"' in text
    assert "Erik&#x27;s cause" in text
    assert "Lea&#x27;s cause" in text
    finding.refresh_from_db()
    assert finding.cause == "Lea's cause"
    assert f'name="version" value="{finding.version}"' in text
    merged = erik.post(path, story(finding, cause="Both", version=str(finding.version)))
    assert merged.status_code == 302


def test_a_viewer_edits_nothing(finding: Finding, client_of: As) -> None:
    vera = client_of("vera")
    assert vera.post(f"/findings/{finding.pk}/edit/", story(finding)).status_code == 403
    fix = {"what": "x", "fixed_since_date": "2026-01-01", "fixed_since_time": "10:00"}
    assert vera.post(f"/findings/{finding.pk}/fix/", fix).status_code == 403
    assert vera.post(f"/findings/{finding.pk}/verify/", {"at": "now"}).status_code == 403
    status = {"version": "1", "status": "acknowledged"}
    assert vera.post(f"/findings/{finding.pk}/status/", status).status_code == 403


def test_status_by_hand_never_verified(finding: Finding, client_of: As) -> None:
    erik = client_of("erik")
    path = f"/findings/{finding.pk}/status/"
    version = str(finding.version)
    refused = erik.post(path, {"version": version, "status": "verified_fixed"}, follow=True)
    assert "Nobody sets “verified fixed” by hand" in refused.content.decode()
    erik.post(path, {"version": version, "status": "acknowledged"})
    finding.refresh_from_db()
    assert finding.status == FindingStatus.ACKNOWLEDGED
    stale = erik.post(path, {"version": version, "status": "fix_in_progress"}, follow=True)
    assert "Somebody changed this finding" in stale.content.decode()
    odd = erik.post(path, {"version": "x", "status": "gone"}, follow=True)
    assert "is no status of a finding" in odd.content.decode()


def test_a_fix_is_recorded_in_the_persons_zone(finding: Finding, cast: Cast, client_of: As) -> None:
    cast.erik.time_zone = "Asia/Tokyo"
    cast.erik.save()
    since = (timezone.now() - dt.timedelta(minutes=5)).replace(microsecond=0)
    in_tokyo = since.astimezone(zoneinfo.ZoneInfo("Asia/Tokyo"))
    data = {
        "what": "Health check on /readyz",
        "link": "git.example.org/41",
        "fixed_since_date": f"{in_tokyo:%Y-%m-%d}",
        "fixed_since_time": f"{in_tokyo:%H:%M:%S}",
    }
    assert client_of("erik").post(f"/findings/{finding.pk}/fix/", data).status_code == 302
    fix = finding.fixes.get()
    assert fix.fixed_since == since
    assert fix.link == "https://git.example.org/41"
    finding.refresh_from_db()
    assert finding.status == FindingStatus.FIX_READY


def test_a_fix_of_tomorrow_is_refused_beside_its_field(finding: Finding, client_of: As) -> None:
    tomorrow = timezone.now() + dt.timedelta(days=1)
    data = {
        "what": "Kept text",
        "fixed_since_date": tomorrow.date().isoformat(),
        "fixed_since_time": "10:00",
    }
    answer = client_of("erik").post(f"/findings/{finding.pk}/fix/", data)
    text = answer.content.decode()
    assert answer.status_code == 422
    assert "is in the future: it is" in text
    assert "Kept text" in text


def test_a_fix_of_before_the_run_that_failed_is_refused_and_nothing_is_lost(
    finding: Finding, client_of: As
) -> None:
    assert finding.injection.injecting_at
    before = finding.injection.injecting_at - dt.timedelta(seconds=1)
    data = {
        "what": "Kept text",
        "link": "https://git.example.org/41",
        "fixed_since_date": f"{before:%Y-%m-%d}",
        "fixed_since_time": f"{before:%H:%M:%S}",
    }
    answer = client_of("erik").post(f"/findings/{finding.pk}/fix/", data)
    text = answer.content.decode()
    assert answer.status_code == 422
    assert "which showed the symptom: what was in place by then did not help" in text
    for typed in data.values():
        assert typed in text
    assert not finding.fixes.exists()


def test_re_verify_now_starts_the_same_fault(finding: Finding, client_of: As) -> None:
    answer = client_of("erik").post(f"/findings/{finding.pk}/verify/", {"at": "now"})
    verification = Verification.objects.get()
    assert answer["Location"] == f"/runs/{verification.injection_id}/"
    run = Injection.objects.exclude(pk=finding.injection_id).get()
    assert run.parameters == finding.parameters
    assert run.scenario_version == finding.scenario_version
    again = client_of("erik").post(f"/findings/{finding.pk}/verify/", {"at": "now"})
    assert again.status_code == 422
    assert "already waiting or running" in again.content.decode()


def test_re_verify_at_a_time_is_for_leads(finding: Finding, client_of: As) -> None:
    day = (timezone.now() + dt.timedelta(days=3)).date().isoformat()
    later = {"at": "later", "date": day, "time": "09:30"}
    assert client_of("erik").post(f"/findings/{finding.pk}/verify/", later).status_code == 403
    lea = client_of("lea")
    missing = lea.post(f"/findings/{finding.pk}/verify/", {"at": "later"})
    assert missing.status_code == 422
    assert "Give a date" in missing.content.decode()
    booked = lea.post(f"/findings/{finding.pk}/verify/", later)
    assert booked["Location"] == f"/gamedays/{Verification.objects.get().gameday_id}/"
    assert not Injection.objects.exclude(pk=finding.injection_id).exists()


def test_the_proof_closes_it(finding: Finding, cast: Cast, client_of: As) -> None:
    before = factories.make_run(cast, ago_s=8000, verdict=Verdict.BROKE)
    factories.make_verification(cast, finding, before, Outcome.RECURS, None)
    fix = factories.make_fix(cast, finding)
    after = factories.make_run(cast, ago_s=5000, verdict=Verdict.HELD)
    proof = factories.make_verification(cast, finding, after, Outcome.DOES_NOT_RECUR, fix)
    factories.close_finding(finding, proof)
    text = client_of("erik").get(f"/findings/{finding.pk}/").content.decode()
    assert 'data-testid="finding-status" data-status="verified_fixed"' in text
    assert 'data-testid="verification" data-outcome="does_not_recur"' in text
    assert 'data-testid="verification" data-outcome="recurs"' in text
    assert "closed this finding" in text
    assert "on the unfixed system" in text
    assert 'data-testid="re-verify"' not in text
    assert 'data-testid="set-' not in text


def test_a_pod_symptom_is_told_in_words(finding: Finding, client_of: As) -> None:
    lost = [{"namespace": "shop", "name": "shop-1", "node": "qa-1", "reason": "Evicted"}]
    Finding.objects.filter(pk=finding.pk).update(
        symptom={
            "kind": "pods",
            "probe": "",
            "max_lost": 0,
            "window": {"from": "bitten", "grace_s": 0, "to": "ended"},
            "measured": {"before": 24, "lost": lost},
        }
    )
    text = client_of("vera").get(f"/findings/{finding.pk}/").content.decode()
    assert "No pod may be lost, replaced or left not ready" in text
    assert "1 of 24 were." in text
    assert "shop/shop-1" in text
    assert "data-samples" not in text


def test_a_live_run_blocks_a_second(finding: Finding, cast: Cast, client_of: As) -> None:
    factories.make_run(cast, InjectionState.ACTIVE)
    answer = client_of("erik").post(f"/findings/{finding.pk}/verify/", {"at": "now"})
    assert answer.status_code == 422


def standing(text: str) -> str:
    return text.split('data-testid="standing">')[1].split("</p>", maxsplit=1)[0]


def test_the_head_says_once_and_truly_how_it_stands(
    finding: Finding, cast: Cast, client_of: As
) -> None:
    erik, path = client_of("erik"), f"/findings/{finding.pk}/"
    text = erik.get(path).content.decode()
    assert standing(text) == "Drafted from a run's evidence; nobody has taken it up yet."
    assert text.count("nobody has") == 1
    factories.make_fix(cast, finding)
    Finding.objects.filter(pk=finding.pk).update(status=FindingStatus.FIX_READY, drafted=False)
    text = erik.get(path).content.decode()
    assert standing(text) == "A fix is recorded; it is not proved yet."
    assert "nobody has" not in text


def test_the_run_that_showed_it_has_the_age_that_the_strip_tells(
    finding: Finding, client_of: As
) -> None:
    ended = timezone.now() - dt.timedelta(seconds=80)
    asked = ended - dt.timedelta(minutes=5)
    Injection.objects.filter(pk=finding.injection_id).update(asked_at=asked, ended_at=ended)
    text = client_of("vera").get(f"/findings/{finding.pk}/").content.decode()
    assert text.count(">1 minute ago</time>") == 2
    assert "6 minutes ago" not in text


def test_buttons_of_the_status_are_verbs(finding: Finding, client_of: As) -> None:
    erik, path = client_of("erik"), f"/findings/{finding.pk}/"
    for status, by_hand in FINDING_BY_HAND.items():
        if by_hand:
            Finding.objects.filter(pk=finding.pk).update(status=status)
            text = erik.get(path).content.decode()
            assert "Set to" not in text
            for word in by_hand:
                assert f'data-testid="set-{word}"' in text


def test_a_re_verification_that_was_just_asked_for_says_so_once(
    finding: Finding, client_of: As
) -> None:
    client_of("erik").post(f"/findings/{finding.pk}/verify/", {"at": "now"})
    text = client_of("erik").get(f"/findings/{finding.pk}/").content.decode()
    proof = text.split('data-testid="verification"')[1].split("</li>")[0]
    assert proof.count("<time") == 1


def test_a_re_verification_that_is_booked_says_when_it_begins(
    finding: Finding, client_of: As
) -> None:
    day = (timezone.now() + dt.timedelta(days=3)).date().isoformat()
    lea = client_of("lea")
    lea.post(f"/findings/{finding.pk}/verify/", {"at": "later", "date": day, "time": "09:30"})
    text = lea.get(f"/findings/{finding.pk}/").content.decode()
    proof = text.split('data-testid="verification"')[1].split("</li>")[0]
    assert "begins <time" in proof
