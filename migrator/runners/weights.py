"""The weights of an HTTPProxy: finding the two halves of a service, and setting their shares.

A route is known by its conditions and by the services that it names, never by its place in the
list: somebody may put another route before it while a step is watched.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from migrator.runners.base import Object, Stand, StepRefusedError

WHOLE = 100


@dataclass(frozen=True, kw_only=True)
class Halves:
    """The two services of a route that share its requests."""

    legacy: str
    kubernetes: str


def shares(found: Object, halves: Halves) -> dict[str, dict[str, Any]]:
    """Per route that names both halves (its key): the `weight` that each service has, or None.

    Raises `StepRefusedError`: `route_gone` where no route names both, `weights_wrong` where what
    stands there is no share of a hundred.
    """
    meta = found["metadata"]
    where = f"HTTPProxy {meta['namespace']}/{meta['name']}"
    wanted = {halves.legacy, halves.kubernetes}
    _require_http(found, where, wanted)
    seen: dict[str, dict[str, Any]] = {}
    for route in (found.get("spec") or {}).get("routes") or []:
        services = route.get("services") or []
        names = [str(each.get("name")) for each in services]
        if not wanted <= set(names):
            continue
        others = sorted(set(names) - wanted)
        if others or len(names) != len(wanted):
            raise StepRefusedError(
                f"A route of {where} names {', '.join(names)}: a traffic step moves requests "
                f"between {halves.legacy} and {halves.kubernetes} alone. Take the others out of "
                "that route first.",
                code="weights_wrong",
            )
        if any(each.get("mirror") for each in services):
            raise StepRefusedError(
                f"A route of {where} mirrors requests to one of the halves: a mirror answers "
                "nobody, so there is no share to move. Take the mirror out of that route first.",
                code="weights_wrong",
            )
        if _key(route) in seen:
            raise StepRefusedError(
                f"Two routes of {where} have the same conditions and services, so which is meant "
                "cannot be told. Remove one of them first.",
                code="weights_wrong",
            )
        weights = {str(each["name"]): each.get("weight") for each in services}
        numbers = [weight or 0 for weight in weights.values()]
        if sum(numbers) != WHOLE:
            told = " and ".join(f"{name} {weight or 0}" for name, weight in weights.items())
            raise StepRefusedError(
                f"The weights of {where} are {told}: together {sum(numbers)}, and shares are of "
                f"{WHOLE}. Set them so that they add up, then start again.",
                code="weights_wrong",
            )
        seen[_key(route)] = weights
    if not seen:
        raise StepRefusedError(
            f"No route of {where} names both {halves.legacy} and {halves.kubernetes}. Add both to "
            "the route, the Kubernetes one with weight 0, then start again.",
            code="route_gone",
        )
    _require_alike(where, seen, halves)
    return seen


def percent_of(before: Mapping[str, Mapping[str, Any]], halves: Halves) -> int:
    """The Kubernetes half's share, of weights as `shares` reads them."""
    return int(next(iter(before.values()))[halves.kubernetes] or 0)


def wanted(halves: Halves, percent: int) -> dict[str, int]:
    return {halves.kubernetes: percent, halves.legacy: WHOLE - percent}


def standing(
    found: Object | None, before: Mapping[str, Mapping[str, Any]], ours: Mapping[str, int]
) -> Stand:
    """Which weights the routes of `before` have now: theirs of then, ours, or somebody else's."""
    now = {} if found is None else _weights_now(found, before)
    if set(now) != set(before):
        return Stand.FOREIGN
    if all(_alike(now[key], ours) for key in before) and not all(
        _alike(before[key], ours) for key in before
    ):
        return Stand.OURS
    if all(_alike(now[key], before[key]) for key in before):
        return Stand.ORIGINAL
    return Stand.FOREIGN


def routes_with(found: Object, weights: Mapping[str, Mapping[str, Any]]) -> list[Object]:
    """All routes of the object as they are, with these weights in the routes of those keys."""
    routes: list[Object] = copy.deepcopy(found["spec"]["routes"])
    for route in routes:
        for_route = weights.get(_key(route))
        if for_route is None:
            continue
        for service in route["services"]:
            weight = for_route[str(service["name"])]
            if weight is None:
                service.pop("weight", None)
            else:
                service["weight"] = weight
    return routes


def ports(found: Object, halves: Halves) -> dict[str, int]:
    """The port at which each half is named in the routes that name both; Envoy's figures are kept
    by service and port. Raises `StepRefusedError` (`ports_differ`) where it is not the same in all.
    """
    seen: dict[str, int] = {}
    for route in found["spec"]["routes"]:
        services = route.get("services") or []
        if {halves.legacy, halves.kubernetes} <= {str(each.get("name")) for each in services}:
            for each in services:
                name, port = str(each["name"]), int(each["port"])
                if seen.setdefault(name, port) != port:
                    raise StepRefusedError(
                        f"The routes name {name} at ports {seen[name]} and {port}, and Envoy "
                        "counts each for itself. Give one of them a service of its own first.",
                        code="ports_differ",
                    )
    return seen


def raised(found: Object, made: Object) -> list[str]:
    """Services that would get a greater share of requests in `made` than they have in `found`,
    under the same conditions; all of a route whose conditions are new."""
    now = _shares_by_conditions(found)
    return sorted(
        {
            name
            for conditions, wanted in _shares_by_conditions(made).items()
            for name, share in wanted.items()
            if share > now.get(conditions, {}).get(name, 0)
        }
    )


def _shares_by_conditions(found: Object) -> dict[str, dict[str, Fraction]]:
    shared: dict[str, dict[str, Fraction]] = {}
    for route in (found.get("spec") or {}).get("routes") or []:
        services = [each for each in route.get("services") or [] if not each.get("mirror")]
        total = sum(int(each.get("weight") or 0) for each in services)
        key = json.dumps(route.get("conditions") or [], sort_keys=True)
        for each in services:
            # Where nobody has a weight, Contour gives all of them the same.
            weight, whole = (int(each.get("weight") or 0), total) if total else (1, len(services))
            held, name = shared.setdefault(key, {}), str(each.get("name"))
            held[name] = held.get(name, Fraction(0)) + Fraction(weight, whole)
    return shared


def every_port(found: Object, service: str) -> list[int]:
    """All ports at which any route names the service, alone or beside others."""
    return sorted(
        {
            int(each["port"])
            for route in found["spec"].get("routes") or []
            for each in route.get("services") or []
            if each.get("name") == service
        }
    )


def _weights_now(
    found: Object, before: Mapping[str, Mapping[str, Any]]
) -> dict[str, dict[str, Any]]:
    return {
        _key(route): {str(each["name"]): each.get("weight") for each in route["services"]}
        for route in (found.get("spec") or {}).get("routes") or []
        if _key(route) in before
    }


def _require_http(found: Object, where: str, wanted: set[str]) -> None:
    tcp = (found.get("spec") or {}).get("tcpproxy") or {}
    names = {str(each.get("name")) for each in tcp.get("services") or []}
    if names & wanted:
        raise StepRefusedError(
            f"{where} leads TCP connections to {', '.join(sorted(names & wanted))}, and those are "
            "neither moved nor counted as requests. Give them a service of their own first.",
            code="tcp_not_counted",
        )


def _alike(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """A weight of 0 and none are the same share, as long as not all of them are none."""
    return {name: weight or 0 for name, weight in one.items()} == {
        name: weight or 0 for name, weight in other.items()
    }


def _key(route: Object) -> str:
    names = sorted(str(each.get("name")) for each in route.get("services") or [])
    return json.dumps([route.get("conditions") or [], names], sort_keys=True)


def _require_alike(where: str, seen: dict[str, dict[str, Any]], halves: Halves) -> None:
    percents = {int(weights[halves.kubernetes] or 0) for weights in seen.values()}
    if len(percents) > 1:
        raise StepRefusedError(
            f"The routes of {where} give {halves.kubernetes} different shares "
            f"({', '.join(f'{each}%' for each in sorted(percents))}). Make them equal first: one "
            "step moves them together.",
            code="weights_wrong",
        )
