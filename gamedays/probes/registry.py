"""All probe kinds. To add one: copy a file beside this one and add its line here."""

from __future__ import annotations

from collections.abc import Mapping

from core.errors import Invalid
from core.fields import Value, clean_all
from gamedays.choices import ProbeKind
from gamedays.probes.alert import ALERT_EXPECTED
from gamedays.probes.api import API_READ, API_READYZ, CANARY_WRITE
from gamedays.probes.base import Kind, Prober
from gamedays.probes.envoy_stat import ENVOY_STAT
from gamedays.probes.etcd import ETCD_HEALTH
from gamedays.probes.http import HTTP
from gamedays.probes.kubernetes_field import KUBERNETES_FIELD
from gamedays.probes.prometheus import PROMETHEUS
from gamedays.probes.route_change import ROUTE_CHANGE
from gamedays.probes.tcp import TCP

KINDS: dict[str, Kind] = {
    ProbeKind.HTTP: HTTP,
    ProbeKind.TCP: TCP,
    ProbeKind.KUBERNETES_FIELD: KUBERNETES_FIELD,
    ProbeKind.PROMETHEUS: PROMETHEUS,
    ProbeKind.ALERT_EXPECTED: ALERT_EXPECTED,
    ProbeKind.ENVOY_STAT: ENVOY_STAT,
    ProbeKind.ROUTE_CHANGE: ROUTE_CHANGE,
    ProbeKind.API_READYZ: API_READYZ,
    ProbeKind.API_READ: API_READ,
    ProbeKind.CANARY_WRITE: CANARY_WRITE,
    ProbeKind.ETCD_HEALTH: ETCD_HEALTH,
}
PROBERS: dict[str, Prober] = {key: kind.prober for key, kind in KINDS.items()}
BY_HAND: dict[str, Kind] = {key: kind for key, kind in KINDS.items() if kind.by_hand}
"""What people make in the page; the others come with the cluster."""


def clean_parameters(kind: str, given: Mapping[str, object]) -> dict[str, Value]:
    """The typed parameters of a probe. `Invalid` holds a sentence for every wrong one at once."""
    found = KINDS[kind]
    errors: dict[str, str] = {}
    values: dict[str, Value] = {}
    try:
        values = clean_all(ProbeKind(kind).label, found.fields, dict(given))
    except Invalid as error:
        errors = dict(error.errors)
        # What could be read is still looked at together, so that nobody comes twice.
        values = _readable(found, given)
    if found.check is not None:
        errors = found.check(values) | errors
    if errors:
        first = next(iter(errors))
        raise Invalid(errors[first], code="probe_invalid", field=first, errors=errors)
    return values


def _readable(kind: Kind, given: Mapping[str, object]) -> dict[str, Value]:
    values: dict[str, Value] = {}
    for field in kind.fields:
        try:
            values[field.name] = field.clean(given.get(field.name))
        except ValueError:
            continue
    return {name: value for name, value in values.items() if value != ""}
