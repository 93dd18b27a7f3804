"""What a probe looks at in these tests, and one look of any kind at it."""

from __future__ import annotations

import contextlib
import http.server
import threading
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

from core import kube
from gamedays.choices import ProbeKind
from gamedays.probes.base import Attempt, Metrics, ProbeSpec, Surroundings
from gamedays.probes.registry import PROBERS, clean_parameters

Answers = dict[str, tuple[int, str]]
AWAY = "http://127.0.0.1:1"


class Site:
    """A small web server: path → (status, text). Remembers what it was asked."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.answers: Answers = {}
        self.asked: list[tuple[str, dict[str, str]]] = []


@contextlib.contextmanager
def served() -> Iterator[Site]:
    """The site, as long as it is wanted."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found.asked.append((self.path, dict(self.headers)))
            status, text = found.answers.get(urlsplit(self.path).path, (404, "nothing here"))
            self.send_response(status)
            if status == 302:
                self.send_header("Location", "/")
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, *_args: object) -> None:
            """Silence."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        found = Site(f"http://127.0.0.1:{server.server_address[1]}")
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        try:
            yield found
        finally:
            server.shutdown()


def look(
    kind_: ProbeKind, metrics: Metrics | None = None, *, timeout_s: float = 2.0, **given: Any
) -> Attempt:
    spec = ProbeSpec(
        id=1,
        key="probe",
        title="A probe",
        kind=kind_,
        target="",
        parameters=clean_parameters(kind_, given),
        attempts=1,
        timeout_s=timeout_s,
        felt_by_users=False,
    )
    around = Surroundings(
        credentials=kube.Credentials(server="https://127.0.0.1:1", ca_pem="", token="t"),
        api_servers={},
        node_status=lambda _node: None,
        metrics=metrics,
    )
    return PROBERS[kind_](spec, around)
