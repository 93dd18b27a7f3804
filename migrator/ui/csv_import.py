"""The inventory as a CSV file: out, and in again by way of a preview."""

from __future__ import annotations

from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from core import policies
from core.errors import Conflict, Invalid
from core.ui.requests import person
from migrator.csv_format import BYTES_MAX, COLUMNS, ROWS_MAX, write_csv
from migrator.operations import csv_import as verbs
from migrator.selectors import csv_files as selectors
from migrator.ui.services import wanted_of

_SHOWN = 100
"""Errors, new services and changes that a page shows of each; the rest is counted."""


@require_GET
def export_csv(request: HttpRequest) -> StreamingHttpResponse:
    """What the list shows, as a file that imports again unchanged."""
    rows = selectors.csv_rows(person(request), wanted_of(request))
    answer = StreamingHttpResponse(
        (piece.encode() for piece in write_csv(rows)), content_type="text/csv; charset=utf-8"
    )
    day = timezone.localdate().isoformat()
    answer["Content-Disposition"] = f'attachment; filename="services-{day}.csv"'
    return answer


@require_http_methods(["GET", "POST"])
def upload_csv(request: HttpRequest) -> HttpResponse:
    """Choose a file; POST keeps it and goes on to its preview."""
    user = person(request)
    policies.require_keep_some_services(user)
    error = ""
    if request.method == "POST":
        try:
            name, content = _content_of(request)
            kept = verbs.upload_csv(actor=user, file_name=name, content=content)
        except Invalid as refusal:
            error = refusal.message
        else:
            return redirect("import_preview", kept.pk)
    return render(
        request,
        "services/import.html",
        {
            "error": error,
            "columns": COLUMNS,
            "rows_max": ROWS_MAX,
            "mib_max": BYTES_MAX // 1024**2,
            "waiting": selectors.waiting_imports(user),
        },
        status=422 if error else 200,
    )


@require_http_methods(["GET", "POST"])
def preview_csv(request: HttpRequest, import_id: UUID) -> HttpResponse:
    """What the file would do; POST does it. Once done, the same address tells what was done."""
    user = person(request)
    kept = selectors.kept_import(user, import_id)
    policies.require_keep_some_services(user)
    moved_on = ""
    if request.method == "POST":
        try:
            verbs.apply_csv(actor=user, import_id=import_id, digest=request.POST.get("digest", ""))
        except (Invalid, Conflict) as refusal:
            moved_on = refusal.message
            kept = selectors.kept_import(user, import_id)
        else:
            return redirect("import_preview", import_id)
    if kept.applied_at is not None:
        if moved_on:
            messages.error(request, moved_on)
            return redirect("import_preview", import_id)
        return render(request, "services/import_done.html", {"kept": kept})
    plan = verbs.plan_csv(actor=user, kept=kept)
    return render(
        request,
        "services/import_preview.html",
        {
            "kept": kept,
            "plan": plan,
            "moved_on": moved_on,
            "complaints": plan.complaints[:_SHOWN],
            "more_complaints": len(plan.complaints) - _SHOWN,
            "created": plan.created[:_SHOWN],
            "more_created": len(plan.created) - _SHOWN,
            "changed": plan.changed[:_SHOWN],
            "more_changed": len(plan.changed) - _SHOWN,
        },
        status=409 if moved_on else 200,
    )


@require_POST
def discard_csv(request: HttpRequest, import_id: UUID) -> HttpResponse:
    user = person(request)
    selectors.kept_import(user, import_id)
    verbs.discard_csv(actor=user, import_id=import_id)
    messages.success(request, "The file was thrown away. Nothing was imported.")
    return redirect("import_services")


def _content_of(request: HttpRequest) -> tuple[str, bytes]:
    """The file's name and bytes. One that is too big is not even read."""
    file = request.FILES.get("file")
    if file is None:
        return "", b""
    if file.size is not None and file.size > BYTES_MAX:
        raise verbs.too_big(file.size)
    return file.name or "", bytes(file.read())
