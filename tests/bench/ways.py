"""Two ways to make one fault and to take it back: the engine's, and a person's by hand."""

from __future__ import annotations

import contextlib
import os
import subprocess
import uuid
from collections.abc import Callable, Mapping, Sequence
from types import SimpleNamespace
from typing import Any, cast

from gamedays.drivers.cluster import ClusterDriver
from gamedays.drivers.fleet import Fleet, Phase
from gamedays.execution.recipe import resolve
from gamedays.execution.world import Run, World
from gamedays.scenarios.plan import NodeFault
from gamedays.scenarios.registry import get_scenario
from practice import nodes
from practice.plan import Node, Plan
from tests.bench.engine import orders_on
from tests.bench.holds import SCRIPT, Way, require
from tests.stack.running import wait_until

UNDONE_WITHIN_S = 240.0
TOKEN_S = 3600


def by_engine(
    fleet: Fleet, driver: ClusterDriver, scenario: str, parameters: Mapping[str, Any]
) -> Way:
    """What a conductor does: names resolved, an account minted, guards armed, told to inject."""
    order_id = str(uuid.uuid4())
    asked: dict[str, NodeFault] = {}
    armed: list[str] = []

    def arm() -> None:
        given = faults_of(fleet, driver, scenario, parameters)
        targets = [target for fault in given.values() for target in fault.objects]
        credential = driver.mint(order_id, targets, TOKEN_S) if targets else None
        asked.update(given)
        require(fleet.arm(order_id, given, credential))
        armed.append(order_id)

    def all_undone() -> bool:
        found = orders_on(fleet, order_id)
        reports = [found[node] for node in asked]
        return all(report is not None and report.phase is Phase.UNDONE for report in reports)

    def finish() -> None:
        if armed:
            wait_until(
                all_undone, within_s=UNDONE_WITHIN_S, what="all guards say that it is undone"
            )
        if any(fault.objects for fault in asked.values()):
            driver.unmint(order_id)

    return Way(
        prepare=arm,
        hold=lambda: require(fleet.inject(order_id, asked)),
        restore=lambda: require(fleet.undo(order_id, asked)),
        finish=finish,
    )


def faults_of(
    fleet: Fleet, driver: ClusterDriver, scenario: str, parameters: Mapping[str, Any]
) -> dict[str, NodeFault]:
    """Node → fault, as the engine resolves a scenario's plan on the living cluster."""
    values = get_scenario(scenario).clean(dict(parameters), driver.control_plane)
    run = SimpleNamespace(scenario_key=scenario, parameters=values)
    world = SimpleNamespace(guards=fleet, cluster=driver)
    return resolve(cast("Run", run), cast("World", world))


def by_script(plan: Plan, on: Sequence[Node], strike: str, back: str, **given: str) -> Way:
    """`bare.sh` on these nodes; `given` are its BARE_… settings."""
    inits = {node.name: nodes.init_pid(node) for node in plan.nodes}
    if not all(inits.values()):
        raise AssertionError(f"a node is not running: {inits}")
    places = [f"{inits[node.name]}:{node.root}" for node in on]

    def run(verb: str) -> None:
        environment = {**os.environ, **given}
        command = ["/bin/sh", str(SCRIPT), verb, *places]
        subprocess.run(command, check=True, timeout=60, env=environment)

    return Way(
        prepare=lambda: None,
        hold=lambda: run(strike),
        restore=(lambda: run(back)) if back else lambda: None,
        finish=lambda: None,
    )


def by_requests(strike: Callable[[], None], back: Callable[[], None]) -> Way:
    """Requests to an API server, one after the other."""
    return Way(prepare=lambda: None, hold=strike, restore=back, finish=lambda: None)


@contextlib.contextmanager
def ended(way: Way) -> Any:
    """Whatever happens, the fault is taken back and the order is over."""
    try:
        yield
    except BaseException:
        way.restore()
        way.finish()
        raise
    else:
        way.finish()
