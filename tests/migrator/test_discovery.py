"""What runs in a cluster, as its API tells: a fake stands at the edge, where requests are sent."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from core import kube
from core.errors import ClusterRefused, ClusterUnreachable, NotAllowed, NotFound
from migrator.drivers.cluster_objects import ClusterObjects
from migrator.models import Service
from migrator.operations.discovery import discover
from tests.migrator.conftest import Make
from tests.people import Cast, make_cluster

CREDENTIALS = kube.Credentials(server="https://127.0.0.1:1", ca_pem="", token="t")


class Api:
    """Answers as a cluster would. `closed` are paths that the account may not list."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.asked: list[str] = []
        self.closed: set[str] = set()
        self.unknown: set[str] = set()
        self.broken: dict[str, kube.Answer] = {}
        self.away = False
        self.page = 2
        self.items: dict[str, list[dict[str, Any]]] = {
            "deployments": [
                _workload("shop", "shop", ready=2, wanted=2),
                _workload("shop", "prices", ready=0, wanted=1),
                _workload("kube-system", "coredns", ready=2, wanted=2),
                _workload("belay", "canary", ready=1, wanted=1),
            ],
            "statefulsets": [_workload("shop", "ledger", ready=1, wanted=3)],
            "daemonsets": [
                {
                    "metadata": {"namespace": "projectcontour", "name": "envoy"},
                    "status": {"numberReady": 3, "desiredNumberScheduled": 3},
                }
            ],
            "httpproxies": [
                {
                    "metadata": {"namespace": "shop", "name": "front"},
                    "spec": {
                        "virtualhost": {"fqdn": "shop.qa.local"},
                        "routes": [{"services": [{"name": "shop-legacy"}, {"name": "shop"}]}, {}],
                    },
                },
                {"metadata": {"namespace": "shop", "name": "bare"}, "spec": {}},
            ],
        }
        monkeypatch.setattr(kube, "fresh_request", self.answer)

    def answer(self, _who: object, method: str, path: str, **_more: object) -> kube.Answer:
        assert method == "GET", "a look changes nothing"
        self.asked.append(path)
        if self.away:
            raise ClusterUnreachable("127.0.0.1:1 refused the connection")
        parts = urlsplit(path)
        if parts.path in self.broken:
            return self.broken[parts.path]
        if parts.path in self.closed:
            return kube.Answer(403, b"{}", 1.0)
        plural = parts.path.rpartition("/")[2]
        if plural in self.unknown:
            return kube.Answer(404, b"{}", 1.0)
        if plural == "namespaces":
            names = ["shop", "kube-system", "secret-place"]
            return _json({"items": [{"metadata": {"name": name}} for name in names]})
        items = self.items[plural]
        if "/namespaces/" in parts.path:
            place = parts.path.split("/namespaces/")[1].split("/")[0]
            items = [item for item in items if item["metadata"]["namespace"] == place]
        at = int(parse_qs(parts.query).get("continue", ["0"])[0])
        onward = str(at + self.page) if at + self.page < len(items) else ""
        return _json({"items": items[at : at + self.page], "metadata": {"continue": onward}})


def _workload(namespace: str, name: str, *, ready: int, wanted: int) -> dict[str, Any]:
    return {
        "metadata": {"namespace": namespace, "name": name},
        "spec": {"replicas": wanted},
        "status": {"readyReplicas": ready} if ready else {},
    }


def _json(body: object) -> kube.Answer:

    return kube.Answer(200, json.dumps(body).encode(), 1.0)


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> Api:
    return Api(monkeypatch)


def names(cast: Cast) -> list[str]:
    rows = discover(actor=cast.erik, cluster=cast.cluster).rows
    return [f"{row.found.kind} {row.found.namespace}/{row.found.name}" for row in rows]


def test_workloads_and_routes_are_found_page_by_page(api: Api, cast: Cast) -> None:
    assert names(cast) == [
        "Deployment kube-system/coredns",
        "DaemonSet projectcontour/envoy",
        "StatefulSet shop/ledger",
        "Deployment shop/prices",
        "Deployment shop/shop",
        "HTTPProxy shop/bare",
        "HTTPProxy shop/front",
    ], "Belay's own parts are left out"
    assert len([path for path in api.asked if "/deployments" in path]) == 2
    assert not any("secret" in path for path in api.asked)


def test_each_is_told_with_what_it_is_linked_to(api: Api, cast: Cast, make: Make) -> None:
    make("Shop")
    place = {"cluster": cast.cluster, "namespace": "shop"}
    Service.objects.filter(name="Shop").update(
        workload_kind="Deployment", workload="shop", route="front", **place
    )
    make("Foreign ledger", by=cast.otto)
    Service.objects.filter(name="Foreign ledger").update(
        workload_kind="StatefulSet", workload="ledger", **place
    )
    found = {row.found.name: row for row in discover(actor=cast.erik, cluster=cast.cluster).rows}
    assert str(found["shop"].linked) == str(found["front"].linked) == "Shop"
    assert found["shop"].route == "front", "the route that leads to it is offered with it"
    assert found["prices"].linked is None
    assert not found["prices"].elsewhere
    assert (found["ledger"].linked, found["ledger"].elsewhere) == (None, True)
    assert (found["shop"].found.ready, found["prices"].found.ready) == (2, 0)
    assert found["front"].found.host == "shop.qa.local"
    assert found["coredns"].system
    assert found["envoy"].system


def test_what_it_may_not_list_everywhere_is_asked_by_namespace(api: Api, cast: Cast) -> None:
    api.closed = {
        "/apis/apps/v1/deployments",
        "/apis/apps/v1/namespaces/secret-place/deployments",
    }
    found = discover(actor=cast.erik, cluster=cast.cluster)
    assert "shop" in {row.found.name for row in found.rows}
    assert found.gaps == ["Belay's account may not list Deployment objects in secret-place."]


def test_a_kind_that_it_may_not_list_is_told(api: Api, cast: Cast) -> None:
    """A cluster that was onboarded before Belay looked for StatefulSets."""
    everywhere = ("shop", "kube-system", "secret-place")
    api.closed = {"/apis/apps/v1/statefulsets"} | {
        f"/apis/apps/v1/namespaces/{each}/statefulsets" for each in everywhere
    }
    found = discover(actor=cast.erik, cluster=cast.cluster)
    assert "ledger" not in {row.found.name for row in found.rows}
    [gap] = found.gaps
    assert "StatefulSet" in gap
    assert "belay cluster onboard" in gap


def test_nothing_looked_at_is_not_taken_for_nothing_there(api: Api, cast: Cast) -> None:
    api.closed = {"/apis/apps/v1/statefulsets"}
    api.broken["/api/v1/namespaces"] = kube.Answer(200, b'{"items": []}', 1.0)
    assert len(discover(actor=cast.erik, cluster=cast.cluster).gaps) == 1
    api.broken["/api/v1/namespaces"] = kube.Answer(403, b"{}", 1.0)
    assert len(discover(actor=cast.erik, cluster=cast.cluster).gaps) == 1


def test_a_cluster_without_contour_has_no_routes(api: Api, cast: Cast) -> None:
    api.unknown = {"httpproxies"}
    found = discover(actor=cast.erik, cluster=cast.cluster)
    assert {row.found.kind for row in found.rows} == {"Deployment", "StatefulSet", "DaemonSet"}
    assert found.gaps == []


def test_a_token_that_is_no_good_is_told(
    api: Api, cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kube, "fresh_request", lambda *_a, **_k: kube.Answer(401, b"", 1.0))
    with pytest.raises((ClusterRefused, ClusterUnreachable)) as refused:
        discover(actor=cast.erik, cluster=cast.cluster)
    assert "may list neither" in refused.value.message


def test_a_cluster_that_does_not_answer_is_told(api: Api, cast: Cast) -> None:
    api.away = True
    with pytest.raises(ClusterUnreachable) as refused:
        discover(actor=cast.erik, cluster=cast.cluster)
    assert "qa-range could not be looked at" in refused.value.message
    assert "refused the connection" in refused.value.message


@pytest.mark.parametrize(
    "answer",
    [
        kube.Answer(500, b"boom", 1.0),
        kube.Answer(200, b"<html>", 1.0),
        kube.Answer(200, b"[]", 1.0),
        kube.Answer(200, b'{"items": [{"spec": {}}]}', 1.0),
        kube.Answer(200, b'{"items": ["x"]}', 1.0),
        kube.Answer(200, b'{"items": 5}', 1.0),
        kube.Answer(200, b"\xff\xfe", 1.0),
    ],
)
def test_an_answer_that_is_none_is_told(answer: kube.Answer, api: Api, cast: Cast) -> None:
    api.broken["/apis/apps/v1/daemonsets"] = answer
    with pytest.raises(ClusterUnreachable):
        discover(actor=cast.erik, cluster=cast.cluster)


def test_a_slow_cluster_ends_the_look(api: Api) -> None:
    now = iter(float(n * 6) for n in range(100))
    with pytest.raises(ClusterUnreachable, match="within 15 s"):
        ClusterObjects(CREDENTIALS, clock=lambda: next(now)).look()


def test_only_who_keeps_services_and_sees_the_cluster_looks(api: Api, cast: Cast) -> None:
    with pytest.raises(NotAllowed):
        discover(actor=cast.vera, cluster=cast.cluster)
    foreign = make_cluster(cast.otto.teams.get(), name="qa-search")
    with pytest.raises(NotFound):
        discover(actor=cast.erik, cluster=foreign)
    assert api.asked == []
