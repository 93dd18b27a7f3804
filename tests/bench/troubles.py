"""What can go wrong while measuring, so that one figure's trouble does not cost the others."""

from __future__ import annotations

import subprocess

import psycopg2

from config.stack.errors import StackError
from practice.system import RangeError

TROUBLES = (AssertionError, OSError, subprocess.SubprocessError, psycopg2.Error, StackError,
            RangeError)  # fmt: skip
"""Waited in vain, unreachable, failed or refused. Anything else is a mistake in the bench."""
