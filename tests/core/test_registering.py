"""What registering a cluster refuses, and what is asked again each time that it is aimed at."""

from __future__ import annotations

import socket
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from core import kube
from core.choices import Stage
from core.errors import ClusterRefused, Conflict, NotAllowed
from core.models import Cluster
from core.operations.clusters import register_cluster, require_target, rotate_token
from core.own_machine import is_local, ours_among
from core.qa_marker import MARKER_NAMESPACE, require_marker
from gamedays.drivers.cluster import ClusterDriver
from tests.core.owners import onboard
from tests.people import Cast, make_cast
from tests.rights_api import UID, RightsApi


@pytest.fixture
def api(tmp_path: Path) -> Iterator[RightsApi]:
    made = RightsApi(tmp_path)
    yield made
    made.close()


@pytest.fixture
def cast(db: None) -> Cast:
    return make_cast()


def register(api: RightsApi, cast: Cast, kubeconfig: str, name: str = "qa-two") -> Cluster:
    return register_cluster(
        actor=cast.olga, name=name, stage=Stage.QA, team=cast.team, kubeconfig=kubeconfig
    )


def test_row_29_the_same_cluster_is_registered_once(
    api: RightsApi, tmp_path: Path, cast: Cast
) -> None:
    text = onboard(api, tmp_path).read_text()
    first = register(api, cast, text)
    with pytest.raises(Conflict, match="already registered as qa-two") as refusal:
        register(api, cast, text, name="qa-three")
    assert refusal.value.code == "cluster_registered"
    assert Cluster.objects.get(uid=UID) == first
    api.uid = "bbbbbbbb-bbbb-cccc-dddd-eeeeeeeeeeee"
    api.applied["ConfigMap/belay-marker/belay-qa-marker"]["data"]["clusterUID"] = api.uid
    with pytest.raises(Conflict) as taken:
        register(api, cast, text)
    assert taken.value.code == "name_taken"


def _marker(api: RightsApi) -> dict[str, str]:
    data: dict[str, str] = api.applied["ConfigMap/belay-marker/belay-qa-marker"]["data"]
    return data


def _may_write_the_marker(api: RightsApi) -> None:
    rules = api.applied[f"Role/{MARKER_NAMESPACE}/belay-marker"]["rules"]
    rules[0]["verbs"] = ["get", "patch"]


@pytest.mark.parametrize(
    ("break_it", "code"),
    [
        (lambda api: api.applied.pop("ConfigMap/belay-marker/belay-qa-marker"), "marker_missing"),
        (lambda api: _marker(api).update(stage="production"), "marker_not_qa"),
        (lambda api: _marker(api).update(clusterUID="another"), "marker_other_cluster"),
        (_may_write_the_marker, "marker_writable"),
        (lambda api: setattr(api, "nodes", ("prod-1",)), "looks_like_production"),
    ],
)
def test_row_42_registering_and_arming_refuse_what_is_no_marked_qa_cluster(
    api: RightsApi, tmp_path: Path, cast: Cast, break_it: object, code: str
) -> None:
    text = onboard(api, tmp_path).read_text()
    break_it(api)  # type: ignore[operator]
    with pytest.raises(ClusterRefused) as refusal:
        register(api, cast, text)
    assert refusal.value.code == code
    assert not Cluster.objects.filter(uid=UID).exists()
    # The engine asks the same again at the last moment before it arms.
    driver = ClusterDriver(
        uid=uuid.UUID(UID),
        credentials=kube.parse_kubeconfig(text),
        api_servers=dict.fromkeys(api.nodes, api.url),
    )
    with pytest.raises(ClusterRefused) as again:
        driver.require_marker()
    assert again.value.code == code


def test_another_cluster_at_the_address_is_not_touched(api: RightsApi, tmp_path: Path) -> None:
    credentials = kube.parse_kubeconfig(onboard(api, tmp_path).read_text())
    expected = kube.Credentials(
        server=credentials.server, ca_pem=credentials.ca_pem, token=credentials.token
    )
    require_marker(expected, uid=uuid.UUID(UID))
    api.uid = "bbbbbbbb-bbbb-cccc-dddd-eeeeeeeeeeee"
    with pytest.raises(ClusterRefused) as refusal:
        require_marker(expected, uid=uuid.UUID(UID))
    assert refusal.value.code == "cluster_uid_changed"


def test_with_the_embedded_database_only_qa_is_registered(
    api: RightsApi, tmp_path: Path, cast: Cast
) -> None:
    with pytest.raises(ClusterRefused) as refusal:
        register_cluster(
            actor=cast.olga,
            name="checkout",
            stage=Stage.PRODUCTION,
            team=cast.team,
            kubeconfig=onboard(api, tmp_path).read_text(),
        )
    assert refusal.value.code == "production_needs_server"
    with pytest.raises(NotAllowed):
        register_cluster(
            actor=cast.lea, name="qa-two", stage=Stage.QA, team=cast.team, kubeconfig=""
        )


def test_a_cluster_that_carries_belays_own_broker_is_refused(
    api: RightsApi, tmp_path: Path, cast: Cast, settings: pytest.FixtureRequest
) -> None:
    text = onboard(api, tmp_path).read_text()
    api.pod_ips.append("127.0.0.99")
    settings.CELERY_BROKER_URL = "redis://127.0.0.99:6379/0"  # type: ignore[attr-defined]
    with pytest.raises(ClusterRefused, match=r"at 127\.0\.0\.99") as refusal:
        register(api, cast, text)
    assert refusal.value.code == "own_machine"


def test_a_cluster_on_belays_own_machine_is_refused_at_every_start(
    cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    require_target(cast.cluster)
    monkeypatch.setattr("core.own_machine.is_local", lambda address: address == "127.0.0.12")
    with pytest.raises(ClusterRefused) as refusal:
        require_target(cast.cluster)
    assert refusal.value.code == "own_machine"
    monkeypatch.undo()
    cast.cluster.name = "checkout-live"
    with pytest.raises(ClusterRefused) as refused:
        require_target(cast.cluster)
    assert refused.value.code == "looks_like_production"


def test_which_addresses_are_this_machines() -> None:
    assert not is_local("198.51.100.77"), "an address of a documentation network is nobody's"
    assert not is_local("127.0.0.1"), "everybody's own says nothing"
    assert not is_local("no address")
    assert ours_among(["198.51.100.77", "10.0.0.1.2"], services=False) == []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("198.51.100.77", 9))
        except OSError:
            return  # a machine without a network has no address of its own
        own = probe.getsockname()[0]
    assert is_local(own)
    assert ours_among([own, "198.51.100.77"], services=False) == [own]


def test_a_credential_is_exchanged_for_one_of_the_same_cluster_only(
    api: RightsApi, tmp_path: Path, cast: Cast
) -> None:
    cluster = register(api, cast, onboard(api, tmp_path).read_text())
    old = kube.credentials_of(cluster).token
    newer = onboard(api, tmp_path).read_text()
    rotate_token(actor=cast.olga, cluster=cluster, kubeconfig=newer)
    cluster.refresh_from_db()
    assert kube.credentials_of(cluster).token == kube.parse_kubeconfig(newer).token != old
    with pytest.raises(NotAllowed):
        rotate_token(actor=cast.lea, cluster=cluster, kubeconfig=newer)
    api.uid = "bbbbbbbb-bbbb-cccc-dddd-eeeeeeeeeeee"
    with pytest.raises(ClusterRefused, match="Nothing was changed"):
        rotate_token(
            actor=cast.olga, cluster=cluster, kubeconfig=onboard(api, tmp_path).read_text()
        )
