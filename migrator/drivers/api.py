"""A cluster's API for runners, with Belay's own account."""

from __future__ import annotations

import json
from typing import Any

from core import kube
from core.errors import ClusterUnreachable
from migrator.runners.base import Answered

_CALL_S = 4.0


class ClusterApi:
    """`Api` of the runners. Needs no database."""

    def __init__(self, credentials: kube.Credentials) -> None:
        self._credentials = credentials

    def ask(
        self,
        method: str,
        path: str,
        body: object | None = None,
        *,
        content_type: str = "application/json",
    ) -> Answered:
        answer = kube.fresh_request(
            self._credentials,
            method,
            path,
            body=body,
            content_type=content_type,
            timeout_s=_CALL_S,
        )
        if answer.status >= 500 or answer.status == 429:
            raise ClusterUnreachable(f"the API answered {answer.status}")
        try:
            document: Any = answer.json() if answer.body else {}
        except (json.JSONDecodeError, UnicodeDecodeError) as error:
            raise ClusterUnreachable("the API gave an answer that is no JSON") from error
        if not isinstance(document, dict):
            raise ClusterUnreachable("the API gave an answer that is no object")
        return Answered(status=answer.status, document=document)
