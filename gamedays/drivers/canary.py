"""The canary: a ConfigMap of ours that is written and read back to prove that etcd takes writes."""

from __future__ import annotations

import secrets

from core import kube

NAMESPACE = "belay"
_PREFIX = "belay-canary"
_CONFIGMAPS = f"/api/v1/namespaces/{NAMESPACE}/configmaps"


class CanaryMismatchError(Exception):
    """The API answered, but not with what was written."""


def write_and_read_canary(
    credentials: kube.Credentials,
    *,
    writer: str,
    server: str | None = None,
    timeout_s: float = 2.0,
) -> None:
    """Write a new value and read it back through one server (None: the common address).

    `writer` names the object (`belay-canary-<writer>`), so that every writer has one of its own.

    Raises:
        core.errors.ClusterUnreachable: no answer.
        CanaryMismatchError: a refused write, a failed read, or another value than the one written.
    """
    value = secrets.token_hex(8)
    # One object per writer: a proof and a probe that run at once must not read each other.
    name = f"{_PREFIX}-{writer}"
    path = f"{_CONFIGMAPS}/{name}"
    document = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "data": {"value": value},
    }
    written = kube.fresh_request(
        credentials,
        "PATCH",
        f"{path}?fieldManager=belay&force=true",
        server=server,
        body=document,
        content_type="application/apply-patch+yaml",
        timeout_s=timeout_s,
    )
    if written.status not in (200, 201):
        raise CanaryMismatchError(f"the write was answered {written.status}")
    read = kube.fresh_request(credentials, "GET", path, server=server, timeout_s=timeout_s)
    if read.status != 200:
        raise CanaryMismatchError(f"the read was answered {read.status}")
    if _value_in(read) != value:
        raise CanaryMismatchError("another value was read than the one written")


def _value_in(answer: kube.Answer) -> object:
    """None where a server, or what stands before it, answered with something else."""
    try:
        return answer.json()["data"]["value"]
    except (ValueError, KeyError, TypeError):
        return None
