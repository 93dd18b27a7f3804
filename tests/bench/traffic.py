"""A step's weight change until real responses show it: Belay against a bare patch, turn about."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from practice.facts import RangeFacts
from tests.bench.holds import Way
from tests.bench.owner import Json, Owner
from tests.bench.report import Report, compared, later, unmeasured
from tests.bench.site import Site
from tests.bench.troubles import TROUBLES
from tests.bench.ways import by_requests
from tests.migrator.real_shop import RealShop
from tests.migrator.shop_client import Client, Sent
from tests.stack.running import wait_until

PAIRS = 5
LIMIT_S = 1.0
SEEN, MORE = "traffic: change to first response", "traffic: the same, more than a bare patch"
NEW, PERCENT, WATCH_S = "kubernetes", 100, 60
"""A step is watched for longer than its first response is waited for: it does not end meanwhile."""
PER_S, THREADS = 100, 10
"""Requests of the client: what is seen is seen within a hundredth of a second."""
SEEN_WITHIN_S, BACK_WITHIN_S, QUIET_S = 30.0, 120.0, 3.0
ROUTE = "/apis/projectcontour.io/v1/namespaces/shop/httpproxies/shop"

Say = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class _Place:
    shop: RealShop
    owner: Owner
    client: Client


def measure(report: Report, site: Site, say: Say) -> None:
    """Five pairs in the order A B, B A, A B, …; from a person's click to the first response of the
    new half, and from the moment that a bare patch is sent to the same."""
    ours: list[float] = []
    bare: list[float] = []
    facts = RangeFacts.load(site.plan.name)
    owner = Owner(site.plan)
    before = owner.get(ROUTE)["spec"]["routes"]
    try:
        try:
            owner.patch(ROUTE, {"spec": {"routes": with_percent(before, 0)}})
            with Client(facts.shop_url, facts.shop_host, per_s=PER_S, threads=THREADS) as client:
                place = _Place(shop=RealShop(site.running, facts), owner=owner, client=client)
                _measure_pairs(place, ours, bare, say)
        finally:
            owner.patch(ROUTE, {"spec": {"routes": before}})
    except TROUBLES as error:
        raw = [{"belay": ours, "bare": bare}]
        for name in (SEEN, MORE):
            report.add(unmeasured(name, "s", str(error), raw=raw))
        return
    pairs = list(zip(ours, bare, strict=True))
    note = "from the click on Start, with its page, worker, and all that is written down before"
    report.add(compared(SEEN, pairs, "s", limit=None))
    report.add(later(MORE, pairs, "s", limit=LIMIT_S, note=note))


def _measure_pairs(place: _Place, ours: list[float], bare: list[float], say: Say) -> None:
    for number in range(PAIRS):
        sides = [(ours, _by_step(place)), (bare, _by_patch(place.owner))]
        for seconds, way in sides if number % 2 == 0 else reversed(sides):
            seconds.append(_round(place, way))
            name = "belay" if seconds is ours else "bare"
            say(f"pair {number + 1} {name:5}: seen after {seconds[-1]:.3f} s")


def _round(place: _Place, way: Way) -> float:
    """Seconds from the change to the first response of the new half; taken back afterwards."""
    way.prepare()
    _await_legacy_alone(place.client)
    began = time.time()
    try:
        way.hold()
        return wait_until(
            lambda: first_seen(place.client.between(began, math.inf), began),
            within_s=SEEN_WITHIN_S,
            what="a response of the new half",
            every_s=0.05,
        )
    finally:
        way.restore()
        way.finish()


def _await_legacy_alone(client: Client) -> None:
    """For some seconds every response was legacy's: nothing of the round before is still coming."""
    since = time.time()

    def look() -> bool:
        until = time.time()
        return until - since > QUIET_S and legacy_alone(client.between(until - QUIET_S, until))

    wait_until(look, within_s=BACK_WITHIN_S, what="every response is legacy's again", every_s=0.2)


def _by_step(place: _Place) -> Way:
    """A plan with one step, started and turned round by a person at the pages."""
    shop = place.shop

    def start() -> None:
        status = shop.erik.post(f"/steps/{shop.steps[PERCENT]}/start/")
        assert status == 200, f"starting was answered {status}"
        assert shop.live(), f"the step is held:\n{shop.erik.get(f'/plans/{shop.plan}/')[1][-2000:]}"

    def back() -> None:
        if attempt := shop.live():
            shop.vera.post(f"/attempts/{attempt}/back/")

    return Way(
        prepare=lambda: shop.make_plan(PERCENT, watch_s=WATCH_S),
        hold=start,
        restore=back,
        finish=lambda: _await_nothing_live(shop),
    )


def _await_nothing_live(shop: RealShop) -> None:
    wait_until(lambda: shop.live() is None, within_s=BACK_WITHIN_S, what="the step is back")


def _by_patch(owner: Owner) -> Way:
    """What a person would do by hand: one request with the new weights, one with the old."""
    routes = owner.get(ROUTE)["spec"]["routes"]
    new, old = (
        {"spec": {"routes": with_percent(routes, percent)}} for percent in (PERCENT, 0)
    )  # fmt: skip
    return by_requests(lambda: owner.patch(ROUTE, new), lambda: owner.patch(ROUTE, old))


def with_percent(routes: list[Json], percent: int) -> list[Json]:
    """The shop's routes with so much of the traffic on the half in Kubernetes."""
    changed = copy.deepcopy(routes)
    for service in changed[0]["services"]:
        service["weight"] = percent if service["name"] == "shop" else 100 - percent
    return changed


def first_seen(sent: Iterable[Sent], began: float) -> float | None:
    """Seconds from `began` to the first request since then that the new half answered."""
    times = [each.at for each in sent if each.served_by == NEW and each.at >= began]
    return min(times) - began if times else None


def legacy_alone(sent: list[Sent]) -> bool:
    """Whether there were responses, and all of them legacy's."""
    return bool(sent) and all(each.served_by == "legacy" for each in sent)
