"""Every fault kind of a guard on a real node, with the guards' own client and no engine between."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.faults.cluster import QaCluster
from tests.faults.network import in_network, reaches
from tests.faults.nodes import API, NodeLook
from tests.stack.running import wait_until

pytestmark = [pytest.mark.range, pytest.mark.timeout(500, func_only=True)]
SCHEDULER, CONTROLLERS = "kube-scheduler", "kube-controller-manager"
BACK_S = 240
"""An API server that lost its etcd, a mirror pod that is deleted late, one nudge."""
_ASK = """
import json, sys
from gamedays.drivers.guard_client import GuardClient
from gamedays.models import Guard
from guard.protocol import Fault, from_json, to_json
node, verb, order_id, fault = json.loads({wish!r})
guard = Guard.objects.get(node__name=node, node__cluster__name="qa-range")
client = GuardClient.for_guard(guard, timeout_s=5)
if verb == "strike":
    client.arm(order_id, from_json(Fault, fault), 1)
    answer = client.inject(order_id)
elif verb == "undo":
    answer = client.undo(order_id)
else:
    answer = client.status()
print(json.dumps(to_json(answer)))
"""


def ask(qa: QaCluster, node: str, verb: str, order_id: str = "", **fault: Any) -> dict[str, Any]:
    """One call to a node's guard with the credential that Belay stored for it."""
    code = _ASK.format(wish=json.dumps([node, verb, order_id, fault]))
    answer: dict[str, Any] = qa.stack.shell.run(code)
    return answer


@contextmanager
def struck(qa: QaCluster, node: str, **fault: Any) -> Iterator[dict[str, Any]]:
    """A fault that was injected on a node; the undo is asked for at the end, whatever happens."""
    order_id = str(uuid.uuid4())
    try:
        yield ask(qa, node, "strike", order_id, hold_s=120, **fault)
    finally:
        ask(qa, node, "undo", order_id)


def await_undone(node: NodeLook) -> dict[str, Any]:
    """Wait until the order on the node's disk is over."""

    def over() -> dict[str, Any] | None:
        order = node.order()
        return order if order and order["phase"] == "undone" else None

    return wait_until(over, within_s=BACK_S, what=f"{node.name} is undone", every_s=0.5)


@pytest.mark.parametrize(
    ("component", "fault"),
    [
        (API, {"kind": "flag", "flag": "etcd-elsewhere"}),
        (API, {"kind": "flag", "flag": "unknown-apiserver-flag"}),
        (SCHEDULER, {"kind": "flag", "flag": "unknown-scheduler-flag"}),
        (CONTROLLERS, {"kind": "flag", "flag": "unknown-controller-manager-flag"}),
        (SCHEDULER, {"kind": "hold", "component": SCHEDULER}),
        (CONTROLLERS, {"kind": "kill", "component": CONTROLLERS}),
    ],
    ids=lambda one: one.get("flag", one["kind"]) if isinstance(one, dict) else "",
)
def test_a_control_plane_component_is_broken_and_comes_back_as_it_was(
    qa: QaCluster, component: str, fault: dict[str, str]
) -> None:
    node = qa.look.node("qa-2")
    # A scheduler or controller manager that lost its API server with the case before ends, and
    # its kubelet takes its time over starting it again.
    wait_until(
        lambda: node.processes(component) and _healthy(qa, node.name, component),
        within_s=BACK_S,
        what=f"{component} runs and is healthy before the fault",
    )
    files, before = node.manifests(), node.processes(component)
    assert before
    with struck(qa, node.name, **fault) as report:
        assert report["bitten"], report
        assert report["component"] == component
        assert not before & node.processes(component), "the old process is gone"
        changed = {name for name, mark in files.items() if node.manifests().get(name) != mark}
        assert changed == (set() if fault["kind"] == "kill" else {f"{component}.yaml"})
    order = await_undone(node)
    assert order["undo_reason"] == "requested"
    assert node.manifests() == files
    assert node.stash() == []
    wait_until(lambda: node.processes(component) - before, within_s=60, what="a new process")
    wait_until(
        lambda: _healthy(qa, node.name, component), within_s=BACK_S, what=f"{component} is healthy"
    )


def _healthy(qa: QaCluster, node: str, component: str) -> bool:
    found = ask(qa, node, "status")["components"]
    return bool(next(one["healthy"] for one in found if one["component"] == component))


def test_a_node_is_cut_off_from_the_registry_and_reaches_it_again(qa: QaCluster) -> None:
    services = json.loads(qa.look.kubectl("get", "services", "--all-namespaces", "-o", "json"))
    registry = next(one for one in services["items"] if one["metadata"]["name"] == "registry")
    address = registry["spec"]["clusterIP"]
    port = registry["spec"]["ports"][0]["port"]
    node = qa.look.node("qa-3")
    assert reaches(node, address, port)
    with struck(qa, node.name, kind="cut", endpoints=[{"address": address, "port": port}]) as told:
        assert told["bitten"], told
        assert ask(qa, node.name, "status")["cuts"] == [f"{address} . {port}"]
        assert not reaches(node, address, port)
        assert reaches(qa.look.node("qa-1"), address, port), "other nodes are not touched"
        assert address in in_network(node, "nft", "list", "table", "inet", "belay_guard").stdout
    await_undone(node)
    assert in_network(node, "nft", "list", "table", "inet", "belay_guard").returncode != 0
    assert ask(qa, node.name, "status")["cuts"] == []
    assert reaches(node, address, port)


def test_a_drill_leaves_the_node_as_it_was(qa: QaCluster) -> None:
    node = qa.look.node("qa-1")
    before, processes = node.manifests(), node.processes(API)
    with struck(qa, node.name, kind="drill") as report:
        assert report["bitten"], report
    await_undone(node)
    assert node.manifests() == before
    assert node.processes(API) == processes
