"""Where everything of a range lies: names, addresses and paths, all from its name and slot."""

from __future__ import annotations

import json
import os
import re
from dataclasses import asdict, dataclass
from pathlib import Path

from practice.system import RangeError

NAME = re.compile(r"^[a-z][a-z0-9]{0,9}$")
CONTROL_PLANES = 3
"""Nodes with an etcd member and an API server, unless asked for otherwise."""
CONTROL_PLANES_ALLOWED = (1, 3, 5)
"""etcd needs a majority: an even number of members survives no more losses than one fewer."""
WORKERS_MOST = 4
SLOTS = 10
"""How many ranges can stand beside each other: each has a slot, and addresses of its own."""
SHOP_HOST = "shop.qa.local"
ENVOY_STATS_PORT = 8002
"""Where Contour lets each Envoy tell its figures, on the node's own network."""
LEGACY_PORT = 9001
API_PORT = 6443
EDGE_PORT = 80
ENVOY_NODE_PORT = 8080
"""Where each node's Envoy listens for plain HTTP (host network: no packet filter needed)."""
REGISTRY_NODE_PORT = 30500
REGISTRY_HOST = "registry.belay.local"


def ranges_dir() -> Path:
    """The directory that holds every range of this machine (BELAY_RANGES_DIR)."""
    return Path(os.environ.get("BELAY_RANGES_DIR") or "/var/lib/belay/ranges")


def cache_dir() -> Path:
    """Built programs and images, shared by all ranges and kept over tear-down (BELAY_CACHE_DIR)."""
    return Path(os.environ.get("BELAY_CACHE_DIR") or "/var/cache/belay")


def check_name(name: str) -> str:
    """Return the name, or raise RangeError: it becomes part of link, namespace and cgroup names."""
    if not NAME.match(name):
        raise RangeError(
            f"{name!r} is no name for a range: use 1 to 10 small letters and digits, a letter first"
        )
    return name


def range_dir(name: str) -> Path:
    """The directory of one range."""
    return ranges_dir() / check_name(name)


def check_shape(control_planes: int, workers: int) -> None:
    """Raise RangeError unless a range can have that many nodes of each kind.

    At least two nodes run ordinary pods: Contour's two replicas stand on two nodes.
    """
    if control_planes not in CONTROL_PLANES_ALLOWED:
        allowed = ", ".join(map(str, CONTROL_PLANES_ALLOWED))
        raise RangeError(
            f"{control_planes} control-plane nodes make no sensible etcd: choose one of {allowed}"
        )
    if not 0 <= workers <= WORKERS_MOST:
        raise RangeError(f"{workers} workers are not possible: choose 0 to {WORKERS_MOST}")
    if control_planes + workers < 2:
        raise RangeError(
            "one node alone cannot hold the two Contour replicas: add `--workers 1` or more"
        )


@dataclass(frozen=True)
class Node:
    """One node of a range: a control-plane node, or (with a `worker` number) a worker."""

    range_name: str
    slot: int
    number: int
    """Its place among all nodes, from 1: addresses and cable names follow from it."""
    worker: int = 0
    """Its place among the workers, from 1; 0 for a control-plane node."""

    @property
    def name(self) -> str:
        return f"qa-w{self.worker}" if self.worker else f"qa-{self.number}"

    @property
    def is_control_plane(self) -> bool:
        return not self.worker

    @property
    def address(self) -> str:
        return f"10.{89 + 2 * self.slot}.0.{10 + self.number}"

    @property
    def pod_subnet(self) -> str:
        return f"10.{90 + 2 * self.slot}.{self.number}.0/24"

    @property
    def api_server(self) -> str:
        """Address of this node's own API server; empty on a worker, which has none."""
        return f"https://{self.address}:{API_PORT}" if self.is_control_plane else ""

    @property
    def dir(self) -> Path:
        return range_dir(self.range_name) / "nodes" / self.name

    @property
    def root(self) -> Path:
        """What the node sees as `/`."""
        return self.dir / "root"

    @property
    def netns(self) -> str:
        return f"belay-{self.range_name}-{self.name}"

    @property
    def cgroup(self) -> str:
        """The node's own cgroup, under the root of every hierarchy."""
        return f"belay-{self.range_name}-{self.name}"

    @property
    def link(self) -> str:
        """The host's end of the node's cable."""
        return f"bl-{self.range_name}-{self.number}"


@dataclass(frozen=True)
class Plan:
    """A range: its name, its slot, and how it was asked for."""

    name: str
    slot: int
    crash_loop_max: str = ""
    """The kubelet's longest pause between restarts (a duration such as 10s); empty: its own."""
    control_planes: int = CONTROL_PLANES
    workers: int = 0

    @property
    def dir(self) -> Path:
        return range_dir(self.name)

    @property
    def logs(self) -> Path:
        return self.dir / "logs"

    @property
    def nodes(self) -> list[Node]:
        """Every node, the control planes first."""
        return [*self.control_plane_nodes, *self.worker_nodes]

    @property
    def control_plane_nodes(self) -> list[Node]:
        return [Node(self.name, self.slot, n) for n in range(1, self.control_planes + 1)]

    @property
    def worker_nodes(self) -> list[Node]:
        first = self.control_planes
        return [Node(self.name, self.slot, first + n, n) for n in range(1, self.workers + 1)]

    @property
    def registry_node(self) -> Node:
        """The node whose disk holds the registry's content: it must outlive the registry's pod."""
        return self.nodes[-1]

    @property
    def keeps_pods_off_control_planes(self) -> bool:
        """Whether control planes keep kubeadm's taint: only where workers hold every pod."""
        return self.workers >= 2

    @property
    def shape(self) -> str:
        """How many nodes of each kind, in words."""
        planes, workers = self.control_planes, self.workers
        return (
            f"{planes} control-plane node{'s' if planes != 1 else ''} and "
            f"{workers or 'no'} worker{'s' if workers != 1 else ''}"
        )

    def node(self, name: str) -> Node:
        """The node of that name; RangeError names the ones there are."""
        for node in self.nodes:
            if node.name == name:
                return node
        known = ", ".join(node.name for node in self.nodes)
        raise RangeError(f"{name!r} is no node of range {self.name}: its nodes are {known}")

    @property
    def bridge(self) -> str:
        return f"bl-{self.name}"

    @property
    def gateway(self) -> str:
        """The machine's own address on the range's bridge."""
        return f"10.{89 + 2 * self.slot}.0.1"

    @property
    def node_subnet(self) -> str:
        return f"10.{89 + 2 * self.slot}.0.0/24"

    @property
    def pod_subnet(self) -> str:
        return f"10.{90 + 2 * self.slot}.0.0/16"

    @property
    def service_subnet(self) -> str:
        return f"10.{200 + self.slot}.0.0/16"

    @property
    def api_endpoint(self) -> str:
        return f"https://{self.gateway}:{API_PORT}"

    @property
    def proxy_admin_port(self) -> int:
        return 19901 + self.slot

    @property
    def proxy_admin(self) -> str:
        return f"http://127.0.0.1:{self.proxy_admin_port}"

    @property
    def shop_url(self) -> str:
        return f"http://{self.gateway}:{EDGE_PORT}/"

    @property
    def legacy_url(self) -> str:
        return f"http://{self.gateway}:{LEGACY_PORT}/"

    @property
    def admin_kubeconfig(self) -> Path:
        return self.dir / "admin.kubeconfig"

    @property
    def kubeconfig(self) -> Path:
        return self.dir / "belay.kubeconfig"

    @property
    def ca_file(self) -> Path:
        return self.dir / "ca.crt"

    def mark(self) -> dict[str, str]:
        """Environment of every process that runs for this range: tear-down finds them by it."""
        return {"BELAY_RANGE_DIR": str(self.dir)}

    def to_json(self) -> str:
        return json.dumps(asdict(self))


def load_plan(name: str) -> Plan:
    """The plan of a range that exists; RangeError when there is none."""
    path = range_dir(name) / "plan.json"
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise RangeError(
            f"there is no range {name!r}: raise it with `range up --name {name}`"
        ) from None
    except json.JSONDecodeError as error:
        raise RangeError(
            f"{path} is damaged ({error}): `range down --name {name}`, then up again"
        ) from None
    return Plan(**data)


def plan_from_disk(name: str) -> Plan:
    """The plan of a range whose plan file is gone or damaged, as far as its directories tell.

    Its addresses are not known (slot 0 stands in for them); names of nodes, links, namespaces and
    cgroups are, and tear-down needs no more. Never fewer nodes than a range usually has.
    """
    found = [path.name for path in (range_dir(name) / "nodes").glob("qa-*")]
    workers = sum(1 for node in found if node.startswith("qa-w"))
    planes = len(found) - workers
    return Plan(name, 0, control_planes=max(planes, CONTROL_PLANES), workers=workers)
