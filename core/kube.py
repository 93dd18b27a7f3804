"""The one way to a cluster's API: addresses, credentials, deadlines and errors in one place.

Two kinds of call, for two purposes:

- `typed(...)` gives the official client for reads and writes of objects.
- `fresh_request(...)` opens a new connection for one request and closes it. Probes and proofs
  use only this: a kept-alive connection stays with one API server behind a proxy and shows
  either none or all of the failures, never the share that users meet.
"""

from __future__ import annotations

import base64
import binascii
import http.client
import json
import socket
import ssl
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import urllib3
import yaml
from kubernetes import client as k8s

from core import wire
from core.crypto import decrypt
from core.errors import ClusterRefused, ClusterUnreachable

if TYPE_CHECKING:
    from collections.abc import Callable

    from core.models import Cluster

CONNECT_TIMEOUT_S = 2.0
READ_TIMEOUT_S = 5.0
OWNER_READ_TIMEOUT_S = 30.0
"""Admission of a privileged pod may take a while on somebody's busy cluster."""
_MAX_ANSWER_BYTES = 4 * 1024 * 1024
_BY_COMMAND = ("exec", "auth-provider")
_BY_FILE = ("tokenFile", "client-certificate", "client-key", "certificate-authority")


@dataclass(frozen=True, kw_only=True)
class Credentials:
    """How to speak to one cluster: address, its CA, and a bearer token."""

    server: str
    ca_pem: str
    token: str

    def __repr__(self) -> str:
        return f"Credentials(server={self.server!r}, token=…)"


@dataclass(frozen=True)
class Answer:
    """One HTTP answer; `latency_ms` includes the new connection and its TLS handshake."""

    status: int
    body: bytes
    latency_ms: float

    def json(self) -> Any:
        return json.loads(self.body)


def parse_kubeconfig(text: str) -> Credentials:
    """Read a kubeconfig as data: its current context's server, CA and token.

    Anything that would run a program, read a file of ours, or weaken TLS is refused with
    `ClusterRefused`: a stored credential must not be able to act on our machine.
    """
    try:
        document = yaml.safe_load(text)
        context_name = document["current-context"]
        context = _named(document["contexts"], context_name)["context"]
        cluster = _named(document["clusters"], context["cluster"])["cluster"]
        user = _named(document["users"], context["user"])["user"]
        if not isinstance(cluster, dict) or not isinstance(user, dict):
            raise TypeError
    except (yaml.YAMLError, KeyError, TypeError, StopIteration):
        raise ClusterRefused(
            "This is not a whole kubeconfig: it needs current-context and the context, cluster "
            "and user that it names. `kubectl config view --minify --flatten --raw` prints one.",
            code="kubeconfig_malformed",
            field="kubeconfig",
        ) from None
    for key in (*_BY_COMMAND, *_BY_FILE):
        if key in user or key in cluster:
            raise ClusterRefused(
                f"The kubeconfig uses {key!r}, which would run a program or read a file on "
                "Belay's machine. Give a token of a ServiceAccount that was made for Belay, and "
                "the CA as certificate-authority-data.",
                code="kubeconfig_not_data",
                field="kubeconfig",
            )
    for key in ("insecure-skip-tls-verify", "proxy-url"):
        if cluster.get(key):
            raise ClusterRefused(
                f"The kubeconfig sets {key!r}. Belay speaks to a cluster only directly and "
                "checks its certificate: remove it.",
                code="kubeconfig_insecure",
                field="kubeconfig",
            )
    token, ca_data = user.get("token"), cluster.get("certificate-authority-data")
    server = str(cluster.get("server", ""))
    if not _is_token(token) or not ca_data or not _is_server(server):
        raise ClusterRefused(
            "The kubeconfig needs an https server (an address with or without a port, and nobody's "
            "name in it), certificate-authority-data, and a token of printable ASCII characters.",
            code="kubeconfig_incomplete",
            field="kubeconfig",
        )
    try:
        ca_pem = base64.b64decode(ca_data, validate=True).decode("ascii")
        ssl.create_default_context(cadata=ca_pem)
    except (binascii.Error, TypeError, UnicodeDecodeError, ssl.SSLError):
        raise ClusterRefused(
            "certificate-authority-data of the kubeconfig is not a certificate.",
            code="kubeconfig_malformed",
            field="kubeconfig",
        ) from None
    return Credentials(server=server, ca_pem=ca_pem, token=str(token))


def _is_server(text: str) -> bool:
    try:
        parts = urlsplit(text)
        known = bool(parts.hostname) and parts.username is None and parts.port != 0
    except ValueError:
        return False
    return known and text.startswith("https://")


def _is_token(token: object) -> bool:
    """It is sent in a header, where a line's end would begin the next one."""
    return isinstance(token, str) and bool(token) and token.isascii() and token.isprintable()


def credentials_of(cluster: Cluster) -> Credentials:
    """The stored credentials of a registered cluster."""
    return Credentials(
        server=cluster.server,
        ca_pem=cluster.ca_pem,
        token=decrypt(cluster.token_encrypted, stage=cluster.stage),
    )


def typed(
    credentials: Credentials,
    *,
    server: str | None = None,
    connect_s: float = CONNECT_TIMEOUT_S,
    read_s: float = READ_TIMEOUT_S,
) -> k8s.ApiClient:
    """The official client; `server` aims at one API server instead of the common address.

    `connect_s` bounds connecting with its handshake, `read_s` each read of the answer.
    """
    configuration = k8s.Configuration()
    configuration.host = server or credentials.server
    configuration.api_key = {"authorization": f"Bearer {credentials.token}"}
    api = k8s.ApiClient(configuration)
    # The CA is data, never a file that somebody else could exchange, and nothing is retried
    # behind our back: a failed look is `unknown`, and the caller decides what that means.
    api.rest_client.pool_manager = urllib3.PoolManager(
        num_pools=2,
        ssl_context=_tls(credentials.ca_pem),
        retries=False,
    )
    return bounded(api, connect_s, read_s)


def bounded(
    api: k8s.ApiClient,
    connect_s: float = CONNECT_TIMEOUT_S,
    read_s: float = OWNER_READ_TIMEOUT_S,
) -> k8s.ApiClient:
    """The client asks its pool with `timeout=None`, which is for ever, wherever a call names no
    deadline; one that the pool itself was given is never used."""
    rest: Any = api.rest_client
    unbounded = rest.request

    def request(*args: Any, _request_timeout: Any = None, **kwargs: Any) -> Any:
        deadline = _request_timeout or (connect_s, read_s)
        return unbounded(*args, _request_timeout=deadline, **kwargs)

    rest.request = request
    return api


def typed_from_kubeconfig(text: str) -> k8s.ApiClient:
    """An owner's client for one command; the kubeconfig is used and forgotten, never stored.

    Raises:
        ClusterRefused: `kubeconfig_malformed`.
    """
    from kubernetes import config  # noqa: PLC0415  (pulls in optional cloud code)

    make: Callable[..., k8s.ApiClient] = config.new_client_from_config_dict
    try:
        api = make(yaml.safe_load(text))
    except (yaml.YAMLError, config.ConfigException) as error:
        raise ClusterRefused(
            f"The owner's kubeconfig cannot be read: {type(error).__name__}. Give the file that "
            "kubectl works with.",
            code="kubeconfig_malformed",
            field="kubeconfig",
        ) from error
    return bounded(api, CONNECT_TIMEOUT_S)


def fresh_request(
    credentials: Credentials,
    method: str,
    path: str,
    *,
    server: str | None = None,
    body: object | None = None,
    content_type: str = "application/json",
    timeout_s: float = 2.0,
) -> Answer:
    """One request on a connection of its own; `ClusterUnreachable` when no answer came in time.

    `timeout_s` bounds all of it together, however slowly a server drips its answer.
    """
    base = (server or credentials.server).rstrip("/")
    headers = {"Authorization": f"Bearer {credentials.token}"}
    payload = None
    if body is not None:
        payload = json.dumps(body).encode()
        headers["Content-Type"] = content_type
    try:
        answer = wire.request(
            method,
            base + path,
            timeout_s=timeout_s,
            headers=headers,
            body=payload,
            tls=_tls(credentials.ca_pem),
            max_bytes=_MAX_ANSWER_BYTES,
        )
    except (OSError, http.client.HTTPException) as error:
        raise ClusterUnreachable(_why(error, urlsplit(base).netloc, timeout_s)) from error
    if answer.truncated:
        raise ClusterUnreachable(
            f"{urlsplit(base).netloc} answered {path} with more than "
            f"{_MAX_ANSWER_BYTES // 1024**2} MiB: too much to be read"
        )
    return Answer(answer.status, answer.body, answer.latency_ms)


def _why(error: Exception, netloc: str, timeout_s: float) -> str:
    # What is left of a deadline has many digits, and none that a reader wants.
    timeout_s = round(timeout_s, 1) or timeout_s
    if isinstance(error, wire.NameLookupTimeoutError):
        return f"the name of {netloc} was not resolved within {timeout_s:g} s"
    if isinstance(error, TimeoutError):
        return f"{netloc} gave no whole answer within {timeout_s:g} s"
    if isinstance(error, ConnectionRefusedError):
        return f"{netloc} refused the connection"
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"{netloc} showed a certificate that is not of this cluster's CA"
    if isinstance(error, ConnectionResetError | http.client.RemoteDisconnected | ssl.SSLEOFError):
        return f"{netloc} closed the connection"
    if isinstance(error, socket.gaierror):
        return f"{netloc} has no address"
    return f"{netloc}: {type(error).__name__}"


@lru_cache(maxsize=64)
def _tls(ca_pem: str) -> ssl.SSLContext:
    return ssl.create_default_context(cadata=ca_pem)


def _named(items: list[dict[str, Any]], name: str) -> dict[str, Any]:
    return next(item for item in items if item["name"] == name)
