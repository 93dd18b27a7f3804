"""From an owner's kubeconfig to a registered cluster, through an API that honours the rights."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from core import kube
from core.choices import Stage
from core.onboarding import objects, runs, steps
from core.onboarding.__main__ import main
from core.operations.clusters import register_cluster
from core.qa_marker import MARKER_NAMESPACE
from migrator.runners.objects import KINDS
from practice import owner as practice_owner
from practice import owner_runs, owner_steps
from tests.core.owners import onboard, owners_kubeconfig
from tests.guard.running import ROOT
from tests.people import Cast, make_cast
from tests.rights_api import OWNER, UID, VERSION, RightsApi


@pytest.fixture
def api(tmp_path: Path) -> Iterator[RightsApi]:
    made = RightsApi(tmp_path)
    yield made
    made.close()


@pytest.fixture
def cast(db: None) -> Cast:
    return make_cast()


def test_from_an_exec_credential_to_a_registered_cluster(
    api: RightsApi, tmp_path: Path, cast: Cast, capsys: pytest.CaptureFixture[str]
) -> None:
    out = onboard(api, tmp_path)
    said = capsys.readouterr().out
    assert "ServiceAccount belay in namespace belay" in said
    assert "may get configmaps named belay-qa-marker" in said
    assert "belay cluster register qa-two" in said
    assert "2027-11-23" in said
    assert stat.S_IMODE(out.stat().st_mode) == 0o600
    assert OWNER not in out.read_text()
    cluster = register_cluster(
        actor=cast.olga,
        name="qa-two",
        stage=Stage.QA,
        team=cast.team,
        kubeconfig=out.read_text(),
    )
    assert str(cluster.uid) == UID
    assert list(cluster.nodes.values_list("name", flat=True)) == list(api.nodes)
    assert api.refused == [], "its rights are enough for everything that registering asks"


def test_its_account_may_do_what_it_needs_and_nothing_else(api: RightsApi, tmp_path: Path) -> None:
    token = kube.parse_kubeconfig(onboard(api, tmp_path).read_text()).token
    assert api.may(token, "list", "pods", "default")
    assert api.may(token, "patch", "configmaps", "belay", "belay-canary-qa-1")
    for verb, resource, namespace in (
        ("get", "secrets", "default"),
        ("list", "secrets", ""),
        ("create", "pods", "default"),
        ("delete", "pods", "default"),
        ("patch", "deployments", "default"),
        ("create", "roles", "default"),
        ("update", "configmaps", MARKER_NAMESPACE),
        ("get", "configmaps", "kube-system"),
        ("create", "configmaps", MARKER_NAMESPACE),
    ):
        assert not api.may(token, verb, resource, namespace, "x"), (verb, resource, namespace)


def test_the_practice_range_gives_the_same_rights() -> None:
    """The range's owner and a real one do the same, so that what holds on the range holds there."""
    ours = {_key(item): item for item in objects.owners_objects(UID)}
    ranges = {_key(item): item for item in practice_owner.objects(UID)}
    assert set(ours) <= set(ranges)
    for key, item in ours.items():
        assert item == ranges[key], key


def test_the_practice_range_opts_in_with_the_same_objects() -> None:
    nodes = ["qa-1", "qa-2"]
    granted = steps.step_objects(traffic_in=[], migrates_in=owner_steps.MIGRATES_IN)
    assert granted == owner_steps.objects()
    ours = runs.run_objects(namespaces=owner_runs.OPTED_IN, nodes=nodes)
    assert ours == owner_runs.objects(nodes)
    assert runs.run_objects(namespaces=[], nodes=[]) == []
    for item in runs.run_objects(namespaces=["shop"], nodes=[]):
        assert "clusterroles" not in json.dumps(item.get("rules", [])), "no names is every name"


def test_steps_are_opted_in_by_namespace_traffic_alone_or_all_of_it(
    api: RightsApi, tmp_path: Path
) -> None:
    out = onboard(api, tmp_path, "--traffic-in", "shop", "--migrates-in", "orders")
    token = kube.parse_kubeconfig(out.read_text()).token
    assert api.may(token, "patch", "httpproxies", "shop", "shop")
    assert not api.may(token, "patch", "deployments", "shop")
    assert not api.may(token, "delete", "httpproxies", "shop")
    assert api.may(token, "patch", "httpproxies", "orders")
    for verb in ("get", "create", "patch", "delete"):
        assert api.may(token, verb, "deployments", "orders")
    for resource in ("secrets", "serviceaccounts", "roles", "pods"):
        assert not api.may(token, "patch", resource, "orders")
        assert not api.may(token, "create", resource, "orders")
    assert not api.may(token, "patch", "httpproxies", "default")


def test_a_step_may_change_exactly_the_kinds_that_an_owner_grants() -> None:
    granted = {
        (group, resource)
        for rule in steps.apply_rules()
        for group in rule["apiGroups"]
        for resource in rule["resources"]
    }
    changed = {(v.partition("/")[0] if "/" in v else "", plural) for v, plural in KINDS.values()}
    assert granted == changed


def test_namespaces_are_opted_in_by_name_and_on_a_new_enough_cluster_only(
    api: RightsApi,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    out = onboard(api, tmp_path, "--faults-in", "shop")
    token = kube.parse_kubeconfig(out.read_text()).token
    assert "only where every rule of a run's role names its objects" in capsys.readouterr().out
    assert api.may(token, "create", "roles", "shop")
    assert not api.may(token, "create", "roles", "default")
    assert not api.may(token, "patch", "deployments", "shop"), "no standing right"
    assert not any("cordon" in key for key in api.applied)
    monkeypatch.setitem(VERSION, "gitVersion", "v1.29.4")
    kubeconfig = str(owners_kubeconfig(api, tmp_path))
    assert main(["qa-two", "--kubeconfig", kubeconfig, "--yes", "--drains"]) == 1
    assert "need 1.30" in capsys.readouterr().err


def _key(item: objects.Object) -> tuple[str, str, str]:
    meta = item["metadata"]
    return item["kind"], meta.get("namespace", ""), meta["name"]


def test_the_command_needs_no_belay_and_asks_first(api: RightsApi, tmp_path: Path) -> None:
    command = [str(ROOT / "belay"), "cluster", "onboard", "qa-two"]
    command += ["--kubeconfig", str(owners_kubeconfig(api, tmp_path)), "--out", "for-belay"]

    def run(answer: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command,
            cwd=tmp_path,
            env={"PATH": os.environ["PATH"]},
            input=answer,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )

    declined = run("yes\n")
    assert (declined.returncode, api.applied) == (1, {})
    assert "Nothing was made." in declined.stdout
    done = run("qa-two\n")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "for-belay").exists()


def test_printing_makes_nothing_and_can_be_applied(
    api: RightsApi, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kubeconfig = str(owners_kubeconfig(api, tmp_path))
    assert main(["qa-two", "--kubeconfig", kubeconfig, "--print-only"]) == 0
    text = capsys.readouterr().out
    documents = list(yaml.safe_load_all(text[text.index("apiVersion") :]))
    assert documents == objects.owners_objects(UID)
    assert api.applied == {}


@pytest.mark.parametrize("name", ["checkout-prod", "live-1"])
def test_row_42_a_name_that_looks_like_production_is_refused_before_anything_is_asked(
    api: RightsApi, tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([name, "--kubeconfig", str(owners_kubeconfig(api, tmp_path)), "--yes"]) == 1
    assert "looks like production" in capsys.readouterr().err
    assert api.applied == {}


def test_an_owner_without_rights_is_told(
    api: RightsApi, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    api.tokens["weak"] = "default:weak"
    kubeconfig = owners_kubeconfig(api, tmp_path)
    (tmp_path / "login").write_text((tmp_path / "login").read_text().replace(OWNER, "weak"))
    assert main(["qa-two", "--kubeconfig", str(kubeconfig), "--yes"]) == 1
    said = capsys.readouterr().err
    assert "403" in said
    assert "cluster administrator" in said


def test_what_a_small_or_managed_cluster_cannot_do_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for nodes, says in ((("qa-1",), "no etcd member can be taken away"), ((), "no guards")):
        api = RightsApi(tmp_path, nodes=nodes)
        api.workers = ("w-1", "w-2")
        kubeconfig = str(owners_kubeconfig(api, tmp_path))
        assert main(["qa-two", "--kubeconfig", kubeconfig, "--print-only"]) == 0
        assert says in capsys.readouterr().out
        api.close()


def test_the_module_runs_without_any_settings() -> None:
    done = subprocess.run(
        [sys.executable, "-P", "-m", "core.onboarding", "--help"],
        env={"PYTHONPATH": str(ROOT), "PATH": os.environ["PATH"]},
        cwd="/",
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr


def test_all_that_is_made_can_be_taken_back_as_told_rights_before_what_narrows_them() -> None:
    made = objects.owners_objects(UID) + runs.run_objects(namespaces=["shop"], nodes=["qa-1"])
    commands = objects.taking_back(made)
    told = " ".join(commands).split()
    mine = {item["metadata"]["name"] for item in made if item["kind"] == "Namespace"}
    for item in made:
        if item["metadata"].get("namespace") not in mine:
            assert f"{item['kind'].lower()}/{item['metadata']['name']}" in told
    [in_shop] = [command for command in commands if " -n shop " in command]
    assert "role/belay-run-roles" in in_shop
    last = commands[-1].split()
    policies = [at for at, word in enumerate(last) if word.startswith("validatingadmission")]
    assert policies
    assert last.index("clusterrolebinding/belay-run-nodes") < min(policies)
