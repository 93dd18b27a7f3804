"""One `manage.py shell` that stays: what people do beside the pages, without a start per deed."""

from __future__ import annotations

import contextlib
import json
import select
import subprocess
import sys
from typing import Any

from config.stack.layout import CHECKOUT

STARTS_AND_ACTS_S = 120
_LOOP = """
import contextlib, io, json, sys, traceback
from django.db import connections

for line in sys.stdin:
    said = io.StringIO()
    answer = {}
    try:
        with contextlib.redirect_stdout(said):
            exec(json.loads(line), {"__name__": "shell"})
    except BaseException:
        answer["error"] = traceback.format_exc()
    finally:
        # The database may be another one by the next deed: tests kill it.
        connections.close_all()
    print(json.dumps(answer | {"said": said.getvalue()}), flush=True)
"""


class Shell:
    """Runs pieces of code one after another in one process of Belay's; starts when needed."""

    def __init__(self, environment: dict[str, str]) -> None:
        self._environment = environment
        self._process: subprocess.Popen[str] | None = None

    def run(self, code: str) -> Any:
        """Run `code`; what it printed last, read as JSON.

        Raises:
            AssertionError: it raised, printed no JSON, or took longer than two minutes.
        """
        process = self._started()
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(json.dumps(code) + "\n")
        process.stdin.flush()
        ready, _, _ = select.select([process.stdout], [], [], STARTS_AND_ACTS_S)
        line = process.stdout.readline() if ready else ""
        if not line:
            self.end()
            raise AssertionError(f"no answer within {STARTS_AND_ACTS_S} s to:\n{code}")
        answer = json.loads(line)
        if "error" in answer:
            raise AssertionError(f"{answer['error']}\n{answer['said']}")
        return json.loads(answer["said"].strip().splitlines()[-1])

    def end(self) -> None:
        """End the process; the next `run` starts another."""
        process, self._process = self._process, None
        if process is None:
            return
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                with contextlib.suppress(BrokenPipeError):
                    pipe.close()

    def _started(self) -> subprocess.Popen[str]:
        if self._process is None or self._process.poll() is not None:
            self.end()
            self._process = subprocess.Popen(
                [sys.executable, "manage.py", "shell", "-v0", "-c", _LOOP],
                cwd=CHECKOUT,
                env=self._environment | {"PYTHONUNBUFFERED": "1"},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
            )
        return self._process
