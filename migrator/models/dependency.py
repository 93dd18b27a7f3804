"""What a service needs to work."""

from __future__ import annotations

from django.db import models
from django.db.models import F, Q

from migrator.models.service import Service


class Dependency(models.Model):
    """`service` calls `needs`. Cycles are allowed: they exist, and are shown as what they are."""

    service = models.ForeignKey(Service, on_delete=models.CASCADE, related_name="dependencies")
    needs = models.ForeignKey(Service, on_delete=models.CASCADE, related_name="dependents")

    class Meta:
        constraints = (
            models.UniqueConstraint(fields=("service", "needs"), name="dependency_once"),
            models.CheckConstraint(
                condition=~Q(service=F("needs")), name="dependency_on_another_service"
            ),
        )

    def __str__(self) -> str:
        return f"{self.service} needs {self.needs}"
