"""What runs on the range: Contour and Envoy, the registry, the shop and its neighbours."""

from __future__ import annotations

import json
from typing import Any

from practice import edge_keeper, versions
from practice.components import Built
from practice.plan import (
    LEGACY_PORT,
    REGISTRY_HOST,
    REGISTRY_NODE_PORT,
    SHOP_HOST,
    Plan,
)

Object = dict[str, Any]
SHOP_PORT = 8080
STAYS = {"key": edge_keeper.TAINT, "operator": "Exists"}
"""Toleration of the edge's own pods: what the keeper waits for must not be what it evicts."""
PUSHED = ("shop", "prices", "vouchers")
_CONFIG_DIR = "/etc/shop"
_ENVIRONMENT = [
    {"name": "SHOP_NAME", "value": "kubernetes"},
    {"name": "SHOP_ADDR", "value": f":{SHOP_PORT}"},
]


def contour(built: Built) -> list[Object]:
    """Contour's own example deployment, with the range's images and Envoy on the node's port.

    Envoy gets the host's network: the example's hostPort would need a packet filter of its own.
    """
    objects: list[Object] = json.loads(built.contour_manifests.read_text())
    kept = []
    for item in objects:
        spec = item.get("spec", {}).get("template", {}).get("spec")
        if spec is not None:
            _use_own_images(spec)
            spec["tolerations"] = [*spec.get("tolerations", []), STAYS]
        if item["kind"] == "Deployment":
            # They are applied while there is one node, and would both stay on it.
            spec["affinity"] = apart(item["spec"]["selector"]["matchLabels"])
        if item["kind"] == "DaemonSet":
            spec["hostNetwork"] = True
            spec["dnsPolicy"] = "ClusterFirstWithHostNet"
            for container in spec["containers"]:
                for port in container.get("ports", []):
                    port.pop("hostPort", None)
        if item["kind"] == "Service" and item["metadata"]["name"] == "envoy":
            item["spec"]["type"] = "ClusterIP"
            item["spec"].pop("externalTrafficPolicy", None)
        kept.append(item)
    return sorted(kept, key=_order)


def apart(labels: Object) -> Object:
    """An affinity that puts no two pods of these labels on one node."""
    term = {"topologyKey": "kubernetes.io/hostname", "labelSelector": {"matchLabels": labels}}
    return {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [term]}}


def _order(item: Object) -> int:
    first = ("Namespace", "CustomResourceDefinition", "ServiceAccount")
    return first.index(item["kind"]) if item["kind"] in first else len(first)


def _use_own_images(spec: Object) -> None:
    for container in [*spec.get("initContainers", []), *spec["containers"]]:
        own = versions.ENVOY_IMAGE if "envoyproxy" in container["image"] else versions.CONTOUR_IMAGE
        container["image"], container["imagePullPolicy"] = own, "IfNotPresent"


def registry(plan: Plan) -> list[Object]:
    """The in-cluster registry that the nodes really pull from."""
    labels = {"app": "registry"}
    config = {
        "version": 0.1,
        "log": {"level": "warn"},
        "storage": {
            "filesystem": {"rootdirectory": "/var/lib/registry"},
            "delete": {"enabled": True},
        },
        "http": {"addr": ":5000"},
    }
    container = {
        "name": "registry",
        "image": versions.REGISTRY_IMAGE,
        "imagePullPolicy": "IfNotPresent",
        "args": ["serve", "/etc/registry/config.yml"],
        "ports": [{"containerPort": 5000}],
        "readinessProbe": {"httpGet": {"path": "/v2/", "port": 5000}, "periodSeconds": 2},
        "volumeMounts": [
            {"name": "config", "mountPath": "/etc/registry"},
            {"name": "content", "mountPath": "/var/lib/registry"},
        ],
    }
    content = {"path": "/var/lib/registry", "type": "DirectoryOrCreate"}
    pod = {
        "nodeSelector": {"kubernetes.io/hostname": plan.registry_node.name},
        "containers": [container],
        "volumes": [
            {"name": "config", "configMap": {"name": "registry"}},
            {"name": "content", "hostPath": content},
        ],
    }
    name = {"name": "registry", "namespace": "registry"}
    service = {
        "type": "NodePort",
        "selector": labels,
        "ports": [{"port": 5000, "nodePort": REGISTRY_NODE_PORT}],
    }
    return [
        _namespace("registry"),
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": name,
         "data": {"config.yml": json.dumps(config)}},
        {"apiVersion": "v1", "kind": "Service", "metadata": name, "spec": service},
        _deployment(name, labels, pod, 1, strategy="Recreate"),
    ]  # fmt: skip


def shop(plan: Plan) -> list[Object]:
    """The shop: its legacy half outside the cluster, its Kubernetes half, one route for both."""
    return [
        _namespace("shop"),
        _service("shop", {"app": "shop"}, SHOP_PORT),
        _service("shop-legacy", None, LEGACY_PORT),
        {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {
                "name": "shop-legacy-1",
                "namespace": "shop",
                "labels": {"kubernetes.io/service-name": "shop-legacy"},
            },
            "addressType": "IPv4",
            "ports": [{"name": "", "port": LEGACY_PORT, "protocol": "TCP"}],
            "endpoints": [{"addresses": [plan.gateway], "conditions": {"ready": True}}],
        },
        _web("shop", replicas=2, pull="IfNotPresent"),
        _route(
            "shop",
            SHOP_HOST,
            [
                {"name": "shop-legacy", "port": 80, "weight": 90},
                {"name": "shop", "port": 80, "weight": 10},
            ],
        ),
    ]


def neighbours() -> list[Object]:
    """Two more services of the same shop, each as somebody in a hurry left it."""
    return [
        _service("prices", {"app": "prices"}, SHOP_PORT),
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": "prices", "namespace": "shop"},
            "data": {"prices.json": json.dumps({"notice": "Prices are per piece."})},
        },
        _web("prices", replicas=2, pull="Always", config="prices"),
        _route("prices", "prices.qa.local", [{"name": "prices", "port": 80}]),
        _service("vouchers", {"app": "vouchers"}, SHOP_PORT),
        _web("vouchers", replicas=1, pull="IfNotPresent"),
        _route("vouchers", "vouchers.qa.local", [{"name": "vouchers", "port": 80}]),
    ]


def _namespace(name: str) -> Object:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}


def _service(name: str, selector: Object | None, port: int) -> Object:
    spec: Object = {"ports": [{"port": 80, "targetPort": port}]}
    if selector:
        spec["selector"] = selector
    meta = {"name": name, "namespace": "shop"}
    return {"apiVersion": "v1", "kind": "Service", "metadata": meta, "spec": spec}


def _web(name: str, *, replicas: int, pull: str, config: str = "") -> Object:
    """A Deployment of the shop's program; `config` is a ConfigMap whose `<config>.json` it reads
    again whenever it changes."""
    labels = {"app": name}
    spread = {
        "maxSkew": 1,
        "topologyKey": "kubernetes.io/hostname",
        "whenUnsatisfiable": "ScheduleAnyway",
        "labelSelector": {"matchLabels": labels},
    }
    container: Object = {
        "name": name,
        "image": f"{REGISTRY_HOST}/{name}:1",
        "imagePullPolicy": pull,
        "env": _ENVIRONMENT,
        "ports": [{"containerPort": SHOP_PORT}],
        "readinessProbe": {
            "httpGet": {"path": "/healthz", "port": SHOP_PORT},
            "periodSeconds": 2,
            "timeoutSeconds": 2,
        },
        "resources": {"requests": {"cpu": "10m", "memory": "16Mi"}},
    }
    pod: Object = {"topologySpreadConstraints": [spread], "containers": [container]}
    if config:
        path = {"name": "SHOP_CONFIG", "value": f"{_CONFIG_DIR}/{config}.json"}
        container["env"] = [*_ENVIRONMENT, path]
        container["volumeMounts"] = [{"name": "config", "mountPath": _CONFIG_DIR}]
        pod["volumes"] = [{"name": "config", "configMap": {"name": config}}]
    return _deployment({"name": name, "namespace": "shop"}, labels, pod, replicas)


def _deployment(
    meta: Object, labels: Object, pod: Object, replicas: int, *, strategy: str = "RollingUpdate"
) -> Object:
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": meta | {"labels": labels},
        "spec": {
            "replicas": replicas,
            "strategy": {"type": strategy},
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": pod},
        },
    }


def _route(name: str, host: str, services: list[Object]) -> Object:
    return {
        "apiVersion": "projectcontour.io/v1",
        "kind": "HTTPProxy",
        "metadata": {"name": name, "namespace": "shop"},
        "spec": {"virtualhost": {"fqdn": host}, "routes": [{"services": services}]},
    }
