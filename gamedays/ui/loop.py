"""The loop as a picture: seven holds on a round, and the rope between them."""

from __future__ import annotations

import math
from dataclasses import dataclass

from gamedays.selectors.week import LOOP

SIZE = 320
_RADIUS = 104
_LABEL_RADIUS = 132


@dataclass(frozen=True, slots=True)
class Hold:
    """One place, with where its dot and its word stand."""

    key: str
    number: int
    word: str
    meaning: str
    x: float
    y: float
    word_x: float
    word_y: float
    anchor: str
    here: bool


def loop_picture(place: str) -> dict[str, object]:
    """The holds with the current place marked, beginning at the top, clockwise."""
    holds = []
    centre = SIZE / 2
    for position, step in enumerate(LOOP):
        angle = 2 * math.pi * position / len(LOOP) - math.pi / 2
        cos, sin = math.cos(angle), math.sin(angle)
        holds.append(
            Hold(
                key=step.key,
                number=position + 1,
                word=step.word,
                meaning=step.meaning,
                x=round(centre + _RADIUS * cos, 1),
                y=round(centre + _RADIUS * sin, 1),
                word_x=round(centre + _LABEL_RADIUS * cos, 1),
                word_y=round(centre + _LABEL_RADIUS * sin + 5, 1),
                anchor="middle" if abs(cos) < 0.3 else "start" if cos > 0 else "end",
                here=step.key == place,
            )
        )
    return {"size": SIZE, "radius": _RADIUS, "holds": holds}
