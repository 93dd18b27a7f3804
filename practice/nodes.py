"""Starting, entering and unplugging nodes, seen from the machine."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import signal
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from practice import cgroups, network
from practice.images import guard_archive, guard_image_name
from practice.keeper import Service, read_record
from practice.node_init import NODE_PATH, Spec
from practice.plan import REGISTRY_HOST, REGISTRY_NODE_PORT, Node, Plan
from practice.system import (
    REPOSITORY,
    SYSTEM_PATH,
    CommandError,
    RangeError,
    children_of,
    is_alive,
    run,
    start_ticks,
    wait_until,
    write_atomic,
)
from practice.versions import PAUSE

CONTAINERD_CONFIG = """\
version = 2
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{pause}"
  # Machines without CAP_SYS_RESOURCE refuse a lower score than their own.
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
      # By its full path: another runc, built without seccomp, may stand earlier in PATH.
      BinaryName = "/usr/sbin/runc"
  [plugins."io.containerd.grpc.v1.cri".registry]
    config_path = "/etc/containerd/certs.d"
"""
CNI_CONFIG = {
    "cniVersion": "0.4.0",
    "name": "practice",
    "plugins": [{"type": "ptp", "ipMasq": False, "ipam": {"type": "host-local"}}],
}


def service(plan: Plan, node: Node, *, programs: Path, images: Path) -> Service:
    """The node as a thing to keep alive: its namespaces are made afresh at every start."""
    spec_file = node.dir / "spec.json"

    def before() -> None:
        cut_power(node)
        for path in cgroups.existing(node.cgroup):
            cgroups.remove(path)
        network.make_node_network(plan, node)
        write_config(plan, node)
        spec = Spec(
            name=node.name,
            gateway=plan.gateway,
            address=node.address,
            cgroup=node.cgroup,
            root=str(node.root),
            programs=str(programs),
            images=str(images),
            machine_id=hashlib.sha256(node.cgroup.encode()).hexdigest()[:32],
        )
        write_atomic(spec_file, json.dumps(asdict(spec), indent=1))

    unshare = ["unshare", "--mount", "--uts", "--pid", "--fork", "--mount-proc", "--kill-child"]
    program = [sys.executable, "-m", "practice.node_init", str(spec_file)]
    argv = ["nsenter", f"--net=/run/netns/{node.netns}", *unshare, *program]
    return Service(
        name=node.name,
        argv=lambda: argv,
        log=plan.logs / f"{node.name}.log",
        before=before,
        env=plan.mark()
        | {"PATH": SYSTEM_PATH, "PYTHONPATH": str(REPOSITORY), "PYTHONDONTWRITEBYTECODE": "1"},
    )


def write_config(plan: Plan, node: Node) -> None:
    """Write containerd's and the pod network's configuration into the node's /etc."""

    etc = node.root / "etc"
    write_atomic(etc / "containerd/config.toml", CONTAINERD_CONFIG.format(pause=PAUSE))
    registry = f"http://{node.address}:{REGISTRY_NODE_PORT}"
    write_atomic(
        etc / f"containerd/certs.d/{REGISTRY_HOST}/hosts.toml",
        f'server = "{registry}"\n[host."{registry}"]\n  capabilities = ["pull", "resolve"]\n',
    )
    cni = json.loads(json.dumps(CNI_CONFIG))
    cni["plugins"][0]["ipam"] |= {
        "ranges": [[{"subnet": node.pod_subnet}]],
        "routes": [{"dst": "0.0.0.0/0"}],
    }
    write_atomic(etc / "cni/net.d/10-practice.conflist", json.dumps(cni, indent=1))


def init_pid(node: Node) -> int | None:
    """Pid, on the machine, of the node's process 1; None when the node is not running."""
    records = node.dir.parent.parent / "run"
    pid, started = read_record(records / f"{node.name}.json")
    if not pid or not is_alive(pid, started):
        return None
    # nsenter became unshare by exec; process 1 of the node is its only child.
    children = children_of(pid)
    return children[0] if children else None


def enter(node: Node) -> list[str]:
    """The beginning of a command that runs inside the node."""
    pid = init_pid(node)
    if pid is None:
        raise RangeError(f"node {node.name} is not running; `range status` tells more")
    target = f"nsenter --target={pid} --mount --uts --net --pid --".split()
    return [*target, "env", "-i", f"PATH={NODE_PATH}", "HOME=/root"]


def run_inside(node: Node, argv: Sequence[str], *, timeout: float = 60.0, log: Path | None = None,
               stdin: str | None = None) -> str:  # fmt: skip
    """Run a command inside the node and return its output; CommandError when it fails."""
    return run([*enter(node), *argv], timeout=timeout, log=log, stdin=stdin)


def runtime_answers(node: Node) -> bool:
    """Whether the node's containerd answers."""
    try:
        run_inside(node, ["ctr", "version"], timeout=10)
    except RangeError:
        return False
    return True


def import_images(node: Node, archives: Sequence[str]) -> None:
    """Import image archives (file names in /opt/images) that this node has not taken in yet.

    Archives are named by their content, so a name on record never has to be imported again.
    """
    record = node.root / "var/lib/containerd/.imported.json"
    have = set(json.loads(record.read_text())) if record.exists() else set()
    for archive in archives:
        if archive in have:
            continue
        run_inside(
            node, ["ctr", "-n", "k8s.io", "images", "import", f"/opt/images/{archive}"], timeout=300
        )
        have.add(archive)
        write_atomic(record, json.dumps(sorted(have)))


def cut_power(node: Node, *, timeout: float = 15.0) -> bool:
    """SIGKILL the node's process 1, as when the plug is pulled, and wait until it is gone.

    Returns whether there was anything to kill. Whatever else still sits in the node's cgroups
    (a node that an earlier, killed supervisor left behind) goes too.
    """
    victims = {pid for path in cgroups.existing(node.cgroup) for pid in cgroups.processes(path)}
    pid = init_pid(node)
    if pid is not None:
        victims.add(pid)
    known = {victim: start_ticks(victim) for victim in victims}
    if pid is not None:
        kill(pid)
    for victim in victims:
        kill(victim)

    def gone() -> bool:
        return not any(started and is_alive(pid, started) for pid, started in known.items())

    wait_until(gone, timeout=timeout, what=f"every process of {node.name} gone", every=0.05)
    return bool(victims)


def kill(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def wipe(node: Node) -> None:
    """Delete the node's disk. It must not be running."""
    if init_pid(node) is not None:
        raise RangeError(f"node {node.name} is running: its disk is not deleted under it")
    for name in ("root", "usr-upper", "usr-work"):
        with contextlib.suppress(FileNotFoundError):
            shutil.rmtree(node.dir / name)


ASK_KUBELET = """
import http.client
link = http.client.HTTPConnection("127.0.0.1", 10248, timeout=3)
link.request("GET", "/healthz")
raise SystemExit(link.getresponse().status != 200)
"""


def kubelet_healthy(node: Node) -> bool:
    """Whether the node's kubelet says that it is healthy (it says so on the node's loopback)."""
    ask = ["nsenter", f"--net=/run/netns/{node.netns}", sys.executable, "-I", "-c", ASK_KUBELET]
    try:
        run(ask, timeout=10)
    except CommandError:
        return False
    return True


def load_guard(plan: Plan) -> str:
    """Build the guard's image when the guard changed, import it into every node, name it."""
    archive: Path = guard_archive()
    for node in plan.nodes:
        import_images(node, [archive.name])
    return guard_image_name()
