"""Where the packets to a Service go: what a packet filter has to know to cut it off."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any
from urllib.parse import quote

from core import kube
from core.errors import ClusterRefused, ClusterUnreachable, NotFound
from gamedays.scenarios.plan import Endpoint

Object = dict[str, Any]
_SERVICE_LABEL = "kubernetes.io/service-name"
_ADDRESS_TYPES = ("InternalIP", "ExternalIP")
_READ_S = 3.0


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
    what = f"service {namespace}/{name}"
    place = f"namespaces/{quote(namespace, safe='')}"
    plain = quote(name, safe="")
    service = _ask(credentials, f"/api/v1/{place}/services/{plain}", what)
    slices = _ask(
        credentials,
        f"/apis/discovery.k8s.io/v1/{place}/endpointslices"
        f"?labelSelector={quote(f'{_SERVICE_LABEL}={name}', safe='')}",
        f"endpointslices of {what}",
    )
    found = _of_service(service) | _of_slices(slices["items"])
    ports = _node_ports(service)
    if ports:
        found |= _of_nodes(_ask(credentials, "/api/v1/nodes", "nodes")["items"], ports)
    return tuple(sorted(found))


def _of_service(service: Object) -> set[Endpoint]:
    spec = service["spec"]
    ingress = service.get("status", {}).get("loadBalancer", {}).get("ingress") or []
    addresses = [
        *(spec.get("clusterIPs") or [spec.get("clusterIP")]),
        *(spec.get("externalIPs") or []),
        *(each.get("ip") for each in ingress),
    ]
    return {
        Endpoint(address=address, port=port["port"])
        for address in addresses
        if address and address != "None"  # a headless Service
        for port in _tcp(spec.get("ports"))
    }


def _of_slices(slices: Iterable[Object]) -> set[Endpoint]:
    return {
        Endpoint(address=address, port=port["port"])
        for each in slices
        for endpoint in each.get("endpoints") or []
        for address in endpoint.get("addresses") or []
        for port in _tcp(each.get("ports"))
        if port.get("port")
    }


def _of_nodes(nodes: Iterable[Object], ports: list[int]) -> set[Endpoint]:
    return {
        Endpoint(address=address["address"], port=port)
        for node in nodes
        for address in node.get("status", {}).get("addresses") or []
        if address.get("type") in _ADDRESS_TYPES
        for port in ports
    }


def _node_ports(service: Object) -> list[int]:
    return [port["nodePort"] for port in _tcp(service["spec"].get("ports")) if "nodePort" in port]


def _tcp(ports: list[Object] | None) -> list[Object]:
    return [port for port in ports or [] if port.get("protocol", "TCP") == "TCP"]


def _ask(credentials: kube.Credentials, path: str, what: str) -> Object:
    answer = kube.fresh_request(credentials, "GET", path, timeout_s=_READ_S)
    if answer.status == 404:
        raise NotFound(
            f"There is no {what} in this cluster. Choose the one that is meant, as namespace/name.",
            code="unknown_service",
        )
    if answer.status in (401, 403):
        raise ClusterRefused(
            f"Belay's account may not read {what} (HTTP {answer.status}). Let it read services, "
            "endpointslices and nodes.",
            code="may_not_read",
        )
    if answer.status != 200:
        raise ClusterUnreachable(f"HTTP {answer.status} when asked for {what}")
    try:
        return dict(answer.json())
    except (json.JSONDecodeError, TypeError, ValueError) as error:
        raise ClusterUnreachable(f"an answer that is no object when asked for {what}") from error
