"""A checklist for what only people can do, with who ticked what."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Any, ClassVar

from core.fields import Field
from migrator.runners.base import Hands, Judged, Look, Object, Order, Prepared, Runner, Stand

_ITEMS_MAX = 40


def items_of(parameters: Mapping[str, Any], field: str = "items") -> list[str]:
    """The items of a checklist, one a line."""
    return [line.strip() for line in str(parameters.get(field, "")).splitlines() if line.strip()]


def _require_items(text: str) -> None:
    number = len([line for line in text.splitlines() if line.strip()])
    if number > _ITEMS_MAX:
        raise ValueError(f"at most {_ITEMS_MAX} items, one a line; these are {number}.")


class Manual(Runner):
    key = "manual"
    title = "Checklist"
    summary = "People do it, and tick what they did."
    icon = "list-check"
    touches_cluster: ClassVar[bool] = False
    returns_by_itself: ClassVar[bool] = False
    return_s: ClassVar[float] = 86400.0
    return_again_s: ClassVar[float] = 600.0
    """A tick makes the row due at once."""
    fields = (
        Field(
            name="items",
            label="What is to be done",
            kind="lines",
            longest=4000,
            check=_require_items,
            help="One item a line.",
        ),
        Field(
            name="back_items",
            label="What undoes it",
            kind="lines",
            longest=4000,
            required=False,
            check=_require_items,
            help="One item a line. It is asked for when this step is turned round or rolled back.",
        ),
    )

    def in_words(self, parameters: Mapping[str, Any]) -> str:
        items = items_of(parameters)
        return f"{len(items)} things to do: " + "; ".join(items)[:160]

    def prepare(self, order: Order, hands: Hands) -> Prepared:
        items = items_of(order.parameters)
        return Prepared(before={"fingerprint": {}, "items": items}, diff=items)

    def change(self, order: Order, before: Mapping[str, Any], hands: Hands) -> None:
        """People do it; here nothing is done."""

    def stand(self, order: Order, before: Mapping[str, Any], hands: Hands) -> Stand:
        return Stand.OURS  # what people did cannot be seen; what they ticked is judged

    def is_back(self, order: Order, before: Mapping[str, Any], hands: Hands) -> bool:
        if not order.going_back and not hands.ticks.ticked("do"):
            return True  # nobody did anything yet
        undo = items_of(order.parameters, "back_items")
        return hands.ticks.ticked("back") >= set(range(len(undo)))

    def why_no_restore(self, parameters: Mapping[str, Any]) -> str:
        if items_of(parameters, "back_items"):
            return ""
        return "the checklist does not say what undoes it: write that down too"

    def undo(self, order: Order, before: Mapping[str, Any], hands: Hands) -> None:
        """People do it; `stand` sees that they ticked it."""

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
        number = len(items_of(order.parameters))
        ticked = len(hands.ticks.ticked("do"))
        if ticked >= number:
            return Look(judged=Judged.PASSED, sentence=f"All {number} things are ticked.")
        return Look(
            judged=Judged.WAIT,
            sentence=f"{ticked} of {number} things are ticked.",
            again_s=self.return_again_s,
        )
