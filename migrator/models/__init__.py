"""One file per noun; import nouns from here."""

from migrator.models.attempt import Attempt, Retreat, StepLease, Tick
from migrator.models.gate import FreezeWindow, Override
from migrator.models.plan import HistoryEntry, Plan
from migrator.models.rehearsal import RehearsalPolicy, StepRehearsal
from migrator.models.rope import EnvoyListeners, RopeCheck
from migrator.models.service import Service
from migrator.models.step import RollbackPlan, SignOff, Step
from migrator.models.template import PlanTemplate, TemplateVersion

__all__ = [
    "Attempt",
    "EnvoyListeners",
    "FreezeWindow",
    "HistoryEntry",
    "Override",
    "Plan",
    "PlanTemplate",
    "RehearsalPolicy",
    "Retreat",
    "RollbackPlan",
    "RopeCheck",
    "Service",
    "SignOff",
    "Step",
    "StepLease",
    "StepRehearsal",
    "TemplateVersion",
    "Tick",
]
