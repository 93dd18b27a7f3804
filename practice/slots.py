"""Choosing a slot for a new range: the lowest one whose addresses nobody uses."""

from __future__ import annotations

import ipaddress
import json
from dataclasses import replace

from practice.plan import CONTROL_PLANES, SLOTS, Plan, check_shape, load_plan, range_dir, ranges_dir
from practice.system import RangeError, file_lock, run, write_atomic

Network = ipaddress.IPv4Network


def claim(
    name: str,
    *,
    crash_loop_max: str | None = None,
    control_planes: int | None = None,
    workers: int | None = None,
) -> Plan:
    """Return the plan of the range, making it (and taking a slot) when it is new.

    A range keeps its slot and its nodes until it is dropped; None asks for what it has. Raises
    RangeError when every slot is taken, and when a range that exists has other nodes than asked.
    """
    with file_lock(ranges_dir() / ".slots.lock"):
        if (range_dir(name) / "plan.json").exists():
            plan = load_plan(name)
            refuse_another_shape(plan, control_planes, workers)
            if crash_loop_max is not None:
                plan = replace(plan, crash_loop_max=crash_loop_max)
        else:
            planes = CONTROL_PLANES if control_planes is None else control_planes
            check_shape(planes, workers or 0)
            slot = choose(taken_slots(), used_networks())
            plan = Plan(name, slot, crash_loop_max or "", planes, workers or 0)
        write_atomic(plan.dir / "plan.json", plan.to_json())
        for private in (plan.logs, plan.dir / "nodes"):  # tokens and keys pass through both
            private.mkdir(mode=0o700, exist_ok=True)
    return plan


def refuse_another_shape(plan: Plan, control_planes: int | None, workers: int | None) -> None:
    """Raise RangeError when other numbers of nodes are asked for than the range has."""
    wanted = (
        plan.control_planes if control_planes is None else control_planes,
        plan.workers if workers is None else workers,
    )
    if wanted != (plan.control_planes, plan.workers):
        raise RangeError(
            f"range {plan.name} has {plan.shape}, and a range keeps its nodes: "
            f"`range down --name {plan.name}` first, or give the other one another name"
        )


def choose(taken: set[int], used: list[Network]) -> int:
    """The lowest slot that no range has and whose networks overlap none of `used`."""
    for slot in range(SLOTS):
        plan = Plan("x", slot)
        wanted = [Network(plan.node_subnet), Network(plan.pod_subnet)]
        if slot not in taken and not any(a.overlaps(b) for a in wanted for b in used):
            return slot
    raise RangeError(
        f"none of the {SLOTS} slots is free: drop a range (`range status` lists them), or take "
        "away what else uses networks between 10.89.0.0 and 10.108.255.255 on this machine"
    )


def taken_slots() -> set[int]:
    """Slots of the ranges that exist, half-made ones too."""
    return {load_plan(path.parent.name).slot for path in ranges_dir().glob("*/plan.json")}


def used_networks() -> list[Network]:
    """IPv4 networks that this machine routes somewhere, default routes left out."""
    routes = json.loads(run(["ip", "-j", "-4", "route", "show", "table", "all"]) or "[]")
    found = []
    for route in routes:
        if route.get("dst", "default") == "default" or route.get("dev") == "lo":
            continue
        found.append(Network(route["dst"], strict=False))
    return [network for network in found if network.prefixlen > 0]
