"""Which faults are well-formed, and what of them reaches a log or an answer."""

from __future__ import annotations

import dataclasses
import json

import pytest

from guard.bounds import NEEDS, check_fault
from guard.protocol import (
    MAX_ENDPOINTS,
    ArmRequest,
    BadFlag,
    Code,
    Component,
    Credential,
    Endpoint,
    Fault,
    FaultKind,
    MalformedError,
    ObjectChange,
    ObjectKind,
    ObjectTarget,
    compact,
    from_json,
    to_json,
)
from guard.world import RefusedError
from tests.guard.world import policy

ENDPOINT = Endpoint(address="10.96.0.20", port=8001)
TARGET = ObjectTarget(
    kind=ObjectKind.DEPLOYMENT,
    namespace="projectcontour",
    name="contour",
    uid="11111111-2222-3333-4444-555555555555",
    resource_version="4711",
    change=ObjectChange.SCALE_TO_ZERO,
)
CREDENTIAL = Credential(
    server="https://10.0.0.1:6443",
    ca_pem="-----BEGIN CERTIFICATE-----\n",
    token="a-secret-token",
    name="belay-run-11111111",
    expires_at="2026-11-23T12:00:00Z",
)
WHOLE: dict[FaultKind, Fault] = {
    FaultKind.HOLD: Fault(kind=FaultKind.HOLD, hold_s=60, component=Component.ETCD),
    FaultKind.KILL: Fault(kind=FaultKind.KILL, hold_s=60, component=Component.KUBE_SCHEDULER),
    FaultKind.FLAG: Fault(kind=FaultKind.FLAG, hold_s=60, flag=BadFlag.ETCD_ELSEWHERE),
    FaultKind.CUT: Fault(kind=FaultKind.CUT, hold_s=60, endpoints=[ENDPOINT]),
    FaultKind.OBJECT: Fault(kind=FaultKind.OBJECT, hold_s=60, objects=[TARGET]),
    FaultKind.DRILL: Fault(kind=FaultKind.DRILL, hold_s=60),
}
PARTS: dict[str, object] = {
    "component": Component.ETCD,
    "flag": BadFlag.UNKNOWN_SCHEDULER_FLAG,
    "endpoints": [ENDPOINT],
    "objects": [TARGET],
}
EMPTY: dict[str, object] = {"component": None, "flag": None, "endpoints": [], "objects": []}


def credential_of(kind: FaultKind) -> Credential | None:
    return CREDENTIAL if kind is FaultKind.OBJECT else None


def refuses(fault: Fault, credential: Credential | None = None) -> None:
    with pytest.raises(RefusedError, check=lambda error: error.code is Code.OUT_OF_BOUNDS):
        check_fault(fault, credential, policy())


@pytest.mark.parametrize("kind", FaultKind)
def test_a_fault_with_exactly_what_its_kind_needs_is_taken(kind: FaultKind) -> None:
    check_fault(WHOLE[kind], credential_of(kind), policy())


@pytest.mark.parametrize("kind", FaultKind)
@pytest.mark.parametrize("part", PARTS)
def test_what_its_kind_does_not_need_is_refused_and_what_it_needs_is_missed(
    kind: FaultKind, part: str
) -> None:
    other = EMPTY[part] if part in NEEDS[kind] else PARTS[part]
    refuses(dataclasses.replace(WHOLE[kind], **{part: other}), credential_of(kind))  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", FaultKind)
def test_a_credential_is_for_objects_and_for_nothing_else(kind: FaultKind) -> None:
    refuses(WHOLE[kind], None if kind is FaultKind.OBJECT else CREDENTIAL)


@pytest.mark.parametrize(
    "endpoint",
    [
        Endpoint(address="127.0.0.1", port=80),
        Endpoint(address="::1", port=80),
        Endpoint(address="::ffff:127.0.0.1", port=80),
        Endpoint(address="0.0.0.0", port=80),  # noqa: S104  refused, not bound
        Endpoint(address="224.0.0.1", port=80),
        Endpoint(address="registry.local", port=80),
        Endpoint(address="10.0.0.1; drop", port=80),
        Endpoint(address="fe80::1%eth0", port=80),
        Endpoint(address="fd00:0:0::1", port=80),
        Endpoint(address="10.0.0.1", port=0),
        Endpoint(address="10.0.0.1", port=65536),
        Endpoint(address="10.0.0.1", port=6443),
        Endpoint(address="10.0.0.1", port=2379),
        Endpoint(address="10.0.0.1", port=2380),
        Endpoint(address="10.0.0.1", port=9707),
    ],
)
def test_endpoints_that_are_never_cut(endpoint: Endpoint) -> None:
    refuses(Fault(kind=FaultKind.CUT, hold_s=60, endpoints=[endpoint]))


def test_an_endpoint_twice_or_too_many_are_refused() -> None:
    refuses(Fault(kind=FaultKind.CUT, hold_s=60, endpoints=[ENDPOINT, ENDPOINT]))
    many = [Endpoint(address="10.0.0.1", port=7000 + n) for n in range(MAX_ENDPOINTS + 1)]
    refuses(Fault(kind=FaultKind.CUT, hold_s=60, endpoints=many))


@pytest.mark.parametrize(
    "changes",
    [
        {"change": ObjectChange.BAD_CONFIG},
        {"namespace": ""},
        {"namespace": "../kube-system"},
        {"name": "a/b"},
        {"uid": "x"},
        {"resource_version": "1; --"},
        {"name": "contour\n"},
        {"namespace": "projectcontour\n"},
        {"uid": TARGET.uid + "\n"},
        {"resource_version": "4711\n"},
        {"key": "contour"},
        {"change": ObjectChange.BAD_IMAGE},
        {"kind": ObjectKind.NODE},
    ],
)
def test_objects_that_are_never_touched(changes: dict[str, object]) -> None:
    target = dataclasses.replace(TARGET, **changes)  # type: ignore[arg-type]
    refuses(Fault(kind=FaultKind.OBJECT, hold_s=60, objects=[target]), CREDENTIAL)


@pytest.mark.parametrize(
    "changes",
    [
        {"server": "http://10.0.0.1:6443"},
        {"server": "https://user@10.0.0.1"},
        {"server": "https://10.0.0.1:port"},
        {"server": "https://[10.0.0.1"},
        {"name": "belay-run-1\n"},
        {"ca_pem": ""},
        {"token": ""},
        {"token": "two\nlines"},
        {"name": "Not A Name"},
        {"expires_at": "tomorrow"},
    ],
)
def test_credentials_that_are_no_use(changes: dict[str, object]) -> None:
    credential = dataclasses.replace(CREDENTIAL, **changes)  # type: ignore[arg-type]
    refuses(WHOLE[FaultKind.OBJECT], credential)


def test_the_token_is_in_no_repr() -> None:
    assert "a-secret-token" not in repr(CREDENTIAL)


def test_no_secret_can_be_named() -> None:
    assert not any("secret" in kind for kind in ObjectKind)


def test_hold_and_kill_are_said_in_the_words_of_the_first_version() -> None:
    said = json.dumps(compact(to_json(WHOLE[FaultKind.HOLD])), sort_keys=True)
    assert said == '{"component": "etcd", "hold_s": 60, "kind": "hold"}'


NODE = dataclasses.replace(
    TARGET, kind=ObjectKind.NODE, namespace="", name="qa-2", change=ObjectChange.CORDON
)


@pytest.mark.parametrize(
    "fault",
    [*WHOLE.values(), Fault(kind=FaultKind.OBJECT, hold_s=60, objects=[NODE])],
    ids=lambda fault: f"{fault.kind} {[str(one.kind) for one in fault.objects]}",
)
def test_what_a_request_leaves_out_as_absent_is_read_back_as_it_was(fault: Fault) -> None:
    """A node is in no namespace: what says so must not be missed by the guard."""
    request = ArmRequest(
        session="s",
        sequence=1,
        epoch=0,
        order_id="11111111-2222-3333-4444-555555555555",
        fault=fault,
        credential=credential_of(fault.kind),
    )
    sent = json.loads(json.dumps(compact(to_json(request))))
    assert from_json(ArmRequest, sent) == request


@pytest.mark.parametrize("name", ["kubelet", "containerd", "kube-proxy"])
def test_row_47_what_the_guard_itself_stands_on_is_no_target(name: str) -> None:
    """Nothing outside the guard would undo it: there is no word for it, for whoever asks."""
    request = {
        "session": "s",
        "sequence": 1,
        "epoch": 0,
        "order_id": "11111111-2222-3333-4444-555555555555",
        "fault": {"kind": "hold", "hold_s": 60, "component": name},
    }
    with pytest.raises(MalformedError, match=rf"fault\.component: '{name}' is none of"):
        from_json(ArmRequest, request)
