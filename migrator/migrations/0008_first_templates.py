"""The templates that Belay brings: three ways that services are usually moved."""

from typing import Any

from django.db import migrations


def _back(kind: str = "restore", **more: Any) -> dict[str, Any]:
    return {"kind": kind, "parameters": {}, "check_kind": "none", "check_parameters": {},
            "expected_s": 30, **more}  # fmt: skip


def _step(
    title: str, key: str, kind: str, parameters: dict[str, Any], **more: Any
) -> dict[str, Any]:
    return {"title": title, "key": key, "kind": kind, "parameters": parameters,
            "check_kind": "none", "check_parameters": {}, "expected_s": 300,
            "reversibility": "reversible", "reversible_days": None, "why_one_way": "",
            "rollback": _back(), **more}  # fmt: skip


_HALVES = {
    "namespace": "{namespace}", "route": "{route}", "legacy_service": "{legacy_service}",
    "kubernetes_service": "{kubernetes_service}",
}  # fmt: skip


def _traffic(percent: int) -> dict[str, Any]:
    return _step(
        f"Send {percent}% of the requests to Kubernetes", f"to-{percent}", "traffic",
        {**_HALVES, "percent": percent, "watch_s": 300, "least_requests": 50,
         "most_errors_percent": 1, "unknown_s": 120, "even_gitops": "refuse"},
        expected_s=330,
    )  # fmt: skip


def _checklist(title: str, key: str, items: list[str], back: list[str]) -> dict[str, Any]:
    return _step(title, key, "manual", {"items": "\n".join(items), "back_items": "\n".join(back)},
                 expected_s=1800)  # fmt: skip


def _healthy() -> dict[str, Any]:
    return _step(
        "Healthy on Kubernetes", "healthy", "observe",
        {"kind": "Deployment", "namespace": "{namespace}", "name": "{workload}",
         "path": "status.conditions[type=Available].status", "value": "True", "soak_s": 60,
         "wait_s": 3600},
    )  # fmt: skip


def _soak(days: int) -> dict[str, Any]:
    return _step(f"Soak for {days} days", "soak", "observe",
                 {"soak_s": days * 86400, "wait_s": 86400},
                 expected_s=days * 86400)  # fmt: skip


def _decommission() -> dict[str, Any]:
    return _step(
        "Decommission legacy", "decommission", "decommission",
        {**_HALVES, "hold_off_s": 86400,
         "items": "Stop the legacy process at {legacy_address}\n"
                  "Take its machine out of monitoring\n"
                  "Give its machine back"},
        reversibility="one_way", why_one_way="The legacy machine is given back.",
        rollback=None, expected_s=172800,
    )  # fmt: skip


_TEMPLATES = (
    ("stateless-http", "Stateless HTTP",
     "A service that keeps nothing: deployed beside legacy, then given its requests in steps.",
     [
         _checklist("Deploy to Kubernetes", "deploy",
                    ["Apply the workload and its Service",
                     "Name both halves in the HTTPProxy with Kubernetes at weight 0"],
                    ["Take the Kubernetes half out of the HTTPProxy", "Remove the workload"]),
         _healthy(), _traffic(1), _traffic(10), _traffic(50), _traffic(100), _soak(7),
         _decommission(),
     ]),
    ("worker", "Worker",
     "A service that takes work from a queue: both halves take from it, then only Kubernetes.",
     [
         _checklist("Deploy to Kubernetes, not taking work", "deploy",
                    ["Apply the workload with no replicas"], ["Remove the workload"]),
         _step("One worker on Kubernetes", "one", "scale",
               {"kind": "Deployment", "namespace": "{namespace}", "name": "{workload}",
                "replicas": 1, "ready_s": 300, "even_gitops": "refuse"}),
         _healthy(),
         _checklist("Stop legacy from taking work", "stop-legacy",
                    ["Stop the legacy workers from taking work", "See the queue being worked off"],
                    ["Let the legacy workers take work again"]),
         _soak(7),
     ]),
    ("stateful-manual", "Stateful, manual",
     "A service with data of its own: people move it, and write down what undoes each step.",
     [
         _checklist("Copy the data", "copy",
                    ["Take a backup, and read it back", "Start replication to Kubernetes",
                     "See the replica being up to date"],
                    ["Stop the replication", "Remove the copy"]),
         _checklist("Switch over", "switch",
                    ["Stop writes on legacy", "See the replica being equal",
                     "Make Kubernetes the writer", "Send clients there"],
                    ["Stop writes on Kubernetes", "Replicate back to legacy",
                     "Make legacy the writer", "Send clients there"]),
         _soak(7),
     ]),
)  # fmt: skip


def make(apps: Any, schema_editor: Any) -> None:
    template = apps.get_model("migrator", "PlanTemplate")
    version = apps.get_model("migrator", "TemplateVersion")
    for slug, title, description, steps in _TEMPLATES:
        made = template.objects.create(slug=slug, title=title, description=description)
        version.objects.create(template=made, number=1, steps=steps)


def unmake(apps: Any, schema_editor: Any) -> None:
    """The tables go with the migration before; nothing is left to take back here."""


class Migration(migrations.Migration):
    dependencies = [("migrator", "0007_what_only_sql_can_say")]
    operations = [migrations.RunPython(make, unmake)]
