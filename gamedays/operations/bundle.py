"""Break-glass: making the file that `belay panic` works with, and drilling it for real.

A drill arms a harmless order on every guard and then runs the real command, from another directory
and with an empty environment, with nothing but the file: exactly what somebody would do at night.
"""

from __future__ import annotations

import os
import subprocess
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import structlog
from django.conf import settings
from django.utils import timezone

from core import policies
from core.choices import Stage
from core.crypto import decrypt
from core.errors import ClusterRefused, Conflict, DomainError, Invalid
from core.operations.emergency import require_no_stop
from gamedays.drivers.bundle_file import (
    Bundle,
    BundleError,
    GuardEntry,
    read_bundle,
    sha256_of,
    write_bundle,
)
from gamedays.drivers.guard_client import GuardClient, GuardError
from gamedays.models import BreakGlassBundle, ClusterAuthority, Guard, Injection
from gamedays.selectors.clusters import guards_now
from guard.protocol import Fault, FaultKind, Phase

if TYPE_CHECKING:
    from core.models import Cluster, User

log = structlog.get_logger(__name__)
DRILL_HOLD_S = 60
"""Longer than the command may take: what ends the drill has to be the command."""
DRILL_WAIT_S = 30


def make_bundle(*, actor: User, cluster: Cluster, path: Path) -> BreakGlassBundle:
    """Write the bundle of a cluster's guards to `path` (0600), and note that it was made.

    Raises:
        NotAllowed: the actor is no platform owner.
        ClusterRefused: `not_qa`, or `no_guards`.
        DomainError: `bundle_not_written`; `credential_key_missing`.
    """
    guards = _guards_of(actor, cluster)
    bundle = Bundle(
        cluster=cluster.name,
        cluster_uid=str(cluster.uid),
        made_at=f"{timezone.now():%Y-%m-%dT%H:%M:%SZ}",
        made_by=str(actor),
        guards=[_entry(guard) for guard in guards],
    )
    try:
        sha256 = write_bundle(path, bundle)
    except BundleError as error:
        raise DomainError(str(error), code="bundle_not_written") from error
    log.info("bundle_made", cluster=cluster.name, by=str(actor), guards=len(guards))
    return BreakGlassBundle.objects.create(
        cluster=cluster, made_by=actor, sha256=sha256, guards=guards_now(guards)
    )


def drill_bundle(*, actor: User, cluster: Cluster, path: Path) -> BreakGlassBundle:
    """Arm a drill on every guard, undo it with `belay panic` and this file, and note the result.

    Raises:
        NotAllowed, ClusterRefused: as for making one.
        Invalid: `bundle_unknown`: no bundle that this Belay made for the cluster.
        Conflict: `emergency_stop`, `cluster_busy`, or `drill_not_armed` with the reason.
    """
    guards = _guards_of(actor, cluster)
    require_no_stop()
    row = _row_of(cluster, path)
    if Injection.objects.live().filter(cluster=cluster).exists():
        raise Conflict(
            f"A fault is live on {cluster.name}: `belay panic` would end it. Drill when it is "
            "clean.",
            code="cluster_busy",
        )
    order = str(uuid.uuid4())
    epoch = ClusterAuthority.objects.get(cluster=cluster).epoch
    clients = {guard.node.name: GuardClient.for_guard(guard) for guard in guards}
    try:
        _begin_drill(clients, order, epoch)
        said, code = _panic(path)
        left = _not_undone(clients, order)
    finally:
        # Harmless as it is, it ends here at the latest; a guard that is away ends it by itself.
        _each(clients, lambda client: client.undo(order).detail)
    row.drilled_at, row.drilled_by = timezone.now(), actor
    row.drill_passed = code == 0 and not left
    row.drill_said = said + "".join(f"\n{node}: {why}" for node, why in sorted(left.items()))
    row.save(update_fields=["drilled_at", "drilled_by", "drill_passed", "drill_said"])
    log.info("bundle_drilled", cluster=cluster.name, by=str(actor), passed=row.drill_passed)
    return row


def _guards_of(actor: User, cluster: Cluster) -> list[Guard]:
    policies.require_owner(actor, "make a break-glass bundle, or drill it")
    if cluster.stage != Stage.QA:
        raise ClusterRefused(
            f"{cluster.name} is a production cluster: it has no guards and nothing to undo.",
            code="not_qa",
        )
    guards = list(Guard.objects.select_related("node").filter(node__cluster=cluster))
    if not guards:
        raise ClusterRefused(
            f"No guard is installed on {cluster.name}: `guard install` puts one on every node.",
            code="no_guards",
        )
    return guards


def _entry(guard: Guard) -> GuardEntry:
    return GuardEntry(
        node=guard.node.name,
        address=guard.address,
        port=guard.port,
        pin_pem=guard.certificate_pem,
        undo_certificate_pem=guard.undo_certificate_pem,
        undo_key_pem=decrypt(guard.undo_key_encrypted),
    )


def _row_of(cluster: Cluster, path: Path) -> BreakGlassBundle:
    try:
        read_bundle(path)
        sha256 = sha256_of(path.read_text(encoding="utf-8"))
    except BundleError as error:
        raise Invalid(str(error), code="bundle_unknown", field="bundle") from error
    row = BreakGlassBundle.objects.filter(cluster=cluster, sha256=sha256).first()
    if row is None:
        raise Invalid(
            f"{path} is no bundle that this Belay made for {cluster.name}. Make one with "
            "`belay cluster bundle`.",
            code="bundle_unknown",
            field="bundle",
        )
    return row


def _begin_drill(clients: dict[str, GuardClient], order: str, epoch: int) -> None:
    fault = Fault(kind=FaultKind.DRILL, hold_s=DRILL_HOLD_S)

    def begin(client: GuardClient) -> str:
        client.hello()
        client.arm(order, fault, epoch)
        report = client.inject(order)
        return "" if report.bitten else "the drill left no mark"

    failed = {node: why for node, why in _each(clients, begin).items() if why}
    if failed:
        raise Conflict(
            "The drill could not be armed: "
            + " ".join(f"{node}: {why}." for node, why in sorted(failed.items())),
            code="drill_not_armed",
        )


def _panic(path: Path) -> tuple[str, int]:
    """The real command, as somebody without Belay's environment would run it."""
    program = settings.BASE_DIR / "belay"
    done = subprocess.run(
        [str(program), "panic", str(path.resolve()), f"--wait={DRILL_WAIT_S}"],
        cwd="/",
        env={"PATH": os.environ.get("PATH", os.defpath)},
        capture_output=True,
        text=True,
        check=False,
        timeout=DRILL_WAIT_S + 60,
    )
    return (done.stdout + done.stderr).strip(), done.returncode


def _not_undone(clients: dict[str, GuardClient], order: str) -> dict[str, str]:
    """By our own look: whose guard does not say that this very order was undone on request."""

    def look(client: GuardClient) -> str:
        report = client.status().order
        if report is None or report.order_id != order:
            return "knows nothing of the drill"
        if report.phase is not Phase.UNDONE:
            return f"the drill is {report.phase}"
        return "" if report.undo_reason == "requested" else f"undone by {report.undo_reason}"

    return {node: why for node, why in _each(clients, look).items() if why}


def _each(clients: dict[str, GuardClient], call: Callable[[GuardClient], object]) -> dict[str, str]:
    """Call all guards at once; an empty text where it went well, else why not."""

    def one(client: GuardClient) -> str:
        try:
            return str(call(client) or "")
        except GuardError as error:
            return str(error)

    with ThreadPoolExecutor(max(1, len(clients)), "drill") as pool:
        asked = {node: pool.submit(one, client) for node, client in clients.items()}
    return {node: future.result() for node, future in asked.items()}
