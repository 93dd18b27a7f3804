"""What answers for an API server, and is none: unknown, and never the end of who looks."""

from __future__ import annotations

import uuid

import pytest

from core import kube
from core.errors import ClusterUnreachable
from gamedays.drivers.cluster import ClusterDriver

_CREDENTIALS = kube.Credentials(server="https://127.0.0.1:1", ca_pem="", token="t")


@pytest.mark.parametrize("body", [b"<html>Welcome</html>", b"[]", b'"text"', b"null", b""])
def test_a_proof_takes_it_for_not_passed(monkeypatch: pytest.MonkeyPatch, body: bytes) -> None:
    """A proxy before the API that says 200 to everything while the servers behind it are away."""
    answer = kube.Answer(200, body, 1.0)
    monkeypatch.setattr(kube, "fresh_request", lambda *_given, **_named: answer)
    cluster = ClusterDriver(
        uid=uuid.uuid4(), credentials=_CREDENTIALS, api_servers={"qa-1": "https://127.0.0.1:1"}
    )
    assert "another value was read" in cluster.canary("qa-1")
    with pytest.raises(ClusterUnreachable, match="no object"):
        cluster.unmint("0a1b2c3d-0000-4000-8000-000000000001")
