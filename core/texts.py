"""Words for a length of time, and texts of bounded length.

What a person types is refused in words, never cut in silence; what Belay drafts itself is shortened
where a word ends.
"""

from __future__ import annotations

from core.errors import Invalid

TOO_LONG = "text_too_long"


def complaint_of_length(what: str, text: str, most: int) -> Invalid | None:
    """The refusal of a text with more than `most` characters, code `text_too_long`; None: it fits.

    `what` begins the sentence: "A title". What is around the text is not counted, as it is not
    stored.
    """
    length = len(text.strip())
    if length <= most:
        return None
    return Invalid(f"{what} has at most {most} characters; this one has {length}.", code=TOO_LONG)


def shorten(text: str, most: int) -> str:
    """A text of our own in at most `most` characters, ended at a word, with an ellipsis."""
    text = text.strip()
    if len(text) <= most:
        return text
    head, space, _cut_word = text[:most].rpartition(" ")
    # A single word that is longer than all of the room has no better place to end.
    return f"{(head if space else text[: most - 1]).rstrip(' ,;:–-')}…"


def duration(seconds: float) -> str:
    """`45 s`, `2 min 30 s`, `1 h 5 min`, `7 days`: two units at most."""
    total = round(seconds)
    if total < 60:
        return f"{seconds:.1f} s" if 0 < seconds < 10 and seconds != total else f"{total} s"
    if total < 3600:
        minutes, left = divmod(total, 60)
        return f"{minutes} min {left} s" if left else f"{minutes} min"
    hours, rest = divmod(total, 3600)
    if hours < 48:
        return f"{hours} h {rest // 60} min" if rest >= 60 else f"{hours} h"
    days, left = divmod(hours, 24)
    return f"{days} days {left} h" if left else f"{days} days"
