"""Putting guards on a cluster's nodes, with its owner's credential and through short-lived pods.

Belay's own stored credential may create no pods: who could, could write anything on a node. So
installing takes the owner's kubeconfig, uses it, and forgets it.
"""

from __future__ import annotations

import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from django.db import transaction
from django.utils import timezone

from core import policies
from core.choices import Stage
from core.crypto import decrypt, encrypt
from core.errors import ClusterRefused, DomainError
from core.kube import typed_from_kubeconfig
from gamedays.drivers.fleet import Fleet, ask_each
from gamedays.drivers.guard_client import GuardClient, GuardError, GuardRefused
from gamedays.drivers.guard_pods import remove_namespace, run_on_node
from gamedays.models import ClusterAuthority, Guard, Injection
from gamedays.pki import KeyPair, issue_client, make_authority
from guard.protocol import DEFAULT_PORT, Policy, Role, role_uri, to_json

if TYPE_CHECKING:
    from core.models import Cluster, Node, User
    from guard.protocol import Hello

HELLO_WITHIN_S = 120.0
_POLL_S = 0.5


@dataclass(frozen=True)
class GuardView:
    """A guard as its cluster's page and `guard status` show it."""

    guard: Guard
    hello: Hello | None
    error: str


def install_guards(
    *, actor: User, cluster: Cluster, owner_kubeconfig: str, image: str
) -> list[Guard]:
    """Install, or update, the guard of every control-plane node; waits until each has answered.

    Raises:
        NotAllowed: the actor is no platform owner.
        ClusterRefused: no QA cluster, or a node refused; the text is the guard's own.
        DomainError: `guard_silent`: it was installed, and does not answer;
            `guard_not_replaced`: it answers, and is still the former one.
    """
    require_owner(actor, cluster)
    return put_guards(
        cluster=cluster,
        authority=_authority(cluster),
        owner_kubeconfig=owner_kubeconfig,
        image=image,
    )


def guards_in_place(*, cluster: Cluster, image: str) -> bool:
    """Every control-plane node's guard answers, runs `image`, and is of this Belay and epoch."""
    authority = ClusterAuthority.objects.filter(cluster=cluster).first()
    nodes = set(cluster.nodes.filter(control_plane=True).values_list("name", flat=True))
    ours = {
        view.guard.node.name
        for view in look_at_guards(cluster=cluster)
        if authority is not None
        and view.hello is not None
        and view.hello.image == image
        and view.hello.installation == authority.installation
        and view.hello.epoch == authority.epoch
    }
    return bool(nodes) and nodes <= ours


def put_guards(
    *,
    cluster: Cluster,
    authority: ClusterAuthority,
    owner_kubeconfig: str,
    image: str,
    fresh_keys: bool = False,
) -> list[Guard]:
    """One installing pod per control-plane node, and what it made, stored."""
    nodes = list(cluster.nodes.filter(control_plane=True))
    plans = [(node, policy_for(node, authority)) for node in nodes]
    with (
        typed_from_kubeconfig(owner_kubeconfig) as api,
        ThreadPoolExecutor(max(1, len(nodes)), "install-guard") as pool,
    ):
        # Side by side: a pod takes some 20 s on a busy node, and no node waits for another.
        pins = [
            pool.submit(
                run_on_node,
                api,
                node=node.name,
                image=image,
                verb="install",
                policy=policy,
                fresh_key=fresh_keys,
            )
            for node, policy in plans
        ]
    # What was installed is stored before anything that failed is told: it may be tried again.
    installed = [
        _store(node, authority, pin=pin.result(), image=image)
        for node, pin in zip(nodes, pins, strict=True)
        if pin.exception() is None
    ]
    for pin in pins:
        pin.result()
    for guard in installed:
        _await_hello(guard, image)
    return installed


def uninstall_guards(*, actor: User, cluster: Cluster, owner_kubeconfig: str, image: str) -> None:
    """Take every guard off again; refused while an order is live, here or on a node."""
    require_owner(actor, cluster)
    if Injection.objects.live().filter(cluster=cluster).exists():
        raise ClusterRefused(
            f"A fault is live on {cluster.name}: its guards hold the way back. Wait until it is "
            "clean.",
            code="cluster_busy",
        )
    authority = _authority(cluster)
    with typed_from_kubeconfig(owner_kubeconfig) as api:
        for guard in Guard.objects.select_related("node").filter(node__cluster=cluster):
            policy = policy_for(guard.node, authority)
            run_on_node(api, node=guard.node.name, image=image, verb="uninstall", policy=policy)
            guard.delete()
        remove_namespace(api)


def plan_guard(*, actor: User, node: Node) -> dict[str, object]:
    """The policy of one node's guard, for configuration management; nothing in it is secret."""
    require_owner(actor, node.cluster)
    return to_json(policy_for(node, _authority(node.cluster)))


def pin_guard(*, actor: User, node: Node, certificate_pem: str, image: str) -> Guard:
    """Store the certificate of a guard that configuration management installed."""
    require_owner(actor, node.cluster)
    return _store(node, _authority(node.cluster), pin=certificate_pem, image=image)


def ask_guards(*, actor: User, cluster: Cluster) -> list[GuardView]:
    """Ask every guard of a cluster, for a person who may run faults on it.

    Raises:
        NotFound, NotAllowed; Conflict `cluster_retired`.
    """
    policies.require_run(actor, cluster)
    return look_at_guards(cluster=cluster)


def look_at_guards(*, cluster: Cluster) -> list[GuardView]:
    """Ask every guard of a cluster, all at once; notes when each was last seen."""
    guards = list(Guard.objects.select_related("node").filter(node__cluster=cluster))
    said = ask_each(guards, Fleet.hello)
    now = timezone.now()
    views = []
    for guard in guards:
        reply = said[guard.node.name]
        if reply.value is not None:
            guard.last_seen_at, guard.version = now, reply.value.version
        views.append(GuardView(guard, reply.value, reply.error))
    seen = [view.guard for view in views if view.hello is not None]
    Guard.objects.bulk_update(seen, ["last_seen_at", "version"])
    return views


def policy_for(node: Node, authority: ClusterAuthority) -> Policy:
    """What a guard is told about itself; nothing in it is secret."""
    return Policy(
        installation=authority.installation,
        epoch=authority.epoch,
        stage=node.cluster.stage,
        cluster_uid=str(node.cluster.uid),
        node=node.name,
        address=node.address,
        ca_pem=authority.ca_certificate_pem,
        port=DEFAULT_PORT,
    )


def require_owner(actor: User, cluster: Cluster) -> None:
    policies.require_owner(actor, "install or remove guards")
    if cluster.stage != Stage.QA:
        raise ClusterRefused(
            f"{cluster.name} is a production cluster: no guard is installed there, ever.",
            code="not_qa",
        )


def _authority(cluster: Cluster) -> ClusterAuthority:
    with transaction.atomic():
        found = ClusterAuthority.objects.select_for_update().filter(cluster=cluster).first()
        if found is not None:
            return found
        pair = make_authority(str(cluster.uid))
        return ClusterAuthority.objects.create(
            cluster=cluster,
            ca_certificate_pem=pair.certificate_pem,
            ca_key_encrypted=encrypt(pair.key_pem),
            installation=uuid.uuid4().hex,
        )


def _store(node: Node, authority: ClusterAuthority, *, pin: str, image: str) -> Guard:
    """New client keys at every installation: what was copied before opens nothing new."""
    pair = KeyPair(authority.ca_certificate_pem, decrypt(authority.ca_key_encrypted))
    uid = str(node.cluster.uid)
    full = issue_client(pair, uri=role_uri(uid, node.name, Role.FULL))
    undo = issue_client(pair, uri=role_uri(uid, node.name, Role.UNDO))
    guard, _made = Guard.objects.update_or_create(
        node=node,
        defaults={
            "address": node.address,
            "port": DEFAULT_PORT,
            "certificate_pem": pin,
            "client_certificate_pem": full.certificate_pem,
            "client_key_encrypted": encrypt(full.key_pem),
            "undo_certificate_pem": undo.certificate_pem,
            "undo_key_encrypted": encrypt(undo.key_pem),
            "image": image,
            "epoch": authority.epoch,
            "installed_at": timezone.now(),
        },
    )
    return guard


def _await_hello(guard: Guard, image: str) -> None:
    client = GuardClient.for_guard(guard)
    give_up_at = time.monotonic() + HELLO_WITHIN_S
    while True:
        try:
            hello = client.hello()
        except GuardRefused as error:
            raise ClusterRefused(
                f"The guard on {guard.node.name} refuses this Belay: {error.detail}",
                code="guard_refused",
            ) from error
        except GuardError as error:
            if time.monotonic() > give_up_at:
                raise DomainError(
                    f"The guard on {guard.node.name} was installed and does not answer at "
                    f"{guard.address}:{guard.port}: {error}. Is the image {image} on the node, "
                    "and may this machine reach that port?",
                    code="guard_silent",
                ) from error
            time.sleep(_POLL_S)
            continue
        if hello.image != image:
            # The guard that is being replaced answers until the kubelet has ended it.
            if time.monotonic() > give_up_at:
                raise DomainError(
                    f"The guard on {guard.node.name} still runs {hello.image or 'an old image'}, "
                    f"{HELLO_WITHIN_S:.0f} s after {image} was installed. Can the node pull it?",
                    code="guard_not_replaced",
                )
            time.sleep(_POLL_S)
            continue
        guard.version = hello.version
        guard.last_seen_at = timezone.now()
        guard.save(update_fields=["version", "last_seen_at"])
        return
