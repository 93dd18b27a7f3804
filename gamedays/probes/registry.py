"""All probe kinds. To add one: copy a file beside this one and add its line here."""

from __future__ import annotations

from gamedays.choices import ProbeKind
from gamedays.probes.api import probe_canary_write, probe_read, probe_readyz
from gamedays.probes.base import Prober
from gamedays.probes.etcd import probe_etcd
from gamedays.probes.http import probe_http

PROBERS: dict[str, Prober] = {
    ProbeKind.HTTP: probe_http,
    ProbeKind.API_READYZ: probe_readyz,
    ProbeKind.API_READ: probe_read,
    ProbeKind.CANARY_WRITE: probe_canary_write,
    ProbeKind.ETCD_HEALTH: probe_etcd,
}
