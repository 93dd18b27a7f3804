"""Which pages of migrations are measured, and how often each asks the database.

Imports nothing of Django's at the top: the bench itself reads the list, and a shell of the stack
that is measured counts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

OWNER, LEAD = "olga", "lea"
"""Who asks: a platform owner, who sees everything, or a lead of a few teams."""


@dataclass(frozen=True)
class Page:
    """One address, as one person asks for it. In `inventory.sql` stands what is behind it."""

    path: str
    who: str = OWNER

    @property
    def name(self) -> str:
        return self.path if self.who == OWNER else f"{self.path} ({self.who})"


PLAN, PRODUCTION_PLAN, LONG_PLAN, LIVE_PLAN = 1000202, 1000203, 1000004, 1000006
"""Of a service like others, its second one, one with the longest history, one with a live step."""
_STEP = PLAN * 10 + 1
_FOR_BOTH: Final = (
    "/services/",
    "/services/?page=2",
    "/services/?text=legacy-42",
    "/services/?text=no+such+words",
    "/services/?text=bench+something+tag-3",
    "/services/?team=bench-team-1",
    "/services/?tier=1",
    "/services/?cluster=bench-1",
    "/services/?cluster=none",
    "/services/?tag=tag-3",
    "/services/?lacks=nothing",
    "/services/?lacks=confirmation",
    "/services/?tag=tag-3&tier=1&cluster=none",
    "/services/graph/",
    "/services/names/?needs=99",
    "/plans/",
    "/plans/?page=2",
    "/findings/",
    "/findings/?status=open",
    "/findings/?view=board",
    "/migrations/",
    "/migrations/blocked/",
    "/migrations/burn-up/",
    "/waves/",
)
_OWNERS: Final = (
    "/services/?page=1000000",
    "/services/bench-100/",
    "/services/bench-1/",
    "/services/bench-100/edit/",
    "/services/bench-96/plan/",
    "/services/graph/?team=bench-team-1",
    "/services/graph/?focus=bench-100&steps=2",
    "/services/graph/?focus=bench-1&steps=1",
    "/services/import/",
    "/plans/?page=1000000",
    f"/plans/{PLAN}/",
    f"/plans/{PRODUCTION_PLAN}/",
    f"/plans/{LONG_PLAN}/",
    f"/plans/{LIVE_PLAN}/",
    f"/plans/{LIVE_PLAN}/live/",
    f"/plans/{PLAN}/clone/",
    f"/plans/{PLAN}/steps/new/?kind=manual",
    f"/steps/{_STEP}/edit/",
    "/templates/",
    "/templates/bench-1/",
    "/freezes/",
    "/rehearsal-policy/",
    "/migrations/report/",
    "/",
)


def pages(attempt: str, finding: int) -> list[Page]:
    """All that are measured. `attempt` and `finding` are of the filled database."""
    paths = [*_FOR_BOTH, *_OWNERS, f"/attempts/{attempt}/", f"/findings/{finding}/"]
    return [Page(path) for path in paths] + [Page(path, LEAD) for path in _FOR_BOTH]


def count_queries(asked: Sequence[tuple[str, str]]) -> list[int]:
    """Statements that each page of (path, username) sends. Runs in a shell of the stack.

    Raises:
        AssertionError: a page was not answered with 200.
    """
    from django.db import connection  # noqa: PLC0415  only there its settings are known
    from django.test import Client  # noqa: PLC0415
    from django.test.utils import CaptureQueriesContext  # noqa: PLC0415

    from core.models import User  # noqa: PLC0415

    clients: dict[str, Client] = {}
    found = []
    for path, who in asked:
        if who not in clients:
            clients[who] = Client(headers={"host": "127.0.0.1"})
            clients[who].force_login(User.objects.get(username=who))
        clients[who].get(path)  # what a process asks only once is not the page's
        with CaptureQueriesContext(connection) as seen:
            status = clients[who].get(path).status_code
        assert status == 200, f"{path} was answered {status}"
        found.append(len(seen))
    return found
