"""Refusals as pages: what was wrong, and what to do now."""

from __future__ import annotations

import json
from collections.abc import Callable

from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import render

from core.errors import DomainError, NotAllowed, NotFound
from core.ui.requests import is_fragment

_STATUS: tuple[tuple[type[DomainError], int, str], ...] = (
    (NotFound, 404, "404.html"),
    (NotAllowed, 403, "403.html"),
    (DomainError, 409, "refused.html"),
)


class DomainErrorMiddleware:
    """Turn a refusal that no view explained into a page, or into a notice for a fragment."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        return self._get_response(request)

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponse | None:
        if not isinstance(error, DomainError):
            return None
        status, name = next((s, n) for kind, s, n in _STATUS if isinstance(error, kind))
        if is_fragment(request):
            response = HttpResponse(status=status)
            response["HX-Reswap"] = "none"
            response["HX-Trigger"] = json.dumps({"belay:refused": {"message": error.message}})
            return response
        return render(request, name, {"refusal": error}, status=status)
