"""A cluster's API with a shop in it, for tests of what is done to objects."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from core import kube
from gamedays.drivers.objects import Objects
from tests.object_api import OWNER, ObjectApi

PRICES = "/apis/apps/v1/namespaces/shop/deployments/prices"


@pytest.fixture
def api(tmp_path: Path) -> Iterator[ObjectApi]:
    api = ObjectApi(tmp_path)
    api.put(PRICES, deployment("prices"))
    for number in (1, 2):
        api.put(f"/api/v1/namespaces/shop/pods/prices-{number}", pod("prices", "qa-1"))
    yield api
    api.close()


@pytest.fixture
def credentials(api: ObjectApi) -> kube.Credentials:
    return kube.Credentials(server=api.url, ca_pem=api.ca_pem, token=OWNER)


@pytest.fixture
def objects(credentials: kube.Credentials) -> Objects:
    return Objects(credentials)


def deployment(name: str, replicas: int = 2) -> dict[str, Any]:
    return {
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": name}},
            "template": {"spec": {"containers": [{"name": name, "image": f"{name}:1"}]}},
        },
        "status": {
            "observedGeneration": 1,
            "replicas": replicas,
            "updatedReplicas": replicas,
            "readyReplicas": replicas,
            "availableReplicas": replicas,
        },
    }


def pod(app: str, node: str, *, owner: str = "ReplicaSet", ready: bool = True) -> dict[str, Any]:
    owners = [{"kind": owner, "name": app, "uid": f"uid-of-{app}", "controller": True}]
    return {
        "metadata": {"labels": {"app": app}, "ownerReferences": owners if owner else []},
        "spec": {"nodeName": node},
        "status": {
            "phase": "Running",
            "conditions": [{"type": "Ready", "status": "True" if ready else "False"}],
        },
    }
