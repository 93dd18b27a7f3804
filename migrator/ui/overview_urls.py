"""Addresses of the overview, its waves and its reports."""

from __future__ import annotations

from django.urls import path

from migrator.ui import burnup, overview, report, waves

urlpatterns = [
    path("migrations/", overview.overview, name="migrations"),
    path("migrations/blocked/", overview.blocked, name="blocked"),
    path("migrations/burn-up/", burnup.burn_up, name="burn_up"),
    path("migrations/report/", report.report, name="report"),
    path("migrations/report/markdown/", report.report_markdown, name="report_markdown"),
    path("waves/", waves.waves, name="waves"),
    path("waves/new/", waves.new_wave, name="new_wave"),
    path("waves/<int:wave_id>/", waves.wave, name="wave"),
    path("waves/<int:wave_id>/edit/", waves.edit_wave, name="edit_wave"),
    path("waves/<int:wave_id>/services/", waves.put_in, name="put_in_wave"),
    path("waves/<int:wave_id>/take-out/", waves.take_out, name="take_out_of_wave"),
    path("waves/<int:wave_id>/archive/", waves.archive, name="archive_wave"),
]
