"""What a person needs who has to answer for a fault that could not be proved undone."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from gamedays.choices import EntryKind
from gamedays.scenarios.plan import NodeFault, faults_of

if TYPE_CHECKING:
    from gamedays.models import Injection

MANIFESTS = "/etc/kubernetes/manifests"


@dataclass(frozen=True, slots=True)
class ToCheck:
    """One node: what was done to it, and what to look at there, by hand."""

    node: str
    what: str
    commands: list[str] = field(default_factory=list)
    expected: str = ""


def checks_not_passed(run: Injection) -> list[dict[str, Any]]:
    """What did not pass at the last alarm; empty where the undo itself had no answer."""
    alarm = run.timeline.filter(kind=EntryKind.ALARM).order_by("-at", "-id").first()
    checks = alarm.data.get("checks", []) if alarm else []
    return [check for check in checks if check.get("passed") is not True]


def to_check(run: Injection) -> list[ToCheck]:
    """Node by node, from the recipe and the fingerprint that were committed before arming."""
    before = run.fingerprint.get("nodes", {})
    return [
        _for_node(node, fault, before.get(node, {}))
        for node, fault in sorted(faults_of(run.recipe).items())
    ]


def _for_node(node: str, fault: NodeFault, before: dict[str, Any]) -> ToCheck:
    if fault.component:
        manifest = (before.get(fault.component) or {}).get("manifest") or {}
        sha256 = manifest.get("sha256", "")
        known = f"The file's SHA-256 begins with {sha256[:16]}, and " if sha256 else "The file and "
        return ToCheck(
            node,
            fault.sentence,
            [
                f"sha256sum {MANIFESTS}/{fault.component}.yaml",
                "ls -la /etc/kubernetes/.belay-stash",
                f"crictl ps --name {fault.component}",
            ],
            f"{known}a running container that was started after the fault. The stash is empty.",
        )
    if fault.endpoints:
        return ToCheck(
            node,
            fault.sentence,
            ["nft list table inet belay_guard"],
            "No such table, or no element in its sets: the kernel lets each one expire by itself.",
        )
    if fault.objects:
        names = [each.name for each in fault.objects]
        return ToCheck(
            node,
            fault.sentence,
            [_get(each.kind, each.namespace, each.name) for each in fault.objects],
            f"{', '.join(names)}: as your repository or your last change says it should be.",
        )
    return ToCheck(node, fault.sentence)


def _get(kind: str, namespace: str, name: str) -> str:
    where = f" -n {namespace}" if namespace else ""
    return f"kubectl get {kind.replace('-', '')}{where} {name} -o yaml"
