"""The guard's own rules on its node, and where it finds things there.

The policy is a 0600 file that the installation wrote. It is the node's word, not the caller's: a
request cannot change what it says, and without it the guard does not start.
"""

from __future__ import annotations

import ipaddress
import json
import stat
from dataclasses import dataclass
from pathlib import Path

from guard.log import log
from guard.protocol import Json, MalformedError, Policy, from_json, to_json


class PolicyError(Exception):
    """The policy file is missing, unreadable or unsafe; the text says what to do."""


@dataclass(frozen=True, kw_only=True)
class Paths:
    """Where things lie. Only the command line of the guard itself can change it (tests do)."""

    kubernetes: Path = Path("/etc/kubernetes")
    state: Path = Path("/var/lib/belay-guard")
    run: Path = Path("/run/belay-guard")
    proc: Path = Path("/proc")

    @property
    def manifests(self) -> Path:
        """The kubelet runs every file in here that does not begin with a dot."""
        return self.kubernetes / "manifests"

    @property
    def stash(self) -> Path:
        """Beside the manifests directory and on the same mount, so that a rename moves a file."""
        return self.kubernetes / ".belay-stash"

    @property
    def policy(self) -> Path:
        return self.state / "policy.json"

    @property
    def key(self) -> Path:
        return self.state / "key.pem"

    @property
    def certificate(self) -> Path:
        return self.state / "certificate.pem"

    @property
    def heartbeat(self) -> Path:
        return self.run / "heartbeat"


def load_policy(path: Path) -> Policy:
    """Read and check the policy file; raise `PolicyError` when the guard must not start."""
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "is no text any more"
        raise PolicyError(
            f"{path}: {why}. A guard serves only where it was installed: run"
            " `manage.py guard install CLUSTER`."
        ) from error
    if mode & 0o077:
        raise PolicyError(f"{path}: mode {mode:04o} lets others in; run `chmod 0600 {path}`.")
    return parse_policy(text, where=str(path))


def parse_policy(text: str, *, where: str) -> Policy:
    """Build a policy from its JSON text; raise `PolicyError` naming the field that is wrong."""
    try:
        policy = from_json(Policy, json.loads(text))
        address = ipaddress.ip_address(policy.address)
    except (MalformedError, ValueError) as error:
        raise PolicyError(f"{where}: {error}. Install the guard again.") from error
    if address.is_unspecified or address.is_multicast:
        raise PolicyError(
            f"{where}: address {policy.address} is not the node's own; a guard never listens on"
            " a wildcard. Give the node's InternalIP."
        )
    if not 0 < policy.port < 65536:
        raise PolicyError(f"{where}: port {policy.port} is not between 1 and 65535.")
    if not all((policy.installation, policy.cluster_uid, policy.node, policy.ca_pem)):
        raise PolicyError(f"{where}: installation, cluster_uid, node and ca_pem must all be set.")
    if not 0 < policy.lease_min_s <= policy.lease_max_s:
        raise PolicyError(
            f"{where}: lease_min_s {policy.lease_min_s} must be above 0 and not above"
            f" lease_max_s {policy.lease_max_s}."
        )
    return policy


def policy_json(policy: Policy) -> str:
    """The text of a policy file."""
    data: Json = to_json(policy)
    return json.dumps(data, indent=2, sort_keys=True) + "\n"


def policy_or_none_to_arm(path: Path) -> Policy:
    """The policy; where it is missing or damaged, one under which nothing can be armed.

    For undoing only: no damage to a file may stand between anybody and an undo.
    """
    try:
        return load_policy(path)
    except PolicyError as error:
        log("undoing without a policy", error=str(error))
        return Policy(
            installation="", epoch=0, stage="", cluster_uid="", node="", address="", ca_pem=""
        )
