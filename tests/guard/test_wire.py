"""Whatever comes over the wire: an answer or an end, in time, and never an effect."""

from __future__ import annotations

import contextlib
import json
import time
from typing import cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guard.protocol import (
    MAX_BODY_BYTES,
    ArmRequest,
    Code,
    Component,
    Fault,
    Hello,
    InjectRequest,
    MalformedError,
    NodeStatus,
    OrderReport,
    RenewRequest,
    UndoRequest,
    from_json,
    to_json,
)
from guard.verbs import Verbs
from guard.wire import MAX_HEAD_BYTES, Request, read_request
from guard.world import RefusedError
from tests.guard.world import Site, fault

HEAD = b"POST /v1/undo HTTP/1.1\r\nContent-Length: %d\r\n\r\n"


class Pieces:
    """A connection that gives its bytes piece by piece and then ends."""

    def __init__(self, *pieces: bytes) -> None:
        self._pieces = list(pieces)
        self.taken = 0

    def settimeout(self, value: float) -> None:
        assert value > 0

    def recv(self, size: int) -> bytes:
        piece = self._pieces.pop(0) if self._pieces else b""
        if len(piece) > size:
            self._pieces.insert(0, piece[size:])
            piece = piece[:size]
        self.taken += len(piece)
        return piece


def read(*pieces: bytes, within_s: float = 5.0) -> Request:
    return read_request(cast("object", Pieces(*pieces)), time.monotonic() + within_s)  # type: ignore[arg-type]


def refused(code: Code) -> pytest.RaisesExc[RefusedError]:
    return pytest.raises(RefusedError, check=lambda error: error.code is code)


@given(cut=st.integers(0, 80))
def test_a_request_may_come_in_any_pieces(cut: int) -> None:
    whole = HEAD % 16 + b'{"order_id":"x"}'
    request = read(whole[:cut] or whole, whole[cut:] if cut else b"")
    assert (request.verb, request.body) == ("undo", {"order_id": "x"})


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        (b"GET /v1/hello HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}", Code.MALFORMED),
        (b"POST /v2/hello HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}", Code.MALFORMED),
        (b"POST /v1/hello HTTP/2\r\nContent-Length: 2\r\n\r\n{}", Code.MALFORMED),
        (b"POST /v1/hello HTTP/1.1\r\n\r\n{}", Code.MALFORMED),
        (b"POST /v1/hello HTTP/1.1\r\nContent-Length: -1\r\n\r\n{}", Code.MALFORMED),
        (b"POST /v1/hello HTTP/1.1\r\nContent-Length: 2x\r\n\r\n{}", Code.MALFORMED),
        (b"POST /v1/hello HTTP/1.1\r\nContent-Length: \xb2\r\n\r\n{}", Code.MALFORMED),
        (b"POST /v1/hello HTTP/1.1\r\nContent-Length: 2\r\ncontent-length: 9\r\n\r\n{}", "any"),
        (
            b"POST /v1/a HTTP/1.1\r\nTransfer-Encoding: x\r\nContent-Length: 2\r\n\r\n{}",
            "any",
        ),
        (b"POST /v1/hello HTTP/1.1\r\nContent-Length : 2\r\n\r\n{}", Code.MALFORMED),
        (b"POST /v1/hello HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}extra", Code.MALFORMED),
        (HEAD % (MAX_BODY_BYTES + 1), Code.TOO_LARGE),
        (HEAD % 10**30, Code.TOO_LARGE),
        (b"POST /v1/hello HTTP/1.1\r\nX: " + b"a" * MAX_HEAD_BYTES * 2, Code.TOO_LARGE),
        (HEAD % 2 + b"[]", Code.MALFORMED),
        (HEAD % 3 + b"{,}", Code.MALFORMED),
        (HEAD % 2 + b"\xff\xfe", Code.MALFORMED),
        (HEAD % 60000 + b"[" * 60000, Code.MALFORMED),
        (HEAD % 6000 + b"9" * 6000, Code.MALFORMED),
    ],
)
def test_what_is_no_request_is_refused(sent: bytes, code: Code | str) -> None:
    with refused(Code.MALFORMED if code == "any" else Code(code)):
        read(sent)


def test_an_endless_header_is_not_read_to_its_end() -> None:
    connection = Pieces(b"POST /v1/a HTTP/1.1\r\n" + b"x" * 10_000_000)
    with refused(Code.TOO_LARGE):
        read_request(connection, time.monotonic() + 5)  # type: ignore[arg-type]
    assert connection.taken < 64 * 1024


def test_a_peer_that_leaves_in_the_middle() -> None:
    with pytest.raises(ConnectionError):
        read(HEAD % 20, b"{")


def test_one_deadline_covers_the_whole_request() -> None:
    with pytest.raises(TimeoutError):
        read(HEAD % 20, within_s=0)


@given(st.binary(max_size=2000))
def test_noise_is_refused_or_ends(noise: bytes) -> None:
    with pytest.raises((RefusedError, ConnectionError)):
        read(noise + b"\x00")


# -- shapes ---------------------------------------------------------------------------------

_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=40),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner),
    max_leaves=12,
)
_fields = st.sampled_from(
    [
        "session",
        "sequence",
        "epoch",
        "order_id",
        "fault",
        "lease_s",
        "kind",
        "component",
        "hold_s",
        "flag",
        "endpoints",
        "objects",
        "credential",
        "token",
    ]
)


@pytest.mark.long
@settings(max_examples=100)
@given(
    st.sampled_from(["hello", "arm", "inject", "renew", "undo", "status"]),
    st.dictionaries(_fields | st.text(max_size=8), _json, max_size=8),
)
def test_no_body_breaks_the_guard_or_the_node(verb: str, body: dict[str, object]) -> None:
    site = Site()
    verbs = Verbs(site.orders, site.node, cast("object", _Look()))  # type: ignore[arg-type]
    with contextlib.suppress(RefusedError):
        verbs._answer(verb, body)
    assert site.node.kills == []
    assert set(site.node.manifests) == set(Component)
    assert site.orders.report() is None


class _Look:
    def status(self) -> None:
        return None


@pytest.mark.parametrize("kind", [ArmRequest, InjectRequest, RenewRequest, UndoRequest])
def test_unknown_fields_of_a_request_are_refused_by_name(kind: type[object]) -> None:
    with pytest.raises(MalformedError, match="missing"):
        from_json(kind, {})
    with pytest.raises(MalformedError, match="unknown field 'colour'"):
        from_json(UndoRequest, {"order_id": "x", "colour": 1})


def test_a_newer_guards_answer_can_still_be_read() -> None:
    site = Site()
    report = to_json(site.arm().report)
    report["invented_later"] = {"x": 1}
    assert from_json(OrderReport, report, strict=False) == site.report()
    with pytest.raises(MalformedError, match="node"):
        from_json(NodeStatus, {}, strict=False)
    with pytest.raises(MalformedError, match="an object is needed"):
        from_json(Hello, [], strict=False)


@pytest.mark.parametrize(
    ("field", "value"),
    [("kind", "explode"), ("component", "kubelet"), ("hold_s", "60"), ("hold_s", True)],
)
def test_words_and_numbers_outside_the_list_are_refused(field: str, value: object) -> None:
    data = json.loads(json.dumps(to_json(fault()))) | {field: value}
    with pytest.raises(MalformedError, match=field):
        from_json(Fault, data)
