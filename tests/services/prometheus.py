"""A real Prometheus for one test module: its own data, its own port, a target that a test moves."""

from __future__ import annotations

import http.client
import http.server
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

UNPACKED = Path("build/packages/prometheus/usr/bin/prometheus")
UP_WITHIN_S = 60.0
CONFIGURATION = """\
global: {{scrape_interval: 1s, scrape_timeout: 900ms, evaluation_interval: 1s}}
rule_files: [{rules}]
scrape_configs:
- job_name: shop
  static_configs: [{{targets: ["127.0.0.1:{port}"]}}]
"""
RULES = """\
groups:
- name: shop
  rules:
  - alert: ShopIsDown
    expr: shop_up == 0
    for: 2s
    labels: {severity: critical, team: payments}
  - alert: NeverWorks
    expr: shop_replica == on () shop_replica
"""


def binary() -> str | None:
    """The one that scripts/test.sh unpacked, or the machine's own."""
    return str(UNPACKED.resolve()) if UNPACKED.exists() else shutil.which("prometheus")


class Shop:
    """What Prometheus scrapes. `up` is its figure; `away` closes the door without a word."""

    def __init__(self) -> None:
        self.up = 1
        self.away = False
        shop = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                if shop.away:
                    self.close_connection = True
                    return
                text = f'shop_up {shop.up}\nshop_replica{{n="1"}} 1\nshop_replica{{n="2"}} 1\n'
                self.send_response(200)
                self.send_header("Content-Type", "text/plain; version=0.0.4")
                self.end_headers()
                self.wfile.write(text.encode())

            def log_message(self, *_args: object) -> None:
                """Silence."""

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = int(self._server.server_address[1])

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._server.server_close()


@contextmanager
def running(program: str, directory: Path, shop: Shop) -> Iterator[str]:
    """Start one that watches `shop`; its address. Ends it by its own process id."""
    rules, configuration = directory / "rules.yml", directory / "prometheus.yml"
    rules.write_text(RULES)
    configuration.write_text(CONFIGURATION.format(rules=rules, port=shop.port))
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = f"127.0.0.1:{free.getsockname()[1]}"
    log = directory / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [
                program,
                f"--config.file={configuration}",
                f"--storage.tsdb.path={directory / 'data'}",
                f"--web.listen-address={address}",
            ],
            stdout=output,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
        )
    try:
        _await_ready(address, process, log)
        yield f"http://{address}"
    finally:
        process.terminate()
        process.wait(timeout=30)


def _await_ready(address: str, process: subprocess.Popen[bytes], log: Path) -> None:
    give_up_at = time.monotonic() + UP_WITHIN_S
    while time.monotonic() < give_up_at and process.poll() is None:
        connection = http.client.HTTPConnection(address, timeout=2)
        try:
            connection.request("GET", "/-/ready")
            if connection.getresponse().status == 200:
                return
        except OSError:
            pass  # not listening yet
        finally:
            connection.close()
        time.sleep(0.05)
    raise AssertionError(f"Prometheus was not ready: {log.read_text()[-2000:]}")
