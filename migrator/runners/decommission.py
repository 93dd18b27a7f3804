"""Lets go of the legacy half: only after it was measured to get no request for the hold-off.

Belay does not switch the legacy machine off: people do, from a list, after the silence was proved.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Any

from core.fields import Field
from core.texts import duration
from migrator.runners import objects, weights
from migrator.runners.base import (
    FiguresMissingError,
    Hands,
    Judged,
    Look,
    Object,
    Order,
    Prepared,
    Runner,
    Stand,
    StepRefusedError,
)
from migrator.runners.manual import items_of
from migrator.runners.names import NAMESPACE, object_name
from migrator.runners.traffic import halves_of


class Decommission(Runner):
    key = "decommission"
    title = "Decommission legacy"
    summary = "Measures that legacy gets no request for the hold-off; then people switch it off."
    icon = "server-off"
    touches_cluster = False
    returns_by_itself = False
    can_rehearse = False
    may_be_way_back = False
    ticks_at_once = False
    unknown_s = 3600.0
    fields = (
        NAMESPACE,
        object_name("route", "HTTPProxy", placeholder="shop"),
        object_name("legacy_service", "Legacy service", placeholder="shop-legacy"),
        object_name("kubernetes_service", "Kubernetes service", placeholder="shop"),
        Field(
            name="hold_off_s",
            label="Legacy silent for",
            kind="integer",
            default="86400",
            minimum=10,
            maximum=90 * 86400,
            unit="seconds",
        ),
        Field(
            name="items",
            label="What is switched off then",
            kind="lines",
            longest=4000,
            help="One item a line. It is shown, and can be ticked, once the silence is proved.",
        ),
    )

    def in_words(self, parameters: Mapping[str, Any]) -> str:
        return (
            f"{parameters.get('legacy_service')} gets no request for "
            f"{duration(int(parameters.get('hold_off_s', 0)))}; then "
            f"{len(items_of(parameters))} things are switched off"
        )

    def prepare(self, order: Order, hands: Hands) -> Prepared:
        found = objects.require(
            hands.api, "HTTPProxy", str(order.parameters["namespace"]), _route(order)
        )
        halves = halves_of(order.parameters)
        percent = weights.percent_of(weights.shares(found, halves), halves)
        if percent < weights.WHOLE:
            raise StepRefusedError(
                f"Legacy still has {weights.WHOLE - percent}% of the requests of HTTPProxy "
                f"{_route(order)}. Move all of them first.",
                code="legacy_in_use",
            )
        if hands.envoys.count == 0:
            raise StepRefusedError(
                "Nobody has said where this cluster's Envoys tell their figures, so silence could "
                "not be measured. A lead names them on the cluster's page.",
                code="no_envoys",
            )
        before: Object = {
            "fingerprint": {},
            # Those of routes that name legacy alone, too: it is silent when nobody asks it at all.
            "ports": weights.every_port(found, halves.legacy),
        }
        diff = [f"Then: {item}" for item in items_of(order.parameters)]
        return Prepared(before=before, diff=["Measure that legacy is silent.", *diff])

    def change(self, order: Order, before: Mapping[str, Any], hands: Hands) -> None:
        """People switch it off, once they may."""

    def stand(self, order: Order, before: Mapping[str, Any], hands: Hands) -> Stand:
        return Stand.OURS

    def is_back(self, order: Order, before: Mapping[str, Any], hands: Hands) -> bool:
        return not hands.ticks.ticked("do")

    def why_no_restore(self, parameters: Mapping[str, Any]) -> str:
        return (
            "what was switched off cannot be put back from what Belay wrote down. Choose a "
            "checklist, or make the step one way"
        )

    def undo(self, order: Order, before: Mapping[str, Any], hands: Hands) -> None:
        """Nothing of ours was changed."""

    def fingerprint(self, order: Order, before: Mapping[str, Any], hands: Hands) -> Object:
        return {}

    def judge(
        self,
        order: Order,
        before: Mapping[str, Any],
        memory: Mapping[str, Any],
        hands: Hands,
        *,
        stood_s: float,
        now: dt.datetime,
    ) -> Look:
        name = f"{order.parameters['namespace']}_{order.parameters['legacy_service']}"
        upstreams = [f"{name}_{port}" for port in before["ports"]]
        try:
            read = hands.envoys.read(upstreams)
        except FiguresMissingError as error:
            kept = {key: value for key, value in memory.items() if key != "unknown_since"}
            return Look(
                judged=Judged.UNKNOWN, sentence=f"Unknown: {error}", memory=kept, again_s=10.0
            )
        seen = {
            envoy: sum(figures[f"completed:{each}"] for each in upstreams)
            for envoy, figures in read.items()
        }
        at = now.timestamp()
        since = float(memory.get("silent_since", at))
        why = _broken(memory, seen)
        if why:
            since = at
        kept = {"seen": seen, "silent_since": since}
        left_s = int(order.parameters["hold_off_s"]) - (at - since)
        if left_s > 0:
            told = f"{why} It begins anew. " if why else ""
            return Look(
                judged=Judged.WAIT,
                sentence=f"{told}Legacy has been silent for {at - since:.0f} s; "
                f"{left_s:.0f} s more are needed.",
                memory=kept,
                again_s=min(30.0, max(1.0, left_s)),
            )
        number, ticked = len(items_of(order.parameters)), len(hands.ticks.ticked("do"))
        proved = f"Legacy got no request for {at - since:.0f} s."
        if ticked < number:
            return Look(
                judged=Judged.WAIT,
                sentence=f"{proved} Switch it off: {ticked} of {number} things are ticked.",
                memory=kept,
                figures={"may_tick": True},
                again_s=30.0,
            )
        return Look(judged=Judged.PASSED, sentence=f"{proved} All of it is switched off.")


def _broken(memory: Mapping[str, Any], seen: Mapping[str, int]) -> str:
    """Why the silence cannot be said to have lasted; empty: nothing was counted since."""
    former: Mapping[str, int] = memory.get("seen") or {}
    if not former:
        return ""
    if set(former) != set(seen):
        return "Other Envoys are asked than before."
    grown = sum(max(0, seen[envoy] - former[envoy]) for envoy in seen)
    if grown:
        return f"Legacy got {grown} more requests."
    if any(seen[envoy] < former[envoy] for envoy in seen):
        return "An Envoy was started anew, and what it counted before is lost."
    # A gap between two looks hides nothing: the counters went on while nobody read them.
    return ""


def _route(order: Order) -> str:
    return str(order.parameters["route"])
