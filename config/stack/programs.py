"""Every supervised program, and the supervisor's configuration that is made of them.

Nothing secret stands in the configuration: programs get their variables from the supervisor's
own environment.
"""

from __future__ import annotations

import os
import shlex
import sys
from dataclasses import dataclass, field
from enum import IntEnum

from config.stack.layout import CHECKOUT, Stack
from config.stack.postgres import clean_environment

ENGINE_DB_DEADLINE_S = 5
"""A conductor that cannot reach the database must undo soon, so it may not wait long for it."""
WEB_DB_DEADLINE_S = 5
FAULT_THREADS = 8
DEFAULT_THREADS = 4
STEP_THREADS = 4
WEB_PROCESSES = 2
WEB_THREADS = 8


class Wave(IntEnum):
    """In which order programs stop: who undoes goes while its cluster lives, and whom the undo
    is recorded by goes last. Within a wave they stop together."""

    WORK = 1
    """Conductors undo, pages end."""
    WATCH = 2
    """The watchdog takes over what a conductor did not finish."""
    CLUSTER = 3
    SERVICES = 4


@dataclass(frozen=True, slots=True)
class Program:
    """One supervised program."""

    name: str
    command: list[str]
    wave: Wave
    autostart: bool = False
    stop_signal: str = "TERM"
    stop_wait_s: int = 10
    """Seconds between the stop signal and SIGKILL."""
    environment: dict[str, str] = field(default_factory=dict)
    user: str | None = None


def service_programs(stack: Stack, environment: dict[str, str]) -> list[Program]:
    """PostgreSQL and Redis, unless the environment names servers of its own."""
    programs = []
    postgres, redis = stack.postgres(environment), stack.redis()
    if environment["DATABASE_URL"] == postgres.url:
        programs.append(
            Program(
                name="postgres",
                command=_without_environment(postgres.command()),
                wave=Wave.SERVICES,
                autostart=True,
                # "Fast": ends sessions and writes everything down, without waiting for clients.
                stop_signal="INT",
                stop_wait_s=20,
                user=postgres.account.name if postgres.account.differs else None,
            )
        )
    if environment["REDIS_URL"] == redis.url:
        programs.append(
            Program(
                name="redis",
                command=_without_environment(redis.command()),
                wave=Wave.SERVICES,
                autostart=True,
                user=redis.account.name if redis.account.differs else None,
            )
        )
    return programs


def belay_programs(stack: Stack, *, with_range: bool) -> list[Program]:
    """Belay's own processes; started once the database is migrated."""
    engine = {"BELAY_DB_DEADLINE_S": str(ENGINE_DB_DEADLINE_S)}
    programs = [
        Program(
            name="web",
            command=[
                *_python("-m", "gunicorn", "config.wsgi:application"),
                f"--bind=127.0.0.1:{stack.port}",
                "--worker-class=gthread",
                f"--workers={WEB_PROCESSES}",
                f"--threads={WEB_THREADS}",
                "--timeout=30",
                "--graceful-timeout=3",
                "--keep-alive=5",
                "--no-control-socket",
                "--worker-tmp-dir=/dev/shm",
                "--name=belay-web",
            ],
            wave=Wave.WORK,
            environment={"BELAY_DB_DEADLINE_S": str(WEB_DB_DEADLINE_S)},
        ),
        Program(
            name="worker-default",
            command=_worker("worker-default", queues="default", threads=DEFAULT_THREADS),
            wave=Wave.WORK,
            environment=engine,
        ),
        Program(
            name="worker-steps",
            command=_worker("worker-steps", queues="steps", threads=STEP_THREADS),
            wave=Wave.WORK,
            # Told to stop, conductors put back what exposes users first.
            stop_wait_s=20,
            environment=engine,
        ),
        Program(
            name="worker-faults",
            command=_worker("worker-faults", queues="faults", threads=FAULT_THREADS),
            wave=Wave.WORK,
            # Told to stop, conductors undo first; the watchdog and the guards are behind them.
            stop_wait_s=20,
            environment=engine,
        ),
        Program(
            name="beat",
            command=_python("-m", "celery", "-A", "config", "beat", "--pidfile="),
            wave=Wave.WORK,
            environment=engine,
        ),
        Program(
            name="watchdog",
            command=_manage("watchdog"),
            wave=Wave.WATCH,
            environment=engine,
        ),
    ]
    if with_range:
        programs.append(
            Program(
                name="range",
                command=_manage("demo_range"),
                wave=Wave.CLUSTER,
                # Taking three nodes down: their processes, mounts, namespaces and files.
                stop_wait_s=180,
            )
        )
    return programs


def supervisor_configuration(stack: Stack, programs: list[Program]) -> str:
    """The supervisord.conf that runs these programs."""
    sections = [
        "; Written by Belay at every start; changes are lost.",
        "[unix_http_server]",
        f"file={_escaped(str(stack.supervisor_socket))}",
        "chmod=0600",
        "",
        "[supervisord]",
        "nodaemon=true",
        "silent=true",
        f"logfile={_escaped(str(stack.log('supervisor')))}",
        "logfile_maxbytes=5MB",
        "logfile_backups=2",
        f"pidfile={_escaped(str(stack.supervisor_dir / 'supervisord.pid'))}",
        f"childlogdir={_escaped(str(stack.logs))}",
        "umask=077",
        *(["user=root"] if os.geteuid() == 0 else []),
        "",
        "[rpcinterface:supervisor]",
        "supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface",
        "",
    ]
    for program in programs:
        sections += [*_section(stack, program), ""]
    return "\n".join(sections)


def _section(stack: Stack, program: Program) -> list[str]:
    lines = [
        f"[program:{program.name}]",
        f"command={_escaped(shlex.join(program.command))}",
        f"directory={_escaped(str(CHECKOUT))}",
        f"priority={100 - int(program.wave)}",
        f"autostart={'true' if program.autostart else 'false'}",
        "autorestart=true",
        # A program that fails at once is tried again for minutes (the pause grows by a second
        # each time), because what it waits for may come back.
        "startsecs=1",
        "startretries=60",
        f"stopsignal={program.stop_signal}",
        f"stopwaitsecs={program.stop_wait_s}",
        # The range's own program ends its children in order; it must get the signal alone.
        f"stopasgroup={'false' if program.name in {'range', 'postgres'} else 'true'}",
        "killasgroup=true",
        "redirect_stderr=true",
        f"stdout_logfile={_escaped(str(stack.log(program.name)))}",
        "stdout_logfile_maxbytes=10MB",
        "stdout_logfile_backups=2",
    ]
    if program.user:
        lines.append(f"user={program.user}")
    if program.environment:
        pairs = ",".join(f'{name}="{value}"' for name, value in program.environment.items())
        lines.append(f"environment={_escaped(pairs)}")
    return lines


def _escaped(text: str) -> str:
    """Supervisor expands %(name)s in every value."""
    return text.replace("%", "%%")


def _python(*arguments: str) -> list[str]:
    return [sys.executable, *arguments]


def _manage(*arguments: str) -> list[str]:
    return _python(str(CHECKOUT / "manage.py"), *arguments)


def _worker(name: str, *, queues: str, threads: int) -> list[str]:
    return [
        *_python("-m", "celery", "-A", "config", "worker", "--loglevel=INFO"),
        f"--hostname={name}@%h",
        f"--queues={queues}",
        "--pool=threads",
        f"--concurrency={threads}",
        # Workers need no word from each other: every one of them asks the database.
        "--without-gossip",
        "--without-mingle",
        "--without-heartbeat",
    ]


def _without_environment(command: list[str]) -> list[str]:
    pairs = [f"{name}={value}" for name, value in clean_environment().items()]
    return ["/usr/bin/env", "-i", *pairs, *command]
