"""People, their teams, and the role that each has in a team."""

from __future__ import annotations

from django.contrib.auth.models import AbstractUser
from django.db import models

from core.choices import Role


class Team(models.Model):
    name = models.CharField(max_length=80, unique=True)
    slug = models.SlugField(max_length=80, unique=True)

    class Meta:
        ordering = ("name",)

    def __str__(self) -> str:
        return self.name


class User(AbstractUser):
    """A person. A superuser is a platform owner: sees and may do what every lead may."""

    time_zone = models.CharField(max_length=64, default="UTC")
    """IANA name; times on pages are shown in it."""
    teams = models.ManyToManyField(Team, through="Membership", related_name="people")

    def __str__(self) -> str:
        return self.get_full_name() or self.username


class Membership(models.Model):
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="memberships")
    team = models.ForeignKey(Team, on_delete=models.CASCADE, related_name="memberships")
    role = models.CharField(max_length=10, choices=Role)

    class Meta:
        constraints = (
            models.UniqueConstraint(fields=("user", "team"), name="membership_one_role_per_team"),
        )

    def __str__(self) -> str:
        return f"{self.user} is {self.get_role_display()} of {self.team}"
