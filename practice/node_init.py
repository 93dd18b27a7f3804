"""Process 1 of a node: makes the node's own root, then keeps containerd and the kubelet alive.

Started by `nodes.py` inside fresh network, mount, UTS and PID namespaces, as
`python -m practice.node_init SPEC`. What the node sees as `/` is a directory of the range, with
the machine's programs mounted read-only: whatever happens on the node cannot touch the machine.
There is no init system on a node, so this program also reaps orphans. When it dies, the kernel
ends every process of the node: that is the plug that `range restart-node` pulls.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from practice import cgroups
from practice.keeper import Keeper, Service

NODE_PATH = "/opt/bin:/usr/sbin:/usr/bin:/sbin:/bin"
COPIED_FROM_ETC = (
    "passwd", "group", "nsswitch.conf", "ld.so.cache", "ld.so.conf", "ld.so.conf.d",
    "protocols", "services", "localtime", "ssl/certs/ca-certificates.crt",
)  # fmt: skip


@dataclass(frozen=True)
class Spec:
    """What `nodes.py` tells its node. Paths are the machine's."""

    name: str
    gateway: str
    address: str
    cgroup: str
    root: str
    programs: str
    """Directory with kubelet, kubeadm, kubectl; becomes /opt/bin."""
    images: str
    """Directory with image archives; becomes /opt/images."""
    machine_id: str


def main(spec_file: str) -> None:
    """Make the node and keep it until SIGTERM."""
    spec = Spec(**json.loads(Path(spec_file).read_text(encoding="utf-8")))
    cgroups.make_and_enter(spec.cgroup)
    hierarchies = cgroups.v1_hierarchies()
    v2_only = cgroups.is_v2_only()
    unified = (cgroups.ROOT / "unified").exists()
    root = Path(spec.root)
    make_root(root, spec)
    mount_cgroups(root, hierarchies, v2_only=v2_only, unified=unified)
    enter_root(root)
    socket.sethostname(spec.name)
    Path("/proc/sys/net/ipv4/ip_forward").write_text("1")
    serve()


def mount(*words: str) -> None:
    """Call mount(8); a failure ends the node, and its keeper tries again."""
    subprocess.run(["mount", *words], check=True)


def bind(source: str, target: Path, *, read_only: bool = False) -> None:
    """Bind a directory of the machine into the node."""
    target.mkdir(parents=True, exist_ok=True)
    mount("--bind", source, str(target))
    if read_only:
        mount("-o", "remount,bind,ro", str(target))


def make_root(root: Path, spec: Spec) -> None:
    """Fill the node's root: read-only programs, its own /etc and /var, fresh /proc, /sys, /run."""
    root.mkdir(parents=True, exist_ok=True)
    bind(str(root), root)
    mount_usr(root)
    for name in ("bin", "sbin", "lib", "lib32", "lib64", "libx32"):
        host, own = Path("/") / name, root / name
        if host.is_symlink():
            if not own.is_symlink():
                own.symlink_to(host.readlink())
        elif host.is_dir():
            bind(str(host), own, read_only=True)
    for name in ("etc", "var/lib", "var/log", "var/tmp", "root", "home", "mnt", "proc", "sys"):
        (root / name).mkdir(parents=True, exist_ok=True)
    for name in ("tmp", "run"):
        (root / name).mkdir(exist_ok=True)
        mount("-t", "tmpfs", "-o", "mode=" + ("1777" if name == "tmp" else "755"), name,
              str(root / name))  # fmt: skip
    bind(spec.programs, root / "opt/bin", read_only=True)
    bind(spec.images, root / "opt/images", read_only=True)
    bind("/usr/lib/cni", root / "opt/cni/bin", read_only=True)
    (root / "dev").mkdir(exist_ok=True)
    mount("--rbind", "/dev", str(root / "dev"))
    mount("-t", "proc", "proc", str(root / "proc"))
    mount("-t", "sysfs", "sysfs", str(root / "sys"))
    fill_etc(root / "etc", spec)


def mount_usr(root: Path) -> None:
    """Lay the machine's programs below a writable layer of the node's own.

    Pods ask for directories such as /lib/modules, which the kubelet then makes: on the node, and
    never on the machine.
    """
    upper, work = root.with_name("usr-upper"), root.with_name("usr-work")
    for path in (upper, work, root / "usr"):
        path.mkdir(exist_ok=True)
    options = f"lowerdir=/usr,upperdir={upper},workdir={work}"
    mount("-t", "overlay", "-o", options, "overlay", str(root / "usr"))


def fill_etc(etc: Path, spec: Spec) -> None:
    """Copy the little of /etc that programs need, and write what is the node's own."""
    for name in COPIED_FROM_ETC:
        source, target = Path("/etc") / name, etc / name
        if source.is_dir():
            shutil.copytree(source, target, dirs_exist_ok=True)
        elif source.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, target)
    (etc / "hostname").write_text(f"{spec.name}\n")
    (etc / "hosts").write_text(f"127.0.0.1 localhost\n{spec.address} {spec.name}\n")
    (etc / "machine-id").write_text(f"{spec.machine_id}\n")
    # Nothing answers there: names outside the cluster fail at once instead of after a timeout.
    (etc / "resolv.conf").write_text(f"nameserver {spec.gateway}\n")
    (etc / "kubernetes").mkdir(exist_ok=True)


def mount_cgroups(root: Path, v1: dict[str, str], *, v2_only: bool, unified: bool) -> None:
    """Mount every cgroup hierarchy of the machine again inside the node's fresh /sys."""
    base = root / "sys/fs/cgroup"
    if v2_only:
        mount("-t", "cgroup2", "cgroup2", str(base))
        return
    mount("-t", "tmpfs", "-o", "mode=755", "cgroup", str(base))
    for name, option in v1.items():
        (base / name).mkdir()
        mount("-t", "cgroup", "-o", option, "cgroup", str(base / name))
        for alias in option.split(","):
            if "," in option and not (base / alias).exists():
                (base / alias).symlink_to(name)  # cpu → cpu,cpuacct, as everywhere
    if unified:
        (base / "unified").mkdir()
        mount("-t", "cgroup2", "cgroup2", str(base / "unified"))


def enter_root(root: Path) -> None:
    """Change to the new root and let go of the machine's."""
    (root / ".machine").mkdir(exist_ok=True)
    os.chdir(root)
    subprocess.run(["pivot_root", ".", ".machine"], check=True)
    os.chdir("/")
    subprocess.run(["umount", "--lazy", "/.machine"], check=True)
    Path("/.machine").rmdir()
    mount("--make-rshared", "/")


def kubelet_argv() -> list[str]:
    """The kubelet with the flags that kubeadm left for it."""
    flags: list[str] = []
    file = Path("/var/lib/kubelet/kubeadm-flags.env")
    if file.exists():
        text = file.read_text(encoding="utf-8").strip().partition("=")[2]
        flags = shlex.split(text.strip('"'))
    return [
        "/opt/bin/kubelet",
        "--bootstrap-kubeconfig=/etc/kubernetes/bootstrap-kubelet.conf",
        "--kubeconfig=/etc/kubernetes/kubelet.conf",
        "--config=/var/lib/kubelet/config.yaml",
        *flags,
    ]


def serve() -> None:
    """Keep containerd and the kubelet alive and reap orphans, until SIGTERM."""
    env = {"PATH": NODE_PATH, "HOME": "/root", "LANG": "C.UTF-8"}
    containerd = Path("/run/containerd/containerd.sock")
    keeper = Keeper(records=None)
    keeper.keep(
        Service(
            name="containerd",
            argv=lambda: ["/usr/bin/containerd", "--config", "/etc/containerd/config.toml"],
            log=Path("/var/log/containerd.log"),
            env=env,
        )
    )
    keeper.keep(
        Service(
            name="kubelet",
            argv=kubelet_argv,
            log=Path("/var/log/kubelet.log"),
            env=env,
            ready=lambda: Path("/var/lib/kubelet/config.yaml").exists() and containerd.exists(),
        )
    )
    watched = {signal.SIGTERM, signal.SIGCHLD}
    signal.signal(signal.SIGCHLD, lambda *_: None)  # process 1 is sent no signal it ignores
    signal.signal(signal.SIGTERM, lambda *_: None)
    signal.pthread_sigmask(signal.SIG_BLOCK, watched)
    while True:
        keeper.tick()
        reap_orphans(keeper.pids())
        received = signal.sigtimedwait(watched, 0.5)
        if received is not None and received.si_signo == signal.SIGTERM:
            sys.exit(0)


def reap_orphans(kept: set[int]) -> None:
    """Bury the zombies that were orphaned onto process 1; the kept ones are the keeper's."""
    while True:
        try:
            ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except ChildProcessError:
            return
        if ended is None or ended.si_pid in kept:
            return
        os.waitpid(ended.si_pid, 0)


if __name__ == "__main__":
    main(sys.argv[1])
