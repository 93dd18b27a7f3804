"""Where a cluster's metrics are asked for: its Prometheus, named by a lead."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import structlog
from django.db import transaction

from core import policies
from core.crypto import encrypt
from core.errors import Invalid
from core.fields import Field, clean_all, require_base
from gamedays.models import MetricsSource
from gamedays.operations.probe_editing import require_quiet
from gamedays.probes.http import CA

if TYPE_CHECKING:
    from core.models import Cluster, User

log = structlog.get_logger(__name__)
URL = Field(
    name="url",
    label="Address of Prometheus",
    kind="url",
    longest=255,
    placeholder="http://prometheus.example:9090",
    check=require_base,
    help="Where its API begins; Belay adds /api/v1/query.",
)
TOKEN = Field(
    name="token",
    label="Bearer token",
    required=False,
    longest=4000,
    help="Where it asks for one. It is stored encrypted and never shown again.",
)
FIELDS = (URL, CA, TOKEN)


def set_metrics_source(
    *,
    actor: User,
    cluster: Cluster,
    url: object,
    ca_pem: object = "",
    token: object = "",
    forget_token: bool = False,
) -> MetricsSource:
    """Name the cluster's Prometheus. An empty `token` keeps the stored one, unless
    `forget_token`, or the address now leads to another server: a token goes only where it was
    meant to go.

    Raises:
        NotFound, NotAllowed: only a lead names it.
        Invalid: every wrong value at once.
        Conflict: `fault_live`: a run is judged by one Prometheus from its beginning to its end.
        DomainError: `credential_key_missing`: this process cannot store a token.
    """
    policies.require_book(actor, cluster)
    given = {"url": url, "ca_pem": ca_pem, "token": token}
    values = clean_all("A metrics source", FIELDS, given)
    if "token" in values and not str(values["token"]).isascii():
        raise Invalid("Bearer token: only ASCII letters can be sent.", field="token")
    encrypted = encrypt(str(values["token"]), stage=cluster.stage) if "token" in values else ""
    with transaction.atomic():
        require_quiet(cluster)
        found = MetricsSource.objects.select_for_update().filter(cluster=cluster).first()
        source = found or MetricsSource(cluster=cluster)
        moved = _origin(source.url) != _origin(str(values["url"]))
        if encrypted or forget_token or moved:
            source.token_encrypted = encrypted
        source.url = str(values["url"])
        source.ca_pem = str(values.get("ca_pem", ""))
        source.updated_by = actor
        source.save()
    log.info("metrics_source_set", actor=actor.username, cluster=cluster.name, url=source.url)
    return source


def remove_metrics_source(*, actor: User, cluster: Cluster) -> None:
    """Forget the cluster's Prometheus and its token; probes that ask it become unknown.

    Raises:
        NotFound, NotAllowed; Conflict `fault_live`.
    """
    policies.require_book(actor, cluster)
    with transaction.atomic():
        require_quiet(cluster)
        MetricsSource.objects.filter(cluster=cluster).delete()
    log.info("metrics_source_removed", actor=actor.username, cluster=cluster.name)


def _origin(url: str) -> tuple[str, str]:
    parts = urlsplit(url)
    return parts.scheme, parts.netloc
