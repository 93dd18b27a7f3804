"""Everything together: a cluster of three, its guards, Belay, the database, and what connects them.

`Universe` is one schedule's world. `living()` makes the product's code use its clock, its threads
and its wires for as long as the schedule runs.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import io
from collections.abc import Iterator
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from unittest import mock

from core.errors import ClusterUnreachable
from core.kube import Answer, Credentials
from core.models import Cluster
from gamedays.scenarios.plan import Endpoint
from guard.protocol import Component, Policy
from tests.object_store import OWNER
from tests.simulator import quick
from tests.simulator.belay import Belay, ProcessClock
from tests.simulator.host import GuardHost, serves
from tests.simulator.kernel import Event, Executor, Kernel
from tests.simulator.machine import Machine
from tests.simulator.network import Network
from tests.simulator.objects import CA_PEM, CALL_S, SERVER, GuardApi, Objects, verb_of
from tests.simulator.operations import Operations
from tests.simulator.rows import Database, Rows

if TYPE_CHECKING:
    import uuid

    from gamedays.probes.base import ProbeSpec

BEGIN = dt.datetime(2026, 3, 2, 9, 0, tzinfo=dt.UTC)
EPOCH = 2
"""Belay's epoch; an older copy of it (a restored backup elsewhere) has a lower one."""


class Universe:
    def __init__(
        self,
        cluster: Cluster,
        nodes: tuple[str, ...],
        probes: tuple[ProbeSpec, ...],
        injection_id: uuid.UUID,
    ) -> None:
        self.kernel = Kernel()
        self.step = dt.timedelta()
        """By how much the wall clock was set, beside the time that passed."""
        self.epoch = EPOCH
        self.marked = True
        self.failing: set[str] = set()
        """Keys of probes that fail."""
        self.cluster_uid: uuid.UUID = cluster.uid
        self.machines = {name: Machine(self.kernel, name, tuple(Component)) for name in nodes}
        peers = list(self.machines.values())
        self.objects = Objects(self.kernel, self.api_works)
        self.objects.store.now = self.wall
        self.hosts = {
            name: GuardHost(
                self.kernel, machine, peers, self._policy(name), GuardApi(self.objects, machine)
            )
            for name, machine in self.machines.items()
        }
        self.network = Network(self.kernel, self.hosts)
        self.operations = Operations(self.kernel)
        self.database = Database(self.kernel)
        self.probes = probes
        self.injection_id = injection_id
        self.belay = Belay(self)

    def _policy(self, node: str) -> Policy:
        return Policy(
            installation="belay-one",
            epoch=EPOCH,
            stage="qa",
            cluster_uid=str(self.cluster_uid),
            node=node,
            address="127.0.0.1",
            ca_pem="-",
        )

    def wall(self) -> dt.datetime:
        return BEGIN + dt.timedelta(seconds=self.kernel.now) + self.step

    def api_works(self) -> bool:
        machines = list(self.machines.values())
        return not self.api_away and any(
            serves(machine, Component.KUBE_APISERVER, machines) for machine in machines
        )

    @property
    def api_away(self) -> bool:
        """Nobody reaches any API server, whatever the servers do."""
        return self.objects.away

    def fresh_request(
        self,
        credentials: Credentials,
        method: str,
        path: str,
        *,
        server: str | None = None,
        body: object | None = None,
        content_type: str = "application/json",
        timeout_s: float = 2.0,
    ) -> Answer:
        """`core.kube.fresh_request`: each is a step of the process that asks."""
        process = self.kernel.process
        assert process is not None
        return self.operations.perform(
            process,
            f"kube:{verb_of(method, path)}",
            lambda: self.objects.engine_asks(credentials, method, path, body, content_type),
            ClusterUnreachable("the answer was lost"),
            takes_s=CALL_S,
        )

    def _send(self, injection_id: uuid.UUID) -> None:
        """Beat's message. What other schedules of this stage have planned is not of this world."""
        if injection_id == self.injection_id:
            self.belay.deliver_conduct(injection_id)

    def anything_planned(self) -> bool:
        return self.database.state(self.injection_id) == "planned"

    def service_endpoints(self, namespace: str, name: str) -> tuple[Endpoint, ...]:
        """A Service's cluster address and its one pod's."""
        port = 5000 if name == "registry" else 8001
        return (Endpoint(address="10.1.0.7", port=port), Endpoint(address="10.96.0.7", port=port))

    @contextlib.contextmanager
    def living(self) -> Iterator[None]:
        """The product's modules see this universe instead of the machine that they run on."""
        kernel = self.kernel

        def executor(*_: object, **__: object) -> Executor:
            assert kernel.process is not None
            return Executor(kernel, kernel.process)

        def rows() -> Rows:
            assert kernel.process is not None
            return Rows(self.database, kernel.process, self.operations)

        threading: Any = SimpleNamespace(Event=lambda: Event(kernel), get_native_id=lambda: 1)
        time: Any = SimpleNamespace(monotonic=lambda: kernel.now, sleep=kernel.sleep)
        kube: Any = SimpleNamespace(
            Credentials=Credentials,
            Answer=Answer,
            fresh_request=self.fresh_request,
            credentials_of=lambda _cluster: Credentials(server=SERVER, ca_pem=CA_PEM, token=OWNER),
        )
        clusters = Cluster.objects.filter(uid=self.cluster_uid)
        only_this_one: Any = SimpleNamespace(objects=SimpleNamespace(active=lambda: clusters))
        quiet: Any = SimpleNamespace(stderr=io.StringIO())
        with contextlib.ExitStack() as patches:
            for target, replacement in (
                ("gamedays.execution.shell.make_world", self.belay.make_world),
                ("gamedays.execution.shell.threading", threading),
                ("gamedays.execution.shell.Journal", rows),
                ("gamedays.execution.shell.SystemClock", lambda: ProcessClock(self)),
                ("gamedays.execution.shell.log", mock.Mock()),
                ("gamedays.execution.restoration.ThreadPoolExecutor", executor),
                ("gamedays.drivers.fleet.wait", kernel.wait),
                ("gamedays.drivers.guard_client.time", time),
                ("gamedays.drivers.objects.kube", kube),
                ("gamedays.drivers.run_account.kube", kube),
                ("gamedays.drivers.run_account.time", time),
                ("gamedays.drivers.run_account.log", mock.Mock()),
                ("gamedays.drivers.run_api.kube", kube),
                ("gamedays.operations.run_accounts.kube", kube),
                ("gamedays.operations.run_accounts.Cluster", only_this_one),
                ("guard.faults.object.time", time),
                ("gamedays.operations.runs.send_conduct", lambda _id: None),
                ("gamedays.operations.due.send_conduct", self._send),
                ("django.utils.timezone.now", self.wall),
                ("guard.log.sys", quiet),
                *quick.PATCHES,
            ):
                patches.enter_context(mock.patch(target, replacement))
            try:
                yield
            finally:
                self._end()

    def _end(self) -> None:
        for process in self._processes():
            process.alive = False
        self.kernel.end()

    def _processes(self) -> Iterator[Any]:
        yield from self.belay.conductors
        if self.belay.watchdog is not None:
            yield self.belay.watchdog
        for host in self.hosts.values():
            yield host.process
