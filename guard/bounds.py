"""Which faults are well-formed: exactly what the kind needs, within its bounds, and no more."""

from __future__ import annotations

import ipaddress
import re
from datetime import datetime
from urllib.parse import urlsplit

from guard.flags import FLAGS
from guard.protocol import (
    HOLD_MAX_S,
    HOLD_MIN_S,
    MAX_ENDPOINTS,
    MAX_OBJECTS,
    Code,
    Component,
    Credential,
    Endpoint,
    Fault,
    FaultKind,
    ObjectChange,
    ObjectKind,
    ObjectTarget,
    Policy,
)
from guard.world import RefusedError

NEEDS: dict[FaultKind, frozenset[str]] = {
    FaultKind.HOLD: frozenset({"component"}),
    FaultKind.KILL: frozenset({"component"}),
    FaultKind.FLAG: frozenset({"flag"}),
    FaultKind.CUT: frozenset({"endpoints"}),
    FaultKind.OBJECT: frozenset({"objects", "credential"}),
    FaultKind.DRILL: frozenset(),
}
NEVER_CUT = frozenset({6443, 2379, 2380})
"""The API servers and etcd: cutting them is what `hold` does better, and what the way back of
others stands on."""
CHANGES: dict[ObjectKind, frozenset[ObjectChange]] = {
    ObjectKind.DEPLOYMENT: frozenset(
        {ObjectChange.SCALE_TO_ZERO, ObjectChange.BAD_IMAGE, ObjectChange.BAD_ENV}
    ),
    ObjectKind.CONFIG_MAP: frozenset({ObjectChange.BAD_CONFIG}),
    ObjectKind.HTTP_PROXY: frozenset({ObjectChange.ROUTE_NOWHERE, ObjectChange.ROUTE_INVALID}),
    ObjectKind.NODE: frozenset({ObjectChange.CORDON}),
    ObjectKind.POD: frozenset({ObjectChange.EVICT, ObjectChange.DELETE_POD}),
}
KEYED = frozenset({ObjectChange.BAD_IMAGE, ObjectChange.BAD_ENV, ObjectChange.BAD_CONFIG})
_DNS_NAME = re.compile(r"^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?\Z")
_NAMESPACE = re.compile(r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?\Z")
_UID = re.compile(r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\Z")
_VERSION = re.compile(r"^[0-9]{1,32}\Z")
_KEY = re.compile(r"^[-._A-Za-z0-9]{1,253}\Z")
_MAX_PEM = 16 * 1024
_MAX_TOKEN = 8 * 1024


def check_fault(fault: Fault, credential: Credential | None, policy: Policy) -> None:
    """Every reason to refuse a fault for what it says; raises `RefusedError`."""
    given = {
        "component": fault.component is not None,
        "flag": fault.flag is not None,
        "endpoints": bool(fault.endpoints),
        "objects": bool(fault.objects),
        "credential": credential is not None,
    }
    needed = NEEDS[fault.kind]
    for name, there in given.items():
        if name in needed and not there:
            raise RefusedError(Code.OUT_OF_BOUNDS, f"fault {fault.kind} needs {name}: none given")
        if there and name not in needed:
            raise RefusedError(Code.OUT_OF_BOUNDS, f"fault {fault.kind} takes no {name}")
    if not HOLD_MIN_S <= fault.hold_s <= HOLD_MAX_S:
        raise RefusedError(
            Code.OUT_OF_BOUNDS,
            f"hold of {fault.hold_s} s is not within {HOLD_MIN_S}..{HOLD_MAX_S} s",
        )
    component = FLAGS[fault.flag].component if fault.flag is not None else fault.component
    if component is not None:
        _check_component(component, policy)
    _check_count("endpoints", len(fault.endpoints), MAX_ENDPOINTS)
    if len(set(fault.endpoints)) != len(fault.endpoints):
        raise RefusedError(Code.OUT_OF_BOUNDS, "an endpoint is given twice")
    for endpoint in fault.endpoints:
        _check_endpoint(endpoint, policy)
    _check_count("objects", len(fault.objects), MAX_OBJECTS)
    if len({(one.kind, one.namespace, one.name) for one in fault.objects}) != len(fault.objects):
        raise RefusedError(Code.OUT_OF_BOUNDS, "an object is given twice")
    for target in fault.objects:
        _check_object(target)
    if credential is not None:
        _check_credential(credential)


def _check_component(component: Component, policy: Policy) -> None:
    if component not in policy.components:
        raise RefusedError(
            Code.UNKNOWN_FAULT,
            f"{component} is not among what this node allows:"
            f" {', '.join(policy.components) or 'nothing'}",
        )


def _check_count(name: str, count: int, limit: int) -> None:
    if count > limit:
        raise RefusedError(Code.OUT_OF_BOUNDS, f"{count} {name} are more than {limit}")


def _check_endpoint(endpoint: Endpoint, policy: Policy) -> None:
    shown = f"endpoint {endpoint.address[:64]!r} port {endpoint.port}"
    try:
        address = ipaddress.ip_address(endpoint.address)
    except ValueError:
        raise RefusedError(Code.OUT_OF_BOUNDS, f"{shown}: the address is no IP literal") from None
    if str(address) != endpoint.address or "%" in endpoint.address:
        raise RefusedError(
            Code.OUT_OF_BOUNDS, f"{shown}: written the usual way it is {address.compressed!r}"
        )
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    if mapped is not None or address.is_loopback or address.is_unspecified or address.is_multicast:
        raise RefusedError(
            Code.OUT_OF_BOUNDS, f"{shown}: loopback, unspecified, multicast or mapped"
        )
    if not 0 < endpoint.port < 65536:
        raise RefusedError(Code.OUT_OF_BOUNDS, f"{shown}: a port is within 1..65535")
    if endpoint.port in NEVER_CUT | {policy.port}:
        raise RefusedError(
            Code.OUT_OF_BOUNDS,
            f"{shown}: ports of guards, API servers and etcd are never cut"
            f" ({', '.join(map(str, sorted(NEVER_CUT | {policy.port})))})",
        )


def _check_object(target: ObjectTarget) -> None:
    shown = f"object {target.kind} {target.namespace[:64]}/{target.name[:64]}"
    scoped = target.kind is not ObjectKind.NODE
    if target.change not in CHANGES[target.kind]:
        raise RefusedError(Code.OUT_OF_BOUNDS, f"{shown}: {target.change} is not for its kind")
    if bool(target.namespace) is not scoped:
        raise RefusedError(Code.OUT_OF_BOUNDS, f"{shown}: its namespace is wrong for its kind")
    if bool(target.key) is not (target.change in KEYED):
        raise RefusedError(
            Code.OUT_OF_BOUNDS,
            f"{shown}: {target.change} takes {'a' if target.change in KEYED else 'no'} key",
        )
    fits = (
        _DNS_NAME.match(target.name)
        and (not target.namespace or _NAMESPACE.match(target.namespace))
        and _UID.match(target.uid)
        and _VERSION.match(target.resource_version)
        and (not target.key or _KEY.match(target.key))
    )
    if not fits:
        raise RefusedError(
            Code.OUT_OF_BOUNDS,
            f"{shown}: name, namespace, uid {target.uid[:64]!r}, resource version"
            f" {target.resource_version[:40]!r} or key {target.key[:64]!r} is malformed",
        )


def _check_credential(credential: Credential) -> None:
    if not _is_https(credential.server):
        raise RefusedError(Code.OUT_OF_BOUNDS, "the credential's server is not an https address")
    if len(credential.ca_pem) > _MAX_PEM or "BEGIN CERTIFICATE" not in credential.ca_pem:
        raise RefusedError(Code.OUT_OF_BOUNDS, "the credential's ca_pem is no certificate")
    token = credential.token
    if not token or len(token) > _MAX_TOKEN or not token.isascii() or not token.isprintable():
        raise RefusedError(Code.OUT_OF_BOUNDS, "the credential's token is empty or malformed")
    if not _DNS_NAME.match(credential.name):
        raise RefusedError(Code.OUT_OF_BOUNDS, "the credential's name is malformed")
    try:
        datetime.fromisoformat(credential.expires_at)
    except ValueError:
        raise RefusedError(
            Code.OUT_OF_BOUNDS, "the credential's expires_at is no RFC 3339 time"
        ) from None


def _is_https(text: str) -> bool:
    """An https address that can be connected to, with nobody's name in it."""
    try:
        server = urlsplit(text)
        return (
            server.scheme == "https"
            and bool(server.hostname)
            and server.username is None
            and server.port != 0
        )
    except ValueError:
        return False
