"""Shifts a share of real requests between the legacy and the Kubernetes half of a service.

Contour's HTTPProxy carries both halves with a weight each. What the step is worth is told by
Envoy's own count of the requests that each half answered: not by a probe, and not by a guess. Too
few requests, or an Envoy that does not tell, is *unknown*: it waits, and then goes back.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Any

from core.fields import Field, Value
from core.texts import duration
from migrator.runners import objects, weights
from migrator.runners.base import (
    Figures,
    FiguresMissingError,
    ForeignChangeError,
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
from migrator.runners.names import EVEN_GITOPS, NAMESPACE, object_name

_KIND = "HTTPProxy"


class Traffic(Runner):
    key = "traffic"
    title = "Shift traffic"
    summary = "Gives the Kubernetes half a share of the requests, and judges it by Envoy's figures."
    icon = "route"
    fields = (
        NAMESPACE,
        object_name("route", "HTTPProxy", placeholder="shop"),
        object_name("legacy_service", "Legacy service", placeholder="shop-legacy"),
        object_name("kubernetes_service", "Kubernetes service", placeholder="shop"),
        Field(
            name="percent",
            label="Share for Kubernetes",
            kind="integer",
            minimum=0,
            maximum=100,
            unit="%",
        ),
        Field(
            name="watch_s",
            label="Watch it for",
            kind="integer",
            default="300",
            minimum=5,
            maximum=3600,
            unit="seconds",
            help="A conductor holds the step all this time. A longer soak is an observe step.",
        ),
        Field(
            name="least_requests",
            label="Judge after at least",
            kind="integer",
            default="50",
            minimum=1,
            maximum=1_000_000,
            unit="requests",
            help="Fewer are unknown, and unknown is never good.",
        ),
        Field(
            name="most_errors_percent",
            label="Go back above",
            kind="number",
            default="1",
            minimum=0,
            maximum=50,
            unit="% server errors",
        ),
        Field(
            name="unknown_s",
            label="Go back when unknown for",
            kind="integer",
            default="120",
            minimum=5,
            maximum=3600,
            unit="seconds",
        ),
        EVEN_GITOPS,
    )

    def check_together(self, values: dict[str, Value]) -> dict[str, str]:
        if "legacy_service" in values and values["legacy_service"] == values.get(
            "kubernetes_service"
        ):
            return {"kubernetes_service": "Kubernetes service: both halves have the same name."}
        return {}

    def unknown_for(self, parameters: Mapping[str, Any]) -> float:
        return float(parameters.get("unknown_s", self.unknown_s))

    def in_words(self, parameters: Mapping[str, Any]) -> str:
        return (
            f"{parameters.get('percent')}% of the requests of HTTPProxy "
            f"{parameters.get('namespace')}/{parameters.get('route')} to "
            f"{parameters.get('kubernetes_service')}, watched for "
            f"{duration(int(parameters.get('watch_s', 0)))}"
        )

    def prepare(self, order: Order, hands: Hands) -> Prepared:
        halves, percent = _halves(order), _percent(order)
        found = self._require(order, hands)
        overridden = order.parameters.get("even_gitops") == "allow"
        objects.require_not_gitops({"kind": _KIND, **found}, overridden=overridden)
        shares = weights.shares(found, halves)
        former = weights.percent_of(shares, halves)
        exposes = percent > former and not order.going_back
        ours = weights.wanted(halves, percent)
        figures = self._figures(found, halves, order, hands) if exposes else {}
        if former != percent:
            self._patch(found, dict.fromkeys(shares, ours), hands, dry_run=True)
        before: Object = {
            "uid": found["metadata"]["uid"],
            "resourceVersion": found["metadata"]["resourceVersion"],
            "shares": shares,
            "percent": former,
            "ports": weights.ports(found, halves),
            "figures": figures,
            "fingerprint": objects.essence(found),
        }
        name = f"{order.parameters['namespace']}/{order.parameters['route']}"
        diff = [
            f"HTTPProxy {name}: {halves.kubernetes} {former}% → {percent}%",
            f"HTTPProxy {name}: {halves.legacy} {100 - former}% → {100 - percent}%",
        ]
        if former == percent:
            diff = [f"HTTPProxy {name}: {halves.kubernetes} has {percent}% already"]
        return Prepared(before=before, diff=diff, exposes=exposes, changes=former != percent)

    def change(self, order: Order, before: Mapping[str, Any], hands: Hands) -> None:
        ours = weights.wanted(_halves(order), _percent(order))
        found = self._same_object(order, before, hands)
        stand = weights.standing(found, before["shares"], ours)
        if stand is Stand.OURS or before["percent"] == _percent(order):
            return
        if stand is Stand.FOREIGN:
            raise ForeignChangeError(_FOREIGN.format(self._name(order)))
        self._patch(found, dict.fromkeys(before["shares"], ours), hands)

    def stand(self, order: Order, before: Mapping[str, Any], hands: Hands) -> Stand:
        found = objects.read(hands.api, _KIND, order.parameters["namespace"], self._route(order))
        if found is not None and found["metadata"]["uid"] != before["uid"]:
            return Stand.FOREIGN
        ours = weights.wanted(_halves(order), _percent(order))
        stand = weights.standing(found, before["shares"], ours)
        if stand is Stand.ORIGINAL and before["percent"] == _percent(order):
            return Stand.OURS  # nothing was to be moved: what stood there is what was asked for
        return stand

    def is_back(self, order: Order, before: Mapping[str, Any], hands: Hands) -> bool:
        # Where nothing was to be moved both stand at once; what counts here is what was.
        found = objects.read(hands.api, _KIND, order.parameters["namespace"], self._route(order))
        if found is None or found["metadata"]["uid"] != before["uid"]:
            return False
        return weights.standing(found, before["shares"], before["shares"]) is Stand.ORIGINAL

    def returns_alone(self, order: Order, before: Mapping[str, Any]) -> bool:
        # The former state of a step that took share away shows more users what did no good.
        return _percent(order) >= int(before["percent"])

    def undo(self, order: Order, before: Mapping[str, Any], hands: Hands) -> None:
        ours = weights.wanted(_halves(order), _percent(order))
        found = self._same_object(order, before, hands)
        stand = weights.standing(found, before["shares"], ours)
        if stand is Stand.FOREIGN:
            raise ForeignChangeError(_FOREIGN.format(self._name(order)), wrote=True)
        if stand is Stand.OURS:
            self._patch(found, before["shares"], hands)

    def outdate(self, order: Order, before: Mapping[str, Any], hands: Hands) -> None:
        objects.outdate(hands.api, _KIND, self._same_object(order, before, hands))

    def fingerprint(self, order: Order, before: Mapping[str, Any], hands: Hands) -> Object:
        found = objects.read(hands.api, _KIND, order.parameters["namespace"], self._route(order))
        return objects.essence(found)

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
        if self.stand(order, before, hands) is not Stand.OURS:
            return Look(judged=Judged.BROKE, sentence=_FOREIGN.format(self._name(order)))
        names = self._upstreams(order, before)
        try:
            read = hands.envoys.read(names.values())
        except FiguresMissingError as error:
            return Look(
                judged=Judged.UNKNOWN,
                sentence=f"Unknown: {error}",
                # The counters go on while nobody reads them: the next look misses nothing.
                memory=dict(memory),
            )
        counted = _add_up(memory or {"last": before.get("figures") or {}}, read)
        return _judged(order, names, counted, stood_s)

    # -- helpers ----------------------------------------------------------------------------------

    def _require(self, order: Order, hands: Hands) -> Object:
        namespace = str(order.parameters["namespace"])
        return objects.require(hands.api, _KIND, namespace, self._route(order))

    def _same_object(self, order: Order, before: Mapping[str, Any], hands: Hands) -> Object:
        namespace = str(order.parameters["namespace"])
        found = objects.read(hands.api, _KIND, namespace, self._route(order))
        if found is None or found["metadata"]["uid"] != before["uid"]:
            raise ForeignChangeError(
                f"HTTPProxy {self._name(order)} was removed or made anew since. What it was is "
                "written down in this step; put it back by hand, then go on.",
                wrote=True,
            )
        return found

    def _patch(
        self,
        found: Object,
        shares: Mapping[str, Mapping[str, Any]],
        hands: Hands,
        *,
        dry_run: bool = False,
    ) -> None:
        change = {"spec": {"routes": weights.routes_with(found, shares)}}
        objects.patch(hands.api, _KIND, found, change, dry_run=dry_run)

    def _figures(
        self, found: Object, halves: weights.Halves, order: Order, hands: Hands
    ) -> Figures:
        """From these it is counted. What could never be judged is not begun."""
        if hands.envoys.count == 0:
            raise StepRefusedError(
                "Nobody has said where this cluster's Envoys tell their figures, so nothing could "
                "be judged. A lead names them on the cluster's page.",
                code="no_envoys",
            )
        ports = weights.ports(found, halves)
        names = [_upstream(order, name, ports[name]) for name in ports]
        try:
            return hands.envoys.read(names)
        except FiguresMissingError as error:
            raise StepRefusedError(
                f"The requests cannot be counted now, so nothing could be judged: {error} Nothing "
                "was changed.",
                code="figures_missing",
            ) from error

    def _upstreams(self, order: Order, before: Mapping[str, Any]) -> dict[str, str]:
        halves = _halves(order)
        return {
            half: _upstream(order, name, before["ports"][name])
            for half, name in (("legacy", halves.legacy), ("kubernetes", halves.kubernetes))
        }

    @staticmethod
    def _route(order: Order) -> str:
        return str(order.parameters["route"])

    def _name(self, order: Order) -> str:
        return f"{order.parameters['namespace']}/{self._route(order)}"


_FOREIGN = (
    "Somebody else changed the weights of HTTPProxy {0} since. Theirs are left as they are: look "
    "at the route, agree with whoever changed it, and set the weights that are meant."
)


def halves_of(parameters: Mapping[str, Any]) -> weights.Halves:
    """The two services that a traffic step moves requests between."""
    return weights.Halves(
        legacy=str(parameters["legacy_service"]),
        kubernetes=str(parameters["kubernetes_service"]),
    )


def _halves(order: Order) -> weights.Halves:
    return halves_of(order.parameters)


def _percent(order: Order) -> int:
    return int(order.parameters["percent"])


def _upstream(order: Order, service: str, port: int) -> str:
    """The name under which Envoy counts a service's requests, as Contour configures it."""
    return f"{order.parameters['namespace']}_{service}_{port}"


def _add_up(memory: Mapping[str, Any], read: Figures) -> Object:
    """What was counted since the first look, over all Envoys.

    Each one's figures are compared with those of the look before: a counter that fell belongs to
    an Envoy that was started anew, and all that it tells came since.
    """
    last: dict[str, dict[str, int]] = dict(memory.get("last") or {})
    totals: dict[str, int] = dict(memory.get("totals") or {})
    for envoy, figures in read.items():
        former = last.get(envoy)
        for name, value in figures.items():
            if former is None:
                # Seen for the first time: what it counted before this step is not this step's.
                grown = 0
            else:
                grown = value - former[name] if value >= former.get(name, 0) else value
            totals[name] = totals.get(name, 0) + grown
        last[envoy] = dict(figures)
    return {"last": last, "totals": totals}


def _judged(order: Order, names: Mapping[str, str], counted: Object, stood_s: float) -> Look:
    totals: Mapping[str, int] = counted["totals"]
    figures = {
        half: {
            "requests": totals.get(f"completed:{name}", 0),
            "errors": totals.get(f"failed:{name}", 0),
        }
        for half, name in names.items()
    }
    half = "kubernetes" if _percent(order) else "legacy"
    requests, errors = figures[half]["requests"], figures[half]["errors"]
    least = int(order.parameters.get("least_requests", 1))
    bound = float(order.parameters.get("most_errors_percent", 0)) / 100
    watch_s = int(order.parameters.get("watch_s", 0))
    told = f"{requests} requests on {half.capitalize()}, {errors} server errors"

    def look(judged: Judged, sentence: str) -> Look:
        return Look(judged=judged, sentence=sentence, memory=counted, figures=figures)

    # More errors than all the requests that are judged at least may have: no further request can
    # bring the share below the bound in time.
    if errors > bound * max(requests, least):
        return look(
            Judged.BROKE,
            f"{told}: more than {bound * 100:g}% of at least {least} requests fail.",
        )
    if order.going_back:
        return look(Judged.PASSED, f"The weights are set. {told} since.")
    left_s = watch_s - stood_s
    if left_s > 0:
        return look(Judged.WAIT, f"{told}. Watched for {left_s:.0f} s more.")
    if requests < least:
        return look(Judged.UNKNOWN, f"{told}: fewer than {least}, so nothing can be said.")
    return look(Judged.PASSED, f"{told}, within the bound of {bound * 100:g}%.")
