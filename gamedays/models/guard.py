"""Guards: which node has one, how Belay recognises it, and with what Belay opens it.

No key stands here in the clear: `*_encrypted` fields hold `core.crypto.encrypt` output. What lies
on a node (its own key and the CA's certificate) never comes here, and what lies here opens no
other cluster: every cluster has a certificate authority of its own.
"""

from __future__ import annotations

from django.db import models


class ClusterAuthority(models.Model):
    """Belay's certificate authority for one cluster: its guards trust this one and nothing else."""

    cluster = models.OneToOneField(
        "core.Cluster", on_delete=models.PROTECT, related_name="guard_authority"
    )
    ca_certificate_pem = models.TextField()
    ca_key_encrypted = models.TextField()
    epoch = models.PositiveBigIntegerField(
        default=1, help_text="Rises after a restored backup; a guard refuses an older one."
    )
    installation = models.CharField(
        max_length=64, help_text="Which Belay this is; a guard serves exactly one."
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        verbose_name_plural = "cluster authorities"
        constraints = [
            models.CheckConstraint(
                condition=models.Q(epoch__gte=1), name="cluster_authority_epoch_from_one"
            )
        ]

    def __str__(self) -> str:
        return f"authority of {self.cluster} (epoch {self.epoch})"


class Guard(models.Model):
    """The guard of one node: its address, the certificate pinned at installation, our keys."""

    node = models.OneToOneField("core.Node", on_delete=models.CASCADE, related_name="guard")
    address = models.GenericIPAddressField()
    port = models.PositiveIntegerField()
    certificate_pem = models.TextField(
        help_text="Made on the node; the guard must show exactly this certificate."
    )
    client_certificate_pem = models.TextField()
    client_key_encrypted = models.TextField()
    undo_certificate_pem = models.TextField(help_text="Opens hello, status and undo, nothing more.")
    undo_key_encrypted = models.TextField()
    version = models.CharField(max_length=32, blank=True)
    image = models.CharField(max_length=255)
    epoch = models.PositiveBigIntegerField(default=1)
    installed_at = models.DateTimeField()
    last_seen_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["node__name"]

    def __str__(self) -> str:
        return f"guard of {self.node} at {self.address}:{self.port}"
