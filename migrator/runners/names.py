"""Fields that several runners ask for, and their checks."""

from __future__ import annotations

import re

from core.fields import Field

_NAME = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?")


def require_name(text: str) -> None:
    """ValueError for what is no name of a Kubernetes object."""
    if not _NAME.fullmatch(text):
        raise ValueError(f"{text!r} is no name of a Kubernetes object.")


def require_namespace(text: str) -> None:
    require_name(text)
    if text in ("belay", "belay-guard", "belay-marker", "belay-runs"):
        raise ValueError(f"{text!r} is Belay's own namespace; no step touches it.")


NAMESPACE = Field(
    name="namespace", label="Namespace", check=require_namespace, longest=63, placeholder="shop"
)
EVEN_GITOPS = Field(
    name="even_gitops",
    label="If a GitOps controller manages it",
    kind="choice",
    default="refuse",
    choices=(("refuse", "refuse the step"), ("allow", "change it all the same")),
    help="Such a controller writes its own version back within minutes.",
)


def object_name(name: str, label: str, **more: str) -> Field:
    return Field(name=name, label=label, check=require_name, longest=253, **more)  # type: ignore[arg-type]
