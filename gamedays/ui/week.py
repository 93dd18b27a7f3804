"""*This week*: the page that a lead reads in five seconds on Monday morning."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET

from core import selectors as core_selectors
from core.ui.requests import person
from gamedays.choices import GamedayState
from gamedays.selectors import week as selectors
from gamedays.ui.loop import loop_picture
from gamedays.ui.strip import lines_of, stop_of, strip_context
from migrator.selectors.needs import step_needs
from migrator.selectors.overview import moved


@require_GET
def week(request: HttpRequest) -> HttpResponse:
    user = person(request)
    upcoming = selectors.next_gameday(user)
    waits = step_needs(user)
    running = upcoming and upcoming.gameday.state == GamedayState.RUNNING and upcoming.gameday.pk
    # The one that runs has the card above; it is not told a second time.
    needs = [
        need for need in selectors.needs(user) if need.gameday is None or need.gameday.pk != running
    ]
    return render(
        request,
        "week/week.html",
        {
            "next": upcoming,
            "needs": needs,
            "waiting": len(needs) + waits.number,
            "live": [line for line in lines_of(request) if line.live is not None],
            "step_needs": waits,
            "moved": moved(user),
            "setups": core_selectors.setups_in_progress(user),
            "on_loop": (on_loop := selectors.loop_place(user)),
            "loop": loop_picture(on_loop.key),
            "newcomer": selectors.is_newcomer(user),
            "progress": selectors.progress(user),
            "stop": stop_of(request),
            # Whoever sees a cluster; `policies.may_stop` says the same with a query of its own.
            "may_stop": any(line.slug for line in lines_of(request)),
            "can_book": core_selectors.bookable_clusters(user).exists(),
        },
    )


@require_GET
@never_cache
def setups(request: HttpRequest) -> HttpResponse:
    """What is being raised, as a fragment, and the strip as of the same moment; it stops asking
    when nothing is left to wait for."""
    user = person(request)
    raising = core_selectors.setups_in_progress(user)
    context = {
        **strip_context(request),
        "setups": raising,
        "strip_swap": True,
        "arrived": None if raising else core_selectors.newest_arrival(user),
        "can_book": core_selectors.bookable_clusters(user).exists(),
    }
    return render(request, "week/_setups.html", context)
