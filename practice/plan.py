"""Where everything of a range lies: names, addresses and paths, all from its name and slot."""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass
from pathlib import Path

from practice.system import RangeError

NAME = re.compile(r"^[a-z][a-z0-9]{0,9}$")
NODE_COUNT = 3
SLOTS = 10
"""How many ranges can stand beside each other: each has a slot, and addresses of its own."""
SHOP_HOST = "shop.qa.local"
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


@dataclass(frozen=True)
class Node:
    """One node of a range."""

    range_name: str
    slot: int
    number: int

    @property
    def name(self) -> str:
        return f"qa-{self.number}"

    @property
    def address(self) -> str:
        return f"10.{89 + 2 * self.slot}.0.{10 + self.number}"

    @property
    def pod_subnet(self) -> str:
        return f"10.{90 + 2 * self.slot}.{self.number}.0/24"

    @property
    def api_server(self) -> str:
        return f"https://{self.address}:{API_PORT}"

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

    @property
    def dir(self) -> Path:
        return range_dir(self.name)

    @property
    def logs(self) -> Path:
        return self.dir / "logs"

    @property
    def nodes(self) -> list[Node]:
        return [Node(self.name, self.slot, number) for number in range(1, NODE_COUNT + 1)]

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
        return json.dumps(
            {"name": self.name, "slot": self.slot, "crash_loop_max": self.crash_loop_max}
        )


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
    return Plan(data["name"], data["slot"], data.get("crash_loop_max", ""))
