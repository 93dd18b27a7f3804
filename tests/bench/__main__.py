"""`python -m tests.bench`: raise the demo, measure it, print a table, leave build/bench.json.

Migrations at the size of a big company (`--only migrations`) are measured before, on a stack of
their own without a range.

Exit status 0 when every chosen figure was measured and is within its limit, 1 otherwise.
BELAY_BENCH_RANGE=NAME measures on a range that is up, and leaves it up;
BELAY_BENCH_PAIRS=N (5) is how often each scenario is measured on either side;
BELAY_BENCH_COLD=1 also builds the range with empty caches (some 20 minutes).
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import django

from config.stack.demo import StopAskedError
from config.stack.layout import CHECKOUT
from tests.bench import idle, migrations
from tests.bench.report import Report, bounded, unmeasured
from tests.bench.site import Site, cold_start, raised
from tests.bench.troubles import TROUBLES

REPORT = CHECKOUT / "build" / "bench.json"
RANGELESS = ("migrations",)
GROUPS = ("demo", "idle", "hold", "scenarios", "gameday", "traffic", *RANGELESS)
FIRST_PAGE, RANGE_READY = "make demo, warm: first page", "make demo, warm: range ready"
COLD_READY = "make demo, cold: range ready"
FIRST_PAGE_LIMIT_S, RANGE_READY_LIMIT_S, COLD_LIMIT_S = 20.0, 240.0, 1200.0


def main(argv: Sequence[str]) -> int:
    """Measure what was chosen; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument(
        "--only", metavar="NAME,NAME", help=f"{', '.join(GROUPS)}; all where nothing is said"
    )
    parser.add_argument(
        "--scenario", metavar="KEY", action="append", default=[],
        help="only this scenario, and no other group unless --only names it; may be given again",
    )  # fmt: skip
    asked = parser.parse_args(argv)
    chosen = asked.only.split(",") if asked.only else ["scenarios"] if asked.scenario else [*GROUPS]
    if unknown := sorted(set(chosen) - set(GROUPS)):
        parser.error(f"--only {unknown[0]!r}: choose from {', '.join(GROUPS)}")
    if set(chosen) - set(RANGELESS) and os.geteuid() != 0:
        parser.error("the bench raises the practice range: run it as root")
    began = time.monotonic()

    def say(line: str) -> None:
        print(f"[{time.monotonic() - began:6.1f} s] {line}", flush=True)

    print(f"{os.cpu_count()} CPUs, {platform.release()}, load {os.getloadavg()[0]:.1f}", flush=True)
    report = Report(REPORT)
    try:
        if os.environ.get("BELAY_BENCH_COLD") == "1":
            _measure_cold(report, say)
        if "migrations" in chosen:
            migrations.measure(report, say)
        if set(chosen) - set(RANGELESS):
            with raised(os.environ.get("BELAY_BENCH_RANGE") or None) as site:
                _measure(report, site, chosen, asked.scenario, say)
                say("stopping everything")
    except StopAskedError:
        say("stopped; everything that the bench started is gone again")
        return 130
    except TROUBLES as error:
        report.add(unmeasured("the bench itself", "", str(error)))
    print(report.table(), flush=True)
    say(f"all rows with their raw values: {REPORT}")
    return 0 if report.all_ok else 1


def _measure(
    report: Report,
    site: Site,
    chosen: list[str],
    only: list[str],
    say: Callable[[str], None],
) -> None:
    if "demo" in chosen:
        report.add(bounded(FIRST_PAGE, [site.times.first_page_s], "s", limit=FIRST_PAGE_LIMIT_S))
        if site.times.range_ready_s is not None:
            report.add(
                bounded(RANGE_READY, [site.times.range_ready_s], "s", limit=RANGE_READY_LIMIT_S)
            )
    say(f"first page after {site.times.first_page_s:.1f} s, ready: {site.times.range_ready_s} s")
    memory = [idle.memory_gib(site)]
    if "idle" in chosen:
        idle.measure(report, site, say)
        memory.append(idle.memory_gib(site))
    if {"hold", "scenarios", "gameday", "traffic"} & set(chosen):
        _measure_faults(report, site, chosen, only, say)
        memory.append(idle.memory_gib(site))
    if "demo" in chosen:
        report.add(idle.memory_row(memory))


def _measure_faults(
    report: Report,
    site: Site,
    chosen: list[str],
    only: list[str],
    say: Callable[[str], None],
) -> None:
    _become_part_of(site.running.stack.state_dir)
    # Only now do Django's settings know their database.
    from config.stack.register import CLUSTER_NAME  # noqa: PLC0415
    from tests.bench import gamedays, holds, scenarios, traffic  # noqa: PLC0415
    from tests.bench.engine import fleet_of  # noqa: PLC0415

    fleet = fleet_of(CLUSTER_NAME)
    try:
        if "hold" in chosen:
            holds.measure(report, site.plan, fleet, say)
        if "scenarios" in chosen:
            scenarios.measure(report, site.plan, fleet, CLUSTER_NAME, say=say, only=only)
        if "gameday" in chosen:
            gamedays.measure(report, site, fleet, CLUSTER_NAME, say)
        if "traffic" in chosen:
            traffic.measure(report, site, say)
    finally:
        fleet.close()


def _measure_cold(report: Report, say: Callable[[str], None]) -> None:
    say("a cold start first: every program is built from source")
    try:
        ready_s = cold_start().range_ready_s
    except TROUBLES as error:
        report.add(unmeasured(COLD_READY, "s", str(error)))
        return
    assert ready_s is not None, "a range of its own is always waited for"
    report.add(bounded(COLD_READY, [ready_s], "s", limit=COLD_LIMIT_S))


def _become_part_of(state_dir: Path) -> None:
    """Settings and database of the running stack, as for a command in a shell beside it."""
    for name in [name for name in os.environ if name in ("DATABASE_URL", "REDIS_URL")]:
        del os.environ[name]
    os.environ |= {"BELAY_STATE_DIR": str(state_dir), "DJANGO_SETTINGS_MODULE": "config.settings"}
    django.setup()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
