"""The registry scaled to zero: what restarts all the same, what must fail, what recovers."""

from __future__ import annotations

import json

import pytest

from tests.faults.cluster import QaCluster
from tests.faults.families import CLEAN_S, replicas
from tests.stack.running import wait_until

pytestmark = [pytest.mark.range, pytest.mark.timeout(600, func_only=True)]
HOLD_S = 30
OBSERVE_S = 60
"""A kubelet that could not pull asks again after 10, 20, 40 s."""


def test_the_registry_is_scaled_to_zero_and_the_run_shows_what_that_means(qa: QaCluster) -> None:
    _pull_everywhere(qa, "shop", "shop")
    wanted = replicas(qa, "registry", "registry")
    assert wanted > 0
    run = qa.start(
        "registry-unusable",
        mode="scale",
        hold_s=HOLD_S,
        observe_s=OBSERVE_S,
        restart="shop/shop",
        pull="shop/prices",
    )
    qa.await_active(run)
    assert replicas(qa, "registry", "registry") == 0
    account = f"serviceaccount/belay-run-{run[:8]}"
    assert account in _accounts(qa)
    qa.await_state(run, "undoing", "verifying", "observing", within_s=HOLD_S + 30)
    assert qa.nodes_down() == []
    ended = {target["name"] for target in _meant_to_end(qa, run)}
    assert not ended & _pods(qa), "the pods that were to end are still there"

    row = qa.await_clean(run, within_s=CLEAN_S)
    assert (row["doubt"], row["verdict"]) == ("", "held"), row["reason"]
    assert replicas(qa, "registry", "registry") == wanted
    assert account not in _accounts(qa)
    lines = {line["key"]: line for line in row["judgement"]}
    restart, pull = lines["meanwhile:restart"], lines["meanwhile:pull"]
    assert restart["result"] == "held", restart
    assert restart["measured"]["ready_after_s"] < HOLD_S
    assert pull["result"] == "held", pull
    assert pull["measured"]["reason"] in ("ErrImagePull", "ImagePullBackOff")
    assert lines["mass-termination"]["result"] == "held", "what was foreseen is no surprise"
    _status, page = qa.vera.get(f"/runs/{run}/")
    for line in (restart, pull):
        assert line["measured"]["successor"] in page


def _pull_everywhere(qa: QaCluster, namespace: str, deployment: str) -> None:
    """Whatever node the scheduler chooses for a successor has the image: the run judges a restart
    from cache, and on a node that never ran the pod there is nothing to restart from."""
    told = qa.look.kubectl("get", "deployment", "-n", namespace, deployment, "-o", "json")
    [container] = json.loads(told)["spec"]["template"]["spec"]["containers"]
    names = {f"pull-{node.name}": node.name for node in qa.look.nodes}
    for name, node in names.items():
        spec = {
            "nodeName": node,
            "restartPolicy": "Never",
            "terminationGracePeriodSeconds": 0,
            "tolerations": [{"operator": "Exists"}],
            "containers": [{"name": "pull", "image": container["image"]}],
        }
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec}
        qa.look.kubectl("apply", "-n", namespace, "-f", "-", stdin=json.dumps(pod))

    def pulled() -> bool:
        told = qa.look.kubectl("get", "pods", "-n", namespace, *names, "-o", "json")
        pods = json.loads(told)["items"]
        return all(pod["status"].get("containerStatuses", [{}])[0].get("imageID") for pod in pods)

    wait_until(pulled, within_s=120, what="the image is on every node", every_s=0.5)
    qa.look.kubectl("delete", "pods", "-n", namespace, *names, "--wait", "--now")


def _meant_to_end(qa: QaCluster, run: str) -> list[dict[str, str]]:
    return [each["target"] for each in qa.row(run)["recipe"]["meanwhile"]]


def _accounts(qa: QaCluster) -> list[str]:
    return qa.look.kubectl("get", "serviceaccounts", "-n", "belay-runs", "-o", "name").split()


def _pods(qa: QaCluster) -> set[str]:
    found = json.loads(qa.look.kubectl("get", "pods", "-n", "shop", "-o", "json"))["items"]
    return {pod["metadata"]["name"] for pod in found if "deletionTimestamp" not in pod["metadata"]}
