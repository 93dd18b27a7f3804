"""The way forward ends where the way back begins."""

from __future__ import annotations

from collections.abc import Callable

from guard.kube import ANSWER_S, JSON, Access, ApiAnswer, Json, ObjectApi


class Forward:
    """`ObjectApi` for arming, striking and watching: sends nothing more once `over()`."""

    def __init__(self, api: ObjectApi, over: Callable[[], bool]) -> None:
        self._api = api
        self._over = over

    def call(
        self,
        access: Access,
        method: str,
        path: str,
        body: Json | None = None,
        *,
        content_type: str = JSON,
        within_s: float = ANSWER_S,
    ) -> ApiAnswer:
        if self._over():
            raise OSError("not asked any more: the order was undone in the meantime")
        return self._api.call(
            access, method, path, body, content_type=content_type, within_s=within_s
        )
