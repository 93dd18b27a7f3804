"""The booking form: what was typed, as typed values, with the complaint beside each field."""

from __future__ import annotations

import datetime as dt
import zoneinfo
from typing import TYPE_CHECKING, Any

from django import forms
from django.utils import timezone

from core import selectors as core_selectors
from core.models import Cluster, User
from core.ui.dates import require_near
from core.ui.timezone import zone_names, zone_or_utc
from gamedays.models.gameday import TITLE_MAX
from gamedays.operations.bookings import DURATION_MIN_MAX, DURATION_MIN_MIN

if TYPE_CHECKING:
    from core.errors import Invalid

_DEFAULT_TIME = dt.time(14, 0)
_DEFAULT_MINUTES = 60


class BookingForm(forms.Form):
    """Everything of a booking but its agenda. `user` must be able to book somewhere."""

    title = forms.CharField(
        max_length=TITLE_MAX,
        label="Title",
        error_messages={
            "required": "Give it a title that people will recognise in the calendar.",
            "max_length": f"A title has at most {TITLE_MAX} characters.",
        },
    )
    cluster = forms.ModelChoiceField(
        Cluster.objects.none(),
        label="Cluster",
        empty_label=None,
        error_messages=dict.fromkeys(
            ("required", "invalid_choice"), "Choose a QA cluster of a team that you lead."
        ),
    )
    date = forms.DateField(
        label="Date",
        validators=[require_near],
        error_messages=dict.fromkeys(("required", "invalid"), "Give a date, like 2027-03-09."),
    )
    time = forms.TimeField(
        label="Starts at",
        input_formats=["%H:%M", "%H:%M:%S", "%H.%M"],
        error_messages=dict.fromkeys(("required", "invalid"), "Give a time, like 14:00."),
    )
    time_zone = forms.CharField(
        label="Time zone",
        max_length=64,
        error_messages=dict.fromkeys(
            ("required", "max_length"), "Give a time zone, like Europe/Berlin."
        ),
    )
    duration_min = forms.IntegerField(
        label="Length",
        min_value=DURATION_MIN_MIN,
        max_value=DURATION_MIN_MAX,
        help_text="How long the cluster is yours.",
        error_messages=dict.fromkeys(
            ("required", "invalid", "min_value", "max_value"),
            f"Give {DURATION_MIN_MIN} to {DURATION_MIN_MAX} minutes.",
        ),
    )
    facilitator = forms.ModelChoiceField(
        User.objects.none(),
        label="Facilitator",
        empty_label=None,
        error_messages=dict.fromkeys(
            ("required", "invalid_choice"), "Choose a lead or an engineer of the cluster's team."
        ),
    )
    autostart = forms.BooleanField(
        label="Start by itself at the booked time",
        required=False,
        help_text="Otherwise a lead or an engineer presses Start.",
    )

    def __init__(self, *args: Any, user: User, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.user = user
        self.overlaps = False
        """Another booking stands in the way: neither the date nor the time alone is wrong."""
        clusters = core_selectors.bookable_clusters(user)
        self._field("cluster").queryset = clusters
        self.chosen = self._chosen_cluster(list(clusters))
        if self.chosen is not None:
            self._field("facilitator").queryset = core_selectors.runners_of(self.chosen)

    def _field(self, name: str) -> forms.ModelChoiceField:  # type: ignore[type-arg]
        field = self.fields[name]
        assert isinstance(field, forms.ModelChoiceField)  # noqa: S101  declared above
        return field

    def _chosen_cluster(self, clusters: list[Cluster]) -> Cluster | None:
        asked = str(self.data.get("cluster") or self.initial.get("cluster") or "")
        return next((c for c in clusters if str(c.pk) == asked), clusters[0] if clusters else None)

    @property
    def nodes(self) -> list[str]:
        """Control-plane nodes of the chosen cluster, for parameters that name one."""
        if self.chosen is None:
            return []
        nodes = self.chosen.nodes.filter(control_plane=True)
        return list(nodes.values_list("name", flat=True))

    def clean_time_zone(self) -> str:
        name: str = self.cleaned_data["time_zone"].strip()
        if name not in zoneinfo.available_timezones():
            raise forms.ValidationError(
                f"“{name}” is no time zone that this machine knows. Choose one like Europe/Berlin."
            )
        return name

    def clean(self) -> dict[str, Any]:
        data: dict[str, Any] = super().clean() or {}
        moment = self.starts_at
        if moment is not None and _in_gap(moment):
            self.add_error(
                "time",
                f"There is no {moment:%H:%M} on that day in {data['time_zone']}: the clocks go "
                "forward over it. Choose a time an hour later.",
            )
        return data

    @property
    def starts_at(self) -> dt.datetime | None:
        """The moment, once date, time and zone are known. Of a doubled hour it is the first."""
        data = getattr(self, "cleaned_data", {})
        date, time, name = data.get("date"), data.get("time"), data.get("time_zone")
        if date is None or time is None or not name:
            return None
        return dt.datetime.combine(date, time, zoneinfo.ZoneInfo(name))

    def take_errors(self, error: Invalid) -> None:
        """Put what the operation refused beside the fields; the rest on top."""
        errors = error.errors or {"": error.message}
        for name, text in errors.items():
            if name.startswith("agenda"):
                continue
            field = self._moment_field if name == "starts_at" else name
            self.add_error(field if field in self.fields else None, text)

    def take_overlap(self, text: str) -> None:
        self.overlaps = True
        self.add_error("time", text)

    @property
    def _moment_field(self) -> str:
        """The operation speaks of one moment, the form of a date and a time: which is wrong?

        On an earlier day no time of day would do.
        """
        moment = self.starts_at
        past_day = moment is not None and moment.date() < timezone.localdate(timezone=moment.tzinfo)
        return "date" if past_day else "time"


def first_values(user: User, cluster: Cluster | None) -> dict[str, Any]:
    """What an empty form holds: tomorrow at two in the cluster's zone, an hour, oneself."""
    zone = cluster.time_zone if cluster else user.time_zone
    tomorrow = timezone.localtime(timezone.now(), zone_or_utc(zone)).date() + dt.timedelta(days=1)
    return {
        "title": "",
        "cluster": cluster.pk if cluster else None,
        "date": tomorrow,
        "time": _DEFAULT_TIME,
        "time_zone": zone,
        "duration_min": _DEFAULT_MINUTES,
        "facilitator": user.pk,
    }


def zone_choices() -> list[str]:
    return zone_names()


def _in_gap(moment: dt.datetime) -> bool:
    """True for a wall-clock time that the clocks jump over."""
    there_and_back = moment.astimezone(dt.UTC).astimezone(moment.tzinfo)
    return there_and_back.replace(tzinfo=None) != moment.replace(tzinfo=None)
