"""A route that tells how old it is: with it Belay sees whether a route change reaches Envoy.

It answers by itself with the time of its last change and leads to no service. Belay's account may
patch this one object, and a policy of the owner lets it change nothing but that text: another name
of a host would take that host's requests away from whom they belong to.
"""

from __future__ import annotations

from typing import Any

Object = dict[str, Any]
NAME = "belay-canary"
HOST = "canary.qa.local"
POLICY = "belay-route-canary"
_ADMISSION = "admissionregistration.k8s.io/v1"
_UNCHANGED = (
    "object.spec.virtualhost == oldObject.spec.virtualhost && !has(object.spec.includes)"
    " && !has(object.spec.tcpproxy) && !has(object.spec.ingressClassName)"
)
_ANSWERS_ITSELF = (
    "has(object.spec.routes) && object.spec.routes.all(r, has(r.directResponsePolicy)"
    " && !has(r.services) && size(r.directResponsePolicy.body) <= 32)"
)


def objects(namespace: str, username: str) -> list[Object]:
    """The policy first: it stands before the right that it narrows."""
    return [*_policy(namespace, username), _route(namespace)]


def rules() -> list[Object]:
    """What Belay's account may do with it; reading routes is among what it may look at."""
    return [
        {
            "apiGroups": ["projectcontour.io"],
            "resources": ["httpproxies"],
            "verbs": ["get", "patch"],
            "resourceNames": [NAME],
        }
    ]


def _route(namespace: str) -> Object:
    route = {
        "conditions": [{"prefix": "/"}],
        "directResponsePolicy": {"statusCode": 200, "body": "0"},
    }
    return {
        "apiVersion": "projectcontour.io/v1",
        "kind": "HTTPProxy",
        "metadata": {"name": NAME, "namespace": namespace},
        "spec": {"virtualhost": {"fqdn": HOST}, "routes": [route]},
    }


def _policy(namespace: str, username: str) -> list[Object]:
    spec = {
        "failurePolicy": "Fail",
        "matchConstraints": {
            "resourceRules": [
                {"apiGroups": ["projectcontour.io"], "apiVersions": ["v1"],
                 "resources": ["httpproxies"], "operations": ["UPDATE"]}
            ]
        },
        "matchConditions": [
            {"name": "belay", "expression": f"request.userInfo.username == '{username}'"},
            {"name": "canary", "expression": f"request.namespace == '{namespace}'"},
        ],
        "validations": [
            {"expression": _UNCHANGED, "message": "the canary route keeps its host"},
            {"expression": _ANSWERS_ITSELF, "message": "the canary route answers by itself"},
        ],
    }  # fmt: skip
    return [
        {"apiVersion": _ADMISSION, "kind": "ValidatingAdmissionPolicy",
         "metadata": {"name": POLICY}, "spec": spec},
        {"apiVersion": _ADMISSION, "kind": "ValidatingAdmissionPolicyBinding",
         "metadata": {"name": POLICY},
         "spec": {"policyName": POLICY, "validationActions": ["Deny"]}},
    ]  # fmt: skip
