"""Pages about what is migrated."""

from __future__ import annotations

from django.urls import include, path

from migrator.ui import csv_import, discovery, graph, service_editing, services

urlpatterns = [
    path("", include("migrator.ui.overview_urls")),
    path("", include("migrator.ui.plan_urls")),
    path("services/", services.services, name="services"),
    path("services/new/", service_editing.new_service, name="new_service"),
    path("services/names/", service_editing.service_names, name="service_names"),
    path("services/graph/", graph.service_graph, name="service_graph"),
    path("services/export/", csv_import.export_csv, name="export_services"),
    path("services/import/", csv_import.upload_csv, name="import_services"),
    path("services/import/<uuid:import_id>/", csv_import.preview_csv, name="import_preview"),
    path(
        "services/import/<uuid:import_id>/discard/", csv_import.discard_csv, name="discard_import"
    ),
    path("services/discover/", discovery.choose_cluster, name="discover"),
    path("services/discover/<slug:cluster_slug>/", discovery.look, name="discover_cluster"),
    path("services/discover/<slug:cluster_slug>/link/", discovery.link, name="link_found"),
    path("services/<slug:slug>/", services.service, name="service"),
    path("services/<slug:slug>/edit/", service_editing.edit_service, name="edit_service"),
    path(
        "services/<slug:slug>/capacity/", service_editing.confirm_capacity, name="confirm_capacity"
    ),
    path(
        "services/<slug:slug>/dependencies/add/",
        service_editing.add_dependency,
        name="add_dependency",
    ),
    path(
        "services/<slug:slug>/dependencies/remove/",
        service_editing.remove_dependency,
        name="remove_dependency",
    ),
]
