"""What a service needs, said by who keeps that service."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.db import IntegrityError, transaction

from core import policies
from core.errors import Conflict, Invalid, NotFound
from migrator.choices import ServiceVerb
from migrator.models import Dependency, Service
from migrator.operations.service_history import record
from migrator.operations.services import locked

if TYPE_CHECKING:
    from core.models import User


def add_dependency(*, actor: User, service: Service, needs: Service) -> Dependency:
    """Say that `service` needs `needs`. A cycle is no error: where there is one, it is shown.

    Raises:
        NotFound, NotAllowed: only who keeps `service` may, and only a service that they see.
        Invalid: `needs_itself`. Conflict: `dependency_exists`.
    """
    policies.require_keep_services(actor, service.team)
    if not Service.objects.visible_to(actor).filter(pk=needs.pk).exists():
        raise NotFound("There is no such service among those that you may see.")
    if needs.pk == service.pk:
        raise Invalid(
            f"{service.name} cannot need itself; choose another service.",
            code="needs_itself",
            field="needs",
        )
    with transaction.atomic():
        found = locked(service)
        try:
            with transaction.atomic():
                dependency = Dependency.objects.create(service=found, needs=needs)
        except IntegrityError:
            raise Conflict(
                f"{service.name} needs {needs.name} already.",
                code="dependency_exists",
                field="needs",
            ) from None
        _record(actor, found, ServiceVerb.DEPENDENCY_ADDED, ["", needs.name])
    return dependency


def remove_dependency(*, actor: User, service: Service, needs_id: int) -> None:
    """Say that `service` does without the service of that id. Doing it twice is no error.

    Raises:
        NotFound, NotAllowed: only who keeps `service` may.
    """
    policies.require_keep_services(actor, service.team)
    with transaction.atomic():
        found = locked(service)
        gone = (
            Dependency.objects.filter(service=found, needs_id=needs_id)
            .select_related("needs")
            .first()
        )
        if gone is None:
            return
        gone.delete()
        _record(actor, found, ServiceVerb.DEPENDENCY_REMOVED, [gone.needs.name, ""])


def _record(actor: User, service: Service, verb: ServiceVerb, names: list[str]) -> None:
    service.version += 1
    service.save(update_fields=["version", "updated_at"])
    record(actor=actor, service=service, verb=verb, details={"depends_on": names})
