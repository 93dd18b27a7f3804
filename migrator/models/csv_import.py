"""A CSV file between its upload and its import."""

from __future__ import annotations

import uuid

from django.db import models
from django.db.models import Q

from core.models import User


class CsvImport(models.Model):
    """One uploaded file: kept until it is imported, thrown away or too old."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    file_name = models.CharField(max_length=200)
    content = models.BinaryField(null=True)
    """As it came, byte for byte. Gone once it is imported."""
    uploaded_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField(db_index=True)
    applied_at = models.DateTimeField(null=True)
    created = models.PositiveIntegerField(default=0)
    changed = models.PositiveIntegerField(default=0)
    unchanged = models.PositiveIntegerField(default=0)

    class Meta:
        ordering = ("-uploaded_at",)
        constraints = (
            # Nothing is imported twice: a file that was applied is not there any more.
            models.CheckConstraint(
                condition=Q(applied_at=None, content__isnull=False)
                | Q(applied_at__isnull=False, content=None),
                name="csv_import_is_applied_once",
            ),
        )

    def __str__(self) -> str:
        return self.file_name
