"""“Try it now”: one look through a probe, outside of any run, for the person who makes it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from core import kube, policies
from core.errors import DomainError
from gamedays.drivers.guard_client import GuardClient, GuardError
from gamedays.models import Guard, Probe
from gamedays.operations.probe_drafts import ProbeDraft, spec_of_draft
from gamedays.probes.base import Attempt, ProbeSpec, Surroundings
from gamedays.probes.registry import KINDS
from gamedays.probes.sources import metrics_of, spec_of

if TYPE_CHECKING:
    from core.models import Cluster, User
    from guard.protocol import NodeStatus


@dataclass(frozen=True, kw_only=True)
class Trial:
    """What one look showed. `state` is a key of the marks."""

    kind: str
    attempt: Attempt

    @property
    def state(self) -> str:
        if self.attempt.passed is None:
            return "unknown"
        if not KINDS[self.kind].steady:
            return "alert_firing" if self.attempt.passed else "alert_silent"
        return "passing" if self.attempt.passed else "failing"

    @property
    def sentence(self) -> str:
        """What this look would have meant in a run."""
        return _SENTENCES[self.state]


_SENTENCES = {
    "passing": "It would pass.",
    "failing": "It would fail.",
    "unknown": "Nobody could look: in a run this would be unknown, neither passed nor failed.",
    "alert_silent": "The alert does not fire, as it should be before a fault.",
    "alert_firing": "The alert fires already: a run that began now could not tell what woke it.",
}


def try_draft(*, actor: User, cluster: Cluster, draft: ProbeDraft) -> Trial:
    """Look once through a probe that is not stored yet.

    Raises:
        NotFound, NotAllowed: only leads and engineers make Belay ask an address.
        Invalid: as `clean_draft`.
    """
    policies.require_run(actor, cluster)
    return _look(cluster, spec_of_draft(draft))


def try_probe(*, actor: User, probe: Probe) -> Trial:
    """Look once through a stored probe. Raises as `try_draft`."""
    policies.require_run(actor, probe.cluster)
    return _look(probe.cluster, spec_of(probe))


def _look(cluster: Cluster, spec: ProbeSpec) -> Trial:
    """At most `spec.timeout_s`; outside of any transaction."""
    kind = KINDS[spec.kind]
    credentials = kube.Credentials(server=cluster.server, ca_pem="", token="")
    if kind.asks_api:
        try:
            credentials = kube.credentials_of(cluster)
        except DomainError as error:
            return Trial(kind=spec.kind, attempt=Attempt(passed=None, detail=error.message))
    around = Surroundings(
        credentials=credentials,
        api_servers={node.name: node.api_server for node in cluster.nodes.all()},
        node_status=lambda node: _node_status(cluster, node),
        metrics=metrics_of(cluster),
    )
    return Trial(kind=spec.kind, attempt=kind.prober(spec, around))


def _node_status(cluster: Cluster, node: str) -> NodeStatus | None:
    guard = Guard.objects.filter(node__cluster=cluster, node__name=node).first()
    if guard is None:
        return None
    try:
        return GuardClient.for_guard(guard).status()
    except (GuardError, DomainError):
        return None
