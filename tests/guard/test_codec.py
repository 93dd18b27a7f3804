"""What is sent without its empty parts is read as it was meant."""

from __future__ import annotations

import uuid

import pytest

from guard.bounds import CHANGES
from guard.protocol import (
    ArmRequest,
    Fault,
    FaultKind,
    ObjectChange,
    ObjectKind,
    ObjectTarget,
    compact,
    from_json,
    to_json,
)

EVERY = [(kind, change) for kind, changes in CHANGES.items() for change in sorted(changes)]


@pytest.mark.parametrize(("kind", "change"), EVERY, ids=str)
def test_every_target_arrives_as_it_was_sent(kind: ObjectKind, change: ObjectChange) -> None:
    target = ObjectTarget(
        kind=kind,
        namespace="" if kind is ObjectKind.NODE else "shop",
        name="prices",
        uid=str(uuid.uuid4()),
        resource_version="7",
        change=change,
    )
    request = ArmRequest(
        session="s",
        sequence=1,
        epoch=1,
        order_id=str(uuid.uuid4()),
        fault=Fault(kind=FaultKind.OBJECT, hold_s=20, objects=[target]),
    )
    assert from_json(ArmRequest, compact(to_json(request))) == request
