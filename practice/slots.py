"""Choosing a slot for a new range: the lowest one whose addresses nobody uses."""

from __future__ import annotations

import ipaddress
import json
from dataclasses import replace

from practice.plan import SLOTS, Plan, load_plan, range_dir, ranges_dir
from practice.system import RangeError, file_lock, run, write_atomic

Network = ipaddress.IPv4Network


def claim(name: str, *, crash_loop_max: str | None = None) -> Plan:
    """Return the plan of the range, making it (and taking a slot) when it is new.

    A range keeps its slot until it is dropped. Raises RangeError when every slot is taken.
    """
    with file_lock(ranges_dir() / ".slots.lock"):
        if (range_dir(name) / "plan.json").exists():
            plan = load_plan(name)
            if crash_loop_max is not None:
                plan = replace(plan, crash_loop_max=crash_loop_max)
        else:
            plan = Plan(name, choose(taken_slots(), used_networks()), crash_loop_max or "")
        write_atomic(plan.dir / "plan.json", plan.to_json())
        for private in (plan.logs, plan.dir / "nodes"):  # tokens and keys pass through both
            private.mkdir(mode=0o700, exist_ok=True)
    return plan


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
