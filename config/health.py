"""Is this installation well? For load balancers, supervisors and `make demo` itself."""

from __future__ import annotations

from django.contrib.auth.decorators import login_not_required
from django.db import DatabaseError, InterfaceError, connection
from django.http import HttpRequest, JsonResponse
from django.views.decorators.cache import never_cache


@login_not_required
@never_cache
def healthz(_request: HttpRequest) -> JsonResponse:
    """200 when the database answers, 503 when it does not.

    The broker is left out on purpose: pages and Abort work without it, so a load balancer must
    not take this process away because Redis is down.
    """
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
            cursor.fetchone()
    except (DatabaseError, InterfaceError):
        return JsonResponse({"database": "down"}, status=503)
    return JsonResponse({"database": "ok"})
