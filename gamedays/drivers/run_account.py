"""The account of one run: minted at arming, handed to a guard, gone at clean.

It may do exactly what the run's change and its undo need, on exactly the run's objects, by name,
and its token outlives the guards' hard deadline by an hour only. Belay's own account has no such
right itself: in namespaces that the cluster's owner opted in it may create roles, and a policy of
the owner lets it create none but these (SECURITY.md, "Rights in the cluster").

The ServiceAccount is made first and removed last, and says where its roles lie: whatever dies in
between, what is left can be found and removed.
"""

from __future__ import annotations

import datetime as dt
import json
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any

import structlog

from core import kube
from core.errors import ClusterRefused, ClusterUnreachable, DomainError
from gamedays.drivers.run_api import (
    NAMESPACE,
    ORDER,
    RunApi,
    accounts,
    cannot,
    end_pod,
    label,
    roles,
)
from gamedays.drivers.run_rights import (
    RBAC,
    Right,
    cordon_role,
    node_of,
    path_of,
    rights_to_make,
    rules_for,
)
from gamedays.scenarios.plan import ObjectTarget
from guard.protocol import Credential

Object = dict[str, Any]
log = structlog.get_logger(__name__)

MANAGED_BY = "app.kubernetes.io/managed-by"
SCOPES = "belay/scopes"
"""Annotation: where the account has rights, as a JSON list of namespaces and `CLUSTER`."""
EXPIRES = "belay/expires"
CLUSTER = ""
"""The scope of what is in no namespace."""
OUTLIVES_S = 3600
"""The token lives this much longer than the guards' hard deadline: an undo may be slow."""
_LEAST_TOKEN_S = 600
_EFFECTIVE_S = 6.0
"""Every API server learns of a new role by itself, within a moment."""
_LOOK_S = 0.1


def account_name(order_id: str) -> str:
    return f"belay-run-{order_id[:8]}"


class RunAccounts:
    """Mints and removes accounts on one cluster. Needs no database."""

    def __init__(
        self, credentials: kube.Credentials, api_servers: Mapping[str, str] | None = None
    ) -> None:
        self._credentials = credentials
        self._api = RunApi(credentials)
        self._api_servers = dict(api_servers or {})
        self._minted: dict[str, kube.Credentials] = {}

    def mint(self, order_id: str, targets: Iterable[ObjectTarget], lives_s: int) -> Credential:
        """An account for exactly these objects, whose rights are seen to be in effect.

        `lives_s`: seconds that its token must live. What was made of a failed attempt is removed.

        Raises:
            ClusterRefused: `cannot_mint`: a right is missing, a policy forbids it, or tokens of
                this cluster do not live long enough.
            ClusterUnreachable: the API gave no answer.
        """
        chosen = tuple(targets)
        rules, node = rules_for(chosen), node_of(chosen)
        lives_s = max(lives_s, _LEAST_TOKEN_S)
        until = dt.datetime.now(dt.UTC) + dt.timedelta(seconds=lives_s)
        try:
            self._make_account(order_id, [*rules, *([CLUSTER] if node else [])], until)
            for namespace, given in rules.items():
                self._make_role(order_id, namespace, given)
            if node:
                self._bind(order_id, CLUSTER, "ClusterRole", cordon_role(node))
            token, expires_at = self._token(order_id, lives_s)
            minted = kube.Credentials(
                server=self._credentials.server, ca_pem=self._credentials.ca_pem, token=token
            )
            self._await_effect(minted, chosen)
        except DomainError:
            self._unmint_quietly(order_id)
            raise
        self._minted[order_id] = minted
        return Credential(
            server=self._credentials.server,
            ca_pem=self._credentials.ca_pem,
            token=token,
            name=account_name(order_id),
            expires_at=expires_at,
        )

    def require_mintable(self, targets: Iterable[ObjectTarget]) -> None:
        """Return where Belay's account may make such an account; says so before anything is
        touched. A policy of the cluster can still refuse it at minting.

        Raises:
            ClusterRefused: `cannot_mint`, with the rights that are missing.
            ClusterUnreachable: the API gave no answer.
        """
        wanted = [
            Right("create", "", "serviceaccounts", NAMESPACE),
            Right("create", "", "serviceaccounts/token", NAMESPACE),
            *rights_to_make(targets),
        ]
        missing = [str(right) for right in wanted if not self._api.may(right)]
        if missing:
            raise ClusterRefused(
                f"Belay's account may not {', '.join(missing)}: the run could have no account of "
                "its own, and nothing would undo the fault by itself. Let the cluster's owner opt "
                "the namespace in; SECURITY.md says how.",
                code="cannot_mint",
            )

    def end_pod(self, order_id: str, target: ObjectTarget) -> None:
        """Delete exactly that pod, with the account that was minted here for the order.

        Raises:
            ClusterRefused: no account of this process, no such right, or another pod by now.
            ClusterUnreachable: the API gave no answer.
        """
        minted = self._minted.get(order_id)
        if minted is None:
            raise ClusterRefused("The run's account is another process's.", code="no_account")
        end_pod(minted, target)

    def unmint(self, order_id: str) -> None:
        """Remove the account and everything that it could do; nothing to do is no error.

        Raises:
            ClusterRefused, ClusterUnreachable: something is left; call again.
        """
        name = account_name(order_id)
        found = self._api.ask("GET", f"{accounts()}/{name}", missing_ok=True)
        if found is None:
            return
        if label(found, ORDER) != order_id:
            raise ClusterRefused(
                f"ServiceAccount {NAMESPACE}/{name} is not the one of run {order_id}; it was left "
                "alone. Look who made it.",
                code="foreign_account",
            )
        for scope in _scopes(found):
            # Bindings first: from then on the account may do nothing any more.
            self._api.remove(f"{roles(scope, 'bindings')}/{name}", order_id)
            if scope != CLUSTER:
                self._api.remove(f"{roles(scope, 's')}/{name}", order_id)
        self._api.ask("DELETE", f"{accounts()}/{name}", missing_ok=True)

    def remove_orphans(
        self, are_over: Callable[[Collection[str]], Mapping[str, bool]], now: dt.datetime
    ) -> list[str]:
        """Remove the accounts of runs that are over. Returns the orders whose accounts went.

        `are_over`: of these orders, those that are known, and whether each is over. It is asked
        after the accounts were listed: a run that begins meanwhile is not among them. One that is
        not known may be live on a guard all the same, which then has nothing else to undo it
        with - the rows may come from an older backup - and keeps its account while its token
        lives.
        """
        query = f"{MANAGED_BY}%3Dbelay"
        listed = self._api.ask("GET", f"{accounts()}?labelSelector={query}") or {}
        found = {label(each, ORDER): each for each in listed.get("items", []) if label(each, ORDER)}
        known = are_over(found)
        gone = []
        for order_id, account in found.items():
            if not known.get(order_id, _expired(account, now)):
                continue
            try:
                self.unmint(order_id)
            except DomainError as error:
                # The next one is not to blame; this one is met again at the next look.
                log.warning("run_account_left", order=order_id, why=error.message)
                continue
            gone.append(order_id)
        return gone

    # -- making -----------------------------------------------------------------------------------

    def _make_account(self, order_id: str, scopes: list[str], until: dt.datetime) -> None:
        metadata = _metadata(order_id) | {
            "namespace": NAMESPACE,
            "annotations": {SCOPES: json.dumps(scopes), EXPIRES: until.isoformat()},
        }
        account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata,
                   "automountServiceAccountToken": False}  # fmt: skip
        self._api.create(accounts(), account, order_id)

    def _make_role(self, order_id: str, namespace: str, rules: list[Object]) -> None:
        name = account_name(order_id)
        role = {
            "apiVersion": f"{RBAC}/v1",
            "kind": "Role",
            "metadata": _metadata(order_id) | {"namespace": namespace},
            "rules": rules,
        }
        self._api.create(roles(namespace, "s"), role, order_id)
        self._bind(order_id, namespace, "Role", name)

    def _bind(self, order_id: str, namespace: str, kind: str, role: str) -> None:
        metadata = _metadata(order_id) | ({"namespace": namespace} if namespace else {})
        account = {"kind": "ServiceAccount", "name": account_name(order_id)}
        binding = {
            "apiVersion": f"{RBAC}/v1",
            "kind": f"{kind}Binding",
            "metadata": metadata,
            "roleRef": {"apiGroup": RBAC, "kind": kind, "name": role},
            "subjects": [account | {"namespace": NAMESPACE}],
        }
        self._api.create(roles(namespace, "bindings"), binding, order_id)

    def _token(self, order_id: str, lives_s: int) -> tuple[str, str]:
        request = {
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenRequest",
            "spec": {"expirationSeconds": lives_s},
        }
        answer = self._api.request("POST", f"{accounts()}/{account_name(order_id)}/token", request)
        if answer.status not in (200, 201):
            raise cannot("no token was given for it", answer)
        body = answer.json()
        granted = int(body["spec"]["expirationSeconds"])
        if granted < lives_s:
            raise ClusterRefused(
                f"Tokens of this cluster live for {granted} s at most; this fault needs one for "
                f"{lives_s} s, or its undo could be locked out. Choose a shorter hold, or raise "
                "--service-account-max-token-expiration.",
                code="cannot_mint",
            )
        return str(body["status"]["token"]), str(body["status"]["expirationTimestamp"])

    def _await_effect(self, minted: kube.Credentials, targets: tuple[ObjectTarget, ...]) -> None:
        """Until every API server that answers lets the account look at every target."""
        until = time.monotonic() + _EFFECTIVE_S
        waiting = [
            (server, target) for server in (None, *self._api_servers.values()) for target in targets
        ]
        answered = False
        while waiting:
            server, target = waiting[0]
            try:
                answer = kube.fresh_request(minted, "GET", path_of(target), server=server)
            except ClusterUnreachable:
                if server is None:
                    raise
                waiting = [each for each in waiting if each[0] != server]
                continue
            if answer.status == 200:
                answered = True
                waiting.pop(0)
            elif answer.status == 404 or time.monotonic() > until:
                raise cannot(
                    f"it still may not read {target.kind} {target.namespace}/{target.name}", answer
                )
            else:
                time.sleep(_LOOK_S)
        if not answered:
            raise ClusterUnreachable("No API server said whether the run's account has its rights.")

    def _unmint_quietly(self, order_id: str) -> None:
        try:
            self.unmint(order_id)
        except DomainError as error:
            # Found again by `remove_orphans`; the refusal that we are in says why it came to this.
            log.warning("run_account_left", order=order_id, why=error.message)


def _metadata(order_id: str) -> Object:
    labels = {MANAGED_BY: "belay", ORDER: order_id}
    return {"name": account_name(order_id), "labels": labels}


def _scopes(account: Object) -> list[str]:
    text = (account["metadata"].get("annotations") or {}).get(SCOPES, "[]")
    try:
        return [str(scope) for scope in json.loads(text)]
    except ValueError:
        raise ClusterRefused(
            f"The annotation {SCOPES} of {account['metadata']['name']} is now {text[:80]!r};"
            " where its roles lie is not known. Remove them by hand.",
            code="foreign_account",
        ) from None


def _expired(account: Object, now: dt.datetime) -> bool:
    text = (account["metadata"].get("annotations") or {}).get(EXPIRES, "")
    try:
        return dt.datetime.fromisoformat(text) < now
    except ValueError:
        return True
