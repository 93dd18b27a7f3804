"""What is too long is refused with its length; what we drafted ourselves ends at a word."""

from __future__ import annotations

import pytest

from core.texts import complaint_of_length, shorten


def test_a_text_that_is_too_long_is_told_by_how_much() -> None:
    assert complaint_of_length("A title", f"  {'x' * 20}  ", 20) is None
    refused = complaint_of_length("A title", "x" * 21, 20)
    assert refused is not None
    assert refused.code == "text_too_long"
    assert refused.message == "A title has at most 20 characters; this one has 21."


@pytest.mark.parametrize(
    ("text", "short"),
    [
        ("API reads fail", "API reads fail"),
        ("API reads fail while", "API reads fail while"),
        ("API reads fail while etcd is away", "API reads fail…"),
        ("Most reads fail – soon again", "Most reads fail…"),
        ("x" * 21, "x" * 19 + "…"),
        ("  padded  ", "padded"),
    ],
)
def test_a_title_of_our_own_ends_at_a_word(text: str, short: str) -> None:
    assert shorten(text, 20) == short
    assert len(shorten(text, 20)) <= 20
