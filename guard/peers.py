"""Who may talk to this guard: TLS 1.3, a certificate of Belay's CA for exactly this node.

The certificate says what it opens in a URI among its alternative names,
`belay://<cluster uid>/<node>/<role>`. (A common name holds 64 characters; a node's name alone may
have 253.) What was issued for one node opens no other, whoever copies it.
"""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from guard.policy import Paths, Policy
from guard.protocol import Code
from guard.world import RefusedError

X509_V_FLAG_NO_CHECK_TIME = 0x200000
"""OpenSSL's flag for which the ssl module has no name. A node whose clock is wrong, or a
certificate that ran out during an outage, must not stand between anybody and an undo."""


class Role(StrEnum):
    FULL = "full"
    UNDO = "undo"


VERBS: Mapping[Role, frozenset[str]] = {
    Role.FULL: frozenset({"hello", "arm", "inject", "renew", "undo", "status"}),
    Role.UNDO: frozenset({"hello", "undo", "status"}),
}


def role_uri(cluster_uid: str, node: str, role: Role) -> str:
    """The name that a client certificate carries."""
    return f"belay://{cluster_uid}/{node}/{role}"


def server_context(paths: Paths, policy: Policy) -> ssl.SSLContext:
    """TLS for the guard's side; raises OSError or ssl.SSLError when key or CA are unusable."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.num_tickets = 0
    context.load_cert_chain(paths.certificate, paths.key)
    context.load_verify_locations(cadata=policy.ca_pem)
    context.verify_mode = ssl.CERT_REQUIRED
    context.verify_flags |= X509_V_FLAG_NO_CHECK_TIME  # type: ignore[assignment]
    return context


def role_of(certificate: Mapping[str, Any] | None, policy: Policy) -> Role:
    """What this peer may do here; `RefusedError` when its certificate is for elsewhere."""
    names = [
        value for kind, value in (certificate or {}).get("subjectAltName", ()) if kind == "URI"
    ]
    for role in Role:
        if role_uri(policy.cluster_uid, policy.node, role) in names:
            return role
    raise RefusedError(
        Code.FORBIDDEN,
        f"this certificate is for {', '.join(names) or 'nothing'}; this is node {policy.node} of"
        f" cluster {policy.cluster_uid}",
    )
