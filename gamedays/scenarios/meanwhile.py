"""Parameters with which more is watched than what runs: what if a pod ends meanwhile?"""

from __future__ import annotations

from collections.abc import Mapping

from gamedays.scenarios.base import Parameter, Value, split_object
from gamedays.scenarios.plan import Belief, Meanwhile

BACKEND = Parameter(
    name="backend",
    label="Backend pod that ends meanwhile",
    kind="object",
    optional=True,
    help="A Deployment behind Envoy, as namespace/name: one of its pods is deleted in "
    "mid-outage, and requests show what becomes of its address. Empty: none.",
)
RESTART = Parameter(
    name="restart",
    label="Pod that restarts from the node's copy",
    kind="object",
    optional=True,
    help="A Deployment, as namespace/name: one of its pods is deleted in mid-outage, and the "
    "next one has to start all the same. Empty: none.",
)
PULL = Parameter(
    name="pull",
    label="Pod whose image has to be pulled",
    kind="object",
    optional=True,
    help="A Deployment whose pods always pull: one is deleted in mid-outage; the next one has to "
    "say that it cannot pull, and to come up by itself afterwards. Empty: none.",
)
BELIEFS: dict[str, Belief] = {
    BACKEND.name: "starts",
    RESTART.name: "starts",
    PULL.name: "waits-for-image",
}


def meanwhile_of(parameters: Mapping[str, Value]) -> tuple[Meanwhile, ...]:
    """What the parameters ask for; a run that was planned before there were any asks for none."""
    chosen = []
    for key, belief in BELIEFS.items():
        value = parameters.get(key, "")
        if value:
            namespace, name = split_object(value)
            chosen.append(Meanwhile(key=key, namespace=namespace, name=name, belief=belief))
    return tuple(chosen)
