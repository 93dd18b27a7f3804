"""Requests about the accounts of runs: where they lie, how they are labelled, what a no means."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from core import kube
from core.errors import ClusterRefused, ClusterUnreachable, DomainError
from gamedays.drivers.run_rights import RBAC, Right, path_of
from gamedays.scenarios.plan import ObjectTarget

Object = dict[str, Any]
NAMESPACE = "belay-runs"
ORDER = "belay/order"
"""Label: the order that an account or role was made for."""
_CALL_S = 3.0


class RunApi:
    """One cluster's API, asked with Belay's own account on fresh connections."""

    def __init__(self, credentials: kube.Credentials) -> None:
        self._credentials = credentials

    def ask(self, method: str, path: str, *, missing_ok: bool = False) -> Object | None:
        """The answer's object; None for what is not there, where that is fine."""
        answer = self.request(method, path)
        if answer.status == 404 and missing_ok:
            return None
        if answer.status not in (200, 202):
            raise cannot(f"{method} {path.split('?', maxsplit=1)[0]} was refused", answer)
        try:
            body = answer.json()
        except ValueError:
            body = None
        if not isinstance(body, dict):
            what = f"{method} {path.split('?', maxsplit=1)[0]}"
            raise ClusterUnreachable(f"an answer that is no object to {what}")
        return body

    def request(self, method: str, path: str, body: Object | None = None) -> kube.Answer:
        return kube.fresh_request(self._credentials, method, path, body=body, timeout_s=_CALL_S)

    def create(self, path: str, body: Object, order_id: str) -> None:
        """Create it; what this order created before is no error."""
        answer = self.request("POST", path, body)
        if answer.status in (200, 201):
            return
        name = body["metadata"]["name"]
        if answer.status == 409:
            found = self.ask("GET", f"{path}/{name}")
            if found is not None and label(found, ORDER) == order_id:
                return
        raise cannot(f"{body['kind']} {name} could not be created", answer)

    def remove(self, path: str, order_id: str) -> None:
        """Delete what carries this order's label; of what does not, nothing is ours."""
        found = self.ask("GET", path, missing_ok=True)
        if found is not None and label(found, ORDER) == order_id:
            self.ask("DELETE", path, missing_ok=True)

    def may(self, right: Right) -> bool:
        """Whether Belay's own account has that right."""
        plural, _, sub = right.resource.partition("/")
        attributes = {
            "verb": right.verb,
            "group": right.group,
            "resource": plural,
            "subresource": sub,
            "namespace": right.namespace,
            "name": right.name,
        }
        review = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectAccessReview",
            "spec": {"resourceAttributes": attributes},
        }
        path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
        answer = self.request("POST", path, review)
        if answer.status not in (200, 201):
            raise cannot("the cluster did not say what Belay's account may do", answer)
        return bool(answer.json().get("status", {}).get("allowed"))


def end_pod(minted: kube.Credentials, target: ObjectTarget) -> None:
    """Delete a pod with a run's own credential, only while it is still the one that was meant."""
    options = {"preconditions": {"uid": target.uid}}
    answer = kube.fresh_request(minted, "DELETE", path_of(target), body=options, timeout_s=_CALL_S)
    if answer.status in (200, 202):
        return
    if answer.status >= 500 or answer.status == 429:
        raise ClusterUnreachable(f"HTTP {answer.status} when asked to delete {target.name}")
    raise ClusterRefused(
        f"The cluster did not delete pod {target.namespace}/{target.name} (HTTP {answer.status}): "
        "it is gone already, or the run's account lost its right.",
        code="pod_not_ended",
    )


def accounts() -> str:
    return f"/api/v1/namespaces/{NAMESPACE}/serviceaccounts"


def roles(namespace: str, suffix: str) -> str:
    if not namespace:
        return f"/apis/{RBAC}/v1/clusterrole{suffix}"
    return f"/apis/{RBAC}/v1/namespaces/{quote(namespace, safe='')}/role{suffix}"


def label(found: Object, key: str) -> str:
    return str(((found.get("metadata") or {}).get("labels") or {}).get(key, ""))


def cannot(what: str, answer: kube.Answer) -> DomainError:
    if answer.status >= 500 or answer.status == 429:
        return ClusterUnreachable(f"HTTP {answer.status}: {what}")
    try:
        said = str(answer.json().get("message", ""))[:300]
    except (ValueError, AttributeError):
        said = ""
    return ClusterRefused(
        f"The run's own account could not be minted: {what} (HTTP {answer.status}"
        + (f": {said}" if said else "")
        + "). Without it nothing could undo the fault by itself. Let the cluster's owner opt the "
        "namespace in; SECURITY.md says how.",
        code="cannot_mint",
    )
