"""The owner's word that faults are welcome: a marker that Belay can read and cannot write.

ConfigMap `belay-qa-marker` in namespace `belay-marker`, with `stage: qa` and `clusterUID` set to
the UID of the cluster's own `kube-system` namespace, so that a copied manifest marks nothing.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from core import kube
from core.errors import ClusterRefused, ClusterUnreachable
from core.names import refuse_production_name

if TYPE_CHECKING:
    import uuid

    from core.kube import Credentials

MARKER_NAMESPACE = "belay-marker"
MARKER_NAME = "belay-qa-marker"
_PATH = f"/api/v1/namespaces/{MARKER_NAMESPACE}/configmaps/{MARKER_NAME}"
_HOW = (
    f"If faults are welcome on it, its owner creates ConfigMap {MARKER_NAME} in namespace "
    f"{MARKER_NAMESPACE} with data stage=qa and clusterUID=<UID of namespace kube-system>."
)


def require_marker(credentials: Credentials, *, uid: uuid.UUID, names: Iterable[str] = ()) -> None:
    """Return when the cluster at this address is marked as QA, and is the one with `uid`.

    `names` are further names (of its nodes) that must not look like production; the host of its
    address is always one of them.

    Raises:
        ClusterRefused: a name that looks like production, no marker, the marker
            of another cluster, another cluster at the address, or a credential that could write
            the marker itself.
        ClusterUnreachable: no answer.
    """
    for name in (urlsplit(credentials.server).hostname or "", *names):
        refuse_production_name(name)
    found = kube.fresh_request(credentials, "GET", "/api/v1/namespaces/kube-system")
    if found.status != 200:
        raise _unheard(found.status, "asked who it is")
    actual = found.json()["metadata"]["uid"]
    if actual != str(uid):
        raise _refused(
            f"At {credentials.server} there is now another cluster (UID {actual}, expected "
            f"{uid}). Nothing was touched; register that cluster under a name of its own.",
            "cluster_uid_changed",
        )
    marker = kube.fresh_request(credentials, "GET", _PATH)
    if marker.status in (403, 404):
        # 403: the right to read it lies in its namespace, and went or never came with that.
        raise _refused(f"The cluster carries no QA marker. {_HOW}", "marker_missing")
    if marker.status != 200:
        raise _unheard(marker.status, "asked for its QA marker")
    data = marker.json().get("data") or {}
    if data.get("stage") != "qa":
        raise _refused(
            f"The marker says stage {data.get('stage')!r}, not 'qa'. {_HOW}", "marker_not_qa"
        )
    if data.get("clusterUID") != actual:
        raise _refused(
            f"The marker names the cluster {data.get('clusterUID')!r}, but this one is {actual}: "
            f"it was copied from elsewhere. {_HOW}",
            "marker_other_cluster",
        )
    for verb in ("create", "update", "patch", "delete"):
        if _may(credentials, verb):
            raise _refused(
                f"Belay's credential may {verb} the QA marker. Only the cluster's owner may: "
                "take that right away, or the marker proves nothing.",
                "marker_writable",
            )


def _may(credentials: Credentials, verb: str) -> bool:
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "spec": {
            "resourceAttributes": {
                "verb": verb,
                "resource": "configmaps",
                "namespace": MARKER_NAMESPACE,
                "name": MARKER_NAME,
            }
        },
    }
    path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
    answer = kube.fresh_request(credentials, "POST", path, body=review)
    try:
        return bool(answer.json()["status"]["allowed"])
    except (KeyError, TypeError, json.JSONDecodeError):
        # An error while looking is unknown, never a clean bill.
        raise ClusterUnreachable(
            f"The cluster did not say whether Belay may {verb} the marker ({answer.status})."
        ) from None


def _unheard(status: int, when: str) -> ClusterRefused | ClusterUnreachable:
    """Only the cluster's own no is a no; a server that failed has said nothing of its marker."""
    if status in (401, 403):
        return _refused(
            f"The cluster answered {status} when {when}: Belay's credential lacks the right. It "
            "needs those that `belay cluster onboard` gives; SECURITY.md names each.",
            "credential_rights",
        )
    return ClusterUnreachable(f"HTTP {status} when {when}, and so nothing is known of it")


def _refused(message: str, code: str) -> ClusterRefused:
    return ClusterRefused(message, code=code)
