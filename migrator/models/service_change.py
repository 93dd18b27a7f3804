"""The history of a service: who did what to it, and when."""

from __future__ import annotations

from django.db import models

from core.models import User
from migrator.choices import ServiceVerb
from migrator.models.service import Service


class ServiceChange(models.Model):
    """One verb, once done. A trigger refuses to change it afterwards."""

    service = models.ForeignKey(Service, on_delete=models.CASCADE, related_name="changes")
    verb = models.CharField(max_length=20, choices=ServiceVerb)
    by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    at = models.DateTimeField(auto_now_add=True)
    details = models.JSONField(default=dict)
    """By field, the value before and after, as texts."""
    csv_import = models.UUIDField(null=True)
    """The import that did it. No foreign key: uploads expire, and their history does not."""

    class Meta:
        ordering = ("-id",)
        indexes = (models.Index(fields=("service", "-id"), name="service_history"),)

    def __str__(self) -> str:
        return f"{self.service}: {self.verb} by {self.by}"
