"""What people do beside the pages, as code for `manage.py shell` beside the stack."""

from __future__ import annotations

import json
from typing import Any

from tests.stack.running import RunningStack

START = """
import datetime as dt, json, sys
from django.utils import timezone
from core.errors import DomainError
from core.models import Cluster, User
from gamedays.choices import GamedayState
from gamedays.models import Gameday
from gamedays.operations.bookings import AgendaDraft, book_gameday
from gamedays.operations.runs import end_gameday, start_gameday

wish = json.loads({wish!r})
lea, erik = (User.objects.get(username=name) for name in ("lea", "erik"))
cluster = Cluster.objects.active().get(name="qa-range")
try:
    if wish["gameday"]:
        gameday = Gameday.objects.get(pk=wish["gameday"])
    else:
        for old in Gameday.objects.filter(cluster=cluster, state=GamedayState.RUNNING):
            end_gameday(actor=lea, gameday=old)
        gameday = book_gameday(
            actor=lea, cluster=cluster, title=wish["title"], time_zone="Europe/Berlin",
            starts_at=timezone.now() + dt.timedelta(minutes=1), duration_min=30,
            facilitator=erik, agenda=[AgendaDraft(*draft) for draft in wish["agenda"]],
        )
    run = start_gameday(actor=erik, gameday=gameday)
    print(json.dumps({{"run": str(run.pk), "gameday": gameday.pk}}))
except DomainError as error:
    print(json.dumps({{"code": error.code, "message": error.message}}))
"""

_FIX_AND_REVERIFY = """
import json
from django.utils import timezone
from core.models import User
from gamedays.models import Finding
from gamedays.operations.findings import record_fix, request_verification

wish = json.loads({wish!r})
erik = User.objects.get(username="erik")
finding = Finding.objects.get(pk=wish["finding"])
record_fix(actor=erik, finding=finding, what=wish["what"], link="", fixed_since=timezone.now())
asked = request_verification(actor=erik, finding=finding)
print(json.dumps(str(asked.injection.pk)))
"""
_MAKE_PROBE = """
import json
from core.models import Cluster, User
from gamedays.operations.probe_drafts import ProbeDraft
from gamedays.operations.probe_editing import create_probe

erik = User.objects.get(username="erik")
cluster = Cluster.objects.active().get(name="qa-range")
probe = create_probe(actor=erik, cluster=cluster, draft=ProbeDraft(**json.loads({wish!r})))
print(json.dumps(probe.key))
"""
_SWITCH_OFF = """
import json
from core.models import Cluster, User
from gamedays.models import Probe
from gamedays.operations.probe_editing import set_probe_enabled

erik = User.objects.get(username="erik")
probe = Probe.objects.get(cluster__in=Cluster.objects.active(), key=json.loads({wish!r}))
set_probe_enabled(actor=erik, probe=probe, enabled=False)
print("null")
"""


_INJECT_AGAIN = """
import json
from gamedays.drivers.guard_client import GuardClient, GuardRefused
from gamedays.models import Guard

wish = json.loads({wish!r})
guard = Guard.objects.get(node__name=wish["node"], node__cluster__name="qa-range")
try:
    GuardClient.for_guard(guard, timeout_s=5).inject(wish["order"])
except GuardRefused as refused:
    print(json.dumps(refused.code + ": " + str(refused)))
else:
    print(json.dumps("injected"))
"""


def inject_again(stack: RunningStack, *, node: str, order: str) -> str:
    """What a node's guard answers to one more `inject`, with the credential that Belay stored."""
    return str(_run(stack, _INJECT_AGAIN, {"node": node, "order": order}))


def fix_and_reverify(stack: RunningStack, *, finding: int, what: str) -> str:
    """Erik writes down what he did, and asks for the same fault again; the id of its run."""
    return str(_run(stack, _FIX_AND_REVERIFY, {"finding": finding, "what": what}))


def make_probe(stack: RunningStack, **draft: Any) -> str:
    """Erik adds a probe, which looks in every run from now on; its key."""
    return str(_run(stack, _MAKE_PROBE, draft))


def switch_probe_off(stack: RunningStack, key: str) -> None:
    """Erik switches a probe off; what it saw stays."""
    _run(stack, _SWITCH_OFF, key)


def _run(stack: RunningStack, code: str, wish: Any) -> Any:
    return stack.shell.run(code.format(wish=json.dumps(wish)))
