"""Sets the number of replicas of a workload, and waits until they are ready."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Any

from core.fields import Field
from migrator.runners import objects
from migrator.runners.base import (
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


class Scale(Runner):
    key = "scale"
    title = "Scale a workload"
    summary = "Sets the replicas of a Deployment or StatefulSet, and waits until they are ready."
    icon = "hexagons"
    settle_s = 300.0
    fields = (
        Field(
            name="kind",
            label="Kind",
            kind="choice",
            default="Deployment",
            choices=(("Deployment", "Deployment"), ("StatefulSet", "StatefulSet")),
        ),
        NAMESPACE,
        object_name("name", "Workload"),
        Field(name="replicas", label="Replicas", kind="integer", minimum=0, maximum=1000),
        Field(
            name="ready_s",
            label="Ready within",
            kind="integer",
            default="300",
            minimum=10,
            maximum=7200,
            unit="seconds",
        ),
        EVEN_GITOPS,
    )

    def in_words(self, parameters: Mapping[str, Any]) -> str:
        where = f"{parameters.get('namespace')}/{parameters.get('name')}"
        return f"{parameters.get('kind')} {where} to {parameters.get('replicas')} replicas"

    def prepare(self, order: Order, hands: Hands) -> Prepared:
        kind, found = _kind(order), self._require(order, hands)
        overridden = order.parameters.get("even_gitops") == "allow"
        objects.require_not_gitops({"kind": kind, **found}, overridden=overridden)
        former, wanted = _replicas(found), _wanted(order)
        _require_no_autoscaler(order, hands)
        if former != wanted:
            objects.patch(hands.api, kind, found, {"spec": {"replicas": wanted}}, dry_run=True)
        before: Object = {
            "uid": found["metadata"]["uid"],
            "replicas": former,
            "fingerprint": objects.essence(found),
        }
        return Prepared(
            before=before,
            diff=[f"{self._what(order)}: {former} → {wanted} replicas"],
            changes=former != wanted,
        )

    def change(self, order: Order, before: Mapping[str, Any], hands: Hands) -> None:
        self._set(order, before, hands, _wanted(order), instead_of=before["replicas"])

    def undo(self, order: Order, before: Mapping[str, Any], hands: Hands) -> None:
        self._set(order, before, hands, int(before["replicas"]), instead_of=_wanted(order))

    def stand(self, order: Order, before: Mapping[str, Any], hands: Hands) -> Stand:
        found = objects.read(hands.api, _kind(order), *_place(order))
        if found is None or found["metadata"]["uid"] != before["uid"]:
            return Stand.FOREIGN
        now = _replicas(found)
        if now == _wanted(order):
            return Stand.OURS
        return Stand.ORIGINAL if now == before["replicas"] else Stand.FOREIGN

    def is_back(self, order: Order, before: Mapping[str, Any], hands: Hands) -> bool:
        found = objects.read(hands.api, _kind(order), *_place(order))
        return (
            found is not None
            and found["metadata"]["uid"] == before["uid"]
            and _replicas(found) == before["replicas"]
        )

    def outdate(self, order: Order, before: Mapping[str, Any], hands: Hands) -> None:
        found = objects.read(hands.api, _kind(order), *_place(order))
        if found is not None:
            objects.outdate(hands.api, _kind(order), found)

    def fingerprint(self, order: Order, before: Mapping[str, Any], hands: Hands) -> Object:
        return objects.essence(objects.read(hands.api, _kind(order), *_place(order)))

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
        found = self._require(order, hands)
        if _replicas(found) != _wanted(order):
            return Look(
                judged=Judged.BROKE,
                sentence=f"Somebody else set {self._what(order)} to {_replicas(found)} replicas.",
            )
        ready, how_far = objects.rolled_out(found)
        if ready:
            return Look(judged=Judged.PASSED, sentence=f"{self._what(order)}: {how_far}.")
        if stood_s > int(order.parameters.get("ready_s", 300)):
            return Look(
                judged=Judged.BROKE,
                sentence=f"{self._what(order)} was not ready within "
                f"{order.parameters.get('ready_s', 300)} s: {how_far}.",
            )
        return Look(judged=Judged.WAIT, sentence=f"{self._what(order)}: {how_far}.", again_s=3.0)

    def _require(self, order: Order, hands: Hands) -> Object:
        return objects.require(hands.api, _kind(order), *_place(order))

    def _set(
        self,
        order: Order,
        before: Mapping[str, Any],
        hands: Hands,
        to: int,
        *,
        instead_of: int,
    ) -> None:
        found = objects.read(hands.api, _kind(order), *_place(order))
        if found is None or found["metadata"]["uid"] != before["uid"]:
            raise ForeignChangeError(
                f"{self._what(order)} was removed or made anew since. Look at it, then go on.",
                wrote=True,
            )
        if _replicas(found) == to:
            return
        if _replicas(found) != instead_of:
            raise ForeignChangeError(
                f"Somebody else set {self._what(order)} to {_replicas(found)} replicas. Theirs is "
                "left as it is: agree with them which number is meant, and set it."
            )
        objects.patch(hands.api, _kind(order), found, {"spec": {"replicas": to}})

    def _what(self, order: Order) -> str:
        return f"{_kind(order)} {'/'.join(_place(order))}"


def _require_no_autoscaler(order: Order, hands: Hands) -> None:
    namespace, name = _place(order)
    answer = hands.api.ask(
        "GET", f"/apis/autoscaling/v2/namespaces/{namespace}/horizontalpodautoscalers"
    )
    # Where Belay may not list autoscalers, a step that one of them overrules is seen when it is
    # judged: its replicas are another number then.
    for each in answer.document.get("items", []) if answer.status == 200 else []:
        target = (each.get("spec") or {}).get("scaleTargetRef") or {}
        if (target.get("kind"), target.get("name")) == (_kind(order), name):
            raise StepRefusedError(
                f"HorizontalPodAutoscaler {each['metadata']['name']} sets the replicas of "
                f"{_kind(order)} {namespace}/{name}, and would overrule this step. Change the "
                "autoscaler instead.",
                code="autoscaled",
            )


def _kind(order: Order) -> str:
    return str(order.parameters["kind"])


def _place(order: Order) -> tuple[str, str]:
    return str(order.parameters["namespace"]), str(order.parameters["name"])


def _wanted(order: Order) -> int:
    return int(order.parameters["replicas"])


def _replicas(found: Object) -> int:
    return int(found["spec"].get("replicas", 1))
