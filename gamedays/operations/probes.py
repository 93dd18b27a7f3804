"""Probes of a cluster: the standard set that every scenario of the first pack needs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from django.db.models import Max

from core import policies
from core.errors import Invalid
from gamedays.choices import ProbeKind
from gamedays.models import Probe
from gamedays.probes.registry import clean_parameters

if TYPE_CHECKING:
    from core.models import Cluster, User

USER_PATIENCE_S = 4.0
"""Seconds after which a user has given up. Slower than usual is not down: the latency says that."""
CLIENT_PATIENCE_S = 3.0
"""An API server whose etcd is gone keeps a request for up to a minute; three seconds tell."""

_OURS = ("api-read", "api-write", "api-readyz", "route-change")
_OURS_BY_NODE = ("api-readyz-", "etcd-", "envoy-connected-")


@dataclass(frozen=True)
class UserProbe:
    """A request that a user of a service would make."""

    key: str
    title: str
    url: str
    host: str = ""


def check_user_probes(users: Sequence[UserProbe]) -> None:
    """Refuse what `create_standard_probes` would refuse, before a cluster is registered for it.

    Raises:
        Invalid: no address at all, one that is none, or two of one name, of which only the first
            would be asked.
    """
    if not users:
        raise Invalid("Name at least one address that a user would feel.", field="users")
    keys = [user.key for user in users]
    for user in users:
        try:
            clean_parameters(ProbeKind.HTTP, {"url": user.url, "host": user.host})
        except Invalid as error:
            raise Invalid(f"The probe {user.title!r}: {error.message}", field="users") from None
        ours = user.key in _OURS or user.key.startswith(_OURS_BY_NODE)
        if ours or keys.count(user.key) > 1:
            whose = "one of Belay's own probes" if ours else "another one"
            raise Invalid(
                f"The probe {user.title!r} would have the key {user.key!r} of {whose}: give it "
                "another title.",
                field="users",
            )


def create_standard_probes(
    *, actor: User, cluster: Cluster, users: Sequence[UserProbe]
) -> list[Probe]:
    """Give a cluster its standard probes; those that are there already are left as they are.

    `users` are what people feel: without at least one, no run on the cluster can be *held*.

    Raises:
        NotAllowed: the actor is no platform owner.
        Invalid: as `check_user_probes` says.
    """
    policies.require_owner(actor, "set up a cluster's probes")
    check_user_probes(users)
    wanted: list[dict[str, Any]] = [
        {
            "key": user.key,
            "title": user.title,
            "kind": ProbeKind.HTTP,
            "parameters": clean_parameters(ProbeKind.HTTP, {"url": user.url, "host": user.host}),
            "felt_by_users": True,
            "timeout_s": USER_PATIENCE_S,
        }
        for user in users
    ]
    wanted += [
        # Three fresh connections a second, so that a load balancer in front of three API servers
        # is seen with all of them.
        {"key": "api-read", "title": "API reads", "kind": ProbeKind.API_READ, "attempts": 3},
        {"key": "api-write", "title": "API writes (canary)", "kind": ProbeKind.CANARY_WRITE},
        {"key": "api-readyz", "title": "API ready", "kind": ProbeKind.API_READYZ},
    ]
    for node in cluster.nodes.filter(control_plane=True):
        wanted += [
            {
                "key": f"api-readyz-{node.name}",
                "title": f"API server on {node.name}",
                "kind": ProbeKind.API_READYZ,
                "target": node.name,
            },
            {
                "key": f"etcd-{node.name}",
                "title": f"etcd member on {node.name}",
                "kind": ProbeKind.ETCD_HEALTH,
                "target": node.name,
            },
        ]
    return _make(cluster, wanted)


def create_envoy_probes(
    *, actor: User, cluster: Cluster, stats: Mapping[str, str], canary_url: str, canary_host: str
) -> list[Probe]:
    """Probes of an edge of Contour and Envoy: is each Envoy connected to its control plane, and
    does a route change arrive? Those that are there already are left as they are.

    `stats`: node → where its Envoy tells its figures. `canary_host` is empty where the owner made
    no canary route. They are judged only by scenarios that speak of them.

    Raises:
        NotAllowed: the actor is no platform owner.
        Invalid: an address that is none.
    """
    policies.require_owner(actor, "set up a cluster's probes")
    wanted: list[dict[str, Any]] = [
        {
            "key": f"envoy-connected-{node}",
            "title": f"Envoy on {node} has its control plane",
            "kind": ProbeKind.ENVOY_STAT,
            "target": node,
            "parameters": clean_parameters(ProbeKind.ENVOY_STAT, {"url": url}),
        }
        for node, url in stats.items()
    ]
    if canary_host:
        given = {"url": canary_url, "host": canary_host}
        wanted.append(
            {
                "key": "route-change",
                "title": "Route changes reach Envoy",
                "kind": ProbeKind.ROUTE_CHANGE,
                "parameters": clean_parameters(ProbeKind.ROUTE_CHANGE, given),
            }
        )
    return _make(cluster, wanted)


def _make(cluster: Cluster, wanted: list[dict[str, Any]]) -> list[Probe]:
    probes = []
    last = Probe.objects.filter(cluster=cluster).aggregate(last=Max("position"))["last"]
    first = 0 if last is None else last + 1
    for position, values in enumerate(wanted, start=first):
        key = values.pop("key")
        defaults = {"timeout_s": CLIENT_PATIENCE_S, **values, "position": position}
        probe, _made = Probe.objects.get_or_create(cluster=cluster, key=key, defaults=defaults)
        probes.append(probe)
    return probes
