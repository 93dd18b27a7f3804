"""Who may talk to this guard: TLS 1.3, a certificate of Belay's CA for exactly this node.

The certificate says what it opens in a URI among its alternative names (`protocol.role_uri`).
What was issued for one node opens no other, whoever copies it.
"""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from typing import Any

from guard.policy import Paths
from guard.protocol import X509_V_FLAG_NO_CHECK_TIME, Code, Policy, Role, role_uri
from guard.world import RefusedError

VERBS: Mapping[Role, frozenset[str]] = {
    Role.FULL: frozenset({"hello", "arm", "inject", "renew", "undo", "status"}),
    Role.UNDO: frozenset({"hello", "undo", "status"}),
}


def server_context(paths: Paths, policy: Policy) -> ssl.SSLContext:
    """TLS for the guard's side; raises OSError or ssl.SSLError when key or CA are unusable."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.num_tickets = 0
    context.load_cert_chain(paths.certificate, paths.key)
    context.load_verify_locations(cadata=policy.ca_pem)
    context.verify_mode = ssl.CERT_REQUIRED
    context.verify_flags |= X509_V_FLAG_NO_CHECK_TIME
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
