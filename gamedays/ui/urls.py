"""Pages of the loop."""

from __future__ import annotations

from django.urls import path

from gamedays.ui import (
    bookings,
    clusters,
    emergency,
    findings,
    probes,
    proofs,
    runs,
    runs_by_hand,
    scenarios,
    strip,
    week,
)

urlpatterns = [
    path("", week.week, name="week"),
    path("setups/", week.setups, name="setups"),
    path("strip/", strip.strip, name="strip"),
    path("gamedays/", bookings.gamedays, name="gamedays"),
    path("gamedays/book/", bookings.book, name="book"),
    path("gamedays/<int:gameday_id>/", bookings.gameday, name="gameday"),
    path("gamedays/<int:gameday_id>/start/", bookings.start, name="start_gameday"),
    path("gamedays/<int:gameday_id>/cancel/", bookings.cancel, name="cancel_gameday"),
    path("gamedays/<int:gameday_id>/end/", bookings.end, name="end_gameday"),
    path("runs/<uuid:run_id>/", runs.run, name="run"),
    path("runs/<uuid:run_id>/live/", runs.run_live, name="run_live"),
    path("runs/<uuid:run_id>/samples.json", runs.run_samples, name="run_samples"),
    path("runs/<uuid:run_id>/abort/", runs.abort, name="abort_run"),
    path("runs/<uuid:run_id>/by-hand/", runs_by_hand.by_hand, name="by_hand"),
    path("runs/<uuid:run_id>/notes/", runs.add_note, name="add_note"),
    path("emergency/", emergency.emergency, name="emergency"),
    path("emergency/set/", emergency.set_stop, name="set_stop"),
    path("emergency/release/", emergency.release_stop, name="release_stop"),
    path("findings/", findings.findings, name="findings"),
    path("findings/<int:finding_id>/", findings.finding, name="finding"),
    path("findings/<int:finding_id>/edit/", findings.edit, name="edit_finding"),
    path("findings/<int:finding_id>/status/", findings.set_status, name="set_finding_status"),
    path("findings/<int:finding_id>/fix/", findings.record_fix, name="record_fix"),
    path("findings/<int:finding_id>/verify/", findings.verify, name="verify_finding"),
    path("scenarios/", scenarios.scenarios, name="scenarios"),
    path("scenarios/<slug:key>/", scenarios.scenario, name="scenario"),
    path("clusters/", clusters.clusters, name="clusters"),
    path("clusters/<slug:slug>/", clusters.cluster, name="cluster"),
    path("clusters/<slug:slug>/probes/new/", probes.new_probe, name="new_probe"),
    path("clusters/<slug:slug>/probes/<slug:key>/", probes.edit_probe, name="edit_probe"),
    path("clusters/<slug:slug>/probes/<slug:key>/try/", probes.try_probe, name="try_probe"),
    path(
        "clusters/<slug:slug>/probes/<slug:key>/switch/", probes.switch_probe, name="switch_probe"
    ),
    path("clusters/<slug:slug>/proofs/", proofs.required_proofs, name="required_proofs"),
    path("clusters/<slug:slug>/metrics/", probes.metrics, name="cluster_metrics"),
    path("clusters/<slug:slug>/guards/", clusters.look_at_guards, name="look_at_guards"),
]
