"""The engine's own way to the guards, in this process, on the stack that is measured."""

from __future__ import annotations

from django.db import connection

from gamedays.drivers.fleet import Fleet, OrderReport
from gamedays.drivers.guard_client import GuardClient
from gamedays.models import ClusterAuthority, Guard


def fleet_of(cluster_name: str) -> Fleet:
    """The guards of a registered cluster, as a conductor would have them."""
    guards = list(Guard.objects.select_related("node").filter(node__cluster__name=cluster_name))
    if not guards:
        raise AssertionError(f"no guard is installed on {cluster_name}")
    authority = ClusterAuthority.objects.get(cluster__name=cluster_name)
    clients = {guard.node.name: GuardClient.for_guard(guard) for guard in guards}
    connection.close()  # the fleet needs no database, and the figures should not have one open
    return Fleet(clients, epoch=authority.epoch)


def orders_on(fleet: Fleet, order_id: str) -> dict[str, OrderReport | None]:
    """What each guard says of an order; None where it has another one or does not answer."""
    found: dict[str, OrderReport | None] = {}
    for node, reply in fleet.status().items():
        order = reply.value.order if reply.value else None
        found[node] = order if order is not None and order.order_id == order_id else None
    return found
