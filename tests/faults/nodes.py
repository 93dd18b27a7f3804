"""An independent look at the range's nodes, from outside: files, processes, health.

Nothing here asks Belay: files are read on the nodes' disks, processes in the machine's own
/proc, health at the components' own ports. What the rows say is compared with this, never the
other way round.
"""

from __future__ import annotations

import ctypes
import hashlib
import http.client
import json
import ssl
import stat
import subprocess
import urllib.parse
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from config.stack.processes import ProcessMark, mark
from practice import owner, route_canary
from practice.facts import RangeFacts
from practice.plan import range_dir

API = "kube-apiserver"
SCHEDULER = "kube-scheduler"
ETCD = "etcd"
KUBELET = "kubelet"
GUARD_WORKER = ("-m", "guard", "work")
GUARD_PARENT = ("-m", "guard", "run")
_NETWORK_NAMESPACE = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True)
class FileMark:
    """What a file is: its bytes, who may do what with it, and whose it is."""

    sha256: str
    mode: int
    uid: int
    gid: int


@dataclass(frozen=True)
class NodeLook:
    """One node as somebody sees it who stands beside it."""

    name: str
    api_server: str
    root: Path
    """Its disk, as the machine sees it."""
    cgroup: str
    tls: ssl.SSLContext

    @property
    def _manifests_dir(self) -> Path:
        return self.root / "etc/kubernetes/manifests"

    @property
    def _guard_state(self) -> Path:
        return self.root / "var/lib/belay-guard"

    def manifest_path(self, component: str) -> Path:
        return self._manifests_dir / f"{component}.yaml"

    def manifests(self) -> dict[str, FileMark]:
        """Every file in the directory whose files the kubelet runs."""
        found = {}
        for path in sorted(self._manifests_dir.iterdir()):
            status = path.stat()
            found[path.name] = FileMark(
                sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
                mode=stat.S_IMODE(status.st_mode),
                uid=status.st_uid,
                gid=status.st_gid,
            )
        return found

    def stash(self) -> list[str]:
        """Whatever a fault laid aside and nobody cleared away."""
        stash = self.root / "etc/kubernetes/.belay-stash"
        return sorted(str(path.relative_to(stash)) for path in stash.rglob("*"))

    def processes(self, component: str) -> frozenset[ProcessMark]:
        """Living processes of a static pod's component; zombies are dead."""
        return frozenset(self._running(lambda words: Path(words[0]).name == component))

    def guard(self, words: tuple[str, ...]) -> frozenset[ProcessMark]:
        """The guard's processes of one kind (GUARD_WORKER or GUARD_PARENT)."""
        return frozenset(
            self._running(lambda found: tuple(found[1:4]) == words and "python" in found[0])
        )

    def program(self, name: str) -> frozenset[ProcessMark]:
        """Living processes of a program that runs on the node itself and in no pod."""
        return frozenset(self._running(lambda words: Path(words[0]).name == name, place="system"))

    def _running(self, wanted: Any, *, place: str = "kubepods/") -> Iterator[ProcessMark]:
        """Processes of this node's pods (or of another of its cgroups) whose command line is
        wanted."""
        inside = f"/{self.cgroup}/{place}"
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit():
                continue
            try:
                words = (entry / "cmdline").read_bytes().decode().split("\0")
                if not words[0] or not wanted(words):
                    continue
                ours = inside in (entry / "cgroup").read_text()
            except (FileNotFoundError, ProcessLookupError):
                continue
            if ours and (this := mark(int(entry.name))):
                yield this

    def nft(self, command: str) -> None:
        """Change a packet filter in the node's own network. Whoever adds a table deletes it."""
        inside = f"--net=/run/netns/{self.cgroup}"  # namespace and cgroup have one name
        subprocess.run(["nsenter", inside, "nft", command], check=True, timeout=10)

    def order(self) -> dict[str, Any] | None:
        """The order in the guard's journal on the node's disk; None before the first one."""
        try:
            text = (self._guard_state / "order.json").read_text()
        except FileNotFoundError:
            return None
        return dict(json.loads(text)["order"])

    def tombstones(self) -> set[str]:
        try:
            return set((self._guard_state / "tombstones").read_text().split())
        except FileNotFoundError:
            return set()

    def api_ready(self) -> bool:
        """Whether this node's own API server calls itself ready."""
        opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=self.tls)
        )
        try:
            with opener.open(f"{self.api_server}/readyz", timeout=3) as answer:
                return bool(answer.status == 200)
        except (OSError, http.client.HTTPException):
            return False

    def etcd_healthy(self) -> bool:
        """Whether this node's etcd member calls itself healthy (its port is on loopback)."""
        for member in self.processes(ETCD):
            # A thread of its own: it stays in the node's network until it ends.
            with ThreadPoolExecutor(1) as visitor:
                return visitor.submit(_etcd_health_at, member.pid).result()
        return False

    def unsteady(self) -> list[str]:
        """What does not run or is not healthy here."""
        wrong = []
        if not self.processes(API):
            wrong.append(f"{self.name}: no API server runs")
        elif not self.api_ready():
            wrong.append(f"{self.name}: the API server is not ready")
        if not self.etcd_healthy():
            wrong.append(f"{self.name}: etcd is not healthy")
        if not self.guard(GUARD_WORKER):
            wrong.append(f"{self.name}: no guard runs")
        return wrong


def _etcd_health_at(pid: int) -> bool:
    """Ask the member from inside its network. Call it in a thread that ends with it."""
    with Path(f"/proc/{pid}/ns/net").open() as network:
        if _libc.setns(network.fileno(), _NETWORK_NAMESPACE) != 0:
            raise OSError(ctypes.get_errno(), f"the network of process {pid} cannot be entered")
    connection = http.client.HTTPConnection("127.0.0.1", 2381, timeout=3)
    try:
        connection.request("GET", "/health")
        return bool(json.load(connection.getresponse())["health"] == "true")
    except (OSError, http.client.HTTPException, ValueError):
        return False
    finally:
        connection.close()


@dataclass(frozen=True)
class ClusterLook:
    """All nodes of a raised range."""

    facts: RangeFacts
    nodes: tuple[NodeLook, ...]

    @classmethod
    def of(cls, facts: RangeFacts) -> ClusterLook:
        tls = ssl.create_default_context(cafile=facts.ca_file)
        return cls(
            facts,
            tuple(
                NodeLook(
                    name=node.name,
                    api_server=node.api_server,
                    root=range_dir(facts.name) / "nodes" / node.name / "root",
                    cgroup=f"belay-{facts.name}-{node.name}",
                    tls=tls,
                )
                for node in facts.nodes
            ),
        )

    def node(self, name: str) -> NodeLook:
        return next(node for node in self.nodes if node.name == name)

    def processes(self, component: str) -> dict[str, frozenset[ProcessMark]]:
        return {node.name: node.processes(component) for node in self.nodes}

    def manifests(self) -> dict[str, dict[str, FileMark]]:
        return {node.name: node.manifests() for node in self.nodes}

    def orders(self) -> dict[str, dict[str, Any] | None]:
        return {node.name: node.order() for node in self.nodes}

    def unsteady(self) -> list[str]:
        """What does not run or is not healthy; empty when all is."""
        with ThreadPoolExecutor(len(self.nodes)) as pool:
            return [wrong for found in pool.map(NodeLook.unsteady, self.nodes) for wrong in found]

    def routes_behind(self) -> list[str]:
        """Route changes that Envoy does not serve yet, by what the API holds and Envoy answers.

        After a fault Contour may go on listening to an API server that is gone for most of a
        minute: the next fault would be refused, and rightly.
        """
        held = self.kubectl(
            "get", "httpproxy", route_canary.NAME, "-n", owner.NAMESPACE,
            "-o=jsonpath={.spec.routes[0].directResponsePolicy.body}",
        )  # fmt: skip
        edge = urllib.parse.urlsplit(self.facts.shop_url)
        connection = http.client.HTTPConnection(str(edge.hostname), edge.port or 80, timeout=5)
        try:
            connection.request("GET", "/", headers={"Host": route_canary.HOST})
            served = connection.getresponse().read().decode()
        except (OSError, http.client.HTTPException) as error:
            served = str(error)
        finally:
            connection.close()
        return [] if served == held else [f"Envoy serves {served!r}, the route says {held!r}"]

    def left_behind(self, before: dict[str, dict[str, FileMark]]) -> list[str]:
        """What of a fault is still on the cluster, against the manifests `before`."""
        left = []
        for node in self.nodes:
            now = node.manifests()
            if now != before[node.name]:
                left.append(f"{node.name}: manifests {now}, before {before[node.name]}")
            left += [f"{node.name}: stash {name}" for name in node.stash()]
            order = node.order()
            if order is not None and order["phase"] != "undone":
                left.append(f"{node.name}: order {order['recipe']['order_id']} {order['phase']}")
        return left

    def kubectl(self, *arguments: str, stdin: str | None = None) -> str:
        """The owner's kubectl."""
        program = range_dir(self.facts.name) / "bin/kubectl"
        done = subprocess.run(
            [str(program), f"--kubeconfig={self.facts.admin_kubeconfig}", *arguments],
            input=stdin, capture_output=True, text=True, check=False, timeout=60,
        )  # fmt: skip
        assert done.returncode == 0, f"kubectl {arguments}: {done.stderr}"
        return done.stdout


def pid_on_node(process: ProcessMark) -> int:
    """The process's number in its node's own process namespace."""
    for line in Path(f"/proc/{process.pid}/status").read_text().splitlines():
        if line.startswith("NSpid:"):
            return int(line.split()[2])
    raise AssertionError(f"{process} has no NSpid line")
