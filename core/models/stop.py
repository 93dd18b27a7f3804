"""The emergency stop: while one is set nothing is armed and no migration step goes forward."""

from __future__ import annotations

from django.db import models
from django.db.models import BooleanField, ExpressionWrapper, Q

from core.models.person import User

_IS_SET = Q(released_at__isnull=True)


class EmergencyStop(models.Model):
    """One stop of the whole installation, from who set it to who released it, and why.

    Rows are never deleted: they are their own audit.
    """

    set_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    set_at = models.DateTimeField(auto_now_add=True)
    why = models.TextField(blank=True)
    """Empty where nobody had the time to write it down."""
    released_by = models.ForeignKey(User, on_delete=models.PROTECT, null=True, related_name="+")
    released_at = models.DateTimeField(null=True)
    release_reason = models.TextField(blank=True)

    class Meta:
        ordering = ("-set_at",)
        constraints = (
            # One index entry for all that are set: a second stop cannot stand beside the first,
            # so that releasing it releases everything.
            models.UniqueConstraint(
                ExpressionWrapper(_IS_SET, output_field=BooleanField()),
                condition=_IS_SET,
                name="emergency_stop_one_set",
            ),
            models.CheckConstraint(
                condition=_IS_SET | (Q(released_by__isnull=False) & ~Q(release_reason="")),
                name="emergency_stop_release_is_signed",
            ),
        )

    def __str__(self) -> str:
        return f"set by {self.set_by}" + (" (released)" if self.released_at else "")

    @property
    def is_set(self) -> bool:
        return self.released_at is None
