"""Talking to the supervisor of a running stack, over its socket."""

from __future__ import annotations

import socket
import time
import xmlrpc.client
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from supervisor.xmlrpc import Faults, SupervisorTransport

from config.stack.errors import StackError

GONE = (OSError, xmlrpc.client.ProtocolError, socket.timeout)
RUNNING = "RUNNING"
ALIVE = ("STARTING", "RUNNING", "STOPPING")


class SupervisorClient:
    """The programs of one stack: their state, pids, start and stop."""

    def __init__(self, path: Path) -> None:
        self._path = path

    @contextmanager
    def _server(self) -> Iterator[Any]:
        # One connection per call: the transport keeps a connection that a restart would break.
        transport = SupervisorTransport(None, None, serverurl=f"unix://{self._path}")
        proxy = xmlrpc.client.ServerProxy("http://127.0.0.1", transport=transport)
        try:
            yield proxy.supervisor
        finally:
            transport.close()

    def await_ready(self, *, timeout_s: float) -> None:
        """Wait until the supervisor answers. Raises StackError at the timeout."""
        give_up_at = time.monotonic() + timeout_s
        while True:
            try:
                with self._server() as server:
                    server.getState()
            except GONE as error:
                if time.monotonic() > give_up_at:
                    raise StackError(
                        f"The supervisor did not answer within {timeout_s:g} s ({error})."
                    ) from error
                time.sleep(0.05)
            else:
                return

    def states(self) -> dict[str, dict[str, Any]]:
        """Every program's `statename`, `pid`, `start` and `spawnerr`, by its name."""
        with self._server() as server:
            return {info["name"]: info for info in server.getAllProcessInfo()}

    def pid(self, program: str) -> int:
        """The pid of a running program. Raises StackError when it does not run."""
        info = self.states()[program]
        if info["statename"] != RUNNING:
            raise StackError(f"{program} is {info['statename']}, not running.")
        return int(info["pid"])

    def start(self, program: str, *, wait: bool = False) -> None:
        """Start one program; does nothing when it runs already."""
        with self._server() as server:
            try:
                server.startProcess(program, wait)
            except xmlrpc.client.Fault as fault:
                if fault.faultCode != Faults.ALREADY_STARTED:
                    raise StackError(f"{program} could not be started: {fault.faultString}.") from (
                        fault
                    )

    def stop(self, program: str) -> None:
        """Stop one program and wait until it is gone; does nothing when it does not run."""
        with self._server() as server:
            try:
                server.stopProcess(program, True)
            except xmlrpc.client.Fault as fault:
                if fault.faultCode != Faults.NOT_RUNNING:
                    raise StackError(f"{program} could not be stopped: {fault.faultString}.") from (
                        fault
                    )

    def stop_together(self, programs: list[str]) -> None:
        """Ask all of them to stop at once, and wait until every one is gone."""
        with self._server() as server:
            for program in programs:
                try:
                    server.stopProcess(program, False)
                except xmlrpc.client.Fault as fault:
                    if fault.faultCode != Faults.NOT_RUNNING:
                        raise StackError(
                            f"{program} could not be stopped: {fault.faultString}."
                        ) from fault
        while any(self.states()[program]["statename"] in ALIVE for program in programs):
            time.sleep(0.1)

    def restart(self, program: str) -> None:
        """Stop and start one program, as a deploy does."""
        self.stop(program)
        self.start(program, wait=True)
