"""Watching beside the conductor: probes every second, guards every second, pods every two.

Threads live here and nowhere else in the engine. They only look; what they saw is drained by the
conductor's step function, so that every write carries its fence.
"""

from __future__ import annotations

import datetime as dt
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import structlog

from gamedays.choices import PodSource
from gamedays.drivers.cluster import PodSighting
from gamedays.execution.world import PodCensus, Sample
from gamedays.probes.base import Attempt, Metrics, ProbeSpec, Surroundings
from gamedays.probes.registry import PROBERS

if TYPE_CHECKING:
    from core.kube import Credentials
    from gamedays.drivers.fleet import Fleet, NodeStatus

log = structlog.get_logger(__name__)
SAMPLE_S = 1.0
CENSUS_S = 2.0
FRESH_S = 2.5
"""A guard's word counts as the present for this long."""
_BUFFER_MAX = 50_000
_IN_FLIGHT_MAX = 10
"""Samples of one probe that may be under way at once. A further one would only wait behind them,
and is written down as unknown instead of being measured late."""
_THREADS_MAX = 120
"""Of all probes together. Each has its share, so that slow ones never hold up the others."""
_LATE_S = 2.0
"""A turn that comes so long after the one before it left seconds out, and says so."""


class Watcher:
    """`Watch` of the step functions. `start` and `stop` may be called any number of times."""

    def __init__(
        self,
        *,
        probes: tuple[ProbeSpec, ...],
        credentials: Credentials,
        api_servers: Mapping[str, str],
        fleet: Fleet,
        list_pods: Callable[[], tuple[PodSighting, ...]],
        metrics: Metrics | None = None,
    ) -> None:
        self._probes = probes
        self._fleet = fleet
        self._list_pods = list_pods
        self._around = Surroundings(
            credentials=credentials,
            api_servers=api_servers,
            node_status=self.node_status,
            metrics=metrics,
        )
        self._lock = threading.Lock()
        self._samples: list[Sample] = []
        self._census: PodCensus | None = None
        self._status: dict[str, tuple[float, NodeStatus]] = {}
        self._in_flight: dict[int, int] = {probe.id: 0 for probe in probes}
        self._stopping = threading.Event()
        self._threads: list[threading.Thread] = []
        self._share = max(2, min(_IN_FLIGHT_MAX, _THREADS_MAX // max(1, len(probes))))
        self._pool = ThreadPoolExecutor(max(1, self._share * len(probes)), "probe")
        self._sampled_at: float | None = None

    @property
    def probes(self) -> tuple[ProbeSpec, ...]:
        return self._probes

    def start(self) -> None:
        if self._threads or self._stopping.is_set():
            return
        for name, turn, period in (
            ("sampling", self._sample_all, SAMPLE_S),
            ("guards", self._ask_guards, SAMPLE_S),
            ("pods", self._count_pods, CENSUS_S),
        ):
            thread = threading.Thread(
                target=self._every, args=(turn, period), name=name, daemon=True
            )
            thread.start()
            self._threads.append(thread)

    def stop(self) -> None:
        self._stopping.set()
        for thread in self._threads:
            thread.join(timeout=6.0)
        self._pool.shutdown(wait=True, cancel_futures=True)

    def drain_samples(self) -> list[Sample]:
        with self._lock:
            drained, self._samples = self._samples, []
        return drained

    def drain_census(self) -> PodCensus | None:
        with self._lock:
            census, self._census = self._census, None
        return census

    def node_status(self, node: str) -> NodeStatus | None:
        with self._lock:
            seen = self._status.get(node)
        if seen is None or time.monotonic() - seen[0] > FRESH_S:
            return None
        return seen[1]

    # -- threads ----------------------------------------------------------------------------------

    def _every(self, turn: Callable[[], None], period: float) -> None:
        due = time.monotonic()
        while not self._stopping.is_set():
            try:
                turn()
            except Exception:
                # One look that failed is a gap in the record, which judging counts as unknown.
                log.exception("watch_turn_failed", turn=turn.__name__)
            due = max(due + period, time.monotonic())
            self._stopping.wait(max(0.0, due - time.monotonic()))

    def _sample_all(self) -> None:
        now = dt.datetime.now(dt.UTC)
        self._tell_what_was_left_out(now)
        for probe in self._probes:
            with self._lock:
                busy = self._in_flight[probe.id] >= self._share
                if not busy:
                    self._in_flight[probe.id] += 1
            if busy:
                self._keep(_unknown(probe, now, "earlier samples are still under way"))
            else:
                self._pool.submit(self._sample, probe, now)

    def _tell_what_was_left_out(self, now: dt.datetime) -> None:
        """Seconds in which nobody looked at anything: a machine that is too busy, or was stopped,
        to wake this thread. A gap without a reason would look like a fault of the cluster."""
        ticks, before = time.monotonic(), self._sampled_at
        self._sampled_at = ticks
        late_s = ticks - before if before is not None else 0.0
        if late_s < _LATE_S:
            return
        log.warning("sampling_was_late", seconds=round(late_s, 1))
        why = f"Belay itself did not look for {late_s:.1f} s: its machine was too busy"
        for second in range(1, int(late_s)):
            at = now - dt.timedelta(seconds=second)
            for probe in self._probes:
                self._keep(_unknown(probe, at, why))

    def _sample(self, probe: ProbeSpec, at: dt.datetime) -> None:
        try:
            attempts = [PROBERS[probe.kind](probe, self._around) for _ in range(probe.attempts)]
            self._keep(_sample_of(probe, at, attempts))
        except Exception as error:
            log.exception("probe_failed", probe=probe.key)
            self._keep(_unknown(probe, at, f"the probe itself failed: {type(error).__name__}"))
        finally:
            with self._lock:
                self._in_flight[probe.id] -= 1

    def _keep(self, sample: Sample) -> None:
        with self._lock:
            if len(self._samples) < _BUFFER_MAX:
                self._samples.append(sample)

    def _ask_guards(self) -> None:
        replies = self._fleet.status()
        now = time.monotonic()
        with self._lock:
            for node, reply in replies.items():
                if reply.value is not None:
                    self._status[node] = (now, reply.value)

    def _count_pods(self) -> None:
        now = dt.datetime.now(dt.UTC)
        try:
            census = PodCensus(at=now, source=PodSource.API, pods=self._list_pods())
        except OSError:
            census = self._census_by_guards(now)
        with self._lock:
            self._census = census

    def _census_by_guards(self, now: dt.datetime) -> PodCensus:
        pods: list[PodSighting] = []
        unseen = []
        for node in self._fleet.nodes:
            status = self.node_status(node)
            if status is None or status.pod_uids is None:
                unseen.append(node)
            else:
                pods += [PodSighting(uid=uid, node=node) for uid in status.pod_uids]
        return PodCensus(
            at=now, source=PodSource.GUARD, pods=tuple(pods), unseen_nodes=tuple(unseen)
        )


def _sample_of(probe: ProbeSpec, at: dt.datetime, attempts: list[Attempt]) -> Sample:
    known = [attempt for attempt in attempts if attempt.passed is not None]
    latencies = [a.latency_ms for a in known if a.latency_ms is not None]
    failed = [a.detail for a in attempts if a.passed is not True and a.detail]
    return Sample(
        probe_id=probe.id,
        at=at,
        passed=sum(bool(attempt.passed) for attempt in known),
        attempts=len(known),
        latency_ms=max(latencies) if latencies else None,
        detail=failed[0] if failed else "",
    )


def _unknown(probe: ProbeSpec, at: dt.datetime, why: str) -> Sample:
    return Sample(probe_id=probe.id, at=at, passed=0, attempts=0, latency_ms=None, detail=why)
