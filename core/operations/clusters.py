"""Registering a cluster: look first, refuse clearly, touch nothing."""

from __future__ import annotations

import uuid
import zoneinfo
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from django.conf import settings
from django.db import IntegrityError, transaction
from django.utils.text import slugify
from kubernetes import client as k8s
from urllib3.exceptions import HTTPError

from core import kube, policies
from core.choices import SetupPhase, Stage
from core.crypto import encrypt
from core.errors import ClusterRefused, ClusterUnreachable, Conflict, Invalid
from core.models import Cluster, ClusterSetup, Node
from core.names import refuse_production_name
from core.own_machine import ours_among
from core.qa_marker import require_marker

if TYPE_CHECKING:
    from core.kube import Credentials
    from core.models import Team, User


def register_cluster(
    *,
    actor: User,
    name: str,
    stage: Stage,
    team: Team,
    kubeconfig: str,
    time_zone: str = "UTC",
) -> Cluster:
    """Look at the cluster with the given credential, check that it may be used, and store it.

    Raises:
        NotAllowed: the actor is no platform owner.
        Invalid: a name or zone that cannot be used.
        ClusterRefused: the kubeconfig is no plain data, the QA marker is missing or of another
            cluster, the credential could write the marker, or the name looks like production.
        ClusterUnreachable: no answer.
        Conflict: the name or the cluster's UID is already registered.
    """
    policies.require_owner(actor, "register clusters")
    slug = slugify(name)
    if not slug:
        raise Invalid("Give the cluster a name with letters or digits.", field="name")
    if time_zone not in zoneinfo.available_timezones():
        raise Invalid(
            f"{time_zone!r} is no IANA time zone; use one like Europe/Berlin.", field="time_zone"
        )
    if stage == Stage.PRODUCTION and settings.BELAY_EMBEDDED_DATABASE:
        raise ClusterRefused(
            "With the embedded database only QA clusters can be registered. Set DATABASE_URL to "
            "a PostgreSQL server that is backed up, then register production.",
            code="production_needs_server",
        )
    if stage == Stage.QA:
        refuse_production_name(name)
    credentials = kube.parse_kubeconfig(kubeconfig)
    if stage == Stage.QA:
        refuse_production_name(urlsplit(credentials.server).hostname or "")
    facts = look_at_cluster(credentials)
    if stage == Stage.QA:
        names = [node["name"] for node in facts["nodes"]]
        require_marker(credentials, uid=facts["uid"], names=names)
        _refuse_own_home(name, facts["addresses"])
    try:
        with transaction.atomic():
            cluster = Cluster.objects.create(
                name=name,
                slug=slug,
                stage=stage,
                uid=facts["uid"],
                team=team,
                server=credentials.server,
                ca_pem=credentials.ca_pem,
                token_encrypted=encrypt(credentials.token, stage=stage),
                kubernetes_version=facts["version"],
                time_zone=time_zone,
                registered_by=actor,
            )
            Node.objects.bulk_create(Node(cluster=cluster, **node) for node in facts["nodes"])
    except IntegrityError:
        other = Cluster.objects.filter(uid=facts["uid"]).first()
        if other is not None:
            raise Conflict(
                f"This cluster (UID {facts['uid']}) is already registered as {other.name}. "
                "One cluster is registered once, so that two faults can never meet on it.",
                code="cluster_registered",
            ) from None
        raise Conflict(
            f"The name {name!r} is taken by another cluster; choose another.",
            code="name_taken",
            field="name",
        ) from None
    return cluster


def rotate_token(*, actor: User, cluster: Cluster, kubeconfig: str) -> Cluster:
    """Exchange the stored credential for a newer one of the same cluster; its address may change.

    Everything that registration asks of a credential is asked of the new one first. The old one
    is forgotten: take it out of use on the cluster.

    Raises:
        NotAllowed: the actor is no platform owner.
        ClusterRefused: as `register_cluster`, or `cluster_uid_changed`: it opens another cluster.
        ClusterUnreachable: no answer.
    """
    policies.require_owner(actor, "exchange a cluster's credential")
    credentials = kube.parse_kubeconfig(kubeconfig)
    facts = look_at_cluster(credentials)
    if facts["uid"] != cluster.uid:
        raise ClusterRefused(
            f"This kubeconfig opens the cluster with UID {facts['uid']}, and {cluster.name} is "
            f"{cluster.uid}. Nothing was changed.",
            code="cluster_uid_changed",
        )
    if cluster.stage == Stage.QA:
        names = [node["name"] for node in facts["nodes"]]
        require_marker(credentials, uid=cluster.uid, names=names)
    cluster.server, cluster.ca_pem = credentials.server, credentials.ca_pem
    cluster.token_encrypted = encrypt(credentials.token, stage=cluster.stage)
    cluster.kubernetes_version = facts["version"]
    cluster.save(update_fields=["server", "ca_pem", "token_encrypted", "kubernetes_version"])
    return cluster


def look_at_cluster(credentials: Credentials) -> dict[str, Any]:
    """UID, version, nodes and every address in it, as the API tells them; `ClusterUnreachable`
    without an answer."""
    try:
        with kube.typed(credentials) as api:
            version = k8s.VersionApi(api).get_code().git_version
            core = k8s.CoreV1Api(api)
            kube_system: Any = core.read_namespace("kube-system")
            uid = uuid.UUID(kube_system.metadata.uid)
            nodes = [_node(item) for item in core.list_node().items]
            pods: list[Any] = core.list_pod_for_all_namespaces().items
            services: list[Any] = core.list_service_for_all_namespaces().items
    except k8s.ApiException as error:
        raise ClusterRefused(
            f"The cluster answered {error.status} {error.reason} to Belay's credential. It needs "
            "the rights that `belay cluster onboard` gives; SECURITY.md names each.",
            code="credential_rights",
        ) from error
    except (HTTPError, OSError) as error:
        raise ClusterUnreachable(
            f"{credentials.server} gave no answer ({type(error).__name__}). Check the address "
            "and that this machine may reach it."
        ) from error
    addresses = {node["address"] for node in nodes}
    addresses |= {pod.status.pod_ip for pod in pods if pod.status.pod_ip}
    addresses |= {service.spec.cluster_ip for service in services if service.spec.cluster_ip}
    return {"uid": uid, "version": version, "nodes": nodes, "addresses": sorted(addresses)}


def require_target(cluster: Cluster) -> None:
    """What registration refused stays refused: asked again before each fault, from the rows.

    Raises:
        ClusterRefused: `looks_like_production`, or `own_machine`.
    """
    nodes = list(cluster.nodes.all())
    for name in (cluster.name, *(node.name for node in nodes)):
        refuse_production_name(name)
    _refuse_own_home(cluster.name, [node.address for node in nodes], services=False)


def _refuse_own_home(name: str, addresses: Iterable[str], *, services: bool = True) -> None:
    ours = ours_among(addresses, services=services)
    if ours:
        raise ClusterRefused(
            f"Belay itself, or its database or broker, runs on {name} (at {', '.join(ours)}). A "
            "fault there would take away who undoes it. Run Belay somewhere else, then register "
            "the cluster.",
            code="own_machine",
        )


def record_cluster_setup(
    *, name: str, phase: SetupPhase, cluster: Cluster | None = None, **progress: Any
) -> ClusterSetup:
    """Write down how far a cluster has come. `progress` are fields of `ClusterSetup`."""
    values = {"phase": phase, **progress}
    if cluster is not None:
        values["cluster"] = cluster
    setup, _ = ClusterSetup.objects.update_or_create(name=name, defaults=values)
    return setup


def _node(item: Any) -> dict[str, Any]:
    addresses = {a.type: a.address for a in item.status.addresses or []}
    labels = item.metadata.labels or {}
    if "InternalIP" not in addresses:
        raise ClusterRefused(
            f"Node {item.metadata.name} has no InternalIP, so that no guard could be reached on "
            "it. Look at its kubelet, then register again.",
            code="node_without_address",
        )
    return {
        "name": item.metadata.name,
        "address": addresses["InternalIP"],
        "control_plane": "node-role.kubernetes.io/control-plane" in labels,
    }
