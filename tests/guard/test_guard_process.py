"""The guard as it runs: parent, worker, TLS, real processes, real files. Inside nothing is fake."""

from __future__ import annotations

import datetime as dt
import os
import signal
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from gamedays.drivers.guard_client import GuardRefused, GuardUnreachable
from gamedays.pki import KeyPair, issue_client, make_authority
from guard.protocol import (
    Code,
    Component,
    FaultKind,
    Phase,
    Role,
    UndoReason,
    role_uri,
)
from tests.guard.running import (
    CLUSTER_UID,
    ROOT,
    GuardSite,
    await_true,
    guard_site,
    hold,
    new_order,
)

pytestmark = [pytest.mark.long, pytest.mark.timeout(180)]


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GuardSite]:
    """One guard for the tests that only talk; each leaves it whole."""
    with guard_site(tmp_path_factory.mktemp("shared")) as made:
        yield made
        assert made.whole()


@pytest.fixture
def site(tmp_path: Path) -> Iterator[GuardSite]:
    with guard_site(tmp_path) as made:
        yield made


@pytest.fixture
def impatient(tmp_path: Path) -> Iterator[GuardSite]:
    """A guard whose parent waits for a sign of life for 3 s only."""
    with guard_site(tmp_path, stall_s=3.0) as made:
        yield made


def run_to_end(command: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )


def refused(code: Code) -> pytest.RaisesExc[GuardRefused]:
    return pytest.raises(GuardRefused, check=lambda error: error.code is code)


def test_hold_and_undo_with_real_files_and_processes(site: GuardSite) -> None:
    client = site.client()
    old = site.kubelet.pid("etcd")
    assert old
    order_id = site.inject(client)
    assert site.kubelet.pid("etcd") is None
    assert "etcd.yaml" not in site.manifests()
    assert not [name for name in site.manifests() if "belay" in name]
    status = client.status()
    assert status.order is not None
    assert [process.pid for process in status.order.processes_before] == [old]
    etcd = next(one for one in status.components if one.component is Component.ETCD)
    assert etcd.manifest is None
    assert etcd.processes == []
    assert client.renew(order_id).lease_left_s == pytest.approx(45, abs=1)

    started = time.monotonic()
    assert client.undo(order_id).phase is Phase.UNDOING
    assert time.monotonic() - started < 2.0
    await_true("undone", lambda: client.undo(order_id).phase is Phase.UNDONE)
    assert site.whole()
    assert site.kubelet.pid("etcd") != old


def test_kill_and_undo(site: GuardSite) -> None:
    client = site.client()
    old = site.kubelet.pid("kube-apiserver")
    order_id = new_order()
    fault = hold(Component.KUBE_APISERVER)
    client.hello()
    client.arm(order_id, type(fault)(kind=FaultKind.KILL, component=fault.component, hold_s=5), 1)
    assert client.inject(order_id).bitten
    client.undo(order_id)
    await_true("undone", lambda: client.undo(order_id).phase is Phase.UNDONE)
    assert site.whole()
    assert site.kubelet.pid("kube-apiserver") not in (None, old)


def test_row_19_nobody_renews_and_the_guard_undoes_alone(site: GuardSite) -> None:
    site.inject(site.client(), lease_s=2.0)
    await_true("everything is back", site.whole)
    await_true("journalled", lambda: site.journalled() == (Phase.UNDONE, UndoReason.LEASE))


def test_row_21_killed_ten_times_in_a_row_it_keeps_its_order_and_undoes(site: GuardSite) -> None:
    client = site.client()
    order_id = site.inject(client)
    for _ in range(10):
        worker = site.worker()
        os.kill(worker, signal.SIGKILL)
        await_true("another worker", partial(_replaced, site, worker))
    await_true("it answers again", site.answers)
    hello = client.hello()
    assert hello.order is not None
    assert (hello.order.order_id, hello.order.phase) == (order_id, Phase.INJECTED)
    assert client.renew(order_id).phase is Phase.INJECTED
    client.undo(order_id)
    await_true("everything is back", site.whole)


def test_row_21_the_lease_runs_on_while_it_is_being_killed(site: GuardSite) -> None:
    site.inject(site.client(), lease_s=4.0)
    until = time.monotonic() + 3
    while time.monotonic() < until:
        os.kill(site.worker(), signal.SIGKILL)
        time.sleep(0.3)
    await_true("everything is back", site.whole, 10)


def test_row_22_a_stopped_worker_is_replaced_and_its_fault_undone(impatient: GuardSite) -> None:
    impatient.inject(impatient.client(), lease_s=2.0)
    worker = impatient.worker()
    os.kill(worker, signal.SIGSTOP)
    await_true("everything is back, and nobody continued it", impatient.whole, 40)
    assert impatient.worker() != worker


def test_row_22_a_guard_stopped_whole_undoes_at_once_when_continued(impatient: GuardSite) -> None:
    impatient.inject(impatient.client(), lease_s=2.0)
    assert impatient.parent
    worker = impatient.worker()
    for pid in (impatient.parent.pid, worker):
        os.kill(pid, signal.SIGSTOP)
    time.sleep(5)  # longer than the parent's patience: its own stop must not count
    assert "etcd.yaml" not in impatient.manifests(), "a stopped guard can do nothing"
    for pid in (worker, impatient.parent.pid):
        os.kill(pid, signal.SIGCONT)
    await_true("everything is back", impatient.whole, 5)
    assert impatient.worker() == worker, "the worker was not to blame"


def test_row_23_after_a_boot_it_undoes_without_being_asked(site: GuardSite) -> None:
    site.inject(site.client())
    assert site.parent
    worker = site.worker()
    # The power goes: nobody gets to say goodbye. The worker first: an orphan would undo.
    os.kill(worker, signal.SIGSTOP)
    site.parent.kill()
    os.kill(worker, signal.SIGKILL)
    site.boot(2)
    site.start()
    await_true("everything is back", site.whole)
    await_true("journalled", lambda: site.journalled() == (Phase.UNDONE, UndoReason.BOOT))


def test_a_parent_that_is_killed_leaves_no_fault_behind(site: GuardSite) -> None:
    site.inject(site.client())
    assert site.parent
    site.parent.kill()
    await_true("the orphaned worker undoes and leaves", site.whole)


def test_told_to_stop_it_undoes_first(site: GuardSite) -> None:
    site.inject(site.client())
    assert site.parent
    site.parent.terminate()
    assert site.parent.wait(40) == 0
    assert site.manifests() == site.before


def test_undo_all_on_the_node_needs_neither_network_nor_key(site: GuardSite) -> None:
    site.inject(site.client())
    done = run_to_end(site.command("undo-all", "--timeout", "20"))
    assert done.returncode == 0, done.stderr
    assert "undone" in done.stdout
    assert site.whole()


def test_undo_all_works_with_no_guard_running(site: GuardSite) -> None:
    site.inject(site.client())
    assert site.parent
    worker = site.worker()
    site.parent.kill()
    os.kill(worker, signal.SIGKILL)
    await_true("the worker is gone", lambda: not Path(f"/proc/{worker}").exists())
    done = run_to_end(site.command("undo-all", "--timeout", "20"))
    assert done.returncode == 0, done.stderr
    assert site.whole()


def test_healthz_tells_a_stopped_guard_from_a_living_one(site: GuardSite) -> None:
    await_true("healthy", lambda: run_to_end(site.command("healthz")).returncode == 0)
    site.paths.heartbeat.unlink()
    assert run_to_end(site.command("healthz")).returncode == 1


# -- who may talk ---------------------------------------------------------------------------


def test_the_undo_only_credential_undoes_and_nothing_more(shared: GuardSite) -> None:
    order_id = shared.inject(shared.client())
    limited = shared.client(role=Role.UNDO)
    hello = limited.hello()
    assert hello.order is not None
    limited.status()
    for call in (
        lambda: limited.arm(new_order(), hold(), 1),
        lambda: limited.inject(order_id),
        lambda: limited.renew(order_id),
    ):
        with refused(Code.FORBIDDEN):
            call()
    assert limited.undo(order_id).phase is Phase.UNDOING
    await_true("everything is back", shared.whole)


@pytest.mark.parametrize(
    "uri",
    [
        role_uri(CLUSTER_UID, "qa-2", Role.FULL),
        role_uri("99999999-2222-3333-4444-555555555555", "qa-1", Role.FULL),
        f"belay://{CLUSTER_UID}/qa-1/everything",
    ],
)
def test_what_was_issued_for_elsewhere_opens_nothing_here(shared: GuardSite, uri: str) -> None:
    with refused(Code.FORBIDDEN):
        shared.client(uri=uri).hello()


def test_row_30_a_second_installation_is_not_let_in(shared: GuardSite) -> None:
    with pytest.raises(GuardUnreachable):
        shared.client(authority=make_authority(CLUSTER_UID)).hello()


def test_row_40_without_a_certificate_nothing_is_answered(shared: GuardSite) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    answer = b""
    with socket.create_connection(("127.0.0.1", shared.policy.port), timeout=5) as raw:
        try:
            with context.wrap_socket(raw) as connection:
                connection.sendall(b"POST /v1/hello HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}")
                answer = connection.recv(100)
        except (ssl.SSLError, ConnectionError):
            pass
    assert answer == b""


def test_an_expired_certificate_still_undoes(shared: GuardSite) -> None:
    order_id = shared.inject(shared.client())
    pair = _expired(shared.authority, role_uri(CLUSTER_UID, "qa-1", Role.UNDO))
    assert shared.client(pair=pair).undo(order_id).phase is Phase.UNDOING
    await_true("everything is back", shared.whole)


def test_the_client_says_nothing_to_a_guard_that_it_did_not_pin(shared: GuardSite) -> None:
    client = shared.client()
    client._pin = b"another certificate"
    with pytest.raises(GuardUnreachable, match="pinned"):
        client.hello()


def test_a_client_gives_up_in_time_on_a_guard_that_stopped(shared: GuardSite) -> None:
    assert shared.parent
    client = shared.client(timeout_s=1.0)
    stopped = [shared.parent.pid, shared.worker()]
    for pid in stopped:
        os.kill(pid, signal.SIGSTOP)
    try:
        started = time.monotonic()
        with pytest.raises(GuardUnreachable, match="within 1 s"):
            client.status()
        assert time.monotonic() - started < 2.0
    finally:
        for pid in stopped:
            os.kill(pid, signal.SIGCONT)


# -- clients that behave badly --------------------------------------------------------------


def test_silent_and_slow_clients_delay_no_undo(shared: GuardSite) -> None:
    client = shared.client()
    order_id = shared.inject(client)
    address = ("127.0.0.1", shared.policy.port)
    silent = [socket.create_connection(address, timeout=5) for _ in range(100)]
    try:
        for number, connection in enumerate(silent):
            if number % 2:
                # The first bytes of a TLS record that never comes whole.
                connection.send(b"\x16\x03\x01")
        started = time.monotonic()
        assert client.undo(order_id).phase is Phase.UNDOING
        assert time.monotonic() - started < 2.0
        await_true("everything is back", shared.whole)
    finally:
        for connection in silent:
            connection.close()


def test_a_trusted_client_that_drips_bytes_is_cut_off(shared: GuardSite) -> None:
    client = shared.client()
    with (
        socket.create_connection(("127.0.0.1", shared.policy.port), timeout=10) as raw,
        client._context.wrap_socket(raw) as connection,
    ):
        started = time.monotonic()
        closed = False
        while not closed and time.monotonic() - started < 15:
            try:
                connection.send(b"P")
                connection.settimeout(0.3)
                closed = connection.recv(1) == b""
            except TimeoutError:
                continue
            except OSError:
                closed = True
        assert closed
        assert time.monotonic() - started < 10


def test_it_listens_on_its_own_address_only(shared: GuardSite) -> None:
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.2", shared.policy.port), timeout=2)


def test_without_a_policy_it_does_not_start(shared: GuardSite, tmp_path: Path) -> None:
    command = [*shared.command("run"), "--state", str(tmp_path / "nowhere")]
    done = run_to_end(command)
    assert done.returncode == 78
    assert "guard install" in done.stderr


def test_a_policy_that_others_may_read_is_refused(shared: GuardSite) -> None:
    shared.paths.policy.chmod(0o644)
    try:
        done = run_to_end(shared.command("run"))
    finally:
        shared.paths.policy.chmod(0o600)
    assert done.returncode == 78
    assert "chmod 0600" in done.stderr


def _replaced(site: GuardSite, gone: int) -> bool:
    return site.workers() not in ([], [gone])


def _expired(authority: KeyPair, uri: str) -> KeyPair:
    """A client certificate that ran out yesterday."""
    issuer = x509.load_pem_x509_certificate(authority.certificate_pem.encode())
    issuer_key = serialization.load_pem_private_key(authority.key_pem.encode(), None)
    assert isinstance(issuer_key, ec.EllipticCurvePrivateKey)
    pair = issue_client(authority, uri=uri)
    fresh = x509.load_pem_x509_certificate(pair.certificate_pem.encode())
    now = dt.datetime.now(dt.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(fresh.subject)
        .issuer_name(issuer.subject)
        .public_key(fresh.public_key())
        .serial_number(1)
        .not_valid_before(now - dt.timedelta(days=9))
        .not_valid_after(now - dt.timedelta(days=1))
    )
    for extension in fresh.extensions:
        builder = builder.add_extension(extension.value, critical=extension.critical)
    made = builder.sign(issuer_key, hashes.SHA256())
    return KeyPair(made.public_bytes(serialization.Encoding.PEM).decode(), pair.key_pem)
