"""Pages about what is migrated."""

from __future__ import annotations

from django.urls import include, path

from migrator.ui import services

urlpatterns = [
    path("", include("migrator.ui.plan_urls")),
    path("services/", services.services, name="services"),
    path("services/<slug:slug>/", services.service, name="service"),
]
