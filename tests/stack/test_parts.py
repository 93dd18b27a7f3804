"""The stack's parts, one by one, without starting them all."""

from __future__ import annotations

import configparser
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psycopg2
import pytest
from psycopg2 import extensions

from config import env
from config.logs import hide_secrets
from config.stack.account import service_account
from config.stack.binaries import copy_binaries
from config.stack.clean import clean
from config.stack.demo import is_passed_on, stop_waves
from config.stack.errors import StackError
from config.stack.layout import Stack, existing_stack
from config.stack.postgres import Postgres
from config.stack.preflight import require_disk, require_not_running, require_port
from config.stack.processes import ProcessMark, end_processes, mark, processes_of, write_marks
from config.stack.programs import belay_programs, service_programs, supervisor_configuration
from core.db_deadline import wait_with_deadline
from tests.settings import POSTGRES

pytestmark = pytest.mark.long


@pytest.fixture
def stack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stack:
    """A stack that is laid out and never started."""
    monkeypatch.delenv("DATABASE_URL")
    monkeypatch.delenv("REDIS_URL")
    monkeypatch.delenv("BELAY_SECRET_KEY")
    monkeypatch.setattr("config.stack.layout.require_reachable", lambda *_: None)
    stack = Stack(state_dir=tmp_path / "s", port=8399)
    stack.make_directories()
    return stack


def test_secrets_are_kept_from_one_start_to_the_next_and_only_we_can_read_them(
    stack: Stack,
) -> None:
    first, second = stack.load_environment(), stack.load_environment()
    assert first == second
    assert len(first["BELAY_SECRET_KEY"]) >= 50
    assert (stack.state_dir / "stack.env").stat().st_mode & 0o777 == 0o600
    stack.sample_password()
    assert stack.sample_password_file.stat().st_mode & 0o777 == 0o600


def test_the_supervisors_configuration_holds_no_secret_and_every_program(stack: Stack) -> None:
    environment = stack.load_environment()
    programs = [
        *service_programs(stack, environment),
        *belay_programs(stack, with_range=True),
    ]
    text = supervisor_configuration(stack, programs)
    for name in ("BELAY_SECRET_KEY", "BELAY_QA_CREDENTIALS_KEY", "BELAY_POSTGRES_PASSWORD"):
        assert environment[name] not in text
    parsed = configparser.RawConfigParser()
    parsed.read_string(text)
    assert {name for name in parsed.sections() if name.startswith("program:")} == {
        f"program:{name}"
        for name in (
            *(
                "postgres",
                "redis",
                "web",
                "worker-default",
                "worker-faults",
                "worker-steps",
                "beat",
            ),
            *("watchdog", "range"),
        )
    }
    assert "--pool=threads" in parsed["program:worker-faults"]["command"]
    assert parsed["program:worker-faults"]["stopwaitsecs"] == "20"
    assert 'BELAY_DB_DEADLINE_S="5"' in parsed["program:watchdog"]["environment"]


def test_who_undoes_stops_while_the_cluster_and_the_database_still_live(stack: Stack) -> None:
    programs = [
        *service_programs(stack, stack.load_environment()),
        *belay_programs(stack, with_range=True),
    ]
    assert stop_waves(programs) == [
        ["web", "worker-default", "worker-steps", "worker-faults", "beat"],
        ["watchdog"],
        ["range"],
        ["postgres", "redis"],
    ]


def test_servers_of_ones_own_are_used_instead(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgres://belay@db.example/belay")
    environment = stack.load_environment()
    assert environment["BELAY_EMBEDDED"] == "0"
    assert [program.name for program in service_programs(stack, environment)] == ["redis"]


def test_a_too_long_path_is_refused_before_anything_is_made(tmp_path: Path) -> None:
    deep = tmp_path / ("x" * 100)
    stack = Stack(state_dir=deep)
    with pytest.raises(StackError, match="bytes too long for a socket"):
        stack.redis().prepare()


def test_a_taken_port_is_one_sentence() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(StackError, match=f"Port {port} on 127.0.0.1 is taken"):
            require_port(port)
    require_port(port)


def test_a_full_disk_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = type("Usage", (), {"free": 5 * 2**20})
    monkeypatch.setattr("shutil.disk_usage", lambda _path: usage)
    with pytest.raises(StackError, match="has 5 MiB left and Belay needs 600"):
        require_disk(tmp_path / "not" / "made" / "yet")


def test_a_second_start_on_the_same_state_is_refused(stack: Stack) -> None:
    own = mark(os.getpid())
    assert own is not None
    write_marks(stack.pid_file, {"demo": own})
    with pytest.raises(StackError, match=f"A demo \\(pid {os.getpid()}\\) already runs"):
        require_not_running(stack)


def test_a_pid_that_now_belongs_to_another_process_does_not_count(stack: Stack) -> None:
    write_marks(stack.pid_file, {"demo": ProcessMark(pid=os.getpid(), start_ticks=1)})
    require_not_running(stack)


def test_processes_are_found_by_their_mark_and_ended_even_if_they_ignore_sigterm(
    tmp_path: Path,
) -> None:
    stubborn = (
        "import signal, sys, time; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
        "print('ready', flush=True); time.sleep(60)"
    )
    ours, other = (
        subprocess.Popen(
            [sys.executable, "-c", stubborn],
            env={"BELAY_STACK": str(directory)},
            stdout=subprocess.PIPE,
        )
        for directory in (tmp_path, tmp_path / "other")
    )
    try:
        for process in (ours, other):
            assert process.stdout is not None
            assert process.stdout.readline() == b"ready\n"
        found = processes_of(tmp_path, marker="BELAY_STACK")
        assert [process.pid for process in found] == [ours.pid]
        assert end_processes(found, grace_s=0.2) == []
        assert ours.wait(timeout=5) == -signal.SIGKILL
        assert other.poll() is None
    finally:
        for process in (ours, other):
            process.kill()
            process.communicate()


class PracticeSpy:
    """Stands in for the range's own command and remembers how it was called."""

    def __init__(self) -> None:
        self.calls: list[list[str]] = []

    def __call__(self, command: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
        self.calls.append(command[1:])
        return subprocess.CompletedProcess(command, 0, stdout="", stderr="")


@pytest.fixture
def practice_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PracticeSpy:
    spy = PracticeSpy()
    monkeypatch.setenv("BELAY_RANGES_DIR", str(tmp_path / "ranges"))
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(subprocess, "run", spy)
    return spy


def test_cleaning_removes_the_state_and_the_shared_cache(
    stack: Stack, practice_command: PracticeSpy
) -> None:
    stack.load_environment()
    clean(stack, say=lambda _line: None, keep_cache=False)
    assert not stack.state_dir.exists()
    down = ["-m", "practice", "down", "--name", "demo"]
    assert practice_command.calls == [[*down, "--purge-cache"]]


def test_cleaning_never_takes_the_cache_away_from_another_range(
    stack: Stack, tmp_path: Path, practice_command: PracticeSpy
) -> None:
    (tmp_path / "ranges" / "dev").mkdir(parents=True)
    stack.load_environment()
    said: list[str] = []
    clean(stack, say=said.append, keep_cache=False)
    assert practice_command.calls == [["-m", "practice", "down", "--name", "demo"]]
    assert "Keeping the built components: the range dev uses them." in said


def test_cleaning_again_leaves_alone_what_no_demo_of_ours_raised(
    stack: Stack, tmp_path: Path, practice_command: PracticeSpy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the state directory gone, a range of the default name may be somebody else's."""
    monkeypatch.delenv("BELAY_RANGE", raising=False)
    (tmp_path / "ranges" / "demo").mkdir(parents=True)
    stack.load_environment()
    clean(stack, say=lambda _line: None, keep_cache=False)
    practice_command.calls.clear()
    said: list[str] = []
    clean(existing_stack(stack.state_dir), say=said.append, keep_cache=False)
    assert practice_command.calls == []
    assert "BELAY_RANGE=demo make clean-demo" in "\n".join(said)
    monkeypatch.setenv("BELAY_RANGE", "demo")
    clean(existing_stack(stack.state_dir), say=said.append, keep_cache=True)
    assert practice_command.calls == [["-m", "practice", "down", "--name", "demo"]]


def test_cleaning_leaves_up_a_range_that_was_only_used(
    stack: Stack, practice_command: PracticeSpy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("BELAY_RANGE", raising=False)
    stack.load_environment(raises_range=False)
    clean(existing_stack(stack.state_dir), say=lambda _line: None, keep_cache=False)
    assert practice_command.calls == []


def test_a_range_that_was_raised_once_is_cleaned_after_a_start_without_it(
    stack: Stack, practice_command: PracticeSpy
) -> None:
    stack.load_environment()
    stack.load_environment(raises_range=False)
    clean(existing_stack(stack.state_dir), say=lambda _line: None, keep_cache=True)
    assert practice_command.calls == [["-m", "practice", "down", "--name", "demo"]]


def test_cleaning_refuses_a_folder_that_no_demo_made(
    tmp_path: Path, practice_command: PracticeSpy
) -> None:
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "thesis.txt").write_text("three years of work")
    with pytest.raises(StackError, match="was not made by a demo"):
        clean(Stack(state_dir=precious), say=lambda _line: None, keep_cache=False)
    assert (precious / "thesis.txt").exists()
    assert practice_command.calls == []


def test_a_demo_heeds_every_setting_or_has_a_reason_not_to(stack: Stack) -> None:
    settings = set(re.findall(r'"(BELAY_[A-Z_]+)"', Path(env.__file__).read_text()))
    assert len(settings) > 12
    kept = set(stack.load_environment())
    heeded = {name for name in settings if name in kept or is_passed_on(name)}
    ours = {"BELAY_BARE", "BELAY_DB_DEADLINE_S", "BELAY_ALLOWED_HOSTS"}
    assert settings - heeded - ours == {"BELAY_PRODUCTION_CREDENTIALS_KEY"}


def test_logs_hide_secrets() -> None:
    hidden = hide_secrets(
        None,
        "info",
        {
            "event": "connected to postgres://belay:hunter2@db/belay",
            "token": "abc",
            "kubeconfig": "apiVersion: v1",
            "cluster": "qa-range",
            "api_key_id": 7,
            "asked": {"passphrase": "hunter2", "lines": ["Bearer abcdefghijkl"], "tries": 3},
        },
    )
    assert hidden == {
        "event": "connected to postgres://belay:[hidden]@db/belay",
        "token": "[hidden]",
        "kubeconfig": "[hidden]",
        "cluster": "qa-range",
        "api_key_id": "[hidden]",
        "asked": {"passphrase": "[hidden]", "lines": ["Bearer [hidden]"], "tries": 3},
    }


def test_row_43_a_stopped_postgresql_costs_the_deadline_and_no_more(tmp_path: Path) -> None:
    """A server that is stopped (SIGSTOP) answers no timeout of its own."""
    directory = Path("/tmp") / f"belay-stopped-{os.getpid()}"
    directory.mkdir(mode=0o711)
    server = Postgres(
        binaries=directory / "binaries",
        data=directory / "data",
        socket_dir=directory / "run",
        account=service_account(),
        password=POSTGRES.password,
        durable=False,
    )
    log = directory / "log"
    copy_binaries(server.binaries)
    server.prepare()
    process = server.start(log)
    extensions.set_wait_callback(wait_with_deadline(1.0))
    try:
        server.await_ready(timeout_s=30, log=log)

        def connect() -> extensions.connection:
            return psycopg2.connect(
                host=str(server.socket_dir), user="belay", password=server.password, dbname="belay"
            )

        connection = connect()
        cursor = connection.cursor()
        backend = connection.info.backend_pid
        os.kill(backend, signal.SIGSTOP)
        began = time.monotonic()
        with pytest.raises(psycopg2.OperationalError, match=r"did not answer within 1 s"):
            cursor.execute("SELECT 1")
        assert 0.9 < time.monotonic() - began < 3
        assert connection.closed
        os.kill(backend, signal.SIGCONT)

        # A new connection while the whole server is stopped.
        os.kill(process.pid, signal.SIGSTOP)
        began = time.monotonic()
        with pytest.raises(psycopg2.OperationalError, match=r"did not answer within 1 s"):
            connect()
        assert 0.9 < time.monotonic() - began < 3
        os.kill(process.pid, signal.SIGCONT)
        connect().close()
    finally:
        extensions.set_wait_callback(None)
        os.kill(process.pid, signal.SIGCONT)
        process.terminate()
        process.wait(timeout=30)
        shutil.rmtree(directory)
