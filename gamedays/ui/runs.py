"""The live run: one page, its fragment, the chart's samples, and the way out."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_POST

from core.policies import may_run
from core.ui.requests import attempt, back, is_fragment, person
from gamedays.choices import EntryKind
from gamedays.operations import runs as verbs
from gamedays.selectors import runs as selectors
from gamedays.selectors.pods import STATES, ledger
from gamedays.selectors.samples import probe_figures, samples_payload, sight
from gamedays.selectors.words import (
    hold_s,
    parameters_in_words,
    scenario_or_none,
    scenario_title,
    ways_back,
    where,
)
from gamedays.ui.strip import strip_context

if TYPE_CHECKING:
    from gamedays.models import Injection, TimelineEntry

_MS_DIGITS = 14
"""Milliseconds since 1970 until the year 5138; a longer number is no moment of a run."""


@require_GET
def run(request: HttpRequest, run_id: uuid.UUID) -> HttpResponse:
    user = person(request)
    found = selectors.run_with_id(user, run_id)
    return render(
        request,
        "runs/run.html",
        {**_live(found), "can_run": may_run(user, found.cluster)},
    )


@require_GET
@never_cache
def run_live(request: HttpRequest, run_id: uuid.UUID) -> HttpResponse:
    """What changes while it runs; the answer asks for itself again until the run is final."""
    found = selectors.run_with_id(person(request), run_id)
    return render(request, "runs/_live.html", {**_live(found), "swap": True})


@require_GET
@never_cache
def run_samples(request: HttpRequest, run_id: uuid.UUID) -> HttpResponse:
    """Samples later than `after` (milliseconds since 1970), for the chart."""
    found = selectors.run_with_id(person(request), run_id)
    after = request.GET.get("after", "")
    known = after.isdecimal() and len(after) <= _MS_DIGITS
    return JsonResponse(samples_payload(found, int(after) if known else None))


@require_POST
def abort(request: HttpRequest, run_id: uuid.UUID) -> HttpResponse:
    """One click, no question. Whoever may see it may end it."""
    user = person(request)
    found = selectors.run_with_id(user, run_id)
    attempt(request, lambda: verbs.abort_injection(actor=user, injection=found))
    if is_fragment(request):
        return render(request, "strip/_strip.html", strip_context(request))
    return redirect(back(request, reverse("run", args=[run_id])))


@require_POST
def add_note(request: HttpRequest, run_id: uuid.UUID) -> HttpResponse:
    user = person(request)
    found = selectors.run_with_id(user, run_id)
    text = request.POST.get("text", "")
    attempt(request, lambda: verbs.add_note(actor=user, injection=found, text=text))
    if is_fragment(request):
        return render(request, "runs/_live.html", {**_live(found), "swap": True})
    return redirect("run", run_id)


def _in_a_phase(entry: TimelineEntry) -> bool:
    """Told where it belongs already: as a phase, or as the evidence of one."""
    if entry.kind == EntryKind.ALARM:
        return False
    return entry.kind in (EntryKind.STATE, EntryKind.EVIDENCE) or bool(entry.data.get("state"))


def _live(run: Injection) -> dict[str, Any]:
    entries = selectors.timeline(run)
    figures = probe_figures(run)
    scenario = scenario_or_none(run.scenario_key)
    now = timezone.now()
    biting = run.bitten_at is not None and run.undo_asked_at is None
    return {
        "run": run,
        "gameday": run.agenda_item.gameday,
        "scenario": scenario,
        "title": scenario_title(run.scenario_key),
        "where": where(run),
        "ways_back": ways_back(run),
        "parameters": parameters_in_words(run.scenario_key, run.parameters),
        "steps": selectors.steps(run, entries),
        "entries": entries[::-1],
        "notes": [entry for entry in reversed(entries) if not _in_a_phase(entry)],
        "figures": figures,
        "alarms": selectors.alarms(entries),
        "sight": (seen := sight(run, figures)),
        "ledger": ledger(run, api_away=seen.api_away),
        "findings": selectors.findings_of(run),
        "seen_again": selectors.seen_again(run),
        "hold_s": hold_s(run),
        "elapsed_s": (now - run.bitten_at).total_seconds() if biting and run.bitten_at else None,
        "verification": getattr(run, "verification", None),
        "pod_states": STATES,
    }
