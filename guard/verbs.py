"""From a request's JSON to the rules and back."""

from __future__ import annotations

import os
import traceback
from typing import TypeVar

import guard
from guard.log import log
from guard.orders import Orders
from guard.protocol import (
    PROTOCOL_VERSION,
    ArmRequest,
    Code,
    Hello,
    InjectRequest,
    Json,
    MalformedError,
    RenewRequest,
    Role,
    UndoRequest,
    from_json,
    to_json,
)
from guard.static_pod import IMAGE_VARIABLE
from guard.status import StatusLook
from guard.world import Node, RefusedError

BITE_WAIT_S = 2.5
"""`inject` answers with what was seen within this time; `status` tells the rest."""

_T = TypeVar("_T")


class Verbs:
    """The six verbs, each from JSON to JSON."""

    def __init__(self, orders: Orders, node: Node, look: StatusLook) -> None:
        self._orders = orders
        self._node = node
        self._look = look

    def handle(self, role: Role, verb: str, body: Json) -> Json:
        """Answer one request; `RefusedError` for everything that is not done."""
        try:
            answer = self._answer(verb, body)
        except RefusedError as refused:
            log("refused", verb=verb, role=role, code=refused.code, detail=refused.detail)
            raise
        except Exception as error:
            # The edge of the process: the caller learns that it failed, the log why.
            log("failed", verb=verb, error=traceback.format_exc())
            raise RefusedError(
                Code.INTERNAL, f"{verb} failed in the guard: {error!r}; its log says more"
            ) from error
        return to_json(answer)

    def _answer(self, verb: str, body: Json) -> object:
        if verb == "status":
            _nothing(body)
            return self._look.status()
        if verb == "undo":
            return self._orders.undo(_parse(UndoRequest, body).order_id)
        if verb == "arm":
            return self._orders.arm(_parse(ArmRequest, body))
        if verb == "inject":
            request = _parse(InjectRequest, body)
            self._orders.inject(request)
            return self._orders.await_bite(request.order_id, BITE_WAIT_S)
        if verb == "renew":
            return self._orders.renew(_parse(RenewRequest, body))
        _nothing(body)
        return self._hello()

    def _hello(self) -> Hello:
        policy = self._orders.policy
        report = self._orders.report()
        order = self._orders.order
        return Hello(
            protocol=PROTOCOL_VERSION,
            version=guard.__version__,
            node=policy.node,
            cluster_uid=policy.cluster_uid,
            stage=policy.stage,
            boot=self._node.boot(),
            session=self._orders.session,
            sequence=self._orders.sequence,
            epoch=self._orders.epoch,
            installation=policy.installation,
            order=report if order is not None and order.live else None,
            image=os.environ.get(IMAGE_VARIABLE, ""),
        )


def _parse(kind: type[_T], body: Json) -> _T:
    try:
        return from_json(kind, body)
    except MalformedError as error:
        raise RefusedError(Code.MALFORMED, str(error)) from error


def _nothing(body: Json) -> None:
    if body:
        raise RefusedError(Code.MALFORMED, f"unknown field {min(body)[:64]!r}")
