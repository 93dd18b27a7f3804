"""Every state has its mark, and every icon that a page names is in the sprite."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from django.conf import settings
from django.db import models

from core.choices import SetupPhase
from core.ui.marks import MARKS, UNKNOWN, mark_of
from gamedays import choices
from gamedays.scenarios.registry import all_scenarios
from gamedays.selectors.pods import STATES
from migrator import choices as step_choices

ROOT = Path(settings.BASE_DIR)
SHOWN: tuple[type[models.TextChoices], ...] = (
    choices.GamedayState,
    choices.InjectionState,
    choices.Verdict,
    choices.FindingStatus,
    choices.Severity,
    choices.VerificationTask,
    choices.Outcome,
    step_choices.StepState,
    step_choices.AttemptState,
    step_choices.Health,
    SetupPhase,
)


@pytest.mark.parametrize("kind", SHOWN, ids=lambda kind: str(kind.__name__))
def test_every_state_has_a_mark(kind: type[models.TextChoices]) -> None:
    assert [value for value in kind.values if value not in MARKS] == []


def test_pods_have_marks() -> None:
    assert set(STATES) <= set(MARKS)


def test_what_nobody_knows_is_unknown_and_never_calm() -> None:
    assert mark_of("a state of next year") is UNKNOWN
    assert mark_of("") is UNKNOWN
    assert mark_of("inconclusive").tone == "unknown"
    assert mark_of("silent").tone == "unknown"


def test_only_proved_things_are_calm() -> None:
    calm = {key for key, mark in MARKS.items() if mark.tone == "calm"}
    assert calm == {
        "steady",
        "passing",  # the last look at a probe, with its time beside it
        "reachable",
        "observing",
        "clean",
        "held",
        "does_not_recur",
        "verified_fixed",
        "on_track",  # every gate was asked, and none holds
        "ready",
        "confirmed",
        "step_done",  # a step was judged and accepted
        "returned",  # proved to be as it was before
        "within_reach",  # the way back was looked at
    }


def test_every_icon_is_in_the_sprite() -> None:
    sprite = (ROOT / "templates/parts/sprite.html").read_text()
    there = set(re.findall(r'<symbol id="i-([^"]+)"', sprite))
    wanted = {mark.icon for mark in MARKS.values()} | {s.icon for s in all_scenarios()}
    for template in (ROOT / "templates").rglob("*.html"):
        wanted |= set(re.findall(r'{% icon "([^"]+)"', template.read_text()))
    assert wanted - there == set()
    unused = there - wanted - {"bolt"}
    assert unused == set(), "the sprite holds only what is used"


def test_pages_hold_no_inline_script_or_style() -> None:
    for template in (ROOT / "templates").rglob("*.html"):
        text = template.read_text()
        assert not re.search(r"<script(?![^>]*\bsrc=)", text), template
        assert "<style" not in text, template
        assert not re.search(r'\s(style|on[a-z]+)="', text), template


def test_nothing_is_loaded_from_elsewhere() -> None:
    for template in (ROOT / "templates").rglob("*.html"):
        for tag in re.findall(r"<(?:script|link|img|iframe)[^>]*>", template.read_text()):
            assert "//" not in tag, (template, tag)
    for css in (ROOT / "static/css").glob("*.css"):
        assert "url(" not in css.read_text(), css
        assert "@import" not in css.read_text(), css
