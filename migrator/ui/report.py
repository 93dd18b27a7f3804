"""Reports: a page that prints well, and the same as Markdown."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.text import slugify
from django.views.decorators.http import require_GET

from core.ui.requests import person
from migrator.selectors import services as service_selectors
from migrator.selectors.report import report as report_of
from migrator.ui import burnup_svg, timeline_svg
from migrator.ui.report_markdown import as_markdown


def _team(request: HttpRequest) -> str:
    return request.GET.get("team", "").replace("\x00", "")[:80]


@require_GET
def report(request: HttpRequest) -> HttpResponse:
    """Of one team with `?team=`, else of everything that the person sees."""
    user = person(request)
    found = report_of(user, _team(request))
    return render(
        request,
        "overview/report.html",
        {
            "report": found,
            "chart": burnup_svg.draw(found.burn_up) if found.burn_up else None,
            "timeline": timeline_svg.draw(found.waves),
            "teams": service_selectors.teams_with_services(user),
        },
    )


@require_GET
def report_markdown(request: HttpRequest) -> HttpResponse:
    found = report_of(person(request), _team(request))
    name = slugify(f"{found.title} {found.at:%Y-%m-%d}")
    # Never shown as a page of ours, whatever a service is called.
    return HttpResponse(
        as_markdown(found),
        content_type="text/markdown; charset=utf-8",
        headers={"Content-Disposition": f'attachment; filename="{name}.md"'},
    )
