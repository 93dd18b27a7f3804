"""The range's Envoy on the machine: the API proxy (:6443) and the edge to the nodes (:80).

Its clusters come from a file that Envoy watches, so a change is a rename: no restart, and no
connection is lost that the change does not mean to close.
"""

from __future__ import annotations

import http.client
import json
from pathlib import Path
from typing import Any

from practice.plan import API_PORT, EDGE_PORT, ENVOY_NODE_PORT, Plan
from practice.system import wait_until, write_atomic

Object = dict[str, Any]
TYPES = "type.googleapis.com/envoy."


def directory(plan: Plan) -> Path:
    return plan.dir / "proxy"


def write_config(plan: Plan, *, check_readyz: bool) -> None:
    """Write the bootstrap (unless it is there) and the clusters."""
    where = directory(plan)
    if not (where / "bootstrap.json").exists():
        write_atomic(where / "bootstrap.json", json.dumps(bootstrap(plan), indent=1))
    write_clusters(plan, check_readyz=check_readyz)


def write_clusters(plan: Plan, *, check_readyz: bool) -> None:
    """Replace the watched file of clusters; Envoy takes it over within a moment."""
    resources = [api_cluster(plan, check_readyz=check_readyz), edge_cluster(plan)]
    for resource in resources:
        resource["@type"] = TYPES + "config.cluster.v3.Cluster"
    text = json.dumps({"resources": resources}, indent=1)
    write_atomic(directory(plan) / "clusters" / "clusters.json", text)


def checks_readyz(plan: Plan) -> bool:
    """Whether the clusters' file, as it lies there, asks /readyz."""
    path = directory(plan) / "clusters" / "clusters.json"
    if not path.exists():
        return False
    [api] = [r for r in json.loads(path.read_text())["resources"] if r["name"] == "api"]
    return "http_health_check" in api["health_checks"][0]


def argv(plan: Plan, program: Path) -> list[str]:
    """How the proxy is started. The base id keeps two ranges' shared memory apart."""
    return [
        str(program), "--config-path", str(directory(plan) / "bootstrap.json"),
        "--base-id", str(700 + plan.slot), "--concurrency", "1", "--log-level", "warning",
        "--disable-hot-restart",
    ]  # fmt: skip


def bootstrap(plan: Plan) -> Object:
    clusters = directory(plan) / "clusters"
    return {
        "node": {"id": f"proxy-{plan.name}", "cluster": "practice"},
        "admin": {"address": _address("127.0.0.1", plan.proxy_admin_port)},
        "dynamic_resources": {
            "cds_config": {
                "resource_api_version": "V3",
                "path_config_source": {
                    "path": str(clusters / "clusters.json"),
                    "watched_directory": {"path": str(clusters)},
                },
            }
        },
        "static_resources": {
            "listeners": [
                _listener("api", plan.gateway, API_PORT),
                _listener("edge", plan.gateway, EDGE_PORT),
            ]
        },
    }


def api_cluster(plan: Plan, *, check_readyz: bool) -> Object:
    """The API servers. Without `check_readyz` an open port passes for a healthy server."""
    addresses = [node.address for node in plan.control_plane_nodes]
    cluster = _cluster("api", addresses, API_PORT)
    timing: Object = {
        "timeout": "2s", "interval": "1s", "no_traffic_interval": "1s",
        "unhealthy_threshold": 2, "healthy_threshold": 1,
    }  # fmt: skip
    if not check_readyz:
        return cluster | {"health_checks": [timing | {"tcp_health_check": {}}]}
    tls = {"@type": TYPES + "extensions.transport_sockets.tls.v3.UpstreamTlsContext"}
    raw = {"@type": TYPES + "extensions.transport_sockets.raw_buffer.v3.RawBuffer"}
    return cluster | {
        "health_checks": [
            timing
            | {
                "http_health_check": {"path": "/readyz", "host": "kubernetes"},
                "transport_socket_match_criteria": {"tls": True},
            }
        ],
        # Clients bring their own TLS through the proxy; only the health check speaks it itself.
        "transport_socket_matches": [
            {
                "name": "health-check",
                "match": {"tls": True},
                "transport_socket": {
                    "name": "envoy.transport_sockets.tls",
                    "typed_config": tls,
                },
            },
            {
                "name": "clients",
                "match": {},
                "transport_socket": {
                    "name": "envoy.transport_sockets.raw_buffer",
                    "typed_config": raw,
                },
            },
        ],
        # A kept-alive connection to a sick server would go on failing for as long as it lives.
        "close_connections_on_host_health_failure": True,
        # With most servers sick, the healthy one gets the traffic, not everyone a share.
        "common_lb_config": {"healthy_panic_threshold": {"value": 0}},
    }


def edge_cluster(plan: Plan) -> Object:
    """The nodes' Envoys, for the users' traffic."""
    cluster = _cluster("edge", [node.address for node in plan.nodes], ENVOY_NODE_PORT)
    return cluster | {
        "health_checks": [
            {
                "timeout": "1s", "interval": "1s", "no_traffic_interval": "1s",
                "unhealthy_threshold": 1, "healthy_threshold": 1, "tcp_health_check": {},
            }
        ]
    }  # fmt: skip


def _cluster(name: str, addresses: list[str], port: int) -> Object:
    endpoints = [{"endpoint": {"address": _address(address, port)}} for address in addresses]
    return {
        "name": name,
        "type": "STATIC",
        "connect_timeout": "1s",
        "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": endpoints}]},
    }


def _listener(name: str, address: str, port: int) -> Object:
    return {
        "name": name,
        "address": _address(address, port),
        "filter_chains": [
            {
                "filters": [
                    {
                        "name": "envoy.filters.network.tcp_proxy",
                        "typed_config": {
                            "@type": TYPES + "extensions.filters.network.tcp_proxy.v3.TcpProxy",
                            "stat_prefix": name,
                            "cluster": name,
                            "max_connect_attempts": 3,
                        },
                    }
                ]
            }
        ],
    }


def _address(address: str, port: int) -> Object:
    return {"socket_address": {"address": address, "port_value": port}}


def wait_for_health_check(plan: Plan, *, readyz: bool) -> None:
    """Wait until the running Envoy itself says that it checks as asked, and knows who is well.

    Raises RangeError when the range's proxy is not running.
    """
    wait_until(
        lambda: running_check(plan) == readyz,
        timeout=20,
        what="the API proxy took over its new health check (is the range up?)",
    )


def running_check(plan: Plan) -> bool | None:
    """Whether the running Envoy asks /readyz; None when it does not answer or still warms up."""
    dump = ask_admin(plan, "/config_dump?resource=dynamic_active_clusters")
    if dump is None:
        return None
    for item in json.loads(dump).get("configs", []):
        cluster = item.get("cluster", {})
        if cluster.get("name") == "api":
            return "http_health_check" in cluster["health_checks"][0]
    return None


def ask_admin(plan: Plan, path: str) -> str | None:
    """Ask the proxy's admin page on loopback; None when nobody answers."""
    link = http.client.HTTPConnection("127.0.0.1", plan.proxy_admin_port, timeout=5)
    try:
        link.request("GET", path)
        answer = link.getresponse()
        return answer.read().decode() if answer.status == 200 else None
    except (OSError, http.client.HTTPException):
        return None
    finally:
        link.close()
