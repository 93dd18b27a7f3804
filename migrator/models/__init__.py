"""One file per noun; import nouns from here."""

from migrator.models.attempt import Attempt, Retreat, StepLease, Tick
from migrator.models.csv_import import CsvImport
from migrator.models.dependency import Dependency
from migrator.models.gate import FreezeWindow, Override
from migrator.models.plan import HistoryEntry, Plan
from migrator.models.rehearsal import RehearsalPolicy, StepRehearsal
from migrator.models.rope import EnvoyListeners, RopeCheck
from migrator.models.service import Service, ServiceLink
from migrator.models.service_change import ServiceChange
from migrator.models.standing import Hold, ServiceStanding, StandingMark
from migrator.models.step import RollbackPlan, SignOff, Step
from migrator.models.template import PlanTemplate, TemplateVersion
from migrator.models.wave import Wave, WaveChange, WaveService

__all__ = [
    "Attempt",
    "CsvImport",
    "Dependency",
    "EnvoyListeners",
    "FreezeWindow",
    "HistoryEntry",
    "Hold",
    "Override",
    "Plan",
    "PlanTemplate",
    "RehearsalPolicy",
    "Retreat",
    "RollbackPlan",
    "RopeCheck",
    "Service",
    "ServiceChange",
    "ServiceLink",
    "ServiceStanding",
    "SignOff",
    "StandingMark",
    "Step",
    "StepLease",
    "StepRehearsal",
    "TemplateVersion",
    "Tick",
    "Wave",
    "WaveChange",
    "WaveService",
]
