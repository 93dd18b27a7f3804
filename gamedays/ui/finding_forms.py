"""Forms of a finding: its story, its fix, and when to prove it."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

from django import forms
from django.utils import timezone

from core.models import User
from core.ui.dates import require_near
from gamedays.choices import Severity
from gamedays.models.finding import LINK_MAX, TITLE_MAX
from gamedays.operations.findings import FIX_MAX
from gamedays.operations.symptoms import (
    MARKS,
    SymptomDraft,
    draft_of,
    probes_for_symptom,
    why_symptom_stays,
)
from migrator.models import Service

if TYPE_CHECKING:
    from gamedays.models import Finding


_DATE_WANTED = dict.fromkeys(("required", "invalid"), "Give a date, like 2027-03-09.")
_TIME_WANTED = dict.fromkeys(("required", "invalid"), "Give a time, like 14:00.")


class StoryForm(forms.Form):
    """The finding's story. `version` is the row version that the page showed."""

    version = forms.IntegerField(widget=forms.HiddenInput)
    title = forms.CharField(
        max_length=TITLE_MAX,
        label="Title",
        error_messages={
            "required": "Give it a title that says what surprised you.",
            "max_length": f"A title has at most {TITLE_MAX} characters.",
        },
    )
    believed = forms.CharField(
        label="What we believed", required=False, widget=forms.Textarea(attrs={"rows": 3})
    )
    happened = forms.CharField(
        label="What happened", required=False, widget=forms.Textarea(attrs={"rows": 4})
    )
    cause = forms.CharField(
        label="Why",
        required=False,
        widget=forms.Textarea(attrs={"rows": 4}),
        help_text="The cause, as far as it is understood. Causes, never culprits.",
    )
    severity = forms.ChoiceField(
        choices=Severity.choices,
        label="Severity",
        error_messages=dict.fromkeys(("required", "invalid_choice"), "Choose one of the four."),
    )
    owner = forms.ModelChoiceField(
        User.objects.none(), label="Who takes it up", required=False, empty_label="Nobody yet"
    )
    service = forms.ModelChoiceField(
        Service.objects.none(),
        label="What it is about",
        required=False,
        help_text="While it is severe and not proved fixed, it holds back the steps of what it is "
        "about.",
        error_messages={"invalid_choice": "Choose a service of the list, or the cluster."},
    )


class SymptomForm(forms.Form):
    """What a re-verification looks for: one probe, how much of it has to pass, and when."""

    symptom_probe = forms.ChoiceField(label="Probe")
    symptom_bound = forms.FloatField(label="Has to pass at least, in %")
    symptom_from = forms.ChoiceField(label="From", choices=list(MARKS.items())[:-1])
    symptom_grace_s = forms.IntegerField(label="Seconds left out after that")
    symptom_to = forms.ChoiceField(label="Until", choices=list(MARKS.items())[1:])

    @classmethod
    def of(cls, finding: Finding, data: Any) -> SymptomForm | None:
        """None where nobody may edit the symptom."""
        if why_symptom_stays(finding):
            return None
        now = draft_of(finding.symptom)
        form = cls(
            data if data and "symptom_probe" in data else None,
            initial={
                "symptom_probe": now.probe,
                "symptom_bound": now.bound_percent,
                "symptom_from": now.window_from,
                "symptom_grace_s": now.grace_s,
                "symptom_to": now.window_to,
            },
        )
        probe = form.fields["symptom_probe"]
        if isinstance(probe, forms.ChoiceField):
            probe.choices = [(p.key, p.title) for p in probes_for_symptom(finding.cluster)]
        return form

    @property
    def draft(self) -> SymptomDraft | None:
        """None: no symptom was sent."""
        if not self.is_bound:
            return None
        data = self.cleaned_data
        return SymptomDraft(
            probe=data["symptom_probe"],
            bound_percent=data["symptom_bound"],
            window_from=data["symptom_from"],
            grace_s=data["symptom_grace_s"],
            window_to=data["symptom_to"],
        )


class FixForm(forms.Form):
    """What was done. A run proves it that began after `fixed_since`, and after it was recorded."""

    what = forms.CharField(
        label="What was done",
        widget=forms.Textarea(attrs={"rows": 3}),
        max_length=FIX_MAX,
        error_messages={
            "required": "Write down what was done, so that others can follow it.",
            "max_length": f"This takes at most {FIX_MAX} characters; link to what is longer.",
        },
    )
    link = forms.URLField(
        label="Link",
        required=False,
        max_length=LINK_MAX,
        assume_scheme="https",
        help_text="The merge request, commit or runbook.",
        error_messages={
            "invalid": "Give a whole address, like https://git.example.org/fix, or none.",
            "max_length": f"A link has at most {LINK_MAX} characters.",
        },
    )
    fixed_since_date = forms.DateField(
        label="Fixed since",
        validators=[require_near],
        error_messages=_DATE_WANTED,
    )
    fixed_since_time = forms.TimeField(
        label="at",
        input_formats=["%H:%M:%S", "%H:%M"],
        error_messages=_TIME_WANTED,
    )

    @property
    def fixed_since(self) -> dt.datetime:
        data = self.cleaned_data
        zone = timezone.get_current_timezone()
        return dt.datetime.combine(data["fixed_since_date"], data["fixed_since_time"], zone)


class VerificationForm(forms.Form):
    """Break the same thing again: now, or at a time in one's own zone."""

    at = forms.ChoiceField(choices=[("now", "Now"), ("later", "At a time")], initial="now")
    date = forms.DateField(
        label="Date", required=False, validators=[require_near], error_messages=_DATE_WANTED
    )
    time = forms.TimeField(
        label="Time",
        required=False,
        input_formats=["%H:%M", "%H:%M:%S"],
        error_messages=_TIME_WANTED,
    )

    def clean(self) -> dict[str, Any]:
        data: dict[str, Any] = super().clean() or {}
        if data.get("at") == "later":
            for name in ("date", "time"):
                if not data.get(name) and name not in self.errors:
                    self.add_error(name, f"Give a {name}, or press “Re-verify now”.")
        return data

    @property
    def starts_at(self) -> dt.datetime | None:
        """None means now."""
        data = self.cleaned_data
        if data["at"] == "now":
            return None
        return dt.datetime.combine(data["date"], data["time"], timezone.get_current_timezone())


def fix_initial() -> dict[str, Any]:
    """Fixed since this very moment, to the second: a run that starts next must count."""
    now = timezone.localtime()
    return {"fixed_since_date": now.date(), "fixed_since_time": now.time().replace(microsecond=0)}
