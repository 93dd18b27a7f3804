"""Guards over the years: adopted after a restored backup, and given new keys."""

from __future__ import annotations

import time
import uuid
from typing import TYPE_CHECKING

from django.db import transaction

from core.crypto import encrypt
from core.errors import ClusterRefused, ClusterUnreachable, DomainError
from gamedays.drivers.guard_client import GuardClient, GuardError, GuardRefused
from gamedays.models import ClusterAuthority, Guard, Injection
from gamedays.operations.guards import put_guards, require_owner
from gamedays.pki import make_authority
from guard.protocol import HOLD_MIN_S, Fault, FaultKind, Phase

if TYPE_CHECKING:
    from core.models import Cluster, User
    from guard.protocol import Hello

UNDONE_WITHIN_S = 300.0
"""An etcd of three was back after 100 s, with a nudge; then twice that, and some."""
_POLL_S = 0.5


def adopt_guards(*, actor: User, cluster: Cluster) -> int:
    """Take a cluster's guards over after this database was restored from a backup.

    Undoes whatever order is live on a guard, raises the epoch above every one that a guard has
    seen, and has every guard learn it by arming a drill and undoing it: from then on whatever
    still runs from before the backup is refused. May be repeated. Returns the new epoch.

    Raises:
        NotAllowed, ClusterRefused `cluster_busy`: a run of this database is live; its watchdog
            brings it to an end, or a lead resolves it.
        ClusterUnreachable: a guard gives no answer; nothing was raised.
        ClusterRefused `guard_refused`: a guard is another Belay's, or knows newer keys.
        DomainError `undo_stuck`: an order is not undone in time; the guard goes on trying.
    """
    require_owner(actor, cluster)
    _require_quiet(cluster, "adopted")
    guards = list(Guard.objects.select_related("node").filter(node__cluster=cluster))
    if not guards:
        raise ClusterRefused(
            f"{cluster.name} has no guards: install them first.", code="guard_missing"
        )
    clients = {guard.node.name: GuardClient.for_guard(guard, timeout_s=5.0) for guard in guards}
    seen = [_hello(name, client) for name, client in clients.items()]
    for hello in seen:
        if hello.order is not None:
            _undo(hello.node, clients[hello.node], hello.order.order_id)
    with transaction.atomic():
        authority = ClusterAuthority.objects.select_for_update().get(cluster=cluster)
        authority.epoch = max([authority.epoch, *(hello.epoch for hello in seen)]) + 1
        authority.save(update_fields=["epoch"])
    for name, client in clients.items():
        _teach(name, client, authority.epoch)
    Guard.objects.filter(node__cluster=cluster).update(epoch=authority.epoch)
    return authority.epoch


def rotate_guards(
    *, actor: User, cluster: Cluster, owner_kubeconfig: str, image: str
) -> list[Guard]:
    """Give a cluster a new authority, every guard a new key, and Belay new client keys.

    What leaked before opens nothing afterwards. A node that fails keeps its former keys, with
    which its guard still answers; installing once more brings it over. Nothing ever expires by
    date, so that no missed rotation can stand between anybody and an undo.

    Raises as `install_guards`, and ClusterRefused `cluster_busy`: a run is live.
    """
    require_owner(actor, cluster)
    with transaction.atomic():
        authority = ClusterAuthority.objects.select_for_update().filter(cluster=cluster).first()
        if authority is None:
            raise ClusterRefused(
                f"{cluster.name} has no guards: install them first.", code="guard_missing"
            )
        _require_quiet(cluster, "given new keys")
        pair = make_authority(str(cluster.uid))
        authority.ca_certificate_pem = pair.certificate_pem
        authority.ca_key_encrypted = encrypt(pair.key_pem)
        authority.save(update_fields=["ca_certificate_pem", "ca_key_encrypted"])
    return put_guards(
        cluster=cluster,
        authority=authority,
        owner_kubeconfig=owner_kubeconfig,
        image=image,
        fresh_keys=True,
    )


def _require_quiet(cluster: Cluster, what: str) -> None:
    live = Injection.objects.live().filter(cluster=cluster).first()
    if live is not None:
        raise ClusterRefused(
            f"{cluster.name} cannot be {what}: run {live.pk} is {live.state}. The watchdog brings "
            "it to an end; if it cannot, a lead resolves it by hand.",
            code="cluster_busy",
        )


def _hello(node: str, client: GuardClient) -> Hello:
    try:
        return client.hello()
    except GuardRefused as error:
        raise _refused(node, error) from error
    except GuardError as error:
        raise ClusterUnreachable(
            f"{error}. Every guard must answer before the epoch rises; if its node is gone for "
            "good, take it out of the cluster first. If its keys are newer than this backup, "
            "install the guards again with the owner's kubeconfig."
        ) from error


def _undo(node: str, client: GuardClient, order_id: str) -> None:
    """Ask until it is over: the order is nobody's any more."""
    give_up_at = time.monotonic() + UNDONE_WITHIN_S
    while True:
        try:
            report = client.undo(order_id)
            if report.phase is Phase.UNDONE:
                return
            why = f"{report.phase}: {report.detail}"
        except GuardError as error:
            why = str(error)
        if time.monotonic() > give_up_at:
            raise DomainError(
                f"Order {order_id} on {node} is not undone after {UNDONE_WITHIN_S:.0f} s ({why}). "
                "Its guard goes on trying; look at the node, and adopt again.",
                code="undo_stuck",
            )
        time.sleep(_POLL_S)


def _teach(node: str, client: GuardClient, epoch: int) -> None:
    """A guard keeps the epoch of what it arms; a drill is armed for that alone."""
    order_id = str(uuid.uuid4())
    try:
        client.arm(order_id, Fault(kind=FaultKind.DRILL, hold_s=HOLD_MIN_S), epoch)
    except GuardRefused as error:
        raise _refused(node, error) from error
    except GuardError as error:
        raise ClusterUnreachable(
            f"{error}. It may not know epoch {epoch} yet; adopt the cluster again."
        ) from error
    finally:
        _undo(node, client, order_id)


def _refused(node: str, error: GuardRefused) -> ClusterRefused:
    return ClusterRefused(f"The guard on {node} refuses: {error.detail}", code="guard_refused")
