"""What views ask of a request, in one typed place."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar, cast
from urllib.parse import urlsplit

from django.contrib import messages
from django.http import HttpRequest
from django.utils.http import url_has_allowed_host_and_scheme
from django_htmx.middleware import HtmxDetails

from core.errors import Conflict, Invalid

if TYPE_CHECKING:
    from core.models import User

Result = TypeVar("Result")


def person(request: HttpRequest) -> User:
    """The signed-in person. Views behind the login middleware always have one."""
    return cast("User", request.user)


def is_fragment(request: HttpRequest) -> bool:
    """True when htmx asks for a part of a page; a link that it boosts wants the whole one."""
    asked: HtmxDetails = request.htmx  # type: ignore[attr-defined]  # set by its middleware
    return bool(asked) and not asked.boosted


def attempt(request: HttpRequest, verb: Callable[[], Result], done: str = "") -> Result | None:
    """Call `verb`; tell the person what came of it. None when a rule said no.

    Only refusals that the same page can explain are caught. `NotFound` and `NotAllowed` go on to
    the middleware, which answers with a page of their own.
    """
    try:
        result = verb()
    except (Invalid, Conflict) as error:
        messages.error(request, error.message)
        return None
    if done:
        messages.success(request, done)
    return result


def back(request: HttpRequest, default: str) -> str:
    """Where a small form returns to: the page that it stood on, if it is one of ours."""
    target = request.POST.get("next") or request.headers.get("Referer", "")
    if url_has_allowed_host_and_scheme(target, {request.get_host()}, request.is_secure()):
        parts = urlsplit(target)
        onward = f"{parts.path}?{parts.query}" if parts.query else parts.path
        # A page of ours may be called `//elsewhere`; alone, that names another site.
        if url_has_allowed_host_and_scheme(onward, None):
            return onward
    return default
