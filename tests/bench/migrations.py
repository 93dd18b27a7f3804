"""Migrations at the size of a big company: 10,000 services, 100,000 steps, 1,000,000 events.

Needs no range: a stack of its own, filled by `inventory.sql`, asked as a browser asks it.
"""

from __future__ import annotations

import csv
import io
import os
import re
import signal
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from config.stack.demo import ignore_stop_signals, stop_signals
from tests.bench.pages import LEAD, LIVE_PLAN, Page, pages
from tests.bench.people import Person
from tests.bench.report import Report, Row, bounded, unmeasured
from tests.bench.troubles import TROUBLES
from tests.bench.usage import family_cpu_s, process_cpu_s, pss_bytes
from tests.stack.running import RunningStack, wait_until

SMALL, SERVICES = 200, 10_000
"""Services of the two sizes between which the number of queries may not change."""
REQUESTS = 15
PAGE_LIMIT_MS = 100.0
IMPORT_LIMIT_S, MEMORY_LIMIT_MIB = 30.0, 300.0
LOOP_ROUNDS = 200_000
SCRIPT = Path(__file__).with_name("inventory.sql")
IDLE = ("beat", "watchdog", "worker-default", "worker-faults", "worker-steps")
"""Programs that would look at clusters that are not there, on processors that are measured."""
IMPORT, EXPORT = "import of 10,000 services by CSV", "export of 10,000 services as CSV"
UNCHANGED = "import of that export: services changed"
MEMORY = "web: memory of its process afterwards (PSS)"

Say = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class Timing:
    """One piece of work. Seconds."""

    wall: float
    web: float
    """CPU time of the web process: what it takes on a machine that does nothing else."""
    database: float
    """CPU time of PostgreSQL."""


class Site:
    """The stack, its one web process, and who asks it."""

    def __init__(self, stack: RunningStack) -> None:
        self.stack = stack
        for program in IDLE:
            stack.stop_program(program)
        self._server, self.worker = _one_worker(stack)
        self._postgres = stack.pid("postgres")
        wait_until(stack.is_healthy, within_s=120, what="the one process answers")
        self.people = {who: Person(stack.base_url, who, stack.password) for who in ("olga", LEAD)}

    def timed(self, work: Callable[[], object]) -> Timing:
        before = self._cpu()
        began = time.perf_counter()
        work()
        wall = time.perf_counter() - began
        web, database = (now - then for now, then in zip(self._cpu(), before, strict=True))
        return Timing(wall=wall, web=web, database=database)

    def memory_mib(self) -> float:
        """Of the process that answers, and of its parent, which shares most of itself with it."""
        return pss_bytes([self._server, self.worker]) / 1024**2

    def _cpu(self) -> tuple[float, float]:
        return process_cpu_s(self.worker), family_cpu_s(self._postgres)


def measure(report: Report, say: Say) -> None:
    """Fill a stack of its own and ask it for everything."""
    try:
        with _raised() as stack:
            site = Site(stack)
            say(f"filling {SMALL} services")
            fill(stack, first=1, services=SMALL)
            asked = _pages(stack)
            few = _counted(stack, asked)
            say(f"filling {SERVICES:,} services")
            fill(stack, first=SMALL + 1, services=SERVICES)
            say(", ".join(f"{number:,} {what}" for what, number in _sizes(stack).items()))
            for row in rows_of_queries(asked, few, _counted(stack, asked)):
                report.add(row)
            _measure_pages(report, site, asked, say)
            _measure_csv(report, site, say)
            report.add(bounded(MEMORY, [site.memory_mib()], "MiB", limit=MEMORY_LIMIT_MIB))
    except TROUBLES as error:
        report.add(unmeasured("migrations", "", str(error)))


def fill(stack: RunningStack, *, first: int, services: int) -> None:
    """Bring the inventory from `first` - 1 to so many services, with all that belongs to them."""
    connection = stack.connect()
    try:
        connection.autocommit = False
        with connection.cursor() as cursor:
            cursor.execute(script_for(first=first, services=services))
        connection.commit()
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute("VACUUM ANALYZE")  # as autovacuum does soon afterwards
    finally:
        connection.close()


def script_for(*, first: int, services: int) -> str:
    """`inventory.sql` with its two numbers."""
    text = SCRIPT.read_text().replace(":services", str(services))
    return text.replace(":first", str(first))


def rows_of_queries(asked: list[Page], few: list[int], many: list[int]) -> list[Row]:
    """For each page, how many statements it sends; as many as at a fiftieth of the data, or not
    ok."""
    return [
        Row(
            name=f"queries {page.name}",
            value=now,
            unit="",
            baseline=then,
            ratio=round(now / then, 3) if then else None,
            limit=1.0,
            ok=now == then,
            raw=[{"services": SMALL, "queries": then}, {"services": SERVICES, "queries": now}],
        )
        for page, then, now in zip(asked, few, many, strict=True)
    ]


def row_of_page(page: Page, timings: list[Timing], *, slowed: float) -> Row:
    """The median of what a browser waited; in the note what of it the processes really worked."""
    waited = [timing.wall * 1000 for timing in timings]
    median = statistics.median(waited)
    web, database = (
        statistics.mean(getattr(timing, part) for timing in timings) * 1000
        for part in ("web", "database")
    )
    return Row(
        name=f"page {page.name}",
        value=round(median, 1),
        unit="ms",
        limit=PAGE_LIMIT_MS,
        ok=median <= PAGE_LIMIT_MS,
        raw=[round(value, 1) for value in waited],
        note=f"CPU a request: web {web:.0f} ms, database {database:.0f} ms; a loop beside it took "
        f"{slowed:.1f} × its CPU time",
    )


def reference() -> float:
    """How much longer than its CPU time a simple loop takes now: 1 on a machine of one's own."""
    wall, cpu = time.perf_counter(), time.process_time()
    total = 0
    for number in range(LOOP_ROUNDS):
        total += number * number % 7
    assert total
    return (time.perf_counter() - wall) / max(time.process_time() - cpu, 1e-6)


def _measure_pages(report: Report, site: Site, asked: list[Page], say: Say) -> None:
    for page in asked:
        person = site.people[page.who]
        try:
            for _ in range(2):
                person.read(page.path)
            slowed = reference()
            timings = [site.timed(lambda: person.read(page.path)) for _ in range(REQUESTS)]  # noqa: B023
        except TROUBLES as error:
            report.add(unmeasured(f"page {page.name}", "ms", str(error)))
            continue
        row = row_of_page(page, timings, slowed=slowed)
        report.add(row)
        say(f"{row.value:7.1f} ms  {page.name}  ({row.note})")


def _measure_csv(report: Report, site: Site, say: Say) -> None:
    owner = site.people["olga"]
    content = inventory_csv(SERVICES)
    written: list[bytes] = []
    for name, work, limit in (
        (IMPORT, lambda: import_csv(owner, content), IMPORT_LIMIT_S),
        (EXPORT, lambda: written.append(owner.read("/services/export/?tag=csv")), None),
    ):
        try:
            took = site.timed(work)
        except TROUBLES as error:
            report.add(unmeasured(name, "s", str(error)))
            return
        note = f"CPU: web {took.web:.1f} s, database {took.database:.1f} s"
        report.add(bounded(name, [took.wall], "s", limit=limit, note=note))
        say(f"{name}: {took.wall:.1f} s ({note})")
    try:
        number = touched(owner.send_file("/services/import/", "again.csv", written[0])[1])
    except TROUBLES as error:
        report.add(unmeasured(UNCHANGED, "", str(error)))
    else:
        report.add(bounded(UNCHANGED, [number], "", limit=0))


def inventory_csv(services: int) -> bytes:
    """A file of so many new services, each of which needs up to three others."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(
        ("name", "team", "tier", "description", "links", "tags", "depends_on", "legacy_hosts",
         "legacy_address", "legacy_capacity", "legacy_capacity_unit")
    )  # fmt: skip
    for n in range(services):
        needs = sorted({(n * k + 1) % services for k in (3, 7, 11)} - {n})
        writer.writerow(
            (
                f"Imported {n}", "bench-team-1", 1 + n % 3,
                f"Number {n} of many, which does something for somebody. " * 3,
                f"Board https://board.example/{n}; Runbook https://wiki.example/{n}",
                f"csv tag-{n % 50}", "; ".join(f"Imported {each}" for each in needs),
                f"legacy-{n % 900}", f"legacy-{n % 900}:8080", n + 1, "requests/s",
            )
        )  # fmt: skip
    return text.getvalue().encode()


def import_csv(person: Person, content: bytes) -> None:
    """Upload, look at the preview, confirm what it shows."""
    place, page = person.send_file("/services/import/", "bench.csv", content)
    digest = re.search(r'name="digest" value="([0-9a-f]+)"', page)
    if digest is None:
        raise AssertionError(f"{place} shows nothing to confirm: {page[-600:]}")
    done = person.send(place, {"digest": digest[1]})
    if 'name="digest"' in done:
        raise AssertionError(f"{place} was not imported: {done[-600:]}")


def touched(page: str) -> float:
    """How many services the preview on that page would make or change."""
    found = re.findall(r"<dt>to (?:add|change)</dt><dd>(\d+)</dd>", page)
    if len(found) != 2:
        raise AssertionError(f"that is no preview: {page[-600:]}")
    return float(sum(map(int, found)))


@contextmanager
def _raised() -> Iterator[RunningStack]:
    state_dir = Path("/tmp") / f"belay-bench-migrations-{os.getpid()}"
    with stop_signals():
        stack = RunningStack.start(state_dir, range_name=None)
        try:
            yield stack
        finally:
            ignore_stop_signals()
            stack.end()


def _one_worker(stack: RunningStack) -> tuple[int, int]:
    """The web server as the supervisor starts it, told to do with one process: parent, child."""
    server = stack.pid("web")

    def look() -> int | None:
        children = _children(server)
        if len(children) > 1:
            os.kill(server, signal.SIGTTOU)
        return children[0] if len(children) == 1 else None

    return server, wait_until(look, within_s=60, what="one web process", every_s=0.5)


def _children(pid: int) -> list[int]:
    words = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [int(word) for word in words]


def _pages(stack: RunningStack) -> list[Page]:
    [attempt] = stack.query(
        "SELECT id FROM migrator_attempt WHERE plan_id = %s AND state = 'judging'", LIVE_PLAN
    )
    [finding] = stack.query("SELECT min(id) AS id FROM gamedays_finding WHERE title LIKE 'Bench%%'")
    return pages(str(attempt["id"]), int(finding["id"]))


def _counted(stack: RunningStack, asked: list[Page]) -> list[int]:
    wish = [(page.path, page.who) for page in asked]
    found: list[int] = stack.shell.run(
        "import json\nfrom tests.bench.pages import count_queries\n"
        f"print(json.dumps(count_queries({wish!r})))"
    )
    return found


def _sizes(stack: RunningStack) -> dict[str, int]:
    def count(*tables: str) -> int:
        rows = (stack.query(f"SELECT count(*) AS n FROM {table}") for table in tables)  # noqa: S608
        return sum(int(row["n"]) for [row] in rows)

    return {
        "services": count("migrator_service"),
        "dependencies": count("migrator_dependency"),
        "steps": count("migrator_step"),
        "events": count(
            "migrator_historyentry", "migrator_servicechange", "migrator_attempt",
            "migrator_ropecheck", "migrator_steprehearsal",
        ),
    }  # fmt: skip
