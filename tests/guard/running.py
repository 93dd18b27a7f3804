"""A real guard (parent, worker, TLS, disk) on a node made of files, with a small kubelet.

Processes are real: `sleep`, started under a component's name. Only their cgroup is told by a file,
since a test must not need a kubelet's cgroups; `--proc` points the guard at that view.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

from gamedays.drivers.guard_client import GuardClient, GuardError
from gamedays.pki import KeyPair, issue_client, make_authority
from guard.install import make_key
from guard.policy import Paths, policy_json
from guard.protocol import (
    Armed,
    ArmRequest,
    Component,
    Fault,
    FaultKind,
    Hello,
    OrderReport,
    Phase,
    Policy,
    Role,
    role_uri,
    to_json,
)

ROOT = Path(__file__).resolve().parents[2]
CLUSTER_UID = "11111111-2222-3333-4444-555555555555"
POD_UID = "0123456789abcdef0123456789abcdef"
CONTAINER = "d" * 64


def await_true(what: str, look: Callable[[], object], within_s: float = 20.0) -> None:
    """Look until it is so; fail with `what` when it never was."""
    until = time.monotonic() + within_s
    while not look():
        if time.monotonic() > until:
            raise AssertionError(f"not within {within_s:g} s: {what}")
        time.sleep(0.02)


class MiniKubelet:
    """Runs one process per manifest, and starts it again when it died."""

    def __init__(self, manifests: Path, proc: Path) -> None:
        self._manifests = manifests
        self._proc = proc
        self._stop = threading.Event()
        self.paused = threading.Event()
        self.started: dict[str, int] = {}
        self._children: dict[str, subprocess.Popen[bytes]] = {}
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()
        for child in self._children.values():
            child.kill()
            child.wait()

    def pid(self, component: str) -> int | None:
        child = self._children.get(component)
        return child.pid if child is not None and child.poll() is None else None

    def _run(self) -> None:
        while not self._stop.wait(0.02):
            if self.paused.is_set():
                continue
            for component in Component:
                has_manifest = (self._manifests / f"{component}.yaml").exists()
                if has_manifest and self.pid(component) is None:
                    self._start(component)

    def _start(self, component: str) -> None:
        child = subprocess.Popen([component, "3600"], executable="/bin/sleep")
        view = self._proc / str(child.pid)
        view.mkdir(exist_ok=True)
        for name in ("stat", "cmdline"):
            if not (view / name).is_symlink():
                (view / name).symlink_to(f"/proc/{child.pid}/{name}")
        (view / "cgroup").write_text(
            f"3:cpu:/kubepods/burstable/pod{POD_UID}/{CONTAINER}\n", encoding="ascii"
        )
        self._children[component] = child
        self.started[component] = self.started.get(component, 0) + 1


class TestClient(GuardClient):
    """The product's own client, and one more way to arm."""

    __test__ = False

    def arm_for(self, order_id: str, fault: Fault, *, lease_s: float) -> Armed:
        session, sequence = self._next()
        request = ArmRequest(
            session=session,
            sequence=sequence,
            epoch=1,
            order_id=order_id,
            fault=fault,
            lease_s=lease_s,
        )
        return self._ask(Armed, "arm", to_json(request))


class GuardSite:
    """One node of files with a running guard."""

    def __init__(self, folder: Path, *, stall_s: float) -> None:
        self.stall_s = stall_s
        self.paths = Paths(
            kubernetes=folder / "kubernetes",
            state=folder / "state",
            run=folder / "run",
            proc=folder / "proc",
        )
        for path in (self.paths.manifests, self.paths.state, self.paths.proc / "1"):
            path.mkdir(parents=True)
        for component in Component:
            file = self.paths.manifests / f"{component}.yaml"
            file.write_text(f"# {component}\nkind: Pod\n", encoding="ascii")
            file.chmod(0o600)
        self.boot(1)
        self.authority = make_authority(CLUSTER_UID)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self.policy = Policy(
            installation="belay-test",
            epoch=1,
            stage="qa",
            cluster_uid=CLUSTER_UID,
            node="qa-1",
            address="127.0.0.1",
            ca_pem=self.authority.certificate_pem,
            port=port,
            lease_min_s=1.0,
        )
        self.paths.policy.write_text(policy_json(self.policy), encoding="ascii")
        self.paths.policy.chmod(0o600)
        make_key(self.paths)
        self.kubelet = MiniKubelet(self.paths.manifests, self.paths.proc)
        self.log = folder / "guard.log"
        self.parent: subprocess.Popen[bytes] | None = None
        self.before = self.manifests()

    def boot(self, number: int) -> None:
        """Which boot it is, as /proc tells it."""
        self.write_boot(self.paths.proc, number)

    @staticmethod
    def write_boot(proc: Path, number: int) -> None:
        random = proc / "sys/kernel/random"
        random.mkdir(parents=True, exist_ok=True)
        (random / "boot_id").write_text(f"boot-{number}\n", encoding="ascii")
        fields = ["S", *["0"] * 18, str(number), *["0"] * 30]
        (proc / "1/stat").write_text(f"1 (init) {' '.join(fields)}", encoding="ascii")

    def options(self) -> list[str]:
        return [
            word
            for name in ("kubernetes", "state", "run", "proc")
            for word in (f"--{name}", str(getattr(self.paths, name)))
        ]

    def command(self, *words: str) -> list[str]:
        return [sys.executable, "-m", "guard", *words, *self.options()]

    def start(self) -> None:
        self.start_as(self.command("run", "--stall", str(self.stall_s)))

    def start_as(self, command: list[str]) -> None:
        with self.log.open("ab") as log:
            self.parent = subprocess.Popen(command, cwd=ROOT, stderr=log)
        await_true("the guard answers", self.answers)

    def end(self) -> None:
        if self.parent is not None and self.parent.poll() is None:
            self.parent.send_signal(signal.SIGCONT)
            for pid in self.workers():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGCONT)
            self.parent.terminate()
            self.parent.wait(40)
        self.kubelet.stop()

    def workers(self) -> list[int]:
        """The parent's children, read from the real /proc."""
        assert self.parent is not None
        path = Path(f"/proc/{self.parent.pid}/task/{self.parent.pid}/children")
        with contextlib.suppress(OSError):
            return [int(pid) for pid in path.read_text(encoding="ascii").split()]
        return []

    def worker(self) -> int:
        await_true("there is a worker", self.workers)
        return self.workers()[0]

    def kill_worker(self) -> None:
        self.kill(self.worker())

    @staticmethod
    def kill(pid: int) -> None:
        os.kill(pid, signal.SIGKILL)

    @staticmethod
    def stop_worker(pid: int) -> None:
        """So that it cannot say goodbye when its parent goes."""
        os.kill(pid, signal.SIGSTOP)

    def run_to_end(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(*words), cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
        )

    def client(
        self,
        *,
        role: Role = Role.FULL,
        authority: KeyPair | None = None,
        uri: str | None = None,
        pair: KeyPair | None = None,
        timeout_s: float = 5.0,
    ) -> TestClient:
        made = pair or issue_client(
            authority or self.authority, uri=uri or role_uri(CLUSTER_UID, "qa-1", role)
        )
        return TestClient(
            node="qa-1",
            address="127.0.0.1",
            port=self.policy.port,
            pin_pem=self.paths.certificate.read_text(encoding="ascii"),
            certificate_pem=made.certificate_pem,
            key_pem=made.key_pem,
            timeout_s=timeout_s,
        )

    def hello(self) -> Hello | None:
        with contextlib.suppress(GuardError):
            return self.client(timeout_s=2.0).hello()
        return None

    def answers(self) -> bool:
        return self.hello() is not None

    def manifests(self) -> dict[str, tuple[str, int, int, int]]:
        """An independent look at the manifests directory."""
        found = {}
        for file in sorted(self.paths.manifests.iterdir()):
            facts = file.stat()
            digest = hashlib.sha256(file.read_bytes()).hexdigest()
            found[file.name] = (digest, facts.st_mode, facts.st_uid, facts.st_gid)
        return found

    def whole(self) -> bool:
        """Everything as before, a process runs for every manifest, nothing is left behind."""
        leftovers = list(self.paths.stash.iterdir()) if self.paths.stash.exists() else []
        return (
            self.manifests() == self.before
            and not leftovers
            and all(self.kubelet.pid(component) for component in Component)
        )

    def journalled(self) -> tuple[Phase, str]:
        """Phase and reason as they lie on the disk."""
        order = json.loads((self.paths.state / "order.json").read_bytes())["order"]
        return Phase(order["phase"]), order["undo_reason"] or ""

    def inject(
        self, client: TestClient, *, lease_s: float = 45.0, component: Component = Component.ETCD
    ) -> str:
        """Arm and inject a hold; returns the order's id once it has bitten."""
        order_id = new_order()
        client.hello()
        client.arm_for(order_id, hold(component), lease_s=lease_s)
        report: OrderReport = client.inject(order_id)
        assert report.bitten, report
        return order_id


@contextlib.contextmanager
def guard_site(folder: Path, *, stall_s: float = 10.0) -> Iterator[GuardSite]:
    """A node with a kubelet and a guard that answers; all of it ends with the block."""
    site = GuardSite(folder, stall_s=stall_s)
    site.kubelet.start()
    try:
        await_true("the components run", lambda: all(map(site.kubelet.pid, Component)))
        site.start()
        yield site
    finally:
        site.end()


def hold(component: Component = Component.ETCD, hold_s: int = 60) -> Fault:
    return Fault(kind=FaultKind.HOLD, component=component, hold_s=hold_s)


def new_order() -> str:
    return str(uuid.uuid4())


def with_policy(site: GuardSite, **changes: object) -> None:
    """Rewrite the policy file; takes effect with the next worker."""
    site.policy = dataclasses.replace(site.policy, **changes)  # type: ignore[arg-type]
    site.paths.policy.write_text(policy_json(site.policy), encoding="ascii")
