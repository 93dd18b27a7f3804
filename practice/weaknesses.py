"""The range's honest weaknesses, and the one-command fix of each.

What each weakness does, and how a gameday finds it, is in WEAKNESSES.md (for maintainers). A
fix can be applied to a living range, can be taken back, and says what the range's files and the
cluster say, never what was once asked for.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace

from practice import edge, proxy
from practice.cluster import get, kubectl
from practice.facts import RangeFacts
from practice.plan import Plan, load_plan
from practice.system import CommandError, RangeError

Change = Callable[[Plan, bool], None]


@dataclass(frozen=True)
class Fix:
    """A documented fix: `change(plan, fixed)` applies or takes back, `is_fixed` looks."""

    name: str
    does: str
    change: Change
    is_fixed: Callable[[Plan], bool]
    is_there: Callable[[Plan], bool] = lambda _: True
    """Whether the range has the weakness at all: some it has only when it was weakened."""


def _set_health_check(plan: Plan, fixed: bool) -> None:
    proxy.write_clusters(plan, check_readyz=fixed)
    proxy.wait_for_health_check(plan, readyz=fixed)


def _patch(plan: Plan, name: str, spec: dict[str, object]) -> None:
    kubectl(plan, ["patch", "deployment", name, "-n", "shop", "-p", json.dumps({"spec": spec})])


def _set_pull_policy(plan: Plan, fixed: bool) -> None:
    container = {"name": "prices", "imagePullPolicy": "IfNotPresent" if fixed else "Always"}
    _patch(plan, "prices", {"template": {"spec": {"containers": [container]}}})


def _has_pull_policy(plan: Plan) -> bool:
    [container] = get(plan, "deployment", "prices", "-n", "shop")["spec"]["template"]["spec"][
        "containers"
    ]
    return bool(container["imagePullPolicy"] != "Always")


def _set_replicas(plan: Plan, fixed: bool) -> None:
    _patch(plan, "vouchers", {"replicas": 2 if fixed else 1})


def _has_replicas(plan: Plan) -> bool:
    return bool(get(plan, "deployment", "vouchers", "-n", "shop")["spec"]["replicas"] > 1)


FIXES = {
    fix.name: fix
    for fix in (
        Fix(
            "api-proxy-health-check",
            "the API proxy asks each API server for /readyz instead of for an open port",
            _set_health_check,
            proxy.checks_readyz,
        ),
        Fix(
            "prices-pull-policy",
            "the prices pods start from the node's own copy of their image",
            _set_pull_policy,
            _has_pull_policy,
        ),
        Fix(
            "vouchers-replicas",
            "the vouchers service has two pods on two nodes",
            _set_replicas,
            _has_replicas,
        ),
        Fix(
            "edge-keeper-effect",
            "the edge keeper keeps new pods off the nodes and leaves alone what runs there",
            edge.set_effect,
            edge.has_effect,
            edge.is_there,
        ),
    )
}


@dataclass(frozen=True)
class Weakening:
    """A weakness that a range does not have from the start: it would disturb other gamedays."""

    name: str
    does: str
    apply: Callable[[Plan], None]
    take_back: Callable[[Plan], None]


WEAKENINGS = {
    one.name: one
    for one in (
        Weakening(
            "edge-keeper",
            "while Contour does not answer, a small controller taints every node",
            edge.weaken,
            edge.strengthen,
        ),
    )
}


def apply_weakening(range_name: str, name: str, *, undo: bool = False) -> str:
    """Put a weakness on a raised range, or take it away; a sentence that says what is now so."""
    weakening = WEAKENINGS.get(name)
    if weakening is None:
        raise RangeError(f"{name!r} is no known weakness: there are {', '.join(WEAKENINGS)}")
    plan = load_plan(range_name)
    facts = RangeFacts.load(range_name)
    (weakening.take_back if undo else weakening.apply)(plan)
    known = {fix: fixed for fix, fixed in states(plan).items() if fixed is not None}
    replace(facts, weaknesses=known).save()
    if undo:
        return f"range {range_name}: {name} taken away"
    return f"range {range_name}: {weakening.does}"


def apply_fix(range_name: str, fix_name: str, *, undo: bool = False) -> str:
    """Apply (or take back) a fix on a raised range; return a sentence that says what is now so."""
    fix = FIXES.get(fix_name)
    if fix is None:
        raise RangeError(f"{fix_name!r} is no known fix: there are {', '.join(FIXES)}")
    plan = load_plan(range_name)
    facts = RangeFacts.load(range_name)
    if not fix.is_there(plan):
        raise RangeError(
            f"range {range_name} has nothing for {fix_name!r} to fix: "
            f"`range weaken` puts it there ({', '.join(WEAKENINGS)})"
        )
    fix.change(plan, not undo)
    state = fix.is_fixed(plan)
    replace(facts, weaknesses=facts.weaknesses | {fix.name: state}).save()
    return f"range {range_name}: {fix.does}" if state else f"range {range_name}: {fix.name} undone"


def states(plan: Plan) -> dict[str, bool | None]:
    """Whether each weakness is fixed now; None where the cluster could not be asked.

    Without those that this range does not have.
    """
    found: dict[str, bool | None] = {}
    for fix in FIXES.values():
        try:
            if fix.is_there(plan):
                found[fix.name] = fix.is_fixed(plan)
        except CommandError:
            found[fix.name] = None
    return found
