"""One file per noun; import nouns from here."""

from gamedays.models.bundle import BreakGlassBundle
from gamedays.models.finding import Finding, Fix, Recurrence, Verification
from gamedays.models.gameday import AgendaItem, Gameday
from gamedays.models.guard import ClusterAuthority, Guard
from gamedays.models.injection import Injection, Lease
from gamedays.models.probe import MetricsSource, Probe
from gamedays.models.proof import RequiredProof
from gamedays.models.record import PodRecord, SampleBlock, TimelineEntry
from gamedays.models.rehearsal import UndoRehearsal

__all__ = [
    "AgendaItem",
    "BreakGlassBundle",
    "ClusterAuthority",
    "Finding",
    "Fix",
    "Gameday",
    "Guard",
    "Injection",
    "Lease",
    "MetricsSource",
    "PodRecord",
    "Probe",
    "Recurrence",
    "RequiredProof",
    "SampleBlock",
    "TimelineEntry",
    "UndoRehearsal",
    "Verification",
]
