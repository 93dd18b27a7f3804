"""Putting the guard on a node: key first, manifest last, nobody else's guard replaced."""

from __future__ import annotations

import json
import ssl
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from guard.disk import NodeDisk
from guard.install import InstallError, install, uninstall
from guard.journal import Journal
from guard.policy import Paths, PolicyError, load_policy, parse_policy, policy_json
from guard.protocol import INSTALL_FAILED, INSTALLED, UNINSTALLED, Phase
from tests.guard.running import ROOT
from tests.guard.world import Site, policy

IMAGE = "belay.local/belay-guard:1"


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    (tmp_path / "kubernetes/manifests").mkdir(parents=True)
    return Paths(
        kubernetes=tmp_path / "kubernetes",
        state=tmp_path / "state",
        run=tmp_path / "run",
        proc=tmp_path / "proc",
    )


def test_what_install_leaves_on_the_node(paths: Paths) -> None:
    certificate = install(paths, policy(), IMAGE)
    ssl.PEM_cert_to_DER_cert(certificate)
    assert load_policy(paths.policy) == policy()
    assert stat.S_IMODE(paths.state.stat().st_mode) == 0o700
    assert {file.name for file in paths.state.iterdir()} == {
        "key.pem",
        "certificate.pem",
        "policy.json",
    }
    for file in paths.state.iterdir():
        assert stat.S_IMODE(file.stat().st_mode) == 0o600, file
    [manifest] = paths.manifests.iterdir()
    assert manifest.name == "belay-guard.yaml"
    assert json.loads(manifest.read_text())["spec"]["containers"][0]["image"] == IMAGE
    assert "PRIVATE" not in certificate + manifest.read_text()
    assert [file.name for file in paths.kubernetes.iterdir()] == ["manifests"]


def test_installing_again_keeps_the_key_and_takes_the_new_image(paths: Paths) -> None:
    first = install(paths, policy(), IMAGE)
    assert install(paths, policy(epoch=4), "image:2") == first
    assert load_policy(paths.policy).epoch == 4
    assert "image:2" in (paths.manifests / "belay-guard.yaml").read_text()


def test_row_30_the_guard_of_another_belay_is_not_replaced(paths: Paths) -> None:
    install(paths, policy(), IMAGE)
    with pytest.raises(InstallError, match="another Belay"):
        install(paths, policy(installation="belay-two"), IMAGE)
    with pytest.raises(InstallError, match="another Belay"):
        uninstall(paths, "belay-two")
    assert load_policy(paths.policy).installation == "belay-one"


def test_no_guard_on_anything_but_qa(paths: Paths) -> None:
    with pytest.raises(InstallError, match="production"):
        install(paths, policy(stage="production"), IMAGE)
    assert not paths.state.exists()


def test_a_node_without_static_pods_is_told_so(paths: Paths) -> None:
    paths.manifests.rmdir()
    with pytest.raises(InstallError, match="static pods"):
        install(paths, policy(), IMAGE)
    assert not paths.state.exists()


@pytest.mark.parametrize("over", [False, True])
def test_while_an_order_is_live_nothing_is_replaced_or_removed(paths: Paths, over: bool) -> None:
    install(paths, policy(), IMAGE)
    site = Site()
    site.live()
    order = site.orders.order
    assert order is not None
    journal = Journal(NodeDisk(), paths.state)
    if over:
        journal.save_order(order.replace(phase=Phase.UNDONE))
        install(paths, policy(), "image:2")
        uninstall(paths, "belay-one")
        assert list(paths.manifests.iterdir()) == []
        assert list(paths.state.iterdir()) == []
        return
    journal.save_order(order)
    with pytest.raises(InstallError, match="undo it first"):
        install(paths, policy(), "image:2")
    with pytest.raises(InstallError, match="undo it first"):
        uninstall(paths, "belay-one")
    assert IMAGE in (paths.manifests / "belay-guard.yaml").read_text()


@pytest.mark.parametrize("phase", [Phase.INJECTED, Phase.STUCK, Phase.UNDONE])
def test_a_live_order_of_a_newer_guard_is_live_to_an_older_one_too(
    paths: Paths, phase: Phase
) -> None:
    """An image of before would not understand what the order is about, and drop it."""
    install(paths, policy(), IMAGE)
    site = Site()
    site.live()
    order = site.orders.order
    assert order is not None
    Journal(NodeDisk(), paths.state).save_order(order.replace(phase=phase))
    written = json.loads((paths.state / "order.json").read_text())
    written["order"]["a-field-of-tomorrow"] = 1
    (paths.state / "order.json").write_text(json.dumps(written))
    if phase is Phase.UNDONE:
        install(paths, policy(), "image:0")
        uninstall(paths, "belay-one")
        return
    with pytest.raises(InstallError, match=order.order_id):
        install(paths, policy(), "image:0")
    with pytest.raises(InstallError, match=order.order_id):
        uninstall(paths, "belay-one")
    assert IMAGE in (paths.manifests / "belay-guard.yaml").read_text()


@pytest.mark.parametrize("what", ["journal", "stash"])
def test_a_guard_whose_way_back_may_still_be_needed_is_not_removed(paths: Paths, what: str) -> None:
    """Nothing was removed when it says so: the guard is what puts the manifest back."""
    install(paths, policy(), IMAGE)
    if what == "journal":
        (paths.state / "order.json").write_bytes(b"half of it")
    else:
        held = paths.stash / "0b5f8c1e-1111-4222-8333-444455556666"
        held.mkdir(parents=True)
        (held / "etcd.yaml").write_text("kind: Pod")
    with pytest.raises(InstallError, match="order.json" if what == "journal" else "stash"):
        uninstall(paths, "belay-one")
    assert (paths.manifests / "belay-guard.yaml").exists()
    assert paths.policy.exists()
    install(paths, policy(), "image:2")  # a new guard takes it up


def test_what_the_pod_says_in_its_log(paths: Paths) -> None:
    options = [
        f"--{name}={getattr(paths, name)}" for name in ("kubernetes", "state", "run", "proc")
    ]

    def said(*words: str) -> str:
        command = [sys.executable, "-m", "guard", *words, *options]
        return subprocess.run(
            command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60
        ).stdout

    text = said("install", "--policy", policy_json(policy()), "--image", IMAGE)
    assert text.startswith(INSTALLED)
    assert "BEGIN CERTIFICATE" in json.loads(text.removeprefix(INSTALLED))["certificate"]
    text = said("install", "--policy", policy_json(policy(installation="x")), "--image", IMAGE)
    assert "another Belay" in json.loads(text.removeprefix(INSTALL_FAILED))["error"]
    assert said("uninstall", "--installation", "belay-one").startswith(UNINSTALLED)
    assert said("render", "--policy", policy_json(policy()), "--image", IMAGE).startswith("{")


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"address": "0.0.0.0"}, "wildcard"),  # noqa: S104
        ({"address": "::"}, "wildcard"),
        ({"address": "node.example"}, "does not appear to be"),
        ({"port": 0}, "port 0"),
        ({"port": 70000}, "port 70000"),
        ({"installation": ""}, "must all be set"),
        ({"lease_min_s": 0.0}, "lease_min_s"),
        ({"components": ["kubelet"]}, "kubelet"),
    ],
)
def test_a_policy_that_makes_no_sense_is_named(changes: dict[str, object], says: str) -> None:
    text = json.dumps(json.loads(policy_json(policy())) | changes)
    with pytest.raises(PolicyError, match=says):
        parse_policy(text, where="policy.json")
