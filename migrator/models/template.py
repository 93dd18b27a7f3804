"""Templates of plans, in versions that never change once they are written."""

from __future__ import annotations

from django.db import models

from core.models import User


class PlanTemplate(models.Model):
    """A way that services of one kind are moved."""

    slug = models.SlugField(max_length=60, unique=True)
    title = models.CharField(max_length=80, unique=True)
    description = models.TextField(blank=True)
    archived_at = models.DateTimeField(null=True, editable=False)
    """No new plan is made of it; plans that were stay as they are."""
    version = models.PositiveIntegerField(default=1)
    """Number of the newest version; an editor that was open too long is told."""

    class Meta:
        ordering = ("title",)

    def __str__(self) -> str:
        return self.title


class TemplateVersion(models.Model):
    """The steps as they were saved once. `steps` is a list of drafts (`operations.drafts`)."""

    template = models.ForeignKey(PlanTemplate, on_delete=models.PROTECT, related_name="versions")
    number = models.PositiveIntegerField()
    steps = models.JSONField()
    why = models.CharField(max_length=300, blank=True)
    """What this version changes, in its author's words."""
    made_by = models.ForeignKey(User, on_delete=models.PROTECT, null=True, related_name="+")
    """Nobody for those that come with Belay."""
    made_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ("-number",)
        constraints = (
            models.UniqueConstraint(fields=("template", "number"), name="template_version_once"),
        )

    def __str__(self) -> str:
        return f"{self.template}, version {self.number}"
