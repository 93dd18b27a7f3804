"""Every address of the site. Pages live in `*/ui`."""

from __future__ import annotations

from django.urls import URLPattern, URLResolver, include, path

from config.health import healthz

urlpatterns: list[URLPattern | URLResolver] = [
    path("healthz", healthz, name="healthz"),
    path("", include("core.ui.urls")),
    path("", include("migrator.ui.urls")),
    path("", include("gamedays.ui.urls")),
]
