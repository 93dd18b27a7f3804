"""Taking a range away, whole: whatever state it is in, and only what is its own."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

from practice import cgroups, machine, network, nodes, turn
from practice.facts import RangeFacts
from practice.keeper import read_record
from practice.plan import Node, Plan, cache_dir, load_plan, plan_from_disk, range_dir, ranges_dir
from practice.supervisor import end_supervisor
from practice.system import RangeError, file_lock, is_alive, start_ticks, wait_until


def drop(name: str, say: Callable[[str], None] = lambda _: None) -> list[str]:
    """Remove every trace of a range and return what could not be removed, one line each.

    Works on a range that is up, half-raised, crashed, or gone already. Waits for whoever raises
    or drops it at this moment.
    """
    with turn.to_take_down(name, say):
        return _drop(name, say)


def _drop(name: str, say: Callable[[str], None]) -> list[str]:
    try:
        plan = load_plan(name)
    except RangeError:
        if not range_dir(name).exists():
            left = leftovers(Plan(name, 0))
            turn.forget(name)
            remove_empty_directories()
            return left
        plan = plan_from_disk(name)
    problems: list[str] = []
    mark_dropping(plan)

    def attempt(what: str, work: Callable[[], object]) -> None:
        # One piece that cannot be removed must not keep the others: all are tried, all are told.
        try:
            work()
        except (OSError, RangeError) as error:
            problems.append(f"{what}: {error}")

    say("ending the supervisor")
    attempt("supervisor", lambda: end_supervisor(plan))
    for node in plan.nodes:
        say(f"unplugging {node.name}")
        attempt(f"processes of {node.name}", partial(nodes.cut_power, node))
    attempt("processes on the machine", lambda: end_recorded(plan))
    for node in plan.nodes:
        attempt(f"network of {node.name}", partial(network.drop_node_network, node))
        attempt(f"cgroups of {node.name}", partial(drop_cgroups, node))
    attempt("bridge", lambda: network.drop_bridge(plan))
    say("deleting its files")
    attempt("files", lambda: delete_files(plan))
    attempt("settings of the machine", machine.restore)
    left = leftovers(plan)
    turn.forget(name)  # from here on somebody may raise it anew: nothing of it is looked at again
    attempt("empty directories", remove_empty_directories)
    return problems + left


def mark_dropping(plan: Plan) -> None:
    """Tell whoever reads the facts that this range is going."""
    with contextlib.suppress(RangeError):
        replace(RangeFacts.load(plan.name), phase="dropping").save()


def remove_empty_directories() -> None:
    """Remove what all ranges share, locks included, when this was the last one."""
    home = ranges_dir()
    lock = home / ".slots.lock"
    with file_lock(lock):
        if [path for path in home.iterdir() if path.name not in {lock.name, ".machine.lock"}]:
            return
        (home / ".machine.lock").unlink(missing_ok=True)
        lock.unlink()
    for path in (home, home.parent):
        with contextlib.suppress(OSError):  # not empty: somebody else's, or a range just begun
            path.rmdir()


def end_recorded(plan: Plan) -> None:
    """End the recorded processes that run on the machine itself (proxy, legacy, nodes' parents)."""
    known = [read_record(path) for path in (plan.dir / "run").glob("*.json")]
    # And whatever was started, but not yet recorded, when a supervisor was killed.
    known += [(pid, start_ticks(pid) or 0) for pid in marked_processes(plan)]
    living = [(pid, started) for pid, started in known if pid and pid != os.getpid()]
    for pid, started in living:
        if is_alive(pid, started):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
    wait_until(
        lambda: not any(is_alive(pid, started) for pid, started in living),
        timeout=10, what=f"recorded processes of range {plan.name} gone", every=0.05,
    )  # fmt: skip


def drop_cgroups(node: Node) -> None:
    for path in cgroups.existing(node.cgroup):
        cgroups.remove(path)


def delete_files(plan: Plan) -> None:
    """Delete the range's directory, the plan last: while it is there, the slot is taken."""
    if mounts := mounts_below(plan.dir):
        raise RangeError(f"not deleted, because these are still mounted: {', '.join(mounts)}")
    if not plan.dir.exists():
        return
    for path in sorted(plan.dir.iterdir(), key=lambda p: p.name == "plan.json"):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
    plan.dir.rmdir()


def mounts_below(path: Path) -> list[str]:
    """Mount points of the machine below a directory."""
    lines = Path("/proc/self/mounts").read_text(encoding="utf-8").splitlines()
    return [line.split()[1] for line in lines if line.split()[1].startswith(f"{path}/")]


def leftovers(plan: Plan) -> list[str]:
    """What of a range is still on this machine, one line each; empty after a clean tear-down."""
    found = [f"mount {where}" for where in mounts_below(plan.dir)]
    links = network.link_names()
    found += [f"link {n}" for n in sorted({plan.bridge, *(x.link for x in plan.nodes)} & links)]
    names = network.network_namespaces()
    found += [f"network namespace {n.netns}" for n in plan.nodes if n.netns in names]
    for node in plan.nodes:
        found += [f"cgroup {path}" for path in cgroups.existing(node.cgroup)]
    found += [f"process {pid}: {words}" for pid, words in processes_of(plan)]
    if plan.dir.exists():
        found.append(f"directory {plan.dir}")
    return found


def processes_of(plan: Plan) -> list[tuple[int, str]]:
    """Living processes that carry the range's mark or name its directory, with their words."""
    found = {pid: words_of(pid) for pid in marked_processes(plan)}
    for pid in other_pids():
        if f"{plan.dir}/" in (words := words_of(pid)):
            found[pid] = words
    return sorted((pid, words) for pid, words in found.items() if start_ticks(pid))


def marked_processes(plan: Plan) -> list[int]:
    """Processes that were started for this range, by the mark in their environment."""
    [(key, value)] = plan.mark().items()
    mark, found = f"{key}={value}".encode(), []
    for pid in other_pids():
        with contextlib.suppress(OSError):
            if mark in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0"):
                found.append(pid)
    return found


def other_pids() -> list[int]:
    """Every process but this one and those that wait for it."""
    mine, pid = {1}, os.getpid()
    while pid > 1:
        mine.add(pid)
        pid = parent_of(pid)
    return [int(p.name) for p in Path("/proc").iterdir() if p.name.isdigit()
            and int(p.name) not in mine]  # fmt: skip


def parent_of(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return 0


def words_of(pid: int) -> str:
    try:
        text = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return ""
    return text.replace(b"\0", b" ").decode(errors="replace").strip()


def purge_cache() -> str:
    """Delete built programs and images unless another range runs from them; say what was done."""
    with file_lock(ranges_dir() / ".slots.lock"):
        others = sorted(path.parent.name for path in ranges_dir().glob("*/plan.json"))
        if others:
            return f"the shared cache stays: range {', '.join(others)} runs from it"
        if cache_dir().exists():
            shutil.rmtree(cache_dir())
        return "the shared cache is gone: the next range is built from source"
