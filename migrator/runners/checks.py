"""What has to be true after a step, or after its way back, besides what the step itself watches."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from core import object_paths
from core.errors import ClusterUnreachable
from core.fields import Field
from migrator.runners import objects
from migrator.runners.base import Hands, StepRefusedError
from migrator.runners.names import NAMESPACE, object_name


@dataclass(frozen=True, kw_only=True)
class Checked:
    """True, False, or None where nobody could look; never a guess."""

    passed: bool | None
    sentence: str


@dataclass(frozen=True, kw_only=True)
class CheckKind:
    title: str
    fields: tuple[Field, ...]
    look: Callable[[Mapping[str, Any], Hands, str], Checked]
    in_words: Callable[[Mapping[str, Any]], str]


def _none(parameters: Mapping[str, Any], hands: Hands, part: str) -> Checked:
    return Checked(passed=True, sentence="Nothing further is checked.")


def _http(parameters: Mapping[str, Any], hands: Hands, part: str) -> Checked:
    url, wanted = str(parameters["url"]), int(parameters["status"])
    try:
        status = hands.asks.http(url, host=str(parameters.get("host", "")))
    except OSError as error:
        return Checked(passed=False, sentence=f"{url} gave no answer: {error}.")
    sentence = f"{url} answered {status}, wanted {wanted}."
    return Checked(passed=status == wanted, sentence=sentence)


def _field(parameters: Mapping[str, Any], hands: Hands, part: str) -> Checked:
    kind, namespace = str(parameters["kind"]), str(parameters["namespace"])
    name, path, wanted = (str(parameters[key]) for key in ("name", "path", "value"))
    what = f"{path} of {kind} {namespace}/{name}"
    try:
        found = objects.read(hands.api, kind, namespace, name)
    except StepRefusedError as error:
        return Checked(passed=None, sentence=error.message)
    except ClusterUnreachable as error:
        return Checked(passed=None, sentence=f"{what}: unknown, {error.message}.")
    if found is None:
        return Checked(passed=False, sentence=f"There is no {kind} {namespace}/{name}.")
    try:
        value = object_paths.find(found, object_paths.parse(path))
    except object_paths.AbsentError:
        return Checked(passed=False, sentence=f"{what} is not there, wanted {wanted}.")
    if isinstance(value, dict | list):
        # What is inside may be anybody's password, and is shown to everybody.
        return Checked(passed=False, sentence=f"{what} is no single value, wanted {wanted}.")
    seen = str(value).lower() if isinstance(value, bool) else str(value)
    return Checked(passed=seen == wanted, sentence=f"{what} is {seen[:80]}, wanted {wanted}.")


def _confirm(parameters: Mapping[str, Any], hands: Hands, part: str) -> Checked:
    asked = str(parameters["question"])
    place = "back" if part == "back" else "check"
    if CONFIRMATION in hands.ticks.ticked(place):
        return Checked(passed=True, sentence=f"Confirmed by a person: {asked}")
    return Checked(passed=None, sentence=f"Waits for a person to confirm: {asked}")


CONFIRMATION = 999
"""The item under which a confirmation is ticked; no checklist is so long."""
CHECKS: dict[str, CheckKind] = {
    "none": CheckKind(
        title="What the step itself watches",
        fields=(),
        look=_none,
        in_words=lambda _: "what the step itself watches",
    ),
    "http": CheckKind(
        title="An HTTP request",
        fields=(
            Field(name="url", label="Address", kind="url", placeholder="https://shop.example/"),
            Field(name="host", label="Host header", kind="host", required=False),
            Field(
                name="status",
                label="Status",
                kind="integer",
                default="200",
                minimum=100,
                maximum=599,
            ),
        ),
        look=_http,
        in_words=lambda p: f"{p.get('url')} answers {p.get('status')}",
    ),
    "field": CheckKind(
        title="A field of an object",
        fields=(
            Field(
                name="kind",
                label="Kind",
                kind="choice",
                default="Deployment",
                choices=tuple((kind, kind) for kind in objects.KINDS if kind != "ConfigMap"),
            ),
            NAMESPACE,
            object_name("name", "Object's name"),
            Field(
                name="path",
                label="Field",
                check=object_paths.parse,
                placeholder="status.readyReplicas",
            ),
            Field(name="value", label="Equals", longest=120),
        ),
        look=_field,
        in_words=lambda p: (
            f"{p.get('path')} of {p.get('kind')} {p.get('name')} is {p.get('value')}"
        ),
    ),
    "confirm": CheckKind(
        title="A person confirms",
        fields=(Field(name="question", label="What they confirm", longest=200),),
        look=_confirm,
        in_words=lambda p: f"a person confirms: {p.get('question')}",
    ),
}


def look(kind: str, parameters: Mapping[str, Any], hands: Hands, *, part: str = "do") -> Checked:
    """One look. A kind that is not known any more is unknown, and never good."""
    found = CHECKS.get(kind)
    if found is None:
        return Checked(passed=None, sentence=f"There is no kind of check {kind!r} any more.")
    return found.look(parameters, hands, part)
