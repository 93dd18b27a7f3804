"""Local health of the control plane's components, looked at in the background while somebody asks.

A look takes up to a second and more when the component is down, and `status` must answer at once:
so a thread per component looks, and `status` tells the last result with its age checked.
"""

from __future__ import annotations

import functools
import json
import re
import socket
import ssl
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlsplit

from guard.http import exchange
from guard.protocol import Component, EtcdMember

LOOK_EVERY_S = 1.0
WANTED_FOR_S = 10.0
"""Looking goes on for this long after the last question; an idle guard looks at nothing."""
FRESH_S = 3.5
"""Older results are not told: `healthy` is then None, could not look."""
FIRST_LOOK_WAIT_S = 0.4
TIMEOUT_S = 1.0
_MAX_BYTES = 4 * 1024 * 1024
_ADDRESS = {
    Component.KUBE_APISERVER: ("advertise-address", 6443),
    Component.KUBE_SCHEDULER: ("bind-address", 10259),
    Component.KUBE_CONTROLLER_MANAGER: ("bind-address", 10257),
}
"""Which flag of the manifest says where the component listens, and its usual port."""
_SERVER_ID = re.compile(r'^etcd_server_id\{server_id="([0-9a-fA-F]+)"\}')


@dataclass(frozen=True, kw_only=True)
class Health:
    healthy: bool | None
    detail: str = ""
    etcd: EtcdMember | None = None


ReadManifest = Callable[[Component], str | None]


class HealthWatch:
    """Keeps one recent look per component."""

    def __init__(self, read_manifest: ReadManifest, address: str) -> None:
        self._read_manifest = read_manifest
        self._fallback = {
            Component.ETCD: "http://127.0.0.1:2381",
            Component.KUBE_APISERVER: f"https://{_bracketed(address)}:6443",
            Component.KUBE_SCHEDULER: "https://127.0.0.1:10259",
            Component.KUBE_CONTROLLER_MANAGER: "https://127.0.0.1:10257",
        }
        self._changed = threading.Condition()
        self._wanted_until = 0.0
        self._latest: dict[Component, tuple[float, Health]] = {}

    def start(self) -> None:
        for component in Component:
            threading.Thread(target=self._run, args=(component,), daemon=True).start()

    def latest(self) -> dict[Component, Health]:
        """The last looks. Waits a moment only when nobody asked for a while."""
        unknown = Health(healthy=None, detail="not looked at yet")
        with self._changed:
            self._wanted_until = time.monotonic() + WANTED_FOR_S
            self._changed.notify_all()
            self._changed.wait_for(
                lambda: all(self._fresh(one) for one in Component), FIRST_LOOK_WAIT_S
            )
            return {one: self._fresh(one) or unknown for one in Component}

    def _fresh(self, component: Component) -> Health | None:
        at, health = self._latest.get(component, (0.0, None))
        return health if time.monotonic() - at <= FRESH_S else None

    def _run(self, component: Component) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: time.monotonic() < self._wanted_until)
            health = self._look(component)
            with self._changed:
                self._latest[component] = (time.monotonic(), health)
                self._changed.notify_all()
            time.sleep(LOOK_EVERY_S)

    def _look(self, component: Component) -> Health:
        url = local_url(component, self._read_manifest(component)) or self._fallback[component]
        self._fallback[component] = url
        try:
            if component is Component.ETCD:
                return look_at_etcd(url)
            path = "/readyz" if component is Component.KUBE_APISERVER else "/healthz"
            return look_at_health(url, path)
        except (OSError, ValueError) as error:
            return Health(healthy=False, detail=f"{url}: {error!r}")


def local_url(component: Component, manifest: str | None) -> str | None:
    """Where the component's own manifest says that its health is told."""
    if manifest is None:
        return None
    if component is Component.ETCD:
        urls = re.search(r"--listen-metrics-urls=([^\s\"',]+)", manifest)
        return urls[1] if urls else None
    flag, usual = _ADDRESS[component]
    address = re.search(rf"--{flag}=([^\s\"',]+)", manifest)
    port = re.search(r"--secure-port=(\d+)", manifest)
    if address is None:
        return None
    host = "127.0.0.1" if address[1] in ("0.0.0.0", "::") else address[1]  # noqa: S104  read, not bound
    return f"https://{_bracketed(host)}:{port[1] if port else usual}"


def look_at_health(url: str, path: str) -> Health:
    """A component's own health endpoint; its certificate is not the question here."""
    status, body = _get(url, path)
    if status == 200:
        return Health(healthy=True)
    return Health(healthy=False, detail=f"{path} answered {status}: {body[-200:]}")


def look_at_etcd(url: str) -> Health:
    """`/health` of this node's member, and from its metrics who it is and whether it leads."""
    status, body = _get(url, "/health")
    told = json.loads(body)
    healthy = status == 200 and told.get("health") in ("true", True)
    _, metrics = _get(url, "/metrics")
    return Health(
        healthy=healthy, detail="" if healthy else body[:200], etcd=parse_etcd_metrics(metrics)
    )


def parse_etcd_metrics(text: str) -> EtcdMember | None:
    """Member id (hexadecimal), has leader, is leader; None when the id is not told."""
    member_id, has_leader, is_leader = "", False, False
    for line in text.splitlines():
        if line.startswith("etcd_server_id{"):
            found = _SERVER_ID.match(line)
            member_id = found[1].lower() if found else ""
        elif line.startswith("etcd_server_has_leader "):
            has_leader = line.split()[1] == "1"
        elif line.startswith("etcd_server_is_leader "):
            is_leader = line.split()[1] == "1"
    if not member_id:
        return None
    return EtcdMember(member_id=member_id, has_leader=has_leader, is_leader=is_leader)


def _get(url: str, path: str) -> tuple[int, str]:
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
    with socket.create_connection((host, port), timeout=TIMEOUT_S) as raw:
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if parts.scheme != "https":
            status, body = exchange(raw, parts.netloc, "GET", path, max_bytes=_MAX_BYTES)
        else:
            with _trusting().wrap_socket(raw) as tls:
                status, body = exchange(tls, parts.netloc, "GET", path, max_bytes=_MAX_BYTES)
    return status, body.decode("utf-8", "replace")


@functools.cache
def _trusting() -> ssl.SSLContext:
    """A context costs a third of a megabyte; this one is for every look."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _bracketed(address: str) -> str:
    return f"[{address}]" if ":" in address else address
