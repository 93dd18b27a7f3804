"""One step on one API object: aim at it, change it, look at it, put it back.

Every function answers with the object's report; OSError means that nobody could tell, and that it
is to be tried again.
"""

from __future__ import annotations

import dataclasses
import hashlib
from dataclasses import dataclass

from guard import objects
from guard.kube import FIELD_MANAGER, JSON, ApiAnswer, Json, ObjectApi
from guard.protocol import (
    Code,
    Credential,
    ObjectChange,
    ObjectReport,
    ObjectState,
    ObjectTarget,
)
from guard.world import RefusedError

_MANAGER = f"fieldManager={FIELD_MANAGER}"
_DRY_RUN = "dryRun=All"
_DONE = (200, 201, 202)


@dataclass(frozen=True, kw_only=True)
class OneObject:
    """A target, what its touched field was, and the way to it."""

    target: ObjectTarget
    before: str
    """Canonical JSON, as read at arming."""
    credential: Credential
    api: ObjectApi

    @property
    def ends_a_pod(self) -> bool:
        return self.target.change in objects.TERMINATIONS

    def change(self, report: ObjectReport) -> ObjectReport:
        """Send the change, once. An eviction that a disruption budget refuses for now stays
        `before` and is asked again by `look`, as any drain does."""
        target = self.target
        if self.ends_a_pod:
            answer = self._end_pod(dry_run=False)
            if answer.status == 429 and target.change is ObjectChange.EVICT:
                return dataclasses.replace(report, detail=self._said("evicted yet", answer))
        else:
            after = objects.changed(target, self.before)
            answer = self._send(objects.patch(target, after, target.resource_version))
            report = dataclasses.replace(
                report, now_sha256=sha256(after), resource_version_now=_version(answer.body)
            )
        if answer.status not in _DONE:
            raise OSError(self._said("changed", answer))
        return dataclasses.replace(report, state=ObjectState.CHANGED, detail="")

    def look(self, report: ObjectReport) -> tuple[ObjectReport, bool]:
        """How it stands in mid-fault, and whether the change has taken effect."""
        answer = self._get()
        if self._is_gone(answer):
            state = ObjectState.CHANGED if self.ends_a_pod else ObjectState.GONE
            gone = dataclasses.replace(report, state=state, now_sha256="", detail="")
            return gone, self.ends_a_pod
        if answer.status != 200:
            raise OSError(self._said("looked at", answer))
        if self.ends_a_pod:
            if answer.body.get("metadata", {}).get("deletionTimestamp"):
                return dataclasses.replace(report, state=ObjectState.CHANGED, detail=""), True
            if report.state is ObjectState.BEFORE and report.detail:
                return self.change(report), False
            return report, False
        seen = self._seen(report, answer.body)
        changed = seen.state is ObjectState.CHANGED
        return seen, changed and objects.taken_up(self.target, answer.body)

    def restore(self, report: ObjectReport) -> ObjectReport:
        """One try to put it back. `detail` is set where a person is needed."""
        name = objects.named(self.target)
        answer = self._get()
        if self._is_gone(answer):
            detail = f"{name} was deleted in mid-fault; there is nothing to restore."
            return dataclasses.replace(report, state=ObjectState.GONE, now_sha256="", detail=detail)
        if answer.status in (401, 403):
            detail = (
                f"{self._said('read', answer)} Once it is as it should be, run"
                " `python3 -m guard keep-manifest` on the node."
            )
            return dataclasses.replace(report, now_sha256="", detail=detail)
        if answer.status != 200:
            raise OSError(self._said("read", answer))
        report = self._seen(report, answer.body)
        if report.state is ObjectState.FOREIGN:
            detail = (
                f"{name} was changed by somebody else in mid-fault (now"
                f" {report.now_sha256[:12] or 'without that field'}, before"
                f" {sha256(self.before)[:12]}); it is left alone. Put it back by hand, or run"
                " `python3 -m guard keep-manifest` on the node to accept it."
            )
            return dataclasses.replace(report, detail=detail)
        if report.state is ObjectState.BEFORE:
            return self._refuse_late_change(report, answer.body)
        done = self._send(objects.patch(self.target, self.before, report.resource_version_now))
        if done.status == 200 and self._seen(report, done.body).state is ObjectState.BEFORE:
            return dataclasses.replace(
                report,
                state=ObjectState.RESTORED,
                now_sha256=sha256(self.before),
                resource_version_now=_version(done.body),
            )
        return self._not_written(report, done)

    def _refuse_late_change(self, report: ObjectReport, found: Json) -> ObjectReport:
        """It is as it was. A change that is still on its way must find another version of it."""
        version, target = report.resource_version_now, self.target
        marked = objects.BUMP in ((found.get("metadata") or {}).get("annotations") or {})
        if version == target.resource_version:
            bumped = self._send(objects.bump_patch(target, version, present=True))
            if bumped.status != 200:
                return self._not_written(report, bumped)
            version, marked = _version(bumped.body), True
        if marked:
            cleared = self._send(objects.bump_patch(target, version, present=False))
            if cleared.status != 200:
                return self._not_written(report, cleared)
            version = _version(cleared.body)
        return dataclasses.replace(report, state=ObjectState.RESTORED, resource_version_now=version)

    def _not_written(self, report: ObjectReport, answer: ApiAnswer) -> ObjectReport:
        if answer.status in (200, 409):
            return report  # somebody wrote in between: look again
        if answer.status >= 500 or answer.status == 429:
            raise OSError(self._said("restored", answer))
        return dataclasses.replace(report, detail=self._said("restored", answer))

    def _seen(self, report: ObjectReport, found: Json) -> ObjectReport:
        state, now = ObjectState.FOREIGN, ""
        try:
            now = objects.touched(self.target, found)
            if now == self.before:
                state = ObjectState.BEFORE
            elif now == objects.changed(self.target, self.before):
                state = ObjectState.CHANGED
        except objects.UnfitError:
            now = ""
        return dataclasses.replace(
            report,
            state=state,
            now_sha256=sha256(now),
            resource_version_now=_version(found),
            detail="",
        )

    def _is_gone(self, answer: ApiAnswer) -> bool:
        return answer.status == 404 or (
            answer.status == 200 and _uid(answer.body) != self.target.uid
        )

    def _get(self) -> ApiAnswer:
        return self.api.call(self.credential, "GET", objects.path(self.target))

    def _end_pod(self, *, dry_run: bool) -> ApiAnswer:
        method, path, body = objects.termination(self.target, dry_run=dry_run)
        return self.api.call(self.credential, method, path, body, content_type=JSON)

    def _send(self, patch: objects.Patch, *, dry_run: bool = False) -> ApiAnswer:
        query = f"{_MANAGER}&{_DRY_RUN}" if dry_run else _MANAGER
        return self.api.call(
            self.credential,
            "PATCH",
            f"{objects.path(self.target)}?{query}",
            patch.body,
            content_type=patch.content_type,
        )

    def _said(self, done: str, answer: ApiAnswer) -> str:
        name = objects.named(self.target)
        return (
            f"{name} could not be {done}: HTTP {answer.status} {answer.message}".rstrip(" .") + "."
        )

    def rehearse(self) -> str:
        """What the touched field is now, once the change was tried without effect (a dry run of
        the API server): an account that could not make the change could not undo it either.

        Raises:
            RefusedError: another version, another object, a right is missing, nothing to change.
        """
        target, name = self.target, objects.named(self.target)
        answer = self._get()
        if answer.status != 200:
            raise self._refused("be read", answer)
        if _uid(answer.body) != target.uid:
            raise RefusedError(
                Code.TARGET_ABSENT,
                f"{name} is another object now (UID {_uid(answer.body)}, not {target.uid});"
                " start again",
            )
        if _version(answer.body) != target.resource_version:
            raise RefusedError(
                Code.TARGET_ABSENT,
                f"{name} has changed since it was looked at (version {_version(answer.body)}, not"
                f" {target.resource_version}); start again",
            )
        before = objects.touched(target, answer.body)
        if self.ends_a_pod:
            tried = self._end_pod(dry_run=True)
            # 429: a disruption budget that is used up now; the real one is asked again.
            if tried.status not in (*_DONE, 429):
                raise self._refused("be ended", tried)
            return before
        after = objects.changed(target, before)
        tried = self._send(objects.patch(target, after, target.resource_version), dry_run=True)
        if tried.status != 200:
            raise self._refused("be changed", tried)
        if objects.touched(target, tried.body) != after:
            raise RefusedError(
                Code.TARGET_ABSENT,
                f"something in the cluster makes another change of {name} than the one that was"
                " sent; it could not be told from a person's later. Choose another target",
            )
        return before

    def _refused(self, done: str, answer: ApiAnswer) -> RefusedError:
        return RefusedError(
            Code.TARGET_ABSENT,
            f"{objects.named(self.target)} cannot {done} with the run's account: HTTP"
            f" {answer.status} {answer.message}".rstrip(),
        )


def sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest() if text else ""


def _uid(found: Json) -> str:
    return str((found.get("metadata") or {}).get("uid", ""))


def _version(found: Json) -> str:
    return str((found.get("metadata") or {}).get("resourceVersion", ""))
