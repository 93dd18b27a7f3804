"""The whole supervised stack, without a cluster: what happens when its parts fail."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from config.stack.layout import CHECKOUT, MARKER
from config.stack.processes import processes_of
from tests.stack.browser import Screenshot
from tests.stack.running import RunningStack, clean_environment, wait_until

pytestmark = pytest.mark.long

PROGRAMS = {
    "postgres",
    "redis",
    "web",
    "worker-default",
    "worker-faults",
    "worker-steps",
    "beat",
    "watchdog",
}


def demo(*arguments: str, timeout_s: float = 30) -> subprocess.CompletedProcess[str]:
    """Run `manage.py demo` where it is expected to refuse."""
    return subprocess.run(
        [sys.executable, "manage.py", "demo", "--no-range", *arguments],
        cwd=CHECKOUT,
        env=clean_environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=timeout_s,
    )


def test_every_program_runs_and_says_who_can_log_in(bare_stack: RunningStack) -> None:
    for program in PROGRAMS:
        bare_stack.await_running(program)
    assert bare_stack.base_url in bare_stack.output
    assert bare_stack.password in bare_stack.output
    for person in ("lea", "erik", "vera"):
        assert f" {person} " in bare_stack.output


def test_the_services_run_without_our_rights(bare_stack: RunningStack) -> None:
    if os.geteuid() != 0:
        pytest.skip("started by an ordinary user, the services have that user's rights")
    for program in ("postgres", "redis"):
        status = Path(f"/proc/{bare_stack.pid(program)}/status").read_text()
        assert "Uid:\t65534\t65534" in status
        environment = Path(f"/proc/{bare_stack.pid(program)}/environ").read_bytes()
        assert b"BELAY" not in environment


def test_pages_want_a_login_and_healthz_does_not(bare_stack: RunningStack) -> None:
    status, body = bare_stack.get("/")
    assert status == 200
    assert "Log in" in body
    assert bare_stack.get("/healthz") == (200, '{"database": "ok"}')


def test_static_files_are_served_without_debug(bare_stack: RunningStack) -> None:
    status, _body = bare_stack.get("/static/css/belay.css")
    assert status == 200


@pytest.mark.parametrize("program", ["redis", "worker-faults", "worker-default", "beat", "web"])
def test_a_killed_program_is_started_again(bare_stack: RunningStack, program: str) -> None:
    before = bare_stack.await_running(program)
    bare_stack.kill(program)
    after = wait_until(
        lambda: (pid := bare_stack.await_running(program)) != before and pid,
        within_s=90,
        what=f"{program} has a new process",
    )
    assert after != before
    wait_until(bare_stack.is_healthy, within_s=90, what="healthz is ok")


def test_a_killed_postgresql_comes_back_with_its_data(bare_stack: RunningStack) -> None:
    people = bare_stack.query("SELECT count(*) AS n FROM core_user")[0]["n"]
    assert people >= 4
    bare_stack.kill("postgres")
    wait_until(bare_stack.is_healthy, within_s=90, what="healthz is ok")
    assert bare_stack.query("SELECT count(*) AS n FROM core_user")[0]["n"] == people


def test_a_stopped_postgresql_is_reported_within_the_deadline(bare_stack: RunningStack) -> None:
    wait_until(bare_stack.is_healthy, within_s=90, what="healthz is ok")
    bare_stack.pause("postgres")
    try:
        began = time.monotonic()
        status, _body = bare_stack.get("/healthz")
        assert status == 503
        assert time.monotonic() - began < 25
    finally:
        bare_stack.resume("postgres")
    wait_until(bare_stack.is_healthy, within_s=90, what="healthz is ok")


SEND = """
import time
from config.celery import app
began = time.monotonic()
try:
    app.send_task("gamedays.tasks.look_for_due", queue="default", expires=5)
    print("sent", end=" ")
except Exception as error:
    print(type(error).__name__, end=" ")
print(time.monotonic() - began)
"""


@pytest.mark.parametrize("how", ["paused", "stopped"])
def test_publishing_gives_up_soon_when_redis_does_not_answer(
    bare_stack: RunningStack, how: str
) -> None:
    bare_stack.await_running("redis")
    if how == "paused":
        bare_stack.pause("redis")
    else:
        bare_stack.stop_program("redis")
    try:
        said, seconds = bare_stack.manage("shell", "-v0", "-c", SEND).stdout.split()
    finally:
        if how == "paused":
            bare_stack.resume("redis")
        else:
            bare_stack.start_program("redis")
    assert said == "OperationalError"
    assert float(seconds) < 10


def test_beats_look_reaches_a_worker_again_after_redis_was_away(bare_stack: RunningStack) -> None:
    bare_stack.kill("redis")
    bare_stack.await_running("redis")
    sent = bare_stack.manage("shell", "-v0", "-c", SEND).stdout
    assert sent.startswith("sent")

    def queue_is_drained() -> bool:
        code = (
            "from config.celery import app\n"
            "with app.connection_for_read() as c:\n"
            "    print(c.default_channel.client.llen('default'))\n"
        )
        return bare_stack.manage("shell", "-v0", "-c", code).stdout.strip() == "0"

    wait_until(queue_is_drained, within_s=40, what="the worker takes messages again")


def test_a_second_start_on_the_same_state_is_one_sentence(bare_stack: RunningStack) -> None:
    refused = demo(f"--state-dir={bare_stack.stack.state_dir}", "--port=8390")
    assert refused.returncode == 1
    assert "already runs on" in refused.stderr
    assert len(refused.stderr.strip().splitlines()) == 1


def test_a_taken_port_is_one_sentence_and_leaves_nothing() -> None:
    state_dir = Path("/tmp") / f"belay-port-{os.getpid()}"
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        refused = demo(f"--state-dir={state_dir}", f"--port={port}")
    assert refused.returncode == 1
    assert refused.stderr.startswith(f"belay: Port {port} on 127.0.0.1 is taken")
    assert len(refused.stderr.strip().splitlines()) == 1
    assert not state_dir.exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_stopping_leaves_no_process(number: signal.Signals) -> None:
    state_dir = Path("/tmp") / f"belay-stop-{os.getpid()}"
    running = RunningStack.start(state_dir, range_name=None)
    assert running.process is not None
    assert len(processes_of(state_dir, marker=MARKER)) >= len(PROGRAMS)
    running.process.send_signal(number)
    running.process.wait(timeout=60)
    assert processes_of(state_dir, marker=MARKER) == []
    assert "Everything that this demo started is stopped." in running.output
    running.end()


@pytest.mark.browser
def test_a_person_logs_in_with_what_the_demo_printed(
    bare_stack: RunningStack, page: Page, screenshot: Screenshot
) -> None:
    page.goto(bare_stack.base_url)
    screenshot(page, "login")
    page.get_by_label("Username").fill("lea")
    page.get_by_label("Password").fill(bare_stack.password)
    page.get_by_role("button", name="Log in").click()
    expect(page).to_have_url(f"{bare_stack.base_url}/")
