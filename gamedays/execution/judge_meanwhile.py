"""What became of a pod's successor, where one was ended while the fault was live.

Judged from the ledger: the successor is the first pod after it that its owner made with the same
template. Requests that failed in that time are other lines; the probes see them.
"""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

from gamedays.models import PodRecord

if TYPE_CHECKING:
    from gamedays.models import Injection
    from gamedays.scenarios.plan import Happening

LEAST_S = 15
"""A fault that ends so soon after the deletion left the successor no time to show anything."""
_PULL = ("ErrImagePull", "ImagePullBackOff")
_TITLES = {
    "starts": (
        "A pod that ends meanwhile is replaced while the fault lasts",
        "A pod that ended during the fault was not replaced while it lasted",
    ),
    "waits-for-image": (
        "A pod that cannot pull its image says so, and comes up by itself afterwards",
        "A pod whose image could not be pulled did not behave as believed",
    ),
}


def judge_happening(injection: Injection, happening: Happening) -> dict[str, Any]:
    """One line of the judgement."""
    title, broken_title = _TITLES[happening.belief]
    result, sentence, measured = _look(injection, happening)
    return {
        "key": f"meanwhile:{happening.key}",
        "title": title,
        "broken_title": broken_title,
        "kind": "meanwhile",
        "probe": "",
        "probe_title": "",
        "target": "",
        "bound": {"belief": happening.belief},
        "window": {"from": "bitten", "grace_s": 0, "to": "ended"},
        "measured": measured,
        "result": result,
        "sentence": sentence,
    }


def _look(injection: Injection, happening: Happening) -> tuple[str, str, dict[str, Any]]:
    entry = injection.timeline.filter(data__meanwhile=happening.key).first()
    if entry is None or "done_at" not in entry.data:
        why = entry.data.get("why", "") if entry else "the fault ended before that"
        return "unknown", f"Pod {happening.pod} was not deleted meanwhile: {why}.", {}
    # On the conductor's clock, like every mark of the run.
    began, until = dt.datetime.fromisoformat(entry.data["done_at"]), injection.undo_asked_at
    had_s = (until - began).total_seconds() if until else 0.0
    if until is None or had_s < LEAST_S:
        sentence = (
            f"The fault ended {had_s:.0f} s after pod {happening.pod} was deleted: too soon to "
            "tell. Hold it for longer."
        )
        return "unknown", sentence, {}
    successor = _successor(injection, happening, began)
    gone = f"Pod {happening.pod} was deleted while the fault was live"
    if successor is None:
        return "broke", f"{gone}, and no pod came in its place.", {}
    ready_at = _ready_at(successor)
    measured = {
        "deleted": happening.pod,
        "successor": str(successor),
        "node": successor.node,
        "reason": successor.worst_reason,
        "ready_after_s": round((ready_at - began).total_seconds(), 1) if ready_at else None,
    }
    judge = _starts if happening.belief == "starts" else _waits
    result, sentence = judge(successor, ready_at, began, until)
    return result, f"{gone}. {sentence}", measured


def _starts(
    successor: PodRecord, ready_at: dt.datetime | None, began: dt.datetime, until: dt.datetime
) -> tuple[str, str]:
    if ready_at is not None and ready_at < until:
        after_s = max(0.0, (ready_at - began).total_seconds())
        return "held", f"Its successor {successor} was ready {after_s:.0f} s later."
    because = f" ({successor.worst_reason})" if successor.worst_reason else ""
    return "broke", (
        f"Its successor {successor} was not ready before the fault ended{because}, and "
        f"{_came_back(ready_at, until)}."
    )


def _waits(
    successor: PodRecord, ready_at: dt.datetime | None, began: dt.datetime, until: dt.datetime
) -> tuple[str, str]:
    if ready_at is not None and ready_at < until:
        return "broke", (
            f"Its successor {successor} started all the same: its image did not have to be pulled, "
            "or could be."
        )
    if successor.worst_reason not in _PULL:
        shown = successor.worst_reason or "no reason"
        return "broke", (
            f"Its successor {successor} could not start and said {shown}, nothing of its image; "
            f"it {_came_back(ready_at, until)}."
        )
    said = f"Its successor {successor} said {successor.worst_reason}, and "
    if ready_at is None:
        return "broke", f"{said}{_came_back(None, until)}."
    return "held", f"{said}{_came_back(ready_at, until)}."


def _came_back(ready_at: dt.datetime | None, until: dt.datetime) -> str:
    if ready_at is None:
        return "was not ready at the end of the watch"
    return f"was ready {(ready_at - until).total_seconds():.0f} s after the undo was asked for"


def _successor(injection: Injection, happening: Happening, began: dt.datetime) -> PodRecord | None:
    # A Deployment's pods are called <deployment>-<hash of the template>-<random>.
    kin = happening.target.name.rpartition("-")[0]
    return (
        PodRecord.objects.filter(
            injection=injection,
            namespace=happening.target.namespace,
            name__startswith=f"{kin}-",
            existed_before=False,
            first_seen_at__gte=began,
        )
        .order_by("first_seen_at", "name")
        .first()
    )


def _ready_at(pod: PodRecord) -> dt.datetime | None:
    """Since when it is ready, as the API showed it; None: it was not at the end."""
    if pod.gone_at is not None or not pod.ready:
        return None
    return pod.last_unready_at or pod.first_seen_at
