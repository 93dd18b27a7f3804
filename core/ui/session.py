"""Logging in and out, and what a person chooses for their own pages."""

from __future__ import annotations

from django import forms
from django.conf import settings
from django.contrib import messages
from django.contrib.auth import login, logout
from django.contrib.auth.decorators import login_not_required
from django.contrib.auth.forms import AuthenticationForm
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render, resolve_url
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from core import selectors
from core.ui.requests import back, person
from core.ui.timezone import zone_names

THEME_COOKIE = "belay_theme"
THEMES = ("system", "light", "dark")
_YEAR_S = 365 * 86_400


class LoginForm(AuthenticationForm):
    """Says what to do, and as much of which half is wrong as before: nothing."""

    error_messages = {  # noqa: RUF012  as its base declares it
        **AuthenticationForm.error_messages,
        "invalid_login": (
            "This username and password do not fit together. Type both again; capitals matter."
        ),
    }


@login_not_required
@never_cache
@sensitive_post_parameters("password")
@require_http_methods(["GET", "POST"])
def log_in(request: HttpRequest) -> HttpResponse:
    """The login form. In a demo it shows the sample people, one click each."""
    onward = _onward(request)
    if request.user.is_authenticated:
        return redirect(onward)
    form = LoginForm(request, request.POST or None)
    if request.method == "POST" and form.is_valid():
        login(request, form.get_user())
        return redirect(onward)
    return render(
        request,
        "session/login.html",
        {"form": form, "next": onward, "sample_people": selectors.sample_people()},
        status=422 if form.errors else 200,
    )


@login_not_required
@require_POST
def log_out(request: HttpRequest) -> HttpResponse:
    logout(request)
    return redirect("login")


class ZoneForm(forms.Form):
    time_zone = forms.CharField(
        label="Your time zone",
        max_length=64,
        help_text="A name like Europe/Berlin. Times on every page are shown in it.",
        error_messages={
            "required": "Give a time zone, like Europe/Berlin.",
            "max_length": "No time zone has so long a name. Choose one like Europe/Berlin.",
        },
    )

    def clean_time_zone(self) -> str:
        name: str = self.cleaned_data["time_zone"].strip()
        if name not in zone_names():
            raise forms.ValidationError(
                f"“{name}” is no time zone that this machine knows. Choose one like Europe/Berlin."
            )
        return name


@require_http_methods(["GET", "POST"])
def you(request: HttpRequest) -> HttpResponse:
    """One's own page: zone, theme, teams and roles."""
    user = person(request)
    form = ZoneForm(request.POST or None, initial={"time_zone": user.time_zone})
    if request.method == "POST" and form.is_valid():
        user.time_zone = form.cleaned_data["time_zone"]
        user.save(update_fields=["time_zone"])
        messages.success(request, f"Times are now shown in {user.time_zone}.")
        return redirect("you")
    return render(
        request,
        "session/you.html",
        {"form": form, "zones": zone_names(), "memberships": selectors.memberships(user)},
        status=422 if form.errors else 200,
    )


@login_not_required
@require_POST
def choose_theme(request: HttpRequest) -> HttpResponse:
    """Light, dark or as the system wishes; kept in a cookie, so the first paint is right."""
    response = redirect(back(request, reverse("login")))
    theme = request.POST.get("theme", "system")
    if theme in THEMES[1:]:
        response.set_cookie(
            THEME_COOKIE,
            theme,
            max_age=_YEAR_S,
            samesite="Lax",
            secure=settings.SESSION_COOKIE_SECURE,
        )
    else:
        response.delete_cookie(THEME_COOKIE, samesite="Lax")
    return response


@login_not_required
@require_GET
def robots(_request: HttpRequest) -> HttpResponse:
    return HttpResponse("User-agent: *\nDisallow: /\n", content_type="text/plain")


def look(request: HttpRequest) -> dict[str, str]:
    """Context processor: the chosen theme, and where in the navigation this page stands."""
    theme = request.COOKIES.get(THEME_COOKIE, "")
    return {
        "theme": theme if theme in THEMES[1:] else "",
        "place": request.path.split("/")[1],
    }


def _onward(request: HttpRequest) -> str:
    target = request.POST.get("next") or request.GET.get("next") or ""
    if url_has_allowed_host_and_scheme(target, {request.get_host()}, request.is_secure()):
        return target
    return resolve_url(settings.LOGIN_REDIRECT_URL)
