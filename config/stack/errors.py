"""What stops the stack from starting, in one sentence for the person at the terminal."""

from __future__ import annotations


class StackError(Exception):
    """The message is one sentence: what is missing or wrong, and what to do."""
