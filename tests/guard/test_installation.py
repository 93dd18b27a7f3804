"""`guard install`, from the owner's kubeconfig to a guard that answers, and off again."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from io import StringIO
from pathlib import Path

import pytest
import yaml
from django.core.management import CommandError, call_command

from core.choices import Stage
from core.errors import ClusterRefused, ClusterUnreachable, DomainError, NotAllowed
from gamedays.drivers.guard_client import GuardClient, GuardRefused
from gamedays.models import ClusterAuthority, Guard
from gamedays.operations import guards
from guard.protocol import Code, Component, Fault, FaultKind
from tests.guard.cluster_api import ClusterApi
from tests.people import NODES, Cast, make_cast, make_cluster

pytestmark = [pytest.mark.django_db, pytest.mark.long, pytest.mark.timeout(180)]
IMAGE = "belay.local/belay-guard:1"


@pytest.fixture
def cast() -> Cast:
    cast = make_cast()
    # The port is fixed, so every run takes loopback addresses of its own.
    network = f"127.{os.getpid() // 256 % 200 + 20}.{os.getpid() % 256}"
    for number, node in enumerate(cast.cluster.nodes.order_by("name")):
        node.address = f"{network}.{number + 1}"
        node.save()
    return cast


@pytest.fixture
def api(tmp_path: Path) -> Iterator[ClusterApi]:
    made = ClusterApi(tmp_path, list(NODES))
    yield made
    made.close()


def install(cast: Cast, api: ClusterApi, image: str = IMAGE) -> list[Guard]:
    return guards.install_guards(
        actor=cast.olga, cluster=cast.cluster, owner_kubeconfig=api.kubeconfig(), image=image
    )


def test_installed_pinned_and_removed_again(cast: Cast, api: ClusterApi) -> None:
    made = install(cast, api)
    assert [guard.node.name for guard in made] == list(NODES)
    for guard in made:
        hello = GuardClient.for_guard(guard).hello()
        assert (hello.node, hello.cluster_uid) == (guard.node.name, str(cast.cluster.uid))
        assert (hello.stage, hello.image) == ("qa", IMAGE)
    assert api.pods == {}, "the privileged pods are gone"
    said = StringIO()
    call_command("guard", "status", cast.cluster.name, stdout=said)
    assert said.getvalue().count("nothing live") == len(NODES)

    again = install(cast, api, "belay.local/belay-guard:2")
    assert [guard.certificate_pem for guard in again] == [g.certificate_pem for g in made]
    assert Guard.objects.count() == len(NODES)
    assert GuardClient.for_guard(again[0]).hello().image.endswith(":2")

    guards.uninstall_guards(
        actor=cast.olga, cluster=cast.cluster, owner_kubeconfig=api.kubeconfig(), image=IMAGE
    )
    assert not Guard.objects.exists()
    assert api.namespaces == set()
    for paths in api.paths.values():
        assert list(paths.manifests.iterdir()) == []
        assert list(paths.state.iterdir()) == []


def test_guards_that_are_in_place_need_no_second_installation(cast: Cast, api: ClusterApi) -> None:
    def in_place(image: str = IMAGE) -> bool:
        return guards.guards_in_place(cluster=cast.cluster, image=image)

    assert not in_place(), "none was installed"
    install(cast, api)
    assert in_place()
    assert not in_place("belay.local/belay-guard:2"), "an update is due"
    ClusterAuthority.objects.update(epoch=2)
    assert not in_place(), "they follow a former epoch"
    ClusterAuthority.objects.update(epoch=1)
    assert in_place()
    Guard.objects.filter(node__name=NODES[0]).delete()
    assert not in_place(), "one node has none"


def test_the_pod_gets_nothing_secret_and_what_is_stored_is_encrypted(
    cast: Cast, api: ClusterApi
) -> None:
    install(cast, api)
    assert len(api.seen_pods) == len(NODES)
    for pod in api.seen_pods:
        assert "PRIVATE" not in json.dumps(pod)
        assert pod["spec"]["automountServiceAccountToken"] is False
    authority = ClusterAuthority.objects.get()
    stored = [authority.ca_key_encrypted]
    for guard in Guard.objects.all():
        stored += [guard.client_key_encrypted, guard.undo_key_encrypted]
    assert len(set(stored)) == 1 + 2 * len(NODES), "a key of its own for each"
    assert not any("PRIVATE" in text for text in stored)


def test_one_nodes_credential_opens_no_other_node(cast: Cast, api: ClusterApi) -> None:
    first, second, _ = install(cast, api)
    first.address, first.certificate_pem = second.address, second.certificate_pem
    with pytest.raises(GuardRefused, match="qa-2") as refusal:
        GuardClient.for_guard(first).hello()
    assert refusal.value.code is Code.FORBIDDEN


def test_the_stored_undo_credential_arms_nothing(cast: Cast, api: ClusterApi) -> None:
    guard = install(cast, api)[0]
    client = GuardClient.for_guard(guard, undo_only=True)
    client.hello()
    fault = Fault(kind=FaultKind.HOLD, component=Component.ETCD, hold_s=10)
    with pytest.raises(GuardRefused) as refusal:
        client.arm("11111111-2222-3333-4444-555555555555", fault, 1)
    assert refusal.value.code is Code.FORBIDDEN


def test_row_30_the_guards_of_another_belay_refuse_this_one(cast: Cast, api: ClusterApi) -> None:
    install(cast, api)
    ClusterAuthority.objects.update(installation="somebody else")
    with pytest.raises(ClusterRefused, match="another Belay"):
        install(cast, api)
    assert api.pods == {}


def test_an_installer_without_rights_is_told_what_is_missing(cast: Cast, api: ClusterApi) -> None:
    api.refuse_pods = True
    with pytest.raises(ClusterRefused, match="403") as refusal:
        install(cast, api)
    assert refusal.value.code == "owner_rights"
    assert not Guard.objects.exists()


def test_a_guard_that_does_not_come_up_is_told(
    cast: Cast, api: ClusterApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guards, "HELLO_WITHIN_S", 1.0)
    api.kubelet_runs = False
    with pytest.raises(DomainError, match="does not answer"):
        install(cast, api)


def test_only_a_platform_owner_and_only_on_qa(cast: Cast, api: ClusterApi) -> None:
    with pytest.raises(NotAllowed):
        guards.install_guards(
            actor=cast.lea, cluster=cast.cluster, owner_kubeconfig="", image=IMAGE
        )
    production = make_cluster(cast.team, name="live-1", stage=Stage.PRODUCTION)
    with pytest.raises(ClusterRefused, match="production"):
        guards.install_guards(
            actor=cast.olga, cluster=production, owner_kubeconfig=api.kubeconfig(), image=IMAGE
        )
    assert api.seen_pods == []


def test_render_gives_files_for_configuration_management(cast: Cast) -> None:
    said = StringIO()
    call_command("guard", "render", "qa-2", "--image", IMAGE, stdout=said)
    policy, pod = yaml.safe_load_all(said.getvalue())
    assert policy["node"] == "qa-2"
    assert policy["stage"] == "qa"
    assert pod["spec"]["containers"][0]["image"] == IMAGE
    assert "PRIVATE" not in said.getvalue()


def test_the_command_names_what_it_does_not_know(cast: Cast) -> None:
    with pytest.raises(CommandError, match="qa-range"):
        call_command("guard", "status", "no-such-cluster")
    with pytest.raises(CommandError, match="CLUSTER/NODE"):
        call_command("guard", "render", "no-such-node", "--image", IMAGE)


def test_a_cluster_that_gives_no_answer_is_said_so(cast: Cast, api: ClusterApi) -> None:
    kubeconfig = api.kubeconfig()
    api.close()
    with pytest.raises(ClusterUnreachable, match="no answer"):
        guards.install_guards(
            actor=cast.olga, cluster=cast.cluster, owner_kubeconfig=kubeconfig, image=IMAGE
        )
