"""What runs in a cluster: its workloads and routes, listed with Belay's own account.

Reads only, on fresh connections, and no path here leads to a Secret. What the account may not list
in the whole cluster is asked for namespace by namespace; what it may not list there either is
left out and said so.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import quote, urlencode

from core import kube
from core.errors import ClusterRefused, ClusterUnreachable

Object = dict[str, Any]
ROUTE: Final = "HTTPProxy"
_PATHS: Final = {
    "Deployment": ("apis/apps/v1", "deployments"),
    "StatefulSet": ("apis/apps/v1", "statefulsets"),
    "DaemonSet": ("apis/apps/v1", "daemonsets"),
    ROUTE: ("apis/projectcontour.io/v1", "httpproxies"),
}
OBJECTS_MAX: Final = 5000
_PAGE: Final = 200
"""Objects in one answer: a big one stays below what `core.kube` reads."""
_NAMESPACES_MAX: Final = 200
_ASK_S: Final = 4.0
_ALL_S: Final = 15.0
_REFUSED: Final = (401, 403)


@dataclass(frozen=True)
class Found:
    """One workload or route as it is in the cluster."""

    kind: str
    namespace: str
    name: str
    ready: int | None = None
    """Pods that are ready, and those that are wanted; None for a route."""
    wanted: int | None = None
    host: str = ""
    """The name under which a route answers; empty for one that others include."""
    backends: tuple[str, ...] = ()
    """Services that a route leads to, in its namespace."""


@dataclass
class Seen:
    """What was found, and in words what could not be looked at."""

    found: list[Found] = field(default_factory=list)
    gaps: list[str] = field(default_factory=list)


class _Refused(Exception):
    """The account may not list this here."""


class ClusterObjects:
    """Looks at one cluster. Needs no database."""

    def __init__(
        self, credentials: kube.Credentials, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._credentials = credentials
        self._clock = clock
        self._until = 0.0

    def look(self) -> Seen:
        """All workloads and routes that the account may list, within 15 s.

        Raises:
            ClusterRefused: `may_not_read`: it may list none of them.
            ClusterUnreachable: no answer in time, or none that could be read.
        """
        self._until = self._clock() + _ALL_S
        seen = Seen()
        refused = []
        for kind in _PATHS:
            try:
                found = self._all(kind, seen)
            except _Refused:
                refused.append(kind)
                continue
            seen.found += found
        if len(refused) == len(_PATHS):
            raise ClusterRefused(
                "Belay's account may list neither workloads nor routes in this cluster. Its owner "
                "gives it the rights with `belay cluster onboard`; SECURITY.md names each.",
                code="may_not_read",
            )
        if refused:
            seen.gaps.append(
                f"{' and '.join(refused)} objects could not be listed: Belay's account lacks the "
                "right. The cluster's owner gives it by running `belay cluster onboard` again."
            )
        return seen

    def _all(self, kind: str, seen: Seen) -> list[Found]:
        try:
            return self._list(kind, "", seen)
        except _Refused:
            pass
        found, closed = [], []
        namespaces = self._namespaces()
        asked = namespaces[:_NAMESPACES_MAX]
        for namespace in asked:
            try:
                found += self._list(kind, namespace, seen)
            except _Refused:
                closed.append(namespace)
        if len(closed) == len(asked):
            # Of no namespace at all, too: nothing was looked at, and that is not the same as empty.
            raise _Refused
        if closed:
            names = ", ".join(closed[:5]) + ("…" if len(closed) > 5 else "")
            seen.gaps.append(f"Belay's account may not list {kind} objects in {names}.")
        if len(namespaces) > _NAMESPACES_MAX:
            seen.gaps.append(f"{kind}: only the first {_NAMESPACES_MAX} namespaces were asked for.")
        return found

    def _namespaces(self) -> list[str]:
        answer = self._get("/api/v1/namespaces?limit=500", "its namespaces")
        return [str(item["metadata"]["name"]) for item in answer.get("items") or []]

    def _list(self, kind: str, namespace: str, seen: Seen) -> list[Found]:
        group, plural = _PATHS[kind]
        place = f"namespaces/{quote(namespace, safe='')}/" if namespace else ""
        found: list[Found] = []
        onward = ""
        while True:
            query = {"limit": str(_PAGE)} | ({"continue": onward} if onward else {})
            answer = self._get(f"/{group}/{place}{plural}?{urlencode(query)}", plural)
            try:
                found += [_found(kind, item) for item in answer.get("items") or []]
                onward = str((answer.get("metadata") or {}).get("continue") or "")
            except (KeyError, TypeError, AttributeError, ValueError) as error:
                raise ClusterUnreachable(
                    f"an answer that is no list of objects when asked for {plural}"
                ) from error
            if not onward:
                return found
            if len(found) >= OBJECTS_MAX:
                seen.gaps.append(
                    f"More than {OBJECTS_MAX} {plural} are there; the rest is left out."
                )
                return found

    def _get(self, path: str, what: str) -> Object:
        left = self._until - self._clock()
        if left <= 0:
            raise ClusterUnreachable(
                f"the cluster did not tell all of its objects within {_ALL_S:g} s"
            )
        answer = kube.fresh_request(self._credentials, "GET", path, timeout_s=min(_ASK_S, left))
        if answer.status in _REFUSED:
            raise _Refused
        if answer.status == 404:
            # The API does not know the kind: a cluster without Contour has no routes.
            return {}
        if answer.status != 200:
            raise ClusterUnreachable(f"HTTP {answer.status} when asked for {what}")
        try:
            body = answer.json()
        except (json.JSONDecodeError, UnicodeDecodeError) as error:
            raise ClusterUnreachable(f"no JSON when asked for {what}") from error
        if not isinstance(body, dict):
            raise ClusterUnreachable(f"an answer that is no object when asked for {what}")
        return body


def _found(kind: str, item: Object) -> Found:
    meta, spec, status = item["metadata"], item.get("spec") or {}, item.get("status") or {}
    namespace, name = str(meta["namespace"]), str(meta["name"])
    if kind == ROUTE:
        parts = [*(spec.get("routes") or []), spec.get("tcpproxy") or {}]
        backends = [str(s["name"]) for part in parts for s in part.get("services") or []]
        host = str((spec.get("virtualhost") or {}).get("fqdn") or "")
        return Found(kind, namespace, name, host=host, backends=tuple(dict.fromkeys(backends)))
    if kind == "DaemonSet":
        ready, wanted = status.get("numberReady"), status.get("desiredNumberScheduled")
    else:
        ready, wanted = status.get("readyReplicas"), spec.get("replicas", 1)
    return Found(kind, namespace, name, ready=int(ready or 0), wanted=int(wanted or 0))
