"""Belay's own processes: a conductor per run, the watchdog, and how they see the world."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from django.db import DatabaseError, InterfaceError

from core.errors import ClusterRefused, ClusterUnreachable
from core.kube import Credentials
from core.watchdog import TICK_S, Watchdog
from gamedays.choices import PodSource
from gamedays.drivers.cluster import PodSighting
from gamedays.drivers.fleet import Credential, Fleet, NodeStatus, Reply
from gamedays.drivers.objects import Objects
from gamedays.drivers.run_account import RunAccounts
from gamedays.execution import shell
from gamedays.execution.world import PodCensus, Sample, World
from gamedays.operations import due
from gamedays.operations.run_accounts import remove_orphaned_accounts
from gamedays.scenarios.plan import NodeFault
from guard.protocol import Component
from tests.object_store import OWNER
from tests.simulator.host import serves
from tests.simulator.kernel import Event, Executor, Process
from tests.simulator.network import Client
from tests.simulator.objects import CA_PEM, SERVER
from tests.simulator.rows import Leases, Rows, claim

if TYPE_CHECKING:
    from gamedays.probes.base import ProbeSpec
    from gamedays.scenarios.plan import Endpoint, ObjectFault, ObjectTarget
    from tests.simulator.universe import Universe

SUPERVISOR_S = 2.0
BEAT_S = 5.0
ORPHANS_AFTER = 12
"""Rounds of beat between two looks for accounts of runs that are over."""
DRAIN_S = 8.0
"""Samples and pods are handed over in bundles: fewer rows, the same seconds covered."""
FIRST_DRAIN_S = 4.0
"""In time for the judgement whether the state is steady."""


class ProcessClock:
    """Wall time can be stepped; monotonic time cannot."""

    def __init__(self, universe: Universe) -> None:
        self._universe = universe

    def monotonic(self) -> float:
        return self._universe.kernel.now

    def now(self) -> dt.datetime:
        return self._universe.wall()


class Api:
    """`ClusterPort`: answers as far as an API server and a quorum of etcd work."""

    def __init__(self, universe: Universe, process: Process) -> None:
        self._universe = universe
        self._process = process
        self.uid = universe.cluster_uid
        self.control_plane = sorted(universe.machines)
        credentials = Credentials(server=SERVER, ca_pem=CA_PEM, token=OWNER)
        self._objects = Objects(credentials)
        self._accounts = RunAccounts(credentials)

    def require_marker(self) -> None:
        def look() -> None:
            if not self._universe.api_works():
                raise ClusterUnreachable("no API server answers")
            if not self._universe.marked:
                raise ClusterRefused("the marker of the cluster's owner is missing")

        self._perform("marker", look)

    def canary(self, node: str) -> str:
        try:
            return str(self._perform("canary", lambda: self._why_not(node)))
        except ClusterUnreachable as error:
            return error.message

    def readyz(self, node: str | None) -> str:
        if node is None:
            return "" if self._universe.api_works() else "no API server answers"
        return self._why_not(node)

    def service_endpoints(self, namespace: str, name: str) -> tuple[Endpoint, ...]:
        return self._universe.service_endpoints(namespace, name)

    def reached(self, endpoints: Iterable[Endpoint]) -> frozenset[Endpoint]:
        machines = self._universe.machines.values()
        dropped = {(one.address, one.port) for each in machines for one in each.rules.listed()}
        return frozenset(one for one in endpoints if (one.address, one.port) not in dropped)

    def read_target(self, fault: ObjectFault) -> tuple[ObjectTarget, ...]:
        return self._objects.read_target(fault)

    def fingerprint(self, targets: Iterable[ObjectTarget]) -> dict[str, dict[str, Any]]:
        return self._objects.fingerprint(targets)

    def ready_like(self, namespace: str, owner_uid: str) -> int:
        return self._objects.ready_like(namespace, owner_uid)

    def require_mintable(self, targets: Iterable[ObjectTarget]) -> None:
        self._accounts.require_mintable(targets)

    def mint(self, order_id: str, targets: Iterable[ObjectTarget], lives_s: int) -> Credential:
        return self._accounts.mint(order_id, targets, lives_s)

    def end_pod(self, order_id: str, target: ObjectTarget) -> None:
        raise ClusterRefused("this universe has no pods to end")

    def unmint(self, order_id: str) -> None:
        self._accounts.unmint(order_id)

    def _why_not(self, node: str) -> str:
        machines = list(self._universe.machines.values())
        machine = self._universe.machines[node]
        works = serves(machine, Component.KUBE_APISERVER, machines)
        return "" if works and not self._universe.api_away else "no answer"

    def _perform(self, name: str, act: Any) -> Any:
        lost = ClusterUnreachable("the answer was lost")
        return self._universe.operations.perform(self._process, f"kube:{name}", act, lost)


class Guards(Fleet):
    """The real fleet on simulated wires; each of its calls is an operation that can break."""

    def __init__(self, universe: Universe, process: Process, *, epoch: int) -> None:
        clients = {node: Client(universe.network, process, node) for node in universe.machines}
        super().__init__(clients, epoch=epoch)
        self._pool.shutdown()
        self._pool = Executor(universe.kernel, process)  # type: ignore[assignment]
        self._universe = universe
        self._process = process

    def _all(self, nodes: Iterable[str], call: Any, *, patience_s: float = 2.0) -> dict[str, Any]:
        operations = self._universe.operations
        # The name of the public method that asks: arm, inject, renew, undo, status, hello.
        verb = call.__qualname__.split(".")[1]
        nodes = list(nodes)

        def act() -> dict[str, Any]:
            return super(Guards, self)._all(nodes, call, patience_s=patience_s)

        try:
            return operations.perform(self._process, f"guard:{verb}", act, _LostAnswer())
        except _LostAnswer:
            error = "the guards' answers were lost"
            return {node: Reply(None, error) for node in nodes}


class _LostAnswer(Exception):
    pass


class Watch:
    """`Watch`: one sample a second for every probe, and the pods as the API shows them."""

    def __init__(self, universe: Universe, process: Process, probes: tuple[ProbeSpec, ...]) -> None:
        self._universe = universe
        self._process = process
        self.probes = probes
        self._samples: list[Sample] = []
        self._started = self._stopped = False
        self._drained_at = self._census_at = -100.0

    def start(self) -> None:
        if not self._started:
            self._started = True
            self._drained_at = self._universe.kernel.now - DRAIN_S + FIRST_DRAIN_S
            self._process.spawn(self._sample)

    def stop(self) -> None:
        self._stopped = True
        self._drained_at = -100.0

    def drain_samples(self) -> list[Sample]:
        now = self._universe.kernel.now
        if now - self._drained_at < DRAIN_S:
            return []
        self._drained_at = now
        drained, self._samples = self._samples, []
        return drained

    def _sample(self) -> None:
        """The sampling thread: while its process is stopped, nothing is sampled."""
        while not self._stopped:
            at = self._universe.wall()
            self._samples += [
                Sample(
                    probe_id=probe.id,
                    at=at,
                    passed=0 if probe.key in self._universe.failing else probe.attempts,
                    attempts=probe.attempts,
                    latency_ms=3.0,
                    detail="",
                )
                for probe in self.probes
            ]
            self._universe.kernel.sleep(1.0)

    def drain_census(self) -> PodCensus | None:
        now = self._universe.kernel.now
        if not self._started or now - self._census_at < DRAIN_S:
            return None
        if not self._universe.api_works():
            return None
        self._census_at = now
        pods = tuple(
            PodSighting(
                uid=f"shop-{node}",
                node=node,
                namespace="shop",
                name=f"shop-{node}",
                phase="Running",
                ready=True,
                restarts=0,
            )
            for node in sorted(self._universe.machines)
        )
        pods += tuple(
            PodSighting(
                uid=pod["metadata"]["uid"],
                node=pod["spec"]["nodeName"],
                namespace="shop",
                name=pod["metadata"]["name"],
                phase="Running",
                ready=True,
                restarts=0,
            )
            for pod in self._universe.objects.pods()
        )
        return PodCensus(at=self._universe.wall(), source=PodSource.API, pods=pods)

    def node_status(self, node: str) -> NodeStatus | None:
        """What a look of the last second told; None where nobody answered."""
        universe = self._universe
        host, wire = universe.hosts[node], universe.network.wires[node]
        cut = max(wire.cut_until.get("*", 0.0), wire.cut_until.get(self._process.name, 0.0))
        if not host.process.runs or not host.machine.up or universe.kernel.now < cut:
            return None
        return host.look.status()


class Belay:
    """One installation's processes, and the supervisor that starts them again."""

    def __init__(self, universe: Universe) -> None:
        self.universe = universe
        self.conductors: list[Process] = []
        self.watchdog: Process | None = None
        self.stoppings: dict[Process, shell.Stopping] = {}

    # -- the worker ---------------------------------------------------------------------------

    def deliver_conduct(self, injection_id: uuid.UUID) -> None:
        """A message of the broker arrives at a worker; it may come any number of times."""
        if self.universe.database.away:
            return
        process = Process(self.universe.kernel, f"conductor-{len(self.conductors)}")
        self.conductors.append(process)

        def work() -> None:
            fence = claim(self.universe.database, injection_id)
            if fence is not None:
                self.conduct(process, injection_id, fence)

        process.spawn(work)

    def start_beat(self) -> None:
        """Celery's beat: sends the message again for what is planned and was never claimed."""
        universe = self.universe
        process = Process(universe.kernel, "beat")

        def look() -> None:
            rounds = 0
            while True:
                universe.kernel.sleep(BEAT_S)
                rounds += 1
                if universe.database.away:
                    continue
                if universe.anything_planned():
                    due.wake_planned()
                if rounds % ORPHANS_AFTER == 0 and universe.objects.accounts():
                    remove_orphaned_accounts()

        process.spawn(look)

    def conduct(
        self, process: Process, injection_id: uuid.UUID, fence: int, *, undo_only: bool = False
    ) -> None:
        stopping = self.stoppings.setdefault(process, self._stopping())
        shell.conduct(injection_id, fence, stopping, undo_only=undo_only)

    def _stopping(self) -> shell.Stopping:
        event: Any = Event(self.universe.kernel)
        return shell.Stopping(event=event)

    def make_world(self, injection_id: uuid.UUID) -> tuple[World, Fleet]:
        universe = self.universe
        process = universe.kernel.process
        assert process is not None
        fleet = Guards(universe, process, epoch=universe.epoch)
        world = World(
            clock=ProcessClock(universe),
            rows=Rows(universe.database, process, universe.operations),
            guards=fleet,
            cluster=Api(universe, process),
            watch=Watch(universe, process, universe.probes),
        )
        return world, fleet

    def inject_again(self, node: str) -> None:
        """Somebody asks for the run's own fault once more, properly."""
        universe = self.universe
        process = Process(universe.kernel, "asker")
        fleet = Guards(universe, process, epoch=universe.epoch)
        process.spawn(lambda: _drop(fleet.inject(str(universe.injection_id), [node])))

    def hold_for_ever(self, node: str, component: Component, *, hold_s: int) -> str:
        """An order of somebody who renews it as long as it lives, and never undoes it."""
        universe = self.universe
        process = Process(universe.kernel, "holder")
        order_id = str(uuid.uuid5(uuid.NAMESPACE_URL, node))
        fault = NodeFault(kind="hold", component=component.value, hold_s=hold_s)

        def work() -> None:
            fleet = Guards(universe, process, epoch=universe.epoch)
            fleet.arm(order_id, {node: fault})
            fleet.inject(order_id, [node])
            while universe.kernel.now < 200.0:
                fleet.renew(order_id, [node])
                universe.kernel.sleep(5.0)

        process.spawn(work)
        return order_id

    def tell_to_stop(self, process: Process) -> None:
        """SIGTERM, as a deploy does."""
        if process.alive and process in self.stoppings:
            self.stoppings[process].set("The worker was told to stop.")

    # -- the watchdog -------------------------------------------------------------------------

    def start_watchdog(self) -> None:
        kernel = self.universe.kernel
        process = self.watchdog = Process(kernel, "watchdog")
        process.on_death.append(lambda: kernel.after(SUPERVISOR_S, self.start_watchdog))
        process.spawn(lambda: self._watch_leases(process))

    def _watch_leases(self, process: Process) -> None:
        """The loop of `manage.py watchdog`, with tasks for its threads."""
        universe = self.universe
        watchdog = Watchdog(Leases(universe.database, process, universe.operations))
        conducting: set[uuid.UUID] = set()

        def undo(injection_id: uuid.UUID, fence: int) -> None:
            try:
                self.conduct(process, injection_id, fence, undo_only=True)
            finally:
                conducting.discard(injection_id)

        while True:
            try:
                for injection_id, fence in watchdog.advance(universe.kernel.now, conducting):
                    conducting.add(injection_id)
                    process.spawn(lambda key=injection_id, new=fence: undo(key, new))  # type: ignore[misc]
            except (DatabaseError, InterfaceError):
                pass
            universe.kernel.sleep(TICK_S)


def _drop(_answer: object) -> None:
    """The answer went over the wire; whoever looks there has it."""
