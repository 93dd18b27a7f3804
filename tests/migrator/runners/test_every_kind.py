"""What holds for runners of every kind."""

from __future__ import annotations

from migrator.runners.registry import RUNNERS


def test_every_kind_says_what_it_does_and_has_bounds() -> None:
    for key, runner in RUNNERS.items():
        assert runner.key == key
        assert runner.title
        assert runner.summary.endswith(".")
        assert runner.in_words({}) is not None
        for field in runner.fields:
            if field.kind in ("integer", "number"):
                assert field.minimum is not None, (key, field.name)
                assert field.maximum is not None, (key, field.name)
