"""SECURITY.md says what the guard may do; the manifest must ask for exactly that."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from guard.static_pod import manifest_text, render
from tests.guard.world import policy

SECURITY = Path(__file__).resolve().parents[2] / "SECURITY.md"


@pytest.fixture
def pod() -> dict[str, Any]:
    return render(policy(), "belay.local/belay-guard:1")


def documented(heading: str) -> set[str]:
    """The first column of the table under a heading."""
    section = SECURITY.read_text(encoding="utf-8").split(f"### {heading}\n")[1].split("\n#")[0]
    return set(re.findall(r"^\| `([^`]+)` \|", section, re.MULTILINE))


def test_host_paths_are_the_documented_ones(pod: dict[str, Any]) -> None:
    paths = {v["hostPath"]["path"] for v in pod["spec"]["volumes"] if "hostPath" in v}
    assert paths == documented("Host paths")
    mounted = {m["mountPath"] for m in pod["spec"]["containers"][0]["volumeMounts"]}
    assert mounted == paths | {"/run/belay-guard"}


def test_host_namespaces_are_the_documented_ones(pod: dict[str, Any]) -> None:
    asked = {key for key, value in pod["spec"].items() if key.startswith("host") and value is True}
    assert asked == documented("Host namespaces")


def test_capabilities_are_the_documented_ones(pod: dict[str, Any]) -> None:
    context = pod["spec"]["containers"][0]["securityContext"]
    assert set(context["capabilities"]["add"]) == documented("Capabilities")
    assert context["capabilities"]["drop"] == ["ALL"]
    assert context["privileged"] is False
    assert context["allowPrivilegeEscalation"] is False
    assert context["readOnlyRootFilesystem"] is True


def test_a_static_pod_uses_nothing_that_needs_the_api(pod: dict[str, Any]) -> None:
    text = json.dumps(pod)
    for word in ("secret", "configMap", "serviceAccount", "persistentVolumeClaim", "projected"):
        assert word not in text


def test_row_36_it_comes_back_from_the_cached_image_and_before_others_are_evicted(
    pod: dict[str, Any],
) -> None:
    assert pod["spec"]["containers"][0]["imagePullPolicy"] == "IfNotPresent"
    assert pod["spec"]["priorityClassName"] == "system-node-critical"
    assert pod["spec"]["containers"][0]["livenessProbe"]["exec"]["command"][-1] == "healthz"


def test_the_text_is_yaml_and_a_changed_policy_changes_it() -> None:
    text = manifest_text(policy(), "image:1")
    assert yaml.safe_load(text) == render(policy(), "image:1")
    assert manifest_text(policy(epoch=4), "image:1") != text
