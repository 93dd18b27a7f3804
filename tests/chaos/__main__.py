"""`python -m tests.chaos`: kill what is ours at random while faults are injected on a range.

Prints a line per injection and a table at the end, and leaves build/chaos.json. Exit status 0 only
when every must holds; 130 when it was stopped (SIGINT, SIGTERM) and nothing was wrong until then.
A stop ends the current fault first.

BELAY_CHAOS_INJECTIONS  how many injections (100; fewer are a trial whose coverage is not judged)
BELAY_CHAOS_SEED        a number; the same one is the same plan (a new one each time, printed)
BELAY_CHAOS_RANGE       a range to use and to leave up; without it one is raised and dropped
"""

from __future__ import annotations

import os
import secrets
import signal
import sys
import time
from collections import deque
from collections.abc import Callable, Sequence

from config.stack.layout import CHECKOUT
from practice.system import RangeError
from tests.chaos.people import People, become_part_of
from tests.chaos.plan import Plan, Strike, make_plan, more_strikes
from tests.chaos.report import Report, Result
from tests.chaos.rows import PatientRows
from tests.chaos.site import TROUBLE, Site, standing
from tests.chaos.story import Story
from tests.chaos.truth import disagreements, restoration_s
from tests.chaos.victims import Victims

REPORT = CHECKOUT / "build" / "chaos.json"
FINAL_WITHIN_S = 600.0
"""Preflight, hold, deadline, the longest recovery budget, a stuck undo that comes loose."""
STOPPED = 130

Say = Callable[[str], None]


class Stop:
    """Asked for by a signal, acted upon between two looks: a fault is never left for it."""

    def __init__(self) -> None:
        self.asked = False
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._ask)

    def _ask(self, *_: object) -> None:
        self.asked = True

    def __call__(self) -> bool:
        return self.asked


def main() -> int:
    """Run it all; the exit status."""
    if os.geteuid() != 0:
        print("chaos-self raises a practice range and kills processes: run it as root")
        return 2
    wanted = int(os.environ.get("BELAY_CHAOS_INJECTIONS") or 100)
    seed = int(os.environ.get("BELAY_CHAOS_SEED") or secrets.randbelow(10**6))
    began = time.monotonic()

    def say(line: str) -> None:
        print(f"[{time.monotonic() - began:7.1f} s] {line}", flush=True)

    stop, report = Stop(), Report(REPORT, seed=seed, planned=wanted)
    say(f"{wanted} injections, seed {seed}")
    try:
        with standing(os.environ.get("BELAY_CHAOS_RANGE") or "", say) as site:
            become_part_of(site.stack.stack.state_dir)
            plan = make_plan(injections=wanted, seed=seed, nodes=site.nodes)
            Chaos(plan, site, stop).follow(report, say)
            say("stopping everything")
    except (*TROUBLE, RangeError) as error:
        report.trouble = f"cut short: {error}"
    report.write()
    print(report.table(), flush=True)
    say(f"every run with its strikes: {REPORT}")
    if stop.asked and not report.trouble and not any(r.left or r.wrong for r in report.results):
        return STOPPED
    return 1 if report.failures() else 0


class Chaos:
    """The runs of the plan, one after another, and more of them until so many faults were really
    injected as were asked for; or until a stop is asked for."""

    def __init__(self, plan: Plan, site: Site, stop: Stop) -> None:
        self._site, self._stop = site, stop
        self._people = People()
        self._plan = plan
        self._waiting = list(plan.faults)
        self._strikes = deque(plan.strikes)
        self._again = len(plan.strikes) // 2
        """So many strikes may be tried once more because their state never came."""
        self._runs_most = len(plan.strikes) * 2
        self._began = time.monotonic()

    def follow(self, report: Report, say: Say) -> None:
        """Make the runs. A fault whose run was refused is next once more."""
        while self._strikes or (
            report.lacks_injections() and len(report.results) < self._runs_most
        ):
            self._site.await_steady(self._stop)
            if self._stop.asked:
                return
            number = len(report.results) + 1
            if not self._strikes:
                cells = report.cells_left()
                self._strikes.append(more_strikes(cells, seed=self._plan.seed, number=number))
            result = self._one(number, self._strikes.popleft())
            report.add(result)
            say(result.line())
            if result.verdict != "refused":
                fault = self._waiting.pop(0)
                # Armed and disarmed: the agenda goes on, and it comes again later.
                self._waiting += [] if result.injected else [fault]
            self._waiting = self._waiting or list(self._plan.faults)

    def _try_again(self, missed: Sequence[Strike]) -> None:
        wanted = tuple(strike for strike in missed if strike.state)
        if wanted and self._again:
            self._again -= 1
            self._strikes.append(wanted)

    def _one(self, number: int, strikes: tuple[Strike, ...]) -> Result:
        """One run from its start to its judgement."""
        site, fault, at_s = self._site, self._waiting[0], time.monotonic() - self._began
        processes = site.beside.processes()
        rows, victims = PatientRows(site.stack), Victims(site.stack, site.beside.cluster)
        try:
            told = Story(rows=rows, victims=victims, fault=fault, strikes=strikes).run(
                lambda: self._people.start(self._waiting),
                abort=self._people.abort,
                look_for_bite=lambda: site.not_bitten(fault),
                within_s=FINAL_WITHIN_S,
                stop_asked=self._stop,
            )
        finally:
            victims.resume(everybody=True)
            rows.forget()
        self._try_again(told.missed)
        left = site.left_behind() + site.drills_left()
        site.await_programs()
        seen = site.seen(told, fault, processes)
        wrong = told.not_seen + disagreements(seen)
        if left and seen.row["state"] in ("clean", "refused"):
            wrong.append(f"the row says {seen.row['state']}, and the cluster does not: see above")
        return Result(
            number=number,
            run_id=told.run_id,
            at_s=round(at_s, 1),
            family=fault.family,
            scenario=fault.scenario,
            mode=fault.mode,
            struck=told.struck,
            states=seen.states,
            verdict=seen.row["verdict"] or seen.row["state"],
            reason=seen.row["reason"] or seen.row["doubt"],
            injected=bool(seen.injected),
            restoration_s=restoration_s(seen),
            took_s=round(told.took_s, 1),
            left=left,
            wrong=wrong,
        )


if __name__ == "__main__":
    sys.exit(main())
