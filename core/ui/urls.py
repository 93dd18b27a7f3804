"""Pages about the person."""

from __future__ import annotations

from django.urls import path

from core.ui import session

urlpatterns = [
    path("login/", session.log_in, name="login"),
    path("logout/", session.log_out, name="logout"),
    path("you/", session.you, name="you"),
    path("you/theme/", session.choose_theme, name="choose_theme"),
    path("robots.txt", session.robots, name="robots"),
]
