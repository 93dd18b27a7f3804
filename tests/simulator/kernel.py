"""Virtual time, and processes that can be killed, stopped and continued at any moment.

A process is a group of tasks; a task is a greenlet, so that the product's blocking calls (a guard
call, a wait) can simply take virtual time. What a kill leaves behind is kept, never unwound, until
the schedule is over: a killed process runs no `finally`.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable
from typing import Any, Generic, Self, TypeVar

from greenlet import GreenletExit, getcurrent, greenlet

T = TypeVar("T")
SPINS = 20_000
"""So many steps without any time passing are a loop that never waits."""


class Process:
    """Something that the operating system can kill (-9), stop and continue."""

    def __init__(self, kernel: Kernel, name: str) -> None:
        self.kernel = kernel
        self.name = name
        self.alive = True
        self.stopped = False
        self._pending: list[Callable[[], None]] = []
        self.on_death: list[Callable[[], None]] = []

    def __repr__(self) -> str:
        return self.name

    @property
    def runs(self) -> bool:
        return self.alive and not self.stopped

    def kill(self) -> None:
        """SIGKILL: nothing of it runs again, and nobody in it is told."""
        if not self.alive:
            return
        self.alive = False
        self._pending.clear()
        for tell in self.on_death:
            tell()
        if self.kernel.process is self:
            self.kernel.park()

    def stop(self) -> None:
        """SIGSTOP; may be called from inside the process, which then stands where it is."""
        self.stopped = True
        task = self.kernel.task
        if task is not None and task.process is self:
            self._pending.append(task.resume)
            self.kernel.park()

    def go_on(self) -> None:
        """SIGCONT: everything that became due meanwhile happens now."""
        self.stopped = False
        pending, self._pending = self._pending, []
        for resume in pending:
            self.kernel.after(0.0, resume)

    def when_running(self, resume: Callable[[], None]) -> bool:
        """Keep `resume` for later if the process is stopped, drop it if it is dead."""
        if self.stopped and self.alive:
            self._pending.append(resume)
        return self.runs

    def spawn(self, work: Callable[[], None]) -> Task:
        task = Task(self, work)
        self.kernel.after(0.0, task.resume)
        return task


class Task:
    """One thread of a process."""

    def __init__(self, process: Process, work: Callable[[], None]) -> None:
        self.process = process
        self._kernel = process.kernel
        self._work = work
        self._greenlet = greenlet(self._run, parent=self._kernel.hub)
        self._kernel.tasks.append(self._greenlet)

    def _run(self) -> None:
        try:
            self._work()
        except GreenletExit:
            raise
        except Exception as error:  # noqa: BLE001  a thread that ends badly is noted and judged
            self._kernel.crashes.append((self.process.name, error))

    def resume(self) -> None:
        if self._greenlet.dead or not self.process.when_running(self.resume):
            return
        before, self._kernel.task = self._kernel.task, self
        try:
            self._greenlet.switch()
        finally:
            self._kernel.task = before


class Future(Generic[T]):
    """A result to come; what `concurrent.futures.Future` is to the product."""

    def __init__(self, kernel: Kernel | None = None) -> None:
        self._kernel = kernel
        self._value: T | None = None
        self._error: BaseException | None = None
        self._done = False
        self.told: list[Callable[[], None]] = []

    def done(self) -> bool:
        return self._done

    def cancel(self) -> bool:
        return False

    def set(self, value: T | None, error: BaseException | None = None) -> None:
        if self._done:
            return
        self._value, self._error, self._done = value, error, True
        told, self.told = self.told, []
        for tell in told:
            tell()

    def result(self, timeout: float | None = None) -> Any:
        if not self._done and self._kernel is not None:
            self._kernel.wait([self], timeout)
        if self._error is not None:
            raise self._error
        return self._value


class Kernel:
    """The clock of the universe and what is due on it."""

    def __init__(self) -> None:
        self.now = 0.0
        self.hub = getcurrent()
        self.task: Task | None = None
        self.tasks: list[greenlet] = []
        self.crashes: list[tuple[str, Exception]] = []
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        self._count = 0

    @property
    def process(self) -> Process | None:
        return self.task.process if self.task is not None else None

    def after(self, seconds: float, call: Callable[[], None]) -> None:
        self._count += 1
        heapq.heappush(self._due, (self.now + max(0.0, seconds), self._count, call))

    def run(self, until: float, *, or_when: Callable[[], bool] = lambda: False) -> None:
        """Let time pass; returns early when `or_when` says so."""
        at_once, moment = 0, self.now
        while self._due and self._due[0][0] <= until and not or_when():
            self.now, _count, call = heapq.heappop(self._due)
            call()
            at_once = at_once + 1 if self.now == moment else 0
            moment = self.now
            if at_once > SPINS:
                raise AssertionError(f"{SPINS} steps at {self.now:.3f} s: something spins")
        if not or_when():
            self.now = max(self.now, until)

    # -- inside a task --------------------------------------------------------------------------

    def park(self) -> None:
        """Stand still until somebody resumes this task; for ever, if nobody does."""
        self.hub.switch()

    def sleep(self, seconds: float) -> None:
        task = self._here()
        self.after(seconds, task.resume)
        self.park()

    def wait(self, futures: Iterable[Future[Any]], timeout: float | None = None) -> None:
        """Until all are done, or for `timeout` seconds."""
        task = self._here()
        waiting = [future for future in futures if not future.done()]
        over = False
        resumed = False

        def wake() -> None:
            nonlocal resumed
            if not over and not resumed:
                resumed = True
                self.after(0.0, task.resume)

        if not waiting:
            return
        if timeout is not None:
            self.after(max(timeout, 1e-6), wake)  # no wait is shorter than the clock can tell
        left = len(waiting)

        def one_less() -> None:
            nonlocal left
            left -= 1
            if left == 0:
                wake()

        for future in waiting:
            future.told.append(one_less)
        self.park()
        over = True

    def _here(self) -> Task:
        assert self.task is not None, "only a task can wait"
        return self.task

    def end(self) -> None:
        """Unwind everything that is left, with all processes dead: nothing has an effect now."""
        self._due.clear()
        for task in self.tasks:
            if not task.dead and task:
                task.throw()


class Condition:
    """`threading.Condition` for tasks. Tasks switch only where they wait, so the lock is free."""

    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel
        self._waiting: list[Future[None]] = []
        self._owner: Task | None = None
        self._depth = 0
        self._queue: list[Future[None]] = []

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        task = self._kernel.task
        if task is None:
            return True  # somebody outside looks: time stands still, and nothing is half done
        until = self._kernel.now + timeout if timeout >= 0 else float("inf")
        while self._owner not in (None, task):
            left = until - self._kernel.now
            if not blocking or left <= 0:
                return False
            turn: Future[None] = Future()
            self._queue.append(turn)
            self._kernel.wait([turn], None if left == float("inf") else left)
            if turn in self._queue:
                self._queue.remove(turn)
        self._owner = task
        self._depth += 1
        return True

    def release(self) -> None:
        if self._kernel.task is None or self._owner is not self._kernel.task:
            return
        self._depth -= 1
        if self._depth == 0:
            self._hand_on()

    def _hand_on(self) -> None:
        self._owner, self._depth = None, 0
        if self._queue:
            self._queue.pop(0).set(None)

    def __enter__(self) -> bool:
        return self.acquire()

    def __exit__(self, *_: object) -> None:
        self.release()

    def notify_all(self) -> None:
        waiting, self._waiting = self._waiting, []
        for future in waiting:
            future.set(None)

    def wait(self, timeout: float | None = None) -> bool:
        told: Future[None] = Future()
        self._waiting.append(told)
        depth = self._depth
        self._hand_on()
        self._kernel.wait([told], timeout)
        if not told.done():
            self._waiting.remove(told)
        self.acquire()
        self._depth = depth
        return told.done()

    def wait_for(self, predicate: Callable[[], bool], timeout: float | None = None) -> bool:
        until = self._kernel.now + (timeout if timeout is not None else 1e9)
        while not predicate():
            left = until - self._kernel.now
            if left <= 0:
                return predicate()
            self.wait(left)
        return True


class Event:
    """`threading.Event` for tasks."""

    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel
        self._set = False
        self._waiting: list[Future[None]] = []

    def is_set(self) -> bool:
        return self._set

    def set(self) -> None:
        self._set = True
        waiting, self._waiting = self._waiting, []
        for future in waiting:
            future.set(None)

    def wait(self, timeout: float | None = None) -> bool:
        if not self._set:
            told: Future[None] = Future()
            self._waiting.append(told)
            self._kernel.wait([told], timeout)
        return self._set


class Executor:
    """`ThreadPoolExecutor` for tasks: each call is a task of the process that submits it."""

    def __init__(self, kernel: Kernel, process: Process) -> None:
        self._kernel = kernel
        self._process = process

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None: ...

    def submit(self, call: Callable[..., T], *given: Any) -> Future[T]:
        future: Future[T] = Future(self._kernel)

        def work() -> None:
            try:
                value = call(*given)
            except Exception as error:  # noqa: BLE001  handed on, as an executor does
                future.set(None, error)
            else:
                future.set(value)

        self._process.spawn(work)
        return future

    def shutdown(self, *, wait: bool = True, cancel_futures: bool = False) -> None: ...
