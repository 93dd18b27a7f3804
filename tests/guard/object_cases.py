"""Changes of API objects that a guard is asked for, and the cluster that they are made in."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from guard.protocol import (
    Credential,
    Fault,
    FaultKind,
    ObjectChange,
    ObjectKind,
    ObjectReport,
    ObjectTarget,
)
from tests.guard.world import Site
from tests.object_api import OWNER, ObjectApi

Json = dict[str, Any]
SHOP = "/apis/apps/v1/namespaces/shop/deployments/shop"
CONFIG = "/api/v1/namespaces/shop/configmaps/prices"
ROUTE = "/apis/projectcontour.io/v1/namespaces/shop/httpproxies/shop"
NODE = "/api/v1/nodes/qa-2"
POD = "/api/v1/namespaces/shop/pods/shop-1"


@contextlib.contextmanager
def shop_api(folder: Path) -> Iterator[ObjectApi]:
    """A cluster's API with one object of each kind that a fault may change."""
    api = ObjectApi(folder)
    containers = [
        {"name": "shop", "image": "shop:1", "env": [{"name": "ADDR", "value": ":80"}]},
        {"name": "beside", "image": "beside:1"},
    ]
    api.put(
        SHOP,
        {
            "spec": {"replicas": 2, "template": {"spec": {"containers": containers}}},
            "status": {"observedGeneration": 99},
        },
    )
    api.put(CONFIG, {"data": {"prices.json": "{}", "other": "x"}})
    routes = [
        {"conditions": [{"prefix": "/a"}], "services": [{"name": "a", "port": 80, "weight": 9}]},
        {"services": [{"name": "shop", "port": 80}]},
    ]
    api.put(ROUTE, {"spec": {"virtualhost": {"fqdn": "shop.local"}, "routes": routes}})
    api.put(NODE, {"spec": {"podCIDR": "10.0.0.0/24"}})
    api.put(POD, {"spec": {"nodeName": "qa-2"}})
    try:
        yield api
    finally:
        api.close()


class Case:
    """One change, and how the object shows it."""

    def __init__(self, path: str, kind: ObjectKind, change: ObjectChange, key: str = "") -> None:
        self.path, self.kind, self.change, self.key = path, kind, change, key

    def target(self, api: ObjectApi) -> ObjectTarget:
        metadata = api.objects[self.path]["metadata"]
        return ObjectTarget(
            kind=self.kind,
            namespace=metadata.get("namespace", ""),
            name=metadata["name"],
            uid=metadata["uid"],
            resource_version=metadata["resourceVersion"],
            change=self.change,
            key=self.key,
        )


SCALE = Case(SHOP, ObjectKind.DEPLOYMENT, ObjectChange.SCALE_TO_ZERO)
LASTING = [
    SCALE,
    Case(SHOP, ObjectKind.DEPLOYMENT, ObjectChange.BAD_IMAGE, "shop"),
    Case(SHOP, ObjectKind.DEPLOYMENT, ObjectChange.BAD_ENV, "ADDR"),
    Case(CONFIG, ObjectKind.CONFIG_MAP, ObjectChange.BAD_CONFIG, "prices.json"),
    Case(ROUTE, ObjectKind.HTTP_PROXY, ObjectChange.ROUTE_NOWHERE),
    Case(ROUTE, ObjectKind.HTTP_PROXY, ObjectChange.ROUTE_INVALID),
    Case(NODE, ObjectKind.NODE, ObjectChange.CORDON),
]
ENDING = [
    Case(POD, ObjectKind.POD, ObjectChange.EVICT),
    Case(POD, ObjectKind.POD, ObjectChange.DELETE_POD),
]
each_lasting = pytest.mark.parametrize("case", LASTING, ids=lambda case: str(case.change))


def credential(api: ObjectApi, **changes: str) -> Credential:
    given = Credential(
        server=api.url,
        ca_pem=api.ca_pem,
        token=OWNER,
        name="belay-run-1",
        expires_at="2030-01-01T00:00:00Z",
    )
    return dataclasses.replace(given, **changes)


def armed(site: Site, api: ObjectApi, *cases: Case) -> str:
    fault = Fault(kind=FaultKind.OBJECT, hold_s=60, objects=[case.target(api) for case in cases])
    return site.arm(fault=fault, credential=credential(api)).report.order_id


def live(site: Site, api: ObjectApi, *cases: Case) -> str:
    order_id = armed(site, api, *cases)
    site.inject(order_id)
    site.run(0.5)
    assert site.report().bitten
    return order_id


def undone(site: Site, order_id: str) -> None:
    site.orders.undo(order_id)
    site.run(1.0)


def content(api: ObjectApi, path: str) -> Json:
    found = api.objects[path]
    return {key: found.get(key) for key in ("spec", "data")} | {
        "annotations": found["metadata"].get("annotations") or None
    }


def only(site: Site) -> ObjectReport:
    [report] = site.report().objects
    return report
