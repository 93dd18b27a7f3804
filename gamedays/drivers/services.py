"""Where the packets to a Service go: what a packet filter has to know to cut it off."""

from __future__ import annotations

from typing import Any

from kubernetes import client as k8s
from urllib3.exceptions import HTTPError

from core import kube
from core.errors import ClusterRefused, ClusterUnreachable, NotFound
from gamedays.scenarios.plan import Endpoint

_SERVICE_LABEL = "kubernetes.io/service-name"
_ADDRESS_TYPES = ("InternalIP", "ExternalIP")


def service_endpoints(
    credentials: kube.Credentials, namespace: str, name: str
) -> tuple[Endpoint, ...]:
    """Every address and TCP port of a Service: its cluster, external and load-balancer addresses,
    its node ports on every node, and its pods.

    A node filters before its own translation in one place and after it in another, so both ends
    of the translation belong to the answer.

    Raises:
        NotFound: there is no such Service.
        ClusterRefused: Belay's account may not read it.
        ClusterUnreachable: the API gave no answer.
    """
    try:
        with kube.typed(credentials) as api:
            core = k8s.CoreV1Api(api)
            service = core.read_namespaced_service(name, namespace)
            slices = k8s.DiscoveryV1Api(api).list_namespaced_endpoint_slice(
                namespace, label_selector=f"{_SERVICE_LABEL}={name}"
            )
            nodes = core.list_node() if _node_ports(service) else None
    except k8s.ApiException as error:
        raise _refused(error, namespace, name) from error
    except (HTTPError, OSError) as error:
        raise ClusterUnreachable(f"{credentials.server}: {type(error).__name__}") from error
    found = _of_service(service) | _of_slices(slices.items)
    if nodes is not None:
        found |= _of_nodes(nodes.items, _node_ports(service))
    return tuple(sorted(found))


def _of_service(service: Any) -> set[Endpoint]:
    spec = service.spec
    balancer = (service.status.load_balancer if service.status else None) or None
    ingress = (balancer.ingress if balancer else None) or []
    addresses = [
        *(spec.cluster_i_ps or []),
        *(spec.external_i_ps or []),
        *(each.ip for each in ingress if each.ip),
    ]
    return {
        Endpoint(address=address, port=port.port)
        for address in addresses
        if address and address != "None"  # a headless Service
        for port in spec.ports or []
        if _is_tcp(port)
    }


def _of_slices(slices: list[Any]) -> set[Endpoint]:
    return {
        Endpoint(address=address, port=port.port)
        for each in slices
        for endpoint in each.endpoints or []
        for address in endpoint.addresses or []
        for port in each.ports or []
        if port.port and _is_tcp(port)
    }


def _of_nodes(nodes: list[Any], ports: list[int]) -> set[Endpoint]:
    return {
        Endpoint(address=address.address, port=port)
        for node in nodes
        for address in node.status.addresses or []
        if address.type in _ADDRESS_TYPES
        for port in ports
    }


def _node_ports(service: Any) -> list[int]:
    return [p.node_port for p in service.spec.ports or [] if p.node_port and _is_tcp(p)]


def _is_tcp(port: Any) -> bool:
    return (port.protocol or "TCP") == "TCP"


def _refused(error: Any, namespace: str, name: str) -> Exception:
    if error.status == 404:
        return NotFound(
            f"There is no service {namespace}/{name} in this cluster. Choose the one that is "
            "meant, as namespace/name.",
            code="unknown_service",
        )
    return ClusterRefused(
        f"The service {namespace}/{name} may not be read ({error.status} {error.reason}). Let "
        "Belay's account read services, endpointslices and nodes.",
        code="may_not_read",
    )
