"""Makes a raised practice range known to Belay, as a platform owner would do it by hand."""

from __future__ import annotations

from pathlib import Path

import structlog

from config.stack.errors import StackError
from core.choices import SetupPhase, Stage
from core.kube import parse_kubeconfig
from core.models import Cluster, User
from core.operations.clusters import look_at_cluster, record_cluster_setup, register_cluster
from gamedays.operations.clusters import retire_cluster
from gamedays.operations.guards import guards_in_place, install_guards
from gamedays.operations.probes import UserProbe, create_envoy_probes, create_standard_probes
from gamedays.operations.sample import link_sample_service, sample_team
from migrator.operations.overrides import name_envoys
from practice.facts import Progress, RangeFacts

CLUSTER_NAME = "qa-range"
PHASES = {
    "raising": SetupPhase.RUNNING,
    # The range is ready before it is registered and has its guards.
    "ready": SetupPhase.RUNNING,
    "dropping": SetupPhase.WAITING,
    "failed": SetupPhase.FAILED,
}
log = structlog.get_logger(__name__)


def record_progress(progress: Progress) -> None:
    """Show on the pages what the range's progress file says."""
    message = progress.error or progress.message
    if progress.overdue:
        message += ": it takes longer here than expected, and goes on"
    record_cluster_setup(
        name=CLUSTER_NAME,
        phase=PHASES.get(progress.phase, SetupPhase.RUNNING),
        step=progress.step[:200],
        steps_done=progress.steps_done,
        steps_total=progress.steps_total,
        percent=progress.percent,
        message=message,
        log_tail=progress.log_tail,
        eta_s=None if progress.eta_s is None else round(progress.eta_s),
    )


def record_step(step: str) -> None:
    """One of our own steps after the range's last."""
    record_cluster_setup(name=CLUSTER_NAME, phase=SetupPhase.RUNNING, step=step, message=step)


def record_failure(message: str) -> None:
    """The cluster cannot be used; the message says why and what to do."""
    record_cluster_setup(name=CLUSTER_NAME, phase=SetupPhase.FAILED, message=message)


def record_unavailable(reasons: list[str]) -> None:
    """This machine cannot hold a range; the pages say so instead of waiting."""
    record_cluster_setup(
        name=CLUSTER_NAME,
        phase=SetupPhase.UNAVAILABLE,
        step="",
        message="\n".join(reasons),
        percent=0,
    )


def register_range(range_name: str) -> Cluster:
    """Register the range, install its guards, make its probes. Idempotent.

    Raises StackError without sample data, and whatever registering refuses.
    """
    facts = RangeFacts.load(range_name)
    actor = User.objects.filter(is_superuser=True, is_active=True).order_by("pk").first()
    if actor is None:
        raise StackError("There is no platform owner: run `manage.py load_sample_data`.")
    record_step("Registering the cluster")
    kubeconfig = Path(facts.kubeconfig).read_text(encoding="utf-8")
    cluster = _known(kubeconfig, actor=actor)
    if cluster is None:
        cluster = register_cluster(
            actor=actor,
            name=CLUSTER_NAME,
            stage=Stage.QA,
            team=sample_team(),
            kubeconfig=kubeconfig,
        )
    # A restart finds them in place, and must not need a working API or three privileged pods.
    if not guards_in_place(cluster=cluster, image=facts.guard_image):
        record_step("Installing a guard on every node")
        install_guards(
            actor=actor,
            cluster=cluster,
            owner_kubeconfig=Path(facts.admin_kubeconfig).read_text(encoding="utf-8"),
            image=facts.guard_image,
        )
    create_standard_probes(
        actor=actor,
        cluster=cluster,
        users=[
            UserProbe(
                key="shop",
                title="Shop, through Envoy",
                url=facts.shop_url,
                host=facts.shop_host,
            )
        ],
    )
    create_envoy_probes(
        actor=actor,
        cluster=cluster,
        stats=dict(zip((node.name for node in facts.nodes), facts.envoy_stats, strict=False)),
        canary_url=facts.shop_url,
        canary_host=facts.canary_host,
    )
    if facts.envoy_stats:
        name_envoys(actor=actor, cluster=cluster, urls=facts.envoy_stats)
    link_sample_service(cluster=cluster, legacy_address=facts.legacy_url)
    record_cluster_setup(
        name=CLUSTER_NAME,
        phase=SetupPhase.READY,
        cluster=cluster,
        step="",
        message="The practice range is ready.",
        percent=100,
        eta_s=None,
    )
    log.info("range_registered", range=range_name, cluster=cluster.name, uid=str(cluster.uid))
    return cluster


def _known(kubeconfig: str, *, actor: User) -> Cluster | None:
    """The row of this very range, or None. A range that was taken down and raised again is
    another cluster (another UID): the old row is retired and its name is free."""
    uid = look_at_cluster(parse_kubeconfig(kubeconfig))["uid"]
    row = Cluster.objects.filter(name=CLUSTER_NAME).first()
    if row is None or row.uid == uid:
        return row
    retire_cluster(
        actor=actor, cluster=row, reason="The practice range was taken down and raised again."
    )
    log.info("old_range_retired", uid=str(row.uid))
    return None
