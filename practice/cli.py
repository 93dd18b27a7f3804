"""The commands of the range: one parser for `manage.py range` and for `python -m practice`."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace

from practice import (
    nodes,
    preflight,
    slots,
    status,
    supervisor,
    teardown,
    turn,
    weaknesses,
)
from practice.facts import RangeFacts, read_progress
from practice.plan import CONTROL_PLANES, Plan, check_name, load_plan
from practice.system import REPOSITORY, SYSTEM_PATH, RangeError, wait_until

DEFAULT = "demo"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the range's subcommands to a parser."""
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="COMMAND")

    def verb(name: str, text: str) -> argparse.ArgumentParser:
        made = verbs.add_parser(name, help=text, description=text)
        made.add_argument("--name", default=DEFAULT, help=f"the range (default: {DEFAULT})")
        return made

    up = verb("up", "Raise the range, or go on where an earlier start stopped.")
    up.add_argument(
        "--foreground", action="store_true",
        help="stay in the foreground; SIGTERM or Ctrl-C takes the range down",
    )  # fmt: skip
    up.add_argument(
        "--crash-loop-max", metavar="DURATION",
        help="longest pause of the kubelet between restarts, such as 10s (for tests)",
    )  # fmt: skip
    up.add_argument(
        "--control-planes", type=int, metavar="N",
        help=f"API servers and etcd members of a new range (default: {CONTROL_PLANES})",
    )  # fmt: skip
    up.add_argument(
        "--workers", type=int, metavar="N",
        help="nodes of a new range that have neither (default: 0)",
    )  # fmt: skip
    down = verb("down", "Take the range away, whole.")
    down.add_argument(
        "--purge-cache", action="store_true", help="delete built programs and images too"
    )
    shown = verb("status", "Say how the range is.")
    shown.add_argument("--json", action="store_true", help="for programs")
    again = verb("restart-node", "Pull a node's plug and start it again with the same disk.")
    again.add_argument("node", metavar="NODE", help="such as qa-1, or qa-w1")
    fix = verb("fix", "Apply the documented fix of a weakness to the living range.")
    fix.add_argument("fix", metavar="FIX", help=", ".join(weaknesses.FIXES))
    fix.add_argument("--undo", action="store_true", help="take the fix back")
    weak = verb("weaken", "Put a further weakness on the living range, for one kind of gameday.")
    weak.add_argument("weakness", metavar="WEAKNESS", help=", ".join(weaknesses.WEAKENINGS))
    weak.add_argument("--undo", action="store_true", help="take the weakness away")
    guard = verb("load-guard", "Rebuild the guard's image and import it into every node.")
    guard.add_argument("range", nargs="?", help=argparse.SUPPRESS)
    hidden = verbs.add_parser("supervise", help=argparse.SUPPRESS)
    hidden.add_argument("name")


def main(argv: Sequence[str]) -> int:
    """Run one command and return its exit code."""
    parser = argparse.ArgumentParser(prog="python -m practice", description=__doc__)
    add_arguments(parser)
    return run(parser.parse_args(argv))


def run(options: argparse.Namespace) -> int:
    """Run the parsed command; what goes wrong is one sentence on standard error."""
    # `su` without a dash leaves a PATH without sbin, where ip and nft are.
    os.environ["PATH"] = f"{os.environ.get('PATH', '')}:{SYSTEM_PATH}"
    try:
        check_name(options.name)
        return COMMANDS[options.verb](options)
    except RangeError as error:
        print(f"range: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("range: stopped looking; what was begun goes on (`range status`)", file=sys.stderr)
        return 130


def say(line: str) -> None:
    print(line, flush=True)


def _up(options: argparse.Namespace) -> int:
    if found := preflight.problems():
        raise RangeError("; ".join(found))
    with ExitStack() as turns:
        turns.enter_context(turn.to_raise(options.name, say))
        plan = slots.claim(
            options.name,
            crash_loop_max=options.crash_loop_max,
            control_planes=options.control_planes,
            workers=options.workers,
        )
        if options.foreground:
            return _up_in_foreground(plan, supervised=turns.close)
        if not supervisor.running(plan):
            supervisor.launch(plan)
        elif preflight.is_ready(plan.name):
            if all(nodes.kubelet_healthy(node) for node in plan.nodes):
                say(f"range {plan.name} is up: {plan.api_endpoint}, shop at {plan.shop_url}")
                return 0
            say(f"range {plan.name} is up, but not every node is well: going over it again")
            supervisor.end_supervisor(plan)
            supervisor.launch(plan)
    return _follow(plan)


def _up_in_foreground(plan: Plan, *, supervised: Callable[[], None]) -> int:
    plan.logs.mkdir(parents=True, exist_ok=True)
    code = supervisor.supervise(plan, echo=say, supervised=supervised)
    if code == 0:  # told to stop
        # The raising thread may be in the middle of anything: a new program in this process's
        # place has no such thread, and the locks of this one fall with it.
        os.environ["PYTHONPATH"] = str(REPOSITORY)
        argv = [sys.executable, "-m", "practice", "down", "--name", plan.name]
        sys.stdout.flush()
        os.execv(sys.executable, argv)  # noqa: S606 (no shell is wanted)
    return code


def _follow(plan: Plan) -> int:
    """Show the progress of the daemon until the range is ready or has failed."""
    shown: list[str] = []
    while True:
        alive = supervisor.running(plan)
        progress = read_progress(plan.name)
        if progress is not None:
            for line in progress.log_tail:
                if line not in shown:
                    say(line)
                    shown.append(line)
            if progress.phase == "ready" and alive:
                return 0
            if progress.phase == "failed" and not alive:
                return 1
        if not alive:
            if not (plan.dir / "plan.json").exists():
                raise RangeError(f"range {plan.name} was taken down meanwhile")
            raise RangeError(
                f"the supervisor of range {plan.name} ended; {plan.logs}/supervisor.log says why"
            )
        time.sleep(0.3)


def _supervise(options: argparse.Namespace) -> int:
    return supervisor.supervise(load_plan(options.name), echo=say)


def _down(options: argparse.Namespace) -> int:
    for number in (signal.SIGINT, signal.SIGTERM):
        # A few seconds of work that nobody wants half done: a second Ctrl-C does not stop it.
        signal.signal(number, signal.SIG_IGN)
    left = teardown.drop(options.name, say)
    for line in left:
        print(f"left behind: {line}", file=sys.stderr)
    if options.purge_cache:
        say(teardown.purge_cache())
    if not left:
        say(f"range {options.name} is gone")
    return 1 if left else 0


def _status(options: argparse.Namespace) -> int:
    return status.show(options.name, as_json=options.json, say=say)


def _restart_node(options: argparse.Namespace) -> int:
    plan = load_plan(options.name)
    node = plan.node(options.node)
    restart_node(plan, node.name)
    say(f"{node.name} was unplugged and is up again; its pods follow")
    return 0


def restart_node(plan: Plan, name: str) -> None:
    """SIGKILL the node's process 1 and wait until its keeper has started it again.

    Returns once the node's containerd answers; the kubelet and the pods follow by themselves.
    """
    node = plan.node(name)
    if not supervisor.running(plan):
        raise RangeError(f"range {plan.name} has no supervisor that would start {name} again: up")
    before = nodes.init_pid(node)
    if before is None:
        raise RangeError(f"{name} is not running; `range status` tells more")
    nodes.kill(before)
    wait_until(
        lambda: nodes.init_pid(node) not in (None, before), timeout=60, what=f"{name} started"
    )
    wait_until(lambda: nodes.runtime_answers(node), timeout=60, what=f"containerd of {name}")


def _fix(options: argparse.Namespace) -> int:
    say(weaknesses.apply_fix(options.name, options.fix, undo=options.undo))
    return 0


def _weaken(options: argparse.Namespace) -> int:
    say(weaknesses.apply_weakening(options.name, options.weakness, undo=options.undo))
    return 0


def _load_guard(options: argparse.Namespace) -> int:
    name = options.range or options.name
    image = nodes.load_guard(load_plan(name))
    replace(RangeFacts.load(name), guard_image=image).save()
    say(image)
    return 0


COMMANDS = {
    "up": _up,
    "down": _down,
    "status": _status,
    "restart-node": _restart_node,
    "fix": _fix,
    "weaken": _weaken,
    "load-guard": _load_guard,
    "supervise": _supervise,
}
