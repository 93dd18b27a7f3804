"""What a guard process does not do: replays, forgeries, floods, a wrong calendar, lost keys."""

from __future__ import annotations

import json
import shutil
import socket
import ssl
import sys
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest

from gamedays.drivers.guard_client import GuardRefused, GuardUnreachable
from gamedays.pki import issue_client, make_authority
from guard.protocol import MAX_BODY_BYTES, Code, Json, Phase, Role, UndoReason, role_uri, to_json
from tests.guard.running import (
    CLUSTER_UID,
    GuardSite,
    await_true,
    guard_site,
    hold,
    new_order,
)

pytestmark = [pytest.mark.timeout(180), pytest.mark.long]


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GuardSite]:
    with guard_site(tmp_path_factory.mktemp("hostile")) as made:
        yield made
        assert made.whole()


@pytest.fixture
def site(tmp_path: Path) -> Iterator[GuardSite]:
    with guard_site(tmp_path) as made:
        yield made


def say(site: GuardSite, verb: str, body: Json) -> tuple[int, Json]:
    """One request as it is written here, with a good certificate; status and answer."""
    client = site.client()
    status, answer = client._exchange(verb, body, time.monotonic() + 5)
    assert isinstance(answer, dict)
    return status, answer


def arming(site: GuardSite, order_id: str, sequence: int | None = None) -> Json:
    hello = site.client().hello()
    return {
        "session": hello.session,
        "sequence": hello.sequence + 1 if sequence is None else sequence,
        "epoch": 1,
        "order_id": order_id,
        "fault": to_json(hold()),
        "lease_s": 45.0,
    }


# -- row 40 ---------------------------------------------------------------------------------


def test_row_40_a_recorded_request_does_nothing_when_it_is_sent_again(shared: GuardSite) -> None:
    order_id = new_order()
    recorded = arming(shared, order_id)
    assert say(shared, "arm", recorded)[0] == 200
    shared.client().undo(order_id)
    await_true("disarmed", lambda: shared.journalled()[0] is Phase.UNDONE)
    status, answer = say(shared, "arm", recorded)
    assert (status, answer["code"]) == (409, Code.STALE_SEQUENCE)
    # Renumbered by whoever recorded it: the order has its tombstone.
    status, answer = say(shared, "arm", arming(shared, order_id))
    assert (status, answer["code"]) == (409, Code.TOMBSTONE)
    assert shared.whole()


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"session": "0" * 32}, Code.STALE_SESSION),
        ({"sequence": 0}, Code.OUT_OF_BOUNDS),
        ({"sequence": -1}, Code.OUT_OF_BOUNDS),
        ({"epoch": 0}, Code.OLD_EPOCH),
        ({"fault": {"kind": "explode", "hold_s": 60}}, Code.MALFORMED),
        ({"fault": {"kind": "hold", "hold_s": 60}}, Code.OUT_OF_BOUNDS),
        ({"fault": {"kind": "cut", "hold_s": 60, "endpoints": []}}, Code.OUT_OF_BOUNDS),
        ({"fault": {"kind": "object", "hold_s": 60, "objects": []}}, Code.OUT_OF_BOUNDS),
        ({"shell": "rm"}, Code.MALFORMED),
        ({"lease_s": 1e9}, Code.OUT_OF_BOUNDS),
    ],
)
def test_row_40_a_request_that_is_out_of_order_or_malformed_has_no_effect(
    shared: GuardSite, changes: Json, code: Code
) -> None:
    status, answer = say(shared, "arm", arming(shared, new_order()) | changes)
    assert status in (400, 409)
    assert answer["code"] == code
    assert answer["detail"]
    assert shared.client().hello().order is None
    assert shared.whole()


def test_row_40_a_request_of_an_earlier_guard_process_is_refused(site: GuardSite) -> None:
    recorded = arming(site, new_order(), sequence=1000)
    worker = site.worker()
    site.kill_worker()
    await_true("another worker", lambda: site.workers() not in ([], [worker]) and site.answers())
    status, answer = say(site, "arm", recorded)
    assert (status, answer["code"]) == (409, Code.STALE_SESSION)


def test_row_40_a_forged_certificate_gets_no_answer(shared: GuardSite) -> None:
    forger = make_authority(CLUSTER_UID)
    forged = issue_client(forger, uri=role_uri(CLUSTER_UID, "qa-1", Role.FULL))
    for call in ("hello", "status"):
        with pytest.raises(GuardUnreachable):
            getattr(shared.client(pair=forged), call)()
    with pytest.raises(GuardUnreachable):
        shared.client(pair=forged).undo(new_order())


def test_row_40_a_body_that_is_too_large_is_refused_before_it_is_read(shared: GuardSite) -> None:
    client = shared.client()
    with client._connect(time.monotonic() + 5) as connection:
        head = f"POST /v1/arm HTTP/1.1\r\nContent-Length: {MAX_BODY_BYTES + 1}\r\n\r\n"
        connection.sendall(head.encode())
        assert connection.recv(4096).split(b"\r\n")[0].startswith(b"HTTP/1.1 413")


def test_an_undo_is_answered_while_many_half_open_clients_wait(shared: GuardSite) -> None:
    crowd = [socket.create_connection(("127.0.0.1", shared.policy.port)) for _ in range(120)]
    try:
        began = time.monotonic()
        assert shared.client().undo(new_order()).phase is Phase.UNDONE
        assert time.monotonic() - began < 5
    finally:
        for one in crowd:
            one.close()


def test_noise_on_the_port_changes_nothing(shared: GuardSite) -> None:
    for noise in (b"\x00" * 400, b"GET / HTTP/1.1\r\n\r\n", bytes(range(256)) * 8):
        with socket.create_connection(("127.0.0.1", shared.policy.port), timeout=5) as raw:
            raw.sendall(noise)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with (
        socket.create_connection(("127.0.0.1", shared.policy.port), timeout=5) as raw,
        pytest.raises((ssl.SSLError, ConnectionError)),
    ):
        context.wrap_socket(raw)
    assert shared.answers()


# -- row 24 ---------------------------------------------------------------------------------


@pytest.mark.parametrize("step_s", [3600, -3600])
def test_row_24_a_stepped_calendar_moves_no_deadline_and_blocks_no_abort(
    tmp_path: Path, step_s: int
) -> None:
    calendar = tmp_path / "calendar"
    calendar.write_text("0", encoding="ascii")
    site = GuardSite(tmp_path / "node", stall_s=10.0)
    site.kubelet.start()
    try:
        skewed = [sys.executable, "-m", "tests.guard.skewed", str(calendar), "work"]
        site.start_as([*skewed, *site.options()])
        client = site.client()
        order_id = site.inject(client, lease_s=4.0)
        began = time.monotonic()
        calendar.write_text(str(step_s), encoding="ascii")
        left = client.status().order
        assert left is not None
        assert 0 < left.lease_left_s <= 4.0
        await_true("the lease ends", lambda: site.journalled() == (Phase.UNDONE, UndoReason.LEASE))
        assert time.monotonic() - began > 2.5, "it ended early: the date was believed"
        # The stash goes just after the journal has said that it is over.
        await_true("the node is whole", site.whole)
        order = json.loads((site.paths.state / "order.json").read_bytes())["order"]
        apart = datetime.fromisoformat(order["undone_at"]) - datetime.fromisoformat(
            order["injected_at"]
        )
        assert abs(apart.total_seconds() - step_s) < 60, "the step was really seen by the guard"
        assert client.undo(order_id).phase is Phase.UNDONE

        again = site.inject(client, lease_s=45.0)
        calendar.write_text(str(-step_s), encoding="ascii")
        assert client.undo(again).phase is Phase.UNDOING, "an abort needs no date"
        await_true("everything is back", site.whole)
    finally:
        site.end()


# -- lost files -----------------------------------------------------------------------------


@pytest.mark.parametrize("lost", ["certificate", "policy"])
def test_a_guard_that_can_no_longer_serve_still_undoes(site: GuardSite, lost: str) -> None:
    site.inject(site.client())
    assert site.parent
    worker = site.worker()
    getattr(site.paths, lost).unlink()
    site.stop_worker(worker)
    site.parent.kill()
    site.kill(worker)
    # What the kubelet does: it starts the container again, and that cannot serve.
    done = site.run_to_end("run")
    assert done.returncode == 78, done.stderr
    await_true("the fault is undone", site.whole)


def _with_nobody_left(site: GuardSite) -> None:
    """A fault is live, and neither parent nor worker runs."""
    site.inject(site.client())
    assert site.parent
    worker = site.worker()
    site.stop_worker(worker)
    site.parent.kill()
    site.kill(worker)


@pytest.mark.parametrize("damage", ["not UTF-8", "a CA that is not ASCII", "no place to beat in"])
def test_a_guard_that_damage_keeps_from_serving_still_undoes(site: GuardSite, damage: str) -> None:
    _with_nobody_left(site)
    policy = site.paths.policy.read_bytes()
    if damage == "not UTF-8":
        site.paths.policy.write_bytes(b"\xff\xfe" + policy)
    elif damage == "a CA that is not ASCII":
        damaged = json.loads(policy) | {"ca_pem": "\u00e4"}
        site.paths.policy.write_text(json.dumps(damaged), encoding="utf-8")
    else:
        shutil.rmtree(site.paths.run)
        site.paths.run.write_text("a file", encoding="ascii")
    done = site.run_to_end("work")
    assert done.returncode in (75, 78), done.stderr
    assert "cannot serve" in done.stderr
    await_true("the fault is undone", site.whole)


@pytest.mark.parametrize("damage", ["gone", "not UTF-8"])
def test_undo_all_needs_no_policy(site: GuardSite, damage: str) -> None:
    _with_nobody_left(site)
    if damage == "gone":
        site.paths.policy.unlink()
    else:
        site.paths.policy.write_bytes(b"\xff\xfe")
    assert site.run_to_end("undo-all").returncode == 0
    assert site.whole()


def test_a_refusal_says_what_to_do(shared: GuardSite) -> None:
    with pytest.raises(GuardRefused, match="arm it first"):
        shared.client().inject(new_order())
