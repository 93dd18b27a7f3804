"""The live run: fragments, samples in increments, what is seen and what is not, abort."""

from __future__ import annotations

import datetime as dt
import re

import pytest
from django.utils import timezone

from gamedays.choices import BEFORE_UNDO, FINAL, Alarm, EntryKind, InjectionState, Verdict
from gamedays.models import Gameday, SampleBlock, TimelineEntry
from gamedays.selectors.samples import probe_figures
from tests.people import API, Cast
from tests.ui import factories
from tests.ui.conftest import As

HTMX = {"HX-Request": "true"}


def test_the_fragment_asks_again_until_the_run_is_final(cast: Cast, client_of: As) -> None:
    vera = client_of("vera")
    run = factories.make_run(cast, InjectionState.ACTIVE)
    text = vera.get(f"/runs/{run.pk}/live/", headers=HTMX).content.decode()
    assert 'hx-trigger="every 1s"' in text
    for part in ("run-sight", "run-steps", "run-result", "run-figures", "run-pods", "run-timeline"):
        assert re.search(rf'id="{part}"[^>]*hx-swap-oob="true"', text), part
    run.state = InjectionState.CLEAN
    run.save()
    assert "hx-trigger" not in vera.get(f"/runs/{run.pk}/live/", headers=HTMX).content.decode()


def test_a_form_that_htmx_boosts_gets_a_whole_page(cast: Cast, client_of: As) -> None:
    run = factories.make_run(cast, InjectionState.ACTIVE)
    boosted = HTMX | {"HX-Boosted": "true"}
    answer = client_of("vera").post(f"/runs/{run.pk}/notes/", {"text": "hm"}, headers=boosted)
    assert (answer.status_code, answer["Location"]) == (302, f"/runs/{run.pk}/")


def test_fragments_are_never_cached(cast: Cast, client_of: As) -> None:
    run = factories.make_run(cast, InjectionState.ACTIVE)
    for path in ("/strip/", f"/runs/{run.pk}/live/", f"/runs/{run.pk}/samples.json"):
        assert "no-store" in client_of("vera").get(path)["Cache-Control"], path


def test_samples_come_in_increments(cast: Cast, client_of: As) -> None:
    run = factories.make_run(cast, verdict=Verdict.BROKE)
    factories.make_samples(run, factories.make_probes(cast))
    vera = client_of("vera")
    whole = vera.get(f"/runs/{run.pk}/samples.json").json()
    rows = whole["samples"]["shop"]
    assert whole["final"] is True
    assert [mark["key"] for mark in whole["marks"]] == [
        "armed",
        "bitten",
        "undo_asked",
        "restored",
        "ended",
    ]
    assert len(rows) == 154
    assert rows == sorted(rows)
    cut = rows[100][0]
    more = vera.get(f"/runs/{run.pk}/samples.json?after={cut}").json()
    assert more["samples"]["shop"] == rows[101:]
    last = vera.get(f"/runs/{run.pk}/samples.json?after={rows[-1][0]}").json()
    assert all(found == [] for found in last["samples"].values())


@pytest.mark.parametrize("after", ["", "x", "-5", "1e9"])
def test_a_strange_after_is_no_error(after: str, cast: Cast, client_of: As) -> None:
    run = factories.make_run(cast)
    assert client_of("vera").get(f"/runs/{run.pk}/samples.json?after={after}").status_code == 200


def test_while_the_api_is_away_the_page_says_what_it_sees(cast: Cast, client_of: As) -> None:
    run = factories.make_run(cast, InjectionState.ACTIVE, scenario=API)
    factories.make_samples(run, factories.make_probes(cast), api_away=True, ahead_s=60)
    text = client_of("vera").get(f"/runs/{run.pk}/").content.decode()
    assert 'data-testid="api-away"' in text
    assert "Shop through Envoy, etcd on qa-1" in text
    assert "whether pods are ready" in text
    assert 'data-probe="shop" data-state="steady"' in text
    assert 'data-probe="api-read" data-state="failing"' in text


def test_a_probe_that_fell_silent_is_unknown_not_green(cast: Cast, client_of: As) -> None:
    run = factories.make_run(cast, InjectionState.ACTIVE)
    probes = factories.make_probes(cast)
    factories.make_samples(run, probes)
    for block in run.blocks.filter(probe__key="shop"):
        block.started_at -= dt.timedelta(seconds=30)
        block.save()
    text = client_of("vera").get(f"/runs/{run.pk}/").content.decode()
    assert 'data-probe="shop" data-state="unknown"' in text


def test_every_fate_of_a_pod_is_told(cast: Cast, client_of: As) -> None:
    run = factories.make_run(cast)
    factories.make_pods(run)
    text = client_of("vera").get(f"/runs/{run.pk}/").content.decode()
    for fate in ("born", "restarted", "dying", "dead"):
        assert f'class="pod pod-{fate}"' in text, fate
    assert "kube-system/etcd-qa-2: Gone" in text
    assert "2 restarts since the run began" in text


def test_while_the_api_is_away_only_guards_vouch_for_a_pod(cast: Cast, client_of: As) -> None:
    run = factories.make_run(cast, InjectionState.ACTIVE, scenario=API)
    factories.make_samples(run, factories.make_probes(cast), api_away=True, ahead_s=60)
    factories.make_pods(run)
    text = client_of("vera").get(f"/runs/{run.pk}/").content.decode()
    assert text.count('<li class="pod pod-steady_pod"') == 1
    assert text.count('<li class="pod pod-unknown"') == 22
    assert "seen by the node&#x27;s guard" in text
    assert "last seen running" in text
    assert "which pods still run, as the guards see it" in text


def test_the_proof_of_restoring_is_told_check_by_check(cast: Cast, client_of: As) -> None:
    run = factories.make_run(cast)
    text = client_of("vera").get(f"/runs/{run.pk}/").content.decode()
    step = text.split('data-step="restored"')[1].split('data-step="ended"')[0]
    assert "3 checks" in step
    for kind, sentence in (
        ("check-yes", "The manifest is as before."),
        ("check-unknown", "qa-1 could not be asked."),
        ("check-no", "A write was not read back."),
    ):
        assert kind in step
        assert sentence in step


def test_abort_is_requested_and_only_then_confirmed(cast: Cast, client_of: As) -> None:
    run = factories.make_run(cast, InjectionState.ACTIVE)
    vera = client_of("vera")
    page = vera.get(f"/runs/{run.pk}/").content.decode()
    assert 'data-testid="abort"' in page
    strip = vera.post(f"/runs/{run.pk}/abort/", headers=HTMX).content.decode()
    assert 'id="strip"' in strip
    assert "Abort requested" in strip
    page = vera.get(f"/runs/{run.pk}/").content.decode()
    assert 'data-testid="abort"' not in page
    assert 'data-testid="abort-state" data-state="requested"' in page
    run.refresh_from_db()
    run.undone_at = run.abort_requested_at
    run.state = InjectionState.VERIFYING
    run.save()
    page = vera.get(f"/runs/{run.pk}/").content.decode()
    assert 'data-testid="abort-state" data-state="confirmed"' in page


@pytest.mark.parametrize("state", [s for s in InjectionState if s not in BEFORE_UNDO | FINAL])
def test_from_the_undo_on_the_page_says_what_happens_instead_of_abort(
    cast: Cast, client_of: As, state: InjectionState
) -> None:
    run = factories.make_run(cast, state)
    vera = client_of("vera")
    page = vera.get(f"/runs/{run.pk}/").content.decode()
    strip = vera.get("/strip/").content.decode()
    assert 'data-testid="abort"' not in page
    assert 'data-testid="strip-abort"' not in strip
    assert run.undo_asked_at
    asked = f"{run.undo_asked_at:%H:%M:%S}"
    for text in (page.split('data-testid="undo-asked"')[1], strip):
        assert f"{asked}</time>" in text.split("Undo asked for at")[1].split("</span>")[0]
    # A page that was drawn a moment earlier: its click is kept, and changes nothing.
    vera.post(f"/runs/{run.pk}/abort/")
    run.refresh_from_db()
    assert (run.state, run.abort_requested_by) == (state, cast.vera)


def test_while_the_api_is_away_abort_is_told_as_long_as_it_works(cast: Cast, client_of: As) -> None:
    run = factories.make_run(cast, InjectionState.ACTIVE, scenario=API)
    factories.make_samples(run, factories.make_probes(cast), api_away=True, ahead_s=60)
    vera = client_of("vera")
    assert "and Abort works" in vera.get(f"/runs/{run.pk}/").content.decode()
    vera.post(f"/runs/{run.pk}/abort/")
    assert "and Abort works" not in vera.get(f"/runs/{run.pk}/").content.decode()


def test_the_judgement_and_its_finding(cast: Cast, client_of: As) -> None:
    run = factories.make_run(cast, verdict=Verdict.BROKE, judgement=factories.BROKE)
    finding = factories.make_finding(cast, run)
    text = client_of("vera").get(f"/runs/{run.pk}/").content.decode()
    assert 'data-testid="verdict" data-verdict="broke"' in text
    assert 'data-key="api-reads" data-result="broke"' in text
    assert "≥ 99%" in text
    assert "66.7%" in text
    assert f'href="/findings/{finding.pk}/" data-testid="finding-link"' in text


def test_what_the_phases_tell_is_not_told_again_beside_them(cast: Cast, client_of: As) -> None:
    """Notes and alarms stand alone; the log with everything is one click away."""
    sentence = "Broke. API reads: 50 of 150 failed."
    run = factories.make_run(cast, verdict=Verdict.BROKE, judgement=factories.BROKE)
    TimelineEntry.objects.filter(injection=run, data__state=InjectionState.CLEAN).update(
        text=sentence
    )
    for kind, text in ((EntryKind.NOTE, "Grafana is red"), (EntryKind.ALARM, "Nobody conducts")):
        TimelineEntry.objects.create(
            injection=run, at=run.bitten_at or run.asked_at, kind=kind, text=text, data={}
        )
    page = client_of("vera").get(f"/runs/{run.pk}/").content.decode()
    beside, log = page.split('id="run-timeline"')[1].split('<details id="run-log">')
    assert beside.count('class="entry ') == 2
    assert "Grafana is red" in beside
    assert "Nobody conducts" in beside
    assert log.split("</details>")[0].count('class="entry ') == 9
    assert page.count(sentence) == 1, "the verdict's sentence stands in the log alone"
    ended = page.split('data-step="ended"')[1].split("</ol>")[0]
    assert "mark-live" in ended


def test_a_refusal_says_why_and_what_to_do(cast: Cast, client_of: As) -> None:
    reason = "The cluster carries no QA marker. Its owner creates it."
    run = factories.make_run(cast, InjectionState.REFUSED, reason=reason)
    text = client_of("vera").get(f"/runs/{run.pk}/").content.decode()
    assert "Refused before anything was touched" in text
    assert reason in text
    assert 'data-testid="abort"' not in text


def test_a_note_stands_on_the_timeline(cast: Cast, client_of: As) -> None:
    run = factories.make_run(cast, InjectionState.ACTIVE)
    vera = client_of("vera")
    text = vera.post(
        f"/runs/{run.pk}/notes/", {"text": "Grafana is <b>red</b>"}, headers=HTMX
    ).content.decode()
    assert "Grafana is &lt;b&gt;red&lt;/b&gt;" in text
    assert TimelineEntry.objects.get(kind="note").actor == cast.vera
    assert client_of("otto").post(f"/runs/{run.pk}/notes/", {"text": "hm"}).status_code == 404


def test_the_strip_is_loud_only_while_something_is_broken(cast: Cast, client_of: As) -> None:
    vera = client_of("vera")
    quiet = vera.get("/strip/").content.decode()
    assert 'data-cluster="qa-range" data-state="no_fault"' in quiet
    assert 'hx-trigger="every 5s"' in quiet
    run = factories.make_run(cast, InjectionState.ACTIVE)
    loud = vera.get("/strip/").content.decode()
    assert "strip-loud" in loud
    assert 'data-cluster="qa-range" data-state="active"' in loud
    assert "One etcd member down on qa-2" in loud
    assert "of 01:00" in loud
    assert 'hx-trigger="every 1s"' in loud
    run.state, run.verdict, run.ended_at = InjectionState.CLEAN, Verdict.HELD, run.bitten_at
    run.save()
    Gameday.objects.update(state="done")
    after = vera.get("/strip/").content.decode()
    assert "strip-loud" not in after
    assert ", held" in after


def test_a_refused_fragment_leaves_the_page_and_tells_why(cast: Cast, client_of: As) -> None:
    run = factories.make_run(cast, InjectionState.ACTIVE)
    answer = client_of("otto").post(f"/runs/{run.pk}/abort/", headers=HTMX)
    assert answer.status_code == 404
    assert answer["HX-Reswap"] == "none"
    assert "among those that you may see" in answer["HX-Trigger"]


def test_a_stuck_run_says_what_to_check_and_a_lead_signs(cast: Cast, client_of: As) -> None:
    checks = [{"name": "canary:qa-1", "passed": None, "sentence": "qa-1 could not be asked."}]
    run = factories.make_run(cast, InjectionState.UNDO_STUCK, reason="qa-2 does not answer.")
    TimelineEntry.objects.create(
        injection=run, at=run.asked_at, kind="alarm", text="stuck", data={"checks": checks}
    )
    path = f"/runs/{run.pk}/by-hand/"
    erik, lea = client_of("erik"), client_of("lea")
    assert path in erik.get(f"/runs/{run.pk}/").content.decode()
    text = erik.get(path).content.decode()
    assert "qa-2 does not answer." in text
    assert "qa-1 could not be asked." in text
    assert "sha256sum /etc/kubernetes/manifests/etcd.yaml" in text
    assert 'data-testid="sign"' not in text
    assert erik.post(path, {"reason": "r", "seen": "s"}).status_code == 403
    assert 'data-testid="sign"' in lea.get(path).content.decode()
    wrong = lea.post(path, {"reason": "qa-2 burnt", "seen": ""})
    assert wrong.status_code == 422
    assert "what it showed" in wrong.content.decode()
    assert "qa-2 burnt" in wrong.content.decode(), "what was typed is kept"
    said = lea.post(path, {"reason": "qa-2 burnt", "seen": "nothing there"}, follow=True)
    assert 'data-state="resolved_by_hand"' in said.content.decode()
    assert 'data-testid="not-stuck"' in lea.get(path).content.decode()
    assert client_of("otto").get(path).status_code == 404


def test_an_alarm_stands_on_the_page_and_not_only_on_the_timeline(
    cast: Cast, client_of: As
) -> None:
    run = factories.make_run(cast, InjectionState.ACTIVE)
    text = "Mass termination: 8 of 20 pods (40%) were terminated or evicted: shop/prices-1."
    for data in ({"alarm": Alarm.MASS_TERMINATION}, {"alarm": Alarm.STUCK}, {}):
        TimelineEntry.objects.create(
            injection=run, at=timezone.now(), kind=EntryKind.ALARM, text=text, data=data
        )
    page = client_of("vera").get(f"/runs/{run.pk}/live/", headers=HTMX).content.decode()
    shown = re.findall(r'data-testid="alarm" data-alarm="(\w*)"', page)
    assert shown == ["mass_termination"], "that the way back is stuck has a place of its own"
    [place] = re.findall(r'data-testid="alarm".*?</div>', page, re.DOTALL)
    assert text in place


@pytest.mark.parametrize(
    ("line", "bound", "measured"),
    [
        (
            {"kind": "terminations", "bound": {"max_terminated_share": 0.2}, "measured": {
                "before": 20, "terminated": [{"namespace": "shop", "name": "a"}]}},
            "20", "1 terminated",
        ),
        ({"kind": "stop", "bound": {"abort_after_s": 7}, "measured": {}}, "7 s", "nothing"),
        ({"kind": "alert", "bound": {"within_s": 45}, "measured": {"fired_after_s": 12.5}},
         "45 s", "12.5 s"),
    ],
)  # fmt: skip
def test_every_kind_of_line_has_its_bound_and_its_figure(
    cast: Cast, client_of: As, line: dict[str, object], bound: str, measured: str
) -> None:
    judged = {"key": "k", "title": "T", "sentence": "S", "result": "broke"} | line
    run = factories.make_run(cast, verdict=Verdict.BROKE, judgement=[judged])
    page = client_of("vera").get(f"/runs/{run.pk}/").content.decode()
    [row] = re.findall(r'<tr data-testid="judgement".*?</tr>', page, re.DOTALL)
    cells = re.findall(r'data-label="(?:Bound|Measured)">(.*?)</td>', row, re.DOTALL)
    assert bound in cells[0]
    assert measured in cells[1]


def test_a_probe_that_could_seldom_be_looked_at_is_unknown(cast: Cast) -> None:
    """One look that passed after four that could not be made."""
    run = factories.make_run(cast, InjectionState.REFUSED)
    probe = factories.make_probes(cast)[0]
    looks = [[second * 1000, 0, 0, None, "not looked at yet"] for second in range(4)]
    SampleBlock.objects.create(
        injection=run,
        probe=probe,
        fence=1,
        started_at=run.asked_at,
        samples=[*looks, [4000, 1, 1, 3.0, ""]],
    )
    figures = next(each for each in probe_figures(run) if each.probe == probe)
    assert figures.state == "unknown"
    assert figures.detail == "not looked at yet"
    block = SampleBlock.objects.get()
    block.samples = [[second * 1000, 1, 1, 3.0, ""] for second in range(4)] + [looks[0]]
    block.samples[4][0] = 4000
    block.save()
    assert next(e for e in probe_figures(run) if e.probe == probe).state == "unknown"
    block.samples.append([5000, 1, 1, 3.0, ""])
    block.save()
    assert next(e for e in probe_figures(run) if e.probe == probe).state == "steady"
