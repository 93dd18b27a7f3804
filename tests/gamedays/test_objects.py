"""What a name stands for, and how it is: over HTTPS, against real conflicts."""

from __future__ import annotations

import pytest

from core.errors import ClusterRefused, ClusterUnreachable, NotFound
from gamedays.drivers.objects import Objects
from gamedays.scenarios.plan import ObjectFault
from tests.gamedays.conftest import PRICES, pod
from tests.object_api import ObjectApi

SCALE = ObjectFault(kind="deployment", namespace="shop", name="prices", change="scale-to-zero")


def test_a_name_is_bound_to_this_version_of_this_object(api: ObjectApi, objects: Objects) -> None:
    [target] = objects.read_target(SCALE)
    found = api.objects[PRICES]["metadata"]
    assert (target.uid, target.resource_version) == (found["uid"], found["resourceVersion"])
    assert (target.kind, target.namespace, target.name) == ("deployment", "shop", "prices")


def test_a_name_that_stands_for_nothing_is_refused_in_words(objects: Objects) -> None:
    missing = ObjectFault(kind="config-map", namespace="shop", name="no", change="bad-config")
    with pytest.raises(NotFound, match="config-map no"):
        objects.read_target(missing)


def test_what_belay_stands_on_is_no_target(objects: Objects) -> None:
    own = ObjectFault(kind="deployment", namespace="belay-runs", name="x", change="bad-image")
    with pytest.raises(ClusterRefused, match="own"):
        objects.read_target(own)


def test_one_pod_of_a_deployment_is_one_that_is_ready(api: ObjectApi, objects: Objects) -> None:
    api.edit(
        "/api/v1/namespaces/shop/pods/prices-1",
        {"status": {"conditions": [{"type": "Ready", "status": "False"}]}},
    )
    kill = ObjectFault(
        kind="pod", namespace="shop", name="prices", change="delete-pod", select="one-pod-of"
    )
    assert [target.name for target in objects.read_target(kill)] == ["prices-2"]


def test_a_drain_leaves_what_a_drain_leaves(api: ObjectApi, objects: Objects) -> None:
    api.put("/api/v1/namespaces/kube-system/pods/proxy", pod("proxy", "qa-1", owner="DaemonSet"))
    mirror = pod("etcd", "qa-1", owner="Node")
    mirror["metadata"]["annotations"] = {"kubernetes.io/config.mirror": "x"}
    api.put("/api/v1/namespaces/kube-system/pods/etcd-qa-1", mirror)
    done = pod("job", "qa-1", owner="Job")
    done["status"]["phase"] = "Succeeded"
    api.put("/api/v1/namespaces/shop/pods/job-1", done)
    api.put("/api/v1/namespaces/shop/pods/elsewhere", pod("prices", "qa-2"))
    drain = ObjectFault(kind="pod", namespace="", name="qa-1", change="evict", select="pods-on")
    assert {target.name for target in objects.read_target(drain)} == {"prices-1", "prices-2"}


def test_a_drain_refuses_a_pod_that_would_not_come_back(api: ObjectApi, objects: Objects) -> None:
    api.put("/api/v1/namespaces/shop/pods/bare", pod("bare", "qa-1", owner=""))
    drain = ObjectFault(kind="pod", namespace="", name="qa-1", change="evict", select="pods-on")
    with pytest.raises(ClusterRefused, match="shop/bare"):
        objects.read_target(drain)


def test_no_answer_is_not_nothing_there(api: ObjectApi, objects: Objects) -> None:
    api.refuse["GET", "deployments"] = 500
    with pytest.raises(ClusterUnreachable):
        objects.read_target(SCALE)


def test_a_fingerprint_shows_a_change_and_that_it_was_taken_back(
    api: ObjectApi, objects: Objects
) -> None:
    targets = objects.read_target(SCALE)
    before = objects.fingerprint(targets)
    api.edit(PRICES, {"spec": {"replicas": 0}})
    assert objects.fingerprint(targets) != before
    api.edit(PRICES, {"spec": {"replicas": 2}, "status": {"observedGeneration": 3}})
    assert objects.fingerprint(targets) == before


def test_a_pod_is_fingerprinted_by_what_makes_it_anew(api: ObjectApi, objects: Objects) -> None:
    kill = ObjectFault(
        kind="pod", namespace="shop", name="prices", change="delete-pod", select="one-pod-of"
    )
    prints = objects.fingerprint(objects.read_target(kill))
    assert prints == {
        "ReplicaSet shop/prices": {
            "owner_uid": "uid-of-prices",
            "namespace": "shop",
            "ready": 2,
        }
    }
    assert objects.ready_like("shop", "uid-of-prices") == 2
