"""Waits for a change that is made elsewhere, or for time to pass: nothing is touched here."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Any

from core.fields import Field, Value
from core.texts import duration
from migrator.runners import checks
from migrator.runners.base import Hands, Judged, Look, Object, Order, Prepared, Runner, Stand

_FIELD = checks.CHECKS["field"]
_WATCHED = ("kind", "namespace", "name", "path", "value")


class Observe(Runner):
    key = "observe"
    title = "Observe"
    summary = "Waits for a change made elsewhere (a merge), or soaks: nothing is touched."
    icon = "eye"
    touches_cluster = False
    returns_by_itself = False
    can_rehearse = False
    needs_rehearsal = False
    unknown_s = 3600.0
    fields = (
        Field(
            name="link",
            label="Link to the change",
            kind="url",
            required=False,
            placeholder="https://git.example/shop/pull/12",
        ),
        Field(
            name="revert_link",
            label="Link to its revert",
            kind="url",
            required=False,
            help="What is opened to take it back; the check of the way back sees that it was.",
        ),
        *(
            Field(
                name=each.name,
                label=f"Wait for: {each.label.lower()}",
                kind=each.kind,
                required=False,
                choices=(("", "nothing, only soak"), *each.choices) if each.choices else (),
                check=each.check,
                longest=each.longest,
                placeholder=each.placeholder,
            )
            for each in _FIELD.fields
        ),
        Field(
            name="soak_s",
            label="Then soak for",
            kind="integer",
            default="0",
            minimum=0,
            maximum=90 * 86400,
            unit="seconds",
        ),
        Field(
            name="wait_s",
            label="Wait at most",
            kind="integer",
            default="86400",
            minimum=10,
            maximum=90 * 86400,
            unit="seconds",
            help="Afterwards a person is asked.",
        ),
    )

    def check_together(self, values: dict[str, Value]) -> dict[str, str]:
        given = [name for name in _WATCHED if name in values]
        if given and len(given) < len(_WATCHED):
            return {
                name: "To wait for a field, all of kind, namespace, name, field and value are "
                "needed."
                for name in _WATCHED
                if name not in values
            }
        if not given and not values.get("soak_s"):
            return {"soak_s": "Then soak for: say how long, or which field is waited for."}
        return {}

    def in_words(self, parameters: Mapping[str, Any]) -> str:
        parts = [parameters["link"]] if parameters.get("link") else []
        if _waits(parameters):
            parts.append("until " + _FIELD.in_words(parameters))
        if parameters.get("soak_s"):
            parts.append(f"soak for {duration(int(parameters['soak_s']))}")
        return ", ".join(str(part) for part in parts)

    def prepare(self, order: Order, hands: Hands) -> Prepared:
        return Prepared(before={"fingerprint": {}, "observed": True}, diff=["Nothing is touched."])

    def change(self, order: Order, before: Mapping[str, Any], hands: Hands) -> None:
        """It is made elsewhere."""

    def stand(self, order: Order, before: Mapping[str, Any], hands: Hands) -> Stand:
        return Stand.OURS

    def is_back(self, order: Order, before: Mapping[str, Any], hands: Hands) -> bool:
        return True  # nothing of ours stands; the check of the way back sees the revert

    def undo(self, order: Order, before: Mapping[str, Any], hands: Hands) -> None:
        """It is reverted elsewhere."""

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
        parameters, seen = order.parameters, dict(memory)
        seen.pop("unknown_since", None)
        if _waits(parameters):
            checked = checks.look("field", parameters, hands)
            if checked.passed is None:
                return Look(
                    judged=Judged.UNKNOWN, sentence=checked.sentence, memory=seen, again_s=10.0
                )
            if not checked.passed:
                # What went away during the soak begins it anew.
                late = stood_s > int(parameters.get("wait_s", 86400))
                return Look(
                    judged=Judged.BROKE if late else Judged.WAIT,
                    sentence=f"Waiting: {checked.sentence}",
                    again_s=5.0,
                )
        since = float(seen.setdefault("true_since", now.timestamp()))
        left_s = int(parameters.get("soak_s", 0)) - (now.timestamp() - since)
        if left_s > 0:
            return Look(
                judged=Judged.WAIT,
                sentence=f"Soaking for {duration(round(left_s))} more.",
                memory=seen,
                again_s=min(60.0, max(1.0, left_s)),
            )
        return Look(judged=Judged.PASSED, sentence="It is as wanted.", memory=seen)


def _waits(parameters: Mapping[str, Any]) -> bool:
    return bool(parameters.get("path"))
