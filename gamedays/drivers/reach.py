"""Whether packets get through from Belay's own machine: a look that no guard has a part in."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor

from core import wire
from core.addresses import require_allowed
from gamedays.scenarios.plan import Endpoint

REACH_S = 0.5
"""Per address; all at once. A dropped packet shows only as silence."""


def reached(endpoints: Iterable[Endpoint], *, within_s: float = REACH_S) -> frozenset[Endpoint]:
    """Those to which a packet went and came back: a fresh connection was taken, or refused.

    Nothing is sent on it. What cannot be reached from here anyhow is simply not among them.
    """
    places = sorted(set(endpoints))
    if not places:
        return frozenset()
    with ThreadPoolExecutor(len(places), "reach") as pool:
        answers = pool.map(lambda place: _answers(place, within_s), places)
        return frozenset(place for place, there in zip(places, answers, strict=True) if there)


def _answers(place: Endpoint, within_s: float) -> bool:
    deadline = wire.Deadline(within_s)
    try:
        wire.connect(place.address, place.port, deadline=deadline, check=require_allowed).close()
    except ConnectionRefusedError:
        return True
    except (OSError, wire.AddressRefusedError):
        return False
    return True
