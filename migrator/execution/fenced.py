"""The cluster's API in the hands of whoever holds the lease, and of nobody else."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from migrator.runners.base import Answered, Api


class LeaseLostError(Exception):
    """Somebody took over in the middle: from here on nothing is asked and nothing is written."""


class FencedApi:
    """`Api` of the runners. `prove` says whether the lease is still ours, and renews it: every
    real write asks it anew, so that a process that was stopped in the middle of a step writes
    nothing when it goes on; reads keep a lease alive that a long manifest would outlast."""

    def __init__(self, api: Api, prove: Callable[[bool], bool]) -> None:
        self._api, self._prove = api, prove

    def ask(
        self,
        method: str,
        path: str,
        body: object | None = None,
        *,
        content_type: str = "application/json",
    ) -> Answered:
        writes = method != "GET" and "dryRun=All" not in path
        if not self._prove(writes):
            raise LeaseLostError
        return self._api.ask(method, path, body, content_type=content_type)
