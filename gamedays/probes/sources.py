"""From rows to plain data: probing itself needs no database."""

from __future__ import annotations

from typing import TYPE_CHECKING

from core.crypto import decrypt
from core.errors import DomainError
from gamedays.models import MetricsSource
from gamedays.probes.base import Metrics, ProbeSpec

if TYPE_CHECKING:
    from core.models import Cluster
    from gamedays.models import Probe


def spec_of(probe: Probe) -> ProbeSpec:
    return ProbeSpec(
        id=probe.pk,
        key=probe.key,
        title=probe.title,
        kind=probe.kind,
        target=probe.target,
        parameters=probe.parameters,
        attempts=probe.attempts,
        timeout_s=probe.timeout_s,
        felt_by_users=probe.felt_by_users,
        must_hold=probe.must_hold,
        abort_after_s=probe.abort_after_s,
    )


def metrics_of(cluster: Cluster) -> Metrics | None:
    """The cluster's Prometheus with its token in plain; None where nobody named one."""
    source = MetricsSource.objects.filter(cluster=cluster).first()
    if source is None:
        return None
    token = ""
    if source.token_encrypted:
        try:
            token = decrypt(source.token_encrypted, stage=cluster.stage)
        except DomainError as error:
            # Nobody can look, and that is all: an undo must not wait for a metrics token.
            return Metrics(url=source.url, problem=error.message)
    return Metrics(url=source.url, ca_pem=source.ca_pem, token=token)
