"""Stop conditions: a probe that fails for so many seconds in a row ends the fault by itself.

Only failures that were seen count. A second that nobody could look at neither adds to the row
nor breaks it; one good second breaks it.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gamedays.choices import Alarm
from gamedays.models import Injection, Probe
from gamedays.probes.registry import KINDS

if TYPE_CHECKING:
    from gamedays.execution.judge import Measured
    from gamedays.execution.world import Sample
    from gamedays.probes.base import ProbeSpec


@dataclass(frozen=True, kw_only=True)
class Breach:
    """The condition that was met."""

    probe: str
    """Its key."""
    title: str
    seconds: int
    detail: str
    """What the last failing attempt said."""

    @property
    def sentence(self) -> str:
        said = f" ({self.detail})" if self.detail else ""
        return f"“{self.title}” failed for {self.seconds} s in a row{said}."

    def as_data(self) -> dict[str, Any]:
        return {
            "alarm": Alarm.STOP_CONDITION,
            "probe": self.probe,
            "seconds": self.seconds,
            "detail": self.detail,
        }


class StopConditions:
    """Counts failing seconds in a row, per probe that is marked *abort when*."""

    def __init__(self, probes: Iterable[ProbeSpec]) -> None:
        self._probes = {
            probe.id: probe
            for probe in probes
            # An alert that is silent is as it should be.
            if probe.abort_after_s is not None and KINDS[probe.kind].steady
        }
        self._failing: dict[int, set[dt.datetime]] = {}

    def count(self, samples: Iterable[Sample]) -> Breach | None:
        """Add what was just seen; the first condition that is met, if any."""
        for sample in sorted(samples, key=lambda sample: sample.at):
            probe = self._probes.get(sample.probe_id)
            if probe is None or probe.abort_after_s is None or not sample.attempts:
                continue
            if sample.passed == sample.attempts:
                self._failing.pop(probe.id, None)
                continue
            seconds = self._failing.setdefault(probe.id, set())
            seconds.add(sample.at.replace(microsecond=0))
            if len(seconds) >= probe.abort_after_s:
                return Breach(
                    probe=probe.key,
                    title=probe.title,
                    seconds=len(seconds),
                    detail=sample.detail,
                )
        return None


def judge_stop(injection: Injection, probe: Probe, measured: Measured | None) -> dict[str, Any]:
    """Whether this probe ended the fault. `measured`: it while the fault was live."""
    met = met_conditions(injection).get(probe.key)
    if met is not None:
        result = "broke"
        sentence = (
            f"“{probe.title}” failed for {met['seconds']} s in a row, and ended the fault by "
            "itself."
        )
    elif measured is None or not measured.known:
        result, sentence = "unknown", f"“{probe.title}” was not seen while the fault was live."
    else:
        result, sentence = "held", f"“{probe.title}” never failed long enough to end the fault."
    return {
        "key": f"stop:{probe.key}",
        "title": f"“{probe.title}” does not fail for {probe.abort_after_s} s in a row",
        "broken_title": f"“{probe.title}” failed for so long that the fault was ended",
        "kind": "stop",
        "probe": probe.key,
        "probe_title": probe.title,
        "target": probe.target,
        "bound": {"abort_after_s": probe.abort_after_s},
        "window": {"from": "bitten", "grace_s": 0, "to": "undo_asked"},
        "measured": measured.as_data() if measured else {},
        "result": result,
        "sentence": sentence,
    }


def met_conditions(injection: Injection) -> dict[str, Mapping[str, Any]]:
    """Probe key → what was written down when its condition was met."""
    entries = injection.timeline.filter(data__alarm=Alarm.STOP_CONDITION)
    return {entry.data["probe"]: entry.data for entry in entries}
