"""All scenarios. To add one: copy a file beside this one and add its line here."""

from __future__ import annotations

from core.errors import NotFound
from gamedays.scenarios.api_servers_down import ApiServersDown
from gamedays.scenarios.bad_flag import BadFlagInManifest
from gamedays.scenarios.base import Scenario
from gamedays.scenarios.controller_manager_down import ControllerManagerDown
from gamedays.scenarios.coredns_down import CoreDnsDown
from gamedays.scenarios.envoy_control_plane_down import EnvoyControlPlaneDown
from gamedays.scenarios.etcd_member_down import EtcdMemberDown
from gamedays.scenarios.node_drained import NodeDrained
from gamedays.scenarios.pods_killed import PodsKilled
from gamedays.scenarios.registry_unusable import RegistryUnusable
from gamedays.scenarios.scheduler_down import SchedulerDown
from gamedays.scenarios.wrong_configuration import WrongConfiguration

_SCENARIOS: tuple[Scenario, ...] = (
    EtcdMemberDown(),
    ApiServersDown(),
    WrongConfiguration(),
    CoreDnsDown(),
    NodeDrained(),
    PodsKilled(),
    BadFlagInManifest(),
    RegistryUnusable(),
    EnvoyControlPlaneDown(),
    SchedulerDown(),
    ControllerManagerDown(),
)
_BY_KEY = {scenario.key: scenario for scenario in _SCENARIOS}


def all_scenarios() -> tuple[Scenario, ...]:
    return _SCENARIOS


def get_scenario(key: str) -> Scenario:
    """The scenario of that key; `NotFound` lists the known ones."""
    try:
        return _BY_KEY[key]
    except KeyError:
        raise NotFound(
            f"There is no scenario {key!r}. Known are: {', '.join(sorted(_BY_KEY))}.",
            code="unknown_scenario",
        ) from None
