"""Manifests that people paste: read as data, refused where a step must not touch what they name."""

from __future__ import annotations

import math
from typing import Any

import yaml

from migrator.runners.base import Object
from migrator.runners.names import require_name, require_namespace
from migrator.runners.objects import KINDS, without_secrets

MANIFEST_MAX = 60_000
OBJECTS_MAX = 20
_FORBIDDEN_META = ("uid", "resourceVersion", "generation", "managedFields", "ownerReferences")


def parse(text: str) -> list[Object]:
    """The objects of a manifest, in their order.

    Raises `ValueError` with a sentence: no YAML, a kind that no step makes, another version of it,
    no namespace, the same object twice, or too many.
    """
    try:
        _require_no_alias(text)
        documents = [each for each in yaml.safe_load_all(text) if each is not None]
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f" at line {mark.line + 1}" if mark is not None else ""
        raise ValueError(f"this is no YAML{where}.") from None
    except _AliasError:
        raise ValueError(
            "anchors and aliases (& and *) are not taken: a few of them can stand for more than "
            "any cluster holds. Write it out."
        ) from None
    except (RecursionError, ValueError, TypeError):
        raise ValueError("this is no YAML that could be read.") from None
    if not documents:
        raise ValueError("this holds no object.")
    if len(documents) > OBJECTS_MAX:
        raise ValueError(f"at most {OBJECTS_MAX} objects; these are {len(documents)}.")
    for document in documents:
        _require(document)
    names = [name_of(document) for document in documents]
    twice = next((name for name in names if names.count(name) > 1), "")
    if twice:
        raise ValueError(f"{twice} stands in it twice.")
    return documents


class _AliasError(Exception):
    """One part of a manifest stands for another."""


def _require_no_alias(text: str) -> None:
    if any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(text, yaml.SafeLoader)):
        raise _AliasError


def name_of(document: Object) -> str:
    meta = document["metadata"]
    return f"{document['kind']} {meta['namespace']}/{meta['name']}"


def leaves(document: Any, place: tuple[str, ...] = ()) -> dict[tuple[str, ...], Any]:
    """Path → value of all that a manifest sets, as a merge patch sees it: lists are whole."""
    if not isinstance(document, dict) or not document:
        return {place: document}
    found: dict[tuple[str, ...], Any] = {}
    for key, value in document.items():
        found |= leaves(value, (*place, str(key)))
    return found


def settings(document: Object) -> dict[tuple[str, ...], Any]:
    """`leaves` without what only says which object is meant."""
    named = {("apiVersion",), ("kind",), ("metadata", "name"), ("metadata", "namespace")}
    return {place: value for place, value in leaves(document).items() if place not in named}


def value_at(document: Any, place: tuple[str, ...]) -> tuple[bool, Any]:
    """Whether something stands there, and what."""
    here = document
    for key in place:
        if not isinstance(here, dict) or key not in here:
            return False, None
        here = here[key]
    return True, here


def nested(values: dict[tuple[str, ...], Any]) -> Object:
    """The object that has these values at these places."""
    made: Object = {}
    for place, value in values.items():
        here = made
        for key in place[:-1]:
            here = here.setdefault(key, {})
        here[place[-1]] = value
    return made


def _require(document: Any) -> None:
    if not isinstance(document, dict) or not isinstance(document.get("metadata"), dict):
        raise ValueError("every document has to be an object with kind and metadata.")  # noqa: TRY004
    kind, version = document.get("kind"), document.get("apiVersion")
    if kind not in KINDS:
        raise ValueError(
            f"{kind!r} is no kind that a step may make or change; these are: "
            f"{', '.join(sorted(KINDS))}. Apply it where it is kept, and use an observe step."
        )
    if version != KINDS[kind][0]:
        raise ValueError(f"a {kind} is applied as {KINDS[kind][0]}, not {version!r}.")
    meta = document["metadata"]
    require_name(str(meta.get("name", "")))
    if "namespace" not in meta:
        raise ValueError(f"{kind} {meta['name']} has to say its namespace.")
    require_namespace(str(meta["namespace"]))
    _require_json(document, name_of(document))
    _require_no_secret(document)
    wrong = [each for each in _FORBIDDEN_META if each in meta]
    if wrong or "status" in document:
        raise ValueError(
            f"{kind} {meta['name']} holds {', '.join(wrong) or 'status'}, which the cluster sets: "
            "paste what you want, not what `kubectl get` shows."
        )


def _require_json(value: Any, where: str) -> None:
    """YAML knows dates, sets and keys that are no text; the API and the way back know none."""
    if isinstance(value, dict):
        for key, item in value.items():
            if not isinstance(key, str):
                raise ValueError(f"{where}: the key {key!r} is no text; put it in quotes.")  # noqa: TRY004
            _require_json(item, f"{where}, {key}")
    elif isinstance(value, list):
        for item in value:
            _require_json(item, where)
    elif isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{where}: {value!r} is no number that the API takes.")
    elif value is not None and not isinstance(value, str | int | float):
        raise ValueError(f"{where}: {value!r} is no text and no number; put it in quotes.")


def _require_no_secret(document: Object) -> None:
    """What is pasted here is kept, and read by everybody who sees the step."""
    if without_secrets(document) != document:
        raise ValueError(
            f"{name_of(document)} sets what looks like a password in the open. Keep it in a "
            "Secret, and refer to that (valueFrom: secretKeyRef)."
        )
