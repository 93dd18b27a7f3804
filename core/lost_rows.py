"""The database that went away in the middle: one error for it, whatever the driver calls it."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

from django.db import DatabaseError, InterfaceError, OperationalError, connection

P = ParamSpec("P")
R = TypeVar("R")


class RowsLostError(Exception):
    """The database did not answer in time, or lost the connection: what it holds is unknown."""


def with_deadline(method: Callable[P, R]) -> Callable[P, R]:
    """Any sign that the connection is gone becomes `RowsLostError`, and the connection is dropped:
    whether the last statement was committed is then unknown until the row is read again."""

    @wraps(method)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return method(*args, **kwargs)
        except (OperationalError, InterfaceError) as error:
            _drop_connection()
            raise RowsLostError(str(error)) from error
        except DatabaseError as error:
            if connection.connection is not None and not connection.connection.closed:
                raise
            _drop_connection()
            raise RowsLostError(str(error)) from error

    return call


def _drop_connection() -> None:
    try:
        connection.close()
    except (DatabaseError, InterfaceError):
        connection.connection = None
