"""Applies manifests with our own field manager, after a dry run has shown what they change.

What goes back is each field that the manifest sets, three-way: ours → as before, as before already
→ nothing, somebody else's → theirs. An object that was made anew is removed again.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from core.errors import ClusterUnreachable
from core.fields import Field
from migrator.runners import manifests, objects, weights
from migrator.runners.base import (
    ForeignChangeError,
    Hands,
    Judged,
    Look,
    Object,
    Order,
    Prepared,
    Runner,
    Stand,
    StepRefusedError,
    differences,
)
from migrator.runners.names import EVEN_GITOPS

_APPLY = "application/apply-patch+yaml"
_WORKLOADS = ("Deployment", "StatefulSet")
_MISSING = {"missing": True}
"""What stands where nothing stood; JSON has no other word for it that a value could not have."""


class Apply(Runner):
    key = "apply"
    title = "Apply manifests"
    summary = "Server-side apply with our field manager; a dry run shows first what changes."
    icon = "packages"
    settle_s = 300.0
    fields = (
        Field(
            name="manifest",
            label="Manifest",
            kind="lines",
            longest=manifests.MANIFEST_MAX,
            check=manifests.parse,
            help=f"YAML, up to {manifests.OBJECTS_MAX} objects, each with its namespace.",
        ),
        Field(
            name="ready_s",
            label="Workloads ready within",
            kind="integer",
            default="300",
            minimum=10,
            maximum=7200,
            unit="seconds",
        ),
        Field(
            name="conflicts",
            label="Fields that another manager set",
            kind="choice",
            default="refuse",
            choices=(("refuse", "refuse the step"), ("take", "take them over")),
        ),
        EVEN_GITOPS,
    )

    def in_words(self, parameters: Mapping[str, Any]) -> str:
        try:
            wanted = manifests.parse(str(parameters.get("manifest", "")))
        except ValueError:
            return "apply a manifest"
        return "apply " + ", ".join(manifests.name_of(each) for each in wanted)

    def prepare(self, order: Order, hands: Hands) -> Prepared:
        before: Object = {"objects": [], "fingerprint": {}}
        diff: list[str] = []
        for document in _wanted(order):
            name = manifests.name_of(document)
            found = _read(hands, document)
            if found is not None:
                overridden = order.parameters.get("even_gitops") == "allow"
                objects.require_not_gitops(
                    {"kind": document["kind"], **found}, overridden=overridden
                )
            made = self._try(order, document, found, hands)
            if found is not None and document["kind"] == "HTTPProxy":
                _require_no_shift(name, found, made)
            places = _places(document, found, made)
            ours = {_join(place): _at(made, place) for place in places}
            former = {_join(place): _at(found, place) for place in places}
            _require_no_secret(name, found, places)
            before["objects"].append(
                {
                    "name": name,
                    "uid": found["metadata"]["uid"] if found is not None else "",
                    "ours": ours,
                    "former": former,
                }
            )
            before["fingerprint"][name] = objects.essence(found)
            diff += _diff(name, found, made)
        changes = any(
            not objects.same(each["ours"], each["former"]) or not each["uid"]
            for each in before["objects"]
        )
        if not diff:
            diff = ["Everything is as the manifest says already."]
        return Prepared(before=before, diff=diff, changes=changes)

    def change(self, order: Order, before: Mapping[str, Any], hands: Hands) -> None:
        for document, was in zip(_wanted(order), before["objects"], strict=True):
            found = _read(hands, document)
            stand = _stand(found, was)
            if stand is Stand.OURS:
                continue
            if stand is Stand.FOREIGN:
                raise ForeignChangeError(_FOREIGN.format(was["name"]))
            self._write(order, document, found, hands)

    def stand(self, order: Order, before: Mapping[str, Any], hands: Hands) -> Stand:
        stands = [
            _stand(_read(hands, document), was)
            for document, was in zip(_wanted(order), before["objects"], strict=True)
        ]
        if all(each is Stand.OURS for each in stands):
            return Stand.OURS
        changed = [
            each
            for each, was in zip(stands, before["objects"], strict=True)
            if not objects.same(was["ours"], was["former"])
        ]
        if all(each is Stand.ORIGINAL for each in changed):
            return Stand.ORIGINAL
        # Some are changed and some are not: the change goes on, and the way back takes all.
        return Stand.FOREIGN if Stand.FOREIGN in stands else Stand.ORIGINAL

    def is_back(self, order: Order, before: Mapping[str, Any], hands: Hands) -> bool:
        return all(
            _is_former(_read(hands, document), was)
            for document, was in zip(_wanted(order), before["objects"], strict=True)
        )

    def anything_of_ours(self, order: Order, before: Mapping[str, Any], hands: Hands) -> bool:
        for document, was in zip(_wanted(order), before["objects"], strict=True):
            found = _read(hands, document)
            if found is not None and not was["uid"] and _made_by_us(found):
                return True
            ours = _stand(found, was) is Stand.OURS
            if ours and not objects.same(was["ours"], was["former"]):
                return True
        return False

    def undo(self, order: Order, before: Mapping[str, Any], hands: Hands) -> None:
        pairs = list(zip(_wanted(order), before["objects"], strict=True))
        # The last first: what was applied later may need what came before it.
        # One that somebody else changed keeps none of the others from going back.
        foreign: ForeignChangeError | None = None
        for document, was in reversed(pairs):
            try:
                _put_back(document, was, hands)
            except ForeignChangeError as error:
                foreign = foreign or error
        if foreign is not None:
            raise foreign

    def outdate(self, order: Order, before: Mapping[str, Any], hands: Hands) -> None:
        for document in _wanted(order):
            found = _read(hands, document)
            if found is not None:
                objects.outdate(hands.api, document["kind"], found)

    def fingerprint(self, order: Order, before: Mapping[str, Any], hands: Hands) -> Object:
        return {
            manifests.name_of(document): objects.essence(_read(hands, document))
            for document in _wanted(order)
        }

    def judge(
        self,
        order: Order,
        before: Mapping[str, Any],
        memory: Mapping[str, Any],
        hands: Hands,
        *,
        stood_s: float,
        now: dt.datetime,
    ) -> Look:
        behind: list[str] = []
        for document, was in zip(_wanted(order), before["objects"], strict=True):
            found = _read(hands, document)
            if found is None or _stand(found, was) is not Stand.OURS:
                return Look(judged=Judged.BROKE, sentence=_FOREIGN.format(was["name"]))
            if document["kind"] in _WORKLOADS:
                ready, how_far = objects.rolled_out(found)
                if not ready:
                    behind.append(f"{was['name']}: {how_far}")
        if not behind:
            return Look(judged=Judged.PASSED, sentence="All of it stands, and is ready.")
        limit_s = int(order.parameters.get("ready_s", 300))
        sentence = "; ".join(behind)
        if stood_s > limit_s:
            return Look(judged=Judged.BROKE, sentence=f"Not ready within {limit_s} s: {sentence}.")
        return Look(judged=Judged.WAIT, sentence=f"Not ready yet: {sentence}.", again_s=3.0)

    def _try(self, order: Order, document: Object, found: Object | None, hands: Hands) -> Object:
        """What would stand there, by the API server's own word; nothing is changed."""
        try:
            return self._write(order, document, found, hands, dry_run=True)
        except ForeignChangeError as error:
            raise StepRefusedError(
                f"{manifests.name_of(document)}: another manager set what this manifest sets. "
                f"{error.message} Take those fields out of the manifest, or allow taking them "
                "over.",
                code="other_manager",
            ) from error

    def _write(
        self,
        order: Order,
        document: Object,
        found: Object | None,
        hands: Hands,
        *,
        dry_run: bool = False,
    ) -> Object:
        meta = document["metadata"]
        namespace, name = str(meta["namespace"]), str(meta["name"])
        path = objects.path_of(document["kind"], namespace, name)
        query = {"fieldManager": objects.MANAGER} | ({"dryRun": "All"} if dry_run else {})
        body = dict(document)
        if found is None:
            # Made, and not applied: whoever made it in between is not written over.
            answer = hands.api.ask("POST", f"{path.rsplit('/', 1)[0]}?{urlencode(query)}", body)
        else:
            was = found["metadata"]
            body["metadata"] = {
                **meta,
                "uid": was["uid"],
                "resourceVersion": was["resourceVersion"],
            }
            query["force"] = "true" if order.parameters.get("conflicts") == "take" else "false"
            answer = hands.api.ask("PATCH", f"{path}?{urlencode(query)}", body, content_type=_APPLY)
        return objects.taken(answer, manifests.name_of(document), namespace)


def _require_no_shift(name: str, found: Object, made: Object) -> None:
    """An apply holds no lease and counts no answers: it sends nobody anywhere else."""
    if services := weights.raised(found, made):
        raise StepRefusedError(
            f"{name}: the manifest would send more requests to {', '.join(services)}, and nobody "
            "would watch them. Name what is new with weight 0, and move its share with a traffic "
            "step; give a route that is new altogether an object of its own.",
            code="moves_traffic",
        )


_FOREIGN = (
    "Somebody else changed {0} since. Theirs is left as it is: agree with whoever changed it, and "
    "put it as it is meant."
)


def _wanted(order: Order) -> list[Object]:
    return manifests.parse(str(order.parameters["manifest"]))


def _read(hands: Hands, document: Object) -> Object | None:
    meta = document["metadata"]
    return objects.read(hands.api, document["kind"], str(meta["namespace"]), str(meta["name"]))


def _stand(found: Object | None, was: Mapping[str, Any]) -> Stand:
    if found is None:
        return Stand.FOREIGN if was["uid"] else Stand.ORIGINAL
    if was["uid"] and found["metadata"]["uid"] != was["uid"]:
        return Stand.FOREIGN
    now = {place: _at(found, _split(place)) for place in was["ours"]}
    if objects.same(now, was["ours"]):
        return Stand.OURS
    if not was["uid"]:
        return Stand.FOREIGN
    return Stand.ORIGINAL if objects.same(now, was["former"]) else Stand.FOREIGN


def _made_by_us(found: Object) -> bool:
    """Made anew by this step, even where it does not look as the dry run said it would."""
    entries = found["metadata"].get("managedFields") or []
    return any(entry.get("manager") == objects.MANAGER for entry in entries)


def _is_former(found: Object | None, was: Mapping[str, Any]) -> bool:
    if not was["uid"]:
        return found is None
    if found is None or found["metadata"]["uid"] != was["uid"]:
        return False
    now = {place: _at(found, _split(place)) for place in was["former"]}
    return objects.same(now, was["former"])


def _put_back(document: Object, was: Mapping[str, Any], hands: Hands) -> None:
    found = _read(hands, document)
    if _is_former(found, was):
        return
    if found is None or _stand(found, was) is not Stand.OURS:
        raise ForeignChangeError(_FOREIGN.format(was["name"]), wrote=True)
    if was["uid"]:
        objects.patch(hands.api, document["kind"], found, _patch_back(was["former"]))
    else:
        _remove(document, found, hands)


def _patch_back(former: Mapping[str, Any]) -> Object:
    """A merge patch: null takes away what was not there."""
    return manifests.nested(
        {_split(place): None if value == _MISSING else value for place, value in former.items()}
    )


def _remove(document: Object, found: Object, hands: Hands) -> None:
    meta = document["metadata"]
    path = objects.path_of(document["kind"], str(meta["namespace"]), str(meta["name"]))
    was = found["metadata"]
    condition = {"uid": was["uid"], "resourceVersion": was["resourceVersion"]}
    options = {"preconditions": condition, "propagationPolicy": "Background"}
    answer = hands.api.ask("DELETE", path, options)
    if answer.status in (200, 202, 404):
        return
    if answer.status == 409:
        raise ForeignChangeError(_FOREIGN.format(manifests.name_of(document)), wrote=True)
    if answer.status in (401, 403):
        raise StepRefusedError(
            f"Belay's account may not remove {manifests.name_of(document)} again; remove it by "
            "hand.",
            code="may_not_write",
        )
    raise ClusterUnreachable(f"HTTP {answer.status} when asked to remove it")


def _places(document: Object, found: Object | None, made: Object) -> list[tuple[str, ...]]:
    """Everything that the change touches: what the manifest sets, and what goes with it, because
    the API takes away what we once applied and do not apply any more."""
    places = list(manifests.settings(document))
    if found is None:
        return places
    was, will = manifests.leaves(_of_people(found)), manifests.leaves(_of_people(made))
    for place in sorted({*was, *will}):
        known = any(place[: len(each)] == each or each[: len(place)] == place for each in places)
        if not known and was.get(place, _MISSING) != will.get(place, _MISSING):
            places.append(place)
    return places


def _of_people(found: Object) -> Object:
    """Without what the cluster itself writes."""
    meta = {
        key: found["metadata"][key]
        for key in ("labels", "annotations", "finalizers")
        if key in found["metadata"]
    }
    left_out = ("status", "apiVersion", "kind", "metadata")
    return {**{key: item for key, item in found.items() if key not in left_out}, "metadata": meta}


def _require_no_secret(name: str, found: Object | None, places: list[tuple[str, ...]]) -> None:
    """What goes back word for word has to be written down word for word."""
    if found is None:
        return
    hidden = objects.without_secrets(found)
    if any(_at(found, place) != _at(hidden, place) for place in places):
        raise StepRefusedError(
            f"A field of {name} that this manifest changes holds what looks like a password, and "
            "Belay would have to write it down to put it back. Move it to a Secret first.",
            code="holds_secret",
        )


def _diff(name: str, found: Object | None, made: Object) -> list[str]:
    if found is None:
        return [f"{name}: is made"]
    lines = differences(objects.essence(found), objects.essence(made))
    return [f"{name}: {line}" for line in lines][:40]


def _at(document: Object | None, place: tuple[str, ...]) -> Any:
    there, value = manifests.value_at(document, place)
    return value if there else _MISSING


def _join(place: tuple[str, ...]) -> str:
    return "\n".join(place)


def _split(place: str) -> tuple[str, ...]:
    return tuple(place.split("\n"))
