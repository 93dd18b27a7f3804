"""The edge keeper: what it decides, and what it asks of the API server."""

from __future__ import annotations

import http.server
import json
import ssl
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from practice import edge, edge_keeper, weaknesses
from practice.cluster import Object
from practice.edge_keeper import TAINT, Cluster, Edge, answers, settle, taints_of
from practice.facts import RangeFacts
from practice.plan import Plan
from practice.system import RangeError

OTHERS = {"key": "node.kubernetes.io/unreachable", "effect": "NoSchedule"}


def node(name: str = "qa-1", *taints: Object) -> Object:
    meta = {"name": name, "resourceVersion": "7"}
    return {"metadata": meta, "spec": {"taints": list(taints)} if taints else {}}


def test_three_failures_in_a_row_are_an_outage_and_one_answer_ends_it() -> None:
    told = Edge()
    seen = [told.note(answered=answered) for answered in (False, False, True, False, False, False)]
    assert seen == [False, False, False, False, False, True]
    assert told.note(answered=False)
    assert not told.note(answered=True)


def test_a_closed_port_does_not_answer() -> None:
    assert not answers("127.0.0.1", 9)


@pytest.mark.parametrize(
    ("taints", "away", "effect", "wanted"),
    [
        ([], True, "NoExecute", [{"key": TAINT, "effect": "NoExecute"}]),
        ([], False, "NoExecute", None),
        ([{"key": TAINT, "effect": "NoExecute", "timeAdded": "now"}], True, "NoExecute", None),
        ([{"key": TAINT, "effect": "NoExecute"}, OTHERS], False, "NoExecute", [OTHERS]),
        # The fix, applied while the edge is away.
        ([OTHERS, {"key": TAINT, "effect": "NoExecute"}], True, "NoSchedule",
         [OTHERS, {"key": TAINT, "effect": "NoSchedule"}]),
    ],
)  # fmt: skip
def test_only_its_own_taint_comes_and_goes(
    taints: list[Object], away: bool, effect: str, wanted: list[Object] | None
) -> None:
    assert taints_of(node("qa-1", *taints), away=away, effect=effect) == wanted


class Api(http.server.ThreadingHTTPServer):
    """An API server with two nodes, one of which somebody else changes all the time."""

    def __init__(self, folder: Path) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked: list[tuple[str, str, Any]] = []
        make = ["openssl", "req", "-x509", "-newkey", "ed25519", "-nodes", "-subj", "/CN=api",
                "-addext", "subjectAltName=IP:127.0.0.1"]  # fmt: skip
        files = ["-keyout", str(folder / "key"), "-out", str(folder / "ca.crt")]
        subprocess.run([*make, *files], check=True, capture_output=True)
        (folder / "token").write_text("secret\n")
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(folder / "ca.crt", folder / "key")
        self.socket = tls.wrap_socket(self.socket, server_side=True)


class Handler(http.server.BaseHTTPRequestHandler):
    server: Api

    def do_GET(self) -> None:
        self._answer(200, {"items": [node("qa-1"), node("qa-2")]})

    def do_PATCH(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.asked.append((self.path, self.headers["Authorization"], body))
        self._answer(409 if self.path.endswith("qa-1") else 200, {})

    def _answer(self, status: int, body: Object) -> None:
        self.send_response(status)
        self.end_headers()
        self.wfile.write(json.dumps(body).encode())

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the base names it
        pass


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Api]:
    server = Api(tmp_path)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_conflict_on_one_node_does_not_keep_the_other(api: Api, tmp_path: Path) -> None:
    cluster = Cluster(f"https://127.0.0.1:{api.server_port}", tmp_path)
    settle(cluster, away=True, effect="NoExecute")
    patch = {
        "metadata": {"resourceVersion": "7"},
        "spec": {"taints": [{"key": TAINT, "effect": "NoExecute"}]},
    }
    assert api.asked == [
        (f"/api/v1/nodes/{name}", "Bearer secret", patch) for name in ("qa-1", "qa-2")
    ]
    api.asked.clear()
    settle(cluster, away=False, effect="NoExecute")
    assert api.asked == []


def test_its_pod_carries_this_very_program_and_may_only_touch_nodes() -> None:
    found = {item["kind"]: item for item in edge.objects("belay.local/belay-guard:1")}
    assert found["ConfigMap"]["data"]["keeper.py"] == Path(edge_keeper.__file__).read_text()
    [rule] = found["ClusterRole"]["rules"]
    assert (rule["resources"], rule["verbs"]) == (["nodes"], ["get", "list", "patch"])
    [container] = found["Deployment"]["spec"]["template"]["spec"]["containers"]
    assert container["imagePullPolicy"] == "Never"
    assert container["env"] == [{"name": "KEEPER_EFFECT", "value": "NoExecute"}]


def test_a_range_without_it_has_nothing_to_fix(
    own_dirs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(weaknesses, "load_plan", lambda _: Plan("one", 0))
    monkeypatch.setattr(RangeFacts, "load", lambda _: None)
    monkeypatch.setattr(edge, "kubectl", lambda *_: "")
    with pytest.raises(RangeError, match=r"nothing for 'edge-keeper-effect' to fix.*range weaken"):
        weaknesses.apply_fix("one", "edge-keeper-effect")
    with pytest.raises(RangeError, match="'other' is no known weakness: there are edge-keeper"):
        weaknesses.apply_weakening("one", "other")
