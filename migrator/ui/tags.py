"""Words of the inventory that templates may use without loading them (settings: `builtins`)."""

from __future__ import annotations

from django import template

from migrator.service_fields import BY_NAME

register = template.Library()
_OTHERS = {
    "team": "Owner team",
    "cluster": "Cluster",
    "depends_on": "Needs",
    "legacy_capacity": "Legacy capacity",
    "legacy_address": "Legacy address",
    "legacy_hosts": "Legacy hosts",
    "legacy_capacity_unit": "Unit of the legacy capacity",
    "starts_on": "First day",
    "ends_on": "Last day",
    "note": "Note",
}


@register.filter
def field_label(name: str) -> str:
    """A field's name as people read it."""
    if name in _OTHERS:
        return _OTHERS[name]
    return BY_NAME[name].label if name in BY_NAME else name
